//! The small tables beside a manifest: id maps, failures of a restore, problems of a plan, maps of old and new drives.

use std::io::{Read, Write};

use super::writer::{BOM, finish};
use super::{Error, without_bom};

/// The header of `idmap.csv`, and of a restore's `failures.csv`. The words are promised.
pub const IDMAP_COLUMNS: [&str; 10] = [
    "old_id", "new_id", "path", "outcome", "reason", "kind", "drive", "target", "new_name", "size",
];

/// The header of the readiness scan.
pub const PROBLEM_COLUMNS: [&str; 5] = ["problem", "drive", "path", "size", "detail"];

/// The header of a plan's steps.
pub const STEP_COLUMNS: [&str; 8] = [
    "kind", "drive", "path", "target", "new_name", "size", "outcome", "reason",
];

/// Writes a table of text cells as CSV, exactly.
#[derive(Debug)]
pub struct TableWriter<W: Write> {
    csv: csv::Writer<W>,
    rows: u64,
}

impl<W: Write> TableWriter<W> {
    /// Writes the header to `target`; with `bom`, a byte order mark before it, for Excel.
    ///
    /// # Errors
    /// [`Error::Io`] when `target` refuses.
    pub fn new(mut target: W, columns: &[&str], bom: bool) -> Result<TableWriter<W>, Error> {
        if bom {
            target.write_all(BOM).map_err(Error::Io)?;
        }
        let mut csv = csv::Writer::from_writer(target);
        csv.write_record(columns)
            .map_err(|error| Error::from_csv(error, 1))?;
        Ok(TableWriter { csv, rows: 0 })
    }

    /// Writes one row; it has as many cells as the header.
    ///
    /// # Errors
    /// [`Error::Io`] when the target refuses.
    pub fn write(&mut self, cells: &[&str]) -> Result<(), Error> {
        self.csv
            .write_record(cells)
            .map_err(|error| Error::from_csv(error, self.rows + 2))?;
        self.rows += 1;
        Ok(())
    }

    /// Hands on what is still in the buffer.
    ///
    /// # Errors
    /// [`Error::Io`] when the target refuses.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.csv.flush().map_err(Error::Io)
    }

    /// Hands on what is still in the buffer, and gives back the target and the number of rows.
    ///
    /// # Errors
    /// [`Error::Io`] when the target refuses.
    pub fn finish(self) -> Result<(W, u64), Error> {
        finish(self.csv).map(|target| (target, self.rows))
    }
}

/// Reads the named columns of a table, in the order asked for, each row with the line it begins on.
/// A byte order mark may stand or not; cells are trimmed, and rows without any text are left out.
///
/// # Errors
/// [`Error::NoHeader`], [`Error::MissingColumn`], a line that is no CSV, or one with too few cells.
pub fn read_table<R: Read, const N: usize>(
    source: R,
    columns: [&'static str; N],
) -> Result<Vec<(u64, [String; N])>, Error> {
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(without_bom(source).map_err(Error::Io)?);
    let mut record = csv::StringRecord::new();
    if !csv
        .read_record(&mut record)
        .map_err(|error| Error::from_csv(error, 1))?
    {
        return Err(Error::NoHeader);
    }
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        *place = record
            .iter()
            .position(|cell| cell.eq_ignore_ascii_case(column))
            .ok_or(Error::MissingColumn(column))?;
    }
    let expected = record.len();
    let mut rows = Vec::new();
    loop {
        let line = csv.position().line();
        if !csv
            .read_record(&mut record)
            .map_err(|error| Error::from_csv(error, line))?
        {
            return Ok(rows);
        }
        if record.iter().all(str::is_empty) {
            continue;
        }
        let line = record.position().map_or(line, csv::Position::line);
        let found = record.len();
        if places.iter().any(|place| *place >= found) {
            return Err(Error::Cells {
                line,
                expected,
                found,
            });
        }
        rows.push((
            line,
            places.map(|place| record.get(place).unwrap_or("").to_owned()),
        ));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_row_of_another_width_is_named_by_its_line() {
        let mut writer = TableWriter::new(Vec::new(), &["a", "b"], false).unwrap();
        writer.write(&["1", "2"]).unwrap();
        let error = writer.write(&["too few"]).unwrap_err();
        assert!(matches!(error, Error::Line { line: 3, .. }), "{error:?}");
    }

    #[test]
    fn what_is_flushed_is_there_before_the_end() {
        let mut target = tempfile::tempfile().unwrap();
        let mut writer = TableWriter::new(target.try_clone().unwrap(), &["a"], false).unwrap();
        writer.write(&["1"]).unwrap();
        writer.flush().unwrap();
        let mut text = String::new();
        std::io::Seek::rewind(&mut target).unwrap();
        target.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\n1\n");
    }

    #[test]
    fn a_table_reads_back_by_its_columns() {
        let mut writer = TableWriter::new(Vec::new(), &["extra", "Source", "target"], true).unwrap();
        writer.write(&["x", " a,b ", "\"q\"\n"]).unwrap();
        writer.write(&["", "", ""]).unwrap();
        let (bytes, rows) = writer.finish().unwrap();
        assert_eq!(rows, 2);
        let read = read_table(bytes.as_slice(), ["target", "source"]).unwrap();
        assert_eq!(read, [(2, ["\"q\"".to_owned(), "a,b".to_owned()])]);
        assert!(matches!(
            read_table(&b"a,b\n1,2\n"[..], ["source"]),
            Err(Error::MissingColumn("source"))
        ));
        assert!(matches!(
            read_table(&b"a,source\n1\n"[..], ["source"]),
            Err(Error::Cells { line: 2, .. })
        ));
        assert!(matches!(read_table(&b""[..], ["source"]), Err(Error::NoHeader)));
    }
}
