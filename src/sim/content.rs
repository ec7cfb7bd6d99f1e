//! The bytes of files: made from a seed at any offset, read from disk, or held because a client sent them.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::OnceLock;

use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};

/// Bytes of one block of a seeded stream; a block can be made without the ones before it.
const BLOCK: u64 = 64 * 1024;
/// Bytes at the start of each block that depend on the seed and the block's number.
const HEAD: u64 = 8;
/// Bytes given out at a time when a stream is sent.
pub(super) const CHUNK: u64 = 128 * 1024;
/// Mixed into the first word of every stream, so that the seed of a stream can be read back from it.
const MARK: u64 = 0x6472_6976_656a_6f62;

/// Where the bytes of a file or revision come from.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// A stream made from this seed.
    Seeded(u64),
    /// Bytes that a client sent and that no seed makes.
    Held(Bytes),
    /// A file on the disk of this machine.
    Disk(PathBuf),
}

/// Spreads a number over 64 bits (the finalizer of SplitMix64, a public-domain algorithm).
pub(super) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Two blocks of noise, made once; every stream copies windows of it, which is as fast as memory.
fn noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| {
        let words = 2 * BLOCK / 8;
        (0..words)
            .flat_map(|word| mix(word ^ MARK).to_le_bytes())
            .collect()
    })
}

/// Fills `out` with the bytes of the stream of `seed` from `offset` on.
pub(super) fn fill(seed: u64, offset: u64, out: &mut [u8]) {
    let noise = noise();
    let mut at = offset;
    let mut rest = out;
    while !rest.is_empty() {
        let block = at / BLOCK;
        let inside = at % BLOCK;
        let head = if block == 0 {
            seed ^ MARK
        } else {
            mix(seed.wrapping_add(block))
        }
        .to_le_bytes();
        let (start, source): (u64, &[u8]) = if inside < HEAD {
            (inside, &head)
        } else {
            let window = mix(seed ^ block.rotate_left(32)) % BLOCK;
            let from = usize::try_from(window).unwrap_or(0);
            let length = usize::try_from(BLOCK - HEAD).unwrap_or(0);
            (inside - HEAD, noise.get(from..from + length).unwrap_or_default())
        };
        let source = usize::try_from(start)
            .ok()
            .and_then(|start| source.get(start..))
            .unwrap_or_default();
        let take = source.len().min(rest.len());
        let (now, later) = rest.split_at_mut(take);
        if let Some(source) = source.get(..take) {
            now.copy_from_slice(source);
        }
        at += take as u64;
        rest = later;
    }
}

impl Content {
    /// Bytes `offset..offset + length` of a content that needs no reading from disk; `None` for a file on disk.
    pub(super) fn slice(&self, offset: u64, length: u64) -> Option<Bytes> {
        let length = usize::try_from(length).ok()?;
        match self {
            Self::Seeded(seed) => {
                let mut buffer = BytesMut::zeroed(length);
                fill(*seed, offset, &mut buffer);
                Some(buffer.freeze())
            }
            Self::Held(bytes) => {
                let from = usize::try_from(offset).ok()?.min(bytes.len());
                let to = from.saturating_add(length).min(bytes.len());
                Some(bytes.slice(from..to))
            }
            Self::Disk(_) => None,
        }
    }

    /// The same bytes when they are few. A small file on disk is read at once: a thread for it would cost more.
    pub(super) fn whole(&self, offset: u64, length: u64) -> Option<Bytes> {
        if length > CHUNK {
            return None;
        }
        let Self::Disk(path) = self else {
            return self.slice(offset, length);
        };
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        let mut file = std::fs::File::open(path).ok()?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset)).ok()?;
        }
        file.read_exact(&mut bytes).ok()?;
        Some(bytes.into())
    }

    /// The SHA-256 of the first `size` bytes.
    ///
    /// # Errors
    /// Reading a file on disk may fail.
    pub(super) fn sha256(&self, size: u64) -> std::io::Result<String> {
        let mut context = digest::Context::new(&digest::SHA256);
        match self {
            Self::Disk(path) => {
                let mut reader = std::io::Read::take(std::fs::File::open(path)?, size);
                let mut buffer = vec![0; usize::try_from(CHUNK).unwrap_or(65_536)];
                loop {
                    let read = std::io::Read::read(&mut reader, &mut buffer)?;
                    if read == 0 {
                        break;
                    }
                    context.update(buffer.get(..read).unwrap_or_default());
                }
            }
            Self::Seeded(_) | Self::Held(_) => {
                let mut offset = 0;
                while offset < size {
                    let length = CHUNK.min(size - offset);
                    if let Some(bytes) = self.slice(offset, length) {
                        context.update(&bytes);
                    }
                    offset += length;
                }
            }
        }
        Ok(hexadecimal(context.finish().as_ref()))
    }
}

/// Lower-case hexadecimal text.
fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Takes the bytes of an upload; a stream that one of our seeds makes is recognised and not held in memory.
#[derive(Debug, Default)]
pub(super) struct Sink {
    received: u64,
    start: BytesMut,
    state: SinkState,
}

#[derive(Debug, Default)]
enum SinkState {
    /// Fewer bytes than a seed needs have come.
    #[default]
    Unknown,
    Matching(u64),
    Held(BytesMut),
}

impl Sink {
    /// Bytes taken so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if matches!(self.state, SinkState::Unknown) {
            let wanted = 8usize.saturating_sub(self.start.len()).min(bytes.len());
            let (head, rest) = bytes.split_at(wanted);
            self.start.extend_from_slice(head);
            self.received += wanted as u64;
            bytes = rest;
            match <[u8; 8]>::try_from(self.start.as_ref()) {
                Ok(word) => self.state = SinkState::Matching(u64::from_le_bytes(word) ^ MARK),
                Err(_) => return,
            }
        }
        if let SinkState::Matching(seed) = self.state {
            let mut expected = vec![0; bytes.len()];
            fill(seed, self.received, &mut expected);
            if expected == bytes {
                self.received += bytes.len() as u64;
                return;
            }
            // What came before is what the seed makes, so it can be made again.
            let mut held = BytesMut::zeroed(usize::try_from(self.received).unwrap_or(0));
            fill(seed, 0, &mut held);
            self.state = SinkState::Held(held);
        }
        if let SinkState::Held(held) = &mut self.state {
            held.extend_from_slice(bytes);
            self.received += bytes.len() as u64;
        }
    }

    /// The content once all bytes have come.
    pub(super) fn finish(self) -> Content {
        match self.state {
            SinkState::Unknown => Content::Held(self.start.freeze()),
            SinkState::Matching(seed) => Content::Seeded(seed),
            SinkState::Held(held) => Content::Held(held.freeze()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::{BLOCK, Content, Sink, mix};

    #[test]
    fn any_range_equals_the_same_part_of_the_whole() {
        let content = Content::Seeded(mix(7));
        let whole = content.slice(0, 3 * BLOCK + 100).unwrap();
        for (offset, length) in [
            (0, 1),
            (3, 10),
            (BLOCK - 3, 20),
            (2 * BLOCK + 8, BLOCK + 50),
            (0, 3 * BLOCK + 100),
        ] {
            let from = usize::try_from(offset).unwrap();
            let to = usize::try_from(offset + length).unwrap();
            assert_eq!(content.slice(offset, length).unwrap(), whole[from..to]);
        }
        assert_ne!(whole, Content::Seeded(mix(8)).slice(0, 3 * BLOCK + 100).unwrap());
    }

    #[test]
    fn uploads_of_our_streams_are_recognised_and_others_are_held() {
        let seeded = Content::Seeded(mix(9)).slice(0, 200_000).unwrap();
        let mut changed = seeded.to_vec();
        changed[150_000] ^= 1;
        for (bytes, recognised) in [
            (seeded.to_vec(), true),
            (changed, false),
            (b"short".to_vec(), false),
        ] {
            let mut sink = Sink::default();
            for part in bytes.chunks(70_001) {
                sink.push(part);
            }
            assert_eq!(sink.received(), bytes.len() as u64);
            let content = sink.finish();
            assert_eq!(matches!(content, Content::Seeded(_)), recognised);
            assert_eq!(content.slice(0, bytes.len() as u64).unwrap(), bytes);
        }
    }
}
