//! The command line: arguments, one file for each command, progress, messages and exit codes.
//!
//! Data goes to standard output, everything else to standard error. A command takes its arguments and the
//! [`context::Context`], calls the library, and returns an [`exit::ExitCode`] or a [`messages::CommandError`].
//! Nothing outside of this module prints.

pub mod args;
pub mod commands;
pub mod context;
pub mod exit;
mod hint;
mod host;
mod logging;
mod loopback;
mod memory;
pub mod messages;
pub mod progress;
mod signals;
mod table;
mod target;
pub mod terminal;

use clap::Parser;

use self::args::Arguments;
use self::context::Context;
use self::exit::ExitCode;
use self::messages::CommandError;
use self::terminal::Terminal;

/// The program: reads the command line, does what it says, and says how it went.
pub fn main() -> std::process::ExitCode {
    memory::keep_private();
    memory::keep_freed();
    run().into()
}

fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // Help and version are answers, all else is a mistake; a reader that went away changes nothing.
            let _ = message.print();
            return if message.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Complete
            };
        }
    };
    let terminal = Terminal::default();
    let global = &arguments.global;
    let context = Context {
        colour: global.color.is_on(terminal.is_terminal(), host::variable),
        terminal,
    };
    match execute(arguments, &context) {
        Ok(exit) => exit,
        Err(error) => {
            context.report(&error);
            error.exit
        }
    }
}

fn execute(arguments: Arguments, context: &Context) -> Result<ExitCode, CommandError> {
    let directives = host::variable("DRIVEJOB_LOG");
    logging::start(
        &arguments.global,
        directives.as_deref(),
        context.colour,
        &context.terminal,
    )?;
    arguments.command.execute(context)
}
