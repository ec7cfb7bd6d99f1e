//! What drives hold, counted from a manifest's rows or from listings of a part.

use std::collections::{BTreeMap, HashSet};

use super::{Depth, PAGE};
use crate::depth;
use crate::entry::{Detail, Kind};
use crate::id::{DriveId, Family, FileId};
use crate::manifest::{Outcome, Row};

/// What the drives of one family hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Drives, those that cannot be read left out.
    pub drives: u64,
    /// Drives that cannot be read.
    pub unreadable: u64,
    /// Folders, roots left out.
    pub folders: u64,
    /// Files.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Pages of the roots' listings.
    pub root_pages: u64,
    /// Pages of the other folders' listings.
    pub pages: u64,
    /// Details that are asked for.
    pub depth: Depth,
}

impl Contents {
    /// Adds the same of others.
    pub fn add(&mut self, other: &Contents) {
        self.drives += other.drives;
        self.unreadable += other.unreadable;
        self.folders += other.folders;
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.root_pages += other.root_pages;
        self.pages += other.pages;
        self.depth.add(&other.depth);
    }

    /// All but the drives, `times` over, in proportion.
    fn scaled(&self, times: f64) -> Contents {
        let scale = |value: u64| (value as f64 * times).round() as u64;
        Contents {
            folders: scale(self.folders),
            files: scale(self.files),
            bytes: scale(self.bytes),
            root_pages: scale(self.root_pages),
            pages: scale(self.pages),
            depth: self.depth.scaled(scale),
            ..self.clone()
        }
    }
}

/// Counts the rows of a manifest as they come, sorted by drive and path.
///
/// Of the tree it holds only the folders whose rows may still follow, one below the other.
#[derive(Debug, Default)]
pub struct Counter {
    asked: Vec<Detail>,
    families: BTreeMap<Family, Contents>,
    drives: HashSet<DriveId>,
    drive: Option<Open>,
    folders: Vec<Folder>,
}

/// The drive whose rows are coming.
#[derive(Debug)]
struct Open {
    id: DriveId,
    children: u64,
    refused: bool,
}

/// A folder whose children may still come: all rows whose path begins with its path stand behind it.
#[derive(Debug)]
struct Folder {
    id: FileId,
    path: String,
    children: u64,
}

impl Counter {
    /// Begins; those details are counted too.
    pub fn new(asked: Vec<Detail>) -> Counter {
        Counter {
            asked,
            ..Counter::default()
        }
    }

    /// Counts a drive that need not have rows: an empty one is listed all the same.
    pub fn drive(&mut self, drive: &DriveId, readable: bool) {
        if !self.drives.insert(drive.clone()) {
            return;
        }
        let contents = self.families.entry(drive.family()).or_default();
        if readable {
            contents.drives += 1;
            contents.root_pages += 1;
            let asked = depth::of_drive(drive.family(), &self.asked);
            contents.depth.drives(&asked, 1);
        } else {
            contents.unreadable += 1;
        }
    }

    /// Counts one row.
    pub fn row(&mut self, row: &Row) {
        if self.drive.as_ref().is_none_or(|open| open.id != row.entry.drive) {
            self.close();
            self.drive(&row.entry.drive, !row.path.is_root());
            self.drive = Some(Open {
                id: row.entry.drive.clone(),
                children: 0,
                refused: false,
            });
        }
        if row.path.is_root() {
            if let Some(open) = &mut self.drive {
                open.refused = true;
            }
            return;
        }
        let path = row.path.as_str();
        while let Some(folder) = self.folders.pop_if(|folder| !path.starts_with(&folder.path)) {
            self.end(&folder);
        }
        self.child(row, path);
        let contents = self.families.entry(row.entry.drive.family()).or_default();
        let is_there = !matches!(row.outcome, Outcome::Skipped | Outcome::Vanished);
        if is_there && !row.entry.id.as_str().is_empty() {
            contents.depth.item(&depth::of_item(&row.entry, &self.asked));
        }
        match (row.entry.kind, row.outcome) {
            (_, Outcome::Skipped | Outcome::Vanished) => {}
            (Kind::File, _) => {
                contents.files += 1;
                contents.bytes = contents.bytes.saturating_add(row.entry.size.unwrap_or(0));
            }
            (Kind::Folder, _) => {
                contents.folders += 1;
                self.folders.push(Folder {
                    id: row.entry.id.clone(),
                    path: path.to_owned(),
                    children: 0,
                });
            }
        }
    }

    /// What was counted, by family.
    pub fn finish(mut self) -> BTreeMap<Family, Contents> {
        self.close();
        self.families
    }

    /// Counts a row as a child of its folder: the one of that id, else the deepest that it lies below, else the root.
    fn child(&mut self, row: &Row, path: &str) {
        let of_id = self
            .folders
            .iter()
            .rposition(|folder| row.entry.parent_id.as_ref() == Some(&folder.id));
        let above = || {
            self.folders.iter().rposition(|folder| {
                path.strip_prefix(&folder.path)
                    .is_some_and(|rest| rest.starts_with('/'))
            })
        };
        match of_id.or_else(above).and_then(|place| self.folders.get_mut(place)) {
            Some(folder) => folder.children += 1,
            None => {
                if let Some(open) = &mut self.drive {
                    open.children += 1;
                }
            }
        }
    }

    fn end(&mut self, folder: &Folder) {
        if let Some(open) = &self.drive {
            let contents = self.families.entry(open.id.family()).or_default();
            contents.pages += pages(folder.children);
        }
    }

    fn close(&mut self) {
        while let Some(folder) = self.folders.pop() {
            self.end(&folder);
        }
        if let Some(open) = self.drive.take().filter(|open| !open.refused) {
            let contents = self.families.entry(open.id.family()).or_default();
            // The first page is counted with the drive.
            contents.root_pages += pages(open.children) - 1;
        }
    }
}

/// Pages of a folder with so many children: an empty one has a page as well.
fn pages(children: u64) -> u64 {
    children.div_ceil(PAGE).max(1)
}

/// What a look at a part of one drive saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Folders listed to their end, the root among them.
    pub listed: u64,
    /// Folders found, the root among them.
    pub found: u64,
    /// Files found.
    pub files: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Pages of the root.
    pub root_pages: u64,
    /// Pages of other folders.
    pub pages: u64,
    /// Details that would be asked for of what was found.
    pub depth: Depth,
}

impl Sampled {
    /// Whether the whole drive was seen.
    pub fn is_whole(&self) -> bool {
        self.listed == self.found
    }

    /// What the drive holds, if the folders that were not listed are like those that were. What lies below them is not
    /// known, so the true figures are rather higher.
    fn contents(&self) -> Contents {
        let seen = Contents {
            drives: 1,
            unreadable: 0,
            folders: self.found.saturating_sub(1),
            files: self.files,
            bytes: self.bytes,
            root_pages: self.root_pages.max(1),
            pages: self.pages,
            depth: self.depth,
        };
        let unlisted = self.found.saturating_sub(self.listed);
        if unlisted == 0 {
            return seen;
        }
        let share = unlisted as f64 / self.listed.max(1) as f64;
        let mut more = seen.scaled(share);
        more.drives = 0;
        // A folder costs a page at the least, and the root is listed once.
        more.pages = (more.pages + more.root_pages).max(unlisted);
        more.root_pages = 0;
        let mut contents = seen;
        contents.add(&more);
        contents
    }

    /// What a family holds: `drives` of which these were looked at, and more that cannot be read.
    pub fn extrapolate(samples: &[Sampled], drives: u64, unreadable: u64) -> Contents {
        let mut seen = Contents::default();
        for sample in samples {
            seen.add(&sample.contents());
        }
        let share = if samples.is_empty() {
            0.0
        } else {
            drives as f64 / samples.len() as f64
        };
        let mut contents = seen.scaled(share);
        contents.drives = drives;
        contents.unreadable = unreadable;
        contents.root_pages = contents.root_pages.max(drives);
        contents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use crate::path::DrivePath;

    fn row(drive: &str, path: &str, id: &str, parent: &str, kind: Kind, outcome: Outcome) -> Row {
        let mut entry = Entry::root(DriveId::new(drive), FileId::new(id));
        entry.kind = kind;
        entry.parent_id = Some(FileId::new(parent));
        entry.size = (kind == Kind::File).then_some(10);
        Row {
            entry,
            drive_name: String::new(),
            path: DrivePath::from_text(path),
            outcome,
            reason: String::new(),
            sha256: None,
            stored_at: None,
            attempts: 0,
        }
    }

    #[test]
    fn folders_are_counted_by_pages_whatever_stands_between_their_rows() {
        use Kind::{File, Folder};
        use Outcome::{Failed, Reused, Skipped, Stored};
        let mut rows = vec![
            row("me", "/a", "1", "r", Folder, Stored),
            // Sorted between a folder and its children, since a blank comes before a slash.
            row("me", "/a b", "2", "r", Folder, Stored),
            row("me", "/a b/z", "9", "2", File, Reused),
        ];
        rows.extend((0..401).map(|n| row("me", &format!("/a/{n:03}"), "f", "1", File, Stored)));
        rows.extend([
            row("me", "/skipped", "3", "r", Folder, Skipped),
            // A twin: the same path, another id.
            row("me", "/t", "4", "r", Folder, Stored),
            row("me", "/t", "5", "r", Folder, Failed),
        ]);
        rows.extend((0..201).map(|n| row("me", &format!("/t/{n:03}"), "g", "4", File, Stored)));
        rows.extend((0..205).map(|n| row("sharedrives/@1", &format!("/{n}"), "h", "q", File, Stored)));
        rows.push(row("sharedrives/@2", "/", "root", "", Folder, Failed));
        rows.sort_by(|one, two| (&one.entry.drive, &one.path).cmp(&(&two.entry.drive, &two.path)));
        let mut counter = Counter::default();
        counter.drive(&DriveId::new("users/empty"), true);
        for row in &rows {
            counter.row(row);
        }
        let counted = counter.finish();
        let own = Contents {
            drives: 2,
            unreadable: 0,
            folders: 4,
            files: 603,
            bytes: 6_030,
            root_pages: 2,
            // 401 children are three pages, one child is one, 201 are two, none is one.
            pages: 3 + 1 + 2 + 1,
            ..Contents::default()
        };
        assert_eq!(counted.get(&Family::MyDrive), Some(&own));
        let shared = Contents {
            drives: 1,
            unreadable: 1,
            files: 205,
            bytes: 2_050,
            root_pages: 2,
            ..Contents::default()
        };
        assert_eq!(counted.get(&Family::SharedDrive), Some(&shared));
    }

    #[test]
    fn a_sample_that_saw_all_is_exact_and_one_that_did_not_is_scaled() {
        let whole = Sampled {
            listed: 3,
            found: 3,
            files: 30,
            bytes: 300,
            root_pages: 1,
            pages: 2,
            ..Sampled::default()
        };
        let contents = Sampled::extrapolate(&[whole], 1, 0);
        assert_eq!((contents.folders, contents.files, contents.pages), (2, 30, 2));
        // Half of the folders are not listed, and twice as many drives are there as were looked at.
        let part = Sampled { found: 6, ..whole };
        let contents = Sampled::extrapolate(&[part, part], 4, 1);
        assert_eq!((contents.drives, contents.unreadable), (4, 1));
        assert_eq!((contents.files, contents.bytes), (4 * 60, 4 * 600));
        assert_eq!((contents.root_pages, contents.pages), (4, 4 * 5));
        assert_eq!(Sampled::extrapolate(&[], 0, 2).unreadable, 2);
    }
}
