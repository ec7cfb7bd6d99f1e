//! API 2.0: drives, files and folders over HTTP.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Config;
use super::auth::table::{Credential, member};
use super::auth::{Bearer, Credentials};
use super::body::{self, Source};
use super::http::address::{segment, with_query};
use super::http::{Answer, Call, Client, Method, Url, Work};
use super::read::{News, text};
use crate::drive::{
    ByteSource, Detail, Download, Drive, Error, ErrorKind, NewFile, Page, PageToken, Party, PartyKind,
    Result, Sharing, SharingChange,
};
use crate::entry::{Entry, Kind, Root, Scope};
use crate::id::{DriveId, FileId};

mod detail;
mod directory;
mod place;
mod roots;
mod sharing;
#[cfg(test)]
mod tests;
mod upload;
pub(super) mod wire;

use place::{Op, Place, name};

/// Items asked for in one page, the most that are given (API 2.0 docs, EN/group-folder-file-root-list).
const PAGE: usize = 200;
/// Characters of a name at most (API 2.0 docs, EN/drive-file-root-create).
const NAME: usize = 200;
/// Bytes of a file at most: 10 GiB (API 2.0 docs, EN/drive-file-root-create).
const LARGEST: u64 = 10_737_418_240;

/// A tenant reached through API 2.0.
pub(super) struct Tenant {
    client: Arc<Client>,
    api: String,
    credentials: Credentials,
    domain_id: Option<String>,
    /// Login mails of members by the id in a drive's word, for delegated tokens.
    mails: Mutex<HashMap<String, Arc<str>>>,
    /// The ids of root folders, which the service tells only in their children.
    root_ids: Mutex<HashMap<DriveId, FileId>>,
}

impl fmt::Debug for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tenant")
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

/// A drive that is about to be called.
struct Spot {
    place: Place,
    bearer: Bearer,
}

impl Tenant {
    pub(super) fn new(client: Arc<Client>, config: &Config) -> Tenant {
        Tenant {
            client,
            api: config.endpoints.api.trim_end_matches('/').to_owned(),
            credentials: config.credentials.clone(),
            domain_id: config.domain_id.map(|id| id.to_string()),
            mails: Mutex::default(),
            root_ids: Mutex::default(),
        }
    }

    /// Where a drive stands and whose token opens it.
    async fn spot(&self, drive: &DriveId) -> Result<Spot> {
        let unknown = || {
            Error::new(
                ErrorKind::Unsupported,
                "drive",
                drive.as_str(),
                "API 2.0 has no such drive",
            )
        };
        let place = Place::of(drive, false).ok_or_else(unknown)?;
        let Some(member) = place
            .member
            .as_deref()
            .filter(|member| *member != "me" && self.credentials.can_delegate())
        else {
            return match self.own_bearer().await? {
                // The token acts as the member, whose own drive is `me`.
                bearer @ Bearer::Delegated(_) => Ok(Spot {
                    place: Place::of(drive, true).ok_or_else(unknown)?,
                    bearer,
                }),
                bearer => Ok(Spot { place, bearer }),
            };
        };
        let mail = self.mail_of(member).await?;
        Ok(Spot {
            place: Place::of(drive, true).ok_or_else(unknown)?,
            bearer: Bearer::Delegated(mail),
        })
    }

    /// Whose token opens what belongs to no other member: that of the login, or where there is none, a delegated one.
    async fn own_bearer(&self) -> Result<Bearer> {
        match (member(&self.credentials), &self.credentials.member) {
            (Ok(Credential::Delegated), Some(acting)) => Ok(Bearer::Delegated(self.mail_of(acting).await?)),
            _ => Ok(Bearer::Member),
        }
    }

    fn remember_mail(&self, member: &str, mail: &str) {
        self.mails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(member.to_owned(), Arc::from(mail));
    }

    /// An address below the API's, from parts that are encoded already.
    fn url(&self, path: &str, query: &[(&str, &str)], work: &Work) -> Result<Url> {
        with_query(&format!("{}{path}", self.api), query)
            .ok_or_else(|| work.error(ErrorKind::Protocol, "an id that fits no address"))
    }

    /// A call on a file, folder or root: `{drive}/files/{id}{tail}`, without the id for a root.
    fn call(&self, spot: &Spot, op: Op, entry: &Entry, tail: &str, query: &[(&str, &str)]) -> Result<Call> {
        let work = Work {
            operation: name(spot.place.family, op),
            subject: subject(entry),
        };
        let path = if entry.id.is_root() {
            format!("{}/files{tail}", spot.place.path)
        } else {
            let id = segment(entry.id.as_str())
                .ok_or_else(|| work.error(ErrorKind::Protocol, "an id that fits no address"))?;
            format!("{}/files/{id}{tail}", spot.place.path)
        };
        let url = self.url(&path, query, &work)?;
        Ok(Call::get(work.operation, work.subject, url, spot.bearer.clone()))
    }

    /// Looks for a child by its exact name, page by page.
    async fn find(&self, parent: &Entry, name: &str) -> Result<Option<Entry>> {
        let mut page = None;
        let mut seen = std::collections::HashSet::new();
        let mut news = News::default();
        let wrong = |message| Error::new(ErrorKind::Protocol, "drive.list", subject(parent), message);
        loop {
            let found = self.children(parent, page.as_ref()).await?;
            news.take(found.entries.iter().map(|entry| entry.id.as_str()))
                .map_err(wrong)?;
            if let Some(entry) = found.entries.into_iter().find(|entry| entry.name == name) {
                return Ok(Some(entry));
            }
            match found.next {
                Some(next) if seen.insert(next.0.clone()) => page = Some(next),
                Some(_) => return Err(wrong("a listing returned to a page that was read already")),
                None => return Ok(None),
            }
        }
    }

    /// The real id of a folder, which a root tells only through its children; `root` where there is none to ask.
    async fn folder_id(&self, folder: &Entry) -> Result<FileId> {
        if !folder.id.is_root() {
            return Ok(folder.id.clone());
        }
        let known = |ids: &Mutex<HashMap<DriveId, FileId>>| {
            let ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
            ids.get(&folder.drive).cloned()
        };
        if let Some(id) = known(&self.root_ids) {
            return Ok(id);
        }
        self.children(folder, None).await?;
        Ok(known(&self.root_ids).unwrap_or_else(|| folder.id.clone()))
    }

    /// Reads an answer that holds a file or folder.
    fn read_entry(
        answer: &Answer,
        drive: &DriveId,
        parent: Option<&FileId>,
    ) -> std::result::Result<Entry, String> {
        wire::entry(drive, parent, answer.item()?)
            .map_err(|broken| format!("the answer is no file or folder ({})", broken.reason))
    }

    /// The answer to a change, or what the entry is now where the answer does not say.
    async fn after_change(&self, entry: &Entry, call: &Call) -> Result<Entry> {
        let answered = self
            .client
            .call(call, |answer| {
                Ok(Self::read_entry(answer, &entry.drive, None).ok())
            })
            .await;
        match answered {
            Ok(Some(mut now)) => {
                if now.parent_id.is_none() {
                    now.parent_id.clone_from(&entry.parent_id);
                }
                Ok(now)
            }
            Ok(None) => self.stat(entry).await,
            Err(failed) => Err(failed.error),
        }
    }
}

/// What an entry is called in messages.
fn subject(entry: &Entry) -> String {
    if entry.id.is_root() {
        entry.drive.to_string()
    } else if entry.name.is_empty() {
        // A folder of the walk is known by its id alone.
        format!("folder {} in {}", entry.id, entry.drive)
    } else {
        let name = super::refusal::shown(&entry.name);
        format!("'{name}' ({} in {})", entry.id, entry.drive)
    }
}

/// A name that the service cannot hold is refused here, before a request is spent on it.
fn check_name(operation: &'static str, name: &str) -> Result<()> {
    let length = name.chars().count();
    if (1..=NAME).contains(&length) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        operation,
        format!("'{}'", super::refusal::shown(name)),
        format!("a name has 1 to {NAME} characters, this one {length}"),
    ))
}

#[async_trait]
impl Drive for Tenant {
    async fn roots(&self, scope: &Scope) -> Result<Vec<Root>> {
        self.scope_roots(scope).await
    }

    async fn children(&self, folder: &Entry, page: Option<&PageToken>) -> Result<Page> {
        let spot = self.spot(&folder.drive).await?;
        let count = PAGE.to_string();
        let mut query = vec![("count", count.as_str())];
        if let Some(PageToken(cursor)) = page {
            query.push(("cursor", cursor));
        }
        let call = if folder.id.is_root() {
            self.call(&spot, Op::ListRoot, folder, "", &query)?
        } else {
            self.call(&spot, Op::List, folder, "/children", &query)?
        };
        let page = self
            .client
            .call(&call, |answer| {
                let (items, next) = wire::page(answer.list("files")?)?;
                let mut page = Page {
                    next: next.map(PageToken),
                    full: items.len() >= PAGE,
                    ..Page::default()
                };
                for item in items {
                    match wire::entry(&folder.drive, Some(&folder.id), item) {
                        Ok(entry) => page.entries.push(entry),
                        Err(broken) => page.broken.push(*broken),
                    }
                }
                Ok(page)
            })
            .await?;
        if folder.id.is_root()
            && let Some(id) = page.entries.iter().find_map(|entry| entry.parent_id.clone())
            && !id.is_root()
        {
            self.root_ids
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(folder.drive.clone(), id);
        }
        Ok(page)
    }

    async fn stat(&self, entry: &Entry) -> Result<Entry> {
        let spot = self.spot(&entry.drive).await?;
        if entry.id.is_root() {
            self.properties(&entry.drive, &spot).await?;
            return Ok(entry.clone());
        }
        let call = self.call(&spot, Op::GetItem, entry, "", &[])?;
        let found = self
            .client
            .call(&call, |answer| {
                Self::read_entry(answer, &entry.drive, entry.parent_id.as_ref())
            })
            .await?;
        Ok(found)
    }

    async fn download(&self, file: &Entry, from: u64) -> Result<Download> {
        let spot = self.spot(&file.drive).await?;
        let call = self.call(&spot, Op::Download, file, "/download", &[])?;
        let source = Source {
            client: Arc::clone(&self.client),
            bearer: spot.bearer,
            work: Work {
                operation: call.operation,
                subject: call.subject,
            },
            content_operation: "storage.download",
            url: call.url,
            headers: Vec::new(),
            listed: file.size,
            may_be_page: body::may_be_page(&file.name),
            direct: false,
        };
        body::open(source, from).await
    }

    async fn create_folder(&self, parent: &Entry, folder: &str) -> Result<Entry> {
        let spot = self.spot(&parent.drive).await?;
        let op = if parent.id.is_root() {
            Op::CreateFolderRoot
        } else {
            Op::CreateFolder
        };
        let mut call = self.call(&spot, op, parent, "/createfolder", &[])?;
        check_name(call.operation, folder)?;
        call.method = Method::POST;
        call.json = Some(json!({ "fileName": folder }));
        call.repeatable = false;
        let work = Work {
            operation: call.operation,
            subject: format!("'{folder}' in {}", call.subject),
        };
        let mut budget = self.client.budget();
        let mut lost = false;
        loop {
            let made = self
                .client
                .call_within(&mut budget, &call, |answer| {
                    let mut entry = Self::read_entry(answer, &parent.drive, Some(&parent.id))?;
                    entry.kind = Kind::Folder;
                    Ok(entry)
                })
                .await;
            let failed = match made {
                Ok(entry) => return Ok(entry),
                Err(failed) => failed,
            };
            // The folder of a lost answer may be there: it is ours, since a stranger's would have been a conflict.
            let settled = failed.lost || (lost && failed.error.kind == ErrorKind::Conflict);
            if !settled {
                return Err(failed.error);
            }
            let found = self.find(parent, folder).await?;
            if let Some(entry) = found.filter(Entry::is_folder) {
                return Ok(entry);
            }
            if !failed.lost {
                return Err(failed.error);
            }
            lost = true;
            let Error { kind, message, .. } = failed.error;
            self.client.pause(&work, &mut budget, kind, message, None).await?;
        }
    }

    async fn upload(&self, parent: &Entry, new: &NewFile, source: &dyn ByteSource) -> Result<Entry> {
        upload::Upload::new(self, parent, new, source).await?.run().await
    }

    async fn remove(&self, entry: &Entry) -> Result<()> {
        let spot = self.spot(&entry.drive).await?;
        if entry.id.is_root() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                name(spot.place.family, Op::Delete),
                subject(entry),
                "a drive's root cannot be removed",
            ));
        }
        let mut call = self.call(&spot, Op::Delete, entry, "", &[])?;
        call.method = Method::DELETE;
        call.repeatable = false;
        let mut budget = self.client.budget();
        let mut lost = false;
        loop {
            let failed = match self.client.call_within(&mut budget, &call, |_| Ok(())).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            if lost && failed.error.kind == ErrorKind::NotFound {
                return Ok(());
            }
            if !failed.lost {
                return Err(failed.error);
            }
            lost = true;
            let work = Work {
                operation: call.operation,
                subject: call.subject.clone(),
            };
            let Error { kind, message, .. } = failed.error;
            self.client.pause(&work, &mut budget, kind, message, None).await?;
        }
    }

    async fn relocate(&self, entry: &Entry, parent: Option<&Entry>, new_name: Option<&str>) -> Result<Entry> {
        let spot = self.spot(&entry.drive).await?;
        let mut now = entry.clone();
        if let Some(parent) = parent {
            if parent.drive != entry.drive {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    name(spot.place.family, Op::Move),
                    subject(entry),
                    "nothing is said of moves between drives",
                ));
            }
            let target = self.folder_id(parent).await?;
            let mut call = self.call(&spot, Op::Move, &now, "/move", &[])?;
            call.method = Method::POST;
            call.json = Some(json!({ "toParentFileId": target.as_str() }));
            now = self.after_change(&now, &call).await?;
            now.parent_id = Some(target);
        }
        if let Some(new_name) = new_name {
            let mut call = self.call(&spot, Op::Rename, &now, "/rename", &[])?;
            check_name(call.operation, new_name)?;
            call.method = Method::POST;
            call.json = Some(json!({ "fileName": new_name }));
            now = self.after_change(&now, &call).await?;
        }
        Ok(now)
    }

    async fn detail(&self, entry: &Entry, detail: Detail) -> Result<Vec<Value>> {
        self.details(entry, detail).await
    }

    async fn sharing(&self, entry: &Entry) -> Result<Sharing> {
        self.read_sharing(entry).await
    }

    async fn change_sharing(&self, entry: &Entry, change: &SharingChange) -> Result<()> {
        self.make_change(entry, change).await
    }

    async fn parties(&self, kind: PartyKind) -> Result<Vec<Party>> {
        self.everybody(kind).await
    }
}

/// The name of a drive or folder among the given fields.
fn named(raw: &Value, fields: &[&str]) -> Option<String> {
    fields.iter().find_map(|field| text(raw, field))
}
