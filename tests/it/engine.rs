//! Seeded sequences of all that may happen to an archive, against a naive model of what each night must hold.
//!
//! `DRIVEJOB_TEST_ENGINE_STEPS` sets how many steps are taken in all, `DRIVEJOB_TEST_ENGINE_SEED` takes one sequence alone,
//! and `DRIVEJOB_TEST_ENGINE_KILLS=1` adds processes that are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use drivejob::archive::{Archive, Holder};
use drivejob::entry::Kind;
use drivejob::id::{DriveId, SnapshotId};
use drivejob::manifest::{Outcome, Row};
use drivejob::monitor::{Counter, DriveState, Monitor, Phase, Silent, Transfer, Waiting};
use drivejob::prune;
use drivejob::report::{Report, Status};
use drivejob::retention::Policy;
use drivejob::runner;
use drivejob::sim::{Action, GeneratedSpec, Options, Rule, SharedWorld, Sizes, World};
use drivejob::stop::Stop;
use drivejob::verify::{self, verify};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::support::lab::{Draw, How, Lab, PATIENCE, StopAt, knob, rows_of, start};
use crate::support::{Bench, Held, held, sha256, tree_of, truth};

/// Steps of one sequence.
const LENGTH: u64 = 60;

/// One step.
#[derive(Clone, Debug)]
enum Step {
    /// Things happen in the drive.
    Change { seed: u64, count: usize },
    /// A night that nobody disturbs, or the rest of one that was stopped.
    Night,
    /// The same while things happen in the drive.
    Restless { at: u64, seed: u64, count: usize },
    /// A night that is stopped.
    Stopped { at: u64, how: How },
    /// A night in which the service is at fault.
    Faulty {
        operation: &'static str,
        fault: usize,
        call: u64,
    },
    /// The program is killed.
    Killed { calls: u64 },
    /// Stored bytes are removed, cut or altered.
    Damage { night: u64, file: u64, kind: u64 },
    /// All is read back.
    Verify,
    /// One night is restored into a folder.
    Restore { night: u64 },
    /// Old nights go.
    Prune { policy: Policy },
    /// The machine's clock is set.
    Clock { days: i64 },
}

const OPERATIONS: [&str; 4] = [
    "drive.list",
    "drive.list-root",
    "drive.download",
    "storage.download",
];

fn draw_step(draw: &mut Draw, kills: bool) -> Step {
    let seed = draw.0;
    match draw.below(100) {
        0..30 => Step::Change {
            seed,
            count: 1 + draw.below(12) as usize,
        },
        30..46 => Step::Night,
        46..50 => Step::Restless {
            at: 1 + draw.below(90),
            seed,
            count: 1 + draw.below(6) as usize,
        },
        50..64 => Step::Stopped {
            at: 1 + draw.below(120),
            how: [How::Drain, How::Abort][draw.below(2) as usize],
        },
        64..70 => Step::Faulty {
            operation: OPERATIONS[draw.below(4) as usize],
            fault: draw.below(4) as usize,
            call: 1 + draw.below(12),
        },
        70..72 if kills => Step::Killed {
            calls: 1 + draw.below(60),
        },
        70..80 => Step::Damage {
            night: draw.below(u64::MAX),
            file: draw.below(u64::MAX),
            kind: draw.below(3),
        },
        80..86 => Step::Verify,
        86..90 => Step::Restore {
            night: draw.below(u64::MAX),
        },
        90..95 => {
            let mut figure = |end| u32::try_from(draw.below(end)).unwrap();
            Step::Prune {
                policy: Policy {
                    last: 1 + figure(4),
                    daily: figure(3),
                    ..Policy::default()
                },
            }
        }
        _ => Step::Clock {
            days: [1, 2, 40, -1, -5][draw.below(5) as usize],
        },
    }
}

fn fault(number: usize) -> Action {
    let status = |code| Action::Status {
        code,
        headers: BTreeMap::new(),
        body: None,
    };
    match number {
        0 => status(403),
        1 => Action::ResetBeforeHeaders,
        2 => Action::ResetAfterBytes { bytes: 40 },
        _ => status(500),
    }
}

/// What a drive held at a moment, by id.
type State = BTreeMap<String, Held>;

/// The moments of a night: what the drive held when it began, and after each change since.
type States = Arc<Mutex<Vec<State>>>;

fn state_of(world: &SharedWorld) -> State {
    let held = world.read(|world| truth(world, 0));
    held.into_iter().map(|held| (held.id.clone(), held)).collect()
}

/// A night as it was when it was made.
struct Night {
    rows: Vec<Row>,
    is_complete: bool,
    /// Its place among all, in the order in which they were made. A clock that was set back lets names tell another one.
    number: usize,
}

/// The archive, and what is known of it beside itself.
struct Engine {
    lab: Arc<Lab>,
    bench: Bench,
    nights: BTreeMap<SnapshotId, Night>,
    /// How many nights there ever were.
    made: usize,
    /// Places whose bytes are gone or wrong.
    broken: BTreeSet<String>,
    /// Files that were altered while a night was unfinished, which may have a name in it already.
    altered_meanwhile: BTreeSet<u64>,
    /// Empty when no night is under way.
    states: States,
    steps: Vec<Step>,
    seed: u64,
}

/// Tells how to see it again, whatever failed.
impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("DRIVEJOB_TEST_ENGINE_SEED={} shows it again:", self.seed);
            for (number, step) in self.steps.iter().enumerate() {
                eprintln!("{number:3} {step:?}");
            }
        }
    }
}

impl Engine {
    fn new(seed: u64) -> Engine {
        let world = World::generated(&GeneratedSpec {
            files: 14,
            folders: 4,
            sizes: Sizes::Uniform(0, 2000),
            depth: 3,
            seed,
            ..GeneratedSpec::default()
        });
        let options = Options {
            v2_page: 5,
            ..Options::default()
        };
        let lab = Arc::new(Lab::new(world, options));
        let bench = lab
            .bench()
            .key("rehash", "\"100%\"")
            .limit("transfers", "3")
            .limit("listings", "2");
        Engine {
            lab,
            bench,
            nights: BTreeMap::new(),
            made: 0,
            broken: BTreeSet::new(),
            altered_meanwhile: BTreeSet::new(),
            states: Arc::default(),
            steps: Vec::new(),
            seed,
        }
    }

    fn take(&mut self, step: Step) {
        self.steps.push(step.clone());
        match step {
            Step::Change { seed, count } => {
                self.lab.change(seed, count);
                note(&self.states, &self.lab.world());
            }
            Step::Night => self.night(),
            Step::Restless { at, seed, count } => {
                self.begin();
                let monitor = Arc::new(ChangeAt {
                    lab: Arc::clone(&self.lab),
                    states: Arc::clone(&self.states),
                    at,
                    seed,
                    count,
                    events: AtomicU64::new(0),
                });
                let report = start(&self.bench, monitor, Stop::new()).unwrap();
                self.ended(&report);
            }
            Step::Stopped { at, how } => {
                self.begin();
                let (listener, stop) = StopAt::new(how, at, StopAt::every_event);
                let report = start(&self.bench, listener, stop).unwrap();
                if report.status != Status::Interrupted {
                    self.ended(&report);
                }
            }
            Step::Faulty {
                operation,
                fault: number,
                call,
            } => {
                self.begin();
                let rule = Rule::new(operation, fault(number)).from_call(call).repeated(5);
                self.lab.simulator.reset_calls();
                self.lab.simulator.faults().add(rule).unwrap();
                let outcome = start(&self.bench, Arc::new(Silent), Stop::new());
                self.lab.simulator.faults().clear();
                match outcome {
                    Ok(report) => self.ended(&report),
                    // No snapshot is new, and nothing is left to carry on.
                    Err(runner::Error::NothingRead { .. }) => self.states.lock().unwrap().clear(),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Killed { calls } => self.kill(calls),
            Step::Damage { night, file, kind } => self.damage(night, file, kind),
            Step::Verify => self.verify(),
            Step::Restore { night } => self.restore(night),
            Step::Prune { policy } => self.prune(policy),
            Step::Clock { days } => self.bench.set_clock(days),
        }
        self.check_names();
    }

    /// The moment before a run, unless it carries one on.
    fn begin(&mut self) {
        let mut states = self.states.lock().unwrap();
        if states.is_empty() {
            states.push(state_of(&self.lab.world()));
            self.bench.next_night();
        }
    }

    fn night(&mut self) {
        self.begin();
        let report = start(&self.bench, Arc::new(Silent), Stop::new()).unwrap();
        assert_eq!(report.status, Status::Complete, "{}", report.to_text());
        self.ended(&report);
    }

    /// A run came to its end: one snapshot is new, and it says what was so.
    fn ended(&mut self, report: &Report) {
        let is_complete = match report.status {
            Status::Complete => true,
            Status::Partial => false,
            other => panic!("{other:?}: {}", report.to_text()),
        };
        let new: Vec<_> = self
            .bench
            .shelf()
            .snapshots()
            .into_iter()
            .filter(|snapshot| !self.nights.contains_key(&snapshot.id))
            .collect();
        let [snapshot] = new.as_slice() else {
            panic!("{} new snapshots", new.len())
        };
        assert_eq!(snapshot.is_complete(), is_complete);
        let rows = rows_of(snapshot);
        let states = std::mem::take(&mut *self.states.lock().unwrap());
        assert_told(&rows, &states, is_complete);
        if !is_complete {
            let failures = snapshot.failures().unwrap().count();
            assert!(failures > 0 || rows.is_empty(), "partial without a failure");
        }
        for row in &rows {
            let Some(place) = &row.stored_at else { continue };
            let inode = fs::symlink_metadata(self.bench.shelf().path().join(place))
                .unwrap()
                .ino();
            if self.altered_meanwhile.contains(&inode) {
                self.broken.insert(place.clone());
            }
        }
        self.altered_meanwhile.clear();
        let sound: Vec<Row> = rows
            .iter()
            .filter(|row| {
                row.stored_at
                    .as_ref()
                    .is_none_or(|place| !self.broken.contains(place))
            })
            .cloned()
            .collect();
        self.bench.shelf().assert_rows_on_disk(&sound);
        assert!(!self.bench.shelf().path().join(".drivejob/run").exists());
        self.made(snapshot.id.clone(), rows, is_complete);
    }

    /// Every night that should be there is, and nothing else.
    fn check_names(&self) {
        if !self.bench.shelf().path().exists() {
            return assert!(self.nights.is_empty());
        }
        let found: Vec<SnapshotId> = self
            .bench
            .shelf()
            .snapshots()
            .into_iter()
            .map(|one| one.id)
            .collect();
        let expected: Vec<SnapshotId> = self.nights.keys().cloned().collect();
        assert_eq!(found, expected);
    }

    /// Every night says what it said when it was made, and what is not broken has its bytes.
    fn check_all(&self) {
        let shelf = self.bench.shelf();
        for snapshot in shelf.snapshots() {
            let rows = rows_of(&snapshot);
            assert_eq!(rows, self.nights[&snapshot.id].rows, "{}", snapshot.id);
            let is_sound = |row: &Row| {
                row.stored_at
                    .as_ref()
                    .is_none_or(|place| !self.broken.contains(place))
            };
            let sound: Vec<Row> = rows.into_iter().filter(is_sound).collect();
            shelf.assert_rows_on_disk(&sound);
        }
    }

    fn archive(&self) -> Option<Archive> {
        (!self.nights.is_empty()).then(|| Archive::open(self.bench.shelf().path()).unwrap())
    }

    /// One of the nights.
    fn pick(&self, number: u64) -> Option<&SnapshotId> {
        let count = self.nights.len().max(1) as u64;
        self.nights.keys().nth(usize::try_from(number % count).unwrap())
    }

    /// The file rows of all nights that have bytes.
    fn stored(&self) -> impl Iterator<Item = (&SnapshotId, &Row, &String)> {
        self.nights.iter().flat_map(|(id, night)| {
            let stored = |row: &'_ Row| matches!(row.outcome, Outcome::Stored | Outcome::Reused);
            let rows = night.rows.iter().filter(move |row| stored(row));
            rows.filter_map(move |row| Some((id, row, row.stored_at.as_ref()?)))
        })
    }

    fn damage(&mut self, night: u64, file: u64, kind: u64) {
        let Some(id) = self.pick(night).cloned() else {
            return;
        };
        let choice: Vec<String> = self
            .stored()
            .filter(|(of, row, place)| {
                **of == id && row.entry.size.is_some_and(|size| size > 0) && !self.broken.contains(*place)
            })
            .map(|(_, _, place)| place.clone())
            .collect();
        if choice.is_empty() {
            return;
        }
        let place = &choice[usize::try_from(file % choice.len() as u64).unwrap()];
        let path = self.bench.shelf().path().join(place);
        if kind == 0 {
            fs::remove_file(&path).unwrap();
            self.broken.insert(place.clone());
            return;
        }
        let mut bytes = fs::read(&path).unwrap();
        let at = usize::try_from(file % bytes.len() as u64).unwrap();
        if kind == 1 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (file % 8);
        }
        fs::write(&path, bytes).unwrap();
        // Nights share files: what is wrong under one name is wrong under all.
        let inode = fs::metadata(&path).unwrap().ino();
        let names: Vec<String> = self.stored().map(|(_, _, place)| place.clone()).collect();
        for name in names {
            let found = fs::symlink_metadata(self.bench.shelf().path().join(&name));
            if found.is_ok_and(|found| found.ino() == inode) {
                self.broken.insert(name);
            }
        }
        if !self.states.lock().unwrap().is_empty() {
            self.altered_meanwhile.insert(inode);
        }
    }

    fn verify(&self) {
        let Some(archive) = self.archive() else { return };
        let mut found = BTreeSet::new();
        let options = verify::Options::whole(Timestamp::now());
        let summary = verify(&archive, &options, &Stop::new(), &Silent, &mut |problem| {
            found.insert(problem.place.clone());
        })
        .unwrap();
        assert_eq!(found, self.broken, "{}", summary.to_text());
        let stored = self.stored().count();
        assert_eq!(summary.good, (stored - self.broken.len()) as u64);
        assert_eq!(summary.snapshots, self.nights.len() as u64);
    }

    fn restore(&self, night: u64) {
        let Some(id) = self.pick(night) else { return };
        let sound: BTreeSet<(&String, u64)> = self
            .stored()
            .filter(|(_, _, place)| !self.broken.contains(*place))
            .filter_map(|(_, row, _)| Some((row.sha256.as_ref()?, row.entry.size?)))
            .collect();
        let (mut expected, mut lost) = (Vec::new(), 0);
        for (of, row, _) in self.stored() {
            let content = (row.sha256.as_ref().unwrap(), row.entry.size.unwrap());
            match (of == id, sound.contains(&content)) {
                (false, _) => {}
                (true, true) => expected.push(content.0.clone()),
                (true, false) => lost += 1,
            }
        }
        // What the night itself could not get is not in the target either.
        let rows = &self.nights[id].rows;
        lost += rows
            .iter()
            .filter(|row| matches!(row.outcome, Outcome::Failed | Outcome::Vanished))
            .count();
        if expected.is_empty() {
            return;
        }
        let folder = self.bench.shelf().path().display().to_string();
        let job = Bench::empty()
            .key("kind", "\"restore\"")
            .key("archive", &format!("{folder:?}"))
            .key("snapshot", &format!("\"{id}\""))
            .key("results", "\"results\"")
            .key("to", "\"file:back\"");
        let report = start(&job, Arc::new(Silent), Stop::new()).unwrap();
        let failed = failures_of(&job);
        let status = if lost == 0 {
            Status::Complete
        } else {
            Status::Partial
        };
        assert_eq!(report.status, status, "{lost} lost: {}{failed}", report.to_text());
        let mut found: Vec<String> = tree_of(&job.folder().join("back"))
            .values()
            .flatten()
            .map(|bytes| sha256(bytes.as_slice()))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", report.to_text());
    }

    fn prune(&mut self, policy: Policy) {
        let Some(archive) = self.archive() else { return };
        let holder = Holder {
            pid: 1,
            host: "bench".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            job: "prune".to_owned(),
        };
        let lock = archive.lock(&holder).unwrap();
        let options = prune::Options {
            policy,
            zone: TimeZone::UTC,
            hold_on_drop: 2.0,
            measure: false,
        };
        let plan = prune::plan(&archive, &options).unwrap();
        let mut stays = wanted(&self.nights, policy);
        // Beside a partial night that is dated ahead, a name does not tell which night was made last: then nothing goes.
        let is_misdated = plan
            .holds
            .iter()
            .any(|hold| hold.to_string().contains("is dated later"));
        let newest = self.nights.iter().rev().find(|(_, night)| night.is_complete);
        if is_misdated && newest.is_some_and(|(id, _)| self.nights.keys().any(|other| other > id)) {
            stays = self.nights.keys().cloned().collect();
        }
        let done = prune::perform(&archive, &lock, &plan, &Stop::new()).unwrap();
        assert_eq!(
            done.removed.len(),
            self.nights.len() - stays.len(),
            "{}",
            plan.to_text()
        );
        self.nights.retain(|id, _| stays.contains(id));
        let night = |place: &str| place.split('/').next().unwrap_or_default().to_owned();
        self.broken
            .retain(|place| stays.iter().any(|id| id.as_str() == night(place)));
    }

    fn kill(&mut self, calls: u64) {
        self.begin();
        self.bench.job_file();
        let before = self.lab.simulator.calls().total();
        let mut child = self
            .bench
            .process()
            .args(["run", "--no-progress", "job.toml"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let exit = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if self.lab.simulator.calls().total() >= before + calls {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "the process hangs");
            std::thread::sleep(std::time::Duration::from_micros(200));
        };
        // It may have come to its end, or to its last word, before the kill.
        let shelf = self.bench.shelf();
        let is_new =
            shelf.path().join("ARCHIVE.json").exists() && shelf.snapshots().len() > self.nights.len();
        assert!(exit.code().is_none_or(|code| code == 0), "{exit:?}");
        assert!(is_new || exit.code().is_none(), "{exit:?}");
        if is_new {
            // What the kill left of the run's state goes with the next one.
            let _ = fs::remove_dir_all(shelf.path().join(".drivejob/run"));
            let newest = shelf
                .snapshots()
                .into_iter()
                .find(|one| !self.nights.contains_key(&one.id));
            let states = std::mem::take(&mut *self.states.lock().unwrap());
            let rows = rows_of(&newest.clone().unwrap());
            assert_told(&rows, &states, true);
            self.altered_meanwhile.clear();
            self.made(newest.unwrap().id, rows, true);
        }
    }

    fn made(&mut self, id: SnapshotId, rows: Vec<Row>, is_complete: bool) {
        self.made += 1;
        let night = Night {
            rows,
            is_complete,
            number: self.made,
        };
        assert!(self.nights.insert(id, night).is_none());
    }
}

/// What a restore says that it could not bring.
fn failures_of(job: &Bench) -> String {
    tree_of(&job.folder().join("results"))
        .into_iter()
        .filter(|(path, _)| path.ends_with("failures.csv"))
        .filter_map(|(_, bytes)| String::from_utf8(bytes?).ok())
        .collect()
}

/// Notes what the drive holds now, if a night is under way.
fn note(states: &States, world: &SharedWorld) {
    let mut states = states.lock().unwrap();
    if !states.is_empty() {
        states.push(state_of(world));
    }
}

/// Checks what a night says against the moments it may tell of: no row says what never was, and a complete night has all
/// that was there, unchanged, from its beginning to its end.
fn assert_told(rows: &[Row], states: &[State], is_complete: bool) {
    let mut ids = BTreeSet::new();
    for row in rows {
        let told = held(row);
        assert!(ids.insert(told.id.clone()), "{} is told twice", row.path);
        if row.outcome == Outcome::Vanished || row.outcome == Outcome::Failed {
            assert!(row.sha256.is_none() && row.stored_at.is_none());
            assert!(!is_complete || row.outcome == Outcome::Vanished, "{}", row.path);
            continue;
        }
        if row.entry.kind == Kind::Folder && !is_complete {
            continue;
        }
        let was = states.iter().any(|state| {
            state.get(&told.id).is_some_and(|was| {
                // A folder above may have got another name meanwhile.
                was.sha256 == told.sha256 && was.size == told.size && was.modified == told.modified
            })
        });
        assert!(was, "never was: {told:?}");
    }
    if !is_complete {
        return;
    }
    let told: BTreeMap<String, Held> = rows
        .iter()
        .map(|row| (row.entry.id.to_string(), held(row)))
        .collect();
    let (first, rest) = states.split_first().unwrap();
    for (id, was) in first {
        if rest.iter().all(|state| state.get(id) == Some(was)) {
            assert_eq!(told.get(id), Some(was), "{} is lost", was.path);
        }
    }
    if rest.is_empty() {
        assert_eq!(told.len(), first.len());
    }
}

/// What stays, worked out the plain way.
fn wanted(nights: &BTreeMap<SnapshotId, Night>, policy: Policy) -> BTreeSet<SnapshotId> {
    let complete: Vec<&SnapshotId> = nights
        .iter()
        .rev()
        .filter(|(_, night)| night.is_complete)
        .map(|(id, _)| id)
        .collect();
    let mut days: Vec<&str> = complete.iter().map(|id| &id.as_str()[..10]).collect();
    days.dedup();
    let of_day = |day: &&str| complete.iter().find(|id| id.as_str().starts_with(*day)).copied();
    let Some(newest) = complete.first() else {
        return nights.keys().cloned().collect();
    };
    // Where a clock was set back, the newest by name is not the newest, and nothing goes.
    let number = nights[*newest].number;
    if nights
        .iter()
        .any(|(id, night)| id < *newest && night.number > number)
    {
        return nights.keys().cloned().collect();
    }
    complete
        .iter()
        .take(policy.last as usize)
        .copied()
        .chain(days.iter().take(policy.daily as usize).filter_map(of_day))
        .chain([*newest])
        .chain(nights.keys().filter(|id| id > newest))
        .cloned()
        .collect()
}

/// Changes the drive at an event of a run.
struct ChangeAt {
    lab: Arc<Lab>,
    states: States,
    at: u64,
    seed: u64,
    count: usize,
    events: AtomicU64,
}

impl std::fmt::Debug for ChangeAt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "a change at event {}", self.at)
    }
}

impl ChangeAt {
    fn hear(&self) {
        if self.events.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            self.lab.change(self.seed, self.count);
            note(&self.states, &self.lab.world());
        }
    }
}

impl Monitor for ChangeAt {
    fn count(&self, counter: Counter, _: u64) {
        if matches!(
            counter,
            Counter::PagesRead | Counter::FilesDone | Counter::FilesReused
        ) {
            self.hear();
        }
    }
    fn call(&self, _: &'static str, _: Option<u16>) {
        self.hear();
    }
    fn transfer(&self, _: usize, _: Transfer<'_>) {}
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

fn run(seed: u64, length: u64, kills: bool) {
    let mut engine = Engine::new(seed);
    // Neighbouring seeds must not give one sequence, shifted by a step.
    let mut draw = Draw(Draw(seed).below(u64::MAX));
    for _ in 0..length {
        engine.take(draw_step(&mut draw, kills));
    }
    engine.take(Step::Night);
    engine.take(Step::Verify);
    engine.check_all();
}

#[test]
fn whatever_happens_in_any_order_each_night_holds_what_it_says() {
    let kills = knob("DRIVEJOB_TEST_ENGINE_KILLS", 0) > 0;
    let seed = knob("DRIVEJOB_TEST_ENGINE_SEED", 0);
    if seed > 0 {
        return run(seed, LENGTH, kills);
    }
    let sequences = knob("DRIVEJOB_TEST_ENGINE_STEPS", 2_000) / LENGTH;
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > sequences {
                        return;
                    }
                    run(seed, LENGTH, kills);
                }
            });
        }
    });
}
