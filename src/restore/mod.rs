//! Restores rows of a snapshot into a drive: folders parent first, then files, each once.
//!
//! The ledger knows every step and every name that is taken, so that a restore of any size needs no more memory than a
//! small one, and one that was stopped goes on. A file's start is on the disk before its upload is called; a start without
//! an end is settled by listing the folder again. Names are decided before any byte is sent.

mod folders;
mod local;
mod names;
mod plan;
mod rehearsal;
mod results;
mod send;
mod source;
mod steps;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::blocking::outcome;
use crate::drive::{self, Drive};
use crate::entry::{Kind, OnConflict};
use crate::id::{DriveId, Family};
use crate::ledger::{self, Ledger, Naming, Settled, UploadOutcome, UploadWork};
use crate::manifest;
use crate::monitor::{Counter, Monitor};
use crate::plan::Policy;
use crate::stop::Stop;
use crate::throttle::Throttle;
use send::Ended;

pub use local::{LocalFolder, local_name};
pub use names::{NAME_CHARACTERS, fold, numbered, numbered_local};
pub use plan::{DrivePlan, RestorePlan, check_room, plan, write_readiness, write_steps};
pub use rehearsal::{Made, Stage, rehearse};
pub use results::{Summary, Verdict, summary, write_results};
pub use source::Copies;
pub use steps::{FILE_BYTES, Limits, Place, Selection};

pub(crate) use names::same_text;
pub(crate) use results::take;
pub(crate) use send::{note_ends, send};
#[cfg(test)]
pub(crate) use source::hex;

/// Files taken from the ledger in one go, and so the most that share one flush.
const FILES_PER_CLAIM: u32 = 128;

/// Ends of uploads that share a commit at most.
const ENDS_PER_COMMIT: usize = 64;

/// How long the end of an upload waits for others, so that they share a commit. The end of the process in that time costs a
/// listing of the folder.
const GATHERING: Duration = Duration::from_millis(20);

/// How a restore works.
#[derive(Clone, Debug)]
pub struct Options {
    /// How names are decided.
    pub naming: Naming,
    /// Files of one family that are uploaded at the same time, at least 1.
    pub transfers: usize,
    /// Folders of one family that are made or listed at the same time, at least 1.
    pub folders: usize,
    /// How often one file is sent before it counts as failed, at least 1.
    pub attempts: u32,
    /// The share of the uploads that is downloaded again and compared, and what picks it.
    pub check_back: Policy,
    /// Bytes a second of all uploads together.
    pub throttle: Arc<Throttle>,
    /// How long transfers may go on after a stop was asked for.
    pub grace: Duration,
}

impl Options {
    /// Options for a target drive, with the rest as a job has it that says nothing.
    pub fn new(on_conflict: OnConflict) -> Options {
        Options {
            naming: Naming {
                on_conflict,
                times_kept: true,
                numbered,
                fold,
            },
            transfers: 8,
            folders: 4,
            attempts: 3,
            check_back: Policy { rehash: 0.0, salt: 0 },
            throttle: Arc::new(Throttle::new(None)),
            grace: Duration::from_secs(30),
        }
    }
}

/// Why a restore cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service refuses the token.
    #[error(transparent)]
    Drive(#[from] drive::Error),
    /// The run's state failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A result cannot be written.
    #[error("cannot write {path}")]
    Results {
        /// The file.
        path: std::path::PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
    /// A table cannot be written.
    #[error(transparent)]
    Table(#[from] manifest::Error),
}

/// What every lane works with.
pub(crate) struct Restore {
    pub(crate) drive: Arc<dyn Drive>,
    pub(crate) ledger: Ledger,
    pub(crate) copies: Arc<dyn Copies>,
    pub(crate) options: Options,
    pub(crate) monitor: Arc<dyn Monitor>,
    pub(crate) stop: Stop,
    /// The smallest size that a full drive refused. Larger files are not even tried.
    pub(crate) refused: Mutex<HashMap<DriveId, u64>>,
}

/// Whether more steps may come, for lanes that find none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fed {
    /// Whether there will be no more.
    pub(crate) ended: bool,
}

/// Takes every step of the ledger that [`plan`] put there, until none is left or a stop is asked for.
///
/// # Errors
/// When the token is refused or the ledger fails. All that was done until then stays done.
pub async fn restore(
    drive: Arc<dyn Drive>,
    ledger: Ledger,
    copies: Arc<dyn Copies>,
    options: Options,
    monitor: Arc<dyn Monitor>,
    stop: Stop,
) -> Result<Summary, Error> {
    ledger.resume_uploads().await?;
    let (files, bytes) = ledger.open_uploads().await?;
    monitor.count(Counter::FilesListed, files);
    monitor.count(Counter::BytesListed, bytes);
    let restore = Arc::new(Restore::new(drive, ledger, copies, options, monitor, stop));
    let (_fed, feed) = watch::channel(Fed { ended: true });
    deliver(&restore, &feed).await?;
    summary(&restore.ledger).await
}

impl Restore {
    pub(crate) fn new(
        drive: Arc<dyn Drive>,
        ledger: Ledger,
        copies: Arc<dyn Copies>,
        options: Options,
        monitor: Arc<dyn Monitor>,
        stop: Stop,
    ) -> Restore {
        Restore {
            drive,
            ledger,
            copies,
            options,
            monitor,
            stop,
            refused: Mutex::new(HashMap::new()),
        }
    }

    /// Tells of a step that needed no call, or that has come to its end.
    pub(crate) fn tell(&self, settled: &Settled) {
        let (counter, bytes) = match settled.outcome {
            UploadOutcome::Created | UploadOutcome::Adopted => (Counter::FoldersListed, None),
            UploadOutcome::Restored | UploadOutcome::Renamed | UploadOutcome::Overwritten
                if settled.is_file =>
            {
                (Counter::FilesDone, Some(Counter::BytesDone))
            }
            UploadOutcome::Restored | UploadOutcome::Renamed | UploadOutcome::Overwritten => {
                (Counter::FoldersListed, None)
            }
            UploadOutcome::AlreadyThere => (Counter::FilesReused, Some(Counter::BytesReused)),
            UploadOutcome::Skipped => (Counter::FilesSkipped, None),
            UploadOutcome::Removed => (Counter::FilesVanished, None),
            UploadOutcome::Failed | UploadOutcome::NotInSnapshot => (Counter::Failures, None),
        };
        self.monitor.count(counter, 1);
        if let Some(bytes) = bytes {
            self.monitor.count(bytes, settled.size);
        }
        if matches!(settled.outcome, UploadOutcome::Skipped | UploadOutcome::Failed) {
            let mut what = format!("{} ({})", settled.outcome.as_str(), settled.reason);
            if !settled.message.is_empty() {
                what.push_str(": ");
                what.push_str(&settled.message);
            }
            self.monitor.problem(&settled.subject, &what);
        }
    }

    pub(crate) fn is_too_full(&self, drive: &DriveId, size: u64) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(drive).is_some_and(|least| size >= *least)
    }

    pub(crate) fn note_full(&self, drive: &DriveId, size: u64) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let least = refused.entry(drive.clone()).or_insert(size);
        *least = size.min(*least);
    }
}

/// Runs the lanes of all families until the steps are done and no more will come, or a stop is asked for.
pub(crate) async fn deliver(restore: &Arc<Restore>, feed: &watch::Receiver<Fed>) -> Result<(), Error> {
    // Tasks of the runtime are woken by its own threads; what this future does itself may cost a switch to another thread
    // for each file.
    let mut lanes = JoinSet::new();
    for family in Family::ALL {
        lanes.spawn(lane(Arc::clone(restore), family, feed.clone()));
    }
    let done = async {
        while let Some(joined) = lanes.join_next().await {
            outcome(joined).unwrap_or(Ok(()))?;
        }
        Ok(())
    };
    let ended = tokio::select! {
        outcome = done => outcome,
        () = grace_is_over(restore) => Ok(()),
    };
    lanes.shutdown().await;
    ended
}

/// Waits for a stop, and then until its grace time has run out or the stop becomes an abort.
async fn grace_is_over(restore: &Restore) {
    restore.stop.draining().await;
    tokio::select! {
        () = tokio::time::sleep(restore.options.grace) => {}
        () = restore.stop.aborting() => {}
    }
}

/// What a task gives back.
enum Freed {
    Folder,
    File(usize, Option<Ended>),
}

async fn lane(restore: Arc<Restore>, family: Family, feed: watch::Receiver<Fed>) -> Result<(), Error> {
    let mut ended = Vec::new();
    let outcome = take_steps(&restore, family, feed, &mut ended).await;
    // What arrived before an error is there all the same.
    note_ends(&restore, ended).await?;
    outcome
}

/// Takes the steps of a family. `ended_files` holds the ends that are not noted yet.
async fn take_steps(
    restore: &Arc<Restore>,
    family: Family,
    mut feed: watch::Receiver<Fed>,
    ended_files: &mut Vec<Ended>,
) -> Result<(), Error> {
    let mut files: VecDeque<UploadWork> = VecDeque::new();
    let mut due = None;
    // Whether steps of a kind may have become ready since none was: each question costs a switch to the ledger's thread.
    let (mut folders_may_wait, mut files_may_wait) = (true, true);
    let mut tasks: JoinSet<Result<Freed, Error>> = JoinSet::new();
    let mut folders = 0;
    let first = family as usize * restore.options.transfers;
    let mut slots: Vec<usize> = (first..first + restore.options.transfers).rev().collect();
    loop {
        // Looked at before the ledger is asked, so that a step between the two wakes us up again.
        if feed.has_changed().unwrap_or(false) {
            (folders_may_wait, files_may_wait) = (true, true);
        }
        let ended = feed.borrow_and_update().ended;
        let draining = restore.stop.is_draining();
        if draining {
            let unused = files.drain(..).map(|work| work.no).collect();
            restore.ledger.release_uploads(unused).await?;
        }
        while !draining && folders_may_wait && folders < restore.options.folders {
            let room = u32::try_from(restore.options.folders - folders).unwrap_or(1);
            let works = claim(restore, family, Kind::Folder, room).await?;
            folders_may_wait = !works.is_empty();
            for work in works {
                folders += 1;
                let restore = Arc::clone(restore);
                tasks.spawn(async move {
                    folders::make(&restore, work).await?;
                    Ok(Freed::Folder)
                });
            }
        }
        while !draining && let Some(slot) = slots.pop() {
            if files.is_empty() && files_may_wait {
                files.extend(claim(restore, family, Kind::File, FILES_PER_CLAIM).await?);
                files_may_wait = !files.is_empty();
                if files_may_wait {
                    // From here on a repetition could make a second copy: the starts must outlive a loss of power.
                    restore.ledger.flush().await?;
                }
            }
            let Some(work) = files.pop_front() else {
                slots.push(slot);
                break;
            };
            let restore = Arc::clone(restore);
            tasks.spawn(async move { Ok(Freed::File(slot, send(&restore, work, slot).await?)) });
        }
        let is_due = due.is_some_and(|due| Instant::now() >= due);
        if !ended_files.is_empty() && (is_due || draining || ended_files.len() >= ENDS_PER_COMMIT) {
            due = None;
            note_ends(restore, std::mem::take(ended_files)).await?;
        }
        if tasks.is_empty() && ended_files.is_empty() && (ended || draining) {
            return Ok(());
        }
        tokio::select! {
            Some(joined) = tasks.join_next() => match outcome(joined).transpose()? {
                Some(Freed::Folder) => {
                    folders -= 1;
                    (folders_may_wait, files_may_wait) = (true, true);
                }
                Some(Freed::File(slot, end)) => {
                    slots.push(slot);
                    if let Some(end) = end {
                        due.get_or_insert_with(|| Instant::now() + GATHERING);
                        ended_files.push(end);
                    }
                }
                None => {}
            },
            () = until(due), if due.is_some() => {}
            Ok(()) = feed.changed(), if !ended => (folders_may_wait, files_may_wait) = (true, true),
            () = restore.stop.draining(), if !draining => {}
        }
    }
}

/// Waits for a moment, without an end where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Takes steps, until there are some that need calls or none at all.
async fn claim(restore: &Restore, family: Family, kind: Kind, limit: u32) -> Result<Vec<UploadWork>, Error> {
    loop {
        let claimed = restore
            .ledger
            .claim_uploads(family, kind, limit, restore.options.naming)
            .await?;
        for settled in &claimed.settled {
            restore.tell(settled);
        }
        if !claimed.works.is_empty() || claimed.settled.is_empty() {
            return Ok(claimed.works);
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
