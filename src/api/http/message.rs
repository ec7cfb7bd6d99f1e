//! What goes through the client: calls, single requests, answers and failures.

use bytes::Bytes;
use serde_json::Value;

use super::{HeaderMap, HeaderName, HeaderValue, Line, Method, Payload, Reply, Url};
use crate::api::auth::Bearer;
use crate::api::items::{Item, List, read_item, read_list};
use crate::api::refusal::Refusal;
use crate::drive::{Error, ErrorKind};

/// A call to the service.
pub(in crate::api) struct Call {
    /// The operation, in the words of the API's catalogue.
    pub operation: &'static str,
    /// What it is about, for messages.
    pub subject: String,
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// Whose token is sent; `None` for a call that needs none.
    pub bearer: Option<Bearer>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent as JSON.
    pub json: Option<Value>,
    /// Whether a call whose answer was lost may simply be made again.
    pub repeatable: bool,
}

impl Call {
    /// A call that only reads.
    pub(in crate::api) fn get(
        operation: &'static str,
        subject: impl Into<String>,
        url: Url,
        bearer: Bearer,
    ) -> Call {
        Call {
            operation,
            subject: subject.into(),
            method: Method::GET,
            url,
            bearer: Some(bearer),
            headers: Vec::new(),
            json: None,
            repeatable: true,
        }
    }
}

/// The answer to a call that succeeded.
#[derive(Debug)]
pub(in crate::api) struct Answer {
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; a byte-order mark before it does no harm.
    pub(in crate::api) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(self.text()).map_err(no_json)
    }

    /// The body as JSON that is one item.
    pub(in crate::api) fn item(&self) -> Result<Item<'_>, String> {
        read_item(self.text()).map_err(no_json)
    }

    /// The body as JSON that holds a list of this name.
    pub(in crate::api) fn list(&self, name: &'static str) -> Result<List<'_>, String> {
        read_list(self.text(), name).map_err(no_json)
    }

    fn text(&self) -> &[u8] {
        self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body)
    }
}

fn no_json(error: serde_json::Error) -> String {
    format!("the answer is not JSON: {error}")
}

/// A call that failed for good.
#[derive(Debug)]
pub(in crate::api) struct Failed {
    /// The error for the caller of the seam.
    pub error: Error,
    /// Whether the service may have done what it was asked to.
    pub lost: bool,
    /// What the service said, when it answered.
    pub refusal: Option<Refusal>,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Error {
        failed.error
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed {
            error,
            lost: false,
            refusal: None,
        }
    }
}

/// What is being done, for errors and reports.
#[derive(Clone, Debug)]
pub(in crate::api) struct Work {
    /// The operation.
    pub operation: &'static str,
    /// What it is about.
    pub subject: String,
}

impl Work {
    pub(in crate::api) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.operation, self.subject.clone(), message)
    }
}

/// A whole answer, whatever its status.
pub(super) struct Whole {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub generation: Option<u64>,
}

/// The head of an answer.
pub(in crate::api) struct Sent {
    /// The answer.
    pub reply: Reply,
    /// Which generation of the token was sent.
    pub generation: Option<u64>,
}

/// One request of a piece of work.
pub(in crate::api) struct Shot {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// Whose token is sent.
    pub bearer: Option<Bearer>,
    /// The generation of the token that was refused before.
    pub stale: Option<u64>,
    /// Headers beside the token.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What it carries.
    pub payload: Payload,
    /// What it is for.
    pub line: Line,
}
