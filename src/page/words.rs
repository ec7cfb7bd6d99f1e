//! The words of the page in each language.

mod en;
mod ja;
mod ko;

use std::fmt;
use std::str::FromStr;

use super::aggregate::AGE_CLASSES;

/// A language of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// `en`
    #[default]
    English,
    /// `ja`
    Japanese,
    /// `ko`
    Korean,
}

impl Language {
    /// Every language.
    pub const ALL: [Language; 3] = [Language::English, Language::Japanese, Language::Korean];

    /// The code: `en`, `ja` or `ko`.
    pub fn as_str(self) -> &'static str {
        self.texts().code
    }

    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Language::English => &en::TEXTS,
            Language::Japanese => &ja::TEXTS,
            Language::Korean => &ko::TEXTS,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A code that is no language of the page.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is no language of the report; expected en, ja or ko")]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(code: &str) -> Result<Language, UnknownLanguage> {
        let found = Language::ALL
            .into_iter()
            .find(|language| language.as_str() == code);
        found.ok_or_else(|| UnknownLanguage(code.to_owned()))
    }
}

/// Puts `values` into the places of a text: `{}` takes them in turn, `{0}` and so on by number.
pub(super) fn fill(text: &str, values: &[&str]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut next = 0;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (place, after) = after.split_once('}').unwrap_or(("", after));
        let number = place.parse().unwrap_or(next);
        filled.push_str(values.get(number).copied().unwrap_or(""));
        next = number + 1;
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The words for codes; a code without one stands for itself.
pub(super) type Words = &'static [(&'static str, &'static str)];

/// The word for a code.
pub(super) fn word(words: Words, code: &str) -> &str {
    words
        .iter()
        .find(|(known, _)| *known == code)
        .map_or(code, |(_, word)| word)
}

/// Every text of the page. Places for values are `{}`, or `{0}` and so on where a language has another order.
#[derive(Debug)]
pub(super) struct Texts {
    /// The language's code.
    pub(super) code: &'static str,
    /// What the page is.
    pub(super) report: &'static str,
    /// What the index page is.
    pub(super) index: &'static str,
    /// Heading of the outcomes.
    pub(super) this_snapshot: &'static str,
    /// Before the time of the snapshot.
    pub(super) snapshot: &'static str,
    /// Before the time of the snapshot that changes are counted from.
    pub(super) since: &'static str,
    /// At the foot; the program's version.
    pub(super) made: &'static str,
    /// Label of the list of sections.
    pub(super) contents: &'static str,
    /// Section.
    pub(super) overview: &'static str,
    /// Section with warnings.
    pub(super) attention: &'static str,
    /// Section.
    pub(super) trend: &'static str,
    /// Section and column.
    pub(super) folders: &'static str,
    /// Section.
    pub(super) sizes: &'static str,
    /// Section.
    pub(super) types: &'static str,
    /// Section.
    pub(super) extensions: &'static str,
    /// Section.
    pub(super) ages: &'static str,
    /// Section.
    pub(super) owners: &'static str,
    /// Section and column.
    pub(super) drives: &'static str,
    /// Section.
    pub(super) largest: &'static str,
    /// Section.
    pub(super) links: &'static str,
    /// Section.
    pub(super) shared: &'static str,
    /// Section.
    pub(super) infected: &'static str,
    /// Section.
    pub(super) locked: &'static str,
    /// Section.
    pub(super) failed: &'static str,
    /// Section.
    pub(super) skipped: &'static str,
    /// Section.
    pub(super) coverage: &'static str,
    /// Section.
    pub(super) calls: &'static str,
    /// Column: kinds of change.
    pub(super) changes: &'static str,
    /// Column and figure.
    pub(super) files: &'static str,
    /// Column and figure.
    pub(super) size: &'static str,
    /// Column.
    pub(super) share: &'static str,
    /// Column.
    pub(super) outcome: &'static str,
    /// Column.
    pub(super) drive: &'static str,
    /// Column.
    pub(super) path: &'static str,
    /// Column.
    pub(super) kind: &'static str,
    /// Column.
    pub(super) extension: &'static str,
    /// Column.
    pub(super) age: &'static str,
    /// Column.
    pub(super) modified: &'static str,
    /// Column.
    pub(super) owner: &'static str,
    /// Column.
    pub(super) reason: &'static str,
    /// Column.
    pub(super) virus: &'static str,
    /// Column: whom a link lets in.
    pub(super) reach: &'static str,
    /// Column.
    pub(super) status: &'static str,
    /// Column: bytes fetched in that night.
    pub(super) stored_new: &'static str,
    /// Column and figure.
    pub(super) failures: &'static str,
    /// Column and figure.
    pub(super) call_count: &'static str,
    /// Column.
    pub(super) operation: &'static str,
    /// Column.
    pub(super) limited: &'static str,
    /// Column.
    pub(super) call_failures: &'static str,
    /// Column.
    pub(super) per_minute: &'static str,
    /// Column and chart.
    pub(super) quota_share: &'static str,
    /// Column.
    pub(super) seen: &'static str,
    /// Column.
    pub(super) listed: &'static str,
    /// Column: bytes that the service counts and the listing did not show.
    pub(super) unseen: &'static str,
    /// Column.
    pub(super) gaps: &'static str,
    /// Column.
    pub(super) archive: &'static str,
    /// What is put together.
    pub(super) other: &'static str,
    /// What was not told.
    pub(super) unknown: &'static str,
    /// Instead of the owners, where none was told.
    pub(super) owners_untold: &'static str,
    /// Files without an extension.
    pub(super) without: &'static str,
    /// An empty section.
    pub(super) none: &'static str,
    /// A list that is cut: shown and all.
    pub(super) shown: &'static str,
    /// Items below a shared folder.
    pub(super) inherited: &'static str,
    /// A drive that was read whole.
    pub(super) covered: &'static str,
    /// A drive that was not.
    pub(super) uncovered: &'static str,
    /// Figure: drives read whole, of all.
    pub(super) drives_seen: &'static str,
    /// A gap.
    pub(super) gap_refused: &'static str,
    /// A gap.
    pub(super) gap_failed: &'static str,
    /// A gap.
    pub(super) gap_open: &'static str,
    /// A gap.
    pub(super) gap_items: &'static str,
    /// Label of a search field.
    pub(super) search: &'static str,
    /// After a search: matches of all.
    pub(super) matches: &'static str,
    /// How the map is used.
    pub(super) map_help: &'static str,
    /// The whole, in the map's path.
    pub(super) map_top: &'static str,
    /// Area of what is not told apart.
    pub(super) map_rest: &'static str,
    /// Label of the map's path.
    pub(super) map_path: &'static str,
    /// A number of files.
    pub(super) files_n: &'static str,
    /// A chart in words: what, first, last, greatest.
    pub(super) chart: &'static str,
    /// Legend of a chart.
    pub(super) partial_mark: &'static str,
    /// Above the calls.
    pub(super) quota_note: &'static str,
    /// Label of a table that scrolls.
    pub(super) scroll: &'static str,
    /// Outcomes, in the order of `Outcome::ALL`.
    pub(super) outcomes: [&'static str; 6],
    /// Age classes, in the order of the aggregate.
    pub(super) age_classes: [&'static str; AGE_CLASSES],
    /// Words of the service's content classes.
    pub(super) type_words: Words,
    /// Words of a run's end.
    pub(super) status_words: Words,
    /// Words of the comparison with the snapshot before.
    pub(super) change_words: Words,
    /// Words of whom a link lets in.
    pub(super) reach_words: Words,
}
