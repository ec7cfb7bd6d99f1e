//! The papers of an archive, distorted: heads and tails, marker and lock, status, and how far a half file is.

use std::fs;
use std::path::Path;

use drivejob::archive::{
    Archive, Durability, Error, Head, Holder, LocalName, LocalPath, Staged, fold, plain_or_derived,
};
use drivejob::id::{DriveId, SnapshotId};
use drivejob::watch::{read_status, status_path};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::hostile::{body, one_case_in};

const NIGHT: &str = "2026-11-23T02-00-00Z";

/// An archive with one complete night.
fn shelf() -> (TempDir, Archive) {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
    let night = archive.path().join(NIGHT);
    fs::create_dir_all(night.join("files/me")).unwrap();
    fs::write(night.join("files/me/x"), "x").unwrap();
    fs::write(night.join("HEAD.json"), head().to_string()).unwrap();
    fs::write(night.join("TAIL.json"), tail().to_string()).unwrap();
    fs::write(night.join("manifest.csv"), "").unwrap();
    (folder, archive)
}

fn head() -> Value {
    json!({"format": 1, "kind": "backup", "job": "j", "fingerprint": "f", "tenant": "acme", "drives": ["me"], "tool": "t",
        "started": "2026-11-23T02:00:00Z", "previous": {"snapshot": NIGHT, "manifest_sha256": "00"}, "basis": null, "more": 1})
}

fn tail() -> Value {
    json!({"status": "complete", "finished": "2026-11-23T02:10:00Z", "totals": {"files": 1, "bytes": 1}, "calls": {"drive.list": 3},
        "coverage": {"drives": []}, "alarms": [{"code": "c", "message": "m"}], "failures_rows": 0,
        "manifest_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"})
}

fn status() -> Value {
    json!({"format": 1, "run": {"job": "j", "kind": "backup", "pid": 7, "host": "h", "started": "2026-11-23T02:00:00Z",
        "updated": "2026-11-23T02:00:00Z", "moved": "2026-11-23T02:00:00Z", "phase": "working", "counters": {"a": 1}},
        "jobs": {"j": {"last": {"kind": "backup", "outcome": "complete", "started": "2026-11-23T02:00:00Z",
            "finished": "2026-11-23T02:00:00Z", "missed": 0}, "told": "success"}}})
}

/// An error of a damaged paper names it.
fn assert_named(error: &Error, name: &str) {
    let text = error.to_string();
    assert!(text.contains(name), "{text}");
}

proptest! {
    #![proptest_config(one_case_in(2))]

    #[test]
    fn a_distorted_paper_is_read_or_named(head in body(head()), tail in body(tail()), which in 0..3_u8) {
        let (_folder, archive) = shelf();
        let night = archive.path().join(NIGHT);
        if which != 1 { fs::write(night.join("HEAD.json"), &head).unwrap(); }
        if which != 0 { fs::write(night.join("TAIL.json"), &tail).unwrap(); }
        let survey = archive.survey().unwrap();
        prop_assert_eq!(survey.snapshots.len() + survey.damaged.len(), 1);
        for damaged in &survey.damaged {
            assert_named(&damaged.error, if matches!(which, 1) { "TAIL.json" } else { ".json" });
        }
        for snapshot in &survey.snapshots {
            // The folder's name stands, whatever a head tells.
            prop_assert_eq!(snapshot.id.as_str(), NIGHT);
            if which == 0 {
                prop_assert!(snapshot.is_complete() && snapshot.verify_manifest_hash().is_ok());
            }
            prop_assert!(!snapshot.is_complete() || snapshot.tail.is_some());
        }
        for word in ["latest", NIGHT, "2026-11-23", "2026-11-24T00:00:00Z"] {
            let _ = archive.resolve(word, Some("backup"));
        }
        let _ = archive.newest_complete(|_| true);
    }

    #[test]
    fn a_distorted_marker_opens_nothing_but_what_it_says(marker in body(json!({"format": 1, "tenant": "acme", "created": "2026-11-23T02:00:00Z"}))) {
        let (_folder, archive) = shelf();
        fs::write(archive.path().join("ARCHIVE.json"), &marker).unwrap();
        match Archive::open(archive.path()) {
            Ok(opened) => {
                let told: Value = match serde_json::from_slice(&marker) {
                    Ok(told) => told,
                    // What the marker's reader skips may lie deeper than a value may be.
                    Err(error) => {
                        prop_assert!(error.to_string().contains("recursion limit"), "{}", error);
                        return Ok(());
                    }
                };
                prop_assert_eq!(told["tenant"].as_str(), Some(opened.tenant()));
                prop_assert!(told["format"].as_u64().is_none_or(|format| format <= 1));
                prop_assert_eq!(Archive::open_or_create(archive.path(), "acme").is_ok(), opened.tenant() == "acme");
            }
            Err(error) => {
                assert_named(&error, "ARCHIVE.json");
                prop_assert!(Archive::open_or_create(archive.path(), "acme").is_err(), "a damaged archive is not made anew");
            }
        }
    }

    #[test]
    fn who_holds_it_and_how_it_stands_may_be_nonsense(holder in body(json!({"pid": 1, "host": "h", "since": "2026-11-23T02:00:00Z", "job": "j"})), status in body(status())) {
        let (_folder, archive) = shelf();
        let me = Holder { pid: 1, host: "h".to_owned(), since: "2026-11-23T02:00:00Z".parse().unwrap(), job: "j".to_owned() };
        let lock = archive.lock(&me).unwrap();
        fs::write(archive.path().join(".drivejob/holder.json"), holder).unwrap();
        fs::write(status_path(archive.path()), status).unwrap();
        prop_assert!(matches!(archive.lock(&me), Err(Error::Held(_))));
        read_status(archive.path()).unwrap();
        drop(lock);
        prop_assert!(archive.lock(&me).is_ok());
    }

    #[test]
    fn a_half_file_goes_on_from_bytes_that_are_proven_or_not_at_all(kept in prop::collection::vec(any::<u8>(), 0..200), more in prop::collection::vec(any::<u8>(), 0..50),
        wrong in prop_oneof![
            Just(None), "[0-9]{0,21} [0-9a-f]{0,64}\n?".prop_map(Some), "\\PC{0,20}".prop_map(Some),
        ], (at, bit) in (any::<Index>(), 0..9_u8)) {
        let (_folder, archive) = shelf();
        let mut head = Head { kind: "backup".to_owned(), ..Head::default() };
        head.started = "2026-11-24T02:00:00Z".parse().unwrap();
        let run = archive.begin(&head, Durability::None).unwrap();
        let mut staged = run.stage().unwrap();
        staged.write(&kept).unwrap();
        let checkpoint = staged.checkpoint("key").unwrap();
        checkpoint.keep().unwrap();
        // What came after the checkpoint is torn off.
        staged.write(&more).unwrap();
        drop(staged);
        drop(run);
        let staging = archive.path().join(".drivejob/run/staging");
        let name = |start: &str| fs::read_dir(&staging).unwrap().map(|item| item.unwrap().path())
            .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start)).unwrap();
        let is_wrong = wrong.is_some();
        if let Some(note) = wrong {
            fs::write(name("c-"), note).unwrap();
        }
        let is_flipped = bit < 8 && !kept.is_empty();
        if is_flipped {
            let mut bytes = fs::read(name("p-")).unwrap();
            bytes[at.index(kept.len())] ^= 1 << bit;
            fs::write(name("p-"), bytes).unwrap();
        }
        let run = archive.resume(Durability::None).unwrap();
        match run.partial("key").unwrap() {
            Some(staged) => {
                prop_assert!(!is_flipped);
                prop_assert_eq!(staged.len(), kept.len() as u64);
                let local = LocalPath::of_drive(&DriveId::new("me")).join(&plain_or_derived("f", "1"), false);
                finish(staged, &local, &kept, archive.path());
            }
            None => prop_assert!(is_wrong || is_flipped),
        }
    }
}

fn finish(mut staged: Staged, local: &LocalPath, kept: &[u8], archive: &Path) {
    staged.write(b"end").unwrap();
    staged.publish(local, None, None).unwrap();
    let lying = fs::read(archive.join(".drivejob/run/snapshot/files/me/f")).unwrap();
    assert_eq!(lying, [kept, b"end"].concat());
}

/// Names that meet in one folder: often equal, twins by case or form, or made to look derived.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[aAbB]{1,2}",
        "(が|か\u{3099}|각|\u{1100}\u{1161}\u{11a8}|ﾊﾟ|パ|É|e\u{301}|ß|ẞ|ss|ſs|İ|i\u{307}|ı)",
        "(\\.|\\.\\.|/|\\\\|\\.drivejob|HEAD\\.json|con|aux\\.txt|nul |a\\.|a |~|#12)",
        "a?~[0-9a-f]{16}(\\.txt)?",
        "[あ한😀]{60,90}",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn siblings_get_places_of_their_own(names in prop::collection::vec(name(), 1..30), deep in 0..40_usize) {
        let mut folder = LocalPath::of_drive(&DriveId::new("users/u1"));
        for depth in 0..deep {
            folder = folder.join(&plain_or_derived(&"한".repeat(80), &format!("d{depth}")), false);
        }
        let mut taken = std::collections::HashSet::new();
        let mut places = std::collections::HashMap::new();
        let night: SnapshotId = NIGHT.parse().unwrap();
        for (id, name) in names.iter().enumerate() {
            let local: LocalName = plain_or_derived(name, &id.to_string());
            // The second of two that some file system takes for one is the twin.
            let twin = !taken.insert(local.fold);
            let place = folder.join(&local, twin);
            let stored_at = place.stored_at(&night);
            prop_assert_eq!(LocalPath::from_stored_at(&stored_at).unwrap(), (night.clone(), place.clone()));
            let segment = place.as_str().rsplit('/').next().unwrap();
            prop_assert!(segment.len() <= 255 && !matches!(segment, "" | "." | "..") && !segment.contains(['/', '\\', '\0']));
            prop_assert!(segment == name || segment == local.derived);
            // Its place says which item it is, also where a file system does not tell its letters apart.
            let met = places.insert((place.as_str().rsplit_once('/').map(|(folder, _)| folder.to_owned()), fold(segment)), id);
            prop_assert_eq!(met, None, "{} meets {:?}", segment, met.map(|id| &names[id]));
        }
    }

    #[test]
    fn no_text_leads_out_of_an_archive(text in "((\\.\\./|/|\\./|files/|me/|2026-11-23T02-00-00Z/|\\\\|C:|x|\0|\\PC){0,7})") {
        let (_folder, archive) = shelf();
        fs::write(archive.path().parent().unwrap().join("x"), "outside").unwrap();
        if let Ok((mut file, size)) = archive.open_stored(&text) {
            let mut bytes = String::new();
            std::io::Read::read_to_string(&mut file, &mut bytes).unwrap();
            prop_assert_eq!((bytes.as_str(), size), ("x", 1), "{}", text);
        }
    }
}
