//! One family's files: claimed from the ledger, given to workers, reused or fetched.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Backup, Error, settle, tell};
use crate::archive;
use crate::blocking::{blocking, outcome};
use crate::fetch::{self, Fetch, Fetched};
use crate::id::Family;
use crate::ledger::{self, Done, Ledger, Work};
use crate::manifest::Outcome;
use crate::monitor::Counter;
use crate::plan::{self, Decision};
use crate::walk::Walked;

/// Files taken from the ledger in one go. It answers late while pages come in, so they are taken before they are needed.
const FILES_PER_CLAIM: u32 = 512;

/// Files that are reused by one task at most.
const FILES_PER_REUSE: usize = 128;

/// Gets the files of one family, at most `transfers` at a time.
pub(super) async fn fetch_family(
    backup: Arc<Backup>,
    family: Family,
    mut walked: watch::Receiver<Walked>,
    stored: mpsc::Sender<()>,
) -> Result<(), Error> {
    let mut claim = Claim::new(family);
    let mut waiting = Waiting::default();
    let mut tasks: JoinSet<Result<Vec<Work>, Error>> = JoinSet::new();
    let mut slots: Vec<usize> = worker_numbers(family, backup.options.transfers);
    let (free, mut freed) = mpsc::unbounded_channel();
    let mut room = backup.options.spool.as_ref().map(|spool| spool.subscribe());
    loop {
        let mut is_full = false;
        // A task that has ended has freed its worker before.
        while let Ok(slot) = freed.try_recv() {
            slots.push(slot);
        }
        if let Some(room) = &mut room {
            // Looked at before room is asked for, as with the pages.
            room.mark_unchanged();
        }
        // Looked at before the ledger is asked, so that a page between the two wakes us up again.
        let walked_so_far = *walked.borrow_and_update();
        let draining = backup.stop.is_draining();
        if !draining && waiting.len() < FILES_PER_CLAIM as usize {
            claim.ask(&backup.ledger, walked_so_far);
        }
        while !draining
            && waiting.len() > 0
            && let Some(number) = slots.pop()
        {
            let worker = || Worker {
                number,
                free: free.clone(),
            };
            let reusable = waiting.some_reusable();
            if !reusable.is_empty() {
                tasks.spawn(reuse(Arc::clone(&backup), reusable, worker(), stored.clone()));
            } else if let Some(work) = waiting.wanted.pop_front() {
                if let Some(spool) = &backup.options.spool
                    && !spool.try_take(work.entry.size.unwrap_or(0))
                {
                    waiting.wanted.push_front(work);
                    slots.push(number);
                    is_full = true;
                    break;
                }
                tasks.spawn(fetch_one(Arc::clone(&backup), work, worker(), stored.clone()));
            }
        }
        let is_done = waiting.len() == 0 && claim.is_exhausted();
        if tasks.is_empty() && (is_done || draining) {
            return Ok(());
        }
        tokio::select! {
            claimed = claim.claimed() => waiting.add(&backup, claimed?),
            () = has_room(room.as_mut()), if is_full => {}
            Some(joined) = tasks.join_next() => {
                if let Some(left) = outcome(joined) {
                    waiting.wanted.extend(left?);
                }
            }
            Some(slot) = freed.recv() => slots.push(slot),
            Ok(()) = walked.changed(), if !walked_so_far.ended => {}
            () = backup.stop.draining(), if !draining => {}
        }
    }
}

/// Asks the ledger for the files of one family, in their order.
struct Claim {
    family: Family,
    /// The number of the last file that was claimed.
    after: i64,
    /// What was walked when the ledger was asked last.
    asked: Option<Walked>,
    answer: Option<BoxFuture<'static, ledger::Result<Vec<Work>>>>,
    /// Whether the last answer held no file.
    is_empty: bool,
}

impl Claim {
    fn new(family: Family) -> Claim {
        Claim {
            family,
            after: 0,
            asked: None,
            answer: None,
            is_empty: false,
        }
    }

    /// Asks for more files, unless that is done already, or nothing was listed since there were none.
    fn ask(&mut self, ledger: &Ledger, walked: Walked) {
        if self.answer.is_some() || (self.is_empty && self.asked == Some(walked)) {
            return;
        }
        let (ledger, family, after) = (ledger.clone(), self.family, self.after);
        self.asked = Some(walked);
        self.answer = Some(async move { ledger.pending(family, after, FILES_PER_CLAIM).await }.boxed());
    }

    /// Waits for the answer, forever when nothing was asked.
    async fn claimed(&mut self) -> ledger::Result<Vec<Work>> {
        let Some(answer) = &mut self.answer else {
            return std::future::pending().await;
        };
        let claimed = answer.await;
        self.answer = None;
        if let Ok(works) = &claimed {
            self.after = works.last().map_or(self.after, |work| work.no);
            self.is_empty = works.is_empty();
        }
        claimed
    }

    /// Whether there was no file left when all was listed.
    fn is_exhausted(&self) -> bool {
        self.answer.is_none() && self.is_empty && self.asked.is_some_and(|walked| walked.ended)
    }
}

/// Files that were claimed and wait for a worker.
#[derive(Default)]
struct Waiting {
    reusable: VecDeque<Work>,
    wanted: VecDeque<Work>,
}

impl Waiting {
    fn len(&self) -> usize {
        self.reusable.len() + self.wanted.len()
    }

    fn add(&mut self, backup: &Backup, works: Vec<Work>) {
        let (reusable, wanted): (Vec<Work>, Vec<Work>) =
            works.into_iter().partition(|work| is_reusable(backup, work));
        self.reusable.extend(reusable);
        self.wanted.extend(wanted);
    }

    /// Files for one task.
    fn some_reusable(&mut self) -> Vec<Work> {
        let some = self.reusable.len().min(FILES_PER_REUSE);
        self.reusable.drain(..some).collect()
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

/// One of the workers of a family, busy. Dropped, it is free for the next file.
struct Worker {
    number: usize,
    free: mpsc::UnboundedSender<usize>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // After the end of the family nobody wants it.
        let _ = self.free.send(self.number);
    }
}

fn is_reusable(backup: &Backup, work: &Work) -> bool {
    let decision = plan::decide(&work.entry, work.earlier.as_ref(), &backup.options.policy);
    matches!(decision, Decision::Reuse { .. })
}

/// Takes files from earlier snapshots. Returns those whose copy is missing or damaged, to be fetched.
async fn reuse(
    backup: Arc<Backup>,
    works: Vec<Work>,
    _worker: Worker,
    stored: mpsc::Sender<()>,
) -> Result<Vec<Work>, Error> {
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
    Ok(left)
}

/// Fetches a file. While a small one is stored its worker is free for the next: memory for both is bounded by the keeper.
async fn fetch_one(
    backup: Arc<Backup>,
    work: Work,
    worker: Worker,
    stored: mpsc::Sender<()>,
) -> Result<Vec<Work>, Error> {
    let fetch = Fetch {
        drive: &*backup.drive,
        run: &backup.run,
        monitor: &*backup.monitor,
        throttle: &backup.options.throttle,
        attempts: backup.options.attempts,
        slot: worker.number,
    };
    let settled = match fetch.fetch(&work).await? {
        Fetched::Whole(whole) => {
            let attempts = whole.done.attempts;
            let keeping = backup.keeper.keep(*whole).await;
            drop(worker);
            Some(fetch::kept(&work, attempts, keeping.kept().await)?)
        }
        Fetched::Settled(settled) => Some(settled),
        Fetched::Cancelled => None,
    };
    if let Some(spool) = &backup.options.spool {
        let stored = match &settled {
            Some(settled) if settled.outcome == Outcome::Stored => settled.bytes,
            _ => 0,
        };
        spool.settle(work.entry.size.unwrap_or(0), stored);
    }
    let Some(settled) = settled else {
        return Ok(Vec::new());
    };
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
    Ok(Vec::new())
}
