//! The objects of API 2.0, written straight to text.

use serde_json::{Value, json};

use crate::sim::names::file_type;
use crate::sim::options::{ListEnd, Options};
use crate::sim::people::{AccessibleRange, Drive, Group, Member, Share};
use crate::sim::stamp::{iso, push_iso};
use crate::sim::tree::{Entry, Node, Revision, flag};
use crate::sim::world::World;

use super::cursor::Cursor;

/// What the files of one folder have in common.
#[derive(Debug)]
pub(super) struct Above {
    path: String,
    id: String,
    shared_root: Option<Node>,
    permission_root: Option<Node>,
    location: i32,
}

impl Above {
    pub(super) fn of(world: &World, folder: Node) -> Self {
        let nearest = |bits| {
            world
                .tree
                .upwards(folder)
                .find(|(_, entry)| entry.is(bits))
                .map(|(node, _)| node)
        };
        let mut path = world.path(folder);
        if path == "/" {
            path.clear();
        }
        Self {
            path,
            id: world.id(folder),
            shared_root: nearest(flag::SHARED),
            permission_root: nearest(flag::HAS_PERMISSION),
            location: location(world, folder),
        }
    }
}

/// The storage location code of an entry.
pub(super) fn location(world: &World, node: Node) -> i32 {
    world
        .drives
        .get(world.drive_of(node))
        .map_or(0, |drive| drive.location)
}

/// Appends a JSON string.
fn push_text(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

fn push_optional_id(out: &mut String, world: &World, node: Option<Node>) {
    match node {
        Some(node) => {
            out.push('"');
            out.push_str(&world.id(node));
            out.push('"');
        }
        None => out.push_str("null"),
    }
}

/// Appends the File object of an entry.
pub(super) fn push_file(out: &mut String, world: &World, options: &Options, node: Node, above: &Above) {
    use std::fmt::Write as _;
    let Some(entry) = world.tree.get(node) else {
        return;
    };
    let is_root = entry.is(flag::ROOT);
    out.push_str("{\"fileId\":\"");
    out.push_str(&world.id(node));
    out.push_str("\",\"parentFileId\":");
    if is_root {
        out.push_str("null");
    } else {
        out.push('"');
        out.push_str(&above.id);
        out.push('"');
    }
    out.push_str(",\"fileName\":");
    push_text(out, &entry.name);
    // Writing to a String cannot fail.
    let _ = write!(out, ",\"fileSize\":{}", entry.size);
    out.push_str(",\"filePath\":");
    if is_root {
        out.push_str("\"/\"");
    } else {
        push_text(out, &format!("{}/{}", above.path, entry.name));
    }
    out.push_str(",\"fileType\":\"");
    out.push_str(if entry.is_folder() {
        "FOLDER"
    } else {
        file_type(&entry.name)
    });
    for (name, time) in [
        ("createdTime", entry.created),
        ("modifiedTime", entry.modified),
        ("accessedTime", entry.accessed),
    ] {
        out.push_str("\",\"");
        out.push_str(name);
        out.push_str("\":\"");
        push_iso(out, time, options.odd_fraction);
    }
    let own = |bits| entry.is(bits).then_some(node);
    let permission_root = own(flag::HAS_PERMISSION).or(above.permission_root);
    let shared_root = own(flag::SHARED).or(above.shared_root);
    let _ = write!(
        out,
        "\",\"hasPermission\":{},\"permissionRootFileId\":",
        entry.is(flag::HAS_PERMISSION)
    );
    push_optional_id(out, world, permission_root);
    let _ = write!(out, ",\"shared\":{},\"shareRootFileId\":", shared_root.is_some());
    push_optional_id(out, world, shared_root);
    let _ = write!(out, ",\"resourceLocation\":{},\"statuses\":[", above.location);
    let statuses = [
        (flag::LOCKED, "\"LOCKED\""),
        (flag::MALWARE, "\"MALWARE\""),
        (flag::PROTECTED, "\"PROTECTED\""),
        (flag::IN_PROGRESS, "\"IN_PROGRESS\""),
    ];
    let mut first = true;
    for (bits, word) in statuses {
        if entry.is(bits) {
            if !first {
                out.push(',');
            }
            first = false;
            out.push_str(word);
        }
    }
    out.push(']');
    push_fields(out, options, entry);
    out.push('}');
}

/// Appends the fields that are added to every object and to this one.
fn push_fields(out: &mut String, options: &Options, entry: &Entry) {
    let own = entry.extra.iter().flat_map(|extra| extra.fields.iter());
    for (name, value) in options.extra_fields.iter().chain(own) {
        out.push(',');
        push_text(out, name);
        out.push(':');
        out.push_str(&value.to_string());
    }
}

/// The File object of one entry.
pub(in crate::sim) fn file(world: &World, options: &Options, node: Node) -> String {
    let mut out = String::with_capacity(800);
    let parent = world.tree.get(node).map_or(
        node,
        |entry| {
            if entry.is(flag::ROOT) { node } else { entry.parent }
        },
    );
    push_file(&mut out, world, options, node, &Above::of(world, parent));
    out
}

/// Appends `responseMetaData`.
pub(super) fn push_metadata(out: &mut String, options: &Options, next: Option<Cursor>) {
    out.push_str(",\"responseMetaData\":{");
    match (next, options.list_end) {
        (Some(cursor), _) => {
            out.push_str("\"nextCursor\":\"");
            out.push_str(&cursor.write());
            out.push('"');
        }
        (None, ListEnd::Absent) => {}
        (None, ListEnd::Empty) => out.push_str("\"nextCursor\":\"\""),
        (None, ListEnd::Null) => out.push_str("\"nextCursor\":null"),
    }
    out.push_str("}}");
}

/// A TrashFile object.
pub(super) fn trash_file(world: &World, options: &Options, node: Node) -> Value {
    let Some(entry) = world.tree.get(node) else {
        return Value::Null;
    };
    let trashed = entry.extra.as_ref().and_then(|extra| extra.trashed.as_ref());
    let by = trashed.and_then(|trashed| trashed.by).unwrap_or(0);
    json!({
        "trashFileId": world.id(node),
        "fileName": &*entry.name,
        "resourceLocation": location(world, node),
        "fileSize": entry.size,
        "fileType": if entry.is_folder() { "FOLDER" } else { file_type(&entry.name) },
        "originalPath": trashed.map_or("/", |trashed| trashed.original_path.as_str()),
        "deletedTime": iso(trashed.map_or(0, |trashed| trashed.at), options.odd_fraction),
        "deleteUser": world.members.get(by).map(|member| member.user_id.as_str()),
        "modifiedTime": iso(entry.modified, options.odd_fraction),
    })
}

/// A FileRevision object; revision 0 is the oldest.
pub(super) fn revision(
    world: &World,
    options: &Options,
    node: Node,
    number: usize,
    revision: &Revision,
) -> Value {
    let name = world.tree.get(node).map_or("", |entry| &*entry.name);
    json!({
        "revisionId": number.to_string(),
        "resourceLocation": location(world, node),
        "fileSize": revision.size,
        "fileType": file_type(name),
        "originalPath": world.path(node),
        "createdTime": iso(revision.created, options.odd_fraction),
        "modifiedTime": iso(revision.modified, options.odd_fraction),
        "updateUser": world.members.get(revision.by.unwrap_or(0)).map(|member| member.user_id.as_str()),
    })
}

/// A ShareDrive object.
pub(super) fn shared_drive(world: &World, options: &Options, drive: &Drive) -> Value {
    let masters: Vec<Value> = drive
        .masters
        .iter()
        .filter_map(|master| world.members.get(*master))
        .map(|member| json!({ "id": member.user_id, "name": member.display_name() }))
        .collect();
    json!({
        "sharedriveId": drive.owner,
        "name": drive.name,
        "description": drive.description,
        "createdTime": iso(drive.created, options.odd_fraction),
        "quota": { "used": drive.used, "trash": drive.trash_bytes },
        "hasPermission": drive.range == AccessibleRange::Member,
        "accessibleRange": drive.range,
        "permissionType": drive.right,
        "masters": masters,
        "accessDenies": drive.denies,
    })
}

/// A SharedFolder object, as one of the invited sees it.
pub(super) fn shared_folder(world: &World, options: &Options, share: &Share, member: usize) -> Value {
    let permission = share
        .members
        .iter()
        .find(|invited| world.covers(&invited.user_id, member))
        .map_or("READ", |invited| invited.permission_type.as_str());
    let owner = world.members.get(share.owner);
    let entry = world.tree.get(share.node);
    json!({
        "sharedFolderId": shared_folder_id(world, share),
        "sharedFolderName": entry.map(|entry| entry.name.to_string()),
        "ownerId": owner.map(|owner| owner.user_id.as_str()),
        "ownerName": owner.map(Member::display_name),
        "rootFileId": world.id(share.node),
        "createdTime": iso(share.created, options.odd_fraction),
        "modifiedTime": iso(share.modified, options.odd_fraction),
        "resourceLocation": location(world, share.node),
        "permissionType": permission,
        "useRevision": true,
        "protected": entry.is_some_and(|entry| entry.is(flag::PROTECTED)),
    })
}

/// The id of an invitation: Base64 of owner, `D` and number, as the docs' example decodes.
pub(super) fn shared_folder_id(world: &World, share: &Share) -> String {
    use base64::Engine as _;
    let owner = world.members.get(share.owner).map_or(0, |owner| owner.number);
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .encode(format!("{owner}_D_{}", 938_928_560_000 + u64::from(share.node.0)))
}

/// A user of the directory.
pub(super) fn user(member: &Member) -> Value {
    json!({
        "domainId": 10_000_001,
        "userId": member.user_id,
        "email": member.email,
        "userName": { "lastName": member.last_name, "firstName": member.first_name },
        "isAdministrator": member.is_administrator,
        "isPending": member.is_pending,
        "isSuspended": member.is_suspended,
        "isDeleted": member.is_deleted,
        "isAwaiting": false,
        "leaveOfAbsence": { "isLeaveOfAbsence": false },
    })
}

/// A group of the directory.
pub(super) fn group(world: &World, group: &Group) -> Value {
    let members: Vec<Value> = group
        .members
        .iter()
        .filter_map(|member| world.members.get(*member))
        .map(|member| json!({ "id": member.user_id, "type": "USER" }))
        .collect();
    json!({
        "domainId": 10_000_001,
        "groupId": group.group_id,
        "groupName": group.name,
        "description": "",
        "visible": true,
        "members": members,
        "useMessage": true,
        "useNote": true,
        "useCalendar": true,
        "useFolder": group.use_folder,
    })
}
