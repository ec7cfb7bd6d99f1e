//! The file host of the classic generation: uploads as a form, downloads without a redirect.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Response};
use serde_json::json;

use super::{Refusal, check_location, entry, member, subject};
use crate::sim::answer::Answer;
use crate::sim::connection::Breaker;
use crate::sim::content::Sink;
use crate::sim::download;
use crate::sim::faults::Subject;
use crate::sim::operation::{Operation, Single};
use crate::sim::service::{Begun, Dialect, RequestCut, Service};
use crate::sim::storage::open;
use crate::sim::upload::{self, Plan};
use crate::sim::world::World;

/// The header that the file host demands, and its only known value (classic docs, 1008037 and 1008038).
const API_TYPE: (&str, &str) = ("x-drive-api-type", "reseller-api");

fn acting(service: &Service, headers: &HeaderMap) -> Result<usize, Refusal> {
    let acting = member(service, headers)?;
    let (name, value) = API_TYPE;
    if headers.get(name).and_then(|given| given.to_str().ok()) != Some(value) {
        return Err(Refusal::Drive(
            400,
            "INVALID_PARAMETER",
            "X-DRIVE-API-TYPE is missing".to_owned(),
        ));
    }
    Ok(acting)
}

/// Sends the bytes of a file.
pub(in crate::sim) async fn send(
    service: &Service,
    breaker: &Breaker,
    request: &Parts,
    location: &str,
    key: &str,
) -> Response<Body> {
    let operation = Operation::single(Single::ClassicDownload);
    let target = request.uri.to_string();
    let headers = &request.headers;
    let about = || subject(service, headers, Some(key));
    let begun = match service
        .begin(operation, Dialect::Classic, &target, breaker, about)
        .await
    {
        Ok(begun) => begun,
        Err(answer) => return *answer,
    };
    let answer = acting(service, headers).and_then(|member| {
        service.world.read(|world| {
            let node = entry(service, world, member, Some(location), key)?;
            Ok(open(service, world, node, None)?)
        })
    });
    let answer = match answer {
        Ok(body) => download::answer(&service.options, headers, body),
        Err(refusal) => refusal.answer(service),
    };
    service.finish(begun, answer)
}

/// A form that has been read, as far as it came.
struct Received {
    plan: Plan,
    sink: Sink,
}

/// Takes an upload. There is no resume in this generation: what is cut off is lost.
pub(in crate::sim) async fn receive(
    service: &Arc<Service>,
    breaker: &Breaker,
    request: Request<Body>,
    location: &str,
) -> Response<Body> {
    let operation = Operation::single(Single::ClassicUpload);
    let target = request.uri().to_string();
    let headers = request.headers().clone();
    // The name is known only when the form has been read; rules with a subject are judged by the header a test may send.
    let about = || Subject {
        id: String::new(),
        name: headers
            .get("x-sim-subject")
            .and_then(|name| name.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
    };
    let mut begun = match service
        .begin(operation, Dialect::Classic, &target, breaker, about)
        .await
    {
        Ok(begun) => begun,
        Err(answer) => return *answer,
    };
    let cut = begun.take_request_cut();
    let answer = match acting(service, &headers) {
        Ok(member) => read_and_place(service, &begun, request, member, location, cut).await,
        Err(refusal) => Err(refusal),
    };
    let answer = answer.unwrap_or_else(|refusal| refusal.answer(service));
    service.finish(begun, answer)
}

async fn read_and_place(
    service: &Service,
    begun: &Begun,
    request: Request<Body>,
    member: usize,
    location: &str,
    cut: Option<RequestCut>,
) -> Result<Answer, Refusal> {
    let parts = Multipart::from_request(request, &())
        .await
        .map_err(|error| Refusal::invalid(&error.body_text()))?;
    let Some(received) = read(service, parts, member, location, cut).await? else {
        if cut.is_some_and(|cut| cut.stall) {
            std::future::pending::<()>().await;
        }
        begun.break_connection();
        return Ok(Answer::empty(500));
    };
    let now = service.clock.now_ms();
    service.world.write(|world| {
        let Received { mut plan, sink } = received;
        plan.size = sink.received();
        let node = upload::place(world, &plan, sink.finish(), now)?;
        let version = world
            .tree
            .get(node)
            .and_then(|entry| entry.extra.as_ref())
            .map_or(1, |extra| extra.revisions.len() + 1);
        Ok(Answer::value(
            201,
            &json!({
                "resourceKey": world.id(node),
                "resourceNo": World::number(node),
                "shareNo": 0,
                "versionNo": version,
            }),
        ))
    })
}

/// Reads the form; `None` when the body broke off. The file must be the last part.
async fn read(
    service: &Service,
    mut parts: Multipart,
    member: usize,
    location: &str,
    cut: Option<RequestCut>,
) -> Result<Option<Received>, Refusal> {
    let (mut parent, mut name, mut overwrite) = (None, None, false);
    loop {
        let Ok(part) = parts.next_field().await else {
            return Ok(None);
        };
        let Some(mut part) = part else {
            return Err(Refusal::invalid("there is no part FileData"));
        };
        match part.name().unwrap_or_default() {
            "toParentKey" => parent = part.text().await.ok(),
            "resourceName" => name = part.text().await.ok(),
            "overWrite" => overwrite = part.text().await.is_ok_and(|text| text == "true"),
            "FileData" => {
                let parent =
                    parent.ok_or_else(|| Refusal::invalid("toParentKey is missing before FileData"))?;
                let name = name
                    .or_else(|| part.file_name().map(str::to_owned))
                    .ok_or_else(|| Refusal::invalid("resourceName is missing before FileData"))?;
                let parent = service.world.read(|world| {
                    let node = entry(service, world, member, None, &parent)?;
                    check_location(service, world, node, Some(location))?;
                    Ok::<_, Refusal>(node)
                })?;
                let plan = Plan {
                    parent,
                    name,
                    size: 0,
                    modified: None,
                    overwrite,
                    suffix: false,
                    member,
                };
                service.world.write(|world| upload::judge(world, &plan))?;
                let mut sink = Sink::default();
                let mut left = cut.map(|cut| cut.after);
                loop {
                    match part.chunk().await {
                        Ok(Some(bytes)) => {
                            let wanted = left.map_or(bytes.len(), |left| {
                                usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())
                            });
                            sink.push(bytes.get(..wanted).unwrap_or_default());
                            left = left.map(|left| left.saturating_sub(wanted as u64));
                            if left == Some(0) {
                                return Ok(None);
                            }
                        }
                        Ok(None) => break,
                        Err(_) => return Ok(None),
                    }
                }
                return Ok(Some(Received { plan, sink }));
            }
            _ => {}
        }
    }
}
