//! Removes snapshots by the retention: first a plan that can be printed, then the work.

mod measure;
mod perform;
mod plan;
#[cfg(test)]
mod tests;

use crate::archive;
use crate::id::SnapshotId;
use crate::retention::{EmptyPolicy, Policy};

pub use measure::Freed;
pub use perform::{Done, perform};
pub use plan::{Hold, Item, Plan, plan};

/// What is to stay.
#[derive(Clone, Debug)]
pub struct Options {
    /// The rules.
    pub policy: Policy,
    /// The zone in which days, weeks, months and years begin.
    pub zone: jiff::tz::TimeZone,
    /// The share of files or bytes, 0.0 to 1.0, whose loss in the newest complete snapshot against the complete one before holds everything back.
    pub hold_on_drop: f64,
    /// Whether the plan looks at the files to tell what would be freed. It takes one look at each file of the snapshots to remove.
    pub measure: bool,
}

/// Why nothing was planned or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy keeps nothing by itself.
    #[error(transparent)]
    EmptyPolicy(#[from] EmptyPolicy),
    /// The archive refused.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The archive is not as it was when the plan was made.
    #[error("the snapshot {0}, which was to stay, is not there any more: the plan is out of date")]
    Stale(SnapshotId),
}
