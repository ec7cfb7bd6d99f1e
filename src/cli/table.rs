//! Tables for people: columns under each other, whatever alphabet the names are in.

use std::io::{self, Write};

use console::measure_text_width;

/// A table that is written when all its rows are known.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Column {
    head: &'static str,
    is_number: bool,
    width: usize,
}

impl Table {
    /// A table with these columns. A head that begins with `>` makes a column of numbers, which stand right.
    pub(super) fn new(heads: &[&'static str]) -> Table {
        let column = |head: &&'static str| {
            let is_number = head.starts_with('>');
            let head = head.trim_start_matches('>');
            Column {
                head,
                is_number,
                width: measure_text_width(head),
            }
        };
        Table {
            columns: heads.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Texts from outside must be printable.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        for (column, cell) in self.columns.iter_mut().zip(&cells) {
            column.width = column.width.max(measure_text_width(cell));
        }
        self.rows.push(cells);
    }

    /// Writes heads and rows.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let heads: Vec<String> = self.columns.iter().map(|column| column.head.to_owned()).collect();
        self.write_row(&heads, out)?;
        self.rows.iter().try_for_each(|row| self.write_row(row, out))
    }

    fn write_row(&self, cells: &[String], out: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        for (column, cell) in self.columns.iter().zip(cells) {
            let gap = " ".repeat(column.width.saturating_sub(measure_text_width(cell)));
            if !line.is_empty() {
                line.push_str("  ");
            }
            match column.is_number {
                true => line = line + &gap + cell,
                false => line = line + cell + &gap,
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn wide_letters_take_two_places() {
        let mut table = Table::new(&["NAME", ">SIZE", "NOTE"]);
        table.row(vec!["보고서".into(), "7 B".into(), "x".into()]);
        table.row(vec!["a".into(), "1023 B".into(), String::new()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let expected = "NAME      SIZE  NOTE\n보고서     7 B  x\na       1023 B\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
