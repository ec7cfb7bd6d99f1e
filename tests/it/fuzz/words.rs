//! Words of job files and command lines: sizes, rates, durations, shares, times, drives, snapshots, paths.

use std::path::{Component, Path};

use drivejob::entry::Scope;
use drivejob::id::SnapshotId;
use drivejob::job::{SnapshotChoice, To, resolve_path, unit};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::select;

/// Letters that words are made of, and some that they are not.
const LETTERS: &str = "[0-9.:/%+ _-]{0,8}[a-zA-Z0-9%/:. -]{0,6}|\\PC{0,10}|[0-9]{15,25}[a-zA-Z]{0,3}";

/// A number with decimals in billionths, of text that has been checked.
fn billionths(whole: u64, decimals: &str) -> u128 {
    let padded = format!("{decimals:0<9}");
    u128::from(whole) * 1_000_000_000 + padded.parse::<u128>().unwrap()
}

proptest! {
    #[test]
    fn no_word_is_misread(text in LETTERS) {
        let digits_and_more = |text: &str| text.chars().any(|letter| letter.is_ascii_digit());
        if unit::size(&text).is_some() || unit::duration(&text).is_some() || unit::share(&text).is_some() {
            prop_assert!(digits_and_more(&text) && !text.contains('-') && !text.contains('+'), "{}", text);
        }
        if let Some(rate) = unit::rate(&text) {
            prop_assert_eq!(unit::size(text.trim().trim_end_matches("/s")), Some(rate.get()));
        }
        if let Some(share) = unit::share(&text) {
            prop_assert_eq!(unit::share(&share.to_string()), Some(share));
            prop_assert!(share.of(1_000_000) <= 1_000_000 && share.fraction() <= 1.0);
        }
        if let Some(time) = unit::clock(&text) {
            prop_assert_eq!(time.second(), 0);
            prop_assert_eq!(unit::clock(&time.strftime("%H:%M").to_string()), Some(time));
        }
        if let Some(window) = unit::window(&text) {
            prop_assert_eq!(unit::window(&window.to_string()), Some(window));
        }
        if let Some(moment) = unit::moment(&text) {
            for zone in ["UTC", "Asia/Seoul", "Asia/Tokyo", "Pacific/Apia"] {
                let _ = moment.instant(&unit::zone(zone).unwrap());
            }
        }
        let _ = (unit::requests(&text), unit::zone(&text), SnapshotChoice::read(&text), To::read(&text));
    }

    #[test]
    fn a_size_is_its_number_times_its_unit(whole in 0..1_u64 << 50, decimals in "[0-9]{0,9}", blank in "[ ]?",
        (name, factor) in select(&[("", 1_u64), ("B", 1), ("kB", 1_000), ("MB", 1_000_000), ("gb", 1_000_000_000),
            ("TB", 1_000_000_000_000), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("tib", 1 << 40)])) {
        let number = if decimals.is_empty() { whole.to_string() } else { format!("{whole}.{decimals}") };
        let expected = billionths(whole, &decimals) * u128::from(factor) / 1_000_000_000;
        prop_assert_eq!(unit::size(&format!("{number}{blank}{name}")).map(u128::from), u64::try_from(expected).ok().map(u128::from));
    }

    #[test]
    fn a_duration_is_the_sum_of_its_parts(parts in prop::collection::vec((0..100_000_u64, select(&[
            ("ms", 1_u64), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000),
        ])), 1..6)) {
        let text: String = parts.iter().map(|(number, (name, _))| format!("{number}{name} ")).collect();
        let sum: u64 = parts.iter().map(|(number, (_, factor))| number * factor).sum();
        prop_assert_eq!(unit::duration(&text).map(|length| length.as_millis()), Some(u128::from(sum)));
    }

    #[test]
    fn a_share_of_something_lies_between_nothing_and_all(millionths in 0..=1_000_000_u32, whole in any::<u64>(), part in any::<u64>()) {
        let text = format!("{}.{:04}%", millionths / 10_000, millionths % 10_000);
        let share = unit::share(&text).unwrap();
        prop_assert_eq!(share.millionths(), millionths);
        let of = share.of(whole);
        prop_assert!(of <= whole && (of > 0 || millionths == 0 || whole == 0));
        prop_assert_eq!(share.is_exceeded_by(part, whole), u128::from(part) * 1_000_000 > u128::from(whole) * u128::from(millionths));
    }

    #[test]
    fn a_window_that_is_open_closes_and_one_that_is_shut_opens(start in 0..1440_u32, end in 0..1440_u32, second in 0..4_102_444_800_i64,
        zone in select(&["UTC", "Asia/Tokyo", "Asia/Seoul", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"])) {
        prop_assume!(start != end);
        let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        let window = unit::window(&format!("{}-{}", clock(start), clock(end))).unwrap();
        let (now, zone) = (Timestamp::from_second(second).unwrap(), unit::zone(zone).unwrap());
        let day = jiff::SignedDuration::from_hours(26);
        if let Some(closes) = window.closes(now, &zone) {
            prop_assert!(now < closes && closes.duration_since(now) <= day);
        }
        let opens = window.opens(now, &zone).unwrap();
        prop_assert!(now < opens && opens.duration_since(now) <= day + day);
        // A clock that is set forward over the opening leaves no night to work in.
        prop_assert!(window.closes(opens, &zone).is_none_or(|closes| closes > opens));
    }

    #[test]
    fn a_drive_word_prints_as_it_was_read(word in "(me|users|sharedrives|groups|key:|sharedfolders|/|\\*|@|[a-zA-Z0-9.*?{},]{1,4}|\\PC){0,7}") {
        if let Ok(scope) = word.parse::<Scope>() {
            prop_assert_eq!(scope.to_string(), word);
        }
    }

    #[test]
    fn a_snapshot_name_is_a_second_and_back(second in -62_135_596_800_i64..253_402_300_799, text in "[0-9TZ:-]{0,24}|\\PC{0,24}") {
        let id = SnapshotId::at(Timestamp::from_second(second).unwrap());
        prop_assert_eq!(id.time().map(Timestamp::as_second), Some(second));
        prop_assert_eq!(id.as_str().parse::<SnapshotId>().unwrap(), id);
        if let Ok(id) = text.parse::<SnapshotId>() {
            prop_assert_eq!(id.as_str(), &text);
            prop_assert!(!text.contains(['/', '\\', '.']));
            prop_assert_eq!(SnapshotId::at(id.time().unwrap()), id);
        }
    }

    #[test]
    fn a_path_of_a_file_is_worked_out(base in "/?([a-z.]{0,3}/){0,4}", text in "/?([a-z.]{0,3}/?){0,5}|\\PC{0,9}") {
        let path = resolve_path(Path::new(&base), &text);
        let mut is_inside = false;
        for part in path.components() {
            prop_assert!(!(is_inside && part == Component::ParentDir), "{}", path.display());
            is_inside |= matches!(part, Component::Normal(_) | Component::RootDir);
        }
        prop_assert!(!path.as_os_str().is_empty());
        prop_assert_eq!(resolve_path(&path, "."), path);
    }
}

#[test]
fn the_ends_of_time_are_days_like_others() {
    let window = unit::window("22:00-05:30").unwrap();
    for time in [Timestamp::MIN, Timestamp::MAX] {
        let _ = (
            window.closes(time, &TimeZone::UTC),
            window.opens(time, &TimeZone::UTC),
        );
    }
    assert!(unit::moment("-009999-01-01").is_none() && unit::moment("9999-12-31T23:59:59Z").is_none());
}
