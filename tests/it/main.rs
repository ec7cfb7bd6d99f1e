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
mod diff;
mod disk;
mod faults;
mod incremental;
mod jobs;
mod kill;
mod layering;
mod migrate;
mod names;
mod permissions;
mod prune;
mod report;
mod restore;
mod resume;
mod schedules;
mod state;
mod tenant;
mod tokens;
mod verify;
mod watched;
