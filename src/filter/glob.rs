//! One glob on Drive paths, matched name by name.
//!
//! A matcher of our own, since those at hand work on bytes: `?` and `[あ-ん]` would not match a Japanese or Korean letter.
//! Pattern and path are compared in composed form (NFC), so that a pattern typed on one system finds names made on another.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::id::DriveId;

/// A glob on Drive paths. `*` and `?` stay inside one name, `**` crosses folders, `[a-z]`, `[!a-z]` and `{one,two}` work
/// as in a shell, and `\` takes the meaning from the character behind it. Capital and small letters differ.
///
/// A glob without a slash is matched against the name alone, at any depth; one with a slash against the whole path from the
/// drive's root. One that ends in a slash matches folders only. `sharedrives/*:/Reports` limits it to drives of that word.
/// What a glob says of a folder holds for everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    drive: Option<Vec<Vec<Step>>>,
    choices: Vec<Vec<Step>>,
    folders_only: bool,
}

/// What a glob says of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The path itself, or a folder above it, is matched.
    pub covers: bool,
    /// Something below the path is or may be matched; always so where the path itself is.
    pub below: bool,
}

/// A glob that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("glob '{glob}': {reason}")]
pub struct GlobError {
    /// The glob as it was written.
    pub glob: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// One part of a glob between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// `**`: any number of names, none included.
    AnyNames,
    /// Exactly one name.
    Name(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Letter(char),
    AnyLetter,
    AnyLetters,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// More braces than this multiply out to no useful glob.
const MOST_CHOICES: usize = 256;
/// The set of places in a glob is kept in the bits of a `u128`.
const MOST_STEPS: usize = 126;
/// The longest glob in bytes, more than any path that a person types. Braces in braces cost its square to read.
const LONGEST: usize = 10_000;

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    ///
    /// An empty glob, a bracket or brace that is not closed, a `\` at the end, or more than 256 alternatives, 126 parts or
    /// 10,000 bytes.
    pub fn new(text: &str) -> Result<Glob, GlobError> {
        let fail = |reason| GlobError {
            glob: text.chars().take(SHOWN).collect(),
            reason,
        };
        if text.len() > LONGEST {
            return Err(fail("it has more than 10,000 bytes"));
        }
        let (drive, path) = split_drive(text);
        let drive = match drive {
            Some(words) => Some(read_choices(words, false).map_err(fail)?),
            None => None,
        };
        let composed: String = path.nfc().collect();
        let (body, folders_only) = match composed.strip_suffix('/') {
            Some(body) if !body.is_empty() && !body.ends_with('\\') => (body, true),
            _ => (composed.as_str(), false),
        };
        if body.is_empty() || body == "/" {
            return Err(fail("it is empty"));
        }
        // Behind a drive word the slash is cut off already: such a glob begins at the root.
        let any_depth = !body.contains('/') && drive.is_none();
        let choices = read_choices(body.trim_start_matches('/'), any_depth).map_err(fail)?;
        Ok(Glob {
            text: text.to_owned(),
            drive,
            choices,
            folders_only,
        })
    }

    /// The glob as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the glob says of `path` in `drive`. The path is one of [`crate::path::DrivePath`], the root being `/`.
    pub fn reach(&self, drive: &DriveId, path: &str, is_folder: bool) -> Reach {
        let nothing = Reach {
            covers: false,
            below: false,
        };
        if let Some(words) = &self.drive {
            let matches_drive = |steps: &Vec<Step>| walk(steps, drive.as_str(), true, false).ends;
            if !words.iter().any(matches_drive) {
                return nothing;
            }
        }
        let path = composed(path);
        let inside = path.strip_prefix('/').unwrap_or(&path);
        self.choices.iter().fold(nothing, |sum, steps| {
            let walked = walk(steps, inside, is_folder, self.folders_only);
            Reach {
                covers: sum.covers || walked.covers,
                below: sum.below || walked.below,
            }
        })
    }

    /// Whether the glob matches `path` or a folder above it.
    pub fn covers(&self, drive: &DriveId, path: &str, is_folder: bool) -> bool {
        self.reach(drive, path, is_folder).covers
    }
}

/// `text` in NFC, borrowed where it is so already.
fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// The drive words before `:/`, where there are any, and the path glob.
fn split_drive(text: &str) -> (Option<&str>, &str) {
    let is_drive = |word: &str| {
        word == "me"
            || ["users/", "sharedrives/", "groups/", "key:"]
                .iter()
                .any(|start| word.starts_with(start))
    };
    match text.split_once(":/") {
        Some((drive, path)) if is_drive(drive) => (Some(drive), path),
        _ => (None, text),
    }
}

struct Walked {
    covers: bool,
    below: bool,
    ends: bool,
}

/// Follows all ways through `steps` at once: bit `n` of `places` says that the first `n` steps are behind us.
fn walk(steps: &[Step], path: &str, is_folder: bool, folders_only: bool) -> Walked {
    let end = 1_u128 << steps.len();
    let mut places = skip_any_names(steps, 1);
    let mut covers = false;
    let names: Vec<&str> = if path.is_empty() {
        Vec::new()
    } else {
        path.split('/').collect()
    };
    let last = names.len();
    for (index, name) in names.into_iter().enumerate() {
        let mut next = 0_u128;
        for (number, step) in steps.iter().enumerate() {
            if places & (1 << number) == 0 {
                continue;
            }
            match step {
                Step::AnyNames => next |= 1 << number,
                Step::Name(tokens) if matches(tokens, name) => next |= 1 << (number + 1),
                Step::Name(_) => {}
            }
        }
        places = skip_any_names(steps, next);
        let here_is_folder = is_folder || index + 1 < last;
        covers |= places & end != 0 && (here_is_folder || !folders_only);
    }
    Walked {
        covers,
        below: covers || places & !end != 0,
        ends: places & end != 0,
    }
}

/// Adds the places that are reached when `**` stands for no name.
fn skip_any_names(steps: &[Step], mut places: u128) -> u128 {
    for (number, step) in steps.iter().enumerate() {
        if *step == Step::AnyNames && places & (1 << number) != 0 {
            places |= 1 << (number + 1);
        }
    }
    places
}

/// Whether the tokens match the whole of `name`. On a mismatch it goes back to the last `*` only, which is enough.
fn matches(tokens: &[Token], name: &str) -> bool {
    let (mut rest, mut letters) = (tokens, name.chars());
    let mut retry: Option<(&[Token], Chars<'_>)> = None;
    loop {
        let mut ahead = letters.clone();
        let fits = match rest.split_first() {
            Some((Token::AnyLetters, after)) => {
                retry = Some((after, letters.clone()));
                rest = after;
                continue;
            }
            Some((token, after)) => match ahead.next() {
                Some(letter) if token.takes(letter) => {
                    rest = after;
                    letters = ahead;
                    continue;
                }
                _ => false,
            },
            None => ahead.next().is_none(),
        };
        if fits {
            return true;
        }
        let Some((after, mut from)) = retry.take() else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        rest = after;
        letters = from.clone();
        retry = Some((after, from));
    }
}

impl Token {
    fn takes(&self, letter: char) -> bool {
        match self {
            Token::Letter(own) => *own == letter,
            Token::AnyLetter | Token::AnyLetters => true,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *negated
            }
        }
    }
}

/// The alternatives of a glob, each cut into steps.
fn read_choices(body: &str, any_depth: bool) -> Result<Vec<Vec<Step>>, &'static str> {
    let mut choices = Vec::new();
    for text in spread_braces(body)? {
        let mut steps = Vec::new();
        if any_depth && !text.contains('/') {
            steps.push(Step::AnyNames);
        }
        for part in split_names(&text)? {
            match part.as_str() {
                "" => {}
                "**" => steps.push(Step::AnyNames),
                name => steps.push(Step::Name(read_name(name)?)),
            }
        }
        // `/Reports/**` is what lies in the folder, not the folder itself.
        if steps.last() == Some(&Step::AnyNames) {
            steps.pop();
            steps.push(Step::Name(vec![Token::AnyLetters]));
        }
        if steps.is_empty() {
            return Err("it is empty");
        }
        if steps.len() > MOST_STEPS {
            return Err("it has more than 126 parts");
        }
        choices.push(steps);
    }
    Ok(choices)
}

/// Cuts at slashes, but not inside brackets.
fn split_names(text: &str) -> Result<Vec<String>, &'static str> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '/' {
            parts.push(String::new());
            continue;
        }
        if let Some(part) = parts.last_mut() {
            copy_unit(letter, &mut letters, part)?;
        }
    }
    Ok(parts)
}

/// Copies one escaped character, one bracket or one plain character.
fn copy_unit(first: char, letters: &mut Peekable<Chars<'_>>, into: &mut String) -> Result<(), &'static str> {
    into.push(first);
    match first {
        '\\' => into.push(letters.next().ok_or(ENDS_IN_BACKSLASH)?),
        '[' => {
            if let Some(mark) = letters.next_if(|next| matches!(next, '!' | '^')) {
                into.push(mark);
            }
            into.push(letters.next().ok_or(OPEN_BRACKET)?);
            loop {
                let letter = letters.next().ok_or(OPEN_BRACKET)?;
                into.push(letter);
                if letter == ']' {
                    break;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// How much of a wrong glob an error repeats, in characters.
const SHOWN: usize = 200;

const ENDS_IN_BACKSLASH: &str = "it ends in a backslash";
const OPEN_BRACKET: &str = "a '[' is not closed";
const OPEN_BRACE: &str = "a '{' is not closed";
const TOO_MANY: &str = "its braces make more than 256 alternatives";

/// Writes `{a,b}` out as one text for each alternative.
fn spread_braces(text: &str) -> Result<Vec<String>, &'static str> {
    let mut done = Vec::new();
    let mut open = vec![text.to_owned()];
    while let Some(text) = open.pop() {
        match first_brace(&text)? {
            None => done.push(text),
            Some((before, alternatives, after)) => {
                for alternative in alternatives.into_iter().rev() {
                    open.push(format!("{before}{alternative}{after}"));
                }
            }
        }
        if done.len() + open.len() > MOST_CHOICES {
            return Err(TOO_MANY);
        }
    }
    Ok(done)
}

type Braces = (String, Vec<String>, String);

/// The text before the first brace, what stands in it cut at its own commas, and the text behind it.
fn first_brace(text: &str) -> Result<Option<Braces>, &'static str> {
    let mut letters = text.chars().peekable();
    let mut before = String::new();
    loop {
        match letters.next() {
            None => return Ok(None),
            Some('{') => break,
            Some(letter) => copy_unit(letter, &mut letters, &mut before)?,
        }
    }
    let mut alternatives = vec![String::new()];
    let mut depth = 0_usize;
    loop {
        let letter = letters.next().ok_or(OPEN_BRACE)?;
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                alternatives.push(String::new());
                if alternatives.len() > MOST_CHOICES {
                    return Err(TOO_MANY);
                }
                continue;
            }
            '}' => depth -= 1,
            '{' => depth += 1,
            _ => {}
        }
        if let Some(alternative) = alternatives.last_mut() {
            copy_unit(letter, &mut letters, alternative)?;
        }
    }
    Ok(Some((before, alternatives, letters.collect())))
}

/// Reads one name of a glob. Braces are gone by now.
fn read_name(text: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        tokens.push(match letter {
            '*' => {
                while letters.next_if_eq(&'*').is_some() {}
                Token::AnyLetters
            }
            '?' => Token::AnyLetter,
            '\\' => Token::Letter(letters.next().ok_or(ENDS_IN_BACKSLASH)?),
            '[' => read_class(&mut letters)?,
            letter => Token::Letter(letter),
        });
    }
    Ok(tokens)
}

fn read_class(letters: &mut Peekable<Chars<'_>>) -> Result<Token, &'static str> {
    let negated = letters.next_if(|next| matches!(next, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    let mut letter = letters.next().ok_or(OPEN_BRACKET)?;
    loop {
        let mut to = letter;
        if letters.peek() == Some(&'-') {
            letters.next();
            match letters.peek() {
                Some(']') | None => ranges.push(('-', '-')),
                Some(_) => to = letters.next().ok_or(OPEN_BRACKET)?,
            }
        }
        ranges.push((letter, to));
        letter = letters.next().ok_or(OPEN_BRACKET)?;
        if letter == ']' {
            return Ok(Token::Class { negated, ranges });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn globs_cover_what_they_should() {
        // glob, path (a trailing slash marks a folder), covered, may match below
        let table: &[(&str, &str, bool, bool)] = &[
            ("/Reports/**", "/Reports/", false, true),
            ("/Reports/**", "/Reports/a", true, true),
            ("/Reports/**", "/Reports/2024/q1.xlsx", true, true),
            ("/Reports/**", "/Report/a", false, false),
            ("/Reports/**", "/", false, true),
            ("/Reports", "/Reports/2024/q1.xlsx", true, true),
            ("Reports/2024", "/Reports/2024/", true, true),
            ("Reports/2024", "/Old/Reports/2024/", false, false),
            ("**/Reports/2024", "/Old/Reports/2024/", true, true),
            ("**/Reports/2024", "/Reports/2024/", true, true),
            ("/a/**/z", "/a/z", true, true),
            ("/a/**/z", "/a/b/c/z", true, true),
            ("/a/**/z", "/b/", false, false),
            ("*.tmp", "/x.tmp", true, true),
            ("*.tmp", "/deep/down/x.tmp", true, true),
            ("*.tmp", "/x.TMP", false, true),
            ("*.tmp", "/x.tmp/child", true, true),
            ("/*.tmp", "/deep/x.tmp", false, false),
            ("cache/", "/cache/", true, true),
            ("cache/", "/a/cache/x", true, true),
            ("cache/", "/a/cache", false, true),
            ("odd:/name", "/odd:/name", true, true),
            ("/a*b", "/ab", true, true),
            ("/a*b*c", "/aXbXbXc", true, true),
            ("/a*b*c", "/aXbX", false, false),
            ("/a*", "/a/b", true, true),
            ("/*/b", "/a/c/b", false, false),
            ("보고서-?.docx", "/보고서-가.docx", true, true),
            ("[あ-ん]*", "/す.txt", true, true),
            ("[!あ-ん]*", "/す.txt", false, true),
            ("[]]", "/]", true, true),
            ("[a-]", "/-", true, true),
            ("{*.jpg,*.png}", "/p/a.png", true, true),
            ("/{a,b/{c,d}}/x", "/b/d/x", true, true),
            ("/{a,b/{c,d}}/x", "/c/x", false, false),
            ("\\*", "/*", true, true),
            ("\\*", "/a", false, true),
            ("\\{a\\}", "/{a}", true, true),
            ("/**", "/", false, true),
            ("/**", "/a", true, true),
            ("**", "/a/b", true, true),
            // composed and decomposed forms of one name
            ("/각", "/\u{1100}\u{1161}\u{11a8}", true, true),
            ("/\u{1100}\u{1161}\u{11a8}", "/각", true, true),
        ];
        let drive = DriveId::new("me");
        for (glob, path, covers, below) in table {
            let is_folder = path.ends_with('/');
            let trimmed = if *path == "/" {
                path
            } else {
                path.trim_end_matches('/')
            };
            assert_eq!(
                Glob::new(glob).unwrap().reach(&drive, trimmed, is_folder),
                Reach {
                    covers: *covers,
                    below: *below
                },
                "{glob} on {path}"
            );
        }
    }

    #[test]
    fn a_glob_may_be_for_some_drives_only() {
        let glob = Glob::new("sharedrives/*:/Old/**").unwrap();
        assert!(glob.covers(&DriveId::new("sharedrives/@21"), "/Old/a", false));
        assert!(!glob.covers(&DriveId::new("me"), "/Old/a", false));
        assert!(!glob.covers(&DriveId::new("users/u/sharedfolders/5"), "/Old/a", false));
        assert_eq!(glob.as_str(), "sharedrives/*:/Old/**");
        let own = Glob::new("me:/*.tmp").unwrap();
        assert!(own.covers(&DriveId::new("me"), "/a.tmp", false));
        assert!(!own.covers(&DriveId::new("me"), "/b/a.tmp", false));
    }

    #[test]
    fn globs_that_mean_nothing_are_refused() {
        for (glob, reason) in [
            ("", "it is empty"),
            ("/", "it is empty"),
            ("[a", OPEN_BRACKET),
            ("[", OPEN_BRACKET),
            ("[!", OPEN_BRACKET),
            ("a{b", OPEN_BRACE),
            ("a\\", ENDS_IN_BACKSLASH),
            ("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", TOO_MANY),
            (&format!("{{{}}}", ",".repeat(256)), TOO_MANY),
            (&"a".repeat(LONGEST + 1), "it has more than 10,000 bytes"),
        ] {
            assert_eq!(Glob::new(glob).unwrap_err().reason, reason, "{glob}");
        }
    }

    /// The same question answered the slow and plain way, for letters and `*` only.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|cut| naive(rest, &name[cut..])),
            Some((letter, rest)) => name
                .split_first()
                .is_some_and(|(first, after)| first == letter && naive(rest, after)),
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(glob in "\\PC*", path in "(/\\PC{0,9}){0,4}") {
            if let Ok(glob) = Glob::new(&glob) {
                glob.reach(&DriveId::new("me"), &path, false);
            }
        }

        #[test]
        fn stars_agree_with_the_plain_way(pattern in "[ab*]{1,8}", name in "[ab]{1,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            let glob = Glob::new(&format!("/{pattern}x")).unwrap();
            prop_assert_eq!(
                glob.covers(&DriveId::new("me"), &format!("/{name}x"), false),
                naive(&letters(&pattern), &letters(&name))
            );
        }
    }
}
