//! Tokens against a scripted server: renewed once, stored before use, minted for members.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::testing::{Reply, Seen, Server, root};
use crate::api::{Clock, Config, ConnectError, connect, refresh_token_expires};
use crate::drive::ErrorKind;
use crate::monitor::Silent;
use crate::secret::Secret;

fn page() -> Reply {
    Reply::json(200, &json!({"files": []}))
}

/// A server that takes the token which was granted last, and only that.
async fn rotating() -> Server {
    let current = AtomicI64::new(1);
    Server::start(move |_, seen, count| {
        if seen.path() == "/oauth/token" {
            let expected = format!("r{count}");
            if seen.field("refresh_token") != Some(expected) {
                return Reply::json(400, &json!({"error": "invalid_grant"}));
            }
            let next = count as i64 + 2;
            current.store(next, Ordering::SeqCst);
            return Reply::json(
                200,
                &json!({"access_token": format!("t{next}"), "refresh_token": format!("r{}", count + 1), "expires_in": "3600"}),
            );
        }
        let wanted = format!("Bearer t{}", current.load(Ordering::SeqCst));
        match seen.header("authorization") {
            Some(token) if token == wanted && token != "Bearer t1" => page(),
            _ => Reply::json(401, &json!({"code": "UNAUTHORIZED", "description": "expired"})),
        }
    })
    .await
}

fn refreshing(server: &Server, store: Option<PathBuf>) -> Config {
    let mut config = server.config();
    config.credentials.client_id = Some("client".to_owned());
    config.credentials.client_secret = Some(Secret::new("hidden"));
    config.credentials.refresh_token = Some(Secret::new("r0"));
    config.credentials.token_store = store;
    config
}

fn stored(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn token_requests(server: &Server) -> Vec<Seen> {
    let mut seen = server.seen();
    seen.retain(|seen| seen.path() == "/oauth/token");
    seen
}

#[tokio::test]
async fn eight_refused_calls_renew_the_token_once() {
    let server = rotating().await;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("acme.tokens");
    let (drive, _) = server.connect(refreshing(&server, Some(store.clone())));
    let root = root("me");
    let calls = (0..8).map(|_| drive.children(&root, None));
    for answer in futures::future::join_all(calls).await {
        answer.unwrap();
    }
    let requests = token_requests(&server);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].field("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(requests[0].field("client_secret").as_deref(), Some("hidden"));
    assert_eq!(stored(&store)["refresh_token"], "r1");
    assert_eq!(stored(&store)["access_token"], "t2");
}

#[tokio::test]
async fn an_empty_refresh_token_takes_no_ones_place() {
    let server = Server::start(|_, seen, _| match seen.path() {
        "/oauth/token" => Reply::json(
            200,
            &json!({"access_token": "t1", "refresh_token": "", "expires_in": 3600}),
        ),
        _ => Reply::json(200, &json!({"files": []})),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("acme.tokens");
    let mut config = refreshing(&server, Some(store.clone()));
    config.credentials.access_token = None;
    let (drive, _) = server.connect(config);
    drive.children(&root("me"), None).await.unwrap();
    assert_eq!(stored(&store)["refresh_token"], "r0");
}

#[tokio::test]
async fn a_second_process_uses_what_the_first_one_stored() {
    let server = rotating().await;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("acme.tokens");
    for _ in 0..2 {
        let (drive, _) = server.connect(refreshing(&server, Some(store.clone())));
        drive.children(&root("me"), None).await.unwrap();
    }
    assert_eq!(token_requests(&server).len(), 1);
    // Its own first refresh token has long been exchanged: the stored one is used for the next renewal.
    let mut config = refreshing(&server, Some(store.clone()));
    config.credentials.access_token = None;
    let mut old = stored(&store);
    old["access_token"] = json!("t1");
    std::fs::write(&store, old.to_string()).unwrap();
    let (drive, _) = server.connect(config.clone());
    drive.children(&root("me"), None).await.unwrap();
    assert_eq!(token_requests(&server).len(), 2);
    assert_eq!(stored(&store)["refresh_token"], "r2");
    let days = refresh_token_expires(&config)
        .unwrap()
        .duration_since(Timestamp::now())
        .as_hours();
    assert!((24 * 90 - 1..=24 * 90).contains(&days));
}

#[tokio::test]
async fn the_new_refresh_token_is_stored_before_the_new_access_token_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("acme.tokens");
    let path = store.clone();
    let server = Server::start(move |_, seen, _| {
        if seen.path() == "/oauth/token" {
            return Reply::json(
                200,
                &json!({"access_token": "t2", "refresh_token": "r1", "expires_in": 3600}),
            );
        }
        if seen.header("authorization") == Some("Bearer t2") && stored(&path)["refresh_token"] == "r1" {
            return page();
        }
        Reply::json(401, &json!({"code": "UNAUTHORIZED"}))
    })
    .await;
    let (drive, _) = server.connect(refreshing(&server, Some(store)));
    drive.children(&root("me"), None).await.unwrap();
    assert_eq!(server.lines().len(), 3);
}

#[tokio::test]
async fn a_store_that_cannot_be_written_or_that_others_may_read_is_an_error() {
    let server = rotating().await;
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    let mut config = refreshing(&server, Some(in_the_way.join("acme.tokens")));
    config.credentials.access_token = None;
    let (drive, _) = server.connect(config);
    let error = drive.children(&root("me"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    assert!(error.subject.contains("token store"), "{error}");
    assert!(token_requests(&server).is_empty());
}

#[tokio::test]
async fn a_refused_refresh_token_is_not_tried_by_every_call() {
    let server = Server::start(|_, seen, _| {
        if seen.path() == "/oauth/token" {
            Reply::json(
                400,
                &json!({"error": "invalid_grant", "error_description": "gone"}),
            )
        } else {
            Reply::json(401, &json!({"code": "UNAUTHORIZED"}))
        }
    })
    .await;
    let mut config = refreshing(&server, None);
    config.credentials.access_token = None;
    let (drive, _) = server.connect(config);
    for _ in 0..5 {
        let error = drive.children(&root("me"), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        assert!(error.message.contains("invalid_grant: gone"), "{error}");
        assert!(!format!("{error:?}").contains("r0"));
    }
    assert_eq!(server.lines(), ["POST /oauth/token"]);
}

/// A clock that is moved by hand.
#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

#[tokio::test]
async fn hours_pass_and_the_token_is_renewed_before_its_end() {
    let server = Server::start(|_, seen, count| match seen.path() {
        "/oauth/token" => Reply::json(
            200,
            &json!({"access_token": format!("t{count}"), "expires_in": 3600}),
        ),
        _ => page(),
    })
    .await;
    let mut config = refreshing(&server, None);
    config.credentials.access_token = None;
    let clock = Arc::new(Hand(AtomicI64::new(1_000_000)));
    config.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let (drive, _) = server.connect(config);
    for _ in 0..10 {
        for _ in 0..4 {
            drive.children(&root("me"), None).await.unwrap();
            clock.0.fetch_add(1_180, Ordering::SeqCst);
        }
    }
    // Ten times 4720 seconds, with a token for each 3540: a call comes every 1180, so three calls to a token.
    assert_eq!(token_requests(&server).len(), 14);
    assert_eq!(server.lines().len(), 14 + 40);
}

fn claims(request: &Seen) -> Value {
    let assertion = request.field("assertion").unwrap();
    let claims = assertion.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn members_are_acted_for_by_tokens_of_their_own() {
    let server = Server::start(|_, seen, _| match seen.path() {
        "/oauth/token" => match claims(seen)["delegated_user"].as_str() {
            Some("b@x.jp") => Reply::json(400, &json!({"error": "invalid_request"})),
            Some("g@x.jp") => Reply::json(401, &json!({"error": "unauthorized_client"})),
            Some("h@x.jp") => Reply::json(200, &json!({"errorCode": "E7", "errorMessage": "no such member"})),
            Some(mail) => Reply::json(200, &json!({"access_token": mail, "expires_in": "60"})),
            None => Reply::json(200, &json!({"access_token": "directory", "expires_in": "60"})),
        },
        "/v1.0/users" if seen.header("authorization") == Some("Bearer directory") => Reply::json(
            200,
            &json!({"users": [
                {"userId": "u-a", "email": "a@x.jp"},
                {"userId": "u-b", "email": "b@x.jp"},
                {"userId": "u-c", "email": "c@x.jp", "isSuspended": true},
                {"userId": "u-d", "email": "d@x.jp", "isDeleted": true},
                {"userId": "u-e", "email": "e@x.jp", "isPending": true},
                {"userId": "u-f", "email": "f@other.jp"},
            ]}),
        ),
        "/v1.0/users/me/drive/files" if seen.header("authorization") == Some("Bearer a@x.jp") => page(),
        _ => Reply::json(403, &json!({"code": "FORBIDDEN", "description": "no"})),
    })
    .await;
    let mut config = server.config();
    config.credentials.access_token = None;
    config.credentials.client_id = Some("client".to_owned());
    config.credentials.client_secret = Some(Secret::new("hidden"));
    config.credentials.service_account = Some("account@x.jp".to_owned());
    config.credentials.private_key = Some(Secret::new(&super::jwt::tests::key().0));
    config.credentials.delegate = true;
    let (drive, _) = server.connect(config.clone());
    let roots = drive.roots(&"users/*@X.jp".parse().unwrap()).await.unwrap();
    let told: Vec<(String, String)> = roots
        .iter()
        .map(|root| {
            let access = match &root.access {
                crate::entry::Access::Readable => "readable".to_owned(),
                crate::entry::Access::Refused { reason, .. } => reason.clone(),
            };
            (format!("{} {}", root.entry.drive, root.name), access)
        })
        .collect();
    let told: Vec<(&str, &str)> = told.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(
        told,
        [
            ("users/u-a a@x.jp", "readable"),
            ("users/u-b b@x.jp", "readable"),
            ("users/u-c c@x.jp", "suspended"),
            ("users/u-d d@x.jp", "deleted"),
            ("users/u-e e@x.jp", "pending"),
        ]
    );
    drive.children(&roots[0].entry, None).await.unwrap();
    drive.children(&roots[0].entry, None).await.unwrap();
    // One member's refusal is not everybody's.
    let error = drive.children(&roots[1].entry, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    // Nor is it where the service blames the app, which got tokens for others.
    let error = drive.children(&root("users/g@x.jp"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    let error = drive.children(&root("users/h@x.jp"), None).await.unwrap_err();
    assert!(
        error.message.ends_with("no access token: E7 no such member"),
        "{error}"
    );
    let (other, _) = server.connect(config.clone());
    let error = other.children(&root("users/g@x.jp"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    let requests = token_requests(&server);
    assert_eq!(requests.len(), 6);
    let claims = claims(&requests[1]);
    assert_eq!(claims["iss"], "client");
    assert_eq!(claims["sub"], "account@x.jp");
    assert_eq!(claims["delegated_user"], "a@x.jp");
    assert_eq!(requests[1].field("scope").as_deref(), Some("file+user.read"));

    // My Drive of nobody in particular needs a member.
    let refused = drive.roots(&"me".parse().unwrap()).await.unwrap();
    assert!(matches!(&refused[0].access, crate::entry::Access::Refused { reason, .. } if reason == "denied"));
    config.credentials.private_key = Some(Secret::new("nonsense"));
    assert!(matches!(
        connect(config.clone(), Arc::new(Silent)),
        Err(ConnectError::PrivateKey(_))
    ));
    config.credentials = crate::api::Credentials::default();
    assert!(matches!(
        connect(config, Arc::new(Silent)),
        Err(ConnectError::NoCredential(_))
    ));
}

#[tokio::test]
async fn a_login_fills_the_store() {
    let server = Server::start(|_, _, _| {
        Reply::json(
            200,
            &json!({"access_token": "t9", "refresh_token": "r9", "expires_in": "86400"}),
        )
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("acme.tokens");
    let mut config = refreshing(&server, Some(store.clone()));
    config.credentials.access_token = None;
    let state = super::login::new_state().unwrap();
    assert_eq!(state.len(), 32);
    let redirect = "http://localhost:9876/callback";
    let address = super::login::authorize_address(&config, redirect, &state).unwrap();
    assert_eq!(
        address,
        format!(
            "{}/oauth/authorize?client_id=client&redirect_uri=http%3A%2F%2Flocalhost%3A9876%2Fcallback&scope=file%20user.read%20group.read%20directory.read&response_type=code&state={state}",
            server.address
        )
    );
    super::login::exchange(config, Arc::new(Silent), redirect, "c0de")
        .await
        .unwrap();
    let request = &server.seen()[0];
    assert_eq!(request.field("grant_type").as_deref(), Some("authorization_code"));
    assert_eq!(request.field("code").as_deref(), Some("c0de"));
    assert_eq!(stored(&store)["refresh_token"], "r9");
    assert_eq!(stored(&store)["access_token"], "t9");
}
