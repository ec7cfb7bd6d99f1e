//! API 2.0: lists, downloads, uploads, rights, limits.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::{Caller, header, id, start};
use crate::sim::form::encode;
use crate::sim::{
    Action, Change, GeneratedSpec, ListEnd, Options, Rule, Simulator, Sizes, TenantSpec, World,
};

/// Reads a list to its end; the items, and the number of pages.
async fn read_list(caller: &Caller, path: &str, key: &str) -> (Vec<Value>, usize) {
    let (mut items, mut pages) = (Vec::new(), 0);
    let mut cursor = String::new();
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let page = caller.json(&format!("{path}{joint}{cursor}")).await;
        pages += 1;
        items.extend(page[key].as_array().unwrap().clone());
        match page["responseMetaData"]["nextCursor"].as_str() {
            Some(next) if !next.is_empty() => cursor = format!("cursor={}", encode(next)),
            _ => return (items, pages),
        }
    }
}

#[tokio::test]
async fn a_list_of_a_thousand_is_read_by_cursors_in_any_order() {
    let spec = GeneratedSpec {
        files: 1_000,
        folders: 0,
        ..GeneratedSpec::default()
    };
    for list_end in [ListEnd::Absent, ListEnd::Empty, ListEnd::Null] {
        let options = Options {
            list_end,
            ..Options::default()
        };
        let (simulator, caller) = start(World::generated(&spec), options).await;
        let (items, pages) = read_list(&caller, "/users/me/drive/files?count=200", "files").await;
        let ids: BTreeSet<_> = items.iter().map(|item| item["fileId"].to_string()).collect();
        assert_eq!((items.len(), ids.len(), pages), (1_000, 1_000, 5));
        assert_eq!(simulator.calls().of("drive.list-root"), 5);
        let expected: Vec<_> = simulator
            .world()
            .read(|world| world.truth(0).map(|truth| truth.path).collect());
        let listed: Vec<_> = items
            .iter()
            .map(|item| item["filePath"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(listed, expected);
    }
    let (_simulator, caller) = start(World::generated(&spec), Options::default()).await;
    let (items, pages) = read_list(
        &caller,
        "/users/me/drive/files?count=100&orderBy=fileSize%20desc",
        "files",
    )
    .await;
    let sizes: Vec<_> = items
        .iter()
        .map(|item| item["fileSize"].as_u64().unwrap())
        .collect();
    assert_eq!((sizes.len(), pages), (1_000, 10));
    assert!(sizes.is_sorted_by(|one, other| one >= other));
}

#[tokio::test]
async fn lists_refuse_what_the_documents_do_not_allow() {
    let spec = GeneratedSpec {
        files: 30,
        folders: 1,
        ..GeneratedSpec::default()
    };
    let (simulator, caller) = start(World::generated(&spec), Options::default()).await;
    let folder = id(&simulator, "/folder-00000");
    let page = caller.json("/users/me/drive/files?count=10").await;
    let cursor = page["responseMetaData"]["nextCursor"]
        .as_str()
        .unwrap()
        .to_owned();
    for query in [
        "count=0".to_owned(),
        "count=201".to_owned(),
        "count=x".to_owned(),
        "orderBy=fileColour%20asc".to_owned(),
        "cursor=nonsense".to_owned(),
        // Sent without encoding, a plus sign arrives as a blank.
        format!("cursor={cursor}"),
    ] {
        let response = caller
            .get(&format!("/users/me/drive/files?{query}"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["code"], "INVALID_PARAMETER", "{query}");
        assert!(body["description"].is_string());
    }
    let foreign = format!(
        "/users/me/drive/files/{folder}/children?cursor={}",
        encode(&cursor)
    );
    assert_eq!(caller.get(&foreign).send().await.unwrap().status(), 400);
    let users = caller.json("/users?count=101").await;
    assert_eq!(users["users"], json!([]));
    assert_eq!(simulator.calls().with_status("drive.list-root", 400), 6);
}

#[tokio::test]
async fn downloads_redirect_to_a_host_that_wants_the_token() {
    let (simulator, caller) = start(World::demo(), Options::default()).await;
    let wanted = id(&simulator, "/写真/富士山.jpg");
    let location = caller.location(&wanted).await;
    assert!(location.starts_with(&simulator.endpoints().storage), "{location}");
    assert_eq!(caller.http.get(&location).send().await.unwrap().status(), 401);
    let whole = caller.download(&wanted).await;
    let truth = simulator
        .world()
        .read(|world| world.bytes(world.find(0, "/写真/富士山.jpg").unwrap()).unwrap());
    assert_eq!(whole, truth);

    let etag = header(&caller.get(&location).send().await.unwrap(), "etag");
    for (range, if_range, status, expected) in [
        ("bytes=1000-", etag.as_str(), 206, &whole[1_000..]),
        ("bytes=1000-1009", "", 206, &whole[1_000..1_010]),
        ("bytes=1000-", "\"other\"", 200, &whole[..]),
        ("bytes=99999999-", "", 416, &[]),
    ] {
        let mut request = caller.get(&location).header("Range", range);
        if !if_range.is_empty() {
            request = request.header("If-Range", if_range);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{range} {if_range}");
        assert_eq!(response.bytes().await.unwrap(), expected, "{range} {if_range}");
    }

    simulator.clock().advance_seconds(4_000);
    let late = caller.get(&location).send().await.unwrap();
    assert_eq!(late.status(), 403);
    assert_eq!(simulator.calls().with_status("storage.download", 401), 1);
    assert_eq!(simulator.calls().with_status("drive.download", 302), 2);
}

async fn ticket(caller: &Caller, body: Value) -> (u16, Value) {
    let response = caller.post("/users/me/drive/files", &body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn put(
    caller: &Caller,
    url: &Value,
    bytes: Vec<u8>,
    range: Option<&str>,
) -> reqwest::Result<reqwest::Response> {
    let mut request = caller
        .with_token(caller.http.put(url.as_str().unwrap()))
        .header("Content-Type", "application/octet-stream")
        .body(bytes);
    if let Some(range) = range {
        request = request.header("Content-Range", range);
    }
    request.send().await
}

#[tokio::test]
async fn uploads_keep_bytes_times_and_names() {
    let (simulator, caller) = start(World::demo(), Options::default()).await;
    let bytes = b"not a seeded stream".repeat(1_000);
    let body =
        json!({"fileName": "新しい.txt", "fileSize": bytes.len(), "modifiedTime": "2019-08-24T14:15:22Z"});
    let (status, first) = ticket(&caller, body.clone()).await;
    assert_eq!((status, first["offset"].as_u64()), (200, Some(0)));
    let no_token = caller.http.put(first["uploadUrl"].as_str().unwrap()).body("x");
    assert_eq!(no_token.send().await.unwrap().status(), 401);
    let made = put(&caller, &first["uploadUrl"], bytes.clone(), None)
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    assert_eq!(made["modifiedTime"], "2019-08-24T23:15:22+09:00");
    let file = made["fileId"].as_str().unwrap().to_owned();
    assert_eq!(caller.download(&file).await, bytes);

    let (status, taken) = ticket(&caller, body.clone()).await;
    assert_eq!((status, &taken["code"]), (409, &json!("ALREADY_EXISTS")));

    let mut suffix = body.clone();
    suffix["suffixOnDuplicate"] = true.into();
    let (_, second) = ticket(&caller, suffix).await;
    let form = Form::new().part("Filedata", Part::bytes(bytes.clone()).file_name("x"));
    let request = caller.with_token(
        caller
            .http
            .post(second["uploadUrl"].as_str().unwrap())
            .multipart(form),
    );
    let made: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(made["fileName"], "新しい(1).txt");

    let mut overwrite = body.clone();
    overwrite["overwrite"] = true.into();
    overwrite["fileSize"] = 3.into();
    let (_, third) = ticket(&caller, overwrite).await;
    let made: Value = put(&caller, &third["uploadUrl"], b"new".to_vec(), None)
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(made["fileId"], file.as_str());
    assert_eq!(caller.download(&file).await, b"new");
    let revisions = caller
        .json(&format!("/users/me/drive/files/{file}/revisions"))
        .await;
    let sizes: Vec<_> = revisions["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["fileSize"].as_u64())
        .collect();
    assert_eq!(sizes, [Some(bytes.len() as u64), Some(3)]);

    let (status, empty) = ticket(&caller, json!({"fileName": "empty", "fileSize": 0})).await;
    assert_eq!(status, 200);
    assert!(simulator.world().read(|world| world.find(0, "/empty").is_some()));
    assert_eq!(
        put(&caller, &empty["uploadUrl"], Vec::new(), None)
            .await
            .unwrap()
            .status(),
        201
    );

    for (body, status) in [
        (json!({"fileName": "n".repeat(201), "fileSize": 1}), 400),
        (json!({"fileName": "漢".repeat(200), "fileSize": 1}), 200),
        (json!({"fileName": "", "fileSize": 1}), 400),
        (json!({"fileName": "big", "fileSize": 10_737_418_241_u64}), 400),
        (
            json!({"fileName": "time", "fileSize": 1, "modifiedTime": "noon"}),
            400,
        ),
        (json!({"fileName": "size"}), 400),
    ] {
        assert_eq!(ticket(&caller, body.clone()).await.0, status, "{body}");
    }
    simulator.world().write(|world| world.set_total(0, 100));
    let (status, full) = ticket(&caller, json!({"fileName": "full", "fileSize": 200})).await;
    assert_eq!((status, &full["code"]), (403, &json!("QUOTA_EXCEEDED")));
}

#[tokio::test]
async fn a_broken_upload_is_resumed_where_it_broke() {
    let (simulator, caller) = start(World::demo(), Options::default()).await;
    let bytes: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    let body = json!({"fileName": "large.bin", "fileSize": bytes.len()});
    simulator
        .faults()
        .add(Rule::new("storage.upload", Action::ResetAfterBytes { bytes: 123_456 }).about("large.bin"))
        .unwrap();
    let (_, first) = ticket(&caller, body.clone()).await;
    assert!(
        put(&caller, &first["uploadUrl"], bytes.clone(), None)
            .await
            .is_err()
    );
    let mut resume = body.clone();
    resume["resume"] = true.into();
    let (_, second) = ticket(&caller, resume).await;
    assert_eq!(second["offset"], 123_456);
    let range = |from: usize| format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
    let wrong = put(
        &caller,
        &second["uploadUrl"],
        bytes[5..].to_vec(),
        Some(&range(5)),
    )
    .await
    .unwrap();
    assert_eq!(wrong.status(), 409);
    let made = put(
        &caller,
        &second["uploadUrl"],
        bytes[123_456..].to_vec(),
        Some(&range(123_456)),
    )
    .await
    .unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    assert_eq!(caller.download(made["fileId"].as_str().unwrap()).await, bytes);
    assert_eq!(simulator.calls().with_status("storage.upload", 0), 1);
    assert!(simulator.faults().unreached().is_empty());
}

#[tokio::test]
async fn rights_follow_the_member_of_the_token() {
    let mut world = World::demo();
    let hanako = world.member("hanako@example.com").unwrap();
    world.add_shared_drive("内密", crate::sim::AccessibleRange::Member);
    let options = Options {
        tokens: ["taro", "jimin", "hanako"]
            .iter()
            .map(|name| crate::sim::StaticToken {
                token: (*name).to_owned(),
                member: format!("{name}@example.com"),
            })
            .chain(Options::default().tokens)
            .collect(),
        ..Options::default()
    };
    let (simulator, _) = start(world, options).await;
    let caller = |token: &str| Caller {
        token: token.to_owned(),
        ..Caller::new(&simulator)
    };
    let group = simulator.world().read(|world| world.groups()[0].group_id.clone());
    let secret = simulator
        .world()
        .read(|world| world.drives().last().unwrap().owner.clone());
    let group_path = format!("/groups/{group}/folder/files");
    let secret_path = format!("/sharedrives/{}/files", encode(&secret));
    for (token, path, status, code) in [
        ("taro", "/users/me/drive/files", 200, ""),
        ("taro", "/users/taro@example.com/drive/files", 200, ""),
        (
            "taro",
            "/users/jimin@example.com/drive/files",
            403,
            "ACCESS_DENIED",
        ),
        ("jimin", group_path.as_str(), 200, ""),
        ("hanako", group_path.as_str(), 403, "ACCESS_DENIED"),
        ("taro", secret_path.as_str(), 200, ""),
        ("hanako", secret_path.as_str(), 403, "ACCESS_DENIED"),
        ("taro", "/sharedrives/@9/files", 404, "DRIVE_FOLDER_NOT_EXIST"),
        (
            "sim-service-account-token",
            "/users/me/drive/files",
            403,
            "FORBIDDEN",
        ),
        ("sim-service-account-token", "/users", 200, ""),
        ("nobody", "/users/me/drive/files", 401, "UNAUTHORIZED"),
        ("taro", "/users/me/drive/files/AAAA", 404, "NOT_FOUND"),
    ] {
        let response = caller(token).get(path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{token} {path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["code"].as_str().unwrap_or(""), code, "{token} {path}");
    }
    let drives = caller("hanako").json("/sharedrives").await;
    assert_eq!(drives["sharedrives"].as_array().unwrap().len(), 1);

    let shared = caller("jimin").json("/users/me/drive/sharedfolders").await;
    let folder = shared["result"][0]["sharedFolderId"].as_str().unwrap().to_owned();
    let (items, _) = read_list(
        &caller("jimin"),
        &format!("/users/me/drive/sharedfolders/{folder}/files"),
        "files",
    )
    .await;
    let names: Vec<_> = items
        .iter()
        .map(|item| item["fileName"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["会社案内.pptx", "ロゴ.zip", "手順"]);
    assert!(items.iter().all(|item| item["shared"] == true));
    let refused = caller("hanako").get(&format!("/users/me/drive/sharedfolders/{folder}/files"));
    assert_eq!(refused.send().await.unwrap().status(), 403);

    simulator
        .change(&Change::Suspend {
            member: "hanako@example.com".into(),
            on: true,
        })
        .unwrap();
    assert_eq!(
        caller("hanako")
            .get("/users/me/drive/files")
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    let users = caller("taro").json("/users").await;
    assert_eq!(users["users"][hanako]["isSuspended"], true);
}

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
async fn items_are_made_changed_trashed_and_brought_back() {
    let (simulator, caller) = start(World::demo(), Options::default()).await;
    let made = caller
        .post("/users/me/drive/files/createfolder", &json!({"fileName": "新規"}))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let folder = made.json::<Value>().await.unwrap()["fileId"]
        .as_str()
        .unwrap()
        .to_owned();
    let again = caller
        .post("/users/me/drive/files/createfolder", &json!({"fileName": "新規"}))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 409);
    let file = id(&simulator, "/メモ.txt");
    let on = |action: &str| format!("/users/me/drive/files/{file}/{action}");
    for (action, body, status) in [
        ("rename", json!({"fileName": "memo.txt"}), 200),
        ("move", json!({"toParentFileId": folder}), 200),
        ("copy", json!({"toParentFileId": folder}), 201),
        ("protect", json!({}), 200),
        ("lock", json!({}), 200),
        ("unlock", json!({}), 200),
        (
            "link",
            json!({"accessType": "ANYONE", "linkPermissionType": "DOWNLOAD", "password": "secret"}),
            201,
        ),
    ] {
        let response = caller.post(&on(action), &body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{action}");
    }
    let item = caller.json(&format!("/users/me/drive/files/{file}")).await;
    assert_eq!(item["filePath"], "/新規/memo.txt");
    assert_eq!(item["statuses"], json!(["PROTECTED"]));
    assert_eq!(caller.json(&on("link")).await["hasPassword"], true);
    let (copies, _) = read_list(
        &caller,
        &format!("/users/me/drive/files/{folder}/children"),
        "files",
    )
    .await;
    let names: Vec<_> = copies
        .iter()
        .map(|item| item["fileName"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["memo.txt", "memo(1).txt"]);

    let before = caller.json("/users/me/drive").await["quota"]["used"]
        .as_u64()
        .unwrap();
    let delete = caller.with_token(
        caller
            .http
            .delete(caller.address(&format!("/users/me/drive/files/{folder}"))),
    );
    assert_eq!(delete.send().await.unwrap().status(), 204);
    assert_eq!(
        caller
            .get(&format!("/users/me/drive/files/{file}"))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    let quota = caller.json("/users/me/drive").await["quota"].clone();
    assert_eq!(
        (quota["used"].as_u64(), quota["trash"].as_u64()),
        (Some(before - 22), Some(22))
    );
    let (trash, _) = read_list(&caller, "/users/me/drive/trash-files", "trashFiles").await;
    assert_eq!(
        (trash.len(), &trash[0]["fileName"], &trash[0]["originalPath"]),
        (1, &json!("新規"), &json!("/"))
    );
    let restore = format!("/users/me/drive/trash-files/{folder}/restore");
    assert_eq!(
        caller.post(&restore, &json!({})).send().await.unwrap().status(),
        200
    );
    assert_eq!(
        caller.json(&format!("/users/me/drive/files/{file}")).await["fileName"],
        "memo.txt"
    );
}

#[tokio::test]
async fn shared_drives_have_permissions_and_a_hundred_thousand_children_are_no_burden() {
    let mut world = World::tenant(&TenantSpec::default());
    let drive = world.drive("sharedrives/@2101000000000003").unwrap();
    world.generate(
        drive,
        &GeneratedSpec {
            files: 100_000,
            folders: 0,
            sizes: Sizes::Fixed(1),
            ..GeneratedSpec::default()
        },
    );
    let (simulator, caller) = start(world, Options::default()).await;
    let drive = "/sharedrives/%402101000000000003";
    let (items, pages) = read_list(&caller, &format!("{drive}/files?count=200"), "files").await;
    assert_eq!(pages, items.len().div_ceil(200));
    assert!(items.len() > 100_000);
    let folder = items.iter().find(|item| item["fileType"] == "FOLDER").unwrap()["fileId"]
        .as_str()
        .unwrap();
    let member = simulator.world().read(|world| world.members()[1].user_id.clone());
    let path = format!("{drive}/files/{folder}/permissions");
    let made = caller
        .post(&path, &json!({"userId": member, "type": "READ"}))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let listed = caller.json(&path).await;
    assert_eq!(listed["permissions"][0]["userId"], member.as_str());
    let item = caller.json(&format!("{drive}/files/{folder}")).await;
    assert_eq!(
        (&item["hasPermission"], &item["permissionRootFileId"]),
        (&json!(true), &item["fileId"])
    );
    simulator.stop().await;
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
    let (text, token) = simulator.tenant_file_v2();
    assert_eq!(token, "sim-member-token");
    let file: toml::Table = toml::from_str(&text).unwrap();
    assert_eq!(
        file["endpoints"]["api"].as_str(),
        Some(format!("{}/v1.0", caller.api).as_str())
    );
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
