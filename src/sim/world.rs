//! The tenant that is simulated: members, groups, drives, and the trees in them.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::content::{Content, mix};
use super::people::{AccessibleRange, Drive, DriveKind, Group, Member, Permission, Share};
use super::tree::{Entry, Node, Tree, flag};

/// Start of the numbers in ids; the first entries of the docs' examples have numbers of this size.
const FIRST_NUMBER: u64 = 1_467_056_010_000;
/// Storage location code of the API 2.0 docs' Korean examples.
const LOCATION: i32 = 24_101;
/// 2024-04-01T09:00:00+09:00, the time before which nothing was made.
pub(super) const EPOCH_MS: i64 = 1_711_929_600_000;
/// Bytes of a new My Drive: 1 TiB.
const TOTAL: u64 = 1 << 40;

/// One tenant. Everything in it follows from seeds and from the changes made, so two worlds made alike are alike.
#[derive(Debug, Default)]
pub struct World {
    pub(super) tree: Tree,
    pub(super) members: Vec<Member>,
    pub(super) groups: Vec<Group>,
    pub(super) drives: Vec<Drive>,
    pub(super) shares: Vec<Share>,
    drive_by_owner: HashMap<String, usize>,
    member_by_name: HashMap<String, usize>,
    /// Position of a group and, when it has a folder, of its drive.
    group_by_id: HashMap<String, (usize, Option<usize>)>,
    next_id: u64,
    /// Entries that an import left out because their names are not UTF-8 or because they are neither file nor folder.
    pub(super) skipped: Vec<String>,
}

impl World {
    /// A tenant without members and drives.
    pub fn new() -> Self {
        Self::default()
    }

    /// The members, in the order in which they are listed.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The groups and organisational units.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// All drives, My Drives first in the order of their members.
    pub fn drives(&self) -> &[Drive] {
        &self.drives
    }

    /// Number of entries that were ever made, roots of drives included.
    pub fn entry_count(&self) -> usize {
        self.tree.len()
    }

    /// What [`World::import`] left out.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// The next number for things that need one, different at each call.
    pub(super) fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Adds a member with an empty My Drive; the position of the member.
    pub fn add_member(&mut self, last_name: &str, first_name: &str, email: &str) -> usize {
        let position = self.members.len();
        let user_id = like_a_uuid(mix(position as u64 ^ 0x006d_656d_6265_7273));
        let number = 14_503_002 + position as u64;
        self.member_by_name.insert(user_id.clone(), position);
        self.member_by_name.insert(email.to_lowercase(), position);
        self.members.push(Member {
            user_id,
            email: email.to_owned(),
            last_name: last_name.to_owned(),
            first_name: first_name.to_owned(),
            number,
            is_administrator: position == 0,
            is_suspended: false,
            is_deleted: false,
            is_pending: false,
        });
        self.add_drive(DriveKind::My(position), number.to_string(), "");
        position
    }

    /// Adds a shared drive whose master is the first member; the position of the drive.
    pub fn add_shared_drive(&mut self, name: &str, range: AccessibleRange) -> usize {
        let number = 2_101_000_000_000_000 + self.drives.len() as u64;
        let drive = self.add_drive(DriveKind::Shared, format!("@{number}"), name);
        if let Some(drive) = self.drives.get_mut(drive) {
            drive.range = range;
            drive.masters = vec![0];
        }
        drive
    }

    /// Adds a group; its position and, when it has a folder, that of its drive.
    pub fn add_group(
        &mut self,
        name: &str,
        members: &[usize],
        use_folder: bool,
        is_orgunit: bool,
    ) -> (usize, Option<usize>) {
        let position = self.groups.len();
        let group_id = like_a_uuid(mix(position as u64 ^ 0x6772_6f75_7073));
        self.groups.push(Group {
            group_id: group_id.clone(),
            name: name.to_owned(),
            members: members.iter().copied().collect(),
            use_folder,
            is_orgunit,
        });
        let drive = use_folder.then(|| {
            self.add_drive(
                DriveKind::Group(position),
                format!("@{}", 2_001_590 + position),
                name,
            )
        });
        self.group_by_id.insert(group_id, (position, drive));
        (position, drive)
    }

    fn add_drive(&mut self, kind: DriveKind, owner: String, name: &str) -> usize {
        let position = self.drives.len();
        let root = self.tree.push(Entry {
            name: "/".into(),
            size: 0,
            seed: 0,
            created: EPOCH_MS,
            modified: EPOCH_MS,
            accessed: EPOCH_MS,
            parent: Node(0),
            drive: u32::try_from(position).unwrap_or(u32::MAX),
            flags: flag::FOLDER | flag::ROOT,
            children: None,
            extra: None,
        });
        self.drive_by_owner.insert(owner.clone(), position);
        self.drives.push(Drive {
            kind,
            owner,
            name: name.to_owned(),
            description: String::new(),
            created: EPOCH_MS,
            location: LOCATION,
            used: 0,
            trash_bytes: 0,
            total: TOTAL,
            trash_empty_cycle: 0,
            range: AccessibleRange::Tenant,
            right: "WRITE".to_owned(),
            denies: Vec::new(),
            masters: Vec::new(),
            permissions: Vec::new(),
            deleted: false,
            root,
            trash: Vec::new(),
        });
        position
    }

    /// The member with this id or mail.
    pub fn member(&self, name: &str) -> Option<usize> {
        self.member_by_name
            .get(name)
            .or_else(|| self.member_by_name.get(&name.to_lowercase()))
            .copied()
    }

    /// A drive by the scope word of job files: `me` (the first member's), `users/<id or mail>`, `sharedrives/<id>`, `groups/<id>`.
    pub fn drive(&self, word: &str) -> Option<usize> {
        if word == "me" {
            return self.my_drive(0);
        }
        match word.split_once('/')? {
            ("users", name) => self.my_drive(self.member(name)?),
            ("sharedrives", id) => self.shared_drive(id),
            ("groups", id) => self.group_drive(id),
            _ => None,
        }
    }

    /// The scope word of the drive at this position.
    pub fn drive_word(&self, drive: usize) -> Option<String> {
        let found = self.drives.get(drive)?;
        Some(match found.kind {
            DriveKind::My(member) => format!("users/{}", self.members.get(member)?.user_id),
            DriveKind::Shared => format!("sharedrives/{}", found.owner),
            DriveKind::Group(group) => format!("groups/{}", self.groups.get(group)?.group_id),
        })
    }

    pub(super) fn my_drive(&self, member: usize) -> Option<usize> {
        let number = self.members.get(member)?.number;
        self.drive_by_owner.get(&number.to_string()).copied()
    }

    pub(super) fn shared_drive(&self, id: &str) -> Option<usize> {
        self.drive_by_owner.get(id).copied().filter(|drive| {
            self.drives
                .get(*drive)
                .is_some_and(|drive| drive.kind == DriveKind::Shared && !drive.deleted)
        })
    }

    pub(super) fn group(&self, id: &str) -> Option<usize> {
        self.group_by_id.get(id).map(|(group, _)| *group)
    }

    pub(super) fn group_drive(&self, id: &str) -> Option<usize> {
        self.group_by_id.get(id).and_then(|(_, drive)| *drive)
    }

    /// Tells whether a member may reach a drive (section "families" of the API 2.0 docs: a token acts with its member's rights).
    pub(super) fn may_reach(&self, member: usize, drive: usize) -> bool {
        let Some(drive) = self.drives.get(drive) else {
            return false;
        };
        match drive.kind {
            DriveKind::My(owner) => owner == member,
            DriveKind::Group(group) => self
                .groups
                .get(group)
                .is_some_and(|group| group.members.contains(&member)),
            DriveKind::Shared => {
                let denied = || drive.denies.iter().any(|denied| self.covers(&denied.id, member));
                drive.masters.contains(&member)
                    || (drive.range != AccessibleRange::Member && !denied())
                    || drive
                        .permissions
                        .iter()
                        .any(|permission| self.covers(&permission.user_id, member))
            }
        }
    }

    /// Tells whether a member may see an entry of a shared drive: folders with permissions of their own are shut to all but
    /// the masters and those who were granted something there; the nearest such folder decides.
    pub fn may_open(&self, member: usize, node: Node) -> bool {
        let drive = self.drive_of(node);
        let is_master = self
            .drives
            .get(drive)
            .is_some_and(|drive| drive.masters.contains(&member));
        let nearest = self
            .tree
            .upwards(node)
            .find(|(_, entry)| entry.is(flag::HAS_PERMISSION))
            .and_then(|(_, entry)| entry.extra.as_ref());
        self.may_reach(member, drive)
            && (is_master
                || nearest.is_none_or(|extra| {
                    extra
                        .permissions
                        .iter()
                        .any(|permission| self.covers(&permission.user_id, member))
                }))
    }

    /// Tells whether a folder of a drive has permissions of its own.
    pub(super) fn has_folder_permissions(&self, drive: usize) -> bool {
        let count = u32::try_from(self.tree.len()).unwrap_or(u32::MAX);
        (0..count)
            .filter_map(|node| self.tree.get(Node(node)))
            .any(|entry| {
                entry.drive as usize == drive
                    && entry.is_alive()
                    && entry.is(flag::HAS_PERMISSION)
                    && !entry.is(flag::ROOT)
            })
    }

    /// Tells whether `id` is the member or a group the member is in.
    pub(super) fn covers(&self, id: &str, member: usize) -> bool {
        self.members.get(member).is_some_and(|known| known.user_id == id)
            || self
                .groups
                .iter()
                .any(|group| group.group_id == id && group.members.contains(&member))
    }

    /// The id of an entry in both generations: Base64 (URL alphabet, no padding) of `owner|number|F or D|share`.
    pub(super) fn id(&self, node: Node) -> String {
        let Some(entry) = self.tree.get(node) else {
            return String::new();
        };
        let owner = self
            .drives
            .get(entry.drive as usize)
            .map_or("", |drive| drive.owner.as_str());
        let kind = if entry.is_folder() { 'D' } else { 'F' };
        URL_SAFE_NO_PAD.encode(format!("{owner}|{}|{kind}|0", Self::number(node)))
    }

    /// The number in an entry's id.
    pub(super) fn number(node: Node) -> u64 {
        FIRST_NUMBER + u64::from(node.0)
    }

    /// The entry with this id, trashed or not; `None` when the id was never given out or its entry is gone for good.
    pub(super) fn node(&self, id: &str) -> Option<Node> {
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
        let mut parts = plain.split('|');
        let (owner, number, kind) = (parts.next()?, parts.next()?, parts.next()?);
        let number = number.parse::<u64>().ok()?.checked_sub(FIRST_NUMBER)?;
        let node = Node(u32::try_from(number).ok()?);
        let entry = self.tree.get(node)?;
        let fits = self
            .drives
            .get(entry.drive as usize)
            .is_some_and(|drive| drive.owner == owner)
            && kind == if entry.is_folder() { "D" } else { "F" }
            && !entry.is(flag::GONE);
        fits.then_some(node)
    }

    /// The live entry at a path of a drive; of twins the first. A path `id:<id>` names an entry by its id.
    pub fn find(&self, drive: usize, path: &str) -> Option<Node> {
        if let Some(id) = path.strip_prefix("id:") {
            return self
                .node(id)
                .filter(|node| self.tree.get(*node).is_some_and(Entry::is_alive));
        }
        let root = self.drives.get(drive)?.root;
        path.split('/')
            .filter(|part| !part.is_empty())
            .try_fold(root, |folder, name| self.tree.child_named(folder, name))
    }

    /// The path of an entry inside its drive.
    pub fn path(&self, node: Node) -> String {
        self.tree.path(node)
    }

    /// The id of an entry, as both generations give it.
    pub fn id_of(&self, node: Node) -> String {
        self.id(node)
    }

    /// The root folder of a drive.
    pub fn root(&self, drive: usize) -> Option<Node> {
        self.drives.get(drive).map(|drive| drive.root)
    }

    pub(super) fn drive_of(&self, node: Node) -> usize {
        self.tree
            .get(node)
            .map_or(usize::MAX, |entry| entry.drive as usize)
    }

    pub(super) fn drive_of_mut(&mut self, node: Node) -> Option<&mut Drive> {
        let drive = self.drive_of(node);
        self.drives.get_mut(drive)
    }

    fn new_entry(
        &mut self,
        parent: Node,
        name: &str,
        flags: u16,
        size: u64,
        seed: u64,
        (created, modified): (i64, i64),
    ) -> Node {
        let drive = self.tree.get(parent).map_or(0, |entry| entry.drive);
        let node = self.tree.push(Entry {
            name: name.into(),
            size,
            seed,
            created,
            modified,
            accessed: modified,
            parent,
            drive,
            flags,
            children: None,
            extra: None,
        });
        self.tree.attach(parent, node);
        if let Some(drive) = self.drive_of_mut(parent) {
            drive.used = drive.used.saturating_add(size);
        }
        node
    }

    /// Adds a folder; a child of the same name is no obstacle (twins exist in real drives).
    pub fn add_folder(&mut self, parent: Node, name: &str, now: i64) -> Node {
        self.new_entry(parent, name, flag::FOLDER, 0, 0, (now, now))
    }

    /// Adds a file of `size` bytes made from `seed`.
    pub fn add_file(&mut self, parent: Node, name: &str, size: u64, seed: u64, modified: i64) -> Node {
        self.new_entry(parent, name, 0, size, seed, (modified, modified))
    }

    /// Adds a file with a content of its own.
    pub(super) fn add_content(
        &mut self,
        parent: Node,
        name: &str,
        size: u64,
        content: Content,
        created: i64,
        modified: i64,
    ) -> Node {
        let seed = if let Content::Seeded(seed) = content {
            seed
        } else {
            0
        };
        let node = self.new_entry(parent, name, 0, size, seed, (created, modified));
        if !matches!(content, Content::Seeded(_))
            && let Some(entry) = self.tree.get_mut(node)
        {
            entry.extra_mut().content = Some(content);
        }
        node
    }
}

/// Rights on single entries.
impl World {
    /// Gives a folder permissions of its own, in place of those it had or inherited.
    pub fn restrict(&mut self, node: Node, permissions: Vec<Permission>) {
        if let Some(entry) = self.tree.get_mut(node) {
            entry.set(flag::HAS_PERMISSION, true);
            entry.extra_mut().permissions = permissions;
        }
    }

    /// The permissions of a folder's own; `None` when it inherits them.
    pub fn own_permissions(&self, node: Node) -> Option<&[Permission]> {
        let entry = self.tree.get(node)?;
        let given = entry.extra.as_ref().map(|extra| extra.permissions.as_slice());
        entry.is(flag::HAS_PERMISSION).then(|| given.unwrap_or_default())
    }

    /// Tells whether a member may see an entry: through its drive, or through an invitation into a folder above it.
    pub(super) fn may_access(&self, member: usize, node: Node) -> bool {
        self.may_reach(member, self.drive_of(node))
            || self.shares.iter().any(|share| {
                share
                    .members
                    .iter()
                    .any(|invited| self.covers(&invited.user_id, member))
                    && self.is_below(node, share.node)
            })
    }

    /// Tells whether an entry is `top` or lies below it.
    pub(super) fn is_below(&self, node: Node, top: Node) -> bool {
        self.tree.upwards(node).any(|(above, _)| above == top)
    }
}

/// Settings of members and drives.
impl World {
    /// The member at this position, to be changed. Its ids must stay as they are.
    pub fn member_mut(&mut self, member: usize) -> Option<&mut Member> {
        self.members.get_mut(member)
    }

    /// The drive at this position, to be changed. Its ids must stay as they are.
    pub fn drive_mut(&mut self, drive: usize) -> Option<&mut Drive> {
        self.drives.get_mut(drive)
    }
}

/// A text in the form of the service's ids of members and groups.
fn like_a_uuid(noise: u64) -> String {
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        noise >> 32,
        (noise >> 16) & 0xffff,
        noise & 0xfff,
        (noise >> 20) & 0xfff,
        mix(noise) >> 16
    )
}
