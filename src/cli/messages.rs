//! What a command says when it fails, and the one place that prints it.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use serde_json::{Value, json};

use super::exit::ExitCode;
use super::hint::hint_for;
use crate::report::printable;

/// A command that failed: the sentence for people, what lay under it, and what they can do.
///
/// Typed errors of the modules below become one of these at the command's `?`; advice is added here and nowhere below.
#[derive(Debug)]
pub struct CommandError {
    /// What failed, in one sentence without a full stop.
    pub message: String,
    /// What lay under it, the nearest first.
    pub causes: Vec<String>,
    /// What the reader can do.
    pub hint: Option<String>,
    /// How the process ends.
    pub exit: ExitCode,
}

impl CommandError {
    /// A failure that nothing lies under.
    pub fn new(exit: ExitCode, message: impl Into<String>) -> CommandError {
        CommandError {
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            exit,
        }
    }

    /// A wrong command line or file: exit code 2.
    pub fn usage(message: impl Into<String>) -> CommandError {
        CommandError::new(ExitCode::Usage, message)
    }

    /// A run that could not go on: exit code 1.
    pub fn failed(message: impl Into<String>) -> CommandError {
        CommandError::new(ExitCode::Failed, message)
    }

    /// Takes a typed error with all that lies under it, and the hint that fits the deepest one that has one.
    pub fn from_error(exit: ExitCode, error: &(dyn Error + 'static)) -> CommandError {
        CommandError {
            message: error.to_string(),
            hint: hint_for(error),
            causes: Vec::new(),
            exit,
        }
        .with_causes(error.source())
    }

    /// As [`CommandError::from_error`], under a sentence that says what was being done.
    pub fn because(
        exit: ExitCode,
        message: impl Into<String>,
        error: &(dyn Error + 'static),
    ) -> CommandError {
        CommandError {
            message: message.into(),
            hint: hint_for(error),
            causes: Vec::new(),
            exit,
        }
        .with_causes(Some(error))
    }

    /// The same with another hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> CommandError {
        self.hint = Some(hint.into());
        self
    }

    /// The lines for stderr. Colour marks the first word of each line and says nothing that the word does not.
    pub fn to_text(&self, colour: bool) -> String {
        let mut text = line("error", "31", &self.message, colour);
        for cause in &self.causes {
            let _ = write!(text, "\n  {}", line("caused by", "33", cause, colour));
        }
        if let Some(hint) = &self.hint {
            let _ = write!(text, "\n  {}", line("hint", "36", hint, colour));
        }
        text
    }

    /// The same for a program, as the one object that `--json` promises where there is no result.
    pub fn to_json(&self) -> Value {
        json!({
            "status": "failed",
            "exit_code": self.exit.code(),
            "error": self.message,
            "causes": self.causes,
            "hint": self.hint,
        })
    }

    fn with_causes(mut self, first: Option<&(dyn Error + 'static)>) -> CommandError {
        let mut next = first;
        while let Some(error) = next {
            let text = error.to_string();
            // Some errors repeat what lies under them in their own sentence.
            if self.causes.last().unwrap_or(&self.message) != &text {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }
}

/// One line: its word in bold colour when wanted, and the text with everything that could move the cursor shown as codes.
fn line(word: &str, code: &str, text: &str, colour: bool) -> String {
    let text = printable(text);
    if colour {
        format!("\u{1b}[1;{code}m{word}:\u{1b}[0m {text}")
    } else {
        format!("{word}: {text}")
    }
}

/// Writing to a stdout that nobody reads any more is no failure: `drivejob ls … | head` ended well.
///
/// # Errors
///
/// Any other failure to write.
pub(super) fn forgive_broken_pipe(result: io::Result<()>) -> Result<(), CommandError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::because(
            ExitCode::Failed,
            "the result could not be written to standard output",
            &error,
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive;

    #[derive(Debug, thiserror::Error)]
    #[error("the listing of users/7 failed")]
    struct Outer(#[source] drive::Error);

    #[test]
    fn an_error_tells_its_causes_and_the_hint_of_the_deepest() {
        let mut cause = drive::Error::new(
            drive::ErrorKind::QuotaFull,
            "drive.upload",
            "/報告\u{1b}[2J書",
            "507 no room",
        );
        cause.source = Some(Box::new(io::Error::other("507 no room")));
        let error = CommandError::from_error(ExitCode::Failed, &Outer(cause));
        assert_eq!(
            error.to_text(false),
            "error: the listing of users/7 failed\n  \
             caused by: drive.upload of /報告\\u{1b}[2J書: 507 no room\n  \
             caused by: 507 no room\n  \
             hint: make room in the target drive or raise its quota, then start the job again: it goes on where it stopped"
        );
    }

    #[test]
    fn colour_adds_nothing_but_escapes_and_a_cause_is_not_said_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error(transparent)]
        struct Same(#[from] std::num::ParseIntError);
        let Err(number) = "x".parse::<u8>() else {
            return;
        };
        let error = CommandError::because(ExitCode::Usage, "bad --limit", &Same(number)).hint("5");
        let plain = "error: bad --limit\n  caused by: invalid digit found in string\n  hint: 5";
        assert_eq!(error.to_text(false), plain);
        let stripped = error
            .to_text(true)
            .replace("\u{1b}[1;31m", "")
            .replace("\u{1b}[1;33m", "")
            .replace("\u{1b}[1;36m", "")
            .replace("\u{1b}[0m", "");
        assert_eq!(stripped, plain);
    }

    #[test]
    fn only_a_broken_pipe_is_forgiven() {
        let outcome = |kind: io::ErrorKind| forgive_broken_pipe(Err(kind.into())).is_ok();
        assert!(outcome(io::ErrorKind::BrokenPipe));
        assert!(!outcome(io::ErrorKind::StorageFull));
        assert!(forgive_broken_pipe(Ok(())).is_ok());
    }
}
