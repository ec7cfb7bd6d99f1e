//! Which snapshot a word of a job or a command line means.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::archive::{self, Archive, Snapshot};
use crate::job::SnapshotChoice;

/// The snapshot that `choice` means. `latest` and days look at complete snapshots alone; among these at backups, or at any kind where there are
/// none. A day is one of `zone`, and means the newest snapshot that began on it or before. A name means that snapshot, complete or not.
///
/// # Errors
/// [`archive::Error::NoSnapshot`] when nothing answers to it; what [`Archive::snapshot`] gives for a name.
pub fn choose_snapshot(
    archive: &Archive,
    choice: &SnapshotChoice,
    zone: &TimeZone,
) -> Result<Snapshot, archive::Error> {
    let (end, word) = match choice {
        SnapshotChoice::Named(id) => return archive.snapshot(id),
        SnapshotChoice::Latest => (Timestamp::MAX, "latest".to_owned()),
        SnapshotChoice::Day(date) => {
            let next = date.saturating_add(1.day());
            let begins = next.to_zoned(zone.clone()).map(|zoned| zoned.timestamp());
            (begins.unwrap_or(Timestamp::MAX), date.to_string())
        }
    };
    let newest = |kind: Option<&str>| {
        archive.newest_complete(|head| head.started < end && kind.is_none_or(|kind| head.kind == kind))
    };
    match newest(Some("backup"))? {
        Some(snapshot) => Ok(snapshot),
        None => newest(None)?.ok_or(archive::Error::NoSnapshot(word)),
    }
}
