//! A path inside a drive, as a person sees it.

use std::fmt;

/// The path of an entry inside its drive: it begins with `/`, and each name stands in it exactly as the service spells it.
///
/// It is a description, not an address: names may hold `/`, be `..`, or occur twice in one folder, so an entry is found by its id,
/// and a path never chooses a place on the local disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DrivePath(String);

impl DrivePath {
    /// The root, which prints as `/`.
    pub fn root() -> DrivePath {
        DrivePath(String::new())
    }

    /// Takes a path as a manifest has it.
    pub fn from_text(text: &str) -> DrivePath {
        DrivePath(if text == "/" {
            String::new()
        } else {
            text.to_owned()
        })
    }

    /// The path of a child of that name.
    pub fn join(&self, name: &str) -> DrivePath {
        let mut text = String::with_capacity(self.0.len() + 1 + name.len());
        text.push_str(&self.0);
        text.push('/');
        text.push_str(name);
        DrivePath(text)
    }

    /// The path as text: `/` for the root, else with a leading and without a trailing slash of ours.
    pub fn as_str(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }

    /// Whether this is the root of its drive.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `self` is `folder` or lies below it.
    pub fn is_within(&self, folder: &DrivePath) -> bool {
        self.0
            .strip_prefix(&folder.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for DrivePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Letters of an extension at most; what is longer is part of a name.
const EXTENSION_LETTERS: usize = 16;

/// The letters after a name's last dot, in lower case; empty where there is no such thing.
pub fn extension(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, end))
            if !stem.is_empty()
                && end.chars().count() <= EXTENSION_LETTERS
                && end.chars().all(char::is_alphanumeric) =>
        {
            end.to_lowercase()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{DrivePath, extension};

    #[test]
    fn an_extension_is_a_short_word_after_the_last_dot() {
        for (name, expected) in [
            ("a.b.DOCX", "docx"),
            ("報告.表", "表"),
            (".profile", ""),
            ("a", ""),
            ("a.", ""),
            ("v1. the end", ""),
            ("a.12345678901234567", ""),
        ] {
            assert_eq!(extension(name), expected, "{name}");
        }
    }

    #[test]
    fn names_stand_in_it_as_they_are() {
        let folder = DrivePath::root().join("..").join("a/b");
        assert_eq!(folder.as_str(), "/../a/b");
        assert_eq!(DrivePath::root().as_str(), "/");
        assert_eq!(DrivePath::from_text("/"), DrivePath::root());
        assert!(folder.join("c").is_within(&folder));
        assert!(folder.is_within(&DrivePath::root()));
        assert!(!DrivePath::from_text("/ab").is_within(&DrivePath::from_text("/a")));
    }
}
