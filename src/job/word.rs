//! Texts with a meaning: each kind of word a file may hold, how it is read, and what to say when it cannot be.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::time::Duration;

use jiff::civil;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::json;

use super::unit::{self, Moment, Requests, Share, Window};
use super::{SnapshotChoice, To};
use crate::entry::Scope;
use crate::filter::Glob;

/// A kind of word.
pub(super) trait Word {
    /// What it is read into.
    type Is;
    /// Its name in the schema's `format`.
    const FORMAT: &'static str;
    /// What was expected, when a text is not one.
    const EXPECTED: &'static str;
    /// Whether a plain number may stand for it.
    const NUMBER: bool = false;
    /// Whether a wrong text may be printed. Texts that could be a secret in the wrong place may not.
    const SHOWN: bool = true;
    /// Reads a text; an error is a reason, or empty where there is nothing to add.
    fn read(text: &str) -> Result<Self::Is, String>;
}

/// A word that was read.
pub(super) struct Written<W: Word>(pub(super) W::Is);

impl<W: Word> fmt::Debug for Written<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(W::FORMAT)
    }
}

impl<'de, W: Word> Deserialize<'de> for Written<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<W>(PhantomData<W>);
        impl<W: Word> Visitor<'_> for Reader<W> {
            type Value = Written<W>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(W::EXPECTED)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Written<W>, E> {
                W::read(text).map(Written).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Written<W>, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Written<W>, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<W: Word> JsonSchema for Written<W> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed(W::FORMAT)
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = Schema::default();
        let kinds = if W::NUMBER {
            json!(["string", "integer"])
        } else {
            json!("string")
        };
        schema.insert("type".to_owned(), kinds);
        schema.insert("format".to_owned(), json!(W::FORMAT));
        schema
    }
}

/// What the check of a file needs to know of a kind of word.
pub(super) struct Rule {
    pub(super) format: &'static str,
    pub(super) expected: &'static str,
    pub(super) shown: bool,
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// The rule of that format. Formats of the schema's own, such as `uint32`, have none.
pub(super) fn rule(format: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.format == format)
}

const fn rule_of<W: Word>() -> Rule {
    fn check<W: Word>(text: &str) -> Result<(), String> {
        W::read(text).map(drop)
    }
    Rule {
        format: W::FORMAT,
        expected: W::EXPECTED,
        shown: W::SHOWN,
        check: check::<W>,
    }
}

static RULES: &[Rule] = &[
    rule_of::<Size>(),
    rule_of::<Rate>(),
    rule_of::<Span>(),
    rule_of::<ShareWord>(),
    rule_of::<Clock>(),
    rule_of::<WindowWord>(),
    rule_of::<Zone>(),
    rule_of::<MomentWord>(),
    rule_of::<RequestsWord>(),
    rule_of::<ScopeWord>(),
    rule_of::<GlobWord>(),
    rule_of::<SnapshotWord>(),
    rule_of::<ToWord>(),
    rule_of::<Variable>(),
    rule_of::<SecretFile>(),
    rule_of::<Filled>(),
    rule_of::<HostWord>(),
];

/// Says how one kind of word is read.
macro_rules! word {
    ($(#[$meta:meta])* $name:ident is $is:ty, $format:literal, $expected:literal, $read:expr $(, $key:ident = $value:literal)*) => {
        $(#[$meta])*
        pub(super) struct $name;
        impl Word for $name {
            type Is = $is;
            const FORMAT: &'static str = $format;
            const EXPECTED: &'static str = $expected;
            $(const $key: bool = $value;)*
            fn read(text: &str) -> Result<$is, String> {
                let read: fn(&str) -> Result<$is, String> = $read;
                read(text)
            }
        }
    };
}

fn plain<T>(read: Option<T>) -> Result<T, String> {
    read.ok_or_else(String::new)
}

word!(Size is u64, "size", "a size such as \"50MB\", \"10GiB\" or a number of bytes", |text| plain(unit::size(text)), NUMBER = true);
word!(Rate is NonZeroU64, "rate", "a rate such as \"50MB/s\", or a number of bytes a second", |text| plain(unit::rate(text)), NUMBER = true);
word!(Span is Duration, "duration", "a duration such as \"90s\", \"26h\" or \"30d\"", |text| plain(unit::duration(text)));
word!(ShareWord is Share, "share", "a share from \"0%\" to \"100%\"", |text| plain(unit::share(text)));
word!(Clock is civil::Time, "clock", "a time of day such as \"01:30\"", |text| plain(unit::clock(text)));
word!(WindowWord is Window, "window", "a window such as \"01:00-05:30\"", |text| plain(unit::window(text)));
word!(Zone is TimeZone, "time-zone", "a time zone such as \"Asia/Tokyo\", \"Asia/Seoul\" or \"UTC\"", |text| plain(unit::zone(text)));
word!(MomentWord is Moment, "moment", "a date such as \"2026-04-01\", or a time such as \"2026-04-01T09:00:00+09:00\"", |text| plain(unit::moment(text)));
word!(RequestsWord is Requests, "requests", "\"auto\", \"unlimited\" or a number of calls a minute", |text| plain(unit::requests(text)), NUMBER = true);
word!(ScopeWord is Scope, "scope", "a drive: me, users/*, users/<id or mail>, sharedrives/*, sharedrives/<id>, groups/*, groups/<id>, me/sharedfolders/* or key:<location>/<key>", |text| plain(text.parse().ok()));
word!(GlobWord is String, "glob", "a glob such as \"/Reports/**\" or \"*.tmp\"", |text| match Glob::new(text) {
    Ok(_) => Ok(text.to_owned()),
    Err(error) => Err(error.reason.to_owned()),
});
word!(SnapshotWord is SnapshotChoice, "snapshot", "\"latest\", a date such as \"2026-11-23\", or a snapshot such as \"2026-11-23T02-00-00Z\"", |text| plain(SnapshotChoice::read(text)));
word!(ToWord is To, "to", "\"original\", \"folder:<name>\" or \"file:<folder on this machine>\"", |text| plain(To::read(text)));
word!(
    /// The name of an environment variable. A wrong one is not printed: it may be the secret itself.
    Variable is String, "environment-variable", "the name of an environment variable such as \"WORKS_TOKEN\"", |text| {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        plain((!text.is_empty() && text.len() <= 128 && text.chars().all(is_name)).then(|| text.to_owned()))
    }, SHOWN = false);
word!(
    /// The name of a file that holds a secret. A wrong one is not printed: it may be the key itself.
    SecretFile is String, "secret-file", "the name of a file that holds the secret", |text| {
        plain((!text.is_empty() && !text.contains(['\n', '\r'])).then(|| text.to_owned()))
    }, SHOWN = false);
word!(Filled is String, "filled", "a text that is not empty", |text| {
    plain((!text.trim().is_empty()).then(|| text.to_owned()))
});
word!(HostWord is String, "host", "a host such as \"*.worksmobile.com\" or \"127.0.0.1:8080\", without https://", |text| {
    let is_host = |letter: char| letter.is_ascii_alphanumeric() || "-._:[]".contains(letter);
    let rest = text.strip_prefix("*.").unwrap_or(text);
    plain((!rest.is_empty() && rest.chars().all(is_host)).then(|| text.to_ascii_lowercase()))
});
