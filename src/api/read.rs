//! Reads values of JSON that come from outside, where a wrong type is an ordinary event.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

use super::items::Item;

/// Pages in a row that bring nothing new before a list counts as running in a circle: as many as a walk allows.
const STALE_PAGES: u32 = 10;

/// What a list that is read page by page has brought so far. A list whose pages repeat, or are empty and promise more,
/// would else be asked for without end, and held in memory.
#[derive(Debug, Default)]
pub(super) struct News {
    seen: HashSet<u64>,
    stale: u32,
}

impl News {
    /// Takes a page with something that tells each of its items apart.
    ///
    /// # Errors
    /// What is wrong with the list, when it has brought nothing new for too long.
    pub(super) fn take<T: Hash>(&mut self, items: impl Iterator<Item = T>) -> Result<(), &'static str> {
        let before = self.seen.len();
        for item in items {
            let mut hasher = DefaultHasher::new();
            item.hash(&mut hasher);
            self.seen.insert(hasher.finish());
        }
        self.stale = if self.seen.len() > before {
            0
        } else {
            self.stale + 1
        };
        if self.stale < STALE_PAGES {
            return Ok(());
        }
        Err("the list repeats the same items")
    }
}

/// The last part of a path, which may end in a slash.
pub(super) fn last_part(path: &str) -> Option<String> {
    let last = path.trim_end_matches('/').rsplit('/').next()?;
    (!last.is_empty()).then(|| last.to_owned())
}

/// A text that is there and not empty.
pub(super) fn text(raw: &Value, name: &str) -> Option<String> {
    let text = raw.get(name)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A text of that type.
pub(super) fn as_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A yes or no.
pub(super) fn as_flag(value: &Value) -> Option<bool> {
    value.as_bool()
}

/// A number of bytes, as a number or as a text of digits.
pub(super) fn as_size(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            // Every whole number up to 2^53 is exact.
            (float.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&float)).then_some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A storage location code, a number or a text.
pub(super) fn as_location(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Whatever it is.
pub(super) fn as_it_is(value: &Value) -> Option<Value> {
    Some(value.clone())
}

/// The fields of an object while they are read one by one; what no one took is kept.
pub(super) struct Fields<'a> {
    all: &'a Item<'a>,
    taken: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// All fields, and none of them taken. `None` when it is no object.
    pub(super) fn of(item: &'a Item<'a>) -> Option<Fields<'a>> {
        matches!(item, Item::Object(_)).then(|| Fields {
            all: item,
            taken: Vec::with_capacity(16),
        })
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.all.get(name).filter(|value| !value.is_null())
    }

    /// Counts a field as taken.
    pub(super) fn pass(&mut self, name: &'static str) {
        self.taken.push(name);
    }

    /// Takes a field, read as a type. The inner `None` is a field that is missing or null, the outer one a wrong type.
    pub(super) fn take<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<Option<T>> {
        self.pass(name);
        match self.get(name) {
            None => Some(None),
            Some(value) => read(value).map(Some),
        }
    }

    /// Takes a field that says something beside: of another type it stays where it is, and is written down as it came.
    pub(super) fn side<T>(&mut self, name: &'static str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        match self.get(name) {
            None => {
                self.pass(name);
                None
            }
            Some(value) => {
                let value = read(value)?;
                self.pass(name);
                Some(value)
            }
        }
    }

    /// The names of what was taken.
    pub(super) fn taken(self) -> Vec<&'static str> {
        self.taken
    }
}

/// What is left of an object without what was taken and what is null.
pub(super) fn left(item: Item<'_>, taken: &[&'static str]) -> Map<String, Value> {
    let Item::Object(fields) = item else {
        return Map::new();
    };
    fields
        .into_iter()
        .filter(|(name, value)| !value.is_null() && !taken.contains(&name.as_ref()))
        .map(|(name, value)| (name.into_owned(), value))
        .collect()
}
