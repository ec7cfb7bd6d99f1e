//! The page over several archives: one line per tenant.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::figures::{moment, number};
use super::html::Html;
use super::table::{Cell, Kind, column, table};
use super::words::{fill, word};
use super::{Language, begin, end};

/// Bytes of the table: some ten thousand archives.
const ROOM: usize = 4_000_000;

/// The archives, and how to show them.
#[derive(Clone, Debug)]
pub struct Index<'a> {
    /// The language of the page.
    pub language: Language,
    /// The zone that times are shown in.
    pub zone: TimeZone,
    /// When the page is made.
    pub made: Timestamp,
    /// One line per archive.
    pub lines: &'a [IndexLine],
}

/// One archive by its newest snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexLine {
    /// The tenant's or archive's name.
    pub name: String,
    /// The archive's page as a path from this one, with `/` between names; `None` when there is no page.
    pub page: Option<String>,
    /// When the newest snapshot began.
    pub time: Option<Timestamp>,
    /// How its run ended, a word of [`crate::report::Status`]; or why the archive could not be read.
    pub status: String,
    /// Files it holds or lists.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files and folders that failed.
    pub failures: u64,
}

/// Writes the index page and returns its length in bytes, which is below 5 MB; archives beyond that are only counted.
///
/// # Errors
/// When `out` refuses.
pub fn write_index(mut out: impl Write, index: &Index<'_>) -> io::Result<u64> {
    let texts = index.language.texts();
    let mut html = Html::default();
    begin(&mut html, index.language, texts.index);
    html.raw("<header><h1>")
        .text(texts.index)
        .raw("</h1><p class=\"under\">");
    html.text(&moment(index.made, &index.zone, index.language));
    html.raw("</p></header>\n<main><p></p><section>");
    let columns = [
        column(texts.archive, Kind::Name),
        column(texts.status, Kind::Word),
        column(texts.snapshot, Kind::Day),
        column(texts.files, Kind::Number),
        column(texts.size, Kind::Number),
        column(texts.failures, Kind::Number),
    ];
    let rows = index.lines.iter().map(|line| {
        vec![
            match &line.page {
                Some(page) => Cell::Link(&line.name, address(page)),
                None => Cell::Name(&line.name),
            },
            Cell::Marked(word(texts.status_words, &line.status), line.status == "complete"),
            Cell::Day(line.time),
            Cell::Number(line.files),
            Cell::Size(Some(line.bytes)),
            Cell::Number(line.failures),
        ]
    });
    let written = table(&mut html, texts, &index.zone, (texts.index, ROOM), &columns, rows);
    if index.lines.len() > written {
        let counts = [written, index.lines.len()].map(|count| number(count as u64));
        let counts = counts.each_ref().map(String::as_str);
        html.raw("<p class=\"note\">")
            .text(&fill(texts.shown, &counts))
            .raw("</p>");
    }
    html.raw("</section></main>\n");
    end(&mut html, index.language, &[]);
    let page = html.into_text();
    out.write_all(page.as_bytes())?;
    out.flush()?;
    Ok(page.len() as u64)
}

/// A path as a relative address. It begins with `./`, so that no name in it can be a scheme such as `javascript:`.
fn address(path: &str) -> String {
    let mut address = "./".to_owned();
    for byte in path.trim_start_matches('/').bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
    address
}
