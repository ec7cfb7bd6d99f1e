//! Puts small files into a snapshot and tells the ledger, many at a time.
//!
//! A switch between threads costs about as much as a call to the disk, and a commit of the ledger as much as several files.
//! So one thread gathers what comes in a moment, stores it, and settles all of it in one commit. Only where the disk is slow,
//! as behind a network, do more threads come to help.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::archive::{self, LocalPath, Run};
use crate::ledger::{self, Done, Ledger};

/// How long a batch waits for more files. A commit costs as much as settling ten of them.
const GATHERING: Duration = Duration::from_micros(400);

/// Files of one batch at most, so that no answer waits long.
const TOGETHER: usize = 64;

/// A batch that took so long to store is settled as it is, and a file that waited so long gets one more thread: local disks
/// take a twentieth of it for a file.
const SLOW: Duration = Duration::from_millis(2);

/// Threads at most: more files than these are seldom under way.
const THREADS: usize = 64;

/// A file whose bytes are all here.
#[derive(Debug)]
pub struct Whole {
    /// Its place.
    pub local: LocalPath,
    /// Its bytes, in order.
    pub bytes: Vec<Bytes>,
    /// Its date.
    pub modified: Option<Timestamp>,
    /// What the ledger is told. Hash and place are added.
    pub done: Done,
}

/// Why a file was not kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be stored.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// It is stored, and the ledger does not know it. One of the files of a batch gets this error, which ends the run.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

/// Keeps the files of one run. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Keeper {
    run: Run,
    ledger: Ledger,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    threads: usize,
}

#[derive(Debug)]
struct Waiting {
    whole: Whole,
    since: Instant,
    answer: oneshot::Sender<Answer>,
}

/// The bytes stored, or why none are; a panic, a bug of ours, goes on where the file came from.
type Answer = Result<Result<u64, Error>, Box<dyn Any + Send>>;

impl Keeper {
    /// A keeper for the files of a run, whose state is that ledger.
    pub fn new(run: Run, ledger: Ledger) -> Keeper {
        Keeper {
            run,
            ledger,
            queue: Arc::default(),
        }
    }

    /// Stores a file and returns its size when the ledger knows of it. Dropped early, the work still goes to its end.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn keep(&self, whole: Whole) -> Result<u64, Error> {
        let (answer, answered) = oneshot::channel();
        if self.put(whole, answer) {
            let (keeper, runtime) = (self.clone(), Handle::current());
            tokio::task::spawn_blocking(move || keeper.work_off(&runtime));
        }
        match answered.await {
            Ok(Ok(kept)) => kept,
            Ok(Err(panic)) => resume_unwind(panic),
            // The run ends, and this future with it.
            Err(_) => std::future::pending().await,
        }
    }

    /// Puts a file into the queue. Returns whether one more thread is wanted.
    fn put(&self, whole: Whole, answer: oneshot::Sender<Answer>) -> bool {
        let now = Instant::now();
        let mut queue = self.queue();
        let is_slow = queue
            .waiting
            .front()
            .is_some_and(|first| now.duration_since(first.since) > SLOW);
        queue.waiting.push_back(Waiting {
            whole,
            since: now,
            answer,
        });
        let wants_more = queue.threads == 0 || (is_slow && queue.threads < THREADS);
        queue.threads += usize::from(wants_more);
        wants_more
    }

    /// Stores and settles until nothing waits.
    fn work_off(&self, runtime: &Handle) {
        loop {
            thread::sleep(GATHERING);
            let (done, answers) = self.store_some();
            if !answers.is_empty() {
                tell(runtime.block_on(self.ledger.settle(done)), answers);
                continue;
            }
            let mut queue = self.queue();
            if queue.waiting.is_empty() {
                queue.threads -= 1;
                return;
            }
        }
    }

    /// Stores some of what waits. Those that cannot be stored are answered at once.
    fn store_some(&self) -> (Vec<Done>, Vec<(oneshot::Sender<Answer>, u64)>) {
        let began = Instant::now();
        let (mut done, mut answers) = (Vec::new(), Vec::new());
        while answers.len() < TOGETHER && (answers.is_empty() || began.elapsed() < SLOW) {
            let Some(Waiting { whole, answer, .. }) = self.queue().waiting.pop_front() else {
                break;
            };
            match catch_unwind(AssertUnwindSafe(|| self.store(whole))) {
                Ok(Ok((stored, size))) => {
                    done.push(stored);
                    answers.push((answer, size));
                }
                // Nobody waits for an answer whose future was dropped.
                Ok(Err(error)) => drop(answer.send(Ok(Err(error.into())))),
                Err(panic) => drop(answer.send(Err(panic))),
            }
        }
        (done, answers)
    }

    fn store(&self, whole: Whole) -> Result<(Done, u64), archive::Error> {
        let Whole {
            local,
            bytes,
            modified,
            mut done,
        } = whole;
        let stored = match self.run.store(&local, &bytes, modified, None) {
            Err(archive::Error::Occupied(path)) => {
                // A stop came between the file and the ledger, and the file changed since.
                tracing::debug!(path = %path.display(), "a file of an earlier start gives way");
                self.run.evict(&local)?;
                self.run.store(&local, &bytes, modified, None)?
            }
            stored => stored?,
        };
        done.sha256 = Some(stored.sha256);
        done.stored_at = Some(stored.stored_at);
        Ok((done, stored.size))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the files of a batch that the ledger knows them, or one of them that it failed: that ends the run.
fn tell(settled: ledger::Result<()>, answers: Vec<(oneshot::Sender<Answer>, u64)>) {
    let mut answers = answers.into_iter();
    if let Err(error) = settled {
        if let Some((answer, _)) = answers.next() {
            drop(answer.send(Ok(Err(error.into()))));
        }
        return;
    }
    for (answer, size) in answers {
        drop(answer.send(Ok(Ok(size))));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use futures::future::join_all;

    use super::*;
    use crate::archive::{Archive, Durability, Head, plain_or_derived};
    use crate::drive::PageToken;
    use crate::entry::{Access, Entry, Kind, Root};
    use crate::id::{DriveId, Family, FileId};
    use crate::ledger::{Listed, ListedAs, NewRoot, PageFacts, Placement, Work};
    use crate::manifest::Outcome;

    const FILES: usize = 300;

    async fn listed(ledger: &Ledger) -> Vec<Work> {
        let drive = DriveId::new("me");
        let root = Root {
            entry: Entry::root(drive.clone(), FileId::new(FileId::ROOT)),
            name: "Taro".to_owned(),
            quota: None,
            access: Access::Readable,
        };
        let local = "me".to_owned();
        ledger.add_roots(vec![NewRoot { root, local }]).await.unwrap();
        let folder = ledger
            .open_folders(Family::MyDrive, 0, 1)
            .await
            .unwrap()
            .remove(0);
        let items = (0..FILES).map(|number| {
            let mut entry = Entry::root(drive.clone(), FileId::new(format!("id-{number}")));
            entry.kind = Kind::File;
            entry.name = format!("f{number}");
            Listed {
                placement: Placement {
                    plain: Some(entry.name.clone()),
                    derived: format!("{}~", entry.name),
                    fold: number as u64,
                },
                listed_as: ListedAs::Fetch,
                entry,
            }
        });
        let page = PageFacts {
            next: Some(PageToken("more".to_owned())),
            ..PageFacts::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        ledger
            .apply_page(folder.no, items.collect(), vec![], page, now)
            .await
            .unwrap();
        ledger.pending(Family::MyDrive, 0, 1000).await.unwrap()
    }

    fn place(name: &str) -> LocalPath {
        LocalPath::of_drive(&DriveId::new("me")).join(&plain_or_derived(name, name), false)
    }

    fn whole(work: &Work, name: &str) -> Whole {
        Whole {
            local: place(name),
            bytes: vec![
                Bytes::from(format!("{name} has ")),
                Bytes::from_static(b"two parts"),
            ],
            modified: None,
            done: Done::new(work, Outcome::Stored),
        }
    }

    #[tokio::test]
    async fn many_files_are_kept_and_known_and_one_that_fails_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
        let run = archive.begin(&Head::default(), Durability::None).unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
        let works = listed(&ledger).await;
        assert_eq!(works.len(), FILES);
        let keeper = Keeper::new(run.clone(), ledger.clone());

        // What a stop left behind that the ledger does not know, and a folder that nobody can write a file over.
        run.store(&place("f7"), &["older content"], None, None).unwrap();
        run.make_folder(&place("f9")).unwrap();
        let kept = join_all(
            works
                .iter()
                .map(|work| keeper.keep(whole(work, &work.entry.name))),
        )
        .await;
        for (work, kept) in works.iter().zip(&kept) {
            match work.entry.name.as_str() {
                "f9" => assert!(matches!(kept, Err(Error::Archive(_))), "{kept:?}"),
                name => assert_eq!(kept.as_ref().unwrap(), &(name.len() as u64 + 14), "{name}"),
            }
        }
        let left = ledger.pending(Family::MyDrive, 0, 1000).await.unwrap();
        assert_eq!(
            left.iter().map(|work| &work.entry.name).collect::<Vec<_>>(),
            ["f9"]
        );
        let files = archive.path().join(".drivejob/run/snapshot/files/me");
        assert_eq!(fs::read(files.join("f7")).unwrap(), b"f7 has two parts");
        assert_eq!(fs::read_dir(&files).unwrap().count(), FILES);

        // Without its ledger nothing is kept, and one file is told so.
        ledger.close().await;
        let error = keeper.keep(whole(&works[0], "late")).await.unwrap_err();
        assert!(matches!(error, Error::Ledger(_)), "{error:?}");
    }
}
