//! Sends one request and reads one answer, with nothing decided about either.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use reqwest::header;
use serde_json::Value;
use tokio::time::Instant;

use super::flow::{Flow, Meter, Watch};
use super::{HeaderMap, HeaderValue, Method, Url, hosts};
use crate::api::refusal::shown;
use crate::api::{Config, ConnectError, Timeouts};

/// The connections of one tenant.
#[derive(Debug)]
pub(super) struct Transport {
    /// For calls: compressed answers are unpacked.
    calls: reqwest::Client,
    /// For contents: bytes stay as they come.
    contents: reqwest::Client,
    timeouts: Timeouts,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Line {
    /// A call, answered by a small text.
    Call,
    /// A file's content.
    Content,
}

/// A request.
pub(super) struct Outgoing {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub payload: Payload,
    pub line: Line,
}

/// What a request carries. It has no `Debug`: a form may hold secrets.
pub(in crate::api) enum Payload {
    /// Nothing.
    Nothing,
    /// A JSON text.
    Json(Value),
    /// Form fields.
    Form(Vec<(&'static str, String)>),
    /// Bytes as they are.
    Raw(Content),
    /// A form with text fields and, as its last part, a file.
    Multipart {
        /// The text fields, in order.
        fields: Vec<(&'static str, String)>,
        /// Name of the part that holds the file.
        part: &'static str,
        /// The file's name.
        name: String,
        /// The file's content.
        content: Content,
    },
}

/// A file's content on its way out.
pub(in crate::api) struct Content {
    /// The bytes.
    pub stream: BoxStream<'static, std::io::Result<Bytes>>,
    /// How many there are.
    pub length: u64,
    /// How far they are; tells a slow upload from a stalled one.
    pub flow: Arc<Flow>,
}

/// A request that brought no whole answer.
#[derive(Debug)]
pub(in crate::api) struct Broken {
    /// Whether the service may have acted on it.
    pub sent: bool,
    /// Whether it was slower than the minimum rate from its beginning on.
    pub slow: bool,
    /// Whether the other side is not who it should be, which no repetition changes.
    pub untrusted: bool,
    /// How long to wait for a host that answered before and cannot be reached now.
    pub outage: Option<Duration>,
    /// What went wrong.
    pub message: String,
}

/// The head of an answer, with its body still to come.
pub(in crate::api) struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    response: reqwest::Response,
    idle: Duration,
    meter: Meter,
    /// Why no more is read, once it came too slowly.
    too_slow: Option<Broken>,
}

/// Largest answer to a call in bytes: a page of 200 items is a thousandth of it.
const LARGEST_ANSWER: usize = 64 << 20;

impl Transport {
    pub(super) fn new(config: &Config) -> Result<Transport, ConnectError> {
        let timeouts = config.timeouts;
        let local = Url::parse(&config.endpoints.api).is_ok_and(|url| hosts::is_loopback(&url));
        let mut authorities = Vec::new();
        for path in &config.extra_ca {
            authorities.extend(certificates(path)?);
        }
        let build = |packed: bool| {
            let mut builder = reqwest::Client::builder()
                .user_agent(concat!("drivejob/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .connect_timeout(timeouts.connect)
                .gzip(packed);
            // A server on this machine is reached without a proxy, and without the system's authorities, which a
            // small container may lack.
            builder = if local {
                builder.no_proxy().tls_certs_only(authorities.iter().cloned())
            } else {
                builder.tls_certs_merge(authorities.iter().cloned())
            };
            builder
                .build()
                .map_err(|error| ConnectError::Client(chain(&error)))
        };
        Ok(Transport {
            calls: build(true)?,
            contents: build(false)?,
            timeouts,
        })
    }

    /// Sends a request and waits for the head of its answer, for as long as bytes go out and [`Timeouts::headers`] more.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<Reply, Broken> {
        let client = match outgoing.line {
            Line::Call => &self.calls,
            Line::Content => &self.contents,
        };
        let is_post = outgoing.method == Method::POST;
        let mut plain = reqwest::Request::new(outgoing.method, outgoing.url);
        *plain.headers_mut() = outgoing.headers;
        if outgoing.line == Line::Content {
            let identity = HeaderValue::from_static("identity");
            plain.headers_mut().insert(header::ACCEPT_ENCODING, identity);
        }
        let mut request = reqwest::RequestBuilder::from_parts(client.clone(), plain);
        let (mut flow, mut length) = (Arc::default(), 0);
        request = match outgoing.payload {
            // Some gateways refuse a POST that tells no length.
            Payload::Nothing if is_post => request.header("content-length", 0).body(Bytes::new()),
            Payload::Nothing => request,
            Payload::Json(value) => request.json(&value),
            Payload::Form(fields) => request.form(&fields),
            Payload::Raw(content) => {
                (flow, length) = (Arc::clone(&content.flow), content.length);
                let request = request
                    .header("content-type", "application/octet-stream")
                    .header("content-length", content.length);
                if content.length == 0 {
                    request.body(Bytes::new())
                } else {
                    request.body(reqwest::Body::wrap_stream(content.stream))
                }
            }
            Payload::Multipart {
                fields,
                part,
                name,
                content,
            } => {
                (flow, length) = (Arc::clone(&content.flow), content.length);
                request.multipart(multipart(fields, part, name, content)?)
            }
        };
        let answer = request.send();
        tokio::pin!(answer);
        let Timeouts {
            headers,
            minimum_rate,
            ..
        } = self.timeouts;
        let mut way = Watch::new(flow, length, headers, minimum_rate);
        let mut response = loop {
            match tokio::time::timeout(way.pause(), &mut answer).await {
                Ok(response) => break response.map_err(broken)?,
                Err(_) => {
                    if let Some(broken) = way.look() {
                        return Err(broken);
                    }
                }
            }
        };
        Ok(Reply {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            response,
            idle: self.timeouts.idle,
            meter: Meter::new(minimum_rate),
            too_slow: None,
        })
    }
}

impl Reply {
    /// The next bytes of the body, `None` at its end. Those that came too slowly are given out before the body breaks.
    pub(in crate::api) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        if let Some(broken) = self.too_slow.take() {
            return Err(broken);
        }
        let asked = Instant::now();
        match tokio::time::timeout(self.idle, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                self.too_slow = self.meter.add(asked.elapsed(), bytes.len() as u64);
                Ok(Some(bytes))
            }
            Ok(chunk) => chunk.map_err(broken),
            Err(_) => Err(Broken {
                sent: true,
                slow: false,
                untrusted: false,
                outage: None,
                message: format!("no byte within {:?}", self.idle),
            }),
        }
    }

    /// The whole body, which must not be larger than an answer to a call can be.
    pub(in crate::api) async fn collect(&mut self) -> Result<Bytes, Broken> {
        let mut body = BytesMut::new();
        while let Some(bytes) = self.chunk().await? {
            if body.len() + bytes.len() > LARGEST_ANSWER {
                return Err(Broken {
                    sent: true,
                    slow: false,
                    untrusted: false,
                    outage: None,
                    message: format!("an answer of more than {LARGEST_ANSWER} bytes"),
                });
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body.freeze())
    }

    /// The address that answered.
    pub(in crate::api) fn url(&self) -> &Url {
        self.response.url()
    }

    /// A header as text. An address in it may hold letters of any script.
    pub(in crate::api) fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }
}

fn multipart(
    fields: Vec<(&'static str, String)>,
    part: &'static str,
    name: String,
    content: Content,
) -> Result<reqwest::multipart::Form, Broken> {
    let mut form = reqwest::multipart::Form::new().percent_encode_noop();
    for (name, value) in fields {
        form = form.text(name, value);
    }
    let body = reqwest::Body::wrap_stream(content.stream);
    let file = reqwest::multipart::Part::stream_with_length(body, content.length)
        // The name itself stands in a field of its own; in the header of a part a line break or control character would
        // end the header (RFC 7578, section 4.2).
        .file_name(name.replace(char::is_control, "_"))
        .mime_str("application/octet-stream")
        .map_err(broken)?;
    Ok(form.part(part, file))
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ConnectError> {
    let wrong = |reason: String| ConnectError::Certificate {
        path: path.to_owned(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(chain(&error)))?;
    if found.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(found)
}

/// A request that cannot be built was not sent, and neither was one without a connection.
fn broken(error: reqwest::Error) -> Broken {
    Broken {
        sent: !(error.is_connect() || error.is_builder()),
        slow: false,
        untrusted: is_untrusted(&error),
        outage: None,
        message: chain(&error.without_url()),
    }
}

/// Whether a certificate was refused.
fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // What an error of a connection holds is not among its sources.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held.map_or_else(|| error.source(), |held| Some(held));
    }
    false
}

/// An error and what lies under it, in one line. The address is not part of it: its query may be a secret.
fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut under = error.source();
    while let Some(error) = under {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        under = error.source();
    }
    shown(&message)
}
