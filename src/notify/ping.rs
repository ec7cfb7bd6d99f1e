//! The calls that tell an event.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Event;
use crate::report::Report;

/// Whom to call. The address is a secret in most services: it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The address, with `https://` or `http://`.
    pub url: String,
    /// How it wants to be called.
    pub manner: Manner,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Address")
            .field("host", &host(&self.url))
            .field("manner", &self.manner)
            .finish()
    }
}

/// How an address wants to be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it stands; the body says what happened.
    #[default]
    Webhook,
    /// One address for all events, which are told by a path after it: `/start`, nothing for success, `/fail`, and `/log` for what is neither
    /// (healthchecks.io, "Pinging API").
    Healthchecks,
}

/// What is sent along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// The summary as JSON.
    #[default]
    Summary,
    /// Nothing.
    Empty,
}

/// One call to make.
#[derive(Clone, PartialEq)]
pub struct Ping {
    /// Where to.
    pub url: String,
    /// The JSON text to send, unless nothing is sent.
    pub body: Option<String>,
}

impl std::fmt::Debug for Ping {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ping")
            .field("host", &host(&self.url))
            .finish_non_exhaustive()
    }
}

/// What is known of a run that has no summary: one that begins, or that could not go on.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// The job's kind.
    pub kind: &'a str,
    /// The job file, or a name for it.
    pub job: &'a str,
    /// The archive folder.
    pub archive: &'a str,
    /// When the run began.
    pub started: Timestamp,
    /// When it ended, if it has.
    pub finished: Option<Timestamp>,
    /// What went wrong, or a remark such as how many slots were missed; without secrets.
    pub message: &'a str,
}

impl Failure<'_> {
    /// The message as one JSON object, under the names that a summary has too.
    pub fn to_json(&self) -> Value {
        json!({
            "kind": self.kind,
            "job": self.job,
            "archive": self.archive,
            "status": self.finished.map(|_| "failed"),
            "started": self.started.to_string(),
            "finished": self.finished.map(|time| time.to_string()),
            "message": self.message,
        })
    }
}

/// The JSON object that tells `event`: `event`, and beside it all that `summary` says.
fn message(event: Event, summary: &Value) -> Value {
    let mut message = serde_json::Map::new();
    message.insert("event".to_owned(), event.as_str().into());
    if let Value::Object(summary) = summary {
        message.extend(summary.clone());
    }
    Value::Object(message)
}

/// The calls that tell `event` to `addresses`. `summary` is what [`Report::to_json`] or [`Failure::to_json`] gives.
pub fn pings(event: Event, addresses: &[Address], body: Body, summary: &Value) -> Vec<Ping> {
    let text = match body {
        Body::Summary => Some(message(event, summary).to_string()),
        Body::Empty => None,
    };
    addresses
        .iter()
        .map(|address| Ping {
            url: match address.manner {
                Manner::Webhook => address.url.clone(),
                Manner::Healthchecks => with_path(&address.url, healthchecks_path(event)),
            },
            body: text.clone(),
        })
        .collect()
}

impl Report {
    /// The summary as a webhook gets it, for one who sends it by other means.
    pub fn to_message(&self, event: Event) -> Value {
        message(event, &self.to_json())
    }
}

fn healthchecks_path(event: Event) -> &'static str {
    match event {
        Event::Start => "/start",
        Event::Success => "",
        Event::Partial | Event::Failure => "/fail",
        Event::Stopped | Event::Alarm | Event::Late => "/log",
    }
}

/// Puts `path` behind the path of `url` and before its query.
fn with_path(url: &str, path: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (place, rest) = url.split_at(end);
    format!("{}{path}{rest}", place.trim_end_matches('/'))
}

/// The host of an address, which may be shown while the rest is a secret.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn addresses(url: &str) -> [Address; 2] {
        [Manner::Webhook, Manner::Healthchecks].map(|manner| Address {
            url: url.to_owned(),
            manner,
        })
    }

    #[test]
    fn each_event_has_its_address() {
        let summary = json!({});
        for (event, expected) in [
            (Event::Start, "https://hc.example/u/start?create=1"),
            (Event::Success, "https://hc.example/u?create=1"),
            (Event::Partial, "https://hc.example/u/fail?create=1"),
            (Event::Failure, "https://hc.example/u/fail?create=1"),
            (Event::Stopped, "https://hc.example/u/log?create=1"),
            (Event::Alarm, "https://hc.example/u/log?create=1"),
            (Event::Late, "https://hc.example/u/log?create=1"),
        ] {
            let url = "https://hc.example/u/?create=1";
            let made: Vec<_> = pings(event, &addresses(url), Body::Empty, &summary)
                .into_iter()
                .map(|ping| (ping.url, ping.body))
                .collect();
            assert_eq!(
                made,
                [(url.to_owned(), None), (expected.to_owned(), None)],
                "{event:?}"
            );
        }
    }

    #[test]
    fn the_body_is_the_summary_with_the_event_in_front() {
        let failure = Failure {
            kind: "backup",
            job: "night.toml",
            archive: "/a",
            started: Timestamp::UNIX_EPOCH,
            finished: Some(Timestamp::from_second(60).unwrap()),
            message: "the token is refused",
        };
        let made = pings(
            Event::Failure,
            &addresses("https://h")[..1],
            Body::Summary,
            &failure.to_json(),
        );
        assert_eq!(
            made[0].body.as_deref(),
            Some(
                "{\"event\":\"failure\",\"kind\":\"backup\",\"job\":\"night.toml\",\"archive\":\"/a\",\"status\":\"failed\",\
                 \"started\":\"1970-01-01T00:00:00Z\",\"finished\":\"1970-01-01T00:01:00Z\",\"message\":\"the token is refused\"}"
            )
        );
    }

    #[test]
    fn an_address_shows_its_host_only() {
        for url in ["https://user:pw@hc.example:8/uuid?key=k", "hc.example:8/uuid"] {
            let address = &addresses(url)[0];
            assert_eq!(
                format!("{address:?}"),
                "Address { host: \"hc.example:8\", manner: Webhook }"
            );
            let ping = &pings(
                Event::Start,
                std::slice::from_ref(address),
                Body::Empty,
                &json!({}),
            )[0];
            assert_eq!(format!("{ping:?}"), "Ping { host: \"hc.example:8\", .. }");
        }
    }
}
