//! `drivejob ls`: what lies in a folder of a snapshot.

use std::path::PathBuf;

use serde_json::json;

use crate::browse::{Item, Place, list};
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::cli::table::Table;
use crate::cli::target::{Target, refused};
use crate::entry::Kind;
use crate::report::{printable, size};

/// List a folder of a snapshot.
///
/// Without a path it lists the drives. Sizes and numbers of a folder are those of all that lies in it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive folder; ARCHIVE@SNAPSHOT for one night. Default: the newest complete one.
    #[arg(value_name = "ARCHIVE[@SNAPSHOT]")]
    pub archive: PathBuf,
    /// A path in every drive (/Documents), in one (me:/Documents), or a drive (me).
    #[arg(value_name = "PATH")]
    pub place: Option<Place>,
    /// Print one JSON object for programs.
    #[arg(long)]
    pub json: bool,
}

/// Prints the listing.
///
/// # Errors
///
/// There is no such archive, snapshot or path.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let snapshot = Target::open(&args.archive)?.snapshot_or_newest()?;
    let listing = list(&snapshot, args.place.as_ref()).map_err(|error| refused(&error))?;
    if args.json {
        context.print_json(&json!({
            "snapshot": snapshot.id.as_str(),
            "place": args.place.as_ref().map(Place::to_string),
            "found": listing.found,
            "items": listing.items.iter().map(Item::to_json).collect::<Vec<_>>(),
        }))?;
    }
    if !listing.found {
        let place = args.place.as_ref().map(Place::to_string).unwrap_or_default();
        return Err(
            CommandError::failed(format!("the snapshot {} has no '{place}'", snapshot.id))
                .hint("`drivejob find ARCHIVE GLOB` looks through all nights"),
        );
    }
    if args.json {
        return Ok(ExitCode::Complete);
    }
    let mut table = Table::new(&["STATE", ">FILES", ">SIZE", "MODIFIED", "DRIVE", "NAME"]);
    for item in &listing.items {
        table.row(vec![
            state(item),
            item.files.to_string(),
            size(item.bytes),
            item.modified.map(|time| time.to_string()).unwrap_or_default(),
            printable(item.drive.as_str()),
            match item.kind {
                Kind::Folder if args.place.is_some() => format!("{}/", printable(&item.name)),
                _ => printable(&item.name),
            },
        ]);
    }
    context.write(|out| table.write(out))?;
    Ok(ExitCode::Complete)
}

/// What became of an item, or how much of a folder is not there.
fn state(item: &Item) -> String {
    match (item.kind, item.outcome) {
        (_, _) if item.kind == Kind::Folder && item.lacking > 0 => format!("lacks {}", item.lacking),
        (_, Some(outcome)) => outcome.as_str().to_owned(),
        (_, None) => String::new(),
    }
}
