//! What to do with each file, and why. No I/O: everything it needs comes in.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::entry::Entry;
use crate::manifest::Earlier;

/// How a file of tonight's listing gets into tonight's snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its bytes are asked for.
    Fetch,
    /// The earlier copy serves, once it is seen to be there with its recorded size.
    Reuse {
        /// Whether the earlier copy is hashed again first.
        rehash: bool,
    },
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Share of the reused files that is hashed again each night, 0.0 to 1.0.
    pub rehash: f64,
    /// Something new each night, so that each night picks other files.
    pub salt: u64,
}

/// Decides about one file.
///
/// Unchanged means: the same id, size and modified time, all of them told. A file without a size or date is always fetched.
pub fn decide(entry: &Entry, earlier: Option<&Earlier>, policy: &Policy) -> Decision {
    match earlier {
        Some(earlier)
            if entry.size == Some(earlier.size)
                && entry.modified.is_some()
                && entry.modified == earlier.modified =>
        {
            Decision::Reuse {
                rehash: !earlier.proven || is_sampled(entry.id.as_str(), policy),
            }
        }
        _ => Decision::Fetch,
    }
}

/// Whether an item belongs to a share of all items: a matter of its id and the salt, so that a repeated night repeats it.
pub fn is_sampled(id: &str, policy: &Policy) -> bool {
    let mut hasher = DefaultHasher::new();
    (id, policy.salt).hash(&mut hasher);
    // 53 bits are what an f64 holds exactly.
    let point = (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64;
    point < policy.rehash
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::id::{DriveId, FileId};

    fn entry(id: &str, size: Option<u64>, modified: Option<i64>) -> Entry {
        let mut entry = Entry::root(DriveId::new("me"), FileId::new(id));
        entry.size = size;
        entry.modified = modified.and_then(|second| Timestamp::from_second(second).ok());
        entry
    }

    #[test]
    fn only_the_same_size_and_date_reuse() {
        let earlier = |modified: Option<i64>, proven| Earlier {
            size: 7,
            modified: modified.and_then(|second| Timestamp::from_second(second).ok()),
            sha256: String::new(),
            stored_at: String::new(),
            proven,
        };
        let never = Policy { rehash: 0.0, salt: 1 };
        let reuse = |rehash| Decision::Reuse { rehash };
        let cases = [
            (
                entry("a", Some(7), Some(5)),
                Some(earlier(Some(5), true)),
                reuse(false),
            ),
            (
                entry("a", Some(7), Some(5)),
                Some(earlier(Some(5), false)),
                reuse(true),
            ),
            (
                entry("a", Some(8), Some(5)),
                Some(earlier(Some(5), true)),
                Decision::Fetch,
            ),
            (
                entry("a", Some(7), Some(6)),
                Some(earlier(Some(5), true)),
                Decision::Fetch,
            ),
            (
                entry("a", Some(7), None),
                Some(earlier(None, true)),
                Decision::Fetch,
            ),
            (
                entry("a", None, Some(5)),
                Some(earlier(Some(5), true)),
                Decision::Fetch,
            ),
            (entry("a", Some(7), Some(5)), None, Decision::Fetch),
        ];
        for (entry, earlier, expected) in cases {
            assert_eq!(decide(&entry, earlier.as_ref(), &never), expected, "{entry:?}");
        }
    }

    #[test]
    fn the_sample_has_its_share_and_differs_by_night() {
        let picked = |salt| {
            let policy = Policy { rehash: 0.02, salt };
            (0..10_000)
                .filter(|id| is_sampled(&id.to_string(), &policy))
                .collect::<Vec<_>>()
        };
        let (first, second) = (picked(1), picked(2));
        assert!((120..280).contains(&first.len()), "{}", first.len());
        assert_ne!(first, second);
        assert_eq!(first, picked(1));
        let all = Policy { rehash: 1.0, salt: 1 };
        assert!((0..1000).all(|id| is_sampled(&id.to_string(), &all)));
    }
}
