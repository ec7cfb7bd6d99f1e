//! What is wrong with a job or tenant file, and where.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong with a file. It never holds the text of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, counted from 1, where there is one.
    pub line: Option<usize>,
    /// The column in characters, counted from 1.
    pub column: Option<usize>,
    /// The key with the tables around it, for example `limits.transfers` or `drives[2]`; empty for the file as a whole.
    pub key: String,
    /// What kind of fault it is.
    pub fault: Fault,
    /// What was found, in words that follow "found".
    pub found: String,
    /// What was expected, in words that follow "expected".
    pub expected: String,
}

/// The kinds of fault a file can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It is not TOML, or not JSON.
    Syntax,
    /// A key that means nothing; `expected` is the known key it looks like.
    Misspelt,
    /// A key that means nothing; `expected` lists the keys that are known there.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// The value is not one the key can have.
    WrongValue,
    /// The key means something, but not here; `found` says where it is.
    OutOfPlace,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        let Problem {
            key, found, expected, ..
        } = self;
        match self.fault {
            Fault::Syntax => write!(formatter, ": this is not {expected}: {found}"),
            Fault::Misspelt => write!(
                formatter,
                ": key '{key}' is not known; did you mean '{expected}'?"
            ),
            Fault::UnknownKey => write!(
                formatter,
                ": key '{key}' is not known; the keys here are {expected}"
            ),
            Fault::MissingKey => write!(formatter, ": key '{key}' is missing; expected {expected}"),
            Fault::WrongValue => write!(formatter, ": key '{key}': found {found}, expected {expected}"),
            Fault::OutOfPlace => write!(formatter, ": key '{key}' has no use {found}; expected {expected}"),
        }
    }
}

/// The known word nearest to `word`, if one is near enough to be what was meant.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let longest = 40;
    if word.chars().count() > longest {
        return None;
    }
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(steps, candidate)| *steps <= 1 + candidate.chars().count().min(10) / 4)
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped, changed or swapped with a neighbour to make one word of the other.
/// Case does not count, and `_` is as good as `-`.
fn distance(one: &str, other: &str) -> usize {
    let plain = |word: &str| -> Vec<char> {
        word.to_lowercase()
            .chars()
            .map(|letter| if letter == '_' { '-' } else { letter })
            .collect()
    };
    let (one, other) = (plain(one), plain(other));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, against) in other.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (cell(&above, column) + usize::from(letter != against))
                .min(cell(&above, column + 1) + 1)
                .min(cell(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && one.get(row - 1) == Some(against)
                && other.get(column - 1) == Some(letter);
            if swapped {
                best = best.min(cell(&before, column - 1) + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distances_and_neighbours() {
        for (one, other, steps) in [
            ("drives", "drives", 0),
            ("drvies", "drives", 1),
            ("drive", "drives", 1),
            ("max_size", "max-size", 0),
            ("Kind", "kind", 0),
            ("", "kind", 4),
            ("kind", "", 4),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), steps, "{one} {other}");
        }
        let known = ["kind", "drives", "exclude-drives", "retention"];
        assert_eq!(nearest("drvies", known.into_iter()), Some("drives"));
        assert_eq!(nearest("retentoin", known.into_iter()), Some("retention"));
        assert_eq!(nearest("colour", known.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(1_000), known.into_iter()), None);
    }
}
