//! Ends a run: manifest, failures and tail are written, and the snapshot gets its name.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::beside::{self, Beside};
use super::compare::{Compared, compare_run};
use super::pages::{self, Facts};
use super::{Error, Session};
use crate::archive::{self, Archive, LocalPath, RowsWriter, Run, SideName, Status as TailStatus, Tail};
use crate::blocking::blocking;
use crate::drive::Detail;
use crate::job::{Depth, Job};
use crate::ledger::Ledger;
use crate::manifest::{Outcome, Row};
use crate::page::Aggregate;
use crate::report::{Alarms, Report, Status};

/// Folders that are made in one go.
const FOLDERS_PER_BATCH: u32 = 1024;

/// Publishes the run's snapshot and completes its report.
pub(super) async fn publish(
    session: &Session,
    archive: &Archive,
    run: &Run,
    ledger: &Ledger,
    report: &mut Report,
) -> Result<(), Error> {
    let job = &session.loaded.job;
    if run.head().holds_bytes() {
        make_folders(run, ledger).await?;
    }
    let Rows {
        writer,
        beside,
        failures,
    } = write_rows(run, ledger, job).await?;
    let beside_run = run.clone();
    let (written, figures) = blocking(move || -> Result<_, archive::Error> {
        Ok((writer.finish()?, beside.finish(&beside_run)?))
    })
    .await?;
    if job.depth.contains(&Depth::Trash) {
        beside::write_trash(run, ledger, job.bom).await?;
    }
    report.snapshot = Some(run.id().to_string());
    report.totals = written.totals.clone();
    report.failures = failures;
    report.roots = ledger.root_facts().await?;
    let is_covered = report.roots.iter().all(|root| root.gaps().is_empty());
    let is_complete = is_covered && report.totals.failures() == 0;
    report.status = if is_complete {
        Status::Complete
    } else {
        Status::Partial
    };
    warn(report, ledger.details_not_offered().await?);
    if figures.infected > 0 {
        let files = figures.infected;
        report.warnings.push(format!(
            "the service marks {files} {} as infected: see the column 'virus' of the manifest",
            if files == 1 { "file" } else { "files" }
        ));
    }
    let permissions = drive_permissions(ledger).await?;
    let changes = changes(archive, run, job, report).await?;
    session.add_figures(report);
    let mut tail = tail(session, report);
    tail.totals = written.totals.clone();
    if !permissions.is_empty() {
        let permissions = Value::Object(permissions);
        tail.extra.insert("drive_permissions".to_owned(), permissions);
    }
    if let Some(aggregate) = figures.aggregate {
        write_page(archive, run, job, &tail, changes, aggregate).await?;
    }
    let run = run.clone();
    blocking(move || run.finish(written, tail)).await?;
    Ok(())
}

/// Compares with the snapshot before: into `diff.csv`, into the report, and as alarms.
async fn changes(
    archive: &Archive,
    run: &Run,
    job: &Job,
    report: &mut Report,
) -> Result<Option<Value>, Error> {
    let readable = report
        .roots
        .iter()
        .filter(|root| root.refused.is_none() && root.root_failure.is_none());
    let covered = readable.map(|root| root.drive.clone()).collect();
    let (archive, run, wanted) = (archive.clone(), run.clone(), job.clone());
    match blocking(move || compare_run(&archive, &run, &wanted, covered)).await? {
        Compared::First => Ok(None),
        Compared::Unknown(warning) => {
            report.warnings.push(warning);
            Ok(None)
        }
        Compared::Told(changes) => {
            report.details.insert("changes".to_owned(), changes.told.clone());
            report.alarms = Alarms {
                raised: changes.alarms,
                fail: job.alarms.fail,
            };
            Ok(Some(changes.told))
        }
    }
}

fn tail(session: &Session, report: &Report) -> Tail {
    let is_complete = report.status == Status::Complete;
    let mut extra = Map::from_iter([
        ("kind".to_owned(), json!(report.kind)),
        ("resumed".to_owned(), json!(report.resumed)),
        ("warnings".to_owned(), json!(report.warnings)),
        ("seconds".to_owned(), json!(report.elapsed().as_secs_f64())),
        ("calls".to_owned(), report.calls_to_json()),
        (
            "lang".to_owned(),
            json!(pages::language(session.loaded.job.lang).as_str()),
        ),
    ]);
    if let Some(figure) = pages::calls_per_minute(session) {
        extra.insert("calls_per_minute".to_owned(), json!(figure));
    }
    if let Some(changes) = report.details.get("changes") {
        extra.insert("changes".to_owned(), changes.clone());
    }
    Tail {
        status: if is_complete {
            TailStatus::Complete
        } else {
            TailStatus::Partial
        },
        finished: report.finished,
        calls: report
            .calls
            .iter()
            .map(|(name, count)| (name.clone(), count.sent))
            .collect(),
        coverage: report.coverage_to_json(),
        alarms: report
            .alarms
            .raised
            .iter()
            .map(|(code, message)| archive::Alarm {
                code: code.clone(),
                message: message.clone(),
            })
            .collect(),
        extra,
        ..Tail::default()
    }
}

async fn write_page(
    archive: &Archive,
    run: &Run,
    job: &Job,
    tail: &Tail,
    changes: Option<Value>,
    aggregate: Aggregate,
) -> Result<(), Error> {
    let (archive, run, tail) = (archive.clone(), run.clone(), tail.clone());
    let language = pages::language(job.lang);
    let zone = job.time_zone.clone().unwrap_or_else(TimeZone::system);
    blocking(move || {
        let facts = Facts {
            id: run.id(),
            head: run.head(),
            tail: &tail,
            changes: changes.as_ref(),
            language,
            zone,
        };
        let mut file = run.side_file(SideName::Report)?;
        let path = file.path().to_owned();
        facts
            .write(&archive, &aggregate, &mut file)
            .map_err(|source| Error::Page { path, source })?;
        Ok(file.finish()?)
    })
    .await
}

/// Who may do what on whole drives, by drive: they have no row of their own.
async fn drive_permissions(ledger: &Ledger) -> Result<Map<String, Value>, Error> {
    let found = Arc::new(Mutex::new(Map::new()));
    let filled = Arc::clone(&found);
    let told = ledger.drive_details(Detail::Permissions, move |drive, _, values| {
        let mut held = filled.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(drive.to_owned(), Value::Array(values));
        Ok::<(), Error>(())
    });
    told.await??;
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(found)
}

/// A folder without files has no file that would make it.
async fn make_folders(run: &Run, ledger: &Ledger) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let places = ledger.folder_places(after, FOLDERS_PER_BATCH).await?;
        let Some((last, _)) = places.last() else {
            return Ok(());
        };
        after = *last;
        let run = run.clone();
        blocking(move || -> Result<(), archive::Error> {
            for (_, place) in &places {
                run.make_folder(&LocalPath::parse(place)?)?;
            }
            Ok(())
        })
        .await?;
    }
}

/// Portions of rows that wait for the manifest's writer at most.
const GATHERED_ROWS: usize = 2;

/// Failures for the summary: where, and why.
type Failures = Vec<(String, String)>;

/// The manifest's writers, when all rows are written.
struct Rows {
    writer: RowsWriter,
    beside: Beside,
    failures: Failures,
}

impl Rows {
    fn begin(run: &Run, job: &Job) -> Result<Rows, archive::Error> {
        Ok(Rows {
            beside: Beside::begin(run, job)?,
            writer: run.rows(job.bom)?,
            failures: Failures::new(),
        })
    }

    fn write(&mut self, run: &Run, row: &Row) -> Result<(), archive::Error> {
        if row.outcome == Outcome::Failed && self.failures.len() < Report::FAILURES_SHOWN {
            let place = format!("{}:{}", row.entry.drive, row.path);
            self.failures.push((place, row.reason.clone()));
        }
        self.beside
            .write(row)
            .map_err(|error| beside::failed(run, error))?;
        self.writer.write(row)
    }
}

/// Writes the manifest and what lies beside it, while the ledger's thread reads the rows that come next.
async fn write_rows(run: &Run, ledger: &Ledger, job: &Job) -> Result<Rows, Error> {
    let (sender, receiver) = sync_channel::<Vec<Row>>(GATHERED_ROWS);
    let (run, job) = (run.clone(), job.clone());
    let writing = blocking(move || {
        let mut rows = Rows::begin(&run, &job)?;
        for row in receiver.into_iter().flatten() {
            rows.write(&run, &row)?;
        }
        Ok::<Rows, archive::Error>(rows)
    });
    // Sending fails when the writer has failed, which then tells why.
    let reading = ledger.rows(move |rows| sender.send(rows).map_err(drop));
    let (written, read) = futures::join!(writing, reading);
    let rows = written?;
    let _ = read?;
    Ok(rows)
}

/// What is no failure and yet worth a word.
fn warn(report: &mut Report, not_offered: Vec<(Detail, u64)>) {
    for (detail, count) in not_offered {
        report.warnings.push(format!(
            "the service offers no {} here: {count} times it was not asked for",
            detail.key()
        ));
    }
    let full_ends: u64 = report.roots.iter().map(|root| root.full_ends).sum();
    if full_ends > 0 {
        report.warnings.push(format!(
            "{full_ends} folders ended with a page as full as a page can be; this is normal for a folder of exactly so many items"
        ));
    }
    let repeated: u64 = report.roots.iter().map(|root| root.repeated).sum();
    if repeated > 0 {
        report.warnings.push(format!(
            "{repeated} items were listed twice: things were moved while the run was listing"
        ));
    }
}
