//! Files of a lane on their way to their uploads: claimed, and the small ones read before their turn.
//!
//! A switch to a thread that may wait for the disk costs about as much as reading a small file. So several are read in one
//! go, while those before them are sent.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Copies;
use super::source::{PORTION, Ready};
use crate::blocking::outcome;
use crate::ledger::UploadWork;

/// Files that are read in one go at most.
const TOGETHER: usize = 16;

/// Bytes that are read in one go, but for the last file. Memory holds twice that, beside what is being sent.
const BYTES: u64 = 1 << 20;

/// A file and, where it was small enough, what reading it came to.
pub(super) type Next = (UploadWork, Option<Ready>);

/// The files of one lane, in their order.
pub(super) struct Ahead {
    copies: Arc<dyn Copies>,
    claimed: VecDeque<UploadWork>,
    reading: Option<JoinHandle<Vec<Next>>>,
    ready: VecDeque<Next>,
}

impl Ahead {
    pub(super) fn new(copies: Arc<dyn Copies>) -> Ahead {
        Ahead {
            copies,
            claimed: VecDeque::new(),
            reading: None,
            ready: VecDeque::new(),
        }
    }

    /// Whether no file is left.
    pub(super) fn is_empty(&self) -> bool {
        self.claimed.is_empty() && self.reading.is_none() && self.ready.is_empty()
    }

    /// Whether more files should be claimed, so that the next ones are read before they are needed.
    pub(super) fn wants_more(&self) -> bool {
        self.claimed.is_empty() && self.reading.is_none() && self.ready.len() < TOGETHER
    }

    /// Takes files that were claimed.
    pub(super) fn extend(&mut self, works: Vec<UploadWork>) {
        self.claimed.extend(works);
    }

    /// Begins to read the next files, unless some are being read or enough are ready.
    pub(super) fn read_on(&mut self) {
        if self.reading.is_some() || self.ready.len() >= TOGETHER {
            return;
        }
        let mut some = Vec::new();
        let mut bytes = 0;
        while some.len() < TOGETHER
            && bytes < BYTES
            && let Some(work) = self.claimed.pop_front()
        {
            bytes += small(&work).unwrap_or(0);
            some.push(work);
        }
        if bytes == 0 {
            self.ready.extend(some.into_iter().map(|work| (work, None)));
            return;
        }
        let copies = Arc::clone(&self.copies);
        self.reading = Some(tokio::task::spawn_blocking(move || {
            some.into_iter()
                .map(|work| {
                    let ready = small(&work).and_then(|_| Ready::read(&*copies, &work));
                    (work, ready)
                })
                .collect()
        }));
    }

    /// The next file that may be sent.
    pub(super) fn pop(&mut self) -> Option<Next> {
        self.ready.pop_front()
    }

    /// Waits until the files that are being read are ready, forever when there are none.
    pub(super) async fn read(&mut self) {
        let Some(reading) = &mut self.reading else {
            return std::future::pending().await;
        };
        let read = outcome(reading.await);
        self.reading = None;
        // Without an outcome the program is ending, and their steps stay open.
        self.ready.extend(read.unwrap_or_default());
    }

    /// All files that are left, none of them sent.
    pub(super) async fn take_all(&mut self) -> Vec<UploadWork> {
        if self.reading.is_some() {
            self.read().await;
        }
        let ready = self.ready.drain(..).map(|(work, _)| work);
        ready.chain(self.claimed.drain(..)).collect()
    }
}

/// The size of a file that is sent in one portion.
fn small(work: &UploadWork) -> Option<u64> {
    work.size.filter(|size| *size <= PORTION as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::entry::{Entry, Kind};
    use crate::id::{DriveId, FileId};
    use crate::ledger::Choice;
    use crate::path::DrivePath;

    /// Files of a folder, and the names that were opened.
    #[derive(Debug)]
    struct Folder {
        path: PathBuf,
        opened: Mutex<Vec<String>>,
    }

    impl Copies for Folder {
        fn open(&self, stored_at: &str) -> io::Result<File> {
            self.opened.lock().unwrap().push(stored_at.to_owned());
            File::open(self.path.join(stored_at))
        }

        fn other_copies(&self, _: &str, _: u64) -> Vec<String> {
            Vec::new()
        }
    }

    fn work(no: i64, size: Option<u64>) -> UploadWork {
        let drive = DriveId::new("me");
        let name = format!("f{no}");
        UploadWork {
            no,
            folder: 0,
            parent: Entry::root(drive.clone(), FileId::new(FileId::ROOT)),
            drive,
            id: FileId::new(name.as_str()),
            path: DrivePath::root().join(&name),
            kind: Kind::File,
            size,
            modified: None,
            sha256: None,
            stored_at: Some(name.clone()),
            choice: Choice::Send {
                name,
                renamed: false,
                over: None,
            },
        }
    }

    fn numbers(ahead: &mut Ahead) -> Vec<(i64, bool)> {
        let next = std::iter::from_fn(|| ahead.pop());
        next.map(|(work, ready)| (work.no, ready.is_some())).collect()
    }

    #[tokio::test]
    async fn small_files_are_read_together_and_keep_their_order() {
        let folder = tempfile::tempdir().unwrap();
        for no in 1..=20 {
            std::fs::write(folder.path().join(format!("f{no}")), "abc").unwrap();
        }
        let copies = Arc::new(Folder {
            path: folder.path().to_owned(),
            opened: Mutex::default(),
        });
        let mut ahead = Ahead::new(Arc::clone(&copies) as Arc<dyn Copies>);
        assert!(ahead.is_empty() && ahead.wants_more());
        let size = |no| match no {
            2 => Some(PORTION as u64 + 1),
            3 => None,
            _ => Some(3),
        };
        ahead.extend((1..=20).map(|no| work(no, size(no))).collect());
        assert!(!ahead.is_empty() && !ahead.wants_more());
        ahead.read_on();
        ahead.read_on();
        assert!(ahead.pop().is_none(), "none is ready yet");
        ahead.read().await;
        // Neither the large one nor the one of unknown size was touched, and those behind wait.
        let opened = [1].into_iter().chain(4..=16).map(|no| format!("f{no}"));
        assert_eq!(*copies.opened.lock().unwrap(), opened.collect::<Vec<_>>());
        let (first, ready) = ahead.pop().unwrap();
        assert_eq!(first.no, 1);
        assert!(ready.unwrap().reading.is_ok());
        ahead.read_on();
        ahead.read().await;
        let rest = (2..=20).map(|no| (no, no > 3));
        assert_eq!(numbers(&mut ahead), rest.collect::<Vec<_>>());
        assert!(ahead.is_empty());
    }

    #[tokio::test]
    async fn a_copy_that_is_not_there_is_told_in_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let mut ahead = Ahead::new(Arc::new(Folder {
            path: folder.path().to_owned(),
            opened: Mutex::default(),
        }));
        ahead.extend(vec![work(1, Some(3))]);
        ahead.read_on();
        ahead.read().await;
        let ready = ahead.pop().unwrap().1.unwrap();
        assert!(ready.reading.is_err());
        assert!(ready.damaged.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_stop_gets_back_all_that_was_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let mut ahead = Ahead::new(Arc::new(Folder {
            path: folder.path().to_owned(),
            opened: Mutex::default(),
        }));
        ahead.extend((1..=40).map(|no| work(no, Some(3))).collect());
        ahead.read_on();
        ahead.read().await;
        ahead.pop().unwrap();
        ahead.read_on();
        let left = ahead.take_all().await;
        assert_eq!(
            left.iter().map(|work| work.no).collect::<Vec<_>>(),
            (2..=40).collect::<Vec<_>>()
        );
        assert!(ahead.is_empty());
    }
}
