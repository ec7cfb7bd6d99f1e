//! Whole calls against a server that tells nonsense: each ends, with a value or an error, after a bounded number of requests.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::hostile::{body, one_case_in};
use crate::api::testing::{Memory, Reply, Server, collect, file, root};
use crate::api::{Dialect, connect};
use crate::drive::{Detail, Drive, Error, NewFile, PageToken};
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::monitor::Silent;
use crate::secret::Secret;

/// The token of every call, which no error may repeat.
const TOKEN: &str = "hidden-token";

/// A call is over long before. Only one that never ends meets this.
const PATIENCE: Duration = Duration::from_secs(60);

/// More requests than any call makes of a list that stops bringing news: ten pages, each asked for until the budget of
/// four tries is spent, and the look after each lost answer.
const REQUESTS: usize = 600;

/// An answer the server gives: a status, headers and a body.
type Told = (u16, Vec<(&'static str, &'static str)>, Vec<u8>);

fn told(answer: Value) -> impl Strategy<Value = Told> {
    let status = prop_oneof![
        8 => Just(200_u16),
        1 => select(&[201_u16, 204, 206, 302, 400, 401, 403, 404, 409, 410, 413, 416, 429, 500, 503, 507]),
    ];
    let header = select(&[
        ("content-range", "bytes 0-9/10"),
        ("content-range", "bytes 3-9/10"),
        ("content-range", "bytes 9-3/18446744073709551615"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
        ("etag", "\"x\""),
        ("etag", "W/\"\u{ff}\""),
        ("location", "/v1.0/elsewhere"),
        ("location", "http://evil.example/"),
        ("location", "http://[::1"),
        ("retry-after", "0"),
        ("retry-after", "0.001"),
        ("ratelimit-reset", "1e999"),
        ("ratelimit-reset", "-1"),
        ("x-noise", "1"),
    ]);
    (status, prop::collection::vec(header, 0..3), body(answer))
}

fn v2_answer() -> impl Strategy<Value = Value> {
    let file = json!({
        "fileId": "QDIx", "parentFileId": "QDIw", "resourceLocation": 24101, "fileSize": 10, "fileName": "a",
        "filePath": "/a", "fileType": "DOC", "createdTime": "2017-06-22T10:50:59+09:00",
        "modifiedTime": "2017-05-11T18:31:20+09:00", "statuses": ["LOCKED"]
    });
    select(vec![
        file.clone(),
        json!({"files": [file, {"fileId": "b", "fileName": "b", "fileType": "FOLDER"}],
            "responseMetaData": {"nextCursor": "c1"}}),
        json!({"sharedrives": [{"sharedriveId": "@1", "name": "n"}], "responseMetaData": {"nextCursor": "c2"}}),
        json!({"users": [{"userId": "u1", "email": "u1@example.com", "isPending": false}],
            "groups": [{"groupId": "g1", "groupName": "n"}], "responseMetaData": {"nextCursor": ""}}),
        json!({"sharedFolders": [{"fileId": "s", "fileName": "s"}], "responseMetaData": {"nextCursor": "c3"}}),
        json!({"uploadUrl": "/up", "offset": 0}),
        json!({"quota": {"total": 10, "used": 5, "trash": 1}}),
        json!({"permissions": [{"userId": "u", "type": "READ"}], "trashFiles": [], "revisions": [{"revision": 1}]}),
        json!({"code": "TOO_MANY_REQUESTS", "description": "slow down"}),
    ])
}

fn classic_answer() -> impl Strategy<Value = Value> {
    let file = json!({
        "resourceKey": "MTQ1", "resourceLocation": 24101, "resourceName": "a", "resourceType": "file",
        "resourceSize": 10, "updateDate": 1430188697000_i64, "fileType": "doc", "group": {"groupId": 7, "groupName": "g"}
    });
    select(vec![
        file.clone(),
        json!({"items": [file], "hasMore": true}),
        json!({"code": "0", "message": "success", "result": {"items": [file, file], "hasMore": false}}),
        json!({"code": 7, "message": "no"}),
    ])
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Roots(&'static str),
    Children(&'static str),
    Stat,
    Download(u64),
    CreateFolder,
    Upload(usize),
    Remove,
    Relocate,
    Detail(Detail),
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        4 => select(&["me", "users/*", "users/u1", "sharedrives/*", "sharedrives/@1", "groups/*", "groups/7",
            "me/sharedfolders/*", "key:24101/MTQ1"]).prop_map(Ask::Roots),
        3 => select(&["", "c1", "3 0 MTQ1", "18446744073709551615 5 x", "1 4294967295 ", "\u{ff}"]).prop_map(Ask::Children),
        1 => Just(Ask::Stat),
        3 => select(&[0_u64, 3, 9, u64::MAX]).prop_map(Ask::Download),
        1 => Just(Ask::CreateFolder),
        2 => select(&[0_usize, 10]).prop_map(Ask::Upload),
        1 => Just(Ask::Remove),
        1 => Just(Ask::Relocate),
        1 => select(&[Detail::Permissions, Detail::Link, Detail::Share, Detail::Revisions, Detail::Trash])
            .prop_map(Ask::Detail),
    ]
}

async fn make(drive: &dyn Drive, ask: Ask) -> Result<(), Error> {
    let me = root("me");
    let mut folder = Entry {
        kind: Kind::Folder,
        location: Some("24101".to_owned()),
        ..file("QDIw", 0)
    };
    folder.name = "f".to_owned();
    let mut one = file("QDIx", 10);
    one.location = Some("24101".to_owned());
    match ask {
        Ask::Roots(word) => {
            for root in drive.roots(&word.parse().unwrap()).await? {
                assert!(!root.entry.drive.as_str().is_empty());
            }
        }
        Ask::Children(token) => {
            let token = Some(PageToken(token.to_owned())).filter(|token| !token.0.is_empty());
            for parent in [&me, &folder] {
                let page = drive.children(parent, token.as_ref()).await?;
                let named = |entry: &Entry| !entry.name.is_empty() && !entry.id.as_str().is_empty();
                assert!(page.entries.iter().all(named));
                assert!(page.next.is_none_or(|next| !next.0.is_empty()));
            }
        }
        Ask::Stat => drive.stat(&one).await.map(drop)?,
        Ask::Download(from) => {
            let download = drive.download(&one, from).await?;
            assert!(download.from == from || download.from == 0);
            let begun = download.from;
            let bytes = collect(download).await.0?;
            assert!(
                bytes.len() as u64 + begun == 10 || bytes.len() == 10,
                "{} bytes from {begun}",
                bytes.len()
            );
        }
        Ask::CreateFolder => {
            let made = drive.create_folder(&folder, "a").await?;
            assert!(made.is_folder());
        }
        Ask::Upload(size) => {
            let new = NewFile {
                name: "a".to_owned(),
                size: size as u64,
                modified: Some(jiff::Timestamp::UNIX_EPOCH),
                overwrite: size % 3 == 1,
            };
            let made = drive.upload(&folder, &new, &Memory(vec![7; size])).await?;
            // Its size is what the service says: who uploads compares it.
            assert!(!made.name.is_empty() && !made.id.as_str().is_empty(), "{made:?}");
        }
        Ask::Remove => drive.remove(&one).await?,
        Ask::Relocate => drive.relocate(&one, Some(&folder), Some("b")).await.map(drop)?,
        Ask::Detail(detail) => {
            for entry in [&me, &folder, &one] {
                drive.detail(entry, detail).await?;
            }
        }
    }
    Ok(())
}

fn check(dialect: Dialect, ask: Ask, answers: Vec<Told>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::start(move |_, _, _| {
            let at = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (status, headers, body) = answers[at % answers.len()].clone();
            headers
                .iter()
                .fold(Reply::new(status, body), |reply, (name, value)| {
                    reply.with(name, value)
                })
        })
        .await;
        let mut config = server.config();
        config.dialect = dialect;
        config.credentials.access_token = Some(Secret::new(TOKEN));
        if config.dialect != Dialect::V2 {
            config.endpoints.api = server.address.clone();
            config.endpoints.auth = server.address.clone();
            config.credentials.consumer_key = Some(Secret::new("hidden-key"));
        }
        config.timeouts.headers = Duration::from_millis(500);
        config.timeouts.idle = Duration::from_millis(500);
        let drive = connect(config, Arc::new(Silent)).unwrap();
        let outcome = tokio::time::timeout(PATIENCE, make(&*drive, ask))
            .await
            .unwrap_or_else(|_| panic!("{ask:?} never ends after {} requests", server.seen().len()));
        if let Err(error) = outcome {
            let message = format!("{error} {error:?}");
            assert!(!message.contains("hidden"), "{message}");
            assert!(
                !error.message.chars().any(char::is_control),
                "{:?}",
                error.message
            );
        }
        let requests = server.seen().len();
        assert!(requests <= REQUESTS, "{ask:?}: {requests} requests");
    });
}

proptest! {
    #![proptest_config(one_case_in(2))]

    #[test]
    fn every_call_of_api_2_ends(ask in ask(), answers in prop::collection::vec(v2_answer().prop_flat_map(told), 1..6)) {
        check(Dialect::V2, ask, answers);
    }

    #[test]
    fn every_call_of_the_classic_api_ends(ask in ask(), answers in prop::collection::vec(classic_answer().prop_flat_map(told), 1..6)) {
        check(Dialect::Classic { api_id: "kr1x".to_owned() }, ask, answers);
    }
}

/// Lists without an end that a cursor alone does not show: fresh cursors and offsets, the same items or none.
#[tokio::test]
async fn a_list_that_brings_nothing_new_comes_to_its_end() {
    let server = Server::start(|_, seen, count| {
        if seen.method == "POST" {
            return Reply::json(200, &json!({}));
        }
        let next = format!("c{count}");
        Reply::json(
            200,
            &json!({"sharedrives": [{"sharedriveId": "@1", "name": "n"}], "files": [{"fileId": "x", "fileName": "x"}],
                "items": [{"resourceKey": "k", "resourceName": "n", "group": {"groupId": 7}}], "hasMore": true,
                "responseMetaData": {"nextCursor": next}, "resourceKey": "ROOT", "resourceLocation": 1}),
        )
    })
    .await;
    let mut config = server.config();
    let drive = connect(config.clone(), Arc::new(Silent)).unwrap();
    let error = drive.roots(&"sharedrives/*".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.message, "the list repeats the same items");
    assert_eq!(server.seen().len(), 11, "one page and ten that bring nothing new");

    config.dialect = Dialect::Classic {
        api_id: "kr1x".to_owned(),
    };
    config.endpoints.api = server.address.clone();
    config.endpoints.auth = server.address.clone();
    config.credentials.consumer_key = Some(Secret::new("k"));
    let drive = connect(config, Arc::new(Silent)).unwrap();
    let error = drive.roots(&"groups/*".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.message, "the list repeats the same items");
    assert_eq!(server.seen().len(), 22);
    // An upload whose answer names no file looks for it in the folder.
    let folder = Entry::root(DriveId::new("key:1/ROOT"), FileId::new("ROOT"));
    let new = NewFile {
        name: "lost".to_owned(),
        size: 1,
        modified: None,
        overwrite: false,
    };
    let folder = Entry {
        location: Some("1".to_owned()),
        ..folder
    };
    assert!(drive.upload(&folder, &new, &Memory(vec![1])).await.is_err());
    assert!(server.seen().len() < 60, "{}", server.seen().len());
}
