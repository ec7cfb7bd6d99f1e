//! The checked job: what the rest of the program works with.

use std::num::NonZeroU64;
use std::time::Duration;

use jiff::civil;
use jiff::tz::TimeZone;

use super::choice::{
    Deletions, Depth, Infected, Keep, Language, NotifyBody, Pass, Permissions, Repeat, Unmapped,
};
use super::tenant::{Tenant, Text};
use super::unit::{self, Requests, Share, Window};
use crate::entry::{OnConflict, Scope};
use crate::filter::FilterSpec;
use crate::id::SnapshotId;

/// A job, checked and with its defaults filled in. Paths are texts relative to the file they stand in: see [`super::resolve_path`].
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// What it does, with what only that kind has.
    pub kind: JobKind,
    /// The tenant it works on. Only `verify` without a spot check, `prune`, and `restore` to a local folder or to another
    /// target can do without.
    pub tenant: Option<TenantRef>,
    /// The folder of the archive.
    pub archive: String,
    /// The drives wanted; for `restore` those of the snapshot, all when empty.
    pub drives: Vec<Scope>,
    /// The drives left out of those.
    pub exclude_drives: Vec<Scope>,
    /// Which files.
    pub filter: FilterSpec,
    /// How fast, and how patient.
    pub limits: Limits,
    /// Which snapshots stay; `None` removes nothing.
    pub retention: Option<Retention>,
    /// The hours in which the job may work; `None` means always.
    pub window: Option<Window>,
    /// The zone of window and retention; `None` means the machine's. Plain dates of the filter are worked out already.
    pub time_zone: Option<TimeZone>,
    /// How often it should run; `None` when it is not known.
    pub every: Option<Duration>,
    /// The age from which listings of an unfinished run are made again. Default 36 hours: the next night goes on.
    pub relist_after: Duration,
    /// The share of reused files that is hashed again. Default 2 %.
    pub rehash: Share,
    /// What to do with infected files.
    pub infected: Infected,
    /// Details beyond the listing, in the order of [`Depth`] and without repeats.
    pub depth: Vec<Depth>,
    /// What is worth an alarm.
    pub alarms: Alarms,
    /// Whom to tell.
    pub notify: Notify,
    /// A file for the Prometheus node exporter.
    pub textfile: Option<String>,
    /// Whether CSV files begin with a byte order mark.
    pub bom: bool,
    /// Whether the manifest is also written as JSON lines.
    pub json_lines: bool,
    /// Whether each run writes an HTML report.
    pub report: bool,
    /// The language of reports.
    pub lang: Language,
    /// The exit code of a run that finished with failures. Default 3.
    pub partial_exit_code: u8,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq)]
pub enum JobKind {
    /// Drives into the archive.
    Backup,
    /// A manifest without downloads.
    Audit,
    /// Archive into a drive or a local folder.
    Restore(RestoreOptions),
    /// One tenant into another, through the archive.
    Migrate(MigrateOptions),
    /// Reads the archive back.
    Verify(VerifyOptions),
    /// Removes snapshots by the retention.
    Prune,
}

impl JobKind {
    /// The word of the job file.
    pub fn word(&self) -> &'static str {
        match self {
            JobKind::Backup => "backup",
            JobKind::Audit => "audit",
            JobKind::Restore(_) => "restore",
            JobKind::Migrate(_) => "migrate",
            JobKind::Verify(_) => "verify",
            JobKind::Prune => "prune",
        }
    }
}

/// The tenant a job names.
#[derive(Clone, Debug, PartialEq)]
pub enum TenantRef {
    /// A tenant file, relative to the job file.
    Path(String),
    /// The tenant itself.
    Inline(Box<Tenant>),
}

/// How fast a job works, and how patient it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Folders listed at the same time, 1 to 64. Default 4.
    pub listings: usize,
    /// Files downloaded at the same time, 1 to 256. Default 8.
    pub transfers: usize,
    /// Files uploaded at the same time, 1 to 256. Default 4.
    pub uploads: usize,
    /// The largest rate of all transfers together, in bytes a second.
    pub bandwidth: Option<NonZeroU64>,
    /// Calls a minute for each API operation; `None` leaves it to the tenant file.
    pub requests_per_minute: Option<Requests>,
    /// How often a call is tried, the first time included. Default 6.
    pub attempts: u32,
    /// How long a call is tried again. Default 15 minutes.
    pub retry_for: Duration,
    /// How long an answer, or the next bytes of one, may take. Default 60 seconds.
    pub timeout: Duration,
    /// Bytes a second below which, for a minute, a transfer is begun again. Default 1,000.
    pub minimum_rate: NonZeroU64,
    /// How long a run may be without any progress. Default 30 minutes.
    pub stall_after: Duration,
    /// The most bytes of a migration that keeps manifests alone may have stored or under way. Default 8 GiB.
    pub spool: NonZeroU64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            listings: 4,
            transfers: 8,
            uploads: 4,
            bandwidth: None,
            requests_per_minute: None,
            attempts: 6,
            retry_for: Duration::from_secs(15 * 60),
            timeout: Duration::from_secs(60),
            minimum_rate: NonZeroU64::MIN.saturating_add(999),
            stall_after: Duration::from_secs(30 * 60),
            spool: NonZeroU64::MIN.saturating_add((8 << 30) - 1),
        }
    }
}

/// Which snapshots stay. Only complete ones are counted, and the newest of them always stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many.
    pub keep_last: u32,
    /// The newest of each of the last so many days that have one.
    pub keep_daily: u32,
    /// The newest of each of the last so many weeks, which begin on Monday.
    pub keep_weekly: u32,
    /// The newest of each of the last so many months.
    pub keep_monthly: u32,
    /// The newest of each of the last so many years.
    pub keep_yearly: u32,
    /// The share of files or bytes whose loss against the snapshot before holds pruning back. Default 50 %.
    pub hold_on_drop: Share,
    /// Whether snapshots are removed; when false, only said which.
    pub apply: bool,
}

/// What is worth an alarm when a snapshot is compared with the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// More than this share of the files changed.
    pub changed: Option<Share>,
    /// More than this share of the files is gone.
    pub deleted: Option<Share>,
    /// The bytes fell by more than this share.
    pub size_drop: Option<Share>,
    /// More than this share of the files has another extension.
    pub extension_shift: Option<Share>,
    /// Any entry has a new public link.
    pub new_public_links: bool,
    /// Whether an alarm makes the exit code that of a partial run.
    pub fail: bool,
}

/// Whom to tell of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Addresses called when a run begins.
    pub start: Vec<Text>,
    /// Addresses called when a run is complete.
    pub success: Vec<Text>,
    /// Addresses called when a run finished with failures.
    pub partial: Vec<Text>,
    /// Addresses called when a run failed.
    pub failure: Vec<Text>,
    /// Addresses called when an alarm was raised.
    pub alarm: Vec<Text>,
    /// Headers sent along, by name.
    pub headers: Vec<(String, Text)>,
    /// What is sent.
    pub body: NotifyBody,
    /// How often the same outcome is told.
    pub repeat: Repeat,
    /// How often a call is tried. Default 4.
    pub attempts: u32,
    /// How long a call may take. Default 10 seconds.
    pub timeout: Duration,
}

impl Notify {
    /// Whether nobody is told anything.
    pub fn is_empty(&self) -> bool {
        [
            &self.start,
            &self.success,
            &self.partial,
            &self.failure,
            &self.alarm,
        ]
        .iter()
        .all(|addresses| addresses.is_empty())
    }
}

/// What only a restore has.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoreOptions {
    /// The snapshot. Default: the newest complete one.
    pub snapshot: SnapshotChoice,
    /// Where to, and how. Default: a new folder named after the snapshot.
    pub delivery: Delivery,
    /// The drive to restore into, if it is not the one the files came from.
    pub target_drive: Option<Scope>,
}

/// What only a migration has.
#[derive(Clone, Debug, PartialEq)]
pub struct MigrateOptions {
    /// Where to, and how. Default: the original place, in the target tenant.
    pub delivery: Delivery,
    /// What stays in the archive.
    pub keep: Keep,
    /// Which pass this is.
    pub pass: Pass,
    /// Whether deletions at the source follow at the target.
    pub deletions: Deletions,
    /// The largest share of a drive's entries that deletions may take. Default 5 %.
    pub deletion_limit: Share,
    /// What to do with what the map does not name.
    pub unmapped: Unmapped,
}

/// Where files are uploaded to, and how: shared by restore and migrate.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The tenant, if it is another one than the job's.
    pub target: Option<TenantRef>,
    /// The place.
    pub to: To,
    /// What to do when the name is taken.
    pub on_conflict: OnConflict,
    /// A CSV file of old and new names.
    pub map: Option<String>,
    /// What is done about the permissions of shared drives.
    pub permissions: Permissions,
    /// The share of uploads that is downloaded again and compared. Default none.
    pub check_back: Share,
    /// The folder for the id map and the other results; `None` is a folder in the archive.
    pub results: Option<String>,
}

/// What only a verification has.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyOptions {
    /// The snapshot; `None` is every one.
    pub snapshot: Option<SnapshotChoice>,
    /// The share of files that is read back. Default all.
    pub sample: Share,
    /// Only files that were last read back longer ago than this.
    pub older_than: Option<Duration>,
    /// Whether and how widely the newest snapshot is compared with the drive.
    pub spot_check: Option<SpotCheck>,
}

/// How many files of the newest snapshot are compared with the drive as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpotCheck {
    /// Files whose size and modified time are compared. Default 200.
    pub files: u32,
    /// How many of these are downloaded and hashed. Default 20.
    pub hashes: u32,
}

/// Which snapshot is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotChoice {
    /// The newest complete one: `latest`.
    Latest,
    /// The newest complete one that began on this day or before, in the job's time zone: `2026-11-23`.
    Day(civil::Date),
    /// This one: `2026-11-23T02-00-00Z`.
    Named(SnapshotId),
}

impl SnapshotChoice {
    /// Reads what may stand behind the `@` of an archive, or in a job's `snapshot`.
    pub fn read(text: &str) -> Option<SnapshotChoice> {
        if text == "latest" {
            return Some(SnapshotChoice::Latest);
        }
        if let Ok(id) = text.parse() {
            return Some(SnapshotChoice::Named(id));
        }
        match unit::moment(text) {
            Some(unit::Moment::Date(date)) => Some(SnapshotChoice::Day(date)),
            _ => None,
        }
    }
}

/// Where restored or migrated files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Where they were.
    Original,
    /// Into a folder at the root of the drive; `None` is `Restored <snapshot>`.
    Folder(Option<String>),
    /// Into a folder of this machine.
    Local(String),
}

impl To {
    /// Reads a job's `to`: `original`, `folder:<name>` or `file:<folder>`. A folder's name is one name, without a slash.
    pub fn read(text: &str) -> Option<To> {
        if text == "original" {
            return Some(To::Original);
        }
        if let Some(name) = text.strip_prefix("folder:") {
            let is_name = !name.trim().is_empty() && !name.contains(['/', '\0']);
            return is_name.then(|| To::Folder(Some(name.to_owned())));
        }
        let folder = text.strip_prefix("file:")?;
        (!folder.is_empty()).then(|| To::Local(folder.to_owned()))
    }
}
