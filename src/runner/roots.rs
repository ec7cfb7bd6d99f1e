//! From the scope words of a job to the drives that are walked.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Error, Session};
use crate::archive::LocalPath;
use crate::drive::{self, Drive, ErrorKind};
use crate::entry::{Access, Entry, Root, Scope};
use crate::id::{DriveId, FileId};
use crate::ledger::NewRoot;
use crate::monitor::{Counter, DriveState};

/// What the scope words of a job stand for.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Each drive once.
    pub(super) roots: Vec<NewRoot>,
    /// Words that stand for no drive.
    pub(super) warnings: Vec<String>,
}

/// The roots of all scopes, each drive once. A scope whose list of roots cannot be had is a refused root of its own, and
/// so is every scope of a job that finds no drive at all: such a run must not look complete.
pub(super) async fn find_roots(session: &Session, drive: &Arc<dyn Drive>) -> Result<Found, Error> {
    let job = &session.loaded.job;
    let excluded = excluded(session, drive).await?;
    let mut seen = Drives::default();
    let mut listed = Vec::new();
    let mut warnings = Vec::new();
    for scope in &job.drives {
        let roots = roots_of(drive, scope).await?;
        if roots.is_empty() {
            warnings.push(format!("no drive answers to '{scope}'"));
        }
        for root in roots {
            if !excluded.has(&root) && !seen.has(&root) {
                seen.add(&root);
                listed.push(root);
            }
        }
    }
    if listed.is_empty() {
        let nothing = |scope: &Scope| {
            let message =
                "no drive answers to this word, or all are excluded, so that the job has none at all";
            refused_root(scope, ErrorKind::NotFound.code(), message.to_owned())
        };
        listed.extend(job.drives.iter().map(nothing));
    }
    let roots = listed.into_iter().map(|root| tell(session, root)).collect();
    Ok(Found { roots, warnings })
}

/// Tells the monitor of a root, and finds its place in a snapshot.
fn tell(session: &Session, root: Root) -> NewRoot {
    let id = &root.entry.drive;
    let state = match &root.access {
        Access::Readable => DriveState::Started,
        Access::Refused { reason, message } => {
            session.monitor.count(Counter::Failures, 1);
            let message = format!("it cannot be read ({reason}): {message}");
            session.monitor.problem(id.as_str(), &message);
            DriveState::Refused
        }
    };
    session.monitor.drive(id, state);
    NewRoot {
        local: LocalPath::of_drive(id).as_str().to_owned(),
        root,
    }
}

/// Drives, told by their word. A member's is the same one by id and by mail.
#[derive(Debug, Default)]
struct Drives {
    words: HashSet<DriveId>,
    /// In small letters, since mail addresses know no case.
    members: HashSet<String>,
}

impl Drives {
    fn add(&mut self, root: &Root) {
        self.words.insert(root.entry.drive.clone());
        self.members.extend(member_names(root).into_iter().flatten());
    }

    fn has(&self, root: &Root) -> bool {
        let mut names = member_names(root).into_iter().flatten();
        self.words.contains(&root.entry.drive) || names.any(|name| self.members.contains(&name))
    }
}

/// The id and the mail of the member whose drive it is; nothing for other drives.
fn member_names(root: &Root) -> [Option<String>; 2] {
    let id = root.entry.drive.as_str().strip_prefix("users/");
    match id.filter(|id| !id.contains('/')) {
        Some(id) => [Some(id.to_lowercase()), Some(root.name.to_lowercase())],
        None => [None, None],
    }
}

/// The drives that `exclude-drives` names: by word, and for patterns by what they stand for.
async fn excluded(session: &Session, drive: &Arc<dyn Drive>) -> Result<Drives, Error> {
    let mut excluded = Drives::default();
    for scope in &session.loaded.job.exclude_drives {
        excluded.words.insert(DriveId::new(scope.to_string()));
        match scope {
            Scope::User(member) => {
                excluded.members.insert(member.to_lowercase());
            }
            Scope::Users(_) | Scope::SharedDrives(_) | Scope::Groups(_) => {
                let roots = roots_of(drive, scope).await?;
                roots.iter().for_each(|root| excluded.add(root));
            }
            _ => {}
        }
    }
    Ok(excluded)
}

async fn roots_of(drive: &Arc<dyn Drive>, scope: &Scope) -> Result<Vec<Root>, Error> {
    match drive.roots(scope).await {
        Ok(roots) => Ok(roots),
        Err(error) if error.kind == ErrorKind::Unauthenticated => Err(error.into()),
        Err(error) => Ok(vec![refused_scope(scope, &error)]),
    }
}

fn refused_scope(scope: &Scope, error: &drive::Error) -> Root {
    refused_root(scope, error.kind.code(), error.to_string())
}

fn refused_root(scope: &Scope, reason: &str, message: String) -> Root {
    let word = scope.to_string();
    Root {
        entry: Entry::root(DriveId::new(word.as_str()), FileId::new(FileId::ROOT)),
        name: word,
        quota: None,
        access: Access::Refused {
            reason: reason.to_owned(),
            message,
        },
    }
}
