//! `drivejob verify`: reads an archive back and hashes it.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::value::{duration, share};
use crate::blocking::blocking;
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::cli::target::{Target, refused};
use crate::job::Share;
use crate::report::printable;
use crate::verify::{Options, Problem, Summary, verify};

/// Read an archive back and compare every byte with its manifests.
///
/// Finds missing, short, long, altered and extra files, and manifests, heads and tails that do not fit together. Ends with exit code 5
/// when it finds anything, and with 3 when there is no snapshot. It needs no lock: a run may be under way.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive folder; ARCHIVE@SNAPSHOT for one night only.
    #[arg(value_name = "ARCHIVE[@SNAPSHOT]")]
    pub archive: PathBuf,
    /// Read back only this share of the files. Those whose turn was longest ago come first.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub sample: Option<Share>,
    /// Read back only files that were last read back longer ago than this, for example 30d.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    pub older_than: Option<Duration>,
    /// Print one JSON object for programs, with every problem.
    #[arg(long)]
    pub json: bool,
    /// Draw no progress display.
    #[arg(long)]
    pub no_progress: bool,
}

/// Problems that are told one by one; further ones are only counted. They bound the memory at some 50 MB.
const TOLD: usize = 100_000;

/// Reads back and prints what was found.
///
/// # Errors
///
/// There is no such archive or snapshot.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let target = Target::open(&args.archive)?;
    let options = Options {
        snapshot: target.snapshot()?.map(|snapshot| snapshot.id),
        sample: args.sample.map_or(1.0, Share::fraction),
        older_than: args.older_than,
        ..Options::whole(Timestamp::now())
    };
    let (summary, problems) = context.block_on(async {
        let stop = context.stop_on_signals()?;
        let progress = context.watch(!args.no_progress);
        let monitor = progress.monitor();
        let verified = blocking(move || {
            let mut problems = Vec::new();
            let summary = verify(&target.archive, &options, &stop, &*monitor, &mut |problem| {
                if problems.len() < TOLD {
                    problems.push(problem.clone());
                }
            });
            summary.map(|summary| (summary, problems))
        })
        .await;
        drop(progress);
        verified.map_err(|error| refused(&error))
    })?;
    if args.json {
        let mut json = summary.to_json();
        json["problem_list"] = problems.iter().map(Problem::to_json).collect();
        context.print_json(&json)?;
    } else {
        print(context, &summary, &problems)?;
    }
    Ok(match summary {
        summary if !summary.is_good() => ExitCode::Different,
        Summary { stopped: true, .. } => ExitCode::Interrupted,
        summary if summary.is_empty() => ExitCode::Partial,
        _ => ExitCode::Complete,
    })
}

fn print(context: &Context, summary: &Summary, problems: &[Problem]) -> Result<(), CommandError> {
    context.write(|out| {
        for problem in problems {
            writeln!(out, "{problem}")?;
        }
        let untold = summary.problems.count().saturating_sub(problems.len() as u64);
        if untold > 0 {
            writeln!(out, "and {untold} more problems")?;
        }
        writeln!(out, "{}", summary.to_text())
    })?;
    for warning in &summary.warnings {
        context.terminal.line(&printable(&format!("warning: {warning}")));
    }
    Ok(())
}
