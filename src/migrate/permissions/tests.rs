//! Plans against a model of the service's rules: no call is refused, and nobody ever sees more than before or than the
//! source gives.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::decide::{Role, There, Unplaced, Wanted, WantedFolder, decide};
use super::{Step, Turn};
use crate::drive::{Grant, Party, PartyKind, Reach, Right, Rules, SharingChange};
use crate::entry::Entry;
use crate::id::{DriveId, FileId};
use crate::path::DrivePath;

/// The master who makes the calls.
const MASTER: u8 = 0;
const PEOPLE: u8 = 5;
const FOLDERS: u8 = 3;

/// A drive as the service keeps it.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    reach: Reach,
    right: Right,
    masters: BTreeSet<u8>,
    denied: BTreeSet<u8>,
    grants: BTreeMap<u8, Right>,
    /// Folders with permissions of their own.
    folders: BTreeMap<u8, BTreeMap<u8, Right>>,
}

fn party(number: u8) -> Party {
    Party {
        kind: PartyKind::User,
        id: number.to_string(),
        name: format!("member{number}"),
    }
}

fn number(party: &Party) -> u8 {
    party.id.parse().unwrap()
}

fn root() -> Entry {
    Entry::root(DriveId::new("sharedrives/@1"), FileId::new(FileId::ROOT))
}

fn folder(number: u8) -> (DrivePath, Entry) {
    let mut entry = root();
    entry.id = FileId::new(format!("f{number}"));
    (DrivePath::root().join(&format!("folder {number}")), entry)
}

fn grants(of: &BTreeMap<u8, Right>) -> Vec<Grant> {
    of.iter()
        .map(|(member, right)| Grant {
            id: format!("p{member}"),
            party: party(*member),
            right: *right,
        })
        .collect()
}

impl Model {
    fn is_in(&self, member: u8) -> bool {
        self.masters.contains(&member)
            || match self.reach {
                Reach::Tenant => true,
                Reach::Domain => !self.denied.contains(&member),
                Reach::Members => self.grants.contains_key(&member),
            }
    }

    /// What somebody may do at the root (`None`) or in a folder: 0 nothing, 1 read, 2 write.
    fn level(&self, member: u8, place: Option<u8>) -> u8 {
        let level = |right: Right| match right {
            Right::Read => 1,
            Right::Write => 2,
        };
        if self.masters.contains(&member) {
            return 2;
        }
        if !self.is_in(member) {
            return 0;
        }
        match place.and_then(|folder| self.folders.get(&folder)) {
            Some(own) => own.get(&member).copied().map_or(0, level),
            None if self.reach == Reach::Members => self.grants.get(&member).copied().map_or(0, level),
            None => level(self.right),
        }
    }

    fn levels(&self) -> Vec<u8> {
        let places = || std::iter::once(None).chain((0..FOLDERS).map(Some));
        (0..PEOPLE)
            .flat_map(|member| places().map(move |place| self.level(member, place)))
            .collect()
    }

    fn there(&self) -> There {
        There {
            root: root(),
            rules: self.rules(),
            grants: grants(&self.grants),
            folders: self
                .folders
                .iter()
                .map(|(number, own)| {
                    let (path, entry) = folder(*number);
                    (entry.id, (path, grants(own)))
                })
                .collect(),
        }
    }

    fn wanted(&self) -> Wanted {
        let pairs = |of: &BTreeMap<u8, Right>| of.iter().map(|(one, right)| (party(*one), *right)).collect();
        Wanted {
            rules: self.rules(),
            grants: pairs(&self.grants),
            folders: self
                .folders
                .iter()
                .map(|(number, own)| {
                    let (path, entry) = folder(*number);
                    WantedFolder {
                        path,
                        entry: Some(entry),
                        grants: pairs(own),
                    }
                })
                .collect(),
            unplaced: Vec::new(),
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            reach: self.reach,
            right: self.right,
            masters: self.masters.iter().map(|one| party(*one)).collect(),
            denied: self.denied.iter().map(|one| party(*one)).collect(),
        }
    }

    /// Makes a call as the documents describe it; a refusal is a text.
    fn call(&mut self, step: &Step) -> Result<(), &'static str> {
        let place = step
            .entry
            .id
            .as_str()
            .strip_prefix('f')
            .map(|text| text.parse().unwrap());
        match &step.change {
            SharingChange::Rules {
                reach,
                right,
                masters,
                denied,
            } => {
                let to = reach.unwrap_or(self.reach);
                if denied.is_some() && (to != Reach::Domain || !self.grants.is_empty()) {
                    return Err("denials on a drive that has permissions");
                }
                if self.reach == Reach::Domain && to == Reach::Tenant && !self.denied.is_empty() {
                    return Err("a drive with denials cannot go to the tenant");
                }
                if self.reach != Reach::Members && to == Reach::Members {
                    if !self.folders.is_empty() {
                        return Err("folder permissions exist");
                    }
                    self.denied.clear();
                }
                if self.reach == Reach::Members && to != Reach::Members {
                    self.grants.clear();
                }
                self.reach = to;
                self.right = right.unwrap_or(self.right);
                if let Some(masters) = masters {
                    self.masters = masters.iter().map(number).collect();
                }
                if let Some(denied) = denied {
                    self.denied = denied.iter().map(number).collect();
                }
            }
            SharingChange::Restrict => {
                if self.folders.insert(place.unwrap(), BTreeMap::new()).is_some() {
                    return Err("a folder is shut twice, and what was granted on it is gone");
                }
            }
            SharingChange::Grant(party, right) => match place {
                None => {
                    if self.grants.insert(number(party), *right).is_some() {
                        return Err("granted twice");
                    }
                    self.reach = Reach::Members;
                }
                Some(folder) => {
                    if !self.is_in(number(party)) {
                        return Err("no member of the drive");
                    }
                    let Some(own) = self.folders.get_mut(&folder) else {
                        return Err("the folder inherits");
                    };
                    if own.insert(number(party), *right).is_some() {
                        return Err("granted twice");
                    }
                }
            },
            SharingChange::Regrant(grant, right) => {
                let held = match place {
                    None => self.grants.get_mut(&number(&grant.party)),
                    Some(folder) => self
                        .folders
                        .get_mut(&folder)
                        .and_then(|own| own.get_mut(&number(&grant.party))),
                };
                *held.ok_or("there is no such grant")? = *right;
            }
        }
        Ok(())
    }
}

fn right() -> impl Strategy<Value = Right> {
    prop_oneof![Just(Right::Read), Just(Right::Write)]
}

fn some_people() -> impl Strategy<Value = BTreeMap<u8, Right>> {
    proptest::collection::btree_map(1..PEOPLE, right(), 0..4)
}

fn model() -> impl Strategy<Value = Model> {
    let reach = prop_oneof![Just(Reach::Members), Just(Reach::Domain), Just(Reach::Tenant)];
    (
        reach,
        right(),
        proptest::collection::btree_set(1..PEOPLE, 0..2),
        proptest::collection::btree_set(1..PEOPLE, 0..2),
        some_people(),
        proptest::collection::btree_map(0..FOLDERS, some_people(), 0..3),
    )
        .prop_map(|(reach, right, mut masters, denied, grants, folders)| {
            masters.insert(MASTER);
            Model {
                reach,
                right,
                masters,
                denied: if reach == Reach::Domain {
                    denied
                } else {
                    BTreeSet::new()
                },
                grants: if reach == Reach::Members {
                    grants
                } else {
                    BTreeMap::new()
                },
                folders,
            }
        })
}

/// The plan is carried out call by call; after each, nobody may do more than before the first or than is wanted.
fn carry_out(before: &Model, wanted: &Model) -> (Model, usize, usize) {
    let (steps, remarks) = decide(&wanted.wanted(), &before.there());
    let by_hand = remarks
        .iter()
        .filter(|remark| remark.outcome == "by-hand")
        .count();
    let bound: Vec<u8> = before
        .levels()
        .into_iter()
        .zip(wanted.levels())
        .map(|(before, wanted)| before.max(wanted))
        .collect();
    let mut now = before.clone();
    for step in &steps {
        now.call(step)
            .unwrap_or_else(|refusal| panic!("{refusal}: {step:?} of {steps:#?}"));
        for (level, bound) in now.levels().into_iter().zip(&bound) {
            assert!(level <= *bound, "{step:?} opens too much: {now:?}");
        }
        assert!(now.masters.contains(&MASTER));
    }
    (now, steps.len(), by_hand)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_call_is_refused_and_nobody_ever_gets_more_than_is_his(before in model(), wanted in model()) {
        let (after, _, by_hand) = carry_out(&before, &wanted);
        if by_hand == 0 {
            let (left, _) = decide(&wanted.wanted(), &after.there());
            prop_assert_eq!(left, vec![]);
            // What the source gives is there, but where the target alone shuts somebody out.
            let shuts_more = before.folders.keys().any(|folder| !wanted.folders.contains_key(folder))
                || before.denied.iter().any(|one| !wanted.denied.contains(one));
            for (after, wanted) in after.levels().into_iter().zip(wanted.levels()) {
                prop_assert!(after >= wanted || shuts_more);
            }
        }
    }

    #[test]
    fn a_stop_after_any_call_is_made_good_by_a_second_plan(before in model(), wanted in model(), at in 0usize..12) {
        let (steps, _) = decide(&wanted.wanted(), &before.there());
        let mut stopped = before.clone();
        for step in steps.iter().take(at) {
            stopped.call(step).unwrap();
        }
        let (rest, _) = decide(&wanted.wanted(), &stopped.there());
        // What is left was in the plan that was shown.
        let key = |step: &Step| (step.entry.id.clone(), step.action, step.who.clone(), step.to.clone());
        let shown: Vec<_> = steps.iter().map(key).collect();
        for step in &rest {
            prop_assert!(shown.contains(&key(step)), "{step:?}");
        }
        let (through, _, by_hand) = carry_out(&before, &wanted);
        let (resumed, _, _) = carry_out(&stopped, &wanted);
        if by_hand == 0 {
            prop_assert_eq!(through, resumed);
        }
    }
}

/// An open or shut drive, with the masters and nobody else in it.
fn drive(reach: Reach, right: Right) -> Model {
    Model {
        reach,
        right,
        masters: BTreeSet::from([MASTER]),
        denied: BTreeSet::new(),
        grants: BTreeMap::new(),
        folders: BTreeMap::new(),
    }
}

/// A plan in words, the calls before the remarks.
fn told(wanted: &Wanted, there: &There) -> Vec<String> {
    let (steps, remarks) = decide(wanted, there);
    let names = |who: &[Party]| {
        who.iter()
            .map(|one| one.id.as_str())
            .collect::<Vec<_>>()
            .join("+")
    };
    let steps = steps.iter().map(|step| {
        let turn = match step.turn {
            Turn::Shut => "shut",
            Turn::LetBack => "back",
            Turn::LetIn => "in",
        };
        format!(
            "{turn}: {} {} {} {}",
            step.action,
            step.path.as_str(),
            names(&step.who),
            step.to
        )
    });
    let remarks = remarks.iter().map(|remark| {
        let (who, path) = (names(&remark.who), remark.path.as_str());
        format!(
            "{}: {} {path} {who} {}",
            remark.outcome, remark.action, remark.reason
        )
    });
    steps.chain(remarks).collect()
}

#[test]
fn a_drive_is_shut_then_its_folders_and_only_then_people_are_let_in() {
    let mut wanted = drive(Reach::Members, Right::Write);
    wanted.masters.insert(1);
    wanted.grants = BTreeMap::from([(2, Right::Write), (3, Right::Read)]);
    wanted.folders = BTreeMap::from([(0, BTreeMap::from([(2, Right::Read)]))]);
    let before = drive(Reach::Domain, Right::Write);
    assert_eq!(
        told(&wanted.wanted(), &before.there()),
        [
            "shut: masters / 1 MASTER",
            "shut: shut /  MEMBER",
            "shut: restrict /folder 0  own",
            "in: grant / 2 WRITE",
            "in: grant / 3 READ",
            "in: grant /folder 0 2 READ",
        ]
    );
    // Who is in the drive already is let back into the folder at once.
    let mut inside = drive(Reach::Members, Right::Write);
    inside.grants = wanted.grants.clone();
    assert_eq!(
        told(&wanted.wanted(), &inside.there()),
        [
            "shut: masters / 1 MASTER",
            "shut: restrict /folder 0  own",
            "back: grant /folder 0 2 READ",
        ]
    );
    // A drive that is to be opened is opened after its folders are shut, with its denials in the same call.
    let mut open = drive(Reach::Domain, Right::Read);
    open.denied.insert(4);
    open.folders = wanted.folders.clone();
    assert_eq!(
        told(&open.wanted(), &drive(Reach::Members, Right::Write).there()),
        [
            "shut: restrict /folder 0  own",
            "in: open / 4 DOMAIN READ",
            "in: grant /folder 0 2 READ",
        ]
    );
}

#[test]
fn what_no_order_makes_safe_is_left_to_a_person() {
    let people = BTreeMap::from([(2, Right::Write)]);
    // Shutting is refused while folders have permissions of their own: nothing else is done either.
    let mut wanted = drive(Reach::Members, Right::Write);
    wanted.grants = people.clone();
    let mut there = drive(Reach::Tenant, Right::Write);
    there.folders = BTreeMap::from([(1, people.clone())]);
    assert_eq!(
        told(&wanted.wanted(), &there.there()),
        [
            "by-hand: shut /  folders-have-permissions",
            "by-hand: grant / 2 folders-have-permissions",
            "only-in-target: restrict /folder 1  ",
        ]
    );
    // Opening would take away what was given.
    let mut there = drive(Reach::Members, Right::Write);
    there.grants = people.clone();
    assert_eq!(
        told(&drive(Reach::Tenant, Right::Read).wanted(), &there.there()),
        ["by-hand: open /  permissions-would-go"]
    );
    // A drive that keeps somebody out cannot go to the whole tenant.
    let mut there = drive(Reach::Domain, Right::Read);
    there.denied.insert(2);
    assert_eq!(
        told(&drive(Reach::Tenant, Right::Read).wanted(), &there.there()),
        ["by-hand: open /  has-denials"]
    );
    // Who is kept out and has no place in the target would get in.
    let mut wanted = drive(Reach::Domain, Right::Read).wanted();
    wanted.unplaced.push(Unplaced {
        path: DrivePath::root(),
        party: party(4),
        role: Role::Denied,
        reason: "no-target",
    });
    assert_eq!(
        told(&wanted, &drive(Reach::Members, Right::Write).there()),
        ["unmapped: deny / 4 no-target", "by-hand: open /  denied-unmapped"]
    );
    // With nobody to let in, shutting would lock out everybody.
    let mut wanted = drive(Reach::Members, Right::Write).wanted();
    wanted.unplaced.push(Unplaced {
        path: DrivePath::root(),
        party: party(4),
        role: Role::Granted(Right::Read),
        reason: "no-rule",
    });
    assert_eq!(
        told(&wanted, &drive(Reach::Domain, Right::Write).there()),
        ["unmapped: grant / 4 no-rule", "by-hand: shut /  nobody-mapped"]
    );
    // A folder's list may name who is not let into the drive, a group, or a folder that is not there.
    let mut wanted = drive(Reach::Members, Right::Write).wanted();
    let group = Party {
        kind: PartyKind::Group,
        ..party(3)
    };
    let (path, entry) = folder(0);
    wanted.folders.push(WantedFolder {
        path,
        entry: Some(entry),
        grants: vec![(party(2), Right::Read), (group, Right::Read)],
    });
    wanted.folders.push(WantedFolder {
        path: folder(1).0,
        entry: None,
        grants: Vec::new(),
    });
    assert_eq!(
        told(&wanted, &drive(Reach::Members, Right::Write).there()),
        [
            "shut: restrict /folder 0  own",
            "by-hand: grant /folder 0 2 not-in-drive",
            "by-hand: grant /folder 0 3 members-only",
            "by-hand: restrict /folder 1  not-in-target",
        ]
    );
    // Somebody outside has an old right on a folder, which would count as soon as they are let in.
    let mut wanted = drive(Reach::Members, Right::Write);
    wanted.grants = people.clone();
    let mut there = drive(Reach::Members, Right::Write);
    there.folders = BTreeMap::from([(1, people)]);
    assert_eq!(
        told(&wanted.wanted(), &there.there()),
        [
            "by-hand: grant / 2 old-folder-permission",
            "only-in-target: restrict /folder 1  ",
        ]
    );
}
