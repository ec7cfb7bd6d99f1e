//! A TOML or JSON text as one tree that knows where each key and value stands.

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Problem};

/// The notation of a job or tenant file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML, for people: it may hold comments.
    Toml,
    /// JSON, for programs.
    Json,
}

impl Format {
    /// JSON for names that end in `.json`, else TOML.
    pub fn of(file_name: &str) -> Format {
        if file_name.to_ascii_lowercase().ends_with(".json") {
            Format::Json
        } else {
            Format::Toml
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Toml => "TOML",
            Format::Json => "JSON",
        }
    }
}

/// Line and column, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Integer(i64),
    /// A number with decimals, or too large to count with.
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Member>),
}

/// A key of a table with its value.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) node: Node,
}

/// Reads a text. Of a text that is broken, all faults that can be told apart come back.
pub(super) fn read(text: &str, format: Format, file: &str) -> Result<Node, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::new(text);
    let problem = |at: Option<Position>, found: String| Problem {
        file: file.to_owned(),
        line: at.map(|at| at.line),
        column: at.map(|at| at.column),
        key: String::new(),
        fault: Fault::Syntax,
        found,
        expected: format.name().to_owned(),
    };
    match format {
        Format::Toml => {
            let (table, errors) = DeTable::parse_recoverable(text);
            if errors.is_empty() {
                let at = Position { line: 1, column: 1 };
                return Ok(Node {
                    at,
                    value: from_toml_table(table.get_ref(), &lines),
                });
            }
            // Only the message: the error's own print shows the line, and a line may hold a secret.
            Err(errors
                .iter()
                .map(|error| {
                    let at = error.span().map(|span| lines.position(span.start));
                    problem(at, error.message().to_owned())
                })
                .collect())
        }
        Format::Json => {
            if let Err(error) = serde_json::from_str::<Json>(text) {
                let at = Position {
                    line: error.line(),
                    column: error.column(),
                };
                let full = error.to_string();
                let message = full.split(" at line ").next().unwrap_or(&full);
                return Err(vec![problem(Some(at), message.to_owned())]);
            }
            let mut reader = JsonReader {
                text,
                offset: 0,
                lines: &lines,
                repeated: Vec::new(),
            };
            let node = reader.node();
            if reader.repeated.is_empty() {
                return Ok(node);
            }
            Err(reader
                .repeated
                .iter()
                .map(|at| problem(Some(*at), "this key is there twice".to_owned()))
                .collect())
        }
    }
}

impl Node {
    /// The member of that name, if this is a table that has one.
    pub(super) fn member(&self, key: &str) -> Option<&Member> {
        match &self.value {
            Value::Table(members) => members.iter().find(|member| member.key == key),
            _ => None,
        }
    }

    /// Where the key of a path such as `limits.transfers` or `drives[2]` stands, or its nearest table that does.
    pub(super) fn position(&self, path: &str) -> Option<Position> {
        let mut here = self;
        let mut found = None;
        for part in path.split('.') {
            let (key, indexes) = part.split_once('[').unwrap_or((part, ""));
            let Some(member) = here.member(key) else {
                break;
            };
            here = &member.node;
            found = Some(member.at);
            for index in indexes.split('[').filter(|text| !text.is_empty()) {
                let number: Option<usize> = index.trim_end_matches(']').parse().ok();
                match (&here.value, number) {
                    (Value::List(items), Some(number)) if number < items.len() => {
                        here = items.get(number).unwrap_or(here);
                        found = Some(here.at);
                    }
                    _ => break,
                }
            }
        }
        found
    }

    /// The tree as plain JSON.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Flag(flag) => Json::Bool(*flag),
            Value::Integer(number) => Json::Number((*number).into()),
            Value::Number(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Table(members) => Json::Object(
                members
                    .iter()
                    .map(|member| (member.key.clone(), member.node.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// The offsets at which lines begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Lines { text, starts }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        Position {
            line,
            column: before.chars().count() + 1,
        }
    }
}

fn from_toml(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let at = lines.position(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Number(f64::MAX),
        },
        DeValue::Float(number) => Value::Number(number.as_str().parse().unwrap_or(f64::MAX)),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| from_toml(item, lines)).collect()),
        DeValue::Table(table) => from_toml_table(table, lines),
    };
    Node { at, value }
}

fn from_toml_table(table: &DeTable<'_>, lines: &Lines<'_>) -> Value {
    let mut members: Vec<Member> = table
        .iter()
        .map(|(key, value)| Member {
            key: key.get_ref().clone().into_owned(),
            at: lines.position(key.span().start),
            node: from_toml(value, lines),
        })
        .collect();
    members.sort_by_key(|member| (member.at.line, member.at.column));
    Value::Table(members)
}

/// Walks over a text that is known to be JSON, and notes where things stand.
struct JsonReader<'a> {
    text: &'a str,
    offset: usize,
    lines: &'a Lines<'a>,
    repeated: Vec<Position>,
}

impl JsonReader<'_> {
    fn node(&mut self) -> Node {
        let next = self.peek();
        let at = self.lines.position(self.offset);
        let value = match next {
            Some(b'{') => self.table(),
            Some(b'[') => {
                self.offset += 1;
                let mut items = Vec::new();
                while !matches!(self.peek(), Some(b']') | None) {
                    items.push(self.node());
                    self.pass(b',');
                }
                self.pass(b']');
                Value::List(items)
            }
            Some(b'"') => Value::Text(self.string()),
            _ => self.word(),
        };
        Node { at, value }
    }

    fn table(&mut self) -> Value {
        self.offset += 1;
        let mut members: Vec<Member> = Vec::new();
        while self.peek() == Some(b'"') {
            let at = self.lines.position(self.offset);
            let key = self.string();
            self.pass(b':');
            let node = self.node();
            self.pass(b',');
            if members.iter().any(|member| member.key == key) {
                self.repeated.push(at);
            }
            members.push(Member { key, at, node });
        }
        self.pass(b'}');
        Value::Table(members)
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.offset..)?;
        let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.offset += blanks;
        rest.get(blanks).copied()
    }

    fn pass(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.offset += 1;
        }
    }

    fn string(&mut self) -> String {
        let rest = self.text.as_bytes().get(self.offset..).unwrap_or(&[]);
        let mut length = 1;
        while let Some(byte) = rest.get(length) {
            length += match byte {
                b'\\' => 2,
                _ => 1,
            };
            if *byte == b'"' {
                break;
            }
        }
        let raw = self.text.get(self.offset..self.offset + length);
        self.offset += length;
        raw.and_then(|raw| serde_json::from_str(raw).ok())
            .unwrap_or_default()
    }

    /// `null`, `true`, `false` or a number.
    fn word(&mut self) -> Value {
        let rest = self.text.get(self.offset..).unwrap_or("");
        let length = rest
            .find(|letter: char| ",]}".contains(letter) || letter.is_ascii_whitespace())
            .unwrap_or(rest.len());
        self.offset += length;
        match rest.get(..length).unwrap_or("") {
            "null" => Value::Null,
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            number => match number.parse() {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Number(number.parse().unwrap_or(f64::MAX)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_notations_give_one_tree_with_places() {
        let toml = "a = 1\nb = [\"x\", \"é\\n\"]\n[t]\n  c = { d = true }\n";
        let json = "{\"a\": 1,\n\"b\":\n [\"x\", \"\u{e9}\\n\"],\n\"t\":\n {\"c\": {\"d\":true}}}\n";
        let from_toml = read(toml, Format::Toml, "f").unwrap();
        let from_json = read(json, Format::Json, "f").unwrap();
        assert_eq!(from_toml.to_json(), from_json.to_json());
        let place = |node: &Node, path: &str| node.position(path).map(|at| (at.line, at.column));
        for (path, in_toml, in_json) in [
            ("a", Some((1, 1)), Some((1, 2))),
            ("b[1]", Some((2, 11)), Some((3, 8))),
            ("t.c.d", Some((4, 9)), Some((5, 9))),
            ("t.missing", Some((3, 2)), Some((4, 1))),
            ("missing", None, None),
        ] {
            assert_eq!(place(&from_toml, path), in_toml, "{path}");
            assert_eq!(place(&from_json, path), in_json, "{path}");
        }
    }

    #[test]
    fn broken_texts_say_where() {
        for (format, text, expected) in [
            (
                Format::Toml,
                "a = 1\nb = \n",
                "f:2: this is not TOML: string values must be quoted, expected literal string",
            ),
            (
                Format::Toml,
                "a = 1\na = 2\n",
                "f:2: this is not TOML: duplicate key",
            ),
            (
                Format::Json,
                "{\"a\": 1,\n}",
                "f:2: this is not JSON: trailing comma",
            ),
            (
                Format::Json,
                "{\"a\": 1,\n\"a\": 2}",
                "f:2: this is not JSON: this key is there twice",
            ),
            (
                Format::Json,
                "",
                "f:1: this is not JSON: EOF while parsing a value",
            ),
        ] {
            let problems = read(text, format, "f").unwrap_err();
            assert_eq!(problems.first().unwrap().to_string(), expected, "{text}");
        }
        assert!(read("\u{feff}a = 1", Format::Toml, "f").is_ok());
    }
}
