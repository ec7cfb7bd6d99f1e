//! Folders as paths, for systems without descriptors of folders: each step is looked at before it is taken.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{Found, Place};

/// A folder by its path.
#[derive(Clone, Debug)]
pub(in super::super) struct Folder(PathBuf);

impl Place for Folder {
    fn root(path: &Path) -> io::Result<Folder> {
        fs::read_dir(path)?;
        Ok(Folder(path.to_owned()))
    }

    fn subfolder(&self, name: &str, make: bool) -> io::Result<Folder> {
        let path = self.0.join(name);
        if make {
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        if fs::symlink_metadata(&path)?.is_dir() {
            Ok(Folder(path))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.0.join(name))
    }

    fn create_nameless(&self) -> io::Result<Option<File>> {
        Ok(None)
    }

    fn name(&self, _: &File, _: &str) -> io::Result<bool> {
        Ok(false)
    }

    fn open(&self, name: &str, write: bool) -> io::Result<File> {
        if !self.look(name)?.is_file {
            return Err(io::ErrorKind::InvalidData.into());
        }
        OpenOptions::new().read(true).write(write).open(self.0.join(name))
    }

    fn look(&self, name: &str) -> io::Result<Found> {
        let metadata = fs::symlink_metadata(self.0.join(name))?;
        Ok(Found {
            is_file: metadata.is_file(),
            size: metadata.len(),
            // Not told by the standard library: then the bytes are read.
            has_links: false,
        })
    }

    fn rename(&self, name: &str, to: &Folder, new: &str) -> io::Result<()> {
        // A second name never replaces. Where there is none, the archive's lock keeps others away between look and rename.
        match self.link(name, to, new) {
            Ok(()) => return self.remove(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }
        match to.look(new) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::rename(self.0.join(name), to.0.join(new))
            }
            Err(error) => Err(error),
        }
    }

    fn link(&self, name: &str, to: &Folder, new: &str) -> io::Result<()> {
        fs::hard_link(self.0.join(name), to.0.join(new))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync_file_system(&self) -> io::Result<()> {
        // There is no such call; each file is made durable when it is published.
        Ok(())
    }
}
