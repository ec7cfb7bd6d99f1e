//! Lets go of stored bytes once the target has them, so that a migration needs no more room than what is under way.
//!
//! The journal is the judge: only a file whose upload it knows as confirmed is delivered. The order is target, journal, then
//! bytes and the run's ledger together; a kill between the last two is settled at the next start, before the run looks
//! after its files.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Error, Pass};
use crate::backup::Spool;
use crate::ledger::{Ledger, Spent};
use crate::monitor::Monitor;

/// Copies that are let go of in one change.
const COPIES_PER_CHANGE: u32 = 256;

type Remove = dyn Fn(&str) -> io::Result<()> + Send + Sync;

/// How bytes are let go of.
#[derive(Clone)]
pub struct HandOff {
    run: String,
    remove: Arc<Remove>,
    spool: Arc<Spool>,
}

impl fmt::Debug for HandOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HandOff")
            .field("run", &self.run)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

impl HandOff {
    /// Of the run of that name; `remove` takes the bytes at a `stored_at` away, and waits for the disk.
    pub fn new(
        run: &str,
        remove: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static,
        spool: Arc<Spool>,
    ) -> HandOff {
        HandOff {
            run: run.to_owned(),
            remove: Arc::new(remove),
            spool,
        }
    }

    /// Lets go of everything that `journal` needs no more and the run's own ledger `source` still holds.
    ///
    /// # Errors
    /// When a ledger fails.
    pub async fn settle(
        &self,
        journal: &Ledger,
        source: &Ledger,
        monitor: &dyn Monitor,
    ) -> Result<(), Error> {
        loop {
            let spent = journal.spent_copies(self.run.clone(), COPIES_PER_CHANGE).await?;
            if spent.is_empty() {
                return Ok(());
            }
            self.let_go(source, spent.clone(), monitor).await?;
            journal.forget_copies(spent).await?;
        }
    }

    /// Lets go of those copies.
    pub(super) async fn let_go(
        &self,
        source: &Ledger,
        spent: Vec<Spent>,
        monitor: &dyn Monitor,
    ) -> Result<(), Error> {
        let remove = Arc::clone(&self.remove);
        let released = source.release(spent, move |place| remove(place)).await?;
        for (place, error) in released.refused {
            monitor.problem(
                &place,
                &format!("it is no longer needed and could not be removed: {error}"),
            );
        }
        self.spool.give_back(released.bytes);
        Ok(())
    }
}

/// Lets go of bytes while files are uploaded, until `ended`.
pub(super) async fn keep_up(pass: &Pass, mut ended: watch::Receiver<bool>) -> Result<(), Error> {
    let Some(hand_off) = &pass.options.hand_off else {
        return Ok(());
    };
    let mut news = pass.restore.ledger.news();
    loop {
        // Looked at before the journal is asked, so that an upload between the two wakes us up again.
        news.mark_unchanged();
        let is_over = *ended.borrow_and_update();
        settle(pass, hand_off).await?;
        if is_over {
            return Ok(());
        }
        tokio::select! {
            _ = news.changed() => {}
            _ = ended.changed() => {}
        }
    }
}

/// Lets go of what the pass needs no more.
pub(super) async fn settle(pass: &Pass, hand_off: &HandOff) -> Result<(), Error> {
    hand_off
        .settle(&pass.restore.ledger, &pass.source, &*pass.restore.monitor)
        .await
}
