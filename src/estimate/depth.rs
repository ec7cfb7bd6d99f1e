//! What details beyond the listing cost: one call for each thing that the listing points at.

use std::collections::BTreeMap;

use super::{Contents, Load};
use crate::entry::Detail;
use crate::id::Family;

/// How often each detail is asked for in the drives of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Of files and folders, in the order of [`Detail::ALL`].
    items: [u64; Detail::ALL.len()],
    /// Of drives themselves, in the same order.
    drives: [u64; Detail::ALL.len()],
}

impl Depth {
    /// Counts what is asked of one file or folder.
    pub fn item(&mut self, asked: &[Detail]) {
        count(&mut self.items, asked, 1);
    }

    /// Counts what is asked of so many drives themselves.
    pub fn drives(&mut self, asked: &[Detail], drives: u64) {
        count(&mut self.drives, asked, drives);
    }

    pub(super) fn add(&mut self, other: &Depth) {
        for (sum, more) in self.items.iter_mut().zip(other.items) {
            *sum += more;
        }
        for (sum, more) in self.drives.iter_mut().zip(other.drives) {
            *sum += more;
        }
    }

    /// What is asked of files and folders, scaled; drives stay as they are.
    pub(super) fn scaled(&self, scale: impl Fn(u64) -> u64) -> Depth {
        Depth {
            items: self.items.map(scale),
            drives: self.drives,
        }
    }

    fn of(&self, detail: Detail) -> (u64, u64) {
        let figure = |counts: &[u64]| counts.get(detail as usize).copied().unwrap_or(0);
        (figure(&self.items), figure(&self.drives))
    }
}

fn count(counts: &mut [u64], asked: &[Detail], times: u64) {
    for detail in asked {
        if let Some(count) = counts.get_mut(*detail as usize) {
            *count += times;
        }
    }
}

/// The price of one word of a job's `depth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The word.
    pub word: &'static str,
    /// Its calls, which the figures of the whole run hold too. Lists of more than a page take more.
    pub load: Load,
    /// Why it has no calls of its own, if so.
    pub remark: &'static str,
}

impl Load {
    /// The calls that one detail costs, a page each.
    pub fn of_detail(families: &BTreeMap<Family, Contents>, detail: Detail) -> Load {
        let mut load = Load::default();
        for (family, contents) in families {
            let (items, drives) = contents.depth.of(detail);
            let [of_item, of_drive] = operations(*family, detail);
            load.add(of_item, items);
            load.add(of_drive, drives);
        }
        load
    }
}

/// The operations that tell a detail of an item and of a drive, in the words of the summary of a run.
fn operations(family: Family, detail: Detail) -> [&'static str; 2] {
    macro_rules! names {
        ($prefix:literal) => {
            match detail {
                Detail::Permissions => [
                    concat!($prefix, ".permissions"),
                    concat!($prefix, ".drive-permissions"),
                ],
                Detail::Link => [concat!($prefix, ".link"); 2],
                Detail::Share => [concat!($prefix, ".share"); 2],
                Detail::Revisions => [concat!($prefix, ".revisions"); 2],
                Detail::Trash => [concat!($prefix, ".trash"); 2],
            }
        };
    }
    match family {
        Family::MyDrive | Family::Key => names!("drive"),
        Family::SharedDrive => names!("sharedrive"),
        Family::GroupFolder => names!("group"),
        Family::SharedFolder => names!("sharedfolder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_detail_has_its_calls_by_operation() {
        let mut depth = Depth::default();
        depth.item(&[Detail::Link, Detail::Share]);
        depth.item(&[Detail::Link]);
        depth.drives(&[Detail::Permissions, Detail::Trash], 3);
        let contents = Contents {
            depth: depth.scaled(|items| items * 10),
            ..Contents::default()
        };
        let families = BTreeMap::from([
            (Family::SharedDrive, contents.clone()),
            (Family::MyDrive, contents),
        ]);
        for (detail, expected) in [
            (
                Detail::Permissions,
                vec![
                    ("drive.drive-permissions", 3),
                    ("sharedrive.drive-permissions", 3),
                ],
            ),
            (Detail::Link, vec![("drive.link", 20), ("sharedrive.link", 20)]),
            (Detail::Share, vec![("drive.share", 10), ("sharedrive.share", 10)]),
            (Detail::Revisions, vec![]),
            (Detail::Trash, vec![("drive.trash", 3), ("sharedrive.trash", 3)]),
        ] {
            let load = Load::of_detail(&families, detail);
            let calls: Vec<(&str, u64)> = load
                .calls
                .iter()
                .map(|(name, calls)| (name.as_str(), *calls))
                .collect();
            assert_eq!(calls, expected, "{detail:?}");
        }
    }
}
