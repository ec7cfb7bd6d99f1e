//! A migration follows its source, pass by pass, and never goes over what people did in the target.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;

use super::*;
use crate::drive::ErrorKind;
use crate::entry::{Access, Entry, OnConflict};
use crate::id::Family;
use crate::ledger::{Again, Choice, Done, ListedAs, NewRoot, Placement};
use crate::monitor::Silent;
use crate::restore::testing::{Death, Fault, Folder, MemoryDrive, sha256};
use crate::stop::Clock;
use crate::walk::{self, Progress, walk};
use jiff::Timestamp;

const OLD: &str = "users/old";
const NEW: &str = "users/new";

/// Two tenants, an archive between them, and the journal of the migration.
struct Move {
    folder: tempfile::TempDir,
    copies: Arc<Folder>,
    source: Arc<MemoryDrive>,
    target: Arc<MemoryDrive>,
    options: Options,
    backups: u32,
    problems: Arc<Problems>,
}

/// What a pass complained of.
#[derive(Debug, Default)]
struct Problems(std::sync::Mutex<Vec<String>>);

impl Monitor for Problems {
    fn count(&self, _: crate::monitor::Counter, _: u64) {}
    fn call(&self, _: &'static str, _: Option<u16>) {}
    fn transfer(&self, _: usize, _: crate::monitor::Transfer<'_>) {}
    fn waiting(&self, _: &crate::monitor::Waiting) {}
    fn problem(&self, subject: &str, message: &str) {
        self.0.lock().unwrap().push(format!("{subject}: {message}"));
    }
    fn phase(&self, _: crate::monitor::Phase) {}
    fn drive(&self, _: &DriveId, _: crate::monitor::DriveState) {}
}

impl Move {
    fn new() -> Move {
        let folder = tempfile::tempdir().unwrap();
        let mut restore = restore::Options::new(OnConflict::Skip);
        restore.transfers = 2;
        restore.folders = 1;
        Move {
            copies: Folder::new(folder.path().to_owned()),
            folder,
            source: MemoryDrive::new(),
            target: MemoryDrive::new(),
            options: Options {
                restore,
                limits: Limits::default(),
                deletions: Some(1.0),
                hand_off: None,
            },
            backups: 0,
            problems: Arc::default(),
        }
    }

    fn put(&self, parent: &Entry, name: &str, content: Option<(&str, i64)>) -> Entry {
        self.source.put(parent, name, content)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn journal(&self) -> Ledger {
        Ledger::open(&self.path("journal")).unwrap()
    }

    /// Lists the source and stores everything, as a backup does.
    async fn back_up(&mut self) -> Ledger {
        self.backups += 1;
        let ledger = Ledger::open(&self.path(&format!("backup{}", self.backups))).unwrap();
        list(&self.source, &ledger, OLD, ListedAs::Fetch).await;
        let mut stored = Vec::new();
        for work in ledger.pending(Family::MyDrive, 0, 1000).await.unwrap() {
            let content = self.source.content(&work.entry);
            let place = format!("b{}-{}", self.backups, work.no);
            self.copies.store(&place, &content);
            stored.push(Done {
                no: work.no,
                outcome: Outcome::Stored,
                reason: String::new(),
                sha256: Some(sha256(&content)),
                stored_at: Some(place),
                attempts: 1,
                changed: None,
                version: work.version,
            });
        }
        ledger.settle(stored).await.unwrap();
        ledger
    }

    async fn pass_with(&self, backup: &Ledger, feed: watch::Receiver<Feed>) -> PassSummary {
        migrate(
            Arc::clone(&self.target) as Arc<dyn Drive>,
            backup.clone(),
            self.journal(),
            Arc::clone(&self.copies) as Arc<dyn Copies>,
            HashMap::from([(DriveId::new(OLD), MemoryDrive::root(NEW))]),
            self.options.clone(),
            feed,
            Arc::clone(&self.problems) as Arc<dyn Monitor>,
            Stop::new(),
        )
        .await
        .unwrap()
    }

    async fn over(&self, backup: &Ledger) -> PassSummary {
        let (_feed, feed) = watch::channel(Feed::Ended);
        self.pass_with(backup, feed).await
    }

    async fn pass(&mut self) -> PassSummary {
        let backup = self.back_up().await;
        self.over(&backup).await
    }

    /// The differences of fresh listings of both sides.
    async fn compare(&self, name: &str) -> (Reconciliation, Vec<String>) {
        let source = Ledger::open(&self.path(&format!("{name}-source"))).unwrap();
        let target = Ledger::open(&self.path(&format!("{name}-target"))).unwrap();
        list(&self.source, &source, OLD, SEEN).await;
        list(&self.target, &target, NEW, SEEN).await;
        let journal = self.journal();
        let pairs = [(OLD.to_owned(), NEW.to_owned())];
        let found = reconcile(&journal, &source, &target, &pairs, true).await.unwrap();
        let folder = self.path(name);
        write_reconciliation(&journal, &found, true, &folder, false)
            .await
            .unwrap();
        let text = std::fs::read_to_string(folder.join("differences.csv")).unwrap();
        (found, text.lines().skip(1).map(str::to_owned).collect())
    }

    async fn assert_same(&self, name: &str) {
        let (found, differences) = self.compare(name).await;
        assert_eq!(differences, Vec::<String>::new(), "{name}");
        assert!(found.is_clean());
        assert_eq!(self.source.tree(OLD), self.target.tree(NEW), "{name}");
    }
}

const SEEN: ListedAs = ListedAs::Settled(Outcome::Listed, "");

async fn list(drive: &Arc<MemoryDrive>, ledger: &Ledger, name: &str, files: ListedAs) {
    let root = MemoryDrive::root(name);
    assert_eq!(root.access, Access::Readable);
    ledger
        .add_roots(vec![NewRoot {
            root,
            local: "l".to_owned(),
        }])
        .await
        .unwrap();
    let options = walk::Options {
        listings: 1,
        classify: Arc::new(move |entry, _| if entry.is_folder() { ListedAs::Walk } else { files }),
        place: Arc::new(|entry| Placement {
            plain: None,
            derived: entry.id.as_str().to_owned(),
            fold: 0,
        }),
        folder_outcome: Outcome::Stored,
        clock: Clock::new(|| Timestamp::UNIX_EPOCH),
    };
    let progress = Arc::new(Progress::default());
    walk(
        Arc::clone(drive) as Arc<dyn Drive>,
        ledger.clone(),
        options,
        Arc::new(Silent),
        progress,
        Stop::new(),
    )
    .await
    .unwrap();
}

fn old() -> Entry {
    MemoryDrive::root(OLD).entry
}

/// A source with a bit of everything.
fn fill(case: &Move) -> [Entry; 3] {
    let a = case.put(&old(), "a", None);
    let b = case.put(&old(), "b", None);
    let inner = case.put(&a, "inner", None);
    case.put(&a, "one", Some(("1", 1)));
    case.put(&a, "two", Some(("22", 2)));
    case.put(&inner, "deep", Some(("deep", 3)));
    case.put(&b, "swap1", Some(("s1", 4)));
    case.put(&b, "swap2", Some(("s2", 5)));
    case.put(&old(), "report", Some(("v1", 6)));
    case.put(&old(), "gone", Some(("g", 7)));
    case.put(&old(), "twin", Some(("t1", 8)));
    [a, b, inner]
}

/// What people do between two passes.
fn change(case: &Move, [a, b, inner]: &[Entry; 3]) {
    let source = &case.source;
    source.change(&source.find(OLD, "/a/one"), "one changed", 21);
    source.rename(&source.find(OLD, "/a/two"), b, "zwei");
    let (one, two) = (source.find(OLD, "/b/swap1"), source.find(OLD, "/b/swap2"));
    source.rename(&one, b, "swap2");
    source.rename(&two, b, "swap1");
    // Saved as many programs do: the old file goes, a new one of its name comes.
    source.delete(&source.find(OLD, "/report"));
    case.put(&old(), "report", Some(("v2", 22)));
    source.delete(&source.find(OLD, "/gone"));
    let fresh = case.put(&old(), "fresh", None);
    source.rename(inner, &fresh, "inner");
    let top = source.find(OLD, "/twin");
    source.rename(&top, a, "twin");
    source.change(&top, "t2", 23);
}

#[tokio::test]
async fn three_passes_with_changes_between_end_without_differences() {
    let mut case = Move::new();
    let folders = fill(&case);
    let first = case.pass().await;
    assert_eq!((first.pass, first.is_finished), (1, true));
    case.assert_same("first").await;

    change(&case, &folders);
    let (found, differences) = case.compare("between").await;
    assert!(!found.is_clean());
    let kinds: std::collections::BTreeSet<&str> = differences
        .iter()
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["missing", "modified", "name", "only-in-target", "place", "size"]
    );
    let second = case.pass().await;
    assert_eq!(
        (second.pass, second.removed, second.refilled, second.not_followed),
        (2, 2, 2, 0)
    );
    case.assert_same("second").await;

    case.target.calls();
    let third = case.pass().await;
    assert_eq!(
        (third.pass, third.relocated, third.refilled, third.removed),
        (3, 0, 0, 0)
    );
    let calls = case.target.calls();
    assert!(calls.is_empty(), "nothing changed: {calls:?}");
    case.assert_same("third").await;
    let csv = std::fs::read_to_string(case.path("third").join("reconciliation.csv")).unwrap();
    assert_eq!(csv.lines().nth(1), Some("users/old,users/new,7,7,4,4,25,25,0,"));
}

/// Runs `work` and ends whatever still runs then, as the end of a process does.
fn process<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

#[test]
fn killed_at_any_call_of_a_pass_it_goes_on_to_the_same_end() {
    for after_effect in [false, true] {
        for call in 1.. {
            let mut case = Move::new();
            let backup = process(async {
                let folders = fill(&case);
                case.pass().await;
                change(&case, &folders);
                case.back_up().await
            });
            case.target.die(Some(Death { call, after_effect }));
            let survived = process(async {
                tokio::select! {
                    _ = case.over(&backup) => true,
                    () = case.target.died.notified() => false,
                }
            });
            case.target.die(None);
            if survived {
                assert!(call > 12, "all calls were tried");
                break;
            }
            process(async {
                let pass = case.over(&backup).await;
                assert_eq!((pass.pass, pass.is_finished), (2, true));
                case.assert_same(&format!("call {call} {after_effect}")).await;
            });
        }
    }
}

/// The run behind a pass that was killed may be given up, and its bytes with it. The next pass brings its own.
#[test]
fn killed_at_any_call_a_pass_is_followed_by_another_that_needs_nothing_of_it() {
    for call in 1.. {
        let mut case = Move::new();
        let gone = process(async {
            fill(&case);
            let folder = case.put(&old(), "more", None);
            for number in 0..9 {
                case.put(&folder, &format!("f{number}"), Some(("bytes", number)));
            }
            let backup = case.back_up().await;
            case.target.die(Some(Death {
                call,
                after_effect: false,
            }));
            tokio::select! {
                _ = case.over(&backup) => None,
                () = case.target.died.notified() => Some(folder),
            }
        });
        case.target.die(None);
        let Some(folder) = gone else {
            assert!(call > 12, "all calls were tried");
            break;
        };
        for item in std::fs::read_dir(case.folder.path()).unwrap() {
            let path = item.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("b1-") {
                std::fs::remove_file(path).unwrap();
            }
        }
        process(async {
            case.source.delete(&case.source.find(OLD, "/more/f4"));
            case.put(&folder, "late", Some(("late", 5)));
            let pass = case.pass().await;
            assert_eq!((pass.pass, pass.is_finished), (2, true));
            assert_eq!(
                *case.problems.0.lock().unwrap(),
                Vec::<String>::new(),
                "call {call}"
            );
            case.assert_same(&format!("call {call}")).await;
        });
    }
}

#[tokio::test]
async fn a_file_is_uploaded_as_soon_as_it_is_stored() {
    let mut case = Move::new();
    let folder = case.put(&old(), "d", None);
    case.put(&folder, "first", Some(("1", 1)));
    let backup = case.back_up().await;
    let (say, feed) = watch::channel(Feed::Open);
    let running = case.pass_with(&backup, feed);
    let feeding = async {
        case.target.uploaded.notified().await;
        assert_eq!(case.target.tree(NEW), ["/d/", "/d/first=1@1"]);
        // More is listed and stored while the pass goes on.
        let mut item = backup.not_handed(0, 1).await.unwrap();
        assert!(item.is_empty());
        let late = case.put(&folder, "late", Some(("22", 2)));
        let page = crate::ledger::PageFacts::default();
        let open = crate::ledger::Listed {
            entry: late,
            placement: Placement {
                plain: None,
                derived: "late".to_owned(),
                fold: 1,
            },
            listed_as: ListedAs::Fetch,
        };
        let listed = backup
            .apply_page(2, vec![open], vec![], page, Timestamp::UNIX_EPOCH)
            .await;
        assert_eq!(listed.unwrap().files, 1);
        item = backup.not_handed(0, 1).await.unwrap();
        assert!(item.is_empty(), "it is not stored yet");
        let work = backup.pending(Family::MyDrive, 0, 1).await.unwrap().remove(0);
        case.copies.store("late", "22");
        let done = Done {
            no: work.no,
            outcome: Outcome::Stored,
            reason: String::new(),
            sha256: Some(sha256("22")),
            stored_at: Some("late".to_owned()),
            attempts: 1,
            changed: None,
            version: work.version,
        };
        backup.settle(vec![done]).await.unwrap();
        case.target.uploaded.notified().await;
        say.send_replace(Feed::Ended);
    };
    let (pass, ()) = tokio::join!(running, feeding);
    assert!(pass.is_finished);
    case.assert_same("end").await;
}

#[tokio::test]
async fn a_content_whose_overwriting_is_in_doubt_is_looked_at_and_sent_once() {
    let unavailable = Fault::Refuse(ErrorKind::Unavailable { retry_after: None });
    for (fault, uploads) in [(Fault::LoseAnswer, 1), (unavailable, 2)] {
        let mut case = Move::new();
        let file = case.put(&old(), "f", Some(("first", 1)));
        case.pass().await;
        case.source.change(&file, "second", 2);
        case.target.calls();
        case.target.fault("upload", 1, fault.clone());
        let pass = case.pass().await;
        assert_eq!((pass.refilled, pass.not_followed), (1, 0), "{fault:?}");
        assert_eq!(case.target.tree(NEW), ["/f=second@2"], "{fault:?}");
        assert_eq!(case.target.calls()["upload"], uploads, "{fault:?}");
    }
}

#[tokio::test]
async fn a_second_look_at_a_content_that_shall_follow_leaves_what_others_did() {
    type Doing = fn(&MemoryDrive, &Entry);
    let nothing: Doing = |_, _| {};
    let cases: [(&str, Doing, &str); 4] = [
        ("nothing happened", nothing, "send over"),
        (
            "it arrived",
            |drive, there| drive.change(there, "second", 2),
            "overwritten",
        ),
        (
            "it was changed",
            |drive, there| drive.change(there, "by people", 9),
            "skipped target-changed",
        ),
        (
            "it was moved",
            |drive, there| drive.rename(there, &MemoryDrive::root(NEW).entry, "elsewhere"),
            "skipped target-moved",
        ),
    ];
    for (what, doing, expected) in cases {
        let mut case = Move::new();
        let file = case.put(&old(), "f", Some(("first", 1)));
        case.pass().await;
        case.source.change(&file, "second", 2);
        case.target.calls();
        case.target.fault("upload", 1, Fault::Refuse(ErrorKind::Denied));
        case.pass().await;
        doing(&case.target, &case.target.find(NEW, "/f"));
        let journal = case.journal();
        let work = journal.follows(0, 1).await.unwrap().remove(0);
        let naming = case.options.restore.naming;
        let listing = journal.begin_there(work.folder).await.unwrap();
        let page = case.target.children(&work.parent, None).await.unwrap();
        journal
            .add_there(work.folder, listing, page.entries, naming.fold)
            .await
            .unwrap();
        journal.end_there(work.folder, listing).await.unwrap();
        let found = match journal
            .decide_upload(work.no, naming, false, Vec::new())
            .await
            .unwrap()
        {
            Some(Again::Work(work)) => match work.choice {
                Choice::Send {
                    name,
                    renamed: false,
                    over: Some(_),
                } if name == "f" => "send over".to_owned(),
                other => format!("{other:?}"),
            },
            Some(Again::Settled(settled)) => format!("{} {}", settled.outcome.as_str(), settled.reason)
                .trim_end()
                .to_owned(),
            None => "nothing".to_owned(),
        };
        assert_eq!(found, expected, "{what}");
    }
}

#[tokio::test]
async fn what_people_changed_in_the_target_is_left_alone_and_told() {
    let mut case = Move::new();
    for name in ["edited", "moved", "removed", "gone-edited", "fine"] {
        case.put(&old(), name, Some((name, 1)));
    }
    case.pass().await;
    let new = MemoryDrive::root(NEW).entry;
    let target = Arc::clone(&case.target);
    target.change(&target.find(NEW, "/edited"), "by people", 50);
    target.rename(&target.find(NEW, "/moved"), &new, "moved by people");
    target.delete(&target.find(NEW, "/removed"));
    target.change(&target.find(NEW, "/gone-edited"), "by people too", 51);
    for name in ["edited", "moved", "removed", "fine"] {
        let entry = case.source.find(OLD, &format!("/{name}"));
        case.source.change(&entry, "by the owner", 60);
    }
    case.source.delete(&case.source.find(OLD, "/gone-edited"));
    let pass = case.pass().await;
    assert_eq!((pass.refilled, pass.removed, pass.not_followed), (1, 0, 4));
    assert_eq!(
        case.target.tree(NEW),
        [
            "/edited=by people@50",
            "/fine=by the owner@60",
            "/gone-edited=by people too@51",
            "/moved by people=moved@1"
        ]
    );
    let (_, differences) = case.compare("end").await;
    assert_eq!(
        differences,
        [
            "missing,users/old,/removed,users/new,,skipped: target-gone",
            "size,users/old,/edited,users/new,/edited,skipped: target-changed",
            "size,users/old,/moved,users/new,/moved by people,skipped: target-moved",
            "only-in-target,,,users/new,/gone-edited,",
        ]
    );
    // They are tried again in the next pass, and left alone again.
    let pass = case.pass().await;
    assert_eq!((pass.refilled, pass.removed, pass.not_followed), (0, 0, 4));
}

#[tokio::test]
async fn nothing_is_removed_unasked_beyond_the_limit_or_on_a_listing_with_gaps() {
    for (deletions, fault, names, guarded) in [
        (None, false, 3, 0),
        (Some(0.5), false, 3, 1),
        (Some(0.7), true, 3, 0),
        (Some(0.7), false, 1, 0),
    ] {
        let mut case = Move::new();
        case.put(&old(), "stays", None);
        for name in ["x", "y"] {
            case.put(&old(), name, Some((name, 1)));
        }
        case.options.deletions = deletions;
        case.pass().await;
        for path in ["/x", "/y"] {
            case.source.delete(&case.source.find(OLD, path));
        }
        case.source.calls();
        if fault {
            case.source
                .fault("children", 2, Fault::Refuse(crate::drive::ErrorKind::Denied));
        }
        let pass = case.pass().await;
        assert_eq!(case.target.tree(NEW).len(), names, "{deletions:?} {fault}");
        assert_eq!(pass.guarded.len(), guarded);
        assert_eq!(pass.removed, 3 - names as u64);
    }
}

#[tokio::test]
async fn a_folder_with_something_of_others_is_not_removed() {
    let mut case = Move::new();
    let folder = case.put(&old(), "d", None);
    let file = case.put(&folder, "f", Some(("f", 1)));
    case.pass().await;
    case.target
        .put(&case.target.find(NEW, "/d"), "theirs", Some(("t", 9)));
    case.source.delete(&file);
    case.source.delete(&folder);
    let pass = case.pass().await;
    assert_eq!((pass.removed, pass.not_followed), (1, 1));
    assert_eq!(case.target.tree(NEW), ["/d/", "/d/theirs=t@9"]);
}

#[tokio::test]
async fn a_backup_that_stopped_leaves_the_pass_open() {
    let mut case = Move::new();
    case.put(&old(), "f", Some(("f", 1)));
    case.pass().await;
    case.source.delete(&case.source.find(OLD, "/f"));
    case.put(&old(), "g", Some(("g", 1)));
    let backup = case.back_up().await;
    let (_feed, feed) = watch::channel(Feed::Stopped);
    let pass = case.pass_with(&backup, feed).await;
    assert_eq!((pass.pass, pass.is_finished, pass.removed), (2, false, 0));
    assert_eq!(case.target.tree(NEW), ["/f=f@1", "/g=g@1"]);
    let pass = case.over(&backup).await;
    assert_eq!((pass.pass, pass.is_finished, pass.removed), (2, true, 1));
}

#[tokio::test]
async fn permissions_are_recorded_for_each_drive_and_folder_that_has_its_own() {
    let drive = MemoryDrive::new();
    let root = MemoryDrive::root("sharedrives/@1").entry;
    let own = drive.put(&root, "own", None);
    let under = drive.put(&own, "under", None);
    let denied = drive.put(&root, "denied", None);
    for (folder, by) in [(&own, &own), (&under, &own), (&denied, &denied)] {
        drive.guard(folder, by);
    }
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger")).unwrap();
    list(&drive, &ledger, "sharedrives/@1", SEEN).await;
    drive.fault("detail", 3, Fault::Refuse(crate::drive::ErrorKind::Denied));
    let target = folder.path().join("permissions.csv");
    let recorded = record_permissions(&*drive, &ledger, &target, false)
        .await
        .unwrap();
    assert_eq!(recorded, (2, 1));
    assert_eq!(
        std::fs::read_to_string(target).unwrap(),
        "drive,path,id,permissions,reason\n\
         sharedrives/@1,/,root,\"[\"\"who may read root\"\"]\",\n\
         sharedrives/@1,/own,n1,\"[\"\"who may read n1\"\"]\",\n\
         sharedrives/@1,/denied,n3,,denied\n"
    );
}
