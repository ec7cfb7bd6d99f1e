//! Whom a run tells, and the telling.

use std::time::Duration;

use serde_json::Value;

use super::Session;
use super::reference::Resolver;
use crate::api::{self, Patience};
use crate::job::{self, Text};
use crate::notify::{Address, Body, Event, Manner, Repeat, pings};
use crate::stop::Stop;

/// How long a call may still take after a second Ctrl-C.
const LAST_CALL: Duration = Duration::from_secs(3);

/// The addresses of a job's `[notify]`, looked up.
#[derive(Debug)]
pub(super) struct Contacts {
    lists: Vec<List>,
    headers: Vec<(String, String)>,
    body: Body,
    repeat: Repeat,
    patience: Patience,
    stop: Stop,
}

/// The addresses of one key.
#[derive(Debug)]
struct List {
    events: &'static [Event],
    addresses: Vec<Address>,
    /// Why others cannot be called.
    lost: Vec<String>,
}

/// What became of telling an event.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) event: Event,
    /// How many addresses the job names for it.
    pub(super) addresses: usize,
    /// The calls that failed for good, without their addresses.
    pub(super) errors: Vec<String>,
    lost: Vec<String>,
}

impl Told {
    /// All that kept it from being told, in one line.
    pub(super) fn failures(&self) -> Option<String> {
        let all: Vec<&str> = self.errors.iter().chain(&self.lost).map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Contacts {
    /// Looks up every address at the beginning, so that one that is missing is known before the night it is needed.
    pub(super) async fn find(session: &Session) -> Contacts {
        let notify = &session.loaded.job.notify;
        let resolver = Resolver {
            host: &session.host,
            base: &session.loaded.base,
        };
        let mut headers = Vec::new();
        let mut lost_headers = Vec::new();
        for (name, value) in &notify.headers {
            match resolver.text("notify.headers", value).await {
                Ok(value) => headers.push((name.clone(), value)),
                Err(error) => lost_headers.push(error.to_string()),
            }
        }
        let mut lists = Vec::new();
        let keys: [(&'static str, &'static [Event], &[Text]); 5] = [
            ("notify.start", &[Event::Start], &notify.start),
            ("notify.success", &[Event::Success], &notify.success),
            (
                "notify.partial",
                &[Event::Partial, Event::Stopped],
                &notify.partial,
            ),
            ("notify.failure", &[Event::Failure], &notify.failure),
            ("notify.alarm", &[Event::Alarm, Event::Late], &notify.alarm),
        ];
        for (key, events, texts) in keys {
            let mut list = List {
                events,
                addresses: Vec::new(),
                lost: Vec::new(),
            };
            for text in texts {
                match resolver.text(key, text).await {
                    Ok(url) => list.addresses.push(Address {
                        url,
                        manner: Manner::Webhook,
                    }),
                    Err(error) => list.lost.push(error.to_string()),
                }
            }
            // Without a header that was asked for, a call would be refused or would go to the wrong place.
            if !lost_headers.is_empty() && !texts.is_empty() {
                list.addresses.clear();
                list.lost.extend(lost_headers.iter().cloned());
            }
            lists.push(list);
        }
        Contacts {
            lists,
            headers,
            body: match notify.body {
                job::NotifyBody::Summary => Body::Summary,
                job::NotifyBody::None => Body::Empty,
            },
            repeat: match notify.repeat {
                job::Repeat::Always => Repeat::Always,
                job::Repeat::Changes => Repeat::Changes,
            },
            patience: Patience {
                attempts: notify.attempts,
                timeout: notify.timeout,
                pause: session.host.first_pause.unwrap_or(Patience::default().pause),
            },
            stop: session.stop.clone(),
        }
    }

    /// Addresses that cannot be had, each once.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = Vec::new();
        for lost in self.lists.iter().flat_map(|list| &list.lost) {
            if !problems.contains(lost) {
                problems.push(lost.clone());
            }
        }
        problems
    }

    /// How often the same end is told.
    pub(super) fn repeat(&self) -> Repeat {
        self.repeat
    }

    /// Tells `event` to those who want to hear of it, one after the other.
    pub(super) async fn tell(&self, event: Event, summary: &Value) -> Told {
        let mut told = Told {
            event,
            addresses: 0,
            errors: Vec::new(),
            lost: Vec::new(),
        };
        for list in self.lists.iter().filter(|list| list.events.contains(&event)) {
            told.addresses += list.addresses.len() + list.lost.len();
            told.lost.extend(list.lost.iter().cloned());
            for ping in pings(event, &list.addresses, self.body, summary) {
                let called = tokio::select! {
                    called = api::ping(&ping.url, ping.body.as_deref(), &self.headers, &self.patience) => {
                        called.map_err(|error| error.to_string())
                    }
                    () = self.hurry() => Err("the run was stopped at once".to_owned()),
                };
                told.errors.extend(called.err());
            }
        }
        told
    }

    /// A person who wants the run to end at once does not wait for a dead address.
    async fn hurry(&self) {
        self.stop.aborting().await;
        tokio::time::sleep(LAST_CALL).await;
    }
}
