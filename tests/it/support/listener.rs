//! A monitor that remembers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use drivejob::id::DriveId;
use drivejob::monitor::{Counter, DriveState, Monitor, Phase, Tally, Transfer, Waiting};
use drivejob::stop::{Stop, StopReason};

/// Adds up what it hears, and keeps problems and waits.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) tally: Tally,
    problems: Mutex<Vec<(String, String)>>,
    waits: Mutex<Vec<Waiting>>,
}

impl Recorder {
    /// What went wrong so far, as subject and message.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        self.problems.lock().unwrap().clone()
    }

    /// What was waited for so far.
    pub(crate) fn waits(&self) -> Vec<Waiting> {
        self.waits.lock().unwrap().clone()
    }
}

impl Monitor for Recorder {
    fn count(&self, counter: Counter, by: u64) {
        self.tally.count(counter, by);
    }
    fn call(&self, operation: &'static str, status: Option<u16>) {
        self.tally.call(operation, status);
    }
    fn transfer(&self, worker: usize, step: Transfer<'_>) {
        self.tally.transfer(worker, step);
    }
    fn waiting(&self, wait: &Waiting) {
        self.tally.waiting(wait);
        self.waits.lock().unwrap().push(wait.clone());
    }
    fn problem(&self, subject: &str, message: &str) {
        self.problems
            .lock()
            .unwrap()
            .push((subject.to_owned(), message.to_owned()));
    }
    fn phase(&self, phase: Phase) {
        self.tally.phase(phase);
    }
    fn drive(&self, drive: &DriveId, state: DriveState) {
        self.tally.drive(drive, state);
    }
}

/// Stops a run at its n-th call.
#[derive(Debug)]
pub(crate) struct StopAt {
    calls: AtomicU64,
    at: u64,
    stop: Stop,
}

impl StopAt {
    pub(crate) fn new(at: u64, stop: &Stop) -> StopAt {
        StopAt {
            calls: AtomicU64::new(0),
            at,
            stop: stop.clone(),
        }
    }
}

impl Monitor for StopAt {
    fn call(&self, _: &'static str, _: Option<u16>) {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            self.stop.abort(StopReason::Interrupted);
        }
    }
    fn count(&self, _: Counter, _: u64) {}
    fn transfer(&self, _: usize, _: Transfer<'_>) {}
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}
