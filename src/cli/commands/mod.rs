//! The commands, one file each: a struct of arguments whose doc comments are the help, and a function that obeys it.

pub mod check;
pub mod diff;
pub mod find;
pub mod login;
pub mod ls;
pub mod plan;
mod problems;
pub mod prune;
pub mod report;
pub mod run;
pub mod schema;
pub mod simulate;
mod simulated;
pub mod snapshots;
pub mod status;
mod value;
pub mod verify;

use clap::Subcommand;

use super::context::Context;
use super::exit::ExitCode;
use super::messages::CommandError;

/// What `drivejob` can be told to do. A command's help is the doc comment of its arguments; one at the variant would hide it.
#[allow(missing_docs)]
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Args),
    Plan(plan::Args),
    Check(check::Args),
    Schema(schema::Args),
    Login(login::Args),
    Snapshots(snapshots::Args),
    Ls(ls::Args),
    Find(find::Args),
    Diff(diff::Args),
    Verify(verify::Args),
    Prune(prune::Args),
    Report(report::Args),
    Status(status::Args),
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
            Command::Snapshots(args) => snapshots::execute(&args, context),
            Command::Ls(args) => ls::execute(&args, context),
            Command::Find(args) => find::execute(&args, context),
            Command::Verify(args) => verify::execute(&args, context),
            Command::Prune(args) => prune::execute(&args, context),
            Command::Status(args) => status::execute(&args, context),
            Command::Simulate(args) => simulate::execute(&args, context),
        }
    }
}
