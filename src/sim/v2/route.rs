//! Which operation a method and path of API 2.0 name.

use axum::http::Method;

use crate::sim::operation::{Family, Operation, Single, Verb};

/// A call that names an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// Outside the Drive families: the operation, and the id in the path.
    Plain(Single, Option<String>),
    /// Inside a Drive family.
    Drive(DriveRoute),
}

/// A call inside a Drive family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DriveRoute {
    pub(super) family: Family,
    pub(super) verb: Verb,
    /// Member, shared drive or group.
    pub(super) of: String,
    /// Shared-with-me folder.
    pub(super) shared_folder: Option<String>,
    /// File or folder, or trashed file.
    pub(super) item: Option<String>,
    /// Revision or permission.
    pub(super) part: Option<String>,
}

impl Route {
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Plain(single, _) => Operation::single(*single),
            Self::Drive(route) => Operation::of(route.family, route.verb),
        }
    }

    /// The id that the path gives for the subject of the call.
    pub(super) fn item(&self) -> Option<&str> {
        match self {
            Self::Plain(_, id) => id.as_deref(),
            Self::Drive(route) => route.item.as_deref(),
        }
    }
}

/// Reads the segments after `/v1.0`; `None` when nothing is there.
pub(super) fn route(method: &Method, path: &[&str]) -> Option<Route> {
    let plain = |single, id: Option<&str>| Some(Route::Plain(single, id.map(str::to_owned)));
    let get = method == Method::GET;
    match path {
        ["users"] if get => plain(Single::UsersList, None),
        ["users", id] if get => plain(Single::UsersGet, Some(id)),
        ["groups"] if get => plain(Single::GroupsList, None),
        ["groups", id] if get => plain(Single::GroupsGet, Some(id)),
        ["groups", id, "members"] if get => plain(Single::GroupsMembers, Some(id)),
        ["orgunits"] if get => plain(Single::OrgunitsList, None),
        ["sharedrives"] if get => plain(Single::SharedrivesList, None),
        ["sharedrives"] if method == Method::POST => plain(Single::SharedrivesCreate, None),
        ["sharedrives", id] if method == Method::PATCH => plain(Single::SharedrivesUpdate, Some(id)),
        ["sharedrives", id] if method == Method::DELETE => plain(Single::SharedrivesDelete, Some(id)),
        ["users", of, "drive", "sharedfolders"] if get => drive(Family::My, Verb::Sharedfolders, of),
        ["users", of, "drive", "sharedfolders", folder, rest @ ..] => {
            let mut found = inside(Family::SharedFolder, of, method, rest)?;
            found.shared_folder = Some((*folder).to_owned());
            Some(Route::Drive(found))
        }
        ["users", of, "drive", rest @ ..] => inside(Family::My, of, method, rest).map(Route::Drive),
        ["sharedrives", of, rest @ ..] => inside(Family::Shared, of, method, rest).map(Route::Drive),
        ["groups", of, "folder", rest @ ..] => inside(Family::Group, of, method, rest).map(Route::Drive),
        _ => None,
    }
}

fn drive(family: Family, verb: Verb, of: &str) -> Option<Route> {
    Some(Route::Drive(DriveRoute {
        family,
        verb,
        of: of.to_owned(),
        shared_folder: None,
        item: None,
        part: None,
    }))
}

/// Reads what comes after the root of a family.
fn inside(family: Family, of: &str, method: &Method, rest: &[&str]) -> Option<DriveRoute> {
    let word = method.as_str();
    let (verb, item, part) = match (word, rest) {
        ("GET", []) => (Verb::Get, None, None),
        ("GET", ["files"]) => (Verb::ListRoot, None, None),
        ("POST", ["files"]) => (Verb::UploadUrlRoot, None, None),
        ("POST", ["files", "createfolder"]) => (Verb::CreateFolderRoot, None, None),
        ("GET", ["link-setting"]) => (Verb::LinkSetting, None, None),
        ("GET", ["trash-files"]) => (Verb::Trash, None, None),
        ("POST", ["trash-files", id, "restore"]) => (Verb::TrashRestore, Some(id), None),
        ("DELETE", ["trash-files", id]) => (Verb::TrashDelete, Some(id), None),
        ("GET", ["permissions"]) if family == Family::Shared => (Verb::DrivePermissions, None, None),
        ("POST", ["permissions"]) if family == Family::Shared => (Verb::DrivePermissionCreate, None, None),
        ("GET", ["permissions", id]) if family == Family::Shared => {
            (Verb::DrivePermissionGet, None, Some(id))
        }
        ("PATCH", ["permissions", id]) if family == Family::Shared => {
            (Verb::DrivePermissionModify, None, Some(id))
        }
        ("DELETE", ["permissions", id]) if family == Family::Shared => {
            (Verb::DrivePermissionDelete, None, Some(id))
        }
        ("GET", ["members"]) if family == Family::SharedFolder => (Verb::Members, None, None),
        (_, ["files", id]) => (item_verb(word)?, Some(id), None),
        (_, ["files", id, action]) => (action_verb(family, word, action)?, Some(id), None),
        (_, ["files", id, collection, part]) => {
            return collected(family, of, word, id, collection, part);
        }
        ("GET", ["files", id, "revisions", part, "download"]) => {
            (Verb::RevisionDownload, Some(id), Some(part))
        }
        ("POST", ["files", id, "revisions", part, "restore"]) => {
            (Verb::RevisionRestore, Some(id), Some(part))
        }
        _ => return None,
    };
    Some(DriveRoute {
        family,
        verb,
        of: of.to_owned(),
        shared_folder: None,
        item: item.map(|id: &&str| (*id).to_owned()),
        part: part.map(|id: &&str| (*id).to_owned()),
    })
}

fn item_verb(method: &str) -> Option<Verb> {
    Some(match method {
        "GET" => Verb::GetItem,
        "POST" => Verb::UploadUrl,
        "DELETE" => Verb::Delete,
        _ => return None,
    })
}

fn action_verb(family: Family, method: &str, action: &str) -> Option<Verb> {
    let has_permissions = matches!(family, Family::Shared | Family::Group);
    Some(match (method, action) {
        ("GET", "children") => Verb::List,
        ("POST", "createfolder") => Verb::CreateFolder,
        ("GET", "download") => Verb::Download,
        ("POST", "copy") => Verb::Copy,
        ("POST", "move") => Verb::Move,
        ("POST", "rename") => Verb::Rename,
        ("POST", "protect") => Verb::Protect,
        ("POST", "unprotect") => Verb::Unprotect,
        ("POST", "lock") => Verb::Lock,
        ("POST", "unlock") => Verb::Unlock,
        ("GET", "revisions") => Verb::Revisions,
        ("GET", "link") => Verb::Link,
        ("POST", "link") => Verb::LinkCreate,
        ("PATCH", "link") => Verb::LinkModify,
        ("DELETE", "link") => Verb::LinkDelete,
        ("GET", "share") if family == Family::My => Verb::Share,
        ("POST", "share") if family == Family::My => Verb::ShareCreate,
        ("PATCH", "share") if family == Family::My => Verb::ShareModify,
        ("DELETE", "share") if family == Family::My => Verb::ShareDelete,
        ("GET", "permissions") if has_permissions => Verb::Permissions,
        ("POST", "permissions") if has_permissions => Verb::PermissionCreate,
        _ => return None,
    })
}

fn collected(
    family: Family,
    of: &str,
    method: &str,
    item: &str,
    collection: &str,
    part: &str,
) -> Option<DriveRoute> {
    let has_permissions = matches!(family, Family::Shared | Family::Group);
    let verb = match (method, collection, part) {
        ("GET", "revisions", _) => Verb::RevisionGet,
        ("POST", "permissions", "enable") if has_permissions => Verb::PermissionsEnable,
        ("POST", "permissions", "disable") if has_permissions => Verb::PermissionsDisable,
        ("GET", "permissions", _) if has_permissions => Verb::PermissionGet,
        ("PATCH", "permissions", _) if has_permissions => Verb::PermissionModify,
        ("DELETE", "permissions", _) if has_permissions => Verb::PermissionDelete,
        _ => return None,
    };
    Some(DriveRoute {
        family,
        verb,
        of: of.to_owned(),
        shared_folder: None,
        item: Some(item.to_owned()),
        part: Some(part.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::{Route, route};
    use crate::sim::form::segments;
    use axum::http::Method;

    #[test]
    fn paths_name_their_operations() {
        for (method, path, name) in [
            (Method::GET, "/users", "users.list"),
            (Method::GET, "/users/me", "users.get"),
            (Method::GET, "/users/me/drive", "drive.get"),
            (Method::GET, "/users/me/drive/files", "drive.list-root"),
            (Method::GET, "/users/me/drive/files/X/children", "drive.list"),
            (Method::GET, "/users/me/drive/files/X", "drive.get-item"),
            (
                Method::POST,
                "/users/me/drive/files/createfolder",
                "drive.create-folder-root",
            ),
            (
                Method::POST,
                "/users/me/drive/files/X/createfolder",
                "drive.create-folder",
            ),
            (Method::POST, "/users/me/drive/files", "drive.upload-url-root"),
            (Method::POST, "/users/me/drive/files/X", "drive.upload-url"),
            (Method::GET, "/users/me/drive/files/X/download", "drive.download"),
            (Method::DELETE, "/users/me/drive/files/X", "drive.delete"),
            (
                Method::GET,
                "/users/me/drive/sharedfolders",
                "drive.sharedfolders",
            ),
            (Method::GET, "/users/me/drive/sharedfolders/S", "sharedfolder.get"),
            (
                Method::GET,
                "/users/me/drive/sharedfolders/S/files/X/children",
                "sharedfolder.list",
            ),
            (Method::GET, "/sharedrives", "sharedrives.list"),
            (Method::GET, "/sharedrives/%402101/files", "sharedrive.list-root"),
            (
                Method::GET,
                "/sharedrives/@2101/files/X/permissions",
                "sharedrive.permissions",
            ),
            (
                Method::POST,
                "/sharedrives/@2101/files/X/permissions/enable",
                "sharedrive.permissions-enable",
            ),
            (
                Method::PATCH,
                "/sharedrives/@2101/permissions/7",
                "sharedrive.drive-permission-modify",
            ),
            (Method::GET, "/groups/G/folder", "group.get"),
            (Method::GET, "/groups/G/folder/trash-files", "group.trash"),
            (
                Method::GET,
                "/users/me/drive/files/X/revisions/0/download",
                "drive.revision-download",
            ),
            (Method::GET, "/users/me/drive/files/X/share", "drive.share"),
        ] {
            let segments = segments(path);
            let words: Vec<&str> = segments.iter().map(String::as_str).collect();
            let found = route(&method, &words).map(|route: Route| route.operation().name());
            assert_eq!(found, Some(name), "{method} {path}");
        }
        assert_eq!(
            route(&Method::GET, &["sharedrives", "@1", "files", "X", "share"]),
            None
        );
        assert_eq!(route(&Method::PUT, &["users"]), None);
    }
}
