//! What differs, walked in the order of the trees, so that each item meets the folders above it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::item::compare;
use super::record::{Bytes, put_item, put_text, put_words};
use super::sorter::Sorter;
use super::{Change, Error, Item, Word, push_text};
use crate::entry::Kind;
use crate::id::DriveId;
use crate::path::DrivePath;

/// What a record tells, and the order of records of one path.
mod rank {
    /// A folder at its place in the earlier tree, with its drive and path; the later snapshot listed it to its end.
    pub(super) const BEFORE_CLOSED: u8 = 0;
    /// The same, and the later snapshot could not.
    pub(super) const BEFORE_OPEN: u8 = 1;
    /// A folder at its place in the later tree; the earlier snapshot listed it to its end.
    pub(super) const AFTER_CLOSED: u8 = 2;
    /// The same, and the earlier snapshot could not.
    pub(super) const AFTER_OPEN: u8 = 3;
    /// An item that only the earlier snapshot has.
    pub(super) const ONLY_BEFORE: u8 = 4;
    /// An item that only the later snapshot has.
    pub(super) const ONLY_AFTER: u8 = 5;
    /// An item of both that differs.
    pub(super) const PAIR: u8 = 6;
    /// An item whose path differs because of a folder above it, at its place in the later tree.
    pub(super) const CARRIED: u8 = 7;
}

/// Gathers what the walk needs.
pub(super) struct Tree {
    sorter: Sorter,
    key: Vec<u8>,
    payload: Vec<u8>,
}

impl Tree {
    /// Sorts in `limit` bytes of memory and in `folder`.
    pub(super) fn new(folder: &Path, limit: usize) -> Tree {
        Tree {
            sorter: Sorter::new(folder, limit),
            key: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Takes an item that both snapshots have.
    pub(super) fn pair(&mut self, before: &Item, after: &Item) -> io::Result<()> {
        let (words, carried) = compare(before, after);
        if before.kind == Kind::Folder && after.kind == Kind::Folder {
            let closed = |item: &Item, closed, open| if item.is_closed() { closed } else { open };
            self.push(
                before,
                closed(after, rank::BEFORE_CLOSED, rank::BEFORE_OPEN),
                |_| (),
            )?;
            self.push(
                after,
                closed(before, rank::AFTER_CLOSED, rank::AFTER_OPEN),
                |_| (),
            )?;
        }
        if carried {
            self.push(after, rank::CARRIED, |_| ())?;
        }
        if !words.is_empty() {
            self.push(after, rank::PAIR, |payload| {
                put_words(payload, &words);
                put_item(payload, before);
                put_item(payload, after);
            })?;
        }
        Ok(())
    }

    /// Takes an item that one snapshot has.
    pub(super) fn single(&mut self, item: &Item, is_after: bool) -> io::Result<()> {
        let rank = if is_after {
            rank::ONLY_AFTER
        } else {
            rank::ONLY_BEFORE
        };
        self.push(item, rank, |payload| put_item(payload, item))
    }

    fn push(&mut self, item: &Item, rank: u8, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.key.clear();
        push_text(&mut self.key, item.drive.as_str());
        push_path(&mut self.key, &item.path);
        self.key.push(rank);
        self.payload.clear();
        self.payload.push(rank);
        put_text(&mut self.payload, item.drive.as_str());
        put_text(&mut self.payload, item.path.as_str());
        fill(&mut self.payload);
        self.sorter.push(&self.key, &self.payload)
    }

    /// Gives every change to `sink`. `covered` names the drives that the later snapshot read.
    pub(super) fn walk(
        self,
        covered: &BTreeSet<DriveId>,
        mut sink: impl FnMut(&Change) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut sorted = self.sorter.finish().map_err(Error::Scratch)?;
        let mut walk = Walk::default();
        while let Some((_, payload)) = sorted.next().map_err(Error::Scratch)? {
            let mut bytes = Bytes(payload);
            let (rank, drive, path) = bytes.place().map_err(Error::Scratch)?;
            walk.enter(drive, &path, covered, &mut sink)?;
            match rank {
                rank::ONLY_BEFORE | rank::ONLY_AFTER => {
                    let item = bytes.item().map_err(Error::Scratch)?;
                    walk.only(item, rank == rank::ONLY_AFTER, &mut sink)?;
                }
                rank::PAIR => {
                    let change = bytes.pair().map_err(Error::Scratch)?;
                    walk.pair(path, change, &mut sink)?;
                }
                rank::CARRIED => walk.carry(&path),
                rank::BEFORE_CLOSED => walk.before.push(path, Fate::Known),
                rank::BEFORE_OPEN => walk.before.push(path, Fate::Open),
                rank::AFTER_CLOSED => walk.after.push(path, Fate::Known),
                _ => walk.after.push(path, Fate::Open),
            }
        }
        walk.leave(None, &mut sink)
    }
}

/// Appends `path` so that a folder comes right before all that is below it and nothing else comes between.
fn push_path(key: &mut Vec<u8>, path: &DrivePath) {
    if !path.is_root() {
        key.extend(path.as_str().bytes().map(|byte| match byte {
            b'/' => 1,
            // UTF-8 has no byte above 244 (RFC 3629), so that nothing wraps, and 0 is free for the end.
            byte if byte < b'/' => byte.wrapping_add(2),
            byte => byte.wrapping_add(1),
        }));
    }
    key.push(0);
}

impl Bytes<'_> {
    fn place(&mut self) -> io::Result<(u8, &str, DrivePath)> {
        let rank = self.byte()?;
        let drive = self.text()?;
        Ok((rank, drive, DrivePath::from_text(self.text()?)))
    }

    fn pair(&mut self) -> io::Result<Change> {
        Ok(Change {
            words: self.words()?,
            before: Some(self.item()?),
            after: Some(self.item()?),
            carried: 0,
        })
    }
}

/// Where the walk stands.
#[derive(Default)]
struct Walk {
    drive: Option<DriveId>,
    /// Folders of the earlier tree above this place, with what the later snapshot knows of them.
    before: Folders,
    /// Folders of the later tree, with what the earlier snapshot knows.
    after: Folders,
    /// Renamed and moved folders above this place, the nearest last; they are told when their subtree ends.
    carriers: Vec<(DrivePath, Change)>,
}

impl Walk {
    /// Goes to the next place: leaves the folders that it is not below.
    fn enter(
        &mut self,
        drive: &str,
        path: &DrivePath,
        covered: &BTreeSet<DriveId>,
        sink: &mut impl FnMut(&Change) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.drive.as_ref().is_none_or(|here| here.as_str() != drive) {
            self.leave(None, sink)?;
            let drive = DriveId::new(drive);
            let is_covered = covered.contains(&drive);
            self.before = Folders::new(if is_covered { Fate::Known } else { Fate::Open });
            self.after = Folders::new(Fate::Known);
            self.drive = Some(drive);
        }
        self.before.enter(path);
        self.after.enter(path);
        self.leave(Some(path), sink)
    }

    /// Tells of the carriers that `path` is not below; of all when there is none.
    fn leave(
        &mut self,
        path: Option<&DrivePath>,
        sink: &mut impl FnMut(&Change) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while self
            .carriers
            .last()
            .is_some_and(|(folder, _)| path.is_none_or(|path| !path.is_within(folder)))
        {
            if let Some((_, change)) = self.carriers.pop() {
                sink(&change)?;
            }
        }
        Ok(())
    }

    fn only(
        &mut self,
        item: Item,
        is_after: bool,
        sink: &mut impl FnMut(&Change) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let path = item.path.clone();
        if path.is_root() {
            // A drive's root has a row only when it could not be read. Where it has none, the drive was read.
            if item.is_closed() {
                return Ok(());
            }
            let other = if is_after {
                &mut self.before
            } else {
                &mut self.after
            };
            other.push(path, Fate::Open);
            return sink(&alone(Word::Outcome, item, is_after));
        }
        let (folders, word) = match is_after {
            true => (&mut self.after, Word::Added),
            false => (&mut self.before, Word::Removed),
        };
        let fate = match folders.above(&path) {
            Fate::Known | Fate::Absent => Fate::Absent,
            Fate::Open => Fate::Open,
        };
        if item.kind == Kind::Folder {
            folders.push(path, fate);
        }
        let word = if fate == Fate::Open { Word::Unknown } else { word };
        sink(&alone(word, item, is_after))
    }

    fn pair(
        &mut self,
        path: DrivePath,
        change: Change,
        sink: &mut impl FnMut(&Change) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let is_folder = change.item().is_some_and(|item| item.kind == Kind::Folder);
        if is_folder && (change.is(Word::Renamed) || change.is(Word::Moved)) {
            self.carriers.push((path, change));
            return Ok(());
        }
        sink(&change)
    }

    fn carry(&mut self, path: &DrivePath) {
        let above = self.carriers.iter_mut().rev().find(|(folder, _)| folder != path);
        if let Some((_, change)) = above {
            change.carried += 1;
        }
    }
}

fn alone(word: Word, item: Item, is_after: bool) -> Change {
    let (before, after) = if is_after {
        (None, Some(item))
    } else {
        (Some(item), None)
    };
    Change {
        words: vec![word],
        before,
        after,
        carried: 0,
    }
}

/// What the other snapshot knows of what lies in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    /// It listed the folder to its end.
    #[default]
    Known,
    /// It could not, or it could not read a folder above, so that nothing can be said.
    Open,
    /// It has no such folder.
    Absent,
}

/// The folders above a place in one tree, the nearest last.
#[derive(Default)]
struct Folders {
    root: Fate,
    stack: Vec<(DrivePath, Fate)>,
}

impl Folders {
    fn new(root: Fate) -> Folders {
        Folders {
            root,
            stack: Vec::new(),
        }
    }

    fn enter(&mut self, path: &DrivePath) {
        while self
            .stack
            .last()
            .is_some_and(|(folder, _)| !path.is_within(folder))
        {
            self.stack.pop();
        }
    }

    fn push(&mut self, path: DrivePath, fate: Fate) {
        self.stack.push((path, fate));
    }

    /// What is known of the nearest folder above `path`.
    fn above(&self, path: &DrivePath) -> Fate {
        let above = self.stack.iter().rev().find(|(folder, _)| folder != path);
        above.map_or(self.root, |(_, fate)| *fate)
    }
}
