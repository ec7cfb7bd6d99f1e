//! Proofs that no sliding minute exceeds the figure, and that little of it is wasted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::AtomicI64;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::monitor::{Silent, Tally};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// A date like today's, so that sums of nanoseconds are as large as they are in use.
const START: u64 = 1_790_000_000 * SECOND;

/// Grants of callers who think for the given times before each call.
fn grants(meter: &Meter, thoughts: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut record = Record::default();
    let mut now = START;
    thoughts
        .into_iter()
        .map(|thought| {
            now += thought;
            loop {
                match meter.ask(&mut record, now) {
                    Ask::Go => return now,
                    Ask::Later(time) | Ask::Closed(time) => now += nanoseconds(time),
                }
            }
        })
        .collect()
}

/// The most grants in any closed stretch of a minute.
fn densest_minute(grants: &[u64]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in grants.iter().enumerate() {
        while time - grants[first] > MINUTE {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

proptest! {
    #[test]
    fn f13_no_sliding_minute_exceeds_the_figure(
        figure in 1u32..2_000,
        half in any::<bool>(),
        thoughts in prop::collection::vec(
            prop_oneof![Just(0), 0..SECOND, 0..40 * SECOND, 0..2_000 * SECOND],
            1..3_000,
        ),
    ) {
        let grants = grants(&Meter::new(figure, half), thoughts);
        prop_assert!(densest_minute(&grants) <= figure as usize);
    }
}

#[test]
fn almost_all_of_the_figure_is_used_and_half_after_thirty_minutes() {
    for (figure, full, half) in [(240, 236, 118), (60, 59, 29), (6_000, 5_900, 2_950)] {
        let all = grants(
            &Meter::new(figure, true),
            std::iter::repeat_n(0, (full * 30 + half * 30) as usize),
        );
        let (early, late): (Vec<u64>, Vec<u64>) =
            all.into_iter().partition(|time| time - START < 30 * MINUTE);
        assert!(early.len() as u32 >= full * 30, "{figure}: {}", early.len());
        assert!(densest_minute(&early) <= figure as usize);
        assert!(densest_minute(&late) <= figure as usize / 2);
        let minutes = (late.last().unwrap() - late[0]) / MINUTE;
        assert!((28..=30).contains(&minutes), "{figure}: {minutes}");
        let rested = grants_after_rest(figure);
        assert!(rested >= full as usize, "{figure}: {rested}");
    }
}

/// Grants in the first minute after 40 minutes of calls and 30 of rest.
fn grants_after_rest(figure: u32) -> usize {
    let meter = Meter::new(figure, true);
    let calls = figure as usize * 40;
    let thoughts = std::iter::repeat_n(0, calls)
        .chain([30 * MINUTE])
        .chain(std::iter::repeat_n(0, figure as usize));
    let all = grants(&meter, thoughts);
    let first = all[calls];
    all.iter()
        .skip(calls)
        .filter(|time| **time - first <= MINUTE)
        .count()
}

#[test]
fn a_closed_operation_says_for_how_long_and_a_clock_set_back_does_no_harm() {
    let meter = Meter::new(60, false);
    let mut record = Record {
        closed: START + 5 * SECOND,
        ..Record::default()
    };
    assert_eq!(meter.ask(&mut record, START), Ask::Closed(Duration::from_secs(5)));
    assert_eq!(meter.ask(&mut record, START + 5 * SECOND), Ask::Go);

    let mut record = Record::default();
    assert_eq!(meter.ask(&mut record, START), Ask::Go);
    let Ask::Later(wait) = meter.ask(&mut record, START - 7_200 * SECOND) else {
        panic!("a burst of 1 is spent");
    };
    assert!(wait <= Duration::from_secs(2), "{wait:?}");
    record.closed = START;
    let Ask::Closed(wait) = meter.ask(&mut record, START - 86_400 * SECOND) else {
        panic!("closed");
    };
    assert!(wait <= Duration::from_secs(3_700));
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.0.load(Ordering::SeqCst))).unwrap()
    }
}

fn pace(folder: &std::path::Path, clock: &Arc<Hand>, rate: Rate) -> Pace {
    Pace::new(
        rate,
        folder.to_owned(),
        "tenant".to_owned(),
        Arc::clone(clock) as Arc<dyn Clock>,
        Arc::new(Silent),
    )
}

/// A clock that goes with the runtime's.
#[derive(Debug)]
struct Running(tokio::time::Instant);

impl Clock for Running {
    fn now(&self) -> Timestamp {
        let nanoseconds = START + nanoseconds(self.0.elapsed());
        Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap()
    }
}

/// A pace whose waits pass in the runtime's time.
fn running(folder: &std::path::Path, rate: Rate) -> Pace {
    Pace::new(
        rate,
        folder.to_owned(),
        "tenant".to_owned(),
        Arc::new(Running(tokio::time::Instant::now())),
        Arc::new(Silent),
    )
}

/// Whether a permit can be had without waiting.
async fn at_once(pace: &Pace, operation: &'static str) -> bool {
    tokio::select! {
        biased;
        _ = pace.permit(operation) => true,
        () = std::future::ready(()) => false,
    }
}

#[tokio::test]
async fn two_processes_share_one_figure_and_one_closure() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand(AtomicI64::new(START as i64)));
    let rate = Rate::Fixed(60);
    let (one, two) = (
        pace(folder.path(), &clock, rate),
        pace(folder.path(), &clock, rate),
    );
    let mut grants = Vec::new();
    for step in 0..3_000 {
        let who = if step % 2 == 0 { &one } else { &two };
        if at_once(who, "drive.list").await {
            grants.push(clock.0.load(Ordering::SeqCst) as u64);
        }
        clock.0.fetch_add(SECOND as i64 / 10, Ordering::SeqCst);
    }
    assert!(densest_minute(&grants) <= 60);
    assert!(grants.len() >= 270, "{}", grants.len());

    clock.0.fetch_add(60 * SECOND as i64, Ordering::SeqCst);
    one.close("drive.list", Duration::from_secs(20)).await;
    assert!(!at_once(&two, "drive.list").await);
    assert!(at_once(&two, "sharedrive.list").await);
    clock.0.fetch_add(21 * SECOND as i64, Ordering::SeqCst);
    assert!(at_once(&two, "drive.list").await);
    // Four answers 429 in a row: the fourth rest is twice as long as told.
    for _ in 0..3 {
        one.close("drive.list", Duration::from_secs(1)).await;
    }
    clock.0.fetch_add(3 * SECOND as i64 / 2, Ordering::SeqCst);
    assert!(!at_once(&one, "drive.list").await);
}

#[tokio::test]
async fn without_a_limit_no_file_is_made_but_a_429_still_closes() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand(AtomicI64::new(START as i64)));
    let pace = pace(&folder.path().join("state"), &clock, Rate::Unlimited);
    for _ in 0..1_000 {
        assert!(at_once(&pace, "drive.list").await);
    }
    pace.close("drive.list", Duration::from_secs(5)).await;
    assert!(!at_once(&pace, "drive.list").await);
    assert!(!folder.path().join("state").exists());
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_made_leaves_the_pace_to_this_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let clock = Arc::new(Hand(AtomicI64::new(START as i64)));
    let pace = pace(&file, &clock, Rate::Fixed(60));
    assert!(at_once(&pace, "drive.list").await);
    assert!(!at_once(&pace, "drive.list").await);
}

#[test]
fn a_record_that_lacks_its_beginning_begins_now() {
    let meter = Meter::new(60, true);
    for streak in [0, START + 2 * SECOND] {
        let mut record = Record {
            last: START - SECOND,
            streak,
            ..Record::default()
        };
        assert_eq!(meter.ask(&mut record, START), Ask::Go);
        assert_eq!(record.streak, START);
    }
}

#[tokio::test]
async fn each_operation_is_counted_as_the_service_counts_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand(AtomicI64::new(START as i64)));
    let pace = pace(folder.path(), &clock, Rate::Fixed(60));
    for free in [
        "storage.download",
        "storage.upload",
        "oauth.token",
        "classic.server-token",
    ] {
        for _ in 0..100 {
            assert!(at_once(&pace, free).await, "{free}");
        }
    }
    for own in ["drive.list", "drive.get", "sharedrive.list"] {
        assert!(at_once(&pace, own).await, "{own}");
        assert!(!at_once(&pace, own).await, "{own}");
    }
    // The classic API counts all calls of its drives together.
    assert!(at_once(&pace, "classic.list").await);
    assert!(!at_once(&pace, "classic.download").await);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_another_process_does_not_let_go_of_is_left_after_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let pace = running(folder.path(), Rate::Fixed(60));
    assert!(!pace.permit("drive.list").await);
    let shared = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
    let holder = std::fs::File::open(shared.path()).unwrap();
    holder.lock().unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;

    let asked = tokio::time::Instant::now();
    assert!(pace.permit("drive.list").await);
    assert_eq!(asked.elapsed(), BUSY * BUSY_PATIENCE);
    assert_eq!(asked.elapsed(), Duration::from_secs(10));
    // From then on the pace is this process's alone.
    let asked = tokio::time::Instant::now();
    assert!(pace.permit("drive.list").await);
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_free_again_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pace = running(folder.path(), Rate::Fixed(60));
    pace.permit("drive.list").await;
    let shared = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
    let holder = std::fs::File::open(shared.path()).unwrap();
    holder.lock().unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = std::fs::read(shared.path()).unwrap();
    let (waited, ()) = tokio::join!(pace.permit("drive.list"), async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        holder.unlock().unwrap();
    });
    assert!(waited);
    assert_ne!(
        std::fs::read(shared.path()).unwrap(),
        before,
        "the call is written down"
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_closure_callers_come_a_little_apart() {
    let folder = tempfile::tempdir().unwrap();
    let pace = running(folder.path(), Rate::Unlimited);
    let mut extra = Vec::new();
    for (time, spread) in [(10, 6), (1_000, 105), (60_000, 1_005)] {
        let time = Duration::from_millis(time);
        for _ in 0..40 {
            pace.close("drive.list", time).await;
            pace.answered("drive.list");
            let closed = tokio::time::Instant::now();
            assert!(pace.permit("drive.list").await);
            let more = closed.elapsed().checked_sub(time).unwrap();
            // The runtime's own clock goes in milliseconds.
            assert!(
                more <= Duration::from_millis(spread + 1),
                "{more:?} after {time:?}"
            );
            extra.push(more);
        }
    }
    extra.dedup();
    assert!(extra.len() > 60, "{extra:?}");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_permits_a_second_are_handed_out_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let monitor = Arc::new(Tally::default());
    let began = tokio::time::Instant::now();
    let pace = Arc::new(Pace::new(
        Rate::Fixed(600_000),
        folder.path().to_owned(),
        "tenant".to_owned(),
        Arc::new(Running(began)),
        Arc::clone(&monitor) as Arc<dyn Monitor>,
    ));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..20_000 {
        let (pace, order) = (Arc::clone(&pace), Arc::clone(&order));
        tasks.spawn(async move {
            pace.permit("drive.list").await;
            order.lock().unwrap().push(caller);
        });
    }
    tasks.join_all().await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_400) && took <= Duration::from_millis(1_700));
    assert!(order.lock().unwrap().is_sorted());
    assert!(monitor.waited() > Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn two_processes_use_almost_all_of_what_they_may_at_the_full_figure_and_at_half() {
    const WATCHED: Duration = Duration::from_secs(60 * 60);
    let folder = tempfile::tempdir().unwrap();
    let began = tokio::time::Instant::now();
    let times = Arc::new(Mutex::new(Vec::new()));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let pace = Arc::new(Pace::new(
            Rate::Plan {
                per_minute: 240,
                sustained_half: true,
            },
            folder.path().to_owned(),
            "tenant".to_owned(),
            Arc::new(Running(began)),
            Arc::new(Silent),
        ));
        for _ in 0..8 {
            let (pace, times) = (Arc::clone(&pace), Arc::clone(&times));
            callers.spawn(async move {
                while began.elapsed() < WATCHED {
                    pace.permit("drive.list").await;
                    times.lock().unwrap().push(nanoseconds(began.elapsed()));
                }
            });
        }
    }
    callers.join_all().await;
    let mut times = times.lock().unwrap().clone();
    times.sort_unstable();
    let (early, late): (Vec<u64>, Vec<u64>) = times.into_iter().partition(|time| *time < 30 * MINUTE);
    assert!(densest_minute(&early) <= 240);
    assert!(densest_minute(&late) <= 120);
    assert!(early.len() * 100 >= 240 * 30 * 95, "{}", early.len());
    assert!(late.len() * 100 >= 120 * 30 * 95, "{}", late.len());
}
