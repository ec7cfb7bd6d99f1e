//! Records who may do what in shared drives, as the service's own objects.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::Value;

use crate::drive::{Detail, Drive, ErrorKind};
use crate::entry::Entry;
use crate::id::Family;
use crate::ledger::{FolderWork, Ledger};
use crate::manifest::{self, TableWriter};
use crate::migrate::Error;

/// The header of `permissions.csv`. `permissions` holds the service's own objects as JSON.
const COLUMNS: [&str; 5] = ["drive", "path", "id", "permissions", "reason"];

/// Folders taken from the ledger in one go.
pub(super) const FOLDERS_PER_CLAIM: u32 = 256;

/// Asks for the permissions of each shared drive that `source` lists, and of each folder in it that has permissions of its
/// own, and writes them to `path`. My Drives and group folders have no permissions that the API tells
/// (API 2.0 docs, KR/drive). Returns how many were recorded and how many could not be had.
///
/// # Errors
/// When the token is refused, the ledger fails or the file cannot be written.
pub async fn record_permissions(
    drive: &dyn Drive,
    source: &Ledger,
    path: &Path,
    bom: bool,
) -> Result<(u64, u64), Error> {
    let file = File::create(path).map_err(|source| Error::Results {
        path: path.to_owned(),
        source,
    })?;
    let mut table = TableWriter::new(BufWriter::new(file), &COLUMNS, bom)?;
    let (mut recorded, mut refused, mut after) = (0, 0, 0);
    loop {
        let folders = source
            .listed_folders(Family::SharedDrive, after, FOLDERS_PER_CLAIM)
            .await?;
        let Some(last) = folders.last() else { break };
        after = last.no;
        for folder in folders.iter().filter(|folder| has_own(folder)) {
            let (permissions, reason) = match drive.detail(&folder.entry, Detail::Permissions).await {
                Ok(found) => {
                    recorded += 1;
                    (Value::Array(found).to_string(), "")
                }
                Err(error) if error.kind == ErrorKind::Unauthenticated => return Err(error.into()),
                Err(error) => {
                    refused += 1;
                    (String::new(), error.kind.code())
                }
            };
            table.write(&[
                folder.entry.drive.as_str(),
                folder.path.as_str(),
                folder.entry.id.as_str(),
                &permissions,
                reason,
            ])?;
        }
    }
    let (mut file, _) = table.finish()?;
    file.flush().map_err(manifest::Error::Io)?;
    Ok((recorded, refused))
}

/// A drive's root has permissions; of the folders in it, those that govern themselves.
pub(super) fn has_own(folder: &FolderWork) -> bool {
    folder.path.is_root() || is_own(&folder.entry)
}

/// Whether a folder governs itself. One that has permissions and names no other folder for them does.
pub(super) fn is_own(folder: &Entry) -> bool {
    match folder.properties.permission_root.as_deref() {
        Some(root) => root == folder.id.as_str(),
        None => folder.properties.other.get("hasPermission") == Some(&Value::Bool(true)),
    }
}
