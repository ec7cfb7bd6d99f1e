//! One test binary, one file a theme.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod audit;
mod backup;
mod changes;
mod cli;
mod conformance;
mod damage;
mod disk;
mod faults;
mod incremental;
mod diff;
mod jobs;
mod kill;
mod layering;
mod names;
mod resume;
mod report;
mod schedules;
mod state;
mod tenant;
mod tokens;
