//! Waits on this machine for the one request that brings a login page's answer.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a request's head at most. Codes have some hundred.
const LONGEST: usize = 16 * 1024;

/// How long a connection may take to say what it wants: browsers open some that they never use.
const PATIENCE: Duration = Duration::from_secs(5);

/// A place on this machine that a login page can come back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    port: u16,
    path: String,
}

/// Listens at a place.
#[derive(Debug)]
pub(super) struct Loopback {
    place: Place,
    doors: [Option<TcpListener>; 2],
}

/// A request for the place, which waits for its answer.
#[derive(Debug)]
pub(super) struct Request {
    /// What was asked for: path and query.
    pub(super) target: String,
    stream: TcpStream,
}

impl Place {
    /// The place of an address such as `http://localhost:9876/callback`; `None` for one that is not on this machine.
    pub(super) fn of(address: &str) -> Option<Place> {
        let rest = address.strip_prefix("http://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, 80),
        };
        let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        is_here.then(|| Place {
            port,
            path: if path.is_empty() { "/" } else { path }.to_owned(),
        })
    }
}

impl Loopback {
    /// Opens the place. `localhost` may mean either address family, so both are opened where both are there.
    ///
    /// # Errors
    /// The port is taken.
    pub(super) async fn open(place: Place) -> io::Result<Loopback> {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, place.port)).await;
        let six = TcpListener::bind((Ipv6Addr::LOCALHOST, place.port)).await;
        let doors = match (four, six) {
            (Err(taken), _) if taken.kind() == io::ErrorKind::AddrInUse => return Err(taken),
            (_, Err(taken)) if taken.kind() == io::ErrorKind::AddrInUse => return Err(taken),
            (Err(error), Err(_)) => return Err(error),
            (four, six) => [four.ok(), six.ok()],
        };
        Ok(Loopback { place, doors })
    }

    /// Waits for a request for the place; others are told that nothing is there.
    ///
    /// # Errors
    /// The system lets nobody in any more.
    pub(super) async fn wait(&self) -> io::Result<Request> {
        loop {
            let [four, six] = &self.doors;
            let (mut stream, _) = tokio::select! {
                met = accept(four.as_ref()) => met?,
                met = accept(six.as_ref()) => met?,
            };
            let read = tokio::time::timeout(PATIENCE, read_target(&mut stream)).await;
            let Ok(Some(target)) = read else {
                continue;
            };
            if target.split('?').next() == Some(self.place.path.as_str()) {
                return Ok(Request { target, stream });
            }
            send(stream, "404 Not Found", "There is nothing at this address.").await;
        }
    }
}

impl Request {
    /// Answers with a page that says so much, and no more.
    pub(super) async fn answer(self, well: bool, text: &str) {
        let status = if well { "200 OK" } else { "400 Bad Request" };
        send(self.stream, status, text).await;
    }
}

async fn accept(door: Option<&TcpListener>) -> io::Result<(TcpStream, std::net::SocketAddr)> {
    match door {
        Some(door) => door.accept().await,
        None => std::future::pending().await,
    }
}

/// The target of a GET request; `None` for anything else.
async fn read_target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 || head.len() + count > LONGEST {
            return None;
        }
        head.extend_from_slice(buffer.get(..count)?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.lines().next()?.split(' ');
    (words.next() == Some("GET")).then_some(())?;
    words.next().map(str::to_owned)
}

/// Sends a page without scripts, links or anything from elsewhere, and closes. A browser that went away changes nothing.
async fn send(mut stream: TcpStream, status: &str, text: &str) {
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>drivejob</title></head>\n\
         <body><p>{}</p></body>\n</html>\n",
        escaped(text)
    );
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        page.len()
    );
    let _ = stream.write_all(format!("{head}{page}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_place() {
        let place = |port, path: &str| {
            Some(Place {
                port,
                path: path.to_owned(),
            })
        };
        for (address, expected) in [
            ("http://localhost:9876/callback", place(9876, "/callback")),
            ("http://127.0.0.1", place(80, "/")),
            ("http://[::1]:1/x", place(1, "/x")),
            ("http://[::1]/x", place(80, "/x")),
            ("https://localhost:9876/callback", None),
            ("http://localhost.example.com:1/", None),
            ("http://example.com/callback", None),
            ("http://localhost:x/", None),
        ] {
            assert_eq!(Place::of(address), expected, "{address}");
        }
    }

    #[tokio::test]
    async fn other_requests_are_turned_away_and_the_answer_says_nothing_of_the_code() {
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let place = Place::of(&format!("http://localhost:{}/callback", free.port())).unwrap();
        let loopback = Loopback::open(place.clone()).await.unwrap();
        let taken = Loopback::open(place).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let ask = |request: &'static str| async move {
            let mut stream = TcpStream::connect(free).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let asking = async {
            let post = ask("POST /callback?code=x HTTP/1.1\r\n\r\n").await;
            let icon = ask("GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            let code = ask("GET /callback?code=x&state=s HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            (post, icon, code)
        };
        let answering = async {
            let request = loopback.wait().await.unwrap();
            let target = request.target.clone();
            request.answer(true, "Done <b>.").await;
            target
        };
        let ((post, icon, code), target) = tokio::join!(asking, answering);
        assert_eq!(target, "/callback?code=x&state=s");
        assert_eq!(post, "");
        assert!(icon.starts_with("HTTP/1.1 404 "), "{icon}");
        assert!(code.starts_with("HTTP/1.1 200 OK\r\n"), "{code}");
        assert!(code.contains("Content-Security-Policy: default-src 'none'"));
        assert!(code.contains("Done &lt;b&gt;.") && !code.contains("state"));
    }
}
