//! One test binary, one file a theme.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod backup;
mod changes;
mod damage;
mod incremental;
mod jobs;
mod layering;
mod schedules;
mod resume;
mod tenant;
