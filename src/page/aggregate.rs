//! A manifest in the figures and lists that a page shows, gathered row by row in bounded memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;
use serde_json::Value;

use super::html::{shortened, shown};
use super::tally::{Sum, Tally};
use super::tree::Tree;
use crate::coverage::Totals;
use crate::entry::Kind;
use crate::manifest::{Outcome, Row, is_nothing, link_reach};
use crate::path;

/// Files in the list of the largest.
pub(super) const LARGEST_SHOWN: usize = 100;

/// Rows in each of the other lists.
pub(super) const LIST_SHOWN: usize = 500;

/// Characters of an owner, a drive or a reason in a list.
const WORD_SHOWN: usize = 60;

/// Owners, extensions and drives that are told apart while rows come.
const WORDS_KEPT: usize = 4_000;

/// The upper ends of the age classes in days; the last class has none.
pub(super) const AGES: [i64; 5] = [30, 90, 365, 2 * 365, 5 * 365];

/// Age classes: those of [`AGES`], older, and not told.
pub(super) const AGE_CLASSES: usize = AGES.len() + 2;

/// The figures of one manifest. Rows may come in any order; in the manifest's own, sizes by folder are the most exact.
#[derive(Debug)]
pub struct Aggregate {
    pub(super) as_of: Timestamp,
    pub(super) totals: Totals,
    pub(super) all: Sum,
    pub(super) types: Tally,
    pub(super) extensions: Tally,
    pub(super) owners: Tally,
    pub(super) drives: Tally,
    pub(super) ages: [Sum; AGE_CLASSES],
    pub(super) tree: Tree,
    pub(super) links: List,
    pub(super) shared: List,
    pub(super) inherited: u64,
    pub(super) infected: List,
    pub(super) locked: List,
    pub(super) failed: List,
    pub(super) skipped: List,
    largest: BinaryHeap<(Reverse<u64>, u64, Line)>,
    seen: u64,
}

/// The first rows of a kind, and how many there are.
#[derive(Debug, Default)]
pub(super) struct List {
    /// All there are.
    pub(super) total: u64,
    /// The first of them.
    pub(super) lines: Vec<Line>,
}

/// What a list shows of a row; texts are shortened already.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) drive: String,
    pub(super) path: String,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<Timestamp>,
    /// Who changed it last.
    pub(super) updated_by: String,
    /// What the list is about: a reason, a virus word, a link's reach.
    pub(super) remark: String,
}

impl List {
    fn add(&mut self, row: &Row, remark: &str) {
        self.total += 1;
        if self.lines.len() < LIST_SHOWN {
            self.lines.push(Line::new(row, remark));
        }
    }
}

impl Line {
    fn new(row: &Row, remark: &str) -> Line {
        let owner = row.entry.properties.updated_by.as_deref();
        Line {
            drive: shortened(drive_of(row), WORD_SHOWN),
            path: shown(row.path.as_str()),
            size: row.entry.size,
            modified: row.entry.modified,
            updated_by: shortened(owner.unwrap_or(""), WORD_SHOWN),
            remark: shortened(remark, WORD_SHOWN),
        }
    }
}

impl Aggregate {
    /// Begins; ages are counted back from `as_of`, the time of the snapshot.
    pub fn new(as_of: Timestamp) -> Aggregate {
        Aggregate {
            as_of,
            totals: Totals::default(),
            all: Sum::default(),
            types: Tally::new(WORDS_KEPT),
            extensions: Tally::new(WORDS_KEPT),
            owners: Tally::new(WORDS_KEPT),
            drives: Tally::new(WORDS_KEPT),
            ages: [Sum::default(); AGE_CLASSES],
            tree: Tree::default(),
            links: List::default(),
            shared: List::default(),
            inherited: 0,
            infected: List::default(),
            locked: List::default(),
            failed: List::default(),
            skipped: List::default(),
            largest: BinaryHeap::new(),
            seen: 0,
        }
    }

    /// Takes one row.
    pub fn add(&mut self, row: &Row) {
        self.totals.add(row);
        let entry = &row.entry;
        let properties = &entry.properties;
        match row.outcome {
            Outcome::Failed => self.failed.add(row, &row.reason),
            Outcome::Skipped => self.skipped.add(row, &row.reason),
            _ => {}
        }
        if let Some(reach) = link_reach(entry) {
            self.links.add(row, reach.as_str());
        }
        self.add_share(row);
        if entry.is_infected() {
            self.infected.add(row, properties.virus.as_deref().unwrap_or(""));
        }
        if properties.locked == Some(true) {
            self.locked.add(row, "");
        }
        if entry.kind == Kind::File && row.outcome != Outcome::Vanished {
            self.add_file(row);
        }
    }

    /// The largest files, the largest first.
    pub(super) fn largest(&self) -> Vec<Line> {
        let mut lines: Vec<_> = self.largest.iter().collect();
        lines.sort();
        lines.into_iter().map(|(.., line)| line.clone()).collect()
    }

    fn add_file(&mut self, row: &Row) {
        let entry = &row.entry;
        let bytes = entry.size.unwrap_or(0);
        self.all.add(bytes);
        self.types
            .add(entry.properties.file_type.as_deref().unwrap_or(""), bytes);
        self.extensions.add(&path::extension(&entry.name), bytes);
        self.owners
            .add(entry.properties.updated_by.as_deref().unwrap_or(""), bytes);
        self.drives.add(drive_of(row), bytes);
        let class = self.age_class(entry.modified);
        if let Some(sum) = self.ages.get_mut(class) {
            sum.add(bytes);
        }
        self.tree.add(row, bytes);

        self.seen += 1;
        let is_large = match self.largest.peek() {
            Some((Reverse(least), ..)) if self.largest.len() >= LARGEST_SHOWN => bytes > *least,
            _ => true,
        };
        if is_large {
            self.largest
                .push((Reverse(bytes), self.seen, Line::new(row, &row.reason)));
            if self.largest.len() > LARGEST_SHOWN {
                self.largest.pop();
            }
        }
    }

    fn add_share(&mut self, row: &Row) {
        let properties = &row.entry.properties;
        let told = |value: &Option<Value>| value.as_ref().is_some_and(|value| !is_nothing(value));
        let root = properties.other.get("shareRootFileId").and_then(Value::as_str);
        let is_root = root.is_none_or(|id| id == row.entry.id.as_str());
        if told(&properties.member_share) || (properties.shared == Some(true) && is_root) {
            self.shared.add(row, "");
        } else if properties.shared == Some(true) {
            self.inherited += 1;
        }
    }

    fn age_class(&self, modified: Option<Timestamp>) -> usize {
        let Some(modified) = modified else {
            return AGE_CLASSES - 1;
        };
        let days = self.as_of.as_second().saturating_sub(modified.as_second()) / 86_400;
        AGES.iter().position(|end| days < *end).unwrap_or(AGES.len())
    }
}

fn drive_of(row: &Row) -> &str {
    if row.drive_name.is_empty() {
        row.entry.drive.as_str()
    } else {
        &row.drive_name
    }
}
