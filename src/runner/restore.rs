//! A run that restores: rows of a snapshot back into a drive, or into a folder of this machine.
//!
//! The run's state lies in `.drivejob/restore-<fingerprint>` and goes when the restore has come to its end. A later run of
//! the same job begins anew: it looks at the target, and what is there already is not uploaded again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::begin::{digest, lock};
use super::source::{ArchiveCopies, Rows, SourceDrive, choose, drives_of, fits};
use super::target::{self, Target};
use super::{Error, Session};
use crate::archive::{self, Archive, Snapshot};
use crate::blocking::blocking;
use crate::coverage::{Count, Totals};
use crate::entry::Kind;
use crate::filter::Filter;
use crate::id::SnapshotId;
use crate::job::{self, Delivery, RestoreOptions, SnapshotChoice, To};
use crate::ledger::{Ledger, UploadOutcome};
use crate::manifest::Outcome;
use crate::monitor::Phase;
use crate::plan::Policy;
use crate::report::{Report, Status};
use crate::restore::{self, Selection, Summary, Verdict, restore};
use crate::stop::StopReason;
use crate::throttle::Throttle;

/// How often one file is sent before it counts as failed. Two more tries tell a passing fault from a lasting one.
const UPLOAD_ATTEMPTS: u32 = 3;

/// How long uploads may go on after a stop was asked for, as for downloads.
const GRACE: Duration = Duration::from_secs(8);

/// What a restore was begun with, so that it goes on with the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    snapshot: String,
    started: Timestamp,
}

/// A restore whose steps are known.
struct Prepared {
    snapshot: Snapshot,
    target: Target,
    ledger: Ledger,
    warnings: Vec<String>,
    /// Whether the job names drives that the snapshot does not have.
    misses_drives: bool,
}

/// Restores, or carries on with, what the session's job asks for.
pub(super) async fn run(session: &Session, options: &RestoreOptions) -> Result<Report, Error> {
    let now = session.host.clock.now();
    session.monitor.phase(Phase::Preparing);
    let archive = open(session).await?;
    let _lock = lock(session, &archive, now).await?;
    let state = state_name(session);
    let folder = {
        let (archive, state) = (archive.clone(), state.clone());
        blocking(move || archive.job_state(&state)).await?
    };
    let (begun, resumed) = begin(session, options, &archive, &folder, now).await?;
    let results = results_folder(session, &options.delivery, &archive, begun.started);
    let mut report = Report {
        snapshot: Some(begun.snapshot.clone()),
        status: Status::Interrupted,
        resumed,
        ..session.report(&archive, now)
    };
    let ledger = open_ledger(&folder, &mut report.warnings).await?;
    match work(session, options, &archive, &begun, ledger.clone(), &mut report).await {
        Err(error) if session.stop.is_draining() => {
            tracing::debug!(%error, "the restore was stopped while this went wrong");
        }
        outcome => outcome?,
    }
    let done = restore::summary(&ledger).await?;
    describe(&done, &mut report);
    if session.stop.is_draining()
        && (done.verdict() == Verdict::Unfinished || !ledger.uploads_loaded().await?)
    {
        if session.stop.reason() == Some(StopReason::WindowEnded) {
            report.status = Status::WindowEnded;
        }
        session.add_figures(&mut report);
        return Ok(report);
    }
    session.monitor.phase(Phase::Finishing);
    let misses_drives = report.details.get("missing_drives").is_some();
    report.status = match done.verdict() {
        Verdict::Complete if misses_drives => Status::Partial,
        Verdict::Complete => Status::Complete,
        Verdict::Partial | Verdict::Unfinished => Status::Partial,
        Verdict::NothingRestored => Status::Failed,
        Verdict::NothingChosen => {
            report
                .warnings
                .push("nothing in the snapshot fits the drives and the filter of the job".to_owned());
            Status::Failed
        }
    };
    report.failures = first_failures(&ledger).await?;
    restore::write_results(&ledger, &results, session.loaded.job.bom).await?;
    report
        .details
        .insert("results".to_owned(), json!(results.display().to_string()));
    session.add_figures(&mut report);
    write_summary(&results, &report).await?;
    // The state can go only when nothing holds it open.
    ledger.close().await;
    blocking(move || archive.drop_job_state(&state)).await?;
    Ok(report)
}

/// Knows the steps, and takes them until nothing is left or a stop comes.
async fn work(
    session: &Session,
    options: &RestoreOptions,
    archive: &Archive,
    begun: &Begun,
    ledger: Ledger,
    report: &mut Report,
) -> Result<(), Error> {
    let snapshot = named(archive, &begun.snapshot).await?;
    let preparing = prepare(session, options, archive, snapshot, ledger, false);
    let prepared = tokio::select! {
        prepared = preparing => prepared?,
        () = session.stop.draining() => return Ok(()),
    };
    for warning in &prepared.warnings {
        session.monitor.problem(&begun.snapshot, warning);
    }
    report.warnings.extend(prepared.warnings.iter().cloned());
    report.details.insert(
        "source_complete".to_owned(),
        json!(prepared.snapshot.is_complete()),
    );
    if prepared.misses_drives {
        report.details.insert("missing_drives".to_owned(), json!(true));
    }
    session.monitor.phase(Phase::Working);
    let options = upload_options(
        session,
        &options.delivery,
        prepared.target.times_kept,
        &begun.snapshot,
    );
    restore(
        prepared.target.drive,
        prepared.ledger,
        ArchiveCopies::new(archive),
        options,
        Arc::clone(&session.monitor),
        session.stop.clone(),
    )
    .await?;
    Ok(())
}

/// A restore as its plan tells it.
#[derive(Debug)]
pub struct PlannedRestore {
    /// The plan, which prints as a page for people.
    pub plan: restore::RestorePlan,
    /// What a person should know before the start.
    pub warnings: Vec<String>,
    ledger: Ledger,
}

impl PlannedRestore {
    /// Writes the readiness scan as CSV, and gives the target back with the number of problems.
    ///
    /// # Errors
    /// When the target refuses.
    pub async fn write_readiness<W: Write + Send + 'static>(
        &self,
        target: W,
        bom: bool,
    ) -> Result<(W, u64), Error> {
        Ok(restore::write_readiness(&self.ledger, target, bom).await?)
    }
}

/// Says what a restore would do. The archive is only read, and the target is asked for its drives alone.
///
/// # Errors
/// As [`super::run`].
pub(super) async fn plan(session: &Session, options: &RestoreOptions) -> Result<PlannedRestore, Error> {
    let archive = open(session).await?;
    let snapshot = chosen(session, options, &archive).await?;
    let ledger = blocking(Ledger::temporary).await?;
    let prepared = prepare(session, options, &archive, snapshot, ledger, true).await?;
    let selection = selection(session, &prepared.snapshot, &prepared.target)?;
    let plan = restore::plan(&prepared.ledger, std::iter::empty(), &selection).await?;
    Ok(PlannedRestore {
        plan,
        warnings: prepared.warnings,
        ledger: prepared.ledger,
    })
}

/// Finds the target and puts the steps into the ledger, unless they are there.
async fn prepare(
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

fn selection(session: &Session, snapshot: &Snapshot, target: &Target) -> Result<Selection, Error> {
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

/// How uploads are made, as the job has it.
pub(super) fn upload_options(
    session: &Session,
    delivery: &Delivery,
    times_kept: bool,
    salt: &str,
) -> restore::Options {
    let limits = &session.loaded.job.limits;
    let mut options = restore::Options::new(delivery.on_conflict);
    options.naming.times_kept = times_kept;
    if matches!(delivery.to, To::Local(_)) {
        options.naming.numbered = restore::numbered_local;
    }
    options.transfers = limits.uploads;
    options.folders = limits.listings;
    options.attempts = UPLOAD_ATTEMPTS;
    options.check_back = Policy {
        rehash: f64::from(delivery.check_back.millionths()) / 1_000_000.0,
        salt: archive::fold(salt),
    };
    options.throttle = Arc::new(Throttle::new(limits.bandwidth.map(Into::into)));
    options.grace = GRACE;
    options
}

async fn open(session: &Session) -> Result<Archive, Error> {
    let path = job::resolve_path(&session.loaded.base, &session.loaded.job.archive);
    Ok(blocking(move || Archive::open(path)).await?)
}

async fn named(archive: &Archive, id: &str) -> Result<Snapshot, Error> {
    let id: SnapshotId = id
        .parse()
        .map_err(|_| archive::Error::NoSnapshot(id.to_owned()))?;
    let archive = archive.clone();
    Ok(blocking(move || archive.snapshot(&id)).await?)
}

async fn chosen(session: &Session, options: &RestoreOptions, archive: &Archive) -> Result<Snapshot, Error> {
    let (archive, choice): (Archive, SnapshotChoice) = (archive.clone(), options.snapshot.clone());
    let zone = session.loaded.job.time_zone.clone();
    Ok(blocking(move || choose(&archive, &choice, zone.as_ref())).await?)
}

/// A job that restores something else, or to somewhere else, has a state of its own.
fn state_name(session: &Session) -> String {
    let loaded = &session.loaded;
    let target = loaded.target.as_ref().map(|file| &file.tenant);
    let text = format!("{}\n{}", loaded.fingerprint, loaded.job.fingerprint(target));
    format!("restore-{}", digest(&text))
}

/// What the unfinished restore of this job was begun with; else it is begun now.
async fn begin(
    session: &Session,
    options: &RestoreOptions,
    archive: &Archive,
    folder: &Path,
    now: Timestamp,
) -> Result<(Begun, bool), Error> {
    let path = folder.join("RUN.json");
    let read = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Begun>(&bytes).ok());
    if let Some(begun) = read
        && named(archive, &begun.snapshot).await.is_ok()
    {
        return Ok((begun, true));
    }
    remove_ledger(folder)?;
    let snapshot = chosen(session, options, archive).await?;
    let mut started = now;
    while let Ok(next) = started.checked_add(SignedDuration::from_secs(1))
        && results_folder(session, &options.delivery, archive, started).exists()
    {
        started = next;
    }
    let begun = Begun {
        snapshot: snapshot.id.as_str().to_owned(),
        started,
    };
    let text = serde_json::to_vec_pretty(&begun).unwrap_or_default();
    write_whole(&path, &text)?;
    Ok((begun, false))
}

/// Opens the state. One that cannot be read is begun anew: the target itself tells what is there.
async fn open_ledger(folder: &Path, warnings: &mut Vec<String>) -> Result<Ledger, Error> {
    let path = folder.join("ledger.sqlite");
    let first = path.clone();
    match blocking(move || Ledger::open(&first)).await {
        Ok(ledger) => Ok(ledger),
        Err(error) => {
            warnings.push(format!(
                "the state of the unfinished restore was dropped: {error}"
            ));
            remove_ledger(folder)?;
            Ok(blocking(move || Ledger::open(&path)).await?)
        }
    }
}

fn remove_ledger(folder: &Path) -> Result<(), Error> {
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Results { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The folder of the results: beside the snapshots, or in the one that the job names.
pub(super) fn results_folder(
    session: &Session,
    delivery: &Delivery,
    archive: &Archive,
    started: Timestamp,
) -> PathBuf {
    let base = match &delivery.results {
        Some(folder) => job::resolve_path(&session.loaded.base, folder),
        None => archive.path().to_owned(),
    };
    let kind = session.loaded.job.kind.word();
    base.join(format!("{kind}-{}", SnapshotId::at(started)))
}

/// Puts the summary beside the tables.
pub(super) async fn write_summary(results: &Path, report: &Report) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(&report.to_json()).unwrap_or_default();
    let path = results.join("summary.json");
    blocking(move || write_whole(&path, &text)).await
}

/// Writes a file that appears whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let staged = path.with_extension("part");
    let write = || {
        let mut file = fs::File::create(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&staged, path)
    };
    write().map_err(|source| Error::Results {
        path: path.to_owned(),
        source,
    })
}

/// The numbers of a restore in the words of a report: uploaded is stored, there already is reused.
pub(super) fn describe(done: &Summary, report: &mut Report) {
    let mut totals = Totals::default();
    for outcome in UploadOutcome::ALL {
        let word = match outcome {
            UploadOutcome::Created
            | UploadOutcome::Restored
            | UploadOutcome::Renamed
            | UploadOutcome::Overwritten => Outcome::Stored,
            UploadOutcome::Adopted | UploadOutcome::AlreadyThere => Outcome::Reused,
            UploadOutcome::Skipped => Outcome::Skipped,
            UploadOutcome::Failed | UploadOutcome::NotInSnapshot => Outcome::Failed,
            UploadOutcome::Removed => Outcome::Vanished,
        };
        let (files, bytes) = done
            .totals
            .files
            .get(outcome as usize)
            .copied()
            .unwrap_or_default();
        let folders = done.folders_with(outcome);
        if files + folders > 0 {
            let count: &mut Count = totals.outcomes.entry(word.as_str().to_owned()).or_default();
            count.files += files;
            count.folders += folders;
            count.bytes += bytes;
            totals.rows += files + folders;
            totals.files += files;
            totals.folders += folders;
            totals.bytes += bytes;
        }
    }
    report.totals = totals;
    report.details.extend(done.to_details());
}

/// The first items that are not in the target, as path and reason.
pub(super) async fn first_failures(ledger: &Ledger) -> Result<Vec<(String, String)>, Error> {
    let shared = Arc::new(std::sync::Mutex::new(Vec::new()));
    let filled = Arc::clone(&shared);
    // The inner result only says that enough was seen.
    let _ = ledger
        .upload_rows(move |row| {
            let mut found = filled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if row.is_missing() {
                let outcome = row.outcome.map_or("not-reached", UploadOutcome::as_str);
                let reason = if row.reason.is_empty() {
                    outcome.to_owned()
                } else {
                    format!("{outcome}: {}", row.reason)
                };
                found.push((format!("{}:{}", row.drive, row.path), reason));
            }
            if found.len() < Report::FAILURES_SHOWN {
                Ok(())
            } else {
                Err(())
            }
        })
        .await?;
    let found = shared
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clone();
    Ok(found)
}
