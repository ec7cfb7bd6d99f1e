//! What is told to other programs about a run, to whom, and when. No I/O: the sender is elsewhere.

mod event;
mod ping;

use std::time::Duration;

use jiff::Timestamp;

pub use event::Event;
pub use ping::{Address, Body, Failure, Manner, Ping, pings};

/// How often the same outcome is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// After every run.
    #[default]
    Always,
    /// Only when a run ends otherwise than the one told before.
    Changes,
}

/// Whether `event` is told, when `told` was the last end of a run that was told.
///
/// A start, an alarm and a missed slot are news of their own and always told.
pub fn is_news(event: Event, told: Option<Event>, repeat: Repeat) -> bool {
    !event.is_end() || repeat == Repeat::Always || told != Some(event)
}

/// How many slots of a schedule passed without a run between the last start and `now`.
///
/// A start may be up to half of `every` early or late, so that a machine that woke up late is not reported.
pub fn missed_slots(last_start: Option<Timestamp>, now: Timestamp, every: Duration) -> u64 {
    let Some(last_start) = last_start else {
        return 0;
    };
    let between = u64::try_from(now.duration_since(last_start).as_secs()).unwrap_or(0);
    match every.as_secs() {
        0 => 0,
        every => ((between + every / 2) / every).saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn changes_are_told_once_and_beginnings_always() {
        use Event::{Alarm, Failure, Late, Partial, Start, Stopped, Success};
        for (event, told, repeat, expected) in [
            (Success, Some(Success), Repeat::Always, true),
            (Success, Some(Success), Repeat::Changes, false),
            (Success, None, Repeat::Changes, true),
            (Success, Some(Failure), Repeat::Changes, true),
            (Failure, Some(Failure), Repeat::Changes, false),
            (Partial, Some(Failure), Repeat::Changes, true),
            (Stopped, Some(Stopped), Repeat::Changes, false),
            (Start, Some(Success), Repeat::Changes, true),
            (Alarm, Some(Alarm), Repeat::Changes, true),
            (Late, Some(Late), Repeat::Changes, true),
        ] {
            assert_eq!(
                is_news(event, told, repeat),
                expected,
                "{event:?} {told:?} {repeat:?}"
            );
        }
    }

    #[test]
    fn slots_without_a_run_are_counted() {
        let hour = 3600;
        let day = Duration::from_secs(24 * 3600);
        let now = Timestamp::from_second(100 * 24 * hour).unwrap();
        for (hours_ago, every, missed) in [
            (0, day, 0),
            (24, day, 0),
            (27, day, 0),
            (35, day, 0),
            (36, day, 1),
            (47, day, 1),
            (49, day, 1),
            (24 * 7, day, 6),
            (-5, day, 0),
            (24, Duration::from_secs(4 * 3600), 5),
            (24, Duration::ZERO, 0),
        ] {
            let last = Timestamp::from_second(now.as_second() - hours_ago * hour).unwrap();
            assert_eq!(
                missed_slots(Some(last), now, every),
                missed,
                "{hours_ago} {every:?}"
            );
        }
        assert_eq!(missed_slots(None, now, day), 0);
    }
}
