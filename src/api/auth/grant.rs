//! Gets tokens: from what was given, from the store, from a refresh token, or for a signed assertion.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::jwt::Signer;
use super::store::{Held, Stored};
use super::table::{Credential, classic, directory, each_member, member};
use super::{Bearer, Credentials, Token, margin};
use crate::api::classic::addresses;
use crate::api::http::{Client, Failed, Url, Work};
use crate::api::refusal::shown;
use crate::api::{Config, ConnectError, Dialect};
use crate::drive::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// The operation name of token requests in API 2.0.
pub(super) const OPERATION: &str = "oauth.token";
/// That of the classic API's server tokens.
const SERVER_TOKEN: &str = "classic.server-token";
/// The grant of signed assertions (RFC 7523).
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Scopes for the directory where the tenant names none (API 2.0 docs, EN/user-list and EN/group-list).
const DIRECTORY_SCOPE: &str = "user.read group.read";
/// Scopes for a member's drive where the tenant names none, as delegated apps ask for them.
const MEMBER_SCOPE: &str = "file user.read";
/// Lifetime of a token that came without one: the shorter of the two that can be chosen (API 2.0 docs, EN/auth-oauth).
const LIFETIME: Duration = Duration::from_secs(3600);

/// A token as it was granted.
#[derive(Debug)]
pub(super) struct Granted {
    pub text: Secret,
    /// `None` when nobody knows.
    pub lifetime: Option<Duration>,
}

/// How a tenant's tokens are got.
#[derive(Debug)]
pub(super) struct Grants {
    credentials: Credentials,
    is_classic: bool,
    signer: Option<Signer>,
    token_url: Url,
    /// Whether a token was granted for a member: then the app may ask for them.
    has_delegated: AtomicBool,
}

/// What a bearer is called in messages.
pub(super) fn subject(bearer: &Bearer) -> String {
    match bearer {
        Bearer::Member => "the member's token".to_owned(),
        Bearer::Delegated(mail) => format!("a token for {mail}"),
        Bearer::Directory => "the directory token".to_owned(),
    }
}

impl Grants {
    pub(super) fn new(config: &Config) -> std::result::Result<Grants, ConnectError> {
        let credentials = config.credentials.clone();
        let signer = match &credentials.private_key {
            Some(pem) => Some(Signer::new(pem).map_err(ConnectError::PrivateKey)?),
            None => None,
        };
        let is_classic = matches!(config.dialect, Dialect::Classic { .. });
        let found = if is_classic {
            classic(&credentials)
        } else {
            member(&credentials)
                .or(directory(&credentials))
                .or(each_member(&credentials))
        };
        let credential = found.map_err(|missing| ConnectError::NoCredential(missing.to_string()))?;
        let wants_client = matches!(credential, Credential::ServiceAccount | Credential::Delegated)
            || (!is_classic && credentials.refresh_token.is_some());
        if wants_client && (credentials.client_id.is_none() || credentials.client_secret.is_none()) {
            return Err(ConnectError::NoCredential(
                "asking for tokens takes a client id and a client secret".to_owned(),
            ));
        }
        let address = match &config.dialect {
            Dialect::V2 => format!("{}/token", config.endpoints.auth.trim_end_matches('/')),
            Dialect::Classic { .. } => addresses::auth(config, "server-token")?,
        };
        let token_url = Url::parse(&address).map_err(|error| ConnectError::Address {
            name: "endpoints.auth",
            value: address.clone(),
            reason: error.to_string(),
        })?;
        Ok(Grants {
            credentials,
            is_classic,
            signer,
            token_url,
            has_delegated: AtomicBool::new(false),
        })
    }

    /// The secrets that were given.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let given = &self.credentials;
        let all = [
            &given.client_secret,
            &given.refresh_token,
            &given.access_token,
            &given.private_key,
            &given.consumer_key,
        ];
        all.into_iter().flatten().cloned().collect()
    }

    /// The bearer whose token serves: a directory call is made with the member's token where there is no service
    /// account.
    pub(super) fn same_as<'a>(&self, bearer: &'a Bearer) -> &'a Bearer {
        match bearer {
            Bearer::Directory if !self.credentials.has_service_account() => &Bearer::Member,
            bearer => bearer,
        }
    }

    /// A token for a bearer, other than the one `before`, which is refused or at its end.
    pub(super) async fn token(
        &self,
        client: &Arc<Client>,
        bearer: &Bearer,
        before: Option<&Token>,
    ) -> Result<Granted> {
        if self.is_classic {
            return self.classic(client, before).await;
        }
        match bearer {
            Bearer::Member => self.member(client, before).await,
            Bearer::Delegated(mail) => self.assertion(client, bearer, Some(mail)).await,
            Bearer::Directory => self.assertion(client, bearer, None).await,
        }
    }

    async fn member(&self, client: &Arc<Client>, before: Option<&Token>) -> Result<Granted> {
        if let Some(given) = &self.credentials.access_token
            && before.is_none()
        {
            return Ok(Granted {
                text: given.clone(),
                lifetime: None,
            });
        }
        let refused = |message: &str| {
            Error::new(
                ErrorKind::Unauthenticated,
                OPERATION,
                subject(&Bearer::Member),
                message,
            )
        };
        let held = match &self.credentials.token_store {
            Some(path) => Some(hold(path).await?),
            None => None,
        };
        let stored = match &held {
            Some((held, path)) => held.read().map_err(|error| store_error(path, error))?,
            None => Stored::default(),
        };
        // Another process may have renewed it while we waited for the store.
        if let Some(granted) = still_good(&stored, before, client.clock().now()) {
            return Ok(granted);
        }
        let mut candidates: Vec<(Secret, Option<Timestamp>)> = stored
            .refresh()
            .map(|token| (token, stored.stored_at))
            .into_iter()
            .collect();
        if let Some(first) = &self.credentials.refresh_token
            && candidates
                .iter()
                .all(|(token, _)| token.reveal() != first.reveal())
        {
            candidates.push((first.clone(), None));
        }
        if candidates.is_empty() {
            return Err(match (&self.credentials.access_token, &held) {
                (Some(_), _) => refused("the given access token is refused and cannot be renewed"),
                (None, Some((_, path))) => refused(&format!(
                    "the token store {} holds no refresh token",
                    path.display()
                )),
                (None, None) => refused("no token was given, and none can be had"),
            });
        }
        let mut last = None;
        for (refresh, stored_at) in candidates {
            match self.refresh(client, &refresh).await {
                Ok(answer) => {
                    let rotated = answer.get("refresh_token").and_then(Value::as_str);
                    let rotated = rotated.filter(|token| !token.is_empty());
                    let granted = granted(&answer, OPERATION)?;
                    let now = client.clock().now();
                    let stored = Stored {
                        refresh_token: Some(rotated.unwrap_or(refresh.reveal()).to_owned()),
                        stored_at: match rotated {
                            Some(new) if new != refresh.reveal() => Some(now),
                            _ => stored_at.or(Some(now)),
                        },
                        access_token: Some(granted.text.reveal().to_owned()),
                        expires_at: granted.lifetime.and_then(|time| now.checked_add(time).ok()),
                    };
                    match &held {
                        // Before the new token is used: it may be the only one that is still good.
                        Some((held, path)) => {
                            held.write(&stored).map_err(|error| store_error(path, error))?;
                        }
                        None if rotated.is_some_and(|new| new != refresh.reveal()) => {
                            client.monitor().problem(
                                "refresh token",
                                "the service gave a new refresh token, and there is no token store to keep it",
                            );
                        }
                        None => {}
                    }
                    return Ok(granted);
                }
                Err(failed) if failed.error.kind == ErrorKind::Unauthenticated => {
                    last = Some(failed.error);
                }
                Err(failed) => return Err(failed.error),
            }
        }
        Err(last.unwrap_or_else(|| refused("no refresh token was accepted")))
    }

    async fn refresh(&self, client: &Arc<Client>, refresh: &Secret) -> std::result::Result<Value, Failed> {
        let mut form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh.reveal().to_owned()),
        ];
        form.extend(self.client_fields());
        let work = Work {
            operation: OPERATION,
            subject: subject(&Bearer::Member),
        };
        client.ask_for_token(work, self.token_url.clone(), form).await
    }

    async fn assertion(
        &self,
        client: &Arc<Client>,
        bearer: &Bearer,
        delegated: Option<&str>,
    ) -> Result<Granted> {
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(self.credentials.client_id));
        claims.insert("sub".to_owned(), json!(self.credentials.service_account));
        if let Some(mail) = delegated {
            claims.insert("delegated_user".to_owned(), json!(mail));
        }
        let scope = self.credentials.scope.clone().unwrap_or_else(|| {
            match delegated {
                Some(_) => MEMBER_SCOPE,
                None => DIRECTORY_SCOPE,
            }
            .to_owned()
        });
        let work = Work {
            operation: OPERATION,
            subject: subject(bearer),
        };
        let mut form = vec![
            ("assertion", self.signed(&work, claims, client)?),
            ("grant_type", JWT_BEARER.to_owned()),
            ("scope", scope),
        ];
        form.extend(self.client_fields());
        let answer = client
            .ask_for_token(work, self.token_url.clone(), form)
            .await
            .map_err(|failed| {
                // A refusal of one member's token is that member's affair; one of the app is everybody's.
                let of_the_app = failed.refusal.as_ref().is_some_and(|refusal| {
                    ["INVALID_CLIENT", "UNAUTHORIZED_CLIENT"]
                        .iter()
                        .any(|code| refusal.code_mentions(code))
                });
                let of_the_app = of_the_app && !self.has_delegated.load(Ordering::Relaxed);
                let mut error = failed.error;
                if delegated.is_some() && !of_the_app && error.kind == ErrorKind::Unauthenticated {
                    error.kind = ErrorKind::Denied;
                }
                error
            })?;
        let granted = granted(&answer, OPERATION)?;
        self.has_delegated
            .fetch_or(delegated.is_some(), Ordering::Relaxed);
        Ok(granted)
    }

    async fn classic(&self, client: &Arc<Client>, before: Option<&Token>) -> Result<Granted> {
        let refused = |message: String| {
            Error::new(
                ErrorKind::Unauthenticated,
                SERVER_TOKEN,
                subject(&Bearer::Member),
                message,
            )
        };
        if let Some(given) = &self.credentials.access_token {
            return match before {
                None => Ok(Granted {
                    text: given.clone(),
                    lifetime: None,
                }),
                Some(_) => Err(refused(
                    "the given access token is refused and cannot be renewed".to_owned(),
                )),
            };
        }
        if let Some(server) = self
            .credentials
            .server_id
            .as_ref()
            .filter(|_| self.signer.is_some())
        {
            let mut claims = Map::new();
            claims.insert("iss".to_owned(), json!(server));
            let work = Work {
                operation: SERVER_TOKEN,
                subject: "the server token".to_owned(),
            };
            let form = vec![
                ("grant_type", JWT_BEARER.to_owned()),
                ("assertion", self.signed(&work, claims, client)?),
            ];
            let answer = client.ask_for_token(work, self.token_url.clone(), form).await?;
            return granted(&answer, SERVER_TOKEN);
        }
        let Some(path) = &self.credentials.token_store else {
            return Err(refused("no token was given, and none can be had".to_owned()));
        };
        let stored = super::store::read(path)
            .map_err(|error| store_error(path, error))?
            .unwrap_or_default();
        still_good(&stored, before, client.clock().now()).ok_or_else(|| {
            refused(format!(
                "the service token in {} is missing, refused or at its end; it is had by a login only",
                path.display()
            ))
        })
    }

    fn signed(&self, work: &Work, claims: Map<String, Value>, client: &Client) -> Result<String> {
        let Some(signer) = &self.signer else {
            return Err(work.error(ErrorKind::Unauthenticated, "there is no private key"));
        };
        signer
            .sign(claims, client.clock().now())
            .map_err(|message| work.error(ErrorKind::Unauthenticated, message))
    }

    fn client_fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        let id = self.credentials.client_id.clone();
        let secret = self.credentials.client_secret.as_ref();
        let secret = secret.map(|secret| secret.reveal().to_owned());
        [("client_id", id), ("client_secret", secret)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// The stored access token, if it is not the one that was refused and lasts for more than the margin.
fn still_good(stored: &Stored, before: Option<&Token>, now: Timestamp) -> Option<Granted> {
    let text = Secret::new(stored.access_token.as_deref()?);
    if before.is_some_and(|token| token.text.reveal() == text.reveal()) {
        return None;
    }
    let left = Duration::try_from(stored.expires_at?.duration_since(now)).ok()?;
    (left > margin(LIFETIME)).then_some(Granted {
        text,
        lifetime: Some(left),
    })
}

/// Reads the answer of a token endpoint. The lifetime is a number or a text (API 2.0 docs, EN/auth-oauth), and its name
/// lacks an `s` in the classic API.
pub(super) fn granted(answer: &Value, operation: &'static str) -> Result<Granted> {
    let Some(text) = answer
        .get("access_token")
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
    else {
        // Some services refuse with a good status.
        let said = ["errorCode", "error", "errorMessage", "error_description"]
            .iter()
            .filter_map(|name| answer.get(*name)?.as_str())
            .map(shown)
            .collect::<Vec<_>>()
            .join(" ");
        let mut message = "the answer holds no access token".to_owned();
        if !said.is_empty() {
            message.push_str(": ");
            message.push_str(&said);
        }
        return Err(Error::new(
            ErrorKind::Unauthenticated,
            operation,
            "the token",
            message,
        ));
    };
    let seconds = ["expires_in", "expire_in"]
        .iter()
        .find_map(|name| answer.get(*name))
        .and_then(|value| match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        });
    Ok(Granted {
        text: Secret::new(text),
        lifetime: Some(seconds.map_or(LIFETIME, Duration::from_secs)),
    })
}

async fn hold(path: &Path) -> Result<(Held, PathBuf)> {
    match Held::lock(path).await {
        Ok(held) => Ok((held, path.to_owned())),
        Err(error) => Err(store_error(path, error)),
    }
}

pub(super) fn store_error(path: &Path, error: std::io::Error) -> Error {
    let mut wrong = Error::new(
        ErrorKind::Unauthenticated,
        OPERATION,
        format!("token store {}", path.display()),
        error.to_string(),
    );
    wrong.source = Some(Box::new(error));
    wrong
}
