//! A run is watched: webhooks, status file, missed slots, figures for Prometheus, and the watchdog.

use std::fs;
use std::sync::{Arc, Mutex};

use drivejob::archive::{Archive, Holder};
use drivejob::report::Status;
use drivejob::sim::{Action, Rule};
use drivejob::watch::read_status;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Bench, Face, add, remove, simulator_with};

/// A small server that hears what a run tells, and answers with 204, or with 404 below `/dead`.
#[derive(Clone, Debug)]
struct Ear {
    address: String,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Ear {
    async fn open() -> Ear {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ear = Ear {
            address: format!("http://{}", listener.local_addr().unwrap()),
            heard: Arc::default(),
        };
        let heard = Arc::clone(&ear.heard);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                let body = loop {
                    let mut block = [0; 4096];
                    let count = stream.read(&mut block).await.unwrap();
                    text.extend_from_slice(&block[..count]);
                    let seen = String::from_utf8_lossy(&text).to_lowercase();
                    let Some(end) = seen.find("\r\n\r\n") else {
                        continue;
                    };
                    let length = seen
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
                        .unwrap_or(0);
                    if text.len() >= end + 4 + length {
                        break text.split_off(end + 4);
                    }
                };
                let head = String::from_utf8(text).unwrap();
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let answer = match path.starts_with("/dead") {
                    true => "404 Not Found",
                    false => "204 No Content",
                };
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                heard.lock().unwrap().push((path, body));
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        ear
    }

    /// What was heard since the last time.
    fn heard(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    fn paths(&self) -> Vec<String> {
        self.heard().into_iter().map(|(path, _)| path).collect()
    }
}

impl Bench {
    /// Tells everything to an ear, under paths named as the keys.
    fn telling(self, ear: &Ear, more: &str) -> Bench {
        let bench = ["START", "SUCCESS", "PARTIAL", "FAILURE", "ALARM"]
            .iter()
            .fold(self, |bench, name| {
                bench.variable(name, &format!("{}/{}", ear.address, name.to_lowercase()))
            });
        bench.table(&format!(
            "[notify]\nstart = {{ env = \"START\" }}\nsuccess = {{ env = \"SUCCESS\" }}\npartial = {{ env = \"PARTIAL\" }}\n\
             failure = [{{ env = \"FAILURE\" }}]\nalarm = {{ env = \"ALARM\" }}\n{more}"
        ))
    }
}

fn forbidden(name: &str) -> Rule {
    let action = Action::Status {
        code: 403,
        headers: Default::default(),
        body: None,
    };
    Rule::new("storage.download", action).about(name).repeated(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn start_and_end_of_each_run_are_told_with_the_summary() {
    let ear = Ear::open().await;
    let simulator = simulator_with(&["/a.txt", "/b.txt"]).await;
    let bench = Bench::new(&simulator, Face::V2).telling(&ear, "");

    let report = bench.run_at("2026-11-21T02:00:00Z").await.unwrap();
    let heard = ear.heard();
    let archive = bench.shelf().path().display().to_string();
    let start = serde_json::json!({
        "event": "start", "kind": "backup", "job": "job", "archive": archive, "status": null,
        "started": "2026-11-21T02:00:00Z", "finished": null, "message": "",
    });
    assert_eq!(heard[0], ("/start".to_owned(), start));
    let mut success = report.to_json();
    success["event"] = "success".into();
    assert_eq!(heard[1], ("/success".to_owned(), success));
    assert_eq!(heard.len(), 2);

    add(&simulator, "/c.txt", "c");
    simulator.faults().add(forbidden("c.txt")).unwrap();
    let report = bench.run_at("2026-11-22T02:00:00Z").await.unwrap();
    assert_eq!(report.status, Status::Partial);
    let heard = ear.heard();
    let mut partial = report.to_json();
    partial["event"] = "partial".into();
    assert_eq!(heard[1], ("/partial".to_owned(), partial));
    assert_eq!((heard[0].0.as_str(), heard.len()), ("/start", 2));
    let record = read_status(bench.shelf().path()).unwrap().job("job");
    assert_eq!(record.told.as_deref(), Some("partial"));
    let last = record.last.unwrap();
    assert_eq!(
        (last.outcome.as_str(), last.snapshot.as_deref()),
        ("partial", Some("2026-11-22T02-00-00Z"))
    );

    simulator.end_access_tokens();
    let error = bench.run_at("2026-11-23T02:00:00Z").await.unwrap_err();
    let heard = ear.heard();
    assert_eq!(
        (heard[0].0.as_str(), heard[1].0.as_str(), heard.len()),
        ("/start", "/failure", 2)
    );
    let told = &heard[1].1;
    assert_eq!(
        (&told["event"], &told["status"]),
        (&"failure".into(), &"failed".into())
    );
    assert!(
        told["message"].as_str().unwrap().starts_with(&error.to_string()),
        "{told}"
    );
    let last = read_status(bench.shelf().path())
        .unwrap()
        .job("job")
        .last
        .unwrap();
    assert_eq!(last.outcome, "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_is_a_warning_and_no_failure() {
    let ear = Ear::open().await;
    let simulator = simulator_with(&["/a.txt"]).await;
    let bench = Bench::new(&simulator, Face::V2)
        .telling(&ear, "")
        .variable("SUCCESS", &format!("{}/dead/secret", ear.address));
    let report = bench.run().await.unwrap();
    assert_eq!(report.status, Status::Complete);
    assert_eq!(ear.paths(), ["/start", "/dead/secret"]);
    let warning = report
        .warnings
        .iter()
        .find(|warning| warning.contains("404"))
        .unwrap();
    assert!(
        warning.starts_with("the success was not told") && !warning.contains("secret"),
        "{warning}"
    );
    let failure = read_status(bench.shelf().path())
        .unwrap()
        .job("job")
        .notify_failure
        .unwrap();
    assert_eq!(failure.event, "success");
    assert!(
        failure.message.contains("404") && !failure.message.contains("secret"),
        "{failure:?}"
    );
    let text = bench.ask(&["status", "archive"]).out;
    assert!(text.contains("not told  success of job"), "{text}");

    // An address that cannot be looked up is known at once, not in the night it is needed.
    let bench = Bench::new(&simulator, Face::V2).table("[notify]\nfailure = { env = \"NOBODY_SET_IT\" }");
    let report = bench.run().await.unwrap();
    assert_eq!(report.status, Status::Complete);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("NOBODY_SET_IT")),
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_with_changes_only_news_are_told() {
    let ear = Ear::open().await;
    let simulator = simulator_with(&["/a.txt"]).await;
    let bench = Bench::new(&simulator, Face::V2).telling(&ear, "repeat = \"changes\"");
    let mut ends = Vec::new();
    for day in 1..=6 {
        match day {
            3 => {
                add(&simulator, "/c.txt", "c");
                simulator.faults().add(forbidden("c.txt")).unwrap();
            }
            5 => remove(&simulator, "/c.txt"),
            _ => {}
        }
        bench.run_at(&format!("2026-11-0{day}T02:00:00Z")).await.unwrap();
        ends.push(
            ear.paths()
                .into_iter()
                .filter(|path| path != "/start")
                .collect::<Vec<_>>(),
        );
    }
    let expected: [&[&str]; 6] = [&["/success"], &[], &["/partial"], &[], &["/success"], &[]];
    assert_eq!(ends, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_missed_nights_are_reported_by_the_next_run() {
    let ear = Ear::open().await;
    let simulator = simulator_with(&["/a.txt"]).await;
    let bench = Bench::new(&simulator, Face::V2)
        .key("every", "\"1d\"")
        .telling(&ear, "");
    bench.run_at("2026-11-20T02:00:00Z").await.unwrap();
    let on_time = bench.run_at("2026-11-21T04:00:00Z").await.unwrap();
    assert_eq!(on_time.warnings, Vec::<String>::new());
    ear.heard();
    let late = bench.run_at("2026-11-24T02:00:00Z").await.unwrap();
    assert!(
        late.warnings[0].starts_with("2 runs were missed"),
        "{:?}",
        late.warnings
    );
    let heard = ear.heard();
    assert_eq!(heard[0].1["event"], "late");
    assert_eq!(
        (heard[0].0.as_str(), heard[1].0.as_str(), heard[2].0.as_str()),
        ("/alarm", "/start", "/success")
    );
    assert_eq!(heard[1].1["message"], late.warnings[0]);
    assert_eq!(
        read_status(bench.shelf().path())
            .unwrap()
            .job("job")
            .last
            .unwrap()
            .missed,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_for_prometheus_are_written_however_a_run_ends() {
    let simulator = simulator_with(&["/a.txt", "/b.txt"]).await;
    let bench = Bench::new(&simulator, Face::V2).key("textfile", "\"drivejob.prom\"");
    let path = bench.folder().join("drivejob.prom");
    let value = |name: &str| -> Option<String> {
        let text = fs::read_to_string(&path).unwrap();
        let found = text
            .lines()
            .find(|line| line.starts_with(name))?
            .rsplit_once(' ')?;
        Some(found.1.to_owned())
    };
    let began: jiff::Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
    let began_second = began.as_second().to_string();
    let complete = "drivejob_last_run_state{job_file=\"job\",kind=\"backup\",state=\"complete\"}";
    let failed = "drivejob_last_run_state{job_file=\"job\",kind=\"backup\",state=\"failed\"}";
    bench.run_at("2026-11-21T02:00:00Z").await.unwrap();
    assert_eq!(value(complete).as_deref(), Some("1"));
    assert_eq!(value("drivejob_files{").as_deref(), Some("2"));
    assert_eq!(
        value("drivejob_newest_complete_timestamp_seconds").as_deref(),
        Some(began_second.as_str())
    );

    simulator.end_access_tokens();
    bench.run_at("2026-11-22T02:00:00Z").await.unwrap_err();
    assert_eq!(
        (value(complete).as_deref(), value(failed).as_deref()),
        (Some("0"), Some("1"))
    );
    assert_eq!(
        value("drivejob_newest_complete_timestamp_seconds").as_deref(),
        Some(began_second.as_str())
    );
    let names: Vec<_> = fs::read_dir(bench.folder())
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("prom"))
        .collect();
    assert_eq!(names, ["drivejob.prom"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_which_nothing_moves_is_stopped_and_told_as_a_failure() {
    let ear = Ear::open().await;
    let simulator = simulator_with(&["/a.txt"]).await;
    let stall = Action::Delay {
        milliseconds: 600_000,
    };
    simulator
        .faults()
        .add(Rule::new("drive.list-root", stall))
        .unwrap();
    let bench = Bench::new(&simulator, Face::V2)
        .limit("timeout", "\"10m\"")
        .limit("stall-after", "\"1s\"")
        .telling(&ear, "");
    let report = bench.run().await.unwrap();
    assert_eq!(report.status, Status::Interrupted);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("nothing moved")),
        "{report:?}"
    );
    assert_eq!(ear.paths(), ["/start", "/failure"]);
    simulator.faults().clear();
    let next = bench.run().await.unwrap();
    assert_eq!((next.status, next.resumed), (Status::Complete, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_the_lock_is_noted_unless_another_has_it() {
    let ear = Ear::open().await;
    let simulator = simulator_with(&["/a.txt"]).await;
    let bench = Bench::new(&simulator, Face::V2).telling(&ear, "");
    bench.run().await.unwrap();
    ear.heard();

    // It ends before it comes to the lock.
    let tenant = fs::read_to_string(bench.folder().join("tenant.toml")).unwrap();
    bench.write(
        "tenant.toml",
        &tenant.replace("DRIVEJOB_SIM_TOKEN", "NOBODY_SET_IT"),
    );
    bench.run().await.unwrap_err();
    assert_eq!(ear.paths(), ["/failure"]);
    let status = || read_status(bench.shelf().path()).unwrap();
    let last = status().job("job").last.unwrap();
    assert_eq!(last.outcome, "failed");
    assert!(last.message.unwrap().contains("NOBODY_SET_IT"));

    let job = "kind = \"verify\"\narchive = \"archive\"\n[notify]\nsuccess = { env = \"SUCCESS\" }\n";
    bench.write("check.toml", job);
    assert_eq!(bench.ask(&["run", "check.toml"]).code, Some(0));
    assert_eq!(status().job("check").last.unwrap().outcome, "complete");
    assert_eq!(ear.paths(), ["/success"]);
    let holder = Holder {
        pid: 4711,
        host: "nas-7".to_owned(),
        since: jiff::Timestamp::UNIX_EPOCH,
        job: "nightly".to_owned(),
    };
    let archive = Archive::open(bench.shelf().path()).unwrap();
    let _lock = archive.lock(&holder).unwrap();
    let before = status();
    assert_eq!(bench.ask(&["run", "check.toml"]).code, Some(0));
    assert_eq!((status(), ear.paths()), (before, vec!["/success".to_owned()]));
}
