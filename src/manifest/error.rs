//! What can be wrong with a manifest.

use std::io;

/// Why a manifest could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes could not be written or read.
    #[error("the manifest cannot be written or read")]
    Io(#[source] io::Error),
    /// The file is empty, so that it has no header either.
    #[error("the manifest has no header line")]
    NoHeader,
    /// A column that no reader can do without is missing from the header.
    #[error("the manifest has no column '{0}'")]
    MissingColumn(&'static str),
    /// A line is no CSV, or no UTF-8.
    #[error("line {line} of the manifest is not readable")]
    Line {
        /// The line the row begins on; the header is line 1.
        line: u64,
        /// What the CSV reader said.
        source: csv::Error,
    },
    /// A row has more or fewer cells than the header.
    #[error("line {line} of the manifest has {found} cells, but the header has {expected}")]
    Cells {
        /// The line the row begins on; the header is line 1.
        line: u64,
        /// Cells in the header.
        expected: usize,
        /// Cells in the row.
        found: usize,
    },
    /// A cell says what its column cannot mean.
    #[error("line {line} of the manifest: column '{column}' cannot be '{text}'")]
    Cell {
        /// The line the row begins on; the header is line 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// The beginning of what stands there.
        text: String,
    },
    /// The compact JSON of an entry's facts is not what this program wrote.
    #[error("the recorded facts of an entry are not readable")]
    Facts(#[source] serde_json::Error),
}

impl Error {
    /// Takes apart what the CSV library said; `line` is where it happened.
    pub(super) fn from_csv(error: csv::Error, line: u64) -> Error {
        let line = error.position().map_or(line, csv::Position::line);
        if !error.is_io_error() {
            return Error::Line { line, source: error };
        }
        match error.into_kind() {
            csv::ErrorKind::Io(source) => Error::Io(source),
            _ => Error::Io(io::Error::other("the CSV reader stopped")),
        }
    }
}
