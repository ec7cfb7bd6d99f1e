//! Rows go to CSV and come back, whatever the names.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::entry::{Kind, Properties};
use crate::id::{DriveId, FileId};

const HEADER: &str = "path,kind,outcome,reason,size,sha256,modified,created,accessed,type,folder_type,id,parent_id,location,drive,\
drive_name,updated_by,uploaded,locked,protected,virus,has_exif,has_thumbnail,shared,member_share,link_share,group,permission_root,\
stored_at,attempts,properties\n";

fn row(folder: &DrivePath, name: &str) -> Row {
    let drive = DriveId::new("users/taro@example.com");
    let mut entry = Entry::root(drive, FileId::new("id-1"));
    entry.name = name.to_owned();
    entry.kind = Kind::File;
    Row {
        path: folder.join(name),
        entry,
        drive_name: String::new(),
        outcome: Outcome::Stored,
        reason: String::new(),
        sha256: None,
        stored_at: None,
        attempts: 0,
    }
}

fn full_row() -> Row {
    let mut full = row(&DrivePath::root().join("資料"), "報告書.docx");
    let time = |text: &str| Some(text.parse().unwrap());
    full.entry.parent_id = Some(FileId::new("p"));
    full.entry.size = Some(12);
    full.entry.modified = time("2026-11-23T02:00:00Z");
    full.entry.created = time("1999-01-02T03:04:05Z");
    full.entry.accessed = time("2026-12-31T23:59:59Z");
    full.entry.location = Some("24101".to_owned());
    full.entry.properties = Properties {
        file_type: Some("DOC".to_owned()),
        folder_type: Some("my".to_owned()),
        updated_by: Some("=cmd()".to_owned()),
        uploaded: Some(true),
        locked: Some(false),
        protected: Some(true),
        virus: Some("none".to_owned()),
        has_exif: Some(false),
        has_thumbnail: Some(true),
        shared: Some(false),
        member_share: Some(json!({"users": ["a,b", "\"c\"\n"]})),
        link_share: Some(Value::Null),
        group: Some(json!({"groupNo": 7})),
        permission_root: Some("r".to_owned()),
        other: Map::from_iter([
            ("hasMark".to_owned(), json!(1.5)),
            ("name".to_owned(), json!("of the service")),
            ("other.name".to_owned(), json!(null)),
            ("other.x".to_owned(), json!([{}])),
        ]),
    };
    full.drive_name = "taro@example.com".to_owned();
    full.outcome = Outcome::Reused;
    full.reason = "twin".to_owned();
    full.sha256 = Some("00ff".to_owned());
    full.stored_at = Some("2026-11-23T02-00-00Z/files/me/報告書.docx".to_owned());
    full.attempts = 3;
    full
}

fn written(rows: &[Row], bom: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), bom).unwrap();
    for row in rows {
        writer.write(row).unwrap();
    }
    let (bytes, count) = writer.finish().unwrap();
    assert_eq!(count, rows.len() as u64);
    bytes
}

fn read(bytes: &[u8]) -> Vec<Row> {
    Reader::new(bytes).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_row_is_written_as_promised_and_reads_back() {
    let text = String::from_utf8(written(&[full_row()], false)).unwrap();
    let expected = format!(
        "{HEADER}{}",
        "/資料/報告書.docx,file,reused,twin,12,00ff,2026-11-23T02:00:00Z,1999-01-02T03:04:05Z,2026-12-31T23:59:59Z,DOC,my,id-1,p,24101,\
users/taro@example.com,taro@example.com,=cmd(),true,false,true,none,false,true,false,\
\"{\"\"users\"\":[\"\"a,b\"\",\"\"\\\"\"c\\\"\"\\n\"\"]}\",null,\"{\"\"groupNo\"\":7}\",r,2026-11-23T02-00-00Z/files/me/報告書.docx,3,\
\"{\"\"hasMark\"\":1.5,\"\"other.name\"\":\"\"of the service\"\",\"\"other.other.name\"\":null,\"\"other.x\"\":[{}]}\"\n"
    );
    assert_eq!(text, expected);
    assert_eq!(read(text.as_bytes()), [full_row()]);
}

#[test]
fn hostile_names_come_back() {
    let root = DrivePath::root();
    let names = [
        "",
        "/",
        "a/b",
        "a/",
        "//",
        "..",
        ".",
        " ",
        " lead",
        "trail ",
        "\n",
        "\r",
        "a\r\nb",
        "\"",
        "\"\"",
        "a\"b,c",
        ",",
        "\0",
        "a\0b",
        "\u{202e}gpj.exe",
        "\u{feff}",
        "'",
        "=1+1",
        "#",
        "\\",
        "ｶﾞ",
        "が",
        "か\u{3099}",
        "각",
        "\u{1b}[31m",
        "\u{fffd}",
        "null",
        "😀",
    ];
    let rows: Vec<Row> = [root.clone(), root.join("x/y"), root.join("")]
        .iter()
        .flat_map(|folder| names.map(|name| row(folder, name)))
        .collect();
    for bom in [false, true] {
        let bytes = written(&rows, bom);
        assert_eq!(bytes.starts_with(b"\xef\xbb\xbf"), bom);
        assert_eq!(read(&bytes), rows);
    }
}

#[test]
fn the_root_and_odd_times_come_back() {
    let mut root = row(&DrivePath::root(), "");
    root.path = DrivePath::root();
    let mut named = root.clone();
    named.entry.name = "taro@example.com".to_owned();
    let mut odd = row(&DrivePath::root(), "odd");
    odd.entry.modified = Some(
        Timestamp::MIN
            .round(jiff::Unit::Minute)
            .unwrap_or(Timestamp::UNIX_EPOCH),
    );
    odd.entry.created = Some(Timestamp::UNIX_EPOCH);
    let rows = [root, named, odd];
    let bytes = written(&rows, false);
    assert_eq!(read(&bytes), rows);
    assert!(
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .nth(1)
            .unwrap()
            .ends_with(",0,")
    );
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    let text = "stored_at,new column,drive,parent_id,id,modified,sha256,size,outcome,kind,path\n,x,me,,1,,,5,listed,file,/a\n";
    let rows = read(text.as_bytes());
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].entry.name, "a");
    assert_eq!(rows[0].entry.size, Some(5));
    assert_eq!(rows[0].attempts, 0);
}

#[test]
fn a_byte_order_mark_may_come_byte_by_byte() {
    struct Slow<'a>(&'a [u8]);
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = buffer.len().min(1).min(self.0.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }
    let bytes = written(&[full_row()], true);
    let rows: Vec<Row> = Reader::new(Slow(&bytes))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rows, [full_row()]);
}

#[test]
fn what_is_wrong_is_named_by_line_and_the_rest_is_read() {
    let message = |bytes: &[u8]| Reader::new(bytes).map(|_| ()).unwrap_err().to_string();
    assert_eq!(message(b""), "the manifest has no header line");
    assert_eq!(
        message(b"path,kind,outcome,size,sha256,modified,id,parent_id,stored_at\n"),
        "the manifest has no column 'drive'"
    );

    let mut bytes = written(&[row(&DrivePath::root(), "two\nlines")], false);
    bytes.extend_from_slice(b"/b,file,stored\n");
    let line = String::from_utf8(written(&[row(&DrivePath::root(), "c")], false)).unwrap();
    let line = line.lines().nth(1).unwrap();
    for wrong in [
        line.replace(",file,", ",link,"),
        line.replace(",stored,", ",lost,"),
        line.replace(",stored,,", ",stored,,-1"),
        format!("{line}{{"),
        format!("{line}[]"),
        line.to_owned(),
    ] {
        bytes.extend_from_slice(wrong.as_bytes());
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(line.replace("/c", "/\u{1}").replace('\u{1}', "X").as_bytes());
    let last = bytes.iter().rposition(|byte| *byte == b'X').unwrap();
    bytes[last] = 0xff;
    let seen: Vec<String> = Reader::new(&bytes[..])
        .unwrap()
        .map(|row| row.map_or_else(|error| error.to_string(), |row| row.path.to_string()))
        .collect();
    assert_eq!(
        seen,
        [
            "/two\nlines",
            "line 4 of the manifest has 3 cells, but the header has 31",
            "line 5 of the manifest: column 'kind' cannot be 'link'",
            "line 6 of the manifest: column 'outcome' cannot be 'lost'",
            "line 7 of the manifest: column 'size' cannot be '-1'",
            "line 8 of the manifest: column 'properties' cannot be '{'",
            "line 9 of the manifest: column 'properties' cannot be '[]'",
            "/c",
            "line 11 of the manifest is not readable",
        ]
    );
}

#[test]
fn a_cut_manifest_does_not_read_to_its_end() {
    let bytes = written(&[full_row(), full_row()], false);
    let last_row = HEADER.len() + (bytes.len() - HEADER.len()) / 2;
    let unseen: Vec<&[u8]> = (last_row + 1..bytes.len() - 2)
        .map(|cut| &bytes[..cut])
        .filter(|part| Reader::new(*part).unwrap().all(|row| row.is_ok()))
        .collect();
    // Where the last cell begins, a cut row is a row without properties; only the hash in the tail tells.
    let [before, after] = unseen.as_slice() else {
        panic!("{} cuts go unseen", unseen.len());
    };
    assert!(before.ends_with(b",3,") && after.ends_with(b",3,\""));
}

/// What a manifest tells in brief, row by row.
fn in_brief(bytes: &[u8]) -> Vec<std::result::Result<Brief, String>> {
    let mut reader = Reader::new(bytes).unwrap();
    let mut brief = Brief::default();
    std::iter::from_fn(|| {
        let read = reader.next_brief(&mut brief)?;
        Some(read.map(|()| brief.clone()).map_err(|error| error.to_string()))
    })
    .collect()
}

#[test]
fn a_row_in_brief_says_what_the_whole_row_says() {
    let folder = DrivePath::root().join("資料");
    let mut dated = row(&folder, "b");
    dated.entry.kind = Kind::Folder;
    dated.outcome = Outcome::Failed;
    let rows = [full_row(), row(&folder, "a/b"), row(&folder, ""), dated];
    let bytes = written(&rows, false);
    for (brief, row) in in_brief(&bytes).iter().zip(&rows) {
        let brief = brief.as_ref().unwrap();
        assert_eq!(
            brief.key(),
            (row.entry.drive.as_str(), row.path.as_str(), row.entry.id.as_str())
        );
        assert_eq!(
            (brief.kind, brief.outcome, brief.size),
            (row.entry.kind, row.outcome, row.entry.size)
        );
        assert_eq!(brief.modified, row.entry.modified);
        assert_eq!(brief.sha256, row.sha256.clone().unwrap_or_default());
        assert_eq!(brief.stored_at, row.stored_at.clone().unwrap_or_default());
        // Only a name that the path does not tell stands beside it.
        let told = (!row.path.as_str().ends_with(&format!("/{}", row.entry.name))
            || row.entry.name.contains('/')
            || row.entry.name.is_empty())
        .then(|| row.entry.name.clone());
        assert_eq!(brief.name, told);
    }
    // What the service itself calls `name` is no name of the item.
    assert_eq!(in_brief(&bytes)[0].as_ref().unwrap().name, None);

    let text = String::from_utf8(bytes).unwrap();
    let wrong = text.replace(",folder,", ",link,");
    let last = in_brief(wrong.as_bytes()).pop().unwrap();
    assert_eq!(
        last.unwrap_err(),
        "line 5 of the manifest: column 'kind' cannot be 'link'"
    );
}

#[test]
fn rows_are_passed_over_and_taken_as_a_glance_says() {
    let names = ["a", "b", "c", "d", "e"];
    let rows = names.map(|name| row(&DrivePath::root(), name));
    let bytes = written(&rows, false);
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let mut glances = Vec::new();
    let mut look = |glance: Glance<'_>| {
        glances.push(format!("{} {}", glance.drive, glance.path));
        match glance.path {
            "/b" | "/e" => Look::Take,
            "/d" => Look::End,
            _ => Look::Pass,
        }
    };
    assert_eq!(reader.next_where(&mut look).unwrap().unwrap(), rows[1]);
    assert!(reader.next_where(&mut look).is_none());
    // An end is an end, also for those who read on.
    assert!(reader.next_where(&mut look).is_none());
    assert!(reader.next().is_none());
    let drive = "users/taro@example.com";
    assert_eq!(
        glances,
        ["/a", "/b", "/c", "/d"].map(|path| format!("{drive} {path}"))
    );
}

#[test]
fn a_source_or_target_that_refuses_is_told_from_a_bad_line() {
    struct Refuses;
    impl std::io::Read for Refuses {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::TimedOut.into())
        }
    }
    impl std::io::Write for Refuses {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let head = written(&[full_row()], false);
    let mut reader = Reader::new(std::io::Read::chain(&head[..], Refuses)).unwrap();
    assert!(reader.next().unwrap().is_ok());
    let kind = |error: Error| match error {
        Error::Io(source) => source.kind(),
        error => panic!("{error}"),
    };
    assert_eq!(
        kind(reader.next().unwrap().unwrap_err()),
        std::io::ErrorKind::TimedOut
    );
    // After that nothing follows.
    assert!(reader.next().is_none());

    let mut writer = Writer::new(Refuses, false).unwrap();
    let refused = (0..10_000).find_map(|_| writer.write(&full_row()).err());
    assert_eq!(kind(refused.unwrap()), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_copy_without_a_place_was_delivered() {
    let mut copy = Earlier {
        size: 1,
        modified: None,
        sha256: "00".to_owned(),
        stored_at: String::new(),
        proven: true,
    };
    assert!(copy.is_delivered());
    copy.stored_at = "2026-11-23T02-00-00Z/files/me/a".to_owned();
    assert!(!copy.is_delivered());
}

#[test]
fn formulas_are_defused_in_the_export_only() {
    let mut cells = full_row();
    cells.entry.id = FileId::new("@21");
    cells.drive_name = "＝1".to_owned();
    let mut writer = ExportWriter::new(Vec::new(), true).unwrap();
    writer.write(&cells).unwrap();
    writer.write(&cells).unwrap();
    let (bytes, rows) = writer.finish().unwrap();
    assert_eq!(rows, 2);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with(&format!("\u{feff}{HEADER}/資料/報告書.docx,")));
    for part in [",'=cmd(),", ",'@21,", ",'＝1,"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn json_lines_have_the_same_fields_with_types() {
    let mut writer = JsonLinesWriter::new(Vec::new());
    writer.write(&full_row()).unwrap();
    let mut odd = row(&DrivePath::root(), "a\nb");
    odd.sha256 = Some(String::new());
    writer.write(&odd).unwrap();
    let (bytes, rows) = writer.finish().unwrap();
    let lines: Vec<Map<String, Value>> = String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((rows, lines.len()), (2, 2));
    assert!(lines.iter().all(|line| line.keys().eq(COLUMNS)));
    assert_eq!(lines[0]["size"], json!(12));
    assert_eq!(lines[0]["locked"], json!(false));
    assert_eq!(lines[0]["group"], json!({"groupNo": 7}));
    assert_eq!(lines[1]["path"], json!("/a\nb"));
    assert_eq!(lines[1]["size"], Value::Null);
    // An empty text says no more than none.
    assert_eq!(lines[1]["sha256"], Value::Null);
}

#[test]
fn facts_are_compact_and_exact() {
    let mut entry = row(&DrivePath::root(), "a").entry;
    assert_eq!(encode_facts(&entry), "{}");
    entry.created = Some(Timestamp::from_second(5).unwrap());
    entry.properties.file_type = Some("DOC".to_owned());
    assert_eq!(encode_facts(&entry), r#"{"created":5,"type":"DOC"}"#);
    let mut full = full_row().entry;
    full.accessed = Some(Timestamp::new(-7, -5).unwrap());
    for entry in [entry, full] {
        let facts = decode_facts(&encode_facts(&entry)).unwrap();
        assert_eq!(facts.created, entry.created);
        assert_eq!(facts.accessed, entry.accessed);
        assert_eq!(facts.properties, entry.properties);
    }
    assert!(decode_facts("[1]x").is_err());
}

proptest! {
    #[test]
    fn any_names_and_numbers_come_back(names in proptest::collection::vec(any::<String>(), 1..4), key in any::<String>(),
        size in any::<Option<u64>>(), number in -1e300..1e300f64, second in -62_135_596_800..253_402_300_799i64) {
        let mut path = DrivePath::root();
        for name in &names {
            path = path.join(name);
        }
        let mut any = row(&DrivePath::root(), "");
        any.entry.name = names.last().unwrap().clone();
        any.entry.size = size;
        any.entry.modified = Some(Timestamp::from_second(second).unwrap());
        any.entry.properties.other.insert(key, json!(number));
        any.path = path;
        prop_assert_eq!(read(&written(std::slice::from_ref(&any), false)), std::slice::from_ref(&any));
        prop_assert_eq!(decode_facts(&encode_facts(&any.entry)).unwrap().properties, any.entry.properties);
    }
}
