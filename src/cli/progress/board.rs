//! Where a run's events become figures: atomics on the way in, one consistent look on the way out.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frame::{Busy, View};
use super::rate::{Meter, Moved};
use crate::id::DriveId;
use crate::monitor::{Counter, DriveState, Monitor, Phase, Transfer, WaitReason, Waiting};

/// Transfer workers that are shown by name; more than that are counted in the totals alone.
const WORKERS: usize = 256;
/// Shorter waits are the pace of every run and nothing to tell.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// The figures of one run, fed from many tasks.
#[derive(Debug)]
pub(super) struct Board {
    counters: [AtomicU64; Counter::COUNT],
    phase: AtomicU8,
    workers: Box<[Worker]>,
    waits: Mutex<BTreeMap<&'static str, (Instant, WaitReason)>>,
    drives: Mutex<HashMap<DriveId, DriveState>>,
}

#[derive(Debug, Default)]
struct Worker {
    bytes: AtomicU64,
    file: Mutex<Option<(String, u64)>>,
}

impl Default for Board {
    fn default() -> Board {
        Board {
            counters: Default::default(),
            phase: AtomicU8::new(Phase::Preparing as u8),
            workers: (0..WORKERS).map(|_| Worker::default()).collect(),
            waits: Mutex::default(),
            drives: Mutex::default(),
        }
    }
}

impl Board {
    /// The counters whose speed is told.
    pub(super) fn moved(&self) -> Moved {
        Moved {
            files: self.files_done(),
            bytes: self.bytes_done(),
            network: self.get(Counter::BytesMoved),
        }
    }

    /// One look at everything.
    pub(super) fn view(&self, meter: &Meter, now: Instant) -> View {
        let drives = lock(&self.drives);
        let ended = drives.values().filter(|state| **state != DriveState::Started);
        View {
            phase: match self.phase.load(Ordering::Relaxed) {
                0 => Phase::Preparing,
                1 => Phase::Working,
                2 => Phase::Listed,
                _ => Phase::Finishing,
            },
            files_done: self.files_done(),
            files_listed: self.get(Counter::FilesListed).max(self.files_done()),
            bytes_done: self.bytes_done(),
            bytes_listed: self.get(Counter::BytesListed).max(self.bytes_done()),
            failures: self.get(Counter::Failures),
            drives_ended: ended.count(),
            drives: drives.len(),
            rates: meter.rates(),
            wait: self.longest_wait(now),
            busy: self.workers.iter().filter_map(Worker::busy).collect(),
        }
    }

    fn get(&self, counter: Counter) -> u64 {
        self.counters
            .get(counter as usize)
            .map_or(0, |value| value.load(Ordering::Relaxed))
    }

    fn files_done(&self) -> u64 {
        [
            Counter::FilesDone,
            Counter::FilesReused,
            Counter::FilesSkipped,
            Counter::FilesVanished,
        ]
        .into_iter()
        .map(|counter| self.get(counter))
        .sum()
    }

    fn bytes_done(&self) -> u64 {
        self.get(Counter::BytesDone) + self.get(Counter::BytesReused)
    }

    fn longest_wait(&self, now: Instant) -> Option<(Duration, WaitReason, &'static str)> {
        let mut waits = lock(&self.waits);
        waits.retain(|_, (until, _)| *until > now);
        let longest = waits.iter().max_by_key(|(_, (until, _))| *until);
        longest.map(|(operation, (until, why))| (until.duration_since(now), *why, *operation))
    }
}

impl Worker {
    fn busy(&self) -> Option<Busy> {
        let file = lock(&self.file);
        file.as_ref().map(|(path, size)| Busy {
            path: path.clone(),
            bytes: self.bytes.load(Ordering::Relaxed),
            size: *size,
        })
    }
}

impl Monitor for Board {
    fn count(&self, counter: Counter, by: u64) {
        if let Some(value) = self.counters.get(counter as usize) {
            value.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn call(&self, _: &'static str, _: Option<u16>) {}

    fn transfer(&self, worker: usize, step: Transfer<'_>) {
        let Some(worker) = self.workers.get(worker) else {
            return;
        };
        match step {
            Transfer::Started { path, size } => {
                worker.bytes.store(0, Ordering::Relaxed);
                *lock(&worker.file) = Some((path.to_owned(), size));
            }
            Transfer::Advanced(bytes) => {
                worker.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Transfer::Restarted => worker.bytes.store(0, Ordering::Relaxed),
            Transfer::Finished => *lock(&worker.file) = None,
        }
    }

    fn waiting(&self, wait: &Waiting) {
        if wait.time < WORTH_TELLING {
            return;
        }
        // A wait of several centuries is a mistake of the other side and not worth the end of the program.
        let Some(until) = Instant::now().checked_add(wait.time) else {
            return;
        };
        let mut waits = lock(&self.waits);
        let known = waits.entry(wait.operation).or_insert((until, wait.why));
        if until > known.0 {
            *known = (until, wait.why);
        }
    }

    fn problem(&self, _: &str, _: &str) {}

    fn phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn drive(&self, drive: &DriveId, state: DriveState) {
        lock(&self.drives).insert(drive.clone(), state);
    }
}

/// No thread leaves these values half written, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_figures() {
        let board = Board::default();
        let now = Instant::now();
        for (counter, by) in [
            (Counter::FilesListed, 10),
            (Counter::BytesListed, 1000),
            (Counter::FilesDone, 3),
            (Counter::FilesReused, 2),
            (Counter::FilesSkipped, 1),
            (Counter::BytesDone, 300),
            (Counter::BytesReused, 200),
            (Counter::BytesMoved, 450),
            (Counter::Failures, 1),
        ] {
            board.count(counter, by);
        }
        board.phase(Phase::Listed);
        for (drive, state) in [
            ("me", DriveState::Started),
            ("users/1", DriveState::Started),
            ("me", DriveState::Listed),
            ("users/2", DriveState::Refused),
        ] {
            board.drive(&DriveId::new(drive), state);
        }
        let view = board.view(&Meter::default(), now);
        assert_eq!(view.phase, Phase::Listed);
        assert_eq!((view.files_done, view.files_listed), (6, 10));
        assert_eq!((view.bytes_done, view.bytes_listed), (500, 1000));
        assert_eq!((view.failures, view.drives_ended, view.drives), (1, 2, 3));
        assert_eq!(board.moved().network, 450);
    }

    #[test]
    fn a_worker_moves_restarts_and_vanishes() {
        let board = Board::default();
        let busy = || {
            let view = board.view(&Meter::default(), Instant::now());
            view.busy.iter().map(|busy| busy.bytes).collect::<Vec<_>>()
        };
        let started = Transfer::Started { path: "/a", size: 10 };
        board.transfer(1, started);
        board.transfer(1, Transfer::Advanced(7));
        assert_eq!(busy(), [7]);
        board.transfer(1, Transfer::Restarted);
        board.transfer(1, Transfer::Advanced(2));
        board.transfer(0, started);
        assert_eq!(busy(), [0, 2]);
        board.transfer(1, Transfer::Finished);
        board.transfer(usize::MAX, started);
        assert_eq!(busy(), [0]);
    }

    #[test]
    fn the_longest_wait_is_told_until_it_is_over() {
        let board = Board::default();
        for (operation, seconds) in [
            ("drive.list", 21),
            ("drive.download", 5),
            ("drive.list", 3),
            ("user.list", 0),
        ] {
            board.waiting(&Waiting {
                operation,
                time: Duration::from_secs(seconds),
                why: WaitReason::Pace,
            });
        }
        board.waiting(&Waiting {
            operation: "x",
            time: Duration::MAX,
            why: WaitReason::Retry,
        });
        let told = |after| {
            let now = Instant::now() + Duration::from_secs(after);
            board
                .longest_wait(now)
                .map(|(_, why, operation)| (why, operation))
        };
        assert_eq!(told(0), Some((WaitReason::Pace, "drive.list")));
        assert_eq!(told(22), None);
    }
}
