//! Tables: cells by what they mean, so that each is written, aligned and sorted alike everywhere.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::figures::{number, percent, short_day, short_moment};
use super::html::Html;
use super::words::{Texts, fill};
use crate::report::size;

/// A column's head and what its cells are.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) label: &'a str,
    pub(super) kind: Kind,
}

/// What the cells of a column are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Words of ours, or short codes.
    Word,
    /// A name or path from outside.
    Name,
    /// A number, right-aligned.
    Number,
    /// A bar.
    Bar,
    /// A day.
    Day,
}

/// One cell.
pub(super) enum Cell<'a> {
    Word(&'a str),
    Name(&'a str),
    /// A short name from outside.
    Brief(&'a str),
    Number(u64),
    Size(Option<u64>),
    /// A part of a whole, as percent.
    Share(f64, f64),
    /// The same as a bar.
    Bar(f64, f64),
    Day(Option<Timestamp>),
    /// Day and minute, the same in every language and in order as text.
    Moment(Timestamp),
    /// Words with another figure to sort by.
    Marked(&'a str, bool),
    /// Lines of words.
    Lines(Vec<String>),
    /// A name that leads to a page beside this one.
    Link(&'a str, String),
}

/// Short for a column.
pub(super) fn column(label: &str, kind: Kind) -> Column<'_> {
    Column { label, kind }
}

/// Bytes that one table of a page may take. An ordinary row takes some 400; names made of nothing but `&` take five times as many,
/// and it is for them that a list ends early.
pub(super) const ROOM: usize = 400_000;

/// Writes a table and returns how many of its rows: those that begin within `room` bytes. `title` names it for those who hear the page.
pub(super) fn table<'a>(
    html: &mut Html,
    texts: &Texts,
    zone: &TimeZone,
    (title, room): (&str, usize),
    columns: &[Column<'_>],
    rows: impl IntoIterator<Item = Vec<Cell<'a>>>,
) -> usize {
    html.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\"")
        .attribute("aria-label", fill(texts.scroll, &[title]))
        .raw(if columns.iter().any(|column| column.kind == Kind::Bar) {
            "><table class=\"list bars\"><thead><tr>"
        } else {
            "><table class=\"list\"><thead><tr>"
        });
    for column in columns {
        html.raw(match column.kind {
            Kind::Number => "<th scope=\"col\" class=\"n\">",
            Kind::Bar => "<th scope=\"col\" class=\"x\">",
            _ => "<th scope=\"col\">",
        });
        html.text(column.label).raw("</th>");
    }
    html.raw("</tr></thead><tbody>\n");
    let end = html.length() + room;
    let mut written = 0;
    for row in rows {
        if html.length() > end {
            break;
        }
        written += 1;
        html.raw("<tr>");
        for cell in row {
            write_cell(html, zone, cell);
        }
        html.raw("</tr>\n");
    }
    html.raw("</tbody></table></div>\n");
    written
}

fn write_cell(html: &mut Html, zone: &TimeZone, cell: Cell<'_>) {
    let figure = |html: &mut Html, value: String, text: &str| {
        html.raw("<td class=\"n\"")
            .attribute("data-v", value)
            .raw(">")
            .text(text);
    };
    match cell {
        Cell::Word(word) => {
            html.raw("<td class=\"w\">").text(word);
        }
        Cell::Name(name) => {
            html.raw("<td class=\"p\">").name(name);
        }
        Cell::Brief(name) => {
            html.raw("<td class=\"w\">").name(name);
        }
        Cell::Number(value) => figure(html, value.to_string(), &number(value)),
        Cell::Size(Some(bytes)) => figure(html, bytes.to_string(), &size(bytes)),
        Cell::Size(None) => figure(html, "-1".to_owned(), ""),
        Cell::Share(part, whole) => {
            let share = if whole > 0.0 { part / whole } else { 0.0 };
            figure(html, format!("{share:.6}"), &percent(part, whole));
        }
        Cell::Bar(part, whole) => {
            let width = if whole > 0.0 {
                (part / whole * 100.0).min(100.0)
            } else {
                0.0
            };
            html.raw("<td class=\"b\"><svg viewBox=\"0 0 100 9\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect height=\"9\"")
                .attribute("width", format_args!("{width:.1}"))
                .raw("/></svg>");
        }
        Cell::Day(time) => {
            html.raw("<td class=\"d\">");
            if let Some(time) = time {
                html.text(&short_day(time, zone));
            }
        }
        Cell::Moment(time) => {
            html.raw("<td class=\"d\">").text(&short_moment(time, zone));
        }
        Cell::Marked(words, is_good) => {
            html.raw("<td class=\"d\">");
            badge(html, words, is_good);
        }
        Cell::Lines(lines) => {
            html.raw("<td class=\"p\">");
            for (place, line) in lines.iter().enumerate() {
                if place > 0 {
                    html.raw("<br>");
                }
                html.text(line);
            }
        }
        Cell::Link(name, address) => {
            html.raw("<td class=\"p\"><a").attribute("href", address).raw(">");
            html.name(name).raw("</a>");
        }
    }
    html.raw("</td>");
}

/// A word that says at a glance whether all is well.
pub(super) fn badge(html: &mut Html, words: &str, is_good: bool) {
    html.raw(if is_good {
        "<span class=\"badge good\">"
    } else {
        "<span class=\"badge bad\">"
    });
    html.text(words).raw("</span>");
}
