//! The JSON files of an archive: `ARCHIVE.json`, `HEAD.json`, `TAIL.json`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Error;
use crate::coverage::Totals;
use crate::id::SnapshotId;

/// What a run is about to do: `HEAD.json`, written when it begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Format of the snapshot, set by [`super::Archive::begin`].
    #[serde(default)]
    pub format: u32,
    /// Kind of the job: `backup`, `audit`, …
    pub kind: String,
    /// The job's name.
    #[serde(default)]
    pub job: String,
    /// A digest of what in the job decides on the content, so that a changed job does not resume an old run.
    #[serde(default)]
    pub fingerprint: String,
    /// The tenant, as in `ARCHIVE.json`.
    #[serde(default)]
    pub tenant: String,
    /// The scope words of the job.
    #[serde(default)]
    pub drives: Vec<String>,
    /// Name and version of the program.
    #[serde(default)]
    pub tool: String,
    /// When the run began, which names the snapshot.
    pub started: Timestamp,
    /// The snapshot before, which makes a chain of manifests.
    #[serde(default)]
    pub previous: Option<Previous>,
    /// The snapshot whose files are reused.
    #[serde(default)]
    pub basis: Option<String>,
    /// SHA-256 of `ARCHIVE.json`, set by [`super::Archive::begin`]. Where it stands, the tail has a seal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_sha256: Option<String>,
    /// Whatever else is known at the beginning.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// The key of [`Head::extra`] that says what a migration keeps, and its value for one that keeps manifests alone.
const KEEP: (&str, &str) = ("keep", "manifest");

impl Head {
    /// Whether the snapshot holds the bytes of its files, and not only tells of them: a backup, or a migration that keeps
    /// everything.
    pub fn holds_bytes(&self) -> bool {
        matches!(self.kind.as_str(), "backup" | "migrate")
            && self.extra.get(KEEP.0).and_then(Value::as_str) != Some(KEEP.1)
    }

    /// Notes that the bytes of its files are handed over and not kept.
    pub fn keep_manifest_alone(&mut self) {
        self.extra.insert(KEEP.0.to_owned(), Value::from(KEEP.1));
    }

    /// The snapshot's name.
    pub fn id(&self) -> SnapshotId {
        SnapshotId::at(self.started)
    }
}

/// The snapshot before, and the hash of its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its name.
    pub snapshot: String,
    /// SHA-256 of its `manifest.csv`, in lower-case hexadecimal.
    pub manifest_sha256: String,
    /// SHA-256 of its `TAIL.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_sha256: Option<String>,
}

/// What a run did: `TAIL.json`, written when it ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// Whether everything that was asked for is there.
    pub status: Status,
    /// When the run ended.
    pub finished: Timestamp,
    /// Rows and bytes.
    #[serde(default)]
    pub totals: Totals,
    /// Calls by API operation.
    #[serde(default)]
    pub calls: BTreeMap<String, u64>,
    /// What could be seen of what there is.
    #[serde(default)]
    pub coverage: Value,
    /// What somebody should look at.
    #[serde(default)]
    pub alarms: Vec<Alarm>,
    /// SHA-256 of `manifest.csv`, in lower-case hexadecimal.
    pub manifest_sha256: String,
    /// Rows of `failures.csv`.
    #[serde(default)]
    pub failures_rows: u64,
    /// Whatever else is known at the end.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// SHA-256 of `HEAD.json` and of each file beside the manifest, by name; set by [`super::Run::finish`].
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// SHA-256 of this file with zeros in place of these 64 digits; set by [`super::Run::finish`]. It is the last field.
    #[serde(default)]
    pub seal: String,
}

/// Whether a snapshot has all that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has.
    Complete,
    /// Something is missing.
    #[default]
    Partial,
}

/// Something that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Short code, the same in every language.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// `ARCHIVE.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) format: u32,
    pub(super) tenant: String,
    pub(super) created: Timestamp,
}

/// A JSON file that says which format it has.
#[derive(Deserialize)]
struct Formatted {
    #[serde(default)]
    format: u32,
}

/// The most bytes of a JSON file that are read. A coverage statement over ten thousand drives has some megabytes.
const JSON_BYTES: u64 = 256 * 1024 * 1024;

/// Reads a JSON file; `None` when there is none. A newer format is told before anything that it may bring.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let mut bytes = Vec::new();
    match open_plain(path).and_then(|file| file.take(JSON_BYTES).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, error)),
    }
    let damaged = |source| Error::Damaged {
        path: path.to_owned(),
        source,
    };
    let Formatted { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format > super::FORMAT {
        return Err(Error::NewerFormat {
            path: path.to_owned(),
            found: format,
        });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Writes a JSON file so that it is there whole or not at all, also after a power cut.
pub(super) fn write_json<T: Serialize>(folder: &Path, name: &str, value: &T) -> Result<(), Error> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::io("write", folder.join(name), error.into()))?;
    text.push(b'\n');
    write_text(folder, name, &text)
}

/// The same for a text that is made already.
pub(super) fn write_text(folder: &Path, name: &str, text: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    let fresh = folder.join(format!(".{name}.new"));
    let written = create_fresh(&fresh).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        sync_folder(folder)
    });
    written.map_err(|error| Error::io("write", path, error))
}

/// Opens a file for reading, unless it is a link: one that was planted leads nowhere.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        // A pipe planted there must not keep us waiting for its other end.
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    }
    options.open(path)
}

/// Makes a new file where an old one, or a link, may stand: it is removed and never written through.
pub(super) fn create_fresh(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
