//! drivejob: back up, restore, migrate and audit LINE WORKS Drive.

pub mod entry;
pub mod filter;
pub mod id;
pub mod monitor;
pub mod path;
pub mod secret;
pub mod stop;

pub mod coverage;
pub mod job;
pub mod manifest;
pub mod plan;
pub mod report;

pub mod api;
pub mod archive;
pub mod drive;
pub mod ledger;
pub mod sim;

pub mod walk;

pub mod cli;
pub mod runner;
