//! One file or folder against its row.

use std::fs::{self, File};
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use super::heads::is_gone;
use super::problem::Kind;
use crate::archive::{self, Archive, hex};
use crate::monitor::{Counter, Monitor};
use crate::stop::Stop;

/// What a row says of a file or folder that must be there.
#[derive(Debug)]
pub(super) struct Expected {
    pub drive: String,
    pub path: String,
    pub stored_at: String,
    pub is_folder: bool,
    pub size: Option<u64>,
    pub sha256: [u8; 32],
    pub bucket: Option<usize>,
}

/// What was found in its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is as it should be. `bytes` were read for that, unless it is another name of a file read before.
    Good { bytes: u64, linked: bool },
    /// It is not.
    Bad(Kind, String),
    /// Its snapshot was removed meanwhile, or the caller's stop came first.
    Nothing,
}

/// Looks at files, from several threads.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    archive: &'a Archive,
    seen: Option<Seen>,
}

impl<'a> Checker<'a> {
    /// With `shared`, a file with several names is read once.
    pub(super) fn new(archive: &'a Archive, shared: bool) -> Checker<'a> {
        Checker {
            archive,
            seen: shared.then(Seen::new),
        }
    }

    pub(super) fn check(
        &self,
        expected: &Expected,
        block: &mut [u8],
        stop: &Stop,
        monitor: &dyn Monitor,
    ) -> Found {
        if expected.is_folder {
            return self.check_folder(expected);
        }
        let (mut file, length) = match self.archive.open_stored(&expected.stored_at) {
            Ok(opened) => opened,
            Err(error) => return self.refused(expected, &error),
        };
        if let Some(size) = expected.size.filter(|size| *size != length) {
            let kind = if length < size { Kind::Short } else { Kind::Long };
            return Found::Bad(kind, format!("{length} bytes instead of {size}"));
        }
        let names = self
            .seen
            .as_ref()
            .and_then(|seen| Some((seen, Identity::of(&file)?)));
        if let Some((seen, identity)) = &names
            && seen.has(identity, &expected.sha256)
        {
            return Found::Good {
                bytes: 0,
                linked: true,
            };
        }
        let hashed = hash(&mut file, block, |bytes| {
            monitor.count(Counter::BytesMoved, bytes);
            !stop.is_draining()
        });
        match hashed {
            Ok(None) => Found::Nothing,
            Ok(Some((bytes, _))) if bytes != length => {
                let kind = if bytes < length { Kind::Short } else { Kind::Long };
                Found::Bad(kind, format!("{bytes} bytes could be read, it has {length}"))
            }
            Ok(Some((bytes, digest))) if digest == expected.sha256 => {
                if let Some((seen, identity)) = names {
                    seen.put(identity, &digest);
                }
                Found::Good { bytes, linked: false }
            }
            Ok(Some((_, digest))) => Found::Bad(Kind::Altered, format!("SHA-256 {}", hex(&digest))),
            Err(error) => Found::Bad(Kind::Unreadable, error.to_string()),
        }
    }

    fn check_folder(&self, expected: &Expected) -> Found {
        match fs::symlink_metadata(self.archive.path().join(&expected.stored_at)) {
            Ok(metadata) if metadata.is_dir() => Found::Good {
                bytes: 0,
                linked: false,
            },
            Ok(_) => Found::Bad(Kind::NotAFile, "it is no folder".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.missing(expected),
            Err(error) => Found::Bad(Kind::Unreadable, error.to_string()),
        }
    }

    fn refused(&self, expected: &Expected, error: &archive::Error) -> Found {
        let not_a_file = || {
            Found::Bad(
                Kind::NotAFile,
                "it is no regular file, or a link leads to it".to_owned(),
            )
        };
        match error {
            archive::Error::Outside(_) => Found::Bad(
                Kind::Manifest,
                "the row tells a place outside the snapshots' files".to_owned(),
            ),
            archive::Error::NotAFolder(_) => not_a_file(),
            archive::Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                if is_gone(&self.archive.path().join(&expected.stored_at)) {
                    self.missing(expected)
                } else {
                    not_a_file()
                }
            }
            // The number by which systems say that a link was not followed has no kind of its own.
            archive::Error::Io { source, path, .. } => match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_symlink() => not_a_file(),
                _ => Found::Bad(Kind::Unreadable, source.to_string()),
            },
            error => Found::Bad(Kind::Unreadable, error.to_string()),
        }
    }

    fn missing(&self, expected: &Expected) -> Found {
        let snapshot = expected.stored_at.split('/').next().unwrap_or_default();
        if is_gone(&self.archive.path().join(snapshot)) && snapshot.parse::<crate::id::SnapshotId>().is_ok() {
            return Found::Nothing;
        }
        Found::Bad(Kind::Missing, String::new())
    }
}

/// Reads `file` to its end and hashes it; `None` when `go_on`, told of each block's length, says no.
fn hash(
    file: &mut File,
    block: &mut [u8],
    mut go_on: impl FnMut(u64) -> bool,
) -> io::Result<Option<(u64, [u8; 32])>> {
    let mut context = Context::new(&SHA256);
    let mut total = 0;
    loop {
        let count = match file.read(block) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        context.update(block.get(..count).unwrap_or_default());
        total += count as u64;
        if !go_on(count as u64) {
            return Ok(None);
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(Some((total, digest)))
}

/// A SHA-256 from its 64 hexadecimal digits.
pub(super) fn digest_of(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (place, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// What makes two names the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Identity {
    device: u64,
    number: u64,
}

impl Identity {
    /// `None` for a file with one name, and where the system does not tell.
    fn of(file: &File) -> Option<Identity> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let metadata = file.metadata().ok()?;
            (metadata.nlink() > 1).then(|| Identity {
                device: metadata.dev(),
                number: metadata.ino(),
            })
        }
        #[cfg(not(unix))]
        {
            let _ = file;
            None
        }
    }
}

/// The files that were read, in a table of fixed size: a later one may take the place of an earlier one, which is then read once more.
struct Seen(Vec<Mutex<Vec<Slot>>>);

/// A file and the first half of its hash. Half a SHA-256 tells two contents apart as surely as anything here can.
#[derive(Clone, Copy, Default)]
struct Slot {
    identity: Identity,
    half: [u8; 16],
}

/// Parts of the table, each with its own lock.
const PARTS: usize = 64;

/// Slots of a part: 2 million of 32 bytes in all. The memory is taken part by part as files come.
const SLOTS: usize = 32 * 1024;

impl std::fmt::Debug for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Seen")
    }
}

impl Seen {
    fn new() -> Seen {
        Seen((0..PARTS).map(|_| Mutex::default()).collect())
    }

    fn has(&self, identity: &Identity, digest: &[u8; 32]) -> bool {
        self.slot(identity, |slot| {
            slot.identity == *identity && digest.starts_with(&slot.half)
        })
        .unwrap_or(false)
    }

    fn put(&self, identity: Identity, digest: &[u8; 32]) {
        let mut half = [0; 16];
        half.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
        self.slot(&identity, |slot| *slot = Slot { identity, half });
    }

    fn slot<T>(&self, identity: &Identity, act: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        // Numbers of files follow each other; a multiplication by an odd constant (Knuth's golden ratio) spreads them.
        let spread =
            (identity.number ^ identity.device.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let spread = usize::try_from(spread).unwrap_or(0);
        let mut part = self
            .0
            .get(spread % PARTS)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if part.is_empty() {
            part.resize(SLOTS, Slot::default());
        }
        part.get_mut(spread / PARTS % SLOTS).map(act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seen_file_is_known_by_identity_and_content() {
        let seen = Seen::new();
        let identity = |number| Identity { device: 1, number };
        assert!(!seen.has(&identity(7), &[0; 32]));
        for number in 0..1000 {
            seen.put(identity(number), &[1; 32]);
        }
        assert!(
            (0..1000)
                .filter(|number| seen.has(&identity(*number), &[1; 32]))
                .count()
                > 990
        );
        assert!(!seen.has(&identity(7), &[2; 32]));
        assert!(!seen.has(&Identity { device: 2, number: 7 }, &[1; 32]));
    }

    #[test]
    fn a_digest_reads_back() {
        let text = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(digest_of(text).map(|digest| hex(&digest)).as_deref(), Some(text));
        for wrong in ["", "2c", &"zz".repeat(32), &"é".repeat(32)] {
            assert_eq!(digest_of(wrong), None, "{wrong}");
        }
    }
}
