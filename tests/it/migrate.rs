//! A tenant moves into another one, pass by pass, while people go on working in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drivejob::monitor::Silent;
use drivejob::report::Status;
use drivejob::runner;
use drivejob::sim::{Change, GeneratedSpec, Options, Simulator, Sizes, TOKEN_VARIABLE, TenantSpec, World};
use drivejob::stop::Stop;

use crate::support::{Bench, Face, StopAt, truth};

/// How many members move; `DRIVEJOB_TEST_MEMBERS` says another number.
fn members() -> usize {
    std::env::var("DRIVEJOB_TEST_MEMBERS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(8)
}

fn tenant(files: usize, folders: usize) -> World {
    World::tenant(&TenantSpec {
        members: members(),
        shared_drives: 1,
        groups: 0,
        tree: GeneratedSpec {
            files,
            folders,
            sizes: Sizes::Uniform(0, 3000),
            ..GeneratedSpec::default()
        },
    })
}

/// A fresh RSA key as PKCS#8 PEM.
fn private_key() -> String {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    )
}

/// A tenant file whose app acts for each member.
fn delegated(simulator: &Simulator) -> String {
    let (endpoints, options) = (simulator.endpoints(), simulator.options());
    format!(
        "api = \"v2\"\n[auth]\nclient-id = \"{}\"\nclient-secret = {{ env = \"SECRET\" }}\n\
         scope = \"file group.folder user.read group.read\"\nservice-account = \"{}\"\n\
         private-key = {{ env = \"KEY\" }}\ndelegate = true\ntoken = {{ env = \"{TOKEN_VARIABLE}\" }}\n\
         [endpoints]\napi = \"{}/v1.0\"\nauth = \"{}/oauth2/v2.0\"\nstorage = [\"{}\"]\n",
        options.client_id,
        options.service_account,
        endpoints.api,
        endpoints.auth,
        endpoints.storage.trim_start_matches("http://"),
    )
}

/// Two tenants with the same people, and a job that moves the one into the other.
struct Move {
    old: Simulator,
    new: Simulator,
    bench: Bench,
}

impl Move {
    async fn new() -> Move {
        let old = Simulator::start(tenant(14, 5), Options::default()).await.unwrap();
        let new = Simulator::start(tenant(0, 0), Options::default()).await.unwrap();
        let bench = Bench::new(&old, Face::V2)
            .variable("KEY", &private_key())
            .variable("SECRET", &old.options().client_secret.clone())
            .key("kind", "\"migrate\"")
            .key("target", "\"target.toml\"")
            .key("map", "\"map.csv\"")
            .key("drives", "[\"users/*\", \"sharedrives/*\"]")
            .key("deletions", "\"follow\"")
            .key("deletion-limit", "\"100%\"");
        bench.write("tenant.toml", &delegated(&old));
        bench.write("target.toml", &delegated(&new));
        bench.write(
            "map.csv",
            "source,target\nusers/*@example.com,users/*@example.com\nsharedrives/*,sharedrives/*\n",
        );
        Move { old, new, bench }
    }

    fn pass(mut self, word: &str) -> Move {
        self.bench = self.bench.key("pass", &format!("{word:?}"));
        self
    }

    /// Stops the pass at some of its calls, and lets it come to its end. Says how often it was stopped in time.
    async fn run(&self, stops: &[u64]) -> (drivejob::report::Report, usize) {
        let mut stopped = 0;
        for at in stops {
            let stop = Stop::new();
            let monitor = Arc::new(StopAt::new(*at, &stop));
            let report = self.bench.run_with(monitor, stop).await.unwrap();
            if report.status == Status::Interrupted {
                stopped += 1;
            }
        }
        (self.bench.run().await.unwrap(), stopped)
    }

    fn assert_same(&self) {
        let words = |simulator: &Simulator| {
            simulator.world().read(|world| {
                (0..world.drives().len())
                    .map(|drive| (world.drive_word(drive).unwrap(), tree(world, drive)))
                    .collect::<Vec<_>>()
            })
        };
        let (old, new) = (words(&self.old), words(&self.new));
        assert_eq!(old.len(), new.len());
        for ((word, old), (_, new)) in old.iter().zip(&new) {
            assert_eq!(old, new, "{word}");
        }
    }

    fn results(&self) -> PathBuf {
        let found: BTreeSet<PathBuf> = fs::read_dir(self.bench.shelf().path())
            .unwrap()
            .map(|item| item.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with("migrate-")
            })
            .collect();
        found.into_iter().next_back().expect("there are results")
    }
}

type Tree = BTreeSet<(String, &'static str, u64, Option<String>, Option<i64>)>;

fn tree(world: &World, drive: usize) -> Tree {
    truth(world, drive)
        .into_iter()
        .map(|held| {
            let modified = (held.kind == "file").then_some(held.modified);
            (held.path, held.kind, held.size, held.sha256, modified)
        })
        .collect()
}

/// What people do between two passes: they write, rename, move and delete.
fn work(simulator: &Simulator, round: i64) {
    let now = 1_800_000_000_000 + round * 86_400_000;
    simulator.world().write(|world| {
        for drive in 0..world.drives().len() {
            let word = world.drive_word(drive).unwrap();
            let files: Vec<String> = world
                .truth(drive)
                .filter(|entry| entry.kind == "file")
                .map(|entry| entry.id)
                .collect();
            let folder = world
                .truth(drive)
                .find(|entry| entry.kind == "folder")
                .unwrap()
                .path;
            let at = |number: usize| format!("id:{}", files[number]);
            let changes = [
                Change::AddFile {
                    drive: word.clone(),
                    path: format!("/new {round}/報告.txt"),
                    size: 100,
                    seed: drive as u64,
                    modified: Some(now),
                },
                Change::Touch {
                    drive: word.clone(),
                    path: at(0),
                    size: Some(777),
                    seed: Some(5),
                    modified: Some(now),
                },
                Change::Rename {
                    drive: word.clone(),
                    path: at(1),
                    name: format!("renamed {round}.txt"),
                },
                Change::Move {
                    drive: word.clone(),
                    path: at(2),
                    to: format!("/new {round}"),
                },
                Change::Remove {
                    drive: word.clone(),
                    path: at(3),
                },
                Change::Rename {
                    drive: word.clone(),
                    path: folder,
                    name: format!("folder of round {round}"),
                },
            ];
            for change in &changes {
                world.apply(change, now).unwrap();
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn three_passes_with_changes_between_end_without_a_difference() {
    let case = Move::new().await;
    let (first, stopped) = case.run(&[3, 40, 90, 150]).await;
    assert_eq!(first.status, Status::Complete, "{}", first.to_text());
    assert!(stopped >= 2, "{stopped}");
    case.assert_same();

    work(&case.old, 1);
    case.bench.next_night();
    let case = case.pass("delta");
    case.old.reset_calls();
    let (second, stopped) = case.run(&[30, 70]).await;
    assert_eq!(second.status, Status::Complete, "{}", second.to_text());
    assert!(stopped >= 1, "{stopped}");
    case.assert_same();
    let drives = members() as u64 + 1;
    let fetched = case.old.calls().of("storage.download");
    assert!(
        (drives * 2..=drives * 2 + 16).contains(&fetched),
        "only what changed is fetched: {fetched}"
    );

    work(&case.old, 2);
    case.bench.next_night();
    let case = case.pass("final");
    let (last, _) = case.run(&[60]).await;
    assert_eq!(last.status, Status::Complete, "{}", last.to_text());
    case.assert_same();
    assert_eq!(
        last.details["reconciliation"]["clean"], true,
        "{:?}",
        last.details
    );
    let results = case.results();
    for name in [
        "idmap.csv",
        "failures.csv",
        "reconciliation.csv",
        "differences.csv",
        "permissions.csv",
        "summary.json",
    ] {
        assert!(results.join(name).is_file(), "{name}");
    }
    let lines = |name: &str| fs::read_to_string(results.join(name)).unwrap().lines().count();
    assert_eq!((lines("failures.csv"), lines("differences.csv")), (1, 1));
    assert_eq!(lines("reconciliation.csv"), members() + 2);

    // Nothing changed: nothing is sent.
    case.bench.next_night();
    case.new.reset_calls();
    let (again, _) = case.run(&[]).await;
    assert_eq!(again.status, Status::Complete, "{}", again.to_text());
    assert_eq!(case.new.calls().of("storage.upload"), 0);

    // What somebody puts into the target alone is a difference.
    let put = Change::AddText {
        drive: "users/member2@example.com".to_owned(),
        path: "/mine.txt".to_owned(),
        text: "x".to_owned(),
    };
    case.new.change(&put).unwrap();
    case.bench.next_night();
    let (other, _) = case.run(&[]).await;
    assert_eq!(other.status, Status::Partial, "{}", other.to_text());
    assert!(
        fs::read_to_string(case.results().join("differences.csv"))
            .unwrap()
            .contains("only-in-target")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_map_does_not_name_is_told_before_the_first_byte() {
    let case = Move::new().await;
    case.bench.write(
        "map.csv",
        "source,target\nusers/member1@example.com,users/member2@example.com\n",
    );
    let error = case.bench.run().await.unwrap_err();
    let runner::Error::Unmapped(names) = error else {
        panic!("{error}")
    };
    assert_eq!(names.matches("no-rule").count(), members().min(20), "{names}");
    let all = fs::read_to_string(case.results().join("unmapped.csv")).unwrap();
    assert_eq!(all.lines().count(), members() + 1, "{all}");
    assert_eq!(
        case.old.calls().of("storage.download") + case.new.calls().of("storage.upload"),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_what_has_no_place_and_counts_what_a_pass_then_costs() {
    let case = Move::new().await;
    let plan = || async {
        let job = &case.bench;
        runner::plan_delivery(job.loaded(), &job.host(), Arc::new(Silent))
            .await
            .unwrap()
    };
    let planned = plan().await.delivery;
    assert!(!case.bench.shelf().path().exists(), "a plan makes no archive");
    let drives = members() + 1;
    assert_eq!((planned.unmapped.len(), planned.drives.len()), (0, drives));
    assert!(planned.from.starts_with("listings of"), "{}", planned.from);
    assert!(
        planned
            .drives
            .iter()
            .all(|drive| drive.files == 14 && drive.folders == 5)
    );
    // Of shared drives nobody says what they hold.
    assert_eq!(
        planned.drives.iter().filter(|drive| drive.room.is_some()).count(),
        members()
    );
    let (source, target) = (planned.source.clone().unwrap(), planned.target.clone().unwrap());
    case.old.reset_calls();
    case.new.reset_calls();
    let (report, _) = case.run(&[]).await;
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let same = |simulator: &Simulator, foretold: &BTreeMap<String, u64>, names: &[&str]| {
        for name in names {
            let told = foretold.get(*name).copied().unwrap_or(0);
            assert_eq!(simulator.calls().of(name), told, "{name}");
        }
    };
    same(
        &case.old,
        &source.load.calls,
        &[
            "drive.list-root",
            "drive.list",
            "drive.download",
            "storage.download",
            "sharedrive.list",
        ],
    );
    same(
        &case.new,
        &target.load.calls,
        &[
            "drive.list-root",
            "drive.create-folder-root",
            "drive.create-folder",
            "drive.upload-url-root",
            "drive.upload-url",
            "sharedrive.upload-url",
            "storage.upload",
        ],
    );
    // The next plan knows the source from the snapshot, and finds everything in its place.
    case.old.reset_calls();
    let planned = plan().await.delivery;
    assert!(planned.from.starts_with("snapshot "), "{}", planned.from);
    assert_eq!(planned.files.keys().collect::<Vec<_>>(), [&"already-there"]);
    assert_eq!(case.old.calls().of("drive.list"), 0);

    // Without a place to go, a drive is named first, and in the scan.
    case.bench.write(
        "map.csv",
        "source,target\nusers/*@example.com,users/*@example.com\n",
    );
    let planned = plan().await;
    assert_eq!(planned.delivery.unmapped.len(), 1);
    let text = planned.delivery.to_text();
    assert!(
        text.lines()
            .nth(3)
            .unwrap()
            .starts_with("  unmapped    sharedrives/"),
        "{text}"
    );
    let (scan, problems) = planned.write_readiness(Vec::new(), false).await.unwrap();
    assert_eq!(problems, 1);
    assert!(
        String::from_utf8(scan)
            .unwrap()
            .contains("\nunmapped,sharedrives/")
    );
}

#[test]
fn what_is_not_whole_is_refused_before_it_begins() {
    let bench = Bench::empty()
        .key("kind", "\"migrate\"")
        .key("tenant", "\"tenant.toml\"")
        .key("target", "\"tenant.toml\"")
        .key("to", "\"folder:x\"");
    let error = runner::load(&bench.job_file()).unwrap_err();
    let keys: BTreeSet<String> = error
        .problems()
        .iter()
        .map(|problem| problem.key.clone())
        .collect();
    assert_eq!(keys, ["to".to_owned()].into());
}
