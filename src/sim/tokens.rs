//! Access tokens, refresh tokens and codes in force.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::content::mix;
use super::options::Options;
use super::world::World;

/// Bytes of noise in a token: those of the service are long.
const TOKEN_BYTES: u64 = 120;
/// Who acts with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    /// The member at this position.
    Member(usize),
    /// The app's service account, which Drive refuses.
    ServiceAccount,
}

impl Actor {
    pub(super) fn member(self) -> Option<usize> {
        match self {
            Self::Member(member) => Some(member),
            Self::ServiceAccount => None,
        }
    }
}

/// What an access token gives.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) actor: Actor,
    pub(super) scope: Arc<str>,
    pub(super) expires: i64,
}

impl Access {
    /// Tells whether the token has one of these scopes.
    pub(super) fn has_scope(&self, wanted: &[&str]) -> bool {
        self.scope.split([' ', ',']).any(|scope| wanted.contains(&scope))
    }
}

/// What a refresh token gives.
#[derive(Debug, Clone)]
pub(super) struct Refresh {
    pub(super) actor: Actor,
    pub(super) scope: Arc<str>,
    pub(super) expires: i64,
}

/// What an authorization code gives, once.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) member: usize,
    pub(super) scope: Arc<str>,
    pub(super) redirect_uri: String,
    pub(super) expires: i64,
}

/// All tokens and codes in force.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    access: RwLock<HashMap<String, Access>>,
    refresh: Mutex<HashMap<String, Refresh>>,
    codes: Mutex<HashMap<String, Code>>,
    made: AtomicU64,
}

impl Tokens {
    /// The tokens that the settings name.
    pub(super) fn new(options: &Options, world: &World, now: i64) -> Self {
        let tokens = Self::default();
        let scope: Arc<str> = options.scope.as_str().into();
        let login = world.member(&options.login_member).unwrap_or(0);
        for given in &options.tokens {
            let actor = match given.member.as_str() {
                "service-account" => Actor::ServiceAccount,
                "" => Actor::Member(login),
                name => Actor::Member(world.member(name).unwrap_or(usize::MAX)),
            };
            tokens.keep(given.token.clone(), actor, Arc::clone(&scope), i64::MAX);
        }
        if !options.refresh_token.is_empty() {
            let expires = now.saturating_add(options.refresh_token_seconds.saturating_mul(1_000));
            tokens.keep_refresh(
                options.refresh_token.clone(),
                Refresh {
                    actor: Actor::Member(login),
                    scope,
                    expires,
                },
            );
        }
        tokens
    }

    /// What a token gives at the time `now`.
    pub(super) fn find(&self, token: &str, now: i64) -> Option<Access> {
        let access = self.access.read().unwrap_or_else(PoisonError::into_inner);
        access.get(token).filter(|access| access.expires > now).cloned()
    }

    /// Keeps an access token until `expires`.
    pub(super) fn keep(&self, token: String, actor: Actor, scope: Arc<str>, expires: i64) {
        let mut access = self.access.write().unwrap_or_else(PoisonError::into_inner);
        access.insert(
            token,
            Access {
                actor,
                scope,
                expires,
            },
        );
    }

    /// Keeps a refresh token.
    pub(super) fn keep_refresh(&self, token: String, refresh: Refresh) {
        self.refreshes().insert(token, refresh);
    }

    /// The refresh tokens.
    pub(super) fn refreshes(&self) -> MutexGuard<'_, HashMap<String, Refresh>> {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The codes that have not been used.
    pub(super) fn codes(&self) -> MutexGuard<'_, HashMap<String, Code>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new text that was never given out.
    pub(super) fn make(&self, kind: &str) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let bytes: Vec<u8> = (0..TOKEN_BYTES / 8)
            .flat_map(|word| mix(mix(number) ^ word).to_le_bytes())
            .collect();
        format!("{kind}AAAB{}{number}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Ends every access token at once, as after a change of the app's secret.
    pub(super) fn end_all_access(&self) {
        self.access
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Ends an access token or refresh token.
    pub(super) fn revoke(&self, token: &str) {
        self.access
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(token);
        self.refreshes().remove(token);
    }
}
