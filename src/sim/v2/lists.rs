//! Drive properties and the lists of API 2.0: children, revisions, trash, shared-with-me folders.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Value, json};

use super::cursor::{Cursor, Page, count, list_number, page};
use super::view::{self, Above};
use super::{Call, Refusal};
use crate::sim::answer::{Answer, Listing};
use crate::sim::names::file_type;
use crate::sim::operation::Family;
use crate::sim::stamp::iso;
use crate::sim::tree::{Entry, Node, Revision, flag};
use crate::sim::world::World;

/// Keys of `orderBy` for files (API 2.0 docs, group-folder-file-root-list).
const FILE_KEYS: [&str; 9] = [
    "createdTime",
    "modifiedTime",
    "accessedTime",
    "fileExtension",
    "fileName",
    "filePath",
    "fileSize",
    "fileType",
    "protect",
];
/// Keys of `orderBy` for the trash (API 2.0 docs, sharedrive-trash-file-list).
const TRASH_KEYS: [&str; 5] = ["deletedTime", "fileSize", "fileType", "fileName", "originalPath"];
/// Sorted lists that are kept.
const KEPT_LISTS: usize = 16;

/// Quota and name of the drive or shared folder.
pub(super) fn properties(call: &Call<'_>) -> Result<Answer, Refusal> {
    let options = &call.service.options;
    call.service.world.read(|world| {
        let drive = world
            .drives
            .get(call.place.drive)
            .ok_or_else(Refusal::not_found)?;
        let body = match call.place.family {
            Family::My => json!({
                "quota": {
                    "total": drive.total,
                    "used": drive.used,
                    "unused": drive.total.saturating_sub(drive.used),
                    "trash": drive.trash_bytes,
                },
                "trashEmptyCycle": drive.trash_empty_cycle,
            }),
            Family::Shared => view::shared_drive(world, options, drive),
            Family::Group => json!({
                "name": drive.name,
                "createdTime": iso(drive.created, options.odd_fraction),
                "quota": { "used": drive.used, "trash": drive.trash_bytes },
                "trashEmptyCycle": drive.trash_empty_cycle,
            }),
            Family::SharedFolder => {
                let share = call
                    .place
                    .share
                    .and_then(|share| world.shares.get(share))
                    .ok_or_else(Refusal::not_found)?;
                view::shared_folder(world, options, share, call.place.member)
            }
        };
        Ok(Answer::value(200, &body))
    })
}

/// The children of a folder or of the root.
pub(super) fn children(call: &Call<'_>) -> Result<Answer, Refusal> {
    let options = &call.service.options;
    let order = order(call, &FILE_KEYS)?;
    call.service.world.read(|world| {
        let folder = call.folder(world)?;
        let list = list_number(1, u64::from(folder.0), &order);
        let sorted;
        let nodes = if order.is_empty() {
            world.tree.children(folder)
        } else {
            sorted = sorted_children(call, world, folder, &order);
            &sorted
        };
        let page = page(nodes, list, call.query, options.v2_page)?;
        let above = Above::of(world, folder);
        let mut out = String::with_capacity(page.nodes.len() * 800 + 200);
        out.push_str("{\"files\":[");
        for (index, node) in page.nodes.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            view::push_file(&mut out, world, options, *node, &above);
        }
        out.push(']');
        view::push_metadata(&mut out, options, page.next);
        Ok(with_listing(Answer::json(200, out), &page))
    })
}

fn with_listing(mut answer: Answer, page: &Page<'_>) -> Answer {
    let foreign = Cursor {
        list: page.own.list ^ 1,
        offset: 1,
        last: 0,
    };
    answer.listing = Some(Listing {
        own_cursor: Some(page.own.write()),
        foreign_cursor: Some(foreign.write()),
    });
    answer
}

/// The `orderBy` of a query as `key dir`; empty when it is not given.
fn order(call: &Call<'_>, keys: &[&str]) -> Result<String, Refusal> {
    let Some(order) = call.query.get("orderBy") else {
        return Ok(String::new());
    };
    let (key, direction) = order.split_once(' ').unwrap_or((order, "asc"));
    if !keys.contains(&key) || !["asc", "desc"].contains(&direction) {
        return Err(Refusal::invalid("orderBy is not valid"));
    }
    Ok(format!("{key} {direction}"))
}

/// The sorted children, from the kept lists where the folder has not changed.
fn sorted_children(call: &Call<'_>, world: &World, folder: Node, order: &str) -> Arc<[Node]> {
    let key = (folder, order.to_owned());
    let version = world.tree.version(folder);
    let mut kept = call.service.sorted();
    if let Some((of, nodes)) = kept.get(&key)
        && *of == version
    {
        return Arc::clone(nodes);
    }
    let nodes: Arc<[Node]> = sort(world, world.tree.children(folder), order).into();
    if kept.len() >= KEPT_LISTS {
        kept.clear();
    }
    kept.insert(key, (version, Arc::clone(&nodes)));
    nodes
}

fn sort(world: &World, nodes: &[Node], order: &str) -> Vec<Node> {
    let (key, direction) = order.split_once(' ').unwrap_or((order, "asc"));
    let mut found: Vec<(Node, &Entry)> = nodes
        .iter()
        .filter_map(|node| Some((*node, world.tree.get(*node)?)))
        .collect();
    let ending = |entry: &Entry| {
        entry
            .name
            .rsplit_once('.')
            .map_or(String::new(), |(_, ending)| ending.to_owned())
    };
    let trashed = |entry: &Entry| {
        let trashed = entry.extra.as_ref().and_then(|extra| extra.trashed.as_ref());
        trashed.map_or((0, String::new()), |trashed| {
            (trashed.at, trashed.original_path.clone())
        })
    };
    let by = |one: &Entry, other: &Entry| -> Ordering {
        match key {
            "createdTime" => one.created.cmp(&other.created),
            "modifiedTime" => one.modified.cmp(&other.modified),
            "accessedTime" => one.accessed.cmp(&other.accessed),
            "fileSize" => one.size.cmp(&other.size),
            "fileType" => file_type(&one.name).cmp(file_type(&other.name)),
            "fileExtension" => ending(one).cmp(&ending(other)),
            "protect" => one.is(flag::PROTECTED).cmp(&other.is(flag::PROTECTED)),
            "deletedTime" => trashed(one).0.cmp(&trashed(other).0),
            "originalPath" => trashed(one).1.cmp(&trashed(other).1),
            _ => one.name.cmp(&other.name),
        }
    };
    found.sort_by(|(first, one), (second, other)| {
        let order = by(one, other);
        let order = if direction == "desc" {
            order.reverse()
        } else {
            order
        };
        order.then(first.cmp(second))
    });
    found.into_iter().map(|(node, _)| node).collect()
}

/// The top entries of the drive's trash.
pub(super) fn trash(call: &Call<'_>) -> Result<Answer, Refusal> {
    if call.place.family == Family::SharedFolder {
        return Err(Refusal::not_found());
    }
    let options = &call.service.options;
    let order = order(call, &TRASH_KEYS)?;
    call.service.world.read(|world| {
        let drive = world
            .drives
            .get(call.place.drive)
            .ok_or_else(Refusal::not_found)?;
        let nodes = if order.is_empty() {
            drive.trash.clone()
        } else {
            sort(world, &drive.trash, &order)
        };
        let page = page(
            &nodes,
            list_number(2, call.place.drive as u64, &order),
            call.query,
            options.v2_page,
        )?;
        let items: Vec<Value> = page
            .nodes
            .iter()
            .map(|node| view::trash_file(world, options, *node))
            .collect();
        let mut out = format!("{{\"trashFiles\":{}", Value::Array(items));
        view::push_metadata(&mut out, options, page.next);
        Ok(with_listing(Answer::json(200, out), &page))
    })
}

/// All contents of a file, oldest first: the last one is the content it has now.
fn all_revisions(entry: &Entry) -> Vec<Revision> {
    let mut all = entry
        .extra
        .as_ref()
        .map(|extra| extra.revisions.clone())
        .unwrap_or_default();
    all.push(Revision {
        content: entry.content(),
        size: entry.size,
        created: entry.created,
        modified: entry.modified,
        by: entry.extra.as_ref().and_then(|extra| extra.updated_by),
    });
    all
}

fn revisions_of(call: &Call<'_>, world: &World) -> Result<(Node, Vec<Revision>), Refusal> {
    let node = call.item(world)?;
    let entry = world
        .tree
        .get(node)
        .filter(|entry| !entry.is_folder())
        .ok_or_else(|| Refusal::invalid("a folder has no revisions"))?;
    Ok((node, all_revisions(entry)))
}

/// The revisions of a file.
pub(super) fn revisions(call: &Call<'_>) -> Result<Answer, Refusal> {
    let options = &call.service.options;
    call.service.world.read(|world| {
        let (node, all) = revisions_of(call, world)?;
        // Revisions have no nodes: their numbers stand for them in the cursor.
        let numbers: Vec<Node> = (0..all.len())
            .map(|number| Node(u32::try_from(number).unwrap_or(u32::MAX)))
            .collect();
        let page = page(
            &numbers,
            list_number(3, u64::from(node.0), ""),
            call.query,
            options.v2_page,
        )?;
        let items: Vec<Value> = page
            .nodes
            .iter()
            .filter_map(|number| {
                let number = number.0 as usize;
                Some(view::revision(world, options, node, number, all.get(number)?))
            })
            .collect();
        let mut out = format!("{{\"revisions\":{}", Value::Array(items));
        view::push_metadata(&mut out, options, page.next);
        Ok(with_listing(Answer::json(200, out), &page))
    })
}

/// One revision of a file.
pub(super) fn revision(call: &Call<'_>) -> Result<Answer, Refusal> {
    let number = revision_number(call)?;
    call.service.world.read(|world| {
        let (node, all) = revisions_of(call, world)?;
        let found = all.get(number).ok_or_else(Refusal::not_found)?;
        Ok(Answer::value(
            200,
            &view::revision(world, &call.service.options, node, number, found),
        ))
    })
}

/// The number in the path.
pub(super) fn revision_number(call: &Call<'_>) -> Result<usize, Refusal> {
    call.route
        .part
        .as_deref()
        .and_then(|part| part.parse().ok())
        .ok_or_else(Refusal::not_found)
}

/// The folders that others share with the acting member.
pub(super) fn shared_folders(call: &Call<'_>) -> Result<Answer, Refusal> {
    count(call.query)?;
    let options = &call.service.options;
    call.service.world.read(|world| {
        let mine: Vec<&crate::sim::people::Share> = world
            .shares
            .iter()
            .filter(|share| {
                share
                    .members
                    .iter()
                    .any(|invited| world.covers(&invited.user_id, call.place.member))
            })
            .collect();
        let nodes: Vec<Node> = mine.iter().map(|share| share.node).collect();
        let page = page(
            &nodes,
            list_number(4, call.place.member as u64, ""),
            call.query,
            options.v2_page,
        )?;
        let items: Vec<Value> = mine
            .iter()
            .filter(|share| page.nodes.contains(&share.node))
            .map(|share| view::shared_folder(world, options, share, call.place.member))
            .collect();
        let mut out = format!("{{\"{}\":{}", options.shared_folders_key, Value::Array(items));
        view::push_metadata(&mut out, options, page.next);
        Ok(with_listing(Answer::json(200, out), &page))
    })
}
