//! Decides what an answer means for the next try, and how many tries and how much time are left.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::RetryPolicy;
use super::refusal::Refusal;
use crate::drive::ErrorKind;

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The token is stale: renew it once and ask again.
    Renew,
    /// Too many requests: the operation is closed for a while.
    Limited,
    /// Too many requests at the same time: fewer side by side.
    Crowded,
    /// The service is unwell: ask again after a pause.
    Again,
    /// Asking again would not help.
    Final(ErrorKind),
}

/// Judges an answer that is not a success. The statuses are those of the documents (API 2.0 docs, section on
/// errors; classic docs, jp/document/10080502), the rest as RFC 9110 has them.
pub(super) fn judge(refusal: &Refusal) -> Judgement {
    let crowded = refusal.code_mentions("CONCURREN") || refusal.mentions("CONCURRENT ACCESS");
    let full = [
        "QUOTA",
        "STORAGE_FULL",
        "NOT_ENOUGH_SPACE",
        "NOT_ENOUGH_STORAGE",
        "NOT_ENOUGH_CAPACITY",
        "INSUFFICIENT_STORAGE",
    ]
    .iter()
    .any(|word| refusal.code_mentions(word));
    let limited = ["TOO_MANY_REQUESTS", "RATE_LIMIT"]
        .iter()
        .any(|word| refusal.code_mentions(word));
    match refusal.status {
        429 | 503 if crowded => Judgement::Crowded,
        429 => Judgement::Limited,
        // Some gateways say "too many" with another status; the code decides.
        403 | 503 if limited => Judgement::Limited,
        401 => Judgement::Renew,
        507 => Judgement::Final(ErrorKind::QuotaFull),
        400..=499 if full => Judgement::Final(ErrorKind::QuotaFull),
        403 | 423 | 451 => Judgement::Final(ErrorKind::Denied),
        404 | 410 => Judgement::Final(ErrorKind::NotFound),
        409 => Judgement::Final(ErrorKind::Conflict),
        413 => Judgement::Final(ErrorKind::TooLarge),
        405 | 501 => Judgement::Final(ErrorKind::Unsupported),
        408 | 425 => Judgement::Again,
        500..=599 => Judgement::Again,
        _ => Judgement::Final(ErrorKind::Protocol),
    }
}

/// Tries and time left for one piece of work. It outlives a resumed body: what a download uses up at its start is
/// missing at its end, until new bytes earn it back.
#[derive(Debug)]
pub(super) struct Budget {
    policy: RetryPolicy,
    since: Option<Instant>,
    limited_since: Option<Instant>,
    failures: u32,
    limits: u32,
    slow: u32,
    delays: ExponentialBackoff,
}

/// Answers 429 have this many times the tries and the time of failures.
const LIMITED_PATIENCE: u32 = 6;

impl Budget {
    /// A full budget.
    pub(super) fn new(policy: RetryPolicy) -> Budget {
        Budget {
            policy,
            since: None,
            limited_since: None,
            failures: 0,
            limits: 0,
            slow: 0,
            delays: delays(policy),
        }
    }

    /// How often the service was asked, the answer on the way included.
    pub(super) fn attempts(&self) -> u32 {
        1 + self.failures + self.limits
    }

    /// Takes one failure out of the budget and gives the pause before the next try, or `None` when it is spent.
    /// A pause the service asked for is kept, up to the longest pause of the policy or what it says if longer.
    pub(super) fn failed(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.failures >= self.policy.tries {
            return None;
        }
        let delay = self.delays.next().unwrap_or(self.policy.max_delay);
        let delay = delay.max(asked.unwrap_or_default());
        (since.elapsed().saturating_add(delay) <= self.policy.time).then_some(delay)
    }

    /// Takes one answer 429 out of the budget; gives how long the operation shall be closed, or `None` when the
    /// budget is spent.
    pub(super) fn limited(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let since = *self.limited_since.get_or_insert_with(Instant::now);
        let delay = match asked {
            Some(asked) => asked.max(self.policy.first_delay),
            None => {
                let doublings = self.limits.min(16);
                (self.policy.first_delay * 2u32.pow(doublings)).min(self.policy.max_delay)
            }
        };
        self.limits += 1;
        if self.limits >= self.policy.tries.saturating_mul(LIMITED_PATIENCE) {
            return None;
        }
        let patience = self.policy.time.saturating_mul(LIMITED_PATIENCE);
        (since.elapsed().saturating_add(delay) <= patience).then_some(delay)
    }

    /// Takes one transfer that was too slow from its beginning on out of the budget, and tells whether another is left.
    /// New bytes do not earn these back: slow ones come as well.
    pub(super) fn slow(&mut self) -> bool {
        self.slow += 1;
        self.slow < self.policy.tries
    }

    /// Forgives the failures so far: new bytes have come.
    pub(super) fn restore(&mut self) {
        self.since = None;
        self.failures = 0;
        self.delays = delays(self.policy);
    }
}

fn delays(policy: RetryPolicy) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(policy.first_delay)
        .with_max_delay(policy.max_delay)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_codes_are_judged() {
        let table = [
            (401, "UNAUTHORIZED", Judgement::Renew),
            (403, "FORBIDDEN", Judgement::Final(ErrorKind::Denied)),
            (403, "RATE_LIMIT_EXCEEDED", Judgement::Limited),
            (
                403,
                "DRIVE_QUOTA_EXCEEDED",
                Judgement::Final(ErrorKind::QuotaFull),
            ),
            (
                404,
                "DRIVE_FOLDER_NOT_EXIST",
                Judgement::Final(ErrorKind::NotFound),
            ),
            (403, "NOT_ENOUGH_PERMISSION", Judgement::Final(ErrorKind::Denied)),
            (400, "NOT_ENOUGH_SPACE", Judgement::Final(ErrorKind::QuotaFull)),
            (410, "", Judgement::Final(ErrorKind::NotFound)),
            (409, "", Judgement::Final(ErrorKind::Conflict)),
            (413, "", Judgement::Final(ErrorKind::TooLarge)),
            (405, "", Judgement::Final(ErrorKind::Unsupported)),
            (400, "INVALID_PARAMETER", Judgement::Final(ErrorKind::Protocol)),
            (429, "TOO_MANY_REQUESTS", Judgement::Limited),
            (429, "TOO_MANY_CONCURRENT_REQUESTS", Judgement::Crowded),
            (503, "CONCURRENT_LIMIT", Judgement::Crowded),
            (503, "", Judgement::Again),
            (500, "QUOTA_SERVICE_DOWN", Judgement::Again),
            (507, "", Judgement::Final(ErrorKind::QuotaFull)),
            (408, "", Judgement::Again),
            (304, "", Judgement::Final(ErrorKind::Protocol)),
        ];
        for (status, code, judgement) in table {
            let refusal = Refusal {
                status,
                code: Some(code.to_owned()),
                ..Refusal::default()
            };
            assert_eq!(judge(&refusal), judgement, "{status} {code}");
        }
    }

    fn policy() -> RetryPolicy {
        RetryPolicy {
            tries: 4,
            time: Duration::from_secs(100),
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(3),
            outage: Duration::ZERO,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_ends_with_its_tries_and_with_its_time() {
        let mut budget = Budget::new(policy());
        let delays: Vec<_> = std::iter::from_fn(|| budget.failed(None)).collect();
        assert_eq!(delays.len(), 3);
        for (delay, least) in delays.iter().zip([1, 2, 3]) {
            assert!(*delay >= Duration::from_secs(least) && *delay <= Duration::from_secs(6));
        }
        assert_eq!(budget.attempts(), 5);

        let mut budget = Budget::new(policy());
        assert_eq!(
            budget.failed(Some(Duration::from_secs(90))),
            Some(Duration::from_secs(90))
        );
        tokio::time::advance(Duration::from_secs(99)).await;
        assert_eq!(budget.failed(None), None);
        budget.restore();
        assert!(budget.failed(None).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn slow_transfers_have_tries_that_new_bytes_do_not_earn_back() {
        let mut budget = Budget::new(policy());
        let left: Vec<bool> = (0..5)
            .map(|_| {
                budget.restore();
                budget.slow()
            })
            .collect();
        assert_eq!(left, [true, true, true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_429_have_a_longer_budget_and_no_overflow() {
        let mut budget = Budget::new(policy());
        let waits: Vec<_> = std::iter::from_fn(|| budget.limited(None)).collect();
        assert_eq!(waits.len(), 23);
        assert_eq!(waits.get(..4).unwrap(), [1, 2, 3, 3].map(Duration::from_secs));
        assert_eq!(Budget::new(policy()).limited(Some(Duration::MAX)), None);
        // Answers of both kinds are tries: these 24, one failure, and the one on the way.
        budget.failed(None);
        assert_eq!(budget.attempts(), 26);
    }
}
