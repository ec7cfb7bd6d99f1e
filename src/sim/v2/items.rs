//! Changing files and folders of API 2.0: deleting, copying, moving, renaming, marking, restoring.

use super::lists::revision_number;
use super::{Call, Refusal};
use crate::sim::answer::Answer;
use crate::sim::operation::Verb;
use crate::sim::tree::{Node, flag};
use crate::sim::upload::{check_name, free_name};
use crate::sim::world::World;

/// The entry of the call, when it is not the root.
fn changeable(call: &Call<'_>, world: &World) -> Result<Node, Refusal> {
    let node = call.item(world)?;
    if node == call.place.root {
        return Err(Refusal::invalid("the root cannot be changed"));
    }
    Ok(node)
}

fn taken() -> Refusal {
    Refusal::new(409, "ALREADY_EXISTS", "A file or folder of this name exists.")
}

/// Moves an entry into the trash.
pub(super) fn delete(call: &Call<'_>) -> Result<Answer, Refusal> {
    let now = call.service.clock.now_ms();
    call.service.world.write(|world| {
        let node = changeable(call, world)?;
        if world.tree.get(node).is_some_and(|entry| entry.is(flag::LOCKED)) {
            return Err(Refusal::new(403, "LOCKED", "The file is locked."));
        }
        world.trash(node, now, Some(call.place.member));
        Ok(Answer::empty(204))
    })
}

/// The folder that `toParentFileId` names, in a drive that the member may reach.
fn destination(call: &Call<'_>, world: &World) -> Result<Node, Refusal> {
    let id = call
        .text("toParentFileId")
        .ok_or_else(|| Refusal::invalid("toParentFileId is missing"))?;
    let folder = world.node(id).filter(|node| {
        world
            .tree
            .get(*node)
            .is_some_and(|entry| entry.is_folder() && entry.is_alive())
    });
    let folder = folder.ok_or_else(Refusal::not_found)?;
    if !world.may_access(call.place.member, folder) {
        return Err(Refusal::denied());
    }
    Ok(folder)
}

/// Copies an entry; a number is added to a name that is taken.
pub(super) fn copy(call: &Call<'_>) -> Result<Answer, Refusal> {
    let now = call.service.clock.now_ms();
    call.service.world.write(|world| {
        let node = changeable(call, world)?;
        let folder = destination(call, world)?;
        if world.is_below(folder, node) {
            return Err(Refusal::invalid("a folder cannot be copied into itself"));
        }
        let mut name = world
            .tree
            .get(node)
            .map_or_else(String::new, |entry| entry.name.to_string());
        if world.tree.child_named(folder, &name).is_some() {
            name = free_name(world, folder, &name);
        }
        let made = world
            .copy(node, folder, &name, now)
            .ok_or_else(Refusal::not_found)?;
        Ok(call.file(201, world, made))
    })
}

/// Moves an entry inside its drive.
pub(super) fn relocate(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        let node = changeable(call, world)?;
        let folder = destination(call, world)?;
        let name = world.tree.get(node).map_or("", |entry| &*entry.name);
        if world
            .tree
            .child_named(folder, name)
            .is_some_and(|other| other != node)
        {
            return Err(taken());
        }
        if !world.relocate(node, folder) {
            return Err(Refusal::invalid("the entry cannot be moved there"));
        }
        Ok(call.file(200, world, node))
    })
}

/// Gives an entry another name.
pub(super) fn rename(call: &Call<'_>) -> Result<Answer, Refusal> {
    let name = call.text("fileName").unwrap_or_default();
    check_name(name)?;
    call.service.world.write(|world| {
        let node = changeable(call, world)?;
        let parent = world.tree.get(node).map_or(node, |entry| entry.parent);
        if world
            .tree
            .child_named(parent, name)
            .is_some_and(|other| other != node)
        {
            return Err(taken());
        }
        world.tree.rename(node, name);
        Ok(call.file(200, world, node))
    })
}

/// Locks, unlocks, marks as important, or takes the mark away.
pub(super) fn set_status(call: &Call<'_>) -> Result<Answer, Refusal> {
    let (bits, on) = match call.route.verb {
        Verb::Protect => (flag::PROTECTED, true),
        Verb::Unprotect => (flag::PROTECTED, false),
        Verb::Lock => (flag::LOCKED, true),
        _ => (flag::LOCKED, false),
    };
    call.service.world.write(|world| {
        let node = changeable(call, world)?;
        if let Some(entry) = world.tree.get_mut(node) {
            entry.set(bits, on);
        }
        Ok(call.file(200, world, node))
    })
}

/// Makes an earlier content the content of now; the content of now becomes a revision.
pub(super) fn restore_revision(call: &Call<'_>) -> Result<Answer, Refusal> {
    let number = revision_number(call)?;
    let now = call.service.clock.now_ms();
    call.service.world.write(|world| {
        let node = changeable(call, world)?;
        let older = world
            .tree
            .get(node)
            .and_then(|entry| entry.extra.as_ref()?.revisions.get(number).cloned())
            .ok_or_else(Refusal::not_found)?;
        world.replace_content(
            node,
            older.size,
            older.content,
            older.modified,
            now,
            Some(call.place.member),
        );
        Ok(call.file(200, world, node))
    })
}

/// The top entry of the drive's trash that the call names.
fn trashed(call: &Call<'_>, world: &World) -> Result<Node, Refusal> {
    let drive = world
        .drives
        .get(call.place.drive)
        .ok_or_else(Refusal::not_found)?;
    call.route
        .item
        .as_deref()
        .and_then(|id| world.node(id))
        .filter(|node| drive.trash.contains(node))
        .ok_or_else(Refusal::not_found)
}

/// Brings an entry back to where it was, or to the root when that folder is gone.
pub(super) fn restore(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        let node = trashed(call, world)?;
        let (name, parent) = world
            .tree
            .get(node)
            .map(|entry| (entry.name.to_string(), entry.parent))
            .ok_or_else(Refusal::not_found)?;
        let there = world.tree.get(parent).is_some_and(|folder| folder.is_alive());
        let folder = if there { parent } else { call.place.root };
        if world.tree.child_named(folder, &name).is_some() {
            return Err(taken());
        }
        let node = world.restore(node, folder, false);
        Ok(call.file(200, world, node))
    })
}

/// Removes an entry of the trash for good.
pub(super) fn erase(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        let node = trashed(call, world)?;
        world.erase(node);
        Ok(Answer::empty(204))
    })
}
