//! What a run has to say at its end, for the tail, for `--json`, and for people.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::coverage::{RootFacts, Totals};
use crate::manifest::Outcome;
use crate::monitor::CallCount;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything that the job names is stored (listed, restored, proven).
    Complete,
    /// The run came to its end, and something is missing.
    Partial,
    /// A check found a difference.
    Different,
    /// The run came to its end, and nothing at all of what the job names is there.
    Failed,
    /// The job's window ended; the next start goes on.
    WindowEnded,
    /// A person, the system or the watchdog stopped it; the next start goes on.
    Interrupted,
}

impl Status {
    /// The word of `TAIL.json` and of the summary.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Complete => "complete",
            Status::Partial => "partial",
            Status::Different => "different",
            Status::Failed => "failed",
            Status::WindowEnded => "window-ended",
            Status::Interrupted => "interrupted",
        }
    }
}

/// The summary of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The job's kind, as the job file spells it.
    pub kind: &'static str,
    /// The job file, or a name for it.
    pub job: String,
    /// The archive folder.
    pub archive: String,
    /// The snapshot that was made, or would be.
    pub snapshot: Option<String>,
    /// How it ended.
    pub status: Status,
    /// When this process began to work on it.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Whether an unfinished run was carried on.
    pub resumed: bool,
    /// Rows by outcome.
    pub totals: Totals,
    /// Requests of this process by API operation.
    pub calls: BTreeMap<String, CallCount>,
    /// Time spent waiting for the rate limit, added up over all workers.
    pub waited: Duration,
    /// Requests repeated after a failure.
    pub retries: u64,
    /// Facts of each drive.
    pub roots: Vec<RootFacts>,
    /// The first failures, at most [`Report::FAILURES_SHOWN`], as path and reason.
    pub failures: Vec<(String, String)>,
    /// Things a person should know.
    pub warnings: Vec<String>,
    /// Limits of the job's `[alarms]` that were passed.
    pub alarms: Alarms,
    /// What a kind of job has to say beyond this.
    pub details: Map<String, Value>,
}

/// Limits that a run passed, and whether that makes it count as partial outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// Each limit that was passed: its key in the job file, and a sentence for people.
    pub raised: Vec<(String, String)>,
    /// Whether a raised alarm makes the exit code that of a partial run. The snapshot is no worse for it.
    pub fail: bool,
}

impl Report {
    /// Failures that a summary names; all of them are in `failures.csv`.
    pub const FAILURES_SHOWN: usize = 10;

    /// Whether the run must not end with the exit code of a complete one, whatever its status.
    pub fn is_alarming(&self) -> bool {
        self.alarms.fail && !self.alarms.raised.is_empty()
    }

    /// Adds a line of the summary for people. Programs find it under `details.notes`.
    pub fn note(&mut self, line: String) {
        let notes = self.details.entry("notes").or_insert_with(|| json!([]));
        if let Value::Array(notes) = notes {
            notes.push(line.into());
        }
    }

    /// The summary as one JSON object. Sizes are bytes, times RFC 3339 in UTC, durations seconds.
    pub fn to_json(&self) -> Value {
        let held = self.totals.held();
        let (files, bytes) = (held.files, held.bytes);
        json!({
            "kind": self.kind,
            "job": self.job,
            "archive": self.archive,
            "snapshot": self.snapshot,
            "status": self.status.as_str(),
            "started": self.started.to_string(),
            "finished": self.finished.to_string(),
            "seconds": self.elapsed().as_secs_f64(),
            "resumed": self.resumed,
            "files": files,
            "bytes": bytes,
            "rows": self.totals.rows,
            "failures": self.totals.failures(),
            "outcomes": self.totals.outcomes,
            "calls": self.calls_to_json(),
            "retries": self.retries,
            "waited_seconds": self.waited.as_secs_f64(),
            "coverage": self.coverage_to_json(),
            "first_failures": self.failures.iter()
                .map(|(path, reason)| json!({ "path": path, "reason": reason })).collect::<Vec<_>>(),
            "warnings": self.warnings,
            "alarms": self.alarms.raised.iter()
                .map(|(code, message)| json!({ "code": code, "message": message })).collect::<Vec<_>>(),
            "details": self.details,
        })
    }

    /// Requests by operation: sent, of these refused for the rate, of these failed otherwise.
    pub fn calls_to_json(&self) -> Value {
        let calls = self.calls.iter().map(|(operation, count)| {
            let facts = json!({
                "sent": count.sent, "rate_limited": count.limited, "failed": count.failed,
            });
            (operation.clone(), facts)
        });
        Value::Object(calls.collect())
    }

    /// The coverage statement.
    pub fn coverage_to_json(&self) -> Value {
        json!({
            "covered": self.roots.iter().all(|root| root.gaps().is_empty()),
            "drives": self.roots.iter().map(RootFacts::to_json).collect::<Vec<_>>(),
        })
    }

    /// How long this process worked on it.
    pub fn elapsed(&self) -> Duration {
        Duration::try_from(self.finished.duration_since(self.started)).unwrap_or_default()
    }

    /// The summary for people: a few lines, the most important first.
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.headline()];
        let held = self.totals.held();
        let (files, bytes) = (held.files, held.bytes);
        let count = |outcome| self.totals.of(outcome).files;
        if self.totals.rows > 0 {
            let folders = counted(self.totals.folders, "folder");
            lines.push(match self.kind {
                "audit" => format!(
                    "  listed    {}, {folders}",
                    counted(count(Outcome::Listed), "file")
                ),
                "restore" | "migrate" => format!(
                    "  restored  {}, {} ({} uploaded, {} there already), {folders}",
                    counted(files, "file"),
                    size(bytes),
                    count(Outcome::Stored),
                    count(Outcome::Reused)
                ),
                _ => format!(
                    "  stored    {}, {} ({} new, {} unchanged), {folders}",
                    counted(files, "file"),
                    size(bytes),
                    count(Outcome::Stored),
                    count(Outcome::Reused)
                ),
            });
        }
        for (label, outcome) in [("skipped", Outcome::Skipped), ("vanished", Outcome::Vanished)] {
            if count(outcome) > 0 {
                lines.push(format!("  {label:<9} {}", counted(count(outcome), "file")));
            }
        }
        if self.totals.failures() > 0 {
            lines.push(format!("  failed    {}", self.totals.failures()));
            lines.extend(
                self.failures
                    .iter()
                    .map(|(path, reason)| format!("            {} ({reason})", printable(path))),
            );
            let shown = self.failures.len() as u64;
            if shown > 0 && self.totals.failures() > shown {
                let more = self.totals.failures() - shown;
                lines.push(format!("            and {more} more, all in failures.csv"));
            }
        }
        self.add_drives(&mut lines);
        let sent: u64 = self.calls.values().map(|count| count.sent).sum();
        let limited: u64 = self.calls.values().map(|count| count.limited).sum();
        if sent > 0 {
            lines.push(format!(
                "  calls     {sent} in {}, {limited} refused for the rate, {} repeated",
                duration(self.elapsed()),
                self.retries
            ));
        }
        for (_, message) in &self.alarms.raised {
            lines.push(format!("  ALARM     {}", printable(message)));
        }
        let notes = self.details.get("notes").and_then(Value::as_array);
        let notes = notes.into_iter().flatten().filter_map(Value::as_str);
        lines.extend(notes.map(|note| format!("  {}", printable(note))));
        for warning in &self.warnings {
            lines.push(format!("  warning   {}", printable(warning)));
        }
        if let Some(snapshot) = &self.snapshot {
            let label = if self.kind == "restore" { "from" } else { "archive" };
            lines.push(format!(
                "  {label:<9} {}",
                printable(&format!("{}/{snapshot}", self.archive.trim_end_matches('/')))
            ));
        }
        if let Some(results) = self.details.get("results").and_then(Value::as_str) {
            lines.push(format!("  results   {}", printable(results)));
        }
        lines.join("\n")
    }

    /// How many drives were seen whole, and the first that were not: a line each, however many there are.
    fn add_drives(&self, lines: &mut Vec<String>) {
        let gaps: Vec<(&RootFacts, Vec<String>)> = self
            .roots
            .iter()
            .map(|root| (root, root.gaps()))
            .filter(|(_, gaps)| !gaps.is_empty())
            .collect();
        if self.roots.len() > 1 {
            let seen = self.roots.len() - gaps.len();
            lines.push(format!("  drives    {seen} of {} seen whole", self.roots.len()));
        }
        let known = self.roots.iter().filter(|root| root.unseen_bytes().is_some());
        let (drives, used, listed) = known.fold((0_u64, 0_u64, 0_u64), |(drives, used, listed), root| {
            let trash = root.quota.trash.unwrap_or(0);
            let in_use = root.quota.used.unwrap_or(0).saturating_sub(trash);
            (
                drives + 1,
                used.saturating_add(in_use),
                listed.saturating_add(root.bytes),
            )
        });
        if drives > 0 {
            let of = if drives == 1 { "drive" } else { "drives" };
            lines.push(format!(
                "  quota     {} in use in {drives} {of} by the service's count, {} listed",
                size(used),
                size(listed)
            ));
        }
        for (root, gaps) in gaps.iter().take(Report::FAILURES_SHOWN) {
            let name = match root.drive.as_str() == root.name {
                true => String::new(),
                false => format!(" ({})", printable(&root.name)),
            };
            let gaps = printable(&gaps.join("; "));
            lines.push(format!("  not seen  {}{name}: {gaps}", root.drive));
        }
        if gaps.len() > Report::FAILURES_SHOWN {
            let more = gaps.len() - Report::FAILURES_SHOWN;
            lines.push(format!("            and {more} more drives, all in TAIL.json"));
        }
    }

    fn headline(&self) -> String {
        let is_delivery = matches!(self.kind, "restore" | "migrate");
        let state = match self.status {
            Status::Complete => "complete",
            Status::Partial if is_delivery => "PARTIAL: not everything is in the target",
            Status::Failed if is_delivery => "FAILED: nothing is in the target",
            Status::Failed => "FAILED",
            Status::Partial if self.kind == "audit" => "PARTIAL: not everything could be read",
            Status::Partial if self.kind == "verify" => "PARTIAL: not everything could be checked",
            Status::Partial => "PARTIAL: not everything is stored",
            Status::Different => "DIFFERENT: the check found differences",
            Status::WindowEnded if self.calls.is_empty() => "not begun: outside its window",
            Status::WindowEnded => "stopped at the end of its window, continues next time",
            Status::Interrupted => "interrupted, continues next time",
        };
        format!("{} {state}", self.kind)
    }
}

/// A number of things, with their noun in the singular or plural.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A number of bytes for people, in powers of 1024.
pub fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut index = 0;
    while value >= 1024.0 && index + 1 < units.len() {
        value /= 1024.0;
        index += 1;
    }
    let unit = units.get(index).unwrap_or(&"B");
    if index == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// A duration for people: `3.2 s`, `4 min 05 s`, `2 h 10 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A text from outside, safe to print: control characters and those that turn the writing direction are shown as codes.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}' => {
                safe.extend(character.escape_unicode());
            }
            _ if character.is_control() => safe.extend(character.escape_default()),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [(3.21, "3.2 s"), (245.0, "4 min 05 s"), (7800.0, "2 h 10 min")] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn a_name_cannot_write_on_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\nc\u{202e}d 보고서"),
            "a\\u{1b}[31mb\\nc\\u{202e}d 보고서"
        );
    }
}
