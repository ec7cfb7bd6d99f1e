//! Who of the source is who in the target.

use std::collections::HashMap;

use super::super::{Error, Map};
use crate::drive::{Drive, ErrorKind, Party, PartyKind};

/// The directories of both sides, read when somebody of their kind is met first.
#[derive(Debug)]
pub struct People<'a> {
    source: &'a dyn Drive,
    target: &'a dyn Drive,
    map: &'a Map,
    known: HashMap<PartyKind, Directory>,
}

/// One kind in both directories; or why one of them cannot be read.
type Directory = Result<Known, &'static str>;

#[derive(Debug, Default)]
struct Known {
    /// Names at the source by id.
    names: HashMap<String, String>,
    /// Who is meant by a word in the target; `None` when several are.
    words: HashMap<String, Option<Party>>,
}

impl<'a> People<'a> {
    /// People are placed by the same map as their drives.
    pub fn new(source: &'a dyn Drive, target: &'a dyn Drive, map: &'a Map) -> People<'a> {
        People {
            source,
            target,
            map,
            known: HashMap::new(),
        }
    }

    /// Who somebody of the source is in the target; else a short code that says why nobody is.
    pub(super) async fn place(&mut self, party: &Party) -> Result<Result<Party, &'static str>, Error> {
        if !self.known.contains_key(&party.kind) {
            let directory = self.read(party.kind).await?;
            self.known.insert(party.kind, directory);
        }
        let known = match self.known.get(&party.kind) {
            Some(Ok(known)) => known,
            Some(Err(reason)) => return Ok(Err(*reason)),
            None => return Ok(Err("no-directory")),
        };
        let name = known.names.get(&party.id).unwrap_or(&party.name);
        let Some(word) = self.map.party_target(family(party.kind), &party.id, name) else {
            return Ok(Err("no-rule"));
        };
        let found = known.words.get(&word.to_lowercase());
        Ok(match found {
            None => Err("no-target"),
            Some(None) => Err("ambiguous"),
            Some(Some(party)) => Ok(party.clone()),
        })
    }

    async fn read(&self, kind: PartyKind) -> Result<Directory, Error> {
        let mut known = Known::default();
        match self.source.parties(kind).await {
            Ok(parties) => known
                .names
                .extend(parties.into_iter().map(|party| (party.id, party.name))),
            Err(error) if error.kind == ErrorKind::Unauthenticated => return Err(error.into()),
            Err(error) => {
                tracing::debug!(%error, "the source's directory cannot be read");
                return Ok(Err("no-source-directory"));
            }
        }
        match self.target.parties(kind).await {
            Ok(parties) => {
                for party in parties {
                    let id = format!("{}/{}", family(kind), party.id).to_lowercase();
                    let name = format!("{}/{}", family(kind), party.name).to_lowercase();
                    if name != id {
                        known
                            .words
                            .entry(name)
                            .and_modify(|known| *known = None)
                            .or_insert_with(|| Some(party.clone()));
                    }
                    known.words.insert(id, Some(party));
                }
            }
            Err(error) if error.kind == ErrorKind::Unauthenticated => return Err(error.into()),
            Err(error) => {
                tracing::debug!(%error, "the target's directory cannot be read");
                return Ok(Err("no-target-directory"));
            }
        }
        Ok(Ok(known))
    }
}

/// The first part of the words by which a map names somebody. Units are named as groups are: their folders stand there.
fn family(kind: PartyKind) -> &'static str {
    match kind {
        PartyKind::User => "users",
        PartyKind::OrgUnit | PartyKind::Group => "groups",
    }
}
