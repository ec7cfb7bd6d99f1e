//! `drivejob find`: files and folders by a glob, over all nights.

use std::path::PathBuf;

use serde_json::json;

use crate::blocking::blocking;
use crate::browse::{self, Found, Match, Pattern, Query};
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::cli::table::Table;
use crate::cli::target::{Target, refused};
use crate::id::DriveId;
use crate::report::{printable, size};

/// Find files and folders by a glob, over all nights.
///
/// A glob without a slash matches names ('*.xlsx'), one with a slash matches whole paths ('/Sales/**/2026*'). Case does not matter.
/// Each path is told once, with the nights in which it was there and the newest place of its bytes. The answer comes from a
/// catalogue in .drivejob, which each run keeps; nights that it lacks are read first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive folder; ARCHIVE@SNAPSHOT for one night only.
    #[arg(value_name = "ARCHIVE[@SNAPSHOT]")]
    pub archive: PathBuf,
    /// What to look for. Put it in quotes, so that the shell leaves it alone.
    #[arg(value_name = "GLOB")]
    pub pattern: String,
    /// Look in this drive only, for example me or sharedrives/@21.
    #[arg(long, value_name = "DRIVE")]
    pub drive: Option<String>,
    /// Tell at most so many.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub limit: usize,
    /// Print one JSON object for programs.
    #[arg(long)]
    pub json: bool,
}

/// Nights that take long enough to be told of before they are read: a large one takes seconds.
const NIGHTS_TOLD: usize = 2;

/// Prints what is found.
///
/// # Errors
///
/// The glob is wrong, or there is no such archive or snapshot.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let pattern = Pattern::new(&args.pattern)
        .map_err(|error| CommandError::because(ExitCode::Usage, "the glob cannot be used", &error))?;
    let target = Target::open(&args.archive)?;
    let query = Query {
        pattern,
        drive: args.drive.as_deref().map(DriveId::new),
        snapshot: target.snapshot()?.map(|snapshot| snapshot.id),
        limit: args.limit,
    };
    let found = context.block_on(async {
        let stop = context.stop_on_signals()?;
        let terminal = context.terminal.clone();
        blocking(move || {
            browse::find(&target.archive, &query, &stop, &mut |nights| {
                if nights >= NIGHTS_TOLD {
                    terminal.line(&format!(
                        "reading {nights} nights that the catalogue lacks; next time they are known"
                    ));
                }
            })
        })
        .await
        .map_err(|error| refused(&error))
    })?;
    for (id, error) in &found.unreadable {
        let line = format!("warning: {id} was not searched to its end: {error}");
        context.terminal.line(&printable(&line));
    }
    if args.json {
        context.print_json(&json!({
            "matches": found.matches.iter().map(Match::to_json).collect::<Vec<_>>(),
            "more": found.more,
            "snapshots_searched": found.searched,
            "unreadable": found.unreadable.iter()
                .map(|(id, error)| json!({ "snapshot": id.as_str(), "error": error.to_string() })).collect::<Vec<_>>(),
            "stopped": found.stopped,
        }))?;
    } else {
        print(&found, context)?;
    }
    Ok(match &found {
        Found { stopped: true, .. } => ExitCode::Interrupted,
        found if found.unreadable.is_empty() => ExitCode::Complete,
        _ => ExitCode::Partial,
    })
}

fn print(found: &Found, context: &Context) -> Result<(), CommandError> {
    if found.matches.is_empty() {
        let line = format!("nothing matches in {} snapshots", found.searched);
        context.terminal.line(&line);
        return Ok(());
    }
    let mut table = Table::new(&["FIRST", "LAST", ">NIGHTS", ">SIZE", "ITEM", "STORED AT"]);
    for one in &found.matches {
        table.row(vec![
            one.first.to_string(),
            one.last.to_string(),
            one.nights.to_string(),
            one.size.map(size).unwrap_or_default(),
            printable(&format!("{}:{}", one.drive, one.path)),
            one.stored_at.as_deref().map(printable).unwrap_or_default(),
        ]);
    }
    context.write(|out| table.write(out))?;
    if found.more {
        context
            .terminal
            .line("there are more: narrow the glob, or raise --limit");
    }
    Ok(())
}
