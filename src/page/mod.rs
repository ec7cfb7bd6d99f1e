//! An archive as one self-contained HTML page: no network, no framework, readable without its script.
//!
//! Pure: rows go into an [`Aggregate`], times come as arguments, and [`write()`] gives bytes. Memory and page are bounded
//! whatever the number of rows. Every name is hostile: markup can only be a text of this program (see `html`), what comes
//! from outside is escaped there, and a content security policy lets nothing run but the one script whose hash it names.
//!
//! A template engine would escape as well, but it would also take markup from a variable when told to; a dozen lines that
//! cannot are easier to trust, and the page has more loops than layout.

mod aggregate;
mod chart;
mod figures;
mod html;
mod index;
mod lists;
mod sections;
mod table;
mod tally;
mod tree;
mod words;

use std::io::{self, Write};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::id::SnapshotId;

pub use aggregate::Aggregate;
pub use index::{Index, IndexLine, write_index};
pub use words::{Language, UnknownLanguage};

use html::Html;
use words::Texts;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What a page tells beyond the rows of the manifest.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The language of the page.
    pub language: Language,
    /// The zone that times are shown in.
    pub zone: TimeZone,
    /// The tenant's or job's name.
    pub title: &'a str,
    /// The snapshot.
    pub snapshot: &'a SnapshotId,
    /// How its run ended, a word of [`crate::report::Status`].
    pub status: &'a str,
    /// What a person should know first: warnings and alarms, as sentences.
    pub warnings: &'a [String],
    /// What changed since the snapshot before, if that is known.
    pub changes: Option<Changes<'a>>,
    /// The snapshots of the archive, oldest first, this one among them.
    pub nights: &'a [Night],
    /// The coverage statement of `TAIL.json`, or `null`.
    pub coverage: &'a Value,
    /// Requests of the run by API operation.
    pub calls: &'a [Calls],
    /// How long the run worked, in seconds; 0 where it is not known.
    pub seconds: f64,
    /// Requests per minute that the plan allows for each operation, where that is known.
    pub calls_per_minute: Option<u32>,
}

/// Counts of changes since an earlier snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// The earlier snapshot.
    pub since: &'a SnapshotId,
    /// A word of the comparison (`added`, `removed`, …) with the files and folders it was said of.
    pub counts: &'a [(&'a str, u64, u64)],
}

/// One snapshot in the trend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Night {
    /// When it began.
    pub time: Timestamp,
    /// How its run ended, a word of [`crate::report::Status`].
    pub status: String,
    /// Files it holds or lists.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were fetched in it.
    pub new_bytes: u64,
    /// Files and folders that failed.
    pub failures: u64,
    /// Requests in all.
    pub calls: u64,
    /// The busiest operation's requests in each minute, against what the plan allows: 0.5 is half of it.
    pub quota_share: Option<f64>,
}

/// Requests of one API operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Its name.
    pub operation: String,
    /// Requests sent.
    pub sent: u64,
    /// Of these, refused for the rate.
    pub limited: u64,
    /// Of these, failed otherwise.
    pub failed: u64,
}

/// Writes the page and returns its length in bytes, which is below 5 MB for any manifest.
///
/// # Errors
/// When `out` refuses.
pub fn write(mut out: impl Write, input: &Input<'_>, aggregate: &Aggregate) -> io::Result<u64> {
    let page = sections::page(input, aggregate);
    out.write_all(page.as_bytes())?;
    out.flush()?;
    Ok(page.len() as u64)
}

/// Everything before the content: document type, policy, style.
fn begin(html: &mut Html, language: Language, title: &str) {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        source_of(STYLE),
        source_of(SCRIPT)
    );
    html.raw("<!DOCTYPE html>\n<html").attribute("lang", language);
    html.raw(">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\"")
        .attribute("content", policy)
        .raw(">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta name=\"referrer\" content=\"no-referrer\">\n<link rel=\"icon\" href=\"data:,\">\n<title>")
        .text(title)
        .raw("</title>\n<style>")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body>\n");
}

/// Everything after it: the words and the tree for the script, and the script.
fn end(html: &mut Html, language: Language, tree: &[tree::Shown]) {
    let texts = language.texts();
    let nodes: Vec<Value> = tree
        .iter()
        .map(|node| json!([node.parent, node.name, node.sum.bytes, node.sum.files]))
        .collect();
    html.raw("<footer><p>")
        .text(&words::fill(texts.made, &[env!("CARGO_PKG_VERSION")]))
        .raw("</p></footer>\n<script type=\"application/json\" id=\"data\">")
        .data(&json!({ "language": texts.code, "texts": script_texts(texts), "tree": nodes }))
        .raw("</script>\n<script>")
        .raw(SCRIPT)
        .raw("</script>\n</body>\n</html>\n");
}

fn script_texts(texts: &Texts) -> Value {
    json!({
        "search": texts.search,
        "matches": texts.matches,
        "map": texts.sizes,
        "help": texts.map_help,
        "top": texts.map_top,
        "rest": texts.map_rest,
        "path": texts.map_path,
        "files": texts.files_n,
    })
}

/// How a policy names an inline style or script: by its SHA-256 (W3C Content Security Policy Level 3, section 2.3.1).
fn source_of(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests;
