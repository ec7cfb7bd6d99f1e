//! Where the drives of API 2.0 stand, and what the operations on them are called.

use crate::api::http::address::segment;
use crate::id::{DriveId, Family};

/// A drive's address below the API's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The path, beginning with a slash.
    pub path: String,
    /// Its family.
    pub family: Family,
    /// The member whose My Drive it is or lies under: `me`, or an id or mail.
    pub member: Option<String>,
}

/// Operations that every family has (API 2.0 docs, endpoint catalogue).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    ListRoot,
    List,
    Get,
    GetItem,
    CreateFolderRoot,
    CreateFolder,
    UploadUrlRoot,
    UploadUrl,
    Download,
    Delete,
    Move,
    Rename,
    Permissions,
    PermissionCreate,
    PermissionModify,
    PermissionsEnable,
    DrivePermissionCreate,
    DrivePermissionModify,
    Link,
    Share,
    Revisions,
    Trash,
}

macro_rules! names {
    ($prefix:literal) => {
        [
            concat!($prefix, ".list-root"),
            concat!($prefix, ".list"),
            concat!($prefix, ".get"),
            concat!($prefix, ".get-item"),
            concat!($prefix, ".create-folder-root"),
            concat!($prefix, ".create-folder"),
            concat!($prefix, ".upload-url-root"),
            concat!($prefix, ".upload-url"),
            concat!($prefix, ".download"),
            concat!($prefix, ".delete"),
            concat!($prefix, ".move"),
            concat!($prefix, ".rename"),
            concat!($prefix, ".permissions"),
            concat!($prefix, ".permission-create"),
            concat!($prefix, ".permission-modify"),
            concat!($prefix, ".permissions-enable"),
            concat!($prefix, ".drive-permission-create"),
            concat!($prefix, ".drive-permission-modify"),
            concat!($prefix, ".link"),
            concat!($prefix, ".share"),
            concat!($prefix, ".revisions"),
            concat!($prefix, ".trash"),
        ]
    };
}

const OPERATIONS: usize = 22;
const MY_DRIVE: [&str; OPERATIONS] = names!("drive");
const SHARED_DRIVE: [&str; OPERATIONS] = names!("sharedrive");
const GROUP: [&str; OPERATIONS] = names!("group");
const SHARED_FOLDER: [&str; OPERATIONS] = names!("sharedfolder");

/// The name of an operation in a family.
pub(super) fn name(family: Family, op: Op) -> &'static str {
    let names = match family {
        Family::MyDrive | Family::Key => &MY_DRIVE,
        Family::SharedDrive => &SHARED_DRIVE,
        Family::GroupFolder => &GROUP,
        Family::SharedFolder => &SHARED_FOLDER,
    };
    names.get(op as usize).copied().unwrap_or("drive")
}

impl Place {
    /// Where a drive stands; `None` for a word that names none. When `delegate` is set, a member's drive is that of the
    /// token, which acts as the member.
    pub(super) fn of(drive: &DriveId, delegate: bool) -> Option<Place> {
        let family = drive.family();
        let parts: Vec<&str> = drive.as_str().split('/').collect();
        let my_drive = |member: &str| -> Option<String> {
            let member = if delegate { "me" } else { member };
            Some(format!("/users/{}/drive", segment(member)?))
        };
        let (path, member) = match parts.as_slice() {
            ["me"] => (my_drive("me")?, Some("me")),
            ["users", member] => (my_drive(member)?, Some(*member)),
            ["sharedrives", id] => (format!("/sharedrives/{}", segment(id)?), None),
            ["groups", id] => (format!("/groups/{}/folder", segment(id)?), None),
            ["me", "sharedfolders", id] => (
                format!("{}/sharedfolders/{}", my_drive("me")?, segment(id)?),
                Some("me"),
            ),
            ["users", member, "sharedfolders", id] => (
                format!("{}/sharedfolders/{}", my_drive(member)?, segment(id)?),
                Some(*member),
            ),
            _ => return None,
        };
        Some(Place {
            path,
            family,
            member: member.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_stand_where_the_documents_put_them() {
        let table = [
            ("me", false, Some("/users/me/drive")),
            ("users/a@b.c", false, Some("/users/a%40b.c/drive")),
            ("users/a@b.c", true, Some("/users/me/drive")),
            ("sharedrives/@21", false, Some("/sharedrives/%4021")),
            ("groups/g?", false, Some("/groups/g%3F/folder")),
            (
                "me/sharedfolders/5_D",
                false,
                Some("/users/me/drive/sharedfolders/5_D"),
            ),
            (
                "users/u/sharedfolders/5",
                false,
                Some("/users/u/drive/sharedfolders/5"),
            ),
            (
                "users/u/sharedfolders/5",
                true,
                Some("/users/me/drive/sharedfolders/5"),
            ),
            ("users/..", false, None),
            ("key:1/x", false, None),
            ("users", false, None),
        ];
        for (drive, delegate, path) in table {
            let place = Place::of(&DriveId::new(drive), delegate);
            assert_eq!(place.map(|place| place.path).as_deref(), path, "{drive}");
        }
        assert_eq!(name(Family::SharedFolder, Op::Trash), "sharedfolder.trash");
        assert_eq!(name(Family::GroupFolder, Op::ListRoot), "group.list-root");
        assert_eq!(name(Family::SharedDrive, Op::UploadUrl), "sharedrive.upload-url");
    }
}
