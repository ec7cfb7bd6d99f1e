//! What the service tells of a file or folder, and the words we ask in.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::id::{DriveId, FileId};

/// Whether an entry holds bytes or other entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It has content that can be downloaded.
    File,
    /// It can be listed.
    Folder,
}

impl Kind {
    /// The word of the manifest: `file` or `folder`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Folder => "folder",
        }
    }
}

/// One file or folder of a drive, in the terms of neither API generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The drive it lies in.
    pub drive: DriveId,
    /// Its id, the same for as long as the item lives.
    pub id: FileId,
    /// The folder it lies in, as far as the service says or the walk knows.
    pub parent_id: Option<FileId>,
    /// Its name, exactly as the service spells it.
    pub name: String,
    /// File or folder.
    pub kind: Kind,
    /// Size in bytes as listed. Some folders have one too.
    pub size: Option<u64>,
    /// When the content was last modified, to the second.
    pub modified: Option<Timestamp>,
    /// When it was created, to the second.
    pub created: Option<Timestamp>,
    /// When it was last read, to the second.
    pub accessed: Option<Timestamp>,
    /// The storage location code (`resourceLocation`), which the classic API wants in every address.
    pub location: Option<String>,
    /// All the rest that the service tells.
    pub properties: Properties,
}

/// What the service tells of an entry beyond its place, size and dates. `None` means the service did not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// Content class in capitals: `AUDIO DOC ETC EXE FOLDER IMAGE VIDEO ZIP`.
    pub file_type: Option<String>,
    /// The classic API's `folderType`, for example `my` or `group`.
    pub folder_type: Option<String>,
    /// Who changed it last, a number or a display name.
    pub updated_by: Option<String>,
    /// Whether its upload has finished.
    pub uploaded: Option<bool>,
    /// Whether somebody locked it.
    pub locked: Option<bool>,
    /// Whether it is marked important.
    pub protected: Option<bool>,
    /// `none` when clean; `malware` or the classic API's own word when not.
    pub virus: Option<String>,
    /// Whether an image carries camera data.
    pub has_exif: Option<bool>,
    /// Whether the service made a thumbnail.
    pub has_thumbnail: Option<bool>,
    /// Whether it, or a folder above it, is shared.
    pub shared: Option<bool>,
    /// The classic API's `memberShare` object.
    pub member_share: Option<Value>,
    /// The classic API's `linkShare` object.
    pub link_share: Option<Value>,
    /// The classic API's `group` object.
    pub group: Option<Value>,
    /// The folder whose permissions govern this entry.
    pub permission_root: Option<String>,
    /// Every other property, under the service's own name, so that nothing is dropped.
    pub other: Map<String, Value>,
}

impl Entry {
    /// A folder entry that stands for the root of `drive`.
    pub fn root(drive: DriveId, id: FileId) -> Entry {
        Entry {
            drive,
            id,
            parent_id: None,
            name: String::new(),
            kind: Kind::Folder,
            size: None,
            modified: None,
            created: None,
            accessed: None,
            location: None,
            properties: Properties::default(),
        }
    }

    /// Whether this is a folder.
    pub fn is_folder(&self) -> bool {
        self.kind == Kind::Folder
    }

    /// Forgets the service's own spelling of the path where it says what `path` says, so that one fact has one place:
    /// `filePath` in API 2.0, `resourcePath` in the classic API, which ends folders with a slash.
    pub fn forget_path(&mut self, path: &str) {
        for key in ["filePath", "resourcePath"] {
            let told = self.properties.other.get(key).and_then(Value::as_str);
            if told.is_some_and(|told| told == path || told.strip_suffix('/') == Some(path)) {
                self.properties.other.remove(key);
            }
        }
    }

    /// Whether the service marks the content as infected: any `virus` word but `none`
    /// (the classic API's field; `MALWARE` in `statuses` of API 2.0).
    pub fn is_infected(&self) -> bool {
        self.properties
            .virus
            .as_deref()
            .is_some_and(|word| !word.eq_ignore_ascii_case("none"))
    }
}

/// A place where a walk begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    /// The root folder itself.
    pub entry: Entry,
    /// The drive's name as a person knows it: a member's mail, a shared drive's or a group's name.
    pub name: String,
    /// What the service says the drive holds.
    pub quota: Option<Quota>,
    /// Whether the walk may begin here.
    pub access: Access,
}

/// Whether a drive that the directory or the job names can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It can.
    Readable,
    /// It cannot, for the reason given as a code of the manifest (`denied`, `suspended`, `deleted`, `pending`,
    /// `not-found`, `unauthenticated`, …) and a sentence for people.
    Refused {
        /// Short code, the same in every language.
        reason: String,
        /// What was said.
        message: String,
    },
}

/// Bytes that a drive holds, as the service counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes the drive may hold; shared drives have no such figure.
    pub total: Option<u64>,
    /// Bytes used, trash included.
    pub used: Option<u64>,
    /// Bytes in the trash.
    pub trash: Option<u64>,
}

/// What may be asked of an entry beyond its listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Detail {
    /// Who may do what on a folder or drive.
    Permissions,
    /// The public or organisation link of an entry.
    Link,
    /// Who a My Drive folder is shared with.
    Share,
    /// Earlier contents of a file.
    Revisions,
    /// What lies in the trash of a drive; asked of its root.
    Trash,
}

impl Detail {
    /// Every detail.
    pub const ALL: [Detail; 5] = [
        Detail::Permissions,
        Detail::Link,
        Detail::Share,
        Detail::Revisions,
        Detail::Trash,
    ];

    /// The key under which the manifest's `properties` hold it.
    pub fn key(self) -> &'static str {
        match self {
            Detail::Permissions => "permissions",
            Detail::Link => "link",
            Detail::Share => "share",
            Detail::Revisions => "revisions",
            Detail::Trash => "trash",
        }
    }
}

/// One word of a job's `drives` list: which roots are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The acting member's My Drive (`me`).
    Me,
    /// One member's My Drive by id or mail (`users/<id>`).
    User(String),
    /// Every member's My Drive (`users/*`), or those whose mail or id matches the pattern (`users/*@example.com`).
    Users(String),
    /// One shared drive by id (`sharedrives/<id>`).
    SharedDrive(String),
    /// Every shared drive the token can reach, or those whose name or id matches (`sharedrives/*`).
    SharedDrives(String),
    /// One group's or team's folder (`groups/<id>`).
    Group(String),
    /// Every group folder, or those whose name or id matches (`groups/*`).
    Groups(String),
    /// The folders shared with a member: `me/sharedfolders/*` or `users/<id>/sharedfolders/*`.
    SharedFolders {
        /// `me`, or the member's id or mail.
        member: String,
        /// `*`, a pattern on the folder's name or id, or one id.
        pattern: String,
    },
    /// A classic folder by location and key (`key:<location>/<key>`).
    Key {
        /// `resourceLocation`
        location: String,
        /// `resourceKey`
        key: String,
    },
}

/// A `drives` word that means nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "'{0}' names no drive; expected me, users/*, users/<id or mail>, sharedrives/*, sharedrives/<id>, groups/*, groups/<id>, me/sharedfolders/* or key:<location>/<key>"
)]
pub struct UnknownScope(pub String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Scope, UnknownScope> {
        let unknown = || UnknownScope(word.to_owned());
        if let Some(rest) = word.strip_prefix("key:") {
            return match rest.split_once('/') {
                Some((location, key)) if !location.is_empty() && !key.is_empty() => Ok(Scope::Key {
                    location: location.to_owned(),
                    key: key.to_owned(),
                }),
                _ => Err(unknown()),
            };
        }
        let parts: Vec<&str> = word.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(unknown());
        }
        let is_pattern = |text: &str| text.contains(['*', '?', '[', '{']);
        match parts.as_slice() {
            ["me"] => Ok(Scope::Me),
            ["users", text] if is_pattern(text) => Ok(Scope::Users((*text).to_owned())),
            ["users", text] => Ok(Scope::User((*text).to_owned())),
            ["sharedrives", text] if is_pattern(text) => Ok(Scope::SharedDrives((*text).to_owned())),
            // As an address of the API writes it (JP/sharedrive-file-root-list).
            ["sharedrives", text] => Ok(Scope::SharedDrive(match text.strip_prefix("%40") {
                Some(digits) => format!("@{digits}"),
                None => (*text).to_owned(),
            })),
            ["groups", text] if is_pattern(text) => Ok(Scope::Groups((*text).to_owned())),
            ["groups", text] => Ok(Scope::Group((*text).to_owned())),
            ["me", "sharedfolders", text] => Ok(Scope::SharedFolders {
                member: "me".to_owned(),
                pattern: (*text).to_owned(),
            }),
            ["users", member, "sharedfolders", text] => Ok(Scope::SharedFolders {
                member: (*member).to_owned(),
                pattern: (*text).to_owned(),
            }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Me => write!(formatter, "me"),
            Scope::User(text) | Scope::Users(text) => write!(formatter, "users/{text}"),
            Scope::SharedDrive(text) | Scope::SharedDrives(text) => {
                write!(formatter, "sharedrives/{text}")
            }
            Scope::Group(text) | Scope::Groups(text) => write!(formatter, "groups/{text}"),
            Scope::SharedFolders { member, pattern } if member == "me" => {
                write!(formatter, "me/sharedfolders/{pattern}")
            }
            Scope::SharedFolders { member, pattern } => {
                write!(formatter, "users/{member}/sharedfolders/{pattern}")
            }
            Scope::Key { location, key } => write!(formatter, "key:{location}/{key}"),
        }
    }
}

/// What to do when the place an item is restored to already holds one of that name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Leave what is there; with the same size and time it counts as restored.
    #[default]
    Skip,
    /// Put the new content over it.
    Overwrite,
    /// Upload beside it under a new name.
    Rename,
    /// Record a failure.
    Fail,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_words_read_and_print_alike() {
        for word in [
            "me",
            "users/*",
            "users/taro@example.com",
            "users/*@example.com",
            "sharedrives/*",
            "sharedrives/@2101000000000008",
            "groups/*",
            "groups/170b",
            "me/sharedfolders/*",
            "users/u1/sharedfolders/5_D_9",
            "key:24101/QDIwMDE1OTB8",
        ] {
            assert_eq!(
                word.parse::<Scope>().map(|scope| scope.to_string()),
                Ok(word.to_owned())
            );
        }
        let encoded = "sharedrives/%402101000000000008".parse::<Scope>();
        assert_eq!(encoded, "sharedrives/@2101000000000008".parse());
        for word in ["", "you", "users", "users/", "key:24101", "me/x", "users/a/b"] {
            assert_eq!(word.parse::<Scope>(), Err(UnknownScope(word.to_owned())));
        }
    }
}
