//! What a restore would do, told without doing it.

use std::sync::Arc;

use super::options::upload_options;
use super::prepare::{chosen, open, prepare, selection};
use crate::blocking::blocking;
use crate::estimate::{Delivery, Side};
use crate::job::{self, Face, RestoreOptions, To};
use crate::ledger::Ledger;
use crate::restore::{Place, Stage};
use crate::runner::plan::rate;
use crate::runner::plan_delivery::{PlannedDelivery, arriving, describe, rehearse};
use crate::runner::{Error, Session, connect, target};

/// Says what a restore would do. The archive is only read, and of the target what is there is listed.
///
/// # Errors
/// As [`crate::runner::run`].
pub(in crate::runner) async fn plan(
    session: &Session,
    options: &RestoreOptions,
) -> Result<PlannedDelivery, Error> {
    let archive = open(session).await?;
    let snapshot = chosen(session, options, &archive).await?;
    let ledger = blocking(Ledger::temporary).await?;
    let prepared = prepare(session, options, &archive, snapshot, ledger.clone(), true).await?;
    let selection = selection(session, &prepared.snapshot, &prepared.target)?;
    let place = match &options.delivery.to {
        To::Local(folder) => Some(job::resolve_path(&session.loaded.base, folder)),
        _ => None,
    };
    let is_new = place.as_ref().is_some_and(|path| !path.is_dir());
    let stage = Arc::new(Stage::new(Arc::clone(&prepared.target.drive), is_new));
    let times_kept = prepared.target.times_kept;
    let upload = upload_options(
        session,
        &options.delivery,
        times_kept,
        prepared.snapshot.id.as_str(),
    );
    let made = rehearse(session, &stage, &ledger, upload, &selection).await?;
    let target = match &place {
        Some(_) => None,
        None => {
            let file = target::tenant(session)?;
            let config = connect::config(file, &session.loaded.job.limits, &session.host).await?;
            Some(Side {
                load: arriving(&session.tally, &stage, file.tenant.dialect() == Face::Classic),
                rate: rate(config.rate),
            })
        }
    };
    let into = match (&place, &selection.to) {
        (Some(path), _) => format!("the folder {} of this machine", path.display()),
        (None, Place::Folder(name)) => format!("the folder '{name}'"),
        (None, Place::Original) => "the places where things were".to_owned(),
    };
    let partial = if prepared.snapshot.is_complete() {
        ""
    } else {
        ", which is partial"
    };
    let delivery = Delivery {
        from: format!("snapshot {}{partial}", prepared.snapshot.id),
        into,
        target,
        warnings: prepared.warnings,
        ..describe(session, &made)
    };
    Ok(PlannedDelivery { delivery, ledger })
}
