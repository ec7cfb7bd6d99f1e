//! A job becomes a run: opens the archive, connects to the tenant, calls the operation and gives back its report.

mod begin;
mod connect;
mod load;
mod publish;
mod reference;
mod roots;
mod snapshot;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::job::JobKind;
use crate::monitor::{Counter, Monitor, Tally, Tee};
use crate::report::Report;
use crate::stop::{Clock, Stop};
use crate::{api, archive, backup, drive, ledger, walk};

pub use load::{LoadError, Loaded, TenantFile, load};
pub use reference::UnresolvedReference;

/// Looks up an environment variable by its name.
pub type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a run takes from the machine it runs on. Nothing below reads the environment by itself.
#[derive(Clone)]
pub struct Host {
    /// Looks up an environment variable.
    pub variable: Lookup,
    /// The user's folder for state that outlives a run: token stores, rate limit files.
    pub state_dir: PathBuf,
    /// Where the time comes from.
    pub clock: Clock,
    /// The machine's name, for the lock.
    pub name: String,
    /// This process's number, for the lock.
    pub pid: u32,
    /// The pause after the first failure of a call, where it is not the usual one of [`api::RetryPolicy`].
    pub first_pause: Option<Duration>,
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Host")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why a run came to no report. What it had done until then stays, and the next start goes on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text or secret that the tenant file refers to cannot be had.
    #[error(transparent)]
    Reference(#[from] UnresolvedReference),
    /// The job needs a tenant and names none.
    #[error("the job names no tenant")]
    NoTenant,
    /// The filter cannot be used.
    #[error(transparent)]
    Filter(#[from] crate::filter::FilterError),
    /// The tenant cannot be connected to, whatever it answers.
    #[error(transparent)]
    Connect(#[from] api::ConnectError),
    /// The service refuses us.
    #[error(transparent)]
    Drive(#[from] drive::Error),
    /// The archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The run's state failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// Something of ours was not where it belongs: a bug.
    #[error("{0} was lost on the way; this is a bug of drivejob")]
    Lost(&'static str),
}

impl From<backup::Error> for Error {
    fn from(error: backup::Error) -> Error {
        match error {
            backup::Error::Drive(error) => Error::Drive(error),
            backup::Error::Ledger(error) => Error::Ledger(error),
            backup::Error::Archive(error) => Error::Archive(error),
        }
    }
}

impl From<walk::Error> for Error {
    fn from(error: walk::Error) -> Error {
        Error::from(backup::Error::from(error))
    }
}

/// What every kind of run works with.
pub(crate) struct Session {
    pub(crate) loaded: Loaded,
    pub(crate) host: Host,
    pub(crate) tally: Arc<Tally>,
    pub(crate) monitor: Arc<dyn Monitor>,
    pub(crate) stop: Stop,
}

impl Session {
    /// Fills in what the whole run has counted so far.
    fn add_figures(&self, report: &mut Report) {
        report.finished = self.host.clock.now();
        report.calls = self
            .tally
            .calls()
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count))
            .collect();
        report.waited = self.tally.waited();
        report.retries = self.tally.get(Counter::Retries);
    }
}

/// Runs a job to its end, to the end of its window, or to a stop.
///
/// # Errors
/// When the run cannot go on. A file that fails is no error but a row of the report's snapshot.
pub async fn run(
    loaded: Loaded,
    host: &Host,
    monitor: Arc<dyn Monitor>,
    stop: Stop,
) -> Result<Report, Error> {
    let tally = Arc::new(Tally::default());
    let monitor = Arc::new(Tee(vec![Arc::clone(&tally) as Arc<dyn Monitor>, monitor]));
    let session = Session {
        loaded,
        host: host.clone(),
        tally,
        monitor,
        stop,
    };
    match session.loaded.job.kind {
        JobKind::Backup | JobKind::Audit => snapshot::run(&session).await,
        _ => Err(Error::NoTenant),
    }
}
