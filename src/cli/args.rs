//! The command line as it is typed: options for every command, and the list of commands.

use clap::{ArgAction, Parser, ValueEnum};

use super::commands::Command;
use super::exit::ExitCode;

const EXAMPLES: &str = "\
Examples:
  drivejob check jobs/nightly.toml      Is the job file right?
  drivejob plan jobs/nightly.toml       How many calls, hours and nights would it take?
  drivejob run jobs/nightly.toml        Back up, or go on with an unfinished run
  drivejob run --json jobs/nightly.toml > result.json
  drivejob status /srv/archive --max-age 26h
  drivejob find /srv/archive '*.xlsx'   In which nights is there such a file?
  drivejob verify /srv/archive          Can everything be read back?";

/// Back up, restore, migrate and audit LINE WORKS Drive.
#[derive(Debug, Parser)]
#[command(
    name = "drivejob",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{}\n\nEnvironment:\n  {ENVIRONMENT}", ExitCode::HELP)
)]
pub struct Arguments {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const ENVIRONMENT: &str = "\
DRIVEJOB_LOG        what to log when no option says so, for example info or drivejob::api=debug
  DRIVEJOB_STATE_DIR  the folder for token stores and rate limits
  NO_COLOR            no colours, when set";

/// Options that every command takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Options for every command")]
pub struct Global {
    /// How log lines are written to standard error.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "DRIVEJOB_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text"
    )]
    pub log_format: LogFormat,
    /// What is logged. Default: warn on a terminal, else info.
    #[arg(long, global = true, value_name = "LEVEL", conflicts_with_all = ["verbose", "quiet"])]
    pub log_level: Option<LogLevel>,
    /// Log more; twice for still more.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log less; twice for errors only.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,
    /// When to use colours. They never carry meaning of their own.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text for each event.
    #[default]
    Text,
    /// One JSON object on a line for each event.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
    /// What ends a run.
    Error,
    /// What a run survives.
    Warn,
    /// Phases, progress and long waits.
    Info,
    /// Each request.
    Debug,
    /// Everything.
    Trace,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Global {
    /// The level that the options ask for, if they do; `usual` is what `-v` and `-q` count from.
    pub fn level(&self, usual: LogLevel) -> Option<LogLevel> {
        const LADDER: [LogLevel; 5] = [
            LogLevel::Error,
            LogLevel::Warn,
            LogLevel::Info,
            LogLevel::Debug,
            LogLevel::Trace,
        ];
        if self.log_level.is_some() || (self.verbose == 0 && self.quiet == 0) {
            return self.log_level;
        }
        let step = (usual as usize + usize::from(self.verbose)).saturating_sub(self.quiet.into());
        LADDER.get(step.min(LADDER.len() - 1)).copied()
    }
}

impl Color {
    /// Whether to colour what goes to standard error.
    pub fn is_on(self, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                terminal
                    && variable("NO_COLOR").is_none_or(|text| text.is_empty())
                    && variable("TERM").is_none_or(|name| name != "dumb")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound_and_every_word_is_explained() {
        let mut command = Arguments::command();
        command.build();
        command.clone().debug_assert();
        let mut open = vec![command];
        while let Some(command) = open.pop() {
            let name = command.get_name().to_owned();
            assert!(command.get_about().is_some(), "{name} has no help");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name} {}", argument.get_id());
            }
            open.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn the_long_help_has_examples_and_every_exit_code() {
        let help = Arguments::command().render_long_help().to_string();
        assert!(help.contains(EXAMPLES), "{help}");
        assert!(help.contains(ExitCode::HELP), "{help}");
    }

    #[test]
    fn levels_count_from_the_usual_one_and_stop_at_the_ends() {
        let level = |log_level, verbose, quiet| {
            Global {
                log_level,
                verbose,
                quiet,
                ..Global::default()
            }
            .level(LogLevel::Info)
        };
        assert_eq!(level(None, 0, 0), None);
        assert_eq!(level(Some(LogLevel::Error), 0, 0), Some(LogLevel::Error));
        assert_eq!(level(None, 1, 0), Some(LogLevel::Debug));
        assert_eq!(level(None, 200, 0), Some(LogLevel::Trace));
        assert_eq!(level(None, 0, 1), Some(LogLevel::Warn));
        assert_eq!(level(None, 0, 200), Some(LogLevel::Error));
    }

    #[test]
    fn colour_follows_the_option_then_the_environment() {
        let none = |_: &str| None;
        let set = |wanted: &'static str, value: &'static str| {
            move |name: &str| (name == wanted).then(|| value.to_owned())
        };
        assert!(Color::Auto.is_on(true, none));
        assert!(!Color::Auto.is_on(false, none));
        assert!(!Color::Auto.is_on(true, set("NO_COLOR", "1")));
        assert!(Color::Auto.is_on(true, set("NO_COLOR", "")));
        assert!(!Color::Auto.is_on(true, set("TERM", "dumb")));
        assert!(Color::Always.is_on(false, set("NO_COLOR", "1")));
        assert!(!Color::Never.is_on(true, none));
    }
}
