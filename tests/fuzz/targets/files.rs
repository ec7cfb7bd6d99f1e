//! Job and tenant files in both notations.
#![no_main]

use drivejob::job::{Format, parse_job, parse_tenant};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = text.lines().count().max(1) + 1;
    for format in [Format::Toml, Format::Json] {
        let problems = [
            parse_job(text, format, "f").err(),
            parse_tenant(text, format, "f").err(),
        ];
        for problem in problems.into_iter().flatten().flatten() {
            assert!(
                problem.line.is_none_or(|line| (1..=lines).contains(&line)),
                "{problem:?}"
            );
            assert!(!problem.to_string().chars().any(char::is_control), "{problem:?}");
        }
    }
});
