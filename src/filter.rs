//! Which files of a drive a job is about: globs on their paths, and bounds on size, date and class.

mod glob;
mod words;

use jiff::Timestamp;

use crate::entry::Entry;
use crate::id::DriveId;
use crate::path::DrivePath;

pub use glob::{Glob, GlobError, Reach};
pub use words::{WordGlob, WordGlobError};

/// A filter as a job file writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterSpec {
    /// Globs; with none, everything is included. See [`Glob`] for their form.
    pub include: Vec<String>,
    /// Globs that win over `include`.
    pub exclude: Vec<String>,
    /// The largest size in bytes that passes.
    pub max_size: Option<u64>,
    /// The smallest size in bytes that passes.
    pub min_size: Option<u64>,
    /// Files modified before this moment do not pass.
    pub modified_after: Option<Timestamp>,
    /// Files modified at this moment or later do not pass.
    pub modified_before: Option<Timestamp>,
    /// Content classes that pass, in small letters: `audio doc etc exe image video zip`. With none, all pass.
    pub kinds: Vec<String>,
}

/// A filter ready for use.
///
/// What the service did not tell cannot rule a file out: one without a size passes `max_size`.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include: Vec<Glob>,
    exclude: Vec<Glob>,
    spec: FilterSpec,
}

/// A filter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A glob cannot be read.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// No file can be as large as one bound and as small as the other.
    #[error("min-size is larger than max-size")]
    Sizes,
    /// No moment lies after the one and before the other.
    #[error("modified-after is not before modified-before")]
    Dates,
}

/// What to do with a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    /// List it: something in it may pass.
    Walk,
    /// Do not list it: nothing in it can pass.
    Skip,
}

/// Reason code: an `exclude` glob covers it.
pub const EXCLUDED: &str = "excluded";
/// Reason code: no `include` glob covers it.
pub const NOT_INCLUDED: &str = "not-included";
/// Reason code: larger than `max-size`.
pub const TOO_LARGE: &str = "filtered-large";
/// Reason code: smaller than `min-size`.
pub const TOO_SMALL: &str = "filtered-small";
/// Reason code: modified before `modified-after`.
pub const TOO_OLD: &str = "filtered-old";
/// Reason code: modified at or after `modified-before`.
pub const TOO_NEW: &str = "filtered-new";
/// Reason code: not one of `kinds`.
pub const OTHER_KIND: &str = "filtered-kind";

impl Filter {
    /// Makes a filter of what a job file says.
    ///
    /// # Errors
    ///
    /// A glob that cannot be read, or bounds that let nothing through.
    pub fn new(spec: &FilterSpec) -> Result<Filter, FilterError> {
        let read = |globs: &[String]| -> Result<Vec<Glob>, GlobError> {
            globs.iter().map(|text| Glob::new(text)).collect()
        };
        if matches!((spec.min_size, spec.max_size), (Some(min), Some(max)) if min > max) {
            return Err(FilterError::Sizes);
        }
        if matches!((spec.modified_after, spec.modified_before), (Some(after), Some(before)) if after >= before)
        {
            return Err(FilterError::Dates);
        }
        Ok(Filter {
            include: read(&spec.include)?,
            exclude: read(&spec.exclude)?,
            spec: spec.clone(),
        })
    }

    /// Whether a folder is worth listing. The root always is.
    pub fn folder(&self, drive: &DriveId, path: &DrivePath) -> Prune {
        let text = path.as_str();
        if text == "/" {
            return Prune::Walk;
        }
        if self.exclude.iter().any(|glob| glob.covers(drive, text, true)) {
            return Prune::Skip;
        }
        let reached = |glob: &Glob| glob.reach(drive, text, true).below;
        if self.include.is_empty() || self.include.iter().any(reached) {
            Prune::Walk
        } else {
            Prune::Skip
        }
    }

    /// Whether a folder itself is asked for, and not only what lies in it: no glob rules it out, and nothing is asked that
    /// only a file has. The root always is.
    pub fn selects_folder(&self, drive: &DriveId, path: &DrivePath) -> bool {
        let text = path.as_str();
        let covered = |globs: &[Glob]| globs.iter().any(|glob| glob.covers(drive, text, true));
        let globs_alone = FilterSpec {
            include: Vec::new(),
            exclude: Vec::new(),
            ..self.spec.clone()
        };
        path.is_root()
            || (globs_alone == FilterSpec::default()
                && !covered(&self.exclude)
                && (self.include.is_empty() || covered(&self.include)))
    }

    /// Whether an item at that path, be it a file or a folder, or something below it, may pass.
    pub fn may_pass(&self, drive: &DriveId, path: &DrivePath) -> bool {
        let text = path.as_str();
        // What is covered is below itself, and what covers a file covers a folder of that name.
        let reaches = |glob: &Glob| glob.reach(drive, text, true).below;
        self.include.is_empty() || path.is_root() || self.include.iter().any(reaches)
    }

    /// Why a file does not pass, as a reason code of the manifest; `None` when it passes.
    pub fn file(&self, entry: &Entry, path: &DrivePath) -> Option<&'static str> {
        let covered = |globs: &[Glob]| {
            globs
                .iter()
                .any(|glob| glob.covers(&entry.drive, path.as_str(), entry.is_folder()))
        };
        if covered(&self.exclude) {
            return Some(EXCLUDED);
        }
        if !self.include.is_empty() && !covered(&self.include) {
            return Some(NOT_INCLUDED);
        }
        let spec = &self.spec;
        if beyond(entry.size, spec.max_size, |size, bound| size > bound) {
            return Some(TOO_LARGE);
        }
        if beyond(entry.size, spec.min_size, |size, bound| size < bound) {
            return Some(TOO_SMALL);
        }
        if beyond(entry.modified, spec.modified_after, |time, bound| time < bound) {
            return Some(TOO_OLD);
        }
        if beyond(entry.modified, spec.modified_before, |time, bound| time >= bound) {
            return Some(TOO_NEW);
        }
        let class = entry.properties.file_type.as_deref();
        if !spec.kinds.is_empty()
            && class.is_some_and(|class| !spec.kinds.iter().any(|kind| kind.eq_ignore_ascii_case(class)))
        {
            return Some(OTHER_KIND);
        }
        None
    }
}

/// Whether a value that is known lies beyond a bound that is set.
fn beyond<T: Copy>(value: Option<T>, bound: Option<T>, rule: impl Fn(T, T) -> bool) -> bool {
    matches!((value, bound), (Some(value), Some(bound)) if rule(value, bound))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::entry::Kind;
    use crate::id::FileId;

    fn file(size: u64, modified: &str, class: &str) -> Entry {
        let mut entry = Entry::root(DriveId::new("me"), FileId::new("1"));
        entry.kind = Kind::File;
        entry.size = Some(size);
        entry.modified = Some(modified.parse().unwrap());
        entry.properties.file_type = Some(class.to_owned());
        entry
    }

    #[test]
    fn folders_that_can_hold_nothing_are_pruned() {
        let filter = Filter::new(&FilterSpec {
            include: vec!["/Reports/**/*.xlsx".into(), "/Keep".into()],
            exclude: vec!["/Reports/Old".into(), "tmp/".into()],
            ..FilterSpec::default()
        })
        .unwrap();
        let drive = DriveId::new("me");
        for (path, expected) in [
            ("/", Prune::Walk),
            ("/Reports", Prune::Walk),
            ("/Reports/2024/q1", Prune::Walk),
            ("/Reports/Old", Prune::Skip),
            ("/Reports/Old/2019", Prune::Skip),
            ("/Reports/tmp", Prune::Skip),
            ("/Keep/deep/down", Prune::Walk),
            ("/Other", Prune::Skip),
        ] {
            assert_eq!(
                filter.folder(&drive, &DrivePath::from_text(path)),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn a_folder_is_asked_for_by_globs_alone() {
        let filter = |include: &[&str], max_size| {
            Filter::new(&FilterSpec {
                include: include.iter().map(|glob| (*glob).to_owned()).collect(),
                exclude: vec!["tmp/".into()],
                max_size,
                ..FilterSpec::default()
            })
            .unwrap()
        };
        let drive = DriveId::new("me");
        for (include, max_size, path, selected, may_pass) in [
            (&[][..], None, "/a", true, true),
            (&[], None, "/tmp", false, true),
            (&[], Some(1), "/a", false, true),
            (&[], Some(1), "/", true, true),
            (&["/a/**"], None, "/a", false, true),
            (&["/a/**"], None, "/a/b", true, true),
            (&["/a/b/*.txt"], None, "/a", false, true),
            (&["/a/b/*.txt"], None, "/a/b", false, true),
            (&["/a/b/*.txt"], None, "/a/b/c.txt", true, true),
            (&["/a/b/*.txt"], None, "/c", false, false),
        ] {
            let (filter, path) = (filter(include, max_size), DrivePath::from_text(path));
            assert_eq!(
                filter.selects_folder(&drive, &path),
                selected,
                "{include:?} {path}"
            );
            assert_eq!(filter.may_pass(&drive, &path), may_pass, "{include:?} {path}");
        }
    }

    #[test]
    fn each_bound_has_its_reason() {
        let filter = Filter::new(&FilterSpec {
            include: vec!["/in/**".into()],
            exclude: vec!["*.tmp".into()],
            max_size: Some(100),
            min_size: Some(10),
            modified_after: Some("2024-01-01T00:00:00Z".parse().unwrap()),
            modified_before: Some("2025-01-01T00:00:00Z".parse().unwrap()),
            kinds: vec!["doc".into()],
        })
        .unwrap();
        let year = "2024-06-01T00:00:00Z";
        for (path, entry, expected) in [
            ("/in/a", file(50, year, "DOC"), None),
            ("/in/a.tmp", file(50, year, "DOC"), Some(EXCLUDED)),
            ("/out/a", file(50, year, "DOC"), Some(NOT_INCLUDED)),
            ("/in/a", file(100, year, "DOC"), None),
            ("/in/a", file(101, year, "DOC"), Some(TOO_LARGE)),
            ("/in/a", file(10, year, "DOC"), None),
            ("/in/a", file(9, year, "DOC"), Some(TOO_SMALL)),
            ("/in/a", file(50, "2024-01-01T00:00:00Z", "DOC"), None),
            ("/in/a", file(50, "2023-12-31T23:59:59Z", "DOC"), Some(TOO_OLD)),
            ("/in/a", file(50, "2025-01-01T00:00:00Z", "DOC"), Some(TOO_NEW)),
            ("/in/a", file(50, year, "IMAGE"), Some(OTHER_KIND)),
        ] {
            assert_eq!(
                filter.file(&entry, &DrivePath::from_text(path)),
                expected,
                "{path} {entry:?}"
            );
        }
        let mut untold = file(1, year, "DOC");
        (untold.size, untold.modified, untold.properties.file_type) = (None, None, None);
        assert_eq!(
            filter.file(&untold, &DrivePath::from_text("/in/a")),
            None,
            "what is not told rules nothing out"
        );
    }

    #[test]
    fn bounds_that_let_nothing_through_are_refused() {
        let sizes = FilterSpec {
            min_size: Some(2),
            max_size: Some(1),
            ..FilterSpec::default()
        };
        assert_eq!(Filter::new(&sizes).unwrap_err(), FilterError::Sizes);
        let dates = FilterSpec {
            modified_after: Some(Timestamp::UNIX_EPOCH),
            modified_before: Some(Timestamp::UNIX_EPOCH),
            ..FilterSpec::default()
        };
        assert_eq!(Filter::new(&dates).unwrap_err(), FilterError::Dates);
    }
}
