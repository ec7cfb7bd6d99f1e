//! Archives, snapshots, runs and locks on a real folder.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod files;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::coverage::Count;
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::manifest::{Outcome, Row};
use crate::path::DrivePath;

/// SHA-256 of "hello".
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

const NIGHT: &str = "2026-11-23T02:00:00Z";

struct House {
    folder: TempDir,
    archive: Archive,
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
        House { folder, archive }
    }

    fn path(&self, rest: &str) -> PathBuf {
        self.archive.path().join(rest)
    }

    fn begin(&self, started: &str) -> Run {
        self.archive
            .begin(&head("backup", started), Durability::None)
            .unwrap()
    }

    /// A finished snapshot with one file `hello`.
    fn snapshot(&self, started: &str) -> (Snapshot, Stored) {
        let run = self.begin(started);
        let stored = run.store(&local("hello"), &["he", "llo"], None, Some(5)).unwrap();
        let snapshot = finish(&run, Status::Complete);
        self.archive.discard().unwrap();
        (snapshot, stored)
    }

    fn staged(&self) -> Vec<String> {
        names(&self.path(".drivejob/run/staging"))
    }
}

fn head(kind: &str, started: &str) -> Head {
    Head {
        kind: kind.to_owned(),
        started: started.parse().unwrap(),
        ..Head::default()
    }
}

fn local(name: &str) -> LocalPath {
    LocalPath::of_drive(&DriveId::new("me")).join(&plain_or_derived(name, "1"), false)
}

fn row(name: &str, outcome: Outcome) -> Row {
    let mut entry = Entry::root(DriveId::new("me"), FileId::new(name));
    entry.name = name.to_owned();
    entry.kind = Kind::File;
    entry.size = Some(5);
    Row {
        entry,
        drive_name: String::new(),
        path: DrivePath::root().join(name),
        outcome,
        reason: String::new(),
        sha256: None,
        stored_at: None,
        attempts: 1,
    }
}

fn finish(run: &Run, status: Status) -> Snapshot {
    let mut rows = run.rows(false).unwrap();
    rows.write(&row("hello", Outcome::Stored)).unwrap();
    let written = rows.finish().unwrap();
    let tail = Tail {
        status,
        ..Tail::default()
    };
    run.finish(written, tail).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn only_an_archive_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/archive");
    let message = |result: Result<Archive, Error>| result.unwrap_err().to_string();
    assert!(message(Archive::open(&path)).ends_with("is not an archive: it has no ARCHIVE.json"));

    let made = Archive::open_or_create(&path, "acme").unwrap();
    assert_eq!(names(&path), ["ARCHIVE.json"]);
    assert_eq!(Archive::open(&path).unwrap().tenant(), "acme");
    assert_eq!(Archive::open(&path).unwrap().created(), made.created());
    assert!(matches!(Archive::create(&path, "acme"), Err(Error::Occupied(_))));
    assert!(
        message(Archive::open_or_create(&path, "other")).ends_with("holds the tenant 'acme', not 'other'")
    );

    let marker = path.join("ARCHIVE.json");
    fs::write(&marker, r#"{"format": 2, "shape": "unknown"}"#).unwrap();
    assert!(matches!(
        Archive::open(&path),
        Err(Error::NewerFormat { found: 2, .. })
    ));
    fs::write(&marker, "{").unwrap();
    assert!(matches!(
        Archive::open_or_create(&path, "acme"),
        Err(Error::Damaged { .. })
    ));

    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("photo.jpg"), "x").unwrap();
    for path in [&foreign, &foreign.join("photo.jpg")] {
        assert!(matches!(
            Archive::open_or_create(path, "acme"),
            Err(Error::NotAnArchive(_))
        ));
    }
    assert_eq!(names(&foreign), ["photo.jpg"]);
}

#[test]
fn the_lock_keeps_a_second_run_out_and_says_who_holds_it() {
    let house = House::new();
    let holder = Holder {
        pid: 7,
        host: "nas".to_owned(),
        since: NIGHT.parse().unwrap(),
        job: "nightly".to_owned(),
    };
    let lock = house.archive.lock(&holder).unwrap();
    let error = Archive::open(house.archive.path())
        .unwrap()
        .lock(&holder)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "another run holds the archive: process 7 on nas since 2026-11-23T02:00:00Z, job 'nightly'"
    );
    fs::write(house.path(".drivejob/holder.json"), "torn").unwrap();
    assert!(matches!(house.archive.lock(&holder), Err(Error::Held(None))));
    drop(lock);
    drop(house.archive.lock(&holder).unwrap());
    assert_eq!(names(&house.path(".drivejob")), ["lock"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(house.path(".drivejob"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[test]
fn a_snapshot_appears_whole() {
    let house = House::new();
    assert_eq!(house.archive.unfinished().unwrap(), None);
    assert!(matches!(
        house.archive.resume(Durability::None),
        Err(Error::NothingUnfinished)
    ));
    let run = house.begin(NIGHT);
    fs::write(run.ledger_path(), "state").unwrap();
    let stored = run
        .store(&local("hello"), &["hello"], Some(NIGHT.parse().unwrap()), Some(5))
        .unwrap();
    assert_eq!(
        stored,
        Stored {
            stored_at: "2026-11-23T02-00-00Z/files/me/hello".to_owned(),
            sha256: HELLO.to_owned(),
            size: 5,
        }
    );
    run.make_folder(&local("empty")).unwrap();
    assert_eq!(names(house.archive.path()), [".drivejob", "ARCHIVE.json"]);
    assert!(matches!(
        house.archive.begin(&head("backup", NIGHT), Durability::None),
        Err(Error::Unfinished(id)) if id.as_str() == "2026-11-23T02-00-00Z"
    ));

    // Stopped and carried on, with the state where it was.
    drop(run);
    let unfinished = house.archive.unfinished().unwrap().unwrap();
    assert_eq!(unfinished.head.kind, "backup");
    let run = house.archive.resume(Durability::Grouped).unwrap();
    assert_eq!(*run.id(), unfinished.id);
    assert_eq!(fs::read(run.ledger_path()).unwrap(), b"state");

    let mut rows = run.rows(true).unwrap();
    for outcome in Outcome::ALL {
        rows.write(&row(outcome.as_str(), outcome)).unwrap();
    }
    let written = rows.finish().unwrap();
    assert_eq!(
        (written.totals.rows, written.totals.bytes, written.failures_rows),
        (6, 30, 3)
    );
    assert_eq!(
        written.totals.of(Outcome::Failed),
        Count {
            files: 1,
            folders: 0,
            bytes: 5
        }
    );
    run.sync().unwrap();
    let snapshot = run.finish(written.clone(), Tail::default()).unwrap();
    assert_eq!(
        names(house.archive.path()),
        [".drivejob", "2026-11-23T02-00-00Z", "ARCHIVE.json"]
    );
    assert_eq!(
        names(&snapshot.path),
        ["HEAD.json", "TAIL.json", "failures.csv", "files", "manifest.csv"]
    );
    assert_eq!(names(&snapshot.path.join("files/me")), ["empty", "hello"]);

    // What is published is not written to.
    assert!(matches!(run.stage(), Err(Error::NothingUnfinished)));
    assert!(matches!(
        run.finish(written, Tail::default()),
        Err(Error::NothingUnfinished)
    ));
    house.archive.discard().unwrap();
    assert_eq!(house.archive.unfinished().unwrap(), None);

    let [read] = house.archive.snapshots().unwrap().try_into().unwrap();
    assert_eq!((&read.head, &read.tail), (&snapshot.head, &snapshot.tail));
    assert_eq!(read.head.format, FORMAT);
    read.verify_manifest_hash().unwrap();
    assert_eq!(read.manifest().unwrap().count(), 6);
    assert_eq!(read.failures().unwrap().count(), 3);
    let (mut file, size) = house.archive.open_stored(&stored.stored_at).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), size), ("hello", 5));
    let modified: std::time::SystemTime = NIGHT.parse::<Timestamp>().unwrap().into();
    assert_eq!(file.metadata().unwrap().modified().unwrap(), modified);

    let path = read.path.join("manifest.csv");
    fs::write(
        &path,
        fs::read_to_string(&path).unwrap().replace("/failed", "/stored"),
    )
    .unwrap();
    assert!(matches!(
        read.verify_manifest_hash(),
        Err(Error::ManifestHash { .. })
    ));
}

#[test]
fn words_find_snapshots() {
    let house = House::new();
    for (started, kind, status) in [
        ("2026-11-21T02:00:00Z", "backup", Status::Complete),
        ("2026-11-22T02:00:00Z", "backup", Status::Partial),
        ("2026-11-22T02:00:00Z", "audit", Status::Complete),
        ("2026-11-23T02:00:00Z", "backup", Status::Complete),
    ] {
        let run = house
            .archive
            .begin(&head(kind, started), Durability::None)
            .unwrap();
        finish(&run, status);
    }
    // The second run of that second took the next one. A folder of another name is not ours; a damaged snapshot is passed over.
    fs::create_dir(house.path("2026-11-24")).unwrap();
    fs::write(house.path("2026-11-23T02-00-00Z/HEAD.json"), "{").unwrap();
    let ids: Vec<String> = house
        .archive
        .snapshot_ids()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        ids,
        [
            "2026-11-21T02-00-00Z",
            "2026-11-22T02-00-00Z",
            "2026-11-22T02-00-01Z",
            "2026-11-23T02-00-00Z"
        ]
    );
    let survey = house.archive.survey().unwrap();
    assert_eq!((survey.snapshots.len(), survey.damaged.len()), (3, 1));

    let newest = |kind: &str| {
        let found = house.archive.newest_complete(|head| head.kind == kind).unwrap();
        found.map(|snapshot| snapshot.id.to_string())
    };
    assert_eq!(newest("backup").as_deref(), Some("2026-11-21T02-00-00Z"));
    assert_eq!(newest("audit").as_deref(), Some("2026-11-22T02-00-01Z"));
    assert_eq!(newest("migrate"), None);

    for (word, kind, expected) in [
        ("latest", None, Some("2026-11-22T02-00-01Z")),
        ("latest", Some("backup"), Some("2026-11-22T02-00-00Z")),
        ("@2026-11-21", None, Some("2026-11-21T02-00-00Z")),
        ("2026-11-22", Some("backup"), Some("2026-11-22T02-00-00Z")),
        ("2026-11-22T01:59:59Z", None, Some("2026-11-21T02-00-00Z")),
        (
            "2026-11-22T02-00-00Z",
            Some("audit"),
            Some("2026-11-22T02-00-00Z"),
        ),
        ("2026-11-20", None, None),
        ("2026-11-20T02-00-00Z", None, None),
        ("yesterday", None, None),
    ] {
        let found = house
            .archive
            .resolve(word, kind)
            .map(|snapshot| snapshot.id.to_string());
        match found {
            Err(Error::NoSnapshot(_)) => assert_eq!(expected, None, "{word}"),
            found => assert_eq!(found.unwrap(), expected.unwrap(), "{word}"),
        }
    }

    let id = "2026-11-21T02-00-00Z".parse().unwrap();
    house.archive.remove(&id).unwrap();
    assert!(!house.path(id.as_str()).exists());
    assert!(matches!(house.archive.remove(&id), Err(Error::NoSnapshot(_))));
}

#[test]
fn a_run_killed_while_it_begins_has_not_begun() {
    let house = House::new();
    drop(house.begin(NIGHT));
    fs::remove_file(house.path(".drivejob/run/snapshot/HEAD.json")).unwrap();
    fs::write(house.path(".drivejob/run/ledger.sqlite"), "old").unwrap();
    assert_eq!(house.archive.unfinished().unwrap(), None);
    let run = house.begin(NIGHT);
    assert!(!run.ledger_path().exists());
    fs::write(house.path(".drivejob/run/snapshot/HEAD.json"), "").unwrap();
    assert!(matches!(house.archive.unfinished(), Err(Error::Damaged { .. })));
    house.archive.discard().unwrap();
    assert_eq!(house.archive.unfinished().unwrap(), None);
}

#[test]
fn a_job_without_a_snapshot_has_a_folder_for_its_state() {
    let house = House::new();
    let state = house.archive.job_state("restore-1").unwrap();
    assert_eq!(state, house.path(".drivejob/restore-1"));
    fs::write(state.join("x"), "x").unwrap();
    assert_eq!(house.archive.job_state("restore-1").unwrap(), state);
    house.archive.drop_job_state("restore-1").unwrap();
    house.archive.drop_job_state("restore-1").unwrap();
    assert!(!state.exists());
    for name in ["", "..", "a/b", "a\\b", "nul"] {
        assert!(
            matches!(house.archive.job_state(name), Err(Error::Outside(_))),
            "{name}"
        );
    }
    fs::create_dir(house.path("restore-2026-11-23T02-00-00Z")).unwrap();
    assert!(
        house.archive.snapshot_ids().unwrap().is_empty(),
        "results are no snapshot"
    );
}

#[test]
fn what_the_disk_says_is_told_apart() {
    let error = |kind: std::io::ErrorKind| Error::io("write", "x", kind.into());
    assert!(error(std::io::ErrorKind::StorageFull).is_full());
    assert!(error(std::io::ErrorKind::QuotaExceeded).is_full());
    assert!(error(std::io::ErrorKind::ReadOnlyFilesystem).is_read_only());
    assert!(error(std::io::ErrorKind::InvalidFilename).is_name_refused());
    let full = Error::manifest(
        Path::new("m"),
        crate::manifest::Error::Io(std::io::ErrorKind::StorageFull.into()),
    );
    assert!(full.is_full());
    assert!(!error(std::io::ErrorKind::NotFound).is_full());
    // A disk that is always full.
    #[cfg(target_os = "linux")]
    {
        let mut writer = crate::manifest::Writer::new(
            fs::OpenOptions::new().write(true).open("/dev/full").unwrap(),
            false,
        )
        .unwrap();
        writer.write(&row("a", Outcome::Stored)).unwrap();
        let error = writer.finish().map(|_| ()).unwrap_err();
        assert!(Error::manifest(Path::new("m"), error).is_full());
    }
    let house = House::new();
    let run = house.begin(NIGHT);
    let long = LocalPath::parse(&format!("me/{}", "a".repeat(256))).unwrap();
    assert!(
        run.store(&long, &["x"], None, None)
            .unwrap_err()
            .is_name_refused()
    );
    assert!(house.staged().is_empty());
}
