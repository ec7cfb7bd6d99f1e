//! What a restore or a migration came to, as its report and its results tell it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::archive::Archive;
use crate::blocking::blocking;
use crate::coverage::{Count, Totals};
use crate::id::SnapshotId;
use crate::job::{self, Delivery};
use crate::ledger::{Ledger, UploadOutcome};
use crate::manifest::Outcome;
use crate::report::Report;
use crate::restore::Summary;
use crate::runner::{Error, Session};

/// The folder of the results: beside the snapshots, or in the one that the job names.
pub(in crate::runner) fn results_folder(
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
pub(in crate::runner) async fn write_summary(results: &Path, report: &Report) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(&report.to_json()).unwrap_or_default();
    let path = results.join("summary.json");
    blocking(move || write_whole(&path, &text)).await
}

/// Writes a file that appears whole or not at all.
pub(in crate::runner) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
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
pub(in crate::runner) fn describe(done: &Summary, report: &mut Report) {
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
pub(in crate::runner) async fn first_failures(ledger: &Ledger) -> Result<Vec<(String, String)>, Error> {
    let shared = Arc::new(std::sync::Mutex::new(Vec::new()));
    let filled = Arc::clone(&shared);
    // The inner result only says that enough was seen.
    let _ = ledger
        .upload_rows(true, move |row| {
            let mut found = filled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let outcome = row.outcome.map_or("not-reached", UploadOutcome::as_str);
            let reason = if row.reason.is_empty() {
                outcome.to_owned()
            } else {
                format!("{outcome}: {}", row.reason)
            };
            found.push((format!("{}:{}", row.drive, row.path), reason));
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
