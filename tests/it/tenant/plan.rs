//! A plan foretells the calls that a run then makes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use assert_cmd::Command;
use drivejob::estimate::{Basis, Forecast};
use drivejob::monitor::Silent;
use drivejob::report::Status;
use drivejob::runner::{self, Sampling};
use drivejob::sim::{GeneratedSpec, Options, Sizes, TenantSpec, World};

use super::{Town, small_drives};

const DRIVES: &str = "[\"users/*\", \"sharedrives/*\", \"groups/*\"]";
const QUICK: &str = "[limits]\nrequests-per-minute = \"unlimited\"\n";

const ALL: Sampling = Sampling {
    pages: 1_000,
    drives: 1_000,
};

async fn plan(town: &Town, job: &Path, sampling: Sampling) -> Forecast {
    let loaded = runner::load(job).unwrap();
    runner::plan(loaded, &town.host(), Arc::new(Silent), sampling)
        .await
        .unwrap()
}

/// The calls that the server counted, those for tokens left out.
fn counted(town: &Town) -> BTreeMap<String, u64> {
    let calls = town.simulator.calls();
    calls
        .operations
        .into_iter()
        .filter(|(name, _)| !name.starts_with("oauth."))
        .map(|(name, calls)| (name, calls.total))
        .collect()
}

/// Drives with folders of more than one page.
fn wide_drives() -> World {
    World::tenant(&TenantSpec {
        members: 3,
        shared_drives: 2,
        groups: 2,
        tree: GeneratedSpec {
            files: 1_100,
            folders: 3,
            sizes: Sizes::Fixed(9),
            ..GeneratedSpec::default()
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_from_all_listings_or_from_a_snapshot_is_what_a_run_costs() {
    let town = Town::new(wide_drives(), Options::default()).await;
    let job = town.job("all", "backup", "delegated.toml", DRIVES, QUICK);
    let before = plan(&town, &job, ALL).await;
    assert!(
        matches!(
            before.basis,
            Basis::Sample {
                whole: true,
                drives: 6,
                looked: 6,
                ..
            }
        ),
        "{:?}",
        before.basis
    );
    assert!(!town.path("all").exists(), "a plan makes no archive");
    // The plan itself cost the listings, but did not ask each member's drive what it holds.
    let mut listings = before.unchanged.calls.clone();
    assert_eq!(listings.remove("drive.get"), Some(3));
    assert_eq!(counted(&town), listings);

    town.simulator.reset_calls();
    let first = town.run(&job).await;
    assert_eq!(first.status, Status::Complete);
    assert_eq!(counted(&town), before.full.calls);
    assert_eq!(before.full.bytes, town.truth(|_| true).1);

    town.simulator.reset_calls();
    let after = plan(&town, &job, ALL).await;
    assert_eq!(
        town.simulator.calls().total(),
        0,
        "a plan from a snapshot asks nobody"
    );
    assert_eq!(
        after.basis,
        Basis::Snapshot {
            id: first.snapshot.unwrap(),
            complete: true
        }
    );
    assert_eq!(after.full, before.full);

    town.simulator.clock().advance_seconds(3_600);
    let second = town.run(&job).await;
    assert_eq!(second.status, Status::Complete);
    assert_eq!(counted(&town), after.unchanged.calls);
    let opens: Vec<(&str, &str, &str)> = after
        .opens
        .iter()
        .map(|opens| (opens.scope.as_str(), opens.calls.as_str(), opens.by.as_str()))
        .collect();
    assert_eq!(
        opens,
        [
            ("users/*", "members", "service account"),
            ("users/*", "drive", "delegated token"),
            ("sharedrives/*", "drive", "delegated token"),
            ("groups/*", "groups", "service account"),
            ("groups/*", "drive", "delegated token"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_sample_keeps_to_its_bounds_and_says_what_it_is() {
    let town = Town::new(small_drives(40, 0, 0), Options::default()).await;
    let job = town.job("part", "audit", "delegated.toml", "[\"users/*\"]", QUICK);
    let forecast = plan(&town, &job, Sampling { pages: 2, drives: 10 }).await;
    // Two of the three pages of each fourth drive.
    assert_eq!(town.calls("drive.list-root") + town.calls("drive.list"), 20);
    assert_eq!(
        forecast.basis,
        Basis::Sample {
            pages: 20,
            looked: 10,
            drives: 40,
            whole: false
        }
    );
    assert_eq!(forecast.full.calls["drive.list-root"], 40);
    assert!(
        (40..=120).contains(&forecast.full.calls["drive.list"]),
        "{:?}",
        forecast.full.calls
    );
    assert_eq!(
        forecast.full.calls.get("drive.download"),
        None,
        "an audit downloads nothing"
    );
    assert!(
        forecast
            .to_text()
            .contains("a sample of 20 pages in 10 of 40 drives")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_prints_a_plan_and_refuses_what_it_cannot_plan() {
    let town = Town::new(World::demo(), Options::default()).await;
    let more = "window = \"01:00-05:30\"\n";
    let job = town.job("night", "backup", "refresh.toml", "[\"me\"]", more);
    let verify = town.write("check.toml", "kind = \"verify\"\narchive = \"night\"\n");
    let program = |arguments: &[&str], file: &Path| {
        let output = Command::cargo_bin("drivejob")
            .unwrap()
            .arg("plan")
            .arg(file)
            .args(arguments)
            .env("DRIVEJOB_STATE_DIR", town.path("state"))
            .env("SECRET", &town.simulator.options().client_secret)
            .env("REFRESH", &town.simulator.options().refresh_token)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = tokio::task::block_in_place(|| program(&[], &job));
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("plan of the backup job 'night'\n"), "{out}");
    assert!(out.contains("1 night in the window 01:00-05:30"), "{out}");
    assert!(out.contains("me drive: member token"), "{out}");
    let (code, out, err) = tokio::task::block_in_place(|| program(&["--json", "--sample", "1"], &job));
    assert_eq!(code, Some(0), "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["basis"]["sample"]["pages"], 1);
    assert_eq!(json["window"]["hours"], 4.5);
    assert_eq!(json["requests_per_minute"], 240);
    let (code, _, err) = tokio::task::block_in_place(|| program(&[], &verify));
    assert_eq!(code, Some(2));
    assert!(err.contains("there is no plan for a verify job"), "{err}");
}
