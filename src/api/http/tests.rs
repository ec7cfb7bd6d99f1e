//! Calls against a scripted server: what is repeated, what is not, and what is told of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::api::testing::{Reply, Server, root};
use crate::drive::ErrorKind;
use crate::monitor::{CallCount, Counter};

fn page() -> Reply {
    Reply::json(200, &json!({"files": []}))
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"code": code, "description": "no"}))
}

#[tokio::test]
async fn what_may_pass_is_repeated_and_what_may_not_is_not() {
    let unavailable = ErrorKind::Unavailable { retry_after: None };
    let table: [(&str, Vec<Reply>, Result<(), ErrorKind>, usize); 13] = [
        ("well", vec![page()], Ok(()), 1),
        ("unwell once", vec![refusal(500, "X"), page()], Ok(()), 2),
        ("reset", vec![Reply::nothing(), page()], Ok(()), 2),
        ("cut", vec![page().cut(3), page()], Ok(()), 2),
        ("html", vec![Reply::new(200, "<html>"), page()], Ok(()), 2),
        ("no list", vec![Reply::new(200, "{}"), page()], Ok(()), 2),
        ("bom", vec![Reply::new(200, "\u{feff}{\"files\":[]}")], Ok(()), 1),
        ("unwell", vec![refusal(503, "X")], Err(unavailable), 4),
        (
            "html twice",
            vec![Reply::new(200, "<html>")],
            Err(ErrorKind::Protocol),
            2,
        ),
        (
            "deep",
            vec![Reply::new(200, "[".repeat(100_000))],
            Err(ErrorKind::Protocol),
            2,
        ),
        ("gone", vec![refusal(404, "X")], Err(ErrorKind::NotFound), 1),
        (
            "denied",
            vec![refusal(403, "ACCESS_DENIED")],
            Err(ErrorKind::Denied),
            1,
        ),
        (
            "bad",
            vec![refusal(400, "INVALID_PARAMETER")],
            Err(ErrorKind::Protocol),
            1,
        ),
    ];
    for (what, replies, expected, requests) in table {
        let server =
            Server::start(move |_, _, count| replies.get(count).or(replies.last()).cloned().unwrap()).await;
        let (drive, tally) = server.connect(server.config());
        let answer = drive.children(&root("me"), None).await;
        let kind = answer.as_ref().map(|_| ()).map_err(|error| error.kind.clone());
        assert_eq!(kind, expected, "{what}");
        assert_eq!(server.lines().len(), requests, "{what}");
        let repeats = requests as u64 - 1;
        assert_eq!(tally.get(Counter::Retries), repeats, "{what}");
        if let Err(error) = answer {
            assert_eq!(u64::from(error.attempts), requests as u64, "{what}");
            assert_eq!(
                (error.operation, error.subject.as_str()),
                ("drive.list-root", "me")
            );
        }
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable() {
    let server = Server::start(|_, _, _| page()).await;
    let mut config = server.config();
    drop(server);
    config.endpoints.api = "http://127.0.0.1:9/v1.0".to_owned();
    let drive = crate::api::connect(config, std::sync::Arc::new(crate::monitor::Silent)).unwrap();
    let error = drive.children(&root("me"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable { retry_after: None });
    assert_eq!(error.attempts, 4);
}

#[tokio::test]
async fn f12_answers_429_close_one_operation_and_have_a_budget_of_their_own() {
    let server = Server::start(|_, seen, count| match seen.path() {
        "/v1.0/users/me/drive/files" if count < 8 => {
            refusal(429, "TOO_MANY_REQUESTS").with("RateLimit-Reset", "0")
        }
        _ => page(),
    })
    .await;
    let (drive, tally) = server.connect(server.config());
    drive.children(&root("me"), None).await.unwrap();
    let expected = CallCount {
        sent: 9,
        limited: 8,
        failed: 0,
    };
    assert_eq!(tally.calls().get("drive.list-root"), Some(&expected));

    // The same header in another refusal is only what good answers tell as well.
    let server = Server::start(|_, _, count| match count {
        0 => refusal(500, "X").with("RateLimit-Reset", "3600"),
        _ => page(),
    })
    .await;
    server.drive().children(&root("me"), None).await.unwrap();

    let server =
        Server::start(|_, _, _| refusal(429, "TOO_MANY_REQUESTS").with("retry-after", "86400")).await;
    let error = server.drive().children(&root("me"), None).await.unwrap_err();
    let asked = Duration::from_secs(86_400);
    assert_eq!(
        error.kind,
        ErrorKind::Unavailable {
            retry_after: Some(asked)
        }
    );
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn f12_an_answer_429_holds_back_every_worker_for_as_long_as_it_says() {
    let second = Duration::from_secs(1);
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&arrivals);
    let server = Server::start(move |_, _, count| {
        noted.lock().unwrap().push(Instant::now());
        match count {
            0 => refusal(429, "TOO_MANY_REQUESTS").with("retry-after", "1"),
            _ => page(),
        }
    })
    .await;
    let (drive, tally) = server.connect(server.config());
    let root = root("me");
    let refused = drive.children(&root, None);
    let other = async {
        // A retry is counted when the gate is shut.
        while tally.get(Counter::Retries) == 0 {
            tokio::task::yield_now().await;
        }
        drive.children(&root, None).await
    };
    let (refused, other) = tokio::join!(refused, other);
    refused.unwrap();
    other.unwrap();
    let arrivals = arrivals.lock().unwrap();
    let after: Vec<Duration> = arrivals[1..].iter().map(|at| *at - arrivals[0]).collect();
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|after| *after >= second), "{after:?}");
}

#[tokio::test]
async fn the_token_goes_out_and_a_token_that_cannot_be_renewed_ends_the_call() {
    let server = Server::start(|_, seen, _| match seen.header("authorization") {
        Some("Bearer t1") => refusal(401, "UNAUTHORIZED"),
        _ => Reply::new(500, ""),
    })
    .await;
    let error = server.drive().children(&root("me"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    assert_eq!(server.lines(), ["GET /v1.0/users/me/drive/files?count=200"]);
    assert!(!format!("{error:?}").contains("t1"));
}

#[tokio::test]
async fn the_refusal_of_a_service_account_is_told_as_such() {
    let server = Server::start(|_, _, _| {
        Reply::json(
            403,
            &json!({"code": "FORBIDDEN", "description": "Not allowed api"}),
        )
    })
    .await;
    let error = server.drive().children(&root("me"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("service account"), "{error}");
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn a_call_that_acts_is_settled_by_looking_before_it_is_made_again() {
    // The first answer is lost before the folder is made, the second after.
    for made_at in [0, 1] {
        let server = Server::start(move |_, seen, count| {
            let folder = json!({"fileId": "f", "fileName": "new", "fileType": "FOLDER"});
            match (seen.method.as_str(), count) {
                ("POST", 0) => Reply::nothing(),
                ("POST", _) => Reply::json(201, &folder),
                _ if made_at == 0 => Reply::json(200, &json!({"files": [folder]})),
                _ => page(),
            }
        })
        .await;
        let made = server.drive().create_folder(&root("me"), "new").await.unwrap();
        assert_eq!(made.id.as_str(), "f");
        let posts = server
            .lines()
            .iter()
            .filter(|line| line.starts_with("POST"))
            .count();
        assert_eq!(posts, 1 + made_at);
    }
    // A conflict that was not preceded by a lost answer stays one.
    let server = Server::start(|_, _, _| refusal(409, "CONFLICT")).await;
    let error = server
        .drive()
        .create_folder(&root("me"), "new")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert_eq!(server.lines().len(), 1);
    assert_eq!(server.seen()[0].json(), json!({"fileName": "new"}));
    assert_eq!(server.lines(), ["POST /v1.0/users/me/drive/files/createfolder"]);
}

#[tokio::test]
async fn silence_is_a_failure_like_any_other() {
    let short = Duration::from_millis(200);
    for silent in [
        Reply::nothing().silent(),
        page().cut(0).silent(),
        page().cut(5).silent(),
    ] {
        let server = Server::start(
            move |_, _, count| {
                if count == 0 { silent.clone() } else { page() }
            },
        )
        .await;
        let mut config = server.config();
        config.timeouts.headers = short;
        config.timeouts.idle = short;
        let (drive, tally) = server.connect(config);
        drive.children(&root("me"), None).await.unwrap();
        assert!(tally.get(Counter::Retries) >= 1);
    }
}

#[tokio::test]
async fn a_crowd_is_refused_and_comes_again() {
    let server = Server::start(|_, _, count| {
        if count < 4 {
            refusal(503, "CONCURRENT_ACCESS_LIMIT")
        } else {
            page()
        }
    })
    .await;
    let (drive, tally) = server.connect(server.config());
    let root = root("me");
    let calls = (0..4).map(|_| drive.children(&root, None));
    for answer in futures::future::join_all(calls).await {
        answer.unwrap();
    }
    assert_eq!(tally.get(Counter::Retries), 4);
    assert_eq!(server.lines().len(), 8);
}

#[tokio::test]
async fn a_redirect_in_place_of_a_listing_is_not_followed() {
    let server = Server::start(|address, _, _| Reply::redirect(&format!("{address}/x"))).await;
    let error = server.drive().children(&root("me"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_told_at_once() {
    let server = Server::start(|_, _, _| page()).await;
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for path in [empty, folder.path().join("missing.pem")] {
        let mut config = server.config();
        config.extra_ca = vec![path];
        let error = crate::api::connect(config, std::sync::Arc::new(crate::monitor::Silent));
        assert!(matches!(error, Err(crate::api::ConnectError::Certificate { .. })));
    }
}
