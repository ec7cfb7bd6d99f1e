//! Random sequences of changes, backups, stops, damage and faults, against copies of what really was there.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;

use drivejob::id::SnapshotId;
use drivejob::manifest::{Outcome, Row};
use drivejob::monitor::Silent;
use drivejob::report::Status;
use drivejob::runner;
use drivejob::sim::{Action, GeneratedSpec, Options, Rule, Sizes, World};
use drivejob::stop::Stop;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::support::Bench;
use crate::support::lab::{Draw, How, Lab, StopAt, assert_clean, knob, names, rows_of, start};

/// One step of a sequence.
#[derive(Clone, Debug)]
enum Step {
    /// Things happen in the drive.
    Change { seed: u64, count: usize },
    /// A night that nobody disturbs.
    Night,
    /// A night that is stopped at an event, once or more often, and carried on.
    Stopped { at: Vec<u64>, is_abort: bool },
    /// A night in which the service is at fault.
    Faulty {
        operation: usize,
        fault: usize,
        call: u64,
    },
    /// A stored file of the newest night is removed, cut or altered.
    Damage { seed: u64, kind: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u64>(), 1..25_usize).prop_map(|(seed, count)| Step::Change { seed, count }),
        2 => Just(Step::Night),
        3 => (prop::collection::vec(1..120_u64, 1..4), any::<bool>())
            .prop_map(|(at, is_abort)| Step::Stopped { at, is_abort }),
        2 => (0..OPERATIONS.len(), 0..4_usize, 1..12_u64)
            .prop_map(|(operation, fault, call)| Step::Faulty { operation, fault, call }),
        2 => (any::<u64>(), 0..3_u64).prop_map(|(seed, kind)| Step::Damage { seed, kind }),
    ]
}

const OPERATIONS: [&str; 4] = [
    "drive.list",
    "drive.list-root",
    "drive.download",
    "storage.download",
];

fn fault(number: usize) -> Action {
    match number {
        0 => Action::Status {
            code: 403,
            headers: BTreeMap::new(),
            body: None,
        },
        1 => Action::ResetBeforeHeaders,
        2 => Action::ResetAfterBytes { bytes: 40 },
        _ => Action::Status {
            code: 500,
            headers: BTreeMap::new(),
            body: None,
        },
    }
}

/// What is known of the archive beside the archive itself.
struct Model {
    lab: Lab,
    bench: Bench,
    /// The rows of every snapshot, as they were when it was made.
    nights: HashMap<SnapshotId, Vec<Row>>,
    /// Whether stored files were damaged: older nights share them and are not whole then.
    is_damaged: bool,
}

impl Model {
    fn new() -> Model {
        let world = World::generated(&GeneratedSpec {
            files: 14,
            folders: 4,
            sizes: Sizes::Uniform(0, 2000),
            depth: 3,
            ..GeneratedSpec::default()
        });
        let options = Options {
            v2_page: 5,
            ..Options::default()
        };
        let lab = Lab::new(world, options);
        let bench = lab
            .bench()
            .key("rehash", "\"100%\"")
            .limit("transfers", "3")
            .limit("listings", "2");
        Model {
            lab,
            bench,
            nights: HashMap::new(),
            is_damaged: false,
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Change { seed, count } => self.lab.change(*seed, *count),
            Step::Night => self.night(),
            Step::Stopped { at, is_abort } => {
                let how = if *is_abort { How::Abort } else { How::Drain };
                self.bench.next_night();
                for at in at {
                    let (listener, stop) = StopAt::new(how, *at, StopAt::every_event);
                    let report = start(&self.bench, listener, stop).unwrap();
                    if report.status != Status::Interrupted {
                        return self.check(report.status);
                    }
                }
                self.carry_on();
            }
            Step::Faulty {
                operation,
                fault: number,
                call,
            } => {
                let rule = Rule::new(OPERATIONS[*operation], fault(*number))
                    .from_call(*call)
                    .repeated(5);
                self.lab.simulator.faults().add(rule).unwrap();
                self.bench.next_night();
                let outcome = start(&self.bench, Arc::new(Silent), Stop::new());
                self.lab.simulator.faults().clear();
                match outcome {
                    Ok(report) => self.check(report.status),
                    Err(runner::Error::NothingRead { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Damage { seed, kind } => self.damage(*seed, *kind),
        }
    }

    fn night(&mut self) {
        self.bench.next_night();
        self.carry_on();
    }

    fn carry_on(&mut self) {
        let report = start(&self.bench, Arc::new(Silent), Stop::new()).unwrap();
        assert_eq!(report.status, Status::Complete, "{}", report.to_text());
        self.check(report.status);
    }

    /// The newest snapshot is what it says it is, and the older ones are what they were.
    fn check(&mut self, status: Status) {
        let shelf = self.bench.shelf();
        let newest = shelf.newest();
        match status {
            Status::Complete => {
                assert!(newest.is_complete());
                shelf.assert_holds(&self.lab.world(), 0);
            }
            Status::Partial => {
                assert!(!newest.is_complete());
                assert!(!shelf.failures().is_empty() || shelf.rows().is_empty());
                shelf.assert_nothing_wrong(&self.lab.world(), 0);
            }
            other => panic!("{other:?}"),
        }
        assert_clean(&self.bench);
        assert_eq!(
            names(&shelf.path().join(".drivejob")),
            ["catalogue", "lock", "status.json"]
        );
        let known = self.nights.insert(newest.id.clone(), rows_of(&newest));
        assert!(known.is_none(), "{} was there before", newest.id);
        let snapshots = shelf.snapshots();
        assert_eq!(snapshots.len(), self.nights.len());
        for snapshot in &snapshots {
            let rows = rows_of(snapshot);
            assert_eq!(rows, self.nights[&snapshot.id], "{}", snapshot.id);
            if !self.is_damaged {
                shelf.assert_rows_on_disk(&rows);
            }
        }
    }

    fn damage(&mut self, seed: u64, kind: u64) {
        let shelf = self.bench.shelf();
        if self.nights.is_empty() {
            return;
        }
        let rows: Vec<Row> = shelf
            .rows()
            .into_iter()
            .filter(|row| matches!(row.outcome, Outcome::Stored | Outcome::Reused))
            .filter(|row| row.entry.size.is_some_and(|size| size > 0))
            .collect();
        if rows.is_empty() {
            return;
        }
        let mut draw = Draw(seed);
        let row = &rows[usize::try_from(draw.below(rows.len() as u64)).unwrap()];
        let Some(stored_at) = &row.stored_at else {
            return;
        };
        let place = shelf.path().join(stored_at);
        let Ok(mut bytes) = fs::read(&place) else {
            return;
        };
        let at = usize::try_from(draw.below(bytes.len().max(1) as u64)).unwrap();
        match kind {
            0 => fs::remove_file(&place).unwrap(),
            1 => fs::write(&place, &bytes[..at]).unwrap(),
            _ if bytes.is_empty() => return,
            _ => {
                bytes[at] ^= 1 << (seed % 8);
                fs::write(&place, bytes).unwrap();
            }
        }
        // A snapshot that was checked once may be damaged again and again; only what comes after it must be whole.
        self.is_damaged = true;
        self.lab.simulator.reset_calls();
    }
}

#[test]
fn whatever_happens_each_complete_night_is_the_truth() {
    let cases = knob("DRIVEJOB_TEST_CASES", 24);
    let steps = usize::try_from(knob("DRIVEJOB_TEST_STEPS", 10)).unwrap();
    let seed = knob("DRIVEJOB_TEST_SEED", 1);
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Config::default()
    };
    let sequences = prop::collection::vec(step(), 1..=steps);
    let outcome = TestRunner::new(config).run(&sequences, |sequence| {
        let mut model = Model::new();
        for step in &sequence {
            model.take(step);
        }
        model.night();
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("DRIVEJOB_TEST_SEED={seed} DRIVEJOB_TEST_STEPS={steps} shows it again: {error}");
    }
}
