//! The whole of a plan, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Contents, Load, Price, Rate};
use crate::id::Family;
use crate::report::{duration, printable, size};

/// What would happen if the job ran now.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// The job's kind.
    pub kind: &'static str,
    /// The job file's name.
    pub job: String,
    /// Where the figures come from.
    pub basis: Basis,
    /// What the drives hold, by family.
    pub families: BTreeMap<Family, Contents>,
    /// A run that fetches everything; for an audit, one that lists everything.
    pub full: Load,
    /// A run on a night without changes.
    pub unchanged: Load,
    /// What each word of the job's `depth` adds to both.
    pub depth: Vec<Price>,
    /// The tenant's rate.
    pub rate: Rate,
    /// The job's bandwidth in bytes a second.
    pub bandwidth: Option<NonZeroU64>,
    /// The job's window.
    pub window: Option<Window>,
    /// The credential table.
    pub opens: Vec<Opens>,
    /// Things a person should know.
    pub warnings: Vec<String>,
}

/// Where the figures of a plan come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A snapshot's manifest.
    Snapshot {
        /// Its name.
        id: String,
        /// Whether it is complete.
        complete: bool,
    },
    /// Listings of a part.
    Sample {
        /// Pages read.
        pages: u64,
        /// Drives looked at.
        looked: u64,
        /// Drives there are.
        drives: u64,
        /// Whether everything was seen, so that nothing is extrapolated.
        whole: bool,
    },
}

/// The hours a job may work in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// As the job file has it.
    pub text: String,
    /// How long it is open.
    pub length: Duration,
}

/// One row of the credential table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opens {
    /// The scope word of the job.
    pub scope: String,
    /// The calls.
    pub calls: String,
    /// What opens them.
    pub by: String,
}

impl Forecast {
    /// The time a run takes at least: its slowest operation, or its bytes where the job limits them.
    pub fn time(&self, load: &Load) -> Duration {
        let bytes = self
            .bandwidth
            .map_or(0.0, |rate| load.bytes as f64 / rate.get() as f64);
        let bytes = Duration::try_from_secs_f64(bytes).unwrap_or(Duration::MAX);
        load.time(self.rate).max(bytes)
    }

    /// The nights a run takes at least; `None` without a window.
    pub fn nights(&self, load: &Load) -> Option<u64> {
        let night = self.window.as_ref()?.length;
        let of_calls = load.nights(self.rate, night);
        let fitting = self
            .bandwidth
            .map(|rate| rate.get().saturating_mul(night.as_secs().max(1)));
        let of_bytes = fitting.map_or(1, |fitting| load.bytes.div_ceil(fitting.max(1)));
        Some(of_calls.max(of_bytes).max(1))
    }

    /// Everything as one JSON object: sizes in bytes, times in hours.
    pub fn to_json(&self) -> Value {
        let load = |load: &Load| {
            json!({
                "calls": load.calls,
                "bytes": load.bytes,
                "hours_at_least": hours(self.time(load)),
                "nights_at_least": self.nights(load),
            })
        };
        let families = self.families.iter().map(|(family, contents)| {
            let facts = json!({
                "drives": contents.drives,
                "unreadable": contents.unreadable,
                "folders": contents.folders,
                "files": contents.files,
                "bytes": contents.bytes,
                "pages": contents.root_pages + contents.pages,
            });
            (word(*family).to_owned(), facts)
        });
        json!({
            "kind": self.kind,
            "job": self.job,
            "basis": match &self.basis {
                Basis::Snapshot { id, complete } => json!({ "snapshot": id, "complete": complete }),
                Basis::Sample { pages, looked, drives, whole } => json!({
                    "sample": { "pages": pages, "drives_looked_at": looked, "drives": drives, "whole": whole },
                }),
            },
            "families": families.collect::<serde_json::Map<_, _>>(),
            "full": load(&self.full),
            "unchanged": load(&self.unchanged),
            "depth": self.depth.iter().map(|price| {
                let facts = json!({ "calls": price.load.calls, "hours_at_least": hours(self.time(&price.load)) });
                (price.word.to_owned(), facts)
            }).collect::<serde_json::Map<_, _>>(),
            "requests_per_minute": self.rate.per_minute,
            "half_after_30_minutes": self.rate.halves,
            "bandwidth": self.bandwidth,
            "window": self.window.as_ref().map(|window| json!({
                "text": window.text, "hours": hours(window.length),
            })),
            "credentials": self.opens.iter().map(|opens| json!({
                "drives": opens.scope, "calls": opens.calls, "by": opens.by,
            })).collect::<Vec<_>>(),
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
        line("from", self.basis_text());
        let mut all = Contents::default();
        for (family, contents) in &self.families {
            all.add(contents);
            let unreadable = match contents.unreadable {
                0 => String::new(),
                number => format!(", {number} more that cannot be read"),
            };
            line("", format!("{}: {}{unreadable}", word(*family), contents.drives));
        }
        line(
            "hold",
            format!(
                "{} files in {} folders, {}",
                all.files,
                all.folders,
                size(all.bytes)
            ),
        );
        line("rate", self.rate.to_text());
        self.add_calls(&mut lines);
        let mut line = |label: &str, text: String| lines.push(format!("  {label:<11} {text}"));
        let names = self.names();
        for (name, load) in names.iter().zip([&self.full, &self.unchanged]) {
            let nights = match (self.nights(load), &self.window) {
                (Some(nights), Some(window)) => {
                    let plural = if nights == 1 { "" } else { "s" };
                    format!(", {nights} night{plural} in the window {}", window.text)
                }
                _ => String::new(),
            };
            let least = match (self.rate.per_minute, self.bandwidth) {
                (None, None) => "as fast as the service answers".to_owned(),
                _ => format!("at least {}{nights}", duration(self.time(load))),
            };
            line(name, least);
        }
        for (index, price) in self.depth.iter().enumerate() {
            let label = if index == 0 { "depth" } else { "" };
            let calls: u64 = price.load.calls.values().sum();
            let time = match (price.remark, self.rate.per_minute) {
                ("", Some(_)) => format!("{calls} calls, at least {}", duration(self.time(&price.load))),
                ("", None) => format!("{calls} calls"),
                (remark, _) => remark.to_owned(),
            };
            line(label, format!("{}: {time}", price.word));
        }
        for (index, opens) in self.opens.iter().enumerate() {
            let label = if index == 0 { "opened by" } else { "" };
            line(
                label,
                format!("{} {}: {}", printable(&opens.scope), opens.calls, opens.by),
            );
        }
        for warning in &self.warnings {
            line("note", printable(warning));
        }
        lines.join("\n")
    }

    /// What the two loads are called.
    fn names(&self) -> [&'static str; 2] {
        if self.kind == "audit" {
            ["all", "again"]
        } else {
            ["everything", "unchanged"]
        }
    }

    fn add_calls(&self, lines: &mut Vec<String>) {
        let operations: BTreeSet<&String> = self
            .full
            .calls
            .keys()
            .chain(self.unchanged.calls.keys())
            .collect();
        let [full, unchanged] = self.names();
        lines.push(format!("  {:<11} {:<24}{full:>12}{unchanged:>12}", "calls", ""));
        for operation in operations {
            let calls = |load: &Load| load.calls.get(operation).copied().unwrap_or(0);
            lines.push(format!(
                "  {:<11} {operation:<24}{:>12}{:>12}",
                "",
                calls(&self.full),
                calls(&self.unchanged)
            ));
        }
        lines.push(format!(
            "  {:<11} {:<24}{:>12}{:>12}",
            "",
            "bytes",
            size(self.full.bytes),
            size(self.unchanged.bytes)
        ));
    }

    fn basis_text(&self) -> String {
        match &self.basis {
            Basis::Snapshot { id, complete: true } => format!("snapshot {id}"),
            Basis::Snapshot { id, complete: false } => {
                format!("snapshot {id}, which is partial: there is more than it holds")
            }
            Basis::Sample {
                pages,
                drives,
                whole: true,
                ..
            } => {
                format!("{pages} pages of listings, all there are of {drives} drives")
            }
            Basis::Sample {
                pages,
                looked,
                drives,
                ..
            } => format!(
                "a sample of {pages} pages in {looked} of {drives} drives: the rest is taken to be like it, and may be much more"
            ),
        }
    }
}

pub(super) fn hours(time: Duration) -> f64 {
    // Seconds are as precise as any of this is.
    time.as_secs() as f64 / 3600.0
}

fn word(family: Family) -> &'static str {
    match family {
        Family::MyDrive => "members' drives",
        Family::SharedDrive => "shared drives",
        Family::GroupFolder => "group folders",
        Family::SharedFolder => "folders shared by others",
        Family::Key => "folders by key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Scope;

    #[test]
    fn a_plan_reads_in_one_look() {
        let contents = Contents {
            drives: 60,
            unreadable: 1,
            folders: 400,
            files: 14_400,
            bytes: 3_000_000_000,
            root_pages: 60,
            pages: 500,
            ..Contents::default()
        };
        let families = BTreeMap::from([(Family::MyDrive, contents)]);
        let scopes = [Scope::Users("*".to_owned())];
        let forecast = Forecast {
            kind: "backup",
            job: "nightly".to_owned(),
            basis: Basis::Sample {
                pages: 300,
                looked: 20,
                drives: 60,
                whole: false,
            },
            full: Load::of(&families, &scopes, false, true),
            unchanged: Load::of(&families, &scopes, false, false),
            depth: vec![
                Price {
                    word: "links",
                    load: Load {
                        calls: BTreeMap::from([("drive.link".to_owned(), 480)]),
                        bytes: 0,
                    },
                    remark: "",
                },
                Price {
                    word: "quota",
                    load: Load::default(),
                    remark: "told with the drives, no calls of its own",
                },
            ],
            families,
            rate: Rate {
                per_minute: Some(240),
                halves: true,
            },
            bandwidth: NonZeroU64::new(1_000_000),
            window: Some(Window {
                text: "01:00-01:45".to_owned(),
                length: Duration::from_secs(45 * 60),
            }),
            opens: vec![Opens {
                scope: "users/*".to_owned(),
                calls: "drive".to_owned(),
                by: "delegated token".to_owned(),
            }],
            warnings: vec!["a\nb".to_owned()],
        };
        assert_eq!(
            forecast.to_text(),
            "plan of the backup job 'nightly'\n  \
             from        a sample of 300 pages in 20 of 60 drives: the rest is taken to be like it, and may be much more\n              \
             members' drives: 60, 1 more that cannot be read\n  \
             hold        14400 files in 400 folders, 2.8 GiB\n  \
             rate        240 calls a minute for each operation, 120 after 30 minutes\n  \
             calls                                 everything   unchanged\n              \
             drive.download                 14400           0\n              \
             drive.get                         60          60\n              \
             drive.list                       500         500\n              \
             drive.list-root                   60          60\n              \
             storage.download               14400           0\n              \
             users.list                         1           1\n              \
             bytes                        2.8 GiB         0 B\n  \
             everything  at least 1 h 30 min, 2 nights in the window 01:00-01:45\n  \
             unchanged   at least 2 min 05 s, 1 night in the window 01:00-01:45\n  \
             depth       links: 480 calls, at least 2 min 00 s\n              \
             quota: told with the drives, no calls of its own\n  \
             opened by   users/* drive: delegated token\n  \
             note        a\\nb"
        );
        let json = forecast.to_json();
        assert_eq!(json["full"]["nights_at_least"], 2);
        assert_eq!(json["full"]["hours_at_least"], 1.5);
        assert_eq!(json["depth"]["links"]["calls"]["drive.link"], 480);
        assert_eq!(json["families"]["members' drives"]["pages"], 560);
    }
}
