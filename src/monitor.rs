//! The reporting seam: what a run tells while it works, and the sinks that listen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::id::DriveId;

/// Listens to a run. Calls come from many tasks and must return at once.
pub trait Monitor: fmt::Debug + Send + Sync {
    /// Adds to a counter.
    fn count(&self, counter: Counter, by: u64);

    /// One request went out for an API operation, and this status came back (`None`: no answer).
    fn call(&self, operation: &'static str, status: Option<u16>);

    /// A transfer worker began, moved on with, or ended a file.
    fn transfer(&self, worker: usize, step: Transfer<'_>);

    /// Work waits, for the reason and the time given.
    fn waiting(&self, wait: &Waiting);

    /// Something went wrong that the run survives; also written to the log.
    fn problem(&self, subject: &str, message: &str);

    /// The run entered a new phase.
    fn phase(&self, phase: Phase);

    /// How far one drive is: called when its listing is closed and when its last item is accounted for.
    fn drive(&self, drive: &DriveId, state: DriveState);
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// Folders whose listing is closed.
    FoldersListed,
    /// Pages of listings read.
    PagesRead,
    /// Files seen in listings.
    FilesListed,
    /// Bytes of the files seen in listings.
    BytesListed,
    /// Files fetched (or uploaded) and put in place.
    FilesDone,
    /// Bytes of [`Counter::FilesDone`].
    BytesDone,
    /// Files taken from an earlier snapshot.
    FilesReused,
    /// Bytes of [`Counter::FilesReused`].
    BytesReused,
    /// Files left out on purpose.
    FilesSkipped,
    /// Files gone between listing and fetch.
    FilesVanished,
    /// Files and folders that failed.
    Failures,
    /// Bytes that came (or went) over the network for contents, repeats included.
    BytesMoved,
    /// Requests repeated after a failure.
    Retries,
}

impl Counter {
    /// Number of counters.
    pub const COUNT: usize = 13;
}

/// A step of one transfer.
#[derive(Clone, Copy, Debug)]
pub enum Transfer<'a> {
    /// A file begins.
    Started {
        /// Path in the drive.
        path: &'a str,
        /// Size in bytes.
        size: u64,
    },
    /// This many more bytes are through.
    Advanced(u64),
    /// The bytes so far are void, the file starts again.
    Restarted,
    /// The file ended, well or not.
    Finished,
}

/// Why work waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The API operation that waits.
    pub operation: &'static str,
    /// How long at most.
    pub time: Duration,
    /// Why.
    pub why: WaitReason,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Our own pace under the tenant's rate limit.
    Pace,
    /// The service answered 429.
    RateLimited,
    /// A pause before a retry.
    Retry,
    /// No connection to a host can be made that answered before.
    Unreachable,
}

/// Parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opening the archive, reading the basis.
    Preparing,
    /// Listing and transferring side by side.
    Working,
    /// The listing is closed; totals are known.
    Listed,
    /// Writing the manifest and the tail.
    Finishing,
}

/// How far one drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveState {
    /// Its walk began.
    Started,
    /// Every folder is listed or has failed.
    Listed,
    /// Nothing can be read of it.
    Refused,
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn count(&self, _: Counter, _: u64) {}
    fn call(&self, _: &'static str, _: Option<u16>) {}
    fn transfer(&self, _: usize, _: Transfer<'_>) {}
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

/// Adds up what it hears.
#[derive(Debug, Default)]
pub struct Tally {
    counters: [AtomicU64; Counter::COUNT],
    calls: Mutex<BTreeMap<&'static str, CallCount>>,
    waited: AtomicU64,
}

/// Requests of one API operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCount {
    /// Requests sent.
    pub sent: u64,
    /// Of these, answered 429.
    pub limited: u64,
    /// Of these, answered with another error, or not at all.
    pub failed: u64,
}

impl Tally {
    /// The value of a counter.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counters
            .get(counter as usize)
            .map_or(0, |value| value.load(Ordering::Relaxed))
    }

    /// Requests by operation.
    pub fn calls(&self) -> BTreeMap<&'static str, CallCount> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Time spent waiting for the rate limit, added up over all tasks.
    pub fn waited(&self) -> Duration {
        Duration::from_millis(self.waited.load(Ordering::Relaxed))
    }
}

impl Monitor for Tally {
    fn count(&self, counter: Counter, by: u64) {
        if let Some(value) = self.counters.get(counter as usize) {
            value.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn call(&self, operation: &'static str, status: Option<u16>) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(operation).or_default();
        count.sent += 1;
        match status {
            Some(429) => count.limited += 1,
            Some(200..=399) => {}
            _ => count.failed += 1,
        }
    }

    fn transfer(&self, _: usize, _: Transfer<'_>) {}

    fn waiting(&self, wait: &Waiting) {
        if matches!(wait.why, WaitReason::Pace | WaitReason::RateLimited) {
            let milliseconds = u64::try_from(wait.time.as_millis()).unwrap_or(u64::MAX);
            self.waited.fetch_add(milliseconds, Ordering::Relaxed);
        }
    }

    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

/// Passes everything on to several sinks.
#[derive(Debug, Default)]
pub struct Tee(pub Vec<Arc<dyn Monitor>>);

impl Monitor for Tee {
    fn count(&self, counter: Counter, by: u64) {
        self.0.iter().for_each(|sink| sink.count(counter, by));
    }
    fn call(&self, operation: &'static str, status: Option<u16>) {
        self.0.iter().for_each(|sink| sink.call(operation, status));
    }
    fn transfer(&self, worker: usize, step: Transfer<'_>) {
        self.0.iter().for_each(|sink| sink.transfer(worker, step));
    }
    fn waiting(&self, wait: &Waiting) {
        self.0.iter().for_each(|sink| sink.waiting(wait));
    }
    fn problem(&self, subject: &str, message: &str) {
        self.0.iter().for_each(|sink| sink.problem(subject, message));
    }
    fn phase(&self, phase: Phase) {
        self.0.iter().for_each(|sink| sink.phase(phase));
    }
    fn drive(&self, drive: &DriveId, state: DriveState) {
        self.0.iter().for_each(|sink| sink.drive(drive, state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_adds_up_counters_and_calls() {
        let tally = Arc::new(Tally::default());
        let tee = Tee(vec![Arc::clone(&tally) as Arc<dyn Monitor>, Arc::new(Silent)]);
        tee.count(Counter::Retries, 2);
        tee.count(Counter::Retries, 1);
        for status in [Some(200), Some(302), Some(429), Some(500), None] {
            tee.call("drive.list", status);
        }
        assert_eq!(tally.get(Counter::Retries), 3);
        assert_eq!(tally.get(Counter::FilesDone), 0);
        let expected = CallCount {
            sent: 5,
            limited: 1,
            failed: 2,
        };
        assert_eq!(tally.calls(), BTreeMap::from([("drive.list", expected)]));
    }
}
