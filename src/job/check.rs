//! Holds a file's tree against the schema and names everything that does not fit, each with its place.

use serde_json::{Map, Value as Schema};

use super::problem::{Fault, Problem, nearest};
use super::raw_tenant::SECRET;
use super::tree::{Node, Position, Value};
use super::word;

/// How to refer to a secret, for the message that refuses one.
pub(super) const REFERENCE: &str = "a reference such as { env = \"WORKS_TOKEN\" }, { file = \"works.token\" } or { command = [\"pass\", \"works\"] }";

/// Everything in `node` that the schema does not allow, in the order of the file.
pub(super) fn check(node: &Node, schema: &Schema, file: &str) -> Vec<Problem> {
    let mut check = Check {
        root: schema,
        file,
        problems: Vec::new(),
    };
    check.node(node, schema, "", false);
    check
        .problems
        .sort_by_key(|problem| (problem.line.is_none(), problem.line, problem.column));
    check.problems
}

struct Check<'a> {
    root: &'a Schema,
    file: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn node(&mut self, node: &Node, schema: &'a Schema, path: &str, secret: bool) {
        let is_secret = is_secret(schema);
        let secret = secret || is_secret;
        if is_secret && !matches!(node.value, Value::Table(_) | Value::Null) {
            let found = match &node.value {
                Value::Text(_) => "a secret written in clear".to_owned(),
                _ => kind_of(&node.value).to_owned(),
            };
            return self.wrong(node.at, path, found, REFERENCE.to_owned());
        }
        let schema = self.follow(schema);
        let branches = ["anyOf", "oneOf"]
            .iter()
            .find_map(|key| schema.get(*key))
            .and_then(Schema::as_array);
        if let Some(words) = words_of(schema) {
            return self.choice(node, &words, path, secret);
        }
        if let Some(branches) = branches {
            let fitting = branches
                .iter()
                .find(|branch| self.takes(self.follow(branch), &node.value));
            match fitting {
                Some(branch) => self.node(node, branch, path, secret),
                None => {
                    let expected: Vec<String> = branches
                        .iter()
                        .map(|branch| self.follow(branch))
                        .filter(|branch| branch.get("type") != Some(&Schema::from("null")))
                        .map(|branch| self.expected(branch))
                        .collect();
                    self.wrong(node.at, path, show(&node.value, secret), expected.join(" or "));
                }
            }
            return;
        }
        if !self.takes(schema, &node.value) {
            return self.wrong(node.at, path, show(&node.value, secret), self.expected(schema));
        }
        match &node.value {
            Value::Text(text) => self.text(node.at, text, schema, path, secret),
            Value::Integer(number) => {
                self.integer(node, *number, schema, path, secret);
                if schema.get("type").is_some_and(Schema::is_array) {
                    self.text(node.at, &number.to_string(), schema, path, secret);
                }
            }
            Value::List(items) => {
                let least = schema.get("minItems").and_then(Schema::as_u64).unwrap_or(0);
                if (items.len() as u64) < least {
                    self.wrong(
                        node.at,
                        path,
                        "an empty list".to_owned(),
                        "at least one".to_owned(),
                    );
                }
                if let Some(items_schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        let path = format!("{path}[{index}]");
                        // A key may be null, which is as good as not there; an item may not.
                        if matches!(item.value, Value::Null) {
                            let expected = self.expected(items_schema);
                            self.wrong(item.at, &path, show(&item.value, secret), expected);
                        } else {
                            self.node(item, items_schema, &path, secret);
                        }
                    }
                }
            }
            Value::Table(_) => self.table(node, schema, path, secret),
            Value::Null | Value::Flag(_) | Value::Number(_) => {}
        }
    }

    fn table(&mut self, node: &Node, schema: &'a Schema, path: &str, secret: bool) {
        let Value::Table(members) = &node.value else {
            return;
        };
        let empty = Map::new();
        let known = schema.get("properties").and_then(Schema::as_object);
        let others = schema.get("additionalProperties");
        for member in members {
            let key = join(path, &member.key);
            match (known.and_then(|known| known.get(&member.key)), others) {
                (Some(schema), _) => self.node(&member.node, schema, &key, secret),
                (None, Some(schema)) if schema.is_object() => {
                    self.node(&member.node, schema, &key, secret);
                }
                _ => {
                    let keys = known.unwrap_or(&empty).keys().map(String::as_str);
                    let (fault, expected) = match nearest(&member.key, keys.clone()) {
                        Some(near) => (Fault::Misspelt, near.to_owned()),
                        None => (Fault::UnknownKey, keys.collect::<Vec<_>>().join(", ")),
                    };
                    self.add(member.at, key, fault, String::new(), expected);
                }
            }
        }
        for required in schema
            .get("required")
            .and_then(Schema::as_array)
            .into_iter()
            .flatten()
            .filter_map(Schema::as_str)
        {
            let given = node
                .member(required)
                .filter(|member| !matches!(member.node.value, Value::Null));
            if given.is_none() {
                let property = known.and_then(|known| known.get(required));
                let mut expected = property.map_or_else(String::new, |schema| self.expected(schema));
                if let Some(about) = property.and_then(description) {
                    expected = format!("{expected} ({about})");
                }
                let key = join(path, required);
                self.add(node.at, key, Fault::MissingKey, String::new(), expected);
                // The file as a whole has no line of its own.
                if path.is_empty()
                    && let Some(problem) = self.problems.last_mut()
                {
                    (problem.line, problem.column) = (None, None);
                }
            }
        }
        let most = schema.get("maxProperties").and_then(Schema::as_u64);
        if let Some(most) = most
            && members.len() as u64 != most
        {
            let found = if members.is_empty() {
                "none"
            } else {
                "more than one"
            };
            let keys: Vec<&str> = known.unwrap_or(&empty).keys().map(String::as_str).collect();
            self.wrong(
                node.at,
                path,
                found.to_owned(),
                format!("exactly one of {}", keys.join(", ")),
            );
        }
    }

    fn choice(&mut self, node: &Node, words: &[&str], path: &str, secret: bool) {
        let text = match &node.value {
            Value::Text(text) if words.contains(&text.as_str()) => return,
            Value::Null => return,
            Value::Text(text) => Some(text),
            _ => None,
        };
        let mut expected = one_of(words);
        if let Some(near) = text.and_then(|text| nearest(text, words.iter().copied())) {
            expected = format!("{expected}; did you mean \"{near}\"?");
        }
        self.wrong(node.at, path, show(&node.value, secret), expected);
    }

    fn text(&mut self, at: Position, text: &str, schema: &Schema, path: &str, secret: bool) {
        let format = schema.get("format").and_then(Schema::as_str);
        let Some(rule) = format.and_then(word::rule) else {
            return;
        };
        if let Err(reason) = (rule.check)(text) {
            let shown = rule.shown && !secret;
            let mut found = match (shown, text.is_empty()) {
                (true, _) => quote(text),
                (false, true) => "an empty text".to_owned(),
                (false, false) => "a text that is not one (not shown, as it may be secret)".to_owned(),
            };
            if !reason.is_empty() {
                found = format!("{found} ({reason})");
            }
            self.wrong(at, path, found, rule.expected.to_owned());
        }
    }

    fn integer(&mut self, node: &Node, number: i64, schema: &Schema, path: &str, secret: bool) {
        let bound = |key: &str| schema.get(key).and_then(Schema::as_i64);
        let too_small = bound("minimum").is_some_and(|least| number < least);
        let too_large = bound("maximum").is_some_and(|most| number > most);
        // The widths of numbers that carry no maximum in the schema.
        let too_wide =
            schema.get("format").and_then(Schema::as_str) == Some("uint32") && number > i64::from(u32::MAX);
        if too_small || too_large || too_wide {
            self.wrong(node.at, path, show(&node.value, secret), self.expected(schema));
        }
    }

    /// The schema itself, or the one it refers to.
    fn follow(&self, schema: &'a Schema) -> &'a Schema {
        let name = schema
            .get("$ref")
            .and_then(Schema::as_str)
            .and_then(|text| text.strip_prefix("#/$defs/"));
        match name.and_then(|name| self.root.get("$defs")?.get(name)) {
            Some(target) => target,
            None => schema,
        }
    }

    /// Whether a value is of a type that the schema takes.
    fn takes(&self, schema: &'a Schema, value: &Value) -> bool {
        if words_of(schema).is_some() {
            return matches!(value, Value::Text(_));
        }
        if let Some(branches) = ["anyOf", "oneOf"]
            .iter()
            .find_map(|key| schema.get(*key))
            .and_then(Schema::as_array)
        {
            return branches
                .iter()
                .any(|branch| self.takes(self.follow(branch), value));
        }
        let own: &[&str] = match value {
            Value::Null => &["null"],
            Value::Flag(_) => &["boolean"],
            Value::Integer(_) => &["integer", "number"],
            Value::Number(_) => &["number"],
            Value::Text(_) => &["string"],
            Value::List(_) => &["array"],
            Value::Table(_) => &["object"],
        };
        match schema.get("type") {
            Some(Schema::String(kind)) => own.contains(&kind.as_str()),
            Some(Schema::Array(kinds)) => kinds
                .iter()
                .filter_map(Schema::as_str)
                .any(|kind| own.contains(&kind)),
            _ => true,
        }
    }

    /// What the schema takes, in words.
    fn expected(&self, schema: &'a Schema) -> String {
        if is_secret(schema) {
            return REFERENCE.to_owned();
        }
        let schema = self.follow(schema);
        if let Some(words) = words_of(schema) {
            return one_of(&words);
        }
        if let Some(branches) = ["anyOf", "oneOf"]
            .iter()
            .find_map(|key| schema.get(*key))
            .and_then(Schema::as_array)
        {
            let parts: Vec<String> = branches
                .iter()
                .filter(|branch| branch.get("type") != Some(&Schema::from("null")))
                .map(|branch| self.expected(branch))
                .collect();
            return parts.join(" or ");
        }
        let format = schema.get("format").and_then(Schema::as_str);
        if let Some(rule) = format.and_then(word::rule) {
            return rule.expected.to_owned();
        }
        let kind = match schema.get("type") {
            Some(Schema::Array(kinds)) => kinds.first().and_then(Schema::as_str),
            other => other.and_then(Schema::as_str),
        };
        match kind {
            Some("boolean") => "true or false".to_owned(),
            Some("integer") => {
                let bound = |key: &str| schema.get(key).and_then(Schema::as_u64);
                match (bound("minimum"), bound("maximum")) {
                    (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
                    (Some(least), None) => format!("a whole number, at least {least}"),
                    _ => "a whole number".to_owned(),
                }
            }
            Some("array") => "a list".to_owned(),
            Some("object") => "a table".to_owned(),
            _ => "a text".to_owned(),
        }
    }

    fn wrong(&mut self, at: Position, path: &str, found: String, expected: String) {
        self.add(at, path.to_owned(), Fault::WrongValue, found, expected);
    }

    fn add(&mut self, at: Position, key: String, fault: Fault, found: String, expected: String) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: Some(at.line),
            column: Some(at.column),
            key,
            fault,
            found,
            expected,
        });
    }
}

/// The words of a schema that is a choice of words.
fn words_of(schema: &Schema) -> Option<Vec<&str>> {
    fn collect<'a>(schema: &'a Schema, words: &mut Vec<&'a str>) -> bool {
        if let Some(word) = schema.get("const").and_then(Schema::as_str) {
            words.push(word);
            return true;
        }
        if let Some(list) = schema.get("enum").and_then(Schema::as_array) {
            words.extend(list.iter().filter_map(Schema::as_str));
            return true;
        }
        match schema.get("oneOf").and_then(Schema::as_array) {
            Some(branches) => branches.iter().all(|branch| collect(branch, words)),
            None => false,
        }
    }
    let mut words = Vec::new();
    (collect(schema, &mut words) && !words.is_empty()).then_some(words)
}

/// The first sentence of what a key is for, to stand inside another sentence.
fn description(schema: &Schema) -> Option<String> {
    let text = schema.get("description")?.as_str()?;
    let sentence = text.split(['.', ':']).next()?;
    let mut letters = sentence.chars();
    let first = letters.next()?;
    Some(first.to_lowercase().chain(letters).collect())
}

/// Whether the schema stands for a secret, be it an optional one.
fn is_secret(schema: &Schema) -> bool {
    let branches = schema.get("anyOf").and_then(Schema::as_array);
    schema.get(SECRET).is_some() || branches.is_some_and(|branches| branches.iter().any(is_secret))
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        all => all.join(", "),
    }
}

fn join(path: &str, key: &str) -> String {
    // A key is printed in one line and at a bounded length, whatever the file holds.
    let key: String = key.escape_debug().take(80).collect();
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Flag(_) => "true or false",
        Value::Integer(_) | Value::Number(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

fn show(value: &Value, secret: bool) -> String {
    match value {
        Value::Text(text) if !secret => quote(text),
        Value::Integer(number) if !secret => number.to_string(),
        Value::Number(number) if !secret && *number < f64::MAX => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        other => kind_of(other).to_owned(),
    }
}

fn quote(text: &str) -> String {
    let longest = 60;
    let mut short: String = text.chars().take(longest).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
