//! `ARCHIVE` and `ARCHIVE@SNAPSHOT`, as they are typed on the command line.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::exit::ExitCode;
use super::messages::CommandError;
use crate::archive::{self, Archive, Snapshot};
use crate::job::SnapshotChoice;
use crate::runner::choose_snapshot;

/// An archive, and perhaps one of its snapshots.
#[derive(Debug)]
pub(super) struct Target {
    /// The archive, open for reading.
    pub(super) archive: Archive,
    /// The snapshot that was named.
    pub(super) choice: Option<SnapshotChoice>,
}

impl Target {
    /// Opens what was typed.
    ///
    /// # Errors
    /// It is no archive, or what stands behind the `@` names no snapshot.
    pub(super) fn open(typed: &Path) -> Result<Target, CommandError> {
        let (folder, choice) = split(typed)?;
        Ok(Target {
            archive: Archive::open(folder).map_err(|error| refused(&error))?,
            choice,
        })
    }

    /// Opens an archive for a command that works on the whole of it.
    ///
    /// # Errors
    /// As [`Target::open`], and when a snapshot was named.
    pub(super) fn whole(typed: &Path) -> Result<Archive, CommandError> {
        let target = Target::open(typed)?;
        match target.choice {
            None => Ok(target.archive),
            Some(_) => Err(CommandError::usage(
                "this command works on a whole archive: leave out the @ and what follows it",
            )),
        }
    }

    /// The snapshot that was named, if one was.
    ///
    /// # Errors
    /// It is not there, or does not read.
    pub(super) fn snapshot(&self) -> Result<Option<Snapshot>, CommandError> {
        let choose = |choice| choose_snapshot(&self.archive, choice, &TimeZone::system());
        self.choice
            .as_ref()
            .map(choose)
            .transpose()
            .map_err(|error| refused(&error))
    }

    /// The snapshot that was named; without a name the newest complete one, or the newest where none is complete.
    ///
    /// # Errors
    /// As [`Target::snapshot`], and when there is none at all.
    pub(super) fn snapshot_or_newest(&self) -> Result<Snapshot, CommandError> {
        if let Some(snapshot) = self.snapshot()? {
            return Ok(snapshot);
        }
        match choose_snapshot(&self.archive, &SnapshotChoice::Latest, &TimeZone::UTC) {
            Err(archive::Error::NoSnapshot(_)) => self.archive.resolve("latest", None),
            found => found,
        }
        .map_err(|error| refused(&error))
    }
}

/// What a command says of an archive that refuses it.
pub(super) fn refused(error: &archive::Error) -> CommandError {
    let exit = match error {
        archive::Error::Held(_) => ExitCode::Locked,
        archive::Error::NotAnArchive(_) | archive::Error::NoSnapshot(_) => ExitCode::Usage,
        _ => ExitCode::Failed,
    };
    CommandError::from_error(exit, error)
}

/// Takes the words apart. A folder of that very name goes first, since a path may hold an `@`.
fn split(typed: &Path) -> Result<(PathBuf, Option<SnapshotChoice>), CommandError> {
    let whole = || Ok((typed.to_owned(), None));
    if typed.is_dir() {
        return whole();
    }
    let Some((folder, word)) = typed.to_str().and_then(|text| text.rsplit_once('@')) else {
        return whole();
    };
    match SnapshotChoice::read(word) {
        Some(choice) => Ok((PathBuf::from(folder), Some(choice))),
        None if Path::new(folder).is_dir() => Err(CommandError::usage(format!("'{word}' names no snapshot"))
            .hint("write @latest, a day such as @2026-11-23, or a snapshot's name such as @2026-11-23T02-00-00Z")),
        None => whole(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_last_at_sign_parts_archive_and_snapshot_unless_a_folder_has_that_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for name in ["plain", "nas@home", "nas@home@latest"] {
            std::fs::create_dir(place(name)).unwrap();
        }
        let latest = Some(SnapshotChoice::Latest);
        for (typed, archive, choice) in [
            ("plain", "plain", None),
            ("plain@latest", "plain", latest.clone()),
            ("nas@home", "nas@home", None),
            ("nas@home@latest", "nas@home@latest", None),
            (
                "nas@home@2026-11-23",
                "nas@home",
                SnapshotChoice::read("2026-11-23"),
            ),
            ("gone@home", "gone@home", None),
            ("gone@latest", "gone", latest),
        ] {
            assert_eq!(split(&place(typed)).unwrap(), (place(archive), choice), "{typed}");
        }
        let error = split(&place("plain@tuesday")).unwrap_err();
        assert_eq!(
            (error.exit, error.message.as_str()),
            (ExitCode::Usage, "'tuesday' names no snapshot")
        );
    }
}
