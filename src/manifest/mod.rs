//! One row per resource: what was listed and what became of it.

mod brief;
mod cells;
mod error;
mod export;
mod facts;
mod idmap;
mod reader;
mod sharing;
mod writer;

use jiff::Timestamp;
use reader::without_bom;

use crate::entry::Entry;
use crate::path::DrivePath;

pub use brief::Brief;
pub use cells::COLUMNS;
pub use error::Error;
pub use export::{ExportWriter, JsonLinesWriter, defused};
pub use facts::{Facts, decode_facts, encode_facts};
pub use idmap::{IDMAP_COLUMNS, PROBLEM_COLUMNS, STEP_COLUMNS, TableWriter, read_table};
pub use reader::{Glance, Look, Reader};
pub use sharing::{LinkReach, is_nothing, link_reach};
pub use writer::Writer;

/// One line of `manifest.csv` and `failures.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What the service told.
    pub entry: Entry,
    /// The drive's name as a person knows it.
    pub drive_name: String,
    /// Where it lies in its drive.
    pub path: DrivePath,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, as a short code; empty where there is nothing to say.
    pub reason: String,
    /// SHA-256 of the stored bytes, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Where the bytes are, relative to the archive folder, with `/` between segments.
    pub stored_at: Option<String>,
    /// How often its content was asked for in this run.
    pub attempts: u32,
}

/// Reason code of a file that a migration has handed over and not kept: [`Outcome::Listed`], with the hash of its bytes.
pub const DELIVERED: &str = "delivered";

/// Reason code of a file that a migration has not kept and could not hand over: [`Outcome::Failed`].
pub const NOT_DELIVERED: &str = "not-delivered";

/// What became of a resource in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Its bytes were fetched in this run (a folder: its listing is closed).
    Stored,
    /// Its bytes are those of an earlier snapshot.
    Reused,
    /// It was listed, and nothing more was asked (audit); or its bytes were handed over and not kept ([`DELIVERED`]).
    Listed,
    /// It was left out on purpose: a filter, an infected file, a trash item.
    Skipped,
    /// It was gone when its bytes were asked for.
    Vanished,
    /// It could not be read.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 6] = [
        Outcome::Stored,
        Outcome::Reused,
        Outcome::Listed,
        Outcome::Skipped,
        Outcome::Vanished,
        Outcome::Failed,
    ];

    /// The word of the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Stored => "stored",
            Outcome::Reused => "reused",
            Outcome::Listed => "listed",
            Outcome::Skipped => "skipped",
            Outcome::Vanished => "vanished",
            Outcome::Failed => "failed",
        }
    }

    /// The outcome a word stands for.
    pub fn from_word(word: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// A copy that an earlier snapshot's manifest tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Size in bytes.
    pub size: u64,
    /// Modified time, to the second.
    pub modified: Option<Timestamp>,
    /// Hash its manifest recorded.
    pub sha256: String,
    /// Where the copy is, relative to the archive folder; empty when it was handed over to a migration's target.
    pub stored_at: String,
    /// Whether its snapshot is complete. The bytes of a partial one are hashed before they count.
    pub proven: bool,
}

impl Earlier {
    /// Whether the bytes were handed over to a migration's target, and are nowhere in the archive.
    pub fn is_delivered(&self) -> bool {
        self.stored_at.is_empty()
    }
}

#[cfg(test)]
mod tests;
