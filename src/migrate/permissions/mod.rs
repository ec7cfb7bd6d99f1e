//! Who may do what in shared drives: recorded at the source, and set at the target by a step that shows its plan first.
//!
//! A wrong order of calls opens a folder to everyone or locks people out. So a drive is first shut as far as it has to be,
//! then its restricted folders are, and only then people are let in. When something could not be shut, nobody is let in.

mod apply;
mod decide;
mod people;
mod record;
mod survey;
mod table;

use std::collections::HashSet;

use crate::drive::{Party, SharingChange};
use crate::entry::Entry;
use crate::id::DriveId;
use crate::path::DrivePath;

pub use apply::{Applied, apply_permissions};
pub use people::People;
pub use record::record_permissions;
pub use survey::{Survey, plan_permissions};
pub use table::PermissionTable;

/// What is to be done about the permissions of all drives.
#[derive(Debug, Default)]
pub struct PermissionPlan {
    /// One for each shared drive of the source that has a place in the target.
    pub drives: Vec<DrivePlan>,
}

/// What is to be done about one drive.
#[derive(Debug)]
pub struct DrivePlan {
    pub(crate) source: DriveId,
    pub(crate) target: Entry,
    /// What it should be like; `None` when that could not be read, or what is there could not.
    pub(crate) wanted: Option<decide::Wanted>,
    /// Folders of the target that had permissions of their own.
    pub(crate) restricted: Vec<(DrivePath, Entry)>,
    /// The calls, in the order in which they are safe.
    pub steps: Vec<Step>,
    /// What no call can do.
    pub remarks: Vec<Remark>,
}

/// When a step has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// It shuts something, or names who rules. When it fails, nobody is let in.
    Shut,
    /// It lets those into a folder that was shut just before who were in the drive already.
    LetBack,
    /// It lets people in.
    LetIn,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub(crate) turn: Turn,
    pub(crate) entry: Entry,
    pub(crate) path: DrivePath,
    pub(crate) change: SharingChange,
    /// What is done, as a word: `masters`, `reach`, `restrict`, `grant`, `regrant`.
    pub action: &'static str,
    pub(crate) who: Vec<Party>,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Something that a person has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    pub(crate) path: DrivePath,
    pub(crate) action: &'static str,
    pub(crate) who: Vec<Party>,
    pub(crate) from: String,
    pub(crate) to: String,
    /// What it is: `by-hand`, `unmapped`, `only-in-target`, `kept`.
    pub outcome: &'static str,
    /// Short code of the reason.
    pub reason: &'static str,
    pub(crate) detail: String,
}

impl PermissionPlan {
    /// How many calls it takes.
    pub fn steps(&self) -> usize {
        self.drives.iter().map(|drive| drive.steps.len()).sum()
    }

    /// How many remarks have this outcome.
    pub fn remarks(&self, outcome: &str) -> usize {
        self.drives
            .iter()
            .flat_map(|drive| &drive.remarks)
            .filter(|remark| remark.outcome == outcome)
            .count()
    }

    /// The calls as texts that are the same whenever the same is to be done.
    pub fn keys(&self) -> Vec<String> {
        let keys = |drive: &DrivePlan| drive.steps.iter().map(|step| step.key(drive)).collect::<Vec<_>>();
        self.drives.iter().flat_map(keys).collect()
    }

    /// Whether each of its calls was in the plan that had these keys.
    pub fn is_within(&self, shown: &HashSet<String>) -> bool {
        self.keys().iter().all(|key| shown.contains(key))
    }
}

impl Step {
    fn key(&self, drive: &DrivePlan) -> String {
        let ids: Vec<&str> = self.who.iter().map(|party| party.id.as_str()).collect();
        [
            drive.source.as_str(),
            self.entry.drive.as_str(),
            self.entry.id.as_str(),
            self.action,
            &ids.join(","),
            &self.to,
        ]
        .join("\t")
    }
}

#[cfg(test)]
mod tests;
