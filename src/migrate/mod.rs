//! Migrates drives into another tenant, pass by pass: what a backup stores is uploaded at once, and what changed at the
//! source since the last pass follows.
//!
//! Two ledgers take part: that of the backup that runs in this pass, and the *journal*, which lives as long as the
//! migration and knows every item of the target that is ours. What people changed in the target is never overwritten.

mod aftermath;
mod hand_off;
mod map;
mod permissions;
mod reconcile;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::drive::Drive;
use crate::entry::{Kind, Root};
use crate::id::DriveId;
use crate::ledger::{Followed, Handed, Ledger, NewUpload, Spent, UploadOutcome};
use crate::manifest::{DELIVERED, Outcome};
use crate::monitor::Monitor;
use crate::path::DrivePath;
use crate::restore::{self, Copies, Fed, Limits, Restore, Summary, deliver, fold, summary};
use crate::stop::Stop;

pub use hand_off::HandOff;
pub use map::{Map, MapError, Pairs, Unmapped};
pub use permissions::{
    Applied, People, PermissionPlan, PermissionTable, Survey, apply_permissions, plan_permissions,
    record_permissions,
};
pub use reconcile::{Reconciliation, reconcile, write_reconciliation};

pub use crate::restore::Error;

/// Items that are handed over in one go.
const ITEMS_PER_HAND: u32 = 512;

/// How a migration works.
#[derive(Clone, Debug)]
pub struct Options {
    /// How items are put into the target.
    pub restore: restore::Options,
    /// What the target takes.
    pub limits: Limits,
    /// Whether what is gone at the source is removed in the target: the largest share of a drive's items, 0.0 to 1.0,
    /// that may go in one pass. `None` leaves everything.
    pub deletions: Option<f64>,
    /// How stored bytes are let go of once the target has them; `None` keeps them.
    pub hand_off: Option<HandOff>,
}

/// How the backup that feeds this pass is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Feed {
    /// More may come.
    #[default]
    Open,
    /// It was stopped or failed: nothing more comes, and what is missing is not known to be gone.
    Stopped,
    /// It came to its end.
    Ended,
}

/// What one pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassSummary {
    /// The pass, the first being 1.
    pub pass: i64,
    /// Whether it came to its end.
    pub is_finished: bool,
    /// Items by outcome, over all passes.
    pub uploads: Summary,
    /// Items that were renamed or moved in the target.
    pub relocated: u64,
    /// Files that got another content.
    pub refilled: u64,
    /// Items that were removed.
    pub removed: u64,
    /// Items that could not follow their source, since somebody changed them in the target or a call failed.
    pub not_followed: u64,
    /// Drives in which nothing was removed, since too much was gone.
    pub guarded: Vec<String>,
}

/// What a pass works with.
struct Pass {
    number: i64,
    source: Ledger,
    targets: HashMap<DriveId, Root>,
    options: Options,
    restore: Arc<Restore>,
}

/// Runs one pass: uploads what the backup behind `source` stores, until `feed` says that no more comes, and then makes the
/// target follow. A pass that was stopped goes on when it is called again with the same journal.
///
/// Source drives without a target are left out: the caller has named them before.
///
/// # Errors
/// When the target refuses the token, or a ledger fails. All that was done until then stays done.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a thing of its own, and a bag of them would have no name"
)]
pub async fn migrate(
    target: Arc<dyn Drive>,
    source: Ledger,
    journal: Ledger,
    copies: Arc<dyn Copies>,
    targets: HashMap<DriveId, Root>,
    options: Options,
    feed: watch::Receiver<Feed>,
    monitor: Arc<dyn Monitor>,
    stop: Stop,
) -> Result<PassSummary, Error> {
    journal.resume_uploads().await?;
    let number = journal.begin_pass(source.identity().await?).await?;
    let restore = Restore::new(target, journal, copies, options.restore.clone(), monitor, stop);
    let pass = Pass {
        number,
        source,
        targets,
        options,
        restore: Arc::new(restore),
    };
    for (drive, root) in &pass.targets {
        let step = root_step(drive, root);
        pass.restore.ledger.add_root_upload(step).await?;
    }
    let mut done = PassSummary {
        pass: number,
        ..PassSummary::default()
    };
    let (fed, lanes) = watch::channel(Fed::default());
    let (over, ended) = watch::channel(false);
    let mut ending = feed.clone();
    let delivering = deliver(&pass.restore, &lanes);
    let feeding = async {
        let outcome = hand_over(&pass, feed, &fed, &mut done).await;
        fed.send_replace(Fed { ended: true });
        outcome
    };
    let working = async {
        tokio::try_join!(delivering, feeding)?;
        over.send_replace(true);
        Ok(())
    };
    tokio::try_join!(working, hand_off::keep_up(&pass, ended))?;
    let has_ended = *ending.borrow_and_update() == Feed::Ended;
    if !pass.restore.stop.is_draining() {
        if has_ended {
            pass.restore.ledger.end_unseen(pass.number).await?;
        }
        aftermath::follow_all(&pass, &mut done, has_ended).await?;
        if let Some(hand_off) = &pass.options.hand_off {
            hand_off::settle(&pass, hand_off).await?;
        }
        if has_ended && !pass.restore.stop.is_draining() {
            pass.restore.ledger.finish_pass().await?;
            done.is_finished = true;
        }
    }
    done.uploads = summary(&pass.restore.ledger).await?;
    Ok(done)
}

/// Takes items from the backup's ledger into the journal as they come.
async fn hand_over(
    pass: &Pass,
    mut feed: watch::Receiver<Feed>,
    fed: &watch::Sender<Fed>,
    done: &mut PassSummary,
) -> Result<(), Error> {
    let mut news = pass.source.news();
    let mut below = 0;
    loop {
        // Looked at before the ledger is asked, so that an item between the two wakes us up again.
        let is_open = *feed.borrow_and_update() == Feed::Open && feed.has_changed().is_ok();
        news.mark_unchanged();
        if !is_open {
            below = 0;
        }
        loop {
            if pass.restore.stop.is_draining() {
                return Ok(());
            }
            let handed = pass.source.not_handed(below, ITEMS_PER_HAND).await?;
            if handed.is_empty() {
                break;
            }
            let marks = handed.iter().map(|one| (one.item, one.mark.clone())).collect();
            let items: Vec<Followed> = handed.into_iter().filter_map(|one| followed(pass, one)).collect();
            let refused = items.iter().filter_map(refused_copy).collect();
            // The journal first: an item that is handed on twice changes nothing, one that is lost would.
            pass.restore.ledger.follow(pass.number, items).await?;
            pass.source.hand_on(marks).await?;
            if let Some(hand_off) = &pass.options.hand_off {
                hand_off
                    .let_go(&pass.source, refused, &*pass.restore.monitor)
                    .await?;
            }
            fed.send_replace(Fed { ended: false });
        }
        if pass.options.hand_off.is_some() {
            // The bytes of new contents take up room until they are sent: they do not wait for the end of the pass.
            aftermath::refill_all(pass, done).await?;
        }
        if !is_open {
            return Ok(());
        }
        below = pass.source.handed_below(below).await?;
        tokio::select! {
            _ = news.changed() => {}
            _ = feed.changed() => {}
            () = pass.restore.stop.draining() => return Ok(()),
        }
    }
}

fn root_step(drive: &DriveId, root: &Root) -> NewUpload {
    NewUpload {
        no: 0,
        parent: None,
        drive: drive.clone(),
        target: Some(root.entry.drive.clone()),
        id: root.entry.id.clone(),
        path: DrivePath::root(),
        name: String::new(),
        fold: String::new(),
        kind: Kind::Folder,
        size: None,
        modified: None,
        sha256: None,
        stored_at: None,
        known: Some(Box::new(root.entry.clone())),
        settled: None,
    }
}

fn followed(pass: &Pass, handed: Handed) -> Option<Followed> {
    let row = handed.row;
    let target = pass.targets.get(&row.entry.drive)?;
    let is_delivered = row.outcome == Outcome::Listed && row.reason == DELIVERED;
    let is_held = matches!(row.outcome, Outcome::Stored | Outcome::Reused) && row.stored_at.is_some();
    let is_held = is_held || is_delivered;
    let limits = pass.options.limits;
    let settled = if row.entry.name.chars().count() > limits.name_characters {
        Some((UploadOutcome::Failed, "name-too-long".to_owned()))
    } else if row.entry.is_folder() {
        None
    } else if !is_held {
        let why = if row.reason.is_empty() {
            row.outcome.as_str().to_owned()
        } else {
            format!("{}: {}", row.outcome.as_str(), row.reason)
        };
        Some((UploadOutcome::NotInSnapshot, why))
    } else if row.entry.size.is_some_and(|size| size > limits.file_bytes) {
        Some((UploadOutcome::Failed, "too-large".to_owned()))
    } else {
        None
    };
    Some(Followed {
        folder: handed.folder,
        step: NewUpload {
            no: 0,
            parent: None,
            drive: row.entry.drive.clone(),
            target: Some(target.entry.drive.clone()),
            id: row.entry.id.clone(),
            path: row.path,
            fold: fold(&row.entry.name),
            name: row.entry.name,
            kind: row.entry.kind,
            size: row.entry.size,
            modified: row.entry.modified,
            sha256: row.sha256,
            stored_at: row.stored_at,
            known: None,
            settled,
        },
    })
}

/// The copy of a file that will not be put into the target, whatever the journal knows of it.
fn refused_copy(item: &Followed) -> Option<Spent> {
    let step = &item.step;
    Some(Spent {
        no: 0,
        drive: step.drive.clone(),
        id: step.id.clone(),
        stored_at: step.settled.is_some().then(|| step.stored_at.clone())??,
        sha256: step.sha256.clone(),
        is_delivered: false,
    })
}

#[cfg(test)]
mod tests;
