//! Files and folders by a glob, over one night or all of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::archive::{self, Archive, Snapshot};
use crate::entry::Kind;
use crate::filter::{WordGlob, WordGlobError};
use crate::id::{DriveId, FileId, SnapshotId};
use crate::manifest::{Look, Outcome, Row};
use crate::path::DrivePath;
use crate::stop::Stop;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which names or paths.
    pub pattern: Pattern,
    /// One drive; `None` is every one.
    pub drive: Option<DriveId>,
    /// One snapshot; `None` is every one.
    pub snapshot: Option<SnapshotId>,
    /// The most matches that are kept; further ones are only noted. They bound the memory.
    pub limit: usize,
}

/// A glob: with a `/` in it, it matches whole paths, and `*` stays within one folder while `**` does not; without one, it matches names.
/// Case does not matter.
#[derive(Clone, Debug)]
pub struct Pattern {
    glob: WordGlob,
    on_paths: bool,
}

impl Pattern {
    /// Reads a glob.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Pattern, WordGlobError> {
        let on_paths = text.contains('/');
        let rooted = match text {
            text if on_paths && !text.starts_with('/') && !text.starts_with("**") => format!("/{text}"),
            text => text.to_owned(),
        };
        Ok(Pattern {
            glob: WordGlob::new(&rooted, on_paths)?,
            on_paths,
        })
    }

    /// Whether it may match the item of that path. A name that holds a slash itself is judged when its row is taken apart.
    fn glances(&self, path: &str) -> bool {
        if self.on_paths {
            return self.glob.is_match(path);
        }
        // From every slash on, since nobody sees here which of them are in the name; the first fits nearly always or never.
        path.rmatch_indices('/')
            .any(|(place, _)| self.glob.is_match(path.get(place + 1..).unwrap_or_default()))
    }

    fn matches(&self, row: &Row) -> bool {
        self.on_paths || self.glob.is_match(&row.entry.name)
    }
}

/// One item at one path, with the nights in which it was there.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The drive.
    pub drive: DriveId,
    /// The path.
    pub path: DrivePath,
    /// The id; a renamed or moved item has a match for each of its paths.
    pub id: FileId,
    /// File or folder.
    pub kind: Kind,
    /// The first night it was seen there.
    pub first: SnapshotId,
    /// The last night it was seen there.
    pub last: SnapshotId,
    /// In how many nights it was seen there.
    pub nights: u64,
    /// Its size in the last of them, in bytes.
    pub size: Option<u64>,
    /// Its modified time in the last of them.
    pub modified: Option<Timestamp>,
    /// What became of it in the last of them.
    pub outcome: Outcome,
    /// The newest place of its bytes.
    pub stored_at: Option<String>,
}

impl Match {
    /// The match as one JSON object. Sizes are bytes.
    pub fn to_json(&self) -> Value {
        json!({
            "drive": self.drive.as_str(),
            "path": self.path.as_str(),
            "id": self.id.as_str(),
            "kind": self.kind.as_str(),
            "first": self.first.as_str(),
            "last": self.last.as_str(),
            "nights": self.nights,
            "size": self.size,
            "modified": self.modified.map(|time| time.to_string()),
            "outcome": self.outcome.as_str(),
            "stored_at": self.stored_at,
        })
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// By drive, path and id.
    pub matches: Vec<Match>,
    /// Whether there are more than the limit; those kept are the first by drive and path.
    pub more: bool,
    /// Snapshots that were searched.
    pub searched: usize,
    /// Snapshots whose manifest does not read to its end.
    pub unreadable: Vec<(SnapshotId, archive::Error)>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// Finds what matches. Each manifest is read as a stream, several at the same time on as many threads as there are cores.
///
/// # Errors
/// When the archive cannot be listed, or the one snapshot does not read.
pub fn find(archive: &Archive, query: &Query, stop: &Stop) -> Result<Found, archive::Error> {
    let mut found = Found::default();
    let snapshots = match &query.snapshot {
        Some(id) => vec![archive.snapshot(id)?],
        None => {
            let survey = archive.survey()?;
            found.unreadable.extend(
                survey
                    .damaged
                    .into_iter()
                    .map(|damaged| (damaged.id, damaged.error)),
            );
            survey.snapshots
        }
    };
    let shared = Shared {
        query,
        stop,
        kept: Mutex::default(),
        more: AtomicBool::new(false),
        next: AtomicUsize::new(0),
        failed: Mutex::default(),
    };
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(snapshots.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| shared.work(&snapshots));
        }
    });
    found.searched = snapshots.len();
    found.stopped = stop.is_draining();
    found.more = shared.more.load(Ordering::Relaxed);
    found
        .unreadable
        .extend(shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner));
    found.unreadable.sort_by(|one, two| one.0.cmp(&two.0));
    found.matches = shared
        .kept
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
        .collect();
    Ok(found)
}

type Key = (DriveId, DrivePath, FileId);

/// What the threads share.
struct Shared<'a> {
    query: &'a Query,
    stop: &'a Stop,
    kept: Mutex<BTreeMap<Key, Match>>,
    more: AtomicBool,
    next: AtomicUsize,
    failed: Mutex<Vec<(SnapshotId, archive::Error)>>,
}

impl Shared<'_> {
    fn work(&self, snapshots: &[Snapshot]) {
        while let Some(snapshot) = snapshots.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = self.search(snapshot) {
                self.failed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((snapshot.id.clone(), error));
            }
        }
    }

    fn search(&self, snapshot: &Snapshot) -> Result<(), archive::Error> {
        let mut rows = snapshot.manifest()?;
        let drive = self.query.drive.as_ref().map(DriveId::as_str);
        let pattern = &self.query.pattern;
        let look = |glance: crate::manifest::Glance<'_>| {
            if self.stop.is_draining() || drive.is_some_and(|drive| glance.drive > drive) {
                Look::End
            } else if drive.is_none_or(|drive| glance.drive == drive) && pattern.glances(glance.path) {
                Look::Take
            } else {
                Look::Pass
            }
        };
        while let Some(row) = rows.next_where(look) {
            let row = row.map_err(|source| archive::Error::Manifest {
                path: snapshot.path.join("manifest.csv"),
                source,
            })?;
            if pattern.matches(&row) {
                self.keep(&snapshot.id, row);
            }
        }
        Ok(())
    }

    fn keep(&self, night: &SnapshotId, row: Row) {
        let key = (row.entry.drive.clone(), row.path.clone(), row.entry.id.clone());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get_mut(&key) {
            known.nights += 1;
            if *night < known.first {
                known.first = night.clone();
            }
            if *night > known.last {
                let stored_at = row.stored_at.or(known.stored_at.take());
                known.last = night.clone();
                known.size = row.entry.size;
                known.modified = row.entry.modified;
                known.outcome = row.outcome;
                known.stored_at = stored_at;
            } else if known.stored_at.is_none() {
                known.stored_at = row.stored_at;
            }
            return;
        }
        let found = Match {
            drive: row.entry.drive,
            path: row.path,
            id: row.entry.id,
            kind: row.entry.kind,
            first: night.clone(),
            last: night.clone(),
            nights: 1,
            size: row.entry.size,
            modified: row.entry.modified,
            outcome: row.outcome,
            stored_at: row.stored_at,
        };
        kept.insert(key, found);
        // Only the last by order ever goes, so what stays has all its nights, in whatever order the threads come.
        if kept.len() > self.query.limit {
            kept.pop_last();
            self.more.store(true, Ordering::Relaxed);
        }
    }
}
