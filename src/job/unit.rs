//! Values with units as job files write them: sizes, rates, durations, shares, times of day, zones and moments.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

/// A share of a whole, kept in millionths: `2%` is 20,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Nothing: `0%`.
    pub const NONE: Share = Share(0);
    /// Everything: `100%`.
    pub const ALL: Share = Share(1_000_000);

    /// So many hundredths. More than 100 are 100.
    pub const fn percent(hundredths: u32) -> Share {
        if hundredths >= 100 {
            Share::ALL
        } else {
            Share(hundredths * 10_000)
        }
    }

    /// The share in millionths, 0 to 1,000,000.
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// The share as a number from 0.0 to 1.0.
    pub fn fraction(self) -> f64 {
        f64::from(self.millionths()) / 1_000_000.0
    }

    /// So much of `whole`, rounded up, so that a share above nothing of something is never nothing.
    pub fn of(self, whole: u64) -> u64 {
        let part = (u128::from(whole) * u128::from(self.0)).div_ceil(1_000_000);
        u64::try_from(part).unwrap_or(whole)
    }

    /// Whether `part` is more than this share of `whole`.
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000_000 > u128::from(whole) * u128::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            write!(formatter, "{whole}%")
        } else {
            let digits = format!("{rest:04}");
            write!(formatter, "{whole}.{}%", digits.trim_end_matches('0'))
        }
    }
}

/// How many calls a minute one API operation may make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Requests {
    /// What the tenant's plan allows, and half of it after 30 minutes (API 2.0 docs, JP/rate-limits).
    #[default]
    Auto,
    /// No limit of ours; for a simulator or another server that sets none.
    Unlimited,
    /// This number, all the time.
    PerMinute(NonZeroU32),
}

/// The hours of the day in which a job may work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// When it opens, on the clock of the job's time zone.
    pub start: civil::Time,
    /// When it closes.
    pub end: WindowEnd,
    /// The days on which it opens, Monday first and without repeats; empty means every day.
    pub days: Vec<Weekday>,
}

/// When a window closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowEnd {
    /// At this time of day: the next day where it is not after the start.
    At(civil::Time),
    /// So long after it opened, at most 24 hours.
    After(Duration),
}

/// A day of the week.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    fn of(date: civil::Date) -> Weekday {
        match date.weekday() {
            civil::Weekday::Monday => Weekday::Mon,
            civil::Weekday::Tuesday => Weekday::Tue,
            civil::Weekday::Wednesday => Weekday::Wed,
            civil::Weekday::Thursday => Weekday::Thu,
            civil::Weekday::Friday => Weekday::Fri,
            civil::Weekday::Saturday => Weekday::Sat,
            civil::Weekday::Sunday => Weekday::Sun,
        }
    }
}

impl Window {
    /// When the window that is open at `now` closes; `None` while it is shut.
    pub fn closes(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = now.to_zoned(zone.clone()).date();
        let yesterday = today.yesterday().unwrap_or(today);
        [yesterday, today]
            .into_iter()
            .filter_map(|date| self.on(date, zone))
            .filter(|(opens, closes)| *opens <= now && now < *closes)
            .map(|(_, closes)| closes)
            .max()
    }

    /// When the window opens next: the first opening after `now`.
    pub fn opens(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut date = now.to_zoned(zone.clone()).date();
        for _ in 0..=8 {
            match self.on(date, zone) {
                Some((opens, _)) if opens > now => return Some(opens),
                _ => date = date.tomorrow().ok()?,
            }
        }
        None
    }

    /// Opening and closing of the window that opens on `date`.
    fn on(&self, date: civil::Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        if !self.days.is_empty() && !self.days.contains(&Weekday::of(date)) {
            return None;
        }
        let instant = |date: civil::Date, time: civil::Time| -> Option<Timestamp> {
            let zoned = date.to_datetime(time).to_zoned(zone.clone()).ok()?;
            Some(zoned.timestamp())
        };
        let opens = instant(date, self.start)?;
        let closes = match self.end {
            WindowEnd::At(time) if time > self.start => instant(date, time)?,
            WindowEnd::At(time) => instant(date.tomorrow().ok()?, time)?,
            WindowEnd::After(length) => {
                let seconds = i64::try_from(length.as_secs()).ok()?;
                opens.checked_add(seconds.seconds()).ok()?
            }
        };
        Some((opens, closes))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.start.strftime("%H:%M"))?;
        match self.end {
            WindowEnd::At(time) => write!(formatter, "-{}", time.strftime("%H:%M")),
            WindowEnd::After(length) => {
                let minutes = length.as_secs() / 60;
                write!(formatter, " for {} h {:02} min", minutes / 60, minutes % 60)
            }
        }
    }
}

/// A moment of a filter, as precise as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// With a time and an offset.
    Instant(Timestamp),
    /// A date alone: midnight in the job's time zone.
    Date(civil::Date),
}

impl Moment {
    /// The instant, a date alone being taken in `zone`.
    pub fn instant(self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Moment::Instant(time) => Some(time),
            Moment::Date(date) => Some(date.to_zoned(zone.clone()).ok()?.timestamp()),
        }
    }
}

/// Reads a size such as `50MB`, `1.5 GiB` or `123`: bytes. `k`, `m`, `g`, `t` with `B` are powers of 1,000, with `iB` of 1,024.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    scaled(number, factor)
}

/// Reads a rate such as `50MB/s`: bytes a second, more than none.
pub fn rate(text: &str) -> Option<NonZeroU64> {
    let size_text = text.trim().strip_suffix("/s").unwrap_or(text);
    NonZeroU64::new(size(size_text)?)
}

/// Reads a duration such as `90s`, `26h`, `30d`, `2w` or `1h30m`. The smallest unit is the millisecond, `ms`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(scaled(number, milliseconds)?))?;
        rest = after.trim_start();
    }
    Some(total)
}

/// Reads a share such as `2%` or `0.5%`, at most 100 %, at least a millionth where it is not nothing.
pub fn share(text: &str) -> Option<Share> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let millionths = scaled(number, 10_000)?;
    let is_nothing = number.chars().all(|digit| matches!(digit, '0' | '.'));
    match u32::try_from(millionths).ok()? {
        0 if !is_nothing => None,
        part if part <= Share::ALL.0 => Some(Share(part)),
        _ => None,
    }
}

/// Reads a time of day such as `01:30`. `24:00` is midnight.
pub fn clock(text: &str) -> Option<civil::Time> {
    let text = text.trim();
    if text == "24:00" {
        return Some(civil::Time::midnight());
    }
    let text = text
        .strip_suffix(":00")
        .filter(|rest| rest.contains(':'))
        .unwrap_or(text);
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| -> Option<i8> {
        let plain = matches!(digits.len(), 1 | 2) && digits.bytes().all(|b| b.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    if minutes.len() != 2 {
        return None;
    }
    civil::Time::new(number(hours)?, number(minutes)?, 0, 0).ok()
}

/// Reads a window such as `01:00-05:30`. One that ends before it starts ends the next day.
pub fn window(text: &str) -> Option<Window> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (clock(start)?, clock(end)?);
    (start != end).then_some(Window {
        start,
        end: WindowEnd::At(end),
        days: Vec::new(),
    })
}

/// Reads the name of a time zone such as `Asia/Tokyo` or `UTC`, from the table inside the program.
pub fn zone(text: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(text).ok()
}

/// Reads a date such as `2026-04-01`, or a time with an offset such as `2026-04-01T09:00:00+09:00`.
pub fn moment(text: &str) -> Option<Moment> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(Moment::Instant(time));
    }
    let is_date = text.len() == 10;
    let date = text.parse::<civil::Date>().ok()?;
    is_date.then_some(Moment::Date(date))
}

/// Reads `auto`, `unlimited` or a number of calls a minute.
pub fn requests(text: &str) -> Option<Requests> {
    match text {
        "auto" => Some(Requests::Auto),
        "unlimited" => Some(Requests::Unlimited),
        number => number.parse().ok().map(Requests::PerMinute),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}

/// `number`, which may have up to nine decimals, times `factor`, rounded down.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || decimals.len() > 9 {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(decimals.len()).ok()?);
    let units = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale)
        + u128::from(decimals.parse::<u64>().ok()?);
    let product = units.checked_mul(u128::from(factor))? / u128::from(scale);
    u64::try_from(product).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_and_rates() {
        for (text, bytes) in [
            ("123", Some(123)),
            ("0", Some(0)),
            ("50MB", Some(50_000_000)),
            ("50 mb", Some(50_000_000)),
            ("1.5GB", Some(1_500_000_000)),
            ("10GiB", Some(10 << 30)),
            ("0.5KiB", Some(512)),
            ("2kB", Some(2_000)),
            ("3TB", Some(3_000_000_000_000)),
            ("4MiB", Some(4_194_304)),
            ("5TiB", Some(5_497_558_138_880)),
            ("1.000000001GB", Some(1_000_000_001)),
            ("1.0000000001GB", None),
            ("1.GB", None),
            (".5GB", None),
            ("16777216TiB", None),
            ("", None),
            ("MB", None),
            ("-1", None),
            ("5M", None),
            ("5XB", None),
            ("1.2.3MB", None),
            ("1e3", None),
            ("５MB", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
        assert_eq!(rate("50MB/s").map(NonZeroU64::get), Some(50_000_000));
        assert_eq!(rate("50MB").map(NonZeroU64::get), Some(50_000_000));
        assert_eq!(rate("0MB/s"), None);
        assert_eq!(rate("5MB/h"), None);
    }

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90s", Some(90.0)),
            ("26h", Some(93_600.0)),
            ("30d", Some(2_592_000.0)),
            ("1h30m", Some(5_400.0)),
            ("1h 30min", Some(5_400.0)),
            ("250ms", Some(0.25)),
            ("1.5h", Some(5_400.0)),
            ("2w", Some(1_209_600.0)),
            ("0s", Some(0.0)),
            ("", None),
            ("30", None),
            ("h", None),
            ("30 parsec", None),
            ("-5s", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(
                duration(text).map(|length| length.as_secs_f64()),
                seconds,
                "{text}"
            );
        }
    }

    #[test]
    fn shares() {
        for (text, printed) in [
            ("2%", Some("2%")),
            ("0.5 %", Some("0.5%")),
            ("100%", Some("100%")),
            ("0%", Some("0%")),
            ("33.3333%", Some("33.3333%")),
            ("100.1%", None),
            ("0.00001%", None),
            ("2", None),
            ("%", None),
            ("-2%", None),
        ] {
            let read = share(text).map(|share| share.to_string());
            assert_eq!(read.as_deref(), printed, "{text}");
        }
        let two = Share::percent(2);
        assert_eq!((two.millionths(), two.fraction()), (20_000, 0.02));
        assert_eq!(
            (Share::percent(100), Share::percent(101)),
            (Share::ALL, Share::ALL)
        );
        assert_eq!((two.of(0), two.of(1), two.of(100), two.of(101)), (0, 1, 2, 3));
        assert_eq!(Share::ALL.of(u64::MAX), u64::MAX);
        assert!(!two.is_exceeded_by(2, 100));
        assert!(two.is_exceeded_by(3, 100));
        assert!(!two.is_exceeded_by(0, 0));
    }

    #[test]
    fn clocks_zones_and_moments() {
        for (text, time) in [
            ("01:30", Some("01:30:00")),
            ("1:30", Some("01:30:00")),
            ("23:59", Some("23:59:00")),
            ("24:00", Some("00:00:00")),
            ("01:30:00", Some("01:30:00")),
            ("01:30:15", None),
            ("25:00", None),
            ("12:60", None),
            ("12", None),
            ("+1:30", None),
            ("12:5", None),
        ] {
            let read = clock(text).map(|time| time.to_string());
            assert_eq!(read.as_deref(), time, "{text}");
        }
        assert!(zone("Asia/Tokyo").is_some() && zone("UTC").is_some());
        assert!(zone("Asia/Tokio").is_none());
        let tokyo = zone("Asia/Tokyo").unwrap();
        let day = moment("2026-04-01").unwrap().instant(&tokyo).unwrap();
        assert_eq!(day.to_string(), "2026-03-31T15:00:00Z");
        assert_eq!(
            moment("2026-04-01T09:00:00+09:00"),
            Some(Moment::Instant("2026-04-01T00:00:00Z".parse().unwrap()))
        );
        for wrong in ["", "yesterday", "2026-02-30", "2026-04-01T09:00:00"] {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
        assert_eq!(requests("0"), None);
        assert_eq!(requests("auto"), Some(Requests::Auto));
    }

    #[test]
    fn a_window_opens_and_closes() {
        let zone = zone("Asia/Seoul").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let closes = |window: &Window, now: &str| window.closes(at(now), &zone).map(|time| time.to_string());
        let night = window("22:00-05:30").unwrap();
        // 2026-11-23 is a Monday; Seoul is nine hours ahead of UTC.
        for (now, expected) in [
            ("2026-11-23T12:59:59Z", None),
            ("2026-11-23T13:00:00Z", Some("2026-11-23T20:30:00Z")),
            ("2026-11-23T20:29:59Z", Some("2026-11-23T20:30:00Z")),
            ("2026-11-23T20:30:00Z", None),
        ] {
            assert_eq!(closes(&night, now).as_deref(), expected, "{now}");
        }
        assert_eq!(
            night.opens(at("2026-11-23T13:00:00Z"), &zone),
            Some(at("2026-11-24T13:00:00Z"))
        );
        let weekend = Window {
            start: clock("01:00").unwrap(),
            end: WindowEnd::After(Duration::from_secs(24 * 3600)),
            days: vec![Weekday::Sat],
        };
        assert_eq!(closes(&weekend, "2026-11-23T00:00:00Z"), None);
        assert_eq!(
            weekend.opens(at("2026-11-23T00:00:00Z"), &zone),
            Some(at("2026-11-27T16:00:00Z"))
        );
        assert_eq!(
            closes(&weekend, "2026-11-28T15:00:00Z").as_deref(),
            Some("2026-11-28T16:00:00Z")
        );
        // One that closes on the day it opens.
        let noon = window("09:00-17:30").unwrap();
        assert_eq!(
            closes(&noon, "2026-11-23T08:29:59Z").as_deref(),
            Some("2026-11-23T08:30:00Z")
        );
        assert_eq!(closes(&noon, "2026-11-23T08:30:00Z"), None);
        let short = Window {
            end: WindowEnd::After(Duration::from_secs(3 * 3600 + 5 * 60 + 59)),
            ..noon.clone()
        };
        let printed = [night.to_string(), noon.to_string(), short.to_string()];
        assert_eq!(printed, ["22:00-05:30", "09:00-17:30", "09:00 for 3 h 05 min"]);
        for wrong in ["", "01:00", "01:00-01:00", "01:00-25:00", "1-2"] {
            assert_eq!(window(wrong), None, "{wrong}");
        }
    }
}
