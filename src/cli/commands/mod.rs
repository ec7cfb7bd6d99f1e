//! The commands, one file each: a struct of arguments whose doc comments are the help, and a function that obeys it.

use clap::Subcommand;

use super::context::Context;
use super::exit::ExitCode;
use super::messages::CommandError;

/// What `drivejob` can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {}

impl Command {
    /// Does it.
    ///
    /// # Errors
    ///
    /// What the user is told when it fails.
    pub fn execute(self, _: &Context) -> Result<ExitCode, CommandError> {
        match self {}
    }
}
