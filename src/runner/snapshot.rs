//! A run that makes a snapshot: a backup, or an audit's manifest.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Map;

use super::begin::{Begun, begin, lock, open_archive};
use super::roots::{Found, find_roots};
use super::{Error, Session, connect, prune, publish, quotas};
use crate::archive::{Archive, plain_or_derived};
use crate::backup::{self, backup};
use crate::blocking::blocking;
use crate::browse::catalogue;
use crate::details;
use crate::drive::{Detail, Drive};
use crate::entry::{Entry, Kind};
use crate::filter::{Filter, Prune};
use crate::job::{Depth, Infected, JobKind};
use crate::ledger::{ListedAs, Placement};
use crate::manifest::Outcome;
use crate::monitor::Phase;
use crate::path::DrivePath;
use crate::plan::Policy;
use crate::report::{Report, Status};
use crate::stop::StopReason;
use crate::throttle::Throttle;
use crate::walk::{self, Progress, walk};

/// How often the content of one file is asked for whose bytes do not fit its listing. Two more tries tell a passing fault
/// from a lasting one.
pub(super) const CONTENT_ATTEMPTS: u32 = 3;

/// Passes that a run spends on the catalogue at most: an archive of many nights that has none gets one over some nights, or by the
/// first `find`.
const CATALOGUE_PASSES: usize = 1;

/// How long transfers may go on after a stop was asked for: below the ten seconds that service managers give at the least
/// (docker stop; systemd gives 90).
pub(super) const GRACE: Duration = Duration::from_secs(8);

/// Makes, or carries on, the snapshot that the session's job asks for.
pub(super) async fn run(session: &Session) -> Result<Report, Error> {
    let started = session.host.clock.now();
    session.monitor.phase(Phase::Preparing);
    let tenant = session.loaded.tenant.as_ref().ok_or(Error::NoTenant)?;
    let limits = &session.loaded.job.limits;
    let (drive, config) =
        connect::connect(tenant, limits, &session.host, Arc::clone(&session.monitor)).await?;
    let identity = connect::identity(tenant, &session.host).await?;
    let archive = open_archive(session, &identity).await?;
    let lock = lock(session, &archive, started).await?;
    let begun = begin(session, &archive, None).await?;

    let (ledger, begun_run) = (begun.ledger.clone(), begun.run.clone());
    let mut ended = conclude(session, &drive, begun, &archive, started).await;
    // Looked at after the work, which may have renewed it.
    if let Ok(report) = &mut ended {
        report
            .warnings
            .extend(connect::login_warning(&config, session.host.clock.now()));
    }
    let is_over = match &ended {
        Ok(report) => report.snapshot.is_some(),
        // Nobody can carry on from a state that does not read.
        Err(Error::Ledger(error)) => error.is_damaged(),
        // There is nothing to carry on.
        Err(Error::NothingRead { .. }) => true,
        Err(_) => false,
    };
    // Until it is closed, its files must neither be removed nor be opened by another run of this process.
    if is_over {
        ledger.leave().await;
        let done = archive.clone();
        blocking(move || done.discard()).await?;
    } else {
        ledger.close().await;
        if let Err(error) = blocking(move || begun_run.seal_state()).await {
            tracing::warn!(%error, "the state of this run cannot be sealed");
        }
    }
    if let Ok(report) = &mut ended
        && report.snapshot.is_some()
    {
        prune::after_backup(session, &archive, &lock, report).await;
        keep_catalogue(session, &archive).await;
    }
    ended
}

/// Adds the new night to what `find` asks, so that the next question need not. The run is complete without it.
async fn keep_catalogue(session: &Session, archive: &Archive) {
    let (archive, stop) = (archive.clone(), session.stop.clone());
    let updating = blocking(move || catalogue(&archive, CATALOGUE_PASSES, &stop));
    match session.around.unwatched(updating).await {
        Ok(updated) => tracing::debug!(read = updated.read, left = updated.left, "the catalogue is kept"),
        Err(error) => tracing::warn!(%error, "the catalogue for find cannot be written"),
    }
}

/// Does the work of a run that has begun, and publishes its snapshot unless it was stopped.
async fn conclude(
    session: &Session,
    drive: &Arc<dyn Drive>,
    mut begun: Begun,
    archive: &Archive,
    started: Timestamp,
) -> Result<Report, Error> {
    match work(session, drive, &mut begun).await {
        Err(error) if session.stop.is_draining() => {
            tracing::debug!(%error, "the run was stopped while this went wrong");
        }
        outcome => outcome?,
    }
    let Begun {
        run,
        ledger,
        resumed,
        warnings,
    } = begun;
    let mut report = Report {
        kind: session.loaded.job.kind.word(),
        job: session.loaded.name.clone(),
        archive: archive.path().display().to_string(),
        snapshot: None,
        status: Status::Interrupted,
        started,
        finished: started,
        resumed,
        totals: Default::default(),
        calls: Default::default(),
        waited: Duration::ZERO,
        retries: 0,
        roots: Vec::new(),
        failures: Vec::new(),
        warnings,
        alarms: Default::default(),
        details: Map::new(),
    };
    if let Some(reason) = session.stop.reason()
        && ledger.is_unfinished().await?
    {
        if reason == StopReason::WindowEnded {
            report.status = Status::WindowEnded;
        }
        report.roots = ledger.root_facts().await?;
        session.add_figures(&mut report);
        return Ok(report);
    }
    // An empty snapshot each night would only hide that the tenant cannot be read at all.
    if let Some((drive, why)) = ledger.nothing_read().await? {
        return Err(Error::NothingRead { drive, why });
    }
    session.monitor.phase(Phase::Finishing);
    publish::publish(session, archive, &run, &ledger, &mut report).await?;
    Ok(report)
}

/// Finds the roots, then walks and transfers until nothing is left or a stop comes.
async fn work(session: &Session, drive: &Arc<dyn Drive>, begun: &mut Begun) -> Result<(), Error> {
    let Found { roots, warnings } = tokio::select! {
        found = find_roots(session, drive) => found?,
        () = session.stop.draining() => return Ok(()),
    };
    begun.warnings.extend(warnings);
    let unknown = quotas::unknown(&roots);
    begun.ledger.add_roots(roots).await?;
    let asking = quotas::ask(
        Arc::clone(drive),
        begun.ledger.clone(),
        unknown,
        session.stop.clone(),
    );
    tokio::try_join!(transfer(session, drive, begun), asking).map(|_| ())
}

/// Walks and transfers until nothing is left or a stop comes.
async fn transfer(session: &Session, drive: &Arc<dyn Drive>, begun: &Begun) -> Result<(), Error> {
    session.monitor.phase(Phase::Working);
    let job = &session.loaded.job;
    let details = details::Options {
        details: asked(&job.depth),
        at_once: job.limits.listings,
    };
    if !details.details.is_empty() {
        begun.ledger.expect_details().await?;
    }
    list_and_fetch(session, drive, begun).await?;
    let (drive, ledger) = (Arc::clone(drive), begun.ledger.clone());
    let monitor = Arc::clone(&session.monitor);
    details::ask(drive, ledger, details, monitor, session.stop.clone()).await?;
    Ok(())
}

/// The details that take calls of their own; what a drive holds is told with its root.
pub(super) fn asked(depth: &[Depth]) -> Vec<Detail> {
    depth.iter().filter_map(|word| detail(*word)).collect()
}

/// The detail that a word of the job's `depth` asks for by calls of its own.
pub(super) fn detail(depth: Depth) -> Option<Detail> {
    match depth {
        Depth::Permissions => Some(Detail::Permissions),
        Depth::Links => Some(Detail::Link),
        Depth::Shares => Some(Detail::Share),
        Depth::Revisions => Some(Detail::Revisions),
        Depth::Trash => Some(Detail::Trash),
        Depth::Quota => None,
    }
}

async fn list_and_fetch(session: &Session, drive: &Arc<dyn Drive>, begun: &Begun) -> Result<(), Error> {
    let job = &session.loaded.job;
    let is_audit = matches!(job.kind, JobKind::Audit);
    let options = walk::Options {
        listings: job.limits.listings,
        classify: classify(session)?,
        place: Arc::new(place),
        folder_outcome: if is_audit {
            Outcome::Listed
        } else {
            Outcome::Stored
        },
        clock: session.host.clock.clone(),
    };
    let (drive, ledger) = (Arc::clone(drive), begun.ledger.clone());
    let monitor = Arc::clone(&session.monitor);
    if is_audit {
        let progress = Arc::new(Progress::default());
        walk(drive, ledger, options, monitor, progress, session.stop.clone()).await?;
        return Ok(());
    }
    let options = backup::Options {
        walk: options,
        transfers: job.limits.transfers,
        attempts: CONTENT_ATTEMPTS,
        policy: Policy {
            rehash: f64::from(job.rehash.millionths()) / 1_000_000.0,
            salt: crate::archive::fold(begun.run.id().as_str()),
        },
        throttle: Arc::new(Throttle::new(job.limits.bandwidth.map(Into::into))),
        spool: None,
        grace: GRACE,
    };
    backup(
        drive,
        ledger,
        begun.run.clone(),
        options,
        monitor,
        session.stop.clone(),
    )
    .await?;
    Ok(())
}

pub(super) fn classify(session: &Session) -> Result<walk::Classify, Error> {
    let job = &session.loaded.job;
    let filter = Filter::new(&job.filter)?;
    let is_audit = matches!(job.kind, JobKind::Audit);
    let skips_infected = job.infected == Infected::Skip;
    Ok(Arc::new(move |entry: &Entry, path: &DrivePath| {
        match entry.kind {
            Kind::Folder => match filter.folder(&entry.drive, path) {
                Prune::Walk => ListedAs::Walk,
                Prune::Skip => ListedAs::Settled(Outcome::Skipped, "filtered"),
            },
            Kind::File => match filter.file(entry, path) {
                Some(reason) => ListedAs::Settled(Outcome::Skipped, reason),
                None if is_audit => ListedAs::Settled(Outcome::Listed, ""),
                None if skips_infected && entry.is_infected() => {
                    ListedAs::Settled(Outcome::Skipped, "infected")
                }
                None => ListedAs::Fetch,
            },
        }
    }))
}

pub(super) fn place(entry: &Entry) -> Placement {
    let name = plain_or_derived(&entry.name, entry.id.as_str());
    Placement {
        plain: name.plain,
        derived: name.derived,
        fold: name.fold,
    }
}
