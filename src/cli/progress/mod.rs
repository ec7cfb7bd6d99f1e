//! How a person sees a run while it works: a display on a terminal, a line a minute everywhere else.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::board::Board;
use self::rate::Meter;
use super::terminal::Terminal;
use crate::monitor::{Monitor, Tee};

mod board;
mod frame;
mod log;
mod rate;

/// How long a run may take before anything is drawn: a short one then leaves no flicker.
const QUIET: Duration = Duration::from_millis(250);
/// Time between two frames, some 12 a second. More is not seen, and each frame costs the terminal.
const FRAME: Duration = Duration::from_millis(80);
/// Time between two lines where there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Watches one run until it is dropped; then nothing of it is left on the terminal.
#[derive(Debug)]
pub struct Progress {
    monitor: Arc<dyn Monitor>,
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to watch. With `display`, and where standard error is a terminal, it draws; else it logs.
    pub fn start(terminal: &Terminal, display: bool) -> Progress {
        let board = Arc::new(Board::default());
        let monitor = Tee(vec![
            Arc::clone(&board) as Arc<dyn Monitor>,
            Arc::new(log::LogMonitor::new(Arc::clone(&board))),
        ]);
        let (end, ended) = mpsc::channel();
        let terminal = (display && terminal.is_terminal()).then(|| terminal.clone());
        let work = move || match terminal {
            Some(terminal) => draw(&board, &terminal, &ended),
            None => beat(&board, &ended),
        };
        let thread = thread::Builder::new().name("progress".to_owned());
        Progress {
            monitor: Arc::new(monitor),
            end: Some(end),
            // A run without a display is better than no run.
            thread: thread.spawn(work).ok(),
        }
    }

    /// What the run reports to.
    pub fn monitor(&self) -> Arc<dyn Monitor> {
        Arc::clone(&self.monitor)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Redraws until the end.
fn draw(board: &Board, terminal: &Terminal, ended: &mpsc::Receiver<()>) {
    let mut meter = Meter::default();
    meter.note(Instant::now(), board.moved());
    let mut pause = QUIET;
    while passes(ended, pause) {
        let now = Instant::now();
        meter.note(now, board.moved());
        let (rows, columns) = terminal.size();
        terminal.show(&frame::frame(&board.view(&meter, now), columns, rows));
        pause = FRAME;
    }
    terminal.show("");
}

/// Logs the totals now and then until the end.
fn beat(board: &Board, ended: &mpsc::Receiver<()>) {
    let mut meter = Meter::default();
    meter.note(Instant::now(), board.moved());
    while passes(ended, HEARTBEAT) {
        let now = Instant::now();
        meter.note(now, board.moved());
        tracing::info!("{}", board.view(&meter, now).totals().join(", "));
    }
}

/// Waits that long; `false` when the end came first.
fn passes(ended: &mpsc::Receiver<()>, time: Duration) -> bool {
    matches!(ended.recv_timeout(time), Err(RecvTimeoutError::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Counter;

    #[test]
    fn a_watcher_ends_with_its_run_and_hears_through_one_monitor() {
        let progress = Progress::start(&Terminal::default(), false);
        progress.monitor().count(Counter::FilesDone, 1);
        let thread_runs = progress.thread.is_some();
        drop(progress);
        assert!(thread_runs);
    }
}
