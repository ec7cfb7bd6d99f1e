//! The host rule: which addresses may be sent the token.

use std::net::IpAddr;

use super::Url;
use crate::api::{Config, ConnectError};

/// The addresses of one tenant that may be sent its token.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    exact: Vec<Url>,
    storage: Vec<Pattern>,
    allow_plain_http: bool,
}

/// One word of `endpoints.storage`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// The host, or the suffix behind `*.`, in lower case.
    host: String,
    /// Whether any host below it is meant, rather than itself.
    below: bool,
    port: Option<u16>,
}

impl Hosts {
    /// The rule of a configuration.
    pub(super) fn new(config: &Config) -> Result<Hosts, ConnectError> {
        let mut hosts = Hosts {
            exact: Vec::new(),
            storage: Vec::new(),
            allow_plain_http: config.allow_plain_http,
        };
        let named = [
            ("endpoints.api", Some(&config.endpoints.api)),
            ("endpoints.auth", Some(&config.endpoints.auth)),
            ("endpoints.file", config.endpoints.file.as_ref()),
        ];
        for (name, value) in named {
            let Some(value) = value else { continue };
            let url = hosts.checked(name, value)?;
            if name != "endpoints.auth" {
                hosts.exact.push(url);
            }
        }
        for word in &config.endpoints.storage {
            let pattern = Pattern::read(word).map_err(|reason| ConnectError::Address {
                name: "endpoints.storage",
                value: word.clone(),
                reason: reason.to_owned(),
            })?;
            hosts.storage.push(pattern);
        }
        Ok(hosts)
    }

    fn checked(&self, name: &'static str, value: &str) -> Result<Url, ConnectError> {
        let wrong = |reason: String| ConnectError::Address {
            name,
            value: value.to_owned(),
            reason,
        };
        let url = Url::parse(value).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("it is no https address".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it holds a name or password".to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it holds a '?' or '#'".to_owned()));
        }
        if !self.is_safe(&url) {
            return Err(wrong("a token would travel unencrypted over http".to_owned()));
        }
        Ok(url)
    }

    /// Whether an address may be sent the token: it is one of the tenant's own, or a storage host, over https (or http
    /// to this machine).
    pub(super) fn admit(&self, url: &Url) -> bool {
        if !matches!(url.scheme(), "http" | "https")
            || !self.is_safe(url)
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return false;
        }
        self.exact.iter().any(|own| own.origin() == url.origin())
            || self.storage.iter().any(|pattern| pattern.matches(url))
    }

    fn is_safe(&self, url: &Url) -> bool {
        url.scheme() == "https" || self.allow_plain_http || is_loopback(url)
    }
}

impl Pattern {
    fn read(word: &str) -> Result<Pattern, &'static str> {
        let (rest, below) = match word.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (word, false),
        };
        // An IPv6 address has its colons in brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, Some(port.parse().map_err(|_| "its port is no number")?))
            }
            _ => (rest, None),
        };
        if host.is_empty() || host.contains(['*', '/', '@', ' ']) {
            return Err("expected host, host:port or *.suffix");
        }
        Ok(Pattern {
            host: host.to_ascii_lowercase(),
            below,
            port,
        })
    }

    fn matches(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        let named = if self.below {
            host.strip_suffix(&self.host)
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty())
        } else {
            host == self.host
        };
        named
            && match self.port {
                Some(port) => url.port_or_known_default() == Some(port),
                // `port` is `None` for the scheme's own port.
                None => url.port().is_none() || is_loopback(url),
            }
    }
}

/// Whether an address lies on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::Dialect;
    use crate::api::tests::hosts::address;

    fn hosts(api: &str, storage: &[&str], plain: bool) -> Result<Hosts, ConnectError> {
        let mut config = Config::new(Dialect::V2, "state".into(), "tenant");
        config.endpoints.api = api.to_owned();
        config.endpoints.storage = storage.iter().map(|word| (*word).to_owned()).collect();
        config.allow_plain_http = plain;
        Hosts::new(&config)
    }

    #[test]
    fn the_token_goes_to_hosts_of_the_tenant_only() {
        let own = "https://www.worksapis.com/v1.0";
        let default = ["*.worksmobile.com", "*.worksapis.com"];
        let table: [(&str, &[&str], &str, bool); 26] = [
            (own, &default, "https://apis-storage.worksmobile.com/k1?x=1", true),
            (own, &default, "https://a.b.worksmobile.com/", true),
            (own, &default, "https://APIS-STORAGE.WorksMobile.com/", true),
            (own, &default, "https://www.worksapis.com/anything", true),
            (own, &default, "https://worksmobile.com/", false),
            (own, &default, "https://evilworksmobile.com/", false),
            (own, &default, "https://apis.worksmobile.com.evil/", false),
            (own, &default, "https://worksmobile.com.evil/", false),
            (own, &default, "https://x.worksmobile.com@evil.com/", false),
            (own, &default, "https://user@x.worksmobile.com/", false),
            (own, &default, "https://x.worksmobile.com./", false),
            (own, &default, "https://x.worksmobile.com:8443/", false),
            (own, &default, "http://x.worksmobile.com/", false),
            (own, &default, "ftp://x.worksmobile.com/", false),
            (own, &default, "https://127.0.0.1/", false),
            (own, &["*.example.com:8443"], "https://a.example.com:8443/", true),
            (own, &["*.example.com:8443"], "https://a.example.com/", false),
            (own, &["store.example.com"], "https://store.example.com/", true),
            (own, &["store.example.com"], "https://a.store.example.com/", false),
            (
                own,
                &["store.example.com:443"],
                "https://store.example.com/",
                true,
            ),
            (own, &["127.0.0.1:9000"], "http://127.0.0.1:9000/x", true),
            (own, &["127.0.0.1:9000"], "http://127.0.0.1:9001/x", false),
            (own, &["127.0.0.1"], "http://127.0.0.1:9001/x", true),
            (own, &["[::1]:9000"], "http://[::1]:9000/x", true),
            ("http://127.0.0.1:7000/v1.0", &[], "http://127.0.0.1:7000/x", true),
            (
                "http://127.0.0.1:7000/v1.0",
                &[],
                "http://localhost:7000/x",
                false,
            ),
        ];
        for (api, storage, url, admitted) in table {
            let hosts = hosts(api, storage, false).unwrap();
            assert_eq!(hosts.admit(&Url::parse(url).unwrap()), admitted, "{url}");
        }
        let plain = hosts("http://api.lan/v1.0", &["store.lan"], true).unwrap();
        assert!(plain.admit(&Url::parse("http://store.lan/x").unwrap()));
    }

    #[test]
    fn addresses_that_would_leak_a_token_are_refused() {
        for api in [
            "http://www.worksapis.com/v1.0",
            "www.worksapis.com",
            "ftp://x/",
            "https://name:word@x/",
            "https://x/?a=b",
            "",
        ] {
            assert!(hosts(api, &[], false).is_err(), "{api}");
        }
        for storage in ["*", "*.*.com", "host:port", "", "https://x"] {
            assert!(hosts("https://x", &[storage], false).is_err(), "{storage}");
        }
    }

    /// Hosts that are the tenant's, nearly so, or not at all.
    const HOSTS: &[&str] = &[
        "x.worksmobile.com",
        "X.WorksMobile.COM",
        "a.b.worksmobile.com",
        "www.worksapis.com",
        "worksmobile.com",
        ".worksmobile.com",
        "x..worksmobile.com",
        "x.worksmobile.com.",
        "x.worksmobile.com..",
        "evilworksmobile.com",
        "x.worksmobile.com.evil.example",
        "x.worksmobile.comevil.example",
        "x.worksmobile.co",
        "x.worksmobile.com%00.evil.example",
        "x.worksmobile.com%2eevil.example",
        "x.worksmobile.com%2fevil.example",
        "evil.example",
        "evil.example/x.worksmobile.com",
        "evil.example\\x.worksmobile.com",
        "evil.example?x.worksmobile.com",
        "evil.example#x.worksmobile.com",
        "ｘ.ｗｏｒｋｓｍｏｂｉｌｅ.ｃｏｍ",
        "x.worksmobile。com",
        "x.wörksmobile.com",
        "x.worksmobiĺe.com",
        "x.xn--wrksmobile-ecb.com",
        "x.works\u{ad}mobile.com",
        "x.works\u{200b}mobile.com",
        "evil.example\u{ff0f}.worksmobile.com",
        "evil.example\u{2044}.worksmobile.com",
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "2130706433",
        "",
    ];

    const PORTS: &[&str] = &[
        "", "", "", ":443", ":80", ":8443", ":0", ":", ":99999", ":443:443", ":+443",
    ];

    proptest::proptest! {
        #[test]
        fn whatever_an_address_looks_like_its_host_is_the_tenants(
            text in address("x.worksmobile.com", HOSTS, PORTS), noise in "(\\PC{0,3})?", at in proptest::prelude::any::<proptest::sample::Index>(),
        ) {
            let rule = hosts("https://www.worksapis.com/v1.0", &["*.worksmobile.com", "*.worksapis.com"], false).unwrap();
            let mut text: Vec<char> = text.chars().collect();
            let at = at.index(text.len() + 1);
            text.splice(at..at, noise.chars());
            let text: String = text.into_iter().collect();
            let base = Url::parse("https://www.worksapis.com/v1.0/users/me/drive/files/a/download").unwrap();
            let Ok(url) = base.join(&text) else { return Ok(()) };
            if !rule.admit(&url) {
                return Ok(());
            }
            // What goes on the wire is the printed address: a second reader must not take it for another one.
            let printed = url.as_str();
            let rest = printed.strip_prefix("https://").unwrap();
            let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
            let authority = &rest[..end];
            proptest::prop_assert!(!authority.contains(['@', ':', '%']), "{}", printed);
            proptest::prop_assert!(authority.is_ascii() && authority == authority.to_ascii_lowercase(), "{}", printed);
            proptest::prop_assert!(
                authority.ends_with(".worksmobile.com") || authority.ends_with(".worksapis.com"), "{}", printed
            );
            proptest::prop_assert_eq!(Url::parse(printed).unwrap(), url);
        }
    }
}
