//! One pass: the backup of the source tenant, and beside it the uploads into the target tenant.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::Sides;
use crate::archive::{self, Archive, Run};
use crate::backup::{self, Spool, backup};
use crate::entry::Root;
use crate::id::DriveId;
use crate::job::{Deletions, Keep};
use crate::manifest::Outcome;
use crate::migrate::{self, Feed, PassSummary, migrate};
use crate::plan::Policy;
use crate::restore::{Copies, Limits};
use crate::runner::begin::{Begun, hand_off};
use crate::runner::restore::upload_options;
use crate::runner::snapshot::{CONTENT_ATTEMPTS, GRACE, classify, place};
use crate::runner::source::ArchiveCopies;
use crate::runner::{Error, Session};
use crate::throttle::Throttle;
use crate::walk;

/// Backs up and uploads side by side until both have ended or a stop comes.
pub(super) async fn one_pass(
    session: &Session,
    sides: &Sides<'_>,
    begun: &Begun,
    archive: &Archive,
    targets: HashMap<DriveId, Root>,
) -> Result<PassSummary, Error> {
    let job = &session.loaded.job;
    let options = sides.options;
    let throttle = Arc::new(Throttle::new(job.limits.bandwidth.map(Into::into)));
    let spool = match options.keep {
        Keep::All => None,
        Keep::Manifest => {
            let run = begun.run.id().as_str().to_owned();
            sides.journal.watch_copies(run).await?;
            let held = begun.ledger.held_bytes().await?;
            Some(Arc::new(Spool::new(job.limits.spool.get(), held)))
        }
    };
    let backup_options = backup::Options {
        walk: walk::Options {
            listings: job.limits.listings,
            classify: classify(session)?,
            place: Arc::new(place),
            folder_outcome: Outcome::Stored,
            clock: session.host.clock.clone(),
        },
        transfers: job.limits.transfers,
        attempts: CONTENT_ATTEMPTS,
        policy: Policy {
            rehash: f64::from(job.rehash.millionths()) / 1_000_000.0,
            salt: archive::fold(begun.run.id().as_str()),
        },
        throttle: Arc::clone(&throttle),
        spool: spool.clone(),
        grace: GRACE,
    };
    let mut restore_options = upload_options(session, &options.delivery, true, begun.run.id().as_str());
    restore_options.throttle = throttle;
    let migrate_options = migrate::Options {
        restore: restore_options,
        limits: Limits::default(),
        deletions: (options.deletions == Deletions::Follow)
            .then(|| f64::from(options.deletion_limit.millionths()) / 1_000_000.0),
        hand_off: spool.map(|spool| hand_off(&begun.run, spool)),
    };
    let (fed, feed) = watch::channel(Feed::Open);
    let storing = async {
        let outcome = backup(
            Arc::clone(&sides.source),
            begun.ledger.clone(),
            begun.run.clone(),
            backup_options,
            Arc::clone(&session.monitor),
            session.stop.clone(),
        )
        .await;
        let has_ended = outcome.is_ok() && !session.stop.is_draining();
        fed.send_replace(if has_ended { Feed::Ended } else { Feed::Stopped });
        outcome.map_err(Error::from)
    };
    let uploading = async {
        let done = migrate(
            Arc::clone(&sides.target),
            begun.ledger.clone(),
            sides.journal.clone(),
            Arc::new(RunCopies {
                run: begun.run.clone(),
                archive: ArchiveCopies::new(archive),
            }),
            targets,
            migrate_options,
            feed,
            Arc::clone(&session.monitor),
            session.stop.clone(),
        );
        done.await.map_err(Error::from)
    };
    let ((), done) = tokio::try_join!(storing, uploading)?;
    Ok(done)
}

/// The bytes of the run under way, and those of the snapshots before.
#[derive(Debug)]
struct RunCopies {
    run: Run,
    archive: Arc<ArchiveCopies>,
}

impl Copies for RunCopies {
    fn open(&self, stored_at: &str) -> io::Result<File> {
        match self.run.open_stored(stored_at) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => self.archive.open(stored_at),
            Err(archive::Error::Io { source, .. }) => Err(source),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error.to_string())),
        }
    }

    fn other_copies(&self, sha256: &str, size: u64) -> Vec<String> {
        self.archive.other_copies(sha256, size)
    }
}
