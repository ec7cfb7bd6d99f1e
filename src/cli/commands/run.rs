//! `drivejob run`: a job file becomes a run.

use std::num::NonZeroU8;
use std::path::{Path, PathBuf};

use super::value::failing_exit_code;
use super::{problems, simulated};
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::report::Report;
use crate::runner::{self, LoadError, Loaded};
use crate::{archive, drive};

/// Run a job file.
///
/// An unfinished run of the same job goes on where it stopped. Ctrl-C stops: what is under way is finished first.
/// A second Ctrl-C stops at once. Nothing is lost in either case.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ExitCode::HELP)]
pub struct Args {
    /// The job file, TOML or JSON.
    pub job: PathBuf,
    /// Print the summary as one JSON object for programs.
    #[arg(long)]
    pub json: bool,
    /// Draw no progress display; write a log line each minute.
    #[arg(long)]
    pub no_progress: bool,
    /// Exit code of a run that finished with failures. Default: 3. It cannot be 0.
    #[arg(long, value_name = "N", value_parser = failing_exit_code)]
    pub partial_exit_code: Option<NonZeroU8>,
}

/// Runs it and prints the summary.
///
/// # Errors
///
/// The job file is wrong, or the run could not go on.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let mut partial = args.partial_exit_code;
    let outcome = run(args, context, &mut partial);
    match &outcome {
        Ok(report) if args.json => context.print_json(&report.to_json())?,
        Ok(report) => context.print(&report.to_text())?,
        Err(error) if args.json => context.print_json(&error.to_json())?,
        Err(_) => {}
    }
    let exit = ExitCode::of(&outcome?);
    Ok(exit.with_partial_as(partial))
}

/// `partial` is what the command line says a partial run ends with; where it says nothing, the job does.
fn run(args: &Args, context: &Context, partial: &mut Option<NonZeroU8>) -> Result<Report, CommandError> {
    let mut loaded = load(&args.job, context)?;
    *partial = partial.or(NonZeroU8::new(loaded.job.partial_exit_code));
    let mut host = context.host()?;
    context.block_on(async {
        let _simulators = simulated::start(&mut loaded, &mut host).await?;
        let stop = context.stop_on_signals()?;
        let progress = context.watch(!args.no_progress);
        let outcome = runner::run(loaded, &host, progress.monitor(), stop).await;
        // The display is gone before anything is printed.
        drop(progress);
        outcome.map_err(|error| CommandError::from_error(exit_of(&error), &error))
    })
}

fn load(file: &Path, context: &Context) -> Result<Loaded, CommandError> {
    runner::load(file).map_err(|error| match error {
        LoadError::Problems(found) => {
            problems::show(context, &found);
            CommandError::usage(format!("the job {} cannot be run as it is", file.display()))
                .hint("`drivejob schema` says what may be written")
        }
        error @ LoadError::Unreadable { .. } => CommandError::from_error(ExitCode::Usage, &error),
    })
}

/// How the process ends when a run could not go on.
pub(super) fn exit_of(error: &runner::Error) -> ExitCode {
    match error {
        runner::Error::Archive(archive::Error::Held(_)) => ExitCode::Locked,
        runner::Error::Drive(error) if error.kind == drive::ErrorKind::Cancelled => ExitCode::Interrupted,
        // What the job and tenant files say cannot work, whatever the service answers.
        runner::Error::Reference(_)
        | runner::Error::NoTenant
        | runner::Error::Filter(_)
        | runner::Error::Map { .. }
        | runner::Error::Unmapped(_)
        | runner::Error::Connect(_)
        | runner::Error::NotPlanned(_) => ExitCode::Usage,
        runner::Error::NothingRead { .. }
        | runner::Error::Prune(_)
        | runner::Error::Stalled(_)
        | runner::Error::Drive(_)
        | runner::Error::Archive(_)
        | runner::Error::Ledger(_)
        | runner::Error::Diff(_)
        | runner::Error::Page { .. }
        | runner::Error::Results { .. }
        | runner::Error::Table(_)
        | runner::Error::Lost(_) => ExitCode::Failed,
    }
}
