//! `drivejob plan`: what a run would do and cost.

use std::error::Error;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use serde_json::Value;

use super::run::exit_of;
use super::{problems, simulated};
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::cli::progress::Progress;
use crate::job::JobKind;
use crate::runner::{self, Host, Loaded, Sampling};

/// Say what a job would do: calls, bytes, hours and nights.
///
/// For a backup or an audit the figures come from the newest snapshot. Where there is none, a part of the drives is
/// listed, which uses the tenant's calls. For a restore or a migration each step is gone through without sending anything:
/// folders of the target that are there already are listed. A migration's source is known from the newest complete
/// snapshot, or is listed whole. Nothing is downloaded, and neither the archive nor a drive is touched.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job file, TOML or JSON.
    pub job: PathBuf,
    /// Print one JSON object for programs.
    #[arg(long)]
    pub json: bool,
    /// Restore and migrate: print what hinders as CSV: names that are too long, taken or twins, files that are too large,
    /// infected or missing, drives without room or without a place to go.
    #[arg(long, conflicts_with = "json")]
    pub scan: bool,
    /// Restore and migrate: print each step as CSV, with what would become of it.
    #[arg(long, conflicts_with_all = ["json", "scan"])]
    pub steps: bool,
    /// Begin CSV with a byte order mark, for Excel.
    #[arg(long)]
    pub bom: bool,
    /// Backup and audit without a snapshot: pages of each drive that are listed at most.
    #[arg(long, value_name = "PAGES", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: u32,
    /// Backup and audit without a snapshot: drives of each family that are looked at, at most.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub sample_drives: u32,
}

/// What is printed.
enum Output {
    Text(String),
    Json(Value),
    /// It is printed already.
    Nothing,
}

/// Works it out and prints it.
///
/// # Errors
///
/// The job file is wrong, or the service cannot be asked.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    match plan(args, context) {
        Ok(Output::Text(text)) => context.print(&text)?,
        Ok(Output::Json(value)) => context.print_json(&value)?,
        Ok(Output::Nothing) => {}
        Err(error) => {
            if args.json {
                context.print_json(&error.to_json())?;
            }
            return Err(error);
        }
    }
    Ok(ExitCode::Complete)
}

fn plan(args: &Args, context: &Context) -> Result<Output, CommandError> {
    let mut loaded = runner::load(&args.job).map_err(|error| {
        problems::show(context, error.problems());
        CommandError::from_error(ExitCode::Usage, &error)
            .hint("`drivejob check` says what is wrong, and `drivejob schema` what may be written")
    })?;
    let is_delivery = matches!(loaded.job.kind, JobKind::Restore(_) | JobKind::Migrate(_));
    if (args.scan || args.steps) && !is_delivery {
        return Err(CommandError::new(
            ExitCode::Usage,
            "only the plans of restore and migrate jobs have --scan and --steps",
        ));
    }
    let mut host = context.host()?;
    context.block_on(async {
        let _simulators = simulated::start(&mut loaded, &mut host).await?;
        let progress = context.watch(false);
        let planning = async {
            if is_delivery {
                deliver(args, loaded, &host, &progress).await
            } else {
                forecast(args, loaded, &host, &progress).await
            }
        };
        let outcome = tokio::select! {
            outcome = planning => outcome,
            stopped = context.until_signal() => {
                stopped?;
                return Err(CommandError::new(ExitCode::Interrupted, "stopped before the plan was made"));
            }
        };
        drop(progress);
        outcome.map_err(|error| CommandError::from_error(exit_of(&error), &error))
    })
}

async fn forecast(
    args: &Args,
    loaded: Loaded,
    host: &Host,
    progress: &Progress,
) -> Result<Output, runner::Error> {
    let sampling = Sampling {
        pages: args.sample,
        drives: args.sample_drives,
    };
    let forecast = runner::plan(loaded, host, progress.monitor(), sampling).await?;
    Ok(match args.json {
        true => Output::Json(forecast.to_json()),
        false => Output::Text(forecast.to_text()),
    })
}

async fn deliver(
    args: &Args,
    loaded: Loaded,
    host: &Host,
    progress: &Progress,
) -> Result<Output, runner::Error> {
    let planned = runner::plan_delivery(loaded, host, progress.monitor()).await?;
    if !args.scan && !args.steps {
        return Ok(match args.json {
            true => Output::Json(planned.delivery.to_json()),
            false => Output::Text(planned.delivery.to_text()),
        });
    }
    // Row by row: a plan may have millions of steps.
    let out = BufWriter::new(io::stdout());
    let written = match args.scan {
        true => planned.write_readiness(out, args.bom).await,
        false => planned.write_steps(out, args.bom).await,
    };
    match written {
        // Whoever reads the result has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(Output::Nothing),
        written => written.map(|_| Output::Nothing),
    }
}

fn is_broken_pipe(error: &runner::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() == io::ErrorKind::BrokenPipe;
        }
        cause = error.source();
    }
    false
}
