//! `drivejob schema`: the JSON Schema of job and tenant files.

use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::job;

/// Print the JSON Schema of job and tenant files.
///
/// Editors use it to check a file while it is written, and to offer the keys.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints it.
///
/// # Errors
///
/// Standard output cannot be written to.
pub(super) fn execute(_: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    context.print(&format!("{:#}", job::schema()))?;
    Ok(ExitCode::Complete)
}
