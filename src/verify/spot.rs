//! A few files of a snapshot against the drive as it is now.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use futures::StreamExt;
use futures::stream;
use serde_json::{Value, json};

use super::files::digest_of;
use crate::archive::{self, Snapshot};
use crate::drive::{Drive, Error, ErrorKind, Piece};
use crate::entry::Kind;
use crate::manifest::{Outcome, Row};
use crate::stop::Stop;

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpotOptions {
    /// Files whose size and modified time are compared.
    pub files: usize,
    /// How many of these are also downloaded and hashed.
    pub hashes: usize,
    /// Chooses the files; something new each time.
    pub seed: u64,
    /// Files compared at the same time.
    pub at_once: usize,
}

/// What was found of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpotState {
    /// Size and modified time are those of the snapshot; so are the bytes, where they were looked at.
    Same,
    /// It was modified since. No problem of the snapshot.
    Changed,
    /// It is not there any more. No problem of the snapshot.
    Gone,
    /// Nothing says that it was modified, and yet it is another one: the snapshot does not have what the drive has.
    Differs,
    /// The service did not say.
    Unknown,
}

impl SpotState {
    /// The word for lists and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            SpotState::Same => "same",
            SpotState::Changed => "changed",
            SpotState::Gone => "gone",
            SpotState::Differs => "differs",
            SpotState::Unknown => "unknown",
        }
    }
}

/// One file of the sample that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpotFinding {
    /// The drive.
    pub drive: String,
    /// The path in the snapshot.
    pub path: String,
    /// What was found.
    pub state: SpotState,
    /// More, for people.
    pub detail: String,
}

/// What a spot check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpotCheck {
    /// Files compared.
    pub compared: u64,
    /// Of these, files downloaded and hashed.
    pub hashed: u64,
    /// Counts by state.
    pub states: BTreeMap<SpotState, u64>,
    /// The files that are not the same, in the order of the manifest.
    pub findings: Vec<SpotFinding>,
}

impl SpotCheck {
    /// Whether nothing contradicts the snapshot.
    pub fn is_good(&self) -> bool {
        !self.states.contains_key(&SpotState::Differs)
    }

    /// The result as one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "good": self.is_good(),
            "compared": self.compared,
            "hashed": self.hashed,
            "states": self.states.iter().map(|(state, count)| (state.as_str(), count)).collect::<BTreeMap<_, _>>(),
            "findings": self.findings.iter().map(|finding| json!({
                "drive": finding.drive,
                "path": finding.path,
                "state": finding.state.as_str(),
                "detail": finding.detail,
            })).collect::<Vec<_>>(),
        })
    }
}

/// Compares a sample of the snapshot's files with the drive. Calls per file: one to look, one more to download.
///
/// # Errors
/// [`archive::Error`] when the manifest does not read. What the drive says is in the result.
pub async fn spot_check(
    drive: &dyn Drive,
    snapshot: &Snapshot,
    options: SpotOptions,
    stop: &Stop,
) -> Result<SpotCheck, archive::Error> {
    let reading = snapshot.clone();
    let sample = tokio::task::spawn_blocking(move || sample(&reading, options.files, options.seed)).await;
    let sample = match sample {
        Ok(sample) => sample?,
        Err(stopped) => {
            return Err(archive::Error::Io {
                action: "read",
                path: snapshot.path.join("manifest.csv"),
                source: std::io::Error::other(stopped),
            });
        }
    };
    let mut result = SpotCheck::default();
    let mut compared = stream::iter(sample.into_iter().enumerate())
        .take_while(|_| std::future::ready(!stop.is_draining()))
        .map(|(place, row)| async move {
            let with_bytes = place < options.hashes;
            let found = compare(drive, &row, with_bytes).await;
            (row, found)
        })
        .buffered(options.at_once.max(1));
    let mut findings = Vec::new();
    while let Some((row, (state, hashed, detail))) = compared.next().await {
        result.compared += 1;
        result.hashed += u64::from(hashed);
        *result.states.entry(state).or_default() += 1;
        if state != SpotState::Same {
            findings.push(SpotFinding {
                drive: row.entry.drive.to_string(),
                path: row.path.to_string(),
                state,
                detail,
            });
        }
    }
    findings.sort_by(|one, two| (&one.drive, &one.path).cmp(&(&two.drive, &two.path)));
    result.findings = findings;
    Ok(result)
}

/// `count` stored files of the manifest, each with the same chance (Vitter's algorithm R), in random order.
fn sample(snapshot: &Snapshot, count: usize, seed: u64) -> Result<Vec<Row>, archive::Error> {
    let mut chosen: Vec<Row> = Vec::new();
    let (mut seen, mut state) = (0_u64, seed);
    for row in snapshot.manifest()? {
        let row = row.map_err(|source| archive::Error::Manifest {
            path: snapshot.path.join("manifest.csv"),
            source,
        })?;
        if row.entry.kind != Kind::File || !matches!(row.outcome, Outcome::Stored | Outcome::Reused) {
            continue;
        }
        seen += 1;
        if chosen.len() < count {
            // The place in the result decides whose bytes are read, so it is left to chance as well.
            let place = usize::try_from(below(&mut state, seen)).unwrap_or(0);
            chosen.push(row);
            let last = chosen.len() - 1;
            chosen.swap(place.min(last), last);
        } else if let Some(slot) = usize::try_from(below(&mut state, seen))
            .ok()
            .and_then(|place| chosen.get_mut(place))
        {
            *slot = row;
        }
    }
    Ok(chosen)
}

/// A number below `end` from a splitmix64 sequence.
fn below(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % end.max(1)
}

async fn compare(drive: &dyn Drive, row: &Row, with_bytes: bool) -> (SpotState, bool, String) {
    let before = &row.entry;
    let now = match drive.stat(before).await {
        Ok(now) => now,
        Err(error) => return (state_of(&error), false, error.to_string()),
    };
    if now.modified != before.modified {
        let detail = match now.modified {
            Some(time) => format!("modified {time}"),
            None => "its modified time is not told any more".to_owned(),
        };
        return (SpotState::Changed, false, detail);
    }
    if now.size != before.size {
        let told = |size: Option<u64>| size.map_or("no size".to_owned(), |size| format!("{size} bytes"));
        let detail = format!(
            "{} in the drive, {} in the snapshot",
            told(now.size),
            told(before.size)
        );
        return (SpotState::Differs, false, detail);
    }
    if !with_bytes {
        return (SpotState::Same, false, String::new());
    }
    let wanted = row.sha256.as_deref().and_then(digest_of);
    match hash(drive, row).await {
        Err(error) => (state_of(&error), false, error.to_string()),
        Ok(digest) if Some(digest) == wanted => (SpotState::Same, true, String::new()),
        Ok(_) => (
            SpotState::Differs,
            true,
            "the bytes in the drive are others".to_owned(),
        ),
    }
}

fn state_of(error: &Error) -> SpotState {
    match error.kind {
        ErrorKind::NotFound => SpotState::Gone,
        ErrorKind::Changed => SpotState::Changed,
        _ => SpotState::Unknown,
    }
}

async fn hash(drive: &dyn Drive, row: &Row) -> Result<[u8; 32], Error> {
    let mut download = drive.download(&row.entry, 0).await?;
    let mut context = Context::new(&SHA256);
    while let Some(piece) = download.body.next().await {
        match piece? {
            Piece::Bytes(bytes) => context.update(&bytes),
            Piece::Resumed { .. } => {}
            Piece::Restarted => context = Context::new(&SHA256),
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}
