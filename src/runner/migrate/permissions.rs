//! The permissions of shared drives in the final pass: recorded, planned, and applied when the plan was shown before.
//!
//! The calls of the plan that a run has written into its results are kept beside the journal. A later run applies its plan
//! only when every call in it is among them, so that nothing is changed that nobody could have looked at.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::compare::Compared;
use super::pair::read_map;
use super::{Sides, make_folder};
use crate::blocking::blocking;
use crate::drive::{ErrorKind, Reach};
use crate::entry::Root;
use crate::id::{DriveId, Family};
use crate::job::{Pass, Permissions};
use crate::ledger::Ledger;
use crate::migrate::{
    self, Applied, People, PermissionPlan, PermissionTable, Survey, apply_permissions, plan_permissions,
};
use crate::report::Report;
use crate::runner::restore::write_whole;
use crate::runner::{Error, Session};

/// What became of the permissions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing was to be set.
    #[default]
    Told,
    /// They are as at the source.
    Same,
    /// They are not, or not all of them.
    Different,
    /// A stop came first.
    Stopped,
}

/// Warns before the first byte of drives that are open while what is restricted at the source is copied into them.
pub(super) async fn warn_of_open_drives(
    sides: &Sides<'_>,
    targets: &HashMap<DriveId, Root>,
    report: &mut Report,
) -> Result<(), Error> {
    let delivery = &sides.options.delivery;
    if delivery.permissions == Permissions::Record || sides.options.pass != Pass::First {
        return Ok(());
    }
    let mut open: Vec<String> = Vec::new();
    for root in targets.values() {
        if root.entry.drive.family() != Family::SharedDrive {
            continue;
        }
        match sides.target.sharing(&root.entry).await {
            Ok(sharing) => {
                let is_open = sharing.rules.is_some_and(|rules| rules.reach != Reach::Members);
                if is_open || !sharing.grants.is_empty() {
                    open.push(format!("{} {}", root.entry.drive, root.name));
                }
            }
            Err(error) if error.kind == ErrorKind::Unauthenticated => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "whether the drive is open could not be read"),
        }
    }
    if !open.is_empty() {
        open.sort();
        report.warnings.push(format!(
            "others than the masters can see what is copied into these drives before its permissions are set: {}",
            open.join(", ")
        ));
    }
    Ok(())
}

/// Records the permissions, and does with them what the job says.
pub(super) async fn settle(
    session: &Session,
    sides: &Sides<'_>,
    recorded_from: &Ledger,
    compared: &Compared,
    targets: &HashMap<DriveId, Root>,
    report: &mut Report,
) -> Result<Outcome, Error> {
    let (folder, bom) = (&sides.results, session.loaded.job.bom);
    make_folder(folder).await?;
    let (recorded, refused) = migrate::record_permissions(
        sides.source.as_ref(),
        recorded_from,
        &folder.join("permissions.csv"),
        bom,
    )
    .await?;
    let mut details = json!({ "recorded": recorded, "refused": refused });
    let wanted = sides.options.delivery.permissions;
    if wanted == Permissions::Record {
        report.details.insert("permissions".to_owned(), details);
        return Ok(Outcome::Told);
    }
    let map = read_map(session, &sides.options.delivery).await?;
    let mut people = People::new(sides.source.as_ref(), sides.target.as_ref(), &map);
    let survey = Survey {
        source: sides.source.as_ref(),
        target: sides.target.as_ref(),
        source_list: &compared.source,
        target_list: &compared.target,
        journal: &sides.journal,
        targets,
    };
    let planning = plan_permissions(&survey, &mut people);
    let plan = tokio::select! {
        plan = planning => plan?,
        () = session.stop.draining() => return Ok(Outcome::Stopped),
    };
    add(&mut details, &describe(&plan));
    let shown = shown(&sides.state).await;
    let is_approved =
        wanted == Permissions::Apply && shown.as_ref().is_some_and(|shown| plan.is_within(shown));
    let outcome = if is_approved {
        let applied = apply(session, sides, &plan).await?;
        if !applied.is_finished {
            return Ok(Outcome::Stopped);
        }
        add(&mut details, &describe_applied(&applied));
        tell_applied(&applied, report)
    } else {
        show(sides, &plan, bom).await?;
        tell_plan(wanted, &plan, shown.is_some(), report)
    };
    report.details.insert("permissions".to_owned(), details);
    Ok(outcome)
}

/// Writes the plan, and then remembers what it was.
async fn show(sides: &Sides<'_>, plan: &PermissionPlan, bom: bool) -> Result<(), Error> {
    let mut table = PermissionTable::create(&sides.results.join("permissions-plan.csv"), bom)?;
    table.write_plan(plan)?;
    let mut text = plan.keys().join("\n");
    text.push('\n');
    let path = sides.state.join(SHOWN);
    blocking(move || write_whole(&path, text.as_bytes())).await
}

/// The calls of the plan that was shown last, one a line.
const SHOWN: &str = "permissions-shown.txt";

/// The calls that were shown before; `None` when there was no plan.
async fn shown(state: &Path) -> Option<HashSet<String>> {
    let path = state.join(SHOWN);
    let text = blocking(move || std::fs::read_to_string(&path)).await.ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

async fn apply(session: &Session, sides: &Sides<'_>, plan: &PermissionPlan) -> Result<Applied, Error> {
    let (folder, bom) = (&sides.results, session.loaded.job.bom);
    let path = folder.join("permissions-plan.csv");
    if !path.exists() {
        PermissionTable::create(&path, bom)?.write_plan(plan)?;
    }
    let mut applied = PermissionTable::create(&free(folder, "permissions-applied"), bom)?;
    let mut differences = PermissionTable::create(&folder.join("permissions-differences.csv"), bom)?;
    Ok(apply_permissions(
        sides.target.as_ref(),
        plan,
        &mut applied,
        &mut differences,
        session.monitor.as_ref(),
        &session.stop,
    )
    .await?)
}

/// The first name that no earlier part of this pass has taken.
fn free(folder: &Path, stem: &str) -> PathBuf {
    let mut path = folder.join(format!("{stem}.csv"));
    let mut number = 2;
    while path.exists() {
        path = folder.join(format!("{stem}-{number}.csv"));
        number += 1;
    }
    path
}

fn describe(plan: &PermissionPlan) -> Value {
    json!({
        "planned": plan.steps(),
        "by_hand": plan.remarks("by-hand"),
        "unmapped": plan.remarks("unmapped"),
        "only_in_target": plan.remarks("only-in-target"),
    })
}

fn describe_applied(applied: &Applied) -> Value {
    json!({
        "done": applied.done,
        "already": applied.already,
        "refused_calls": applied.refused,
        "held": applied.held,
        "differences": applied.differences,
    })
}

fn add(details: &mut Value, more: &Value) {
    if let (Some(details), Some(more)) = (details.as_object_mut(), more.as_object()) {
        details.extend(more.clone());
    }
}

fn tell_applied(applied: &Applied, report: &mut Report) -> Outcome {
    if applied.refused + applied.held + applied.differences == 0 {
        return Outcome::Same;
    }
    report.warnings.push(format!(
        "the permissions are not as at the source: {} calls were refused, {} were held back, {} differences; \
         see permissions-applied.csv and permissions-differences.csv",
        applied.refused, applied.held, applied.differences
    ));
    Outcome::Different
}

fn tell_plan(wanted: Permissions, plan: &PermissionPlan, had_one: bool, report: &mut Report) -> Outcome {
    let (steps, by_hand, unmapped) = (plan.steps(), plan.remarks("by-hand"), plan.remarks("unmapped"));
    let figures = format!("{steps} changes planned, {by_hand} to be made by hand, {unmapped} unmapped");
    if wanted == Permissions::Plan {
        report.warnings.push(format!(
            "the permissions were not set: {figures}; see permissions-plan.csv"
        ));
        return Outcome::Told;
    }
    let why = if had_one {
        "the plan is not the one that was shown before"
    } else {
        "the plan was not shown before"
    };
    report.warnings.push(format!(
        "the permissions were not set, since {why}: {figures}; look at permissions-plan.csv and run the job again"
    ));
    Outcome::Different
}
