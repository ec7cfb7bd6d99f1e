//! Which details are worth a call of their own, by what a listing says.
//!
//! A detail is asked for only where the listing says that there is such a thing, one call for each. What decides:
//!
//! | detail | asked of |
//! |---|---|
//! | permissions | a folder of a shared drive or group folder with permissions of its own (`hasPermission`); each shared drive, once |
//! | link | what is shared itself, or whose listing speaks of a link; API 2.0 has no word for a link of a file that is not shared |
//! | share | a folder of My Drive that is shared itself, not through a folder above it (`shared` and `shareRootFileId`) |
//! | revisions | a file that was modified after it was created: others have one content only, as far as a listing can tell |
//! | trash | each drive, once |
//!
//! (Fields: API 2.0 docs, EN/group-folder-file-root-list.)

use serde_json::Value;

use crate::entry::{Detail, Entry};
use crate::id::Family;
use crate::manifest::is_nothing;

/// Properties by which a listing may speak of a link. The classic API tells the link itself and needs no further call.
const LINK_HINTS: [&str; 4] = ["hasLink", "linkShared", "link", "links"];

/// What is worth asking of an item.
pub fn of_item(entry: &Entry, asked: &[Detail]) -> Vec<Detail> {
    let family = entry.drive.family();
    let other = &entry.properties.other;
    let told = |key: &str| other.get(key).is_some_and(|value| !is_nothing(value));
    let is_wanted = |detail: &Detail| match detail {
        Detail::Permissions => {
            let has_own = other.get("hasPermission") == Some(&Value::Bool(true));
            entry.is_folder() && has_own && matches!(family, Family::SharedDrive | Family::GroupFolder)
        }
        Detail::Link => {
            entry.properties.link_share.is_none()
                && (is_share_root(entry) || LINK_HINTS.iter().any(|hint| told(hint)))
        }
        Detail::Share => family == Family::MyDrive && entry.is_folder() && is_share_root(entry),
        Detail::Revisions => {
            let dates = entry.created.zip(entry.modified);
            !entry.is_folder() && dates.is_some_and(|(created, modified)| modified > created)
        }
        Detail::Trash => false,
    };
    asked.iter().copied().filter(is_wanted).collect()
}

/// What is worth asking of a drive itself.
pub fn of_drive(family: Family, asked: &[Detail]) -> Vec<Detail> {
    let is_wanted = |detail: &Detail| match detail {
        Detail::Permissions => family == Family::SharedDrive,
        Detail::Trash => !matches!(family, Family::SharedFolder | Family::Key),
        Detail::Link | Detail::Share | Detail::Revisions => false,
    };
    asked.iter().copied().filter(is_wanted).collect()
}

/// Whether the entry is shared itself. `shared` is also true below a shared folder, which `shareRootFileId` then names;
/// the classic API tells `memberShare` and has no such id.
fn is_share_root(entry: &Entry) -> bool {
    let root = entry.properties.other.get("shareRootFileId");
    let is_own = root.is_some_and(|root| root.as_str() == Some(entry.id.as_str()));
    entry.properties.shared == Some(true) && is_own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::entry::Kind;
    use crate::id::{DriveId, FileId};

    fn entry(drive: &str, kind: Kind, fields: Value) -> Entry {
        let mut entry = Entry::root(DriveId::new(drive), FileId::new("x"));
        entry.kind = kind;
        if let Value::Object(fields) = fields {
            entry.properties.shared = fields.get("shared").and_then(Value::as_bool);
            entry.properties.other = fields;
        }
        entry
    }

    #[test]
    fn only_what_the_listing_points_at_is_asked_for() {
        use Detail::{Link, Permissions, Revisions, Share};
        use Kind::{File, Folder};
        let own = json!({ "shared": true, "shareRootFileId": "x" });
        let below = json!({ "shared": true, "shareRootFileId": "above" });
        let permission = json!({ "hasPermission": true });
        let linked = json!({ "hasLink": true });
        for (drive, kind, fields, expected) in [
            ("me", Folder, json!({}), vec![]),
            ("me", Folder, own.clone(), vec![Link, Share]),
            ("me", File, own.clone(), vec![Link]),
            ("groups/1", Folder, own, vec![Link]),
            ("me", Folder, below, vec![]),
            ("me", Folder, permission.clone(), vec![]),
            ("sharedrives/@1", Folder, permission.clone(), vec![Permissions]),
            ("sharedrives/@1", File, permission, vec![]),
            ("me", File, linked, vec![Link]),
            ("me", File, json!({ "hasLink": false, "links": [] }), vec![]),
        ] {
            assert_eq!(
                of_item(&entry(drive, kind, fields.clone()), &Detail::ALL),
                expected,
                "{drive} {fields}"
            );
        }
        let mut file = entry("me", File, json!({}));
        for (created, modified, expected) in [(5, 5, vec![]), (5, 4, vec![]), (5, 6, vec![Revisions])] {
            file.created = jiff::Timestamp::from_second(created).ok();
            file.modified = jiff::Timestamp::from_second(modified).ok();
            assert_eq!(of_item(&file, &Detail::ALL), expected);
            assert_eq!(of_item(&file, &[Link]), vec![]);
        }
        for (drive, expected) in [
            ("me", vec![Detail::Trash]),
            ("sharedrives/@1", vec![Permissions, Detail::Trash]),
            ("me/sharedfolders/1", vec![]),
        ] {
            assert_eq!(of_drive(DriveId::new(drive).family(), &Detail::ALL), expected);
        }
    }
}
