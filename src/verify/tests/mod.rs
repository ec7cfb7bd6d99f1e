//! Verifications of a real archive that was damaged on purpose, and spot checks against a drive that answers from a table.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod damage;
mod spot;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::archive::{Durability, Earlier, Head, LocalPath, Snapshot, Tail, plain_or_derived};
use crate::entry::{Entry, Kind as EntryKind};
use crate::id::{DriveId, FileId};
use crate::manifest::{Outcome, Row};
use crate::monitor::Silent;
use crate::path::DrivePath;
use crate::stop::StopReason;

const FIRST: &str = "2026-01-01T02-00-00Z";
const SECOND: &str = "2026-01-02T02-00-00Z";

/// An archive of two nights: the second reuses `a` and `b` of the first and adds `c`; one row of each failed.
struct House {
    _folder: TempDir,
    archive: Archive,
}

fn place(name: &str) -> LocalPath {
    LocalPath::of_drive(&DriveId::new("me"))
        .join(&plain_or_derived("docs", "docs"), false)
        .join(&plain_or_derived(name, name), false)
}

fn row(name: &str, kind: EntryKind, outcome: Outcome) -> Row {
    let mut entry = Entry::root(DriveId::new("me"), FileId::new(name));
    entry.name = name.to_owned();
    entry.kind = kind;
    entry.modified = Some("2025-12-31T00:00:00Z".parse().unwrap());
    Row {
        entry,
        drive_name: "me".to_owned(),
        path: DrivePath::root().join("docs").join(name),
        outcome,
        reason: String::new(),
        sha256: None,
        stored_at: None,
        attempts: 1,
    }
}

fn content(name: &str) -> String {
    name.repeat(if name == "a" { 600_000 } else { 1000 })
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
        let house = House {
            _folder: folder,
            archive,
        };
        let first = house.night("2026-01-01", None, &["a", "b"]);
        house.night("2026-01-02", Some(&first), &["a", "b", "c"]);
        house
    }

    fn night(&self, date: &str, before: Option<&Snapshot>, names: &[&str]) -> Snapshot {
        let head = Head {
            kind: "backup".to_owned(),
            tenant: "acme".to_owned(),
            started: format!("{date}T02:00:00Z").parse().unwrap(),
            previous: before.and_then(Snapshot::as_previous),
            ..Head::default()
        };
        let run = self.archive.begin(&head, Durability::None).unwrap();
        let mut rows = run.rows(false).unwrap();
        let mut folder = row("docs", EntryKind::Folder, Outcome::Stored);
        folder.path = DrivePath::root().join("docs");
        let docs = LocalPath::of_drive(&DriveId::new("me")).join(&plain_or_derived("docs", "docs"), false);
        folder.stored_at = Some(run.make_folder(&docs).unwrap());
        rows.write(&folder).unwrap();
        for name in names {
            let text = content(name);
            let earlier = before.map(|before| place(name).stored_at(&before.id));
            let reused = earlier
                .as_ref()
                .filter(|place| self.archive.path().join(place).exists());
            let stored = match reused {
                None => run.store(&place(name), &[&text], None, None).unwrap(),
                Some(earlier) => {
                    let earlier = Earlier {
                        stored_at: earlier,
                        size: text.len() as u64,
                        sha256: None,
                        rehash: false,
                    };
                    run.reuse(&earlier, &place(name), None).unwrap()
                }
            };
            let outcome = if reused.is_some() {
                Outcome::Reused
            } else {
                Outcome::Stored
            };
            let mut row = row(name, EntryKind::File, outcome);
            row.entry.size = Some(stored.size);
            row.sha256 = Some(stored.sha256);
            row.stored_at = Some(stored.stored_at);
            rows.write(&row).unwrap();
        }
        let mut failed = row("z", EntryKind::File, Outcome::Failed);
        failed.reason = "denied".to_owned();
        rows.write(&failed).unwrap();
        let snapshot = run.finish(rows.finish().unwrap(), Tail::default()).unwrap();
        self.archive.discard().unwrap();
        snapshot
    }

    fn path(&self, rest: &str) -> PathBuf {
        self.archive.path().join(rest)
    }

    fn verify(&self, options: &Options) -> (Summary, Vec<Problem>) {
        let archive = Archive::open(self.archive.path()).unwrap();
        let mut problems = Vec::new();
        let summary = verify(&archive, options, &Stop::new(), &Silent, &mut |problem| {
            problems.push(problem.clone());
        })
        .unwrap();
        assert_eq!(summary.problems.count(), problems.len() as u64);
        (summary, problems)
    }

    /// The problems of a whole verification, as kind and place.
    fn problems(&self) -> BTreeSet<(&'static str, String)> {
        let (_, problems) = self.verify(&whole());
        problems
            .into_iter()
            .map(|problem| (problem.kind.as_str(), problem.place))
            .collect()
    }

    fn edit(&self, rest: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(rest);
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text, "{rest}");
        // Not in place: hard links of other nights must not change along.
        fs::remove_file(&path).unwrap();
        fs::write(&path, changed).unwrap();
    }
}

fn whole() -> Options {
    Options::whole("2026-02-01T00:00:00Z".parse().unwrap())
}

#[test]
fn a_good_archive_is_good_and_shared_files_are_read_once() {
    let house = House::new();
    let (summary, problems) = house.verify(&whole());
    assert_eq!(problems, []);
    let shared = u64::from(cfg!(unix)) * 2;
    let expected = Summary {
        snapshots: 2,
        rows: 9,
        good: 5,
        linked: shared,
        bytes: 600_000 + 1000 + 1000 + if shared == 0 { 601_000 } else { 0 },
        ..Summary::default()
    };
    assert_eq!(summary, expected);
    assert!(summary.is_good());
    assert_eq!(summary.to_json()["bytes_read"], expected.bytes);

    let one = Options {
        snapshot: Some(SECOND.parse().unwrap()),
        threads: NonZeroUsize::new(1),
        ..whole()
    };
    let (summary, problems) = house.verify(&one);
    assert_eq!(
        (problems.len(), summary.snapshots, summary.good, summary.bytes),
        (0, 1, 3, 602_000)
    );
    let none = Options {
        snapshot: Some("2020-01-01T02-00-00Z".parse().unwrap()),
        ..whole()
    };
    let error = verify(&house.archive, &none, &Stop::new(), &Silent, &mut |_| {}).unwrap_err();
    assert!(matches!(error, archive::Error::NoSnapshot(_)));
}

/// A way to damage an archive, and the problems it must make, as kind and place below the second night.
type Damage = (&'static str, fn(&House), &'static [(&'static str, &'static str)]);

#[test]
fn a_pruned_night_breaks_nothing() {
    let house = House::new();
    house.archive.remove(&FIRST.parse().unwrap()).unwrap();
    assert_eq!(house.problems(), BTreeSet::new());
}

#[test]
fn samples_go_round_and_what_is_bad_stays_due() {
    let house = House::new();
    fs::create_dir_all(house.path(".drivejob")).unwrap();
    let c = house.path(&format!("{SECOND}/files/me/docs/c"));
    fs::write(&c, content("c").replacen('c', "x", 1)).unwrap();
    // Three contents in all, and five names of them.
    let options = |hour: i64| Options {
        sample: 0.01,
        now: Timestamp::from_second(1_770_000_000 + hour * 3600).unwrap(),
        ..whole()
    };
    let (mut good, mut bad) = (0, 0);
    for hour in 0..6 {
        let (summary, problems) = house.verify(&options(hour));
        assert!(
            summary.good + summary.problems.count() > 0,
            "a sample of something is not nothing"
        );
        assert!(summary.good <= 2);
        good += summary.good;
        bad += problems
            .iter()
            .filter(|problem| problem.kind == Kind::Altered)
            .count();
    }
    // Two contents with two names each are good, one is bad; in six samples each has its turn twice.
    assert_eq!((good, bad), (8, 2));

    let month = Options {
        older_than: Some(Duration::from_secs(30 * 86_400)),
        ..options(7)
    };
    let (summary, problems) = house.verify(&Options { sample: 1.0, ..month });
    assert_eq!((summary.good, problems.len()), (0, 1));
}

#[test]
fn a_stopped_verification_says_so() {
    let house = House::new();
    let stop = Stop::new();
    stop.drain(StopReason::Interrupted);
    let summary = verify(&house.archive, &whole(), &stop, &Silent, &mut |_| {}).unwrap();
    assert!(summary.stopped);
    assert_eq!(summary.snapshots, 0);
}

#[test]
fn a_problem_is_one_safe_line_and_one_object() {
    let problem = Problem {
        snapshot: SECOND.parse().unwrap(),
        kind: Kind::Altered,
        item: Some(("me".to_owned(), "/a\nb".to_owned())),
        place: format!("{SECOND}/files/me/a~0"),
        detail: "SHA-256 00".to_owned(),
        bucket: None,
    };
    assert_eq!(
        problem.to_string(),
        format!("altered    {SECOND}/files/me/a~0  me:/a\\nb  (SHA-256 00)")
    );
    assert_eq!(
        problem.to_json().to_string(),
        format!(
            "{{\"snapshot\":\"{SECOND}\",\"kind\":\"altered\",\"drive\":\"me\",\"path\":\"/a\\nb\",\
             \"place\":\"{SECOND}/files/me/a~0\",\"detail\":\"SHA-256 00\"}}"
        )
    );
}
