//! The status file on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::status::StatusFile;

/// The most bytes of a status file that are read; ours have some kilobytes.
const LIMIT: u64 = 4 * 1024 * 1024;

/// Where the status file of the archive in `archive` lies.
pub fn status_path(archive: &Path) -> PathBuf {
    archive.join(".drivejob").join("status.json")
}

/// Reads the status file. One that is missing, or that does not read, says nothing.
///
/// # Errors
/// What the system said when the file is there but may not be opened.
pub fn read_status(archive: &Path) -> io::Result<StatusFile> {
    let mut text = Vec::new();
    match File::open(status_path(archive)).and_then(|file| file.take(LIMIT).read_to_end(&mut text)) {
        Ok(_) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(StatusFile::default()),
        Err(error) => Err(error),
    }
}

/// Writes the status file in one step: a reader sees the old text or the new one. `durable` waits for the disk.
///
/// # Errors
/// What the system said. A run does not fail for it.
pub fn write_status(archive: &Path, status: &StatusFile, durable: bool) -> io::Result<()> {
    let path = status_path(archive);
    // A link in place of the state folder leads out of the archive.
    if path.parent().is_some_and(Path::is_symlink) {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let fresh = path.with_file_name(".status.json.new");
    let mut text = serde_json::to_vec_pretty(status)?;
    text.push(b'\n');
    // A link left under that name must not lead the text elsewhere.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&fresh)?;
    file.write_all(&text)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&fresh, &path)
}
