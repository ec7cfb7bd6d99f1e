//! A run watched from within: its heartbeat in the status file, and the watchdog that ends it when nothing moves.

mod heartbeat;
mod store;
mod watchdog;

pub use heartbeat::Heartbeat;
pub use store::{read_status, status_path, write_status};
pub use watchdog::{Movement, watchdog};
