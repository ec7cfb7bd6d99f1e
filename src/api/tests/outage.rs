//! A host that answered and cannot be reached any more: what meets that waits, and loses no try.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use serde_json::json;

use crate::api::Dialect;
use crate::api::testing::{Memory, Reply, Seen, Server, collect, file, root};
use crate::drive::{ErrorKind, NewFile};
use crate::monitor::{Counter, Tally};
use crate::secret::Secret;

/// More than the four tries of the tests' budget.
const MANY: u64 = 10;

const CONTENT: &[u8] = b"0123456789";

/// Lets `work` meet the closed door of `address` many times, and opens it again with `script`.
async fn away<T>(
    work: impl Future<Output = T>,
    tally: &Tally,
    operation: &str,
    address: &str,
    script: impl Fn(&str, &Seen, usize) -> Reply + Send + Sync + 'static,
) -> (T, Server) {
    let mut work = pin!(work);
    let failed = || tally.calls().get(operation).map_or(0, |count| count.failed);
    let before = failed();
    let back = async {
        while failed() < before + MANY {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Server::start_at(address, script).await
    };
    let server = tokio::select! {
        _ = &mut work => panic!("it did not wait"),
        server = back => server,
    };
    (work.await, server)
}

/// Closes a server's door, and waits until it is shut.
async fn close(server: Server) -> String {
    let address = server.address.clone();
    drop(server);
    let place = address.trim_start_matches("http://");
    while tokio::net::TcpStream::connect(place).await.is_ok() {
        tokio::task::yield_now().await;
    }
    address
}

fn page(_: &str, _: &Seen, _: usize) -> Reply {
    Reply::json(200, &json!({"files": []}))
}

fn bytes(_: &str, _: &Seen, _: usize) -> Reply {
    Reply::new(200, CONTENT)
}

fn new_file() -> NewFile {
    NewFile {
        name: "a.txt".to_owned(),
        size: 10,
        modified: None,
        overwrite: false,
    }
}

#[tokio::test]
async fn a_call_waits_for_its_host() {
    let server = Server::start(page).await;
    let (drive, tally) = server.connect(server.config());
    let root = root("me");
    drive.children(&root, None).await.unwrap();
    let address = close(server).await;
    let listing = drive.children(&root, None);
    let (listed, server) = away(listing, &tally, "drive.list-root", &address, page).await;
    listed.unwrap();
    assert_eq!(server.lines().len(), 1);
    assert!(tally.get(Counter::Retries) >= MANY);
}

#[tokio::test]
async fn a_host_that_stays_away_is_an_error_in_the_end() {
    let server = Server::start(page).await;
    let mut config = server.config();
    config.retry.outage = Duration::from_millis(1);
    let (drive, _) = server.connect(config);
    drive.children(&root("me"), None).await.unwrap();
    close(server).await;
    let error = drive.children(&root("me"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable { retry_after: None });
    assert_eq!(error.attempts, 4);
}

#[tokio::test]
async fn a_download_waits_for_the_storage_host() {
    let storage = Server::start(bytes).await;
    let target = format!("{}/bytes", storage.address);
    let server = Server::start(move |_, _, _| Reply::redirect(&target)).await;
    let mut config = server.config();
    config.endpoints.storage = vec![storage.address.trim_start_matches("http://").to_owned()];
    let (drive, tally) = server.connect(config);
    collect(drive.download(&file("a", 10), 0).await.unwrap())
        .await
        .0
        .unwrap();
    let address = close(storage).await;
    let wanted = file("b", 10);
    let load = async { collect(drive.download(&wanted, 0).await.unwrap()).await.0 };
    let (loaded, storage) = away(load, &tally, "storage.download", &address, bytes).await;
    assert_eq!(loaded.unwrap(), CONTENT);
    assert_eq!(storage.lines(), ["GET /bytes"]);
    assert_eq!(server.lines().len(), 2, "the address is still good");
}

#[tokio::test]
async fn an_upload_waits_for_the_storage_host() {
    let stored = |_: &str, _: &Seen, _: usize| {
        let file = json!({"fileId": "new", "fileName": "a.txt", "fileSize": 10, "fileType": "DOC"});
        Reply::json(201, &file)
    };
    let storage = Server::start(stored).await;
    let target = format!("{}/put", storage.address);
    let server =
        Server::start(move |_, _, _| Reply::json(200, &json!({"uploadUrl": target, "offset": 0}))).await;
    let mut config = server.config();
    config.endpoints.storage = vec![storage.address.trim_start_matches("http://").to_owned()];
    let (drive, tally) = server.connect(config);
    let (root, new, source) = (root("me"), new_file(), Memory(CONTENT.to_vec()));
    drive.upload(&root, &new, &source).await.unwrap();
    let address = close(storage).await;
    let sending = drive.upload(&root, &new, &source);
    let (sent, storage) = away(sending, &tally, "storage.upload", &address, stored).await;
    assert_eq!(sent.unwrap().id.as_str(), "new");
    assert_eq!(storage.lines(), ["PUT /put"]);
    assert_eq!(storage.seen()[0].body, CONTENT);
    let asked = server.lines();
    assert!(
        asked.iter().all(|line| line.starts_with("POST")),
        "nothing was sent, so there is nothing to look for: {asked:?}"
    );
}

#[tokio::test]
async fn an_upload_waits_for_the_file_host_of_the_classic_api() {
    let taken = |_: &str, _: &Seen, _: usize| Reply::json(201, &json!({"resourceKey": "n"}));
    let storage = Server::start(taken).await;
    let server = Server::start(|_, seen, _| match seen.path() {
        "/r/kr1x/drive/v2/files/root" => Reply::json(
            200,
            &json!({"resourceKey": "ROOT", "resourceLocation": 5, "resourceType": "folder"}),
        ),
        "/r/kr1x/drive/rl/5/v2/files/n" => Reply::json(
            200,
            &json!({"resourceKey": "n", "resourceName": "a.txt", "resourceSize": 10, "resourceType": "file"}),
        ),
        other => panic!("{other}"),
    })
    .await;
    let mut config = server.config();
    config.dialect = Dialect::Classic {
        api_id: "kr1x".to_owned(),
    };
    config.endpoints.api = server.address.clone();
    config.endpoints.file = Some(storage.address.clone());
    config.endpoints.storage = Vec::new();
    config.credentials.consumer_key = Some(Secret::new("ckey"));
    let (drive, tally) = server.connect(config);
    let (root, new, source) = (root("me"), new_file(), Memory(CONTENT.to_vec()));
    drive.upload(&root, &new, &source).await.unwrap();
    let address = close(storage).await;
    let sending = drive.upload(&root, &new, &source);
    let (sent, storage) = away(sending, &tally, "classic.upload", &address, taken).await;
    assert_eq!(sent.unwrap().id.as_str(), "n");
    assert_eq!(storage.lines().len(), 1);
}
