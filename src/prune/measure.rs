//! How many bytes the removal of some snapshots would give back.

use std::fmt;

use serde_json::{Value, json};

use crate::archive::{self, Archive};
use crate::id::SnapshotId;

/// Bytes that a removal gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    /// So many. File systems round up to blocks, and compressed or shared blocks count as what they hold.
    Exactly(u64),
    /// So many, and perhaps more: there were too many files with several names to follow all of them.
    AtLeast(u64),
    /// Nobody looked, or the system does not tell how many names a file has.
    Unknown,
}

impl Freed {
    /// As JSON: `null` when it is not known.
    pub fn to_json(self) -> Value {
        match self {
            Freed::Exactly(bytes) => json!({ "bytes": bytes, "exact": true }),
            Freed::AtLeast(bytes) => json!({ "bytes": bytes, "exact": false }),
            Freed::Unknown => Value::Null,
        }
    }
}

impl fmt::Display for Freed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Freed::Exactly(bytes) => write!(formatter, ", frees {}", crate::report::size(*bytes)),
            Freed::AtLeast(bytes) => write!(formatter, ", frees at least {}", crate::report::size(*bytes)),
            Freed::Unknown => Ok(()),
        }
    }
}

/// Files with several names that are followed at the same time. Each takes some 40 bytes.
#[cfg(unix)]
const FOLLOWED: usize = 2_000_000;

/// Adds up the files whose every name lies in `removals`.
#[cfg(unix)]
pub(super) fn measure(archive: &Archive, removals: &[&SnapshotId]) -> Result<Freed, archive::Error> {
    use std::collections::HashMap;
    use std::os::unix::fs::MetadataExt;

    let mut names_left: HashMap<(u64, u64), u64> = HashMap::new();
    let (mut bytes, mut all_followed) = (0_u64, true);
    for id in removals {
        let mut folders = vec![archive.path().join(id.as_str())];
        while let Some(folder) = folders.pop() {
            let refused = |source| archive::Error::Io {
                action: "look at",
                path: folder.clone(),
                source,
            };
            for item in std::fs::read_dir(&folder).map_err(refused)? {
                let item = item.map_err(refused)?;
                let metadata = item.metadata().map_err(refused)?;
                if metadata.is_dir() {
                    folders.push(item.path());
                    continue;
                }
                if !metadata.is_file() {
                    continue;
                }
                let file = (metadata.dev(), metadata.ino());
                if metadata.nlink() == 1 {
                    bytes = bytes.saturating_add(metadata.len());
                } else if let Some(left) = names_left.get_mut(&file) {
                    *left -= 1;
                    if *left == 0 {
                        names_left.remove(&file);
                        bytes = bytes.saturating_add(metadata.len());
                    }
                } else if names_left.len() < FOLLOWED {
                    names_left.insert(file, metadata.nlink().saturating_sub(1));
                } else {
                    all_followed = false;
                }
            }
        }
    }
    Ok(if all_followed {
        Freed::Exactly(bytes)
    } else {
        Freed::AtLeast(bytes)
    })
}

/// The standard library tells the number of a file's names on Unix alone.
#[cfg(not(unix))]
pub(super) fn measure(_: &Archive, _: &[&SnapshotId]) -> Result<Freed, archive::Error> {
    Ok(Freed::Unknown)
}
