//! The `drivejob` program.
fn main() {}
