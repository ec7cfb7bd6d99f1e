//! Makes one folder of the target, or finds it, and learns what lies in it.

use super::send::{decide_again, is_doubtful, note_ends, refused_by, relist, settled_as};
use super::{Error, Restore};
use crate::drive::ErrorKind;
use crate::entry::Entry;
use crate::ledger::{Choice, UploadOutcome, UploadWork};

/// Takes one folder step to its end. A failure of this folder alone is an outcome.
///
/// # Errors
/// When the token is refused or the ledger fails.
pub(super) async fn make(restore: &Restore, mut work: UploadWork) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        let (name, renamed) = match &work.choice {
            Choice::Adopt(entry) => {
                let entry = (**entry).clone();
                return adopt(restore, &work, entry).await;
            }
            Choice::Send { name, renamed, .. } => (name.clone(), *renamed),
            // Contents are compared of files alone.
            Choice::Compare { there, .. } => (there.name.clone(), false),
        };
        tries += 1;
        let error = match restore.drive.create_folder(&work.parent, &name).await {
            Ok(entry) => {
                let outcome = if renamed {
                    UploadOutcome::Renamed
                } else {
                    UploadOutcome::Created
                };
                restore.ledger.finish_folder(work.no, entry, outcome).await?;
                restore.tell(&settled_as(&work, outcome, ""));
                return Ok(());
            }
            Err(error) => error,
        };
        let refused = error.kind == ErrorKind::Conflict;
        match error.kind {
            ErrorKind::Unauthenticated => return Err(error.into()),
            ErrorKind::Cancelled => return Ok(()),
            _ if refused || is_doubtful(&error.kind) => {}
            _ => return note_ends(restore, vec![refused_by(&work, &error, tries)]).await,
        }
        match relist(restore, work.folder, &work.parent).await {
            Ok(()) => {}
            Err(Error::Drive(other)) if other.kind != ErrorKind::Unauthenticated => {
                return note_ends(restore, vec![refused_by(&work, &error, tries)]).await;
            }
            Err(other) => return Err(other),
        }
        let Some(again) = decide_again(restore, work.no, refused, &[]).await? else {
            return Ok(());
        };
        work = again;
        if tries >= restore.options.attempts && matches!(work.choice, Choice::Send { .. }) {
            return note_ends(restore, vec![refused_by(&work, &error, tries)]).await;
        }
    }
}

/// Uses a folder that is there, once it is known what lies in it.
async fn adopt(restore: &Restore, work: &UploadWork, entry: Entry) -> Result<(), Error> {
    match relist(restore, work.no, &entry).await {
        Ok(()) => {}
        Err(Error::Drive(error)) => {
            return match error.kind {
                ErrorKind::Unauthenticated => Err(error.into()),
                ErrorKind::Cancelled => Ok(()),
                _ => note_ends(restore, vec![refused_by(work, &error, 1)]).await,
            };
        }
        Err(other) => return Err(other),
    }
    restore
        .ledger
        .finish_folder(work.no, entry, UploadOutcome::Adopted)
        .await?;
    restore.tell(&settled_as(work, UploadOutcome::Adopted, ""));
    Ok(())
}
