//! What a verification can find.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::id::SnapshotId;
use crate::report::printable;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing is where the manifest says.
    Missing,
    /// Something is there that is no regular file, or no folder: a link, for example.
    NotAFile,
    /// The file is shorter than the manifest says.
    Short,
    /// The file is longer than the manifest says.
    Long,
    /// The file has other bytes than the manifest says.
    Altered,
    /// The system does not let it be read.
    Unreadable,
    /// A file lies in the snapshot that no row knows.
    Extra,
    /// `manifest.csv` is missing, does not read, or is not the one the tail tells.
    Manifest,
    /// `failures.csv` does not say what the manifest says.
    Failures,
    /// `HEAD.json` is missing, does not read, or contradicts its place.
    Head,
    /// `TAIL.json` is missing, does not read, or contradicts the manifest.
    Tail,
    /// `HEAD.json` tells another manifest or tail of the snapshot before than that snapshot has.
    Chain,
    /// A file beside the manifest is missing, or not the one that the tail tells.
    Beside,
    /// `ARCHIVE.json` is not the one that the newest head tells.
    Archive,
}

impl Kind {
    /// The word for lists and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::NotAFile => "not-a-file",
            Kind::Short => "short",
            Kind::Long => "long",
            Kind::Altered => "altered",
            Kind::Unreadable => "unreadable",
            Kind::Extra => "extra",
            Kind::Manifest => "manifest",
            Kind::Failures => "failures",
            Kind::Head => "head",
            Kind::Tail => "tail",
            Kind::Chain => "chain",
            Kind::Beside => "beside",
            Kind::Archive => "archive",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// What is wrong.
    pub kind: Kind,
    /// The drive and the path in it, of a file or folder that a row tells of.
    pub item: Option<(String, String)>,
    /// The place on disk, relative to the archive folder.
    pub place: String,
    /// More, for people; may be empty.
    pub detail: String,
    /// The bucket of the file's content, so that it stays due for the next sample.
    pub(super) bucket: Option<usize>,
}

impl Problem {
    /// A problem of a snapshot's own file.
    pub(super) fn of(snapshot: &SnapshotId, kind: Kind, name: &str, detail: impl Into<String>) -> Problem {
        Problem {
            snapshot: snapshot.clone(),
            kind,
            item: None,
            place: format!("{snapshot}/{name}"),
            detail: detail.into(),
            bucket: None,
        }
    }

    /// The problem as one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "snapshot": self.snapshot.as_str(),
            "kind": self.kind.as_str(),
            "drive": self.item.as_ref().map(|(drive, _)| drive),
            "path": self.item.as_ref().map(|(_, path)| path),
            "place": self.place,
            "detail": self.detail,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:<10} {}", self.kind.as_str(), printable(&self.place))?;
        if let Some((drive, path)) = &self.item {
            write!(formatter, "  {}:{}", printable(drive), printable(path))?;
        }
        if !self.detail.is_empty() {
            write!(formatter, "  ({})", printable(&self.detail))?;
        }
        Ok(())
    }
}

/// Problems by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Kind, u64>);

impl Tally {
    pub(super) fn add(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// All of them.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those of one kind.
    pub fn of(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// The counts by word; kinds that did not occur are not there.
    pub fn to_json(&self) -> Value {
        let counts = self
            .0
            .iter()
            .map(|(kind, count)| (kind.as_str().to_owned(), (*count).into()));
        Value::Object(counts.collect())
    }
}
