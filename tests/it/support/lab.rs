//! Runs that are stopped and carried on: each start is a process of its own, or as good as one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drivejob::archive::{Archive, Snapshot};
use drivejob::id::DriveId;
use drivejob::manifest::{Row, Writer};
use drivejob::monitor::{Counter, DriveState, Monitor, Phase, Silent, Transfer, Waiting};
use drivejob::report::{Report, Status};
use drivejob::runner;
use drivejob::sim::{GeneratedSpec, Options, SharedWorld, Simulator, Sizes, World};
use drivejob::stop::{Stop, StopReason};
use tokio::runtime::Runtime;

use super::{Bench, Face, tree_of};

/// Files that a bounded bench fetches at the same time.
pub(crate) const TRANSFERS: u64 = 2;

/// Files under way at most: those being transferred, and eight times as many small ones that wait to be stored.
pub(crate) const UNDER_WAY: u64 = 9 * TRANSFERS;

/// How long a process may take for what takes it a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A simulator on threads of its own, so that runs may come and go with theirs.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) simulator: Simulator,
    nights: AtomicU64,
    _runtime: Runtime,
}

impl Lab {
    pub(crate) fn new(world: World, options: Options) -> Lab {
        let runtime = Runtime::new().unwrap();
        let simulator = runtime.block_on(Simulator::start(world, options)).unwrap();
        Lab {
            simulator,
            nights: AtomicU64::new(0),
            _runtime: runtime,
        }
    }

    pub(crate) fn bench(&self) -> Bench {
        Bench::new(&self.simulator, Face::V2)
    }

    /// A bench whose job does few things at a time.
    pub(crate) fn bounded(&self) -> Bench {
        self.bench()
            .limit("transfers", &TRANSFERS.to_string())
            .limit("listings", "2")
    }

    pub(crate) fn world(&self) -> SharedWorld {
        self.simulator.world()
    }

    /// Changes the world by chance, a day after the changes before.
    pub(crate) fn change(&self, seed: u64, count: usize) {
        let night = self.nights.fetch_add(1, Ordering::Relaxed) + 1;
        let now = self.simulator.clock().now_ms() + i64::try_from(night).unwrap() * DAY_MS;
        self.world().write(|world| world.random_changes(seed, count, now));
    }

    /// Contents asked for since the counts were last set to zero.
    pub(crate) fn downloads(&self) -> u64 {
        self.simulator.calls().of("drive.download")
    }

    /// Pages of folders asked for since then.
    pub(crate) fn listings(&self) -> u64 {
        let calls = self.simulator.calls();
        calls.of("drive.list") + calls.of("drive.list-root")
    }
}

/// A drive with a quarter as many folders as files.
pub(crate) fn small_world(files: usize) -> World {
    World::generated(&GeneratedSpec {
        files,
        folders: files / 4,
        sizes: Sizes::Uniform(0, 3000),
        depth: 4,
        ..GeneratedSpec::default()
    })
}

/// One start of the job. When it returns, nothing of it goes on in the background.
pub(crate) fn start(bench: &Bench, monitor: Arc<dyn Monitor>, stop: Stop) -> Result<Report, runner::Error> {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(bench.run_with(monitor, stop))
}

/// One start of the job that nobody stops and that must be complete.
pub(crate) fn complete(bench: &Bench) -> Report {
    let report = start(bench, Arc::new(Silent), Stop::new()).unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    report
}

/// What a run tells that a stop may be tied to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    Call,
    Count(Counter, u64),
    Step,
    Phase,
}

/// How many events one of these is.
pub(crate) type Weight = fn(Told) -> u64;

/// How a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Drain,
    Abort,
}

/// Stops a run when the events it counts reach a number.
#[derive(Debug)]
pub(crate) struct StopAt {
    stop: Stop,
    how: How,
    weight: Weight,
    at: u64,
    events: AtomicU64,
}

impl StopAt {
    pub(crate) fn new(how: How, at: u64, weight: Weight) -> (Arc<StopAt>, Stop) {
        let stop = Stop::new();
        let monitor = StopAt {
            stop: stop.clone(),
            how,
            weight,
            at,
            events: AtomicU64::new(0),
        };
        (Arc::new(monitor), stop)
    }

    /// Everything that moves a run on: calls, pages, folders, files, beginnings and ends of transfers, phases.
    pub(crate) fn every_event(told: Told) -> u64 {
        match told {
            Told::Count(
                Counter::PagesRead | Counter::FoldersListed | Counter::FilesDone | Counter::FilesReused,
                _,
            )
            | Told::Call
            | Told::Step
            | Told::Phase => 1,
            Told::Count(..) => 0,
        }
    }

    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::SeqCst)
    }

    fn hear(&self, told: Told) {
        let by = (self.weight)(told);
        let before = self.events.fetch_add(by, Ordering::SeqCst);
        if before < self.at && before + by >= self.at {
            match self.how {
                How::Drain => self.stop.drain(StopReason::Interrupted),
                How::Abort => self.stop.abort(StopReason::Interrupted),
            }
        }
    }
}

impl Monitor for StopAt {
    fn count(&self, counter: Counter, by: u64) {
        self.hear(Told::Count(counter, by));
    }
    fn call(&self, _: &'static str, _: Option<u16>) {
        self.hear(Told::Call);
    }
    fn transfer(&self, _: usize, step: Transfer<'_>) {
        if matches!(step, Transfer::Started { .. } | Transfer::Finished) {
            self.hear(Told::Step);
        }
    }
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {
        self.hear(Told::Phase);
    }
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

/// Starts the job and asks it to stop when so many files are in place.
pub(crate) fn stop_after_files(bench: &Bench, files: u64) {
    let (listener, stop) = StopAt::new(How::Drain, files, |told| match told {
        Told::Count(Counter::FilesDone | Counter::FilesReused, by) => by,
        _ => 0,
    });
    let report = start(bench, listener, stop).unwrap();
    assert_eq!(report.status, Status::Interrupted);
}

/// Starts the program on the bench's job and waits until so many contents were asked for.
pub(crate) fn spawn_until(lab: &Lab, bench: &Bench, downloads: u64) -> Child {
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

/// Waits until something is so, and fails when it does not come to pass.
pub(crate) fn wait_for(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "it does not come to pass");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A manifest without what two runs over the same tree may differ in: `attempts`, and the snapshot's name in `stored_at`.
pub(crate) fn comparable(snapshot: &Snapshot) -> String {
    let mut writer = Writer::new(Vec::new(), false).unwrap();
    for mut row in rows_of(snapshot) {
        row.attempts = 0;
        row.stored_at = row
            .stored_at
            .map(|place| place.split_once('/').unwrap().1.to_owned());
        writer.write(&row).unwrap();
    }
    String::from_utf8(writer.finish().unwrap().0).unwrap()
}

/// The rows of a snapshot, after its hash was checked.
pub(crate) fn rows_of(snapshot: &Snapshot) -> Vec<Row> {
    snapshot.verify_manifest_hash().unwrap();
    snapshot.manifest().unwrap().map(Result::unwrap).collect()
}

/// Checks that the last run left nothing behind: no state, and no file in its snapshot that the manifest does not name.
pub(crate) fn assert_clean(bench: &Bench) {
    let shelf = bench.shelf();
    assert!(
        !shelf.path().join(".drivejob/run").exists(),
        "the run's state is left"
    );
    let snapshot = shelf.newest();
    let named: BTreeSet<PathBuf> = rows_of(&snapshot)
        .into_iter()
        .filter_map(|row| row.stored_at)
        .filter_map(|place| {
            Some(PathBuf::from(
                place
                    .strip_prefix(snapshot.id.as_str())?
                    .strip_prefix("/files/")?,
            ))
        })
        .collect();
    let lying: BTreeSet<PathBuf> = tree_of(&snapshot.path.join("files"))
        .into_iter()
        .filter_map(|(path, bytes)| bytes.map(|_| path))
        .collect();
    assert_eq!(lying, named, "{}", snapshot.id);
    let mut expected = vec!["HEAD.json", "TAIL.json", "failures.csv", "files", "manifest.csv"];
    if snapshot.head.previous.is_some() && snapshot.path.join("diff.csv").exists() {
        expected.insert(2, "diff.csv");
    }
    assert_eq!(names(&snapshot.path), expected);
}

/// Checks that every snapshot has all that its manifest says.
pub(crate) fn assert_whole(bench: &Bench) {
    let shelf = bench.shelf();
    for snapshot in shelf.snapshots() {
        shelf.assert_rows_on_disk(&rows_of(&snapshot));
    }
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Copies a folder with all its hard links.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

/// Puts another folder in the place of one.
pub(crate) fn replace_folder(from: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    copy_folder(from, to);
}

/// The archive of a bench.
pub(crate) fn archive(bench: &Bench) -> Archive {
    Archive::open(bench.shelf().path()).unwrap()
}

/// A number from the environment, for those who want more than the default.
pub(crate) fn knob(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("the knob is a number"),
        Err(_) => default,
    }
}

/// Numbers that follow from a seed.
#[derive(Debug)]
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// A number below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
