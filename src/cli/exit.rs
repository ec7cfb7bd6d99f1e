//! Exit codes: what a wrapper, a timer or a person learns without reading a line.

use crate::report::{Report, Status};

/// How the process ends. A wrapper may treat everything but [`ExitCode::Complete`] as "not complete".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Everything that was asked for is done.
    Complete,
    /// Nothing was published, or the run could not go on.
    Failed,
    /// The command line or a job file is wrong. Nothing was begun.
    Usage,
    /// The run came to its end, and something is missing.
    Partial,
    /// As [`ExitCode::Partial`], with the code that the caller chose; never 0.
    PartialAs(std::num::NonZeroU8),
    /// Another run holds the archive.
    Locked,
    /// `status`: the newest snapshot is too old. `verify`: something differs.
    Different,
    /// Stopped at the end of its window; the next start goes on.
    WindowEnded,
    /// Stopped by a person or the system; the next start goes on.
    Interrupted,
}

impl ExitCode {
    /// The lines of the help that name every code.
    pub const HELP: &'static str = "\
Exit codes:
  0    complete
  1    failed: nothing was published or restored, or the run could not go on
  2    wrong command line or job file
  3    finished with failures: partial; or an alarm that shall fail
  4    another run holds the archive
  5    too old (status), or a difference was found (verify)
  6    stopped at the end of its window, continues next time
  130  interrupted, continues next time";

    /// The number the system sees.
    pub fn code(self) -> u8 {
        match self {
            ExitCode::Complete => 0,
            ExitCode::Failed => 1,
            ExitCode::Usage => 2,
            ExitCode::Partial => 3,
            ExitCode::PartialAs(code) => code.get(),
            ExitCode::Locked => 4,
            ExitCode::Different => 5,
            ExitCode::WindowEnded => 6,
            // 128 + SIGINT, as shells count it.
            ExitCode::Interrupted => 130,
        }
    }

    /// How a run ended. A complete one with an alarm that shall be noticed ends as a partial one does.
    pub fn of(report: &Report) -> ExitCode {
        match ExitCode::from(report.status) {
            ExitCode::Complete if report.is_alarming() => ExitCode::Partial,
            exit => exit,
        }
    }

    /// The same, but with the caller's code for a partial run.
    #[must_use]
    pub fn with_partial_as(self, code: Option<std::num::NonZeroU8>) -> ExitCode {
        match (self, code) {
            (ExitCode::Partial, Some(code)) => ExitCode::PartialAs(code),
            (other, _) => other,
        }
    }

    /// The worse of two, for a command that does several things: the first that is not complete.
    #[must_use]
    pub fn or(self, later: ExitCode) -> ExitCode {
        if self == ExitCode::Complete { later } else { self }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        match status {
            Status::Complete => ExitCode::Complete,
            Status::Partial => ExitCode::Partial,
            Status::Different => ExitCode::Different,
            Status::Failed => ExitCode::Failed,
            Status::WindowEnded => ExitCode::WindowEnded,
            Status::Interrupted => ExitCode::Interrupted,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(exit: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;

    #[test]
    fn every_end_of_a_run_has_its_code_and_only_complete_is_zero() {
        let codes = [
            (ExitCode::from(Status::Complete), 0),
            (ExitCode::from(Status::Failed), 1),
            (ExitCode::Usage, 2),
            (ExitCode::from(Status::Partial), 3),
            (ExitCode::Locked, 4),
            (ExitCode::from(Status::Different), 5),
            (ExitCode::from(Status::WindowEnded), 6),
            (ExitCode::from(Status::Interrupted), 130),
        ];
        for (exit, code) in codes {
            assert_eq!(exit.code(), code, "{exit:?}");
            assert_eq!(code == 0, exit == ExitCode::Complete);
            assert!(ExitCode::HELP.contains(&format!("\n  {code:<4} ")));
        }
        assert_eq!(ExitCode::HELP.lines().count(), codes.len() + 1);
    }

    #[test]
    fn only_a_partial_run_takes_the_callers_code() {
        let nine = NonZeroU8::new(9);
        assert_eq!(ExitCode::Partial.with_partial_as(nine).code(), 9);
        assert_eq!(ExitCode::Partial.with_partial_as(None).code(), 3);
        assert_eq!(ExitCode::Failed.with_partial_as(nine).code(), 1);
        assert_eq!(ExitCode::Complete.with_partial_as(nine).code(), 0);
        assert_eq!(ExitCode::Complete.or(ExitCode::Usage), ExitCode::Usage);
        assert_eq!(ExitCode::Partial.or(ExitCode::Complete), ExitCode::Partial);
    }
}
