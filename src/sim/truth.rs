//! What really is in a drive, for a test to compare with what a client made of it.

use serde::Serialize;

use super::tree::Node;
use super::world::World;

/// One live entry of a drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Path inside the drive, with a leading `/` and none at the end.
    pub path: String,
    /// `file` or `folder`.
    pub kind: &'static str,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified: i64,
    /// Milliseconds since 1970.
    pub created: i64,
    /// The id that both generations give.
    pub id: String,
    /// The entry, for [`World::sha256`].
    #[serde(skip)]
    pub node: Node,
}

impl World {
    /// Every live entry of the drive at this position but its root, parents before children, children in the order in which they came.
    pub fn truth(&self, drive: usize) -> impl Iterator<Item = Truth> {
        let mut open: Vec<(Node, String)> = self
            .root(drive)
            .map(|root| {
                self.tree
                    .children(root)
                    .iter()
                    .rev()
                    .map(|child| (*child, String::new()))
                    .collect()
            })
            .unwrap_or_default();
        std::iter::from_fn(move || {
            loop {
                let (node, above) = open.pop()?;
                let Some(entry) = self.tree.get(node) else {
                    continue;
                };
                let path = format!("{above}/{}", entry.name);
                open.extend(
                    self.tree
                        .children(node)
                        .iter()
                        .rev()
                        .map(|child| (*child, path.clone())),
                );
                return Some(Truth {
                    kind: if entry.is_folder() { "folder" } else { "file" },
                    size: entry.size,
                    modified: entry.modified,
                    created: entry.created,
                    id: self.id(node),
                    node,
                    path,
                });
            }
        })
    }

    /// The SHA-256 of a file's bytes, as lower-case hexadecimal.
    ///
    /// # Errors
    /// The bytes of an imported file are read from disk, which may fail.
    pub fn sha256(&self, node: Node) -> std::io::Result<String> {
        match self.tree.get(node) {
            Some(entry) => entry.content().sha256(entry.size),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    /// The bytes of a file, read at once.
    ///
    /// # Errors
    /// The bytes of an imported file are read from disk, which may fail.
    pub fn bytes(&self, node: Node) -> std::io::Result<bytes::Bytes> {
        let entry = self.tree.get(node).ok_or(std::io::ErrorKind::NotFound)?;
        match entry.content() {
            super::content::Content::Disk(path) => Ok(std::fs::read(path)?.into()),
            content => Ok(content.slice(0, entry.size).unwrap_or_default()),
        }
    }
}
