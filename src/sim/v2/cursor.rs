//! Pages of lists, and the opaque cursors between them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Refusal;
use crate::sim::content::mix;
use crate::sim::form::Form;
use crate::sim::tree::Node;

/// Bytes that Base64 writes as `+/+/`: every cursor has the characters that a client must encode.
const AWKWARD: [u8; 3] = [0xfb, 0xff, 0xbf];
/// Items of a page when `count` is not given (API 2.0 docs, group-folder-file-root-list).
const DEFAULT_COUNT: usize = 20;
/// Largest `count` of a Drive list (as above).
const LARGEST_COUNT: usize = 200;

/// A place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Which list: another list's cursor is refused.
    pub(super) list: u64,
    /// Items before this place.
    pub(super) offset: usize,
    /// The item before this place, so that it is found again when the list has changed.
    pub(super) last: u32,
}

impl Cursor {
    /// The start of a list.
    pub(super) fn start(list: u64) -> Self {
        Self {
            list,
            offset: 0,
            last: u32::MAX,
        }
    }

    pub(super) fn write(self) -> String {
        let mut plain = AWKWARD.to_vec();
        plain.extend_from_slice(format!("{:x},{},{}", self.list, self.offset, self.last).as_bytes());
        // The padding is part of what a client must encode.
        while plain.len() % 3 != 1 {
            plain.push(b' ');
        }
        STANDARD.encode(plain)
    }

    /// Reads a cursor of this list.
    pub(super) fn read(text: &str, list: u64) -> Result<Self, Refusal> {
        let read = || {
            let plain = STANDARD.decode(text).ok()?;
            let plain = std::str::from_utf8(plain.strip_prefix(&AWKWARD)?).ok()?;
            let mut parts = plain.trim_end().split(',');
            Some(Self {
                list: u64::from_str_radix(parts.next()?, 16).ok()?,
                offset: parts.next()?.parse().ok()?,
                last: parts.next()?.parse().ok()?,
            })
        };
        read()
            .filter(|cursor| cursor.list == list)
            .ok_or_else(|| Refusal::invalid("cursor is not valid"))
    }

    /// The place of the next item in the list as it is now.
    fn position(self, nodes: &[Node]) -> usize {
        let before = self.offset.min(nodes.len());
        let is_last = |index: &usize| nodes.get(*index).is_some_and(|node| node.0 == self.last);
        if before == 0 || is_last(&(before - 1)) {
            return before;
        }
        match (0..before).rev().find(is_last) {
            Some(index) => index + 1,
            // The item itself is gone: at least one place has moved up.
            None => before - 1,
        }
    }
}

/// A page of nodes.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) nodes: &'a [Node],
    /// Where this page began.
    pub(super) own: Cursor,
    /// Where the next one begins, when there is more.
    pub(super) next: Option<Cursor>,
}

/// The `count` of a Drive list.
pub(super) fn count(query: &Form) -> Result<usize, Refusal> {
    match query.get("count") {
        None => Ok(DEFAULT_COUNT),
        Some(text) => text
            .parse()
            .ok()
            .filter(|count| (1..=LARGEST_COUNT).contains(count))
            .ok_or_else(|| Refusal::invalid("count must be 1 to 200")),
    }
}

/// A number for a list, from what the list is about.
pub(super) fn list_number(kind: u64, about: u64, order: &str) -> u64 {
    order.bytes().fold(mix(kind ^ mix(about)), |number, byte| {
        mix(number ^ u64::from(byte))
    })
}

/// The page that a query asks for.
pub(super) fn page<'a>(nodes: &'a [Node], list: u64, query: &Form, most: usize) -> Result<Page<'a>, Refusal> {
    let count = count(query)?.min(most.max(1));
    let own = match query.get("cursor") {
        Some(text) => Cursor::read(text, list)?,
        None => Cursor::start(list),
    };
    let from = own.position(nodes);
    let to = from.saturating_add(count).min(nodes.len());
    let nodes_of_page = nodes.get(from..to).unwrap_or_default();
    let next = nodes_of_page
        .last()
        .filter(|_| to < nodes.len())
        .map(|last| Cursor {
            list,
            offset: to,
            last: last.0,
        });
    Ok(Page {
        nodes: nodes_of_page,
        own,
        next,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Cursor, Form, Node, page};

    #[test]
    fn cursors_need_encoding_and_refuse_mangling() {
        let cursor = Cursor {
            list: 7,
            offset: 200,
            last: 31,
        };
        let text = cursor.write();
        assert!(
            text.contains('+') && text.contains('/') && text.ends_with('='),
            "{text}"
        );
        assert_eq!(Cursor::read(&text, 7).unwrap(), cursor);
        assert!(Cursor::read(&text.replace('+', " "), 7).is_err());
        assert!(Cursor::read(&text, 8).is_err());
    }

    #[test]
    fn a_list_that_shrinks_between_pages_loses_nothing_that_stays() {
        let all: Vec<Node> = (0..10).map(Node).collect();
        let first = page(&all, 1, &Form::parse("count=4"), 200).unwrap();
        let next = super::super::super::form::encode(&first.next.unwrap().write());
        let shrunk: Vec<Node> = all
            .iter()
            .copied()
            .filter(|node| node.0 != 1 && node.0 != 7)
            .collect();
        let second = page(&shrunk, 1, &Form::parse(&format!("count=4&cursor={next}")), 200).unwrap();
        assert_eq!(second.nodes, [Node(4), Node(5), Node(6), Node(8)]);
        assert!(page(&all, 1, &Form::parse("count=201"), 200).is_err());
        assert!(page(&all, 1, &Form::parse("count=0"), 200).is_err());
    }
}
