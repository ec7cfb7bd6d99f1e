//! Files on their way in: written under a short name, hashed and counted, then given their own name.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use jiff::Timestamp;

use super::hash::{Hasher, hash_file, short_hash};
use super::run::Inner;
use super::tree::{Folder, Place};
use super::{Durability, Error, LocalPath, Run};

/// A file that is being written and has no name of its own yet. Dropped before it is published, it is removed,
/// or goes back to its last checkpoint when it has one.
#[derive(Debug)]
pub struct Staged {
    run: Arc<Inner>,
    file: File,
    name: String,
    hasher: Hasher,
    length: u64,
    fate: Fate,
}

/// What becomes of a staged file that is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is removed.
    Removed,
    /// It stays for a later process, as it was at its last checkpoint.
    Kept,
    /// It is no longer there.
    Gone,
}

/// How far a staged file was at one moment.
#[derive(Debug)]
#[must_use]
pub struct Checkpoint {
    run: Arc<Inner>,
    file: File,
    /// The name of the staged file.
    of: String,
    /// The name of its note.
    name: String,
    note: String,
}

/// A file that is in the run's snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where its bytes are, relative to the archive folder once the run is finished.
    pub stored_at: String,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// What the name of a partial file begins with. Other staged files begin with `t`.
const PARTIAL: &str = "p-";

/// What the name of a partial file's checkpoint begins with.
const CHECKPOINT: &str = "c-";

impl Run {
    /// Begins a file.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn stage(&self) -> Result<Staged, Error> {
        let inner = &self.inner;
        inner.check_open()?;
        loop {
            let number = inner.counter.fetch_add(1, Ordering::Relaxed);
            let name = format!("t{number:015x}");
            match inner.staging.create(&name) {
                Ok(file) => {
                    return Ok(Staged {
                        run: Arc::clone(inner),
                        file,
                        name,
                        hasher: Hasher::new(),
                        length: 0,
                        fate: Fate::Removed,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", inner.staging_path(&name), error)),
            }
        }
    }

    /// Writes, hashes and publishes a small file that is all here. Where the system can do it, the file has no name at all until
    /// it is whole, so that the end of the process leaves nothing of it.
    ///
    /// # Errors
    /// As [`Staged::write`] and [`Staged::publish`].
    pub fn store<B: AsRef<[u8]>>(
        &self,
        local: &LocalPath,
        chunks: &[B],
        modified: Option<Timestamp>,
        expected: Option<u64>,
    ) -> Result<Stored, Error> {
        let inner = &self.inner;
        inner.check_open()?;
        let length = chunks.iter().map(|chunk| chunk.as_ref().len() as u64).sum();
        if let Some(expected) = expected
            && expected != length
        {
            return Err(Error::Length {
                path: inner.path_of(local),
                expected,
                found: length,
            });
        }
        if inner.nameless.load(Ordering::Relaxed) {
            if let Some(stored) = inner.store_nameless(local, chunks, length, modified)? {
                return Ok(stored);
            }
            inner.nameless.store(false, Ordering::Relaxed);
        }
        let mut staged = self.stage()?;
        for chunk in chunks {
            staged.write(chunk.as_ref())?;
        }
        staged.publish(local, modified, expected)
    }

    /// The file that an earlier process kept under `key`, up to its last checkpoint; [`Staged::len`] tells where to go on.
    /// `None` when there is none, or when what lies there is not what was kept.
    ///
    /// The key should name the content: id, size and modified time.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn partial(&self, key: &str) -> Result<Option<Staged>, Error> {
        let inner = &self.inner;
        inner.check_open()?;
        let (name, checkpoint) = partial_names(key);
        let refused = |error| Error::io("read", inner.staging_path(&name), error);
        let found = match read_checkpoint(&inner.staging, &checkpoint) {
            Ok(Some((length, sha256))) => reopen(&inner.staging, &name, length, &sha256).map_err(refused)?,
            Ok(None) => None,
            Err(error) => return Err(refused(error)),
        };
        let Some((file, length, hasher)) = found else {
            forget(&inner.staging, &name);
            forget(&inner.staging, &checkpoint);
            return Ok(None);
        };
        Ok(Some(Staged {
            run: Arc::clone(inner),
            file,
            name,
            hasher,
            length,
            fate: Fate::Kept,
        }))
    }
}

impl Staged {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Io`]; the disk is full when [`Error::is_full`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(bytes)
            .map_err(|error| self.refused("write", error))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// SHA-256 of the bytes so far, in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        self.hasher.hex()
    }

    /// Begins again, without a byte: the service would not continue.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn restart(&mut self) -> Result<(), Error> {
        self.forget_checkpoint();
        self.fate = Fate::Removed;
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| self.refused("write", error))?;
        self.hasher = Hasher::new();
        self.length = 0;
        Ok(())
    }

    /// How far the file is, to be written down so that a later process can go on from here: dropped after that, the file stays.
    /// Nothing is written before [`Checkpoint::keep`], which may run on another thread while the file grows.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn checkpoint(&mut self, key: &str) -> Result<Checkpoint, Error> {
        let staging = &self.run.staging;
        let (name, checkpoint) = partial_names(key);
        if self.name != name {
            self.forget_checkpoint();
            forget(staging, &checkpoint);
            forget(staging, &name);
            staging
                .rename(&self.name, staging, &name)
                .map_err(|error| self.refused("rename", error))?;
            self.name = name;
        }
        self.fate = Fate::Kept;
        Ok(Checkpoint {
            run: Arc::clone(&self.run),
            file: self
                .file
                .try_clone()
                .map_err(|error| self.refused("open", error))?,
            of: self.name.clone(),
            name: checkpoint,
            note: format!("{} {}\n", self.length, self.hasher.hex()),
        })
    }

    /// Gives the file its place in the snapshot. Nothing is ever replaced: when the same bytes lie there already, they are taken as this file's.
    ///
    /// # Errors
    /// [`Error::Length`] when it has not `expected` bytes; [`Error::Occupied`] when other content lies there; [`Error::NotAFolder`] when a link or
    /// file stands in the way; [`Error::Io`]. Whatever the error, the staged file is removed.
    pub fn publish(
        mut self,
        local: &LocalPath,
        modified: Option<Timestamp>,
        expected: Option<u64>,
    ) -> Result<Stored, Error> {
        self.forget_checkpoint();
        self.fate = Fate::Removed;
        self.run.check_open()?;
        if let Some(expected) = expected
            && expected != self.length
        {
            return Err(Error::Length {
                path: self.run.path_of(local),
                expected,
                found: self.length,
            });
        }
        if let Some(modified) = modified {
            // A file system that cannot hold the date still holds the bytes; the manifest has the date.
            let _ = self.file.set_modified(SystemTime::from(modified));
        }
        if self.run.durability == Durability::Grouped && !cfg!(target_os = "linux") {
            self.file
                .sync_all()
                .map_err(|error| self.refused("write", error))?;
        }
        let stored = Stored {
            stored_at: local.stored_at(self.run.id()),
            sha256: self.hasher.hex(),
            size: self.length,
        };
        let (folder, name) = self.run.folder_of(local)?;
        match self.run.staging.rename(&self.name, &folder, name) {
            Ok(()) => {
                self.fate = Fate::Gone;
                Ok(stored)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self
                .run
                .check_same(&folder, name, local, &stored)
                .map(|()| stored),
            Err(error) => Err(Error::io("publish", self.run.path_of(local), error)),
        }
    }

    fn forget_checkpoint(&self) {
        if let Some(key) = self.name.strip_prefix(PARTIAL) {
            forget(&self.run.staging, &format!("{CHECKPOINT}{key}"));
        }
    }

    fn refused(&self, action: &'static str, error: io::Error) -> Error {
        Error::io(action, self.run.staging_path(&self.name), error)
    }
}

impl Checkpoint {
    /// Waits until the bytes are on the disk and writes down how many they are. The file must not be published, restarted or
    /// kept at another point meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn keep(self) -> Result<(), Error> {
        let staging = &self.run.staging;
        if self.run.durability == Durability::Grouped {
            self.file
                .sync_data()
                .map_err(|error| Error::io("write", self.run.staging_path(&self.of), error))?;
        }
        // The hash proves the bytes, so that a torn note or lost bytes are found out when it is read.
        forget(staging, &self.name);
        staging
            .create(&self.name)
            .and_then(|mut file| file.write_all(self.note.as_bytes()))
            .map_err(|error| Error::io("write", self.run.staging_path(&self.name), error))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.fate == Fate::Removed {
            forget(&self.run.staging, &self.name);
        }
    }
}

impl Inner {
    /// Writes a file that has no name until it is whole, which costs less than one that is renamed. `None` where the system
    /// has no such files: then nothing was done.
    fn store_nameless<B: AsRef<[u8]>>(
        &self,
        local: &LocalPath,
        chunks: &[B],
        length: u64,
        modified: Option<Timestamp>,
    ) -> Result<Option<Stored>, Error> {
        let (folder, name) = self.folder_of(local)?;
        let refused = |error| Error::io("write", self.path_of(local), error);
        let Some(mut file) = folder.create_nameless().map_err(refused)? else {
            return Ok(None);
        };
        let mut hasher = Hasher::new();
        for chunk in chunks {
            file.write_all(chunk.as_ref()).map_err(refused)?;
            hasher.update(chunk.as_ref());
        }
        if let Some(modified) = modified {
            // As in `Staged::publish`.
            let _ = file.set_modified(SystemTime::from(modified));
        }
        let stored = Stored {
            stored_at: local.stored_at(self.id()),
            sha256: hasher.hex(),
            size: length,
        };
        match folder.name(&file, name) {
            Ok(true) => Ok(Some(stored)),
            Ok(false) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.check_same(&folder, name, local, &stored)?;
                Ok(Some(stored))
            }
            Err(error) => Err(Error::io("publish", self.path_of(local), error)),
        }
    }

    /// Checks that what lies under a taken name is `stored`, byte for byte.
    pub(super) fn check_same(
        &self,
        folder: &Folder,
        name: &str,
        local: &LocalPath,
        stored: &Stored,
    ) -> Result<(), Error> {
        let same = folder.look(name).and_then(|found| {
            if !found.is_file || found.size != stored.size {
                return Ok(false);
            }
            let (size, hasher) = hash_file(&mut folder.open(name, false)?, u64::MAX)?;
            Ok(size == stored.size && hasher.hex() == stored.sha256)
        });
        match same {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Occupied(self.path_of(local))),
            Err(error) => Err(Error::io("read", self.path_of(local), error)),
        }
    }
}

/// Whether a name in the staging folder is one that [`Run::partial`] looks for.
pub(super) fn is_partial(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with(PARTIAL) || name.starts_with(CHECKPOINT))
}

fn partial_names(key: &str) -> (String, String) {
    let key = short_hash(key);
    (format!("{PARTIAL}{key}"), format!("{CHECKPOINT}{key}"))
}

/// Removes a file of ours that may not be there. One that stays is removed with the run.
fn forget(staging: &Folder, name: &str) {
    let _ = staging.remove(name);
}

/// The length and hash that a checkpoint tells; `None` when there is none or it is torn.
fn read_checkpoint(staging: &Folder, name: &str) -> io::Result<Option<(u64, String)>> {
    let mut note = Vec::new();
    match staging.open(name, false) {
        Ok(file) => file.take(128).read_to_end(&mut note)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let note = String::from_utf8_lossy(&note);
    Ok(note
        .strip_suffix('\n')
        .and_then(|note| note.split_once(' '))
        .and_then(|(length, sha256)| Some((length.parse().ok()?, sha256.to_owned()))))
}

/// Opens a partial file, cut to `length`, when its bytes have that hash.
fn reopen(
    staging: &Folder,
    name: &str,
    length: u64,
    sha256: &str,
) -> io::Result<Option<(File, u64, Hasher)>> {
    let mut file = match staging.open(name, true) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (found, hasher) = hash_file(&mut file, length)?;
    if found != length || hasher.hex() != sha256 {
        return Ok(None);
    }
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    Ok(Some((file, length, hasher)))
}
