//! Sends one file, and makes sure of what became of it.
//!
//! What became of it is given back and not yet noted, so that the ends of many files share one commit. Until then the step
//! is started without an end, and a later process looks for the file.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{Context, SHA256};
use futures::StreamExt;

use super::source::{Copy, Ready, blocking};
use super::{Error, Restore, same_text};
use crate::archive::hex;
use crate::drive::{self, ErrorKind, NewFile, Piece};
use crate::entry::Entry;
use crate::id::FileId;
use crate::ledger::{Again, Choice, Sent, Settled, UploadEnd, UploadOutcome, UploadWork};
use crate::monitor::Transfer;
use crate::plan::is_sampled;

/// Pages of one target folder at most, as for a walk.
const PAGES_PER_FOLDER: u32 = 100_000;

/// Reason code: what came back is not what was sent.
const DIFFERS: &str = "differs";

/// The end of a step, to be noted.
#[derive(Debug)]
pub(crate) struct Ended {
    end: UploadEnd,
    settled: Settled,
}

/// Notes ends in one commit, and tells of them.
///
/// # Errors
/// When the ledger fails.
pub(crate) async fn note_ends(restore: &Restore, ended: Vec<Ended>) -> Result<(), Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let (ends, settled): (Vec<UploadEnd>, Vec<Settled>) =
        ended.into_iter().map(|one| (one.end, one.settled)).unzip();
    restore.ledger.finish_uploads(ends).await?;
    for one in &settled {
        restore.tell(one);
    }
    Ok(())
}

/// Sends the file of a step, whose first copy may have been read before its turn. A failure of this file alone is an end like
/// others; without an end the ledger knows it already, or the run was stopped.
///
/// # Errors
/// When the token is refused or the ledger fails.
pub(crate) async fn send(
    restore: &Restore,
    mut work: UploadWork,
    mut ready: Option<Ready>,
    slot: usize,
) -> Result<Option<Ended>, Error> {
    let Some(size) = work.size else {
        return Ok(Some(fail(&work, "no-size", 0)));
    };
    let mut copies = VecDeque::from_iter(work.stored_at.clone());
    let mut others_asked = false;
    // Files of the target that were read back and are others.
    let mut differing = Vec::new();
    let mut tries = 0;
    loop {
        let (name, renamed, over) = match work.choice.clone() {
            Choice::Send { name, renamed, over } => (name, renamed, over),
            Choice::Compare { there, outcome } => {
                match check_back(restore, &work, &there).await {
                    Ok(()) => return Ok(Some(found(&work, *there, outcome))),
                    Err(DIFFERS) => differing.push(there.id),
                    Err(why) if why == ErrorKind::Cancelled.code() => return Ok(None),
                    Err(why) => return Ok(Some(fail(&work, &format!("compare: {why}"), tries))),
                }
                let Some(again) = decide_again(restore, work.no, false, &differing).await? else {
                    return Ok(None);
                };
                work = again;
                restore.ledger.flush().await?;
                continue;
            }
            Choice::Adopt(_) => return Ok(Some(fail(&work, "conflict", tries))),
        };
        if restore.is_too_full(&work.parent.drive, size) {
            return Ok(Some(fail(&work, ErrorKind::QuotaFull.code(), tries)));
        }
        let Some(stored_at) = copies.front().cloned() else {
            if others_asked {
                return Ok(Some(fail(&work, "damaged", tries)));
            }
            others_asked = true;
            copies = other_copies(restore, &work, size).await;
            continue;
        };
        let (reading, damaged) = match ready.take() {
            Some(Ready { reading, damaged }) => (Some(reading), damaged),
            None => (None, Arc::default()),
        };
        let copy = Copy {
            copies: Arc::clone(&restore.copies),
            stored_at,
            size,
            sha256: work.sha256.clone(),
            monitor: Arc::clone(&restore.monitor),
            throttle: Arc::clone(&restore.options.throttle),
            slot,
            damaged,
            opened: AtomicBool::new(false),
            ready: Mutex::new(reading),
        };
        let new = NewFile {
            name: name.clone(),
            size,
            modified: work.modified,
            overwrite: over.is_some(),
        };
        let path = work.path.as_str();
        tries += 1;
        restore.monitor.transfer(slot, Transfer::Started { path, size });
        let sent = restore.drive.upload(&work.parent, &new, &copy).await;
        restore.monitor.transfer(slot, Transfer::Finished);
        let error = match sent {
            Ok(entry) => {
                let outcome = match (&over, renamed) {
                    (Some(_), _) => UploadOutcome::Overwritten,
                    (None, true) => UploadOutcome::Renamed,
                    (None, false) => UploadOutcome::Restored,
                };
                return Ok(confirm(restore, &work, entry, &name, outcome, tries).await);
            }
            Err(error) => error,
        };
        if copy.damaged.load(Ordering::Relaxed) {
            // Nothing was finished with these bytes. Another copy is not another try.
            restore.monitor.problem(
                &subject(&work),
                &format!("the stored copy {} is damaged: {error}", copy.stored_at),
            );
            copies.pop_front();
            tries -= 1;
            continue;
        }
        let refused = error.kind == ErrorKind::Conflict;
        match error.kind {
            ErrorKind::Unauthenticated => return Err(error.into()),
            // The start stands without an end: the next run looks.
            ErrorKind::Cancelled => return Ok(None),
            ErrorKind::QuotaFull => restore.note_full(&work.parent.drive, size),
            _ => {}
        }
        if !refused && !is_doubtful(&error.kind) {
            return Ok(Some(refused_by(&work, &error, tries)));
        }
        match relist(restore, work.folder, &work.parent).await {
            Ok(()) => {}
            Err(Error::Drive(other)) if other.kind != ErrorKind::Unauthenticated => {
                return Ok(Some(refused_by(&work, &error, tries)));
            }
            Err(other) => return Err(other),
        }
        let Some(again) = decide_again(restore, work.no, refused, &differing).await? else {
            return Ok(None);
        };
        work = again;
        // A file that only its content tells apart is looked at all the same: it may be the one that was sent.
        if tries >= restore.options.attempts && matches!(work.choice, Choice::Send { .. }) {
            return Ok(Some(refused_by(&work, &error, tries)));
        }
        restore.ledger.flush().await?;
    }
}

/// Decides again about a started step whose folder was listed again; `None` when that settles it.
///
/// # Errors
/// When the ledger fails.
pub(super) async fn decide_again(
    restore: &Restore,
    no: i64,
    refused: bool,
    differing: &[FileId],
) -> Result<Option<UploadWork>, Error> {
    let naming = restore.options.naming;
    let decided = restore
        .ledger
        .decide_upload(no, naming, refused, differing.to_vec());
    Ok(match decided.await? {
        Some(Again::Work(again)) => Some(*again),
        Some(Again::Settled(settled)) => {
            restore.tell(&settled);
            None
        }
        None => None,
    })
}

/// Whether the item may be there although the call failed.
pub(super) fn is_doubtful(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable { .. } | ErrorKind::Protocol | ErrorKind::Changed
    )
}

/// Lists a folder of the target into the ledger.
///
/// # Errors
/// Those of the listing, and those of the ledger.
pub(crate) async fn relist(restore: &Restore, no: i64, folder: &Entry) -> Result<(), Error> {
    let listing = restore.ledger.begin_there(no).await?;
    let mut next = None;
    let mut seen = HashSet::new();
    for _ in 0..PAGES_PER_FOLDER {
        let page = restore.drive.children(folder, next.as_ref()).await?;
        restore
            .ledger
            .add_there(no, listing, page.entries, restore.options.naming.fold)
            .await?;
        let Some(token) = page.next else {
            restore.ledger.end_there(no, listing).await?;
            return Ok(());
        };
        if !seen.insert(token.clone()) {
            break;
        }
        next = Some(token);
    }
    Err(drive::Error::new(
        ErrorKind::Protocol,
        "children",
        folder.name.as_str(),
        "the listing does not end",
    )
    .into())
}

async fn other_copies(restore: &Restore, work: &UploadWork, size: u64) -> VecDeque<String> {
    let Some(sha256) = work.sha256.clone() else {
        return VecDeque::new();
    };
    let first = work.stored_at.clone();
    let copies = Arc::clone(&restore.copies);
    let found = blocking(move || Ok(copies.other_copies(&sha256, size))).await;
    let mut found = VecDeque::from(found.unwrap_or_default());
    found.retain(|place| Some(place) != first.as_ref());
    found
}

/// Compares what the service says of an upload with what was sent.
async fn confirm(
    restore: &Restore,
    work: &UploadWork,
    mut entry: Entry,
    name: &str,
    mut outcome: UploadOutcome,
    tries: u32,
) -> Option<Ended> {
    if entry.size.is_none()
        && let Ok(told) = restore.drive.stat(&entry).await
    {
        entry = told;
    }
    if entry.size != work.size {
        // An answer that tells of something else than a file of that name takes nothing away.
        if !entry.is_folder() && same_text(&entry.name, name) {
            take_back(restore, work, &entry, outcome).await;
        }
        return Some(fail(work, "size-differs", tries));
    }
    let mut reason = "";
    if !same_text(&entry.name, name) {
        outcome = UploadOutcome::Renamed;
        reason = "name-changed";
    }
    if is_sampled(work.id.as_str(), &restore.options.check_back)
        && let Err(why) = check_back(restore, work, &entry).await
    {
        if why == ErrorKind::Cancelled.code() {
            return None;
        }
        if why == DIFFERS {
            take_back(restore, work, &entry, outcome).await;
        }
        restore.monitor.problem(
            &subject(work),
            &format!("its upload could not be checked back: {why}"),
        );
        return Some(fail(work, &format!("check-back: {why}"), tries));
    }
    let end = UploadEnd {
        no: work.no,
        outcome,
        reason: reason.to_owned(),
        entry: Some(Box::new(entry)),
        attempts: tries,
        sent: Some(Box::new(Sent {
            size: work.size,
            modified: work.modified,
            sha256: work.sha256.clone(),
        })),
    };
    Some(Ended {
        end,
        settled: settled_as(work, outcome, reason),
    })
}

/// Removes an upload that is not what was sent. One that went over an earlier content is left: its history holds that.
async fn take_back(restore: &Restore, work: &UploadWork, entry: &Entry, outcome: UploadOutcome) {
    if outcome != UploadOutcome::Overwritten
        && let Err(error) = restore.drive.remove(entry).await
    {
        restore.monitor.problem(
            &subject(work),
            &format!("it did not arrive as it was sent, and it could not be removed: {error}"),
        );
    }
}

/// Downloads an upload again and compares its hash; the error is a reason code.
async fn check_back(restore: &Restore, work: &UploadWork, entry: &Entry) -> Result<(), &'static str> {
    let mut download = restore
        .drive
        .download(entry, 0)
        .await
        .map_err(|error| error.kind.code())?;
    let mut context = Context::new(&SHA256);
    while let Some(piece) = download.body.next().await {
        match piece.map_err(|error| error.kind.code())? {
            Piece::Bytes(bytes) => context.update(&bytes),
            Piece::Resumed { .. } => {}
            Piece::Restarted => context = Context::new(&SHA256),
        }
    }
    let found = hex(context.finish().as_ref());
    match &work.sha256 {
        Some(expected) if *expected != found => Err(DIFFERS),
        _ => Ok(()),
    }
}

/// The end of a step whose file was there.
fn found(work: &UploadWork, entry: Entry, outcome: UploadOutcome) -> Ended {
    let end = UploadEnd {
        no: work.no,
        outcome,
        reason: String::new(),
        entry: Some(Box::new(entry)),
        attempts: 0,
        sent: None,
    };
    Ended {
        end,
        settled: settled_as(work, outcome, ""),
    }
}

/// The end of a step that the service did not take, with what it said.
pub(super) fn refused_by(work: &UploadWork, error: &drive::Error, tries: u32) -> Ended {
    failed(work, error.kind.code(), error.to_string(), tries)
}

fn fail(work: &UploadWork, reason: &str, tries: u32) -> Ended {
    failed(work, reason, String::new(), tries)
}

fn failed(work: &UploadWork, reason: &str, message: String, tries: u32) -> Ended {
    let end = UploadEnd {
        no: work.no,
        outcome: UploadOutcome::Failed,
        reason: reason.to_owned(),
        entry: None,
        attempts: tries,
        sent: None,
    };
    let settled = Settled {
        message,
        ..settled_as(work, UploadOutcome::Failed, reason)
    };
    Ended { end, settled }
}

pub(super) fn settled_as(work: &UploadWork, outcome: UploadOutcome, reason: &str) -> Settled {
    Settled {
        subject: subject(work),
        outcome,
        reason: reason.to_owned(),
        message: String::new(),
        size: work.size.unwrap_or(0),
        is_file: work.kind == crate::entry::Kind::File,
    }
}

fn subject(work: &UploadWork) -> String {
    format!("{}:{}", work.drive, work.path)
}
