//! The simulator over real connections, with an ordinary HTTP client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod classic;
mod control;
mod faults;
mod lists;
mod login;
mod rights;
mod transfers;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::form::encode;
use super::{Options, Simulator, World};

/// A client that follows no redirects, with the member's token.
struct Caller {
    http: Client,
    api: String,
    token: String,
}

impl Caller {
    fn new(simulator: &Simulator) -> Self {
        Self {
            http: Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            api: simulator.endpoints().api.clone(),
            token: simulator.token().to_owned(),
        }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.with_token(self.http.get(self.address(path)))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.with_token(self.http.post(self.address(path)).json(body))
    }

    fn address(&self, path: &str) -> String {
        if path.starts_with("http://") {
            path.to_owned()
        } else {
            format!("{}/v1.0{path}", self.api)
        }
    }

    fn with_token(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.token)
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// The bytes of a file, over the redirect.
    async fn download(&self, id: &str) -> Vec<u8> {
        let location = self.location(id).await;
        let response = self.get(&location).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.bytes().await.unwrap().to_vec()
    }

    async fn location(&self, id: &str) -> String {
        let response = self
            .get(&format!("/users/me/drive/files/{id}/download"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::FOUND);
        header(&response, "location")
    }
}

fn header(response: &Response, name: &str) -> String {
    response
        .headers()
        .get(name)
        .map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

async fn start(world: World, options: Options) -> (Simulator, Caller) {
    let simulator = Simulator::start(world, options).await.unwrap();
    let caller = Caller::new(&simulator);
    (simulator, caller)
}

/// The id of an entry of the first member's drive.
fn id(simulator: &Simulator, path: &str) -> String {
    simulator
        .world()
        .read(|world| world.id_of(world.find(0, path).unwrap()))
}

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
