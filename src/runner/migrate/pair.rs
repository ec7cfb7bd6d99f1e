//! Which drive of the source goes into which drive of the target, asked of both tenants.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::make_folder;
use crate::drive::Drive;
use crate::entry::{Root, Scope};
use crate::job::Delivery;
use crate::ledger::NewRoot;
use crate::manifest::TableWriter;
use crate::migrate::{Map, Pairs};
use crate::runner::{Error, Session, target};

/// The map of a job that names none: everything goes where it has the same name.
const SAME_NAMES: &str =
    "source,target\nme,me\nusers/*,users/*\nsharedrives/*,sharedrives/*\ngroups/*,groups/*\n";

/// The job's map, or where it names none, the one of same names.
pub(super) async fn read_map(session: &Session, delivery: &Delivery) -> Result<Map, Error> {
    match target::map(session, delivery).await? {
        Some(map) => Ok(map),
        None => Map::read(SAME_NAMES.as_bytes()).map_err(|_| Error::Lost("the map of same names")),
    }
}

/// The target drive of each source drive, as the map has it.
pub(super) async fn pair(
    session: &Session,
    delivery: &Delivery,
    target: &Arc<dyn Drive>,
    found: &[NewRoot],
) -> Result<Pairs, Error> {
    let map = read_map(session, delivery).await?;
    let sources: Vec<Root> = found.iter().map(|root| root.root.clone()).collect();
    let mut scopes = BTreeSet::new();
    for word in sources.iter().flat_map(|root| map.targets_of(root)) {
        // A family is listed once, which tells names and mails as well as ids.
        let scope = match word.split_once('/') {
            Some((family @ ("users" | "sharedrives" | "groups"), rest)) if !rest.contains('/') => {
                format!("{family}/*")
            }
            _ => word,
        };
        scopes.insert(scope);
    }
    let mut targets = Vec::new();
    for scope in scopes {
        if let Ok(scope) = scope.parse::<Scope>() {
            targets.extend(target.roots(&scope).await?);
        }
    }
    Ok(map.pair(&sources, &targets))
}

/// Lists every drive without a place to go, for whoever completes the map.
pub(super) async fn write_unmapped(folder: &Path, pairs: &Pairs, bom: bool) -> Result<(), Error> {
    make_folder(folder).await?;
    let path = folder.join("unmapped.csv");
    let file = File::create(&path).map_err(|source| Error::Results { path, source })?;
    let mut table = TableWriter::new(file, &["drive", "name", "reason", "target"], bom)?;
    for one in &pairs.unmapped {
        let target = one.target.as_deref().unwrap_or("");
        table.write(&[one.drive.as_str(), &one.name, one.reason, target])?;
    }
    table.finish()?;
    Ok(())
}
