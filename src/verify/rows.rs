//! A snapshot's manifest, row by row, against what lies there: one thread reads it, several look at the files.

use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::extras::{self, Places};
use super::files::{Checker, Expected, Found, digest_of};
use super::heads::{Heads, is_gone};
use super::problem::{Kind, Problem};
use super::rotation::{BUCKETS, bucket_of};
use crate::archive::{self, Archive, Block, open_plain};
use crate::coverage::Totals;
use crate::entry::Kind as EntryKind;
use crate::id::SnapshotId;
use crate::manifest::{Outcome, Reader, Row};
use crate::monitor::{Counter, Monitor};
use crate::stop::Stop;

/// What to look at.
pub(super) struct Work<'a> {
    pub archive: &'a Archive,
    pub id: &'a SnapshotId,
    pub heads: &'a Heads,
    pub turn: &'a [bool; BUCKETS],
    pub whole: bool,
    pub threads: usize,
    pub checker: &'a Checker<'a>,
    pub stop: &'a Stop,
    pub monitor: &'a dyn Monitor,
}

/// What was seen of one snapshot.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub rows: u64,
    pub good: u64,
    pub linked: u64,
    pub bytes: u64,
    pub stopped: bool,
}

/// Files handed to a thread at a time: so few that all threads end together, so many that handing over costs nothing.
const BATCH: usize = 32;

/// Bytes after which a batch is handed over all the same: large files go one by one, so that no thread is left with all of them.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// Unreadable rows that are told one by one; a manifest that is no CSV at all would have one a line.
const BAD_ROWS_TOLD: u64 = 100;

/// What the threads say to the caller's.
enum News {
    Found(Expected, Found),
    Problem(Problem),
}

/// Checks one snapshot's manifest and the files it tells of.
pub(super) fn check(work: &Work<'_>, report: &mut dyn FnMut(Problem)) -> Seen {
    let mut seen = Seen::default();
    if let Some(snapshot) = work
        .heads
        .snapshot
        .as_ref()
        .filter(|snapshot| snapshot.tail.is_some())
    {
        match snapshot.verify_manifest_hash() {
            Ok(()) => {}
            Err(archive::Error::ManifestHash { found, .. }) => report(Problem::of(
                work.id,
                Kind::Manifest,
                "manifest.csv",
                format!("SHA-256 {found} is not the one that TAIL.json tells"),
            )),
            // That it does not read is told below.
            Err(_) => {}
        }
    }
    let rows = work.heads.tail().map_or(0, |tail| tail.totals.rows);
    let mut places = Places::new(rows);
    let (batches, work_list) = sync_channel::<Vec<Expected>>(2 * work.threads);
    let (news, inbox) = sync_channel::<News>(1024);
    let work_list = Mutex::new(work_list);
    thread::scope(|scope| {
        for _ in 0..work.threads {
            let news = news.clone();
            let work_list = &work_list;
            scope.spawn(move || look(work, work_list, &news));
        }
        let places = &mut places;
        let reader = scope.spawn(move || read(work, &batches, &news, places));
        for item in inbox {
            match item {
                News::Problem(problem) => report(problem),
                News::Found(expected, found) => take(work, expected, found, &mut seen, report),
            }
        }
        // A thread of ours does not panic; if it did, its rows are missing in the count and the run says so below.
        seen.rows = reader.join().unwrap_or(0);
    });
    seen.stopped = work.stop.is_draining();
    if work.whole && !seen.stopped {
        find_extras(work, &mut places, report);
        seen.stopped = work.stop.is_draining();
    }
    seen
}

fn take(work: &Work<'_>, expected: Expected, found: Found, seen: &mut Seen, report: &mut dyn FnMut(Problem)) {
    match found {
        Found::Nothing => {}
        Found::Good { bytes, linked } => {
            if !expected.is_folder {
                seen.good += 1;
                seen.linked += u64::from(linked);
                seen.bytes += bytes;
                work.monitor.count(Counter::FilesDone, 1);
                work.monitor
                    .count(Counter::BytesDone, expected.size.unwrap_or(bytes));
            }
        }
        Found::Bad(kind, detail) => {
            work.monitor.count(Counter::Failures, 1);
            report(Problem {
                snapshot: work.id.clone(),
                kind,
                item: Some((expected.drive, expected.path)),
                place: expected.stored_at,
                detail,
                bucket: expected.bucket,
            });
        }
    }
}

/// Looks at files until there are no more.
fn look(work: &Work<'_>, work_list: &Mutex<Receiver<Vec<Expected>>>, news: &SyncSender<News>) {
    let mut block = Block::new();
    loop {
        let batch = work_list.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else {
            return;
        };
        for expected in batch {
            if work.stop.is_draining() {
                break;
            }
            let found = work
                .checker
                .check(&expected, block.bytes(), work.stop, work.monitor);
            if news.send(News::Found(expected, found)).is_err() {
                return;
            }
        }
    }
}

/// Reads the manifest, hands out what must be there, and compares it with tail and failures; gives the number of rows.
fn read(
    work: &Work<'_>,
    batches: &SyncSender<Vec<Expected>>,
    news: &SyncSender<News>,
    places: &mut Places,
) -> u64 {
    let say = |kind, name: &str, detail: String| {
        let _ = news.send(News::Problem(Problem::of(work.id, kind, name, detail)));
    };
    let reader = match open(work, "manifest.csv") {
        Ok(reader) => reader,
        Err(detail) => {
            if !is_gone(&work.archive.path().join(work.id.as_str())) {
                say(Kind::Manifest, "manifest.csv", detail);
            }
            return 0;
        }
    };
    let mut failures = Failures::open(work);
    let mut totals = Totals::default();
    let (mut bad_rows, mut failed_rows) = (0, 0);
    let mut batch = Vec::with_capacity(BATCH);
    let mut batch_bytes = 0;
    for row in reader {
        if work.stop.is_draining() {
            return totals.rows;
        }
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                bad_rows += 1;
                if bad_rows <= BAD_ROWS_TOLD {
                    say(Kind::Manifest, "manifest.csv", error.to_string());
                }
                continue;
            }
        };
        totals.add(&row);
        failed_rows += u64::from(row.outcome == Outcome::Failed);
        failures.compare(&row);
        if let Some(stored_at) = row.stored_at.as_deref().filter(|_| work.whole) {
            places.add(stored_at);
        }
        match expected(work, row) {
            Ok(Some(expected)) => {
                work.monitor.count(Counter::FilesListed, 1);
                work.monitor
                    .count(Counter::BytesListed, expected.size.unwrap_or(0));
                batch_bytes += expected.size.unwrap_or(0);
                batch.push(expected);
            }
            Ok(None) => {}
            Err(problem) => {
                let _ = news.send(News::Problem(*problem));
            }
        }
        if batch.len() == BATCH || batch_bytes >= BATCH_BYTES {
            batch_bytes = 0;
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            if batches.send(full).is_err() {
                return totals.rows;
            }
        }
    }
    let _ = batches.send(batch);
    if bad_rows > BAD_ROWS_TOLD {
        say(
            Kind::Manifest,
            "manifest.csv",
            format!("{bad_rows} rows do not read"),
        );
    }
    let by_rows = failures.verdict(bad_rows > 0);
    if let Some(detail) = by_rows.or_else(|| work.heads.failures.clone().filter(|_| bad_rows == 0)) {
        say(Kind::Failures, "failures.csv", detail);
    }
    if let Some(tail) = work.heads.tail() {
        let told = &tail.totals;
        let same = (told.rows, told.files, told.folders, told.bytes)
            == (totals.rows, totals.files, totals.folders, totals.bytes);
        // What the rows that do not read would have counted, nobody knows.
        if !same && bad_rows == 0 {
            say(
                Kind::Tail,
                "TAIL.json",
                format!(
                    "it tells {} rows, {} files, {} bytes; the manifest has {}, {}, {}",
                    told.rows, told.files, told.bytes, totals.rows, totals.files, totals.bytes
                ),
            );
        }
        if work.heads.says_complete() && failed_rows > 0 {
            say(
                Kind::Tail,
                "TAIL.json",
                format!("it says complete, but {failed_rows} rows failed"),
            );
        }
    }
    totals.rows
}

/// What must lie where a row says; `None` when nothing must, or when it is not its turn.
fn expected(work: &Work<'_>, row: Row) -> Result<Option<Expected>, Box<Problem>> {
    if !matches!(row.outcome, Outcome::Stored | Outcome::Reused) {
        return Ok(None);
    }
    let is_folder = row.entry.kind == EntryKind::Folder;
    let told = |row: &Row, stored_at: &str, detail: &str| {
        Box::new(Problem {
            snapshot: work.id.clone(),
            kind: Kind::Manifest,
            item: Some((row.entry.drive.to_string(), row.path.to_string())),
            place: stored_at.to_owned(),
            detail: detail.to_owned(),
            bucket: None,
        })
    };
    let Some(stored_at) = row.stored_at.clone() else {
        if is_folder {
            return Ok(None);
        }
        let place = format!("{}/manifest.csv", work.id);
        return Err(told(&row, &place, "the row says stored, but not where"));
    };
    if is_folder {
        if !work.whole {
            return Ok(None);
        }
        return match archive::LocalPath::from_stored_at(&stored_at) {
            Ok(_) => Ok(Some(of(row, stored_at, [0; 32], None))),
            Err(error) => Err(told(&row, &stored_at, &error.to_string())),
        };
    }
    let Some(digest) = row.sha256.as_deref().and_then(digest_of) else {
        return Err(told(
            &row,
            &stored_at,
            "the row has no SHA-256 that can be compared",
        ));
    };
    let bucket = row.sha256.as_deref().and_then(bucket_of);
    let has_turn = bucket
        .and_then(|bucket| work.turn.get(bucket))
        .copied()
        .unwrap_or(true);
    Ok(has_turn.then(|| of(row, stored_at, digest, bucket)))
}

fn of(row: Row, stored_at: String, sha256: [u8; 32], bucket: Option<usize>) -> Expected {
    Expected {
        drive: row.entry.drive.to_string(),
        path: row.path.to_string(),
        stored_at,
        is_folder: row.entry.kind == EntryKind::Folder,
        size: row.entry.size,
        sha256,
        bucket,
    }
}

fn find_extras(work: &Work<'_>, places: &mut Places, report: &mut dyn FnMut(Problem)) {
    loop {
        let twice = places.close();
        if twice > 0 {
            report(Problem::of(
                work.id,
                Kind::Manifest,
                "manifest.csv",
                format!("{twice} rows tell a place that another row tells too"),
            ));
        }
        extras::check(work.archive, work.id, places, work.stop, report);
        if !places.next_part() || work.stop.is_draining() {
            return;
        }
        let Ok(reader) = open(work, "manifest.csv") else {
            return;
        };
        for row in reader.flatten() {
            if let Some(stored_at) = &row.stored_at {
                places.add(stored_at);
            }
        }
    }
}

fn open(work: &Work<'_>, name: &str) -> Result<Reader<File>, String> {
    let path = work.archive.path().join(work.id.as_str()).join(name);
    let file = open_plain(&path).map_err(|error| format!("it does not open: {error}"))?;
    Reader::new(file).map_err(|error| error.to_string())
}

/// `failures.csv` beside the manifest: it has just those rows that are not stored, in the same order.
struct Failures {
    rows: Option<Reader<File>>,
    problem: Option<String>,
    count: u64,
    told: Option<u64>,
}

impl Failures {
    fn open(work: &Work<'_>) -> Failures {
        let told = work.heads.tail().map(|tail| tail.failures_rows);
        match open(work, "failures.csv") {
            Ok(rows) => Failures {
                rows: Some(rows),
                problem: None,
                count: 0,
                told,
            },
            Err(detail) => Failures {
                rows: None,
                problem: Some(detail),
                count: 0,
                told,
            },
        }
    }

    fn compare(&mut self, row: &Row) {
        if matches!(row.outcome, Outcome::Stored | Outcome::Reused | Outcome::Listed) {
            return;
        }
        self.count += 1;
        if self.problem.is_some() {
            return;
        }
        self.problem = match self.rows.as_mut().and_then(Iterator::next) {
            Some(Ok(found)) if found == *row => None,
            Some(Ok(_)) => Some(format!("its row {} is not the manifest's", self.count)),
            Some(Err(error)) => Some(error.to_string()),
            None => Some(format!("it ends before row {}", self.count)),
        };
    }

    /// What is wrong, unless the manifest itself does not read, which explains it.
    fn verdict(mut self, manifest_is_bad: bool) -> Option<String> {
        if self.problem.is_none() && self.rows.as_mut().is_some_and(|rows| rows.next().is_some()) {
            self.problem = Some("it has rows that the manifest does not have".to_owned());
        }
        if self.problem.is_none() && self.told.is_some_and(|told| told != self.count) {
            self.problem = Some("TAIL.json tells another number of its rows".to_owned());
        }
        self.problem.filter(|_| !manifest_is_bad)
    }
}
