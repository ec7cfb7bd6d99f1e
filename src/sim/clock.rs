//! The simulator's clock: real time, made faster or moved by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the simulator's time in milliseconds since 1970-01-01T00:00:00Z.
///
/// Token lifetimes, rate windows and the expiry of URLs are read from this clock; delays of faults are not.
#[derive(Debug)]
pub struct Clock {
    pace: RwLock<Pace>,
    advanced: AtomicI64,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    since: Instant,
    base_ms: i64,
    speed: f64,
}

impl Clock {
    /// A clock that starts at the machine's time and runs `speed` times as fast (1.0 = real time, 0.0 = stands still).
    pub fn new(speed: f64) -> Self {
        let base_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        Self {
            pace: RwLock::new(Pace {
                since: Instant::now(),
                base_ms,
                speed,
            }),
            advanced: AtomicI64::new(0),
        }
    }

    /// The time now, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        let pace = *self.pace.read().unwrap_or_else(PoisonError::into_inner);
        pace.at().saturating_add(self.advanced.load(Ordering::Relaxed))
    }

    /// Moves the clock forward by `milliseconds` at once.
    pub fn advance_ms(&self, milliseconds: i64) {
        self.advanced.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Moves the clock forward by `seconds` at once.
    pub fn advance_seconds(&self, seconds: i64) {
        self.advance_ms(seconds.saturating_mul(1_000));
    }

    /// Changes the speed from now on; the time of day does not jump.
    pub fn set_speed(&self, speed: f64) {
        let mut pace = self.pace.write().unwrap_or_else(PoisonError::into_inner);
        *pace = Pace {
            since: Instant::now(),
            base_ms: pace.at(),
            speed,
        };
    }
}

impl Pace {
    fn at(&self) -> i64 {
        let elapsed = self.since.elapsed().as_secs_f64() * self.speed * 1_000.0;
        // A float beyond the range of i64 saturates, which is far outside any run.
        self.base_ms.saturating_add(elapsed as i64)
    }
}
