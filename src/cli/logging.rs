//! Log lines on standard error: format, level, time.

use std::fmt;

use jiff::Timestamp;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::args::{Global, LogFormat, LogLevel};
use super::messages::CommandError;
use super::terminal::Terminal;

/// Sends the log of the whole process to standard error from now on.
///
/// `directives` is the text of `DRIVEJOB_LOG`; an option on the command line goes before it.
///
/// # Errors
///
/// `DRIVEJOB_LOG` cannot be read.
pub(super) fn start(
    global: &Global,
    directives: Option<&str>,
    colour: bool,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let usual = if terminal.is_terminal() {
        LogLevel::Warn
    } else {
        LogLevel::Info
    };
    let filter = filter(global, directives, usual)?;
    let terminal = terminal.clone();
    let subscriber = subscriber(global.log_format, filter, colour, move || terminal.clone());
    // A second call in one process keeps the first log, which is what its caller wants.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// What is let through: options, then the environment, then the usual level.
fn filter(global: &Global, directives: Option<&str>, usual: LogLevel) -> Result<EnvFilter, CommandError> {
    let level = match (global.level(usual), directives) {
        (Some(level), _) => level,
        (None, Some(text)) if !text.trim().is_empty() => {
            return EnvFilter::try_new(text).map_err(|error| {
                CommandError::usage(format!("DRIVEJOB_LOG cannot be read: {error}"))
                    .hint("write a level such as debug, or levels by module such as drivejob::api=debug,warn")
            });
        }
        (None, _) => usual,
    };
    // Libraries below may write whole requests, and tokens with them, at their lower levels.
    Ok(EnvFilter::new(match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "warn,drivejob=info",
        LogLevel::Debug => "warn,drivejob=debug",
        LogLevel::Trace => "info,drivejob=trace",
    }))
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    colour: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_timer(UtcSeconds)
        // Else a line that nobody takes any more, as when the reader of a pipe has gone, would end the run with a panic.
        .log_internal_errors(false)
        .with_writer(writer);
    match format {
        LogFormat::Text => Box::new(builder.compact().with_target(false).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

/// The time of a log line: RFC 3339 in UTC, to the second.
struct UtcSeconds;

impl FormatTime for UtcSeconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.0}", Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, global: &Global, directives: Option<&str>) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let filter = filter(global, directives, LogLevel::Info).unwrap();
        let subscriber = subscriber(format, filter, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(path = "/見積書", "first");
            tracing::debug!("second");
            tracing::warn!(target: "hyper", "third");
            tracing::info!(target: "hyper", "fourth");
        });
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    /// A line without its time, which is 20 characters long.
    fn without_times(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.get(20..)).collect()
    }

    #[test]
    fn text_lines_have_a_utc_time_and_the_level_that_was_asked_for() {
        let text = logged(LogFormat::Text, &Global::default(), None);
        let time = text.get(..20).unwrap();
        assert!(time.parse::<Timestamp>().is_ok(), "{time}");
        assert_eq!(
            without_times(&text),
            ["  WARN first path=\"/見積書\"", "  WARN third"]
        );
        let more = Global {
            verbose: 1,
            ..Global::default()
        };
        assert_eq!(
            without_times(&logged(LogFormat::Text, &more, Some("off"))),
            ["  WARN first path=\"/見積書\"", " DEBUG second", "  WARN third"]
        );
        assert_eq!(
            without_times(&logged(LogFormat::Text, &Global::default(), Some("hyper=info"))),
            ["  WARN third", "  INFO fourth"]
        );
    }

    #[test]
    fn json_lines_are_one_flat_object_each() {
        let text = logged(LogFormat::Json, &Global::default(), None);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["level"], "WARN");
        assert_eq!(first["message"], "first");
        assert_eq!(first["path"], "/見積書");
        assert!(first["timestamp"].is_string());
    }

    #[test]
    fn a_wrong_variable_is_a_usage_error() {
        let error = filter(&Global::default(), Some("a=b=c"), LogLevel::Info).unwrap_err();
        assert_eq!(error.exit.code(), 2);
        assert!(error.message.contains("DRIVEJOB_LOG"));
    }
}
