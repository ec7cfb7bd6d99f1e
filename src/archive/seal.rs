//! What a tail says of every file beside it, and of itself: so that no byte of a snapshot changes unseen.
//!
//! A tail tells the SHA-256 of `HEAD.json` and of each file beside the manifest, and carries a seal: the SHA-256 of its own bytes with the
//! seal's digits as zeros. A head tells the SHA-256 of `ARCHIVE.json` and of the tail before it. Snapshots of earlier versions have
//! none of it; that a head tells of `ARCHIVE.json` says that its tail must have a seal.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::hash::{Hasher, hash_file};
use super::head::write_text;
use super::run::LEDGER;
use super::{Archive, Error, MARKER, Previous, Run, Snapshot, Tail};

/// What stands in place of the seal while it is made: as many zeros as a SHA-256 has digits.
const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The note about head and ledger of a stopped run.
const STATE_SUM: &str = "state.sha256";

/// Files of a snapshot that have a proof of their own.
const PROVEN: [&str; 2] = ["TAIL.json", "manifest.csv"];

/// A file of a snapshot that is not as it was when the tail was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealFault {
    /// The file's name.
    pub name: String,
    /// What is wrong.
    pub state: SealState,
}

/// What can be wrong with a file beside a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealState {
    /// It has other bytes.
    Altered,
    /// It is not there.
    Missing,
    /// It does not read.
    Unreadable(String),
    /// The tail does not know it.
    Unknown,
    /// A tail that must have a seal, and has none.
    Unsealed,
}

impl Snapshot {
    /// Looks at `HEAD.json`, `TAIL.json` and the files beside the manifest. Nothing can be said of a snapshot without a tail, and of
    /// one that has no seal, since an earlier version wrote it.
    ///
    /// # Errors
    /// [`Error::Io`] when the snapshot's folder cannot be listed.
    pub fn seal_faults(&self) -> Result<Vec<SealFault>, Error> {
        let mut faults = Vec::new();
        let Some(tail) = &self.tail else {
            return Ok(faults);
        };
        let mut fault = |name: &str, state| {
            faults.push(SealFault {
                name: name.to_owned(),
                state,
            });
        };
        if tail.seal.is_empty() && tail.files.is_empty() {
            if self.head.archive_sha256.is_some() {
                fault("TAIL.json", SealState::Unsealed);
            }
            return Ok(faults);
        }
        match fs::read(self.path.join("TAIL.json")) {
            Ok(text) if is_sealed(&text, &tail.seal) => {}
            Ok(_) => fault("TAIL.json", SealState::Altered),
            Err(error) => fault("TAIL.json", SealState::Unreadable(error.to_string())),
        }
        for (name, told) in &tail.files {
            match hash_of(&self.path.join(name)) {
                Ok(found) if found == *told => {}
                Ok(_) => fault(name, SealState::Altered),
                Err(error) if error.kind() == io::ErrorKind::NotFound => fault(name, SealState::Missing),
                Err(error) => fault(name, SealState::Unreadable(error.to_string())),
            }
        }
        for name in names_in(&self.path)? {
            if !tail.files.contains_key(&name) && !PROVEN.contains(&name.as_str()) {
                fault(&name, SealState::Unknown);
            }
        }
        Ok(faults)
    }

    /// What the next snapshot's head says of this one; `None` when it has no tail.
    pub fn as_previous(&self) -> Option<Previous> {
        Some(Previous {
            snapshot: self.id.to_string(),
            manifest_sha256: self.tail.as_ref()?.manifest_sha256.clone(),
            tail_sha256: self.tail_sha256().ok(),
        })
    }

    /// The SHA-256 of its `TAIL.json`, in lower-case hexadecimal.
    ///
    /// # Errors
    /// What the system says.
    pub fn tail_sha256(&self) -> io::Result<String> {
        hash_of(&self.path.join("TAIL.json"))
    }
}

impl Archive {
    /// The SHA-256 of `ARCHIVE.json`, in lower-case hexadecimal.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn marker_sha256(&self) -> Result<String, Error> {
        let path = self.path().join(MARKER);
        hash_of(&path).map_err(|error| Error::io("read", path, error))
    }
}

impl Run {
    /// Notes the bytes of the run's head and ledger, which must be closed, so that the start that carries the run on sees whether
    /// they changed while nobody had them open. A run that is killed has no such note.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn seal_state(&self) -> Result<(), Error> {
        let folder = self.state_path();
        let sum = state_sum(&folder).map_err(|error| Error::io("read", &folder, error))?;
        write_text(&folder, STATE_SUM, sum.as_bytes())
    }
}

/// Whether head and ledger of a stopped run are as it left them, where it left a note. The note goes: what follows changes them.
pub(super) fn open_state(folder: &Path) -> Result<bool, Error> {
    let path = folder.join(STATE_SUM);
    let told = match fs::read(&path) {
        Ok(told) => told,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(_) => Vec::new(),
    };
    let is_same = state_sum(folder).is_ok_and(|sum| sum.as_bytes() == told);
    fs::remove_file(&path).map_err(|error| Error::io("remove", path, error))?;
    Ok(is_same)
}

fn state_sum(folder: &Path) -> io::Result<String> {
    let head = hash_of(&folder.join("snapshot/HEAD.json"))?;
    Ok(format!("{head} {}\n", hash_of(&folder.join(LEDGER))?))
}

/// The hashes of all files of a snapshot that have no proof of their own.
pub(super) fn hash_files(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut files = BTreeMap::new();
    for name in names_in(folder)? {
        if !PROVEN.contains(&name.as_str()) {
            let path = folder.join(&name);
            let hash = hash_of(&path).map_err(|error| Error::io("read", path, error))?;
            files.insert(name, hash);
        }
    }
    Ok(files)
}

/// Writes `TAIL.json` with its seal.
pub(super) fn write_tail(folder: &Path, tail: &mut Tail) -> Result<(), Error> {
    BLANK.clone_into(&mut tail.seal);
    let path = || folder.join("TAIL.json");
    let mut text =
        serde_json::to_string_pretty(tail).map_err(|error| Error::io("write", path(), error.into()))?;
    text.push('\n');
    let mut hasher = Hasher::new();
    hasher.update(text.as_bytes());
    tail.seal = hasher.hex();
    // The seal is the last field.
    if let Some(place) = text.rfind(BLANK) {
        text.replace_range(place..place + BLANK.len(), &tail.seal);
    }
    write_text(folder, "TAIL.json", text.as_bytes())
}

fn is_sealed(text: &[u8], seal: &str) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let Some(place) = text.rfind(seal).filter(|_| seal.len() == BLANK.len()) else {
        return false;
    };
    let (before, rest) = text.split_at(place);
    let mut hasher = Hasher::new();
    for part in [before, BLANK, rest.get(BLANK.len()..).unwrap_or_default()] {
        hasher.update(part.as_bytes());
    }
    hasher.hex() == seal
}

/// The names of the files in a folder. Those that begin with a dot were being written when something stopped.
fn names_in(folder: &Path) -> Result<Vec<String>, Error> {
    let refused = |error| Error::io("list", folder, error);
    let mut names = Vec::new();
    for item in fs::read_dir(folder).map_err(refused)? {
        let item = item.map_err(refused)?;
        let name = item.file_name().to_string_lossy().into_owned();
        if !item.file_type().map_err(refused)?.is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    hash_file(&mut file, u64::MAX).map(|(_, hasher)| hasher.hex())
}
