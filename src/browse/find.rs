//! Files and folders by a glob, over one night or all of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::catalogue::{self, Scan};
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

/// The path that a path cell and a name stand for.
pub(super) fn path_of(path: &str, name: Option<&str>) -> DrivePath {
    match name {
        // Only a nameless child of the root has the root's path and a name to tell.
        Some("") if path == "/" => DrivePath::root().join(""),
        _ => DrivePath::from_text(path),
    }
}

/// Finds what matches, over all nights by the archive's catalogue: what it lacks is read first, and `told` learns of how many nights.
/// Where it cannot be written, and for one night, the manifests themselves are read as streams, several at the same time.
///
/// # Errors
/// When the archive cannot be listed, or the one snapshot does not read.
pub fn find(
    archive: &Archive,
    query: &Query,
    stop: &Stop,
    told: &mut dyn FnMut(usize),
) -> Result<Found, archive::Error> {
    if let Some(id) = &query.snapshot {
        return Ok(read(&[&archive.snapshot(id)?], query, stop, Keeper::new(query)));
    }
    let survey = archive.survey()?;
    let snapshots = &survey.snapshots;
    // One more for what another process changed meanwhile.
    let passes = snapshots.len().div_ceil(catalogue::NIGHTS_PER_PASS) + 1;
    let mut found = None;
    // The second time, after the catalogue was found to be damaged, it is made anew.
    for _ in 0..2 {
        if let Err(error) = catalogue::update(archive, snapshots, passes, stop, told) {
            tracing::debug!(%error, "the catalogue cannot be written");
        }
        let Some(scan) = Scan::open(archive, snapshots) else {
            break;
        };
        let apart: Vec<&Snapshot> = snapshots
            .iter()
            .filter(|snapshot| !scan.covers(snapshot))
            .collect();
        let mut keeper = Keeper::new(query);
        if ask(scan, query, stop, &mut keeper).is_ok() {
            found = Some(read(&apart, query, stop, keeper));
            break;
        }
        catalogue::forget(archive);
    }
    let mut found = found.unwrap_or_else(|| {
        let all: Vec<&Snapshot> = snapshots.iter().collect();
        read(&all, query, stop, Keeper::new(query))
    });
    found.searched = survey.snapshots.len();
    let damaged = survey.damaged.into_iter();
    found
        .unreadable
        .extend(damaged.map(|damaged| (damaged.id, damaged.error)));
    found.unreadable.sort_by(|one, two| one.0.cmp(&two.0));
    Ok(found)
}

/// Asks the catalogue.
fn ask(scan: Scan, query: &Query, stop: &Stop, keeper: &mut Keeper) -> Result<(), &'static str> {
    let wanted = query.drive.as_ref().map(DriveId::as_str);
    let pattern = &query.pattern;
    scan.each(
        |drive, path, name| {
            if stop.is_draining() || wanted.is_some_and(|wanted| drive > wanted) {
                Look::End
            } else if wanted.is_none_or(|wanted| wanted == drive)
                && if pattern.on_paths {
                    pattern.glob.is_match(path)
                } else {
                    pattern.glob.is_match(name)
                }
            {
                Look::Take
            } else {
                Look::Pass
            }
        },
        |one| {
            keeper.keep(one);
            // They come in order: what follows would go at once.
            !keeper.more
        },
    )
}

/// Reads manifests, several at the same time on as many threads as there are cores, and adds what matches to what is kept.
fn read(snapshots: &[&Snapshot], query: &Query, stop: &Stop, keeper: Keeper) -> Found {
    let shared = Shared {
        query,
        stop,
        keeper: Mutex::new(keeper),
        next: AtomicUsize::new(0),
        failed: Mutex::default(),
    };
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(snapshots.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| shared.work(snapshots));
        }
    });
    let keeper = shared.keeper.into_inner().unwrap_or_else(PoisonError::into_inner);
    Found {
        matches: keeper.kept.into_values().collect(),
        more: keeper.more,
        searched: snapshots.len(),
        unreadable: shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner),
        stopped: stop.is_draining(),
    }
}

type Key = (DriveId, DrivePath, FileId);

/// The first matches by drive, path and id.
#[derive(Debug)]
struct Keeper {
    limit: usize,
    kept: BTreeMap<Key, Match>,
    more: bool,
}

impl Keeper {
    fn new(query: &Query) -> Keeper {
        Keeper {
            limit: query.limit,
            kept: BTreeMap::new(),
            more: false,
        }
    }

    /// Adds what other nights say, in whatever order they come.
    fn keep(&mut self, one: Match) {
        let key = (one.drive.clone(), one.path.clone(), one.id.clone());
        if let Some(known) = self.kept.get_mut(&key) {
            known.add(one);
            return;
        }
        self.kept.insert(key, one);
        // Only the last by order ever goes, so what stays has all its nights.
        if self.kept.len() > self.limit {
            self.kept.pop_last();
            self.more = true;
        }
    }
}

impl Match {
    /// Adds the same item in other nights.
    fn add(&mut self, mut other: Match) {
        if other.last > self.last {
            std::mem::swap(self, &mut other);
        }
        self.nights += other.nights;
        self.first = self.first.clone().min(other.first);
        // A place begins with its night.
        self.stored_at = self.stored_at.take().max(other.stored_at);
    }
}

/// What the threads share.
struct Shared<'a> {
    query: &'a Query,
    stop: &'a Stop,
    keeper: Mutex<Keeper>,
    next: AtomicUsize,
    failed: Mutex<Vec<(SnapshotId, archive::Error)>>,
}

impl Shared<'_> {
    fn work(&self, snapshots: &[&Snapshot]) {
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
        let mut before: Option<Key> = None;
        while let Some(row) = rows.next_where(look) {
            let row = row.map_err(|source| archive::Error::Manifest {
                path: snapshot.path.join("manifest.csv"),
                source,
            })?;
            let key = (row.entry.drive.clone(), row.path.clone(), row.entry.id.clone());
            // Items without an id at one path are one for whoever looks for them.
            if pattern.matches(&row) && before.as_ref() != Some(&key) {
                self.keep(&snapshot.id, row);
                before = Some(key);
            }
        }
        Ok(())
    }

    fn keep(&self, night: &SnapshotId, row: Row) {
        let one = Match {
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
        self.keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keep(one);
    }
}

/// The same answer without the catalogue.
#[cfg(test)]
pub(super) fn find_by_reading(archive: &Archive, query: &Query) -> Vec<Match> {
    let snapshots = archive.snapshots().unwrap_or_default();
    let all: Vec<&Snapshot> = snapshots.iter().collect();
    read(&all, query, &Stop::new(), Keeper::new(query)).matches
}
