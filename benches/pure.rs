//! The parts that touch neither network nor tree: rows, names, globs, comparison, and the ledger.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::io;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use drivejob::archive::plain_or_derived;
use drivejob::diff::{self, diff};
use drivejob::entry::{Access, Entry, Kind, Root};
use drivejob::filter::{Filter, FilterSpec};
use drivejob::id::{DriveId, Family, FileId};
use drivejob::ledger::{Done, Ledger, Listed, ListedAs, NewRoot, PageFacts, Placement};
use drivejob::manifest::{Outcome, Reader, Row, Writer};
use drivejob::path::DrivePath;
use jiff::Timestamp;

/// Rows of a manifest.
const ROWS: usize = 100_000;

/// Files that go through the ledger, in pages of [`PAGE`].
const ITEMS: usize = 20_000;

/// Items on a page: the most that one page of API 2.0 holds.
const PAGE: usize = 200;

fn main() {
    divan::main();
}

fn row(number: usize) -> Row {
    let name = format!("Report {number:07} 見積書.xlsx");
    let path = DrivePath::from_text(&format!("/Sales/Team {:04}/{name}", number / 100));
    let mut entry = Entry::root(DriveId::new("me"), FileId::new(identifier(number)));
    entry.kind = Kind::File;
    entry.name = name;
    entry.size = Some(40_000 + number as u64);
    entry.modified = Timestamp::from_second(1_760_000_000 + number as i64).ok();
    entry.created = entry.modified;
    Row {
        entry,
        drive_name: "Taro Yamada".to_owned(),
        stored_at: Some(format!("2026-11-23T02-00-00Z/files/me{}", path.as_str())),
        path,
        outcome: Outcome::Stored,
        reason: String::new(),
        sha256: Some(format!("{number:064x}")),
        attempts: 1,
    }
}

/// An id as the service gives them: opaque, and in no order.
fn identifier(number: usize) -> String {
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("QDIwMDE1{mixed:016x}{number:08}QDU0NjE4OTM1MDQ4fEZ8")
}

fn written(rows: &[Row]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), false).unwrap();
    for row in rows {
        writer.write(row).unwrap();
    }
    writer.finish().unwrap().0
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn manifest_written(bencher: Bencher<'_, '_>) {
    let rows: Vec<Row> = (0..ROWS).map(row).collect();
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| written(black_box(&rows)));
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn manifest_read(bencher: Bencher<'_, '_>) {
    let text = written(&(0..ROWS).map(row).collect::<Vec<_>>());
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| Reader::new(black_box(text.as_slice())).unwrap().count());
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn manifests_compared(bencher: Bencher<'_, '_>) {
    let before: Vec<Row> = (0..ROWS).map(row).collect();
    // Every hundredth file changed, every thousandth is gone.
    let after: Vec<Row> = (0..ROWS)
        .filter(|number| number % 1000 != 7)
        .map(|number| {
            let mut row = row(number);
            if number % 100 == 3 {
                row.entry.size = Some(1);
            }
            row
        })
        .collect();
    let (before, after) = (written(&before), written(&after));
    let scratch = tempfile::tempdir().unwrap();
    bencher.counter(ItemsCount::new(2 * ROWS)).bench_local(|| {
        let (before, after) = (
            Reader::new(before.as_slice()).unwrap(),
            Reader::new(after.as_slice()).unwrap(),
        );
        let options = diff::Options::default();
        diff(before, after, scratch.path(), &options, |_| io::Result::Ok(())).unwrap()
    });
}

#[divan::bench(args = ["Report 2026.xlsx", "見積書（最終）.xlsx", "a:b?.txt"])]
fn local_name(bencher: Bencher<'_, '_>, name: &str) {
    bencher.bench(|| plain_or_derived(black_box(name), black_box("QDIwMDE1OTB8NTQ2MTg5MzUwNDh8RHw")));
}

#[divan::bench]
fn filter_matched(bencher: Bencher<'_, '_>) {
    let filter = Filter::new(&FilterSpec {
        include: vec!["/Sales/**".to_owned(), "/Shared/*/2026/**".to_owned()],
        exclude: vec!["**/*.tmp".to_owned(), "**/~$*".to_owned()],
        ..FilterSpec::default()
    })
    .unwrap();
    let row = row(4711);
    bencher.bench(|| filter.file(black_box(&row.entry), black_box(&row.path)));
}

fn page(first: usize) -> Vec<Listed> {
    (first..first + PAGE)
        .map(|number| {
            let entry = row(number).entry;
            let name = plain_or_derived(&entry.name, entry.id.as_str());
            Listed {
                entry,
                placement: Placement {
                    plain: name.plain,
                    derived: name.derived,
                    fold: name.fold,
                },
                listed_as: ListedAs::Fetch,
            }
        })
        .collect()
}

/// Lists files into a ledger, takes them out as work, and settles them one by one, as sixteen workers do.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn ledger_listed_and_settled(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let pages: Vec<Vec<Listed>> = (0..ITEMS).step_by(PAGE).map(page).collect();
    bencher
        .counter(ItemsCount::new(ITEMS))
        .with_inputs(|| (tempfile::tempdir().unwrap(), pages.clone()))
        .bench_local_values(|(folder, pages)| {
            runtime.block_on(async {
                let ledger = Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
                fill(&ledger, pages).await;
                let mut after = 0;
                loop {
                    let works = ledger.pending(Family::MyDrive, after, 128).await.unwrap();
                    let Some(last) = works.last() else { break };
                    after = last.no;
                    for some in works.chunks(16) {
                        let settled = some.iter().map(|work| {
                            let done = Done {
                                sha256: Some("0".repeat(64)),
                                stored_at: Some(work.local.clone()),
                                ..Done::new(work, Outcome::Stored)
                            };
                            ledger.settle(vec![done])
                        });
                        futures::future::try_join_all(settled).await.unwrap();
                    }
                }
                ledger.close().await;
            });
            folder
        });
}

async fn fill(ledger: &Ledger, pages: Vec<Vec<Listed>>) {
    let root = NewRoot {
        root: Root {
            entry: Entry::root(DriveId::new("me"), FileId::new("root")),
            name: "Taro Yamada".to_owned(),
            access: Access::Readable,
            quota: None,
        },
        local: "me".to_owned(),
    };
    ledger.add_roots(vec![root]).await.unwrap();
    let folder = ledger.open_folders(Family::MyDrive, 0, 1).await.unwrap()[0].no;
    for items in pages {
        let facts = PageFacts {
            next: Some(drivejob::drive::PageToken("next".to_owned())),
            ..PageFacts::default()
        };
        ledger
            .apply_page(folder, items, Vec::new(), facts, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
    }
}
