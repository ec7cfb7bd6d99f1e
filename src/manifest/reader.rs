//! Reads rows back from CSV.

use std::io::{self, Read};

use csv::StringRecord;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::cells::{COLUMNS, take_name, told_name};
use super::writer::BOM;
use super::{Brief, Error, Outcome, Row};
use crate::entry::{Entry, Kind, Properties};
use crate::id::{DriveId, FileId};

/// The columns without which a row says too little. The others may be missing, as in a manifest that a person cut down.
const REQUIRED: [&str; 10] = [
    "path",
    "kind",
    "outcome",
    "size",
    "sha256",
    "modified",
    "id",
    "parent_id",
    "drive",
    "stored_at",
];

/// Bytes read at a time.
const BUFFER: usize = 64 * 1024;

/// How much of a wrong cell an error repeats, in characters.
const SHOWN: usize = 80;

/// Reads a manifest row by row. Columns are found by their names, in any order; unknown ones are ignored; a byte order mark may stand or not.
///
/// A bad row is an error that names its line, and the rows after it are still read. After [`Error::Io`] nothing follows.
#[derive(Debug)]
pub struct Reader<R> {
    csv: csv::Reader<io::Chain<io::Cursor<Vec<u8>>, R>>,
    record: StringRecord,
    places: [Option<usize>; COLUMNS.len()],
    width: usize,
    drive: DriveId,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header from `source`.
    ///
    /// # Errors
    /// [`Error::NoHeader`], [`Error::MissingColumn`], and what reading may give.
    pub fn new(source: R) -> Result<Reader<R>, Error> {
        let mut csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER)
            .from_reader(without_bom(source).map_err(Error::Io)?);
        let mut record = StringRecord::new();
        if !csv
            .read_record(&mut record)
            .map_err(|error| Error::from_csv(error, 1))?
        {
            return Err(Error::NoHeader);
        }
        let places = COLUMNS.map(|column| record.iter().position(|cell| cell == column));
        for (column, place) in COLUMNS.iter().zip(&places) {
            if place.is_none() && REQUIRED.contains(column) {
                return Err(Error::MissingColumn(column));
            }
        }
        Ok(Reader {
            width: record.len(),
            csv,
            record,
            places,
            drive: DriveId::new(""),
            ended: false,
        })
    }

    /// What the rows are read from.
    pub fn source(&self) -> &R {
        self.csv.get_ref().get_ref().1
    }

    /// Reads the next row in brief, a few times as fast as a whole one; `None` at the end.
    pub fn next_brief(&mut self, brief: &mut Brief) -> Option<Result<(), Error>> {
        Some(self.step()?.and_then(|()| self.brief(brief)))
    }

    fn brief(&self, brief: &mut Brief) -> Result<(), Error> {
        let cells = self.cells()?;
        let copy = |column, target: &mut String| {
            target.clear();
            target.push_str(cells.get(column));
        };
        copy(Column::Drive, &mut brief.drive);
        copy(Column::Path, &mut brief.path);
        copy(Column::Id, &mut brief.id);
        copy(Column::Sha256, &mut brief.sha256);
        copy(Column::StoredAt, &mut brief.stored_at);
        brief.kind = cells.kind()?;
        brief.outcome = cells.outcome()?;
        brief.size = cells.parsed(Column::Size)?;
        brief.modified = cells.parsed(Column::Modified)?;
        brief.name = told_name(cells.get(Column::Properties)).map_err(|_| cells.wrong(Column::Properties))?;
        Ok(())
    }

    /// The cells of the record that was read, when there are as many as in the header.
    fn cells(&self) -> Result<Cells<'_>, Error> {
        let cells = Cells {
            record: &self.record,
            places: &self.places,
            line: self.record.position().map_or(0, csv::Position::line),
        };
        if self.record.len() != self.width {
            return Err(Error::Cells {
                line: cells.line,
                expected: self.width,
                found: self.record.len(),
            });
        }
        Ok(cells)
    }

    fn row(&mut self) -> Result<Row, Error> {
        if self.cells()?.get(Column::Drive) != self.drive.as_str() {
            self.drive = DriveId::new(self.cells()?.get(Column::Drive));
        }
        let cells = self.cells()?;
        let properties = match cells.get(Column::Properties) {
            "" => Map::new(),
            text => serde_json::from_str(text).map_err(|_| cells.wrong(Column::Properties))?,
        };
        let (path, name, other) = take_name(cells.get(Column::Path), properties);
        Ok(Row {
            entry: Entry {
                drive: self.drive.clone(),
                id: FileId::new(cells.get(Column::Id)),
                parent_id: cells.text_slice(Column::ParentId).map(FileId::new),
                name,
                kind: cells.kind()?,
                size: cells.parsed(Column::Size)?,
                modified: cells.parsed(Column::Modified)?,
                created: cells.parsed(Column::Created)?,
                accessed: cells.parsed::<Timestamp>(Column::Accessed)?,
                location: cells.text(Column::Location),
                properties: Properties {
                    file_type: cells.text(Column::Type),
                    folder_type: cells.text(Column::FolderType),
                    updated_by: cells.text(Column::UpdatedBy),
                    uploaded: cells.parsed(Column::Uploaded)?,
                    locked: cells.parsed(Column::Locked)?,
                    protected: cells.parsed(Column::Protected)?,
                    virus: cells.text(Column::Virus),
                    has_exif: cells.parsed(Column::HasExif)?,
                    has_thumbnail: cells.parsed(Column::HasThumbnail)?,
                    shared: cells.parsed(Column::Shared)?,
                    member_share: cells.parsed::<Value>(Column::MemberShare)?,
                    link_share: cells.parsed(Column::LinkShare)?,
                    group: cells.parsed(Column::Group)?,
                    permission_root: cells.text(Column::PermissionRoot),
                    other,
                },
            },
            drive_name: cells.get(Column::DriveName).to_owned(),
            path,
            outcome: cells.outcome()?,
            reason: cells.get(Column::Reason).to_owned(),
            sha256: cells.text(Column::Sha256),
            stored_at: cells.text(Column::StoredAt),
            attempts: cells.parsed(Column::Attempts)?.unwrap_or(0),
        })
    }
}

/// What a row says before it is taken apart: enough to pass over most rows cheaply.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    /// The drive's scope word.
    pub drive: &'a str,
    /// The path cell.
    pub path: &'a str,
}

/// What to do with a row after a glance at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Take it apart and give it.
    Take,
    /// Pass over it; whether the rest of it reads is not looked at.
    Pass,
    /// Read no further.
    End,
}

impl<R: Read> Reader<R> {
    /// The next row that `look` takes. Some ten times as fast as taking every row apart.
    pub fn next_where(&mut self, mut look: impl FnMut(Glance<'_>) -> Look) -> Option<Result<Row, Error>> {
        loop {
            if let Err(end) = self.step()? {
                return Some(Err(end));
            }
            let cells = Cells {
                record: &self.record,
                places: &self.places,
                line: 0,
            };
            match look(Glance {
                drive: cells.get(Column::Drive),
                path: cells.get(Column::Path),
            }) {
                Look::Take => return Some(self.row()),
                Look::Pass => {}
                Look::End => {
                    self.ended = true;
                    return None;
                }
            }
        }
    }

    /// Reads the next record; `None` at the end.
    fn step(&mut self) -> Option<Result<(), Error>> {
        if self.ended {
            return None;
        }
        match self.csv.read_record(&mut self.record) {
            Ok(true) => Some(Ok(())),
            Ok(false) => {
                self.ended = true;
                None
            }
            Err(error) => {
                let error = Error::from_csv(error, self.csv.position().line());
                self.ended = matches!(error, Error::Io(_));
                Some(Err(error))
            }
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Result<Row, Error>> {
        Some(self.step()?.and_then(|()| self.row()))
    }
}

/// The columns by name, in the order of [`COLUMNS`].
#[derive(Clone, Copy)]
enum Column {
    Path,
    Kind,
    Outcome,
    Reason,
    Size,
    Sha256,
    Modified,
    Created,
    Accessed,
    Type,
    FolderType,
    Id,
    ParentId,
    Location,
    Drive,
    DriveName,
    UpdatedBy,
    Uploaded,
    Locked,
    Protected,
    Virus,
    HasExif,
    HasThumbnail,
    Shared,
    MemberShare,
    LinkShare,
    Group,
    PermissionRoot,
    StoredAt,
    Attempts,
    Properties,
}

/// The cells of one row.
struct Cells<'a> {
    record: &'a StringRecord,
    places: &'a [Option<usize>; COLUMNS.len()],
    line: u64,
}

impl<'a> Cells<'a> {
    fn get(&self, column: Column) -> &'a str {
        let place = self.places.get(column as usize).copied().flatten();
        place.and_then(|place| self.record.get(place)).unwrap_or("")
    }

    fn text_slice(&self, column: Column) -> Option<&'a str> {
        Some(self.get(column)).filter(|text| !text.is_empty())
    }

    fn text(&self, column: Column) -> Option<String> {
        self.text_slice(column).map(str::to_owned)
    }

    fn parsed<T: std::str::FromStr>(&self, column: Column) -> Result<Option<T>, Error> {
        self.text_slice(column)
            .map(|text| text.parse().map_err(|_| self.wrong(column)))
            .transpose()
    }

    fn kind(&self) -> Result<Kind, Error> {
        match self.get(Column::Kind) {
            "file" => Ok(Kind::File),
            "folder" => Ok(Kind::Folder),
            _ => Err(self.wrong(Column::Kind)),
        }
    }

    fn outcome(&self) -> Result<Outcome, Error> {
        Outcome::from_word(self.get(Column::Outcome)).ok_or_else(|| self.wrong(Column::Outcome))
    }

    fn wrong(&self, column: Column) -> Error {
        Error::Cell {
            line: self.line,
            column: COLUMNS.get(column as usize).copied().unwrap_or_default(),
            text: self.get(column).chars().take(SHOWN).collect(),
        }
    }
}

/// Skips a byte order mark, also where the source gives its bytes one by one.
pub(super) fn without_bom<R: Read>(mut source: R) -> io::Result<io::Chain<io::Cursor<Vec<u8>>, R>> {
    let mut head = Vec::with_capacity(BOM.len());
    source.by_ref().take(BOM.len() as u64).read_to_end(&mut head)?;
    if head == BOM {
        head.clear();
    }
    Ok(io::Cursor::new(head).chain(source))
}
