//! The columns, and a row as the texts of its cells.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Map, Value};

use super::Row;
use crate::path::DrivePath;

/// The header of `manifest.csv` and `failures.csv`, in order. The words are promised.
pub const COLUMNS: [&str; 31] = [
    "path",
    "kind",
    "outcome",
    "reason",
    "size",
    "sha256",
    "modified",
    "created",
    "accessed",
    "type",
    "folder_type",
    "id",
    "parent_id",
    "location",
    "drive",
    "drive_name",
    "updated_by",
    "uploaded",
    "locked",
    "protected",
    "virus",
    "has_exif",
    "has_thumbnail",
    "shared",
    "member_share",
    "link_share",
    "group",
    "permission_root",
    "stored_at",
    "attempts",
    "properties",
];

/// The key of `properties` that holds a name which the path does not tell.
const NAME: &str = "name";

/// What stands before a property of the service that would read as our own `name`.
const ESCAPE: &str = "other.";

/// One cell, with the type it has where types exist.
pub(super) enum Cell<'a> {
    /// Nothing was told.
    Empty,
    /// A text as it stands.
    Text(&'a str),
    /// A number or a JSON value, already printed as JSON prints it.
    Json(&'a str),
}

/// Gives every cell of `row` to `put`, in the order of [`COLUMNS`]. `scratch` saves an allocation per cell.
pub(super) fn each_cell<E>(
    row: &Row,
    scratch: &mut String,
    mut put: impl FnMut(Cell<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let entry = &row.entry;
    let properties = &entry.properties;

    put(Cell::Text(row.path.as_str()))?;
    put(Cell::Text(entry.kind.as_str()))?;
    put(Cell::Text(row.outcome.as_str()))?;
    put(text(Some(&row.reason)))?;
    put(number(entry.size, scratch))?;
    put(text(row.sha256.as_deref()))?;
    put(time(entry.modified, scratch))?;
    put(time(entry.created, scratch))?;
    put(time(entry.accessed, scratch))?;
    put(text(properties.file_type.as_deref()))?;
    put(text(properties.folder_type.as_deref()))?;
    put(Cell::Text(entry.id.as_str()))?;
    put(text(entry.parent_id.as_ref().map(|id| id.as_str())))?;
    put(text(entry.location.as_deref()))?;
    put(Cell::Text(entry.drive.as_str()))?;
    put(text(Some(&row.drive_name)))?;
    put(text(properties.updated_by.as_deref()))?;
    put(flag(properties.uploaded))?;
    put(flag(properties.locked))?;
    put(flag(properties.protected))?;
    put(text(properties.virus.as_deref()))?;
    put(flag(properties.has_exif))?;
    put(flag(properties.has_thumbnail))?;
    put(flag(properties.shared))?;
    put(json(properties.member_share.as_ref(), scratch))?;
    put(json(properties.link_share.as_ref(), scratch))?;
    put(json(properties.group.as_ref(), scratch))?;
    put(text(properties.permission_root.as_deref()))?;
    put(text(row.stored_at.as_deref()))?;
    put(number(Some(u64::from(row.attempts)), scratch))?;
    put(rest(row, scratch))
}

/// The path and the name that a path cell and a `properties` cell stand for, and the properties without what we added.
pub(super) fn take_name(
    path: &str,
    properties: Map<String, Value>,
) -> (DrivePath, String, Map<String, Value>) {
    let mut name = None;
    let mut other = Map::new();
    for (key, value) in properties {
        match value {
            Value::String(text) if key == NAME => name = Some(text),
            value => {
                let key = match key.strip_prefix(ESCAPE) {
                    Some(inner) if is_escaped(inner) => inner.to_owned(),
                    _ => key,
                };
                other.insert(key, value);
            }
        }
    }
    match name {
        // Only a nameless child of the root has the root's path and a name to tell.
        Some(name) if name.is_empty() && path == "/" => (DrivePath::root().join(""), name, other),
        Some(name) => (DrivePath::from_text(path), name, other),
        None => (DrivePath::from_text(path), last_segment(path).to_owned(), other),
    }
}

/// The name that a `properties` cell tells, without a look at what else is in it where it cannot tell one.
pub(super) fn told_name(properties: &str) -> Result<Option<String>, serde_json::Error> {
    if !properties.contains("\"name\"") {
        return Ok(None);
    }
    let mut properties: Map<String, Value> = serde_json::from_str(properties)?;
    Ok(match properties.remove(NAME) {
        Some(Value::String(name)) => Some(name),
        _ => None,
    })
}

fn text(text: Option<&str>) -> Cell<'_> {
    match text {
        Some(text) if !text.is_empty() => Cell::Text(text),
        _ => Cell::Empty,
    }
}

fn flag(flag: Option<bool>) -> Cell<'static> {
    match flag {
        Some(true) => Cell::Json("true"),
        Some(false) => Cell::Json("false"),
        None => Cell::Empty,
    }
}

fn number(number: Option<u64>, scratch: &mut String) -> Cell<'_> {
    let Some(number) = number else {
        return Cell::Empty;
    };
    scratch.clear();
    let _ = write!(scratch, "{number}");
    Cell::Json(scratch)
}

fn json<'a>(value: Option<&Value>, scratch: &'a mut String) -> Cell<'a> {
    let Some(value) = value else {
        return Cell::Empty;
    };
    scratch.clear();
    let _ = write!(scratch, "{value}");
    Cell::Json(scratch)
}

fn time(time: Option<Timestamp>, scratch: &mut String) -> Cell<'_> {
    let Some(time) = time else {
        return Cell::Empty;
    };
    scratch.clear();
    push_time(time, scratch);
    Cell::Text(scratch)
}

/// Writes `time` as RFC 3339 in UTC and to the second. Digits are set by hand, since a manifest has three times a row.
fn push_time(time: Timestamp, target: &mut String) {
    let moment = Offset::UTC.to_datetime(time);
    let Ok(year @ 0..=9999) = u16::try_from(moment.year()) else {
        // RFC 3339 has no such year; the wider form of ISO 8601 reads back all the same.
        let _ = write!(target, "{time}");
        return;
    };
    let pair = |target: &mut String, number: u8| {
        target.push(char::from(b'0' + number / 10 % 10));
        target.push(char::from(b'0' + number % 10));
    };
    let part = |number: i8| u8::try_from(number).unwrap_or(0);
    pair(target, u8::try_from(year / 100).unwrap_or(0));
    pair(target, u8::try_from(year % 100).unwrap_or(0));
    for (before, number) in [
        ('-', moment.month()),
        ('-', moment.day()),
        ('T', moment.hour()),
        (':', moment.minute()),
        (':', moment.second()),
    ] {
        target.push(before);
        pair(target, part(number));
    }
    target.push('Z');
}

/// The `properties` cell: what has no column, and the name where the path does not tell it.
fn rest<'a>(row: &Row, scratch: &'a mut String) -> Cell<'a> {
    let entry = &row.entry;
    let other = &entry.properties.other;
    let tells_name = if entry.name.is_empty() {
        row.path == DrivePath::root()
    } else {
        last_segment(row.path.as_str()) == entry.name
    };
    if other.is_empty() && tells_name {
        return Cell::Empty;
    }
    scratch.clear();
    scratch.push('{');
    if !tells_name {
        push_pair(scratch, NAME, &Value::String(entry.name.clone()));
    }
    for (key, value) in other {
        if is_escaped(key) {
            push_pair(scratch, &format!("{ESCAPE}{key}"), value);
        } else {
            push_pair(scratch, key, value);
        }
    }
    scratch.push('}');
    Cell::Json(scratch)
}

fn push_pair(target: &mut String, key: &str, value: &Value) {
    if target.len() > 1 {
        target.push(',');
    }
    let key = serde_json::to_string(key).unwrap_or_default();
    let _ = write!(target, "{key}:{value}");
}

/// Whether a property of the service needs our prefix to be told from our own `name`: `name`, `other.name`, and so on.
fn is_escaped(mut key: &str) -> bool {
    while let Some(inner) = key.strip_prefix(ESCAPE) {
        key = inner;
    }
    key == NAME
}

fn last_segment(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
