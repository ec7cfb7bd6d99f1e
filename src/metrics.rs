//! A run's figures for the textfile collector of the Prometheus node exporter.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::manifest::Outcome;
use crate::report::{Report, Status};

/// The states a run can end in, with the word each has as a label.
const STATES: [Status; 5] = [
    Status::Complete,
    Status::Partial,
    Status::Different,
    Status::WindowEnded,
    Status::Interrupted,
];

/// The label of a run that could not go on and has no summary.
const FAILED: &str = "failed";

/// The text of a `.prom` file for the run that `report` sums up.
///
/// `newest_complete` is when the newest complete snapshot began, be it of this run or of an earlier one: an alert on its age notices every way of not running.
/// Sizes are bytes, times seconds since 1970-01-01 UTC, durations seconds, as Prometheus wants them ("Metric and label naming").
pub fn textfile(report: &Report, newest_complete: Option<Timestamp>) -> String {
    let mut text = Text::new(&report.job, report.kind);
    text.run(
        report.status.as_str(),
        report.started,
        report.finished,
        newest_complete,
    );
    let held = report.totals.held();
    let (files, bytes) = (held.files, held.bytes);
    text.gauge(
        "drivejob_files",
        "Files whose bytes the run's snapshot holds.",
        files,
    );
    text.gauge("drivejob_bytes", "Bytes of these files.", bytes);
    text.gauge(
        "drivejob_failures",
        "Files and folders that failed.",
        report.totals.failures(),
    );
    text.head("drivejob_outcome_files", "Files of the manifest by outcome.");
    for outcome in Outcome::ALL {
        let count = report.totals.of(outcome).files;
        text.value("drivejob_outcome_files", &[("outcome", outcome.as_str())], count);
    }
    text.gauge(
        "drivejob_drives_not_covered",
        "Drives of which something could not be seen.",
        report.roots.iter().filter(|root| !root.gaps().is_empty()).count(),
    );
    for (name, help, pick) in [
        (
            "drivejob_api_calls",
            "Requests of the last run by API operation.",
            0,
        ),
        (
            "drivejob_api_calls_rate_limited",
            "Of these, refused for the rate.",
            1,
        ),
        ("drivejob_api_calls_failed", "Of these, failed otherwise.", 2),
    ] {
        text.head(name, help);
        for (operation, count) in &report.calls {
            let number = match pick {
                0 => count.sent,
                1 => count.limited,
                _ => count.failed,
            };
            text.value(name, &[("operation", operation)], number);
        }
    }
    text.gauge(
        "drivejob_retries",
        "Requests repeated after a failure.",
        report.retries,
    );
    text.gauge(
        "drivejob_waited_seconds",
        "Time all workers together waited for the rate limit.",
        report.waited.as_secs_f64(),
    );
    text.gauge("drivejob_warnings", "Warnings of the run.", report.warnings.len());
    text.out
}

/// The text of a `.prom` file for a run that failed and has no summary.
pub fn textfile_of_failure(
    job: &str,
    kind: &str,
    started: Timestamp,
    finished: Timestamp,
    newest_complete: Option<Timestamp>,
) -> String {
    let mut text = Text::new(job, kind);
    text.run(FAILED, started, finished, newest_complete);
    text.out
}

/// The text under way, with the labels that every value carries.
struct Text {
    out: String,
    labels: String,
}

impl Text {
    fn new(job: &str, kind: &str) -> Text {
        Text {
            out: String::new(),
            labels: format!("job_file=\"{}\",kind=\"{}\"", escaped(job), escaped(kind)),
        }
    }

    /// What every run has, however it ended.
    fn run(
        &mut self,
        state: &str,
        started: Timestamp,
        finished: Timestamp,
        newest_complete: Option<Timestamp>,
    ) {
        self.head(
            "drivejob_last_run_state",
            "1 for how the last run ended, 0 for the other ways.",
        );
        for word in STATES.map(Status::as_str).into_iter().chain([FAILED]) {
            let is_it = u8::from(word == state);
            self.value("drivejob_last_run_state", &[("state", word)], is_it);
        }
        self.gauge(
            "drivejob_last_run_start_timestamp_seconds",
            "When the last run began.",
            started.as_second(),
        );
        self.gauge(
            "drivejob_last_run_end_timestamp_seconds",
            "When the last run ended.",
            finished.as_second(),
        );
        self.gauge(
            "drivejob_last_run_duration_seconds",
            "How long the last run took.",
            finished.duration_since(started).as_secs_f64(),
        );
        if let Some(time) = newest_complete {
            self.gauge(
                "drivejob_newest_complete_timestamp_seconds",
                "When the newest complete snapshot began.",
                time.as_second(),
            );
        }
    }

    fn head(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, help);
        self.value(name, &[], value);
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.out, "{name}{{{}", self.labels);
        for (label, text) in labels {
            let _ = write!(self.out, ",{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.out, "}} {value}");
    }
}

/// A label's value: backslash, quote and line feed are escaped ("Exposition formats", text format).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_json::Map;

    use super::*;
    use crate::coverage::{Count, Totals};
    use crate::monitor::CallCount;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_whole_text_is_what_prometheus_reads() {
        let mut totals = Totals::default();
        totals.outcomes.insert(
            "stored".to_owned(),
            Count {
                files: 3,
                folders: 0,
                bytes: 3000,
            },
        );
        totals.outcomes.insert(
            "reused".to_owned(),
            Count {
                files: 2,
                folders: 0,
                bytes: 20,
            },
        );
        totals.outcomes.insert(
            "failed".to_owned(),
            Count {
                files: 1,
                folders: 0,
                bytes: 9,
            },
        );
        let calls = CallCount {
            sent: 7,
            limited: 2,
            failed: 1,
        };
        let report = Report {
            kind: "backup",
            job: "C:\\jobs\\\"night\"\n.toml".to_owned(),
            archive: String::new(),
            snapshot: None,
            status: Status::Partial,
            started: second(1_000),
            finished: second(1_090),
            resumed: false,
            totals,
            calls: BTreeMap::from([("drive.list".to_owned(), calls)]),
            waited: Duration::from_millis(1500),
            retries: 4,
            roots: Vec::new(),
            failures: Vec::new(),
            warnings: vec!["w".to_owned()],
            alarms: Default::default(),
            details: Map::new(),
        };
        let text = textfile(&report, Some(second(500)));
        let labels = "job_file=\"C:\\\\jobs\\\\\\\"night\\\"\\n.toml\",kind=\"backup\"";
        let values: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.replacen(labels, "", 1).replace("{}", "").replace("{,", "{"))
            .collect();
        let expected = "\
drivejob_last_run_state{state=\"complete\"} 0
drivejob_last_run_state{state=\"partial\"} 1
drivejob_last_run_state{state=\"different\"} 0
drivejob_last_run_state{state=\"window-ended\"} 0
drivejob_last_run_state{state=\"interrupted\"} 0
drivejob_last_run_state{state=\"failed\"} 0
drivejob_last_run_start_timestamp_seconds 1000
drivejob_last_run_end_timestamp_seconds 1090
drivejob_last_run_duration_seconds 90
drivejob_newest_complete_timestamp_seconds 500
drivejob_files 5
drivejob_bytes 3020
drivejob_failures 1
drivejob_outcome_files{outcome=\"stored\"} 3
drivejob_outcome_files{outcome=\"reused\"} 2
drivejob_outcome_files{outcome=\"listed\"} 0
drivejob_outcome_files{outcome=\"skipped\"} 0
drivejob_outcome_files{outcome=\"vanished\"} 0
drivejob_outcome_files{outcome=\"failed\"} 1
drivejob_drives_not_covered 0
drivejob_api_calls{operation=\"drive.list\"} 7
drivejob_api_calls_rate_limited{operation=\"drive.list\"} 2
drivejob_api_calls_failed{operation=\"drive.list\"} 1
drivejob_retries 4
drivejob_waited_seconds 1.5
drivejob_warnings 1";
        assert_eq!(values.join("\n"), expected);
        // Each name has its help and type once, right before its values.
        let mut named = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.strip_suffix(" gauge").unwrap();
                assert!(!named.contains(&name), "{name}");
                named.push(name);
            } else if !line.starts_with('#') {
                let name = line.split('{').next().unwrap();
                assert_eq!(named.last(), Some(&name));
            }
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_failed_run_has_its_state_and_the_age_of_the_last_good_one() {
        let text = textfile_of_failure("j", "backup", second(10), second(12), Some(second(5)));
        assert!(
            text.contains("drivejob_last_run_state{job_file=\"j\",kind=\"backup\",state=\"failed\"} 1\n")
        );
        assert!(
            text.contains("drivejob_newest_complete_timestamp_seconds{job_file=\"j\",kind=\"backup\"} 5\n")
        );
        assert!(!text.contains("drivejob_files"));
    }
}
