//! Notes what became of steps: folders that can be filled, files that are there, and what came to nothing.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::{DONE, ENDED, READY, UploadOutcome, WAITING};
use crate::entry::Entry;
use crate::ledger::columns::to_signed;
use crate::ledger::{Ledger, Result};
use crate::manifest;

/// Reason code of what lies in a folder that is not in the target.
pub(super) const PARENT: &str = "parent-not-restored";

/// What became of a file.
#[derive(Clone, Debug)]
pub struct UploadEnd {
    /// The step.
    pub no: i64,
    /// The outcome.
    pub outcome: UploadOutcome,
    /// Reason code, empty when there is none.
    pub reason: String,
    /// The item as the target has it.
    pub entry: Option<Box<Entry>>,
    /// How often it was sent.
    pub attempts: u32,
    /// What was sent; `None` when that is what the step tells.
    pub sent: Option<Box<Sent>>,
}

/// The content of an upload. The source may have another one by the time it has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Size in bytes.
    pub size: Option<u64>,
    /// Modified time.
    pub modified: Option<Timestamp>,
    /// Hash of the bytes.
    pub sha256: Option<String>,
}

impl Ledger {
    /// Notes that a folder can be filled: what goes into it becomes ready.
    pub async fn finish_folder(&self, no: i64, entry: Entry, outcome: UploadOutcome) -> Result<()> {
        self.change(move |transaction| {
            // A folder that is listed again keeps the outcome of the first time.
            transaction
                .prepare_cached(
                    "UPDATE upload SET state = ?2, outcome = coalesce(outcome, ?3), reason = '', new_id = ?4,
                            location = ?5, facts = ?6, given_name = ?7
                     WHERE no = ?1",
                )?
                .execute(params![
                    no,
                    DONE,
                    outcome as i64,
                    entry.id.as_str(),
                    entry.location,
                    manifest::encode_facts(&entry),
                    entry.name
                ])?;
            transaction
                .prepare_cached("UPDATE upload SET state = ?2 WHERE parent = ?1 AND state = ?3")?
                .execute(params![no, READY, WAITING])?;
            Ok(())
        })
        .await
    }

    /// Notes what became of files.
    pub async fn finish_uploads(&self, ends: Vec<UploadEnd>) -> Result<()> {
        self.change(move |transaction| {
            for one in &ends {
                if one.outcome.is_there() {
                    finish_file(transaction, one)?;
                } else {
                    attempts(transaction, one)?;
                    end(transaction, one.no, one.outcome, &one.reason)?;
                }
            }
            Ok(())
        })
        .await?;
        self.tell_news();
        Ok(())
    }
}

fn attempts(transaction: &Transaction<'_>, one: &UploadEnd) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE upload SET attempts = attempts + ?2 WHERE no = ?1")?
        .execute(params![one.no, one.attempts])?;
    Ok(())
}

pub(super) fn finish_file(transaction: &Transaction<'_>, one: &UploadEnd) -> rusqlite::Result<()> {
    let entry = one.entry.as_deref();
    transaction
        .prepare_cached(
            "UPDATE upload SET state = ?2, outcome = ?3, reason = ?4, new_id = ?5, location = ?6, facts = ?7,
                    given_name = ?8, left_size = ?9, left_modified = ?10, attempts = attempts + ?15,
                    follow = CASE WHEN ?11 OR (size IS ?12 AND modified IS ?13 AND sha256 IS ?14)
                             THEN follow & ~1 ELSE follow | 1 END
             WHERE no = ?1",
        )?
        .execute(params![
            one.no,
            DONE,
            one.outcome as i64,
            one.reason,
            entry.map(|entry| entry.id.as_str()),
            entry.and_then(|entry| entry.location.as_deref()),
            entry.map(manifest::encode_facts),
            entry.map(|entry| entry.name.as_str()),
            entry.and_then(|entry| to_signed(entry.size)),
            entry.and_then(|entry| entry.modified).map(Timestamp::as_second),
            one.sent.is_none(),
            one.sent.as_ref().and_then(|sent| to_signed(sent.size)),
            one.sent
                .as_ref()
                .and_then(|sent| sent.modified)
                .map(Timestamp::as_second),
            one.sent.as_ref().and_then(|sent| sent.sha256.as_deref()),
            one.attempts
        ])?;
    Ok(())
}

/// Ends a step without its item, and with it everything that was to go into it.
pub(super) fn end(
    transaction: &Transaction<'_>,
    no: i64,
    outcome: UploadOutcome,
    reason: &str,
) -> rusqlite::Result<()> {
    // What is in the target and could not follow its source stays as it is.
    let kept = transaction
        .prepare_cached(
            "UPDATE upload SET state = ?2, outcome = ?3, reason = ?4 WHERE no = ?1 AND follow <> 0 AND new_id IS NOT NULL",
        )?
        .execute(params![no, DONE, outcome as i64, reason])?;
    if kept > 0 {
        return Ok(());
    }
    transaction
        .prepare_cached(
            "UPDATE upload SET state = ?2, outcome = ?3, reason = ?4, new_name = NULL WHERE no = ?1",
        )?
        .execute(params![no, ENDED, outcome as i64, reason])?;
    transaction
        .prepare_cached(
            "WITH RECURSIVE below (no) AS (
                 SELECT no FROM upload WHERE parent = ?1
                 UNION ALL SELECT u.no FROM upload AS u JOIN below ON u.parent = below.no)
             UPDATE upload SET state = ?2, outcome = ?3, reason = ?4
             WHERE no IN (SELECT no FROM below) AND state IN (?5, ?6)",
        )?
        .execute(params![
            no,
            ENDED,
            UploadOutcome::Failed as i64,
            PARENT,
            WAITING,
            READY
        ])?;
    Ok(())
}
