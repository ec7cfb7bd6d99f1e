//! Long nights, many starts and slow servers: what a run takes of the machine does not grow with its time.
//!
//! Each test that measures runs in a process of its own, so that what other tests do is not counted.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drivejob::id::DriveId;
use drivejob::monitor::{Counter, DriveState, Monitor, Phase, Transfer, Waiting};
use drivejob::report::Status;
use drivejob::sim::{Action, GeneratedSpec, Options, Rule, Simulator, Sizes, World};
use drivejob::stop::{Clock, Stop};
use jiff::{SignedDuration, Timestamp};

use crate::support::lab::{
    How, Lab, StopAt, Told, assert_clean, comparable, complete, knob, small_world, start, wait_for,
};
use crate::support::{Bench, Face};

/// Tells a process that it is the one that measures.
const ALONE: &str = "DRIVEJOB_TEST_ALONE";

/// Runs a test of this theme in a process of its own, and shows what it says.
fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("load::{name}"),
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    println!("{said}");
}

/// What this process has at a moment.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Resident memory in KiB.
    memory: u64,
    files: usize,
    threads: u64,
    tasks: usize,
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn taken(tasks: usize) -> Taken {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    Taken {
        memory: field(&status, "VmRSS:"),
        files: fs::read_dir("/proc/self/fd").unwrap().count(),
        threads: field(&status, "Threads:"),
        tasks,
    }
}

/// Looks at the process once for each hour of a clock, at the calls of a run.
struct Hours {
    clock: Clock,
    began: Timestamp,
    seen: Mutex<Vec<Taken>>,
}

impl std::fmt::Debug for Hours {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Hours")
    }
}

impl Monitor for Hours {
    fn call(&self, _: &'static str, _: Option<u16>) {
        let hours = self.clock.now().duration_since(self.began).as_hours();
        let mut seen = self.seen.lock().unwrap();
        if hours >= 0 && seen.len() < hours as usize {
            let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
            seen.push(taken(tasks));
        }
    }
    fn count(&self, _: Counter, _: u64) {}
    fn transfer(&self, _: usize, _: Transfer<'_>) {}
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

#[test]
fn a_night_of_eight_hours_grows_by_nothing() {
    alone("a_night_of_eight_hours_grows_by_nothing", || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(night());
    });
}

/// A backup that takes its whole night because of the limit. Time is that of the runtime, which jumps from one wait to the
/// next; tokens end every hour.
async fn night() {
    let per_minute = knob("DRIVEJOB_TEST_NIGHT", 4);
    let files = usize::try_from(per_minute * 60 * 8 + per_minute * 30).unwrap();
    let world = World::generated(&GeneratedSpec {
        files,
        folders: 4,
        sizes: Sizes::Uniform(0, 2000),
        ..GeneratedSpec::default()
    });
    let options = Options {
        access_token_seconds: 3600,
        ..Options::default()
    };
    let simulator = Simulator::start(world, options).await.unwrap();
    let bench = Bench::with_refresh_token(&simulator)
        .limit("requests-per-minute", &per_minute.to_string())
        .limit("stall-after", "\"24h\"");
    let (zero, epoch) = (tokio::time::Instant::now(), Timestamp::now());
    let clock = Clock::new(move || {
        let passed = SignedDuration::try_from(zero.elapsed()).unwrap();
        epoch + passed
    });
    let mut host = bench.host();
    host.clock = clock.clone();
    let hours = Arc::new(Hours {
        began: clock.now(),
        clock: clock.clone(),
        seen: Mutex::default(),
    });
    let report = drivejob::runner::run(bench.loaded(), &host, Arc::clone(&hours) as _, Stop::new())
        .await
        .unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let passed = zero.elapsed().as_secs() / 3600;
    assert!(passed >= 8, "{passed} hours");
    let renewals = simulator.calls().of("oauth.token");
    assert!(renewals >= 8, "{renewals} tokens");
    let seen = hours.seen.lock().unwrap().clone();
    for (hour, taken) in seen.iter().enumerate() {
        println!("hour {}: {taken:?}", hour + 1);
    }
    assert!(seen.len() >= 8, "{}", seen.len());
    // The first hour warms up: connections, caches, the ledger's pages.
    let (early, late) = (seen[1], seen[7]);
    assert!(late.memory <= early.memory + 4 * 1024, "KiB: {seen:?}");
    // The archive keeps a few folders open.
    assert!(late.files <= early.files + 6, "{seen:?}");
    assert!(late.tasks <= early.tasks + 4, "{seen:?}");
    assert!(late.threads <= early.threads + 4, "{seen:?}");
}

#[test]
fn a_run_resumed_again_and_again_grows_by_nothing() {
    alone("a_run_resumed_again_and_again_grows_by_nothing", || {
        let starts = knob("DRIVEJOB_TEST_RESUMES", 60);
        // A start may bring one file to its place, what is under way, and what had ended meanwhile.
        let files = usize::try_from(starts).unwrap() * 7 + 20;
        let lab = Lab::new(small_world(files), Options::default());
        let unbroken = lab.bench();
        complete(&unbroken);
        let bench = lab.bench().limit("transfers", "1");
        lab.simulator.reset_calls();
        let (mut stops, mut seen) = (0, Vec::new());
        loop {
            // Each start brings at least one file into place, and then stops.
            let (listener, stop) = StopAt::new(How::Drain, 1, |told| match told {
                Told::Count(Counter::FilesDone, by) => by,
                _ => 0,
            });
            let report = start(&bench, listener, stop).unwrap();
            if report.status == Status::Complete || stops == starts {
                break;
            }
            assert_eq!(report.status, Status::Interrupted);
            stops += 1;
            seen.push(taken(0));
        }
        assert_eq!(stops, starts, "so many starts were stopped");
        complete(&bench);
        assert_eq!(
            comparable(&bench.shelf().newest()),
            comparable(&unbroken.shelf().newest())
        );
        assert_clean(&bench);
        // Bytes are never fetched twice by a stop that may finish what is under way.
        assert!(
            lab.downloads() <= files as u64 + 2,
            "{} downloads of {files}",
            lab.downloads()
        );
        let (early, late) = (seen[seen.len() / 6], seen[seen.len() - 1]);
        println!(
            "after {} starts: {early:?}; after {stops}: {late:?}",
            seen.len() / 6 + 1
        );
        assert!(late.memory <= early.memory + 16 * 1024, "KiB: {early:?} {late:?}");
        assert!(late.files <= early.files + 4, "{early:?} {late:?}");
        assert!(late.threads <= early.threads + 4, "{early:?} {late:?}");
    });
}

/// A program that is ended with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn f15_a_hundred_transfers_from_a_slow_server_need_bounded_memory() {
    let megabytes = knob("DRIVEJOB_TEST_MEGABYTES", 3);
    let size = megabytes * 1_000_000;
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let root = world.root(0).unwrap();
    for number in 0..100 {
        world.add_file(root, &format!("{number}.bin"), size, number, 0);
    }
    let lab = Lab::new(world, Options::default());
    // Each file takes two seconds, so that all hundred are under way at once.
    let drip = Action::SlowDrip {
        bytes_per_second: size / 2,
    };
    let rule = Rule::new("storage.download", drip).repeated(0);
    lab.simulator.faults().add(rule).unwrap();
    let bench = Bench::new(&lab.simulator, Face::V2)
        .limit("transfers", "100")
        .limit("timeout", "\"60s\"");
    bench.job_file();
    let child = bench
        .process()
        .args(["run", "--no-progress", "job.toml"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Running(child);
    let status = format!("/proc/{}/status", child.0.id());
    let mut peak = 0;
    let mut code = None;
    wait_for(|| {
        if let Ok(text) = fs::read_to_string(&status)
            && text.contains("VmHWM:")
        {
            peak = peak.max(field(&text, "VmHWM:"));
        }
        std::thread::sleep(Duration::from_millis(20));
        code = child.0.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(0));
    let at_once = lab.simulator.calls().connections;
    println!(
        "{} MB in 100 transfers, {at_once} connections: at most {peak} KiB",
        100 * megabytes
    );
    assert!(at_once >= 100, "{at_once} connections");
    bench.shelf().assert_holds(&lab.world(), 0);
    // Two portions of 256 KiB for each transfer, as much in the buffers of its connection, and the program itself: the whole
    // files would need more, and larger files need no more.
    assert!((1..256 * 1024).contains(&peak), "{peak} KiB");
}
