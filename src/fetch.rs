//! Gets the bytes of one file into a snapshot, from an earlier snapshot or from the drive.

use std::borrow::Cow;

use bytes::Bytes;
use futures::StreamExt;
use tokio::task::JoinHandle;

use crate::archive::{self, Checkpoint, LocalPath, ReuseError, Run, Staged, Stored};
use crate::blocking::{blocking, finished};
use crate::drive::{self, Drive, ErrorKind, Piece};
use crate::entry::Entry;
use crate::keep::{self, Whole};
use crate::ledger::{self, Done, Work};
use crate::manifest::{DELIVERED, Outcome};
use crate::monitor::{Counter, Monitor, Transfer};
use crate::plan::{self, Decision, Policy};
use crate::throttle::Throttle;

/// Files up to this size are gathered in memory and given to the keeper; larger ones go to the disk in portions of this
/// size. With all workers busy memory holds two portions for each, or those of the small files that the keeper has room for.
const PORTION: usize = 256 * 1024;

/// How much of a large file may be lost by a kill: after each so many bytes a later process can go on from there.
const CHECKPOINT: u64 = 32 * 1024 * 1024;

/// Takes a file from its earlier copy, if that is there, whole, and (where the policy says so) hashes as recorded.
/// `None` when it is not. Blocks on the disk.
///
/// # Errors
/// When the archive cannot be written.
pub fn reuse(run: &Run, work: &Work, policy: &Policy) -> Result<Option<Done>, archive::Error> {
    let Some(earlier) = &work.earlier else {
        return Ok(None);
    };
    let Decision::Reuse { rehash } = plan::decide(&work.entry, Some(earlier), policy) else {
        return Ok(None);
    };
    if earlier.is_delivered() {
        return Ok(Some(Done {
            reason: DELIVERED.to_owned(),
            sha256: Some(earlier.sha256.clone()),
            ..Done::new(work, Outcome::Listed)
        }));
    }
    let copy = archive::Earlier {
        stored_at: &earlier.stored_at,
        size: earlier.size,
        sha256: Some(&earlier.sha256),
        rehash,
    };
    let local = LocalPath::parse(&work.local)?;
    let stored = match run.reuse(&copy, &local, work.entry.modified) {
        Ok(stored) => stored,
        Err(ReuseError::Failed(archive::Error::Occupied(_))) => {
            // A stop came between the file and the ledger, and the file changed since.
            run.evict(&local)?;
            return Ok(None);
        }
        Err(ReuseError::Failed(error)) if error.ends_the_run() => return Err(error),
        Err(_) => return Ok(None),
    };
    Ok(Some(Done {
        sha256: Some(stored.sha256),
        stored_at: Some(stored.stored_at),
        ..Done::new(work, Outcome::Reused)
    }))
}

/// What became of a fetch.
#[derive(Debug)]
pub enum Fetched {
    /// The file's outcome is known.
    Settled(Settled),
    /// A small file's bytes are here, to be kept: see [`kept`].
    Whole(Box<Whole>),
    /// The run was stopped first; the file is still pending.
    Cancelled,
}

/// A file whose outcome is known.
#[derive(Debug)]
pub struct Settled {
    /// For the ledger; `None` when it knows already.
    pub done: Option<Done>,
    /// The outcome.
    pub outcome: Outcome,
    /// Bytes stored.
    pub bytes: u64,
    /// What to tell people, empty when all is well.
    pub message: String,
}

/// Why a fetch ends the run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service refuses the token.
    #[error(transparent)]
    Drive(#[from] drive::Error),
    /// The archive cannot be written.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The run's state failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

/// Why one transfer did not end in a stored file.
enum Miss {
    Drive(drive::Error),
    Archive(archive::Error),
    /// An earlier process left the beginning of this file, and the file is another since.
    Changed(Box<Entry>),
    /// The bytes ended, and their number is not the listed one.
    Length {
        received: u64,
    },
}

impl From<drive::Error> for Miss {
    fn from(error: drive::Error) -> Miss {
        Miss::Drive(error)
    }
}

impl From<archive::Error> for Miss {
    fn from(error: archive::Error) -> Miss {
        Miss::Archive(error)
    }
}

/// What a transfer brought.
enum Brought {
    /// A file in its place.
    Stored(Stored),
    /// All bytes of a small file.
    Bytes(Vec<Bytes>),
}

/// What a worker fetches with.
#[derive(Clone, Copy, Debug)]
pub struct Fetch<'a> {
    /// Where the bytes come from.
    pub drive: &'a dyn Drive,
    /// Where they go.
    pub run: &'a Run,
    /// Who is told.
    pub monitor: &'a dyn Monitor,
    /// How fast.
    pub throttle: &'a Throttle,
    /// How often the content is asked for before the file counts as failed, at least 1.
    pub attempts: u32,
    /// The worker's number.
    pub slot: usize,
}

impl Fetch<'_> {
    /// Fetches a file. A failure of this file alone is an outcome; an error means that the run cannot go on.
    ///
    /// When the bytes that come are not as many as the listing said, the service is asked what the file is now: one that
    /// was changed meanwhile is fetched as it now is, any other is tried again.
    ///
    /// # Errors
    /// When the token is refused or the archive cannot be written.
    pub async fn fetch(&self, work: &Work) -> Result<Fetched, Error> {
        let mut entry = Cow::Borrowed(&work.entry);
        if entry.size.is_none() {
            // Without a size nothing would tell a content that was cut short.
            self.refresh(&mut entry).await;
        }
        let mut spent = 0;
        for attempt in 1.. {
            let size = entry.size.unwrap_or(0);
            self.monitor.transfer(
                self.slot,
                Transfer::Started {
                    path: work.path.as_str(),
                    size,
                },
            );
            let outcome = self.transfer(work, &entry, &mut spent).await;
            self.monitor.transfer(self.slot, Transfer::Finished);
            let miss = match outcome {
                Ok(Brought::Stored(stored)) => {
                    let done = Done {
                        sha256: Some(stored.sha256),
                        stored_at: Some(stored.stored_at),
                        ..stored_as(work, &mut entry, stored.size, spent)
                    };
                    return Ok(Fetched::Settled(Settled {
                        done: Some(done),
                        outcome: Outcome::Stored,
                        bytes: stored.size,
                        message: String::new(),
                    }));
                }
                Ok(Brought::Bytes(bytes)) => {
                    let size = bytes.iter().map(|part| part.len() as u64).sum();
                    return Ok(Fetched::Whole(Box::new(Whole {
                        local: LocalPath::parse(&work.local)?,
                        bytes,
                        modified: entry.modified,
                        done: stored_as(work, &mut entry, size, spent),
                    })));
                }
                Err(miss) => miss,
            };
            let (reason, message) = match miss {
                Miss::Archive(archive::Error::Occupied(path)) if attempt < self.attempts => {
                    // A stop came between the file and the ledger, and the file changed since.
                    let (run, local) = (self.run.clone(), LocalPath::parse(&work.local)?);
                    tracing::debug!(path = %path.display(), "a file of an earlier start gives way");
                    match blocking(move || run.evict(&local)).await {
                        Ok(()) => continue,
                        Err(error) if error.ends_the_run() => return Err(error.into()),
                        Err(error) => ("archive", error.to_string()),
                    }
                }
                Miss::Changed(now) => {
                    take_over(&mut entry, *now);
                    continue;
                }
                Miss::Archive(error) if error.ends_the_run() => return Err(error.into()),
                Miss::Archive(error) => ("archive", error.to_string()),
                Miss::Length { received } => {
                    let listed = entry.size.unwrap_or(0);
                    self.refresh(&mut entry).await;
                    if attempt < self.attempts {
                        self.monitor.count(Counter::Retries, 1);
                        continue;
                    }
                    (
                        "size-mismatch",
                        format!("{listed} bytes are listed, {received} came"),
                    )
                }
                Miss::Drive(error)
                    if error.kind == ErrorKind::Changed
                        && attempt < self.attempts
                        && self.has_changed(&mut entry).await =>
                {
                    self.monitor.count(Counter::Retries, 1);
                    continue;
                }
                Miss::Drive(error) => match error.kind {
                    ErrorKind::Unauthenticated => return Err(error.into()),
                    ErrorKind::Cancelled => return Ok(Fetched::Cancelled),
                    ErrorKind::NotFound if self.is_gone(&entry).await => {
                        let done = Done {
                            attempts: spent,
                            ..Done::new(work, Outcome::Vanished)
                        };
                        return Ok(Fetched::Settled(Settled {
                            outcome: done.outcome,
                            done: Some(done),
                            bytes: 0,
                            message: String::new(),
                        }));
                    }
                    _ => (error.kind.code(), error.to_string()),
                },
            };
            return Ok(Fetched::Settled(failed(work, spent, reason, message)));
        }
        Ok(Fetched::Cancelled)
    }

    /// Takes over what the service says of the file now, if it says anything.
    async fn refresh(&self, entry: &mut Cow<'_, Entry>) {
        if let Ok(now) = self.drive.stat(entry).await {
            take_over(entry, now);
        }
    }

    /// Whether the file is another than it was, as the service now tells it; it is then taken over.
    async fn has_changed(&self, entry: &mut Cow<'_, Entry>) -> bool {
        match self.drive.stat(entry).await {
            Ok(now) if differs(&now, entry) => {
                take_over(entry, now);
                true
            }
            _ => false,
        }
    }

    /// A download that is not found may be a fault of the service; only when the file itself is gone too, it vanished.
    async fn is_gone(&self, entry: &Entry) -> bool {
        matches!(
            self.drive.stat(entry).await,
            Err(drive::Error {
                kind: ErrorKind::NotFound,
                ..
            })
        )
    }

    /// One transfer of a file, from its first byte or from where an earlier process left it, to its last.
    async fn transfer(&self, work: &Work, entry: &Entry, spent: &mut u32) -> Result<Brought, Miss> {
        let mut sink = Sink::open(self.run, entry).await?;
        if sink.received > 0 {
            // Hours may lie between the two parts, and a range tells nothing of what is before it.
            match self.drive.stat(entry).await {
                Ok(now) if differs(&now, entry) => {
                    sink.restart().await?;
                    return Err(Miss::Changed(Box::new(now)));
                }
                Ok(_) => {}
                Err(_) => sink.restart().await?,
            }
        }
        let download = self
            .drive
            .download(entry, sink.received)
            .await
            .inspect_err(|error| *spent += error.attempts)?;
        *spent += download.attempts;
        if download.from != sink.received {
            sink.restart().await?;
        } else if sink.received > 0 {
            self.monitor
                .transfer(self.slot, Transfer::Advanced(sink.received));
        }
        // Whether two parts may be of two contents.
        let mut is_joined = false;
        let mut body = download.body;
        while let Some(piece) = body.next().await {
            match piece? {
                Piece::Bytes(bytes) => {
                    let count = bytes.len() as u64;
                    self.throttle.pass(count).await;
                    self.monitor.transfer(self.slot, Transfer::Advanced(count));
                    sink.write(bytes).await?;
                    // More than was listed can only be a wrong answer, and it might not end.
                    if entry.size.is_some_and(|size| sink.received > size) {
                        break;
                    }
                }
                Piece::Resumed { same } => {
                    *spent += 1;
                    is_joined |= !same;
                }
                Piece::Restarted => {
                    *spent += 1;
                    is_joined = false;
                    self.monitor.transfer(self.slot, Transfer::Restarted);
                    sink.restart().await?;
                }
            }
        }
        if entry.size.is_some_and(|size| size != sink.received) {
            let received = sink.received;
            // What came is not this file: no later start may take it for its beginning.
            sink.restart().await?;
            return Err(Miss::Length { received });
        }
        if is_joined {
            match self.drive.stat(entry).await {
                Ok(now) if differs(&now, entry) => {
                    sink.restart().await?;
                    return Err(Miss::Changed(Box::new(now)));
                }
                Ok(_) => {}
                Err(error) => {
                    sink.restart().await?;
                    return Err(error.into());
                }
            }
        }
        Ok(sink.finish(&work.local, entry).await?)
    }
}

/// What became of a small file: it is stored, or it failed alone.
///
/// # Errors
/// When the archive cannot be written.
pub fn kept(work: &Work, attempts: u32, outcome: Result<u64, keep::Error>) -> Result<Settled, Error> {
    match outcome {
        Ok(bytes) => Ok(Settled {
            done: None,
            outcome: Outcome::Stored,
            bytes,
            message: String::new(),
        }),
        Err(keep::Error::Ledger(error)) => Err(error.into()),
        Err(keep::Error::Archive(error)) if error.ends_the_run() => Err(error.into()),
        Err(keep::Error::Archive(error)) => Ok(failed(work, attempts, "archive", error.to_string())),
    }
}

fn failed(work: &Work, attempts: u32, reason: &str, message: String) -> Settled {
    let done = Done {
        attempts,
        reason: reason.to_owned(),
        ..Done::new(work, Outcome::Failed)
    };
    Settled {
        outcome: done.outcome,
        done: Some(done),
        bytes: 0,
        message,
    }
}

/// Takes over what the service says of a file now.
fn take_over(entry: &mut Cow<'_, Entry>, now: Entry) {
    let entry = entry.to_mut();
    if differs(&now, entry) {
        entry.properties = now.properties;
    }
    entry.size = now.size;
    entry.modified = now.modified;
}

fn differs(now: &Entry, before: &Entry) -> bool {
    now.size != before.size || now.modified != before.modified
}

/// What the ledger is told of a file that is stored, but for its hash and place.
fn stored_as(work: &Work, entry: &mut Cow<'_, Entry>, size: u64, attempts: u32) -> Done {
    if entry.size.is_none() {
        // Where the listing told no size, the bytes do.
        entry.to_mut().size = Some(size);
    }
    Done {
        attempts,
        changed: differs(entry, &work.entry).then(|| Box::new(Entry::clone(entry))),
        ..Done::new(work, Outcome::Stored)
    }
}

/// Bytes on their way into the snapshot: small files stay in memory, larger ones are written and hashed by a blocking
/// thread while the next portion comes in.
struct Sink {
    /// The name of a half file, for a later process.
    key: String,
    received: u64,
    portion: Vec<Bytes>,
    portion_bytes: usize,
    stage: Stage,
    /// The last checkpoint, while it is written down.
    keeping: Option<JoinHandle<Result<(), archive::Error>>>,
}

enum Stage {
    Memory,
    Idle(Staged),
    Writing(JoinHandle<Result<Written, archive::Error>>),
}

/// A staged file with one more portion, and a checkpoint where one is due.
type Written = (Staged, Option<Checkpoint>);

impl Sink {
    async fn open(run: &Run, entry: &Entry) -> Result<Sink, archive::Error> {
        let modified = entry.modified.map_or(0, |time| time.as_second());
        let mut sink = Sink {
            key: format!("{}\n{}\n{:?}\n{modified}", entry.drive, entry.id, entry.size),
            received: 0,
            portion: Vec::new(),
            portion_bytes: 0,
            stage: Stage::Memory,
            keeping: None,
        };
        if entry.size.is_none_or(|size| size > PORTION as u64) {
            let (run, key) = (run.clone(), sink.key.clone());
            let may_continue = entry.size.is_some_and(|size| size > CHECKPOINT);
            let staged = blocking(
                move || match may_continue.then(|| run.partial(&key)).transpose()? {
                    Some(Some(staged)) => Ok(staged),
                    _ => run.stage(),
                },
            )
            .await?;
            sink.received = staged.len();
            sink.stage = Stage::Idle(staged);
        }
        Ok(sink)
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), archive::Error> {
        self.received += bytes.len() as u64;
        self.portion_bytes += bytes.len();
        self.portion.push(bytes);
        if self.portion_bytes >= PORTION && !matches!(self.stage, Stage::Memory) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Hands the portion to a blocking thread, after the one before is written.
    async fn flush(&mut self) -> Result<(), archive::Error> {
        let portion = std::mem::take(&mut self.portion);
        self.portion_bytes = 0;
        if let Some(mut staged) = self.settle().await? {
            let key = self.key.clone();
            self.stage = Stage::Writing(tokio::task::spawn_blocking(move || {
                let before = staged.len();
                for bytes in &portion {
                    staged.write(bytes)?;
                }
                let is_due = staged.len() / CHECKPOINT > before / CHECKPOINT;
                let checkpoint = is_due.then(|| staged.checkpoint(&key)).transpose()?;
                Ok((staged, checkpoint))
            }));
        }
        Ok(())
    }

    /// Waits for the blocking thread and takes the staged file back. A checkpoint waits for the disk, and goes on beside.
    async fn settle(&mut self) -> Result<Option<Staged>, archive::Error> {
        let (staged, checkpoint) = match std::mem::replace(&mut self.stage, Stage::Memory) {
            Stage::Memory => return Ok(None),
            Stage::Idle(staged) => return Ok(Some(staged)),
            Stage::Writing(task) => finished(task).await?,
        };
        if let Some(checkpoint) = checkpoint {
            self.kept().await?;
            self.keeping = Some(tokio::task::spawn_blocking(move || checkpoint.keep()));
        }
        Ok(Some(staged))
    }

    /// Waits until the last checkpoint is written down, so that no more than one is under way.
    async fn kept(&mut self) -> Result<(), archive::Error> {
        match self.keeping.take() {
            Some(task) => finished(task).await,
            None => Ok(()),
        }
    }

    async fn restart(&mut self) -> Result<(), archive::Error> {
        self.received = 0;
        self.portion.clear();
        self.portion_bytes = 0;
        if let Some(mut staged) = self.settle().await? {
            self.kept().await?;
            let staged = blocking(move || staged.restart().map(|()| staged)).await?;
            self.stage = Stage::Idle(staged);
        }
        Ok(())
    }

    async fn finish(mut self, local: &str, entry: &Entry) -> Result<Brought, archive::Error> {
        let portion = std::mem::take(&mut self.portion);
        let Some(mut staged) = self.settle().await? else {
            return Ok(Brought::Bytes(portion));
        };
        self.kept().await?;
        let (local, modified) = (LocalPath::parse(local)?, entry.modified);
        let expected = Some(entry.size.unwrap_or(self.received));
        let publishing = blocking(move || {
            for bytes in &portion {
                staged.write(bytes)?;
            }
            staged.publish(&local, modified, expected)
        });
        Ok(Brought::Stored(publishing.await?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
