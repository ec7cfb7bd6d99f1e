//! Who is in a drive, who will be in it, and what that keeps from being done by calls.

use super::{Blocked, Maker, holds};
use crate::drive::{Party, PartyKind, Reach, Right};

impl Maker<'_> {
    /// Whether somebody is in the drive already, and stays in while it is worked on.
    pub(super) fn is_in(&self, party: &Party) -> bool {
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
    pub(super) fn lingers(&self, is_met: impl Fn(&Party) -> bool) -> bool {
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
    pub(super) fn outsider(&self, party: &Party) -> Option<Blocked> {
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
}
