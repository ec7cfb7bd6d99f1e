//! Stored bytes that a run lets go of again, since another place has them now.

use std::io;

use rusqlite::{OptionalExtension, params};

use super::columns::{PLACE, key, outcome_number};
use super::handed::mark;
use super::{Ledger, Result, Spent};
use crate::manifest::{DELIVERED, NOT_DELIVERED, Outcome};

/// What letting go of copies came to.
#[derive(Debug, Default)]
pub struct Released {
    /// Bytes that are free again.
    pub bytes: u64,
    /// Copies that could not be removed; their files count as stored as before.
    pub refused: Vec<(String, io::Error)>,
}

impl Ledger {
    /// Lets go of copies: each is removed by `remove`, and its file then counts as delivered, or as failed where it is not in
    /// the target. A file that was fetched again meanwhile keeps its bytes.
    ///
    /// Both happen in one change, so that no later fetch of the file can put its bytes in between.
    pub async fn release(
        &self,
        spent: Vec<Spent>,
        mut remove: impl FnMut(&str) -> io::Result<()> + Send + 'static,
    ) -> Result<Released> {
        self.change(move |transaction| {
            let mut released = Released::default();
            let mut find = transaction.prepare_cached(&format!(
                "SELECT no, outcome, size FROM item
                 WHERE no = (SELECT no FROM known WHERE key = ?1)
                   AND state = 1 AND {PLACE} = ?2 AND sha256 IS ?3"
            ))?;
            let mut note = transaction.prepare_cached(
                "UPDATE item SET outcome = ?2, reason = ?3, stored_at = NULL WHERE no = ?1",
            )?;
            // It is the same item as before, with another word for it: nothing to be handed on.
            let mut keep = transaction.prepare_cached(&format!(
                "INSERT OR REPLACE INTO handed (item, mark) SELECT no, {} FROM item WHERE no = ?1",
                mark()
            ))?;
            for one in &spent {
                let found = find
                    .query_row(
                        params![
                            key(one.drive.as_str(), one.id.as_str()),
                            one.stored_at,
                            one.sha256
                        ],
                        |row| {
                            Ok((
                                row.get::<_, i64>(0)?,
                                row.get::<_, Option<i64>>(1)?,
                                row.get::<_, Option<i64>>(2)?,
                            ))
                        },
                    )
                    .optional()?;
                let Some((no, outcome, size)) = found else {
                    continue;
                };
                if outcome == Some(outcome_number(Outcome::Stored)) {
                    released.bytes += size.unwrap_or(0).cast_unsigned();
                }
                if let Err(error) = remove(&one.stored_at) {
                    released.refused.push((one.stored_at.clone(), error));
                    continue;
                }
                let (outcome, reason) = if one.is_delivered {
                    (Outcome::Listed, DELIVERED)
                } else {
                    (Outcome::Failed, NOT_DELIVERED)
                };
                note.execute(params![no, outcome_number(outcome), reason])?;
                keep.execute([no])?;
            }
            Ok(released)
        })
        .await
    }

    /// Bytes of the files that were fetched and are still stored.
    pub async fn held_bytes(&self) -> Result<u64> {
        self.change(|transaction| {
            transaction.query_row(
                "SELECT coalesce(sum(size), 0) FROM item WHERE outcome = ?1 AND stored_at IS NOT NULL AND state = 1",
                [outcome_number(Outcome::Stored)],
                |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()),
            )
        })
        .await
    }
}
