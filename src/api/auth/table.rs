//! The credential table: which credential serves which calls, told in one place for plans, checks and calls alike.

use std::fmt;

use super::Credentials;
use crate::api::{Config, Dialect};
use crate::entry::Scope;

/// What a credential is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Lists of members, groups and shared drives.
    Directory,
    /// The files of a drive.
    Files,
}

/// What opens a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The access token that was given. It cannot be renewed.
    AccessToken,
    /// Access tokens of a member, renewed through a refresh token.
    RefreshToken,
    /// A token of a service account.
    ServiceAccount,
    /// Tokens that act as each member, through a delegated app.
    Delegated,
    /// The classic API's server token.
    ServerToken,
    /// The classic API's service token, kept by `drivejob login`.
    ServiceToken,
}

impl fmt::Display for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Credential::AccessToken => "the access token that was given",
            Credential::RefreshToken => "a member's token, renewed by its refresh token",
            Credential::ServiceAccount => "the service account's token",
            Credential::Delegated => "a token that acts as each member",
            Credential::ServerToken => "the server token",
            Credential::ServiceToken => "the service token of the last login",
        })
    }
}

/// Why no credential serves a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoCredential {
    /// Only a service account is there, which Drive refuses (API 2.0 docs, EN/auth-jwt).
    #[error("the token of a service account cannot open Drive; a member's token is needed, or delegation")]
    ServiceAccountOnly,
    /// Delegated tokens act as one member each; this drive belongs to none.
    #[error("this needs the token of one member, and nothing says which member to act as")]
    MemberNeeded,
    /// There is no token at all.
    #[error("no token was given, and none can be had")]
    Missing,
    /// The API generation has no such drives.
    #[error("the classic API offers no such drives")]
    NotOffered,
}

/// One row of the credential table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialRow {
    /// What is asked for.
    pub purpose: Purpose,
    /// What opens it, or why nothing does.
    pub by: Result<Credential, NoCredential>,
}

/// Which credential serves the calls of a scope. A scope that needs no directory has no row for it.
pub fn credential_table(config: &Config, scope: &Scope) -> Vec<CredentialRow> {
    let credentials = &config.credentials;
    let row = |purpose, by| CredentialRow { purpose, by };
    if let Dialect::Classic { .. } = config.dialect {
        let by = match scope {
            Scope::Me | Scope::Key { .. } | Scope::Group(_) | Scope::Groups(_) => classic(credentials),
            _ => Err(NoCredential::NotOffered),
        };
        return vec![row(Purpose::Files, by)];
    }
    let directory = row(Purpose::Directory, directory(credentials));
    let member = row(Purpose::Files, member(credentials));
    let each = row(Purpose::Files, each_member(credentials));
    match scope {
        Scope::Me | Scope::SharedDrive(_) | Scope::SharedDrives(_) | Scope::Group(_) => {
            vec![member]
        }
        Scope::User(_) => vec![each],
        Scope::Users(_) => vec![directory, each],
        Scope::Groups(_) => vec![directory, member],
        Scope::SharedFolders { member: name, .. } if name == "me" => vec![member],
        Scope::SharedFolders { .. } => vec![each],
        Scope::Key { .. } => vec![row(Purpose::Files, Err(NoCredential::NotOffered))],
    }
}

/// The token of the acting member.
pub(in crate::api) fn member(credentials: &Credentials) -> Result<Credential, NoCredential> {
    if credentials.access_token.is_some() {
        Ok(Credential::AccessToken)
    } else if credentials.refresh_token.is_some() || credentials.token_store.is_some() {
        Ok(Credential::RefreshToken)
    } else if credentials.can_delegate() && credentials.member.is_some() {
        Ok(Credential::Delegated)
    } else if credentials.can_delegate() {
        Err(NoCredential::MemberNeeded)
    } else if credentials.has_service_account() {
        Err(NoCredential::ServiceAccountOnly)
    } else {
        Err(NoCredential::Missing)
    }
}

/// The token for a named member's drive.
pub(in crate::api) fn each_member(credentials: &Credentials) -> Result<Credential, NoCredential> {
    if credentials.can_delegate() {
        Ok(Credential::Delegated)
    } else {
        member(credentials)
    }
}

/// The token for directory lists.
pub(in crate::api) fn directory(credentials: &Credentials) -> Result<Credential, NoCredential> {
    if credentials.has_service_account() {
        Ok(Credential::ServiceAccount)
    } else {
        member(credentials)
    }
}

/// The token of the classic API.
pub(in crate::api) fn classic(credentials: &Credentials) -> Result<Credential, NoCredential> {
    if credentials.access_token.is_some() {
        Ok(Credential::AccessToken)
    } else if credentials.server_id.is_some() && credentials.private_key.is_some() {
        Ok(Credential::ServerToken)
    } else if credentials.token_store.is_some() {
        Ok(Credential::ServiceToken)
    } else {
        Err(NoCredential::Missing)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn each_scope_has_its_credential() {
        use Credential::{AccessToken, Delegated, RefreshToken, ServiceAccount};
        use NoCredential::{MemberNeeded, Missing, NotOffered, ServiceAccountOnly};
        let secret = || Some(Secret::new("x"));
        let none = Credentials::default();
        let given = Credentials {
            access_token: secret(),
            ..none.clone()
        };
        let refresh = Credentials {
            refresh_token: secret(),
            ..none.clone()
        };
        let service = Credentials {
            service_account: Some("s".to_owned()),
            private_key: secret(),
            ..none.clone()
        };
        let delegated = Credentials {
            delegate: true,
            ..service.clone()
        };
        let both = Credentials {
            refresh_token: secret(),
            ..delegated.clone()
        };
        let acting = Credentials {
            member: Some("taro@example.com".to_owned()),
            ..delegated.clone()
        };
        type By = Result<Credential, NoCredential>;
        let table: [(&Credentials, &str, &[By]); 15] = [
            (&none, "me", &[Err(Missing)]),
            (&given, "me", &[Ok(AccessToken)]),
            (&refresh, "me", &[Ok(RefreshToken)]),
            (&service, "me", &[Err(ServiceAccountOnly)]),
            (&delegated, "me", &[Err(MemberNeeded)]),
            (&acting, "me", &[Ok(Delegated)]),
            (&acting, "groups/*", &[Ok(ServiceAccount), Ok(Delegated)]),
            (&refresh, "users/*", &[Ok(RefreshToken), Ok(RefreshToken)]),
            (
                &service,
                "users/*",
                &[Ok(ServiceAccount), Err(ServiceAccountOnly)],
            ),
            (&delegated, "users/*", &[Ok(ServiceAccount), Ok(Delegated)]),
            (&both, "users/taro", &[Ok(Delegated)]),
            (&both, "sharedrives/*", &[Ok(RefreshToken)]),
            (&both, "groups/*", &[Ok(ServiceAccount), Ok(RefreshToken)]),
            (&both, "users/u/sharedfolders/*", &[Ok(Delegated)]),
            (&given, "key:1/x", &[Err(NotOffered)]),
        ];
        for (credentials, scope, expected) in table {
            let mut config = Config::new(Dialect::V2, "state".into(), "tenant");
            config.credentials = credentials.clone();
            let rows = credential_table(&config, &scope.parse().unwrap());
            let by: Vec<By> = rows.iter().map(|row| row.by).collect();
            assert_eq!(by, expected, "{scope}");
        }
    }
}
