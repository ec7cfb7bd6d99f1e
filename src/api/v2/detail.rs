//! What an audit asks of an entry beyond its listing.

use serde_json::Value;

use super::{Op, Tenant, name, subject};
use crate::api::http::{Answer, Work};
use crate::drive::{Detail, Error, ErrorKind, Result};
use crate::entry::Entry;
use crate::id::Family;

impl Tenant {
    /// Details of an entry, as the service's own objects. None is an answer too.
    pub(super) async fn details(&self, entry: &Entry, detail: Detail) -> Result<Vec<Value>> {
        let spot = self.spot(&entry.drive).await?;
        let family = spot.place.family;
        let root = entry.id.is_root();
        let op = match detail {
            Detail::Permissions => Op::Permissions,
            Detail::Link => Op::Link,
            Detail::Share => Op::Share,
            Detail::Revisions => Op::Revisions,
            Detail::Trash => Op::Trash,
        };
        let operation = name(family, op);
        // The families' operations differ (API 2.0 docs, endpoint catalogue, rows 16, 20, 24, 25, 27 and 29).
        let offered = match detail {
            Detail::Permissions => match family {
                Family::SharedDrive => true,
                Family::GroupFolder => !root,
                _ => false,
            },
            Detail::Link => !root,
            Detail::Share => family == Family::MyDrive && !root && entry.is_folder(),
            Detail::Revisions => !root && !entry.is_folder(),
            Detail::Trash => root && family != Family::SharedFolder,
        };
        if !offered {
            return Err(Error::new(
                ErrorKind::Unsupported,
                operation,
                subject(entry),
                "the service offers no such detail here",
            ));
        }
        match detail {
            Detail::Link => self.single(entry, op, "/link").await,
            Detail::Share => self.single(entry, op, "/share").await,
            Detail::Revisions => self.all(entry, op, "/revisions", Some("200"), "revisions").await,
            Detail::Trash => {
                let path = format!("{}/trash-files", spot.place.path);
                let names = ["trashFiles"];
                let subject = subject(entry);
                self.list(operation, &subject, &path, spot.bearer, Some("200"), &names)
                    .await
            }
            Detail::Permissions if root => {
                let path = format!("{}/permissions", spot.place.path);
                let names = ["permissions"];
                self.list(operation, &subject(entry), &path, spot.bearer, None, &names)
                    .await
            }
            Detail::Permissions => self.all(entry, op, "/permissions", None, "permissions").await,
        }
    }

    /// One object, or none where the service knows of none.
    async fn single(&self, entry: &Entry, op: Op, tail: &str) -> Result<Vec<Value>> {
        let spot = self.spot(&entry.drive).await?;
        let call = self.call(&spot, op, entry, tail, &[])?;
        let read = |answer: &Answer| match answer.body.is_empty() {
            true => Ok(Value::Null),
            false => answer.json(),
        };
        match self.client.call(&call, read).await {
            Ok(Value::Null) => Ok(Vec::new()),
            Ok(value) => Ok(vec![value]),
            Err(failed) if failed.error.kind == ErrorKind::NotFound => Ok(Vec::new()),
            Err(failed) => Err(failed.error),
        }
    }

    async fn all(
        &self,
        entry: &Entry,
        op: Op,
        tail: &str,
        count: Option<&str>,
        list: &str,
    ) -> Result<Vec<Value>> {
        let spot = self.spot(&entry.drive).await?;
        let work = Work {
            operation: name(spot.place.family, op),
            subject: subject(entry),
        };
        let id = super::segment(entry.id.as_str())
            .ok_or_else(|| work.error(ErrorKind::Protocol, "an id that fits no address"))?;
        let path = format!("{}/files/{id}{tail}", spot.place.path);
        let names = [list];
        self.list(work.operation, &work.subject, &path, spot.bearer, count, &names)
            .await
    }
}
