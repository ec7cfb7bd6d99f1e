//! Job and tenant files: text in, a checked [`Job`] or [`Tenant`] out, or everything that is wrong with it.
//!
//! A file is read into a tree that knows its lines, the tree is held against the schema of the raw types, and what
//! fits is resolved into the types here, with defaults filled in. No file is opened: a tenant file that a job names is
//! read by the caller.

mod check;
mod choice;
mod credentials;
mod findings;
mod fingerprint;
mod model;
mod problem;
mod raw;
mod raw_tenant;
mod resolve;
mod resolve_tenant;
mod tenant;
mod tree;
pub mod unit;
mod word;

use std::path::{Component, Path, PathBuf};

use schemars::generate::SchemaSettings;
use serde::Deserialize;

pub use self::choice::{
    Deletions, Depth, Infected, Keep, Language, NotifyBody, Pass, Permissions, Repeat, Unmapped,
};
pub use self::credentials::{Credential, Service, check_credentials, check_target, service};
pub use self::fingerprint::changed_keys;
pub use self::model::{
    Alarms, Delivery, Job, JobKind, Limits, MigrateOptions, Notify, RestoreOptions, Retention,
    SnapshotChoice, SpotCheck, TenantRef, To, VerifyOptions,
};
pub use self::problem::{Fault, Problem};
pub use self::tenant::{
    Api, Auth, Endpoints, Face, Plan, Reference, SimulatedTenant, Templates, Tenant, Text, check_endpoint,
};
pub use self::tree::Format;
pub use self::unit::{Requests, Share, Weekday, Window, WindowEnd};

/// Reads a job file. `file_name` is only for the messages.
///
/// # Errors
///
/// Everything that is wrong with the file, in the order of its lines.
pub fn parse_job(text: &str, format: Format, file_name: &str) -> Result<Job, Vec<Problem>> {
    let tree = tree::read(text, format, file_name)?;
    let raw = read_as::<raw::RawJob>(&tree, file_name)?;
    resolve::job(raw, &tree, file_name)
}

/// Reads a tenant file. `file_name` is only for the messages.
///
/// # Errors
///
/// Everything that is wrong with the file, in the order of its lines.
pub fn parse_tenant(text: &str, format: Format, file_name: &str) -> Result<Tenant, Vec<Problem>> {
    let tree = tree::read(text, format, file_name)?;
    let raw = read_as::<raw_tenant::RawTenant>(&tree, file_name)?;
    resolve_tenant::resolve(raw, &tree, file_name)
}

/// Reads any TOML or JSON file as a value. `file_name` is only for the messages.
///
/// # Errors
///
/// Where it is neither.
pub fn parse_value(text: &str, format: Format, file_name: &str) -> Result<serde_json::Value, Vec<Problem>> {
    Ok(tree::read(text, format, file_name)?.to_json())
}

/// JSON Schema (draft 2020-12) of a job file (`$defs/Job`) and a tenant file (`$defs/Tenant`): a file is one of the two.
pub fn schema() -> serde_json::Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let job = generator.subschema_for::<raw::RawJob>();
    let tenant = generator.subschema_for::<raw_tenant::RawTenant>();
    let definitions = generator.take_definitions(true);
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "drivejob job or tenant file",
        "oneOf": [job, tenant],
        "$defs": definitions,
    })
}

/// The path that a text in a file means: relative to `base`, the folder of that file. `.` and `..` are worked out in
/// the text, so that `jobs` and `../archive` make `archive`; a link in between is not looked at.
pub fn resolve_path(base: &Path, text: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in base.join(text).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match path.components().next_back() {
                Some(Component::Normal(_)) => {
                    path.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                _ => path.push(".."),
            },
            other => path.push(other),
        }
    }
    if path.as_os_str().is_empty() {
        path.push(".");
    }
    path
}

impl Problem {
    /// The same problem with the line and column of its key in `text`, where they can be found.
    pub fn placed_in(mut self, text: &str, format: Format) -> Problem {
        if let Ok(tree) = tree::read(text, format, &self.file)
            && let Some(at) = tree.position(&self.key)
        {
            self.line = Some(at.line);
            self.column = Some(at.column);
        }
        self
    }
}

/// Checks a tree against the schema of a raw type, and reads it into that.
fn read_as<T: for<'de> Deserialize<'de> + schemars::JsonSchema>(
    tree: &tree::Node,
    file: &str,
) -> Result<T, Vec<Problem>> {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    let problems = check::check(tree, schema.as_value(), file);
    if !problems.is_empty() {
        return Err(problems);
    }
    // The check and the types come from one source, so that this cannot fail; if it does, it says so without the value.
    serde_json::from_value(tree.to_json()).map_err(|_| {
        vec![Problem {
            file: file.to_owned(),
            line: None,
            column: None,
            key: String::new(),
            fault: Fault::WrongValue,
            found: "something the schema does not describe".to_owned(),
            expected: "a file that fits `drivejob schema`".to_owned(),
        }]
    })
}
