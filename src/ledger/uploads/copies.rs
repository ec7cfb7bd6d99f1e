//! Stored copies that a migration no longer needs: their files are in the target, or will not be put there in this run.

use rusqlite::params;

use super::{CONTENT, DONE, ENDED, UploadOutcome};
use crate::id::{DriveId, FileId};
use crate::ledger::{Ledger, Result};
use crate::manifest::Earlier;

/// A stored copy that no step needs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Its step.
    pub no: i64,
    /// The drive it came from.
    pub drive: DriveId,
    /// The id it had.
    pub id: FileId,
    /// Where the bytes are.
    pub stored_at: String,
    /// Their hash.
    pub sha256: Option<String>,
    /// Whether the target has confirmed them; else they could not be put there.
    pub is_delivered: bool,
}

impl Ledger {
    /// Prepares for [`Ledger::spent_copies`] of the run of that name. Copies of other runs, which stay where they are, are
    /// not needed once they are delivered.
    pub async fn watch_copies(&self, run: String) -> Result<()> {
        self.change(move |transaction| {
            transaction.execute_batch(
                "CREATE INDEX IF NOT EXISTS upload_copy ON upload (no)
                 WHERE kind = 0 AND stored_at IS NOT NULL AND state IN (3, 4);",
            )?;
            transaction.execute(
                "UPDATE upload SET stored_at = NULL
                 WHERE kind = 0 AND state = ?1 AND follow & ?2 = 0 AND substr(stored_at, 1, length(?3)) <> ?3",
                params![DONE, CONTENT, format!("{run}/")],
            )?;
            Ok(())
        })
        .await
    }

    /// Copies of the run of that name that no step needs any more, at most `limit`.
    ///
    /// A file in the target whose new content could not follow has a reason; one whose content is still to follow has none.
    pub async fn spent_copies(&self, run: String, limit: u32) -> Result<Vec<Spent>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT no, drive, id, stored_at, sha256, state = 3 AND follow & 1 = 0 FROM upload
                 WHERE kind = 0 AND stored_at IS NOT NULL AND state IN (3, 4)
                   AND (state = 4 OR follow & 1 = 0 OR (outcome IN (?3, ?4, ?5) AND reason <> ''))
                   AND substr(stored_at, 1, length(?1)) = ?1
                 LIMIT ?2",
            )?;
            let parameters = params![
                format!("{run}/"),
                limit,
                UploadOutcome::Skipped as i64,
                UploadOutcome::Failed as i64,
                UploadOutcome::NotInSnapshot as i64
            ];
            let rows = statement.query_map(parameters, |row| {
                Ok(Spent {
                    no: row.get(0)?,
                    drive: DriveId::new(row.get::<_, String>(1)?),
                    id: FileId::new(row.get::<_, String>(2)?),
                    stored_at: row.get(3)?,
                    sha256: row.get(4)?,
                    is_delivered: row.get(5)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Notes that those copies are gone. A step without its item is tried again only when its bytes come again.
    pub async fn forget_copies(&self, spent: Vec<Spent>) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "UPDATE upload SET stored_at = NULL, again = CASE WHEN state = ?4 THEN 0 ELSE again END
                 WHERE no = ?1 AND stored_at = ?2 AND sha256 IS ?3",
            )?;
            for one in &spent {
                statement.execute(params![one.no, one.stored_at, one.sha256, ENDED])?;
            }
            Ok(())
        })
        .await
    }

    /// Hands every file that the target has with its newest known content to `take`, until that says false. The copy has
    /// no place: it was delivered.
    pub async fn delivered(
        &self,
        mut take: impl FnMut(String, String, Earlier) -> bool + Send + 'static,
    ) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare(
                "SELECT drive, id, size, modified, sha256 FROM upload
                 WHERE kind = 0 AND state = ?1 AND follow & ?2 = 0 AND parent IS NOT NULL
                   AND size IS NOT NULL AND modified IS NOT NULL AND sha256 IS NOT NULL",
            )?;
            let mut rows = statement.query(params![DONE, CONTENT])?;
            while let Some(row) = rows.next()? {
                let earlier = Earlier {
                    size: row.get::<_, i64>(2)?.cast_unsigned(),
                    modified: super::second(row.get(3)?),
                    sha256: row.get(4)?,
                    stored_at: String::new(),
                    proven: true,
                };
                if !take(row.get(0)?, row.get(1)?, earlier) {
                    break;
                }
            }
            Ok(())
        })
        .await
    }
}
