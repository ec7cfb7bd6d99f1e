//! Keeps all transfers of a run together under one rate of bytes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How much may pass at once after a pause: a tenth of a second's worth keeps the flow even.
const BURST: Duration = Duration::from_millis(100);

/// A shared bound on bytes per second, or none.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: Option<u64>,
    /// When the bytes promised so far will have passed.
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A throttle at that rate; `None` or 0 lets everything pass.
    pub fn new(bytes_per_second: Option<u64>) -> Throttle {
        Throttle {
            bytes_per_second: bytes_per_second.filter(|rate| *rate > 0),
            free_at: Mutex::new(None),
        }
    }

    /// Waits until `bytes` more may pass. Those that come first go first.
    pub async fn pass(&self, bytes: u64) {
        let Some(rate) = self.bytes_per_second else { return };
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let start = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let start = free_at.map_or(now, |at| at.max(now - BURST));
            *free_at = Some(start + cost);
            start
        };
        sleep_until(start).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_workers_together_keep_the_rate() {
        let throttle = Throttle::new(Some(1000));
        let began = Instant::now();
        futures::future::join_all((0..100).map(|_| throttle.pass(100))).await;
        let taken = began.elapsed().as_secs_f64();
        assert!((9.8..=10.0).contains(&taken), "{taken}");
        Throttle::new(None).pass(u64::MAX).await;
        assert_eq!(began.elapsed().as_secs_f64(), taken);
    }
}
