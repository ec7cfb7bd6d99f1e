//! Uploads: the tickets of API 2.0 with what has come of their bytes, and the making of files from them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use futures::StreamExt as _;

use super::content::{Content, Sink};
use super::service::{RequestCut, Service};
use super::tree::{Node, flag};
use super::world::World;

/// Characters of the longest name (API 2.0 docs, drive-file-root-create: `fileName` 1..200).
pub(super) const LONGEST_NAME: usize = 200;
/// Bytes of the largest file: 10 GiB (API 2.0 docs, drive-file-root-create: `fileSize`).
pub(super) const LARGEST_FILE: u64 = 10_737_418_240;

/// What an upload is to become.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) parent: Node,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) modified: Option<i64>,
    pub(super) overwrite: bool,
    pub(super) suffix: bool,
    pub(super) member: usize,
}

/// A ticket: the plan, when it ends, and the bytes so far.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) plan: Plan,
    pub(super) expires: i64,
    pub(super) bytes: Arc<Mutex<Received>>,
}

/// The bytes of an upload. A newer sender takes over from an older one, whose connection may not yet be known to be dead.
#[derive(Debug, Default)]
pub(super) struct Received {
    sink: Sink,
    sender: u64,
}

/// All tickets in force.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    tickets: HashMap<u64, Ticket>,
    newest: HashMap<(Node, String, u64), u64>,
    made: u64,
}

/// Why an upload made no file: status, code, sentence.
pub(super) type Refusal = (u16, &'static str, String);

fn lock(bytes: &Mutex<Received>) -> MutexGuard<'_, Received> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Uploads {
    /// Makes a ticket; with `resume` the bytes of the last ticket for the same file are taken over. Its number and their count.
    pub(super) fn open(&mut self, plan: Plan, resume: bool, expires: i64) -> (u64, u64) {
        let key = (plan.parent, plan.name.clone(), plan.size);
        self.made += 1;
        let number = self.made;
        let old = self
            .newest
            .insert(key, number)
            .and_then(|old| self.tickets.remove(&old));
        let bytes = old.filter(|_| resume).map(|old| old.bytes).unwrap_or_default();
        let offset = {
            let mut received = lock(&bytes);
            received.sender += 1;
            received.sink.received()
        };
        self.tickets.insert(number, Ticket { plan, expires, bytes });
        (number, offset)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Ticket> {
        self.tickets.get(&number)
    }

    fn close(&mut self, number: u64) {
        if let Some(ticket) = self.tickets.remove(&number) {
            self.newest
                .remove(&(ticket.plan.parent, ticket.plan.name, ticket.plan.size));
        }
    }
}

/// How the receiving of a body ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The body ended.
    Whole,
    /// The client is gone, or the fault script cut it off.
    Broken,
}

/// Bytes as they come in the body of a request.
pub(super) enum Source {
    Raw(Body),
    Parts(axum::extract::Multipart),
}

/// Reads what a refused request still sends. A connection that is closed over unread bytes is reset, and the answer may be
/// lost with it; servers that linger do the same.
pub(super) async fn pass_over(body: Body) {
    let mut bytes = body.into_data_stream();
    while let Some(Ok(_)) = bytes.next().await {}
}

impl Ticket {
    /// Becomes the only sender; `from` must be the number of bytes held, where it is given, and everything starts over where not.
    pub(super) fn start(&self, from: Option<u64>) -> Result<u64, Refusal> {
        let mut received = lock(&self.bytes);
        received.sender += 1;
        match from {
            None => received.sink = Sink::default(),
            Some(from) if from == received.sink.received() => {}
            Some(_) => {
                let text = format!("{} bytes are held", received.sink.received());
                return Err((409, "INVALID_RANGE", text));
            }
        }
        Ok(received.sender)
    }

    pub(super) fn received(&self) -> u64 {
        lock(&self.bytes).sink.received()
    }

    fn push(&self, sender: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let mut received = lock(&self.bytes);
        if received.sender != sender {
            return Err((
                409,
                "UPLOAD_SUPERSEDED",
                "another request sends this file".to_owned(),
            ));
        }
        if received.sink.received() + bytes.len() as u64 > self.plan.size {
            return Err((400, "SIZE_MISMATCH", "more bytes than fileSize".to_owned()));
        }
        received.sink.push(bytes);
        Ok(())
    }

    /// Takes the bytes of one raw body, or of the part `Filedata` of a form.
    pub(super) async fn receive(
        &self,
        sender: u64,
        source: Source,
        cut: Option<RequestCut>,
    ) -> Result<End, Refusal> {
        let mut left = cut.map(|cut| cut.after);
        let mut take = |bytes: &[u8]| -> Result<bool, Refusal> {
            let wanted = left.map_or(bytes.len(), |left| {
                usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())
            });
            self.push(sender, bytes.get(..wanted).unwrap_or_default())?;
            left = left.map(|left| left.saturating_sub(wanted as u64));
            Ok(left == Some(0))
        };
        match source {
            Source::Raw(body) => {
                let mut stream = body.into_data_stream();
                while let Some(bytes) = stream.next().await {
                    let Ok(bytes) = bytes else {
                        return Ok(End::Broken);
                    };
                    if take(&bytes)? {
                        return Ok(End::Broken);
                    }
                }
            }
            Source::Parts(mut parts) => loop {
                match parts.next_field().await {
                    Ok(Some(mut part))
                        if part
                            .name()
                            .is_some_and(|name| name.eq_ignore_ascii_case("filedata")) =>
                    {
                        loop {
                            match part.chunk().await {
                                Ok(Some(bytes)) => {
                                    if take(&bytes)? {
                                        return Ok(End::Broken);
                                    }
                                }
                                Ok(None) => return Ok(End::Whole),
                                Err(_) => return Ok(End::Broken),
                            }
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        return Err((400, "INVALID_PARAMETER", "there is no part Filedata".to_owned()));
                    }
                    Err(_) => return Ok(End::Broken),
                }
            },
        }
        Ok(End::Whole)
    }
}

/// Makes the file of a ticket whose bytes have all come.
pub(super) fn complete(service: &Service, number: u64, ticket: &Ticket) -> Result<Node, Refusal> {
    let content = std::mem::take(&mut lock(&ticket.bytes).sink).finish();
    service.uploads().close(number);
    let now = service.clock.now_ms();
    service
        .world
        .write(|world| place(world, &ticket.plan, content, now))
}

/// Tells whether a file can be made as planned, and under which name or in place of which file.
pub(super) fn judge(world: &mut World, plan: &Plan) -> Result<(String, Option<Node>), Refusal> {
    let parent_is_there = world
        .tree
        .get(plan.parent)
        .is_some_and(|entry| entry.is_folder() && entry.is_alive());
    if !parent_is_there {
        return Err((404, "NOT_FOUND", "Resource does not exist.".to_owned()));
    }
    check_name(&plan.name)?;
    if plan.size > LARGEST_FILE {
        return Err((
            400,
            "INVALID_PARAMETER",
            "fileSize is over 10737418240".to_owned(),
        ));
    }
    let drive = world.drive_of(plan.parent);
    if world
        .drives()
        .get(drive)
        .is_some_and(|drive| drive.used.saturating_add(plan.size) > drive.total)
    {
        return Err((403, "QUOTA_EXCEEDED", "The storage is full.".to_owned()));
    }
    world.tree.index_names(plan.parent);
    let Some(taken) = world.tree.child_named(plan.parent, &plan.name) else {
        return Ok((plan.name.clone(), None));
    };
    if plan.overwrite && world.tree.get(taken).is_some_and(|entry| !entry.is_folder()) {
        if world.tree.get(taken).is_some_and(|entry| entry.is(flag::LOCKED)) {
            return Err((403, "LOCKED", "The file is locked.".to_owned()));
        }
        return Ok((plan.name.clone(), Some(taken)));
    }
    if plan.suffix {
        return Ok((free_name(world, plan.parent, &plan.name), None));
    }
    Err((
        409,
        "ALREADY_EXISTS",
        "A file or folder of this name exists.".to_owned(),
    ))
}

/// Makes the file.
pub(super) fn place(world: &mut World, plan: &Plan, content: Content, now: i64) -> Result<Node, Refusal> {
    let (name, instead_of) = judge(world, plan)?;
    let modified = plan.modified.unwrap_or(now);
    Ok(match instead_of {
        // The bytes of an empty file that its metadata call has made already.
        Some(node) if plan.size == 0 && world.tree.get(node).is_some_and(|entry| entry.size == 0) => {
            if let Some(entry) = world.tree.get_mut(node) {
                entry.modified = modified;
            }
            node
        }
        Some(node) => {
            world.replace_content(node, plan.size, content, modified, now, Some(plan.member));
            node
        }
        None => {
            let node = world.add_content(plan.parent, &name, plan.size, content, now, modified);
            if plan.member != 0
                && let Some(entry) = world.tree.get_mut(node)
            {
                entry.extra_mut().updated_by = Some(plan.member);
            }
            node
        }
    })
}

/// A name of a file or folder must have 1 to 200 characters, and none that would make it a path.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let length = name.chars().count();
    if length == 0 || length > LONGEST_NAME {
        return Err((
            400,
            "INVALID_PARAMETER",
            "fileName must have 1 to 200 characters".to_owned(),
        ));
    }
    if name.contains(['/', '\0']) {
        return Err((
            400,
            "INVALID_PARAMETER",
            "fileName holds a forbidden character".to_owned(),
        ));
    }
    Ok(())
}

/// The name with the first free number behind it: `a.txt` becomes `a(1).txt`.
pub(super) fn free_name(world: &World, parent: Node, name: &str) -> String {
    let (stem, ending) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    (1u32..)
        .map(|number| format!("{stem}({number}){ending}"))
        .find(|name| world.tree.child_named(parent, name).is_none())
        .unwrap_or_default()
}
