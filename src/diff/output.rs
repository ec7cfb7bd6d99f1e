//! Changes as a table for people, as CSV for spreadsheets and as JSON lines for programs.

use std::borrow::Cow;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::{ACCESS_FIELDS, Change, Item, Word};
use crate::id::FileId;
use crate::manifest::{LinkReach, defused};
use crate::report::{printable, size};

/// The header of the CSV form, in order.
pub const CSV_COLUMNS: [&str; 22] = [
    "changes",
    "kind",
    "drive",
    "path",
    "old_drive",
    "old_path",
    "id",
    "size",
    "old_size",
    "modified",
    "old_modified",
    "sha256",
    "old_sha256",
    "updated_by",
    "old_updated_by",
    "outcome",
    "old_outcome",
    "reason",
    "access",
    "link",
    "old_link",
    "carried",
];

/// Writes one line per change for a terminal. Names cannot write on it: control characters are shown as codes.
#[derive(Debug)]
pub struct TableWriter<W> {
    target: W,
}

impl<W: Write> TableWriter<W> {
    /// Writes to `target`. Buffering is the target's matter.
    pub fn new(target: W) -> TableWriter<W> {
        TableWriter { target }
    }

    /// Writes one change.
    ///
    /// # Errors
    /// When the target refuses.
    pub fn write(&mut self, change: &Change) -> io::Result<()> {
        let Some(item) = change.item() else {
            return Ok(());
        };
        let place = printable(&format!("{}:{}", item.drive, item.path));
        let details = details(change);
        let line = format!("{:<10} {place}{details}", words(change));
        writeln!(self.target, "{}", line.trim_end())
    }

    /// Flushes, and gives back the target.
    ///
    /// # Errors
    /// When the target refuses.
    pub fn finish(mut self) -> io::Result<W> {
        self.target.flush()?;
        Ok(self.target)
    }
}

/// Writes CSV that a spreadsheet opens: [`CSV_COLUMNS`], RFC 4180 quoting, formulas defused.
#[derive(Debug)]
pub struct CsvWriter<W> {
    target: W,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the header to `target`; with `bom`, a byte order mark before it, for Excel. Buffering is the target's matter.
    ///
    /// # Errors
    /// When the target refuses.
    pub fn new(mut target: W, bom: bool) -> io::Result<CsvWriter<W>> {
        if bom {
            target.write_all("\u{feff}".as_bytes())?;
        }
        writeln!(target, "{}", CSV_COLUMNS.join(","))?;
        Ok(CsvWriter { target })
    }

    /// Writes one change. Cells of the earlier side are empty where they say the same as the later one.
    ///
    /// # Errors
    /// When the target refuses.
    pub fn write(&mut self, change: &Change) -> io::Result<()> {
        let Some(item) = change.item() else {
            return Ok(());
        };
        let old = change.after.as_ref().and(change.before.as_ref());
        let pair = |read: fn(&Item) -> String| {
            let now = read(item);
            let before = old.map(read).filter(|text| *text != now).unwrap_or_default();
            (now, before)
        };
        let (drive, old_drive) = pair(|item| item.drive.to_string());
        let (path, old_path) = pair(|item| item.path.to_string());
        let (bytes, old_bytes) = pair(|item| item.size.map(|size| size.to_string()).unwrap_or_default());
        let (modified, old_modified) = pair(|item| {
            item.modified
                .as_ref()
                .map(Timestamp::to_string)
                .unwrap_or_default()
        });
        let (sha256, old_sha256) = pair(|item| item.sha256.clone().unwrap_or_default());
        let (updated_by, old_updated_by) = pair(|item| item.updated_by.clone().unwrap_or_default());
        let (outcome, old_outcome) = pair(|item| item.outcome.as_str().to_owned());
        let (link, old_link) = pair(|item| item.link.map_or("", LinkReach::as_str).to_owned());
        let cells: [Cow<'_, str>; CSV_COLUMNS.len()] = [
            words(change).into(),
            item.kind.as_str().into(),
            drive.into(),
            path.into(),
            old_drive.into(),
            old_path.into(),
            item.id.as_str().into(),
            bytes.into(),
            old_bytes.into(),
            modified.into(),
            old_modified.into(),
            sha256.into(),
            old_sha256.into(),
            updated_by.into(),
            old_updated_by.into(),
            outcome.into(),
            old_outcome.into(),
            item.reason.as_str().into(),
            change.access_fields().join(" ").into(),
            link.into(),
            old_link.into(),
            change.carried.to_string().into(),
        ];
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.target.write_all(b",")?;
            }
            self.target.write_all(quoted(&defused(cell)).as_bytes())?;
        }
        self.target.write_all(b"\n")
    }

    /// Flushes, and gives back the target.
    ///
    /// # Errors
    /// When the target refuses.
    pub fn finish(mut self) -> io::Result<W> {
        self.target.flush()?;
        Ok(self.target)
    }
}

/// Writes each change as one JSON object on one line, exactly.
#[derive(Debug)]
pub struct JsonLinesWriter<W> {
    target: W,
    line: Vec<u8>,
}

impl<W: Write> JsonLinesWriter<W> {
    /// Writes to `target`. Buffering is the target's matter.
    pub fn new(target: W) -> JsonLinesWriter<W> {
        JsonLinesWriter {
            target,
            line: Vec::new(),
        }
    }

    /// Writes one change: `changes`, `kind`, `drive`, `id`, `path`, `before`, `after`, `access`, `carried`.
    ///
    /// # Errors
    /// When the target refuses.
    pub fn write(&mut self, change: &Change) -> io::Result<()> {
        let Some(item) = change.item() else {
            return Ok(());
        };
        let line = &mut self.line;
        line.clear();
        line.extend_from_slice(b"{\"changes\":");
        put(
            line,
            &change.words.iter().map(|word| word.as_str()).collect::<Vec<_>>(),
        )?;
        put_pair(line, "kind", item.kind.as_str())?;
        put_pair(line, "drive", item.drive.as_str())?;
        put_pair(line, "id", item.id.as_str())?;
        put_pair(line, "path", item.path.as_str())?;
        put_item(line, "before", change.before.as_ref())?;
        put_item(line, "after", change.after.as_ref())?;
        put_pair(line, "access", &change.access_fields())?;
        put_pair(line, "carried", &change.carried)?;
        line.extend_from_slice(b"}\n");
        self.target.write_all(line)
    }

    /// Flushes, and gives back the target.
    ///
    /// # Errors
    /// When the target refuses.
    pub fn finish(mut self) -> io::Result<W> {
        self.target.flush()?;
        Ok(self.target)
    }
}

fn words(change: &Change) -> String {
    let words: Vec<&str> = change.words.iter().map(|word| word.as_str()).collect();
    words.join("+")
}

/// What a person wants to know of a change beyond its words, in brackets.
fn details(change: &Change) -> String {
    let mut parts = Vec::new();
    let bytes = |item: &Item| item.size.map_or_else(|| "?".to_owned(), size);
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            if before.drive != after.drive || before.path != after.path {
                parts.push(printable(&format!("was {}:{}", before.drive, before.path)));
            }
            if before.size != after.size {
                parts.push(format!("{} -> {}", bytes(before), bytes(after)));
            }
            if change.is(Word::Access) {
                parts.push(change.access_fields().join(", "));
            }
            if change.is(Word::Owner) {
                let name = |item: &Item| printable(item.updated_by.as_deref().unwrap_or("?"));
                parts.push(format!("{} -> {}", name(before), name(after)));
            }
            if change.is(Word::Outcome) {
                parts.push(format!("{} -> {}", before.outcome.as_str(), standing(after)));
            }
        }
        (None, Some(after)) if change.is(Word::Outcome) => parts.push(standing(after)),
        (Some(before), None) if change.is(Word::Outcome) => {
            parts.push(format!("was {}", standing(before)));
        }
        (None, Some(item)) | (Some(item), None) => {
            if let Some(bytes) = item.size {
                parts.push(size(bytes));
            }
            if change.is(Word::Unknown) {
                let night = if change.before.is_some() {
                    "later"
                } else {
                    "earlier"
                };
                parts.push(format!("the {night} snapshot could not read its folder"));
            }
        }
        (None, None) => {}
    }
    if change.is_newly_public() {
        parts.push("new public link".to_owned());
    }
    if change.carried > 0 {
        parts.push(format!("{} below it", change.carried));
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!("  ({})", parts.join("; "))
    }
}

fn standing(item: &Item) -> String {
    if item.reason.is_empty() {
        item.outcome.as_str().to_owned()
    } else {
        printable(&format!("{} {}", item.outcome.as_str(), item.reason))
    }
}

/// One side of a change; written piece by piece, since a comparison may have millions of them.
fn put_item(line: &mut Vec<u8>, key: &str, item: Option<&Item>) -> io::Result<()> {
    let Some(item) = item else {
        return put_pair(line, key, &None::<()>);
    };
    put_key(line, key)?;
    line.extend_from_slice(b"{\"drive\":");
    put(line, item.drive.as_str())?;
    put_pair(line, "path", item.path.as_str())?;
    put_pair(line, "name", &item.name)?;
    put_pair(line, "id", item.id.as_str())?;
    put_pair(line, "parent_id", &item.parent_id.as_ref().map(FileId::as_str))?;
    put_pair(line, "outcome", item.outcome.as_str())?;
    put_pair(line, "reason", &item.reason)?;
    put_pair(line, "size", &item.size)?;
    put_pair(line, "modified", &item.modified)?;
    put_pair(line, "sha256", &item.sha256)?;
    put_pair(line, "updated_by", &item.updated_by)?;
    put_pair(line, "link", &item.link.map(LinkReach::as_str))?;
    put_key(line, "access")?;
    line.push(b'{');
    let fields = item.access.iter();
    let named = fields.filter_map(|(index, text)| Some((*ACCESS_FIELDS.get(*index)?, text)));
    for (place, (name, text)) in named.enumerate() {
        if place > 0 {
            line.push(b',');
        }
        put(line, name)?;
        line.push(b':');
        // The text is JSON already.
        line.extend_from_slice(text.as_bytes());
    }
    line.extend_from_slice(b"}}");
    Ok(())
}

fn put_pair<T: Serialize + ?Sized>(line: &mut Vec<u8>, key: &str, value: &T) -> io::Result<()> {
    put_key(line, key)?;
    put(line, value)
}

fn put_key(line: &mut Vec<u8>, key: &str) -> io::Result<()> {
    line.push(b',');
    put(line, key)?;
    line.push(b':');
    Ok(())
}

fn put<T: Serialize + ?Sized>(line: &mut Vec<u8>, value: &T) -> io::Result<()> {
    serde_json::to_writer(line, value).map_err(io::Error::from)
}

/// Quotes a cell where RFC 4180 asks for it.
fn quoted(cell: &str) -> Cow<'_, str> {
    if cell.contains(['"', ',', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", cell.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(cell)
    }
}
