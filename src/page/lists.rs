//! The sections that are lists: drives, largest files, links, failures, coverage, calls.

use serde_json::Value;

use super::aggregate::{Line, List};
use super::figures::number;
use super::html::shown;
use super::sections::Page;
use super::table::{Cell, Kind, column};
use super::words::{fill, word};

/// Drives in a table; those that were not read whole come first.
const DRIVES_SHOWN: usize = 300;

/// Operations in a table. The service has some sixty in each family.
const OPERATIONS_SHOWN: usize = 200;

impl Page<'_> {
    /// Sizes by drive.
    pub(super) fn drives(&mut self) {
        let texts = self.texts;
        self.html
            .raw("<section id=\"drives\"><h2>")
            .text(texts.drives)
            .raw("</h2>");
        let (mut drives, rest) = self.aggregate.drives.top(DRIVES_SHOWN);
        if rest.files > 0 {
            drives.push((texts.other.to_owned(), rest));
        }
        self.bars(texts.drive, &drives);
        self.html.raw("</section>\n");
    }

    /// Lists of single files and folders.
    pub(super) fn lists(&mut self) {
        let (texts, aggregate) = (self.texts, self.aggregate);
        self.html
            .raw("<section id=\"largest\"><h2>")
            .text(texts.largest)
            .raw("</h2>");
        self.lines(texts.largest, &aggregate.largest(), None);
        self.html
            .raw("</section>\n<section id=\"links\"><h2>")
            .text(texts.links)
            .raw("</h2>");
        self.list(texts.links, &aggregate.links, Some(texts.reach));
        self.html
            .raw("</section>\n<section id=\"shared\"><h2>")
            .text(texts.shared)
            .raw("</h2>");
        self.list(texts.shared, &aggregate.shared, None);
        if aggregate.inherited > 0 {
            let words = fill(texts.inherited, &[&number(aggregate.inherited)]);
            self.html.raw("<p class=\"note\">").text(&words).raw("</p>");
        }
        self.html
            .raw("</section>\n<section id=\"infected\"><h2>")
            .text(texts.infected)
            .raw("</h2>");
        self.list(texts.infected, &aggregate.infected, Some(texts.virus));
        self.html
            .raw("</section>\n<section id=\"locked\"><h2>")
            .text(texts.locked)
            .raw("</h2>");
        self.list(texts.locked, &aggregate.locked, None);
        self.html
            .raw("</section>\n<section id=\"failed\"><h2>")
            .text(texts.failed)
            .raw("</h2>");
        self.list(texts.failed, &aggregate.failed, Some(texts.reason));
        self.html
            .raw("</section>\n<section id=\"skipped\"><h2>")
            .text(texts.skipped)
            .raw("</h2>");
        self.list(texts.skipped, &aggregate.skipped, Some(texts.reason));
        self.html.raw("</section>\n");
    }

    /// What was seen of each drive, and what was not.
    pub(super) fn coverage(&mut self) {
        let texts = self.texts;
        self.html
            .raw("<section id=\"coverage\"><h2>")
            .text(texts.coverage)
            .raw("</h2>");
        let mut drives = drives_of(self.input.coverage);
        if drives.is_empty() {
            self.none();
            return;
        }
        drives.sort_by_key(|drive| is_covered(drive));
        let rows: Vec<Vec<Cell<'_>>> = drives
            .iter()
            .take(DRIVES_SHOWN)
            .map(|drive| {
                let covered = is_covered(drive);
                vec![
                    Cell::Name(text_of(drive, "name")),
                    Cell::Marked(if covered { texts.covered } else { texts.uncovered }, covered),
                    Cell::Number(count_of(drive, "items_listed")),
                    Cell::Size(Some(count_of(drive, "bytes_listed"))),
                    Cell::Size(unseen(drive)),
                    Cell::Lines(self.gaps(drive)),
                ]
            })
            .collect();
        let columns = [
            column(texts.drive, Kind::Name),
            column(texts.seen, Kind::Word),
            column(texts.listed, Kind::Number),
            column(texts.size, Kind::Number),
            column(texts.unseen, Kind::Number),
            column(texts.gaps, Kind::Name),
        ];
        let written = self.table(texts.coverage, &columns, rows);
        self.cut(written, drives.len() as u64);
        self.html.raw("</section>\n");
    }

    /// What is missing of a drive, in the page's language.
    fn gaps(&self, drive: &Value) -> Vec<String> {
        let texts = self.texts;
        let mut gaps = Vec::new();
        if drive.get("readable") == Some(&Value::Bool(false)) {
            let reason = shown(text_of(drive, "reason"));
            gaps.push(fill(texts.gap_refused, &[&reason]));
        }
        for (key, words) in [
            ("folders_failed", texts.gap_failed),
            ("folders_open", texts.gap_open),
        ] {
            if count_of(drive, key) > 0 {
                gaps.push(fill(words, &[&number(count_of(drive, key))]));
            }
        }
        let (listed, accounted) = (
            count_of(drive, "items_listed"),
            count_of(drive, "items_accounted"),
        );
        if listed != accounted {
            gaps.push(fill(texts.gap_items, &[&number(listed), &number(accounted)]));
        }
        gaps
    }

    /// Requests by operation, against what the plan allows.
    pub(super) fn calls(&mut self) {
        let texts = self.texts;
        self.html
            .raw("<section id=\"calls\"><h2>")
            .text(texts.calls)
            .raw("</h2>");
        if self.input.calls.is_empty() {
            self.none();
            return;
        }
        let minutes = self.input.seconds / 60.0;
        let mut columns = vec![
            column(texts.operation, Kind::Word),
            column(texts.call_count, Kind::Number),
            column(texts.limited, Kind::Number),
            column(texts.call_failures, Kind::Number),
        ];
        if minutes > 0.0 {
            columns.push(column(texts.per_minute, Kind::Number));
        }
        let quota = self.input.calls_per_minute.filter(|_| minutes > 0.0);
        if let Some(quota) = quota {
            columns.push(column(texts.quota_share, Kind::Number));
            columns.push(column("", Kind::Bar));
            let words = fill(texts.quota_note, &[&number(u64::from(quota))]);
            self.html.raw("<p class=\"note\">").text(&words).raw("</p>");
        }
        let rows: Vec<Vec<Cell<'_>>> = self
            .input
            .calls
            .iter()
            .take(OPERATIONS_SHOWN)
            .map(|calls| {
                let mut row = vec![
                    Cell::Name(&calls.operation),
                    Cell::Number(calls.sent),
                    Cell::Number(calls.limited),
                    Cell::Number(calls.failed),
                ];
                // A run shorter than a minute still had that minute's allowance.
                let rate = calls.sent as f64 / minutes.max(1.0);
                if minutes > 0.0 {
                    row.push(Cell::Number(rate.round() as u64));
                }
                if let Some(quota) = quota {
                    row.push(Cell::Share(rate, f64::from(quota)));
                    row.push(Cell::Bar(rate, f64::from(quota)));
                }
                row
            })
            .collect();
        self.table(texts.calls, &columns, rows);
        self.html.raw("</section>\n");
    }

    fn list(&mut self, title: &str, list: &List, remark: Option<&str>) {
        let written = self.lines(title, &list.lines, remark);
        self.cut(written, list.total);
    }

    fn lines(&mut self, title: &str, lines: &[Line], remark: Option<&str>) -> usize {
        let texts = self.texts;
        if lines.is_empty() {
            self.html.raw("<p class=\"note\">").text(texts.none).raw("</p>");
            return 0;
        }
        let mut columns = vec![column(texts.path, Kind::Name)];
        columns.extend(remark.map(|label| column(label, Kind::Word)));
        columns.extend([
            column(texts.size, Kind::Number),
            column(texts.modified, Kind::Day),
            column(texts.owner, Kind::Word),
            column(texts.drive, Kind::Word),
        ]);
        let rows: Vec<Vec<Cell<'_>>> = lines
            .iter()
            .map(|line| {
                let mut row = vec![Cell::Name(&line.path)];
                if remark.is_some() {
                    row.push(Cell::Word(word(texts.reach_words, &line.remark)));
                }
                row.extend([
                    Cell::Size(line.size),
                    Cell::Day(line.modified),
                    Cell::Brief(&line.updated_by),
                    Cell::Brief(&line.drive),
                ]);
                row
            })
            .collect();
        self.table(title, &columns, rows)
    }
}

/// The drives of a coverage statement.
pub(super) fn drives_of(coverage: &Value) -> Vec<&Value> {
    let drives = coverage.get("drives").and_then(Value::as_array);
    drives.map(|drives| drives.iter().collect()).unwrap_or_default()
}

/// Whether everything of a drive was seen.
pub(super) fn is_covered(drive: &Value) -> bool {
    drive.get("covered") == Some(&Value::Bool(true))
}

fn text_of<'a>(drive: &'a Value, key: &str) -> &'a str {
    drive.get(key).and_then(Value::as_str).unwrap_or("")
}

fn count_of(drive: &Value, key: &str) -> u64 {
    drive.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// Bytes that the service counts and the listing did not show; nothing where it shows more than is counted.
fn unseen(drive: &Value) -> Option<u64> {
    drive.get("bytes_unseen").and_then(Value::as_u64)
}
