//! Members, groups and drives of the tenant, and who may do what.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::tree::Node;

/// A member of the tenant.
#[derive(Debug, Clone)]
pub struct Member {
    /// Resource id, like a UUID.
    pub user_id: String,
    /// Login mail.
    pub email: String,
    /// Family name.
    pub last_name: String,
    /// Given name.
    pub first_name: String,
    /// The number that owns the member's My Drive, the first part of its ids.
    pub number: u64,
    /// Super administrator.
    pub is_administrator: bool,
    /// Suspended: nobody can act as this member.
    pub is_suspended: bool,
    /// Deleted, still listed for a while.
    pub is_deleted: bool,
    /// Invited, not yet in.
    pub is_pending: bool,
}

impl Member {
    /// Tells whether a token can be had for this member.
    pub fn can_act(&self) -> bool {
        !(self.is_suspended || self.is_deleted || self.is_pending)
    }

    /// Family name and given name with a blank between.
    pub fn display_name(&self) -> String {
        format!("{} {}", self.last_name, self.first_name)
    }
}

/// A group, with a folder or without.
#[derive(Debug, Clone)]
pub struct Group {
    /// Resource id, like a UUID.
    pub group_id: String,
    /// Name.
    pub name: String,
    /// Positions of its members.
    pub members: BTreeSet<usize>,
    /// Tells whether the group has a folder.
    pub use_folder: bool,
    /// Group or organisational unit (a team folder).
    pub is_orgunit: bool,
}

/// Whose a drive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriveKind {
    /// My Drive of the member at this position.
    My(usize),
    /// A shared drive.
    Shared,
    /// The folder of the group at this position.
    Group(usize),
}

/// Who may reach a shared drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AccessibleRange {
    /// Every member of every domain of the tenant.
    Tenant,
    /// Every member of the domain.
    Domain,
    /// Masters and members with a permission.
    Member,
}

/// A drive: My Drive, a shared drive, or a group's folder.
#[derive(Debug, Clone)]
pub struct Drive {
    /// Whose it is.
    pub kind: DriveKind,
    /// First part of the ids in it: the member's number, or `@` and digits.
    pub owner: String,
    /// Name of a shared drive or group folder; empty for My Drive.
    pub name: String,
    /// Description of a shared drive.
    pub description: String,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// Storage location code.
    pub location: i32,
    /// Bytes of its files.
    pub used: u64,
    /// Bytes of its trash.
    pub trash_bytes: u64,
    /// Bytes it may hold; the service states it for My Drive only.
    pub total: u64,
    /// Days after which the trash is emptied; 0 = never.
    pub trash_empty_cycle: u32,
    /// Who may reach a shared drive.
    pub range: AccessibleRange,
    /// What those may do for whom the drive is open: `READ` or `WRITE`.
    pub right: String,
    /// Members, groups and organisational units kept out of a drive that is open to the domain.
    pub denies: Vec<Denied>,
    /// Positions of the masters of a shared drive.
    pub masters: Vec<usize>,
    /// Permissions on the whole shared drive.
    pub permissions: Vec<Permission>,
    /// A deleted shared drive is not served any more.
    pub deleted: bool,
    pub(super) root: Node,
    /// Tops of the deleted trees, oldest first.
    pub(super) trash: Vec<Node>,
}

/// A permission of a member or group on a drive or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    /// Id.
    pub permission_id: String,
    /// `READ` or `WRITE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Member, group or organisational unit.
    pub user_id: String,
    /// `USER`, `GROUP` or `ORGUNIT`.
    pub user_type: String,
    /// Name shown.
    pub user_name: String,
}

/// One who is kept out of a shared drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// Member, group or organisational unit.
    pub id: String,
    /// Name shown.
    #[serde(default)]
    pub name: String,
    /// `USER`, `GROUP` or `ORGUNIT`.
    #[serde(rename = "type", default = "user")]
    pub kind: String,
}

/// The invitation of others into a folder of My Drive.
#[derive(Debug, Clone)]
pub struct Share {
    /// The shared folder.
    pub(super) node: Node,
    /// Position of the owner.
    pub owner: usize,
    /// The invited.
    pub members: Vec<ShareMember>,
    /// When it was shared, in milliseconds since 1970.
    pub created: i64,
    /// When the invitation was last changed, in milliseconds since 1970.
    pub modified: i64,
}

/// One invited member or group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareMember {
    /// Member, group or organisational unit.
    pub user_id: String,
    /// `USER`, `GROUP` or `ORGUNIT`.
    #[serde(default = "user")]
    pub user_type: String,
    /// `READ` or `WRITE`.
    pub permission_type: String,
    /// Name shown.
    #[serde(default)]
    pub user_name: String,
}

fn user() -> String {
    "USER".to_owned()
}

/// A link to a file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// `ORGANIZATION`, `SPECIFIC_PEOPLE` or `ANYONE`.
    pub access_type: String,
    /// `EDIT`, `UPLOAD_DOWNLOAD`, `UPLOAD`, `DOWNLOAD` or `PREVIEW`.
    pub link_permission_type: String,
    /// End of the link, as text.
    #[serde(default)]
    pub expiration_time: Option<String>,
    /// Tells whether a password is asked for.
    #[serde(default)]
    pub has_password: bool,
    /// Addresses, for `SPECIFIC_PEOPLE`.
    #[serde(default)]
    pub specific_people: Vec<String>,
}
