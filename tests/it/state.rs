//! The state of an unfinished run is disposable: damaged, it costs work and never the truth.

use std::fs;
use std::path::{Path, PathBuf};

use drivejob::ledger::Ledger;
use drivejob::sim::Options;

use crate::support::lab::{
    Lab, UNDER_WAY, assert_clean, complete, small_world, spawn_until, stop_after_files,
};
use crate::support::{Bench, tree_of};

/// A bench with a complete night and an unfinished one, in which ten files are stored.
fn half_done(lab: &Lab) -> Bench {
    let bench = lab.bounded();
    complete(&bench);
    bench.next_night();
    lab.change(1, 40);
    stop_after_files(&bench, 10);
    bench
}

/// What is done to an unfinished run before the next start.
type Harm = fn(Bench) -> Bench;

#[test]
fn a_run_that_cannot_be_carried_on_is_begun_anew_and_says_so() {
    fn run_file(bench: &Bench, name: &str) -> PathBuf {
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
    type Damage = fn(&Path);
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
        let bench = lab.bounded();
        let mut child = spawn_until(&lab, &bench, 30);
        child.kill().unwrap();
        child.wait().unwrap();
        damage(&bench.shelf().path().join(".drivejob/run"));
        complete(&bench);
        bench.shelf().assert_holds(&lab.world(), 0);
        assert_clean(&bench);
        if name == "nothing" {
            assert!(lab.downloads() <= 60 + UNDER_WAY, "{} downloads", lab.downloads());
        }
    }
}

#[test]
fn what_a_power_cut_took_of_the_newest_files_is_fetched_again() {
    let files = 40;
    let lab = Lab::new(small_world(files), Options::default());
    let bench = lab.bounded();
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
    // Nor is there a note of a run that ended in order.
    fs::remove_file(run.join("state.sha256")).unwrap();

    lab.simulator.reset_calls();
    let report = complete(&bench);
    assert!(report.resumed);
    bench.shelf().assert_holds(&lab.world(), 0);
    assert_clean(&bench);
    assert_eq!(lab.downloads(), (files - known + 3) as u64);
}
