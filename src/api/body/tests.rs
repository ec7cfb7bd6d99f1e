//! Downloads against scripted servers: redirects, breaks, ended addresses, and contents that are none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity)]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use proptest::prelude::*;
use serde_json::json;

use super::content_range;
use crate::api::testing::{Reply, Seen, Server, collect, file};
use crate::drive::{Drive, ErrorKind};
use crate::monitor::Counter;

const CONTENT: &[u8] = b"0123456789";

fn is_call(seen: &Seen) -> bool {
    seen.path().ends_with("/download")
}

/// Sends every `/download` to `/bytes`, and answers there as the script says.
async fn store(script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |address, seen, count| {
        if is_call(seen) {
            Reply::redirect(&format!("{address}/bytes?key=secret"))
        } else {
            script(seen, count)
        }
    })
    .await
}

fn from(seen: &Seen) -> Option<usize> {
    let range = seen.header("range")?;
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

fn part(first: usize) -> Reply {
    let range = format!("bytes {first}-9/10");
    Reply::new(206, &CONTENT[first..]).with("content-range", &range)
}

#[tokio::test]
async fn a_redirect_is_followed_with_the_token_and_unpacked_by_nobody() {
    let server = store(|_, _| Reply::new(200, CONTENT)).await;
    let (drive, tally) = server.connect(server.config());
    let download = drive.download(&file("a@b", 10), 0).await.unwrap();
    assert_eq!(
        (download.from, download.size, download.attempts),
        (0, Some(10), 1)
    );
    let (bytes, steps) = collect(download).await;
    assert_eq!((bytes.unwrap().as_slice(), steps.len()), (CONTENT, 0));
    let seen = server.seen();
    assert_eq!(
        server.lines(),
        [
            "GET /v1.0/users/me/drive/files/a%40b/download",
            "GET /bytes?key=secret"
        ]
    );
    assert_eq!(seen[1].header("authorization"), Some("Bearer t1"));
    assert_eq!(seen[1].header("accept-encoding"), Some("identity"));
    assert_eq!(tally.get(Counter::BytesMoved), 10);
    let calls: Vec<&str> = tally.calls().into_keys().collect();
    assert_eq!(calls, ["drive.download", "storage.download"]);
}

#[tokio::test]
async fn an_address_in_another_script_is_followed() {
    let server = Server::start(|address, seen, _| {
        if is_call(seen) {
            Reply::redirect(&format!("{address}/bytes/報告.txt?key=한"))
        } else {
            Reply::new(200, CONTENT)
        }
    })
    .await;
    let download = server.drive().download(&file("a", 10), 0).await.unwrap();
    assert_eq!(collect(download).await.0.unwrap(), CONTENT);
    assert_eq!(
        server.lines()[1],
        "GET /bytes/%E5%A0%B1%E5%91%8A.txt?key=%ED%95%9C"
    );
}

#[tokio::test]
async fn a_host_of_nobody_is_not_even_asked() {
    let stranger = Server::start(|_, _, _| Reply::new(200, CONTENT)).await;
    let target = stranger.address.clone();
    let server = Server::start(move |_, _, _| Reply::redirect(&target)).await;
    let error = server.drive().download(&file("a", 10), 0).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(error.message.contains("not a host of this tenant"), "{error}");
    assert!(stranger.seen().is_empty());
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn redirects_without_end_or_target_are_errors() {
    let server = Server::start(|address, _, _| Reply::redirect(&format!("{address}/again"))).await;
    let error = server.drive().download(&file("a", 10), 0).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert_eq!(server.lines().len(), 6);
    let server = Server::start(|_, _, _| Reply::new(302, "")).await;
    let error = server.drive().download(&file("a", 10), 0).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
}

#[tokio::test]
async fn a_break_is_resumed_where_the_server_can() {
    let server = store(|seen, count| match from(seen) {
        None => Reply::new(200, CONTENT).with("etag", "\"v1\"").cut(4),
        Some(first) if count == 1 => part(first).cut(3),
        Some(first) => part(first),
    })
    .await;
    let (bytes, steps) = collect(server.drive().download(&file("a", 10), 0).await.unwrap()).await;
    assert_eq!(bytes.unwrap(), CONTENT);
    assert_eq!(steps, ["resumed", "resumed"]);
    let seen = server.seen();
    let ranges: Vec<_> = seen.iter().map(|seen| seen.header("range")).collect();
    assert_eq!(ranges, [None, None, Some("bytes=4-"), Some("bytes=7-")]);
    assert_eq!(seen[2].header("if-range"), Some("\"v1\""));
}

#[tokio::test]
async fn a_break_begins_anew_where_the_server_cannot_resume() {
    // By 200, by 416, by another part than was asked for, and by a whole of another length.
    let other = || Reply::new(206, "x").with("content-range", "bytes 1-1/10");
    let longer = || Reply::new(206, "x").with("content-range", "bytes 4-10/11");
    let answers: [fn() -> Reply; 4] = [|| Reply::new(200, CONTENT), || Reply::new(416, ""), other, longer];
    for answer in answers {
        let server = store(move |seen, count| match from(seen) {
            None if count == 0 => Reply::new(200, CONTENT).cut(4),
            None => Reply::new(200, CONTENT),
            Some(_) => answer(),
        })
        .await;
        let download = server.drive().download(&file("a", 10), 0).await.unwrap();
        let (bytes, steps) = collect(download).await;
        assert_eq!((bytes.unwrap().as_slice(), steps), (CONTENT, vec!["restarted"]));
    }
}

#[tokio::test]
async fn a_caller_may_begin_in_the_middle() {
    let server = store(|seen, _| part(from(seen).unwrap())).await;
    let download = server.drive().download(&file("a", 10), 6).await.unwrap();
    assert_eq!((download.from, download.size), (6, Some(10)));
    assert_eq!(collect(download).await.0.unwrap(), b"6789");
    assert_eq!(server.seen()[0].header("range"), None);

    let server = store(|_, _| Reply::new(200, CONTENT)).await;
    let download = server.drive().download(&file("a", 10), 6).await.unwrap();
    assert_eq!(download.from, 0);
    assert_eq!(collect(download).await.0.unwrap(), CONTENT);
}

#[tokio::test]
async fn an_address_that_ended_is_replaced_once() {
    for status in [401, 403, 404, 410] {
        let server = store(move |_, count| {
            if count == 0 {
                Reply::new(status, "")
            } else {
                Reply::new(200, CONTENT)
            }
        })
        .await;
        let (bytes, _) = collect(server.drive().download(&file("a", 10), 0).await.unwrap()).await;
        assert_eq!(bytes.unwrap(), CONTENT);
        assert_eq!(server.lines().len(), 4);

        let server = store(move |_, _| Reply::new(status, "")).await;
        let error = server.drive().download(&file("a", 10), 0).await.unwrap_err();
        let kind = if status < 404 {
            ErrorKind::Denied
        } else {
            ErrorKind::Protocol
        };
        assert_eq!((error.kind, server.lines().len()), (kind, 4));
    }
    // It may end in the middle, too.
    let server = store(|seen, count| match (from(seen), count) {
        (None, _) => Reply::new(200, CONTENT).cut(5),
        (Some(_), 1) => Reply::new(403, ""),
        (Some(first), _) => part(first),
    })
    .await;
    let (bytes, steps) = collect(server.drive().download(&file("a", 10), 0).await.unwrap()).await;
    assert_eq!((bytes.unwrap().as_slice(), steps), (CONTENT, vec!["joined"]));
    let calls = server.seen().iter().filter(|seen| is_call(seen)).count();
    assert_eq!(calls, 2);
}

#[tokio::test]
async fn two_breaks_without_a_byte_ask_for_a_fresh_address() {
    let server = store(|seen, count| match (from(seen), count) {
        (None, _) => Reply::new(200, CONTENT).cut(5),
        (Some(first), 1 | 2) => part(first).cut(0),
        (Some(first), _) => part(first),
    })
    .await;
    let (bytes, _) = collect(server.drive().download(&file("a", 10), 0).await.unwrap()).await;
    assert_eq!(bytes.unwrap(), CONTENT);
    let calls: Vec<bool> = server.seen().iter().map(is_call).collect();
    assert_eq!(calls, [true, false, false, false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_content_that_only_trickles_is_begun_again() {
    let trickle = |reply: Reply| reply.drip(1, Duration::from_secs(21));
    let server = store(move |seen, count| match from(seen) {
        None => trickle(Reply::new(200, CONTENT)),
        // Three bytes came in a minute; the next connection brings the rest at once.
        Some(first) if count == 1 => part(first),
        Some(_) => Reply::new(500, ""),
    })
    .await;
    let mut config = server.config();
    config.timeouts.minimum_rate = 1;
    let (drive, tally) = server.connect(config);
    let (bytes, steps) = collect(drive.download(&file("a", 10), 0).await.unwrap()).await;
    assert_eq!(bytes.unwrap(), CONTENT);
    assert_eq!(steps, ["joined"]);
    assert_eq!(server.seen()[2].header("range"), Some("bytes=3-"));
    assert_eq!(tally.get(Counter::Retries), 1);
    // Where any rate is good enough, it just takes its time.
    let server = store(move |_, _| trickle(Reply::new(200, CONTENT))).await;
    let mut config = server.config();
    config.timeouts.minimum_rate = 0;
    let (bytes, steps) = collect(
        server
            .connect(config)
            .0
            .download(&file("a", 10), 0)
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((bytes.unwrap().as_slice(), steps.len()), (CONTENT, 0));
}

#[tokio::test(start_paused = true)]
async fn f21_a_content_that_stays_slow_fails_although_bytes_come() {
    const WHOLE: usize = 64 << 20;
    const PIECE: usize = 32 << 10;
    let server = store(|seen, _| {
        let first = from(seen).unwrap_or(0);
        let range = format!("bytes {first}-{}/{WHOLE}", WHOLE - 1);
        // 45 KiB a second are more than a mebibyte in a minute: a retry would have earned its tries back.
        Reply::new(if first > 0 { 206 } else { 200 }, vec![0; WHOLE - first])
            .with("content-range", &range)
            .drip(PIECE, Duration::from_millis(700))
    })
    .await;
    let mut config = server.config();
    config.retry.time = Duration::from_secs(3600);
    config.timeouts.minimum_rate = 100_000;
    let (drive, tally) = server.connect(config);
    let download = drive.download(&file("a", WHOLE as u64), 0).await.unwrap();
    let error = collect(download).await.0.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable { retry_after: None });
    assert!(
        error.message.contains("slower than 100000 bytes a second"),
        "{error}"
    );
    let asked = server.seen().iter().filter(|seen| !is_call(seen)).count();
    assert_eq!(asked, 4, "as often as the policy has tries");
    assert!(tally.get(Counter::BytesMoved) > 4 << 20);
}

#[tokio::test(start_paused = true)]
async fn what_our_own_limit_holds_back_is_not_slow() {
    let server = store(|_, _| Reply::new(200, [7; 64 << 10])).await;
    let mut config = server.config();
    config.timeouts.minimum_rate = u64::MAX;
    let mut download = server
        .connect(config)
        .0
        .download(&file("a", 64 << 10), 0)
        .await
        .unwrap();
    let mut received = 0;
    while let Some(piece) = download.body.next().await {
        let crate::drive::Piece::Bytes(bytes) = piece.unwrap() else {
            panic!("it was begun again");
        };
        received += bytes.len();
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    assert_eq!(received, 64 << 10);
}

#[tokio::test]
async fn the_budget_ends_a_content_that_never_comes() {
    let server = store(|_, _| Reply::new(200, CONTENT).cut(2)).await;
    let (bytes, steps) = collect(server.drive().download(&file("a", 10), 0).await.unwrap()).await;
    let error = bytes.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable { retry_after: None });
    assert_eq!((error.attempts, steps.len()), (4, 3));
}

#[tokio::test]
async fn what_is_not_the_content_is_not_handed_on() {
    let page = || Reply::new(200, "<html>sorry</html>").with("content-type", "text/html");
    let table: [(&str, fn() -> Reply, ErrorKind, usize); 4] = [
        (
            "a page in its place",
            || Reply::new(200, "<html>sorry</html>").with("content-type", "text/html; charset=utf-8"),
            ErrorKind::Protocol,
            4,
        ),
        (
            "another length",
            || Reply::new(200, "0123"),
            ErrorKind::Changed,
            4,
        ),
        (
            "packed",
            || Reply::new(200, CONTENT).with("content-encoding", "gzip"),
            ErrorKind::Unavailable { retry_after: None },
            5,
        ),
        (
            "a refusal",
            || Reply::json(429, &json!({"code": "X"})).with("retry-after", "99999"),
            ErrorKind::Unavailable {
                retry_after: Some(std::time::Duration::from_secs(99_999)),
            },
            2,
        ),
    ];
    for (what, reply, kind, requests) in table {
        let server = store(move |_, _| reply()).await;
        let error = server.drive().download(&file("a", 10), 0).await.unwrap_err();
        assert_eq!((error.kind, server.lines().len()), (kind, requests), "{what}");
        assert!(!error.message.contains("secret"));
    }
    // It may come right the second time.
    let server = store(move |_, count| {
        if count == 0 {
            page()
        } else {
            Reply::new(200, CONTENT)
        }
    })
    .await;
    let (bytes, _) = collect(server.drive().download(&file("a", 10), 0).await.unwrap()).await;
    assert_eq!(bytes.unwrap(), CONTENT);
}

#[tokio::test]
async fn an_untold_length_is_held_against_the_listing() {
    // Too short looks like a good end: it is resumed.
    let server = store(|seen, _| match from(seen) {
        None => Reply::new(200, &CONTENT[..6]).untold(),
        Some(first) => part(first),
    })
    .await;
    let (bytes, _) = collect(server.drive().download(&file("a", 10), 0).await.unwrap()).await;
    assert_eq!(bytes.unwrap(), CONTENT);
    // Too long is another content.
    let server = store(|_, _| Reply::new(200, "0123456789x").untold()).await;
    let (bytes, _) = collect(server.drive().download(&file("a", 10), 0).await.unwrap()).await;
    assert_eq!(bytes.unwrap_err().kind, ErrorKind::Changed);
    // An empty file ends at once, and a file of unknown size where the server says.
    let server = store(|_, _| Reply::new(200, "")).await;
    let (bytes, _) = collect(server.drive().download(&file("a", 0), 0).await.unwrap()).await;
    assert_eq!(bytes.unwrap(), b"");
    let server = store(|_, _| Reply::new(200, CONTENT)).await;
    let mut unknown = file("a", 0);
    unknown.size = None;
    let (bytes, _) = collect(server.drive().download(&unknown, 0).await.unwrap()).await;
    assert_eq!(bytes.unwrap(), CONTENT);
}

#[tokio::test]
async fn refusals_of_the_call_itself_are_told_with_their_code() {
    let table = [
        (404, ErrorKind::NotFound, 1),
        (403, ErrorKind::Denied, 1),
        (500, ErrorKind::Unavailable { retry_after: None }, 4),
    ];
    for (status, kind, requests) in table {
        let server = Server::start(move |_, _, _| {
            Reply::json(
                status,
                &json!({"code": "DRIVE_MALWARE", "description": "infected"}),
            )
        })
        .await;
        let error = server.drive().download(&file("a", 10), 0).await.unwrap_err();
        assert_eq!((error.kind, server.lines().len()), (kind, requests));
        assert!(
            error.message.contains("DRIVE_MALWARE: infected"),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn dropping_a_download_half_way_does_no_harm() {
    let server = store(|_, _| Reply::new(200, vec![7; 1 << 20])).await;
    let drive: Arc<dyn Drive> = server.drive();
    for _ in 0..3 {
        let download = drive.download(&file("a", 1 << 20), 0).await.unwrap();
        drop(download);
    }
    let (bytes, _) = collect(drive.download(&file("a", 1 << 20), 0).await.unwrap()).await;
    assert_eq!(bytes.unwrap().len(), 1 << 20);
}

#[test]
fn content_ranges_are_read() {
    assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
    assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
    assert_eq!(content_range("Bytes 0-0/1"), Some((0, Some(1))));
    for wrong in [
        "bytes */10",
        "items 5-9/10",
        "",
        "bytes 5",
        "bytes x-9/10",
        "bytes 5-/10",
        "bytes 9-5/10",
        "bytes 5-10/10",
        "bytes +5-9/10",
        "bytes5-9/10",
        "bytes 5-9/18446744073709551616",
    ] {
        assert_eq!(content_range(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn a_content_range_says_what_it_says_or_nothing(first in any::<u64>(), last in any::<u64>(), whole in any::<Option<u64>>(),
        unit in "(bytes|BYTES|byte|items)?", blank in " {0,2}", text in "\\PC{0,30}|[bytes0-9 /*+-]{0,30}") {
        let told = whole.map_or("*".to_owned(), |whole| whole.to_string());
        let read = content_range(&format!("{unit}{blank}{first}-{last}/{told}"));
        let is_right = unit.eq_ignore_ascii_case("bytes") && !blank.is_empty()
            && first <= last && whole.is_none_or(|whole| last < whole);
        prop_assert_eq!(read, is_right.then_some((first, whole)));
        if let Some((first, Some(whole))) = content_range(&text) {
            prop_assert!(first < whole);
        }
    }
}
