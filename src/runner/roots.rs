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

/// The roots of all scopes, each drive once. A scope whose list of roots cannot be had is a refused root of its own.
pub(super) async fn find_roots(session: &Session, drive: &Arc<dyn Drive>) -> Result<Vec<NewRoot>, Error> {
    let job = &session.loaded.job;
    let excluded = excluded(session, drive).await?;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for scope in &job.drives {
        for root in roots_of(drive, scope).await? {
            let id = root.entry.drive.clone();
            if excluded.contains(&id) || !seen.insert(id.clone()) {
                continue;
            }
            let state = match &root.access {
                Access::Readable => DriveState::Started,
                Access::Refused { reason, message } => {
                    session.monitor.count(Counter::Failures, 1);
                    let message = format!("it cannot be read ({reason}): {message}");
                    session.monitor.problem(id.as_str(), &message);
                    DriveState::Refused
                }
            };
            session.monitor.drive(&id, state);
            found.push(NewRoot {
                local: LocalPath::of_drive(&id).as_str().to_owned(),
                root,
            });
        }
    }
    Ok(found)
}

/// The drives that `exclude-drives` names: by word, and for patterns and members by what they stand for.
async fn excluded(session: &Session, drive: &Arc<dyn Drive>) -> Result<HashSet<DriveId>, Error> {
    let mut excluded = HashSet::new();
    for scope in &session.loaded.job.exclude_drives {
        excluded.insert(DriveId::new(scope.to_string()));
        if matches!(
            scope,
            Scope::Users(_) | Scope::User(_) | Scope::SharedDrives(_) | Scope::Groups(_)
        ) {
            excluded.extend(
                roots_of(drive, scope)
                    .await?
                    .into_iter()
                    .map(|root| root.entry.drive),
            );
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
    let word = scope.to_string();
    Root {
        entry: Entry::root(DriveId::new(word.as_str()), FileId::new(FileId::ROOT)),
        name: word,
        quota: None,
        access: Access::Refused {
            reason: error.kind.code().to_owned(),
            message: error.to_string(),
        },
    }
}
