//! Manifests and the small tables: what was written comes back, and what was altered is told by its line.

use drivejob::entry::{Access, Entry, Kind, Properties, Root};
use drivejob::id::{DriveId, FileId};
use drivejob::manifest::{
    COLUMNS, Outcome, Reader, Row, TableWriter, Writer, decode_facts, encode_facts, read_table,
};
use drivejob::migrate::Map;
use drivejob::path::DrivePath;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::support::hostile::{TEXTS, value};

/// A text of the service: any at all, or one that is easily taken for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(TEXTS).prop_map(str::to_owned),
        any::<String>(),
        "[\",\r\n;=+@\\\\/]{0,6}",
    ]
}

/// A text that is told: empty and not told are the same in a table.
fn told() -> impl Strategy<Value = Option<String>> {
    prop::option::of(text()).prop_map(|text| text.filter(|text| !text.is_empty()))
}

fn moment() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::of(-377_705_023_201_i64..=253_402_207_200)
        .prop_map(|second| second.map(|at| Timestamp::from_second(at).unwrap()))
}

fn properties() -> impl Strategy<Value = Properties> {
    let texts = (told(), told(), told(), told(), told());
    let flag = || any::<Option<bool>>();
    let flags = (flag(), flag(), flag(), flag(), flag(), flag());
    let values = (
        prop::option::of(value()),
        prop::option::of(value()),
        prop::option::of(value()),
    );
    let other = prop::collection::vec(
        (
            prop_oneof![
                text(),
                select(&["name", "other.name", "other.other.name"]).prop_map(str::to_owned)
            ],
            value(),
        ),
        0..4,
    );
    (texts, flags, values, other).prop_map(|(texts, flags, values, other)| Properties {
        file_type: texts.0,
        folder_type: texts.1,
        updated_by: texts.2,
        virus: texts.3,
        permission_root: texts.4,
        uploaded: flags.0,
        locked: flags.1,
        protected: flags.2,
        has_exif: flags.3,
        has_thumbnail: flags.4,
        shared: flags.5,
        member_share: values.0,
        link_share: values.1,
        group: values.2,
        other: other.into_iter().collect(),
    })
}

fn row() -> impl Strategy<Value = Row> {
    let ids = (text(), text(), told(), told());
    let times = (moment(), moment(), moment());
    let names = prop::collection::vec(text(), 1..4);
    let rest = (
        any::<bool>(),
        any::<Option<u64>>(),
        select(&Outcome::ALL),
        text(),
        told(),
        told(),
        any::<u32>(),
    );
    (ids, times, names, properties(), text(), rest).prop_map(
        |(ids, times, names, properties, drive_name, rest)| {
            let mut entry = Entry::root(DriveId::new(ids.0), FileId::new(ids.1));
            entry.parent_id = ids.2.map(FileId::new);
            entry.location = ids.3;
            (entry.modified, entry.created, entry.accessed) = times;
            entry.kind = if rest.0 { Kind::Folder } else { Kind::File };
            entry.size = rest.1;
            entry.name = names.last().cloned().unwrap_or_default();
            entry.properties = properties;
            Row {
                path: names.iter().fold(DrivePath::root(), |path, name| path.join(name)),
                entry,
                drive_name,
                outcome: rest.2,
                reason: rest.3,
                sha256: rest.4,
                stored_at: rest.5,
                attempts: rest.6,
            }
        },
    )
}

fn written(rows: &[Row], bom: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), bom).unwrap();
    for row in rows {
        writer.write(row).unwrap();
    }
    writer.finish().unwrap().0
}

proptest! {
    #[test]
    fn any_row_comes_back(rows in prop::collection::vec(row(), 1..4), bom in any::<bool>()) {
        let bytes = written(&rows, bom);
        let read: Vec<Row> = Reader::new(bytes.as_slice()).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(&read, &rows);
        for row in &rows {
            let facts = decode_facts(&encode_facts(&row.entry)).unwrap();
            prop_assert_eq!(&facts.properties, &row.entry.properties);
            prop_assert_eq!((facts.created, facts.accessed), (row.entry.created, row.entry.accessed));
        }
    }

    #[test]
    fn a_cell_that_is_wrong_is_told_and_the_rows_around_it_stay(rows in prop::collection::vec(row(), 3), at in 0..3_usize,
        column in 0..COLUMNS.len(), new in text()) {
        // The cells as they stand in the file, one of them altered.
        let mut csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&*written(&rows, false)).into_records()
            .map(Result::unwrap).map(|record| record.iter().map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>();
        csv[at + 1][column].clone_from(&new);
        let mut writer = csv::Writer::from_writer(Vec::new());
        csv.iter().for_each(|record| writer.write_record(record).unwrap());
        let bytes = writer.into_inner().unwrap();
        let read: Vec<_> = Reader::new(bytes.as_slice()).unwrap().collect();
        prop_assert_eq!(read.len(), 3);
        for (number, read) in read.into_iter().enumerate() {
            match read {
                Ok(read) if number != at => prop_assert_eq!(&read, &rows[number]),
                Ok(read) => {
                    // What was taken for a value prints as one again.
                    let again = written(std::slice::from_ref(&read), false);
                    let same = Reader::new(again.as_slice()).unwrap().next().unwrap().unwrap();
                    prop_assert_eq!(same, read);
                }
                Err(error) => {
                    prop_assert_eq!(number, at);
                    prop_assert!(error.to_string().contains(COLUMNS[column]), "{}", error);
                }
            }
        }
    }

    #[test]
    fn altered_bytes_are_read_to_their_end(rows in prop::collection::vec(row(), 1..4), edits in prop::collection::vec((any::<Index>(), 0..40_usize, prop::collection::vec(any::<u8>(), 0..9)), 1..4)) {
        let mut bytes = written(&rows, true);
        for (at, gone, new) in edits {
            let at = at.index(bytes.len());
            let end = (at + gone).min(bytes.len());
            bytes.splice(at..end, new);
        }
        let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 2;
        if let Ok(reader) = Reader::new(bytes.as_slice()) {
            prop_assert!(reader.take(lines + 1).count() <= lines);
        }
        let _ = Map::read(bytes.as_slice());
        let _ = decode_facts(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_small_table_comes_back_but_for_the_blanks_around(rows in prop::collection::vec([text(), text(), text()], 0..5), bom in any::<bool>()) {
        let mut writer = TableWriter::new(Vec::new(), &["one", "two", "three"], bom).unwrap();
        for row in &rows {
            writer.write(&row.each_ref().map(String::as_str)).unwrap();
        }
        let bytes = writer.finish().unwrap().0;
        let read: Vec<[String; 2]> = read_table(bytes.as_slice(), ["three", "one"]).unwrap().into_iter().map(|(_, row)| row).collect();
        let expected: Vec<[String; 2]> = rows.iter().map(|row| row.each_ref().map(|cell| cell.trim().to_owned()))
            .filter(|row| row.iter().any(|cell| !cell.is_empty())).map(|[one, _, three]| [three, one]).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn a_map_pairs_no_drive_twice(lines in prop::collection::vec(("(users|groups)/[abA*@]{0,4}", "(users|groups)/[xyX*@]{0,4}"), 0..5),
        sources in prop::collection::btree_set("(users|groups)/[ab@]{1,3}", 0..5), targets in prop::collection::btree_set("(users|groups)/[xyab@]{1,3}", 0..5)) {
        let mut text = "source,target\n".to_owned();
        lines.iter().for_each(|(source, target)| text.push_str(&format!("{source},{target}\n")));
        let Ok(map) = Map::read(text.as_bytes()) else { return Ok(()) };
        let root = |word: &String| Root {
            entry: Entry::root(DriveId::new(word.as_str()), FileId::new(FileId::ROOT)),
            name: String::new(),
            quota: None,
            access: Access::Readable,
        };
        let (sources, targets): (Vec<Root>, Vec<Root>) = (sources.iter().map(root).collect(), targets.iter().map(root).collect());
        let pairs = map.pair(&sources, &targets);
        prop_assert_eq!(pairs.targets.len() + pairs.unmapped.len(), sources.len());
        let used: std::collections::BTreeSet<&str> = pairs.targets.values().map(|root| root.entry.drive.as_str()).collect();
        prop_assert_eq!(used.len(), pairs.targets.len());
    }
}

#[test]
fn a_value_as_deep_as_the_service_may_tell_comes_back() {
    // JSON is read to a depth of 128; an item lies two levels down in its answer.
    let deep = |depth: usize| -> Value {
        serde_json::from_str(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))).unwrap()
    };
    let mut entry = Entry::root(DriveId::new("me"), FileId::new("1"));
    entry.name = "n".to_owned();
    entry.properties.other.insert("deep".to_owned(), deep(124));
    entry.properties.link_share = Some(deep(124));
    let row = Row {
        path: DrivePath::root().join("n"),
        entry,
        drive_name: String::new(),
        outcome: Outcome::Stored,
        reason: String::new(),
        sha256: None,
        stored_at: None,
        attempts: 1,
    };
    let bytes = written(std::slice::from_ref(&row), false);
    assert_eq!(
        Reader::new(bytes.as_slice()).unwrap().next().unwrap().unwrap(),
        row
    );
    assert_eq!(
        decode_facts(&encode_facts(&row.entry)).unwrap().properties,
        row.entry.properties
    );
}
