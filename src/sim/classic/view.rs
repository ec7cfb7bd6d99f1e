//! The objects of the classic generation.

use serde_json::{Map, Value, json};

use crate::sim::names::file_type;
use crate::sim::people::DriveKind;
use crate::sim::service::Service;
use crate::sim::tree::{Entry, Node, flag};
use crate::sim::world::World;

/// The storage location code of an entry.
pub(super) fn location(world: &World, node: Node) -> i32 {
    world
        .drives()
        .get(world.drive_of(node))
        .map_or(0, |drive| drive.location)
}

fn kind(entry: &Entry) -> &'static str {
    if entry.is_folder() { "folder" } else { "file" }
}

/// The kind of a file as the classic generation is taken to spell it: lower case.
fn classic_type(entry: &Entry) -> String {
    if entry.is_folder() {
        "folder".to_owned()
    } else {
        file_type(&entry.name).to_ascii_lowercase()
    }
}

/// The path of an entry; folders end with a slash.
fn path(above: &str, entry: &Entry) -> String {
    if entry.is(flag::ROOT) {
        "/".to_owned()
    } else if entry.is_folder() {
        format!("{above}/{}/", entry.name)
    } else {
        format!("{above}/{}", entry.name)
    }
}

/// The path of the folder above the children of `folder`, without a slash at the end.
fn path_above(world: &World, folder: Node) -> String {
    let path = world.path(folder);
    if path == "/" { String::new() } else { path }
}

/// The resource object of one entry.
pub(super) fn resource(world: &World, service: &Service, node: Node) -> Value {
    let parent = world.tree.get(node).map_or(node, |entry| entry.parent);
    object(world, service, node, &path_above(world, parent))
}

/// The answer of a children list.
pub(super) fn children(
    world: &World,
    service: &Service,
    folder: Node,
    nodes: &[Node],
    offset: usize,
    has_more: bool,
) -> String {
    let above = path_above(world, folder);
    let mut out = format!("{{\"offset\":{offset},\"hasMore\":{has_more},\"items\":[");
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let mut item = object(world, service, *node, &above);
        if let Some(item) = item.as_object_mut() {
            if service.options.classic_nameless_children {
                item.shift_remove("resourceName");
            }
            if service.options.classic_null_locations {
                item.insert("resourceLocation".to_owned(), Value::Null);
            }
        }
        out.push_str(&item.to_string());
    }
    out.push_str("]}");
    out
}

fn object(world: &World, service: &Service, node: Node, above: &str) -> Value {
    let Some(entry) = world.tree.get(node) else {
        return Value::Null;
    };
    let drive = world.drives().get(entry.drive as usize);
    let group = drive.and_then(|drive| match drive.kind {
        DriveKind::Group(group) => world.groups().get(group),
        _ => None,
    });
    let updated_by = entry
        .extra
        .as_ref()
        .and_then(|extra| extra.updated_by)
        .unwrap_or(0);
    let share = world
        .shares
        .iter()
        .find(|share| entry.is(flag::SHARED) && share.node == node)
        .map(|share| json!({ "shareNo": node.0, "members": share.members }));
    let link = entry
        .extra
        .as_ref()
        .and_then(|extra| extra.link.as_ref())
        .map(|link| json!({ "accessType": link.access_type, "permission": link.link_permission_type }));
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    put(
        "resourceName",
        if entry.is(flag::ROOT) {
            "".into()
        } else {
            (&*entry.name).into()
        },
    );
    put("resourceSize", entry.size.into());
    put("resourceKey", world.id(node).into());
    put("resourceLocation", location(world, node).into());
    put("resourceType", kind(entry).into());
    put("resourcePath", path(above, entry).into());
    put("fileType", classic_type(entry).into());
    put("folderType", if group.is_some() { "group" } else { "my" }.into());
    put("createDate", entry.created.into());
    put("updateDate", entry.modified.into());
    put("accessDate", entry.accessed.into());
    put(
        "updateUser",
        world
            .members()
            .get(updated_by)
            .map_or_else(String::new, |member| member.number.to_string())
            .into(),
    );
    put("hasExif", entry.is(flag::EXIF).into());
    put("hasThumbnail", entry.is(flag::THUMBNAIL).into());
    put("uploaded", (!entry.is(flag::INCOMPLETE)).into());
    put("locked", entry.is(flag::LOCKED).into());
    put(
        "virus",
        if entry.is(flag::MALWARE) {
            "infected"
        } else {
            "none"
        }
        .into(),
    );
    put("memberShare", share.unwrap_or_default());
    put("linkShare", link.unwrap_or_default());
    put(
        "group",
        group.map_or(
            Value::Null,
            |group| json!({ "groupId": group.group_id, "groupName": group.name }),
        ),
    );
    put("protected", entry.is(flag::PROTECTED).into());
    object.extend(service.options.extra_fields.clone());
    if let Some(extra) = &entry.extra {
        object.extend(extra.fields.clone());
    }
    Value::Object(object)
}

/// The versions of a file, newest first.
pub(super) fn versions(world: &World, node: Node, with_current: bool) -> Vec<Value> {
    let Some(entry) = world.tree.get(node) else {
        return Vec::new();
    };
    let user = |by: Option<usize>| {
        world
            .members()
            .get(by.unwrap_or(0))
            .map_or_else(String::new, super::super::people::Member::display_name)
    };
    let version = |size: u64, created: i64, modified: i64, by: Option<usize>, current: bool| {
        json!({
            "resourceName": &*entry.name,
            "resourceSize": size,
            "resourceKey": world.id(node),
            "resourceLocation": location(world, node),
            "createDate": created,
            "updateDate": modified,
            "updateUser": user(by),
            "fileType": classic_type(entry),
            "current": current,
        })
    };
    let by = entry.extra.as_ref().and_then(|extra| extra.updated_by);
    let current = with_current.then(|| version(entry.size, entry.created, entry.modified, by, true));
    let older = entry.extra.iter().flat_map(|extra| extra.revisions.iter().rev());
    current
        .into_iter()
        .chain(older.map(|old| version(old.size, old.created, old.modified, old.by, false)))
        .collect()
}

/// Sorts the trash by `fileType`, `name`, `path` or `delete`.
pub(super) fn sort_trash(world: &World, nodes: &mut [Node], sort: &str, reverse: bool) {
    let key = |node: &Node| {
        let entry = world.tree.get(*node);
        let trashed = entry.and_then(|entry| entry.extra.as_ref()?.trashed.as_ref());
        let name = entry.map_or_else(String::new, |entry| entry.name.to_string());
        let at = trashed.map_or(0, |trashed| trashed.at);
        match sort {
            "fileType" => (entry.map_or_else(String::new, classic_type), 0),
            "path" => (
                trashed.map_or_else(String::new, |trashed| trashed.original_path.clone()),
                0,
            ),
            "delete" => (String::new(), at),
            _ => (name, 0),
        }
    };
    nodes.sort_by_cached_key(key);
    if reverse {
        nodes.reverse();
    }
}

/// The RecycleFile object.
pub(super) fn recycled(world: &World, node: Node) -> Value {
    let Some(entry) = world.tree.get(node) else {
        return Value::Null;
    };
    let trashed = entry.extra.as_ref().and_then(|extra| extra.trashed.as_ref());
    let by = trashed.and_then(|trashed| trashed.by).unwrap_or(0);
    json!({
        "resourceName": &*entry.name,
        "resourceSize": entry.size,
        "resourceKey": world.id(node),
        "resourceLocation": location(world, node),
        "resourceType": kind(entry),
        "originalPath": trashed.map_or("/", |trashed| trashed.original_path.as_str()),
        "updateDate": entry.modified,
        "deleteDate": trashed.map_or(0, |trashed| trashed.at),
        "hasThumbnail": entry.is(flag::THUMBNAIL),
        "deleteAccountId": world.members().get(by).map(|member| member.email.as_str()),
    })
}
