//! What the pure parts may allocate for each row, name and file. Counts do not depend on the machine's speed, so that a
//! change that makes them dearer fails here.
//!
//! A test binary of its own, since counting replaces the allocator.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use allocation_counter::measure;
use drivejob::archive::plain_or_derived;
use drivejob::entry::{Entry, Kind};
use drivejob::filter::{Filter, FilterSpec};
use drivejob::id::{DriveId, FileId};
use drivejob::manifest::{Outcome, Reader, Row, Writer};
use drivejob::path::DrivePath;
use drivejob::plan::{Policy, decide};
use jiff::Timestamp;

/// Enough that what is allocated once does not show in the share of one.
const ROWS: u64 = 1000;

fn rows() -> Vec<Row> {
    (0..ROWS)
        .map(|number| {
            let name = format!("見積書 {number:04}.xlsx");
            let mut entry = Entry::root(DriveId::new("me"), FileId::new(format!("id-{number}")));
            entry.kind = Kind::File;
            entry.name.clone_from(&name);
            entry.size = Some(number);
            entry.modified = Timestamp::from_second(1_760_000_000).ok();
            Row {
                entry,
                drive_name: "Taro".to_owned(),
                path: DrivePath::root().join("Sales").join(&name),
                outcome: Outcome::Stored,
                reason: String::new(),
                sha256: Some("0".repeat(64)),
                stored_at: Some(format!("2026-11-23T02-00-00Z/files/me/Sales/{name}")),
                attempts: 1,
            }
        })
        .collect()
}

/// Allocations for each of [`ROWS`], rounded down.
fn each(work: impl FnMut()) -> u64 {
    let mut work = work;
    // What is set up once, such as tables, is set up here.
    work();
    measure(work).count_total / ROWS
}

#[test]
fn a_row_a_name_and_a_decision_allocate_no_more_than_they_did() {
    let rows = rows();
    let write = || {
        let mut writer = Writer::new(Vec::new(), false).unwrap();
        for row in &rows {
            writer.write(row).unwrap();
        }
        writer.finish().unwrap().0
    };
    let text = write();
    let filter = Filter::new(&FilterSpec {
        include: vec!["/Sales/**".to_owned()],
        exclude: vec!["**/*.tmp".to_owned()],
        ..FilterSpec::default()
    })
    .unwrap();
    let policy = Policy {
        rehash: 0.02,
        salt: 7,
    };
    let found = [
        ("row written", each(|| drop(write())), WRITTEN),
        (
            "row read",
            each(|| {
                let reader = Reader::new(text.as_slice()).unwrap();
                assert_eq!(reader.filter(Result::is_ok).count() as u64, ROWS);
            }),
            READ,
        ),
        (
            "local name",
            each(|| {
                for row in &rows {
                    std::hint::black_box(plain_or_derived(&row.entry.name, row.entry.id.as_str()));
                }
            }),
            NAMED,
        ),
        (
            "filter",
            each(|| {
                for row in &rows {
                    assert_eq!(filter.file(&row.entry, &row.path), None);
                }
            }),
            FILTERED,
        ),
        (
            "decision",
            each(|| {
                for row in &rows {
                    std::hint::black_box(decide(&row.entry, None, &policy));
                }
            }),
            0,
        ),
    ];
    let over: Vec<_> = found.iter().filter(|(_, count, most)| count > most).collect();
    assert!(over.is_empty(), "more allocations than allowed: {over:?}");
}

const WRITTEN: u64 = 0;
const READ: u64 = 6;
const NAMED: u64 = 6;
const FILTERED: u64 = 2;
