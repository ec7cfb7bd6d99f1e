//! One test binary, one file a theme.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod audit;
mod backup;
mod diff;
mod jobs;
mod layering;
mod report;
mod schedules;
