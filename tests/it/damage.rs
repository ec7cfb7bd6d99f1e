//! Damage to any file of an archive: the next backup ends with a clear error, or with a snapshot that is the truth.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drivejob::archive::Archive;
use drivejob::monitor::Silent;
use drivejob::report::{Report, Status};
use drivejob::runner;
use drivejob::sim::{GeneratedSpec, Options, Sizes, World};
use drivejob::stop::Stop;
use drivejob::verify::{self, Problem};

use crate::support::lab::{How, Lab, StopAt, Told, complete, copy_folder, replace_folder, start};
use crate::support::{Bench, Recorder, tree_of};

fn world() -> World {
    World::generated(&GeneratedSpec {
        files: 30,
        folders: 6,
        sizes: Sizes::Uniform(200, 3000),
        depth: 3,
        ..GeneratedSpec::default()
    })
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    Removed,
    Halved,
    Emptied,
    /// One bit at this share of the length, in thousandths.
    Bit(u64),
    Folder,
    /// A link to a copy of it elsewhere.
    Link,
    /// A link to nothing.
    DeadLink,
}

const ALL: [Damage; 12] = [
    Damage::Removed,
    Damage::Halved,
    Damage::Emptied,
    Damage::Bit(0),
    Damage::Bit(50),
    Damage::Bit(250),
    Damage::Bit(500),
    Damage::Bit(750),
    Damage::Bit(1000),
    Damage::Folder,
    Damage::Link,
    Damage::DeadLink,
];

impl Damage {
    fn apply(self, path: &Path, outside: &Path) {
        let bytes = fs::read(path).unwrap();
        match self {
            Damage::Removed => fs::remove_file(path).unwrap(),
            Damage::Halved => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            Damage::Emptied => fs::write(path, "").unwrap(),
            Damage::Bit(share) => {
                let mut bytes = bytes;
                let last = bytes.len() as u64 - 1;
                let place = usize::try_from(last * share / 1000).unwrap();
                bytes[place] ^= 1 << (place % 7);
                fs::write(path, bytes).unwrap();
            }
            Damage::Folder => {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            }
            Damage::Link | Damage::DeadLink => {
                fs::remove_file(path).unwrap();
                let target = outside.join(if self == Damage::Link { "copy" } else { "nothing" });
                if self == Damage::Link {
                    fs::write(&target, bytes).unwrap();
                }
                std::os::unix::fs::symlink(target, path).unwrap();
            }
        }
    }
}

/// An archive of two nights, kept, so that each case begins with it whole.
struct Case {
    lab: Lab,
    bench: Bench,
    kept: PathBuf,
    outside: PathBuf,
}

impl Case {
    /// The second night is complete, or stopped halfway.
    fn new(is_stopped: bool) -> Case {
        let lab = Lab::new(world(), Options::default());
        let bench = lab
            .bench()
            .key("rehash", "\"100%\"")
            .limit("transfers", "2")
            .limit("listings", "1");
        complete(&bench);
        lab.change(3, 20);
        bench.next_night();
        if is_stopped {
            let (listener, stop) = StopAt::new(How::Abort, 30, |told| u64::from(!matches!(told, Told::Step)));
            let report = start(&bench, listener, stop).unwrap();
            assert_eq!(report.status, Status::Interrupted);
        } else {
            complete(&bench);
        }
        bench.next_night();
        let (kept, outside) = (bench.folder().join("kept"), bench.folder().join("outside"));
        copy_folder(bench.shelf().path(), &kept);
        Case {
            lab,
            bench,
            kept,
            outside,
        }
    }

    /// The newest night's folder.
    fn night(&self) -> PathBuf {
        self.bench.shelf().newest().path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bench.shelf().path().join(name)
    }

    /// Runs the job over an archive with one damage. Checks that nothing else of the archive was touched, and that what is
    /// called complete is.
    fn run(&self, path: &Path, damage: Damage) -> (Result<Report, runner::Error>, Arc<Recorder>) {
        replace_folder(&self.kept, self.bench.shelf().path());
        let _ = fs::remove_dir_all(&self.outside);
        fs::create_dir(&self.outside).unwrap();
        damage.apply(path, &self.outside);
        let nights: Vec<PathBuf> = self.nights();
        let before: Vec<_> = nights.iter().map(|night| tree_of(night)).collect();
        let beyond = tree_of(&self.outside);
        self.lab.simulator.reset_calls();
        let recorder = Arc::new(Recorder::default());
        let outcome = start(&self.bench, Arc::clone(&recorder) as _, Stop::new());
        let after: Vec<_> = nights.iter().map(|night| tree_of(night)).collect();
        assert!(
            before == after,
            "{damage:?} of {}: a night was touched",
            path.display()
        );
        assert_eq!(
            tree_of(&self.outside),
            beyond,
            "{damage:?} of {}: a link was followed",
            path.display()
        );
        match &outcome {
            Ok(report) => {
                let text = format!("{damage:?} of {}: {}", path.display(), report.to_text());
                assert_eq!(report.status, Status::Complete, "{text}");
                assert_eq!(self.nights().len(), nights.len() + 1, "{text}");
                self.bench.shelf().assert_holds(&self.lab.world(), 0);
            }
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains("bug"), "{damage:?} of {}: {text}", path.display());
                assert_eq!(self.nights(), nights, "{text}");
            }
        }
        (outcome, recorder)
    }

    fn nights(&self) -> Vec<PathBuf> {
        let mut nights: Vec<PathBuf> = fs::read_dir(self.bench.shelf().path())
            .unwrap()
            .map(|item| item.unwrap())
            .filter(|item| item.file_type().unwrap().is_dir() && item.file_name() != ".drivejob")
            .map(|item| item.path())
            .collect();
        nights.sort();
        nights
    }
}

#[test]
fn a_damaged_marker_is_one_clear_error_or_does_no_harm() {
    let case = Case::new(false);
    let path = case.path("ARCHIVE.json");
    for damage in ALL {
        let (outcome, _) = case.run(&path, damage);
        match (damage, outcome) {
            (Damage::Removed, Err(error)) => {
                assert!(error.to_string().contains("is not an archive"), "{error}");
            }
            (
                Damage::Halved
                | Damage::Emptied
                | Damage::Bit(_)
                | Damage::Folder
                | Damage::Link
                | Damage::DeadLink,
                Err(error),
            ) => {
                assert!(
                    error.to_string().contains("ARCHIVE.json")
                        || error.to_string().contains("holds the tenant"),
                    "{damage:?} {error}"
                );
            }
            (Damage::Bit(_), Ok(_)) => {}
            (damage, outcome) => panic!("{damage:?} {:?}", outcome.map(|report| report.to_text())),
        }
    }
}

#[test]
fn damage_to_a_nights_papers_costs_downloads_and_never_the_truth() {
    let case = Case::new(false);
    let night = case.night();
    for name in ["HEAD.json", "TAIL.json", "manifest.csv", "failures.csv"] {
        let path = night.join(name);
        for damage in ALL {
            // A list without failures is its header alone.
            let (outcome, recorder) = case.run(&path, damage);
            let report = outcome.unwrap_or_else(|error| panic!("{damage:?} of {name}: {error}"));
            let is_unreadable = matches!(
                damage,
                Damage::Removed | Damage::Halved | Damage::Emptied | Damage::Folder | Damage::DeadLink
            );
            match name {
                "manifest.csv" if is_unreadable || matches!(damage, Damage::Bit(_)) => {
                    let problems = recorder.problems();
                    assert!(
                        problems
                            .iter()
                            .any(|(_, said)| said.contains("cannot serve as a basis")),
                        "{damage:?}: {problems:?}"
                    );
                }
                "HEAD.json" | "TAIL.json" if is_unreadable => {
                    let [said] = report.warnings.as_slice() else {
                        panic!("{damage:?} of {name}: {:?}", report.warnings);
                    };
                    assert!(said.contains("is damaged"), "{said}");
                }
                "failures.csv" => assert_eq!(case.lab.downloads(), 0, "{damage:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn f09_a_stored_file_that_is_not_as_it_was_is_fetched_again() {
    let case = Case::new(false);
    let rows = case.bench.shelf().rows();
    let stored = |reused: bool| {
        let row = rows
            .iter()
            .filter(|row| row.sha256.is_some())
            .find(|row| (row.outcome == drivejob::manifest::Outcome::Reused) == reused)
            .unwrap();
        case.path(row.stored_at.as_deref().unwrap())
    };
    for path in [stored(true), stored(false)] {
        for damage in ALL {
            let (outcome, recorder) = case.run(&path, damage);
            outcome.unwrap_or_else(|error| panic!("{damage:?}: {error}"));
            assert_eq!(case.lab.downloads(), 1, "{damage:?} of {}", path.display());
            let [(subject, message)] = recorder.problems().try_into().unwrap();
            assert!(subject.starts_with("me:/"), "{subject}");
            assert!(message.ends_with("it is fetched again"), "{message}");
        }
    }
}

#[test]
fn a_folder_of_stored_files_that_became_a_link_is_not_followed() {
    let case = Case::new(false);
    let folder = case.night().join("files/me");
    for is_gone in [false, true] {
        replace_folder(&case.kept, case.bench.shelf().path());
        let _ = fs::remove_dir_all(&case.outside);
        fs::create_dir(&case.outside).unwrap();
        copy_folder(&folder, &case.outside.join("me"));
        fs::remove_dir_all(&folder).unwrap();
        if !is_gone {
            std::os::unix::fs::symlink(case.outside.join("me"), &folder).unwrap();
        }
        case.lab.simulator.reset_calls();
        complete(&case.bench);
        case.bench.shelf().assert_holds(&case.lab.world(), 0);
        let files = case
            .bench
            .shelf()
            .rows()
            .iter()
            .filter(|row| row.sha256.is_some())
            .count();
        assert_eq!(case.lab.downloads(), files as u64);
    }
}

#[test]
fn a_damaged_lock_keeps_nobody_out_for_long() {
    let case = Case::new(false);
    let path = case.path(".drivejob/lock");
    for damage in ALL
        .into_iter()
        .filter(|damage| !matches!(damage, Damage::Bit(_) | Damage::Halved))
    {
        let (outcome, _) = case.run(&path, damage);
        match (damage, outcome) {
            (Damage::Removed | Damage::Emptied, Ok(_)) => {}
            (Damage::Folder | Damage::Link | Damage::DeadLink, Err(error)) => {
                assert!(error.to_string().contains("lock"), "{error}");
            }
            (damage, outcome) => panic!("{damage:?} {:?}", outcome.map(|report| report.to_text())),
        }
    }
}

#[test]
fn f27_the_state_folder_can_be_done_without() {
    let case = Case::new(false);
    fs::remove_dir_all(case.path(".drivejob")).unwrap();
    case.lab.simulator.reset_calls();
    let report = complete(&case.bench);
    assert_eq!((report.resumed, report.warnings), (false, Vec::new()));
    assert_eq!(
        case.lab.downloads(),
        0,
        "the basis is known from the manifests alone"
    );
    case.bench.shelf().assert_holds(&case.lab.world(), 0);

    // With an unfinished run in it, only that run is lost.
    let case = Case::new(true);
    fs::remove_dir_all(case.path(".drivejob")).unwrap();
    let report = complete(&case.bench);
    assert!(!report.resumed);
    case.bench.shelf().assert_holds(&case.lab.world(), 0);
}

#[test]
fn a_damaged_unfinished_run_never_stands_in_the_way() {
    let case = Case::new(true);
    let run = case.path(".drivejob/run");
    let stored: Vec<PathBuf> = tree_of(&run.join("snapshot/files"))
        .into_iter()
        .filter_map(|(path, bytes)| bytes.filter(|bytes| !bytes.is_empty()).map(|_| path))
        .collect();
    assert!(!stored.is_empty());
    let places = [run.join("ledger.sqlite"), run.join("snapshot/HEAD.json")];
    for path in places {
        for damage in ALL {
            let (outcome, _) = case.run(&path, damage);
            if let Err(error) = outcome {
                // What stands in the way of one start does not stand in the way of the next.
                println!("{damage:?} of {}: {error}", path.display());
                complete(&case.bench);
                case.bench.shelf().assert_holds(&case.lab.world(), 0);
            }
        }
    }
}

/// Every file in a folder of the archive, but not its state.
fn papers_and_files(folder: &Path) -> Vec<PathBuf> {
    tree_of(folder)
        .into_iter()
        .filter(|(path, bytes)| bytes.is_some() && !path.starts_with(".drivejob"))
        .map(|(path, _)| folder.join(path))
        .collect()
}

/// The first byte, the one in the middle and the last; of a list, one in each cell of its header and first row; of a JSON file, one in the
/// key, in the value and before each of its fields, at any depth.
fn places_in(path: &Path, bytes: &[u8]) -> Vec<usize> {
    let mut places = vec![0, bytes.len() / 2, bytes.len() - 1];
    let mut start = 0;
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if path.extension().is_some_and(|end| end == "json") {
            let key = line.iter().position(|byte| *byte == b'"').unwrap_or(0);
            let value = line.iter().rposition(|byte| byte.is_ascii_alphanumeric());
            places.extend([start, start + key + usize::from(key > 0)]);
            places.extend(value.map(|value| start + value));
        } else if path.extension().is_some_and(|end| end == "csv") && number < 2 {
            let commas = line.iter().enumerate().filter(|(_, byte)| **byte == b',');
            places.extend(commas.flat_map(|(place, _)| [start + place, start + place - 1]));
        }
        start += line.len();
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// What a whole verification finds; an archive that does not open is found without one.
fn problems(archive: &Path) -> Option<Vec<Problem>> {
    let archive = Archive::open(archive).ok()?;
    let mut problems = Vec::new();
    let options = verify::Options::whole(jiff::Timestamp::UNIX_EPOCH);
    verify::verify(&archive, &options, &Stop::new(), &Silent, &mut |problem| {
        problems.push(problem.clone());
    })
    .unwrap();
    Some(problems)
}

#[test]
fn verify_finds_every_class_of_byte_in_every_file() {
    let case = Case::new(false);
    let archive = case.bench.shelf().path().to_owned();
    assert_eq!(problems(&archive), Some(Vec::new()));
    let mut tried = 0;
    for path in papers_and_files(&archive) {
        let bytes = fs::read(&path).unwrap();
        let place = path.strip_prefix(&archive).unwrap().to_str().unwrap().to_owned();
        // Opened for writing it stays the same file under all its names, as damage on a disk does.
        let change = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
        for byte in places_in(&path, &bytes) {
            let mut bad = bytes.clone();
            bad[byte] ^= 1;
            change(&bad);
            tried += 1;
            if let Some(problems) = problems(&archive) {
                assert!(
                    problems.iter().any(|problem| problem.place == place),
                    "byte {byte} of {place}: {problems:?}"
                );
            }
        }
        change(&[bytes.as_slice(), b"\n"].concat());
        assert_ne!(problems(&archive), Some(Vec::new()), "{place} is longer");
        change(&bytes);
    }
    assert!(tried > 400, "{tried}");
    assert_eq!(problems(&archive), Some(Vec::new()));
    let stray = case.night().join("Thumbs.db");
    fs::write(&stray, "").unwrap();
    assert_eq!(problems(&archive).unwrap().len(), 1);
}

#[test]
fn each_altered_file_of_the_newest_night_is_fetched_again_by_the_next() {
    let case = Case::new(false);
    let files = papers_and_files(&case.night().join("files"));
    assert!(files.len() > 20);
    for (number, path) in files.into_iter().enumerate() {
        let share = [0, 500, 1000][number % 3];
        case.run(&path, Damage::Bit(share)).0.unwrap();
        assert_eq!(case.lab.downloads(), 1, "{}", path.display());
    }
}
