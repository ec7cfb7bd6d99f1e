//! A tenant file becomes a connection.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::reference::Resolver;
use super::{Error, Host, TenantFile};
use crate::api::{self, Config, Credentials, Dialect, Endpoints, Rate, RetryPolicy, Timeouts};
use crate::drive::Drive;
use crate::job::{self, Face, Limits, Requests, Templates};
use crate::monitor::Monitor;

/// Connects to the tenant of a file. Nothing is sent yet.
pub(super) async fn connect(
    file: &TenantFile,
    limits: &Limits,
    host: &Host,
    monitor: Arc<dyn Monitor>,
) -> Result<Arc<dyn Drive>, Error> {
    let config = config(file, limits, host).await?;
    Ok(api::connect(config, monitor)?)
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
        ..usual
    };
    config.timeouts = Timeouts {
        headers: limits.timeout,
        idle: limits.timeout,
        ..Timeouts::default()
    };
    config.templates = templates(&tenant.templates);
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
    let token_store = match &auth.token_store {
        Some(path) => job::resolve_path(&file.base, path),
        None => default_token_store(resolver.host, &file.name, identity),
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
        token_store: Some(token_store),
        service_account: resolver
            .option("auth.service-account", auth.service_account.as_ref())
            .await?,
        private_key: resolver
            .secret("auth.private-key", auth.private_key.as_ref())
            .await?,
        delegate: auth.delegate,
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

fn templates(templates: &Templates) -> BTreeMap<String, String> {
    let pairs = [
        ("root", &templates.root),
        ("properties", &templates.properties),
        ("children", &templates.children),
        ("create-folder", &templates.create_folder),
        ("group-folders", &templates.group_folders),
        ("upload", &templates.upload),
        ("download", &templates.download),
        ("authorize", &templates.authorize),
        ("service-token", &templates.service_token),
        ("server-token", &templates.server_token),
    ];
    pairs
        .into_iter()
        .filter_map(|(name, template)| Some((name.to_owned(), template.clone()?)))
        .collect()
}
