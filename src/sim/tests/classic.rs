//! The classic generation: lists, uploads, downloads, errors.

use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::{Caller, start};
use crate::sim::{Action, GatewayErrors, GeneratedSpec, Options, Rule, Simulator, World};

fn dressed(request: RequestBuilder) -> RequestBuilder {
    request
        .bearer_auth("sim-member-token")
        .header("consumerKey", "sim-consumer-key")
}

fn address(simulator: &Simulator, path: &str) -> String {
    format!("{}/r/kr1simulator/drive{path}", simulator.endpoints().api)
}

async fn get(simulator: &Simulator, caller: &Caller, path: &str) -> (u16, Value) {
    let response = dressed(caller.http.get(address(simulator, path)))
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_tree_is_found_from_its_root() {
    let spec = GeneratedSpec {
        files: 130,
        folders: 2,
        depth: 1,
        ..GeneratedSpec::default()
    };
    let options = Options {
        classic_page: 50,
        ..Options::default()
    };
    let (simulator, caller) = start(World::generated(&spec), options).await;
    let (status, root) = get(&simulator, &caller, "/v2/files/root").await;
    assert_eq!(
        (status, &root["resourceType"], &root["resourcePath"]),
        (200, &json!("folder"), &json!("/"))
    );
    let location = root["resourceLocation"].as_i64().unwrap();
    let mut offset = 0;
    let mut items = Vec::new();
    loop {
        let path = format!("/rl/{location}/v2/files/root/children?offset={offset}&limit=200");
        let (status, page) = get(&simulator, &caller, &path).await;
        assert_eq!((status, page["offset"].as_u64()), (200, Some(offset)));
        let got = page["items"].as_array().unwrap().clone();
        offset += got.len() as u64;
        items.extend(got);
        if page["hasMore"] == false {
            break;
        }
    }
    let truth: Vec<_> = simulator.world().read(|world| {
        world
            .truth(0)
            .filter(|row| row.path.matches('/').count() == 1)
            .map(|row| (row.path[1..].to_owned(), row.modified, row.size))
            .collect()
    });
    let listed: Vec<_> = items
        .iter()
        .map(|item| {
            (
                item["resourceName"].as_str().unwrap().to_owned(),
                item["updateDate"].as_i64().unwrap(),
                item["resourceSize"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed, truth);
    assert_eq!(
        simulator.calls().of("classic.list"),
        (truth.len() as u64).div_ceil(50)
    );
    let folder = items
        .iter()
        .find(|item| item["resourceType"] == "folder")
        .unwrap();
    assert!(folder["resourcePath"].as_str().unwrap().ends_with('/'));
    let key = folder["resourceKey"].as_str().unwrap();
    assert_eq!(
        get(&simulator, &caller, &format!("/rl/{location}/v2/files/{key}"))
            .await
            .1["resourceKey"],
        key
    );
    assert_eq!(
        get(&simulator, &caller, &format!("/rl/1/v2/files/{key}")).await.0,
        404
    );
}

fn form(parent: &str, name: &str, overwrite: Option<&str>, bytes: &[u8]) -> Form {
    let form = Form::new()
        .text("toParentKey", parent.to_owned())
        .text("resourceName", name.to_owned());
    let form = match overwrite {
        Some(overwrite) => form.text("overWrite", overwrite.to_owned()),
        None => form,
    };
    form.part("FileData", Part::bytes(bytes.to_vec()).file_name("upload"))
}

#[tokio::test]
async fn files_go_up_and_come_down_again() {
    let (simulator, caller) = start(World::demo(), Options::default()).await;
    let made = dressed(
        caller
            .http
            .post(address(&simulator, "/rl/24101/v2/files/root/folder")),
    )
    .json(&json!({"resourceName": "受信"}))
    .send()
    .await
    .unwrap();
    assert_eq!(made.status(), 201);
    let folder = made.json::<Value>().await.unwrap()["resourceKey"]
        .as_str()
        .unwrap()
        .to_owned();
    let again = dressed(
        caller
            .http
            .post(address(&simulator, "/rl/24101/v2/files/root/folder")),
    )
    .json(&json!({"resourceName": "受信"}));
    assert_eq!(again.send().await.unwrap().status(), 409);

    let files = format!("{}/drive/rl/24101/v2/files", simulator.endpoints().storage);
    let upload = async |overwrite: Option<&str>, bytes: &[u8]| {
        let response = dressed(caller.http.post(&files))
            .header("X-DRIVE-API-TYPE", "reseller-api")
            .multipart(form(&folder, "文書.txt", overwrite, bytes))
            .send()
            .await
            .unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    // Rules about uploads know the name in the form; what was cut off leaves nothing behind.
    for action in [Action::ResetBeforeHeaders, Action::ResetAfterBytes { bytes: 1 }] {
        simulator
            .faults()
            .add(Rule::new("classic.upload", action).about("文書.txt"))
            .unwrap();
        let request = dressed(caller.http.post(&files))
            .header("X-DRIVE-API-TYPE", "reseller-api")
            .multipart(form(&folder, "文書.txt", None, b"one"));
        assert!(request.send().await.is_err());
    }
    assert_eq!(simulator.faults().fired(), 2);
    let (status, first) = upload(None, b"one").await;
    assert_eq!((status, &first["versionNo"]), (201, &json!(1)));
    assert_eq!(upload(Some("false"), b"two").await.0, 409);
    let (status, second) = upload(Some("true"), b"second").await;
    assert_eq!(
        (status, &second["versionNo"], &second["resourceKey"]),
        (201, &json!(2), &first["resourceKey"])
    );
    let key = second["resourceKey"].as_str().unwrap();
    let (_, versions) = get(&simulator, &caller, &format!("/rl/24101/v2/files/{key}/versions")).await;
    let sizes: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["resourceSize"].as_u64(), v["current"].as_bool()))
        .collect();
    assert_eq!(sizes, [(Some(6), Some(true)), (Some(3), Some(false))]);

    let download = format!("{files}/{key}/download");
    assert_eq!(
        dressed(caller.http.get(&download)).send().await.unwrap().status(),
        400
    );
    let request = || dressed(caller.http.get(&download)).header("X-DRIVE-API-TYPE", "reseller-api");
    assert_eq!(request().send().await.unwrap().bytes().await.unwrap(), "second");
    let part = request().header("Range", "bytes=3-").send().await.unwrap();
    assert_eq!(
        (part.status().as_u16(), part.bytes().await.unwrap()),
        (206, "ond".into())
    );
    assert_eq!(simulator.calls().of("classic.download"), 3);

    simulator.world().write(|world| {
        let node = world.find(0, "/受信").unwrap();
        world.trash(node, 5, None);
    });
    let (_, trash) = get(&simulator, &caller, "/rl/24101/v2/recycle-files?sort=name").await;
    assert_eq!(
        (
            &trash["items"][0]["resourceName"],
            &trash["items"][0]["deleteDate"]
        ),
        (&json!("受信"), &json!(5))
    );
    let restore = address(
        &simulator,
        &format!("/rl/24101/v2/recycle-files/{folder}/restore"),
    );
    let back: Value = dressed(caller.http.post(restore))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_ne!(back["resourceKey"], folder.as_str());
    assert!(
        simulator
            .world()
            .read(|world| world.find(0, "/受信/文書.txt").is_some())
    );
    let (_, groups) = get(&simulator, &caller, "/v2/group-folders").await;
    assert_eq!(groups["items"][0]["group"]["groupName"], "영업팀");
    let group = groups["items"][0]["resourceKey"].as_str().unwrap();
    let (status, children) = get(
        &simulator,
        &caller,
        &format!("/rl/24101/v2/files/{group}/children"),
    )
    .await;
    assert_eq!((status, children["items"].as_array().unwrap().len()), (200, 2));
}

#[tokio::test]
async fn the_gateway_refuses_in_both_spellings() {
    for (spelling, code, text) in [
        (GatewayErrors::ErrorMessage, "errorCode", "errorMessage"),
        (GatewayErrors::Message, "code", "message"),
    ] {
        let options = Options {
            gateway_errors: spelling,
            ..Options::default()
        };
        let (simulator, caller) = start(World::demo(), options).await;
        let root = address(&simulator, "/v2/files/root");
        let other = root.replace("kr1simulator", "kr1other");
        let quota = format!("{}/kr1simulator/drive/getQuota/v1", simulator.endpoints().api);
        let bare = |address: &str| caller.http.get(address).header("consumerKey", "sim-consumer-key");
        for (request, status, number) in [
            (bare(&root), 401, "028"),
            (
                bare(&root).header("Authorization", "sim-member-token"),
                401,
                "029",
            ),
            (bare(&root).bearer_auth("old"), 401, "024"),
            (caller.http.get(&root).bearer_auth("sim-member-token"), 403, "042"),
            (dressed(caller.http.get(&other)), 403, "041"),
            (dressed(caller.http.get(&quota)), 404, "001"),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            let body: Value = response.json().await.unwrap();
            assert_eq!(body[code], number, "{body}");
            assert!(body[text].is_string(), "{body}");
        }
    }
}
