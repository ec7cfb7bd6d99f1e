//! What a job wants to be told of: limits on the figures of a comparison.

use serde_json::{Value, json};

use super::{Summary, Word};

/// Limits. `None` watches nothing. Shares are of the files, or bytes, of the earlier snapshot that the later one could judge: 0.2 is a fifth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alarms {
    /// More than this share of the files changed their content.
    pub changed_share: Option<f64>,
    /// More than this share of the files is gone.
    pub deleted_share: Option<f64>,
    /// More than this many entries have a new link for whoever has the address; 0 tells of each.
    pub new_public_links: Option<u64>,
    /// More than this share of the files has another extension, as when all were encrypted.
    pub extension_shift: Option<f64>,
    /// The bytes fell by more than this share.
    pub size_drop: Option<f64>,
}

/// A limit that was passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// The key of the job file: `changed`, `deleted`, `new-public-links`, `extension-shift` or `size-drop`.
    pub name: &'static str,
    /// The limit: a share, or a count of links.
    pub limit: f64,
    /// What was found, in the same measure.
    pub found: f64,
    /// One sentence for people.
    pub message: String,
}

impl Alarm {
    /// The alarm as it stands in reports.
    pub fn to_json(&self) -> Value {
        json!({ "name": self.name, "limit": self.limit, "found": self.found, "message": self.message })
    }
}

impl Alarms {
    /// The limits that `summary` passes. Without files in the earlier snapshot there is no share, and so no alarm of one.
    pub fn judge(&self, summary: &Summary) -> Vec<Alarm> {
        let files = summary.before.files.saturating_sub(summary.unknown.files);
        let bytes = summary.before.bytes.saturating_sub(summary.unknown.bytes);
        let changed = summary.files_with(Word::Changed) + summary.files_with(Word::Content);
        let drop = bytes.saturating_sub(summary.after.bytes);
        let shares = [
            (
                "changed",
                self.changed_share,
                changed,
                files,
                "of the files changed",
            ),
            (
                "deleted",
                self.deleted_share,
                summary.removed.files,
                files,
                "of the files are gone",
            ),
            (
                "extension-shift",
                self.extension_shift,
                summary.shifted_extensions,
                files,
                "of the files have another extension",
            ),
            ("size-drop", self.size_drop, drop, bytes, "of the bytes are gone"),
        ];
        let mut alarms: Vec<Alarm> = shares
            .into_iter()
            .filter_map(|(name, limit, part, whole, words)| {
                let (limit, found) = (limit?, share(part, whole)?);
                (found > limit).then(|| Alarm {
                    name,
                    limit,
                    found,
                    message: format!(
                        "{:.1} % {words}; the limit is {:.1} %",
                        found * 100.0,
                        limit * 100.0
                    ),
                })
            })
            .collect();
        let links = summary.new_public_links;
        if let Some(limit) = self.new_public_links.filter(|limit| links > *limit) {
            alarms.push(Alarm {
                name: "new-public-links",
                limit: limit as f64,
                found: links as f64,
                message: format!("{links} files or folders have a new public link; the limit is {limit}"),
            });
        }
        alarms
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
