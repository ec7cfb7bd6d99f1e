//! The reconciliation of the final pass: both sides listed afresh and laid side by side.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Sides;
use crate::archive::LocalPath;
use crate::blocking::blocking;
use crate::drive::Drive;
use crate::entry::{Kind, Root};
use crate::id::DriveId;
use crate::ledger::{Ledger, ListedAs, NewRoot};
use crate::manifest::Outcome;
use crate::migrate::{self, Reconciliation};
use crate::runner::snapshot::place;
use crate::runner::{Error, Session};
use crate::walk::{self, Progress, walk};

/// Both sides as they were listed, and what is not the same.
pub(super) struct Compared {
    pub(super) source: Ledger,
    pub(super) target: Ledger,
    pub(super) found: Reconciliation,
}

/// Lists both sides afresh and lays them side by side; `None` when a stop came first.
pub(super) async fn compare(
    session: &Session,
    sides: &Sides<'_>,
    sources: Vec<NewRoot>,
    targets: HashMap<DriveId, Root>,
    pairs: &[(String, String)],
) -> Result<Option<Compared>, Error> {
    let targets: Vec<NewRoot> = targets
        .into_values()
        .map(|root| NewRoot {
            local: LocalPath::of_drive(&root.entry.drive).as_str().to_owned(),
            root,
        })
        .collect();
    let source = list(session, &sides.source, sides.state.join("source.sqlite"), sources);
    let target = list(session, &sides.target, sides.state.join("target.sqlite"), targets);
    let (source, target) = tokio::try_join!(source, target)?;
    if session.stop.is_draining() {
        return Ok(None);
    }
    let found = migrate::reconcile(&sides.journal, &source, &target, pairs, true).await?;
    let bom = session.loaded.job.bom;
    migrate::write_reconciliation(&sides.journal, &found, true, &sides.results, bom).await?;
    Ok(Some(Compared {
        source,
        target,
        found,
    }))
}

async fn list(
    session: &Session,
    drive: &Arc<dyn Drive>,
    path: PathBuf,
    roots: Vec<NewRoot>,
) -> Result<Ledger, Error> {
    let ledger = blocking(move || -> Result<Ledger, Error> {
        for end in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            match std::fs::remove_file(Path::new(&name)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Results {
                        path: name.into(),
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(Ledger::open(&path)?)
    })
    .await?;
    ledger.add_roots(roots).await?;
    let options = walk::Options {
        listings: session.loaded.job.limits.listings,
        classify: Arc::new(|entry, _| match entry.kind {
            Kind::Folder => ListedAs::Walk,
            Kind::File => ListedAs::Settled(Outcome::Listed, ""),
        }),
        place: Arc::new(place),
        folder_outcome: Outcome::Listed,
        clock: session.host.clock.clone(),
    };
    walk(
        Arc::clone(drive),
        ledger.clone(),
        options,
        Arc::clone(&session.monitor),
        Arc::new(Progress::default()),
        session.stop.clone(),
    )
    .await?;
    Ok(ledger)
}
