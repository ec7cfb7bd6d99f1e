//! JSON as no server should give it: real answers with values swapped, taken away, nested, grown and renamed.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Number, Value, json};

/// Fewer cases than the usual figure for tests that do much in each; `PROPTEST_CASES` grows both.
pub(crate) fn one_case_in(part: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.div_ceil(part),
        ..usual
    }
}

/// Texts that some reader takes for something else.
pub(crate) const TEXTS: &[&str] = &[
    "",
    " ",
    "/",
    ".",
    "..",
    "a/b",
    "root",
    "null",
    "true",
    "0",
    "-1",
    "+5",
    "1e3",
    "0x10",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "9223372036854775807",
    "1e400",
    "NaN",
    "\0",
    "\r\n\r\n",
    "\u{202e}gpj.exe",
    "\u{feff}",
    "\u{ffff}",
    "2017-06-22T10:50:59+09:00",
    "2017-06-22T23:59:60Z",
    "2017-02-30T00:00:00Z",
    "9999-12-31T23:59:59.999999999-23:59",
    "-009999-01-01T00:00:00Z",
    "+292277026596-12-04T15:30:07Z",
    "http://evil.example/",
    "FOLDER",
    "folder",
    "LOCKED",
];

/// Numbers at the ends of what a type holds.
fn number() -> impl Strategy<Value = Value> {
    let ends = [
        json!(0),
        json!(-1),
        json!(1),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(9_007_199_254_740_992_u64),
        json!(9_007_199_254_740_993_u64),
        json!(-0.0),
        json!(0.5),
        json!(1e15),
        json!(1e19),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(253_402_300_800_000_i64),
        json!(-377_705_116_800_001_i64),
    ];
    prop_oneof![
        prop::sample::select(ends.to_vec()),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| Number::from_f64(number).map_or(Value::Null, Value::Number)),
    ]
}

/// A value without anything in it.
fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        3 => number(),
        3 => prop::sample::select(TEXTS).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => prop::sample::select(vec![json!([]), json!({}), json!([null]), json!({"": null})]),
        1 => (1..300_usize).prop_map(|length| Value::from("あ".repeat(length))),
    ]
}

/// Any value, of some depth.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{0,3}|fileId|code|items|result", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What is done to one value of an answer.
#[derive(Clone, Debug)]
enum Wrong {
    /// Another value stands there.
    Replaced(Value),
    /// A member or item is gone.
    Removed(Index),
    /// An item comes twice, a member under a second name.
    Doubled(Index, String),
    /// It stands inside so many arrays or objects.
    Nested(usize, bool),
    /// A number as text, a text as number, and so on.
    Retyped,
}

fn wrong() -> impl Strategy<Value = Wrong> {
    prop_oneof![
        4 => leaf().prop_map(Wrong::Replaced),
        1 => value().prop_map(Wrong::Replaced),
        2 => any::<Index>().prop_map(Wrong::Removed),
        2 => (any::<Index>(), "[a-zA-Z]{0,8}").prop_map(|(which, name)| Wrong::Doubled(which, name)),
        1 => (1..100_usize, any::<bool>()).prop_map(|(depth, list)| Wrong::Nested(depth, list)),
        2 => Just(Wrong::Retyped),
    ]
}

/// An answer with up to four things wrong with it.
pub(crate) fn distorted(answer: Value) -> impl Strategy<Value = Value> {
    prop::collection::vec((any::<Index>(), wrong()), 0..5).prop_map(move |wrongs| {
        let mut answer = answer.clone();
        for (place, wrong) in wrongs {
            let mut left = place.index(count(&answer));
            if let Some(value) = nth(&mut answer, &mut left) {
                wrong.apply(value);
            }
        }
        answer
    })
}

impl Wrong {
    fn apply(self, value: &mut Value) {
        match (self, value) {
            (Wrong::Replaced(new), value) => *value = new,
            (Wrong::Removed(which), Value::Array(items)) if !items.is_empty() => {
                items.remove(which.index(items.len()));
            }
            (Wrong::Removed(which), Value::Object(fields)) if !fields.is_empty() => {
                let key = fields.keys().nth(which.index(fields.len())).cloned();
                fields.shift_remove(&key.unwrap_or_default());
            }
            (Wrong::Doubled(which, _), Value::Array(items)) if !items.is_empty() => {
                items.push(items[which.index(items.len())].clone());
            }
            (Wrong::Doubled(which, name), Value::Object(fields)) if !fields.is_empty() => {
                let value = fields.values().nth(which.index(fields.len())).cloned();
                fields.insert(name, value.unwrap_or_default());
            }
            (Wrong::Removed(_) | Wrong::Doubled(..), value) => *value = Value::Null,
            (Wrong::Nested(depth, list), value) => {
                for _ in 0..depth {
                    let inner = value.take();
                    *value = if list {
                        json!([inner])
                    } else {
                        json!({ "a": inner })
                    };
                }
            }
            (Wrong::Retyped, value) => {
                *value = match value.take() {
                    Value::String(text) => text.parse::<u64>().map_or(json!([text]), Value::from),
                    Value::Number(number) => json!(number.to_string()),
                    Value::Bool(flag) => json!(flag.to_string()),
                    Value::Null => json!("null"),
                    Value::Array(items) => {
                        json!({ "0": items })
                    }
                    Value::Object(fields) => json!([fields]),
                }
            }
        }
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// The value with that number, counted from the outside in.
fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(fields) => fields.values_mut().find_map(|item| nth(item, left)),
        _ => None,
    }
}

/// An answer as bytes: distorted as JSON, and sometimes cut, altered or grown as text.
pub(crate) fn body(answer: Value) -> impl Strategy<Value = Vec<u8>> {
    let torn = prop_oneof![
        6 => Just(None),
        1 => (any::<Index>(), any::<Index>(), any::<u8>()).prop_map(Some),
    ];
    (distorted(answer), torn).prop_map(|(value, torn)| {
        let mut bytes = value.to_string().into_bytes();
        if let Some((at, to, byte)) = torn
            && !bytes.is_empty()
        {
            match byte % 4 {
                0 => bytes.truncate(at.index(bytes.len())),
                1 => {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                2 => {
                    // A member twice: what stands between two places comes a second time.
                    let (one, two) = (at.index(bytes.len()), to.index(bytes.len()));
                    let piece = bytes[one.min(two)..one.max(two)].to_vec();
                    let at = one.max(two);
                    bytes.splice(at..at, piece);
                }
                _ => bytes.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
            }
        }
        bytes
    })
}

/// Checks what was read out of one item: nothing the service told is dropped or made up.
///
/// `typed` are the fields with a place of their own, `text` those of them that stay in `other` when they say more than
/// the place holds.
pub(crate) fn assert_nothing_is_dropped(
    raw: &Map<String, Value>,
    other: &Map<String, Value>,
    typed: &[&str],
    partly: &[&str],
) {
    for (key, value) in raw {
        let is_typed = typed.contains(&key.as_str());
        if value.is_null() || is_typed {
            continue;
        }
        let kept = other.get(key);
        assert!(
            kept == Some(value) || partly.contains(&key.as_str()),
            "'{key}' was {value} and is {kept:?}"
        );
    }
    for (key, value) in other {
        let told = raw.get(key);
        assert!(
            told == Some(value) || partly.contains(&key.as_str()),
            "'{key}' is {value} and was {told:?}"
        );
    }
}
