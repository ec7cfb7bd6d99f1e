//! Limits, the admin port, and the end of a simulator.

use serde_json::{Value, json};

use super::{Caller, header, id, start};
use crate::sim::{Action, Options, Rule, Simulator, World};

#[tokio::test]
async fn the_rate_window_refuses_and_opens_again() {
    let options = Options {
        per_minute: Some(5),
        speed: 0.0,
        ..Options::default()
    };
    let (simulator, caller) = start(World::demo(), options).await;
    for call in 1..=7 {
        let response = caller.get("/users/me/drive/files").send().await.unwrap();
        let expected = if call <= 5 { 200 } else { 429 };
        assert_eq!(response.status(), expected);
        assert_eq!(header(&response, "rateLimit-limit"), "5");
        assert_eq!(header(&response, "rateLimit-ssed"), call.min(5).to_string());
        assert_eq!(
            header(&response, "rateLimit-remaining"),
            (5 - call.min(5)).to_string()
        );
        assert_eq!(header(&response, "rateLimit-reset"), "60");
        if expected == 429 {
            let body: Value = response.json().await.unwrap();
            assert_eq!(
                body,
                json!({"code": "TOO_MANY_REQUESTS", "description": "API rate limit exceeded"})
            );
        }
    }
    // Another operation has its own window, and redirects tell nothing of it.
    let location = caller.get(&format!(
        "/users/me/drive/files/{}/download",
        id(&simulator, "/メモ.txt")
    ));
    let location = location.send().await.unwrap();
    assert_eq!(
        (location.status().as_u16(), header(&location, "rateLimit-limit")),
        (302, String::new())
    );
    simulator.clock().advance_seconds(60);
    assert_eq!(
        caller.get("/users/me/drive/files").send().await.unwrap().status(),
        200
    );
    let calls = simulator.calls();
    let row = &calls.operations["drive.list-root"];
    assert_eq!((row.total, row.refused, row.most_in_a_minute), (8, 2, 7));
    simulator.reset_calls();
    assert_eq!(simulator.calls().total(), 0);
}

#[tokio::test]
async fn too_many_at_once_are_refused() {
    let options = Options {
        at_once: Some(1),
        at_once_status: 503,
        ..Options::default()
    };
    let (simulator, caller) = start(World::demo(), options).await;
    simulator
        .faults()
        .add(Rule::new(
            "drive.list-root",
            Action::Delay { milliseconds: 1_000 },
        ))
        .unwrap();
    let slow = caller.get("/users/me/drive/files").send();
    let quick = async {
        while simulator.calls().of("drive.list-root") == 0 {
            tokio::task::yield_now().await;
        }
        caller.get("/users/me/drive/files").send().await
    };
    let (slow, quick) = tokio::join!(slow, quick);
    assert_eq!(
        (slow.unwrap().status().as_u16(), quick.unwrap().status().as_u16()),
        (200, 503)
    );
    assert_eq!(simulator.calls().operations["drive.list-root"].refused, 1);
}

#[tokio::test]
async fn another_process_controls_it_over_the_admin_port() {
    let (simulator, caller) = start(World::demo(), Options::default()).await;
    let admin = simulator.endpoints().admin.clone();
    let post = |path: &str, body: Value| caller.http.post(format!("{admin}/{path}")).json(&body).send();
    let rule = json!({"operation": "users.list", "action": "html200"});
    assert_eq!(post("faults", rule.clone()).await.unwrap().status(), 200);
    assert_eq!(
        post("faults", json!({"rule": [rule]})).await.unwrap().status(),
        200
    );
    assert_eq!(
        post("faults", json!([{"operation": "nothing", "action": "html200"}]))
            .await
            .unwrap()
            .status(),
        400
    );
    let get = async |path: &str| caller.http.get(format!("{admin}/{path}")).send().await.unwrap();
    assert_eq!(
        get("faults/unreached")
            .await
            .json::<Value>()
            .await
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let change = json!({"change": "add-text", "drive": "me", "path": "/new/a.txt", "text": "hello"});
    assert_eq!(post("changes", change).await.unwrap().status(), 200);
    let random: Value = post("random-changes", json!({"seed": 1, "count": 5}))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(random.as_array().unwrap().len(), 5);
    assert_eq!(
        post(
            "member",
            json!({"member": "jimin@example.com", "suspended": true})
        )
        .await
        .unwrap()
        .status(),
        200
    );
    assert_eq!(
        post("clock", json!({"advance-ms": 5_000}))
            .await
            .unwrap()
            .status(),
        200
    );
    let truth = get("truth?drive=me&hash=true").await.text().await.unwrap();
    let row = truth
        .lines()
        .find(|line| line.contains("\"/new/a.txt\""))
        .unwrap();
    assert!(
        row.contains("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        "{row}"
    );
    caller.get("/users").send().await.unwrap();
    let calls: crate::sim::Calls = get("calls").await.json().await.unwrap();
    assert_eq!(calls.of("users.list"), 1);
    assert_eq!(post("reset-counters", json!({})).await.unwrap().status(), 200);
    assert_eq!(simulator.calls().total(), 0);
}

#[tokio::test]
async fn a_stopped_simulator_answers_no_more() {
    let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
    let caller = Caller::new(&simulator);
    caller.json("/users").await;
    // Clients that speak HTTP/2 without TLS are served as well.
    let http2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let users = caller
        .with_token(http2.get(caller.address("/users")))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (users.version(), users.status().as_u16()),
        (reqwest::Version::HTTP_2, 200)
    );
    let (text, token) = simulator.tenant_file_v2();
    assert_eq!(token, "sim-member-token");
    let storage = simulator.endpoints().storage.trim_start_matches("http://");
    for line in [
        "api = \"v2\"".to_owned(),
        format!("api = \"{}/v1.0\"", simulator.endpoints().api),
        format!("auth = \"{}/oauth2/v2.0\"", simulator.endpoints().auth),
        format!("storage = [\"{storage}\"]"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    let (classic, _, key) = simulator.tenant_file_classic();
    assert!(classic.contains("\napi-id = \"kr1simulator\"\n"));
    assert_eq!(key, "sim-consumer-key");
    simulator.stop().await;
    assert!(
        Caller {
            http: reqwest::Client::new(),
            ..caller
        }
        .get("/users")
        .send()
        .await
        .is_err()
    );
}
