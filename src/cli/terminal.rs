//! Standard error as all of the program shares it: log lines and messages pass above the progress display without tearing it.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;

/// Standard error. Clones share one display.
#[derive(Clone, Debug, Default)]
pub struct Terminal {
    display: Arc<Mutex<Option<ProgressBar>>>,
}

impl Terminal {
    /// Whether standard error is a terminal that can move its cursor.
    pub fn is_terminal(&self) -> bool {
        io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
    }

    /// Writes one line. A standard error that cannot be written to is not worth an error: there is nowhere to say so.
    pub fn line(&self, text: &str) {
        let _ = self.write_whole(format!("{text}\n").as_bytes());
    }

    /// From now on text makes room for this display, until another or none is set.
    pub fn set_display(&self, display: Option<ProgressBar>) {
        *self.display.lock().unwrap_or_else(PoisonError::into_inner) = display;
    }

    fn write_whole(&self, bytes: &[u8]) -> io::Result<()> {
        let display = self.display.lock().unwrap_or_else(PoisonError::into_inner);
        match display.as_ref() {
            Some(display) => display.suspend(|| io::stderr().lock().write_all(bytes)),
            None => io::stderr().lock().write_all(bytes),
        }
    }
}

/// Each `write` is one whole log line, as `tracing-subscriber` gives it.
impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_whole(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
