//! From the scope words of a job to the drives that are walked.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::{Error, Session};
use crate::archive::LocalPath;
use crate::drive::{self, Drive, ErrorKind};
use crate::entry::{Access, Entry, Root, Scope};
use crate::id::{DriveId, Family, FileId};
use crate::job::Depth;
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
    if job.depth.contains(&Depth::Quota) {
        add_quotas(session, drive, &mut found).await?;
    }
    Ok(found)
}

/// Asks what drives hold whose roots came from a list that does not tell: one call for each.
async fn add_quotas(session: &Session, drive: &Arc<dyn Drive>, found: &mut [NewRoot]) -> Result<(), Error> {
    let untold = found.iter_mut().filter(|new| {
        let family = new.root.entry.drive.family();
        new.root.quota.is_none()
            && new.root.access == Access::Readable
            && !matches!(family, Family::SharedFolder | Family::Key)
    });
    let asked = stream::iter(untold).map(|new| async move {
        let id = new.root.entry.drive.clone();
        let Ok(scope) = id.as_str().parse() else {
            return Ok(());
        };
        match drive.roots(&scope).await {
            Ok(roots) => new.root.quota = roots.into_iter().find_map(|root| root.quota),
            Err(error) if error.kind == ErrorKind::Unauthenticated => return Err(Error::from(error)),
            Err(error) => {
                let message = format!("what it holds is not known: {error}");
                session.monitor.problem(id.as_str(), &message);
            }
        }
        Ok(())
    });
    let at_once = session.loaded.job.limits.listings;
    asked
        .buffer_unordered(at_once)
        .try_for_each(|()| async { Ok(()) })
        .await
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
