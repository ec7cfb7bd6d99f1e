//! Retention: exactly what the rules keep stays, and what stays is whole.

use std::fs;

use drivejob::archive::{Archive, Holder};
use drivejob::report::Status;
use drivejob::sim::Simulator;

use crate::support::{Bench, Face, add, remove, simulator_with, touch, tree_of};

const PATHS: [&str; 4] = ["/a/one.txt", "/a/two.txt", "/three.txt", "/four.txt"];

/// Seven nights from Thursday to Wednesday, each with a change.
async fn seven_nights(simulator: &Simulator, bench: &Bench) {
    for day in 19..=25 {
        touch(simulator, PATHS[day % 4]);
        add(simulator, &format!("/new/{day}.txt"), "new");
        let report = bench.run_at(&format!("2026-11-{day}T02:00:00Z")).await.unwrap();
        assert_eq!(report.status, Status::Complete);
    }
}

fn nights(bench: &Bench) -> Vec<String> {
    bench
        .shelf()
        .snapshots()
        .iter()
        .map(|snapshot| snapshot.id.as_str()[8..10].to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_decide_what_stays_and_it_stays_whole() {
    let simulator = simulator_with(&PATHS).await;
    let bench = Bench::new(&simulator, Face::V2);
    seven_nights(&simulator, &bench).await;
    let before = tree_of(bench.shelf().path());
    let rules = ["--keep-last", "2", "--keep-weekly", "2", "--time-zone", "UTC"];
    let ask = |more: &[&str]| {
        let mut words = vec!["prune", "archive"];
        words.extend(rules);
        words.extend(more);
        bench.ask(&words)
    };

    let dry = ask(&["--json"]);
    assert_eq!(dry.code, Some(0), "{dry:?}");
    let planned = dry.json();
    assert_eq!(planned["applied"], false);
    let going: Vec<&str> = planned["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["keep"] == false)
        .map(|one| &one["id"].as_str().unwrap()[8..10])
        .collect();
    assert_eq!(going, ["19", "20", "21", "23"]);
    assert_eq!(tree_of(bench.shelf().path()), before, "a plan touches nothing");

    let done = ask(&["--yes"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("removed 4 of them"), "{}", done.out);
    assert_eq!(nights(&bench), ["22", "24", "25"]);
    let after = tree_of(bench.shelf().path());
    for (path, bytes) in before {
        let text = path.to_string_lossy();
        if ["2026-11-22", "2026-11-24", "2026-11-25"]
            .iter()
            .any(|night| text.starts_with(night))
        {
            assert_eq!(after.get(&path), Some(&bytes), "{text}");
        }
    }
    bench.shelf().assert_holds(&simulator.world(), 0);
    // The night before the 24th is gone, which breaks no chain.
    let verified = bench.ask(&["verify", "archive"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_archive_is_left_alone_and_its_holder_named() {
    let simulator = simulator_with(&PATHS).await;
    let bench = Bench::new(&simulator, Face::V2);
    bench.run().await.unwrap();
    let archive = Archive::open(bench.shelf().path()).unwrap();
    let lock = archive
        .lock(&Holder {
            pid: 4711,
            host: "nas-7".to_owned(),
            since: "2026-11-23T02:00:00Z".parse().unwrap(),
            job: "nightly".to_owned(),
        })
        .unwrap();
    let status = fs::read(bench.shelf().path().join(".drivejob/status.json")).unwrap();
    bench.job_file();
    for words in [
        &["prune", "archive", "--keep-last", "1", "--yes"][..],
        &["run", "job.toml"],
    ] {
        let answer = bench.ask(words);
        assert_eq!(answer.code, Some(4), "{answer:?}");
        for word in ["4711", "nas-7", "2026-11-23T02:00:00Z", "nightly"] {
            assert!(answer.err.contains(word), "{word}: {}", answer.err);
        }
    }
    // Looking needs no lock, and the status file is the holder's.
    for words in [
        &["prune", "archive", "--keep-last", "1"][..],
        &["verify", "archive"],
        &["snapshots", "archive"],
    ] {
        assert_eq!(bench.ask(words).code, Some(0), "{words:?}");
    }
    assert_eq!(
        fs::read(bench.shelf().path().join(".drivejob/status.json")).unwrap(),
        status
    );
    drop(lock);
    assert_eq!(bench.ask(&["run", "job.toml"]).code, Some(0));
    assert_eq!(
        bench.ask(&["prune", "archive", "--yes"]).code,
        Some(2),
        "no rule at all"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_backup_is_followed_by_its_retention() {
    let simulator = simulator_with(&PATHS).await;
    let table = |apply| format!("[retention]\nkeep-last = 2\napply = {apply}");
    let bench = Bench::new(&simulator, Face::V2).table(&table(true));
    seven_nights(&simulator, &bench).await;
    assert_eq!(nights(&bench), ["24", "25"]);

    let says = Bench::new(&simulator, Face::V2).table(&table(false));
    seven_nights(&simulator, &says).await;
    assert_eq!(nights(&says).len(), 7);
    let report = says.run_at("2026-11-26T02:00:00Z").await.unwrap();
    assert_eq!(report.details["retention"]["applied"], false);
    assert!(
        report.to_text().contains("to remove 6 of 8 snapshots"),
        "{}",
        report.to_text()
    );

    // Most of the drive is gone: that is no reason to remove the nights that have it.
    for path in PATHS {
        remove(&simulator, path);
    }
    for day in 19..=25 {
        remove(&simulator, &format!("/new/{day}.txt"));
    }
    add(&simulator, "/left.txt", "x");
    let report = bench.run_at("2026-11-26T02:00:00Z").await.unwrap();
    assert_eq!(report.status, Status::Complete);
    assert_eq!(nights(&bench), ["24", "25", "26"]);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("nothing of the job 'job' is removed")),
        "{:?}",
        report.warnings
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_job_judges_each_job_by_itself() {
    let simulator = simulator_with(&PATHS).await;
    let bench = Bench::new(&simulator, Face::V2);
    seven_nights(&simulator, &bench).await;
    bench.write(
        "tidy.toml",
        "kind = \"prune\"\narchive = \"archive\"\ntime-zone = \"UTC\"\n[retention]\nkeep-weekly = 1\napply = true\n",
    );
    let answer = bench.ask(&["run", "tidy.toml", "--json"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let json = answer.json();
    assert_eq!(
        (&json["status"], &json["kind"]),
        (&"complete".into(), &"prune".into())
    );
    assert_eq!(
        json["details"]["retention"]["done"]["removed"]
            .as_array()
            .unwrap()
            .len(),
        6
    );
    assert_eq!(nights(&bench), ["25"]);
}
