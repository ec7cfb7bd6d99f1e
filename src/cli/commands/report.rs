//! `drivejob report`: a snapshot as one HTML page.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::run::exit_of;
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::page::Language;
use crate::runner::{PageOptions, write_report};

/// Write a snapshot as one HTML page for people.
///
/// The page needs no network and no other file. For a folder that holds several archives, each gets a page, and an index
/// page leads to them. The paths of the pages are printed, the one to open first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive folder, with @SNAPSHOT (a name, a date or latest) for another than the newest; or a folder of archives.
    #[arg(value_name = "ARCHIVE[@SNAPSHOT]")]
    pub archive: PathBuf,
    /// The file to write. Default: report-SNAPSHOT.html in the archive folder, or report.html in a folder of archives.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The language: en, ja or ko. Default: the job's.
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Language>,
}

/// Writes the page.
///
/// # Errors
///
/// The archive or snapshot is not there, or the page cannot be written.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let (archive, snapshot) = split(args);
    let options = PageOptions {
        snapshot,
        out: args.out.clone(),
        language: args.lang,
        zone: TimeZone::system(),
        now: Timestamp::now(),
    };
    let files = write_report(&archive, &options)
        .map_err(|error| CommandError::from_error(exit_of(&error), &error))?;
    context.write(|out| {
        files
            .iter()
            .try_for_each(|file| writeln!(out, "{}", crate::report::printable(&file.display().to_string())))
    })?;
    Ok(ExitCode::Complete)
}

/// Folder and snapshot. A folder whose own name has an `@` is taken as it is.
fn split(args: &Args) -> (PathBuf, Option<String>) {
    let text = args.archive.to_string_lossy();
    match text.rsplit_once('@') {
        Some((folder, snapshot)) if !args.archive.is_dir() && !folder.is_empty() => {
            (PathBuf::from(folder), Some(snapshot.to_owned()))
        }
        _ => (args.archive.clone(), None),
    }
}
