//! The classic API (API-ID generation): drives, files and folders over HTTP.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::auth::Bearer;
use super::auth::table::{NoCredential, classic};
use super::body::{self, Source};
use super::http::{Answer, Call, Client, HeaderName, HeaderValue, Method, Url, Work};
use super::items::Item;
use super::read::{News, as_location, text};
use super::{Config, ConnectError, Credentials};
use crate::drive::{
    ByteSource, Detail, Download, Drive, Error, ErrorKind, NewFile, Page, PageToken, Party, PartyKind,
    Result, Sharing, SharingChange,
};
use crate::entry::{Access, Entry, Kind, Root, Scope};
use crate::filter::WordGlob;
use crate::id::{DriveId, Family, FileId};

pub(super) mod addresses;
#[cfg(test)]
mod tests;
mod place;
mod upload;
pub(super) mod wire;

use addresses::Addresses;
use place::{Place, Turn};

/// What stands for group folders that are listed without a group: they cannot be opened, and must not be passed over.
const NAMELESS: &str = "groups/(no id)";
/// Items asked for in one page. The most that are given is not known; fewer are taken as they come.
const PAGE: usize = 200;
/// The location for a root that tells none; a public client lists with it.
const NO_LOCATION: &str = "0";

/// A tenant reached through the classic API.
pub(super) struct Tenant {
    client: Arc<Client>,
    addresses: Addresses,
    api_id: String,
    credentials: Credentials,
    /// The root of My Drive, once it is known.
    root: tokio::sync::OnceCell<Entry>,
}

impl fmt::Debug for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tenant")
            .field("api_id", &self.api_id)
            .finish_non_exhaustive()
    }
}

/// Where an entry stands: its location and key.
struct Spot {
    location: String,
    key: FileId,
}

impl Tenant {
    pub(super) fn new(
        client: Arc<Client>,
        config: &Config,
        api_id: String,
    ) -> std::result::Result<Tenant, ConnectError> {
        Ok(Tenant {
            client,
            addresses: Addresses::new(config)?,
            api_id,
            credentials: config.credentials.clone(),
            root: tokio::sync::OnceCell::new(),
        })
    }

    fn url(&self, template: &str, work: &Work, spot: Option<&Spot>, query: &[(&str, &str)]) -> Result<Url> {
        let values = spot.map(|spot| [("rl", spot.location.as_str()), ("key", spot.key.as_str())]);
        let values = values.as_ref().map_or(&[] as &[_], |values| values);
        self.addresses
            .url(template, values, query)
            .ok_or_else(|| work.error(ErrorKind::Protocol, "a key that fits no address"))
    }

    fn call(
        &self,
        operation: &'static str,
        template: &str,
        subject: String,
        spot: Option<&Spot>,
        query: &[(&str, &str)],
    ) -> Result<Call> {
        let work = Work { operation, subject };
        let url = self.url(template, &work, spot, query)?;
        Ok(Call::get(operation, work.subject, url, Bearer::Member))
    }

    /// My Drive's root, asked for once.
    async fn my_root(&self) -> Result<Entry> {
        let root = self
            .root
            .get_or_try_init(|| async {
                let call = self.call("classic.root", "root", "me".to_owned(), None, &[])?;
                let mut entry = self
                    .client
                    .call(&call, |answer| read_entry(answer, &DriveId::new("me"), None))
                    .await?;
                entry.kind = Kind::Folder;
                entry.name = String::new();
                entry.location.get_or_insert_with(|| NO_LOCATION.to_owned());
                Ok::<Entry, Error>(entry)
            })
            .await?;
        Ok(root.clone())
    }

    /// Where an entry stands. A stand-in for a root is looked up.
    async fn spot(&self, entry: &Entry) -> Result<Spot> {
        if let (Some(location), false) = (&entry.location, entry.id.is_root()) {
            return Ok(Spot {
                location: location.clone(),
                key: entry.id.clone(),
            });
        }
        let root = self.root_of(&entry.drive).await?;
        Ok(Spot {
            location: root.location.unwrap_or_else(|| NO_LOCATION.to_owned()),
            key: if entry.id.is_root() {
                root.id
            } else {
                entry.id.clone()
            },
        })
    }

    async fn root_of(&self, drive: &DriveId) -> Result<Entry> {
        let word = drive.as_str();
        let unknown = || {
            let message = "the classic API has no such drive";
            Error::new(ErrorKind::Unsupported, "classic.get", word, message)
        };
        match drive.family() {
            Family::MyDrive if word == "me" => self.my_root().await,
            Family::Key => {
                let (location, key) = word
                    .strip_prefix("key:")
                    .and_then(|rest| rest.split_once('/'))
                    .ok_or_else(unknown)?;
                let mut entry = Entry::root(drive.clone(), FileId::new(key));
                entry.location = Some(location.to_owned());
                Ok(entry)
            }
            Family::GroupFolder => {
                let id = word.trim_start_matches("groups/");
                let roots = self.group_folders(|group, _| group == id).await?;
                let root = roots.into_iter().next().ok_or_else(unknown)?;
                Ok(root.entry)
            }
            _ => Err(unknown()),
        }
    }

    /// The group folders whose id and name are wanted.
    async fn group_folders(&self, wanted: impl Fn(&str, &str) -> bool) -> Result<Vec<Root>> {
        let operation = "classic.group-folders";
        let mut roots = Vec::new();
        let mut news = News::default();
        let mut offset = 0;
        loop {
            let (from, limit) = (offset.to_string(), PAGE.to_string());
            let query = [("offset", from.as_str()), ("limit", limit.as_str())];
            let call = self.call(operation, "group-folders", "groups".to_owned(), None, &query)?;
            let (items, more) = self
                .client
                .call(&call, |answer| {
                    let (items, more) = wire::page(answer.list("items")?)?;
                    let items: Vec<Value> = items.into_iter().map(Item::into_value).collect();
                    Ok((items, more))
                })
                .await?;
            news.take(items.iter().map(Value::to_string))
                .map_err(|message| Error::new(ErrorKind::Protocol, operation, "groups", message))?;
            let more = more.unwrap_or(!items.is_empty());
            offset += items.len();
            for item in items {
                let Some((group, name)) = group_of(&item) else {
                    let message = "the list holds a folder without a group";
                    roots.push(refused(
                        DriveId::new(NAMELESS),
                        ErrorKind::Protocol.code(),
                        message,
                    ));
                    continue;
                };
                if !wanted(&group, &name) {
                    continue;
                }
                let drive = DriveId::new(format!("groups/{group}"));
                match wire::entry(&drive, None, item.into()) {
                    Ok(mut entry) => {
                        entry.kind = Kind::Folder;
                        entry.name = String::new();
                        roots.push(readable(entry, name));
                    }
                    Err(broken) => {
                        let message = format!("its folder cannot be read ({})", broken.reason);
                        roots.push(refused(drive, ErrorKind::Protocol.code(), &message));
                    }
                }
            }
            if !more {
                return Ok(roots);
            }
        }
    }

    /// Looks for a child by its exact name, page by page.
    async fn find(&self, parent: &Entry, name: &str) -> Result<Option<Entry>> {
        let mut page = None;
        let mut news = News::default();
        loop {
            let found = self.children(parent, page.as_ref()).await?;
            news.take(found.entries.iter().map(|entry| entry.id.as_str()))
                .map_err(|message| {
                    Error::new(ErrorKind::Protocol, "classic.list", subject(parent), message)
                })?;
            if let Some(entry) = found.entries.into_iter().find(|entry| entry.name == name) {
                return Ok(Some(entry));
            }
            match found.next {
                Some(next) => page = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// One root that the job names.
    async fn one(&self, drive: DriveId, name: String) -> Result<Root> {
        let looked = async {
            let root = self.root_of(&drive).await?;
            match drive.family() {
                Family::Key => self.stat(&root).await,
                _ => Ok(root),
            }
        };
        match looked.await {
            Ok(mut entry) => {
                entry.kind = Kind::Folder;
                entry.name = String::new();
                Ok(readable(entry, name))
            }
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Unsupported
                ) =>
            {
                let code = match error.kind {
                    ErrorKind::Unsupported if drive.family() == Family::GroupFolder => "not-found",
                    ref kind => kind.code(),
                };
                Ok(refused(drive, code, &error.message))
            }
            Err(error) => Err(error),
        }
    }

    fn unsupported(&self, operation: &'static str, subject: String) -> Error {
        let message = "nothing is known of such a call in the classic API";
        Error::new(ErrorKind::Unsupported, operation, subject, message)
    }
}

/// What an entry is called in messages.
fn subject(entry: &Entry) -> String {
    if entry.name.is_empty() {
        entry.drive.to_string()
    } else {
        let name = super::refusal::shown(&entry.name);
        format!("'{name}' ({} in {})", entry.id, entry.drive)
    }
}

fn readable(entry: Entry, name: String) -> Root {
    Root {
        entry,
        name,
        quota: None,
        access: Access::Readable,
    }
}

fn refused(drive: DriveId, reason: &str, message: &str) -> Root {
    Root {
        name: drive.to_string(),
        entry: Entry::root(drive, FileId::new(FileId::ROOT)),
        quota: None,
        access: Access::Refused {
            reason: reason.to_owned(),
            message: message.to_owned(),
        },
    }
}

/// Id and name of the group that a folder belongs to.
fn group_of(item: &Value) -> Option<(String, String)> {
    let group = item.get("group")?;
    let id = as_location(group.get("groupId")?).filter(|id| !id.is_empty())?;
    let name = text(group, "groupName").unwrap_or_else(|| id.clone());
    Some((id, name))
}

fn read_entry(
    answer: &Answer,
    drive: &DriveId,
    parent: Option<(&FileId, &str)>,
) -> std::result::Result<Entry, String> {
    wire::entry(drive, parent, wire::bare(answer.item()?)?)
        .map_err(|broken| format!("the answer is no file or folder ({})", broken.reason))
}

/// Headers that the file host wants beside the token (classic docs, doc 1008037 as public clients restate it).
fn file_headers() -> Vec<(HeaderName, HeaderValue)> {
    vec![(
        HeaderName::from_static("x-drive-api-type"),
        HeaderValue::from_static("reseller-api"),
    )]
}

#[async_trait]
impl Drive for Tenant {
    async fn roots(&self, scope: &Scope) -> Result<Vec<Root>> {
        let unopened = classic(&self.credentials).err();
        let word = DriveId::new(scope.to_string());
        if let Some(missing) = unopened {
            return Ok(vec![refused(word, "denied", &missing.to_string())]);
        }
        match scope {
            Scope::Me => {
                let entry = self.my_root().await?;
                Ok(vec![readable(entry, "me".to_owned())])
            }
            Scope::Key { .. } | Scope::Group(_) => {
                let name = word.to_string();
                Ok(vec![self.one(word, name).await?])
            }
            Scope::Groups(pattern) => {
                let matcher = WordGlob::new(&pattern.to_lowercase(), false).map_err(|error| {
                    let message = format!("the pattern cannot be read: {error}");
                    let operation = "classic.group-folders";
                    Error::new(ErrorKind::Unsupported, operation, pattern, message)
                })?;
                self.group_folders(|id, name| {
                    matcher.is_match(&id.to_lowercase()) || matcher.is_match(&name.to_lowercase())
                })
                .await
            }
            _ => {
                let message = NoCredential::NotOffered.to_string();
                Ok(vec![refused(word, "unsupported", &message)])
            }
        }
    }

    async fn children(&self, folder: &Entry, page: Option<&PageToken>) -> Result<Page> {
        let spot = self.spot(folder).await?;
        let place = match page {
            None => Place::default(),
            Some(PageToken(token)) => Place::read(token).ok_or_else(|| {
                let message = "the page is named by no offset";
                Error::new(ErrorKind::Protocol, "classic.list", subject(folder), message)
            })?,
        };
        let (from, limit) = (place.from().to_string(), PAGE.to_string());
        let query = [("offset", from.as_str()), ("limit", limit.as_str())];
        let call = self.call("classic.list", "list", subject(folder), Some(&spot), &query)?;
        let parent = Some((&folder.id, spot.location.as_str()));
        let (mut page, turn) = self
            .client
            .call(&call, |answer| {
                let (mut items, more) = wire::page(answer.list("items")?)?;
                let mut page = Page {
                    full: items.len() >= PAGE,
                    ..Page::default()
                };
                let turn = place.after(&mut items, more);
                for item in items {
                    match wire::entry(&folder.drive, parent, item) {
                        Ok(entry) => page.entries.push(entry),
                        Err(broken) => page.broken.push(*broken),
                    }
                }
                Ok((page, turn))
            })
            .await?;
        let next = match turn {
            Turn::On(next) => next,
            Turn::Back(place) => Some(place),
            Turn::Restless => {
                let message = "the folder kept changing while it was listed";
                return Err(Error::new(
                    ErrorKind::Changed,
                    "classic.list",
                    subject(folder),
                    message,
                ));
            }
        };
        page.next = next.map(|place| PageToken(place.to_string()));
        Ok(page)
    }

    async fn stat(&self, entry: &Entry) -> Result<Entry> {
        let spot = self.spot(entry).await?;
        let call = self.call("classic.get", "get", subject(entry), Some(&spot), &[])?;
        let mut now = self
            .client
            .call(&call, |answer| read_entry(answer, &entry.drive, None))
            .await?;
        now.parent_id.clone_from(&entry.parent_id);
        if now.location.is_none() {
            now.location = Some(spot.location);
        }
        Ok(now)
    }

    async fn download(&self, file: &Entry, from: u64) -> Result<Download> {
        let spot = self.spot(file).await?;
        let work = Work {
            operation: "classic.download",
            subject: subject(file),
        };
        let source = Source {
            client: Arc::clone(&self.client),
            bearer: Bearer::Member,
            url: self.url("download", &work, Some(&spot), &[])?,
            work,
            content_operation: "classic.download",
            headers: file_headers(),
            listed: file.size,
            may_be_page: body::may_be_page(&file.name),
            direct: true,
        };
        body::open(source, from).await
    }

    async fn create_folder(&self, parent: &Entry, folder: &str) -> Result<Entry> {
        let spot = self.spot(parent).await?;
        let mut call = self.call(
            "classic.create-folder",
            "create-folder",
            format!("'{folder}' in {}", subject(parent)),
            Some(&spot),
            &[],
        )?;
        call.method = Method::POST;
        call.json = Some(json!({ "resourceName": folder }));
        call.repeatable = false;
        let work = Work {
            operation: call.operation,
            subject: call.subject.clone(),
        };
        let at = Some((&parent.id, spot.location.as_str()));
        let mut budget = self.client.budget();
        let mut lost = false;
        loop {
            let made = self
                .client
                .call_within(&mut budget, &call, |answer| {
                    let mut entry = read_entry(answer, &parent.drive, at)?;
                    entry.kind = Kind::Folder;
                    Ok(entry)
                })
                .await;
            let failed = match made {
                Ok(entry) => return Ok(entry),
                Err(failed) => failed,
            };
            // The folder of a lost answer may be there: it is ours, since a stranger's would have been a conflict.
            if !(failed.lost || (lost && failed.error.kind == ErrorKind::Conflict)) {
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
        self.send_file(parent, new, source).await
    }

    async fn remove(&self, entry: &Entry) -> Result<()> {
        Err(self.unsupported("classic.delete", subject(entry)))
    }

    async fn relocate(&self, entry: &Entry, _: Option<&Entry>, _: Option<&str>) -> Result<Entry> {
        Err(self.unsupported("classic.move", subject(entry)))
    }

    async fn detail(&self, entry: &Entry, _: Detail) -> Result<Vec<Value>> {
        Err(self.unsupported("classic.detail", subject(entry)))
    }

    async fn sharing(&self, entry: &Entry) -> Result<Sharing> {
        Err(self.unsupported("classic.permissions", subject(entry)))
    }

    async fn change_sharing(&self, entry: &Entry, _: &SharingChange) -> Result<()> {
        Err(self.unsupported("classic.permissions", subject(entry)))
    }

    async fn parties(&self, _: PartyKind) -> Result<Vec<Party>> {
        Err(self.unsupported("classic.directory", "the directory".to_owned()))
    }
}
