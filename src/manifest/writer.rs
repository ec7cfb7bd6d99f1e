//! Writes rows as CSV, exactly.

use std::io::{self, Write};

use super::cells::{COLUMNS, Cell, each_cell};
use super::{Error, Row};

/// The byte order mark, by which Excel tells UTF-8.
pub(super) const BOM: &[u8] = "\u{feff}".as_bytes();

/// Bytes gathered before they are handed on.
const BUFFER: usize = 64 * 1024;

/// Writes `manifest.csv` and `failures.csv`: the header, then one row per resource, with nothing changed in any name.
///
/// Text that is empty and text that was not told look the same: an empty cell.
#[derive(Debug)]
pub struct Writer<W: Write> {
    csv: csv::Writer<W>,
    scratch: String,
    rows: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header to `target`; with `bom`, a byte order mark before it, for Excel.
    ///
    /// # Errors
    /// [`Error::Io`] when `target` refuses.
    pub fn new(mut target: W, bom: bool) -> Result<Writer<W>, Error> {
        if bom {
            target.write_all(BOM).map_err(Error::Io)?;
        }
        let mut csv = csv::WriterBuilder::new()
            .buffer_capacity(BUFFER)
            .from_writer(target);
        csv.write_record(COLUMNS)
            .map_err(|error| Error::from_csv(error, 1))?;
        Ok(Writer {
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
            csv.write_field(match cell {
                Cell::Empty => "",
                Cell::Text(text) | Cell::Json(text) => text,
            })
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

/// Empties the buffer of a CSV writer and flushes its target.
pub(super) fn finish<W: Write>(csv: csv::Writer<W>) -> Result<W, Error> {
    let mut target = csv
        .into_inner()
        .map_err(|error| Error::Io(io::Error::new(error.error().kind(), error.to_string())))?;
    target.flush().map_err(Error::Io)?;
    Ok(target)
}
