//! Which stored files are surely on the disk, and which a power cut may have taken.
//!
//! Files are told to the ledger as soon as they are in place, so that a killed process loses none of them; the disk
//! follows later, for many at a time. Each file carries the number of its batch, and one number says up to which batch
//! the disk has followed.

use rusqlite::{Row as SqlRow, params};

use super::columns::{PLACE, outcome_of};
use super::{Ledger, Result};
use crate::manifest::Outcome;

/// A stored file that nobody knows to be on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubtful {
    /// Its number in the ledger.
    pub no: i64,
    /// Where it should be.
    pub stored_at: String,
    /// What its bytes should hash to.
    pub sha256: String,
    /// How many bytes it should have; `None` when nobody told.
    pub size: Option<u64>,
    /// Whether it is a copy from an earlier snapshot.
    pub is_reused: bool,
}

impl Ledger {
    /// Ends the batch of the files settled so far, and gives its number.
    pub async fn seal(&self) -> Result<i64> {
        self.change(|transaction| {
            let sealed = transaction
                .prepare_cached("SELECT value FROM meta WHERE key = 'batch'")?
                .query_row([], |row| row.get(0))?;
            transaction
                .prepare_cached("UPDATE meta SET value = value + 1 WHERE key = 'batch'")?
                .execute([])?;
            Ok(sealed)
        })
        .await
    }

    /// Notes that everything up to this batch is on the disk.
    pub async fn synced(&self, batch: i64) -> Result<()> {
        self.change(move |transaction| {
            transaction
                .prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'synced'")?
                .execute([batch])?;
            Ok(())
        })
        .await
    }

    /// Files of batches that are not surely on the disk with a number above `after`, at most `limit`.
    pub async fn doubtful(&self, after: i64, limit: u32) -> Result<Vec<Doubtful>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT no, {PLACE}, sha256, size, outcome FROM item
                 WHERE no > ?1 AND state = 1 AND stored_at IS NOT NULL
                   AND batch > (SELECT value FROM meta WHERE key = 'synced')
                 ORDER BY no LIMIT ?2"
            ))?;
            let rows = statement.query_map(params![after, limit], to_doubtful)?;
            rows.collect()
        })
        .await
    }
}

fn to_doubtful(row: &SqlRow<'_>) -> rusqlite::Result<Doubtful> {
    Ok(Doubtful {
        no: row.get(0)?,
        stored_at: row.get(1)?,
        sha256: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
        size: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
        is_reused: outcome_of(row.get(4)?) == Some(Outcome::Reused),
    })
}
