//! Tables of items, pages and envelopes, good and bad.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::api::items::read_list;
use crate::api::tests::hostile::{assert_nothing_is_dropped, distorted, value};

fn read(raw: Value) -> Result<Entry, Box<BrokenItem>> {
    let parent = FileId::new("parent");
    entry(&DriveId::new("me"), Some((&parent, "24101")), raw.into())
}

#[test]
fn the_documented_example_is_read_whole() {
    let entry = read(json!({
        "resourceSize": 106937574, "resourceKey": "MTQ1", "resourceLocation": null,
        "resourceType": "folder", "resourcePath": "/a/123/", "fileType": "folder",
        "folderType": "my", "createDate": 1430188697000_i64, "updateDate": "1430188697590",
        "accessDate": "soon", "updateUser": "14503002", "hasExif": false,
        "hasThumbnail": true, "uploaded": true, "locked": false, "virus": "none",
        "memberShare": null, "linkShare": {"a": 1}, "group": {"groupId": 7},
        "protected": false, "shiny": 1
    }))
    .unwrap();
    assert_eq!((entry.name.as_str(), entry.kind), ("123", Kind::Folder));
    assert_eq!(entry.location.as_deref(), Some("24101"));
    assert_eq!(entry.created.map(Timestamp::as_second), Some(1_430_188_697));
    assert_eq!(entry.modified.map(Timestamp::as_second), Some(1_430_188_697));
    assert_eq!(entry.accessed, None);
    assert_eq!(entry.parent_id, Some(FileId::new("parent")));
    let properties = &entry.properties;
    assert_eq!(properties.file_type.as_deref(), Some("FOLDER"));
    assert_eq!(properties.folder_type.as_deref(), Some("my"));
    assert_eq!(properties.updated_by.as_deref(), Some("14503002"));
    assert_eq!(properties.has_thumbnail, Some(true));
    assert_eq!(properties.member_share, None);
    assert_eq!(properties.link_share, Some(json!({"a": 1})));
    assert_eq!(properties.group, Some(json!({"groupId": 7})));
    assert_eq!(
        Value::Object(properties.other.clone()),
        json!({"resourcePath": "/a/123/", "updateDate": "1430188697590", "accessDate": "soon", "shiny": 1})
    );
    assert!(!entry.is_infected());
}

#[test]
fn wrong_items_are_broken_and_kept() {
    let table = [
        (json!({"resourceName": "n"}), "no-id"),
        (json!({"resourceKey": 5, "resourceName": "n"}), "no-id"),
        (json!({"resourceKey": "k"}), "no-name"),
        (json!({"resourceKey": "k", "resourceName": 5}), "malformed"),
        (json!(7), "malformed"),
    ];
    for (raw, reason) in table {
        let broken = read(raw.clone()).unwrap_err();
        assert_eq!((broken.reason, &broken.raw), (reason, &raw));
    }
    let file = read(json!({"resourceKey": "k", "resourceName": "n", "resourceLocation": 12345, "resourceType": "file", "fileType": "doc"})).unwrap();
    assert_eq!((file.kind, file.location.as_deref()), (Kind::File, Some("12345")));
    assert!(file.properties.other.is_empty());
}

#[test]
fn what_stands_beside_may_be_of_any_type_and_is_kept() {
    let beside = json!({
        "resourceSize": -5, "locked": "no", "updateDate": {}, "createDate": true, "accessDate": "soon", "virus": 1,
        "resourceLocation": []
    });
    let mut raw = json!({"resourceKey": "k", "resourceName": "n"});
    let fields = raw.as_object_mut().unwrap();
    fields.extend(beside.as_object().unwrap().clone());
    let entry = read(raw).unwrap();
    assert_eq!(
        (entry.size, entry.modified, entry.properties.locked),
        (None, None, None)
    );
    assert_eq!(Value::Object(entry.properties.other), beside);
}

/// The items of a page, as it comes through the reader of answers.
fn page(raw: &Value) -> Result<(Vec<Value>, Option<bool>), String> {
    let text = raw.to_string();
    let (items, more) = super::page(read_list(text.as_bytes(), "items").map_err(|error| error.to_string())?)?;
    Ok((items.into_iter().map(Item::into_value).collect(), more))
}

fn bare(raw: Value) -> Result<Value, String> {
    super::bare(raw.into()).map(Item::into_value)
}

#[test]
fn pages_and_envelopes() {
    assert_eq!(
        page(&json!({"items": [1], "hasMore": true})),
        Ok((vec![json!(1)], Some(true)))
    );
    assert_eq!(page(&json!({"items": []})), Ok((vec![], None)));
    assert_eq!(page(&json!({"items": [], "hasMore": null})), Ok((vec![], None)));
    assert_eq!(
        page(&json!({"items": null, "hasMore": false})),
        Ok((vec![], Some(false)))
    );
    for wrong in [
        json!({"items": [], "hasMore": true}),
        json!({"items": [], "hasMore": "no"}),
        json!({"items": null, "hasMore": true}),
        json!({"hasMore": false}),
        json!([]),
    ] {
        assert!(page(&wrong).is_err(), "{wrong}");
    }
    let inner = json!({"resourceKey": "k"});
    assert_eq!(bare(inner.clone()), Ok(inner.clone()));
    assert_eq!(
        bare(json!({"code": "0", "message": "success", "result": inner})),
        Ok(inner)
    );
    assert!(bare(json!({"code": "7", "message": "no"})).is_err_and(|text| text.contains("7: no")));
    // Neither word may move the cursor of a terminal.
    let wild = bare(json!({"code": "\u{1b}[2J", "message": "a\nb"}));
    assert_eq!(wild.unwrap_err(), "the service answered with code  [2J: a b");
}

fn documented() -> Value {
    json!({
        "resourceSize": 106937574, "resourceKey": "MTQ1", "resourceLocation": 24101,
        "resourceName": "123.doc", "resourceType": "file", "resourcePath": "/a/123.doc", "fileType": "doc",
        "folderType": "my", "createDate": 1430188697000_i64, "updateDate": "1430188697590",
        "accessDate": 0, "updateUser": "14503002", "hasExif": false,
        "hasThumbnail": true, "uploaded": true, "locked": false, "virus": "none",
        "memberShare": null, "linkShare": {"a": 1}, "group": {"groupId": 7}, "protected": false, "shiny": 1
    })
}

proptest! {
    #[test]
    fn a_distorted_item_is_read_as_it_is_or_kept_as_broken(raw in distorted(documented())) {
        match read(raw.clone()) {
            Ok(entry) => {
                let fields = raw.as_object().unwrap();
                let of = |name: &str| fields.get(name).unwrap_or(&Value::Null).clone();
                prop_assert_eq!(of("resourceKey"), Value::from(entry.id.as_str()));
                prop_assert!(!entry.name.is_empty());
                match (of("resourceSize"), entry.size) {
                    (Value::Null, None) => {}
                    (Value::Number(told), Some(size)) => prop_assert_eq!(told.as_f64(), Some(size as f64)),
                    (Value::String(told), Some(size)) => prop_assert_eq!(told.trim().parse(), Ok(size)),
                    (told, None) => prop_assert_eq!(entry.properties.other.get("resourceSize"), Some(&told)),
                    (told, size) => prop_assert!(false, "size {} read as {:?}", told, size),
                }
                for (name, time) in [
                    ("updateDate", entry.modified), ("createDate", entry.created), ("accessDate", entry.accessed),
                ] {
                    let told = match of(name) {
                        Value::String(text) => text.trim().parse::<i128>().ok(),
                        told => told.as_i64().map(i128::from),
                    };
                    let kept = entry.properties.other.get(name);
                    if let Some(time) = time {
                        let told = told.unwrap();
                        prop_assert_eq!(i128::from(time.as_second()), told.div_euclid(1000));
                        prop_assert_eq!(kept.is_none(), told.rem_euclid(1000) == 0);
                    } else {
                        prop_assert_eq!(kept, fields.get(name).filter(|told| !told.is_null()));
                    }
                }
                let typed = ["resourceKey", "resourceName", "fileType", "memberShare", "linkShare", "group"];
                let partly = [
                    "resourceType", "updateDate", "createDate", "accessDate", "resourceSize", "resourceLocation", "folderType",
                    "updateUser", "hasExif", "hasThumbnail", "uploaded", "locked", "virus", "protected",
                ];
                assert_nothing_is_dropped(fields, &entry.properties.other, &typed, &partly);
                let told = |name: &str| Some(of(name)).filter(|told| !told.is_null());
                prop_assert_eq!(&entry.properties.link_share, &told("linkShare"));
                prop_assert_eq!(&entry.properties.group, &told("group"));
            }
            Err(broken) => {
                prop_assert!(["no-id", "no-name", "malformed"].contains(&broken.reason));
                prop_assert_eq!(&broken.raw, &raw);
            }
        }
    }

    #[test]
    fn a_distorted_page_ends_or_goes_on_as_it_says(raw in distorted(json!({
        "code": "0", "message": "success", "result": {"items": [documented(), {"resourceKey": "k"}], "hasMore": true}
    }))) {
        let Ok(inner) = bare(raw.clone()) else {
            prop_assert!(raw.get("code").is_some_and(|code| code != "0"));
            return Ok(());
        };
        if let Ok((items, more)) = page(&raw) {
            let told = inner.get("items").filter(|told| !told.is_null());
            prop_assert_eq!(told.map_or_else(Vec::new, |told| told.as_array().unwrap().clone()), items.clone());
            prop_assert_eq!(inner.get("hasMore").and_then(Value::as_bool), more);
            prop_assert!(!items.is_empty() || more != Some(true));
        }
    }

    #[test]
    fn any_value_is_an_envelope_or_none(raw in value()) {
        if let Ok(inner) = bare(raw.clone()) {
            let _ = page(&inner);
        }
        let _ = read(raw);
    }
}
