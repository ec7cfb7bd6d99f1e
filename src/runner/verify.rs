//! A run that reads the archive back, and compares a sample with the drive where the job asks for it.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::begin::open_existing;
use super::{Error, Session, around, choose_snapshot, connect};
use crate::archive::{self, Archive};
use crate::blocking::blocking;
use crate::job::{SnapshotChoice, VerifyOptions};
use crate::monitor::Phase;
use crate::report::{Report, Status};
use crate::stop::StopReason;
use crate::verify::{Options, Problem, SpotOptions, SpotState, Summary, spot_check, verify};

/// Problems that the summary for programs names; `drivejob verify --json` names more.
const LISTED: usize = 1000;

/// Files of the drive that are compared at the same time, where the job allows more: a check is no hurry.
const AT_ONCE: usize = 8;

/// A job of the kind `verify`. It takes no lock, so that it keeps no backup from running.
pub(super) async fn run(session: &Session, wanted: &VerifyOptions) -> Result<Report, Error> {
    let started = session.host.clock.now();
    session.monitor.phase(Phase::Preparing);
    let archive = open_existing(session).await?;
    around::begin_unlocked(session, &archive, started).await;
    let (summary, problems) = read_back(session, &archive, wanted).await?;

    let mut report = session.report(&archive, started);
    let stopped = match session.stop.reason() {
        Some(StopReason::WindowEnded) => Status::WindowEnded,
        _ => Status::Interrupted,
    };
    if !summary.is_good() {
        report.status = Status::Different;
    } else if summary.stopped {
        report.status = stopped;
    } else if summary.is_empty() {
        report.status = Status::Partial;
    }
    report.warnings.extend(summary.warnings.iter().cloned());
    report.note(format!("read back {}", summary.to_text()));
    for problem in problems.iter().take(Report::FAILURES_SHOWN) {
        report.note(format!("          {problem}"));
    }
    let untold = summary
        .problems
        .count()
        .saturating_sub(Report::FAILURES_SHOWN as u64);
    if untold > 0 {
        report.note(format!(
            "          and {untold} more; `drivejob verify` lists them"
        ));
    }
    let list: Value = problems.iter().map(Problem::to_json).collect();
    report.details.insert("verify".to_owned(), summary.to_json());
    report.details.insert("problems".to_owned(), list);

    if wanted.spot_check.is_some() && !summary.stopped {
        compare(session, &archive, wanted, &mut report).await?;
        if session.stop.is_draining() && report.status == Status::Complete {
            report.status = stopped;
        }
    }
    session.add_figures(&mut report);
    Ok(report)
}

async fn read_back(
    session: &Session,
    archive: &Archive,
    wanted: &VerifyOptions,
) -> Result<(Summary, Vec<Problem>), Error> {
    let zone = session.loaded.job.time_zone.clone();
    let zone = zone.unwrap_or_else(TimeZone::system);
    let (archive, choice) = (archive.clone(), wanted.snapshot.clone());
    let whole = Options::whole(session.host.clock.now());
    let (sample, older_than) = (wanted.sample.fraction(), wanted.older_than);
    let (stop, monitor) = (session.stop.clone(), Arc::clone(&session.monitor));
    let verified = blocking(move || -> Result<_, archive::Error> {
        let chosen = choice.map(|choice| choose_snapshot(&archive, &choice, &zone));
        let options = Options {
            snapshot: chosen.transpose()?.map(|snapshot| snapshot.id),
            sample,
            older_than,
            ..whole
        };
        let mut problems = Vec::new();
        let summary = verify(&archive, &options, &stop, &*monitor, &mut |problem| {
            if problems.len() < LISTED {
                problems.push(problem.clone());
            }
        })?;
        Ok((summary, problems))
    });
    Ok(verified.await?)
}

/// Compares some files of the newest complete snapshot with the drive as it is.
async fn compare(
    session: &Session,
    archive: &Archive,
    wanted: &VerifyOptions,
    report: &mut Report,
) -> Result<(), Error> {
    let Some(check) = wanted.spot_check else {
        return Ok(());
    };
    let limits = &session.loaded.job.limits;
    let tenant = session.loaded.tenant.as_ref().ok_or(Error::NoTenant)?;
    let identity = connect::identity(tenant, &session.host).await?;
    if !archive.tenant().is_empty() && !identity.is_empty() {
        archive.check_tenant(&identity)?;
    }
    let newest = {
        let archive = archive.clone();
        blocking(move || choose_snapshot(&archive, &SnapshotChoice::Latest, &TimeZone::UTC)).await
    };
    let snapshot = match newest {
        Ok(snapshot) if snapshot.head.holds_bytes() => snapshot,
        Ok(_) | Err(archive::Error::NoSnapshot(_)) => {
            report
                .warnings
                .push("there is no complete backup yet that could be compared with the drive".to_owned());
            report.status = worse(report.status, Status::Partial);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let monitor = Arc::clone(&session.monitor);
    let (drive, _) = connect::connect(tenant, limits, &session.host, monitor).await?;
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let options = SpotOptions {
        files: count(check.files),
        hashes: count(check.hashes),
        // Any number will do that is another one each time.
        seed: session.host.clock.now().as_microsecond().unsigned_abs(),
        at_once: limits.transfers.min(AT_ONCE),
    };
    let found = spot_check(&*drive, &snapshot, options, &session.stop).await?;
    let unknown = found.states.get(&SpotState::Unknown).copied().unwrap_or(0);
    if !found.is_good() {
        report.status = Status::Different;
    } else if unknown > 0 {
        report.status = worse(report.status, Status::Partial);
        report
            .warnings
            .push(format!("{unknown} files could not be compared with the drive"));
    }
    let states: Vec<String> = found
        .states
        .iter()
        .map(|(state, count)| format!("{count} {}", state.as_str()))
        .collect();
    report.note(format!(
        "compared  {} files of {} with the drive, {} of them byte for byte: {}",
        found.compared,
        snapshot.id,
        found.hashed,
        states.join(", ")
    ));
    let differing = found
        .findings
        .iter()
        .filter(|finding| matches!(finding.state, SpotState::Differs | SpotState::Unknown));
    for finding in differing.take(Report::FAILURES_SHOWN) {
        report.note(format!(
            "          {} {}:{} ({})",
            finding.state.as_str(),
            finding.drive,
            finding.path,
            finding.detail
        ));
    }
    report.details.insert("spot_check".to_owned(), found.to_json());
    Ok(())
}

/// Only a complete run becomes what was found later; a worse state stays.
fn worse(status: Status, found: Status) -> Status {
    match status {
        Status::Complete => found,
        status => status,
    }
}
