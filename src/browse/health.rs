//! Whether the newest complete snapshot is fresh enough, and what the runs say of themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Line, line};
use crate::archive::{self, Archive};
use crate::id::SnapshotId;
use crate::report::{duration, printable, size};
use crate::status::{Record, Running};
use crate::watch::read_status;

/// How an archive is.
#[derive(Clone, Debug)]
pub struct Health {
    /// The newest complete snapshot.
    pub newest_complete: Option<Line>,
    /// Its age: how long ago its run began, since that is how old its content is. 0 when it began in the future.
    pub age: Option<Duration>,
    /// The newest snapshot, complete or not, when it is not the same.
    pub newest: Option<Line>,
    /// What the limit says.
    pub freshness: Freshness,
    /// The run under way, with whether its heartbeat stopped.
    pub running: Option<(Running, bool)>,
    /// What is known of each job's last run and messages.
    pub jobs: BTreeMap<String, Record>,
    /// What else a person should know.
    pub warnings: Vec<String>,
}

/// What an age limit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// No limit was given.
    NotAsked,
    /// The newest complete snapshot is not older than the limit.
    Fresh,
    /// It is older.
    TooOld,
    /// There is no complete snapshot at all.
    Never,
}

impl Freshness {
    /// The word for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Freshness::NotAsked => "not-asked",
            Freshness::Fresh => "fresh",
            Freshness::TooOld => "too-old",
            Freshness::Never => "never",
        }
    }
}

impl Health {
    /// Whether a monitor should raise an alarm: there was a limit, and it is not kept.
    pub fn is_late(&self) -> bool {
        matches!(self.freshness, Freshness::TooOld | Freshness::Never)
    }

    /// The answer as one JSON object. Ages are seconds.
    pub fn to_json(&self) -> Value {
        json!({
            "freshness": self.freshness.as_str(),
            "newest_complete": self.newest_complete.as_ref().map(Line::to_json),
            "age_seconds": self.age.map(|age| age.as_secs()),
            "newest": self.newest.as_ref().map(Line::to_json),
            "running": self.running.as_ref().map(|(run, _)| run),
            "heartbeat_stopped": self.running.as_ref().map(|(_, stale)| stale),
            "jobs": self.jobs,
            "warnings": self.warnings,
        })
    }

    /// The answer for people: a few lines, the most important first.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        lines.push(match (&self.newest_complete, self.age) {
            (Some(line), Some(age)) => {
                let verdict = match self.freshness {
                    Freshness::TooOld => "TOO OLD: ",
                    _ => "",
                };
                format!(
                    "{verdict}newest complete snapshot {}, {} old, {} files, {}",
                    line.id,
                    duration(age),
                    line.held.files,
                    size(line.held.bytes)
                )
            }
            _ => "NEVER: there is no complete snapshot".to_owned(),
        });
        if let Some(line) = &self.newest {
            lines.push(format!("  newer     {} is {}", line.id, line.status));
        }
        for (job, record) in &self.jobs {
            if let Some(last) = &record.last {
                let mut text = format!(
                    "  last run  {} {}, ended {:.0}",
                    printable(job),
                    last.outcome,
                    last.finished
                );
                if let Some(message) = &last.message {
                    text = format!("{text}: {}", printable(message));
                }
                lines.push(text);
                if last.missed > 0 {
                    lines.push(format!("  missed    {} slots before that run", last.missed));
                }
            }
            if let Some(failure) = &record.notify_failure {
                lines.push(format!(
                    "  not told  {} of {}: {}",
                    failure.event,
                    printable(job),
                    printable(&failure.message)
                ));
            }
        }
        if let Some((run, stale)) = &self.running {
            let state = if *stale { "died or hangs" } else { "is at work" };
            lines.push(format!(
                "  now       {} {state} since {:.0}, phase {}, last sign {:.0}",
                printable(&run.job),
                run.started,
                run.phase,
                run.updated
            ));
        }
        lines.extend(
            self.warnings
                .iter()
                .map(|warning| format!("  warning   {}", printable(warning))),
        );
        lines.join("\n")
    }
}

/// Tells how the archive is, for snapshots of `kind`, or of `backup` when there are any, or else of any kind.
///
/// Reads the names of the snapshots and heads and tails from the newest back to the first complete one, and the status file.
///
/// # Errors
/// When the archive folder cannot be listed.
pub fn status(
    archive: &Archive,
    kind: Option<&str>,
    max_age: Option<Duration>,
    now: Timestamp,
) -> Result<Health, archive::Error> {
    let ids = archive.snapshot_ids()?;
    let mut warnings = Vec::new();
    let (newest, newest_complete) = match kind {
        Some(kind) => newest(archive, &ids, Some(kind), &mut warnings),
        None => match newest(archive, &ids, Some("backup"), &mut warnings) {
            (None, None) => {
                warnings.clear();
                newest(archive, &ids, None, &mut warnings)
            }
            found => found,
        },
    };
    let age = newest_complete.as_ref().and_then(|line| {
        let started = line.started?;
        if started > now {
            warnings.push(format!(
                "{} began in the future: a clock is or was wrong",
                line.id
            ));
        }
        Some(Duration::try_from(now.duration_since(started)).unwrap_or_default())
    });
    let freshness = match (age, max_age) {
        (_, None) => Freshness::NotAsked,
        (None, Some(_)) => Freshness::Never,
        (Some(age), Some(limit)) if age > limit => Freshness::TooOld,
        (Some(_), Some(_)) => Freshness::Fresh,
    };
    let file = read_status(archive.path()).unwrap_or_else(|error| {
        warnings.push(format!("the status file cannot be read: {error}"));
        crate::status::StatusFile::default()
    });
    Ok(Health {
        newest: newest.filter(|line| {
            newest_complete
                .as_ref()
                .is_none_or(|complete| complete.id != line.id)
        }),
        newest_complete,
        age,
        freshness,
        running: file.run.map(|run| {
            let stale = run.is_stale(now);
            (run, stale)
        }),
        jobs: file.jobs,
        warnings,
    })
}

/// The newest snapshot of a kind, and the newest complete one.
fn newest(
    archive: &Archive,
    ids: &[SnapshotId],
    kind: Option<&str>,
    warnings: &mut Vec<String>,
) -> (Option<Line>, Option<Line>) {
    let mut newest = None;
    for id in ids.iter().rev() {
        match archive.snapshot(id) {
            Err(error) => warnings.push(format!("{id} is damaged: {error}")),
            Ok(snapshot) => {
                if kind.is_some_and(|kind| snapshot.head.kind != kind) {
                    continue;
                }
                let line = line(&snapshot);
                if snapshot.is_complete() {
                    return (newest.or_else(|| Some(line.clone())), Some(line));
                }
                newest.get_or_insert(line);
            }
        }
    }
    (newest, None)
}
