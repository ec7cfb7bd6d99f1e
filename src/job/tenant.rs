//! The checked tenant: which API, where, and who asks.

use std::net::IpAddr;

use super::choice::choice;
use super::unit::Requests;

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
    /// What a simulated tenant holds; `None` is the small tenant of the demo.
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
    /// Where the login page comes back to; `None` is `http://localhost:9876/callback`.
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
