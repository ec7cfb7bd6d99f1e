//! The directory: members, groups and shared drives, and the lists that are read page by page.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::{Tenant, text, wire};
use crate::api::auth::Bearer;
use crate::api::http::address::segment;
use crate::api::http::{Call, Work};
use crate::api::read::News;
use crate::drive::{ErrorKind, Result};

/// Entries asked for in one page of a directory list, the most that are given. More brings an empty page and no error
/// (API 2.0 docs, EN/user-list, and field reports).
const DIRECTORY_PAGE: &str = "100";

/// Lists that take a `domainId` (API 2.0 docs, EN/user-list and EN/group-list).
const DOMAIN_LISTS: [&str; 2] = ["/users", "/groups"];

impl Tenant {
    /// Reads a whole list of the directory: of the tenant's domain, where the tenant file names one and the list knows domains.
    pub(super) async fn directory(
        &self,
        operation: &'static str,
        path: &str,
        names: &[&str],
    ) -> Result<Vec<Value>> {
        let domain = self.domain_id.as_deref();
        let domain = domain.filter(|_| DOMAIN_LISTS.contains(&path));
        let mut query = vec![("count", DIRECTORY_PAGE)];
        query.extend(domain.map(|domain| ("domainId", domain)));
        self.pages(operation, path, path, Bearer::Directory, &query, names)
            .await
    }

    /// Reads a whole list, with pages of so many entries.
    pub(super) async fn list(
        &self,
        operation: &'static str,
        subject: &str,
        path: &str,
        bearer: Bearer,
        count: Option<&str>,
        names: &[&str],
    ) -> Result<Vec<Value>> {
        let query = Vec::from_iter(count.map(|count| ("count", count)));
        self.pages(operation, subject, path, bearer, &query, names).await
    }

    /// Reads every page, until there is no cursor. A cursor that comes twice is an error, and so are pages without anything new.
    async fn pages(
        &self,
        operation: &'static str,
        subject: &str,
        path: &str,
        bearer: Bearer,
        query: &[(&str, &str)],
        names: &[&str],
    ) -> Result<Vec<Value>> {
        let work = Work {
            operation,
            subject: subject.to_owned(),
        };
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        let mut news = News::default();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let url = self.url(path, &query, &work)?;
            let call = Call::get(operation, subject, url, bearer.clone());
            let (next, items) = self
                .client
                .call(&call, |answer| {
                    let raw = answer.json()?;
                    let next = wire::next_cursor(&raw)?;
                    Ok((next, wire::items(raw, names)?))
                })
                .await?;
            news.take(items.iter().map(Value::to_string))
                .map_err(|message| work.error(ErrorKind::Protocol, message))?;
            all.extend(items);
            match next {
                None => return Ok(all),
                Some(next) if seen.insert(next.clone()) => cursor = Some(next),
                Some(_) => {
                    return Err(work.error(
                        ErrorKind::Protocol,
                        "the list returned to a page that was read already",
                    ));
                }
            }
        }
    }

    /// A member as the directory tells.
    pub(super) async fn user(&self, member: &str) -> Result<Value> {
        let work = Work {
            operation: "users.get",
            subject: format!("users/{member}"),
        };
        let part =
            segment(member).ok_or_else(|| work.error(ErrorKind::NotFound, "an id that fits no address"))?;
        let url = self.url(&format!("/users/{part}"), &[], &work)?;
        let call = Call::get(work.operation, work.subject, url, Bearer::Directory);
        Ok(self.client.call(&call, |answer| answer.json()).await?)
    }

    /// The login mail of a member, which delegated tokens are minted for: the word itself where it is a mail, else as
    /// the directory tells.
    pub(super) async fn mail_of(&self, member: &str) -> Result<Arc<str>> {
        if member.contains('@') {
            return Ok(Arc::from(member));
        }
        let known = self
            .mails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(member)
            .cloned();
        if let Some(mail) = known {
            return Ok(mail);
        }
        let user = self.user(member).await?;
        let mail = text(&user, "email").ok_or_else(|| {
            Work {
                operation: "users.get",
                subject: format!("users/{member}"),
            }
            .error(ErrorKind::Protocol, "the directory tells no mail")
        })?;
        self.remember_mail(member, &mail);
        Ok(Arc::from(mail))
    }
}
