//! `drivejob simulate`: the service's simulator as a server.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::problems;
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::job::{Format, parse_value};
use crate::report::printable;
use crate::sim::{
    CONSUMER_KEY_VARIABLE, FileServer, GeneratedSpec, Options, Script, Simulator, Sizes, TOKEN_VARIABLE,
    TenantSpec, World,
};

/// Serve a simulated tenant on this machine, until Ctrl-C.
///
/// Both API generations are served over the same drives. Without options it is the small tenant of the demo.
/// The addresses are printed; with --write-tenant-v2 a job can use them at once.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the addresses as one JSON object for programs.
    #[arg(long)]
    pub json: bool,

    /// The same number makes the same tenant.
    #[arg(long, value_name = "N", help_heading = "Tenant")]
    pub seed: Option<u64>,
    /// Files in each drive.
    #[arg(long, value_name = "N", help_heading = "Tenant")]
    pub files: Option<usize>,
    /// Folders in each drive.
    #[arg(long, value_name = "N", help_heading = "Tenant")]
    pub folders: Option<usize>,
    /// Bytes of each file. Without it, sizes are as in an office.
    #[arg(long, value_name = "BYTES", help_heading = "Tenant")]
    pub size: Option<u64>,
    /// Members. Each has a drive.
    #[arg(long, value_name = "N", help_heading = "Tenant", value_parser = clap::value_parser!(u32).range(1..))]
    pub members: Option<u32>,
    /// Shared drives.
    #[arg(long, value_name = "N", help_heading = "Tenant")]
    pub shared_drives: Option<usize>,
    /// Groups. Every second one has a folder.
    #[arg(long, value_name = "N", help_heading = "Tenant")]
    pub groups: Option<usize>,
    /// Serve the files of this folder as the drive of one member.
    #[arg(long, value_name = "DIR", help_heading = "Tenant",
          conflicts_with_all = ["seed", "files", "folders", "size", "members", "shared_drives", "groups"])]
    pub import: Option<PathBuf>,
    /// Address of a web server with the files of this folder. API 2.0 redirects downloads to it.
    #[arg(long, value_name = "URL", help_heading = "Tenant", requires = "import", value_parser = web_address)]
    pub file_server: Option<String>,

    /// Requests a minute for each API operation: a number, free (60), standard (240) or none.
    #[arg(long, value_name = "LIMIT", help_heading = "Behaviour", default_value = "none", value_parser = limit)]
    pub limit: Limit,
    /// Speed of the simulator's clock: 60 makes a minute of a second.
    #[arg(long, value_name = "FACTOR", help_heading = "Behaviour", default_value = "1", value_parser = speed)]
    pub speed: f64,
    /// Seconds an access token lives.
    #[arg(long, value_name = "SECONDS", help_heading = "Behaviour", value_parser = clap::value_parser!(i64).range(1..))]
    pub token_lifetime: Option<i64>,
    /// A file of faults that shall happen, TOML or JSON.
    #[arg(long, value_name = "FILE", help_heading = "Behaviour")]
    pub faults: Option<PathBuf>,

    /// Port of the API; 0 is a free one.
    #[arg(long, value_name = "PORT", help_heading = "Addresses", default_value_t = 0)]
    pub api_port: u16,
    /// Port of the login; 0 is a free one.
    #[arg(long, value_name = "PORT", help_heading = "Addresses", default_value_t = 0)]
    pub auth_port: u16,
    /// Port of the storage; 0 is a free one.
    #[arg(long, value_name = "PORT", help_heading = "Addresses", default_value_t = 0)]
    pub storage_port: u16,
    /// Port of the control for other programs; 0 is a free one.
    #[arg(long, value_name = "PORT", help_heading = "Addresses", default_value_t = 0)]
    pub admin_port: u16,
    /// Write a tenant file for API 2.0 here.
    #[arg(long, value_name = "FILE", help_heading = "Addresses")]
    pub write_tenant_v2: Option<PathBuf>,
    /// Write a tenant file for the classic API here.
    #[arg(long, value_name = "FILE", help_heading = "Addresses")]
    pub write_tenant_classic: Option<PathBuf>,
}

/// Requests a minute for each API operation; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(Option<usize>);

/// The figures are those of API 2.0 docs, JP/rate-limits.
fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        "free" => Ok(Limit(Some(60))),
        "standard" => Ok(Limit(Some(240))),
        _ => match text.parse() {
            Ok(number) if number > 0 => Ok(Limit(Some(number))),
            _ => Err("expected a number above 0, free, standard or none".to_owned()),
        },
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// An address without a slash at its end.
fn web_address(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("expected http://HOST or https://HOST, with a path or without".to_owned()),
    }
}

/// Serves until Ctrl-C.
///
/// # Errors
///
/// A port is taken, or a file cannot be read or written.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let world = world(args)?;
    let script = args
        .faults
        .as_deref()
        .map(|file| script(file, context))
        .transpose()?;
    context.block_on(async {
        let simulator = Simulator::start(world, options(args)).await.map_err(|error| {
            let message = "the simulator cannot open its ports";
            CommandError::because(ExitCode::Failed, message, &error)
        })?;
        if let Some(script) = script {
            let loaded = simulator.faults().load(script);
            loaded.map_err(|error| CommandError::from_error(ExitCode::Usage, &error))?;
        }
        write_tenants(args, &simulator)?;
        tell(args, context, &simulator)?;
        context.terminal.line("the simulator runs until Ctrl-C");
        context.until_signal().await?;
        simulator.stop().await;
        Ok(ExitCode::Complete)
    })
}

fn options(args: &Args) -> Options {
    let usual = Options::default();
    Options {
        api_port: args.api_port,
        auth_port: args.auth_port,
        storage_port: args.storage_port,
        admin_port: args.admin_port,
        speed: args.speed,
        per_minute: args.limit.0,
        access_token_seconds: args.token_lifetime.unwrap_or(usual.access_token_seconds),
        file_server: args
            .file_server
            .clone()
            .zip(args.import.clone())
            .map(|(url, folder)| FileServer { url, folder }),
        ..usual
    }
}

fn world(args: &Args) -> Result<World, CommandError> {
    if let Some(folder) = &args.import {
        return World::import(folder).map_err(|error| {
            let message = format!("the folder {} cannot be read", folder.display());
            CommandError::because(ExitCode::Usage, message, &error)
        });
    }
    let is_demo = args.seed.is_none()
        && args.members.is_none()
        && args.size.is_none()
        && [args.files, args.folders, args.shared_drives, args.groups]
            .iter()
            .all(Option::is_none);
    if is_demo {
        return Ok(World::demo());
    }
    let tree = GeneratedSpec::default();
    Ok(World::tenant(&TenantSpec {
        members: args
            .members
            .and_then(|members| usize::try_from(members).ok())
            .unwrap_or(1),
        shared_drives: args.shared_drives.unwrap_or(0),
        groups: args.groups.unwrap_or(0),
        tree: GeneratedSpec {
            seed: args.seed.unwrap_or(tree.seed),
            files: args.files.unwrap_or(tree.files),
            folders: args.folders.unwrap_or(tree.folders),
            sizes: args.size.map_or(tree.sizes, Sizes::Fixed),
            ..tree
        },
    }))
}

fn script(file: &Path, context: &Context) -> Result<Script, CommandError> {
    let message = format!("the fault file {} cannot be read", file.display());
    let wrong = |error: &(dyn std::error::Error + 'static)| {
        CommandError::because(ExitCode::Usage, message.as_str(), error)
    };
    let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let name = file.to_string_lossy();
    let value = parse_value(&text, Format::of(&name), &name).map_err(|found| {
        problems::show(context, &found);
        CommandError::usage(message.as_str())
    })?;
    serde_json::from_value(value).map_err(|error| wrong(&error))
}

fn write_tenants(args: &Args, simulator: &Simulator) -> Result<(), CommandError> {
    let files = [
        (&args.write_tenant_v2, simulator.tenant_file_v2().0),
        (&args.write_tenant_classic, simulator.tenant_file_classic().0),
    ];
    for (file, text) in files {
        let Some(file) = file else { continue };
        fs::write(file, text).map_err(|error| {
            let message = format!("the tenant file {} cannot be written", file.display());
            CommandError::because(ExitCode::Failed, message, &error)
        })?;
    }
    Ok(())
}

/// Addresses and credentials, on standard output. The credentials open nothing but this simulator.
fn tell(args: &Args, context: &Context, simulator: &Simulator) -> Result<(), CommandError> {
    let endpoints = simulator.endpoints();
    let options = simulator.options();
    let (token, consumer_key) = (simulator.token(), &options.consumer_key);
    if args.json {
        return context.print_json(&json!({
            "api": endpoints.api,
            "auth": endpoints.auth,
            "storage": endpoints.storage,
            "admin": endpoints.admin,
            "token": token,
            "client_id": options.client_id,
            "client_secret": options.client_secret,
            "refresh_token": options.refresh_token,
            "service_account": options.service_account,
            "api_id": options.api_id,
            "consumer_key": consumer_key,
        }));
    }
    let written = [&args.write_tenant_v2, &args.write_tenant_classic];
    let mut lines = vec![
        format!("api      {}", endpoints.api),
        format!("auth     {}", endpoints.auth),
        format!("storage  {}", endpoints.storage),
        format!("admin    {}", endpoints.admin),
    ];
    for file in written.into_iter().flatten() {
        lines.push(format!("tenant   {}", printable(&file.to_string_lossy())));
    }
    lines.push(format!("export {TOKEN_VARIABLE}={token}"));
    lines.push(format!("export {CONSUMER_KEY_VARIABLE}={consumer_key}"));
    context.print(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused_before_anything_is_served() {
        for (text, expected) in [
            ("none", Some(None)),
            ("free", Some(Some(60))),
            ("standard", Some(Some(240))),
            ("7", Some(Some(7))),
            ("0", None),
            ("-1", None),
            ("paid", None),
        ] {
            assert_eq!(limit(text).ok(), expected.map(Limit), "{text}");
        }
        for (text, expected) in [
            ("http://127.0.0.1:8080/", Some("http://127.0.0.1:8080")),
            ("https://files.example.com/a", Some("https://files.example.com/a")),
            ("http://", None),
            ("http:///a", None),
            ("files.example.com", None),
        ] {
            assert_eq!(web_address(text).ok().as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("60", Some(60.0)),
            ("0.5", Some(0.5)),
            ("0", None),
            ("NaN", None),
            ("inf", None),
        ] {
            assert_eq!(speed(text).ok(), expected, "{text}");
        }
    }
}
