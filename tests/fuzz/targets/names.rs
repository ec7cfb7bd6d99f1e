//! Names of the service on their way into the local file system.
#![no_main]

use drivejob::archive::{LocalPath, fold, plain_or_derived};
use drivejob::id::DriveId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|names: (&str, &str, &str)| {
    let (drive, name, other) = names;
    let local = plain_or_derived(name, "1");
    for segment in [Some(&local.derived), local.plain.as_ref()].into_iter().flatten() {
        assert!(segment.len() <= 255 && !matches!(segment.as_str(), "" | "." | ".."));
        assert!(!segment.contains(['/', '\\', '\0']) && !segment.ends_with(['.', ' ']));
    }
    assert!(local.plain.as_ref().is_none_or(|plain| plain == name));
    let twin = plain_or_derived(other, "2");
    assert_ne!(fold(&local.derived), fold(&twin.derived));
    if let Some(plain) = &local.plain {
        assert_ne!(fold(plain), fold(&twin.derived));
    }

    let folder = LocalPath::of_drive(&DriveId::new(drive));
    for is_twin in [false, true] {
        let place = folder.join(&local, is_twin);
        assert!(
            !place
                .as_str()
                .split('/')
                .any(|part| matches!(part, "" | "." | ".."))
        );
        assert_eq!(LocalPath::parse(place.as_str()).unwrap(), place);
    }
    if let Ok(parsed) = LocalPath::parse(name) {
        assert_eq!(parsed.as_str(), name);
        assert!(!name.split('/').any(|part| matches!(part, "" | "." | "..")));
    }
});
