//! Two snapshots of an archive, compared; and a run's snapshot with the one before it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Error;
use crate::archive::{Archive, Run, SideName, Snapshot};
use crate::diff::{self, Change, CsvWriter, Options, Summary};
use crate::id::{DriveId, SnapshotId};
use crate::job::{self, Job};

/// Two snapshots that are to be compared.
#[derive(Debug)]
pub struct Comparison {
    /// The earlier one.
    pub before: Snapshot,
    /// The later one.
    pub after: Snapshot,
    scratch: PathBuf,
}

impl Comparison {
    /// Finds the snapshots that two words mean: names, dates, `latest`, or `previous`, which is the one before. Where the
    /// later one is a backup, dates and `previous` mean backups, and so for audits.
    ///
    /// # Errors
    /// When the folder is no archive, or a word means no snapshot.
    pub fn open(archive: &Path, before: &str, after: &str) -> Result<Comparison, Error> {
        let archive = Archive::open(archive)?;
        let latest = |kind: Option<&str>| archive.resolve("latest", kind);
        let after = match after {
            PREVIOUS => {
                let latest = latest(None)?;
                earlier(&archive, &latest, PREVIOUS)?
            }
            word => archive.resolve(word, None)?,
        };
        let before = match before {
            PREVIOUS => earlier(&archive, &after, PREVIOUS)?,
            word => archive.resolve(word, Some(&after.head.kind))?,
        };
        let scratch = archive.scratch().unwrap_or_else(std::env::temp_dir);
        Ok(Comparison {
            before,
            after,
            scratch,
        })
    }

    /// Compares them and gives each change to `sink`.
    ///
    /// # Errors
    /// When a manifest cannot be read, or the sink fails.
    pub fn run(&self, sink: impl FnMut(&Change) -> io::Result<()>) -> Result<Summary, Error> {
        let options = Options {
            covered_after: covered(
                self.after
                    .tail
                    .as_ref()
                    .map_or(&Value::Null, |tail| &tail.coverage),
            ),
        };
        let (before, after) = (self.before.manifest()?, self.after.manifest()?);
        Ok(diff::diff(before, after, &self.scratch, &options, sink)?)
    }
}

/// The word for the snapshot before.
const PREVIOUS: &str = "previous";

/// The newest snapshot of the same kind before `snapshot`, of the same job where there is one.
fn earlier(archive: &Archive, snapshot: &Snapshot, word: &str) -> Result<Snapshot, Error> {
    let ids = archive.snapshot_ids()?;
    let older = ids.iter().rev().filter(|id| **id < snapshot.id);
    newest(archive, older, &snapshot.head.kind, &snapshot.head.job)
        .ok_or_else(|| crate::archive::Error::NoSnapshot(word.to_owned()).into())
}

fn newest<'a>(
    archive: &Archive,
    ids: impl Iterator<Item = &'a SnapshotId>,
    kind: &str,
    job: &str,
) -> Option<Snapshot> {
    let mut other = None;
    for id in ids {
        // A damaged one does not hide those before it.
        let Ok(snapshot) = archive.snapshot(id) else {
            continue;
        };
        if snapshot.head.kind != kind || snapshot.tail.is_none() {
            continue;
        }
        if snapshot.head.job == job {
            return Some(snapshot);
        }
        other.get_or_insert(snapshot);
    }
    other
}

/// The drives that a coverage statement says were read.
fn covered(coverage: &Value) -> BTreeSet<DriveId> {
    let drives = coverage.get("drives").and_then(Value::as_array);
    let read = drives.into_iter().flatten().filter(|drive| {
        let closed = drive.get("folders_closed").and_then(Value::as_u64);
        drive.get("readable") == Some(&Value::Bool(true)) && closed.is_some_and(|closed| closed > 0)
    });
    read.filter_map(|drive| drive.get("drive").and_then(Value::as_str))
        .map(DriveId::new)
        .collect()
}

/// What changed since the snapshot before.
#[derive(Debug)]
pub(super) struct Changes {
    /// For the tail and the summary.
    pub(super) told: Value,
    /// Limits of the job that were passed, as key and sentence.
    pub(super) alarms: Vec<(String, String)>,
}

/// What came of comparing a run's snapshot with the one before.
#[derive(Debug)]
pub(super) enum Compared {
    /// There is none before.
    First,
    /// This is why it is not known.
    Unknown(String),
    /// It is known.
    Told(Changes),
}

/// Writes `diff.csv` of a run whose manifest is written. An earlier manifest that cannot be read is no error: tonight's
/// snapshot is no worse for it.
pub(super) fn compare_run(
    archive: &Archive,
    run: &Run,
    job: &Job,
    covered_after: BTreeSet<DriveId>,
) -> Result<Compared, Error> {
    let head = run.head();
    let ids = archive.snapshot_ids()?;
    let Some(before) = newest(archive, ids.iter().rev(), &head.kind, &head.job) else {
        return Ok(Compared::First);
    };
    let checked = before.verify_manifest_hash().and_then(|()| before.manifest());
    let rows = match checked {
        Ok(rows) => rows,
        Err(error) => return Ok(Compared::Unknown(unknown(&before, &error))),
    };
    let options = Options { covered_after };
    let file = run.side_file(SideName::Diff)?;
    let mut csv = CsvWriter::new(file, job.bom).map_err(diff::Error::Sink)?;
    let found = diff::diff(rows, run.written_rows()?, &run.state_path(), &options, |change| {
        csv.write(change)
    });
    let summary = match found {
        Ok(summary) => summary,
        Err(error @ diff::Error::Before(_)) => {
            drop(csv);
            run.remove_side_file(SideName::Diff)?;
            return Ok(Compared::Unknown(unknown(&before, &error)));
        }
        Err(error) => return Err(error.into()),
    };
    csv.finish().map_err(diff::Error::Sink)?.finish()?;
    let mut told = summary.to_json();
    if let Some(told) = told.as_object_mut() {
        told.insert("since".to_owned(), json!(before.id.as_str()));
    }
    let alarms = limits(&job.alarms).judge(&summary);
    Ok(Compared::Told(Changes {
        told,
        alarms: alarms
            .into_iter()
            .map(|alarm| (alarm.name.to_owned(), alarm.message))
            .collect(),
    }))
}

fn unknown(before: &Snapshot, error: &(dyn std::error::Error + 'static)) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!(
        "what changed since {} is not known: {error}{}",
        before.id,
        cause.unwrap_or_default()
    )
}

fn limits(alarms: &job::Alarms) -> diff::Alarms {
    let share = |share: Option<job::Share>| share.map(|share| f64::from(share.millionths()) / 1_000_000.0);
    diff::Alarms {
        changed_share: share(alarms.changed),
        deleted_share: share(alarms.deleted),
        new_public_links: alarms.new_public_links.then_some(0),
        extension_shift: share(alarms.extension_shift),
        size_drop: share(alarms.size_drop),
    }
}
