//! `drivejob snapshots`: what is in an archive, night by night.

use std::path::PathBuf;

use serde_json::json;

use crate::browse::{self, Line};
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::cli::table::Table;
use crate::cli::target::{Target, refused};
use crate::report::{duration, printable, size};

/// List the snapshots of an archive.
///
/// Oldest first, with what each holds and whether it is complete.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive folder.
    pub archive: PathBuf,
    /// Print one JSON object for programs.
    #[arg(long)]
    pub json: bool,
}

/// Prints the table.
///
/// # Errors
///
/// It is no archive, or cannot be read.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let archive = Target::whole(&args.archive)?;
    let lines = browse::snapshots(&archive).map_err(|error| refused(&error))?;
    if args.json {
        let lines: Vec<_> = lines.iter().map(Line::to_json).collect();
        context.print_json(&json!({ "archive": args.archive.display().to_string(), "snapshots": lines }))?;
        return Ok(ExitCode::Complete);
    }
    if lines.is_empty() {
        context.terminal.line("there is no snapshot yet");
        return Ok(ExitCode::Complete);
    }
    let mut table = Table::new(&[
        "SNAPSHOT", "STATUS", "KIND", "JOB", ">FILES", ">SIZE", ">FAILED", ">TOOK", "",
    ]);
    for line in &lines {
        table.row(vec![
            line.id.to_string(),
            line.status.to_owned(),
            printable(&line.kind),
            printable(&line.job),
            line.held.files.to_string(),
            size(line.held.bytes),
            line.failures.to_string(),
            line.took.map(duration).unwrap_or_default(),
            line.error.as_deref().map(printable).unwrap_or_default(),
        ]);
    }
    context.write(|out| table.write(out))?;
    Ok(ExitCode::Complete)
}
