//! Roots and folders: what a walk found, and how far it is.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::columns::{outcome_number, to_folder, to_signed};
use super::page::apply_page;
use super::{Ledger, Result};
use crate::drive::{BrokenItem, PageToken};
use crate::entry::{Access, Entry, Quota, Root};
use crate::id::{DriveId, Family};
use crate::manifest::{self, Outcome};
use crate::path::DrivePath;

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS root (
    no INTEGER PRIMARY KEY,
    drive TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    location TEXT,
    facts TEXT NOT NULL,
    local TEXT NOT NULL,
    refused TEXT,
    message TEXT,
    quota_total INTEGER,
    quota_used INTEGER,
    quota_trash INTEGER
);
CREATE TABLE IF NOT EXISTS folder (
    no INTEGER PRIMARY KEY,
    root INTEGER NOT NULL,
    family INTEGER NOT NULL,
    id TEXT NOT NULL,
    item INTEGER,
    path TEXT NOT NULL,
    local TEXT NOT NULL,
    location TEXT,
    facts TEXT NOT NULL,
    state INTEGER NOT NULL,
    pages INTEGER NOT NULL DEFAULT 0,
    listed INTEGER NOT NULL DEFAULT 0,
    repeated INTEGER NOT NULL DEFAULT 0,
    known INTEGER NOT NULL DEFAULT 0,
    full_end INTEGER NOT NULL DEFAULT 0,
    closed_at INTEGER,
    reason TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS folder_id ON folder (root, id);
CREATE INDEX IF NOT EXISTS folder_open ON folder (family, no) WHERE state = 0;
CREATE INDEX IF NOT EXISTS folder_open_root ON folder (root) WHERE state = 0;
CREATE TABLE IF NOT EXISTS item (
    no INTEGER PRIMARY KEY,
    root INTEGER NOT NULL,
    folder INTEGER NOT NULL,
    family INTEGER NOT NULL,
    key BLOB,
    id TEXT,
    parent_id TEXT,
    path TEXT NOT NULL,
    name_bytes INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    size INTEGER,
    modified INTEGER,
    location TEXT,
    facts TEXT NOT NULL,
    fold INTEGER,
    local TEXT NOT NULL,
    state INTEGER NOT NULL,
    outcome INTEGER,
    reason TEXT,
    sha256 TEXT,
    stored_at TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    batch INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS item_fold ON item (folder, fold);
CREATE INDEX IF NOT EXISTS item_pending ON item (family, no) WHERE state = 0;
";

/// A folder whose listing is still to be done, or to be done again.
pub(super) const OPEN: i64 = 0;
/// A folder whose listing reached its end.
pub(super) const CLOSED: i64 = 1;
/// A folder whose listing failed.
const FAILED: i64 = 2;

/// A file that waits for its bytes.
pub(super) const PENDING: i64 = 0;
/// An item whose outcome is known.
pub(super) const SETTLED: i64 = 1;

/// A root for the ledger, with the local folder of its drive.
#[derive(Clone, Debug)]
pub struct NewRoot {
    /// What the service says of it.
    pub root: Root,
    /// The drive's folder below a snapshot's `files/`.
    pub local: String,
}

/// Where the local file system may put an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The name itself, where the local file system can hold it.
    pub plain: Option<String>,
    /// A name made from it and from the id, which no other item has.
    pub derived: String,
    /// Equal for names that some file system takes for the same.
    pub fold: u64,
}

/// One item of a page, with what shall be done with it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The item.
    pub entry: Entry,
    /// Its place in the local file system.
    pub placement: Placement,
    /// What to do.
    pub listed_as: ListedAs,
}

/// What a walk does with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedAs {
    /// A folder to be listed.
    Walk,
    /// A file whose bytes are wanted.
    Fetch,
    /// Nothing more is asked of it.
    Settled(Outcome, &'static str),
}

/// What a page says of its listing.
#[derive(Clone, Debug, Default)]
pub struct PageFacts {
    /// Where the next page begins; `None` closes the listing.
    pub next: Option<PageToken>,
    /// Whether it is the last and yet as full as the service allows.
    pub full_end: bool,
    /// The outcome a folder gets when its listing is closed.
    pub closed_as: Option<Outcome>,
}

/// What a page added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Files not seen before.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Folders to be listed that were not seen before.
    pub folders: u64,
    /// Items of the page that an earlier page or folder had already.
    pub repeated: u64,
    /// Items that cannot be worked with.
    pub broken: u64,
    /// Whether no folder of the drive is open any more.
    pub drive_is_listed: bool,
}

/// A folder to be listed.
#[derive(Clone, Debug)]
pub struct FolderWork {
    /// Its number in the ledger.
    pub no: i64,
    /// The folder.
    pub entry: Entry,
    /// Its path in the drive.
    pub path: DrivePath,
    /// Items of it that an earlier, broken-off listing told already: they will come again.
    pub known: u64,
}

impl Ledger {
    /// Adds the roots that are not known yet, and opens the listing of those that can be read.
    /// A root that an earlier start of this run found refused is taken as it is now.
    pub async fn add_roots(&self, roots: Vec<NewRoot>) -> Result<()> {
        self.change(move |transaction| {
            for new in &roots {
                add_root(transaction, new)?;
            }
            Ok(())
        })
        .await
    }

    /// Keeps what the service says that a drive holds, once it is known.
    pub async fn set_quota(&self, drive: DriveId, quota: Quota) -> Result<()> {
        self.change(move |transaction| {
            transaction.execute(
                "UPDATE root SET quota_total = ?2, quota_used = ?3, quota_trash = ?4 WHERE drive = ?1",
                params![
                    drive.as_str(),
                    to_signed(quota.total),
                    to_signed(quota.used),
                    to_signed(quota.trash)
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Makes an unfinished run ready to go on: folders that were closed before `time` or that failed are listed again,
    /// and files that failed are fetched again. A half-listed folder begins with its first page;
    /// what is known already is not added twice. Returns how many folders are open.
    pub async fn resume(&self, time: Timestamp) -> Result<u64> {
        self.change(move |transaction| {
            transaction.execute(
                "UPDATE folder SET state = ?1, reason = NULL
                 WHERE state = ?2 OR (state = ?3 AND closed_at < ?4)",
                params![OPEN, FAILED, CLOSED, time.as_second()],
            )?;
            begin_again(transaction, None)?;
            transaction.execute(
                "UPDATE item SET state = ?1, outcome = NULL, reason = NULL
                 WHERE kind = 0 AND id IS NOT NULL AND outcome = ?2 AND local <> ''",
                params![PENDING, outcome_number(Outcome::Failed)],
            )?;
            let open: i64 =
                transaction.query_row("SELECT count(*) FROM folder WHERE state = ?1", [OPEN], |row| {
                    row.get(0)
                })?;
            Ok(open.cast_unsigned())
        })
        .await
    }

    /// Open folders of a family with a number above `after`, in the order they were found, at most `limit`.
    pub async fn open_folders(&self, family: Family, after: i64, limit: u32) -> Result<Vec<FolderWork>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT folder.no, root.drive, folder.id, folder.path, folder.location, folder.facts, folder.known
                 FROM folder JOIN root ON root.no = folder.root
                 WHERE folder.state = 0 AND folder.family = ?1 AND folder.no > ?2
                 ORDER BY folder.no LIMIT ?3",
            )?;
            let rows = statement.query_map(params![family as i64, after, limit], to_folder)?;
            rows.collect()
        })
        .await
    }

    /// Puts one page into the ledger: its items first, then how far its folder is.
    pub async fn apply_page(
        &self,
        folder: i64,
        items: Vec<Listed>,
        broken: Vec<BrokenItem>,
        page: PageFacts,
        now: Timestamp,
    ) -> Result<Applied> {
        let applied = self
            .change(move |transaction| apply_page(transaction, folder, &items, &broken, &page, now))
            .await?;
        self.tell_news();
        Ok(applied)
    }

    /// Makes a half-listed folder ready to be listed from its first page once more; what is known already is not added
    /// twice. Returns how many of its items are known.
    pub async fn begin_again(&self, folder: i64) -> Result<u64> {
        self.change(move |transaction| {
            begin_again(transaction, Some(folder))?;
            let known: i64 =
                transaction.query_row("SELECT known FROM folder WHERE no = ?1", [folder], |row| {
                    row.get(0)
                })?;
            Ok(known.max(0).cast_unsigned())
        })
        .await
    }

    /// Notes that a folder's listing came to no end: it failed, or the folder vanished. What it listed before stays.
    /// Returns whether no folder of the drive is open any more.
    pub async fn end_folder(&self, folder: i64, outcome: Outcome, reason: String) -> Result<bool> {
        self.change(move |transaction| {
            let state = if outcome == Outcome::Vanished {
                CLOSED
            } else {
                FAILED
            };
            let root = transaction.query_row(
                "UPDATE folder SET state = ?2, reason = ?3 WHERE no = ?1 RETURNING root",
                params![folder, state, reason],
                |row| row.get(0),
            )?;
            transaction.execute(
                "UPDATE item SET outcome = ?2, reason = ?3
                 WHERE no = (SELECT item FROM folder WHERE no = ?1)",
                params![folder, outcome_number(outcome), reason],
            )?;
            is_listed(transaction, root)
        })
        .await
    }

    /// Whether a folder is still open or a file still waits for its bytes.
    pub async fn is_unfinished(&self) -> Result<bool> {
        self.change(|transaction| {
            transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM item WHERE state = 0)
                     OR EXISTS (SELECT 1 FROM folder WHERE state = 0)
                     OR EXISTS (SELECT 1 FROM detail WHERE state = 0)
                     OR EXISTS (SELECT 1 FROM meta WHERE key = 'details' AND value = 0)
                     OR NOT EXISTS (SELECT 1 FROM root)",
                [],
                |row| row.get(0),
            )
        })
        .await
    }

    /// Places of listed folders below `files/` with a number above `after`, at most `limit`, with the last number.
    pub async fn folder_places(&self, after: i64, limit: u32) -> Result<Vec<(i64, String)>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT no, local FROM folder WHERE no > ?1 AND state = ?2 ORDER BY no LIMIT ?3",
            )?;
            let rows = statement.query_map(params![after, CLOSED, limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            rows.collect()
        })
        .await
    }
}

fn add_root(transaction: &Transaction<'_>, new: &NewRoot) -> rusqlite::Result<()> {
    let entry = &new.root.entry;
    let (refused, message) = match &new.root.access {
        Access::Readable => (None, None),
        Access::Refused { reason, message } => (Some(reason.as_str()), Some(message.as_str())),
    };
    let quota = new.root.quota.unwrap_or_default();
    transaction.execute(
        "INSERT INTO root (drive, name, id, location, facts, local, refused, message,
                           quota_total, quota_used, quota_trash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (drive) DO UPDATE SET refused = excluded.refused, message = excluded.message,
             quota_total = excluded.quota_total, quota_used = excluded.quota_used,
             quota_trash = excluded.quota_trash, name = excluded.name",
        params![
            entry.drive.as_str(),
            new.root.name,
            entry.id.as_str(),
            entry.location,
            manifest::encode_facts(entry),
            new.local,
            refused,
            message,
            to_signed(quota.total),
            to_signed(quota.used),
            to_signed(quota.trash)
        ],
    )?;
    if new.root.access == Access::Readable {
        transaction.execute(
            "INSERT INTO folder (root, family, id, path, local, location, facts, state)
             SELECT no, ?2, id, '/', local, location, facts, ?3 FROM root WHERE drive = ?1
             ON CONFLICT (root, id) DO NOTHING",
            params![entry.drive.as_str(), entry.drive.family() as i64, OPEN],
        )?;
    }
    Ok(())
}

/// Counts anew what open folders hold, one or all: their listing begins with the first page.
fn begin_again(transaction: &Transaction<'_>, folder: Option<i64>) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM item WHERE id IS NULL
         AND folder IN (SELECT no FROM folder WHERE state = ?1 AND (?2 IS NULL OR no = ?2))",
        params![OPEN, folder],
    )?;
    transaction.execute(
        "UPDATE folder SET full_end = 0, repeated = 0,
                listed = (SELECT count(*) FROM item WHERE folder = folder.no),
                known = (SELECT count(*) FROM item WHERE folder = folder.no)
         WHERE state = ?1 AND (?2 IS NULL OR no = ?2)",
        params![OPEN, folder],
    )?;
    Ok(())
}

/// Whether no folder of a root is open.
pub(super) fn is_listed(transaction: &Transaction<'_>, root: i64) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM folder WHERE root = ?1 AND state = 0)")?
        .query_row([root], |row| row.get(0))
}
