//! What changed between two snapshots, told from their manifests.
//!
//! Items are matched by drive and id, so that a renamed folder is one change and not a thousand. Both manifests are sorted
//! by drive and path, and most rows of two nights stand at the same place: these meet while both are read. The others are
//! sorted by id on disk and meet there. What differs is sorted by path once more, where each item finds the nearest folder
//! above it: a folder that could not be read makes what is missing below it *unknown*, never removed.
//!
//! Memory is bounded by two sort buffers of 16 MiB, whatever the number of rows. Rows that are not in order cost time only.

mod alarm;
mod item;
mod output;
mod record;
mod sorter;
mod summary;
mod tree;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::entry::Kind;
use crate::id::DriveId;
use crate::manifest::{self, Row};

pub use alarm::{Alarm, Alarms};
pub use item::{ACCESS_FIELDS, Item};
pub use output::{CSV_COLUMNS, CsvWriter, JsonLinesWriter, TableWriter};
pub use summary::{Extent, Growth, Summary};

use record::{Bytes, put_item};
use sorter::Sorter;
use tree::Tree;

/// Memory of each of the two sort buffers, in bytes.
const SORT_BUFFER: usize = 16 * 1024 * 1024;

/// One item that is not as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What happened to it, in the order of [`Word::ALL`]; never empty.
    pub words: Vec<Word>,
    /// The item in the earlier snapshot.
    pub before: Option<Item>,
    /// The item in the later snapshot.
    pub after: Option<Item>,
    /// Of a renamed or moved folder: files and folders below it that were neither renamed nor moved themselves, and have
    /// another path only because of it.
    pub carried: u64,
}

/// What can happen to an item between two snapshots. One item can have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// It is new.
    Added,
    /// It is gone from a folder that was listed to its end.
    Removed,
    /// Only one snapshot has it, and the other could not read the folder: it may be gone, or new, or neither.
    Unknown,
    /// It has another name.
    Renamed,
    /// It lies in another folder or drive.
    Moved,
    /// A file's size or modified time is another.
    Changed,
    /// A file's bytes are others although size and modified time are the same.
    Content,
    /// What is told of its shares, links or permissions is another.
    Access,
    /// Somebody else is named as the one who changed it last, or it lies in another drive.
    Owner,
    /// It is stored in one snapshot and not in the other: skipped, vanished or failed there.
    Outcome,
}

impl Word {
    /// Every word.
    pub const ALL: [Word; 10] = [
        Word::Added,
        Word::Removed,
        Word::Unknown,
        Word::Renamed,
        Word::Moved,
        Word::Changed,
        Word::Content,
        Word::Access,
        Word::Owner,
        Word::Outcome,
    ];

    /// The word as it stands in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Word::Added => "added",
            Word::Removed => "removed",
            Word::Unknown => "unknown",
            Word::Renamed => "renamed",
            Word::Moved => "moved",
            Word::Changed => "changed",
            Word::Content => "content",
            Word::Access => "access",
            Word::Owner => "owner",
            Word::Outcome => "outcome",
        }
    }
}

impl Change {
    /// The item as it is now, or as it was last seen.
    pub fn item(&self) -> Option<&Item> {
        self.after.as_ref().or(self.before.as_ref())
    }

    /// Whether `word` is among its words.
    pub fn is(&self, word: Word) -> bool {
        self.words.contains(&word)
    }

    /// The access fields that differ.
    pub fn access_fields(&self) -> Vec<&'static str> {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return Vec::new();
        };
        let fields = ACCESS_FIELDS.iter().enumerate();
        fields
            .filter(|(index, _)| {
                before.access_text(*index) != after.access_text(*index)
                    && item::is_known(*index, before, after)
            })
            .map(|(_, name)| *name)
            .collect()
    }

    /// Whether it gives a link to whoever has the address, which it had not before.
    pub fn is_newly_public(&self) -> bool {
        let anyone = Some(manifest::LinkReach::Anyone);
        let is = |item: &Option<Item>| item.as_ref().is_some_and(|item| item.link == anyone);
        let is_known = match (&self.before, &self.after) {
            (Some(before), Some(after)) => item::is_link_known(before, after),
            _ => !self.is(Word::Unknown),
        };
        is_known && is(&self.after) && !is(&self.before)
    }
}

/// What a comparison has to know beyond the rows.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Drives that the later snapshot read, by its coverage statement. An empty drive has no row, and without its name here
    /// all that it held would be unknown instead of removed. Drives with rows need not be named.
    pub covered_after: BTreeSet<DriveId>,
}

/// Why two manifests could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The earlier manifest could not be read.
    #[error("the earlier manifest cannot be read")]
    Before(#[source] manifest::Error),
    /// The later manifest could not be read.
    #[error("the later manifest cannot be read")]
    After(#[source] manifest::Error),
    /// The folder for temporary files failed.
    #[error("the temporary files of the comparison failed")]
    Scratch(#[source] io::Error),
    /// The receiver of the changes failed.
    #[error("the changes cannot be written")]
    Sink(#[source] io::Error),
}

/// Compares two manifests and gives every change to `sink`, by drive and path; a renamed or moved folder comes after the
/// changes below its new place, since only then it is known how much it carried. Temporary files are made in `scratch` when
/// the rows are too many for memory; they have no name and end with the call.
///
/// # Errors
/// [`Error`]; a row that cannot be read ends the comparison, since all that follows would be guesses.
pub fn diff(
    before: impl Iterator<Item = Result<Row, manifest::Error>>,
    after: impl Iterator<Item = Result<Row, manifest::Error>>,
    scratch: &Path,
    options: &Options,
    mut sink: impl FnMut(&Change) -> io::Result<()>,
) -> Result<Summary, Error> {
    let mut meeting = Meeting {
        by_id: Sorter::new(scratch, SORT_BUFFER),
        tree: Tree::new(scratch, SORT_BUFFER),
        summary: Summary::default(),
        covered_after: options.covered_after.clone(),
        key: Vec::new(),
        payload: Vec::new(),
    };
    let mut before = before.map(|row| row.map(Item::from_row).map_err(Error::Before));
    let mut after = after.map(|row| row.map(Item::from_row).map_err(Error::After));
    let mut left = before.next().transpose()?;
    let mut right = after.next().transpose()?;
    loop {
        let order = match (&left, &right) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => place(left).cmp(&place(right)),
        };
        let one = if order.is_le() { left.take() } else { None };
        let other = if order.is_ge() { right.take() } else { None };
        meeting
            .take(one.as_ref(), other.as_ref())
            .map_err(Error::Scratch)?;
        if order.is_le() {
            left = before.next().transpose()?;
        }
        if order.is_ge() {
            right = after.next().transpose()?;
        }
    }
    let (tree, mut summary, covered) = meeting.join().map_err(Error::Scratch)?;
    tree.walk(&covered, |change| {
        summary.add_change(change);
        sink(change).map_err(Error::Sink)
    })?;
    summary.settle();
    Ok(summary)
}

fn place(item: &Item) -> (&str, &str, &str) {
    (item.drive.as_str(), item.path.as_str(), item.id.as_str())
}

/// Where the rows of both sides find each other.
struct Meeting {
    by_id: Sorter,
    tree: Tree,
    summary: Summary,
    covered_after: BTreeSet<DriveId>,
    key: Vec<u8>,
    payload: Vec<u8>,
}

impl Meeting {
    /// Takes the rows of one place: both sides, or one.
    fn take(&mut self, before: Option<&Item>, after: Option<&Item>) -> io::Result<()> {
        if let Some(item) = before {
            self.summary.add_before(item);
        }
        if let Some(item) = after {
            self.summary.add_after(item);
            if !self.covered_after.contains(&item.drive) {
                self.covered_after.insert(item.drive.clone());
            }
        }
        match (before, after) {
            (Some(before), Some(after)) => self.tree.pair(before, after),
            (Some(item), None) => self.set_aside(item, BEFORE),
            (None, Some(item)) => self.set_aside(item, AFTER),
            (None, None) => Ok(()),
        }
    }

    /// Keeps a row until all are read and those of one id stand together.
    fn set_aside(&mut self, item: &Item, side: u8) -> io::Result<()> {
        self.key.clear();
        // Without an id, an item is known by its path.
        let (mark, text) = match item.id.as_str() {
            "" => (PATH, item.path.as_str()),
            id => (ID, id),
        };
        self.key.push(mark);
        push_text(&mut self.key, text);
        push_text(&mut self.key, item.drive.as_str());
        self.key.push(side);
        self.payload.clear();
        put_item(&mut self.payload, item);
        self.by_id.push(&self.key, &self.payload)
    }

    /// Joins the rows set aside: by id and drive, and what is then left, by id alone.
    fn join(self) -> io::Result<(Tree, Summary, BTreeSet<DriveId>)> {
        let mut tree = self.tree;
        let mut rows = self.by_id.finish()?;
        let mut waiting: Option<Item> = None;
        let mut rest = Rest::default();
        while let Some((key, payload)) = rows.next()? {
            let is_after = key.last() == Some(&AFTER);
            let item = Bytes(payload).item()?;
            if let Some(other) = waiting.take() {
                if is_after && is_same(&other, &item) {
                    rest.turn(&item, &mut tree)?;
                    tree.pair(&other, &item)?;
                    continue;
                }
                rest.take(other, false, &mut tree)?;
            }
            if is_after {
                rest.take(item, true, &mut tree)?;
            } else {
                waiting = Some(item);
            }
        }
        if let Some(other) = waiting {
            rest.take(other, false, &mut tree)?;
        }
        rest.settle(&mut tree)?;
        Ok((tree, self.summary, self.covered_after))
    }
}

const ID: u8 = 0;
const PATH: u8 = 1;
const BEFORE: u8 = 0;
const AFTER: u8 = 1;

/// Appends `text` so that the bytes sort as the text does and end before any longer text.
fn push_text(key: &mut Vec<u8>, text: &str) {
    // UTF-8 has no byte 255 (RFC 3629), so that one more never wraps, and 0 is free for the end.
    key.extend(text.bytes().map(|byte| byte.wrapping_add(1)));
    key.push(0);
}

fn is_same(before: &Item, after: &Item) -> bool {
    before.drive == after.drive
        && before.id == after.id
        && (!before.id.as_str().is_empty() || before.path == after.path)
}

/// The rows of one id that found no partner in their own drive. When each side has one, and kind and name agree, the item
/// went from drive to drive.
#[derive(Default)]
struct Rest {
    before: Vec<Item>,
    after: Vec<Item>,
}

impl Rest {
    fn take(&mut self, item: Item, is_after: bool, tree: &mut Tree) -> io::Result<()> {
        self.turn(&item, tree)?;
        let side = if is_after {
            &mut self.after
        } else {
            &mut self.before
        };
        side.push(item);
        // Two are enough to know that there is no single partner.
        if side.len() > 2
            && let Some(item) = side.pop()
        {
            tree.single(&item, is_after)?;
        }
        Ok(())
    }

    /// Lets go of another id's rows.
    fn turn(&mut self, next: &Item, tree: &mut Tree) -> io::Result<()> {
        let held = self.before.first().or(self.after.first());
        match held {
            Some(held) if held.id != next.id => self.settle(tree),
            _ => Ok(()),
        }
    }

    fn settle(&mut self, tree: &mut Tree) -> io::Result<()> {
        if let ([before], [after]) = (self.before.as_slice(), self.after.as_slice())
            && before.drive != after.drive
            && !before.id.is_root()
            && !before.id.as_str().is_empty()
            && !before.path.is_root()
            && (before.kind, &before.name) == (after.kind, &after.name)
        {
            tree.pair(before, after)?;
            self.before.clear();
            self.after.clear();
        }
        for item in self.before.drain(..) {
            tree.single(&item, false)?;
        }
        for item in self.after.drain(..) {
            tree.single(&item, true)?;
        }
        Ok(())
    }
}

/// Whether an item counts as a file with bytes.
fn is_live_file(item: &Item) -> bool {
    item.kind == Kind::File && item.outcome != manifest::Outcome::Vanished
}

#[cfg(test)]
mod tests;
