//! Tells a transfer that is too slow from one that lives. Only the time in which the network kept us waiting counts: what
//! our own bandwidth limit or disk takes says nothing of the service.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::Instant;

use super::transport::{Broken, Content};

/// The time over which a transfer's rate is taken.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// The rate of one transfer, window after window.
#[derive(Debug)]
pub(super) struct Meter {
    /// Bytes a second below which a transfer is too slow.
    minimum: u64,
    waited: Duration,
    bytes: u64,
    /// Whether a window was fast enough.
    was_good: bool,
}

impl Meter {
    pub(super) fn new(minimum: u64) -> Meter {
        Meter {
            minimum,
            waited: Duration::ZERO,
            bytes: 0,
            was_good: false,
        }
    }

    /// Adds bytes and how long the network let us wait for them; at the end of a window, tells whether it was too slow.
    pub(super) fn add(&mut self, waited: Duration, bytes: u64) -> Option<Broken> {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < WINDOW {
            return None;
        }
        let (waited, bytes) = (self.waited, self.bytes);
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        if bytes as f64 >= self.minimum as f64 * waited.as_secs_f64() {
            self.was_good = true;
            return None;
        }
        Some(Broken {
            sent: true,
            slow: !self.was_good,
            untrusted: false,
            outage: None,
            message: format!(
                "{bytes} bytes in {} s, slower than {} bytes a second",
                waited.as_secs(),
                self.minimum
            ),
        })
    }
}

/// How far a content on its way out has come.
#[derive(Debug, Default)]
pub(in crate::api) struct Flow(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    through: u64,
    /// Time in which the source had nothing to give.
    starved: Duration,
    /// Since when it has nothing to give.
    since: Option<Instant>,
}

impl Flow {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn polled(&self, polled: &Poll<Option<std::io::Result<Bytes>>>) {
        let mut state = self.state();
        match polled {
            Poll::Pending => {
                state.since.get_or_insert_with(Instant::now);
            }
            Poll::Ready(next) => {
                if let Some(since) = state.since.take() {
                    state.starved += since.elapsed();
                }
                if let Some(Ok(bytes)) = next {
                    state.through += bytes.len() as u64;
                }
            }
        }
    }

    /// Bytes handed to the network, and the time for which the source let it wait.
    fn now(&self) -> (u64, Duration) {
        let state = self.state();
        let waiting = state.since.map_or(Duration::ZERO, |since| since.elapsed());
        (state.through, state.starved + waiting)
    }
}

/// A content of `length` bytes from `stream`; `tell` hears of all that goes through.
pub(in crate::api) fn content(
    mut stream: BoxStream<'static, std::io::Result<Bytes>>,
    length: u64,
    tell: impl Fn(u64) + Send + 'static,
) -> Content {
    let flow = Arc::new(Flow::default());
    let told = Arc::clone(&flow);
    let stream = stream::poll_fn(move |context| {
        let polled = stream.poll_next_unpin(context);
        told.polled(&polled);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            tell(bytes.len() as u64);
        }
        polled
    });
    Content {
        stream: stream.boxed(),
        length,
        flow,
    }
}

/// A request on its way out, looked at from time to time.
#[derive(Debug)]
pub(super) struct Watch {
    flow: Arc<Flow>,
    length: u64,
    /// How long an answer may take once bytes no longer go out.
    patience: Duration,
    meter: Meter,
    looked: Instant,
    through: u64,
    starved: Duration,
    idle: Duration,
}

impl Watch {
    pub(super) fn new(flow: Arc<Flow>, length: u64, patience: Duration, minimum: u64) -> Watch {
        Watch {
            flow,
            length,
            patience,
            meter: Meter::new(minimum),
            looked: Instant::now(),
            through: 0,
            starved: Duration::ZERO,
            idle: Duration::ZERO,
        }
    }

    /// How long to wait until the next look.
    pub(super) fn pause(&self) -> Duration {
        self.patience.min(WINDOW)
    }

    /// Tells whether the request is to be given up.
    pub(super) fn look(&mut self) -> Option<Broken> {
        let (through, starved) = self.flow.now();
        let waited = self
            .looked
            .elapsed()
            .saturating_sub(starved.saturating_sub(self.starved));
        let moved = through.saturating_sub(self.through);
        (self.looked, self.through, self.starved) = (Instant::now(), through, starved);
        self.idle = if moved > 0 {
            Duration::ZERO
        } else {
            self.idle + waited
        };
        if self.idle >= self.patience {
            return Some(Broken {
                sent: true,
                slow: false,
                untrusted: false,
                outage: None,
                message: format!("no answer within {:?}", self.patience),
            });
        }
        // With the last byte out, the service may take its time for the answer.
        if through >= self.length {
            return None;
        }
        self.meter.add(waited, moved)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Sends `pieces` of 100 bytes; the source takes `source` for each and the network `network`. Gives what ended it.
    async fn sent(pieces: u64, source: Duration, network: Duration, minimum: u64) -> Option<Broken> {
        let given = stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(source).await;
            Ok(Bytes::from_static(&[0; 100]))
        });
        let mut content = content(given.boxed(), pieces * 100, |_| {});
        let mut way = Watch::new(Arc::clone(&content.flow), content.length, PATIENCE, minimum);
        let sending = async {
            while content.stream.next().await.is_some() {
                tokio::time::sleep(network).await;
            }
        };
        tokio::pin!(sending);
        loop {
            match tokio::time::timeout(way.pause(), &mut sending).await {
                Ok(()) => return None,
                Err(_) => {
                    if let Some(broken) = way.look() {
                        return Some(broken);
                    }
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_network_is_told_from_a_source_that_holds_back() {
        let seconds = Duration::from_secs;
        // Ten bytes a second are enough where ten are asked for, and too few where fifteen are.
        assert!(sent(100, seconds(0), seconds(10), 9).await.is_none());
        let broken = sent(100, seconds(0), seconds(10), 15).await.unwrap();
        assert!(
            broken.slow && broken.message.contains("slower than 15 bytes"),
            "{broken:?}"
        );
        // Our own limit lets each piece wait for longer than any answer may take.
        assert!(sent(50, seconds(300), seconds(1), 50).await.is_none());
        assert!(sent(50, seconds(300), seconds(10), 50).await.unwrap().slow);
        // A network that takes nothing more is no slow one.
        let broken = sent(5, seconds(0), seconds(3600), 0).await.unwrap();
        assert!(
            !broken.slow && broken.message.contains("no answer within"),
            "{broken:?}"
        );
    }

    #[test]
    fn a_rate_is_taken_over_whole_windows() {
        let second = Duration::from_secs(1);
        let mut meter = Meter::new(10);
        // A pause of 59 seconds is made good by what follows.
        assert!(meter.add(59 * second, 0).is_none());
        assert!(meter.add(second, 600).is_none());
        assert!(meter.add(59 * second, 599).is_none());
        let broken = meter.add(second, 0).unwrap();
        assert_eq!(broken.message, "599 bytes in 60 s, slower than 10 bytes a second");
        assert!(!broken.slow, "the minute before was good");
        assert!(Meter::new(10).add(120 * second, 1199).unwrap().slow);
        assert!(Meter::new(0).add(120 * second, 0).is_none());
        // Bytes without any wait fill no window.
        assert!((0..1000).all(|_| Meter::new(u64::MAX).add(Duration::ZERO, 1).is_none()));
    }
}
