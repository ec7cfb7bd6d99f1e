//! A drive in memory with scripted faults, for the tests of restore and migrate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use super::Copies;
use crate::archive::hex;
use crate::drive::{
    ByteSource, Detail, Download, Drive, Error, ErrorKind, NewFile, Page, PageToken, Party, PartyKind, Piece,
    Result, Sharing, SharingChange,
};
use crate::entry::{Access, Entry, Kind, Quota, Root, Scope};
use crate::id::{DriveId, FileId};

/// Items on one page of a listing.
const PAGE: usize = 2;

/// What goes wrong with one call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is refused without effect.
    Refuse(ErrorKind),
    /// It takes effect, and its answer is lost.
    LoseAnswer,
    /// The service gives the file another name.
    Suffix,
    /// The answer tells another size.
    WrongSize,
    /// Before it takes effect, somebody else puts a file of that name there.
    Race,
    /// The bytes that come back are others.
    Corrupt,
}

/// When the program dies, told in calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    pub(crate) call: u64,
    pub(crate) after_effect: bool,
}

#[derive(Clone, Debug)]
struct Item {
    entry: Entry,
    bytes: Bytes,
}

#[derive(Debug, Default)]
struct World {
    items: BTreeMap<String, Item>,
    next: u64,
    calls: BTreeMap<&'static str, u64>,
    all_calls: u64,
    faults: HashMap<(&'static str, u64), Fault>,
    death: Option<Death>,
}

/// Drives of one tenant, in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryDrive {
    world: Mutex<World>,
    folds: bool,
    careless: bool,
    timeless: bool,
    pub(crate) died: Notify,
    pub(crate) uploaded: Notify,
}

impl MemoryDrive {
    pub(crate) fn new() -> Arc<MemoryDrive> {
        Arc::new(MemoryDrive::default())
    }

    pub(crate) fn folding() -> Arc<MemoryDrive> {
        Arc::new(MemoryDrive {
            folds: true,
            ..MemoryDrive::default()
        })
    }

    /// A service that makes a second file of a name that is taken.
    pub(crate) fn careless() -> Arc<MemoryDrive> {
        Arc::new(MemoryDrive {
            careless: true,
            ..MemoryDrive::default()
        })
    }

    /// A service that gives each upload the time of its arrival.
    pub(crate) fn timeless() -> Arc<MemoryDrive> {
        Arc::new(MemoryDrive {
            timeless: true,
            ..MemoryDrive::default()
        })
    }

    pub(crate) fn root(drive: &str) -> Root {
        Root {
            entry: Entry::root(DriveId::new(drive), FileId::new(FileId::ROOT)),
            name: drive.to_owned(),
            quota: Some(Quota::default()),
            access: Access::Readable,
        }
    }

    pub(crate) fn fault(&self, operation: &'static str, call: u64, fault: Fault) {
        self.world.lock().unwrap().faults.insert((operation, call), fault);
    }

    pub(crate) fn die(&self, death: Option<Death>) {
        let mut world = self.world.lock().unwrap();
        world.death = death;
        world.all_calls = 0;
    }

    /// Calls by operation since this was asked last.
    pub(crate) fn calls(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.world.lock().unwrap().calls)
    }

    /// Puts an item into a folder without counting it as a call.
    pub(crate) fn put(&self, parent: &Entry, name: &str, content: Option<(&str, i64)>) -> Entry {
        let bytes = content.map(|(text, _)| Bytes::from(text.to_owned()));
        let modified = content.and_then(|(_, second)| Timestamp::from_second(second).ok());
        self.world.lock().unwrap().insert(parent, name, bytes, modified)
    }

    pub(crate) fn change(&self, entry: &Entry, content: &str, modified: i64) {
        let mut world = self.world.lock().unwrap();
        let item = world.items.get_mut(&key(entry)).unwrap();
        item.bytes = Bytes::from(content.to_owned());
        item.entry.size = Some(content.len() as u64);
        item.entry.modified = Timestamp::from_second(modified).ok();
    }

    /// Every item of a drive as path, content and time, sorted; a folder has neither.
    pub(crate) fn tree(&self, drive: &str) -> Vec<String> {
        let world = self.world.lock().unwrap();
        let mut lines: Vec<String> = world
            .items
            .values()
            .filter(|item| item.entry.drive.as_str() == drive)
            .map(|item| {
                let path = world.path(&item.entry);
                match item.entry.kind {
                    Kind::Folder => format!("{path}/"),
                    Kind::File => format!(
                        "{path}={}@{}",
                        String::from_utf8_lossy(&item.bytes),
                        item.entry.modified.map_or(0, Timestamp::as_second)
                    ),
                }
            })
            .collect();
        lines.sort();
        lines
    }

    /// What a person does in the drive: not counted as calls.
    pub(crate) fn delete(&self, entry: &Entry) {
        self.world.lock().unwrap().items.remove(&key(entry));
    }

    pub(crate) fn rename(&self, entry: &Entry, parent: &Entry, name: &str) {
        let mut world = self.world.lock().unwrap();
        let item = world.items.get_mut(&key(entry)).unwrap();
        item.entry.parent_id = Some(parent.id.clone());
        item.entry.name = name.to_owned();
    }

    pub(crate) fn guard(&self, entry: &Entry, by: &Entry) {
        let mut world = self.world.lock().unwrap();
        let item = world.items.get_mut(&key(entry)).unwrap();
        item.entry.properties.permission_root = Some(by.id.as_str().to_owned());
    }

    pub(crate) fn content(&self, entry: &Entry) -> String {
        let world = self.world.lock().unwrap();
        String::from_utf8(world.items[&key(entry)].bytes.to_vec()).unwrap()
    }

    pub(crate) fn find(&self, drive: &str, path: &str) -> Entry {
        let world = self.world.lock().unwrap();
        world
            .items
            .values()
            .find(|item| item.entry.drive.as_str() == drive && world.path(&item.entry) == path)
            .map(|item| item.entry.clone())
            .unwrap()
    }

    /// Counts a call; `Err` when it fails or the program dies before it takes effect.
    async fn begin(&self, operation: &'static str, subject: &str) -> Result<(Option<Fault>, bool)> {
        let (fault, dies) = {
            let mut world = self.world.lock().unwrap();
            let count = world.calls.entry(operation).or_default();
            *count += 1;
            let count = *count;
            world.all_calls += 1;
            let now = world.all_calls;
            let dies = world.death.filter(|death| death.call <= now);
            (world.faults.remove(&(operation, count)), dies)
        };
        match dies {
            Some(death) if !death.after_effect => self.dead().await,
            _ => {}
        }
        match fault {
            Some(Fault::Refuse(kind)) => Err(Error::new(kind, operation, subject, "scripted")),
            fault => Ok((fault, dies.is_some())),
        }
    }

    async fn dead(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

fn key(entry: &Entry) -> String {
    format!("{} {}", entry.drive, entry.id)
}

fn lost(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Unavailable { retry_after: None },
        operation,
        "x",
        "the answer is lost",
    )
}

impl World {
    fn insert(
        &mut self,
        parent: &Entry,
        name: &str,
        bytes: Option<Bytes>,
        modified: Option<Timestamp>,
    ) -> Entry {
        self.next += 1;
        let mut entry = Entry::root(parent.drive.clone(), FileId::new(format!("n{}", self.next)));
        entry.parent_id = Some(parent.id.clone());
        entry.name = name.to_owned();
        if let Some(bytes) = &bytes {
            entry.kind = Kind::File;
            entry.size = Some(bytes.len() as u64);
            entry.modified = modified;
        }
        let item = Item {
            entry: entry.clone(),
            bytes: bytes.unwrap_or_default(),
        };
        self.items.insert(key(&entry), item);
        entry
    }

    fn taken(&self, parent: &Entry, name: &str, folds: bool) -> Option<Entry> {
        self.items
            .values()
            .map(|item| &item.entry)
            .find(|entry| {
                entry.drive == parent.drive
                    && entry.parent_id.as_ref() == Some(&parent.id)
                    && (entry.name == name || (folds && super::fold(&entry.name) == super::fold(name)))
            })
            .cloned()
    }

    fn is_there(&self, folder: &Entry) -> bool {
        folder.id.is_root() || self.items.contains_key(&key(folder))
    }

    fn path(&self, entry: &Entry) -> String {
        let above = entry.parent_id.as_ref().and_then(|id| {
            let mut parent = entry.clone();
            parent.id = id.clone();
            self.items.get(&key(&parent))
        });
        let above = above.map_or(String::new(), |item| self.path(&item.entry));
        format!("{above}/{}", entry.name)
    }
}

fn not_found(operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, "x", "gone")
}

#[async_trait]
impl Drive for MemoryDrive {
    async fn roots(&self, scope: &Scope) -> Result<Vec<Root>> {
        Ok(vec![MemoryDrive::root(&scope.to_string())])
    }

    async fn children(&self, folder: &Entry, page: Option<&PageToken>) -> Result<Page> {
        let (_, dies) = self.begin("children", &folder.name).await?;
        if dies {
            self.dead().await;
        }
        let world = self.world.lock().unwrap();
        if !world.is_there(folder) {
            return Err(not_found("children"));
        }
        let from: usize = page.map_or(0, |token| token.0.parse().unwrap());
        let all: Vec<Entry> = world
            .items
            .values()
            .map(|item| item.entry.clone())
            .filter(|entry| entry.drive == folder.drive && entry.parent_id.as_ref() == Some(&folder.id))
            .collect();
        let next = (from + PAGE < all.len()).then(|| PageToken((from + PAGE).to_string()));
        Ok(Page {
            entries: all.into_iter().skip(from).take(PAGE).collect(),
            next,
            ..Page::default()
        })
    }

    async fn stat(&self, entry: &Entry) -> Result<Entry> {
        let (_, dies) = self.begin("stat", &entry.name).await?;
        if dies {
            self.dead().await;
        }
        let world = self.world.lock().unwrap();
        world
            .items
            .get(&key(entry))
            .map(|item| item.entry.clone())
            .ok_or_else(|| not_found("stat"))
    }

    async fn download(&self, file: &Entry, _: u64) -> Result<Download> {
        let (fault, _) = self.begin("download", &file.name).await?;
        let world = self.world.lock().unwrap();
        let item = world.items.get(&key(file)).ok_or_else(|| not_found("download"))?;
        let bytes = match fault {
            Some(Fault::Corrupt) => Bytes::from_static(b"??"),
            _ => item.bytes.clone(),
        };
        Ok(Download {
            from: 0,
            size: Some(bytes.len() as u64),
            attempts: 1,
            body: stream::iter([Ok(Piece::Bytes(bytes))]).boxed(),
        })
    }

    async fn create_folder(&self, parent: &Entry, name: &str) -> Result<Entry> {
        let (fault, dies) = self.begin("create_folder", name).await?;
        let outcome = {
            let mut world = self.world.lock().unwrap();
            if !world.is_there(parent) {
                Err(not_found("create_folder"))
            } else if world.taken(parent, name, self.folds).is_some() {
                Err(Error::new(ErrorKind::Conflict, "create_folder", name, "taken"))
            } else {
                Ok(world.insert(parent, name, None, None))
            }
        };
        if dies {
            self.dead().await;
        }
        match fault {
            Some(Fault::LoseAnswer) => Err(lost("create_folder")),
            _ => outcome,
        }
    }

    async fn upload(&self, parent: &Entry, new: &NewFile, source: &dyn ByteSource) -> Result<Entry> {
        let (fault, dies) = self.begin("upload", &new.name).await?;
        if matches!(fault, Some(Fault::Race)) {
            self.put(parent, &new.name, Some(("somebody else's", 7)));
        }
        let refused =
            |error: io::Error| Error::new(ErrorKind::Source, "upload", &new.name, error.to_string());
        let mut bytes = Vec::new();
        // Opened twice, as a resumed upload does: the first bytes are at the server already.
        let offset = new.size / 2;
        let mut first = source.open(0).await.map_err(refused)?;
        while let Some(portion) = first.next().await {
            bytes.extend_from_slice(&portion.map_err(refused)?);
        }
        bytes.truncate(usize::try_from(offset).unwrap());
        let mut rest = source.open(offset).await.map_err(refused)?;
        while let Some(portion) = rest.next().await {
            bytes.extend_from_slice(&portion.map_err(refused)?);
        }
        assert_eq!(bytes.len() as u64, new.size, "a source gives what it promised");
        let modified = match self.timeless {
            true => Timestamp::from_second(1_000_000).ok(),
            false => new.modified,
        };
        let outcome = {
            let mut world = self.world.lock().unwrap();
            let taken = world
                .taken(parent, &new.name, self.folds)
                .filter(|_| new.overwrite || !self.careless);
            if !world.is_there(parent) {
                Err(not_found("upload"))
            } else {
                match taken {
                    Some(found) if new.overwrite && found.kind == Kind::File => {
                        let item = world.items.get_mut(&key(&found)).unwrap();
                        item.entry.size = Some(new.size);
                        item.entry.modified = modified;
                        item.bytes = Bytes::from(bytes);
                        Ok(item.entry.clone())
                    }
                    Some(_) => Err(Error::new(ErrorKind::Conflict, "upload", &new.name, "taken")),
                    None => {
                        let name = match fault {
                            Some(Fault::Suffix) => format!("{}-1", new.name),
                            _ => new.name.clone(),
                        };
                        Ok(world.insert(parent, &name, Some(Bytes::from(bytes)), modified))
                    }
                }
            }
        };
        if dies {
            self.dead().await;
        }
        self.uploaded.notify_one();
        match fault {
            Some(Fault::LoseAnswer) => Err(lost("upload")),
            Some(Fault::WrongSize) => outcome.map(|mut entry| {
                entry.size = Some(new.size + 1);
                entry
            }),
            _ => outcome,
        }
    }

    async fn remove(&self, entry: &Entry) -> Result<()> {
        let (_, dies) = self.begin("remove", &entry.name).await?;
        {
            let mut world = self.world.lock().unwrap();
            let mut gone = vec![entry.clone()];
            while let Some(one) = gone.pop() {
                world.items.remove(&key(&one));
                gone.extend(
                    world
                        .items
                        .values()
                        .map(|item| item.entry.clone())
                        .filter(|child| {
                            child.drive == one.drive && child.parent_id.as_ref() == Some(&one.id)
                        }),
                );
            }
        }
        if dies {
            self.dead().await;
        }
        Ok(())
    }

    async fn relocate(&self, entry: &Entry, parent: Option<&Entry>, name: Option<&str>) -> Result<Entry> {
        let (fault, dies) = self.begin("relocate", &entry.name).await?;
        let outcome = {
            let mut world = self.world.lock().unwrap();
            let mut item = world
                .items
                .get(&key(entry))
                .cloned()
                .ok_or_else(|| not_found("relocate"))?;
            if let Some(parent) = parent {
                item.entry.parent_id = Some(parent.id.clone());
            }
            if let Some(name) = name {
                item.entry.name = name.to_owned();
            }
            let mut above = entry.clone();
            above.id = item.entry.parent_id.clone().unwrap();
            let taken = world.taken(&above, &item.entry.name, self.folds);
            if taken.is_some_and(|other| other.id != entry.id) {
                Err(Error::new(ErrorKind::Conflict, "relocate", &entry.name, "taken"))
            } else {
                world.items.insert(key(entry), item.clone());
                Ok(item.entry)
            }
        };
        if dies {
            self.dead().await;
        }
        match fault {
            Some(Fault::LoseAnswer) => Err(lost("relocate")),
            _ => outcome,
        }
    }

    async fn detail(&self, entry: &Entry, _: Detail) -> Result<Vec<Value>> {
        self.begin("detail", &entry.name).await?;
        Ok(vec![Value::String(format!("who may read {}", entry.id))])
    }

    async fn sharing(&self, entry: &Entry) -> Result<Sharing> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "sharing",
            entry.id.as_str(),
            "not in memory",
        ))
    }

    async fn change_sharing(&self, entry: &Entry, _: &SharingChange) -> Result<()> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "change_sharing",
            entry.id.as_str(),
            "not in memory",
        ))
    }

    async fn parties(&self, _: PartyKind) -> Result<Vec<Party>> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "parties",
            "everybody",
            "not in memory",
        ))
    }
}

/// Stored copies in a folder of the test.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    pub(crate) others: Mutex<HashMap<String, Vec<String>>>,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Arc<Folder> {
        Arc::new(Folder {
            path,
            others: Mutex::default(),
        })
    }

    pub(crate) fn store(&self, place: &str, content: &str) {
        std::fs::write(self.path.join(place), content).unwrap();
    }
}

impl Copies for Folder {
    fn open(&self, stored_at: &str) -> io::Result<File> {
        File::open(self.path.join(stored_at))
    }

    fn other_copies(&self, sha256: &str, _: u64) -> Vec<String> {
        self.others
            .lock()
            .unwrap()
            .get(sha256)
            .cloned()
            .unwrap_or_default()
    }
}

pub(crate) fn sha256(content: &str) -> String {
    hex(digest(&SHA256, content.as_bytes()).as_ref())
}
