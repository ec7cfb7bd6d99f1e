//! Items handed on while a walk is still going: each as soon as it is listed (a folder) or settled (a file).

use rusqlite::params;

use super::columns::{Columns, PLACE, outcome_of, to_entry, to_folder};
use super::listing::FolderWork;
use super::{Ledger, Result};
use crate::entry::Kind;
use crate::id::{Family, FileId};
use crate::manifest::{Outcome, Row};
use crate::path::DrivePath;

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS handed (
    item INTEGER PRIMARY KEY,
    mark TEXT NOT NULL
);
";

/// What an item was when it was handed on. One that is fetched again as another content is handed on again.
const MARK: &str = "coalesce(outcome, -1) || ':' || coalesce(size, -1) || ':' || coalesce(modified, 0)
    || ':' || coalesce(sha256, '')";

/// An item that is handed on.
#[derive(Clone, Debug)]
pub struct Handed {
    /// Its number in the ledger.
    pub item: i64,
    /// What it is, to be given back with [`Ledger::hand_on`].
    pub mark: String,
    /// The item. A folder's outcome is not known before its listing is closed.
    pub row: Row,
    /// The id of the folder it was listed in; `None` is the root.
    pub folder: Option<FileId>,
}

impl Ledger {
    /// Items that were not handed on yet, with numbers above `after`, at most `limit`: a folder comes before what is in it.
    pub async fn not_handed(&self, after: i64, limit: u32) -> Result<Vec<Handed>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT item.id, item.parent_id, item.path, item.name_bytes, item.kind, item.size, item.modified,
                        item.location, item.facts, item.outcome, item.reason, item.sha256, {PLACE},
                        item.attempts, root.drive, root.name, item.no, folder.id, folder.item, {}
                 FROM item JOIN root ON root.no = item.root JOIN folder ON folder.no = item.folder
                 WHERE item.no > ?1 AND item.id IS NOT NULL AND (item.kind = 1 OR item.outcome IS NOT NULL)
                   AND NOT EXISTS (SELECT 1 FROM handed WHERE handed.item = item.no AND
                                   (item.kind = 1 OR handed.mark = {}))
                 ORDER BY item.no LIMIT ?2",
                mark(),
                mark()
            ))?;
            let rows = statement.query_map(params![after, limit], |row| {
                let path: String = row.get(2)?;
                let columns = Columns {
                    id: 0,
                    parent_id: 1,
                    size: 5,
                    modified: 6,
                    location: 7,
                    facts: 8,
                };
                let mut entry = to_entry(row, row.get(14)?, &path, row.get(3)?, columns)?;
                if row.get::<_, i64>(4)? == 1 {
                    entry.kind = Kind::Folder;
                }
                let in_root = row.get::<_, Option<i64>>(18)?.is_none();
                let folder: String = row.get(17)?;
                Ok(Handed {
                    item: row.get(16)?,
                    mark: row.get(19)?,
                    folder: (!in_root).then(|| FileId::new(folder)),
                    row: Row {
                        entry,
                        drive_name: row.get(15)?,
                        path: DrivePath::from_text(&path),
                        outcome: outcome_of(row.get(9)?).unwrap_or(Outcome::Listed),
                        reason: row.get::<_, Option<String>>(10)?.unwrap_or_default(),
                        sha256: row.get(11)?,
                        stored_at: row.get(12)?,
                        attempts: row.get(13)?,
                    },
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Notes items as handed on.
    pub async fn hand_on(&self, items: Vec<(i64, String)>) -> Result<()> {
        self.change(move |transaction| {
            let mut statement =
                transaction.prepare_cached("INSERT OR REPLACE INTO handed (item, mark) VALUES (?1, ?2)")?;
            for (item, mark) in &items {
                statement.execute(params![item, mark])?;
            }
            Ok(())
        })
        .await
    }

    /// The number below which everything is handed on.
    pub async fn handed_below(&self, after: i64) -> Result<i64> {
        self.change(move |transaction| {
            transaction.query_row(
                "SELECT coalesce(
                     (SELECT min(no) - 1 FROM item WHERE no > ?1 AND id IS NOT NULL
                      AND NOT EXISTS (SELECT 1 FROM handed WHERE item = item.no)),
                     (SELECT max(no) FROM item), ?1)",
                [after],
                |row| row.get(0),
            )
        })
        .await
    }
}

impl Ledger {
    /// Folders of a family that were listed, or that could not be, with numbers above `after`, at most `limit`.
    /// The root of a drive is one of them.
    pub async fn listed_folders(&self, family: Family, after: i64, limit: u32) -> Result<Vec<FolderWork>> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT folder.no, root.drive, folder.id, folder.path, folder.location, folder.facts, folder.known
                 FROM folder JOIN root ON root.no = folder.root
                 WHERE folder.family = ?1 AND folder.no > ?2 ORDER BY folder.no LIMIT ?3",
            )?;
            let rows = statement.query_map(params![family as i64, after, limit], to_folder)?;
            rows.collect()
        })
        .await
    }
}

/// [`MARK`] with its columns told from those of other tables.
pub(super) fn mark() -> String {
    ["outcome", "size", "modified", "sha256"]
        .into_iter()
        .fold(MARK.to_owned(), |text, column| {
            text.replace(&format!("({column},"), &format!("(item.{column},"))
        })
}
