//! The names of the operations: counts, limits and fault rules all speak of calls by these words.

use std::sync::OnceLock;

/// One operation of the service, as counted and limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Operation(u16);

/// The Drive families of API 2.0; each has the same sub-resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `/users/{userId}/drive`
    My,
    /// `/sharedrives/{sharedriveId}`
    Shared,
    /// `/groups/{groupId}/folder`
    Group,
    /// `/users/{userId}/drive/sharedfolders/{sharedFolderId}`
    SharedFolder,
}

const FAMILIES: [&str; 4] = ["drive", "sharedrive", "group", "sharedfolder"];

macro_rules! words {
    ($(#[$meta:meta])* $kind:ident, $list:ident: $($variant:ident = $word:literal),* $(,)?) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $kind { $($variant),* }
        const $list: &[&str] = &[$($word),*];
    };
}

words! {
    /// What can be done inside a family.
    Verb, VERBS:
    Get = "get", ListRoot = "list-root", List = "list", GetItem = "get-item",
    CreateFolderRoot = "create-folder-root", CreateFolder = "create-folder",
    UploadUrlRoot = "upload-url-root", UploadUrl = "upload-url", Download = "download",
    Delete = "delete", Copy = "copy", Move = "move", Rename = "rename",
    Protect = "protect", Unprotect = "unprotect", Lock = "lock", Unlock = "unlock",
    Revisions = "revisions", RevisionGet = "revision-get", RevisionDownload = "revision-download",
    RevisionRestore = "revision-restore",
    Trash = "trash", TrashRestore = "trash-restore", TrashDelete = "trash-delete",
    LinkSetting = "link-setting", Link = "link", LinkCreate = "link-create",
    LinkModify = "link-modify", LinkDelete = "link-delete",
    Share = "share", ShareCreate = "share-create", ShareModify = "share-modify", ShareDelete = "share-delete",
    Permissions = "permissions", PermissionCreate = "permission-create", PermissionGet = "permission-get",
    PermissionModify = "permission-modify", PermissionDelete = "permission-delete",
    PermissionsEnable = "permissions-enable", PermissionsDisable = "permissions-disable",
    DrivePermissions = "drive-permissions", DrivePermissionCreate = "drive-permission-create",
    DrivePermissionGet = "drive-permission-get", DrivePermissionModify = "drive-permission-modify",
    DrivePermissionDelete = "drive-permission-delete",
    Sharedfolders = "sharedfolders", Members = "members",
}

words! {
    /// Operations outside the families.
    Single, SINGLES:
    SharedrivesList = "sharedrives.list", SharedrivesCreate = "sharedrives.create",
    SharedrivesUpdate = "sharedrives.update", SharedrivesDelete = "sharedrives.delete",
    UsersList = "users.list", UsersGet = "users.get", GroupsList = "groups.list",
    GroupsGet = "groups.get", GroupsMembers = "groups.members",
    OrgunitsList = "orgunits.list",
    StorageDownload = "storage.download", StorageUpload = "storage.upload",
    OauthToken = "oauth.token", OauthAuthorize = "oauth.authorize", OauthRevoke = "oauth.revoke",
    ClassicRoot = "classic.root", ClassicGet = "classic.get", ClassicList = "classic.list",
    ClassicCreateFolder = "classic.create-folder", ClassicUpload = "classic.upload",
    ClassicDownload = "classic.download", ClassicVersions = "classic.versions",
    ClassicTrash = "classic.trash", ClassicTrashRestore = "classic.trash-restore",
    ClassicGroupFolders = "classic.group-folders",
    ClassicServerToken = "classic.server-token", ClassicServiceToken = "classic.service-token",
    ClassicServiceAuthorize = "classic.service-authorize",
    Unknown = "unknown",
}

impl Operation {
    /// The operation of a family.
    pub(super) fn of(family: Family, verb: Verb) -> Self {
        // Both enums number their variants from 0 in the order of their lists.
        Self(family as u16 * VERBS.len() as u16 + verb as u16)
    }

    /// An operation outside the families.
    pub(super) fn single(single: Single) -> Self {
        Self(FAMILIES.len() as u16 * VERBS.len() as u16 + single as u16)
    }

    /// The place in a table of [`Operation::count`] rows.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// How many operations there are.
    pub(super) fn count() -> usize {
        names().len()
    }

    /// The fixed word, such as `drive.list-root`.
    pub(super) fn name(self) -> &'static str {
        names().get(self.index()).map_or("unknown", String::as_str)
    }

    /// Every operation.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..u16::try_from(Self::count()).unwrap_or(u16::MAX)).map(Self)
    }

    /// How the service limits calls of this operation.
    pub(super) fn bucket(self) -> Bucket {
        let name = self.name();
        if name.starts_with("oauth.")
            || name.starts_with("storage.")
            || name.starts_with("classic.serv")
            || name == "unknown"
        {
            Bucket::Unlimited
        } else if name.starts_with("classic.") {
            Bucket::Classic
        } else {
            Bucket::Own
        }
    }
}

/// What calls are counted together for the rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    /// Calls of the auth and storage hosts have no limit.
    Unlimited,
    /// API 2.0 counts each operation by itself.
    Own,
    /// The classic generation counts a whole category of its API, here Drive.
    Classic,
}

fn names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        FAMILIES
            .iter()
            .flat_map(|family| VERBS.iter().map(move |verb| format!("{family}.{verb}")))
            .chain(SINGLES.iter().map(|single| (*single).to_owned()))
            .collect()
    })
}

/// Tells whether `name` is the fixed word of an operation, or `*`.
pub fn is_operation_name(name: &str) -> bool {
    name == "*" || names().iter().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::{Family, Operation, Single, Verb};

    #[test]
    fn every_operation_has_its_own_word() {
        let mut names: Vec<_> = Operation::all().map(Operation::name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(
            Operation::of(Family::My, Verb::ListRoot).name(),
            "drive.list-root"
        );
        assert_eq!(
            Operation::of(Family::SharedFolder, Verb::Members).name(),
            "sharedfolder.members"
        );
        assert_eq!(
            Operation::of(Family::Group, Verb::UploadUrl).name(),
            "group.upload-url"
        );
        assert_eq!(
            Operation::single(Single::SharedrivesList).name(),
            "sharedrives.list"
        );
        assert_eq!(Operation::single(Single::Unknown).name(), "unknown");
    }
}
