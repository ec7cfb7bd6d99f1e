//! Credentials: who opens which call, and the tokens that are good now.
//!
//! Each bearer's token is renewed by one task at a time, whoever asks; the others wait for it. The task is detached, so
//! that a caller who gives up does not lose a refresh token that the service has already exchanged.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedMutexGuard;
use tokio_util::task::TaskTracker;

use super::http::{Client, HeaderName, HeaderValue};
use super::{Config, ConnectError, Dialect};
use crate::drive::{Error, ErrorKind, Result};
use crate::secret::Secret;

mod grant;
pub(super) mod jwt;
pub mod login;
mod store;
pub(super) mod table;
#[cfg(test)]
mod tests;

use grant::Grants;

/// What opens a tenant's service. What a tenant does not use stays `None`.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The app's client id.
    pub client_id: Option<String>,
    /// The app's client secret.
    pub client_secret: Option<Secret>,
    /// The first refresh token. Later ones lie in the token store.
    pub refresh_token: Option<Secret>,
    /// An access token given directly.
    pub access_token: Option<Secret>,
    /// File that keeps the tokens.
    pub token_store: Option<PathBuf>,
    /// The service account's address.
    pub service_account: Option<String>,
    /// RSA key of the service account or of the classic API's server, in PEM.
    pub private_key: Option<Secret>,
    /// Whether tokens that act as each member are minted for `users/` drives.
    pub delegate: bool,
    /// The member whom delegated tokens act as for `me`, shared drives and group folders, by id or mail. Of use only where
    /// no member has logged in.
    pub member: Option<String>,
    /// Scopes to ask for, separated by spaces.
    pub scope: Option<String>,
    /// The classic API's consumer key.
    pub consumer_key: Option<Secret>,
    /// The classic API's server id.
    pub server_id: Option<String>,
    /// The customer's domain, for tenants with single sign-on and for the classic login.
    pub domain: Option<String>,
}

impl Credentials {
    /// Whether there is a service account that can ask for tokens.
    pub fn has_service_account(&self) -> bool {
        self.service_account.is_some() && self.private_key.is_some()
    }

    /// Whether tokens can be minted that act as members.
    pub fn can_delegate(&self) -> bool {
        self.delegate && self.has_service_account()
    }
}

/// Days that a refresh token is good (API 2.0 docs, EN/auth-oauth).
const REFRESH_DAYS: i64 = 90;

/// When the refresh token in the token store ends: 90 days after it was stored. `None` without a store, when the store
/// tells no date, and for the classic API, whose refresh tokens are of no known use.
pub fn refresh_token_expires(config: &Config) -> Option<Timestamp> {
    if config.dialect != Dialect::V2 {
        return None;
    }
    let path = config.credentials.token_store.as_ref()?;
    let stored = store::read(path).ok()??;
    stored.refresh_token?;
    stored
        .stored_at?
        .checked_add(SignedDuration::from_hours(24 * REFRESH_DAYS))
        .ok()
}

/// Whose token opens a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bearer {
    /// The acting member; in the classic API, whatever token there is.
    Member,
    /// The member of this login mail, through a delegated app.
    Delegated(Arc<str>),
    /// Whoever may read the directory.
    Directory,
}

impl Bearer {
    /// What it means when the service refuses this bearer's token for good: that of one member closes that member's
    /// drive, that of the tenant closes everything.
    pub(super) fn refused_kind(&self) -> ErrorKind {
        match self {
            Bearer::Delegated(_) => ErrorKind::Denied,
            Bearer::Member | Bearer::Directory => ErrorKind::Unauthenticated,
        }
    }
}

/// Headers that open a call.
#[derive(Clone)]
pub(super) struct Authorization {
    /// The headers, marked as secrets.
    pub headers: Arc<[(HeaderName, HeaderValue)]>,
    /// Which renewal the token comes from.
    pub generation: u64,
}

/// A token that is good now.
#[derive(Clone, Debug)]
struct Token {
    text: Secret,
    generation: u64,
    /// When it is renewed without being refused first.
    renew_at: Option<Timestamp>,
    /// The headers that carry it, once they are made.
    headers: Option<Arc<[(HeaderName, HeaderValue)]>>,
}

/// Renewals of members' tokens that are under way in this process.
static RENEWALS: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Waits until no member's token is being renewed, but not longer than `patience`. A refresh token may be good once only:
/// were the program to end between the service's answer and the token store, the old token would be dead and the new one
/// with nobody.
pub async fn settle(patience: Duration) {
    RENEWALS.close();
    let settled = tokio::time::timeout(patience, RENEWALS.wait()).await;
    if settled.is_err() {
        tracing::warn!("a token was still being renewed when the run ended; it may be lost");
    }
}

/// What is known of one bearer.
#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    Good(Token),
    /// The service does not give a token; asked again after a while only.
    Refused {
        message: String,
        kind: ErrorKind,
        until: Timestamp,
    },
}

#[derive(Debug, Default)]
struct Slot {
    state: Arc<tokio::sync::Mutex<State>>,
    used: u64,
}

/// The tokens of one tenant.
#[derive(Debug)]
pub(super) struct Keys {
    grants: Arc<Grants>,
    slots: Mutex<HashMap<Bearer, Slot>>,
    /// Counts uses, to find the slot that was used longest ago.
    uses: AtomicU64,
    /// The newest tokens that were sent, at most [`KNOWN`]: what the service may repeat.
    sent: Mutex<VecDeque<Secret>>,
    consumer_key: Option<Secret>,
}

/// Tokens kept at most. Members are walked one after another, so that old ones are not needed again soon.
const SLOTS: usize = 1_000;
/// Tokens known at most. A renewed one may still be repeated by an answer to the one before.
const KNOWN: usize = 2 * SLOTS;
/// How long a refusal is believed before the service is asked again.
const REFUSED_FOR: SignedDuration = SignedDuration::from_secs(60);
/// A token is renewed this long before its end.
const MARGIN: Duration = Duration::from_secs(60);

impl Keys {
    pub(super) fn new(config: &Config) -> std::result::Result<Keys, ConnectError> {
        if matches!(config.dialect, Dialect::Classic { .. }) && config.credentials.consumer_key.is_none() {
            return Err(ConnectError::NoCredential(
                "the classic API wants a consumer key".to_owned(),
            ));
        }
        Ok(Keys {
            grants: Arc::new(Grants::new(config)?),
            slots: Mutex::default(),
            uses: AtomicU64::new(0),
            sent: Mutex::default(),
            consumer_key: config.credentials.consumer_key.clone(),
        })
    }

    /// The headers that open a call. When the token of generation `stale` was refused, it is renewed first, unless
    /// somebody else has done so.
    pub(super) async fn authorize(
        &self,
        client: &Arc<Client>,
        bearer: &Bearer,
        stale: Option<u64>,
    ) -> Result<Authorization> {
        // Where one token serves both, it is one token: it is renewed once.
        let bearer = self.grants.same_as(bearer);
        let state = self.state(bearer);
        let mut guard = state.lock_owned().await;
        let now = client.clock().now();
        match &mut *guard {
            State::Good(token)
                if Some(token.generation) != stale && token.renew_at.is_none_or(|time| now < time) =>
            {
                return self.headers(token);
            }
            State::Refused { message, kind, until } if now < *until => {
                return Err(Error::new(
                    kind.clone(),
                    grant::OPERATION,
                    grant::subject(bearer),
                    message.clone(),
                ));
            }
            _ => {}
        }
        let grants = Arc::clone(&self.grants);
        let owned = bearer.clone();
        let client = Arc::clone(client);
        let renewing = async move { renew(&grants, &client, &owned, &mut guard).await };
        let renewal = match bearer {
            Bearer::Member => RENEWALS.spawn(renewing),
            Bearer::Delegated(_) | Bearer::Directory => tokio::spawn(renewing),
        };
        let mut token = renewal.await.map_err(|_| {
            Error::new(
                ErrorKind::Cancelled,
                grant::OPERATION,
                grant::subject(bearer),
                "the program ended",
            )
        })??;
        self.headers(&mut token)
    }

    fn headers(&self, token: &mut Token) -> Result<Authorization> {
        if let Some(headers) = &token.headers {
            return Ok(Authorization {
                headers: Arc::clone(headers),
                generation: token.generation,
            });
        }
        let wrong = || {
            Error::new(
                ErrorKind::Unauthenticated,
                grant::OPERATION,
                "the token",
                "a token or key holds characters that no header can carry",
            )
        };
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", token.text.reveal())).map_err(|_| wrong())?;
        value.set_sensitive(true);
        let mut headers = vec![(HeaderName::from_static("authorization"), value)];
        if let Some(key) = &self.consumer_key {
            let mut value = HeaderValue::from_str(key.reveal()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.push((HeaderName::from_static("consumerkey"), value));
        }
        let headers: Arc<[_]> = headers.into();
        token.headers = Some(Arc::clone(&headers));
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() == KNOWN {
            sent.pop_front();
        }
        sent.push_back(token.text.clone());
        Ok(Authorization {
            headers,
            generation: token.generation,
        })
    }

    /// A text of the service without the secrets that we know: an error page may repeat what it was sent.
    pub(super) fn without_secrets(&self, text: Bytes) -> Bytes {
        let mut secrets = self.grants.secrets();
        secrets.extend(
            self.sent
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .cloned(),
        );
        without(text, secrets.iter().map(Secret::reveal))
    }

    fn state(&self, bearer: &Bearer) -> Arc<tokio::sync::Mutex<State>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= SLOTS && !slots.contains_key(bearer) {
            let oldest = slots
                .iter()
                .min_by_key(|(_, slot)| slot.used)
                .map(|(bearer, _)| bearer.clone());
            if let Some(oldest) = oldest {
                slots.remove(&oldest);
            }
        }
        let slot = slots.entry(bearer.clone()).or_default();
        slot.used = self.uses.fetch_add(1, Ordering::Relaxed);
        Arc::clone(&slot.state)
    }
}

/// Shorter words stand in texts by chance; no secret of the service is as short.
const SHORTEST_SECRET: usize = 8;

/// A text in which the secrets are hidden.
pub(super) fn without<'a>(text: Bytes, secrets: impl Iterator<Item = &'a str>) -> Bytes {
    let mut hidden: Option<String> = None;
    for secret in secrets.filter(|secret| secret.len() >= SHORTEST_SECRET) {
        let whole = hidden.get_or_insert_with(|| String::from_utf8_lossy(&text).into_owned());
        if whole.contains(secret) {
            *whole = whole.replace(secret, "(secret)");
        }
    }
    hidden.map_or(text, Bytes::from)
}

/// Gets a token for a bearer and keeps it.
async fn renew(
    grants: &Arc<Grants>,
    client: &Arc<Client>,
    bearer: &Bearer,
    guard: &mut OwnedMutexGuard<State>,
) -> Result<Token> {
    let before = match &**guard {
        State::Good(token) => Some(token.clone()),
        _ => None,
    };
    match grants.token(client, bearer, before.as_ref()).await {
        Ok(granted) => {
            let now = client.clock().now();
            let token = Token {
                renew_at: granted
                    .lifetime
                    .and_then(|time| now.checked_add(time.saturating_sub(margin(time))).ok()),
                text: granted.text,
                headers: None,
                generation: before.map_or(1, |token| token.generation + 1),
            };
            **guard = State::Good(token.clone());
            Ok(token)
        }
        Err(error) => {
            if matches!(error.kind, ErrorKind::Unauthenticated | ErrorKind::Denied) {
                let now = client.clock().now();
                **guard = State::Refused {
                    message: error.message.clone(),
                    kind: error.kind.clone(),
                    until: now.checked_add(REFUSED_FOR).unwrap_or(now),
                };
            }
            Err(error)
        }
    }
}

/// A minute, or a tenth of the lifetime where that is less.
fn margin(lifetime: Duration) -> Duration {
    MARGIN.min(lifetime / 10)
}
