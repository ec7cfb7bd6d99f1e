//! One run at a time: a lock that the operating system lets go of when the process dies.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Error;
use super::head::{read_json, write_json};

/// The archive's lock, held. Dropping it lets go; so does the end of the process, however it ends.
#[derive(Debug)]
pub struct Lock {
    /// The lock lives as long as this file is open.
    file: File,
    holder: PathBuf,
}

/// Who holds an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process number.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// Since when.
    pub since: Timestamp,
    /// The job's name.
    pub job: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder {
            pid,
            host,
            since,
            job,
        } = self;
        write!(formatter, "process {pid} on {host} since {since:.0}, job '{job}'")
    }
}

/// The file that is locked. It is never removed: a lock on a removed file keeps nobody out.
const LOCK: &str = "lock";

/// Who holds it, in a file of its own, since some systems do not let others read a locked one.
const HOLDER: &str = "holder.json";

impl Lock {
    pub(super) fn take(state: &Path, holder: &Holder) -> Result<Lock, Error> {
        let path = state.join(LOCK);
        let refused = |error| Error::io("lock", &path, error);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // A link would lead out of the archive.
            options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        }
        let file = options.open(&path).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Who holds it is a courtesy: a file that does not read says nothing.
                let holder = read_json(&state.join(HOLDER)).ok().flatten();
                return Err(Error::Held(holder));
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        write_json(state, HOLDER, holder)?;
        Ok(Lock {
            file,
            holder: state.join(HOLDER),
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock goes, else the next holder's note would be removed. One that stays behind misleads nobody: only a held lock is explained by it.
        let _ = fs::remove_file(&self.holder);
        // Closing alone would not do while a process that is just being started still has this file open too.
        let _ = self.file.unlock();
    }
}
