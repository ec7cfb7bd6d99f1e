//! Which credential serves which call: the one table of it.
//!
//! API 2.0 docs, EN/drive and EN/auth-jwt: a member's token opens Drive with that member's rights; a service account lists
//! members and groups but is refused on Drive; a delegated token acts as one member. There is none that sees everything.

use super::problem::{Fault, Problem};
use super::tenant::{Face, Tenant, Text};
use super::{Api, Job, JobKind};
use crate::entry::Scope;

/// What proves who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The token of one member: given directly, refreshed, or from `login`.
    Member,
    /// A token of the service account that acts as one member.
    Delegated,
    /// A token of the service account itself: directory calls only.
    ServiceAccount,
    /// A token of the classic API.
    Classic,
    /// The simulator inside the program gives its own.
    Simulator,
}

impl Credential {
    /// What to call it in a table for people.
    pub fn describe(self) -> &'static str {
        match self {
            Credential::Member => "member token",
            Credential::Delegated => "delegated token",
            Credential::ServiceAccount => "service account",
            Credential::Classic => "classic token",
            Credential::Simulator => "simulator",
        }
    }
}

/// One family of calls, and the credential that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// `drive`, `members` (the list of members) or `groups` (the list of groups).
    pub calls: &'static str,
    /// What serves it.
    pub credential: Credential,
}

/// What serves a scope with this tenant file.
///
/// # Errors
///
/// Why nothing does, as words that follow "found".
pub fn service(tenant: &Tenant, scope: &Scope) -> Result<Vec<Service>, &'static str> {
    match tenant.dialect() {
        Face::Classic => {
            let credential = match tenant.api {
                Api::Simulator => Credential::Simulator,
                Api::Classic | Api::V2 => Credential::Classic,
            };
            classic(scope).map(|()| vec![drive(credential)])
        }
        Face::V2 if matches!(scope, Scope::Key { .. }) => {
            Err("a folder of the classic API, which api = \"v2\" cannot address")
        }
        Face::V2 if tenant.api == Api::Simulator => Ok(vec![drive(Credential::Simulator)]),
        Face::V2 => v2(tenant, scope),
    }
}

/// The drives of a job that this tenant file cannot serve, with the reason. `file` is the job file, for the messages.
pub fn check_credentials(job: &Job, tenant: &Tenant, file: &str) -> Vec<Problem> {
    let problem = |key: String, found: String, expected: &str| Problem {
        file: file.to_owned(),
        line: None,
        column: None,
        key,
        fault: Fault::WrongValue,
        found,
        expected: expected.to_owned(),
    };
    // The drives of a restore are those of its snapshot, which need not be there any more.
    if matches!(job.kind, JobKind::Restore(_)) {
        return Vec::new();
    }
    job.drives
        .iter()
        .enumerate()
        .filter_map(|(index, scope)| {
            let reason = service(tenant, scope).err()?;
            Some(problem(
                format!("drives[{index}]"),
                format!("\"{scope}\", {reason}"),
                "drives that the tenant file's credentials can open",
            ))
        })
        .collect()
}

/// What is wrong with a job's target tenant. `file` is the job file, for the messages.
pub fn check_target(job: &Job, target: &Tenant, file: &str) -> Option<Problem> {
    let is_wrong = matches!(job.kind, JobKind::Migrate(_)) && target.dialect() == Face::Classic;
    is_wrong.then(|| Problem {
        file: file.to_owned(),
        line: None,
        column: None,
        key: "target".to_owned(),
        fault: Fault::WrongValue,
        found: "a tenant of the classic API, which keeps no modified times".to_owned(),
        expected: "a tenant file with api = \"v2\"".to_owned(),
    })
}

fn drive(credential: Credential) -> Service {
    Service {
        calls: "drive",
        credential,
    }
}

/// Classic API docs, 10080502: own drive and group folders; nothing else has an address.
fn classic(scope: &Scope) -> Result<(), &'static str> {
    match scope {
        Scope::Me | Scope::Key { .. } | Scope::Group(_) | Scope::Groups(_) => Ok(()),
        Scope::User(_) | Scope::Users(_) => {
            Err("a drive of another member, which the classic API cannot address")
        }
        Scope::SharedDrive(_) | Scope::SharedDrives(_) => {
            Err("a shared drive, which the classic API cannot address")
        }
        Scope::SharedFolders { .. } => {
            Err("a folder of another member, which the classic API cannot address")
        }
    }
}

fn v2(tenant: &Tenant, scope: &Scope) -> Result<Vec<Service>, &'static str> {
    let auth = &tenant.auth;
    let has_account = auth.service_account.is_some() && auth.private_key.is_some();
    let has_delegate = has_account && auth.delegate;
    let has_app = auth.client_id.is_some() && auth.client_secret.is_some();
    // An app without a service account is there to be logged in with; its token is then in the token store.
    let has_member = auth.token.is_some()
        || auth.refresh_token.is_some()
        || has_app && (auth.token_store.is_some() || !has_account);
    let own = if has_member {
        Ok(drive(Credential::Member))
    } else if has_delegate && auth.member.is_some() {
        Ok(drive(Credential::Delegated))
    } else if has_delegate {
        Err("but auth.member does not say which member to act as")
    } else if has_account {
        Err("but a service account cannot open Drive: log in as a member, or set delegate = true")
    } else {
        Err("but the tenant file has neither a token nor an app to log in with")
    };
    let of_member = |id: &str| {
        let is_own = match &auth.member {
            Some(Text::Plain(member)) => member.eq_ignore_ascii_case(id),
            Some(Text::Reference(_)) => true,
            None => false,
        };
        if has_delegate {
            Ok(drive(Credential::Delegated))
        } else if is_own {
            own
        } else {
            Err(
                "but a member's token opens that member's drive only: use \"me\", set auth.member, or set service-account, private-key and delegate = true",
            )
        }
    };
    let directory = |calls| {
        let credential = if has_account {
            Credential::ServiceAccount
        } else {
            Credential::Member
        };
        Service { calls, credential }
    };
    let of_members = || {
        if has_delegate {
            Ok(vec![directory("members"), drive(Credential::Delegated)])
        } else {
            Err(
                "but each member's drive needs a token that acts as that member: set service-account, private-key and delegate = true",
            )
        }
    };
    match scope {
        Scope::Me | Scope::SharedDrive(_) | Scope::SharedDrives(_) | Scope::Group(_) => Ok(vec![own?]),
        Scope::Groups(_) => Ok(vec![directory("groups"), own?]),
        Scope::User(id) => Ok(vec![of_member(id)?]),
        Scope::Users(_) => of_members(),
        Scope::SharedFolders { member, .. } if member == "me" => Ok(vec![own?]),
        Scope::SharedFolders { member, .. } if member.contains(['*', '?', '[', '{']) => of_members(),
        Scope::SharedFolders { member, .. } => Ok(vec![of_member(member)?]),
        Scope::Key { .. } => Err("a folder of the classic API, which api = \"v2\" cannot address"),
    }
}
