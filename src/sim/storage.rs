//! The storage host of API 2.0 and the file host of the classic generation: where the bytes go.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Response, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answer::Answer;
use super::connection::Breaker;
use super::faults::Subject;
use super::form::{Form, encode, segments};
use super::operation::{Operation, Single};
use super::service::{Begun, Dialect, NoToken, Service};
use super::tree::{Node, flag};
use super::upload::{self, End, Refusal, Source};
use super::{classic, download, v2};

pub(super) use super::upload::Uploads;

/// Answers a call of the storage host.
pub(super) async fn serve(service: Arc<Service>, breaker: Breaker, request: Request<Body>) -> Response<Body> {
    let path = segments(request.uri().path());
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let query = Form::parse(request.uri().query().unwrap_or_default());
    match (request.method().clone(), words.as_slice()) {
        (Method::GET, ["k1", "drive", "r", _, "download"]) => {
            let ticket = DownloadTicket::read(query.text("param"));
            let (parts, _) = request.into_parts();
            send(&service, &breaker, &parts, ticket).await
        }
        (Method::PUT | Method::POST, ["k1", "drive", "r", _, "upload"]) => {
            let number = STANDARD
                .decode(query.text("param"))
                .ok()
                .and_then(|plain| serde_json::from_slice::<serde_json::Value>(&plain).ok())
                .and_then(|plain| plain.get("ticket").and_then(serde_json::Value::as_u64));
            receive(&service, &breaker, request, number.unwrap_or(0)).await
        }
        (Method::GET, ["drive", "rl", location, "v2", "files", key, "download"]) => {
            let (location, key) = ((*location).to_owned(), (*key).to_owned());
            let (parts, _) = request.into_parts();
            classic::files::send(&service, &breaker, &parts, &location, &key).await
        }
        (Method::POST, ["drive", "rl", location, "v2", "files"]) => {
            let location = (*location).to_owned();
            classic::files::receive(&service, &breaker, request, &location).await
        }
        _ => {
            let operation = Operation::single(Single::Unknown);
            let target = request.uri().to_string();
            match service
                .begin(operation, Dialect::V2, &target, &breaker, Subject::default)
                .await
            {
                Ok(begun) => {
                    let answer =
                        service.error(Dialect::V2, 404, "NOT_FOUND", "There is nothing at this address");
                    service.finish(begun, answer)
                }
                Err(answer) => *answer,
            }
        }
    }
}

/// What a download URL stands for.
#[derive(Debug)]
pub(super) struct DownloadTicket {
    id: String,
    revision: Option<usize>,
    expires: i64,
}

impl DownloadTicket {
    /// The URL at which the bytes can be had until `expires`.
    pub(super) fn url(service: &Service, id: &str, location: i32, revision: Option<usize>) -> String {
        let expires = service
            .clock
            .now_ms()
            .saturating_add(service.options.url_seconds.saturating_mul(1_000));
        let revision = revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        let param = STANDARD.encode(format!("{id} {revision} {expires}"));
        format!(
            "{}/k1/drive/r/{location}/download?param={}",
            service.endpoints.storage,
            encode(&param)
        )
    }

    fn read(param: &str) -> Option<Self> {
        let plain = String::from_utf8(STANDARD.decode(param).ok()?).ok()?;
        let mut parts = plain.split(' ');
        Some(Self {
            id: parts.next()?.to_owned(),
            revision: parts.next()?.parse().ok(),
            expires: parts.next()?.parse().ok()?,
        })
    }
}

/// The URL to which the bytes of a ticket are sent; as in the docs' example, what was asked for is bound into it.
pub(super) fn upload_url(
    service: &Service,
    number: u64,
    plan: &upload::Plan,
    location: i32,
    parent: &str,
) -> String {
    let param = serde_json::json!({
        "parentKey": parent,
        "fileName": plan.name,
        "fileSize": plan.size,
        "ticket": number,
    });
    let param = STANDARD.encode(param.to_string());
    format!(
        "{}/k1/drive/r/{location}/upload?param={}",
        service.endpoints.storage,
        encode(&param)
    )
}

/// The member whose token the call carries.
fn member(service: &Service, headers: &HeaderMap) -> Result<usize, Refusal> {
    let access = service.access(headers).map_err(|reason| {
        let text = match reason {
            NoToken::Missing => "Authorization is missing",
            NoToken::Malformed => "Authorization is not a Bearer token",
            NoToken::Refused => "Authentication failed",
        };
        (401, "UNAUTHORIZED", text.to_owned())
    })?;
    access
        .actor
        .member()
        .ok_or_else(|| (403, "FORBIDDEN", "Not allowed api".to_owned()))
}

fn gone() -> Refusal {
    (404, "NOT_FOUND", "Resource does not exist.".to_owned())
}

async fn send(
    service: &Service,
    breaker: &Breaker,
    request: &Parts,
    ticket: Option<DownloadTicket>,
) -> Response<Body> {
    let operation = Operation::single(Single::StorageDownload);
    let node = ticket
        .as_ref()
        .and_then(|ticket| service.world.read(|world| world.node(&ticket.id)));
    let target = request.uri.to_string();
    let begun = match service
        .begin(operation, Dialect::V2, &target, breaker, || service.subject(node))
        .await
    {
        Ok(begun) => begun,
        Err(answer) => return *answer,
    };
    let answer = member(service, &request.headers)
        .and_then(|member| body(service, member, ticket))
        .map(|body| download::answer(&service.options, &request.headers, body));
    finish(service, begun, answer)
}

fn finish(service: &Service, begun: Begun, answer: Result<Answer, Refusal>) -> Response<Body> {
    let answer =
        answer.unwrap_or_else(|(status, code, text)| service.error(Dialect::V2, status, code, &text));
    service.finish(begun, answer)
}

fn body(service: &Service, member: usize, ticket: Option<DownloadTicket>) -> Result<download::Body, Refusal> {
    let ticket = ticket.ok_or_else(gone)?;
    if ticket.expires <= service.clock.now_ms() {
        return Err((403, "EXPIRED_URL", "The URL has expired".to_owned()));
    }
    service.world.read(|world| {
        let node = world.node(&ticket.id).ok_or_else(gone)?;
        if !world.may_access(member, node) {
            return Err((
                403,
                "ACCESS_DENIED",
                "Access is denied: no permission.".to_owned(),
            ));
        }
        open(service, world, node, ticket.revision)
    })
}

/// The bytes of a live file, or of one of its revisions.
pub(super) fn open(
    service: &Service,
    world: &super::world::World,
    node: Node,
    revision: Option<usize>,
) -> Result<download::Body, Refusal> {
    let entry = world
        .tree
        .get(node)
        .filter(|entry| entry.is_alive() && !entry.is_folder())
        .ok_or_else(gone)?;
    if service.options.refuse_malware && entry.is(flag::MALWARE) {
        return Err((403, "MALWARE_DETECTED", "The file is infected.".to_owned()));
    }
    if service.options.refuse_malware && entry.is(flag::IN_PROGRESS) {
        return Err((409, "IN_PROGRESS", "The file is being worked on.".to_owned()));
    }
    let older = revision.and_then(|revision| entry.extra.as_ref()?.revisions.get(revision));
    let (content, size, modified) = match older {
        Some(older) => (older.content.clone(), older.size, older.modified),
        None => (entry.content(), entry.size, entry.modified),
    };
    Ok(download::Body {
        content,
        size,
        name: entry.name.to_string(),
        tag: format!("{:x}-{:x}-{modified:x}-{size:x}", node.0, entry.seed),
    })
}

/// The first byte and the end that a `Content-Range` names.
fn content_range(headers: &HeaderMap) -> Option<Result<(u64, u64), Refusal>> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().unwrap_or_default();
    let read = || {
        let (range, _) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (from, to) = range.split_once('-')?;
        Some((from.parse().ok()?, to.parse::<u64>().ok()?.checked_add(1)?))
    };
    Some(read().ok_or_else(|| (400, "INVALID_RANGE", "Content-Range cannot be read".to_owned())))
}

/// An upload that a call may go on with.
struct Admitted {
    ticket: upload::Ticket,
    /// The first byte and the end of what is sent.
    range: Option<(u64, u64)>,
    /// Its number among those who send this file.
    sender: u64,
}

fn admit(
    service: &Service,
    headers: &HeaderMap,
    ticket: Option<upload::Ticket>,
) -> Result<Admitted, Refusal> {
    let member = member(service, headers)?;
    let ticket = ticket.ok_or((404, "NOT_FOUND", "The upload is unknown or complete.".to_owned()))?;
    if ticket.plan.member != member {
        return Err((
            403,
            "ACCESS_DENIED",
            "Access is denied: no permission.".to_owned(),
        ));
    }
    if ticket.expires <= service.clock.now_ms() {
        return Err((403, "EXPIRED_URL", "The URL has expired".to_owned()));
    }
    let range = content_range(headers).transpose()?;
    let sender = ticket.start(range.map(|(from, _)| from))?;
    Ok(Admitted {
        ticket,
        range,
        sender,
    })
}

async fn receive(
    service: &Arc<Service>,
    breaker: &Breaker,
    request: Request<Body>,
    number: u64,
) -> Response<Body> {
    let operation = Operation::single(Single::StorageUpload);
    let ticket = service.uploads().get(number).cloned();
    let subject = || {
        ticket.as_ref().map_or_else(Subject::default, |ticket| Subject {
            id: String::new(),
            name: ticket.plan.name.clone(),
        })
    };
    let target = request.uri().to_string();
    let mut begun = match service
        .begin(operation, Dialect::V2, &target, breaker, subject)
        .await
    {
        Ok(begun) => begun,
        Err(answer) => {
            upload::pass_over(request.into_body()).await;
            return *answer;
        }
    };
    let cut = begun.take_request_cut();
    let done = async {
        let admitted = admit(service, request.headers(), ticket);
        let Admitted {
            ticket,
            range,
            sender,
        } = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                upload::pass_over(request.into_body()).await;
                return Err(refusal);
            }
        };
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("multipart/form-data"));
        let source = if is_form {
            let parts = Multipart::from_request(request, &())
                .await
                .map_err(|error| (400, "INVALID_PARAMETER", error.body_text()))?;
            Source::Parts(parts)
        } else {
            Source::Raw(request.into_body())
        };
        let end = ticket.receive(sender, source, cut).await?;
        Ok((end, ticket, range))
    };
    let answer = match done.await {
        Ok((End::Broken, ..)) => {
            if cut.is_some_and(|cut| cut.stall) {
                std::future::pending::<()>().await;
            }
            begun.break_connection();
            Ok(Answer::empty(500))
        }
        Ok((End::Whole, ticket, range)) => {
            let received = ticket.received();
            if received == ticket.plan.size {
                upload::complete(service, number, &ticket).map(|node| v2::uploaded(service, node))
            } else if range.is_some_and(|(_, end)| end == received) {
                Ok(Answer::value(200, &serde_json::json!({ "offset": received })))
            } else {
                let text = format!("{received} bytes of {} have come", ticket.plan.size);
                Err((400, "SIZE_MISMATCH", text))
            }
        }
        Err(refusal) => Err(refusal),
    };
    finish(service, begun, answer)
}
