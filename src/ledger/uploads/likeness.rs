//! Whether a file that lies in the target is the one to be uploaded, as far as a listing tells.

use jiff::Timestamp;

use super::{Naming, SameBy, UploadWork};
use crate::entry::Entry;
use crate::id::FileId;

/// What a listing tells of a file of the target: whether it is the one to be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// It is.
    Same,
    /// Only its content tells.
    Open,
    /// Its upload has not ended, by what the service says.
    Half,
    /// It is another.
    Other,
}

/// What the listing's entry `there` is to `work`. `differing` were compared and are others.
pub(super) fn likeness(work: &UploadWork, there: &Entry, naming: &Naming, differing: &[FileId]) -> Likeness {
    if work.size.is_none() || work.size != there.size || differing.contains(&there.id) {
        return Likeness::Other;
    }
    if there.properties.uploaded == Some(false) {
        return Likeness::Half;
    }
    let second = |time: Option<Timestamp>| time.map(Timestamp::as_second);
    let same_time = work.modified.is_some() && second(work.modified) == second(there.modified);
    match naming.same_by {
        _ if same_time => Likeness::Same,
        SameBy::Time => Likeness::Other,
        SameBy::Content if work.sha256.is_some() => Likeness::Open,
        SameBy::Content | SameBy::Size => Likeness::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Kind, OnConflict};
    use crate::id::DriveId;
    use crate::ledger::uploads::Choice;
    use crate::path::DrivePath;

    fn naming(same_by: SameBy) -> Naming {
        Naming {
            on_conflict: OnConflict::Skip,
            same_by,
            numbered: |name, _| name.to_owned(),
            fold: str::to_owned,
        }
    }

    #[test]
    fn a_listing_tells_the_same_file_or_says_that_its_content_must() {
        let time = |second| Timestamp::from_second(second).ok();
        let root = Entry::root(DriveId::new("me"), FileId::new("root"));
        let work = UploadWork {
            no: 1,
            folder: 0,
            parent: root.clone(),
            drive: DriveId::new("users/old"),
            id: FileId::new("o"),
            path: DrivePath::from_text("/a"),
            kind: Kind::File,
            size: Some(7),
            modified: time(5),
            sha256: Some("00".repeat(32)),
            stored_at: None,
            choice: Choice::Adopt(Box::new(root)),
        };
        let there = |id: &str, size, modified, uploaded| {
            let mut entry = Entry::root(DriveId::new("me"), FileId::new(id));
            (entry.size, entry.modified) = (Some(size), modified);
            entry.properties.uploaded = uploaded;
            entry
        };
        let differing = [FileId::new("compared")];
        use Likeness::{Half, Open, Other, Same};
        for (entry, by_time, by_content, by_size) in [
            (there("x", 7, time(5), None), Same, Same, Same),
            (there("x", 7, time(5), Some(true)), Same, Same, Same),
            (there("x", 7, time(5), Some(false)), Half, Half, Half),
            (there("x", 7, time(6), None), Other, Open, Same),
            (there("x", 7, None, None), Other, Open, Same),
            (there("x", 8, time(5), None), Other, Other, Other),
            (there("compared", 7, time(6), None), Other, Other, Other),
        ] {
            for (same_by, expected) in [
                (SameBy::Time, by_time),
                (SameBy::Content, by_content),
                (SameBy::Size, by_size),
            ] {
                let found = likeness(&work, &entry, &naming(same_by), &differing);
                assert_eq!(found, expected, "{same_by:?} {entry:?}");
            }
        }
        let mut bare = work.clone();
        bare.sha256 = None;
        let other_time = there("x", 7, time(6), None);
        let by_content = naming(SameBy::Content);
        assert_eq!(
            likeness(&bare, &other_time, &by_content, &[]),
            Same,
            "nothing to compare with"
        );
        (bare.size, bare.modified) = (Some(7), None);
        let timeless = there("x", 7, None, None);
        assert_eq!(likeness(&bare, &timeless, &naming(SameBy::Time), &[]), Other);
        bare.size = None;
        let sizeless = Entry {
            size: None,
            ..timeless
        };
        assert_eq!(likeness(&bare, &sizeless, &naming(SameBy::Size), &[]), Other);
    }
}
