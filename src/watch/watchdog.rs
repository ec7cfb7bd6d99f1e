//! Ends a run in which nothing moves.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::id::DriveId;
use crate::monitor::{Counter, DriveState, Monitor, Phase, Transfer, WaitReason, Waiting};
use crate::stop::{Stop, StopReason};

/// Hears that work moves on. Give it to the run beside the other sinks.
#[derive(Debug)]
pub struct Movement {
    quiet_since: Mutex<Instant>,
}

impl Movement {
    /// Nothing moved yet; the time counts from now.
    pub fn new() -> Movement {
        Movement {
            quiet_since: Mutex::new(Instant::now()),
        }
    }

    /// Since when nothing has moved. It lies ahead while the run waits for as long as the service told it to.
    pub fn quiet_since(&self) -> Instant {
        *self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self, until: Instant) {
        let mut since = self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = until.max(*since);
    }
}

impl Default for Movement {
    fn default() -> Movement {
        Movement::new()
    }
}

impl Monitor for Movement {
    fn count(&self, counter: Counter, _: u64) {
        // A repeat is no progress: a run that only repeats is stalled.
        if counter != Counter::Retries {
            self.moved(Instant::now());
        }
    }

    fn call(&self, _: &'static str, status: Option<u16>) {
        if matches!(status, Some(200..=399)) {
            self.moved(Instant::now());
        }
    }

    fn transfer(&self, _: usize, step: Transfer<'_>) {
        if matches!(step, Transfer::Advanced(_)) {
            self.moved(Instant::now());
        }
    }

    fn waiting(&self, wait: &Waiting) {
        // Nobody told how long the network is away: a run that only waits for it stands still.
        if wait.why != WaitReason::Unreachable {
            self.moved(Instant::now() + wait.time);
        }
    }

    fn problem(&self, _: &str, _: &str) {}

    fn phase(&self, _: Phase) {
        self.moved(Instant::now());
    }

    fn drive(&self, _: &DriveId, _: DriveState) {
        self.moved(Instant::now());
    }
}

/// Waits until nothing has moved for `stall_after`, then asks the run to stop, and after `grace` more without an end drops what is under way.
///
/// A wait that the run announced does not count: an hour's pause that the service asked for is no stall. Drop the future when the run ends.
pub async fn watchdog(movement: &Movement, stall_after: Duration, grace: Duration, stop: &Stop) {
    loop {
        let deadline = movement.quiet_since() + stall_after;
        sleep_until(deadline).await;
        if movement.quiet_since() + stall_after <= deadline {
            break;
        }
    }
    stop.drain(StopReason::Stalled);
    tokio::time::sleep(grace).await;
    stop.abort(StopReason::Stalled);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::sync::Arc;

    use tokio::time::sleep;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn begin() -> (Arc<Movement>, Stop, tokio::task::JoinHandle<()>, Instant) {
        let (movement, stop) = (Arc::new(Movement::new()), Stop::new());
        let (watched, told) = (Arc::clone(&movement), stop.clone());
        let task = tokio::spawn(async move { watchdog(&watched, 10 * MINUTE, MINUTE, &told).await });
        (movement, stop, task, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn ten_still_minutes_end_a_run() {
        let (movement, stop, task, began) = begin();
        for step in [Transfer::Advanced(1), Transfer::Restarted] {
            sleep(8 * MINUTE).await;
            movement.transfer(0, step);
        }
        // The second step moved nothing, so the time counts from minute 8.
        stop.draining().await;
        assert_eq!(began.elapsed().as_secs() / 60, 18);
        assert_eq!(stop.reason(), Some(StopReason::Stalled));
        stop.aborting().await;
        assert_eq!(began.elapsed().as_secs() / 60, 19);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_and_refusals_are_no_progress() {
        let (movement, stop, _task, began) = begin();
        for _ in 0..9 {
            sleep(MINUTE).await;
            movement.count(Counter::Retries, 1);
            movement.call("drive.list", Some(503));
            movement.call("drive.list", None);
            movement.problem("x", "y");
        }
        stop.draining().await;
        assert_eq!(began.elapsed().as_secs() / 60, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_announced_is_no_stall() {
        let (movement, stop, _task, began) = begin();
        movement.waiting(&Waiting {
            operation: "drive.list",
            time: 60 * MINUTE,
            why: WaitReason::RateLimited,
        });
        // A shorter movement afterwards does not take the longer wait back.
        movement.count(Counter::PagesRead, 1);
        sleep(65 * MINUTE).await;
        assert!(!stop.is_draining());
        stop.draining().await;
        assert_eq!(began.elapsed().as_secs() / 60, 70);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_only_waits_for_the_network_stands_still() {
        let (movement, stop, _task, began) = begin();
        for _ in 0..19 {
            movement.waiting(&Waiting {
                operation: "drive.list",
                time: MINUTE / 2,
                why: WaitReason::Unreachable,
            });
            sleep(MINUTE / 2).await;
            assert!(!stop.is_draining());
        }
        stop.draining().await;
        assert_eq!(began.elapsed().as_secs() / 60, 10);
    }
}
