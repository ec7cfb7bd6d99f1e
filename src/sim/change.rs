//! Changes to a running world: made by tests in the process, or by another process over the admin port.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::{Content, mix};
use super::people::{Share, ShareMember};
use super::tree::{Entry, Node, flag};
use super::world::World;

/// A change to one drive. Drives are named as in job files, entries by path or as `id:<id>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// Adds a file; missing folders above it are made.
    AddFile {
        /// Drive.
        drive: String,
        /// Path of the new file.
        path: String,
        /// Bytes.
        size: u64,
        /// What its bytes are made from.
        #[serde(default)]
        seed: u64,
        /// Milliseconds since 1970; without it, now.
        #[serde(default)]
        modified: Option<i64>,
    },
    /// Adds a file of this text; missing folders above it are made.
    AddText {
        /// Drive.
        drive: String,
        /// Path of the new file.
        path: String,
        /// Its content.
        text: String,
    },
    /// Adds a folder; missing folders above it are made.
    AddFolder {
        /// Drive.
        drive: String,
        /// Path of the new folder.
        path: String,
    },
    /// Moves an entry into the trash.
    Remove {
        /// Drive.
        drive: String,
        /// Path.
        path: String,
    },
    /// Gives a file new bytes.
    Touch {
        /// Drive.
        drive: String,
        /// Path.
        path: String,
        /// New size; without it, as before.
        #[serde(default)]
        size: Option<u64>,
        /// New seed; without it, one that follows from the old.
        #[serde(default)]
        seed: Option<u64>,
        /// Milliseconds since 1970; without it, now.
        #[serde(default)]
        modified: Option<i64>,
    },
    /// Gives an entry another name.
    Rename {
        /// Drive.
        drive: String,
        /// Path.
        path: String,
        /// New name.
        name: String,
    },
    /// Moves an entry into another folder of its drive.
    Move {
        /// Drive.
        drive: String,
        /// Path.
        path: String,
        /// Path of the folder.
        to: String,
    },
    /// Sets or takes away a status or property.
    Flag {
        /// Drive.
        drive: String,
        /// Path.
        path: String,
        /// Which.
        flag: Flag,
        /// Set it or take it away.
        on: bool,
    },
    /// Invites members into a folder of My Drive.
    Share {
        /// Drive.
        drive: String,
        /// Path.
        path: String,
        /// Mails or ids of the invited.
        with: Vec<String>,
    },
    /// Ends an invitation.
    Unshare {
        /// Drive.
        drive: String,
        /// Path.
        path: String,
    },
    /// Adds a field to the objects that describe the entry.
    SetField {
        /// Drive.
        drive: String,
        /// Path.
        path: String,
        /// Name of the field.
        name: String,
        /// Its value.
        value: Value,
    },
    /// Suspends a member or ends the suspension.
    Suspend {
        /// Mail or id.
        member: String,
        /// Suspend, or end it.
        on: bool,
    },
}

/// A status or property that is either there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// `LOCKED`
    Locked,
    /// `MALWARE`; `virus` of the classic generation is then not `none`.
    Malware,
    /// `PROTECTED` (marked important)
    Protected,
    /// `IN_PROGRESS`
    InProgress,
    /// A folder of a shared drive or group folder with permissions of its own.
    HasPermission,
    /// `hasExif` of the classic generation.
    Exif,
    /// `hasThumbnail` of the classic generation.
    Thumbnail,
    /// `uploaded: false` of the classic generation.
    Incomplete,
}

impl Flag {
    fn bits(self) -> u16 {
        match self {
            Self::Locked => flag::LOCKED,
            Self::Malware => flag::MALWARE,
            Self::Protected => flag::PROTECTED,
            Self::InProgress => flag::IN_PROGRESS,
            Self::HasPermission => flag::HAS_PERMISSION,
            Self::Exif => flag::EXIF,
            Self::Thumbnail => flag::THUMBNAIL,
            Self::Incomplete => flag::INCOMPLETE,
        }
    }
}

/// A change that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No such drive.
    #[error("there is no drive {0:?}")]
    NoDrive(String),
    /// No such entry.
    #[error("there is nothing at {path:?} in drive {drive:?}")]
    NoEntry {
        /// Drive.
        drive: String,
        /// Path.
        path: String,
    },
    /// No such member.
    #[error("there is no member {0:?}")]
    NoMember(String),
    /// The entry is a folder where a file is needed, or the other way round, or a folder would be moved below itself.
    #[error("{0:?} cannot be changed in this way")]
    Unfit(String),
}

impl World {
    /// Makes one change at the time `now` (milliseconds since 1970); the entry that was changed, if it was one.
    ///
    /// # Errors
    /// The drive, entry or member does not exist, or the change does not fit it; then nothing is changed.
    pub fn apply(&mut self, change: &Change, now: i64) -> Result<Option<Node>, ChangeError> {
        let node = match change {
            Change::AddFile {
                drive,
                path,
                size,
                seed,
                modified,
            } => {
                let (folder, name) = self.make_way(drive, path, now)?;
                self.add_file(folder, &name, *size, mix(*seed), modified.unwrap_or(now))
            }
            Change::AddText { drive, path, text } => {
                let (folder, name) = self.make_way(drive, path, now)?;
                let content = Content::Held(text.clone().into());
                self.add_content(folder, &name, text.len() as u64, content, now, now)
            }
            Change::AddFolder { drive, path } => {
                let (folder, name) = self.make_way(drive, path, now)?;
                self.add_folder(folder, &name, now)
            }
            Change::Remove { drive, path } => {
                let node = self.changeable(drive, path)?;
                self.trash(node, now, None);
                node
            }
            Change::Touch {
                drive,
                path,
                size,
                seed,
                modified,
            } => {
                let node = self.changeable(drive, path)?;
                let (old_size, old_seed, folder) = self
                    .tree
                    .get(node)
                    .map_or((0, 0, true), |entry| (entry.size, entry.seed, entry.is_folder()));
                if folder {
                    return Err(ChangeError::Unfit(path.clone()));
                }
                let seed = seed.map_or_else(|| mix(old_seed ^ 1), mix);
                let size = size.unwrap_or(old_size);
                self.replace_content(
                    node,
                    size,
                    Content::Seeded(seed),
                    modified.unwrap_or(now),
                    now,
                    None,
                );
                node
            }
            Change::Rename { drive, path, name } => {
                let node = self.changeable(drive, path)?;
                self.tree.rename(node, name);
                node
            }
            Change::Move { drive, path, to } => {
                let node = self.changeable(drive, path)?;
                let folder = self.wanted(drive, to)?;
                if !self.tree.get(folder).is_some_and(Entry::is_folder) || !self.relocate(node, folder) {
                    return Err(ChangeError::Unfit(path.clone()));
                }
                node
            }
            Change::Flag {
                drive,
                path,
                flag,
                on,
            } => {
                let node = self.wanted(drive, path)?;
                if let Some(entry) = self.tree.get_mut(node) {
                    entry.set(flag.bits(), *on);
                }
                node
            }
            Change::Share { drive, path, with } => {
                let node = self.wanted(drive, path)?;
                let members = with
                    .iter()
                    .map(|name| {
                        let member = self
                            .member(name)
                            .and_then(|member| self.members.get(member))
                            .ok_or_else(|| ChangeError::NoMember(name.clone()))?;
                        Ok(ShareMember {
                            user_id: member.user_id.clone(),
                            user_type: "USER".to_owned(),
                            permission_type: "WRITE".to_owned(),
                            user_name: member.display_name(),
                        })
                    })
                    .collect::<Result<_, _>>()?;
                self.share(node, members, now);
                node
            }
            Change::Unshare { drive, path } => {
                let node = self.wanted(drive, path)?;
                self.unshare(node);
                node
            }
            Change::SetField {
                drive,
                path,
                name,
                value,
            } => {
                let node = self.wanted(drive, path)?;
                if let Some(entry) = self.tree.get_mut(node) {
                    entry.extra_mut().fields.insert(name.clone(), value.clone());
                }
                node
            }
            Change::Suspend { member, on } => {
                let position = self
                    .member(member)
                    .ok_or_else(|| ChangeError::NoMember(member.clone()))?;
                if let Some(found) = self.members.get_mut(position) {
                    found.is_suspended = *on;
                }
                return Ok(None);
            }
        };
        Ok(Some(node))
    }

    /// Makes `count` changes that follow from `seed`: files added, rewritten, renamed, moved, removed, flagged. Returns what it did.
    pub fn random_changes(&mut self, seed: u64, count: usize, now: i64) -> Vec<Change> {
        let mut done = Vec::with_capacity(count);
        let mut draw = seed;
        let mut next = || {
            draw = mix(draw);
            draw
        };
        // A world may be too small for some changes; trying is bounded.
        for _ in 0..count.saturating_mul(20) {
            if done.len() == count {
                break;
            }
            let (kind, pick, value) = (next() % 100, next(), next());
            if let Some(change) = self.random_change(kind, pick, value)
                && self.apply(&change, now).is_ok()
            {
                done.push(change);
            }
        }
        done
    }

    fn random_change(&self, kind: u64, pick: u64, value: u64) -> Option<Change> {
        let node = Node(u32::try_from(pick % (self.tree.len() as u64).max(1)).ok()?);
        let entry = self.tree.get(node).filter(|entry| entry.is_alive())?;
        let drive = self.drive_word(entry.drive as usize)?;
        let folder = if entry.is_folder() { node } else { entry.parent };
        let inside = |name: String| {
            let above = self.path(folder);
            format!("{}/{name}", above.trim_end_matches('/'))
        };
        let path = || format!("id:{}", self.id(node));
        if entry.is(flag::ROOT) && kind >= 35 {
            return None;
        }
        Some(match kind {
            0..25 => Change::AddFile {
                drive,
                path: inside(format!("added-{:06x}.txt", value & 0xff_ffff)),
                size: value % 20_000,
                seed: value,
                modified: None,
            },
            25..35 => Change::AddFolder {
                drive,
                path: inside(format!("added-{:06x}", value & 0xff_ffff)),
            },
            35..65 if !entry.is_folder() => Change::Touch {
                drive,
                path: path(),
                size: Some(value % 20_000),
                seed: Some(value),
                modified: None,
            },
            65..80 => Change::Rename {
                drive,
                path: path(),
                name: format!("renamed-{:06x}.txt", value & 0xff_ffff),
            },
            80..87 => {
                let to = Node(u32::try_from(value % self.tree.len() as u64).ok()?);
                self.tree.get(to).filter(|to| to.is_folder() && to.is_alive())?;
                Change::Move {
                    drive,
                    path: path(),
                    to: format!("id:{}", self.id(to)),
                }
            }
            87..93 if !entry.is_folder() => Change::Remove { drive, path: path() },
            93.. => Change::Flag {
                drive,
                path: path(),
                flag: Flag::Protected,
                on: value.is_multiple_of(2),
            },
            _ => return None,
        })
    }

    /// Invites members into a folder, in place of those invited before.
    pub(super) fn share(&mut self, node: Node, members: Vec<ShareMember>, now: i64) {
        let super::people::DriveKind::My(owner) = self
            .drives
            .get(self.drive_of(node))
            .map_or(super::people::DriveKind::Shared, |drive| drive.kind)
        else {
            return;
        };
        if let Some(entry) = self.tree.get_mut(node) {
            entry.set(flag::SHARED, true);
        }
        if let Some(share) = self.shares.iter_mut().find(|share| share.node == node) {
            share.members = members;
            share.modified = now;
        } else {
            self.shares.push(Share {
                node,
                owner,
                members,
                created: now,
                modified: now,
            });
        }
    }

    pub(super) fn unshare(&mut self, node: Node) {
        self.shares.retain(|share| share.node != node);
        if let Some(entry) = self.tree.get_mut(node) {
            entry.set(flag::SHARED, false);
        }
    }

    fn wanted(&self, drive: &str, path: &str) -> Result<Node, ChangeError> {
        let position = self
            .drive(drive)
            .ok_or_else(|| ChangeError::NoDrive(drive.to_owned()))?;
        self.find(position, path).ok_or_else(|| ChangeError::NoEntry {
            drive: drive.to_owned(),
            path: path.to_owned(),
        })
    }

    /// As [`Self::wanted`], but not the root, which cannot be removed, renamed or moved.
    fn changeable(&self, drive: &str, path: &str) -> Result<Node, ChangeError> {
        let node = self.wanted(drive, path)?;
        if self.tree.get(node).is_some_and(|entry| entry.is(flag::ROOT)) {
            return Err(ChangeError::Unfit(path.to_owned()));
        }
        Ok(node)
    }

    /// The folder above a path, made where it is missing, and the path's last name.
    fn make_way(&mut self, drive: &str, path: &str, now: i64) -> Result<(Node, String), ChangeError> {
        let position = self
            .drive(drive)
            .ok_or_else(|| ChangeError::NoDrive(drive.to_owned()))?;
        let mut folder = self
            .root(position)
            .ok_or_else(|| ChangeError::NoDrive(drive.to_owned()))?;
        let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let last = names.pop().ok_or_else(|| ChangeError::Unfit(path.to_owned()))?;
        for name in names {
            folder = match self.tree.child_named(folder, name) {
                Some(found) if self.tree.get(found).is_some_and(Entry::is_folder) => found,
                Some(_) => return Err(ChangeError::Unfit(path.to_owned())),
                None => self.add_folder(folder, name, now),
            };
        }
        Ok((folder, last.to_owned()))
    }
}
