//! The status file of an archive: what a running job writes of itself, and how the runs before ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::notify::Event;

/// Format number of the status file.
pub const FORMAT: u32 = 1;

/// What `.drivejob/status.json` says. It may be missing or deleted at any time: the snapshots are the truth, this is what they cannot tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusFile {
    /// [`FORMAT`]
    #[serde(default)]
    pub format: u32,
    /// The run under way, or one that died.
    #[serde(default)]
    pub run: Option<Running>,
    /// What is known of each job that worked on the archive, by the job's name.
    #[serde(default)]
    pub jobs: BTreeMap<String, Record>,
}

/// A run under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The job's name.
    pub job: String,
    /// The job's kind.
    pub kind: String,
    /// Process number.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// When the process began to work on it.
    pub started: Timestamp,
    /// The heartbeat: when this was written.
    pub updated: Timestamp,
    /// When work last moved on. An old one beside a fresh heartbeat is a run that lives and does nothing.
    pub moved: Timestamp,
    /// `preparing`, `working`, `listed` or `finishing`.
    pub phase: String,
    /// What was counted so far, by name.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
}

/// What is known of one job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// How its last run ended.
    #[serde(default)]
    pub last: Option<LastRun>,
    /// The word of the last end of a run that was told to somebody.
    #[serde(default)]
    pub told: Option<String>,
    /// The last call to somebody that failed for good, until one succeeds.
    #[serde(default)]
    pub notify_failure: Option<NotifyFailure>,
}

impl Record {
    /// The last end of a run that was told.
    pub fn told(&self) -> Option<Event> {
        self.told.as_deref().and_then(Event::from_word)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// The job's kind.
    pub kind: String,
    /// `complete`, `partial`, `different`, `window-ended`, `interrupted`, `failed`, or `died` when it never said how it ended.
    pub outcome: String,
    /// The snapshot it made, if it made one.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; of one that died, when it was last heard of.
    pub finished: Timestamp,
    /// What went wrong, for people.
    #[serde(default)]
    pub message: Option<String>,
    /// Slots of the schedule that had passed without a run when it began.
    #[serde(default)]
    pub missed: u64,
}

/// A call to somebody that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyFailure {
    /// When.
    pub at: Timestamp,
    /// What was to be told.
    pub event: String,
    /// What went wrong; names the host alone, since the address is a secret.
    pub message: String,
}

/// Seconds after which a heartbeat counts as missing. A run writes one every [`crate::status::BEAT_SECONDS`].
pub const STALE_SECONDS: i64 = 120;

/// Seconds between two heartbeats of a run.
pub const BEAT_SECONDS: u64 = 15;

impl Running {
    /// Whether its heartbeat stopped: the process died, or its machine sleeps.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.duration_since(self.updated).as_secs() > STALE_SECONDS
    }
}

impl StatusFile {
    /// What is known of a job.
    pub fn job(&self, job: &str) -> Record {
        self.jobs.get(job).cloned().unwrap_or_default()
    }

    /// A run begins; the caller holds the archive's lock. One that is still noted died, and its job's record says so from now on.
    pub fn begin(&mut self, run: Running) {
        self.format = FORMAT;
        if let Some(dead) = self.run.replace(run) {
            self.jobs.entry(dead.job).or_default().last = Some(LastRun {
                kind: dead.kind,
                outcome: "died".to_owned(),
                snapshot: None,
                started: dead.started,
                finished: dead.updated,
                message: Some(format!(
                    "process {} on {} ended without a word in phase '{}'",
                    dead.pid, dead.host, dead.phase
                )),
                missed: 0,
            });
        }
    }

    /// The run ended.
    pub fn end(&mut self, last: LastRun) {
        if let Some(run) = self.run.take() {
            self.jobs.entry(run.job).or_default().last = Some(last);
        }
    }

    /// What became of telling `event`: `Err` with what went wrong, without the address.
    pub fn told(&mut self, job: &str, event: Event, at: Timestamp, result: Result<(), String>) {
        let record = self.jobs.entry(job.to_owned()).or_default();
        match result {
            Ok(()) => {
                record.notify_failure = None;
                if event.is_end() {
                    record.told = Some(event.as_str().to_owned());
                }
            }
            // What was not told stays news.
            Err(message) => {
                record.notify_failure = Some(NotifyFailure {
                    at,
                    event: event.as_str().to_owned(),
                    message,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn running(job: &str, at: i64) -> Running {
        Running {
            job: job.to_owned(),
            kind: "backup".to_owned(),
            pid: 7,
            host: "nas".to_owned(),
            started: second(at),
            updated: second(at + 30),
            moved: second(at + 20),
            phase: "working".to_owned(),
            counters: BTreeMap::from([("files_done".to_owned(), 3)]),
        }
    }

    fn last(outcome: &str) -> LastRun {
        LastRun {
            kind: "backup".to_owned(),
            outcome: outcome.to_owned(),
            snapshot: None,
            started: second(0),
            finished: second(9),
            message: None,
            missed: 0,
        }
    }

    #[test]
    fn a_run_that_never_ended_is_found_dead_by_the_next() {
        let mut file = StatusFile::default();
        file.begin(running("a", 100));
        file.begin(running("b", 900));
        let dead = file.job("a").last.unwrap();
        assert_eq!((dead.outcome.as_str(), dead.finished), ("died", second(130)));
        assert!(dead.message.unwrap().contains("process 7 on nas"));
        file.end(last("complete"));
        assert_eq!(file.run, None);
        assert_eq!(file.job("b").last, Some(last("complete")));
        assert_eq!(file.job("a").last.unwrap().outcome, "died");
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<StatusFile>(&text).unwrap(), file);
    }

    #[test]
    fn a_heartbeat_gets_stale() {
        let run = running("a", 100);
        assert!(!run.is_stale(second(130 + STALE_SECONDS)));
        assert!(run.is_stale(second(131 + STALE_SECONDS)));
        assert!(!run.is_stale(second(0)));
    }

    #[test]
    fn what_could_not_be_told_stays_news() {
        let mut file = StatusFile::default();
        file.told("a", Event::Success, second(1), Ok(()));
        file.told(
            "a",
            Event::Failure,
            second(2),
            Err("hc.example: no answer".to_owned()),
        );
        assert_eq!(file.job("a").told(), Some(Event::Success));
        assert_eq!(file.job("a").notify_failure.unwrap().event, "failure");
        file.told("a", Event::Start, second(3), Ok(()));
        assert_eq!(file.job("a").told(), Some(Event::Success));
        assert_eq!(file.job("a").notify_failure, None);
    }
}
