//! One frame of the display as text: figures in, lines out, no terminal.
//!
//! Only ASCII is added to what the service names: marks such as an ellipsis or a block are one column wide in
//! some terminals and two in those set up for Japanese or Korean.

use std::time::Duration;

use console::measure_text_width;

use super::rate::Rates;
use crate::monitor::{Phase, WaitReason};
use crate::report::{duration, printable, size};

/// Lines that show workers, at most; a screen full of them tells no more.
const WORKER_LINES: usize = 16;
/// Columns of the bar of one worker, brackets not counted.
const BAR: usize = 12;

/// What a frame shows.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Where the run is.
    pub(super) phase: Phase,
    /// Files that are dealt with.
    pub(super) files_done: u64,
    /// Files that are known of.
    pub(super) files_listed: u64,
    /// Bytes of the files dealt with.
    pub(super) bytes_done: u64,
    /// Bytes of the files known of.
    pub(super) bytes_listed: u64,
    /// Files and folders that failed.
    pub(super) failures: u64,
    /// Drives whose listing is closed or refused.
    pub(super) drives_ended: usize,
    /// Drives known of.
    pub(super) drives: usize,
    /// Speeds.
    pub(super) rates: Rates,
    /// The longest wait under way: time left, reason, operation.
    pub(super) wait: Option<(Duration, WaitReason, &'static str)>,
    /// Files under way.
    pub(super) busy: Vec<Busy>,
}

/// A file under way.
#[derive(Clone, Debug)]
pub(super) struct Busy {
    /// Its path, as the service spells it.
    pub(super) path: String,
    /// Bytes that are through.
    pub(super) bytes: u64,
    /// Bytes in all.
    pub(super) size: u64,
}

impl View {
    /// The totals as short parts, the most important first.
    pub(super) fn totals(&self) -> Vec<String> {
        let mut parts = vec![
            format!("{}/{} files", self.files_done, self.files_listed),
            format!("{} of {}", size(self.bytes_done), size(self.bytes_listed)),
        ];
        if self.rates.files > 0.0 || self.rates.network > 0.0 {
            parts.push(format!("{:.1} files/s", self.rates.files));
            parts.push(format!("{}/s", size(self.rates.network as u64)));
        }
        match self.phase {
            Phase::Preparing => parts.push("preparing...".to_owned()),
            Phase::Working => parts.push("listing...".to_owned()),
            Phase::Listed => parts.extend(self.left().map(|time| format!("{} left", about(time)))),
            Phase::Finishing => parts.push("writing the manifest...".to_owned()),
        }
        if let Some((time, why, operation)) = &self.wait {
            let why = match why {
                WaitReason::Pace | WaitReason::RateLimited => "quota",
                WaitReason::Retry => "a retry",
                WaitReason::Unreachable => "the network",
            };
            let time = duration(Duration::from_secs(time.as_secs_f64().ceil() as u64));
            let time = time.replace(".0 s", " s");
            parts.push(format!("waiting for {why} {time} ({operation})"));
        }
        if self.failures > 0 {
            parts.push(format!("{} failed", self.failures));
        }
        if self.drives > 1 {
            parts.push(format!("drives {}/{} listed", self.drives_ended, self.drives));
        }
        parts
    }

    /// The time left by files and by bytes, the longer of the two; `None` while nothing moves.
    fn left(&self) -> Option<Duration> {
        let time = |listed: u64, done: u64, rate: f64| match listed.saturating_sub(done) {
            0 => Some(0.0),
            open if rate > 0.0 => Some(open as f64 / rate),
            _ => None,
        };
        let files = time(self.files_listed, self.files_done, self.rates.files)?;
        // Bytes of a large file count at its end; until then those on the network tell the speed.
        let rate = self.rates.bytes.max(self.rates.network);
        let bytes = time(self.bytes_listed, self.bytes_done, rate)?;
        Duration::try_from_secs_f64(files.max(bytes)).ok()
    }
}

/// A duration without parts that an estimate does not have.
fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => duration(time),
    }
}

/// The lines of a frame: workers above, totals below, none wider than the terminal, and together not higher.
pub(super) fn frame(view: &View, columns: usize, rows: usize) -> String {
    // Some terminals wrap when the last column is written to, and `^C` must find room behind the last line.
    let width = columns.saturating_sub(3).max(20);
    let totals = wrapped(&view.totals(), width);
    let room = rows.saturating_sub(totals.len() + 2).min(WORKER_LINES);
    let mut lines: Vec<String> = view
        .busy
        .iter()
        .take(room)
        .map(|busy| worker(busy, width))
        .collect();
    let hidden = view.busy.len().saturating_sub(room);
    if hidden > 0 && room > 0 {
        lines.push(format!("  and {hidden} more"));
    }
    lines.extend(totals);
    lines.join("\n")
}

/// The line of one file under way. What does not fit goes: first the bar, then the sizes.
fn worker(busy: &Busy, width: usize) -> String {
    let path = printable(&busy.path);
    let sizes = format!("{} of {}", size(busy.bytes), size(busy.size));
    let sizes = format!("{sizes:>24}");
    let (with_bar, with_sizes) = (width >= 64, width >= 44);
    let after = match (with_bar, with_sizes) {
        (true, _) => format!(" {sizes} [{}]", bar(busy.bytes, busy.size)),
        (false, true) => format!(" {sizes}"),
        (false, false) => String::new(),
    };
    let room = width.saturating_sub(2 + after.len());
    let path = shortened(&path, room);
    let padding = " ".repeat(room.saturating_sub(measure_text_width(&path)));
    format!("  {path}{padding}{after}").trim_end().to_owned()
}

fn bar(bytes: u64, size: u64) -> String {
    let share = if size == 0 {
        1.0
    } else {
        (bytes as f64 / size as f64).min(1.0)
    };
    let full = (share * BAR as f64) as usize;
    format!("{}{}", "#".repeat(full), "-".repeat(BAR.saturating_sub(full)))
}

/// A text of at most that many columns: the beginning and, more of it, the end, where file names tell themselves apart.
fn shortened(text: &str, columns: usize) -> String {
    if measure_text_width(text) <= columns {
        return text.to_owned();
    }
    let gap = "...";
    let room = columns.saturating_sub(gap.len());
    let width = |character: char| measure_text_width(character.encode_utf8(&mut [0; 4]));
    let mut used = 0;
    let mut fits = |limit: usize, character: char| {
        used += width(character);
        used <= limit
    };
    let head: String = text.chars().take_while(|at| fits(room / 3, *at)).collect();
    let rest = room - measure_text_width(&head);
    used = 0;
    let mut fits = |character: char| {
        used += width(character);
        used <= rest
    };
    let tail: Vec<char> = text.chars().rev().take_while(|at| fits(*at)).collect();
    // A mark that belongs to a letter which was cut off would sit on the gap.
    let tail: String = tail.into_iter().rev().skip_while(|at| width(*at) == 0).collect();
    format!("{head}{gap}{tail}")
}

/// Parts with commas between them, on as many lines as they need.
fn wrapped(parts: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let part = shortened(part, width);
        match lines.last_mut() {
            Some(line) if line.len() + 2 + part.len() <= width => {
                line.push_str(", ");
                line.push_str(&part);
            }
            _ => lines.push(part),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            phase: Phase::Working,
            files_done: 1204,
            files_listed: 5310,
            bytes_done: 1 << 30,
            bytes_listed: 3 << 30,
            failures: 3,
            drives_ended: 2,
            drives: 7,
            rates: Rates {
                files: 38.04,
                bytes: 1e6,
                network: 11.0 * 1024.0 * 1024.0,
            },
            wait: Some((Duration::from_millis(20_100), WaitReason::Pace, "drive.list")),
            busy: vec![
                Busy {
                    path: "/契約書/2026年度/秘密保持契約書（最終版）株式会社サンプル.pdf".to_owned(),
                    bytes: 6 << 20,
                    size: 12 << 20,
                },
                Busy {
                    path: "/a\u{1b}[2Jb".to_owned(),
                    bytes: 0,
                    size: 0,
                },
            ],
        }
    }

    #[test]
    fn a_frame_shows_workers_then_totals() {
        assert_eq!(
            frame(&view(), 82, 24).lines().collect::<Vec<_>>(),
            [
                "  /契約書/202...）株式会社サンプル.pdf       6.0 MiB of 12.0 MiB [######------]",
                "  /a\\u{1b}[2Jb                                        0 B of 0 B [############]",
                "1204/5310 files, 1.0 GiB of 3.0 GiB, 38.0 files/s, 11.0 MiB/s, listing...",
                "waiting for quota 21 s (drive.list), 3 failed, drives 2/7 listed",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_and_no_frame_higher_than_the_terminal() {
        let mut view = view();
        let one = view.busy.clone();
        view.busy = std::iter::repeat_n(one, 40).flatten().collect();
        for (columns, rows) in [(10, 3), (21, 5), (45, 24), (65, 10), (80, 24), (200, 100), (0, 0)] {
            let frame = frame(&view, columns, rows);
            let width = columns.saturating_sub(3).max(20);
            for line in frame.lines() {
                assert!(measure_text_width(line) <= width, "{columns}: {line}");
            }
            if columns >= 45 && rows >= 10 {
                assert!(frame.lines().count() < rows, "{rows}: {frame}");
                let workers = frame.lines().filter(|line| line.starts_with("  /"));
                assert!(workers.count() <= WORKER_LINES);
            }
        }
    }

    #[test]
    fn the_time_left_is_told_once_the_totals_are_known() {
        let listed = View {
            phase: Phase::Listed,
            wait: None,
            failures: 0,
            drives: 1,
            ..view()
        };
        // 2 GiB at 11 MiB/s take longer than 4106 files at 38 a second.
        assert_eq!(listed.totals().last().map(String::as_str), Some("4 min left"));
        let stuck = View {
            rates: Rates::default(),
            ..listed.clone()
        };
        assert_eq!(stuck.totals().len(), 2);
        let done = View {
            files_done: 5310,
            bytes_done: 3 << 30,
            ..listed
        };
        assert_eq!(done.totals().last().map(String::as_str), Some("0 s left"));
    }

    #[test]
    fn names_are_cut_in_the_middle_by_their_width() {
        for (text, columns, expected) in [
            ("/short", 20, "/short"),
            ("/abcdefghijklmnop", 12, "/ab...klmnop"),
            ("/보고서보고서보고서.pdf", 16, "/보...보고서.pdf"),
            // Letters taken apart (NFD): the marks go with their letters.
            (
                "/e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
                6,
                "/...e\u{301}e\u{301}",
            ),
        ] {
            assert_eq!(shortened(text, columns), expected);
        }
    }
}
