//! The ledger read back at the end of a run: rows in manifest order, totals, and the facts of each root.

use rusqlite::Transaction;

use super::columns::{AFTER_ROW, row_columns, to_row};
use super::{Ledger, Result, details, known};
use crate::coverage::{RootFacts, Totals};
use crate::entry::{Entry, Quota};
use crate::id::{DriveId, FileId};
use crate::manifest::{Outcome, Row};
use crate::path::DrivePath;

/// Memory for temporary tables in KiB while all rows are sorted: by then nothing is looked up in them. The sort takes as much as
/// the pages of the file may (SQLite documentation, PRAGMA cache_size).
const TEMPORARY_KIB: i64 = 512;

/// Rows that are handed on together: a thread that takes them is woken once for so many.
const ROWS_TOGETHER: usize = 256;

impl Ledger {
    /// Hands all rows to `take`, some hundreds at a time, drive by drive in code-point order and by path within each, and
    /// returns the totals. An item whose outcome is not known counts as failed with the reason `not-reached`.
    ///
    /// # Errors
    /// The ledger's own, or the first of `take`, as the inner result.
    pub async fn rows<E: Send + 'static>(
        &self,
        mut take: impl FnMut(Vec<Row>) -> std::result::Result<(), E> + Send + 'static,
    ) -> Result<std::result::Result<Totals, E>> {
        self.change(move |transaction| {
            let mut totals = Totals::default();
            transaction.pragma_update(Some("temp"), "cache_size", -TEMPORARY_KIB)?;
            let mut gathered = Vec::with_capacity(ROWS_TOGETHER);
            let taken = all_rows(transaction, |row| {
                totals.add(&row);
                gathered.push(row);
                if gathered.len() < ROWS_TOGETHER {
                    return Ok(());
                }
                take(std::mem::replace(
                    &mut gathered,
                    Vec::with_capacity(ROWS_TOGETHER),
                ))
            });
            transaction.pragma_update(Some("temp"), "cache_size", -known::CACHE_KIB)?;
            let last = taken?.and_then(|()| take(gathered));
            Ok(last.map(|()| totals))
        })
        .await
    }

    /// A drive, and why it could not be read, when that is so of every drive of the run.
    pub async fn nothing_read(&self) -> Result<Option<(DriveId, String)>> {
        self.change(|transaction| {
            let mut statement = transaction.prepare(
                "SELECT drive, coalesce(message, refused,
                    (SELECT reason FROM folder WHERE root = root.no AND item IS NULL AND state = 2 AND listed = 0))
                 FROM root ORDER BY drive",
            )?;
            let mut rows = statement.query([])?;
            let mut first = None;
            while let Some(row) = rows.next()? {
                let Some(why) = row.get::<_, Option<String>>(1)? else {
                    return Ok(None);
                };
                if first.is_none() {
                    first = Some((DriveId::new(row.get::<_, String>(0)?), why));
                }
            }
            Ok(first)
        })
        .await
    }

    /// The facts of each root, in code-point order of their drives.
    pub async fn root_facts(&self) -> Result<Vec<RootFacts>> {
        self.change(|transaction| {
            let mut statement = transaction.prepare(
                "SELECT drive, name, refused, message, quota_total, quota_used, quota_trash,
                    (SELECT count(*) FROM folder WHERE root = root.no AND state = 1),
                    (SELECT count(*) FROM folder WHERE root = root.no AND state = 2),
                    (SELECT count(*) FROM folder WHERE root = root.no AND state = 0),
                    f.pages, f.listed, f.repeated, f.full_ends,
                    i.rows, i.bytes,
                    (SELECT reason FROM folder WHERE root = root.no AND item IS NULL AND state = 2),
                    (SELECT count(*) FROM detail WHERE detail.root = root.no AND state IN (0, 2))
                 FROM root
                 LEFT JOIN (SELECT root AS r, sum(pages) AS pages, sum(listed) AS listed,
                                   sum(max(repeated - known, 0)) AS repeated, sum(full_end) AS full_ends
                            FROM folder GROUP BY root) AS f ON f.r = root.no
                 LEFT JOIN (SELECT root AS r, count(*) AS rows,
                                   sum(CASE WHEN kind = 0 THEN size END) AS bytes
                            FROM item NOT INDEXED GROUP BY root) AS i ON i.r = root.no
                 ORDER BY drive",
            )?;
            let number = |row: &rusqlite::Row<'_>, column: usize| -> rusqlite::Result<u64> {
                Ok(row.get::<_, Option<i64>>(column)?.unwrap_or(0).cast_unsigned())
            };
            let rows = statement.query_map([], |row| {
                let refused: Option<String> = row.get(2)?;
                let message: Option<String> = row.get(3)?;
                Ok(RootFacts {
                    drive: DriveId::new(row.get::<_, String>(0)?),
                    name: row.get(1)?,
                    refused: refused.map(|reason| (reason, message.unwrap_or_default())),
                    quota: Quota {
                        total: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
                        used: row.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned),
                        trash: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
                    },
                    folders_closed: number(row, 7)?,
                    folders_failed: number(row, 8)?,
                    folders_open: number(row, 9)?,
                    pages: number(row, 10)?,
                    listed: number(row, 11)?,
                    repeated: number(row, 12)?,
                    full_ends: number(row, 13)?,
                    accounted: number(row, 14)?,
                    bytes: number(row, 15)?,
                    root_failure: row.get(16)?,
                    details_failed: number(row, 17)?,
                })
            })?;
            rows.collect()
        })
        .await
    }
}

/// Hands every row to `take`, until it refuses one.
///
/// All items are sorted at once, read as they lie in the file: drive by drive they would be read through the index of their
/// ids, each from another page.
fn all_rows<E>(
    transaction: &Transaction<'_>,
    mut take: impl FnMut(Row) -> std::result::Result<(), E>,
) -> rusqlite::Result<std::result::Result<(), E>> {
    let mut statement = transaction.prepare(&format!(
        "SELECT {}, item.no, item.root FROM item NOT INDEXED CROSS JOIN root ON root.no = item.root
         ORDER BY root.drive, item.path, item.id",
        row_columns()
    ))?;
    let mut items = statement.query([])?;
    let mut item = items.next()?;
    for root in roots(transaction)? {
        if let Some(row) = root_row(transaction, &root)?
            && let Err(error) = take(row)
        {
            return Ok(Err(error));
        }
        let mut details = details::of_root(transaction, root.no)?;
        let drive = DriveId::new(root.drive.as_str());
        while let Some(found) = item
            && found.get::<_, i64>(AFTER_ROW + 1)? == root.no
        {
            let unknown = (Outcome::Failed, "not-reached");
            let mut row = to_row(found, drive.clone(), root.name.clone(), unknown)?;
            if let Some(details) = &mut details {
                details::add_to(details, root.no, found.get(AFTER_ROW)?, &mut row)?;
            }
            if let Err(error) = take(row) {
                return Ok(Err(error));
            }
            item = items.next()?;
        }
    }
    Ok(Ok(()))
}

/// A drive whose rows are read.
struct ReadRoot {
    no: i64,
    drive: String,
    name: String,
}

fn roots(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<ReadRoot>> {
    let mut statement = transaction.prepare("SELECT no, drive, name FROM root ORDER BY drive")?;
    let rows = statement.query_map([], |row| {
        Ok(ReadRoot {
            no: row.get(0)?,
            drive: row.get(1)?,
            name: row.get(2)?,
        })
    })?;
    rows.collect()
}

/// A root that was refused, or whose own listing failed, has a row of its own with the path `/`.
fn root_row(transaction: &Transaction<'_>, root: &ReadRoot) -> rusqlite::Result<Option<Row>> {
    let (id, refused, failed): (String, Option<String>, Option<String>) = transaction.query_row(
        "SELECT id, refused,
                (SELECT coalesce(reason, 'not-reached') FROM folder
                 WHERE root = ?1 AND item IS NULL AND state <> 1)
         FROM root WHERE no = ?1",
        [root.no],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    Ok(refused.or(failed).map(|reason| Row {
        entry: Entry::root(DriveId::new(root.drive.as_str()), FileId::new(id)),
        drive_name: root.name.clone(),
        path: DrivePath::root(),
        outcome: Outcome::Failed,
        reason,
        sha256: None,
        stored_at: None,
        attempts: 0,
    }))
}
