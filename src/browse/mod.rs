//! What is in an archive, over all nights: questions that are answered from heads and tails, or by reading manifests as streams.

mod catalogue;
mod find;
mod health;
mod list;
mod place;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::archive::{self, Archive, Snapshot};
use crate::id::SnapshotId;
use crate::retention::Held;

pub use catalogue::{Updated, catalogue};
pub use find::{Found, Match, Pattern, Query, find};
pub use health::{Freshness, Health, status};
pub use list::{Item, Listing, list};
pub use place::{NotAPlace, Place};

/// One line of the table of snapshots.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The snapshot.
    pub id: SnapshotId,
    /// `complete`, `partial`, or `damaged` when head or tail do not read.
    pub status: &'static str,
    /// Kind of the job that made it.
    pub kind: String,
    /// The job's name.
    pub job: String,
    /// Files whose bytes it has; of an audit, files it listed.
    pub held: Held,
    /// Rows of things that are not stored.
    pub failures: u64,
    /// When its run began.
    pub started: Option<Timestamp>,
    /// How long its run took, resumed runs from their first beginning.
    pub took: Option<Duration>,
    /// What does not read.
    pub error: Option<String>,
}

impl Line {
    /// The line as one JSON object. Sizes are bytes, durations seconds.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id.as_str(),
            "status": self.status,
            "kind": self.kind,
            "job": self.job,
            "files": self.held.files,
            "bytes": self.held.bytes,
            "failures": self.failures,
            "started": self.started.map(|time| time.to_string()),
            "seconds": self.took.map(|took| took.as_secs()),
            "error": self.error,
        })
    }
}

/// Every snapshot of the archive, oldest first. Reads heads and tails only.
///
/// # Errors
/// When the archive folder cannot be listed. A snapshot that does not read is a line that says so.
pub fn snapshots(archive: &Archive) -> Result<Vec<Line>, archive::Error> {
    let survey = archive.survey()?;
    let mut lines: Vec<Line> = survey.snapshots.iter().map(line).collect();
    lines.extend(survey.damaged.into_iter().map(|damaged| Line {
        started: damaged.id.time(),
        id: damaged.id,
        status: "damaged",
        kind: String::new(),
        job: String::new(),
        held: Held::default(),
        failures: 0,
        took: None,
        error: Some(damaged.error.to_string()),
    }));
    lines.sort_by(|one, two| one.id.cmp(&two.id));
    Ok(lines)
}

fn line(snapshot: &Snapshot) -> Line {
    let tail = snapshot.tail.as_ref();
    Line {
        id: snapshot.id.clone(),
        status: match tail {
            None => "damaged",
            Some(_) if snapshot.is_complete() => "complete",
            Some(_) => "partial",
        },
        kind: snapshot.head.kind.clone(),
        job: snapshot.head.job.clone(),
        held: held(snapshot),
        failures: tail.map_or(0, |tail| tail.failures_rows),
        started: Some(snapshot.head.started),
        took: tail
            .and_then(|tail| Duration::try_from(tail.finished.duration_since(snapshot.head.started)).ok()),
        error: tail.is_none().then(|| "TAIL.json is missing".to_owned()),
    }
}

/// Files that a snapshot has, and their bytes. An audit has no bytes, so what it listed counts.
fn held(snapshot: &Snapshot) -> Held {
    let count = snapshot
        .tail
        .as_ref()
        .map(|tail| tail.totals.held())
        .unwrap_or_default();
    Held {
        files: count.files,
        bytes: count.bytes,
    }
}
