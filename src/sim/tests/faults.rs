//! Every kind of fault, seen from the other end of the connection.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Caller, header, id, start};
use crate::sim::{Action, GeneratedSpec, Names, Options, Rule, Simulator, Sizes, World};

/// Bytes of each file of the test's world.
const SIZE: usize = 300_000;

fn world() -> World {
    World::generated(&GeneratedSpec {
        files: 30,
        folders: 0,
        sizes: Sizes::Fixed(SIZE as u64),
        names: Names::Plain,
        ..GeneratedSpec::default()
    })
}

/// What a call came to: status, whether the body came as declared, its bytes.
#[derive(Debug)]
struct Outcome {
    status: u16,
    whole: bool,
    bytes: Vec<u8>,
    response_headers: Vec<(String, String)>,
}

impl Outcome {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        let found = self.response_headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

async fn outcome(request: RequestBuilder) -> Outcome {
    let mut found = Outcome {
        status: 0,
        whole: false,
        bytes: Vec::new(),
        response_headers: Vec::new(),
    };
    let Ok(mut response) = request.send().await else {
        return found;
    };
    found.status = response.status().as_u16();
    found.response_headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    loop {
        match tokio::time::timeout(Duration::from_millis(1_500), response.chunk()).await {
            Ok(Ok(Some(bytes))) => found.bytes.extend_from_slice(&bytes),
            Ok(Ok(None)) => {
                found.whole = true;
                return found;
            }
            Ok(Err(_)) | Err(_) => return found,
        }
    }
}

/// A fault on a download, and what must be seen of it.
#[tokio::test]
async fn faults_of_downloads() {
    type Check = fn(&Outcome) -> bool;
    let table: Vec<(Action, Check)> = vec![
        (
            Action::Status {
                code: 503,
                headers: [("Retry-After".to_owned(), "7".to_owned())].into(),
                body: Some("busy".to_owned()),
            },
            |seen| seen.status == 503 && seen.header("retry-after") == "7" && seen.bytes == b"busy",
        ),
        (Action::Delay { milliseconds: 1 }, |seen| {
            seen.whole && seen.bytes.len() == SIZE
        }),
        (Action::ResetBeforeHeaders, |seen| seen.status == 0),
        (Action::ResetAfterBytes { bytes: 1_000 }, |seen| {
            seen.status == 200 && !seen.whole && seen.bytes.len() == 1_000
        }),
        (Action::StallAfterBytes { bytes: 1_000 }, |seen| {
            seen.status == 200 && !seen.whole && seen.bytes.len() == 1_000
        }),
        (
            Action::SlowDrip {
                bytes_per_second: 1_000_000,
            },
            |seen| seen.whole && seen.bytes.len() == SIZE,
        ),
        (Action::WrongLength { by: 10 }, |seen| {
            !seen.whole && seen.bytes.len() == SIZE && seen.header("content-length") == "300010"
        }),
        (Action::WrongLength { by: -10 }, |seen| {
            seen.whole && seen.bytes.len() == SIZE - 10
        }),
        (Action::ShortCleanEnd { bytes: 5_000 }, |seen| {
            seen.whole && seen.bytes.len() == 5_000
        }),
        (Action::ExtraBytes { bytes: 9 }, |seen| {
            seen.whole && seen.bytes.len() == SIZE + 9 && seen.bytes.ends_with(b"!!!!!!!!!")
        }),
        (Action::Html200, |seen| {
            seen.status == 200 && seen.header("content-type").starts_with("text/html")
        }),
        (
            Action::Json200 {
                body: "{\"a\":1}".to_owned(),
            },
            |seen| seen.json() == json!({"a": 1}),
        ),
        (Action::CorruptGzip, |seen| seen.status == 200 && !seen.whole),
        (
            Action::WrongContentType {
                content_type: "image/png".to_owned(),
            },
            |seen| seen.header("content-type") == "image/png" && seen.bytes.len() == SIZE,
        ),
        (Action::ExpiredToken, |seen| {
            seen.status == 401 && seen.json()["code"] == "UNAUTHORIZED"
        }),
        (Action::ExpiredUrl { code: 410 }, |seen| seen.status == 410),
        (
            Action::RedirectTo {
                url: "http://127.0.0.1:1/x".to_owned(),
            },
            |seen| seen.status == 302 && seen.header("location") == "http://127.0.0.1:1/x",
        ),
        (Action::RedirectLoop, |seen| {
            seen.status == 302 && seen.header("location").starts_with("/k1/")
        }),
        (Action::LostAnswer, |seen| seen.status == 0),
        (Action::Vanish, |seen| seen.status == 404),
    ];
    for (action, check) in table {
        let (simulator, caller) = start(world(), Options::default()).await;
        let name = "file-000003.pdf";
        let location = caller.location(&id(&simulator, "/file-000003.pdf")).await;
        let other = caller.location(&id(&simulator, "/file-000004.zip")).await;
        simulator
            .faults()
            .add(Rule::new("storage.download", action.clone()).about(name))
            .unwrap();
        assert_eq!(outcome(caller.get(&other)).await.bytes.len(), SIZE, "{action:?}");
        assert_eq!(simulator.faults().unreached().len(), 1);
        let seen = outcome(caller.get(&location)).await;
        assert!(
            check(&seen),
            "{action:?}: {} {} {}",
            seen.status,
            seen.whole,
            seen.bytes.len()
        );
        assert!(simulator.faults().unreached().is_empty());
        // Once is once: afterwards it works, or the item is gone.
        let after = outcome(caller.get(&location)).await;
        assert_eq!(
            after.whole && after.bytes.len() == SIZE,
            action != Action::Vanish,
            "{action:?}"
        );
    }
}

async fn list(caller: &Caller, cursor: Option<&str>) -> Outcome {
    let cursor = cursor.map_or_else(String::new, |cursor| {
        format!("&cursor={}", crate::sim::form::encode(cursor))
    });
    outcome(caller.get(&format!("/users/me/drive/files?count=10{cursor}"))).await
}

fn next(page: &Value) -> Option<String> {
    page["responseMetaData"]["nextCursor"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn faults_inside_lists() {
    type Check = fn(&Outcome, &Value) -> bool;
    let name = || "fileSize".to_owned();
    let table: Vec<(Action, Check)> = vec![
        (Action::DuplicateItems, |_, page| {
            page["files"].as_array().unwrap().len() == 20
        }),
        (Action::NoNextCursorOnFullPage, |_, page| {
            next(page).is_none() && page["files"].as_array().unwrap().len() == 10
        }),
        (Action::MissingField { name: name() }, |_, page| {
            page["files"][0].get("fileSize").is_none() && page["files"][1].get("fileSize").is_some()
        }),
        (Action::NullField { name: name() }, |_, page| {
            page["files"][0].get("fileSize") == Some(&Value::Null)
        }),
        (Action::WrongType { name: name() }, |_, page| {
            page["files"][0]["fileSize"].is_string()
        }),
        (Action::HugeNumber { name: name() }, |seen, _| {
            String::from_utf8_lossy(&seen.bytes)
                .contains("\"fileSize\":123456789012345678901234567890123456789012345,")
        }),
        (Action::DeepNesting { levels: 5_000 }, |seen, _| {
            String::from_utf8_lossy(&seen.bytes).contains(&"[".repeat(5_000))
        }),
        (Action::NamelessItem, |_, page| {
            page["files"][0].get("fileName").is_none() && page["files"][1].get("fileName").is_some()
        }),
    ];
    for (action, check) in table {
        let (simulator, caller) = start(world(), Options::default()).await;
        simulator
            .faults()
            .add(Rule::new("drive.list-root", action.clone()).about("/"))
            .unwrap();
        let seen = list(&caller, None).await;
        assert!(
            check(&seen, &seen.json()),
            "{action:?} {}",
            String::from_utf8_lossy(&seen.bytes)
        );
        assert!(next(&list(&caller, None).await.json()).is_some());
    }
}

#[tokio::test]
async fn cursors_that_lead_astray_and_lists_that_change() {
    let (simulator, caller) = start(world(), Options::default()).await;
    let add = |action: Action| {
        simulator
            .faults()
            .add(Rule::new("drive.list-root", action))
            .unwrap()
    };
    let first = list(&caller, None).await.json();
    let second = next(&first).unwrap();

    add(Action::RepeatCursor);
    let repeated = list(&caller, Some(&second)).await.json();
    assert_eq!(next(&repeated).as_ref(), Some(&second));
    simulator.faults().clear();
    add(Action::ForeignCursor);
    let foreign = next(&list(&caller, None).await.json()).unwrap();
    assert_eq!(list(&caller, Some(&foreign)).await.status, 400);
    simulator.faults().clear();

    add(Action::MutateListing {
        add: Some("new.txt".to_owned()),
        remove: Some("file-000001.docx".to_owned()),
    });
    let mut names = Vec::new();
    let mut cursor = None;
    loop {
        let page = list(&caller, cursor.as_deref()).await.json();
        names.extend(
            page["files"]
                .as_array()
                .unwrap()
                .iter()
                .map(|file| file["fileName"].as_str().unwrap().to_owned()),
        );
        cursor = next(&page);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 31);
    assert!(names.contains(&"file-000001.docx".to_owned()) && names.contains(&"new.txt".to_owned()));
    names.dedup();
    assert_eq!(names.len(), 31);
}

/// Does the work of a call whose answer is lost.
#[tokio::test]
async fn a_lost_answer_has_done_its_work() {
    let (simulator, caller) = start(world(), Options::default()).await;
    simulator
        .faults()
        .add(Rule::new("drive.create-folder-root", Action::LostAnswer))
        .unwrap();
    let make = || caller.post("/users/me/drive/files/createfolder", &json!({"fileName": "made"}));
    assert!(make().send().await.is_err());
    assert!(simulator.world().read(|world| world.find(0, "/made").is_some()));
    assert_eq!(make().send().await.unwrap().status(), 409);
    assert_eq!(simulator.calls().with_status("drive.create-folder-root", 0), 1);
}

#[tokio::test]
async fn faults_of_the_classic_generation() {
    let (simulator, caller) = start(world(), Options::default()).await;
    let address = |simulator: &Simulator, offset: usize| {
        let api = &simulator.endpoints().api;
        let path =
            format!("{api}/r/kr1simulator/drive/rl/24101/v2/files/root/children?limit=10&offset={offset}");
        caller.get(&path).header("consumerKey", "sim-consumer-key")
    };
    for (action, count, more) in [
        (Action::RepeatCursor, 0, true),
        (Action::NoNextCursorOnFullPage, 10, false),
        (Action::DuplicateItems, 20, true),
    ] {
        simulator.faults().add(Rule::new("classic.list", action)).unwrap();
        let page = outcome(address(&simulator, 0)).await.json();
        assert_eq!(
            (page["items"].as_array().unwrap().len(), page["hasMore"].as_bool()),
            (count, Some(more))
        );
        simulator.faults().clear();
    }
    simulator
        .faults()
        .add(Rule::new("classic.list", Action::ExpiredToken))
        .unwrap();
    let seen = outcome(address(&simulator, 0)).await;
    assert_eq!(
        (seen.status, seen.json()["errorCode"].as_str()),
        (401, Some("024"))
    );
    let plain = caller.get("/users").send().await.unwrap();
    assert_eq!(
        (plain.status().as_u16(), header(&plain, "content-encoding")),
        (200, String::new())
    );
}
