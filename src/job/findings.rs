//! Collects what is wrong with a file, each with its place.

use super::problem::{Fault, Problem};
use super::tree::{Node, Value};

/// The problems found so far, and the tree that tells where each key stands.
pub(super) struct Findings<'a> {
    tree: &'a Node,
    file: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(tree: &'a Node, file: &'a str) -> Findings<'a> {
        Findings {
            tree,
            file,
            problems: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, key: &str, fault: Fault, found: &str, expected: &str) {
        let at = self.tree.position(key);
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: at.map(|at| at.line),
            column: at.map(|at| at.column),
            key: key.to_owned(),
            fault,
            found: found.to_owned(),
            expected: expected.to_owned(),
        });
    }

    /// Notes a missing key unless it is there.
    pub(super) fn require(&mut self, is_there: bool, key: &str, expected: &str) {
        let is_noted = self.problems.iter().any(|problem| problem.key == key);
        if !is_there && !is_noted {
            self.add(key, Fault::MissingKey, "", expected);
        }
    }

    /// Whether the file has that key.
    pub(super) fn has(&self, key: &str) -> bool {
        let mut here = self.tree;
        for part in key.split('.') {
            match here.member(part) {
                Some(member) => here = &member.node,
                None => return false,
            }
        }
        !matches!(here.value, Value::Null)
    }

    pub(super) fn end<T>(mut self, value: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        self.problems
            .sort_by_key(|problem| (problem.line.is_none(), problem.line, problem.column));
        Err(self.problems)
    }
}
