//! Plans and removals on a real archive.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;
use crate::archive::{
    Archive, Durability, Earlier, Head, Holder, LocalPath, Lock, Previous, Status, Tail, plain_or_derived,
};
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::manifest::{Outcome, Row};
use crate::path::DrivePath;
use crate::retention::Policy;
use crate::stop::{Stop, StopReason};

struct House {
    _folder: TempDir,
    archive: Archive,
}

/// One file of a night: its name, its content, and the night whose copy is reused.
type File<'a> = (&'a str, &'a str, Option<&'a str>);

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
        House {
            _folder: folder,
            archive,
        }
    }

    fn night(&self, date: &str, status: Status, files: &[File<'_>]) -> SnapshotId {
        self.night_of("backup", "night", date, status, files)
    }

    fn night_of(&self, kind: &str, job: &str, date: &str, status: Status, files: &[File<'_>]) -> SnapshotId {
        let head = Head {
            kind: kind.to_owned(),
            job: job.to_owned(),
            started: format!("{date}T02:00:00Z").parse().unwrap(),
            ..Head::default()
        };
        let run = self.archive.begin(&head, Durability::None).unwrap();
        let mut rows = run.rows(false).unwrap();
        for (name, content, reused) in files {
            let place = LocalPath::of_drive(&DriveId::new("me")).join(&plain_or_derived(name, name), false);
            let stored = match reused {
                None => run.store(&place, &[content], None, None).unwrap(),
                Some(date) => {
                    let earlier = format!("{date}T02-00-00Z/files/{place}");
                    let earlier = Earlier {
                        stored_at: &earlier,
                        size: content.len() as u64,
                        sha256: None,
                        rehash: false,
                    };
                    run.reuse(&earlier, &place, None).unwrap()
                }
            };
            let mut entry = Entry::root(DriveId::new("me"), FileId::new(*name));
            entry.name = (*name).to_owned();
            entry.kind = Kind::File;
            entry.size = Some(stored.size);
            rows.write(&Row {
                entry,
                drive_name: String::new(),
                path: DrivePath::root().join(name),
                outcome: if reused.is_some() {
                    Outcome::Reused
                } else {
                    Outcome::Stored
                },
                reason: String::new(),
                sha256: Some(stored.sha256),
                stored_at: Some(stored.stored_at),
                attempts: 1,
            })
            .unwrap();
        }
        let tail = Tail {
            status,
            ..Tail::default()
        };
        let snapshot = run.finish(rows.finish().unwrap(), tail).unwrap();
        self.archive.discard().unwrap();
        snapshot.id
    }

    fn lock(&self) -> Lock {
        let holder = Holder {
            pid: 1,
            host: "test".to_owned(),
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
            job: "prune".to_owned(),
        };
        self.archive.lock(&holder).unwrap()
    }

    fn plan(&self, options: &Options) -> Plan {
        plan(&self.archive, options).unwrap()
    }

    fn perform(&self, plan: &Plan) -> Done {
        perform(&self.archive, &self.lock(), plan, &Stop::new()).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        self.archive
            .snapshot_ids()
            .unwrap()
            .iter()
            .map(|id| id.as_str()[..10].to_owned())
            .collect()
    }

    fn file(&self, date: &str, name: &str) -> PathBuf {
        self.archive
            .path()
            .join(format!("{date}T02-00-00Z/files/me/{name}"))
    }
}

fn last(count: u32) -> Options {
    Options {
        policy: Policy {
            last: count,
            ..Policy::default()
        },
        zone: TimeZone::UTC,
        hold_on_drop: 0.5,
        measure: true,
    }
}

fn removing(archive: &Archive) -> PathBuf {
    archive.path().join(".drivejob/removing")
}

fn count_files(folder: &Path) -> usize {
    let Ok(items) = fs::read_dir(folder) else {
        return 0;
    };
    items
        .map(|item| item.unwrap())
        .map(|item| {
            if item.file_type().unwrap().is_dir() {
                count_files(&item.path())
            } else {
                1
            }
        })
        .sum()
}

/// Three nights: `a` lives through all, `b` through the first two, `c` came in the third.
fn three_nights() -> House {
    let house = House::new();
    let (a, b, c) = ("a".repeat(1000), "b".repeat(300), "c".repeat(800));
    house.night(
        "2026-01-01",
        Status::Complete,
        &[("a", &a, None), ("b", &b, None)],
    );
    let reused = Some("2026-01-01");
    house.night(
        "2026-01-02",
        Status::Complete,
        &[("a", &a, reused), ("b", &b, reused)],
    );
    house.night(
        "2026-01-03",
        Status::Complete,
        &[("a", &a, Some("2026-01-02")), ("c", &c, None)],
    );
    house
}

#[cfg(unix)]
#[test]
fn what_a_plan_says_is_what_is_freed_and_shared_files_stay_whole() {
    for (keep, bytes) in [(3, 0), (2, 0), (1, 300)] {
        let house = three_nights();
        let plan = house.plan(&last(keep));
        let Freed::Exactly(freed) = plan.freed else {
            panic!("{:?}", plan.freed);
        };
        assert_eq!(house.ids().len(), 3, "a plan removes nothing");
        let done = house.perform(&plan);
        assert_eq!(done.removed.len(), 3 - keep as usize);
        assert_eq!(done.freed, Some(freed), "keep {keep}");
        // Heads, tails and manifests go too; of the files only those that nobody else has.
        assert!(keep == 3 || freed > bytes);
        assert_eq!(house.ids().len(), keep as usize);
        assert_eq!(
            fs::read_to_string(house.file("2026-01-03", "a")).unwrap(),
            "a".repeat(1000)
        );
        assert_eq!(count_files(&removing(&house.archive)), 0);
    }
}

#[test]
fn the_text_of_a_plan() {
    let house = three_nights();
    house.night("2026-01-04", Status::Partial, &[("a", "x", None)]);
    let options = Options {
        measure: false,
        ..last(1)
    };
    let plan = house.plan(&options);
    assert_eq!(
        plan.to_text(),
        "\
remove 2026-01-01T02-00-00Z  complete         2 files    1.3 KiB  not-wanted
remove 2026-01-02T02-00-00Z  complete         2 files    1.3 KiB  not-wanted
keep   2026-01-03T02-00-00Z  complete         2 files    1.8 KiB  newest-complete, last
keep   2026-01-04T02-00-00Z  partial          1 files        1 B  newer-partial
2 of 4 snapshots to remove"
    );
    assert_eq!(plan.to_json()["snapshots"][0]["keep"], false);
    assert_eq!(plan.to_json()["snapshots"][3]["reasons"][0], "newer-partial");
}

#[test]
fn a_big_drop_holds_back_that_job_and_no_other() {
    let house = House::new();
    let big = "x".repeat(5000);
    for date in ["2026-01-01", "2026-01-02"] {
        house.night(date, Status::Complete, &[("a", &big, None), ("b", "b", None)]);
        house.night_of(
            "audit",
            "list",
            &date.replace("01-0", "02-0"),
            Status::Complete,
            &[("l", "l", None)],
        );
    }
    house.night(
        "2026-01-03",
        Status::Complete,
        &[("a", "x", None), ("b", "b", None)],
    );
    let plan = house.plan(&last(1));
    assert_eq!(
        plan.removals().map(SnapshotId::as_str).collect::<Vec<_>>(),
        ["2026-02-01T02-00-00Z"]
    );
    assert_eq!(
        plan.holds.iter().map(Hold::to_string).collect::<Vec<_>>(),
        [
            "nothing of the job 'night' is removed: the newest complete snapshot holds 2 files and 2 bytes, \
             the one before 2 files and 5001 bytes"
        ]
    );
    assert!(plan.to_text().contains("warning: nothing of the job 'night'"));
    house.perform(&plan);
    assert_eq!(
        house.ids(),
        ["2026-01-01", "2026-01-02", "2026-01-03", "2026-02-02"]
    );
}

#[test]
fn a_newest_snapshot_that_does_not_prove_holds_back() {
    let house = three_nights();
    let manifest = house.archive.path().join("2026-01-03T02-00-00Z/manifest.csv");
    let mut text = fs::read_to_string(&manifest).unwrap();
    text.push_str("more\n");
    fs::write(&manifest, text).unwrap();
    let plan = house.plan(&last(1));
    assert_eq!(plan.removals().count(), 0);
    assert!(plan.holds[0].to_string().contains("cannot be relied on"));
}

#[test]
fn damaged_and_tailless_snapshots_are_not_touched_and_do_not_count() {
    let house = three_nights();
    let old = house.archive.path().join("2026-01-01T02-00-00Z");
    fs::remove_file(old.join("TAIL.json")).unwrap();
    fs::write(house.archive.path().join("2026-01-03T02-00-00Z/HEAD.json"), "{").unwrap();
    let plan = house.plan(&last(1));
    assert_eq!(plan.removals().count(), 0);
    assert_eq!(plan.damaged.len(), 2);
    assert!(
        plan.items[0]
            .reasons
            .contains(&crate::retention::Reason::NewestComplete)
    );
}

#[test]
fn an_empty_policy_is_refused() {
    let house = three_nights();
    let error = plan(&house.archive, &last(0)).unwrap_err();
    assert!(matches!(error, Error::EmptyPolicy(_)), "{error}");
}

#[test]
fn an_interrupted_removal_leaves_no_half_snapshot_and_is_finished_next_time() {
    let house = three_nights();
    let first: SnapshotId = "2026-01-01T02-00-00Z".parse().unwrap();
    // Stopped after one file, as a dying process would be.
    house.archive.retire(&first).unwrap();
    let mut steps = 0;
    let removed = house
        .archive
        .remove_retired(|| {
            steps += 1;
            steps > 3
        })
        .unwrap();
    assert!(removed.stopped && removed.files > 0);
    assert!(count_files(&removing(&house.archive)) > 0);
    assert_eq!(house.ids(), ["2026-01-02", "2026-01-03"]);
    assert!(house.archive.survey().unwrap().damaged.is_empty());

    let plan = house.plan(&last(9));
    assert_eq!(plan.leftovers, ["2026-01-01T02-00-00Z"]);
    assert!(plan.to_text().contains("left by an interrupted removal"));
    let done = house.perform(&plan);
    assert_eq!((done.removed.len(), done.stopped), (0, false));
    assert!(done.files > 0);
    assert!(!removing(&house.archive).exists());
    assert_eq!(
        fs::read_to_string(house.file("2026-01-02", "b")).unwrap(),
        "b".repeat(300)
    );
}

#[test]
fn a_stop_ends_the_work_between_files() {
    let house = three_nights();
    let stop = Stop::new();
    stop.drain(StopReason::Interrupted);
    let done = perform(&house.archive, &house.lock(), &house.plan(&last(1)), &stop).unwrap();
    assert!(done.stopped && done.removed.is_empty());
    assert_eq!(house.ids().len(), 3);
}

#[test]
fn a_plan_that_lost_its_anchor_is_refused() {
    let house = three_nights();
    let plan = house.plan(&last(1));
    fs::remove_dir_all(house.archive.path().join("2026-01-03T02-00-00Z")).unwrap();
    let error = perform(&house.archive, &house.lock(), &plan, &Stop::new()).unwrap_err();
    assert!(matches!(error, Error::Stale(_)), "{error}");
    assert_eq!(house.ids(), ["2026-01-01", "2026-01-02"]);
}

#[cfg(unix)]
#[test]
fn links_are_removed_and_not_followed_and_no_depth_is_too_deep() {
    let house = three_nights();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("mine"), "mine").unwrap();
    let inside = house.archive.path().join("2026-01-01T02-00-00Z/files/me");
    std::os::unix::fs::symlink(outside.path(), inside.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("mine"), inside.join("file-link")).unwrap();
    // Deeper than a process may have folders open.
    let mut deep = inside.clone();
    for _ in 0..1100 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("f"), "deep").unwrap();
    house.perform(&house.plan(&last(1)));
    assert_eq!(house.ids(), ["2026-01-03"]);
    assert_eq!(fs::read_to_string(outside.path().join("mine")).unwrap(), "mine");

    // A link in the place of a snapshot is no snapshot, and none is removed through it.
    std::os::unix::fs::symlink(outside.path(), house.archive.path().join("2025-01-01T02-00-00Z")).unwrap();
    let id: SnapshotId = "2025-01-01T02-00-00Z".parse().unwrap();
    assert!(matches!(
        house.archive.retire(&id),
        Err(archive::Error::NoSnapshot(_))
    ));
}

#[test]
fn a_night_dated_ahead_by_a_wrong_clock_pushes_nothing_out() {
    let house = House::new();
    for date in ["2026-11-19", "2026-11-20", "2030-01-01"] {
        house.night(date, Status::Complete, &[("a", "a", None)]);
    }
    assert_eq!(house.plan(&last(1)).removals().count(), 2);
    // The night of the 20th was made after the one of 2030.
    let path = house.archive.path().join("2026-11-20T02-00-00Z/HEAD.json");
    let mut head: Head = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    head.previous = Some(Previous {
        snapshot: "2030-01-01T02-00-00Z".to_owned(),
        manifest_sha256: String::new(),
    });
    fs::write(&path, serde_json::to_vec(&head).unwrap()).unwrap();
    let plan = house.plan(&last(1));
    assert_eq!(plan.removals().count(), 0);
    assert_eq!(
        plan.holds[0].to_string(),
        "nothing of the job 'night' is removed: 2030-01-01T02-00-00Z is dated later than snapshots that were made after it, since \
         a clock was wrong"
    );
    // A later night is the newest in both ways.
    house.night("2030-01-02", Status::Complete, &[("a", "a", None)]);
    assert_eq!(house.plan(&last(1)).removals().count(), 3);
}
