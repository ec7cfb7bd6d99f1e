//! A disk that takes nothing more: one clear error, and the run goes on when it does.

use std::fs;
use std::process::Command;

use drivejob::sim::{Change, Options};

use crate::support::lab::{Lab, small_world};
use crate::support::{Bench, Shelf, tree_of};

/// Bytes of a mebibyte.
const MIB: u64 = 1024 * 1024;

/// Runs a script that has a mount namespace of its own. `None`, with a word on why, where this system gives none.
fn in_a_namespace(bench: &Bench, script: &str) -> Option<String> {
    let possible = Command::new("unshare")
        .args([
            "--mount",
            "--map-root-user",
            "mount",
            "-t",
            "tmpfs",
            "tmpfs",
            "/mnt",
        ])
        .output();
    if !possible.as_ref().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no file system can be mounted here: {possible:?}");
        return None;
    }
    fs::create_dir_all(bench.shelf().path()).unwrap();
    let environment = bench.process();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .env_clear()
        .envs(
            environment
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("DRIVEJOB", environment.get_program())
        .current_dir(bench.folder());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    Some(said)
}

/// Errors that a program told.
fn errors(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("error")).count()
}

#[test]
fn a_full_disk_is_a_clear_error_and_the_run_goes_on_when_there_is_room() {
    let mut world = small_world(40);
    for number in 0..12 {
        let change = Change::AddFile {
            drive: "me".to_owned(),
            path: format!("/large/{number}.bin"),
            size: MIB + number,
            seed: number,
            modified: None,
        };
        world.apply(&change, 1_711_929_600_000).unwrap();
    }
    let lab = Lab::new(world, Options::default());
    let bench = lab.bounded();
    let job = fs::read_to_string(bench.job_file()).unwrap();
    bench.write(
        "small.toml",
        &format!("{job}\n[filter]\nexclude = [\"/large/**\"]\n"),
    );
    let Some(said) = in_a_namespace(
        &bench,
        r#"
        mount -t tmpfs -o size=8m tmpfs archive || exit 99
        "$DRIVEJOB" run small.toml >/dev/null 2>first.txt; echo "first=$?"
        cp -a archive after-first
        "$DRIVEJOB" run job.toml >/dev/null 2>full.txt; echo "full=$?"
        cp -a archive after-full
        "$DRIVEJOB" run job.toml >/dev/null 2>still-full.txt; echo "still=$?"
        mount -o remount,size=64m archive || exit 99
        "$DRIVEJOB" run --json job.toml >room.json 2>room.txt; echo "room=$?"
        cp -a archive after-room
        "#,
    ) else {
        return;
    };
    let read = |name: &str| fs::read_to_string(bench.folder().join(name)).unwrap();
    assert_eq!(
        said.trim(),
        "first=0\nfull=1\nstill=1\nroom=0",
        "{} {} {} {}",
        read("first.txt"),
        read("full.txt"),
        read("still-full.txt"),
        read("room.txt")
    );
    for name in ["full.txt", "still-full.txt"] {
        let text = read(name);
        assert_eq!(errors(&text), 1, "{text}");
        assert!(
            text.contains("No space left on device") || text.contains("full"),
            "{text}"
        );
    }
    let shelf = |name: &str| Shelf::open(bench.folder().join(name));
    let night = shelf("after-first").newest();
    for name in ["after-full", "after-room"] {
        assert_eq!(
            tree_of(&bench.folder().join(name).join(night.id.as_str())),
            tree_of(&night.path),
            "{name}"
        );
    }
    assert_eq!(shelf("after-full").snapshots().len(), 1);
    shelf("after-room").assert_holds(&lab.world(), 0);
    let report: serde_json::Value = serde_json::from_str(&read("room.json")).unwrap();
    assert_eq!(report["resumed"], true);
    assert_eq!(report["warnings"], serde_json::json!([]));
}

#[test]
fn a_read_only_archive_is_one_clear_error() {
    let lab = Lab::new(small_world(20), Options::default());
    let bench = lab.bounded();
    bench.job_file();
    let Some(said) = in_a_namespace(
        &bench,
        r#"
        mount -t tmpfs -o size=32m tmpfs archive || exit 99
        "$DRIVEJOB" run job.toml >/dev/null 2>&1; echo "first=$?"
        mount -o remount,ro archive || exit 99
        "$DRIVEJOB" run job.toml >out.txt 2>read-only.txt; echo "read-only=$?"
        mount -o remount,rw archive || exit 99
        "$DRIVEJOB" run job.toml >/dev/null 2>&1; echo "again=$?"
        "#,
    ) else {
        return;
    };
    let text = fs::read_to_string(bench.folder().join("read-only.txt")).unwrap();
    assert_eq!(said.trim(), "first=0\nread-only=1\nagain=0", "{text}");
    assert_eq!(errors(&text), 1, "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
    assert_eq!(lab.downloads(), 20, "nothing is asked for that cannot be stored");
}
