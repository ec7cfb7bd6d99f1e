//! Numbers and dates as each language writes them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Language;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A whole number with a comma before each three digits, as all three languages have it.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent with one decimal; what is small but not nothing is `<0.1 %`.
pub(super) fn percent(part: f64, whole: f64) -> String {
    if whole <= 0.0 || part <= 0.0 {
        return "0 %".to_owned();
    }
    let share = part / whole * 100.0;
    if share < 0.1 {
        "<0.1 %".to_owned()
    } else {
        format!("{share:.1} %")
    }
}

/// Day and time with the zone's short name.
pub(super) fn moment(time: Timestamp, zone: &TimeZone, language: Language) -> String {
    let zoned = time.to_zoned(zone.clone());
    format!("{} {}", day(time, zone, language), zoned.strftime("%H:%M %Z"))
}

/// The day.
pub(super) fn day(time: Timestamp, zone: &TimeZone, language: Language) -> String {
    let date = time.to_zoned(zone.clone()).date();
    let (year, month, day) = (date.year(), date.month(), date.day());
    match language {
        Language::English => {
            let place = usize::try_from(month).unwrap_or(0).saturating_sub(1);
            format!("{day} {} {year}", MONTHS.get(place).unwrap_or(&""))
        }
        Language::Japanese => format!("{year}年{month}月{day}日"),
        Language::Korean => format!("{year}년 {month}월 {day}일"),
    }
}

/// The day as short as a table wants it, the same in every language and in order as text.
pub(super) fn short_day(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string()
}

/// The minute as short as a table wants it, the same in every language and in order as text.
pub(super) fn short_moment(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}
