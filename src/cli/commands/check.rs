//! `drivejob check`: are job and tenant files right?

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::problems;
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::job::{
    Api, Fault, Format, Job, JobKind, Problem, TenantRef, check_credentials, check_target, parse_job,
    parse_tenant, resolve_path,
};
use crate::report::printable;

/// Check job and tenant files.
///
/// Says file, line and column, key, and what was expected. Touches neither the service nor the archive.
/// A tenant file that a job names is checked with the job.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Job files or tenant files, TOML or JSON.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print one JSON object for programs.
    #[arg(long)]
    pub json: bool,
}

/// Checks each file.
///
/// # Errors
///
/// Standard output cannot be written to. A wrong file is an exit code and not an error.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let mut facts = Vec::new();
    let mut exit = ExitCode::Complete;
    for file in &args.files {
        let name = file.to_string_lossy().into_owned();
        let (summary, found) = match check(file, &name) {
            Ok(summary) => (Some(summary), Vec::new()),
            Err(found) => (None, found),
        };
        if !args.json {
            problems::show(context, &found);
            if let Some(summary) = &summary {
                context.print(&printable(&format!("{name}: {summary}")))?;
            }
        }
        if summary.is_none() {
            exit = ExitCode::Usage;
        }
        facts.push(to_json(&name, summary.as_deref(), &found));
    }
    if args.json {
        let good = exit == ExitCode::Complete;
        context.print_json(&json!({ "good": good, "files": facts }))?;
    }
    Ok(exit)
}

fn to_json(file: &str, summary: Option<&str>, problems: &[Problem]) -> Value {
    json!({ "file": file, "good": summary.is_some(), "summary": summary, "problems": problems })
}

/// One file with the tenant files it names: a summary, or all that is wrong.
fn check(file: &Path, name: &str) -> Result<String, Vec<Problem>> {
    let text = read(file, name)?;
    let format = Format::of(name);
    let wrong_job = match parse_job(&text, format, name) {
        Ok(job) => return check_job(&job, file, name, &text),
        Err(problems) => problems,
    };
    match parse_tenant(&text, format, name) {
        Ok(tenant) => {
            let api = match tenant.api {
                Api::V2 => "v2",
                Api::Classic => "classic",
                Api::Simulator => "simulator",
            };
            Ok(format!("good, a tenant file for api = \"{api}\""))
        }
        // What it was meant to be is what it is nearer to.
        Err(wrong_tenant) if wrong_tenant.len() < wrong_job.len() => Err(wrong_tenant),
        Err(_) => Err(wrong_job),
    }
}

fn check_job(job: &Job, file: &Path, name: &str, text: &str) -> Result<String, Vec<Problem>> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut problems = Vec::new();
    for (reference, is_source) in tenants(job) {
        let tenant = match reference {
            TenantRef::Inline(tenant) => tenant.as_ref().clone(),
            TenantRef::Path(path) => {
                let path = resolve_path(folder, path);
                let name = path.to_string_lossy().into_owned();
                let read = read(&path, &name).and_then(|text| parse_tenant(&text, Format::of(&name), &name));
                match read {
                    Ok(tenant) => tenant,
                    Err(found) => {
                        problems.extend(found);
                        continue;
                    }
                }
            }
        };
        let found = match is_source {
            true => check_credentials(job, &tenant, name),
            false => Vec::from_iter(check_target(job, &tenant, name)),
        };
        problems.extend(
            found
                .into_iter()
                .map(|problem| problem.placed_in(text, Format::of(name))),
        );
    }
    if problems.is_empty() {
        let article = if job.kind.word().starts_with('a') {
            "an"
        } else {
            "a"
        };
        Ok(format!("good, {article} {} job", job.kind.word()))
    } else {
        Err(problems)
    }
}

/// The tenants of a job, and whether it is the one that the drives belong to.
fn tenants(job: &Job) -> Vec<(&TenantRef, bool)> {
    let target = match &job.kind {
        JobKind::Restore(options) => options.delivery.target.as_ref(),
        JobKind::Migrate(options) => options.delivery.target.as_ref(),
        _ => None,
    };
    let source = job.tenant.iter().map(|tenant| (tenant, true));
    source.chain(target.map(|tenant| (tenant, false))).collect()
}

fn read(file: &Path, name: &str) -> Result<String, Vec<Problem>> {
    fs::read_to_string(file).map_err(|error| {
        vec![Problem {
            file: name.to_owned(),
            line: None,
            column: None,
            key: String::new(),
            fault: Fault::Syntax,
            found: error.to_string(),
            expected: "a file that can be read".to_owned(),
        }]
    })
}
