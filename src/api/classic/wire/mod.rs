//! The classic API's objects, read with tolerance: what is not understood is kept, and what is wrong spoils no page.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::api::read::{as_flag, as_location, as_size, as_text, last_part, take, text};
use crate::drive::BrokenItem;
use crate::entry::{Entry, Kind, Properties};
use crate::id::{DriveId, FileId};

/// Reads one resource (classic docs, jp/document/10080502). What lies in `parent` has its location unless it has one
/// itself.
pub(in crate::api) fn entry(
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
pub(in crate::api) fn page(mut raw: Value) -> Result<(Vec<Value>, Option<bool>), String> {
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
pub(in crate::api) fn bare(mut raw: Value) -> Result<Value, String> {
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
mod tests;
