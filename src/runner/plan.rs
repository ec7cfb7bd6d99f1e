//! Foretells a run: from the newest snapshot's manifest, else from listings of a part. The archive is only read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::{StreamExt, stream};

use super::roots::find_roots;
use super::snapshot::{asked, classify, detail};
use super::window::zone;
use super::{Error, Loaded, Session, connect};
use crate::api::{self, Config};
use crate::archive::{self, Archive, Snapshot};
use crate::blocking::blocking;
use crate::depth;
use crate::drive::{Detail, Drive, ErrorKind};
use crate::entry::{Access, Entry, Kind};
use crate::estimate::{Basis, Contents, Counter, Forecast, Load, Opens, Price, Rate, Sampled, Window};
use crate::id::{DriveId, Family};
use crate::job::{self, Depth, Face, JobKind};
use crate::ledger::ListedAs;
use crate::manifest::Outcome;
use crate::path::DrivePath;
use crate::runner::Host;
use crate::stop::Stop;

/// How much a sample may read where there is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Pages of each drive at most, at least 1.
    pub pages: u32,
    /// Drives of each family at most, at least 1.
    pub drives: u32,
}

/// Drives of a sample that are listed at the same time.
const AT_ONCE: usize = 8;

/// Foretells what a run of the job would cost. Nothing is written.
///
/// # Errors
/// When the job's kind cannot be planned, or when there is no snapshot and the service cannot be asked either.
pub async fn plan(
    loaded: Loaded,
    host: &Host,
    monitor: Arc<dyn crate::monitor::Monitor>,
    sampling: Sampling,
) -> Result<Forecast, Error> {
    let session = Session::new(loaded, host, monitor, Stop::new());
    let job = &session.loaded.job;
    let downloads = match job.kind {
        JobKind::Backup => true,
        JobKind::Audit => false,
        _ => return Err(Error::NotPlanned(job.kind.word())),
    };
    let tenant = session.loaded.tenant.as_ref().ok_or(Error::NoTenant)?;
    let config = connect::config(tenant, &job.limits, host).await?;
    let mut warnings = Vec::new();
    let counted = match newest(&session, &mut warnings).await? {
        Some(snapshot) => from_snapshot(snapshot, asked(&job.depth)).await,
        None => None,
    };
    let (basis, families) = match counted {
        Some(counted) => counted,
        None => from_sample(&session, &config, sampling, &mut warnings).await?,
    };
    warnings.extend(connect::login_warning(&config, host.clock.now()));
    let mut opens = Vec::new();
    for scope in &job.drives {
        let row = |calls: &str, by: &str| Opens {
            scope: scope.to_string(),
            calls: calls.to_owned(),
            by: by.to_owned(),
        };
        match job::service(&tenant.tenant, scope) {
            Ok(services) => opens.extend(
                services
                    .iter()
                    .map(|service| row(service.calls, service.credential.describe())),
            ),
            Err(reason) => opens.push(row("drive", &format!("nothing, {reason}"))),
        }
    }
    let classic = tenant.tenant.dialect() == Face::Classic;
    Ok(Forecast {
        kind: job.kind.word(),
        job: session.loaded.name.clone(),
        basis,
        full: Load::of(&families, &job.drives, classic, downloads),
        unchanged: Load::of(&families, &job.drives, classic, false),
        depth: job
            .depth
            .iter()
            .map(|word| price(*word, &families, classic))
            .collect(),
        families,
        rate: rate(config.rate),
        bandwidth: job.limits.bandwidth,
        window: window(&session),
        opens,
        warnings,
    })
}

/// What one word of the job's `depth` costs.
fn price(word: Depth, families: &BTreeMap<Family, Contents>, classic: bool) -> Price {
    let detail = detail(word);
    Price {
        word: word.as_str(),
        load: match detail {
            Some(detail) if !classic => Load::of_detail(families, detail),
            _ => Load::default(),
        },
        remark: match detail {
            None => "told with the drives, no calls of its own",
            Some(_) if classic => "the classic API has no such call",
            Some(_) => "",
        },
    }
}

/// The tenant's rate, as an estimate takes it.
pub(super) fn rate(rate: api::Rate) -> Rate {
    let (per_minute, halves) = match rate {
        api::Rate::Unlimited => (None, false),
        api::Rate::Fixed(figure) => (Some(figure), false),
        api::Rate::Plan {
            per_minute,
            sustained_half,
        } => (Some(per_minute), sustained_half),
    };
    Rate { per_minute, halves }
}

/// The job's window, as an estimate takes it.
pub(super) fn window(session: &Session) -> Option<Window> {
    let job = &session.loaded.job;
    let window = job.window.as_ref()?;
    let zone = zone(job);
    let opens = window.opens(session.host.clock.now(), &zone)?;
    let length = window.closes(opens, &zone)?.duration_since(opens);
    Some(Window {
        text: window.to_string(),
        length: length.try_into().ok()?,
    })
}

/// The newest snapshot whose manifest is what its tail says.
pub(super) async fn newest(session: &Session, warnings: &mut Vec<String>) -> Result<Option<Snapshot>, Error> {
    let path = job::resolve_path(&session.loaded.base, &session.loaded.job.archive);
    let found = blocking(move || -> Result<_, archive::Error> {
        let archive = match Archive::open(&path) {
            Ok(archive) => archive,
            Err(archive::Error::NotAnArchive(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut snapshots = archive.snapshots()?;
        snapshots.retain(|snapshot| snapshot.tail.is_some());
        // A partial one knows less than a complete one, however new it is.
        let newest = snapshots.iter().rposition(Snapshot::is_complete);
        let newest = newest.or(snapshots.len().checked_sub(1));
        let Some(snapshot) = newest.map(|place| snapshots.swap_remove(place)) else {
            return Ok(None);
        };
        Ok(Some(match snapshot.verify_manifest_hash() {
            Ok(()) => Ok(snapshot),
            Err(error) => Err(format!("the newest snapshot cannot be used: {error}")),
        }))
    })
    .await?;
    match found {
        Some(Err(warning)) => {
            warnings.push(warning);
            Ok(None)
        }
        Some(Ok(snapshot)) => {
            let wanted: Vec<String> = session
                .loaded
                .job
                .drives
                .iter()
                .map(ToString::to_string)
                .collect();
            if snapshot.head.drives != wanted {
                warnings.push(format!(
                    "the snapshot is of other drives ({}); what the job adds is not in these figures",
                    snapshot.head.drives.join(", ")
                ));
            }
            Ok(Some(snapshot))
        }
        None => Ok(None),
    }
}

type Counted = (Basis, BTreeMap<Family, Contents>);

/// Counts a snapshot's manifest, row by row. `None` when it cannot be read after all.
async fn from_snapshot(snapshot: Snapshot, asked: Vec<Detail>) -> Option<Counted> {
    blocking(move || {
        let basis = Basis::Snapshot {
            id: snapshot.id.to_string(),
            complete: snapshot.is_complete(),
        };
        let mut counter = Counter::new(asked);
        let drives = snapshot
            .tail
            .as_ref()
            .and_then(|tail| tail.coverage.get("drives")?.as_array());
        for drive in drives.into_iter().flatten() {
            let word = drive.get("drive").and_then(serde_json::Value::as_str);
            let readable = drive.get("readable").and_then(serde_json::Value::as_bool);
            if let Some(word) = word {
                counter.drive(&DriveId::new(word), readable.unwrap_or(true));
            }
        }
        for row in snapshot.manifest().ok()?.flatten() {
            counter.row(&row);
        }
        Some((basis, counter.finish()))
    })
    .await
}

/// Lists a part of some drives of each family, and takes the rest to be like it.
async fn from_sample(
    session: &Session,
    config: &Config,
    sampling: Sampling,
    warnings: &mut Vec<String>,
) -> Result<Counted, Error> {
    let drive = api::connect(config.clone(), Arc::clone(&session.monitor))?;
    let mut readable: BTreeMap<Family, Vec<Entry>> = BTreeMap::new();
    let mut refused: BTreeMap<Family, u64> = BTreeMap::new();
    let found = find_roots(session, &drive).await?;
    warnings.extend(found.warnings);
    for found in found.roots {
        let family = found.root.entry.drive.family();
        match found.root.access {
            Access::Readable => readable.entry(family).or_default().push(found.root.entry),
            Access::Refused { .. } => *refused.entry(family).or_default() += 1,
        }
    }
    let classify = classify(session)?;
    let asked = asked(&session.loaded.job.depth);
    let mut families = BTreeMap::new();
    let (mut pages, mut looked, mut drives, mut whole) = (0, 0, 0, true);
    let known: std::collections::BTreeSet<Family> = readable.keys().chain(refused.keys()).copied().collect();
    for family in known {
        let roots = readable.remove(&family).unwrap_or_default();
        let number = roots.len();
        // Spread over the whole list, so that not only the oldest members are looked at.
        let step = number.div_ceil(sampling.drives.max(1) as usize).max(1);
        let looks: Vec<Result<Option<Sampled>, Error>> = stream::iter(roots.into_iter().step_by(step))
            .map(|root| look(&drive, root, sampling.pages.max(1), &classify, &asked))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut samples = Vec::new();
        let mut failed = 0;
        for look in looks {
            match look? {
                Some(sample) => samples.push(sample),
                None => failed += 1,
            }
        }
        if failed > 0 {
            warnings.push(format!("{failed} drives of the sample could not be listed"));
        }
        pages += samples
            .iter()
            .map(|sample| sample.root_pages + sample.pages)
            .sum::<u64>();
        looked += samples.len() as u64;
        drives += number as u64;
        whole &= step == 1 && failed == 0 && samples.iter().all(Sampled::is_whole);
        let unreadable = refused.get(&family).copied().unwrap_or(0);
        let mut contents = Sampled::extrapolate(&samples, number as u64, unreadable);
        contents
            .depth
            .drives(&depth::of_drive(family, &asked), number as u64);
        families.insert(family, contents);
    }
    let basis = Basis::Sample {
        pages,
        looked,
        drives,
        whole,
    };
    Ok((basis, families))
}

/// Lists one drive from its root, folder by folder, until it is seen whole or the pages are spent. `None` when not even
/// its root can be listed.
async fn look(
    drive: &Arc<dyn Drive>,
    root: Entry,
    pages: u32,
    classify: &crate::walk::Classify,
    asked: &[Detail],
) -> Result<Option<Sampled>, Error> {
    let mut sampled = Sampled {
        found: 1,
        ..Sampled::default()
    };
    let mut waiting = VecDeque::from([(root, DrivePath::root())]);
    let mut left = pages;
    while let Some((folder, path)) = waiting.pop_front() {
        let mut next = None;
        loop {
            if left == 0 {
                return Ok(Some(sampled));
            }
            left -= 1;
            let page = match drive.children(&folder, next.as_ref()).await {
                Ok(page) => page,
                Err(error) if error.kind == ErrorKind::Unauthenticated => return Err(error.into()),
                Err(_) if path.is_root() => return Ok(None),
                // What cannot be listed costs its call all the same.
                Err(_) => break,
            };
            match path.is_root() {
                true => sampled.root_pages += 1,
                false => sampled.pages += 1,
            }
            for entry in page.entries {
                let path = path.join(&entry.name);
                let listed_as = classify(&entry, &path);
                if !matches!(listed_as, ListedAs::Settled(Outcome::Skipped, _)) {
                    sampled.depth.item(&depth::of_item(&entry, asked));
                }
                match (entry.kind, listed_as) {
                    (Kind::Folder, ListedAs::Walk) => {
                        sampled.found += 1;
                        // More than can be listed need not be kept.
                        if waiting.len() < pages as usize {
                            waiting.push_back((entry, path));
                        }
                    }
                    (Kind::File, ListedAs::Fetch) | (Kind::File, ListedAs::Settled(Outcome::Listed, _)) => {
                        sampled.files += 1;
                        sampled.bytes = sampled.bytes.saturating_add(entry.size.unwrap_or(0));
                    }
                    _ => {}
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        sampled.listed += 1;
    }
    Ok(Some(sampled))
}
