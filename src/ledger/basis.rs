//! The basis: where earlier snapshots hold the bytes of the files that are walked now. It is a temporary table, read anew from
//! their manifests at each start.

use std::sync::mpsc::Receiver;

use jiff::Timestamp;
use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::columns::{key, to_signed};
use super::{Ledger, Result};
use crate::entry::Entry;
use crate::manifest::Earlier;

pub(super) const TABLES: &str = "
CREATE TEMP TABLE basis (
    no INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER,
    sha256 TEXT NOT NULL,
    stored_at TEXT NOT NULL,
    proven INTEGER NOT NULL
);
";

/// A copy with the drive and id it belongs to.
pub(crate) type BasisRow = (String, String, Earlier);

/// Rows that share one insert at most.
const ROWS_PER_CHANGE: usize = 4096;

impl Ledger {
    /// Takes in the copies of earlier snapshots, oldest snapshot first: of two copies of one file the later counts.
    /// They come through a bounded channel, so that a basis of any size is never in memory.
    pub async fn load_basis(&self, rows: Receiver<(String, String, Earlier)>) -> Result<u64> {
        let mut loaded = 0;
        let rows = std::sync::Arc::new(std::sync::Mutex::new(rows));
        loop {
            let source = std::sync::Arc::clone(&rows);
            let added = self
                .change(move |transaction| insert_some(transaction, &source))
                .await?;
            loaded += added as u64;
            if added < ROWS_PER_CHANGE {
                break;
            }
        }
        // One sort for the whole index is far cheaper than an index that grows with each row.
        self.change(|transaction| {
            transaction.execute_batch("CREATE INDEX IF NOT EXISTS temp.basis_key ON basis (key);")
        })
        .await?;
        Ok(loaded)
    }
}

fn insert_some(
    transaction: &Transaction<'_>,
    rows: &std::sync::Mutex<Receiver<BasisRow>>,
) -> rusqlite::Result<usize> {
    let rows = rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut statement = transaction.prepare_cached(
        "INSERT INTO basis (key, size, modified, sha256, stored_at, proven)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut added = 0;
    for (drive, id, earlier) in rows.iter().take(ROWS_PER_CHANGE) {
        statement.execute(params![
            key(&drive, &id),
            to_signed(Some(earlier.size)),
            earlier.modified.map(Timestamp::as_second),
            earlier.sha256,
            earlier.stored_at,
            earlier.proven
        ])?;
        added += 1;
    }
    Ok(added)
}

pub(super) fn lookup<'a>(transaction: &'a Transaction<'_>) -> rusqlite::Result<CachedStatement<'a>> {
    transaction.prepare_cached(
        "SELECT size, modified, sha256, stored_at, proven FROM basis
         WHERE key = ?1 ORDER BY no DESC LIMIT 1",
    )
}

pub(super) fn find(lookup: &mut CachedStatement<'_>, entry: &Entry) -> rusqlite::Result<Option<Earlier>> {
    lookup
        .query_row([key(entry.drive.as_str(), entry.id.as_str())], |row| {
            Ok(Earlier {
                size: row.get::<_, i64>(0)?.cast_unsigned(),
                modified: row
                    .get::<_, Option<i64>>(1)?
                    .and_then(|second| Timestamp::from_second(second).ok()),
                sha256: row.get(2)?,
                stored_at: row.get(3)?,
                proven: row.get(4)?,
            })
        })
        .optional()
}
