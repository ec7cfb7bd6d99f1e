//! One test binary, one file a theme.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod backup;
mod browse;
mod cli;
mod conformance;
mod faults;
mod jobs;
mod layering;
mod names;
mod prune;
mod schedules;
mod tokens;
mod verify;
mod watched;
