//! A stream in blocks, each with a checksum over its bytes and its place, so that no damage is taken for an answer.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};

/// Bytes of a checksum: half a SHA-256 finds damage as surely as a whole one.
const SUM_BYTES: usize = 16;

/// The most bytes of a block. Blocks are closed at a few hundred KB, and one item cannot make one much larger.
const BLOCK_BYTES: usize = 256 * 1024 * 1024;

/// Why a stream cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not hold what was written.
    #[error("it is damaged")]
    Damaged,
}

/// Writes blocks.
#[derive(Debug)]
pub(super) struct BlockWriter<W> {
    target: W,
    number: u64,
}

impl<W: Write> BlockWriter<W> {
    pub(super) fn new(target: W) -> BlockWriter<W> {
        BlockWriter { target, number: 0 }
    }

    pub(super) fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.target.write_all(&length.to_le_bytes())?;
        self.target.write_all(&sum(self.number, payload))?;
        self.target.write_all(payload)?;
        self.number += 1;
        Ok(())
    }

    /// Writes the empty block that ends the stream.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.write(&[])?;
        self.target.flush()?;
        Ok(self.target)
    }
}

/// Reads blocks.
#[derive(Debug)]
pub(super) struct BlockReader<R> {
    source: R,
    number: u64,
}

impl<R: Read> BlockReader<R> {
    pub(super) fn new(source: R) -> BlockReader<R> {
        BlockReader { source, number: 0 }
    }

    /// Reads the next block into `payload`; empty at the end of the stream.
    pub(super) fn read(&mut self, payload: &mut Vec<u8>) -> Result<(), Error> {
        let (mut length, mut told) = ([0; 4], [0; SUM_BYTES]);
        self.fill(&mut length)?;
        self.fill(&mut told)?;
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| Error::Damaged)?;
        if length > BLOCK_BYTES {
            return Err(Error::Damaged);
        }
        payload.clear();
        // As much as is there, so that a damaged length costs no memory.
        let read = self.source.by_ref().take(length as u64).read_to_end(payload)?;
        if read != length || sum(self.number, payload) != told {
            return Err(Error::Damaged);
        }
        self.number += 1;
        Ok(())
    }

    fn fill(&mut self, target: &mut [u8]) -> Result<(), Error> {
        self.source
            .read_exact(target)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Error::Damaged,
                _ => Error::Io(error),
            })
    }
}

fn sum(number: u64, payload: &[u8]) -> [u8; SUM_BYTES] {
    let mut context = Context::new(&SHA256);
    context.update(&number.to_le_bytes());
    context.update(payload);
    let mut sum = [0; SUM_BYTES];
    for (target, byte) in sum.iter_mut().zip(context.finish().as_ref()) {
        *target = *byte;
    }
    sum
}
