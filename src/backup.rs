//! Backs up drives into a snapshot: lists, reuses what is unchanged, fetches the rest.
//!
//! The order of trust is bytes, ledger, manifest, tail. A worker puts a file's bytes under their final name and tells
//! the ledger at once, so that the end of the process loses nothing. The disk follows for many files at a time; the ledger
//! knows how far, and what it had not got to is looked at by the next start.

mod spool;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::archive::{self, Run};
use crate::blocking::{blocking, outcome};
use crate::drive::{self, Drive};
use crate::fetch::{self, Fetch, Fetched};
use crate::id::Family;
use crate::keep::Keeper;
use crate::ledger::{self, Done, Ledger, Work};
use crate::manifest::Outcome;
use crate::monitor::{Counter, Monitor, Phase};
use crate::plan::{self, Decision, Policy};
use crate::stop::{Stop, StopReason};
use crate::throttle::Throttle;
use crate::walk::{self, Progress, Walked, walk};

pub use spool::Spool;

/// Files taken from the ledger in one go; also the most that are reused by one task.
const FILES_PER_CLAIM: u32 = 128;

/// Time between two waits for the disk while files come in: what the loss of power may cost beside what is under way. Each
/// wait writes all that is not yet on the disk, so that waiting for every few files would cost more than fetching them.
const BETWEEN_SYNCS: Duration = Duration::from_secs(2);

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
        keeper: Keeper::new(run.clone(), ledger.clone()),
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
        .map(|family| fetch_family(Arc::clone(backup), family, progress.subscribe(), stored.clone()));
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

/// Gets the files of one family, at most `transfers` at a time.
async fn fetch_family(
    backup: Arc<Backup>,
    family: Family,
    mut walked: watch::Receiver<Walked>,
    stored: mpsc::Sender<()>,
) -> Result<(), Error> {
    let mut after = 0;
    let mut waiting: VecDeque<Work> = VecDeque::new();
    let mut tasks: JoinSet<Result<Ended, Error>> = JoinSet::new();
    let mut slots: Vec<usize> = worker_numbers(family, backup.options.transfers);
    let mut room = backup.options.spool.as_ref().map(|spool| spool.subscribe());
    loop {
        let mut is_full = false;
        if let Some(room) = &mut room {
            // Looked at before room is asked for, as with the pages.
            room.mark_unchanged();
        }
        // Looked at before the ledger is asked, so that a page between the two wakes us up again.
        let ended = walked.borrow_and_update().ended;
        let draining = backup.stop.is_draining();
        while !draining && let Some(slot) = slots.pop() {
            if waiting.is_empty() {
                let claimed = backup.ledger.pending(family, after, FILES_PER_CLAIM).await?;
                after = claimed.last().map_or(after, |work| work.no);
                let (reusable, wanted): (Vec<Work>, Vec<Work>) =
                    claimed.into_iter().partition(|work| is_reusable(&backup, work));
                waiting.extend(wanted);
                if !reusable.is_empty() {
                    tasks.spawn(reuse(Arc::clone(&backup), reusable, slot, stored.clone()));
                    continue;
                }
            }
            let Some(work) = waiting.pop_front() else {
                slots.push(slot);
                break;
            };
            if let Some(spool) = &backup.options.spool
                && !spool.try_take(work.entry.size.unwrap_or(0))
            {
                waiting.push_front(work);
                slots.push(slot);
                is_full = true;
                break;
            }
            tasks.spawn(fetch_one(Arc::clone(&backup), work, slot, stored.clone()));
        }
        if tasks.is_empty() && !is_full && (ended || draining) {
            return Ok(());
        }
        tokio::select! {
            () = has_room(room.as_mut()), if is_full => {}
            Some(joined) = tasks.join_next() => {
                if let Some(ended) = outcome(joined) {
                    let Ended { slot, left } = ended?;
                    slots.push(slot);
                    waiting.extend(left);
                }
            }
            Ok(()) = walked.changed(), if !ended => {}
            () = backup.stop.draining(), if !draining => {}
        }
    }
}

/// Waits until there may be more room.
async fn has_room(room: Option<&mut watch::Receiver<i64>>) {
    if let Some(room) = room
        && room.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Worker numbers are unique over all families, so that each has its own line on a terminal.
fn worker_numbers(family: Family, transfers: usize) -> Vec<usize> {
    let first = family as usize * transfers;
    (first..first + transfers).rev().collect()
}

/// What a task leaves behind.
struct Ended {
    /// The worker that is free again.
    slot: usize,
    /// Files whose earlier copy does not serve after all.
    left: Vec<Work>,
}

fn is_reusable(backup: &Backup, work: &Work) -> bool {
    let decision = plan::decide(&work.entry, work.earlier.as_ref(), &backup.options.policy);
    matches!(decision, Decision::Reuse { .. })
}

/// Takes files from earlier snapshots. One whose copy is missing or damaged is left to be fetched.
async fn reuse(
    backup: Arc<Backup>,
    works: Vec<Work>,
    slot: usize,
    stored: mpsc::Sender<()>,
) -> Result<Ended, Error> {
    let run = backup.run.clone();
    let policy = backup.options.policy;
    let (done, left) = blocking(move || -> Result<_, archive::Error> {
        let mut done = Vec::with_capacity(works.len());
        let mut left = Vec::new();
        for mut work in works {
            match fetch::reuse(&run, &work, &policy)? {
                Some(one) => done.push((work.entry.size.unwrap_or(0), one)),
                None => {
                    // Without its earlier copy it can only be fetched.
                    work.earlier = None;
                    left.push(work);
                }
            }
        }
        Ok((done, left))
    })
    .await?;
    for work in &left {
        backup.monitor.problem(
            &format!("{}:{}", work.entry.drive, work.path),
            "its copy in the earlier snapshot is missing or damaged; it is fetched again",
        );
    }
    let (sizes, done): (Vec<u64>, Vec<Done>) = done.into_iter().unzip();
    let files = done.len() as u64;
    settle(&backup, done, &stored).await?;
    backup.monitor.count(Counter::FilesReused, files);
    backup
        .monitor
        .count(Counter::BytesReused, sizes.into_iter().sum());
    Ok(Ended { slot, left })
}

async fn fetch_one(
    backup: Arc<Backup>,
    work: Work,
    slot: usize,
    stored: mpsc::Sender<()>,
) -> Result<Ended, Error> {
    let fetch = Fetch {
        drive: &*backup.drive,
        run: &backup.run,
        keeper: &backup.keeper,
        monitor: &*backup.monitor,
        throttle: &backup.options.throttle,
        attempts: backup.options.attempts,
        slot,
    };
    let fetched = fetch.fetch(&work).await?;
    if let Some(spool) = &backup.options.spool {
        let stored = match &fetched {
            Fetched::Settled(settled) if settled.outcome == Outcome::Stored => settled.bytes,
            Fetched::Settled(_) | Fetched::Cancelled => 0,
        };
        spool.settle(work.entry.size.unwrap_or(0), stored);
    }
    if let Fetched::Settled(settled) = fetched {
        let counter = match settled.outcome {
            Outcome::Failed => {
                let subject = format!("{}:{}", work.entry.drive, work.path);
                backup.monitor.problem(&subject, &settled.message);
                Counter::Failures
            }
            Outcome::Vanished => Counter::FilesVanished,
            Outcome::Skipped => Counter::FilesSkipped,
            Outcome::Stored | Outcome::Reused | Outcome::Listed => Counter::FilesDone,
        };
        match settled.done {
            Some(done) => settle(&backup, vec![done], &stored).await?,
            None => tell(&stored),
        }
        backup.monitor.count(counter, 1);
        if counter == Counter::FilesDone {
            backup.monitor.count(Counter::BytesDone, settled.bytes);
        }
    }
    Ok(Ended {
        slot,
        left: Vec::new(),
    })
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
