//! A job as written becomes a checked one: defaults filled in, keys held against the kind, values against each other.

use std::num::NonZeroU64;
use std::time::Duration;

use super::check::REFERENCE;
use super::choice::{KindWord, Permissions};
use super::findings::Findings;
use super::problem::{Fault, Problem};
use super::raw::{
    Conflict, FileClass, RawAddresses, RawAlarms, RawFilter, RawJob, RawLimits, RawNotify, RawRetention,
    RawTenantRef, RawWindow,
};
use super::resolve_tenant::{self, inner, text};
use super::tenant::{Text, check_address};
use super::tree::Node;
use super::unit::{Share, Weekday, Window, WindowEnd};
use super::word::{GlobWord, ScopeWord, Written};
use super::{
    Alarms, Delivery, Job, JobKind, Limits, MigrateOptions, Notify, RestoreOptions, Retention,
    SnapshotChoice, SpotCheck, TenantRef, To, VerifyOptions,
};
use crate::entry::{OnConflict, Scope};
use crate::filter::{Filter, FilterError, FilterSpec};
use jiff::tz::TimeZone;

const BACKUP: KindWord = KindWord::Backup;
const RESTORE: KindWord = KindWord::Restore;
const MIGRATE: KindWord = KindWord::Migrate;
const AUDIT: KindWord = KindWord::Audit;
const VERIFY: KindWord = KindWord::Verify;
const PRUNE: KindWord = KindWord::Prune;

/// Which kinds a key is for. Keys that are not here are for every kind.
const KEYS: &[(&str, &[KindWord])] = &[
    ("tenant", &[BACKUP, AUDIT, RESTORE, MIGRATE, VERIFY]),
    ("drives", &[BACKUP, AUDIT, RESTORE, MIGRATE]),
    ("exclude-drives", &[BACKUP, AUDIT, RESTORE, MIGRATE]),
    ("filter", &[BACKUP, AUDIT, RESTORE, MIGRATE]),
    ("retention", &[BACKUP, AUDIT, PRUNE]),
    ("relist-after", &[BACKUP, AUDIT, MIGRATE]),
    ("rehash", &[BACKUP, MIGRATE]),
    ("infected", &[BACKUP, MIGRATE]),
    ("depth", &[BACKUP, AUDIT, MIGRATE]),
    ("alarms", &[BACKUP, AUDIT]),
    ("bom", &[BACKUP, AUDIT, RESTORE, MIGRATE]),
    ("json-lines", &[BACKUP, AUDIT, MIGRATE]),
    ("report", &[BACKUP, AUDIT, MIGRATE]),
    ("snapshot", &[RESTORE, VERIFY]),
    ("target", &[RESTORE, MIGRATE]),
    ("to", &[RESTORE, MIGRATE]),
    ("target-drive", &[RESTORE]),
    ("on-conflict", &[RESTORE, MIGRATE]),
    ("map", &[RESTORE, MIGRATE]),
    ("permissions", &[RESTORE, MIGRATE]),
    ("check-back", &[RESTORE, MIGRATE]),
    ("results", &[RESTORE, MIGRATE]),
    ("keep", &[MIGRATE]),
    ("pass", &[MIGRATE]),
    ("deletions", &[MIGRATE]),
    ("deletion-limit", &[MIGRATE]),
    ("unmapped", &[MIGRATE]),
    ("sample", &[VERIFY]),
    ("older-than", &[VERIFY]),
    ("spot-check", &[VERIFY]),
];

fn word(kind: KindWord) -> &'static str {
    match kind {
        KindWord::Backup => "backup",
        KindWord::Restore => "restore",
        KindWord::Migrate => "migrate",
        KindWord::Audit => "audit",
        KindWord::Verify => "verify",
        KindWord::Prune => "prune",
    }
}

/// Turns a job file as written into a checked job.
pub(super) fn job(raw: RawJob, tree: &Node, file: &str) -> Result<Job, Vec<Problem>> {
    let mut findings = Findings::new(tree, file);
    let notes = &mut findings;
    check_keys(&raw, notes);
    let time_zone = inner(raw.time_zone);
    let kind = match raw.kind {
        KindWord::Backup => JobKind::Backup,
        KindWord::Audit => JobKind::Audit,
        KindWord::Prune => JobKind::Prune,
        KindWord::Restore => JobKind::Restore(RestoreOptions {
            snapshot: inner(raw.snapshot).unwrap_or(SnapshotChoice::Latest),
            target_drive: inner(raw.target_drive),
            delivery: Delivery {
                target: raw.target.map(|target| tenant_ref(target, "target", notes)),
                to: inner(raw.to).unwrap_or(To::Folder(None)),
                on_conflict: on_conflict(raw.on_conflict),
                map: inner(raw.map),
                permissions: raw.permissions.unwrap_or_default(),
                check_back: inner(raw.check_back).unwrap_or(Share::NONE),
                results: inner(raw.results),
            },
        }),
        KindWord::Migrate => JobKind::Migrate(MigrateOptions {
            delivery: Delivery {
                target: raw.target.map(|target| tenant_ref(target, "target", notes)),
                to: inner(raw.to).unwrap_or(To::Original),
                on_conflict: on_conflict(raw.on_conflict),
                map: inner(raw.map),
                permissions: raw.permissions.unwrap_or_default(),
                check_back: inner(raw.check_back).unwrap_or(Share::NONE),
                results: inner(raw.results),
            },
            keep: raw.keep.unwrap_or_default(),
            pass: raw.pass.unwrap_or_default(),
            deletions: raw.deletions.unwrap_or_default(),
            deletion_limit: inner(raw.deletion_limit).unwrap_or(Share::percent(5)),
            unmapped: raw.unmapped.unwrap_or_default(),
        }),
        KindWord::Verify => JobKind::Verify(VerifyOptions {
            snapshot: inner(raw.snapshot),
            sample: inner(raw.sample).unwrap_or(Share::ALL),
            older_than: inner(raw.older_than),
            spot_check: raw.spot_check.map(|check| {
                let files = check.files.unwrap_or(200);
                SpotCheck {
                    files,
                    hashes: check.hashes.unwrap_or(20).min(files),
                }
            }),
        }),
    };
    check_kind(&kind, notes);
    let mut depth = raw.depth.unwrap_or_default();
    depth.sort_unstable();
    depth.dedup();
    let job = Job {
        kind,
        tenant: raw.tenant.map(|tenant| tenant_ref(tenant, "tenant", notes)),
        archive: raw.archive.0,
        drives: scopes(raw.drives, "drives", notes),
        exclude_drives: scopes(raw.exclude_drives, "exclude-drives", notes),
        filter: filter(raw.filter.unwrap_or_default(), time_zone.as_ref(), notes),
        limits: limits(raw.limits.unwrap_or_default(), notes),
        retention: raw.retention.map(|written| retention(written, notes)),
        window: raw.window.and_then(|written| window(written, notes)),
        every: positive(inner(raw.every), "every", notes),
        relist_after: inner(raw.relist_after).unwrap_or(Duration::from_secs(36 * 3600)),
        rehash: inner(raw.rehash).unwrap_or(Share::percent(2)),
        infected: raw.infected.unwrap_or_default(),
        depth,
        alarms: alarms(raw.alarms.unwrap_or_default()),
        notify: notify(raw.notify.unwrap_or_default(), notes),
        textfile: inner(raw.textfile),
        bom: raw.bom.unwrap_or(false),
        json_lines: raw.json_lines.unwrap_or(false),
        report: raw.report.unwrap_or(false),
        lang: raw.lang.unwrap_or_default(),
        partial_exit_code: exit_code(raw.partial_exit_code, notes),
        time_zone,
    };
    findings.end(job)
}

/// Refuses keys that this kind has no use for, and asks for those that it needs.
fn check_keys(raw: &RawJob, findings: &mut Findings<'_>) {
    let kind = raw.kind;
    for (key, kinds) in KEYS {
        if !kinds.contains(&kind) && findings.has(key) {
            let names: Vec<&str> = kinds.iter().map(|kind| word(*kind)).collect();
            findings.add(
                key,
                Fault::OutOfPlace,
                &format!("in {} {} job", if kind == AUDIT { "an" } else { "a" }, word(kind)),
                &format!("it only in {} jobs", names.join(", ")),
            );
        }
    }
    let reads_drives = matches!(kind, BACKUP | AUDIT | MIGRATE);
    if reads_drives {
        findings.require(
            raw.drives.is_some(),
            "drives",
            "a list of drives such as [\"me\"]",
        );
    }
    let to_local = matches!(&raw.to, Some(to) if matches!(to.0, To::Local(_)));
    let restores_to_tenant = kind == RESTORE && !to_local && raw.target.is_none();
    if reads_drives || restores_to_tenant || (kind == VERIFY && raw.spot_check.is_some()) {
        findings.require(
            raw.tenant.is_some(),
            "tenant",
            "the name of a tenant file, or a [tenant] table",
        );
    }
    if kind == MIGRATE {
        findings.require(
            raw.target.is_some(),
            "target",
            "the tenant file of the new tenant",
        );
    }
    if kind == PRUNE {
        findings.require(
            raw.retention.is_some(),
            "retention",
            "a table that says what to keep",
        );
    }
}

/// Refuses what does not go together within a kind.
fn check_kind(kind: &JobKind, findings: &mut Findings<'_>) {
    if let JobKind::Restore(options) = kind
        && options.delivery.permissions != Permissions::Record
    {
        findings.add(
            "permissions",
            Fault::OutOfPlace,
            "in a restore",
            "\"plan\" and \"apply\" only in a migration",
        );
    }
    match kind {
        JobKind::Restore(options) if matches!(options.delivery.to, To::Local(_)) => {
            for key in ["target", "target-drive", "permissions", "check-back"] {
                if findings.has(key) {
                    findings.add(
                        key,
                        Fault::OutOfPlace,
                        "with to = \"file:…\"",
                        "it only in a restore to a drive",
                    );
                }
            }
        }
        JobKind::Restore(options) => {
            if let Some(scope) = &options.target_drive {
                let is_one = !matches!(scope, Scope::Users(_) | Scope::SharedDrives(_) | Scope::Groups(_));
                if !is_one {
                    let found = format!("\"{scope}\"");
                    findings.add(
                        "target-drive",
                        Fault::WrongValue,
                        &found,
                        "one drive, such as \"users/<id or mail>\" or \"sharedrives/<id>\"",
                    );
                }
            }
        }
        JobKind::Migrate(options) => {
            if options.delivery.to != To::Original {
                findings.add(
                    "to",
                    Fault::WrongValue,
                    "another place",
                    "\"original\": a migration keeps every item in its place",
                );
            }
        }
        JobKind::Backup | JobKind::Audit | JobKind::Verify(_) | JobKind::Prune => {}
    }
}

fn tenant_ref(raw: RawTenantRef, place: &str, findings: &mut Findings<'_>) -> TenantRef {
    match raw {
        RawTenantRef::Path(name) => TenantRef::Path(name.0),
        RawTenantRef::Inline(raw) => {
            TenantRef::Inline(Box::new(resolve_tenant::resolve_at(*raw, place, findings)))
        }
    }
}

fn scopes(raw: Option<Vec<Written<ScopeWord>>>, key: &str, findings: &mut Findings<'_>) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = Vec::new();
    for (index, written) in raw.unwrap_or_default().into_iter().enumerate() {
        if scopes.contains(&written.0) {
            let found = format!("\"{}\" a second time", written.0);
            let key = format!("{key}[{index}]");
            findings.add(&key, Fault::WrongValue, &found, "each drive once");
        } else {
            scopes.push(written.0);
        }
    }
    scopes
}

fn on_conflict(raw: Option<Conflict>) -> OnConflict {
    match raw {
        None | Some(Conflict::Skip) => OnConflict::Skip,
        Some(Conflict::Overwrite) => OnConflict::Overwrite,
        Some(Conflict::Rename) => OnConflict::Rename,
        Some(Conflict::Fail) => OnConflict::Fail,
    }
}

fn filter(raw: RawFilter, zone: Option<&TimeZone>, findings: &mut Findings<'_>) -> FilterSpec {
    let zone = zone.cloned().unwrap_or(TimeZone::UTC);
    let globs = |list: Option<Vec<Written<GlobWord>>>| -> Vec<String> {
        list.unwrap_or_default().into_iter().map(|glob| glob.0).collect()
    };
    let class = |class: &FileClass| -> String {
        match class {
            FileClass::Audio => "audio",
            FileClass::Doc => "doc",
            FileClass::Etc => "etc",
            FileClass::Exe => "exe",
            FileClass::Image => "image",
            FileClass::Video => "video",
            FileClass::Zip => "zip",
        }
        .to_owned()
    };
    let spec = FilterSpec {
        include: globs(raw.include),
        exclude: globs(raw.exclude),
        max_size: inner(raw.max_size),
        min_size: inner(raw.min_size),
        modified_after: inner(raw.modified_after).and_then(|moment| moment.instant(&zone)),
        modified_before: inner(raw.modified_before).and_then(|moment| moment.instant(&zone)),
        kinds: raw.kinds.unwrap_or_default().iter().map(class).collect(),
    };
    match Filter::new(&spec) {
        Ok(_) => {}
        Err(FilterError::Sizes) => findings.add(
            "filter.min-size",
            Fault::WrongValue,
            "a size above max-size",
            "a size that lets something through",
        ),
        Err(FilterError::Dates) => findings.add(
            "filter.modified-after",
            Fault::WrongValue,
            "a time that is not before modified-before",
            "a time that lets something through",
        ),
        Err(FilterError::Glob(error)) => findings.add(
            "filter",
            Fault::WrongValue,
            &error.to_string(),
            "globs that can be read",
        ),
    }
    spec
}

fn limits(raw: RawLimits, findings: &mut Findings<'_>) -> Limits {
    let count = |written: Option<u32>, usual: usize| {
        written.map_or(usual, |number| usize::try_from(number).unwrap_or(usual))
    };
    let usual = Limits::default();
    let mut length =
        |written, key: &str, usual: Duration| positive(inner(written), key, findings).unwrap_or(usual);
    Limits {
        listings: count(raw.listings, usual.listings),
        transfers: count(raw.transfers, usual.transfers),
        uploads: count(raw.uploads, usual.uploads),
        bandwidth: inner(raw.bandwidth),
        requests_per_minute: inner(raw.requests_per_minute),
        attempts: raw.attempts.unwrap_or(usual.attempts),
        retry_for: length(raw.retry_for, "limits.retry-for", usual.retry_for),
        timeout: length(raw.timeout, "limits.timeout", usual.timeout),
        minimum_rate: inner(raw.minimum_rate).unwrap_or(usual.minimum_rate),
        stall_after: length(raw.stall_after, "limits.stall-after", usual.stall_after),
        spool: inner(raw.spool).and_then(NonZeroU64::new).unwrap_or(usual.spool),
    }
}

fn retention(raw: RawRetention, findings: &mut Findings<'_>) -> Retention {
    let retention = Retention {
        keep_last: raw.keep_last.unwrap_or(0),
        keep_daily: raw.keep_daily.unwrap_or(0),
        keep_weekly: raw.keep_weekly.unwrap_or(0),
        keep_monthly: raw.keep_monthly.unwrap_or(0),
        keep_yearly: raw.keep_yearly.unwrap_or(0),
        hold_on_drop: inner(raw.hold_on_drop).unwrap_or(Share::percent(50)),
        apply: raw.apply.unwrap_or(false),
    };
    let keeps = [
        retention.keep_last,
        retention.keep_daily,
        retention.keep_weekly,
        retention.keep_monthly,
        retention.keep_yearly,
    ];
    if keeps.iter().all(|count| *count == 0) {
        findings.add(
            "retention",
            Fault::WrongValue,
            "a table that keeps nothing",
            "keep-last, keep-daily, keep-weekly, keep-monthly or keep-yearly of at least 1",
        );
    }
    retention
}

fn window(raw: RawWindow, findings: &mut Findings<'_>) -> Option<Window> {
    let table = match raw {
        RawWindow::Text(written) => return Some(written.0),
        RawWindow::Table(table) => table,
    };
    let start = table.start.0;
    let day = Duration::from_secs(24 * 3600);
    let end = match (table.end, table.duration) {
        (Some(end), None) if end.0 == start => {
            findings.add(
                "window.end",
                Fault::WrongValue,
                "the same time as start",
                "another time",
            );
            return None;
        }
        (Some(end), None) => WindowEnd::At(end.0),
        (None, Some(length)) if length.0.is_zero() || length.0 > day => {
            findings.add(
                "window.duration",
                Fault::WrongValue,
                &format!("{} seconds", length.0.as_secs()),
                "more than nothing and at most \"24h\"",
            );
            return None;
        }
        (None, Some(length)) => WindowEnd::After(length.0),
        (None, None) => {
            findings.add(
                "window.end",
                Fault::MissingKey,
                "",
                "a time of day such as \"05:30\", or duration",
            );
            return None;
        }
        (Some(_), Some(_)) => {
            findings.add(
                "window.duration",
                Fault::OutOfPlace,
                "beside end",
                "one of the two",
            );
            return None;
        }
    };
    let mut days: Vec<Weekday> = table.days.unwrap_or_default();
    days.sort_unstable();
    days.dedup();
    Some(Window { start, end, days })
}

fn alarms(raw: RawAlarms) -> Alarms {
    Alarms {
        changed: inner(raw.changed),
        deleted: inner(raw.deleted),
        size_drop: inner(raw.size_drop),
        extension_shift: inner(raw.extension_shift),
        new_public_links: raw.new_public_links.unwrap_or(false),
        fail: raw.fail.unwrap_or(false),
    }
}

fn notify(raw: RawNotify, findings: &mut Findings<'_>) -> Notify {
    let plain = raw.allow_plain_http.unwrap_or(false);
    let mut addresses = |written: Option<RawAddresses>, key: &str| -> Vec<Text> {
        let list: Vec<Text> = match written {
            None => Vec::new(),
            Some(RawAddresses::One(one)) => vec![text(one)],
            Some(RawAddresses::Many(many)) => many.into_iter().map(text).collect(),
        };
        for address in &list {
            // The address is not printed: that of a webhook is a secret in itself.
            if let Text::Plain(address) = address
                && let Err(found) = check_address(address, plain)
            {
                findings.add(
                    key,
                    Fault::WrongValue,
                    found,
                    "an address that begins with https://",
                );
            }
        }
        list
    };
    let notify = Notify {
        start: addresses(raw.start, "notify.start"),
        success: addresses(raw.success, "notify.success"),
        partial: addresses(raw.partial, "notify.partial"),
        failure: addresses(raw.failure, "notify.failure"),
        alarm: addresses(raw.alarm, "notify.alarm"),
        headers: raw
            .headers
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, text(value)))
            .collect(),
        body: raw.body.unwrap_or_default(),
        repeat: raw.repeat.unwrap_or_default(),
        attempts: raw.attempts.unwrap_or(4),
        timeout: positive(inner(raw.timeout), "notify.timeout", findings).unwrap_or(Duration::from_secs(10)),
    };
    for (name, value) in &notify.headers {
        if is_secret_header(name) && matches!(value, Text::Plain(_)) {
            findings.add(
                &format!("notify.headers.{name}"),
                Fault::WrongValue,
                "a secret written in clear",
                REFERENCE,
            );
        }
    }
    notify
}

/// Whether a header of that name carries a secret.
fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "token", "key", "secret", "password"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn exit_code(raw: Option<u8>, findings: &mut Findings<'_>) -> u8 {
    let code = raw.unwrap_or(3);
    if matches!(code, 1 | 2 | 4 | 5 | 6 | 126..) {
        findings.add(
            "partial-exit-code",
            Fault::WrongValue,
            &code.to_string(),
            "0, 3 or 7 to 125, which have no other meaning",
        );
    }
    code
}

fn positive(written: Option<Duration>, key: &str, findings: &mut Findings<'_>) -> Option<Duration> {
    if written == Some(Duration::ZERO) {
        findings.add(key, Fault::WrongValue, "no time at all", "more than nothing");
    }
    written
}
