//! An upload: a ticket, the bytes, and a look into the folder whenever an answer was lost.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{LARGEST, Op, Spot, Tenant, check_name, name, subject, wire};
use crate::api::http::{Answer, HeaderName, HeaderValue, Line, Method, Payload, Shot, Url, Work};
use crate::api::outgoing::outgoing;
use crate::api::read::{as_size, text};
use crate::api::refusal::Refusal;
use crate::api::retry::{Budget, Judgement, judge};
use crate::drive::{ByteSource, Drive, Error, ErrorKind, NewFile, Result};
use crate::entry::Entry;

/// Bytes newly held by the service that give the failures so far back to the budget.
const PROGRESS: u64 = 1 << 20;

/// An upload on its way.
pub(super) struct Upload<'a> {
    tenant: &'a Tenant,
    parent: &'a Entry,
    new: &'a NewFile,
    source: &'a dyn ByteSource,
    spot: Spot,
    op: Op,
    work: Work,
    budget: Budget,
    /// Whether an answer was lost: from then on a file of that name may be ours.
    doubtful: bool,
    /// Whether the bytes that the service holds of an earlier try are to be used.
    resume: bool,
    /// Whether a ticket that was refused has been replaced once since the service last took bytes.
    replaced: bool,
    /// The offset up to which progress was rewarded with a full budget.
    highest: u64,
    /// The generation of the token that the storage host refused.
    stale: Option<u64>,
}

/// Where the service wants the bytes.
struct Ticket {
    url: Url,
    offset: u64,
}

/// What came of a step.
enum Step<T> {
    /// What was wanted.
    Done(T),
    /// A look into the folder found the file: a lost answer had been a good one.
    Found(Box<Entry>),
    /// To be begun again with a new ticket.
    Again(String),
    /// To be begun again with a new ticket, now that its host was waited for.
    Waited,
}

impl<'a> Upload<'a> {
    pub(super) async fn new(
        tenant: &'a Tenant,
        parent: &'a Entry,
        new: &'a NewFile,
        source: &'a dyn ByteSource,
    ) -> Result<Upload<'a>> {
        let spot = tenant.spot(&parent.drive).await?;
        let op = if parent.id.is_root() {
            Op::UploadUrlRoot
        } else {
            Op::UploadUrl
        };
        let work = Work {
            operation: name(spot.place.family, op),
            subject: format!("'{}' in {}", new.name, subject(parent)),
        };
        check_name(work.operation, &new.name)?;
        if new.size > LARGEST {
            return Err(work.error(
                ErrorKind::TooLarge,
                format!("{} bytes, and the service takes {LARGEST}", new.size),
            ));
        }
        Ok(Upload {
            budget: tenant.client.budget(),
            tenant,
            parent,
            new,
            source,
            spot,
            op,
            work,
            doubtful: false,
            resume: false,
            replaced: false,
            highest: 0,
            stale: None,
        })
    }

    /// Uploads the file and tells what it became.
    pub(super) async fn run(mut self) -> Result<Entry> {
        loop {
            let ticket = match self.ticket().await? {
                Step::Done(ticket) => ticket,
                Step::Found(entry) => return Ok(*entry),
                Step::Again(message) => {
                    self.pause(message).await?;
                    continue;
                }
                Step::Waited => continue,
            };
            match self.send(ticket).await? {
                Step::Done(answer) => return self.finish(answer).await,
                Step::Found(entry) => return Ok(*entry),
                Step::Again(message) => self.pause(message).await?,
                Step::Waited => {}
            }
        }
    }

    /// Asks where the bytes go.
    async fn ticket(&mut self) -> Result<Step<Ticket>> {
        let mut call = self.tenant.call(&self.spot, self.op, self.parent, "", &[])?;
        call.method = Method::POST;
        call.json = Some(self.metadata());
        // An empty file may be made by this very call (field reports), so that its repeat could be a conflict.
        call.repeatable = self.new.size > 0 || self.new.overwrite;
        let (base, resume, size) = (call.url.clone(), self.resume, self.new.size);
        let client = Arc::clone(&self.tenant.client);
        let asked = client
            .call_within(&mut self.budget, &call, |answer| {
                read_ticket(answer, &base, resume, size)
            })
            .await;
        match asked {
            Ok(ticket) if ticket.offset == size && size > 0 => {
                // Every byte is there, and yet no file was told of: it is in the folder, or a new start is due.
                let step = self.lost("the service holds every byte already".to_owned());
                let step = step.await?;
                self.resume = false;
                Ok(step)
            }
            Ok(ticket) => {
                if ticket.offset >= self.highest + PROGRESS {
                    self.highest = ticket.offset;
                    self.budget.restore();
                    self.replaced = false;
                }
                Ok(Step::Done(ticket))
            }
            Err(failed) if failed.lost => self.lost(failed.error.message).await,
            Err(failed) if failed.error.kind == ErrorKind::Conflict && self.doubtful => {
                match self.look().await? {
                    Some(entry) => Ok(Step::Found(Box::new(entry))),
                    None => Err(failed.error),
                }
            }
            Err(failed) => Err(failed.error),
        }
    }

    fn metadata(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("fileName".to_owned(), json!(self.new.name));
        fields.insert("fileSize".to_owned(), json!(self.new.size));
        if let Some(modified) = self.new.modified {
            let text = modified.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            fields.insert("modifiedTime".to_owned(), json!(text));
        }
        fields.insert("overwrite".to_owned(), json!(self.new.overwrite));
        fields.insert("suffixOnDuplicate".to_owned(), json!(false));
        fields.insert("resume".to_owned(), json!(self.resume));
        Value::Object(fields)
    }

    /// Sends the bytes from the ticket's offset on, and gives what the service said of the file, if anything.
    async fn send(&mut self, ticket: Ticket) -> Result<Step<Option<Value>>> {
        let client = Arc::clone(&self.tenant.client);
        let work = Work {
            operation: "storage.upload",
            subject: self.work.subject.clone(),
        };
        let size = self.new.size;
        let mut headers = Vec::new();
        if ticket.offset > 0 {
            let range = format!("bytes {}-{}/{size}", ticket.offset, size - 1);
            if let Ok(value) = HeaderValue::from_str(&range) {
                headers.push((HeaderName::from_static("content-range"), value));
            }
        }
        let left = size - ticket.offset;
        let (content, guard) = outgoing(self.source, ticket.offset, left, client.monitor())
            .await
            .map_err(|error| self.source_error(error))?;
        let shot = Shot {
            method: Method::PUT,
            url: ticket.url,
            bearer: Some(self.spot.bearer.clone()),
            stale: self.stale,
            headers,
            payload: Payload::Raw(content),
            line: Line::Content,
        };
        let sent = client.send(&work, shot).await?;
        if let Some(error) = guard.error() {
            return Err(self.source_error(error));
        }
        let mut sent = match sent {
            Ok(sent) => sent,
            Err(broken) if broken.slow && !self.budget.slow() => {
                let unavailable = ErrorKind::Unavailable { retry_after: None };
                return Err(work.error(unavailable, broken.message));
            }
            Err(broken) if broken.outage.is_some() => {
                client.bridge(&work, &mut self.budget, broken).await?;
                return Ok(Step::Waited);
            }
            Err(broken) => return self.lost(broken.message).await,
        };
        let status = sent.reply.status;
        if (200..=299).contains(&status) {
            return match sent.reply.collect().await {
                Ok(body) => {
                    let raw = Answer { body }.json().ok();
                    Ok(Step::Done(raw.filter(Value::is_object)))
                }
                Err(broken) => self.lost(broken.message).await,
            };
        }
        let refusal = client.refusal(&mut sent.reply).await;
        self.refused(&work, refusal, ticket.offset, sent.generation).await
    }

    /// Decides what follows from a refusal by the storage host.
    async fn refused(
        &mut self,
        work: &Work,
        refusal: Refusal,
        offset: u64,
        generation: Option<u64>,
    ) -> Result<Step<Option<Value>>> {
        let message = refusal.message();
        let error = |kind| Err(work.error(kind, message.clone()));
        match judge(&refusal) {
            Judgement::Renew if self.stale.is_none() && generation.is_some() => {
                self.stale = generation;
                self.resume = self.new.size > 0;
                Ok(Step::Again(message))
            }
            Judgement::Renew => error(self.spot.bearer.refused_kind()),
            // An empty file is there since the ticket, where the service made it then; its bytes are a formality.
            Judgement::Final(kind) if self.new.size == 0 => {
                let found = self.tenant.find(self.parent, &self.new.name).await?;
                match found.filter(|entry| !entry.is_folder() && entry.size == Some(0)) {
                    Some(entry) => Ok(Step::Found(Box::new(entry))),
                    None => error(kind),
                }
            }
            Judgement::Final(ErrorKind::Conflict) if self.doubtful => match self.look().await? {
                Some(entry) => Ok(Step::Found(Box::new(entry))),
                // The rest did not fit to what the service holds.
                None if offset > 0 => {
                    self.resume = false;
                    Ok(Step::Again(message))
                }
                None => error(ErrorKind::Conflict),
            },
            Judgement::Final(ErrorKind::Protocol) if offset > 0 => {
                // The service does not take the rest after all.
                self.resume = false;
                Ok(Step::Again(message))
            }
            Judgement::Final(ErrorKind::NotFound | ErrorKind::Denied) if !self.replaced => {
                // The ticket may have ended.
                self.replaced = true;
                self.resume = self.new.size > 0;
                Ok(Step::Again(message))
            }
            Judgement::Final(ErrorKind::NotFound) => error(ErrorKind::Protocol),
            Judgement::Final(kind) => error(kind),
            Judgement::Again => self.lost(message).await,
            judgement => {
                let client = Arc::clone(&self.tenant.client);
                client
                    .hold_back(work, &mut self.budget, &judgement, refusal)
                    .await?;
                self.resume = self.new.size > 0;
                Ok(Step::Again(message))
            }
        }
    }

    /// An answer was lost: the folder tells whether it had been a good one.
    async fn lost<T>(&mut self, message: String) -> Result<Step<T>> {
        self.doubtful = true;
        if let Some(entry) = self.look().await? {
            return Ok(Step::Found(Box::new(entry)));
        }
        self.resume = self.new.size > 0;
        Ok(Step::Again(message))
    }

    /// A file of this name in the folder that is what we upload. Where an older file may be replaced, one like it is no
    /// proof, unless its time is the same too.
    async fn look(&self) -> Result<Option<Entry>> {
        let found = self.tenant.find(self.parent, &self.new.name).await?;
        let second = |time: Option<Timestamp>| time.map(Timestamp::as_second);
        Ok(found.filter(|entry| {
            let whole = !entry.is_folder()
                && entry.size == Some(self.new.size)
                && entry.properties.uploaded != Some(false);
            let ours = !self.new.overwrite
                || (self.new.modified.is_some() && second(entry.modified) == second(self.new.modified));
            whole && ours
        }))
    }

    /// The entry of a file that the service took. What it did not tell is looked up. One that was found by its name may be
    /// another's, so that its size has to fit.
    async fn finish(&self, answer: Option<Value>) -> Result<Entry> {
        let parent = Some(&self.parent.id);
        let told = answer.and_then(|raw| wire::entry(&self.parent.drive, parent, raw.into()).ok());
        if let Some(entry) = told {
            return match entry.size {
                Some(_) => Ok(entry),
                None => self.tenant.stat(&entry).await,
            };
        }
        let found = self.tenant.find(self.parent, &self.new.name).await?;
        let Some(entry) = found.filter(|entry| !entry.is_folder()) else {
            return Err(self.work.error(
                ErrorKind::Protocol,
                "the service took the bytes, but the folder does not hold the file",
            ));
        };
        match entry.size {
            Some(size) if size != self.new.size => Err(self.work.error(
                ErrorKind::Changed,
                format!("the service holds {size} bytes, {} were sent", self.new.size),
            )),
            _ => Ok(entry),
        }
    }

    async fn pause(&mut self, message: String) -> Result<()> {
        let unavailable = ErrorKind::Unavailable { retry_after: None };
        let client = Arc::clone(&self.tenant.client);
        client
            .pause(&self.work, &mut self.budget, unavailable, message, None)
            .await?;
        Ok(())
    }

    fn source_error(&self, error: std::io::Error) -> Error {
        let mut wrong = self.work.error(ErrorKind::Source, error.to_string());
        wrong.source = Some(Box::new(error));
        wrong
    }
}

/// Reads `{uploadUrl, offset}`. An offset counts only where a resumption was asked for.
fn read_ticket(answer: &Answer, base: &Url, resume: bool, size: u64) -> std::result::Result<Ticket, String> {
    let raw = answer.json()?;
    let url = text(&raw, "uploadUrl").ok_or("the answer holds no 'uploadUrl'")?;
    let url = base
        .join(&url)
        .map_err(|error| format!("'uploadUrl' is no address: {error}"))?;
    let offset = match raw.get("offset") {
        None | Some(Value::Null) => 0,
        Some(offset) => as_size(offset).ok_or("'offset' is no number of bytes")?,
    };
    if offset > size {
        return Err(format!("'offset' is {offset}, and the file has {size} bytes"));
    }
    Ok(Ticket {
        url,
        offset: if resume { offset } else { 0 },
    })
}
