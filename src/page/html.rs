//! A page under construction: what is fixed is markup, and everything else is escaped.

use std::fmt::Write as _;

use crate::report::printable;

/// Characters of a name that are shown at most; a longer one loses its middle.
pub(super) const NAME_SHOWN: usize = 160;

/// HTML as it grows. Markup can only be a text of this program, known when it is compiled, so that nothing from outside becomes markup.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Fixed markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Text, with invisible characters as codes.
    pub(super) fn text(&mut self, text: &str) -> &mut Html {
        escape(&printable(text), &mut self.0);
        self
    }

    /// Anything that prints, as text.
    pub(super) fn show(&mut self, value: impl std::fmt::Display) -> &mut Html {
        let text = value.to_string();
        self.text(&text)
    }

    /// A name from outside: shortened, with invisible characters as codes, and kept from turning the direction of the text around it.
    pub(super) fn name(&mut self, name: &str) -> &mut Html {
        self.raw("<bdi>").text(&shown(name)).raw("</bdi>")
    }

    /// An attribute, with a space before it.
    pub(super) fn attribute(&mut self, name: &'static str, value: impl std::fmt::Display) -> &mut Html {
        self.raw(" ").raw(name).raw("=\"").show(value).raw("\"")
    }

    /// JSON for a data block: no character in it can end the block.
    pub(super) fn data(&mut self, json: &serde_json::Value) -> &mut Html {
        for character in json.to_string().chars() {
            match character {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(character));
                }
                other => self.0.push(other),
            }
        }
        self
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> usize {
        self.0.len()
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A name as a page shows it, not escaped yet: its middle is left out where it is long, and control characters and those that turn the
/// writing direction are codes.
pub(super) fn shown(name: &str) -> String {
    shortened(name, NAME_SHOWN)
}

/// The same with another length, in characters.
pub(super) fn shortened(name: &str, length: usize) -> String {
    // A name of a mebibyte is cut before each of its characters is looked at.
    let text = printable(&cut(name, length));
    cut(&text, length)
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let head = length / 3;
    let tail = length - head - 1;
    let mut short: String = text.chars().take(head).collect();
    short.push('…');
    let end: Vec<char> = text.chars().rev().take(tail).collect();
    short.extend(end.into_iter().rev());
    short
}

fn escape(text: &str, target: &mut String) {
    for character in text.chars() {
        match character {
            '&' => target.push_str("&amp;"),
            '<' => target.push_str("&lt;"),
            '>' => target.push_str("&gt;"),
            '"' => target.push_str("&quot;"),
            '\'' => target.push_str("&#39;"),
            other => target.push(other),
        }
    }
}
