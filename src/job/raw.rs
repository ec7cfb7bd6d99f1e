//! The job file as it is written. The comments here are what `drivejob schema` tells of each key.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::choice::{
    Deletions, Depth, Infected, Keep, KindWord, Language, NotifyBody, Pass, Permissions, Repeat, Unmapped,
};
use super::raw_tenant::{RawTenant, RawText};
use super::unit::Weekday;
use super::word::{
    Clock, Filled, GlobWord, MomentWord, Rate, RequestsWord, ScopeWord, ShareWord, Size, SnapshotWord, Span,
    ToWord, WindowWord, Written, Zone,
};

/// A job file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Job")]
pub(super) struct RawJob {
    /// What the job does.
    pub(super) kind: KindWord,
    /// The tenant: a tenant file beside the job file, or a [tenant] table here.
    pub(super) tenant: Option<RawTenantRef>,
    /// The folder of the archive.
    pub(super) archive: Written<Filled>,
    /// The drives: me, users/*, users/<id or mail>, sharedrives/*, sharedrives/<id>, groups/*, groups/<id>, key:<location>/<key>.
    #[schemars(length(min = 1))]
    pub(super) drives: Option<Vec<Written<ScopeWord>>>,
    /// Drives to leave out, in the same words.
    pub(super) exclude_drives: Option<Vec<Written<ScopeWord>>>,
    /// Which files.
    pub(super) filter: Option<RawFilter>,
    /// How fast, and how patient.
    pub(super) limits: Option<RawLimits>,
    /// Which snapshots stay. Without this table nothing is ever removed.
    pub(super) retention: Option<RawRetention>,
    /// The hours in which the job may work. Outside it stops and goes on the next time.
    pub(super) window: Option<RawWindow>,
    /// The time zone of window, retention and plain dates. Default: that of the machine, for plain dates UTC.
    pub(super) time_zone: Option<Written<Zone>>,
    /// How often the job should run. A run that comes much later says that runs were missed.
    pub(super) every: Option<Written<Span>>,
    /// When an unfinished run goes on: listings older than this are made again. Default: 36h.
    pub(super) relist_after: Option<Written<Span>>,
    /// The share of reused files that is read back and hashed again each time. Default: 2%.
    pub(super) rehash: Option<Written<ShareWord>>,
    /// What to do with files that the service marks as infected. Default: fetch.
    pub(super) infected: Option<Infected>,
    /// Details to ask for beyond the listing. Each costs calls: see `drivejob plan`.
    pub(super) depth: Option<Vec<Depth>>,
    /// What is worth an alarm when two snapshots are compared.
    pub(super) alarms: Option<RawAlarms>,
    /// Whom to tell.
    pub(super) notify: Option<RawNotify>,
    /// A file for the Prometheus node exporter, written after each run.
    pub(super) textfile: Option<Written<Filled>>,
    /// Whether CSV files begin with a byte order mark, which Excel needs. Default: false.
    pub(super) bom: Option<bool>,
    /// Whether the manifest is also written as JSON lines. Default: false.
    pub(super) json_lines: Option<bool>,
    /// Whether each run writes an HTML report into its snapshot. Default: false.
    pub(super) report: Option<bool>,
    /// The language of reports. Default: en.
    pub(super) lang: Option<Language>,
    /// The exit code of a run that finished with failures. Default: 3.
    pub(super) partial_exit_code: Option<u8>,
    /// The snapshot to restore or verify. Default: the newest complete one for restore, all for verify.
    pub(super) snapshot: Option<Written<SnapshotWord>>,
    /// The tenant to upload to, if it is another one: a tenant file, or a [target] table here.
    pub(super) target: Option<RawTenantRef>,
    /// Where the files go: original, folder:<name>, or file:<folder on this machine>. Default: for restore folder:Restored <snapshot>, for migrate original.
    pub(super) to: Option<Written<ToWord>>,
    /// The drive to restore into, if it is not the one the files came from.
    pub(super) target_drive: Option<Written<ScopeWord>>,
    /// What to do when a file of that name is there already. Default: skip.
    pub(super) on_conflict: Option<Conflict>,
    /// A CSV file with old and new names of users, drives and groups.
    pub(super) map: Option<Written<Filled>>,
    /// Whether permissions of shared drives are recorded, planned, or applied as an earlier run has planned them. Default: record.
    pub(super) permissions: Option<Permissions>,
    /// The share of uploaded files that is downloaded again and compared. Default: 0%.
    pub(super) check_back: Option<Written<ShareWord>>,
    /// The folder that gets a folder with the id map and the other results of each run. Default: the archive.
    pub(super) results: Option<Written<Filled>>,
    /// What stays in the archive once the target has confirmed it. Default: all.
    pub(super) keep: Option<Keep>,
    /// Which pass of a migration this is. Default: first.
    pub(super) pass: Option<Pass>,
    /// Whether files deleted at the source are deleted at the target. Default: ignore.
    pub(super) deletions: Option<Deletions>,
    /// The largest share of a drive that deletions may take away. Default: 5%.
    pub(super) deletion_limit: Option<Written<ShareWord>>,
    /// What to do with users, drives and groups that the map does not name. Default: fail.
    pub(super) unmapped: Option<Unmapped>,
    /// The share of files that is read back and hashed. Default: 100%.
    pub(super) sample: Option<Written<ShareWord>>,
    /// Only files that were last read back longer ago than this.
    pub(super) older_than: Option<Written<Span>>,
    /// Compare a sample of the newest snapshot with the drive as it is now.
    pub(super) spot_check: Option<RawSpotCheck>,
}

/// A tenant file by its name, or the tenant itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "TenantReference")]
pub(super) enum RawTenantRef {
    /// The name of a tenant file, relative to the job file.
    Path(Written<Filled>),
    /// The tenant itself.
    Inline(Box<RawTenant>),
}

/// Which files a job is about.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Filter")]
pub(super) struct RawFilter {
    /// Globs on the path in the drive. With none, everything is included.
    pub(super) include: Option<Vec<Written<GlobWord>>>,
    /// Globs on the path in the drive. They win over include.
    pub(super) exclude: Option<Vec<Written<GlobWord>>>,
    /// The largest file.
    pub(super) max_size: Option<Written<Size>>,
    /// The smallest file.
    pub(super) min_size: Option<Written<Size>>,
    /// Only files modified at this time or later.
    pub(super) modified_after: Option<Written<MomentWord>>,
    /// Only files modified before this time.
    pub(super) modified_before: Option<Written<MomentWord>>,
    /// Only files of these classes, as the service tells them.
    pub(super) kinds: Option<Vec<FileClass>>,
}

/// A class of content.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileClass {
    Audio,
    Doc,
    Etc,
    Exe,
    Image,
    Video,
    Zip,
}

/// How fast a job works, and how patient it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub(super) struct RawLimits {
    /// Folders listed at the same time. Default: 4.
    #[schemars(range(min = 1, max = 64))]
    pub(super) listings: Option<u32>,
    /// Files downloaded at the same time. Default: 8.
    #[schemars(range(min = 1, max = 256))]
    pub(super) transfers: Option<u32>,
    /// Files uploaded at the same time. Default: 4.
    #[schemars(range(min = 1, max = 256))]
    pub(super) uploads: Option<u32>,
    /// The largest rate of all transfers together. Default: none.
    pub(super) bandwidth: Option<Written<Rate>>,
    /// Calls a minute for each API operation: auto (from the plan), unlimited, or a number that holds all the time.
    pub(super) requests_per_minute: Option<Written<RequestsWord>>,
    /// How often a call is tried, the first time included. Default: 6.
    #[schemars(range(min = 1, max = 100))]
    pub(super) attempts: Option<u32>,
    /// How long a call is tried again. Default: 15m.
    pub(super) retry_for: Option<Written<Span>>,
    /// How long an answer, or the next bytes of one, may take. Default: 60s.
    pub(super) timeout: Option<Written<Span>>,
    /// A transfer slower than this for a minute is begun again. Default: 1KB/s.
    pub(super) minimum_rate: Option<Written<Rate>>,
    /// A run without any progress for so long ends. Default: 30m.
    pub(super) stall_after: Option<Written<Span>>,
    /// With keep = "manifest": bytes that are being fetched or wait for their upload, at most. A larger file has the room to itself. Default: 8GiB.
    pub(super) spool: Option<Written<Size>>,
}

/// Which snapshots stay.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Retention")]
pub(super) struct RawRetention {
    /// The newest so many.
    pub(super) keep_last: Option<u32>,
    /// The newest of each of the last so many days.
    pub(super) keep_daily: Option<u32>,
    /// The newest of each of the last so many weeks, which begin on Monday.
    pub(super) keep_weekly: Option<u32>,
    /// The newest of each of the last so many months.
    pub(super) keep_monthly: Option<u32>,
    /// The newest of each of the last so many years.
    pub(super) keep_yearly: Option<u32>,
    /// Nothing is removed when a snapshot has lost more than this share of files or bytes against the one before. Default: 50%.
    pub(super) hold_on_drop: Option<Written<ShareWord>>,
    /// Whether snapshots are really removed. When false, the run only says which it would remove. Default: false.
    pub(super) apply: Option<bool>,
}

/// The hours of a window.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Window")]
pub(super) enum RawWindow {
    /// Start and end in one text, such as 01:00-05:30.
    Text(Written<WindowWord>),
    /// Start and end or duration.
    Table(RawWindowTable),
}

/// The hours of a window, in parts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "WindowTable")]
pub(super) struct RawWindowTable {
    /// When it opens.
    pub(super) start: Written<Clock>,
    /// When it closes; the next day where that is not after the start.
    pub(super) end: Option<Written<Clock>>,
    /// How long it is open, at most 24h. Instead of end.
    pub(super) duration: Option<Written<Span>>,
    /// The days on which it opens. Default: all.
    pub(super) days: Option<Vec<Weekday>>,
}

/// What is worth an alarm.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Alarms")]
pub(super) struct RawAlarms {
    /// More than this share of the files changed.
    pub(super) changed: Option<Written<ShareWord>>,
    /// More than this share of the files is gone.
    pub(super) deleted: Option<Written<ShareWord>>,
    /// Less is stored by more than this share of the bytes.
    pub(super) size_drop: Option<Written<ShareWord>>,
    /// More than this share of the files has another extension.
    pub(super) extension_shift: Option<Written<ShareWord>>,
    /// Any file or folder has a new public link.
    pub(super) new_public_links: Option<bool>,
    /// Whether an alarm makes the run end as one with failures does. Default: false.
    pub(super) fail: Option<bool>,
}

/// Whom to tell of what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Notify")]
pub(super) struct RawNotify {
    /// Addresses called when a run begins.
    pub(super) start: Option<RawAddresses>,
    /// Addresses called when a run is complete.
    pub(super) success: Option<RawAddresses>,
    /// Addresses called when a run finished with failures.
    pub(super) partial: Option<RawAddresses>,
    /// Addresses called when a run failed.
    pub(super) failure: Option<RawAddresses>,
    /// Addresses called when an alarm was raised.
    pub(super) alarm: Option<RawAddresses>,
    /// Whether addresses that begin with http:// are allowed outside this machine. Default: false.
    pub(super) allow_plain_http: Option<bool>,
    /// Headers sent along.
    pub(super) headers: Option<BTreeMap<String, RawText>>,
    /// What is sent: the summary as JSON, or nothing. Default: summary.
    pub(super) body: Option<NotifyBody>,
    /// Whether each run is told, or only one that ends otherwise than the one before. Default: always.
    pub(super) repeat: Option<Repeat>,
    /// How often a call is tried. Default: 4.
    #[schemars(range(min = 1, max = 20))]
    pub(super) attempts: Option<u32>,
    /// How long a call may take. Default: 10s.
    pub(super) timeout: Option<Written<Span>>,
}

/// One address or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Addresses")]
pub(super) enum RawAddresses {
    /// Several.
    Many(Vec<RawText>),
    /// One.
    One(RawText),
}

/// How many files to compare with the drive.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "SpotCheck")]
pub(super) struct RawSpotCheck {
    /// Files whose size and modified time are compared. Default: 200.
    #[schemars(range(min = 1))]
    pub(super) files: Option<u32>,
    /// How many of them are also downloaded and hashed. Default: 20.
    pub(super) hashes: Option<u32>,
}

/// What to do when the place is taken.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Conflict {
    /// Leave what is there.
    Skip,
    /// Put the new content over it.
    Overwrite,
    /// Upload beside it under a new name.
    Rename,
    /// Record a failure.
    Fail,
}
