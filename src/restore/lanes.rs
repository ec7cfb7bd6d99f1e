//! Takes the steps of each family side by side: folders first, files as slots are free, and the ends of many in one commit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ahead::Ahead;
use super::send::Ended;
use super::{Error, Fed, Restore, folders, note_ends, send};
use crate::blocking::outcome;
use crate::entry::Kind;
use crate::id::Family;
use crate::ledger::UploadWork;

/// Files taken from the ledger in one go, and so the most that share one flush.
const FILES_PER_CLAIM: u32 = 128;

/// Ends of uploads that share a commit at most.
const ENDS_PER_COMMIT: usize = 64;

/// How long the end of an upload waits for others, so that they share a commit. The end of the process in that time costs a
/// listing of the folder.
const GATHERING: Duration = Duration::from_millis(20);

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
    let mut ends = Vec::new();
    let outcome = take_steps(&restore, family, feed, &mut ends).await;
    // What arrived before an error is there all the same.
    note_ends(&restore, ends).await?;
    outcome
}

/// Takes the steps of a family. `ends` holds the ends that are not noted yet.
async fn take_steps(
    restore: &Arc<Restore>,
    family: Family,
    mut feed: watch::Receiver<Fed>,
    ends: &mut Vec<Ended>,
) -> Result<(), Error> {
    let mut files = Ahead::new(Arc::clone(&restore.copies));
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
        let all_fed = feed.borrow_and_update().ended;
        let draining = restore.stop.is_draining();
        if draining {
            let unused = files.take_all().await;
            let unused = unused.into_iter().map(|work| work.no).collect();
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
        if !draining && files_may_wait && files.wants_more() {
            let works = claim(restore, family, Kind::File, FILES_PER_CLAIM).await?;
            files_may_wait = !works.is_empty();
            if files_may_wait {
                // From here on a repetition could make a second copy: the starts must outlive a loss of power.
                restore.ledger.flush().await?;
            }
            files.extend(works);
        }
        files.read_on();
        while !draining && let Some(slot) = slots.pop() {
            let Some((work, ready)) = files.pop() else {
                slots.push(slot);
                break;
            };
            let restore = Arc::clone(restore);
            tasks.spawn(async move { Ok(Freed::File(slot, send(&restore, work, ready, slot).await?)) });
        }
        let is_due = due.is_some_and(|due| Instant::now() >= due);
        if !ends.is_empty() && (is_due || draining || ends.len() >= ENDS_PER_COMMIT) {
            due = None;
            note_ends(restore, std::mem::take(ends)).await?;
        }
        if tasks.is_empty() && files.is_empty() && ends.is_empty() && (all_fed || draining) {
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
                        ends.push(end);
                    }
                }
                None => {}
            },
            () = files.read() => {}
            () = until(due), if due.is_some() => {}
            Ok(()) = feed.changed(), if !all_fed => (folders_may_wait, files_may_wait) = (true, true),
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
