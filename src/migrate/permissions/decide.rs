//! What is to be done about one drive, and in which order, from what its source says and what is there.
//!
//! The service's rules (API 2.0 docs, JP/sharedrive-update-patch, EN/sharedrive-permission-create,
//! JP/sharedrive-file-permission-create): a drive that is opened loses its permissions, one that is shut to its members loses
//! its denials, and it cannot be shut while folders have permissions of their own; a permission on a drive shuts it to
//! all who have none; a folder gets permissions of its own by losing those it inherits. Nothing here ever takes a
//! permission away, so that what only the target has is told and left.

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
    fn unplaced(&mut self) {
        for one in &self.wanted.unplaced {
            let (action, to) = match one.role {
                Role::Master => ("masters", "MASTER".to_owned()),
                Role::Denied => ("deny", "DENIED".to_owned()),
                Role::Granted(right) => ("grant", right.as_str().to_owned()),
            };
            self.remarks.push(Remark {
                path: one.path.clone(),
                action,
                who: vec![one.party.clone()],
                from: String::new(),
                to,
                outcome: "unmapped",
                reason: one.reason,
                detail: String::new(),
            });
        }
    }

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

    /// Whether somebody is in the drive already, and stays in while it is worked on.
    fn is_in(&self, party: &Party) -> bool {
        let (wanted, there) = (&self.wanted.rules, &self.there.rules);
        let stays_open = wanted.reach != Reach::Members && there.reach != Reach::Members;
        // The masters are set before anything else.
        holds(&there.masters, party)
            || holds(&wanted.masters, party)
            || (stays_open && !holds(&there.denied, party) && !holds(&wanted.denied, party))
            || self.there.grants.iter().any(|grant| grant.party.is(party))
    }

    /// Whether the source lets somebody into the drive. A group may bring in anybody.
    fn is_wanted_in(&self, party: &Party) -> bool {
        let rules = &self.wanted.rules;
        let is_granted = |(one, _): &(Party, Right)| one.is(party) || one.kind != PartyKind::User;
        holds(&rules.masters, party)
            || match rules.reach {
                Reach::Tenant => true,
                Reach::Domain => !holds(&rules.denied, party),
                Reach::Members => self.wanted.grants.iter().any(is_granted),
            }
    }

    /// Whether somebody whom the source lets in is in the drive when the plan is carried out.
    fn will_be_in(&self, party: &Party) -> bool {
        let (wanted, there) = (&self.wanted.rules, &self.there.rules);
        let reach = if self.stays_shut {
            there.reach
        } else {
            wanted.reach
        };
        holds(&wanted.masters, party)
            || holds(&there.masters, party)
            || match reach {
                Reach::Members if self.stays_shut => {
                    self.there.grants.iter().any(|grant| grant.party.is(party))
                }
                Reach::Members => !holds(&self.left_out, party),
                Reach::Domain | Reach::Tenant => !holds(&there.denied, party),
            }
    }

    /// Whether somebody of these is not in the drive, but has a right on a folder in it that the source does not give.
    /// Nothing comes of that until they are let into the drive.
    fn lingers(&self, is_met: impl Fn(&Party) -> bool) -> bool {
        self.there.folders.iter().any(|(id, (_, grants))| {
            let twin = self
                .wanted
                .folders
                .iter()
                .find(|folder| folder.entry.as_ref().is_some_and(|entry| entry.id == *id));
            grants.iter().any(|grant| {
                let is_wanted =
                    twin.is_some_and(|twin| twin.grants.iter().any(|(party, _)| party.is(&grant.party)));
                !is_wanted && is_met(&grant.party) && !self.is_in(&grant.party)
            })
        })
    }

    /// Why somebody cannot be granted a folder, where that is known beforehand.
    fn outsider(&self, party: &Party) -> Option<Blocked> {
        if party.kind != PartyKind::User {
            return Some((
                "members-only",
                "permissions of a folder's own go to members, not to groups or units",
            ));
        }
        let may_be_in = self.is_wanted_in(party) && self.will_be_in(party);
        (!may_be_in).then_some((
            "not-in-drive",
            "who is granted a folder must be in the drive, and the source or this plan does not let them in",
        ))
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

    /// A drive that cannot be shut is left as it is: what would follow could open it to the wrong people.
    fn by_hand_altogether(&mut self, reason: &'static str, detail: &'static str) {
        let (wanted, there) = (&self.wanted.rules, &self.there.rules);
        let change = (rule(there.reach, there.right), rule(wanted.reach, wanted.right));
        self.by_hand(DrivePath::root(), "shut", Vec::new(), change, reason, detail);
        let after = "after the drive itself is shut";
        let mut lines: Vec<(DrivePath, &'static str, Vec<Party>, String)> = Vec::new();
        for (party, right) in &self.wanted.grants {
            let to = right.as_str().to_owned();
            lines.push((DrivePath::root(), "grant", vec![party.clone()], to));
        }
        for folder in &self.wanted.folders {
            lines.push((folder.path.clone(), "restrict", Vec::new(), "own".to_owned()));
            for (party, right) in &folder.grants {
                let to = right.as_str().to_owned();
                lines.push((folder.path.clone(), "grant", vec![party.clone()], to));
            }
        }
        for (path, action, who, to) in lines {
            self.by_hand(path, action, who, (String::new(), to), reason, after);
        }
    }

    /// What the target has and the source has not. It stays.
    fn only_there(&mut self) {
        let there = self.there;
        let wanted = self.wanted;
        let masters = without(&there.rules.masters, &wanted.rules.masters);
        if !masters.is_empty() {
            let detail = "a master of the target alone stays one";
            self.note(DrivePath::root(), "masters", masters, "MASTER", "kept", detail);
        }
        let only = "only the target has it: take it away by hand if it should not be";
        let denied = without(&there.rules.denied, &wanted.rules.denied);
        if !denied.is_empty() && wanted.rules.reach == Reach::Domain {
            self.note(
                DrivePath::root(),
                "deny",
                denied,
                "DENIED",
                "only-in-target",
                only,
            );
        }
        if wanted.rules.reach == Reach::Members {
            for grant in &there.grants {
                if !wanted.grants.iter().any(|(party, _)| party.is(&grant.party)) {
                    let (who, word) = (vec![grant.party.clone()], grant.right.as_str());
                    self.note(DrivePath::root(), "grant", who, word, "only-in-target", only);
                }
            }
        }
        for (id, (path, grants)) in &there.folders {
            let twin = wanted
                .folders
                .iter()
                .find(|folder| folder.entry.as_ref().is_some_and(|entry| entry.id == *id));
            let Some(twin) = twin else {
                self.note(
                    path.clone(),
                    "restrict",
                    Vec::new(),
                    "own",
                    "only-in-target",
                    only,
                );
                continue;
            };
            for grant in grants {
                if !twin.grants.iter().any(|(party, _)| party.is(&grant.party)) {
                    let (who, word) = (vec![grant.party.clone()], grant.right.as_str());
                    self.note(path.clone(), "grant", who, word, "only-in-target", only);
                }
            }
        }
    }

    fn note(
        &mut self,
        path: DrivePath,
        action: &'static str,
        who: Vec<Party>,
        from: &str,
        outcome: &'static str,
        detail: &str,
    ) {
        self.remarks.push(Remark {
            path,
            action,
            who,
            from: from.to_owned(),
            to: String::new(),
            outcome,
            reason: "",
            detail: detail.to_owned(),
        });
    }

    fn by_hand(
        &mut self,
        path: DrivePath,
        action: &'static str,
        who: Vec<Party>,
        (from, to): (String, String),
        reason: &'static str,
        detail: &'static str,
    ) {
        self.remarks.push(Remark {
            path,
            action,
            who,
            from,
            to,
            outcome: "by-hand",
            reason,
            detail: detail.to_owned(),
        });
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
