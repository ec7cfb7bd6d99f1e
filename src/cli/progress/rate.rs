//! Speed over the last while, from counters that only rise.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The span a speed is taken over: long enough to be calm, short enough to follow a change.
const SPAN: Duration = Duration::from_secs(20);
/// Samples closer than this replace each other, so that memory stays small.
const STEP: Duration = Duration::from_millis(500);

/// Counters whose speed is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Files that are dealt with.
    pub(super) files: u64,
    /// Bytes of these.
    pub(super) bytes: u64,
    /// Bytes over the network.
    pub(super) network: u64,
}

/// Speeds per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Files.
    pub(super) files: f64,
    /// Bytes of files.
    pub(super) bytes: f64,
    /// Bytes over the network.
    pub(super) network: f64,
}

/// Remembers samples of the last while.
#[derive(Debug, Default)]
pub(super) struct Meter {
    samples: VecDeque<(Instant, Moved)>,
}

impl Meter {
    /// Takes a sample.
    pub(super) fn note(&mut self, now: Instant, moved: Moved) {
        let len = self.samples.len();
        let near = len >= 2
            && self
                .samples
                .get(len - 2)
                .is_some_and(|(at, _)| now.duration_since(*at) < STEP);
        if near {
            self.samples.pop_back();
        }
        self.samples.push_back((now, moved));
        // The newest sample that is old enough is where the span begins.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= SPAN)
        {
            self.samples.pop_front();
        }
    }

    /// The speeds over the remembered span; zero until there are two samples.
    pub(super) fn rates(&self) -> Rates {
        let (Some((from, first)), Some((to, last))) = (self.samples.front(), self.samples.back()) else {
            return Rates::default();
        };
        let seconds = to.duration_since(*from).as_secs_f64();
        if seconds <= 0.0 {
            return Rates::default();
        }
        let per_second = |first: u64, last: u64| last.saturating_sub(first) as f64 / seconds;
        Rates {
            files: per_second(first.files, last.files),
            bytes: per_second(first.bytes, last.bytes),
            network: per_second(first.network, last.network),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_that_of_the_last_while_and_memory_stays_small() {
        let start = Instant::now();
        let mut meter = Meter::default();
        assert_eq!(meter.rates(), Rates::default());
        let mut files = 0;
        // 10 files a second for 100 s, then 2 a second for 40 s, sampled ten times a second.
        for tick in 0..1400_u32 {
            files += match tick {
                0 => 0,
                1..1000 => 1,
                _ if tick % 5 == 0 => 1,
                _ => 0,
            };
            let moved = Moved {
                files,
                ..Moved::default()
            };
            meter.note(start + Duration::from_millis(100) * tick, moved);
            if tick == 999 {
                assert!((meter.rates().files - 10.0).abs() < 0.01, "{:?}", meter.rates());
            }
        }
        assert!((meter.rates().files - 2.0).abs() < 0.1, "{:?}", meter.rates());
        assert!(meter.samples.len() < 60, "{}", meter.samples.len());
    }
}
