//! Rows for spreadsheets and for other programs.

use std::borrow::Cow;
use std::io::Write;

use super::cells::{COLUMNS, Cell, each_cell};
use super::writer::{BOM, finish};
use super::{Error, Row};

/// Writes the same columns as [`super::Writer`], but no cell that a spreadsheet takes for a formula: such a cell gets an apostrophe before it.
///
/// It is for people; it does not read back exactly.
#[derive(Debug)]
pub struct ExportWriter<W: Write> {
    csv: csv::Writer<W>,
    scratch: String,
    rows: u64,
}

impl<W: Write> ExportWriter<W> {
    /// Writes the header to `target`; with `bom`, a byte order mark before it, for Excel.
    ///
    /// # Errors
    /// [`Error::Io`] when `target` refuses.
    pub fn new(mut target: W, bom: bool) -> Result<ExportWriter<W>, Error> {
        if bom {
            target.write_all(BOM).map_err(Error::Io)?;
        }
        let mut csv = csv::Writer::from_writer(target);
        csv.write_record(COLUMNS)
            .map_err(|error| Error::from_csv(error, 1))?;
        Ok(ExportWriter {
            csv,
            scratch: String::new(),
            rows: 0,
        })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// [`Error::Io`] when the target refuses; never because of what a row says.
    pub fn write(&mut self, row: &Row) -> Result<(), Error> {
        let csv = &mut self.csv;
        each_cell(row, &mut self.scratch, |cell| {
            let text = match cell {
                Cell::Empty => Cow::Borrowed(""),
                Cell::Text(text) | Cell::Json(text) => defused(text),
            };
            csv.write_field(text.as_bytes())
        })
        .and_then(|()| csv.write_record(None::<&[u8]>))
        .map_err(|error| Error::from_csv(error, self.rows + 2))?;
        self.rows += 1;
        Ok(())
    }

    /// Hands on what is still in the buffer, and gives back the target and the number of rows.
    ///
    /// # Errors
    /// [`Error::Io`] when the target refuses.
    pub fn finish(self) -> Result<(W, u64), Error> {
        finish(self.csv).map(|target| (target, self.rows))
    }
}

/// Puts an apostrophe before a text that a spreadsheet would compute. The list is OWASP's on "CSV Injection", full-width forms included,
/// since Excel in Japanese takes those too.
pub fn defused(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => {
            Cow::Owned(format!("'{text}"))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Writes each row as one JSON object on one line, under the names of the columns. What was not told is `null`;
/// sizes and attempts are numbers, yes and no are booleans, shares and properties are objects.
#[derive(Debug)]
pub struct JsonLinesWriter<W: Write> {
    target: W,
    scratch: String,
    line: Vec<u8>,
    rows: u64,
}

impl<W: Write> JsonLinesWriter<W> {
    /// Prepares to write to `target`. Buffering is the target's matter.
    pub fn new(target: W) -> JsonLinesWriter<W> {
        JsonLinesWriter {
            target,
            scratch: String::new(),
            line: Vec::new(),
            rows: 0,
        }
    }

    /// Writes one row.
    ///
    /// # Errors
    /// [`Error::Io`] when the target refuses; never because of what a row says.
    pub fn write(&mut self, row: &Row) -> Result<(), Error> {
        let line = &mut self.line;
        line.clear();
        let mut columns = COLUMNS.iter();
        each_cell(row, &mut self.scratch, |cell| {
            line.push(if line.is_empty() { b'{' } else { b',' });
            serde_json::to_writer(&mut *line, columns.next().unwrap_or(&""))?;
            line.push(b':');
            match cell {
                Cell::Empty => line.extend_from_slice(b"null"),
                Cell::Json(text) => line.extend_from_slice(text.as_bytes()),
                Cell::Text(text) => serde_json::to_writer(&mut *line, text)?,
            }
            Ok(())
        })
        .map_err(|error: serde_json::Error| Error::Io(error.into()))?;
        line.extend_from_slice(b"}\n");
        self.target.write_all(line).map_err(Error::Io)?;
        self.rows += 1;
        Ok(())
    }

    /// Flushes, and gives back the target and the number of rows.
    ///
    /// # Errors
    /// [`Error::Io`] when the target refuses.
    pub fn finish(mut self) -> Result<(W, u64), Error> {
        self.target.flush().map_err(Error::Io)?;
        Ok((self.target, self.rows))
    }
}
