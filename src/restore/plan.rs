//! What a restore would do, and what would hinder it: steps into the ledger, and both as CSV.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::steps::{Selection, Steps};
use super::{Error, Place};
use crate::ledger::{Ledger, NewUpload, Problem, UploadOutcome};
use crate::manifest::{self, PROBLEM_COLUMNS, Row, STEP_COLUMNS, TableWriter};

/// Steps that are added to the ledger in one change.
const STEPS_PER_CHANGE: usize = 512;

/// Changes that wait for the ledger at most.
const WAITING_CHANGES: usize = 4;

/// What a restore will do. The steps themselves are in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestorePlan {
    /// The snapshot.
    pub snapshot: String,
    /// Whether the run that made it was partial.
    pub is_partial: bool,
    /// The folder that everything goes into, if any.
    pub folder: Option<String>,
    /// Folders to be made or found.
    pub folders: u64,
    /// Files to be uploaded, unless they are there.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Rows that cannot be restored, whatever the target says.
    pub unrestorable: u64,
    /// Each pair of drives.
    pub drives: Vec<DrivePlan>,
    /// Problems by code.
    pub problems: BTreeMap<String, u64>,
}

/// One drive of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrivePlan {
    /// The drive in the snapshot.
    pub source: String,
    /// The drive it goes into.
    pub target: String,
    /// Files to be uploaded.
    pub files: u64,
    /// Folders to be made or found.
    pub folders: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes that the target has left, where it says.
    pub room: Option<u64>,
}

/// Puts the steps for the wanted rows into the ledger, unless they are there already, and says what they come to.
///
/// `rows` come as a manifest has them: drive by drive, by path within each. Nothing is asked of a drive.
///
/// # Errors
/// When the ledger fails. A row that cannot be read is a failure of the restore, not of the plan.
pub async fn plan<R>(ledger: &Ledger, rows: R, selection: &Selection) -> Result<RestorePlan, Error>
where
    R: Iterator<Item = Result<Row, manifest::Error>> + Send + 'static,
{
    if !ledger.uploads_loaded().await? {
        ledger.clear_uploads().await?;
        load(ledger, rows, selection).await?;
        ledger.finish_loading().await?;
        ledger.flush().await?;
    }
    describe(ledger, selection).await
}

/// Writes the readiness scan as CSV and gives the target back with the number of problems.
///
/// # Errors
/// When the ledger fails or the target refuses.
pub async fn write_readiness<W: Write + Send + 'static>(
    ledger: &Ledger,
    target: W,
    bom: bool,
) -> Result<(W, u64), Error> {
    let table = Arc::new(Mutex::new(TableWriter::new(target, &PROBLEM_COLUMNS, bom)?));
    let shared = Arc::clone(&table);
    ledger
        .problems(move |problem| {
            let size = problem.size.map(|size| size.to_string()).unwrap_or_default();
            let cells = [
                problem.problem.as_str(),
                &problem.drive,
                &problem.path,
                &size,
                &problem.detail,
            ];
            let mut table = shared.lock().unwrap_or_else(PoisonError::into_inner);
            table.write(&cells)
        })
        .await??;
    super::results::take(table)?.finish().map_err(Error::from)
}

/// Writes every step as CSV, by drive and path, and gives the target back with their number. After a rehearsal each step
/// tells what would become of it.
///
/// # Errors
/// When the ledger fails or the target refuses.
pub async fn write_steps<W: Write + Send + 'static>(
    ledger: &Ledger,
    target: W,
    bom: bool,
) -> Result<(W, u64), Error> {
    let table = Arc::new(Mutex::new(TableWriter::new(target, &STEP_COLUMNS, bom)?));
    let shared = Arc::clone(&table);
    ledger
        .upload_rows(false, move |row| {
            let size = row.size.map(|size| size.to_string()).unwrap_or_default();
            let cells = [
                row.kind.as_str(),
                &row.drive,
                &row.path,
                &row.target,
                row.new_name.as_deref().unwrap_or(""),
                &size,
                row.outcome.map_or("", UploadOutcome::as_str),
                &row.reason,
            ];
            let mut table = shared.lock().unwrap_or_else(PoisonError::into_inner);
            table.write(&cells)
        })
        .await??;
    super::results::take(table)?.finish().map_err(Error::from)
}

async fn load<R>(ledger: &Ledger, rows: R, selection: &Selection) -> Result<(), Error>
where
    R: Iterator<Item = Result<Row, manifest::Error>> + Send + 'static,
{
    let (sender, mut inbox) = mpsc::channel::<(Vec<NewUpload>, Vec<Problem>)>(WAITING_CHANGES);
    let mut steps = Steps::new(selection.clone());
    let reading = tokio::task::spawn_blocking(move || {
        for row in rows {
            steps.take(row);
            if steps.made.len() + steps.problems.len() >= STEPS_PER_CHANGE {
                let batch = (
                    std::mem::take(&mut steps.made),
                    std::mem::take(&mut steps.problems),
                );
                if sender.blocking_send(batch).is_err() {
                    return;
                }
            }
        }
        steps.end();
        let _ = sender.blocking_send((steps.made, steps.problems));
    });
    while let Some((made, problems)) = inbox.recv().await {
        ledger.add_uploads(made).await?;
        ledger.add_problems(problems).await?;
    }
    if let Err(error) = reading.await
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
    Ok(())
}

/// Notes as a problem each target drive that has less room than what shall be put there needs.
///
/// # Errors
/// When the ledger fails.
pub async fn check_room(ledger: &Ledger, selection: &Selection) -> Result<(), Error> {
    let mut needed: BTreeMap<String, u64> = BTreeMap::new();
    for (_, target, _, _, bytes) in ledger.upload_drives().await? {
        *needed.entry(target).or_default() += bytes;
    }
    let problems = needed
        .into_iter()
        .filter_map(|(target, bytes)| {
            let room = room(selection, &target)?;
            (bytes > room).then(|| Problem {
                problem: "quota".to_owned(),
                drive: target,
                path: String::new(),
                size: Some(bytes),
                detail: format!("{bytes} bytes are needed, {room} are free"),
            })
        })
        .collect();
    ledger.add_problems(problems).await?;
    Ok(())
}

fn room(selection: &Selection, target: &str) -> Option<u64> {
    let root = selection
        .targets
        .values()
        .find(|root| root.entry.drive.as_str() == target)?;
    let quota = root.quota?;
    Some(quota.total?.saturating_sub(quota.used.unwrap_or(0)))
}

async fn describe(ledger: &Ledger, selection: &Selection) -> Result<RestorePlan, Error> {
    let mut plan = RestorePlan {
        snapshot: selection.snapshot.clone(),
        is_partial: selection.is_partial,
        folder: match &selection.to {
            Place::Original => None,
            Place::Folder(name) => Some(name.clone()),
        },
        ..RestorePlan::default()
    };
    for (source, target, files, folders, bytes) in ledger.upload_drives().await? {
        plan.files += files;
        plan.folders += folders;
        plan.bytes += bytes;
        plan.drives.push(DrivePlan {
            room: room(selection, &target),
            source,
            target,
            files,
            folders,
            bytes,
        });
    }
    let totals = ledger.upload_totals().await?;
    plan.unrestorable = super::results::lost(&totals);
    plan.problems = ledger.problem_counts().await?;
    Ok(plan)
}
