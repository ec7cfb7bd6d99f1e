//! What is written beside a manifest while its rows are: other forms of it, and the figures for the report.

use std::sync::mpsc::sync_channel;

use serde_json::Value;

use super::Error;
use crate::archive::{self, Run, SideFile, SideName};
use crate::blocking::blocking;
use crate::drive::Detail;
use crate::job::{Job, JobKind};
use crate::ledger::Ledger;
use crate::manifest::{self, ExportWriter, JsonLinesWriter, Row, TableWriter, defused};
use crate::page::Aggregate;

/// The columns of `trash.csv`.
const TRASH_COLUMNS: [&str; 10] = [
    "drive",
    "drive_name",
    "name",
    "path",
    "size",
    "type",
    "deleted",
    "deleted_by",
    "modified",
    "id",
];

/// Writers that take each row in turn; those that the job does not want are not there.
#[derive(Debug)]
pub(super) struct Beside {
    lines: Option<JsonLinesWriter<SideFile>>,
    export: Option<ExportWriter<SideFile>>,
    aggregate: Option<Aggregate>,
    infected: u64,
}

/// What was seen of the rows while they were written.
#[derive(Debug)]
pub(super) struct Figures {
    /// For the report, where the job wants one.
    pub aggregate: Option<Aggregate>,
    /// Files that the service marks as infected.
    pub infected: u64,
}

impl Beside {
    /// Begins the forms that the job wants, and removes what an earlier try left of the others.
    pub(super) fn begin(run: &Run, job: &Job) -> Result<Beside, archive::Error> {
        for name in SideName::ALL {
            run.remove_side_file(name)?;
        }
        let export = matches!(job.kind, JobKind::Audit)
            .then(|| -> Result<_, archive::Error> {
                ExportWriter::new(run.side_file(SideName::Export)?, job.bom)
                    .map_err(|error| failed(run, error))
            })
            .transpose()?;
        let lines = job
            .json_lines
            .then(|| run.side_file(SideName::JsonLines).map(JsonLinesWriter::new))
            .transpose()?;
        Ok(Beside {
            lines,
            export,
            aggregate: job.report.then(|| Aggregate::new(run.head().started)),
            infected: 0,
        })
    }

    /// Takes one row.
    pub(super) fn write(&mut self, row: &Row) -> Result<(), manifest::Error> {
        if let Some(lines) = &mut self.lines {
            lines.write(row)?;
        }
        if let Some(export) = &mut self.export {
            export.write(row)?;
        }
        if let Some(aggregate) = &mut self.aggregate {
            aggregate.add(row);
        }
        self.infected += u64::from(row.entry.is_infected());
        Ok(())
    }

    /// Makes the files durable, and gives the figures.
    pub(super) fn finish(self, run: &Run) -> Result<Figures, archive::Error> {
        let (lines, export) = (self.lines, self.export);
        if let Some(lines) = lines {
            lines.finish().map_err(|error| failed(run, error))?.0.finish()?;
        }
        if let Some(export) = export {
            export.finish().map_err(|error| failed(run, error))?.0.finish()?;
        }
        Ok(Figures {
            aggregate: self.aggregate,
            infected: self.infected,
        })
    }
}

/// A manifest in another form that could not be written.
pub(super) fn failed(run: &Run, source: manifest::Error) -> archive::Error {
    archive::Error::Manifest {
        path: run.snapshot_path(),
        source,
    }
}

/// Writes `trash.csv`: what lies in the trash of the drives, defused for spreadsheets.
pub(super) async fn write_trash(run: &Run, ledger: &Ledger, bom: bool) -> Result<(), Error> {
    // One drive at a time goes from the ledger to the file.
    let (sender, receiver) = sync_channel(1);
    let told = ledger.drive_details(Detail::Trash, move |drive, name, items| {
        sender.send((drive.to_owned(), name.to_owned(), items))
    });
    let run = run.clone();
    let writing = blocking(move || -> Result<(), archive::Error> {
        let refused = |error| failed(&run, error);
        let file = run.side_file(SideName::Trash)?;
        let mut table = TableWriter::new(file, &TRASH_COLUMNS, bom).map_err(refused)?;
        for (drive, name, items) in receiver {
            for item in &items {
                let cells = cells(&drive, &name, item);
                let cells = cells.each_ref().map(|cell| defused(cell));
                let cells = cells.each_ref().map(AsRef::as_ref);
                table.write(&cells).map_err(refused)?;
            }
        }
        table.finish().map_err(refused)?.0.finish()
    });
    let (told, written) = tokio::join!(told, writing);
    written?;
    // A receiver that went away early has told why above.
    told?.map_err(|_| Error::Lost("the list of the trash"))
}

/// A trashed item as cells (API 2.0 docs, EN/sharedrive-trash-file-list).
fn cells(drive: &str, name: &str, item: &Value) -> [String; TRASH_COLUMNS.len()] {
    let text = |key: &str| match item.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    [
        drive.to_owned(),
        name.to_owned(),
        text("fileName"),
        text("originalPath"),
        text("fileSize"),
        text("fileType"),
        text("deletedTime"),
        text("deleteUser"),
        text("modifiedTime"),
        text("trashFileId"),
    ]
}
