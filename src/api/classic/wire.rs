//! The classic API's objects, read with tolerance: what is not understood is kept, and what is wrong spoils no page.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::api::read::{as_flag, as_location, as_size, as_text, last_part, take, text};
use crate::drive::BrokenItem;
use crate::entry::{Entry, Kind, Properties};
use crate::id::{DriveId, FileId};

/// Reads one resource (classic docs, jp/document/10080502). What lies in `parent` has its location unless it has one
/// itself.
pub(super) fn entry(
    drive: &DriveId,
    parent: Option<(&FileId, &str)>,
    raw: Value,
) -> Result<Entry, Box<BrokenItem>> {
    let broken = |reason| {
        Box::new(BrokenItem {
            id: text(&raw, "resourceKey"),
            name: name_of(&raw),
            reason,
            raw: raw.clone(),
        })
    };
    let Value::Object(fields) = &raw else {
        return Err(broken("malformed"));
    };
    let Some(id) = text(&raw, "resourceKey") else {
        return Err(broken("no-id"));
    };
    if !matches!(
        fields.get("resourceName"),
        None | Some(Value::Null | Value::String(_))
    ) {
        return Err(broken("malformed"));
    }
    // The root of a drive has no name, and needs none.
    let name = match (name_of(&raw), parent) {
        (Some(name), _) => name,
        (None, None) => String::new(),
        (None, Some(_)) => return Err(broken("no-name")),
    };
    typed(drive, parent, fields.clone(), &id, name).ok_or_else(|| broken("malformed"))
}

fn typed(
    drive: &DriveId,
    parent: Option<(&FileId, &str)>,
    mut fields: Map<String, Value>,
    id: &str,
    name: String,
) -> Option<Entry> {
    fields.shift_remove("resourceKey");
    fields.shift_remove("resourceName");
    let kind_word = take(&mut fields, "resourceType", as_text)?;
    let file_type = take(&mut fields, "fileType", as_text)?;
    let is_folder = [&kind_word, &file_type]
        .into_iter()
        .flatten()
        .any(|word| word.eq_ignore_ascii_case("folder"));
    // The type says what the kind already does, unless it is a word of its own.
    if let Some(word) = kind_word.filter(|word| !is_known_kind(word)) {
        fields.insert("resourceType".to_owned(), Value::String(word));
    }
    let properties = Properties {
        file_type: file_type.map(|word| word.to_uppercase()),
        folder_type: take(&mut fields, "folderType", as_text)?,
        updated_by: take(&mut fields, "updateUser", as_location)?,
        uploaded: take(&mut fields, "uploaded", as_flag)?,
        locked: take(&mut fields, "locked", as_flag)?,
        protected: take(&mut fields, "protected", as_flag)?,
        virus: take(&mut fields, "virus", as_text)?,
        has_exif: take(&mut fields, "hasExif", as_flag)?,
        has_thumbnail: take(&mut fields, "hasThumbnail", as_flag)?,
        member_share: take(&mut fields, "memberShare", Some)?,
        link_share: take(&mut fields, "linkShare", Some)?,
        group: take(&mut fields, "group", Some)?,
        ..Properties::default()
    };
    let size = take(&mut fields, "resourceSize", as_size)?;
    let location = take(&mut fields, "resourceLocation", as_location)?
        .filter(|location| !location.is_empty())
        .or_else(|| parent.map(|(_, location)| location.to_owned()));
    let modified = take_date(&mut fields, "updateDate")?;
    let created = take_date(&mut fields, "createDate")?;
    let accessed = take_date(&mut fields, "accessDate")?;
    fields.retain(|_, value| !value.is_null());
    Some(Entry {
        drive: drive.clone(),
        id: FileId::new(id),
        parent_id: parent.map(|(id, _)| id.clone()),
        name,
        kind: if is_folder { Kind::Folder } else { Kind::File },
        size,
        modified,
        created,
        accessed,
        location,
        properties: Properties {
            other: fields,
            ..properties
        },
    })
}

fn is_known_kind(word: &str) -> bool {
    word.eq_ignore_ascii_case("folder") || word.eq_ignore_ascii_case("file")
}

/// The name, or the last part of the path where there is none.
fn name_of(raw: &Value) -> Option<String> {
    text(raw, "resourceName").or_else(|| last_part(&text(raw, "resourcePath")?))
}

/// Takes milliseconds since 1970 out of the fields and gives them to the second. They stay among the fields when they
/// hold more, or are no date; `None` when they are of a wrong type.
fn take_date(fields: &mut Map<String, Value>, name: &str) -> Option<Option<Timestamp>> {
    let milliseconds = match fields.get(name) {
        None | Some(Value::Null) => return Some(None),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => return None,
    };
    let Some(milliseconds) = milliseconds else {
        return Some(None);
    };
    let Ok(time) = Timestamp::from_second(milliseconds.div_euclid(1_000)) else {
        return Some(None);
    };
    if milliseconds.rem_euclid(1_000) == 0 {
        fields.shift_remove(name);
    }
    Some(Some(time))
}

/// One page of a listing: its items, and whether more follow, where the answer tells that.
pub(super) fn page(mut raw: Value) -> Result<(Vec<Value>, Option<bool>), String> {
    let more = match raw.get("hasMore") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(more)) => Some(*more),
        Some(_) => return Err("'hasMore' is neither true nor false".to_owned()),
    };
    match raw.get_mut("items").map(Value::take) {
        // An empty page that promises more would be asked for without end.
        Some(Value::Array(items)) if items.is_empty() && more == Some(true) => {
            Err("an empty page says that more follow".to_owned())
        }
        Some(Value::Array(items)) => Ok((items, more)),
        _ => Err("the answer holds no list 'items'".to_owned()),
    }
}

/// The object of an answer: itself, or the `result` of a version 1 envelope whose code is "0" (classic docs,
/// jp/document/1008022).
pub(super) fn bare(mut raw: Value) -> Result<Value, String> {
    if raw.get("resourceKey").is_some() || raw.get("items").is_some() {
        return Ok(raw);
    }
    let code = match raw.get("code") {
        Some(Value::String(code)) => code.clone(),
        Some(Value::Number(code)) => code.to_string(),
        _ => return Ok(raw),
    };
    if code != "0" {
        let message = text(&raw, "message").unwrap_or_default();
        let message = crate::api::refusal::shown(&message);
        return Err(format!("the service answered with code {code}: {message}"));
    }
    Ok(raw.get_mut("result").map(Value::take).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(raw: Value) -> Result<Entry, Box<BrokenItem>> {
        let parent = FileId::new("parent");
        entry(&DriveId::new("me"), Some((&parent, "24101")), raw)
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
            (
                json!({"resourceKey": "k", "resourceName": "n", "locked": "no"}),
                "malformed",
            ),
            (
                json!({"resourceKey": "k", "resourceName": "n", "updateDate": {}}),
                "malformed",
            ),
            (
                json!({"resourceKey": "k", "resourceName": "n", "resourceSize": -5}),
                "malformed",
            ),
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
    fn pages_and_envelopes() {
        assert_eq!(
            page(json!({"items": [1], "hasMore": true})),
            Ok((vec![json!(1)], Some(true)))
        );
        assert_eq!(page(json!({"items": []})), Ok((vec![], None)));
        assert_eq!(page(json!({"items": [], "hasMore": null})), Ok((vec![], None)));
        for wrong in [
            json!({"items": [], "hasMore": true}),
            json!({"items": [], "hasMore": "no"}),
            json!({"items": null}),
            json!([]),
        ] {
            assert!(page(wrong.clone()).is_err(), "{wrong}");
        }
        let inner = json!({"resourceKey": "k"});
        assert_eq!(bare(inner.clone()), Ok(inner.clone()));
        assert_eq!(
            bare(json!({"code": "0", "message": "success", "result": inner})),
            Ok(inner)
        );
        assert!(bare(json!({"code": "7", "message": "no"})).is_err_and(|text| text.contains("7: no")));
    }
}
