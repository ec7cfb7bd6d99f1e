//! The archive's folder tree, entered step by step so that a planted link is never followed.

#[cfg(any(not(unix), test))]
mod portable;
#[cfg(unix)]
mod unix;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

#[cfg(not(unix))]
pub(super) use portable::Folder;
#[cfg(unix)]
pub(super) use unix::Folder;

/// A folder of the tree whose way down has been checked.
pub(super) trait Place: Clone {
    /// The folder that everything is relative to.
    fn root(path: &Path) -> io::Result<Self>;
    /// A folder in this one, made when it is not there and `make` is set. A link or a file gives `NotADirectory`.
    fn subfolder(&self, name: &str, make: bool) -> io::Result<Self>;
    /// Makes a file that was not there, to write and read.
    fn create(&self, name: &str) -> io::Result<File>;
    /// Makes a file without a name, to write and read: it goes with its descriptor unless [`Place::name`] gives it one.
    /// `None` where the system has no such files.
    fn create_nameless(&self) -> io::Result<Option<File>>;
    /// Gives such a file a name in this folder; `AlreadyExists` when it is taken, `false` where the system cannot do it.
    fn name(&self, file: &File, name: &str) -> io::Result<bool>;
    /// Opens a file to read, and to write when `write` is set; never through a link.
    fn open(&self, name: &str, write: bool) -> io::Result<File>;
    /// What stands under a name, links not followed.
    fn look(&self, name: &str) -> io::Result<Found>;
    /// Renames into `to`; `AlreadyExists` when the name is taken there.
    fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()>;
    /// Gives a file a second name in `to`; `AlreadyExists` when the name is taken there.
    fn link(&self, name: &str, to: &Self, new: &str) -> io::Result<()>;
    /// Removes a file or a link.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes everything written to this file system durable, where the system can do so in one call.
    fn sync_file_system(&self) -> io::Result<()>;
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether it is a regular file.
    pub(super) is_file: bool,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Whether it has other names as well.
    pub(super) has_links: bool,
}

/// Folders kept open. Systems give a process 256 open files (macOS) or 1,024 (Linux) unless told otherwise.
const KEPT: usize = 96;

/// A tree of folders, with the last used ones kept.
#[derive(Debug)]
pub(super) struct Tree<F = Folder> {
    root: F,
    kept: Mutex<Kept<F>>,
}

#[derive(Debug)]
struct Kept<F> {
    folders: HashMap<String, (F, u64)>,
    clock: u64,
}

impl<F: Place> Tree<F> {
    pub(super) fn open(root: &Path) -> io::Result<Tree<F>> {
        Ok(Tree {
            root: F::root(root)?,
            kept: Mutex::new(Kept {
                folders: HashMap::new(),
                clock: 0,
            }),
        })
    }

    /// The folder at `path`, `/` between segments; with `make`, folders that are missing are made.
    pub(super) fn folder(&self, path: &str, make: bool) -> io::Result<F> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(folder) = self.kept(path) {
            return Ok(folder);
        }
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.folder(above, make)?.subfolder(name, make)?;
        self.keep(path, folder.clone());
        Ok(folder)
    }

    /// Lets go of every folder kept, since folders have been renamed or removed.
    pub(super) fn forget(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.folders.clear();
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.root.sync_file_system()
    }

    fn kept(&self, path: &str) -> Option<F> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        kept.folders.get_mut(path).map(|(folder, used)| {
            *used = now;
            folder.clone()
        })
    }

    fn keep(&self, path: &str, folder: F) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.folders.len() >= KEPT {
            let mut uses: Vec<u64> = kept.folders.values().map(|(_, used)| *used).collect();
            uses.sort_unstable();
            let old = uses.get(KEPT / 2).copied().unwrap_or(0);
            kept.folders.retain(|_, (_, used)| *used > old);
        }
        kept.clock += 1;
        let now = kept.clock;
        kept.folders.insert(path.to_owned(), (folder, now));
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::fs;
    use std::io::{ErrorKind, Write};
    use std::os::unix::fs::symlink;

    use super::*;

    #[rstest::rstest]
    #[case(both::<unix::Folder>)]
    #[case(both::<portable::Folder>)]
    fn both_kinds_keep_to_the_rules(#[case] rules: fn()) {
        rules();
    }

    fn both<F: Place>() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let tree: Tree<F> = Tree::open(root.path()).unwrap();

        // Made on demand, and only then.
        assert_eq!(
            tree.folder("a/b", false).err().map(|error| error.kind()),
            Some(ErrorKind::NotFound)
        );
        let folder = tree.folder("a/b", true).unwrap();
        folder.create("f").unwrap().write_all(b"12345").unwrap();
        assert_eq!(
            folder.look("f").unwrap(),
            Found {
                is_file: true,
                size: 5,
                has_links: false,
            }
        );
        assert_eq!(folder.create("f").unwrap_err().kind(), ErrorKind::AlreadyExists);

        // Neither a rename nor a link replaces.
        folder.create("g").unwrap();
        assert_eq!(
            folder.rename("g", &folder, "f").unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            folder.link("g", &folder, "f").unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        folder.link("f", &tree.folder("c", true).unwrap(), "f").unwrap();
        folder.rename("f", &folder, "h").unwrap();
        folder.remove("g").unwrap();
        assert_eq!(fs::read(root.path().join("c/f")).unwrap(), b"12345");
        assert_eq!(fs::read(root.path().join("a/b/h")).unwrap(), b"12345");
        assert_eq!(fs::read_dir(root.path().join("a/b")).unwrap().count(), 1);

        // A file without a name is nowhere until it gets one, and never replaces.
        if let Some(mut file) = folder.create_nameless().unwrap() {
            file.write_all(b"late").unwrap();
            assert_eq!(fs::read_dir(root.path().join("a/b")).unwrap().count(), 1);
            assert_eq!(
                folder.name(&file, "h").err().map(|error| error.kind()),
                Some(ErrorKind::AlreadyExists)
            );
            if folder.name(&file, "late").unwrap() {
                assert_eq!(fs::read(root.path().join("a/b/late")).unwrap(), b"late");
                folder.remove("late").unwrap();
            }
        }

        // Links are seen as links.
        fs::write(elsewhere.path().join("secret"), "s").unwrap();
        symlink(elsewhere.path(), root.path().join("out")).unwrap();
        symlink(elsewhere.path().join("secret"), root.path().join("a/b/s")).unwrap();
        for path in ["out", "out/x"] {
            assert_eq!(
                tree.folder(path, true).err().map(|error| error.kind()),
                Some(ErrorKind::NotADirectory)
            );
        }
        assert!(!folder.look("s").unwrap().is_file);
        assert!(folder.open("s", false).is_err());
        assert!(folder.open("s", true).is_err());
        assert!(folder.create("s").is_err());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);

        // More folders than are kept.
        for turn in 0..2 {
            for number in 0..3 * KEPT {
                let folder = tree.folder(&format!("many/{number}"), true).unwrap();
                folder.create(&turn.to_string()).unwrap();
            }
        }
        assert!(tree.kept.lock().unwrap().folders.len() <= KEPT);
        assert_eq!(fs::read_dir(root.path().join("many")).unwrap().count(), 3 * KEPT);
    }
}
