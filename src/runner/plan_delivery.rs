//! Foretells a restore or a migration: what would become of each item, which calls that costs, and what hinders. A rehearsal finds it out:
//! the target is listed as far as it is there, and nothing is sent or written.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use super::plan::window;
use super::{Error, Host, Loaded, Session, quotas};
use crate::drive::Drive;
use crate::entry::Root;
use crate::estimate::{Arrivals, Delivery, DeliveryDrive, Load};
use crate::id::DriveId;
use crate::job::JobKind;
use crate::ledger::{Ledger, UploadOutcome, UploadTotals};
use crate::monitor::{Monitor, Silent, Tally};
use crate::restore::{self, RestorePlan, Stage};
use crate::stop::Stop;

/// A restore or migration as its plan tells it, with every step and every problem.
#[derive(Debug)]
pub struct PlannedDelivery {
    /// The plan, which prints as a page for people or as JSON.
    pub delivery: Delivery,
    pub(super) ledger: Ledger,
}

impl PlannedDelivery {
    /// Writes the readiness scan as CSV, and gives the target back with the number of problems.
    ///
    /// # Errors
    /// When the target refuses.
    pub async fn write_readiness<W: Write + Send + 'static>(
        &self,
        target: W,
        bom: bool,
    ) -> Result<(W, u64), Error> {
        Ok(restore::write_readiness(&self.ledger, target, bom).await?)
    }

    /// Writes every step as CSV, with what would become of it, and gives the target back with the number of steps.
    ///
    /// # Errors
    /// When the target refuses.
    pub async fn write_steps<W: Write + Send + 'static>(
        &self,
        target: W,
        bom: bool,
    ) -> Result<(W, u64), Error> {
        Ok(restore::write_steps(&self.ledger, target, bom).await?)
    }
}

/// Says what a restore or migration would do. Nothing is written, neither to the archive nor to the target.
///
/// # Errors
/// As [`super::run`]; [`Error::NotPlanned`] for a job of another kind.
pub async fn plan_delivery(
    loaded: Loaded,
    host: &Host,
    monitor: Arc<dyn Monitor>,
) -> Result<PlannedDelivery, Error> {
    let session = Session::new(loaded, host, monitor, Stop::new());
    match &session.loaded.job.kind {
        JobKind::Restore(options) => super::restore::plan(&session, options).await,
        JobKind::Migrate(options) => super::migrate::plan(&session, options).await,
        other => Err(Error::NotPlanned(other.word())),
    }
}

/// A plan after its rehearsal.
pub(super) struct Rehearsed {
    plan: RestorePlan,
    totals: UploadTotals,
}

/// Takes every step without sending anything, and looks whether there is room for what would be sent.
pub(super) async fn rehearse(
    session: &Session,
    stage: &Arc<Stage>,
    ledger: &Ledger,
    options: restore::Options,
    selection: &restore::Selection,
) -> Result<Rehearsed, Error> {
    let rehearsed = restore::rehearse(
        Arc::clone(stage),
        ledger.clone(),
        options,
        // Nothing is transferred: what it told would not be true.
        Arc::new(Silent),
        session.stop.clone(),
    );
    let summary = rehearsed.await?;
    restore::check_room(ledger, selection).await?;
    Ok(Rehearsed {
        plan: restore::plan(ledger, std::iter::empty(), selection).await?,
        totals: summary.totals,
    })
}

/// The calls so far, and those of what the rehearsal made.
pub(super) fn arriving(tally: &Tally, stage: &Stage, classic: bool) -> Load {
    let mut load = Load {
        calls: tally
            .calls()
            .into_iter()
            // Tokens are had for hours.
            .filter(|(name, _)| !name.starts_with("oauth."))
            .map(|(name, count)| (name.to_owned(), count.sent))
            .collect(),
        bytes: 0,
    };
    let arrivals: BTreeMap<_, _> = stage
        .made()
        .into_iter()
        .map(|(family, made)| {
            let arrivals = Arrivals {
                root_folders: made.root_folders,
                folders: made.folders,
                root_files: made.root_files,
                files: made.files,
                bytes: made.bytes,
            };
            (family, arrivals)
        })
        .collect();
    load.add_arrivals(&arrivals, classic);
    load
}

/// What both kinds of plan have in common.
pub(super) fn describe(session: &Session, made: &Rehearsed) -> Delivery {
    let job = &session.loaded.job;
    let outcomes = || UploadOutcome::ALL.into_iter();
    let files = outcomes()
        .zip(made.totals.files)
        .filter(|(_, (files, _))| *files > 0);
    let folders = outcomes()
        .zip(made.totals.folders)
        .filter(|(_, folders)| *folders > 0);
    Delivery {
        kind: job.kind.word(),
        job: session.loaded.name.clone(),
        drives: made
            .plan
            .drives
            .iter()
            .map(|drive| DeliveryDrive {
                source: drive.source.clone(),
                target: drive.target.clone(),
                files: drive.files,
                folders: drive.folders,
                bytes: drive.bytes,
                room: drive.room,
            })
            .collect(),
        files: files.map(|(outcome, sum)| (outcome.as_str(), sum)).collect(),
        folders: folders.map(|(outcome, sum)| (outcome.as_str(), sum)).collect(),
        bandwidth: job.limits.bandwidth,
        window: window(session),
        problems: made.plan.problems.clone(),
        ..Delivery::default()
    }
}

/// Fills in what the members' drives among the targets have left, where the list of members did not tell.
pub(super) async fn fill_quotas(drive: &Arc<dyn Drive>, targets: &mut HashMap<DriveId, Root>) {
    let unknown = targets
        .values()
        .filter(|root| root.quota.is_none())
        .map(|root| root.entry.drive.clone());
    let figures = quotas::figures(drive, unknown.collect()).await;
    for root in targets.values_mut() {
        if let Some(quota) = figures.get(&root.entry.drive) {
            root.quota = Some(*quota);
        }
    }
}
