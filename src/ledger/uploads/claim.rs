//! Takes steps that are ready, and decides under which name each goes before any byte is sent.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::ends::{end, finish_file};
use super::follow::{DOUBTFUL, pass_of};
use super::likeness::{Likeness, likeness};
use super::{CONTENT, ENDED, Naming, READY, STARTED, UploadEnd, UploadOutcome, second, target_entry};
use crate::entry::{Entry, Kind, OnConflict};
use crate::id::{DriveId, Family, FileId};
use crate::ledger::{Ledger, Result};
use crate::path::DrivePath;

/// Names tried for one item at most.
const NAMES_TRIED: u32 = 10_000;

/// A step that was taken.
#[derive(Clone, Debug)]
pub struct UploadWork {
    /// Its number.
    pub no: i64,
    /// The number of the folder it goes into; 0 for a root.
    pub folder: i64,
    /// The folder it goes into; for a root, the root itself.
    pub parent: Entry,
    /// The drive it came from.
    pub drive: DriveId,
    /// The id it had.
    pub id: FileId,
    /// The path it had.
    pub path: DrivePath,
    /// File or folder.
    pub kind: Kind,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Modified time to keep.
    pub modified: Option<Timestamp>,
    /// Hash of the stored bytes.
    pub sha256: Option<String>,
    /// Where the bytes are.
    pub stored_at: Option<String>,
    /// What to do.
    pub choice: Choice,
}

/// What to do with a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// Upload or make it under this name.
    Send {
        /// The name, which is reserved.
        name: String,
        /// Whether that is not its own name.
        renamed: bool,
        /// The file it goes over.
        over: Option<Box<Entry>>,
    },
    /// The folder is there: list it.
    Adopt(Box<Entry>),
    /// A file of that name and size is there: only its content tells whether it is the same.
    Compare {
        /// The file.
        there: Box<Entry>,
        /// What became of the step, when it is the same.
        outcome: UploadOutcome,
    },
}

/// Steps that were taken.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// To be done.
    pub works: Vec<UploadWork>,
    /// Settled without any call.
    pub settled: Vec<Settled>,
}

/// A step that was settled by what the folder's listing told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Drive and path, for people.
    pub subject: String,
    /// The outcome.
    pub outcome: UploadOutcome,
    /// Reason code, empty when there is none.
    pub reason: String,
    /// What else there is to tell of it, empty when there is nothing.
    pub message: String,
    /// Size in bytes.
    pub size: u64,
    /// Whether it is a file.
    pub is_file: bool,
}

/// What a second look decided.
#[derive(Clone, Debug)]
pub enum Again {
    /// To be done, maybe under another name.
    Work(Box<UploadWork>),
    /// It is settled.
    Settled(Settled),
}

/// A step as the table has it.
struct Step {
    work: UploadWork,
    name: String,
    reserved: Option<String>,
    /// A folder whose new id is known.
    known: Option<Entry>,
    /// A file that is in the target already and shall get another content, as it was left there.
    left: Option<Entry>,
    /// Whether an earlier pass may have put it into the target.
    is_doubtful: bool,
}

/// An item that lies in a target folder.
struct There {
    entry: Entry,
    owner: Option<i64>,
}

impl Ledger {
    /// Takes steps of a kind that are ready, at most `limit`, reserves a name for each, and marks them as started. A file waits
    /// until the pass has come by it: where an earlier one left its bytes, they need not be any more.
    ///
    /// The marks are on the disk only after [`Ledger::flush`].
    pub async fn claim_uploads(
        &self,
        family: Family,
        kind: Kind,
        limit: u32,
        naming: Naming,
    ) -> Result<Claimed> {
        let claiming = self.change(move |transaction| {
            let mut claimed = Claimed::default();
            loop {
                let numbers = ready(transaction, family, kind, limit)?;
                let is_last = numbers.is_empty();
                for no in numbers {
                    match decide(transaction, no, &naming, false, &[])? {
                        Some(Again::Work(work)) => claimed.works.push(*work),
                        Some(Again::Settled(settled)) => claimed.settled.push(settled),
                        None => {}
                    }
                }
                // Those that were put back give their places to others.
                if is_last || !claimed.works.is_empty() || !claimed.settled.is_empty() {
                    return Ok(claimed);
                }
            }
        });
        let claimed = claiming.await?;
        if !claimed.settled.is_empty() {
            self.tell_news();
        }
        Ok(claimed)
    }

    /// Decides again about a started step after its folder was listed again. `refused` says that the service refused
    /// the name; then names that it might take for the same count as well. `differing` are files that were compared and are others.
    pub async fn decide_upload(
        &self,
        no: i64,
        naming: Naming,
        refused: bool,
        differing: Vec<FileId>,
    ) -> Result<Option<Again>> {
        let again = self
            .change(move |transaction| decide(transaction, no, &naming, refused, &differing))
            .await?;
        self.tell_news();
        Ok(again)
    }

    /// Gives back steps that were taken and not begun.
    pub async fn release_uploads(&self, numbers: Vec<i64>) -> Result<()> {
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "UPDATE upload SET state = ?2, new_name = NULL WHERE no = ?1 AND state = ?3",
            )?;
            for no in &numbers {
                statement.execute(params![no, READY, STARTED])?;
            }
            Ok(())
        })
        .await
    }
}

/// The numbers of steps that are ready, those that may be in the target already first.
fn ready(
    transaction: &Transaction<'_>,
    family: Family,
    kind: Kind,
    limit: u32,
) -> rusqlite::Result<Vec<i64>> {
    let family = family as i64;
    let number = |row: &rusqlite::Row<'_>| row.get(0);
    if kind == Kind::Folder {
        return transaction
            .prepare_cached(
                "SELECT no FROM upload WHERE state = 1 AND family = ?1 AND kind = 1 ORDER BY seen, no LIMIT ?2",
            )?
            .query_map(params![family, limit], number)?
            .collect();
    }
    let mut statement = transaction.prepare_cached(
        "SELECT no FROM upload WHERE state = 1 AND family = ?1 AND kind = 0 AND seen = ?2 ORDER BY no LIMIT ?3",
    )?;
    let mut numbers: Vec<i64> = Vec::new();
    for seen in [DOUBTFUL, pass_of(transaction)?] {
        let room = i64::from(limit) - numbers.len() as i64;
        for number in statement.query_map(params![family, seen, room], number)? {
            numbers.push(number?);
        }
    }
    Ok(numbers)
}

fn decide(
    transaction: &Transaction<'_>,
    no: i64,
    naming: &Naming,
    refused: bool,
    differing: &[FileId],
) -> rusqlite::Result<Option<Again>> {
    let Some(step) = read(transaction, no)? else {
        return Ok(None);
    };
    // A folder whose new id is known only has to be listed again.
    if let Some(known) = step.known {
        start(transaction, no, step.reserved.as_deref())?;
        let choice = Choice::Adopt(Box::new(known));
        return Ok(Some(Again::Work(Box::new(UploadWork { choice, ..step.work }))));
    }
    let folder = step.work.folder;
    if let Some(reserved) = step.reserved.clone()
        && !refused
        && step.left.is_none()
        && let Some(there) = look(transaction, folder, &step.work, &reserved, None)?
        && there.owner.is_none()
        && there.entry.kind == step.work.kind
    {
        // It was started, and it is there: only its answer is missing.
        let renamed = reserved != step.name;
        let outcome = match renamed {
            true => UploadOutcome::Renamed,
            false => UploadOutcome::Restored,
        };
        if step.work.kind == Kind::Folder {
            return adopt(transaction, step, there.entry).map(Some);
        }
        match likeness(&step.work, &there.entry, naming, differing) {
            Likeness::Same => return done(transaction, &step.work, there.entry, outcome).map(Some),
            Likeness::Open => return compare(transaction, step, there.entry, outcome).map(Some),
            // What was begun has not arrived whole: the same name once more.
            Likeness::Half if !step.is_doubtful => {
                return send(transaction, step, reserved, renamed, None).map(Some);
            }
            Likeness::Half | Likeness::Other => {}
        }
    }
    if step.is_doubtful {
        // It is not there, and its bytes may be gone with the pass that left them: it waits for this one to come by.
        transaction
            .prepare_cached("UPDATE upload SET state = ?2, new_name = NULL, seen = 0 WHERE no = ?1")?
            .execute(params![no, READY])?;
        return Ok(None);
    }
    if let Some(left) = &step.left {
        return follow(transaction, step.work, left.clone(), naming).map(Some);
    }
    transaction
        .prepare_cached("UPDATE upload SET new_name = NULL WHERE no = ?1")?
        .execute([no])?;
    for number in 1..=NAMES_TRIED {
        let first = number == 1;
        let name = if first {
            step.name.clone()
        } else {
            (naming.numbered)(&step.name, number)
        };
        if is_reserved(transaction, folder, &name)? {
            continue;
        }
        let fold = refused.then(|| (naming.fold)(&name));
        let Some(there) = look(transaction, folder, &step.work, &name, fold.as_deref())? else {
            if first && refused {
                // The service says that the name is taken, and nothing there shows it.
                return settle(transaction, &step.work, UploadOutcome::Failed, "conflict").map(Some);
            }
            return send(transaction, step, name, !first, None).map(Some);
        };
        if there.owner.is_some()
            || (there.entry.name != name && is_reserved(transaction, folder, &there.entry.name)?)
        {
            continue;
        }
        let same_kind = there.entry.kind == step.work.kind;
        if same_kind && step.work.kind == Kind::Folder {
            return adopt(transaction, step, there.entry).map(Some);
        }
        if same_kind {
            let outcome = UploadOutcome::AlreadyThere;
            match likeness(&step.work, &there.entry, naming, differing) {
                Likeness::Same => return done(transaction, &step.work, there.entry, outcome).map(Some),
                Likeness::Open => return compare(transaction, step, there.entry, outcome).map(Some),
                Likeness::Half | Likeness::Other => {}
            }
        }
        if !first {
            continue;
        }
        match naming.on_conflict {
            OnConflict::Rename => {}
            OnConflict::Skip => {
                return settle(transaction, &step.work, UploadOutcome::Skipped, "conflict").map(Some);
            }
            OnConflict::Overwrite if same_kind => {
                let name = there.entry.name.clone();
                return send(transaction, step, name, false, Some(Box::new(there.entry))).map(Some);
            }
            OnConflict::Overwrite | OnConflict::Fail => {
                return settle(transaction, &step.work, UploadOutcome::Failed, "conflict").map(Some);
            }
        }
    }
    settle(transaction, &step.work, UploadOutcome::Failed, "conflict").map(Some)
}

/// A file that shall get another content gets it, unless somebody else changed it meanwhile.
fn follow(
    transaction: &Transaction<'_>,
    work: UploadWork,
    left: Entry,
    naming: &Naming,
) -> rusqlite::Result<Again> {
    let there = look(transaction, work.folder, &work, &left.name, None)?
        .map(|there| there.entry)
        .filter(|there| there.id == left.id);
    match there {
        Some(there) if likeness(&work, &there, naming, &[]) == Likeness::Same => {
            done(transaction, &work, there, UploadOutcome::Overwritten)
        }
        Some(there) if there.size == left.size && there.modified == left.modified => {
            start(transaction, work.no, Some(&left.name))?;
            let choice = Choice::Send {
                name: left.name,
                renamed: false,
                over: Some(Box::new(there)),
            };
            Ok(Again::Work(Box::new(UploadWork { choice, ..work })))
        }
        Some(_) => settle(transaction, &work, UploadOutcome::Skipped, "target-changed"),
        None => settle(transaction, &work, UploadOutcome::Skipped, "target-moved"),
    }
}

fn read(transaction: &Transaction<'_>, no: i64) -> rusqlite::Result<Option<Step>> {
    transaction
        .prepare_cached(
            "SELECT u.drive, u.id, u.path, u.kind, u.size, u.modified, u.sha256, u.stored_at, u.target,
                    u.name, u.new_name, u.parent,
                    u.new_id, coalesce(u.given_name, u.new_name), u.kind, u.left_size, u.left_modified,
                    u.location, u.facts,
                    p.new_id, coalesce(p.given_name, p.new_name), 1, NULL, NULL, p.location, p.facts, u.follow, u.seen
             FROM upload AS u LEFT JOIN upload AS p ON p.no = u.parent
             WHERE u.no = ?1 AND u.state <> ?2",
        )?
        .query_row(params![no, ENDED], |row| {
            let target: String = row.get(8)?;
            let parent: Option<i64> = row.get(11)?;
            let own = target_entry(row, 12, &target)?;
            let is_known = row.get::<_, Option<String>>(12)?.is_some();
            let kind = own.kind;
            let above = match parent {
                Some(_) => target_entry(row, 19, &target)?,
                None => own.clone(),
            };
            let follows = is_known && row.get::<_, i64>(26)? & CONTENT != 0;
            Ok(Step {
                is_doubtful: row.get::<_, i64>(27)? == DOUBTFUL,
                left: (follows && kind == Kind::File).then(|| own.clone()),
                name: row.get(9)?,
                reserved: row.get(10)?,
                known: (is_known && kind == Kind::Folder).then_some(own),
                work: UploadWork {
                    no,
                    folder: parent.unwrap_or(0),
                    parent: above,
                    drive: DriveId::new(row.get::<_, String>(0)?),
                    id: FileId::new(row.get::<_, String>(1)?),
                    path: DrivePath::from_text(&row.get::<_, String>(2)?),
                    kind,
                    size: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
                    modified: second(row.get(5)?),
                    sha256: row.get(6)?,
                    stored_at: row.get(7)?,
                    choice: Choice::Send {
                        name: String::new(),
                        renamed: false,
                        over: None,
                    },
                },
            })
        })
        .optional()
}

fn is_reserved(transaction: &Transaction<'_>, folder: i64, name: &str) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM upload WHERE parent = ?1 AND new_name = ?2)")?
        .query_row(params![folder, name], |row| row.get(0))
}

/// What lies in a folder under a name, or under one that the service might take for the same.
fn look(
    transaction: &Transaction<'_>,
    folder: i64,
    work: &UploadWork,
    name: &str,
    fold: Option<&str>,
) -> rusqlite::Result<Option<There>> {
    let drive = work.parent.drive.as_str();
    let read = |row: &rusqlite::Row<'_>| {
        Ok(There {
            entry: target_entry(row, 0, drive)?,
            owner: row.get(7)?,
        })
    };
    const COLUMNS: &str = "SELECT t.id, t.name, t.kind, t.size, t.modified, t.location, t.facts,
             (SELECT o.no FROM upload AS o WHERE o.target = ?3 AND o.new_id = t.id AND o.no <> ?4)
         FROM there AS t WHERE t.folder = ?1 AND";
    let exact = transaction
        .prepare_cached(&format!(
            "{COLUMNS} t.name = ?2 ORDER BY 8 IS NOT NULL, t.id LIMIT 1"
        ))?
        .query_row(params![folder, name, drive, work.no], read)
        .optional()?;
    match (exact, fold) {
        (None, Some(fold)) => transaction
            .prepare_cached(&format!(
                "{COLUMNS} t.fold = ?2 ORDER BY 8 IS NOT NULL, t.id LIMIT 1"
            ))?
            .query_row(params![folder, fold, drive, work.no], read)
            .optional(),
        (exact, _) => Ok(exact),
    }
}

fn start(transaction: &Transaction<'_>, no: i64, name: Option<&str>) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE upload SET state = ?2, new_name = ?3 WHERE no = ?1")?
        .execute(params![no, STARTED, name])?;
    Ok(())
}

fn send(
    transaction: &Transaction<'_>,
    step: Step,
    name: String,
    renamed: bool,
    over: Option<Box<Entry>>,
) -> rusqlite::Result<Again> {
    start(transaction, step.work.no, Some(&name))?;
    let choice = Choice::Send { name, renamed, over };
    Ok(Again::Work(Box::new(UploadWork { choice, ..step.work })))
}

fn adopt(transaction: &Transaction<'_>, step: Step, there: Entry) -> rusqlite::Result<Again> {
    start(transaction, step.work.no, Some(&there.name))?;
    let choice = Choice::Adopt(Box::new(there));
    Ok(Again::Work(Box::new(UploadWork { choice, ..step.work })))
}

fn compare(
    transaction: &Transaction<'_>,
    step: Step,
    there: Entry,
    outcome: UploadOutcome,
) -> rusqlite::Result<Again> {
    start(transaction, step.work.no, Some(&there.name))?;
    let choice = Choice::Compare {
        there: Box::new(there),
        outcome,
    };
    Ok(Again::Work(Box::new(UploadWork { choice, ..step.work })))
}

fn done(
    transaction: &Transaction<'_>,
    work: &UploadWork,
    there: Entry,
    outcome: UploadOutcome,
) -> rusqlite::Result<Again> {
    start(transaction, work.no, Some(&there.name))?;
    let end = UploadEnd {
        no: work.no,
        outcome,
        reason: String::new(),
        entry: Some(Box::new(there)),
        attempts: 0,
        sent: None,
    };
    finish_file(transaction, &end)?;
    Ok(Again::Settled(settled(work, outcome, "")))
}

fn settle(
    transaction: &Transaction<'_>,
    work: &UploadWork,
    outcome: UploadOutcome,
    reason: &'static str,
) -> rusqlite::Result<Again> {
    end(transaction, work.no, outcome, reason)?;
    Ok(Again::Settled(settled(work, outcome, reason)))
}

fn settled(work: &UploadWork, outcome: UploadOutcome, reason: &str) -> Settled {
    Settled {
        subject: format!("{}:{}", work.drive, work.path),
        outcome,
        reason: reason.to_owned(),
        message: String::new(),
        size: work.size.unwrap_or(0),
        is_file: work.kind == Kind::File,
    }
}
