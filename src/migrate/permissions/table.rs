//! The tables of the permission step: what is planned, what became of it, and what is not as it should be.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use super::{DrivePlan, PermissionPlan, Remark, Step};
use crate::drive::Party;
use crate::manifest::TableWriter;
use crate::migrate::Error;
use crate::path::DrivePath;

/// The columns. `who` and `who_id` are of the target where `outcome` is not `unmapped`.
const COLUMNS: [&str; 11] = [
    "source", "target", "path", "action", "who", "who_id", "from", "to", "outcome", "reason", "detail",
];

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PermissionRow([String; 11]);

/// A table of such lines, written as they come.
#[derive(Debug)]
pub struct PermissionTable {
    writer: TableWriter<BufWriter<File>>,
}

impl PermissionTable {
    /// Begins the table at `path`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, bom: bool) -> Result<PermissionTable, Error> {
        let file = File::create(path).map_err(|source| Error::Results {
            path: path.to_owned(),
            source,
        })?;
        Ok(PermissionTable {
            writer: TableWriter::new(BufWriter::new(file), &COLUMNS, bom)?,
        })
    }

    /// Writes the whole plan: for each drive its calls in their order, then what no call can do.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_plan(&mut self, plan: &PermissionPlan) -> Result<(), Error> {
        for drive in &plan.drives {
            for step in &drive.steps {
                self.write(&PermissionRow::step(drive, step, "planned", "", ""))?;
            }
            for remark in &drive.remarks {
                self.write(&PermissionRow::remark(drive, remark))?;
            }
        }
        self.flush()
    }

    pub(super) fn write(&mut self, row: &PermissionRow) -> Result<(), Error> {
        Ok(self.writer.write(&row.0.each_ref().map(String::as_str))?)
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.writer.flush()?)
    }
}

impl PermissionRow {
    pub(super) fn step(
        drive: &DrivePlan,
        step: &Step,
        outcome: &str,
        reason: &str,
        detail: &str,
    ) -> PermissionRow {
        let (who, ids) = named(&step.who);
        PermissionRow::of(
            drive,
            &step.path,
            [
                step.action,
                &who,
                &ids,
                &step.from,
                &step.to,
                outcome,
                reason,
                detail,
            ],
        )
    }

    pub(super) fn remark(drive: &DrivePlan, remark: &Remark) -> PermissionRow {
        let (who, ids) = named(&remark.who);
        PermissionRow::of(
            drive,
            &remark.path,
            [
                remark.action,
                &who,
                &ids,
                &remark.from,
                &remark.to,
                remark.outcome,
                remark.reason,
                &remark.detail,
            ],
        )
    }

    /// Something that could not be read back.
    pub(super) fn unread(drive: &DrivePlan, error: &crate::drive::Error) -> PermissionRow {
        let detail = error.to_string();
        PermissionRow::of(
            drive,
            &DrivePath::root(),
            ["read", "", "", "", "", "unknown", error.kind.code(), &detail],
        )
    }

    fn of(drive: &DrivePlan, path: &DrivePath, rest: [&str; 8]) -> PermissionRow {
        let [action, who, ids, from, to, outcome, reason, detail] = rest.map(str::to_owned);
        PermissionRow([
            drive.source.as_str().to_owned(),
            drive.target.drive.as_str().to_owned(),
            path.as_str().to_owned(),
            action,
            who,
            ids,
            from,
            to,
            outcome,
            reason,
            detail,
        ])
    }
}

fn named(who: &[Party]) -> (String, String) {
    let join = |text: fn(&Party) -> &str| who.iter().map(text).collect::<Vec<_>>().join("; ");
    (join(|party| &party.name), join(|party| &party.id))
}
