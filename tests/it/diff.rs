//! The comparison of two nights says what really changed, and raises the job's alarms.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use drivejob::archive::Status as TailStatus;
use drivejob::report::Status;
use drivejob::sim::{Change, Flag, GeneratedSpec, Options, Simulator, Sizes, World};
use serde_json::{Value, json};

use crate::support::{Bench, Face, Held, add, link, modified, remove, touch, truth};

fn world() -> World {
    World::generated(&GeneratedSpec {
        files: 400,
        folders: 60,
        sizes: Sizes::Uniform(0, 3000),
        ..GeneratedSpec::default()
    })
}

/// Which words are true of which id, worked out in the simplest way.
fn expected(before: &[Held], after: &[Held]) -> BTreeMap<String, BTreeSet<&'static str>> {
    let by_id = |held: &[Held]| -> BTreeMap<String, Held> {
        held.iter().map(|held| (held.id.clone(), held.clone())).collect()
    };
    let ids_by_path = |held: &[Held]| -> BTreeMap<String, String> {
        held.iter()
            .map(|held| (held.path.clone(), held.id.clone()))
            .collect()
    };
    let (old, new) = (by_id(before), by_id(after));
    let (old_ids, new_ids) = (ids_by_path(before), ids_by_path(after));
    let split = |path: &str| {
        let (folder, name) = path.rsplit_once('/').unwrap();
        (folder.to_owned(), name.to_owned())
    };
    let mut words: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for id in old.keys().chain(new.keys()) {
        let mut found = BTreeSet::new();
        match (old.get(id), new.get(id)) {
            (Some(_), None) => drop(found.insert("removed")),
            (None, _) => drop(found.insert("added")),
            (Some(old), Some(new)) => {
                let ((old_folder, old_name), (new_folder, new_name)) = (split(&old.path), split(&new.path));
                if old_name != new_name {
                    found.insert("renamed");
                }
                if old_ids.get(&old_folder) != new_ids.get(&new_folder) {
                    found.insert("moved");
                }
                if old.kind == "file" && (old.size, old.modified) != (new.size, new.modified) {
                    found.insert("changed");
                }
            }
        }
        if !found.is_empty() {
            words.insert(id.clone(), found);
        }
    }
    words
}

fn lines(output: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(output).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_what_the_simulator_changed() {
    for (kind, face) in [
        ("audit", Face::V2),
        ("audit", Face::Classic),
        ("backup", Face::V2),
    ] {
        let simulator = Simulator::start(world(), Options::default()).await.unwrap();
        let bench = Bench::new(&simulator, face).key("kind", &format!("{kind:?}"));
        bench.run().await.unwrap();
        assert!(!bench.shelf().newest().path.join("diff.csv").exists());
        let before = simulator.world().read(|world| truth(world, 0));
        let changes = simulator
            .world()
            .write(|world| world.random_changes(77, 150, 1_800_000_000_000));
        let after = simulator.world().read(|world| truth(world, 0));
        let report = bench.run_next_night().await.unwrap();
        assert_eq!(report.status, Status::Complete);

        let output = bench
            .program()
            .args(["diff", "archive", "--json"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        let mut found = lines(&output.stdout);
        let summary = found.pop().unwrap();
        let told: BTreeMap<String, BTreeSet<&str>> = found
            .iter()
            .map(|change| {
                let words = change["changes"].as_array().unwrap().iter();
                let words = words.map(|word| word.as_str().unwrap()).collect();
                (change["id"].as_str().unwrap().to_owned(), words)
            })
            .collect();
        let expected = expected(&before, &after);
        // Who changed a file last is a fact of its own, which the two generations tell differently.
        let told: BTreeMap<String, BTreeSet<&str>> = told
            .into_iter()
            .map(|(id, words)| (id, words.into_iter().filter(|word| *word != "owner").collect()))
            .filter(|(_, words): &(String, BTreeSet<&str>)| !words.is_empty())
            .collect();
        let expected_words: BTreeMap<String, BTreeSet<&str>> = expected.clone();
        assert_eq!(told, expected_words, "{kind} {face:?}");
        assert_simulators_list(&changes, &expected, &after);

        // The night's own file, the printed CSV and the tail say the same.
        let newest = bench.shelf().newest();
        let csv = bench
            .program()
            .args(["diff", "archive", "--csv"])
            .output()
            .unwrap();
        assert_eq!(csv.stdout, fs::read(newest.path.join("diff.csv")).unwrap());
        let told = &newest.tail.unwrap().extra["changes"];
        assert_eq!(told["changes"], summary["summary"]["changes"]);
        assert_eq!(told["since"], summary["before"]);
    }
}

/// Each change that the simulator says it made is among those found, and nothing was added that it did not add.
fn assert_simulators_list(
    changes: &[Change],
    expected: &BTreeMap<String, BTreeSet<&'static str>>,
    after: &[Held],
) {
    let mut added = 0;
    let mut removed = BTreeSet::new();
    let has = |path: &str, word: &str| {
        let id = path.strip_prefix("id:").unwrap();
        let words = expected.get(id);
        // What came and went, or went and came, in one day leaves no trace.
        words
            .is_some_and(|words| words.contains(word) || words.contains("added") || words.contains("removed"))
    };
    for change in changes {
        match change {
            Change::AddFile { .. } | Change::AddFolder { .. } => added += 1,
            Change::Remove { path, .. } => {
                let id = path.strip_prefix("id:").unwrap();
                assert!(after.iter().all(|held| held.id != id));
                removed.insert(id.to_owned());
            }
            Change::Touch { path, .. } if !removed.contains(path.trim_start_matches("id:")) => {
                let later = changes
                    .iter()
                    .any(|change| matches!(change, Change::Remove { path: gone, .. } if gone == path));
                assert!(later || has(path, "changed"), "{path}");
            }
            Change::Rename { path, .. } => {
                let later = changes
                    .iter()
                    .any(|change| matches!(change, Change::Remove { path: gone, .. } if gone == path));
                assert!(later || has(path, "renamed"), "{path}");
            }
            _ => {}
        }
    }
    let found = |word: &str| expected.values().filter(|words| words.contains(word)).count();
    let gone = removed.iter().filter(|id| !expected.contains_key(*id)).count();
    assert_eq!(found("added") + gone, added);
    assert_eq!(found("removed") + gone, removed.len());
}

/// What `drivejob diff` tells, by path.
fn told(bench: &Bench) -> BTreeMap<String, Vec<String>> {
    let output = bench
        .program()
        .args(["diff", "archive", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut found = lines(&output.stdout);
    found.pop();
    let words = |change: &Value| serde_json::from_value(change["changes"].clone()).unwrap();
    found
        .iter()
        .map(|change| (change["path"].as_str().unwrap().to_owned(), words(change)))
        .collect()
}

fn expect(words: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let words = words.iter().map(|(path, words)| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        ((*path).to_owned(), words)
    });
    words.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_change_is_told_of_what_it_happened_to() {
    let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
    let (shared_drive, colleague) = simulator.world().read(|world| {
        let drives = (0..).map_while(|drive| world.drive_word(drive));
        let colleague = drives
            .clone()
            .filter_map(|word| Some(word.strip_prefix("users/")?.to_owned()))
            .nth(1);
        let shared = drives.into_iter().find(|word| word.starts_with("sharedrives/"));
        (shared.unwrap(), colleague.unwrap())
    });
    for name in ["touched", "renamed", "moved", "gone", "same", "both"] {
        add(&simulator, &format!("/k/{name}.txt"), "as it was");
    }
    let me = || "me".to_owned();
    let share = |path: &str| Change::Share {
        drive: me(),
        path: path.to_owned(),
        with: vec![colleague.clone()],
    };
    for path in ["/k/linked", "/k/shared", "/k/unshared", "/l"] {
        let change = Change::AddFolder {
            drive: me(),
            path: path.to_owned(),
        };
        simulator.change(&change).unwrap();
    }
    let change = Change::AddFolder {
        drive: shared_drive.clone(),
        path: "/closed".to_owned(),
    };
    simulator.change(&change).unwrap();
    simulator.change(&share("/k/unshared")).unwrap();
    let bench = Bench::new(&simulator, Face::V2)
        .key("drives", r#"["me", "sharedrives/*"]"#)
        .key("depth", r#"["permissions", "links", "shares"]"#)
        .table("[alarms]\nnew-public-links = true");
    bench.run().await.unwrap();

    add(&simulator, "/k/new.txt", "new");
    remove(&simulator, "/k/gone.txt");
    touch(&simulator, "/k/touched.txt");
    touch(&simulator, "/k/both.txt");
    for (path, name) in [
        ("/k/renamed.txt", "renamed too.txt"),
        ("/k/both.txt", "both too.txt"),
    ] {
        let change = Change::Rename {
            drive: me(),
            path: path.to_owned(),
            name: name.to_owned(),
        };
        simulator.change(&change).unwrap();
    }
    for path in ["/k/moved.txt", "/k/both too.txt"] {
        let change = Change::Move {
            drive: me(),
            path: path.to_owned(),
            to: "/l".to_owned(),
        };
        simulator.change(&change).unwrap();
    }
    // Other bytes of the same size and time are seen when a file is fetched, as here where the copy is lost.
    let change = Change::Touch {
        drive: me(),
        path: "/k/same.txt".to_owned(),
        size: None,
        seed: None,
        modified: Some(modified(&simulator, "/k/same.txt")),
    };
    simulator.change(&change).unwrap();
    let same = bench
        .shelf()
        .rows()
        .into_iter()
        .find(|row| row.path.as_str() == "/k/same.txt");
    let copy = same.unwrap().stored_at.unwrap();
    fs::remove_file(bench.shelf().newest().path.parent().unwrap().join(copy)).unwrap();
    link(&simulator, "/k/linked").await;
    simulator.change(&share("/k/linked")).unwrap();
    simulator.change(&share("/k/shared")).unwrap();
    let change = Change::Unshare {
        drive: me(),
        path: "/k/unshared".to_owned(),
    };
    simulator.change(&change).unwrap();
    let change = Change::Flag {
        drive: shared_drive,
        path: "/closed".to_owned(),
        flag: Flag::HasPermission,
        on: true,
    };
    simulator.change(&change).unwrap();

    let report = bench.run_next_night().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{report:?}");
    let expected = expect(&[
        ("/closed", &["access"]),
        ("/k/gone.txt", &["removed"]),
        ("/k/linked", &["access"]),
        ("/k/new.txt", &["added"]),
        ("/k/renamed too.txt", &["renamed"]),
        ("/k/same.txt", &["content"]),
        ("/k/shared", &["access"]),
        ("/k/touched.txt", &["changed"]),
        ("/k/unshared", &["access"]),
        ("/l/both too.txt", &["renamed", "moved", "changed"]),
        ("/l/moved.txt", &["moved"]),
    ]);
    assert_eq!(told(&bench), expected);
    assert_eq!(report.alarms.raised[0].0, "new-public-links");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_member_who_changed_it_last_is_told() {
    let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
    add(&simulator, "/kept.txt", "text");
    let bench = Bench::new(&simulator, Face::Classic).key("kind", "\"audit\"");
    bench.run().await.unwrap();
    let change = Change::SetField {
        drive: "me".to_owned(),
        path: "/kept.txt".to_owned(),
        name: "updateUser".to_owned(),
        value: json!("99999999"),
    };
    simulator.change(&change).unwrap();
    bench.run_next_night().await.unwrap();
    assert_eq!(told(&bench), expect(&[("/kept.txt", &["owner"])]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_could_not_be_read_makes_unknown_and_not_removed() {
    use drivejob::sim::{Action, Rule};
    let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
    let bench = Bench::new(&simulator, Face::V2).key("kind", "\"audit\"");
    bench.run().await.unwrap();
    let refused = Action::Status {
        code: 403,
        headers: BTreeMap::new(),
        body: None,
    };
    simulator
        .faults()
        .add(Rule::new("drive.list", refused).about("写真"))
        .unwrap();
    let report = bench.run_next_night().await.unwrap();
    assert_eq!(report.status, Status::Partial);
    let told = &report.details["changes"]["changes"];
    assert_eq!(told["removed"]["files"], 0);
    assert_eq!(told["unknown"]["files"], 3, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_in_the_summary_the_tail_and_the_exit_code_where_asked() {
    for (fail, code) in [("true", 3), ("false", 0)] {
        let simulator = Simulator::start(world(), Options::default()).await.unwrap();
        let bench = Bench::new(&simulator, Face::V2)
            .key("kind", "\"audit\"")
            .table(&format!(
                "[alarms]\ndeleted = \"20%\"\nsize-drop = \"99%\"\nfail = {fail}"
            ));
        bench.run().await.unwrap();
        let files = simulator.world().read(|world| truth(world, 0));
        let doomed = files.iter().filter(|held| held.kind == "file").take(100);
        for held in doomed {
            let change = Change::Remove {
                drive: "me".into(),
                path: format!("id:{}", held.id),
            };
            simulator.change(&change).unwrap();
        }
        let job = bench.job_file();
        let output = bench.program().args(["run", "--json"]).arg(job).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["status"], "complete");
        assert_eq!(report["alarms"].as_array().unwrap().len(), 1);
        assert_eq!(report["alarms"][0]["code"], "deleted");
        let tail = bench.shelf().newest().tail.unwrap();
        assert_eq!(tail.status, TailStatus::Complete);
        let alarms: Vec<&str> = tail.alarms.iter().map(|alarm| alarm.message.as_str()).collect();
        assert_eq!(alarms, ["25.0 % of the files are gone; the limit is 20.0 %"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_manifest_that_was_altered_is_a_warning_and_the_night_stands() {
    let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
    let bench = Bench::new(&simulator, Face::V2).key("kind", "\"audit\"");
    bench.run().await.unwrap();
    let manifest = bench.shelf().newest().path.join("manifest.csv");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("me", "you", 1)).unwrap();
    let report = bench.run_next_night().await.unwrap();
    assert_eq!(report.status, Status::Complete);
    assert!(
        report.warnings[0].contains("is not known"),
        "{:?}",
        report.warnings
    );
    assert!(!bench.shelf().newest().path.join("diff.csv").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_mean_no_snapshot_are_told_with_a_way_out() {
    let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
    let bench = Bench::new(&simulator, Face::V2).key("kind", "\"audit\"");
    bench.run().await.unwrap();
    for (arguments, word) in [
        (vec!["diff", "archive"], "previous"),
        (vec!["diff", "archive", "2001-01-01", "latest"], "2001-01-01"),
        (vec!["diff", "archive", "latest", "yesterday"], "yesterday"),
    ] {
        let output = bench.program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(&format!("there is no snapshot '{word}'")), "{told}");
        assert!(told.contains("hint:"), "{told}");
    }
}
