//! Backs up drives into a snapshot: lists, reuses what is unchanged, fetches the rest.
//!
//! The order of trust is bytes, ledger, manifest, tail. A worker puts a file's bytes under their final name and tells
//! the ledger at once, so that the end of the process loses nothing. The disk follows for many files at a time; the ledger
//! knows how far, and what it had not got to is looked at by the next start.

mod lane;
mod spool;

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::archive::{self, Run};
use crate::blocking::{blocking, outcome};
use crate::drive::{self, Drive};
use crate::fetch;
use crate::id::Family;
use crate::keep::Keeper;
use crate::ledger::{self, Done, Ledger};
use crate::monitor::{Counter, Monitor, Phase};
use crate::plan::Policy;
use crate::stop::{Stop, StopReason};
use crate::throttle::Throttle;
use crate::walk::{self, Progress, walk};

pub use spool::Spool;

/// Time between two waits for the disk while files come in: what the loss of power may cost beside what is under way. Each
/// wait writes all that is not yet on the disk, so that waiting for every few files would cost more than fetching them.
const BETWEEN_SYNCS: Duration = Duration::from_secs(2);

/// Small files that may wait to be stored for each transfer: enough to keep the network busy while the ledger takes in pages of
/// listings. The end of the process costs these too.
const KEPT_PER_TRANSFER: usize = 8;

/// How often files that changed while the walk went on are looked at again.
const SWEEPS: u32 = 3;

/// What a backup needs to know.
#[derive(Clone)]
pub struct Options {
    /// How to list.
    pub walk: walk::Options,
    /// Files of one family that are transferred at the same time, at least 1.
    pub transfers: usize,
    /// How often the content of one file is asked for before it counts as failed, at least 1.
    pub attempts: u32,
    /// When an earlier copy serves.
    pub policy: Policy,
    /// Bytes a second of all transfers together.
    pub throttle: Arc<Throttle>,
    /// The room for bytes that are only passing through; `None` when all stay.
    pub spool: Option<Arc<Spool>>,
    /// How long transfers may go on after a stop was asked for.
    pub grace: Duration,
}

/// Why a backup cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service refuses the token.
    #[error(transparent)]
    Drive(#[from] drive::Error),
    /// The run's state failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The archive cannot be written.
    #[error(transparent)]
    Archive(#[from] archive::Error),
}

impl From<fetch::Error> for Error {
    fn from(error: fetch::Error) -> Error {
        match error {
            fetch::Error::Drive(error) => Error::Drive(error),
            fetch::Error::Archive(error) => Error::Archive(error),
            fetch::Error::Ledger(error) => Error::Ledger(error),
        }
    }
}

impl From<walk::Error> for Error {
    fn from(error: walk::Error) -> Error {
        match error {
            walk::Error::Drive(error) => Error::Drive(error),
            walk::Error::Ledger(error) => Error::Ledger(error),
        }
    }
}

/// What every lane works with.
struct Backup {
    drive: Arc<dyn Drive>,
    ledger: Ledger,
    run: Run,
    keeper: Keeper,
    options: Options,
    monitor: Arc<dyn Monitor>,
    stop: Stop,
}

/// Walks every open folder of the ledger and gets the bytes of every pending file into the run's snapshot,
/// until nothing is left or a stop is asked for.
///
/// # Errors
/// When the token is refused, the ledger fails or the archive cannot be written. All that was done until then stays done.
pub async fn backup(
    drive: Arc<dyn Drive>,
    ledger: Ledger,
    run: Run,
    options: Options,
    monitor: Arc<dyn Monitor>,
    stop: Stop,
) -> Result<(), Error> {
    let backup = Arc::new(Backup {
        keeper: Keeper::new(run.clone(), ledger.clone(), KEPT_PER_TRANSFER * options.transfers),
        drive,
        ledger,
        run,
        options,
        monitor,
        stop,
    });
    // What an earlier start listed and did not fetch is known from the beginning.
    let (files, bytes) = backup.ledger.pending_totals().await?;
    if files > 0 {
        backup.monitor.count(Counter::FilesListed, files);
        backup.monitor.count(Counter::BytesListed, bytes);
    }
    let progress = Arc::new(Progress::default());
    // Tasks of the runtime are woken by its own threads; what this future does itself may cost a switch to another thread
    // for each file.
    let mut work = JoinSet::new();
    work.spawn(list(Arc::clone(&backup), Arc::clone(&progress)));
    work.spawn(fetch(Arc::clone(&backup), progress));
    let done = async {
        while let Some(joined) = work.join_next().await {
            outcome(joined).unwrap_or(Ok(()))?;
        }
        Ok(())
    };
    let ended = tokio::select! {
        outcome = done => outcome,
        () = grace_is_over(&backup) => Ok(()),
    };
    work.shutdown().await;
    ended
}

async fn list(backup: Arc<Backup>, progress: Arc<Progress>) -> Result<(), Error> {
    let outcome = walk(
        Arc::clone(&backup.drive),
        backup.ledger.clone(),
        backup.options.walk.clone(),
        Arc::clone(&backup.monitor),
        progress,
        backup.stop.clone(),
    )
    .await;
    backup.monitor.phase(Phase::Listed);
    outcome.map_err(Error::from)
}

async fn fetch(backup: Arc<Backup>, progress: Arc<Progress>) -> Result<(), Error> {
    for _ in 0..SWEEPS {
        fetch_all(&backup, &progress).await?;
        if backup.stop.is_draining() || !backup.ledger.has_pending().await? {
            break;
        }
    }
    Ok(())
}

/// How long transfers may go on after the job's window has ended: nobody waits for the process then, and what is under way
/// is not lost. The largest file, 10 GiB (API 2.0 docs, EN/drive-file-root-create), takes 29 minutes at 50 Mbit/s.
const LAST_TRANSFERS: Duration = Duration::from_secs(30 * 60);

/// Waits for a stop, and then until its grace time has run out or the stop becomes an abort.
async fn grace_is_over(backup: &Backup) {
    backup.stop.draining().await;
    let grace = grace_after(backup.stop.reason(), backup.options.grace);
    tokio::select! {
        () = tokio::time::sleep(grace) => {}
        () = backup.stop.aborting() => {}
    }
}

fn grace_after(reason: Option<StopReason>, usual: Duration) -> Duration {
    match reason {
        Some(StopReason::WindowEnded) => LAST_TRANSFERS.max(usual),
        _ => usual,
    }
}

async fn fetch_all(backup: &Arc<Backup>, progress: &Progress) -> Result<(), Error> {
    // One word that waits is enough: it is taken before the ledger is asked how far it is.
    let (stored, news) = mpsc::channel(1);
    let lanes = Family::ALL
        .map(|family| lane::fetch_family(Arc::clone(backup), family, progress.subscribe(), stored.clone()));
    // The disk has followed when the last sender is gone.
    drop(stored);
    tokio::try_join!(try_join_all(lanes), follow(backup, news)).map(|_| ())
}

/// Makes durable what is settled, once for all that was settled since the last time.
async fn follow(backup: &Backup, mut stored: mpsc::Receiver<()>) -> Result<(), Error> {
    loop {
        let mut has_news = false;
        let gathering = async {
            while stored.recv().await.is_some() {
                has_news = true;
            }
        };
        let ended = tokio::time::timeout(BETWEEN_SYNCS, gathering).await.is_ok();
        if has_news {
            sync(backup).await?;
        }
        if ended {
            return Ok(());
        }
    }
}

/// Tells the ledger what became of files. They count as under way until it knows, so that the end of the process costs no
/// more than what is under way.
async fn settle(backup: &Backup, done: Vec<Done>, stored: &mpsc::Sender<()>) -> Result<(), Error> {
    let has_bytes = done.iter().any(|done| done.stored_at.is_some());
    backup.ledger.settle(done).await?;
    if has_bytes {
        tell(stored);
    }
    Ok(())
}

/// Says that files were settled that the disk has to follow.
fn tell(stored: &mpsc::Sender<()>) {
    // When a word waits already, it stands for these files too.
    let _ = stored.try_send(());
}

/// Makes durable what was settled so far.
async fn sync(backup: &Backup) -> Result<(), Error> {
    let batch = backup.ledger.seal().await?;
    let run = backup.run.clone();
    blocking(move || run.sync()).await?;
    backup.ledger.synced(batch).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_window_waits_for_large_files() {
        let usual = Duration::from_secs(8);
        for (reason, grace) in [
            (StopReason::WindowEnded, LAST_TRANSFERS),
            (StopReason::Interrupted, usual),
            (StopReason::Stalled, usual),
        ] {
            assert_eq!(grace_after(Some(reason), usual), grace);
        }
        let longer = LAST_TRANSFERS * 2;
        assert_eq!(grace_after(Some(StopReason::WindowEnded), longer), longer);
    }
}
