//! A row in brief: what another night, or a question over many, needs of it.

use jiff::Timestamp;

use super::Outcome;
use crate::entry::Kind;

/// What tells one item from another, and what a list of matches says of it. The texts are used again from row to row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// The drive's scope word.
    pub drive: String,
    /// The path cell.
    pub path: String,
    /// The id; empty where the service gave none.
    pub id: String,
    /// The name, where the path does not tell it: one that holds a slash.
    pub name: Option<String>,
    /// File or folder.
    pub kind: Kind,
    /// What became of it.
    pub outcome: Outcome,
    /// Size in bytes.
    pub size: Option<u64>,
    /// When it was last modified.
    pub modified: Option<Timestamp>,
    /// SHA-256 of the bytes in hexadecimal; empty where it is not known.
    pub sha256: String,
    /// Where the bytes are, relative to the archive folder; empty when nowhere.
    pub stored_at: String,
}

impl Default for Brief {
    fn default() -> Brief {
        Brief {
            drive: String::new(),
            path: String::new(),
            id: String::new(),
            name: None,
            kind: Kind::File,
            outcome: Outcome::Stored,
            size: None,
            modified: None,
            sha256: String::new(),
            stored_at: String::new(),
        }
    }
}

impl Brief {
    /// By what a manifest is sorted.
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.drive, &self.path, &self.id)
    }
}
