//! Tables of items, dates and pages, good and bad.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::api::items::read_list;
use crate::api::read::text;
use crate::api::tests::hostile::{assert_nothing_is_dropped, distorted};

fn read(raw: Value) -> Result<Entry, Box<BrokenItem>> {
    entry(&DriveId::new("me"), Some(&FileId::new("parent")), raw.into())
}

#[test]
fn the_documented_example_is_read_whole() {
    let entry = read(json!({
        "fileId": "QDIx", "parentFileId": "QDIw", "resourceLocation": 24101, "fileSize": 10,
        "fileName": "works.txt", "filePath": "/a/works.txt", "fileType": "doc",
        "createdTime": "2017-06-22T10:50:59.59+09:00", "modifiedTime": "2017-05-11T18:31:20+09:00",
        "accessedTime": "yesterday", "hasPermission": false, "permissionRootFileId": null,
        "shared": true, "shareRootFileId": "root1", "statuses": ["LOCKED", "NEW", "MALWARE"],
        "shiny": {"a": [1]}, "empty": null
    }))
    .unwrap();
    assert_eq!(entry.id, FileId::new("QDIx"));
    assert_eq!(entry.parent_id, Some(FileId::new("QDIw")));
    assert_eq!(entry.kind, Kind::File);
    assert_eq!((entry.size, entry.location.as_deref()), (Some(10), Some("24101")));
    assert_eq!(entry.created, "2017-06-22T01:50:59Z".parse().ok());
    assert_eq!(entry.modified, "2017-05-11T09:31:20Z".parse().ok());
    assert_eq!(entry.accessed, None);
    let properties = entry.properties;
    assert_eq!(properties.file_type.as_deref(), Some("DOC"));
    assert_eq!(properties.locked, Some(true));
    assert_eq!(properties.protected, Some(false));
    assert_eq!(properties.uploaded, Some(true));
    assert_eq!(properties.virus.as_deref(), Some("malware"));
    assert_eq!(properties.shared, Some(true));
    assert_eq!(properties.permission_root, None);
    let other = json!({
        "filePath": "/a/works.txt", "createdTime": "2017-06-22T10:50:59.59+09:00",
        "accessedTime": "yesterday", "hasPermission": false, "shareRootFileId": "root1",
        "statuses": ["NEW"], "shiny": {"a": [1]}
    });
    assert_eq!(Value::Object(properties.other), other);
}

#[test]
fn little_is_enough() {
    let entry =
        read(json!({"fileId": "a", "filePath": "/x/name/", "fileType": "Folder", "fileSize": "12"})).unwrap();
    assert_eq!(entry.name, "name");
    assert!(entry.is_folder());
    assert_eq!(entry.size, Some(12));
    assert_eq!(entry.parent_id, Some(FileId::new("parent")));
    assert_eq!(entry.properties.virus, None);
    let entry = read(json!({"fileId": "a", "fileName": "n"})).unwrap();
    assert_eq!((entry.kind, entry.size), (Kind::File, None));
}

#[test]
fn wrong_items_are_broken_and_kept() {
    let table = [
        (json!({"fileName": "n"}), "no-id"),
        (json!({"fileId": "", "fileName": "n"}), "no-id"),
        (json!({"fileId": 7, "fileName": "n"}), "no-id"),
        (json!({"fileId": null, "fileName": "n"}), "no-id"),
        (json!({"fileId": "a"}), "no-name"),
        (
            json!({"fileId": "a", "fileName": null, "filePath": "/"}),
            "no-name",
        ),
        (json!({"fileId": "a", "fileName": ["n"]}), "malformed"),
        (
            json!({"fileId": "a", "fileName": "n", "fileType": 3}),
            "malformed",
        ),
        (json!("text"), "malformed"),
        (json!(null), "malformed"),
    ];
    for (raw, reason) in table {
        let broken = read(raw.clone()).unwrap_err();
        assert_eq!((broken.reason, &broken.raw), (reason, &raw));
        if reason == "no-id" {
            assert_eq!(broken.name.as_deref(), Some("n"));
        }
    }
}

#[test]
fn what_stands_beside_may_be_of_any_type_and_is_kept() {
    let beside = json!({
        "fileSize": "ten", "statuses": "LOCKED", "modifiedTime": 12, "createdTime": [], "accessedTime": 1498096259000_i64,
        "parentFileId": {}, "shared": "yes", "permissionRootFileId": 7.5, "resourceLocation": []
    });
    let mut raw = json!({"fileId": "a", "fileName": "n"});
    let fields = raw.as_object_mut().unwrap();
    fields.extend(beside.as_object().unwrap().clone());
    let entry = read(raw).unwrap();
    assert_eq!((entry.size, entry.modified, entry.created), (None, None, None));
    let listed_in = entry.parent_id.unwrap();
    assert_eq!(listed_in.as_str(), "parent");
    assert_eq!((entry.properties.shared, entry.properties.locked), (None, None));
    assert_eq!(Value::Object(entry.properties.other), beside);
}

#[test]
fn dates_of_every_form_are_read_to_the_second() {
    let table = [
        ("2017-06-22T10:50:59+09:00", Some((1_498_096_259, true))),
        ("2017-06-22T10:50:59.59+09:00", Some((1_498_096_259, false))),
        (
            "2017-06-22T10:50:59.123456789012345+0900",
            Some((1_498_096_259, false)),
        ),
        ("2017-06-22T01:50:59Z", Some((1_498_096_259, true))),
        ("1969-12-31T23:59:59.9Z", Some((-1, false))),
        ("2017-06-22T10:50:59", None),
        ("2017-06-22", None),
        ("2017-13-22T10:50:59Z", None),
        ("", None),
        ("日本", None),
    ];
    for (text, expected) in table {
        let read = date(text).map(|(time, exact)| (time.as_second(), exact));
        assert_eq!(read, expected, "{text}");
    }
}

#[test]
fn pages_end_with_an_empty_cursor_and_need_their_list() {
    for last in [
        json!({}),
        json!({"responseMetaData": null}),
        json!({"responseMetaData": {}}),
        json!({"responseMetaData": {"nextCursor": null}}),
        json!({"responseMetaData": {"nextCursor": ""}}),
    ] {
        assert_eq!(next_cursor(&last), Ok(None));
    }
    let more = json!({"responseMetaData": {"nextCursor": "a+/="}});
    assert_eq!(next_cursor(&more), Ok(Some("a+/=".to_owned())));
    assert!(next_cursor(&json!({"responseMetaData": {"nextCursor": 7}})).is_err());
    assert_eq!(
        items(json!({"result": [1]}), &["result", "sharedFolders"]),
        Ok(vec![json!(1)])
    );
    assert_eq!(items(json!({"files": null}), &["files"]), Ok(vec![]));
    assert!(items(json!({"files": {}}), &["files"]).is_err());
    assert!(items(json!({}), &["files"]).is_err());
    assert!(items(json!([]), &["files"]).is_err());
}

/// A listing's item as the documents show it.
fn documented() -> Value {
    json!({
        "fileId": "QDIx", "parentFileId": "QDIw", "resourceLocation": 24101, "fileSize": 10,
        "fileName": "works.txt", "filePath": "/a/works.txt", "fileType": "DOC",
        "createdTime": "2017-06-22T10:50:59.59+09:00", "modifiedTime": "2017-05-11T18:31:20+09:00",
        "accessedTime": "2017-05-11T18:31:20Z", "hasPermission": false, "permissionRootFileId": "p",
        "shared": true, "statuses": ["LOCKED", "NEW", "MALWARE"], "shiny": {"a": [1]}
    })
}

proptest! {
    #[test]
    fn a_distorted_item_is_read_as_it_is_or_kept_as_broken(raw in distorted(documented())) {
        match read(raw.clone()) {
            Ok(entry) => {
                let fields = raw.as_object().unwrap();
                let of = |name: &str| fields.get(name).unwrap_or(&Value::Null).clone();
                prop_assert_eq!(of("fileId"), Value::from(entry.id.as_str()));
                prop_assert!(!entry.name.is_empty());
                if let Value::String(name) = of("fileName") && !name.is_empty() {
                    prop_assert_eq!(&entry.name, &name);
                }
                match (of("fileSize"), entry.size) {
                    (Value::Null, None) => {}
                    (Value::Number(told), Some(size)) => prop_assert_eq!(told.as_f64(), Some(size as f64)),
                    (Value::String(told), Some(size)) => prop_assert_eq!(told.trim().parse(), Ok(size)),
                    (told, None) => prop_assert_eq!(entry.properties.other.get("fileSize"), Some(&told)),
                    (told, size) => prop_assert!(false, "size {} read as {:?}", told, size),
                }
                let is_folder = of("fileType").as_str().is_some_and(|word| word.to_uppercase() == "FOLDER");
                prop_assert_eq!(entry.is_folder(), is_folder);
                for (name, time) in [
                    ("modifiedTime", entry.modified), ("createdTime", entry.created), ("accessedTime", entry.accessed),
                ] {
                    if let Some(time) = time {
                        prop_assert_eq!(date(of(name).as_str().unwrap()).map(|(time, _)| time), Some(time));
                    } else {
                        prop_assert_eq!(entry.properties.other.get(name), fields.get(name).filter(|told| !told.is_null()));
                    }
                }
                let typed = ["fileId", "fileName", "fileType"];
                let partly = [
                    "parentFileId", "fileSize", "resourceLocation", "shared", "permissionRootFileId", "statuses", "modifiedTime",
                    "createdTime", "accessedTime",
                ];
                assert_nothing_is_dropped(fields, &entry.properties.other, &typed, &partly);
            }
            Err(broken) => {
                prop_assert!(["no-id", "no-name", "malformed"].contains(&broken.reason));
                prop_assert_eq!(&broken.raw, &raw);
                prop_assert_eq!(broken.reason == "no-id", raw.is_object() && text(&raw, "fileId").is_none());
            }
        }
    }

    #[test]
    fn a_distorted_page_ends_or_goes_on_as_it_says(raw in distorted(json!({
        "files": [documented(), {"fileId": "b"}], "responseMetaData": {"nextCursor": "a+/="},
        "quota": {"total": 10, "used": 5, "trash": 0}
    }))) {
        let told = raw.pointer("/responseMetaData/nextCursor").cloned().unwrap_or_default();
        match next_cursor(&raw) {
            Ok(Some(cursor)) => prop_assert!(!cursor.is_empty() && told == cursor),
            Ok(None) => prop_assert!(told.is_null() || told == ""),
            Err(_) => prop_assert!(!told.is_null() && !told.is_string()),
        }
        if let Some(quota) = quota(&raw) {
            let told = raw.pointer("/quota/used").and_then(Value::as_f64);
            prop_assert!(told.is_none() || quota.used.is_none() || quota.used.map(|used| used as f64) == told);
        }
        let list = match raw.get("files") {
            Some(Value::Null) => Some(Vec::new()),
            told => told.and_then(Value::as_array).cloned(),
        };
        let text = raw.to_string();
        let Ok(read) = read_list(text.as_bytes(), "files") else {
            // Deeper than any reader of JSON follows.
            prop_assert!(serde_json::from_str::<Value>(&text).is_err());
            return Ok(());
        };
        let told = page(read).ok().map(|(items, _)| items.into_iter().map(Item::into_value).collect());
        prop_assert_eq!(told, list.clone().filter(|_| next_cursor(&raw).is_ok()));
        prop_assert_eq!(items(raw, &["files"]).ok(), list);
    }

    #[test]
    fn a_date_is_the_same_in_every_form(second in -62_135_510_400_i64..253_402_214_399, zone in -86_399..86_399_i32,
        fraction in "([.,][0-9]{0,20})?", colon in any::<bool>()) {
        // To the minute, as RFC 3339 has offsets.
        let offset = jiff::tz::Offset::from_seconds(zone / 60 * 60).unwrap();
        let time = Timestamp::from_second(second).unwrap();
        let local = offset.to_datetime(time);
        let (sign, minutes) = (if zone < 0 { '-' } else { '+' }, (zone / 60).abs());
        let colon = if colon { ":" } else { "" };
        let written = format!("{}{fraction}{sign}{:02}{colon}{:02}", local.strftime("%Y-%m-%dT%H:%M:%S"), minutes / 60, minutes % 60);
        prop_assert_eq!(date(&written), Some((time, fraction.len() < 2)), "{}", written);
    }

    #[test]
    fn what_is_no_date_is_none(text in "\\PC{0,40}|[0-9TZ:+., -]{0,40}") {
        if let Some((time, _)) = date(&text) {
            prop_assert!(text.trim().len() > 19);
            prop_assert_eq!(time.subsec_nanosecond(), 0);
        }
    }
}
