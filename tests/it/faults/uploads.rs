//! The same for what is sent: wherever a restore meets a fault, nothing arrives twice, nothing wrong arrives, and less than
//! all is not called complete.

use std::collections::{BTreeMap, BTreeSet};

use drivejob::report::Status;
use drivejob::runner;
use drivejob::sim::{Action, Options, Rule, Simulator, World};
use futures::StreamExt;

use super::{Case, Fault, MAY, always, fields, general, once};
use crate::support::{Bench, Face, truth};

fn world() -> World {
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let root = world.root(0).unwrap();
    let folder = world.add_folder(root, "a", MAY);
    world.add_folder(folder, "inner", MAY);
    world.add_file(folder, "small.txt", 1_000, 1, MAY);
    world.add_file(folder, "big.bin", 400_000, 2, MAY);
    world.add_file(root, "zero.txt", 0, 3, MAY);
    world.add_file(root, "top.txt", 700, 4, MAY);
    world
}

fn nobody() -> World {
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    world
}

type Tree = BTreeMap<String, (&'static str, Option<String>)>;

/// What a drive holds by path; a path that is there twice fails.
fn tree(simulator: &Simulator, name: &str) -> Tree {
    let held = simulator.world().read(|world| truth(world, 0));
    let mut tree = Tree::new();
    for held in held {
        let twice = tree.insert(held.path.clone(), (held.kind, held.sha256));
        assert_eq!(twice, None, "{name}: {} is there twice", held.path);
    }
    tree
}

fn job(archive: &Bench, target: &Simulator, face: Face) -> Bench {
    let folder = archive.shelf().path().display().to_string();
    Bench::new(target, face)
        .key("kind", "\"restore\"")
        .key("archive", &format!("{folder:?}"))
        .key("target", "\"tenant.toml\"")
        .key("to", "\"original\"")
        // One after the other, so that the first upload is that of the largest file.
        .limit("uploads", "1")
}

/// Faults that only bytes on their way out can have.
fn outgoing() -> Vec<Fault> {
    vec![
        once("reset after 100000", Action::ResetAfterBytes { bytes: 100_000 }),
        always(
            "reset after 100000 always",
            Action::ResetAfterBytes { bytes: 100_000 },
        ),
        once("stall after 100000", Action::StallAfterBytes { bytes: 100_000 }),
        once("expired address", Action::ExpiredUrl { code: 403 }),
        always("expired address always", Action::ExpiredUrl { code: 403 }),
    ]
}

fn cases() -> Vec<Case> {
    let ticket = || fields(&["uploadUrl"], &["offset"]);
    let table = [
        ("drive.create-folder-root", "", Vec::new()),
        ("drive.create-folder", "", Vec::new()),
        ("drive.upload-url-root", "", ticket()),
        ("drive.upload-url", "", ticket()),
        ("storage.upload", "", outgoing()),
        ("classic.create-folder", "", Vec::new()),
        ("classic.upload", "", outgoing()),
    ];
    table
        .into_iter()
        .flat_map(|(operation, subject, more)| {
            general().into_iter().chain(more).map(move |fault| Case {
                operation,
                subject,
                fault,
            })
        })
        .collect()
}

fn face_of(operation: &str) -> Face {
    if operation.starts_with("classic.") {
        Face::Classic
    } else {
        Face::V2
    }
}

async fn outcome(case: Case, archive: &Bench, expected: &Tree) -> String {
    let Case {
        operation,
        subject,
        fault,
    } = case;
    let name = format!("{operation}: {}", fault.label);
    let target = Simulator::start(nobody(), Options::default()).await.unwrap();
    let timeout = fault.timeout();
    let mut rule = Rule::new(operation, fault.action).repeated(fault.times);
    if !subject.is_empty() {
        rule = rule.about(subject);
    }
    target.faults().add(rule).unwrap();
    let attempts = if fault.label == "429 always" { "1" } else { "3" };
    // Each case has an archive of its own, since a restore writes its results and its state there.
    let own = Bench::empty();
    crate::support::lab::copy_folder(archive.shelf().path(), own.folder());
    let job = job(&own, &target, face_of(operation))
        .limit("timeout", timeout)
        .limit("attempts", attempts);
    let run = job.run().await;
    assert_eq!(target.faults().unreached(), [], "{name}");
    let there = tree(&target, &name);
    for (path, item) in &there {
        assert_eq!(expected.get(path), Some(item), "{name}: {path}");
    }
    let missing: BTreeSet<&str> = expected
        .keys()
        .filter(|path| !there.contains_key(*path))
        .map(String::as_str)
        .collect();
    let end = match &run {
        Ok(report) if report.status == Status::Complete => {
            assert!(missing.is_empty(), "{name}: complete without {missing:?}");
            "complete".to_owned()
        }
        Ok(report) => {
            let reasons: BTreeSet<&str> = report
                .failures
                .iter()
                .map(|(_, reason)| reason.as_str())
                .collect();
            let reasons: Vec<&str> = reasons.into_iter().collect();
            assert!(!reasons.is_empty(), "{name}");
            format!(
                "{} without {}: {}",
                report.status.as_str(),
                missing.len(),
                reasons.join(" ")
            )
        }
        Err(runner::Error::Drive(error)) => format!("error {}", error.kind.code()),
        Err(error) => format!("error {error}"),
    };
    if end != "complete" {
        // Once the fault is over, the next run brings the rest, and no second copy.
        target.faults().clear();
        let report = job.run().await.unwrap();
        assert_eq!(
            report.status,
            Status::Complete,
            "{name}, the run after: {}",
            report.to_text()
        );
        assert_eq!(&tree(&target, &name), expected, "{name}");
    }
    format!("{name}: {end}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_restore_ends_as_the_table_says() {
    let source = Simulator::start(world(), Options::default()).await.unwrap();
    let archive = Bench::new(&source, Face::V2);
    assert_eq!(archive.run().await.unwrap().status, Status::Complete);
    let expected = tree(&source, "source");
    let runs = cases().into_iter().enumerate().map(|(number, case)| {
        let (archive, expected) = (&archive, &expected);
        async move { (number, outcome(case, archive, expected).await) }
    });
    let mut found: Vec<(usize, String)> = futures::stream::iter(runs).buffer_unordered(12).collect().await;
    found.sort();
    let found: Vec<String> = found.into_iter().map(|(_, line)| line).collect();
    super::assert_table(&found, include_str!("uploads.txt"));
}
