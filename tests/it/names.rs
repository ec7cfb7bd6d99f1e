//! Names that programs stumble over: each stands in the manifest as it is, its bytes are stored, and nothing leaves the archive.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use drivejob::manifest::Outcome;
use drivejob::report::Status;
use drivejob::sim::{Options, Simulator, World};
use unicode_normalization::UnicodeNormalization;

use crate::support::{Bench, Face, tree_of, truth};
use naughty::{NAUGHTY, naughty};

mod naughty;

/// Characters of the longest name that the service takes (API 2.0 docs, drive-file-root-create).
const LONGEST: usize = 200;

/// 2024-05-01T00:00:00Z
const MAY: i64 = 1_714_521_600_000;

/// Each name as a file, as a folder with a file of that name, and each file twice.
fn world(names: &[String]) -> World {
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let root = world.root(0).unwrap();
    let [files, folders, twins] = ["files", "folders", "twins"].map(|name| world.add_folder(root, name, MAY));
    for (number, name) in names.iter().enumerate() {
        let seed = number as u64;
        world.add_file(files, name, 20 + seed % 50, seed, MAY + 1000 * number as i64);
        let folder = world.add_folder(folders, name, MAY);
        world.add_file(folder, name, 10, seed + 10_000, MAY);
        world.add_file(twins, name, 11, seed + 20_000, MAY);
        world.add_file(twins, name, 12, seed + 30_000, MAY);
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_every_naughty_name_survives() {
    let names = naughty();
    let listed: usize = NAUGHTY.iter().map(|(_, names)| names.len()).sum();
    assert!(listed >= 300, "{listed}");
    for face in Face::BOTH {
        let simulator = Simulator::start(world(&names), Options::default()).await.unwrap();
        let bench = Bench::new(&simulator, face);
        fs::create_dir(bench.folder().join("beside")).unwrap();
        let before: BTreeSet<_> = tree_of(bench.folder()).into_keys().collect();
        let report = bench.run().await.unwrap();
        assert_eq!(
            report.status,
            Status::Complete,
            "{face:?} {:?} {:?}",
            report.failures,
            report.totals
        );
        bench.shelf().assert_holds(&simulator.world(), 0);
        // Nothing was made but the archive, the job file and the state.
        let made = tree_of(bench.folder());
        for path in made.keys().filter(|path| !before.contains(*path)) {
            let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
            assert!(
                ["archive", "job.toml", "state"].contains(&first),
                "{}",
                path.display()
            );
        }
        // And within it each file in its own place, with a name that every system can hold.
        let rows = bench.shelf().rows();
        let places: BTreeSet<&str> = rows.iter().filter_map(|row| row.stored_at.as_deref()).collect();
        assert_eq!(
            places.len(),
            rows.iter().filter(|row| row.sha256.is_some()).count()
        );
        let folded: BTreeSet<String> = places
            .iter()
            .map(|place| place.nfc().collect::<String>().to_lowercase())
            .collect();
        assert_eq!(
            folded.len(),
            places.len(),
            "no two places differ by case or form alone"
        );
        for segment in places.iter().flat_map(|place| place.split('/')) {
            assert!(
                segment.len() <= 255
                    && segment != "."
                    && segment != ".."
                    && !segment.contains(['\\', '\0', '\n']),
                "{segment:?}"
            );
        }
        // The names are the same on the next night: everything is known again.
        let report = bench.run_next_night().await.unwrap();
        assert_eq!(
            (report.status, report.totals.held().files),
            (Status::Complete, places.len() as u64)
        );
        assert_eq!(report.totals.of(Outcome::Stored).files, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_folders_deep_is_not_too_deep() {
    for name in ["d", "とても深いフォルダーの名前", "가나다라마바사아자차카타파하"]
    {
        let mut world = World::new();
        world.add_member("山田", "太郎", "taro@example.com");
        let mut folder = world.root(0).unwrap();
        for depth in 0..200 {
            folder = world.add_folder(folder, name, MAY);
            world.add_file(folder, &format!("{depth}.txt"), 7, depth, MAY);
        }
        let simulator = Simulator::start(world, Options::default()).await.unwrap();
        let bench = Bench::new(&simulator, Face::V2);
        let report = bench.run().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{name} {:?}", report.failures);
        bench.shelf().assert_holds(&simulator.world(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_planted_in_the_archive_are_not_followed() {
    let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
    let bench = Bench::new(&simulator, Face::V2);
    bench.run().await.unwrap();
    let outside = bench.folder().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("メモ.txt"), "mine, 11 by").unwrap();
    let first = bench.shelf().newest().path;
    // A file and a folder of the night before are now links to other places.
    let swap = |path: &Path, target: &Path| {
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        symlink(target, path).unwrap();
    };
    swap(&first.join("files/me/メモ.txt"), &outside.join("メモ.txt"));
    swap(&first.join("files/me/写真"), &outside);
    simulator.reset_calls();
    let report = bench.run_next_night().await.unwrap();
    assert_eq!(report.status, Status::Complete);
    bench.shelf().assert_holds(&simulator.world(), 0);
    // One file and the three below the folder are fetched again; nothing outside is read, linked or written.
    assert_eq!(simulator.calls().of("storage.download"), 4);
    assert_eq!(
        tree_of(&outside).into_keys().collect::<Vec<_>>(),
        [Path::new("メモ.txt")]
    );
    assert_eq!(
        fs::read_to_string(outside.join("メモ.txt")).unwrap(),
        "mine, 11 by"
    );
    for (path, _) in tree_of(&bench.shelf().newest().path) {
        let kind = fs::symlink_metadata(bench.shelf().newest().path.join(&path))
            .unwrap()
            .file_type();
        assert!(!kind.is_symlink(), "{}", path.display());
    }
}

/// Names, each once, that a drive can be given: those with a slash or NUL are refused, and so are longer ones.
fn givable() -> BTreeSet<String> {
    let singles = (1..=0x0010_ffff_u32)
        .step_by(4001)
        .chain(0x20..0x7f)
        .filter_map(char::from_u32)
        .map(String::from);
    naughty()
        .into_iter()
        .chain(singles)
        .filter(|name| !name.contains(['/', '\0']) && (1..=LONGEST).contains(&name.chars().count()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_go_out_and_come_back_as_they_were() {
    let names = givable();
    assert!(names.len() > 600, "{}", names.len());
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let root = world.root(0).unwrap();
    let [files, folders] = ["files", "folders"].map(|name| world.add_folder(root, name, MAY));
    for (number, name) in names.iter().enumerate() {
        let seed = number as u64;
        world.add_file(files, name, 20 + seed % 50, seed, MAY);
        if number % 3 == 0 {
            let folder = world.add_folder(folders, name, MAY);
            world.add_file(folder, name, 10, seed + 10_000, MAY);
        }
    }
    let source = Simulator::start(world, Options::default()).await.unwrap();
    let backup = Bench::new(&source, Face::V2);
    assert_eq!(backup.run().await.unwrap().status, Status::Complete);
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let target = Simulator::start(world, Options::default()).await.unwrap();
    let archive = backup.shelf().path().display().to_string();
    let restore = Bench::new(&target, Face::V2)
        .key("kind", "\"restore\"")
        .key("archive", &format!("{archive:?}"))
        .key("target", "\"tenant.toml\"")
        .key("to", "\"original\"");
    let report = restore.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let tree = |simulator: &Simulator| {
        let held = simulator.world().read(|world| truth(world, 0));
        let mut tree: Vec<_> = held
            .into_iter()
            .map(|held| (held.path, held.kind, held.sha256))
            .collect();
        tree.sort();
        tree
    };
    let (sent, came) = (tree(&source), tree(&target));
    for (sent, came) in sent.iter().zip(&came) {
        assert_eq!(sent, came);
    }
    assert_eq!(sent.len(), came.len());
    // On this machine too each has its place, and none is outside the folder.
    let local = backup.folder().join("local");
    let restore = Bench::empty()
        .key("kind", "\"restore\"")
        .key("archive", &format!("{archive:?}"))
        .key("to", &format!("{:?}", format!("file:{}", local.display())));
    let before: BTreeSet<_> = tree_of(backup.folder()).into_keys().collect();
    let report = restore.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let made = tree_of(backup.folder());
    let strangers: Vec<_> = made
        .keys()
        .filter(|path| !before.contains(*path))
        .filter(|path| !path.starts_with("local") && !path.starts_with("archive"))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    let written = tree_of(&local).into_values().flatten().count();
    assert_eq!(
        written,
        sent.iter().filter(|(_, kind, _)| *kind == "file").count()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_at_any_level_of_the_archive_is_not_followed() {
    use std::os::unix::fs::MetadataExt;
    let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
    for place in [
        "ARCHIVE.json",
        ".drivejob",
        "NIGHT",
        "NIGHT/HEAD.json",
        "NIGHT/TAIL.json",
        "NIGHT/manifest.csv",
        "NIGHT/failures.csv",
        "NIGHT/files",
        "NIGHT/files/me",
        "NIGHT/files/me/写真",
        "NIGHT/files/me/メモ.txt",
    ] {
        let bench = Bench::new(&simulator, Face::V2);
        assert_eq!(bench.run().await.unwrap().status, Status::Complete);
        let night = bench.shelf().newest().id.to_string();
        let archive = bench.shelf().path().to_owned();
        let outside = bench.folder().join("outside");
        fs::create_dir(&outside).unwrap();
        // What the archive had is now elsewhere, whole and good, and only a link leads there.
        let inside = archive.join(place.replace("NIGHT", &night));
        fs::rename(&inside, outside.join("moved")).unwrap();
        symlink(outside.join("moved"), &inside).unwrap();
        let before = tree_of(&outside);
        let links = |folder: &Path| -> Vec<u64> {
            tree_of(folder)
                .keys()
                .map(|path| fs::symlink_metadata(folder.join(path)).unwrap().nlink())
                .collect()
        };
        let counts = links(&outside);

        let run = bench.run_next_night().await;
        assert_eq!(tree_of(&outside), before, "{place}");
        assert_eq!(
            links(&outside),
            counts,
            "{place}: something outside was linked into the archive"
        );
        if place == ".drivejob" || place == "ARCHIVE.json" {
            assert!(run.is_err(), "{place}: {run:?}");
        } else {
            assert_eq!(run.unwrap().status, Status::Complete, "{place}");
            bench.shelf().assert_holds(&simulator.world(), 0);
            let snapshot = bench.shelf().newest().path;
            for path in tree_of(&snapshot).keys() {
                let kind = fs::symlink_metadata(snapshot.join(path)).unwrap().file_type();
                assert!(!kind.is_symlink(), "{place}: {}", path.display());
            }
        }
        for arguments in [
            &["verify", "archive"][..],
            &["prune", "archive", "--keep-last", "1", "--yes"],
            &["ls", "archive"],
        ] {
            let answer = bench.ask(arguments);
            assert!(
                matches!(answer.code, Some(0..=5)),
                "{place} {arguments:?}: {answer:?}"
            );
            // A link in place of a whole night is as good as no night, and the state is no part of a night.
            if arguments[0] == "verify" && place != "NIGHT" && place != ".drivejob" {
                assert_ne!(
                    answer.code,
                    Some(0),
                    "{place}: a link is no part of an archive: {answer:?}"
                );
            }
            assert_eq!(tree_of(&outside), before, "{place} {arguments:?}");
        }
    }
}
