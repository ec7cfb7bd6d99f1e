//! What a backup holds comes back: into another tenant, another API generation, a folder; after faults, and after stops.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drivejob::manifest::{Outcome, Row, read_table};
use drivejob::report::Status;
use drivejob::sim::{
    Action, Change, GeneratedSpec, Names, Options, Rule, SharedWorld, Simulator, Sizes, World,
};
use drivejob::stop::Stop;

use crate::support::{Bench, Face, StopAt, held, sha256, tree_of, truth};

/// How many files the largest of these trees has; `DRIVEJOB_TEST_FILES` says another number.
fn files() -> usize {
    std::env::var("DRIVEJOB_TEST_FILES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1500)
}

/// How often the program is killed at least: `DRIVEJOB_TEST_KILLS`. The tree grows with it.
fn kills_wanted() -> Option<usize> {
    std::env::var("DRIVEJOB_TEST_KILLS").ok()?.parse().ok()
}

fn hostile(files: usize, folders: usize) -> World {
    World::generated(&GeneratedSpec {
        files,
        folders,
        names: Names::Hostile,
        sizes: Sizes::Uniform(0, 3000),
        ..GeneratedSpec::default()
    })
}

/// As [`hostile`], but no folder holds two items of the very same name: a drive that is restored never does.
fn hostile_without_doubles(files: usize, folders: usize) -> World {
    let mut world = hostile(files, folders);
    loop {
        let mut seen = BTreeSet::new();
        let doubles: Vec<(String, String)> = world
            .truth(0)
            .filter(|entry| !seen.insert(entry.path.clone()))
            .map(|entry| (entry.id, entry.path.rsplit('/').next().unwrap_or("").to_owned()))
            .collect();
        if doubles.is_empty() {
            return world;
        }
        for (number, (id, name)) in doubles.into_iter().enumerate() {
            let rename = Change::Rename {
                drive: "me".to_owned(),
                path: format!("id:{id}"),
                name: format!("{number} {}", name.chars().take(150).collect::<String>()),
            };
            world.apply(&rename, 0).unwrap();
        }
    }
}

/// A tenant of one member whose drive is empty.
fn empty() -> World {
    World::generated(&GeneratedSpec {
        files: 0,
        folders: 0,
        ..GeneratedSpec::default()
    })
}

async fn serve(world: World) -> Simulator {
    Simulator::start(world, Options::default()).await.unwrap()
}

/// A backup of a simulator's first drive.
async fn backed_up(simulator: &Simulator, face: Face) -> Bench {
    let bench = Bench::new(simulator, face);
    let report = bench.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{report:?}");
    simulator.reset_calls();
    bench
}

/// A job that restores an archive into a simulator, to the places where things were.
fn restoring(archive: &Bench, target: &Simulator, face: Face) -> Bench {
    let folder = archive.shelf().path().display().to_string();
    Bench::new(target, face)
        .key("kind", "\"restore\"")
        .key("archive", &format!("{folder:?}"))
        .key("target", "\"tenant.toml\"")
        .key("to", "\"original\"")
}

/// What a drive holds by path: kind, size, hash, and modified times of files.
type Tree = Vec<(String, &'static str, u64, Option<String>, Option<i64>)>;

fn tree(world: &SharedWorld, times: bool) -> Tree {
    let mut found: Tree = world
        .read(|world| truth(world, 0))
        .into_iter()
        .map(|held| {
            let modified = (times && held.kind == "file").then_some(held.modified);
            (held.path, held.kind, held.size, held.sha256, modified)
        })
        .collect();
    found.sort();
    found
}

#[track_caller]
fn assert_same(left: Tree, right: Tree) {
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left, right);
    }
    assert_eq!(left.len(), right.len());
}

fn of_rows(rows: &[Row]) -> Tree {
    let mut found: Tree = rows
        .iter()
        .map(|row| {
            let held = held(row);
            let modified = (held.kind == "file").then_some(held.modified);
            (held.path, held.kind, held.size, held.sha256, modified)
        })
        .collect();
    found.sort();
    found
}

/// Calls that put something into a drive.
const CHANGES: [&str; 7] = [
    "drive.create-folder-root",
    "drive.create-folder",
    "drive.upload-url-root",
    "drive.upload-url",
    "storage.upload",
    "classic.create-folder",
    "classic.upload",
];

fn sent(simulator: &Simulator, operations: &[&str]) -> u64 {
    let calls = simulator.calls();
    operations.iter().map(|operation| calls.of(operation)).sum()
}

/// The folder of the newest results beside the snapshots.
fn results(archive: &Bench) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(archive.shelf().path())
        .unwrap()
        .map(|item| item.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("restore-")
        })
        .collect();
    found.sort();
    found.pop().expect("there are results")
}

/// The rows of a table of results: path, outcome and reason.
fn table(folder: &Path, name: &str) -> Vec<(String, String, String)> {
    let file = fs::File::open(folder.join(name)).unwrap();
    let rows = read_table(file, ["path", "outcome", "reason"]).unwrap();
    rows.into_iter()
        .map(|(_, [path, outcome, reason])| (path, outcome, reason))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_tenant_is_backed_up_as_the_first_one_was() {
    let old = serve(hostile_without_doubles(files(), files() / 6)).await;
    let archive = backed_up(&old, Face::V2).await;
    let new = serve(empty()).await;
    let job = restoring(&archive, &new, Face::V2).key("check-back", "\"2%\"");
    let report = job.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    assert_same(tree(&old.world(), true), tree(&new.world(), true));

    let second = Bench::new(&new, Face::V2);
    assert_eq!(second.run().await.unwrap().status, Status::Complete);
    assert_same(of_rows(&archive.shelf().rows()), of_rows(&second.shelf().rows()));
    assert_eq!(archive.shelf().snapshots().len(), 1, "results are no snapshot");
    let results = results(&archive);
    let rows = table(&results, "idmap.csv");
    assert_eq!(rows.len(), archive.shelf().rows().len());
    assert_eq!(table(&results, "failures.csv").len(), 0);
    assert!(results.join("summary.json").is_file());
    assert_eq!(
        fs::read_dir(archive.shelf().path().join(".drivejob"))
            .unwrap()
            .filter(|item| item
                .as_ref()
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .starts_with("restore"))
            .count(),
        0
    );

    // Once more: everything is looked at, nothing is sent.
    new.reset_calls();
    let again = job.run().await.unwrap();
    assert_eq!(again.status, Status::Complete, "{}", again.to_text());
    assert_eq!(sent(&new, &CHANGES), 0);
    assert_same(tree(&old.world(), true), tree(&new.world(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_generation_stored_the_other_takes() {
    for (from, to) in [
        (Face::Classic, Face::V2),
        (Face::V2, Face::Classic),
        (Face::Classic, Face::Classic),
    ] {
        let old = serve(hostile_without_doubles(300, 60)).await;
        let archive = backed_up(&old, from).await;
        let new = serve(empty()).await;
        let job = restoring(&archive, &new, to);
        let report = job.run().await.unwrap();
        assert_eq!(
            report.status,
            Status::Complete,
            "{from:?} {to:?} {}",
            report.to_text()
        );
        let times = to == Face::V2;
        assert_same(tree(&old.world(), times), tree(&new.world(), times));
        new.reset_calls();
        let again = job.run().await.unwrap();
        assert_eq!(again.status, Status::Complete, "{}", again.to_text());
        assert_eq!(sent(&new, &CHANGES), 0, "{from:?} {to:?}");
        assert_eq!(again.totals.of(Outcome::Stored).files, 0, "{from:?} {to:?}");
        assert_same(tree(&old.world(), times), tree(&new.world(), times));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_items_of_one_name_both_come_back() {
    let old = serve(hostile(400, 80)).await;
    let archive = backed_up(&old, Face::V2).await;
    let new = serve(empty()).await;
    let job = restoring(&archive, &new, Face::V2);
    let report = job.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let contents = |simulator: &Simulator| {
        let mut found: Vec<_> = tree(&simulator.world(), true)
            .into_iter()
            .map(|(_, kind, size, sha256, modified)| (kind, size, sha256, modified))
            .collect();
        found.sort();
        found
    };
    assert_eq!(contents(&old), contents(&new));
    let renamed = table(&results(&archive), "idmap.csv");
    assert!(renamed.iter().any(|row| row.1 == "renamed"), "there are doubles");
    new.reset_calls();
    job.run().await.unwrap();
    assert_eq!(sent(&new, &CHANGES), 0);
}

/// A tenant with a few plain files.
fn small() -> World {
    let mut world = empty();
    for (number, path) in [
        "/a/one.txt",
        "/a/two.txt",
        "/b/three.txt",
        "/four.txt",
        "/b/c/five.txt",
    ]
    .into_iter()
    .enumerate()
    {
        put(&mut world, path, 1000 + number as u64, number as u64);
    }
    world
}

fn put(world: &mut World, path: &str, size: u64, seed: u64) {
    let add = Change::AddFile {
        drive: "me".to_owned(),
        path: path.to_owned(),
        size,
        seed,
        modified: Some(1_700_000_000_000 + i64::try_from(seed).unwrap() * 1000),
    };
    world.apply(&add, 0).unwrap();
}

fn paths(world: &SharedWorld) -> Vec<String> {
    tree(world, false).into_iter().map(|row| row.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_to_a_conflict_keeps_its_word() {
    let old = serve(small()).await;
    let archive = backed_up(&old, Face::V2).await;
    for face in Face::BOTH {
        for (word, status, outcome, changed) in [
            ("skip", Status::Partial, "skipped", false),
            ("overwrite", Status::Complete, "overwritten", true),
            ("rename", Status::Complete, "renamed", false),
            ("fail", Status::Partial, "failed", false),
        ] {
            let mut world = empty();
            // The same file, another content under the name of one, and a folder where a file was.
            put(&mut world, "/a/one.txt", 1000, 0);
            put(&mut world, "/a/two.txt", 77, 99);
            let new = serve(world).await;
            let before = tree(&new.world(), true);
            let job = restoring(&archive, &new, face).key("on-conflict", &format!("{word:?}"));
            let report = job.run().await.unwrap();
            assert_eq!(report.status, status, "{face:?} {word} {}", report.to_text());
            let rows = table(&results(&archive), "idmap.csv");
            let of = |path: &str| rows.iter().find(|row| row.0 == path).unwrap().1.clone();
            assert_eq!(of("/a/one.txt"), "already-there", "{face:?} {word}");
            assert_eq!(of("/a/two.txt"), outcome, "{face:?} {word}");
            assert_eq!(of("/b/c/five.txt"), "restored", "{face:?} {word}");
            let after = tree(&new.world(), true);
            let kept = before
                .iter()
                .filter(|row| row.0 == "/a/two.txt")
                .all(|row| after.contains(row));
            assert_eq!(kept, !changed, "{face:?} {word}");
            let expected = if word == "rename" { 9 } else { 8 };
            assert_eq!(after.len(), expected, "{face:?} {word} {:?}", paths(&new.world()));
            job.run().await.unwrap();
            assert_eq!(tree(&new.world(), true), after, "{face:?} {word}: twice is once");
        }
    }
}

/// The classic API gives each upload the time of its arrival, so that name and size alone would pass another content off.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_time_tells_the_same_file_its_content_does() {
    let old = serve(small()).await;
    let archive = backed_up(&old, Face::V2).await;
    for (word, status, outcome) in [
        ("skip", Status::Partial, "skipped"),
        ("overwrite", Status::Complete, "overwritten"),
        ("rename", Status::Complete, "renamed"),
        ("fail", Status::Partial, "failed"),
    ] {
        let mut world = empty();
        // The same content of another day, and another content of the same size.
        for (path, size, seed) in [("/a/one.txt", 1000, 0), ("/a/two.txt", 1001, 99)] {
            let add = Change::AddFile {
                drive: "me".to_owned(),
                path: path.to_owned(),
                size,
                seed,
                modified: Some(1_600_000_000_000),
            };
            world.apply(&add, 0).unwrap();
        }
        let new = serve(world).await;
        let before = tree(&new.world(), false);
        let job = restoring(&archive, &new, Face::Classic).key("on-conflict", &format!("{word:?}"));
        let report = job.run().await.unwrap();
        assert_eq!(report.status, status, "{word} {}", report.to_text());
        let rows = table(&results(&archive), "idmap.csv");
        let of = |path: &str| rows.iter().find(|row| row.0 == path).unwrap().1.clone();
        assert_eq!(of("/a/one.txt"), "already-there", "{word}");
        assert_eq!(of("/a/two.txt"), outcome, "{word}");
        let after = tree(&new.world(), false);
        let source = tree(&old.world(), false);
        let two = |tree: &Tree| tree.iter().find(|row| row.0 == "/a/two.txt").unwrap().clone();
        let expected = if word == "overwrite" { &source } else { &before };
        assert_eq!(two(&after), two(expected), "{word}");
        new.reset_calls();
        job.run().await.unwrap();
        assert_eq!(tree(&new.world(), false), after, "{word}: twice is once");
        assert_eq!(sent(&new, &["classic.upload"]), 0, "{word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_takes_what_was_asked_for_and_puts_it_where_it_was_told() {
    let old = serve(small()).await;
    let archive = backed_up(&old, Face::V2).await;
    let snapshot = archive.shelf().newest().id;
    let home = format!("/Restored {snapshot}");
    for (to, include, expected) in [
        (
            "\"original\"",
            "/a/two.txt",
            vec!["/a".to_owned(), "/a/two.txt".to_owned()],
        ),
        (
            "\"folder:Back\"",
            "/b/c/**",
            ["/Back", "/Back/b", "/Back/b/c", "/Back/b/c/five.txt"]
                .map(str::to_owned)
                .to_vec(),
        ),
        ("", "/four.txt", vec![home.clone(), format!("{home}/four.txt")]),
    ] {
        let new = serve(empty()).await;
        let mut job =
            restoring(&archive, &new, Face::V2).table(&format!("[filter]\ninclude = [{include:?}]"));
        job = if to.is_empty() {
            job.without("to")
        } else {
            job.key("to", to)
        };
        let report = job.run().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{}", report.to_text());
        assert_eq!(paths(&new.world()), expected);
        assert!(
            report
                .to_text()
                .starts_with("restore complete\n  restored  1 file"),
            "{}",
            report.to_text()
        );
    }
    // What is not there at all is a failure, and so is a drive that nobody backed up.
    let new = serve(empty()).await;
    let none = restoring(&archive, &new, Face::V2).table("[filter]\ninclude = [\"/nowhere/**\"]");
    assert_eq!(none.run().await.unwrap().status, Status::Failed);
    let none = restoring(&archive, &new, Face::V2).key("drives", "[\"me\", \"sharedrives/x\"]");
    let report = none.run().await.unwrap();
    assert_eq!(report.status, Status::Partial);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("sharedrives/x")),
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_is_chosen_by_its_day_its_name_or_as_the_latest() {
    let old = serve(small()).await;
    let archive = backed_up(&old, Face::V2).await;
    for night in 1..3_i64 {
        let add = Change::AddText {
            drive: "me".to_owned(),
            path: format!("/night {night}.txt"),
            text: "x".to_owned(),
        };
        old.change(&add).unwrap();
        assert_eq!(archive.run_next_night().await.unwrap().status, Status::Complete);
    }
    let nights: Vec<String> = archive
        .shelf()
        .snapshots()
        .iter()
        .map(|snapshot| snapshot.id.to_string())
        .collect();
    for (word, last) in [
        ("latest".to_owned(), 2),
        (nights[1][..10].to_owned(), 1),
        (nights[0].clone(), 0),
    ] {
        let new = serve(empty()).await;
        let job = restoring(&archive, &new, Face::V2)
            .key("snapshot", &format!("{word:?}"))
            .key("time-zone", "\"UTC\"");
        assert_eq!(job.run().await.unwrap().status, Status::Complete, "{word}");
        let found = paths(&new.world());
        for night in 1..3 {
            let is_there = found.contains(&format!("/night {night}.txt"));
            assert_eq!(is_there, night <= last, "{word} {night}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_folder_gets_the_names_that_it_can_hold() {
    let old = serve(hostile_without_doubles(300, 60)).await;
    let archive = backed_up(&old, Face::V2).await;
    let folder = archive.shelf().path().display().to_string();
    let job = Bench::empty()
        .key("kind", "\"restore\"")
        .key("archive", &format!("{folder:?}"))
        .key("to", "\"file:back\"");
    let report = job.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let found = tree_of(&job.folder().join("back"));
    let mut hashes: Vec<String> = found
        .values()
        .flatten()
        .map(|bytes| sha256(bytes.as_slice()))
        .collect();
    let mut expected: Vec<String> = tree(&old.world(), false)
        .into_iter()
        .filter_map(|row| row.3)
        .collect();
    hashes.sort();
    expected.sort();
    assert_eq!(hashes, expected);
    let plain: BTreeSet<String> = found.keys().map(|path| format!("/{}", path.display())).collect();
    let held = tree(&old.world(), false);
    let kept = held.iter().filter(|row| plain.contains(&row.0)).count();
    assert!(
        kept * 2 > held.len(),
        "{kept} of {} names are as they were",
        held.len()
    );
    for (path, bytes) in &found {
        if bytes.is_some() {
            let modified = fs::metadata(job.folder().join("back").join(path))
                .unwrap()
                .modified()
                .unwrap();
            assert!(modified.elapsed().is_ok());
        }
    }
    // Once more: every file is left as it is.
    let again = job.run().await.unwrap();
    assert_eq!(again.status, Status::Complete, "{}", again.to_text());
    assert_eq!(again.totals.of(Outcome::Stored).files, 0);
    assert_eq!(tree_of(&job.folder().join("back")), found);
}

#[tokio::test(flavor = "multi_thread")]
async fn f22_what_goes_wrong_on_the_way_leaves_one_copy_of_each() {
    let old = serve(small()).await;
    let archive = backed_up(&old, Face::V2).await;
    let status = |code| Action::Status {
        code,
        headers: BTreeMap::new(),
        body: None,
    };
    for (operation, action, most) in [
        ("storage.upload", Action::LostAnswer, 5),
        ("storage.upload", Action::ResetAfterBytes { bytes: 300 }, 6),
        ("storage.upload", Action::ResetBeforeHeaders, 6),
        ("storage.upload", Action::ExpiredUrl { code: 403 }, 6),
        ("storage.upload", Action::ExpiredUrl { code: 404 }, 6),
        ("storage.upload", status(500), 6),
        ("storage.upload", status(503), 6),
        ("drive.upload-url", Action::LostAnswer, 5),
        ("drive.create-folder-root", Action::LostAnswer, 5),
        ("drive.create-folder", Action::LostAnswer, 5),
        ("drive.list-root", Action::ResetBeforeHeaders, 5),
        ("drive.list", status(503), 5),
    ] {
        let new = serve(empty()).await;
        new.faults().add(Rule::new(operation, action.clone())).unwrap();
        let report = restoring(&archive, &new, Face::V2).run().await.unwrap();
        assert_eq!(
            report.status,
            Status::Complete,
            "{operation} {action:?} {}",
            report.to_text()
        );
        assert_same(tree(&old.world(), true), tree(&new.world(), true));
        let uploads = sent(&new, &["storage.upload"]);
        assert!(
            (5..=most).contains(&uploads),
            "{operation} {action:?}: {uploads} uploads"
        );
    }
    // A name that is said to be taken, and nothing shows it: that is no reason to send it under another.
    let new = serve(empty()).await;
    new.faults()
        .add(Rule::new("drive.upload-url", status(409)))
        .unwrap();
    let job = restoring(&archive, &new, Face::V2);
    let report = job.run().await.unwrap();
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    let failures = table(&results(&archive), "failures.csv");
    assert!(
        matches!(failures.as_slice(), [(_, _, reason)] if reason == "conflict"),
        "{failures:?}"
    );
    assert_eq!(job.run().await.unwrap().status, Status::Complete);
    assert_same(tree(&old.world(), true), tree(&new.world(), true));
    for (operation, action) in [
        ("classic.upload", Action::LostAnswer),
        ("classic.upload", Action::ResetAfterBytes { bytes: 300 }),
        ("classic.upload", status(503)),
        ("classic.create-folder", Action::LostAnswer),
    ] {
        let new = serve(empty()).await;
        new.faults().add(Rule::new(operation, action.clone())).unwrap();
        let report = restoring(&archive, &new, Face::Classic).run().await.unwrap();
        assert_eq!(
            report.status,
            Status::Complete,
            "{operation} {action:?} {}",
            report.to_text()
        );
        assert_same(tree(&old.world(), false), tree(&new.world(), false));
        let uploads = sent(&new, &["classic.upload"]);
        assert!(
            (5..=6).contains(&uploads),
            "{operation} {action:?}: {uploads} uploads"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_drive_takes_what_fits_and_the_rest_comes_when_there_is_room() {
    let old = serve(small()).await;
    let archive = backed_up(&old, Face::V2).await;
    let mut world = empty();
    world.drive_mut(0).unwrap().total = 2500;
    let new = serve(world).await;
    let job = restoring(&archive, &new, Face::V2).limit("uploads", "1");
    let report = job.run().await.unwrap();
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    let failures = table(&results(&archive), "failures.csv");
    assert_eq!(failures.len(), 3, "{failures:?}");
    assert!(failures.iter().all(|row| row.2 == "quota-full"), "{failures:?}");
    assert!(
        sent(&new, &["drive.upload-url-root", "drive.upload-url"]) <= 4,
        "a full drive is not asked for each file"
    );
    new.world()
        .write(|world| world.drive_mut(0).unwrap().total = 1 << 40);
    let report = job.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    assert_same(tree(&old.world(), true), tree(&new.world(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_stopped_anywhere_goes_on_to_the_same_end() {
    let old = serve(small()).await;
    let archive = backed_up(&old, Face::V2).await;
    for face in Face::BOTH {
        let mut stopped = 0;
        for at in 1..40 {
            let new = serve(empty()).await;
            let job = restoring(&archive, &new, face).limit("uploads", "2");
            let stop = Stop::new();
            let monitor = Arc::new(StopAt::new(at, &stop));
            let first = job.run_with(monitor, stop).await.unwrap();
            if first.status == Status::Interrupted {
                stopped += 1;
            }
            let report = job.run().await.unwrap();
            assert_eq!(
                report.status,
                Status::Complete,
                "{face:?} {at} {}",
                report.to_text()
            );
            assert_eq!(
                report.resumed,
                first.status == Status::Interrupted,
                "{face:?} {at}"
            );
            let times = face == Face::V2;
            assert_same(tree(&old.world(), times), tree(&new.world(), times));
        }
        assert!(stopped >= 8, "{face:?}: {stopped} of the stops came in time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_again_and_again_makes_no_second_copy() {
    let files = kills_wanted().map_or(60, |kills| kills * 30);
    let old = serve(hostile_without_doubles(files, files / 5)).await;
    let archive = backed_up(&old, Face::V2).await;
    let new = Simulator::start(
        empty(),
        Options {
            latency_ms: 2,
            ..Options::default()
        },
    )
    .await
    .unwrap();
    let job = restoring(&archive, &new, Face::V2).limit("uploads", "3");
    let mut kills = 0;
    for wait in (0..).map(|number| 20 + number % 17 * 7) {
        let mut run = job
            .process()
            .arg("run")
            .arg(job.job_file())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ended = tokio::task::spawn_blocking(move || {
            let until = Instant::now() + Duration::from_millis(wait + 40);
            while Instant::now() < until {
                if let Some(status) = run.try_wait().unwrap() {
                    return Some(status);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            run.kill().unwrap();
            run.wait().unwrap();
            None
        })
        .await
        .unwrap();
        match ended {
            Some(status) => {
                assert_eq!(status.code(), Some(0));
                break;
            }
            None => kills += 1,
        }
        assert!(
            kills < 400 + kills_wanted().unwrap_or(0) * 20,
            "it gets on with each start"
        );
    }
    assert_same(tree(&old.world(), true), tree(&new.world(), true));
    assert!(
        kills >= kills_wanted().unwrap_or(1),
        "it was killed {kills} times"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_not_uploaded() {
    let old = serve(small()).await;
    let archive = backed_up(&old, Face::V2).await;
    let place = |path: &str| {
        let row = archive
            .shelf()
            .rows()
            .into_iter()
            .find(|row| row.path.as_str() == path)
            .unwrap();
        archive.shelf().path().join(row.stored_at.unwrap())
    };
    let spoil = |path: &str| {
        let place = place(path);
        let mut bytes = fs::read(&place).unwrap();
        bytes[500] ^= 1;
        fs::remove_file(&place).unwrap();
        fs::write(&place, bytes).unwrap();
    };
    spoil("/a/one.txt");
    fs::remove_file(place("/four.txt")).unwrap();
    let new = serve(empty()).await;
    let report = restoring(&archive, &new, Face::V2).run().await.unwrap();
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    let failures: Vec<(String, String)> = table(&results(&archive), "failures.csv")
        .into_iter()
        .map(|row| (row.0, row.2))
        .collect();
    assert_eq!(
        failures,
        [("/a/one.txt", "damaged"), ("/four.txt", "damaged")]
            .map(|(path, why)| (path.to_owned(), why.to_owned()))
    );
    assert!(!paths(&new.world()).contains(&"/a/one.txt".to_owned()));

    // The next night stores them again: the first night's good copy is the second's, and the other way round.
    archive.next_night();
    for path in ["/a/one.txt", "/four.txt"] {
        old.change(&Change::Touch {
            drive: "me".to_owned(),
            path: path.to_owned(),
            size: None,
            seed: None,
            modified: None,
        })
        .unwrap();
    }
    assert_eq!(archive.run().await.unwrap().status, Status::Complete);
    let second = tree(&old.world(), true);
    // A copy of the same content elsewhere serves.
    spoil("/b/three.txt");
    let good = archive.shelf().snapshots()[0].path.join("files/me/b/three.txt");
    assert!(good.is_file());
    let new = serve(empty()).await;
    let report = restoring(&archive, &new, Face::V2).run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    assert_same(second, tree(&new.world(), true));
}
