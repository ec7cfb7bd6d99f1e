//! A place in a snapshot, as a person types it.

use std::fmt;
use std::str::FromStr;

use crate::id::DriveId;
use crate::path::DrivePath;

/// A path, in one drive or in every drive that has it: `/Documents`, `me:/Documents`, `sharedrives/@21:/`, `groups/170b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The drive; `None` is every one.
    pub drive: Option<DriveId>,
    /// The path in it.
    pub path: DrivePath,
}

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no place; expected /path, DRIVE:/path or DRIVE")]
pub struct NotAPlace(String);

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Place, NotAPlace> {
        let (drive, path) = match text.find(":/") {
            _ if text.starts_with('/') => (None, text),
            Some(place) => {
                let (drive, rest) = text.split_at(place);
                (Some(drive), rest.get(1..).unwrap_or_default())
            }
            None => (Some(text.strip_suffix(':').unwrap_or(text)), "/"),
        };
        if drive == Some("") {
            return Err(NotAPlace(text.to_owned()));
        }
        let path = match path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        Ok(Place {
            drive: drive.map(DriveId::new),
            path: DrivePath::from_text(path),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.drive {
            Some(drive) => write!(formatter, "{drive}:{}", self.path),
            None => write!(formatter, "{}", self.path),
        }
    }
}
