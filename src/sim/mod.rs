//! A simulator of LINE WORKS Drive: API 2.0 and the classic API-ID generation over one world.
//!
//! A [`World`] is a tenant: members, drives, and trees of any size whose bytes are made from seeds when they are asked for.
//! [`Simulator::start`] serves it on four ports of this machine: api, auth and storage, each for both generations, and a control
//! for other processes. It counts every call, keeps the service's rate limits, tells the time by a [`Clock`] of its own, and lets
//! a script of [`Faults`] happen.
//!
//! The protocol is written from the service's documents alone: nothing here is shared with the client, so that a misreading on
//! one side cannot hide behind the same misreading on the other. Where the documents are silent, [`Options`] has a switch.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use drivejob::sim::{Action, Options, Rule, Simulator, World};
//!
//! let simulator = Simulator::start(World::demo(), Options::default()).await?;
//! let (text, token) = simulator.tenant_file_v2();
//! // Every listing call fails once, then works.
//! let added = simulator.faults().add(Rule::new("drive.list", Action::ResetBeforeHeaders));
//! assert!(added.is_ok());
//! // … run a client against simulator.endpoints() …
//! println!("{:?}", simulator.calls().of("drive.list"));
//! simulator.stop().await;
//! # Ok(()) }
//! ```

mod admin;
mod answer;
mod change;
mod classic;
mod clock;
mod connection;
mod content;
mod distort;
mod download;
mod edit;
mod faults;
mod form;
mod import;
mod jwt;
mod limits;
mod names;
mod oauth;
mod operation;
mod options;
mod people;
mod seed;
mod service;
mod stamp;
mod storage;
mod tokens;
mod tree;
mod truth;
mod upload;
mod v2;
mod world;

#[cfg(test)]
mod tests;

use std::future::{Future, IntoFuture as _};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::http::Response;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::change::{Change, ChangeError, Flag};
pub use self::clock::Clock;
pub use self::faults::{Action, Faults, Rule, Script, UnknownOperation};
pub use self::limits::{Calls, OperationCalls, Window};
pub use self::operation::is_operation_name;
pub use self::options::{FileServer, GatewayErrors, ListEnd, Options, StaticToken};
pub use self::people::{
    AccessibleRange, Denied, Drive, DriveKind, Group, Link, Member, Permission, Share, ShareMember,
};
pub use self::seed::{GeneratedSpec, Names, Sizes, TenantSpec};
pub use self::service::{Endpoints, SharedWorld};
pub use self::tree::Node;
pub use self::truth::Truth;
pub use self::world::World;

use self::connection::{Breaker, Door};
use self::limits::Limits;
use self::service::Service;

/// Time given to answers under way when the simulator is stopped.
const GRACE: Duration = Duration::from_millis(200);
/// Name of the variable that the tenant files refer to for the token.
pub const TOKEN_VARIABLE: &str = "DRIVEJOB_SIM_TOKEN";
/// Name of the variable that the classic tenant file refers to for the consumer key.
pub const CONSUMER_KEY_VARIABLE: &str = "DRIVEJOB_SIM_CONSUMER_KEY";

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<io::Result<()>>>,
}

impl Simulator {
    /// Serves a world until [`Simulator::stop`] or until it is dropped.
    ///
    /// # Errors
    /// A port cannot be opened.
    pub async fn start(world: World, options: Options) -> io::Result<Self> {
        let limits = Limits::new(options.per_minute, options.classic_per_minute, options.window);
        let open = |port| {
            Door::open(
                SocketAddr::new(options.listen, port),
                Arc::clone(&limits.connections),
            )
        };
        let api = open(options.api_port).await?;
        let auth = open(options.auth_port).await?;
        let storage = open(options.storage_port).await?;
        let admin = open(options.admin_port).await?;
        let address = |door: &Door| door.address().map(|address| format!("http://{address}"));
        let endpoints = Endpoints {
            api: address(&api)?,
            auth: address(&auth)?,
            storage: address(&storage)?,
            admin: address(&admin)?,
        };
        let service = Arc::new(Service::new(world, options, endpoints, limits));
        let (stop, stopped) = watch::channel(false);
        let tasks = vec![
            spawn(api, &service, &stopped, serve_api),
            spawn(auth, &service, &stopped, oauth::serve),
            spawn(storage, &service, &stopped, storage::serve),
            spawn(admin, &service, &stopped, admin::serve),
        ];
        Ok(Self { service, stop, tasks })
    }

    /// Addresses of the four ports.
    pub fn endpoints(&self) -> &Endpoints {
        &self.service.endpoints
    }

    /// The world, to look at and to change.
    pub fn world(&self) -> SharedWorld {
        self.service.world.clone()
    }

    /// What has been called so far.
    pub fn calls(&self) -> Calls {
        self.service.limits.calls()
    }

    /// Sets all counts of calls to zero.
    pub fn reset_calls(&self) {
        self.service.limits.reset();
    }

    /// The fault script.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.service.clock
    }

    /// The settings it was started with.
    pub fn options(&self) -> &Options {
        &self.service.options
    }

    /// Ends every access token at once; refresh tokens stay.
    pub fn end_access_tokens(&self) {
        self.service.tokens.end_all_access();
    }

    /// Makes one change at the simulator's time.
    ///
    /// # Errors
    /// As [`World::apply`].
    pub fn change(&self, change: &Change) -> Result<Option<Node>, ChangeError> {
        let now = self.service.clock.now_ms();
        self.service.world.write(|world| world.apply(change, now))
    }

    /// The first static token of a member; empty when there is none.
    pub fn token(&self) -> &str {
        self.service
            .options
            .tokens
            .iter()
            .find(|token| token.member != "service-account")
            .map_or("", |token| token.token.as_str())
    }

    /// A tenant file for API 2.0 that points at this simulator, and the value for [`TOKEN_VARIABLE`].
    pub fn tenant_file_v2(&self) -> (String, String) {
        let Endpoints {
            api, auth, storage, ..
        } = self.endpoints();
        let other = self
            .options()
            .file_server
            .as_ref()
            .map(|server| server.url.as_str());
        let hosts = [Some(storage.as_str()), other].into_iter().flatten().map(|url| {
            let host = url.split_once("://").map_or(url, |(_, rest)| rest);
            format!("{:?}", host.split('/').next().unwrap_or(host))
        });
        let hosts = hosts.collect::<Vec<String>>().join(", ");
        let text = format!(
            "api = \"v2\"\n\n[auth]\ntoken = {{ env = \"{TOKEN_VARIABLE}\" }}\n\n[endpoints]\napi = \"{api}/v1.0\"\nauth = \"{auth}/oauth2/v2.0\"\nstorage = [{hosts}]\n"
        );
        (text, self.token().to_owned())
    }

    /// A tenant file for the classic generation that points at this simulator, and the values for [`TOKEN_VARIABLE`] and
    /// [`CONSUMER_KEY_VARIABLE`].
    pub fn tenant_file_classic(&self) -> (String, String, String) {
        let Endpoints {
            api, auth, storage, ..
        } = self.endpoints();
        let api_id = &self.options().api_id;
        let text = format!(
            "api = \"classic\"\napi-id = \"{api_id}\"\n\n[auth]\nconsumer-key = {{ env = \"{CONSUMER_KEY_VARIABLE}\" }}\ntoken = {{ env = \"{TOKEN_VARIABLE}\" }}\n\n[endpoints]\napi = \"{api}\"\nfile = \"{storage}\"\nauth = \"{auth}\"\n"
        );
        (text, self.token().to_owned(), self.options().consumer_key.clone())
    }

    /// Stops listening, gives answers under way a moment, and returns.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            let handle = task.abort_handle();
            // An answer that stalls by its fault script would never end.
            if tokio::time::timeout(GRACE, task).await.is_err() {
                handle.abort();
            }
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn serve_api(service: Arc<Service>, breaker: Breaker, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    if path == "/v1.0" || path.starts_with("/v1.0/") {
        v2::serve(service, breaker, request).await
    } else {
        classic::serve(service, breaker, request).await
    }
}

/// Serves one port with one function: paths are read by the faces themselves.
fn spawn<F, A>(
    door: Door,
    service: &Arc<Service>,
    stopped: &watch::Receiver<bool>,
    face: F,
) -> JoinHandle<io::Result<()>>
where
    F: Fn(Arc<Service>, Breaker, Request<Body>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let service = Arc::clone(service);
    let mut stopped = stopped.clone();
    let router = Router::new()
        .fallback(
            move |ConnectInfo(breaker): ConnectInfo<Breaker>, request: Request<Body>| {
                face(Arc::clone(&service), breaker, request)
            },
        )
        .layer(DefaultBodyLimit::disable());
    let stopping = async move {
        // The sender is gone only when the simulator is.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    tokio::spawn(
        axum::serve(door, router.into_make_service_with_connect_info::<Breaker>())
            .with_graceful_shutdown(stopping)
            .into_future(),
    )
}
