//! Which drive of the source goes into which drive of the target.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use crate::entry::{Access, Root};
use crate::id::DriveId;
use crate::manifest::{self, read_table};

/// The columns of a map file.
const COLUMNS: [&str; 2] = ["source", "target"];

/// A map of old and new drives.
///
/// Each line names a drive of the source and one of the target by a scope word, with an id, a mail or a name:
/// `users/taro@old.example,users/taro@new.example`. One `*` on either side stands for the same text:
/// `users/*@old.example,users/*@new.example`. A line without `*` wins; of lines with one, the first that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    exact: HashMap<String, String>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    source: (String, String),
    target: (String, String),
}

/// A map file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// It is no such table.
    #[error("the map cannot be read")]
    Table(#[from] manifest::Error),
    /// A line has only one side.
    #[error("line {0} of the map has no source or no target")]
    Empty(u64),
    /// A line has a `*` on one side alone, or more than one on a side.
    #[error("line {0} of the map must have one * on both sides, or none")]
    Stars(u64),
    /// Two lines name the same source.
    #[error("line {line} of the map names '{source_drive}' a second time")]
    Twice {
        /// The later line.
        line: u64,
        /// The source.
        source_drive: String,
    },
}

/// A drive of the source that has no place to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmapped {
    /// The drive.
    pub drive: DriveId,
    /// Its name.
    pub name: String,
    /// Short code: `no-rule`, `no-target`, `target-refused`, `target-taken`.
    pub reason: &'static str,
    /// The drive that the map names, where it names one.
    pub target: Option<String>,
}

/// Drives of the source with their drives in the target.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// The target of each source drive.
    pub targets: HashMap<DriveId, Root>,
    /// What has none.
    pub unmapped: Vec<Unmapped>,
}

impl Map {
    /// Reads a map file: CSV with the columns `source` and `target`.
    ///
    /// # Errors
    /// When it is no such table, or a line means nothing.
    pub fn read(source: impl Read) -> Result<Map, MapError> {
        let mut map = Map::default();
        for (line, [source, target]) in read_table(source, COLUMNS)? {
            if source.is_empty() || target.is_empty() {
                return Err(MapError::Empty(line));
            }
            let (source, target) = (key(&source), key(&target));
            match (source.matches('*').count(), target.matches('*').count()) {
                (0, 0) => {
                    if map.exact.insert(source.clone(), target).is_some() {
                        return Err(MapError::Twice {
                            line,
                            source_drive: source,
                        });
                    }
                }
                (1, 1) => map.rules.push(Rule {
                    source: cut(&source),
                    target: cut(&target),
                }),
                _ => return Err(MapError::Stars(line)),
            }
        }
        Ok(map)
    }

    /// The targets that the map names for a drive, the one that counts first. There are several when the drive's id and
    /// its name both fit a rule.
    pub fn targets_of(&self, root: &Root) -> Vec<String> {
        let words = words(root);
        let exact = words.iter().filter_map(|word| self.exact.get(word).cloned());
        let ruled = self
            .rules
            .iter()
            .flat_map(|rule| words.iter().filter_map(|word| rule.apply(word)));
        exact.chain(ruled).collect()
    }

    /// The target that the map names for a member, group or unit. A rule with `*` speaks of mails and names only: an id of
    /// one tenant says nothing in another, and may be somebody else's there. A target that is not there has no second:
    /// that could be somebody else as well.
    pub(super) fn party_target(&self, family: &str, id: &str, name: &str) -> Option<String> {
        let (id, name) = (key(&format!("{family}/{id}")), key(&format!("{family}/{name}")));
        let exact = self.exact.get(&id).or_else(|| self.exact.get(&name));
        exact
            .cloned()
            .or_else(|| self.rules.iter().find_map(|rule| rule.apply(&name)))
    }

    /// Pairs drives of the source with drives of the target. Two source drives never share a target: they would mix.
    pub fn pair(&self, sources: &[Root], targets: &[Root]) -> Pairs {
        let mut by_word: BTreeMap<String, &Root> = BTreeMap::new();
        for root in targets {
            for word in words(root) {
                by_word.entry(word).or_insert(root);
            }
        }
        let mut pairs = Pairs::default();
        let mut taken: BTreeMap<&str, ()> = BTreeMap::new();
        for source in sources {
            let named = self.targets_of(source);
            let found = named.iter().find_map(|word| by_word.get(word).copied());
            let named = named.into_iter().next();
            let reason = match (&named, found) {
                (None, _) => "no-rule",
                (Some(_), None) => "no-target",
                (Some(_), Some(root)) if root.access != Access::Readable => "target-refused",
                (Some(_), Some(root)) if taken.insert(root.entry.drive.as_str(), ()).is_some() => {
                    "target-taken"
                }
                (Some(_), Some(root)) => {
                    pairs.targets.insert(source.entry.drive.clone(), root.clone());
                    continue;
                }
            };
            pairs.unmapped.push(Unmapped {
                drive: source.entry.drive.clone(),
                name: source.name.clone(),
                reason,
                target: named,
            });
        }
        pairs
    }
}

impl Rule {
    fn apply(&self, word: &str) -> Option<String> {
        let middle = word
            .strip_prefix(self.source.0.as_str())?
            .strip_suffix(self.source.1.as_str())?;
        (!middle.is_empty() && !middle.contains('/'))
            .then(|| format!("{}{middle}{}", self.target.0, self.target.1))
    }
}

/// Words by which a drive may be named: its own, and its family with its name.
fn words(root: &Root) -> Vec<String> {
    let word = root.entry.drive.as_str();
    let mut words = vec![key(word)];
    if let Some((family, _)) = word.split_once('/')
        && !root.name.is_empty()
    {
        words.push(key(&format!("{family}/{}", root.name)));
    }
    words
}

/// Mails and ids are the same in capitals and in small letters.
fn key(word: &str) -> String {
    word.to_lowercase()
}

fn cut(word: &str) -> (String, String) {
    word.split_once('*').map_or_else(
        || (word.to_owned(), String::new()),
        |(before, after)| (before.to_owned(), after.to_owned()),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::entry::Entry;
    use crate::id::FileId;

    fn root(drive: &str, name: &str) -> Root {
        Root {
            entry: Entry::root(DriveId::new(drive), FileId::new(FileId::ROOT)),
            name: name.to_owned(),
            quota: None,
            access: Access::Readable,
        }
    }

    #[test]
    fn exact_lines_win_over_rules_and_nothing_is_left_unsaid() {
        let map = Map::read(
            "\u{feff}source,target\n\
             users/*@old.example,users/*@new.example\n\
             users/boss@old.example,users/ceo@new.example\n\
             sharedrives/*,sharedrives/*\n\
             users/u9,users/taro@new.example\n"
                .as_bytes(),
        )
        .unwrap();
        let sources = [
            root("users/u1", "Taro@old.example"),
            root("users/u2", "boss@old.example"),
            root("users/u3", "guest@other.example"),
            root("users/u4", "hana@old.example"),
            root("sharedrives/@1", "Sales"),
            root("users/u9", "x@old.example"),
            root("users/u5", "jiro@old.example"),
        ];
        let mut refused = root("users/n5", "jiro@new.example");
        refused.access = Access::Refused {
            reason: "suspended".to_owned(),
            message: String::new(),
        };
        let targets = [
            root("users/n1", "taro@new.example"),
            root("users/n2", "ceo@new.example"),
            root("sharedrives/@7", "sales"),
            refused,
        ];
        let pairs = map.pair(&sources, &targets);
        let mut found: Vec<(&str, &str)> = pairs
            .targets
            .iter()
            .map(|(drive, root)| (drive.as_str(), root.entry.drive.as_str()))
            .collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("sharedrives/@1", "sharedrives/@7"),
                ("users/u1", "users/n1"),
                ("users/u2", "users/n2")
            ]
        );
        let unmapped: Vec<(&str, &str)> = pairs
            .unmapped
            .iter()
            .map(|one| (one.drive.as_str(), one.reason))
            .collect();
        assert_eq!(
            unmapped,
            [
                ("users/u3", "no-rule"),
                ("users/u4", "no-target"),
                ("users/u9", "target-taken"),
                ("users/u5", "target-refused")
            ]
        );
    }

    #[test]
    fn a_map_that_says_too_little_is_refused() {
        for (text, expected) in [
            ("source,target\na,\n", "line 2 of the map has no source"),
            ("source,target\nu/*,u/x\n", "one * on both sides"),
            ("source,target\nu/*/*,u/*/*\n", "one * on both sides"),
            ("source,target\na,b\nA,c\n", "names 'a' a second time"),
            ("from,to\n", "cannot be read"),
        ] {
            let error = Map::read(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
