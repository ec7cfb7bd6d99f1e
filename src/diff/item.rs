//! One side of a change: what a row says that is worth comparing.

use jiff::Timestamp;
use serde_json::Value;

use super::Word;
use crate::entry::Kind;
use crate::id::{DriveId, FileId};
use crate::manifest::{self, LinkReach, Outcome, Row, is_nothing};
use crate::path::DrivePath;

/// The facts about who may reach an item, by the names of the manifest's columns or of the service's properties.
///
/// `hasPermission`, `permissionRootFileId` (a column) and `shareRootFileId` are of API 2.0 (docs, EN/group-folder-file-root-list);
/// the others of that spelling hold what an audit asked for per item.
pub const ACCESS_FIELDS: [&str; 12] = [
    "shared",
    "member_share",
    "link_share",
    "permission_root",
    "group",
    "hasPermission",
    "shareRootFileId",
    "permissions",
    "link",
    "links",
    "share",
    "shares",
];

/// How many of [`ACCESS_FIELDS`] are columns; the rest are properties.
const ACCESS_COLUMNS: usize = 5;

/// A file or folder as one snapshot has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The drive.
    pub drive: DriveId,
    /// Its id; empty where the service gave none.
    pub id: FileId,
    /// The folder it lies in.
    pub parent_id: Option<FileId>,
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub path: DrivePath,
    /// File or folder.
    pub kind: Kind,
    /// What became of it in that snapshot's run.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// Size in bytes.
    pub size: Option<u64>,
    /// When the content was last modified.
    pub modified: Option<Timestamp>,
    /// SHA-256 of the stored bytes.
    pub sha256: Option<String>,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// What is told about access, as index into [`ACCESS_FIELDS`] and text, in the order of the list. What says nothing is not here.
    pub access: Vec<(usize, String)>,
    /// Whom its widest link lets in.
    pub link: Option<LinkReach>,
}

impl Item {
    /// Takes from a row what is compared.
    pub fn from_row(row: Row) -> Item {
        let link = manifest::link_reach(&row.entry);
        let entry = row.entry;
        let properties = entry.properties;
        let columns: [Option<Value>; ACCESS_COLUMNS] = [
            properties.shared.map(Value::Bool),
            properties.member_share,
            properties.link_share,
            properties.permission_root.map(Value::String),
            properties.group,
        ];
        let mut access = Vec::new();
        for (index, value) in columns.into_iter().enumerate() {
            if let Some(value) = value {
                push_access(&mut access, index, &value);
            }
        }
        if !properties.other.is_empty() {
            for (index, name) in ACCESS_FIELDS.iter().enumerate().skip(ACCESS_COLUMNS) {
                if let Some(value) = properties.other.get(*name) {
                    push_access(&mut access, index, value);
                }
            }
        }
        Item {
            drive: entry.drive,
            id: entry.id,
            parent_id: entry.parent_id,
            name: entry.name,
            path: row.path,
            kind: entry.kind,
            outcome: row.outcome,
            reason: row.reason,
            size: entry.size,
            modified: entry.modified,
            sha256: row.sha256,
            updated_by: properties.updated_by,
            access,
            link,
        }
    }

    /// Whether it is a folder whose listing reached its end, so that what is missing from it is gone.
    pub fn is_closed(&self) -> bool {
        self.kind == Kind::Folder
            && matches!(self.outcome, Outcome::Stored | Outcome::Reused | Outcome::Listed)
    }

    /// The text of one access field; empty when nothing was told.
    pub fn access_text(&self, field: usize) -> &str {
        let found = self.access.iter().find(|(index, _)| *index == field);
        found.map_or("", |(_, text)| text)
    }
}

/// What differs between two rows of one item, and whether its path differs only because a folder above it has another name or place.
pub(super) fn compare(before: &Item, after: &Item) -> (Vec<Word>, bool) {
    let mut words = Vec::new();
    let is_root = before.path.is_root() && after.path.is_root();
    let renamed = before.name != after.name;
    let moved = before.drive != after.drive || (!is_root && !is_same_parent(before, after));
    if renamed {
        words.push(Word::Renamed);
    }
    if moved {
        words.push(Word::Moved);
    }
    let carried = words.is_empty() && before.path != after.path;

    // A folder's size and date follow what lies in it, which is told for itself.
    let is_file = before.kind == Kind::File && after.kind == Kind::File;
    let changed = before.kind != after.kind
        || (is_file && (differ(&before.size, &after.size) || differ(&before.modified, &after.modified)));
    if changed {
        words.push(Word::Changed);
    } else if is_file && differ(&before.sha256, &after.sha256) {
        words.push(Word::Content);
    }
    if before.access != after.access
        && (0..ACCESS_FIELDS.len()).any(|field| {
            before.access_text(field) != after.access_text(field) && is_known(field, before, after)
        })
    {
        words.push(Word::Access);
    }
    if before.drive != after.drive || differ(&before.updated_by, &after.updated_by) {
        words.push(Word::Owner);
    }
    if standing(before.outcome) != standing(after.outcome) {
        words.push(Word::Outcome);
    }
    (words, carried)
}

/// Whether neither snapshot says that it could not read this fact about access: a reason such as `link-denied`.
pub(super) fn is_known(field: usize, before: &Item, after: &Item) -> bool {
    let failed = |item: &Item| {
        let name = ACCESS_FIELDS.get(field).copied().unwrap_or("");
        let mut reasons = item.reason.split(' ');
        reasons.any(|reason| {
            reason
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('-'))
        })
    };
    !failed(before) && !failed(after)
}

/// Whether both snapshots could read the links.
pub(super) fn is_link_known(before: &Item, after: &Item) -> bool {
    let fields = ACCESS_FIELDS.iter().enumerate();
    fields
        .filter(|(_, name)| **name == "link")
        .all(|(field, _)| is_known(field, before, after))
}

/// Compared by id; by path where a snapshot does not tell the id of the folder above.
fn is_same_parent(before: &Item, after: &Item) -> bool {
    let (before_folder, after_folder) = (folder_of(before), folder_of(after));
    // The top of a drive has an id of its own in one API generation and none in the other.
    if before_folder.is_empty() && after_folder.is_empty() {
        return true;
    }
    match (&before.parent_id, &after.parent_id) {
        (Some(before), Some(after)) => before == after,
        _ => before_folder == after_folder,
    }
}

fn folder_of(item: &Item) -> &str {
    let path = item.path.as_str();
    path.strip_suffix(item.name.as_str())
        .and_then(|rest| rest.strip_suffix('/'))
        .unwrap_or(path)
}

/// Whether both sides told a fact, and told it differently.
fn differ<T: PartialEq>(before: &Option<T>, after: &Option<T>) -> bool {
    matches!((before, after), (Some(before), Some(after)) if before != after)
}

/// Outcomes that mean the same to someone who compares nights: that a copy was fetched or kept is no change.
fn standing(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Reused | Outcome::Listed => Outcome::Stored,
        other => other,
    }
}

fn push_access(access: &mut Vec<(usize, String)>, index: usize, value: &Value) {
    if !is_nothing(value) {
        access.push((index, ordered(value).to_string()));
    }
}

/// The value with the keys of its objects in order, since the service promises none.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.iter().map(ordered).collect()),
        Value::Object(values) => {
            let mut pairs: Vec<(&String, &Value)> = values.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let pairs = pairs
                .into_iter()
                .map(|(key, value)| (key.clone(), ordered(value)));
            Value::Object(pairs.collect())
        }
        other => other.clone(),
    }
}
