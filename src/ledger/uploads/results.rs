//! Uploads read back: one row per step, totals, and what a plan has to say before the first byte.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::{UploadOutcome, upload_outcome};
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::ledger::columns::to_signed;
use crate::ledger::{Ledger, Result};

/// What became of one step, as `idmap.csv` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    /// The id it had.
    pub old_id: String,
    /// The id it has in the target.
    pub new_id: Option<String>,
    /// The drive it came from.
    pub drive: String,
    /// The path it had.
    pub path: String,
    /// File or folder.
    pub kind: Kind,
    /// The drive it went into, empty when there is none.
    pub target: String,
    /// The name it has in the target.
    pub new_name: Option<String>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// The outcome; `None` when it was not reached.
    pub outcome: Option<UploadOutcome>,
    /// Reason code, empty when there is none.
    pub reason: String,
}

/// Steps by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadTotals {
    /// Files and bytes by outcome, in the order of [`UploadOutcome::ALL`].
    pub files: [(u64, u64); 10],
    /// Folders by outcome, without the roots of drives.
    pub folders: [u64; 10],
    /// Files and folders whose outcome is not known.
    pub open: u64,
    /// Bytes of the files among these.
    pub open_bytes: u64,
}

/// Something that a person should know before the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Short code, the same in every language.
    pub problem: String,
    /// The drive it is about.
    pub drive: String,
    /// The path, empty when it is about the whole drive.
    pub path: String,
    /// Size in bytes.
    pub size: Option<u64>,
    /// More of it.
    pub detail: String,
}

/// The problems that were noted, those that only all names of a folder together show, and names that another item of the
/// target has: outcomes are those of [`UploadOutcome::ALL`].
const PROBLEMS: &str = "
    SELECT 0 AS part, problem, drive, path, size, detail FROM problem
    UNION ALL
    SELECT 1, 'name-clash', drive, path, size, name FROM upload
    WHERE parent IS NOT NULL AND (parent, name) IN (
        SELECT parent, name FROM upload GROUP BY parent, name HAVING count(*) > 1)
    UNION ALL
    SELECT 2, 'name-twin', drive, path, size, name FROM upload
    WHERE parent IS NOT NULL AND (parent, fold) IN (
        SELECT parent, fold FROM upload GROUP BY parent, fold HAVING count(DISTINCT name) > 1)
    UNION ALL
    SELECT 3, 'name-taken', drive, path, size, coalesce(given_name, new_name, name) FROM upload
    WHERE parent IS NOT NULL AND (outcome IN (3, 4) OR (outcome IN (6, 7) AND reason = 'conflict'))";

impl Ledger {
    /// Problems by code.
    pub async fn problem_counts(&self) -> Result<BTreeMap<String, u64>> {
        self.change(|transaction| {
            transaction
                .prepare(&format!(
                    "SELECT problem, count(*) FROM ({PROBLEMS}) GROUP BY problem"
                ))?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?
                .collect()
        })
        .await
    }

    /// Notes what a person should know.
    pub async fn add_problems(&self, problems: Vec<Problem>) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO problem (problem, drive, path, size, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for one in &problems {
                statement.execute(params![
                    one.problem,
                    one.drive,
                    one.path,
                    to_signed(one.size),
                    one.detail
                ])?;
            }
            Ok(())
        })
        .await
    }

    /// Hands every problem to `take`: those noted, then names that stand twice in one folder (`name-clash`), that differ by
    /// case or Unicode form alone (`name-twin`), or that were taken in the target (`name-taken`).
    ///
    /// # Errors
    /// The ledger's own, or the first of `take`, as the inner result.
    pub async fn problems<E: Send + 'static>(
        &self,
        mut take: impl FnMut(&Problem) -> std::result::Result<(), E> + Send + 'static,
    ) -> Result<std::result::Result<u64, E>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare(&format!(
                "SELECT problem, drive, path, size, detail FROM ({PROBLEMS})
                 ORDER BY part, problem, drive, path"
            ))?;
            let mut rows = statement.query([])?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let problem = Problem {
                    problem: row.get(0)?,
                    drive: row.get(1)?,
                    path: row.get(2)?,
                    size: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
                    detail: row.get(4)?,
                };
                if let Err(error) = take(&problem) {
                    return Ok(Err(error));
                }
                count += 1;
            }
            Ok(Ok(count))
        })
        .await
    }

    /// Hands every step but the roots of drives to `take`, by drive and path, or only those whose item is not in the target
    /// and should be.
    ///
    /// # Errors
    /// The ledger's own, or the first of `take`, as the inner result.
    pub async fn upload_rows<E: Send + 'static>(
        &self,
        only_missing: bool,
        mut take: impl FnMut(&UploadRow) -> std::result::Result<(), E> + Send + 'static,
    ) -> Result<std::result::Result<(), E>> {
        self.change(move |transaction| {
            let there = UploadOutcome::ALL
                .into_iter()
                .filter(|outcome| only_missing && !outcome.is_lost());
            let there: Vec<String> = there.map(|outcome| (outcome as i64).to_string()).collect();
            let mut statement = transaction.prepare(&format!(
                "SELECT id, new_id, drive, path, kind, target, coalesce(given_name, new_name), size, outcome, reason
                 FROM upload WHERE (parent IS NOT NULL OR state = 4) AND (outcome IS NULL OR outcome NOT IN ({}))
                 ORDER BY drive, path, no",
                there.join(", ")
            ))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let upload = UploadRow {
                    old_id: row.get(0)?,
                    new_id: row.get(1)?,
                    drive: row.get(2)?,
                    path: row.get(3)?,
                    kind: if row.get::<_, i64>(4)? == 1 {
                        Kind::Folder
                    } else {
                        Kind::File
                    },
                    target: row.get(5)?,
                    new_name: row.get(6)?,
                    size: row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
                    outcome: upload_outcome(row.get(8)?),
                    reason: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
                };
                if let Err(error) = take(&upload) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        })
        .await
    }

    /// Steps by outcome.
    pub async fn upload_totals(&self) -> Result<UploadTotals> {
        self.change(|transaction| {
            let mut totals = UploadTotals::default();
            let mut statement = transaction.prepare(
                "SELECT kind, outcome, count(*), coalesce(sum(size), 0) FROM upload
                 WHERE parent IS NOT NULL OR state = 4 GROUP BY kind, outcome",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let count = row.get::<_, i64>(2)?.cast_unsigned();
                let bytes = row.get::<_, i64>(3)?.cast_unsigned();
                let is_folder = row.get::<_, i64>(0)? == 1;
                match upload_outcome(row.get(1)?) {
                    None => {
                        totals.open += count;
                        totals.open_bytes += if is_folder { 0 } else { bytes };
                    }
                    Some(outcome) if is_folder => {
                        if let Some(folders) = totals.folders.get_mut(outcome as usize) {
                            *folders += count;
                        }
                    }
                    Some(outcome) => {
                        if let Some(files) = totals.files.get_mut(outcome as usize) {
                            *files = (files.0 + count, files.1 + bytes);
                        }
                    }
                }
            }
            Ok(totals)
        })
        .await
    }

    /// The folder of the target that stands for a folder of the source; `None` while there is none.
    pub async fn folder_in_target(&self, drive: DriveId, id: FileId) -> Result<Option<Entry>> {
        self.change(move |transaction| {
            transaction
                .prepare_cached(
                    "SELECT target, new_id, coalesce(given_name, new_name, name) FROM upload
                     WHERE drive = ?1 AND id = ?2 AND kind = 1 AND parent IS NOT NULL
                       AND new_id IS NOT NULL AND target IS NOT NULL",
                )?
                .query_row([drive.as_str(), id.as_str()], |row| {
                    let target: String = row.get(0)?;
                    let id: String = row.get(1)?;
                    let mut entry = Entry::root(DriveId::new(target), FileId::new(id));
                    entry.name = row.get(2)?;
                    Ok(entry)
                })
                .optional()
        })
        .await
    }

    /// For each pair of source and target drive: files, folders and bytes that are still to be put there, or that were.
    pub async fn upload_drives(&self) -> Result<Vec<(String, String, u64, u64, u64)>> {
        self.change(|transaction| {
            transaction
                .prepare(
                    "SELECT drive, target, sum(kind = 0), sum(kind = 1),
                            coalesce(sum(CASE WHEN kind = 0 THEN size END), 0)
                     FROM upload
                     WHERE parent IS NOT NULL AND (outcome IS NULL OR outcome IN (0, 2, 3, 4))
                     GROUP BY drive, target ORDER BY drive, target",
                )?
                .query_map([], |row| {
                    Ok((
                        row.get(0)?,
                        row.get(1)?,
                        row.get::<_, i64>(2)?.cast_unsigned(),
                        row.get::<_, i64>(3)?.cast_unsigned(),
                        row.get::<_, i64>(4)?.cast_unsigned(),
                    ))
                })?
                .collect()
        })
        .await
    }
}
