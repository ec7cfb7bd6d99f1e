//! A restore puts each item into the target once, whatever happens on the way, and says so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod names;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::testing::{Death, Fault, Folder, MemoryDrive, sha256};
use super::*;
use crate::drive::ErrorKind;
use crate::entry::{Entry, Kind, Root};
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
        .upload_rows(false, move |row| {
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
async fn folders_that_the_manifest_lacks_are_made_up_from_the_path() {
    let mut source = Source::new(&["/a/", "/a/b/c/f=f@1", "/a/b/g=g@2", "/x/h=h@3"]);
    // As in a manifest that a filter thinned out: their parents have ids, and no rows.
    for row in &mut source.rows[1..] {
        row.entry.parent_id = Some(FileId::new("not here"));
    }
    let drive = MemoryDrive::new();
    let ledger = source.ledger("ledger");
    let summary = source.run(&drive, &ledger, &skip()).await;
    assert_eq!(summary.verdict(), Verdict::Complete);
    let tree = [
        "/a/",
        "/a/b/",
        "/a/b/c/",
        "/a/b/c/f=f@1",
        "/a/b/g=g@2",
        "/x/",
        "/x/h=h@3",
    ];
    assert_eq!(drive.tree("users/new"), tree);
    assert_eq!(drive.calls()["create_folder"], 4);
}

#[tokio::test]
async fn a_folder_whose_name_is_too_long_takes_what_is_in_it_along() {
    let long = "n".repeat(201);
    let inside = [
        format!("/{long}/"),
        format!("/{long}/d/"),
        format!("/{long}/d/f=f@1"),
    ];
    let source = Source::new(&["/g=g@2", &inside[0], &inside[1], &inside[2]]);
    let drive = MemoryDrive::new();
    let ledger = source.ledger("ledger");
    // Neither the first run nor one that goes on leaves anything open.
    for _ in 0..2 {
        let summary = source.run(&drive, &ledger, &skip()).await;
        assert_eq!(summary.verdict(), Verdict::Partial);
        assert_eq!(
            outcomes(&ledger).await,
            [
                "/g restored  g".to_owned(),
                format!("/{long} failed name-too-long"),
                format!("/{long}/d failed parent-not-restored"),
                format!("/{long}/d/f failed parent-not-restored"),
            ]
        );
        assert_eq!(drive.tree("users/new"), ["/g=g@2"]);
    }
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
    chosen.limits = Limits::NONE;
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
