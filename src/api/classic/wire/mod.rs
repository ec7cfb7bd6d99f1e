//! The classic API's objects, read with tolerance: what is not understood is kept, and what is wrong spoils no page.

use jiff::Timestamp;
use serde_json::Value;

use crate::api::items::{Item, List};
use crate::api::read::{Fields, as_flag, as_it_is, as_location, as_size, as_text, last_part, left};
use crate::api::refusal::shown;
use crate::drive::BrokenItem;
use crate::entry::{Entry, Kind, Properties};
use crate::id::{DriveId, FileId};

/// Reads one resource (classic docs, jp/document/10080502). What lies in `parent` has its location unless it has one
/// itself.
pub(in crate::api) fn entry(
    drive: &DriveId,
    parent: Option<(&FileId, &str)>,
    item: Item<'_>,
) -> Result<Entry, Box<BrokenItem>> {
    match read(drive, parent, &item) {
        Ok((mut entry, taken)) => {
            entry.properties.other = left(item, &taken);
            Ok(entry)
        }
        Err(reason) => Err(Box::new(BrokenItem {
            id: item.text("resourceKey").map(str::to_owned),
            name: name_of(&item),
            reason,
            raw: item.into_value(),
        })),
    }
}

/// An entry, and the fields that it says all of.
fn read(
    drive: &DriveId,
    parent: Option<(&FileId, &str)>,
    item: &Item<'_>,
) -> Result<(Entry, Vec<&'static str>), &'static str> {
    let fields = Fields::of(item).ok_or("malformed")?;
    let id = item.text("resourceKey").ok_or("no-id")?.to_owned();
    if !fields.get("resourceName").is_none_or(Value::is_string) {
        return Err("malformed");
    }
    // The root of a drive has no name, and needs none.
    let name = match (name_of(item), parent) {
        (Some(name), _) => name,
        (None, None) => String::new(),
        (None, Some(_)) => return Err("no-name"),
    };
    typed(drive, parent, fields, id, name).ok_or("malformed")
}

fn typed(
    drive: &DriveId,
    parent: Option<(&FileId, &str)>,
    mut fields: Fields<'_>,
    id: String,
    name: String,
) -> Option<(Entry, Vec<&'static str>)> {
    fields.pass("resourceKey");
    fields.pass("resourceName");
    let kind_word = match fields.get("resourceType") {
        None => None,
        Some(word) => Some(word.as_str()?),
    };
    // The type says what the kind already does, unless it is a word of its own.
    if kind_word.is_none_or(is_known_kind) {
        fields.pass("resourceType");
    }
    let file_type = fields.take("fileType", as_text)?;
    let is_folder = [kind_word, file_type.as_deref()]
        .into_iter()
        .flatten()
        .any(|word| word.eq_ignore_ascii_case("folder"));
    let properties = Properties {
        file_type: file_type.map(|word| word.to_uppercase()),
        folder_type: fields.side("folderType", as_text),
        updated_by: fields.side("updateUser", as_location),
        uploaded: fields.side("uploaded", as_flag),
        locked: fields.side("locked", as_flag),
        protected: fields.side("protected", as_flag),
        virus: fields.side("virus", as_text),
        has_exif: fields.side("hasExif", as_flag),
        has_thumbnail: fields.side("hasThumbnail", as_flag),
        member_share: fields.side("memberShare", as_it_is),
        link_share: fields.side("linkShare", as_it_is),
        group: fields.side("group", as_it_is),
        ..Properties::default()
    };
    let size = fields.side("resourceSize", as_size);
    let location = fields
        .side("resourceLocation", as_location)
        .filter(|location| !location.is_empty())
        .or_else(|| parent.map(|(_, location)| location.to_owned()));
    let entry = Entry {
        drive: drive.clone(),
        id: FileId::new(id),
        parent_id: parent.map(|(id, _)| id.clone()),
        name,
        kind: if is_folder { Kind::Folder } else { Kind::File },
        size,
        modified: take_date(&mut fields, "updateDate"),
        created: take_date(&mut fields, "createDate"),
        accessed: take_date(&mut fields, "accessDate"),
        location,
        properties,
    };
    Some((entry, fields.taken()))
}

fn is_known_kind(word: &str) -> bool {
    word.eq_ignore_ascii_case("folder") || word.eq_ignore_ascii_case("file")
}

/// The name, or the last part of the path where there is none.
fn name_of(item: &Item<'_>) -> Option<String> {
    match item.text("resourceName") {
        Some(name) => Some(name.to_owned()),
        None => last_part(item.text("resourcePath")?),
    }
}

/// Takes milliseconds since 1970 out of the fields and gives them to the second. They stay among the fields when they
/// hold more, or are no date.
fn take_date(fields: &mut Fields<'_>, name: &'static str) -> Option<Timestamp> {
    let milliseconds = match fields.get(name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }?;
    let time = Timestamp::from_second(milliseconds.div_euclid(1_000)).ok()?;
    if milliseconds.rem_euclid(1_000) == 0 {
        fields.pass(name);
    }
    Some(time)
}

/// One page of a listing: its items, and whether more follow, where the answer tells that.
pub(in crate::api) fn page(list: List<'_>) -> Result<(Vec<Item<'_>>, Option<bool>), String> {
    let (items, rest) = match list.items {
        Some(items) => (Some(items), list.rest),
        None => {
            let mut rest = bare(list.rest.into())?.into_value();
            let items = match rest.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => Some(items.into_iter().map(Item::from).collect()),
                // Services that write an empty list as nothing are common enough.
                Some(Value::Null) => Some(Vec::new()),
                _ => None,
            };
            (items, rest)
        }
    };
    let more = match rest.get("hasMore") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(more)) => Some(*more),
        Some(_) => return Err("'hasMore' is neither true nor false".to_owned()),
    };
    match items {
        // An empty page that promises more would be asked for without end.
        Some(items) if items.is_empty() && more == Some(true) => {
            Err("an empty page says that more follow".to_owned())
        }
        Some(items) => Ok((items, more)),
        None => Err("the answer holds no list 'items'".to_owned()),
    }
}

/// The object of an answer: itself, or the `result` of a version 1 envelope whose code is "0" (classic docs,
/// jp/document/1008022).
pub(in crate::api) fn bare(item: Item<'_>) -> Result<Item<'_>, String> {
    if item.get("resourceKey").is_some() || item.get("items").is_some() {
        return Ok(item);
    }
    let code = match item.get("code") {
        Some(Value::String(code)) => code.clone(),
        Some(Value::Number(code)) => code.to_string(),
        _ => return Ok(item),
    };
    if code != "0" {
        return Err(format!(
            "the service answered with code {}: {}",
            shown(&code),
            shown(item.text("message").unwrap_or_default())
        ));
    }
    Ok(Item::from(item.get("result").cloned().unwrap_or_default()))
}

#[cfg(test)]
mod tests;
