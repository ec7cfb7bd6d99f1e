//! Keeps a job to the hours it may work in.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Map;
use tokio_util::task::AbortOnDropHandle;

use super::Session;
use crate::job::Job;
use crate::report::{Report, Status};
use crate::stop::{Clock, Stop, StopReason};

/// How often the clock is looked at while a window is open. Sleeping to its end in one go would be wrong on a machine
/// that was suspended or whose clock was set.
const LOOK: Duration = Duration::from_millis(500);

/// Whether a job may work now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hours {
    /// Always.
    Any,
    /// Until then.
    Open(Timestamp),
    /// Not before then; `None` when no day of the next week has a window.
    Shut(Option<Timestamp>),
}

/// Whether `job` may work at `now`.
pub(super) fn hours(job: &Job, now: Timestamp) -> Hours {
    let Some(window) = &job.window else {
        return Hours::Any;
    };
    let zone = zone(job);
    match window.closes(now, &zone) {
        Some(closes) => Hours::Open(closes),
        None => Hours::Shut(window.opens(now, &zone)),
    }
}

/// The zone of a job's window: its own, else the machine's.
pub(super) fn zone(job: &Job) -> TimeZone {
    job.time_zone.clone().unwrap_or_else(TimeZone::system)
}

/// Asks for a stop when the window closes. It watches for as long as what is returned is held.
pub(super) fn watch(closes: Timestamp, clock: Clock, stop: Stop) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let left = closes.duration_since(clock.now());
            match Duration::try_from(left) {
                Ok(left) if !left.is_zero() => tokio::time::sleep(left.min(LOOK)).await,
                _ => break,
            }
        }
        tracing::info!("the job's window has ended");
        stop.drain(StopReason::WindowEnded);
    }))
}

/// The report of a run that did nothing, since its window is shut.
pub(super) fn shut(session: &Session, opens: Option<Timestamp>) -> Report {
    let job = &session.loaded.job;
    let window = job.window.as_ref().map(ToString::to_string).unwrap_or_default();
    let when = match opens {
        Some(opens) => {
            let opens = opens.to_zoned(zone(job));
            format!("it opens at {}", opens.strftime("%Y-%m-%d %H:%M %:z"))
        }
        None => "it does not open within a week".to_owned(),
    };
    let now = session.host.clock.now();
    Report {
        kind: job.kind.word(),
        job: session.loaded.name.clone(),
        archive: crate::job::resolve_path(&session.loaded.base, &job.archive)
            .display()
            .to_string(),
        snapshot: None,
        status: Status::WindowEnded,
        started: now,
        finished: now,
        resumed: false,
        totals: Default::default(),
        calls: Default::default(),
        waited: Duration::ZERO,
        retries: 0,
        roots: Vec::new(),
        failures: Vec::new(),
        warnings: vec![format!(
            "nothing was done, since the window {window} of the job is shut: {when}"
        )],
        alarms: Default::default(),
        details: Map::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::job::{Format, parse_job};

    #[test]
    fn a_job_may_work_inside_its_window_only() {
        let job = |window: &str| {
            let text = format!(
                "kind = \"audit\"\narchive = \"a\"\ntenant = \"t.toml\"\ndrives = [\"me\"]\ntime-zone = \"Asia/Tokyo\"\n{window}"
            );
            parse_job(&text, Format::Toml, "j.toml").unwrap()
        };
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let night = job("window = \"22:00-05:30\"");
        for (now, expected) in [
            (
                "2026-11-23T22:00:00+09:00",
                Hours::Open(time("2026-11-24T05:30:00+09:00")),
            ),
            (
                "2026-11-24T05:29:59+09:00",
                Hours::Open(time("2026-11-24T05:30:00+09:00")),
            ),
            (
                "2026-11-24T05:30:00+09:00",
                Hours::Shut(Some(time("2026-11-24T22:00:00+09:00"))),
            ),
            (
                "2026-11-24T12:00:00+09:00",
                Hours::Shut(Some(time("2026-11-24T22:00:00+09:00"))),
            ),
        ] {
            assert_eq!(hours(&night, time(now)), expected, "{now}");
        }
        assert_eq!(hours(&job(""), time("2026-11-24T12:00:00+09:00")), Hours::Any);
    }

    #[tokio::test(start_paused = true)]
    async fn the_stop_comes_when_the_clock_says_so_and_not_before() {
        let seconds = Arc::new(AtomicI64::new(0));
        let clock = {
            let seconds = Arc::clone(&seconds);
            Clock::new(move || Timestamp::from_second(seconds.load(Ordering::SeqCst)).unwrap())
        };
        let stop = Stop::new();
        let _watch = watch(Timestamp::from_second(100).unwrap(), clock, stop.clone());
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert!(!stop.is_draining());
        seconds.store(100, Ordering::SeqCst);
        stop.draining().await;
        assert_eq!(stop.reason(), Some(StopReason::WindowEnded));
    }
}
