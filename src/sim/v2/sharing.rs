//! Links, invitations and permissions of API 2.0.

use serde_json::{Value, json};

use super::{Call, Refusal};
use crate::sim::answer::Answer;
use crate::sim::operation::{Family, Verb};
use crate::sim::people::{AccessibleRange, Link, Permission, Share, ShareMember};
use crate::sim::stamp::iso;
use crate::sim::tree::{Node, flag};
use crate::sim::world::World;

/// Answers the calls about links, invitations and permissions.
pub(super) fn answer(call: &Call<'_>) -> Result<Answer, Refusal> {
    match call.route.verb {
        Verb::LinkSetting => Ok(Answer::value(
            200,
            &json!({
                "enabledOrganizationAccessType": true,
                "enabledSpecificPeopleAccessType": true,
                "enabledAnyoneAccessType": true,
                "maxLinkRetentionDays": -1,
            }),
        )),
        Verb::Link => link(call),
        Verb::LinkCreate | Verb::LinkModify => set_link(call),
        Verb::LinkDelete => delete_link(call),
        Verb::Share => share(call),
        Verb::ShareCreate | Verb::ShareModify => set_share(call),
        Verb::ShareDelete => call.service.world.write(|world| {
            let node = call.item(world)?;
            find_share(world, node)?;
            world.unshare(node);
            Ok(Answer::empty(204))
        }),
        Verb::Permissions => permissions(call),
        Verb::PermissionCreate => create_permission(call),
        Verb::PermissionGet | Verb::PermissionModify | Verb::PermissionDelete => one_permission(call),
        Verb::PermissionsEnable | Verb::PermissionsDisable => enable_permissions(call),
        Verb::DrivePermissions => call.service.world.read(|world| {
            let drive = world
                .drives
                .get(call.place.drive)
                .ok_or_else(Refusal::not_found)?;
            Ok(Answer::value(200, &json!({ "permissions": drive.permissions })))
        }),
        Verb::DrivePermissionCreate => create_drive_permission(call),
        Verb::DrivePermissionGet | Verb::DrivePermissionModify | Verb::DrivePermissionDelete => {
            one_drive_permission(call)
        }
        Verb::Members => members(call),
        _ => Err(Refusal::not_found()),
    }
}

fn no_link() -> Refusal {
    Refusal::new(404, "NOT_FOUND", "Link does not exist.")
}

fn link_answer(status: u16, call: &Call<'_>, id: &str, link: &Link) -> Answer {
    let mut body = serde_json::to_value(link).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        object.insert(
            "url".to_owned(),
            format!("{}/link/{id}", call.service.endpoints.api).into(),
        );
    }
    Answer::value(status, &body)
}

fn link(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.read(|world| {
        let node = call.item(world)?;
        let link = world
            .tree
            .get(node)
            .and_then(|entry| entry.extra.as_ref()?.link.as_ref())
            .ok_or_else(no_link)?;
        Ok(link_answer(200, call, &world.id(node), link))
    })
}

fn set_link(call: &Call<'_>) -> Result<Answer, Refusal> {
    let modify = call.route.verb == Verb::LinkModify;
    let has_password = call.text("password").is_some();
    call.service.world.write(|world| {
        let node = call.item(world)?;
        let id = world.id(node);
        let entry = world.tree.get_mut(node).ok_or_else(Refusal::not_found)?;
        let old = entry.extra.as_ref().and_then(|extra| extra.link.clone());
        let mut body = match (modify, &old) {
            (true, None) => return Err(no_link()),
            (true, Some(old)) => serde_json::to_value(old).unwrap_or_default(),
            (false, Some(_)) => return Err(Refusal::new(409, "ALREADY_EXISTS", "A link exists.")),
            (false, None) => json!({}),
        };
        if let (Some(object), Some(given)) = (body.as_object_mut(), call.body.as_object()) {
            object.extend(given.clone());
            if has_password {
                object.insert("hasPassword".to_owned(), true.into());
            }
        }
        let link: Link =
            serde_json::from_value(body).map_err(|_| Refusal::invalid("the link is not complete"))?;
        let known = ["ORGANIZATION", "SPECIFIC_PEOPLE", "ANYONE"].contains(&link.access_type.as_str())
            && ["EDIT", "UPLOAD_DOWNLOAD", "UPLOAD", "DOWNLOAD", "PREVIEW"]
                .contains(&link.link_permission_type.as_str());
        if !known {
            return Err(Refusal::invalid("accessType or linkPermissionType is not valid"));
        }
        entry.extra_mut().link = Some(link.clone());
        Ok(link_answer(if modify { 200 } else { 201 }, call, &id, &link))
    })
}

fn delete_link(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        let node = call.item(world)?;
        let taken = world
            .tree
            .get_mut(node)
            .and_then(|entry| entry.extra.as_mut()?.link.take());
        taken.map(|_| Answer::empty(204)).ok_or_else(no_link)
    })
}

fn find_share(world: &World, node: Node) -> Result<&Share, Refusal> {
    world
        .shares
        .iter()
        .find(|share| share.node == node)
        .ok_or_else(Refusal::not_found)
}

fn share_answer(status: u16, call: &Call<'_>, world: &World, share: &Share) -> Answer {
    let fraction = call.service.options.odd_fraction;
    Answer::value(
        status,
        &json!({
            "rootFileId": world.id(share.node),
            "members": share.members,
            "createdTime": iso(share.created, fraction),
            "modifiedTime": iso(share.modified, fraction),
        }),
    )
}

fn share(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.read(|world| {
        let node = call.item(world)?;
        Ok(share_answer(200, call, world, find_share(world, node)?))
    })
}

/// The name of a member or group; a refusal when there is none with this id or mail.
pub(super) fn named(world: &World, id: &str) -> Result<(String, String), Refusal> {
    let member = world.member(id).and_then(|member| world.members.get(member));
    let group = world.group(id).and_then(|group| world.groups.get(group));
    match (member, group) {
        (Some(member), _) => Ok((member.user_id.clone(), member.display_name())),
        (None, Some(group)) => Ok((group.group_id.clone(), group.name.clone())),
        (None, None) => Err(Refusal::invalid("Invalid parameters received.")),
    }
}

fn set_share(call: &Call<'_>) -> Result<Answer, Refusal> {
    let now = call.service.clock.now_ms();
    let created = call.route.verb == Verb::ShareCreate;
    call.service.world.write(|world| {
        let node = call.item(world)?;
        if !world
            .tree
            .get(node)
            .is_some_and(crate::sim::tree::Entry::is_folder)
        {
            return Err(Refusal::invalid("only folders can be shared"));
        }
        if created == find_share(world, node).is_ok() {
            return Err(if created {
                Refusal::new(409, "ALREADY_EXISTS", "The folder is shared already.")
            } else {
                Refusal::not_found()
            });
        }
        let given = call.body.get("members").cloned().unwrap_or_default();
        let members: Vec<ShareMember> =
            serde_json::from_value(given).map_err(|_| Refusal::invalid("Invalid parameters received."))?;
        let members = members
            .into_iter()
            .map(|mut member| {
                (member.user_id, member.user_name) = named(world, &member.user_id)?;
                Ok(member)
            })
            .collect::<Result<_, Refusal>>()?;
        world.share(node, members, now);
        Ok(share_answer(
            if created { 201 } else { 200 },
            call,
            world,
            find_share(world, node)?,
        ))
    })
}

fn entry_permissions(world: &World, node: Node) -> &[Permission] {
    world
        .tree
        .get(node)
        .and_then(|entry| entry.extra.as_ref())
        .map_or(&[], |extra| extra.permissions.as_slice())
}

fn permissions(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.read(|world| {
        let node = call.item(world)?;
        Ok(Answer::value(
            200,
            &json!({ "permissions": entry_permissions(world, node) }),
        ))
    })
}

/// A permission as the body asks for it.
fn asked(call: &Call<'_>, world: &mut World, default_kind: &str) -> Result<Permission, Refusal> {
    let id = call
        .text("userId")
        .ok_or_else(|| Refusal::invalid("userId is missing"))?;
    let kind = call.text("type").unwrap_or(default_kind);
    if !["READ", "WRITE"].contains(&kind) {
        return Err(Refusal::invalid("type is not valid"));
    }
    let (user_id, user_name) = named(world, id)?;
    let number = world.take_id();
    Ok(Permission {
        permission_id: number.to_string(),
        kind: kind.to_owned(),
        user_id,
        user_type: call.text("userType").unwrap_or("USER").to_owned(),
        user_name,
    })
}

/// A folder permission goes to one member, who is in the drive already; the folder must have permissions of its own.
fn create_permission(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        let node = call.item(world)?;
        demand_master(call, world)?;
        let permission = asked(call, world, "")?;
        let drive = call.place.drive;
        let is_inside = world
            .member(&permission.user_id)
            .is_some_and(|member| world.may_reach(member, drive));
        if !is_inside {
            return Err(Refusal::invalid("userId is no member of the drive"));
        }
        let entry = world.tree.get_mut(node).ok_or_else(Refusal::not_found)?;
        if !entry.is(flag::HAS_PERMISSION) {
            return Err(Refusal::invalid("the folder has no permissions of its own"));
        }
        add(&mut entry.extra_mut().permissions, permission)?;
        Ok(Answer::value(
            201,
            &json!({ "permissions": entry_permissions(world, node) }),
        ))
    })
}

/// Nobody has two permissions in one place.
fn add(permissions: &mut Vec<Permission>, permission: Permission) -> Result<(), Refusal> {
    if permissions
        .iter()
        .any(|known| known.user_id == permission.user_id)
    {
        return Err(Refusal::new(409, "ALREADY_EXISTS", "The permission exists."));
    }
    permissions.push(permission);
    Ok(())
}

/// Only a master of a shared drive changes who may do what in it.
fn demand_master(call: &Call<'_>, world: &World) -> Result<(), Refusal> {
    let is_master = world
        .drives
        .get(call.place.drive)
        .is_some_and(|drive| drive.masters.contains(&call.place.member));
    if call.place.family == Family::Shared && !is_master {
        return Err(Refusal::denied());
    }
    Ok(())
}

fn one_permission(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        let node = call.item(world)?;
        if call.route.verb != Verb::PermissionGet {
            demand_master(call, world)?;
        }
        let permissions = world
            .tree
            .get_mut(node)
            .and_then(|entry| entry.extra.as_mut())
            .map(|extra| &mut extra.permissions)
            .ok_or_else(Refusal::not_found)?;
        one_of(call, permissions)
    })
}

fn one_drive_permission(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        if call.route.verb != Verb::DrivePermissionGet {
            demand_master(call, world)?;
        }
        let drive = world
            .drives
            .get_mut(call.place.drive)
            .ok_or_else(Refusal::not_found)?;
        one_of(call, &mut drive.permissions)
    })
}

/// Reads, changes or deletes the permission that the path names.
fn one_of(call: &Call<'_>, permissions: &mut Vec<Permission>) -> Result<Answer, Refusal> {
    let wanted = call.route.part.as_deref().unwrap_or_default();
    let position = permissions
        .iter()
        .position(|permission| permission.permission_id == wanted)
        .ok_or_else(Refusal::not_found)?;
    if matches!(
        call.route.verb,
        Verb::PermissionDelete | Verb::DrivePermissionDelete
    ) {
        permissions.remove(position);
        return Ok(Answer::empty(204));
    }
    let permission = permissions.get_mut(position).ok_or_else(Refusal::not_found)?;
    if matches!(
        call.route.verb,
        Verb::PermissionModify | Verb::DrivePermissionModify
    ) {
        let kind = call.text("type").unwrap_or(&permission.kind);
        if !["READ", "WRITE"].contains(&kind) {
            return Err(Refusal::invalid("type is not valid"));
        }
        permission.kind = kind.to_owned();
    }
    Ok(Answer::value(
        200,
        &serde_json::to_value(permission).unwrap_or_default(),
    ))
}

/// Breaks the inheritance of a folder, or ends that. Either way what was granted on it is gone.
fn enable_permissions(call: &Call<'_>) -> Result<Answer, Refusal> {
    let on = call.route.verb == Verb::PermissionsEnable;
    call.service.world.write(|world| {
        let node = call.item(world)?;
        demand_master(call, world)?;
        if let Some(entry) = world.tree.get_mut(node) {
            entry.set(flag::HAS_PERMISSION, on);
            entry.extra_mut().permissions.clear();
        }
        Ok(call.file(200, world, node))
    })
}

/// A permission on a drive shuts it to all who have none.
fn create_drive_permission(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        demand_master(call, world)?;
        let permission = asked(call, world, "WRITE")?;
        let drive = world
            .drives
            .get_mut(call.place.drive)
            .ok_or_else(Refusal::not_found)?;
        add(&mut drive.permissions, permission.clone())?;
        drive.range = AccessibleRange::Member;
        drive.denies.clear();
        Ok(Answer::value(
            201,
            &serde_json::to_value(permission).unwrap_or_default(),
        ))
    })
}

/// The invited of a shared-with-me folder.
fn members(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.read(|world| {
        let share = call
            .place
            .share
            .and_then(|share| world.shares.get(share))
            .ok_or_else(Refusal::not_found)?;
        let members = serde_json::to_value(&share.members).unwrap_or(Value::Null);
        Ok(Answer::value(200, &json!({ "members": members })))
    })
}
