//! Reads entries back from the columns that hold them.

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use rusqlite::Row as SqlRow;

use super::listing::FolderWork;
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::manifest::{self, Outcome, Row};
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

/// What is known of an item, the first columns of a query whose rows [`to_item`] reads.
pub(super) const ITEM: &str =
    "item.id, item.parent_id, item.path, item.name_bytes, item.kind, item.size, item.modified,
    item.location, item.facts";

/// The column after those of [`ITEM`].
pub(super) const AFTER_ITEM: usize = 9;

/// An item with its path, from the columns of [`ITEM`].
pub(super) fn to_item(row: &SqlRow<'_>, drive: DriveId) -> rusqlite::Result<(Entry, DrivePath)> {
    let id: Option<String> = row.get(0)?;
    let path: String = row.get(2)?;
    let name_bytes: u32 = row.get(3)?;
    let mut entry = Entry::root(drive, FileId::new(id.unwrap_or_default()));
    entry.kind = match row.get(4)? {
        1 => Kind::Folder,
        _ => Kind::File,
    };
    entry.name = path
        .get(path.len().saturating_sub(name_bytes as usize)..)
        .unwrap_or_default()
        .to_owned();
    entry.parent_id = row.get::<_, Option<String>>(1)?.map(FileId::new);
    entry.size = row.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned);
    entry.modified = row
        .get::<_, Option<i64>>(6)?
        .and_then(|second| Timestamp::from_second(second).ok());
    entry.location = row.get(7)?;
    take_facts(row, 8, &mut entry)?;
    Ok((entry, DrivePath::from_text(&path)))
}

/// What is known of an item and what became of it, the first columns of a query whose rows [`to_row`] reads.
pub(super) fn row_columns() -> String {
    format!("{ITEM}, item.outcome, item.reason, item.sha256, {PLACE}, item.attempts")
}

/// The column after those of [`row_columns`].
pub(super) const AFTER_ROW: usize = AFTER_ITEM + 5;

/// A manifest's row, from [`row_columns`]. An item whose outcome is not known gets `unknown` and its reason.
pub(super) fn to_row(
    row: &SqlRow<'_>,
    drive: DriveId,
    drive_name: String,
    unknown: (Outcome, &str),
) -> rusqlite::Result<Row> {
    let (entry, path) = to_item(row, drive)?;
    let (outcome, reason) = match outcome_of(row.get(AFTER_ITEM)?) {
        Some(outcome) => (
            outcome,
            row.get::<_, Option<String>>(AFTER_ITEM + 1)?.unwrap_or_default(),
        ),
        None => (unknown.0, unknown.1.to_owned()),
    };
    Ok(Row {
        entry,
        drive_name,
        path,
        outcome,
        reason,
        sha256: row.get(AFTER_ITEM + 2)?,
        stored_at: row.get(AFTER_ITEM + 3)?,
        attempts: row.get(AFTER_ITEM + 4)?,
    })
}

/// Reads the facts of an entry back from their column.
fn take_facts(row: &SqlRow<'_>, column: usize, entry: &mut Entry) -> rusqlite::Result<()> {
    let text = row.get_ref(column)?.as_str()?;
    let facts = manifest::decode_facts(text).map_err(|error| {
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
