//! The keys of a job file that take one word out of a few.

use serde::Deserialize;

/// The `kind` of a job file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Kind")]
pub(super) enum KindWord {
    /// Drives into the archive.
    Backup,
    /// Archive into a drive or a local folder.
    Restore,
    /// One tenant into another, through the archive.
    Migrate,
    /// A manifest without downloads.
    Audit,
    /// Reads the archive back.
    Verify,
    /// Removes snapshots by the retention.
    Prune,
}

/// Declares a choice of words of the job file.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident, $case:literal { $($(#[$note:meta])* $word:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
        #[serde(rename_all = $case)]
        pub enum $name { $($(#[$note])* $word),* }
    };
}
pub(super) use choice;

choice!(
    /// What to do with files that the service marks as infected.
    Infected, "lowercase" {
        /// Fetch them as any other.
        #[default]
        Fetch,
        /// Leave them out; the manifest says so.
        Skip,
    }
);
choice!(
    /// A detail to ask for beyond the listing.
    Depth, "lowercase" {
        /// Who may do what on folders and drives.
        #[default]
        Permissions,
        /// Links of files and folders.
        Links,
        /// Whom My Drive folders are shared with.
        Shares,
        /// Earlier contents of files.
        Revisions,
        /// What lies in the trash.
        Trash,
        /// What the service says each drive holds.
        Quota,
    }
);
impl Depth {
    /// The word of the job file.
    pub fn as_str(self) -> &'static str {
        match self {
            Depth::Permissions => "permissions",
            Depth::Links => "links",
            Depth::Shares => "shares",
            Depth::Revisions => "revisions",
            Depth::Trash => "trash",
            Depth::Quota => "quota",
        }
    }
}

choice!(
    /// What stays in the archive of a migration once the target has confirmed it.
    Keep, "lowercase" {
        /// Everything.
        #[default]
        All,
        /// The manifest alone: the disk needs to hold only what is on its way.
        Manifest,
    }
);
choice!(
    /// A pass of a migration.
    Pass, "lowercase" {
        /// Everything, over days.
        #[default]
        First,
        /// What changed since the last pass.
        Delta,
        /// What changed, and the reconciliation at the end.
        Final,
    }
);
choice!(
    /// Whether what is deleted at the source is deleted at the target.
    Deletions, "lowercase" {
        /// No.
        #[default]
        Ignore,
        /// Yes, within `deletion-limit`.
        Follow,
    }
);
choice!(
    /// What to do with users, drives and groups that the map does not name.
    Unmapped, "lowercase" {
        /// List them and stop before the first byte.
        #[default]
        Fail,
        /// List them and leave them out.
        Skip,
    }
);
choice!(
    /// What happens to permissions.
    Permissions, "lowercase" {
        /// They are written down.
        #[default]
        Record,
        /// What would be set at the target is written down as a plan.
        Plan,
        /// They are set at the target when an earlier run has shown the plan; else the plan is shown.
        Apply,
    }
);
choice!(
    /// What a notification holds.
    NotifyBody, "lowercase" {
        /// The run's summary as JSON.
        #[default]
        Summary,
        /// Nothing: a plain ping.
        None,
    }
);
choice!(
    /// How often the same outcome is told.
    Repeat, "lowercase" {
        /// After each run.
        #[default]
        Always,
        /// Only when a run ends otherwise than the one before.
        Changes,
    }
);
choice!(
    /// A language of reports.
    Language, "lowercase" {
        /// English.
        #[default]
        En,
        /// Japanese.
        Ja,
        /// Korean.
        Ko,
    }
);
