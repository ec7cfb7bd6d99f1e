//! What surrounds every run: its heartbeat and watchdog, whom it tells, missed slots, and figures for Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use super::contacts::{Contacts, Told};
use super::{Error, Session};
use crate::archive::{Archive, Holder, Lock};
use crate::blocking::{blocking, outcome};
use crate::id::DriveId;
use crate::job::{self, JobKind};
use crate::metrics;
use crate::monitor::{Counter, DriveState, Monitor, Phase, Transfer, Waiting};
use crate::notify::{self, Event, Failure};
use crate::report::{Report, Status};
use crate::status::{self, BEAT_SECONDS, LastRun, Running, StatusFile};
use crate::stop::StopReason;
use crate::watch::{Heartbeat, Movement, read_status, watchdog, write_status};
use crate::{drive, report};

/// How long a stalled run has to end by itself at each step: above the eight seconds that transfers have after a stop.
const STALL_GRACE: Duration = Duration::from_secs(15);

/// The pause between two signs of a work that tells no progress of its own.
const SIGN: Duration = Duration::from_secs(10);

/// The surroundings of one run.
#[derive(Debug)]
pub(crate) struct Around {
    movement: Arc<Movement>,
    heartbeat: Arc<HeartbeatLater>,
    contacts: OnceLock<Arc<Contacts>>,
    held: Mutex<Held>,
}

/// What a run has from the moment on that its archive is locked, or that it goes without a lock.
#[derive(Debug, Default)]
struct Held {
    lock: Option<Arc<Lock>>,
    beating: Option<AbortOnDropHandle<()>>,
    starting: Option<AbortOnDropHandle<Vec<Told>>>,
    missed: u64,
    warnings: Vec<String>,
}

impl Around {
    pub(super) fn new() -> Around {
        Around {
            movement: Arc::new(Movement::new()),
            heartbeat: Arc::default(),
            contacts: OnceLock::new(),
            held: Mutex::default(),
        }
    }

    /// What must hear all that the run tells.
    pub(super) fn sinks(&self) -> [Arc<dyn Monitor>; 2] {
        [
            Arc::clone(&self.movement) as Arc<dyn Monitor>,
            Arc::clone(&self.heartbeat) as Arc<dyn Monitor>,
        ]
    }

    /// The archive's lock, once the run has it.
    pub(super) fn lock(&self) -> Option<Arc<Lock>> {
        self.held().lock.clone()
    }

    /// Does work that waits for the disk and tells no progress. The watchdog leaves it alone: no stop would reach it there.
    pub(super) async fn unwatched<T>(&self, work: impl Future<Output = T>) -> T {
        let signs = async {
            loop {
                self.movement.phase(Phase::Finishing);
                tokio::time::sleep(SIGN).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = signs => std::future::pending().await,
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The heartbeat, from the moment on that there is one.
#[derive(Debug, Default)]
struct HeartbeatLater(OnceLock<Arc<Heartbeat>>);

impl Monitor for HeartbeatLater {
    fn count(&self, counter: Counter, by: u64) {
        if let Some(heartbeat) = self.0.get() {
            heartbeat.count(counter, by);
        }
    }
    fn transfer(&self, worker: usize, step: Transfer<'_>) {
        if let Some(heartbeat) = self.0.get() {
            heartbeat.transfer(worker, step);
        }
    }
    fn phase(&self, phase: Phase) {
        if let Some(heartbeat) = self.0.get() {
            heartbeat.phase(phase);
        }
    }
    fn call(&self, _: &'static str, _: Option<u16>) {}
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

/// Does the job's work with all that surrounds it.
///
/// # Errors
/// Those of the work, and [`Error::Stalled`]. Nothing of the surroundings fails a run: it becomes a warning.
pub(super) async fn run(
    session: &Session,
    work: impl Future<Output = Result<Report, Error>>,
) -> Result<Report, Error> {
    let started = session.host.clock.now();
    let contacts = Contacts::find(session).await;
    session.around.held().warnings.extend(contacts.problems());
    let _ = session.around.contacts.set(Arc::new(contacts));
    let stall_after = session.loaded.job.limits.stall_after;
    let stalled = async {
        watchdog(&session.around.movement, stall_after, STALL_GRACE, &session.stop).await;
        tokio::time::sleep(STALL_GRACE).await;
    };
    // Neither future may outlive this: what it holds keeps the run's state open.
    let outcome = tokio::select! {
        biased;
        outcome = work => outcome,
        () = stalled => Err(Error::Stalled(stall_after)),
    };
    end(session, started, outcome).await
}

/// The run has its archive locked: the heartbeat begins, missed slots are counted, and the start is told.
pub(super) async fn begin(session: &Session, archive: &Archive, lock: &Arc<Lock>, since: Timestamp) {
    let running = Running {
        job: session.loaded.name.clone(),
        kind: session.loaded.job.kind.word().to_owned(),
        pid: session.host.pid,
        host: session.host.name.clone(),
        started: since,
        updated: since,
        moved: since,
        phase: "preparing".to_owned(),
        counters: BTreeMap::new(),
    };
    let (path, clock) = (archive.path().to_owned(), session.host.clock.clone());
    let (heartbeat, written) = blocking(move || Heartbeat::begin(&path, running, clock)).await;
    let heartbeat = Arc::new(heartbeat);
    let record = heartbeat.record(&session.loaded.name);
    let beats = Arc::clone(&heartbeat);
    let pause = Duration::from_secs(BEAT_SECONDS);
    {
        let mut held = session.around.held();
        held.lock = Some(Arc::clone(lock));
        held.beating = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            beats.beating(pause).await;
        })));
        if let Err(error) = written {
            held.warnings
                .push(format!("the status file cannot be written: {error}"));
        }
    }
    let _ = session.around.heartbeat.0.set(heartbeat);
    tell_start(session, record.last.map(|last| last.started), since);
}

/// The run works without the archive's lock, beside others: missed slots are counted, and the start is told.
pub(super) async fn begin_unlocked(session: &Session, archive: &Archive, since: Timestamp) {
    let path = archive.path().to_owned();
    let file = blocking(move || read_status(&path)).await.unwrap_or_default();
    let record = file.job(&session.loaded.name);
    tell_start(session, record.last.map(|last| last.started), since);
}

fn tell_start(session: &Session, last: Option<Timestamp>, since: Timestamp) {
    let every = session.loaded.job.every;
    let missed = every.map_or(0, |every| notify::missed_slots(last, since, every));
    let mut remark = String::new();
    if let (Some(last), Some(every), true) = (last, every, missed > 0) {
        remark = format!(
            "{missed} runs were missed: the one before began at {last}, and the job is to run every {}",
            report::duration(every)
        );
        session.around.held().warnings.push(remark.clone());
    }
    session.around.held().missed = missed;
    let Some(contacts) = session.around.contacts.get().cloned() else {
        return;
    };
    let summary = failure(session, since, None, &remark);
    let starting = tokio::spawn(async move {
        let mut told = Vec::new();
        if missed > 0 {
            told.push(contacts.tell(Event::Late, &summary).await);
        }
        told.push(contacts.tell(Event::Start, &summary).await);
        told
    });
    session.around.held().starting = Some(AbortOnDropHandle::new(starting));
}

/// The run ended: notes it, tells it and writes its figures.
async fn end(
    session: &Session,
    started: Timestamp,
    mut outcome: Result<Report, Error>,
) -> Result<Report, Error> {
    let mut held = std::mem::take(&mut *session.around.held());
    held.beating = None;
    let finished = session.host.clock.now();
    let is_stalled = session.stop.reason() == Some(StopReason::Stalled);
    let (event, word, message) = match &mut outcome {
        Ok(report) => {
            if is_stalled {
                let patience = report::duration(session.loaded.job.limits.stall_after);
                report
                    .warnings
                    .push(format!("nothing moved for {patience}, so the run was stopped"));
            }
            report.warnings.append(&mut held.warnings);
            (
                Event::of(report.status, is_stalled),
                report.status.as_str(),
                remark(report),
            )
        }
        Err(error) if is_stopped(session, error) => {
            (Event::Stopped, Status::Interrupted.as_str(), Some(chain(error)))
        }
        Err(error) => (Event::Failure, "failed", Some(chain(error))),
    };
    let mut warnings = Vec::new();
    let last = LastRun {
        kind: session.loaded.job.kind.word().to_owned(),
        outcome: word.to_owned(),
        snapshot: outcome.as_ref().ok().and_then(|report| report.snapshot.clone()),
        started,
        finished,
        message: message.clone(),
        missed: held.missed,
    };
    let told_before = note_end(session, &held, last, &mut warnings).await;

    if let Some(starting) = held.starting.take() {
        for told in outcome_of(starting).await {
            note_told(session, &held, told, &mut warnings).await;
        }
    }
    take(&mut outcome, &mut warnings);
    let summary = match &outcome {
        Ok(report) => report.to_json(),
        Err(_) => failure(
            session,
            started,
            Some(finished),
            message.as_deref().unwrap_or_default(),
        ),
    };
    if let Some(contacts) = session.around.contacts.get() {
        let alarms = summary.get("alarms").and_then(Value::as_array);
        if alarms.is_some_and(|alarms| !alarms.is_empty()) {
            let told = contacts.tell(Event::Alarm, &summary).await;
            note_told(session, &held, told, &mut warnings).await;
        }
        if notify::is_news(event, told_before, contacts.repeat()) {
            let told = contacts.tell(event, &summary).await;
            note_told(session, &held, told, &mut warnings).await;
        }
    }
    take(&mut outcome, &mut warnings);
    if let Err(error) = write_textfile(session, started, finished, &outcome).await {
        warnings.push(format!("the file for Prometheus cannot be written: {error}"));
    }
    take(&mut outcome, &mut warnings);
    outcome
}

/// Moves warnings to where a person sees them.
fn take(outcome: &mut Result<Report, Error>, warnings: &mut Vec<String>) {
    match outcome {
        Ok(report) => report.warnings.append(warnings),
        Err(_) => warnings.drain(..).for_each(|warning| tracing::warn!("{warning}")),
    }
}

async fn outcome_of(task: AbortOnDropHandle<Vec<Told>>) -> Vec<Told> {
    outcome(task.await).unwrap_or_default()
}

/// Notes how the run ended, and gives the end of a run that was told last.
async fn note_end(
    session: &Session,
    held: &Held,
    last: LastRun,
    warnings: &mut Vec<String>,
) -> Option<Event> {
    let job = session.loaded.name.clone();
    note(session, held, warnings, move |file| {
        let told = file.job(&job).told();
        file.format = status::FORMAT;
        file.run = None;
        file.jobs.entry(job).or_default().last = Some(last);
        told
    })
    .await
    .flatten()
}

/// Notes what became of telling something.
async fn note_told(session: &Session, held: &Held, told: Told, warnings: &mut Vec<String>) {
    let event = told.event;
    warnings.extend(
        told.errors
            .iter()
            .map(|error| format!("the {} was not told: {error}", event.as_str())),
    );
    let result = match (told.addresses, told.failures()) {
        (0, _) if !event.is_end() => return,
        (_, None) => Ok(()),
        (_, Some(failures)) => Err(failures),
    };
    let nobody = told.addresses == 0;
    let (job, now) = (session.loaded.name.clone(), session.host.clock.now());
    note(session, held, warnings, move |file| match nobody {
        // An end that nobody wants to hear of is an end all the same: what comes after it is news.
        true => file.jobs.entry(job).or_default().told = Some(event.as_str().to_owned()),
        false => file.told(&job, event, now, result),
    })
    .await;
}

/// Changes the status file: under the lock that the run holds, or else under one that is taken for this moment.
/// A run that another one keeps out changes nothing, since the file is that one's.
async fn note<T: Send + 'static>(
    session: &Session,
    held: &Held,
    warnings: &mut Vec<String>,
    change: impl FnOnce(&mut StatusFile) -> T + Send + 'static,
) -> Option<T> {
    let noted = match (&held.lock, session.around.heartbeat.0.get().cloned()) {
        (Some(_), Some(heartbeat)) => {
            let (value, written) = blocking(move || heartbeat.note(change)).await;
            written.map(|()| Some(value))
        }
        _ => note_unlocked(session, change).await,
    };
    noted.unwrap_or_else(|error| {
        let warning = format!("the status file cannot be written: {error}");
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
        None
    })
}

async fn note_unlocked<T: Send + 'static>(
    session: &Session,
    change: impl FnOnce(&mut StatusFile) -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let path = job::resolve_path(&session.loaded.base, &session.loaded.job.archive);
    let holder = Holder {
        pid: session.host.pid,
        host: session.host.name.clone(),
        since: session.host.clock.now(),
        job: session.loaded.name.clone(),
    };
    blocking(move || {
        let locked = Archive::open(&path).and_then(|archive| {
            let lock = archive.lock(&holder)?;
            Ok((archive, lock))
        });
        // Where there is no archive, or another run has it, there is nothing to note it in.
        let Ok((archive, _lock)) = locked else {
            let mut file = read_status(&path)?;
            return Ok(Some(change(&mut file)));
        };
        let mut file = read_status(archive.path())?;
        let running = file.run.take();
        let value = change(&mut file);
        // The lock was free, so a run that is still noted died. Its job's next run says so; one of this job has just ended.
        file.run = running.filter(|running| running.job != holder.job);
        write_status(archive.path(), &file, true)?;
        Ok(Some(value))
    })
    .await
}

/// Writes the figures in one step: the collector sees the old ones or the new ones.
async fn write_textfile(
    session: &Session,
    started: Timestamp,
    finished: Timestamp,
    outcome: &Result<Report, Error>,
) -> io::Result<()> {
    let loaded = &session.loaded;
    let Some(textfile) = &loaded.job.textfile else {
        return Ok(());
    };
    let archive = job::resolve_path(&loaded.base, &loaded.job.archive);
    let is_audit = matches!(loaded.job.kind, JobKind::Audit);
    let newest = blocking(move || {
        let archive = Archive::open(archive).ok()?;
        let newest = archive.newest_complete(|head| (head.kind == "audit") == is_audit);
        newest.ok()?.map(|snapshot| snapshot.head.started)
    })
    .await;
    let text = match outcome {
        Ok(report) => metrics::textfile(report, newest),
        Err(_) => {
            let kind = loaded.job.kind.word();
            metrics::textfile_of_failure(&loaded.name, kind, started, finished, newest)
        }
    };
    let path = job::resolve_path(&loaded.base, textfile);
    blocking(move || replace(&path, &text)).await
}

/// The collector reads `*.prom`, so the file under way ends otherwise.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    fs::write(&fresh, text)?;
    fs::rename(&fresh, path)
}

/// Whether the error is what a person's stop looks like from within.
fn is_stopped(session: &Session, error: &Error) -> bool {
    let is_cancelled = matches!(error, Error::Drive(error) if error.kind == drive::ErrorKind::Cancelled);
    is_cancelled && session.stop.reason() != Some(StopReason::Stalled)
}

/// What went wrong in a run that has a report, in a few words.
fn remark(report: &Report) -> Option<String> {
    match report.status {
        Status::Partial if report.kind == "verify" => Some("not everything could be checked".to_owned()),
        Status::Partial => Some(format!(
            "{} files or folders failed, {} drives were not seen whole",
            report.totals.failures(),
            report.roots.iter().filter(|root| !root.gaps().is_empty()).count()
        )),
        Status::Different => Some("the check found differences".to_owned()),
        Status::Failed => Some("nothing was restored".to_owned()),
        Status::Complete | Status::WindowEnded | Status::Interrupted => None,
    }
}

/// An error with all that lies under it.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

fn failure(session: &Session, started: Timestamp, finished: Option<Timestamp>, message: &str) -> Value {
    let loaded = &session.loaded;
    let archive = job::resolve_path(&loaded.base, &loaded.job.archive);
    Failure {
        kind: loaded.job.kind.word(),
        job: &loaded.name,
        archive: &archive.display().to_string(),
        started,
        finished,
        message,
    }
    .to_json()
}
