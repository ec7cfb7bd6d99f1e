//! Sorts more records than memory holds: sorted runs in temporary files, merged as they are read.
//!
//! A file of our own rather than a scratch database: what is sorted is written once and read once, in order, and a run of
//! bytes does that several times faster than an index, without a second owner of the database crate.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Runs that are merged at once at most, so that neither buffers nor open files grow with the input.
const RUNS: usize = 48;

/// Bytes read at a time from one run.
const READ_BUFFER: usize = 64 * 1024;

/// Bytes written at a time to a run.
const WRITE_BUFFER: usize = 256 * 1024;

/// Takes records in any order. A record is a key, by whose bytes it is sorted, and a payload. Equal keys keep their order.
pub(super) struct Sorter {
    folder: PathBuf,
    limit: usize,
    arena: Vec<u8>,
    places: Vec<Place>,
    runs: Vec<File>,
}

/// Where a record lies in the arena: key first, payload after it.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    key: u32,
    payload: u32,
}

impl Sorter {
    /// Sorts in `limit` bytes of memory; what is beyond goes to nameless files in `folder`.
    pub(super) fn new(folder: &Path, limit: usize) -> Sorter {
        Sorter {
            folder: folder.to_owned(),
            limit,
            arena: Vec::new(),
            places: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Takes one record.
    pub(super) fn push(&mut self, key: &[u8], payload: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidData, "a record is longer than 4 GiB");
        let place = Place {
            start: self.arena.len(),
            key: u32::try_from(key.len()).map_err(too_long)?,
            payload: u32::try_from(payload.len()).map_err(too_long)?,
        };
        self.arena.extend_from_slice(key);
        self.arena.extend_from_slice(payload);
        self.places.push(place);
        if self.arena.len() + self.places.len() * size_of::<Place>() >= self.limit {
            self.spill()?;
        }
        Ok(())
    }

    /// Ends the taking and begins the giving.
    pub(super) fn finish(mut self) -> io::Result<Sorted> {
        self.sort();
        let mut sources = readers(&mut self.runs)?;
        sources.push(Source::Memory {
            arena: std::mem::take(&mut self.arena),
            places: std::mem::take(&mut self.places).into_iter(),
        });
        Sorted::new(sources)
    }

    fn sort(&mut self) {
        let arena = &self.arena;
        self.places.sort_unstable_by(|left, right| {
            key_of(arena, left)
                .cmp(key_of(arena, right))
                .then(left.start.cmp(&right.start))
        });
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut run = BufWriter::with_capacity(WRITE_BUFFER, tempfile::tempfile_in(&self.folder)?);
        for place in &self.places {
            write_record(
                &mut run,
                key_of(&self.arena, place),
                payload_of(&self.arena, place),
            )?;
        }
        self.runs
            .push(run.into_inner().map_err(|error| error.into_error())?);
        self.arena.clear();
        self.places.clear();
        if self.runs.len() >= RUNS {
            self.join()?;
        }
        Ok(())
    }

    /// Makes one run of all there are.
    fn join(&mut self) -> io::Result<()> {
        let mut sorted = Sorted::new(readers(&mut self.runs)?)?;
        let mut run = BufWriter::with_capacity(WRITE_BUFFER, tempfile::tempfile_in(&self.folder)?);
        while let Some((key, payload)) = sorted.next()? {
            write_record(&mut run, key, payload)?;
        }
        self.runs
            .push(run.into_inner().map_err(|error| error.into_error())?);
        Ok(())
    }
}

/// Gives the records in order.
pub(super) struct Sorted {
    heads: BinaryHeap<Head>,
    begun: bool,
}

impl Sorted {
    fn new(sources: Vec<Source>) -> io::Result<Sorted> {
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (order, source) in sources.into_iter().enumerate() {
            let mut head = Head {
                key: Vec::new(),
                payload: Vec::new(),
                order,
                source,
            };
            if head.advance()? {
                heads.push(head);
            }
        }
        Ok(Sorted { heads, begun: false })
    }

    /// The next record as key and payload.
    pub(super) fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        if self.begun
            && let Some(mut head) = self.heads.peek_mut()
            && !head.advance()?
        {
            PeekMut::pop(head);
        }
        self.begun = true;
        Ok(self
            .heads
            .peek()
            .map(|head| (head.key.as_slice(), head.payload.as_slice())))
    }
}

/// The first record of a source that is not given yet.
struct Head {
    key: Vec<u8>,
    payload: Vec<u8>,
    order: usize,
    source: Source,
}

impl Head {
    /// Steps to the next record; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        self.key.clear();
        self.payload.clear();
        match &mut self.source {
            Source::Memory { arena, places } => {
                let Some(place) = places.next() else {
                    return Ok(false);
                };
                self.key.extend_from_slice(key_of(arena, &place));
                self.payload.extend_from_slice(payload_of(arena, &place));
            }
            Source::Run { run, left } => {
                if *left == 0 {
                    return Ok(false);
                }
                let (key, payload) = (read_length(run)?, read_length(run)?);
                run.take(key).read_to_end(&mut self.key)?;
                run.take(payload).read_to_end(&mut self.payload)?;
                *left = left.saturating_sub(8 + key + payload);
                if self.key.len() as u64 != key || self.payload.len() as u64 != payload {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        Ok(true)
    }
}

impl Ord for Head {
    /// Reversed, since the heap gives the greatest first.
    fn cmp(&self, other: &Head) -> Ordering {
        other.key.cmp(&self.key).then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

enum Source {
    Memory {
        arena: Vec<u8>,
        places: std::vec::IntoIter<Place>,
    },
    Run {
        run: BufReader<File>,
        left: u64,
    },
}

fn readers(runs: &mut Vec<File>) -> io::Result<Vec<Source>> {
    let mut sources = Vec::with_capacity(runs.len() + 1);
    for mut run in runs.drain(..) {
        let left = run.stream_position()?;
        run.rewind()?;
        sources.push(Source::Run {
            run: BufReader::with_capacity(READ_BUFFER, run),
            left,
        });
    }
    Ok(sources)
}

fn key_of<'a>(arena: &'a [u8], place: &Place) -> &'a [u8] {
    let end = place.start + place.key as usize;
    arena.get(place.start..end).unwrap_or_default()
}

fn payload_of<'a>(arena: &'a [u8], place: &Place) -> &'a [u8] {
    let start = place.start + place.key as usize;
    arena
        .get(start..start + place.payload as usize)
        .unwrap_or_default()
}

fn write_record(run: &mut impl Write, key: &[u8], payload: &[u8]) -> io::Result<()> {
    for part in [key, payload] {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        run.write_all(&length.to_le_bytes())?;
    }
    run.write_all(key)?;
    run.write_all(payload)
}

fn read_length(run: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 4];
    run.read_exact(&mut bytes)?;
    Ok(u64::from(u32::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn more_than_memory_holds_comes_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for (records, limit) in [(0, 64), (5, 1 << 20), (500, 256), (5000, 256)] {
            let mut sorter = Sorter::new(folder.path(), limit);
            let mut expected = Vec::new();
            for number in 0..records {
                let key = format!("{:04}", number * 7919 % 1000);
                sorter
                    .push(key.as_bytes(), number.to_string().as_bytes())
                    .unwrap();
                assert!(sorter.runs.len() < RUNS);
                expected.push((key, number));
            }
            expected.sort();
            let mut sorted = sorter.finish().unwrap();
            let mut found = Vec::new();
            while let Some((key, payload)) = sorted.next().unwrap() {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                found.push((text(key), text(payload).parse().unwrap()));
            }
            assert_eq!(found, expected);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
