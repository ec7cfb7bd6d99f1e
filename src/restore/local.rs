//! A folder of this machine as a drive, so that a restore into it takes the same steps.

use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;

use super::source::blocking;
use crate::archive::{Block, NAME_BYTES, plain_or_derived};
use crate::drive::{
    BrokenItem, ByteSource, Detail, Download, Drive, Error, ErrorKind, NewFile, Page, PageToken, Party,
    PartyKind, Piece, Result, Sharing, SharingChange,
};
use crate::entry::{Access, Entry, Kind, Root, Scope};
use crate::id::{DriveId, FileId};

/// Bytes read at a time.
const PORTION: usize = 256 * 1024;

/// What the names of files that are not whole begin with.
const STAGED: &str = ".drivejob-";

/// A folder of this machine, which nothing restored into it leaves.
///
/// An item's id is its path below the folder. No link is followed: what is one counts as a file whose size is not known.
/// A file appears under its name when it is whole, and never over another unless that is asked for.
#[derive(Clone, Debug)]
pub struct LocalFolder {
    path: PathBuf,
    drive: DriveId,
}

impl LocalFolder {
    /// Takes the folder at `path`, and makes it when it is not there.
    ///
    /// # Errors
    /// When it cannot be made or is no folder.
    pub fn open(path: &Path) -> io::Result<LocalFolder> {
        fs::create_dir_all(path)?;
        Ok(LocalFolder {
            path: path.canonicalize()?,
            drive: DriveId::new("file"),
        })
    }

    /// The folder as the root that every drive of a snapshot goes into.
    pub fn root(&self) -> Root {
        Root {
            entry: Entry::root(self.drive.clone(), FileId::new(FileId::ROOT)),
            name: self.path.display().to_string(),
            quota: None,
            access: Access::Readable,
        }
    }

    /// The place of an item, each folder on the way being a real one.
    fn place(&self, id: &FileId) -> io::Result<PathBuf> {
        let mut place = self.path.clone();
        if id.is_root() {
            return Ok(place);
        }
        let mut names = id.as_str().split('/').peekable();
        while let Some(name) = names.next() {
            check_name(name)?;
            place.push(name);
            if names.peek().is_some() && !fs::symlink_metadata(&place)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(place)
    }

    fn child(&self, parent: &FileId, name: &str) -> io::Result<(PathBuf, FileId)> {
        check_name(name)?;
        let folder = self.place(parent)?;
        if !fs::symlink_metadata(&folder)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let id = if parent.is_root() {
            name.to_owned()
        } else {
            format!("{parent}/{name}")
        };
        Ok((folder.join(name), FileId::new(id)))
    }

    fn look(&self, place: &Path, id: FileId) -> io::Result<Entry> {
        let metadata = fs::symlink_metadata(place)?;
        let mut entry = Entry::root(self.drive.clone(), id);
        entry.name = place
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if !metadata.is_dir() {
            entry.kind = Kind::File;
            entry.size = metadata.is_file().then_some(metadata.len());
            entry.modified = metadata.modified().ok().and_then(to_second);
        }
        Ok(entry)
    }

    fn list(&self, folder: &FileId) -> io::Result<Page> {
        let mut page = Page::default();
        for found in fs::read_dir(self.place(folder)?)? {
            let name = found?.file_name();
            match name.to_str() {
                Some(name) if name.starts_with(STAGED) => {}
                Some(name) => {
                    let (place, id) = self.child(folder, name)?;
                    page.entries.push(self.look(&place, id)?);
                }
                None => page.broken.push(BrokenItem {
                    id: None,
                    name: Some(name.to_string_lossy().into_owned()),
                    reason: "malformed",
                    raw: Value::Null,
                }),
            }
        }
        Ok(page)
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        subject: &str,
        work: impl FnOnce(&LocalFolder) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = self.clone();
        blocking(move || work(&folder))
            .await
            .map_err(|error| to_error(operation, subject, error))
    }
}

/// A name that is one step down and nothing else.
fn check_name(name: &str) -> io::Result<()> {
    let mut components = Path::new(name).components();
    let is_step = matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(step)), None) if step == name
    );
    if is_step && !name.contains(['/', '\\', '\0']) {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidFilename.into())
    }
}

fn to_second(time: SystemTime) -> Option<Timestamp> {
    Timestamp::from_second(Timestamp::try_from(time).ok()?.as_second()).ok()
}

fn to_error(operation: &'static str, subject: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::QuotaFull,
        io::ErrorKind::FileTooLarge => ErrorKind::TooLarge,
        _ => ErrorKind::Unsupported,
    };
    let message = error.to_string();
    Error {
        source: Some(Box::new(error)),
        ..Error::new(kind, operation, subject, message)
    }
}

/// The name of an item in a folder of this machine: its own where the file system can hold it, else one derived from it
/// and from its id.
pub fn local_name(name: &str, id: &FileId) -> String {
    let named = plain_or_derived(name, id.as_str());
    // Linux holds more names than those that stand on every system, which is what the archive keeps to.
    let holds = cfg!(target_os = "linux")
        && name.len() <= NAME_BYTES
        && !name.starts_with(STAGED)
        && check_name(name).is_ok();
    match named.plain {
        Some(plain) => plain,
        None if holds => name.to_owned(),
        None => named.derived,
    }
}

/// A file on its way to its name. It is gone when it does not get there.
struct Staged {
    file: Option<File>,
    place: PathBuf,
}

impl Staged {
    /// The name is the same each time, so that what a killed run left is overwritten.
    fn create(target: &Path) -> io::Result<Staged> {
        let mut hasher = DefaultHasher::new();
        target.file_name().hash(&mut hasher);
        let place = target.with_file_name(format!("{STAGED}{:016x}.part", hasher.finish()));
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&place)?;
        Ok(Staged {
            file: Some(file),
            place,
        })
    }

    fn publish(mut self, target: &Path, new: &NewFile) -> io::Result<()> {
        let file = self
            .file
            .take()
            .ok_or_else(|| io::Error::other("the file is gone"))?;
        if file.metadata()?.len() != new.size {
            return Err(io::Error::other("the bytes are not as many as were told"));
        }
        if let Some(modified) = new.modified {
            file.set_modified(modified.into())?;
        }
        file.sync_all()?;
        drop(file);
        if new.overwrite {
            return fs::rename(&self.place, target);
        }
        // A link is refused when the name is taken; a rename would replace what is there.
        match fs::hard_link(&self.place, target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(_) if fs::symlink_metadata(target).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
            // Some file systems have no links.
            Err(_) => fs::rename(&self.place, target),
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.place);
    }
}

#[async_trait]
impl Drive for LocalFolder {
    async fn roots(&self, _: &Scope) -> Result<Vec<Root>> {
        Ok(vec![self.root()])
    }

    async fn children(&self, folder: &Entry, _: Option<&PageToken>) -> Result<Page> {
        let id = folder.id.clone();
        self.run("local.list", folder.id.as_str(), move |local| local.list(&id))
            .await
    }

    async fn stat(&self, entry: &Entry) -> Result<Entry> {
        let id = entry.id.clone();
        self.run("local.stat", entry.id.as_str(), move |local| {
            local.look(&local.place(&id)?, id)
        })
        .await
    }

    async fn download(&self, file: &Entry, from: u64) -> Result<Download> {
        let (id, subject) = (file.id.clone(), file.id.as_str().to_owned());
        let (opened, size) = self
            .run("local.read", file.id.as_str(), move |local| {
                let place = local.place(&id)?;
                let metadata = fs::symlink_metadata(&place)?;
                if !metadata.is_file() {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let mut opened = File::open(&place)?;
                opened.seek(SeekFrom::Start(from))?;
                Ok((opened, metadata.len()))
            })
            .await?;
        let body = stream::try_unfold(opened, move |mut file| {
            let subject = subject.clone();
            async move {
                blocking(move || {
                    let mut block = Block::of(PORTION);
                    let count = file.read(block.bytes())?;
                    Ok((count > 0).then(|| (Piece::Bytes(block.into_first(count)), file)))
                })
                .await
                .map_err(|error| to_error("local.read", &subject, error))
            }
        });
        Ok(Download {
            from,
            size: Some(size),
            attempts: 1,
            body: body.boxed(),
        })
    }

    async fn create_folder(&self, parent: &Entry, name: &str) -> Result<Entry> {
        let (id, own) = (parent.id.clone(), name.to_owned());
        self.run("local.create-folder", name, move |local| {
            let (place, id) = local.child(&id, &own)?;
            fs::create_dir(&place)?;
            local.look(&place, id)
        })
        .await
    }

    async fn upload(&self, parent: &Entry, new: &NewFile, source: &dyn ByteSource) -> Result<Entry> {
        let (parent, told) = (parent.id.clone(), new.clone());
        let (place, id, staged) = self
            .run("local.write", &new.name, move |local| {
                let (place, id) = local.child(&parent, &told.name)?;
                match fs::symlink_metadata(&place) {
                    Ok(_) if !told.overwrite => return Err(io::ErrorKind::AlreadyExists.into()),
                    Ok(found) if found.is_dir() => return Err(io::ErrorKind::AlreadyExists.into()),
                    _ => {}
                }
                let staged = Staged::create(&place)?;
                Ok((place, id, staged))
            })
            .await?;
        let refused = |error: io::Error| Error {
            kind: ErrorKind::Source,
            ..to_error("local.write", &new.name, error)
        };
        let mut staged = staged;
        let mut bytes = source.open(0).await.map_err(refused)?;
        while let Some(portion) = bytes.next().await {
            let portion = portion.map_err(refused)?;
            staged = self
                .run("local.write", &new.name, move |_| {
                    if let Some(file) = &mut staged.file {
                        file.write_all(&portion)?;
                    }
                    Ok(staged)
                })
                .await?;
        }
        let told = new.clone();
        self.run("local.write", &new.name, move |local| {
            staged.publish(&place, &told)?;
            local.look(&place, id)
        })
        .await
    }

    async fn remove(&self, entry: &Entry) -> Result<()> {
        let id = entry.id.clone();
        self.run("local.remove", entry.id.as_str(), move |local| {
            let place = local.place(&id)?;
            if fs::symlink_metadata(&place)?.is_dir() {
                fs::remove_dir(place)
            } else {
                fs::remove_file(place)
            }
        })
        .await
    }

    async fn relocate(&self, entry: &Entry, _: Option<&Entry>, _: Option<&str>) -> Result<Entry> {
        Err(unsupported("local.move", entry))
    }

    async fn detail(&self, entry: &Entry, _: Detail) -> Result<Vec<Value>> {
        Err(unsupported("local.detail", entry))
    }

    async fn sharing(&self, entry: &Entry) -> Result<Sharing> {
        Err(unsupported("local.permissions", entry))
    }

    async fn change_sharing(&self, entry: &Entry, _: &SharingChange) -> Result<()> {
        Err(unsupported("local.permissions", entry))
    }

    async fn parties(&self, _: PartyKind) -> Result<Vec<Party>> {
        Err(unsupported("local.directory", &self.root().entry))
    }
}

fn unsupported(operation: &'static str, entry: &Entry) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        operation,
        entry.id.as_str(),
        "a folder of this machine cannot do this",
    )
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests;
