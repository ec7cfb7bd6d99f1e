//! The program as people and schedulers meet it: whole outputs and exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use drivejob::archive::{Archive, Holder};
use drivejob::sim::{Action, Options, Rule, Simulator, World};
use jiff::Timestamp;
use serde_json::Value;

use crate::support::{Bench, Face};

/// What a command printed, and how it ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

fn call(bench: &Bench, arguments: &[&str]) -> Ended {
    let output = bench.program().args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .unwrap()
            .replace(bench.folder().to_str().unwrap(), "$DIR")
    };
    Ended {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Log lines without their time.
fn untimed(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("Z  ") {
        Some((time, rest)) if time.len() == 19 => rest,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

async fn served(world: World) -> (Simulator, Bench) {
    let simulator = Simulator::start(world, Options::default()).await.unwrap();
    let bench = Bench::new(&simulator, Face::V2);
    bench.job_file();
    (simulator, bench)
}

#[test]
fn help_names_the_commands_and_the_exit_codes() {
    let bench = Bench::empty();
    let help = call(&bench, &["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    for word in [
        "run",
        "check",
        "schema",
        "simulate",
        "--log-format",
        "--json",
        "--version",
    ] {
        let is_there = help.stdout.contains(word) || call(&bench, &["run", "--help"]).stdout.contains(word);
        assert!(is_there, "{word}: {}", help.stdout);
    }
    let run = call(&bench, &["run", "--help"]).stdout;
    assert!(run.contains("  130  interrupted, continues next time"), "{run}");
    assert_eq!(
        call(&bench, &["--version"]).stdout,
        format!("drivejob {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(call(&bench, &["bakup"]).code, 2);
    assert_eq!(call(&bench, &["run"]).code, 2);
}

#[test]
fn check_says_file_line_and_key() {
    let table: [(&str, &str); 6] = [
        (
            "kind = \"backup\"\narchive = \"a\"\ndrives = [\"me\"]\ntennant = \"t.toml\"\n",
            "job.toml:4:1: key 'tennant'",
        ),
        ("kind = \"bakup\"\narchive = \"a\"\n", "job.toml:1:8: key 'kind'"),
        (
            "kind = \"backup\"\narchive = 5\ndrives = [\"me\"]\n",
            "job.toml:2:11: key 'archive'",
        ),
        (
            "kind = \"backup\"\narchive = \"a\"\ndrives = [\"you\"]\n",
            "job.toml:3:",
        ),
        (
            "kind = \"backup\"\narchive = \"a\"\ndrives = [\"me\"]\n[limits]\ntimeout = \"soon\"\n",
            "job.toml:5:11: key 'limits.timeout'",
        ),
        ("kind = \n", "job.toml:1:"),
    ];
    for (text, expected) in table {
        let bench = Bench::empty();
        bench.write("job.toml", text);
        let ended = call(&bench, &["check", "job.toml"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{text}");
        assert!(ended.stderr.contains(expected), "{text}{}", ended.stderr);
        assert_eq!(call(&bench, &["run", "job.toml"]).code, 2, "{text}");
        let json = call(&bench, &["check", "--json", "job.toml"]);
        let facts: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!((json.code, &facts["good"]), (2, &Value::Bool(false)));
    }
    let bench = Bench::empty();
    bench.write("t.toml", "api = \"v2\"\n[auth]\ntoken = \"kr1AAAAsecret\"\n");
    let ended = call(&bench, &["check", "t.toml"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.starts_with("t.toml:3:") && !ended.stderr.contains("kr1AAAAsecret"),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_cannot_begin_say_why_and_change_nothing() {
    let (simulator, bench) = served(World::demo()).await;
    let missing = call(&bench, &["run", "absent.toml"]);
    assert_eq!(missing.code, 2);
    assert!(
        missing
            .stderr
            .contains("error: absent.toml cannot be read\n  caused by: No such file or directory"),
        "{}",
        missing.stderr
    );

    // A folder that is somebody else's is not touched.
    fs::create_dir(bench.folder().join("archive")).unwrap();
    fs::write(bench.folder().join("archive/thesis.txt"), "mine").unwrap();
    let foreign = call(&bench, &["run", "job.toml"]);
    assert_eq!((foreign.code, foreign.stdout.as_str()), (1, ""));
    let message = "error: archive is not an archive: it has no ARCHIVE.json\n  \
                   hint: name an archive folder, or a new or empty folder for a new archive\n";
    assert_eq!(untimed(&foreign.stderr), format!("INFO preparing\n{message}"));
    assert_eq!(fs::read_dir(bench.folder().join("archive")).unwrap().count(), 1);
    fs::remove_dir_all(bench.folder().join("archive")).unwrap();

    // A variable that is not set is named by the key that refers to it.
    let output = bench
        .program()
        .env_remove("DRIVEJOB_SIM_TOKEN")
        .args(["run", "job.toml"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text.contains("auth.token: environment variable DRIVEJOB_SIM_TOKEN: it is not set"),
        "{text}"
    );

    // Root may read everything, so only others can be kept out.
    let secret = bench.write("unreadable.toml", "kind = \"backup\"\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(call(&bench, &["run", "unreadable.toml"]).code, 2);
    assert_eq!(simulator.calls().total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_archive_is_left_alone_and_its_holder_named() {
    let (simulator, bench) = served(World::demo()).await;
    let archive = Archive::create(bench.folder().join("archive"), "").unwrap();
    let holder = Holder {
        pid: 4711,
        host: "nas".to_owned(),
        since: Timestamp::UNIX_EPOCH,
        job: "nightly".to_owned(),
    };
    let _lock = archive.lock(&holder).unwrap();
    let ended = call(&bench, &["run", "job.toml"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (4, ""));
    for word in ["4711", "nas", "nightly", "1970-01-01T00:00:00Z"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    assert_eq!(simulator.calls().total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_a_pipe_says_little_and_json_says_what_the_tail_says() {
    let (_simulator, bench) = served(World::demo()).await;
    let ended = call(&bench, &["run", "job.toml"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        !ended.stderr.contains('\u{1b}') && !ended.stderr.contains('\r'),
        "{:?}",
        ended.stderr
    );
    let snapshot = bench.shelf().newest().id.to_string();
    let lines: Vec<String> = ended
        .stdout
        .replace(&snapshot, "$SNAPSHOT")
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(lines[0], "backup complete");
    assert_eq!(
        lines[1],
        "  stored    25 files, 5.9 MiB (25 new, 0 unchanged), 8 folders"
    );
    assert_eq!(
        lines[2],
        "  quota     5.9 MiB in use in 1 drive by the service's count, 5.9 MiB listed"
    );
    assert!(
        lines[3].starts_with("  calls     60 in ")
            && lines[3].ends_with(", 0 refused for the rate, 0 repeated")
    );
    assert_eq!(lines[4], "  archive   archive/$SNAPSHOT");
    assert_eq!(lines.len(), 5);
    assert!(
        untimed(&ended.stderr).starts_with("INFO preparing\n"),
        "{}",
        ended.stderr
    );

    let ended = call(&bench, &["run", "--json", "job.toml"]);
    let facts: Value = serde_json::from_str(&ended.stdout).unwrap();
    let tail: Value =
        serde_json::from_slice(&fs::read(bench.shelf().newest().path.join("TAIL.json")).unwrap()).unwrap();
    assert_eq!((ended.code, &facts["status"]), (0, &tail["status"]));
    assert_eq!(
        (&facts["rows"], &facts["outcomes"]),
        (&tail["totals"]["rows"], &tail["totals"]["outcomes"])
    );
    assert_eq!(facts["coverage"], tail["coverage"]);
    assert_eq!(facts["snapshot"], bench.shelf().newest().id.as_str());
    for (operation, count) in tail["calls"].as_object().unwrap() {
        assert_eq!(&facts["calls"][operation]["sent"], count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_a_partial_run_has_its_own_exit_code() {
    let (simulator, bench) = served(World::demo()).await;
    let denied = Action::Status {
        code: 403,
        headers: Default::default(),
        body: None,
    };
    simulator
        .faults()
        .add(Rule::new("drive.download", denied).about("メモ.txt").repeated(0))
        .unwrap();
    let ended = call(&bench, &["run", "job.toml"]);
    assert_eq!(ended.code, 3);
    assert!(
        ended
            .stdout
            .starts_with("backup PARTIAL: not everything is stored\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("  failed    1\n            me:/メモ.txt (denied)\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(
        call(&bench, &["run", "--partial-exit-code", "42", "job.toml"]).code,
        42
    );
    assert_eq!(
        call(&bench, &["run", "--partial-exit-code", "0", "job.toml"]).code,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_goes_on() {
    let (simulator, bench) = served(World::demo()).await;
    let slow = Action::SlowDrip {
        bytes_per_second: 30_000,
    };
    simulator
        .faults()
        .add(
            Rule::new("storage.download", slow)
                .about("会社案内.pptx")
                .repeated(0),
        )
        .unwrap();
    let child = bench
        .process()
        .args(["run", "job.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // All but the slow one are through, and it is under way.
    while simulator.calls().of("storage.download") < 25 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap())
        .await
        .unwrap();
    assert_eq!(
        ended.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(
        text.starts_with("backup interrupted, continues next time\n"),
        "{text}"
    );
    assert_eq!(bench.shelf().snapshots().len(), 0);

    simulator.faults().clear();
    simulator.reset_calls();
    assert_eq!(call(&bench, &["run", "job.toml"]).code, 0);
    bench.shelf().assert_holds(&simulator.world(), 0);
    assert_eq!(
        simulator.calls().of("storage.download"),
        1,
        "only what was under way is fetched again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_any_more_ends_no_run() {
    let (_simulator, bench) = served(World::demo()).await;
    let mut child = bench
        .process()
        .args(["-v", "run", "job.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let ended = child.wait_with_output().unwrap();
    let out = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{out}");
    assert!(out.starts_with("backup complete\n"), "{out}");
    assert!(bench.shelf().newest().is_complete());
}
