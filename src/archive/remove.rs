//! Takes snapshots away: first out of sight in one step, then file by file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::head::sync_folder;
use super::{Archive, Error};
use crate::id::SnapshotId;

/// Where snapshots wait for their removal, in the folder for lock and run.
const REMOVING: &str = "removing";

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Files, links among them.
    pub files: u64,
    /// Bytes of the files that had no other name; `None` where the system does not tell.
    pub freed: Option<u64>,
    /// Whether the caller's stop left something for the next time.
    pub stopped: bool,
}

impl Archive {
    /// Takes a snapshot out of the archive in one step: from then on it is in no list, and its files wait in `.drivejob/removing`.
    /// A stop before that step leaves it whole, a stop after it leaves nothing that looks like a snapshot.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], [`Error::Io`].
    pub fn retire(&self, id: &SnapshotId) -> Result<(), Error> {
        let path = self.path().join(id.as_str());
        let refused = |error| Error::io("remove", &path, error);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            _ => return Err(Error::NoSnapshot(id.to_string())),
        }
        let removing = self.state()?.join(REMOVING);
        match fs::create_dir(&removing) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(refused(error)),
            _ => {}
        }
        let target = removing.join(id.as_str());
        // A namesake can only be there after somebody put a snapshot back by hand.
        remove_tree(&target, &mut || false)?;
        // Folders kept open may keep a folder from being renamed on some systems.
        self.tree.forget();
        fs::rename(&path, &target).map_err(refused)?;
        sync_folder(&removing).map_err(refused)?;
        sync_folder(self.path()).map_err(refused)
    }

    /// The snapshots that were taken out and still have files.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn retired(&self) -> Result<Vec<String>, Error> {
        let removing = self.path().join(super::STATE).join(REMOVING);
        let items = match fs::read_dir(&removing) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            items => items.map_err(|error| Error::io("list", &removing, error))?,
        };
        let mut names = Vec::new();
        for item in items {
            let item = item.map_err(|error| Error::io("list", &removing, error))?;
            names.push(item.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Removes the files of all that was taken out, until `stop` says so. Links are removed, not followed; a file that another snapshot has too
    /// stays there, whole.
    ///
    /// # Errors
    /// [`Error::Io`]; what is left is removed the next time.
    pub fn remove_retired(&self, mut stop: impl FnMut() -> bool) -> Result<Removed, Error> {
        remove_tree(&self.path().join(super::STATE).join(REMOVING), &mut stop)
    }

    /// Removes a snapshot and whatever an earlier removal left.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], [`Error::Io`].
    pub fn remove(&self, id: &SnapshotId) -> Result<Removed, Error> {
        self.retire(id)?;
        self.remove_retired(|| false)
    }
}

/// How often a folder is read again that has entries after all of them were removed: some file systems skip entries while others go.
const LOOKS: u32 = 4;

/// Removes a folder with all that is in it. It keeps no folder open, so that no depth is too deep.
fn remove_tree(top: &Path, stop: &mut dyn FnMut() -> bool) -> Result<Removed, Error> {
    let mut removed = Removed {
        freed: cfg!(unix).then_some(0),
        ..Removed::default()
    };
    let mut open: Vec<(PathBuf, u32)> = vec![(top.to_owned(), 0)];
    while let Some((folder, looks)) = open.last_mut() {
        let folder = folder.clone();
        *looks += 1;
        let looks = *looks;
        let refused = |error| Error::io("remove", &folder, error);
        let items = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                open.pop();
                continue;
            }
            items => items.map_err(refused)?,
        };
        let mut inner = None;
        for item in items {
            if stop() {
                removed.stopped = true;
                return Ok(removed);
            }
            let item = item.map_err(refused)?;
            let metadata = item.metadata().map_err(refused)?;
            if metadata.is_dir() {
                inner = Some(item.path());
                break;
            }
            fs::remove_file(item.path()).map_err(refused)?;
            removed.files += 1;
            removed.freed = removed.freed.map(|freed| freed + only_name_bytes(&metadata));
        }
        match inner {
            Some(inner) => {
                if let Some((_, looks)) = open.last_mut() {
                    *looks = 0;
                }
                open.push((inner, 0));
            }
            None => match fs::remove_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && looks < LOOKS => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
                _ => {
                    open.pop();
                }
            },
        }
    }
    Ok(removed)
}

/// The bytes that go with a name: none while the file has another one.
fn only_name_bytes(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if metadata.is_file() && metadata.nlink() == 1 {
            return metadata.len();
        }
    }
    let _ = metadata;
    0
}
