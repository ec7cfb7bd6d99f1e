//! What goes into the ledger comes out of it: once, in order, and accounted for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::mpsc::sync_channel;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::drive::{BrokenItem, PageToken};
use crate::entry::{Access, Entry, Kind, Root};
use crate::id::{DriveId, Family, FileId};
use crate::manifest::{Earlier, Outcome, Row};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn entry(kind: Kind, id: &str, name: &str) -> Entry {
    let mut entry = Entry::root(DriveId::new("me"), FileId::new(id));
    entry.kind = kind;
    entry.name = name.to_owned();
    entry.size = Some(3);
    entry.modified = Some(at(1000));
    entry
        .properties
        .other
        .insert("unknown".to_owned(), json!({"kept": [1, null]}));
    entry
}

fn listed(entry: Entry) -> Listed {
    let listed_as = if entry.is_folder() {
        ListedAs::Walk
    } else {
        ListedAs::Fetch
    };
    let placement = Placement {
        plain: Some(entry.name.clone()),
        derived: format!("{}~{}", entry.name, entry.id),
        fold: u64::from_le_bytes(*b"twinning") ^ entry.name.to_lowercase().len() as u64,
    };
    Listed {
        entry,
        placement,
        listed_as,
    }
}

fn file(id: &str, name: &str) -> Listed {
    listed(entry(Kind::File, id, name))
}

fn folder(id: &str, name: &str) -> Listed {
    listed(entry(Kind::Folder, id, name))
}

fn end() -> PageFacts {
    PageFacts {
        next: None,
        full_end: false,
        closed_as: Some(Outcome::Stored),
    }
}

fn more() -> PageFacts {
    PageFacts {
        next: Some(PageToken("next".to_owned())),
        ..end()
    }
}

fn done(work: &Work, outcome: Outcome) -> Done {
    let no = work.no;
    Done {
        no,
        version: work.version,
        outcome,
        reason: String::new(),
        sha256: Some("00".to_owned()),
        stored_at: Some(format!("here/{no}")),
        attempts: 1,
        changed: None,
    }
}

async fn ledger_with_root() -> (tempfile::TempDir, Ledger, i64) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
    let root = Root {
        entry: Entry::root(DriveId::new("me"), FileId::new(FileId::ROOT)),
        name: "Taro".to_owned(),
        quota: None,
        access: Access::Readable,
    };
    ledger
        .add_roots(vec![NewRoot {
            root,
            local: "me".to_owned(),
        }])
        .await
        .unwrap();
    let open = ledger.open_folders(Family::MyDrive, 0, 10).await.unwrap();
    assert_eq!(open.len(), 1);
    (folder, ledger, open[0].no)
}

async fn rows(ledger: &Ledger) -> Vec<Row> {
    let (sender, receiver) = sync_channel(10_000);
    let taken = ledger
        .rows(move |rows| {
            rows.into_iter()
                .try_for_each(|row| sender.send(row).map_err(drop))
        })
        .await
        .unwrap();
    taken.unwrap();
    receiver.iter().collect()
}

#[tokio::test]
async fn pages_become_rows_in_order_and_the_count_is_proven() {
    let (_folder, ledger, root) = ledger_with_root().await;
    let page = vec![file("1", "b"), folder("2", "a"), file("3", "a!")];
    let applied = ledger
        .apply_page(root, page, vec![], more(), at(1))
        .await
        .unwrap();
    assert_eq!(
        applied,
        Applied {
            files: 2,
            bytes: 6,
            folders: 1,
            ..Applied::default()
        }
    );
    let broken = BrokenItem {
        id: None,
        name: None,
        reason: "no-id",
        raw: json!({"x": 1}),
    };
    let applied = ledger
        .apply_page(root, vec![file("1", "b")], vec![broken], end(), at(1))
        .await
        .unwrap();
    assert_eq!(
        applied,
        Applied {
            repeated: 1,
            broken: 1,
            ..Applied::default()
        }
    );

    let open = ledger.open_folders(Family::MyDrive, root, 10).await.unwrap();
    assert_eq!(
        open.iter().map(|work| work.path.as_str()).collect::<Vec<_>>(),
        ["/a"]
    );
    ledger
        .apply_page(open[0].no, vec![file("4", "in")], vec![], end(), at(1))
        .await
        .unwrap();
    for work in ledger.pending(Family::MyDrive, 0, 10).await.unwrap() {
        ledger.settle(vec![done(&work, Outcome::Stored)]).await.unwrap();
    }
    assert!(!ledger.has_pending().await.unwrap());

    let rows = rows(&ledger).await;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.path.as_str(), row.outcome, row.reason.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("/", Outcome::Failed, "no-id"),
            ("/a", Outcome::Stored, ""),
            ("/a!", Outcome::Stored, ""),
            ("/a/in", Outcome::Stored, ""),
            ("/b", Outcome::Stored, ""),
        ]
    );
    assert_eq!(rows[4].entry, entry(Kind::File, "1", "b"));
    assert_eq!(rows[1].entry.kind, Kind::Folder);
    let facts = &ledger.root_facts().await.unwrap()[0];
    assert_eq!(
        (facts.pages, facts.listed, facts.accounted, facts.repeated),
        (3, 5, 5, 1)
    );
    assert_eq!(facts.gaps(), Vec::<String>::new());
}

#[tokio::test]
async fn twins_get_places_of_their_own_and_deep_folders_short_ones() {
    let (_folder, ledger, root) = ledger_with_root().await;
    let long = "x".repeat(250);
    let page = vec![
        file("1", "Note"),
        file("2", "note"),
        file("3", "note"),
        folder("d", &long),
    ];
    ledger.apply_page(root, page, vec![], end(), at(1)).await.unwrap();
    let pending = ledger.pending(Family::MyDrive, 0, 10).await.unwrap();
    let places: Vec<_> = pending.iter().map(|work| work.local.as_str()).collect();
    assert_eq!(places, ["me/Note", "me/note~2", "me/note~3"]);

    let mut after = root;
    let mut deepest = String::new();
    for level in 0..20 {
        let open = ledger.open_folders(Family::MyDrive, after, 1).await.unwrap();
        after = open[0].no;
        let inside = vec![
            folder(&format!("d{level}"), &long),
            file(&format!("f{level}"), "f"),
        ];
        ledger
            .apply_page(after, inside, vec![], end(), at(1))
            .await
            .unwrap();
        deepest = ledger
            .pending(Family::MyDrive, 0, 100)
            .await
            .unwrap()
            .pop()
            .unwrap()
            .local;
        assert!(deepest.len() <= 3000, "{}", deepest.len());
    }
    assert!(deepest.contains("~d1"), "{deepest}");
}

#[tokio::test]
async fn a_content_that_was_listed_anew_while_it_came_is_fetched_again() {
    let (_folder, ledger, root) = ledger_with_root().await;
    let page = vec![file("1", "moved"), file("2", "same")];
    ledger
        .apply_page(root, page, vec![], more(), at(1))
        .await
        .unwrap();
    let under_way = ledger.pending(Family::MyDrive, 0, 10).await.unwrap();
    let mut changed = file("1", "moved");
    changed.entry.size = Some(4);
    let page = vec![changed, file("2", "same")];
    ledger.apply_page(root, page, vec![], end(), at(1)).await.unwrap();
    let settled = under_way.iter().map(|work| done(work, Outcome::Stored)).collect();
    ledger.settle(settled).await.unwrap();
    let pending = ledger.pending(Family::MyDrive, 0, 10).await.unwrap();
    let waiting: Vec<_> = pending
        .iter()
        .map(|work| (work.entry.name.as_str(), work.entry.size))
        .collect();
    assert_eq!(waiting, [("moved", Some(4))]);
    ledger
        .settle(vec![done(&pending[0], Outcome::Stored)])
        .await
        .unwrap();
    assert!(!ledger.has_pending().await.unwrap());
}

#[tokio::test]
async fn what_the_disk_has_not_got_is_doubtful() {
    let (_folder, ledger, root) = ledger_with_root().await;
    let page = vec![file("1", "a"), file("2", "b"), file("3", "c")];
    ledger.apply_page(root, page, vec![], end(), at(1)).await.unwrap();
    let works = ledger.pending(Family::MyDrive, 0, 10).await.unwrap();
    ledger
        .settle(vec![done(&works[0], Outcome::Stored)])
        .await
        .unwrap();
    let batch = ledger.seal().await.unwrap();
    ledger
        .settle(vec![done(&works[1], Outcome::Reused)])
        .await
        .unwrap();
    let doubtful = |after| ledger.doubtful(after, 10);
    let numbers = |files: Vec<Doubtful>| files.into_iter().map(|file| file.no).collect::<Vec<_>>();
    assert_eq!(numbers(doubtful(0).await.unwrap()), [works[0].no, works[1].no]);
    ledger.synced(batch).await.unwrap();
    let [left] = doubtful(0).await.unwrap().try_into().unwrap();
    let expected = Doubtful {
        no: works[1].no,
        stored_at: format!("here/{}", works[1].no),
        sha256: "00".to_owned(),
        size: Some(3),
        is_reused: true,
    };
    assert_eq!(left, expected);
    assert_eq!(doubtful(works[1].no).await.unwrap(), Vec::new());
    ledger.reopen(vec![works[1].no]).await.unwrap();
    let names: Vec<_> = ledger.pending(Family::MyDrive, 0, 10).await.unwrap();
    let names: Vec<_> = names.iter().map(|work| work.entry.name.as_str()).collect();
    assert_eq!(names, ["b", "c"]);
}

#[tokio::test]
async fn files_are_where_they_were_put_at_home_or_elsewhere() {
    let (_folder, ledger, root) = ledger_with_root().await;
    ledger.set_home("night/files/".to_owned()).await.unwrap();
    let page = vec![file("1", "a"), file("2", "b"), file("3", "c")];
    ledger.apply_page(root, page, vec![], end(), at(1)).await.unwrap();
    let works = ledger.pending(Family::MyDrive, 0, 10).await.unwrap();
    let places = [Some("night/files/me/a"), Some("earlier/files/me/b"), None];
    let settled = works.iter().zip(places).map(|(work, place)| Done {
        stored_at: place.map(str::to_owned),
        ..done(work, Outcome::Stored)
    });
    ledger.settle(settled.collect()).await.unwrap();
    let told: Vec<_> = rows(&ledger).await.into_iter().map(|row| row.stored_at).collect();
    assert_eq!(told, places.map(|place| place.map(str::to_owned)));
    let handed = ledger.not_handed(0, 10).await.unwrap();
    let handed: Vec<_> = handed.into_iter().map(|handed| handed.row.stored_at).collect();
    assert_eq!(handed, told);
    let doubtful = ledger.doubtful(0, 10).await.unwrap();
    let doubtful: Vec<_> = doubtful.iter().map(|file| file.stored_at.as_str()).collect();
    assert_eq!(doubtful, ["night/files/me/a", "earlier/files/me/b"]);
    let (sender, receiver) = std::sync::mpsc::channel();
    ledger
        .stored_places(move |_, place| sender.send(place.to_owned()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        receiver.iter().collect::<Vec<_>>(),
        ["night/files/me/a", "earlier/files/me/b"]
    );
}

#[tokio::test]
async fn a_state_that_is_left_keeps_its_log_and_loses_nothing() {
    let (folder, ledger, root) = ledger_with_root().await;
    let page = vec![file("1", "b")];
    ledger
        .apply_page(root, page, vec![], more(), at(1))
        .await
        .unwrap();
    let before = rows(&ledger).await;
    let (path, log) = (
        folder.path().join("ledger.sqlite"),
        folder.path().join("ledger.sqlite-wal"),
    );
    ledger.leave().await;
    assert!(log.metadata().unwrap().len() > 0);
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(rows(&ledger).await, before);
    ledger.close().await;
    assert!(!log.exists());
}

#[tokio::test]
async fn a_state_that_is_closed_is_on_the_disk_and_reads_whole() {
    let (folder, ledger, _) = ledger_with_root().await;
    let other = ledger.clone();
    ledger.close().await;
    assert!(other.has_pending().await.is_err());
    let path = folder.path().join("ledger.sqlite");
    assert!(!folder.path().join("ledger.sqlite-wal").exists());
    let ledger = Ledger::open(&path).unwrap();
    ledger.check().await.unwrap();
    ledger.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    // The heads of all pages but the first: what lies between them may be free space.
    for page in bytes.chunks_mut(2048).skip(1) {
        page[..8].fill(0xff);
    }
    std::fs::write(&path, bytes).unwrap();
    let damaged = match Ledger::open(&path) {
        Ok(ledger) => ledger.check().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(damaged.is_damaged(), "{damaged}");
}

#[tokio::test]
async fn a_resumed_run_lists_what_is_open_and_fetches_what_is_pending() {
    let (_folder, ledger, root) = ledger_with_root().await;
    let page = vec![file("1", "kept"), file("2", "failed"), file("3", "changed")];
    ledger
        .apply_page(root, page, vec![], more(), at(1))
        .await
        .unwrap();
    let works = ledger.pending(Family::MyDrive, 0, 10).await.unwrap();
    let outcomes = [Outcome::Stored, Outcome::Failed, Outcome::Stored];
    for (work, outcome) in works.iter().zip(outcomes) {
        ledger.settle(vec![done(work, outcome)]).await.unwrap();
    }
    assert_eq!(ledger.resume(at(0)).await.unwrap(), 1);
    let mut changed = file("3", "changed");
    changed.entry.size = Some(4);
    let page = vec![file("1", "kept"), file("2", "failed"), changed, file("4", "new")];
    ledger
        .apply_page(root, page, vec![], end(), at(10))
        .await
        .unwrap();
    let pending = ledger.pending(Family::MyDrive, 0, 10).await.unwrap();
    let names: Vec<_> = pending.iter().map(|work| work.entry.name.as_str()).collect();
    assert_eq!(names, ["failed", "changed", "new"]);
    assert_eq!(pending[1].entry.size, Some(4));
    let facts = &ledger.root_facts().await.unwrap()[0];
    assert_eq!((facts.listed, facts.accounted), (4, 4));

    assert_eq!(
        ledger.resume(at(10)).await.unwrap(),
        0,
        "a folder closed at that time stays closed"
    );
    assert_eq!(ledger.resume(at(11)).await.unwrap(), 1);
}

#[tokio::test]
async fn the_later_copy_of_the_basis_counts() {
    let (_folder, ledger, root) = ledger_with_root().await;
    let copy = |place: &str, proven| Earlier {
        size: 3,
        modified: Some(at(1000)),
        sha256: "00".to_owned(),
        stored_at: place.to_owned(),
        proven,
    };
    let (sender, receiver) = sync_channel(10_000);
    for number in 0..5000 {
        sender
            .send(("me".to_owned(), number.to_string(), copy("first", true)))
            .unwrap();
    }
    sender
        .send(("me".to_owned(), "7".to_owned(), copy("second", false)))
        .unwrap();
    sender
        .send(("users/other".to_owned(), "8".to_owned(), copy("not mine", true)))
        .unwrap();
    drop(sender);
    assert_eq!(ledger.load_basis(receiver).await.unwrap(), 5002);
    let page = vec![file("7", "a"), file("8", "b"), file("none", "c")];
    ledger.apply_page(root, page, vec![], end(), at(1)).await.unwrap();
    let works = ledger.pending(Family::MyDrive, 0, 10).await.unwrap();
    let earlier: Vec<_> = works.into_iter().map(|work| work.earlier).collect();
    assert_eq!(
        earlier,
        [Some(copy("second", false)), Some(copy("first", true)), None]
    );
}

#[tokio::test]
async fn a_folder_that_fails_and_a_root_that_is_refused_are_gaps() {
    let (_folder, ledger, root) = ledger_with_root().await;
    ledger
        .apply_page(root, vec![folder("2", "sub")], vec![], end(), at(1))
        .await
        .unwrap();
    let open = ledger.open_folders(Family::MyDrive, root, 10).await.unwrap();
    ledger
        .end_folder(open[0].no, Outcome::Failed, "denied".to_owned())
        .await
        .unwrap();
    let refused = Root {
        entry: Entry::root(DriveId::new("users/x"), FileId::new(FileId::ROOT)),
        name: "x".to_owned(),
        quota: None,
        access: Access::Refused {
            reason: "suspended".to_owned(),
            message: "gone".to_owned(),
        },
    };
    ledger
        .add_roots(vec![NewRoot {
            root: refused,
            local: "users/x".to_owned(),
        }])
        .await
        .unwrap();
    let rows = rows(&ledger).await;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.entry.drive.as_str(), row.path.as_str(), row.reason.as_str()))
        .collect();
    assert_eq!(seen, [("me", "/sub", "denied"), ("users/x", "/", "suspended")]);
    let gaps: Vec<usize> = ledger
        .root_facts()
        .await
        .unwrap()
        .iter()
        .map(|facts| facts.gaps().len())
        .collect();
    assert_eq!(gaps, [1, 1]);
}

#[tokio::test]
async fn what_is_known_is_known_again_when_a_ledger_is_opened() {
    let (folder, ledger, root) = ledger_with_root().await;
    let page = || vec![file("1", "a"), file("2", "b")];
    let applied = ledger
        .apply_page(root, page(), vec![], more(), at(1))
        .await
        .unwrap();
    assert_eq!((applied.files, applied.repeated), (2, 0));
    ledger.close().await;
    let ledger = Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
    let mut again = page();
    again[1].entry.size = Some(4);
    again.push(file("3", "c"));
    let applied = ledger
        .apply_page(root, again, vec![], end(), at(2))
        .await
        .unwrap();
    assert_eq!((applied.files, applied.repeated), (1, 2));
    let sizes: Vec<_> = rows(&ledger).await.iter().map(|row| row.entry.size).collect();
    assert_eq!(sizes, [Some(3), Some(4), Some(3)], "the newest listing counts");
}

#[tokio::test]
async fn what_a_full_disk_takes_back_is_not_known() {
    let (_folder, ledger, root) = ledger_with_root().await;
    let page = || (0..200).map(|number| file(&number.to_string(), &"n".repeat(number + 1)));
    let set = |pages: i64| {
        ledger.change(move |transaction| {
            let asked = format!("PRAGMA max_page_count = {pages}");
            transaction.query_row(&asked, [], |row| row.get::<_, i64>(0))
        })
    };
    // SQLite takes the pages that there are when fewer are asked for.
    set(1).await.unwrap();
    let failed = ledger
        .apply_page(root, page().collect(), vec![], more(), at(1))
        .await;
    assert!(failed.unwrap_err().is_full());
    set(1_000_000).await.unwrap();
    let applied = ledger
        .apply_page(root, page().collect(), vec![], end(), at(2))
        .await
        .unwrap();
    assert_eq!((applied.files, applied.repeated), (200, 0));
    assert_eq!(rows(&ledger).await.len(), 200);
}
