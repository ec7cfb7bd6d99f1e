//! `drivejob plan`: what a run would cost.

use std::path::PathBuf;

use super::{problems, simulated};
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::estimate::Forecast;
use crate::runner::{self, Sampling};

/// Say what a backup or audit job would do: calls, bytes, hours and nights.
///
/// The figures come from the newest snapshot. Where there is none, a part of the drives is listed, which uses the
/// tenant's calls. Nothing is downloaded, and the archive is not touched.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job file, TOML or JSON.
    pub job: PathBuf,
    /// Print one JSON object for programs.
    #[arg(long)]
    pub json: bool,
    /// Without a snapshot: pages of each drive that are listed at most.
    #[arg(long, value_name = "PAGES", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: u32,
    /// Without a snapshot: drives of each family that are looked at, at most.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub sample_drives: u32,
}

/// Works it out and prints it.
///
/// # Errors
///
/// The job file is wrong, or the service cannot be asked.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    match plan(args, context) {
        Ok(forecast) if args.json => context.print_json(&forecast.to_json())?,
        Ok(forecast) => context.print(&forecast.to_text())?,
        Err(error) => {
            if args.json {
                context.print_json(&error.to_json())?;
            }
            return Err(error);
        }
    }
    Ok(ExitCode::Complete)
}

fn plan(args: &Args, context: &Context) -> Result<Forecast, CommandError> {
    let mut loaded = runner::load(&args.job).map_err(|error| {
        problems::show(context, error.problems());
        CommandError::from_error(ExitCode::Usage, &error)
            .hint("`drivejob check` says what is wrong, and `drivejob schema` what may be written")
    })?;
    let mut host = context.host()?;
    let sampling = Sampling {
        pages: args.sample,
        drives: args.sample_drives,
    };
    context.block_on(async {
        let _simulators = simulated::start(&mut loaded, &mut host).await?;
        let progress = context.watch(false);
        let outcome = tokio::select! {
            outcome = runner::plan(loaded, &host, progress.monitor(), sampling) => outcome,
            stopped = context.until_signal() => {
                stopped?;
                return Err(CommandError::new(ExitCode::Interrupted, "stopped before the plan was made"));
            }
        };
        drop(progress);
        outcome.map_err(|error| {
            let exit = match &error {
                runner::Error::NotPlanned(_) => ExitCode::Usage,
                _ => ExitCode::Failed,
            };
            CommandError::from_error(exit, &error)
        })
    })
}
