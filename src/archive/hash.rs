//! SHA-256 of what is written and of what lies there.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256, digest};

use super::block::Block;

/// A SHA-256 under way.
#[derive(Clone)]
pub(super) struct Hasher(Context);

impl Hasher {
    pub(super) fn new() -> Hasher {
        Hasher(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash so far, in lower-case hexadecimal.
    pub(super) fn hex(&self) -> String {
        hex(self.0.clone().finish().as_ref())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hasher")
    }
}

/// Reads `file` to its end, at most `limit` bytes: the count and the hasher that has seen them.
pub(super) fn hash_file(file: &mut File, limit: u64) -> io::Result<(u64, Hasher)> {
    let mut hasher = Hasher::new();
    let mut seen = 0;
    let mut block = Block::new();
    let block = block.bytes();
    let mut source = file.take(limit);
    loop {
        let count = source.read(block)?;
        if count == 0 {
            return Ok((seen, hasher));
        }
        hasher.update(block.get(..count).unwrap_or_default());
        seen += count as u64;
    }
}

/// The first 16 hexadecimal digits of the SHA-256 of `text`.
pub(super) fn short_hash(text: &str) -> String {
    let mut digits = hex(digest(&SHA256, text.as_bytes()).as_ref());
    digits.truncate(16);
    digits
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.extend(char::from_digit(u32::from(digit), 16));
    }
    text
}

/// A file that is hashed while it is written.
#[derive(Debug)]
pub(super) struct HashingFile {
    pub(super) file: File,
    pub(super) hasher: Hasher,
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
