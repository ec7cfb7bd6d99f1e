//! Does what a plan says.

use serde_json::{Value, json};

use super::{Error, Plan};
use crate::archive::{self, Archive, Lock};
use crate::id::SnapshotId;
use crate::retention::Reason;
use crate::stop::Stop;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Snapshots that are out of the archive.
    pub removed: Vec<SnapshotId>,
    /// Files that were removed with them, and with what an interrupted removal had left.
    pub files: u64,
    /// Bytes given back, where the system tells.
    pub freed: Option<u64>,
    /// Whether a stop left work for the next time.
    pub stopped: bool,
}

impl Done {
    /// What was done, as one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "removed": self.removed.iter().map(SnapshotId::as_str).collect::<Vec<_>>(),
            "files": self.files,
            "freed_bytes": self.freed,
            "stopped": self.stopped,
        })
    }
}

/// Removes what `plan` says, and first what an interrupted removal left. Blocks on the disk.
///
/// Each snapshot leaves the archive in one step before its first file goes: whenever this is interrupted, a snapshot is whole or not there, and
/// the next time the rest is removed. Files that snapshots share stay in those that stay. `lock` shows that no run is under way.
///
/// # Errors
/// [`Error::Stale`] before anything is removed; [`Error::Archive`]: what was removed until then is out of the archive.
pub fn perform(archive: &Archive, lock: &Lock, plan: &Plan, stop: &Stop) -> Result<Done, Error> {
    let _ = lock;
    let anchors = plan
        .items
        .iter()
        .filter(|item| item.reasons.contains(&Reason::NewestComplete));
    for anchor in anchors {
        match archive.snapshot(&anchor.id) {
            Ok(snapshot) if snapshot.is_complete() => {}
            _ => return Err(Error::Stale(anchor.id.clone())),
        }
    }
    let mut done = Done {
        freed: Some(0),
        ..Done::default()
    };
    clear(archive, stop, &mut done)?;
    for id in plan.removals() {
        if done.stopped || stop.is_draining() {
            done.stopped = true;
            break;
        }
        match archive.retire(id) {
            Ok(()) => done.removed.push(id.clone()),
            Err(archive::Error::NoSnapshot(_)) => continue,
            Err(error) => return Err(error.into()),
        }
        clear(archive, stop, &mut done)?;
    }
    Ok(done)
}

fn clear(archive: &Archive, stop: &Stop, done: &mut Done) -> Result<(), archive::Error> {
    let removed = archive.remove_retired(|| stop.is_draining())?;
    done.files += removed.files;
    done.freed = done.freed.zip(removed.freed).map(|(sum, more)| sum + more);
    done.stopped |= removed.stopped;
    Ok(())
}
