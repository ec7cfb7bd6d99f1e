//! The classic API against a scripted server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::testing::{Memory, Reply, Server, collect};
use crate::api::{Config, Dialect, connect};
use crate::drive::{Detail, Drive, ErrorKind, NewFile, PageToken};
use crate::entry::Access;
use crate::monitor::Silent;
use crate::secret::Secret;

fn config(server: &Server) -> Config {
    let mut config = server.config();
    config.dialect = Dialect::Classic {
        api_id: "kr1x".to_owned(),
    };
    config.endpoints.api = server.address.clone();
    config.endpoints.auth = server.address.clone();
    config.endpoints.file = Some(format!("{}/f", server.address));
    config.endpoints.storage = Vec::new();
    config.credentials.consumer_key = Some(Secret::new("ckey"));
    config
}

fn drive(server: &Server) -> Arc<dyn Drive> {
    connect(config(server), Arc::new(Silent)).unwrap()
}

fn root_json() -> Value {
    json!({"resourceKey": "ROOT", "resourceLocation": 24101, "resourceType": "folder",
        "resourcePath": "/", "fileType": "folder", "folderType": "my"})
}

#[tokio::test]
async fn the_root_tells_its_location_and_offsets_page_the_rest() {
    let server = Server::start(|_, seen, _| {
        let wanted = (seen.header("authorization"), seen.header("consumerkey"));
        assert_eq!(wanted, (Some("Bearer t1"), Some("ckey")));
        match seen.target.as_str() {
            "/r/kr1x/drive/v2/files/root" => Reply::json(200, &root_json()),
            target if target.ends_with("offset=0&limit=200") => Reply::json(
                200,
                &json!({"offset": 0, "hasMore": true, "items": [
                    {"resourceKey": "a=", "resourceName": "a", "resourceType": "folder", "resourceLocation": 5},
                    {"resourceKey": "b", "resourceName": "b", "resourceType": "file", "resourceSize": 3},
                    {"resourceName": "c"},
                ]}),
            ),
            target if target.ends_with("offset=3&limit=200") => Reply::json(
                200,
                &json!({"offset": 3, "hasMore": false, "items": []}),
            ),
            target => panic!("{target}"),
        }
    })
    .await;
    let drive = drive(&server);
    let roots = drive.roots(&"me".parse().unwrap()).await.unwrap();
    let root = &roots[0];
    assert_eq!((root.name.as_str(), &root.access), ("me", &Access::Readable));
    let first = drive.children(&root.entry, None).await.unwrap();
    assert_eq!(
        (first.entries.len(), first.broken.len(), first.full),
        (2, 1, false)
    );
    assert_eq!(first.entries[0].location.as_deref(), Some("5"));
    assert_eq!(first.entries[1].location.as_deref(), Some("24101"));
    let next = first.next.unwrap();
    assert_eq!(
        next,
        PageToken("3 0 ".to_owned()),
        "the last item has no key to check by"
    );
    assert!(
        drive
            .children(&root.entry, Some(&next))
            .await
            .unwrap()
            .next
            .is_none()
    );
    // A stand-in for the root, as a resumed run has it, costs no further call for the root.
    drive
        .children(&crate::api::testing::root("me"), None)
        .await
        .unwrap();
    let mut lines = server.lines();
    lines.dedup();
    assert_eq!(
        lines,
        [
            "GET /r/kr1x/drive/v2/files/root",
            "GET /r/kr1x/drive/rl/24101/v2/files/ROOT/children?offset=0&limit=200",
            "GET /r/kr1x/drive/rl/24101/v2/files/ROOT/children?offset=3&limit=200",
            "GET /r/kr1x/drive/rl/24101/v2/files/ROOT/children?offset=0&limit=200",
        ]
    );
}

#[tokio::test]
async fn an_empty_page_that_promises_more_is_an_error() {
    let server = Server::start(|_, seen, _| match seen.path() {
        "/r/kr1x/drive/v2/files/root" => Reply::json(200, &root_json()),
        _ => Reply::json(200, &json!({"offset": 0, "hasMore": true, "items": []})),
    })
    .await;
    let root = crate::api::testing::root("me");
    let error = drive(&server).children(&root, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
}

#[tokio::test]
async fn group_folders_are_found_by_name_or_by_key() {
    let server = Server::start(|_, seen, _| match seen.path() {
        "/r/kr1x/drive/v2/group-folders" => Reply::json(
            200,
            &json!({"hasMore": false, "items": [
                {"resourceKey": "G1", "resourceLocation": 7, "resourceType": "folder", "folderType": "group", "group": {"groupId": 11, "groupName": "Sales"}},
                {"resourceKey": "G2", "resourceLocation": 8, "resourceType": "folder", "folderType": "group", "group": {"groupId": "12", "groupName": "Lab"}},
            ]}),
        ),
        "/r/kr1x/drive/rl/9/v2/files/KEY" => Reply::json(200, &json!({"resourceKey": "KEY", "resourceLocation": 9, "resourceType": "folder", "resourcePath": "/x/"})),
        "/r/kr1x/drive/rl/8/v2/files/G2/children" => Reply::json(200, &json!({"hasMore": false, "items": []})),
        _ => Reply::json(404, &json!({"errorCode": "001", "errorMessage": "Not support url"})),
    })
    .await;
    let drive = drive(&server);
    let names = |roots: Vec<crate::entry::Root>| -> Vec<String> {
        roots
            .iter()
            .map(|root| {
                let refused = matches!(root.access, Access::Refused { .. });
                let location = root.entry.location.clone().unwrap_or_default();
                format!("{} {location} {refused}", root.entry.drive)
            })
            .collect()
    };
    let table: [(&str, &[&str]); 6] = [
        ("groups/*", &["groups/11 7 false", "groups/12 8 false"]),
        ("groups/l*", &["groups/12 8 false"]),
        ("groups/12", &["groups/12 8 false"]),
        ("groups/99", &["groups/99  true"]),
        ("key:9/KEY", &["key:9/KEY 9 false"]),
        ("key:9/LOST", &["key:9/LOST  true"]),
    ];
    for (scope, expected) in table {
        let roots = drive.roots(&scope.parse().unwrap()).await.unwrap();
        assert_eq!(names(roots), expected, "{scope}");
    }
    let page = drive
        .children(&crate::api::testing::root("groups/12"), None)
        .await
        .unwrap();
    assert!(page.entries.is_empty());
    let refused = drive.roots(&"users/*".parse().unwrap()).await.unwrap();
    assert!(matches!(&refused[0].access, Access::Refused { reason, .. } if reason == "unsupported"));
}

#[tokio::test]
async fn contents_come_from_the_file_host_and_go_there() {
    let lost = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&lost);
    let server = Server::start(move |_, seen, count| {
        let is_lost = flag.load(std::sync::atomic::Ordering::SeqCst);
        match (seen.method.as_str(), seen.path()) {
            ("GET", "/r/kr1x/drive/v2/files/root") => Reply::json(200, &root_json()),
            ("GET", "/f/drive/rl/24101/v2/files/k/download") => match seen.header("range") {
                None => Reply::new(200, "0123456789").cut(4),
                Some(_) => Reply::new(206, "456789").with("content-range", "bytes 4-9/10"),
            },
            ("POST", "/f/drive/rl/24101/v2/files") if is_lost => Reply::nothing(),
            ("POST", "/f/drive/rl/24101/v2/files") => Reply::json(201, &json!({"resourceKey": "n", "resourceNo": 5, "shareNo": "0", "versionNo": 1})),
            ("GET", "/r/kr1x/drive/rl/24101/v2/files/n") => Reply::json(200, &json!({"resourceKey": "n", "resourceName": "新.txt", "resourceSize": 4, "resourceType": "file"})),
            ("GET", "/r/kr1x/drive/rl/24101/v2/files/ROOT/children") => Reply::json(200, &json!({"hasMore": false, "items": [
                {"resourceKey": "old", "resourceName": "新.txt", "resourceSize": 4, "resourceType": "file"}
            ]})),
            ("POST", "/r/kr1x/drive/rl/24101/v2/files/ROOT/folder") if count == 0 => Reply::json(201, &json!({"resourceKey": "d", "resourceName": seen.json()["resourceName"], "resourceType": "folder"})),
            _ => Reply::json(409, &json!({"code": "CONFLICT", "message": "dup"})),
        }
    })
    .await;
    let drive = drive(&server);
    let root = crate::api::testing::root("me");
    let mut file = crate::api::testing::file("k", 10);
    file.location = Some("24101".to_owned());
    let (bytes, steps) = collect(drive.download(&file, 0).await.unwrap()).await;
    assert_eq!(
        (bytes.unwrap().as_slice(), steps),
        (b"0123456789".as_slice(), vec!["joined"])
    );
    let first = &server.seen()[0];
    assert_eq!(first.header("x-drive-api-type"), Some("reseller-api"));
    assert_eq!(first.header("consumerkey"), Some("ckey"));

    let new = NewFile {
        name: "新.txt".to_owned(),
        size: 4,
        modified: None,
        overwrite: false,
    };
    let source = Memory(b"abcd".to_vec());
    let entry = drive.upload(&root, &new, &source).await.unwrap();
    assert_eq!((entry.id.as_str(), entry.size), ("n", Some(4)));
    let form = server
        .seen()
        .into_iter()
        .find(|seen| seen.method == "POST")
        .unwrap();
    let text = String::from_utf8(form.body.clone()).unwrap();
    let places: Vec<usize> = [
        "\"toParentKey\"\r\n\r\nROOT\r\n",
        "\"resourceName\"\r\n\r\n新.txt\r\n",
        "name=\"FileData\"; filename=\"新.txt\"",
    ]
    .iter()
    .map(|part| text.find(part).unwrap_or_else(|| panic!("{part} in {text}")))
    .collect();
    assert!(places.is_sorted());
    assert!(text.contains("\r\n\r\nabcd\r\n--"));
    assert_eq!(form.header("x-drive-api-type"), Some("reseller-api"));

    lost.store(true, std::sync::atomic::Ordering::SeqCst);
    let entry = drive.upload(&root, &new, &source).await.unwrap();
    assert_eq!(entry.id.as_str(), "old");

    let made = drive.create_folder(&root, "d").await.unwrap();
    assert!(made.is_folder());
    assert_eq!(made.location.as_deref(), Some("24101"));
    let error = drive.create_folder(&root, "d").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("dup"));
    for error in [
        drive.remove(&made).await.unwrap_err(),
        drive.relocate(&made, None, Some("x")).await.unwrap_err(),
        drive.detail(&made, Detail::Link).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Unsupported);
    }
}

#[tokio::test]
async fn a_server_token_is_signed_for_and_renewed_when_refused() {
    let server = Server::start(|_, seen, count| match seen.path() {
        "/b/kr1x/server/token" => Reply::json(200, &json!({"access_token": format!("s{count}"), "expire_in": "86400"})),
        _ if seen.header("authorization") == Some("Bearer s1") => Reply::json(200, &root_json()),
        _ => Reply::json(401, &json!({"errorMessage": "Authentication failed, no authority", "errorCode": "024", "code": "UNAUTHORIZED"})),
    })
    .await;
    let mut config = config(&server);
    config.credentials.access_token = None;
    config.credentials.server_id = Some("server".to_owned());
    config.credentials.private_key = Some(Secret::new(&crate::api::auth::jwt::tests::key().0));
    let drive = connect(config, Arc::new(Silent)).unwrap();
    drive.roots(&"me".parse().unwrap()).await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "POST /b/kr1x/server/token",
            "GET /r/kr1x/drive/v2/files/root",
            "POST /b/kr1x/server/token",
            "GET /r/kr1x/drive/v2/files/root",
        ]
    );
    let grant = server.seen()[0].field("grant_type");
    assert_eq!(
        grant.as_deref(),
        Some("urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer")
    );
}
