//! The seam over HTTP: connects to a tenant in one of the two API generations.
//!
//! `http` owns the HTTP client and the one way a call is made, `pace` keeps the tenant's rate limits, `retry`
//! judges answers, `auth` holds the credentials, `body` keeps a download alive, and `v2` and `classic` speak
//! the dialects.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::drive::Drive;
use crate::monitor::Monitor;

mod auth;
mod body;
mod classic;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod http_ping;
mod items;
mod outgoing;
mod pace;
mod read;
mod refusal;
mod retry;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod v2;

pub use http_ping::{LONGEST_PAUSE, Patience, PingError, ping};

pub use auth::login;
pub use auth::table::{Credential, CredentialRow, NoCredential, Purpose, credential_table};
pub use auth::{Credentials, refresh_token_expires, settle};

/// Everything that says how a tenant is reached.
#[derive(Clone, Debug)]
pub struct Config {
    /// The API generation.
    pub dialect: Dialect,
    /// Addresses of the service.
    pub endpoints: Endpoints,
    /// What opens it.
    pub credentials: Credentials,
    /// The domain whose members and groups are listed (`domainId` of API 2.0). `None` leaves it to the service.
    pub domain_id: Option<u64>,
    /// How fast it may be called.
    pub rate: Rate,
    /// Folder for the small files through which processes share the rate limit. Made when missing.
    pub state_dir: PathBuf,
    /// Stable name of the tenant in `state_dir`: processes with the same name share one limit.
    pub tenant_key: String,
    /// PEM files with certificate authorities to trust beside the usual ones.
    pub extra_ca: Vec<PathBuf>,
    /// Whether `http:` addresses may be used for hosts other than this machine.
    pub allow_plain_http: bool,
    /// How often and how long a call is repeated.
    pub retry: RetryPolicy,
    /// How long to wait for the network.
    pub timeouts: Timeouts,
    /// Other addresses for the classic API, by the names in [`classic_templates`]. Empty: those of the documents.
    pub templates: BTreeMap<String, String>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// A configuration with the addresses and figures of the documents, without credentials.
    ///
    /// The rate is 240 requests a minute for API 2.0 (API 2.0 docs, JP/rate-limits, paid plans) with half of it
    /// from the thirtieth minute on, and 60 for the classic API (official forum, jp/posts/100157).
    pub fn new(dialect: Dialect, state_dir: PathBuf, tenant_key: impl Into<String>) -> Config {
        let (endpoints, rate) = match &dialect {
            Dialect::V2 => (Endpoints::v2(), 240),
            Dialect::Classic { .. } => (Endpoints::classic(), 60),
        };
        Config {
            rate: Rate::Plan {
                per_minute: rate,
                sustained_half: dialect == Dialect::V2,
            },
            dialect,
            endpoints,
            credentials: Credentials::default(),
            domain_id: None,
            state_dir,
            tenant_key: tenant_key.into(),
            extra_ca: Vec::new(),
            allow_plain_http: false,
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            templates: BTreeMap::new(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// The API generation of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// API 2.0.
    V2,
    /// The API-ID generation.
    Classic {
        /// The tenant's API ID, part of most addresses.
        api_id: String,
    },
}

/// Addresses of the service. They end without a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where calls go.
    pub api: String,
    /// Where tokens come from.
    pub auth: String,
    /// Where the classic API moves bytes; unused in API 2.0.
    pub file: Option<String>,
    /// Hosts that may be sent the token for bytes: `host`, `host:port`, or `*.suffix` for every host below a suffix.
    pub storage: Vec<String>,
}

impl Endpoints {
    /// The addresses of API 2.0 (API 2.0 docs, EN/api-call and EN/auth-oauth).
    pub fn v2() -> Endpoints {
        Endpoints {
            api: "https://www.worksapis.com/v1.0".to_owned(),
            auth: "https://auth.worksmobile.com/oauth2/v2.0".to_owned(),
            file: None,
            storage: default_storage(),
        }
    }

    /// The addresses of the classic API (classic docs, jp/document/8; the file host as public clients use it).
    pub fn classic() -> Endpoints {
        Endpoints {
            api: "https://apis.worksmobile.com".to_owned(),
            auth: "https://authapi.worksmobile.com".to_owned(),
            file: Some("https://file.drive.worksmobile.com".to_owned()),
            storage: default_storage(),
        }
    }
}

fn default_storage() -> Vec<String> {
    vec!["*.worksmobile.com".to_owned(), "*.worksapis.com".to_owned()]
}

/// How fast each API operation may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// The figure of a plan.
    Plan {
        /// Requests in any 60 seconds, for one operation.
        per_minute: u32,
        /// Whether an operation called for 30 minutes without a long rest drops to half the figure, as the service
        /// asks (API 2.0 docs, JP/rate-limits).
        sustained_half: bool,
    },
    /// This many requests in any 60 seconds, all the time.
    Fixed(u32),
    /// No pace of our own. An answer 429 still closes its operation for as long as the service says.
    Unlimited,
}

/// How often and how long a failed call is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a call is made in all, at least 1.
    pub tries: u32,
    /// How long after the first failure the last repeat may begin. Answers 429 have six times as long, since they
    /// say that the service is well.
    pub time: Duration,
    /// The pause after the first failure; each further one is twice as long. Jitter of up to as much is added.
    pub first_delay: Duration,
    /// The longest pause.
    pub max_delay: Duration,
    /// How long a host that has answered before is waited for, once no connection to it can be made. That uses up no try.
    pub outage: Duration,
}

impl Default for RetryPolicy {
    /// Six tries within five minutes, pauses from half a second to 30 seconds: longer than a restart of a gateway,
    /// shorter than the patience of a nightly window. A host that is away is waited for twice as long.
    fn default() -> RetryPolicy {
        RetryPolicy {
            tries: 6,
            time: Duration::from_secs(300),
            first_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            outage: Duration::from_secs(2 * 300),
        }
    }
}

/// How long to wait for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the head of an answer, counted from the last byte sent.
    pub headers: Duration,
    /// For the next byte of a body.
    pub idle: Duration,
    /// Bytes a second that a transfer must make, over each minute in which the network lets us wait; with fewer it is
    /// begun again. 0 is content with any.
    pub minimum_rate: u64,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(20),
            headers: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            minimum_rate: 1_000,
        }
    }
}

/// Tells the time, so that tests can make it pass.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The computer's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// An address that is none, or is not safe to send a token to.
    #[error("{name} '{value}' cannot be used: {reason}")]
    Address {
        /// Which address, for example `endpoints.api`.
        name: &'static str,
        /// The address.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate file that cannot be read.
    #[error("certificate file {path}: {reason}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A private key that cannot sign.
    #[error("the private key cannot be used: {0}")]
    PrivateKey(String),
    /// Nothing that could open the service.
    #[error("there is no credential: {0}")]
    NoCredential(String),
    /// An address template that has no such name.
    #[error("'{0}' names no address template of the classic API")]
    Template(String),
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
}

/// Connects to a tenant. Nothing is sent before the first call.
///
/// # Errors
///
/// When an address, a certificate, a key or the set of credentials cannot work whatever the service says.
pub fn connect(config: Config, monitor: Arc<dyn Monitor>) -> Result<Arc<dyn Drive>, ConnectError> {
    let client = Arc::new(http::Client::new(&config, monitor)?);
    Ok(match &config.dialect {
        Dialect::V2 => Arc::new(v2::Tenant::new(client, &config)),
        Dialect::Classic { api_id } => Arc::new(classic::Tenant::new(client, &config, api_id.clone())?),
    })
}

/// The names and defaults of the classic API's address templates, for [`Config::templates`].
pub fn classic_templates() -> &'static [(&'static str, &'static str)] {
    classic::addresses::TEMPLATES
}
