//! What lies directly in a folder of a snapshot.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Place;
use crate::archive::{self, Snapshot};
use crate::entry::Kind;
use crate::id::{DriveId, FileId};
use crate::manifest::{Glance, Look, Outcome, Row};
use crate::path::DrivePath;

/// A file or folder, or a drive.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The drive it lies in.
    pub drive: DriveId,
    /// Its name; of a drive, the drive's name as a person knows it.
    pub name: String,
    /// Its path; `/` for a drive.
    pub path: DrivePath,
    /// File or folder. A drive is a folder.
    pub kind: Kind,
    /// Its id; `None` for a drive and for a folder that has no row of its own.
    pub id: Option<FileId>,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// Files: 1, or those in the folder at any depth.
    pub files: u64,
    /// Bytes of these files, as listed.
    pub bytes: u64,
    /// Of these files, those whose bytes are not in the snapshot.
    pub lacking: u64,
    /// When it was last modified.
    pub modified: Option<Timestamp>,
    /// Where its bytes are.
    pub stored_at: Option<String>,
}

impl Item {
    /// The item as one JSON object. Sizes are bytes.
    pub fn to_json(&self) -> Value {
        json!({
            "drive": self.drive.as_str(),
            "name": self.name,
            "path": self.path.as_str(),
            "kind": self.kind.as_str(),
            "id": self.id.as_ref().map(FileId::as_str),
            "outcome": self.outcome.map(Outcome::as_str),
            "files": self.files,
            "bytes": self.bytes,
            "lacking": self.lacking,
            "modified": self.modified.map(|time| time.to_string()),
            "stored_at": self.stored_at,
        })
    }

    fn count(&mut self, row: &Row) {
        if row.entry.kind == Kind::File {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(row.entry.size.unwrap_or(0));
            let has = matches!(row.outcome, Outcome::Stored | Outcome::Reused | Outcome::Listed);
            self.lacking += u64::from(!has);
        }
    }
}

/// What lies in a place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Whether the place is there at all.
    pub found: bool,
    /// By drive and name.
    pub items: Vec<Item>,
}

/// Lists what lies directly in a place of a snapshot: of a folder its children, of a file itself, without a place the drives.
///
/// Reads the manifest as a stream and ends where the drive does. Memory is that of the answer.
///
/// # Errors
/// When the manifest does not read.
pub fn list(snapshot: &Snapshot, place: Option<&Place>) -> Result<Listing, archive::Error> {
    let mut rows = snapshot.manifest()?;
    let mut gather = match place {
        None => Gather::Drives(BTreeMap::new()),
        Some(place) => Gather::Folder(Folder::new(place)),
    };
    while let Some(row) = rows.next_where(|glance| gather.look(glance)) {
        let row = row.map_err(|source| archive::Error::Manifest {
            path: snapshot.path.join("manifest.csv"),
            source,
        })?;
        gather.take(row);
    }
    Ok(gather.finish(snapshot))
}

enum Gather {
    Drives(BTreeMap<DriveId, Item>),
    Folder(Folder),
}

impl Gather {
    fn look(&self, glance: Glance<'_>) -> Look {
        match self {
            Gather::Drives(_) => Look::Take,
            Gather::Folder(folder) => folder.look(glance),
        }
    }

    fn take(&mut self, row: Row) {
        match self {
            Gather::Drives(drives) => {
                let drive = row.entry.drive.clone();
                drives
                    .entry(drive.clone())
                    .or_insert_with(|| Item {
                        drive,
                        name: row.drive_name.clone(),
                        path: DrivePath::root(),
                        kind: Kind::Folder,
                        id: None,
                        outcome: None,
                        files: 0,
                        bytes: 0,
                        lacking: 0,
                        modified: None,
                        stored_at: None,
                    })
                    .count(&row);
            }
            Gather::Folder(folder) => folder.take(row),
        }
    }

    fn finish(self, snapshot: &Snapshot) -> Listing {
        match self {
            Gather::Drives(drives) => Listing {
                found: true,
                items: drives.into_values().collect(),
            },
            Gather::Folder(folder) => folder.finish(snapshot),
        }
    }
}

/// The children of one path, in one drive or several.
struct Folder {
    drive: Option<DriveId>,
    path: DrivePath,
    /// What the paths of all that lies in the folder begin with.
    prefix: String,
    found: bool,
    itself: Vec<Item>,
    items: Vec<Item>,
    /// Where the folders among `items` are, by drive and name. Twins share a total, since a path cannot tell them apart.
    folders: HashMap<(DriveId, String), usize>,
}

impl Folder {
    fn new(place: &Place) -> Folder {
        let prefix = match place.path.is_root() {
            true => "/".to_owned(),
            false => format!("{}/", place.path),
        };
        Folder {
            drive: place.drive.clone(),
            path: place.path.clone(),
            prefix,
            found: false,
            itself: Vec::new(),
            items: Vec::new(),
            folders: HashMap::new(),
        }
    }

    /// Rows are sorted by drive, then by path: behind the drive, or behind the folder in it, nothing more can come.
    fn look(&self, glance: Glance<'_>) -> Look {
        if let Some(drive) = &self.drive {
            match glance.drive.cmp(drive.as_str()) {
                std::cmp::Ordering::Less => return Look::Pass,
                std::cmp::Ordering::Greater => return Look::End,
                std::cmp::Ordering::Equal => {}
            }
        }
        if glance.path == self.path.as_str() || glance.path.starts_with(&self.prefix) {
            Look::Take
        } else if self.drive.is_some() && glance.path > self.prefix.as_str() {
            Look::End
        } else {
            Look::Pass
        }
    }

    fn take(&mut self, row: Row) {
        self.found = true;
        let path = row.path.as_str().to_owned();
        let Some(inner) = path.strip_prefix(&self.prefix).filter(|_| row.path != self.path) else {
            // A folder is not listed in itself; a file is all that can be listed of it.
            if row.entry.kind == Kind::File {
                self.itself.push(item(row));
            }
            return;
        };
        if inner == row.entry.name {
            let key = (row.entry.drive.clone(), row.entry.name.clone());
            let is_folder = row.entry.kind == Kind::Folder;
            if is_folder && !self.folders.contains_key(&key) {
                self.folders.insert(key, self.items.len());
            }
            self.items.push(item(row));
            return;
        }
        // Deeper: it counts for the child it lies in. A name may hold a slash itself, so the longest folder known by that beginning is it.
        let known = inner.rmatch_indices('/').find_map(|(end, _)| {
            self.folders
                .get(&(row.entry.drive.clone(), inner[..end].to_owned()))
        });
        let place = match known {
            Some(place) => *place,
            None => self.add_unknown(&row, inner.split('/').next().unwrap_or(inner)),
        };
        if let Some(item) = self.items.get_mut(place) {
            item.count(&row);
        }
    }

    /// A folder that has no row: its listing belongs to a manifest that somebody cut down.
    fn add_unknown(&mut self, row: &Row, name: &str) -> usize {
        let place = self.items.len();
        self.items.push(Item {
            drive: row.entry.drive.clone(),
            name: name.to_owned(),
            path: self.path.join(name),
            kind: Kind::Folder,
            id: None,
            outcome: None,
            files: 0,
            bytes: 0,
            lacking: 0,
            modified: None,
            stored_at: None,
        });
        self.folders
            .insert((row.entry.drive.clone(), name.to_owned()), place);
        place
    }

    fn finish(self, snapshot: &Snapshot) -> Listing {
        // The root has no row of its own, and an empty one is there all the same.
        let is_drive = self.path.is_root()
            && self
                .drive
                .as_ref()
                .is_none_or(|drive| is_covered(snapshot, drive));
        let mut items = self.items;
        items.extend(self.itself);
        items.sort_by(|one, two| (&one.drive, &one.name, &one.id).cmp(&(&two.drive, &two.name, &two.id)));
        Listing {
            found: self.found || is_drive,
            items,
        }
    }
}

/// Whether the coverage statement speaks of a drive, where there is a statement.
fn is_covered(snapshot: &Snapshot, drive: &DriveId) -> bool {
    let drives = snapshot
        .tail
        .as_ref()
        .and_then(|tail| tail.coverage.get("drives"));
    drives.and_then(Value::as_array).is_none_or(|drives| {
        drives
            .iter()
            .any(|one| one.get("drive").and_then(Value::as_str) == Some(drive.as_str()))
    })
}

fn item(row: Row) -> Item {
    let mut item = Item {
        drive: row.entry.drive.clone(),
        name: row.entry.name.clone(),
        path: row.path.clone(),
        kind: row.entry.kind,
        id: Some(row.entry.id.clone()),
        outcome: Some(row.outcome),
        files: 0,
        bytes: 0,
        lacking: 0,
        modified: row.entry.modified,
        stored_at: row.stored_at.clone(),
    };
    item.count(&row);
    item
}
