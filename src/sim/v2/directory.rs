//! Members, groups, organisational units, and the list of shared drives of API 2.0.

use serde_json::{Value, json};

use super::cursor::{Cursor, list_number};
use super::sharing::named;
use super::{Refusal, demand_scope, member_in_path, view};
use crate::sim::answer::{Answer, Listing};
use crate::sim::form::Form;
use crate::sim::operation::Single;
use crate::sim::people::{AccessibleRange, Denied};
use crate::sim::service::Service;
use crate::sim::tokens::{Access, Actor};
use crate::sim::world::World;

/// Default and largest `count` of a directory list (API 2.0 docs, user-list and group-list).
const COUNT: usize = 100;

const USER_SCOPES: [&str; 4] = ["user", "user.read", "directory", "directory.read"];
const GROUP_SCOPES: [&str; 4] = ["group", "group.read", "directory", "directory.read"];
const ORGUNIT_SCOPES: [&str; 4] = ["orgunit", "orgunit.read", "directory", "directory.read"];

/// Answers a call outside the Drive families.
pub(super) fn answer(
    service: &Service,
    access: &Access,
    single: Single,
    id: Option<&str>,
    query: &Form,
    body: &Value,
) -> Result<Answer, Refusal> {
    let id = id.unwrap_or_default();
    match single {
        Single::UsersList => {
            demand_scope(service, access, &USER_SCOPES)?;
            service
                .world
                .read(|world| list(service, "users", world.members.iter().map(view::user), query))
        }
        Single::UsersGet => {
            demand_scope(service, access, &USER_SCOPES)?;
            service.world.read(|world| {
                let acting = access.actor.member();
                if id == "me" && acting.is_none() {
                    return Err(Refusal::not_allowed());
                }
                let member = member_in_path(world, acting.unwrap_or(0), id)?;
                let member = world.members.get(member).ok_or_else(Refusal::not_found)?;
                Ok(Answer::value(200, &view::user(member)))
            })
        }
        Single::GroupsList | Single::GroupsGet | Single::GroupsMembers => {
            demand_scope(service, access, &GROUP_SCOPES)?;
            service
                .world
                .read(|world| groups(service, world, single, id, query))
        }
        Single::OrgunitsList => {
            demand_scope(service, access, &ORGUNIT_SCOPES)?;
            service.world.read(|world| {
                let all = world
                    .groups
                    .iter()
                    .filter(|group| group.is_orgunit)
                    .map(|group| json!({ "orgUnitId": group.group_id, "orgUnitName": group.name, "useFolder": group.use_folder }));
                list(service, "orgUnits", all, query)
            })
        }
        _ => shared_drives(service, access, single, id, body),
    }
}

fn groups(
    service: &Service,
    world: &World,
    single: Single,
    id: &str,
    query: &Form,
) -> Result<Answer, Refusal> {
    if single == Single::GroupsList {
        let all = world
            .groups
            .iter()
            .filter(|group| !group.is_orgunit)
            .map(|group| view::group(world, group));
        return list(service, "groups", all, query);
    }
    let group = world
        .group(id)
        .and_then(|group| world.groups.get(group))
        .ok_or_else(Refusal::not_found)?;
    let object = view::group(world, group);
    if single == Single::GroupsGet {
        return Ok(Answer::value(200, &object));
    }
    let members = object
        .get("members")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    list(service, "members", members.into_iter(), query)
}

/// A page of a directory list. A `count` over 100 answers an empty page, as the live service was seen to do.
fn list(
    service: &Service,
    key: &str,
    all: impl Iterator<Item = Value>,
    query: &Form,
) -> Result<Answer, Refusal> {
    let count = match query.get("count") {
        None => COUNT,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| Refusal::invalid("count must be 1 to 100"))?,
    };
    let number = list_number(5, key.len() as u64, key);
    let own = match query.get("cursor") {
        Some(text) => Cursor::read(text, number)?,
        None => Cursor::start(number),
    };
    let (items, next) = if count > COUNT {
        (Vec::new(), None)
    } else {
        let mut rest = all.skip(own.offset);
        let items: Vec<Value> = rest.by_ref().take(count).collect();
        let next = rest.next().map(|_| Cursor {
            list: number,
            offset: own.offset + items.len(),
            last: 0,
        });
        (items, next)
    };
    let mut out = format!("{{\"{key}\":{}", Value::Array(items));
    view::push_metadata(&mut out, &service.options, next);
    let mut answer = Answer::json(200, out);
    let foreign = Cursor {
        list: number ^ 1,
        ..own
    };
    answer.listing = Some(Listing {
        own_cursor: Some(own.write()),
        foreign_cursor: Some(foreign.write()),
    });
    Ok(answer)
}

fn shared_drives(
    service: &Service,
    access: &Access,
    single: Single,
    id: &str,
    body: &Value,
) -> Result<Answer, Refusal> {
    let Actor::Member(member) = access.actor else {
        return Err(Refusal::not_allowed());
    };
    let options = &service.options;
    if single == Single::SharedrivesList {
        demand_scope(service, access, &["file", "file.read"])?;
        return service.world.read(|world| {
            let drives: Vec<Value> = world
                .drives
                .iter()
                .filter(|drive| {
                    world
                        .shared_drive(&drive.owner)
                        .is_some_and(|drive| world.may_reach(member, drive))
                })
                .map(|drive| view::shared_drive(world, options, drive))
                .collect();
            Ok(Answer::value(200, &json!({ "sharedrives": drives })))
        });
    }
    demand_scope(service, access, &["file"])?;
    service.world.write(|world| {
        let position = if single == Single::SharedrivesCreate {
            let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
            let masters = masters(world, body)?;
            if !(1..=80).contains(&name.chars().count()) || masters.is_empty() {
                return Err(Refusal::invalid("name or masters is missing"));
            }
            // New drives are open to the domain unless the body says otherwise.
            let position = world.add_shared_drive(name, AccessibleRange::Domain);
            if let Some(drive) = world.drives.get_mut(position) {
                drive.masters = masters;
                drive.created = service.clock.now_ms();
            }
            position
        } else {
            let position = world
                .shared_drive(id)
                .ok_or_else(|| Refusal::new(404, "DRIVE_FOLDER_NOT_EXIST", "Drive folder does not exist."))?;
            if !world
                .drives
                .get(position)
                .is_some_and(|drive| drive.masters.contains(&member))
            {
                return Err(Refusal::denied());
            }
            position
        };
        let drive = world.drives.get_mut(position).ok_or_else(Refusal::not_found)?;
        if single == Single::SharedrivesDelete {
            drive.deleted = true;
            return Ok(Answer::empty(204));
        }
        if let Some(name) = body.get("name").and_then(Value::as_str) {
            drive.name = name.to_owned();
        }
        if let Some(description) = body.get("description").and_then(Value::as_str) {
            drive.description = description.to_owned();
        }
        rules(world, position, single == Single::SharedrivesCreate, body)?;
        let status = if single == Single::SharedrivesCreate {
            201
        } else {
            200
        };
        let drive = world.drives.get(position).ok_or_else(Refusal::not_found)?;
        Ok(Answer::value(status, &view::shared_drive(world, options, drive)))
    })
}

/// Sets who may reach a shared drive. Most ways from one range to another destroy something
/// (API 2.0 docs, JP/sharedrive-update-patch).
fn rules(world: &mut World, position: usize, is_new: bool, body: &Value) -> Result<(), Refusal> {
    let wanted: Option<AccessibleRange> = match body.get("accessibleRange") {
        Some(range) => Some(
            serde_json::from_value(range.clone())
                .map_err(|_| Refusal::invalid("accessibleRange is not valid"))?,
        ),
        None => None,
    };
    let right = body.get("permissionType").and_then(Value::as_str);
    if right.is_some_and(|right| !["READ", "WRITE"].contains(&right)) {
        return Err(Refusal::invalid("permissionType is not valid"));
    }
    let denies = match body.get("accessDenies") {
        Some(given) => Some(denies(world, given)?),
        None => None,
    };
    let changed = match body.get("masters") {
        Some(_) if !is_new => Some(masters(world, body)?),
        _ => None,
    };
    if changed.as_ref().is_some_and(Vec::is_empty) {
        return Err(Refusal::invalid("masters is empty"));
    }
    let has_folder_permissions = world.has_folder_permissions(position);
    let drive = world.drives.get_mut(position).ok_or_else(Refusal::not_found)?;
    let before = drive.range;
    let range = wanted.unwrap_or(before);
    if denies.as_ref().is_some_and(|denies| !denies.is_empty())
        && (range != AccessibleRange::Domain || !drive.permissions.is_empty())
    {
        return Err(Refusal::invalid("accessDenies cannot be set on this drive"));
    }
    match (before, range) {
        (AccessibleRange::Domain, AccessibleRange::Tenant) if !drive.denies.is_empty() => {
            return Err(Refusal::invalid("the drive has accessDenies"));
        }
        (AccessibleRange::Tenant | AccessibleRange::Domain, AccessibleRange::Member) => {
            if has_folder_permissions {
                return Err(Refusal::invalid("folders of the drive have permissions"));
            }
            drive.denies.clear();
        }
        (AccessibleRange::Member, AccessibleRange::Tenant | AccessibleRange::Domain) => {
            drive.permissions.clear();
        }
        _ => {}
    }
    drive.range = range;
    if let Some(right) = right {
        drive.right = right.to_owned();
    }
    if let Some(denies) = denies {
        drive.denies = denies;
    }
    if let Some(masters) = changed {
        drive.masters = masters;
    }
    Ok(())
}

fn denies(world: &World, given: &Value) -> Result<Vec<Denied>, Refusal> {
    let given: Vec<Denied> =
        serde_json::from_value(given.clone()).map_err(|_| Refusal::invalid("accessDenies is not valid"))?;
    given
        .into_iter()
        .map(|mut denied| {
            (denied.id, denied.name) = named(world, &denied.id)?;
            Ok(denied)
        })
        .collect()
}

fn masters(world: &World, body: &Value) -> Result<Vec<usize>, Refusal> {
    body.get("masters")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|master| {
            master
                .get("id")
                .and_then(Value::as_str)
                .and_then(|id| world.member(id))
                .ok_or_else(|| Refusal::invalid("masters names nobody"))
        })
        .collect()
}
