//! Answers by the catalogue are those of the manifests, whatever became of nights and catalogue.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;

use super::super::find::{Found, Pattern, Query, find, find_by_reading};
use super::*;
use crate::archive::{Durability, Head, Status, Tail};
use crate::entry::{Entry, Kind};
use crate::manifest::{Outcome, Row};

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

const NAMES: [&str; 7] = ["a", "b.txt", "報告.xlsx", "報", "in/out", "", "Z"];

/// An archive whose nights are made up.
struct House {
    _folder: TempDir,
    archive: Archive,
    dice: Dice,
    /// What is in the tenant, by drive, path and id: size, and a name that the path does not tell.
    world: BTreeMap<(String, String, String), (u64, String)>,
    nights: u32,
}

impl House {
    fn new(seed: u64) -> House {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
        House {
            _folder: folder,
            archive,
            dice: Dice(seed),
            world: BTreeMap::new(),
            nights: 0,
        }
    }

    fn change(&mut self) {
        for _ in 0..6 {
            let drive = ["me", "sharedrives/@1"][self.dice.roll(2) as usize];
            let mut path = String::new();
            let mut name = "";
            for _ in 0..=self.dice.roll(2) {
                name = NAMES[self.dice.roll(7) as usize];
                path = format!("{path}/{name}");
            }
            let id = format!("id{}", self.dice.roll(3));
            let key = (drive.to_owned(), path, id);
            if self.dice.roll(3) == 0 {
                self.world.remove(&key);
            } else {
                self.world.insert(key, (self.dice.roll(3), name.to_owned()));
            }
        }
    }

    fn night(&mut self) {
        self.change();
        self.nights += 1;
        let day = self.nights;
        let head = Head {
            kind: ["backup", "audit"][self.dice.roll(2) as usize].to_owned(),
            started: format!("2026-{:02}-{:02}T02:00:00Z", 1 + day / 28, 1 + day % 28)
                .parse()
                .unwrap(),
            ..Head::default()
        };
        let run = self.archive.begin(&head, Durability::None).unwrap();
        let mut rows = run.rows(self.dice.roll(2) == 0).unwrap();
        for ((drive, path, id), (size, name)) in &self.world {
            let mut entry = Entry::root(DriveId::new(drive.as_str()), FileId::new(id.as_str()));
            entry.name = name.clone();
            entry.kind = if *size == 0 { Kind::Folder } else { Kind::File };
            entry.size = (*size > 0).then_some(*size);
            entry.modified = (*size > 1).then(|| format!("2025-01-0{size}T00:00:00Z").parse().unwrap());
            let outcome = match self.dice.roll(8) {
                0 => Outcome::Failed,
                1 => Outcome::Listed,
                2 => Outcome::Stored,
                _ => Outcome::Reused,
            };
            let held = matches!(outcome, Outcome::Stored | Outcome::Reused);
            rows.write(&Row {
                entry,
                drive_name: "name".to_owned(),
                path: path_of(path, Some(name)),
                outcome,
                reason: String::new(),
                sha256: None,
                stored_at: held.then(|| format!("{}/files{path}", run.id())),
                attempts: 0,
            })
            .unwrap();
        }
        let tail = Tail {
            status: [Status::Complete, Status::Partial][self.dice.roll(2) as usize],
            ..Tail::default()
        };
        run.finish(rows.finish().unwrap(), tail).unwrap();
        self.archive.discard().unwrap();
    }

    fn ids(&self) -> Vec<SnapshotId> {
        self.archive.snapshot_ids().unwrap()
    }

    fn path_of(&self, id: &SnapshotId) -> PathBuf {
        self.archive.path().join(id.as_str())
    }

    /// Asks both ways, for all there is and for less; gives how many nights were read for it.
    fn check(&self) -> usize {
        let mut read = 0;
        for (glob, drive, limit) in [
            ("*", None, 10_000),
            ("*", None, 7),
            ("報*", None, 10_000),
            ("/a/**", None, 10_000),
            ("*", Some("sharedrives/@1"), 10_000),
            ("*.TXT", Some("me"), 3),
        ] {
            let query = Query {
                pattern: Pattern::new(glob).unwrap(),
                drive: drive.map(DriveId::new),
                snapshot: None,
                limit,
            };
            let found = self.find(&query, &mut read);
            assert_eq!(
                found.matches,
                find_by_reading(&self.archive, &query),
                "{glob} {drive:?}"
            );
            assert_eq!(found.searched, self.archive.snapshots().unwrap().len());
        }
        read
    }

    fn find(&self, query: &Query, read: &mut usize) -> Found {
        find(&self.archive, query, &Stop::new(), &mut |nights| *read += nights).unwrap()
    }
}

#[test]
fn answers_are_those_of_the_manifests_night_by_night_and_after_each_removal() {
    for seed in [3, 5, 7] {
        let mut house = House::new(seed);
        for _ in 0..12 {
            house.night();
            assert_eq!(house.check(), 1, "only the new night is read");
            assert_eq!(house.check(), 0);
            if house.dice.roll(3) == 0 {
                let ids = house.ids();
                let gone = &ids[house.dice.roll(ids.len() as u64) as usize];
                fs::remove_dir_all(house.path_of(gone)).unwrap();
                assert_eq!(house.check(), 0, "a removal costs nothing");
            }
        }
    }
}

#[test]
fn more_nights_than_one_pass_takes_are_taken_in_several() {
    let mut house = House::new(11);
    for _ in 0..=NIGHTS_PER_PASS {
        house.night();
    }
    let updated = catalogue(&house.archive, 1, &Stop::new()).unwrap();
    assert_eq!((updated.read, updated.left), (NIGHTS_PER_PASS, 1));
    assert_eq!(house.check(), 1);
}

#[test]
fn a_catalogue_that_is_missing_damaged_or_of_another_archive_is_made_anew() {
    let mut house = House::new(13);
    for _ in 0..3 {
        house.night();
    }
    house.check();
    let file = path(&house.archive);
    let whole = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(house.check(), 3);
    assert_eq!(
        fs::read(&file).unwrap(),
        whole,
        "it follows from the manifests alone"
    );
    // The frame and the head of the first block byte by byte, the rest here and there.
    for place in (0..24).chain((24..whole.len()).step_by(23)) {
        let mut bad = whole.clone();
        bad[place] ^= 1 << (place % 8);
        fs::write(&file, bad).unwrap();
        let query = Query {
            pattern: Pattern::new("*").unwrap(),
            drive: None,
            snapshot: None,
            limit: 10_000,
        };
        let mut read = 0;
        let found = house.find(&query, &mut read);
        assert_eq!(found.matches, find_by_reading(&house.archive, &query), "{place}");
        assert_eq!(read, 3, "byte {place} of {}", whole.len());
    }
    for length in [0, 3, 40, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(house.check(), 3, "{length}");
    }
    let mut other = House::new(17);
    other.night();
    fs::create_dir_all(path(&other.archive).parent().unwrap()).unwrap();
    fs::copy(&file, path(&other.archive)).unwrap();
    assert_eq!(other.check(), 1);
}

#[test]
fn a_manifest_that_cannot_be_merged_is_searched_itself() {
    let mut house = House::new(19);
    for _ in 0..4 {
        house.night();
    }
    let ids = house.ids();
    // Out of order, and not what its tail tells; and one that is not there.
    let manifest = house.path_of(&ids[1]).join("manifest.csv");
    let text = fs::read_to_string(&manifest).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    fs::write(&manifest, lines.join("\n")).unwrap();
    fs::remove_file(house.path_of(&ids[2]).join("manifest.csv")).unwrap();
    assert_eq!(house.check(), 4);
    assert_eq!(house.check(), 0, "they are known to stand apart");
    house.night();
    assert_eq!(house.check(), 1);
}

#[test]
fn a_night_that_comes_to_be_between_others_takes_its_place() {
    let mut house = House::new(23);
    for _ in 0..3 {
        house.night();
    }
    let ids = house.ids();
    let aside = house._folder.path().join("aside");
    fs::rename(house.path_of(&ids[1]), &aside).unwrap();
    assert_eq!(house.check(), 2);
    fs::rename(&aside, house.path_of(&ids[1])).unwrap();
    assert_eq!(house.check(), 3);
}

#[test]
fn without_a_place_for_the_catalogue_the_manifests_answer() {
    let mut house = House::new(29);
    house.night();
    let state = house.archive.path().join(".drivejob");
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "in the way").unwrap();
    house.check();
    assert_eq!(fs::read(&state).unwrap(), b"in the way");
}
