//! Reads entries back from the columns that hold them.

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use rusqlite::Row as SqlRow;

use super::listing::FolderWork;
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::manifest::{self, Outcome};
use crate::path::DrivePath;

/// A folder from the columns number, drive, id, path, location, facts and known.
pub(super) fn to_folder(row: &SqlRow<'_>) -> rusqlite::Result<FolderWork> {
    let mut entry = Entry::root(
        DriveId::new(row.get::<_, String>(1)?),
        FileId::new(row.get::<_, String>(2)?),
    );
    entry.location = row.get(4)?;
    take_facts(row, 5, &mut entry)?;
    Ok(FolderWork {
        no: row.get(0)?,
        path: DrivePath::from_text(&row.get::<_, String>(3)?),
        entry,
        known: row.get::<_, i64>(6)?.max(0).cast_unsigned(),
    })
}

/// What an item is found by: 128 bits of the SHA-256 of its drive and id. An index of them is half as large as one of ids, so
/// that more of it stays in memory; two items that share one will not be met (a billion items: one chance in 10^20).
pub(super) fn key(drive: &str, id: &str) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    context.update(drive.as_bytes());
    context.update(&[0]);
    context.update(id.as_bytes());
    let digest = context.finish();
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// Where a file is stored. Most are where their listing put them, in the run's home, which is not written down for each.
pub(super) const PLACE: &str = "CASE item.stored_at
    WHEN '' THEN (SELECT value FROM meta WHERE key = 'home') || item.local ELSE item.stored_at END";

/// Where the columns of an entry stand in a query.
pub(super) struct Columns {
    pub(super) id: usize,
    pub(super) parent_id: usize,
    pub(super) size: usize,
    pub(super) modified: usize,
    pub(super) location: usize,
    pub(super) facts: usize,
}

pub(super) fn to_entry(
    row: &SqlRow<'_>,
    drive: String,
    path: &str,
    name_bytes: u32,
    columns: Columns,
) -> rusqlite::Result<Entry> {
    let id: Option<String> = row.get(columns.id)?;
    let mut entry = Entry::root(DriveId::new(drive), FileId::new(id.unwrap_or_default()));
    entry.kind = Kind::File;
    entry.name = path
        .get(path.len().saturating_sub(name_bytes as usize)..)
        .unwrap_or_default()
        .to_owned();
    entry.parent_id = row.get::<_, Option<String>>(columns.parent_id)?.map(FileId::new);
    entry.size = row.get::<_, Option<i64>>(columns.size)?.map(i64::cast_unsigned);
    entry.modified = row
        .get::<_, Option<i64>>(columns.modified)?
        .and_then(|second| Timestamp::from_second(second).ok());
    entry.location = row.get(columns.location)?;
    take_facts(row, columns.facts, &mut entry)?;
    Ok(entry)
}

/// Reads the facts of an entry back from their column.
fn take_facts(row: &SqlRow<'_>, column: usize, entry: &mut Entry) -> rusqlite::Result<()> {
    let text: String = row.get(column)?;
    let facts = manifest::decode_facts(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })?;
    entry.created = facts.created;
    entry.accessed = facts.accessed;
    entry.properties = facts.properties;
    Ok(())
}

pub(super) fn outcome_number(outcome: Outcome) -> i64 {
    outcome as i64
}

pub(super) fn outcome_of(number: Option<i64>) -> Option<Outcome> {
    Outcome::ALL
        .into_iter()
        .find(|outcome| Some(outcome_number(*outcome)) == number)
}

/// SQLite's integers are signed; the same 64 bits come back as they went in.
pub(super) fn to_signed(number: Option<u64>) -> Option<i64> {
    number.map(u64::cast_signed)
}
