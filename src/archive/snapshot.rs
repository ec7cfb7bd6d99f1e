//! The snapshots of an archive, and which of them a word means.

use std::fs::{self, File};
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::hash::hash_file;
use super::head::{open_plain, read_json};
use super::{Archive, Error, Head, Status, Tail};
use crate::id::SnapshotId;
use crate::manifest::Reader;

/// A snapshot that a run published.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its name.
    pub id: SnapshotId,
    /// Its folder.
    pub path: PathBuf,
    /// What the run was about to do.
    pub head: Head,
    /// What it did. Missing only when somebody removed it.
    pub tail: Option<Tail>,
}

/// The snapshots of an archive, those that read and those that do not.
#[derive(Debug, Default)]
pub struct Survey {
    /// Oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Oldest first.
    pub damaged: Vec<Damaged>,
}

/// A snapshot whose head or tail does not read.
#[derive(Debug)]
pub struct Damaged {
    /// Its name.
    pub id: SnapshotId,
    /// What is wrong.
    pub error: Error,
}

impl Snapshot {
    /// Whether it has all that was asked for.
    pub fn is_complete(&self) -> bool {
        self.tail
            .as_ref()
            .is_some_and(|tail| tail.status == Status::Complete)
    }

    /// Reads its manifest, row by row.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Manifest`].
    pub fn manifest(&self) -> Result<Reader<File>, Error> {
        self.rows("manifest.csv")
    }

    /// Reads the rows that are not stored.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Manifest`].
    pub fn failures(&self) -> Result<Reader<File>, Error> {
        self.rows("failures.csv")
    }

    /// Checks that the manifest is, byte for byte, the one that the tail tells.
    ///
    /// # Errors
    /// [`Error::ManifestHash`] when it is not; [`Error::Io`], also when there is no tail.
    pub fn verify_manifest_hash(&self) -> Result<(), Error> {
        let path = self.path.join("manifest.csv");
        let refused = |error| Error::io("read", &path, error);
        let Some(tail) = &self.tail else {
            let missing = std::io::ErrorKind::NotFound.into();
            return Err(Error::io("read", self.path.join("TAIL.json"), missing));
        };
        let mut file = open_plain(&path).map_err(refused)?;
        let (_, hasher) = hash_file(&mut file, u64::MAX).map_err(refused)?;
        let found = hasher.hex();
        if found == tail.manifest_sha256 {
            return Ok(());
        }
        Err(Error::ManifestHash {
            path,
            expected: tail.manifest_sha256.clone(),
            found,
        })
    }

    fn rows(&self, name: &str) -> Result<Reader<File>, Error> {
        let path = self.path.join(name);
        let file = open_plain(&path).map_err(|error| Error::io("read", &path, error))?;
        Reader::new(file).map_err(|error| Error::manifest(&path, error))
    }
}

impl Archive {
    /// The snapshots that read, oldest first.
    ///
    /// # Errors
    /// [`Error::Io`] when the archive folder cannot be listed.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        self.survey().map(|survey| survey.snapshots)
    }

    /// All snapshots, oldest first: a damaged one does not hide the others.
    ///
    /// # Errors
    /// [`Error::Io`] when the archive folder cannot be listed.
    pub fn survey(&self) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        for id in self.snapshot_ids()? {
            match self.snapshot(&id) {
                Ok(snapshot) => survey.snapshots.push(snapshot),
                Err(error) => survey.damaged.push(Damaged { id, error }),
            }
        }
        Ok(survey)
    }

    /// The names of all snapshots, oldest first, whether they read or not.
    ///
    /// # Errors
    /// [`Error::Io`] when the archive folder cannot be listed.
    pub fn snapshot_ids(&self) -> Result<Vec<SnapshotId>, Error> {
        let refused = |error| Error::io("list", self.path(), error);
        let mut ids = Vec::new();
        for item in fs::read_dir(self.path()).map_err(refused)? {
            let item = item.map_err(refused)?;
            let id = item.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(id) = id
                && item.file_type().map_err(refused)?.is_dir()
            {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// One snapshot by its name.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], [`Error::Damaged`], [`Error::NewerFormat`], [`Error::Io`].
    pub fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, Error> {
        let path = self.path().join(id.as_str());
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(Error::NoSnapshot(id.to_string()));
        }
        let head = read_json(&path.join("HEAD.json"))?.ok_or_else(|| Error::NoSnapshot(id.to_string()))?;
        let tail = read_json(&path.join("TAIL.json"))?;
        Ok(Snapshot {
            id: id.clone(),
            path,
            head,
            tail,
        })
    }

    /// The newest complete snapshot whose head is `wanted`, for example a backup of the same job. Damaged ones are passed over.
    ///
    /// # Errors
    /// [`Error::Io`] when the archive folder cannot be listed.
    pub fn newest_complete(&self, wanted: impl Fn(&Head) -> bool) -> Result<Option<Snapshot>, Error> {
        Ok(self
            .snapshot_ids()?
            .iter()
            .rev()
            .filter_map(|id| self.snapshot(id).ok())
            .find(|snapshot| snapshot.is_complete() && wanted(&snapshot.head)))
    }

    /// The snapshot a word means: `latest`, a snapshot's name, or the newest that began on or before a date (`2026-11-23`, UTC) or at or
    /// before a moment (RFC 3339). An `@` before the word changes nothing.
    ///
    /// `latest` and dates look at snapshots of `kind` alone, when one is given, complete or partial: the tail says which.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`] when nothing answers to it; what [`Archive::snapshot`] gives for a name.
    pub fn resolve(&self, word: &str, kind: Option<&str>) -> Result<Snapshot, Error> {
        let word = word.strip_prefix('@').unwrap_or(word);
        if let Ok(id) = word.parse::<SnapshotId>() {
            return self.snapshot(&id);
        }
        let end = match word {
            "latest" | "" => Timestamp::MAX,
            word => moment(word).ok_or_else(|| Error::NoSnapshot(word.to_owned()))?,
        };
        self.snapshot_ids()?
            .iter()
            .rev()
            .filter(|id| id.time().is_some_and(|time| time <= end))
            .filter_map(|id| self.snapshot(id).ok())
            .find(|snapshot| kind.is_none_or(|kind| snapshot.head.kind == kind))
            .ok_or_else(|| Error::NoSnapshot(word.to_owned()))
    }
}

/// The last second of a day, or the moment itself.
fn moment(word: &str) -> Option<Timestamp> {
    if word.len() > "2026-11-23".len() {
        return word.parse().ok();
    }
    let date: Date = word.parse().ok()?;
    let day = date.at(23, 59, 59, 0).to_zoned(TimeZone::UTC).ok()?;
    Some(day.timestamp())
}
