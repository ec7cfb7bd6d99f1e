//! Makes the target follow what happened at the source: moves and new names, then deletions, then new contents.

use futures::{StreamExt, stream};

use super::{Error, Pass, PassSummary};
use crate::drive::{self, ErrorKind};
use crate::entry::{Entry, Kind};
use crate::id::Family;
use crate::ledger::{Choice, FollowWork, UploadOutcome, UploadWork};
use crate::restore::{note_ends, same_text, send};

/// Items taken from the journal in one go.
const ITEMS_PER_CLAIM: u32 = 128;

/// How often moves are tried again that wait for a name another move gives free.
const ROUNDS: u32 = 3;

/// Numbered names tried for one item at most.
const NAMES_TRIED: u32 = 1000;

/// Why an item did not follow.
enum Miss {
    /// It is tried again in this pass.
    Later,
    /// Somebody changed it in the target; or the call failed. The code says which.
    Not(UploadOutcome, String),
    /// The run cannot go on.
    Fatal(Error),
    /// A stop came first.
    Cancelled,
}

impl From<drive::Error> for Miss {
    fn from(error: drive::Error) -> Miss {
        match error.kind {
            ErrorKind::Unauthenticated => Miss::Fatal(error.into()),
            ErrorKind::Cancelled => Miss::Cancelled,
            ErrorKind::NotFound => conflict("target-gone"),
            kind => Miss::Not(UploadOutcome::Failed, kind.code().to_owned()),
        }
    }
}

impl From<Error> for Miss {
    fn from(error: Error) -> Miss {
        Miss::Fatal(error)
    }
}

impl From<crate::ledger::Error> for Miss {
    fn from(error: crate::ledger::Error) -> Miss {
        Miss::Fatal(error.into())
    }
}

fn conflict(reason: &str) -> Miss {
    Miss::Not(UploadOutcome::Skipped, reason.to_owned())
}

/// Makes the target follow. What is gone at the source is removed only when the source was listed to its end.
///
/// # Errors
/// When the target refuses the token or a ledger fails.
pub(super) async fn follow_all(pass: &Pass, done: &mut PassSummary, has_ended: bool) -> Result<(), Error> {
    place_all(pass, done).await?;
    if has_ended {
        // Only a drive that was listed to its end can tell that something is gone: it may have moved to where nobody looked.
        let facts = pass.source.root_facts().await?;
        let listed = facts.into_iter().filter(|facts| facts.gaps().is_empty());
        let drives: Vec<String> = listed
            .filter(|facts| pass.targets.contains_key(&facts.drive))
            .map(|facts| facts.drive.as_str().to_owned())
            .collect();
        for drive in drives {
            if let Some(limit) = pass.options.deletions {
                remove_gone(pass, done, drive.clone(), limit).await?;
            }
            pass.restore.ledger.forget_gone(drive, pass.number).await?;
        }
    }
    // Names that were taken by what is moved or removed by now.
    pass.restore.ledger.mark_renamable().await?;
    place_all(pass, done).await?;
    refill_all(pass, done).await
}

async fn place_all(pass: &Pass, done: &mut PassSummary) -> Result<(), Error> {
    for round in 1..=ROUNDS {
        let (mut after, mut waiting) = (0, 0);
        loop {
            let works = pass.restore.ledger.follows(after, ITEMS_PER_CLAIM).await?;
            let Some(last) = works.last() else { break };
            after = last.no;
            for work in works.into_iter().filter(|work| work.place) {
                if pass.restore.stop.is_draining() {
                    return Ok(());
                }
                match place(pass, &work, round == ROUNDS).await {
                    Ok(()) => done.relocated += 1,
                    Err(Miss::Later) => waiting += 1,
                    Err(miss) => note(pass, done, &work, miss).await?,
                }
            }
        }
        if waiting == 0 {
            break;
        }
    }
    Ok(())
}

/// Notes why an item did not follow; ends the run where that is the reason.
async fn note(pass: &Pass, done: &mut PassSummary, work: &FollowWork, miss: Miss) -> Result<(), Error> {
    match miss {
        Miss::Fatal(error) => return Err(error),
        Miss::Cancelled | Miss::Later => {}
        Miss::Not(outcome, reason) => {
            done.not_followed += 1;
            let subject = format!("{}:{}", work.drive, work.path);
            pass.restore
                .monitor
                .problem(&subject, &format!("it does not follow its source ({reason})"));
            pass.restore.ledger.not_followed(work.no, outcome, reason).await?;
        }
    }
    Ok(())
}

/// Renames and moves one item, unless somebody else did so before.
async fn place(pass: &Pass, work: &FollowWork, last: bool) -> Result<(), Miss> {
    let restore = &pass.restore;
    let now = restore.drive.stat(&work.left).await?;
    let (folder, parent) = match &work.want_parent {
        Some((folder, parent)) => (*folder, parent),
        None => (work.folder, &work.parent),
    };
    let name = free_name(pass, work, folder).await?;
    let is_moved = folder == work.folder
        || now
            .parent_id
            .as_ref()
            .is_some_and(|found| *found == parent.id || (parent.id.is_root() && *found != work.parent.id));
    if is_moved && same_text(&now.name, &name) {
        // It was moved before, and only its answer is missing.
        restore
            .ledger
            .placed(work.no, folder, work.want_name.clone(), now)
            .await?;
        return Ok(());
    }
    if !lies_in(&now, &work.parent) || !same_text(&now.name, &work.left.name) {
        return Err(conflict("target-moved"));
    }
    let to = (folder != work.folder).then_some(parent);
    let new = (now.name != name).then_some(name.as_str());
    match restore.drive.relocate(&now, to, new).await {
        Ok(entry) => {
            restore
                .ledger
                .placed(work.no, folder, work.want_name.clone(), entry)
                .await?;
            Ok(())
        }
        Err(error) if error.kind == ErrorKind::Conflict && !last => Err(Miss::Later),
        Err(error) if error.kind == ErrorKind::Conflict => Err(conflict("conflict")),
        Err(error) => Err(error.into()),
    }
}

/// The wanted name, or a numbered one when another item of ours has it.
async fn free_name(pass: &Pass, work: &FollowWork, folder: i64) -> Result<String, Miss> {
    let naming = pass.restore.options.naming;
    for number in 1..=NAMES_TRIED {
        let name = if number == 1 {
            work.want_name.clone()
        } else {
            (naming.numbered)(&work.want_name, number)
        };
        let ledger = &pass.restore.ledger;
        if !ledger.is_name_reserved(folder, name.clone(), work.no).await? {
            return Ok(name);
        }
    }
    Err(conflict("conflict"))
}

/// Whether an item lies in a folder, as far as the service says.
fn lies_in(entry: &Entry, folder: &Entry) -> bool {
    entry
        .parent_id
        .as_ref()
        .is_none_or(|parent| *parent == folder.id || folder.id.is_root())
}

/// Removes what is gone at the source from one drive, the items in folders before the folders.
async fn remove_gone(pass: &Pass, done: &mut PassSummary, drive: String, limit: f64) -> Result<(), Error> {
    let restore = &pass.restore;
    let (all, gone) = restore.ledger.gone_share(drive.clone(), pass.number).await?;
    if gone == 0 {
        return Ok(());
    }
    if gone as f64 > all as f64 * limit {
        restore.monitor.problem(
            &drive,
            &format!(
                "{gone} of {all} items are gone at the source, which is more than the limit; none is removed"
            ),
        );
        done.guarded.push(drive);
        return Ok(());
    }
    let mut after = (i64::MIN, 0);
    loop {
        let works = restore
            .ledger
            .gone_uploads(drive.clone(), pass.number, after, ITEMS_PER_CLAIM)
            .await?;
        let Some(last) = works.last() else { return Ok(()) };
        let length = i64::try_from(last.path.as_str().chars().count()).unwrap_or(i64::MAX);
        after = (-length, last.no);
        for work in works {
            if restore.stop.is_draining() {
                return Ok(());
            }
            match remove(pass, &work).await {
                Ok(true) => done.removed += 1,
                Ok(false) => {}
                Err(miss) => note(pass, done, &work, miss).await?,
            }
        }
    }
}

/// Removes one item, if it is as we left it.
async fn remove(pass: &Pass, work: &FollowWork) -> Result<bool, Miss> {
    let restore = &pass.restore;
    let now = match restore.drive.stat(&work.left).await {
        Ok(now) => now,
        Err(error) if error.kind == ErrorKind::NotFound => {
            restore.ledger.removed(work.no).await?;
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    if !same_text(&now.name, &work.left.name) || !lies_in(&now, &work.parent) {
        return Err(conflict("target-moved"));
    }
    match now.kind {
        Kind::File if !is_as_left(&now, &work.left) => return Err(conflict("target-changed")),
        Kind::Folder => {
            let page = restore.drive.children(&now, None).await?;
            if !page.entries.is_empty() || !page.broken.is_empty() || page.next.is_some() {
                return Err(conflict("target-not-empty"));
            }
        }
        Kind::File => {}
    }
    restore.drive.remove(&now).await?;
    restore.ledger.removed(work.no).await?;
    Ok(true)
}

fn is_as_left(now: &Entry, left: &Entry) -> bool {
    now.size == left.size
        && now.modified.map(|time| time.as_second()) == left.modified.map(|time| time.as_second())
}

/// Puts the new contents of files that are in the target over the old ones.
///
/// # Errors
/// When the target refuses the token or a ledger fails.
pub(super) async fn refill_all(pass: &Pass, done: &mut PassSummary) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let works = pass.restore.ledger.follows(after, ITEMS_PER_CLAIM).await?;
        let Some(last) = works.last() else { return Ok(()) };
        after = last.no;
        // Where bytes are let go of, those of a file that could not follow are gone, or go at any moment.
        let lets_go = pass.options.hand_off.is_some();
        let works: Vec<FollowWork> = works
            .into_iter()
            .filter(|work| work.content && !(lets_go && work.is_missed))
            .collect();
        let running = works.into_iter().enumerate().map(|(line, work)| async move {
            let outcome = refill(pass, &work, line).await;
            (work, outcome)
        });
        let mut running = stream::iter(running).buffer_unordered(pass.restore.options.transfers);
        while let Some((work, outcome)) = running.next().await {
            match outcome {
                Ok(true) => done.refilled += 1,
                Ok(false) => {}
                Err(miss) => note(pass, done, &work, miss).await?,
            }
        }
    }
}

/// Puts the new content over the one we left, if that is still what is there.
async fn refill(pass: &Pass, work: &FollowWork, line: usize) -> Result<bool, Miss> {
    let restore = &pass.restore;
    // Without its bytes it has been tried in this pass, and could not follow.
    if restore.stop.is_draining() || work.stored_at.is_none() {
        return Ok(false);
    }
    let now = restore.drive.stat(&work.left).await?;
    if !same_text(&now.name, &work.left.name) || !lies_in(&now, &work.parent) {
        return Err(conflict("target-moved"));
    }
    let time = |entry: Option<jiff::Timestamp>| entry.map(|time| time.as_second());
    let is_whole = now.properties.uploaded != Some(false);
    if is_whole && now.size == work.size && time(now.modified) == time(work.modified) {
        restore.ledger.refilled(work.no, now).await?;
        return Ok(true);
    }
    if !is_as_left(&now, &work.left) {
        return Err(conflict("target-changed"));
    }
    let upload = UploadWork {
        no: work.no,
        folder: work.folder,
        parent: work.parent.clone(),
        drive: work.drive.clone(),
        id: work.id.clone(),
        path: work.path.clone(),
        kind: Kind::File,
        size: work.size,
        modified: work.modified,
        sha256: work.sha256.clone(),
        stored_at: work.stored_at.clone(),
        choice: Choice::Send {
            name: now.name.clone(),
            renamed: false,
            over: Some(Box::new(now)),
        },
    };
    // A line of its own on a terminal, beyond those of the lanes.
    let slot = Family::ALL.len() * restore.options.transfers + line % restore.options.transfers;
    if let Some(ended) = send(restore, upload, None, slot).await? {
        note_ends(restore, vec![ended]).await?;
    }
    Ok(!restore.ledger.has_to_follow(work.no).await?)
}
