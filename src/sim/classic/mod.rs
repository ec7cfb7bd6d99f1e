//! The face of the classic (API-ID) generation on the api host.

pub(super) mod files;
mod view;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response};
use serde_json::{Value, json};

use super::answer::{Answer, Listing};
use super::connection::Breaker;
use super::faults::Subject;
use super::form::{Form, segments};
use super::operation::{Operation, Single};
use super::people::DriveKind;
use super::service::{Dialect, NoToken, Service};
use super::tree::{Entry, Node};
use super::upload;
use super::world::World;

/// Items of a page when `limit` is not given (classic docs, 1008012 and 1008016).
const DEFAULT_LIMIT: usize = 20;
/// Largest JSON body that is read.
const BODY_BYTES: usize = 64 * 1024;

/// An error: of the gateway (status, number, text) or of Drive itself.
#[derive(Debug)]
enum Refusal {
    Gateway(u16, &'static str, &'static str),
    Drive(u16, &'static str, String),
}

impl Refusal {
    fn not_found() -> Self {
        Self::Drive(404, "NOT_FOUND", "resource not found".to_owned())
    }

    fn invalid(text: &str) -> Self {
        Self::Drive(400, "INVALID_PARAMETER", text.to_owned())
    }

    fn answer(self, service: &Service) -> Answer {
        match self {
            Self::Gateway(status, number, text) => service.gateway_error(status, number, text),
            Self::Drive(status, code, text) => service.error(Dialect::Classic, status, code, &text),
        }
    }
}

impl From<upload::Refusal> for Refusal {
    fn from((status, code, text): upload::Refusal) -> Self {
        Self::Drive(status, code, text)
    }
}

/// What a path below `/r/{API ID}/drive` names.
#[derive(Debug)]
struct Route<'a> {
    single: Single,
    location: Option<&'a str>,
    key: Option<&'a str>,
}

fn route<'a>(method: &Method, path: &[&'a str]) -> Option<Route<'a>> {
    let get = method == Method::GET;
    let post = method == Method::POST;
    let (single, location, key) = match path {
        ["v2", "files", "root"] if get => (Single::ClassicRoot, None, Some("root")),
        ["v2", "group-folders"] if get => (Single::ClassicGroupFolders, None, None),
        ["rl", location, "v2", "files", key] if get => (Single::ClassicGet, Some(*location), Some(*key)),
        ["rl", location, "v2", "files", key, "children"] if get => {
            (Single::ClassicList, Some(*location), Some(*key))
        }
        ["rl", location, "v2", "files", key, "versions"] if get => {
            (Single::ClassicVersions, Some(*location), Some(*key))
        }
        ["rl", location, "v2", "files", key, "folder"] if post => {
            (Single::ClassicCreateFolder, Some(*location), Some(*key))
        }
        ["rl", location, "v2", "recycle-files"] if get => (Single::ClassicTrash, Some(*location), None),
        ["rl", location, "v2", "recycle-files", key, "restore"] if post => {
            (Single::ClassicTrashRestore, Some(*location), Some(*key))
        }
        _ => return None,
    };
    Some(Route {
        single,
        location,
        key,
    })
}

/// Answers a call of the api host outside `/v1.0`.
pub(super) async fn serve(service: Arc<Service>, breaker: Breaker, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = segments(parts.uri.path());
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let (api_id, rest) = match words.as_slice() {
        ["r", api_id, "drive", rest @ ..] => (*api_id, route(&parts.method, rest)),
        [api_id, ..] => (*api_id, None),
        [] => ("", None),
    };
    let single = rest.as_ref().map_or(Single::Unknown, |route| route.single);
    let target = parts.uri.to_string();
    let subject = || {
        let key = rest.as_ref().and_then(|route| route.key);
        subject(&service, &parts.headers, key)
    };
    let begun = match service
        .begin(
            Operation::single(single),
            Dialect::Classic,
            &target,
            &breaker,
            subject,
        )
        .await
    {
        Ok(begun) => begun,
        Err(answer) => return *answer,
    };
    let query = Form::parse(parts.uri.query().unwrap_or_default());
    let body = match axum::body::to_bytes(body, BODY_BYTES).await {
        Ok(bytes) if !bytes.is_empty() => serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        _ => Value::Null,
    };
    let answer = match rest {
        None => Err(Refusal::Gateway(404, "001", "Not support url")),
        Some(_) if api_id != service.options.api_id => {
            Err(Refusal::Gateway(403, "041", "Not allowed tenantApiId"))
        }
        Some(route) => member(&service, &parts.headers).and_then(|member| {
            let call = Call {
                service: &service,
                member,
                query: &query,
                body: &body,
            };
            call.answer(&route)
        }),
    };
    let answer = answer.unwrap_or_else(|refusal| refusal.answer(&service));
    service.finish(begun, answer)
}

fn subject(service: &Service, headers: &HeaderMap, key: Option<&str>) -> Subject {
    let node = key.and_then(|key| {
        let acting = member(service, headers).ok();
        service.world.read(|world| match (key, acting) {
            ("root", Some(acting)) => world.my_drive(acting).and_then(|drive| world.root(drive)),
            _ => world.node(key),
        })
    });
    service.subject(node)
}

/// The member who acts, once both headers are accepted.
fn member(service: &Service, headers: &HeaderMap) -> Result<usize, Refusal> {
    let access = service.access(headers).map_err(|reason| match reason {
        NoToken::Missing => Refusal::Gateway(401, "028", "Authentication header not exists"),
        NoToken::Malformed => Refusal::Gateway(401, "029", "Malformed authentication header"),
        NoToken::Refused => Refusal::Gateway(401, "024", "Authentication failed"),
    })?;
    let key = headers.get("consumerkey").and_then(|key| key.to_str().ok());
    if key != Some(service.options.consumer_key.as_str()) {
        return Err(Refusal::Gateway(403, "042", "Not allowed consumerKey"));
    }
    access.actor.member().ok_or(Refusal::Drive(
        403,
        "FORBIDDEN",
        "a server token does not open Drive".to_owned(),
    ))
}

/// A live entry by its key, seen by a member; `root` is the root of My Drive.
fn entry(
    service: &Service,
    world: &World,
    member: usize,
    location: Option<&str>,
    key: &str,
) -> Result<Node, Refusal> {
    let node = if key == "root" {
        world.my_drive(member).and_then(|drive| world.root(drive))
    } else {
        world
            .node(key)
            .filter(|node| world.tree.get(*node).is_some_and(Entry::is_alive))
    };
    let node = node.ok_or_else(Refusal::not_found)?;
    check_location(service, world, node, location)?;
    if !world.may_access(member, node) {
        return Err(Refusal::Drive(403, "FORBIDDEN", "no permission".to_owned()));
    }
    Ok(node)
}

fn check_location(
    service: &Service,
    world: &World,
    node: Node,
    location: Option<&str>,
) -> Result<(), Refusal> {
    let right = view::location(world, node).to_string();
    if service.options.check_location && location.is_some_and(|given| given != right) {
        return Err(Refusal::not_found());
    }
    Ok(())
}

struct Call<'a> {
    service: &'a Service,
    member: usize,
    query: &'a Form,
    body: &'a Value,
}

impl Call<'_> {
    fn answer(&self, route: &Route<'_>) -> Result<Answer, Refusal> {
        let key = route.key.unwrap_or_default();
        match route.single {
            Single::ClassicRoot | Single::ClassicGet => self.service.world.read(|world| {
                let node = entry(self.service, world, self.member, route.location, key)?;
                Ok(Answer::value(200, &view::resource(world, self.service, node)))
            }),
            Single::ClassicList => self.children(route.location, key),
            Single::ClassicVersions => self.versions(route.location, key),
            Single::ClassicCreateFolder => self.create_folder(route.location, key),
            Single::ClassicTrash => self.trash(),
            Single::ClassicTrashRestore => self.restore(key),
            _ => self.group_folders(),
        }
    }

    /// The `offset` and `limit` of a list.
    fn window(&self) -> Result<(usize, usize), Refusal> {
        let number = |name: &str, default: usize| match self.query.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| Refusal::invalid("offset and limit must be numbers")),
        };
        let limit = number("limit", DEFAULT_LIMIT)?;
        if limit == 0 {
            return Err(Refusal::invalid("limit must be at least 1"));
        }
        Ok((
            number("offset", 0)?,
            limit.min(self.service.options.classic_page.max(1)),
        ))
    }

    /// A page of a list, of which `item` makes the objects.
    fn page(&self, total: usize, item: impl Fn(usize) -> Value) -> Result<Answer, Refusal> {
        let (offset, limit) = self.window()?;
        let end = offset.saturating_add(limit).min(total);
        let items: Vec<Value> = (offset..end).map(item).collect();
        let mut answer = Answer::value(
            200,
            &json!({ "offset": offset, "hasMore": end < total, "items": items }),
        );
        answer.listing = Some(Listing {
            own_cursor: None,
            foreign_cursor: None,
        });
        Ok(answer)
    }

    fn children(&self, location: Option<&str>, key: &str) -> Result<Answer, Refusal> {
        self.service.world.read(|world| {
            let folder = entry(self.service, world, self.member, location, key)?;
            if !world.tree.get(folder).is_some_and(Entry::is_folder) {
                return Err(Refusal::invalid("not a folder"));
            }
            let (offset, limit) = self.window()?;
            let nodes = world.tree.children(folder);
            let end = offset.saturating_add(limit).min(nodes.len());
            let items = nodes.get(offset..end).unwrap_or_default();
            let mut answer = Answer::json(
                200,
                view::children(world, self.service, folder, items, offset, end < nodes.len()),
            );
            answer.listing = Some(Listing {
                own_cursor: None,
                foreign_cursor: None,
            });
            Ok(answer)
        })
    }

    fn versions(&self, location: Option<&str>, key: &str) -> Result<Answer, Refusal> {
        let with_current = self.query.get("includeCurrent") != Some("false");
        self.service.world.read(|world| {
            let node = entry(self.service, world, self.member, location, key)?;
            let versions = view::versions(world, node, with_current);
            self.page(versions.len(), |index| {
                versions.get(index).cloned().unwrap_or_default()
            })
        })
    }

    fn create_folder(&self, location: Option<&str>, key: &str) -> Result<Answer, Refusal> {
        let name = self
            .body
            .get("resourceName")
            .and_then(Value::as_str)
            .unwrap_or_default();
        upload::check_name(name)?;
        let now = self.service.clock.now_ms();
        self.service.world.write(|world| {
            let parent = entry(self.service, world, self.member, location, key)?;
            if !world.tree.get(parent).is_some_and(Entry::is_folder) {
                return Err(Refusal::invalid("not a folder"));
            }
            world.tree.index_names(parent);
            if world.tree.child_named(parent, name).is_some() {
                return Err(Refusal::Drive(409, "CONFLICT", "duplicate name".to_owned()));
            }
            let node = world.add_folder(parent, name, now);
            Ok(Answer::value(201, &view::resource(world, self.service, node)))
        })
    }

    /// The drive whose trash a call is about: My Drive, or that of the group in the query.
    fn trash_drive(&self, world: &World) -> Result<usize, Refusal> {
        let drive = match self.query.get("groupId") {
            Some(group) => world.group_drive(group),
            None => world.my_drive(self.member),
        };
        drive
            .filter(|drive| world.may_reach(self.member, *drive))
            .ok_or_else(Refusal::not_found)
    }

    fn trash(&self) -> Result<Answer, Refusal> {
        let sort = self.query.get("sort").unwrap_or("name");
        let reverse = self.query.get("order") == Some("desc");
        self.service.world.read(|world| {
            let drive = self.trash_drive(world)?;
            let mut nodes = world
                .drives()
                .get(drive)
                .map(|drive| drive.trash.clone())
                .unwrap_or_default();
            view::sort_trash(world, &mut nodes, sort, reverse);
            self.page(nodes.len(), |index| {
                nodes
                    .get(index)
                    .map_or(Value::Null, |node| view::recycled(world, *node))
            })
        })
    }

    fn restore(&self, key: &str) -> Result<Answer, Refusal> {
        let overwrite = self
            .body
            .get("overWrite")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let now = self.service.clock.now_ms();
        self.service.world.write(|world| {
            let node = world.node(key).ok_or_else(Refusal::not_found)?;
            let trashed = world
                .drives()
                .get(world.drive_of(node))
                .is_some_and(|drive| drive.trash.contains(&node));
            if !trashed || !world.may_access(self.member, node) {
                return Err(Refusal::not_found());
            }
            let parent = match self.body.get("toParentKey").and_then(Value::as_str) {
                Some(key) => entry(self.service, world, self.member, None, key)?,
                None => world.tree.get(node).map_or(node, |entry| entry.parent),
            };
            if !world.tree.get(parent).is_some_and(Entry::is_alive) {
                return Err(Refusal::not_found());
            }
            let name = world
                .tree
                .get(node)
                .map_or_else(String::new, |entry| entry.name.to_string());
            if let Some(other) = world.tree.child_named(parent, &name) {
                if !overwrite {
                    return Err(Refusal::Drive(409, "CONFLICT", "duplicate name".to_owned()));
                }
                world.trash(other, now, Some(self.member));
            }
            let back = world.restore(node, parent, true);
            Ok(Answer::value(
                200,
                &json!({ "shareNo": 0, "resourceKey": world.id(back), "resourceNo": World::number(back) }),
            ))
        })
    }

    fn group_folders(&self) -> Result<Answer, Refusal> {
        self.service.world.read(|world| {
            let roots: Vec<Node> = world
                .drives()
                .iter()
                .enumerate()
                .filter(|(position, drive)| {
                    matches!(drive.kind, DriveKind::Group(_)) && world.may_reach(self.member, *position)
                })
                .map(|(_, drive)| drive.root)
                .collect();
            self.page(roots.len(), |index| {
                roots
                    .get(index)
                    .map_or(Value::Null, |root| view::resource(world, self.service, *root))
            })
        })
    }
}
