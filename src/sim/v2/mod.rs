//! The face of API 2.0 on the api host.

mod cursor;
mod directory;
mod files;
mod items;
mod lists;
mod route;
mod sharing;
mod view;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use serde_json::Value;

use self::route::{DriveRoute, Route};
use super::answer::Answer;
use super::connection::Breaker;
use super::faults::Subject;
use super::form::{Form, segments};
use super::operation::{Family, Operation, Single, Verb};
use super::service::{Dialect, NoToken, Service};
use super::tokens::{Access, Actor};
use super::tree::{Entry, Node};
use super::upload;
use super::world::World;

/// Largest JSON body that is read.
const BODY_BYTES: usize = 1024 * 1024;

/// An error of API 2.0: status, code, description.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    status: u16,
    code: &'static str,
    description: String,
}

impl Refusal {
    fn new(status: u16, code: &'static str, description: &str) -> Self {
        Self {
            status,
            code,
            description: description.to_owned(),
        }
    }

    fn invalid(description: &str) -> Self {
        Self::new(400, "INVALID_PARAMETER", description)
    }

    fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "Resource does not exist.")
    }

    fn denied() -> Self {
        Self::new(403, "ACCESS_DENIED", "Access is denied: no permission.")
    }

    fn not_allowed() -> Self {
        Self::new(403, "FORBIDDEN", "Not allowed api")
    }
}

impl From<upload::Refusal> for Refusal {
    fn from((status, code, description): upload::Refusal) -> Self {
        Self {
            status,
            code,
            description,
        }
    }
}

/// The drive, or the part of one, that a call is about.
#[derive(Debug, Clone, Copy)]
struct Place {
    family: Family,
    drive: usize,
    root: Node,
    /// The acting member.
    member: usize,
    /// The invitation of a shared-with-me folder.
    share: Option<usize>,
    writable: bool,
}

/// One call inside a family, with all that it brings.
#[derive(Debug)]
struct Call<'a> {
    service: &'a Service,
    route: &'a DriveRoute,
    place: Place,
    query: &'a Form,
    body: &'a Value,
}

/// Answers a call below `/v1.0`.
pub(super) async fn serve(service: Arc<Service>, breaker: Breaker, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = segments(parts.uri.path());
    let words: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
    let route = route::route(&parts.method, &words);
    let operation = route
        .as_ref()
        .map_or(Operation::single(Single::Unknown), Route::operation);
    let target = parts.uri.to_string();
    let subject = || subject(&service, route.as_ref(), &parts.headers);
    let begun = match service
        .begin(operation, Dialect::V2, &target, &breaker, subject)
        .await
    {
        Ok(begun) => begun,
        Err(answer) => return *answer,
    };
    let body = if parts.method == Method::GET {
        Ok(Value::Null)
    } else {
        read_json(body).await
    };
    let query = Form::parse(parts.uri.query().unwrap_or_default());
    let answer = match (route, body) {
        (None, _) => Err(Refusal::new(404, "NOT_FOUND", "There is nothing at this address")),
        (_, Err(refusal)) => Err(refusal),
        (Some(route), Ok(body)) => access(&service, &parts.headers).and_then(|access| match &route {
            Route::Plain(single, id) => {
                directory::answer(&service, &access, *single, id.as_deref(), &query, &body)
            }
            Route::Drive(route) => {
                let place = place(&service, &access, route)?;
                drive(&Call {
                    service: &service,
                    route,
                    place,
                    query: &query,
                    body: &body,
                })
            }
        }),
    };
    let answer = answer.unwrap_or_else(|refusal| {
        service.error(Dialect::V2, refusal.status, refusal.code, &refusal.description)
    });
    service.finish(begun, answer)
}

/// The answer to an upload whose bytes have all come.
pub(super) fn uploaded(service: &Service, node: Node) -> Answer {
    if service.options.silent_uploads {
        return Answer::empty(201);
    }
    let body = service
        .world
        .read(|world| view::file(world, &service.options, node));
    Answer::json(201, body)
}

async fn read_json(body: Body) -> Result<Value, Refusal> {
    let bytes = axum::body::to_bytes(body, BODY_BYTES)
        .await
        .map_err(|_| Refusal::invalid("the body cannot be read"))?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|_| Refusal::invalid("the body is not JSON"))
}

/// The file, folder or root that a call is about.
fn subject(service: &Service, route: Option<&Route>, headers: &axum::http::HeaderMap) -> Subject {
    let Some(route) = route else {
        return Subject::default();
    };
    let by_id = route
        .item()
        .and_then(|id| service.world.read(|world| world.node(id)));
    let node = by_id.or_else(|| match route {
        Route::Drive(inside) => {
            let access = service.access(headers).ok()?;
            place(service, &access, inside).ok().map(|place| place.root)
        }
        Route::Plain(..) => None,
    });
    let subject = service.subject(node);
    if node.is_none() && subject.id.is_empty() {
        return Subject {
            id: route.item().unwrap_or_default().to_owned(),
            name: String::new(),
        };
    }
    subject
}

fn access(service: &Service, headers: &axum::http::HeaderMap) -> Result<Access, Refusal> {
    service.access(headers).map_err(|reason| {
        let text = match reason {
            NoToken::Missing => "Authorization is missing",
            NoToken::Malformed => "Authorization is not a Bearer token",
            NoToken::Refused => "Authentication failed",
        };
        Refusal::new(401, "UNAUTHORIZED", text)
    })
}

/// Refuses a token without one of the scopes.
fn demand_scope(service: &Service, access: &Access, scopes: &[&str]) -> Result<(), Refusal> {
    if service.options.enforce_scopes && !access.has_scope(scopes) {
        return Err(Refusal::not_allowed());
    }
    Ok(())
}

/// Finds the drive of a call, and refuses those who may not reach it.
fn place(service: &Service, access: &Access, route: &DriveRoute) -> Result<Place, Refusal> {
    let Actor::Member(member) = access.actor else {
        return Err(Refusal::not_allowed());
    };
    let reads = matches!(
        route.verb,
        Verb::Get
            | Verb::ListRoot
            | Verb::List
            | Verb::GetItem
            | Verb::Download
            | Verb::Revisions
            | Verb::RevisionGet
            | Verb::RevisionDownload
            | Verb::Trash
            | Verb::LinkSetting
            | Verb::Link
            | Verb::Share
            | Verb::Permissions
            | Verb::PermissionGet
            | Verb::DrivePermissions
            | Verb::DrivePermissionGet
            | Verb::Sharedfolders
            | Verb::Members
    );
    let scopes: &[&str] = match (route.family, reads) {
        (Family::Group, true) => &["file", "file.read", "group.folder", "group.folder.read"],
        (Family::Group, false) => &["file", "group.folder"],
        (_, true) => &["file", "file.read"],
        (_, false) => &["file"],
    };
    demand_scope(service, access, scopes)?;
    let place = service.world.read(|world| find_place(world, member, route))?;
    if !reads && !place.writable {
        return Err(Refusal::denied());
    }
    Ok(place)
}

fn find_place(world: &World, member: usize, route: &DriveRoute) -> Result<Place, Refusal> {
    let no_drive = || Refusal::new(404, "DRIVE_FOLDER_NOT_EXIST", "Drive folder does not exist.");
    let whole = |drive: usize| {
        let root = world.root(drive).ok_or_else(no_drive)?;
        Ok(Place {
            family: route.family,
            drive,
            root,
            member,
            share: None,
            writable: true,
        })
    };
    match route.family {
        Family::My | Family::SharedFolder => {
            let owner = member_in_path(world, member, &route.of)?;
            if owner != member {
                return Err(Refusal::denied());
            }
            let Some(folder) = &route.shared_folder else {
                return whole(world.my_drive(owner).ok_or_else(no_drive)?);
            };
            let missing = || Refusal::new(404, "NOT_FOUND", "Shared folder or permission does not exist.");
            let (index, share) = world
                .shares
                .iter()
                .enumerate()
                .find(|(_, share)| view::shared_folder_id(world, share) == *folder)
                .ok_or_else(missing)?;
            let invited = share
                .members
                .iter()
                .find(|invited| world.covers(&invited.user_id, member))
                .ok_or_else(Refusal::denied)?;
            Ok(Place {
                family: route.family,
                drive: world.drive_of(share.node),
                root: share.node,
                member,
                share: Some(index),
                writable: invited.permission_type == "WRITE",
            })
        }
        Family::Shared => {
            let drive = world.shared_drive(&route.of).ok_or_else(no_drive)?;
            if !world.may_reach(member, drive) {
                return Err(Refusal::denied());
            }
            whole(drive)
        }
        Family::Group => {
            let drive = world.group_drive(&route.of).ok_or_else(no_drive)?;
            if !world.may_reach(member, drive) {
                return Err(Refusal::denied());
            }
            whole(drive)
        }
    }
}

/// The member that a path names: `me`, an id or a mail.
fn member_in_path(world: &World, acting: usize, name: &str) -> Result<usize, Refusal> {
    if name == "me" {
        return Ok(acting);
    }
    world
        .member(name)
        .ok_or_else(|| Refusal::new(404, "NOT_FOUND", "User does not exist."))
}

impl Call<'_> {
    /// The live entry that the path names, inside the call's place.
    fn item(&self, world: &World) -> Result<Node, Refusal> {
        self.entry(world, self.route.item.as_deref().unwrap_or_default())
    }

    /// The live entry with this id, inside the call's place.
    fn entry(&self, world: &World, id: &str) -> Result<Node, Refusal> {
        world
            .node(id)
            .filter(|node| world.tree.get(*node).is_some_and(Entry::is_alive))
            .filter(|node| world.drive_of(*node) == self.place.drive)
            .filter(|node| self.place.share.is_none() || world.is_below(*node, self.place.root))
            .ok_or_else(Refusal::not_found)
            .and_then(|node| {
                let hidden = self.place.family == Family::Shared && !world.may_open(self.place.member, node);
                if hidden { Err(Refusal::denied()) } else { Ok(node) }
            })
    }

    /// The live folder that the path names, or the root where the path names none.
    fn folder(&self, world: &World) -> Result<Node, Refusal> {
        let node = match self.route.item {
            Some(_) => self.item(world)?,
            None => self.place.root,
        };
        if !world
            .tree
            .get(node)
            .is_some_and(|entry| entry.is_folder() && entry.is_alive())
        {
            return Err(Refusal::not_found());
        }
        Ok(node)
    }

    /// A text of the body.
    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    fn flag(&self, name: &str) -> bool {
        self.body.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The File object as an answer.
    fn file(&self, status: u16, world: &World, node: Node) -> Answer {
        Answer::json(status, view::file(world, &self.service.options, node))
    }
}

fn drive(call: &Call<'_>) -> Result<Answer, Refusal> {
    match call.route.verb {
        Verb::Get => lists::properties(call),
        Verb::ListRoot | Verb::List => lists::children(call),
        Verb::Revisions => lists::revisions(call),
        Verb::RevisionGet => lists::revision(call),
        Verb::Trash => lists::trash(call),
        Verb::Sharedfolders => lists::shared_folders(call),
        Verb::GetItem => files::get(call),
        Verb::CreateFolderRoot | Verb::CreateFolder => files::create_folder(call),
        Verb::UploadUrlRoot | Verb::UploadUrl => files::upload_url(call),
        Verb::Download | Verb::RevisionDownload => files::download(call),
        Verb::Delete => items::delete(call),
        Verb::Copy => items::copy(call),
        Verb::Move => items::relocate(call),
        Verb::Rename => items::rename(call),
        Verb::Protect | Verb::Unprotect | Verb::Lock | Verb::Unlock => items::set_status(call),
        Verb::RevisionRestore => items::restore_revision(call),
        Verb::TrashRestore => items::restore(call),
        Verb::TrashDelete => items::erase(call),
        _ => sharing::answer(call),
    }
}
