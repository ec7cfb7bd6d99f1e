//! What every command is given: the terminal, the result on standard output, and a place to run async work.

use std::future::Future;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;

use super::exit::ExitCode;
use super::messages::{CommandError, forgive_broken_pipe};
use super::progress::Progress;
use super::signals;
use super::terminal::Terminal;
use crate::runner::Host;
use crate::stop::Stop;

/// What every command is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// Standard error, shared with the log and the progress display.
    pub terminal: Terminal,
    /// Whether messages on standard error are coloured.
    pub colour: bool,
}

impl Context {
    /// The machine as a run sees it.
    ///
    /// # Errors
    ///
    /// There is no state folder.
    pub fn host(&self) -> Result<Host, CommandError> {
        super::host::host()
    }

    /// Writes a result to standard output, with a newline at its end.
    ///
    /// # Errors
    ///
    /// It cannot be written, and not because its reader went away.
    pub fn print(&self, text: &str) -> Result<(), CommandError> {
        self.write(|out| writeln!(out, "{text}"))
    }

    /// Writes one JSON object to standard output: on one line to a program, indented to a person.
    ///
    /// # Errors
    ///
    /// As [`Context::print`].
    pub fn print_json(&self, value: &Value) -> Result<(), CommandError> {
        use std::io::IsTerminal;
        if io::stdout().is_terminal() {
            self.print(&format!("{value:#}"))
        } else {
            self.print(&value.to_string())
        }
    }

    /// Lets `rows` write a long result to standard output, through a buffer. A reader that went away ends it, and well.
    ///
    /// # Errors
    ///
    /// As [`Context::print`].
    pub fn write(&self, rows: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), CommandError> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        forgive_broken_pipe(rows(&mut out).and_then(|()| out.flush()))
    }

    /// Prints an error, its causes and its hint to standard error.
    pub fn report(&self, error: &CommandError) {
        self.terminal.line(&error.to_text(self.colour));
    }

    /// Runs async work to its end on all cores.
    ///
    /// # Errors
    ///
    /// Those of the work, and a system that gives no threads.
    pub fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| CommandError::because(ExitCode::Failed, "no threads can be started", &error))?;
        let outcome = runtime.block_on(async {
            let outcome = work.await;
            crate::runner::settle().await;
            outcome
        });
        // Work that was dropped may still sit in a system call; its end is not waited for.
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }

    /// A stop that obeys Ctrl-C and SIGTERM from now on. Only inside [`Context::block_on`].
    ///
    /// # Errors
    ///
    /// The system does not let this process listen.
    pub fn stop_on_signals(&self) -> Result<Stop, CommandError> {
        let stop = Stop::new();
        signals::watch(stop.clone(), self.terminal.clone()).map_err(|error| unheard(&error))?;
        Ok(stop)
    }

    /// Waits for Ctrl-C or SIGTERM, for a command that has nothing to finish. Only inside [`Context::block_on`].
    ///
    /// # Errors
    ///
    /// The system does not let this process listen.
    pub async fn until_signal(&self) -> Result<(), CommandError> {
        signals::first().await.map_err(|error| unheard(&error))
    }

    /// Begins to show a run: its monitor is what the run reports to. Drop it before the result is printed.
    pub fn watch(&self, display: bool) -> Progress {
        Progress::start(&self.terminal, display)
    }
}

fn unheard(error: &io::Error) -> CommandError {
    CommandError::because(ExitCode::Failed, "signals cannot be heard", error)
}
