//! Sizes by folder for the treemap, in bounded memory.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::html::shortened;
use super::tally::Sum;
use crate::id::Family;
use crate::manifest::Row;

/// Levels of the map: the drive, and five folders below it.
const LEVELS: usize = 6;

/// Folders in memory at most. When there are more, the smallest are forgotten; their bytes stay in the folders above.
const NODES: usize = 40_000;

/// Folders that are kept when some are forgotten.
const NODES_KEPT: usize = 10_000;

/// Folders on the page at most.
const NODES_SHOWN: usize = 1_500;

/// Folders in one view of the map at most; the rest is one area.
const WIDTH_SHOWN: usize = 30;

/// Characters of a folder's name on the map.
const NAME_SHOWN: usize = 60;

/// Folders with the files and bytes below them. The first is the whole.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    places: HashMap<(usize, String), usize>,
    /// The folder of the row before, since rows of one folder stand together.
    last: Option<(String, String, usize)>,
}

#[derive(Debug)]
struct Node {
    name: String,
    parent: usize,
    level: usize,
    sum: Sum,
}

/// A folder on the page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    /// The place of the folder above in the list; the first is above itself.
    pub(super) parent: usize,
    /// Its name; of a drive, the drive's.
    pub(super) name: String,
    /// How far down it is; the whole is 0, a drive 1.
    pub(super) level: usize,
    /// Files and bytes below it, those in folders that are not shown too.
    pub(super) sum: Sum,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            nodes: vec![Node {
                name: String::new(),
                parent: 0,
                level: 0,
                sum: Sum::default(),
            }],
            places: HashMap::new(),
            last: None,
        }
    }
}

impl Tree {
    /// Counts a file.
    pub(super) fn add(&mut self, row: &Row, bytes: u64) {
        let path = row.path.as_str();
        let folder = path
            .strip_suffix(row.entry.name.as_str())
            .and_then(|rest| rest.strip_suffix('/'))
            .unwrap_or("");
        let drive = row.entry.drive.as_str();
        let known = self
            .last
            .as_ref()
            .filter(|(last_drive, last_folder, _)| last_drive == drive && last_folder == folder)
            .map(|(.., place)| *place);
        let mut place = match known {
            Some(place) => place,
            None => {
                let place = self.find(row, folder);
                self.last = Some((drive.to_owned(), folder.to_owned(), place));
                place
            }
        };
        while let Some(node) = self.nodes.get_mut(place) {
            node.sum.add(bytes);
            if place == 0 {
                break;
            }
            place = node.parent;
        }
    }

    /// The largest folders, each after the one above it.
    pub(super) fn shown(&self) -> Vec<Shown> {
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut widths: Vec<usize> = Vec::new();
        let mut shown: Vec<Shown> = Vec::new();
        for place in self.by_size() {
            let Some(node) = self.nodes.get(place) else {
                continue;
            };
            let parent = if place == 0 {
                Some(&0)
            } else {
                places.get(&node.parent)
            };
            let Some(&parent) = parent else {
                continue;
            };
            if place != 0 {
                match widths.get_mut(parent) {
                    Some(width) if *width < WIDTH_SHOWN && node.sum.bytes > 0 => *width += 1,
                    _ => continue,
                }
            }
            places.insert(place, shown.len());
            widths.push(0);
            shown.push(Shown {
                parent,
                name: shortened(&node.name, NAME_SHOWN),
                level: node.level,
                sum: node.sum,
            });
            if shown.len() >= NODES_SHOWN {
                break;
            }
        }
        shown
    }

    /// The place of a folder, made where it is not known.
    fn find(&mut self, row: &Row, folder: &str) -> usize {
        if self.nodes.len() + LEVELS > NODES {
            self.forget();
        }
        let word = row.entry.drive.as_str();
        // A member's drive has the member's mail for a name, which says all; names of other drives can be alike.
        let drive = if row.drive_name.is_empty() {
            word.to_owned()
        } else if row.entry.drive.family() == Family::MyDrive {
            row.drive_name.clone()
        } else {
            format!("{} ({word})", row.drive_name)
        };
        let mut place = self.child(0, drive);
        for name in folder.split('/').skip(1).take(LEVELS - 1) {
            place = self.child(place, name.to_owned());
        }
        place
    }

    fn child(&mut self, parent: usize, name: String) -> usize {
        let next = self.nodes.len();
        let level = self.nodes.get(parent).map_or(0, |node| node.level) + 1;
        match self.places.entry((parent, name)) {
            std::collections::hash_map::Entry::Occupied(known) => *known.get(),
            std::collections::hash_map::Entry::Vacant(new) => {
                self.nodes.push(Node {
                    name: new.key().1.clone(),
                    parent,
                    level,
                    sum: Sum::default(),
                });
                new.insert(next);
                next
            }
        }
    }

    /// Places from the largest to the smallest folder. A folder comes before those below it: it has no fewer bytes, and was made earlier.
    fn by_size(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.nodes.len()).collect();
        places.sort_by_key(|place| (Reverse(self.nodes.get(*place).map(|node| node.sum.bytes)), *place));
        places
    }

    fn forget(&mut self) {
        let mut kept = self.by_size();
        kept.truncate(NODES_KEPT);
        let moved: HashMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let mut old: Vec<Option<Node>> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.places.clear();
        self.last = None;
        for place in kept {
            let Some(mut node) = old.get_mut(place).and_then(Option::take) else {
                continue;
            };
            node.parent = moved.get(&node.parent).copied().unwrap_or(0);
            if place != 0 {
                self.places
                    .insert((node.parent, node.name.clone()), self.nodes.len());
            }
            self.nodes.push(node);
        }
    }
}
