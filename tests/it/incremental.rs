//! Nights after the first: what is unchanged costs no download and no room, and each night is whole by itself.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;

use drivejob::id::SnapshotId;
use drivejob::manifest::{Outcome, Row};
use drivejob::monitor::Silent;
use drivejob::report::Status;
use drivejob::sim::{Action, Change, GeneratedSpec, Options, Rule, Sizes, World};
use drivejob::stop::Stop;

use crate::support::lab::{
    Lab, archive, assert_clean, complete, copy_folder, knob, replace_folder, rows_of, start,
};
use crate::support::{Bench, Held, truth};

fn world(files: usize) -> World {
    World::generated(&GeneratedSpec {
        files,
        folders: files / 5,
        sizes: Sizes::Uniform(0, 5000),
        depth: 4,
        ..GeneratedSpec::default()
    })
}

/// What the drive holds now, by id.
fn now(lab: &Lab) -> HashMap<String, Held> {
    let all = lab.world().read(|world| truth(world, 0));
    all.into_iter().map(|held| (held.id.clone(), held)).collect()
}

/// The number that the file system gives the file of a row.
fn inode(bench: &Bench, row: &Row) -> u64 {
    let place = bench.shelf().path().join(row.stored_at.as_deref().unwrap());
    fs::symlink_metadata(place).unwrap().ino()
}

fn by_id(rows: Vec<Row>) -> HashMap<String, Row> {
    rows.into_iter()
        .map(|row| (row.entry.id.to_string(), row))
        .collect()
}

#[test]
fn seven_nights_are_each_the_truth_and_cost_only_what_changed() {
    let seed = knob("DRIVEJOB_TEST_SEED", 11);
    let lab = Lab::new(world(120), Options::default());
    let bench = lab.bench();
    let mut before: HashMap<String, Held> = HashMap::new();
    let mut stored_bytes = 0;
    for night in 0..7 {
        if night > 0 {
            lab.change(seed + night, 30);
            bench.next_night();
        }
        let truth = now(&lab);
        let is_unchanged = |held: &Held| {
            before
                .get(&held.id)
                .is_some_and(|old| (old.size, old.modified) == (held.size, held.modified))
        };
        let files = || truth.values().filter(|held| held.sha256.is_some());
        let changed: Vec<&Held> = files().filter(|held| !is_unchanged(held)).collect();
        let earlier = (night > 0).then(|| by_id(bench.shelf().rows()));
        lab.simulator.reset_calls();
        let report = complete(&bench);
        assert_eq!(report.warnings, Vec::<String>::new(), "seed {seed} night {night}");
        bench.shelf().assert_holds(&lab.world(), 0);
        assert_eq!(lab.downloads(), changed.len() as u64, "seed {seed} night {night}");
        let rows = by_id(bench.shelf().rows());
        for held in files() {
            let row = &rows[&held.id];
            if is_unchanged(held) {
                assert_eq!(row.outcome, Outcome::Reused, "{}", row.path);
                let old = &earlier.as_ref().unwrap()[&held.id];
                assert_eq!(inode(&bench, row), inode(&bench, old), "{}", row.path);
            } else {
                assert_eq!(row.outcome, Outcome::Stored, "{}", row.path);
            }
        }
        stored_bytes += changed.iter().map(|held| held.size).sum::<u64>();
        before = truth;
    }
    assert_clean(&bench);

    let nights: Vec<(SnapshotId, Vec<Row>)> = bench
        .shelf()
        .snapshots()
        .iter()
        .map(|snapshot| (snapshot.id.clone(), rows_of(snapshot)))
        .collect();
    assert_eq!(nights.len(), 7);
    let mut disk: BTreeMap<u64, u64> = BTreeMap::new();
    for row in nights
        .iter()
        .flat_map(|(_, rows)| rows)
        .filter(|row| row.stored_at.is_some())
    {
        disk.insert(inode(&bench, row), row.entry.size.unwrap());
    }
    assert_eq!(
        disk.values().sum::<u64>(),
        stored_bytes,
        "seed {seed}: one copy and the changes"
    );

    let kept = bench.folder().join("kept");
    copy_folder(bench.shelf().path(), &kept);
    for (victim, _) in &nights {
        archive(&bench).remove(victim).unwrap();
        let left = nights.iter().filter(|(id, _)| id != victim);
        for (id, rows) in left.clone() {
            assert_eq!(rows_of(&archive(&bench).snapshot(id).unwrap()), *rows);
            bench.shelf().assert_rows_on_disk(rows);
        }
        assert_eq!(bench.shelf().snapshots().len(), 6);
        replace_folder(&kept, bench.shelf().path());
    }
}

#[test]
fn an_unchanged_night_asks_for_lists_alone() {
    let lab = Lab::new(world(60), Options::default());
    let bench = lab.bench();
    complete(&bench);
    let pages = lab.listings();
    bench.next_night();
    lab.simulator.reset_calls();
    complete(&bench);
    assert_eq!((lab.downloads(), lab.listings()), (0, pages));
    let contents = lab.simulator.calls().of("storage.download");
    assert_eq!(contents, 0);
    bench.shelf().assert_holds(&lab.world(), 0);
}

#[test]
fn what_is_renamed_or_moved_is_reused_under_its_new_path() {
    let lab = Lab::new(World::new(), Options::default());
    lab.world().write(|world| {
        world.add_member("山田", "太郎", "taro@example.com");
        for (number, path) in [
            "/a/one.txt",
            "/a/two.txt",
            "/a/b/three.txt",
            "/c/four.txt",
            "/c/five.txt",
        ]
        .iter()
        .enumerate()
        {
            let change = Change::AddFile {
                drive: "me".to_owned(),
                path: (*path).to_owned(),
                size: 100 + number as u64,
                seed: number as u64,
                modified: None,
            };
            world.apply(&change, 1_711_929_600_000).unwrap();
        }
    });
    let bench = lab.bench();
    complete(&bench);
    let old = by_id(bench.shelf().rows());

    let (drive, text) = (|| "me".to_owned(), |text: &str| text.to_owned());
    for change in [
        Change::Rename {
            drive: drive(),
            path: text("/a/one.txt"),
            name: text("보고서.txt"),
        },
        Change::Move {
            drive: drive(),
            path: text("/a/two.txt"),
            to: text("/c"),
        },
        Change::Rename {
            drive: drive(),
            path: text("/a/b"),
            name: text("renamed"),
        },
        Change::Move {
            drive: drive(),
            path: text("/a/renamed"),
            to: text("/c"),
        },
        Change::Remove {
            drive: drive(),
            path: text("/c/four.txt"),
        },
        // A new file under the name of a removed one is not that one.
        Change::AddFile {
            drive: drive(),
            path: text("/c/four.txt"),
            size: 103,
            seed: 99,
            modified: Some(1_711_929_600_000),
        },
    ] {
        lab.simulator.change(&change).unwrap();
    }
    bench.next_night();
    lab.simulator.reset_calls();
    complete(&bench);
    bench.shelf().assert_holds(&lab.world(), 0);
    assert_eq!(lab.downloads(), 1, "the new file alone");
    let rows = bench.shelf().rows();
    let paths: Vec<(&str, Outcome)> = rows.iter().map(|row| (row.path.as_str(), row.outcome)).collect();
    assert_eq!(
        paths,
        [
            ("/a", Outcome::Stored),
            ("/a/보고서.txt", Outcome::Reused),
            ("/c", Outcome::Stored),
            ("/c/five.txt", Outcome::Reused),
            ("/c/four.txt", Outcome::Stored),
            ("/c/renamed", Outcome::Stored),
            ("/c/renamed/three.txt", Outcome::Reused),
            ("/c/two.txt", Outcome::Reused),
        ]
    );
    for row in rows.iter().filter(|row| row.outcome == Outcome::Reused) {
        assert_eq!(
            inode(&bench, row),
            inode(&bench, &old[row.entry.id.as_str()]),
            "{}",
            row.path
        );
    }
}

fn partial(bench: &Bench) {
    let report = start(bench, std::sync::Arc::new(Silent), Stop::new()).unwrap();
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
}

#[test]
fn f10_a_partial_night_is_no_basis_but_its_bytes_count_once_they_are_proven() {
    for is_altered in [false, true] {
        let lab = Lab::new(world(30), Options::default());
        let bench = lab.bench().key("rehash", "\"0%\"");
        complete(&bench);
        let add = |path: &str, seed| {
            let change = Change::AddFile {
                drive: "me".to_owned(),
                path: path.to_owned(),
                size: 2000,
                seed,
                modified: None,
            };
            lab.simulator.change(&change).unwrap();
        };
        add("/refused.txt", 1);
        add("/late.txt", 2);
        let refused = Action::Status {
            code: 403,
            headers: BTreeMap::new(),
            body: None,
        };
        let rule = Rule::new("drive.download", refused)
            .about("refused.txt")
            .repeated(0);
        lab.simulator.faults().add(rule).unwrap();
        bench.next_night();
        partial(&bench);
        let failed: Vec<String> = bench
            .shelf()
            .failures()
            .iter()
            .map(|row| row.path.to_string())
            .collect();
        assert_eq!(failed, ["/refused.txt"]);
        let late = bench
            .shelf()
            .rows()
            .into_iter()
            .find(|row| row.path.as_str() == "/late.txt")
            .unwrap();
        if is_altered {
            let place = bench.shelf().path().join(late.stored_at.as_deref().unwrap());
            let mut bytes = fs::read(&place).unwrap();
            bytes[700] ^= 4;
            fs::write(&place, bytes).unwrap();
        }

        lab.simulator.faults().clear();
        bench.next_night();
        lab.simulator.reset_calls();
        complete(&bench);
        let newest = bench.shelf().newest();
        let first = bench.shelf().snapshots().remove(0);
        assert_eq!(newest.head.basis.as_deref(), Some(first.id.as_str()));
        assert_eq!(lab.downloads(), 1 + u64::from(is_altered));
        if !is_altered {
            let row = bench
                .shelf()
                .rows()
                .into_iter()
                .find(|row| row.path == late.path)
                .unwrap();
            assert_eq!(
                (row.outcome, inode(&bench, &row)),
                (Outcome::Reused, inode(&bench, &late))
            );
        }
        let rows = bench.shelf().rows();
        bench.shelf().assert_rows_on_disk(&rows);
        if !is_altered {
            bench.shelf().assert_holds(&lab.world(), 0);
        }
    }
}

#[test]
fn the_children_of_a_folder_that_could_not_be_listed_are_unknown_and_not_deleted() {
    let lab = Lab::new(world(60), Options::default());
    let bench = lab.bench();
    complete(&bench);
    let rows = bench.shelf().rows();
    let folder = rows
        .iter()
        .map(|row| row.path.to_string())
        .find(|path| {
            rows.iter()
                .filter(|row| row.path.as_str().starts_with(&format!("{path}/")))
                .count()
                > 3
        })
        .unwrap();
    let refused = Action::Status {
        code: 403,
        headers: BTreeMap::new(),
        body: None,
    };
    let name = folder.rsplit('/').next().unwrap();
    let rule = Rule::new("drive.list", refused).about(name).repeated(0);
    lab.simulator.faults().add(rule).unwrap();
    for _ in 0..2 {
        bench.next_night();
        partial(&bench);
        let failed: Vec<String> = bench
            .shelf()
            .failures()
            .iter()
            .map(|row| row.path.to_string())
            .collect();
        assert_eq!(failed, std::slice::from_ref(&folder));
        bench.shelf().assert_nothing_wrong(&lab.world(), 0);
    }
    lab.simulator.faults().clear();
    bench.next_night();
    lab.simulator.reset_calls();
    complete(&bench);
    assert_eq!(
        lab.downloads(),
        0,
        "every child is reused from the night before the failure"
    );
    bench.shelf().assert_holds(&lab.world(), 0);
}
