//! Merges manifests into a catalogue: all are in the same order, so one pass with little memory does.

use std::fs::File;
use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};

use super::blocks::Error;
use super::file::{About, CatalogueReader, CatalogueWriter, Night};
use super::item::{Facts, Item};
use crate::archive::{Snapshot, hex};
use crate::manifest::{Brief, Reader};
use crate::stop::Stop;

/// Items between two looks at whether somebody asked for a stop.
const ITEMS_PER_LOOK: u32 = 1 << 12;

/// Why a merge came to no end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The catalogue could not be read or written.
    Catalogue(Error),
    /// The manifest of the snapshot of that number is not the one its tail tells, does not read, or is not in order.
    Apart(usize),
    /// A stop was asked for.
    Stopped,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Catalogue(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Catalogue(Error::Io(error))
    }
}

/// Writes to `target` what `old` has, without its nights that are not in `about`, and what the manifests of `fresh` say. Their nights
/// are the last ones of `about`.
pub(super) fn merge<W: Write>(
    old: Option<CatalogueReader>,
    fresh: &[&Snapshot],
    about: &About,
    target: W,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut old = Old::new(old, about)?;
    let first = about.nights.len() - fresh.len();
    let mut sources = Vec::with_capacity(fresh.len());
    for (number, snapshot) in fresh.iter().enumerate() {
        let mut source = Source::open(snapshot).map_err(|_| Failure::Apart(number))?;
        source.advance().map_err(|()| Failure::Apart(number))?;
        sources.push(source);
    }
    let mut writer = CatalogueWriter::new(target, about)?;
    let mut written: u32 = 0;
    loop {
        let keys = sources.iter().filter_map(Source::key);
        let Some((drive, path, id)) = keys.chain(old.key()).min() else {
            return Ok(writer.finish()?);
        };
        let is_known = old.key() == Some((drive, path, id));
        let mut item = if is_known {
            old.take()?
        } else {
            Item {
                drive: drive.to_owned(),
                path: path.to_owned(),
                id: id.to_owned(),
                ..Item::default()
            }
        };
        for (number, source) in sources.iter_mut().enumerate() {
            if source.key() != Some(item.key()) {
                continue;
            }
            let night = u32::try_from(first + number).map_err(|_| Failure::Apart(number))?;
            item.name.clone_from(&source.brief.name);
            item.add(night, Facts::of(&source.brief, source.snapshot));
            source.advance().map_err(|()| Failure::Apart(number))?;
        }
        if !item.spans.is_empty() {
            writer.write(&item)?;
        }
        written = written.wrapping_add(1);
        if written.is_multiple_of(ITEMS_PER_LOOK) && stop.is_draining() {
            return Err(Failure::Stopped);
        }
    }
}

/// The catalogue as it was.
struct Old {
    reader: Option<CatalogueReader>,
    /// The new place of each of its nights; `None` for one that is gone.
    places: Vec<Option<u32>>,
    next: Option<Item>,
}

impl Old {
    fn new(reader: Option<CatalogueReader>, about: &About) -> Result<Old, Error> {
        let place = |night: &Night| {
            let place = about.nights.iter().position(|known| known == night)?;
            u32::try_from(place).ok()
        };
        let places = reader
            .iter()
            .flat_map(|reader| &reader.about.nights)
            .map(place)
            .collect();
        let mut old = Old {
            reader,
            places,
            next: None,
        };
        old.advance()?;
        Ok(old)
    }

    fn key(&self) -> Option<(&str, &str, &str)> {
        self.next.as_ref().map(Item::key)
    }

    fn advance(&mut self) -> Result<Option<Item>, Error> {
        let next = match &mut self.reader {
            Some(reader) => reader.next()?,
            None => None,
        };
        if let (Some(before), Some(next)) = (&self.next, &next)
            && next.key() <= before.key()
        {
            return Err(Error::Damaged);
        }
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// The item that stands next, with its nights at their new places.
    fn take(&mut self) -> Result<Item, Error> {
        let mut item = self.advance()?.ok_or(Error::Damaged)?;
        item.spans.retain_mut(|span| {
            let nights = self
                .places
                .get(span.first as usize..=span.last as usize)
                .unwrap_or_default();
            let mut left = nights.iter().flatten();
            let Some(first) = left.next() else {
                return false;
            };
            // Nights that stay keep their order, so those of a span stay on end.
            span.first = *first;
            span.last = *left.next_back().unwrap_or(first);
            true
        });
        Ok(item)
    }
}

/// A manifest that is merged.
struct Source<'a> {
    snapshot: &'a str,
    told: &'a str,
    rows: Reader<Hashing>,
    brief: Brief,
    spare: Brief,
    ended: bool,
}

impl<'a> Source<'a> {
    fn open(snapshot: &'a Snapshot) -> Result<Source<'a>, crate::manifest::Error> {
        let file = File::open(snapshot.path.join("manifest.csv")).map_err(crate::manifest::Error::Io)?;
        Ok(Source {
            snapshot: snapshot.id.as_str(),
            told: snapshot
                .tail
                .as_ref()
                .map_or("", |tail| tail.manifest_sha256.as_str()),
            rows: Reader::new(Hashing {
                file,
                context: Context::new(&SHA256),
            })?,
            brief: Brief::default(),
            spare: Brief::default(),
            ended: false,
        })
    }

    fn key(&self) -> Option<(&str, &str, &str)> {
        (!self.ended).then(|| self.brief.key())
    }

    /// Goes on to the next row with another key; `Err` when the manifest cannot be merged.
    fn advance(&mut self) -> Result<(), ()> {
        loop {
            match self.rows.next_brief(&mut self.spare) {
                Some(Ok(())) => {}
                Some(Err(_)) => return Err(()),
                None => {
                    self.ended = true;
                    let is_told = self.rows.source().hex() == self.told;
                    return is_told.then_some(()).ok_or(());
                }
            }
            let order = self.spare.key().cmp(&self.brief.key());
            std::mem::swap(&mut self.brief, &mut self.spare);
            match order {
                std::cmp::Ordering::Less => return Err(()),
                // Items without an id at one path are one for whoever looks for them.
                std::cmp::Ordering::Equal => std::mem::swap(&mut self.brief, &mut self.spare),
                std::cmp::Ordering::Greater => return Ok(()),
            }
        }
    }
}

/// A file that is hashed while it is read.
struct Hashing {
    file: File,
    context: Context,
}

impl Hashing {
    fn hex(&self) -> String {
        hex(self.context.clone().finish().as_ref())
    }
}

impl Read for Hashing {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(target)?;
        self.context.update(target.get(..count).unwrap_or_default());
        Ok(count)
    }
}
