//! Calls by operation, and the time they take at least under a tenant's rate.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Contents, DIRECTORY_PAGE};
use crate::entry::{Detail, Scope};
use crate::id::Family;

/// How many calls a minute each API operation may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls a minute; `None` is no limit.
    pub per_minute: Option<u32>,
    /// Whether half of it holds from the thirtieth minute on (API 2.0 docs, JP/rate-limits).
    pub halves: bool,
}

/// Minutes at the full figure (API 2.0 docs, JP/rate-limits).
const PEAK_MINUTES: f64 = 30.0;

impl Rate {
    /// The time that so many calls of one operation take at least.
    pub fn time(self, calls: u64) -> Duration {
        let Some(figure) = self.per_minute else {
            return Duration::ZERO;
        };
        let (calls, figure) = (calls as f64, f64::from(figure.max(1)));
        let peak = PEAK_MINUTES * figure;
        let minutes = if !self.halves || calls <= peak {
            calls / figure
        } else {
            PEAK_MINUTES + (calls - peak) / (figure / 2.0)
        };
        Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(Duration::MAX)
    }

    /// The figure for people.
    pub fn to_text(self) -> String {
        match (self.per_minute, self.halves) {
            (None, _) => "no limit of calls".to_owned(),
            (Some(figure), false) => format!("{figure} calls a minute for each operation"),
            (Some(figure), true) => {
                format!(
                    "{figure} calls a minute for each operation, {} after 30 minutes",
                    figure / 2
                )
            }
        }
    }

    /// The calls of one operation that fit into that time, from a rested start.
    pub fn fitting(self, time: Duration) -> Option<u64> {
        let figure = f64::from(self.per_minute?.max(1));
        let minutes = time.as_secs_f64() / 60.0;
        let calls = if !self.halves || minutes <= PEAK_MINUTES {
            minutes * figure
        } else {
            PEAK_MINUTES * figure + (minutes - PEAK_MINUTES) * figure / 2.0
        };
        Some(calls as u64)
    }
}

/// The calls of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls by API operation, in the words of the summary of a run.
    pub calls: BTreeMap<String, u64>,
    /// Bytes of contents that are transferred.
    pub bytes: u64,
}

impl Load {
    /// The calls that listing those drives costs with the details that are asked for, and downloading their files if
    /// `downloads`. Retries come on top.
    pub fn of(
        families: &BTreeMap<Family, Contents>,
        scopes: &[Scope],
        classic: bool,
        downloads: bool,
    ) -> Load {
        let mut load = Load::default();
        for (family, contents) in families {
            let [root, list, download, bytes] = operations(*family, classic);
            load.add(root, contents.root_pages);
            load.add(list, contents.pages);
            if downloads {
                load.add(download, contents.files);
                // The classic API gives the bytes at once.
                if bytes != download {
                    load.add(bytes, contents.files);
                }
                load.bytes = load.bytes.saturating_add(contents.bytes);
            }
        }
        // The classic API has no such calls.
        if !classic {
            for detail in Detail::ALL {
                for (operation, calls) in Load::of_detail(families, detail).calls {
                    load.add(&operation, calls);
                }
            }
        }
        load.add_roots(families, scopes, classic);
        load
    }

    /// The time that the slowest operation takes at least. Operations run side by side; those of the classic API share
    /// one figure (official forum, jp/posts/100157).
    pub fn time(&self, rate: Rate) -> Duration {
        self.buckets()
            .into_values()
            .map(|calls| rate.time(calls))
            .max()
            .unwrap_or_default()
    }

    /// The nights it takes at least when each has that time. The full figure holds anew each night, since the operation
    /// has rested.
    pub fn nights(&self, rate: Rate, night: Duration) -> u64 {
        self.buckets()
            .into_values()
            .filter_map(|calls| Some(calls.div_ceil(rate.fitting(night)?.max(1))))
            .max()
            .unwrap_or(1)
            .max(1)
    }

    fn buckets(&self) -> BTreeMap<&str, u64> {
        let mut buckets = BTreeMap::new();
        for (operation, calls) in &self.calls {
            let bucket = match operation.as_str() {
                // Bytes and tokens are not counted by the service's figure.
                name if name.starts_with("storage.") || name.starts_with("oauth.") => continue,
                name if name.starts_with("classic.") => "classic",
                name => name,
            };
            *buckets.entry(bucket).or_default() += *calls;
        }
        buckets
    }

    pub(super) fn add(&mut self, operation: &str, calls: u64) {
        if calls > 0 {
            *self.calls.entry(operation.to_owned()).or_default() += calls;
        }
    }

    /// What finding the drives costs: the lists of the directory, and a look at each drive that is named.
    fn add_roots(&mut self, families: &BTreeMap<Family, Contents>, scopes: &[Scope], classic: bool) {
        let pages = |family: Family, page: u64| {
            let drives = families
                .get(&family)
                .map_or(0, |found| found.drives + found.unreadable);
            drives.div_ceil(page).max(1)
        };
        for scope in scopes {
            let (operation, calls) = match scope {
                Scope::Me | Scope::Key { .. } | Scope::Group(_) if classic => ("classic.root", 1),
                Scope::Groups(_) if classic => {
                    ("classic.group-folders", pages(Family::GroupFolder, super::PAGE))
                }
                Scope::Users(_) => ("users.list", pages(Family::MyDrive, DIRECTORY_PAGE)),
                Scope::Groups(_) => ("groups.list", pages(Family::GroupFolder, DIRECTORY_PAGE)),
                Scope::SharedDrives(_) => ("sharedrives.list", pages(Family::SharedDrive, DIRECTORY_PAGE)),
                Scope::SharedFolders { .. } => ("drive.sharedfolders", 1),
                Scope::SharedDrive(_) => ("sharedrive.get", 1),
                Scope::Group(_) => ("group.get", 1),
                Scope::Me | Scope::User(_) | Scope::Key { .. } => ("drive.get", 1),
            };
            self.add(operation, calls);
        }
        // The list of members does not tell what their drives hold; each is asked, but those that are named.
        if scopes.iter().any(|scope| matches!(scope, Scope::Users(_))) {
            let named = scopes
                .iter()
                .filter(|scope| matches!(scope, Scope::Me | Scope::User(_)));
            let listed = families.get(&Family::MyDrive).map_or(0, |found| found.drives);
            self.add("drive.get", listed.saturating_sub(named.count() as u64));
        }
    }
}

/// The operations of a family: listing of a root, of another folder, the address of a content, and its bytes.
fn operations(family: Family, classic: bool) -> [&'static str; 4] {
    if classic {
        return [
            "classic.list",
            "classic.list",
            "classic.download",
            "classic.download",
        ];
    }
    match family {
        Family::MyDrive | Family::Key => [
            "drive.list-root",
            "drive.list",
            "drive.download",
            "storage.download",
        ],
        Family::SharedDrive => [
            "sharedrive.list-root",
            "sharedrive.list",
            "sharedrive.download",
            "storage.download",
        ],
        Family::GroupFolder => [
            "group.list-root",
            "group.list",
            "group.download",
            "storage.download",
        ],
        Family::SharedFolder => [
            "sharedfolder.list-root",
            "sharedfolder.list",
            "sharedfolder.download",
            "storage.download",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_minutes_are_fast_and_the_rest_takes_twice_as_long() {
        let minutes = |number: u64| Duration::from_secs(number * 60);
        let paid = Rate {
            per_minute: Some(240),
            halves: true,
        };
        for (calls, time) in [(0, 0), (240, 1), (7_200, 30), (7_320, 31), (14_400, 90)] {
            assert_eq!(paid.time(calls), minutes(time), "{calls}");
            assert_eq!(paid.fitting(minutes(time)), Some(calls), "{calls}");
        }
        let fixed = Rate {
            halves: false,
            ..paid
        };
        assert_eq!(fixed.time(14_400), minutes(60));
        let none = Rate {
            per_minute: None,
            halves: true,
        };
        assert_eq!(
            (none.time(1_000_000), none.fitting(minutes(1))),
            (Duration::ZERO, None)
        );
    }

    #[test]
    fn operations_run_side_by_side_and_the_classic_ones_share_one_figure() {
        let contents = Contents {
            drives: 250,
            files: 2_400,
            bytes: 1,
            root_pages: 250,
            pages: 480,
            ..Contents::default()
        };
        let families = BTreeMap::from([
            (Family::MyDrive, contents.clone()),
            (Family::SharedDrive, contents),
        ]);
        let rate = Rate {
            per_minute: Some(240),
            halves: true,
        };
        let scopes = [Scope::Users("*".to_owned()), Scope::SharedDrives("*".to_owned())];
        let full = Load::of(&families, &scopes, false, true);
        let expected = [
            ("drive.download", 2_400),
            ("drive.get", 250),
            ("drive.list", 480),
            ("drive.list-root", 250),
            ("sharedrive.download", 2_400),
            ("sharedrive.list", 480),
            ("sharedrive.list-root", 250),
            ("sharedrives.list", 3),
            ("storage.download", 4_800),
            ("users.list", 3),
        ];
        let calls: Vec<(&str, u64)> = full
            .calls
            .iter()
            .map(|(name, calls)| (name.as_str(), *calls))
            .collect();
        assert_eq!(calls, expected);
        assert_eq!(full.time(rate), Duration::from_secs(600));
        assert_eq!(full.nights(rate, Duration::from_secs(300)), 2);
        assert_eq!(full.nights(rate, Duration::from_secs(3_600)), 1);
        let unchanged = Load::of(&families, &scopes, false, false);
        assert_eq!(
            (unchanged.time(rate), unchanged.bytes),
            (Duration::from_secs(120), 0)
        );

        let fetched = Load::of(&families, &[Scope::Me], true, true);
        assert_eq!(fetched.calls["classic.download"], 4_800, "one call for each file");
        let classic = Load::of(&families, &[Scope::Me], true, false);
        // Two families of 250 roots and 480 pages, and the root itself.
        assert_eq!(
            classic.time(Rate {
                per_minute: Some(1_461),
                halves: false
            }),
            Duration::from_secs(60)
        );
    }
}
