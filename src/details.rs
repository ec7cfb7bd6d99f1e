//! Asks for what listings do not tell: permissions, links, shares, earlier contents, trash.
//!
//! A detail is asked for only where the listing says that there is such a thing, one call for each. What decides:
//!
//! | detail | asked of |
//! |---|---|
//! | permissions | a folder of a shared drive or group folder with permissions of its own (`hasPermission`); each shared drive, once |
//! | link | what is shared itself, or whose listing speaks of a link; API 2.0 has no word for a link of a file that is not shared |
//! | share | a folder of My Drive that is shared itself, not through a folder above it (`shared` and `shareRootFileId`) |
//! | revisions | a file that was modified after it was created: others have one content only, as far as a listing can tell |
//! | trash | each drive, once |
//!
//! (Fields: API 2.0 docs, EN/group-folder-file-root-list.) The frontier is a table of the ledger, so that a run that was
//! stopped goes on with what is still open. Each family of drives has API operations of its own, and so a lane of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::try_join_all;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::blocking::outcome;
use crate::drive::{Detail, Drive, ErrorKind};
use crate::entry::Entry;
use crate::id::{DriveId, Family};
use crate::ledger::{DetailEnd, DetailWork, Ledger};
use crate::manifest::is_nothing;
use crate::monitor::{Counter, Monitor};
use crate::stop::Stop;
use crate::walk::Error;

/// Items that are looked through in one go.
const ITEMS_PER_LOOK: u32 = 4096;

/// Details taken from the ledger in one go.
const DETAILS_PER_CLAIM: u32 = 64;

/// Properties by which a listing may speak of a link. The classic API tells the link itself and needs no further call.
const LINK_HINTS: [&str; 4] = ["hasLink", "linkShared", "link", "links"];

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
        let look = ledger.find_details(after, ITEMS_PER_LOOK, move |entry| of_item(entry, &asked));
        match look.await? {
            Some(last) => after = last,
            None => break,
        }
    }
    let asked = options.details;
    ledger.details_found(move |drive| of_drive(drive, &asked)).await?;
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

/// What is worth asking of an item.
fn of_item(entry: &Entry, asked: &[Detail]) -> Vec<Detail> {
    let family = entry.drive.family();
    let other = &entry.properties.other;
    let told = |key: &str| other.get(key).is_some_and(|value| !is_nothing(value));
    let is_wanted = |detail: &Detail| match detail {
        Detail::Permissions => {
            let has_own = other.get("hasPermission") == Some(&Value::Bool(true));
            entry.is_folder() && has_own && matches!(family, Family::SharedDrive | Family::GroupFolder)
        }
        Detail::Link => {
            entry.properties.link_share.is_none()
                && (is_share_root(entry) || LINK_HINTS.iter().any(|hint| told(hint)))
        }
        Detail::Share => family == Family::MyDrive && entry.is_folder() && is_share_root(entry),
        Detail::Revisions => {
            let dates = entry.created.zip(entry.modified);
            !entry.is_folder() && dates.is_some_and(|(created, modified)| modified > created)
        }
        Detail::Trash => false,
    };
    asked.iter().copied().filter(is_wanted).collect()
}

/// What is worth asking of a drive itself.
fn of_drive(drive: &DriveId, asked: &[Detail]) -> Vec<Detail> {
    let family = drive.family();
    let is_wanted = |detail: &Detail| match detail {
        Detail::Permissions => family == Family::SharedDrive,
        Detail::Trash => !matches!(family, Family::SharedFolder | Family::Key),
        Detail::Link | Detail::Share | Detail::Revisions => false,
    };
    asked.iter().copied().filter(is_wanted).collect()
}

/// Whether the entry is shared itself. `shared` is also true below a shared folder, which `shareRootFileId` then names;
/// the classic API tells `memberShare` and has no such id.
fn is_share_root(entry: &Entry) -> bool {
    let root = entry.properties.other.get("shareRootFileId");
    let is_own = root.is_some_and(|root| root.as_str() == Some(entry.id.as_str()));
    entry.properties.shared == Some(true) && is_own
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::entry::Kind;
    use crate::id::FileId;

    const ALL: [Detail; 5] = [
        Detail::Permissions,
        Detail::Link,
        Detail::Share,
        Detail::Revisions,
        Detail::Trash,
    ];

    fn entry(drive: &str, kind: Kind, fields: Value) -> Entry {
        let mut entry = Entry::root(DriveId::new(drive), FileId::new("x"));
        entry.kind = kind;
        if let Value::Object(fields) = fields {
            entry.properties.shared = fields.get("shared").and_then(Value::as_bool);
            entry.properties.other = fields;
        }
        entry
    }

    #[test]
    fn only_what_the_listing_points_at_is_asked_for() {
        use Detail::{Link, Permissions, Revisions, Share};
        use Kind::{File, Folder};
        let own = json!({ "shared": true, "shareRootFileId": "x" });
        let below = json!({ "shared": true, "shareRootFileId": "above" });
        let permission = json!({ "hasPermission": true });
        let linked = json!({ "hasLink": true });
        for (drive, kind, fields, expected) in [
            ("me", Folder, json!({}), vec![]),
            ("me", Folder, own.clone(), vec![Link, Share]),
            ("me", File, own.clone(), vec![Link]),
            ("groups/1", Folder, own, vec![Link]),
            ("me", Folder, below, vec![]),
            ("me", Folder, permission.clone(), vec![]),
            ("sharedrives/@1", Folder, permission.clone(), vec![Permissions]),
            ("sharedrives/@1", File, permission, vec![]),
            ("me", File, linked, vec![Link]),
            ("me", File, json!({ "hasLink": false, "links": [] }), vec![]),
        ] {
            assert_eq!(
                of_item(&entry(drive, kind, fields.clone()), &ALL),
                expected,
                "{drive} {fields}"
            );
        }
        let mut file = entry("me", File, json!({}));
        for (created, modified, expected) in [(5, 5, vec![]), (5, 4, vec![]), (5, 6, vec![Revisions])] {
            file.created = jiff::Timestamp::from_second(created).ok();
            file.modified = jiff::Timestamp::from_second(modified).ok();
            assert_eq!(of_item(&file, &ALL), expected);
            assert_eq!(of_item(&file, &[Link]), vec![]);
        }
        for (drive, expected) in [
            ("me", vec![Detail::Trash]),
            ("sharedrives/@1", vec![Permissions, Detail::Trash]),
            ("me/sharedfolders/1", vec![]),
        ] {
            assert_eq!(of_drive(&DriveId::new(drive), &ALL), expected);
        }
    }
}
