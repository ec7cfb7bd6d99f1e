//! What no call does, and what stays as it is: told, so that a person can see to it.

use super::{Maker, Role, rule, without};
use crate::drive::{Party, Reach};
use crate::migrate::permissions::Remark;
use crate::path::DrivePath;

impl Maker<'_> {
    pub(super) fn unplaced(&mut self) {
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

    /// A drive that cannot be shut is left as it is: what would follow could open it to the wrong people.
    pub(super) fn by_hand_altogether(&mut self, reason: &'static str, detail: &'static str) {
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
    pub(super) fn only_there(&mut self) {
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

    pub(super) fn by_hand(
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
