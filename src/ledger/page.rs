//! One page of a listing, put into the tables.

use jiff::Timestamp;
use rusqlite::{CachedStatement, Transaction, params};

use super::columns::{key, outcome_number, to_signed};
use super::known::Known;
use super::listing::{
    Applied, CLOSED, Listed, ListedAs, OPEN, PENDING, PageFacts, Placement, SETTLED, is_listed,
};
use crate::drive::BrokenItem;
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::manifest::{self, Outcome};
use crate::path::DrivePath;

/// The longest local path, in bytes, below a snapshot's `files/`. Linux takes 4096 in all (limits.h, PATH_MAX) and
/// macOS 1024; the rest is for the archive's own place.
const LONGEST_LOCAL: usize = if cfg!(target_os = "macos") { 700 } else { 3000 };

/// As many letters as a hash has, in its place until it is known: a row that grows when it is settled is moved, and each file
/// would be written twice as often.
const ROOM: &str = "                                                                ";

/// What `apply_page` needs to know of the folder a page belongs to.
struct Parent {
    no: i64,
    root: i64,
    family: i64,
    path: DrivePath,
    local: String,
    drive: String,
    drive_local: String,
}

pub(super) fn apply_page(
    transaction: &Transaction<'_>,
    folder: i64,
    items: &[Listed],
    broken: &[BrokenItem],
    page: &PageFacts,
    now: Timestamp,
) -> rusqlite::Result<Applied> {
    let parent = transaction
        .prepare_cached(
            "SELECT folder.root, folder.family, folder.path, folder.local, root.local, root.drive
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
                drive: row.get(5)?,
            })
        })?;
    let mut applied = Applied::default();
    let mut insert = insert_statement(transaction)?;
    let mut known = Known::open(transaction)?;
    for listed in items {
        let Some((no, local)) = insert_item(&mut insert, &mut known, &parent, listed)? else {
            applied.repeated += 1;
            refresh_item(transaction, &parent, listed)?;
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
        if insert_broken(transaction, &mut known, &parent, item)? {
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

fn insert_statement<'a>(transaction: &'a Transaction<'_>) -> rusqlite::Result<CachedStatement<'a>> {
    transaction.prepare_cached(
        "INSERT INTO item (root, folder, family, id, parent_id, path, name_bytes, kind, size, modified,
                           location, facts, fold, local, state, outcome, reason, key, no)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
         ON CONFLICT DO NOTHING",
    )
}

/// Inserts an item and returns its number and place, or nothing if its id is known already.
fn insert_item(
    insert: &mut CachedStatement<'_>,
    known: &mut Known<'_>,
    parent: &Parent,
    listed: &Listed,
) -> rusqlite::Result<Option<(i64, String)>> {
    let entry = &listed.entry;
    let key = key(&parent.drive, entry.id.as_str());
    let Some(no) = known.add(Some(key))? else {
        return Ok(None);
    };
    let path = parent.path.join(&entry.name);
    let facts = manifest::encode_facts(entry);
    let (state, outcome, reason) = match listed.listed_as {
        ListedAs::Fetch => (PENDING, None, ROOM),
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
            reason,
            key,
            no
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
    Ok(local.map(|local| (no, local)))
}

/// A file that is listed again with another size or date is another content: it is fetched again.
fn refresh_item(transaction: &Transaction<'_>, parent: &Parent, listed: &Listed) -> rusqlite::Result<()> {
    let entry = &listed.entry;
    let key = key(&parent.drive, entry.id.as_str());
    if listed.listed_as != ListedAs::Fetch {
        return refresh_facts(transaction, key, entry);
    }
    transaction
        .prepare_cached(
            "UPDATE item SET size = ?2, modified = ?3, facts = ?4, state = ?5, outcome = NULL,
                    version = version + 1
             WHERE no = (SELECT no FROM known WHERE key = ?1) AND kind = 0
               AND (size IS NOT ?2 OR modified IS NOT ?3)",
        )?
        .execute(params![
            key,
            to_signed(entry.size),
            entry.modified.map(Timestamp::as_second),
            manifest::encode_facts(entry),
            PENDING
        ])?;
    Ok(())
}

/// What is told again of an item whose bytes are not wanted: the newest listing counts.
fn refresh_facts(transaction: &Transaction<'_>, key: [u8; 16], entry: &Entry) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE item SET size = ?2, modified = ?3, facts = ?4
             WHERE no = (SELECT no FROM known WHERE key = ?1)",
        )?
        .execute(params![
            key,
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
    known: &mut Known<'_>,
    parent: &Parent,
    item: &BrokenItem,
) -> rusqlite::Result<bool> {
    let key = item.id.as_deref().map(|id| key(&parent.drive, id));
    let Some(no) = known.add(key)? else {
        return Ok(false);
    };
    let name = item.name.as_deref().unwrap_or("");
    let mut entry = Entry::root(DriveId::new(""), FileId::new(""));
    entry.properties.other.insert("raw".to_owned(), item.raw.clone());
    transaction
        .prepare_cached(
            "INSERT INTO item (root, folder, family, id, path, name_bytes, kind, facts, local, state, outcome, reason,
                               key, no)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, '', ?8, ?9, ?10, ?11, ?12)",
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
            item.reason,
            key,
            no
        ])?;
    Ok(true)
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

pub(super) fn update_entry(transaction: &Transaction<'_>, no: i64, entry: &Entry) -> rusqlite::Result<()> {
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
