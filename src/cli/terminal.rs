//! Standard error as all of the program shares it: log lines and messages pass above the progress display without tearing it.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use console::{Term, measure_text_width};

/// Standard error. Clones share one display.
#[derive(Clone, Debug)]
pub struct Terminal(Arc<Mutex<Screen>>);

/// What stands on the terminal below everything that stays.
///
/// The cursor is left behind the last letter, so that the `^C` of the terminal itself fits there and moves nothing.
#[derive(Debug)]
struct Screen {
    term: Term,
    frame: String,
}

impl Default for Terminal {
    fn default() -> Terminal {
        let screen = Screen {
            term: Term::buffered_stderr(),
            frame: String::new(),
        };
        Terminal(Arc::new(Mutex::new(screen)))
    }
}

impl Terminal {
    /// Whether standard error is a terminal that can move its cursor.
    pub fn is_terminal(&self) -> bool {
        io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.screen().term.size();
        (rows.into(), columns.into())
    }

    /// Writes one line. A standard error that cannot be written to is not worth an error: there is nowhere to say so.
    pub fn line(&self, text: &str) {
        let _ = self.screen().write(format!("{text}\n").as_bytes());
    }

    /// Shows these lines below everything else, in place of those shown before; an empty text shows none.
    pub fn show(&self, frame: &str) {
        let _ = self.screen().show(frame);
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Screen {
    fn show(&mut self, frame: &str) -> io::Result<()> {
        if frame == self.frame {
            return Ok(());
        }
        self.erase()?;
        self.frame.clear();
        self.frame.push_str(frame);
        self.term.write_all(self.frame.as_bytes())?;
        self.term.flush()
    }

    /// Text that stays, with a newline at its end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.erase()?;
        self.term.write_all(bytes)?;
        self.term.write_all(self.frame.as_bytes())?;
        self.term.flush()
    }

    /// Clears the frame and goes to where it began. Row by row: terminals that keep what a whole cleared screen
    /// showed would keep every frame.
    fn erase(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let (_, columns) = self.term.size();
        let rows = rows(&self.frame, columns.into());
        self.term.write_all(b"\r")?;
        self.term.clear_line()?;
        for _ in 1..rows {
            self.term.move_cursor_up(1)?;
            self.term.clear_line()?;
        }
        Ok(())
    }
}

/// Rows that a text takes: a line wider than the terminal, which has become narrower since, is wrapped by it.
fn rows(text: &str, columns: usize) -> usize {
    let columns = columns.max(1);
    let height = |line: &str| measure_text_width(line).div_ceil(columns).max(1);
    text.split('\n').map(height).sum()
}

/// Each `write` is one whole log line, as `tracing-subscriber` gives it.
impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.screen().write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn rows_are_counted_as_the_terminal_wraps_them() {
        for (text, columns, expected) in [
            ("one", 80, 1),
            ("one\ntwo", 80, 2),
            ("one\n\ntwo", 80, 3),
            ("1234567890", 10, 1),
            ("1234567890x", 10, 2),
            ("보고서보고서", 10, 2),
            ("x", 0, 1),
        ] {
            assert_eq!(rows(text, columns), expected, "{text:?}");
        }
    }
}
