//! What of a run goes into the log: problems, phases, long waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::board::Board;
use super::rate::Meter;
use crate::id::DriveId;
use crate::monitor::{Counter, DriveState, Monitor, Phase, Transfer, WaitReason, Waiting};
use crate::report::{duration, printable};

/// Shorter waits are not logged.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Writes to the log what a person wants to find there in the morning.
#[derive(Debug)]
pub(super) struct LogMonitor {
    board: Arc<Board>,
    announced: Announced,
}

/// The waits that the log has told of, so that eight workers in one queue are one line.
#[derive(Debug, Default)]
struct Announced(Mutex<BTreeMap<&'static str, Instant>>);

impl Announced {
    /// Whether this wait is news: long, and no told wait of its operation is still under way.
    fn is_news(&self, wait: &Waiting, now: Instant) -> bool {
        if wait.time < LONG_WAIT {
            return false;
        }
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(wait.operation).is_some_and(|until| *until > now) {
            return false;
        }
        let until = now.checked_add(wait.time).unwrap_or(now);
        told.insert(wait.operation, until);
        true
    }
}

impl LogMonitor {
    /// A log that takes the figures of its lines from `board`.
    pub(super) fn new(board: Arc<Board>) -> LogMonitor {
        LogMonitor {
            board,
            announced: Announced::default(),
        }
    }
}

impl Monitor for LogMonitor {
    fn count(&self, _: Counter, _: u64) {}
    fn call(&self, _: &'static str, _: Option<u16>) {}
    fn transfer(&self, _: usize, _: Transfer<'_>) {}

    fn waiting(&self, wait: &Waiting) {
        if self.announced.is_news(wait, Instant::now()) {
            let why = match wait.why {
                WaitReason::Pace => "to keep the rate limit",
                WaitReason::RateLimited => "because the service refused for the rate",
                WaitReason::Retry => "before a retry",
                WaitReason::Unreachable => "since the service cannot be reached",
            };
            tracing::info!("{} waits {} {why}", wait.operation, duration(wait.time));
        }
    }

    fn problem(&self, subject: &str, message: &str) {
        tracing::warn!("{}: {}", printable(subject), printable(message));
    }

    fn phase(&self, phase: Phase) {
        let begun = match phase {
            Phase::Preparing => "preparing",
            Phase::Working => "listing and transferring",
            Phase::Listed => "the listing is complete",
            Phase::Finishing => "writing the manifest",
        };
        match phase {
            Phase::Preparing | Phase::Working => tracing::info!("{begun}"),
            Phase::Listed | Phase::Finishing => {
                let view = self.board.view(&Meter::default(), Instant::now());
                let figures: Vec<String> = view.totals().into_iter().take(2).collect();
                tracing::info!("{begun}: {}", figures.join(", "));
            }
        }
    }

    fn drive(&self, drive: &DriveId, state: DriveState) {
        match state {
            DriveState::Started => tracing::debug!("{drive}: listing"),
            DriveState::Listed => tracing::debug!("{drive}: listed"),
            DriveState::Refused => tracing::warn!("{drive}: nothing can be read of this drive"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_of_workers_is_one_line_for_each_operation() {
        let announced = Announced::default();
        let start = Instant::now();
        let news = |operation, seconds, after| {
            let wait = Waiting {
                operation,
                time: Duration::from_secs(seconds),
                why: WaitReason::Pace,
            };
            announced.is_news(&wait, start + Duration::from_secs(after))
        };
        assert!(!news("drive.list", 4, 0));
        assert!(news("drive.list", 20, 0));
        assert!(!news("drive.list", 19, 1));
        assert!(news("drive.download", 20, 1));
        assert!(!news("drive.list", 30, 19));
        assert!(news("drive.list", 30, 21));
        assert!(news("drive.upload", u64::MAX, 0));
    }
}
