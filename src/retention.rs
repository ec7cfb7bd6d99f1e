//! Which snapshots stay, and which may go. No clock: a snapshot's name tells its time.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::id::SnapshotId;

/// How many snapshots stay under each rule. A snapshot stays when any rule wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The newest so many.
    pub last: u32,
    /// The newest of each of the last so many days that have one.
    pub daily: u32,
    /// The newest of each of the last so many weeks that have one. A week begins on Monday (ISO 8601).
    pub weekly: u32,
    /// The newest of each of the last so many months that have one.
    pub monthly: u32,
    /// The newest of each of the last so many years that have one.
    pub yearly: u32,
}

/// Why a snapshot stays or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is the newest complete one, which always stays.
    NewestComplete,
    /// It is one of the newest.
    Last,
    /// It is the newest of its day.
    Daily,
    /// It is the newest of its week.
    Weekly,
    /// It is the newest of its month.
    Monthly,
    /// It is the newest of its year.
    Yearly,
    /// It is partial, and there is no later complete one yet.
    NewerPartial,
    /// It is partial, and a later complete one has taken its place. It goes.
    OldPartial,
    /// No rule wants it. It goes.
    NotWanted,
}

impl Reason {
    /// The word for tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NewestComplete => "newest-complete",
            Reason::Last => "last",
            Reason::Daily => "daily",
            Reason::Weekly => "weekly",
            Reason::Monthly => "monthly",
            Reason::Yearly => "yearly",
            Reason::NewerPartial => "newer-partial",
            Reason::OldPartial => "old-partial",
            Reason::NotWanted => "not-wanted",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What becomes of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The snapshot.
    pub id: SnapshotId,
    /// Whether it stays.
    pub keep: bool,
    /// Why; at least one reason.
    pub reasons: Vec<Reason>,
}

/// A policy that would keep nothing by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the retention keeps nothing: every number in it is 0")]
pub struct EmptyPolicy;

impl Policy {
    /// Whether no rule wants anything.
    pub fn is_empty(&self) -> bool {
        *self == Policy::default()
    }
}

/// A verdict on each of `snapshots`, oldest first. The flag tells whether a snapshot is complete.
///
/// Only complete snapshots count towards the rules, so that a week of partial nights does not push out the last good one. The newest complete one
/// always stays. A partial one stays until there is a later complete one; where there is no complete one at all, nothing goes.
/// Days, weeks, months and years are those of `zone`.
///
/// # Errors
/// [`EmptyPolicy`] when every number of `policy` is 0.
pub fn keep(
    snapshots: &[(SnapshotId, bool)],
    policy: &Policy,
    zone: &TimeZone,
) -> Result<Vec<Verdict>, EmptyPolicy> {
    if policy.is_empty() {
        return Err(EmptyPolicy);
    }
    let mut newest_first: Vec<&(SnapshotId, bool)> = snapshots.iter().collect();
    newest_first.sort_by(|one, two| two.0.cmp(&one.0));
    newest_first.dedup_by(|one, two| one.0 == two.0);

    let mut rules = [
        Rule::new(Reason::Last, policy.last, Period::Each),
        Rule::new(Reason::Daily, policy.daily, Period::Day),
        Rule::new(Reason::Weekly, policy.weekly, Period::Week),
        Rule::new(Reason::Monthly, policy.monthly, Period::Month),
        Rule::new(Reason::Yearly, policy.yearly, Period::Year),
    ];
    let mut seen_complete = false;
    let mut verdicts: Vec<Verdict> = newest_first
        .into_iter()
        .map(|(id, complete)| {
            let mut reasons = Vec::new();
            if *complete {
                if !seen_complete {
                    reasons.push(Reason::NewestComplete);
                }
                seen_complete = true;
                let time = id.time().unwrap_or(Timestamp::MIN);
                reasons.extend(rules.iter_mut().filter_map(|rule| rule.wants(time, zone)));
            } else if !seen_complete {
                reasons.push(Reason::NewerPartial);
            }
            let keep = !reasons.is_empty();
            if !keep {
                reasons.push(if *complete {
                    Reason::NotWanted
                } else {
                    Reason::OldPartial
                });
            }
            Verdict {
                id: id.clone(),
                keep,
                reasons,
            }
        })
        .collect();
    verdicts.reverse();
    Ok(verdicts)
}

/// A stretch of time of which the newest snapshot stays.
#[derive(Clone, Copy)]
enum Period {
    /// Every snapshot is its own.
    Each,
    Day,
    Week,
    Month,
    Year,
}

/// One rule while it goes through the complete snapshots, newest first.
struct Rule {
    reason: Reason,
    left: u32,
    period: Period,
    previous: Option<(i16, i16)>,
}

impl Rule {
    fn new(reason: Reason, left: u32, period: Period) -> Rule {
        Rule {
            reason,
            left,
            period,
            previous: None,
        }
    }

    fn wants(&mut self, time: Timestamp, zone: &TimeZone) -> Option<Reason> {
        let date = zone.to_datetime(time).date();
        let slot = match self.period {
            Period::Each => None,
            Period::Day => Some((date.year(), date.day_of_year())),
            Period::Week => {
                let week = date.iso_week_date();
                Some((week.year(), i16::from(week.week())))
            }
            Period::Month => Some((date.year(), i16::from(date.month()))),
            Period::Year => Some((date.year(), 0)),
        };
        if self.left == 0 || (slot.is_some() && slot == self.previous) {
            return None;
        }
        self.left -= 1;
        self.previous = slot;
        Some(self.reason)
    }
}

/// How much a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Files whose bytes are in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A newest complete snapshot that holds suspiciously little against the complete one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeDrop {
    /// What the one before holds.
    pub before: Held,
    /// What the newest holds.
    pub now: Held,
}

impl fmt::Display for SizeDrop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the newest complete snapshot holds {} files and {} bytes, the one before {} files and {} bytes",
            self.now.files, self.now.bytes, self.before.files, self.before.bytes
        )
    }
}

/// The drop from `before` to `now`, when files or bytes fell by more than `share` (0.0 to 1.0; usually 0.5).
pub fn drop_of(before: Held, now: Held, share: f64) -> Option<SizeDrop> {
    let fell = |before: u64, now: u64| (before.saturating_sub(now)) as f64 > before as f64 * share;
    (fell(before.files, now.files) || fell(before.bytes, now.bytes)).then_some(SizeDrop { before, now })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_drop_is_told_with_both_sides() {
        let held = |files, bytes| Held { files, bytes };
        assert_eq!(drop_of(held(10, 100), held(5, 50), 0.5), None);
        let drop = drop_of(held(10, 100), held(4, 99), 0.5).unwrap();
        assert_eq!(
            drop.to_string(),
            "the newest complete snapshot holds 4 files and 99 bytes, the one before 10 files and 100 bytes"
        );
    }

    #[test]
    fn reasons_have_words_of_their_own() {
        let words = [
            (Reason::NewestComplete, "newest-complete"),
            (Reason::Last, "last"),
            (Reason::Daily, "daily"),
            (Reason::Weekly, "weekly"),
            (Reason::Monthly, "monthly"),
            (Reason::Yearly, "yearly"),
            (Reason::NewerPartial, "newer-partial"),
            (Reason::OldPartial, "old-partial"),
            (Reason::NotWanted, "not-wanted"),
        ];
        for (reason, word) in words {
            assert_eq!((reason.as_str(), reason.to_string().as_str()), (word, word));
        }
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn id(text: &str) -> SnapshotId {
        let full = match text.len() {
            10 => format!("{text}T02-00-00Z"),
            _ => format!("{text}:00Z").replace(':', "-"),
        };
        full.parse().unwrap()
    }

    /// The names of those that stay; `!` before a name makes it partial.
    fn kept(names: &[&str], policy: Policy, zone: &TimeZone) -> Vec<String> {
        let snapshots: Vec<_> = names
            .iter()
            .map(|name| (id(name.trim_start_matches('!')), !name.starts_with('!')))
            .collect();
        keep(&snapshots, &policy, zone)
            .unwrap()
            .into_iter()
            .filter(|verdict| verdict.keep)
            .map(|verdict| verdict.id.to_string().replace("T02-00-00Z", ""))
            .collect()
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_periods() {
        let nights = [
            "2025-12-28",
            "2025-12-29",
            "2025-12-31",
            "2026-01-01",
            "2026-01-04",
            "2026-01-05",
            "2026-02-01",
        ];
        let none = Policy::default();
        for (policy, expected) in [
            (Policy { last: 2, ..none }, vec!["2026-01-05", "2026-02-01"]),
            (Policy { last: 9, ..none }, nights.to_vec()),
            (
                Policy { daily: 3, ..none },
                vec!["2026-01-04", "2026-01-05", "2026-02-01"],
            ),
            // Monday 2025-12-29 to Sunday 2026-01-04 is one week, over the turn of the year.
            (
                Policy { weekly: 3, ..none },
                vec!["2026-01-04", "2026-01-05", "2026-02-01"],
            ),
            (
                Policy { weekly: 4, ..none },
                vec!["2025-12-28", "2026-01-04", "2026-01-05", "2026-02-01"],
            ),
            (Policy { monthly: 2, ..none }, vec!["2026-01-05", "2026-02-01"]),
            (Policy { yearly: 5, ..none }, vec!["2025-12-31", "2026-02-01"]),
            (
                Policy {
                    last: 1,
                    monthly: 3,
                    ..none
                },
                vec!["2025-12-31", "2026-01-05", "2026-02-01"],
            ),
        ] {
            assert_eq!(kept(&nights, policy, &TimeZone::UTC), expected, "{policy:?}");
        }
    }

    #[test]
    fn days_are_those_of_the_zone() {
        // 16:00 UTC is 01:00 of the next day in Tokyo.
        let times = ["2026-03-01T14:00", "2026-03-01T16:00", "2026-03-02T14:00"];
        let daily = Policy {
            daily: 9,
            ..Policy::default()
        };
        assert_eq!(
            kept(&times, daily, &TimeZone::UTC),
            ["2026-03-01T16-00-00Z", "2026-03-02T14-00-00Z"]
        );
        assert_eq!(
            kept(&times, daily, &zone("Asia/Tokyo")),
            ["2026-03-01T14-00-00Z", "2026-03-02T14-00-00Z"]
        );
        // The hour that a clock shows twice when summer time ends is still one day.
        let autumn = ["2026-10-25T00:30", "2026-10-25T01:30"];
        assert_eq!(
            kept(&autumn, daily, &zone("Europe/Berlin")),
            ["2026-10-25T01-30-00Z"]
        );
    }

    #[test]
    fn f11_partial_nights_neither_count_nor_push_out_good_ones() {
        let last = Policy {
            last: 1,
            ..Policy::default()
        };
        let nights = [
            "!2026-01-01",
            "2026-01-02",
            "!2026-01-03",
            "2026-01-04",
            "!2026-01-05",
            "!2026-01-06",
        ];
        assert_eq!(
            kept(&nights, last, &TimeZone::UTC),
            ["2026-01-04", "2026-01-05", "2026-01-06"]
        );
        let only_partial = ["!2026-01-01", "!2026-01-02"];
        assert_eq!(
            kept(&only_partial, last, &TimeZone::UTC),
            ["2026-01-01", "2026-01-02"]
        );
    }

    #[test]
    fn every_verdict_says_why_and_an_empty_policy_is_refused() {
        let snapshots = [
            (id("2026-01-01"), false),
            (id("2026-01-02"), true),
            (id("2026-01-03"), true),
            (id("2026-01-04"), false),
        ];
        let policy = Policy {
            last: 1,
            yearly: 1,
            ..Policy::default()
        };
        let reasons: Vec<_> = keep(&snapshots, &policy, &TimeZone::UTC)
            .unwrap()
            .into_iter()
            .map(|verdict| (verdict.keep, verdict.reasons))
            .collect();
        assert_eq!(
            reasons,
            [
                (false, vec![Reason::OldPartial]),
                (false, vec![Reason::NotWanted]),
                (true, vec![Reason::NewestComplete, Reason::Last, Reason::Yearly]),
                (true, vec![Reason::NewerPartial]),
            ]
        );
        assert_eq!(
            keep(&snapshots, &Policy::default(), &TimeZone::UTC),
            Err(EmptyPolicy)
        );
    }

    #[test]
    fn a_drop_of_more_than_the_share_is_told() {
        let held = |files, bytes| Held { files, bytes };
        for (before, now, dropped) in [
            (held(100, 1000), held(50, 500), false),
            (held(100, 1000), held(49, 1000), true),
            (held(100, 1000), held(100, 499), true),
            (held(100, 1000), held(200, 2000), false),
            (held(0, 0), held(0, 0), false),
            (held(1, 0), held(0, 0), true),
            (held(u64::MAX, u64::MAX), held(u64::MAX, u64::MAX), false),
        ] {
            assert_eq!(drop_of(before, now, 0.5).is_some(), dropped, "{before:?} {now:?}");
        }
    }

    /// The periods a snapshot belongs to, found without the code under test.
    fn period(reason: Reason, id: &SnapshotId, zone: &TimeZone) -> String {
        let format = match reason {
            Reason::Last => "%F %T",
            Reason::Daily => "%F",
            Reason::Weekly => "%G-%V",
            Reason::Monthly => "%Y-%m",
            _ => "%Y",
        };
        id.time()
            .unwrap()
            .to_zoned(zone.clone())
            .strftime(format)
            .to_string()
    }

    proptest! {
        #[test]
        fn rules_hold_for_any_history(
            moments in proptest::collection::btree_map(0_i64..60_000, any::<bool>(), 0..60),
            last in 0_u32..4, daily in 0_u32..5, weekly in 0_u32..5, monthly in 0_u32..5, yearly in 0_u32..3,
            place in prop_oneof![Just("UTC"), Just("Asia/Seoul"), Just("America/New_York")],
        ) {
            let policy = Policy { last, daily, weekly, monthly, yearly };
            prop_assume!(!policy.is_empty());
            let zone = zone(place);
            // Steps of half an hour over three and a half years.
            let snapshots: Vec<_> = moments.iter().map(|(step, complete)| {
                (SnapshotId::at(Timestamp::from_second(1_700_000_000 + step * 1800).unwrap()), *complete)
            }).collect();
            let verdicts = keep(&snapshots, &policy, &zone).unwrap();
            prop_assert!(verdicts.iter().map(|verdict| &verdict.id).eq(snapshots.iter().map(|(id, _)| id)));

            let newest = snapshots.iter().rev().find(|(_, complete)| *complete).map(|(id, _)| id);
            for (verdict, (id, complete)) in verdicts.iter().zip(&snapshots) {
                prop_assert!(!verdict.reasons.is_empty());
                if Some(id) == newest {
                    prop_assert!(verdict.keep);
                }
                if !complete {
                    prop_assert_eq!(verdict.keep, newest.is_none_or(|newest| id > newest));
                }
            }
            for (reason, count) in [(Reason::Last, last), (Reason::Daily, daily), (Reason::Weekly, weekly),
                (Reason::Monthly, monthly), (Reason::Yearly, yearly)] {
                // All periods that have a complete snapshot, the newest so many of them, and the newest snapshot of each.
                let complete: Vec<_> = snapshots.iter().filter(|(_, complete)| *complete).map(|(id, _)| id).collect();
                let all: BTreeSet<_> = complete.iter().map(|id| period(reason, id, &zone)).collect();
                let wanted: BTreeSet<_> = all.iter().rev().take(count as usize).filter_map(|wanted| {
                    complete.iter().rev().find(|id| period(reason, id, &zone) == *wanted).map(|id| id.to_string())
                }).collect();
                let given: BTreeSet<_> = verdicts.iter().filter(|verdict| verdict.reasons.contains(&reason))
                    .map(|verdict| verdict.id.to_string()).collect();
                prop_assert_eq!(given, wanted, "{}", reason);
            }
        }
    }
}
