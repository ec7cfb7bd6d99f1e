//! A job with a window works inside it only, and goes on in the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use assert_cmd::Command;
use drivejob::monitor::Silent;
use drivejob::report::Status;
use drivejob::sim::{GeneratedSpec, Options, Sizes, World};
use drivejob::stop::Clock;
use jiff::{Timestamp, ToSpan};

use super::{Town, Watcher, held};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_stops_with_its_window_and_goes_on_in_the_next() {
    const FILES: usize = 3_000;
    let world = World::generated(&GeneratedSpec {
        files: FILES,
        folders: 20,
        sizes: Sizes::Fixed(100),
        ..GeneratedSpec::default()
    });
    let town = Town::new(world, Options::default()).await;
    let more = "window = \"01:00-05:00\"\n[limits]\nrequests-per-minute = \"unlimited\"\n";
    let job = town.job("night", "backup", "refresh.toml", "[\"me\"]", more);

    let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
    let seconds = Arc::new(AtomicI64::new(at("2026-11-23T00:59:00Z")));
    let host = {
        let seconds = Arc::clone(&seconds);
        town.host_at(Clock::new(move || {
            Timestamp::from_second(seconds.load(Ordering::SeqCst)).unwrap()
        }))
    };
    let run = || town.run_with(&job, &host, Arc::new(Silent));
    let early = run().await.unwrap();
    assert_eq!(early.status, Status::WindowEnded);
    assert_eq!(
        early.to_text(),
        "backup not begun: outside its window\n  warning   nothing was done, since the window 01:00-05:00 of the job is \
         shut: it opens at 2026-11-23 01:00 +00:00"
    );
    assert_eq!(town.simulator.calls().total(), 0);
    assert!(!town.path("night").exists());

    // It closes while files are under way.
    seconds.store(at("2026-11-23T04:50:00Z"), Ordering::SeqCst);
    let hand = Arc::clone(&seconds);
    let closing = Watcher::new(50, move || {
        hand.store(at("2026-11-23T05:00:00Z"), Ordering::SeqCst)
    });
    let cut = town.run_with(&job, &host, closing).await.unwrap();
    assert_eq!(cut.status, Status::WindowEnded, "{}", cut.to_text());
    assert!(
        cut.to_text()
            .starts_with("backup stopped at the end of its window, continues next time\n")
    );
    assert_eq!(cut.snapshot, None);
    let so_far = town.calls("drive.download");
    assert!(so_far < FILES as u64, "{so_far}");

    let shut = run().await.unwrap();
    assert_eq!(shut.status, Status::WindowEnded);
    assert_eq!(town.calls("drive.download"), so_far);

    seconds.store(at("2026-11-24T01:00:00Z"), Ordering::SeqCst);
    let whole = run().await.unwrap();
    assert_eq!(whole.status, Status::Complete, "{}", whole.to_text());
    assert!(whole.resumed);
    assert_eq!(held(&whole), town.truth(|_| true));
    // What was under way when the window closed was finished: no file was asked for twice.
    assert_eq!(town.calls("drive.download"), FILES as u64);
}

#[tokio::test]
async fn outside_its_window_the_program_ends_with_its_own_code() {
    let town = Town::new(World::demo(), Options::default()).await;
    let clock = |hours: i64| {
        let time = Timestamp::now().checked_add(hours.hours()).unwrap();
        time.strftime("%H:%M").to_string()
    };
    let more = format!("window = \"{}-{}\"\n", clock(2), clock(3));
    let job = town.job("later", "backup", "refresh.toml", "[\"me\"]", &more);
    let output = Command::cargo_bin("drivejob")
        .unwrap()
        .arg("run")
        .arg(&job)
        .env("DRIVEJOB_STATE_DIR", town.path("state"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(
        text.contains("not begun: outside its window") && text.contains("it opens at "),
        "{text}"
    );
}
