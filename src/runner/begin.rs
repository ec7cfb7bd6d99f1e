//! Opens the archive, and begins a run in it or carries the unfinished one on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use jiff::{SignedDuration, Timestamp};

use super::{Error, Session, around};
use crate::archive::{self, Archive, Durability, Head, Holder, LocalPath, Lock, Run, Snapshot, Stored};
use crate::backup::Spool;
use crate::blocking::blocking;
use crate::entry::{Kind, Scope};
use crate::job::{self, JobKind};
use crate::ledger::Ledger;
use crate::manifest::{Brief, Earlier, Outcome};
use crate::migrate::HandOff;

/// Files that are looked at by one task.
const FILES_PER_LOOK: u32 = 1024;

/// Rows that wait between a reader and a writer of the ledger.
const WAITING_ROWS: usize = 4096;

/// A run that has begun or goes on.
pub(super) struct Begun {
    pub(super) run: Run,
    pub(super) ledger: Ledger,
    pub(super) resumed: bool,
    pub(super) warnings: Vec<String>,
}

/// Opens the job's archive, making it where there is none.
pub(super) async fn open_archive(session: &Session, identity: &str) -> Result<Archive, Error> {
    let path = job::resolve_path(&session.loaded.base, &session.loaded.job.archive);
    let identity = identity.to_owned();
    let opened = blocking(move || -> Result<Archive, archive::Error> {
        let archive = Archive::open_or_create(&path, &identity)?;
        // An archive or a tenant without an identity fits any other.
        if !archive.tenant().is_empty() && !identity.is_empty() {
            archive.check_tenant(&identity)?;
        }
        Ok(archive)
    });
    Ok(opened.await?)
}

/// Opens the job's archive, which must be there.
pub(super) async fn open_existing(session: &Session) -> Result<Archive, Error> {
    let path = job::resolve_path(&session.loaded.base, &session.loaded.job.archive);
    Ok(blocking(move || Archive::open(path)).await?)
}

/// Takes the archive's lock, and with it the run's place in the status file. It is let go of when all that surrounds the
/// run is done; asked for again, it is the same one.
pub(super) async fn lock(session: &Session, archive: &Archive, since: Timestamp) -> Result<Arc<Lock>, Error> {
    if let Some(lock) = session.around.lock() {
        return Ok(lock);
    }
    let holder = Holder {
        pid: session.host.pid,
        host: session.host.name.clone(),
        since,
        job: session.loaded.name.clone(),
    };
    let locking = archive.clone();
    let lock = Arc::new(blocking(move || locking.lock(&holder)).await?);
    around::begin(session, archive, &lock, since).await;
    Ok(lock)
}

/// Carries the unfinished run of this very job on, or begins a new one.
///
/// `handed_on` is the journal of a migration that lets go of what it has delivered.
pub(super) async fn begin(
    session: &Session,
    archive: &Archive,
    handed_on: Option<&Ledger>,
) -> Result<Begun, Error> {
    let kind = session.loaded.job.kind.word();
    let fingerprint = digest(&session.loaded.fingerprint);
    let unfinished = {
        let archive = archive.clone();
        blocking(move || archive.unfinished()).await
    };
    let mut warnings = Vec::new();
    match unfinished {
        Ok(Some(unfinished))
            if unfinished.head.fingerprint == fingerprint && unfinished.head.kind == kind =>
        {
            if let Some(begun) = resume(session, archive, handed_on).await? {
                return Ok(begun);
            }
            warnings.push(format!(
                "the unfinished run {} could not be carried on, since its state is missing or damaged; this run began anew",
                unfinished.id
            ));
        }
        Ok(Some(unfinished)) => warnings.push(format!(
            "the unfinished run {} of job '{}' was dropped, since the job has changed; this run began anew",
            unfinished.id, unfinished.head.job
        )),
        Ok(None) if archive.is_headless() => warnings.push(
            "an unfinished run was dropped, since its HEAD.json is missing; this run began anew".to_owned(),
        ),
        Ok(None) => {}
        Err(error) => warnings.push(format!("an unfinished run was dropped: {error}")),
    }
    warnings.extend(damaged_snapshots(archive).await?);
    let mut head = head(session, archive, fingerprint).await?;
    if handed_on.is_some() {
        head.keep_manifest_alone();
    }
    let (run, ledger) = {
        let archive = archive.clone();
        blocking(move || -> Result<_, Error> {
            archive.discard()?;
            let run = archive.begin(&head, Durability::default())?;
            let ledger = Ledger::open(&run.ledger_path())?;
            Ok((run, ledger))
        })
        .await?
    };
    ledger.set_home(LocalPath::home(run.id())).await?;
    load_basis(session, archive, &ledger, handed_on).await?;
    Ok(Begun {
        run,
        ledger,
        resumed: false,
        warnings,
    })
}

/// Carries the unfinished run on; `None` when its state is missing or damaged.
async fn resume(
    session: &Session,
    archive: &Archive,
    handed_on: Option<&Ledger>,
) -> Result<Option<Begun>, Error> {
    let run = {
        let archive = archive.clone();
        blocking(move || archive.resume(Durability::default())).await
    };
    let run = match run {
        Ok(run) => run,
        Err(archive::Error::NotAFolder(_) | archive::Error::AlteredState(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let path = run.ledger_path();
    let opened = blocking(move || match path.symlink_metadata() {
        // Opening would make one that knows of nothing.
        Err(_) => Ok(None),
        Ok(found) if !found.is_file() => Ok(None),
        Ok(_) => Ledger::open(&path).map(Some),
    });
    let ledger = match opened.await {
        Ok(Some(ledger)) => ledger,
        Ok(None) => return Ok(None),
        Err(error) if error.is_damaged() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match prepare(session, archive, &run, &ledger, handed_on).await {
        Ok(()) => Ok(Some(Begun {
            run,
            ledger,
            resumed: true,
            warnings: Vec::new(),
        })),
        Err(Error::Ledger(error)) if error.is_damaged() => {
            tracing::warn!(%error, "the state of the stopped run is damaged");
            ledger.close().await;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Makes the state of a stopped run ready to go on.
async fn prepare(
    session: &Session,
    archive: &Archive,
    run: &Run,
    ledger: &Ledger,
    handed_on: Option<&Ledger>,
) -> Result<(), Error> {
    ledger.check().await?;
    if let Some(journal) = handed_on {
        // Before anything is looked for on the disk: what is delivered may be gone from there.
        hand_off(run, Arc::new(Spool::new(0, 0)))
            .settle(journal, ledger, &*session.monitor)
            .await?;
    }
    let patience = SignedDuration::try_from(session.loaded.job.relist_after).unwrap_or(SignedDuration::MAX);
    let oldest = session
        .host
        .clock
        .now()
        .checked_sub(patience)
        .unwrap_or(Timestamp::MIN);
    ledger.resume(oldest).await?;
    load_basis(session, archive, ledger, handed_on).await?;
    settle_doubts(run, ledger).await?;
    sweep(run, ledger).await
}

/// How bytes of a run are let go of.
pub(super) fn hand_off(run: &Run, spool: Arc<Spool>) -> HandOff {
    let run = run.clone();
    let id = run.id().as_str().to_owned();
    let remove = move |stored_at: &str| {
        let refused = |error: archive::Error| io::Error::other(error.to_string());
        let (_, local) = LocalPath::from_stored_at(stored_at).map_err(refused)?;
        run.evict(&local).map_err(refused)
    };
    HandOff::new(&id, remove, spool)
}

/// Looks at the files that the disk had perhaps not got when the run was stopped: the end of a process takes none of them,
/// the loss of power may. Those that are not whole are fetched again.
async fn settle_doubts(run: &Run, ledger: &Ledger) -> Result<(), Error> {
    let batch = ledger.seal().await?;
    let mut after = 0;
    loop {
        let doubtful = ledger.doubtful(after, FILES_PER_LOOK).await?;
        let Some(last) = doubtful.last() else {
            break;
        };
        after = last.no;
        let looking = run.clone();
        let lost = blocking(move || -> Result<Vec<i64>, archive::Error> {
            let mut lost = Vec::new();
            for file in doubtful {
                let stored = Stored {
                    stored_at: file.stored_at,
                    sha256: file.sha256,
                    size: file.size.unwrap_or_default(),
                };
                if !looking.holds(&stored, file.is_reused)? {
                    lost.push(file.no);
                }
            }
            Ok(lost)
        })
        .await?;
        ledger.reopen(lost).await?;
    }
    let syncing = run.clone();
    blocking(move || syncing.sync()).await?;
    ledger.synced(batch).await?;
    Ok(())
}

/// A file that the ledger accounts for.
struct Owned {
    /// The hash of its place.
    place: u64,
    /// Its number in the ledger.
    no: i64,
    /// Whether it was found there.
    is_seen: bool,
}

/// Brings files and ledger together: removes files that were put in place right before a stop and that the ledger does
/// not know of, and lets those be fetched again that it knows of and that are gone.
async fn sweep(run: &Run, ledger: &Ledger) -> Result<(), Error> {
    let (sender, receiver) = sync_channel(WAITING_ROWS);
    let run = run.clone();
    let sweeping = blocking(move || {
        // Hashes take an eighth of the room; a file that is kept by mistake is seen by `verify`.
        let mut owned: Vec<Owned> = receiver.iter().collect();
        owned.sort_unstable_by_key(|owned| owned.place);
        let removed = run.sweep(|place| {
            let place = short_hash(place);
            let first = owned.partition_point(|owned| owned.place < place);
            let owners = owned.iter_mut().skip(first);
            let owners = owners.take_while(|owned| owned.place == place);
            owners.map(|owned| owned.is_seen = true).count() > 0
        })?;
        let gone = owned.into_iter().filter(|owned| !owned.is_seen);
        let gone: Vec<i64> = gone.map(|owned| owned.no).collect();
        Ok::<_, archive::Error>((removed, gone))
    });
    let listing = ledger.stored_places(move |no, place| {
        let _ = sender.send(Owned {
            place: short_hash(place),
            no,
            is_seen: false,
        });
    });
    let (swept, listed) = tokio::join!(sweeping, listing);
    listed?;
    let (removed, gone) = swept?;
    if removed > 0 {
        tracing::info!(
            removed,
            "files of the stopped run that it did not account for are removed"
        );
    }
    if !gone.is_empty() {
        let files = gone.len();
        tracing::warn!(files, "files of the stopped run are gone; they are fetched again");
        ledger.reopen(gone).await?;
    }
    Ok(())
}

fn short_hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Whether jobs of that kind fetch files, and so may do with what is there already.
fn fetches(kind: &JobKind) -> bool {
    matches!(kind, JobKind::Backup | JobKind::Migrate(_))
}

/// The fingerprint's text is long; its stable digest is enough to see a change.
pub(super) fn digest(text: &str) -> String {
    format!("{:016x}", archive::fold(text))
}

/// What a person should know of snapshots that serve for nothing any more.
async fn damaged_snapshots(archive: &Archive) -> Result<Vec<String>, Error> {
    let archive = archive.clone();
    let survey = blocking(move || archive.survey()).await?;
    let unread = survey
        .damaged
        .iter()
        .map(|damaged| format!("the snapshot {} is damaged: {}", damaged.id, damaged.error));
    let endless = survey
        .snapshots
        .iter()
        .filter(|snapshot| snapshot.tail.is_none())
        .map(|snapshot| format!("the snapshot {} is damaged: it has no TAIL.json", snapshot.id));
    Ok(unread.chain(endless).collect())
}

async fn head(session: &Session, archive: &Archive, fingerprint: String) -> Result<Head, Error> {
    let archive = archive.clone();
    let (previous, basis) = blocking(move || -> Result<_, archive::Error> {
        let snapshots = archive.snapshots()?;
        let previous = snapshots.last().and_then(Snapshot::as_previous);
        let basis = archive.newest_complete(Head::holds_bytes)?;
        Ok((previous, basis.map(|snapshot| snapshot.id.to_string())))
    })
    .await?;
    let job = &session.loaded.job;
    Ok(Head {
        kind: job.kind.word().to_owned(),
        job: session.loaded.name.clone(),
        fingerprint,
        drives: job.drives.iter().map(Scope::to_string).collect(),
        tool: format!("drivejob {}", env!("CARGO_PKG_VERSION")),
        started: session.host.clock.now(),
        previous,
        basis: basis.filter(|_| fetches(&job.kind)),
        ..Head::default()
    })
}

/// Takes in the newest complete backup, and after it the partial ones that came later, whose bytes count once they are
/// proven.
///
/// What a migration has delivered counts last: nothing of it is needed again.
async fn load_basis(
    session: &Session,
    archive: &Archive,
    ledger: &Ledger,
    handed_on: Option<&Ledger>,
) -> Result<(), Error> {
    if !fetches(&session.loaded.job.kind) {
        return Ok(());
    }
    let mut snapshots = {
        let archive = archive.clone();
        blocking(move || archive.snapshots()).await?
    };
    snapshots.retain(|snapshot| snapshot.head.holds_bytes() && snapshot.tail.is_some());
    let newest_complete = snapshots.iter().rposition(Snapshot::is_complete);
    let wanted = snapshots.split_off(newest_complete.unwrap_or(0));
    let (sender, receiver) = sync_channel(WAITING_ROWS);
    let monitor = Arc::clone(&session.monitor);
    let reading = async {
        let sender = blocking(move || {
            for snapshot in wanted {
                if let Err(error) = read_basis(&snapshot, &sender) {
                    let message = format!("it cannot serve as a basis: {error}");
                    monitor.problem(snapshot.id.as_str(), &message);
                }
            }
            sender
        })
        .await;
        match handed_on {
            Some(journal) => {
                let delivered =
                    journal.delivered(move |drive, id, earlier| sender.send((drive, id, earlier)).is_ok());
                delivered.await
            }
            None => Ok(()),
        }
    };
    let (loaded, read) = tokio::join!(ledger.load_basis(receiver), reading);
    let files = loaded?;
    read?;
    if files > 0 {
        tracing::info!(files, "files of earlier snapshots are known");
    }
    Ok(())
}

/// Sends on what a snapshot holds. A manifest that is not what its tail says proves nothing: its files are fetched again.
fn read_basis(
    snapshot: &Snapshot,
    sender: &SyncSender<(String, String, Earlier)>,
) -> Result<(), archive::Error> {
    snapshot.verify_manifest_hash()?;
    let proven = snapshot.is_complete();
    let mut manifest = snapshot.manifest()?;
    let mut row = Brief::default();
    while let Some(read) = manifest.next_brief(&mut row) {
        let is_held = matches!(row.outcome, Outcome::Stored | Outcome::Reused);
        let Some(size) = row
            .size
            .filter(|_| read.is_ok() && is_held && row.kind == Kind::File)
        else {
            continue;
        };
        if row.sha256.is_empty() || row.stored_at.is_empty() {
            continue;
        }
        let earlier = Earlier {
            size,
            modified: row.modified,
            sha256: row.sha256.clone(),
            stored_at: row.stored_at.clone(),
            proven,
        };
        let (drive, id) = (row.drive.clone(), row.id.clone());
        if sender.send((drive, id, earlier)).is_err() {
            // The ledger failed and says so itself.
            break;
        }
    }
    Ok(())
}
