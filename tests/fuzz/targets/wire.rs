//! What the service sends.
#![no_main]

use drivejob::api::fuzzing::{content_range, date, item, page, refusal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|answer: (u16, &str, &str, &[u8])| {
    let (status, name, value, body) = answer;
    let shown = refusal(status, &[(name, value), ("retry-after", value)], body);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    if let Some((first, Some(whole))) = content_range(value) {
        assert!(first < whole);
    }
    if let Some((time, _)) = date(value) {
        assert_eq!(time.subsec_nanosecond(), 0);
    }
    let Ok(raw) = serde_json::from_slice::<serde_json::Value>(body) else {
        return;
    };
    for is_classic in [false, true] {
        let _ = page(is_classic, body);
        match item(is_classic, raw.clone()) {
            Ok(entry) => assert!(!entry.id.as_str().is_empty() && !entry.name.is_empty()),
            Err(kept) => assert_eq!(kept, raw),
        }
    }
});
