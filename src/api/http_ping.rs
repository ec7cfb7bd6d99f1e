//! Calls an address that wants to know of a run: a webhook, a ping service.

use std::time::Duration;

use reqwest::redirect;

/// How patient a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often it is tried, at least 1.
    pub attempts: u32,
    /// How long one try may take.
    pub timeout: Duration,
    /// The pause after the first try; each later one is twice as long, up to [`LONGEST_PAUSE`].
    pub pause: Duration,
}

impl Default for Patience {
    /// Four tries of 10 seconds, with pauses of 1, 2 and 4 seconds: a run is held up for 47 seconds at most.
    fn default() -> Patience {
        Patience {
            attempts: 4,
            timeout: Duration::from_secs(10),
            pause: Duration::from_secs(1),
        }
    }
}

/// The longest pause between two tries.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A call that failed for good. The address stays out of it, since it is a secret in most services.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {message}, after {attempts} tries")]
pub struct PingError {
    /// The host that was called.
    pub host: String,
    /// What went wrong last.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// Calls `url` with POST: `body` as JSON when there is one, `headers` by name and value. Gives back how many tries it took.
///
/// No answer, and the statuses 408, 429 and 5xx, are tried again; other statuses but 2xx are final, redirects too: a summary is not sent
/// to a place that nobody named. Dropping the future ends the call.
///
/// # Errors
/// [`PingError`] when no try got a 2xx answer. It is for the record; a run does not fail for it.
pub async fn ping(
    url: &str,
    body: Option<&str>,
    headers: &[(String, String)],
    patience: &Patience,
) -> Result<u32, PingError> {
    let parsed = reqwest::Url::parse(url).ok();
    let host = parsed
        .as_ref()
        .and_then(|url| url.host_str())
        .unwrap_or("the address to be called")
        .to_owned();
    let failed = |message: String, attempts| PingError {
        host: host.clone(),
        message,
        attempts,
    };
    let Some(parsed) = parsed else {
        return Err(failed("it is no address".to_owned(), 0));
    };
    let client = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(patience.timeout)
        .user_agent(concat!("drivejob/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed(reason(error), 0))?;
    let mut request = client.post(parsed);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_owned());
    }
    let request = request.build().map_err(|error| failed(reason(error), 0))?;

    let mut pause = patience.pause;
    let mut attempts = 0;
    loop {
        attempts += 1;
        // A body of text can always be sent again.
        let Some(copy) = request.try_clone() else {
            return Err(failed("it cannot be sent".to_owned(), attempts));
        };
        let (message, is_final) = match client.execute(copy).await {
            Ok(answer) => match answer.status().as_u16() {
                200..=299 => return Ok(attempts),
                status => (
                    format!("answered {status}"),
                    !matches!(status, 408 | 429 | 500..=599),
                ),
            },
            Err(error) => (reason(error), false),
        };
        if is_final || attempts >= patience.attempts.max(1) {
            return Err(failed(message, attempts));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What an error says, down to its cause and without the address.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    const QUICK: Patience = Patience {
        attempts: 4,
        timeout: Duration::from_secs(20),
        pause: Duration::from_millis(1),
    };

    /// A server that answers one request a connection with the next of `script`, an empty text being a closed connection.
    async fn server(script: Vec<&'static str>) -> (String, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/secret-uuid", listener.local_addr().unwrap());
        let (heard, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for answer in script {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let mut block = [0; 1024];
                loop {
                    let count = socket.read(&mut block).await.unwrap();
                    request.extend_from_slice(&block[..count]);
                    let text = String::from_utf8_lossy(&request);
                    let Some((head, body)) = text.split_once("\r\n\r\n") else {
                        continue;
                    };
                    let length = head
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: "))
                        .map_or(0, |length| length.parse().unwrap());
                    if count == 0 || body.len() >= length {
                        break;
                    }
                }
                heard
                    .send(String::from_utf8_lossy(&request).into_owned())
                    .unwrap();
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (url, requests)
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const SLOW_DOWN: &str = "HTTP/1.1 429 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const GONE: &str = "HTTP/1.1 404 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const MOVED: &str = "HTTP/1.1 302 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn what_may_pass_is_tried_again_and_the_rest_is_final() {
        for (script, expected) in [
            (vec![OK], Ok(1)),
            (vec![BUSY, "", SLOW_DOWN, OK], Ok(4)),
            (vec![BUSY, BUSY, BUSY, BUSY], Err(("answered 503", 4))),
            (vec![GONE], Err(("answered 404", 1))),
            (vec![MOVED], Err(("answered 302", 1))),
        ] {
            let count = script.len();
            let (url, mut requests) = server(script).await;
            let result = ping(&url, Some("{\"event\":\"start\"}"), &[], &QUICK).await;
            match (result, expected) {
                (Ok(attempts), expected) => assert_eq!(Ok(attempts), expected),
                (Err(error), Err((message, attempts))) => {
                    assert_eq!((error.message.as_str(), error.attempts), (message, attempts));
                    assert!(!error.to_string().contains("secret-uuid"));
                }
                (Err(error), Ok(_)) => panic!("{error}"),
            }
            for _ in 0..count {
                let request = requests.recv().await.unwrap();
                assert!(request.starts_with("POST /secret-uuid HTTP/1.1\r\n"), "{request}");
                assert!(request.ends_with("\r\n\r\n{\"event\":\"start\"}"), "{request}");
            }
        }
    }

    #[tokio::test]
    async fn headers_go_along_and_nothing_is_sent_without_a_body() {
        let (url, mut requests) = server(vec![OK]).await;
        let headers = [("X-Team".to_owned(), "it".to_owned())];
        ping(&url, None, &headers, &QUICK).await.unwrap();
        let request = requests.recv().await.unwrap();
        assert!(request.contains("\r\nx-team: it\r\n"), "{request}");
        assert!(!request.contains("content-type"), "{request}");
        assert!(request.ends_with("\r\n\r\n"), "{request}");
    }

    #[tokio::test]
    async fn a_wrong_address_or_header_is_an_error_without_a_try() {
        let nobody = [("bad name".to_owned(), "x".to_owned())];
        for (url, headers) in [("not an address", &[][..]), ("http://127.0.0.1:1/", &nobody[..])] {
            let error = ping(url, None, headers, &QUICK).await.unwrap_err();
            assert_eq!(error.attempts, 0, "{error}");
        }
    }
}
