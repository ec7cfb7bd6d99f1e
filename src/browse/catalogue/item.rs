//! One item of the catalogue: what is at a path, and in which nights it was there as what.

use jiff::Timestamp;

use super::blocks::Error;
use crate::entry::Kind;
use crate::manifest::{Brief, Outcome};

/// An item at a path. A renamed or moved one has an item for each of its paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) drive: String,
    pub(super) path: String,
    pub(super) id: String,
    /// Where the path does not tell it.
    pub(super) name: Option<String>,
    /// By night. No two share one.
    pub(super) spans: Vec<Span>,
}

/// Nights on end in which a manifest said the same of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Place of the first night in the catalogue's list.
    pub(super) first: u32,
    /// Place of the last one.
    pub(super) last: u32,
    pub(super) facts: Facts,
}

/// What a manifest says of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<Timestamp>,
    pub(super) stored: Place,
}

/// Where the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    /// In the folder of that night: the rest of the place, the same from night to night.
    Own(String),
    /// Somewhere else.
    Other(String),
}

impl Item {
    pub(super) fn key(&self) -> (&str, &str, &str) {
        (&self.drive, &self.path, &self.id)
    }

    /// Adds a night, which comes after all that are known.
    pub(super) fn add(&mut self, night: u32, facts: Facts) {
        match self.spans.last_mut() {
            Some(span) if span.last.checked_add(1) == Some(night) && span.facts == facts => span.last = night,
            _ => self.spans.push(Span {
                first: night,
                last: night,
                facts,
            }),
        }
    }
}

impl Facts {
    /// What a row of that snapshot says.
    pub(super) fn of(brief: &Brief, snapshot: &str) -> Facts {
        let own = || brief.stored_at.strip_prefix(snapshot)?.strip_prefix('/');
        Facts {
            kind: brief.kind,
            outcome: brief.outcome,
            size: brief.size,
            modified: brief.modified,
            stored: match own() {
                Some(inner) => Place::Own(inner.to_owned()),
                None if brief.stored_at.is_empty() => Place::Nowhere,
                None => Place::Other(brief.stored_at.clone()),
            },
        }
    }
}

const FOLDER: u8 = 1;
const SIZE: u8 = 2;
const MODIFIED: u8 = 4;
const OWN: u8 = 8;
const OTHER: u8 = 16;
/// The outcome, from this bit on.
const OUTCOME_SHIFT: u8 = 5;

/// The texts of the item before: each text says only what is new in it.
#[derive(Debug, Default)]
pub(super) struct Before {
    drive: String,
    path: String,
    id: String,
    stored: String,
}

/// Appends an item to a block.
pub(super) fn encode(item: &Item, before: &mut Before, block: &mut Vec<u8>) {
    put_text(&item.drive, &mut before.drive, block);
    put_text(&item.path, &mut before.path, block);
    put_text(&item.id, &mut before.id, block);
    match &item.name {
        None => put_number(0, block),
        Some(name) => {
            put_number(name.len() as u64 + 1, block);
            block.extend_from_slice(name.as_bytes());
        }
    }
    put_number(item.spans.len() as u64, block);
    let mut night = 0;
    for span in &item.spans {
        put_number(u64::from(span.first - night), block);
        put_number(u64::from(span.last - span.first), block);
        night = span.last;
        let facts = &span.facts;
        let outcome = Outcome::ALL
            .iter()
            .position(|outcome| *outcome == facts.outcome)
            .unwrap_or(0);
        let mut flags = (outcome as u8) << OUTCOME_SHIFT;
        flags |= if facts.kind == Kind::Folder { FOLDER } else { 0 };
        flags |= if facts.size.is_some() { SIZE } else { 0 };
        flags |= if facts.modified.is_some() { MODIFIED } else { 0 };
        flags |= match facts.stored {
            Place::Nowhere => 0,
            Place::Own(_) => OWN,
            Place::Other(_) => OTHER,
        };
        block.push(flags);
        if let Some(size) = facts.size {
            put_number(size, block);
        }
        if let Some(modified) = facts.modified {
            put_number(zigzag(modified.as_second()), block);
            put_number(zigzag(modified.subsec_nanosecond().into()), block);
        }
        if let Place::Own(stored) | Place::Other(stored) = &facts.stored {
            put_text(stored, &mut before.stored, block);
        }
    }
}

/// Takes the next item from a block.
pub(super) fn decode(block: &mut &[u8], before: &mut Before) -> Result<Item, Error> {
    let drive = take_text(&mut before.drive, block)?;
    let path = take_text(&mut before.path, block)?;
    let id = take_text(&mut before.id, block)?;
    let name = match take_length(block)? {
        0 => None,
        length => Some(text(take(block, length - 1)?)?.to_owned()),
    };
    let count = take_length(block)?;
    let mut spans = Vec::with_capacity(count.min(16));
    let mut night = 0_u32;
    for _ in 0..count {
        let first = take_night(block, night)?;
        let last = take_night(block, first)?;
        night = last;
        let flags = take(block, 1)?.first().copied().unwrap_or(0);
        let size = match flags & SIZE {
            0 => None,
            _ => Some(take_number(block)?),
        };
        let modified = match flags & MODIFIED {
            0 => None,
            _ => {
                let seconds = unzigzag(take_number(block)?);
                let rest = i32::try_from(unzigzag(take_number(block)?)).map_err(|_| Error::Damaged)?;
                Some(Timestamp::new(seconds, rest).map_err(|_| Error::Damaged)?)
            }
        };
        let stored = match flags & (OWN | OTHER) {
            0 => Place::Nowhere,
            OWN => Place::Own(take_text(&mut before.stored, block)?),
            _ => Place::Other(take_text(&mut before.stored, block)?),
        };
        let outcome = Outcome::ALL.get(usize::from(flags >> OUTCOME_SHIFT));
        spans.push(Span {
            first,
            last,
            facts: Facts {
                kind: if flags & FOLDER == 0 {
                    Kind::File
                } else {
                    Kind::Folder
                },
                outcome: *outcome.ok_or(Error::Damaged)?,
                size,
                modified,
                stored,
            },
        });
    }
    Ok(Item {
        drive,
        path,
        id,
        name,
        spans,
    })
}

fn put_number(mut number: u64, block: &mut Vec<u8>) {
    while number >= 0x80 {
        block.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    block.push(number as u8);
}

fn take_number(block: &mut &[u8]) -> Result<u64, Error> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = block.split_first().ok_or(Error::Damaged)?;
        *block = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Error::Damaged)
}

fn take_length(block: &mut &[u8]) -> Result<usize, Error> {
    usize::try_from(take_number(block)?).map_err(|_| Error::Damaged)
}

fn take_night(block: &mut &[u8], base: u32) -> Result<u32, Error> {
    let step = u32::try_from(take_number(block)?).map_err(|_| Error::Damaged)?;
    base.checked_add(step).ok_or(Error::Damaged)
}

fn take<'a>(block: &mut &'a [u8], count: usize) -> Result<&'a [u8], Error> {
    let (taken, rest) = block.split_at_checked(count).ok_or(Error::Damaged)?;
    *block = rest;
    Ok(taken)
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::Damaged)
}

fn put_text(text: &str, before: &mut String, block: &mut Vec<u8>) {
    let same = text
        .bytes()
        .zip(before.bytes())
        .take_while(|(one, two)| one == two)
        .count();
    let same = (0..=same)
        .rev()
        .find(|place| text.is_char_boundary(*place) && before.is_char_boundary(*place))
        .unwrap_or(0);
    let new = text.get(same..).unwrap_or_default();
    put_number(same as u64, block);
    put_number(new.len() as u64, block);
    block.extend_from_slice(new.as_bytes());
    before.truncate(same);
    before.push_str(new);
}

fn take_text(before: &mut String, block: &mut &[u8]) -> Result<String, Error> {
    let same = take_length(block)?;
    let length = take_length(block)?;
    let new = text(take(block, length)?)?;
    if !before.is_char_boundary(same) {
        return Err(Error::Damaged);
    }
    before.truncate(same);
    before.push_str(new);
    Ok(before.clone())
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(stored: Place) -> Facts {
        Facts {
            kind: Kind::File,
            outcome: Outcome::Failed,
            size: Some(u64::MAX),
            modified: Some(Timestamp::new(-7, -5).unwrap_or_default()),
            stored,
        }
    }

    fn item(path: &str, spans: &[(u32, u32, Place)]) -> Item {
        Item {
            drive: "me".to_owned(),
            path: path.to_owned(),
            id: format!("id of {path}"),
            name: path.rsplit_once("/ /").map(|(_, name)| name.to_owned()),
            spans: spans
                .iter()
                .map(|(first, last, stored)| Span {
                    first: *first,
                    last: *last,
                    facts: facts(stored.clone()),
                })
                .collect(),
        }
    }

    #[test]
    fn items_come_back_as_they_went() -> Result<(), Error> {
        let own = |text: &str| Place::Own(text.to_owned());
        let items = [
            item("/報", &[(0, 0, Place::Nowhere)]),
            item(
                "/報告",
                &[(0, 364, own("files/me/報告")), (366, 366, own("files/me/報"))],
            ),
            item("/報/ /x", &[(1, 1, Place::Other("elsewhere".to_owned()))]),
            item("", &[]),
        ];
        let (mut before, mut block) = (Before::default(), Vec::new());
        for item in &items {
            encode(item, &mut before, &mut block);
        }
        let (mut rest, mut before) = (block.as_slice(), Before::default());
        for item in &items {
            assert_eq!(decode(&mut rest, &mut before)?, *item);
        }
        assert!(rest.is_empty());
        // Whatever stands there, nothing but an error comes of it.
        for place in 0..block.len() {
            let mut bad = block.clone();
            bad[place] ^= 0xff;
            let (mut rest, mut before) = (bad.as_slice(), Before::default());
            while !rest.is_empty() && decode(&mut rest, &mut before).is_ok() {}
        }
        Ok(())
    }

    #[test]
    fn nights_on_end_share_a_span_while_nothing_changes() {
        let mut item = item("/a", &[]);
        for (night, stored) in [(3, "x"), (4, "x"), (5, "y"), (7, "y")] {
            item.add(night, facts(Place::Own(stored.to_owned())));
        }
        let spans: Vec<(u32, u32)> = item.spans.iter().map(|span| (span.first, span.last)).collect();
        assert_eq!(spans, [(3, 4), (5, 5), (7, 7)]);
    }
}
