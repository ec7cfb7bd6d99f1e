//! Which snapshots would go.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::measure::{Freed, measure};
use super::{Error, Options};
use crate::archive::{Archive, Snapshot};
use crate::id::SnapshotId;
use crate::report::{printable, size};
use crate::retention::{Held, Reason, SizeDrop, drop_of, keep};

/// What would be done. Nothing is changed by making it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Every snapshot that reads, oldest first.
    pub items: Vec<Item>,
    /// Why some of the removals are held back.
    pub holds: Vec<Hold>,
    /// Snapshots that do not read. They stay, and count for nothing.
    pub damaged: Vec<SnapshotId>,
    /// Names that an interrupted removal left; their files go first.
    pub leftovers: Vec<String>,
    /// Bytes that the removals would give back.
    pub freed: Freed,
}

/// What would become of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The snapshot.
    pub id: SnapshotId,
    /// Kind of the job that made it.
    pub kind: String,
    /// Name of the job that made it. Each job's snapshots are judged by themselves.
    pub job: String,
    /// Whether it has all that was asked for.
    pub complete: bool,
    /// What it holds.
    pub held: Held,
    /// Whether it stays, by the rules or because its removal is held back.
    pub keep: bool,
    /// What the rules say.
    pub reasons: Vec<Reason>,
}

/// Why the removals of one job's snapshots are held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Kind of the job.
    pub kind: String,
    /// Name of the job.
    pub job: String,
    /// Why.
    pub why: HoldReason,
}

/// Why removals are held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// The newest complete snapshot holds suspiciously little.
    Dropped(SizeDrop),
    /// The manifest of the newest complete snapshot is not the one its tail tells.
    Unproven(String),
    /// The newest complete snapshot by name was made before others: a clock was wrong, and the rules would take the others,
    /// which are newer, for old ones.
    Misdated(SnapshotId),
}

impl fmt::Display for Hold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "nothing of the job '{}' is removed: ",
            printable(&self.job)
        )?;
        match &self.why {
            HoldReason::Dropped(drop) => write!(formatter, "{drop}"),
            HoldReason::Misdated(id) => write!(
                formatter,
                "{id} is dated later than snapshots that were made after it, since a clock was wrong"
            ),
            HoldReason::Unproven(why) => {
                write!(
                    formatter,
                    "the newest complete snapshot cannot be relied on: {why}"
                )
            }
        }
    }
}

/// Plans the removal of what no rule wants.
///
/// The snapshots of each job and kind are judged by themselves, so that a night's audit does not push out a night's backup.
/// The removals of a job are held back when its newest complete snapshot dropped in size, when its manifest does not prove, or when
/// it is dated later than snapshots that were made after it.
/// Hold the archive's lock, so that the plan is still true when it is performed.
///
/// # Errors
/// [`Error::EmptyPolicy`]; [`Error::Archive`] when the archive cannot be listed.
pub fn plan(archive: &Archive, options: &Options) -> Result<Plan, Error> {
    let survey = archive.survey()?;
    let mut damaged: Vec<SnapshotId> = survey.damaged.into_iter().map(|damaged| damaged.id).collect();
    let mut groups: BTreeMap<(String, String), Vec<Snapshot>> = BTreeMap::new();
    for snapshot in survey.snapshots {
        // A published snapshot has a tail. One without was touched by somebody: not ours to remove.
        if snapshot.tail.is_none() {
            damaged.push(snapshot.id);
            continue;
        }
        let group = (snapshot.head.kind.clone(), snapshot.head.job.clone());
        groups.entry(group).or_default().push(snapshot);
    }
    damaged.sort();

    let mut plan = Plan {
        items: Vec::new(),
        holds: Vec::new(),
        damaged,
        leftovers: archive.retired()?,
        freed: Freed::Unknown,
    };
    if options.policy.is_empty() {
        return Err(crate::retention::EmptyPolicy.into());
    }
    for ((kind, job), snapshots) in groups {
        let flags: Vec<_> = snapshots
            .iter()
            .map(|snapshot| (snapshot.id.clone(), snapshot.is_complete()))
            .collect();
        let verdicts = keep(&flags, &options.policy, &options.zone)?;
        let hold = if verdicts.iter().any(|verdict| !verdict.keep) {
            why_hold(&snapshots, options.hold_on_drop)
        } else {
            None
        };
        for (snapshot, verdict) in snapshots.iter().zip(verdicts) {
            plan.items.push(Item {
                id: verdict.id,
                kind: kind.clone(),
                job: job.clone(),
                complete: snapshot.is_complete(),
                held: held(snapshot),
                keep: verdict.keep || hold.is_some(),
                reasons: verdict.reasons,
            });
        }
        plan.holds.extend(hold.map(|why| Hold { kind, job, why }));
    }
    plan.items.sort_by(|one, two| one.id.cmp(&two.id));
    if options.measure {
        plan.freed = measure(archive, &plan.removals().collect::<Vec<_>>())?;
    }
    Ok(plan)
}

fn why_hold(snapshots: &[Snapshot], share: f64) -> Option<HoldReason> {
    let mut complete = snapshots.iter().rev().filter(|snapshot| snapshot.is_complete());
    let newest = complete.next()?;
    if let Err(error) = newest.verify_manifest_hash() {
        return Some(HoldReason::Unproven(error.to_string()));
    }
    // A head names the newest snapshot there was when it was written.
    let made_after = |one: &Snapshot| {
        let previous = one.head.previous.as_ref();
        let previous = previous.and_then(|previous| previous.snapshot.parse::<SnapshotId>().ok());
        one.id < newest.id && previous.is_some_and(|previous| previous >= newest.id)
    };
    if snapshots.iter().any(made_after) {
        return Some(HoldReason::Misdated(newest.id.clone()));
    }
    let before = complete.next()?;
    drop_of(held(before), held(newest), share).map(HoldReason::Dropped)
}

/// Files that a snapshot has, and their bytes. An audit has no bytes, so what it listed counts.
fn held(snapshot: &Snapshot) -> Held {
    let count = snapshot
        .tail
        .as_ref()
        .map(|tail| tail.totals.held())
        .unwrap_or_default();
    Held {
        files: count.files,
        bytes: count.bytes,
    }
}

impl Plan {
    /// The snapshots that would go, oldest first.
    pub fn removals(&self) -> impl Iterator<Item = &SnapshotId> {
        self.items.iter().filter(|item| !item.keep).map(|item| &item.id)
    }

    /// The plan as one JSON object. Sizes are bytes.
    pub fn to_json(&self) -> Value {
        json!({
            "snapshots": self.items.iter().map(|item| json!({
                "id": item.id.as_str(),
                "kind": item.kind,
                "job": item.job,
                "complete": item.complete,
                "files": item.held.files,
                "bytes": item.held.bytes,
                "keep": item.keep,
                "reasons": item.reasons.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "held_back": self.holds.iter().map(Hold::to_string).collect::<Vec<_>>(),
            "damaged": self.damaged.iter().map(SnapshotId::as_str).collect::<Vec<_>>(),
            "leftovers": self.leftovers,
            "freed": self.freed.to_json(),
        })
    }

    /// The plan for people: one line a snapshot, then what holds it back and what it would free.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for item in &self.items {
            let reasons: Vec<_> = item.reasons.iter().map(|reason| reason.as_str()).collect();
            lines.push(format!(
                "{} {}  {:<8} {:>9} files {:>10}  {}",
                if item.keep { "keep  " } else { "remove" },
                item.id,
                if item.complete { "complete" } else { "partial" },
                item.held.files,
                size(item.held.bytes),
                reasons.join(", "),
            ));
        }
        for id in &self.damaged {
            lines.push(format!(
                "keep   {id}  damaged: it does not read, so it is not touched"
            ));
        }
        for name in &self.leftovers {
            lines.push(format!(
                "remove {}  left by an interrupted removal",
                printable(name)
            ));
        }
        lines.extend(self.holds.iter().map(|hold| format!("warning: {hold}")));
        let count = self.removals().count();
        lines.push(format!(
            "{count} of {} snapshots to remove{}",
            self.items.len(),
            self.freed
        ));
        lines.join("\n")
    }
}
