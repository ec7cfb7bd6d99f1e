//! A migration that keeps manifests alone: bytes pass through, the disk holds only what is under way, and no word of the
//! archive claims more than it has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drivejob::archive;
use drivejob::id::DriveId;
use drivejob::manifest::Outcome;
use drivejob::monitor::{Counter, DriveState, Monitor, Phase, Transfer, Waiting};
use drivejob::report::Status;
use drivejob::runner;
use drivejob::sim::{Action, Change, GeneratedSpec, Options, Rule, Simulator, Sizes, World};
use drivejob::stop::Stop;

use crate::support::{Bench, Face, truth};

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

fn world(files: usize, folders: usize, sizes: Sizes) -> World {
    World::generated(&GeneratedSpec {
        files,
        folders,
        sizes,
        ..GeneratedSpec::default()
    })
}

async fn serve(world: World, latency_ms: u64) -> Simulator {
    let options = Options {
        latency_ms,
        ..Options::default()
    };
    Simulator::start(world, options).await.unwrap()
}

/// A job that moves one member's drive and keeps nothing of it.
fn moving(old: &Simulator, new: &Simulator) -> Bench {
    moving_from(old, Face::V2, new)
}

fn moving_from(old: &Simulator, face: Face, new: &Simulator) -> Bench {
    let bench = Bench::new(old, face);
    let (text, token) = new.tenant_file_v2();
    // Both simulators know their tokens by the same variable.
    let name = drivejob::sim::TOKEN_VARIABLE;
    bench.write("target.toml", &text.replace(name, "NEW_TOKEN"));
    bench
        .variable("NEW_TOKEN", &token)
        .key("kind", "\"migrate\"")
        .key("target", "\"target.toml\"")
        .key("keep", "\"manifest\"")
}

type Tree = BTreeSet<(String, &'static str, u64, Option<String>, Option<i64>)>;

fn tree(simulator: &Simulator) -> Tree {
    let held = simulator.world().read(|world| truth(world, 0));
    held.into_iter()
        .map(|held| {
            let modified = (held.kind == "file").then_some(held.modified);
            (held.path, held.kind, held.size, held.sha256, modified)
        })
        .collect()
}

/// Files below a folder with their sizes.
fn files_in(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // What goes while we look is not there.
        for item in fs::read_dir(folder).into_iter().flatten().flatten() {
            match item.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(item.path()),
                Ok(metadata) => found.push((item.path(), metadata.len())),
                Err(_) => {}
            }
        }
    }
    found
}

/// Measures what lies in a folder at each beginning and end of a transfer.
#[derive(Debug)]
struct Scales {
    folder: PathBuf,
    most: AtomicU64,
    times: AtomicU64,
}

impl Monitor for Scales {
    fn count(&self, _: Counter, _: u64) {}
    fn call(&self, _: &'static str, _: Option<u16>) {}
    fn transfer(&self, _: usize, step: Transfer<'_>) {
        if matches!(step, Transfer::Started { .. } | Transfer::Finished) {
            let bytes = files_in(&self.folder).into_iter().map(|(_, size)| size).sum();
            self.most.fetch_max(bytes, Ordering::Relaxed);
            self.times.fetch_add(1, Ordering::Relaxed);
        }
    }
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_holds_what_is_under_way_and_no_more() {
    let files = number("DRIVEJOB_TEST_HANDOVER_FILES", 100);
    let size = number("DRIVEJOB_TEST_HANDOVER_BYTES", 100_000);
    let old = serve(world(files as usize, 5, Sizes::Fixed(size)), 0).await;
    // Uploads are behind: the source answers at once.
    let new = serve(world(0, 0, Sizes::Fixed(0)), 5).await;
    let limit = 8 * size;
    let bench = moving(&old, &new)
        .limit("spool", &limit.to_string())
        .limit("transfers", "4")
        .limit("uploads", "2");
    let scales = Arc::new(Scales {
        folder: bench.shelf().path().join(".drivejob/run/snapshot/files"),
        most: AtomicU64::new(0),
        times: AtomicU64::new(0),
    });
    let report = bench
        .run_with(Arc::clone(&scales) as Arc<dyn Monitor>, Stop::new())
        .await
        .unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    assert_eq!(tree(&old), tree(&new));
    let most = scales.most.load(Ordering::Relaxed);
    assert!(scales.times.load(Ordering::Relaxed) >= 4 * files);
    assert!((size..=limit).contains(&most), "{most} of {}", files * size);

    // The manifest tells of every file and claims none.
    let snapshot = bench.shelf().newest();
    assert!(snapshot.is_complete() && !snapshot.head.holds_bytes());
    assert_eq!(files_in(&snapshot.path.join("files")), []);
    for row in bench.shelf().rows().iter().filter(|row| !row.entry.is_folder()) {
        assert_eq!((row.outcome, row.reason.as_str()), (Outcome::Listed, "delivered"));
        assert_eq!(row.stored_at, None);
        assert_eq!(row.sha256.as_ref().map(String::len), Some(64));
    }
    let archive = bench.shelf().path().display().to_string();
    let code = |arguments: &[&str]| bench.program().args(arguments).output().unwrap().status.code();
    assert_eq!(code(&["verify", &archive]), Some(0));

    // A restore says why it cannot, whichever way the snapshot is named.
    for (word, sentence) in [
        (
            snapshot.id.to_string(),
            format!(
                "the snapshot {} holds no files, only their list: it is of an audit, or of a migration with keep = \"manifest\"",
                snapshot.id
            ),
        ),
        ("latest".to_owned(), "there is no snapshot 'latest'".to_owned()),
    ] {
        let restore = Bench::empty()
            .key("kind", "\"restore\"")
            .key("archive", &format!("{archive:?}"))
            .key("snapshot", &format!("{word:?}"))
            .key("to", "\"file:back\"");
        let error = restore.run().await.unwrap_err();
        assert!(matches!(
            error,
            runner::Error::Archive(archive::Error::HoldsNoFiles(_) | archive::Error::NoSnapshot(_))
        ));
        assert_eq!(error.to_string(), sentence);
    }
}

fn change(old: &Simulator, round: i64) {
    let now = 1_800_000_000_000 + round * 86_400_000;
    old.world().write(|world| {
        let files: Vec<String> = world
            .truth(0)
            .filter(|entry| entry.kind == "file")
            .map(|entry| format!("id:{}", entry.id))
            .collect();
        let touch = |path: &String, seed| Change::Touch {
            drive: "me".to_owned(),
            path: path.clone(),
            size: Some(2_000),
            seed: Some(seed),
            modified: Some(now),
        };
        for change in [
            touch(&files[0], 5),
            touch(&files[1], 6),
            Change::Rename {
                drive: "me".to_owned(),
                path: files[2].clone(),
                name: format!("renamed {round}"),
            },
            Change::AddFile {
                drive: "me".to_owned(),
                path: format!("/new {round}/報告.txt"),
                size: 700,
                seed: 9,
                modified: Some(now),
            },
        ] {
            world.apply(&change, now).unwrap();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_pass_fetches_only_what_changed() {
    let old = serve(world(30, 4, Sizes::Uniform(0, 3_000)), 0).await;
    let new = serve(world(0, 0, Sizes::Fixed(0)), 0).await;
    // Less room than the changed contents need together.
    let mut bench = moving(&old, &new).limit("spool", "2500");
    assert_eq!(bench.run().await.unwrap().status, Status::Complete);
    assert_eq!(tree(&old), tree(&new));
    for (round, pass) in [(1, "delta"), (2, "final")] {
        change(&old, round);
        bench.next_night();
        bench = bench.key("pass", &format!("{pass:?}"));
        old.reset_calls();
        new.reset_calls();
        let report = bench.run().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{}", report.to_text());
        assert_eq!(tree(&old), tree(&new), "{pass}");
        assert_eq!(old.calls().of("storage.download"), 3, "{pass}");
        assert_eq!(new.calls().of("storage.upload"), 3, "{pass}");
        assert_eq!(files_in(&bench.shelf().newest().path.join("files")), []);
    }

    // What people changed in the target stays, is told, and is fetched again by each pass that tries.
    change(&old, 3);
    let id = old.world().read(|world| {
        let first = world.truth(0).find(|entry| entry.kind == "file").unwrap();
        first.path
    });
    new.change(&Change::Touch {
        drive: "me".to_owned(),
        path: id.clone(),
        size: Some(11),
        seed: Some(1),
        modified: None,
    })
    .unwrap();
    bench = bench.key("pass", "\"delta\"");
    for downloads in [3, 1] {
        bench.next_night();
        old.reset_calls();
        let report = bench.run().await.unwrap();
        assert_eq!(report.status, Status::Partial, "{}", report.to_text());
        assert_eq!(report.details["pass"]["not_followed"], 1, "{:?}", report.details);
        assert_eq!(old.calls().of("storage.download"), downloads);
        let failed: Vec<(String, String)> = bench
            .shelf()
            .failures()
            .into_iter()
            .map(|row| (row.path.to_string(), row.reason))
            .collect();
        assert_eq!(failed, [(id.clone(), "not-delivered".to_owned())]);
        assert_eq!(files_in(&bench.shelf().newest().path.join("files")), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_refuses_is_not_delivered_and_comes_again() {
    let old = serve(world(12, 2, Sizes::Fixed(1_000)), 0).await;
    let new = serve(world(0, 0, Sizes::Fixed(0)), 0).await;
    new.world()
        .write(|world| world.drive_mut(0).unwrap().total = 5_500);
    let bench = moving(&old, &new).limit("spool", "3000").limit("uploads", "1");
    let report = bench.run().await.unwrap();
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    let of = |outcome: Outcome| {
        let rows = bench.shelf().rows();
        rows.iter()
            .filter(|row| !row.entry.is_folder() && row.outcome == outcome && row.stored_at.is_none())
            .count()
    };
    assert_eq!((of(Outcome::Listed), of(Outcome::Failed)), (5, 7));
    assert_eq!(files_in(&bench.shelf().newest().path.join("files")), []);
    new.world()
        .write(|world| world.drive_mut(0).unwrap().total = 1 << 40);
    old.reset_calls();
    bench.next_night();
    let report = bench.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    assert_eq!(old.calls().of("storage.download"), 7);
    assert_eq!(tree(&old), tree(&new));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_one_copy() {
    for action in [Action::LostAnswer, Action::ResetAfterBytes { bytes: 300 }] {
        let old = serve(world(8, 1, Sizes::Fixed(1_000)), 0).await;
        let new = serve(world(0, 0, Sizes::Fixed(0)), 0).await;
        new.faults().add(Rule::new("storage.upload", action)).unwrap();
        let bench = moving(&old, &new).limit("spool", "2000");
        let report = bench.run().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{}", report.to_text());
        assert_eq!(tree(&old), tree(&new));
        assert_eq!(old.calls().of("storage.download"), 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classic_tenant_passes_through_as_well() {
    let old = serve(world(20, 3, Sizes::Uniform(0, 3_000)), 0).await;
    let new = serve(world(0, 0, Sizes::Fixed(0)), 0).await;
    let mut bench = moving_from(&old, Face::Classic, &new).limit("spool", "5000");
    for pass in ["first", "final"] {
        bench = bench.key("pass", &format!("{pass:?}"));
        let report = bench.run_next_night().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{}", report.to_text());
        assert_eq!(tree(&old), tree(&new));
    }
    assert_eq!(old.calls().of("classic.download"), 20);
}

/// Kills the program again and again while it moves a drive; `DRIVEJOB_TEST_KILLS` says how often at least, and the drive
/// grows with it.
#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_it_loses_nothing_and_sends_nothing_twice() {
    let wanted = number("DRIVEJOB_TEST_KILLS", 0);
    let files = if wanted == 0 { 120 } else { wanted as usize * 40 };
    let old = serve(world(files, files / 10, Sizes::Uniform(0, 3_000)), 1).await;
    let new = serve(world(0, 0, Sizes::Fixed(0)), 3).await;
    let bench = moving(&old, &new)
        .limit("spool", "20000")
        .limit("transfers", "2")
        .limit("uploads", "2");
    bench.job_file();
    let mut kills = 0_u64;
    for round in 0_u64.. {
        let mut run = bench
            .process()
            .args(["run", "job.toml"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ended = tokio::task::spawn_blocking(move || {
            let until = Instant::now()
                + Duration::from_millis(90 + round % 17 * 13 + round.saturating_sub(wanted) * 5);
            while Instant::now() < until {
                if let Some(status) = run.try_wait().unwrap() {
                    return Some(status);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            run.kill().unwrap();
            run.wait().unwrap();
            None
        })
        .await
        .unwrap();
        match ended {
            Some(status) => {
                assert_eq!(status.code(), Some(0));
                break;
            }
            None => kills += 1,
        }
        assert!(kills < 400 + 20 * wanted, "it gets on with each start");
    }
    assert!(kills >= wanted.max(1), "it was killed {kills} times");
    assert_eq!(tree(&old), tree(&new), "after {kills} kills");
    let snapshot = bench.shelf().newest();
    assert!(snapshot.is_complete());
    assert_eq!(files_in(&snapshot.path.join("files")), []);
    // Only what was on its way was fetched again.
    let fetched = old.calls().of("storage.download");
    assert!(
        fetched <= files as u64 + kills * 16,
        "{fetched} after {kills} kills"
    );
}
