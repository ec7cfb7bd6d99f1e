//! The file host of the classic generation: uploads as a form, downloads without a redirect.

use axum::body::Body;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest as _, Multipart};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Response};
use serde_json::json;

use super::{Refusal, entry, member, subject};
use crate::sim::answer::Answer;
use crate::sim::connection::Breaker;
use crate::sim::content::Sink;
use crate::sim::download;
use crate::sim::faults::Subject;
use crate::sim::operation::{Operation, Single};
use crate::sim::service::{Dialect, Service};
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

/// The fields of an upload form that stand before its file.
#[derive(Debug, Default)]
struct Head {
    parent: Option<String>,
    name: Option<String>,
    overwrite: bool,
}

/// An upload's request, without its body.
struct Upload<'a> {
    service: &'a Service,
    breaker: &'a Breaker,
    target: String,
    headers: HeaderMap,
    location: &'a str,
}

/// Takes an upload. There is no resume in this generation: what is cut off is lost.
pub(in crate::sim) async fn receive(
    service: &Service,
    breaker: &Breaker,
    request: Request<Body>,
    location: &str,
) -> Response<Body> {
    let upload = Upload {
        service,
        breaker,
        target: request.uri().to_string(),
        headers: request.headers().clone(),
        location,
    };
    // The call begins when its name is known, so that fault rules can speak of it. The file must be the last part.
    let mut head = Head::default();
    let Ok(mut parts) = Multipart::from_request(request, &()).await else {
        return upload.take(head, None).await;
    };
    loop {
        let Ok(Some(part)) = parts.next_field().await else {
            return upload.take(head, None).await;
        };
        match part.name().unwrap_or_default() {
            "toParentKey" => head.parent = part.text().await.ok(),
            "resourceName" => head.name = part.text().await.ok(),
            "overWrite" => head.overwrite = part.text().await.is_ok_and(|text| text == "true"),
            "FileData" => {
                let name = part.file_name().map(str::to_owned);
                head.name = head.name.or(name);
                return upload.take(head, Some(part)).await;
            }
            _ => {}
        }
    }
}

impl Upload<'_> {
    async fn take(&self, head: Head, file: Option<Field<'_>>) -> Response<Body> {
        let about = || Subject {
            id: head.parent.clone().unwrap_or_default(),
            name: head.name.clone().unwrap_or_default(),
        };
        let operation = Operation::single(Single::ClassicUpload);
        let begun = self
            .service
            .begin(operation, Dialect::Classic, &self.target, self.breaker, about)
            .await;
        let mut begun = match begun {
            Ok(begun) => begun,
            Err(answer) => {
                pass_over(file).await;
                return *answer;
            }
        };
        let cut = begun.take_request_cut();
        let answer = match (plan(self.service, &self.headers, head, self.location), file) {
            (Err(refusal), file) => {
                pass_over(file).await;
                Err(refusal)
            }
            (Ok(_), None) => Err(Refusal::invalid("there is no part FileData")),
            (Ok(plan), Some(file)) => match read_file(file, cut.map(|cut| cut.after)).await {
                Some(sink) => place(self.service, plan, sink),
                None => {
                    if cut.is_some_and(|cut| cut.stall) {
                        std::future::pending::<()>().await;
                    }
                    begun.break_connection();
                    Ok(Answer::empty(500))
                }
            },
        };
        let answer = answer.unwrap_or_else(|refusal| refusal.answer(self.service));
        self.service.finish(begun, answer)
    }
}

/// As [`upload::pass_over`], for what is left of a form.
async fn pass_over(file: Option<Field<'_>>) {
    if let Some(mut file) = file {
        while let Ok(Some(_)) = file.chunk().await {}
    }
}

/// What the file is to become, once the call is accepted.
fn plan(service: &Service, headers: &HeaderMap, head: Head, location: &str) -> Result<Plan, Refusal> {
    let member = acting(service, headers)?;
    let parent = head
        .parent
        .ok_or_else(|| Refusal::invalid("toParentKey is missing before FileData"))?;
    let name = head
        .name
        .ok_or_else(|| Refusal::invalid("resourceName is missing before FileData"))?;
    let plan = Plan {
        parent: service
            .world
            .read(|world| entry(service, world, member, Some(location), &parent))?,
        name,
        size: 0,
        modified: None,
        overwrite: head.overwrite,
        suffix: false,
        member,
    };
    service.world.write(|world| upload::judge(world, &plan))?;
    Ok(plan)
}

/// Takes the bytes of the file; `None` when the body broke off, or was cut after so many bytes.
async fn read_file(mut file: Field<'_>, cut: Option<u64>) -> Option<Sink> {
    let mut sink = Sink::default();
    while let Some(bytes) = file.chunk().await.ok()? {
        let left = cut.map_or(u64::MAX, |cut| cut.saturating_sub(sink.received()));
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        sink.push(bytes.get(..wanted).unwrap_or_default());
        if cut.is_some_and(|cut| sink.received() >= cut) {
            return None;
        }
    }
    Some(sink)
}

fn place(service: &Service, mut plan: Plan, sink: Sink) -> Result<Answer, Refusal> {
    let now = service.clock.now_ms();
    plan.size = sink.received();
    service.world.write(|world| {
        let node = upload::place(world, &plan, sink.finish(), now)?;
        let older = world
            .tree
            .get(node)
            .and_then(|entry| entry.extra.as_ref())
            .map_or(0, |extra| extra.revisions.len());
        Ok(Answer::value(
            201,
            &json!({
                "resourceKey": world.id(node),
                "resourceNo": World::number(node),
                "shareNo": 0,
                "versionNo": older + 1,
            }),
        ))
    })
}
