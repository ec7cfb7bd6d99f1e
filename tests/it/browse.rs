//! `snapshots`, `ls`, `find` and `status`, through the program.

use crate::support::{Bench, Face, add, remove, simulator_with};

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_tells_what_it_has() {
    let simulator = simulator_with(&["/報告/売上.xlsx", "/報告/old.txt", "/a.txt"]).await;
    let bench = Bench::new(&simulator, Face::V2).key("archive", "\"nas@home\"");
    bench.run_at("2026-11-21T02:00:00Z").await.unwrap();
    remove(&simulator, "/報告/old.txt");
    add(&simulator, "/報告/new\u{1b}.txt", "new");
    bench.run_at("2026-11-22T02:00:00Z").await.unwrap();

    let answer = bench.ask(&["snapshots", "nas@home"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let lines: Vec<Vec<&str>> = answer
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[1][..5],
        ["2026-11-21T02-00-00Z", "complete", "backup", "job", "3"]
    );
    assert_eq!(
        lines[2][..5],
        ["2026-11-22T02-00-00Z", "complete", "backup", "job", "3"]
    );
    let json = bench.ask(&["snapshots", "nas@home", "--json"]).json();
    assert_eq!(json["snapshots"][1]["files"], 3);

    let names = |words: &[&str]| -> Vec<String> {
        let answer = bench.ask(words);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let json = answer.json();
        let items = json["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&["ls", "nas@home", "/", "--json"]), ["a.txt", "報告"]);
    assert_eq!(
        names(&["ls", "nas@home", "me:/報告", "--json"]),
        ["new\u{1b}.txt", "売上.xlsx"]
    );
    for before in ["nas@home@2026-11-21", "nas@home@2026-11-21T02-00-00Z"] {
        assert_eq!(
            names(&["ls", before, "/報告", "--json"]),
            ["old.txt", "売上.xlsx"]
        );
    }
    let text = bench.ask(&["ls", "nas@home", "/報告"]);
    assert!(
        text.out.contains("new\\u{1b}.txt") && !text.out.contains('\u{1b}'),
        "{}",
        text.out
    );
    let drives = bench.ask(&["ls", "nas@home"]);
    assert!(
        drives.out.lines().count() == 2 && drives.out.contains("me"),
        "{}",
        drives.out
    );

    let found = bench.ask(&["find", "nas@home", "*.TXT", "--json"]).json();
    let found: Vec<(&str, u64)> = found["matches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["path"].as_str().unwrap(), one["nights"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        found,
        [("/a.txt", 2), ("/報告/new\u{1b}.txt", 1), ("/報告/old.txt", 1)]
    );
    let one = bench.ask(&["find", "nas@home@2026-11-22", "/報告/**"]);
    assert_eq!(one.out.lines().count(), 3, "{}", one.out);
    assert_eq!(bench.ask(&["find", "nas@home", "nothing*"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_with_a_way_out() {
    let simulator = simulator_with(&["/a.txt"]).await;
    let bench = Bench::new(&simulator, Face::V2);
    bench.run().await.unwrap();
    for (words, code, word) in [
        (&["ls", "archive", "/b"][..], 1, "has no '/b'"),
        (&["ls", "archive", "users/1:/"], 1, "has no 'users/1"),
        (
            &["ls", "archive@2001-01-01"],
            2,
            "there is no snapshot '2001-01-01'",
        ),
        (&["ls", "archive@tuesday"], 2, "@2026-11-23"),
        (&["snapshots", "archive@latest"], 2, "whole archive"),
        (&["snapshots", "nowhere"], 2, "not an archive"),
        (&["find", "archive", "a[b"], 2, "glob"),
        (&["verify", "archive", "--sample", "200%"], 2, "such as 2%"),
        (&["status", "archive", "--max-age", "soon"], 2, "such as 26h"),
        (
            &["prune", "archive", "--keep-last", "1", "--time-zone", "Mars"],
            2,
            "Asia/Tokyo",
        ),
    ] {
        let answer = bench.ask(words);
        assert_eq!(answer.code, Some(code), "{words:?} {answer:?}");
        assert!(answer.err.contains(word), "{words:?} {}", answer.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_learns_the_age_of_the_newest_complete_snapshot() {
    let simulator = simulator_with(&["/a.txt"]).await;
    let bench = Bench::new(&simulator, Face::V2);
    let began = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(30);
    bench.run_at(&began.to_string()).await.unwrap();
    for (age, code, word) in [("26h", 5, "too-old"), ("31h", 0, "fresh")] {
        let answer = bench.ask(&["status", "archive", "--max-age", age, "--json"]);
        assert_eq!(answer.code, Some(code), "{answer:?}");
        let json = answer.json();
        assert_eq!(json["freshness"], word);
        let hours = json["age_seconds"].as_u64().unwrap() / 3600;
        assert_eq!(hours, 30);
        assert_eq!(json["jobs"]["job"]["last"]["outcome"], "complete");
        assert_eq!(json["running"], serde_json::Value::Null);
    }
    let text = bench.ask(&["status", "archive", "--max-age", "26h"]);
    assert!(text.out.starts_with("TOO OLD"), "{}", text.out);
    assert_eq!(bench.ask(&["status", "archive"]).code, Some(0));
}
