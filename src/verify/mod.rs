//! Reads an archive back: heads, tails and their chain, manifests, and the bytes of every file or of a sample.

mod extras;
mod files;
mod heads;
mod problem;
mod rotation;
mod rows;
mod spot;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::archive::{self, Archive};
use crate::id::SnapshotId;
use crate::monitor::{Monitor, Phase};
use crate::report::size;
use crate::stop::Stop;
use files::Checker;
use rotation::{BUCKETS, Rotation};

pub use problem::{Kind, Problem, Tally};
pub use spot::{SpotCheck, SpotFinding, SpotOptions, SpotState, spot_check};

/// What is read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// One snapshot; `None` is every one.
    pub snapshot: Option<SnapshotId>,
    /// The share of files that is read back, 0.0 to 1.0. Those whose turn was longest ago come first, so that in time all have their turn.
    pub sample: f64,
    /// Only files that were last read back longer ago than this.
    pub older_than: Option<Duration>,
    /// Threads that read and hash; `None` takes one for each core.
    pub threads: Option<NonZeroUsize>,
    /// The time now.
    pub now: Timestamp,
}

impl Options {
    /// Everything of every snapshot.
    pub fn whole(now: Timestamp) -> Options {
        Options {
            snapshot: None,
            sample: 1.0,
            older_than: None,
            threads: None,
            now,
        }
    }

    fn is_whole(&self) -> bool {
        self.sample >= 1.0 && self.older_than.is_none()
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Snapshots that were looked at.
    pub snapshots: u64,
    /// Rows of their manifests.
    pub rows: u64,
    /// Files that were looked for and found with their size and hash.
    pub good: u64,
    /// Of these, files that are another name of one that was read before in the same verification.
    pub linked: u64,
    /// Bytes that were read and hashed.
    pub bytes: u64,
    /// Problems by kind.
    pub problems: Tally,
    /// Snapshots that somebody removed meanwhile.
    pub gone: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// What else a person should know.
    pub warnings: Vec<String>,
}

impl Summary {
    /// Whether all that was read is as it should be. A stopped verification is good as far as it went.
    pub fn is_good(&self) -> bool {
        self.problems.count() == 0
    }

    /// Whether there was no snapshot at all, so that nothing is known to be good.
    pub fn is_empty(&self) -> bool {
        self.is_good() && self.snapshots == 0 && !self.stopped
    }

    /// The summary for people, in one line.
    pub fn to_text(&self) -> String {
        if self.is_empty() {
            return "NOTHING: the archive holds no snapshot that could be read back".to_owned();
        }
        let verdict = match (self.problems.count(), self.stopped) {
            (0, false) => "good".to_owned(),
            (0, true) => "good as far as it went, STOPPED before its end".to_owned(),
            (1, _) => "1 PROBLEM".to_owned(),
            (count, _) => format!("{count} PROBLEMS"),
        };
        format!(
            "{verdict}: {} rows of {} read, {} files as they should be, {} hashed",
            self.rows,
            match self.snapshots {
                1 => "1 snapshot".to_owned(),
                count => format!("{count} snapshots"),
            },
            self.good,
            size(self.bytes)
        )
    }

    /// The summary as one JSON object. Sizes are bytes.
    pub fn to_json(&self) -> Value {
        json!({
            "good": self.is_good() && !self.is_empty(),
            "snapshots": self.snapshots,
            "rows": self.rows,
            "files_good": self.good,
            "files_linked": self.linked,
            "bytes_read": self.bytes,
            "problems": self.problems.count(),
            "problems_by_kind": self.problems.to_json(),
            "snapshots_gone": self.gone,
            "stopped": self.stopped,
            "warnings": self.warnings,
        })
    }
}

/// Reads back what `options` say and gives each problem to `on_problem` as it is found. Blocks on the disk and uses several threads.
///
/// Heads, tails, their chain, and the manifests with their hashes are always read. A whole verification also looks for files that no row knows.
/// It writes nothing but `.drivejob/verified.json`, which says what had its turn; it needs no lock, and a snapshot that is removed meanwhile is
/// no problem. Memory is bounded: 8 bytes for each of at most four million rows at a time, and 64 MB for the names of shared files.
///
/// # Errors
/// When the archive folder cannot be listed, or the one snapshot is not there. Everything else is a problem.
pub fn verify(
    archive: &Archive,
    options: &Options,
    stop: &Stop,
    monitor: &dyn Monitor,
    on_problem: &mut dyn FnMut(&Problem),
) -> Result<Summary, archive::Error> {
    let ids = match &options.snapshot {
        None => archive.snapshot_ids()?,
        Some(id) if archive.snapshot_ids()?.contains(id) => vec![id.clone()],
        Some(id) => return Err(archive::Error::NoSnapshot(id.to_string())),
    };
    monitor.phase(Phase::Working);
    let rotation = Rotation::read(archive.path());
    let turn = rotation.turn(archive, &ids, options);
    let checker = Checker::new(archive, ids.len() > 1);
    let threads = options
        .threads
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);

    let mut summary = Summary::default();
    heads::check_marker(archive, &ids, &mut |problem| {
        summary.problems.add(problem.kind);
        on_problem(&problem);
    });
    let mut bad_buckets = [false; BUCKETS];
    for id in &ids {
        if stop.is_draining() {
            summary.stopped = true;
            break;
        }
        let mut report = |problem: Problem| {
            if let Some(bad) = problem.bucket.and_then(|bucket| bad_buckets.get_mut(bucket)) {
                *bad = true;
            }
            summary.problems.add(problem.kind);
            on_problem(&problem);
        };
        let Some(heads) = heads::check(archive, id, &mut report) else {
            summary.gone += 1;
            continue;
        };
        let found = rows::check(
            &rows::Work {
                archive,
                id,
                heads: &heads,
                turn: &turn,
                whole: options.is_whole(),
                threads,
                checker: &checker,
                stop,
                monitor,
            },
            &mut report,
        );
        summary.snapshots += 1;
        summary.rows += found.rows;
        summary.good += found.good;
        summary.linked += found.linked;
        summary.bytes += found.bytes;
        summary.stopped |= found.stopped;
    }
    if options.snapshot.is_none()
        && !summary.stopped
        && let Err(error) = rotation.write(archive.path(), &turn, &bad_buckets, options.now)
    {
        summary.warnings.push(format!(
            "it could not be noted which files were read back, so the next sample may read the same: {error}"
        ));
    }
    Ok(summary)
}
