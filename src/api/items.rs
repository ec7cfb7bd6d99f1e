//! Items of a list as they come. A listing holds two hundred of them, each read once and by few names: a table of its fields
//! would cost more than it saves.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// One item of a list, or an answer that is one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item<'a> {
    /// An object: its fields in their order. Of two with the same name the last counts.
    Object(Vec<(Cow<'a, str>, Value)>),
    /// What no object is, and no reader takes.
    Other(Value),
}

impl Item<'_> {
    /// A field; `None` where there is none, or this is no object.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let Item::Object(fields) = self else {
            return None;
        };
        let found = fields.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// A text that is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Adds a field that the service left out.
    pub(super) fn or_insert(&mut self, name: &'static str, value: impl FnOnce() -> Value) {
        if self.get(name).is_none()
            && let Item::Object(fields) = self
        {
            fields.push((Cow::Borrowed(name), value()));
        }
    }

    /// The same, as the service sent it.
    pub(super) fn into_value(self) -> Value {
        match self {
            Item::Object(fields) => {
                let fields = fields.into_iter();
                Value::Object(fields.map(|(name, value)| (name.into_owned(), value)).collect())
            }
            Item::Other(value) => value,
        }
    }
}

impl From<Value> for Item<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(fields) => {
                let fields = fields.into_iter();
                Item::Object(fields.map(|(name, value)| (Cow::Owned(name), value)).collect())
            }
            other => Item::Other(other),
        }
    }
}

/// Reads an answer that is one item.
///
/// # Errors
/// When it is no JSON.
pub(super) fn read_item(json: &[u8]) -> serde_json::Result<Item<'_>> {
    serde_json::from_slice(json)
}

/// An answer that holds a list.
#[derive(Debug, PartialEq)]
pub(super) struct List<'a> {
    /// The items; `None` where there is no such list.
    pub items: Option<Vec<Item<'a>>>,
    /// What stands beside the list, or whatever came that is no object.
    pub rest: Value,
}

/// Reads an answer whose list has this name.
///
/// # Errors
/// When it is no JSON.
pub(super) fn read_list<'a>(json: &'a [u8], name: &'static str) -> serde_json::Result<List<'a>> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let list = ListNamed(name).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(list)
}

/// What a visitor does with values that it does not look into.
macro_rules! whatever_else {
    ($wrap:expr) => {
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("JSON")
        }

        fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
            Ok($wrap(value.into()))
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
            Ok($wrap(value.into()))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            Ok($wrap(value.into()))
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
            Ok($wrap(value.into()))
        }

        fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
            Ok($wrap(value.into()))
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($wrap(Value::Null))
        }
    };
}

impl<'de> Deserialize<'de> for Item<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyItem;

        impl<'de> Visitor<'de> for AnyItem {
            type Value = Item<'de>;

            whatever_else!(Item::Other);

            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Item<'de>, A::Error> {
                Value::deserialize(SeqAccessDeserializer::new(parts)).map(Item::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
                // What the two generations tell of one file (API 2.0 docs, KR/drive-file-lock) fits.
                let mut fields = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Item::Object(fields))
            }
        }

        deserializer.deserialize_any(AnyItem)
    }
}

/// The name of a field, which most answers hold as it is.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyName;

        impl<'de> Visitor<'de> for AnyName {
            type Value = Name<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(AnyName)
    }
}

/// The value under a list's name.
enum Listed<'a> {
    Items(Vec<Item<'a>>),
    Other(Value),
}

impl<'de> Deserialize<'de> for Listed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyList;

        impl<'de> Visitor<'de> for AnyList {
            type Value = Listed<'de>;

            whatever_else!(Listed::Other);

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Listed<'de>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(Listed::Items)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Listed<'de>, A::Error> {
                Value::deserialize(MapAccessDeserializer::new(map)).map(Listed::Other)
            }
        }

        deserializer.deserialize_any(AnyList)
    }
}

/// Reads an answer with a list of this name.
struct ListNamed(&'static str);

/// An answer that holds no such list.
fn without_list<'a>(rest: Value) -> List<'a> {
    List { items: None, rest }
}

impl<'de> DeserializeSeed<'de> for ListNamed {
    type Value = List<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<List<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ListNamed {
    type Value = List<'de>;

    whatever_else!(without_list);

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<List<'de>, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(parts)).map(without_list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List<'de>, A::Error> {
        let mut items = None;
        let mut rest = Map::new();
        while let Some(Name(name)) = map.next_key()? {
            if name != self.0 {
                rest.insert(name.into_owned(), map.next_value()?);
                continue;
            }
            // Of two lists the last counts, as with any field.
            items = match map.next_value()? {
                Listed::Items(items) => Some(items),
                Listed::Other(value) => {
                    rest.insert(name.into_owned(), value);
                    None
                }
            };
        }
        let rest = Value::Object(rest);
        Ok(List { items, rest })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn list(text: &str) -> List<'_> {
        read_list(text.as_bytes(), "files").unwrap()
    }

    #[test]
    fn a_list_is_read_item_by_item_and_the_rest_as_it_is() {
        let read = list(r#"{"a":[1],"files":[{"x":1,"x":{"y":[]}},null,[{"z":1}],"t",-1,1.5,7],"b":null}"#);
        let items = read.items.unwrap();
        assert_eq!(items[0].get("x"), Some(&json!({"y": []})), "the last counts");
        assert_eq!(items[0].get("y"), None);
        let values: Vec<Value> = items.into_iter().map(Item::into_value).collect();
        let expected = json!([{"x": {"y": []}}, null, [{"z": 1}], "t", -1, 1.5, 7]);
        assert_eq!(Value::from(values), expected);
        assert_eq!(read.rest, json!({"a": [1], "b": null}));
    }

    #[test]
    fn where_there_is_no_list_all_is_kept() {
        for text in [
            "{}",
            r#"{"files":{"x":1}}"#,
            r#"{"files":[],"files":"none"}"#,
            "[1]",
            "null",
            "true",
            "-7",
            r#""files""#,
        ] {
            let read = list(text);
            assert_eq!(read.items, None, "{text}");
            assert_eq!(read.rest, serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        assert_eq!(list(r#"{"files":1,"files":[]}"#).items, Some(vec![]));
    }

    #[test]
    fn a_name_is_read_whatever_it_is_written_with() {
        let read = list(r#"{"\u0066iles":[{"\u0061":1,"b":""}]}"#);
        let item = &read.items.unwrap()[0];
        assert_eq!(item.get("a"), Some(&json!(1)));
        assert_eq!(item.text("b"), None);
    }

    #[test]
    fn only_what_is_missing_is_added() {
        for (text, expected) in [
            ("{}", json!({"a": 1})),
            (r#"{"a":null}"#, json!({"a": null})),
            ("[]", json!([])),
        ] {
            let mut item = read_item(text.as_bytes()).unwrap();
            item.or_insert("a", || json!(1));
            assert_eq!(item.into_value(), expected);
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = format!(r#"{{"files":[{}"#, "[".repeat(200));
        for text in [
            "",
            "{",
            r#"{"files":[{}"#,
            "{} {}",
            r#"{"files":[{"a":}]}"#,
            &deep,
        ] {
            assert!(read_list(text.as_bytes(), "files").is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_item_is_the_value_that_the_json_reader_sees(text in r#"[{}\[\]a",:0-9.\\u -]{0,40}"#) {
            let item = read_item(text.as_bytes()).map(Item::into_value);
            let value = serde_json::from_str::<Value>(&text);
            prop_assert_eq!(item.is_ok(), value.is_ok());
            if let (Ok(item), Ok(value)) = (item, value) {
                prop_assert_eq!(&item, &value);
                prop_assert_eq!(Item::from(value.clone()).into_value(), value);
            }
        }
    }
}
