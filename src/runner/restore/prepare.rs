//! The steps of a restore, known before the first is taken.

use std::sync::Arc;

use crate::archive::{self, Archive, Snapshot};
use crate::blocking::blocking;
use crate::entry::Kind;
use crate::filter::Filter;
use crate::id::SnapshotId;
use crate::job::{self, RestoreOptions, SnapshotChoice};
use crate::ledger::Ledger;
use crate::restore::{self, Selection};
use crate::runner::source::{Rows, SourceDrive, choose, drives_of, fits};
use crate::runner::target::{self, Target};
use crate::runner::{Error, Session};

/// A restore whose steps are known.
pub(super) struct Prepared {
    pub(super) snapshot: Snapshot,
    pub(super) target: Target,
    pub(super) ledger: Ledger,
    pub(super) warnings: Vec<String>,
    /// Whether the job names drives that the snapshot does not have.
    pub(super) misses_drives: bool,
}

/// Finds the target and puts the steps into the ledger, unless they are there.
pub(super) async fn prepare(
    session: &Session,
    options: &RestoreOptions,
    archive: &Archive,
    snapshot: Snapshot,
    ledger: Ledger,
    dry: bool,
) -> Result<Prepared, Error> {
    let mut warnings = Vec::new();
    let id = snapshot.id.as_str().to_owned();
    if !snapshot.is_complete() {
        warnings.push(format!(
            "the snapshot {id} is partial: what its run missed cannot be restored"
        ));
    }
    let checked = snapshot.clone();
    if let Err(error) = blocking(move || checked.verify_manifest_hash()).await {
        warnings.push(format!(
            "what the snapshot {id} tells is not to be trusted: {error}"
        ));
    }
    let read = snapshot.clone();
    let mut drives = blocking(move || drives_of(&read)).await?;
    let job = &session.loaded.job;
    let mut misses_drives = false;
    for scope in &job.drives {
        if !drives.iter().any(|drive| fits(scope, drive)) {
            misses_drives = true;
            warnings.push(format!("the snapshot {id} has nothing of the drive {scope}"));
        }
    }
    drives.retain(|drive| is_wanted(session, drive));
    let mut target = target::find(session, options, archive, &id, &drives, dry).await?;
    warnings.append(&mut target.warnings);
    let selection = selection(session, &snapshot, &target)?;
    let rows = {
        let (snapshot, filter) = (snapshot.clone(), Filter::new(&job.filter)?);
        blocking(move || Rows::open(&snapshot, &drives, filter)).await?
    };
    restore::plan(&ledger, rows, &selection).await?;
    Ok(Prepared {
        snapshot,
        target,
        ledger,
        warnings,
        misses_drives,
    })
}

fn is_wanted(session: &Session, drive: &SourceDrive) -> bool {
    let job = &session.loaded.job;
    let is_named = job.drives.is_empty() || job.drives.iter().any(|scope| fits(scope, drive));
    is_named && !job.exclude_drives.iter().any(|scope| fits(scope, drive))
}

pub(super) fn selection(session: &Session, snapshot: &Snapshot, target: &Target) -> Result<Selection, Error> {
    let filter = Filter::new(&session.loaded.job.filter)?;
    Ok(Selection {
        select: Arc::new(move |row| match row.entry.kind {
            Kind::File => filter.file(&row.entry, &row.path).is_none(),
            Kind::Folder => filter.selects_folder(&row.entry.drive, &row.path),
        }),
        to: target.place.clone(),
        targets: target.roots.clone(),
        name: Arc::clone(&target.name),
        limits: target.limits,
        snapshot: snapshot.id.as_str().to_owned(),
        is_partial: !snapshot.is_complete(),
    })
}

pub(super) async fn open(session: &Session) -> Result<Archive, Error> {
    let path = job::resolve_path(&session.loaded.base, &session.loaded.job.archive);
    Ok(blocking(move || Archive::open(path)).await?)
}

pub(super) async fn named(archive: &Archive, id: &str) -> Result<Snapshot, Error> {
    let id: SnapshotId = id
        .parse()
        .map_err(|_| archive::Error::NoSnapshot(id.to_owned()))?;
    let archive = archive.clone();
    Ok(blocking(move || archive.snapshot(&id)).await?)
}

pub(super) async fn chosen(
    session: &Session,
    options: &RestoreOptions,
    archive: &Archive,
) -> Result<Snapshot, Error> {
    let (archive, choice): (Archive, SnapshotChoice) = (archive.clone(), options.snapshot.clone());
    let zone = session.loaded.job.time_zone.clone();
    Ok(blocking(move || choose(&archive, &choice, zone.as_ref())).await?)
}
