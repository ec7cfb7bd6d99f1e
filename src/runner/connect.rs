//! A tenant file becomes a connection.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::reference::Resolver;
use super::{Error, Host, TenantFile};
use crate::api::{self, Config, Credentials, Dialect, Endpoints, Rate, RetryPolicy, Timeouts};
use crate::drive::Drive;
use crate::job::{self, Face, Limits, Requests, Templates};
use crate::monitor::Monitor;

/// A refresh token that ends sooner than this is worth a warning: two weeks reach over a holiday.
const LOGIN_WARNING_DAYS: i64 = 14;

/// Connects to the tenant of a file. Nothing is sent yet. The configuration comes along for [`login_warning`].
pub(super) async fn connect(
    file: &TenantFile,
    limits: &Limits,
    host: &Host,
    monitor: Arc<dyn Monitor>,
) -> Result<(Arc<dyn Drive>, Config), Error> {
    let config = config(file, limits, host).await?;
    Ok((api::connect(config.clone(), monitor)?, config))
}

/// What a summary says of a refresh token that ends soon, or has ended.
pub(super) fn login_warning(config: &Config, now: Timestamp) -> Option<String> {
    let ends = api::refresh_token_expires(config)?;
    let left = ends.duration_since(now).as_hours().div_euclid(24);
    let date = ends.strftime("%Y-%m-%d");
    match left {
        LOGIN_WARNING_DAYS.. => None,
        0.. => Some(format!(
            "the refresh token ends on {date} (UTC), in {left} days: log in again before, with `drivejob login`"
        )),
        _ => Some(format!(
            "the refresh token ended on {date} (UTC): log in again, with `drivejob login`"
        )),
    }
}

/// What tells one tenant from another in an archive: the API ID or the client ID, empty where there is neither.
pub(super) async fn identity(file: &TenantFile, host: &Host) -> Result<String, Error> {
    let resolver = Resolver {
        host,
        base: &file.base,
    };
    let tenant = &file.tenant;
    let text = match tenant.dialect() {
        Face::V2 => {
            resolver
                .option("auth.client-id", tenant.auth.client_id.as_ref())
                .await?
        }
        Face::Classic => resolver.option("api-id", tenant.api_id.as_ref()).await?,
    };
    Ok(text.unwrap_or_default())
}

/// How many times `retry-for` a host is waited for that has answered before. By default these are the 30 minutes after which a
/// run in which nothing moves ends, to be carried on by the next start.
const OUTAGE: u32 = 2;

/// The configuration of the connection, with every reference looked up.
pub(super) async fn config(file: &TenantFile, limits: &Limits, host: &Host) -> Result<Config, Error> {
    let tenant = &file.tenant;
    let resolver = Resolver {
        host,
        base: &file.base,
    };
    let dialect = match tenant.dialect() {
        Face::V2 => Dialect::V2,
        Face::Classic => Dialect::Classic {
            api_id: resolver
                .option("api-id", tenant.api_id.as_ref())
                .await?
                .unwrap_or_default(),
        },
    };
    let endpoints = Endpoints {
        api: resolver.text("endpoints.api", &tenant.endpoints.api).await?,
        auth: resolver.text("endpoints.auth", &tenant.endpoints.auth).await?,
        file: match dialect {
            Dialect::V2 => None,
            Dialect::Classic { .. } => Some(resolver.text("endpoints.file", &tenant.endpoints.file).await?),
        },
        storage: tenant.endpoints.storage.clone(),
    };
    let identity = identity(file, host).await?;
    // One limit for all that call in the name of one app of one domain (API 2.0 docs, JP/rate-limits).
    let tenant_key = format!("{} {identity}", endpoints.api);
    let mut config = Config::new(dialect, host.state_dir.join("pace"), tenant_key);
    config.endpoints = endpoints;
    config.credentials = credentials(file, &resolver, &identity).await?;
    config.domain_id = tenant.domain_id;
    config.rate = rate(tenant.requests(limits.requests_per_minute), tenant);
    config.extra_ca = tenant
        .extra_ca
        .iter()
        .map(|path| job::resolve_path(&file.base, path))
        .collect();
    config.allow_plain_http = tenant.allow_plain_http;
    let usual = RetryPolicy::default();
    config.retry = RetryPolicy {
        tries: limits.attempts,
        time: limits.retry_for,
        first_delay: host.first_pause.unwrap_or(usual.first_delay),
        outage: match limits.attempts {
            // Who wants nothing repeated wants nothing waited for.
            1 => Duration::ZERO,
            _ => limits.retry_for.saturating_mul(OUTAGE),
        },
        ..usual
    };
    config.timeouts = Timeouts {
        headers: limits.timeout,
        idle: limits.timeout,
        minimum_rate: limits.minimum_rate.get(),
        ..Timeouts::default()
    };
    if tenant.dialect() == Face::Classic {
        let login = resolver.text("endpoints.login", &tenant.endpoints.login).await?;
        config.templates = templates(&tenant.templates, &login);
    }
    config.clock = Arc::new(HostClock(host.clone()));
    Ok(config)
}

#[derive(Debug)]
struct HostClock(Host);

impl api::Clock for HostClock {
    fn now(&self) -> jiff::Timestamp {
        self.0.clock.now()
    }
}

fn rate(requests: Requests, tenant: &job::Tenant) -> Rate {
    match requests {
        Requests::Auto if tenant.api == job::Api::Simulator => Rate::Unlimited,
        Requests::Auto => Rate::Plan {
            per_minute: tenant.plan.requests_per_minute(),
            sustained_half: tenant.dialect() == Face::V2,
        },
        Requests::Unlimited => Rate::Unlimited,
        Requests::PerMinute(figure) => Rate::Fixed(figure.get()),
    }
}

async fn credentials(
    file: &TenantFile,
    resolver: &Resolver<'_>,
    identity: &str,
) -> Result<Credentials, Error> {
    let auth = &file.tenant.auth;
    let has_account = auth.service_account.is_some() && auth.private_key.is_some();
    let token_store = match &auth.token_store {
        Some(path) => Some(job::resolve_path(&file.base, path)),
        // As in the credential table of jobs: an app with a service account has no login unless the file names a store.
        None if has_account && auth.refresh_token.is_none() => None,
        None => Some(default_token_store(resolver.host, &file.name, identity)),
    };
    Ok(Credentials {
        client_id: resolver.option("auth.client-id", auth.client_id.as_ref()).await?,
        client_secret: resolver
            .secret("auth.client-secret", auth.client_secret.as_ref())
            .await?,
        refresh_token: resolver
            .optional_secret("auth.refresh-token", auth.refresh_token.as_ref())
            .await?,
        access_token: resolver.secret("auth.token", auth.token.as_ref()).await?,
        token_store,
        service_account: resolver
            .option("auth.service-account", auth.service_account.as_ref())
            .await?,
        private_key: resolver
            .secret("auth.private-key", auth.private_key.as_ref())
            .await?,
        delegate: auth.delegate,
        member: resolver.option("auth.member", auth.member.as_ref()).await?,
        scope: auth.scope.clone(),
        consumer_key: resolver
            .secret("auth.consumer-key", auth.consumer_key.as_ref())
            .await?,
        server_id: resolver.option("auth.server-id", auth.server_id.as_ref()).await?,
        domain: resolver.option("domain", file.tenant.domain.as_ref()).await?,
    })
}

/// In the user's state folder, by tenant: the identity where there is one, else the file's name.
fn default_token_store(host: &Host, name: &str, identity: &str) -> PathBuf {
    let word = if identity.is_empty() { name } else { identity };
    let safe: String = word
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    host.state_dir.join("tokens").join(format!("{safe}.tokens"))
}

/// The classic API's addresses that differ from the known ones, in the names and braces of [`api::classic_templates`].
///
/// The tenant file writes paths behind an endpoint, with `{location}` for the storage location.
fn templates(templates: &Templates, login: &str) -> BTreeMap<String, String> {
    let paths = [
        ("root", "{api}", &templates.root),
        ("get", "{api}", &templates.properties),
        ("list", "{api}", &templates.children),
        ("create-folder", "{api}", &templates.create_folder),
        ("group-folders", "{api}", &templates.group_folders),
        ("upload", "{file}", &templates.upload),
        ("download", "{file}", &templates.download),
        ("authorize", login, &templates.authorize),
        ("service-token", login, &templates.service_token),
        ("server-token", "{auth}", &templates.server_token),
    ];
    let mut found = BTreeMap::new();
    for (name, endpoint, path) in paths {
        let known = api::classic_templates().iter().find(|(known, _)| *known == name);
        let text = match (path, known) {
            (Some(path), _) => format!(
                "{endpoint}/{}",
                path.trim_start_matches('/').replace("{location}", "{rl}")
            ),
            (None, Some((_, known))) if known.starts_with("{login}") => known.replace("{login}", login),
            (None, _) => continue,
        };
        found.insert(name.to_owned(), text);
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::login::authorize_address;
    use crate::job::{Format, parse_tenant};
    use crate::stop::Clock;

    /// A machine on which every variable is `secret`.
    fn host(state_dir: PathBuf) -> Host {
        Host {
            variable: Arc::new(|_| Some("secret".to_owned())),
            state_dir,
            clock: Clock::new(|| Timestamp::UNIX_EPOCH),
            name: "here".to_owned(),
            pid: 1,
            first_pause: None,
        }
    }

    async fn config_of(text: &str) -> Config {
        let file = TenantFile {
            tenant: parse_tenant(text, Format::Toml, "t.toml").unwrap(),
            base: PathBuf::from("/etc/jobs"),
            name: "t".to_owned(),
        };
        let job = "kind = \"audit\"\narchive = \"a\"\ntenant = \"t.toml\"\ndrives = [\"me\"]\n";
        let limits = job::parse_job(job, Format::Toml, "j.toml").unwrap().limits;
        config(&file, &limits, &host(PathBuf::from("/state")))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn classic_addresses_of_a_tenant_file_reach_the_api_under_its_names() {
        let config = config_of(
            "api = \"classic\"\napi-id = \"kr1\"\n[auth]\nconsumer-key = { env = \"K\" }\n\
             [endpoints]\nlogin = \"https://login.example.com\"\n\
             [templates]\nproperties = \"/p/{location}/{key}\"\n",
        )
        .await;
        assert_eq!(config.templates["get"], "{api}/p/{rl}/{key}");
        api::connect(config.clone(), Arc::new(crate::monitor::Silent)).unwrap();
        let address = authorize_address(&config, "http://localhost:9876/callback", "s").unwrap();
        assert!(
            address.starts_with("https://login.example.com/ba/kr1/service/authorize?client_id=secret"),
            "{address}"
        );
    }

    #[tokio::test]
    async fn the_host_of_the_login_follows_that_of_the_tokens_only_where_it_is_another() {
        for (endpoints, host) in [
            ("", "https://auth.worksmobile.com"),
            (
                "auth = \"https://authapi.worksmobile.com/\"",
                "https://auth.worksmobile.com",
            ),
            ("auth = \"https://mock.example.com\"", "https://mock.example.com"),
        ] {
            let config = config_of(&format!(
                "api = \"classic\"\napi-id = \"kr1\"\n[auth]\nconsumer-key = {{ env = \"K\" }}\n[endpoints]\n{endpoints}\n"
            ))
            .await;
            let address = authorize_address(&config, "http://localhost:9876/callback", "s").unwrap();
            assert!(
                address.starts_with(&format!("{host}/ba/kr1/service/authorize")),
                "{endpoints}: {address}"
            );
        }
    }

    #[tokio::test]
    async fn tokens_are_kept_where_a_member_may_have_logged_in() {
        let app = "api = \"v2\"\n[auth]\nclient-id = \"c\"\nclient-secret = { env = \"S\" }\n";
        let account =
            "service-account = \"s\"\nprivate-key = { env = \"P\" }\ndelegate = true\nmember = \"a@b.c\"\n";
        let stores = [
            (app.to_owned(), Some("/state/tokens/c.tokens")),
            (format!("{app}{account}"), None),
            (
                format!("{app}{account}token-store = \"x.tokens\"\n"),
                Some("/etc/jobs/x.tokens"),
            ),
        ];
        for (text, store) in stores {
            let config = config_of(&text).await;
            assert_eq!(config.credentials.token_store, store.map(PathBuf::from), "{text}");
        }
    }

    #[tokio::test]
    async fn a_login_that_ends_soon_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("x.tokens");
        std::fs::write(
            &store,
            r#"{"refresh_token":"r","stored_at":"2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut config = Config::new(Dialect::V2, folder.path().into(), "t");
        config.credentials.token_store = Some(store);
        // 90 days after the first of January is the first of April.
        for (now, words) in [
            ("2026-03-18T00:00:00Z", None),
            ("2026-03-18T01:00:00Z", Some("on 2026-04-01 (UTC), in 13 days")),
            ("2026-03-31T23:00:00Z", Some("in 0 days")),
            ("2026-04-01T01:00:00Z", Some("ended on 2026-04-01")),
        ] {
            let warning = login_warning(&config, now.parse().unwrap());
            match words {
                None => assert_eq!(warning, None, "{now}"),
                Some(words) => assert!(warning.clone().unwrap().contains(words), "{now}: {warning:?}"),
            }
        }
    }
}
