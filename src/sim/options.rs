//! How a simulator is to behave where the documents are silent or give a choice.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::limits::Window;

/// Settings of a simulator; every one has a default, so that a file names only what differs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Address of all four ports.
    pub listen: IpAddr,
    /// Port of the api host; 0 = a free one.
    pub api_port: u16,
    /// Port of the auth host; 0 = a free one.
    pub auth_port: u16,
    /// Port of the storage and file host; 0 = a free one.
    pub storage_port: u16,
    /// Port of the control for other processes; 0 = a free one.
    pub admin_port: u16,
    /// Speed of the clock; 1.0 = real time.
    pub speed: f64,

    /// Access tokens that are there from the start and do not expire.
    pub tokens: Vec<StaticToken>,
    /// Client id of the app (API 2.0) and consumer key for service tokens.
    pub client_id: String,
    /// Client secret of the app.
    pub client_secret: String,
    /// A refresh token that is there from the start, for the member `login-member`.
    pub refresh_token: String,
    /// Scopes that the app has; asking for others is `invalid_scope`.
    pub scope: String,
    /// Mail or id of the member who logs in at the authorize page; empty = the first member.
    pub login_member: String,
    /// The app's service account.
    pub service_account: String,
    /// PEM of the public key for JWTs (`PUBLIC KEY` or `RSA PUBLIC KEY`); without it signatures are not verified.
    pub public_key: Option<String>,
    /// Tells whether a JWT may name a `delegated_user`.
    pub delegation: bool,
    /// Seconds an access token lives (API 2.0 docs, auth-oauth: 1 h or 24 h).
    pub access_token_seconds: i64,
    /// Seconds a refresh token lives (API 2.0 docs, auth-oauth: 90 days).
    pub refresh_token_seconds: i64,
    /// Tells whether a refresh answers a new refresh token and ends the old one.
    pub rotate_refresh_tokens: bool,
    /// Seconds for which the old refresh token still works after a rotation.
    pub rotation_grace_seconds: i64,
    /// Writes `expires_in` as a string, as the live service was seen to do.
    pub expires_in_as_string: bool,
    /// Refuses operations that the token's scope does not open.
    pub enforce_scopes: bool,

    /// API ID of the classic generation.
    pub api_id: String,
    /// Consumer key of the classic generation.
    pub consumer_key: String,
    /// Server id, the `iss` of classic server tokens.
    pub server_id: String,
    /// Spelling of the gateway's errors.
    pub gateway_errors: GatewayErrors,
    /// A classic server token opens Drive as the member `login-member` (the documents disagree on this).
    pub server_token_opens_drive: bool,
    /// Refuses a wrong `resourceLocation` in classic paths with 404.
    pub check_location: bool,
    /// Gives `resourceLocation: null` for the children of a classic list.
    pub classic_null_locations: bool,
    /// Leaves out `resourceName` in the children of a classic list, so that the name is to be taken from `resourcePath`.
    pub classic_nameless_children: bool,
    /// Most items of a classic page, whatever its `limit` asks for.
    pub classic_page: usize,
    /// Most items of an API 2.0 page, whatever its `count` asks for: a page may hold fewer than were asked for.
    pub v2_page: usize,

    /// Calls a minute and operation of API 2.0 (API 2.0 docs, rate-limits: 60 or 240); `None` = no limit.
    pub per_minute: Option<usize>,
    /// Calls a minute of the classic generation, all its Drive operations together; `None` = no limit.
    pub classic_per_minute: Option<usize>,
    /// How the minute is counted.
    pub window: Window,
    /// Most calls of the api host that are answered at the same time; `None` = no limit.
    pub at_once: Option<usize>,
    /// Status of the answer over `at-once`: 429 or 503.
    pub at_once_status: u16,
    /// Milliseconds that every answer of the api and storage hosts takes.
    pub latency_ms: u64,

    /// How the end of a list is told.
    pub list_end: ListEnd,
    /// Writes the seconds of every time a second time as a fraction, as the docs' examples do.
    pub odd_fraction: bool,
    /// Fields added to every file and folder object.
    pub extra_fields: Map<String, Value>,
    /// Answers `Range` on downloads.
    pub ranges: bool,
    /// Gives an `ETag` on downloads, and keeps to `If-Range`.
    pub etag: bool,
    /// A server that sends the bytes of imported files instead of the storage host.
    pub file_server: Option<FileServer>,
    /// Seconds that a download or upload URL is good for.
    pub url_seconds: i64,
    /// Refuses the download of items with the status `MALWARE` or `IN_PROGRESS`.
    pub refuse_malware: bool,
    /// The metadata call of an empty file makes the file at once.
    pub empty_files_at_once: bool,
    /// The answer to an upload has no body.
    pub silent_uploads: bool,
    /// Key of the list of shared-with-me folders: `result` in the docs, `sharedFolders` in one client.
    pub shared_folders_key: String,
}

/// A server with the files of an import. API 2.0 redirects their downloads to it; the classic generation redirects none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileServer {
    /// Address of what lies in `folder`, without a slash at its end.
    pub url: String,
    /// The folder that was imported.
    pub folder: PathBuf,
}

/// An access token that is there from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StaticToken {
    /// The token.
    pub token: String,
    /// Mail or id of the member it acts for; `service-account` for a token of the service account; empty = the first member.
    pub member: String,
}

/// How the end of a list is told in `responseMetaData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListEnd {
    /// No `nextCursor`.
    #[default]
    Absent,
    /// `"nextCursor": ""`
    Empty,
    /// `"nextCursor": null`
    Null,
}

/// Which of the two documented spellings the errors of the classic gateway have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayErrors {
    /// `errorMessage`, `errorCode` and `code`, as in a real body.
    #[default]
    ErrorMessage,
    /// `message` and `code`, as on the newer overview page.
    Message,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            api_port: 0,
            auth_port: 0,
            storage_port: 0,
            admin_port: 0,
            speed: 1.0,
            tokens: vec![
                StaticToken {
                    token: "sim-member-token".to_owned(),
                    member: String::new(),
                },
                StaticToken {
                    token: "sim-service-account-token".to_owned(),
                    member: "service-account".to_owned(),
                },
            ],
            client_id: "sim-client".to_owned(),
            client_secret: "sim-secret".to_owned(),
            refresh_token: "sim-refresh-token".to_owned(),
            scope: "file file.read group.folder group.folder.read user user.read group group.read orgunit orgunit.read \
                    directory directory.read audit.read"
                .to_owned(),
            login_member: String::new(),
            service_account: "sim.serviceaccount@example.com".to_owned(),
            public_key: None,
            delegation: true,
            access_token_seconds: 86_400,
            refresh_token_seconds: 90 * 86_400,
            rotate_refresh_tokens: false,
            rotation_grace_seconds: 0,
            expires_in_as_string: true,
            enforce_scopes: true,
            api_id: "kr1simulator".to_owned(),
            consumer_key: "sim-consumer-key".to_owned(),
            server_id: "sim-server".to_owned(),
            gateway_errors: GatewayErrors::default(),
            server_token_opens_drive: true,
            check_location: true,
            classic_null_locations: false,
            classic_nameless_children: false,
            classic_page: 1_000,
            v2_page: 200,
            per_minute: None,
            classic_per_minute: None,
            window: Window::default(),
            at_once: None,
            at_once_status: 429,
            latency_ms: 0,
            list_end: ListEnd::default(),
            odd_fraction: false,
            file_server: None,
            extra_fields: Map::new(),
            ranges: true,
            etag: true,
            url_seconds: 3_600,
            refuse_malware: false,
            empty_files_at_once: true,
            silent_uploads: false,
            shared_folders_key: "result".to_owned(),
        }
    }
}
