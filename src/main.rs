//! The `drivejob` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    drivejob::cli::main()
}
