//! Identifiers: of a drive, of a file or folder in it, of a snapshot, of a run.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Names one drive of a tenant by its scope word: `me`, `users/<id>`, `sharedrives/<id>`, `groups/<id>`,
/// `key:<location>/<key>`, or `users/<id>/sharedfolders/<id>` for a folder that somebody shared with a member.
///
/// Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DriveId(Arc<str>);

/// The family a drive belongs to. Each family has its own API operations, and so its own rate buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// A member's My Drive.
    MyDrive,
    /// A shared drive.
    SharedDrive,
    /// A group or team folder.
    GroupFolder,
    /// A folder that another member shared.
    SharedFolder,
    /// A folder of the classic API named by location and key.
    Key,
}

impl Family {
    /// Every family, in the order in which they are worked on.
    pub const ALL: [Family; 5] = [
        Family::MyDrive,
        Family::SharedDrive,
        Family::GroupFolder,
        Family::SharedFolder,
        Family::Key,
    ];
}

impl DriveId {
    /// Takes a scope word as it stands.
    pub fn new(word: impl Into<Arc<str>>) -> DriveId {
        DriveId(word.into())
    }

    /// The scope word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The family, told from the form of the scope word.
    pub fn family(&self) -> Family {
        let word = self.as_str();
        if word.contains("/sharedfolders/") {
            Family::SharedFolder
        } else if word.starts_with("sharedrives/") {
            Family::SharedDrive
        } else if word.starts_with("groups/") {
            Family::GroupFolder
        } else if word.starts_with("key:") {
            Family::Key
        } else {
            Family::MyDrive
        }
    }
}

impl fmt::Display for DriveId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The service's id of a file or folder: `fileId` in API 2.0, `resourceKey` in the classic API. Opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(Arc<str>);

impl FileId {
    /// The id that stands for the root of a drive where the service gives none.
    pub const ROOT: &'static str = "root";

    /// Takes an id as the service gave it.
    pub fn new(id: impl Into<Arc<str>>) -> FileId {
        FileId(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the stand-in for a drive's root.
    pub fn is_root(&self) -> bool {
        &*self.0 == FileId::ROOT
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Names a snapshot by the moment its run began, in UTC and to the second: `2026-11-23T02-00-00Z`.
///
/// Colons are hyphens, since Windows allows no colon in a folder's name. Text order is time order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotId(String);

impl SnapshotId {
    /// The id of a snapshot that began at `time`.
    pub fn at(time: Timestamp) -> SnapshotId {
        SnapshotId(
            time.to_zoned(TimeZone::UTC)
                .strftime("%Y-%m-%dT%H-%M-%SZ")
                .to_string(),
        )
    }

    /// The id as text, which is also the folder's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The moment the id tells.
    pub fn time(&self) -> Option<Timestamp> {
        let (date, clock) = self.0.split_once('T')?;
        format!("{date}T{}", clock.replace('-', ":")).parse().ok()
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A text that is not the name of a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a snapshot name such as 2026-11-23T02-00-00Z")]
pub struct NotASnapshot(String);

impl FromStr for SnapshotId {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<SnapshotId, NotASnapshot> {
        let id = SnapshotId(text.to_owned());
        match id.time() {
            Some(time) if SnapshotId::at(time) == id => Ok(id),
            _ => Err(NotASnapshot(text.to_owned())),
        }
    }
}

/// Names one run of a job: unlike a snapshot's id it is new with every process that works on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunId(String);

impl RunId {
    /// Takes the text of a run id.
    pub fn new(text: impl Into<String>) -> RunId {
        RunId(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_names_sort_as_their_times_and_read_back() {
        let early = SnapshotId::at(Timestamp::UNIX_EPOCH);
        assert_eq!(early.as_str(), "1970-01-01T00-00-00Z");
        assert_eq!(early.time(), Some(Timestamp::UNIX_EPOCH));
        let read: Result<SnapshotId, _> = "2026-11-23T02-00-00Z".parse();
        assert!(read.is_ok_and(|id| id > early));
        for wrong in [
            "",
            "latest",
            "2026-11-23",
            "2026-11-23T02:00:00Z",
            "2026-13-23T02-00-00Z",
            "../2026-11-23T02-00-00Z",
        ] {
            assert!(wrong.parse::<SnapshotId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ids_print_as_they_are_and_a_root_is_known() {
        let ids = [FileId::new("a b").to_string(), RunId::new("r1").to_string()];
        assert_eq!(ids, ["a b", "r1"]);
        assert_eq!(RunId::new("r1").as_str(), "r1");
        assert!(FileId::new(FileId::ROOT).is_root());
        assert!(!FileId::new("a b").is_root());
    }

    #[test]
    fn a_drive_knows_its_family() {
        for (word, family) in [
            ("me", Family::MyDrive),
            ("users/u1", Family::MyDrive),
            ("sharedrives/@21", Family::SharedDrive),
            ("groups/g", Family::GroupFolder),
            ("key:24101/abc", Family::Key),
            ("users/u1/sharedfolders/5_D_9", Family::SharedFolder),
        ] {
            assert_eq!(DriveId::new(word).family(), family);
        }
    }
}
