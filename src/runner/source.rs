//! What is restored: which snapshot, which drives of it, which rows, and where their bytes are.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::archive::{self, Archive, Snapshot};
use crate::entry::Scope;
use crate::filter::{Filter, WordGlob};
use crate::id::{DriveId, SnapshotId};
use crate::job::SnapshotChoice;
use crate::manifest::{self, Look, Outcome, Reader, Row};
use crate::path::DrivePath;
use crate::restore::Copies;

/// Snapshots that are looked through for another copy of damaged bytes: more than two months of nights. Each costs one
/// reading of its manifest.
const SNAPSHOTS_SEARCHED: usize = 70;

/// Other copies of the same bytes that are tried.
const COPIES_TRIED: usize = 4;

/// The snapshot that a job means. `latest` and days mean complete ones alone; a name means that one, complete or partial.
pub(super) fn choose(
    archive: &Archive,
    choice: &SnapshotChoice,
    zone: Option<&TimeZone>,
) -> Result<Snapshot, archive::Error> {
    let (end, word) = match choice {
        SnapshotChoice::Named(id) => {
            let snapshot = archive.snapshot(id)?;
            return match snapshot.head.holds_bytes() {
                true => Ok(snapshot),
                false => Err(archive::Error::HoldsNoFiles(id.clone())),
            };
        }
        SnapshotChoice::Latest => (Timestamp::MAX, "latest".to_owned()),
        SnapshotChoice::Day(day) => {
            let zone = zone.cloned().unwrap_or_else(TimeZone::system);
            let end = day
                .tomorrow()
                .and_then(|next| next.to_zoned(zone))
                .map_or(Timestamp::MAX, |midnight| midnight.timestamp());
            (end, day.to_string())
        }
    };
    archive
        .snapshot_ids()?
        .iter()
        .rev()
        .filter(|id| id.time().is_some_and(|time| time < end))
        .filter_map(|id| archive.snapshot(id).ok())
        .find(|snapshot| snapshot.head.holds_bytes() && snapshot.is_complete())
        .ok_or(archive::Error::NoSnapshot(word))
}

/// A drive of a snapshot, and its name as a person knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceDrive {
    pub(super) id: DriveId,
    pub(super) name: String,
}

/// The drives that a snapshot has rows of, in the order of its manifest.
pub(super) fn drives_of(snapshot: &Snapshot) -> Result<Vec<SourceDrive>, archive::Error> {
    let mut reader = snapshot.manifest()?;
    let mut found: Vec<SourceDrive> = Vec::new();
    loop {
        let last = found.last().map(|drive| drive.id.clone());
        let next = reader.next_where(|row| match &last {
            Some(last) if last.as_str() == row.drive => Look::Pass,
            _ => Look::Take,
        });
        match next {
            None => return Ok(found),
            Some(Ok(row)) => found.push(SourceDrive {
                id: row.entry.drive,
                name: row.drive_name,
            }),
            // The restore comes upon that row again, and says so.
            Some(Err(_)) => {}
        }
    }
}

/// Whether a scope word of a job means a drive of a snapshot. Ids, mails and names are the same in capitals and in small letters.
pub(super) fn fits(scope: &Scope, drive: &SourceDrive) -> bool {
    let word = drive.id.as_str();
    let text = scope.to_string();
    if word == text {
        return true;
    }
    if matches!(scope, Scope::Key { .. }) {
        return false;
    }
    let Some((family, wanted)) = text.rsplit_once('/') else {
        return false;
    };
    let Some(id) = word.strip_prefix(family).and_then(|rest| rest.strip_prefix('/')) else {
        return false;
    };
    if id.contains('/') {
        return false;
    }
    let glob = WordGlob::new(&wanted.to_lowercase(), false);
    [id, drive.name.as_str()].into_iter().any(|one| match &glob {
        Ok(glob) => glob.is_match(&one.to_lowercase()),
        Err(_) => one.eq_ignore_ascii_case(wanted),
    })
}

/// The rows of some drives that a filter may let pass, and the folders above them. The rest is not even taken apart.
pub(super) struct Rows {
    reader: Reader<File>,
    drives: HashSet<String>,
    filter: Filter,
    drive: DriveId,
}

impl Rows {
    pub(super) fn open(
        snapshot: &Snapshot,
        drives: &[SourceDrive],
        filter: Filter,
    ) -> Result<Rows, archive::Error> {
        Ok(Rows {
            reader: snapshot.manifest()?,
            drives: drives.iter().map(|drive| drive.id.as_str().to_owned()).collect(),
            filter,
            drive: DriveId::new(""),
        })
    }
}

impl Iterator for Rows {
    type Item = Result<Row, manifest::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Rows {
            reader,
            drives,
            filter,
            drive,
        } = self;
        reader.next_where(|row| {
            if drive.as_str() != row.drive {
                *drive = DriveId::new(row.drive);
            }
            if drives.contains(row.drive) && filter.may_pass(drive, &DrivePath::from_text(row.path)) {
                Look::Take
            } else {
                Look::Pass
            }
        })
    }
}

/// The stored bytes of an archive.
#[derive(Debug)]
pub(super) struct ArchiveCopies {
    archive: Archive,
    /// One search at a time: many damaged files must not read all manifests side by side.
    searching: Mutex<()>,
}

impl ArchiveCopies {
    pub(super) fn new(archive: &Archive) -> Arc<ArchiveCopies> {
        Arc::new(ArchiveCopies {
            archive: archive.clone(),
            searching: Mutex::new(()),
        })
    }

    /// Places in one snapshot whose rows tell that hash and size.
    fn search(&self, id: &SnapshotId, sha256: &str, size: u64, found: &mut Found) {
        let Ok(rows) = self.archive.snapshot(id).and_then(|snapshot| snapshot.manifest()) else {
            return;
        };
        for row in rows.flatten() {
            let is_held = matches!(row.outcome, Outcome::Stored | Outcome::Reused);
            if is_held
                && row.entry.size == Some(size)
                && row.sha256.as_deref() == Some(sha256)
                && let Some(place) = row.stored_at
                && let Ok((file, length)) = self.archive.open_stored(&place)
                && length == size
                && found.is_new(&file)
            {
                found.places.push(place);
                if found.places.len() == COPIES_TRIED {
                    return;
                }
            }
        }
    }
}

/// Copies found so far. Hard links to the same bytes count once.
#[derive(Default)]
struct Found {
    places: Vec<String>,
    #[cfg(unix)]
    inodes: HashSet<(u64, u64)>,
}

impl Found {
    #[cfg(unix)]
    fn is_new(&mut self, file: &File) -> bool {
        use std::os::unix::fs::MetadataExt;
        file.metadata()
            .is_ok_and(|metadata| self.inodes.insert((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    fn is_new(&mut self, _: &File) -> bool {
        true
    }
}

impl Copies for ArchiveCopies {
    fn open(&self, stored_at: &str) -> io::Result<File> {
        match self.archive.open_stored(stored_at) {
            Ok((file, _)) => Ok(file),
            Err(archive::Error::Io { source, .. }) => Err(source),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error.to_string())),
        }
    }

    fn other_copies(&self, sha256: &str, size: u64) -> Vec<String> {
        let _one = self.searching.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Found::default();
        let ids = self.archive.snapshot_ids().unwrap_or_default();
        for id in ids.iter().rev().take(SNAPSHOTS_SEARCHED) {
            self.search(id, sha256, size, &mut found);
            if found.places.len() == COPIES_TRIED {
                break;
            }
        }
        found.places
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn scope_words_mean_drives_by_id_mail_and_name() {
        let drive = |id: &str, name: &str| SourceDrive {
            id: DriveId::new(id),
            name: name.to_owned(),
        };
        for (scope, id, name, expected) in [
            ("me", "me", "me", true),
            ("me", "users/u1", "me", false),
            ("users/u1", "users/u1", "Taro@example.com", true),
            ("users/taro@example.com", "users/u1", "Taro@example.com", true),
            ("users/*@example.com", "users/u1", "taro@example.com", true),
            ("users/*@example.com", "users/u1", "taro@other.example", false),
            ("users/*", "users/u1/sharedfolders/5", "x", false),
            ("users/u1/sharedfolders/*", "users/u1/sharedfolders/5", "x", true),
            ("sharedrives/sales", "sharedrives/@2", "Sales", true),
            ("groups/*", "sharedrives/@2", "Sales", false),
            ("key:1/abc", "key:1/abc", "abc", true),
            ("key:1/abc", "key:1/abd", "abc", false),
        ] {
            let scope: Scope = scope.parse().unwrap();
            assert_eq!(fits(&scope, &drive(id, name)), expected, "{scope} {id}");
        }
    }
}
