//! A restore gone through without sending anything: the target is listed as far as it is there, and everything that would
//! be made or sent counts as made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use super::{Copies, Error, Options, Summary, restore};
use crate::drive::{
    self, ByteSource, Detail, Download, Drive, ErrorKind, NewFile, Page, PageToken, Party, PartyKind,
    Sharing, SharingChange,
};
use crate::entry::{Entry, Kind, Root, Scope};
use crate::id::{Family, FileId};
use crate::ledger::{Ledger, SameBy};
use crate::monitor::Monitor;
use crate::stop::Stop;

/// What a restore would make in the drives of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Folders made at a root.
    pub root_folders: u64,
    /// Folders made in other folders.
    pub folders: u64,
    /// Files sent to a root.
    pub root_files: u64,
    /// Files sent to other folders.
    pub files: u64,
    /// Bytes of all these files.
    pub bytes: u64,
}

/// Where a restore goes to that is only rehearsed.
#[derive(Debug)]
pub struct Stage {
    drive: Arc<dyn Drive>,
    is_new: bool,
    next: AtomicU64,
    made: Mutex<BTreeMap<Family, Made>>,
}

/// What begins the ids of items that are not there. No service gives such ids.
const MADE: &str = "\u{0}rehearsed ";

impl Stage {
    /// A stage before `drive`; `is_new` when the target is not there yet, so that nothing of it can be listed.
    pub fn new(drive: Arc<dyn Drive>, is_new: bool) -> Stage {
        Stage {
            drive,
            is_new,
            next: AtomicU64::new(0),
            made: Mutex::default(),
        }
    }

    /// What was made so far, by family.
    pub fn made(&self) -> BTreeMap<Family, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, family: Family, count: impl FnOnce(&mut Made)) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        count(made.entry(family).or_default());
    }

    fn make(&self, parent: &Entry, name: &str, kind: Kind) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut entry = Entry::root(parent.drive.clone(), FileId::new(format!("{MADE}{number}")));
        entry.parent_id = Some(parent.id.clone());
        entry.name = name.to_owned();
        entry.kind = kind;
        entry
    }
}

#[async_trait]
impl Drive for Stage {
    async fn roots(&self, scope: &Scope) -> drive::Result<Vec<Root>> {
        self.drive.roots(scope).await
    }

    async fn children(&self, folder: &Entry, page: Option<&PageToken>) -> drive::Result<Page> {
        if self.is_new || folder.id.as_str().starts_with(MADE) {
            return Ok(Page::default());
        }
        self.drive.children(folder, page).await
    }

    async fn stat(&self, entry: &Entry) -> drive::Result<Entry> {
        Ok(entry.clone())
    }

    async fn download(&self, file: &Entry, _: u64) -> drive::Result<Download> {
        Err(untouched("download", file))
    }

    async fn create_folder(&self, parent: &Entry, name: &str) -> drive::Result<Entry> {
        self.count(parent.drive.family(), |made| match parent.id.is_root() {
            true => made.root_folders += 1,
            false => made.folders += 1,
        });
        Ok(self.make(parent, name, Kind::Folder))
    }

    async fn upload(&self, parent: &Entry, new: &NewFile, _: &dyn ByteSource) -> drive::Result<Entry> {
        self.count(parent.drive.family(), |made| {
            match parent.id.is_root() {
                true => made.root_files += 1,
                false => made.files += 1,
            }
            made.bytes = made.bytes.saturating_add(new.size);
        });
        let mut entry = self.make(parent, &new.name, Kind::File);
        entry.size = Some(new.size);
        entry.modified = new.modified;
        Ok(entry)
    }

    async fn remove(&self, entry: &Entry) -> drive::Result<()> {
        Err(untouched("remove", entry))
    }

    async fn relocate(&self, entry: &Entry, _: Option<&Entry>, _: Option<&str>) -> drive::Result<Entry> {
        Err(untouched("relocate", entry))
    }

    async fn detail(&self, entry: &Entry, detail: Detail) -> drive::Result<Vec<Value>> {
        self.drive.detail(entry, detail).await
    }

    async fn sharing(&self, entry: &Entry) -> drive::Result<Sharing> {
        self.drive.sharing(entry).await
    }

    async fn change_sharing(&self, entry: &Entry, _: &SharingChange) -> drive::Result<()> {
        Err(untouched("change_sharing", entry))
    }

    async fn parties(&self, kind: PartyKind) -> drive::Result<Vec<Party>> {
        self.drive.parties(kind).await
    }
}

fn untouched(operation: &'static str, entry: &Entry) -> drive::Error {
    drive::Error::new(
        ErrorKind::Unsupported,
        operation,
        entry.name.as_str(),
        "a rehearsal touches nothing",
    )
}

/// Takes every step of the ledger as [`restore`] would, and sends nothing. The ledger then tells what would become of each
/// item, and the stage what would be made.
///
/// # Errors
/// As [`restore`].
pub async fn rehearse(
    stage: Arc<Stage>,
    ledger: Ledger,
    mut options: Options,
    monitor: Arc<dyn Monitor>,
    stop: Stop,
) -> Result<Summary, Error> {
    options.check_back.rehash = 0.0;
    if options.naming.same_by == SameBy::Content {
        options.naming.same_by = SameBy::Size;
    }
    restore(stage, ledger, Arc::new(Nothing), options, monitor, stop).await
}

/// No bytes: a rehearsal opens none.
#[derive(Debug)]
struct Nothing;

impl Copies for Nothing {
    fn open(&self, _: &str) -> std::io::Result<std::fs::File> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn other_copies(&self, _: &str, _: u64) -> Vec<String> {
        Vec::new()
    }
}
