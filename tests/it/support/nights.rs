//! Runs at a time of the test's choosing, and the program's answers.

use std::sync::Arc;

use drivejob::monitor::Silent;
use drivejob::report::Report;
use drivejob::runner;
use drivejob::sim::{Change, Simulator};
use drivejob::stop::{Clock, Stop};
use jiff::Timestamp;
use serde_json::Value;

use super::Bench;

/// What the program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Bench {
    /// Runs the job in this process at that time.
    pub(crate) async fn run_at(&self, time: &str) -> Result<Report, runner::Error> {
        let time: Timestamp = time.parse().unwrap();
        let mut host = self.host();
        host.clock = Clock::new(move || time);
        runner::run(self.loaded(), &host, Arc::new(Silent), Stop::new()).await
    }

    /// Starts the program with these arguments, in the folder.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Answer {
        let output = self.process().args(arguments).output().unwrap();
        Answer {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Gives a file of `me` new bytes, and a modified time a second later: listings tell whole seconds.
pub(crate) fn touch(simulator: &Simulator, path: &str) {
    let before = modified(simulator, path);
    simulator
        .change(&Change::Touch {
            drive: "me".to_owned(),
            path: path.to_owned(),
            size: None,
            seed: None,
            modified: Some(before + 1000),
        })
        .unwrap();
}

/// When a file of `me` was modified, in milliseconds since 1970.
pub(crate) fn modified(simulator: &Simulator, path: &str) -> i64 {
    simulator.world().read(|world| {
        let found = world.truth(0).find(|entry| entry.path == path);
        found.unwrap().modified
    })
}

/// Adds a file of this text to `me`.
pub(crate) fn add(simulator: &Simulator, path: &str, text: &str) {
    simulator
        .change(&Change::AddText {
            drive: "me".to_owned(),
            path: path.to_owned(),
            text: text.to_owned(),
        })
        .unwrap();
}

/// Takes a file of `me` away.
pub(crate) fn remove(simulator: &Simulator, path: &str) {
    simulator
        .change(&Change::Remove {
            drive: "me".to_owned(),
            path: path.to_owned(),
        })
        .unwrap();
}

/// A simulator whose first member has these files, each with a text of its own.
pub(crate) async fn simulator_with(paths: &[&str]) -> Simulator {
    use drivejob::sim::{Options, World};
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let simulator = Simulator::start(world, Options::default()).await.unwrap();
    for path in paths {
        add(&simulator, path, &format!("what {path} says"));
    }
    simulator
}

/// Makes a link for anyone to an item of `me` through the API, as a client does.
pub(crate) async fn link(simulator: &Simulator, path: &str) {
    let id = simulator.world().read(|world| {
        let node = world.find(0, path).unwrap();
        world.id_of(node)
    });
    let api = &simulator.endpoints().api;
    let answer = reqwest::Client::new()
        .post(format!("{api}/v1.0/users/me/drive/files/{id}/link"))
        .bearer_auth(simulator.token())
        .json(&serde_json::json!({ "accessType": "ANYONE", "linkPermissionType": "DOWNLOAD" }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
}
