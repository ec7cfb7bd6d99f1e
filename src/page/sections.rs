//! The page itself, section by section, the most important first.

use super::aggregate::Aggregate;
use super::chart::{Curve, NIGHTS, chart};
use super::figures::{moment, number, percent};
use super::html::Html;
use super::lists::{drives_of, is_covered};
use super::table::{Cell, Column, Kind, ROOM, badge, column, table};
use super::tally::{Sum, Tally};
use super::tree::Shown;
use super::words::{Texts, Words, fill, word};
use super::{Input, begin, end};
use crate::manifest::Outcome;
use crate::report::size;

/// Types, extensions and owners in a table.
const WORDS_SHOWN: usize = 25;

/// Folders in the table below the map.
const FOLDERS_SHOWN: usize = 50;

/// Warnings that are shown.
const WARNINGS_SHOWN: usize = 20;

/// The page as text.
pub(super) fn page(input: &Input<'_>, aggregate: &Aggregate) -> String {
    let tree = aggregate.tree.shown();
    let mut page = Page {
        html: Html::default(),
        texts: input.language.texts(),
        input,
        aggregate,
    };
    let title = format!("{} – {}", page.texts.report, super::html::shown(input.title));
    begin(&mut page.html, input.language, &title);
    page.head();
    page.html.raw("<main>\n");
    page.tiles();
    page.warnings();
    page.overview();
    page.trend();
    page.sizes(&tree);
    page.kinds();
    page.drives();
    page.lists();
    page.coverage();
    page.calls();
    page.html.raw("</main>\n");
    end(&mut page.html, input.language, &tree);
    page.html.into_text()
}

/// The page as it is written.
pub(super) struct Page<'a> {
    pub(super) html: Html,
    pub(super) texts: &'static Texts,
    pub(super) input: &'a Input<'a>,
    pub(super) aggregate: &'a Aggregate,
}

impl Page<'_> {
    fn head(&mut self) {
        let (input, texts) = (self.input, self.texts);
        let html = &mut self.html;
        html.raw("<header><h1>")
            .name(input.title)
            .raw("</h1><p class=\"under\">");
        badge(
            html,
            word(texts.status_words, input.status),
            input.status == "complete",
        );
        html.raw("<span>").text(texts.report).raw("</span><span>");
        html.text(texts.snapshot).raw(": ");
        match input.snapshot.time() {
            Some(time) => html.text(&moment(time, &input.zone, input.language)),
            None => html.show(input.snapshot),
        };
        html.raw("</span></p>\n<nav class=\"toc\"")
            .attribute("aria-label", texts.contents)
            .raw("><ul>");
        let sections: [(&'static str, &str); 12] = [
            ("#overview", texts.overview),
            ("#trend", texts.trend),
            ("#sizes", texts.sizes),
            ("#types", texts.types),
            ("#drives", texts.drives),
            ("#largest", texts.largest),
            ("#links", texts.links),
            ("#infected", texts.infected),
            ("#failed", texts.failed),
            ("#skipped", texts.skipped),
            ("#coverage", texts.coverage),
            ("#calls", texts.calls),
        ];
        for (place, name) in sections {
            html.raw("<li><a")
                .attribute("href", place)
                .raw(">")
                .text(name)
                .raw("</a></li>");
        }
        html.raw("</ul></nav></header>\n");
    }

    fn tiles(&mut self) {
        let texts = self.texts;
        let totals = &self.aggregate.totals;
        let drives = drives_of(self.input.coverage);
        let covered = drives.iter().filter(|drive| is_covered(drive)).count() as u64;
        let seen = format!("{} / {}", number(covered), number(drives.len() as u64));
        let failures = totals.failures();
        let calls: u64 = self.input.calls.iter().map(|calls| calls.sent).sum();
        let new_bytes = totals.of(Outcome::Stored).bytes;
        let mut tiles = vec![
            (texts.files, number(self.aggregate.all.files), false),
            (texts.size, size(self.aggregate.all.bytes), false),
            (texts.folders, number(totals.folders), false),
            (texts.stored_new, size(new_bytes), false),
            (texts.failures, number(failures), failures > 0),
        ];
        if !drives.is_empty() {
            tiles.push((texts.drives_seen, seen, covered < drives.len() as u64));
        }
        if calls > 0 {
            tiles.push((texts.calls, number(calls), false));
        }
        self.html.raw("<dl class=\"tiles\">");
        for (name, figure, alert) in tiles {
            self.html.raw("<div class=\"tile\"><dt>").text(name).raw("</dt>");
            self.html.raw(if alert { "<dd class=\"alert\">" } else { "<dd>" });
            self.html.text(&figure).raw("</dd></div>");
        }
        self.html.raw("</dl>\n");
    }

    fn warnings(&mut self) {
        if self.input.warnings.is_empty() {
            return;
        }
        self.html
            .raw("<section class=\"attention\"><h2>")
            .text(self.texts.attention)
            .raw("</h2><ul>");
        for warning in self.input.warnings.iter().take(WARNINGS_SHOWN) {
            self.html.raw("<li>").name(warning).raw("</li>");
        }
        self.html.raw("</ul></section>\n");
    }

    fn overview(&mut self) {
        let texts = self.texts;
        self.html
            .raw("<section id=\"overview\"><h2>")
            .text(texts.overview)
            .raw("</h2><div class=\"inner\"><div><h3>")
            .text(texts.this_snapshot)
            .raw("</h3>");
        let totals = &self.aggregate.totals;
        let rows: Vec<Vec<Cell<'_>>> = Outcome::ALL
            .into_iter()
            .zip(texts.outcomes)
            .filter(|(outcome, _)| totals.of(*outcome).files + totals.of(*outcome).folders > 0)
            .map(|(outcome, name)| {
                vec![
                    Cell::Word(name),
                    Cell::Number(totals.of(outcome).files),
                    Cell::Size(Some(totals.of(outcome).bytes)),
                    Cell::Number(totals.of(outcome).folders),
                ]
            })
            .collect();
        let columns = [
            column(texts.outcome, Kind::Word),
            column(texts.files, Kind::Number),
            column(texts.size, Kind::Number),
            column(texts.folders, Kind::Number),
        ];
        self.table(texts.overview, &columns, rows);
        self.html.raw("</div>");
        if let Some(changes) = self.input.changes {
            let time = match changes.since.time() {
                Some(time) => moment(time, &self.input.zone, self.input.language),
                None => changes.since.to_string(),
            };
            let title = fill(texts.since, &[&time]);
            self.html.raw("<div><h3>").text(&title).raw("</h3>");
            let counted = changes
                .counts
                .iter()
                .filter(|(_, files, folders)| files + folders > 0);
            let rows: Vec<Vec<Cell<'_>>> = counted
                .map(|(name, files, folders)| {
                    let name = word(texts.change_words, name);
                    vec![Cell::Word(name), Cell::Number(*files), Cell::Number(*folders)]
                })
                .collect();
            let columns = [
                column(texts.changes, Kind::Word),
                column(texts.files, Kind::Number),
                column(texts.folders, Kind::Number),
            ];
            if rows.is_empty() {
                self.html.raw("<p class=\"note\">").text(texts.none).raw("</p>");
            } else {
                self.table(&title, &columns, rows);
            }
            self.html.raw("</div>");
        }
        self.html.raw("</div></section>\n");
    }

    fn trend(&mut self) {
        let texts = self.texts;
        let nights = self.input.nights;
        let nights = nights
            .get(nights.len().saturating_sub(NIGHTS)..)
            .unwrap_or(nights);
        self.html
            .raw("<section id=\"trend\"><h2>")
            .text(texts.trend)
            .raw("</h2>");
        if nights.is_empty() {
            self.none();
            return;
        }
        self.html.raw("<div class=\"charts\">");
        let zone = &self.input.zone;
        let html = &mut self.html;
        let curve = |title, value, print| Curve {
            title,
            value,
            print,
            limit: None,
        };
        let count = |value: f64| number(value.max(0.0).round() as u64);
        let bytes = |value: f64| size(value.max(0.0) as u64);
        let mut curves = vec![
            curve(texts.files, |night| night.files as f64, count),
            curve(texts.size, |night| night.bytes as f64, bytes),
            curve(texts.calls, |night| night.calls as f64, count),
        ];
        // An audit fetches nothing.
        if nights.iter().any(|night| night.new_bytes > 0) {
            curves.insert(2, curve(texts.stored_new, |night| night.new_bytes as f64, bytes));
        }
        if nights.iter().any(|night| night.quota_share.is_some()) {
            curves.push(Curve {
                title: texts.quota_share,
                value: |night| night.quota_share.unwrap_or(0.0),
                print: |value| percent(value, 1.0),
                limit: Some(1.0),
            });
        }
        for curve in &curves {
            chart(html, texts, zone, nights, curve);
        }
        html.raw("</div>");
        if nights.iter().any(|night| night.status != "complete") {
            html.raw("<p class=\"note\">")
                .text(texts.partial_mark)
                .raw("</p>");
        }
        let columns = [
            column(texts.snapshot, Kind::Day),
            column(texts.status, Kind::Word),
            column(texts.files, Kind::Number),
            column(texts.size, Kind::Number),
            column(texts.stored_new, Kind::Number),
            column(texts.failures, Kind::Number),
            column(texts.call_count, Kind::Number),
        ];
        let rows: Vec<Vec<Cell<'_>>> = nights
            .iter()
            .rev()
            .map(|night| {
                vec![
                    Cell::Moment(night.time),
                    Cell::Marked(
                        word(texts.status_words, &night.status),
                        night.status == "complete",
                    ),
                    Cell::Number(night.files),
                    Cell::Size(Some(night.bytes)),
                    Cell::Size(Some(night.new_bytes)),
                    Cell::Number(night.failures),
                    Cell::Number(night.calls),
                ]
            })
            .collect();
        self.table(texts.trend, &columns, rows);
        self.html.raw("</section>\n");
    }

    fn sizes(&mut self, tree: &[Shown]) {
        let texts = self.texts;
        self.html
            .raw("<section id=\"sizes\"><h2>")
            .text(texts.sizes)
            .raw("</h2><div id=\"map\" hidden></div>");
        let folders: Vec<(String, Sum)> = tree
            .iter()
            .filter(|folder| folder.level > 1)
            .take(FOLDERS_SHOWN)
            .map(|folder| (trail(tree, folder), folder.sum))
            .collect();
        if folders.is_empty() {
            self.none();
            return;
        }
        let whole = self.aggregate.all.bytes as f64;
        let rows: Vec<Vec<Cell<'_>>> = folders
            .iter()
            .map(|(path, sum)| {
                vec![
                    Cell::Name(path),
                    Cell::Number(sum.files),
                    Cell::Size(Some(sum.bytes)),
                    Cell::Share(sum.bytes as f64, whole),
                ]
            })
            .collect();
        let columns = [
            column(texts.path, Kind::Name),
            column(texts.files, Kind::Number),
            column(texts.size, Kind::Number),
            column(texts.share, Kind::Number),
        ];
        self.table(texts.sizes, &columns, rows);
        self.html.raw("</section>\n");
    }

    fn kinds(&mut self) {
        let (texts, aggregate) = (self.texts, self.aggregate);
        self.html
            .raw("<div class=\"pair\"><section id=\"types\"><h2>")
            .text(texts.types)
            .raw("</h2>");
        self.tally(texts.kind, &aggregate.types, texts.unknown, texts.type_words);
        self.html
            .raw("</section><section><h2>")
            .text(texts.ages)
            .raw("</h2>");
        let ages = texts.age_classes.iter().zip(aggregate.ages);
        let ages: Vec<(String, Sum)> = ages.map(|(name, sum)| ((*name).to_owned(), sum)).collect();
        self.bars(texts.age, &ages);
        self.html
            .raw("</section><section><h2>")
            .text(texts.extensions)
            .raw("</h2>");
        self.tally(texts.extension, &aggregate.extensions, texts.without, &[]);
        self.html
            .raw("</section><section><h2>")
            .text(texts.owners)
            .raw("</h2>");
        if aggregate.owners.has_only("") {
            self.html
                .raw("<p class=\"note\">")
                .text(texts.owners_untold)
                .raw("</p>");
        } else {
            self.tally(texts.owner, &aggregate.owners, texts.unknown, &[]);
        }
        self.html.raw("</section></div>\n");
    }

    fn tally(&mut self, label: &str, tally: &Tally, nameless: &str, words: Words) {
        let (top, rest) = tally.top(WORDS_SHOWN);
        let mut sums: Vec<(String, Sum)> = top
            .into_iter()
            .map(|(name, sum)| match name.as_str() {
                "" => (nameless.to_owned(), sum),
                name => (word(words, name).to_owned(), sum),
            })
            .collect();
        if rest.files > 0 {
            sums.push((self.texts.other.to_owned(), rest));
        }
        self.bars(label, &sums);
    }

    /// A table of sums with a bar each, against the whole.
    pub(super) fn bars(&mut self, label: &str, sums: &[(String, Sum)]) {
        let texts = self.texts;
        let whole = self.aggregate.all.bytes as f64;
        let rows: Vec<Vec<Cell<'_>>> = sums
            .iter()
            .map(|(name, sum)| {
                vec![
                    Cell::Name(name),
                    Cell::Number(sum.files),
                    Cell::Size(Some(sum.bytes)),
                    Cell::Share(sum.bytes as f64, whole),
                    Cell::Bar(sum.bytes as f64, whole),
                ]
            })
            .collect();
        let columns = [
            column(label, Kind::Name),
            column(texts.files, Kind::Number),
            column(texts.size, Kind::Number),
            column(texts.share, Kind::Number),
            column("", Kind::Bar),
        ];
        if rows.is_empty() {
            self.html.raw("<p class=\"note\">").text(texts.none).raw("</p>");
        } else {
            self.table(label, &columns, rows);
        }
    }

    pub(super) fn table(&mut self, title: &str, columns: &[Column<'_>], rows: Vec<Vec<Cell<'_>>>) -> usize {
        let zone = &self.input.zone;
        table(&mut self.html, self.texts, zone, (title, ROOM), columns, rows)
    }

    /// Says that a list is cut.
    pub(super) fn cut(&mut self, shown: usize, total: u64) {
        if total > shown as u64 {
            let words = fill(self.texts.shown, &[&number(shown as u64), &number(total)]);
            self.html.raw("<p class=\"note\">").text(&words).raw("</p>");
        }
    }

    /// Ends a section that has nothing to tell.
    pub(super) fn none(&mut self) {
        self.html
            .raw("<p class=\"note\">")
            .text(self.texts.none)
            .raw("</p></section>\n");
    }
}

/// A folder's names from its drive down.
fn trail(tree: &[Shown], folder: &Shown) -> String {
    let mut names = vec![folder.name.as_str()];
    let mut above = tree.get(folder.parent);
    while let Some(here) = above.filter(|here| here.level > 0) {
        names.push(&here.name);
        above = tree.get(here.parent);
    }
    names.reverse();
    names.join(" / ")
}
