//! Faults inside JSON: fields that are missing or of the wrong type, cursors that lead astray, items listed twice.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Listing, Payload};
use super::faults::Action;

/// Stands in the text for a number that no [`Value`] can hold.
const HUGE: &str = "@@a number of many digits@@";
/// Stands in the text for arrays nested deeper than a writer that recurses should go.
const DEEP: &str = "@@arrays in arrays@@";
/// Fits neither 64 bits nor 128.
const HUGE_NUMBER: &str = "123456789012345678901234567890123456789012345";

/// Works one action into the JSON of an answer; answers that are no JSON stay as they are.
pub(super) fn distort(answer: &mut Answer, action: &Action) {
    let Payload::Bytes(bytes) = &answer.payload else {
        return;
    };
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    match action {
        Action::MissingField { name } => on_field(&mut value, name, &mut |object, name| {
            object.shift_remove(name);
        }),
        Action::NullField { name } => set(&mut value, name, |_| Value::Null),
        Action::WrongType { name } => set(&mut value, name, |old| match old {
            Value::String(_) => json!(["not", "a", "string"]),
            Value::Number(_) | Value::Bool(_) => json!("not a number"),
            _ => json!(1),
        }),
        Action::HugeNumber { name } => set(&mut value, name, |_| HUGE.into()),
        Action::DeepNesting { .. } => {
            if let Some(object) = first_item(&mut value) {
                object.insert("nested".to_owned(), DEEP.into());
            }
        }
        Action::NamelessItem => {
            if let Some(object) = first_item(&mut value) {
                for name in ["fileName", "resourceName", "resourcePath", "filePath"] {
                    object.shift_remove(name);
                }
            }
        }
        Action::DuplicateItems => {
            if let Some(items) = list(&mut value) {
                items.extend(items.clone());
            }
        }
        Action::NoNextCursorOnFullPage => end_list(&mut value),
        Action::RepeatCursor => go_on(
            &mut value,
            answer
                .listing
                .as_ref()
                .and_then(|listing| listing.own_cursor.clone()),
        ),
        Action::ForeignCursor => {
            let foreign = answer
                .listing
                .as_ref()
                .and_then(|listing: &Listing| listing.foreign_cursor.clone());
            go_on(&mut value, foreign);
        }
        _ => return,
    }
    let mut text = value.to_string();
    text = text.replace(&format!("\"{HUGE}\""), HUGE_NUMBER);
    if let Action::DeepNesting { levels } = action {
        text = text.replace(
            &format!("\"{DEEP}\""),
            &format!("{}{}", "[".repeat(*levels), "]".repeat(*levels)),
        );
    }
    answer.payload = Payload::Bytes(text.into());
}

/// The first array of the object, which is the list in every list answer.
fn list(value: &mut Value) -> Option<&mut Vec<Value>> {
    value.as_object_mut()?.values_mut().find_map(Value::as_array_mut)
}

/// The first item of the list, or the object itself where there is no list.
fn first_item(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if list(value).is_some() {
        return list(value)?.first_mut()?.as_object_mut();
    }
    value.as_object_mut()
}

/// Finds the first object that has a field of this name, and works on it.
fn on_field(value: &mut Value, name: &str, work: &mut dyn FnMut(&mut Map<String, Value>, &str)) {
    fn search(value: &mut Value, name: &str, work: &mut dyn FnMut(&mut Map<String, Value>, &str)) -> bool {
        match value {
            Value::Object(object) => {
                if object.contains_key(name) {
                    work(object, name);
                    return true;
                }
                object.values_mut().any(|inner| search(inner, name, work))
            }
            Value::Array(items) => items.iter_mut().any(|inner| search(inner, name, work)),
            _ => false,
        }
    }
    search(value, name, work);
}

fn set(value: &mut Value, name: &str, new: impl Fn(&Value) -> Value) {
    on_field(value, name, &mut |object, name| {
        if let Some(field) = object.get_mut(name) {
            *field = new(field);
        }
    });
}

fn end_list(value: &mut Value) {
    if let Some(metadata) = value.get_mut("responseMetaData").and_then(Value::as_object_mut) {
        metadata.shift_remove("nextCursor");
    }
    if let Some(more) = value.get_mut("hasMore") {
        *more = Value::Bool(false);
    }
}

/// Makes the list go on: with this cursor in API 2.0, with a page that holds nothing in the classic generation.
fn go_on(value: &mut Value, cursor: Option<String>) {
    if let Some(cursor) = cursor
        && let Some(object) = value.as_object_mut()
    {
        object.insert("responseMetaData".to_owned(), json!({ "nextCursor": cursor }));
    } else if value.get("hasMore").is_some() {
        if let Some(items) = list(value) {
            items.clear();
        }
        if let Some(more) = value.get_mut("hasMore") {
            *more = Value::Bool(true);
        }
    }
}
