//! API 2.0 against a scripted server: addresses, listings, roots, uploads and details.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use crate::api::testing::{Memory, Reply, Seen, Server, file, root};
use crate::drive::{Detail, Error, ErrorKind, NewFile, PageToken};
use crate::entry::{Access, Entry};
use crate::id::{DriveId, FileId};
use crate::monitor::Counter;

#[tokio::test]
async fn listings_are_read_page_by_page_with_encoded_cursors() {
    let server = Server::start(|_, seen, _| {
        if seen.target.contains("cursor") {
            Reply::json(
                200,
                &json!({"files": [{"fileId": "z", "fileName": "z"}], "responseMetaData": {"nextCursor": ""}}),
            )
        } else {
            let files: Vec<Value> = (0..199)
                .map(|n| json!({"fileId": format!("f{n}"), "fileName": "n", "parentFileId": "realroot"}))
                .chain([json!({"fileName": "lost"})])
                .collect();
            Reply::json(
                200,
                &json!({"files": files, "responseMetaData": {"nextCursor": "a+b/c=="}}),
            )
        }
    })
    .await;
    let drive = server.drive();
    let first = drive.children(&root("sharedrives/@21"), None).await.unwrap();
    assert_eq!(
        (first.entries.len(), first.broken.len(), first.full),
        (199, 1, true)
    );
    assert_eq!(first.broken[0].reason, "no-id");
    let next = first.next.unwrap();
    assert_eq!(next, PageToken("a+b/c==".to_owned()));
    let mut folder = first.entries[0].clone();
    folder.id = FileId::new("x=/");
    let last = drive.children(&folder, Some(&next)).await.unwrap();
    assert_eq!((last.entries.len(), last.next, last.full), (1, None, false));
    assert_eq!(last.entries[0].parent_id, Some(FileId::new("x=/")));
    assert_eq!(
        server.lines(),
        [
            "GET /v1.0/sharedrives/%4021/files?count=200",
            "GET /v1.0/sharedrives/%4021/files/x%3D%2F/children?count=200&cursor=a%2Bb%2Fc%3D%3D"
        ]
    );
}

fn told(roots: &[crate::entry::Root]) -> Vec<String> {
    roots
        .iter()
        .map(|root| {
            let access = match &root.access {
                Access::Readable => "readable",
                Access::Refused { reason, .. } => reason,
            };
            let used = root.quota.and_then(|quota| quota.used).unwrap_or_default();
            format!("{} '{}' {used} {access}", root.entry.drive, root.name)
        })
        .collect()
}

#[tokio::test]
async fn scope_words_become_roots() {
    let server = Server::start(|_, seen, _| match seen.path() {
        "/v1.0/users/me/drive" => Reply::json(200, &json!({"quota": {"total": 9, "used": 4, "trash": 1}})),
        "/v1.0/sharedrives" => Reply::json(
            200,
            &json!({"sharedrives": [
                {"sharedriveId": "@1", "name": "営業", "quota": {"used": 7}},
                {"sharedriveId": "@2", "name": "Other"},
                {"name": "no id"},
            ]}),
        ),
        "/v1.0/sharedrives/%401" => Reply::json(200, &json!({"sharedriveId": "@1", "name": "営業"})),
        "/v1.0/groups" if seen.target.contains("cursor=2") => Reply::json(
            200,
            &json!({"groups": [
            {"groupId": "g3", "groupName": "three"},
        ], "responseMetaData": {"nextCursor": null}}),
        ),
        "/v1.0/groups" => Reply::json(
            200,
            &json!({"groups": [
            {"groupId": "g1", "groupName": "One", "useFolder": true},
            {"groupId": "g2", "groupName": "two", "useFolder": false},
        ], "responseMetaData": {"nextCursor": "2"}}),
        ),
        "/v1.0/users/taro%40x.jp/drive" => {
            Reply::json(403, &json!({"code": "ACCESS_DENIED", "description": "no"}))
        }
        "/v1.0/users/taro%40x.jp" => Reply::json(200, &json!({"isDeleted": true})),
        "/v1.0/users/me/drive/sharedfolders" => Reply::json(
            200,
            &json!({"result": [
                {"sharedFolderId": "5_D_9", "sharedFolderName": "from a friend"},
            ]}),
        ),
        _ => Reply::json(
            404,
            &json!({"code": "DRIVE_FOLDER_NOT_EXIST", "description": "no"}),
        ),
    })
    .await;
    let (drive, tally) = server.connect(server.config());
    let table: [(&str, &[&str], usize); 9] = [
        ("me", &["me 'me' 4 readable"], 1),
        (
            "sharedrives/*",
            &[
                "sharedrives/@1 '営業' 7 readable",
                "sharedrives/@2 'Other' 0 readable",
                "sharedrives/(no id) 'sharedrives/(no id)' 0 protocol",
            ],
            1,
        ),
        ("sharedrives/営*", &["sharedrives/@1 '営業' 7 readable"], 1),
        ("sharedrives/@1", &["sharedrives/@1 '営業' 0 readable"], 1),
        ("sharedrives/@9", &["sharedrives/@9 '@9' 0 not-found"], 1),
        (
            "groups/*",
            &["groups/g1 'One' 0 readable", "groups/g3 'three' 0 readable"],
            2,
        ),
        ("groups/ONE*", &["groups/g1 'One' 0 readable"], 2),
        ("users/taro@x.jp", &["users/taro@x.jp 'taro@x.jp' 0 deleted"], 2),
        (
            "me/sharedfolders/*",
            &["me/sharedfolders/5_D_9 'from a friend' 0 readable"],
            1,
        ),
    ];
    for (scope, expected, calls) in table {
        let before = server.lines().len();
        let roots = drive.roots(&scope.parse().unwrap()).await.unwrap();
        assert_eq!(told(&roots), expected, "{scope}");
        assert!(roots.iter().all(|root| root.entry.id.is_root()));
        assert_eq!(server.lines().len() - before, calls, "{scope}");
    }
    assert_eq!(tally.get(Counter::Retries), 0);
    assert!(
        server
            .lines()
            .contains(&"GET /v1.0/groups?count=100&cursor=2".to_owned())
    );
}

#[tokio::test]
async fn the_domain_of_the_tenant_file_is_asked_of_the_lists_that_know_domains() {
    let server = Server::start(|_, seen, _| match seen.path() {
        "/v1.0/groups" => Reply::json(200, &json!({"groups": null})),
        _ => Reply::json(200, &json!({"sharedrives": []})),
    })
    .await;
    let mut config = server.config();
    config.domain_id = Some(10_000_001);
    let (drive, _) = server.connect(config);
    for scope in ["groups/*", "sharedrives/*"] {
        assert!(drive.roots(&scope.parse().unwrap()).await.unwrap().is_empty());
    }
    assert_eq!(
        server.lines(),
        [
            "GET /v1.0/groups?count=100&domainId=10000001",
            "GET /v1.0/sharedrives"
        ]
    );
}

#[tokio::test]
async fn a_call_that_acts_without_a_body_tells_that_it_has_none() {
    let server = Server::start(|_, _, _| Reply::json(200, &json!({}))).await;
    let folder = Entry {
        kind: crate::entry::Kind::Folder,
        ..Entry::root(DriveId::new("sharedrives/@1"), FileId::new("f"))
    };
    server
        .drive()
        .change_sharing(&folder, &crate::drive::SharingChange::Restrict)
        .await
        .unwrap();
    let seen = server.seen();
    let enable = seen.iter().find(|seen| seen.method == "POST").unwrap();
    assert_eq!(enable.header("content-length"), Some("0"), "{}", enable.line());
}

#[tokio::test]
async fn the_quota_of_my_drive_is_no_condition() {
    let server = Server::start(|_, seen, _| match seen.path() {
        "/v1.0/users/me/drive" => Reply::json(403, &json!({"code": "X"})),
        _ => Reply::json(200, &json!({"files": []})),
    })
    .await;
    let roots = server.drive().roots(&"me".parse().unwrap()).await.unwrap();
    assert_eq!(roots[0].access, Access::Readable);
    let server = Server::start(|_, _, _| Reply::new(401, "")).await;
    let error = server.drive().roots(&"me".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_list_that_turns_in_a_circle_is_an_error() {
    let server = Server::start(|_, _, _| {
        Reply::json(
            200,
            &json!({"groups": [], "responseMetaData": {"nextCursor": "same"}}),
        )
    })
    .await;
    let error = server
        .drive()
        .roots(&"groups/*".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert_eq!(server.lines().len(), 2);
}

fn new_file(size: u64) -> NewFile {
    NewFile {
        name: "報告.txt".to_owned(),
        size,
        modified: "2019-08-24T14:15:22.5Z".parse().ok(),
        overwrite: false,
    }
}

fn stored(size: u64) -> Value {
    json!({"fileId": "new", "fileName": "報告.txt", "fileSize": size, "fileType": "DOC"})
}

fn listing(files: &[Value]) -> Reply {
    Reply::json(200, &json!({"files": files}))
}

/// Uploads ten bytes (or fewer) to a server whose ticket, storage and listing answer as told.
async fn upload(
    new: &NewFile,
    script: impl Fn(&str, usize, &Seen) -> Reply + Send + Sync + 'static,
) -> (Result<Entry, Error>, Server) {
    let server = Server::start(move |address, seen, count| {
        let place = match (seen.method.as_str(), seen.path()) {
            ("POST", "/v1.0/users/me/drive/files") => "ticket",
            ("PUT", "/put") => "put",
            ("GET", _) => "look",
            _ => panic!("{}", seen.line()),
        };
        let reply = script(place, count, seen);
        if place == "ticket" && count < 50 && format!("{reply:?}").contains("OFFSET") {
            let offset = count.checked_sub(1).map_or(0, |_| 4);
            return Reply::json(
                200,
                &json!({"uploadUrl": format!("{address}/put?param=x"), "offset": offset}),
            );
        }
        reply
    })
    .await;
    let source = Memory(b"0123456789"[..new.size.min(10) as usize].to_vec());
    let answer = server.drive().upload(&root("me"), new, &source).await;
    (answer, server)
}

/// A ticket: at offset 0 the first time, at 4 from then on.
fn ticket() -> Reply {
    Reply::new(200, "").with("x", "OFFSET")
}

#[tokio::test]
async fn an_upload_asks_for_a_ticket_and_puts_the_bytes() {
    let (answer, server) = upload(&new_file(10), |place, _, _| match place {
        "ticket" => ticket(),
        _ => Reply::json(201, &stored(10)),
    })
    .await;
    let entry = answer.unwrap();
    assert_eq!((entry.id.as_str(), entry.size), ("new", Some(10)));
    let seen = server.seen();
    assert_eq!(
        server.lines(),
        ["POST /v1.0/users/me/drive/files", "PUT /put?param=x"]
    );
    assert_eq!(
        seen[0].json(),
        json!({"fileName": "報告.txt", "fileSize": 10, "modifiedTime": "2019-08-24T14:15:22Z",
            "overwrite": false, "suffixOnDuplicate": false, "resume": false})
    );
    assert_eq!(seen[1].body, b"0123456789");
    assert_eq!(seen[1].header("authorization"), Some("Bearer t1"));
    assert_eq!(seen[1].header("content-type"), Some("application/octet-stream"));
    assert_eq!(seen[1].header("content-length"), Some("10"));
    assert_eq!(seen[1].header("content-range"), None);
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_looking() {
    let (answer, server) = upload(&new_file(10), |place, _, _| match place {
        "ticket" => ticket(),
        "put" => Reply::nothing(),
        _ => listing(&[stored(10)]),
    })
    .await;
    assert_eq!(answer.unwrap().id.as_str(), "new");
    assert_eq!(server.lines().len(), 3);
    assert_eq!(
        server
            .lines()
            .iter()
            .filter(|line| line.starts_with("PUT"))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_broken_upload_is_resumed_at_the_offset_of_the_service() {
    for broken in [Reply::nothing(), Reply::new(503, ""), Reply::new(410, "")] {
        let (answer, server) = upload(&new_file(10), move |place, count, _| match (place, count) {
            ("ticket", _) => ticket(),
            ("put", 0) => broken.clone(),
            ("put", _) => Reply::json(201, &stored(10)),
            _ => listing(&[]),
        })
        .await;
        answer.unwrap();
        let puts: Vec<Seen> = server
            .seen()
            .into_iter()
            .filter(|seen| seen.method == "PUT")
            .collect();
        assert_eq!(puts.len(), 2);
        assert_eq!(puts[1].body, b"456789");
        assert_eq!(puts[1].header("content-range"), Some("bytes 4-9/10"));
        let tickets: Vec<Value> = server
            .seen()
            .iter()
            .filter(|seen| seen.method == "POST")
            .map(|seen| seen.json()["resume"].clone())
            .collect();
        assert_eq!(tickets, [json!(false), json!(true)]);
    }
}

#[tokio::test]
async fn a_rest_that_does_not_fit_begins_the_upload_anew() {
    for refused in [409, 400] {
        let (answer, server) = upload(&new_file(10), move |place, count, _| match (place, count) {
            ("ticket", _) => ticket(),
            ("put", 0) => Reply::nothing(),
            ("put", 1) => Reply::json(refused, &json!({"code": "OFFSET"})),
            ("put", _) => Reply::json(201, &stored(10)),
            _ => listing(&[]),
        })
        .await;
        answer.unwrap();
        let seen = server.seen();
        let bodies: Vec<&[u8]> = seen
            .iter()
            .filter(|seen| seen.method == "PUT")
            .map(|seen| seen.body.as_slice())
            .collect();
        assert_eq!(
            bodies,
            [
                b"0123456789".as_slice(),
                b"456789".as_slice(),
                b"0123456789".as_slice()
            ]
        );
    }
}

#[tokio::test]
async fn a_conflict_is_one_unless_our_own_answer_was_lost() {
    let conflict = || Reply::json(409, &json!({"code": "CONFLICT"}));
    let (answer, server) = upload(&new_file(10), move |_, _, _| conflict()).await;
    assert_eq!(answer.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(server.lines().len(), 1);
    // The answer was lost, the look came too early, and the second ticket meets the file.
    let (answer, _) = upload(&new_file(10), move |place, count, _| match (place, count) {
        ("ticket", 0) => ticket(),
        ("ticket", _) => conflict(),
        ("put", _) => Reply::nothing(),
        (_, 0) => listing(&[]),
        _ => listing(&[stored(10)]),
    })
    .await;
    assert_eq!(answer.unwrap().id.as_str(), "new");
    // What stands there is not ours.
    let (answer, _) = upload(&new_file(10), move |place, count, _| match (place, count) {
        ("ticket", 0) => ticket(),
        ("ticket", _) => conflict(),
        ("put", _) => Reply::nothing(),
        _ => listing(&[stored(11)]),
    })
    .await;
    assert_eq!(answer.unwrap_err().kind, ErrorKind::Conflict);
}

#[tokio::test]
async fn empty_files_are_found_whoever_made_them() {
    // The ticket makes the item, and the empty put is refused or brings no body.
    for put in [
        Reply::new(404, ""),
        Reply::new(200, ""),
        Reply::json(201, &stored(0)),
    ] {
        let (answer, server) = upload(&new_file(0), move |place, _, _| match place {
            "ticket" => ticket(),
            "put" => put.clone(),
            _ => listing(&[stored(0)]),
        })
        .await;
        assert_eq!(answer.unwrap().size, Some(0));
        assert_eq!(server.seen()[1].header("content-length"), Some("0"));
    }
}

#[tokio::test]
async fn uploads_that_cannot_be_are_refused_with_their_reason() {
    let long = NewFile {
        name: "長".repeat(201),
        ..new_file(1)
    };
    let huge = new_file(10_737_418_241);
    let short = new_file(20);
    let table: [(&NewFile, ErrorKind, usize); 3] = [
        (&long, ErrorKind::Unsupported, 0),
        (&huge, ErrorKind::TooLarge, 0),
        (&short, ErrorKind::Source, 1),
    ];
    for (new, kind, requests) in table {
        let (answer, server) = upload(new, |place, _, _| match place {
            "ticket" => ticket(),
            _ => Reply::json(201, &stored(9)),
        })
        .await;
        assert_eq!(answer.unwrap_err().kind, kind);
        assert_eq!(server.lines().len(), requests);
    }
    // Who uploads is told of the file that is there, so that it can be removed.
    let (answer, _) = upload(&new_file(10), |place, _, _| match place {
        "ticket" => ticket(),
        _ => Reply::json(201, &stored(9)),
    })
    .await;
    assert_eq!(answer.unwrap().size, Some(9));
    let (answer, _) = upload(&new_file(10), |_, _, _| {
        Reply::json(400, &json!({"code": "DRIVE_QUOTA_EXCEEDED"}))
    })
    .await;
    assert_eq!(answer.unwrap_err().kind, ErrorKind::QuotaFull);
    let (answer, server) = upload(&new_file(10), |_, _, _| {
        Reply::json(200, &json!({"uploadUrl": "https://evil.example.com/x"}))
    })
    .await;
    assert_eq!(answer.unwrap_err().kind, ErrorKind::Protocol);
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn details_are_the_services_own_objects() {
    let server = Server::start(|_, seen, _| match seen.path() {
        "/v1.0/users/me/drive/files/a/revisions" => {
            Reply::json(200, &json!({"revisions": [{"revisionId": "0"}]}))
        }
        "/v1.0/users/me/drive/trash-files" => {
            Reply::json(200, &json!({"trashFiles": [{"trashFileId": "x"}]}))
        }
        "/v1.0/sharedrives/%4021/permissions" => {
            Reply::json(200, &json!({"permissions": [{"permissionId": "p"}]}))
        }
        "/v1.0/users/me/drive/files/b/link" => Reply::json(200, &json!({"accessType": "ANYONE"})),
        "/v1.0/users/me/drive/files/c/link" => Reply::new(204, ""),
        "/v1.0/users/me/drive/files/d/link" => Reply::new(200, "null"),
        _ => Reply::json(404, &json!({"code": "NOT_FOUND"})),
    })
    .await;
    let drive = server.drive();
    let (a, b) = (file("a", 1), file("b", 1));
    let link = drive.detail(&b, Detail::Link).await.unwrap();
    assert_eq!(link, [json!({"accessType": "ANYONE"})]);
    assert!(drive.detail(&a, Detail::Link).await.unwrap().is_empty());
    for nothing in ["c", "d"] {
        let told = drive.detail(&file(nothing, 1), Detail::Link).await.unwrap();
        assert!(told.is_empty(), "{nothing}");
    }
    let revisions = drive.detail(&a, Detail::Revisions).await.unwrap();
    assert_eq!(revisions, [json!({"revisionId": "0"})]);
    let trash = drive.detail(&root("me"), Detail::Trash).await.unwrap();
    assert_eq!(trash, [json!({"trashFileId": "x"})]);
    let permissions = drive
        .detail(&root("sharedrives/@21"), Detail::Permissions)
        .await
        .unwrap();
    assert_eq!(permissions, [json!({"permissionId": "p"})]);
    let before = server.lines().len();
    for (entry, detail) in [
        (&a, Detail::Permissions),
        (&a, Detail::Share),
        (&a, Detail::Trash),
        (&root("me"), Detail::Link),
        (&root("groups/g"), Detail::Permissions),
        (&root("me/sharedfolders/5"), Detail::Trash),
    ] {
        let error = drive.detail(entry, detail).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
    }
    assert_eq!(server.lines().len(), before);
}

#[tokio::test]
async fn removal_move_and_rename_do_what_they_say() {
    let server = Server::start(|_, seen, count| match (seen.method.as_str(), seen.path()) {
        ("DELETE", _) if count == 0 => Reply::nothing(),
        ("DELETE", _) => Reply::new(404, ""),
        ("POST", "/v1.0/users/me/drive/files/a/move") => Reply::new(204, ""),
        ("POST", "/v1.0/users/me/drive/files/a/rename") => {
            Reply::json(200, &json!({"fileId": "a", "fileName": seen.json()["fileName"]}))
        }
        ("GET", "/v1.0/users/me/drive/files") => {
            listing(&[json!({"fileId": "q", "fileName": "q", "parentFileId": "realroot"})])
        }
        _ => Reply::json(200, &json!({"fileId": "a", "fileName": "a.txt", "fileSize": 1})),
    })
    .await;
    let drive = server.drive();
    let a = file("a", 1);
    // The first answer was lost; that it is gone the second time is what was wanted.
    drive.remove(&a).await.unwrap();
    let now = drive
        .relocate(&a, Some(&root("me")), Some("b.txt"))
        .await
        .unwrap();
    assert_eq!(now.name, "b.txt");
    assert_eq!(now.parent_id, Some(FileId::new("realroot")));
    let moved = server
        .seen()
        .into_iter()
        .find(|seen| seen.path().ends_with("/move"))
        .unwrap();
    assert_eq!(moved.json(), json!({"toParentFileId": "realroot"}));
    let error = drive
        .relocate(&a, Some(&root("groups/g")), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert_eq!(drive.stat(&a).await.unwrap().size, Some(1));
    let error = drive.stat(&root("key:1/x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}
