//! Hostile names stay text, the policy names what the page holds, and nothing grows with the rows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use serde_json::Map;

use super::html::{NAME_SHOWN, shortened};
use super::tree::Tree;
use super::words::fill;
use super::*;
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::manifest::{Outcome, Row};
use crate::path::DrivePath;

const HOSTILE: [&str; 6] = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\" onmouseover=\"alert(1)",
    "' style='x",
    "]]>&lt;\u{2028}\u{2029}",
    "gpj\u{202e}\u{1b}[31m\0.exe",
];

fn file(folder: &DrivePath, name: &str, size: u64) -> Row {
    let mut entry = Entry::root(DriveId::new("groups/g"), FileId::new(name));
    entry.kind = Kind::File;
    entry.name = name.to_owned();
    entry.size = Some(size);
    Row {
        path: folder.join(name),
        entry,
        drive_name: "Group".to_owned(),
        outcome: Outcome::Stored,
        reason: String::new(),
        sha256: None,
        stored_at: None,
        attempts: 0,
    }
}

/// A row that stands in every list of the page, with `text` in each cell that can hold one.
fn everywhere(text: &str, size: u64, outcome: Outcome) -> Row {
    let mut row = file(&DrivePath::root().join(text), text, size);
    row.drive_name = text.to_owned();
    row.outcome = outcome;
    row.reason = text.to_owned();
    let properties = &mut row.entry.properties;
    properties.file_type = Some(text.to_owned());
    properties.updated_by = Some(text.to_owned());
    properties.virus = Some(text.to_owned());
    properties.locked = Some(true);
    properties.shared = Some(true);
    properties.link_share = Some(Value::Object(Map::from_iter([("url".to_owned(), json!(text))])));
    row
}

fn page_of(language: Language, aggregate: &Aggregate, text: &str) -> String {
    let snapshot: SnapshotId = "2026-11-23T02-00-00Z".parse().unwrap();
    let drive =
        json!({ "name": text, "readable": false, "reason": text, "covered": false, "folders_failed": 2 });
    let warnings = vec![text.to_owned(); 30];
    let night = Night {
        time: "2026-11-22T02:00:00Z".parse().unwrap(),
        status: text.to_owned(),
        quota_share: Some(0.4),
        ..Night::default()
    };
    let input = Input {
        language,
        zone: TimeZone::UTC,
        title: text,
        snapshot: &snapshot,
        status: text,
        warnings: &warnings,
        changes: Some(Changes {
            since: &snapshot,
            counts: &[(text, 1, 0), ("added", 2, 3)],
        }),
        nights: &vec![night; 1000],
        coverage: &json!({ "drives": vec![drive; 5000] }),
        calls: &vec![
            Calls {
                operation: text.to_owned(),
                sent: 1,
                ..Calls::default()
            };
            500
        ],
        seconds: 90.0,
        calls_per_minute: Some(240),
    };
    let mut bytes = Vec::new();
    let length = write(&mut bytes, &input, aggregate).unwrap();
    assert_eq!(length, bytes.len() as u64);
    String::from_utf8(bytes).unwrap()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

/// The names of all tags, as a parser without any mercy sees them: whatever follows a `<` outside the script.
fn tags(page: &str) -> BTreeSet<&str> {
    let (before, rest) = page.split_once("<script>").unwrap();
    let (_, after) = rest.split_once("</script>").unwrap();
    let texts = before.split('<').skip(1).chain(after.split('<').skip(1));
    texts
        .map(|rest| rest.split([' ', '>', '\n']).next().unwrap())
        .collect()
}

#[test]
fn a_name_never_becomes_markup() {
    let as_of = "2026-11-23T02:00:00Z".parse().unwrap();
    for language in Language::ALL {
        let rows = |text: &str| {
            let mut aggregate = Aggregate::new(as_of);
            for outcome in Outcome::ALL {
                aggregate.add(&everywhere(text, 10, outcome));
            }
            page_of(language, &aggregate, text)
        };
        let plain = rows("plain");
        for name in HOSTILE {
            let page = rows(name);
            assert_eq!(tags(&page), tags(&plain), "{name}");
            assert_eq!(page.matches("<script").count(), 2);
            let (markup, _) = page.split_once("<script").unwrap();
            assert!(!markup.contains(name), "{name}");
            let data: Value = serde_json::from_str(between(&page, "id=\"data\">", "</script>")).unwrap();
            assert_eq!(data["tree"][1][1], format!("{} (groups/g)", shortened(name, 60)));
            assert!(!page.contains(['\u{202e}', '\0', '\u{1b}']), "{name}");
            let block = between(&page, "id=\"data\">", "</script>");
            assert!(!block.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{name}");
        }
    }
}

#[test]
fn the_policy_names_the_very_bytes_of_style_and_script() {
    let page = page_of(Language::English, &Aggregate::new(Timestamp::UNIX_EPOCH), "x");
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"").replace("&#39;", "'");
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    let style = hash(between(&page, "<style>", "</style>"));
    let script = hash(between(&page, "<script>", "</script>"));
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; base-uri 'none'; form-action 'none'"
        )
    );
    // Neither would be let through: an attribute with a style or a handler, and anything from elsewhere.
    for word in [" style=", " onclick", "http://", "https://", "src="] {
        assert_eq!(
            page.replace("http://www.w3.org/2000/svg", "")
                .matches(word)
                .count(),
            0,
            "{word}"
        );
    }
}

#[test]
fn the_page_stays_small_whatever_the_rows() {
    let mut aggregate = Aggregate::new("2026-11-23T02:00:00Z".parse().unwrap());
    // Every character of the names takes five on the page.
    let long = "&".repeat(300);
    for number in 0..200_000_u64 {
        let outcome = if number % 2 == 0 {
            Outcome::Failed
        } else {
            Outcome::Skipped
        };
        let mut row = if number < 2_000 {
            everywhere(&format!("{number}{long}"), 1 + number, outcome)
        } else {
            file(
                &DrivePath::root().join(&format!("{}", number / 2)),
                &format!("{number}.{}", number / 3),
                number,
            )
        };
        row.entry.drive = DriveId::new(format!("users/{}", number / 100));
        aggregate.add(&row);
    }
    let page = page_of(Language::English, &aggregate, &long);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert_eq!(aggregate.all.files, 200_000);
    let (top, rest) = aggregate.extensions.top(25);
    let sum: u64 = top.iter().map(|(_, sum)| sum.files).sum();
    assert_eq!(sum + rest.files, 200_000);
    assert_eq!(aggregate.failed.total, 1_000);
    assert_eq!(aggregate.failed.lines.len(), 500);
}

#[test]
fn sizes_by_folder_add_up() {
    let mut tree = Tree::default();
    let deep = ["a", "b", "c", "d", "e", "f", "g"]
        .iter()
        .fold(DrivePath::root(), |folder, name| folder.join(name));
    tree.add(&file(&deep, "x", 7), 7);
    tree.add(&file(&DrivePath::root().join("a"), "y", 5), 5);
    tree.add(&file(&DrivePath::root(), "z/w", 1), 1);
    let shown: Vec<(usize, String, u64)> = tree
        .shown()
        .into_iter()
        .map(|folder| (folder.parent, folder.name, folder.sum.bytes))
        .collect();
    let expected = [
        (0, "", 13),
        (0, "Group (groups/g)", 13),
        (1, "a", 12),
        (2, "b", 7),
        (3, "c", 7),
        (4, "d", 7),
        (5, "e", 7),
    ];
    assert_eq!(
        shown,
        expected.map(|(parent, name, bytes)| (parent, name.to_owned(), bytes))
    );

    // Far more folders than are remembered, in one drive: the whole stays exact, and the large ones are told.
    let mut tree = Tree::default();
    for number in 0..100_000_u64 {
        let folder = DrivePath::root().join(&format!("{:06}", number));
        let bytes = if number % 10_000 == 0 { 1_000_000 } else { 1 };
        tree.add(&file(&folder, "f", bytes), bytes);
    }
    let shown = tree.shown();
    assert_eq!(
        (shown[0].sum.files, shown[0].sum.bytes),
        (100_000, 10_000_000 + 99_990)
    );
    assert_eq!(shown.len(), 2 + 30);
    assert!(shown[2..12].iter().all(|folder| folder.sum.bytes == 1_000_000));
}

#[test]
fn lists_hold_what_they_say() {
    let mut aggregate = Aggregate::new("2026-11-23T00:00:00Z".parse().unwrap());
    for (place, (modified, size)) in [
        ("2026-11-22T00:00:00Z", 3),
        ("2026-12-22T00:00:00Z", 4),
        ("2026-09-01T00:00:00Z", 5),
        ("2015-01-01T00:00:00Z", 6),
    ]
    .into_iter()
    .enumerate()
    {
        let mut row = file(&DrivePath::root(), &format!("f{place}.TXT"), size);
        row.entry.modified = modified.parse().ok();
        row.entry.properties.shared = Some(true);
        let root = if place == 0 {
            row.entry.id.as_str().to_owned()
        } else {
            "above".to_owned()
        };
        row.entry
            .properties
            .other
            .insert("shareRootFileId".to_owned(), json!(root));
        aggregate.add(&row);
    }
    aggregate.add(&file(&DrivePath::root(), "none", 1));
    let ages: Vec<u64> = aggregate.ages.iter().map(|sum| sum.files).collect();
    assert_eq!(ages, [2, 1, 0, 0, 0, 1, 1]);
    assert_eq!((aggregate.shared.total, aggregate.inherited), (1, 3));
    let largest: Vec<Option<u64>> = aggregate.largest().iter().map(|line| line.size).collect();
    assert_eq!(largest, [6, 5, 4, 3, 1].map(Some));
    assert_eq!(aggregate.extensions.top(1).0[0].0, "txt");
}

#[test]
fn numbers_dates_and_names_are_written_as_people_write_them() {
    for (value, expected) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (12_345_678, "12,345,678"),
    ] {
        assert_eq!(figures::number(value), expected);
    }
    for (part, expected) in [
        (0.0, "0 %"),
        (0.01, "<0.1 %"),
        (12.34, "12.3 %"),
        (100.0, "100.0 %"),
    ] {
        assert_eq!(figures::percent(part, 100.0), expected);
    }
    let time = "2026-11-22T15:04:05Z".parse().unwrap();
    let seoul = TimeZone::fixed(jiff::tz::offset(9));
    for (language, expected) in [
        (Language::English, "23 November 2026 00:04 +09"),
        (Language::Japanese, "2026年11月23日 00:04 +09"),
        (Language::Korean, "2026년 11월 23일 00:04 +09"),
    ] {
        assert_eq!(figures::moment(time, &seoul, language), expected);
    }
    assert_eq!(fill("{} of {1}, {0}; {}", &["a", "b"]), "a of b, a; b");
    assert_eq!(shortened("abcdefghij", 7), "ab…ghij");
    assert_eq!(
        shortened(&"か".repeat(500), NAME_SHOWN).chars().count(),
        NAME_SHOWN
    );
}

#[test]
fn every_language_has_every_text_with_the_same_places() {
    let english = format!("{:#?}", Language::English.texts());
    let places = |line: &str| {
        (0..3)
            .map(|number| line.contains(&format!("{{{number}}}")))
            .filter(|is| *is)
            .count()
            + line.matches("{}").count()
    };
    for language in Language::ALL {
        assert_eq!(language.as_str().parse(), Ok(language));
        let texts = format!("{:#?}", language.texts());
        assert_eq!(texts.lines().count(), english.lines().count());
        for (line, model) in texts.lines().zip(english.lines()) {
            assert_eq!(places(line), places(model), "{line}");
            assert!(!line.ends_with("\"\","), "{line}");
        }
    }
    assert!("fr".parse::<Language>().is_err());
}

#[test]
fn the_index_leads_to_pages_beside_it_only() {
    let line = |name: &str, page: &str| IndexLine {
        name: name.to_owned(),
        page: Some(page.to_owned()).filter(|page| !page.is_empty()),
        status: "complete".to_owned(),
        ..IndexLine::default()
    };
    let lines = [
        line("<b>", "javascript:alert(1)"),
        line("営業", "営業/a b.html"),
        line("c", "//example.com/"),
        line("d", ""),
    ];
    let index = Index {
        language: Language::Japanese,
        zone: TimeZone::UTC,
        made: Timestamp::UNIX_EPOCH,
        lines: &lines,
    };
    let mut bytes = Vec::new();
    write_index(&mut bytes, &index).unwrap();
    let page = String::from_utf8(bytes).unwrap();
    let links: Vec<&str> = page
        .split("<a href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(
        links,
        [
            "./javascript%3Aalert%281%29",
            "./%E5%96%B6%E6%A5%AD/a%20b.html",
            "./example.com/"
        ]
    );
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"));
}
