//! The state of a restore on disk: what it was begun with, and its ledger.

use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::prepare::{chosen, named};
use super::results::{results_folder, write_whole};
use crate::archive::Archive;
use crate::blocking::blocking;
use crate::job::RestoreOptions;
use crate::ledger::Ledger;
use crate::runner::begin::digest;
use crate::runner::{Error, Session};

/// What a restore was begun with, so that it goes on with the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) snapshot: String,
    pub(super) started: Timestamp,
}

/// A job that restores something else, or to somewhere else, has a state of its own.
pub(super) fn state_name(session: &Session) -> String {
    let loaded = &session.loaded;
    let target = loaded.target.as_ref().map(|file| &file.tenant);
    let text = format!("{}\n{}", loaded.fingerprint, loaded.job.fingerprint(target));
    format!("restore-{}", digest(&text))
}

/// What the unfinished restore of this job was begun with; else it is begun now.
pub(super) async fn begin(
    session: &Session,
    options: &RestoreOptions,
    archive: &Archive,
    folder: &Path,
    now: Timestamp,
) -> Result<(Begun, bool), Error> {
    let path = folder.join("RUN.json");
    let read = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Begun>(&bytes).ok());
    if let Some(begun) = read
        && named(archive, &begun.snapshot).await.is_ok()
    {
        return Ok((begun, true));
    }
    remove_ledger(folder)?;
    let snapshot = chosen(session, options, archive).await?;
    let mut started = now;
    while let Ok(next) = started.checked_add(SignedDuration::from_secs(1))
        && results_folder(session, &options.delivery, archive, started).exists()
    {
        started = next;
    }
    let begun = Begun {
        snapshot: snapshot.id.as_str().to_owned(),
        started,
    };
    let text = serde_json::to_vec_pretty(&begun).unwrap_or_default();
    write_whole(&path, &text)?;
    Ok((begun, false))
}

/// Opens the state. One that cannot be read is begun anew: the target itself tells what is there.
pub(super) async fn open_ledger(folder: &Path, warnings: &mut Vec<String>) -> Result<Ledger, Error> {
    let path = folder.join("ledger.sqlite");
    let first = path.clone();
    match blocking(move || Ledger::open(&first)).await {
        Ok(ledger) => Ok(ledger),
        Err(error) => {
            warnings.push(format!(
                "the state of the unfinished restore was dropped: {error}"
            ));
            remove_ledger(folder)?;
            Ok(blocking(move || Ledger::open(&path)).await?)
        }
    }
}

fn remove_ledger(folder: &Path) -> Result<(), Error> {
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Results { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}
