//! The files and folders of all drives, in one compact table: about 130 bytes for an entry.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::content::{Content, mix};
use super::people::Link;

/// A file or folder, as a place in the table. It stays the same for the entry's whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(super) u32);

/// One file or folder.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    /// Bytes; 0 for a folder.
    pub(super) size: u64,
    pub(super) seed: u64,
    /// Milliseconds since 1970, as the two times after it.
    pub(super) created: i64,
    pub(super) modified: i64,
    pub(super) accessed: i64,
    pub(super) parent: Node,
    pub(super) drive: u32,
    pub(super) flags: u16,
    pub(super) children: Option<Box<Children>>,
    pub(super) extra: Option<Box<Extra>>,
}

/// Bits of [`Entry::flags`].
pub(super) mod flag {
    pub(in crate::sim) const FOLDER: u16 = 1;
    pub(in crate::sim) const TRASHED: u16 = 1 << 1;
    pub(in crate::sim) const GONE: u16 = 1 << 2;
    pub(in crate::sim) const LOCKED: u16 = 1 << 3;
    pub(in crate::sim) const MALWARE: u16 = 1 << 4;
    pub(in crate::sim) const PROTECTED: u16 = 1 << 5;
    pub(in crate::sim) const IN_PROGRESS: u16 = 1 << 6;
    pub(in crate::sim) const HAS_PERMISSION: u16 = 1 << 7;
    pub(in crate::sim) const SHARED: u16 = 1 << 8;
    pub(in crate::sim) const EXIF: u16 = 1 << 9;
    pub(in crate::sim) const THUMBNAIL: u16 = 1 << 10;
    pub(in crate::sim) const INCOMPLETE: u16 = 1 << 11;
    pub(in crate::sim) const ROOT: u16 = 1 << 12;
}

/// What few entries have.
#[derive(Debug, Clone, Default)]
pub(super) struct Extra {
    /// Content that no seed makes.
    pub(super) content: Option<Content>,
    /// Earlier contents, oldest first.
    pub(super) revisions: Vec<Revision>,
    pub(super) link: Option<Link>,
    pub(super) permissions: Vec<super::people::Permission>,
    /// Fields added to the entry's object in both generations.
    pub(super) fields: Map<String, Value>,
    /// Position of the member who changed it last.
    pub(super) updated_by: Option<usize>,
    pub(super) trashed: Option<Trashed>,
}

#[derive(Debug, Clone)]
pub(super) struct Trashed {
    pub(super) at: i64,
    pub(super) by: Option<usize>,
    pub(super) original_path: String,
}

/// One content of a file.
#[derive(Debug, Clone)]
pub(super) struct Revision {
    pub(super) content: Content,
    pub(super) size: u64,
    pub(super) created: i64,
    pub(super) modified: i64,
    pub(super) by: Option<usize>,
}

/// The children of a folder, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Children {
    pub(super) list: Vec<Node>,
    /// Counts the changes of the list.
    pub(super) version: u32,
    /// Made when the folder is first written to and has many children.
    by_name: Option<HashMap<u64, Node>>,
}

/// From this number of children on, names are looked up in an index.
const INDEXED_FROM: usize = 32;

impl Entry {
    pub(super) fn is(&self, bits: u16) -> bool {
        self.flags & bits != 0
    }

    pub(super) fn is_folder(&self) -> bool {
        self.is(flag::FOLDER)
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.is(flag::TRASHED | flag::GONE)
    }

    pub(super) fn content(&self) -> Content {
        match self.extra.as_ref().and_then(|extra| extra.content.as_ref()) {
            Some(content) => content.clone(),
            None => Content::Seeded(self.seed),
        }
    }

    pub(super) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(super) fn set(&mut self, bits: u16, on: bool) {
        if on {
            self.flags |= bits;
        } else {
            self.flags &= !bits;
        }
    }
}

/// All entries.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: Vec<Entry>,
}

fn name_key(name: &str) -> u64 {
    name.bytes()
        .fold(name.len() as u64, |key, byte| mix(key ^ u64::from(byte)))
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.entries.reserve(more);
    }

    pub(super) fn get(&self, node: Node) -> Option<&Entry> {
        self.entries.get(node.0 as usize)
    }

    pub(super) fn get_mut(&mut self, node: Node) -> Option<&mut Entry> {
        self.entries.get_mut(node.0 as usize)
    }

    /// Adds an entry without a place in any folder.
    pub(super) fn push(&mut self, entry: Entry) -> Node {
        let node = Node(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        self.entries.push(entry);
        node
    }

    pub(super) fn children(&self, folder: Node) -> &[Node] {
        self.get(folder)
            .and_then(|entry| entry.children.as_ref())
            .map_or(&[], |children| children.list.as_slice())
    }

    pub(super) fn version(&self, folder: Node) -> u32 {
        self.get(folder)
            .and_then(|entry| entry.children.as_ref())
            .map_or(0, |children| children.version)
    }

    /// Puts `child` at the end of `folder`.
    pub(super) fn attach(&mut self, folder: Node, child: Node) {
        let key = self.get(child).map(|entry| name_key(&entry.name));
        if let Some(entry) = self.get_mut(child) {
            entry.parent = folder;
        }
        if let Some(entry) = self.get_mut(folder) {
            let children = entry.children.get_or_insert_default();
            children.list.push(child);
            children.version = children.version.wrapping_add(1);
            if let (Some(index), Some(key)) = (children.by_name.as_mut(), key) {
                index.insert(key, child);
            }
        }
    }

    /// Takes `child` out of its folder.
    pub(super) fn detach(&mut self, child: Node) {
        let Some((folder, key)) = self.get(child).map(|entry| (entry.parent, name_key(&entry.name))) else {
            return;
        };
        if let Some(children) = self.get_mut(folder).and_then(|entry| entry.children.as_mut()) {
            // The newest is looked for first: that is the usual case in a folder that is being filled.
            if let Some(position) = children.list.iter().rposition(|node| *node == child) {
                children.list.remove(position);
                children.version = children.version.wrapping_add(1);
            }
            if let Some(index) = children.by_name.as_mut()
                && index.get(&key) == Some(&child)
            {
                index.remove(&key);
            }
        }
    }

    /// Gives an entry another name.
    pub(super) fn rename(&mut self, node: Node, name: &str) {
        let Some(folder) = self.get(node).map(|entry| entry.parent) else {
            return;
        };
        let old = self.get(node).map(|entry| name_key(&entry.name));
        if let Some(entry) = self.get_mut(node) {
            entry.name = name.into();
        }
        if let Some(children) = self.get_mut(folder).and_then(|entry| entry.children.as_mut()) {
            children.version = children.version.wrapping_add(1);
            if let Some(index) = children.by_name.as_mut() {
                if let Some(old) = old
                    && index.get(&old) == Some(&node)
                {
                    index.remove(&old);
                }
                index.insert(name_key(name), node);
            }
        }
    }

    /// The child of exactly this name.
    pub(super) fn child_named(&self, folder: Node, name: &str) -> Option<Node> {
        let children = self.get(folder)?.children.as_ref()?;
        let has_name = |node: &Node| self.get(*node).is_some_and(|entry| &*entry.name == name);
        match &children.by_name {
            Some(index) => index.get(&name_key(name)).copied().filter(has_name),
            None => children.list.iter().copied().find(has_name),
        }
    }

    /// Makes the index of names of a folder that is about to be written to, when it is large.
    pub(super) fn index_names(&mut self, folder: Node) {
        let wanted = self
            .get(folder)
            .and_then(|entry| entry.children.as_ref())
            .is_some_and(|children| children.by_name.is_none() && children.list.len() >= INDEXED_FROM);
        if !wanted {
            return;
        }
        let index = self
            .children(folder)
            .iter()
            .filter_map(|child| Some((name_key(&self.get(*child)?.name), *child)))
            .collect();
        if let Some(children) = self.get_mut(folder).and_then(|entry| entry.children.as_mut()) {
            children.by_name = Some(index);
        }
    }

    /// The entry and everything below it, parents before children.
    pub(super) fn subtree(&self, top: Node) -> Vec<Node> {
        let mut found = vec![top];
        let mut next = 0;
        while let Some(node) = found.get(next).copied() {
            found.extend_from_slice(self.children(node));
            next += 1;
        }
        found
    }

    /// The entry, its parent, and so on up to the root of the drive.
    pub(super) fn upwards(&self, node: Node) -> impl Iterator<Item = (Node, &Entry)> {
        let mut next = Some(node);
        std::iter::from_fn(move || {
            let node = next?;
            let entry = self.get(node)?;
            next = (!entry.is(flag::ROOT)).then_some(entry.parent);
            Some((node, entry))
        })
    }

    /// The path inside the drive: `/` for the root, no slash at the end of others.
    pub(super) fn path(&self, node: Node) -> String {
        let mut names: Vec<&str> = self
            .upwards(node)
            .filter(|(_, entry)| !entry.is(flag::ROOT))
            .map(|(_, entry)| &*entry.name)
            .collect();
        if names.is_empty() {
            return "/".to_owned();
        }
        names.reverse();
        let mut path = String::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names {
            path.push('/');
            path.push_str(name);
        }
        path
    }
}
