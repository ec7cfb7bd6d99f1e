//! Which files have their turn: a sample that goes round, so that in time every file is read back.
//!
//! Files are told apart by the first byte of their hash, which puts them into 256 equal buckets. A file's name, place and night do not matter, so
//! the copies that snapshots share are in one bucket, and what has been read back can be noted with one time for each bucket.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Options;
use crate::archive::Archive;
use crate::id::SnapshotId;

/// Buckets of files.
pub(super) const BUCKETS: usize = 256;

/// Files in all from which on buckets are taken as equally full; below, the rows are counted first.
const MANY: u64 = 200_000;

/// When each bucket of an archive was read back last. Disposable: without it, everything is due.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rotation {
    format: u32,
    /// By bucket, when it was last read back and found good, in seconds since 1970-01-01 UTC; `null` for never.
    good: Vec<Option<i64>>,
    /// When it was last read back, good or bad. A bad one stays due for [`Options::older_than`], but must not take every sample for itself.
    tried: Vec<Option<i64>>,
}

impl Rotation {
    /// Reads the note in the archive at `archive`. One that is missing or damaged says nothing.
    pub(super) fn read(archive: &Path) -> Rotation {
        let mut text = Vec::new();
        let read = File::open(path(archive)).and_then(|file| file.take(1 << 20).read_to_end(&mut text));
        read.ok()
            .and_then(|_| serde_json::from_slice::<Rotation>(&text).ok())
            .filter(|rotation| rotation.good.len() == BUCKETS && rotation.tried.len() == BUCKETS)
            .unwrap_or_else(Rotation::empty)
    }

    fn empty() -> Rotation {
        Rotation {
            format: 1,
            good: vec![None; BUCKETS],
            tried: vec![None; BUCKETS],
        }
    }

    /// Notes that the buckets `done` were read back, and which of them were `bad`.
    pub(super) fn write(
        mut self,
        archive: &Path,
        done: &[bool; BUCKETS],
        bad: &[bool; BUCKETS],
        now: Timestamp,
    ) -> io::Result<()> {
        let times = self.good.iter_mut().zip(&mut self.tried);
        for ((good, tried), (_, bad)) in times.zip(done.iter().zip(bad)).filter(|(_, (done, _))| **done) {
            *tried = Some(now.as_second());
            if !bad {
                *good = *tried;
            }
        }
        let path = path(archive);
        // A link in place of the state folder leads out of the archive.
        if !path.parent().is_some_and(is_folder) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let fresh = path.with_file_name(".verified.json.new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(&fresh)?;
        file.write_all(&serde_json::to_vec(&self)?)?;
        fs::rename(&fresh, &path)
    }

    /// The buckets whose turn it is.
    pub(super) fn turn(&self, archive: &Archive, ids: &[SnapshotId], options: &Options) -> [bool; BUCKETS] {
        let sizes = if options.sample >= 1.0 {
            [1; BUCKETS]
        } else {
            sizes(archive, ids)
        };
        self.choose(&sizes, options)
    }

    /// Takes the buckets that were read back longest ago, until they hold the share.
    fn choose(&self, sizes: &[u64; BUCKETS], options: &Options) -> [bool; BUCKETS] {
        let now = options.now.as_second();
        let hour = usize::try_from(now.rem_euclid(3600 * BUCKETS as i64) / 3600).unwrap_or(0);
        let limit = options
            .older_than
            .map(|age| now.saturating_sub_unsigned(age.as_secs()));
        let mut due: Vec<(Option<i64>, usize, usize)> = self
            .good
            .iter()
            .zip(&self.tried)
            .enumerate()
            .filter(|(_, (good, _))| match (good, limit) {
                (Some(good), Some(limit)) => *good < limit,
                _ => true,
            })
            // Where no note can be kept, the hour decides, so that not every sample is the same.
            .map(|(bucket, (_, tried))| (*tried, (bucket + hour) % BUCKETS, bucket))
            .collect();
        due.sort_unstable();
        let whole: u64 = sizes.iter().sum();
        let wanted = (whole as f64 * options.sample.clamp(0.0, 1.0)).ceil() as u64;
        let mut chosen = [false; BUCKETS];
        let mut taken = 0;
        for (_, _, bucket) in due {
            if taken >= wanted {
                break;
            }
            if let (Some(choice), Some(size)) = (chosen.get_mut(bucket), sizes.get(bucket)) {
                *choice = true;
                taken += size;
            }
        }
        chosen
    }
}

/// The bucket of a file, from its hash in hexadecimal.
pub(super) fn bucket_of(sha256: &str) -> Option<usize> {
    let digits = sha256.get(..2)?;
    usize::from_str_radix(digits, 16).ok()
}

/// How full the buckets are. Many files fill them evenly; a few are counted, so that a small archive's sample is not nothing.
fn sizes(archive: &Archive, ids: &[SnapshotId]) -> [u64; BUCKETS] {
    let snapshots: Vec<_> = ids.iter().filter_map(|id| archive.snapshot(id).ok()).collect();
    let files: u64 = snapshots
        .iter()
        .filter_map(|snapshot| snapshot.tail.as_ref())
        .map(|tail| tail.totals.files)
        .fold(0, u64::saturating_add);
    if files > MANY {
        return [1; BUCKETS];
    }
    let mut sizes = [0; BUCKETS];
    for row in snapshots
        .iter()
        .filter_map(|snapshot| snapshot.manifest().ok())
        .flatten()
        .flatten()
    {
        let bucket = row.sha256.as_deref().and_then(bucket_of);
        if let Some(size) = bucket.and_then(|bucket| sizes.get_mut(bucket)) {
            *size += 1;
        }
    }
    sizes
}

fn path(archive: &Path) -> PathBuf {
    archive.join(".drivejob").join("verified.json")
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|facts| facts.is_dir())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::time::Duration;

    use super::*;

    const DAY: i64 = 86_400;

    fn options(sample: f64, older_than_days: Option<u64>, now: i64) -> Options {
        Options {
            sample,
            older_than: older_than_days.map(|days| Duration::from_secs(days * 86_400)),
            ..Options::whole(Timestamp::from_second(now).unwrap())
        }
    }

    fn count(chosen: &[bool; BUCKETS]) -> usize {
        chosen.iter().filter(|choice| **choice).count()
    }

    #[test]
    fn a_sample_has_its_share_and_is_never_nothing() {
        let even = [1000; BUCKETS];
        for (sample, expected) in [(0.0, 0), (0.000_001, 1), (0.02, 6), (0.5, 128), (1.0, 256)] {
            assert_eq!(
                count(&Rotation::empty().choose(&even, &options(sample, None, 0))),
                expected,
                "{sample}"
            );
        }
        let mut three = [0; BUCKETS];
        (three[7], three[70], three[200]) = (1, 1, 1);
        let chosen = Rotation::empty().choose(&three, &options(0.02, None, 0));
        assert_eq!([7, 70, 200].iter().filter(|bucket| chosen[**bucket]).count(), 1);
    }

    #[test]
    fn every_bucket_has_its_turn_and_none_twice_before() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".drivejob")).unwrap();
        let mut turns = [0; BUCKETS];
        for night in 0..32 {
            let now = night * DAY;
            let rotation = Rotation::read(folder.path());
            let chosen = rotation.choose(&[1; BUCKETS], &options(1.0 / 32.0, None, now));
            for (turn, choice) in turns.iter_mut().zip(chosen) {
                *turn += u32::from(choice);
            }
            rotation
                .write(
                    folder.path(),
                    &chosen,
                    &[false; BUCKETS],
                    Timestamp::from_second(now).unwrap(),
                )
                .unwrap();
        }
        assert_eq!(turns, [1; BUCKETS]);
    }

    #[test]
    fn what_was_read_back_lately_is_not_due() {
        let mut rotation = Rotation::empty();
        rotation.good[3] = Some(90 * DAY);
        rotation.good[4] = Some(60 * DAY);
        let chosen = rotation.choose(&[1; BUCKETS], &options(1.0, Some(30), 100 * DAY));
        assert_eq!((chosen[3], chosen[4], count(&chosen)), (false, true, 255));
    }

    #[test]
    fn a_bad_bucket_stays_due_but_waits_for_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".drivejob")).unwrap();
        let mut bad = [false; BUCKETS];
        bad[9] = true;
        let now = Timestamp::from_second(100 * DAY).unwrap();
        Rotation::empty().write(folder.path(), &bad, &bad, now).unwrap();
        let rotation = Rotation::read(folder.path());
        let all_but_one = options(255.0 / 256.0, None, 101 * DAY);
        assert!(!rotation.choose(&[1; BUCKETS], &all_but_one)[9]);
        assert!(rotation.choose(&[1; BUCKETS], &options(1.0, Some(30), 101 * DAY))[9]);
    }

    #[test]
    fn a_damaged_note_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".drivejob")).unwrap();
        for text in ["", "{", "{\"format\":1,\"good\":[5],\"tried\":[]}"] {
            fs::write(path(folder.path()), text).unwrap();
            assert!(Rotation::read(folder.path()).good.iter().all(Option::is_none));
        }
    }

    #[test]
    fn a_bucket_is_the_first_byte_of_the_hash() {
        for (hash, bucket) in [
            ("00ff", Some(0)),
            ("ffaa", Some(255)),
            ("0a", Some(10)),
            ("g0", None),
            ("é", None),
            ("a", None),
        ] {
            assert_eq!(bucket_of(hash), bucket, "{hash}");
        }
    }
}
