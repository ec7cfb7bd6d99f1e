//! Uploads: what shall be put into a drive, how far each step is, and what lies in the folders it goes into.
//!
//! A step is *started* from the moment its name is reserved until its end is noted. A start without an end is doubtful:
//! when the run goes on, the folder is listed again, and the item is taken as done if it lies there.

mod claim;
mod copies;
mod ends;
mod follow;
mod likeness;
mod results;
mod sides;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row as SqlRow, Transaction, params};

use super::columns::to_signed;
use super::{Ledger, Result};
use crate::entry::{Entry, Kind, OnConflict};
use crate::id::{DriveId, FileId};
use crate::manifest;
use crate::path::DrivePath;

pub use claim::{Again, Choice, Claimed, Settled, UploadWork};
pub use copies::Spent;
pub use ends::{Sent, UploadEnd};
pub use follow::{FollowWork, Followed};
pub use results::{Problem, UploadRow, UploadTotals};
pub use sides::{Difference, DriveCount};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS upload (
    no INTEGER PRIMARY KEY,
    parent INTEGER,
    family INTEGER NOT NULL,
    drive TEXT NOT NULL,
    target TEXT NOT NULL,
    id TEXT NOT NULL,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    fold TEXT NOT NULL,
    kind INTEGER NOT NULL,
    size INTEGER,
    modified INTEGER,
    sha256 TEXT,
    stored_at TEXT,
    state INTEGER NOT NULL,
    again INTEGER NOT NULL,
    new_name TEXT,
    new_id TEXT,
    location TEXT,
    facts TEXT,
    given_name TEXT,
    left_size INTEGER,
    left_modified INTEGER,
    outcome INTEGER,
    reason TEXT,
    listing INTEGER NOT NULL DEFAULT 0,
    seen INTEGER NOT NULL DEFAULT 0,
    follow INTEGER NOT NULL DEFAULT 0,
    want_parent INTEGER,
    want_name TEXT,
    attempts INTEGER NOT NULL DEFAULT 0
);
DROP INDEX IF EXISTS upload_ready;
CREATE INDEX IF NOT EXISTS upload_ready_seen ON upload (family, kind, seen, no) WHERE state = 1;
CREATE INDEX IF NOT EXISTS upload_parent ON upload (parent, state);
CREATE INDEX IF NOT EXISTS upload_id ON upload (drive, id);
CREATE INDEX IF NOT EXISTS upload_new_id ON upload (target, new_id) WHERE new_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS upload_name ON upload (parent, new_name) WHERE new_name IS NOT NULL;
CREATE INDEX IF NOT EXISTS upload_follow ON upload (no) WHERE follow <> 0;
CREATE TABLE IF NOT EXISTS side (
    side INTEGER NOT NULL,
    drive TEXT NOT NULL,
    id TEXT NOT NULL,
    parent_id TEXT,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    size INTEGER,
    modified INTEGER,
    PRIMARY KEY (side, drive, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS there (
    folder INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    fold TEXT NOT NULL,
    kind INTEGER NOT NULL,
    size INTEGER,
    modified INTEGER,
    location TEXT,
    facts TEXT NOT NULL,
    listing INTEGER NOT NULL,
    PRIMARY KEY (folder, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS there_name ON there (folder, name);
CREATE INDEX IF NOT EXISTS there_fold ON there (folder, fold);
CREATE TABLE IF NOT EXISTS problem (
    no INTEGER PRIMARY KEY,
    problem TEXT NOT NULL,
    drive TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER,
    detail TEXT NOT NULL
);
";

/// A step whose folder is not there yet.
const WAITING: i64 = 0;
/// A step that can be taken.
const READY: i64 = 1;
/// A step that was taken; without an end it is doubtful.
const STARTED: i64 = 2;
/// A folder that can be filled, or a file that is there.
const DONE: i64 = 3;
/// A step that ended without its item.
const ENDED: i64 = 4;

/// The content at the source is another than the one that was uploaded.
const CONTENT: i64 = 1;
/// The place at the source is another than the one in the target.
const PLACE: i64 = 2;

/// The key of the mark that all steps are known.
const LOADED: &str = "uploads-loaded";

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UploadOutcome {
    /// A folder was made.
    Created,
    /// A folder that was there is used.
    Adopted,
    /// A file was uploaded under its own name.
    Restored,
    /// A file was uploaded, or a folder made, under another name, since its own was taken.
    Renamed,
    /// A file was uploaded over one that was there.
    Overwritten,
    /// A file of that name, size and modified time was there.
    AlreadyThere,
    /// Its name was taken, and the job says to leave such.
    Skipped,
    /// It could not be put into the drive.
    Failed,
    /// The snapshot does not have it.
    NotInSnapshot,
    /// It was taken out of the target, since it is gone at the source.
    Removed,
}

impl UploadOutcome {
    /// Every outcome.
    pub const ALL: [UploadOutcome; 10] = [
        UploadOutcome::Created,
        UploadOutcome::Adopted,
        UploadOutcome::Restored,
        UploadOutcome::Renamed,
        UploadOutcome::Overwritten,
        UploadOutcome::AlreadyThere,
        UploadOutcome::Skipped,
        UploadOutcome::Failed,
        UploadOutcome::NotInSnapshot,
        UploadOutcome::Removed,
    ];

    /// The word of `idmap.csv`.
    pub fn as_str(self) -> &'static str {
        match self {
            UploadOutcome::Created => "created",
            UploadOutcome::Adopted => "adopted",
            UploadOutcome::Restored => "restored",
            UploadOutcome::Renamed => "renamed",
            UploadOutcome::Overwritten => "overwritten",
            UploadOutcome::AlreadyThere => "already-there",
            UploadOutcome::Skipped => "skipped",
            UploadOutcome::Failed => "failed",
            UploadOutcome::NotInSnapshot => "not-in-snapshot",
            UploadOutcome::Removed => "removed",
        }
    }

    /// Whether the item should be in the target and is not. What was removed since its source is gone is no such thing.
    pub fn is_lost(self) -> bool {
        !self.is_there() && self != UploadOutcome::Removed
    }

    /// Whether the item is in the target.
    pub fn is_there(self) -> bool {
        !matches!(
            self,
            UploadOutcome::Skipped
                | UploadOutcome::Failed
                | UploadOutcome::NotInSnapshot
                | UploadOutcome::Removed
        )
    }
}

fn upload_outcome(number: Option<i64>) -> Option<UploadOutcome> {
    UploadOutcome::ALL
        .into_iter()
        .find(|outcome| Some(*outcome as i64) == number)
}

/// A file or folder that shall be put into a drive.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its number, which the caller gives: parents are named by it. At least 1.
    pub no: i64,
    /// The step of the folder it goes into; `None` for the root of a drive.
    pub parent: Option<i64>,
    /// The drive it came from.
    pub drive: DriveId,
    /// The drive it goes into; `None` when there is none, then it is settled.
    pub target: Option<DriveId>,
    /// The id it had.
    pub id: FileId,
    /// The path it had.
    pub path: DrivePath,
    /// The name it shall have.
    pub name: String,
    /// Equal for names that the service might take for the same.
    pub fold: String,
    /// File or folder.
    pub kind: Kind,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Modified time to keep.
    pub modified: Option<Timestamp>,
    /// Hash of the stored bytes.
    pub sha256: Option<String>,
    /// Where the bytes are.
    pub stored_at: Option<String>,
    /// The folder itself, where it is there: the root of a target drive.
    pub known: Option<Box<Entry>>,
    /// The outcome and its reason, when there is nothing to do.
    pub settled: Option<(UploadOutcome, String)>,
}

/// What tells the same content, of two files of one name and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameBy {
    /// The modified time, which the target keeps.
    Time,
    /// The content, read back and compared, where the modified time does not tell.
    Content,
    /// Nothing more: for a plan, which reads no contents.
    Size,
}

/// How names are decided.
#[derive(Clone, Copy, Debug)]
pub struct Naming {
    /// What to do when a name is taken by another content.
    pub on_conflict: OnConflict,
    /// What tells that a file of the target is the one to be uploaded.
    pub same_by: SameBy,
    /// The n-th name for an item whose own is taken; n begins with 2.
    pub numbered: fn(&str, u32) -> String,
    /// Equal for names that the service might take for the same.
    pub fold: fn(&str) -> String,
}

impl Ledger {
    /// Whether all steps of this run are known.
    pub async fn uploads_loaded(&self) -> Result<bool> {
        self.change(|transaction| {
            let found = transaction
                .query_row("SELECT 1 FROM meta WHERE key = ?1", [LOADED], |_| Ok(()))
                .optional()?;
            Ok(found.is_some())
        })
        .await
    }

    /// Forgets all steps, so that they can be added from the beginning.
    pub async fn clear_uploads(&self) -> Result<()> {
        self.change(|transaction| {
            transaction.execute("DELETE FROM meta WHERE key = ?1", [LOADED])?;
            transaction.execute_batch("DELETE FROM upload; DELETE FROM there; DELETE FROM problem;")
        })
        .await
    }

    /// Adds steps; a folder comes before what goes into it.
    pub async fn add_uploads(&self, steps: Vec<NewUpload>) -> Result<()> {
        self.change(move |transaction| {
            for step in &steps {
                insert(transaction, step)?;
            }
            Ok(())
        })
        .await
    }

    /// Notes that all steps are known.
    pub async fn finish_loading(&self) -> Result<()> {
        self.change(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, 1)",
                [LOADED],
            )?;
            Ok(())
        })
        .await
    }

    /// Makes unfinished steps ready to go on: what failed is tried again, and the folders of what failed or is doubtful
    /// are listed again first.
    pub async fn resume_uploads(&self) -> Result<()> {
        self.change(|transaction| {
            let failed = UploadOutcome::Failed as i64;
            transaction.execute(
                "UPDATE upload SET state = ?1 WHERE state = ?2 AND kind = 1 AND no IN (
                     SELECT parent FROM upload
                     WHERE state = ?3 OR (state = ?4 AND outcome = ?5 AND again = 1))",
                params![READY, DONE, STARTED, ENDED, failed],
            )?;
            transaction.execute(
                "UPDATE upload SET state = ?1, outcome = NULL, reason = NULL, new_name = NULL
                 WHERE state = ?2 AND outcome = ?3 AND again = 1",
                params![WAITING, ENDED, failed],
            )?;
            transaction.execute(
                "UPDATE upload SET state = ?1 WHERE state IN (?2, ?3) AND parent IS NOT NULL",
                params![WAITING, STARTED, READY],
            )?;
            transaction.execute(
                "UPDATE upload SET state = ?1 WHERE state IN (?2, ?3) AND parent IS NULL",
                params![READY, STARTED, WAITING],
            )?;
            transaction.execute(
                "UPDATE upload SET state = ?1 WHERE state = ?2
                 AND parent IN (SELECT no FROM upload WHERE kind = 1 AND state = ?3)",
                params![READY, WAITING, DONE],
            )?;
            // What lies in a folder that is not tried again would wait without end.
            transaction.execute(
                "WITH RECURSIVE below (no) AS (
                     SELECT u.no FROM upload AS u JOIN upload AS p ON p.no = u.parent
                     WHERE u.state = ?1 AND p.state = ?2
                     UNION ALL SELECT u.no FROM upload AS u JOIN below ON u.parent = below.no WHERE u.state = ?1)
                 UPDATE upload SET state = ?2, outcome = ?3, reason = ?4 WHERE no IN (SELECT no FROM below)",
                params![WAITING, ENDED, failed, ends::PARENT],
            )?;
            Ok(())
        })
        .await
    }

    /// How many files are still to be put into the target, and how many bytes they have.
    pub async fn open_uploads(&self) -> Result<(u64, u64)> {
        self.change(|transaction| {
            transaction.query_row(
                "SELECT count(*), coalesce(sum(size), 0) FROM upload WHERE kind = 0 AND state IN (?1, ?2)",
                params![WAITING, READY],
                |row| {
                    let (files, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
                    Ok((files.cast_unsigned(), bytes.max(0).cast_unsigned()))
                },
            )
        })
        .await
    }

    /// Begins a listing of the folder that a step stands for, and returns its number.
    pub async fn begin_there(&self, folder: i64) -> Result<i64> {
        self.change(move |transaction| {
            transaction.execute("UPDATE upload SET listing = listing + 1 WHERE no = ?1", [folder])?;
            transaction.query_row("SELECT listing FROM upload WHERE no = ?1", [folder], |row| {
                row.get(0)
            })
        })
        .await
    }

    /// Adds what a page of that listing told.
    pub async fn add_there(
        &self,
        folder: i64,
        listing: i64,
        entries: Vec<Entry>,
        fold: fn(&str) -> String,
    ) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT OR REPLACE INTO there
                     (folder, id, name, fold, kind, size, modified, location, facts, listing)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            for entry in &entries {
                statement.execute(params![
                    folder,
                    entry.id.as_str(),
                    entry.name,
                    fold(&entry.name),
                    i64::from(entry.is_folder()),
                    to_signed(entry.size),
                    entry.modified.map(Timestamp::as_second),
                    entry.location,
                    manifest::encode_facts(entry),
                    listing
                ])?;
            }
            Ok(())
        })
        .await
    }

    /// Ends a listing: what earlier listings told and this one did not is gone.
    pub async fn end_there(&self, folder: i64, listing: i64) -> Result<()> {
        self.change(move |transaction| {
            transaction.execute(
                "DELETE FROM there WHERE folder = ?1 AND listing < ?2",
                params![folder, listing],
            )?;
            Ok(())
        })
        .await
    }
}

fn insert(transaction: &Transaction<'_>, step: &NewUpload) -> rusqlite::Result<()> {
    let above: Option<(i64, Option<i64>)> = match step.parent {
        None => None,
        Some(parent) => transaction
            .prepare_cached("SELECT state, outcome FROM upload WHERE no = ?1")?
            .query_row([parent], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?,
    };
    let (state, outcome, reason) = match (&step.settled, above) {
        (Some((outcome, reason)), _) => (ENDED, Some(*outcome), reason.as_str()),
        (None, Some((ENDED, _))) => (ENDED, Some(UploadOutcome::Failed), ends::PARENT),
        (None, None | Some((DONE, _))) => (READY, None, ""),
        (None, Some(_)) => (WAITING, None, ""),
    };
    let known = step.known.as_deref();
    transaction
        .prepare_cached(
            "INSERT INTO upload (no, parent, family, drive, target, id, path, name, fold, kind, size, modified,
                                 sha256, stored_at, state, again, new_id, location, facts, outcome, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .execute(params![
            step.no,
            step.parent,
            step.target.as_ref().map_or(0, |target| target.family() as i64),
            step.drive.as_str(),
            step.target.as_ref().map_or("", |target| target.as_str()),
            step.id.as_str(),
            step.path.as_str(),
            step.name,
            step.fold,
            i64::from(step.kind == Kind::Folder),
            to_signed(step.size),
            step.modified.map(Timestamp::as_second),
            step.sha256,
            step.stored_at,
            state,
            step.settled.is_none(),
            known.map(|entry| entry.id.as_str()),
            known.and_then(|entry| entry.location.as_deref()),
            known.map(manifest::encode_facts),
            outcome.map(|outcome| outcome as i64),
            reason
        ])?;
    Ok(())
}

/// The columns from `first` on of an entry of a target drive: id, name, kind, size, modified, location, facts.
fn target_entry(row: &SqlRow<'_>, first: usize, drive: &str) -> rusqlite::Result<Entry> {
    let id: Option<String> = row.get(first)?;
    let mut entry = Entry::root(DriveId::new(drive), FileId::new(id.unwrap_or_default()));
    entry.name = row.get::<_, Option<String>>(first + 1)?.unwrap_or_default();
    if row.get::<_, i64>(first + 2)? == 0 {
        entry.kind = Kind::File;
    }
    entry.size = row.get::<_, Option<i64>>(first + 3)?.map(i64::cast_unsigned);
    entry.modified = second(row.get(first + 4)?);
    entry.location = row.get(first + 5)?;
    if let Some(text) = row.get::<_, Option<String>>(first + 6)? {
        let facts = manifest::decode_facts(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(first + 6, rusqlite::types::Type::Text, Box::new(error))
        })?;
        entry.created = facts.created;
        entry.accessed = facts.accessed;
        entry.properties = facts.properties;
    }
    Ok(entry)
}

fn second(second: Option<i64>) -> Option<Timestamp> {
    second.and_then(|second| Timestamp::from_second(second).ok())
}
