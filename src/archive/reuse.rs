//! Unchanged files: the earlier copy is looked at, then gets a second name.

use std::io::{self, Read};

use jiff::Timestamp;

use super::block::Block;
use super::hash::hash_file;
use super::tree::{Folder, Place};
use super::{Error, LocalPath, Run, Stored};

/// A copy that an earlier manifest tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier<'a> {
    /// Where the manifest says it is. Not trusted.
    pub stored_at: &'a str,
    /// Its recorded size in bytes.
    pub size: u64,
    /// Its recorded SHA-256 in hexadecimal. Without one its bytes are read.
    pub sha256: Option<&'a str>,
    /// Whether its bytes are read and hashed again.
    pub rehash: bool,
}

/// Why an earlier copy was not reused. But for [`ReuseError::Failed`], the file is to be fetched again.
#[derive(Debug, thiserror::Error)]
pub enum ReuseError {
    /// The place is none of a snapshot's files.
    #[error("'{0}' is not a place in a snapshot's files")]
    Outside(String),
    /// Nothing is there.
    #[error("{0} is missing")]
    Missing(String),
    /// Something is there, but no regular file: a folder, a link.
    #[error("{0} is not a file")]
    NotAFile(String),
    /// It has another size than recorded.
    #[error("{stored_at} has {found} bytes instead of {expected}")]
    WrongSize {
        /// The copy.
        stored_at: String,
        /// Bytes as recorded.
        expected: u64,
        /// Bytes as found.
        found: u64,
    },
    /// It has other bytes than recorded.
    #[error("{stored_at} has SHA-256 {found} instead of {expected}")]
    WrongHash {
        /// The copy.
        stored_at: String,
        /// The hash as recorded.
        expected: String,
        /// The hash as found.
        found: String,
    },
    /// It cannot be read.
    #[error("{stored_at} cannot be read")]
    Unreadable {
        /// The copy.
        stored_at: String,
        /// What the system said.
        source: io::Error,
    },
    /// The new place could not be written.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Run {
    /// Takes an earlier copy over to `local`: a hard link, or a copy where the file system gives none.
    ///
    /// `modified` is set on a copy only; a link has the date of the file it is.
    ///
    /// # Errors
    /// [`ReuseError`]; nothing is at `local` then that was not there before.
    pub fn reuse(
        &self,
        earlier: &Earlier<'_>,
        local: &LocalPath,
        modified: Option<Timestamp>,
    ) -> Result<Stored, ReuseError> {
        let inner = &self.inner;
        inner.check_open()?;
        let (snapshot, place) = LocalPath::from_stored_at(earlier.stored_at)
            .map_err(|_| ReuseError::Outside(earlier.stored_at.to_owned()))?;
        let path = inner.place_in(&snapshot, &place);
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let source = inner
            .tree
            .folder(folder, false)
            .map_err(|error| earlier.unreadable(error))?;
        earlier.check(&source, name)?;
        let sha256 = match earlier.sha256 {
            Some(sha256) if !earlier.rehash => sha256.to_ascii_lowercase(),
            _ => earlier.hash(&source, name)?,
        };
        let stored = Stored {
            stored_at: local.stored_at(inner.id()),
            sha256,
            size: earlier.size,
        };
        let (target, new) = inner.folder_of(local)?;
        match source.link(name, &target, new) {
            Ok(()) => Ok(stored),
            Err(error) => match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    inner.check_same(&target, new, local, &stored)?;
                    Ok(stored)
                }
                io::ErrorKind::NotFound => Err(ReuseError::Missing(earlier.stored_at.to_owned())),
                // No links across file systems, none on this one, no more to this file, or none for this user.
                io::ErrorKind::CrossesDevices
                | io::ErrorKind::TooManyLinks
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::Unsupported => self.copy(earlier, &source, name, &stored, local, modified),
                _ => Err(Error::io("link", inner.path_of(local), error).into()),
            },
        }
    }

    fn copy(
        &self,
        earlier: &Earlier<'_>,
        source: &Folder,
        name: &str,
        stored: &Stored,
        local: &LocalPath,
        modified: Option<Timestamp>,
    ) -> Result<Stored, ReuseError> {
        let mut file = source
            .open(name, false)
            .map_err(|error| earlier.unreadable(error))?;
        let mut staged = self.stage()?;
        let mut block = Block::new();
        let block = block.bytes();
        loop {
            let count = file.read(block).map_err(|error| earlier.unreadable(error))?;
            if count == 0 {
                break;
            }
            staged.write(block.get(..count).unwrap_or_default())?;
        }
        if staged.len() != earlier.size {
            return Err(earlier.wrong_size(staged.len()));
        }
        let found = staged.sha256();
        if found != stored.sha256 {
            return Err(earlier.wrong_hash(&stored.sha256, found));
        }
        Ok(staged.publish(local, modified, Some(earlier.size))?)
    }
}

impl Earlier<'_> {
    fn check(&self, folder: &Folder, name: &str) -> Result<(), ReuseError> {
        let found = folder.look(name).map_err(|error| self.unreadable(error))?;
        if !found.is_file {
            return Err(ReuseError::NotAFile(self.stored_at.to_owned()));
        }
        if found.size != self.size {
            return Err(self.wrong_size(found.size));
        }
        Ok(())
    }

    fn hash(&self, folder: &Folder, name: &str) -> Result<String, ReuseError> {
        let (size, hasher) = folder
            .open(name, false)
            .and_then(|mut file| hash_file(&mut file, u64::MAX))
            .map_err(|error| self.unreadable(error))?;
        if size != self.size {
            return Err(self.wrong_size(size));
        }
        let found = hasher.hex();
        match self.sha256 {
            Some(expected) if !expected.eq_ignore_ascii_case(&found) => Err(self.wrong_hash(expected, found)),
            _ => Ok(found),
        }
    }

    fn unreadable(&self, source: io::Error) -> ReuseError {
        let stored_at = self.stored_at.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => ReuseError::Missing(stored_at),
            io::ErrorKind::NotADirectory => ReuseError::NotAFile(stored_at),
            _ => ReuseError::Unreadable { stored_at, source },
        }
    }

    fn wrong_size(&self, found: u64) -> ReuseError {
        ReuseError::WrongSize {
            stored_at: self.stored_at.to_owned(),
            expected: self.size,
            found,
        }
    }

    fn wrong_hash(&self, expected: &str, found: String) -> ReuseError {
        ReuseError::WrongHash {
            stored_at: self.stored_at.to_owned(),
            expected: expected.to_owned(),
            found,
        }
    }
}

#[cfg(test)]
impl Run {
    /// What [`Run::reuse`] does where the file system gives no link.
    pub(super) fn copy_for_test(
        &self,
        earlier: &Earlier<'_>,
        local: &LocalPath,
        modified: Option<Timestamp>,
    ) -> Result<Stored, ReuseError> {
        let (_, name) = earlier.stored_at.rsplit_once('/').unwrap_or_default();
        let (folder, _) = earlier.stored_at.rsplit_once('/').unwrap_or_default();
        let source = self
            .inner
            .tree
            .folder(folder, false)
            .map_err(|error| earlier.unreadable(error))?;
        let stored = Stored {
            stored_at: local.stored_at(self.inner.id()),
            sha256: earlier.sha256.unwrap_or_default().to_owned(),
            size: earlier.size,
        };
        self.copy(earlier, &source, name, &stored, local, modified)
    }
}
