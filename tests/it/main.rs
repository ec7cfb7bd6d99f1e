//! One test binary, one file a theme.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod backup;
mod cli;
mod conformance;
mod faults;
mod jobs;
mod layering;
mod migrate;
mod restore;
mod schedules;
mod names;
mod tokens;
