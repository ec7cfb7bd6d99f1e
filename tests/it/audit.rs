//! An audit lists what is there and downloads nothing; with depth it asks for what the listing points at, and no more.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use drivejob::id::DriveId;
use drivejob::manifest::{Outcome, Row};
use drivejob::monitor::{Counter, DriveState, Monitor, Phase, Transfer, Waiting};
use drivejob::report::{Report, Status};
use drivejob::sim::{
    Action, Change, Flag, GeneratedSpec, Names, Options, Permission, Rule, Simulator, Sizes, World,
};
use drivejob::stop::{Stop, StopReason};
use serde_json::{Value, json};

use crate::support::{Bench, Face, held, link, truth};

/// Every detail that costs calls.
const DEPTH: &str = r#"["permissions", "links", "shares", "revisions", "trash", "quota"]"#;

fn audit(simulator: &Simulator, face: Face) -> Bench {
    Bench::new(simulator, face).key("kind", "\"audit\"")
}

fn hostile(files: usize) -> World {
    World::generated(&GeneratedSpec {
        files,
        folders: 60,
        names: Names::Hostile,
        sizes: Sizes::Uniform(0, 3000),
        ..GeneratedSpec::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn both_generations_list_a_drive_as_it_is_without_a_download() {
    let worlds: [fn() -> World; 2] = [World::demo, || hostile(300)];
    for world in worlds {
        for face in Face::BOTH {
            let simulator = Simulator::start(world(), Options::default()).await.unwrap();
            let bench = audit(&simulator, face);
            let report = bench.run().await.unwrap();
            assert_eq!(report.status, Status::Complete, "{face:?} {report:?}");
            let rows = bench.shelf().rows();
            assert!(rows.iter().all(|row| row.outcome == Outcome::Listed));
            let mut found: Vec<_> = rows.iter().map(held).collect();
            let mut expected = simulator.world().read(|world| truth(world, 0));
            for entry in &mut expected {
                entry.sha256 = None;
            }
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{face:?}");
            assert!(!simulator.calls().operations.contains_key("storage.download"));
        }
    }
}

/// A tenant in which each detail is there: a shared folder with a link, a file that was written twice, a folder with
/// permissions of its own, something in the trash.
fn detailed() -> World {
    let mut world = World::demo();
    let shared = world.drive_word(3).unwrap();
    let me = || "me".to_owned();
    let changes = [
        Change::AddFile {
            drive: me(),
            path: "/twice.txt".into(),
            size: 10,
            seed: 1,
            modified: None,
        },
        Change::AddFile {
            drive: me(),
            path: "/gone.txt".into(),
            size: 7,
            seed: 1,
            modified: None,
        },
        Change::Remove {
            drive: me(),
            path: "/gone.txt".into(),
        },
        Change::AddFolder {
            drive: shared.clone(),
            path: "/closed".into(),
        },
        Change::Flag {
            drive: shared,
            path: "/closed".into(),
            flag: Flag::HasPermission,
            on: true,
        },
        Change::SetField {
            drive: me(),
            path: "/twice.txt".into(),
            name: "hasLink".into(),
            value: json!(true),
        },
    ];
    for change in changes {
        world.apply(&change, 1_800_000_000_000).unwrap();
    }
    world.drive_mut(3).unwrap().permissions.push(Permission {
        permission_id: "9".into(),
        kind: "READ".into(),
        user_id: "u9".into(),
        user_type: "USER".into(),
        user_name: "地民".into(),
    });
    let touch = Change::Touch {
        drive: me(),
        path: "/twice.txt".into(),
        size: Some(11),
        seed: Some(2),
        modified: None,
    };
    world.apply(&touch, 1_800_000_100_000).unwrap();
    world
}

/// How often each detail was asked for since the counts began.
fn detail_calls(simulator: &Simulator) -> BTreeMap<String, u64> {
    let is_detail = |name: &str| {
        [
            "link",
            "share",
            "revisions",
            "trash",
            "permissions",
            "drive-permissions",
        ]
        .iter()
        .any(|detail| name.split('.').nth(1) == Some(detail))
    };
    let calls = simulator.calls().operations.into_iter();
    calls
        .filter(|(name, _)| is_detail(name))
        .map(|(name, calls)| (name, calls.total))
        .collect()
}

fn row<'a>(rows: &'a [Row], path: &str) -> &'a Row {
    rows.iter().find(|row| row.path.as_str() == path).unwrap()
}

fn told<'a>(rows: &'a [Row], path: &str, key: &str) -> &'a Value {
    row(rows, path)
        .entry
        .properties
        .other
        .get(key)
        .unwrap_or(&Value::Null)
}

fn deep(simulator: &Simulator) -> Bench {
    audit(simulator, Face::V2)
        .key("drives", r#"["me", "sharedrives/*"]"#)
        .key("depth", DEPTH)
        .limit("listings", "1")
}

/// The calls of [`detailed`]: each is one folder, file or drive that the listing points at.
fn expected_calls() -> BTreeMap<String, u64> {
    [
        ("drive.link", 2),
        ("drive.share", 1),
        ("drive.revisions", 1),
        ("drive.trash", 1),
        ("sharedrive.drive-permissions", 1),
        ("sharedrive.permissions", 1),
        ("sharedrive.trash", 1),
    ]
    .map(|(name, count)| (name.to_owned(), count))
    .into()
}

fn assert_told(bench: &Bench, report: &Report) {
    assert_eq!(report.status, Status::Complete, "{report:?}");
    let rows = bench.shelf().rows();
    assert_eq!(told(&rows, "/共有資料", "link")["accessType"], "ANYONE");
    assert_eq!(
        told(&rows, "/共有資料", "share")["members"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // The listing hinted at a link, and there is none.
    assert_eq!(told(&rows, "/twice.txt", "link"), &Value::Null);
    assert!(
        !told(&rows, "/twice.txt", "revisions")
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(
        rows.iter().all(|row| row.reason.is_empty()),
        "no reason where all is well"
    );
    let trash = fs::read_to_string(bench.shelf().newest().path.join("trash.csv")).unwrap();
    assert_eq!(trash.lines().count(), 2, "{trash}");
    assert!(trash.contains(",gone.txt,/,7,"), "{trash}");
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_asks_once_for_each_thing_that_the_listing_points_at() {
    for kind in ["audit", "backup"] {
        let simulator = Simulator::start(detailed(), Options::default()).await.unwrap();
        link(&simulator, "/共有資料").await;
        simulator.reset_calls();
        let bench = deep(&simulator).key("kind", &format!("{kind:?}"));
        let report = bench.run().await.unwrap();
        assert_eq!(detail_calls(&simulator), expected_calls(), "{kind}");
        assert_told(&bench, &report);
        let tail = bench.shelf().newest().tail.unwrap();
        let drives = tail.extra["drive_permissions"].as_object().unwrap();
        let granted = drives.values().next().unwrap();
        assert_eq!(granted[0]["userName"], "地民", "{drives:?}");
    }
    // The classic generation tells shares in its listings and has no such calls.
    let simulator = Simulator::start(detailed(), Options::default()).await.unwrap();
    let bench = audit(&simulator, Face::Classic).key("depth", DEPTH);
    let report = bench.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{report:?}");
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("offers no trash")),
        "{:?}",
        report.warnings
    );
}

/// What `drivejob plan --json` says.
fn planned(bench: &Bench) -> Value {
    let job = bench.job_file();
    let output = bench
        .program()
        .args(["plan", "--json"])
        .arg(job)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_prices_each_detail_as_the_run_then_costs() {
    let simulator = Simulator::start(detailed(), Options::default()).await.unwrap();
    link(&simulator, "/共有資料").await;
    let bench = deep(&simulator).key("drives", r#"["me", "sharedrives/*", "groups/*"]"#);
    for basis in ["sample", "snapshot"] {
        let plan = planned(&bench);
        assert!(plan["basis"].get(basis).is_some(), "{plan}");
        let depth = plan["depth"].as_object().unwrap();
        let words: Vec<&str> = depth.keys().map(String::as_str).collect();
        assert_eq!(
            words,
            ["permissions", "links", "shares", "revisions", "trash", "quota"]
        );
        simulator.reset_calls();
        bench.run_next_night().await.unwrap();
        let mut priced = BTreeMap::new();
        for (name, calls) in depth
            .values()
            .flat_map(|price| price["calls"].as_object().unwrap())
        {
            priced.insert(name.clone(), calls.as_u64().unwrap());
        }
        assert_eq!(priced, detail_calls(&simulator), "{basis}");
        for (name, calls) in &priced {
            assert_eq!(
                plan["full"]["calls"][name].as_u64(),
                Some(*calls),
                "{basis} {name}"
            );
        }
    }
    // The classic API has none of these calls, and a plan says so.
    let bench = audit(&simulator, Face::Classic).key("depth", DEPTH);
    let job = bench.job_file();
    let output = bench.program().arg("plan").arg(job).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("links: the classic API has no such call"), "{text}");
    assert!(text.contains("quota: told with the drives"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detail_that_cannot_be_read_is_told_and_loses_no_row() {
    let simulator = Simulator::start(detailed(), Options::default()).await.unwrap();
    let denied = Action::Status {
        code: 403,
        headers: BTreeMap::new(),
        body: None,
    };
    simulator.faults().add(Rule::new("drive.share", denied)).unwrap();
    let bench = deep(&simulator);
    let report = bench.run().await.unwrap();
    assert_eq!(report.status, Status::Partial);
    let rows = bench.shelf().rows();
    let shared = row(&rows, "/共有資料");
    assert_eq!(
        (shared.outcome, shared.reason.as_str()),
        (Outcome::Listed, "share-denied")
    );
    let gaps: Vec<String> = report.roots.iter().flat_map(|root| root.gaps()).collect();
    assert_eq!(gaps, ["1 details could not be read"]);
    assert_eq!(rows.len() as u64, report.totals.rows);
    // The next night reads it.
    let report = bench.run_next_night().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{report:?}");
}

/// Asks for a stop at the first call of an operation.
#[derive(Debug)]
struct StopAt(&'static str, Stop);

impl Monitor for StopAt {
    fn count(&self, _: Counter, _: u64) {}
    fn call(&self, operation: &'static str, _: Option<u16>) {
        if operation == self.0 {
            self.1.drain(StopReason::Interrupted);
        }
    }
    fn transfer(&self, _: usize, _: Transfer<'_>) {}
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_audit_goes_on_and_asks_for_nothing_twice() {
    for operation in [
        "drive.list",
        "drive.link",
        "drive.share",
        "drive.trash",
        "sharedrive.permissions",
    ] {
        let simulator = Simulator::start(detailed(), Options::default()).await.unwrap();
        link(&simulator, "/共有資料").await;
        simulator.reset_calls();
        let bench = deep(&simulator);
        let stop = Stop::new();
        let monitor = Arc::new(StopAt(operation, stop.clone()));
        let report = bench.run_with(monitor, stop).await.unwrap();
        let before: u64 = detail_calls(&simulator).values().sum();
        let all: u64 = expected_calls().values().sum();
        let report = if before < all {
            assert_eq!(report.status, Status::Interrupted, "{operation}");
            bench.run().await.unwrap()
        } else {
            // The other lane was done before: there was nothing left to stop.
            assert!(["drive.trash", "sharedrive.permissions"].contains(&operation));
            report
        };
        assert_eq!(detail_calls(&simulator), expected_calls(), "{operation}");
        assert_told(&bench, &report);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_could_not_be_read_one_night_is_no_new_link_the_next() {
    let simulator = Simulator::start(detailed(), Options::default()).await.unwrap();
    link(&simulator, "/共有資料").await;
    let bench = deep(&simulator).table("[alarms]\nnew-public-links = true");
    bench.run().await.unwrap();
    let denied = Action::Status {
        code: 403,
        headers: BTreeMap::new(),
        body: None,
    };
    let rule = Rule::new("drive.link", denied).about("共有資料");
    simulator.faults().add(rule).unwrap();
    for (status, reason) in [(Status::Partial, "link-denied"), (Status::Complete, "")] {
        let report = bench.run_next_night().await.unwrap();
        assert_eq!(report.status, status, "{report:?}");
        assert_eq!(row(&bench.shelf().rows(), "/共有資料").reason, reason);
        assert_eq!(report.details["changes"]["changes"]["access"]["folders"], 0);
        assert_eq!(report.details["changes"]["new_public_links"], 0);
        assert!(report.alarms.raised.is_empty());
    }
    // One that is made now is one.
    link(&simulator, "/twice.txt").await;
    let report = bench.run_next_night().await.unwrap();
    assert_eq!(report.details["changes"]["changes"]["access"]["files"], 1);
    assert_eq!(report.alarms.raised[0].0, "new-public-links");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_lists_again_tells_what_the_newer_listing_said() {
    let simulator = Simulator::start(detailed(), Options::default()).await.unwrap();
    let bench = deep(&simulator).key("relist-after", "\"1h\"");
    let stop = Stop::new();
    let monitor = Arc::new(StopAt("drive.share", stop.clone()));
    let report = bench.run_with(monitor, stop).await.unwrap();
    assert_eq!(report.status, Status::Interrupted);
    let touch = Change::Touch {
        drive: "me".into(),
        path: "/twice.txt".into(),
        size: Some(4321),
        seed: None,
        modified: None,
    };
    simulator.change(&touch).unwrap();
    // A day later, which is longer than listings are good for.
    let report = bench.run_next_night().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{report:?}");
    assert!(report.resumed);
    assert_eq!(row(&bench.shelf().rows(), "/twice.txt").entry.size, Some(4321));
}

/// The cells of a CSV file, read by Python.
fn python_cells(path: &std::path::Path) -> Vec<Vec<String>> {
    let script = "import csv,json,sys\n\
        csv.field_size_limit(10**9)\n\
        json.dump(list(csv.reader(open(sys.argv[1],encoding='utf-8-sig',newline=''))),sys.stdout)";
    let output = Command::new("python3").arg("-c").arg(script).arg(path).output();
    let output = output.expect("python3 is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_csv_reader_sees_the_same_cells_of_hostile_names() {
    let simulator = Simulator::start(hostile(500), Options::default()).await.unwrap();
    for name in [
        "=1+1.txt",
        "+82-2.txt",
        "@cmd.txt",
        "-x.txt",
        "a\"b,c.txt",
        "＝全角.txt",
    ] {
        let change = Change::AddFile {
            drive: "me".into(),
            path: format!("/{name}"),
            size: 1,
            seed: 1,
            modified: None,
        };
        simulator.change(&change).unwrap();
    }
    for bom in ["false", "true"] {
        let bench = audit(&simulator, Face::V2)
            .key("bom", bom)
            .key("json-lines", "true");
        bench.run().await.unwrap();
        let rows = bench.shelf().rows();
        let folder = bench.shelf().newest().path;
        let starts_with_bom = |name: &str| {
            fs::read(folder.join(name))
                .unwrap()
                .starts_with("\u{feff}".as_bytes())
        };
        assert_eq!(starts_with_bom("manifest.csv"), bom == "true");
        assert_eq!(starts_with_bom("export.csv"), bom == "true");
        let cells = python_cells(&folder.join("manifest.csv"));
        let exported = python_cells(&folder.join("export.csv"));
        assert_eq!(cells.len(), rows.len() + 1);
        let column = |name: &str| cells[0].iter().position(|cell| cell == name).unwrap();
        let (path, id) = (column("path"), column("id"));
        let lines = fs::read_to_string(folder.join("manifest.jsonl")).unwrap();
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for (((row, found), exported), line) in rows.iter().zip(&cells[1..]).zip(&exported[1..]).zip(&lines) {
            assert_eq!(found[path], row.path.as_str());
            assert_eq!(found[id], row.entry.id.as_str());
            assert_eq!(line["path"], row.path.as_str());
            for (cell, exported) in found.iter().zip(exported) {
                let is_formula =
                    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
                let expected = if is_formula {
                    format!("'{cell}")
                } else {
                    cell.clone()
                };
                assert_eq!(exported, &expected);
            }
        }
    }
}
