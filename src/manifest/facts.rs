//! What an entry says beyond its place, size and date, as one compact text for the run's state.

use std::fmt;

use jiff::Timestamp;
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Error;
use crate::entry::{Entry, Properties};

/// The part of an [`Entry`] that [`encode_facts`] keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When it was last read.
    pub accessed: Option<Timestamp>,
    /// All the rest that the service told.
    pub properties: Properties,
}

/// The facts of `entry` beyond drive, id, parent, name, kind, size, modified time and location, as compact JSON.
/// What was not told takes no room; an entry without facts is `{}`.
pub fn encode_facts(entry: &Entry) -> String {
    let properties = &entry.properties;
    let text = serde_json::to_string(&Written {
        created: entry.created.map(Moment),
        accessed: entry.accessed.map(Moment),
        file_type: properties.file_type.as_deref(),
        folder_type: properties.folder_type.as_deref(),
        updated_by: properties.updated_by.as_deref(),
        uploaded: properties.uploaded,
        locked: properties.locked,
        protected: properties.protected,
        virus: properties.virus.as_deref(),
        has_exif: properties.has_exif,
        has_thumbnail: properties.has_thumbnail,
        shared: properties.shared,
        member_share: properties.member_share.as_ref(),
        link_share: properties.link_share.as_ref(),
        group: properties.group.as_ref(),
        permission_root: properties.permission_root.as_deref(),
        other: &properties.other,
    });
    // Texts, numbers and maps with text keys always print; there is no other kind of value here.
    text.unwrap_or_else(|_| "{}".to_owned())
}

/// The facts that [`encode_facts`] wrote, exactly.
///
/// # Errors
/// [`Error::Facts`] when the text is something else.
pub fn decode_facts(text: &str) -> Result<Facts, Error> {
    let read: Read = serde_json::from_str(text).map_err(Error::Facts)?;
    Ok(Facts {
        created: read.created.map(|moment| moment.0),
        accessed: read.accessed.map(|moment| moment.0),
        properties: Properties {
            file_type: read.file_type,
            folder_type: read.folder_type,
            updated_by: read.updated_by,
            uploaded: read.uploaded,
            locked: read.locked,
            protected: read.protected,
            virus: read.virus,
            has_exif: read.has_exif,
            has_thumbnail: read.has_thumbnail,
            shared: read.shared,
            member_share: read.member_share,
            link_share: read.link_share,
            group: read.group,
            permission_root: read.permission_root,
            other: read.other,
        },
    })
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accessed: Option<Moment>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    file_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uploaded: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protected: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    virus: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_exif: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_thumbnail: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_share: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_share: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission_root: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    other: &'a Map<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case", default)]
struct Read {
    created: Option<Moment>,
    accessed: Option<Moment>,
    #[serde(rename = "type")]
    file_type: Option<String>,
    folder_type: Option<String>,
    updated_by: Option<String>,
    uploaded: Option<bool>,
    locked: Option<bool>,
    protected: Option<bool>,
    virus: Option<String>,
    has_exif: Option<bool>,
    has_thumbnail: Option<bool>,
    shared: Option<bool>,
    #[serde(deserialize_with = "told")]
    member_share: Option<Value>,
    #[serde(deserialize_with = "told")]
    link_share: Option<Value>,
    #[serde(deserialize_with = "told")]
    group: Option<Value>,
    permission_root: Option<String>,
    other: Map<String, Value>,
}

/// A value that stands there, be it `null`: the service may well say `null`.
fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A time as seconds since 1970, or as text where it has a fraction.
struct Moment(Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanosecond() == 0 {
            serializer.serialize_i64(self.0.as_second())
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        deserializer.deserialize_any(ReadMoment).map(Moment)
    }
}

struct ReadMoment;

impl Visitor<'_> for ReadMoment {
    type Value = Timestamp;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("seconds since 1970, or a time as text")
    }

    fn visit_i64<E: de::Error>(self, second: i64) -> Result<Timestamp, E> {
        Timestamp::from_second(second).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, second: u64) -> Result<Timestamp, E> {
        self.visit_i64(i64::try_from(second).map_err(E::custom)?)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }
}
