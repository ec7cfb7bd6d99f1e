//! A run under way: everything it writes stays out of sight until it is whole.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::ToSpan;

use super::head::{read_json, sync_folder, write_json};
use super::local::FILES;
use super::seal;
use super::tree::{Folder, Place, Tree};
use super::{Archive, Error, FORMAT, Head, LocalPath, Snapshot, Stored, Tail, Written, remove_folder};
use crate::id::SnapshotId;

/// An unfinished run of an archive. Cloning is cheap; all clones write to the same run.
#[derive(Clone, Debug)]
pub struct Run {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    archive: Archive,
    id: SnapshotId,
    head: Head,
    pub(super) tree: Tree,
    pub(super) staging: Folder,
    pub(super) counter: AtomicU64,
    /// Whether files may be written without a name; until the system refuses one.
    pub(super) nameless: AtomicBool,
    pub(super) durability: Durability,
    finished: AtomicBool,
}

/// A run that was begun and not finished.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfinished {
    /// The name its snapshot will have.
    pub id: SnapshotId,
    /// What it was about to do.
    pub head: Head,
}

/// When files are on the disk for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// With [`Run::sync`], many at a time; on systems without such a call, one by one.
    #[default]
    Grouped,
    /// When the system likes. For tests and trials.
    None,
}

/// The unfinished run, from the archive folder.
const RUN: &str = ".drivejob/run";

/// Its snapshot.
const SNAPSHOT: &str = ".drivejob/run/snapshot";

/// Its ledger, from the run's folder. It is made when the head stands.
pub(super) const LEDGER: &str = "ledger.sqlite";

/// Where files are written before they get their names.
const STAGING: &str = ".drivejob/run/staging";

impl Archive {
    /// The unfinished run, if there is one.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::NewerFormat`] when its head does not read; [`Archive::discard`] takes it away.
    pub fn unfinished(&self) -> Result<Option<Unfinished>, Error> {
        let head: Option<Head> = read_json(&self.path().join(SNAPSHOT).join("HEAD.json"))?;
        Ok(head.map(|head| Unfinished { id: head.id(), head }))
    }

    /// Whether a run had begun, and its head is gone.
    pub fn is_headless(&self) -> bool {
        let (run, snapshot) = (self.path().join(RUN), self.path().join(SNAPSHOT));
        run.join(LEDGER).exists() && snapshot.exists() && !snapshot.join("HEAD.json").exists()
    }

    /// Begins a run. Its snapshot is named after `head.started`; when that name is taken, the next free second is.
    ///
    /// # Errors
    /// [`Error::Unfinished`] when one is there already, [`Error::Io`].
    pub fn begin(&self, head: &Head, durability: Durability) -> Result<Run, Error> {
        if let Some(unfinished) = self.unfinished()? {
            return Err(Error::Unfinished(unfinished.id));
        }
        self.discard()?;
        let mut head = head.clone();
        head.format = FORMAT;
        head.archive_sha256 = Some(self.marker_sha256()?);
        while let Ok(next) = head.started.checked_add(1.second())
            && self.is_taken(&head.id())?
        {
            head.started = next;
        }
        let run = self.run(head, durability)?;
        // Last: a run without a head has not begun.
        write_json(&run.snapshot_path(), "HEAD.json", run.head())?;
        Ok(run)
    }

    /// Carries the unfinished run on. What nobody can use of it is removed.
    ///
    /// # Errors
    /// [`Error::NothingUnfinished`], [`Error::AlteredState`], [`Error::Io`], and what [`Archive::unfinished`] gives.
    pub fn resume(&self, durability: Durability) -> Result<Run, Error> {
        let unfinished = self.unfinished()?.ok_or(Error::NothingUnfinished)?;
        let path = self.path().join(RUN);
        if !seal::open_state(&path)? {
            return Err(Error::AlteredState(path));
        }
        let run = self.run(unfinished.head, durability)?;
        run.inner.clear_staging()?;
        Ok(run)
    }

    /// Takes the unfinished run away with all it wrote, and what a finished one left. It is fine when there is none.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn discard(&self) -> Result<(), Error> {
        self.state()?;
        remove_folder(&self.path().join(RUN))
    }

    fn run(&self, head: Head, durability: Durability) -> Result<Run, Error> {
        self.state()?;
        let path = self.path().join(RUN);
        let refused = |error| Error::io("create", &path, error);
        let tree = Tree::open(self.path()).map_err(refused)?;
        tree.folder(&format!("{SNAPSHOT}/{FILES}"), true)
            .map_err(refused)?;
        let staging = tree.folder(STAGING, true).map_err(refused)?;
        Ok(Run {
            inner: Arc::new(Inner {
                archive: self.clone(),
                id: head.id(),
                head,
                tree,
                staging,
                counter: AtomicU64::new(0),
                nameless: AtomicBool::new(true),
                durability,
                finished: AtomicBool::new(false),
            }),
        })
    }

    fn is_taken(&self, id: &SnapshotId) -> Result<bool, Error> {
        let path = self.path().join(id.as_str());
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("look at", path, error)),
        }
    }
}

impl Run {
    /// The name its snapshot will have.
    pub fn id(&self) -> &SnapshotId {
        &self.inner.id
    }

    /// What it is about to do.
    pub fn head(&self) -> &Head {
        &self.inner.head
    }

    /// The folder of the run's own state, removed by [`Archive::discard`].
    pub fn state_path(&self) -> PathBuf {
        self.inner.archive.path().join(RUN)
    }

    /// The place of the run's ledger.
    pub fn ledger_path(&self) -> PathBuf {
        self.state_path().join(LEDGER)
    }

    /// The folder that will be the snapshot.
    pub fn snapshot_path(&self) -> PathBuf {
        self.inner.archive.path().join(SNAPSHOT)
    }

    /// Opens bytes of this run that a `stored_at` names; `None` when it names another snapshot. Links are not followed.
    ///
    /// # Errors
    /// As [`Archive::open_stored`].
    pub fn open_stored(&self, stored_at: &str) -> Result<Option<fs::File>, Error> {
        let (snapshot, local) = LocalPath::from_stored_at(stored_at)?;
        if snapshot != self.inner.id {
            return Ok(None);
        }
        let place = self.inner.place(&local);
        let (folder, name) = place.rsplit_once('/').unwrap_or(("", &place));
        let opened = self.inner.tree.folder(folder, false).and_then(|folder| {
            let file = folder.open(name, false)?;
            if file.metadata()?.is_file() {
                Ok(file)
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        });
        opened
            .map(Some)
            .map_err(|error| Error::io("read", self.inner.path_of(&local), error))
    }

    /// Makes a folder of the tree, for folders that hold no file, and gives its `stored_at`.
    ///
    /// # Errors
    /// [`Error::NotAFolder`] when something else is there, [`Error::Io`].
    pub fn make_folder(&self, local: &LocalPath) -> Result<String, Error> {
        self.inner.check_open()?;
        self.inner
            .tree
            .folder(&self.inner.place(local), true)
            .map_err(|error| Error::io("create", self.inner.path_of(local), error))?;
        Ok(local.stored_at(&self.inner.id))
    }

    /// Removes a published file that nobody accounts for: one that was published right before a stop, and then changed at its source.
    ///
    /// # Errors
    /// [`Error::Io`]; none when nothing is there.
    pub fn evict(&self, local: &LocalPath) -> Result<(), Error> {
        self.inner.check_open()?;
        let (folder, name) = self.inner.folder_of(local)?;
        match folder.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", self.inner.path_of(local), error))
            }
            _ => Ok(()),
        }
    }

    /// Whether a published file is what it should be: there, with that size, and with those bytes. The bytes of a file that is
    /// `shared` with an earlier snapshot are not read: they were on the disk before this run began.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn holds(&self, stored: &Stored, shared: bool) -> Result<bool, Error> {
        let Ok((snapshot, local)) = LocalPath::from_stored_at(&stored.stored_at) else {
            return Ok(false);
        };
        if snapshot != self.inner.id {
            return Ok(false);
        }
        let (folder, name) = self.inner.folder_of(&local)?;
        let found = match folder.look(name) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("look at", self.inner.path_of(&local), error)),
        };
        if shared && found.has_links {
            return Ok(found.is_file && found.size == stored.size);
        }
        match self.inner.check_same(&folder, name, &local, stored) {
            Ok(()) => Ok(true),
            Err(Error::Occupied(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes every published file that is not `owned`, asked by its `stored_at`; gives how many. For a resumed run.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn sweep(&self, mut owned: impl FnMut(&str) -> bool) -> Result<u64, Error> {
        self.inner.check_open()?;
        let files = self.snapshot_path().join(FILES);
        let mut removed = 0;
        let mut folders = vec![(files, format!("{}/{FILES}", self.inner.id))];
        while let Some((folder, stored_at)) = folders.pop() {
            let refused = |error| Error::io("sweep", &folder, error);
            for item in fs::read_dir(&folder).map_err(refused)? {
                let item = item.map_err(refused)?;
                // Ours are text; what is not, nobody owns.
                let name = item.file_name().into_string();
                let stored_at = name.ok().map(|name| format!("{stored_at}/{name}"));
                match stored_at {
                    Some(stored_at) if item.file_type().map_err(refused)?.is_dir() => {
                        folders.push((item.path(), stored_at));
                    }
                    Some(stored_at) if owned(&stored_at) => {}
                    _ if item.file_type().map_err(refused)?.is_dir() => {
                        remove_folder(&item.path())?;
                        removed += 1;
                    }
                    _ => {
                        fs::remove_file(item.path()).map_err(refused)?;
                        removed += 1;
                    }
                }
            }
        }
        Ok(removed)
    }

    /// Makes all that was published before durable, so that the ledger may say so.
    ///
    /// On Linux this is one call for the archive's whole file system (`syncfs`), however many files there are.
    ///
    /// # Errors
    /// [`Error::Io`]: then none of it is sure.
    pub fn sync(&self) -> Result<(), Error> {
        match self.inner.durability {
            Durability::None => Ok(()),
            Durability::Grouped => self
                .inner
                .tree
                .sync()
                .map_err(|error| Error::io("write to", self.inner.archive.path(), error)),
        }
    }

    /// Publishes the snapshot: writes its tail, with totals and hash of what was `written`, and gives the whole its name.
    ///
    /// The run's state stays until [`Archive::discard`], since the ledger may still be open.
    ///
    /// # Errors
    /// [`Error::Io`]; the run is unfinished then, and can be resumed.
    pub fn finish(&self, written: Written, tail: Tail) -> Result<Snapshot, Error> {
        let inner = &self.inner;
        if inner.finished.swap(true, Ordering::SeqCst) {
            return Err(Error::NothingUnfinished);
        }
        let published = self.publish_snapshot(written, tail);
        if published.is_err() {
            inner.finished.store(false, Ordering::SeqCst);
        }
        published
    }

    fn publish_snapshot(&self, written: Written, mut tail: Tail) -> Result<Snapshot, Error> {
        let inner = &self.inner;
        tail.totals = written.totals;
        tail.manifest_sha256 = written.manifest_sha256;
        tail.failures_rows = written.failures_rows;
        tail.files = seal::hash_files(&self.snapshot_path())?;
        self.sync()?;
        seal::write_tail(&self.snapshot_path(), &mut tail)?;

        let archive = inner.archive.path();
        let path = archive.join(inner.id.as_str());
        let refused = |error| Error::io("create", &path, error);
        let (run, top) = (
            inner.tree.folder(RUN, false).map_err(refused)?,
            inner.tree.folder("", false).map_err(refused)?,
        );
        // Folders kept open may keep a folder from being renamed on some systems.
        inner.tree.forget();
        run.rename("snapshot", &top, inner.id.as_str())
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Error::Occupied(path.clone()),
                _ => refused(error),
            })?;
        sync_folder(archive).map_err(refused)?;
        Ok(Snapshot {
            id: inner.id.clone(),
            path,
            head: inner.head.clone(),
            tail: Some(tail),
        })
    }
}

impl Inner {
    /// Fails once the run is published: a snapshot with a tail is not written to.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        if self.finished.load(Ordering::SeqCst) {
            return Err(Error::NothingUnfinished);
        }
        Ok(())
    }

    pub(super) fn id(&self) -> &SnapshotId {
        &self.id
    }

    /// A place of this run, from the archive folder.
    pub(super) fn place(&self, local: &LocalPath) -> String {
        format!("{SNAPSHOT}/{FILES}/{local}")
    }

    /// A place of any snapshot, this run's included, from the archive folder.
    pub(super) fn place_in(&self, snapshot: &SnapshotId, local: &LocalPath) -> String {
        if *snapshot == self.id {
            self.place(local)
        } else {
            local.stored_at(snapshot)
        }
    }

    /// The same as a path, for messages.
    pub(super) fn path_of(&self, local: &LocalPath) -> PathBuf {
        self.archive.path().join(self.place(local))
    }

    pub(super) fn staging_path(&self, name: &str) -> PathBuf {
        self.archive.path().join(STAGING).join(name)
    }

    /// The folder of a place, made on demand, and the name in it.
    pub(super) fn folder_of<'a>(&self, local: &'a LocalPath) -> Result<(Folder, &'a str), Error> {
        let (folder, name) = local.split();
        let path = match folder {
            "" => format!("{SNAPSHOT}/{FILES}"),
            folder => format!("{SNAPSHOT}/{FILES}/{folder}"),
        };
        match self.tree.folder(&path, true) {
            Ok(folder) => Ok((folder, name)),
            Err(error) => Err(Error::io("create", self.archive.path().join(path), error)),
        }
    }

    fn clear_staging(&self) -> Result<(), Error> {
        let path = self.archive.path().join(STAGING);
        let refused = |error| Error::io("clear", &path, error);
        for item in fs::read_dir(&path).map_err(refused)? {
            let item = item.map_err(refused)?;
            if !super::stage::is_partial(&item.file_name()) {
                fs::remove_file(item.path()).map_err(refused)?;
            }
        }
        Ok(())
    }
}
