//! Questions to a real archive of a few nights.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::archive::{Durability, Head, Status, Tail};
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::manifest::{Outcome, Row};
use crate::path::DrivePath;
use crate::status::{LastRun, Running, StatusFile};
use crate::stop::{Stop, StopReason};
use crate::watch::write_status;

/// An item of a night: drive, path with a `|` before a name that holds a slash, id, and size for a file.
type Thing = (&'static str, &'static str, &'static str, Option<u64>);

struct House {
    _folder: TempDir,
    archive: Archive,
}

fn row(thing: &Thing, outcome: Outcome) -> Row {
    let (drive, path, id, size) = thing;
    let (folder, name) = path.split_once('|').or_else(|| path.rsplit_once('/')).unwrap();
    let mut entry = Entry::root(DriveId::new(*drive), FileId::new(*id));
    entry.name = name.to_owned();
    entry.kind = if size.is_some() { Kind::File } else { Kind::Folder };
    entry.size = *size;
    Row {
        entry,
        drive_name: format!("drive of {drive}"),
        path: DrivePath::from_text(if folder.is_empty() { "/" } else { folder }).join(name),
        outcome,
        reason: String::new(),
        sha256: None,
        stored_at: None,
        attempts: 0,
    }
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
        House {
            _folder: folder,
            archive,
        }
    }

    fn night(&self, kind: &str, date: &str, status: Status, things: &[Thing]) -> Snapshot {
        let head = Head {
            kind: kind.to_owned(),
            job: "night".to_owned(),
            started: format!("{date}T02:00:00Z").parse().unwrap(),
            ..Head::default()
        };
        let run = self.archive.begin(&head, Durability::None).unwrap();
        let mut rows = run.rows(false).unwrap();
        let mut sorted: Vec<Row> = things
            .iter()
            .map(|thing| {
                row(
                    thing,
                    if thing.2.starts_with("lost") {
                        Outcome::Failed
                    } else {
                        Outcome::Stored
                    },
                )
            })
            .collect();
        sorted.sort_by(|one, two| {
            (&one.entry.drive, one.path.as_str()).cmp(&(&two.entry.drive, two.path.as_str()))
        });
        for row in &sorted {
            rows.write(row).unwrap();
        }
        let tail = Tail {
            status,
            finished: format!("{date}T03:30:00Z").parse().unwrap(),
            ..Tail::default()
        };
        let snapshot = run.finish(rows.finish().unwrap(), tail).unwrap();
        self.archive.discard().unwrap();
        snapshot
    }

    fn find(&self, glob: &str, limit: usize) -> Found {
        let query = Query {
            pattern: Pattern::new(glob).unwrap(),
            drive: None,
            snapshot: None,
            limit,
        };
        find(&self.archive, &query, &Stop::new(), &mut |_| {}).unwrap()
    }
}

const TREE: &[Thing] = &[
    ("me", "/docs", "d", None),
    ("me", "/docs!", "d2", None),
    ("me", "/docs!/x.txt", "x", Some(1000)),
    ("me", "/docs.txt", "t", Some(7)),
    ("me", "/docs/a.txt", "a", Some(10)),
    ("me", "/docs/deep", "e", None),
    ("me", "/docs/deep/b.txt", "b", Some(20)),
    ("me", "/docs/deep/deeper", "f", None),
    ("me", "/docs/deep/deeper/c.txt", "lost-c", Some(40)),
    ("me", "/docs/empty", "g", None),
    ("me", "/docs|in/out", "h", None),
    ("me", "/docs/in/out/y.txt", "y", Some(80)),
    ("sharedrives/@1", "/docs", "s", None),
    ("sharedrives/@1", "/docs/報告書.docx", "r", Some(3)),
];

/// Name, files, bytes and lacking of each item.
fn lines(listing: &Listing) -> Vec<(String, u64, u64, u64)> {
    listing
        .items
        .iter()
        .map(|item| (item.name.clone(), item.files, item.bytes, item.lacking))
        .collect()
}

fn at(name: &str, files: u64, bytes: u64, lacking: u64) -> (String, u64, u64, u64) {
    (name.to_owned(), files, bytes, lacking)
}

#[test]
fn a_folder_lists_its_children_with_all_that_is_in_them() {
    let house = House::new();
    let night = house.night("backup", "2026-01-01", Status::Partial, TREE);
    for (place, found, expected) in [
        (
            None,
            true,
            vec![
                at("drive of me", 6, 1157, 1),
                at("drive of sharedrives/@1", 1, 3, 0),
            ],
        ),
        (
            Some("me:/"),
            true,
            vec![
                at("docs", 4, 150, 1),
                at("docs!", 1, 1000, 0),
                at("docs.txt", 1, 7, 0),
            ],
        ),
        (
            Some("me:/docs"),
            true,
            vec![
                at("a.txt", 1, 10, 0),
                at("deep", 2, 60, 1),
                at("empty", 0, 0, 0),
                at("in/out", 1, 80, 0),
            ],
        ),
        (
            Some("me:/docs/"),
            true,
            vec![
                at("a.txt", 1, 10, 0),
                at("deep", 2, 60, 1),
                at("empty", 0, 0, 0),
                at("in/out", 1, 80, 0),
            ],
        ),
        (Some("me:/docs/in/out"), true, vec![at("y.txt", 1, 80, 0)]),
        (Some("me:/docs/deep/deeper"), true, vec![at("c.txt", 1, 40, 1)]),
        (Some("me:/docs/empty"), true, vec![]),
        (Some("me:/docs/a.txt"), true, vec![at("a.txt", 1, 10, 0)]),
        (Some("me:/doc"), false, vec![]),
        (Some("groups/g"), true, vec![]),
        (Some("sharedrives/@1"), true, vec![at("docs", 1, 3, 0)]),
        (
            Some("/docs"),
            true,
            vec![
                at("a.txt", 1, 10, 0),
                at("deep", 2, 60, 1),
                at("empty", 0, 0, 0),
                at("in/out", 1, 80, 0),
                at("報告書.docx", 1, 3, 0),
            ],
        ),
    ] {
        let listing = list(&night, place.map(|place| place.parse().unwrap()).as_ref()).unwrap();
        assert_eq!((listing.found, lines(&listing)), (found, expected), "{place:?}");
    }
}

#[test]
fn a_listing_reads_no_further_than_it_must() {
    let house = House::new();
    let night = house.night("backup", "2026-01-01", Status::Complete, TREE);
    let path = night.path.join("manifest.csv");
    let mut text = fs::read_to_string(&path).unwrap();
    let cut = text.find("/docs/in/out").unwrap();
    // From here on nothing can be read.
    text.replace_range(cut.., "\u{0},\n");
    fs::write(&path, text).unwrap();
    let place: Place = "me:/docs!".parse().unwrap();
    assert_eq!(
        lines(&list(&night, Some(&place)).unwrap()),
        [at("x.txt", 1, 1000, 0)]
    );
}

#[test]
fn a_place_reads_and_prints_alike() {
    for (text, drive, path) in [
        ("/", None, "/"),
        ("/a:/b", None, "/a:/b"),
        ("me", Some("me"), "/"),
        ("me:", Some("me"), "/"),
        ("me:/a b/", Some("me"), "/a b"),
        ("key:24101/abc:/x", Some("key:24101/abc"), "/x"),
        ("key:24101/abc", Some("key:24101/abc"), "/"),
        ("sharedrives/@21:/a:/b", Some("sharedrives/@21"), "/a:/b"),
    ] {
        let place: Place = text.parse().unwrap();
        assert_eq!(place.drive.as_ref().map(DriveId::as_str), drive, "{text}");
        assert_eq!(place.path.as_str(), path, "{text}");
        assert_eq!(place.to_string().parse::<Place>().unwrap(), place);
    }
    assert!("".parse::<Place>().is_err());
    assert!(":/x".parse::<Place>().is_err());
}

fn three_nights() -> House {
    let house = House::new();
    house.night("backup", "2026-01-01", Status::Complete, &TREE[..6]);
    house.night("backup", "2026-01-02", Status::Complete, TREE);
    let mut third = TREE.to_vec();
    third.retain(|thing| thing.2 != "a" && thing.2 != "x");
    third.push(("me", "/docs/renamed.TXT", "a", Some(11)));
    house.night("backup", "2026-01-03", Status::Partial, &third);
    house
}

#[test]
fn find_tells_in_which_nights_an_item_was_seen() {
    let house = three_nights();
    let day = |id: &SnapshotId| id.as_str()[8..10].to_owned();
    let told = |found: &Found| -> Vec<String> {
        found
            .matches
            .iter()
            .map(|item| {
                let (first, last) = (day(&item.first), day(&item.last));
                format!(
                    "{} {} {first}-{last} x{} {}",
                    item.path,
                    item.id,
                    item.nights,
                    item.size.unwrap_or(0)
                )
            })
            .collect()
    };
    for (glob, expected) in [
        (
            "[ar]*.txt",
            vec!["/docs/a.txt a 01-02 x2 10", "/docs/renamed.TXT a 03-03 x1 11"],
        ),
        ("x.txt", vec!["/docs!/x.txt x 01-02 x2 1000"]),
        (
            "/docs/*.txt",
            vec!["/docs/a.txt a 01-02 x2 10", "/docs/renamed.TXT a 03-03 x1 11"],
        ),
        (
            "docs/deep/**",
            vec![
                "/docs/deep/b.txt b 02-03 x2 20",
                "/docs/deep/deeper f 02-03 x2 0",
                "/docs/deep/deeper/c.txt lost-c 02-03 x2 40",
            ],
        ),
        ("**/c.txt", vec!["/docs/deep/deeper/c.txt lost-c 02-03 x2 40"]),
        ("報告*", vec!["/docs/報告書.docx r 02-03 x2 3"]),
        ("in/out", vec![]),
        ("out", vec![]),
        ("nothing", vec![]),
    ] {
        let found = house.find(glob, 100);
        assert_eq!(told(&found), expected, "{glob}");
        assert_eq!(
            (found.searched, found.more, found.unreadable.len()),
            (3, false, 0)
        );
    }
    let limited = house.find("*", 4);
    assert!(limited.more);
    assert_eq!(
        told(&limited),
        [
            "/docs d 01-03 x3 0",
            "/docs! d2 01-03 x3 0",
            "/docs!/x.txt x 01-02 x2 1000",
            "/docs.txt t 01-03 x3 7"
        ]
    );
    let query = Query {
        pattern: Pattern::new("*").unwrap(),
        drive: Some(DriveId::new("sharedrives/@1")),
        snapshot: Some("2026-01-03T02-00-00Z".parse().unwrap()),
        limit: 9,
    };
    let found = find(&house.archive, &query, &Stop::new(), &mut |_| {}).unwrap();
    assert_eq!(
        told(&found),
        ["/docs s 03-03 x1 0", "/docs/報告書.docx r 03-03 x1 3"]
    );
}

#[test]
fn find_says_what_it_could_not_read_and_that_it_was_stopped() {
    let house = three_nights();
    fs::write(house.archive.path().join("2026-01-01T02-00-00Z/HEAD.json"), "").unwrap();
    fs::remove_file(house.archive.path().join("2026-01-02T02-00-00Z/manifest.csv")).unwrap();
    let found = house.find("b.txt", 9);
    assert_eq!(found.matches.len(), 1);
    let unreadable: Vec<_> = found
        .unreadable
        .iter()
        .map(|(id, _)| &id.as_str()[..10])
        .collect();
    assert_eq!(unreadable, ["2026-01-01", "2026-01-02"]);

    let stop = Stop::new();
    stop.drain(StopReason::Interrupted);
    let query = Query {
        pattern: Pattern::new("*").unwrap(),
        drive: None,
        snapshot: None,
        limit: 9,
    };
    let found = find(&house.archive, &query, &stop, &mut |_| {}).unwrap();
    assert!(found.stopped && found.matches.is_empty());
}

#[test]
fn snapshots_and_status_read_no_manifest() {
    let house = three_nights();
    house.night("audit", "2026-01-04", Status::Complete, &TREE[..2]);
    for id in house.archive.snapshot_ids().unwrap() {
        fs::remove_file(house.archive.path().join(id.as_str()).join("manifest.csv")).unwrap();
    }
    fs::write(house.archive.path().join("2026-01-01T02-00-00Z/TAIL.json"), "{").unwrap();
    let table: Vec<_> = snapshots(&house.archive)
        .unwrap()
        .into_iter()
        .map(|line| {
            (
                line.id.as_str()[..10].to_owned(),
                line.status,
                line.kind,
                line.held.files,
                line.held.bytes,
                line.failures,
            )
        })
        .collect();
    let line = |id: &str, status, kind: &str, files, bytes, failures| {
        (id.to_owned(), status, kind.to_owned(), files, bytes, failures)
    };
    assert_eq!(
        table,
        [
            line("2026-01-01", "damaged", "", 0, 0, 0),
            line("2026-01-02", "complete", "backup", 6, 1120, 1),
            line("2026-01-03", "partial", "backup", 5, 121, 1),
            line("2026-01-04", "complete", "audit", 0, 0, 0),
        ]
    );
    let line = &snapshots(&house.archive).unwrap()[1];
    assert_eq!(line.took, Some(Duration::from_secs(5400)));
    assert_eq!(line.to_json()["seconds"], 5400);

    let now = "2026-01-04T08:00:00Z".parse().unwrap();
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    for (kind, limit, complete, age, freshness) in [
        (None, None, Some("2026-01-02"), hours(54), Freshness::NotAsked),
        (None, hours(54), Some("2026-01-02"), hours(54), Freshness::Fresh),
        (None, hours(53), Some("2026-01-02"), hours(54), Freshness::TooOld),
        (
            Some("audit"),
            hours(26),
            Some("2026-01-04"),
            hours(6),
            Freshness::Fresh,
        ),
        (Some("migrate"), hours(26), None, None, Freshness::Never),
    ] {
        let health = status(&house.archive, kind, limit, now).unwrap();
        let id = health
            .newest_complete
            .as_ref()
            .map(|line| &line.id.as_str()[..10]);
        assert_eq!(
            (id, health.age, health.freshness),
            (complete, age, freshness),
            "{kind:?}"
        );
        assert_eq!(
            health.is_late(),
            matches!(freshness, Freshness::TooOld | Freshness::Never)
        );
    }
}

#[test]
fn an_archive_of_audits_alone_is_judged_by_them_and_a_future_night_is_told() {
    let house = House::new();
    let now = "2026-01-04T08:00:00Z".parse().unwrap();
    let limit = Some(Duration::from_secs(3600));
    let never = status(&house.archive, None, limit, now).unwrap();
    assert_eq!(never.freshness, Freshness::Never);
    assert_eq!(never.to_text(), "NEVER: there is no complete snapshot");

    house.night("audit", "2026-02-01", Status::Complete, &TREE[..2]);
    let health = status(&house.archive, None, limit, now).unwrap();
    assert_eq!(
        (health.freshness, health.age),
        (Freshness::Fresh, Some(Duration::ZERO))
    );
    assert!(
        health.warnings[0].contains("in the future"),
        "{:?}",
        health.warnings
    );
}

#[test]
fn the_text_of_a_status() {
    let house = three_nights();
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let mut file = StatusFile::default();
    let run = |job: &str, at: &str| Running {
        job: job.to_owned(),
        kind: "backup".to_owned(),
        pid: 7,
        host: "nas".to_owned(),
        started: time(at),
        updated: time(at),
        moved: time(at),
        phase: "working".to_owned(),
        counters: std::collections::BTreeMap::default(),
    };
    file.begin(run("night", "2026-01-03T02:00:00Z"));
    file.end(LastRun {
        kind: "backup".to_owned(),
        outcome: "failed".to_owned(),
        snapshot: None,
        started: time("2026-01-03T02:00:00Z"),
        finished: time("2026-01-03T02:10:00Z"),
        message: Some("the token is\nrefused".to_owned()),
        missed: 2,
    });
    file.told(
        "night",
        crate::notify::Event::Failure,
        time("2026-01-03T02:11:00Z"),
        Err("hc.example: answered 503".to_owned()),
    );
    file.begin(run("night", "2026-01-03T04:00:00Z"));
    write_status(house.archive.path(), &file, false).unwrap();
    let health = status(
        &house.archive,
        None,
        Some(Duration::from_secs(3600)),
        time("2026-01-03T05:00:00Z"),
    )
    .unwrap();
    assert_eq!(
        health.to_text(),
        "\
TOO OLD: newest complete snapshot 2026-01-02T02-00-00Z, 27 h 00 min old, 6 files, 1.1 KiB
  newer     2026-01-03T02-00-00Z is partial
  last run  night failed, ended 2026-01-03T02:10:00Z: the token is\\nrefused
  missed    2 slots before that run
  not told  failure of night: hc.example: answered 503
  now       night died or hangs since 2026-01-03T04:00:00Z, phase working, last sign 2026-01-03T04:00:00Z"
    );
    assert_eq!(health.to_json()["heartbeat_stopped"], true);
    assert_eq!(health.to_json()["jobs"]["night"]["last"]["missed"], 2);
}
