//! Removes snapshots by the job's retention: as a job of its own, and after a complete backup.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::json;

use super::begin::{lock, open_existing};
use super::{Error, Session};
use crate::archive::{Archive, Lock};
use crate::blocking::blocking;
use crate::job::Retention;
use crate::prune::{self, Done, Options, Plan};
use crate::report::{Report, Status, size};
use crate::retention::Policy;
use crate::stop::StopReason;

/// A job of the kind `prune`: judges the snapshots of every job in the archive.
pub(super) async fn run(session: &Session) -> Result<Report, Error> {
    let started = session.host.clock.now();
    let archive = open_existing(session).await?;
    let lock = lock(session, &archive, started).await?;
    let retention = session.loaded.job.retention.as_ref();
    let retention = retention.ok_or(Error::Lost("the retention"))?;
    let (plan, done) = retain(session, &archive, &lock, retention, Scope::AllJobs).await?;
    let mut report = session.report(&archive, started);
    if let Some(Done { stopped: true, .. }) = done {
        report.status = match session.stop.reason() {
            Some(StopReason::WindowEnded) => Status::WindowEnded,
            _ => Status::Interrupted,
        };
    }
    tell(&mut report, &plan, done.as_ref());
    session.add_figures(&mut report);
    Ok(report)
}

/// Prunes after a complete backup, when the job has a `[retention]`. What goes wrong is a warning: the backup stands.
pub(super) async fn after_backup(
    session: &Session,
    archive: &Archive,
    lock: &Arc<Lock>,
    report: &mut Report,
) {
    let Some(retention) = &session.loaded.job.retention else {
        return;
    };
    if report.status != Status::Complete || session.stop.is_draining() {
        return;
    }
    match retain(session, archive, lock, retention, Scope::ThisJob).await {
        Ok((plan, done)) => tell(report, &plan, done.as_ref()),
        Err(error) => report
            .warnings
            .push(format!("the retention was not carried out: {error}")),
    }
}

/// Whose snapshots are judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    AllJobs,
    ThisJob,
}

async fn retain(
    session: &Session,
    archive: &Archive,
    lock: &Arc<Lock>,
    retention: &Retention,
    scope: Scope,
) -> Result<(Plan, Option<Done>), prune::Error> {
    let apply = retention.apply;
    let options = Options {
        policy: Policy {
            last: retention.keep_last,
            daily: retention.keep_daily,
            weekly: retention.keep_weekly,
            monthly: retention.keep_monthly,
            yearly: retention.keep_yearly,
        },
        zone: session
            .loaded
            .job
            .time_zone
            .clone()
            .unwrap_or_else(TimeZone::system),
        hold_on_drop: retention.hold_on_drop.fraction(),
        // A look at each file takes as long as the removal, so a nightly run does not take it.
        measure: !apply && scope == Scope::AllJobs,
    };
    let (archive, lock, stop) = (archive.clone(), Arc::clone(lock), session.stop.clone());
    let (kind, job) = (session.loaded.job.kind.word(), session.loaded.name.clone());
    let pruning = blocking(move || {
        let mut plan = prune::plan(&archive, &options)?;
        if scope == Scope::ThisJob {
            plan.items.retain(|item| item.kind == kind && item.job == job);
            plan.holds.retain(|hold| hold.kind == kind && hold.job == job);
        }
        let done = match apply {
            true => Some(prune::perform(&archive, &lock, &plan, &stop)?),
            false => None,
        };
        Ok((plan, done))
    });
    session.around.unwatched(pruning).await
}

fn tell(report: &mut Report, plan: &Plan, done: Option<&Done>) {
    report.warnings.extend(plan.holds.iter().map(ToString::to_string));
    let planned: Vec<&str> = plan.removals().map(|id| id.as_str()).collect();
    match done {
        Some(done) => {
            let freed = done
                .freed
                .map(|bytes| format!(", {} freed", size(bytes)))
                .unwrap_or_default();
            report.note(format!(
                "removed   {} of {} snapshots{freed}",
                done.removed.len(),
                plan.items.len()
            ));
        }
        None => {
            report.note(format!(
                "to remove {} of {} snapshots{}; set apply = true under [retention] to remove them",
                planned.len(),
                plan.items.len(),
                plan.freed
            ));
        }
    }
    let listed: Vec<&str> = match done {
        Some(done) => done.removed.iter().map(|id| id.as_str()).collect(),
        None => planned,
    };
    for id in listed.iter().take(Report::FAILURES_SHOWN) {
        report.note(format!("          {id}"));
    }
    if let Some(more) = listed.len().checked_sub(Report::FAILURES_SHOWN + 1) {
        report.note(format!("          and {} more", more + 1));
    }
    report.details.insert(
        "retention".to_owned(),
        json!({
            "applied": done.is_some(),
            "plan": plan.to_json(),
            "done": done.map(Done::to_json),
        }),
    );
}
