//! The parts of `drivejob login`: the address to open in a browser, and what to do with the code that comes back.

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::grant::{OPERATION, granted, store_error};
use super::store::{Held, Stored};
use crate::api::classic::addresses;
use crate::api::http::{Client, Url, Work, address};
use crate::api::{Config, ConnectError, Dialect};
use crate::drive::{Error, ErrorKind};
use crate::monitor::Monitor;

/// The operation name of the classic API's service token.
const SERVICE_TOKEN: &str = "classic.service-token";
/// Scopes to ask for where the tenant names none: all of Drive, and the directory to read.
const SCOPE: &str = "file user.read group.read directory.read";

/// A login that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The configuration lacks something.
    #[error("a login needs {0}")]
    Missing(&'static str),
    /// The configuration cannot work.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The service, or the token store, refused.
    #[error(transparent)]
    Refused(#[from] Error),
}

/// A text that nobody can guess, to be sent along and compared with what comes back.
pub fn new_state() -> Result<String, LoginError> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        Error::new(
            ErrorKind::Unavailable { retry_after: None },
            OPERATION,
            "the login",
            "the system gives no random numbers",
        )
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The address to open in a browser. `redirect` must be one that is registered for the app, letter by letter
/// (API 2.0 docs, EN/auth-oauth; classic docs, jp/document/1002002).
pub fn authorize_address(config: &Config, redirect: &str, state: &str) -> Result<String, LoginError> {
    let credentials = &config.credentials;
    let mut query = Vec::new();
    let base = match &config.dialect {
        Dialect::V2 => {
            let client = credentials.client_id.as_deref();
            query.push(("client_id", client.ok_or(LoginError::Missing("client-id"))?));
            query.push(("redirect_uri", redirect));
            query.push(("scope", credentials.scope.as_deref().unwrap_or(SCOPE)));
            query.push(("response_type", "code"));
            query.push(("state", state));
            format!("{}/authorize", config.endpoints.auth.trim_end_matches('/'))
        }
        Dialect::Classic { .. } => {
            let key = credentials.consumer_key.as_ref();
            let key = key.ok_or(LoginError::Missing("consumer-key"))?;
            query.push(("client_id", key.reveal()));
            query.push(("redirect_uri", redirect));
            query.push(("state", state));
            addresses::auth(config, "authorize")?
        }
    };
    if let Some(domain) = &credentials.domain {
        query.push(("domain", domain));
    }
    let url = address::with_query(&base, &query).ok_or_else(|| ConnectError::Address {
        name: "endpoints.auth",
        value: base,
        reason: "it is no address".to_owned(),
    })?;
    Ok(url.to_string())
}

/// Exchanges the code for tokens and puts them in the token store. The code is good for ten minutes and once.
pub async fn exchange(
    mut config: Config,
    monitor: Arc<dyn Monitor>,
    redirect: &str,
    code: &str,
) -> Result<(), LoginError> {
    let store = config
        .credentials
        .token_store
        .clone()
        .ok_or(LoginError::Missing("token-store"))?;
    let credentials = &config.credentials;
    let mut form = Vec::new();
    let (operation, base) = match &config.dialect {
        Dialect::V2 => {
            let id = credentials.client_id.clone();
            let secret = credentials.client_secret.as_ref();
            form.push(("grant_type", "authorization_code".to_owned()));
            form.push(("code", code.to_owned()));
            form.push(("client_id", id.ok_or(LoginError::Missing("client-id"))?));
            form.push((
                "client_secret",
                secret
                    .ok_or(LoginError::Missing("client-secret"))?
                    .reveal()
                    .to_owned(),
            ));
            form.push(("redirect_uri", redirect.to_owned()));
            let base = format!("{}/token", config.endpoints.auth.trim_end_matches('/'));
            (OPERATION, base)
        }
        Dialect::Classic { .. } => {
            let key = credentials.consumer_key.as_ref();
            let key = key.ok_or(LoginError::Missing("consumer-key"))?;
            form.push(("client_id", key.reveal().to_owned()));
            form.push(("code", code.to_owned()));
            (SERVICE_TOKEN, addresses::auth(&config, "service-token")?)
        }
    };
    if let Some(domain) = &credentials.domain {
        form.push(("domain", domain.clone()));
    }
    let url = Url::parse(&base).map_err(|error| ConnectError::Address {
        name: "endpoints.auth",
        value: base,
        reason: error.to_string(),
    })?;
    // The login's own client needs no other credential than the store it is about to fill.
    config.credentials.private_key = None;
    config.credentials.refresh_token = None;
    let client = Arc::new(Client::new(&config, monitor)?);
    let work = Work {
        operation,
        subject: "the login".to_owned(),
    };
    let answer = client.ask_for_token(work, url, form).await.map_err(Error::from)?;
    let token = granted(&answer, operation)?;
    let now = config.clock.now();
    let refresh = answer.get("refresh_token").and_then(|token| token.as_str());
    let refresh = refresh.filter(|token| !token.is_empty());
    let stored = Stored {
        refresh_token: refresh.map(str::to_owned),
        stored_at: refresh.map(|_| now),
        access_token: Some(token.text.reveal().to_owned()),
        expires_at: token.lifetime.and_then(|time| now.checked_add(time).ok()),
    };
    let held = Held::lock(&store)
        .await
        .map_err(|error| store_error(&store, error))?;
    held.write(&stored).map_err(|error| store_error(&store, error))?;
    Ok(())
}
