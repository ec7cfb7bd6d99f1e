//! One test binary, one file a theme.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod audit;
mod backup;
mod browse;
mod changes;
mod cli;
mod conformance;
mod damage;
mod delivery_plan;
mod diff;
mod disk;
mod engine;
mod failures;
mod faults;
mod fuzz;
mod handover;
mod incremental;
mod jobs;
mod kill;
mod layering;
mod load;
mod migrate;
mod names;
mod prune;
mod report;
mod restore;
mod resume;
mod schedules;
mod secrets;
mod state;
mod tenant;
mod tokens;
mod verify;
mod watched;
