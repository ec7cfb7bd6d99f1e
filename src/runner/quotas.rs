//! Asks what each member's drive holds, beside the work: the list of members does not tell.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::{StreamExt, TryStreamExt, stream};

use super::Error;
use crate::drive::{Drive, ErrorKind};
use crate::entry::{Access, Quota, Scope};
use crate::id::DriveId;
use crate::ledger::{Ledger, NewRoot};
use crate::stop::Stop;

/// Drives that are asked at the same time. They have an operation of their own, so that the listings do not wait for them.
const AT_ONCE: usize = 4;

/// Answers in a row that the service was not able to give, after which it is left alone: the figures are a hint, and a
/// run does not wait for hints.
const PATIENCE: u32 = 3;

/// The members' drives among the roots whose figures are not known.
pub(super) fn unknown(roots: &[NewRoot]) -> Vec<DriveId> {
    roots
        .iter()
        .filter(|new| new.root.access == Access::Readable && new.root.quota.is_none())
        .map(|new| new.root.entry.drive.clone())
        .filter(|drive| member(drive).is_some())
        .collect()
}

/// Asks for the figures of those drives, until a stop comes. What cannot be had stays unknown.
pub(super) async fn ask(
    drive: Arc<dyn Drive>,
    ledger: Ledger,
    drives: Vec<DriveId>,
    stop: Stop,
) -> Result<(), Error> {
    let silent = AtomicU32::new(0);
    let (drive, silent) = (&drive, &silent);
    let asking = stream::iter(drives)
        .map(|id| async move {
            if silent.load(Ordering::Relaxed) >= PATIENCE {
                return Ok(None);
            }
            let quota = quota(drive, &id, silent).await;
            Ok::<_, Error>(quota.map(|quota| (id, quota)))
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|known| {
            let ledger = ledger.clone();
            async move {
                if let Some((id, quota)) = known {
                    ledger.set_quota(id, quota).await?;
                }
                Ok(())
            }
        });
    tokio::select! {
        asked = asking => asked,
        () = stop.draining() => Ok(()),
    }
}

/// The figures of those drives, as far as they can be had.
pub(super) async fn figures(drive: &Arc<dyn Drive>, drives: Vec<DriveId>) -> HashMap<DriveId, Quota> {
    let silent = AtomicU32::new(0);
    let silent = &silent;
    stream::iter(drives)
        .map(|id| async move {
            if silent.load(Ordering::Relaxed) >= PATIENCE {
                return None;
            }
            let quota = quota(drive, &id, silent).await?;
            Some((id, quota))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

async fn quota(drive: &Arc<dyn Drive>, id: &DriveId, silent: &AtomicU32) -> Option<Quota> {
    match drive.roots(&Scope::User(member(id)?.to_owned())).await {
        Ok(roots) => {
            silent.store(0, Ordering::Relaxed);
            roots.into_iter().find_map(|root| root.quota)
        }
        Err(error) => {
            if matches!(error.kind, ErrorKind::Unavailable { .. }) {
                silent.fetch_add(1, Ordering::Relaxed);
            }
            tracing::debug!(%error, "a quota could not be read");
            None
        }
    }
}

/// The member whose My Drive it is.
fn member(drive: &DriveId) -> Option<&str> {
    let member = drive.as_str().strip_prefix("users/")?;
    (!member.contains('/')).then_some(member)
}
