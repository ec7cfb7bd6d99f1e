//! A scripted HTTP server for the tests of this module: it answers as a closure says, and remembers what was asked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Config, Dialect, Rate, RetryPolicy, connect};
use crate::drive::{ByteSource, Download, Drive, Error, Piece};
use crate::entry::{Entry, Kind};
use crate::id::{DriveId, FileId};
use crate::monitor::Tally;
use crate::secret::Secret;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Seen {
    /// Method and target in one line.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A field of a form.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let text = String::from_utf8(self.body.clone()).unwrap();
        text.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| value.to_owned())
        })
    }
}

/// An answer to be given.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    cut: Option<usize>,
    /// Whether the length is kept to itself.
    untold: bool,
    /// Whether the connection stays open and silent.
    silent: bool,
    /// How many bytes come at once, and the pause before each such piece.
    drip: Option<(usize, Duration)>,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl AsRef<[u8]>) -> Reply {
        Reply {
            status,
            body: body.as_ref().to_vec(),
            ..Reply::default()
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Reply {
        Reply::new(status, body.to_string()).with("content-type", "application/json")
    }

    pub(super) fn redirect(to: &str) -> Reply {
        Reply::new(302, "").with("location", to)
    }

    /// No answer at all.
    pub(super) fn nothing() -> Reply {
        Reply::default()
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn cut(mut self, after: usize) -> Reply {
        self.cut = Some(after);
        self
    }

    /// Says nothing more, and does not close either. A status of 0 says nothing at all.
    pub(super) fn silent(mut self) -> Reply {
        self.silent = true;
        self
    }

    pub(super) fn drip(mut self, bytes: usize, pause: Duration) -> Reply {
        self.drip = Some((bytes, pause));
        self
    }

    pub(super) fn untold(mut self) -> Reply {
        self.untold = true;
        self
    }
}

/// A server on a port of its own; it ends with the test.
#[derive(Debug)]
pub(super) struct Server {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts a server. The script is told its address, the request, and how often its path was asked for with its
    /// method before.
    pub(super) async fn start(
        script: impl Fn(&str, &Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Server {
        Server::start_at("http://127.0.0.1:0", script).await
    }

    /// As [`Server::start`], at the address that an earlier one had.
    pub(super) async fn start_at(
        address: &str,
        script: impl Fn(&str, &Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let place = address.trim_start_matches("http://");
        let listener = TcpListener::bind(place).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let counts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let (script, told, log) = (Arc::new(script), address.clone(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, told) = (Arc::clone(&script), told.clone());
                let (log, counts) = (Arc::clone(&log), Arc::clone(&counts));
                tokio::spawn(async move {
                    let mut stream = stream;
                    let Some(request) = read(&mut stream).await else {
                        return;
                    };
                    let count = {
                        let mut counts = counts.lock().unwrap();
                        let key = format!("{} {}", request.method, request.path());
                        let count = counts.entry(key).or_default();
                        *count += 1;
                        *count - 1
                    };
                    let reply = script(&told, &request, count);
                    log.lock().unwrap().push(request);
                    answer(&mut stream, reply).await;
                });
            }
        });
        Server { address, seen, task }
    }

    /// What was asked so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Method and target of what was asked so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    /// A configuration of API 2.0 for this server, with a token given directly and fast retries.
    pub(super) fn config(&self) -> Config {
        let mut config = Config::new(Dialect::V2, std::env::temp_dir(), "tenant");
        config.endpoints.api = format!("{}/v1.0", self.address);
        config.endpoints.auth = format!("{}/oauth", self.address);
        config.endpoints.storage = vec![self.address.trim_start_matches("http://").to_owned()];
        config.credentials.access_token = Some(Secret::new("t1"));
        config.rate = Rate::Unlimited;
        config.retry = RetryPolicy {
            tries: 4,
            time: Duration::from_secs(20),
            first_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(4),
            outage: Duration::from_secs(20),
        };
        config
    }

    /// A tenant of this server.
    pub(super) fn drive(&self) -> Arc<dyn Drive> {
        self.connect(self.config()).0
    }

    pub(super) fn connect(&self, config: Config) -> (Arc<dyn Drive>, Arc<Tally>) {
        let tally = Arc::new(Tally::default());
        let drive = connect(config, Arc::clone(&tally) as _).unwrap();
        (drive, tally)
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..count]);
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let headers: BTreeMap<String, String> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = bytes[head + 4..].to_vec();
    while body.len() < length {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 {
            return None;
        }
        body.extend_from_slice(&buffer[..count]);
    }
    Some(Seen {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body,
    })
}

async fn answer(stream: &mut TcpStream, reply: Reply) {
    if reply.status == 0 {
        if reply.silent {
            std::future::pending::<()>().await;
        }
        return;
    }
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !reply.untold {
        head.push_str(&format!("content-length: {}\r\n", reply.body.len()));
    }
    head.push_str("\r\n");
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
    // The other side may have gone on purpose.
    let _ = stream.write_all(head.as_bytes()).await;
    let (piece, pause) = reply.drip.unwrap_or((body.len().max(1), Duration::ZERO));
    for bytes in body.chunks(piece) {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        if stream.write_all(bytes).await.is_err() {
            return;
        }
    }
    if reply.silent {
        std::future::pending::<()>().await;
    }
    let _ = stream.shutdown().await;
}

/// A root of a drive.
pub(super) fn root(drive: &str) -> Entry {
    Entry::root(DriveId::new(drive), FileId::new(FileId::ROOT))
}

/// A file of My Drive.
pub(super) fn file(id: &str, size: u64) -> Entry {
    Entry {
        name: format!("{id}.txt"),
        kind: Kind::File,
        size: Some(size),
        ..Entry::root(DriveId::new("me"), FileId::new(id))
    }
}

/// All that a download brings: the bytes as they stand at its end, and the steps between.
pub(super) async fn collect(download: Download) -> (Result<Vec<u8>, Error>, Vec<&'static str>) {
    let mut body = download.body;
    let (mut bytes, mut steps) = (Vec::new(), Vec::new());
    while let Some(piece) = body.next().await {
        match piece {
            Ok(Piece::Bytes(more)) => bytes.extend_from_slice(&more),
            Ok(Piece::Resumed { same }) => steps.push(if same { "resumed" } else { "joined" }),
            Ok(Piece::Restarted) => {
                steps.push("restarted");
                bytes.clear();
            }
            Err(error) => return (Err(error), steps),
        }
    }
    (Ok(bytes), steps)
}

/// Bytes in memory, in small pieces.
pub(super) struct Memory(pub Vec<u8>);

#[async_trait]
impl ByteSource for Memory {
    async fn open(&self, offset: u64) -> std::io::Result<BoxStream<'static, std::io::Result<Bytes>>> {
        let pieces: Vec<_> = self.0[offset as usize..]
            .chunks(3)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Ok(stream::iter(pieces).boxed())
    }
}
