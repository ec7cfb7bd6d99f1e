//! Items as the bytes of a scratch record. They live for one comparison and are no format that anyone keeps.

use std::io;

use jiff::Timestamp;

use super::{Item, Word};
use crate::entry::Kind;
use crate::id::{DriveId, FileId};
use crate::manifest::{LinkReach, Outcome};
use crate::path::DrivePath;

const LINKS: [LinkReach; 3] = [LinkReach::Organization, LinkReach::People, LinkReach::Anyone];

/// Appends `item` to `bytes`.
pub(super) fn put_item(bytes: &mut Vec<u8>, item: &Item) {
    put_text(bytes, item.drive.as_str());
    put_text(bytes, item.id.as_str());
    put_text(bytes, &item.name);
    put_text(bytes, item.path.as_str());
    put_text(bytes, &item.reason);
    bytes.push(u8::from(item.kind == Kind::Folder));
    bytes.push(index_of(&Outcome::ALL, &item.outcome));
    bytes.push(item.link.map_or(u8::MAX, |link| index_of(&LINKS, &link)));
    put_option(bytes, item.parent_id.as_ref(), |bytes, id| {
        put_text(bytes, id.as_str());
    });
    put_option(bytes, item.size, |bytes, size| {
        bytes.extend_from_slice(&size.to_le_bytes());
    });
    put_option(bytes, item.modified, |bytes, time| {
        bytes.extend_from_slice(&time.as_nanosecond().to_le_bytes());
    });
    put_option(bytes, item.sha256.as_deref(), put_text);
    put_option(bytes, item.updated_by.as_deref(), put_text);
    bytes.push(u8::try_from(item.access.len()).unwrap_or(u8::MAX));
    for (field, text) in item.access.iter().take(usize::from(u8::MAX)) {
        bytes.push(u8::try_from(*field).unwrap_or(u8::MAX));
        put_text(bytes, text);
    }
}

/// Appends a set of words.
pub(super) fn put_words(bytes: &mut Vec<u8>, words: &[Word]) {
    bytes.push(u8::try_from(words.len()).unwrap_or(u8::MAX));
    bytes.extend(words.iter().map(|word| index_of(&Word::ALL, word)));
}

/// What is left to read of a record.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// An item that [`put_item`] wrote.
    pub(super) fn item(&mut self) -> io::Result<Item> {
        let drive = DriveId::new(self.text()?);
        let id = FileId::new(self.text()?);
        let name = self.text()?.to_owned();
        let path = DrivePath::from_text(self.text()?);
        let reason = self.text()?.to_owned();
        let kind = match self.byte()? {
            0 => Kind::File,
            _ => Kind::Folder,
        };
        let outcome = *Outcome::ALL.get(usize::from(self.byte()?)).ok_or_else(broken)?;
        let link = LINKS.get(usize::from(self.byte()?)).copied();
        let parent_id = self.option(|bytes| bytes.text().map(FileId::new))?;
        let size = self.option(|bytes| bytes.array().map(u64::from_le_bytes))?;
        let modified = self.option(|bytes| {
            let nanoseconds = i128::from_le_bytes(bytes.array()?);
            Timestamp::from_nanosecond(nanoseconds).map_err(|_| broken())
        })?;
        let sha256 = self.option(|bytes| bytes.text().map(str::to_owned))?;
        let updated_by = self.option(|bytes| bytes.text().map(str::to_owned))?;
        let count = self.byte()?;
        let access = (0..count)
            .map(|_| Ok((usize::from(self.byte()?), self.text()?.to_owned())))
            .collect::<io::Result<_>>()?;
        Ok(Item {
            drive,
            id,
            parent_id,
            name,
            path,
            kind,
            outcome,
            reason,
            size,
            modified,
            sha256,
            updated_by,
            access,
            link,
        })
    }

    /// Words that [`put_words`] wrote.
    pub(super) fn words(&mut self) -> io::Result<Vec<Word>> {
        let count = self.byte()?;
        (0..count)
            .map(|_| {
                let index = usize::from(self.byte()?);
                Word::ALL.get(index).copied().ok_or_else(broken)
            })
            .collect()
    }

    /// One byte.
    pub(super) fn byte(&mut self) -> io::Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Bytes<'a>) -> io::Result<T>) -> io::Result<Option<T>> {
        match self.byte()? {
            0 => Ok(None),
            _ => read(self).map(Some),
        }
    }

    /// A text that [`put_text`] wrote.
    pub(super) fn text(&mut self) -> io::Result<&'a str> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(broken)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| broken())
    }

    fn array<const LENGTH: usize>(&mut self) -> io::Result<[u8; LENGTH]> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(broken)?;
        self.0 = rest;
        Ok(*array)
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a scratch record is damaged")
}

fn index_of<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let index = all.iter().position(|other| other == one);
    index
        .and_then(|index| u8::try_from(index).ok())
        .unwrap_or(u8::MAX)
}

/// Appends a text.
pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn put_option<T>(bytes: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    bytes.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(bytes, value);
    }
}
