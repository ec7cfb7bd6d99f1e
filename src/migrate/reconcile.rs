//! Lists both sides afresh and lays them side by side: what a customer can file.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::Error;
use crate::coverage::RootFacts;
use crate::ledger::{DriveCount, Ledger};
use crate::manifest::{self, TableWriter};

/// Rows that are taken in with one change.
const ROWS_PER_CHANGE: u32 = 512;

/// The header of `reconciliation.csv`.
const COUNT_COLUMNS: [&str; 10] = [
    "source",
    "target",
    "source_files",
    "target_files",
    "source_folders",
    "target_folders",
    "source_bytes",
    "target_bytes",
    "differences",
    "gaps",
];

/// The header of `differences.csv`.
const DIFFERENCE_COLUMNS: [&str; 6] = ["difference", "drive", "path", "target", "target_path", "detail"];

/// Both sides of each pair of drives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// For each pair: the source, the target, and the number of differences.
    pub drives: Vec<(DriveCount, DriveCount, u64)>,
    /// What could not be listed, as drive and sentence. With a gap nothing is proven.
    pub gaps: Vec<(String, String)>,
    /// Differences in all.
    pub differences: u64,
}

impl Reconciliation {
    /// Whether both sides were listed to the end and hold the same.
    pub fn is_clean(&self) -> bool {
        self.gaps.is_empty() && self.differences == 0
    }

    /// For the details of a report.
    pub fn to_json(&self) -> Value {
        json!({
            "clean": self.is_clean(),
            "drives": self.drives.len(),
            "differences": self.differences,
            "gaps": self.gaps.iter().map(|(drive, gap)| format!("{drive}: {gap}")).collect::<Vec<_>>(),
        })
    }
}

/// Compares both sides item by item, by the journal's map of old and new ids.
///
/// `source` and `target` are ledgers of walks that listed nothing but the paired drives, and listed them just now.
/// `pairs` are the drives of the source with those of the target.
///
/// # Errors
/// When a ledger fails.
pub async fn reconcile(
    journal: &Ledger,
    source: &Ledger,
    target: &Ledger,
    pairs: &[(String, String)],
    times_kept: bool,
) -> Result<Reconciliation, Error> {
    journal.clear_sides().await?;
    let mut found = Reconciliation::default();
    for (side, is_target) in [(source, false), (target, true)] {
        take_side(journal, side, is_target).await?;
        for facts in side.root_facts().await? {
            let drive = facts.drive.as_str().to_owned();
            let gaps = RootFacts::gaps(&facts);
            found
                .gaps
                .extend(gaps.into_iter().map(|gap| (drive.clone(), gap)));
        }
    }
    let sources = journal.side_counts(false).await?;
    let targets = journal.side_counts(true).await?;
    let of = |counts: &[DriveCount], drive: &str| {
        let found = counts.iter().find(|count| count.drive == drive).cloned();
        found.unwrap_or_else(|| DriveCount {
            drive: drive.to_owned(),
            ..DriveCount::default()
        })
    };
    found.drives = pairs
        .iter()
        .map(|(from, to)| (of(&sources, from), of(&targets, to), 0))
        .collect();
    let counts = Arc::new(Mutex::new(std::mem::take(&mut found.drives)));
    let shared = Arc::clone(&counts);
    let all = journal
        .differences(times_kept, move |difference| {
            let mut counts = shared.lock().unwrap_or_else(PoisonError::into_inner);
            for (from, to, count) in counts.iter_mut() {
                if from.drive == difference.drive
                    || (difference.drive.is_empty() && to.drive == difference.target)
                {
                    *count += 1;
                }
            }
            Ok::<(), manifest::Error>(())
        })
        .await??;
    found.differences = all;
    found.drives = std::mem::take(&mut *counts.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(found)
}

async fn take_side(journal: &Ledger, side: &Ledger, is_target: bool) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let items = side.not_handed(after, ROWS_PER_CHANGE).await?;
        let Some(last) = items.last() else { return Ok(()) };
        after = last.item;
        journal.add_side(is_target, items).await?;
    }
}

/// Writes `reconciliation.csv` and `differences.csv` into `folder`, which is made when it is not there.
///
/// # Errors
/// When the journal fails or a file cannot be written.
pub async fn write_reconciliation(
    journal: &Ledger,
    found: &Reconciliation,
    times_kept: bool,
    folder: &Path,
    bom: bool,
) -> Result<(), Error> {
    let refused = |path: &Path, source| Error::Results {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(|error| refused(folder, error))?;
    let open = |name: &str| {
        let path = folder.join(name);
        File::create(&path)
            .map(BufWriter::new)
            .map_err(|error| refused(&path, error))
    };
    let mut table = TableWriter::new(open("reconciliation.csv")?, &COUNT_COLUMNS, bom)?;
    for (from, to, differences) in &found.drives {
        let gaps: Vec<&str> = found
            .gaps
            .iter()
            .filter(|(drive, _)| *drive == from.drive || *drive == to.drive)
            .map(|(_, gap)| gap.as_str())
            .collect();
        let numbers = [
            from.files,
            to.files,
            from.folders,
            to.folders,
            from.bytes,
            to.bytes,
            *differences,
        ]
        .map(|number| number.to_string());
        let mut cells = vec![from.drive.as_str(), &to.drive];
        cells.extend(numbers.iter().map(String::as_str));
        let gaps = gaps.join("; ");
        cells.push(&gaps);
        table.write(&cells)?;
    }
    table.finish()?;
    let table = TableWriter::new(open("differences.csv")?, &DIFFERENCE_COLUMNS, bom)?;
    let table = Arc::new(Mutex::new(table));
    let shared = Arc::clone(&table);
    journal
        .differences(times_kept, move |one| {
            let cells = [
                one.difference.as_str(),
                &one.drive,
                &one.path,
                &one.target,
                &one.target_path,
                &one.detail,
            ];
            let mut table = shared.lock().unwrap_or_else(PoisonError::into_inner);
            table.write(&cells)
        })
        .await??;
    let (mut file, _) = crate::restore::take(table)?.finish()?;
    file.flush().map_err(manifest::Error::Io)?;
    Ok(())
}
