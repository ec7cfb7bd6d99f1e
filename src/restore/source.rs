//! A stored copy as the bytes of an upload, hashed while it is read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::archive::{Block, hex};
use crate::drive::ByteSource;
use crate::ledger::UploadWork;
use crate::monitor::{Monitor, Transfer};
use crate::throttle::Throttle;

/// Bytes read and sent at a time. With all workers busy memory holds one such portion for each.
pub(super) const PORTION: usize = 256 * 1024;

/// Where the stored bytes are. Calls wait for the disk.
pub trait Copies: fmt::Debug + Send + Sync {
    /// Opens the bytes that a manifest's `stored_at` names; no link is followed.
    ///
    /// # Errors
    /// Whatever the disk says; an address outside the archive is `InvalidInput`.
    fn open(&self, stored_at: &str) -> io::Result<File>;

    /// Places in other snapshots that are recorded to hold the same bytes, the likeliest first.
    fn other_copies(&self, sha256: &str, size: u64) -> Vec<String>;
}

/// One stored copy.
///
/// Every reading hashes the file from its first byte, also when the upload goes on from a later one, and the last portion
/// is handed out only when length and hash are those of the manifest: a damaged copy never becomes a finished upload.
pub(crate) struct Copy {
    pub(crate) copies: Arc<dyn Copies>,
    pub(crate) stored_at: String,
    pub(crate) size: u64,
    pub(crate) sha256: Option<String>,
    pub(crate) monitor: Arc<dyn Monitor>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) slot: usize,
    pub(crate) damaged: Arc<AtomicBool>,
    pub(crate) opened: AtomicBool,
    /// What a reading before its turn came to, for the first opening.
    pub(crate) ready: Mutex<Option<io::Result<Reading>>>,
}

/// What reading a small copy before its turn came to.
pub(crate) struct Ready {
    pub(super) reading: io::Result<Reading>,
    pub(super) damaged: Arc<AtomicBool>,
}

impl Ready {
    /// Reads the copy of a file, which should fit into one portion; `None` when it has none. Waits for the disk.
    pub(super) fn read(copies: &dyn Copies, work: &UploadWork) -> Option<Ready> {
        let damaged = Arc::default();
        let (stored_at, size) = (work.stored_at.as_deref()?, work.size?);
        let reading = Reading::begin(
            copies,
            stored_at,
            size,
            work.sha256.clone(),
            0,
            Arc::clone(&damaged),
        );
        Some(Ready { reading, damaged })
    }
}

#[async_trait]
impl ByteSource for Copy {
    async fn open(&self, offset: u64) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        if self.opened.swap(true, Ordering::Relaxed) {
            self.monitor.transfer(self.slot, Transfer::Restarted);
            self.monitor.transfer(self.slot, Transfer::Advanced(offset));
        }
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        let reading = match ready.filter(|_| offset == 0) {
            Some(reading) => reading?,
            None => {
                let (copies, stored_at) = (Arc::clone(&self.copies), self.stored_at.clone());
                let (size, sha256) = (self.size, self.sha256.clone());
                let damaged = Arc::clone(&self.damaged);
                blocking(move || Reading::begin(&*copies, &stored_at, size, sha256, offset, damaged)).await?
            }
        };
        let (monitor, slot) = (Arc::clone(&self.monitor), self.slot);
        let portions = stream::unfold(Some(reading), move |reading| async move {
            let mut reading = reading?;
            if let Some(bytes) = reading.first.take() {
                return Some((Ok(bytes), Some(reading)));
            }
            if reading.read >= reading.size {
                return None;
            }
            match blocking(move || Ok(reading.next())).await {
                Ok((reading, Ok(Some(bytes)))) => Some((Ok(bytes), Some(reading))),
                Ok((_, Ok(None))) => None,
                Ok((_, Err(error))) | Err(error) => Some((Err(error), None)),
            }
        });
        let throttle = Arc::clone(&self.throttle);
        let paced = portions.then(move |portion| {
            let (monitor, throttle) = (Arc::clone(&monitor), Arc::clone(&throttle));
            async move {
                if let Ok(bytes) = &portion {
                    throttle.pass(bytes.len() as u64).await;
                    monitor.transfer(slot, Transfer::Advanced(bytes.len() as u64));
                }
                portion
            }
        });
        Ok(paced.boxed())
    }
}

pub(crate) struct Reading {
    /// What was read when it was opened.
    first: Option<Bytes>,
    file: File,
    context: Context,
    read: u64,
    offset: u64,
    size: u64,
    sha256: Option<String>,
    damaged: Arc<AtomicBool>,
}

impl Reading {
    /// Opens a copy and reads its first portion that the upload needs: a small file is read at once, since each switch to
    /// another thread costs as much as reading it.
    fn begin(
        copies: &dyn Copies,
        stored_at: &str,
        size: u64,
        sha256: Option<String>,
        offset: u64,
        damaged: Arc<AtomicBool>,
    ) -> io::Result<Reading> {
        let file = copies.open(stored_at).inspect_err(|error| {
            // A copy that is not there, or that is no longer a file, is as lost as one with other bytes.
            if error.kind() != io::ErrorKind::Interrupted {
                damaged.store(true, Ordering::Relaxed);
            }
        })?;
        let length = file.metadata()?.len();
        let mut reading = Reading {
            first: None,
            file,
            context: Context::new(&SHA256),
            read: 0,
            offset,
            size,
            sha256,
            damaged,
        };
        if length != size {
            return Err(reading.wrong(format!("it has {length} bytes, {size} were stored")));
        }
        if size == 0 {
            reading.prove()?;
        }
        reading.first = reading.portion()?;
        Ok(reading)
    }

    /// The next portion that the upload still needs.
    fn next(mut self) -> (Reading, io::Result<Option<Bytes>>) {
        let portion = self.portion();
        (self, portion)
    }

    fn portion(&mut self) -> io::Result<Option<Bytes>> {
        while self.read < self.size {
            let wanted = usize::try_from(self.size - self.read).map_or(PORTION, |rest| rest.min(PORTION));
            let mut block = Block::of(wanted);
            let bytes = block.bytes();
            let mut filled = 0;
            while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
                match self.file.read(room) {
                    Ok(0) => return Err(self.wrong("it ends too early".to_owned())),
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.damaged.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
            self.context.update(bytes);
            let before = self.read;
            self.read += filled as u64;
            if self.read == self.size {
                self.prove()?;
            }
            if self.read > self.offset {
                let skipped = usize::try_from(self.offset.saturating_sub(before)).unwrap_or(0);
                return Ok(Some(block.into_first(filled).slice(skipped..)));
            }
        }
        Ok(None)
    }

    /// Compares the hash, once all bytes are read.
    fn prove(&self) -> io::Result<()> {
        let found = hex(self.context.clone().finish().as_ref());
        match &self.sha256 {
            Some(expected) if *expected != found => {
                Err(self.wrong(format!("its SHA-256 is {found}, {expected} was recorded")))
            }
            _ => Ok(()),
        }
    }

    fn wrong(&self, message: String) -> io::Error {
        self.damaged.store(true, Ordering::Relaxed);
        io::Error::new(io::ErrorKind::InvalidData, message)
    }
}

/// Runs what waits for the disk on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(io::Error::other("the program is ending")),
        },
    }
}
