//! The checked tenant: which API, where, and who asks.

use std::net::IpAddr;

use super::problem::{Fault, Problem};
use super::raw_tenant::{
    RawAuth, RawEndpoints, RawReference, RawSecret, RawSimulator, RawTemplates, RawTenant, RawText,
};
use super::resolve::Findings;
use super::tree::Node;
use super::unit::Requests;
use super::{choice, word::Word, word::Written};

/// A tenant, checked and with its defaults filled in. Secrets are only referred to.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Which API it is spoken to with.
    pub api: Api,
    /// The plan, which says how many calls a minute each API operation may make.
    pub plan: Plan,
    /// The tenant's own figure, instead of the plan's; a job's limits go before it.
    pub requests_per_minute: Option<Requests>,
    /// The domain for the login page.
    pub domain: Option<Text>,
    /// The number of the domain whose members and groups are listed (`domainId` of API 2.0).
    pub domain_id: Option<u64>,
    /// The API ID; always there for the classic API.
    pub api_id: Option<Text>,
    /// Who asks.
    pub auth: Auth,
    /// Where the service is. For the simulator these are put in by the runner.
    pub endpoints: Endpoints,
    /// Paths of the classic API that differ from the known ones.
    pub templates: Templates,
    /// Whether plain `http://` is allowed outside this machine.
    pub allow_plain_http: bool,
    /// Certificate files (PEM) trusted besides the usual ones, relative to the tenant file.
    pub extra_ca: Vec<String>,
    /// The simulated tenant; always there for `api = "simulator"`.
    pub simulator: Option<SimulatedTenant>,
}

choice!(
    /// The API generations.
    Api, "lowercase" {
        /// API 2.0.
        #[default]
        V2,
        /// The API-ID generation.
        Classic,
        /// A simulated service inside the program.
        Simulator,
    }
);

choice!(
    /// What the tenant has subscribed to.
    Plan, "lowercase" {
        /// 60 calls a minute for each API operation.
        Free,
        /// 240 calls a minute for each API operation.
        #[default]
        Standard,
    }
);

choice!(
    /// Which API a simulated service speaks.
    Face, "lowercase" {
        /// API 2.0.
        #[default]
        V2,
        /// The API-ID generation.
        Classic,
    }
);

impl Plan {
    /// Calls a minute for each API operation (API 2.0 docs, JP/rate-limits).
    pub fn requests_per_minute(self) -> u32 {
        match self {
            Plan::Free => 60,
            Plan::Standard => 240,
        }
    }
}

/// A text, or where to find it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// The text itself.
    Plain(String),
    /// Where to find it.
    Reference(Reference),
}

/// Where to find a text or a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// In this environment variable.
    Env(String),
    /// In this file, relative to the file it is written in.
    File(String),
    /// In what this command prints: the program and its arguments, never empty.
    Command(Vec<String>),
}

/// Who asks, and where the secrets are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Auth {
    /// Client ID of the app.
    pub client_id: Option<Text>,
    /// Client secret of the app.
    pub client_secret: Option<Reference>,
    /// The first refresh token.
    pub refresh_token: Option<Reference>,
    /// An access token given directly.
    pub token: Option<Reference>,
    /// The file in which tokens are kept, relative to the tenant file; `None` is one in the user's state folder.
    pub token_store: Option<String>,
    /// The service account.
    pub service_account: Option<Text>,
    /// The key of the service account, or of the classic API's server.
    pub private_key: Option<Reference>,
    /// Whether the service account may act as each member.
    pub delegate: bool,
    /// The member whom tokens act for: whose drive is `me`.
    pub member: Option<Text>,
    /// The rights to ask for, separated by blanks; `None` leaves it to what the job needs.
    pub scope: Option<String>,
    /// Where the login page comes back to; `None` is a free port of this machine.
    pub redirect_uri: Option<Text>,
    /// Consumer key of the classic API.
    pub consumer_key: Option<Reference>,
    /// Server ID of the classic API.
    pub server_id: Option<Text>,
}

/// Where the service is. Addresses have no slash at their end.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoints {
    /// The API.
    pub api: Text,
    /// Tokens.
    pub auth: Text,
    /// The login page.
    pub login: Text,
    /// The classic API's file host; without use in API 2.0.
    pub file: Text,
    /// Hosts, as `host` or `host:port` or `*.domain`, that may be sent the token for bytes.
    pub storage: Vec<String>,
}

/// Paths of the classic API behind the endpoint, with `{api-id}`, `{location}` and `{key}` to be filled in.
/// `None` is the known path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    /// Properties of the root.
    pub root: Option<String>,
    /// Properties of a file or folder.
    pub properties: Option<String>,
    /// The children of a folder.
    pub children: Option<String>,
    /// Making a folder.
    pub create_folder: Option<String>,
    /// The list of group folders.
    pub group_folders: Option<String>,
    /// Uploads, on the file host.
    pub upload: Option<String>,
    /// Downloads, on the file host.
    pub download: Option<String>,
    /// The login page.
    pub authorize: Option<String>,
    /// The service token.
    pub service_token: Option<String>,
    /// The server token.
    pub server_token: Option<String>,
}

/// What a simulated tenant holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedTenant {
    /// The same number gives the same tenant. Default 1.
    pub seed: u64,
    /// Files in each drive. Default 200.
    pub files: u64,
    /// Folders in each drive. Default 40.
    pub folders: u64,
    /// The usual size of a file in bytes. Default 20,000.
    pub size: u64,
    /// Members, at least 1. Default 1.
    pub members: u32,
    /// Shared drives. Default 0.
    pub shared_drives: u32,
    /// Group folders. Default 0.
    pub groups: u32,
    /// A folder of this machine, relative to the tenant file, that is the first member's drive.
    pub import: Option<String>,
    /// Which API it speaks.
    pub face: Face,
}

impl Tenant {
    /// How many calls a minute each API operation may make, for a job with that setting.
    pub fn requests(&self, job: Option<Requests>) -> Requests {
        job.or(self.requests_per_minute).unwrap_or(Requests::Auto)
    }

    /// The API that is spoken: a simulator speaks one of the two others.
    pub fn dialect(&self) -> Face {
        match (self.api, &self.simulator) {
            (Api::V2, _) => Face::V2,
            (Api::Classic, _) => Face::Classic,
            (Api::Simulator, simulated) => simulated.as_ref().map_or(Face::V2, |simulated| simulated.face),
        }
    }
}

/// Whether an address may be an endpoint: `https://`, or `http://` on this machine or where plain http is allowed,
/// and no more than host, port and path.
///
/// # Errors
///
/// What is wrong with it, without the address: it may hold a secret.
pub fn check_endpoint(address: &str, allow_plain_http: bool) -> Result<(), &'static str> {
    if address.contains(['?', '#']) {
        return Err("an address with '?' or '#'");
    }
    check_address(address, allow_plain_http)
}

/// As [`check_endpoint`], but with a query allowed.
pub(super) fn check_address(address: &str, allow_plain_http: bool) -> Result<(), &'static str> {
    let (is_plain, rest) = match (address.strip_prefix("https://"), address.strip_prefix("http://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err("a text that does not begin with https://"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    if authority.contains('@') {
        return Err("an address with a user name or password");
    }
    if address
        .chars()
        .any(|letter| letter.is_whitespace() || letter.is_control())
    {
        return Err("an address with a blank");
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    if host.is_empty() {
        return Err("an address without a host");
    }
    let is_own =
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if is_plain && !is_own && !allow_plain_http {
        return Err("plain http:// to another machine");
    }
    Ok(())
}

/// Turns a tenant file as written into a checked one.
pub(super) fn resolve(raw: RawTenant, tree: &Node, file: &str) -> Result<Tenant, Vec<Problem>> {
    let mut findings = Findings::new(tree, file);
    let tenant = resolve_at(raw, "", &mut findings);
    findings.end(tenant)
}

/// The same for a tenant that stands inside a job, in the table `place`.
pub(super) fn resolve_at(raw: RawTenant, place: &str, findings: &mut Findings<'_>) -> Tenant {
    let at = |key: &str| {
        if place.is_empty() {
            key.to_owned()
        } else {
            format!("{place}.{key}")
        }
    };
    let auth = raw.auth.unwrap_or_default();
    let endpoints = raw.endpoints.unwrap_or_default();
    check_keys(raw.api, &at, findings);
    match raw.api {
        Api::V2 => check_v2(&auth, &at, findings),
        Api::Classic => {
            findings.require(raw.api_id.is_some(), &at("api-id"), "the API ID of the tenant");
            check_classic(&auth, &at, findings);
        }
        Api::Simulator => {}
    }
    let allow_plain_http = raw.allow_plain_http.unwrap_or(false);
    let endpoints = resolve_endpoints(endpoints, raw.api, allow_plain_http, &at, findings);
    let plan = raw.plan.unwrap_or(match raw.api {
        // Classic API docs, forum posts/100157: the one figure known is that of the free plan.
        Api::Classic => Plan::Free,
        Api::V2 | Api::Simulator => Plan::Standard,
    });
    Tenant {
        api: raw.api,
        plan,
        requests_per_minute: inner(raw.requests_per_minute),
        domain: raw.domain.map(text),
        domain_id: raw.domain_id,
        api_id: raw.api_id.map(text),
        auth: resolve_auth(auth),
        endpoints,
        templates: resolve_templates(raw.templates.unwrap_or_default()),
        allow_plain_http,
        extra_ca: raw
            .extra_ca
            .unwrap_or_default()
            .into_iter()
            .map(|name| name.0)
            .collect(),
        simulator: (raw.api == Api::Simulator).then(|| resolve_simulator(raw.simulator.unwrap_or_default())),
    }
}

/// Refuses keys that mean nothing for this API.
fn check_keys(api: Api, at: &dyn Fn(&str) -> String, findings: &mut Findings<'_>) {
    let (v2, classic, simulator) = (Api::V2, Api::Classic, Api::Simulator);
    let table: &[(&str, &[Api], &str)] = &[
        ("api-id", &[classic], "it only with api = \"classic\""),
        ("templates", &[classic], "it only with api = \"classic\""),
        ("domain-id", &[v2], "it only with api = \"v2\""),
        ("domain", &[v2, classic], "no such key: the simulator needs none"),
        (
            "auth",
            &[v2, classic],
            "no such table: the simulator needs no credentials",
        ),
        (
            "endpoints",
            &[v2, classic],
            "no such table: the simulator is inside the program",
        ),
        (
            "extra-ca",
            &[v2, classic],
            "no such key: the simulator is inside the program",
        ),
        (
            "allow-plain-http",
            &[v2, classic],
            "no such key: the simulator is inside the program",
        ),
        ("simulator", &[simulator], "it only with api = \"simulator\""),
        ("auth.client-id", &[v2], "consumer-key instead"),
        ("auth.client-secret", &[v2], "consumer-key instead"),
        (
            "auth.refresh-token",
            &[v2],
            "token, server-id or `drivejob login` instead",
        ),
        ("auth.service-account", &[v2], "server-id instead"),
        ("auth.delegate", &[v2], "it only with api = \"v2\""),
        ("auth.scope", &[v2], "it only with api = \"v2\""),
        (
            "auth.consumer-key",
            &[classic],
            "client-id and client-secret instead",
        ),
        ("auth.server-id", &[classic], "service-account instead"),
        ("endpoints.file", &[classic], "it only with api = \"classic\""),
    ];
    let name = match api {
        Api::V2 => "with api = \"v2\"",
        Api::Classic => "with api = \"classic\"",
        Api::Simulator => "with api = \"simulator\"",
    };
    for (key, apis, instead) in table {
        let below_refused = api == simulator && key.contains('.');
        if !apis.contains(&api) && !below_refused && findings.has(&at(key)) {
            findings.add(&at(key), Fault::OutOfPlace, name, instead);
        }
    }
}

fn check_v2(auth: &RawAuth, at: &dyn Fn(&str) -> String, findings: &mut Findings<'_>) {
    let has_app = auth.client_id.is_some() && auth.client_secret.is_some();
    let wants_app = auth.client_id.is_some()
        || auth.client_secret.is_some()
        || auth.refresh_token.is_some()
        || auth.service_account.is_some()
        || auth.private_key.is_some();
    if wants_app && !has_app {
        let both = [
            (
                "auth.client-id",
                auth.client_id.is_some(),
                "the client ID of the app",
            ),
            (
                "auth.client-secret",
                auth.client_secret.is_some(),
                "a reference to the client secret of the app",
            ),
        ];
        for (key, is_there, expected) in both {
            findings.require(is_there, &at(key), expected);
        }
    }
    if auth.service_account.is_some() || auth.delegate == Some(true) {
        findings.require(
            auth.private_key.is_some(),
            &at("auth.private-key"),
            "a reference to the private key of the service account",
        );
    }
    if auth.private_key.is_some() || auth.delegate == Some(true) {
        findings.require(
            auth.service_account.is_some(),
            &at("auth.service-account"),
            "the service account that the private key belongs to",
        );
    }
    if !wants_app && auth.token.is_none() && auth.delegate != Some(true) {
        findings.require(
            false,
            &at("auth"),
            "a table with client-id, client-secret and refresh-token, or with token",
        );
    }
}

fn check_classic(auth: &RawAuth, at: &dyn Fn(&str) -> String, findings: &mut Findings<'_>) {
    findings.require(
        auth.consumer_key.is_some(),
        &at("auth.consumer-key"),
        "a reference to the consumer key",
    );
    if auth.server_id.is_some() {
        findings.require(
            auth.private_key.is_some(),
            &at("auth.private-key"),
            "a reference to the private key of the server",
        );
    }
    if auth.private_key.is_some() {
        findings.require(
            auth.server_id.is_some(),
            &at("auth.server-id"),
            "the server ID that the private key belongs to",
        );
    }
}

fn resolve_endpoints(
    raw: RawEndpoints,
    api: Api,
    allow_plain_http: bool,
    at: &dyn Fn(&str) -> String,
    findings: &mut Findings<'_>,
) -> Endpoints {
    let is_classic = api == Api::Classic;
    let mut endpoint = |written: Option<RawText>, key: &str, usual: &str| match written.map(text) {
        Some(Text::Plain(address)) => {
            if let Err(found) = check_endpoint(&address, allow_plain_http) {
                let expected = if found.starts_with("plain") {
                    "an address that begins with https:// (or allow-plain-http = true, which sends tokens unprotected)"
                } else {
                    "an address such as \"https://host/path\""
                };
                findings.add(&at(key), Fault::WrongValue, found, expected);
            }
            Text::Plain(address.trim_end_matches('/').to_owned())
        }
        Some(reference) => reference,
        None => Text::Plain(usual.to_owned()),
    };
    let own_auth = raw.auth.is_some();
    let (api_usual, auth_usual) = if is_classic {
        ("https://apis.worksmobile.com", "https://authapi.worksmobile.com")
    } else {
        (
            "https://www.worksapis.com/v1.0",
            "https://auth.worksmobile.com/oauth2/v2.0",
        )
    };
    let address = endpoint(raw.api, "endpoints.api", api_usual);
    let auth = endpoint(raw.auth, "endpoints.auth", auth_usual);
    let login = match raw.login {
        None if own_auth || !is_classic => auth.clone(),
        written => endpoint(written, "endpoints.login", "https://auth.worksmobile.com"),
    };
    Endpoints {
        api: address,
        auth,
        login,
        file: endpoint(raw.file, "endpoints.file", "https://file.drive.worksmobile.com"),
        storage: raw.storage.map_or_else(
            || vec!["*.worksmobile.com".to_owned(), "*.worksapis.com".to_owned()],
            |hosts| hosts.into_iter().map(|host| host.0).collect(),
        ),
    }
}

fn resolve_auth(raw: RawAuth) -> Auth {
    Auth {
        client_id: raw.client_id.map(text),
        client_secret: raw.client_secret.map(secret),
        refresh_token: raw.refresh_token.map(secret),
        token: raw.token.map(secret),
        token_store: inner(raw.token_store),
        service_account: raw.service_account.map(text),
        private_key: raw.private_key.map(secret),
        delegate: raw.delegate.unwrap_or(false),
        member: raw.member.map(text),
        scope: inner(raw.scope),
        redirect_uri: raw.redirect_uri.map(text),
        consumer_key: raw.consumer_key.map(secret),
        server_id: raw.server_id.map(text),
    }
}

fn resolve_templates(raw: RawTemplates) -> Templates {
    Templates {
        root: inner(raw.root),
        properties: inner(raw.properties),
        children: inner(raw.children),
        create_folder: inner(raw.create_folder),
        group_folders: inner(raw.group_folders),
        upload: inner(raw.upload),
        download: inner(raw.download),
        authorize: inner(raw.authorize),
        service_token: inner(raw.service_token),
        server_token: inner(raw.server_token),
    }
}

fn resolve_simulator(raw: RawSimulator) -> SimulatedTenant {
    SimulatedTenant {
        seed: raw.seed.unwrap_or(1),
        files: raw.files.unwrap_or(200),
        folders: raw.folders.unwrap_or(40),
        size: inner(raw.size).unwrap_or(20_000),
        members: raw.members.unwrap_or(1),
        shared_drives: raw.shared_drives.unwrap_or(0),
        groups: raw.groups.unwrap_or(0),
        import: inner(raw.import),
        face: raw.face.unwrap_or_default(),
    }
}

/// What a word was read into.
pub(super) fn inner<W: Word>(written: Option<Written<W>>) -> Option<W::Is> {
    written.map(|written| written.0)
}

pub(super) fn text(raw: RawText) -> Text {
    match raw {
        RawText::Plain(text) => Text::Plain(text.0),
        RawText::Reference(reference) => Text::Reference(self::reference(reference)),
    }
}

fn secret(raw: RawSecret) -> Reference {
    reference(raw.0)
}

fn reference(raw: RawReference) -> Reference {
    match raw {
        RawReference { env: Some(name), .. } => Reference::Env(name.0),
        RawReference { file: Some(name), .. } => Reference::File(name.0),
        RawReference { command, .. } => Reference::Command(command.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::check_endpoint;

    #[test]
    fn endpoints_are_https_or_on_this_machine() {
        for (address, plain_allowed, found) in [
            ("https://www.worksapis.com/v1.0", false, None),
            ("http://127.0.0.1:8080/v1.0", false, None),
            ("http://localhost:80", false, None),
            ("http://[::1]:80/x", false, None),
            ("http://example.com", true, None),
            (
                "http://example.com",
                false,
                Some("plain http:// to another machine"),
            ),
            (
                "http://127.0.0.1.example.com",
                false,
                Some("plain http:// to another machine"),
            ),
            (
                "https://user:pass@example.com",
                true,
                Some("an address with a user name or password"),
            ),
            ("https://", false, Some("an address without a host")),
            ("https:///path", false, Some("an address without a host")),
            (
                "ftp://example.com",
                true,
                Some("a text that does not begin with https://"),
            ),
            ("https://example.com/a b", true, Some("an address with a blank")),
            ("https://example.com?x", true, Some("an address with '?' or '#'")),
        ] {
            assert_eq!(check_endpoint(address, plain_allowed).err(), found, "{address}");
        }
    }
}
