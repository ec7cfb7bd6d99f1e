//! Changes to single entries that keep the drives' figures right.

use super::content::Content;
use super::tree::{Node, Revision, Trashed, flag};
use super::world::World;

impl World {
    /// Gives a file new bytes; the old ones become a revision.
    pub(super) fn replace_content(
        &mut self,
        node: Node,
        size: u64,
        content: Content,
        modified: i64,
        now: i64,
        by: Option<usize>,
    ) {
        let Some(entry) = self.tree.get_mut(node) else {
            return;
        };
        let old_size = entry.size;
        let old = Revision {
            content: entry.content(),
            size: entry.size,
            created: entry.created,
            modified: entry.modified,
            by: entry.extra.as_ref().and_then(|extra| extra.updated_by),
        };
        entry.size = size;
        entry.modified = modified;
        entry.accessed = now;
        let extra = entry.extra_mut();
        extra.revisions.push(old);
        extra.updated_by = by;
        if let Content::Seeded(seed) = content {
            extra.content = None;
            entry.seed = seed;
        } else {
            extra.content = Some(content);
        }
        if let Some(drive) = self.drive_of_mut(node) {
            drive.used = drive.used.saturating_add(size).saturating_sub(old_size);
        }
    }

    /// Moves an entry and all below it into its drive's trash.
    pub fn trash(&mut self, node: Node, now: i64, by: Option<usize>) {
        let mut original_path = self
            .tree
            .get(node)
            .map_or_else(String::new, |entry| self.tree.path(entry.parent));
        if !original_path.ends_with('/') {
            original_path.push('/');
        }
        let bytes = self.mark(node, flag::TRASHED, true);
        self.tree.detach(node);
        if let Some(entry) = self.tree.get_mut(node) {
            entry.extra_mut().trashed = Some(Trashed {
                at: now,
                by,
                original_path,
            });
        }
        if let Some(drive) = self.drive_of_mut(node) {
            drive.used = drive.used.saturating_sub(bytes);
            drive.trash_bytes = drive.trash_bytes.saturating_add(bytes);
            drive.trash.push(node);
        }
    }

    /// Removes an entry and all below it for good, from its folder or from the trash.
    pub fn erase(&mut self, node: Node) {
        let trashed = self.tree.get(node).is_some_and(|entry| entry.is(flag::TRASHED));
        let bytes = self.mark(node, flag::GONE, true);
        if !trashed {
            self.tree.detach(node);
        }
        self.shares.retain(|share| share.node != node);
        if let Some(drive) = self.drive_of_mut(node) {
            if trashed {
                drive.trash_bytes = drive.trash_bytes.saturating_sub(bytes);
                drive.trash.retain(|top| *top != node);
            } else {
                drive.used = drive.used.saturating_sub(bytes);
            }
        }
    }

    /// Brings a trashed entry back into `folder`, under a new number when `renumber` (the classic generation does so).
    pub(super) fn restore(&mut self, node: Node, folder: Node, renumber: bool) -> Node {
        let bytes = self.mark(node, flag::TRASHED, false);
        if let Some(drive) = self.drive_of_mut(node) {
            drive.trash.retain(|top| *top != node);
            drive.trash_bytes = drive.trash_bytes.saturating_sub(bytes);
            drive.used = drive.used.saturating_add(bytes);
        }
        if let Some(extra) = self.tree.get_mut(node).and_then(|entry| entry.extra.as_mut()) {
            extra.trashed = None;
        }
        let mut back = node;
        if renumber && let Some(entry) = self.tree.get(node).cloned() {
            back = self.tree.push(entry);
            for child in self.tree.children(back).to_vec() {
                if let Some(child) = self.tree.get_mut(child) {
                    child.parent = back;
                }
            }
            if let Some(entry) = self.tree.get_mut(node) {
                entry.set(flag::GONE, true);
                entry.children = None;
            }
        }
        self.tree.attach(folder, back);
        back
    }

    /// Moves an entry into another folder of the same drive; `false` when that would put a folder below itself.
    pub fn relocate(&mut self, node: Node, folder: Node) -> bool {
        if self.tree.upwards(folder).any(|(above, _)| above == node)
            || self.drive_of(node) != self.drive_of(folder)
        {
            return false;
        }
        self.tree.detach(node);
        self.tree.attach(folder, node);
        true
    }

    fn mark(&mut self, top: Node, bits: u16, on: bool) -> u64 {
        let mut bytes = 0_u64;
        for node in self.tree.subtree(top) {
            if let Some(entry) = self.tree.get_mut(node) {
                entry.set(bits, on);
                bytes = bytes.saturating_add(entry.size);
            }
        }
        bytes
    }

    /// Copies an entry and all below it into a folder.
    pub(super) fn copy(&mut self, node: Node, folder: Node, name: &str, now: i64) -> Option<Node> {
        let entry = self.tree.get(node)?.clone();
        if !entry.is_folder() {
            return Some(self.add_content(folder, name, entry.size, entry.content(), now, entry.modified));
        }
        let children = self.tree.children(node).to_vec();
        let top = self.add_folder(folder, name, now);
        let mut open: Vec<(Node, Node)> = children.into_iter().map(|child| (child, top)).collect();
        while let Some((from, into)) = open.pop() {
            let Some(entry) = self.tree.get(from).cloned() else {
                continue;
            };
            if entry.is_folder() {
                let made = self.add_folder(into, &entry.name, now);
                open.extend(self.tree.children(from).iter().map(|child| (*child, made)));
            } else {
                self.add_content(
                    into,
                    &entry.name,
                    entry.size,
                    entry.content(),
                    now,
                    entry.modified,
                );
            }
        }
        Some(top)
    }
}
