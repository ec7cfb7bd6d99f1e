//! A whole tenant, unattended: many drives, each member's own token, windows, plans, logins, and limits that are shared.

mod login;
mod plan;
mod scale;
mod scopes;
mod shared;
mod window;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drivejob::id::DriveId;
use drivejob::manifest::Outcome;
use drivejob::monitor::{Counter, DriveState, Monitor, Phase, Silent, Transfer, Waiting};
use drivejob::report::Report;
use drivejob::runner::{self, Host};
use drivejob::sim::{
    CONSUMER_KEY_VARIABLE, GeneratedSpec, Options, Simulator, Sizes, TOKEN_VARIABLE, TenantSpec, World,
};
use drivejob::stop::{Clock, Stop};
use jiff::Timestamp;
use tempfile::TempDir;

/// A simulated tenant with a folder for jobs, archives and state.
struct Town {
    simulator: Arc<Simulator>,
    folder: TempDir,
    key: String,
}

impl Town {
    async fn new(world: World, options: Options) -> Town {
        let town = Town {
            simulator: Arc::new(Simulator::start(world, options).await.unwrap()),
            folder: tempfile::tempdir().unwrap(),
            key: private_key(),
        };
        let service_account = &town.simulator.options().service_account;
        let delegated = format!(
            "service-account = \"{service_account}\"\nprivate-key = {{ env = \"KEY\" }}\ndelegate = true\n\
             member = \"member1@example.com\"\n"
        );
        town.write("delegated.toml", &town.tenant(&delegated));
        let refresh = "refresh-token = { env = \"REFRESH\" }\ntoken-store = \"acme.tokens\"\n";
        town.write("refresh.toml", &town.tenant(refresh));
        town
    }

    /// A tenant file of API 2.0 with these lines under `[auth]`.
    fn tenant(&self, auth: &str) -> String {
        let endpoints = self.simulator.endpoints();
        format!(
            "api = \"v2\"\n[auth]\nclient-id = \"{}\"\nclient-secret = {{ env = \"SECRET\" }}\n\
             scope = \"file group.folder user.read group.read\"\n{auth}\
             [endpoints]\napi = \"{}/v1.0\"\nauth = \"{}/oauth2/v2.0\"\nstorage = [\"{}\"]\n",
            self.simulator.options().client_id,
            endpoints.api,
            endpoints.auth,
            endpoints.storage.trim_start_matches("http://"),
        )
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A job file of that name, which has an archive of that name.
    fn job(&self, name: &str, kind: &str, tenant: &str, drives: &str, more: &str) -> PathBuf {
        self.write(
            &format!("{name}.toml"),
            &format!(
                "kind = \"{kind}\"\ntenant = \"{tenant}\"\narchive = \"{name}\"\ndrives = {drives}\ntime-zone = \"UTC\"\n{more}"
            ),
        )
    }

    /// A machine whose clock is the simulator's.
    fn host(&self) -> Host {
        let simulator = Arc::clone(&self.simulator);
        self.host_at(Clock::new(move || {
            Timestamp::from_millisecond(simulator.clock().now_ms()).unwrap()
        }))
    }

    fn host_at(&self, clock: Clock) -> Host {
        let options = self.simulator.options();
        let values = BTreeMap::from([
            ("KEY", self.key.clone()),
            ("SECRET", options.client_secret.clone()),
            ("REFRESH", options.refresh_token.clone()),
            ("CONSUMER", options.consumer_key.clone()),
            (CONSUMER_KEY_VARIABLE, options.consumer_key.clone()),
            (TOKEN_VARIABLE, self.simulator.token().to_owned()),
        ]);
        Host {
            variable: Arc::new(move |name| values.get(name).cloned()),
            state_dir: self.path("state"),
            clock,
            name: "here".to_owned(),
            pid: std::process::id(),
            first_pause: None,
        }
    }

    async fn run(&self, job: &std::path::Path) -> Report {
        self.run_with(job, &self.host(), Arc::new(Silent)).await.unwrap()
    }

    async fn run_with(
        &self,
        job: &std::path::Path,
        host: &Host,
        monitor: Arc<dyn Monitor>,
    ) -> Result<Report, runner::Error> {
        let loaded = runner::load(job).unwrap();
        runner::run(loaded, host, monitor, Stop::new()).await
    }

    /// Files and bytes of the drives whose words fit.
    fn truth(&self, fits: impl Fn(&str) -> bool) -> (u64, u64) {
        self.simulator.world().read(|world| {
            let mut sum = (0, 0);
            for drive in 0..world.drives().len() {
                if !fits(&world.drive_word(drive).unwrap()) {
                    continue;
                }
                for truth in world.truth(drive).filter(|truth| truth.kind == "file") {
                    sum.0 += 1;
                    sum.1 += truth.size;
                }
            }
            sum
        })
    }

    /// The words of all drives, in the order in which they were made: members, shared drives, group folders.
    fn words(&self) -> Vec<String> {
        self.simulator.world().read(|world| {
            (0..world.drives().len())
                .map(|drive| world.drive_word(drive).unwrap())
                .collect()
        })
    }

    /// The id of a drive's root folder, which fault rules can name.
    fn root_id(&self, word: &str) -> String {
        self.simulator
            .world()
            .read(|world| world.id_of(world.root(world.drive(word).unwrap()).unwrap()))
    }

    fn calls(&self, operation: &str) -> u64 {
        self.simulator.calls().of(operation)
    }
}

/// A tenant with small drives of so many kinds.
fn small_drives(members: usize, shared_drives: usize, group_folders: usize) -> World {
    World::tenant(&TenantSpec {
        members,
        shared_drives,
        groups: group_folders * 2,
        tree: GeneratedSpec {
            files: 6,
            folders: 2,
            sizes: Sizes::Uniform(0, 4_000),
            ..GeneratedSpec::default()
        },
    })
}

/// Files and bytes that are in the snapshot of a run.
fn held(report: &Report) -> (u64, u64) {
    let (stored, reused) = (
        report.totals.of(Outcome::Stored),
        report.totals.of(Outcome::Reused),
    );
    (stored.files + reused.files, stored.bytes + reused.bytes)
}

/// A fresh RSA key as PKCS#8 PEM.
fn private_key() -> String {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    )
}

/// Does something each time so many files are done, and remembers the calls in their order.
struct Watcher {
    each: u64,
    act: Box<dyn Fn() + Send + Sync>,
    done: Mutex<u64>,
    calls: Mutex<Vec<&'static str>>,
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Watcher")
    }
}

impl Watcher {
    fn new(each: u64, act: impl Fn() + Send + Sync + 'static) -> Arc<Watcher> {
        Arc::new(Watcher {
            each,
            act: Box::new(act),
            done: Mutex::default(),
            calls: Mutex::default(),
        })
    }
}

impl Monitor for Watcher {
    fn count(&self, counter: Counter, by: u64) {
        if counter == Counter::FilesDone {
            let mut done = self.done.lock().unwrap();
            *done += by;
            if (*done).is_multiple_of(self.each) {
                (self.act)();
            }
        }
    }
    fn call(&self, operation: &'static str, _: Option<u16>) {
        self.calls.lock().unwrap().push(operation);
    }
    fn transfer(&self, _: usize, _: Transfer<'_>) {}
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}
