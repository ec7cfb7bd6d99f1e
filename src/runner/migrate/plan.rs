//! Foretells a migration: drives without a place to go first, then what would be fetched and sent, drive by drive.
//!
//! The source is known from the newest complete snapshot of the archive, else from listing it whole: names and sizes that the
//! target does not take are seen in no other way. The target is listed as far as it is there.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::pair::pair;
use crate::api::Config;
use crate::archive::Snapshot;
use crate::blocking::blocking;
use crate::drive::Drive;
use crate::entry::Root;
use crate::estimate::{Counter, Delivery, Load, Side};
use crate::id::DriveId;
use crate::job::{Face, MigrateOptions};
use crate::ledger::{Ledger, ListedAs, NewRoot, Problem};
use crate::manifest::{self, Outcome, Row};
use crate::migrate::Pairs;
use crate::monitor::{Monitor, Tally, Tee};
use crate::restore::{self, Limits, Place, Selection, Stage};
use crate::runner::plan::{newest, rate};
use crate::runner::plan_delivery::{PlannedDelivery, arriving, describe, fill_quotas, rehearse};
use crate::runner::restore::upload_options;
use crate::runner::roots::{Found, find_roots};
use crate::runner::snapshot::{classify, place};
use crate::runner::{Error, Session, TenantFile, connect};
use crate::walk::{self, Progress, walk};

/// Rows that wait between the one who reads them and the one who makes steps of them.
const WAITING_ROWS: usize = 4096;

/// One tenant, connected.
struct Connected {
    drive: Arc<dyn Drive>,
    config: Config,
    tally: Arc<Tally>,
    is_classic: bool,
}

/// Where the rows of the source come from.
enum Basis {
    Snapshot(Box<Snapshot>),
    Listing(Ledger),
}

/// What the source comes to.
type Counted = Arc<Mutex<Counter>>;

pub(in crate::runner) async fn plan(
    session: &Session,
    options: &MigrateOptions,
) -> Result<PlannedDelivery, Error> {
    let loaded = &session.loaded;
    let source = connected(session, loaded.tenant.as_ref()).await?;
    let target = connected(session, loaded.target.as_ref()).await?;
    let Found {
        roots: found,
        mut warnings,
    } = find_roots(session, &source.drive).await?;
    let Pairs {
        mut targets,
        unmapped,
    } = pair(session, &options.delivery, &target.drive, &found).await?;
    let mapped: Vec<NewRoot> = found
        .into_iter()
        .filter(|root| targets.contains_key(&root.root.entry.drive))
        .collect();
    fill_quotas(&target.drive, &mut targets).await;
    let (basis, from) = basis(session, &source, &mapped, &mut warnings).await?;

    let ledger = blocking(Ledger::temporary).await?;
    let selection = selection(&targets);
    let counter = count(&mapped);
    load(&ledger, basis, &mapped, &counter, &selection).await?;
    let problems = unmapped.iter().map(|one| Problem {
        problem: "unmapped".to_owned(),
        drive: one.drive.as_str().to_owned(),
        path: String::new(),
        size: None,
        detail: match &one.target {
            Some(target) => format!("{}: {} -> {target}", one.reason, one.name),
            None => format!("{}: {}", one.reason, one.name),
        },
    });
    ledger.add_problems(problems.collect()).await?;
    let stage = Arc::new(Stage::new(Arc::clone(&target.drive), false));
    let upload = upload_options(session, &options.delivery, true, "plan");
    let made = rehearse(session, &stage, &ledger, upload, &selection).await?;
    let delivery = Delivery {
        from,
        into: "the places that the map names".to_owned(),
        unmapped: unmapped
            .into_iter()
            .map(|one| (one.drive.as_str().to_owned(), one.name, one.reason.to_owned()))
            .collect(),
        source: Some(reading(session, &source, counter)),
        target: Some(Side {
            load: arriving(&target.tally, &stage, false),
            rate: rate(target.config.rate),
        }),
        warnings,
        ..describe(session, &made)
    };
    Ok(PlannedDelivery { delivery, ledger })
}

async fn connected(session: &Session, file: Option<&TenantFile>) -> Result<Connected, Error> {
    let file = file.ok_or(Error::NoTenant)?;
    let tally = Arc::new(Tally::default());
    let sinks = vec![
        Arc::clone(&tally) as Arc<dyn Monitor>,
        Arc::clone(&session.monitor),
    ];
    let monitor: Arc<dyn Monitor> = Arc::new(Tee(sinks));
    let limits = &session.loaded.job.limits;
    let (drive, config) = connect::connect(file, limits, &session.host, monitor).await?;
    Ok(Connected {
        drive,
        config,
        tally,
        is_classic: file.tenant.dialect() == Face::Classic,
    })
}

async fn basis(
    session: &Session,
    source: &Connected,
    mapped: &[NewRoot],
    warnings: &mut Vec<String>,
) -> Result<(Basis, String), Error> {
    if let Some(snapshot) = newest(session, warnings).await?
        && snapshot.is_complete()
    {
        let from = format!("snapshot {}", snapshot.id);
        return Ok((Basis::Snapshot(Box::new(snapshot)), from));
    }
    let ledger = blocking(Ledger::temporary).await?;
    ledger.add_roots(mapped.to_vec()).await?;
    let wanted = classify(session)?;
    let options = walk::Options {
        listings: session.loaded.job.limits.listings,
        classify: Arc::new(move |entry, path| match wanted(entry, path) {
            ListedAs::Fetch => ListedAs::Settled(Outcome::Listed, ""),
            other => other,
        }),
        place: Arc::new(place),
        folder_outcome: Outcome::Listed,
        clock: session.host.clock.clone(),
    };
    walk(
        Arc::clone(&source.drive),
        ledger.clone(),
        options,
        Arc::clone(&session.monitor),
        Arc::new(Progress::default()),
        session.stop.clone(),
    )
    .await?;
    for facts in ledger.root_facts().await? {
        for gap in facts.gaps() {
            warnings.push(format!("{}: {gap}", facts.drive));
        }
    }
    let from = format!("listings of {} drives", mapped.len());
    Ok((Basis::Listing(ledger), from))
}

fn selection(targets: &HashMap<DriveId, Root>) -> Selection {
    Selection {
        // What the job leaves out is not asked for.
        select: Arc::new(|row| row.outcome != Outcome::Skipped),
        to: Place::Original,
        targets: targets.clone(),
        name: Arc::new(|row| row.entry.name.clone()),
        limits: Limits::default(),
        snapshot: String::new(),
        is_partial: false,
    }
}

fn count(mapped: &[NewRoot]) -> Counted {
    let mut counter = Counter::default();
    for root in mapped {
        counter.drive(&root.root.entry.drive, true);
    }
    Arc::new(Mutex::new(counter))
}

/// Makes steps of the rows of those drives, and counts them.
async fn load(
    ledger: &Ledger,
    basis: Basis,
    mapped: &[NewRoot],
    counter: &Counted,
    selection: &Selection,
) -> Result<(), Error> {
    let drives: Vec<DriveId> = mapped.iter().map(|root| root.root.entry.drive.clone()).collect();
    let (sender, receiver) = sync_channel(WAITING_ROWS);
    let rows = Rows {
        receiver,
        drives,
        counter: Arc::clone(counter),
    };
    let reading = async {
        match basis {
            Basis::Snapshot(snapshot) => blocking(move || send_manifest(&snapshot, &sender)).await,
            Basis::Listing(listing) => {
                // The inner result only says that nobody reads any more.
                let _ = listing
                    .rows(move |rows| {
                        rows.into_iter()
                            .try_for_each(|row| sender.send(Ok(row)).map_err(drop))
                    })
                    .await?;
                Ok(())
            }
        }
    };
    let loading = async { restore::plan(ledger, rows, selection).await.map_err(Error::from) };
    tokio::try_join!(reading, loading).map(|_| ())
}

fn send_manifest(
    snapshot: &Snapshot,
    sender: &SyncSender<Result<Row, manifest::Error>>,
) -> Result<(), Error> {
    for row in snapshot.manifest()? {
        if sender.send(row).is_err() {
            break;
        }
    }
    Ok(())
}

/// Rows of the wanted drives. What is listed will be fetched: it counts as there.
struct Rows {
    receiver: Receiver<Result<Row, manifest::Error>>,
    drives: Vec<DriveId>,
    counter: Counted,
}

impl Iterator for Rows {
    type Item = Result<Row, manifest::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut row = match self.receiver.recv().ok()? {
                Ok(row) => row,
                error => return Some(error),
            };
            if !self.drives.contains(&row.entry.drive) {
                continue;
            }
            self.counter
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .row(&row);
            if row.outcome == Outcome::Listed && !row.entry.is_folder() {
                row.outcome = Outcome::Stored;
                row.stored_at = Some(String::new());
            }
            return Some(Ok(row));
        }
    }
}

/// What the source is asked.
fn reading(session: &Session, source: &Connected, counter: Counted) -> Side {
    let counter = std::mem::take(&mut *counter.lock().unwrap_or_else(PoisonError::into_inner));
    let families = counter.finish();
    Side {
        load: Load::of(&families, &session.loaded.job.drives, source.is_classic, true),
        rate: rate(source.config.rate),
    }
}
