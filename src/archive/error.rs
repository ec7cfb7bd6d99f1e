//! What can go wrong with an archive.

use std::io;
use std::path::{Path, PathBuf};

use super::lock::Holder;
use crate::id::SnapshotId;
use crate::manifest;

/// Why something could not be done with an archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder holds something, but no `ARCHIVE.json`; or it is not there, or is no folder.
    #[error("{} is not an archive: it has no ARCHIVE.json", .0.display())]
    NotAnArchive(PathBuf),
    /// The state of the unfinished run is not as the run left it.
    #[error("{} is not as the stopped run left it", .0.display())]
    AlteredState(PathBuf),
    /// A later version of this program wrote it.
    #[error("{} has format {found}; this program reads formats up to {}", path.display(), super::FORMAT)]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// The format number there.
        found: u32,
    },
    /// The archive is another tenant's.
    #[error("{} holds the tenant '{found}', not '{expected}'", path.display())]
    OtherTenant {
        /// The archive folder.
        path: PathBuf,
        /// The tenant the job names.
        expected: String,
        /// The tenant in `ARCHIVE.json`.
        found: String,
    },
    /// The snapshot tells of files and does not hold them.
    #[error(
        "the snapshot {0} holds no files, only their list: it is of an audit, or of a migration with keep = \"manifest\""
    )]
    HoldsNoFiles(SnapshotId),
    /// A JSON file of the archive does not read.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// A manifest could not be written or read.
    #[error("the manifest {} is not usable", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: manifest::Error,
    },
    /// The bytes of a manifest are not those its tail tells.
    #[error("{} is not the manifest that its TAIL.json tells: SHA-256 {found} instead of {expected}", path.display())]
    ManifestHash {
        /// The file.
        path: PathBuf,
        /// The hash in `TAIL.json`.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// Another process holds the archive's lock.
    #[error("another run holds the archive{}", .0.as_ref().map(|holder| format!(": {holder}")).unwrap_or_default())]
    Held(Option<Holder>),
    /// An unfinished run is there, so that no new one can begin.
    #[error("the run {0} is not finished")]
    Unfinished(SnapshotId),
    /// There is no unfinished run, or it has been finished.
    #[error("there is no unfinished run")]
    NothingUnfinished,
    /// No snapshot answers to that word.
    #[error("there is no snapshot '{0}'")]
    NoSnapshot(String),
    /// Something else lies where a file should be published.
    #[error("{} is taken by other content", .0.display())]
    Occupied(PathBuf),
    /// A link, or a file, stands where a folder of the archive should be.
    #[error("{} is not a folder of the archive", .0.display())]
    NotAFolder(PathBuf),
    /// Fewer or more bytes came than were told.
    #[error("{} would have {found} bytes instead of {expected}", path.display())]
    Length {
        /// The file that was not published.
        path: PathBuf,
        /// Bytes as told.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// A place that is not one of a snapshot's files.
    #[error("'{0}' is not a place in a snapshot's files")]
    Outside(String),
}

impl Error {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Error {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::NotADirectory => Error::NotAFolder(path),
            _ => Error::Io { action, path, source },
        }
    }

    pub(super) fn manifest(path: &Path, source: manifest::Error) -> Error {
        let path = path.to_owned();
        match source {
            manifest::Error::Io(source) => Error::io("write or read", path, source),
            source => Error::Manifest { path, source },
        }
    }

    /// Whether the disk, or somebody's share of it, is full.
    pub fn is_full(&self) -> bool {
        matches!(
            self.io_kind(),
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        )
    }

    /// Whether nothing at all can be written there: a file system mounted read-only.
    pub fn is_read_only(&self) -> bool {
        matches!(self.io_kind(), Some(io::ErrorKind::ReadOnlyFilesystem))
    }

    /// Whether no other file will fare better: the disk is full or read-only, or the archive's folder is gone or closed to us.
    pub fn ends_the_run(&self) -> bool {
        self.is_full()
            || self.is_read_only()
            || matches!(
                self.io_kind(),
                Some(
                    io::ErrorKind::PermissionDenied
                        | io::ErrorKind::NotFound
                        | io::ErrorKind::StaleNetworkFileHandle
                )
            )
    }

    /// Whether the file system refused the name itself, so that the derived name may do: it is too long for it, or has a character it cannot hold.
    pub fn is_name_refused(&self) -> bool {
        #[cfg(unix)]
        if let Error::Io { source, .. } = self
            && source.raw_os_error() == Some(rustix::io::Errno::ILSEQ.raw_os_error())
        {
            return true;
        }
        matches!(
            self.io_kind(),
            Some(io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput)
        )
    }

    fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Error::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}
