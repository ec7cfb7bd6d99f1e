//! What a restore leaves behind: `idmap.csv`, `failures.csv`, and the numbers of its summary.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::Error;
use crate::ledger::{Ledger, UploadOutcome, UploadRow, UploadTotals};
use crate::manifest::{self, IDMAP_COLUMNS, TableWriter};

/// The numbers of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps by outcome.
    pub totals: UploadTotals,
}

/// What the numbers of a restore come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was chosen is in the target.
    Complete,
    /// Something that was chosen is not.
    Partial,
    /// Steps are left: the run was stopped.
    Unfinished,
    /// Nothing that was chosen is in the target. That is a failure.
    NothingRestored,
    /// Nothing was chosen.
    NothingChosen,
}

impl Summary {
    /// Files with that outcome.
    pub fn files_with(&self, outcome: UploadOutcome) -> u64 {
        self.totals
            .files
            .get(outcome as usize)
            .map_or(0, |(count, _)| *count)
    }

    /// Folders with that outcome.
    pub fn folders_with(&self, outcome: UploadOutcome) -> u64 {
        self.totals.folders.get(outcome as usize).copied().unwrap_or(0)
    }

    /// What the numbers come to. When files were chosen, folders alone are nothing.
    pub fn verdict(&self) -> Verdict {
        let sum = |is_there: bool| {
            UploadOutcome::ALL
                .into_iter()
                .filter(|outcome| outcome.is_there() == is_there && outcome.is_lost() != is_there)
                .fold((0, 0), |(files, folders), outcome| {
                    (
                        files + self.files_with(outcome),
                        folders + self.folders_with(outcome),
                    )
                })
        };
        let ((files, folders), (lost_files, lost_folders)) = (sum(true), sum(false));
        if self.totals.open > 0 {
            Verdict::Unfinished
        } else if files + folders + lost_files + lost_folders == 0 {
            Verdict::NothingChosen
        } else if files == 0 && (lost_files > 0 || folders == 0) {
            Verdict::NothingRestored
        } else if lost_files + lost_folders > 0 {
            Verdict::Partial
        } else {
            Verdict::Complete
        }
    }

    /// The numbers for [`crate::report::Report::details`].
    pub fn to_details(&self) -> Map<String, Value> {
        let outcomes = UploadOutcome::ALL.into_iter().map(|outcome| {
            let (files, bytes) = self
                .totals
                .files
                .get(outcome as usize)
                .copied()
                .unwrap_or_default();
            let facts = json!({
                "files": files, "folders": self.folders_with(outcome), "bytes": bytes,
            });
            (outcome.as_str().replace('-', "_"), facts)
        });
        let mut details = Map::new();
        details.insert("uploads".to_owned(), Value::Object(outcomes.collect()));
        details.insert("not_reached".to_owned(), json!(self.totals.open));
        details
    }
}

/// Files and folders that were chosen and are not in the target.
pub(super) fn lost(totals: &UploadTotals) -> u64 {
    UploadOutcome::ALL
        .into_iter()
        .zip(totals.files.iter().zip(totals.folders))
        .filter(|(outcome, _)| outcome.is_lost())
        .map(|(_, ((files, _), folders))| files + folders)
        .sum()
}

/// The numbers so far.
///
/// # Errors
/// When the ledger fails.
pub async fn summary(ledger: &Ledger) -> Result<Summary, Error> {
    Ok(Summary {
        totals: ledger.upload_totals().await?,
    })
}

/// Writes `idmap.csv` with every step and `failures.csv` with those whose item is not in the target, into `folder`,
/// which is made when it is not there. Both have the same columns. Either file appears whole or not at all.
///
/// # Errors
/// When the ledger fails or a file cannot be written.
pub async fn write_results(ledger: &Ledger, folder: &Path, bom: bool) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| refused(folder, source))?;
    write_one(ledger, folder, "idmap.csv", bom, false).await?;
    write_one(ledger, folder, "failures.csv", bom, true).await
}

async fn write_one(
    ledger: &Ledger,
    folder: &Path,
    name: &str,
    bom: bool,
    only_missing: bool,
) -> Result<(), Error> {
    let path = folder.join(name);
    let staged = folder.join(format!(".{name}.part"));
    let file = File::create(&staged).map_err(|source| refused(&staged, source))?;
    let table = Arc::new(Mutex::new(TableWriter::new(
        BufWriter::new(file),
        &IDMAP_COLUMNS,
        bom,
    )?));
    let shared = Arc::clone(&table);
    ledger
        .upload_rows(only_missing, move |row| {
            let mut table = shared.lock().unwrap_or_else(PoisonError::into_inner);
            write_row(&mut table, row)
        })
        .await??;
    let (writer, _) = take(table)?.finish()?;
    writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&staged, &path))
        .map_err(|source| refused(&path, source))
}

/// Takes a writer back that a closure of the ledger had.
pub(crate) fn take<T>(shared: Arc<Mutex<T>>) -> Result<T, Error> {
    let inner = Arc::into_inner(shared)
        .ok_or_else(|| manifest::Error::Io(io::Error::other("the table is still in use")))?;
    Ok(inner.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn write_row<W: Write>(table: &mut TableWriter<W>, row: &UploadRow) -> Result<(), manifest::Error> {
    let size = row.size.map(|size| size.to_string()).unwrap_or_default();
    table.write(&[
        &row.old_id,
        row.new_id.as_deref().unwrap_or(""),
        &row.path,
        row.outcome.map_or("not-reached", UploadOutcome::as_str),
        &row.reason,
        row.kind.as_str(),
        &row.drive,
        &row.target,
        row.new_name.as_deref().unwrap_or(""),
        &size,
    ])
}

fn refused(path: &Path, source: io::Error) -> Error {
    Error::Results {
        path: path.to_owned(),
        source,
    }
}
