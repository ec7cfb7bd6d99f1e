//! What a run asks of items and drives beyond their listing, and what came of it.

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};
use serde_json::Value;

use super::columns::{AFTER_ITEM, ITEM, outcome_number, to_item};
use super::{Ledger, Result};
use crate::drive::Detail;
use crate::entry::Entry;
use crate::id::{DriveId, Family, FileId};
use crate::manifest::{Outcome, Row};
use crate::path::DrivePath;

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS detail (
    no INTEGER PRIMARY KEY,
    root INTEGER NOT NULL,
    item INTEGER NOT NULL,
    family INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL,
    told TEXT,
    reason TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS detail_item ON detail (root, item, kind);
CREATE INDEX IF NOT EXISTS detail_open ON detail (family, no) WHERE state = 0;
";

/// Still to be asked for.
const OPEN: i64 = 0;
/// Answered.
const TOLD: i64 = 1;
/// Asked for in vain.
const FAILED: i64 = 2;
/// The service has no such thing here.
const NOT_OFFERED: i64 = 3;

/// The item number that stands for the drive itself.
const DRIVE: i64 = 0;

/// Every detail, by its number in the table.
const DETAILS: [Detail; 5] = Detail::ALL;

/// A detail to be asked for.
#[derive(Clone, Debug)]
pub struct DetailWork {
    /// Its number in the ledger.
    pub no: i64,
    /// The item, or the root of a drive.
    pub entry: Entry,
    /// Its path in the drive.
    pub path: DrivePath,
    /// What is asked.
    pub detail: Detail,
}

/// What came of a detail.
#[derive(Clone, Debug, PartialEq)]
pub enum DetailEnd {
    /// The service's own objects; none where there is no such thing.
    Told(Vec<Value>),
    /// The service has no such thing here.
    NotOffered,
    /// It could not be read, for this reason code.
    Failed(String),
}

impl Ledger {
    /// Notes that details will be asked for, so that the run is unfinished until [`Ledger::details_found`]. Those that
    /// failed in an earlier start are asked for again.
    pub async fn expect_details(&self) -> Result<()> {
        self.change(|transaction| {
            transaction.execute(
                "INSERT INTO meta (key, value) VALUES ('details', 0) ON CONFLICT (key) DO UPDATE SET value = 0",
                [],
            )?;
            transaction.execute(
                "UPDATE detail SET state = ?1, reason = NULL WHERE state = ?2",
                [OPEN, FAILED],
            )?;
            Ok(())
        })
        .await
    }

    /// Looks through items with a number above `after`, at most `limit`, for details that are `wanted`, and gives the last
    /// number; `None` when there are no more items. What was skipped, is gone or could not be read is not looked at.
    pub async fn find_details(
        &self,
        after: i64,
        limit: u32,
        wanted: impl Fn(&Entry) -> Vec<Detail> + Send + 'static,
    ) -> Result<Option<i64>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {ITEM}, root.drive, item.no, item.root, item.family, item.outcome FROM item JOIN root ON root.no = item.root
                 WHERE item.no > ?1 ORDER BY item.no LIMIT ?2"
            ))?;
            let mut insert = insert(transaction)?;
            let mut rows = statement.query(params![after, limit])?;
            let mut last = None;
            while let Some(row) = rows.next()? {
                let (entry, _) = to_item(row, drive_of(row)?)?;
                let no: i64 = row.get(AFTER_ITEM + 1)?;
                last = Some(no);
                let (root, family): (i64, i64) = (row.get(AFTER_ITEM + 2)?, row.get(AFTER_ITEM + 3)?);
                let outcome: Option<i64> = row.get(AFTER_ITEM + 4)?;
                let is_left_out = [Outcome::Skipped, Outcome::Vanished, Outcome::Failed]
                    .iter()
                    .any(|left| outcome == Some(outcome_number(*left)));
                if is_left_out || entry.id.as_str().is_empty() {
                    continue;
                }
                for detail in wanted(&entry) {
                    insert.execute(params![root, no, family, number(detail), OPEN])?;
                }
            }
            Ok(last)
        })
        .await
    }

    /// Adds the details that are `wanted` of readable drives themselves, and notes that all are found now.
    pub async fn details_found(
        &self,
        wanted: impl Fn(&DriveId) -> Vec<Detail> + Send + 'static,
    ) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare("SELECT no, drive FROM root WHERE refused IS NULL")?;
            let mut insert = insert(transaction)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (root, drive): (i64, String) = (row.get(0)?, row.get(1)?);
                let drive = DriveId::new(drive);
                for detail in wanted(&drive) {
                    let family = drive.family() as i64;
                    insert.execute(params![root, DRIVE, family, number(detail), OPEN])?;
                }
            }
            transaction.execute("UPDATE meta SET value = 1 WHERE key = 'details'", [])?;
            Ok(())
        })
        .await
    }

    /// Details of a family that are still to be asked for, with a number above `after`, at most `limit`.
    pub async fn open_details(&self, family: Family, after: i64, limit: u32) -> Result<Vec<DetailWork>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT detail.no, detail.item, detail.kind, root.drive, root.id, root.location
                 FROM detail JOIN root ON root.no = detail.root
                 WHERE detail.state = 0 AND detail.family = ?1 AND detail.no > ?2
                 ORDER BY detail.no LIMIT ?3",
            )?;
            let mut items = transaction.prepare_cached(&format!(
                "SELECT {ITEM}, root.drive FROM item JOIN root ON root.no = item.root WHERE item.no = ?1"
            ))?;
            let mut rows = statement.query(params![family as i64, after, limit])?;
            let mut works = Vec::new();
            while let Some(row) = rows.next()? {
                let item: i64 = row.get(1)?;
                let found = if item == DRIVE {
                    let mut entry = Entry::root(
                        DriveId::new(row.get::<_, String>(3)?),
                        FileId::new(row.get::<_, String>(4)?),
                    );
                    entry.location = row.get(5)?;
                    Some((entry, DrivePath::root()))
                } else {
                    let found = items.query_row([item], |row| to_item(row, drive_of(row)?));
                    found.optional()?
                };
                let detail = detail_of(row.get(2)?);
                if let (Some((entry, path)), Some(detail)) = (found, detail) {
                    let no = row.get(0)?;
                    works.push(DetailWork {
                        no,
                        entry,
                        path,
                        detail,
                    });
                }
            }
            Ok(works)
        })
        .await
    }

    /// Notes what came of a detail.
    pub async fn settle_detail(&self, no: i64, end: DetailEnd) -> Result<()> {
        self.change(move |transaction| {
            let (state, told, reason) = match end {
                DetailEnd::Told(values) if values.is_empty() => (TOLD, None, None),
                DetailEnd::Told(values) => (TOLD, Some(Value::Array(values).to_string()), None),
                DetailEnd::NotOffered => (NOT_OFFERED, None, None),
                DetailEnd::Failed(reason) => (FAILED, None, Some(reason)),
            };
            transaction
                .prepare_cached("UPDATE detail SET state = ?2, told = ?3, reason = ?4 WHERE no = ?1")?
                .execute(params![no, state, told, reason])?;
            Ok(())
        })
        .await
    }

    /// How many details of each kind the service does not offer, in the order of [`Detail`].
    pub async fn details_not_offered(&self) -> Result<Vec<(Detail, u64)>> {
        self.change(|transaction| {
            let mut statement = transaction
                .prepare("SELECT kind, count(*) FROM detail WHERE state = ?1 GROUP BY kind ORDER BY kind")?;
            let rows = statement.query_map([NOT_OFFERED], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
            let counts: Vec<(i64, i64)> = rows.collect::<rusqlite::Result<_>>()?;
            let told = counts.into_iter();
            Ok(told
                .filter_map(|(kind, count)| Some((detail_of(kind)?, count.cast_unsigned())))
                .collect())
        })
        .await
    }

    /// What was told of the drives themselves, through `take`: drive, its name, and the service's objects.
    ///
    /// # Errors
    /// The ledger's own, or the first of `take`, as the inner result.
    pub async fn drive_details<E: Send + 'static>(
        &self,
        detail: Detail,
        mut take: impl FnMut(&str, &str, Vec<Value>) -> std::result::Result<(), E> + Send + 'static,
    ) -> Result<std::result::Result<(), E>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare(
                "SELECT root.drive, root.name, detail.told FROM detail JOIN root ON root.no = detail.root
                 WHERE detail.item = 0 AND detail.kind = ?1 AND detail.told IS NOT NULL ORDER BY root.drive",
            )?;
            let mut rows = statement.query([number(detail)])?;
            while let Some(row) = rows.next()? {
                let (drive, name): (String, String) = (row.get(0)?, row.get(1)?);
                if let Err(error) = take(&drive, &name, values(&row.get::<_, String>(2)?)) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        })
        .await
    }
}

/// Looks up the details of a drive's items; `None` when nothing was asked of it.
pub(super) fn of_root<'a>(
    transaction: &'a Transaction<'_>,
    root: i64,
) -> rusqlite::Result<Option<CachedStatement<'a>>> {
    let any: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM detail WHERE root = ?1 AND item <> 0)",
        [root],
        |row| row.get(0),
    )?;
    any.then(|| {
        transaction.prepare_cached(
            "SELECT kind, state, told, reason FROM detail WHERE root = ?1 AND item = ?2 ORDER BY kind",
        )
    })
    .transpose()
}

/// Puts what was told of an item among its row's properties, and what could not be read into its reason,
/// as `link-denied`.
pub(super) fn add_to(
    lookup: &mut CachedStatement<'_>,
    root: i64,
    item: i64,
    row: &mut Row,
) -> rusqlite::Result<()> {
    let mut found = lookup.query([root, item])?;
    while let Some(detail) = found.next()? {
        let Some(kind) = detail_of(detail.get(0)?) else {
            continue;
        };
        let told: Option<String> = detail.get(2)?;
        match detail.get(1)? {
            TOLD => {
                if let Some(value) = told.and_then(|told| value_of(kind, values(&told))) {
                    row.entry.properties.other.insert(kind.key().to_owned(), value);
                }
            }
            state @ (OPEN | FAILED) => {
                let reason: Option<String> = detail.get(3)?;
                let reason = reason.filter(|_| state == FAILED);
                if !row.reason.is_empty() {
                    row.reason.push(' ');
                }
                row.reason.push_str(kind.key());
                row.reason.push('-');
                row.reason.push_str(reason.as_deref().unwrap_or("not-reached"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A link and a share are one object, the others are lists.
fn value_of(kind: Detail, mut values: Vec<Value>) -> Option<Value> {
    match kind {
        Detail::Link | Detail::Share if values.len() == 1 => values.pop(),
        _ => Some(Value::Array(values)),
    }
}

fn values(told: &str) -> Vec<Value> {
    serde_json::from_str(told).unwrap_or_default()
}

fn drive_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<DriveId> {
    Ok(DriveId::new(row.get::<_, String>(AFTER_ITEM)?))
}

fn insert<'a>(transaction: &'a Transaction<'_>) -> rusqlite::Result<CachedStatement<'a>> {
    transaction.prepare_cached(
        "INSERT INTO detail (root, item, family, kind, state) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
    )
}

fn number(detail: Detail) -> i64 {
    detail as i64
}

fn detail_of(number: i64) -> Option<Detail> {
    DETAILS.into_iter().find(|detail| *detail as i64 == number)
}
