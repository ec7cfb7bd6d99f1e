//! Secrets stay where they belong: planted ones are looked for in everything that every kind of job says and writes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use drivejob::sim::{
    Action, CONSUMER_KEY_VARIABLE, GeneratedSpec, Options, Rule, Simulator, Sizes, StaticToken,
    TOKEN_VARIABLE, TenantSpec, World,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::bench::private_key;
use crate::support::{Bench, Face, tree_of};

const CLIENT_SECRET: &str = "PLANTED-client+secret/1=";
const REFRESH_TOKEN: &str = "PLANTED-refresh+token/2=";
const ACCESS_TOKEN: &str = "PLANTED-access.token-3";
const CONSUMER_KEY: &str = "PLANTED-consumer+key/4=";
const HOOK: &str = "PLANTED-hook-5";
const HOOK_HEADER: &str = "PLANTED-header-6";
const PROXY_PASSWORD: &str = "PLANTED-proxy-7";

fn options() -> Options {
    Options {
        client_secret: CLIENT_SECRET.to_owned(),
        refresh_token: REFRESH_TOKEN.to_owned(),
        consumer_key: CONSUMER_KEY.to_owned(),
        tokens: vec![StaticToken {
            token: ACCESS_TOKEN.to_owned(),
            member: String::new(),
        }],
        ..Options::default()
    }
}

fn tenant(files: usize) -> World {
    World::tenant(&TenantSpec {
        members: 2,
        shared_drives: 1,
        groups: 0,
        tree: GeneratedSpec {
            files,
            folders: files / 3,
            sizes: Sizes::Uniform(0, 2000),
            ..GeneratedSpec::default()
        },
    })
}

/// A secret in every form in which it might have been written.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    let escaped: String = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect();
    forms.push(escaped.to_lowercase().into_bytes());
    forms.push(escaped.into_bytes());
    forms.push(
        secret
            .bytes()
            .flat_map(|byte| format!("{byte:02x}").into_bytes())
            .collect(),
    );
    // In base64 a text looks different by where it begins; its last letters depend on what follows.
    for lead in 0..3 {
        let mut text = vec![0; lead];
        text.extend_from_slice(secret.as_bytes());
        let skip = [0, 2, 3][lead];
        for engine in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            let end = text.len() * 4 / 3 - 2;
            forms.push(engine.as_bytes()[skip..end].to_vec());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

fn holds(text: &[u8], form: &[u8]) -> bool {
    position(text, form).is_some()
}

fn position(text: &[u8], form: &[u8]) -> Option<usize> {
    text.windows(form.len().max(1)).position(|window| window == form)
}

/// All that was said, under the name of who said it.
#[derive(Default)]
struct Said(BTreeMap<String, Vec<u8>>);

impl Said {
    /// Runs the program at trace level, in both formats of the log, and keeps what it says. Gives the last exit code.
    fn hear(&mut self, bench: &Bench, arguments: &[&str]) -> Option<i32> {
        let mut code = None;
        for format in ["text", "json"] {
            let output = bench
                .process()
                .args(arguments)
                .args(["--log-level", "trace", "--log-format", format])
                .output()
                .unwrap();
            self.keep(&format!("{arguments:?} {format}"), &output.stdout, &output.stderr);
            code = output.status.code();
            assert_ne!(
                code,
                Some(101),
                "{arguments:?} {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        code
    }

    fn keep(&mut self, name: &str, out: &[u8], err: &[u8]) {
        let text = self.0.entry(name.to_owned()).or_default();
        text.extend_from_slice(out);
        text.extend_from_slice(err);
    }

    /// Fails when a secret stands in what was said, or in a file below `folder` other than `may`.
    fn assert_silent(&self, folder: &Path, secrets: &[(&str, String)], may: &[&str]) {
        let files = tree_of(folder);
        let said = self.0.iter().map(|(name, text)| (name.clone(), text.as_slice()));
        let written = files
            .iter()
            .filter(|(path, _)| !may.iter().any(|may| path.ends_with(may)))
            .filter_map(|(path, bytes)| Some((path.display().to_string(), bytes.as_deref()?)));
        let all: Vec<(String, &[u8])> = said.chain(written).collect();
        assert!(all.len() > 40, "{}", all.len());
        for (secret, text) in secrets {
            for form in forms(text) {
                for (place, bytes) in &all {
                    if let Some(at) = position(bytes, &form) {
                        let around = bytes.get(at.saturating_sub(400)..at + form.len()).unwrap();
                        panic!("{secret} stands in {place}: {}", String::from_utf8_lossy(around));
                    }
                }
            }
        }
    }
}

/// Answers every call with 204, or with 404 below `/dead`, and keeps the heads.
async fn ear() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut block = vec![0; 64 << 10];
                let count = stream.read(&mut block).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&block[..count]).into_owned();
                let status = if head.contains("/dead") {
                    "404 Not Found"
                } else {
                    "204 No Content"
                };
                log.lock().unwrap().push(head);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, heard)
}

fn endpoints(simulator: &Simulator) -> String {
    let endpoints = simulator.endpoints();
    format!(
        "[endpoints]\napi = \"{}/v1.0\"\nauth = \"{}/oauth2/v2.0\"\nstorage = [\"{}\"]\n",
        endpoints.api,
        endpoints.auth,
        endpoints.storage.trim_start_matches("http://")
    )
}

fn private(bench: &Bench, name: &str, text: &str) -> PathBuf {
    let path = bench.write(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kind_of_job_says_or_writes_a_secret() {
    let old = Simulator::start(tenant(12), options()).await.unwrap();
    let new = Simulator::start(tenant(0), options()).await.unwrap();
    let (ear, heard) = ear().await;
    let key = private_key();
    let hook = |path: &str| format!("http://{ear}/{path}/{HOOK}?key={HOOK}");
    let bench = Bench::empty()
        .variable("CLIENT_SECRET", CLIENT_SECRET)
        .variable("REFRESH_TOKEN", REFRESH_TOKEN)
        .variable(TOKEN_VARIABLE, ACCESS_TOKEN)
        .variable(CONSUMER_KEY_VARIABLE, CONSUMER_KEY)
        .variable("HOOK", &hook("good"))
        .variable("DEAD", &hook("dead"))
        .variable("HEADER", HOOK_HEADER)
        // Nothing listens there: whatever asks this proxy says why it cannot.
        .variable(
            "HTTPS_PROXY",
            &format!("http://user:{PROXY_PASSWORD}@127.0.0.1:9"),
        )
        .variable("NO_PROXY", "127.0.0.1");
    private(&bench, "key.pem", &key);
    let app = "client-id = \"sim-client\"\nclient-secret = { env = \"CLIENT_SECRET\" }\n";
    let scope = "scope = \"file group.folder user.read group.read\"\n";
    let refresh = "refresh-token = { env = \"REFRESH_TOKEN\" }\ntoken-store = \"acme.tokens\"\n";
    let account = format!(
        "service-account = \"{}\"\nprivate-key = {{ file = \"key.pem\" }}\ndelegate = true\nmember = \"member1@example.com\"\n",
        old.options().service_account
    );
    bench.write(
        "acme.toml",
        &format!("api = \"v2\"\n[auth]\n{app}{refresh}{}", endpoints(&old)),
    );
    for (name, simulator) in [("old.toml", &old), ("new.toml", &new)] {
        let text = format!(
            "api = \"v2\"\n[auth]\n{app}{scope}{account}{}",
            endpoints(simulator)
        );
        bench.write(name, &text);
    }
    let (classic, ..) = old.tenant_file_classic();
    bench.write("classic.toml", &classic);
    let login = "token-store = \"login.tokens\"\n";
    bench.write(
        "login.toml",
        &format!("api = \"v2\"\n[auth]\n{app}{login}{}", endpoints(&old)),
    );

    let limits = "[limits]\nrequests-per-minute = \"unlimited\"\nattempts = 2\ntimeout = \"5s\"\nretry-for = \"20s\"\n";
    let notify = "[notify]\nstart = { env = \"HOOK\" }\nsuccess = { env = \"HOOK\" }\npartial = { env = \"DEAD\" }\n\
                  failure = [{ env = \"DEAD\" }, { env = \"HOOK\" }]\nattempts = 1\n\
                  [notify.headers]\nAuthorization = { env = \"HEADER\" }\n";
    let job = |name: &str, kind: &str, archive: &str, more: &str| {
        let text = format!("kind = \"{kind}\"\narchive = \"{archive}\"\n{more}\n{limits}{notify}");
        bench.write(name, &text);
    };
    let depth = "depth = [\"permissions\", \"links\", \"shares\", \"revisions\", \"trash\", \"quota\"]";
    job(
        "backup.toml",
        "backup",
        "archive",
        &format!("tenant = \"acme.toml\"\ndrives = [\"me\"]\n{depth}"),
    );
    job(
        "audit.toml",
        "audit",
        "audits",
        &format!("tenant = \"old.toml\"\ndrives = [\"users/*\", \"sharedrives/*\"]\n{depth}"),
    );
    job(
        "classic-backup.toml",
        "backup",
        "classic",
        "tenant = \"classic.toml\"\ndrives = [\"me\"]",
    );
    job(
        "verify.toml",
        "verify",
        "archive",
        "tenant = \"acme.toml\"\n[spot-check]\nfiles = 5\nhashes = 5",
    );
    job(
        "prune.toml",
        "prune",
        "archive",
        "[retention]\nkeep-last = 1\napply = true",
    );
    job(
        "restore.toml",
        "restore",
        "archive",
        "target = \"new.toml\"\ndrives = [\"me\"]\nto = \"original\"",
    );
    job(
        "migrate.toml",
        "migrate",
        "moved",
        "tenant = \"old.toml\"\ntarget = \"new.toml\"\ndrives = [\"users/*\", \"sharedrives/*\"]\nmap = \"map.csv\"\npass = \"first\"",
    );
    job(
        "simulated.toml",
        "backup",
        "simulated",
        "tenant = { api = \"simulator\", simulator = { files = 10 } }\ndrives = [\"me\"]",
    );
    bench.write(
        "map.csv",
        "source,target\nusers/*@example.com,users/*@example.com\nsharedrives/*,sharedrives/*\n",
    );

    let mut said = Said::default();
    let mut ends = BTreeMap::new();
    for command in [
        "check backup.toml",
        "plan backup.toml",
        "run backup.toml",
        "run audit.toml",
        "run classic-backup.toml",
        "run verify.toml",
        "run restore.toml",
        "run migrate.toml",
        "run simulated.toml",
        "report archive --out report.html",
        "snapshots archive",
        "status archive",
        "find archive *",
        "run prune.toml",
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        ends.insert(command, said.hear(&bench, &arguments));
    }
    let wrong: Vec<_> = ends.iter().filter(|(_, code)| **code != Some(0)).collect();
    let detail = |command: &str| -> String {
        let found = said.0.iter().filter(|(name, _)| {
            command.split(' ').all(|word| name.contains(&format!("{word:?}"))) && name.ends_with("text")
        });
        found
            .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
            .collect()
    };
    assert!(
        wrong.is_empty(),
        "{wrong:?}\n{}",
        wrong
            .iter()
            .map(|(command, _)| detail(command))
            .collect::<String>()
    );

    // A login by hand: neither the code nor the tokens are shown.
    let code = login_by_hand(&bench, &mut said).await;

    // The service repeats in its refusals what it was sent.
    let echo = |text: &str| Action::Status {
        code: 403,
        headers: BTreeMap::new(),
        body: Some(format!(
            "{{\"code\":\"NO\",\"description\":\"{text} may not\",\"error\":\"no\",\"error_description\":\"{text}\"}}"
        )),
    };
    let issued: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(bench.folder().join("acme.tokens")).unwrap()).unwrap();
    let issued = issued["access_token"].as_str().unwrap().to_owned();
    for (operation, text, tenant) in [
        ("drive.list-root", issued.as_str(), "backup.toml"),
        ("storage.download", issued.as_str(), "backup.toml"),
        ("classic.list", ACCESS_TOKEN, "classic-backup.toml"),
        ("classic.list", CONSUMER_KEY, "classic-backup.toml"),
    ] {
        old.faults()
            .add(Rule::new(operation, echo(text)).repeated(0))
            .unwrap();
        bench.write(
            tenant,
            &fs::read_to_string(bench.folder().join(tenant))
                .unwrap()
                .replace("archive = \"", "archive = \"e-"),
        );
        let code = said.hear(&bench, &["run", tenant]);
        assert_ne!(code, Some(0), "{operation}");
        assert_eq!(old.faults().unreached(), []);
        old.faults().clear();
    }
    old.end_access_tokens();
    for text in [REFRESH_TOKEN, CLIENT_SECRET] {
        old.faults()
            .add(Rule::new("oauth.token", echo(text)).repeated(0))
            .unwrap();
        assert_ne!(said.hear(&bench, &["run", "backup.toml"]), Some(0));
        assert_eq!(old.faults().unreached(), []);
        old.faults().clear();
    }
    // A key that is none, and a proxy that is not there.
    private(&bench, "key.pem", &key.replace("PRIVATE KEY", "PRIVATE THING"));
    assert_eq!(said.hear(&bench, &["run", "audit.toml"]), Some(2));
    private(&bench, "key.pem", &key);
    bench.write(
        "far.toml",
        "api = \"v2\"\n[auth]\ntoken = { env = \"DRIVEJOB_SIM_TOKEN\" }\n[endpoints]\napi = \"https://api.invalid/v1.0\"\n",
    );
    job(
        "far-job.toml",
        "backup",
        "far",
        "tenant = \"far.toml\"\ndrives = [\"me\"]",
    );
    assert_ne!(said.hear(&bench, &["run", "far-job.toml"]), Some(0));

    let middle = key.lines().nth(5).unwrap().to_owned();
    let mut secrets: Vec<(&str, String)> = vec![
        ("the client secret", CLIENT_SECRET.to_owned()),
        ("the refresh token", REFRESH_TOKEN.to_owned()),
        ("the access token", ACCESS_TOKEN.to_owned()),
        ("the consumer key", CONSUMER_KEY.to_owned()),
        ("the private key", middle.clone()),
        ("the webhook", HOOK.to_owned()),
        ("the webhook's header", HOOK_HEADER.to_owned()),
        ("the proxy's password", PROXY_PASSWORD.to_owned()),
        ("the code", code),
    ];
    for store in ["acme.tokens", "login.tokens"] {
        let path = bench.folder().join(store);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        for name in ["access_token", "refresh_token"] {
            secrets.push(("a token of a store", text[name].as_str().unwrap().to_owned()));
        }
    }
    let trace: usize = said.0.values().filter(|text| holds(text, b"TRACE")).count();
    assert!(trace > 15, "the log was at trace level: {trace}");
    assert!(
        heard.lock().unwrap().iter().any(|head| head.contains(HOOK)),
        "the webhook was called"
    );
    said.assert_silent(
        bench.folder(),
        &secrets,
        &["acme.tokens", "login.tokens", "key.pem"],
    );
    // The search can find: these files hold what it looks for.
    for (place, secret) in [("acme.tokens", REFRESH_TOKEN), ("key.pem", middle.as_str())] {
        let text = fs::read(bench.folder().join(place)).unwrap();
        assert!(forms(secret).iter().any(|form| holds(&text, form)), "{place}");
    }
    let basic = STANDARD.encode(format!("me:{CLIENT_SECRET}:you"));
    assert!(
        forms(CLIENT_SECRET)
            .iter()
            .any(|form| holds(basic.as_bytes(), form))
    );
}

/// Logs in by pasting, and gives the code that was pasted.
async fn login_by_hand(bench: &Bench, said: &mut Said) -> String {
    let mut child = bench
        .process()
        .args(["login", "--paste", "login.toml", "--log-level", "trace"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(err.read_line(&mut line).unwrap() > 0, "{text}");
        text.push_str(&line);
        if line.trim_start().starts_with("http") {
            break line.trim().to_owned();
        }
    };
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let answer = browser.get(&address).send().await.unwrap();
    let redirected = answer.headers()["location"].to_str().unwrap().to_owned();
    writeln!(child.stdin.take().unwrap(), "{redirected}").unwrap();
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    err.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}");
    said.keep("login", &out, text.as_bytes());
    let code = redirected.split("code=").nth(1).unwrap();
    code.split('&').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_secrets_that_others_may_read_are_refused() {
    let simulator = Simulator::start(World::demo(), options()).await.unwrap();
    for (mode, word) in [
        (0o640, "640"),
        (0o604, "604"),
        (0o620, "620"),
        (0o666, "666"),
        (0o600, ""),
    ] {
        let bench = Bench::with_auth(&simulator, Face::V2, "token = { file = \"token.txt\" }");
        let path = bench.write("token.txt", ACCESS_TOKEN);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        bench.job_file();
        let answer = bench.ask(&["run", "job.toml"]);
        if word.is_empty() {
            assert_eq!(answer.code, Some(0), "{answer:?}");
            continue;
        }
        assert_eq!(answer.code, Some(2), "{word} {answer:?}");
        let sentence = format!("token.txt: others may read or write it (mode {word}); make it 600");
        assert!(answer.err.contains(&sentence), "{}", answer.err);
        assert!(!answer.err.contains(ACCESS_TOKEN));
    }
    // The key of a service account, and a token store.
    let bench = Bench::with_auth(
        &simulator,
        Face::V2,
        "client-id = \"sim-client\"\nclient-secret = { env = \"CLIENT_SECRET\" }\n\
         service-account = \"sim.serviceaccount@example.com\"\nprivate-key = { file = \"key.pem\" }\n\
         delegate = true\nmember = \"taro@example.com\"",
    )
    .variable("CLIENT_SECRET", CLIENT_SECRET);
    let path = bench.write("key.pem", &private_key());
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    bench.job_file();
    let answer = bench.ask(&["run", "job.toml"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    assert!(
        answer
            .err
            .contains("key.pem: others may read or write it (mode 644)"),
        "{}",
        answer.err
    );

    let bench = Bench::with_refresh_token(&simulator);
    let path = bench.write("tenant.tokens", "{\"refresh_token\": \"x\"}");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    bench.job_file();
    simulator.reset_calls();
    let answer = bench.ask(&["run", "job.toml"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(
        answer.err.contains("others may read it (mode 644, must be 600)"),
        "{}",
        answer.err
    );
    assert_eq!(simulator.calls().total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_prints_a_secret_is_given_none() {
    let simulator = Simulator::start(World::demo(), options()).await.unwrap();
    // It writes down its own command line and that of the program, as every user of the machine can see them.
    let script =
        "tr '\\\\0' ' ' < /proc/$$/cmdline >> seen; tr '\\\\0' ' ' < /proc/$PPID/cmdline >> seen; cat token";
    let auth = format!("token = {{ command = [\"sh\", \"-c\", \"{script}\"] }}");
    let bench = Bench::with_auth(&simulator, Face::V2, &auth).variable("CLIENT_SECRET", CLIENT_SECRET);
    private(&bench, "token", ACCESS_TOKEN);
    bench.job_file();
    let answer = bench.ask(&["run", "job.toml"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let seen = fs::read_to_string(bench.folder().join("seen")).unwrap();
    assert!(
        seen.contains("cat token") && seen.contains("run job.toml"),
        "{seen}"
    );
    assert!(!seen.contains("PLANTED"), "{seen}");
}

/// A proxy that sends everything to one server and keeps the heads of what it was asked.
async fn proxy(to: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (log, to) = (Arc::clone(&log), to.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let head = String::from_utf8(head).unwrap();
                log.lock().unwrap().push(head.clone());
                // An address with a host becomes a path, and the connection is for this request alone.
                let (line, rest) = head.split_once("\r\n").unwrap();
                let mut words = line.split(' ');
                let (method, url) = (words.next().unwrap(), words.next().unwrap());
                let path = url.splitn(4, '/').nth(3).unwrap_or_default();
                let head = format!("{method} /{path} HTTP/1.1\r\nconnection: close\r\n{rest}");
                let mut server = TcpStream::connect(to).await.unwrap();
                server.write_all(head.as_bytes()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_variables_are_kept_and_plain_http_is_for_those_who_say_so() {
    let simulator = Simulator::start(World::demo(), options()).await.unwrap();
    let host = |address: &str| address.trim_start_matches("http://").to_owned();
    let (proxy, asked) = proxy(host(&simulator.endpoints().api)).await;
    let text = "api = \"v2\"\nLOUD[auth]\ntoken = { env = \"DRIVEJOB_SIM_TOKEN\" }\n\
                [endpoints]\napi = \"http://drive.invalid/v1.0\"\nauth = \"http://drive.invalid/oauth\"\n";
    let bench = |loud: &str| {
        let bench = Bench::new(&simulator, Face::V2)
            .key("kind", "\"audit\"")
            .limit("attempts", "1");
        bench.write("tenant.toml", &text.replace("LOUD", loud));
        bench
    };
    // Who does not say so sends nothing.
    let quiet = bench("");
    quiet.job_file();
    let answer = quiet.ask(&["run", "job.toml"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    assert!(
        answer.err.contains("plain http:// to another machine"),
        "{}",
        answer.err
    );

    let loud = "allow-plain-http = true\n";
    for (name, value, no_proxy, through) in [
        (
            "HTTP_PROXY",
            format!("http://user:{PROXY_PASSWORD}@{proxy}"),
            "",
            true,
        ),
        (
            "http_proxy",
            format!("http://user:{PROXY_PASSWORD}@{proxy}"),
            "other.invalid",
            true,
        ),
        (
            "ALL_PROXY",
            format!("http://user:{PROXY_PASSWORD}@{proxy}"),
            "",
            true,
        ),
        ("HTTP_PROXY", format!("http://{proxy}"), "drive.invalid", false),
        ("HTTPS_PROXY", format!("http://{proxy}"), "", false),
    ] {
        asked.lock().unwrap().clear();
        let bench = bench(loud).variable(name, &value).variable("NO_PROXY", no_proxy);
        bench.job_file();
        let answer = bench.ask(&["run", "job.toml", "--log-level", "trace"]);
        let heads = asked.lock().unwrap().clone();
        assert_eq!(answer.code == Some(0), through, "{name} {no_proxy} {answer:?}");
        assert_eq!(heads.is_empty(), !through, "{name} {no_proxy}");
        let basic = STANDARD.encode(format!("user:{PROXY_PASSWORD}"));
        for head in &heads {
            assert!(head.contains("http://drive.invalid/v1.0/"), "{head}");
            assert!(
                head.to_lowercase().contains("proxy-authorization: basic"),
                "{head}"
            );
            assert!(head.contains(&basic), "{head}");
        }
        let said = format!("{}{}", answer.out, answer.err);
        assert!(!said.contains(PROXY_PASSWORD) && !said.contains(&basic), "{said}");
    }
}

#[test]
fn verification_of_certificates_has_no_switch() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_drivejob"))
        .arg("schema")
        .output()
        .unwrap();
    let schema = String::from_utf8(output.stdout).unwrap().to_lowercase();
    assert!(schema.contains("extra-ca"));
    for word in [
        "insecure",
        "skip-verify",
        "accept-invalid",
        "verify-tls",
        "tls-verify",
        "no-verify",
    ] {
        assert!(!schema.contains(word), "{word}");
    }
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                for word in ["danger_accept", "tls_danger", "dangerous()"] {
                    assert!(!text.contains(word), "{}: {word}", path.display());
                }
            }
        }
    }
}

/// An end of TLS before a server, at that address of this machine, with a certificate for `localhost` and 127.0.0.1.
async fn tls(at: &str, to: String) -> String {
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let certificate = CertificateDer::from_pem_slice(include_bytes!("secrets/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("secrets/server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((at, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                // One who does not trust the certificate goes away here.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut server = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
                }
            });
        }
    });
    format!("{port}")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_certificate_is_sent_a_token() {
    let simulator = Simulator::start(World::demo(), options()).await.unwrap();
    let api = simulator.endpoints().api.trim_start_matches("http://").to_owned();
    let ours = include_str!("secrets/ca.pem");
    let others = include_str!("secrets/other.pem");
    for (host, authority, good) in [
        ("127.0.0.1", "", false),
        ("127.0.0.1", others, false),
        ("127.0.0.1", ours, true),
        ("localhost", ours, true),
        ("127.0.0.2", ours, false),
    ] {
        let at = if host == "localhost" { "127.0.0.1" } else { host };
        let port = tls(at, api.clone()).await;
        let bench = Bench::new(&simulator, Face::V2).key("kind", "\"audit\"");
        let extra = if authority.is_empty() {
            ""
        } else {
            "extra-ca = [\"ca.pem\"]\n"
        };
        bench.write("ca.pem", authority);
        bench.write(
            "tenant.toml",
            &format!(
                "api = \"v2\"\n{extra}[auth]\ntoken = {{ env = \"{TOKEN_VARIABLE}\" }}\n[endpoints]\n\
                 api = \"https://{host}:{port}/v1.0\"\n"
            ),
        );
        bench.job_file();
        simulator.reset_calls();
        let answer = bench.ask(&["run", "job.toml", "--log-level", "trace"]);
        assert_eq!(answer.code == Some(0), good, "{host} {extra} {answer:?}");
        assert_eq!(simulator.calls().total() > 0, good, "{host} {extra}");
        assert!(!format!("{}{}", answer.out, answer.err).contains(ACCESS_TOKEN));
        if !good {
            assert!(
                answer.err.contains("invalid peer certificate") && answer.err.contains("`extra-ca`"),
                "{}",
                answer.err
            );
            // Who is not trusted now is not trusted in a minute.
            assert!(!answer.err.contains("a call is repeated"), "{}", answer.err);
            assert_eq!(answer.code, Some(1));
        }
    }
}
