//! A person's login: the address for the browser, and what comes back from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::reference::Resolver;
use super::{Host, LoadError, UnresolvedReference, connect, load};
use crate::api::{self, Config};
use crate::job::{self, Api, Face};
use crate::monitor::Silent;

/// Where the login page comes back to where the tenant file does not say.
const REDIRECT: &str = "http://localhost:9876/callback";

/// Why a login cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The tenant file is wrong.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A text or secret of the tenant file cannot be had.
    #[error(transparent)]
    Reference(#[from] UnresolvedReference),
    /// The tenant file cannot be used.
    #[error(transparent)]
    Unusable(super::Error),
    /// Nobody can log in to a simulated tenant.
    #[error("a simulated tenant needs no login")]
    Simulated,
    /// Jobs of this tenant act through a service account, and would not look for the login.
    #[error(
        "this tenant file has a service account and names no token store, so that jobs would not find the login"
    )]
    NoStore,
    /// What the login page sent is not what it should be.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The service gives no tokens.
    #[error(transparent)]
    Exchange(#[from] api::login::LoginError),
}

/// What is wrong with what came back from the login page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The person or the service said no.
    #[error("the login page said no: {0}")]
    Refused(String),
    /// It is not the answer to this login.
    #[error("the answer does not belong to this login: its state is {0}")]
    State(&'static str),
    /// There is no code in it.
    #[error("there is no code in the answer")]
    NoCode,
}

/// A login that has begun.
#[derive(Debug)]
pub struct Login {
    config: Config,
    redirect: String,
    state: String,
    address: String,
    store: PathBuf,
}

/// Where the tokens of a login are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// The token store.
    pub store: PathBuf,
    /// When the refresh token ends, where there is one.
    pub ends: Option<Timestamp>,
}

/// Begins a login for the tenant file at `path`. Nothing is sent yet.
///
/// # Errors
/// When the tenant file cannot be used for a login.
pub async fn login(path: &Path, host: &Host) -> Result<Login, LoginError> {
    let mut file = load::load_tenant(path)?;
    let auth = &mut file.tenant.auth;
    if file.tenant.api == Api::Simulator {
        return Err(LoginError::Simulated);
    }
    if auth.service_account.is_some() && auth.token_store.is_none() && auth.refresh_token.is_none() {
        return Err(LoginError::NoStore);
    }
    // A login is there to get these; they need not be there yet.
    auth.token = None;
    auth.refresh_token = None;
    auth.service_account = None;
    auth.private_key = None;
    auth.server_id = None;
    auth.delegate = false;
    let resolver = Resolver {
        host,
        base: &file.base,
    };
    let redirect = resolver
        .option("auth.redirect-uri", file.tenant.auth.redirect_uri.as_ref())
        .await?
        .unwrap_or_else(|| REDIRECT.to_owned());
    let login_page = resolver
        .text("endpoints.login", &file.tenant.endpoints.login)
        .await?;
    let limits = job::Limits::default();
    let mut config = connect::config(&file, &limits, host)
        .await
        .map_err(LoginError::Unusable)?;
    // A code is good once: what may have been taken is not sent again.
    config.retry.tries = 1;
    let store = config
        .credentials
        .token_store
        .clone()
        .ok_or(api::login::LoginError::Missing("token-store"))?;
    let state = api::login::new_state()?;
    let mut page = config.clone();
    if file.tenant.dialect() == Face::V2 {
        page.endpoints.auth = login_page;
    }
    let address = api::login::authorize_address(&page, &redirect, &state)?;
    Ok(Login {
        config,
        redirect,
        state,
        address,
        store,
    })
}

impl Login {
    /// The address to open in a browser.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where the login page comes back to.
    pub fn redirect(&self) -> &str {
        &self.redirect
    }

    /// The code in the address that the login page came back to.
    ///
    /// # Errors
    /// When the page said no, or the address does not belong to this login.
    pub fn code_in(&self, address: &str) -> Result<String, AnswerError> {
        code_in(address, &self.state)
    }

    /// The code in what a person pasted: the whole address, or the code alone.
    ///
    /// # Errors
    /// As [`Login::code_in`].
    pub fn code_pasted(&self, text: &str) -> Result<String, AnswerError> {
        let text = text.trim();
        if text.contains("code=") || text.contains("error=") || text.contains("://") {
            return self.code_in(text);
        }
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(AnswerError::NoCode);
        }
        Ok(if text.contains('%') {
            decoded(text)
        } else {
            text.to_owned()
        })
    }

    /// Exchanges the code for tokens, once, and keeps them in the token store.
    ///
    /// # Errors
    /// When the service does not take the code, or the tokens cannot be kept.
    pub async fn finish(self, code: &str) -> Result<LoggedIn, LoginError> {
        let config = self.config.clone();
        api::login::exchange(config, Arc::new(Silent), &self.redirect, code).await?;
        Ok(LoggedIn {
            ends: api::refresh_token_expires(&self.config),
            store: self.store,
        })
    }
}

fn code_in(address: &str, state: &str) -> Result<String, AnswerError> {
    let query = address.split_once('?').map_or(address, |(_, query)| query);
    let query = query.split('#').next().unwrap_or("");
    let value = |wanted: &str| {
        query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (name == wanted)
                .then(|| decoded(value))
                .filter(|value| !value.is_empty())
        })
    };
    match value("state") {
        Some(found) if found == state => {}
        Some(_) => return Err(AnswerError::State("another one")),
        None => return Err(AnswerError::State("missing")),
    }
    if let Some(error) = value("error") {
        let more = value("error_description").map_or(String::new(), |more| format!(" ({more})"));
        return Err(AnswerError::Refused(format!("{error}{more}")));
    }
    value("code").ok_or(AnswerError::NoCode)
}

/// A value of a query, with `+` and percent signs worked out. What is no such code stands as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_this_login_gives_a_code() {
        let base = "http://localhost:9876/callback";
        for (address, found) in [
            (format!("{base}?code=a%2Fb%3D&state=s1"), Ok("a/b=".to_owned())),
            ("state=s1&code=x".to_owned(), Ok("x".to_owned())),
            (format!("{base}?code=x&state=s1#_"), Ok("x".to_owned())),
            (
                format!("{base}?code=x&state=s2"),
                Err(AnswerError::State("another one")),
            ),
            (format!("{base}?code=x"), Err(AnswerError::State("missing"))),
            (
                format!("{base}?code=x&state="),
                Err(AnswerError::State("missing")),
            ),
            (format!("{base}?state=s1"), Err(AnswerError::NoCode)),
            (
                format!("{base}?error=access_denied&error_description=not+now&state=s1"),
                Err(AnswerError::Refused("access_denied (not now)".to_owned())),
            ),
            // A refusal of somebody else is nothing to believe either.
            (
                format!("{base}?error=access_denied"),
                Err(AnswerError::State("missing")),
            ),
        ] {
            assert_eq!(code_in(&address, "s1"), found, "{address}");
        }
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }
}
