//! Looks at both sides of a migration, and makes the plan of what is to be done.

use std::collections::{BTreeMap, HashMap};

use super::decide::{Role, There, Unplaced, Wanted, WantedFolder, decide};
use super::people::People;
use super::record::{FOLDERS_PER_CLAIM, has_own};
use super::{DrivePlan, PermissionPlan, Remark};
use crate::drive::{Drive, Error as DriveError, ErrorKind, Grant, Party, Reach, Rules};
use crate::entry::{Entry, Root};
use crate::id::{DriveId, Family, FileId};
use crate::ledger::Ledger;
use crate::migrate::Error;
use crate::path::DrivePath;

/// Both sides of a migration.
#[derive(Clone, Copy, Debug)]
pub struct Survey<'a> {
    /// The source.
    pub source: &'a dyn Drive,
    /// The target.
    pub target: &'a dyn Drive,
    /// A listing of the source.
    pub source_list: &'a Ledger,
    /// A listing of the target that is no older than the last upload.
    pub target_list: &'a Ledger,
    /// The migration's journal, which knows the twin of each folder.
    pub journal: &'a Ledger,
    /// The target of each drive of the source.
    pub targets: &'a HashMap<DriveId, Root>,
}

/// Folders with permissions of their own, by drive.
type Restricted = BTreeMap<DriveId, Vec<(DrivePath, Entry)>>;

/// Makes the plan. Both sides are only read.
///
/// # Errors
/// When a token is refused or a ledger fails. A drive that cannot be read is a remark.
pub async fn plan_permissions(survey: &Survey<'_>, people: &mut People<'_>) -> Result<PermissionPlan, Error> {
    let at_source = restricted(survey.source_list).await?;
    let mut at_target = restricted(survey.target_list).await?;
    let mut plan = PermissionPlan::default();
    let mut pairs: Vec<(&DriveId, &Root)> = survey
        .targets
        .iter()
        .filter(|(source, target)| {
            source.family() == Family::SharedDrive && target.entry.drive.family() == Family::SharedDrive
        })
        .collect();
    pairs.sort_by_key(|(source, _)| *source);
    for (source, target) in pairs {
        let folders = at_source.get(source).map(Vec::as_slice).unwrap_or_default();
        let there = at_target.remove(&target.entry.drive).unwrap_or_default();
        let drive = one_drive(survey, people, source, &target.entry, folders, there).await?;
        plan.drives.push(drive);
    }
    Ok(plan)
}

async fn one_drive(
    survey: &Survey<'_>,
    people: &mut People<'_>,
    source: &DriveId,
    target: &Entry,
    folders: &[(DrivePath, Entry)],
    there: Vec<(DrivePath, Entry)>,
) -> Result<DrivePlan, Error> {
    let root = Entry::root(source.clone(), FileId::new(FileId::ROOT));
    let mut plan = DrivePlan {
        source: source.clone(),
        target: target.clone(),
        wanted: None,
        restricted: Vec::new(),
        steps: Vec::new(),
        remarks: Vec::new(),
    };
    let (wanted, mut unread) = match wanted(survey, people, &root, folders).await? {
        Ok(found) => found,
        Err(error) => {
            plan.remarks.push(unreadable(DrivePath::root(), "source", &error));
            return Ok(plan);
        }
    };
    match look(survey.target, target, there.clone()).await? {
        Ok(now) => {
            (plan.steps, plan.remarks) = decide(&wanted, &now);
            plan.remarks.append(&mut unread);
            plan.wanted = Some(wanted);
            plan.restricted = there;
        }
        Err(error) => plan.remarks.push(unreadable(DrivePath::root(), "target", &error)),
    }
    Ok(plan)
}

/// What the drive should be like; with remarks on folders that could not be read. Those are to be shut, since nothing is
/// known of who may get in.
async fn wanted(
    survey: &Survey<'_>,
    people: &mut People<'_>,
    root: &Entry,
    folders: &[(DrivePath, Entry)],
) -> Result<Result<(Wanted, Vec<Remark>), DriveError>, Error> {
    let sharing = match asked(survey.source.sharing(root).await)? {
        Ok(sharing) => sharing,
        Err(error) => return Ok(Err(error)),
    };
    let mut unread = Vec::new();
    let mut wanted = Wanted::nothing();
    let top = DrivePath::root();
    if let Some(rules) = sharing.rules {
        wanted.rules.reach = rules.reach;
        wanted.rules.right = rules.right;
        for party in &rules.masters {
            if let Some(party) = placed(people, &mut wanted, &top, party, Role::Master).await? {
                wanted.rules.masters.push(party);
            }
        }
        for party in &rules.denied {
            if let Some(party) = placed(people, &mut wanted, &top, party, Role::Denied).await? {
                wanted.rules.denied.push(party);
            }
        }
    }
    wanted.grants = granted(people, &mut wanted, &top, sharing.grants).await?;
    for (path, folder) in folders {
        let twin = survey
            .journal
            .folder_in_target(folder.drive.clone(), folder.id.clone())
            .await?;
        let grants = match asked(survey.source.sharing(folder).await)? {
            Ok(sharing) => granted(people, &mut wanted, path, sharing.grants).await?,
            Err(error) => {
                unread.push(unreadable(path.clone(), "source", &error));
                Vec::new()
            }
        };
        wanted.folders.push(WantedFolder {
            path: path.clone(),
            entry: twin,
            grants,
        });
    }
    Ok(Ok((wanted, unread)))
}

/// What the drive is like now. `folders` are those known to have permissions of their own.
pub(super) async fn look(
    drive: &dyn Drive,
    root: &Entry,
    folders: Vec<(DrivePath, Entry)>,
) -> Result<Result<There, DriveError>, Error> {
    let sharing = match asked(drive.sharing(root).await)? {
        Ok(sharing) => sharing,
        Err(error) => return Ok(Err(error)),
    };
    let mut there = There {
        root: root.clone(),
        rules: sharing.rules.unwrap_or_else(nothing),
        grants: sharing.grants,
        folders: BTreeMap::new(),
    };
    for (path, folder) in folders {
        match asked(drive.sharing(&folder).await)? {
            Ok(sharing) => {
                there.folders.insert(folder.id, (path, sharing.grants));
            }
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(there))
}

/// An error that ends the run comes out; any other is about one thing.
pub(super) fn asked<T>(answer: Result<T, DriveError>) -> Result<Result<T, DriveError>, Error> {
    match answer {
        Err(error) if matches!(error.kind, ErrorKind::Unauthenticated | ErrorKind::Cancelled) => {
            Err(error.into())
        }
        answer => Ok(answer),
    }
}

async fn granted(
    people: &mut People<'_>,
    wanted: &mut Wanted,
    path: &DrivePath,
    grants: Vec<Grant>,
) -> Result<Vec<(Party, crate::drive::Right)>, Error> {
    let mut found: Vec<(Party, crate::drive::Right)> = Vec::new();
    for grant in grants {
        let role = Role::Granted(grant.right);
        if let Some(party) = placed(people, wanted, path, &grant.party, role).await? {
            // Two of the source may be one in the target: the greater right counts, as it did for both together.
            match found.iter_mut().find(|(known, _)| known.is(&party)) {
                Some((_, right)) => *right = (*right).max(grant.right),
                None => found.push((party, grant.right)),
            }
        }
    }
    Ok(found)
}

async fn placed(
    people: &mut People<'_>,
    wanted: &mut Wanted,
    path: &DrivePath,
    party: &Party,
    role: Role,
) -> Result<Option<Party>, Error> {
    match people.place(party).await? {
        Ok(party) => Ok(Some(party)),
        Err(reason) => {
            wanted.unplaced.push(Unplaced {
                path: path.clone(),
                party: party.clone(),
                role,
                reason,
            });
            Ok(None)
        }
    }
}

async fn restricted(list: &Ledger) -> Result<Restricted, Error> {
    let mut found = Restricted::new();
    let mut after = 0;
    loop {
        let folders = list
            .listed_folders(Family::SharedDrive, after, FOLDERS_PER_CLAIM)
            .await?;
        let Some(last) = folders.last() else { break };
        after = last.no;
        for folder in folders {
            if has_own(&folder) && !folder.path.is_root() {
                found
                    .entry(folder.entry.drive.clone())
                    .or_default()
                    .push((folder.path, folder.entry));
            }
        }
    }
    for folders in found.values_mut() {
        folders.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    }
    Ok(found)
}

fn unreadable(path: DrivePath, side: &str, error: &DriveError) -> Remark {
    Remark {
        path,
        action: "read",
        who: Vec::new(),
        from: String::new(),
        to: String::new(),
        outcome: "by-hand",
        reason: error.kind.code(),
        detail: format!("the permissions of the {side} cannot be read: {error}"),
    }
}

fn nothing() -> Rules {
    Rules {
        reach: Reach::Members,
        right: crate::drive::Right::Write,
        masters: Vec::new(),
        denied: Vec::new(),
    }
}

impl Wanted {
    fn nothing() -> Wanted {
        Wanted {
            rules: nothing(),
            grants: Vec::new(),
            folders: Vec::new(),
            unplaced: Vec::new(),
        }
    }
}
