//! Folders as open descriptors: each step is taken from the one before, so that nobody can swap a link in between.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

#[cfg(target_os = "linux")]
use rustix::fs::CWD;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::{Found, Place};

/// An open folder.
#[derive(Clone, Debug)]
pub(in super::super) struct Folder(Arc<OwnedFd>);

/// Who may do what with a new file, before the process's mask takes from it.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// Who may do what with a new folder, before the process's mask takes from it.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);

impl Place for Folder {
    fn root(path: &Path) -> io::Result<Folder> {
        // The archive's own place may well be a link: the administrator chose it.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Folder(Arc::new(folder)))
    }

    fn subfolder(&self, name: &str, make: bool) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match openat(&*self.0, name, flags, Mode::empty()) {
            Err(Errno::NOENT) if make => {
                match mkdirat(&*self.0, name, FOLDER_MODE) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                openat(&*self.0, name, flags, Mode::empty())
            }
            opened => opened,
        };
        match opened {
            Ok(folder) => Ok(Folder(Arc::new(folder))),
            Err(Errno::LOOP) => Err(Errno::NOTDIR.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&*self.0, name, flags, FILE_MODE)?.into())
    }

    #[cfg(target_os = "linux")]
    fn create_nameless(&self) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        match openat(&*self.0, c".", flags, FILE_MODE) {
            Ok(file) => Ok(Some(file.into())),
            // Not every file system has them, and what an old one says differs (open(2), O_TMPFILE).
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(target_os = "linux")]
    fn name(&self, file: &File, name: &str) -> io::Result<bool> {
        use std::os::fd::AsRawFd;
        // By its descriptor, which older kernels allow to root alone; else by the descriptor's place (open(2), O_TMPFILE).
        match linkat(file, c"", &*self.0, name, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT | Errno::INVAL | Errno::PERM) => {}
            done => return done.map(|()| true).map_err(io::Error::from),
        }
        let place = format!("/proc/self/fd/{}", file.as_raw_fd());
        match linkat(CWD, place, &*self.0, name, AtFlags::SYMLINK_FOLLOW) {
            Err(Errno::NOENT | Errno::XDEV | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => Ok(false),
            done => done.map(|()| true).map_err(io::Error::from),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn create_nameless(&self) -> io::Result<Option<File>> {
        Ok(None)
    }

    #[cfg(not(target_os = "linux"))]
    fn name(&self, _: &File, _: &str) -> io::Result<bool> {
        Ok(false)
    }

    fn open(&self, name: &str, write: bool) -> io::Result<File> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        // A pipe planted here must not keep us waiting for its other end.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(openat(&*self.0, name, flags, Mode::empty())?.into())
    }

    fn look(&self, name: &str) -> io::Result<Found> {
        let stat = statat(&*self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Found {
            is_file: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            has_links: stat.st_nlink > 1,
        })
    }

    fn rename(&self, name: &str, to: &Folder, new: &str) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        {
            use rustix::fs::{RenameFlags, renameat_with};
            match renameat_with(&*self.0, name, &*to.0, new, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                done => return Ok(done?),
            }
        }
        // A second name never replaces either. Where there is none (FAT, folders), the archive's lock keeps others away between look and rename.
        match linkat(&*self.0, name, &*to.0, new, AtFlags::empty()) {
            Ok(()) => return self.remove(name),
            Err(Errno::EXIST) => return Err(Errno::EXIST.into()),
            Err(_) => {}
        }
        match to.look(new) {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(renameat(&*self.0, name, &*to.0, new)?)
            }
            Err(error) => Err(error),
        }
    }

    fn link(&self, name: &str, to: &Folder, new: &str) -> io::Result<()> {
        Ok(linkat(&*self.0, name, &*to.0, new, AtFlags::empty())?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&*self.0, name, AtFlags::empty())?)
    }

    fn sync_file_system(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&*self.0)?;
        Ok(())
    }
}
