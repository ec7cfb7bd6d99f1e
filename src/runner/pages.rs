//! The report: one page for a snapshot, and an index over several archives.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::compare::Comparison;
use super::{Error, Session};
use crate::archive::{self, Archive, Head, Snapshot, Status, Tail};
use crate::coverage::Totals;
use crate::diff::Word;
use crate::id::SnapshotId;
use crate::job::{Api, Language as JobLanguage, Requests};
use crate::manifest::Outcome;
use crate::page::{self, Aggregate, Calls, Changes, Index, IndexLine, Input, Language, Night};

/// How a report is asked for.
#[derive(Clone, Debug)]
pub struct PageOptions {
    /// The snapshot: a name, a date, `latest`; `None` is the newest.
    pub snapshot: Option<String>,
    /// The file to write; `None` is `report-<snapshot>.html` in the archive folder, or `report.html` in the folder of archives.
    pub out: Option<PathBuf>,
    /// The language; `None` is that of the job that made the snapshot.
    pub language: Option<Language>,
    /// The zone that times are shown in.
    pub zone: TimeZone,
    /// The time of the index page.
    pub now: Timestamp,
}

/// Writes the page of a snapshot, or, for a folder that holds archives, a page for each and an index. Gives the files, the
/// one to open first.
///
/// # Errors
/// When the folder neither is an archive nor holds one, a word means no snapshot, or something cannot be read or written.
pub fn write_report(path: &Path, options: &PageOptions) -> Result<Vec<PathBuf>, Error> {
    match Archive::open(path) {
        Ok(archive) => {
            let (file, _) = one(&archive, options, options.out.as_deref())?;
            Ok(vec![file])
        }
        Err(error @ archive::Error::NotAnArchive(_)) => {
            let archives = archives_in(path);
            if archives.is_empty() || options.snapshot.is_some() {
                return Err(error.into());
            }
            many(path, &archives, options)
        }
        Err(error) => Err(error.into()),
    }
}

/// The archives that lie in a folder, by name.
fn archives_in(path: &Path) -> Vec<(String, Archive)> {
    let items = fs::read_dir(path).into_iter().flatten().flatten();
    let mut archives: Vec<(String, Archive)> = items
        .filter_map(|item| {
            let name = item.file_name().to_string_lossy().into_owned();
            Some((name, Archive::open(item.path()).ok()?))
        })
        .collect();
    archives.sort_by(|(left, _), (right, _)| left.cmp(right));
    archives
}

fn many(path: &Path, archives: &[(String, Archive)], options: &PageOptions) -> Result<Vec<PathBuf>, Error> {
    let index = options.out.clone().unwrap_or_else(|| path.join("report.html"));
    let stem = index
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut files = vec![index.clone()];
    let mut lines = Vec::new();
    for (name, archive) in archives {
        let page = format!("{stem}-{name}.html");
        let file = index.with_file_name(&page);
        // An archive that cannot be read has its line, and does not hide the others.
        lines.push(match one(archive, options, Some(&file)) {
            Ok((file, snapshot)) => {
                files.push(file);
                let (files, bytes) = held(snapshot.tail.as_ref().map(|tail| &tail.totals));
                IndexLine {
                    name: name.clone(),
                    page: Some(page),
                    time: Some(snapshot.head.started),
                    status: status_word(snapshot.tail.as_ref()).to_owned(),
                    files,
                    bytes,
                    failures: snapshot.tail.as_ref().map_or(0, |tail| tail.totals.failures()),
                }
            }
            Err(error) => IndexLine {
                name: name.clone(),
                status: error.to_string(),
                ..IndexLine::default()
            },
        });
    }
    let page = Index {
        language: options.language.unwrap_or_default(),
        zone: options.zone.clone(),
        made: options.now,
        lines: &lines,
    };
    publish(&index, |out| page::write_index(out, &page))?;
    Ok(files)
}

/// Writes the page of one archive's snapshot.
fn one(archive: &Archive, options: &PageOptions, out: Option<&Path>) -> Result<(PathBuf, Snapshot), Error> {
    let word = options.snapshot.as_deref().unwrap_or("latest");
    let snapshot = archive.resolve(word, None)?;
    let file = out.map_or_else(
        || archive.path().join(format!("report-{}.html", snapshot.id)),
        Path::to_owned,
    );
    let mut aggregate = Aggregate::new(snapshot.head.started);
    for row in snapshot.manifest()? {
        aggregate.add(&row.map_err(|source| archive::Error::Manifest {
            path: snapshot.path.join("manifest.csv"),
            source,
        })?);
    }
    let tail = snapshot.tail.clone().unwrap_or_default();
    let told = match tail.extra.get("changes") {
        Some(changes) => Some(changes.clone()),
        None => compare(archive, &snapshot),
    };
    let facts = Facts {
        id: &snapshot.id,
        head: &snapshot.head,
        tail: &tail,
        changes: told.as_ref(),
        language: options.language.unwrap_or_else(|| language_of(&tail)),
        zone: options.zone.clone(),
    };
    publish(&file, |out| facts.write(archive, &aggregate, out))?;
    Ok((file, snapshot))
}

/// What changed since the snapshot before, for snapshots whose tail does not tell. What cannot be compared is left out.
fn compare(archive: &Archive, snapshot: &Snapshot) -> Option<Value> {
    let comparison = Comparison::open(archive.path(), "previous", snapshot.id.as_str()).ok()?;
    let mut told = comparison.run(|_| Ok(())).ok()?.to_json();
    let since = Value::from(comparison.before.id.as_str());
    told.as_object_mut()?.insert("since".to_owned(), since);
    Some(told)
}

/// Puts a file in place when it is whole.
fn publish(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<u64>,
) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let written = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".report-").tempfile_in(folder)?;
        let mut out = BufWriter::new(file.as_file_mut());
        write(&mut out)?;
        out.flush()?;
        drop(out);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Temporary files are for their owner alone; a report is for whoever may read the archive.
            file.as_file()
                .set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|error| Error::Page {
        path: path.to_owned(),
        source: error,
    })
}

/// What a page takes from a snapshot's head and tail.
pub(super) struct Facts<'a> {
    pub(super) id: &'a SnapshotId,
    pub(super) head: &'a Head,
    pub(super) tail: &'a Tail,
    /// The summary of a comparison, with `since`.
    pub(super) changes: Option<&'a Value>,
    pub(super) language: Language,
    pub(super) zone: TimeZone,
}

impl Facts<'_> {
    /// Writes the page. The trend is that of all snapshots of the same kind, this one included.
    pub(super) fn write(&self, archive: &Archive, aggregate: &Aggregate, out: impl Write) -> io::Result<u64> {
        let mut nights: Vec<Night> = archive
            .snapshots()
            .unwrap_or_default()
            .iter()
            .filter(|snapshot| snapshot.head.kind == self.head.kind && snapshot.id != *self.id)
            .map(|snapshot| night(&snapshot.head, snapshot.tail.as_ref()))
            .collect();
        nights.push(night(self.head, Some(self.tail)));
        nights.sort_by_key(|night| night.time);
        let warnings: Vec<String> = self
            .tail
            .alarms
            .iter()
            .map(|alarm| alarm.message.clone())
            .chain(texts(self.tail.extra.get("warnings")))
            .collect();
        let counts = self.changes.map(counts).unwrap_or_default();
        let since = self
            .changes
            .and_then(|changes| changes.get("since")?.as_str()?.parse().ok());
        let calls = calls(self.tail);
        page::write(
            out,
            &Input {
                language: self.language,
                zone: self.zone.clone(),
                title: &self.head.job,
                snapshot: self.id,
                status: status_word(Some(self.tail)),
                warnings: &warnings,
                changes: since.as_ref().map(|since| Changes {
                    since,
                    counts: &counts,
                }),
                nights: &nights,
                coverage: &self.tail.coverage,
                calls: &calls,
                seconds: number(self.tail, "seconds").unwrap_or(0.0),
                calls_per_minute: number(self.tail, "calls_per_minute").map(|figure| figure as u32),
            },
            aggregate,
        )
    }
}

/// The language of a job's reports.
pub(super) fn language(language: JobLanguage) -> Language {
    match language {
        JobLanguage::En => Language::English,
        JobLanguage::Ja => Language::Japanese,
        JobLanguage::Ko => Language::Korean,
    }
}

/// Requests per minute that the plan allows for each operation, where there is such a limit.
pub(super) fn calls_per_minute(session: &Session) -> Option<u32> {
    let tenant = &session.loaded.tenant.as_ref()?.tenant;
    match tenant.requests(session.loaded.job.limits.requests_per_minute) {
        Requests::Auto if tenant.api == Api::Simulator => None,
        Requests::Auto => Some(tenant.plan.requests_per_minute()),
        Requests::Unlimited => None,
        Requests::PerMinute(figure) => Some(figure.get()),
    }
}

fn language_of(tail: &Tail) -> Language {
    let code = tail.extra.get("lang").and_then(Value::as_str);
    code.and_then(|code| code.parse().ok()).unwrap_or_default()
}

fn night(head: &Head, tail: Option<&Tail>) -> Night {
    let (files, bytes) = held(tail.map(|tail| &tail.totals));
    let calls = tail.map(|tail| &tail.calls);
    let busiest = calls.and_then(|calls| calls.values().max().copied());
    let quota_share = tail.and_then(|tail| {
        let minutes = number(tail, "seconds")? / 60.0;
        let allowed = number(tail, "calls_per_minute")?;
        // Less than a minute says nothing about a limit per minute.
        (minutes >= 1.0 && allowed > 0.0).then(|| busiest.unwrap_or(0) as f64 / minutes / allowed)
    });
    Night {
        time: head.started,
        status: status_word(tail).to_owned(),
        files,
        bytes,
        new_bytes: tail.map_or(0, |tail| tail.totals.of(Outcome::Stored).bytes),
        failures: tail.map_or(0, |tail| tail.totals.failures()),
        calls: calls.map_or(0, |calls| calls.values().sum()),
        quota_share,
    }
}

/// Files and bytes that a snapshot holds or lists.
fn held(totals: Option<&Totals>) -> (u64, u64) {
    let Some(totals) = totals else {
        return (0, 0);
    };
    let (held, listed) = (totals.held(), totals.of(Outcome::Listed));
    let (files, bytes) = (held.files, held.bytes);
    (files + listed.files, bytes.saturating_add(listed.bytes))
}

fn status_word(tail: Option<&Tail>) -> &'static str {
    match tail.map(|tail| tail.status) {
        Some(Status::Complete) => "complete",
        Some(Status::Partial) => "partial",
        None => "failed",
    }
}

fn counts(changes: &Value) -> Vec<(&'static str, u64, u64)> {
    let count = |word: Word, key: &str| changes["changes"][word.as_str()][key].as_u64().unwrap_or(0);
    Word::ALL
        .into_iter()
        .map(|word| (word.as_str(), count(word, "files"), count(word, "folders")))
        .collect()
}

/// Calls with what became of them, where the tail tells; else only how many were sent.
fn calls(tail: &Tail) -> Vec<Calls> {
    let told = tail.extra.get("calls").and_then(Value::as_object);
    let operations = tail.calls.iter().map(|(operation, sent)| {
        let facts = told.and_then(|told| told.get(operation));
        let figure = |key: &str| facts.and_then(|facts| facts.get(key)?.as_u64());
        Calls {
            operation: operation.clone(),
            sent: *sent,
            limited: figure("rate_limited").unwrap_or(0),
            failed: figure("failed").unwrap_or(0),
        }
    });
    operations.collect()
}

fn number(tail: &Tail, key: &str) -> Option<f64> {
    tail.extra.get(key).and_then(Value::as_f64)
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = String> {
    let texts = value.and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(|text| text.as_str().map(str::to_owned))
}
