//! The HTTP client: one way to make a call, with its place in the rate limit, its token, and its retries.
//!
//! No other module names the HTTP library.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

pub(super) use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub(super) use reqwest::{Method, Url};

use super::auth::{Bearer, Keys, without};
use super::pace::Pace;
use super::refusal::Refusal;
use super::retry::{Budget, Judgement, judge};
use super::{Clock, Config, ConnectError, RetryPolicy};
use crate::drive::ErrorKind;
use crate::monitor::{Counter, Monitor, WaitReason, Waiting};

pub(super) mod address;
mod crowd;
mod flow;
mod hosts;
mod message;
mod reach;
#[cfg(test)]
mod tests;
mod transport;

use crowd::Crowd;
pub(super) use flow::content;
use hosts::Hosts;
use message::Whole;
pub(super) use message::{Answer, Call, Failed, Sent, Shot, Work};
use reach::Reach;
pub(super) use transport::{Broken, Content, Line, Payload, Reply};
use transport::{Outgoing, Transport};

/// Fields of a token request that are no secrets.
const PUBLIC_FIELDS: [&str; 5] = ["grant_type", "scope", "client_id", "redirect_uri", "domain"];

/// A tenant's service, ready to be called.
#[derive(Debug)]
pub(super) struct Client {
    transport: Transport,
    hosts: Hosts,
    keys: Keys,
    pace: Pace,
    crowd: Crowd,
    reach: Reach,
    policy: RetryPolicy,
    monitor: Arc<dyn Monitor>,
    clock: Arc<dyn Clock>,
}

impl Client {
    pub(super) fn new(config: &Config, monitor: Arc<dyn Monitor>) -> Result<Client, ConnectError> {
        Ok(Client {
            transport: Transport::new(config)?,
            hosts: Hosts::new(config)?,
            keys: Keys::new(config)?,
            pace: Pace::new(
                config.rate,
                config.state_dir.clone(),
                config.tenant_key.clone(),
                Arc::clone(&config.clock),
                Arc::clone(&monitor),
            ),
            crowd: Crowd::new(),
            reach: Reach::new(config.retry),
            policy: config.retry,
            monitor,
            clock: Arc::clone(&config.clock),
        })
    }

    /// A full budget for one piece of work.
    pub(super) fn budget(&self) -> Budget {
        Budget::new(self.policy)
    }

    /// A budget of two tries, for what is good to have and no more.
    pub(super) fn short_budget(&self) -> Budget {
        Budget::new(RetryPolicy {
            tries: self.policy.tries.min(2),
            ..self.policy
        })
    }

    /// The listener.
    pub(super) fn monitor(&self) -> &Arc<dyn Monitor> {
        &self.monitor
    }

    /// The clock.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Makes a call and reads its answer. An answer that cannot be read is asked for once more.
    pub(super) async fn call<T>(
        self: &Arc<Self>,
        call: &Call,
        read: impl Fn(&Answer) -> Result<T, String> + Send,
    ) -> Result<T, Failed> {
        self.call_within(&mut self.budget(), call, read).await
    }

    /// As [`Client::call`], within a budget that other calls share.
    pub(super) async fn call_within<T>(
        self: &Arc<Self>,
        budget: &mut Budget,
        call: &Call,
        read: impl Fn(&Answer) -> Result<T, String> + Send,
    ) -> Result<T, Failed> {
        let work = Work {
            operation: call.operation,
            subject: call.subject.clone(),
        };
        let mut stale = None;
        let mut unread = false;
        loop {
            let payload = match &call.json {
                Some(value) => Payload::Json(value.clone()),
                None => Payload::Nothing,
            };
            let shot = Shot {
                method: call.method.clone(),
                url: call.url.clone(),
                bearer: call.bearer.clone(),
                stale,
                headers: call.headers.clone(),
                payload,
                line: Line::Call,
            };
            let generation;
            let refusal = match self.exchange(&work, shot).await? {
                Ok(Whole {
                    status: 200..=299,
                    body,
                    ..
                }) => {
                    match read(&Answer { body }) {
                        Ok(value) => return Ok(value),
                        Err(message) if unread => {
                            return Err(self.spent(&work, budget, ErrorKind::Protocol, message, None));
                        }
                        // A call that acts is not made twice for an answer that cannot be read.
                        Err(message) if !call.repeatable => {
                            let mut failed = self.spent(&work, budget, ErrorKind::Protocol, message, None);
                            failed.lost = true;
                            return Err(failed);
                        }
                        Err(message) => {
                            unread = true;
                            self.pause(&work, budget, ErrorKind::Protocol, message, None)
                                .await?;
                            continue;
                        }
                    }
                }
                Ok(whole) => {
                    generation = whole.generation;
                    self.read_refusal(&whole)
                }
                Err(broken) => {
                    if broken.sent && !call.repeatable {
                        let unavailable = ErrorKind::Unavailable { retry_after: None };
                        let mut failed = self.spent(&work, budget, unavailable, broken.message, None);
                        failed.lost = true;
                        return Err(failed);
                    }
                    self.bridge(&work, budget, broken).await?;
                    continue;
                }
            };
            match judge(&refusal) {
                Judgement::Renew if stale.is_none() && generation.is_some() => stale = generation,
                Judgement::Renew => {
                    let kind = call
                        .bearer
                        .as_ref()
                        .map_or(ErrorKind::Unauthenticated, Bearer::refused_kind);
                    return Err(self.refused(&work, budget, kind, refusal));
                }
                Judgement::Final(kind) => {
                    return Err(self.refused(&work, budget, kind, refusal));
                }
                Judgement::Again if !call.repeatable => {
                    let unavailable = ErrorKind::Unavailable {
                        retry_after: refusal.wait,
                    };
                    let mut failed = self.refused(&work, budget, unavailable, refusal);
                    failed.lost = true;
                    return Err(failed);
                }
                judgement => {
                    self.hold_back(&work, budget, &judgement, refusal).await?;
                }
            }
        }
    }

    /// Waits as an answer demands that is worth another try.
    pub(super) async fn hold_back(
        &self,
        work: &Work,
        budget: &mut Budget,
        judgement: &Judgement,
        refusal: Refusal,
    ) -> Result<(), Failed> {
        let asked = match judgement {
            Judgement::Limited | Judgement::Crowded => refusal.reset.or(refusal.wait),
            Judgement::Renew | Judgement::Again | Judgement::Final(_) => refusal.wait,
        };
        let unavailable = ErrorKind::Unavailable { retry_after: asked };
        match judgement {
            Judgement::Limited => {
                let Some(time) = budget.limited(asked) else {
                    return Err(self.refused(work, budget, unavailable, refusal));
                };
                self.pace.close(work.operation, time).await;
                self.monitor.count(Counter::Retries, 1);
                Ok(())
            }
            Judgement::Crowded => {
                self.crowd.refused();
                let Some(time) = budget.limited(asked) else {
                    return Err(self.refused(work, budget, unavailable, refusal));
                };
                self.rest(work, time, WaitReason::RateLimited).await;
                Ok(())
            }
            Judgement::Renew | Judgement::Again | Judgement::Final(_) => {
                self.pause(work, budget, unavailable, refusal.message(), asked)
                    .await
            }
        }
    }

    /// Waits after a request that brought no answer, or gives up. A host that is waited for takes nothing out of the budget.
    pub(super) async fn bridge(
        &self,
        work: &Work,
        budget: &mut Budget,
        broken: Broken,
    ) -> Result<(), Failed> {
        match broken.outage {
            Some(time) => {
                tokio::select! {
                    () = self.rest(work, time, WaitReason::Unreachable) => {}
                    () = self.reach.back() => self.monitor.count(Counter::Retries, 1),
                }
                Ok(())
            }
            None => {
                let unavailable = ErrorKind::Unavailable { retry_after: None };
                self.pause(work, budget, unavailable, broken.message, None).await
            }
        }
    }

    /// Takes a failure out of the budget and pauses, or gives up.
    pub(super) async fn pause(
        &self,
        work: &Work,
        budget: &mut Budget,
        kind: ErrorKind,
        message: String,
        asked: Option<Duration>,
    ) -> Result<(), Failed> {
        let attempts = budget.attempts();
        let Some(time) = budget.failed(asked) else {
            let mut error = work.error(kind, message);
            error.attempts = attempts;
            return Err(Failed::from(error));
        };
        tracing::debug!(
            operation = work.operation,
            subject = work.subject,
            message,
            ?time,
            "a call is repeated"
        );
        self.rest(work, time, WaitReason::Retry).await;
        Ok(())
    }

    async fn rest(&self, work: &Work, time: Duration, why: WaitReason) {
        self.monitor.waiting(&Waiting {
            operation: work.operation,
            time,
            why,
        });
        tokio::time::sleep(time).await;
        self.monitor.count(Counter::Retries, 1);
    }

    /// The error of an answer that is final.
    pub(super) fn refused(&self, work: &Work, budget: &Budget, kind: ErrorKind, refusal: Refusal) -> Failed {
        let mut failed = self.spent(work, budget, kind, refusal.message(), None);
        failed.refusal = Some(refusal);
        failed
    }

    fn spent(
        &self,
        work: &Work,
        budget: &Budget,
        kind: ErrorKind,
        message: String,
        refusal: Option<Refusal>,
    ) -> Failed {
        let mut error = work.error(kind, message);
        error.attempts = budget.attempts();
        Failed {
            error,
            lost: false,
            refusal,
        }
    }

    /// Sends one request in its turn and reads the whole answer.
    async fn exchange(self: &Arc<Self>, work: &Work, shot: Shot) -> Result<Result<Whole, Broken>, Failed> {
        let mut sent = match self.send(work, shot).await? {
            Ok(sent) => sent,
            Err(broken) => return Ok(Err(broken)),
        };
        Ok(sent.reply.collect().await.map(|body| Whole {
            status: sent.reply.status,
            headers: sent.reply.headers,
            body,
            generation: sent.generation,
        }))
    }

    /// Sends one request in its turn and gives the head of the answer. A request that would carry the token to a host
    /// that is none of the tenant's is not sent.
    pub(super) async fn send(
        self: &Arc<Self>,
        work: &Work,
        shot: Shot,
    ) -> Result<Result<Sent, Broken>, Failed> {
        if shot.bearer.is_some() && !self.hosts.admit(&shot.url) {
            let message = format!(
                "the service sent us to {}://{}{}, which is not a host of this tenant: see `storage` under [endpoints]",
                shot.url.scheme(),
                shot.url.host_str().unwrap_or(""),
                shot.url.port().map_or(String::new(), |port| format!(":{port}"))
            );
            return Err(work.error(ErrorKind::Protocol, message).into());
        }
        // A place in the pace is for now: what a token takes to be had must not keep places back that are used later,
        // all at once. So the token is made sure of before, and looked up again after a wait.
        let mut authorization = None;
        if let Some(bearer) = &shot.bearer {
            authorization = Some(self.keys.authorize(self, bearer, shot.stale).await?);
        }
        let waited = self.pace.permit(work.operation).await;
        if let Some(bearer) = shot.bearer.as_ref().filter(|_| waited) {
            authorization = Some(self.keys.authorize(self, bearer, None).await?);
        }
        let mut headers: HeaderMap = shot.headers.into_iter().collect();
        let mut generation = None;
        if let Some(authorization) = authorization {
            generation = Some(authorization.generation);
            headers.extend(authorization.headers.iter().cloned());
        }
        let host = reach::host(&shot.url);
        let place = self.crowd.enter().await;
        tracing::trace!(
            operation = work.operation,
            method = %shot.method,
            host = shot.url.host_str(),
            path = shot.url.path(),
            "request"
        );
        let sent = self
            .transport
            .send(Outgoing {
                method: shot.method,
                url: shot.url,
                headers,
                payload: shot.payload,
                line: shot.line,
            })
            .await;
        drop(place);
        let status = sent.as_ref().ok().map(|reply| reply.status);
        self.monitor.call(work.operation, status);
        if status.is_some() {
            self.reach.answered(&host);
        }
        match status {
            Some(200..=399) => {
                self.crowd.good();
                self.pace.answered(work.operation);
            }
            Some(429) | None => {}
            Some(_) => self.pace.answered(work.operation),
        }
        match sent {
            Err(Broken {
                untrusted: true,
                message,
                ..
            }) => {
                let unavailable = ErrorKind::Unavailable { retry_after: None };
                let message = format!("{message}: see `extra-ca` in the tenant file");
                Err(work.error(unavailable, message).into())
            }
            Err(broken) if !broken.sent => Ok(Err(Broken {
                outage: self.reach.lost(&host),
                ..broken
            })),
            sent => Ok(sent.map(|reply| Sent { reply, generation })),
        }
    }

    fn read_refusal(&self, whole: &Whole) -> Refusal {
        let body = self.keys.without_secrets(whole.body.clone());
        Refusal::read(whole.status, &whole.headers, &body, self.clock.now())
    }

    /// What a reply that is not a success says.
    pub(super) async fn refusal(&self, reply: &mut Reply) -> Refusal {
        let body = self
            .keys
            .without_secrets(reply.collect().await.unwrap_or_default());
        Refusal::read(reply.status, &reply.headers, &body, self.clock.now())
    }

    /// Asks for a token. A form goes to the configured host only, so it needs no host rule.
    ///
    /// The future is boxed, since every request with a token holds the future that asks for one.
    pub(super) fn ask_for_token(
        self: &Arc<Self>,
        work: Work,
        url: Url,
        form: Vec<(&'static str, String)>,
    ) -> BoxFuture<'static, Result<Value, Failed>> {
        let client = Arc::clone(self);
        Box::pin(async move {
            let mut budget = client.budget();
            let mut unread = false;
            loop {
                let shot = Shot {
                    method: Method::POST,
                    url: url.clone(),
                    bearer: None,
                    stale: None,
                    headers: Vec::new(),
                    payload: Payload::Form(form.clone()),
                    line: Line::Call,
                };
                match client.exchange(&work, shot).await? {
                    Ok(whole) if (200..=299).contains(&whole.status) => {
                        let kind = ErrorKind::Protocol;
                        match (Answer { body: whole.body }).json() {
                            Ok(value) => return Ok(value),
                            Err(message) if unread => {
                                return Err(client.spent(&work, &budget, kind, message, None));
                            }
                            Err(message) => {
                                unread = true;
                                client.pause(&work, &mut budget, kind, message, None).await?;
                            }
                        }
                    }
                    Ok(mut whole) => {
                        let sent = form.iter().filter(|(name, _)| !PUBLIC_FIELDS.contains(name));
                        whole.body = without(whole.body, sent.map(|(_, value)| value.as_str()));
                        let refusal = client.read_refusal(&whole);
                        match judge(&refusal) {
                            Judgement::Renew | Judgement::Final(_) => {
                                let kind = ErrorKind::Unauthenticated;
                                return Err(client.refused(&work, &budget, kind, refusal));
                            }
                            judgement => {
                                client.hold_back(&work, &mut budget, &judgement, refusal).await?;
                            }
                        }
                    }
                    Err(broken) => client.bridge(&work, &mut budget, broken).await?,
                }
            }
        })
    }
}
