//! Ends a run: manifest, failures and tail are written, and the snapshot gets its name.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, json};

use super::{Error, Session};
use crate::archive::{self, LocalPath, RowsWriter, Run, Status as TailStatus, Tail};
use crate::blocking::blocking;
use crate::job::JobKind;
use crate::ledger::Ledger;
use crate::manifest::Outcome;
use crate::report::{Report, Status};

/// Folders that are made in one go.
const FOLDERS_PER_BATCH: u32 = 1024;

/// Publishes the run's snapshot and completes its report.
pub(super) async fn publish(
    session: &Session,
    run: &Run,
    ledger: &Ledger,
    report: &mut Report,
) -> Result<(), Error> {
    if !matches!(session.loaded.job.kind, JobKind::Audit) {
        make_folders(run, ledger).await?;
    }
    let (writer, failures) = write_rows(run, ledger, session.loaded.job.bom).await?;
    let written = blocking(move || writer.finish()).await?;
    report.snapshot = Some(run.id().to_string());
    report.totals = written.totals.clone();
    report.failures = failures;
    report.roots = ledger.root_facts().await?;
    let is_covered = report.roots.iter().all(|root| root.gaps().is_empty());
    let is_complete = is_covered && report.totals.failures() == 0;
    report.status = if is_complete {
        Status::Complete
    } else {
        Status::Partial
    };
    warn(report);
    session.add_figures(report);
    let tail = Tail {
        status: if is_complete {
            TailStatus::Complete
        } else {
            TailStatus::Partial
        },
        finished: report.finished,
        calls: report
            .calls
            .iter()
            .map(|(name, count)| (name.clone(), count.sent))
            .collect(),
        coverage: report.coverage_to_json(),
        extra: Map::from_iter([
            ("kind".to_owned(), json!(report.kind)),
            ("resumed".to_owned(), json!(report.resumed)),
            ("warnings".to_owned(), json!(report.warnings)),
        ]),
        ..Tail::default()
    };
    let run = run.clone();
    blocking(move || run.finish(written, tail)).await?;
    Ok(())
}

/// A folder without files has no file that would make it.
async fn make_folders(run: &Run, ledger: &Ledger) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let places = ledger.folder_places(after, FOLDERS_PER_BATCH).await?;
        let Some((last, _)) = places.last() else {
            return Ok(());
        };
        after = *last;
        let run = run.clone();
        blocking(move || -> Result<(), archive::Error> {
            for (_, place) in &places {
                run.make_folder(&LocalPath::parse(place)?)?;
            }
            Ok(())
        })
        .await?;
    }
}

/// Failures for the summary: where, and why.
type Failures = Vec<(String, String)>;

async fn write_rows(run: &Run, ledger: &Ledger, bom: bool) -> Result<(RowsWriter, Failures), Error> {
    let opened = {
        let run = run.clone();
        blocking(move || run.rows(bom)).await?
    };
    // The ledger takes its closure over; what it fills comes back through here.
    let shared = Arc::new(Mutex::new(Some((opened, Failures::new()))));
    let filled = Arc::clone(&shared);
    ledger
        .rows(move |row| -> Result<(), archive::Error> {
            let mut held = filled.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((writer, failures)) = held.as_mut() else {
                return Ok(());
            };
            if row.outcome == Outcome::Failed && failures.len() < Report::FAILURES_SHOWN {
                failures.push((format!("{}:{}", row.entry.drive, row.path), row.reason.clone()));
            }
            writer.write(row)
        })
        .await??;
    let held = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
    held.ok_or(Error::Lost("the manifest's writer"))
}

/// What is no failure and yet worth a word.
fn warn(report: &mut Report) {
    let full_ends: u64 = report.roots.iter().map(|root| root.full_ends).sum();
    if full_ends > 0 {
        report.warnings.push(format!(
            "{full_ends} folders ended with a page as full as a page can be; this is normal for a folder of exactly so many items"
        ));
    }
    let repeated: u64 = report.roots.iter().map(|root| root.repeated).sum();
    if repeated > 0 {
        report.warnings.push(format!(
            "{repeated} items were listed twice: things were moved while the run was listing"
        ));
    }
}
