//! An answer before it becomes bytes on a connection: faults are worked into it here.

use std::collections::VecDeque;
use std::io::SeekFrom;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::connection::Breaker;
use super::content::{CHUNK, Content};

/// Time given to the bytes before a break to leave the server's buffers.
const BEFORE_BREAK: Duration = Duration::from_millis(40);

/// Status, headers and body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) payload: Payload,
    /// Facts about a page of a list, which faults need.
    pub(super) listing: Option<Listing>,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Payload {
    Empty,
    Bytes(Bytes),
    Content {
        content: Content,
        offset: u64,
        length: u64,
    },
}

/// A page of a list.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// A cursor that leads to this very page; `None` in the classic generation.
    pub(super) own_cursor: Option<String>,
    /// A cursor that belongs to another list.
    pub(super) foreign_cursor: Option<String>,
}

/// How the body is sent, when it is not sent as it should be.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Bytes after which the connection is reset.
    pub(super) reset_after: Option<u64>,
    /// Bytes after which nothing more comes.
    pub(super) stall_after: Option<u64>,
    /// Bytes per second.
    pub(super) drip: Option<u64>,
    /// Added to the declared length.
    pub(super) wrong_by: i64,
    /// Sent and declared in place of the true length, when smaller.
    pub(super) shorten_to: Option<u64>,
    /// Bytes added at the end.
    pub(super) extra: u64,
}

impl Delivery {
    fn is_plain(&self) -> bool {
        self.reset_after.is_none()
            && self.stall_after.is_none()
            && self.drip.is_none()
            && self.wrong_by == 0
            && self.shorten_to.is_none()
            && self.extra == 0
    }
}

impl Payload {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Content { length, .. } => *length,
        }
    }
}

impl Answer {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            payload: Payload::Empty,
            listing: None,
        }
    }

    /// An answer of JSON that is already text.
    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE, "application/json; charset=UTF-8".to_owned())],
            payload: Payload::Bytes(body.into()),
            listing: None,
        }
    }

    /// An answer of JSON.
    pub(super) fn value(status: u16, value: &serde_json::Value) -> Self {
        Self::json(status, value.to_string())
    }

    /// A redirect.
    pub(super) fn redirect(location: String) -> Self {
        Self::empty(302).with(header::LOCATION, location)
    }

    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer as it goes to the connection.
    pub(super) fn send(self, delivery: &Delivery, breaker: &Breaker) -> Response<Body> {
        let length = self.payload.length();
        let (body, declared) = match self.payload {
            payload if !delivery.is_plain() => {
                let true_length = length.saturating_add(delivery.extra);
                let sent = delivery.shorten_to.map_or(true_length, |to| to.min(true_length));
                let declared = sent.saturating_add_signed(delivery.wrong_by);
                (
                    distorted(payload, sent.min(declared), delivery, breaker.clone()),
                    Some(declared),
                )
            }
            Payload::Empty => (Body::empty(), None),
            Payload::Bytes(bytes) => (Body::from(bytes), None),
            Payload::Content {
                content,
                offset,
                length,
            } => match content.whole(offset, length) {
                Some(bytes) => (Body::from(bytes), None),
                None => (Body::from_stream(parts(content, offset, length)), Some(length)),
            },
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            // A value that no header can hold is left out: only a fault script could ask for one.
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(name, value);
            }
        }
        if let Some(declared) = declared {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, declared.into());
        }
        response
    }
}

type Part = std::io::Result<Bytes>;

/// The bytes of a content in parts of [`CHUNK`].
fn parts(content: Content, offset: u64, length: u64) -> stream::BoxStream<'static, Part> {
    match content {
        Content::Disk(path) => read_parts(path, offset, length).boxed(),
        content => stream::unfold((content, offset, length), |(content, offset, left)| async move {
            let take = left.min(CHUNK);
            let bytes = content.slice(offset, take).filter(|bytes| !bytes.is_empty())?;
            Some((Ok(bytes), (content, offset + take, left - take)))
        })
        .boxed(),
    }
}

fn read_parts(path: PathBuf, offset: u64, length: u64) -> impl stream::Stream<Item = Part> + Send {
    let open = async move {
        let mut file = tokio::fs::File::open(path).await?;
        file.seek(SeekFrom::Start(offset)).await?;
        Ok::<_, std::io::Error>(file.take(length))
    };
    stream::once(open).flat_map(|opened| match opened {
        Ok(file) => {
            tokio_util::io::ReaderStream::with_capacity(file, usize::try_from(CHUNK).unwrap_or(65_536))
                .boxed()
        }
        Err(error) => stream::once(async { Err(error) }).boxed(),
    })
}

/// A body that is cut, slowed, shortened or lengthened.
fn distorted(payload: Payload, sent: u64, delivery: &Delivery, breaker: Breaker) -> Body {
    let (source, length) = match payload {
        Payload::Empty => (stream::empty().boxed(), 0),
        Payload::Bytes(bytes) => {
            let length = bytes.len() as u64;
            (stream::once(async { Ok(bytes) }).boxed(), length)
        }
        Payload::Content {
            content,
            offset,
            length,
        } => (parts(content, offset, length), length),
    };
    let padding = usize::try_from(sent.saturating_sub(length)).unwrap_or(0);
    let source = source.chain(stream::iter(
        (padding > 0).then(|| Ok(Bytes::from(vec![b'!'; padding]))),
    ));
    let cut = [delivery.reset_after, delivery.stall_after]
        .into_iter()
        .flatten()
        .min();
    let state = Distorted {
        source: source.boxed(),
        ready: VecDeque::new(),
        left: cut.map_or(sent, |cut| cut.min(sent)),
        at_the_end: if delivery.reset_after.is_some() {
            End::Reset
        } else if delivery.stall_after.is_some() {
            End::Stall
        } else if delivery.wrong_by > 0 {
            End::Close
        } else {
            End::Clean
        },
        drip: delivery.drip.map(|bytes| bytes.max(1)),
        breaker,
    };
    Body::from_stream(stream::unfold(state, |mut state| async move {
        let next = state.next().await;
        next.map(|part| (part, state))
    }))
}

struct Distorted {
    source: stream::BoxStream<'static, Part>,
    ready: VecDeque<Bytes>,
    left: u64,
    at_the_end: End,
    drip: Option<u64>,
    breaker: Breaker,
}

enum End {
    Clean,
    /// The connection is closed, although more was declared.
    Close,
    Reset,
    Stall,
}

impl Distorted {
    async fn next(&mut self) -> Option<Part> {
        if self.left == 0 {
            return match self.at_the_end {
                End::Clean => None,
                End::Close => {
                    tokio::time::sleep(BEFORE_BREAK).await;
                    Some(Err(std::io::ErrorKind::UnexpectedEof.into()))
                }
                End::Reset => {
                    tokio::time::sleep(BEFORE_BREAK).await;
                    self.breaker.reset();
                    Some(Err(std::io::ErrorKind::ConnectionReset.into()))
                }
                End::Stall => std::future::pending().await,
            };
        }
        let mut part = match self.ready.pop_front() {
            Some(part) => part,
            None => match self.source.next().await? {
                Ok(part) => part,
                Err(error) => return Some(Err(error)),
            },
        };
        let mut take = self.left.min(part.len() as u64);
        if let Some(drip) = self.drip {
            // Ten drops a second.
            take = take.min((drip / 10).max(1));
            tokio::time::sleep(Duration::from_secs_f64(take as f64 / drip as f64)).await;
        }
        let rest = part.split_off(usize::try_from(take).unwrap_or(part.len()));
        if !rest.is_empty() {
            self.ready.push_front(rest);
        }
        self.left -= part.len() as u64;
        Some(Ok(part))
    }
}
