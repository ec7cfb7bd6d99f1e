//! What happened at the source since an item was uploaded, and what has to happen in the target for it.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::ends::finish_file;
use super::{
    CONTENT, DONE, ENDED, NewUpload, PLACE, READY, STARTED, UploadEnd, UploadOutcome, WAITING, insert,
    second, target_entry,
};
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::ledger::columns::to_signed;
use crate::ledger::{Ledger, Result};
use crate::path::DrivePath;

/// In place of the pass that came by it last: a file that an earlier pass may have put into the target.
pub(super) const DOUBTFUL: i64 = -1;

/// The key of the number of the pass.
const PASS: &str = "pass";

/// The key of the mark that a pass has not come to its end.
const PASS_OPEN: &str = "pass-open";

/// The key of the run that feeds the pass.
const PASS_OF: &str = "pass-of";

/// The key of what tells this ledger from every other.
const IDENTITY: &str = "identity";

/// An item as the source has it in this pass.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The item; its number and parent are given here.
    pub step: NewUpload,
    /// The id of the folder it lies in at the source; `None` is the root.
    pub folder: Option<FileId>,
}

/// An item of the target that has to follow its source.
#[derive(Clone, Debug)]
pub struct FollowWork {
    /// Its step.
    pub no: i64,
    /// The drive it came from.
    pub drive: DriveId,
    /// The path at the source.
    pub path: DrivePath,
    /// The folder of its step.
    pub folder: i64,
    /// The item as it was left in the target.
    pub left: Entry,
    /// The folder it was left in.
    pub parent: Entry,
    /// Whether its content has to follow.
    pub content: bool,
    /// Whether its place has to follow.
    pub place: bool,
    /// The folder it shall be in, where that is another.
    pub want_parent: Option<(i64, Entry)>,
    /// The name it shall have.
    pub want_name: String,
    /// Size of the new content.
    pub size: Option<u64>,
    /// Modified time of the new content.
    pub modified: Option<Timestamp>,
    /// Hash of the new content.
    pub sha256: Option<String>,
    /// Where the new content is.
    pub stored_at: Option<String>,
    /// The id at the source.
    pub id: FileId,
    /// Whether it was tried since it was last handed over, and could not follow.
    pub is_missed: bool,
}

/// What the table knows of an item.
struct Known {
    no: i64,
    state: i64,
    parent: i64,
    name: String,
    size: Option<i64>,
    modified: Option<i64>,
    sha256: Option<String>,
    /// Whether its content has to follow.
    follows: bool,
    /// Whether its copy was let go of.
    is_spent: bool,
}

impl Ledger {
    /// What tells this ledger from every other.
    pub async fn identity(&self) -> Result<String> {
        self.change(|transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO meta (key, value) VALUES (?1, hex(randomblob(16)))",
                [IDENTITY],
            )?;
            transaction.query_row("SELECT value FROM meta WHERE key = ?1", [IDENTITY], |row| {
                row.get(0)
            })
        })
        .await
    }

    /// Begins a pass, or goes on with it, and returns its number, the first being 1. A pass belongs to the ledger that feeds
    /// it, by its identity: what it has handed over counts as seen in that pass alone, also when the pass was finished.
    pub async fn begin_pass(&self, source: String) -> Result<i64> {
        self.change(move |transaction| {
            let pass = pass_of(transaction)?;
            let of: Option<String> = transaction
                .query_row("SELECT value FROM meta WHERE key = ?1", [PASS_OF], |row| {
                    row.get(0)
                })
                .optional()?;
            let pass = if of.as_deref() == Some(source.as_str()) {
                pass
            } else {
                // What may be in the target already is looked for before this pass comes by it, if it does.
                transaction.execute(
                    "UPDATE upload SET seen = ?1
                     WHERE state IN (?2, ?3) AND kind = 0 AND new_name IS NOT NULL AND new_id IS NULL",
                    params![DOUBTFUL, WAITING, READY],
                )?;
                pass + 1
            };
            let mut write =
                transaction.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
            write.execute(params![PASS, pass])?;
            write.execute(params![PASS_OPEN, 1])?;
            write.execute(params![PASS_OF, source])?;
            Ok(pass)
        })
        .await
    }

    /// Ends the files that an earlier pass took up and that this one, which was fed to its end, did not come by.
    pub async fn end_unseen(&self, pass: i64) -> Result<()> {
        self.change(move |transaction| {
            transaction.execute(
                "UPDATE upload SET state = ?2, outcome = ?3, reason = ?4
                 WHERE state IN (?5, ?6) AND kind = 0 AND new_id IS NULL AND seen < ?1",
                params![
                    pass,
                    ENDED,
                    UploadOutcome::NotInSnapshot as i64,
                    UNSEEN,
                    WAITING,
                    READY
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Notes that the pass came to its end.
    pub async fn finish_pass(&self) -> Result<()> {
        self.change(|transaction| {
            transaction.execute("DELETE FROM meta WHERE key = ?1", [PASS_OPEN])?;
            Ok(())
        })
        .await
    }

    /// Adds the root of a target drive, if it is not known yet.
    pub async fn add_root_upload(&self, mut step: NewUpload) -> Result<()> {
        self.change(move |transaction| {
            if root_of(transaction, &step.drive)?.is_none() {
                step.no = next(transaction)?;
                insert(transaction, &step)?;
            }
            Ok(())
        })
        .await
    }

    /// Takes in what the source has: new items become steps, known ones are marked as seen and compared.
    /// Doing it twice with the same items changes nothing.
    pub async fn follow(&self, pass: i64, items: Vec<Followed>) -> Result<()> {
        self.change(move |transaction| {
            for item in items {
                follow(transaction, pass, item)?;
            }
            Ok(())
        })
        .await?;
        self.tell_news();
        Ok(())
    }

    /// Items that have to follow their sources, with numbers above `after`, at most `limit`.
    pub async fn follows(&self, after: i64, limit: u32) -> Result<Vec<FollowWork>> {
        self.change(move |transaction| {
            works(
                transaction,
                "u.follow <> 0 AND u.state = 3 AND u.no > ?1 ORDER BY u.no LIMIT ?2",
                params![after, limit],
            )
        })
        .await
    }

    /// Items of a drive that the source had before this pass and has no more, those in folders before the folders.
    pub async fn gone_uploads(
        &self,
        drive: String,
        pass: i64,
        after: (i64, i64),
        limit: u32,
    ) -> Result<Vec<FollowWork>> {
        self.change(move |transaction| {
            works(
                transaction,
                "u.drive = ?1 AND u.state = 3 AND u.parent IS NOT NULL AND u.seen < ?2
                 AND (-length(u.path), u.no) > (?3, ?4)
                 ORDER BY -length(u.path), u.no LIMIT ?5",
                params![drive, pass, after.0, after.1, limit],
            )
        })
        .await
    }

    /// For a drive: items in the target, and how many of these the source has no more.
    pub async fn gone_share(&self, drive: String, pass: i64) -> Result<(u64, u64)> {
        self.change(move |transaction| {
            transaction.query_row(
                "SELECT count(*), coalesce(sum(seen < ?2), 0) FROM upload
                 WHERE drive = ?1 AND state = 3 AND parent IS NOT NULL",
                params![drive, pass],
                |row| {
                    Ok((
                        row.get::<_, i64>(0)?.cast_unsigned(),
                        row.get::<_, i64>(1)?.cast_unsigned(),
                    ))
                },
            )
        })
        .await
    }

    /// Whether a name is reserved in a folder by another step.
    pub async fn is_name_reserved(&self, folder: i64, name: String, by_other_than: i64) -> Result<bool> {
        self.change(move |transaction| {
            transaction
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM upload WHERE parent = ?1 AND new_name = ?2 AND no <> ?3)",
                )?
                .query_row(params![folder, name, by_other_than], |row| row.get(0))
        })
        .await
    }

    /// Notes that an item of the target is in the place that its source has.
    pub async fn placed(&self, no: i64, folder: i64, wanted: String, entry: Entry) -> Result<()> {
        self.change(move |transaction| {
            transaction
                .prepare_cached(
                    "UPDATE upload SET parent = ?2, name = ?3, new_name = ?4, given_name = ?4, location = ?5,
                            follow = follow & ~2, want_parent = NULL, want_name = NULL, reason = '',
                            outcome = CASE WHEN outcome = ?6 THEN ?7 ELSE outcome END
                     WHERE no = ?1",
                )?
                .execute(params![
                    no,
                    folder,
                    wanted,
                    entry.name,
                    entry.location,
                    UploadOutcome::Skipped as i64,
                    UploadOutcome::Restored as i64
                ])?;
            Ok(())
        })
        .await
    }

    /// Notes that an item of the target has the content that its source has.
    pub async fn refilled(&self, no: i64, entry: Entry) -> Result<()> {
        self.change(move |transaction| {
            let end = UploadEnd {
                no,
                outcome: UploadOutcome::Overwritten,
                reason: String::new(),
                entry: Some(Box::new(entry)),
                attempts: 0,
                sent: None,
            };
            finish_file(transaction, &end)
        })
        .await?;
        self.tell_news();
        Ok(())
    }

    /// Notes that an item of the target could not follow its source, and why. It is tried again in the next pass.
    pub async fn not_followed(&self, no: i64, outcome: UploadOutcome, reason: String) -> Result<()> {
        self.change(move |transaction| {
            transaction
                .prepare_cached("UPDATE upload SET outcome = ?2, reason = ?3 WHERE no = ?1")?
                .execute(params![no, outcome as i64, reason])?;
            Ok(())
        })
        .await?;
        self.tell_news();
        Ok(())
    }

    /// Whether an item's content has to follow its source.
    pub async fn has_to_follow(&self, no: i64) -> Result<bool> {
        self.change(move |transaction| {
            transaction
                .prepare_cached("SELECT follow & ?2 <> 0 FROM upload WHERE no = ?1")?
                .query_row(params![no, CONTENT], |row| row.get(0))
        })
        .await
    }

    /// Forgets items of a drive that never came into the target and that the source has no more.
    pub async fn forget_gone(&self, drive: String, pass: i64) -> Result<()> {
        self.change(move |transaction| {
            transaction.execute(
                "DELETE FROM upload WHERE drive = ?1 AND state = ?2 AND parent IS NOT NULL AND seen < ?3
                   AND NOT EXISTS (SELECT 1 FROM upload AS below WHERE below.parent = upload.no)",
                params![drive, ENDED, pass],
            )?;
            Ok(())
        })
        .await
    }

    /// Notes that an item was taken out of the target.
    pub async fn removed(&self, no: i64) -> Result<()> {
        self.change(move |transaction| {
            transaction
                .prepare_cached(
                    "DELETE FROM there WHERE (folder, id) IN (SELECT parent, new_id FROM upload WHERE no = ?1)",
                )?
                .execute([no])?;
            transaction
                .prepare_cached(
                    "UPDATE upload SET state = ?2, outcome = ?3, reason = '', new_name = NULL, new_id = NULL,
                            follow = 0 WHERE no = ?1",
                )?
                .execute(params![no, ENDED, UploadOutcome::Removed as i64])?;
            Ok(())
        })
        .await
    }

    /// Marks items that have another name than their source has, because another item of ours had it, and that may
    /// have it now. Where it is somebody else's item that has the name, that stays so.
    pub async fn mark_renamable(&self) -> Result<()> {
        self.change(|transaction| {
            transaction.execute(
                "UPDATE upload SET follow = follow | ?1
                 WHERE state = ?2 AND parent IS NOT NULL AND new_name <> name AND reason = ''
                   AND NOT EXISTS (SELECT 1 FROM upload AS o WHERE o.parent = upload.parent AND o.new_name = upload.name)
                   AND NOT EXISTS (SELECT 1 FROM there AS t WHERE t.folder = upload.parent AND t.name = upload.name
                       AND NOT EXISTS (SELECT 1 FROM upload AS o WHERE o.target = upload.target AND o.new_id = t.id))",
                params![PLACE, DONE],
            )?;
            Ok(())
        })
        .await
    }
}

/// The number of the pass; 0 where there are no passes.
pub(super) fn pass_of(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    let found = transaction
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([PASS], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

fn next(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached("SELECT coalesce(max(no), 0) + 1 FROM upload")?
        .query_row([], |row| row.get(0))
}

fn root_of(transaction: &Transaction<'_>, drive: &DriveId) -> rusqlite::Result<Option<i64>> {
    transaction
        .prepare_cached(
            "SELECT no FROM upload WHERE drive = ?1 AND parent IS NULL AND kind = 1 AND state <> 4",
        )?
        .query_row([drive.as_str()], |row| row.get(0))
        .optional()
}

fn find(
    transaction: &Transaction<'_>,
    drive: &DriveId,
    id: &FileId,
    kind: Kind,
) -> rusqlite::Result<Option<Known>> {
    transaction
        .prepare_cached(
            "SELECT no, state, coalesce(want_parent, parent), coalesce(want_name, name), size, modified, sha256,
                    follow & 1 <> 0, stored_at IS NULL
             FROM upload WHERE drive = ?1 AND id = ?2 AND kind = ?3 AND parent IS NOT NULL",
        )?
        .query_row(
            params![drive.as_str(), id.as_str(), i64::from(kind == Kind::Folder)],
            |row| {
                Ok(Known {
                    no: row.get(0)?,
                    state: row.get(1)?,
                    parent: row.get(2)?,
                    name: row.get(3)?,
                    size: row.get(4)?,
                    modified: row.get(5)?,
                    sha256: row.get(6)?,
                    follows: row.get(7)?,
                    is_spent: row.get(8)?,
                })
            },
        )
        .optional()
}

/// Reason of a file that an earlier pass took up, and that was not read again.
const UNSEEN: &str = "not read again in this pass";

/// Reason of a file that was delivered before, and that the journal does not know to be in the target.
const LOST_SIGHT: &str = "delivered before, and no longer known to be in the target";

fn follow(transaction: &Transaction<'_>, pass: i64, item: Followed) -> rusqlite::Result<()> {
    let mut step = item.step;
    let parent = match &item.folder {
        Some(folder) => find(transaction, &step.drive, folder, Kind::Folder)?.map(|known| known.no),
        None => root_of(transaction, &step.drive)?,
    };
    // A file that comes without its bytes can only be one that is in the target already.
    let is_bare = step.kind == Kind::File && step.stored_at.is_none() && step.settled.is_none();
    let found = find(transaction, &step.drive, &step.id, step.kind)?;
    if is_bare && found.as_ref().is_none_or(|known| known.state == ENDED) {
        step.settled = Some((UploadOutcome::NotInSnapshot, LOST_SIGHT.to_owned()));
    }
    let Some(known) = found else {
        step.no = next(transaction)?;
        step.parent = parent;
        insert(transaction, &step)?;
        return see(transaction, step.no, pass, &step.path);
    };
    see(transaction, known.no, pass, &step.path)?;
    let Some(parent) = parent else { return Ok(()) };
    let (size, modified) = (to_signed(step.size), step.modified.map(Timestamp::as_second));
    if known.state == ENDED {
        let (state, outcome, reason) = match &step.settled {
            Some((outcome, reason)) => (ENDED, Some(*outcome as i64), reason.as_str()),
            None => (WAITING, None, ""),
        };
        transaction
            .prepare_cached(
                "UPDATE upload SET state = ?2, outcome = ?3, reason = ?4, again = 1, new_name = NULL, new_id = NULL,
                        parent = ?5, name = ?6, fold = ?7, size = ?8, modified = ?9, sha256 = ?10, stored_at = ?11,
                        follow = 0 WHERE no = ?1",
            )?
            .execute(params![
                known.no, state, outcome, reason, parent, step.name, step.fold, size, modified, step.sha256,
                step.stored_at
            ])?;
        return wake(transaction, known.no);
    }
    if step.settled.is_some() || (is_bare && known.state != DONE) {
        return Ok(());
    }
    let content = step.kind == Kind::File
        && (known.size != size || known.modified != modified || known.sha256 != step.sha256);
    let place = known.parent != parent || known.name != step.name;
    let fills = content || (known.follows && !is_bare);
    if fills || known.state != DONE || known.is_spent {
        transaction
            .prepare_cached(
                "UPDATE upload SET size = ?2, modified = ?3, sha256 = ?4, stored_at = ?5 WHERE no = ?1",
            )?
            .execute(params![known.no, size, modified, step.sha256, step.stored_at])?;
    }
    if known.state == DONE || known.state == STARTED {
        let flags = if content { CONTENT } else { 0 } | if place { PLACE } else { 0 };
        // Why an earlier content could not follow says nothing of this one.
        transaction
            .prepare_cached(
                "UPDATE upload SET follow = follow | ?2, reason = CASE WHEN ?3 THEN '' ELSE reason END WHERE no = ?1",
            )?
            .execute(params![known.no, flags, fills])?;
        if place {
            transaction
                .prepare_cached("UPDATE upload SET want_parent = ?2, want_name = ?3 WHERE no = ?1")?
                .execute(params![known.no, parent, step.name])?;
        }
    } else if place {
        transaction
            .prepare_cached(
                "UPDATE upload SET parent = ?2, name = ?3, fold = ?4, new_name = NULL, state = ?5 WHERE no = ?1",
            )?
            .execute(params![known.no, parent, step.name, step.fold, WAITING])?;
        wake(transaction, known.no)?;
    }
    Ok(())
}

fn see(transaction: &Transaction<'_>, no: i64, pass: i64, path: &DrivePath) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE upload SET seen = ?2, path = ?3 WHERE no = ?1")?
        .execute(params![no, pass, path.as_str()])?;
    Ok(())
}

/// A step that waits is ready when its folder is.
fn wake(transaction: &Transaction<'_>, no: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE upload SET state = ?2 WHERE no = ?1 AND state = ?3
             AND parent IN (SELECT no FROM upload WHERE kind = 1 AND state = ?4)",
        )?
        .execute(params![no, READY, WAITING, DONE])?;
    Ok(())
}

fn works(
    transaction: &Transaction<'_>,
    condition: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<Vec<FollowWork>> {
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT u.no, u.drive, u.path, u.parent, u.target, u.follow, u.want_parent, coalesce(u.want_name, u.name),
                u.size, u.modified, u.sha256, u.stored_at, u.id,
                u.new_id, coalesce(u.given_name, u.new_name), u.kind, u.left_size, u.left_modified, u.location, u.facts,
                p.new_id, coalesce(p.given_name, p.new_name), 1, NULL, NULL, p.location, p.facts,
                w.new_id, coalesce(w.given_name, w.new_name), 1, NULL, NULL, w.location, w.facts,
                u.outcome IN (6, 7, 8) AND u.reason <> ''
         FROM upload AS u JOIN upload AS p ON p.no = u.parent
         LEFT JOIN upload AS w ON w.no = u.want_parent AND w.no <> u.parent AND w.new_id IS NOT NULL
         WHERE {condition}"
    ))?;
    let rows = statement.query_map(parameters, |row| {
        let target: String = row.get(4)?;
        let flags: i64 = row.get(5)?;
        let mut left = target_entry(row, 13, &target)?;
        let parent = target_entry(row, 20, &target)?;
        left.parent_id = Some(parent.id.clone());
        let want_parent = match (row.get::<_, Option<i64>>(6)?, row.get::<_, Option<String>>(27)?) {
            (Some(no), Some(_)) => Some((no, target_entry(row, 27, &target)?)),
            _ => None,
        };
        Ok(FollowWork {
            no: row.get(0)?,
            drive: DriveId::new(row.get::<_, String>(1)?),
            path: DrivePath::from_text(&row.get::<_, String>(2)?),
            folder: row.get(3)?,
            left,
            parent,
            content: flags & CONTENT != 0,
            place: flags & PLACE != 0,
            want_parent,
            want_name: row.get(7)?,
            size: row.get::<_, Option<i64>>(8)?.map(i64::cast_unsigned),
            modified: second(row.get(9)?),
            sha256: row.get(10)?,
            stored_at: row.get(11)?,
            id: FileId::new(row.get::<_, String>(12)?),
            is_missed: row.get::<_, Option<bool>>(34)?.unwrap_or(false),
        })
    })?;
    rows.collect()
}
