//! How uploads are made, as the job has it.

use std::sync::Arc;
use std::time::Duration;

use crate::archive;
use crate::job::{Delivery, To};
use crate::ledger::SameBy;
use crate::plan::Policy;
use crate::restore;
use crate::runner::Session;
use crate::throttle::Throttle;

/// How often one file is sent before it counts as failed. Two more tries tell a passing fault from a lasting one.
const UPLOAD_ATTEMPTS: u32 = 3;

/// How long uploads may go on after a stop was asked for, as for downloads.
const GRACE: Duration = Duration::from_secs(8);

/// How uploads are made, as the job has it.
pub(in crate::runner) fn upload_options(
    session: &Session,
    delivery: &Delivery,
    times_kept: bool,
    salt: &str,
) -> restore::Options {
    let limits = &session.loaded.job.limits;
    let mut options = restore::Options::new(delivery.on_conflict);
    if !times_kept {
        options.naming.same_by = SameBy::Content;
    }
    if matches!(delivery.to, To::Local(_)) {
        options.naming.numbered = restore::numbered_local;
    }
    options.transfers = limits.uploads;
    options.folders = limits.listings;
    options.attempts = UPLOAD_ATTEMPTS;
    options.check_back = Policy {
        rehash: f64::from(delivery.check_back.millionths()) / 1_000_000.0,
        salt: archive::fold(salt),
    };
    options.throttle = Arc::new(Throttle::new(limits.bandwidth.map(Into::into)));
    options.grace = GRACE;
    options
}
