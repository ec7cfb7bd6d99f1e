//! drivejob: back up, restore, migrate and audit LINE WORKS Drive.
pub mod sim;
