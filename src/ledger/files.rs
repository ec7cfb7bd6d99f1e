//! Files that wait for their bytes, and what became of each.

use rusqlite::types::FromSql;
use rusqlite::{OptionalExtension, Row as SqlRow, Transaction, params};

use super::columns::{AFTER_ITEM, ITEM, PLACE, outcome_number, to_item};
use super::listing::{PENDING, SETTLED};
use super::page::update_entry;
use super::{Ledger, Result, basis};
use crate::entry::Entry;
use crate::id::{DriveId, Family};
use crate::manifest::{Earlier, Outcome};
use crate::path::DrivePath;

/// A file to be fetched.
#[derive(Clone, Debug)]
pub struct Work {
    /// Its number in the ledger.
    pub no: i64,
    /// The file.
    pub entry: Entry,
    /// Its path in the drive.
    pub path: DrivePath,
    /// Its place below the snapshot's `files/`.
    pub local: String,
    /// Its copy in an earlier snapshot.
    pub earlier: Option<Earlier>,
    /// Which of its listings this is, since a later one may tell of another content.
    pub version: i64,
}

/// What became of a file.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its number in the ledger.
    pub no: i64,
    /// The listing that was worked from: [`Work::version`].
    pub version: i64,
    /// The outcome.
    pub outcome: Outcome,
    /// Reason code, empty when there is none.
    pub reason: String,
    /// Hash of the stored bytes.
    pub sha256: Option<String>,
    /// Where the bytes are.
    pub stored_at: Option<String>,
    /// How often the content was asked for.
    pub attempts: u32,
    /// What the service says of the file now, where that is not what the listing said.
    pub changed: Option<Box<Entry>>,
}

impl Done {
    /// An outcome without a reason, bytes or attempts.
    pub fn new(work: &Work, outcome: Outcome) -> Done {
        Done {
            no: work.no,
            version: work.version,
            outcome,
            reason: String::new(),
            sha256: None,
            stored_at: None,
            attempts: 0,
            changed: None,
        }
    }
}

impl Ledger {
    /// Says what the places of this run's files begin with. Before the first file is settled, or never.
    pub async fn set_home(&self, home: String) -> Result<()> {
        self.change(move |transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO meta (key, value) VALUES ('home', ?1)",
                    [home],
                )
                .map(drop)
        })
        .await
    }

    /// Pending files of a family with a number above `after`, in the order they were found, at most `limit`,
    /// each with its copy in an earlier snapshot.
    pub async fn pending(&self, family: Family, after: i64, limit: u32) -> Result<Vec<Work>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {ITEM}, root.drive, item.no, item.local, item.version
                 FROM item JOIN root ON root.no = item.root
                 WHERE item.state = 0 AND item.family = ?1 AND item.no > ?2
                 ORDER BY item.no LIMIT ?3"
            ))?;
            let mut lookup = basis::lookup(transaction)?;
            let mut rows = statement.query(params![family as i64, after, limit])?;
            let mut works = Vec::new();
            while let Some(row) = rows.next()? {
                let mut work = to_work(row)?;
                work.earlier = basis::find(&mut lookup, &work.entry)?;
                works.push(work);
            }
            Ok(works)
        })
        .await
    }

    /// Whether any file still waits for its bytes.
    pub async fn has_pending(&self) -> Result<bool> {
        self.change(|transaction| {
            transaction.query_row("SELECT EXISTS (SELECT 1 FROM item WHERE state = 0)", [], |row| {
                row.get(0)
            })
        })
        .await
    }

    /// How many files still wait for their bytes, and how many bytes the listing told of them.
    pub async fn pending_totals(&self) -> Result<(u64, u64)> {
        self.change(|transaction| {
            transaction.query_row(
                "SELECT count(*), coalesce(sum(size), 0) FROM item WHERE state = 0",
                [],
                |row| {
                    let (files, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
                    Ok((files.cast_unsigned(), bytes.max(0).cast_unsigned()))
                },
            )
        })
        .await
    }

    /// Where the settled files of this run are, through `take`: number and place.
    pub async fn stored_places(&self, mut take: impl FnMut(i64, &str) + Send + 'static) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare(&format!(
                "SELECT no, {PLACE} FROM item WHERE state = ?1 AND stored_at IS NOT NULL"
            ))?;
            let mut rows = statement.query([SETTLED])?;
            while let Some(row) = rows.next()? {
                take(row.get(0)?, &row.get::<_, String>(1)?);
            }
            Ok(())
        })
        .await
    }

    /// Lets files wait for their bytes again: what was stored of them is gone.
    pub async fn reopen(&self, files: Vec<i64>) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "UPDATE item SET state = ?2, outcome = NULL, reason = NULL, sha256 = NULL, stored_at = NULL
                 WHERE no = ?1",
            )?;
            for no in &files {
                statement.execute(params![no, PENDING])?;
            }
            Ok(())
        })
        .await
    }

    /// Notes what became of files. A file that was listed again meanwhile, as another content, waits on. What is stored of
    /// them belongs to the current batch: see [`Ledger::seal`].
    pub async fn settle(&self, done: Vec<Done>) -> Result<()> {
        self.change(move |transaction| {
            let home: Option<String> = noted(transaction, "home")?;
            let batch: Option<i64> = noted(transaction, "batch")?;
            let mut statement = transaction.prepare_cached(
                "UPDATE item SET state = ?2, outcome = ?3, reason = ?4, sha256 = ?5,
                        stored_at = CASE WHEN ?6 = local THEN '' ELSE ?7 END,
                        attempts = attempts + ?8, batch = ?9
                 WHERE no = ?1 AND version = ?10",
            )?;
            for one in &done {
                let stored_at = one.stored_at.as_deref();
                let below_home = stored_at.zip(home.as_deref());
                let below_home = below_home.and_then(|(place, home)| place.strip_prefix(home));
                let settled = statement.execute(params![
                    one.no,
                    SETTLED,
                    outcome_number(one.outcome),
                    one.reason,
                    one.sha256,
                    below_home,
                    stored_at,
                    one.attempts,
                    batch,
                    one.version
                ])?;
                if let Some(entry) = &one.changed
                    && settled == 1
                {
                    update_entry(transaction, one.no, entry)?;
                }
            }
            Ok(())
        })
        .await?;
        self.tell_news();
        Ok(())
    }
}

/// What was noted of the whole run under a key.
fn noted<T: FromSql>(transaction: &Transaction<'_>, key: &str) -> rusqlite::Result<Option<T>> {
    transaction
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

fn to_work(row: &SqlRow<'_>) -> rusqlite::Result<Work> {
    let (entry, path) = to_item(row, DriveId::new(row.get::<_, String>(AFTER_ITEM)?))?;
    Ok(Work {
        no: row.get(AFTER_ITEM + 1)?,
        entry,
        path,
        local: row.get(AFTER_ITEM + 2)?,
        earlier: None,
        version: row.get(AFTER_ITEM + 3)?,
    })
}
