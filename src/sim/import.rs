//! A world made from a real directory: its files are served from where they lie.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::content::Content;
use super::tree::Node;
use super::world::World;

fn milliseconds(time: io::Result<SystemTime>) -> i64 {
    time.ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

impl World {
    /// A tenant of one member whose My Drive holds a copy of the tree below `directory`.
    ///
    /// Regular files and folders only; symbolic links, other files, and names that are not UTF-8 are left out and told by
    /// [`World::skipped`]. Bytes are read from disk when they are asked for, and are expected not to change.
    ///
    /// # Errors
    /// The directory, or a folder in it, cannot be read.
    pub fn import(directory: &Path) -> io::Result<Self> {
        let mut world = Self::new();
        world.add_member("山田", "太郎", "taro@example.com");
        if let Some(root) = world.root(0) {
            world.import_into(root, directory)?;
        }
        Ok(world)
    }

    /// Adds what lies in `directory` to a folder.
    ///
    /// # Errors
    /// As [`World::import`].
    pub fn import_into(&mut self, folder: Node, directory: &Path) -> io::Result<()> {
        let mut open = vec![(folder, directory.to_owned())];
        while let Some((folder, directory)) = open.pop() {
            let mut found: Vec<_> = std::fs::read_dir(&directory)?.collect::<io::Result<_>>()?;
            // The order of a directory is not fixed; that of a world is.
            found.sort_by_key(std::fs::DirEntry::file_name);
            for item in found {
                let path = item.path();
                let metadata = std::fs::symlink_metadata(&path)?;
                let name = item.file_name();
                match OsStr::to_str(&name) {
                    Some(name) if metadata.is_dir() => {
                        let child = self.add_folder(folder, name, milliseconds(metadata.modified()));
                        open.push((child, path));
                    }
                    Some(name) if metadata.is_file() => {
                        let modified = milliseconds(metadata.modified());
                        self.add_content(
                            folder,
                            name,
                            metadata.len(),
                            Content::Disk(path),
                            modified,
                            modified,
                        );
                    }
                    _ => self.skipped.push(path.to_string_lossy().into_owned()),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::World;

    #[test]
    fn a_directory_becomes_a_drive_without_its_links() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("b/c")).unwrap();
        std::fs::write(directory.path().join("b/file.txt"), b"hello").unwrap();
        std::fs::write(directory.path().join("a.bin"), b"").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            std::os::unix::fs::symlink("a.bin", directory.path().join("link")).unwrap();
            std::fs::write(directory.path().join(std::ffi::OsStr::from_bytes(b"\xff")), b"").unwrap();
        }
        let world = World::import(directory.path()).unwrap();
        let paths: Vec<_> = world.truth(0).map(|truth| (truth.path, truth.size)).collect();
        assert_eq!(
            paths,
            [
                ("/a.bin".to_owned(), 0),
                ("/b".to_owned(), 0),
                ("/b/c".to_owned(), 0),
                ("/b/file.txt".to_owned(), 5)
            ]
        );
        let file = world.find(0, "/b/file.txt").unwrap();
        assert_eq!(world.bytes(file).unwrap(), "hello");
        assert_eq!(
            world.sha256(file).unwrap(),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert_eq!(world.skipped().len(), if cfg!(unix) { 2 } else { 0 });
    }
}
