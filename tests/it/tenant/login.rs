//! `drivejob login`, by a browser on this machine or by pasting, against both generations' login pages.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use drivejob::report::Status;
use drivejob::sim::Options;
use reqwest::header::LOCATION;

use super::{Town, small_drives};

/// A login that waits for its answer.
struct Waiting {
    child: Child,
    err: BufReader<ChildStderr>,
    said: String,
    address: String,
}

/// How a login ended: its code and all that it said.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Waiting {
    fn start(town: &Town, tenant: &Path, paste: bool) -> Waiting {
        let options = town.simulator.options();
        let mut command = Command::new(env!("CARGO_BIN_EXE_drivejob"));
        command
            .arg("login")
            .arg(tenant)
            .args(paste.then_some("--paste"))
            .env("DRIVEJOB_STATE_DIR", town.path("state"))
            .env("SECRET", &options.client_secret)
            .env("CONSUMER", &options.consumer_key)
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(err.read_line(&mut line).unwrap() > 0, "{said}");
            said.push_str(&line);
            if line.trim_start().starts_with("http") {
                break line.trim().to_owned();
            }
        };
        Waiting {
            child,
            err,
            said,
            address,
        }
    }

    fn paste(&mut self, text: &str) {
        let mut input = self.child.stdin.take().unwrap();
        writeln!(input, "{text}").unwrap();
    }

    fn end(mut self) -> Ended {
        let mut out = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        self.err.read_to_string(&mut self.said).unwrap();
        Ended {
            code: self.child.wait().unwrap().code(),
            out,
            err: self.said,
        }
    }
}

/// Where the login page sends the browser once the person has logged in.
async fn log_in(address: &str) -> String {
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let answer = browser.get(address).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

async fn open(address: &str) -> (u16, String) {
    let browser = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = browser.get(address).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A tenant file with a redirect to a port that is free.
fn tenant(town: &Town) -> std::path::PathBuf {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let auth =
        format!("token-store = \"acme.tokens\"\nredirect-uri = \"http://localhost:{port}/callback\"\n");
    town.write("acme.toml", &town.tenant(&auth))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_in_a_browser_opens_the_drives_for_ninety_days() {
    let town = Town::new(small_drives(1, 0, 0), Options::default()).await;
    let waiting = Waiting::start(&town, &tenant(&town), false);
    let redirected = log_in(&waiting.address).await;
    let (status, page) = open(&redirected).await;
    let ended = waiting.end();
    assert_eq!((ended.code, status), (Some(0), 200), "{}", ended.err);
    assert!(page.contains("You can close this page"), "{page}");
    assert!(
        ended.out.starts_with("logged in: the tokens are in "),
        "{}",
        ended.out
    );

    let store = std::fs::read_to_string(town.path("acme.tokens")).unwrap();
    let tokens: serde_json::Value = serde_json::from_str(&store).unwrap();
    for name in ["refresh_token", "access_token"] {
        let token = tokens[name].as_str().unwrap();
        assert!(
            !format!("{}{}{page}", ended.out, ended.err).contains(token),
            "{name} is shown"
        );
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(town.path("acme.tokens"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(town.calls("oauth.token"), 1, "the code is used once");

    let job = town.job("me", "audit", "acme.toml", "[\"me\"]", "");
    let first = town.run(&job).await;
    assert_eq!((first.status, first.warnings), (Status::Complete, Vec::new()));
    assert_eq!(
        town.calls("oauth.token"),
        1,
        "the access token is used for its day"
    );
    // 80 days later the access token is long gone, and the refresh token soon will be.
    town.simulator.clock().advance_seconds(80 * 86_400);
    let later = town.run(&job).await;
    assert_eq!(later.status, Status::Complete);
    assert_eq!(town.calls("oauth.token"), 2);
    assert!(
        later.to_text().contains("  warning   the refresh token ends on "),
        "{}",
        later.to_text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_ours_gives_no_tokens() {
    let town = Town::new(small_drives(1, 0, 0), Options::default()).await;
    let tenant = tenant(&town);
    let waiting = Waiting::start(&town, &tenant, false);
    let redirected = log_in(&waiting.address).await;
    // A page of an earlier login, or of somebody else: it ends nothing.
    let without_state = redirected.split("&state=").next().unwrap();
    for foreign in [format!("{redirected}x"), without_state.to_owned()] {
        let (status, page) = open(&foreign).await;
        assert_eq!(status, 400);
        assert!(page.contains("belongs to another login"), "{page}");
    }
    assert_eq!(town.calls("oauth.token"), 0);
    let (status, page) = open(&redirected.replace("code=", "error=access_denied&was=")).await;
    let ended = waiting.end();
    assert_eq!((ended.code, status), (Some(1), 400), "{}", ended.err);
    assert!(page.contains("The login failed"), "{page}");
    for words in [
        "the login page said no: access_denied",
        "hint: start `drivejob login` again",
    ] {
        assert!(ended.err.contains(words), "{}", ended.err);
    }
    // Pasted, there is no second answer to wait for.
    let mut waiting = Waiting::start(&town, &tenant, true);
    waiting.paste(&format!("{redirected}x"));
    let ended = waiting.end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("its state is another one"), "{}", ended.err);
    assert_eq!(town.calls("oauth.token"), 0);
    assert!(!town.path("acme.tokens").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_that_the_app_lacks_is_named_in_the_hint() {
    let town = Town::new(small_drives(1, 0, 0), Options::default()).await;
    let mut waiting = Waiting::start(&town, &tenant(&town), true);
    let state = waiting.address.split("state=").nth(1).unwrap().to_owned();
    waiting.paste(&format!(
        "http://localhost/callback?error=invalid_scope&state={state}"
    ));
    let ended = waiting.end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("`scope` under [auth]"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_can_be_pasted_once() {
    let town = Town::new(small_drives(1, 0, 0), Options::default()).await;
    let tenant = tenant(&town);
    let mut waiting = Waiting::start(&town, &tenant, true);
    let redirected = log_in(&waiting.address).await;
    waiting.paste(&redirected);
    let ended = waiting.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);

    // The code alone will do, and a used one is said to be used.
    let code = redirected
        .split("code=")
        .nth(1)
        .and_then(|rest| rest.split('&').next())
        .unwrap();
    let mut waiting = Waiting::start(&town, &tenant, true);
    waiting.paste(code);
    let ended = waiting.end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("hint: a code is good once"), "{}", ended.err);
    assert_eq!(
        town.simulator.calls().with_status("oauth.token", 401),
        1,
        "it is tried once"
    );
    let mut waiting = Waiting::start(&town, &tenant, true);
    let fresh = log_in(&waiting.address).await;
    waiting.paste(
        fresh
            .split("code=")
            .nth(1)
            .and_then(|rest| rest.split('&').next())
            .unwrap(),
    );
    assert_eq!(waiting.end().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_classic_generation_gives_a_service_token() {
    let town = Town::new(small_drives(1, 0, 0), Options::default()).await;
    let endpoints = town.simulator.endpoints();
    let tenant = town.write(
        "classic.toml",
        &format!(
            "api = \"classic\"\napi-id = \"{}\"\ndomain = \"example.com\"\n[auth]\nconsumer-key = {{ env = \"CONSUMER\" }}\n\
             token-store = \"classic.tokens\"\n[endpoints]\napi = \"{}\"\nauth = \"{}\"\nfile = \"{}\"\nstorage = [\"{}\"]\n",
            town.simulator.options().api_id,
            endpoints.api,
            endpoints.auth,
            endpoints.storage,
            endpoints.storage.trim_start_matches("http://"),
        ),
    );
    let mut waiting = Waiting::start(&town, &tenant, true);
    assert!(
        waiting.address.contains("/service/authorize?") && waiting.address.contains("domain=example.com")
    );
    let redirected = log_in(&waiting.address).await;
    waiting.paste(&redirected);
    let ended = waiting.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(town.calls("classic.service-token"), 1);
    let job = town.job("me", "audit", "classic.toml", "[\"me\"]", "");
    assert_eq!(town.run(&job).await.status, Status::Complete);
}
