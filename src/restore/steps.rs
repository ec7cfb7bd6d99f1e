//! Rows of a manifest become steps of a restore, in one pass and with memory for one path.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::entry::{Kind, Root};
use crate::id::{DriveId, FileId};
use crate::ledger::{NewUpload, Problem, UploadOutcome};
use crate::manifest::{self, Outcome, Row};
use crate::path::DrivePath;

use super::names::fold;

/// The largest file in bytes (10 GiB, API 2.0 docs, EN/drive-file-root-create).
pub const FILE_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// Which rows are restored, and where to.
#[derive(Clone)]
pub struct Selection {
    /// Whether a row is wanted. The folders above it come along.
    pub select: Arc<dyn Fn(&Row) -> bool + Send + Sync>,
    /// The place in the target drives.
    pub to: Place,
    /// The drive that each source drive goes into.
    pub targets: HashMap<DriveId, Root>,
    /// The name of each item in the target. For a drive that is the item's own name.
    pub name: Arc<dyn Fn(&Row) -> String + Send + Sync>,
    /// What the target takes.
    pub limits: Limits,
    /// The snapshot, for people.
    pub snapshot: String,
    /// Whether the run that made the snapshot was partial.
    pub is_partial: bool,
}

impl fmt::Debug for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Selection")
            .field("to", &self.to)
            .field("snapshot", &self.snapshot)
            .finish_non_exhaustive()
    }
}

/// Where in its target drive an item goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where it was.
    Original,
    /// Into a folder of this name at the drive's root.
    Folder(String),
}

impl Place {
    /// The folder that is used when the job names no place.
    pub fn default_folder(snapshot: &str) -> Place {
        Place::Folder(format!("Restored {snapshot}"))
    }
}

/// What a target takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest name in characters.
    pub name_characters: usize,
    /// The largest file in bytes.
    pub file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            name_characters: super::names::NAME_CHARACTERS,
            file_bytes: FILE_BYTES,
        }
    }
}

impl Limits {
    /// None of ours: a folder on this machine checks a name of 255 bytes itself, and the documents of the classic API name no
    /// limits, so that only its servers know them.
    pub const NONE: Limits = Limits {
        name_characters: usize::MAX,
        file_bytes: u64::MAX,
    };
}

/// A folder that rows to come may lie in.
struct Above {
    id: FileId,
    path: String,
    name: String,
    parent: Option<usize>,
    no: Option<i64>,
}

/// Makes steps of rows.
pub(crate) struct Steps {
    selection: Selection,
    shared_targets: BTreeSet<String>,
    next: i64,
    drive: Option<DriveId>,
    root: Option<i64>,
    above: Vec<Above>,
    unmapped: BTreeMap<String, u64>,
    /// Steps made and not yet taken away.
    pub(crate) made: Vec<NewUpload>,
    /// Problems found and not yet taken away.
    pub(crate) problems: Vec<Problem>,
}

impl Steps {
    pub(crate) fn new(selection: Selection) -> Steps {
        let mut seen = BTreeSet::new();
        let shared_targets = selection
            .targets
            .values()
            .map(|root| root.entry.drive.as_str().to_owned())
            .filter(|drive| !seen.insert(drive.clone()))
            .collect();
        Steps {
            selection,
            shared_targets,
            next: 0,
            drive: None,
            root: None,
            above: Vec::new(),
            unmapped: BTreeMap::new(),
            made: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Takes the next row. Rows come drive by drive and by path within each, as in a manifest.
    pub(crate) fn take(&mut self, row: Result<Row, manifest::Error>) {
        let row = match row {
            Ok(row) => row,
            Err(error) => return self.unreadable(&error),
        };
        if self.drive.as_ref() != Some(&row.entry.drive) {
            self.drive = Some(row.entry.drive.clone());
            self.root = None;
            self.above.clear();
        }
        while self
            .above
            .last()
            .is_some_and(|above| !row.path.as_str().starts_with(&above.path))
        {
            self.above.pop();
        }
        let wanted = (self.selection.select)(&row);
        if row.path.is_root() {
            // Only a drive that could not be read has a row of its own.
            if wanted && row.outcome == Outcome::Failed {
                self.not_in_snapshot(&row);
            }
            return;
        }
        let name = (self.selection.name)(&row);
        let is_held = match row.entry.kind {
            Kind::Folder => matches!(row.outcome, Outcome::Stored | Outcome::Reused | Outcome::Listed),
            Kind::File => matches!(row.outcome, Outcome::Stored | Outcome::Reused) && row.stored_at.is_some(),
        };
        if wanted && row.entry.is_infected() {
            self.problem("infected", &row, String::new());
        }
        if row.entry.is_folder() {
            let parent = self.parent_of(&row);
            self.above.push(Above {
                id: row.entry.id.clone(),
                path: row.path.as_str().to_owned(),
                name,
                parent,
                no: None,
            });
            match (wanted, is_held) {
                (true, true) => {
                    let last = self.above.len() - 1;
                    self.ensure(last);
                }
                (true, false) => self.not_in_snapshot(&row),
                (false, _) => {}
            }
        } else if wanted && !is_held {
            self.not_in_snapshot(&row);
        } else if wanted {
            self.file(&row, name);
        }
    }

    /// Notes what is only known at the end.
    pub(crate) fn end(&mut self) {
        for (drive, rows) in std::mem::take(&mut self.unmapped) {
            self.problems.push(Problem {
                problem: "unmapped".to_owned(),
                drive,
                path: String::new(),
                size: None,
                detail: format!("{rows} rows have no target drive"),
            });
        }
    }

    fn file(&mut self, row: &Row, name: String) {
        let limits = self.selection.limits;
        let size = row.entry.size;
        let refused = if name.chars().count() > limits.name_characters {
            Some("name-too-long")
        } else if size.is_some_and(|size| size > limits.file_bytes) {
            Some("too-large")
        } else {
            None
        };
        if let Some(reason) = refused {
            self.problem(reason, row, name.clone());
        }
        let at = self.parent_of(row);
        let parent = match at {
            Some(index) => self.ensure(index),
            None => self.root(),
        };
        let mut step = self.step(row.entry.id.clone(), row.path.clone(), name, Kind::File);
        step.parent = parent;
        step.size = size;
        step.modified = row.entry.modified;
        step.sha256.clone_from(&row.sha256);
        step.stored_at.clone_from(&row.stored_at);
        step.settled = refused.map(|reason| (UploadOutcome::Failed, reason.to_owned()));
        self.push(step);
    }

    /// The step of a drive's root and of the folder that everything goes into; `None` when the drive has no target.
    fn root(&mut self) -> Option<i64> {
        if self.root.is_some() {
            return self.root;
        }
        let drive = self.drive.clone()?;
        let target = self.selection.targets.get(&drive)?.clone();
        let mut step = self.step(
            target.entry.id.clone(),
            DrivePath::root(),
            String::new(),
            Kind::Folder,
        );
        step.known = Some(Box::new(target.entry.clone()));
        let mut parent = self.push(step);
        let mut folders = Vec::new();
        if let Place::Folder(name) = &self.selection.to {
            folders.push(name.clone());
        }
        if self.shared_targets.contains(target.entry.drive.as_str()) {
            // Two drives in one target would mix.
            folders.push(drive.as_str().replace(['/', '\\', ':'], "_"));
        }
        for name in folders {
            let mut step = self.step(FileId::new(""), DrivePath::root(), name, Kind::Folder);
            step.parent = Some(parent);
            parent = self.push(step);
        }
        self.root = Some(parent);
        self.root
    }

    /// The step of a folder above, made when it is the first time that something needs it.
    fn ensure(&mut self, index: usize) -> Option<i64> {
        let above = self.above.get(index)?;
        if above.no.is_some() {
            return above.no;
        }
        let (id, path, name, parent) = (
            above.id.clone(),
            above.path.clone(),
            above.name.clone(),
            above.parent,
        );
        let parent = match parent {
            Some(parent) => self.ensure(parent),
            None => self.root(),
        };
        let too_long = name.chars().count() > self.selection.limits.name_characters;
        let mut step = self.step(id, DrivePath::from_text(&path), name, Kind::Folder);
        step.parent = parent;
        if too_long {
            step.settled = Some((UploadOutcome::Failed, "name-too-long".to_owned()));
            self.problems.push(Problem {
                problem: "name-too-long".to_owned(),
                drive: step.drive.as_str().to_owned(),
                path,
                size: None,
                detail: step.name.clone(),
            });
        }
        let no = self.push(step);
        if let Some(above) = self.above.get_mut(index) {
            above.no = Some(no);
        }
        Some(no)
    }

    /// The folder that a row lies in, by id, or else by path. Folders that the manifest does not have are made up from the path.
    fn parent_of(&mut self, row: &Row) -> Option<usize> {
        if let Some(id) = &row.entry.parent_id
            && let Some(index) = self
                .above
                .iter()
                .rposition(|above| above.id == *id && above.path != row.path.as_str())
        {
            return Some(index);
        }
        let path = row.path.as_str();
        let parent = path
            .strip_suffix(row.entry.name.as_str())
            .and_then(|rest| rest.strip_suffix('/'))
            .or_else(|| path.rsplit_once('/').map(|(parent, _)| parent))?;
        if parent.is_empty() {
            return None;
        }
        let mut found = None;
        for (index, above) in self.above.iter().enumerate() {
            let inside = parent.strip_prefix(above.path.as_str());
            if inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                found = Some(index);
            }
        }
        let known = found
            .and_then(|index| self.above.get(index))
            .map_or("", |above| above.path.as_str());
        let missing = parent.get(known.len()..).unwrap_or_default().to_owned();
        let mut path = known.to_owned();
        for name in missing.split('/').skip(1) {
            path = format!("{path}/{name}");
            self.above.push(Above {
                id: FileId::new(""),
                path: path.clone(),
                name: name.to_owned(),
                parent: found,
                no: None,
            });
            found = Some(self.above.len() - 1);
        }
        found
    }

    fn not_in_snapshot(&mut self, row: &Row) {
        let why = if row.reason.is_empty() {
            row.outcome.as_str().to_owned()
        } else {
            format!("{}: {}", row.outcome.as_str(), row.reason)
        };
        self.problem("not-in-snapshot", row, why.clone());
        let name = row.entry.name.clone();
        let mut step = self.step(row.entry.id.clone(), row.path.clone(), name, row.entry.kind);
        step.size = row.entry.size;
        step.settled = Some((UploadOutcome::NotInSnapshot, why));
        self.push(step);
    }

    fn unreadable(&mut self, error: &manifest::Error) {
        let text = error.to_string();
        let drive = self.drive.clone().unwrap_or_else(|| DriveId::new(""));
        self.problems.push(Problem {
            problem: "unreadable-row".to_owned(),
            drive: drive.as_str().to_owned(),
            path: String::new(),
            size: None,
            detail: text.clone(),
        });
        let mut step = self.step(FileId::new(""), DrivePath::root(), String::new(), Kind::File);
        step.drive = drive;
        step.settled = Some((UploadOutcome::NotInSnapshot, text));
        self.push(step);
    }

    fn problem(&mut self, problem: &str, row: &Row, detail: String) {
        self.problems.push(Problem {
            problem: problem.to_owned(),
            drive: row.entry.drive.as_str().to_owned(),
            path: row.path.as_str().to_owned(),
            size: row.entry.size,
            detail,
        });
    }

    fn step(&self, id: FileId, path: DrivePath, name: String, kind: Kind) -> NewUpload {
        let drive = self.drive.clone().unwrap_or_else(|| DriveId::new(""));
        NewUpload {
            no: 0,
            parent: None,
            target: self
                .selection
                .targets
                .get(&drive)
                .map(|root| root.entry.drive.clone()),
            drive,
            id,
            path,
            fold: fold(&name),
            name,
            kind,
            size: None,
            modified: None,
            sha256: None,
            stored_at: None,
            known: None,
            settled: None,
        }
    }

    fn push(&mut self, mut step: NewUpload) -> i64 {
        self.next += 1;
        step.no = self.next;
        if step.target.is_none() && step.settled.is_none() {
            *self.unmapped.entry(step.drive.as_str().to_owned()).or_default() += 1;
            step.settled = Some((UploadOutcome::Failed, "unmapped".to_owned()));
        }
        self.made.push(step);
        self.next
    }
}
