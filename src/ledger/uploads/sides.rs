//! Both sides of a migration, listed afresh and laid side by side.

use jiff::Timestamp;
use rusqlite::params;

use super::{UploadOutcome, upload_outcome};
use crate::ledger::columns::to_signed;
use crate::ledger::{Handed, Ledger, Result};

/// One thing that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Short code: `missing`, `only-in-target`, `size`, `modified`, `name`, `place`.
    pub difference: String,
    /// The drive at the source, empty for what is only in the target.
    pub drive: String,
    /// The path at the source.
    pub path: String,
    /// The drive in the target.
    pub target: String,
    /// The path in the target.
    pub target_path: String,
    /// More of it.
    pub detail: String,
}

/// What one drive holds, as its fresh listing says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriveCount {
    /// The drive.
    pub drive: String,
    /// Files.
    pub files: u64,
    /// Folders, without the root.
    pub folders: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Each difference once, the worst of an item first.
const DIFFERENCES: &str = "
    SELECT 0 AS part, 'missing' AS difference, s.drive AS drive, s.path AS path, coalesce(u.target, '') AS target,
           '' AS target_path, u.outcome AS outcome, coalesce(u.reason, '') AS detail
    FROM side AS s LEFT JOIN upload AS u ON u.drive = s.drive AND u.id = s.id AND u.kind = s.kind AND u.parent IS NOT NULL
    LEFT JOIN side AS t ON t.side = 1 AND t.drive = u.target AND t.id = u.new_id
    WHERE s.side = 0 AND t.id IS NULL
    UNION ALL
    SELECT 1, CASE WHEN s.kind = 0 AND s.size IS NOT t.size THEN 'size'
                   WHEN s.kind = 0 AND ?1 AND s.modified IS NOT t.modified THEN 'modified'
                   WHEN s.name <> t.name THEN 'name' ELSE 'place' END,
           s.drive, s.path, t.drive, t.path, u.outcome, coalesce(u.reason, '')
    FROM side AS s JOIN upload AS u ON u.drive = s.drive AND u.id = s.id AND u.kind = s.kind AND u.parent IS NOT NULL
    JOIN side AS t ON t.side = 1 AND t.drive = u.target AND t.id = u.new_id
    LEFT JOIN upload AS p ON p.drive = s.drive AND p.id = s.parent_id AND p.kind = 1 AND p.parent IS NOT NULL
    WHERE s.side = 0 AND (
        (s.kind = 0 AND (s.size IS NOT t.size OR (?1 AND s.modified IS NOT t.modified)))
        OR s.name <> t.name OR coalesce(p.new_id, '') <> coalesce(t.parent_id, ''))
    UNION ALL
    SELECT 2, 'only-in-target', '', '', t.drive, t.path, NULL, ''
    FROM side AS t WHERE t.side = 1
      AND NOT EXISTS (SELECT 1 FROM upload AS u WHERE u.target = t.drive AND u.new_id = t.id
                      AND EXISTS (SELECT 1 FROM side AS s WHERE s.side = 0 AND s.drive = u.drive AND s.id = u.id))";

impl Ledger {
    /// Forgets what was listed for an earlier comparison.
    pub async fn clear_sides(&self) -> Result<()> {
        self.change(|transaction| transaction.execute_batch("DELETE FROM side;"))
            .await
    }

    /// Takes in items of one side.
    pub async fn add_side(&self, is_target: bool, items: Vec<Handed>) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT OR REPLACE INTO side (side, drive, id, parent_id, path, name, kind, size, modified)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            for item in &items {
                let entry = &item.row.entry;
                statement.execute(params![
                    is_target,
                    entry.drive.as_str(),
                    entry.id.as_str(),
                    item.folder.as_ref().map(|folder| folder.as_str()),
                    item.row.path.as_str(),
                    entry.name,
                    entry.is_folder(),
                    to_signed(entry.size),
                    entry.modified.map(Timestamp::as_second)
                ])?;
            }
            Ok(())
        })
        .await
    }

    /// Files, folders and bytes of each drive of one side.
    pub async fn side_counts(&self, is_target: bool) -> Result<Vec<DriveCount>> {
        self.change(move |transaction| {
            transaction
                .prepare(
                    "SELECT drive, sum(kind = 0), sum(kind = 1), coalesce(sum(CASE WHEN kind = 0 THEN size END), 0)
                     FROM side WHERE side = ?1 GROUP BY drive ORDER BY drive",
                )?
                .query_map([is_target], |row| {
                    Ok(DriveCount {
                        drive: row.get(0)?,
                        files: row.get::<_, i64>(1)?.cast_unsigned(),
                        folders: row.get::<_, i64>(2)?.cast_unsigned(),
                        bytes: row.get::<_, i64>(3)?.cast_unsigned(),
                    })
                })?
                .collect()
        })
        .await
    }

    /// Hands every difference to `take`. Modified times count where the target keeps them.
    ///
    /// # Errors
    /// The ledger's own, or the first of `take`, as the inner result.
    pub async fn differences<E: Send + 'static>(
        &self,
        times_kept: bool,
        mut take: impl FnMut(&Difference) -> std::result::Result<(), E> + Send + 'static,
    ) -> Result<std::result::Result<u64, E>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare(&format!(
                "SELECT difference, drive, path, target, target_path, outcome, detail
                 FROM ({DIFFERENCES}) ORDER BY part, drive, path, target, target_path"
            ))?;
            let mut rows = statement.query([times_kept])?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let outcome = upload_outcome(row.get(5)?).filter(|outcome| !outcome.is_there());
                let reason: String = row.get(6)?;
                let detail = match outcome.map(UploadOutcome::as_str) {
                    Some(outcome) if reason.is_empty() => outcome.to_owned(),
                    Some(outcome) => format!("{outcome}: {reason}"),
                    None => reason,
                };
                let difference = Difference {
                    difference: row.get(0)?,
                    drive: row.get(1)?,
                    path: row.get(2)?,
                    target: row.get(3)?,
                    target_path: row.get(4)?,
                    detail,
                };
                if let Err(error) = take(&difference) {
                    return Ok(Err(error));
                }
                count += 1;
            }
            Ok(Ok(count))
        })
        .await
    }
}
