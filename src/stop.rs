//! How a run is told to stop, and what time it is: both are the caller's to say.

use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

/// Where a run reads the time, so that a test can set it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}

/// Why a run was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A person or the system asked for it.
    Interrupted,
    /// The job's window is over.
    WindowEnded,
    /// Nothing moved for longer than the watchdog allows.
    Stalled,
}

/// A stop in two steps: first nothing new is begun, then what is under way is dropped.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    admit: CancellationToken,
    abort: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl Stop {
    /// A stop nobody has asked for yet.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Asks that nothing new be begun. The first reason given stands.
    pub fn drain(&self, reason: StopReason) {
        let _ = self.reason.set(reason);
        self.admit.cancel();
    }

    /// Asks that what is under way be dropped as well.
    pub fn abort(&self, reason: StopReason) {
        self.drain(reason);
        self.abort.cancel();
    }

    /// Whether nothing new may be begun.
    pub fn is_draining(&self) -> bool {
        self.admit.is_cancelled()
    }

    /// Waits until nothing new may be begun.
    pub async fn draining(&self) {
        self.admit.cancelled().await;
    }

    /// Waits until what is under way shall be dropped.
    pub async fn aborting(&self) {
        self.abort.cancelled().await;
    }

    /// Why, once it was asked for.
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stands_and_an_abort_is_also_a_drain() {
        let stop = Stop::new();
        assert!(!stop.is_draining());
        stop.drain(StopReason::WindowEnded);
        stop.abort(StopReason::Interrupted);
        stop.draining().await;
        stop.aborting().await;
        assert_eq!(stop.reason(), Some(StopReason::WindowEnded));
    }
}
