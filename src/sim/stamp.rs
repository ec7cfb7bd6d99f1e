//! Times as the two generations write them, and the reading of the times clients send.

use std::fmt::Write as _;

/// Hours that the service adds to UTC in every time it answers (all examples of the API 2.0 docs end in `+09:00`).
const ZONE_HOURS: i64 = 9;

/// Appends `milliseconds` since 1970 as `YYYY-MM-DDThh:mm:ss+09:00`.
///
/// With `odd_fraction` the seconds are repeated as a fraction (`10:50:59.59`), as in the examples of the API 2.0 docs.
pub(super) fn push_iso(out: &mut String, milliseconds: i64, odd_fraction: bool) {
    let local = milliseconds.div_euclid(1_000) + ZONE_HOURS * 3_600;
    let days = local.div_euclid(86_400);
    let second_of_day = local.rem_euclid(86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    );
    if odd_fraction {
        let _ = write!(out, ".{second:02}");
    }
    out.push_str("+09:00");
}

/// [`push_iso`] into a new string.
pub(super) fn iso(milliseconds: i64, odd_fraction: bool) -> String {
    let mut text = String::with_capacity(28);
    push_iso(&mut text, milliseconds, odd_fraction);
    text
}

/// Reads an RFC 3339 time; `None` when it is not one.
pub(super) fn parse(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}

/// Year, month and day of a number of days since 1970-01-01 in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{iso, parse};

    #[test]
    fn times_survive_writing_and_reading() {
        for (given, written) in [
            ("2019-08-24T14:15:22Z", "2019-08-24T23:15:22+09:00"),
            ("2024-02-29T23:59:59+09:00", "2024-02-29T23:59:59+09:00"),
            ("1969-12-31T15:00:00Z", "1970-01-01T00:00:00+09:00"),
            ("2100-03-01T00:00:00Z", "2100-03-01T09:00:00+09:00"),
        ] {
            assert_eq!(iso(parse(given).unwrap(), false), written);
        }
        assert_eq!(
            iso(parse("2017-06-22T10:50:59+09:00").unwrap(), true),
            "2017-06-22T10:50:59.59+09:00"
        );
        assert_eq!(parse("yesterday"), None);
    }
}
