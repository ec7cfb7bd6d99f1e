//! Asks for what listings do not tell: permissions, links, shares, earlier contents, trash.
//!
//! What is worth a call is decided by [`crate::depth`]. The frontier is a table of the ledger, so that a run that was stopped
//! goes on with what is still open. Each family of drives has API operations of its own, and so a lane of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::try_join_all;
use tokio::task::JoinSet;

use crate::blocking::outcome;
use crate::depth;
use crate::drive::{Detail, Drive, ErrorKind};
use crate::id::Family;
use crate::ledger::{DetailEnd, DetailWork, Ledger};
use crate::monitor::{Counter, Monitor};
use crate::stop::Stop;
use crate::walk::Error;

/// Items that are looked through in one go.
const ITEMS_PER_LOOK: u32 = 4096;

/// Details taken from the ledger in one go.
const DETAILS_PER_CLAIM: u32 = 64;

/// What a run asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The details; nothing is asked when it is empty.
    pub details: Vec<Detail>,
    /// Calls of one family under way at the same time, at least 1.
    pub at_once: usize,
}

/// What everything here works with.
struct Details {
    drive: Arc<dyn Drive>,
    ledger: Ledger,
    at_once: usize,
    monitor: Arc<dyn Monitor>,
    stop: Stop,
}

/// Finds what is to be asked among the items of the ledger, and asks, until nothing is open or a stop is asked for.
/// Call it when the walk has ended, and [`Ledger::expect_details`] before the walk begins.
///
/// # Errors
/// When the token is refused or the ledger fails. A detail that cannot be read is noted in the ledger.
pub async fn ask(
    drive: Arc<dyn Drive>,
    ledger: Ledger,
    options: Options,
    monitor: Arc<dyn Monitor>,
    stop: Stop,
) -> Result<(), Error> {
    if options.details.is_empty() || stop.is_draining() {
        return Ok(());
    }
    let mut after = 0;
    loop {
        let asked = options.details.clone();
        let look = ledger.find_details(after, ITEMS_PER_LOOK, move |entry| depth::of_item(entry, &asked));
        match look.await? {
            Some(last) => after = last,
            None => break,
        }
    }
    let asked = options.details;
    ledger
        .details_found(move |drive| depth::of_drive(drive.family(), &asked))
        .await?;
    let details = Arc::new(Details {
        drive,
        ledger,
        at_once: options.at_once,
        monitor,
        stop,
    });
    let lanes = Family::ALL.map(|family| ask_family(Arc::clone(&details), family));
    try_join_all(lanes).await.map(|_| ())
}

async fn ask_family(details: Arc<Details>, family: Family) -> Result<(), Error> {
    let mut after = 0;
    let mut waiting: VecDeque<DetailWork> = VecDeque::new();
    let mut asking: JoinSet<Result<(), Error>> = JoinSet::new();
    loop {
        while asking.len() < details.at_once && !details.stop.is_draining() {
            if waiting.is_empty() {
                let open = details.ledger.open_details(family, after, DETAILS_PER_CLAIM);
                waiting.extend(open.await?);
                after = waiting.back().map_or(after, |work| work.no);
            }
            let Some(work) = waiting.pop_front() else {
                break;
            };
            asking.spawn(ask_one(Arc::clone(&details), work));
        }
        match asking.join_next().await {
            Some(joined) => outcome(joined).transpose()?,
            None => return Ok(()),
        };
    }
}

async fn ask_one(details: Arc<Details>, work: DetailWork) -> Result<(), Error> {
    let end = match details.drive.detail(&work.entry, work.detail).await {
        Ok(values) => DetailEnd::Told(values),
        Err(error) => match error.kind {
            ErrorKind::Unauthenticated => return Err(error.into()),
            // It stays open for the next start.
            ErrorKind::Cancelled => return Ok(()),
            ErrorKind::Unsupported => DetailEnd::NotOffered,
            // The item, or the thing that was asked for, went meanwhile.
            ErrorKind::NotFound => DetailEnd::Told(Vec::new()),
            _ => {
                let subject = format!("{}:{}", work.entry.drive, work.path);
                details.monitor.count(Counter::Failures, 1);
                details.monitor.problem(&subject, &error.to_string());
                DetailEnd::Failed(error.kind.code().to_owned())
            }
        },
    };
    Ok(details.ledger.settle_detail(work.no, end).await?)
}
