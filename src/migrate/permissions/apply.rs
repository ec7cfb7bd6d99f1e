//! Carries out the plan, drive by drive, and looks afterwards whether it is so.

use std::collections::HashSet;

use super::decide::decide;
use super::survey::{asked, look};
use super::table::{PermissionRow, PermissionTable};
use super::{DrivePlan, PermissionPlan, Step, Turn};
use crate::drive::{Drive, SharingChange};
use crate::entry::Entry;
use crate::id::FileId;
use crate::migrate::Error;
use crate::monitor::Monitor;
use crate::stop::Stop;

/// What became of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Calls that succeeded.
    pub done: u64,
    /// Steps that turned out to be done already.
    pub already: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Steps that were not taken, since something before them failed.
    pub held: u64,
    /// What is not as at the source, as the target was read back.
    pub differences: u64,
    /// Whether the plan was carried out to its end, and no stop came before.
    pub is_finished: bool,
}

/// Takes every step of the plan and writes what became of it to `applied`; then reads each drive back and writes what is
/// not as it should be to `differences`. A stop between two steps ends it; the next start makes a plan of what is left.
///
/// # Errors
/// When the token is refused or a table cannot be written. All that was done until then stays done.
pub async fn apply_permissions(
    target: &dyn Drive,
    plan: &PermissionPlan,
    applied: &mut PermissionTable,
    differences: &mut PermissionTable,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Applied, Error> {
    let mut total = Applied::default();
    for drive in &plan.drives {
        if !carry_out(target, drive, applied, monitor, stop, &mut total).await? {
            return Ok(total);
        }
        total.differences += read_back(target, drive, differences).await?;
        if stop.is_draining() {
            return Ok(total);
        }
    }
    total.is_finished = true;
    Ok(total)
}

/// Takes the steps of one drive. False when a stop came first.
async fn carry_out(
    target: &dyn Drive,
    drive: &DrivePlan,
    applied: &mut PermissionTable,
    monitor: &dyn Monitor,
    stop: &Stop,
    total: &mut Applied,
) -> Result<bool, Error> {
    // What a later step must wait for: the whole drive, or a folder.
    let mut is_shut = true;
    let mut is_drive_open = false;
    let mut open_folders: HashSet<&FileId> = HashSet::new();
    for step in &drive.steps {
        // Those who were in a folder that is shut by now are let back before the stop is heeded.
        if stop.is_draining() && step.turn != Turn::LetBack {
            return Ok(false);
        }
        let is_held =
            is_drive_open || open_folders.contains(&step.entry.id) || (step.turn == Turn::LetIn && !is_shut);
        if is_held {
            total.held += 1;
            let detail = "something before it could not be done";
            applied.write(&PermissionRow::step(drive, step, "held", "", detail))?;
            continue;
        }
        match asked(take(target, step).await)? {
            Ok(true) => {
                total.done += 1;
                applied.write(&PermissionRow::step(drive, step, "done", "", ""))?;
            }
            Ok(false) => {
                total.already += 1;
                applied.write(&PermissionRow::step(drive, step, "already", "", ""))?;
            }
            Err(error) => {
                total.refused += 1;
                monitor.problem(drive.target.drive.as_str(), &error.to_string());
                let (reason, detail) = (error.kind.code(), error.to_string());
                applied.write(&PermissionRow::step(drive, step, "refused", reason, &detail))?;
                if step.turn == Turn::Shut {
                    is_shut = false;
                    is_drive_open |= matches!(step.change, SharingChange::Rules { .. });
                    if step.change == SharingChange::Restrict {
                        open_folders.insert(&step.entry.id);
                    }
                }
            }
        }
    }
    applied.flush()?;
    Ok(true)
}

/// Takes one step. False when it was done already: a folder is never shut a second time, since that could take away what
/// was granted on it.
async fn take(target: &dyn Drive, step: &Step) -> crate::drive::Result<bool> {
    if step.change == SharingChange::Restrict && governs_itself(target, &step.entry).await? {
        return Ok(false);
    }
    target.change_sharing(&step.entry, &step.change).await?;
    Ok(true)
}

async fn governs_itself(target: &dyn Drive, folder: &Entry) -> crate::drive::Result<bool> {
    let now = target.stat(folder).await?;
    Ok(super::record::is_own(&now))
}

/// Looks at the drive afresh, and writes each difference between what is and what should be.
async fn read_back(
    target: &dyn Drive,
    drive: &DrivePlan,
    differences: &mut PermissionTable,
) -> Result<u64, Error> {
    let mut rows = Vec::new();
    match now(target, drive).await? {
        Some(Ok(now)) => {
            let (steps, remarks) = now;
            let missing = |step| PermissionRow::step(drive, step, "missing", "", "");
            rows.extend(steps.iter().map(missing));
            let told = remarks.iter().filter(|remark| remark.outcome != "kept");
            rows.extend(told.map(|remark| PermissionRow::remark(drive, remark)));
        }
        Some(Err(error)) => rows.push(PermissionRow::unread(drive, &error)),
        None => {}
    }
    // What the source did not tell cannot be compared.
    let unread = drive.remarks.iter().filter(|remark| remark.action == "read");
    rows.extend(unread.map(|remark| PermissionRow::remark(drive, remark)));
    for row in &rows {
        differences.write(row)?;
    }
    differences.flush()?;
    Ok(rows.len() as u64)
}

/// What would have to be done about the drive as it is now; `None` when nothing is known of what it should be like.
async fn now(target: &dyn Drive, drive: &DrivePlan) -> Result<Option<Answer>, Error> {
    let Some(wanted) = &drive.wanted else {
        return Ok(None);
    };
    let mut folders = drive.restricted.clone();
    for folder in &wanted.folders {
        let Some(entry) = &folder.entry else { continue };
        if folders.iter().any(|(_, known)| known.id == entry.id) {
            continue;
        }
        match asked(governs_itself(target, entry).await)? {
            Ok(true) => folders.push((folder.path.clone(), entry.clone())),
            Ok(false) => {}
            Err(error) => return Ok(Some(Err(error))),
        }
    }
    let there = look(target, &drive.target, folders).await?;
    Ok(Some(there.map(|there| decide(wanted, &there))))
}

/// What is still to be done, and what no call can do.
type Answer = crate::drive::Result<(Vec<Step>, Vec<super::Remark>)>;
