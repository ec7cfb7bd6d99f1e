//! Who can reach an item, read from what its row tells of sharing.

use serde_json::Value;

use crate::entry::Entry;

/// Whom a link to an item lets in, from the narrowest circle to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkReach {
    /// Members of the organisation (`ORGANIZATION`, API 2.0 docs, KR/drive-file-link-create).
    Organization,
    /// Named people, members or not (`SPECIFIC_PEOPLE`).
    People,
    /// Whoever has the address (`ANYONE`), and every link whose reach is not told.
    Anyone,
}

impl LinkReach {
    /// The word for it: `organization`, `people` or `anyone`.
    pub fn as_str(self) -> &'static str {
        match self {
            LinkReach::Organization => "organization",
            LinkReach::People => "people",
            LinkReach::Anyone => "anyone",
        }
    }
}

/// The widest link to `entry`: from the column `link_share`, and from `link` or `links` in its properties. `null`, `false`, and empty
/// objects and lists are no link.
pub fn link_reach(entry: &Entry) -> Option<LinkReach> {
    let properties = &entry.properties;
    let others = ["link", "links"]
        .into_iter()
        .filter_map(|key| properties.other.get(key));
    properties.link_share.iter().chain(others).filter_map(reach).max()
}

/// Whether a value of the service says nothing: `null`, `false`, and empty texts, lists and objects.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
    }
}

fn reach(value: &Value) -> Option<LinkReach> {
    if is_nothing(value) {
        return None;
    }
    match value {
        Value::Array(values) => values.iter().filter_map(reach).max(),
        _ => Some(match value.get("accessType").and_then(Value::as_str) {
            Some("ORGANIZATION") => LinkReach::Organization,
            Some("SPECIFIC_PEOPLE") => LinkReach::People,
            _ => LinkReach::Anyone,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::{DriveId, FileId};

    #[test]
    fn the_widest_link_counts() {
        for (link_share, link, expected) in [
            (json!(null), json!(null), None),
            (json!({}), json!([]), None),
            (json!({"url": "x"}), json!(null), Some(LinkReach::Anyone)),
            (
                json!(null),
                json!({"accessType": "ORGANIZATION"}),
                Some(LinkReach::Organization),
            ),
            (
                json!(false),
                json!([{"accessType": "ORGANIZATION"}, {"accessType": "SPECIFIC_PEOPLE"}]),
                Some(LinkReach::People),
            ),
            (
                json!({"accessType": "SPECIFIC_PEOPLE"}),
                json!({"accessType": "ANYONE"}),
                Some(LinkReach::Anyone),
            ),
        ] {
            let mut entry = Entry::root(DriveId::new("me"), FileId::new("x"));
            entry.properties.link_share = Some(link_share);
            entry.properties.other.insert("link".to_owned(), link);
            assert_eq!(link_reach(&entry), expected);
        }
    }
}
