//! A job becomes a run: opens the archive, connects to the tenant, calls the operation and gives back its report.

mod around;
mod begin;
mod beside;
mod compare;
mod choice;
mod connect;
mod contacts;
mod load;
mod login;
mod plan;
mod plan_delivery;
mod pages;
mod prune;
mod migrate;
mod publish;
mod quotas;
mod reference;
mod restore;
mod roots;
mod snapshot;
mod window;
mod verify;
mod source;
mod target;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Map;

use crate::job::JobKind;
use crate::monitor::{Counter, Monitor, Tally, Tee};
use crate::report::{Report, Status};
use crate::stop::{Clock, Stop};
use crate::{api, archive, backup, diff, drive, ledger, manifest, walk};
use around::Around;

pub use choice::choose_snapshot;
pub use compare::Comparison;
pub use load::{LoadError, Loaded, TenantFile, load};
pub use login::{AnswerError, LoggedIn, Login, LoginError, login};
pub use pages::{PageOptions, write_report};
pub use plan::{Sampling, plan};
pub use plan_delivery::{PlannedDelivery, plan_delivery};
pub use reference::UnresolvedReference;
use window::Hours;

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
    /// Nothing can be foretold of a job of this kind.
    #[error("there is no plan for a {0} job: only backup, audit, restore and migrate jobs can be planned")]
    NotPlanned(&'static str),
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
    /// Two snapshots could not be compared.
    #[error(transparent)]
    Diff(#[from] diff::Error),
    /// The report could not be written.
    #[error("cannot write {}", path.display())]
    Page {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The retention cannot be carried out.
    #[error(transparent)]
    Prune(crate::prune::Error),
    /// Nothing moved for so long that the watchdog ended the run, and it did not end by itself.
    #[error("nothing moved for {} s, so the run was ended", .0.as_secs())]
    Stalled(Duration),
    /// A folder or file outside the archive cannot be written: a result, or the folder that is restored into.
    #[error("cannot write {path}")]
    Results {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A table cannot be written.
    #[error(transparent)]
    Table(#[from] manifest::Error),
    /// Not one drive of the job could be read.
    #[error("no drive of the job could be read: {drive}: {why}")]
    NothingRead {
        /// The first of them.
        drive: crate::id::DriveId,
        /// Why that one could not be read.
        why: String,
    },
    /// Drives of the source have no place to go.
    #[error("these drives have no place to go: {0}")]
    Unmapped(String),
    /// The map of old and new drives cannot be used.
    #[error("the map {path} cannot be used")]
    Map {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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

impl From<crate::prune::Error> for Error {
    fn from(error: crate::prune::Error) -> Error {
        match error {
            crate::prune::Error::Archive(error) => Error::Archive(error),
            error => Error::Prune(error),
        }
    }
}

impl From<walk::Error> for Error {
    fn from(error: walk::Error) -> Error {
        Error::from(backup::Error::from(error))
    }
}

impl From<crate::restore::Error> for Error {
    fn from(error: crate::restore::Error) -> Error {
        use crate::restore::Error as Below;
        match error {
            Below::Drive(error) => Error::Drive(error),
            Below::Ledger(error) => Error::Ledger(error),
            Below::Results { path, source } => Error::Results { path, source },
            Below::Table(error) => Error::Table(error),
        }
    }
}

/// What every kind of run works with.
pub(crate) struct Session {
    pub(crate) loaded: Loaded,
    pub(crate) host: Host,
    pub(crate) tally: Arc<Tally>,
    pub(crate) monitor: Arc<dyn Monitor>,
    pub(crate) stop: Stop,
    pub(crate) around: Around,
}

impl Session {
    fn new(loaded: Loaded, host: &Host, monitor: Arc<dyn Monitor>, stop: Stop) -> Session {
        let tally = Arc::new(Tally::default());
        let around = Around::new();
        let mut sinks = vec![Arc::clone(&tally) as Arc<dyn Monitor>, monitor];
        sinks.extend(around.sinks());
        Session {
            loaded,
            host: host.clone(),
            tally,
            monitor: Arc::new(Tee(sinks)),
            stop,
            around,
        }
    }

    /// The report of a run that is complete so far and has nothing to say yet.
    fn report(&self, archive: &archive::Archive, started: Timestamp) -> Report {
        Report {
            kind: self.loaded.job.kind.word(),
            job: self.loaded.name.clone(),
            archive: archive.path().display().to_string(),
            snapshot: None,
            status: Status::Complete,
            started,
            finished: started,
            resumed: false,
            totals: Default::default(),
            calls: Default::default(),
            waited: Duration::ZERO,
            retries: 0,
            roots: Vec::new(),
            failures: Vec::new(),
            warnings: Vec::new(),
            alarms: Default::default(),
            details: Map::new(),
        }
    }

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
    let session = Session::new(loaded, host, monitor, stop);
    let _watch = match window::hours(&session.loaded.job, session.host.clock.now()) {
        Hours::Any => None,
        Hours::Open(closes) => Some(window::watch(
            closes,
            session.host.clock.clone(),
            session.stop.clone(),
        )),
        Hours::Shut(opens) => return Ok(window::shut(&session, opens)),
    };
    let outcome = around::run(&session, operate(&session)).await;
    settle().await;
    outcome
}

/// How long the end of a run waits for a token that is being renewed: a call takes less than a second, and a person who
/// stopped the run waits too.
const LAST_TOKEN: Duration = Duration::from_secs(5);

/// Waits until no token is being renewed, so that the end of the program loses none.
pub async fn settle() {
    api::settle(LAST_TOKEN).await;
}

/// The work of the job's kind.
async fn operate(session: &Session) -> Result<Report, Error> {
    match &session.loaded.job.kind {
        JobKind::Backup | JobKind::Audit => snapshot::run(session).await,
        JobKind::Verify(options) => verify::run(session, options).await,
        JobKind::Prune => prune::run(session).await,
        JobKind::Restore(options) => restore::run(session, options).await,
        JobKind::Migrate(options) => migrate::run(session, options).await,
    }
}
