//! `drivejob status`: is the newest complete snapshot fresh enough?

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::value::duration;
use crate::browse;
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::cli::target::{Target, refused};

/// Say how old the newest complete snapshot is, and how the last runs ended.
///
/// With --max-age it ends with exit code 5 when that snapshot is older, or when there is none: for a monitor.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive folder.
    pub archive: PathBuf,
    /// The age that is still good, for example 26h.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    pub max_age: Option<Duration>,
    /// Look at snapshots of this kind of job: backup or audit. Default: backup, or whatever there is.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Print one JSON object for programs.
    #[arg(long)]
    pub json: bool,
}

/// Prints the state.
///
/// # Errors
///
/// It is no archive, or cannot be read.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let archive = Target::whole(&args.archive)?;
    let health = browse::status(&archive, args.kind.as_deref(), args.max_age, Timestamp::now())
        .map_err(|error| refused(&error))?;
    match args.json {
        true => context.print_json(&health.to_json())?,
        false => context.print(&health.to_text())?,
    }
    Ok(match health.is_late() {
        true => ExitCode::Different,
        false => ExitCode::Complete,
    })
}
