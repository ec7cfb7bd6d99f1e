//! An archive read back, and compared with what really was in the drive.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use aws_lc_rs::digest::{Context, SHA256};
use drivejob::archive::{Archive, Snapshot};
use drivejob::entry::Kind;
use drivejob::manifest::{Outcome, Row};
use drivejob::sim::{SharedWorld, World};

/// An archive folder.
#[derive(Debug)]
pub(crate) struct Shelf {
    path: PathBuf,
}

/// One entry as a snapshot or a world has it: path, kind, size, modified time in seconds, SHA-256, id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) path: String,
    pub(crate) kind: &'static str,
    pub(crate) size: u64,
    pub(crate) modified: i64,
    pub(crate) sha256: Option<String>,
    pub(crate) id: String,
}

impl Shelf {
    pub(crate) fn open(path: PathBuf) -> Shelf {
        Shelf { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All snapshots, oldest first.
    pub(crate) fn snapshots(&self) -> Vec<Snapshot> {
        Archive::open(&self.path).unwrap().snapshots().unwrap()
    }

    /// The newest snapshot.
    pub(crate) fn newest(&self) -> Snapshot {
        self.snapshots().pop().expect("there is a snapshot")
    }

    /// The rows of the newest snapshot's manifest, after its hash was checked.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let newest = self.newest();
        newest.verify_manifest_hash().unwrap();
        newest.manifest().unwrap().map(Result::unwrap).collect()
    }

    /// The rows of the newest snapshot's list of failures.
    pub(crate) fn failures(&self) -> Vec<Row> {
        self.newest().failures().unwrap().map(Result::unwrap).collect()
    }

    /// The newest manifest, as text.
    pub(crate) fn manifest_text(&self) -> String {
        fs::read_to_string(self.newest().path.join("manifest.csv")).unwrap()
    }

    /// Checks that the newest snapshot holds exactly what the drive at that position does, and that every file's bytes and
    /// modified time are on the disk as the manifest says.
    pub(crate) fn assert_holds(&self, world: &SharedWorld, drive: usize) {
        let rows = self.rows();
        self.assert_rows_on_disk(&rows);
        let mut found: Vec<Held> = rows.iter().map(held).collect();
        let mut expected = world.read(|world| truth(world, drive));
        found.sort();
        expected.sort();
        assert_eq!(found.len(), expected.len(), "number of entries");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
    }

    /// Checks that whatever rows say is stored lies there, with the size, hash and modified time they tell.
    pub(crate) fn assert_rows_on_disk(&self, rows: &[Row]) {
        let archive = Archive::open(&self.path).unwrap();
        for row in rows {
            let is_held = matches!(row.outcome, Outcome::Stored | Outcome::Reused);
            if !is_held || row.entry.kind == Kind::Folder {
                assert_eq!((&row.sha256, &row.stored_at), (&None, &None), "{}", row.path);
                continue;
            }
            let stored_at = row.stored_at.as_deref().expect("a stored file has a place");
            let (file, size) = archive.open_stored(stored_at).unwrap();
            assert_eq!(Some(size), row.entry.size, "{}", row.path);
            if let Some(told) = row.entry.modified {
                let modified = file.metadata().unwrap().modified().unwrap();
                let modified = modified.duration_since(UNIX_EPOCH).unwrap().as_secs();
                assert_eq!(modified, u64::try_from(told.as_second()).unwrap(), "{}", row.path);
            }
            assert_eq!(Some(sha256(file)), row.sha256, "{}", row.path);
        }
    }

    /// Checks that no row says of a file more than is true: what is stored is what the drive holds under that id.
    pub(crate) fn assert_nothing_wrong(&self, world: &SharedWorld, drive: usize) {
        let rows = self.rows();
        self.assert_rows_on_disk(&rows);
        let truth: BTreeMap<String, Held> = world
            .read(|world| truth(world, drive))
            .into_iter()
            .map(|held| (held.id.clone(), held))
            .collect();
        for row in rows.iter().filter(|row| row.sha256.is_some()) {
            let expected = truth
                .get(row.entry.id.as_str())
                .expect("a stored file was in the drive");
            assert_eq!(row.sha256, expected.sha256, "{}", row.path);
            assert_eq!(row.entry.size, Some(expected.size), "{}", row.path);
        }
    }
}

/// What a row says.
pub(crate) fn held(row: &Row) -> Held {
    Held {
        path: row.path.to_string(),
        kind: row.entry.kind.as_str(),
        size: row.entry.size.unwrap_or(0),
        modified: row.entry.modified.map_or(0, |time| time.as_second()),
        sha256: row.sha256.clone(),
        id: row.entry.id.to_string(),
    }
}

/// What a drive really holds.
pub(crate) fn truth(world: &World, drive: usize) -> Vec<Held> {
    world
        .truth(drive)
        .map(|entry| Held {
            sha256: (entry.kind == "file").then(|| world.sha256(entry.node).unwrap()),
            path: entry.path,
            kind: entry.kind,
            size: entry.size,
            modified: entry.modified.div_euclid(1000),
            id: entry.id,
        })
        .collect()
}

/// Every file below a folder with its bytes, and every folder, by path relative to it. Links are not followed.
pub(crate) fn tree_of(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for item in fs::read_dir(&next).unwrap() {
            let path = item.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let relative = path.strip_prefix(folder).unwrap().to_owned();
            if kind.is_dir() {
                open.push(path);
                found.insert(relative, None);
            } else {
                let bytes = if kind.is_symlink() {
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                found.insert(relative, Some(bytes));
            }
        }
    }
    found
}

/// The SHA-256 of all that is read, in lower-case hexadecimal.
pub(crate) fn sha256(mut source: impl Read) -> String {
    let mut context = Context::new(&SHA256);
    let mut block = vec![0; 64 * 1024];
    loop {
        let count = source.read(&mut block).unwrap();
        if count == 0 {
            break;
        }
        context.update(&block[..count]);
    }
    context
        .finish()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
