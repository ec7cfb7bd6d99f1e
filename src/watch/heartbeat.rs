//! Writes down, every few seconds, that a run lives and how far it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::store::{read_status, write_status};
use crate::id::DriveId;
use crate::monitor::{Counter, DriveState, Monitor, Phase, Transfer, Waiting};
use crate::status::{Record, Running, StatusFile};
use crate::stop::Clock;

/// A run's part of the status file. Give it to the run beside the other sinks, and let [`Heartbeat::beating`] run beside the work.
///
/// Nothing here fails a run: a status file that cannot be written is told once, by the error of [`Heartbeat::begin`].
#[derive(Debug)]
pub struct Heartbeat {
    archive: PathBuf,
    clock: Clock,
    file: Mutex<StatusFile>,
    pulse: Mutex<Pulse>,
}

/// What the sinks heard since the beginning.
#[derive(Debug)]
struct Pulse {
    counters: [u64; Counter::COUNT],
    phase: Phase,
    moved: jiff::Timestamp,
}

/// The counters with their names in the status file.
const COUNTERS: [(Counter, &str); Counter::COUNT] = [
    (Counter::FoldersListed, "folders_listed"),
    (Counter::PagesRead, "pages_read"),
    (Counter::FilesListed, "files_listed"),
    (Counter::BytesListed, "bytes_listed"),
    (Counter::FilesDone, "files_done"),
    (Counter::BytesDone, "bytes_done"),
    (Counter::FilesReused, "files_reused"),
    (Counter::BytesReused, "bytes_reused"),
    (Counter::FilesSkipped, "files_skipped"),
    (Counter::FilesVanished, "files_vanished"),
    (Counter::Failures, "failures"),
    (Counter::BytesMoved, "bytes_moved"),
    (Counter::Retries, "retries"),
];

impl Heartbeat {
    /// Notes that `run` begins in the archive at `archive`, whose lock the caller holds. The error is for a warning; the heartbeat works all the same.
    pub fn begin(archive: &Path, run: Running, clock: Clock) -> (Heartbeat, io::Result<()>) {
        let (mut file, read) = match read_status(archive) {
            Ok(file) => (file, Ok(())),
            Err(error) => (StatusFile::default(), Err(error)),
        };
        file.begin(run);
        let heartbeat = Heartbeat {
            archive: archive.to_owned(),
            file: Mutex::new(file),
            pulse: Mutex::new(Pulse {
                counters: [0; Counter::COUNT],
                phase: Phase::Preparing,
                moved: clock.now(),
            }),
            clock,
        };
        let written = heartbeat.beat();
        (heartbeat, read.and(written))
    }

    /// What is known of a job, the dead run before included.
    pub fn record(&self, job: &str) -> Record {
        self.file().job(job)
    }

    /// Writes one heartbeat.
    ///
    /// # Errors
    /// What the system said.
    pub fn beat(&self) -> io::Result<()> {
        let mut file = self.file();
        // A beat that comes late must not write over what another run wrote since.
        if let Some(run) = &mut file.run {
            let pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
            run.updated = self.clock.now();
            run.moved = pulse.moved;
            run.phase = phase_word(pulse.phase).to_owned();
            run.counters = COUNTERS
                .iter()
                .filter_map(|(counter, name)| {
                    let value = pulse.counters.get(*counter as usize).copied().unwrap_or(0);
                    (value > 0).then(|| ((*name).to_owned(), value))
                })
                .collect();
            return write_status(&self.archive, &file, false);
        }
        Ok(())
    }

    /// Writes a heartbeat every `pause`, for ever. Drop the future when the run ends.
    pub async fn beating(self: &Arc<Self>, pause: Duration) {
        loop {
            tokio::time::sleep(pause).await;
            let heartbeat = Arc::clone(self);
            // A slow disk must not hold up the tasks that download; one missed beat is caught up by the next.
            let _ = tokio::task::spawn_blocking(move || heartbeat.beat()).await;
        }
    }

    /// Changes the file for good: how the run ended, what became of telling it. The error is for a warning.
    pub fn note<T>(&self, change: impl FnOnce(&mut StatusFile) -> T) -> (T, io::Result<()>) {
        let mut file = self.file();
        let value = change(&mut file);
        (value, write_status(&self.archive, &file, true))
    }

    fn file(&self) -> std::sync::MutexGuard<'_, StatusFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, change: impl FnOnce(&mut Pulse)) {
        change(&mut self.pulse.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Preparing => "preparing",
        Phase::Working => "working",
        Phase::Listed => "listed",
        Phase::Finishing => "finishing",
    }
}

impl Monitor for Heartbeat {
    fn count(&self, counter: Counter, by: u64) {
        let now = self.clock.now();
        self.heard(|pulse| {
            if let Some(value) = pulse.counters.get_mut(counter as usize) {
                *value = value.saturating_add(by);
            }
            if counter != Counter::Retries {
                pulse.moved = now;
            }
        });
    }

    fn phase(&self, phase: Phase) {
        let now = self.clock.now();
        self.heard(|pulse| {
            pulse.phase = phase;
            pulse.moved = now;
        });
    }

    fn transfer(&self, _: usize, step: Transfer<'_>) {
        if matches!(step, Transfer::Advanced(_)) {
            let now = self.clock.now();
            self.heard(|pulse| pulse.moved = now);
        }
    }

    fn call(&self, _: &'static str, _: Option<u16>) {}
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::atomic::{AtomicI64, Ordering};

    use jiff::Timestamp;

    use super::super::status_path;
    use super::*;
    use crate::notify::Event;
    use crate::status::LastRun;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn running() -> Running {
        Running {
            job: "night".to_owned(),
            kind: "backup".to_owned(),
            pid: 7,
            host: "nas".to_owned(),
            started: second(100),
            updated: second(100),
            moved: second(100),
            phase: String::new(),
            counters: BTreeMap::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_writes_of_itself_from_begin_to_end() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".drivejob")).unwrap();
        let time = Arc::new(AtomicI64::new(100));
        let clock = {
            let time = Arc::clone(&time);
            Clock::new(move || second(time.load(Ordering::Relaxed)))
        };
        let (heartbeat, written) = Heartbeat::begin(folder.path(), running(), clock);
        written.unwrap();
        let heartbeat = Arc::new(heartbeat);
        time.store(107, Ordering::Relaxed);
        heartbeat.phase(Phase::Working);
        heartbeat.count(Counter::FilesDone, 3);
        time.store(160, Ordering::Relaxed);
        heartbeat.count(Counter::Retries, 1);

        // One turn of the beating, which the paused clock brings at once.
        let _ = tokio::time::timeout(
            Duration::from_secs(16),
            heartbeat.beating(Duration::from_secs(15)),
        )
        .await;
        heartbeat.beat().unwrap();
        let seen = read_status(folder.path()).unwrap().run.unwrap();
        let expected = Running {
            updated: second(160),
            moved: second(107),
            phase: "working".to_owned(),
            counters: BTreeMap::from([("files_done".to_owned(), 3), ("retries".to_owned(), 1)]),
            ..running()
        };
        assert_eq!(seen, expected);

        let last = LastRun {
            kind: "backup".to_owned(),
            outcome: "complete".to_owned(),
            snapshot: None,
            started: second(100),
            finished: second(170),
            message: None,
            missed: 2,
        };
        let (told, written) = heartbeat.note(|file| {
            file.end(last.clone());
            file.told("night", Event::Success, second(160), Err("no answer".to_owned()));
            file.job("night").told()
        });
        written.unwrap();
        assert_eq!(told, None);
        // A beat that was under way when the run ended.
        fs::remove_file(status_path(folder.path())).unwrap();
        heartbeat.beat().unwrap();
        assert!(!status_path(folder.path()).exists());
        heartbeat.note(|_| ()).1.unwrap();
        let seen = read_status(folder.path()).unwrap();
        assert_eq!(seen.run, None);
        assert_eq!(seen.job("night").last, Some(last));
        assert_eq!(seen.job("night").notify_failure.unwrap().at, second(160));
        let names: Vec<_> = fs::read_dir(folder.path().join(".drivejob"))
            .unwrap()
            .map(|item| item.unwrap().file_name())
            .collect();
        assert_eq!(names, ["status.json"]);
    }

    #[test]
    fn a_torn_status_file_says_nothing_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".drivejob")).unwrap();
        fs::write(status_path(folder.path()), "{\"run\": {\"job\": ").unwrap();
        assert_eq!(read_status(folder.path()).unwrap(), StatusFile::default());
        let (heartbeat, written) = Heartbeat::begin(folder.path(), running(), Clock::new(|| second(5)));
        written.unwrap();
        assert_eq!(heartbeat.record("night"), Record::default());
        assert_eq!(
            read_status(folder.path()).unwrap().run.unwrap().updated,
            second(5)
        );
    }

    #[test]
    fn every_counter_has_a_name() {
        for (place, (counter, _)) in COUNTERS.iter().enumerate() {
            assert_eq!(*counter as usize, place);
        }
    }
}
