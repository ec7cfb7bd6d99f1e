//! Counts of calls by operation, and the limits the service keeps on them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::operation::{Bucket, Operation};

/// Length of the service's rate window in milliseconds (API 2.0 docs, rate-limits: requests per minute).
pub(super) const WINDOW_MS: i64 = 60_000;

/// How the calls of the last minute are counted against the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// Any 60 seconds: the stricter reading of "requests per minute".
    #[default]
    Sliding,
    /// From one full minute of the simulator's clock to the next.
    Fixed,
}

/// What was called, how often, and with which answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// One row per operation that was called, by its fixed word.
    pub operations: BTreeMap<String, OperationCalls>,
    /// TCP connections accepted by all four ports.
    pub connections: u64,
    /// Most calls of the api host that were being answered at the same time.
    pub most_at_once: usize,
    /// The most calls of the classic generation, refused ones too, in any 60 seconds of the simulator's clock.
    pub most_classic_in_a_minute: usize,
}

/// The calls of one operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationCalls {
    /// All calls, refused ones too.
    pub total: u64,
    /// Answers by HTTP status. A call that was cut off before its answer counts under 0.
    pub by_status: BTreeMap<u16, u64>,
    /// The most calls, refused ones too, in any 60 seconds of the simulator's clock.
    pub most_in_a_minute: usize,
    /// Calls refused because of the rate limit or the concurrent-access limit.
    pub refused: u64,
}

impl Calls {
    /// All calls of one operation; 0 when it was never called.
    pub fn of(&self, operation: &str) -> u64 {
        self.operations.get(operation).map_or(0, |calls| calls.total)
    }

    /// Calls of one operation that were answered with `status`.
    pub fn with_status(&self, operation: &str, status: u16) -> u64 {
        self.operations
            .get(operation)
            .and_then(|calls| calls.by_status.get(&status))
            .copied()
            .unwrap_or(0)
    }

    /// All calls of all operations.
    pub fn total(&self) -> u64 {
        self.operations.values().map(|calls| calls.total).sum()
    }

    /// All answers with `status`.
    pub fn total_with_status(&self, status: u16) -> u64 {
        self.operations
            .values()
            .filter_map(|calls| calls.by_status.get(&status))
            .sum()
    }
}

/// The figures that the service writes in its `rateLimit-*` headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) used: usize,
    pub(super) limit: usize,
    pub(super) reset_seconds: i64,
    pub(super) refused: bool,
}

/// Counters and windows of all operations.
#[derive(Debug)]
pub(super) struct Limits {
    rows: Vec<Mutex<Row>>,
    classic: Mutex<Row>,
    per_minute: Option<usize>,
    classic_per_minute: Option<usize>,
    window: Window,
    at_once: Arc<AtomicUsize>,
    most_at_once: AtomicUsize,
    pub(super) connections: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Row {
    calls: OperationCalls,
    /// Times of the calls of the last minute, for `most_in_a_minute`.
    recent: VecDeque<i64>,
    /// Times of the calls of the window that were not refused; empty while no limit is set.
    admitted: VecDeque<i64>,
}

impl Row {
    fn count(&mut self, now: i64) {
        self.calls.total += 1;
        while self.recent.front().is_some_and(|at| *at <= now - WINDOW_MS) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.calls.most_in_a_minute = self.calls.most_in_a_minute.max(self.recent.len());
    }

    /// Forgets the counts; what the limit knows stays.
    fn forget(&mut self) {
        self.calls = OperationCalls::default();
        self.recent.clear();
    }

    fn judge(&mut self, now: i64, limit: usize, window: Window) -> Rate {
        let window_start = match window {
            Window::Sliding => now - WINDOW_MS,
            Window::Fixed => now - now.rem_euclid(WINDOW_MS) - 1,
        };
        while self.admitted.front().is_some_and(|at| *at <= window_start) {
            self.admitted.pop_front();
        }
        let refused = self.admitted.len() >= limit;
        if !refused {
            self.admitted.push_back(now);
        }
        let opens = self.admitted.front().map_or(0, |oldest| match window {
            Window::Sliding => oldest + WINDOW_MS - now,
            Window::Fixed => WINDOW_MS - now.rem_euclid(WINDOW_MS),
        });
        Rate {
            used: self.admitted.len(),
            limit,
            reset_seconds: (opens + 999).div_euclid(1_000).max(0),
            refused,
        }
    }
}

/// Counts one call as being answered until it is dropped.
#[derive(Debug)]
pub(super) struct AtOnce(Arc<AtomicUsize>);

impl Drop for AtOnce {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limits {
    pub(super) fn new(per_minute: Option<usize>, classic_per_minute: Option<usize>, window: Window) -> Self {
        Self {
            rows: Operation::all().map(|_| Mutex::default()).collect(),
            classic: Mutex::default(),
            per_minute,
            classic_per_minute,
            window,
            at_once: Arc::default(),
            most_at_once: AtomicUsize::new(0),
            connections: Arc::default(),
        }
    }

    fn row(&self, operation: Operation) -> Option<MutexGuard<'_, Row>> {
        self.rows
            .get(operation.index())
            .map(|row| row.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a call and judges it; `None` when the operation has no limit.
    pub(super) fn count(&self, operation: Operation, now: i64) -> Option<Rate> {
        let mut row = self.row(operation)?;
        row.count(now);
        let rate = match operation.bucket() {
            Bucket::Unlimited => None,
            Bucket::Own => Some(row.judge(now, self.per_minute?, self.window)),
            Bucket::Classic => {
                let mut category = self.classic.lock().unwrap_or_else(PoisonError::into_inner);
                category.count(now);
                Some(category.judge(now, self.classic_per_minute?, self.window))
            }
        }?;
        if rate.refused {
            row.calls.refused += 1;
        }
        Some(rate)
    }

    /// Counts a refusal by the concurrent-access limit.
    pub(super) fn count_refusal(&self, operation: Operation) {
        if let Some(mut row) = self.row(operation) {
            row.calls.refused += 1;
        }
    }

    /// Enters a call into the number being answered; `None` when there are already `limit` of them.
    pub(super) fn enter(&self, limit: Option<usize>) -> Option<AtOnce> {
        let now = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        let guard = AtOnce(Arc::clone(&self.at_once));
        if limit.is_some_and(|limit| now > limit) {
            return None;
        }
        self.most_at_once.fetch_max(now, Ordering::Relaxed);
        Some(guard)
    }

    /// Records the answer of a call; 0 for an answer that was cut off before its head.
    pub(super) fn record(&self, operation: Operation, status: u16) {
        if let Some(mut row) = self.row(operation) {
            *row.calls.by_status.entry(status).or_insert(0) += 1;
        }
    }

    /// All counts so far.
    pub(super) fn calls(&self) -> Calls {
        let operations = Operation::all()
            .filter_map(|operation| {
                let row = self.row(operation)?;
                (row.calls.total > 0).then(|| (operation.name().to_owned(), row.calls.clone()))
            })
            .collect();
        Calls {
            operations,
            connections: self.connections.load(Ordering::Relaxed) as u64,
            most_at_once: self.most_at_once.load(Ordering::Relaxed),
            most_classic_in_a_minute: self
                .classic
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .calls
                .most_in_a_minute,
        }
    }

    /// Sets every count to zero; the windows stay.
    pub(super) fn reset(&self) {
        for operation in Operation::all() {
            if let Some(mut row) = self.row(operation) {
                row.forget();
            }
        }
        self.classic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .forget();
        self.connections.store(0, Ordering::Relaxed);
        self.most_at_once.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::{Limits, Window};
    use crate::sim::operation::{Operation, Single};

    #[test]
    fn the_window_admits_the_figure_and_opens_after_a_minute() {
        let operation = Operation::single(Single::UsersList);
        let table = [
            (Window::Sliding, [30_000, 30_001, 59_998, 59_999, 89_999, 90_000]),
            (Window::Fixed, [30_000, 30_001, 59_998, 59_998, 59_999, 60_000]),
        ];
        for (window, times) in table {
            let limits = Limits::new(Some(3), None, window);
            let refused: Vec<bool> = times
                .into_iter()
                .map(|now| limits.count(operation, now).unwrap().refused)
                .collect();
            assert_eq!(refused, [false, false, false, true, true, false], "{window:?}");
            assert_eq!(limits.calls().operations["users.list"].refused, 2);
        }
    }

    #[test]
    fn the_classic_generation_is_limited_as_one_and_the_storage_host_not_at_all() {
        let limits = Limits::new(Some(100), Some(2), Window::Sliding);
        let classic = |single| limits.count(Operation::single(single), 0).unwrap().refused;
        assert!(!classic(Single::ClassicRoot));
        assert!(!classic(Single::ClassicList));
        assert!(classic(Single::ClassicDownload));
        assert_eq!(limits.calls().most_classic_in_a_minute, 3);
        assert_eq!(limits.calls().operations["classic.download"].refused, 1);
        assert!(
            limits
                .count(Operation::single(Single::StorageDownload), 0)
                .is_none()
        );
        assert!(
            limits
                .count(Operation::single(Single::ClassicServerToken), 0)
                .is_none()
        );
    }
}
