//! The state of a run on disk: what is listed, fetched and stored.
//!
//! One SQLite file, written by one thread. Every change is a function over a transaction; the thread runs all that wait
//! in one transaction and answers after its commit, so a thousand small changes cost one. The same functions are used
//! by a run that begins and by one that resumes: what the file says *is* the state, there is no second one in memory.
//! What can be made anew at each start, the index of what is known and the basis, lies in a temporary file beside it.
//!
//! A commit survives the death of the process at once, and the loss of power up to the last checkpoint
//! (`synchronous = NORMAL` with a write-ahead log, SQLite documentation, PRAGMA synchronous): what is lost then is the
//! newest work, which is done again. Where that must not be, [`Ledger::flush`] waits for the disk.

mod basis;
mod columns;
mod details;
mod durable;
mod files;
mod handed;
mod known;
mod listing;
mod page;
mod release;
mod rows;
mod uploads;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Transaction};
use tokio::sync::{mpsc, oneshot, watch};

pub use details::{DetailEnd, DetailWork};
pub use durable::Doubtful;
pub use files::{Done, Work};
pub use handed::Handed;
pub use listing::{Applied, FolderWork, Listed, ListedAs, NewRoot, PageFacts, Placement};
pub use release::Released;
pub use uploads::{
    Again, Choice, Claimed, Difference, DriveCount, FollowWork, Followed, Naming, NewUpload, Problem, SameBy,
    Sent, Settled, Spent, UploadEnd, UploadOutcome, UploadRow, UploadTotals, UploadWork,
};

/// Changes that wait for the writer at most; a sender waits beyond that.
const WAITING_CHANGES: usize = 1024;

/// Changes that share one commit at most, so that no answer waits long.
const CHANGES_PER_COMMIT: usize = 512;

/// Memory for the pages of the file in KiB. Fixed, so that memory does not grow with the tree.
const CACHE_KIB: i64 = 4 * 1024;

/// Statements that are kept: more than all that are used again and again, since one that is not kept is read and planned anew.
const STATEMENTS: usize = 128;

/// Pages of 4 KiB in the write-ahead log, 32 MiB, after which they move to the file: a page that changed often moves once.
/// It bounds what a loss of power takes (SQLite documentation, PRAGMA wal_autocheckpoint).
const LOG_PAGES: i64 = 8 * 1024;

/// The layout of the tables. A file of another layout is not resumed: the run begins anew.
const LAYOUT: i64 = 4;

/// A failure of the state file. It ends the run.
#[derive(Debug, thiserror::Error)]
#[error("the run state {path} failed: {message}")]
pub struct Error {
    path: PathBuf,
    message: String,
    #[source]
    source: Option<rusqlite::Error>,
    cause: Cause,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The disk was full.
    Full,
    /// What the file holds is not what a ledger wrote.
    Damaged,
    /// Anything else.
    Other,
}

impl Error {
    /// Whether the disk was full.
    pub fn is_full(&self) -> bool {
        self.cause == Cause::Full
    }

    /// Whether the file does not hold what a ledger wrote, so that no later start can use it either.
    pub fn is_damaged(&self) -> bool {
        self.cause == Cause::Damaged
    }

    fn new(path: &Path, message: String, cause: Cause) -> Error {
        Error {
            path: path.to_owned(),
            message,
            source: None,
            cause,
        }
    }
}

/// Result of a ledger call.
pub type Result<T> = std::result::Result<T, Error>;

type Change = Box<dyn FnOnce(&Transaction<'_>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(std::result::Result<(), &rusqlite::Error>) + Send>;

enum Order {
    Change(Change),
    Flush(oneshot::Sender<std::result::Result<(), String>>),
    Close(Closing, oneshot::Sender<()>),
}

/// What a file is closed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// To be opened again: all that is in the log moves to the file.
    Kept,
    /// To be removed.
    Left,
}

/// A handle on the state of one run. Cloning is cheap; the file is closed when the last handle is gone.
#[derive(Clone)]
pub struct Ledger {
    path: PathBuf,
    orders: mpsc::Sender<Order>,
    news: Arc<watch::Sender<u64>>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Ledger")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the state file at `path`, making it if it is not there.
    ///
    /// # Errors
    /// If the file cannot be opened, is no ledger, or is one of another layout.
    pub fn open(path: &Path) -> Result<Ledger> {
        let failed = |source: rusqlite::Error| to_error(path, &source);
        let connection = Connection::open(path).map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        let found: Option<i64> = connection
            .query_row("SELECT value FROM meta WHERE key = 'layout'", [], |row| {
                row.get(0)
            })
            .optional()
            .map_err(failed)?;
        match found {
            None => {
                connection
                    .execute(
                        "INSERT INTO meta (key, value) VALUES ('batch', 1), ('synced', 0), ('layout', ?1)",
                        [LAYOUT],
                    )
                    .map_err(failed)?;
            }
            Some(LAYOUT) => {}
            Some(other) => {
                let message = format!("it has layout {other}, this program writes {LAYOUT}");
                return Err(Error::new(path, message, Cause::Damaged));
            }
        }
        known::prepare(&connection)
            .and_then(|()| connection.execute_batch(basis::TABLES))
            .map_err(failed)?;
        let (orders, inbox) = mpsc::channel(WAITING_CHANGES);
        thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || serve(connection, inbox))
            .map_err(|source| {
                Error::new(path, format!("its thread did not start: {source}"), Cause::Other)
            })?;
        Ok(Ledger {
            path: path.to_owned(),
            orders,
            news: Arc::default(),
        })
    }

    /// A state that is nobody's: SQLite keeps it in a temporary file, which goes with the last handle
    /// (SQLite documentation, "In-Memory Databases", temporary databases).
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn temporary() -> Result<Ledger> {
        Ledger::open(Path::new(""))
    }

    /// Runs `change` inside a transaction and returns its value after the commit.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let path = self.path.clone();
        let order: Change = Box::new(move |transaction| {
            let outcome = change(transaction).map_err(|source| to_error(&path, &source));
            Box::new(move |commit| {
                let outcome = match (outcome, commit) {
                    (Ok(_), Err(source)) => Err(commit_error(&path, source)),
                    (outcome, _) => outcome,
                };
                // Nobody waits any more when the caller was cancelled; the change stands all the same.
                let _ = sender.send(outcome);
            })
        });
        self.orders
            .send(Order::Change(order))
            .await
            .map_err(|_| self.gone())?;
        receiver.await.map_err(|_| self.gone())?
    }

    /// Wakes up when items were listed, settled or uploaded through this handle or a clone of it.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn tell_news(&self) {
        self.news.send_modify(|times| *times += 1);
    }

    /// Waits until everything committed so far is on the disk.
    pub async fn flush(&self) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.orders
            .send(Order::Flush(sender))
            .await
            .map_err(|_| self.gone())?;
        receiver
            .await
            .map_err(|_| self.gone())?
            .map_err(|message| Error::new(&self.path, message, Cause::Other))
    }

    /// Reads the whole file and checks that it holds together. For a file that an earlier process left behind.
    ///
    /// # Errors
    /// [`Error::is_damaged`] when it does not.
    pub async fn check(&self) -> Result<()> {
        let found: String = self
            .change(|transaction| transaction.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)))
            .await?;
        if found == "ok" {
            return Ok(());
        }
        Err(Error::new(&self.path, found, Cause::Damaged))
    }

    /// Waits until the file is closed. What other handles still ask for afterwards fails.
    pub async fn close(self) {
        self.end(Closing::Kept).await;
    }

    /// As [`Ledger::close`], for a file that is removed next: its log stays beside it.
    pub async fn leave(self) {
        self.end(Closing::Left).await;
    }

    async fn end(self, closing: Closing) {
        let (sender, receiver) = oneshot::channel();
        if self.orders.send(Order::Close(closing, sender)).await.is_ok() {
            let _ = receiver.await;
        }
    }

    fn gone(&self) -> Error {
        Error::new(&self.path, "its writer has ended".to_owned(), Cause::Other)
    }
}

fn to_error(path: &Path, source: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let cause = match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Cause::Full,
        // SQL that does not fit the tables, or a broken rule of theirs, comes from a file that was altered.
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::Unknown,
        )
        | None => Cause::Damaged,
        Some(_) => Cause::Other,
    };
    Error::new(path, source.to_string(), cause)
}

/// A transaction that cannot be committed because another of its changes filled the disk says nothing of the file.
fn commit_error(path: &Path, source: &rusqlite::Error) -> Error {
    let mut error = to_error(path, source);
    if source.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) {
        error.cause = Cause::Other;
    }
    error
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // Statements are planned once, not again for each value that they are given.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Before the log is opened, so that no memory is shared and no lock is asked for at each commit (SQLite documentation,
    // "Use of WAL Without Shared-Memory"). The lock of the archive keeps other runs away already.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "FILE")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;")?;
    connection.execute_batch(listing::TABLES)?;
    connection.execute_batch(handed::TABLES)?;
    connection.execute_batch(details::TABLES)?;
    connection.execute_batch(uploads::TABLES)
}

/// The writer: takes what waits, runs it in one transaction, commits, answers.
fn serve(mut connection: Connection, mut inbox: mpsc::Receiver<Order>) {
    let mut waiting = Vec::with_capacity(CHANGES_PER_COMMIT);
    while inbox.blocking_recv_many(&mut waiting, CHANGES_PER_COMMIT) > 0 {
        let mut changes = Vec::with_capacity(waiting.len());
        let mut flushes = Vec::new();
        let mut ending = None;
        for order in waiting.drain(..) {
            match order {
                Order::Change(change) => changes.push(change),
                Order::Flush(sender) => flushes.push(sender),
                Order::Close(closing, sender) => ending = Some((closing, sender)),
            }
        }
        commit(&mut connection, changes);
        if !flushes.is_empty() {
            let outcome = connection
                .query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
                .map_err(|source| source.to_string());
            for sender in flushes {
                let _ = sender.send(outcome.clone());
            }
        }
        if let Some((closing, sender)) = ending {
            if closing == Closing::Left {
                // Where it is refused, the log moves to a file that goes with it.
                let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            }
            drop(connection);
            let _ = sender.send(());
            return;
        }
    }
}

fn commit(connection: &mut Connection, changes: Vec<Change>) {
    if changes.is_empty() {
        return;
    }
    let transaction = match connection.transaction() {
        Ok(transaction) => transaction,
        // Dropping the changes drops their senders, and every caller learns that the writer failed.
        Err(error) => return tracing::error!(%error, "the run state cannot begin a transaction"),
    };
    let answers: Vec<Answer> = changes.into_iter().map(|change| change(&transaction)).collect();
    let outcome = transaction.commit();
    for answer in answers {
        answer(match &outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(error),
        });
    }
}

#[cfg(test)]
mod tests;
