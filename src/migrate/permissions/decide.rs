//! What is to be done about one drive, and in which order, from what its source says and what is there.
//!
//! The service's rules (API 2.0 docs, JP/sharedrive-update-patch, EN/sharedrive-permission-create,
//! JP/sharedrive-file-permission-create): a drive that is opened loses its permissions, one that is shut to its members loses
//! its denials, and it cannot be shut while folders have permissions of their own; a permission on a drive shuts it to
//! all who have none; a folder gets permissions of its own by losing those it inherits. Nothing here ever takes a
//! permission away, so that what only the target has is told and left.

mod admission;
mod remarks;

use std::collections::BTreeMap;

use super::{Remark, Step, Turn};
use crate::drive::{Grant, Party, PartyKind, Reach, Right, Rules, SharingChange};
use crate::entry::Entry;
use crate::id::FileId;
use crate::path::DrivePath;

/// What a drive of the target should be like. Everybody in it is somebody of the target.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) rules: Rules,
    pub(crate) grants: Vec<(Party, Right)>,
    /// Folders with permissions of their own, by path.
    pub(crate) folders: Vec<WantedFolder>,
    /// Who has no place in the target.
    pub(crate) unplaced: Vec<Unplaced>,
}

#[derive(Clone, Debug)]
pub(crate) struct WantedFolder {
    pub(crate) path: DrivePath,
    /// Its twin in the target; `None` when it did not get there.
    pub(crate) entry: Option<Entry>,
    pub(crate) grants: Vec<(Party, Right)>,
}

/// Somebody of the source without a place in the target.
#[derive(Clone, Debug)]
pub(crate) struct Unplaced {
    pub(crate) path: DrivePath,
    pub(crate) party: Party,
    pub(crate) role: Role,
    pub(crate) reason: &'static str,
}

/// What somebody is at the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Master,
    Denied,
    Granted(Right),
}

/// What a drive of the target is like now.
#[derive(Clone, Debug)]
pub(crate) struct There {
    pub(crate) root: Entry,
    pub(crate) rules: Rules,
    pub(crate) grants: Vec<Grant>,
    /// Folders with permissions of their own.
    pub(crate) folders: BTreeMap<FileId, (DrivePath, Vec<Grant>)>,
}

/// The steps in their order, and the remarks.
pub(crate) fn decide(wanted: &Wanted, there: &There) -> (Vec<Step>, Vec<Remark>) {
    let mut maker = Maker {
        wanted,
        there,
        shut: Vec::new(),
        let_in: Vec::new(),
        remarks: Vec::new(),
        stays_shut: false,
        left_out: Vec::new(),
    };
    maker.unplaced();
    maker.masters();
    let blocked = maker.narrow();
    if let Some((reason, detail)) = blocked {
        maker.by_hand_altogether(reason, detail);
    } else {
        maker.widen();
        maker.drive_grants();
        maker.folders();
    }
    maker.only_there();
    // Among those who are let in, the drive comes before its folders: who is granted a folder must be in the drive.
    maker.let_in.sort_by_key(|step| !step.path.is_root());
    let mut steps = maker.shut;
    steps.extend(maker.let_in);
    (steps, maker.remarks)
}

struct Maker<'a> {
    wanted: &'a Wanted,
    there: &'a There,
    shut: Vec<Step>,
    let_in: Vec<Step>,
    remarks: Vec<Remark>,
    /// The drive should be opened further, and no call may do it.
    stays_shut: bool,
    /// Who should be let into the drive, and no call may do it.
    left_out: Vec<Party>,
}

/// Somebody would get more by being let in than the source gives.
const LINGERS: Blocked = (
    "old-folder-permission",
    "who would be let in has a permission on a folder of the target that the source does not give",
);

/// Why something cannot be done by calls: a code, and the reason in words.
type Blocked = (&'static str, &'static str);

impl Maker<'_> {
    /// Masters are only ever added: who migrates is one of them.
    fn masters(&mut self) {
        let (wanted, there) = (&self.wanted.rules.masters, &self.there.rules.masters);
        let new = without(wanted, there);
        if new.is_empty() {
            return;
        }
        let all = there.iter().chain(&new).cloned().collect();
        self.shut.push(Step {
            turn: Turn::Shut,
            entry: self.there.root.clone(),
            path: DrivePath::root(),
            change: SharingChange::Rules {
                reach: None,
                right: None,
                masters: Some(all),
                denied: None,
            },
            action: "masters",
            who: new,
            from: String::new(),
            to: "MASTER".to_owned(),
        });
    }

    /// Shuts the drive as far as it has to be, in one call.
    fn narrow(&mut self) -> Option<Blocked> {
        let (wanted, there) = (&self.wanted.rules, &self.there.rules);
        let reach = (wanted.reach < there.reach).then_some(wanted.reach);
        if reach == Some(Reach::Members) {
            if !self.there.folders.is_empty() {
                return Some((
                    "folders-have-permissions",
                    "the drive cannot be shut to its members while folders in it have permissions of their own",
                ));
            }
            let is_nobody_mapped = self.wanted.grants.is_empty()
                && self
                    .wanted
                    .unplaced
                    .iter()
                    .any(|one| one.path.is_root() && matches!(one.role, Role::Granted(_)));
            if is_nobody_mapped {
                return Some((
                    "nobody-mapped",
                    "nobody whom the source lets in has a place in the target: only the masters would be left",
                ));
            }
        }
        let stays_open = wanted.reach != Reach::Members && there.reach != Reach::Members;
        let right = (stays_open && wanted.right < there.right).then_some(wanted.right);
        let denied = without(&wanted.denied, &there.denied);
        // Denials go with the domain only; those of a drive that is still to be opened come with its opening.
        let denies = wanted.reach == Reach::Domain && there.reach >= Reach::Domain && !denied.is_empty();
        if reach.is_none() && right.is_none() && !denies {
            return None;
        }
        let all = denies.then(|| there.denied.iter().chain(&denied).cloned().collect());
        let to = rule(reach.unwrap_or(there.reach), right.unwrap_or(there.right));
        self.shut.push(Step {
            turn: Turn::Shut,
            entry: self.there.root.clone(),
            path: DrivePath::root(),
            change: SharingChange::Rules {
                reach,
                right,
                masters: None,
                denied: all,
            },
            action: if reach.is_none() && right.is_none() {
                "deny"
            } else {
                "shut"
            },
            who: if denies { denied } else { Vec::new() },
            from: rule(there.reach, there.right),
            to,
        });
        None
    }

    /// Opens the drive further, in one call, after its folders are shut.
    fn widen(&mut self) {
        let (wanted, there) = (&self.wanted.rules, &self.there.rules);
        let reach = (wanted.reach > there.reach).then_some(wanted.reach);
        let stays_open = wanted.reach != Reach::Members && there.reach != Reach::Members;
        let right = (reach.is_some() && there.reach == Reach::Members
            || stays_open && wanted.right > there.right)
            .then_some(wanted.right);
        if reach.is_none() && right.is_none() {
            return;
        }
        let denied = without(&wanted.denied, &there.denied);
        let (from, to) = (rule(there.reach, there.right), rule(wanted.reach, wanted.right));
        let problem: Option<Blocked> = if reach.is_some() && self.lingers(|_| true) {
            Some(LINGERS)
        } else if reach.is_some() && !self.there.grants.is_empty() {
            Some((
                "permissions-would-go",
                "a drive that is opened loses the permissions that were given on it",
            ))
        } else if reach == Some(Reach::Tenant) && !there.denied.is_empty() {
            Some((
                "has-denials",
                "a drive that keeps somebody out cannot be opened to the whole tenant",
            ))
        } else if reach.is_some() && self.wanted.unplaced.iter().any(|one| one.role == Role::Denied) {
            Some((
                "denied-unmapped",
                "somebody whom the source keeps out has no place in the target, and would get in",
            ))
        } else {
            None
        };
        if let Some((reason, detail)) = problem {
            self.stays_shut = true;
            self.by_hand(DrivePath::root(), "open", denied, (from, to), reason, detail);
            return;
        }
        let denies = reach == Some(Reach::Domain) && !denied.is_empty();
        self.let_in.push(Step {
            turn: Turn::LetIn,
            entry: self.there.root.clone(),
            path: DrivePath::root(),
            change: SharingChange::Rules {
                reach,
                right,
                masters: None,
                denied: denies.then(|| denied.clone()),
            },
            action: "open",
            who: if denies { denied } else { Vec::new() },
            from,
            to,
        });
    }

    fn drive_grants(&mut self) {
        let root = self.there.root.clone();
        for (party, right) in &self.wanted.grants {
            if self.wanted.rules.reach != Reach::Members {
                self.by_hand(
                    DrivePath::root(),
                    "grant",
                    vec![party.clone()],
                    (String::new(), right.as_str().to_owned()),
                    "drive-is-open",
                    "a permission on a drive that is open would shut it to all who have none",
                );
                continue;
            }
            let held = self.there.grants.iter().find(|grant| grant.party.is(party));
            // A group may bring in anybody.
            let is_met = |one: &Party| one.is(party) || party.kind != PartyKind::User;
            if held.is_none() && self.lingers(is_met) {
                let to = right.as_str().to_owned();
                let who = vec![party.clone()];
                let (reason, detail) = LINGERS;
                self.left_out.push(party.clone());
                self.by_hand(
                    DrivePath::root(),
                    "grant",
                    who,
                    (String::new(), to),
                    reason,
                    detail,
                );
                continue;
            }
            self.grant(&root, &DrivePath::root(), party, *right, held, Turn::LetIn);
        }
    }

    fn folders(&mut self) {
        for folder in &self.wanted.folders {
            let Some(entry) = &folder.entry else {
                self.by_hand(
                    folder.path.clone(),
                    "restrict",
                    Vec::new(),
                    (String::new(), String::new()),
                    "not-in-target",
                    "the folder did not get into the target",
                );
                continue;
            };
            let own = self.there.folders.get(&entry.id);
            if own.is_none() {
                self.shut.push(Step {
                    turn: Turn::Shut,
                    entry: entry.clone(),
                    path: folder.path.clone(),
                    change: SharingChange::Restrict,
                    action: "restrict",
                    who: Vec::new(),
                    from: "inherited".to_owned(),
                    to: "own".to_owned(),
                });
            }
            for (party, right) in &folder.grants {
                if let Some((reason, detail)) = self.outsider(party) {
                    let to = right.as_str().to_owned();
                    self.by_hand(
                        folder.path.clone(),
                        "grant",
                        vec![party.clone()],
                        (String::new(), to),
                        reason,
                        detail,
                    );
                    continue;
                }
                let held = own.and_then(|(_, grants)| grants.iter().find(|grant| grant.party.is(party)));
                let turn = if own.is_none() && self.is_in(party) {
                    Turn::LetBack
                } else {
                    Turn::LetIn
                };
                self.grant(entry, &folder.path, party, *right, held, turn);
            }
        }
    }

    fn grant(
        &mut self,
        entry: &Entry,
        path: &DrivePath,
        party: &Party,
        right: Right,
        held: Option<&Grant>,
        turn: Turn,
    ) {
        let (change, action, from, turn) = match held {
            Some(held) if held.right == right => return,
            Some(held) => {
                let turn = if right < held.right {
                    Turn::Shut
                } else {
                    Turn::LetIn
                };
                let change = SharingChange::Regrant(held.clone(), right);
                (change, "regrant", held.right.as_str().to_owned(), turn)
            }
            None => (
                SharingChange::Grant(party.clone(), right),
                "grant",
                String::new(),
                turn,
            ),
        };
        let step = Step {
            turn,
            entry: entry.clone(),
            path: path.clone(),
            change,
            action,
            who: vec![party.clone()],
            from,
            to: right.as_str().to_owned(),
        };
        match turn {
            Turn::Shut | Turn::LetBack => self.shut.push(step),
            Turn::LetIn => self.let_in.push(step),
        }
    }
}

/// A rule in the words of the tables.
fn rule(reach: Reach, right: Right) -> String {
    match reach {
        Reach::Members => reach.as_str().to_owned(),
        _ => format!("{} {}", reach.as_str(), right.as_str()),
    }
}

fn holds(all: &[Party], party: &Party) -> bool {
    all.iter().any(|one| one.is(party))
}

/// Those of `all` who are not in `others`.
fn without(all: &[Party], others: &[Party]) -> Vec<Party> {
    all.iter().filter(|one| !holds(others, one)).cloned().collect()
}
