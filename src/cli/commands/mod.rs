//! The commands, one file each: a struct of arguments whose doc comments are the help, and a function that obeys it.

pub mod check;
pub mod login;
pub mod plan;
pub mod diff;
mod problems;
pub mod report;
pub mod run;
pub mod schema;
mod simulated;
pub mod simulate;

use clap::Subcommand;

use super::context::Context;
use super::exit::ExitCode;
use super::messages::CommandError;

/// What `drivejob` can be told to do. A command's help is the doc comment of its arguments; one at the variant would hide it.
#[allow(missing_docs)]
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Args),
    /// Say what a backup or audit job would do.
    Plan(plan::Args),
    /// Log in to a tenant in a browser.
    Login(login::Args),
    /// Check job and tenant files.
    Check(check::Args),
    Diff(diff::Args),
    Report(report::Args),
    Schema(schema::Args),
    Simulate(Box<simulate::Args>),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    ///
    /// What the user is told when it fails.
    pub fn execute(self, context: &Context) -> Result<ExitCode, CommandError> {
        match self {
            Command::Run(args) => run::execute(&args, context),
            Command::Plan(args) => plan::execute(&args, context),
            Command::Login(args) => login::execute(&args, context),
            Command::Check(args) => check::execute(&args, context),
            Command::Diff(args) => diff::execute(&args, context),
            Command::Report(args) => report::execute(&args, context),
            Command::Schema(args) => schema::execute(&args, context),
            Command::Simulate(args) => simulate::execute(&args, context),
        }
    }
}
