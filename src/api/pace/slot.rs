//! Where an operation's record lies: in a small file that the tenant's processes share, or in this process alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};

use super::meter::{Ask, Record};

/// A place for one record.
#[derive(Debug)]
pub(super) struct Slot {
    file: Option<File>,
    /// The record as this process last saw it: the truth when there is no file.
    seen: Record,
}

/// Whether a record could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It could, and this was decided on it.
    Answer(Ask),
    /// Another process holds it at this moment.
    Busy,
}

impl Slot {
    /// A record of this process alone.
    pub(super) fn alone() -> Slot {
        Slot {
            file: None,
            seen: Record::default(),
        }
    }

    /// The record of an operation of a tenant. Where no file can be had, it is one of this process alone, with a
    /// warning in the log.
    pub(super) fn shared(folder: &Path, tenant_key: &str, operation: &str) -> Slot {
        let hash = digest(&SHA256, tenant_key.as_bytes());
        let hash: String = hash
            .as_ref()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let path = folder.join(format!("pace-{hash}-{operation}"));
        let opened = std::fs::create_dir_all(folder).and_then(|()| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
        });
        let mut slot = Slot::alone();
        match opened {
            Ok(file) => slot.file = Some(file),
            Err(error) => slot.leave(&format!("{}: {error}", path.display())),
        }
        slot
    }

    /// Decides on the record while nobody else can, and keeps what the decision made of it.
    pub(super) fn take(&mut self, decide: impl Fn(&mut Record) -> Ask) -> Taken {
        let Some(file) = &self.file else {
            return Taken::Answer(decide(&mut self.seen));
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Taken::Busy,
            Err(TryLockError::Error(error)) => return self.go_on_alone(&error, decide),
        }
        let done = read(file).and_then(|mut record| {
            let answer = decide(&mut record);
            write(file, &record)?;
            Ok((answer, record))
        });
        let unlocked = file.unlock();
        match (done, unlocked) {
            (Ok((answer, record)), Ok(())) => {
                self.seen = record;
                Taken::Answer(answer)
            }
            (Err(error), _) | (_, Err(error)) => self.go_on_alone(&error, decide),
        }
    }

    /// Gives up the file and goes on alone.
    pub(super) fn leave(&mut self, why: &str) {
        self.file = None;
        tracing::warn!(why, "the pace is not shared with other processes of this tenant");
    }

    fn go_on_alone(&mut self, error: &io::Error, decide: impl Fn(&mut Record) -> Ask) -> Taken {
        self.leave(&error.to_string());
        Taken::Answer(decide(&mut self.seen))
    }
}

/// First word of a pace file, with its format's number.
const HEAD: &str = "drivejob-pace-1";
/// Length of a record on disk: the head and four numbers of 20 digits, each after a blank, and a line feed. It never
/// changes, so that a record is replaced by one write in place.
const LENGTH: usize = HEAD.len() + 4 * 21 + 1;

/// A file that holds no record, as a new one does, counts as an operation never called.
fn read(mut file: &File) -> io::Result<Record> {
    let mut bytes = Vec::with_capacity(LENGTH);
    file.seek(SeekFrom::Start(0))?;
    file.take(LENGTH as u64).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut words = text.split_ascii_whitespace();
    if words.next() != Some(HEAD) {
        return Ok(Record::default());
    }
    let mut number = || words.next().and_then(|word| word.parse().ok());
    Ok((|| {
        Some(Record {
            arrival: number()?,
            streak: number()?,
            last: number()?,
            closed: number()?,
        })
    })()
    .unwrap_or_default())
}

fn write(mut file: &File, record: &Record) -> io::Result<()> {
    let text = format!(
        "{HEAD} {:020} {:020} {:020} {:020}\n",
        record.arrival, record.streak, record.last, record.closed
    );
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}
