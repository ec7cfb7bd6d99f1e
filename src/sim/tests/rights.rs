//! Rights and changes of items of API 2.0.

use serde_json::{Value, json};

use super::{Caller, id, read_list, start};
use crate::sim::form::encode;
use crate::sim::{Change, Options, World};

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
