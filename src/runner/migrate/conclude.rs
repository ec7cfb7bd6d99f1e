//! What a pass came to, as its report and its results tell it.

use serde_json::json;

use super::permissions::Outcome;
use super::{Passed, Sides};
use crate::migrate::Reconciliation;
use crate::report::{Report, Status};
use crate::restore::{self, Verdict};
use crate::runner::restore::{describe, first_failures, write_summary};
use crate::runner::{Error, Session};

/// Writes the results, and says what the pass came to.
pub(super) async fn conclude(
    session: &Session,
    sides: &Sides<'_>,
    passed: &Passed,
    report: &mut Report,
) -> Result<(), Error> {
    let done = &passed.summary;
    let is_stored = report.status == Status::Complete;
    describe(&done.uploads, report);
    for drive in &done.guarded {
        report.warnings.push(format!(
            "too much of {drive} is gone at the source, so that nothing of it was removed; see deletion-limit"
        ));
    }
    let is_clean = passed
        .reconciliation
        .as_ref()
        .is_none_or(Reconciliation::is_clean);
    let is_whole = is_stored
        && is_clean
        && done.guarded.is_empty()
        && done.not_followed == 0
        && passed.unmapped == 0
        && passed.permissions != Outcome::Different
        && matches!(done.uploads.verdict(), Verdict::Complete | Verdict::NothingChosen);
    report.status = if is_whole {
        Status::Complete
    } else {
        Status::Partial
    };
    report.failures = first_failures(&sides.journal).await?;
    report.details.insert(
        "pass".to_owned(),
        json!({
            "number": done.pass,
            "kind": sides.options.pass,
            "relocated": done.relocated,
            "refilled": done.refilled,
            "removed": done.removed,
            "not_followed": done.not_followed,
            "guarded": done.guarded,
            "unmapped": passed.unmapped,
        }),
    );
    if let Some(found) = &passed.reconciliation {
        report
            .details
            .insert("reconciliation".to_owned(), found.to_json());
        if !found.is_clean() {
            report.warnings.push(format!(
                "the reconciliation found {} differences and {} gaps",
                found.differences,
                found.gaps.len()
            ));
        }
    }
    restore::write_results(&sides.journal, &sides.results, session.loaded.job.bom).await?;
    report
        .details
        .insert("results".to_owned(), json!(sides.results.display().to_string()));
    session.add_figures(report);
    write_summary(&sides.results, report).await
}
