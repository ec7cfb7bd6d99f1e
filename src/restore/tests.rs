//! A restore puts each item into the target once, whatever happens on the way, and says so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::testing::{Death, Fault, Folder, MemoryDrive, sha256};
use super::*;
use crate::drive::ErrorKind;
use crate::entry::{Entry, Root};
use crate::id::FileId;
use crate::manifest::{Outcome, Row};
use crate::monitor::Silent;
use crate::path::DrivePath;

/// A snapshot in a folder of the test: rows and stored bytes.
struct Source {
    folder: tempfile::TempDir,
    copies: Arc<Folder>,
    rows: Vec<Row>,
}

impl Source {
    /// Rows of the drive `users/old`, as `path=content@time` or `path/`; the id of an item is its number.
    fn new(lines: &[&str]) -> Source {
        let folder = tempfile::tempdir().unwrap();
        let copies = Folder::new(folder.path().to_owned());
        let mut source = Source {
            folder,
            copies,
            rows: Vec::new(),
        };
        for line in lines {
            source.add("users/old", line);
        }
        source
    }

    fn add(&mut self, drive: &str, line: &str) -> &mut Row {
        let number = self.rows.len();
        let mut entry = Entry::root(DriveId::new(drive), FileId::new(format!("o{number}")));
        let (path, content) = match line.strip_suffix('/') {
            Some(path) => (path, None),
            None => {
                let (path, rest) = line.split_once('=').unwrap();
                (path, Some(rest.split_once('@').unwrap()))
            }
        };
        let (parent, name) = path.rsplit_once('/').unwrap();
        entry.name = name.to_owned();
        entry.parent_id = self
            .rows
            .iter()
            .rev()
            .find(|row| row.path.as_str() == parent && row.entry.drive.as_str() == drive)
            .map(|row| row.entry.id.clone());
        let mut row = Row {
            entry,
            drive_name: drive.to_owned(),
            path: DrivePath::from_text(path),
            outcome: Outcome::Stored,
            reason: String::new(),
            sha256: None,
            stored_at: None,
            attempts: 1,
        };
        if let Some((text, second)) = content {
            let place = format!("f{number}");
            self.copies.store(&place, text);
            row.entry.kind = Kind::File;
            row.entry.size = Some(text.len() as u64);
            row.entry.modified = Timestamp::from_second(second.parse().unwrap()).ok();
            row.sha256 = Some(sha256(text));
            row.stored_at = Some(place);
        }
        self.rows.push(row);
        self.rows.last_mut().unwrap()
    }

    fn rows(&self) -> impl Iterator<Item = Result<Row, manifest::Error>> + Send + 'static {
        self.rows.clone().into_iter().map(Ok)
    }

    fn ledger(&self, name: &str) -> Ledger {
        Ledger::open(&self.folder.path().join(name)).unwrap()
    }

    async fn run(&self, drive: &Arc<MemoryDrive>, ledger: &Ledger, options: &Options) -> Summary {
        plan(ledger, self.rows(), &selection()).await.unwrap();
        self.go_on(drive, ledger, options).await.unwrap()
    }

    async fn go_on(
        &self,
        drive: &Arc<MemoryDrive>,
        ledger: &Ledger,
        options: &Options,
    ) -> Result<Summary, Error> {
        restore(
            Arc::clone(drive) as Arc<dyn Drive>,
            ledger.clone(),
            Arc::clone(&self.copies) as Arc<dyn Copies>,
            options.clone(),
            Arc::new(Silent),
            Stop::new(),
        )
        .await
    }
}

fn selection() -> Selection {
    selection_of(&[("users/old", "users/new")])
}

fn selection_of(drives: &[(&str, &str)]) -> Selection {
    Selection {
        select: Arc::new(|_| true),
        to: Place::Original,
        targets: drives
            .iter()
            .map(|(source, target)| (DriveId::new(*source), MemoryDrive::root(target)))
            .collect::<HashMap<DriveId, Root>>(),
        name: Arc::new(|row| row.entry.name.clone()),
        limits: Limits::default(),
        snapshot: "S".to_owned(),
        is_partial: false,
    }
}

fn root() -> Entry {
    MemoryDrive::root("users/new").entry
}

fn skip() -> Options {
    Options::new(OnConflict::Skip)
}

const TREE: [&str; 8] = [
    "/a/",
    "/a!/",
    "/a!/x=xx@1",
    "/a/b/",
    "/a/b/deep=deep@2",
    "/a/empty=@3",
    "/a/file=file@4",
    "/top=top@5",
];

fn sorted(lines: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    lines.sort();
    lines
}

async fn outcomes(ledger: &Ledger) -> Vec<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    ledger
        .upload_rows(move |row| {
            let outcome = row.outcome.map_or("-", UploadOutcome::as_str);
            let name = row.new_name.clone().unwrap_or_default();
            let line = format!("{} {} {} {}", row.path, outcome, row.reason, name);
            sender.send(line.trim_end().to_owned())
        })
        .await
        .unwrap()
        .unwrap();
    receiver.iter().collect()
}

#[tokio::test]
async fn a_tree_arrives_with_one_call_for_each_item_and_a_second_run_sends_nothing() {
    let source = Source::new(&TREE);
    let drive = MemoryDrive::new();
    let ledger = source.ledger("one");
    let summary = source.run(&drive, &ledger, &skip()).await;
    assert_eq!(drive.tree("users/new"), sorted(&TREE));
    let expected = BTreeMap::from([("children", 1), ("create_folder", 3), ("upload", 5)]);
    assert_eq!(drive.calls(), expected);
    assert_eq!(summary.verdict(), Verdict::Complete);
    assert_eq!(summary.totals.files[UploadOutcome::Restored as usize], (5, 13));

    let again = source.run(&drive, &ledger, &skip()).await;
    assert_eq!((again, drive.calls()), (summary, BTreeMap::new()));

    // Another run of the same job begins with a ledger of its own, under any conflict rule.
    let rules = [
        OnConflict::Skip,
        OnConflict::Rename,
        OnConflict::Overwrite,
        OnConflict::Fail,
    ];
    for (number, rule) in rules.into_iter().enumerate() {
        let ledger = source.ledger(&format!("rule{number}"));
        let summary = source.run(&drive, &ledger, &Options::new(rule)).await;
        assert_eq!(summary.verdict(), Verdict::Complete);
        assert_eq!(summary.files_with(UploadOutcome::AlreadyThere), 5);
        assert_eq!(drive.calls().keys().collect::<Vec<_>>(), [&"children"]);
    }
    assert_eq!(drive.tree("users/new"), sorted(&TREE));
}

#[tokio::test]
async fn killed_at_any_call_it_goes_on_without_a_second_copy() {
    // Twins make it hard to tell what is whose.
    let mut lines = TREE.to_vec();
    lines.extend(["/twin=same@9", "/twin=same@9", "/twin=other@9"]);
    let mut expected = TREE.to_vec();
    expected.extend(["/twin=same@9", "/twin (2)=same@9", "/twin (3)=other@9"]);
    for (after_effect, careless) in [(false, false), (true, false), (true, true)] {
        for call in 1.. {
            let source = Source::new(&lines);
            let drive = if careless {
                MemoryDrive::careless()
            } else {
                MemoryDrive::new()
            };
            let options = Options {
                transfers: 2,
                folders: 1,
                ..skip()
            };
            drive.die(Some(Death { call, after_effect }));
            let ledger = source.ledger("ledger");
            let survived = tokio::select! {
                summary = source.run(&drive, &ledger, &options) => Some(summary),
                () = drive.died.notified() => None,
            };
            ledger.close().await;
            if survived.is_some() {
                assert!(call > 12, "all calls were tried");
                break;
            }
            drive.die(None);
            let summary = source.run(&drive, &source.ledger("ledger"), &options).await;
            assert_eq!(summary.verdict(), Verdict::Complete, "call {call}");
            let mut found = drive.tree("users/new");
            // Which of the twins comes first is not told.
            if found.contains(&"/twin=other@9".to_owned()) || found.contains(&"/twin (2)=other@9".to_owned())
            {
                found.retain(|line| !line.starts_with("/twin"));
                found.extend(sorted(&["/twin=same@9", "/twin (2)=same@9", "/twin (3)=other@9"]));
                found.sort();
            }
            assert_eq!(found, sorted(&expected), "call {call}, {after_effect}");
        }
    }
}

#[tokio::test]
async fn names_that_are_taken_follow_the_rule_before_a_byte_is_sent() {
    use OnConflict::{Fail, Overwrite, Rename, Skip};
    let there = "/f.txt=theirs@1";
    let cases = [
        (Skip, "/f.txt skipped conflict", vec![there], 0),
        (Fail, "/f.txt failed conflict", vec![there], 0),
        (
            Rename,
            "/f.txt renamed  f (2).txt",
            vec![there, "/f (2).txt=mine@5"],
            1,
        ),
        (Overwrite, "/f.txt overwritten  f.txt", vec!["/f.txt=mine@5"], 1),
    ];
    for (rule, outcome, tree, uploads) in cases {
        let source = Source::new(&["/f.txt=mine@5"]);
        let drive = MemoryDrive::new();
        drive.put(&root(), "f.txt", Some(("theirs", 1)));
        let ledger = source.ledger("ledger");
        let summary = source.run(&drive, &ledger, &Options::new(rule)).await;
        assert_eq!(outcomes(&ledger).await, [outcome]);
        assert_eq!(drive.tree("users/new"), sorted(&tree));
        assert_eq!(drive.calls().get("upload").copied().unwrap_or(0), uploads);
        let verdict = if uploads == 1 {
            Verdict::Complete
        } else {
            Verdict::NothingRestored
        };
        assert_eq!(summary.verdict(), verdict);
    }
}

#[tokio::test]
async fn a_file_and_a_folder_never_replace_each_other() {
    let source = Source::new(&["/f/", "/f/in=in@1", "/g=g@2"]);
    for (rule, expected) in [
        (
            OnConflict::Rename,
            ["/f renamed  f (2)", "/f/in restored  in", "/g renamed  g (2)"],
        ),
        (
            OnConflict::Overwrite,
            [
                "/f failed conflict",
                "/f/in failed parent-not-restored",
                "/g failed conflict",
            ],
        ),
    ] {
        let drive = MemoryDrive::new();
        drive.put(&root(), "f", Some(("file", 1)));
        drive.put(&root(), "g", None);
        let ledger = source.ledger(&format!("{rule:?}"));
        source.run(&drive, &ledger, &Options::new(rule)).await;
        let mut seen = outcomes(&ledger).await;
        for line in &mut seen {
            *line = line.trim_end_matches(" f").to_owned();
        }
        assert_eq!(seen, expected);
    }
}

/// What it is about, the faults, the outcome of the file, what lies in its folder then, and all calls.
type FaultCase = (
    &'static str,
    Vec<(&'static str, u64, Fault)>,
    &'static str,
    &'static str,
    BTreeMap<&'static str, u64>,
);

#[tokio::test]
async fn each_fault_comes_to_its_right_end() {
    let unavailable = || Fault::Refuse(ErrorKind::Unavailable { retry_after: None });
    let cases: Vec<FaultCase> = vec![
        (
            "a lost answer is settled by looking",
            vec![("upload", 1, Fault::LoseAnswer)],
            "/d/f restored  f",
            "/d/f=f@1",
            BTreeMap::from([("children", 2), ("create_folder", 1), ("upload", 1)]),
        ),
        (
            "a lost answer of a folder too",
            vec![("create_folder", 1, Fault::LoseAnswer)],
            "/d/f restored  f",
            "/d/f=f@1",
            BTreeMap::from([("children", 3), ("create_folder", 1), ("upload", 1)]),
        ),
        (
            "one that was never accepted is sent again",
            vec![("upload", 1, unavailable()), ("upload", 2, unavailable())],
            "/d/f restored  f",
            "/d/f=f@1",
            BTreeMap::from([("children", 3), ("create_folder", 1), ("upload", 3)]),
        ),
        (
            "but not for ever",
            (1..=3).map(|call| ("upload", call, unavailable())).collect(),
            "/d/f failed unavailable",
            "",
            BTreeMap::from([("children", 4), ("create_folder", 1), ("upload", 3)]),
        ),
        (
            "a name that somebody took meanwhile is a conflict",
            vec![("upload", 1, Fault::Race)],
            "/d/f skipped conflict",
            "/d/f=somebody else's@7",
            BTreeMap::from([("children", 2), ("create_folder", 1), ("upload", 1)]),
        ),
        (
            "a full drive",
            vec![("upload", 1, Fault::Refuse(ErrorKind::QuotaFull))],
            "/d/f failed quota-full",
            "",
            BTreeMap::from([("children", 1), ("create_folder", 1), ("upload", 1)]),
        ),
        (
            "a folder that may not be made",
            vec![("create_folder", 1, Fault::Refuse(ErrorKind::Denied))],
            "/d/f failed parent-not-restored",
            "",
            BTreeMap::from([("children", 1), ("create_folder", 1)]),
        ),
        (
            "a name that the service changed is told",
            vec![("upload", 1, Fault::Suffix)],
            "/d/f renamed name-changed f-1",
            "/d/f-1=f@1",
            BTreeMap::from([("children", 1), ("create_folder", 1), ("upload", 1)]),
        ),
        (
            "an item of another size is taken away",
            vec![("upload", 1, Fault::WrongSize)],
            "/d/f failed size-differs",
            "",
            BTreeMap::from([
                ("children", 1),
                ("create_folder", 1),
                ("upload", 1),
                ("remove", 1),
            ]),
        ),
    ];
    for (what, faults, outcome, file, calls) in cases {
        let source = Source::new(&["/d/", "/d/f=f@1"]);
        let drive = MemoryDrive::new();
        for (operation, call, fault) in faults {
            drive.fault(operation, call, fault);
        }
        let ledger = source.ledger("ledger");
        source.run(&drive, &ledger, &skip()).await;
        assert_eq!(outcomes(&ledger).await[1], outcome, "{what}");
        let found = drive.tree("users/new").get(1).cloned().unwrap_or_default();
        assert_eq!(found, file, "{what}");
        assert_eq!(drive.calls(), calls, "{what}");
    }
}

#[tokio::test]
async fn what_failed_is_tried_again_by_the_next_run() {
    let source = Source::new(&["/d/", "/d/f=f@1", "/g=g@2"]);
    let drive = MemoryDrive::new();
    drive.fault("create_folder", 1, Fault::Refuse(ErrorKind::Denied));
    drive.fault("upload", 1, Fault::Refuse(ErrorKind::QuotaFull));
    let ledger = source.ledger("ledger");
    let summary = source.run(&drive, &ledger, &skip()).await;
    assert_eq!(summary.verdict(), Verdict::NothingRestored);
    let summary = source.run(&drive, &ledger, &skip()).await;
    assert_eq!(summary.verdict(), Verdict::Complete);
    assert_eq!(drive.tree("users/new"), sorted(&["/d/", "/d/f=f@1", "/g=g@2"]));
}

#[tokio::test]
async fn a_full_drive_is_not_asked_for_larger_files() {
    let source = Source::new(&["/a=12345@1", "/b=123456@1", "/c=1@1"]);
    let drive = MemoryDrive::new();
    drive.fault("upload", 1, Fault::Refuse(ErrorKind::QuotaFull));
    let options = Options {
        transfers: 1,
        ..skip()
    };
    let ledger = source.ledger("ledger");
    source.run(&drive, &ledger, &options).await;
    assert_eq!(
        outcomes(&ledger).await,
        ["/a failed quota-full", "/b failed quota-full", "/c restored  c"]
    );
    assert_eq!(drive.calls()["upload"], 2);
}

#[tokio::test]
async fn a_refused_token_ends_the_run_and_the_next_goes_on() {
    let source = Source::new(&TREE);
    let drive = MemoryDrive::new();
    drive.fault("upload", 2, Fault::Refuse(ErrorKind::Unauthenticated));
    let ledger = source.ledger("ledger");
    plan(&ledger, source.rows(), &selection()).await.unwrap();
    let error = source.go_on(&drive, &ledger, &skip()).await.unwrap_err();
    assert!(matches!(error, Error::Drive(error) if error.kind == ErrorKind::Unauthenticated));
    let summary = source.go_on(&drive, &ledger, &skip()).await.unwrap();
    assert_eq!(summary.verdict(), Verdict::Complete);
    assert_eq!(drive.tree("users/new"), sorted(&TREE));
}

#[tokio::test]
async fn a_stop_begins_nothing_new_and_loses_nothing() {
    let source = Source::new(&TREE);
    let drive = MemoryDrive::new();
    let ledger = source.ledger("ledger");
    plan(&ledger, source.rows(), &selection()).await.unwrap();
    let stop = Stop::new();
    stop.drain(crate::stop::StopReason::Interrupted);
    let summary = restore(
        Arc::clone(&drive) as Arc<dyn Drive>,
        ledger.clone(),
        Arc::clone(&source.copies) as Arc<dyn Copies>,
        skip(),
        Arc::new(Silent),
        stop,
    )
    .await
    .unwrap();
    assert_eq!(summary.verdict(), Verdict::Unfinished);
    assert_eq!(drive.calls(), BTreeMap::new());
    let summary = source.run(&drive, &ledger, &skip()).await;
    assert_eq!(summary.verdict(), Verdict::Complete);
}

#[tokio::test]
async fn a_damaged_copy_is_never_uploaded() {
    let long = "x".repeat(700_000);
    for (damage, others, expected) in [
        ("same length", vec![], "/f failed damaged"),
        ("short", vec![], "/f failed damaged"),
        ("same length", vec!["bad", "good"], "/f restored  f"),
        ("gone", vec!["good"], "/f restored  f"),
    ] {
        let source = Source::new(&[&format!("/f={long}@1")]);
        let drive = MemoryDrive::new();
        let mut other = long.clone();
        other.replace_range(long.len() - 1.., "y");
        match damage {
            "same length" => source.copies.store("f0", &other),
            "short" => source.copies.store("f0", "x"),
            _ => std::fs::remove_file(source.folder.path().join("f0")).unwrap(),
        }
        source.copies.store("bad", &other);
        source.copies.store("good", &long);
        let others = others.into_iter().map(str::to_owned).collect();
        source.copies.others.lock().unwrap().insert(sha256(&long), others);
        let ledger = source.ledger("ledger");
        source.run(&drive, &ledger, &skip()).await;
        assert_eq!(outcomes(&ledger).await, [expected], "{damage}");
        let whole = drive.tree("users/new") == [format!("/f={long}@1")];
        assert_eq!(whole, expected.contains("restored"), "{damage}");
        assert!(whole || drive.tree("users/new").is_empty());
    }
}

#[tokio::test]
async fn f26_a_share_is_downloaded_again_and_compared() {
    let source = Source::new(&["/a=a@1", "/b=b@1"]);
    let drive = MemoryDrive::new();
    drive.fault("download", 2, Fault::Corrupt);
    let mut options = skip();
    options.transfers = 1;
    options.check_back.rehash = 1.0;
    let ledger = source.ledger("ledger");
    let summary = source.run(&drive, &ledger, &options).await;
    assert_eq!(
        outcomes(&ledger).await,
        ["/a restored  a", "/b failed check-back: differs"]
    );
    assert_eq!(summary.verdict(), Verdict::Partial);
    assert_eq!(drive.tree("users/new"), ["/a=a@1"]);
}

#[tokio::test]
async fn one_file_takes_only_the_folders_above_it_along() {
    let mut source = Source::new(&["/a/", "/a/", "/a!/", "/a/b/", "/a/b/want=w@1", "/z=z@2"]);
    // The file lies in the first of two folders of one name.
    let first = source.rows[0].entry.id.clone();
    source.rows[3].entry.parent_id = Some(first);
    let drive = MemoryDrive::new();
    let ledger = source.ledger("ledger");
    let mut chosen = selection();
    chosen.select = Arc::new(|row| row.entry.name == "want");
    chosen.to = Place::default_folder("S");
    let made = plan(&ledger, source.rows(), &chosen).await.unwrap();
    assert_eq!((made.folders, made.files, made.bytes), (3, 1, 1));
    source.go_on(&drive, &ledger, &skip()).await.unwrap();
    let top = "/Restored S";
    assert_eq!(
        drive.tree("users/new"),
        [
            format!("{top}/"),
            format!("{top}/a/"),
            format!("{top}/a/b/"),
            format!("{top}/a/b/want=w@1")
        ]
    );
}

#[tokio::test]
async fn twins_get_numbers_and_two_drives_do_not_mix() {
    let mut source = Source::new(&["/n/", "/n/", "/n/one=1@1", "/t=a@1", "/t=b@1"]);
    source.add("users/other", "/t=c@1");
    let drive = MemoryDrive::new();
    let ledger = source.ledger("ledger");
    let both = [("users/old", "users/new"), ("users/other", "users/new")];
    plan(&ledger, source.rows(), &selection_of(&both)).await.unwrap();
    let options = Options {
        transfers: 1,
        folders: 1,
        ..skip()
    };
    source.go_on(&drive, &ledger, &options).await.unwrap();
    assert_eq!(
        drive.tree("users/new"),
        [
            "/users_old/",
            "/users_old/n (2)/",
            "/users_old/n (2)/one=1@1",
            "/users_old/n/",
            "/users_old/t (2)=b@1",
            "/users_old/t=a@1",
            "/users_other/",
            "/users_other/t=c@1",
        ]
    );
}

#[tokio::test]
async fn a_service_that_takes_two_names_for_one_gets_two() {
    let source = Source::new(&["/Note=1@1", "/note=2@2", "/\u{ac00}=3@3", "/\u{1100}\u{1161}=4@4"]);
    let drive = MemoryDrive::folding();
    let ledger = source.ledger("ledger");
    let options = Options {
        transfers: 1,
        ..skip()
    };
    let summary = source.run(&drive, &ledger, &options).await;
    assert_eq!(summary.verdict(), Verdict::Complete);
    assert_eq!(
        drive.tree("users/new"),
        sorted(&[
            "/Note=1@1",
            "/note (2)=2@2",
            "/\u{ac00}=3@3",
            "/\u{1100}\u{1161} (2)=4@4"
        ])
    );
}

#[tokio::test]
async fn a_plan_tells_everything_that_hinders() {
    let mut source = Source::new(&["/Twin=1@1", "/twin=1@1", "/twin=2@1"]);
    let long = "n".repeat(201);
    source.add("users/old", &format!("/{long}=1@1"));
    source.add("users/old", "/big=1@1").entry.size = Some(FILE_BYTES + 1);
    source.add("users/old", "/bad=1@1").entry.properties.virus = Some("malware".to_owned());
    let lost = source.add("users/old", "/lost=1@1");
    lost.outcome = Outcome::Failed;
    lost.reason = "denied".to_owned();
    source.add("users/nobody", "/f=1@1");
    let mut chosen = selection();
    chosen.is_partial = true;
    let target = chosen.targets.get_mut(&DriveId::new("users/old")).unwrap();
    target.quota.as_mut().unwrap().total = Some(3);
    let ledger = source.ledger("ledger");
    plan(&ledger, source.rows(), &chosen).await.unwrap();
    check_room(&ledger, &chosen).await.unwrap();
    let made = plan(&ledger, std::iter::empty(), &chosen).await.unwrap();
    let (scan, problems) = write_readiness(&ledger, Vec::new(), false).await.unwrap();
    let scan = String::from_utf8(scan).unwrap();
    let expected = format!(
        "problem,drive,path,size,detail\n\
         infected,users/old,/bad,1,\n\
         name-too-long,users/old,/{long},1,{long}\n\
         not-in-snapshot,users/old,/lost,1,failed: denied\n\
         quota,users/new,,4,\"4 bytes are needed, 3 are free\"\n\
         too-large,users/old,/big,10737418241,big\n\
         unmapped,users/nobody,,,1 rows have no target drive\n\
         name-clash,users/old,/twin,1,twin\n\
         name-clash,users/old,/twin,1,twin\n\
         name-twin,users/old,/Twin,1,Twin\n\
         name-twin,users/old,/twin,1,twin\n\
         name-twin,users/old,/twin,1,twin\n"
    );
    assert_eq!(scan, expected);
    assert_eq!(problems, 11);
    assert_eq!((made.folders, made.files, made.bytes), (0, 4, 4));
    assert_eq!((made.unrestorable, made.is_partial), (4, true));
    let results = source.folder.path().join("results");
    source.go_on(&MemoryDrive::new(), &ledger, &skip()).await.unwrap();
    write_results(&ledger, &results, false).await.unwrap();
    let read = |name: &str| std::fs::read_to_string(results.join(name)).unwrap();
    assert_eq!(read("idmap.csv").lines().count(), 9);
    let failures = read("failures.csv");
    let reasons: Vec<&str> = failures
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(4).unwrap())
        .collect();
    assert_eq!(
        reasons,
        ["unmapped", "too-large", "failed: denied", "name-too-long"]
    );
}

#[tokio::test]
async fn a_folder_of_this_machine_is_a_target_that_nothing_leaves() {
    let source = Source::new(&["/d/", "/d/f=ff@100", "/here=mine@5", "/same=s@7"]);
    let mut rows = source.rows.clone();
    for (name, id) in [("..", "h1"), ("a/b", "h2"), ("link", "h3"), ("", "h4")] {
        let mut row = rows[2].clone();
        row.entry.name = name.to_owned();
        row.entry.id = FileId::new(id);
        row.path = DrivePath::root().join(name);
        rows.push(row);
    }
    rows.sort_by(|left, right| left.path.cmp(&right.path));
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    std::fs::create_dir(&target).unwrap();
    std::fs::write(target.join("here"), "theirs").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(outside.path().join("planted"), target.join("link")).unwrap();
    let local = LocalFolder::open(&target).unwrap();
    let mut chosen = selection();
    chosen.targets.insert(DriveId::new("users/old"), local.root());
    chosen.limits = Limits::LOCAL;
    let mut options = skip();
    options.naming.numbered = numbered_local;
    for start in 0..2 {
        let ledger = source.ledger(&format!("local{start}"));
        plan(&ledger, rows.clone().into_iter().map(Ok), &chosen)
            .await
            .unwrap();
        let summary = restore(
            Arc::new(local.clone()),
            ledger.clone(),
            Arc::clone(&source.copies) as Arc<dyn Copies>,
            options.clone(),
            Arc::new(Silent),
            Stop::new(),
        )
        .await
        .unwrap();
        let done = if start == 0 { "restored" } else { "already-there" };
        let seen = outcomes(&ledger).await;
        assert!(seen.contains(&format!("/d/f {done}  f")), "{seen:?}");
        assert!(seen.contains(&"/here skipped conflict".to_owned()), "{seen:?}");
        assert!(seen.contains(&"/.. failed unsupported".to_owned()), "{seen:?}");
        assert!(seen.contains(&"/a/b failed unsupported".to_owned()), "{seen:?}");
        assert_eq!(summary.verdict(), Verdict::Partial);
    }
    let read = |name: &str| std::fs::read_to_string(target.join(name)).unwrap();
    assert_eq!(
        (read("d/f"), read("here"), read("same")),
        ("ff".into(), "theirs".into(), "s".into())
    );
    let modified = std::fs::metadata(target.join("d/f")).unwrap().modified().unwrap();
    assert_eq!(Timestamp::try_from(modified).unwrap().as_second(), 100);
    assert_eq!(names_in(&target), ["d", "here", "link", "same"]);
    assert_eq!(names_in(outside.path()), ["target"]);
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
