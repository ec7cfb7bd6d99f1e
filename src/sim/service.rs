//! What all ports share, and what happens around every call: counting, limits, faults, recording.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Response, header};

use super::answer::{Answer, Delivery, Payload};
use super::clock::Clock;
use super::connection::Breaker;
use super::content::Content;
use super::distort::distort;
use super::faults::{Action, Faults, Subject};
use super::form::encode;
use super::limits::{AtOnce, Limits, Rate};
use super::operation::{Bucket, Operation};
use super::options::{GatewayErrors, Options};
use super::storage::Uploads;
use super::tokens::{Access, Tokens};
use super::tree::{Entry, Node};
use super::world::World;

/// The world of a running simulator: looked at and changed under a lock.
#[derive(Debug, Clone)]
pub struct SharedWorld(Arc<RwLock<World>>);

impl SharedWorld {
    pub(super) fn new(world: World) -> Self {
        Self(Arc::new(RwLock::new(world)))
    }

    /// Looks at the world.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the world; calls wait until it is done.
    pub fn write<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Addresses of the four ports, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Endpoints {
    /// Api host: API 2.0 below `/v1.0`, the classic generation below `/r/{API ID}`.
    pub api: String,
    /// Auth host: API 2.0 below `/oauth2/v2.0`, the classic generation below `/b` and `/ba`.
    pub auth: String,
    /// Storage host of API 2.0 and file host of the classic generation.
    pub storage: String,
    /// Control for other processes.
    pub admin: String,
}

/// The form of an error's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V2,
    Classic,
    Oauth,
}

/// A list sorted by a key, kept while the folder does not change.
pub(super) type Sorted = HashMap<(Node, String), (u32, Arc<[Node]>)>;

/// Everything a running simulator has.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) world: SharedWorld,
    pub(super) clock: Clock,
    pub(super) options: Options,
    pub(super) limits: Limits,
    pub(super) faults: Faults,
    pub(super) tokens: Tokens,
    pub(super) endpoints: Endpoints,
    uploads: Mutex<Uploads>,
    sorted: Mutex<Sorted>,
}

/// A call that has been counted and let through.
#[derive(Debug)]
pub(super) struct Begun {
    operation: Operation,
    actions: Vec<Action>,
    rate: Option<Rate>,
    breaker: Breaker,
    subject: Subject,
    // Held until the answer is made.
    _at_once: Option<AtOnce>,
}

/// Where an upload's request is to be cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestCut {
    pub(super) after: u64,
    pub(super) stall: bool,
}

/// Why a call carries no acceptable token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoToken {
    Missing,
    Malformed,
    Refused,
}

impl Service {
    pub(super) fn new(world: World, options: Options, endpoints: Endpoints, limits: Limits) -> Self {
        let clock = Clock::new(options.speed);
        let tokens = Tokens::new(&options, &world, clock.now_ms());
        Self {
            world: SharedWorld::new(world),
            clock,
            limits,
            faults: Faults::default(),
            tokens,
            endpoints,
            uploads: Mutex::default(),
            sorted: Mutex::default(),
            options,
        }
    }

    /// Where the file server has these bytes, if there is one and it has them.
    pub(super) fn elsewhere(&self, content: &Content) -> Option<String> {
        let server = self.options.file_server.as_ref()?;
        let Content::Disk(path) = content else { return None };
        let below = path.strip_prefix(&server.folder).ok()?;
        let names = below.iter().map(|name| name.to_str().map(encode));
        let path: Vec<String> = names.collect::<Option<_>>()?;
        Some(format!("{}/{}", server.url, path.join("/")))
    }

    pub(super) fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sorted(&self) -> MutexGuard<'_, Sorted> {
        self.sorted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The access that the call's `Authorization` header gives.
    pub(super) fn access(&self, headers: &HeaderMap) -> Result<Access, NoToken> {
        let value = headers.get(header::AUTHORIZATION).ok_or(NoToken::Missing)?;
        let token = value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "))
            .filter(|token| !token.is_empty() && !token.contains(' '))
            .ok_or(NoToken::Malformed)?;
        let access = self
            .tokens
            .find(token, self.clock.now_ms())
            .ok_or(NoToken::Refused)?;
        if let Some(member) = access.actor.member()
            && !self.world.read(|world| {
                world
                    .members()
                    .get(member)
                    .is_some_and(super::people::Member::can_act)
            })
        {
            return Err(NoToken::Refused);
        }
        Ok(access)
    }

    /// The subject of a call about one entry.
    pub(super) fn subject(&self, node: Option<Node>) -> Subject {
        self.world.read(
            |world| match node.and_then(|node| Some((node, world.tree.get(node)?))) {
                Some((node, entry)) => Subject {
                    id: world.id(node),
                    name: entry.name.to_string(),
                },
                None => Subject::default(),
            },
        )
    }

    /// Counts a call, judges it by the limits, and lets the faults happen that come before the work.
    ///
    /// `target` is the path and query of the call. An `Err` is the answer of a call that is not worked on.
    pub(super) async fn begin(
        &self,
        operation: Operation,
        dialect: Dialect,
        target: &str,
        breaker: &Breaker,
        subject: impl FnOnce() -> Subject,
    ) -> Result<Begun, Box<Response<Body>>> {
        let rate = self.limits.count(operation, self.clock.now_ms());
        let at_once = if operation.bucket() != Bucket::Unlimited {
            let entered = self.limits.enter(self.options.at_once);
            if entered.is_none() {
                self.limits.count_refusal(operation);
                return Err(Box::new(self.refuse(
                    operation,
                    dialect,
                    self.options.at_once_status,
                    breaker,
                )));
            }
            entered
        } else {
            None
        };
        if let Some(rate) = rate.filter(|rate| rate.refused) {
            let answer = with_rate(operation, self.too_many(dialect, 429), rate);
            return Err(Box::new(self.send(
                operation,
                answer,
                &Delivery::default(),
                breaker,
            )));
        }
        if self.options.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.options.latency_ms)).await;
        }
        let mut about = Subject::default();
        let actions = self.faults.take(operation, || {
            about = subject();
            about.clone()
        });
        let begun = Begun {
            operation,
            actions,
            rate,
            breaker: breaker.clone(),
            subject: about,
            _at_once: at_once,
        };
        for index in 0..begun.actions.len() {
            if let Some(action) = begun.actions.get(index)
                && let Some(answer) = self.before(&begun, action, dialect, target).await
            {
                return Err(Box::new(self.finish(begun, answer)));
            }
        }
        Ok(begun)
    }

    fn refuse(
        &self,
        operation: Operation,
        dialect: Dialect,
        status: u16,
        breaker: &Breaker,
    ) -> Response<Body> {
        self.send(
            operation,
            self.too_many(dialect, status),
            &Delivery::default(),
            breaker,
        )
    }

    fn too_many(&self, dialect: Dialect, status: u16) -> Answer {
        self.error(dialect, status, "TOO_MANY_REQUESTS", "API rate limit exceeded")
    }

    /// An error in the form of the generation.
    pub(super) fn error(&self, dialect: Dialect, status: u16, code: &str, text: &str) -> Answer {
        let body = match dialect {
            Dialect::V2 => serde_json::json!({ "code": code, "description": text }),
            Dialect::Classic => serde_json::json!({ "code": code, "message": text }),
            Dialect::Oauth => serde_json::json!({ "error": code, "error_description": text }),
        };
        Answer::value(status, &body)
    }

    /// An error of the classic gateway.
    pub(super) fn gateway_error(&self, status: u16, number: &str, text: &str) -> Answer {
        let body = match self.options.gateway_errors {
            GatewayErrors::ErrorMessage => {
                let word = if status == 401 {
                    "UNAUTHORIZED"
                } else {
                    "FORBIDDEN"
                };
                serde_json::json!({ "errorMessage": text, "errorCode": number, "code": word })
            }
            GatewayErrors::Message => serde_json::json!({ "message": text, "code": number }),
        };
        Answer::value(status, &body)
    }

    /// A fault that comes before the work; the answer when the work is not to be done.
    async fn before(&self, begun: &Begun, action: &Action, dialect: Dialect, target: &str) -> Option<Answer> {
        match action {
            Action::Status { code, headers, body } => {
                let mut answer = match body {
                    Some(body) => Answer::json(*code, body.clone()),
                    None => self.error(dialect, *code, fault_code(*code), "a fault of the script"),
                };
                for (name, value) in headers {
                    if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                        answer = answer.with(name, value.clone());
                    }
                }
                Some(answer)
            }
            Action::Delay { milliseconds } => {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
                None
            }
            Action::ResetBeforeHeaders => {
                begun.breaker.reset();
                Some(Answer::empty(500))
            }
            Action::Html200 => {
                let page = "<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>";
                let mut answer = Answer::json(200, page);
                answer.headers = vec![(header::CONTENT_TYPE, "text/html; charset=UTF-8".to_owned())];
                Some(answer)
            }
            Action::Json200 { body } => Some(Answer::json(200, body.clone())),
            Action::ExpiredToken => Some(match dialect {
                Dialect::Classic => self.gateway_error(401, "024", "Authentication failed"),
                _ => self.error(dialect, 401, "UNAUTHORIZED", "Authentication failed"),
            }),
            Action::ExpiredUrl { code } => {
                Some(self.error(dialect, *code, "EXPIRED_URL", "The URL has expired"))
            }
            Action::RedirectTo { url } => Some(Answer::redirect(url.clone())),
            Action::RedirectLoop => Some(Answer::redirect(target.to_owned())),
            Action::Vanish => {
                self.world.write(|world| {
                    if let Some(node) = world.node(&begun.subject.id) {
                        world.erase(node);
                    }
                });
                None
            }
            _ => None,
        }
    }

    /// Works the faults that come after the work into the answer, records it, and sends it.
    pub(super) fn finish(&self, begun: Begun, mut answer: Answer) -> Response<Body> {
        let mut delivery = Delivery::default();
        for action in &begun.actions {
            match action {
                Action::ResetAfterBytes { bytes } => delivery.reset_after = Some(*bytes),
                Action::StallAfterBytes { bytes } => delivery.stall_after = Some(*bytes),
                Action::SlowDrip { bytes_per_second } => delivery.drip = Some(*bytes_per_second),
                Action::WrongLength { by } => delivery.wrong_by = *by,
                Action::ShortCleanEnd { bytes } => delivery.shorten_to = Some(*bytes),
                Action::ExtraBytes { bytes } => delivery.extra = *bytes,
                Action::CorruptGzip => {
                    answer.headers.push((header::CONTENT_ENCODING, "gzip".to_owned()));
                    answer.payload = Payload::Bytes(bytes::Bytes::from_static(
                        b"\x1f\x8b\x08\x00these bytes are no gzip",
                    ));
                }
                Action::WrongContentType { content_type } => {
                    answer.headers.retain(|(name, _)| name != header::CONTENT_TYPE);
                    answer.headers.push((header::CONTENT_TYPE, content_type.clone()));
                }
                Action::EndlessHeaders => {
                    let more = (0..ENDLESS).filter_map(|number| {
                        let name = HeaderName::try_from(format!("x-more-{number}")).ok()?;
                        Some((name, "0".repeat(100)))
                    });
                    answer.headers.extend(more);
                }
                Action::LostAnswer => begun.breaker.reset(),
                Action::MutateListing { add, remove } => {
                    self.mutate(&begun.subject, add.as_deref(), remove.as_deref())
                }
                other => distort(&mut answer, other),
            }
        }
        if let Some(rate) = begun.rate
            && answer.status != 302
        {
            answer = with_rate(begun.operation, answer, rate);
        }
        self.send(begun.operation, answer, &delivery, &begun.breaker)
    }

    fn send(
        &self,
        operation: Operation,
        answer: Answer,
        delivery: &Delivery,
        breaker: &Breaker,
    ) -> Response<Body> {
        self.limits
            .record(operation, if breaker.is_broken() { 0 } else { answer.status });
        answer.send(delivery, breaker)
    }

    fn mutate(&self, folder: &Subject, add: Option<&str>, remove: Option<&str>) {
        let now = self.clock.now_ms();
        self.world.write(|world| {
            let Some(folder) = world
                .node(&folder.id)
                .filter(|node| world.tree.get(*node).is_some_and(Entry::is_folder))
            else {
                return;
            };
            if let Some(child) = remove.and_then(|name| world.tree.child_named(folder, name)) {
                world.trash(child, now, None);
            }
            if let Some(name) = add {
                world.add_file(folder, name, 100, 1, now);
            }
        });
    }
}

/// Headers that stand for headers without end: half a megabyte of them, where clients take 100 (hyper's `max_headers`).
const ENDLESS: usize = 5_000;

impl Begun {
    /// The cut of an upload's request, which is then not one of its answer.
    pub(super) fn take_request_cut(&mut self) -> Option<RequestCut> {
        let position = self.actions.iter().position(|action| {
            matches!(
                action,
                Action::ResetAfterBytes { .. } | Action::StallAfterBytes { .. }
            )
        })?;
        match self.actions.remove(position) {
            Action::ResetAfterBytes { bytes } => Some(RequestCut {
                after: bytes,
                stall: false,
            }),
            Action::StallAfterBytes { bytes } => Some(RequestCut {
                after: bytes,
                stall: true,
            }),
            _ => None,
        }
    }

    /// Resets the connection at the next write.
    pub(super) fn break_connection(&self) {
        self.breaker.reset();
    }
}

fn fault_code(status: u16) -> &'static str {
    match status {
        400 => "INVALID_PARAMETER",
        401 => "UNAUTHORIZED",
        403 => "ACCESS_DENIED",
        404 => "NOT_FOUND",
        409 => "CONFLICT",
        429 => "TOO_MANY_REQUESTS",
        503 => "SERVICE_UNAVAILABLE",
        _ => "INTERNAL_SERVER_ERROR",
    }
}

/// Adds the four headers of the API 2.0 docs, rate-limits; `ssed` is their spelling. No such headers of the classic generation are known.
fn with_rate(operation: Operation, answer: Answer, rate: Rate) -> Answer {
    if operation.bucket() != Bucket::Own {
        return answer;
    }
    answer
        .with(HeaderName::from_static("ratelimit-ssed"), rate.used.to_string())
        .with(HeaderName::from_static("ratelimit-limit"), rate.limit.to_string())
        .with(
            HeaderName::from_static("ratelimit-remaining"),
            rate.limit.saturating_sub(rate.used).to_string(),
        )
        .with(
            HeaderName::from_static("ratelimit-reset"),
            rate.reset_seconds.to_string(),
        )
}
