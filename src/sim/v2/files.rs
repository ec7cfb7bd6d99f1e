//! Getting, making, uploading and downloading files and folders of API 2.0.

use serde_json::{Value, json};

use super::lists::revision_number;
use super::{Call, Refusal, view};
use crate::sim::answer::Answer;
use crate::sim::operation::Verb;
use crate::sim::stamp;
use crate::sim::storage::{DownloadTicket, open, upload_url as url};
use crate::sim::upload::{self, Plan};

/// The properties of a file or folder.
pub(super) fn get(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.world.read(|world| {
        let node = call.item(world)?;
        Ok(call.file(200, world, node))
    })
}

/// Makes a folder.
pub(super) fn create_folder(call: &Call<'_>) -> Result<Answer, Refusal> {
    let name = call.text("fileName").unwrap_or_default();
    upload::check_name(name)?;
    let now = call.service.clock.now_ms();
    call.service.world.write(|world| {
        let parent = call.folder(world)?;
        world.tree.index_names(parent);
        if world.tree.child_named(parent, name).is_some() {
            return Err(Refusal::new(
                409,
                "ALREADY_EXISTS",
                "A file or folder of this name exists.",
            ));
        }
        let node = world.add_folder(parent, name, now);
        Ok(call.file(201, world, node))
    })
}

/// Takes what a file is to be, and answers where its bytes are to go.
pub(super) fn upload_url(call: &Call<'_>) -> Result<Answer, Refusal> {
    let service = call.service;
    let now = service.clock.now_ms();
    let modified = match call.body.get("modifiedTime") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => {
            Some(stamp::parse(text).ok_or_else(|| Refusal::invalid("modifiedTime is not a date-time"))?)
        }
        Some(_) => return Err(Refusal::invalid("modifiedTime is not a date-time")),
    };
    let mut plan = Plan {
        parent: service.world.read(|world| call.folder(world))?,
        name: call.text("fileName").unwrap_or_default().to_owned(),
        size: call
            .body
            .get("fileSize")
            .and_then(Value::as_u64)
            .ok_or_else(|| Refusal::invalid("fileSize is missing"))?,
        modified,
        overwrite: call.flag("overwrite"),
        suffix: call.flag("suffixOnDuplicate"),
        member: call.place.member,
    };
    let (parent_id, location) = service.world.write(|world| {
        let (name, _) = upload::judge(world, &plan)?;
        plan.name = name;
        let about = (world.id(plan.parent), view::location(world, plan.parent));
        if plan.size == 0 && service.options.empty_files_at_once {
            let empty = crate::sim::content::Content::Held(bytes::Bytes::new());
            upload::place(world, &plan, empty, now)?;
            // What is sent afterwards must find its own file, not a conflict.
            plan.overwrite = true;
        }
        Ok::<_, Refusal>(about)
    })?;
    let expires = now.saturating_add(service.options.url_seconds.saturating_mul(1_000));
    let (number, offset) = service.uploads().open(plan.clone(), call.flag("resume"), expires);
    let url = url(service, number, &plan, location, &parent_id);
    Ok(Answer::value(200, &json!({ "uploadUrl": url, "offset": offset })))
}

/// Redirects to the bytes of a file or revision.
pub(super) fn download(call: &Call<'_>) -> Result<Answer, Refusal> {
    let revision = match call.route.verb {
        Verb::RevisionDownload => Some(revision_number(call)?),
        _ => None,
    };
    call.service.world.read(|world| {
        let node = call.item(world)?;
        if world
            .tree
            .get(node)
            .is_some_and(crate::sim::tree::Entry::is_folder)
        {
            return Err(Refusal::invalid("a folder cannot be downloaded"));
        }
        let body = open(call.service, world, node, revision)?;
        let older = world
            .tree
            .get(node)
            .and_then(|entry| entry.extra.as_ref())
            .map_or(0, |extra| extra.revisions.len());
        if revision.is_some_and(|revision| revision > older) {
            return Err(Refusal::not_found());
        }
        let url = call.service.elsewhere(&body.content).unwrap_or_else(|| {
            let location = view::location(world, node);
            DownloadTicket::url(call.service, &world.id(node), location, revision)
        });
        Ok(Answer::redirect(url))
    })
}
