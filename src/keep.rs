//! Puts small files into a snapshot and tells the ledger, many at a time.
//!
//! A switch between threads costs about as much as a call to the disk, and a commit of the ledger as much as several files.
//! So one thread stores what comes in, and the ledger settles it in batches while the next files are stored. Who brings
//! a file need not wait for that: a few more may come meanwhile. Only where the disk is slow, as behind a network,
//! do more threads come to help.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::archive::{self, LocalPath, Run};
use crate::ledger::{self, Done, Ledger};

/// How long a batch waits for more files. A commit costs as much as settling ten of them.
const GATHERING: Duration = Duration::from_micros(400);

/// Files that are not made to wait for more.
const ENOUGH: usize = 16;

/// Files of one batch at most: a part of the room, so that others come in and are settled while one is stored.
const TOGETHER: usize = 32;

/// A disk that takes so long for one file is slow, and gets one more thread: local disks take a twentieth of it. A batch
/// that took so long is settled as it is.
const SLOW: Duration = Duration::from_millis(2);

/// Bytes for which a file takes one place in the room: one of 256 KiB takes two.
const PLACE: u64 = 128 * 1024;

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
    room: Arc<Semaphore>,
    /// How large the room is.
    places: usize,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Waiting>,
    threads: usize,
    /// When a thread took a file last.
    taken: Instant,
    /// How long the file that was stored last took.
    pace: Duration,
}

#[derive(Debug)]
struct Waiting {
    whole: Whole,
    asker: Asker,
}

/// Who waits for a file, and the room that it takes until then.
#[derive(Debug)]
struct Asker {
    answer: oneshot::Sender<Answer>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Asker {
    /// Nobody waits for an answer whose future was dropped.
    fn tell(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }
}

/// The bytes stored, or why none are; a panic, a bug of ours, goes on where the file came from.
type Answer = Result<Result<u64, Error>, Box<dyn Any + Send>>;

/// A file that is being kept.
#[derive(Debug)]
pub struct Keeping(oneshot::Receiver<Answer>);

impl Keeping {
    /// The file's size, when the ledger knows of it. Dropped early, the work still goes to its end.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn kept(self) -> Result<u64, Error> {
        match self.0.await {
            Ok(Ok(kept)) => kept,
            Ok(Err(panic)) => resume_unwind(panic),
            // The run ends, and this future with it.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Keeper {
    /// A keeper for the files of a run, whose state is that ledger, with room for so many files of 128 KiB, at least 1: the end
    /// of the process costs those that are not settled.
    pub fn new(run: Run, ledger: Ledger, room: usize) -> Keeper {
        let places = room.clamp(1, Semaphore::MAX_PERMITS);
        Keeper {
            run,
            ledger,
            room: Arc::new(Semaphore::new(places)),
            places,
            queue: Arc::new(Mutex::new(Queue {
                waiting: VecDeque::new(),
                threads: 0,
                taken: Instant::now(),
                pace: Duration::ZERO,
            })),
        }
    }

    /// Takes a file over as soon as there is room for it.
    pub async fn keep(&self, whole: Whole) -> Keeping {
        let bytes: u64 = whole.bytes.iter().map(|part| part.len() as u64).sum();
        let places = usize::try_from(bytes.div_ceil(PLACE)).unwrap_or(usize::MAX);
        let places = u32::try_from(places.clamp(1, self.places)).unwrap_or(u32::MAX);
        // The room is never closed.
        let room = Arc::clone(&self.room).acquire_many_owned(places).await.ok();
        let (answer, answered) = oneshot::channel();
        let asker = Asker { answer, _room: room };
        if self.put(Waiting { whole, asker }) {
            let (keeper, runtime) = (self.clone(), Handle::current());
            tokio::task::spawn_blocking(move || keeper.work_off(&runtime));
        }
        Keeping(answered)
    }

    /// Puts a file into the queue. Returns whether one more thread is wanted.
    fn put(&self, waiting: Waiting) -> bool {
        let mut queue = self.queue();
        queue.waiting.push_back(waiting);
        let wants_more = queue.threads == 0 || (queue.is_slow() && queue.threads < THREADS);
        if queue.threads == 0 {
            queue.taken = Instant::now();
        }
        queue.threads += usize::from(wants_more);
        wants_more
    }

    /// Stores until nothing waits, and has the ledger settle it batch by batch.
    fn work_off(&self, runtime: &Handle) {
        loop {
            if self.queue().waiting.len() < ENOUGH {
                thread::sleep(GATHERING);
            }
            let (done, askers) = self.store_some();
            if !askers.is_empty() {
                let ledger = self.ledger.clone();
                runtime.spawn(async move { tell(ledger.settle(done).await, askers) });
            }
            let mut queue = self.queue();
            if queue.waiting.is_empty() || (queue.threads > 1 && !queue.is_slow()) {
                queue.threads -= 1;
                return;
            }
        }
    }

    /// Stores some of what waits. Those that cannot be stored are answered at once.
    fn store_some(&self) -> (Vec<Done>, Vec<(Asker, u64)>) {
        let began = Instant::now();
        let (mut done, mut askers) = (Vec::new(), Vec::new());
        let mut now = began;
        while askers.len() < TOGETHER && (askers.is_empty() || now.duration_since(began) < SLOW) {
            let Some(Waiting { whole, asker }) = self.queue().take(now) else {
                break;
            };
            match catch_unwind(AssertUnwindSafe(|| self.store(whole))) {
                Ok(Ok((stored, size))) => {
                    done.push(stored);
                    askers.push((asker, size));
                }
                Ok(Err(error)) => asker.tell(Ok(Err(error.into()))),
                Err(panic) => asker.tell(Err(panic)),
            }
            let taken = now;
            now = Instant::now();
            self.queue().pace = now.duration_since(taken);
        }
        (done, askers)
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

impl Queue {
    fn take(&mut self, now: Instant) -> Option<Waiting> {
        self.taken = now;
        self.waiting.pop_front()
    }

    /// Whether the last file took long, or all that are being stored do.
    fn is_slow(&self) -> bool {
        self.pace > SLOW || self.taken.elapsed() > SLOW
    }
}

/// Tells the files of a batch that the ledger knows them, or one of them that it failed: that ends the run.
fn tell(settled: ledger::Result<()>, askers: Vec<(Asker, u64)>) {
    let mut askers = askers.into_iter();
    if let Err(error) = settled {
        if let Some((asker, _)) = askers.next() {
            asker.tell(Ok(Err(error.into())));
        }
        return;
    }
    for (asker, size) in askers {
        asker.tell(Ok(Ok(size)));
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

    /// A run in a folder of its own, and its ledger with files that wait.
    async fn begun() -> (tempfile::TempDir, Run, Ledger, Vec<Work>) {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
        let run = archive.begin(&Head::default(), Durability::None).unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
        let works = listed(&ledger).await;
        (folder, run, ledger, works)
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
        let (_folder, run, ledger, works) = begun().await;
        assert_eq!(works.len(), FILES);
        let keeper = Keeper::new(run.clone(), ledger.clone(), FILES / 2);

        // What a stop left behind that the ledger does not know, and a folder that nobody can write a file over.
        run.store(&place("f7"), &["older content"], None, None).unwrap();
        run.make_folder(&place("f9")).unwrap();
        let kept = join_all(
            works
                .iter()
                .map(async |work| keeper.keep(whole(work, &work.entry.name)).await.kept().await),
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
        let files = run.snapshot_path().join("files/me");
        assert_eq!(fs::read(files.join("f7")).unwrap(), b"f7 has two parts");
        assert_eq!(fs::read_dir(&files).unwrap().count(), FILES);

        // Without its ledger nothing is kept, and one file is told so.
        ledger.close().await;
        let error = keeper
            .keep(whole(&works[0], "late"))
            .await
            .kept()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Ledger(_)), "{error:?}");
    }

    #[tokio::test]
    async fn a_file_waits_for_room_until_those_before_are_settled() {
        let (_folder, run, ledger, works) = begun().await;
        let keeper = Keeper::new(run, ledger.clone(), 2);
        keeper.keep(whole(&works[0], "first")).await.kept().await.unwrap();

        // While the ledger is held up, a file takes the room, and the next one does not get in.
        let (held, holds) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let holder = tokio::spawn({
            let ledger = ledger.clone();
            async move {
                let hold = move |_, _: &str| {
                    held.send(()).unwrap();
                    released.recv().unwrap();
                };
                ledger.stored_places(hold).await
            }
        });
        tokio::task::spawn_blocking(move || holds.recv())
            .await
            .unwrap()
            .unwrap();
        // One of more than a place takes all of two.
        let large = PLACE as usize + 1;
        let mut then = whole(&works[1], "then");
        then.bytes = vec![Bytes::from(vec![b'x'; large])];
        let keeping = keeper.keep(then).await;
        let mut next = Box::pin(keeper.keep(whole(&works[2], "next")));
        assert!(futures::poll!(&mut next).is_pending());
        release.send(()).unwrap();
        assert_eq!(keeping.kept().await.unwrap(), large as u64);
        assert_eq!(next.await.kept().await.unwrap(), 18);
        holder.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn only_a_slow_disk_gets_more_threads() {
        let (_folder, run, ledger, works) = begun().await;
        let keeper = Keeper::new(run, ledger, 1);
        let put = || {
            let (answer, _) = oneshot::channel();
            keeper.put(Waiting {
                whole: whole(&works[0], "f0"),
                asker: Asker { answer, _room: None },
            })
        };
        assert!(put(), "the first file needs a thread");
        keeper.queue().taken = Instant::now() + Duration::from_secs(60);
        assert!(!put(), "the disk is fast");
        keeper.queue().pace = SLOW * 2;
        assert!(put(), "the last file took long");
        keeper.queue().pace = Duration::ZERO;
        keeper.queue().taken = Instant::now() - SLOW * 2;
        assert!(put(), "no thread took a file for long");
        keeper.queue().threads = THREADS;
        assert!(!put(), "there are enough");
    }
}
