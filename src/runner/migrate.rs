//! A run that migrates: a backup of the source tenant, and beside it the uploads into the target tenant.
//!
//! The journal of a migration lives in `.drivejob/migrate-<fingerprint>` for as long as the migration does, over all its
//! passes: it knows which items of the target are ours. It depends on source, target and archive alone, so that the pass,
//! the filter and the limits may change from run to run.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;

use super::begin::{Begun, begin, digest, lock, open_archive};
use super::restore::{describe, first_failures, results_folder, upload_options, write_summary};
use super::roots::{Found, find_roots};
use super::snapshot::{CONTENT_ATTEMPTS, GRACE, classify, place};
use super::source::ArchiveCopies;
use super::{Error, Session, connect, publish, target};
use crate::archive::{self, Archive, LocalPath, Run};
use crate::backup::{self, backup};
use crate::blocking::blocking;
use crate::drive::Drive;
use crate::entry::{Kind, OnConflict, Root, Scope};
use crate::id::DriveId;
use crate::job::{Deletions, Face, JobKind, MigrateOptions, Pass, Permissions, Share, Unmapped};
use crate::ledger::{Ledger, ListedAs, NewRoot};
use crate::manifest::{Outcome, TableWriter};
use crate::migrate::{self, Feed, Map, Pairs, PassSummary, Reconciliation, migrate};
use crate::monitor::Phase;
use crate::plan::Policy;
use crate::report::{Report, Status};
use crate::restore::{self, Copies, Limits, Verdict};
use crate::stop::StopReason;
use crate::throttle::Throttle;
use crate::walk::{self, Progress, walk};

/// The map of a job that names none: everything goes where it has the same name.
const SAME_NAMES: &str =
    "source,target\nme,me\nusers/*,users/*\nsharedrives/*,sharedrives/*\ngroups/*,groups/*\n";

/// Drives without a place to go that a message names.
const UNMAPPED_SHOWN: usize = 20;

/// What a pass came to.
#[derive(Default)]
struct Passed {
    summary: PassSummary,
    pairs: Vec<(String, String)>,
    reconciliation: Option<Reconciliation>,
    unmapped: usize,
}

/// Both sides of a migration, and what is between them.
struct Sides<'a> {
    options: &'a MigrateOptions,
    source: Arc<dyn Drive>,
    target: Arc<dyn Drive>,
    journal: Ledger,
    state: PathBuf,
    results: PathBuf,
}

/// Runs one pass, or carries on with the one that was stopped.
pub(super) async fn run(session: &Session, options: &MigrateOptions) -> Result<Report, Error> {
    let started = session.host.clock.now();
    session.monitor.phase(Phase::Preparing);
    let loaded = &session.loaded;
    let source_file = loaded.tenant.as_ref().ok_or(Error::NoTenant)?;
    let target_file = loaded.target.as_ref().ok_or(Error::NoTenant)?;
    if target_file.tenant.dialect() != Face::V2 {
        return Err(Error::ClassicTarget);
    }
    let limits = &loaded.job.limits;
    let monitor = || Arc::clone(&session.monitor);
    let (source, _) = connect::connect(source_file, limits, &session.host, monitor()).await?;
    let (target, _) = connect::connect(target_file, limits, &session.host, monitor()).await?;
    let identity = connect::identity(source_file, &session.host).await?;
    let archive = open_archive(session, &identity).await?;
    let _lock = lock(session, &archive, started).await?;
    let (state, journal) = {
        let (archive, name) = (archive.clone(), state_name(session, options));
        blocking(move || -> Result<_, Error> {
            let state = archive.job_state(&name)?;
            let journal = Ledger::open(&state.join("journal.sqlite"))?;
            Ok((state, journal))
        })
        .await?
    };
    let mut begun = begin(session, &archive).await?;
    let sides = Sides {
        options,
        source,
        target,
        journal,
        state,
        results: results_folder(session, &options.delivery, &archive, begun.run.head().started),
    };
    let mut passed = Passed::default();
    let mut report = Report {
        status: Status::Interrupted,
        resumed: begun.resumed,
        warnings: std::mem::take(&mut begun.warnings),
        ..session.report(&archive, started)
    };
    let is_over = match work(session, &sides, &begun, &archive, &mut passed, &mut report).await {
        Err(error) if session.stop.is_draining() => {
            tracing::debug!(%error, "the migration was stopped while this went wrong");
            false
        }
        outcome => outcome?,
    };
    if !is_over {
        if session.stop.reason() == Some(StopReason::WindowEnded) {
            report.status = Status::WindowEnded;
        }
        report.roots = begun.ledger.root_facts().await?;
        describe(&restore::summary(&sides.journal).await?, &mut report);
        session.add_figures(&mut report);
        begun.ledger.clone().close().await;
        let run = begun.run.clone();
        if let Err(error) = blocking(move || run.seal_state()).await {
            tracing::warn!(%error, "the state of this run cannot be sealed");
        }
        return Ok(report);
    }
    session.monitor.phase(Phase::Finishing);
    publish::publish(session, &archive, &begun.run, &begun.ledger, &mut report).await?;
    report.details.insert(
        "backup".to_owned(),
        json!({ "status": report.status.as_str(), "totals": report.totals }),
    );
    conclude(session, &sides, &passed, &mut report).await?;
    // The state can go only when nothing holds it open.
    begun.ledger.close().await;
    blocking(move || archive.discard()).await?;
    Ok(report)
}

/// Backs up and uploads side by side, and reconciles at the end of the final pass. False when a stop came first.
async fn work(
    session: &Session,
    sides: &Sides<'_>,
    begun: &Begun,
    archive: &Archive,
    passed: &mut Passed,
    report: &mut Report,
) -> Result<bool, Error> {
    let options = sides.options;
    let Found {
        roots: found,
        warnings,
    } = tokio::select! {
        found = find_roots(session, &sides.source) => found?,
        () = session.stop.draining() => return Ok(false),
    };
    report.warnings.extend(warnings);
    let pairs = pair(session, sides, &found).await?;
    for one in &pairs.unmapped {
        let message = format!("it has no place to go ({}): {}", one.reason, one.name);
        session.monitor.problem(one.drive.as_str(), &message);
    }
    passed.unmapped = pairs.unmapped.len();
    if !pairs.unmapped.is_empty() {
        let mut names: Vec<String> = pairs
            .unmapped
            .iter()
            .take(UNMAPPED_SHOWN)
            .map(|one| format!("{} {} ({})", one.drive, one.name, one.reason))
            .collect();
        if pairs.unmapped.len() > UNMAPPED_SHOWN {
            names.push(format!("and {} more", pairs.unmapped.len() - UNMAPPED_SHOWN));
        }
        write_unmapped(&sides.results, &pairs, session.loaded.job.bom).await?;
        if options.unmapped == Unmapped::Fail {
            return Err(Error::Unmapped(names.join(", ")));
        }
        report.warnings.push(format!(
            "these drives have no place to go and were left out: {}",
            names.join(", ")
        ));
    }
    let mapped: Vec<NewRoot> = found
        .into_iter()
        .filter(|root| pairs.targets.contains_key(&root.root.entry.drive))
        .collect();
    passed.pairs = mapped
        .iter()
        .filter_map(|root| {
            let drive = &root.root.entry.drive;
            let target = pairs.targets.get(drive)?;
            Some((drive.as_str().to_owned(), target.entry.drive.as_str().to_owned()))
        })
        .collect();
    let (sources, targets) = (mapped.clone(), pairs.targets.clone());
    begun.ledger.add_roots(mapped).await?;
    session.monitor.phase(Phase::Working);
    passed.summary = one_pass(session, sides, begun, archive, pairs.targets).await?;
    if session.stop.is_draining() || !passed.summary.is_finished {
        return Ok(false);
    }
    if options.pass == Pass::Final {
        passed.reconciliation = compare(session, sides, sources, targets, &passed.pairs).await?;
        if passed.reconciliation.is_none() {
            return Ok(false);
        }
        let (folder, bom) = (sides.results.clone(), session.loaded.job.bom);
        make_folder(&folder).await?;
        let path = folder.join("permissions.csv");
        let recorded = migrate::record_permissions(sides.source.as_ref(), &begun.ledger, &path, bom).await?;
        report.details.insert(
            "permissions".to_owned(),
            json!({ "recorded": recorded.0, "refused": recorded.1 }),
        );
    }
    Ok(true)
}

async fn one_pass(
    session: &Session,
    sides: &Sides<'_>,
    begun: &Begun,
    archive: &Archive,
    targets: HashMap<DriveId, Root>,
) -> Result<PassSummary, Error> {
    let job = &session.loaded.job;
    let options = sides.options;
    let throttle = Arc::new(Throttle::new(job.limits.bandwidth.map(Into::into)));
    let backup_options = backup::Options {
        walk: walk::Options {
            listings: job.limits.listings,
            classify: classify(session)?,
            place: Arc::new(place),
            folder_outcome: Outcome::Stored,
            clock: session.host.clock.clone(),
        },
        transfers: job.limits.transfers,
        attempts: CONTENT_ATTEMPTS,
        policy: Policy {
            rehash: f64::from(job.rehash.millionths()) / 1_000_000.0,
            salt: archive::fold(begun.run.id().as_str()),
        },
        throttle: Arc::clone(&throttle),
        grace: GRACE,
    };
    let mut restore_options = upload_options(session, &options.delivery, true, begun.run.id().as_str());
    restore_options.throttle = throttle;
    let migrate_options = migrate::Options {
        restore: restore_options,
        limits: Limits::default(),
        deletions: (options.deletions == Deletions::Follow)
            .then(|| f64::from(options.deletion_limit.millionths()) / 1_000_000.0),
    };
    let (fed, feed) = watch::channel(Feed::Open);
    let storing = async {
        let outcome = backup(
            Arc::clone(&sides.source),
            begun.ledger.clone(),
            begun.run.clone(),
            backup_options,
            Arc::clone(&session.monitor),
            session.stop.clone(),
        )
        .await;
        let has_ended = outcome.is_ok() && !session.stop.is_draining();
        fed.send_replace(if has_ended { Feed::Ended } else { Feed::Stopped });
        outcome.map_err(Error::from)
    };
    let uploading = async {
        let done = migrate(
            Arc::clone(&sides.target),
            begun.ledger.clone(),
            sides.journal.clone(),
            Arc::new(RunCopies {
                run: begun.run.clone(),
                archive: ArchiveCopies::new(archive),
            }),
            targets,
            migrate_options,
            feed,
            Arc::clone(&session.monitor),
            session.stop.clone(),
        );
        done.await.map_err(Error::from)
    };
    let ((), done) = tokio::try_join!(storing, uploading)?;
    Ok(done)
}

/// The target drive of each source drive, as the map has it.
async fn pair(session: &Session, sides: &Sides<'_>, found: &[NewRoot]) -> Result<Pairs, Error> {
    let map = match target::map(session, &sides.options.delivery).await? {
        Some(map) => map,
        None => Map::read(SAME_NAMES.as_bytes()).map_err(|_| Error::Lost("the map of same names"))?,
    };
    let sources: Vec<Root> = found.iter().map(|root| root.root.clone()).collect();
    let mut scopes = BTreeSet::new();
    for word in sources.iter().flat_map(|root| map.targets_of(root)) {
        // A family is listed once, which tells names and mails as well as ids.
        let scope = match word.split_once('/') {
            Some((family @ ("users" | "sharedrives" | "groups"), rest)) if !rest.contains('/') => {
                format!("{family}/*")
            }
            _ => word,
        };
        scopes.insert(scope);
    }
    let mut targets = Vec::new();
    for scope in scopes {
        if let Ok(scope) = scope.parse::<Scope>() {
            targets.extend(sides.target.roots(&scope).await?);
        }
    }
    Ok(map.pair(&sources, &targets))
}

/// Lists both sides afresh and lays them side by side; `None` when a stop came first.
async fn compare(
    session: &Session,
    sides: &Sides<'_>,
    sources: Vec<NewRoot>,
    targets: HashMap<DriveId, Root>,
    pairs: &[(String, String)],
) -> Result<Option<Reconciliation>, Error> {
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
    Ok(Some(found))
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

/// Writes the results, and says what the pass came to.
async fn conclude(
    session: &Session,
    sides: &Sides<'_>,
    passed: &Passed,
    report: &mut Report,
) -> Result<(), Error> {
    let done = &passed.summary;
    let is_stored = report.status == Status::Complete;
    describe(&done.uploads, report);
    for drive in &done.guarded {
        report.warnings.push(format!(
            "too much of {drive} is gone at the source, so that nothing of it was removed; see deletion-limit"
        ));
    }
    let is_clean = passed
        .reconciliation
        .as_ref()
        .is_none_or(Reconciliation::is_clean);
    let is_whole = is_stored
        && is_clean
        && done.guarded.is_empty()
        && done.not_followed == 0
        && passed.unmapped == 0
        && matches!(done.uploads.verdict(), Verdict::Complete | Verdict::NothingChosen);
    report.status = if is_whole {
        Status::Complete
    } else {
        Status::Partial
    };
    report.failures = first_failures(&sides.journal).await?;
    report.details.insert(
        "pass".to_owned(),
        json!({
            "number": done.pass,
            "kind": sides.options.pass,
            "relocated": done.relocated,
            "refilled": done.refilled,
            "removed": done.removed,
            "not_followed": done.not_followed,
            "guarded": done.guarded,
            "unmapped": passed.unmapped,
        }),
    );
    if let Some(found) = &passed.reconciliation {
        report
            .details
            .insert("reconciliation".to_owned(), found.to_json());
        if !found.is_clean() {
            report.warnings.push(format!(
                "the reconciliation found {} differences and {} gaps",
                found.differences,
                found.gaps.len()
            ));
        }
    }
    restore::write_results(&sides.journal, &sides.results, session.loaded.job.bom).await?;
    report
        .details
        .insert("results".to_owned(), json!(sides.results.display().to_string()));
    session.add_figures(report);
    write_summary(&sides.results, report).await
}

/// Lists every drive without a place to go, for whoever completes the map.
async fn write_unmapped(folder: &Path, pairs: &Pairs, bom: bool) -> Result<(), Error> {
    make_folder(folder).await?;
    let path = folder.join("unmapped.csv");
    let file = File::create(&path).map_err(|source| Error::Results { path, source })?;
    let mut table = TableWriter::new(file, &["drive", "name", "reason", "target"], bom)?;
    for one in &pairs.unmapped {
        let target = one.target.as_deref().unwrap_or("");
        table.write(&[one.drive.as_str(), &one.name, one.reason, target])?;
    }
    table.finish()?;
    Ok(())
}

async fn make_folder(path: &Path) -> Result<(), Error> {
    let path = path.to_owned();
    blocking(move || std::fs::create_dir_all(&path).map_err(|source| Error::Results { path, source })).await
}

/// A migration is what goes from one tenant into another through one archive, whatever pass it is in.
fn state_name(session: &Session, options: &MigrateOptions) -> String {
    let loaded = &session.loaded;
    let mut job = loaded.job.clone();
    job.drives.clear();
    job.exclude_drives.clear();
    job.filter = Default::default();
    job.depth.clear();
    job.infected = Default::default();
    let mut lasting = options.clone();
    lasting.pass = Pass::First;
    lasting.deletions = Deletions::Ignore;
    lasting.deletion_limit = Share::NONE;
    lasting.unmapped = Unmapped::Fail;
    lasting.delivery.on_conflict = OnConflict::Skip;
    lasting.delivery.map = None;
    lasting.delivery.permissions = Permissions::Record;
    job.kind = JobKind::Migrate(lasting);
    let tenant = |file: &Option<super::TenantFile>| job.fingerprint(file.as_ref().map(|file| &file.tenant));
    format!(
        "migrate-{}",
        digest(&format!("{}\n{}", tenant(&loaded.tenant), tenant(&loaded.target)))
    )
}

/// The bytes of the run under way, and those of the snapshots before.
#[derive(Debug)]
struct RunCopies {
    run: Run,
    archive: Arc<ArchiveCopies>,
}

impl Copies for RunCopies {
    fn open(&self, stored_at: &str) -> io::Result<File> {
        match self.run.open_stored(stored_at) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => self.archive.open(stored_at),
            Err(archive::Error::Io { source, .. }) => Err(source),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error.to_string())),
        }
    }

    fn other_copies(&self, sha256: &str, size: u64) -> Vec<String> {
        self.archive.other_copies(sha256, size)
    }
}
