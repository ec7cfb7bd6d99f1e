//! A browser at the other end of the W3C WebDriver protocol, spoken over plain HTTP.
//!
//! Chromium is asked to send whatever it wants from a network to a proxy of ours, which answers nothing and notes who came.
//! It has errands of its own there (updates, the time, a search engine), so that only what asks for [`TRAP`] counts.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The member of an answer that stands for an element (W3C WebDriver, section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A host that only a page of ours can send the browser to.
pub(crate) const TRAP: &str = "drivejob.invalid";

/// How long the driver may take for an answer. Far beyond what it takes, so that only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A key of a keyboard (W3C WebDriver, section 17.4.2).
pub(crate) mod key {
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const ESCAPE: &str = "\u{e00c}";
    pub(crate) const TAB: &str = "\u{e004}";
}

/// A browser with one window. It and its driver end when this is dropped.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
    visitors: Arc<Mutex<Vec<String>>>,
    _home: TempDir,
}

/// An element of the page.
#[derive(Clone, Debug)]
pub(crate) struct Element(String);

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser when its input ends it.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Browser({})", self.session)
    }
}

impl Browser {
    /// Starts one.
    pub(crate) async fn start() -> Browser {
        let home = TempDir::with_prefix("drivejob-browser-").unwrap();
        let visitors = Arc::new(Mutex::new(Vec::new()));
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy_address = proxy.local_addr().unwrap();
        tokio::spawn(note_visitors(proxy, Arc::clone(&visitors)));

        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (Debian: chromium-driver)");
        let port = port_of(&mut driver);
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let profile = home.path().join("profile");
        let arguments = [
            "--headless".to_owned(),
            // Containers run tests as root, whom Chromium's sandbox refuses.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-default-apps".to_owned(),
            "--disable-sync".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", profile.display()),
            format!("--proxy-server=http://{proxy_address}"),
            "--proxy-bypass-list=<-loopback>".to_owned(),
        ];
        let mut options = json!({ "args": arguments });
        if let Some(program) = browser_program() {
            options["binary"] = json!(program);
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let answer = client
            .post(format!("http://127.0.0.1:{port}/session"))
            .body(wanted.to_string())
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        let Some(id) = answer["value"]["sessionId"].as_str() else {
            let _ = driver.kill();
            panic!("no browser: {answer}");
        };
        Browser {
            driver,
            session: format!("http://127.0.0.1:{port}/session/{id}"),
            client,
            visitors,
            _home: home,
        }
    }

    /// Opens a file.
    pub(crate) async fn open(&self, file: &Path) {
        self.go(&format!("file://{}", file.display())).await.unwrap();
    }

    /// Opens an address; what the driver says when it cannot.
    pub(crate) async fn go(&self, address: &str) -> Result<Value, Value> {
        self.post("url", json!({ "url": address })).await
    }

    /// Runs a script in the page and gives what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.run_with(script, json!([])).await
    }

    /// As [`Browser::run`], with `arguments` for the script.
    pub(crate) async fn run_with(&self, script: &str, arguments: Value) -> Value {
        let body = json!({ "script": script, "args": arguments });
        self.post("execute/sync", body).await.unwrap()
    }

    /// Runs a script that calls its last argument when it is done.
    pub(crate) async fn run_until_done(&self, script: &str) -> Value {
        self.post("execute/async", json!({ "script": script, "args": [] }))
            .await
            .unwrap()
    }

    /// The first element that fits a CSS selector.
    pub(crate) async fn find(&self, selector: &str) -> Element {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.post("element", body).await.unwrap();
        Element(found[ELEMENT].as_str().unwrap().to_owned())
    }

    /// Clicks it as a person does: it has to be in view, and nothing in front of it.
    pub(crate) async fn click(&self, element: &Element) {
        self.post(&format!("element/{}/click", element.0), json!({}))
            .await
            .unwrap();
    }

    /// Types into it.
    pub(crate) async fn write(&self, element: &Element, text: &str) {
        let address = format!("element/{}/value", element.0);
        self.post(&address, json!({ "text": text })).await.unwrap();
    }

    /// Empties a field.
    pub(crate) async fn clear(&self, element: &Element) {
        self.post(&format!("element/{}/clear", element.0), json!({}))
            .await
            .unwrap();
    }

    /// Presses a key wherever the focus is.
    pub(crate) async fn press(&self, key: &str) {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] });
        self.post("actions", body).await.unwrap();
    }

    /// Sets the colour scheme that the person prefers, or the medium.
    pub(crate) async fn prefer(&self, medium: &str, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.tool(
            "Emulation.setEmulatedMedia",
            json!({ "media": medium, "features": features }),
        )
        .await;
    }

    /// Sets the size of the window, as a phone or a desktop has it.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.tool("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// A picture of the whole page as PNG, in Base64.
    pub(crate) async fn picture(&self) -> String {
        let wanted = json!({ "captureBeyondViewport": true });
        let answer = self.tool("Page.captureScreenshot", wanted).await;
        answer["data"].as_str().unwrap().to_owned()
    }

    /// The page as it is printed: PDF in Base64.
    pub(crate) async fn print(&self) -> String {
        self.post("print", json!({}))
            .await
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Every address that pages of files asked for since the last call. The browser's own start page is none of them.
    pub(crate) async fn requests(&self) -> BTreeSet<String> {
        let entries = self.log("performance").await;
        entries
            .iter()
            .filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok())
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
            .filter(|event| {
                let page = event["message"]["params"]["documentURL"].as_str();
                page.is_some_and(|page| page.starts_with("file:"))
            })
            .filter_map(|event| Some(event["message"]["params"]["request"]["url"].as_str()?.to_owned()))
            .collect()
    }

    /// What the browser complained of since the last call.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser").await;
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }

    /// The first lines of what came to the proxy for [`TRAP`].
    pub(crate) fn visitors(&self) -> Vec<String> {
        let visitors = self.visitors.lock().unwrap();
        visitors
            .iter()
            .filter(|line| line.contains(TRAP))
            .cloned()
            .collect()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("se/log", json!({ "type": kind })).await.unwrap();
        entries.as_array().unwrap().clone()
    }

    /// A command of the browser's developer tools.
    async fn tool(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("goog/cdp/execute", body).await.unwrap()
    }

    async fn post(&self, command: &str, body: Value) -> Result<Value, Value> {
        let request = self
            .client
            .post(format!("{}/{command}", self.session))
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        let is_good = answer.status().is_success();
        let mut answer: Value = answer.json().await.unwrap();
        let value = answer["value"].take();
        if is_good { Ok(value) } else { Err(value) }
    }
}

/// The port that a driver says it took.
fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, after) = line.split_once("on port ")?;
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        // The first line names the port that was asked for.
        digits.parse().ok().filter(|port| *port != 0)
    });
    // What it says later must find a reader.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    port.expect("the driver names its port")
}

/// The browser, where it has another name than the driver looks for.
fn browser_program() -> Option<String> {
    let folders = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join("chromium"));
    places
        .find(|place| place.is_file())
        .map(|place| place.display().to_string())
}

/// Takes whoever comes, notes the first line, and sends nobody on.
async fn note_visitors(proxy: TcpListener, visitors: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = proxy.accept().await {
        let mut bytes = [0; 2048];
        let length = stream.read(&mut bytes).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..length]);
        visitors
            .lock()
            .unwrap()
            .push(text.lines().next().unwrap_or("").to_owned());
        let _ = stream
            .write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await;
    }
}
