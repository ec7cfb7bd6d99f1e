//! API 2.0's objects, read with tolerance: what is not understood is kept, and what is wrong spoils no page.

pub(super) mod sharing;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::items::{Item, List};
use crate::api::read::{Fields, as_flag, as_location, as_size, as_text, last_part, left};
use crate::drive::BrokenItem;
use crate::entry::{Entry, Kind, Properties, Quota};
use crate::id::{DriveId, FileId};

/// Reads one `File` of a listing (API 2.0 docs, KR/drive-file-lock) in `parent`.
pub(in crate::api) fn entry(
    drive: &DriveId,
    parent: Option<&FileId>,
    item: Item<'_>,
) -> Result<Entry, Box<BrokenItem>> {
    match read(drive, parent, &item) {
        Ok(Read {
            mut entry,
            taken,
            unknown,
        }) => {
            entry.properties.other = left(item, &taken);
            if !unknown.is_empty() {
                let unknown = Value::Array(unknown);
                entry.properties.other.insert("statuses".to_owned(), unknown);
            }
            Ok(entry)
        }
        Err(reason) => Err(Box::new(BrokenItem {
            id: item.text("fileId").map(str::to_owned),
            name: name_of(&item),
            reason,
            raw: item.into_value(),
        })),
    }
}

/// What was understood of a `File`.
struct Read {
    entry: Entry,
    /// The fields that it says all of.
    taken: Vec<&'static str>,
    /// Statuses without a meaning here.
    unknown: Vec<Value>,
}

fn read(drive: &DriveId, parent: Option<&FileId>, item: &Item<'_>) -> Result<Read, &'static str> {
    let fields = Fields::of(item).ok_or("malformed")?;
    let id = item.text("fileId").ok_or("no-id")?.to_owned();
    if !fields.get("fileName").is_none_or(Value::is_string) {
        return Err("malformed");
    }
    let name = name_of(item).ok_or("no-name")?;
    typed(drive, parent, fields, id, name).ok_or("malformed")
}

fn typed(
    drive: &DriveId,
    parent: Option<&FileId>,
    mut fields: Fields<'_>,
    id: String,
    name: String,
) -> Option<Read> {
    fields.pass("fileId");
    fields.pass("fileName");
    let file_type = fields.take("fileType", as_text)?;
    let file_type = file_type.map(|word| word.to_uppercase());
    let parent_id = fields.side("parentFileId", as_text);
    let size = fields.side("fileSize", as_size);
    let location = fields.side("resourceLocation", as_location);
    let shared = fields.side("shared", as_flag);
    let permission_root = fields.side("permissionRootFileId", as_text);
    let modified = take_date(&mut fields, "modifiedTime");
    let created = take_date(&mut fields, "createdTime");
    let accessed = take_date(&mut fields, "accessedTime");
    let mut properties = Properties {
        file_type,
        shared,
        permission_root,
        ..Properties::default()
    };
    let statuses = fields.side("statuses", |value| value.as_array().cloned());
    let unknown = statuses.map_or_else(Vec::new, |statuses| read_statuses(statuses, &mut properties));
    let is_folder = properties.file_type.as_deref() == Some("FOLDER");
    let entry = Entry {
        drive: drive.clone(),
        id: FileId::new(id),
        parent_id: parent_id
            .filter(|id| !id.is_empty())
            .map(FileId::new)
            .or_else(|| parent.cloned()),
        name,
        kind: if is_folder { Kind::Folder } else { Kind::File },
        size,
        modified,
        created,
        accessed,
        location,
        properties,
    };
    Some(Read {
        entry,
        taken: fields.taken(),
        unknown,
    })
}

/// `LOCKED MALWARE PROTECTED IN_PROGRESS` become properties; the others are returned.
fn read_statuses(statuses: Vec<Value>, properties: &mut Properties) -> Vec<Value> {
    let (mut locked, mut protected, mut uploaded, mut virus) = (false, false, true, "none");
    let mut unknown = Vec::new();
    for status in statuses {
        match status.as_str() {
            Some("LOCKED") => locked = true,
            Some("PROTECTED") => protected = true,
            Some("IN_PROGRESS") => uploaded = false,
            Some("MALWARE") => virus = "malware",
            _ => unknown.push(status),
        }
    }
    properties.locked = Some(locked);
    properties.protected = Some(protected);
    properties.uploaded = Some(uploaded);
    properties.virus = Some(virus.to_owned());
    unknown
}

/// The name, or the last part of the path where there is none.
fn name_of(item: &Item<'_>) -> Option<String> {
    match item.text("fileName") {
        Some(name) => Some(name.to_owned()),
        None => last_part(item.text("filePath")?),
    }
}

/// Takes a date to the second out of the fields. It stays among them when it holds more than that, or is no date at all.
fn take_date(fields: &mut Fields<'_>, name: &'static str) -> Option<Timestamp> {
    let (time, exact) = date(fields.get(name)?.as_str()?)?;
    if exact {
        fields.pass(name);
    }
    Some(time)
}

/// Reads RFC 3339 with any number of fraction digits and with or without a colon in the offset; tells whether the text
/// holds whole seconds. The documents' fractions repeat the seconds and mean nothing (section on conventions).
pub(in crate::api) fn date(text: &str) -> Option<(Timestamp, bool)> {
    let text = text.trim();
    let (before, after) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let offset = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let fraction = &after[..after.len() - offset.len()];
    let whole = format!("{before}{offset}");
    // Only a full date, time and offset: 2017-06-22T10:50:59 has 19 characters.
    let time: Timestamp = (whole.len() > 19).then(|| whole.parse().ok())??;
    Some((time, fraction.is_empty()))
}

/// The quota of a drive.
pub(in crate::api) fn quota(raw: &Value) -> Option<Quota> {
    let quota = raw.get("quota")?;
    let figure = |name: &str| quota.get(name).and_then(as_size);
    quota.is_object().then(|| Quota {
        total: figure("total"),
        used: figure("used"),
        trash: figure("trash"),
    })
}

/// Where the next page begins; `None` on the last.
pub(in crate::api) fn next_cursor(raw: &Value) -> Result<Option<String>, String> {
    match raw
        .get("responseMetaData")
        .and_then(|data| data.get("nextCursor"))
    {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(cursor)) if cursor.is_empty() => Ok(None),
        Some(Value::String(cursor)) => Ok(Some(cursor.clone())),
        Some(_) => Err("'nextCursor' is no text".to_owned()),
    }
}

/// One page of a listing: its items, and where the next page begins.
pub(in crate::api) fn page(list: List<'_>) -> Result<(Vec<Item<'_>>, Option<String>), String> {
    let next = next_cursor(&list.rest)?;
    let items = match list.items {
        Some(items) => items,
        // Services that write an empty list as nothing are common enough.
        None if is_null(&list.rest, "files") => Vec::new(),
        None => return Err("the answer holds no list 'files'".to_owned()),
    };
    Ok((items, next))
}

/// The first of the named arrays that is there. One that is null is empty.
pub(in crate::api) fn items(mut raw: Value, names: &[&str]) -> Result<Vec<Value>, String> {
    let found = names
        .iter()
        .find_map(|name| match raw.get_mut(*name).map(Value::take) {
            Some(Value::Array(items)) => Some(items),
            Some(Value::Null) => Some(Vec::new()),
            _ => None,
        });
    found.ok_or_else(|| format!("the answer holds no list '{}'", names.join("' or '")))
}

fn is_null(raw: &Value, name: &str) -> bool {
    raw.get(name).is_some_and(Value::is_null)
}

#[cfg(test)]
mod tests;
