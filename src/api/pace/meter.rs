//! The arithmetic of one operation's pace: pure, and proved by property tests.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::nanoseconds;

/// What is remembered of an operation, in nanoseconds since 1970. Zero means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// When the next request would come if requests came evenly (the arrival time of the cell-rate algorithm).
    pub arrival: u64,
    /// When the current stretch of calls began.
    pub streak: u64,
    /// When the last request was let through.
    pub last: u64,
    /// Until when an answer 429 closed the operation.
    pub closed: u64,
}

/// The answer to a request for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Go now.
    Go,
    /// Ask again after this time: our own pace.
    Later(Duration),
    /// Ask again after this time: the service closed the operation.
    Closed(Duration),
}

/// The pace of one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    full: Quota,
    half: Option<Quota>,
}

/// How long an operation may be called at the full figure (API 2.0 docs, JP/rate-limits).
const PEAK: Duration = Duration::from_secs(30 * 60);
/// How long an operation must rest before the full figure holds again. The documents do not say what interrupts
/// "30 minutes or more continuously"; a rest as long as the peak keeps to any reading of it, where a shorter one would
/// let a short pause buy another half hour at the full figure.
const REST: Duration = PEAK;
/// The longest closure that is believed: longer ones come from a clock that was set back.
const LONGEST: Duration = Duration::from_secs(3700);

impl Meter {
    /// At most `per_minute` requests in any 60 seconds, and half as many once an operation has been called for 30
    /// minutes if `sustained_half`. 0 is taken as 1.
    pub(super) fn new(per_minute: u32, sustained_half: bool) -> Meter {
        Meter {
            full: quota(per_minute),
            half: sustained_half.then(|| quota(per_minute / 2)),
        }
    }

    /// Asks for a place at the time `now`, and takes it if there is one.
    pub(super) fn ask(&self, record: &mut Record, now: u64) -> Ask {
        if let Some(time) = closed(record, now) {
            return Ask::Closed(time);
        }
        let rested = now.saturating_sub(record.last) >= nanoseconds(REST);
        if record.last == 0 || record.streak == 0 || record.streak > now || rested {
            record.streak = now;
        }
        let sustained = now - record.streak >= nanoseconds(PEAK);
        let quota = match self.half {
            Some(half) if sustained => half,
            _ => self.full,
        };
        // A clock that was set back would leave the arrival far ahead; it cannot lie further than a full burst.
        let burst =
            nanoseconds(quota.replenish_interval()).saturating_mul(u64::from(quota.burst_size().get()));
        record.arrival = record.arrival.min(now.saturating_add(burst));

        let moment = Cell::new(0);
        let arrival = Cell::new(record.arrival);
        let limiter =
            RateLimiter::<_, _, _, NoOpMiddleware<Nanos>>::new(quota, Arrival(&arrival), Moment(&moment));
        moment.set(now);
        match limiter.check() {
            Ok(()) => {
                record.arrival = arrival.get();
                record.last = now;
                Ask::Go
            }
            Err(until) => {
                let time = until.wait_time_from(Nanos::from(now));
                Ask::Later(time.max(Duration::from_nanos(1)))
            }
        }
    }
}

/// How long the operation is still closed.
pub(super) fn closed(record: &mut Record, now: u64) -> Option<Duration> {
    record.closed = record.closed.min(now.saturating_add(nanoseconds(LONGEST)));
    (record.closed > now).then(|| Duration::from_nanos(record.closed - now))
}

/// An even stream of `per_minute` less a margin, with a burst so small that rate and burst together fit the figure.
///
/// A cell-rate limiter of rate R and burst B lets at most R + B requests through in 60 seconds. The margin, one
/// sixtieth and at least 1, pays for the burst, and half of it for requests that the network pushes together.
fn quota(per_minute: u32) -> Quota {
    let figure = per_minute.max(1);
    let margin = (figure / 60).max(1);
    let rate = (figure - margin).max(1);
    let burst = NonZeroU32::new(margin / 2).unwrap_or(NonZeroU32::MIN);
    // With a figure of 1, rate and burst cannot both be 1 within a minute: the interval is a second longer.
    let minute = if figure == 1 { 61 } else { 60 } * 1_000_000_000_u64;
    let interval = Duration::from_nanos(minute.div_ceil(u64::from(rate)));
    Quota::with_period(interval)
        .unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN))
        .allow_burst(burst)
}

/// The arrival time, lent to the limiter for one question.
struct Arrival<'a>(&'a Cell<u64>);

impl StateStore for Arrival<'_> {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let before = (self.0.get() > 0).then(|| Nanos::from(self.0.get()));
        let (answer, after) = decide(before)?;
        self.0.set(after.as_u64());
        Ok(answer)
    }
}

/// The moment of one question. It stands at 1970 while the limiter is made, which makes that the limiter's beginning in
/// every process.
struct Moment<'a>(&'a Cell<u64>);

impl Clock for Moment<'_> {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.get())
    }
}
