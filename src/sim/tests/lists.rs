//! Lists of API 2.0: cursors, order, refusals.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{id, read_list, start};
use crate::sim::form::encode;
use crate::sim::{GeneratedSpec, ListEnd, Options, Sizes, TenantSpec, World};

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
    let early = caller
        .post(&path, &json!({"userId": member, "type": "READ"}))
        .send()
        .await
        .unwrap();
    assert_eq!(early.status(), 400, "the folder inherits its permissions");
    let enabled = caller
        .post(&format!("{path}/enable"), &json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(enabled.status(), 200);
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
