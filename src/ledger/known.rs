//! Which items are known, by their key: what is listed twice is met here.
//!
//! Keys come in no order, so that each item touches another page of their index. The index is in SQLite's temporary file,
//! which has no log and is not written at each commit: written with the rest, it would be most of what a night writes. It is
//! made anew from the items when a ledger is opened.

use rusqlite::{CachedStatement, Connection, Transaction, params};

/// Bytes of a page of temporary tables: each key touches another page, and a small one is less to read and write.
const PAGE_BYTES: i64 = 2048;

/// Memory for the pages of temporary tables in KiB.
pub(super) const CACHE_KIB: i64 = 12 * 1024;

/// Makes the index of what the ledger holds already.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(Some("temp"), "page_size", PAGE_BYTES)?;
    connection.pragma_update(Some("temp"), "cache_size", -CACHE_KIB)?;
    // What a failed commit takes back is kept in memory meanwhile: the few pages that one commit touches.
    connection.pragma_update(Some("temp"), "journal_mode", "MEMORY")?;
    connection.execute_batch(
        "CREATE TEMP TABLE known (key BLOB PRIMARY KEY, no INTEGER NOT NULL) WITHOUT ROWID;
         INSERT INTO known (key, no) SELECT key, no FROM item WHERE key IS NOT NULL ORDER BY key;",
    )
}

/// The index while a page is put into the tables.
pub(super) struct Known<'a> {
    add: CachedStatement<'a>,
    next: i64,
}

impl<'a> Known<'a> {
    pub(super) fn open(transaction: &'a Transaction<'_>) -> rusqlite::Result<Known<'a>> {
        let next = transaction
            .prepare_cached("SELECT coalesce(max(no), 0) + 1 FROM item")?
            .query_row([], |row| row.get(0))?;
        Ok(Known {
            add: transaction
                .prepare_cached("INSERT INTO known (key, no) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?,
            next,
        })
    }

    /// Takes in an item and gives the number it shall have; `None` when its key is known. Without a key it is always new.
    pub(super) fn add(&mut self, key: Option<[u8; 16]>) -> rusqlite::Result<Option<i64>> {
        if let Some(key) = key
            && self.add.execute(params![key, self.next])? == 0
        {
            return Ok(None);
        }
        let no = self.next;
        self.next += 1;
        Ok(Some(no))
    }
}
