//! Globs: a folder that is not listed holds nothing that is wanted, and no glob costs more than its length.

use drivejob::entry::{Entry, Kind};
use drivejob::filter::{Filter, FilterSpec, Glob, Prune, WordGlob};
use drivejob::id::{DriveId, FileId};
use drivejob::path::DrivePath;
use proptest::prelude::*;

/// Globs over a small alphabet, so that they meet paths over the same one.
fn glob() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[ab가]{1,2}",
        2 => Just("*".to_owned()),
        2 => Just("**".to_owned()),
        1 => Just("?".to_owned()),
        1 => "[ab]?\\*[ab]?",
        1 => "\\[!?[ab-]{1,3}\\]",
        1 => "\\{[ab*]{0,2},[ab/*]{0,3}\\}",
        1 => "\\\\[*ab]",
    ];
    (
        "(me:|users/\\*:)?/?",
        prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/")),
        "/?",
    )
        .prop_map(|(start, body, end)| format!("{start}{body}{end}"))
}

fn filter(include: Vec<String>, exclude: Vec<String>) -> Option<Filter> {
    let good = |globs: Vec<String>| globs.into_iter().filter(|glob| Glob::new(glob).is_ok()).collect();
    Filter::new(&FilterSpec {
        include: good(include),
        exclude: good(exclude),
        ..FilterSpec::default()
    })
    .ok()
}

proptest! {
    #[test]
    fn a_folder_that_is_not_listed_holds_nothing_that_is_wanted(include in prop::collection::vec(glob(), 0..3),
        exclude in prop::collection::vec(glob(), 0..2), names in prop::collection::vec("[ab가]{1,2}", 1..5)) {
        let Some(filter) = filter(include, exclude) else { return Ok(()) };
        let mut file = Entry::root(DriveId::new("me"), FileId::new("1"));
        file.kind = Kind::File;
        let mut path = DrivePath::root();
        let mut above = Vec::new();
        for name in &names {
            above.push(path.clone());
            path = path.join(name);
        }
        if filter.file(&file, &path).is_none() {
            for folder in above {
                prop_assert_eq!(filter.folder(&file.drive, &folder), Prune::Walk, "{} for {}", folder, path);
                prop_assert!(filter.may_pass(&file.drive, &folder), "{} for {}", folder, path);
            }
            prop_assert!(filter.may_pass(&file.drive, &path));
        }
    }

    #[test]
    fn what_covers_a_folder_covers_all_below(text in glob(), names in prop::collection::vec("[ab가]{1,2}", 1..5)) {
        let Ok(glob) = Glob::new(&text) else { return Ok(()) };
        let drive = DriveId::new("me");
        let (mut path, mut is_covered) = (DrivePath::root(), false);
        for (depth, name) in names.iter().enumerate() {
            path = path.join(name);
            let is_folder = depth + 1 < names.len();
            let reach = glob.reach(&drive, path.as_str(), is_folder);
            prop_assert!(reach.covers || !is_covered, "{} {}", text, path);
            prop_assert!(reach.below || !reach.covers);
            is_covered = reach.covers;
        }
    }

    #[test]
    fn any_text_is_a_glob_or_none(text in "[*?\\[\\]{}!,/\\\\a가^-]{0,24}|\\PC{0,24}", path in "(/[ab*\\[{\\\\]{0,3}){0,4}|\\PC{0,9}") {
        if let Ok(glob) = Glob::new(&text) {
            prop_assert_eq!(glob.as_str(), &text);
            for is_folder in [false, true] {
                let reach = glob.reach(&DriveId::new("users/u1"), &path, is_folder);
                prop_assert!(reach.below || !reach.covers);
            }
        }
        if let Ok(glob) = WordGlob::new(&text, text.contains('/')) {
            glob.is_match(&path);
        }
    }
}

#[test]
fn a_glob_made_to_cost_costs_little() {
    let drive = DriveId::new("me");
    let name = "a".repeat(200);
    let deep: String = "/a".repeat(400);
    let many = 100_000;
    for text in [
        format!("/{}b", "*a".repeat(99)),
        format!("/{}b", "?*".repeat(1_000)),
        format!("/{}", "**/a/".repeat(60)),
        format!("/{}b", "**/*a*/".repeat(60)),
        format!("/{}b", "{a,*a,a*}".repeat(5)),
        format!("/[{}]", "a-z".repeat(1_000)),
        format!("{{{}}}{}", ",".repeat(many), "x".repeat(many)),
        format!("{}{}", "{".repeat(many), "}".repeat(many)),
        format!("{}{}", "{,".repeat(many), "}".repeat(many)),
        "{a,b}".repeat(many),
        "[".repeat(many),
        "\\".repeat(many),
        "*".repeat(many),
        "/".repeat(many),
        "é".repeat(many),
    ] {
        if let Ok(glob) = Glob::new(&text) {
            for path in [format!("/{name}"), deep.clone()] {
                glob.reach(&drive, &path, false);
            }
        }
        for length in [text.len(), 2_000, 500] {
            let Some(text) = text.get(..length) else { continue };
            if let Ok(glob) = WordGlob::new(text, false) {
                glob.is_match(&deep);
            }
        }
    }
}
