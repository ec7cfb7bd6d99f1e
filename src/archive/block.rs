//! Memory to read a file into.

use bytes::Bytes;

/// Bytes of a block that is used again and again. It stays in a core's cache between reading and hashing.
const BYTES: usize = 128 * 1024;

/// Where a line of the processor's cache begins.
const LINE: usize = 64;

/// A block that begins with a line of the cache.
///
/// The system's allocator puts large blocks 16 bytes behind the beginning of a page. The kernel's copy to there was measured at a
/// third of its speed (AMD EPYC, Linux 6: 2.2 instead of 7.3 GB/s).
#[derive(Debug)]
pub(crate) struct Block {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Block {
    /// A block to read a file into again and again.
    pub(crate) fn new() -> Block {
        Block::of(BYTES)
    }

    /// A block of so many bytes, all zero.
    pub(crate) fn of(length: usize) -> Block {
        let memory = vec![0; length + LINE];
        // What cannot be aligned is only slower.
        let start = memory.as_ptr().align_offset(LINE).min(LINE);
        Block {
            memory,
            start,
            length,
        }
    }

    /// All of it.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.memory
            .get_mut(self.start..self.start + self.length)
            .unwrap_or_default()
    }

    /// Its first bytes, at most all, to be sent on without a copy.
    pub(crate) fn into_first(self, count: usize) -> Bytes {
        Bytes::from(self.memory).slice(self.start..self.start + count.min(self.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_whole_and_begins_with_a_line() {
        for _ in 0..10 {
            let mut block = Block::new();
            assert_eq!(block.bytes().len(), BYTES);
            assert_eq!(block.bytes().as_ptr().align_offset(LINE), 0);
        }
    }

    #[test]
    fn the_first_bytes_of_a_block_are_those_that_were_read_into_it() {
        let mut block = Block::of(5);
        block.bytes().copy_from_slice(b"abcde");
        assert_eq!(block.into_first(3), "abc");
        assert_eq!(Block::of(2).into_first(3), "\0\0");
        assert_eq!(Block::of(0).into_first(0), "");
    }
}
