//! A comparison in figures: counts by word, bytes by folder, what an alarm looks at.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Change, Item, Word, is_live_file};
use crate::entry::Kind;
use crate::id::DriveId;
use crate::path;
use crate::report::{printable, size};

/// Top-level folders whose growth is kept while rows come. Beyond twice as many, those that changed least are put together.
const FOLDERS_KEPT: usize = 5_000;

/// Top-level folders whose growth a summary names.
const FOLDERS_TOLD: usize = 100;

/// Top-level folders that the summary for people names.
const FOLDERS_SHOWN: usize = 10;

/// Extensions that are told apart; all further ones count as one.
const EXTENSIONS_KEPT: usize = 10_000;

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Files, those that vanished left out.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

impl Extent {
    fn add(&mut self, item: &Item) {
        if item.kind == Kind::Folder {
            self.folders += 1;
        } else if is_live_file(item) {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(item.size.unwrap_or(0));
        }
    }

    fn to_json(self) -> Value {
        json!({ "files": self.files, "folders": self.folders, "bytes": self.bytes })
    }
}

/// How the files below one top-level folder of a drive grew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The drive; `None` for the folders that are put together.
    pub drive: Option<DriveId>,
    /// The folder's path; `/` for the files that lie in none.
    pub folder: String,
    /// Files in the earlier snapshot.
    pub files_before: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// Files in the later snapshot.
    pub files_after: u64,
    /// Their bytes.
    pub bytes_after: u64,
}

impl Growth {
    fn new(drive: Option<DriveId>, folder: &str) -> Growth {
        Growth {
            drive,
            folder: folder.to_owned(),
            files_before: 0,
            bytes_before: 0,
            files_after: 0,
            bytes_after: 0,
        }
    }

    /// Bytes in the later snapshot less bytes in the earlier one.
    pub fn bytes(&self) -> i128 {
        i128::from(self.bytes_after) - i128::from(self.bytes_before)
    }

    fn merge(&mut self, other: &Growth) {
        self.files_before += other.files_before;
        self.bytes_before = self.bytes_before.saturating_add(other.bytes_before);
        self.files_after += other.files_after;
        self.bytes_after = self.bytes_after.saturating_add(other.bytes_after);
    }

    fn to_json(&self) -> Value {
        json!({
            "drive": self.drive.as_ref().map(DriveId::as_str),
            "folder": self.folder,
            "files_before": self.files_before,
            "files_after": self.files_after,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
        })
    }
}

/// What a comparison found, in figures.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// All of the earlier snapshot.
    pub before: Extent,
    /// All of the later snapshot.
    pub after: Extent,
    /// What is new.
    pub added: Extent,
    /// What is gone.
    pub removed: Extent,
    /// What the earlier snapshot has, and of which the later one can say nothing.
    pub unknown: Extent,
    /// Files that have an extension which fewer files have than before, as far as other extensions have more: renaming all
    /// `.docx` to `.locked` counts each of them, be it by name or by a new file, and files that only came or went do not count.
    pub shifted_extensions: u64,
    /// Entries that have a link for whoever has the address, and had none.
    pub new_public_links: u64,
    /// Files and folders that have another path only because of a folder above them.
    pub carried: u64,
    /// The top-level folders whose bytes changed most, first the greatest difference; at most 100, the rest as one.
    pub growth: Vec<Growth>,
    files: [u64; Word::ALL.len()],
    folders: [u64; Word::ALL.len()],
    places: HashMap<(DriveId, String), usize>,
    last: usize,
    rest: Option<Growth>,
    extensions: HashMap<String, (u64, u64)>,
}

impl Summary {
    /// Files that the word was said of.
    pub fn files_with(&self, word: Word) -> u64 {
        self.files.get(word as usize).copied().unwrap_or(0)
    }

    /// Folders that the word was said of.
    pub fn folders_with(&self, word: Word) -> u64 {
        self.folders.get(word as usize).copied().unwrap_or(0)
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.files.iter().chain(&self.folders).all(|count| *count == 0)
    }

    /// The figures as one JSON object; sizes in bytes.
    pub fn to_json(&self) -> Value {
        let words = Word::ALL.map(|word| {
            let facts = json!({ "files": self.files_with(word), "folders": self.folders_with(word) });
            (word.as_str().to_owned(), facts)
        });
        json!({
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "changes": words.into_iter().collect::<Map<String, Value>>(),
            "bytes_added": self.added.bytes,
            "bytes_removed": self.removed.bytes,
            "bytes_unknown": self.unknown.bytes,
            "carried": self.carried,
            "new_public_links": self.new_public_links,
            "shifted_extensions": self.shifted_extensions,
            "growth": self.growth.iter().map(Growth::to_json).collect::<Vec<_>>(),
        })
    }

    /// The figures for people: a few lines.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for word in Word::ALL {
            let (files, folders) = (self.files_with(word), self.folders_with(word));
            if files + folders == 0 {
                continue;
            }
            let more = match word {
                Word::Added => format!(", {}", size(self.added.bytes)),
                Word::Removed => format!(", {}", size(self.removed.bytes)),
                Word::Unknown => " (the folder could not be read)".to_owned(),
                Word::Content => " (size and time are the same, the bytes are not)".to_owned(),
                _ => String::new(),
            };
            lines.push(format!(
                "{:<8} {files} files, {folders} folders{more}",
                word.as_str()
            ));
        }
        if lines.is_empty() {
            lines.push("no changes".to_owned());
        }
        if self.carried > 0 {
            lines.push(format!(
                "         {} more have another path because a folder above was renamed or moved",
                self.carried
            ));
        }
        lines.push(format!(
            "total    {} files, {} -> {} files, {}",
            self.before.files,
            size(self.before.bytes),
            self.after.files,
            size(self.after.bytes)
        ));
        for growth in self
            .growth
            .iter()
            .filter(|growth| growth.bytes() != 0)
            .take(FOLDERS_SHOWN)
        {
            let sign = if growth.bytes() < 0 { '-' } else { '+' };
            let bytes = u64::try_from(growth.bytes().unsigned_abs()).unwrap_or(u64::MAX);
            lines.push(format!(
                "  {:>12}  {} {}",
                format!("{sign}{}", size(bytes)),
                growth.drive.as_ref().map_or("", DriveId::as_str),
                printable(&growth.folder)
            ));
        }
        lines.join("\n")
    }

    pub(super) fn add_before(&mut self, item: &Item) {
        self.before.add(item);
        self.count(item, false);
    }

    pub(super) fn add_after(&mut self, item: &Item) {
        self.after.add(item);
        self.count(item, true);
    }

    pub(super) fn add_change(&mut self, change: &Change) {
        let Some(item) = change.item() else {
            return;
        };
        let counts = match item.kind {
            Kind::File => &mut self.files,
            Kind::Folder => &mut self.folders,
        };
        for word in &change.words {
            if let Some(count) = counts.get_mut(*word as usize) {
                *count += 1;
            }
            match word {
                Word::Added => self.added.add(item),
                Word::Removed => self.removed.add(item),
                Word::Unknown if change.before.is_some() => self.unknown.add(item),
                _ => {}
            }
        }
        self.carried += change.carried;
        self.new_public_links += u64::from(change.is_newly_public());
    }

    /// Ends the counting: what was gathered becomes what is told.
    pub(super) fn settle(&mut self) {
        let (mut fewer, mut more) = (0_u64, 0_u64);
        for (before, after) in std::mem::take(&mut self.extensions).into_values() {
            fewer += before.saturating_sub(after);
            more += after.saturating_sub(before);
        }
        self.shifted_extensions = fewer.min(more);
        self.places = HashMap::new();
        self.shorten(FOLDERS_TOLD);
        self.growth.extend(self.rest.take());
    }

    fn count(&mut self, item: &Item, is_after: bool) {
        if !is_live_file(item) {
            return;
        }
        let bytes = item.size.unwrap_or(0);
        let growth = self.growth_of(item);
        let (files, sum) = match is_after {
            true => (&mut growth.files_after, &mut growth.bytes_after),
            false => (&mut growth.files_before, &mut growth.bytes_before),
        };
        *files += 1;
        *sum = sum.saturating_add(bytes);

        let mut extension = path::extension(&item.name);
        if self.extensions.len() >= EXTENSIONS_KEPT && !self.extensions.contains_key(&extension) {
            // No extension holds a slash, so that this is the one for the rest.
            "/".clone_into(&mut extension);
        }
        let (before, after) = self.extensions.entry(extension).or_default();
        *(if is_after { after } else { before }) += 1;
    }

    /// The counters of the top-level folder that `item` lies in.
    fn growth_of(&mut self, item: &Item) -> &mut Growth {
        let path = item.path.as_str();
        let top = path
            .get(1..)
            .and_then(|rest| rest.find('/'))
            .and_then(|end| path.get(..=end))
            .unwrap_or("/");
        let is_last = self
            .growth
            .get(self.last)
            .is_some_and(|last| last.folder == top && last.drive.as_ref() == Some(&item.drive));
        if !is_last {
            let key = (item.drive.clone(), top.to_owned());
            self.last = match self.places.get(&key) {
                Some(place) => *place,
                None => {
                    // Rows come drive by drive, so that what is put together here hardly comes again.
                    if self.growth.len() >= 2 * FOLDERS_KEPT {
                        self.shorten(FOLDERS_KEPT);
                        let numbered = self.growth.iter().enumerate();
                        self.places = numbered
                            .filter_map(|(place, growth)| {
                                Some(((growth.drive.clone()?, growth.folder.clone()), place))
                            })
                            .collect();
                    }
                    let place = self.growth.len();
                    self.growth.push(Growth::new(Some(item.drive.clone()), top));
                    self.places.insert(key, place);
                    place
                }
            };
        }
        let spare = self.rest.get_or_insert_with(|| Growth::new(None, "…"));
        self.growth.get_mut(self.last).unwrap_or(spare)
    }

    /// Keeps the folders that changed most and adds up the others.
    fn shorten(&mut self, kept: usize) {
        self.growth.sort_by(|left, right| {
            let by_bytes = right.bytes().unsigned_abs().cmp(&left.bytes().unsigned_abs());
            by_bytes.then_with(|| (&left.drive, &left.folder).cmp(&(&right.drive, &right.folder)))
        });
        if self.growth.len() > kept {
            let rest = self.rest.get_or_insert_with(|| Growth::new(None, "…"));
            for growth in self.growth.drain(kept..) {
                rest.merge(&growth);
            }
        }
        if self
            .rest
            .as_ref()
            .is_some_and(|rest| *rest == Growth::new(None, "…"))
        {
            self.rest = None;
        }
    }
}
