//! What was where in which nights, in one file, so that a question over a year does not read a year of manifests.
//!
//! Most of a night is as the night before, so an item has its nights as spans, each with what the manifests said in it. The file lies in
//! `.drivejob/catalogue` and can be done without: it follows from the manifests, and is made anew where it is missing, damaged or another
//! archive's. Its items stand in the order of the manifests, so that a night is merged in one pass, with memory that does not grow.
//! It says which snapshots it covers, by name and by the hash of the manifest: a snapshot that was pruned counts for nothing at once,
//! and leaves the file with the next merge.

mod blocks;
mod file;
mod item;
mod merge;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::archive::{Archive, Snapshot};
use crate::id::{DriveId, FileId, SnapshotId};
use crate::stop::Stop;
use blocks::Error;
use file::{About, CatalogueReader, Night};
use item::{Item, Place};
use merge::{Failure, merge};

use super::find::{Match, path_of};

/// The folder below the archive's state, and the file in it.
const FOLDER: &str = "catalogue";
const FILE: &str = "nights";

/// What the name of a file that is being written begins with.
const UNFINISHED: &str = "unfinished-";

/// Manifests that are merged in one pass: each costs an open file and some hundred KB.
pub(super) const NIGHTS_PER_PASS: usize = 64;

/// After this time, nobody is writing an unfinished file any more.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// How far the catalogue could be brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Updated {
    /// Nights whose manifests were read for it.
    pub read: usize,
    /// Nights that are still to be read.
    pub left: usize,
}

/// Brings the archive's catalogue up to date with at most `passes` passes of 64 nights each, so that `find` has less to do. Blocks on the
/// disk. It needs no lock: a file takes the place of another whole.
///
/// # Errors
/// When the catalogue cannot be written. `find` answers all the same, by reading manifests.
pub fn catalogue(archive: &Archive, passes: usize, stop: &Stop) -> io::Result<Updated> {
    let survey = archive.survey().map_err(io::Error::other)?;
    update(archive, &survey.snapshots, passes, stop, &mut |_| {})
}

/// The same for snapshots that are known already; `told` learns how many nights will be read, before the first of them is.
pub(super) fn update(
    archive: &Archive,
    snapshots: &[Snapshot],
    passes: usize,
    stop: &Stop,
    told: &mut dyn FnMut(usize),
) -> io::Result<Updated> {
    let mut done = Updated::default();
    for pass in 0..passes {
        let old = open(archive).ok().flatten();
        let (old, missing) = compare(old, snapshots);
        done.left = missing.len();
        if missing.is_empty() {
            return Ok(done);
        }
        if pass == 0 {
            told(missing.len().min(passes.saturating_mul(NIGHTS_PER_PASS)));
        }
        let batch = missing.get(..NIGHTS_PER_PASS).unwrap_or(&missing);
        let about = old.map_or_else(|| About::new(archive), |old| old.about);
        if !add(archive, &about, snapshots, batch, stop)? {
            return Ok(done);
        }
        done.read += batch.len();
        done.left -= batch.len();
    }
    Ok(done)
}

/// What of a catalogue stays of use, and the snapshots that it lacks, oldest first.
fn compare(
    old: Option<CatalogueReader>,
    snapshots: &[Snapshot],
) -> (Option<CatalogueReader>, Vec<&Snapshot>) {
    let lacks = |about: &About, snapshot: &&Snapshot| {
        Night::of(snapshot)
            .is_some_and(|night| !about.nights.contains(&night) && !about.apart.contains(&night))
    };
    if let Some(old) = old {
        let missing: Vec<&Snapshot> = snapshots
            .iter()
            .filter(|snapshot| lacks(&old.about, snapshot))
            .collect();
        let newest = old.about.nights.last();
        // A night that came to be between others, as one whose head was repaired, has no place at the end.
        let is_later = |snapshot: &&Snapshot| newest.is_none_or(|newest| *snapshot.id.as_str() > *newest.id);
        if missing.iter().all(is_later) {
            return (Some(old), missing);
        }
    }
    let all = snapshots.iter().filter(|snapshot| snapshot.tail.is_some());
    (None, all.collect())
}

/// Writes a catalogue with these nights more; false when a stop was asked for.
fn add(
    archive: &Archive,
    old: &About,
    snapshots: &[Snapshot],
    batch: &[&Snapshot],
    stop: &Stop,
) -> io::Result<bool> {
    let folder = archive.job_state(FOLDER).map_err(io::Error::other)?;
    remove_stale(&folder);
    let held: Vec<Night> = snapshots.iter().filter_map(Night::of).collect();
    let mut about = old.clone();
    about.nights.retain(|night| held.contains(night));
    about.apart.retain(|night| held.contains(night));
    let kept = about.nights.len();
    let mut fresh = batch.to_vec();
    loop {
        about.nights.truncate(kept);
        about
            .nights
            .extend(fresh.iter().filter_map(|snapshot| Night::of(snapshot)));
        // The very file that was looked at may have been replaced meanwhile: then this is for nothing, and the next look sees more.
        let reader = open(archive).ok().flatten().filter(|reader| reader.about == *old);
        if reader.is_none() && kept > 0 {
            return Ok(true);
        }
        let mut target = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&folder)?;
        match merge(reader, &fresh, &about, target.as_file_mut(), stop) {
            Ok(()) => {
                target.persist(folder.join(FILE))?;
                return Ok(true);
            }
            Err(Failure::Stopped) => return Ok(false),
            Err(Failure::Apart(number)) if number < fresh.len() => {
                about.apart.extend(Night::of(fresh.remove(number)));
            }
            Err(Failure::Apart(_)) => return Ok(false),
            Err(Failure::Catalogue(Error::Damaged)) => {
                forget(archive);
                return Ok(true);
            }
            Err(Failure::Catalogue(Error::Io(error))) => return Err(error),
        }
    }
}

/// Removes the catalogue. The next question makes it anew.
pub(super) fn forget(archive: &Archive) {
    let _ = fs::remove_file(path(archive));
}

fn path(archive: &Archive) -> PathBuf {
    archive.path().join(".drivejob").join(FOLDER).join(FILE)
}

fn open(archive: &Archive) -> Result<Option<CatalogueReader>, Error> {
    CatalogueReader::open(&path(archive), archive)
}

/// Removes what processes left that were killed while they wrote.
fn remove_stale(folder: &Path) {
    for item in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_stale = item.metadata().and_then(|metadata| metadata.modified());
        let is_stale = is_stale.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > STALE));
        if is_stale && item.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = fs::remove_file(item.path());
        }
    }
}

/// A catalogue that is asked, with what it covers of the snapshots that there are.
#[derive(Debug)]
pub(super) struct Scan {
    reader: CatalogueReader,
    ids: Vec<SnapshotId>,
    /// For each night the number of nights before it that are still there, and one more for all.
    before: Vec<u32>,
}

impl Scan {
    /// Opens the catalogue for these snapshots; `None` where there is none of use.
    pub(super) fn open(archive: &Archive, snapshots: &[Snapshot]) -> Option<Scan> {
        let reader = open(archive).ok().flatten()?;
        let held: std::collections::HashSet<(&str, &str)> = snapshots
            .iter()
            .filter_map(|snapshot| {
                Some((
                    snapshot.id.as_str(),
                    snapshot.tail.as_ref()?.manifest_sha256.as_str(),
                ))
            })
            .collect();
        let nights = &reader.about.nights;
        let ids = nights.iter().map(|night| night.id.parse().ok());
        let ids = ids.collect::<Option<Vec<SnapshotId>>>()?;
        let mut before = vec![0];
        let mut count = 0;
        for night in nights {
            count += u32::from(held.contains(&(night.id.as_str(), night.manifest_sha256.as_str())));
            before.push(count);
        }
        Some(Scan { reader, ids, before })
    }

    /// Whether it answers for that snapshot.
    pub(super) fn covers(&self, snapshot: &Snapshot) -> bool {
        let Some(place) = self.ids.iter().position(|id| *id == snapshot.id) else {
            return false;
        };
        self.is_held(place)
    }

    fn is_held(&self, place: usize) -> bool {
        let count = |place: usize| self.before.get(place).copied().unwrap_or(0);
        count(place + 1) > count(place)
    }

    /// Gives each item that `glance`, told of drive, path and name, takes, and that is in some night; ends when `glance` or `take` says so.
    ///
    /// # Errors
    /// When the catalogue does not read: what was given is worth nothing then.
    pub(super) fn each(
        mut self,
        mut glance: impl FnMut(&str, &str, &str) -> crate::manifest::Look,
        mut take: impl FnMut(Match) -> bool,
    ) -> Result<(), &'static str> {
        loop {
            let item = match self.reader.next() {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(()),
                Err(_) => return Err("the catalogue does not read"),
            };
            let name = item
                .name
                .as_deref()
                .unwrap_or_else(|| item.path.rsplit_once('/').map_or("", |(_, name)| name));
            match glance(&item.drive, &item.path, name) {
                crate::manifest::Look::Pass => continue,
                crate::manifest::Look::End => return Ok(()),
                crate::manifest::Look::Take => {}
            }
            if let Some(found) = self.to_match(&item)
                && !take(found)
            {
                return Ok(());
            }
        }
    }

    /// The item as it is in the nights that are still there; `None` when it is in none of them.
    fn to_match(&self, item: &Item) -> Option<Match> {
        let held =
            |first: u32, last: u32| (first as usize..=last as usize).filter(|place| self.is_held(*place));
        let mut nights = 0;
        let (mut first, mut last, mut stored_at) = (None, None, None);
        for span in &item.spans {
            let count = |place: usize| self.before.get(place).copied().unwrap_or(0);
            let here = count(span.last as usize + 1) - count(span.first as usize);
            if here == 0 {
                continue;
            }
            nights += u64::from(here);
            if first.is_none() {
                first = held(span.first, span.last).next();
            }
            let newest = held(span.first, span.last).next_back()?;
            last = Some((newest, &span.facts));
            stored_at = match &span.facts.stored {
                Place::Nowhere => stored_at,
                Place::Own(inner) => Some(format!("{}/{inner}", self.ids.get(newest)?)),
                Place::Other(place) => Some(place.clone()),
            };
        }
        let (last, facts) = last?;
        Some(Match {
            drive: DriveId::new(item.drive.as_str()),
            path: path_of(&item.path, item.name.as_deref()),
            id: FileId::new(item.id.as_str()),
            kind: facts.kind,
            first: self.ids.get(first?)?.clone(),
            last: self.ids.get(last)?.clone(),
            nights,
            size: facts.size,
            modified: facts.modified,
            outcome: facts.outcome,
            stored_at,
        })
    }
}
