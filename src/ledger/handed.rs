//! Items handed on while a walk is still going: each as soon as it is listed (a folder) or settled (a file).

use rusqlite::params;

use super::columns::{AFTER_ROW, row_columns, to_folder, to_row};
use super::listing::FolderWork;
use super::{Ledger, Result};
use crate::id::{DriveId, Family, FileId};
use crate::manifest::{Outcome, Row};

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
                "SELECT {}, root.drive, root.name, item.no, folder.id, folder.item, {}
                 FROM item JOIN root ON root.no = item.root JOIN folder ON folder.no = item.folder
                 WHERE item.no > ?1 AND item.id IS NOT NULL AND (item.kind = 1 OR item.outcome IS NOT NULL)
                   AND NOT EXISTS (SELECT 1 FROM handed WHERE handed.item = item.no AND
                                   (item.kind = 1 OR handed.mark = {}))
                 ORDER BY item.no LIMIT ?2",
                row_columns(),
                mark(),
                mark()
            ))?;
            let rows = statement.query_map(params![after, limit], |row| {
                let drive = DriveId::new(row.get::<_, String>(AFTER_ROW)?);
                let in_root = row.get::<_, Option<i64>>(AFTER_ROW + 4)?.is_none();
                let folder: String = row.get(AFTER_ROW + 3)?;
                Ok(Handed {
                    item: row.get(AFTER_ROW + 2)?,
                    mark: row.get(AFTER_ROW + 5)?,
                    folder: (!in_root).then(|| FileId::new(folder)),
                    row: to_row(row, drive, row.get(AFTER_ROW + 1)?, (Outcome::Listed, ""))?,
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
