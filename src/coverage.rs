//! What a run saw and what it could not see: totals, and for each drive the proof that what was listed is accounted for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::entry::{Kind, Quota};
use crate::id::DriveId;
use crate::manifest::{Outcome, Row};

/// Counts of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// All rows.
    pub rows: u64,
    /// Rows of files.
    pub files: u64,
    /// Rows of folders.
    pub folders: u64,
    /// Bytes of all files, as listed.
    pub bytes: u64,
    /// The same by outcome; outcomes that did not occur are not there.
    pub outcomes: BTreeMap<String, Count>,
}

/// Rows and bytes of one outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Rows of files.
    pub files: u64,
    /// Rows of folders.
    pub folders: u64,
    /// Bytes of its files, as listed.
    pub bytes: u64,
}

impl Totals {
    /// Counts one row.
    pub fn add(&mut self, row: &Row) {
        let word = row.outcome.as_str();
        if !self.outcomes.contains_key(word) {
            self.outcomes.insert(word.to_owned(), Count::default());
        }
        let Some(count) = self.outcomes.get_mut(word) else {
            return;
        };
        self.rows += 1;
        match row.entry.kind {
            Kind::File => {
                let bytes = row.entry.size.unwrap_or(0);
                self.files += 1;
                self.bytes = self.bytes.saturating_add(bytes);
                count.files += 1;
                count.bytes = count.bytes.saturating_add(bytes);
            }
            Kind::Folder => {
                self.folders += 1;
                count.folders += 1;
            }
        }
    }

    /// Rows and bytes of one outcome.
    pub fn of(&self, outcome: Outcome) -> Count {
        self.outcomes.get(outcome.as_str()).copied().unwrap_or_default()
    }

    /// What is in this snapshot, fetched or reused.
    pub fn held(&self) -> Count {
        let (stored, reused) = (self.of(Outcome::Stored), self.of(Outcome::Reused));
        Count {
            files: stored.files + reused.files,
            folders: stored.folders + reused.folders,
            bytes: stored.bytes.saturating_add(reused.bytes),
        }
    }

    /// Rows of files and folders that failed.
    pub fn failures(&self) -> u64 {
        let failed = self.of(Outcome::Failed);
        failed.files + failed.folders
    }
}

/// What the ledger knows of one root: the raw material of the coverage statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootFacts {
    /// The drive.
    pub drive: DriveId,
    /// Its name.
    pub name: String,
    /// Reason code and message when it could not be read at all.
    pub refused: Option<(String, String)>,
    /// What the service says it holds.
    pub quota: Quota,
    /// Folders whose listing is closed, the root among them.
    pub folders_closed: u64,
    /// Folders whose listing failed.
    pub folders_failed: u64,
    /// Folders that were never listed to the end.
    pub folders_open: u64,
    /// Pages read.
    pub pages: u64,
    /// Items the pages held, repeats left out.
    pub listed: u64,
    /// Items that pages held twice.
    pub repeated: u64,
    /// Rows there are.
    pub accounted: u64,
    /// Folders whose last page was as full as a page can be.
    pub full_ends: u64,
    /// Bytes of the files listed.
    pub bytes: u64,
    /// Why the root folder itself could not be listed.
    pub root_failure: Option<String>,
    /// Details beyond the listing (permissions, links, …) that were asked for and could not be read.
    pub details_failed: u64,
}

fn folders(number: u64) -> String {
    format!("{number} folder{}", if number == 1 { "" } else { "s" })
}

impl RootFacts {
    /// What is missing of this drive, as sentences; none when everything that could be listed is accounted for.
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        if let Some((reason, message)) = &self.refused {
            gaps.push(format!("the drive could not be read ({reason}): {message}"));
        }
        if let Some(reason) = &self.root_failure {
            gaps.push(format!("the root folder could not be listed ({reason})"));
        }
        if self.folders_failed > 0 {
            gaps.push(format!("{} could not be listed", folders(self.folders_failed)));
        }
        if self.folders_open > 0 {
            let verb = if self.folders_open == 1 { "was" } else { "were" };
            gaps.push(format!(
                "{} {verb} not listed to the end",
                folders(self.folders_open)
            ));
        }
        if self.details_failed > 0 {
            gaps.push(format!("{} details could not be read", self.details_failed));
        }
        if self.listed != self.accounted {
            gaps.push(format!(
                "{} items were listed, {} are accounted for",
                self.listed, self.accounted
            ));
        }
        gaps
    }

    /// Bytes that the service counts as used outside the trash, less the bytes seen. Positive when something was not
    /// seen; earlier contents of files count as used too, so this is a hint and not a proof.
    pub fn unseen_bytes(&self) -> Option<i64> {
        let used = self.quota.used?.saturating_sub(self.quota.trash.unwrap_or(0));
        i64::try_from(i128::from(used) - i128::from(self.bytes)).ok()
    }

    /// The entry of this drive in the coverage statement of `TAIL.json`.
    pub fn to_json(&self) -> Value {
        json!({
            "drive": self.drive.as_str(),
            "name": self.name,
            "readable": self.refused.is_none(),
            "reason": self.refused.as_ref().map(|(reason, _)| reason),
            "message": self.refused.as_ref().map(|(_, message)| message),
            "covered": self.gaps().is_empty(),
            "gaps": self.gaps(),
            "folders_closed": self.folders_closed,
            "folders_failed": self.folders_failed,
            "folders_open": self.folders_open,
            "pages": self.pages,
            "details_failed": self.details_failed,
            "items_listed": self.listed,
            "items_accounted": self.accounted,
            "items_repeated": self.repeated,
            "full_last_pages": self.full_ends,
            "bytes_listed": self.bytes,
            "quota_total": self.quota.total,
            "quota_used": self.quota.used,
            "quota_trash": self.quota.trash,
            "bytes_unseen": self.unseen_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use crate::id::FileId;
    use crate::path::DrivePath;

    fn green() -> RootFacts {
        RootFacts {
            drive: DriveId::new("me"),
            name: "me".to_owned(),
            refused: None,
            quota: Quota {
                total: Some(1000),
                used: Some(120),
                trash: Some(20),
            },
            folders_closed: 2,
            folders_failed: 0,
            folders_open: 0,
            pages: 3,
            listed: 9,
            repeated: 0,
            accounted: 9,
            full_ends: 0,
            bytes: 90,
            root_failure: None,
            details_failed: 0,
        }
    }

    fn row(kind: Kind, size: u64, outcome: Outcome) -> Row {
        let mut entry = Entry::root(DriveId::new("me"), FileId::new("x"));
        entry.kind = kind;
        entry.size = Some(size);
        Row {
            entry,
            drive_name: "me".to_owned(),
            path: DrivePath::from_text("/x"),
            outcome,
            reason: String::new(),
            sha256: None,
            stored_at: None,
            attempts: 1,
        }
    }

    #[test]
    fn totals_add_up_by_outcome() {
        let mut totals = Totals::default();
        for (kind, size, outcome) in [
            (Kind::File, 10, Outcome::Stored),
            (Kind::File, 5, Outcome::Stored),
            (Kind::File, 7, Outcome::Reused),
            (Kind::Folder, 0, Outcome::Stored),
            (Kind::Folder, 0, Outcome::Stored),
            (Kind::Folder, 0, Outcome::Reused),
            (Kind::File, 9, Outcome::Failed),
            (Kind::File, 1, Outcome::Failed),
            (Kind::Folder, 0, Outcome::Failed),
        ] {
            totals.add(&row(kind, size, outcome));
        }
        assert_eq!(
            (totals.rows, totals.files, totals.folders, totals.bytes),
            (9, 5, 4, 32)
        );
        let held = Count {
            files: 3,
            folders: 3,
            bytes: 22,
        };
        assert_eq!(totals.held(), held);
        assert_eq!(totals.failures(), 3);
        assert_eq!(Totals::default().failures(), 0);
    }

    #[test]
    fn one_folder_is_told_as_one() {
        let gaps = |failed, open| {
            let facts = RootFacts {
                folders_failed: failed,
                folders_open: open,
                ..green()
            };
            facts.gaps()
        };
        assert_eq!(
            gaps(1, 1),
            [
                "1 folder could not be listed",
                "1 folder was not listed to the end"
            ]
        );
        assert_eq!(
            gaps(2, 3),
            [
                "2 folders could not be listed",
                "3 folders were not listed to the end"
            ]
        );
    }

    #[test]
    fn every_kind_of_gap_is_named() {
        assert_eq!(green().gaps(), Vec::<String>::new());
        assert_eq!(green().unseen_bytes(), Some(10));
        let refused = Some(("denied".to_owned(), "no".to_owned()));
        for (facts, words) in [
            (RootFacts { refused, ..green() }, "could not be read"),
            (
                RootFacts {
                    root_failure: Some("x".to_owned()),
                    ..green()
                },
                "root folder",
            ),
            (
                RootFacts {
                    folders_failed: 1,
                    ..green()
                },
                "could not be listed",
            ),
            (
                RootFacts {
                    folders_open: 1,
                    ..green()
                },
                "not listed to the end",
            ),
            (
                RootFacts {
                    details_failed: 1,
                    ..green()
                },
                "details",
            ),
            (
                RootFacts {
                    accounted: 8,
                    ..green()
                },
                "accounted for",
            ),
        ] {
            assert!(facts.gaps().concat().contains(words), "{words}");
            assert_eq!(facts.to_json()["covered"], false);
        }
    }
}
