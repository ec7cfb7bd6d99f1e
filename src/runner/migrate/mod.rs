//! A run that migrates: a backup of the source tenant, and beside it the uploads into the target tenant.
//!
//! The journal of a migration lives in `.drivejob/migrate-<fingerprint>` for as long as the migration does, over all its
//! passes: it knows which items of the target are ours. It depends on source, target and archive alone, so that the pass,
//! the filter and the limits may change from run to run.

mod compare;
mod conclude;
mod pair;
mod pass;
mod permissions;
mod plan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::begin::{Begun, begin, digest, lock, open_archive};
use super::restore::{describe, results_folder};
use super::roots::{Found, find_roots};
use super::{Error, Session, connect, publish};
use crate::archive::Archive;
use crate::blocking::blocking;
use crate::drive::Drive;
use crate::entry::OnConflict;
use crate::job::{Deletions, JobKind, Keep, MigrateOptions, Pass, Permissions, Share, Unmapped};
use crate::ledger::{Ledger, NewRoot};
use crate::migrate::{PassSummary, Reconciliation};
use crate::monitor::Phase;
use crate::report::{Report, Status};
use crate::restore;
use crate::stop::StopReason;
use compare::compare;
use conclude::conclude;
use pair::{pair, write_unmapped};
use pass::one_pass;

pub(super) use plan::plan;

/// Drives without a place to go that a message names.
const UNMAPPED_SHOWN: usize = 20;

/// What a pass came to.
#[derive(Default)]
struct Passed {
    summary: PassSummary,
    pairs: Vec<(String, String)>,
    reconciliation: Option<Reconciliation>,
    unmapped: usize,
    permissions: permissions::Outcome,
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
    let hands_on = options.keep == Keep::Manifest;
    let mut begun = begin(session, &archive, hands_on.then_some(&journal)).await?;
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
        let run = begun.run.clone();
        begun.ledger.close().await;
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
    begun.ledger.leave().await;
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
    let pairs = pair(session, &options.delivery, &sides.target, &found).await?;
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
    permissions::warn_of_open_drives(sides, &targets, report).await?;
    session.monitor.phase(Phase::Working);
    passed.summary = one_pass(session, sides, begun, archive, pairs.targets).await?;
    if session.stop.is_draining() || !passed.summary.is_finished {
        return Ok(false);
    }
    if options.pass == Pass::Final {
        let compared = compare(session, sides, sources, targets.clone(), &passed.pairs).await?;
        let Some(compared) = compared else {
            return Ok(false);
        };
        passed.permissions =
            permissions::settle(session, sides, &begun.ledger, &compared, &targets, report).await?;
        passed.reconciliation = Some(compared.found);
    }
    Ok(passed.permissions != permissions::Outcome::Stopped)
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
    lasting.keep = Keep::All;
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
