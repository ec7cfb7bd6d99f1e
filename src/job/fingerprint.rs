//! What a run depends on, as a stable text: so that a changed job file is not taken for the one that was begun.

use serde_json::{Map, Value, json};

use super::tenant::{Reference, Tenant, Text};
use super::{Delivery, Job, JobKind, SnapshotChoice, TenantRef, To};
use crate::entry::{OnConflict, Scope};

impl Job {
    /// A text that is the same for two jobs exactly when a run of the one may carry on as a run of the other: kind, tenant,
    /// drives, filter and whatever else decides on what is stored. Limits, window, notifications and reports are not in it.
    ///
    /// `tenant` is the tenant file that the job names, where it names one. Texts that are referred to count by their
    /// reference, secrets not at all.
    pub fn fingerprint(&self, tenant: Option<&Tenant>) -> String {
        let mut facts = Map::new();
        let mut put = |key: &str, value: Value| facts.insert(key.to_owned(), value);
        put("kind", json!(self.kind.word()));
        let tenant = match (&self.tenant, tenant) {
            (_, Some(tenant)) => Some(tenant),
            (Some(TenantRef::Inline(tenant)), None) => Some(tenant.as_ref()),
            _ => None,
        };
        put(
            "tenant",
            json!({
                "file": self.tenant.as_ref().map(tenant_name),
                "is": tenant.map(tenant_facts),
            }),
        );
        put("archive", json!(self.archive));
        put("drives", words(&self.drives));
        put("exclude-drives", words(&self.exclude_drives));
        let filter = &self.filter;
        put(
            "filter",
            json!({
                "include": filter.include,
                "exclude": filter.exclude,
                "max-size": filter.max_size,
                "min-size": filter.min_size,
                "modified-after": filter.modified_after.map(|time| time.to_string()),
                "modified-before": filter.modified_before.map(|time| time.to_string()),
                "kinds": filter.kinds,
            }),
        );
        put("infected", json!(self.infected));
        put("depth", json!(self.depth));
        match &self.kind {
            JobKind::Restore(options) => {
                put("snapshot", snapshot(Some(&options.snapshot)));
                put(
                    "target-drive",
                    json!(options.target_drive.as_ref().map(Scope::to_string)),
                );
                put("delivery", delivery(&options.delivery));
            }
            JobKind::Migrate(options) => {
                put("delivery", delivery(&options.delivery));
                put("keep", json!(options.keep));
                put("pass", json!(options.pass));
                put("deletions", json!(options.deletions));
                put("deletion-limit", json!(options.deletion_limit.to_string()));
                put("unmapped", json!(options.unmapped));
            }
            JobKind::Verify(options) => {
                put("snapshot", snapshot(options.snapshot.as_ref()));
                put("sample", json!(options.sample.to_string()));
                put("older-than", json!(options.older_than.map(|age| age.as_secs())));
            }
            JobKind::Backup | JobKind::Audit | JobKind::Prune => {}
        }
        Value::Object(facts).to_string()
    }
}

/// The keys in which two fingerprints differ, in their order; empty when they are the same or one cannot be read.
pub fn changed_keys(before: &str, now: &str) -> Vec<String> {
    let read = |text: &str| -> Map<String, Value> {
        match serde_json::from_str(text) {
            Ok(Value::Object(facts)) => facts,
            _ => Map::new(),
        }
    };
    let (before, now) = (read(before), read(now));
    let gone = before.keys().filter(|key| !now.contains_key(*key));
    now.keys()
        .filter(|key| before.get(*key) != now.get(*key))
        .chain(gone)
        .cloned()
        .collect()
}

fn words(scopes: &[Scope]) -> Value {
    let mut words: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    words.sort_unstable();
    json!(words)
}

fn tenant_name(tenant: &TenantRef) -> &str {
    match tenant {
        TenantRef::Path(name) => name,
        TenantRef::Inline(_) => "inline",
    }
}

fn tenant_facts(tenant: &Tenant) -> Value {
    let simulated = tenant.simulator.as_ref().map(|simulated| {
        json!([
            simulated.seed,
            simulated.files,
            simulated.folders,
            simulated.size,
            simulated.members,
            simulated.shared_drives,
            simulated.groups,
            simulated.import,
            simulated.face,
        ])
    });
    json!({
        "api": tenant.api,
        "api-id": tenant.api_id.as_ref().map(text),
        "domain": tenant.domain.as_ref().map(text),
        "domain-id": tenant.domain_id,
        "client-id": tenant.auth.client_id.as_ref().map(text),
        "service-account": tenant.auth.service_account.as_ref().map(text),
        "delegate": tenant.auth.delegate,
        "member": tenant.auth.member.as_ref().map(text),
        "endpoint": text(&tenant.endpoints.api),
        "simulator": simulated,
    })
}

fn text(text: &Text) -> Value {
    match text {
        Text::Plain(text) => json!(text),
        Text::Reference(Reference::Env(name)) => json!({ "env": name }),
        Text::Reference(Reference::File(name)) => json!({ "file": name }),
        Text::Reference(Reference::Command(words)) => json!({ "command": words }),
    }
}

fn snapshot(choice: Option<&SnapshotChoice>) -> Value {
    match choice {
        None => Value::Null,
        Some(SnapshotChoice::Latest) => json!("latest"),
        Some(SnapshotChoice::Day(date)) => json!(date.to_string()),
        Some(SnapshotChoice::Named(id)) => json!(id.as_str()),
    }
}

fn delivery(delivery: &Delivery) -> Value {
    let to = match &delivery.to {
        To::Original => json!("original"),
        To::Folder(name) => json!({ "folder": name }),
        To::Local(folder) => json!({ "file": folder }),
    };
    let on_conflict = match delivery.on_conflict {
        OnConflict::Skip => "skip",
        OnConflict::Overwrite => "overwrite",
        OnConflict::Rename => "rename",
        OnConflict::Fail => "fail",
    };
    let target = delivery.target.as_ref();
    let facts = match target {
        Some(TenantRef::Inline(tenant)) => Some(tenant_facts(tenant)),
        _ => None,
    };
    json!({
        "target": target.map(tenant_name),
        "target-is": facts,
        "to": to,
        "on-conflict": on_conflict,
        "map": delivery.map,
        "permissions": delivery.permissions,
    })
}
