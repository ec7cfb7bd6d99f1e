//! Fetches from a drive that answers by a script.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::stream;
use serde_json::Value;

use super::*;
use crate::archive::{Archive, Durability, Head, plain_or_derived};
use crate::drive::{
    ByteSource, Detail, Download, NewFile, Page, PageToken, Party, PartyKind, Sharing, SharingChange,
};
use crate::entry::{Kind, Root, Scope};
use crate::id::{DriveId, FileId};
use crate::monitor::Tally;
use crate::path::DrivePath;

/// What is answered next, and how often was asked.
#[derive(Debug, Default)]
struct Script {
    downloads: Mutex<VecDeque<Result<Vec<Piece>, ErrorKind>>>,
    stats: Mutex<VecDeque<Result<u64, ErrorKind>>>,
}

impl Script {
    fn new(
        downloads: impl IntoIterator<Item = Result<Vec<Piece>, ErrorKind>>,
        stats: impl IntoIterator<Item = Result<u64, ErrorKind>>,
    ) -> Script {
        Script {
            downloads: Mutex::new(downloads.into_iter().collect()),
            stats: Mutex::new(stats.into_iter().collect()),
        }
    }

    fn is_used_up(&self) -> bool {
        self.downloads.lock().unwrap().is_empty() && self.stats.lock().unwrap().is_empty()
    }
}

fn refused<T>(kind: ErrorKind) -> drive::Result<T> {
    Err(drive::Error::new(kind, "download", "f", "by the script"))
}

fn unused<T>() -> drive::Result<T> {
    refused(ErrorKind::Unsupported)
}

#[async_trait]
impl Drive for Script {
    async fn stat(&self, entry: &Entry) -> drive::Result<Entry> {
        match self.stats.lock().unwrap().pop_front() {
            Some(Ok(size)) => Ok(Entry {
                size: Some(size),
                ..entry.clone()
            }),
            Some(Err(kind)) => refused(kind),
            None => unused(),
        }
    }
    async fn download(&self, _: &Entry, _: u64) -> drive::Result<Download> {
        match self.downloads.lock().unwrap().pop_front() {
            Some(Ok(pieces)) => Ok(Download {
                from: 0,
                size: None,
                attempts: 1,
                body: stream::iter(pieces).map(Ok).boxed(),
            }),
            Some(Err(kind)) => refused(kind),
            None => unused(),
        }
    }
    async fn roots(&self, _: &Scope) -> drive::Result<Vec<Root>> {
        unused()
    }
    async fn children(&self, _: &Entry, _: Option<&PageToken>) -> drive::Result<Page> {
        unused()
    }
    async fn create_folder(&self, _: &Entry, _: &str) -> drive::Result<Entry> {
        unused()
    }
    async fn upload(&self, _: &Entry, _: &NewFile, _: &dyn ByteSource) -> drive::Result<Entry> {
        unused()
    }
    async fn remove(&self, _: &Entry) -> drive::Result<()> {
        unused()
    }
    async fn relocate(&self, _: &Entry, _: Option<&Entry>, _: Option<&str>) -> drive::Result<Entry> {
        unused()
    }
    async fn detail(&self, _: &Entry, _: Detail) -> drive::Result<Vec<Value>> {
        unused()
    }
    async fn sharing(&self, _: &Entry) -> drive::Result<Sharing> {
        unused()
    }
    async fn change_sharing(&self, _: &Entry, _: &SharingChange) -> drive::Result<()> {
        unused()
    }
    async fn parties(&self, _: PartyKind) -> drive::Result<Vec<Party>> {
        unused()
    }
}

/// A run in a folder of its own.
struct Place {
    run: Run,
    tally: Tally,
    _folder: tempfile::TempDir,
}

fn local(name: &str) -> LocalPath {
    LocalPath::of_drive(&DriveId::new("me")).join(&plain_or_derived(name, name), false)
}

fn work(size: u64) -> Work {
    let mut entry = Entry::root(DriveId::new("me"), FileId::new("id"));
    entry.kind = Kind::File;
    entry.name = "f".to_owned();
    entry.size = Some(size);
    Work {
        no: 1,
        entry,
        path: DrivePath::from_text("/f"),
        local: local("f").to_string(),
        earlier: None,
        version: 0,
    }
}

fn bytes(count: usize) -> Vec<Piece> {
    vec![Piece::Bytes(Bytes::from(vec![7; count]))]
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
        Place {
            run: archive.begin(&Head::default(), Durability::None).unwrap(),
            tally: Tally::default(),
            _folder: folder,
        }
    }

    async fn fetch(&self, drive: &Script, work: &Work) -> Result<Fetched, Error> {
        let throttle = Throttle::new(None);
        let fetch = Fetch {
            drive,
            run: &self.run,
            monitor: &self.tally,
            throttle: &throttle,
            attempts: 3,
            slot: 0,
        };
        fetch.fetch(work).await
    }

    async fn settled(&self, drive: &Script, work: &Work) -> Settled {
        match self.fetch(drive, work).await.unwrap() {
            Fetched::Settled(settled) => settled,
            other => panic!("{other:?}"),
        }
    }
}

fn reason(settled: &Settled) -> &str {
    settled.done.as_ref().map_or("", |done| &done.reason)
}

#[tokio::test]
async fn bytes_of_another_number_than_listed_are_asked_for_again_and_then_a_failure() {
    let place = Place::new();
    let script = Script::new([Ok(bytes(3)), Ok(bytes(2)), Ok(bytes(9))], [Ok(5), Ok(5), Ok(5)]);
    let settled = place.settled(&script, &work(5)).await;
    assert_eq!(
        (settled.outcome, reason(&settled)),
        (Outcome::Failed, "size-mismatch")
    );
    assert_eq!(settled.message, "5 bytes are listed, 9 came");
    assert_eq!(settled.done.unwrap().attempts, 3);
    assert_eq!(place.tally.get(Counter::Retries), 2);
    assert!(script.is_used_up());
}

#[tokio::test]
async fn a_file_that_grew_is_taken_as_it_now_is() {
    let place = Place::new();
    let script = Script::new([Ok(bytes(6)), Ok(bytes(6))], [Ok(6)]);
    let Fetched::Whole(whole) = place.fetch(&script, &work(5)).await.unwrap() else {
        panic!("a small file is whole in memory");
    };
    assert_eq!(whole.bytes.concat(), [7; 6]);
    assert_eq!(whole.done.changed.unwrap().size, Some(6));
    assert_eq!(whole.done.attempts, 2);
    assert!(script.is_used_up());
}

#[tokio::test]
async fn two_parts_that_nobody_vouches_for_are_one_file_only_while_it_stays_as_it_was() {
    let place = Place::new();
    let parts = |same| {
        let mut pieces = bytes(3);
        pieces.push(Piece::Resumed { same });
        pieces.extend(bytes(2));
        Ok(pieces)
    };
    for (script, length) in [
        (Script::new([parts(true)], []), 5),
        (Script::new([parts(false)], [Ok(5)]), 5),
        (Script::new([parts(false), Ok(bytes(6))], [Ok(6)]), 6),
    ] {
        let Fetched::Whole(whole) = place.fetch(&script, &work(5)).await.unwrap() else {
            panic!("a small file is whole in memory");
        };
        assert_eq!(whole.bytes.concat(), vec![7; length]);
        assert!(script.is_used_up());
    }
}

#[tokio::test]
async fn a_file_that_is_gone_vanished_and_one_that_is_there_failed() {
    let place = Place::new();
    let gone = Script::new([Err(ErrorKind::NotFound)], [Err(ErrorKind::NotFound)]);
    assert_eq!(place.settled(&gone, &work(5)).await.outcome, Outcome::Vanished);
    let there = Script::new([Err(ErrorKind::NotFound)], [Ok(5)]);
    let settled = place.settled(&there, &work(5)).await;
    assert_eq!(
        (settled.outcome, reason(&settled)),
        (Outcome::Failed, "not-found")
    );
    assert!(gone.is_used_up() && there.is_used_up());
}

#[tokio::test]
async fn a_refused_token_ends_the_run_and_a_stop_leaves_the_file_pending() {
    let place = Place::new();
    let refused = Script::new([Err(ErrorKind::Unauthenticated)], []);
    assert!(matches!(
        place.fetch(&refused, &work(5)).await,
        Err(Error::Drive(_))
    ));
    let stopped = Script::new([Err(ErrorKind::Cancelled)], []);
    assert!(matches!(
        place.fetch(&stopped, &work(5)).await,
        Ok(Fetched::Cancelled)
    ));
}

#[tokio::test]
async fn a_large_file_takes_the_place_of_one_that_nobody_accounts_for_but_not_of_a_folder() {
    const LARGE: usize = PORTION + 1;
    let place = Place::new();
    place.run.store(&local("f"), &["older"], None, None).unwrap();
    let script = Script::new([Ok(bytes(LARGE)), Ok(bytes(LARGE))], []);
    let settled = place.settled(&script, &work(LARGE as u64)).await;
    assert_eq!((settled.outcome, settled.bytes), (Outcome::Stored, LARGE as u64));
    assert!(script.is_used_up());

    place.run.evict(&local("f")).unwrap();
    place.run.make_folder(&local("f")).unwrap();
    let script = Script::new([Ok(bytes(LARGE))], []);
    let settled = place.settled(&script, &work(LARGE as u64)).await;
    assert_eq!((settled.outcome, reason(&settled)), (Outcome::Failed, "archive"));
    assert!(script.is_used_up());
}

#[test]
fn a_small_file_that_cannot_be_stored_fails_alone() {
    let work = work(5);
    let path = std::path::PathBuf::from("f");
    let failed = kept(
        &work,
        2,
        Err(keep::Error::Archive(archive::Error::Occupied(path))),
    );
    let settled = failed.unwrap();
    assert_eq!((settled.outcome, reason(&settled)), (Outcome::Failed, "archive"));
    assert_eq!(settled.done.unwrap().attempts, 2);
    let stored = kept(&work, 1, Ok(5)).unwrap();
    assert!(stored.done.is_none() && stored.bytes == 5);
}
