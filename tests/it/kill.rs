//! The program as a process: killed at random moments, told to stop, started a second time.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use drivejob::sim::{Action, Options, Rule};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::lab::{
    Draw, Lab, PATIENCE, TRANSFERS, UNDER_WAY, assert_clean, assert_whole, comparable, complete, knob,
    small_world, spawn_until, wait_for,
};
use crate::support::truth;

#[test]
fn a_process_killed_at_random_moments_makes_the_snapshot_of_an_unbroken_one() {
    let kills = knob("DRIVEJOB_TEST_KILLS", 12);
    let files = knob("DRIVEJOB_TEST_KILL_FILES", 800);
    let seed = knob("DRIVEJOB_TEST_SEED", 7);
    let lab = Lab::new(small_world(usize::try_from(files).unwrap()), Options::default());
    let unbroken = lab.bounded();
    complete(&unbroken);
    let whole = lab.simulator.calls().total();

    let bench = lab.bounded();
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
        lab.downloads() <= files + kills * UNDER_WAY,
        "seed {seed}: {} downloads for {files} files and {kills} kills",
        lab.downloads()
    );
}

#[test]
fn a_migration_killed_at_random_moments_puts_every_item_there_once() {
    let kills = knob("DRIVEJOB_TEST_MIGRATE_KILLS", 8);
    let files = knob("DRIVEJOB_TEST_MIGRATE_KILL_FILES", 150);
    let seed = knob("DRIVEJOB_TEST_SEED", 7);
    let old = Lab::new(small_world(usize::try_from(files).unwrap()), Options::default());
    let new = Lab::new(small_world(0), Options::default());
    let bench = old
        .bounded()
        .key("kind", "\"migrate\"")
        .key("target", "\"target.toml\"")
        .key("pass", "\"final\"")
        .limit("uploads", "3");
    bench.write("target.toml", &new.simulator.tenant_file_v2().0);
    bench.job_file();
    // One run makes about so many calls: each file takes two at either side, each folder one or two.
    let whole = files * 5;
    let calls = || old.simulator.calls().total() + new.simulator.calls().total();
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
        let before = calls();
        // As above: half of the kills come after some calls, the others after some time.
        let after_calls =
            before + 1 + draw.below((whole.saturating_sub(before) / (kills - killed + 1)).max(20));
        let after_time = Duration::from_micros(draw.below(120_000));
        let by_calls = draw.below(2) == 0;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                exit = Some(status);
                break;
            }
            let is_due = if by_calls {
                calls() >= after_calls
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
    let tree = |lab: &Lab| {
        lab.world().read(|world| {
            let mut held: Vec<_> = truth(world, 0)
                .into_iter()
                .map(|held| {
                    let modified = (held.kind == "file").then_some(held.modified);
                    (held.path, held.kind, held.size, held.sha256, modified)
                })
                .collect();
            held.sort();
            held
        })
    };
    let there = tree(&new);
    println!(
        "seed {seed}: {killed} kills, {} downloads and {} uploads for {files} files",
        old.downloads(),
        new.simulator.calls().of("storage.upload"),
    );
    assert_eq!(exit.unwrap().code(), Some(0), "seed {seed}");
    assert!(killed > 0, "seed {seed}");
    assert_eq!(there, tree(&old), "seed {seed}: nothing twice, nothing missing");
    let most = files + (kills + 1) * 3;
    assert!(new.simulator.calls().of("storage.upload") <= most, "seed {seed}");
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
        let bench = lab.bounded();
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
    let bench = lab.bounded().limit("timeout", "\"10m\"");
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

#[test]
fn f17_a_second_run_ends_at_once_and_says_who_holds_the_archive() {
    let lab = Lab::new(small_world(12), Options::default());
    let stall = Rule::new("storage.download", Action::StallAfterBytes { bytes: 0 }).repeated(0);
    lab.simulator.faults().add(stall).unwrap();
    let bench = lab.bounded().limit("timeout", "\"10m\"");
    let mut first = spawn_until(&lab, &bench, TRANSFERS);
    // Until it stands still: three folders and the root are listed, and every transfer waits.
    wait_for(|| lab.listings() == 4 && lab.simulator.calls().of("storage.download") == TRANSFERS);
    let calls = lab.simulator.calls().total();
    // Without a bound, one that goes on would stand still as the first does.
    let second = bench
        .program()
        .timeout(Duration::from_secs(60))
        .args(["run", "job.toml"])
        .output()
        .unwrap();
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
