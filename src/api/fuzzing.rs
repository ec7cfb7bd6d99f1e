//! What the fuzz targets reach of this module: the readers of what the service sends. Built with `--cfg fuzzing` only.

use jiff::Timestamp;
use serde_json::Value;

use super::http::{HeaderMap, HeaderName, HeaderValue};
use super::items::{Item, read_list};
use super::refusal::Refusal;
use super::{body, classic, retry, v2};
use crate::entry::Entry;
use crate::id::{DriveId, FileId};

/// A listing's item as API 2.0 or the classic API sends it.
///
/// # Errors
/// The item as it came, when it cannot be read.
pub fn item(is_classic: bool, raw: Value) -> Result<Entry, Value> {
    let (drive, parent) = (DriveId::new("me"), FileId::new("parent"));
    let read = if is_classic {
        classic::wire::entry(&drive, Some((&parent, "24101")), raw.into())
    } else {
        v2::wire::entry(&drive, Some(&parent), raw.into())
    };
    read.map_err(|broken| broken.raw)
}

/// The items of a page, when it is one.
pub fn page(is_classic: bool, json: &[u8]) -> Option<Vec<Value>> {
    let list = read_list(json, if is_classic { "items" } else { "files" }).ok()?;
    let _ = v2::wire::quota(&list.rest);
    let items = if is_classic {
        classic::wire::page(list).ok()?.0
    } else {
        v2::wire::page(list).ok()?.0
    };
    Some(items.into_iter().map(Item::into_value).collect())
}

/// What is shown of an answer that refuses.
pub fn refusal(status: u16, headers: &[(&str, &str)], body: &[u8]) -> String {
    let headers: HeaderMap = headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        })
        .collect();
    let refusal = Refusal::read(status, &headers, body, Timestamp::UNIX_EPOCH);
    let _ = retry::judge(&refusal);
    refusal.message()
}

/// The offset and the whole length that a `Content-Range` tells.
pub fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    body::content_range(text)
}

/// A date of API 2.0, to the second, and whether that is all of it.
pub fn date(text: &str) -> Option<(Timestamp, bool)> {
    v2::wire::date(text)
}
