//! Who may do what in a shared drive: read, and changed one call at a time.
//!
//! The bulk `DELETE …/permissions` is never called: its meaning was turned round between versions of the service.

use serde_json::{Value, json};

use super::wire::sharing as wire;
use super::{Op, Spot, Tenant, name, subject, text};
use crate::api::http::address::segment;
use crate::api::http::{Call, Failed, Method, Work};
use crate::drive::{Drive, Error, ErrorKind, Grant, Party, PartyKind, Result, Right, Sharing, SharingChange};
use crate::entry::Entry;
use crate::id::Family;

impl Tenant {
    /// Who may do what on a drive's root or a folder in it.
    pub(super) async fn read_sharing(&self, entry: &Entry) -> Result<Sharing> {
        let spot = self.shared_spot(entry, Op::Permissions).await?;
        let rules = if entry.id.is_root() {
            let raw = self.properties(&entry.drive, &spot).await?;
            let rules = wire::rules(&raw).map_err(|why| malformed(&spot, Op::Get, entry, &why))?;
            Some(rules)
        } else {
            None
        };
        let grants = self.grants(&spot, entry).await?;
        Ok(Sharing { rules, grants })
    }

    async fn grants(&self, spot: &Spot, entry: &Entry) -> Result<Vec<Grant>> {
        let path = permissions(spot, entry)?;
        let operation = name(spot.place.family, Op::Permissions);
        let bearer = spot.bearer.clone();
        let raw = self
            .list(operation, &subject(entry), &path, bearer, None, &["permissions"])
            .await?;
        raw.iter()
            .map(|raw| wire::grant(raw).map_err(|why| malformed(spot, Op::Permissions, entry, &why)))
            .collect()
    }

    /// Makes one change.
    pub(super) async fn make_change(&self, entry: &Entry, change: &SharingChange) -> Result<()> {
        let root = entry.id.is_root();
        match change {
            SharingChange::Rules { .. } if root => {
                let spot = self.shared_spot(entry, Op::Get).await?;
                let body = wire::change(change);
                self.write_once(&spot, "sharedrives.update", entry, "", Method::PATCH, body)
                    .await
            }
            SharingChange::Restrict if !root => self.restrict(entry).await,
            SharingChange::Grant(party, right) if root || party.kind == PartyKind::User => {
                self.grant(entry, party, *right, change).await
            }
            SharingChange::Regrant(grant, right) => {
                let op = if root {
                    Op::DrivePermissionModify
                } else {
                    Op::PermissionModify
                };
                let spot = self.shared_spot(entry, op).await?;
                let tail = format!("/permissions/{}", part(&spot, op, entry, &grant.id)?);
                let body = json!({ "type": right.as_str() });
                let operation = name(spot.place.family, op);
                self.write_once(&spot, operation, entry, &tail, Method::PATCH, body)
                    .await
            }
            SharingChange::Rules { .. } | SharingChange::Restrict | SharingChange::Grant(..) => {
                Err(Error::new(
                    ErrorKind::Unsupported,
                    name(entry.drive.family(), Op::Permissions),
                    subject(entry),
                    "rules belong to a drive, and permissions of a folder's own to members only",
                ))
            }
        }
    }

    /// A call that may be made twice without harm: it says what is to be, not what is to be added.
    async fn write_once(
        &self,
        spot: &Spot,
        operation: &'static str,
        entry: &Entry,
        tail: &str,
        method: Method,
        body: Value,
    ) -> Result<()> {
        let mut call = self.sharing_call(spot, operation, entry, tail)?;
        call.method = method;
        call.json = Some(body);
        Ok(self.client.call(&call, |_| Ok(())).await?)
    }

    /// Breaks the inheritance of a folder. A second call might drop what was granted since, so that it is never repeated
    /// unseen.
    async fn restrict(&self, folder: &Entry) -> Result<()> {
        let spot = self.shared_spot(folder, Op::PermissionsEnable).await?;
        let operation = name(spot.place.family, Op::PermissionsEnable);
        let mut call = self.sharing_call(&spot, operation, folder, "/permissions/enable")?;
        call.method = Method::POST;
        self.settled(call, folder, &SharingChange::Restrict).await
    }

    async fn grant(&self, entry: &Entry, party: &Party, right: Right, change: &SharingChange) -> Result<()> {
        let (op, body) = if entry.id.is_root() {
            let kind = wire::user_type(party.kind);
            let body = json!({ "userId": party.id, "userType": kind, "type": right.as_str() });
            (Op::DrivePermissionCreate, body)
        } else {
            let body = json!({ "userId": party.id, "type": right.as_str() });
            (Op::PermissionCreate, body)
        };
        let spot = self.shared_spot(entry, op).await?;
        let operation = name(spot.place.family, op);
        let mut call = self.sharing_call(&spot, operation, entry, "/permissions")?;
        call.subject = format!("{} on {}", party.name, call.subject);
        call.method = Method::POST;
        call.json = Some(body);
        self.settled(call, entry, change).await
    }

    /// Whether what a change asks for is so by now.
    async fn is_so(&self, entry: &Entry, change: &SharingChange) -> Result<bool> {
        match change {
            SharingChange::Restrict => {
                let now = Drive::stat(self, entry).await?;
                Ok(now.properties.permission_root.as_deref() == Some(entry.id.as_str()))
            }
            SharingChange::Grant(party, right) => {
                let spot = self.shared_spot(entry, Op::Permissions).await?;
                let grants = self.grants(&spot, entry).await?;
                let is_it = |grant: &Grant| grant.party.is(party) && grant.right == *right;
                Ok(grants.iter().any(is_it))
            }
            SharingChange::Rules { .. } | SharingChange::Regrant(..) => Ok(false),
        }
    }

    /// Makes a call that must not be made twice: after a lost answer, and after a conflict, what is there is looked at.
    async fn settled(&self, mut call: Call, entry: &Entry, change: &SharingChange) -> Result<()> {
        call.repeatable = false;
        let work = Work {
            operation: call.operation,
            subject: call.subject.clone(),
        };
        let mut budget = self.client.budget();
        loop {
            let failed: Failed = match self.client.call_within(&mut budget, &call, |_| Ok(())).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            if !failed.lost && failed.error.kind != ErrorKind::Conflict {
                return Err(failed.error);
            }
            if self.is_so(entry, change).await? {
                return Ok(());
            }
            if !failed.lost {
                return Err(failed.error);
            }
            let Error { kind, message, .. } = failed.error;
            self.client.pause(&work, &mut budget, kind, message, None).await?;
        }
    }

    /// Everybody of a kind whom the directory lists.
    pub(super) async fn everybody(&self, kind: PartyKind) -> Result<Vec<Party>> {
        let (operation, path, list, id, names): (_, _, &[&str], _, &[&str]) = match kind {
            PartyKind::User => ("users.list", "/users", &["users"], "userId", &["email"]),
            PartyKind::Group => ("groups.list", "/groups", &["groups"], "groupId", &["groupName"]),
            PartyKind::OrgUnit => (
                "orgunits.list",
                "/orgunits",
                &["orgUnits", "orgunits"],
                "orgUnitId",
                &["orgUnitName"],
            ),
        };
        let listed = self.directory(operation, path, list).await?;
        Ok(listed
            .iter()
            .filter(|raw| raw.get("isDeleted").and_then(Value::as_bool) != Some(true))
            .filter_map(|raw| {
                let id = text(raw, id)?;
                let name = super::named(raw, names).unwrap_or_else(|| id.clone());
                Some(Party { kind, id, name })
            })
            .collect())
    }

    /// The place of an entry in a shared drive: elsewhere these calls do not exist (endpoint catalogue, rows 27 to 30).
    async fn shared_spot(&self, entry: &Entry, op: Op) -> Result<Spot> {
        if entry.drive.family() != Family::SharedDrive {
            return Err(Error::new(
                ErrorKind::Unsupported,
                name(entry.drive.family(), op),
                subject(entry),
                "only shared drives have permissions that can be read and set",
            ));
        }
        self.spot(&entry.drive).await
    }

    fn sharing_call(&self, spot: &Spot, operation: &'static str, entry: &Entry, tail: &str) -> Result<Call> {
        let work = Work {
            operation,
            subject: subject(entry),
        };
        let path = format!("{}{tail}", place(spot, entry)?);
        let url = self.url(&path, &[], &work)?;
        Ok(Call::get(operation, work.subject, url, spot.bearer.clone()))
    }
}

/// The address of the drive or folder.
fn place(spot: &Spot, entry: &Entry) -> Result<String> {
    if entry.id.is_root() {
        return Ok(spot.place.path.clone());
    }
    let id = part(spot, Op::Permissions, entry, entry.id.as_str())?;
    Ok(format!("{}/files/{id}", spot.place.path))
}

fn permissions(spot: &Spot, entry: &Entry) -> Result<String> {
    Ok(format!("{}/permissions", place(spot, entry)?))
}

fn part(spot: &Spot, op: Op, entry: &Entry, id: &str) -> Result<String> {
    segment(id).ok_or_else(|| malformed(spot, op, entry, "an id that fits no address"))
}

fn malformed(spot: &Spot, op: Op, entry: &Entry, why: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        name(spot.place.family, op),
        subject(entry),
        why,
    )
}
