//! Roots, folders and items: what a walk found, and what became of each.

use jiff::Timestamp;
use rusqlite::{CachedStatement, Row as SqlRow, Transaction, params};

use super::{Ledger, Result, basis};
use crate::drive::{BrokenItem, PageToken};
use crate::entry::{Access, Entry, Kind, Quota, Root};
use crate::id::{DriveId, Family, FileId};
use crate::manifest::{self, Earlier, Outcome};
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
CREATE UNIQUE INDEX IF NOT EXISTS item_id ON item (root, id);
CREATE UNIQUE INDEX IF NOT EXISTS item_fold ON item (folder, fold);
CREATE INDEX IF NOT EXISTS item_pending ON item (family, no) WHERE state = 0;
";

/// A folder whose listing is still to be done, or to be done again.
const OPEN: i64 = 0;
/// A folder whose listing reached its end.
const CLOSED: i64 = 1;
/// A folder whose listing failed.
const FAILED: i64 = 2;

/// A file that waits for its bytes.
const PENDING: i64 = 0;
/// An item whose outcome is known.
const SETTLED: i64 = 1;

/// The longest local path, in bytes, below a snapshot's `files/`. Linux takes 4096 in all (limits.h, PATH_MAX) and
/// macOS 1024; the rest is for the archive's own place.
const LONGEST_LOCAL: usize = if cfg!(target_os = "macos") { 700 } else { 3000 };

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

    /// Pending files of a family with a number above `after`, in the order they were found, at most `limit`,
    /// each with its copy in an earlier snapshot.
    pub async fn pending(&self, family: Family, after: i64, limit: u32) -> Result<Vec<Work>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT item.no, root.drive, item.id, item.path, item.name_bytes, item.size,
                        item.modified, item.location, item.facts, item.local, item.parent_id,
                        item.version
                 FROM item JOIN root ON root.no = item.root
                 WHERE item.state = 0 AND item.family = ?1 AND item.no > ?2
                 ORDER BY item.no LIMIT ?3",
            )?;
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

    /// Where the settled files of this run are, through `take`: number and place.
    pub async fn stored_places(&self, mut take: impl FnMut(i64, &str) + Send + 'static) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction
                .prepare("SELECT no, stored_at FROM item WHERE state = ?1 AND stored_at IS NOT NULL")?;
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

    /// Notes what became of files. A file that was listed again meanwhile, as another content, waits on. What is stored of them belongs to the current batch: see [`Ledger::seal`].
    pub async fn settle(&self, done: Vec<Done>) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "UPDATE item SET state = ?2, outcome = ?3, reason = ?4, sha256 = ?5, stored_at = ?6,
                        attempts = attempts + ?7,
                        batch = (SELECT value FROM meta WHERE key = 'batch')
                 WHERE no = ?1 AND version = ?8",
            )?;
            for one in &done {
                let settled = statement.execute(params![
                    one.no,
                    SETTLED,
                    outcome_number(one.outcome),
                    one.reason,
                    one.sha256,
                    one.stored_at,
                    one.attempts,
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

/// What `apply_page` needs to know of the folder a page belongs to.
struct Parent {
    no: i64,
    root: i64,
    family: i64,
    path: DrivePath,
    local: String,
    drive_local: String,
}

fn apply_page(
    transaction: &Transaction<'_>,
    folder: i64,
    items: &[Listed],
    broken: &[BrokenItem],
    page: &PageFacts,
    now: Timestamp,
) -> rusqlite::Result<Applied> {
    let parent = transaction
        .prepare_cached(
            "SELECT folder.root, folder.family, folder.path, folder.local, root.local
             FROM folder JOIN root ON root.no = folder.root WHERE folder.no = ?1",
        )?
        .query_row([folder], |row| {
            Ok(Parent {
                no: folder,
                root: row.get(0)?,
                family: row.get(1)?,
                path: DrivePath::from_text(&row.get::<_, String>(2)?),
                local: row.get(3)?,
                drive_local: row.get(4)?,
            })
        })?;
    let mut applied = Applied::default();
    let mut insert = insert_statement(transaction)?;
    for listed in items {
        let Some((no, local)) = insert_item(transaction, &mut insert, &parent, listed)? else {
            applied.repeated += 1;
            refresh_item(transaction, parent.root, listed)?;
            continue;
        };
        match listed.entry.kind {
            Kind::File => {
                applied.files += 1;
                applied.bytes += listed.entry.size.unwrap_or(0);
            }
            Kind::Folder if listed.listed_as == ListedAs::Walk => {
                applied.folders += insert_folder(transaction, &parent, listed, no, &local)?;
            }
            Kind::Folder => {}
        }
    }
    for item in broken {
        if insert_broken(transaction, &parent, item)? {
            applied.broken += 1;
        } else {
            applied.repeated += 1;
        }
    }
    let new = items.len() as u64 + broken.len() as u64 - applied.repeated;
    transaction
        .prepare_cached(
            "UPDATE folder SET pages = pages + 1, listed = listed + ?2, repeated = repeated + ?3 WHERE no = ?1",
        )?
        .execute(params![folder, new as i64, applied.repeated as i64])?;
    if page.next.is_none() {
        close_folder(transaction, folder, page, now)?;
        applied.drive_is_listed = is_listed(transaction, parent.root)?;
    }
    Ok(applied)
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

fn insert_statement<'a>(transaction: &'a Transaction<'_>) -> rusqlite::Result<CachedStatement<'a>> {
    transaction.prepare_cached(
        "INSERT INTO item (root, folder, family, id, parent_id, path, name_bytes, kind, size, modified,
                           location, facts, fold, local, state, outcome, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT DO NOTHING",
    )
}

/// Inserts an item and returns its number and place, or nothing if its id is known already.
fn insert_item(
    transaction: &Transaction<'_>,
    insert: &mut CachedStatement<'_>,
    parent: &Parent,
    listed: &Listed,
) -> rusqlite::Result<Option<(i64, String)>> {
    let entry = &listed.entry;
    let path = parent.path.join(&entry.name);
    let facts = manifest::encode_facts(entry);
    let (state, outcome, reason) = match listed.listed_as {
        ListedAs::Fetch => (PENDING, None, ""),
        // A folder's outcome is that of its listing, which is still to come.
        ListedAs::Walk => (SETTLED, None, ""),
        ListedAs::Settled(outcome, reason) => (SETTLED, Some(outcome_number(outcome)), reason),
    };
    let mut attempt = |segment: &str, fold: Option<i64>| -> rusqlite::Result<Option<String>> {
        let local = place(parent, segment, &listed.placement);
        let inserted = insert.execute(params![
            parent.root,
            parent.no,
            parent.family,
            entry.id.as_str(),
            entry.parent_id.as_ref().map(FileId::as_str),
            path.as_str(),
            entry.name.len() as i64,
            i64::from(entry.is_folder()),
            to_signed(entry.size),
            entry.modified.map(Timestamp::as_second),
            entry.location,
            facts,
            fold,
            local,
            state,
            outcome,
            reason
        ])?;
        Ok((inserted == 1).then_some(local))
    };
    let placement = &listed.placement;
    // A twin of a name that is taken gets its derived name, which holds its id and so is free.
    let plain = match &placement.plain {
        Some(plain) => attempt(plain, Some(placement.fold as i64))?,
        None => None,
    };
    let local = match plain {
        Some(local) => Some(local),
        None => attempt(&placement.derived, None)?,
    };
    Ok(local.map(|local| (transaction.last_insert_rowid(), local)))
}

/// A file that is listed again with another size or date is another content: it is fetched again.
fn refresh_item(transaction: &Transaction<'_>, root: i64, listed: &Listed) -> rusqlite::Result<()> {
    if listed.listed_as != ListedAs::Fetch {
        return refresh_facts(transaction, root, &listed.entry);
    }
    let entry = &listed.entry;
    transaction
        .prepare_cached(
            "UPDATE item SET size = ?3, modified = ?4, facts = ?5, state = ?6, outcome = NULL,
                    version = version + 1
             WHERE root = ?1 AND id = ?2 AND kind = 0 AND (size IS NOT ?3 OR modified IS NOT ?4)",
        )?
        .execute(params![
            root,
            entry.id.as_str(),
            to_signed(entry.size),
            entry.modified.map(Timestamp::as_second),
            manifest::encode_facts(entry),
            PENDING
        ])?;
    Ok(())
}

/// What is told again of an item whose bytes are not wanted: the newest listing counts.
fn refresh_facts(transaction: &Transaction<'_>, root: i64, entry: &Entry) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE item SET size = ?3, modified = ?4, facts = ?5 WHERE root = ?1 AND id = ?2")?
        .execute(params![
            root,
            entry.id.as_str(),
            to_signed(entry.size),
            entry.modified.map(Timestamp::as_second),
            manifest::encode_facts(entry)
        ])?;
    Ok(())
}

/// The place of a child. A path that would be too long begins again below the drive's folder under the derived name,
/// which is the item's own.
fn place(parent: &Parent, segment: &str, placement: &Placement) -> String {
    let local = format!("{}/{segment}", parent.local);
    if local.len() > LONGEST_LOCAL {
        format!("{}/{}", parent.drive_local, placement.derived)
    } else {
        local
    }
}

fn insert_folder(
    transaction: &Transaction<'_>,
    parent: &Parent,
    listed: &Listed,
    item: i64,
    local: &str,
) -> rusqlite::Result<u64> {
    let entry = &listed.entry;
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO folder (root, family, id, item, path, local, location, facts, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            parent.root,
            parent.family,
            entry.id.as_str(),
            item,
            parent.path.join(&entry.name).as_str(),
            local,
            entry.location,
            manifest::encode_facts(entry),
            OPEN
        ])?;
    Ok(inserted as u64)
}

/// Notes an item without an id, a name or a readable form as a failure of its own.
fn insert_broken(
    transaction: &Transaction<'_>,
    parent: &Parent,
    item: &BrokenItem,
) -> rusqlite::Result<bool> {
    let name = item.name.as_deref().unwrap_or("");
    let mut entry = Entry::root(DriveId::new(""), FileId::new(""));
    entry.properties.other.insert("raw".to_owned(), item.raw.clone());
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO item (root, folder, family, id, path, name_bytes, kind, facts, local, state, outcome, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, '', ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            parent.root,
            parent.no,
            parent.family,
            item.id,
            parent.path.join(name).as_str(),
            name.len() as i64,
            manifest::encode_facts(&entry),
            SETTLED,
            outcome_number(Outcome::Failed),
            item.reason
        ])?;
    Ok(inserted == 1)
}

fn close_folder(
    transaction: &Transaction<'_>,
    folder: i64,
    page: &PageFacts,
    now: Timestamp,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE folder SET state = ?2, full_end = ?3, closed_at = ?4 WHERE no = ?1")?
        .execute(params![folder, CLOSED, page.full_end, now.as_second()])?;
    transaction
        .prepare_cached(
            "UPDATE item SET outcome = ?2, reason = '' WHERE no = (SELECT item FROM folder WHERE no = ?1)",
        )?
        .execute(params![folder, page.closed_as.map(outcome_number)])?;
    Ok(())
}

/// Whether no folder of a root is open.
fn is_listed(transaction: &Transaction<'_>, root: i64) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM folder WHERE root = ?1 AND state = 0)")?
        .query_row([root], |row| row.get(0))
}

fn update_entry(transaction: &Transaction<'_>, no: i64, entry: &Entry) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE item SET size = ?2, modified = ?3, facts = ?4 WHERE no = ?1")?
        .execute(params![
            no,
            to_signed(entry.size),
            entry.modified.map(Timestamp::as_second),
            manifest::encode_facts(entry)
        ])?;
    Ok(())
}

/// A folder from the columns number, drive, id, path, location, facts and known.
pub(super) fn to_folder(row: &SqlRow<'_>) -> rusqlite::Result<FolderWork> {
    let mut entry = Entry::root(
        DriveId::new(row.get::<_, String>(1)?),
        FileId::new(row.get::<_, String>(2)?),
    );
    entry.location = row.get(4)?;
    take_facts(row, 5, &mut entry)?;
    Ok(FolderWork {
        no: row.get(0)?,
        path: DrivePath::from_text(&row.get::<_, String>(3)?),
        entry,
        known: row.get::<_, i64>(6)?.max(0).cast_unsigned(),
    })
}

fn to_work(row: &SqlRow<'_>) -> rusqlite::Result<Work> {
    let path: String = row.get(3)?;
    let name_bytes: u32 = row.get(4)?;
    let drive: String = row.get(1)?;
    let entry = to_entry(
        row,
        drive,
        &path,
        name_bytes,
        Columns {
            id: 2,
            parent_id: 10,
            size: 5,
            modified: 6,
            location: 7,
            facts: 8,
        },
    )?;
    Ok(Work {
        no: row.get(0)?,
        entry,
        path: DrivePath::from_text(&path),
        local: row.get(9)?,
        earlier: None,
        version: row.get(11)?,
    })
}

/// Where the columns of an entry stand in a query.
pub(super) struct Columns {
    pub(super) id: usize,
    pub(super) parent_id: usize,
    pub(super) size: usize,
    pub(super) modified: usize,
    pub(super) location: usize,
    pub(super) facts: usize,
}

pub(super) fn to_entry(
    row: &SqlRow<'_>,
    drive: String,
    path: &str,
    name_bytes: u32,
    columns: Columns,
) -> rusqlite::Result<Entry> {
    let id: Option<String> = row.get(columns.id)?;
    let mut entry = Entry::root(DriveId::new(drive), FileId::new(id.unwrap_or_default()));
    entry.kind = Kind::File;
    entry.name = path
        .get(path.len().saturating_sub(name_bytes as usize)..)
        .unwrap_or_default()
        .to_owned();
    entry.parent_id = row.get::<_, Option<String>>(columns.parent_id)?.map(FileId::new);
    entry.size = row.get::<_, Option<i64>>(columns.size)?.map(i64::cast_unsigned);
    entry.modified = row
        .get::<_, Option<i64>>(columns.modified)?
        .and_then(|second| Timestamp::from_second(second).ok());
    entry.location = row.get(columns.location)?;
    take_facts(row, columns.facts, &mut entry)?;
    Ok(entry)
}

/// Reads the facts of an entry back from their column.
fn take_facts(row: &SqlRow<'_>, column: usize, entry: &mut Entry) -> rusqlite::Result<()> {
    let text: String = row.get(column)?;
    let facts = manifest::decode_facts(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })?;
    entry.created = facts.created;
    entry.accessed = facts.accessed;
    entry.properties = facts.properties;
    Ok(())
}

pub(super) fn outcome_number(outcome: Outcome) -> i64 {
    outcome as i64
}

pub(super) fn outcome_of(number: Option<i64>) -> Option<Outcome> {
    Outcome::ALL
        .into_iter()
        .find(|outcome| Some(outcome_number(*outcome)) == number)
}

/// SQLite's integers are signed; the same 64 bits come back as they went in.
pub(super) fn to_signed(number: Option<u64>) -> Option<i64> {
    number.map(u64::cast_signed)
}
