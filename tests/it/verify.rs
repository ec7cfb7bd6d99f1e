//! `verify` finds every class of damage and lists it, the next backup repairs it, and a spot check asks the drive.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use drivejob::report::Status;
use drivejob::sim::{Change, Simulator};

use crate::support::{Bench, Face, modified, sha256, simulator_with, touch};

const PATHS: [&str; 3] = ["/報告/one.txt", "/報告/two.txt", "/three.txt"];

/// Two nights of three files, of which the first changed in between.
async fn two_nights(simulator: &Simulator) -> Bench {
    let bench = Bench::new(simulator, Face::V2);
    assert_eq!(
        bench.run_at("2026-11-21T02:00:00Z").await.unwrap().status,
        Status::Complete
    );
    touch(simulator, PATHS[0]);
    assert_eq!(
        bench.run_at("2026-11-22T02:00:00Z").await.unwrap().status,
        Status::Complete
    );
    bench
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Changes the manifest of the first night and lets its tail agree, as somebody would who wants to hide it.
fn forge(archive: &Path) {
    let night = archive.join("2026-11-21T02-00-00Z");
    let hash = |path: &Path| sha256(fs::File::open(path).unwrap());
    let manifest = night.join("manifest.csv");
    let before = hash(&manifest);
    replace(&manifest, "\n", "\r\n");
    replace(&night.join("TAIL.json"), &before, &hash(&manifest));
}

const NIGHT: &str = "2026-11-22T02-00-00Z";

type Damage = fn(&Path);

/// Each class: what is done to the archive, the words that must be found, and the place that must be named.
const DAMAGES: [(&str, Damage, &[&str], &str); 13] = [
    (
        "missing",
        |archive| fs::remove_file(archive.join(NIGHT).join("files/me/three.txt")).unwrap(),
        &["missing"],
        "files/me/three.txt",
    ),
    (
        "short",
        |archive| {
            change(&archive.join(NIGHT).join("files/me/three.txt"), |bytes| {
                bytes.truncate(3)
            })
        },
        &["short"],
        "files/me/three.txt",
    ),
    (
        "long",
        |archive| {
            change(&archive.join(NIGHT).join("files/me/three.txt"), |bytes| {
                bytes.push(b'!')
            })
        },
        &["long"],
        "files/me/three.txt",
    ),
    (
        "altered",
        |archive| {
            change(&archive.join(NIGHT).join("files/me/three.txt"), |bytes| {
                bytes[0] ^= 1
            })
        },
        &["altered"],
        "files/me/three.txt",
    ),
    (
        "extra",
        |archive| fs::write(archive.join(NIGHT).join("files/me/報告/extra"), "x").unwrap(),
        &["extra"],
        "files/me/報告/extra",
    ),
    (
        "manifest altered",
        |archive| {
            replace(
                &archive.join(NIGHT).join("manifest.csv"),
                "/three.txt",
                "/threo.txt",
            )
        },
        &["manifest"],
        "manifest.csv",
    ),
    (
        "manifest gone",
        |archive| fs::remove_file(archive.join(NIGHT).join("manifest.csv")).unwrap(),
        &["manifest"],
        "manifest.csv",
    ),
    (
        "failures altered",
        |archive| {
            change(&archive.join(NIGHT).join("failures.csv"), |bytes| {
                bytes.truncate(4)
            })
        },
        &["failures"],
        "failures.csv",
    ),
    (
        "tail altered",
        |archive| {
            replace(
                &archive.join(NIGHT).join("TAIL.json"),
                "\"files\": 3",
                "\"files\": 4",
            )
        },
        &["tail"],
        "TAIL.json",
    ),
    (
        "tail gone",
        |archive| fs::remove_file(archive.join(NIGHT).join("TAIL.json")).unwrap(),
        &["tail"],
        "TAIL.json",
    ),
    (
        "head gone",
        |archive| fs::remove_file(archive.join(NIGHT).join("HEAD.json")).unwrap(),
        &["head"],
        "HEAD.json",
    ),
    ("chain broken", forge, &["chain"], "HEAD.json"),
    (
        "file became a folder",
        |archive| {
            let path = archive.join(NIGHT).join("files/me/three.txt");
            fs::remove_file(&path).unwrap();
            fs::create_dir(path).unwrap();
        },
        &["not-a-file"],
        "files/me/three.txt",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_class_of_damage_is_found_and_listed() {
    let simulator = simulator_with(&PATHS).await;
    for (name, damage, words, place) in DAMAGES {
        let bench = two_nights(&simulator).await;
        let good = bench.ask(&["verify", "archive", "--json"]);
        assert_eq!(
            (good.code, good.json()["good"].as_bool()),
            (Some(0), Some(true)),
            "{name} {good:?}"
        );
        assert_eq!(good.json()["files_good"], 6, "{name}");

        damage(bench.shelf().path());
        let found = bench.ask(&["verify", "archive", "--json"]);
        assert_eq!(found.code, Some(5), "{name} {found:?}");
        let json = found.json();
        let list = json["problem_list"].as_array().unwrap();
        let kinds: BTreeSet<&str> = list
            .iter()
            .map(|problem| problem["kind"].as_str().unwrap())
            .collect();
        assert!(words.iter().all(|word| kinds.contains(word)), "{name} {list:#?}");
        assert!(
            list.iter()
                .any(|problem| problem["place"].as_str().unwrap().ends_with(place)),
            "{name} {list:#?}"
        );
        // For people, one line for each.
        let text = bench.ask(&["verify", "archive"]);
        assert_eq!(text.code, Some(5));
        assert!(
            text.out.contains(words[0]) && text.out.contains(place),
            "{name} {}",
            text.out
        );
        assert_eq!(text.out.lines().count(), list.len() + 1, "{name} {}", text.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_backup_repairs_what_the_drive_still_has() {
    let simulator = simulator_with(&PATHS).await;
    for (name, damage, ..) in &DAMAGES[..4] {
        let bench = two_nights(&simulator).await.key("rehash", "\"100%\"");
        damage(bench.shelf().path());
        let report = bench.run_at("2026-11-23T02:00:00Z").await.unwrap();
        assert_eq!(report.status, Status::Complete, "{name} {report:?}");
        bench.shelf().assert_holds(&simulator.world(), 0);
        let latest = bench.ask(&["verify", "archive@latest"]);
        assert_eq!(latest.code, Some(0), "{name} {latest:?}");
        let all = bench.ask(&["verify", "archive"]);
        assert_eq!(all.code, Some(5), "{name}: the old night stays as it is: {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_job_reads_back_and_compares_with_the_drive() {
    let simulator = simulator_with(&PATHS).await;
    let bench = two_nights(&simulator).await;
    bench.write(
        "check.toml",
        "kind = \"verify\"\narchive = \"archive\"\ntenant = \"tenant.toml\"\n[spot-check]\nfiles = 3\nhashes = 3\n",
    );
    let good = bench.ask(&["run", "check.toml", "--json"]);
    assert_eq!(good.code, Some(0), "{good:?}");
    let json = good.json();
    assert_eq!(json["details"]["verify"]["files_good"], 6);
    assert_eq!(json["details"]["spot_check"]["hashed"], 3);

    // Other bytes under the same modified time and size: no listing tells of it.
    simulator
        .change(&Change::Touch {
            drive: "me".to_owned(),
            path: PATHS[2].to_owned(),
            size: Some(u64::try_from("what /three.txt says".len()).unwrap()),
            seed: Some(7),
            modified: Some(modified(&simulator, PATHS[2])),
        })
        .unwrap();
    let bad = bench.ask(&["run", "check.toml"]);
    assert_eq!(bad.code, Some(5), "{bad:?}");
    assert!(bad.out.starts_with("verify DIFFERENT"), "{}", bad.out);
    assert!(bad.out.contains("differs me:/three.txt"), "{}", bad.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_a_snapshot_is_not_called_good() {
    let simulator = simulator_with(&PATHS).await;
    let bench = two_nights(&simulator).await;
    for snapshot in bench.shelf().snapshots() {
        fs::remove_dir_all(snapshot.path).unwrap();
    }
    bench.write("check.toml", "kind = \"verify\"\narchive = \"archive\"\n");
    let asked = bench.ask(&["verify", "archive"]);
    assert_eq!(asked.code, Some(3), "{asked:?}");
    assert_eq!(
        asked.out,
        "NOTHING: the archive holds no snapshot that could be read back\n"
    );
    assert_eq!(bench.ask(&["verify", "archive", "--json"]).json()["good"], false);
    let job = bench.ask(&["run", "check.toml"]);
    assert_eq!(job.code, Some(3), "{job:?}");
    assert!(
        job.out
            .starts_with("verify PARTIAL: not everything could be checked\n"),
        "{}",
        job.out
    );
}
