//! `drivejob prune`: removes snapshots by a retention.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::value::{number, share, zone};
use crate::archive::Holder;
use crate::blocking::blocking;
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::cli::target::{Target, refused};
use crate::job::Share;
use crate::prune::{self, Done, Options, Plan};
use crate::report::size;
use crate::retention::Policy;

/// Remove the snapshots that no rule keeps.
///
/// Without --yes it only says which. Only complete snapshots count for the rules, and the newest complete one always stays.
/// Each job's snapshots are judged by themselves.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive folder.
    pub archive: PathBuf,
    /// Keep the newest N.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number)]
    pub keep_last: u32,
    /// Keep the newest of each of the last N days that have one.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number)]
    pub keep_daily: u32,
    /// Keep the newest of each of the last N weeks, which begin on Monday.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number)]
    pub keep_weekly: u32,
    /// Keep the newest of each of the last N months.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number)]
    pub keep_monthly: u32,
    /// Keep the newest of each of the last N years.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number)]
    pub keep_yearly: u32,
    /// Where days begin, for example Asia/Tokyo. Default: this machine's time zone.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub time_zone: Option<TimeZone>,
    /// Remove nothing when the newest snapshot has lost more than this share of files or bytes.
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "50%")]
    pub hold_on_drop: Share,
    /// Remove them. Without it, nothing is touched.
    #[arg(long)]
    pub yes: bool,
    /// Print one JSON object for programs.
    #[arg(long)]
    pub json: bool,
}

/// Plans, removes when told to, and prints both.
///
/// # Errors
///
/// No rule keeps anything, it is no archive, or a run holds it.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let archive = Target::whole(&args.archive)?;
    let host = context.host()?;
    let options = Options {
        policy: Policy {
            last: args.keep_last,
            daily: args.keep_daily,
            weekly: args.keep_weekly,
            monthly: args.keep_monthly,
            yearly: args.keep_yearly,
        },
        zone: args.time_zone.clone().unwrap_or_else(TimeZone::system),
        hold_on_drop: args.hold_on_drop.fraction(),
        measure: !args.yes,
    };
    let apply = args.yes;
    let (plan, done) = context.block_on(async {
        let stop = context.stop_on_signals()?;
        let pruned = blocking(move || -> Result<(Plan, Option<Done>), prune::Error> {
            if !apply {
                return Ok((prune::plan(&archive, &options)?, None));
            }
            let lock = archive.lock(&Holder {
                pid: host.pid,
                host: host.name,
                since: Timestamp::now(),
                job: "prune".to_owned(),
            })?;
            let plan = prune::plan(&archive, &options)?;
            let done = prune::perform(&archive, &lock, &plan, &stop)?;
            Ok((plan, Some(done)))
        })
        .await;
        pruned.map_err(|error| match &error {
            prune::Error::Archive(error) => refused(error),
            prune::Error::EmptyPolicy(_) => CommandError::from_error(ExitCode::Usage, &error)
                .hint("say what to keep, for example --keep-daily 7 --keep-weekly 4 --keep-monthly 12"),
            prune::Error::Stale(_) => CommandError::from_error(ExitCode::Failed, &error),
        })
    })?;
    if args.json {
        let mut json = plan.to_json();
        json["applied"] = done.is_some().into();
        json["done"] = done.as_ref().map(Done::to_json).into();
        context.print_json(&json)?;
    } else {
        context.print(&plan.to_text())?;
        match &done {
            Some(done) => context.print(&told(done))?,
            None if plan.removals().next().is_some() => {
                context.terminal.line("nothing was removed: --yes removes them");
            }
            None => {}
        }
    }
    Ok(match done {
        Some(Done { stopped: true, .. }) => ExitCode::Interrupted,
        _ => ExitCode::Complete,
    })
}

fn told(done: &Done) -> String {
    let freed = done
        .freed
        .map(|bytes| format!(", {} freed", size(bytes)))
        .unwrap_or_default();
    let stopped = if done.stopped {
        "; STOPPED before its end"
    } else {
        ""
    };
    format!(
        "removed {} of them, {} files{freed}{stopped}",
        done.removed.len(),
        done.files
    )
}
