//! A run that restores: rows of a snapshot back into a drive, or into a folder of this machine.
//!
//! The run's state lies in `.drivejob/restore-<fingerprint>` and goes when the restore has come to its end. A later run of
//! the same job begins anew: it looks at the target, and what is there already is not uploaded again.

mod options;
mod plan;
mod prepare;
mod results;
mod state;

use std::sync::Arc;

use serde_json::json;

use super::begin::lock;
use super::source::ArchiveCopies;
use super::{Error, Session};
use crate::archive::Archive;
use crate::blocking::blocking;
use crate::job::RestoreOptions;
use crate::ledger::Ledger;
use crate::monitor::Phase;
use crate::report::{Report, Status};
use crate::restore::{self, Verdict, restore};
use crate::stop::StopReason;
use prepare::{named, open, prepare};
use state::{Begun, begin, open_ledger, state_name};

pub(super) use options::upload_options;
pub(super) use plan::plan;
pub(super) use results::{describe, first_failures, results_folder, write_summary, write_whole};

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
    ledger.leave().await;
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
