//! Snapshots on storage: layout, names, hard links, staged writes, lock.
//!
//! Everything here waits for the disk. Callers that must not wait use a thread that may.

mod error;
mod block;
mod hash;
mod head;
mod local;
mod lock;
mod names;
mod remove;
mod reuse;
mod rows;
mod run;
mod seal;
mod side;
mod snapshot;
mod stage;
mod tree;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::id::SnapshotId;
use head::{Marker, read_json, write_json};
use tree::{Place, Tree};

pub(crate) use block::Block;
pub use error::Error;
pub(crate) use hash::hex;
pub(crate) use head::open_plain;
pub use head::{Alarm, Head, Previous, Status, Tail};
pub use local::{LocalPath, PATH_BYTES};
pub use lock::{Holder, Lock};
pub use names::{DERIVED_BYTES, LocalName, NAME_BYTES, fold, is_plain, plain_or_derived};
pub use remove::Removed;
pub use reuse::{Earlier, ReuseError};
pub use rows::{RowsWriter, Written};
pub use run::{Durability, Run, Unfinished};
pub use seal::{SealFault, SealState};
pub use side::{SideFile, SideName};
pub use snapshot::{Damaged, Snapshot, Survey};
pub use stage::{Checkpoint, Staged, Stored};

/// The archive format this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// The file that makes a folder an archive.
const MARKER: &str = "ARCHIVE.json";

/// The folder for the lock and for the unfinished run.
const STATE: &str = ".drivejob";

/// What may lie in a new archive's folder without being somebody's data: our own, and what a fresh ext file system has.
const HARMLESS: [&str; 2] = [STATE, "lost+found"];

/// An archive folder. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Archive {
    path: Arc<Path>,
    marker: Arc<Marker>,
    tree: Arc<Tree>,
}

impl Archive {
    /// Opens an archive. Nothing is written.
    ///
    /// # Errors
    /// [`Error::NotAnArchive`] for any other folder, [`Error::NewerFormat`], [`Error::Damaged`], [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Archive, Error> {
        let path = path.as_ref();
        let marker: Marker = match read_json(&path.join(MARKER)) {
            Ok(Some(marker)) => marker,
            Ok(None) | Err(Error::NotAFolder(_)) => {
                return Err(Error::NotAnArchive(path.to_owned()));
            }
            Err(error) => return Err(error),
        };
        let tree = Tree::open(path).map_err(|error| Error::io("open", path, error))?;
        Ok(Archive {
            path: path.into(),
            marker: Arc::new(marker),
            tree: Arc::new(tree),
        })
    }

    /// Makes an archive for `tenant` in a folder that is empty or not there.
    ///
    /// # Errors
    /// [`Error::NotAnArchive`] when the folder holds anything else, [`Error::Occupied`] when it is an archive already, [`Error::Io`].
    pub fn create(path: impl AsRef<Path>, tenant: &str) -> Result<Archive, Error> {
        let path = path.as_ref();
        let refused = |error| Error::io("create", path, error);
        fs::create_dir_all(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::NotAnArchive(path.to_owned()),
            _ => refused(error),
        })?;
        // Also when it is a link to nothing, which cannot be opened.
        if fs::symlink_metadata(path.join(MARKER)).is_ok() {
            return Err(Error::Occupied(path.join(MARKER)));
        }
        for item in fs::read_dir(path).map_err(refused)? {
            let name = item.map_err(refused)?.file_name();
            // The second kind is what a power cut may leave of ourselves.
            if !HARMLESS.iter().any(|harmless| name == *harmless) && name != ".ARCHIVE.json.new" {
                return Err(Error::NotAnArchive(path.to_owned()));
            }
        }
        let marker = Marker {
            format: FORMAT,
            tenant: tenant.to_owned(),
            created: SnapshotId::at(Timestamp::now())
                .time()
                .unwrap_or(Timestamp::UNIX_EPOCH),
        };
        write_json(path, MARKER, &marker)?;
        Archive::open(path)
    }

    /// Opens the archive of `tenant`, or makes it when there is none.
    ///
    /// # Errors
    /// As [`Archive::open`] and [`Archive::create`], and [`Error::OtherTenant`].
    pub fn open_or_create(path: impl AsRef<Path>, tenant: &str) -> Result<Archive, Error> {
        let path = path.as_ref();
        match Archive::open(path) {
            Ok(archive) => {
                archive.check_tenant(tenant)?;
                Ok(archive)
            }
            Err(Error::NotAnArchive(_)) => Archive::create(path, tenant),
            Err(error) => Err(error),
        }
    }

    /// Checks that the archive is that tenant's.
    ///
    /// # Errors
    /// [`Error::OtherTenant`]
    pub fn check_tenant(&self, tenant: &str) -> Result<(), Error> {
        if self.marker.tenant == tenant {
            return Ok(());
        }
        Err(Error::OtherTenant {
            path: self.path.to_path_buf(),
            expected: tenant.to_owned(),
            found: self.marker.tenant.clone(),
        })
    }

    /// The archive's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tenant it belongs to.
    pub fn tenant(&self) -> &str {
        &self.marker.tenant
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        self.marker.created
    }

    /// Takes the lock that keeps a second run out.
    ///
    /// # Errors
    /// [`Error::Held`] when another process has it, [`Error::Io`].
    pub fn lock(&self, holder: &Holder) -> Result<Lock, Error> {
        Lock::take(&self.state()?, holder)
    }

    /// Opens the bytes that a manifest's `stored_at` names, and tells their size. Links are not followed.
    ///
    /// # Errors
    /// [`Error::Outside`] when it is no place in a snapshot's files, [`Error::Io`] with `NotFound` when nothing is there.
    pub fn open_stored(&self, stored_at: &str) -> Result<(File, u64), Error> {
        let (snapshot, local) = LocalPath::from_stored_at(stored_at)?;
        let (folder, name) = local.split();
        let folder = match folder {
            "" => format!("{snapshot}/{}", local::FILES),
            folder => format!("{snapshot}/{}/{folder}", local::FILES),
        };
        let opened = self.tree.folder(&folder, false).and_then(|folder| {
            let file = folder.open(name, false)?;
            let metadata = file.metadata()?;
            if metadata.is_file() {
                Ok((file, metadata.len()))
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        });
        opened.map_err(|error| Error::io("read", self.path.join(stored_at), error))
    }

    /// The folder for the state of a job that makes no snapshot, such as a restore: `.drivejob/<name>`, made when it is not there.
    ///
    /// # Errors
    /// [`Error::Outside`] when `name` is no plain name, [`Error::Io`].
    pub fn job_state(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.job_state_path(name)?;
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io("create", path, error))
            }
            _ => Ok(path),
        }
    }

    /// Takes such a folder away with all that is in it. It is fine when there is none.
    ///
    /// # Errors
    /// As [`Archive::job_state`].
    pub fn drop_job_state(&self, name: &str) -> Result<(), Error> {
        remove_folder(&self.job_state_path(name)?)
    }

    fn job_state_path(&self, name: &str) -> Result<PathBuf, Error> {
        if !names::is_legal(name) || name.contains(['/', '\\']) {
            return Err(Error::Outside(name.to_owned()));
        }
        Ok(self.state()?.join(name))
    }

    /// Bytes that can still be written to the archive's file system, where the system tells.
    pub fn free_space(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            let space = rustix::fs::statvfs(&*self.path).ok()?;
            Some(space.f_bavail.saturating_mul(space.f_frsize))
        }
        #[cfg(not(unix))]
        None
    }

    /// The folder for lock and run, made when it is not there; only the owner may enter it, since it holds state of a run.
    fn state(&self) -> Result<PathBuf, Error> {
        let path = self.path.join(STATE);
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(0o700);
        }
        match builder.create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create", path, error));
            }
            _ => {}
        }
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(path),
            Ok(_) => Err(Error::NotAFolder(path)),
            Err(error) => Err(Error::io("open", path, error)),
        }
    }
}

/// Removes a folder with all that is in it; links are removed, not followed. It is fine when there is none.
fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}
