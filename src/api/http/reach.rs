//! Which hosts answer: one that did, and cannot be reached any more, is waited for.
//!
//! A break of the network is no fault of the file that meets it. It costs time, and not the tries of whatever is under way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Url;
use crate::api::RetryPolicy;

/// The hosts that have answered.
#[derive(Debug)]
pub(super) struct Reach {
    policy: RetryPolicy,
    hosts: Mutex<Vec<Host>>,
    back: Notify,
}

#[derive(Debug)]
struct Host {
    name: String,
    /// Since when no connection to it could be made.
    lost: Option<Instant>,
}

/// Hosts that are remembered at most; a tenant has a handful. Further ones are not waited for.
const MOST: usize = 64;

impl Reach {
    pub(super) fn new(policy: RetryPolicy) -> Reach {
        Reach {
            policy,
            hosts: Mutex::default(),
            back: Notify::new(),
        }
    }

    /// A host answered, whatever it said.
    pub(super) fn answered(&self, host: &str) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_room = hosts.len() < MOST;
        match hosts.iter_mut().find(|known| known.name == host) {
            Some(known) => {
                if let Some(lost) = known.lost.take() {
                    tracing::info!(host, after = ?lost.elapsed(), "the host can be reached again");
                    self.back.notify_waiters();
                }
            }
            None if is_room => hosts.push(Host {
                name: host.to_owned(),
                lost: None,
            }),
            None => {}
        }
    }

    /// No connection to a host could be made: how long to wait for it, or `None` when it never answered, or has been away for
    /// longer than [`RetryPolicy::outage`].
    pub(super) fn lost(&self, host: &str) -> Option<Duration> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = hosts.iter_mut().find(|known| known.name == host)?;
        let since = *known.lost.get_or_insert_with(|| {
            tracing::warn!(host, "the host cannot be reached any more; the run waits for it");
            Instant::now()
        });
        let away = since.elapsed();
        // The longer it is away, the more seldom it is asked.
        let pause = (away / 2).clamp(
            self.policy.first_delay,
            self.policy.first_delay.max(self.policy.max_delay),
        );
        (away <= self.policy.outage).then_some(pause)
    }

    /// Waits until a host that was away answers: who waits for it need not wait longer.
    pub(super) async fn back(&self) {
        self.back.notified().await;
    }
}

/// The host of an address, with its scheme, and its port where that is not the usual one.
pub(super) fn host(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_that_answered_is_waited_for_until_the_patience_is_over() {
        let seconds = Duration::from_secs;
        let reach = Reach::new(RetryPolicy {
            tries: 4,
            time: seconds(100),
            first_delay: seconds(1),
            max_delay: seconds(30),
            outage: seconds(600),
        });
        let host = host(&Url::parse("https://storage.example:8443/a?b").unwrap());
        assert_eq!(host, "https://storage.example:8443");
        assert_eq!(reach.lost(&host), None, "it never answered");
        reach.answered(&host);
        assert_eq!(reach.lost("other.example"), None);
        assert_eq!(reach.lost(&host), Some(seconds(1)));
        for (later, pause) in [(1, 1), (19, 10), (100, 30), (480, 30)] {
            tokio::time::advance(seconds(later)).await;
            assert_eq!(reach.lost(&host), Some(seconds(pause)), "{later} s later");
        }
        tokio::time::advance(seconds(1)).await;
        assert_eq!(reach.lost(&host), None, "601 s");
        reach.answered(&host);
        assert_eq!(reach.lost(&host), Some(seconds(1)), "it answered meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_when_the_host_answers() {
        let reach = Reach::new(RetryPolicy::default());
        reach.answered("a");
        reach.lost("a");
        let began = Instant::now();
        let answering = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            reach.answered("a");
        };
        let waiting = async || {
            reach.back().await;
            began.elapsed()
        };
        let (first, second, ()) = tokio::join!(waiting(), waiting(), answering);
        assert_eq!((first, second), (Duration::from_secs(7), Duration::from_secs(7)));
    }

    #[test]
    fn no_more_hosts_are_remembered_than_there_is_room_for() {
        let reach = Reach::new(RetryPolicy::default());
        for number in 0..=MOST {
            reach.answered(&number.to_string());
        }
        assert!(reach.lost("0").is_some() && reach.lost(&(MOST - 1).to_string()).is_some());
        assert_eq!(reach.lost(&MOST.to_string()), None);
    }
}
