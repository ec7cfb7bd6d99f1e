//! Spot checks.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::Value;

use super::*;
use crate::drive::{
    ByteSource, Detail, Download, Drive, Error, ErrorKind, NewFile, Page, PageToken, Party, PartyKind, Piece,
    Result, Sharing, SharingChange,
};
use crate::entry::{Root, Scope};

/// A drive that knows some files by id, and counts what it is asked.
#[derive(Debug, Default)]
struct Table {
    files: HashMap<String, (Entry, Vec<Piece>)>,
    calls: Mutex<Vec<&'static str>>,
}

impl Table {
    fn find(&self, call: &'static str, entry: &Entry) -> Result<&(Entry, Vec<Piece>)> {
        self.calls.lock().unwrap().push(call);
        self.files
            .get(entry.id.as_str())
            .ok_or_else(|| Error::new(ErrorKind::NotFound, call, entry.name.clone(), "gone"))
    }

    fn count(&self, call: &str) -> usize {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .filter(|made| **made == call)
            .count()
    }
}

fn unused<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "x", "x", "x"))
}

#[async_trait]
impl Drive for Table {
    async fn stat(&self, entry: &Entry) -> Result<Entry> {
        self.find("stat", entry).map(|(entry, _)| entry.clone())
    }
    async fn download(&self, file: &Entry, _: u64) -> Result<Download> {
        let (_, pieces) = self.find("download", file)?;
        Ok(Download {
            from: 0,
            size: None,
            attempts: 1,
            body: stream::iter(pieces.clone()).map(Ok).boxed(),
        })
    }
    async fn roots(&self, _: &Scope) -> Result<Vec<Root>> {
        unused()
    }
    async fn children(&self, _: &Entry, _: Option<&PageToken>) -> Result<Page> {
        unused()
    }
    async fn create_folder(&self, _: &Entry, _: &str) -> Result<Entry> {
        unused()
    }
    async fn upload(&self, _: &Entry, _: &NewFile, _: &dyn ByteSource) -> Result<Entry> {
        unused()
    }
    async fn remove(&self, _: &Entry) -> Result<()> {
        unused()
    }
    async fn relocate(&self, _: &Entry, _: Option<&Entry>, _: Option<&str>) -> Result<Entry> {
        unused()
    }
    async fn detail(&self, _: &Entry, _: Detail) -> Result<Vec<Value>> {
        unused()
    }
    async fn sharing(&self, _: &Entry) -> Result<Sharing> {
        unused()
    }
    async fn change_sharing(&self, _: &Entry, _: &SharingChange) -> Result<()> {
        unused()
    }
    async fn parties(&self, _: PartyKind) -> Result<Vec<Party>> {
        unused()
    }
}

/// The drive as the second night saw it.
fn table() -> Table {
    let mut table = Table::default();
    for name in ["a", "b", "c"] {
        let mut entry = row(name, EntryKind::File, Outcome::Stored).entry;
        entry.size = Some(content(name).len() as u64);
        let pieces = vec![Piece::Bytes(Bytes::from(content(name)))];
        table.files.insert(name.to_owned(), (entry, pieces));
    }
    table
}

async fn check(house: &House, table: &Table, files: usize, hashes: usize) -> SpotCheck {
    let snapshot = house.archive.snapshot(&SECOND.parse().unwrap()).unwrap();
    let options = SpotOptions {
        files,
        hashes,
        seed: 7,
        at_once: 2,
    };
    spot_check(table, &snapshot, options, &Stop::new()).await.unwrap()
}

#[tokio::test]
async fn the_drive_as_it_was_is_the_same_for_a_known_number_of_calls() {
    let house = House::new();
    for (files, hashes, compared, hashed) in [(9, 9, 3, 3), (9, 1, 3, 1), (2, 0, 2, 0), (0, 5, 0, 0)] {
        let table = table();
        let result = check(&house, &table, files, hashes).await;
        assert_eq!((result.compared, result.hashed), (compared, hashed));
        assert_eq!(
            result.states.get(&SpotState::Same).copied().unwrap_or(0),
            compared
        );
        assert!(result.is_good() && result.findings.is_empty());
        assert_eq!(
            (table.count("stat") as u64, table.count("download") as u64),
            (compared, hashed)
        );
    }
}

#[tokio::test]
async fn each_difference_has_its_state() {
    let house = House::new();
    let mut table = table();
    table.files.remove("a");
    table.files.get_mut("b").unwrap().0.modified = Some("2026-01-15T00:00:00Z".parse().unwrap());
    table.files.get_mut("c").unwrap().0.size = Some(3);
    let result = check(&house, &table, 9, 9).await;
    let found: Vec<_> = result
        .findings
        .iter()
        .map(|finding| {
            (
                finding.path.as_str(),
                finding.state.as_str(),
                finding.detail.as_str(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("/docs/a", "gone", "stat of a: gone"),
            ("/docs/b", "changed", "modified 2026-01-15T00:00:00Z"),
            (
                "/docs/c",
                "differs",
                "3 bytes in the drive, 1000 bytes in the snapshot"
            ),
        ]
    );
    assert!(!result.is_good());
    assert_eq!(result.hashed, 0);
    assert_eq!(result.to_json()["states"]["gone"], 1);
}

#[tokio::test]
async fn bytes_that_changed_without_a_word_differ_and_a_restarted_download_counts_from_its_restart() {
    let house = House::new();
    let mut table = table();
    table.files.get_mut("b").unwrap().1 = vec![Piece::Bytes(Bytes::from("x".repeat(1000)))];
    let whole = Piece::Bytes(Bytes::from(content("c")));
    table.files.get_mut("c").unwrap().1 = vec![
        Piece::Bytes(Bytes::from("rest")),
        Piece::Restarted,
        Piece::Resumed { same: true },
        whole,
    ];
    let result = check(&house, &table, 9, 9).await;
    assert_eq!(result.hashed, 3);
    let found: Vec<_> = result
        .findings
        .iter()
        .map(|finding| (finding.path.as_str(), finding.state))
        .collect();
    assert_eq!(found, [("/docs/b", SpotState::Differs)]);
}
