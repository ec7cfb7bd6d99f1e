//! The classic upload: one form whose last part is the file, and a look into the folder when the answer was lost.

use std::sync::Arc;

use serde_json::Value;

use super::{Spot, Tenant, file_headers, subject, wire};
use crate::api::auth::Bearer;
use crate::api::http::{Answer, Line, Method, Payload, Sent, Shot, Work};
use crate::api::outgoing::outgoing;
use crate::api::retry::{Judgement, judge};
use crate::drive::{ByteSource, Drive, Error, ErrorKind, NewFile, Result};
use crate::entry::Entry;

impl Tenant {
    /// Uploads a file (classic docs, doc 1008037): `toParentKey`, `resourceName`, `overWrite`, and `FileData` last. It
    /// cannot be resumed, and the file's time cannot be set.
    pub(super) async fn send_file(
        &self,
        parent: &Entry,
        new: &NewFile,
        source: &dyn ByteSource,
    ) -> Result<Entry> {
        let spot = self.spot(parent).await?;
        let client = Arc::clone(&self.client);
        let work = Work {
            operation: "classic.upload",
            subject: format!("'{}' in {}", new.name, subject(parent)),
        };
        let source_error = |error: std::io::Error| {
            let mut wrong = work.error(ErrorKind::Source, error.to_string());
            wrong.source = Some(Box::new(error));
            wrong
        };
        let url = self.url("upload", &work, Some(&spot), &[])?;
        let mut budget = client.budget();
        let mut stale = None;
        let mut doubtful = false;
        loop {
            let (content, guard) = outgoing(source, 0, new.size, client.monitor())
                .await
                .map_err(source_error)?;
            let mut fields = vec![
                ("toParentKey", spot.key.to_string()),
                ("resourceName", new.name.clone()),
            ];
            if new.overwrite {
                fields.push(("overWrite", "true".to_owned()));
            }
            let shot = Shot {
                method: Method::POST,
                url: url.clone(),
                bearer: Some(Bearer::Member),
                stale,
                headers: file_headers(),
                payload: Payload::Multipart {
                    fields,
                    part: "FileData",
                    name: new.name.clone(),
                    content,
                },
                line: Line::Content,
            };
            let sent = client.send(&work, shot).await?;
            if let Some(error) = guard.error() {
                return Err(source_error(error));
            }
            let lost = match sent {
                Err(broken) if !broken.sent => {
                    client.bridge(&work, &mut budget, broken).await?;
                    continue;
                }
                Err(broken) => broken.message,
                Ok(Sent {
                    mut reply,
                    generation,
                }) => {
                    let status = reply.status;
                    if (200..=299).contains(&status) {
                        match reply.collect().await {
                            Ok(body) => {
                                let answer = Answer { body };
                                return self.sent(parent, &spot, new, &answer, &work).await;
                            }
                            Err(broken) => broken.message,
                        }
                    } else {
                        let refusal = client.refusal(&mut reply).await;
                        let message = refusal.message();
                        match judge(&refusal) {
                            Judgement::Renew if stale.is_none() && generation.is_some() => {
                                stale = generation;
                                continue;
                            }
                            Judgement::Renew => {
                                return Err(work.error(ErrorKind::Unauthenticated, message));
                            }
                            Judgement::Final(ErrorKind::Conflict) if doubtful => {
                                let found = self.uploaded(parent, new).await?;
                                return found.ok_or_else(|| work.error(ErrorKind::Conflict, message));
                            }
                            Judgement::Final(kind) => return Err(work.error(kind, message)),
                            Judgement::Again => message,
                            judgement => {
                                client.hold_back(&work, &mut budget, &judgement, refusal).await?;
                                continue;
                            }
                        }
                    }
                }
            };
            doubtful = true;
            if let Some(entry) = self.uploaded(parent, new).await? {
                return Ok(entry);
            }
            let unavailable = ErrorKind::Unavailable { retry_after: None };
            client.pause(&work, &mut budget, unavailable, lost, None).await?;
        }
    }

    /// A file of this name and size in the folder. Where an older file may be replaced, one like it proves nothing.
    async fn uploaded(&self, parent: &Entry, new: &NewFile) -> Result<Option<Entry>> {
        if new.overwrite {
            return Ok(None);
        }
        let found = self.find(parent, &new.name).await?;
        Ok(found.filter(|entry| {
            !entry.is_folder() && entry.size == Some(new.size) && entry.properties.uploaded != Some(false)
        }))
    }

    /// The entry of a file that the service took. Its answer tells little more than a key, so that the rest is asked for. One
    /// that was found by its name may be another's, so that its size has to fit.
    async fn sent(
        &self,
        parent: &Entry,
        spot: &Spot,
        new: &NewFile,
        answer: &Answer,
        work: &Work,
    ) -> Result<Entry> {
        let told = answer
            .item()
            .ok()
            .and_then(|item| wire::bare(item).ok())
            .filter(|item| item.text("resourceKey").is_some());
        let entry = match told {
            Some(mut item) => {
                item.or_insert("resourceName", || Value::String(new.name.clone()));
                let at = Some((&parent.id, spot.location.as_str()));
                let entry = wire::entry(&parent.drive, at, item).map_err(|broken| {
                    let message = format!("the answer is no file ({})", broken.reason);
                    work.error(ErrorKind::Protocol, message)
                })?;
                return match entry.size {
                    Some(_) => Ok(entry),
                    None => self.stat(&entry).await,
                };
            }
            None => self.find(parent, &new.name).await?,
        };
        match entry {
            Some(entry) if entry.size.is_none_or(|size| size == new.size) => Ok(entry),
            Some(entry) => {
                let message = format!(
                    "the service holds {} bytes, {} were sent",
                    entry.size.unwrap_or_default(),
                    new.size
                );
                Err(Error::new(
                    ErrorKind::Changed,
                    work.operation,
                    work.subject.clone(),
                    message,
                ))
            }
            None => Err(work.error(
                ErrorKind::Protocol,
                "the service took the bytes, but the folder does not hold the file",
            )),
        }
    }
}
