//! Links, invitations and permissions of API 2.0.

use serde_json::{Value, json};

use super::{Call, Refusal};
use crate::sim::answer::Answer;
use crate::sim::operation::Verb;
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
        Verb::DrivePermissions | Verb::DrivePermissionCreate | Verb::DrivePermissionDelete => {
            drive_permissions(call)
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
fn named(world: &World, id: &str) -> Result<(String, String), Refusal> {
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

fn create_permission(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        let node = call.item(world)?;
        let permission = asked(call, world, "")?;
        if let Some(entry) = world.tree.get_mut(node) {
            entry.set(flag::HAS_PERMISSION, true);
            entry.extra_mut().permissions.push(permission);
        }
        Ok(Answer::value(
            201,
            &json!({ "permissions": entry_permissions(world, node) }),
        ))
    })
}

fn one_permission(call: &Call<'_>) -> Result<Answer, Refusal> {
    let wanted = call.route.part.as_deref().unwrap_or_default();
    call.service.world.write(|world| {
        let node = call.item(world)?;
        let permissions = world
            .tree
            .get_mut(node)
            .and_then(|entry| entry.extra.as_mut())
            .map(|extra| &mut extra.permissions)
            .ok_or_else(Refusal::not_found)?;
        let position = permissions
            .iter()
            .position(|permission| permission.permission_id == wanted)
            .ok_or_else(Refusal::not_found)?;
        if call.route.verb == Verb::PermissionDelete {
            permissions.remove(position);
            return Ok(Answer::empty(204));
        }
        let permission = permissions.get_mut(position).ok_or_else(Refusal::not_found)?;
        if call.route.verb == Verb::PermissionModify {
            permission.kind = call.text("type").unwrap_or(&permission.kind).to_owned();
        }
        Ok(Answer::value(
            200,
            &serde_json::to_value(permission).unwrap_or_default(),
        ))
    })
}

/// Breaks the inheritance of a folder, or drops what was granted on it.
fn enable_permissions(call: &Call<'_>) -> Result<Answer, Refusal> {
    let on = call.route.verb == Verb::PermissionsEnable;
    call.service.world.write(|world| {
        let node = call.item(world)?;
        if let Some(entry) = world.tree.get_mut(node) {
            entry.set(flag::HAS_PERMISSION, on);
            if !on {
                entry.extra_mut().permissions.clear();
            }
        }
        Ok(call.file(200, world, node))
    })
}

fn drive_permissions(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.write(|world| {
        let asked = match call.route.verb {
            Verb::DrivePermissionCreate => Some(asked(call, world, "WRITE")?),
            _ => None,
        };
        let drive = world
            .drives
            .get_mut(call.place.drive)
            .ok_or_else(Refusal::not_found)?;
        if let Some(permission) = asked {
            drive.range = AccessibleRange::Member;
            drive.permissions.push(permission.clone());
            return Ok(Answer::value(
                201,
                &serde_json::to_value(permission).unwrap_or_default(),
            ));
        }
        if call.route.verb == Verb::DrivePermissionDelete {
            let wanted = call.route.part.as_deref().unwrap_or_default();
            let before = drive.permissions.len();
            drive
                .permissions
                .retain(|permission| permission.permission_id != wanted);
            return if drive.permissions.len() < before {
                Ok(Answer::empty(204))
            } else {
                Err(Refusal::not_found())
            };
        }
        Ok(Answer::value(200, &json!({ "permissions": drive.permissions })))
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
