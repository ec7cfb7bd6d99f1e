//! What a restore or a migration would do and cost, for people and for programs.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use serde_json::{Value, json};

use super::forecast::{Window, hours};
use super::{Load, Rate};
use crate::id::Family;
use crate::report::{duration, printable, size};

/// Drives that the page for people names at most.
const DRIVES_SHOWN: usize = 20;

/// Files and folders that are put into the drives of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Folders made at a root.
    pub root_folders: u64,
    /// Folders made elsewhere.
    pub folders: u64,
    /// Files sent to a root.
    pub root_files: u64,
    /// Files sent elsewhere.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

impl Load {
    /// Adds the calls of uploads: one for each folder, and for each file one for the address and one for the bytes. The
    /// classic API takes a file in one call and does not tell its size, which takes a second one.
    pub fn add_arrivals(&mut self, families: &BTreeMap<Family, Arrivals>, classic: bool) {
        let load = self;
        for (family, arrivals) in families {
            let Arrivals {
                root_folders,
                folders,
                root_files,
                files,
                bytes,
            } = *arrivals;
            if classic {
                load.add("classic.create-folder", root_folders + folders);
                load.add("classic.upload", root_files + files);
                load.add("classic.get", root_files + files);
            } else {
                let prefix = match family {
                    Family::MyDrive | Family::Key => "drive",
                    Family::SharedDrive => "sharedrive",
                    Family::GroupFolder => "group",
                    Family::SharedFolder => "sharedfolder",
                };
                for (operation, calls) in [
                    ("create-folder-root", root_folders),
                    ("create-folder", folders),
                    ("upload-url-root", root_files),
                    ("upload-url", files),
                ] {
                    load.add(&format!("{prefix}.{operation}"), calls);
                }
                load.add("storage.upload", root_files + files);
            }
            load.bytes = load.bytes.saturating_add(bytes);
        }
    }
}

/// What would happen if the restore or migration ran now.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// The job's kind.
    pub kind: &'static str,
    /// The job file's name.
    pub job: String,
    /// Where the figures come from.
    pub from: String,
    /// Where the items go, as a person says it.
    pub into: String,
    /// Source drives without a place to go: drive, name and reason code.
    pub unmapped: Vec<(String, String, String)>,
    /// Each pair of drives.
    pub drives: Vec<DeliveryDrive>,
    /// Files by what would become of them, with their bytes, in the words of `idmap.csv`; only what occurs.
    pub files: BTreeMap<&'static str, (u64, u64)>,
    /// Folders by what would become of them.
    pub folders: BTreeMap<&'static str, u64>,
    /// The side that is read, for a migration.
    pub source: Option<Side>,
    /// The side that is written; `None` for a folder of this machine.
    pub target: Option<Side>,
    /// The job's bandwidth in bytes a second.
    pub bandwidth: Option<NonZeroU64>,
    /// The job's window.
    pub window: Option<Window>,
    /// Problems by code.
    pub problems: BTreeMap<String, u64>,
    /// Things a person should know.
    pub warnings: Vec<String>,
}

/// One pair of drives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryDrive {
    /// The drive that the items come from.
    pub source: String,
    /// The drive they go into.
    pub target: String,
    /// Files to be sent.
    pub files: u64,
    /// Folders to be made.
    pub folders: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes that the target has left, where it says.
    pub room: Option<u64>,
}

/// What one tenant is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The calls.
    pub load: Load,
    /// The tenant's rate.
    pub rate: Rate,
}

impl Delivery {
    /// The time it takes at least: the slowest operation of either side, or the bytes where the job limits them. Both sides
    /// work at the same time; their bytes share the bandwidth.
    pub fn time(&self) -> Duration {
        let calls = self.sides().map(|side| side.load.time(side.rate)).max();
        let bytes = self
            .bandwidth
            .map_or(0.0, |rate| self.bytes() as f64 / rate.get() as f64);
        let bytes = Duration::try_from_secs_f64(bytes).unwrap_or(Duration::MAX);
        calls.unwrap_or_default().max(bytes)
    }

    /// The nights it takes at least; `None` without a window.
    pub fn nights(&self) -> Option<u64> {
        let night = self.window.as_ref()?.length;
        let of_calls = self.sides().map(|side| side.load.nights(side.rate, night)).max();
        let fitting = self
            .bandwidth
            .map(|rate| rate.get().saturating_mul(night.as_secs().max(1)));
        let of_bytes = fitting.map_or(1, |fitting| self.bytes().div_ceil(fitting.max(1)));
        Some(of_calls.unwrap_or(1).max(of_bytes).max(1))
    }

    fn sides(&self) -> impl Iterator<Item = &Side> {
        self.source.iter().chain(&self.target)
    }

    fn bytes(&self) -> u64 {
        self.sides()
            .fold(0, |sum, side| sum.saturating_add(side.load.bytes))
    }

    /// Everything as one JSON object: sizes in bytes, times in hours.
    pub fn to_json(&self) -> Value {
        let side = |side: &Side| {
            json!({
                "calls": side.load.calls,
                "bytes": side.load.bytes,
                "requests_per_minute": side.rate.per_minute,
                "half_after_30_minutes": side.rate.halves,
            })
        };
        json!({
            "kind": self.kind,
            "job": self.job,
            "from": self.from,
            "into": self.into,
            "unmapped": self.unmapped.iter().map(|(drive, name, reason)| json!({
                "drive": drive, "name": name, "reason": reason,
            })).collect::<Vec<_>>(),
            "drives": self.drives.iter().map(|drive| json!({
                "source": drive.source, "target": drive.target, "files": drive.files,
                "folders": drive.folders, "bytes": drive.bytes, "room": drive.room,
            })).collect::<Vec<_>>(),
            "files": self.files.iter().map(|(word, (files, bytes))| {
                ((*word).to_owned(), json!({ "files": files, "bytes": bytes }))
            }).collect::<serde_json::Map<_, _>>(),
            "folders": self.folders,
            "source": self.source.as_ref().map(side),
            "target": self.target.as_ref().map(side),
            "bandwidth": self.bandwidth,
            "hours_at_least": hours(self.time()),
            "nights_at_least": self.nights(),
            "window": self.window.as_ref().map(|window| json!({
                "text": window.text, "hours": hours(window.length),
            })),
            "problems": self.problems,
            "warnings": self.warnings,
        })
    }

    /// The plan for people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![format!(
            "plan of the {} job '{}'",
            self.kind,
            printable(&self.job)
        )];
        let mut line = |label: &str, text: String| lines.push(format!("  {label:<11} {text}"));
        line("from", printable(&self.from));
        line("into", printable(&self.into));
        for (index, (drive, name, reason)) in self.unmapped.iter().enumerate() {
            let label = if index == 0 { "unmapped" } else { "" };
            line(
                label,
                format!("{} {} ({reason})", printable(drive), printable(name)),
            );
        }
        for (index, drive) in self.drives.iter().take(DRIVES_SHOWN).enumerate() {
            let label = if index == 0 { "drives" } else { "" };
            let room = drive.room.map(|room| format!(", {} free", size(room)));
            line(
                label,
                format!(
                    "{} -> {}: {} files in {} folders, {}{}",
                    printable(&drive.source),
                    printable(&drive.target),
                    drive.files,
                    drive.folders,
                    size(drive.bytes),
                    room.unwrap_or_default()
                ),
            );
        }
        if self.drives.len() > DRIVES_SHOWN {
            line("", format!("and {} more", self.drives.len() - DRIVES_SHOWN));
        }
        let steps = self
            .files
            .iter()
            .map(|(word, (files, bytes))| format!("{word} {files} files, {}", size(*bytes)));
        let folders = self
            .folders
            .iter()
            .map(|(word, folders)| format!("{word} {folders} folders"));
        for (index, text) in steps.chain(folders).enumerate() {
            line(if index == 0 { "steps" } else { "" }, text);
        }
        for (label, side) in [("source", &self.source), ("target", &self.target)] {
            let Some(side) = side else { continue };
            line(label, side.rate.to_text());
            for (operation, calls) in &side.load.calls {
                line("", format!("{operation:<28}{calls:>12}"));
            }
        }
        let rated = self.sides().any(|side| side.rate.per_minute.is_some());
        let nights = match (self.nights(), &self.window) {
            (Some(nights), Some(window)) => {
                let plural = if nights == 1 { "" } else { "s" };
                format!(", {nights} night{plural} in the window {}", window.text)
            }
            _ => String::new(),
        };
        let time = match rated || self.bandwidth.is_some() {
            true => format!("at least {}{nights}", duration(self.time())),
            false => "as fast as the service and the disk are".to_owned(),
        };
        line("time", time);
        for (index, (problem, count)) in self.problems.iter().enumerate() {
            let label = if index == 0 { "problems" } else { "" };
            line(label, format!("{problem} {count}"));
        }
        for warning in &self.warnings {
            line("note", printable(warning));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_reads_in_one_look() {
        let arrivals = Arrivals {
            root_folders: 2,
            folders: 3,
            root_files: 4,
            files: 14_400,
            bytes: 1 << 30,
        };
        let families = BTreeMap::from([(Family::MyDrive, arrivals)]);
        let load = |classic| {
            let mut load = Load::default();
            load.add_arrivals(&families, classic);
            load
        };
        let rate = Rate {
            per_minute: Some(240),
            halves: true,
        };
        let mut delivery = Delivery {
            kind: "restore",
            job: "back".to_owned(),
            from: "snapshot S".to_owned(),
            into: "the folder 'Back'".to_owned(),
            unmapped: vec![(
                "users/u1".to_owned(),
                "taro@example.com".to_owned(),
                "no-rule".to_owned(),
            )],
            drives: vec![DeliveryDrive {
                source: "me".to_owned(),
                target: "me".to_owned(),
                files: 14_404,
                folders: 5,
                bytes: 1 << 30,
                room: Some(1 << 20),
            }],
            files: BTreeMap::from([("already-there", (7, 70)), ("restored", (14_404, 1 << 30))]),
            folders: BTreeMap::from([("created", 5)]),
            target: Some(Side {
                load: load(false),
                rate,
            }),
            window: Some(Window {
                text: "01:00-01:45".to_owned(),
                length: Duration::from_secs(45 * 60),
            }),
            problems: BTreeMap::from([("quota".to_owned(), 1)]),
            ..Delivery::default()
        };
        assert_eq!(
            delivery.to_text(),
            "plan of the restore job 'back'\n  \
             from        snapshot S\n  \
             into        the folder 'Back'\n  \
             unmapped    users/u1 taro@example.com (no-rule)\n  \
             drives      me -> me: 14404 files in 5 folders, 1.0 GiB, 1.0 MiB free\n  \
             steps       already-there 7 files, 70 B\n              \
             restored 14404 files, 1.0 GiB\n              \
             created 5 folders\n  \
             target      240 calls a minute for each operation, 120 after 30 minutes\n              \
             drive.create-folder                    3\n              \
             drive.create-folder-root               2\n              \
             drive.upload-url                   14400\n              \
             drive.upload-url-root                  4\n              \
             storage.upload                     14404\n  \
             time        at least 1 h 30 min, 2 nights in the window 01:00-01:45\n  \
             problems    quota 1"
        );
        // A migration's two sides share the bandwidth.
        delivery.source.clone_from(&delivery.target);
        delivery.bandwidth = NonZeroU64::new(1 << 17);
        assert_eq!(delivery.time(), Duration::from_secs(2 << 13));
        assert_eq!(delivery.to_json()["hours_at_least"], f64::from(2 << 13) / 3600.0);
        assert_eq!(
            load(true)
                .calls
                .into_iter()
                .map(|(name, calls)| format!("{name} {calls}"))
                .collect::<Vec<_>>(),
            [
                "classic.create-folder 5",
                "classic.get 14404",
                "classic.upload 14404"
            ]
        );
    }
}
