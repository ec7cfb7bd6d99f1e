//! Worlds made from nothing: the small tenant of the demonstration, and generated ones of any size.

use serde::{Deserialize, Serialize};

use super::change::{Change, Flag};
use super::content::mix;
use super::names::{demo_entries, hostile_name};
use super::people::AccessibleRange;
use super::tree::Node;
use super::world::{EPOCH_MS, World};

/// A tree to generate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct GeneratedSpec {
    /// Number of files.
    pub files: usize,
    /// Number of folders, the root not counted.
    pub folders: usize,
    /// Bytes of the files.
    pub sizes: Sizes,
    /// What names, sizes, times and bytes follow from.
    pub seed: u64,
    /// Most folders above a file, the root counted; at least 1.
    pub depth: usize,
    /// What the names are like.
    pub names: Names,
}

impl Default for GeneratedSpec {
    fn default() -> Self {
        Self {
            files: 1_000,
            folders: 100,
            sizes: Sizes::default(),
            seed: 1,
            depth: 6,
            names: Names::default(),
        }
    }
}

/// How large generated files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sizes {
    /// As in offices: mostly below 16 KiB, a quarter up to 256 KiB, one in twenty up to 4 MiB, one in fifty empty.
    #[default]
    Office,
    /// All alike.
    Fixed(u64),
    /// Any size from the first to the second, both included.
    Uniform(u64, u64),
}

/// What generated names are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// `file-000001.txt` and the like.
    #[default]
    Plain,
    /// Names that file systems, spreadsheets and shells stumble over.
    Hostile,
}

/// A tenant to generate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct TenantSpec {
    /// Number of members; each has a My Drive.
    pub members: usize,
    /// Number of shared drives.
    pub shared_drives: usize,
    /// Number of groups; every second one has a folder, starting with the first.
    pub groups: usize,
    /// The tree in each drive; every drive has its own seed.
    pub tree: GeneratedSpec,
}

impl Default for TenantSpec {
    fn default() -> Self {
        Self {
            members: 3,
            shared_drives: 1,
            groups: 2,
            tree: GeneratedSpec {
                files: 20,
                folders: 5,
                ..GeneratedSpec::default()
            },
        }
    }
}

impl Sizes {
    fn draw(self, draw: u64) -> u64 {
        match self {
            Self::Fixed(size) => size,
            Self::Uniform(from, to) => from + mix(draw) % (to.saturating_sub(from) + 1),
            Self::Office => match draw % 100 {
                0..2 => 0,
                2..70 => mix(draw) % (16 << 10),
                70..95 => mix(draw) % (256 << 10),
                _ => mix(draw) % (4 << 20),
            },
        }
    }
}

impl World {
    /// A small tenant: three members, a shared drive, a group with a folder, some sixty entries with Japanese and Korean
    /// names, empty files and folders, a name of 600 bytes, twins by case and by Unicode form, and a reserved word.
    pub fn demo() -> Self {
        let mut world = Self::new();
        let taro = world.add_member("山田", "太郎", "taro@example.com");
        let jimin = world.add_member("김", "지민", "jimin@example.com");
        let hanako = world.add_member("佐藤", "花子", "hanako@example.com");
        let shared = world.add_shared_drive("プロジェクト共有", AccessibleRange::Tenant);
        let (_, folder) = world.add_group("영업팀", &[taro, jimin], true, false);
        world.add_group("お知らせ", &[taro, jimin, hanako], false, false);
        let drives = [
            world.my_drive(taro),
            world.my_drive(jimin),
            world.my_drive(hanako),
            Some(shared),
            folder,
        ];
        for (drive, path, size) in demo_entries() {
            let Some(word) = drives
                .get(drive)
                .copied()
                .flatten()
                .and_then(|drive| world.drive_word(drive))
            else {
                continue;
            };
            let key = mix(path
                .bytes()
                .fold(drive as u64, |key, byte| mix(key ^ u64::from(byte))));
            let at = EPOCH_MS + i64::try_from(key % 31_536_000_000).unwrap_or(0);
            let change = match size {
                Some(size) => Change::AddFile {
                    drive: word,
                    path,
                    size,
                    seed: key,
                    modified: Some(at),
                },
                None => Change::AddFolder { drive: word, path },
            };
            // The entries are fixed and fit each other.
            let _ = world.apply(&change, at);
        }
        let me = || "me".to_owned();
        let extras = [
            Change::Flag {
                drive: me(),
                path: "/契約書/機密保持契約.pdf".into(),
                flag: Flag::Locked,
                on: true,
            },
            Change::Flag {
                drive: me(),
                path: "/見積書.xlsx".into(),
                flag: Flag::Protected,
                on: true,
            },
            Change::Flag {
                drive: me(),
                path: "/写真/富士山.jpg".into(),
                flag: Flag::Exif,
                on: true,
            },
            Change::Flag {
                drive: me(),
                path: "/写真/富士山.jpg".into(),
                flag: Flag::Thumbnail,
                on: true,
            },
            Change::Share {
                drive: me(),
                path: "/共有資料".into(),
                with: vec!["jimin@example.com".into()],
            },
        ];
        for change in extras {
            let _ = world.apply(&change, EPOCH_MS);
        }
        world
    }

    /// A tenant of one member whose My Drive holds a generated tree.
    pub fn generated(spec: &GeneratedSpec) -> Self {
        let mut world = Self::new();
        world.add_member("山田", "太郎", "taro@example.com");
        world.generate(0, spec);
        world
    }

    /// A tenant of many members and drives.
    pub fn tenant(spec: &TenantSpec) -> Self {
        let mut world = Self::new();
        for number in 1..=spec.members {
            world.add_member(
                "Member",
                &number.to_string(),
                &format!("member{number}@example.com"),
            );
        }
        for number in 1..=spec.shared_drives {
            world.add_shared_drive(&format!("Shared drive {number}"), AccessibleRange::Tenant);
        }
        for number in 0..spec.groups {
            let members: Vec<usize> = (0..spec.members)
                .filter(|member| member % 2 == number % 2 || *member == 0)
                .collect();
            world.add_group(&format!("Group {}", number + 1), &members, number % 2 == 0, false);
        }
        for drive in 0..world.drives.len() {
            let tree = GeneratedSpec {
                seed: mix(spec.tree.seed.wrapping_add(drive as u64)),
                ..spec.tree.clone()
            };
            world.generate(drive, &tree);
        }
        world
    }

    /// Adds a generated tree to the drive at this position.
    pub fn generate(&mut self, drive: usize, spec: &GeneratedSpec) {
        let Some(root) = self.root(drive) else {
            return;
        };
        self.tree.reserve(spec.files + spec.folders);
        let time = |draw: u64| EPOCH_MS + i64::try_from(draw % 31_536_000_000).unwrap_or(0);
        let mut folders: Vec<(Node, usize)> = vec![(root, 1)];
        // Folders that may still have folders below them.
        let mut open: Vec<(Node, usize)> = vec![(root, 1)];
        for number in 0..spec.folders {
            let draw = mix(spec.seed ^ mix(number as u64 + 1));
            let choice = usize::try_from(draw % open.len() as u64).unwrap_or(0);
            let (parent, depth) = open.get(choice).copied().unwrap_or((root, 1));
            let name = match spec.names {
                Names::Plain => format!("folder-{number:05}"),
                Names::Hostile => hostile_name(number as u64, true),
            };
            let node = self.add_folder(parent, &name, time(mix(draw)));
            folders.push((node, depth + 1));
            if depth + 1 < spec.depth.max(1) {
                open.push((node, depth + 1));
            }
        }
        for number in 0..spec.files {
            let draw = mix(spec.seed.wrapping_add(0xf11e) ^ mix(number as u64));
            let parent = folders
                .get(number % folders.len())
                .map_or(root, |(node, _)| *node);
            let name = match spec.names {
                Names::Plain => {
                    let extensions = ["txt", "docx", "jpg", "pdf", "zip", "mp4", "xlsx", "bin"];
                    let extension = extensions
                        .get(number % extensions.len())
                        .copied()
                        .unwrap_or("bin");
                    format!("file-{number:06}.{extension}")
                }
                Names::Hostile => hostile_name(number as u64, false),
            };
            self.add_file(
                parent,
                &name,
                spec.sizes.draw(draw),
                mix(draw),
                time(mix(draw ^ 7)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{GeneratedSpec, Names, TenantSpec, World};
    use unicode_normalization::UnicodeNormalization as _;

    #[test]
    fn generated_trees_have_the_wanted_counts_and_depth_and_repeat() {
        for names in [Names::Plain, Names::Hostile] {
            let spec = GeneratedSpec {
                files: 500,
                folders: 80,
                depth: 3,
                names,
                ..GeneratedSpec::default()
            };
            let world = World::generated(&spec);
            let rows: Vec<_> = world.truth(0).collect();
            assert_eq!(rows.iter().filter(|row| row.kind == "file").count(), 500);
            assert_eq!(rows.iter().filter(|row| row.kind == "folder").count(), 80);
            assert_eq!(
                rows.iter().map(|row| row.path.matches('/').count()).max(),
                Some(3)
            );
            assert_eq!(rows, World::generated(&spec).truth(0).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_demo_has_what_its_description_says() {
        let world = World::demo();
        let all: Vec<_> = (0..world.drives().len())
            .flat_map(|drive| world.truth(drive))
            .collect();
        assert!((50..=80).contains(&all.len()), "{}", all.len());
        let has = |wanted: &dyn Fn(&str, u64, &str) -> bool| {
            all.iter()
                .any(|row| wanted(row.path.rsplit('/').next().unwrap(), row.size, row.kind))
        };
        assert!(has(&|name, _, _| name.len() == 600 && name.chars().count() == 200));
        assert!(has(&|_, size, kind| kind == "file" && size == 0));
        assert!(has(&|name, _, _| name.nfc().ne(name.chars())));
        assert!(has(&|name, _, _| name == "CON.txt"));
        let lower: Vec<_> = all.iter().map(|row| row.path.to_lowercase()).collect();
        assert!((0..lower.len()).any(|i| lower[i + 1..].contains(&lower[i])));
        assert!(
            all.iter()
                .all(|row| row.modified % 1_000 != 0 || row.kind == "folder" || row.size < u64::MAX)
        );
    }

    #[test]
    fn a_tenant_has_its_drives() {
        let world = World::tenant(&TenantSpec::default());
        assert_eq!(
            (world.members().len(), world.groups().len(), world.drives().len()),
            (3, 2, 5)
        );
        assert_eq!(
            world
                .drives()
                .iter()
                .map(|drive| drive.used > 0)
                .filter(|used| *used)
                .count(),
            5
        );
    }

    #[test]
    fn random_changes_repeat_and_are_told() {
        let spec = GeneratedSpec {
            files: 50,
            folders: 10,
            ..GeneratedSpec::default()
        };
        let (mut one, mut other) = (World::generated(&spec), World::generated(&spec));
        let done = one.random_changes(5, 40, 1_000);
        assert_eq!(done.len(), 40);
        for change in &done {
            other.apply(change, 1_000).unwrap();
        }
        assert_eq!(
            one.truth(0).collect::<Vec<_>>(),
            other.truth(0).collect::<Vec<_>>()
        );
    }
}
