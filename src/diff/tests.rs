//! Each kind of change, the outputs as whole texts, and the alarms.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod random;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::entry::Entry;
use crate::id::FileId;
use crate::manifest::Outcome;
use crate::path::DrivePath;

fn row(drive: &str, path: &str, id: &str, parent: &str, kind: Kind) -> Row {
    let path = DrivePath::from_text(path);
    let mut entry = Entry::root(DriveId::new(drive), FileId::new(id));
    entry.name = path.as_str().rsplit('/').next().unwrap().to_owned();
    entry.parent_id = Some(FileId::new(parent)).filter(|id| !id.as_str().is_empty());
    entry.kind = kind;
    if kind == Kind::File {
        entry.size = Some(10);
        entry.modified = "2026-11-23T02:00:00Z".parse().ok();
    }
    Row {
        entry,
        drive_name: drive.to_owned(),
        path,
        outcome: Outcome::Stored,
        reason: String::new(),
        sha256: None,
        stored_at: None,
        attempts: 0,
    }
}

fn file(path: &str, id: &str, parent: &str) -> Row {
    row("me", path, id, parent, Kind::File)
}

fn folder(path: &str, id: &str, parent: &str) -> Row {
    row("me", path, id, parent, Kind::Folder)
}

fn with(mut row: Row, change: impl FnOnce(&mut Row)) -> Row {
    change(&mut row);
    row
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|left, right| {
        let key = |row: &Row| {
            (
                row.entry.drive.clone(),
                row.path.as_str().to_owned(),
                row.entry.id.clone(),
            )
        };
        key(left).cmp(&key(right))
    });
    rows
}

fn compared(before: &[Row], after: &[Row]) -> (Vec<Change>, Summary) {
    let scratch = tempfile::tempdir().unwrap();
    let mut changes = Vec::new();
    let rows = |rows: &[Row]| rows.iter().cloned().map(Ok).collect::<Vec<_>>().into_iter();
    let summary = diff(
        rows(before),
        rows(after),
        scratch.path(),
        &Options::default(),
        |change| {
            changes.push(change.clone());
            Ok(())
        },
    );
    (changes, summary.unwrap())
}

/// Each change as its words, its path, and what it carried.
fn told(before: Vec<Row>, after: Vec<Row>) -> Vec<String> {
    let (changes, _) = compared(&sorted(before), &sorted(after));
    let text = |change: &Change| {
        let words: Vec<&str> = change.words.iter().map(|word| word.as_str()).collect();
        let carried = match change.carried {
            0 => String::new(),
            carried => format!(" +{carried}"),
        };
        format!("{} {}{carried}", words.join("+"), change.item().unwrap().path)
    };
    changes.iter().map(text).collect()
}

#[test]
fn each_kind_of_change_is_told_once() {
    let tree = || {
        vec![
            folder("/a", "a", "top"),
            folder("/a/in", "in", "a"),
            file("/a/in/deep", "deep", "in"),
            folder("/a b", "ab", "top"),
            file("/a b/x", "x", "ab"),
            file("/a/f", "f", "a"),
        ]
    };
    let fail = |row: Row| with(row, |row| row.outcome = Outcome::Failed);
    let renamed = || {
        vec![
            folder("/z", "a", "top"),
            folder("/z/in", "in", "a"),
            file("/z/in/deep", "deep", "in"),
            folder("/a b", "ab", "top"),
            file("/a b/x", "x", "ab"),
            file("/z/f", "f", "a"),
        ]
    };
    let but = |place: usize, change: &dyn Fn(&mut Row)| {
        let mut rows = tree();
        change(&mut rows[place]);
        rows
    };
    let without = |gone: &[usize]| {
        let rows = tree().into_iter().enumerate();
        rows.filter(|(place, _)| !gone.contains(place))
            .map(|(_, row)| row)
            .collect::<Vec<_>>()
    };
    type Case = (&'static str, Vec<Row>, Vec<Row>, &'static [&'static str]);
    let cases: Vec<Case> = vec![
        ("nothing", tree(), tree(), &[]),
        (
            "a folder's new name is one change",
            tree(),
            renamed(),
            &["renamed /z +3"],
        ),
        (
            "all but one came along",
            tree(),
            {
                let mut rows = renamed();
                rows[5] = file("/z/g", "f", "a");
                rows
            },
            &["renamed /z/g", "renamed /z +2"],
        ),
        (
            "gone with all below",
            tree(),
            without(&[0, 1, 2, 5]),
            &[
                "removed /a",
                "removed /a/f",
                "removed /a/in",
                "removed /a/in/deep",
            ],
        ),
        (
            "the folder could not be listed",
            tree(),
            {
                let mut rows = without(&[1, 2, 5]);
                rows[0] = fail(folder("/a", "a", "top"));
                rows
            },
            &[
                "outcome /a",
                "unknown /a/f",
                "unknown /a/in",
                "unknown /a/in/deep",
            ],
        ),
        (
            "half of it could be listed",
            tree(),
            {
                let mut rows = without(&[2, 5]);
                rows[0] = fail(folder("/a", "a", "top"));
                rows
            },
            &["outcome /a", "unknown /a/f", "removed /a/in/deep"],
        ),
        (
            "a folder that a filter leaves out",
            tree(),
            {
                let mut rows = without(&[4]);
                rows[3].outcome = Outcome::Skipped;
                rows
            },
            &["outcome /a b", "unknown /a b/x"],
        ),
        (
            "the drive could not be read",
            tree(),
            vec![fail(folder("/", "top", ""))],
            &[
                "outcome /",
                "unknown /a",
                "unknown /a/f",
                "unknown /a/in",
                "unknown /a/in/deep",
                "unknown /a b",
                "unknown /a b/x",
            ],
        ),
        (
            "the drive is not there",
            tree(),
            vec![row("you", "/y", "y", "top", Kind::File)],
            &[
                "unknown /a",
                "unknown /a/f",
                "unknown /a/in",
                "unknown /a/in/deep",
                "unknown /a b",
                "unknown /a b/x",
                "added /y",
            ],
        ),
        (
            "the drive could not be read before",
            vec![fail(folder("/", "top", ""))],
            without(&[1, 2, 3, 4, 5]),
            &["outcome /", "unknown /a"],
        ),
        (
            "moved, with a new name",
            tree(),
            {
                let mut rows = without(&[4]);
                rows.push(file("/a/y", "x", "a"));
                rows
            },
            &["renamed+moved /a/y"],
        ),
        (
            "moved below an equal path",
            tree(),
            but(4, &|row| row.entry.parent_id = Some(FileId::new("other"))),
            &["moved /a b/x"],
        ),
        (
            "the top's id is told in one snapshot only",
            tree(),
            but(0, &|row| row.entry.parent_id = None),
            &[],
        ),
        (
            "from drive to drive",
            tree(),
            {
                let mut rows = without(&[5]);
                rows.push(row("you", "/f", "f", "top", Kind::File));
                rows
            },
            &["moved+owner /f"],
        ),
        (
            "new content",
            tree(),
            but(5, &|row| row.entry.size = Some(11)),
            &["changed /a/f"],
        ),
        (
            "touched",
            tree(),
            but(5, &|row| row.entry.modified = "2026-11-24T02:00:00Z".parse().ok()),
            &["changed /a/f"],
        ),
        (
            "other bytes of the same size and time",
            but(5, &|row| row.sha256 = Some("00".into())),
            but(5, &|row| row.sha256 = Some("11".into())),
            &["content /a/f"],
        ),
        (
            "a hash in one snapshot only",
            tree(),
            but(5, &|row| row.sha256 = Some("11".into())),
            &[],
        ),
        (
            "kept from the night before",
            tree(),
            but(5, &|row| row.outcome = Outcome::Reused),
            &[],
        ),
        (
            "failed now",
            tree(),
            but(5, &|row| row.outcome = Outcome::Failed),
            &["outcome /a/f"],
        ),
        (
            "shared",
            tree(),
            but(1, &|row| row.entry.properties.shared = Some(true)),
            &["access /a/in"],
        ),
        (
            "not shared, and told so",
            tree(),
            but(1, &|row| row.entry.properties.shared = Some(false)),
            &[],
        ),
        (
            "a folder with its own permissions",
            tree(),
            but(1, &|row| {
                row.entry
                    .properties
                    .other
                    .insert("hasPermission".into(), json!(true));
            }),
            &["access /a/in"],
        ),
        (
            "keys in another order",
            but(1, &|row| {
                row.entry.properties.member_share =
                    serde_json::from_str(r#"{"a":1,"b":[{"c":2,"d":3}]}"#).ok()
            }),
            but(1, &|row| {
                row.entry.properties.member_share =
                    serde_json::from_str(r#"{"b":[{"d":3,"c":2}],"a":1}"#).ok()
            }),
            &[],
        ),
        (
            "somebody else",
            but(5, &|row| row.entry.properties.updated_by = Some("u1".into())),
            but(5, &|row| row.entry.properties.updated_by = Some("u2".into())),
            &["owner /a/f"],
        ),
        (
            "a folder's size follows its files",
            but(0, &|row| row.entry.size = Some(1)),
            but(0, &|row| row.entry.size = Some(2)),
            &[],
        ),
        (
            "items without an id are known by their paths",
            but(5, &|row| row.entry.id = FileId::new("")),
            {
                let mut rows = but(5, &|row| row.entry.id = FileId::new(""));
                rows.push(file("/a/g", "", "a"));
                rows
            },
            &["added /a/g"],
        ),
        (
            "a name with a slash",
            vec![file("/p/q", "q", "top")],
            vec![file("/p/r", "q", "top")],
            &["renamed /p/r"],
        ),
    ];
    for (name, mut before, mut after, expected) in cases {
        if name == "a name with a slash" {
            before[0].entry.name = "p/q".to_owned();
            after[0].entry.name = "p/r".to_owned();
        }
        assert_eq!(told(before, after), expected, "{name}");
    }
}

#[test]
fn an_empty_drive_that_was_read_lost_its_files() {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options {
        covered_after: BTreeSet::from([DriveId::new("me")]),
    };
    let before = vec![Ok(file("/f", "f", "top"))];
    let summary = diff(
        before.into_iter(),
        std::iter::empty(),
        scratch.path(),
        &options,
        |_| Ok(()),
    )
    .unwrap();
    assert_eq!((summary.removed.files, summary.unknown.files), (1, 0));
}

#[test]
fn a_broken_row_or_a_full_disk_ends_the_comparison() {
    let scratch = tempfile::tempdir().unwrap();
    let broken = || vec![Err(manifest::Error::NoHeader)].into_iter();
    let none = || Vec::<Result<Row, manifest::Error>>::new().into_iter();
    let one = || vec![Ok(file("/f", "f", "top"))].into_iter();
    let options = Options::default();
    let run = |before, after, full: bool| {
        diff(before, after, scratch.path(), &options, |_| {
            if full {
                Err(io::ErrorKind::StorageFull.into())
            } else {
                Ok(())
            }
        })
    };
    assert!(matches!(run(broken(), none(), false), Err(Error::Before(_))));
    assert!(matches!(run(none(), broken(), false), Err(Error::After(_))));
    assert!(matches!(run(none(), one(), true), Err(Error::Sink(_))));
}

fn night() -> (Vec<Row>, Vec<Row>) {
    let link = json!({"accessType": "ANYONE", "linkPermissionType": "DOWNLOAD"});
    let before = vec![
        folder("/old", "d", "top"),
        file("/old/a.docx", "a", "d"),
        file("/old/b.docx", "b", "d"),
        file("/=x.txt", "x", "top"),
        file("/gone\u{202e}.txt", "g", "top"),
    ];
    let after = vec![
        folder("/new", "d", "top"),
        with(file("/new/a.locked", "a", "d"), |row| row.entry.size = Some(2048)),
        with(file("/new/b.docx", "b", "d"), |row| {
            row.entry.properties.other.insert("link".into(), link);
        }),
        with(file("/=x.txt", "x", "top"), |row| {
            row.outcome = Outcome::Failed;
            row.reason = "denied".to_owned();
        }),
        with(file("/n,\"e\"\nw", "n", "top"), |row| {
            row.entry.properties.updated_by = Some("山田".into())
        }),
    ];
    (sorted(before), sorted(after))
}

#[test]
fn the_outputs_say_it_all() {
    let (before, after) = night();
    let (changes, summary) = compared(&before, &after);
    let mut table = TableWriter::new(Vec::new());
    let mut csv = CsvWriter::new(Vec::new(), true).unwrap();
    let mut lines = JsonLinesWriter::new(Vec::new());
    for change in &changes {
        table.write(change).unwrap();
        csv.write(change).unwrap();
        lines.write(change).unwrap();
    }
    let text = |bytes: io::Result<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    assert_eq!(
        text(table.finish()),
        "outcome    me:/=x.txt  (stored -> failed denied)\n\
         removed    me:/gone\\u{202e}.txt  (10 B)\n\
         added      me:/n,\"e\"\\nw  (10 B)\n\
         renamed+changed me:/new/a.locked  (was me:/old/a.docx; 10 B -> 2.0 KiB)\n\
         access     me:/new/b.docx  (was me:/old/b.docx; link; new public link)\n\
         renamed    me:/new  (was me:/old; 1 below it)\n"
    );
    let time = "2026-11-23T02:00:00Z";
    assert_eq!(
        text(csv.finish()),
        format!(
            "\u{feff}changes,kind,drive,path,old_drive,old_path,id,size,old_size,modified,old_modified,sha256,old_sha256,updated_by,\
             old_updated_by,outcome,old_outcome,reason,access,link,old_link,carried\n\
             outcome,file,me,/=x.txt,,,x,10,,{time},,,,,,failed,stored,denied,,,,0\n\
             removed,file,me,/gone\u{202e}.txt,,,g,10,,{time},,,,,,stored,,,,,,0\n\
             added,file,me,\"/n,\"\"e\"\"\nw\",,,n,10,,{time},,,,山田,,stored,,,,,,0\n\
             renamed+changed,file,me,/new/a.locked,,/old/a.docx,a,2048,10,{time},,,,,,stored,,,,,,0\n\
             access,file,me,/new/b.docx,,/old/b.docx,b,10,,{time},,,,,,stored,,,link,anyone,,0\n\
             renamed,folder,me,/new,,/old,d,,,,,,,,,stored,,,,,,1\n"
        )
    );
    let lines: Vec<Value> = text(lines.finish())
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[4]["access"], json!(["link"]));
    assert_eq!(
        lines[4]["after"]["access"]["link"]["linkPermissionType"],
        "DOWNLOAD"
    );
    assert_eq!(lines[1]["path"], "/gone\u{202e}.txt");
    assert_eq!(lines[5]["carried"], 1);
    assert_eq!(
        summary.to_text(),
        "added    1 files, 0 folders, 10 B\n\
         removed  1 files, 0 folders, 10 B\n\
         renamed  1 files, 1 folders\n\
         changed  1 files, 0 folders\n\
         access   1 files, 0 folders\n\
         outcome  1 files, 0 folders\n\
         \u{20}        1 more have another path because a folder above was renamed or moved\n\
         total    4 files, 40 B -> 4 files, 2.0 KiB\n\
         \u{20}     +2.0 KiB  me /new\n\
         \u{20}        -20 B  me /old"
    );
    assert_eq!(
        summary.to_json()["changes"]["renamed"],
        json!({"files": 1, "folders": 1})
    );
}

#[test]
fn alarms_ring_above_their_limits_only() {
    let (before, after) = night();
    let (_, summary) = compared(&before, &after);
    // Four files: one changed, one gone; .docx and .txt lost one each, .locked and no extension gained one each.
    for (alarms, expected) in [
        (Alarms::default(), vec![]),
        (
            Alarms {
                changed_share: Some(0.24),
                deleted_share: Some(0.24),
                new_public_links: Some(0),
                extension_shift: Some(0.49),
                size_drop: Some(0.0),
            },
            vec![
                ("changed", 0.25),
                ("deleted", 0.25),
                ("extension-shift", 0.5),
                ("new-public-links", 1.0),
            ],
        ),
        (
            Alarms {
                changed_share: Some(0.25),
                deleted_share: Some(0.25),
                new_public_links: Some(1),
                extension_shift: Some(0.5),
                size_drop: Some(0.0),
            },
            vec![],
        ),
    ] {
        let rung: Vec<(&str, f64)> = alarms
            .judge(&summary)
            .iter()
            .map(|alarm| (alarm.name, alarm.found))
            .collect();
        assert_eq!(rung, expected);
    }
    let drop = Alarms {
        size_drop: Some(0.9),
        ..Alarms::default()
    };
    let (_, emptied) = compared(&after, &[file("/=x.txt", "x", "top")]);
    let rung = drop.judge(&emptied);
    assert_eq!(
        rung[0].message,
        "99.5 % of the bytes are gone; the limit is 90.0 %"
    );
    // What could not be read did not drop.
    let (_, unread) = compared(
        &after,
        &[with(folder("/", "top", ""), |row| row.outcome = Outcome::Failed)],
    );
    assert_eq!(drop.judge(&unread), []);
}
