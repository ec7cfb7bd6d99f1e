//! From the words of a job to the roots of drives, readable or refused.

use serde_json::Value;

use super::{Op, Spot, Tenant, name, named, wire};
use crate::api::auth::table::{directory, each_member, member};
use crate::api::http::address::segment;
use crate::api::http::{Answer, Call, Work};
use crate::api::read::text;
use crate::api::retry::Budget;
use crate::drive::{Error, ErrorKind, Result};
use crate::entry::{Access, Entry, Quota, Root, Scope};
use crate::filter::WordGlob;
use crate::id::{DriveId, FileId};

impl Tenant {
    /// The roots that a scope stands for.
    pub(super) async fn scope_roots(&self, scope: &Scope) -> Result<Vec<Root>> {
        match scope {
            Scope::Me => self.my_drive().await.map(|root| vec![root]),
            Scope::User(id) => self.one_user(id).await.map(|root| vec![root]),
            Scope::Users(pattern) => self.users(pattern).await,
            Scope::SharedDrive(id) => {
                let root = self.one(format!("sharedrives/{id}"), id, &["name"]).await?;
                Ok(vec![root])
            }
            Scope::SharedDrives(pattern) => self.shared_drives(pattern).await,
            Scope::Group(id) => {
                let root = self.one(format!("groups/{id}"), id, &["name"]).await?;
                Ok(vec![root])
            }
            Scope::Groups(pattern) => self.groups(pattern).await,
            Scope::SharedFolders { member, pattern } => self.shared_folders(member, pattern).await,
            Scope::Key { .. } => Ok(vec![refused(
                scope.to_string(),
                &scope.to_string(),
                ErrorKind::Unsupported.code(),
                "only the classic API names folders by location and key",
            )]),
        }
    }

    /// The acting member's drive. Its quota costs one call, and only a dead token makes that matter: whether the drive
    /// can be read, its listing will tell.
    async fn my_drive(&self) -> Result<Root> {
        let drive = DriveId::new("me");
        if let Err(missing) = member(&self.credentials) {
            return Ok(refused("me", "me", "denied", &missing.to_string()));
        }
        let spot = self.spot(&drive).await?;
        let mut budget = self.client.short_budget();
        let quota = match self.properties_within(&mut budget, &drive, &spot).await {
            Ok(raw) => wire::quota(&raw),
            Err(error) if error.kind == ErrorKind::Unauthenticated => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "the quota could not be read");
                None
            }
        };
        Ok(readable(drive, "me".to_owned(), quota))
    }

    async fn one_user(&self, id: &str) -> Result<Root> {
        let word = format!("users/{id}");
        if let Err(missing) = each_member(&self.credentials) {
            return Ok(refused(word, id, "denied", &missing.to_string()));
        }
        let root = self.one(word.clone(), id, &[]).await?;
        let Access::Refused { .. } = root.access else {
            return Ok(root);
        };
        // The directory may know why: members who left or are barred cannot be acted for.
        if directory(&self.credentials).is_ok()
            && let Ok(user) = self.user(id).await
            && let Some((reason, message)) = self.barred(&user)
        {
            return Ok(refused(word, id, reason, message));
        }
        Ok(root)
    }

    async fn users(&self, pattern: &str) -> Result<Vec<Root>> {
        if let Err(missing) = directory(&self.credentials) {
            return Err(denied("users.list", "users", &missing.to_string()));
        }
        let matcher = matcher(pattern, "users.list")?;
        let unopened = each_member(&self.credentials).err();
        let mut roots = Vec::new();
        for user in self.directory("users.list", "/users", &["users"]).await? {
            let mail = text(&user, "email");
            let Some(id) = text(&user, "userId") else {
                if mail.is_none_or(|mail| matches(&matcher, &mail)) {
                    let message = "the directory lists a member without an id";
                    roots.push(nameless("users", message));
                }
                continue;
            };
            let words = [Some(&id), mail.as_ref()];
            if !words.into_iter().flatten().any(|word| matches(&matcher, word)) {
                continue;
            }
            if let Some(mail) = &mail {
                self.remember_mail(&id, mail);
            }
            let name = mail.unwrap_or_else(|| id.clone());
            let word = format!("users/{id}");
            roots.push(match (self.barred(&user), unopened) {
                (Some((reason, message)), _) => refused(word, &name, reason, message),
                (None, Some(missing)) => refused(word, &name, "denied", &missing.to_string()),
                (None, None) => readable(DriveId::new(word), name, None),
            });
        }
        Ok(roots)
    }

    /// Why nobody can act for a member, or read their drive.
    fn barred(&self, user: &Value) -> Option<(&'static str, &'static str)> {
        let is = |flag: &str| user.get(flag).and_then(Value::as_bool) == Some(true);
        if is("isDeleted") {
            Some(("deleted", "the member is deleted"))
        } else if is("isPending") {
            Some(("pending", "the member has not joined yet"))
        } else if is("isSuspended") && self.credentials.can_delegate() {
            // Delegation to a suspended account fails (field reports; API 2.0 docs do not speak of it).
            Some((
                "suspended",
                "the member is suspended, and nobody can act for them",
            ))
        } else {
            None
        }
    }

    async fn shared_drives(&self, pattern: &str) -> Result<Vec<Root>> {
        if let Err(missing) = member(&self.credentials) {
            return Err(denied("sharedrives.list", "sharedrives", &missing.to_string()));
        }
        let matcher = matcher(pattern, "sharedrives.list")?;
        let bearer = self.own_bearer().await?;
        let drives = self
            .list(
                "sharedrives.list",
                "sharedrives",
                "/sharedrives",
                bearer,
                None,
                &["sharedrives", "sharedDrives"],
            )
            .await?;
        Ok(self.matching(drives, &matcher, "sharedrives", "sharedriveId", &["name"]))
    }

    async fn groups(&self, pattern: &str) -> Result<Vec<Root>> {
        if let Err(missing) = directory(&self.credentials) {
            return Err(denied("groups.list", "groups", &missing.to_string()));
        }
        let matcher = matcher(pattern, "groups.list")?;
        let mut groups = self.directory("groups.list", "/groups", &["groups"]).await?;
        groups.retain(|group| group.get("useFolder") != Some(&Value::Bool(false)));
        let roots = self.matching(groups, &matcher, "groups", "groupId", &["groupName", "name"]);
        let Err(missing) = member(&self.credentials) else {
            return Ok(roots);
        };
        Ok(roots
            .into_iter()
            .map(|root| {
                let word = root.entry.drive.to_string();
                refused(word, &root.name, "denied", &missing.to_string())
            })
            .collect())
    }

    async fn shared_folders(&self, owner: &str, pattern: &str) -> Result<Vec<Root>> {
        let owner_word = match owner {
            "me" => "me".to_owned(),
            member => format!("users/{member}"),
        };
        let spot = self.spot(&DriveId::new(owner_word.clone())).await?;
        let prefix = format!("{owner_word}/sharedfolders");
        if !pattern.contains(['*', '?', '[', '{']) {
            let word = format!("{prefix}/{pattern}");
            let root = self.one(word, pattern, &["sharedFolderName", "name"]).await?;
            return Ok(vec![root]);
        }
        let matcher = matcher(pattern, "drive.sharedfolders")?;
        let path = format!("{}/sharedfolders", spot.place.path);
        let folders = self
            .list(
                "drive.sharedfolders",
                &prefix,
                &path,
                spot.bearer,
                Some("200"),
                &["result", "sharedFolders"],
            )
            .await?;
        let names = ["sharedFolderName", "name"];
        Ok(self.matching(folders, &matcher, &prefix, "sharedFolderId", &names))
    }

    /// The roots among listed objects whose id or name matches.
    fn matching(
        &self,
        listed: Vec<Value>,
        matcher: &WordGlob,
        prefix: &str,
        id_field: &str,
        name_fields: &[&str],
    ) -> Vec<Root> {
        let mut roots = Vec::new();
        for raw in listed {
            let Some(id) = text(&raw, id_field).filter(|id| segment(id).is_some()) else {
                if named(&raw, name_fields).is_none_or(|name| matches(matcher, &name)) {
                    let message = format!("the list holds an object without '{id_field}'");
                    roots.push(nameless(prefix, &message));
                }
                continue;
            };
            let name = named(&raw, name_fields).unwrap_or_else(|| id.clone());
            if matches(matcher, &id) || matches(matcher, &name) {
                let drive = DriveId::new(format!("{prefix}/{id}"));
                roots.push(readable(drive, name, wire::quota(&raw)));
            }
        }
        roots
    }

    /// One named root, looked at before the walk begins there.
    async fn one(&self, word: String, shown: &str, names: &[&str]) -> Result<Root> {
        let drive = DriveId::new(word.clone());
        let looked = match self.spot(&drive).await {
            Ok(spot) => self.properties(&drive, &spot).await,
            Err(error) => Err(error),
        };
        match looked {
            Ok(raw) => {
                let name = named(&raw, names).unwrap_or_else(|| shown.to_owned());
                Ok(readable(drive, name, wire::quota(&raw)))
            }
            Err(error) => match error.kind {
                ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Unsupported => {
                    Ok(refused(word, shown, error.kind.code(), &error.message))
                }
                _ => Err(error),
            },
        }
    }

    /// What the service says of a drive: `GET {R}`.
    pub(super) async fn properties(&self, drive: &DriveId, spot: &Spot) -> Result<Value> {
        self.properties_within(&mut self.client.budget(), drive, spot)
            .await
    }

    async fn properties_within(&self, budget: &mut Budget, drive: &DriveId, spot: &Spot) -> Result<Value> {
        let work = Work {
            operation: name(spot.place.family, Op::Get),
            subject: drive.to_string(),
        };
        let url = self.url(&spot.place.path, &[], &work)?;
        let call = Call::get(work.operation, work.subject, url, spot.bearer.clone());
        let read = |answer: &Answer| answer.json();
        Ok(self.client.call_within(budget, &call, read).await?)
    }
}

fn readable(drive: DriveId, name: String, quota: Option<Quota>) -> Root {
    Root {
        entry: Entry::root(drive, FileId::new(FileId::ROOT)),
        name,
        quota,
        access: Access::Readable,
    }
}

fn refused(word: impl Into<String>, name: &str, reason: &str, message: &str) -> Root {
    Root {
        access: Access::Refused {
            reason: reason.to_owned(),
            message: message.to_owned(),
        },
        ..readable(DriveId::new(word.into()), name.to_owned(), None)
    }
}

/// What stands for a listed drive without an id: it cannot be opened, and must not be passed over.
fn nameless(prefix: &str, message: &str) -> Root {
    let word = format!("{prefix}/(no id)");
    refused(word.clone(), &word, ErrorKind::Protocol.code(), message)
}

fn denied(operation: &'static str, subject: &str, message: &str) -> Error {
    Error::new(ErrorKind::Denied, operation, subject, message)
}

/// A pattern on names and ids, whatever the case.
fn matcher(pattern: &str, operation: &'static str) -> Result<WordGlob> {
    WordGlob::new(&pattern.to_lowercase(), false).map_err(|error| {
        Error::new(
            ErrorKind::Unsupported,
            operation,
            pattern,
            format!("the pattern cannot be read: {error}"),
        )
    })
}

/// Letters of every script are compared in lower case; the matcher alone does so for ASCII.
fn matches(matcher: &WordGlob, word: &str) -> bool {
    matcher.is_match(&word.to_lowercase())
}
