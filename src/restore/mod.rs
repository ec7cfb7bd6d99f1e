//! Restores rows of a snapshot into a drive: folders parent first, then files, each once.
//!
//! The ledger knows every step and every name that is taken, so that a restore of any size needs no more memory than a
//! small one, and one that was stopped goes on. A file's start is on the disk before its upload is called; a start without
//! an end is settled by listing the folder again. Names are decided before any byte is sent.

mod ahead;
mod folders;
mod lanes;
mod local;
mod names;
mod plan;
mod rehearsal;
mod results;
mod send;
mod source;
mod steps;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::drive::{self, Drive};
use crate::entry::OnConflict;
use crate::id::DriveId;
use crate::ledger::{self, Ledger, Naming, SameBy, Settled, UploadOutcome};
use crate::manifest;
use crate::monitor::{Counter, Monitor};
use crate::plan::Policy;
use crate::stop::Stop;
use crate::throttle::Throttle;

pub use local::{LocalFolder, local_name};
pub use names::{NAME_CHARACTERS, fold, numbered, numbered_local};
pub use plan::{DrivePlan, RestorePlan, check_room, plan, write_readiness, write_steps};
pub use rehearsal::{Made, Stage, rehearse};
pub use results::{Summary, Verdict, summary, write_results};
pub use source::Copies;
pub use steps::{FILE_BYTES, Limits, Place, Selection};

pub(crate) use lanes::deliver;
pub(crate) use names::same_text;
pub(crate) use results::take;
pub(crate) use send::{note_ends, send};

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
                same_by: SameBy::Time,
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

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
