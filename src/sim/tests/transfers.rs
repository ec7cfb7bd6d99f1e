//! Downloads and uploads of API 2.0.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::{Caller, header, id, start};
use crate::sim::{Action, FileServer, Options, Rule, World};

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

#[tokio::test]
async fn a_file_server_is_sent_the_downloads_of_an_import() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("ü")).unwrap();
    std::fs::write(folder.path().join("ü/a b.txt"), "here").unwrap();
    let file_server = FileServer {
        url: "http://files.test:81/below".to_owned(),
        folder: folder.path().to_owned(),
    };
    let options = Options {
        file_server: Some(file_server),
        ..Options::default()
    };
    let (simulator, caller) = start(World::import(folder.path()).unwrap(), options).await;
    let wanted = id(&simulator, "/ü/a b.txt");
    let location = caller.location(&wanted).await;
    assert_eq!(location, "http://files.test:81/below/%C3%BC/a%20b.txt");
    let host = simulator.endpoints().storage.trim_start_matches("http://");
    let storage = format!("storage = [\"{host}\", \"files.test:81\"]\n");
    let file = simulator.tenant_file_v2().0;
    assert!(file.contains(&storage), "{file}");
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
    simulator
        .world()
        .write(|world| world.drive_mut(0).unwrap().total = 100);
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
