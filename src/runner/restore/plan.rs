//! What a restore would do, told without doing it.

use std::io::Write;

use super::prepare::{chosen, open, prepare, selection};
use crate::blocking::blocking;
use crate::job::RestoreOptions;
use crate::ledger::Ledger;
use crate::restore;
use crate::runner::{Error, Session};

/// A restore as its plan tells it.
#[derive(Debug)]
pub struct PlannedRestore {
    /// The plan, which prints as a page for people.
    pub plan: restore::RestorePlan,
    /// What a person should know before the start.
    pub warnings: Vec<String>,
    ledger: Ledger,
}

impl PlannedRestore {
    /// Writes the readiness scan as CSV, and gives the target back with the number of problems.
    ///
    /// # Errors
    /// When the target refuses.
    pub async fn write_readiness<W: Write + Send + 'static>(
        &self,
        target: W,
        bom: bool,
    ) -> Result<(W, u64), Error> {
        Ok(restore::write_readiness(&self.ledger, target, bom).await?)
    }
}

/// Says what a restore would do. The archive is only read, and the target is asked for its drives alone.
///
/// # Errors
/// As [`crate::runner::run`].
pub(in crate::runner) async fn plan(
    session: &Session,
    options: &RestoreOptions,
) -> Result<PlannedRestore, Error> {
    let archive = open(session).await?;
    let snapshot = chosen(session, options, &archive).await?;
    let ledger = blocking(Ledger::temporary).await?;
    let prepared = prepare(session, options, &archive, snapshot, ledger, true).await?;
    let selection = selection(session, &prepared.snapshot, &prepared.target)?;
    let plan = restore::plan(&prepared.ledger, std::iter::empty(), &selection).await?;
    Ok(PlannedRestore {
        plan,
        warnings: prepared.warnings,
        ledger: prepared.ledger,
    })
}
