//! Files that lie in a snapshot beside its manifest: exports, the comparison with the night before, the report.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::head::create_fresh;
use super::{Archive, Error, Run};
use crate::manifest::Reader;

/// Bytes gathered before they are written.
const BUFFER: usize = 64 * 1024;

/// A file beside the manifest. None of them is needed to read a snapshot: all follow from the manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideName {
    /// `diff.csv`: what changed since the snapshot before.
    Diff,
    /// `export.csv`: the manifest for spreadsheets, formulas defused.
    Export,
    /// `manifest.jsonl`: the manifest as JSON lines.
    JsonLines,
    /// `report.html`: the page for people.
    Report,
    /// `trash.csv`: what lies in the trash of the drives.
    Trash,
}

impl SideName {
    /// Every name.
    pub const ALL: [SideName; 5] = [
        SideName::Diff,
        SideName::Export,
        SideName::JsonLines,
        SideName::Report,
        SideName::Trash,
    ];

    /// The file's name.
    pub fn as_str(self) -> &'static str {
        match self {
            SideName::Diff => "diff.csv",
            SideName::Export => "export.csv",
            SideName::JsonLines => "manifest.jsonl",
            SideName::Report => "report.html",
            SideName::Trash => "trash.csv",
        }
    }
}

/// A side file that is being written. It counts once it is finished.
#[derive(Debug)]
pub struct SideFile {
    file: BufWriter<File>,
    path: PathBuf,
}

impl SideFile {
    /// Where it lies until the run is finished.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn finish(self) -> Result<(), Error> {
        let SideFile { file, path } = self;
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .map_err(|error| Error::io("write", path, error))
    }
}

impl Write for SideFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Run {
    /// Begins a side file; what an earlier try left is written anew.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn side_file(&self, name: SideName) -> Result<SideFile, Error> {
        let path = self.snapshot_path().join(name.as_str());
        match create_fresh(&path) {
            Ok(file) => Ok(SideFile {
                file: BufWriter::with_capacity(BUFFER, file),
                path,
            }),
            Err(error) => Err(Error::io("create", path, error)),
        }
    }

    /// Removes a side file that an earlier try left. It is fine when there is none.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn remove_side_file(&self, name: SideName) -> Result<(), Error> {
        let path = self.snapshot_path().join(name.as_str());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
            _ => Ok(()),
        }
    }

    /// Reads back the manifest that [`Run::rows`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Manifest`].
    pub fn written_rows(&self) -> Result<Reader<File>, Error> {
        let path = self.snapshot_path().join("manifest.csv");
        let file = File::open(&path).map_err(|error| Error::io("read", &path, error))?;
        Reader::new(file).map_err(|error| Error::manifest(&path, error))
    }
}

impl Archive {
    /// The folder for lock and run, where it is there and may be written to: good for temporary files of any size.
    pub fn scratch(&self) -> Option<PathBuf> {
        let path = self.path().join(super::STATE);
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_dir());
        (is_folder && tempfile::tempfile_in(&path).is_ok()).then_some(path)
    }
}
