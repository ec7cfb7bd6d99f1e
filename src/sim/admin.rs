//! Control of a running simulator from another process: JSON over HTTP on its own port.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{Answer, Delivery};
use super::change::Change;
use super::connection::Breaker;
use super::faults::{Rule, Script};
use super::form::{Form, segments};
use super::service::Service;

/// Largest body that is read.
const BODY_BYTES: usize = 16 * 1024 * 1024;

/// One value or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn all(self) -> Vec<T> {
        match self {
            Self::Many(all) => all,
            Self::One(one) => vec![one],
        }
    }
}

/// Body of `POST /faults`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Faults {
    Rules(OneOrMany<Rule>),
    Script(Script),
}

/// Body of `POST /random-changes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RandomChanges {
    seed: u64,
    count: usize,
}

/// Body of `POST /clock`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[derive(Default)]
struct ClockChange {
    advance_ms: i64,
    speed: Option<f64>,
}

/// Body of `POST /member`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberChange {
    member: String,
    suspended: bool,
}

/// An entry of `GET /truth`, with the hash where it was asked for.
#[derive(Debug, Serialize)]
struct TruthRow<'a> {
    #[serde(flatten)]
    truth: &'a super::truth::Truth,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Answers a call of the admin port.
pub(super) async fn serve(service: Arc<Service>, breaker: Breaker, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = segments(parts.uri.path());
    let query = Form::parse(parts.uri.query().unwrap_or_default());
    let answer = match axum::body::to_bytes(body, BODY_BYTES).await {
        Ok(body) => answer(&service, &parts.method, &path.join("/"), &query, &body),
        Err(error) => Err(error.to_string()),
    };
    answer
        .unwrap_or_else(|error| Answer::value(400, &json!({ "error": error })))
        .send(&Delivery::default(), &breaker)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn written(value: &impl Serialize) -> Result<Answer, String> {
    serde_json::to_string(value)
        .map(|text| Answer::json(200, text))
        .map_err(|error| error.to_string())
}

fn answer(
    service: &Service,
    method: &Method,
    path: &str,
    query: &Form,
    body: &[u8],
) -> Result<Answer, String> {
    let done = || Ok(Answer::value(200, &json!({})));
    let now = service.clock.now_ms();
    match (method.as_str(), path) {
        ("GET", "endpoints") => written(&service.endpoints),
        ("GET", "calls") => written(&service.limits.calls()),
        ("POST", "reset-counters") => {
            service.limits.reset();
            done()
        }
        ("POST", "faults") => {
            let script = match read(body)? {
                Faults::Script(script) => script,
                Faults::Rules(rules) => Script { rules: rules.all() },
            };
            service.faults.load(script).map_err(|error| error.to_string())?;
            done()
        }
        ("DELETE", "faults") => {
            service.faults.clear();
            done()
        }
        ("GET", "faults/unreached") => written(&service.faults.unreached()),
        ("POST", "changes") => {
            let changes: OneOrMany<Change> = read(body)?;
            let ids = service.world.write(|world| {
                changes
                    .all()
                    .iter()
                    .map(|change| Ok(world.apply(change, now)?.map(|node| world.id_of(node))))
                    .collect::<Result<Vec<_>, super::change::ChangeError>>()
            });
            written(&ids.map_err(|error| error.to_string())?)
        }
        ("POST", "random-changes") => {
            let wanted: RandomChanges = read(body)?;
            written(
                &service
                    .world
                    .write(|world| world.random_changes(wanted.seed, wanted.count, now)),
            )
        }
        ("GET", "truth") => truth(service, query),
        ("POST", "clock") => {
            let change: ClockChange = read(body)?;
            if let Some(speed) = change.speed {
                service.clock.set_speed(speed);
            }
            service.clock.advance_ms(change.advance_ms);
            written(&json!({ "now-ms": service.clock.now_ms() }))
        }
        ("POST", "member") => {
            let change: MemberChange = read(body)?;
            let change = Change::Suspend {
                member: change.member,
                on: change.suspended,
            };
            service
                .world
                .write(|world| world.apply(&change, now).map(|_| ()))
                .map_err(|error| error.to_string())?;
            done()
        }
        ("POST", "end-tokens") => {
            service.tokens.end_all_access();
            done()
        }
        ("GET", "drives") => written(&service.world.read(|world| {
            (0..world.drives().len())
                .filter_map(|drive| world.drive_word(drive))
                .collect::<Vec<_>>()
        })),
        _ => Ok(Answer::value(
            404,
            &json!({ "error": "there is nothing at this address" }),
        )),
    }
}

/// One JSON object a line; with `hash=true` the SHA-256 of every file.
fn truth(service: &Service, query: &Form) -> Result<Answer, String> {
    let word = query.get("drive").unwrap_or("me");
    let hash = query.get("hash") == Some("true");
    let text = service.world.read(|world| {
        let drive = world
            .drive(word)
            .ok_or_else(|| format!("there is no drive {word:?}"))?;
        let mut text = String::new();
        for truth in world.truth(drive) {
            let sha256 = (hash && truth.kind == "file")
                .then(|| world.sha256(truth.node))
                .transpose()
                .map_err(|error| error.to_string())?;
            let row = serde_json::to_string(&TruthRow {
                truth: &truth,
                sha256,
            })
            .map_err(|error| error.to_string())?;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{row}");
        }
        Ok::<_, String>(text)
    })?;
    let mut answer = Answer::json(200, text);
    answer.headers = vec![(
        axum::http::header::CONTENT_TYPE,
        "application/x-ndjson".to_owned(),
    )];
    Ok(answer)
}
