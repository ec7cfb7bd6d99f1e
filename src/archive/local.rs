//! Where an item's bytes lie, below a snapshot's `files`.

use std::fmt;

use super::Error;
use super::names::{LocalName, drive_segment};
use crate::id::{DriveId, SnapshotId};

/// A path below a snapshot's `files`, with `/` between segments that every file system can hold. It never leaves that folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalPath {
    text: String,
    /// Bytes of `text` that name the drive's folder.
    drive: usize,
}

/// The folder below `files` that holds the snapshots' files.
pub(super) const FILES: &str = "files";

/// The longest local path in bytes. Linux takes 4,096 for a whole path and macOS 1,024; the rest is for the archive's own place.
pub const PATH_BYTES: usize = if cfg!(target_os = "macos") { 700 } else { 3000 };

/// The longest `stored_at` that is looked at, in bytes. Ours are within [`PATH_BYTES`] and a snapshot's name.
const STORED_AT_BYTES: usize = 8192;

impl LocalPath {
    /// The folder of a drive: `me`, `users/<id>`, `sharedrives/<id>`, `groups/<id>`, `key/<location>/<key>` or
    /// `sharedfolders/<member>/<id>`. Different drives have different folders.
    pub fn of_drive(drive: &DriveId) -> LocalPath {
        let word = drive.as_str();
        let text = known_drive(word).unwrap_or_else(|| format!("other/{}", drive_segment(word)));
        LocalPath {
            drive: text.len(),
            text,
        }
    }

    /// The place of a child: under its plain name, or under its derived name when it has no other or is the `twin` of a sibling.
    ///
    /// A path that would be longer than [`PATH_BYTES`] begins again below the drive's folder under the derived name, which is the item's own.
    pub fn join(&self, name: &LocalName, twin: bool) -> LocalPath {
        let segment = match &name.plain {
            Some(plain) if !twin => plain,
            _ => &name.derived,
        };
        if self.text.len() + 1 + segment.len() <= PATH_BYTES {
            return LocalPath {
                text: format!("{}/{segment}", self.text),
                drive: self.drive,
            };
        }
        let drive = self.text.get(..self.drive).unwrap_or(&self.text);
        LocalPath {
            text: format!("{drive}/{}", name.derived),
            drive: self.drive,
        }
    }

    /// Takes a path as [`LocalPath::as_str`] gave it, be it of a file, a folder or a drive.
    ///
    /// # Errors
    /// [`Error::Outside`] when it could leave the folder it is meant for.
    pub fn parse(text: &str) -> Result<LocalPath, Error> {
        if text.len() > STORED_AT_BYTES || !text.split('/').all(is_inward) {
            return Err(Error::Outside(text.to_owned()));
        }
        let segments = match text.split('/').next() {
            Some("me") => 1,
            Some("key" | "sharedfolders") => 3,
            _ => 2,
        };
        let drive = text
            .match_indices('/')
            .nth(segments - 1)
            .map_or(text.len(), |(place, _)| place);
        Ok(LocalPath {
            text: text.to_owned(),
            drive,
        })
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The folder and the name in it.
    pub(super) fn split(&self) -> (&str, &str) {
        self.text.rsplit_once('/').unwrap_or(("", &self.text))
    }

    /// What a manifest says of this place in a snapshot: relative to the archive folder.
    pub fn stored_at(&self, snapshot: &SnapshotId) -> String {
        LocalPath::home(snapshot) + &self.text
    }

    /// What the places of a snapshot's files begin with.
    pub fn home(snapshot: &SnapshotId) -> String {
        format!("{snapshot}/{FILES}/")
    }

    /// The snapshot and the place that a manifest's `stored_at` names.
    ///
    /// # Errors
    /// [`Error::Outside`] when it is no place in a snapshot's files.
    pub fn from_stored_at(stored_at: &str) -> Result<(SnapshotId, LocalPath), Error> {
        let outside = || Error::Outside(stored_at.chars().take(200).collect());
        let mut parts = stored_at.splitn(3, '/');
        let (Some(snapshot), Some(FILES), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(outside());
        };
        let snapshot = snapshot.parse().map_err(|_| outside())?;
        let local = LocalPath::parse(rest).map_err(|_| outside())?;
        Ok((snapshot, local))
    }
}

impl fmt::Display for LocalPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn known_drive(word: &str) -> Option<String> {
    if word == "me" {
        return Some("me".to_owned());
    }
    if let Some(rest) = word.strip_prefix("key:") {
        let (location, key) = rest.split_once('/')?;
        return Some(format!("key/{}/{}", drive_segment(location), drive_segment(key)));
    }
    let parts: Vec<&str> = word.split('/').collect();
    match parts.as_slice() {
        [family @ ("users" | "sharedrives" | "groups"), id] => {
            Some(format!("{family}/{}", drive_segment(id)))
        }
        ["me", "sharedfolders", id] => Some(format!("sharedfolders/me/{}", drive_segment(id))),
        // A member whose id is `me` would meet the acting member.
        ["users", member, "sharedfolders", id] if *member != "me" => Some(format!(
            "sharedfolders/{}/{}",
            drive_segment(member),
            drive_segment(id)
        )),
        _ => None,
    }
}

/// Whether a segment leads one step down and nowhere else, on any system.
fn is_inward(segment: &str) -> bool {
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && !segment.contains(['\\', '\0'])
        && !(cfg!(windows) && segment.contains(':'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::super::names::{is_legal, plain_or_derived};
    use super::*;

    #[test]
    fn each_drive_has_its_folder() {
        for (word, folder) in [
            ("me", "me"),
            ("users/taro@example.com", "users/taro@example.com"),
            ("sharedrives/@2101", "sharedrives/@2101"),
            ("groups/170b", "groups/170b"),
            ("key:24101/abc", "key/24101/abc"),
            ("me/sharedfolders/5_9", "sharedfolders/me/5_9"),
            ("users/u1/sharedfolders/5_9", "sharedfolders/u1/5_9"),
        ] {
            let local = LocalPath::of_drive(&DriveId::new(word));
            assert_eq!(local.as_str(), folder);
            let child = local.join(&plain_or_derived("c", "1"), false);
            assert_eq!(LocalPath::parse(child.as_str()).unwrap(), child);
        }
        for word in [
            "users/..",
            "key:../..",
            "groups/a/b",
            "",
            "/",
            "users/me/sharedfolders/x",
        ] {
            let local = LocalPath::of_drive(&DriveId::new(word));
            assert!(local.as_str().split('/').all(is_legal), "{local}");
        }
    }

    #[test]
    fn what_would_lead_outside_is_refused() {
        for stored_at in [
            "",
            "/etc/passwd",
            "2026-11-23T02-00-00Z/files",
            "2026-11-23T02-00-00Z/files/",
            "2026-11-23T02-00-00Z/files/../HEAD.json",
            "2026-11-23T02-00-00Z/manifest.csv/x",
            "2026-11-23T02-00-00Z/files/me//x",
            "2026-11-23T02-00-00Z/files//me",
            "2026-11-23T02-00-00Z/files/me/.",
            "2026-11-23T02-00-00Z/files/me\\x",
            "2026-11-23T02-00-00Z/files/me/\0",
            "../2026-11-23T02-00-00Z/files/me/x",
            ".drivejob/files/me/x",
        ] {
            assert!(LocalPath::from_stored_at(stored_at).is_err(), "{stored_at}");
        }
        let long = format!("2026-11-23T02-00-00Z/files{}", "/a".repeat(9000));
        assert!(LocalPath::from_stored_at(&long).is_err());
    }

    #[test]
    fn a_deep_tree_of_long_names_still_has_places() {
        let mut local = LocalPath::of_drive(&DriveId::new("me"));
        let mut seen = std::collections::HashSet::new();
        for depth in 0..400 {
            local = local.join(&plain_or_derived(&"한".repeat(80), &depth.to_string()), false);
            assert!(local.as_str().len() <= PATH_BYTES);
            assert!(local.as_str().starts_with("me/"));
            assert!(seen.insert(local.clone()));
        }
    }

    proptest! {
        #[test]
        fn places_never_leave_and_read_back(word in "(me|users/|groups/|key:|users/a/sharedfolders/|\\PC{0,3}).{0,8}",
            names in proptest::collection::vec(any::<String>(), 0..8), twin in any::<bool>()) {
            let snapshot: SnapshotId = "2026-11-23T02-00-00Z".parse().unwrap();
            let mut local = LocalPath::of_drive(&DriveId::new(word));
            for (id, name) in names.iter().enumerate() {
                local = local.join(&plain_or_derived(name, &id.to_string()), twin);
            }
            prop_assert!(local.as_str().split('/').all(is_legal));
            prop_assert_eq!(LocalPath::from_stored_at(&local.stored_at(&snapshot)).unwrap(), (snapshot, local));
        }

        #[test]
        fn two_drives_never_share_a_folder(one in "(me|users/|groups/|key:a/|users/A?me?/sharedfolders/)[aA/]{0,2}",
            two in "(me|users/|groups/|key:a/|me/sharedfolders/)[aA/]{0,2}") {
            let folders = [&one, &two].map(|word| LocalPath::of_drive(&DriveId::new(word.as_str())).as_str().to_lowercase());
            prop_assert_eq!(one == two, folders[0] == folders[1]);
        }
    }
}
