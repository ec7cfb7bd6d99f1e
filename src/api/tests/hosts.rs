//! Addresses that the service sends us to: a token goes to the tenant's own hosts, whatever an address looks like.

use proptest::prelude::*;
use proptest::sample::select;

use super::hostile::one_case_in;
use crate::api::Timeouts;
use crate::api::testing::{Reply, Server, collect, file};
use crate::drive::ErrorKind;

/// What stands before a host.
const SCHEMES: &[&str] = &[
    "https://",
    "http://",
    "HTTPS://",
    "https:",
    "https:/",
    "https:///",
    "https:\\\\",
    "https:/\\",
    "//",
    "///",
    "\\\\",
    "/\\",
    "ftp://",
    "ws://",
    "file://",
    "data:",
    "javascript:",
    "blob:https://",
    "\thttps://",
    "ht\ttps://",
    "",
];

const USERS: &[&str] = &[
    "",
    "",
    "",
    "",
    "user@",
    "user:word@",
    "@",
    ":@",
    "OWN@",
    "OWN:443@",
    "OWN%40",
    "OWN%2f@",
    "OWN\\@",
    "OWN#@",
    "OWN?@",
    "OWN/@",
    "OWN\t@",
];

const ENDS: &[&str] = &[
    "",
    "/",
    "/x?y=1#z",
    "?@OWN",
    "#@OWN",
    "\\@OWN",
    "/..//OWN",
    "/%2e%2e/OWN",
    ";@OWN",
    "\r\nhost: OWN",
    "\u{2028}",
];

/// An address out of such pieces, with `hosts` to choose from and `own` where a piece names a host of the tenant.
pub(in crate::api) fn address(
    own: &'static str,
    hosts: &'static [&'static str],
    ports: &'static [&'static str],
) -> impl Strategy<Value = String> {
    (
        select(SCHEMES),
        select(USERS),
        select(hosts),
        select(ports),
        select(ENDS),
    )
        .prop_map(move |(scheme, user, host, port, end)| {
            format!("{scheme}{user}{host}{port}{end}").replace("OWN", own)
        })
}

proptest! {
    #![proptest_config(one_case_in(4))]

    /// The storage host is this machine on one port, the stranger is this machine on another.
    #[test]
    fn a_redirect_never_takes_the_token_to_a_stranger(pieces in (
        select(SCHEMES), select(USERS),
        select(&["127.0.0.1", "127.1", "0x7f000001", "2130706433", "localhost", "[::ffff:127.0.0.1]", "127.0.0.1."]),
        any::<bool>(), select(ENDS),
    ), status in select(&[301_u16, 302, 303, 307, 308])) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stranger = Server::start(|_, _, _| Reply::new(200, "0123456789")).await;
            let strange = stranger.address.rsplit_once(':').unwrap().1.to_owned();
            let (scheme, user, host, is_strange, end) = pieces;
            let server = Server::start(move |address, seen, _| {
                if seen.path().ends_with("/download") {
                    let own = address.trim_start_matches("http://");
                    let port = if is_strange { &strange } else { own.rsplit_once(':').unwrap().1 };
                    let to = format!("{scheme}{user}{host}:{port}{end}").replace("OWN", own);
                    let mut reply = Reply::new(status, "");
                    if !to.contains(['\r', '\n']) {
                        reply = reply.with("location", &to);
                    }
                    reply
                } else {
                    Reply::new(200, "0123456789")
                }
            })
            .await;
            let mut config = server.config();
            // A stranger that is spoken to in another protocol says nothing.
            let patience = std::time::Duration::from_millis(200);
            config.timeouts = Timeouts { connect: patience, headers: patience, idle: patience, minimum_rate: 0 };
            config.retry.tries = 2;
            let (drive, _) = server.connect(config);
            let outcome = match drive.download(&file("a", 10), 0).await {
                Ok(download) => collect(download).await.0,
                Err(error) => Err(error),
            };
            assert_eq!(stranger.lines(), Vec::<String>::new());
            match outcome {
                Ok(bytes) => assert_eq!(bytes, b"0123456789"),
                Err(error) => assert!(
                    matches!(error.kind, ErrorKind::Protocol | ErrorKind::Unavailable { .. } | ErrorKind::Changed),
                    "{error:?}"
                ),
            }
            assert!(server.seen().len() <= 12, "{:?}", server.lines());
        });
    }
}
