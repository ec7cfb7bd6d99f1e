//! Files that lie in a snapshot and that no row knows.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::path::PathBuf;

use super::problem::{Kind, Problem};
use crate::archive::Archive;
use crate::id::SnapshotId;
use crate::stop::Stop;

/// Rows whose places are held at a time, at 8 bytes each. A snapshot with more is walked several times.
const HELD: u64 = 4_000_000;

/// The places that rows tell, or one part of them. Only 64 bits of a keyed hash are held of each: that an unknown file has the hash of a known one
/// is one case in 2^64 divided by the rows, and nobody can make it happen, since the key is new with each verification.
#[derive(Debug)]
pub(super) struct Places {
    key: RandomState,
    parts: u64,
    part: u64,
    hashes: Vec<u64>,
}

impl Places {
    /// For a manifest of about `rows` rows; the first part of them.
    pub(super) fn new(rows: u64) -> Places {
        Places {
            key: RandomState::new(),
            parts: rows.div_ceil(HELD).max(1),
            part: 0,
            hashes: Vec::new(),
        }
    }

    /// Adds the place of a row.
    pub(super) fn add(&mut self, stored_at: &str) {
        let hash = self.key.hash_one(stored_at);
        if hash % self.parts == self.part {
            self.hashes.push(hash);
        }
    }

    /// Makes ready for looking; gives how many rows tell a place that another row tells too.
    pub(super) fn close(&mut self) -> usize {
        self.hashes.sort_unstable();
        let before = self.hashes.len();
        self.hashes.dedup();
        before - self.hashes.len()
    }

    /// Goes on to the next part; false when there is none.
    pub(super) fn next_part(&mut self) -> bool {
        self.part += 1;
        self.hashes.clear();
        self.part < self.parts
    }

    fn misses(&self, place: &str) -> bool {
        let hash = self.key.hash_one(place);
        hash % self.parts == self.part && self.hashes.binary_search(&hash).is_err()
    }
}

/// Reports every file below the snapshot's `files` that is not in `places`. Links are not followed; one in a known place is its row's matter.
pub(super) fn check(
    archive: &Archive,
    id: &SnapshotId,
    places: &Places,
    stop: &Stop,
    report: &mut dyn FnMut(Problem),
) {
    let top = format!("{id}/files");
    let mut folders: Vec<(PathBuf, String)> = vec![(archive.path().join(&top), top)];
    while let Some((folder, place)) = folders.pop() {
        let items = match fs::read_dir(&folder) {
            Ok(items) => items,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                // Each part of a large snapshot meets the folder again.
                if places.part == 0 {
                    report(at(id, Kind::Unreadable, place, error.to_string()));
                }
                continue;
            }
        };
        for item in items {
            if stop.is_draining() {
                return;
            }
            let kind = item.and_then(|item| Ok((item.file_type()?, item)));
            let (kind, item) = match kind {
                Ok(found) => found,
                Err(error) => {
                    if places.part == 0 {
                        report(at(id, Kind::Unreadable, place.clone(), error.to_string()));
                    }
                    break;
                }
            };
            let name = item.file_name();
            let inner = format!("{place}/{}", name.to_string_lossy());
            if kind.is_dir() {
                folders.push((item.path(), inner));
            } else if places.misses(&inner) || (name.to_str().is_none() && places.part == 0) {
                let detail = if kind.is_file() {
                    ""
                } else {
                    "it is no regular file"
                };
                report(at(id, Kind::Extra, inner, detail.to_owned()));
            }
        }
    }
}

fn at(id: &SnapshotId, kind: Kind, place: String, detail: String) -> Problem {
    Problem {
        snapshot: id.clone(),
        kind,
        item: None,
        place,
        detail,
        bucket: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_together_know_all_places() {
        let mut places = Places::new(2 * HELD + 1);
        assert_eq!(places.parts, 3);
        let names: Vec<String> = (0..1000).map(|number| format!("s/files/{number}")).collect();
        let (mut held, mut missed) = (0, 0);
        loop {
            names.iter().for_each(|name| places.add(name));
            places.add("s/files/7");
            held += places.close();
            missed += names.iter().filter(|name| places.misses(name)).count();
            missed += usize::from(places.misses("s/files/other")) * 1000;
            if !places.next_part() {
                break;
            }
        }
        assert_eq!((held, missed), (1, 1000));
    }
}
