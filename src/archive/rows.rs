//! Writes a run's `manifest.csv` and `failures.csv`.

use std::fs::File;
use std::path::PathBuf;

use super::hash::{Hasher, HashingFile};
use super::head::create_fresh;
use super::{Error, Run, Totals};
use crate::manifest::{Outcome, Row, Writer};

/// Writes the rows of a run, in the order they are given: all to `manifest.csv`, those not stored to `failures.csv` too.
#[derive(Debug)]
pub struct RowsWriter {
    manifest: Writer<HashingFile>,
    manifest_path: PathBuf,
    failures: Writer<File>,
    failures_path: PathBuf,
    totals: Totals,
}

/// What was written: the proof that [`Run::finish`] puts into the tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Counts of all rows.
    pub totals: Totals,
    /// SHA-256 of `manifest.csv`, in lower-case hexadecimal.
    pub manifest_sha256: String,
    /// Rows of `failures.csv`.
    pub failures_rows: u64,
}

impl Run {
    /// Begins the manifest; what an earlier try left is written anew. With `bom`, both files begin with a byte order mark, for Excel.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn rows(&self, bom: bool) -> Result<RowsWriter, Error> {
        let folder = self.snapshot_path();
        let create = |name| {
            let path = folder.join(name);
            match create_fresh(&path) {
                Ok(file) => Ok((file, path)),
                Err(error) => Err(Error::io("create", path, error)),
            }
        };
        let (file, manifest_path) = create("manifest.csv")?;
        let hashing = HashingFile {
            file,
            hasher: Hasher::new(),
        };
        let (failures, failures_path) = create("failures.csv")?;
        Ok(RowsWriter {
            manifest: Writer::new(hashing, bom)
                .map_err(|error| Error::manifest(&manifest_path, error))?,
            manifest_path,
            failures: Writer::new(failures, bom)
                .map_err(|error| Error::manifest(&failures_path, error))?,
            failures_path,
            totals: Totals::default(),
        })
    }
}

impl RowsWriter {
    /// Writes one row.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn write(&mut self, row: &Row) -> Result<(), Error> {
        self.manifest
            .write(row)
            .map_err(|error| Error::manifest(&self.manifest_path, error))?;
        match row.outcome {
            Outcome::Stored | Outcome::Reused | Outcome::Listed => {}
            Outcome::Skipped | Outcome::Vanished | Outcome::Failed => self
                .failures
                .write(row)
                .map_err(|error| Error::manifest(&self.failures_path, error))?,
        }
        self.totals.add(row);
        Ok(())
    }

    /// Makes both files durable.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn finish(self) -> Result<Written, Error> {
        let (manifest, _) = self
            .manifest
            .finish()
            .map_err(|error| Error::manifest(&self.manifest_path, error))?;
        let (failures, failures_rows) = self
            .failures
            .finish()
            .map_err(|error| Error::manifest(&self.failures_path, error))?;
        for (file, path) in [
            (&manifest.file, self.manifest_path),
            (&failures, self.failures_path),
        ] {
            file.sync_all()
                .map_err(|error| Error::io("write", path, error))?;
        }
        Ok(Written {
            totals: self.totals,
            manifest_sha256: manifest.hasher.hex(),
            failures_rows,
        })
    }
}
