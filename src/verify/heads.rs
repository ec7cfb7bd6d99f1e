//! The JSON files of a snapshot, and the chain from one snapshot to the next.

use std::fs;
use std::path::Path;

use super::problem::{Kind, Problem};
use crate::archive::{Archive, Error, Snapshot, Status, Tail};
use crate::id::SnapshotId;

/// What of a snapshot's heads can be used further.
#[derive(Debug)]
pub(super) struct Heads {
    /// Both, when both read.
    pub snapshot: Option<Snapshot>,
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
            return Some(Heads { snapshot: None });
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
                if let Ok(Snapshot { tail: Some(tail), .. }) = archive.snapshot(&before)
                    && tail.manifest_sha256 != previous.manifest_sha256
                {
                    head_is(
                        Kind::Chain,
                        format!(
                            "the manifest of {before} had SHA-256 {}, its TAIL.json now tells {}",
                            previous.manifest_sha256, tail.manifest_sha256
                        ),
                    );
                }
            }
        }
    }
    if snapshot.tail.is_none() {
        report(Problem::of(id, Kind::Tail, "TAIL.json", "it is missing"));
    }
    Some(Heads {
        snapshot: Some(snapshot),
    })
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
