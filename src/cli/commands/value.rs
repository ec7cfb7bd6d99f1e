//! Values of options that are written as in job files.

use std::num::NonZeroU8;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::job::{Share, unit};

/// A duration such as `26h` or `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    unit::duration(text).ok_or_else(|| "expected a duration such as 26h or 30d".to_owned())
}

/// A whole number.
pub(super) fn number(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| "expected a whole number such as 7".to_owned())
}

/// The exit code of a run that is not complete.
pub(super) fn failing_exit_code(text: &str) -> Result<NonZeroU8, String> {
    text.parse()
        .map_err(|_| "expected a whole number from 1 to 255".to_owned())
}

/// A share such as `2%`.
pub(super) fn share(text: &str) -> Result<Share, String> {
    unit::share(text).ok_or_else(|| "expected a share such as 2% or 0.5%".to_owned())
}

/// A time zone such as `Asia/Tokyo`.
pub(super) fn zone(text: &str) -> Result<TimeZone, String> {
    unit::zone(text).ok_or_else(|| "expected a time zone such as Asia/Tokyo or UTC".to_owned())
}
