//! A tenant as written becomes a checked one: keys held against the API, defaults filled in.

use super::findings::Findings;
use super::problem::{Fault, Problem};
use super::raw_tenant::{
    RawAuth, RawEndpoints, RawReference, RawSecret, RawSimulator, RawTemplates, RawTenant, RawText,
};
use super::tenant::{
    Api, Auth, Endpoints, Plan, Reference, SimulatedTenant, Templates, Tenant, Text, check_endpoint,
};
use super::tree::Node;
use super::word::{Word, Written};

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
        simulator: raw.simulator.map(resolve_simulator),
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
    // Who replaces the one host for tokens replaces both; the usual one may be written down.
    let own_auth = !matches!(&auth, Text::Plain(address) if address == auth_usual);
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
