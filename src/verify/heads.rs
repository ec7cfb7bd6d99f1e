//! The JSON files of a snapshot, and the chain from one snapshot to the next.

use std::fs;
use std::path::Path;

use super::problem::{Kind, Problem};
use crate::archive::{Archive, Error, SealFault, SealState, Snapshot, Status, Tail};
use crate::id::SnapshotId;

/// What of a snapshot's heads can be used further.
#[derive(Debug)]
pub(super) struct Heads {
    /// Both, when both read.
    pub snapshot: Option<Snapshot>,
    /// What the tail's hash says of `failures.csv`, for when its rows say nothing.
    pub failures: Option<String>,
}

impl Heads {
    pub(super) fn tail(&self) -> Option<&Tail> {
        self.snapshot.as_ref()?.tail.as_ref()
    }

    pub(super) fn says_complete(&self) -> bool {
        self.tail().is_some_and(|tail| tail.status == Status::Complete)
    }
}

/// Reads head and tail, and looks whether they agree with each other, with their place, and with the snapshot before.
/// `None` when the snapshot is not there any more.
pub(super) fn check(archive: &Archive, id: &SnapshotId, report: &mut dyn FnMut(Problem)) -> Option<Heads> {
    let snapshot = match archive.snapshot(id) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            if is_gone(&archive.path().join(id.as_str())) {
                return None;
            }
            report(unreadable(id, &error));
            return Some(Heads {
                snapshot: None,
                failures: None,
            });
        }
    };
    let head = &snapshot.head;
    let mut head_is = |kind, detail: String| report(Problem::of(id, kind, "HEAD.json", detail));
    if head.id() != *id {
        head_is(Kind::Head, format!("it is the head of {}", head.id()));
    }
    if !head.tenant.is_empty() && head.tenant != archive.tenant() {
        head_is(Kind::Head, format!("it is of the tenant '{}'", head.tenant));
    }
    if let Some(previous) = &head.previous {
        match previous.snapshot.parse::<SnapshotId>() {
            Err(error) => head_is(Kind::Chain, error.to_string()),
            // A later one was made before this one where the clock was set back in between.
            Ok(before) if before == *id => {
                head_is(Kind::Chain, format!("the snapshot before it would be {before}"));
            }
            // A snapshot before that was pruned, or does not read, has nothing to compare with; the latter is told at its own place.
            Ok(before) => {
                if let Ok(found) = archive.snapshot(&before)
                    && let Some(tail) = &found.tail
                {
                    if tail.manifest_sha256 != previous.manifest_sha256 {
                        head_is(
                            Kind::Chain,
                            format!(
                                "the manifest of {before} had SHA-256 {}, its TAIL.json now tells {}",
                                previous.manifest_sha256, tail.manifest_sha256
                            ),
                        );
                    } else if let Some(told) = &previous.tail_sha256
                        && found.tail_sha256().is_ok_and(|sum| sum != *told)
                    {
                        head_is(
                            Kind::Chain,
                            format!("the TAIL.json of {before} is not the one it was"),
                        );
                    }
                }
            }
        }
    }
    if snapshot.tail.is_none() {
        report(Problem::of(id, Kind::Tail, "TAIL.json", "it is missing"));
    }
    let failures = check_seals(&snapshot, report);
    Some(Heads {
        snapshot: Some(snapshot),
        failures,
    })
}

/// Compares the files beside the manifest with what the tail says of them, and gives what is wrong with `failures.csv`.
fn check_seals(snapshot: &Snapshot, report: &mut dyn FnMut(Problem)) -> Option<String> {
    let mut failures = None;
    let faults = match snapshot.seal_faults() {
        Ok(faults) => faults,
        Err(error) => {
            if !is_gone(&snapshot.path) {
                report(Problem::of(&snapshot.id, Kind::Unreadable, "", error.to_string()));
            }
            return None;
        }
    };
    for SealFault { name, state } in faults {
        let detail = match &state {
            SealState::Altered if name == "TAIL.json" => "it is not as it was written".to_owned(),
            SealState::Altered => "it is not the one that TAIL.json tells".to_owned(),
            SealState::Missing => "it is missing".to_owned(),
            SealState::Unreadable(error) => format!("it does not read: {error}"),
            SealState::Unknown => "TAIL.json does not know it".to_owned(),
            SealState::Unsealed => "it has no seal".to_owned(),
        };
        let kind = match (name.as_str(), state) {
            (_, SealState::Unknown) => Kind::Extra,
            ("failures.csv", _) => {
                failures = Some(detail);
                continue;
            }
            ("HEAD.json", _) => Kind::Head,
            ("TAIL.json", _) => Kind::Tail,
            _ => Kind::Beside,
        };
        report(Problem::of(&snapshot.id, kind, &name, detail));
    }
    failures
}

/// Compares `ARCHIVE.json` with what the newest head that reads says of it.
pub(super) fn check_marker(archive: &Archive, ids: &[SnapshotId], report: &mut dyn FnMut(Problem)) {
    let newest = ids.iter().rev().filter_map(|id| archive.snapshot(id).ok());
    let told = newest
        .filter_map(|snapshot| Some((snapshot.id, snapshot.head.archive_sha256?)))
        .next();
    let Some((id, told)) = told else {
        return;
    };
    let detail = match archive.marker_sha256() {
        Ok(found) if found == told => return,
        Ok(_) => format!("it is not the one that the head of {id} tells"),
        Err(error) => error.to_string(),
    };
    report(Problem {
        place: "ARCHIVE.json".to_owned(),
        ..Problem::of(&id, Kind::Archive, "", detail)
    });
}

fn unreadable(id: &SnapshotId, error: &Error) -> Problem {
    let path = match error {
        Error::Damaged { path, .. } | Error::NewerFormat { path, .. } | Error::Io { path, .. } => Some(path),
        _ => None,
    };
    let is_tail = path.is_some_and(|path| path.ends_with("TAIL.json"));
    let (kind, name) = if is_tail {
        (Kind::Tail, "TAIL.json")
    } else {
        (Kind::Head, "HEAD.json")
    };
    let detail = match error {
        Error::NoSnapshot(_) => "it is missing".to_owned(),
        Error::Damaged { source, .. } => format!("it does not read: {source}"),
        error => error.to_string(),
    };
    Problem::of(id, kind, name, detail)
}

/// Whether nothing at all is at `path`.
pub(super) fn is_gone(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}
