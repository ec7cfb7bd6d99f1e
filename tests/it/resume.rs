//! Nothing is lost by a stop: wherever a run ends, the next start carries on, and the snapshot is that of an unbroken run.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drivejob::ledger::Ledger;
use drivejob::manifest::Outcome;
use drivejob::monitor::Counter;
use drivejob::report::Status;
use drivejob::sim::{Action, Change, Options, Rule, World};

use crate::support::lab::{
    How, Lab, StopAt, Told, UNDER_WAY, assert_clean, assert_whole, comparable, complete, names, small_world,
    start, stop_after_files,
};
use crate::support::{Bench, held};

/// Files that the state of an unfinished run knows to be stored.
fn stored(bench: &Bench) -> u64 {
    let path = bench.shelf().path().join(".drivejob/run/ledger.sqlite");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = Ledger::open(&path).unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let counting = ledger.stored_places(move |_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        counting.await.unwrap();
        ledger.close().await;
        count.load(Ordering::Relaxed)
    })
}

#[test]
fn a_stop_at_any_event_costs_what_was_in_flight_and_changes_nothing() {
    let options = Options {
        v2_page: 4,
        ..Options::default()
    };
    let files = 24;
    let lab = Lab::new(small_world(files), options);
    let unbroken = lab.bounded();
    let (listener, stop) = StopAt::new(How::Abort, u64::MAX, StopAt::every_event);
    let report = start(&unbroken, Arc::clone(&listener) as _, stop).unwrap();
    assert_eq!(report.status, Status::Complete);
    unbroken.shelf().assert_holds(&lab.world(), 0);
    let expected = comparable(&unbroken.shelf().newest());
    let (events, pages) = (listener.events(), lab.listings());
    assert!(events > 60, "{events}");

    let mut interrupted = 0;
    for at in 1..=events {
        let bench = lab.bounded();
        lab.simulator.reset_calls();
        let (listener, stop) = StopAt::new(How::Abort, at, StopAt::every_event);
        let first = start(&bench, listener, stop).unwrap();
        if first.status == Status::Interrupted {
            interrupted += 1;
            assert_eq!(bench.shelf().snapshots().len(), 0, "event {at}");
            let known = stored(&bench);
            let asked = lab.downloads();
            assert!(
                asked <= known + UNDER_WAY,
                "event {at}: {asked} downloads, {known} of them known"
            );
            let second = complete(&bench);
            // A request that was under way at the stop may reach the server's count only now.
            let asked = lab.downloads();
            assert!(
                (files as u64..=files as u64 + UNDER_WAY).contains(&asked),
                "event {at}: {asked} downloads of {files} files in two starts, {known} were known"
            );
            assert!(second.resumed, "event {at}");
            assert_eq!(second.warnings, Vec::<String>::new(), "event {at}");
        }
        assert_eq!(comparable(&bench.shelf().newest()), expected, "event {at}");
        assert_whole(&bench);
        assert_clean(&bench);
        // Two folders at a time, of at most three pages each.
        assert!(
            lab.listings() <= pages + 2 * 3,
            "event {at}: {} listings",
            lab.listings()
        );
    }
    assert!(
        interrupted > 50,
        "{interrupted} of {events} stops came before the end"
    );
}

#[test]
fn a_run_that_is_stopped_again_and_again_comes_to_its_end() {
    let options = Options {
        v2_page: 4,
        ..Options::default()
    };
    let files = 60;
    let lab = Lab::new(small_world(files), options);
    let unbroken = lab.bounded();
    complete(&unbroken);
    let bench = lab.bounded();
    lab.simulator.reset_calls();
    let mut stops = 0;
    loop {
        let (listener, stop) = StopAt::new(How::Abort, 14, |told| u64::from(matches!(told, Told::Call)));
        let report = start(&bench, listener, stop).unwrap();
        if report.status == Status::Complete {
            break;
        }
        assert_eq!(report.status, Status::Interrupted);
        stops += 1;
        assert!(stops < 200, "it does not come to its end");
    }
    assert!(stops > 8, "{stops}");
    assert_eq!(
        comparable(&bench.shelf().newest()),
        comparable(&unbroken.shelf().newest())
    );
    assert_whole(&bench);
    assert_clean(&bench);
    let downloads = lab.downloads();
    assert!(
        downloads <= files as u64 + stops * UNDER_WAY,
        "{downloads} downloads in {stops} stops"
    );
}

#[test]
fn a_stop_that_may_finish_what_is_under_way_costs_no_call() {
    let files = 24;
    let lab = Lab::new(small_world(files), Options::default());
    let weight = |told| match told {
        Told::Count(Counter::PagesRead | Counter::FilesDone, by) => by,
        _ => 0,
    };
    let unbroken = lab.bounded();
    let (listener, stop) = StopAt::new(How::Drain, u64::MAX, weight);
    start(&unbroken, Arc::clone(&listener) as _, stop).unwrap();
    let expected = comparable(&unbroken.shelf().newest());
    let folders = lab.listings();
    assert_eq!(lab.downloads(), files as u64);

    for at in 1..listener.events() {
        let bench = lab.bounded();
        lab.simulator.reset_calls();
        let (listener, stop) = StopAt::new(How::Drain, at, weight);
        let first = start(&bench, listener, stop).unwrap();
        if first.status == Status::Interrupted {
            complete(&bench);
        }
        assert_eq!(comparable(&bench.shelf().newest()), expected, "event {at}");
        assert_eq!(
            (lab.downloads(), lab.listings()),
            (files as u64, folders),
            "event {at}"
        );
    }
}

const MIB: u64 = 1024 * 1024;

/// A drive with one file of 80 MiB, and a bench whose run was stopped when 60 MiB of it had come.
fn half_a_large_file() -> (Lab, Bench) {
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let root = world.root(0).unwrap();
    world.add_file(root, "large.bin", 80 * MIB, 5, 1_711_929_600_000);
    let lab = Lab::new(world, Options::default());
    let bench = lab.bench();
    let (listener, stop) = StopAt::new(How::Abort, 60 * MIB, bytes_moved);
    let report = start(&bench, Arc::clone(&listener) as _, stop).unwrap();
    assert_eq!(report.status, Status::Interrupted);
    assert!(listener.events() < 79 * MIB);
    (lab, bench)
}

fn bytes_moved(told: Told) -> u64 {
    match told {
        Told::Count(Counter::BytesMoved, by) => by,
        _ => 0,
    }
}

#[test]
fn half_a_large_file_goes_on_from_its_checkpoint() {
    let (lab, bench) = half_a_large_file();
    let (listener, stop) = StopAt::new(How::Abort, u64::MAX, bytes_moved);
    let report = start(&bench, Arc::clone(&listener) as _, stop).unwrap();
    assert_eq!(report.status, Status::Complete);
    bench.shelf().assert_holds(&lab.world(), 0);
    assert_clean(&bench);
    // The first checkpoint is the one at 32 MiB or right behind it.
    assert!(listener.events() <= 48 * MIB, "{} bytes", listener.events());
    let calls = lab.simulator.calls();
    assert_eq!(calls.with_status("storage.download", 206), 1);
    assert_eq!(calls.of("storage.download"), 2);
}

#[test]
fn half_a_large_file_that_changed_meanwhile_starts_again() {
    for size in [80 * MIB, 70 * MIB] {
        let (lab, bench) = half_a_large_file();
        let change = Change::Touch {
            drive: "me".to_owned(),
            path: "/large.bin".to_owned(),
            size: Some(size),
            seed: Some(6),
            modified: None,
        };
        lab.simulator.change(&change).unwrap();
        let (listener, stop) = StopAt::new(How::Abort, u64::MAX, bytes_moved);
        let report = start(&bench, Arc::clone(&listener) as _, stop).unwrap();
        assert_eq!(report.status, Status::Complete, "{}", report.to_text());
        bench.shelf().assert_holds(&lab.world(), 0);
        assert_clean(&bench);
        assert_eq!(listener.events(), size);
    }
}

#[test]
fn half_a_large_file_whose_bytes_were_altered_starts_again() {
    let (lab, bench) = half_a_large_file();
    let staging = bench.shelf().path().join(".drivejob/run/staging");
    let kept: Vec<_> = names(&staging);
    assert_eq!(kept.len(), 2, "a part and its note: {kept:?}");
    let part = staging.join(kept.iter().find(|name| name.starts_with("p-")).unwrap());
    let mut bytes = fs::read(&part).unwrap();
    bytes[1000] ^= 1;
    fs::write(&part, bytes).unwrap();
    complete(&bench);
    bench.shelf().assert_holds(&lab.world(), 0);
    assert_clean(&bench);
}

#[test]
fn a_large_folder_that_was_half_listed_is_listed_to_its_end() {
    let options = Options {
        v2_page: 4,
        ..Options::default()
    };
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let root = world.root(0).unwrap();
    for number in 0..120 {
        world.add_file(root, &format!("f{number}"), 10, number, 1_711_929_600_000);
    }
    let lab = Lab::new(world, options);
    let bench = lab.bounded();
    let pages = |told| u64::from(matches!(told, Told::Count(Counter::PagesRead, _)));
    let (listener, stop) = StopAt::new(How::Abort, 20, pages);
    let report = start(&bench, listener, stop).unwrap();
    assert_eq!(report.status, Status::Interrupted);
    // Twenty pages come a second time: no sign that the listing runs in a circle.
    let report = complete(&bench);
    assert_eq!(report.warnings, Vec::<String>::new());
    bench.shelf().assert_holds(&lab.world(), 0);
    assert!(
        (120..=120 + UNDER_WAY).contains(&lab.downloads()),
        "what was under way comes again, and no more"
    );
}

#[test]
fn a_stop_while_a_token_is_renewed_loses_no_token() {
    let options = Options {
        rotate_refresh_tokens: true,
        ..Options::default()
    };
    let lab = Lab::new(small_world(8), options);
    let bench = Bench::with_refresh_token(&lab.simulator);
    // The service has given the new token, and its answer is on the way, when the run is stopped at once.
    let slow = Action::SlowDrip {
        bytes_per_second: 500,
    };
    lab.simulator
        .faults()
        .add(Rule::new("oauth.token", slow))
        .unwrap();
    let (listener, stop) = StopAt::new(How::Abort, 1, |told| u64::from(matches!(told, Told::Call)));
    let report = start(&bench, listener, stop).unwrap();
    assert_eq!(report.status, Status::Interrupted);
    assert_eq!(lab.simulator.faults().unreached(), []);
    lab.simulator.end_access_tokens();
    complete(&bench);
    bench.shelf().assert_holds(&lab.world(), 0);
}

#[test]
fn listings_older_than_the_job_allows_are_made_again() {
    for (nights, again) in [(1, false), (3, true)] {
        let files = 30;
        let lab = Lab::new(small_world(files), Options::default());
        let bench = lab.bounded().key("relist-after", "\"36h\"");
        stop_after_files(&bench, 12);
        // A folder is listed before the last of its files is fetched, so that most are closed by now.
        let before = lab.listings();
        for _ in 0..nights {
            bench.next_night();
        }
        // A change that only a new listing can show.
        let change = Change::AddFile {
            drive: "me".to_owned(),
            path: "/new.txt".to_owned(),
            size: 10,
            seed: 1,
            modified: None,
        };
        lab.simulator.change(&change).unwrap();
        lab.simulator.reset_calls();
        let report = complete(&bench);
        assert_eq!(report.warnings, Vec::<String>::new());
        let folders = files as u64 / 4 + 1;
        let expected = if again { folders } else { folders - before };
        assert_eq!(lab.listings(), expected, "after {nights} nights");
        let rows = bench.shelf().rows();
        assert_eq!(rows.iter().any(|row| row.path.as_str() == "/new.txt"), again);
        bench.shelf().assert_nothing_wrong(&lab.world(), 0);
    }
}

#[test]
fn what_goes_away_or_changes_between_two_starts_is_told_as_it_is() {
    let lab = Lab::new(small_world(40), Options::default());
    let bench = lab.bounded().limit("listings", "1").limit("transfers", "1");
    stop_after_files(&bench, 5);
    let names: Vec<String> = lab.world().read(|world| {
        world
            .truth(0)
            .filter(|one| one.kind == "file")
            .map(|one| one.path)
            .collect()
    });
    // Every second file goes, whether it was stored, listed or not yet seen.
    for path in names.iter().step_by(2) {
        let change = Change::Remove {
            drive: "me".to_owned(),
            path: path.clone(),
        };
        lab.simulator.change(&change).unwrap();
    }
    complete(&bench);
    let rows = bench.shelf().rows();
    bench.shelf().assert_rows_on_disk(&rows);
    let truth = lab.world().read(|world| crate::support::truth(world, 0));
    for one in &truth {
        assert!(rows.iter().any(|row| held(row) == *one), "{} is lost", one.path);
    }
    for row in &rows {
        let is_true = truth.iter().any(|one| held(row) == *one);
        let is_gone = names.contains(&row.path.to_string());
        assert!(is_true || is_gone, "{} never was", row.path);
        assert_ne!(row.outcome, Outcome::Failed, "{}", row.path);
    }
}
