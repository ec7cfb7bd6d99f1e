//! Words of job files and command lines.
#![no_main]

use drivejob::entry::Scope;
use drivejob::filter::{Filter, FilterSpec};
use drivejob::id::SnapshotId;
use drivejob::job::{SnapshotChoice, To, unit};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (text, path) = texts;
    if let Some(share) = unit::share(text) {
        assert_eq!(unit::share(&share.to_string()), Some(share));
    }
    if let Some(window) = unit::window(text) {
        assert_eq!(unit::window(&window.to_string()), Some(window));
    }
    if let Some(time) = unit::clock(text) {
        assert_eq!(unit::clock(&time.strftime("%H:%M").to_string()), Some(time));
    }
    if let Ok(scope) = text.parse::<Scope>() {
        assert_eq!(scope.to_string(), text);
    }
    if let Ok(id) = text.parse::<SnapshotId>() {
        assert_eq!(
            (id.as_str(), SnapshotId::at(id.time().unwrap())),
            (text, id.clone())
        );
    }
    let _ = (
        unit::size(text),
        unit::rate(text),
        unit::duration(text),
        unit::requests(text),
    );
    let _ = (
        unit::moment(text),
        unit::zone(text),
        SnapshotChoice::read(text),
        To::read(text),
    );
    let spec = FilterSpec {
        include: vec![text.to_owned()],
        exclude: vec![path.to_owned()],
        ..FilterSpec::default()
    };
    let _ = Filter::new(&spec);
});
