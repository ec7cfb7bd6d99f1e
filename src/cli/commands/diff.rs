//! `drivejob diff`: what changed between two snapshots.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::json;

use super::run::exit_of;
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::diff::{Change, CsvWriter, JsonLinesWriter, Summary, TableWriter};
use crate::runner::{Comparison, Error};

/// Show what changed between two snapshots.
///
/// Items are matched by their id, so that a renamed folder is one change. A folder that could not be read makes what
/// was in it unknown, not removed. The summary goes to standard error, or with --json to the last line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive folder.
    pub archive: PathBuf,
    /// The earlier snapshot: its name, a date (2026-11-23), latest, or previous: the one before the later one.
    #[arg(default_value = "previous")]
    pub before: String,
    /// The later snapshot.
    #[arg(default_value = "latest")]
    pub after: String,
    /// Print CSV for spreadsheets.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Print one JSON object for each change, and at the end one with the summary.
    #[arg(long)]
    pub json: bool,
    /// Print the summary alone.
    #[arg(long, conflicts_with = "csv")]
    pub summary: bool,
    /// Begin CSV with a byte order mark, for Excel.
    #[arg(long, requires = "csv")]
    pub bom: bool,
}

/// Compares and prints.
///
/// # Errors
///
/// A snapshot is not there, or a manifest cannot be read.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let failed = |error: Error| CommandError::from_error(exit_of(&error), &error);
    let comparison = Comparison::open(&args.archive, &args.before, &args.after).map_err(failed)?;
    let mut outcome = Ok(None);
    context.write(|out| {
        outcome = match compare(args, &comparison, out) {
            Ok(summary) => Ok(Some(summary)),
            // Whoever reads the result has seen enough.
            Err(error) if is_broken_pipe(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        };
        Ok(())
    })?;
    if let Some(summary) = outcome? {
        tell(args, context, &comparison, &summary)?;
    }
    Ok(ExitCode::Complete)
}

fn compare(args: &Args, comparison: &Comparison, out: &mut dyn Write) -> Result<Summary, Error> {
    if args.summary {
        return comparison.run(|_| Ok(()));
    }
    if args.csv {
        let mut csv = CsvWriter::new(out, args.bom).map_err(crate::diff::Error::Sink)?;
        return comparison.run(|change| csv.write(change));
    }
    if args.json {
        let mut lines = JsonLinesWriter::new(out);
        return comparison.run(|change| lines.write(change));
    }
    let mut table = TableWriter::new(out);
    comparison.run(|change: &Change| table.write(change))
}

/// The summary: part of the result where it was asked for, else beside it.
fn tell(
    args: &Args,
    context: &Context,
    comparison: &Comparison,
    summary: &Summary,
) -> Result<(), CommandError> {
    if args.json {
        let summary = json!({ "summary": summary.to_json(), "before": comparison.before.id.as_str(),
            "after": comparison.after.id.as_str() });
        return context.print(&summary.to_string());
    }
    let title = format!("{} -> {}", comparison.before.id, comparison.after.id);
    let text = format!("{title}\n{}", summary.to_text());
    if args.summary {
        return context.print(&text);
    }
    for line in text.lines() {
        context.terminal.line(line);
    }
    Ok(())
}

fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Diff(crate::diff::Error::Sink(error)) if error.kind() == io::ErrorKind::BrokenPipe)
}
