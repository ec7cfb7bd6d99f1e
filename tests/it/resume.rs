//! Nothing is lost by a stop: whatever ends a run, the next start carries on, and the snapshot is that of an unbroken run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drivejob::ledger::Ledger;
use drivejob::manifest::Outcome;
use drivejob::monitor::Counter;
use drivejob::report::Status;
use drivejob::sim::{Action, Change, GeneratedSpec, Options, Rule, Sizes, World};
use drivejob::stop::Stop;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::lab::{
    Draw, How, Lab, StopAt, Told, assert_clean, assert_whole, comparable, complete, knob, names, start,
};
use crate::support::{Bench, Recorder, held, tree_of};

/// Files fetched at the same time in these tests.
const TRANSFERS: u64 = 3;

/// How long a process may take for what takes it a moment.
const PATIENCE: Duration = Duration::from_secs(120);

fn small_world(files: usize) -> World {
    World::generated(&GeneratedSpec {
        files,
        folders: files / 4,
        sizes: Sizes::Uniform(0, 3000),
        depth: 4,
        ..GeneratedSpec::default()
    })
}

fn bench(lab: &Lab) -> Bench {
    lab.bench()
        .limit("transfers", &TRANSFERS.to_string())
        .limit("listings", "2")
}

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
    let files = 18;
    let lab = Lab::new(small_world(files), options);
    let unbroken = bench(&lab);
    let (listener, stop) = StopAt::new(How::Abort, u64::MAX, StopAt::every_event);
    let report = start(&unbroken, Arc::clone(&listener) as _, stop).unwrap();
    assert_eq!(report.status, Status::Complete);
    unbroken.shelf().assert_holds(&lab.world(), 0);
    let expected = comparable(&unbroken.shelf().newest());
    let (events, pages) = (listener.events(), lab.listings());
    assert!(events > 60, "{events}");

    let mut interrupted = 0;
    for at in 1..=events {
        let bench = bench(&lab);
        lab.simulator.reset_calls();
        let (listener, stop) = StopAt::new(How::Abort, at, StopAt::every_event);
        let first = start(&bench, listener, stop).unwrap();
        if first.status == Status::Interrupted {
            interrupted += 1;
            assert_eq!(bench.shelf().snapshots().len(), 0, "event {at}");
            let known = stored(&bench);
            let asked = lab.downloads();
            assert!(
                asked <= known + TRANSFERS,
                "event {at}: {asked} downloads, {known} of them known"
            );
            lab.simulator.reset_calls();
            let second = complete(&bench);
            assert_eq!(lab.downloads(), files as u64 - known, "event {at}");
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
    let unbroken = bench(&lab);
    complete(&unbroken);
    let bench = bench(&lab);
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
        downloads <= files as u64 + stops * TRANSFERS,
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
    let unbroken = bench(&lab);
    let (listener, stop) = StopAt::new(How::Drain, u64::MAX, weight);
    start(&unbroken, Arc::clone(&listener) as _, stop).unwrap();
    let expected = comparable(&unbroken.shelf().newest());
    let folders = lab.listings();
    assert_eq!(lab.downloads(), files as u64);

    for at in 1..listener.events() {
        let bench = bench(&lab);
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

#[test]
fn a_process_killed_at_random_moments_makes_the_snapshot_of_an_unbroken_one() {
    let kills = knob("DRIVEJOB_TEST_KILLS", 12);
    let files = knob("DRIVEJOB_TEST_KILL_FILES", 800);
    let seed = knob("DRIVEJOB_TEST_SEED", 7);
    let lab = Lab::new(small_world(usize::try_from(files).unwrap()), Options::default());
    let unbroken = bench(&lab);
    complete(&unbroken);
    let whole = lab.simulator.calls().total();

    let bench = bench(&lab);
    let job = bench.job_file();
    lab.simulator.reset_calls();
    let mut draw = Draw(seed);
    let (mut killed, mut exit) = (0, None);
    while exit.is_none() {
        let mut child = bench
            .process()
            .args(["run", "--no-progress", "job.toml"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let calls = lab.simulator.calls().total();
        // Half of the kills come after some calls, so that all of them fit into one run; the others after some time, so that
        // they hit the beginning and the end as well.
        let after_calls = calls + 1 + draw.below((whole.saturating_sub(calls) / (kills - killed + 1)).max(1));
        let after_time = Duration::from_micros(draw.below(60_000));
        let by_calls = draw.below(2) == 0;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                exit = Some(status);
                break;
            }
            let is_due = if by_calls {
                lab.simulator.calls().total() >= after_calls
            } else {
                begun.elapsed() >= after_time
            };
            if killed < kills && is_due {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
                break;
            }
            assert!(begun.elapsed() < 5 * PATIENCE, "the process hangs");
            std::thread::sleep(Duration::from_micros(300));
        }
    }
    println!(
        "seed {seed}: {killed} kills, {} downloads for {files} files, {} listings",
        lab.downloads(),
        lab.listings()
    );
    assert_eq!(
        exit.unwrap().code(),
        Some(0),
        "seed {seed}, job {}",
        job.display()
    );
    assert_eq!(killed, kills, "seed {seed}");
    let newest = bench.shelf().newest();
    assert_eq!(
        comparable(&newest),
        comparable(&unbroken.shelf().newest()),
        "seed {seed}"
    );
    assert_eq!(bench.shelf().snapshots().len(), 1);
    assert_whole(&bench);
    assert_clean(&bench);
    assert!(
        lab.downloads() <= files + kills * TRANSFERS,
        "seed {seed}: {} downloads for {files} files and {kills} kills",
        lab.downloads()
    );
}

/// Starts the program on the bench's job and waits until so many contents were asked for.
fn spawn_until(lab: &Lab, bench: &Bench, downloads: u64) -> Child {
    bench.job_file();
    let child = bench
        .process()
        .args(["run", "--no-progress", "job.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(|| lab.downloads() >= downloads);
    child
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "it does not come to pass");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_signal_ends_with_130_and_the_next_start_repeats_no_call() {
    for kind in [Signal::TERM, Signal::INT] {
        let options = Options {
            latency_ms: 10,
            ..Options::default()
        };
        let files = 120;
        let lab = Lab::new(small_world(files), options);
        let bench = bench(&lab);
        let child = spawn_until(&lab, &bench, 20);
        signal(&child, kind);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(130), "{kind:?} {said}");
        assert!(said.contains("interrupted, continues next time"), "{said}");
        assert_eq!(bench.shelf().snapshots().len(), 0);
        assert!(
            lab.downloads() < files as u64,
            "it came to its end before the signal"
        );

        bench.program().args(["run", "job.toml"]).assert().success();
        bench.shelf().assert_holds(&lab.world(), 0);
        assert_clean(&bench);
        assert_eq!(lab.downloads(), files as u64, "{kind:?}");
    }
}

#[test]
fn a_second_signal_does_not_wait_for_a_transfer_that_stands_still() {
    let lab = Lab::new(small_world(12), Options::default());
    let stall = Rule::new("storage.download", Action::StallAfterBytes { bytes: 0 }).repeated(0);
    lab.simulator.faults().add(stall).unwrap();
    let bench = bench(&lab).limit("timeout", "\"10m\"");
    let mut child = spawn_until(&lab, &bench, TRANSFERS);
    let mut said = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    signal(&child, Signal::TERM);
    assert!(said.any(|line| line.contains("again to stop at once")));
    signal(&child, Signal::TERM);
    assert!(said.any(|line| line.contains("stopping at once")));
    assert_eq!(child.wait().unwrap().code(), Some(130));

    lab.simulator.faults().clear();
    bench.program().args(["run", "job.toml"]).assert().success();
    bench.shelf().assert_holds(&lab.world(), 0);
    assert_clean(&bench);
}

/// A bench with a complete night and an unfinished one, in which ten files are stored.
fn half_done(lab: &Lab) -> Bench {
    let bench = bench(lab);
    complete(&bench);
    bench.next_night();
    lab.change(1, 40);
    stop_after_files(&bench, 10);
    bench
}

fn stop_after_files(bench: &Bench, files: u64) {
    let (listener, stop) = StopAt::new(How::Drain, files, |told| match told {
        Told::Count(Counter::FilesDone | Counter::FilesReused, by) => by,
        _ => 0,
    });
    let report = start(bench, listener, stop).unwrap();
    assert_eq!(report.status, Status::Interrupted);
}

/// What is done to an unfinished run before the next start.
type Harm = fn(Bench) -> Bench;

#[test]
fn a_run_that_cannot_be_carried_on_is_begun_anew_and_says_so() {
    fn run_file(bench: &Bench, name: &str) -> std::path::PathBuf {
        bench.shelf().path().join(".drivejob/run").join(name)
    }
    let changed = "since the job has changed";
    let lost = "could not be carried on, since its state is missing or damaged";
    let headless = "its HEAD.json is missing";
    let cases: [(&str, Harm, Option<&str>); 13] = [
        ("nothing", |bench| bench, None),
        (
            "the job has a filter",
            |bench| bench.table("[filter]\nexclude = [\"/nothing-has-this-name\"]"),
            Some(changed),
        ),
        (
            "the job has other limits",
            |bench| bench.limit("transfers", "5"),
            None,
        ),
        (
            "ledger removed",
            |bench| {
                fs::remove_file(run_file(&bench, "ledger.sqlite")).unwrap();
                bench
            },
            Some(lost),
        ),
        (
            "ledger cut in half",
            |bench| {
                let path = run_file(&bench, "ledger.sqlite");
                let bytes = fs::read(&path).unwrap();
                fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
                bench
            },
            Some(lost),
        ),
        (
            "ledger of garbage",
            |bench| {
                fs::write(run_file(&bench, "ledger.sqlite"), "garbage ".repeat(3000)).unwrap();
                bench
            },
            Some(lost),
        ),
        (
            "ledger is a folder",
            |bench| {
                fs::remove_file(run_file(&bench, "ledger.sqlite")).unwrap();
                fs::create_dir(run_file(&bench, "ledger.sqlite")).unwrap();
                bench
            },
            Some(lost),
        ),
        (
            "head of garbage",
            |bench| {
                fs::write(run_file(&bench, "snapshot/HEAD.json"), "garbage").unwrap();
                bench
            },
            Some("HEAD.json is damaged"),
        ),
        (
            "head cut to nothing",
            |bench| {
                fs::write(run_file(&bench, "snapshot/HEAD.json"), "").unwrap();
                bench
            },
            Some("HEAD.json is damaged"),
        ),
        (
            "head removed",
            |bench| {
                fs::remove_file(run_file(&bench, "snapshot/HEAD.json")).unwrap();
                bench
            },
            Some(headless),
        ),
        (
            "no staging folder",
            |bench| {
                fs::remove_dir_all(run_file(&bench, "staging")).unwrap();
                bench
            },
            None,
        ),
        (
            "staging is a file",
            |bench| {
                fs::remove_dir_all(run_file(&bench, "staging")).unwrap();
                fs::write(run_file(&bench, "staging"), "").unwrap();
                bench
            },
            Some(lost),
        ),
        (
            "no files any more",
            |bench| {
                fs::remove_dir_all(run_file(&bench, "snapshot/files")).unwrap();
                bench
            },
            None,
        ),
    ];
    for (name, harm, warning) in cases {
        let lab = Lab::new(small_world(40), Options::default());
        let bench = half_done(&lab);
        let first = bench.shelf().newest();
        let before = tree_of(&first.path);
        let bench = harm(bench);
        let report = complete(&bench);
        assert_eq!(report.resumed, warning.is_none(), "{name}");
        match warning {
            None => assert_eq!(report.warnings, Vec::<String>::new(), "{name}"),
            Some(warning) => {
                let [said] = report.warnings.as_slice() else {
                    panic!("{name}: {:?}", report.warnings);
                };
                assert!(said.contains(warning), "{name}: {said}");
                assert!(
                    said.contains("dropped") || said.contains("began anew"),
                    "{name}: {said}"
                );
            }
        }
        bench.shelf().assert_holds(&lab.world(), 0);
        assert_clean(&bench);
        assert_eq!(
            tree_of(&first.path),
            before,
            "{name}: the night before was touched"
        );
    }
}

#[test]
fn what_is_damaged_after_a_kill_is_noticed() {
    type Damage = fn(&std::path::Path);
    let cases: [(&str, Damage); 4] = [
        ("nothing", |_| {}),
        ("log removed", |run| {
            let _ = fs::remove_file(run.join("ledger.sqlite-wal"));
        }),
        ("log cut", |run| {
            let path = run.join("ledger.sqlite-wal");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("log of garbage", |run| {
            let path = run.join("ledger.sqlite-wal");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, vec![b'x'; bytes.len()]).unwrap();
        }),
    ];
    for (name, damage) in cases {
        let lab = Lab::new(small_world(60), Options::default());
        let bench = bench(&lab);
        let mut child = spawn_until(&lab, &bench, 30);
        child.kill().unwrap();
        child.wait().unwrap();
        damage(&bench.shelf().path().join(".drivejob/run"));
        complete(&bench);
        bench.shelf().assert_holds(&lab.world(), 0);
        assert_clean(&bench);
        if name == "nothing" {
            assert!(lab.downloads() <= 60 + TRANSFERS, "{} downloads", lab.downloads());
        }
    }
}

#[test]
fn what_a_power_cut_took_of_the_newest_files_is_fetched_again() {
    let files = 40;
    let lab = Lab::new(small_world(files), Options::default());
    let bench = bench(&lab);
    stop_after_files(&bench, 20);
    let run = bench.shelf().path().join(".drivejob/run");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let doubtful = runtime.block_on(async {
        let ledger = Ledger::open(&run.join("ledger.sqlite")).unwrap();
        assert_eq!(
            ledger.doubtful(0, 100).await.unwrap(),
            [],
            "a run that ends in order leaves no doubt"
        );
        // As if the disk had not followed at all.
        ledger.synced(0).await.unwrap();
        let doubtful = ledger.doubtful(0, 100).await.unwrap();
        ledger.close().await;
        doubtful
    });
    let known = doubtful.len();
    assert!(known >= 20);
    let place = |number: usize| {
        let (_, inside) = doubtful[number].stored_at.split_once('/').unwrap();
        run.join("snapshot").join(inside)
    };
    let large: Vec<usize> = (0..known).filter(|at| doubtful[*at].size.unwrap() > 1).collect();
    let zeroed = place(large[0]);
    fs::write(
        &zeroed,
        vec![0; usize::try_from(doubtful[large[0]].size.unwrap()).unwrap()],
    )
    .unwrap();
    fs::write(place(large[1]), "").unwrap();
    fs::remove_file(place(large[2])).unwrap();

    lab.simulator.reset_calls();
    let report = complete(&bench);
    assert!(report.resumed);
    bench.shelf().assert_holds(&lab.world(), 0);
    assert_clean(&bench);
    assert_eq!(lab.downloads(), (files - known + 3) as u64);
}

#[test]
fn a_second_run_ends_at_once_and_says_who_holds_the_archive() {
    let lab = Lab::new(small_world(12), Options::default());
    let stall = Rule::new("storage.download", Action::StallAfterBytes { bytes: 0 }).repeated(0);
    lab.simulator.faults().add(stall).unwrap();
    let bench = bench(&lab).limit("timeout", "\"10m\"");
    let mut first = spawn_until(&lab, &bench, TRANSFERS);
    // Until it stands still: three folders and the root are listed, and every transfer waits.
    wait_for(|| lab.listings() == 4 && lab.simulator.calls().of("storage.download") == TRANSFERS);
    let calls = lab.simulator.calls().total();
    let second = bench.program().args(["run", "job.toml"]).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(4), "{said}");
    assert!(said.contains(&format!("process {} on ", first.id())), "{said}");
    assert_eq!(
        lab.simulator.calls().total(),
        calls,
        "it asked the service for nothing"
    );

    // The lock dies with its process, and so does its note.
    first.kill().unwrap();
    first.wait().unwrap();
    lab.simulator.faults().clear();
    bench.program().args(["run", "job.toml"]).assert().success();
    bench.shelf().assert_holds(&lab.world(), 0);
    assert_clean(&bench);
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
fn listings_older_than_the_job_allows_are_made_again() {
    for (nights, again) in [(1, false), (3, true)] {
        let files = 30;
        let lab = Lab::new(small_world(files), Options::default());
        let bench = bench(&lab).key("relist-after", "\"36h\"");
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
    let bench = bench(&lab).limit("listings", "1").limit("transfers", "1");
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

/// Runs a script that has a mount namespace of its own. `None`, with a word on why, where this system gives none.
fn in_a_namespace(bench: &Bench, script: &str) -> Option<String> {
    let possible = Command::new("unshare")
        .args([
            "--mount",
            "--map-root-user",
            "mount",
            "-t",
            "tmpfs",
            "tmpfs",
            "/mnt",
        ])
        .output();
    if !possible.as_ref().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no file system can be mounted here: {possible:?}");
        return None;
    }
    fs::create_dir_all(bench.shelf().path()).unwrap();
    let environment = bench.process();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .env_clear()
        .envs(
            environment
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("DRIVEJOB", environment.get_program())
        .current_dir(bench.folder());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    Some(said)
}

/// Errors that a program told.
fn errors(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("error")).count()
}

#[test]
fn a_full_disk_is_a_clear_error_and_the_run_goes_on_when_there_is_room() {
    let mut world = small_world(40);
    for number in 0..12 {
        let change = Change::AddFile {
            drive: "me".to_owned(),
            path: format!("/large/{number}.bin"),
            size: MIB + number,
            seed: number,
            modified: None,
        };
        world.apply(&change, 1_711_929_600_000).unwrap();
    }
    let lab = Lab::new(world, Options::default());
    let bench = bench(&lab);
    let job = fs::read_to_string(bench.job_file()).unwrap();
    bench.write(
        "small.toml",
        &format!("{job}\n[filter]\nexclude = [\"/large/**\"]\n"),
    );
    let Some(said) = in_a_namespace(
        &bench,
        r#"
        mount -t tmpfs -o size=8m tmpfs archive || exit 99
        "$DRIVEJOB" run small.toml >/dev/null 2>first.txt; echo "first=$?"
        cp -a archive after-first
        "$DRIVEJOB" run job.toml >/dev/null 2>full.txt; echo "full=$?"
        cp -a archive after-full
        "$DRIVEJOB" run job.toml >/dev/null 2>still-full.txt; echo "still=$?"
        mount -o remount,size=64m archive || exit 99
        "$DRIVEJOB" run --json job.toml >room.json 2>room.txt; echo "room=$?"
        cp -a archive after-room
        "#,
    ) else {
        return;
    };
    let read = |name: &str| fs::read_to_string(bench.folder().join(name)).unwrap();
    assert_eq!(
        said.trim(),
        "first=0\nfull=1\nstill=1\nroom=0",
        "{} {} {} {}",
        read("first.txt"),
        read("full.txt"),
        read("still-full.txt"),
        read("room.txt")
    );
    for name in ["full.txt", "still-full.txt"] {
        let text = read(name);
        assert_eq!(errors(&text), 1, "{text}");
        assert!(
            text.contains("No space left on device") || text.contains("full"),
            "{text}"
        );
    }
    let shelf = |name: &str| crate::support::Shelf::open(bench.folder().join(name));
    let night = shelf("after-first").newest();
    for name in ["after-full", "after-room"] {
        assert_eq!(
            tree_of(&bench.folder().join(name).join(night.id.as_str())),
            tree_of(&night.path),
            "{name}"
        );
    }
    assert_eq!(shelf("after-full").snapshots().len(), 1);
    shelf("after-room").assert_holds(&lab.world(), 0);
    let report: serde_json::Value = serde_json::from_str(&read("room.json")).unwrap();
    assert_eq!(report["resumed"], true);
    assert_eq!(report["warnings"], serde_json::json!([]));
}

#[test]
fn a_read_only_archive_is_one_clear_error() {
    let lab = Lab::new(small_world(20), Options::default());
    let bench = bench(&lab);
    bench.job_file();
    let Some(said) = in_a_namespace(
        &bench,
        r#"
        mount -t tmpfs -o size=32m tmpfs archive || exit 99
        "$DRIVEJOB" run job.toml >/dev/null 2>&1; echo "first=$?"
        mount -o remount,ro archive || exit 99
        "$DRIVEJOB" run job.toml >out.txt 2>read-only.txt; echo "read-only=$?"
        mount -o remount,rw archive || exit 99
        "$DRIVEJOB" run job.toml >/dev/null 2>&1; echo "again=$?"
        "#,
    ) else {
        return;
    };
    let text = fs::read_to_string(bench.folder().join("read-only.txt")).unwrap();
    assert_eq!(said.trim(), "first=0\nread-only=1\nagain=0", "{text}");
    assert_eq!(errors(&text), 1, "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
    assert_eq!(lab.downloads(), 20, "nothing is asked for that cannot be stored");
}

#[test]
fn the_watchers_hear_of_copies_that_are_lost() {
    let lab = Lab::new(small_world(20), Options::default());
    let bench = bench(&lab);
    complete(&bench);
    let row = bench
        .shelf()
        .rows()
        .into_iter()
        .find(|row| row.stored_at.is_some())
        .unwrap();
    fs::remove_file(bench.shelf().path().join(row.stored_at.unwrap())).unwrap();
    bench.next_night();
    lab.simulator.reset_calls();
    let recorder = Arc::new(Recorder::default());
    let report = start(&bench, Arc::clone(&recorder) as _, Stop::new()).unwrap();
    assert_eq!(report.status, Status::Complete);
    assert_eq!(lab.downloads(), 1);
    let [(subject, message)] = recorder.problems().try_into().unwrap();
    assert_eq!(subject, format!("me:{}", row.path));
    assert!(message.contains("fetched again"), "{message}");
}
