//! One test binary, one file a theme.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod backup;
mod changes;
mod damage;
mod disk;
mod incremental;
mod jobs;
mod kill;
mod layering;
mod schedules;
mod resume;
mod tenant;
mod cli;
mod conformance;
mod faults;
mod jobs;
mod layering;
mod names;
mod tokens;
mod state;
