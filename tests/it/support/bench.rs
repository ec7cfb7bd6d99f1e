//! A job in a temporary folder, with everything a run takes from its machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use drivejob::monitor::{Monitor, Silent};
use drivejob::report::Report;
use drivejob::runner::{self, Host, Loaded};
use drivejob::sim::{CONSUMER_KEY_VARIABLE, Simulator, TOKEN_VARIABLE};
use drivejob::stop::{Clock, Stop};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::Shelf;

/// How long a run may take that is expected to end at once. Far beyond what it takes, so that only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(180);

/// The API generation that a job talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    V2,
    Classic,
}

impl Face {
    pub(crate) const BOTH: [Face; 2] = [Face::V2, Face::Classic];
}

/// A folder with a job file, a tenant file, a state folder and an archive. It goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Bench {
    folder: TempDir,
    variables: BTreeMap<String, String>,
    keys: BTreeMap<String, String>,
    limits: BTreeMap<String, String>,
    tables: String,
    nights: Arc<AtomicI64>,
    changes: Arc<AtomicI64>,
}

impl Bench {
    /// A backup of `me` from a simulator through one of its faces, as fast as it goes, with short patience.
    pub(crate) fn new(simulator: &Simulator, face: Face) -> Bench {
        let bench = Bench::empty();
        let (text, variables) = tenant_file(simulator, face);
        let bench = variables
            .into_iter()
            .fold(bench, |bench, (name, value)| bench.variable(name, &value));
        bench.write("tenant.toml", &text);
        bench
            .key("tenant", "\"tenant.toml\"")
            .limit("requests-per-minute", "\"unlimited\"")
            .limit("attempts", "3")
            .limit("timeout", "\"20s\"")
    }

    /// As [`Bench::new`], with other lines in `[auth]` than the access token's.
    pub(crate) fn with_auth(simulator: &Simulator, face: Face, auth: &str) -> Bench {
        let bench = Bench::new(simulator, face);
        let (text, _) = tenant_file(simulator, face);
        let line = format!("token = {{ env = \"{TOKEN_VARIABLE}\" }}");
        assert!(text.contains(&line));
        bench.write("tenant.toml", &text.replace(&line, auth));
        bench
    }

    /// As [`Bench::new`], with a refresh token that is kept in `tenant.tokens`.
    pub(crate) fn with_refresh_token(simulator: &Simulator) -> Bench {
        let auth = "client-id = \"sim-client\"\nclient-secret = { env = \"CLIENT_SECRET\" }\n\
                    refresh-token = { env = \"REFRESH_TOKEN\" }\ntoken-store = \"tenant.tokens\"";
        Bench::with_auth(simulator, Face::V2, auth)
            .variable("CLIENT_SECRET", &simulator.options().client_secret)
            .variable("REFRESH_TOKEN", &simulator.options().refresh_token)
    }

    /// As [`Bench::new`] through the classic face, with a server token for which a JWT is signed.
    pub(crate) fn with_server_token(simulator: &Simulator) -> Bench {
        let auth = "server-id = \"sim-server\"\nprivate-key = { env = \"PRIVATE_KEY\" }";
        Bench::with_auth(simulator, Face::Classic, auth).variable("PRIVATE_KEY", &private_key())
    }

    /// A backup of `me` without a tenant.
    pub(crate) fn empty() -> Bench {
        // In memory where the system offers that: a run makes every file durable, which a disk takes its time for.
        let memory = Path::new("/dev/shm");
        let folder = TempDir::with_prefix_in("drivejob-it-", memory)
            .or_else(|_| TempDir::with_prefix("drivejob-it-"))
            .unwrap();
        let bench = Bench {
            folder,
            variables: BTreeMap::new(),
            keys: BTreeMap::new(),
            limits: BTreeMap::new(),
            tables: String::new(),
            nights: Arc::new(AtomicI64::new(0)),
            changes: Arc::new(AtomicI64::new(0)),
        };
        bench
            .key("kind", "\"backup\"")
            .key("archive", "\"archive\"")
            .key("drives", "[\"me\"]")
    }

    /// Sets a key of the job, written as TOML.
    pub(crate) fn key(mut self, name: &str, value: &str) -> Bench {
        self.keys.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a key of the job away.
    pub(crate) fn without(mut self, name: &str) -> Bench {
        self.keys.remove(name);
        self
    }

    /// Sets a key of the job's `[limits]`, written as TOML.
    pub(crate) fn limit(mut self, name: &str, value: &str) -> Bench {
        self.limits.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds further tables to the job.
    pub(crate) fn table(mut self, text: &str) -> Bench {
        self.tables.push_str(text);
        self.tables.push('\n');
        self
    }

    /// Sets a variable of the run's environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Bench {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the job file as it now is, and says where.
    pub(crate) fn job_file(&self) -> PathBuf {
        let pairs = |pairs: &BTreeMap<String, String>| -> String {
            pairs
                .iter()
                .map(|(name, value)| format!("{name} = {value}\n"))
                .collect()
        };
        let mut text = pairs(&self.keys);
        if !self.limits.is_empty() {
            text += &format!("\n[limits]\n{}", pairs(&self.limits));
        }
        text += &format!("\n{}", self.tables);
        self.write("job.toml", &text)
    }

    /// The job, read and checked.
    pub(crate) fn loaded(&self) -> Loaded {
        runner::load(&self.job_file()).unwrap()
    }

    /// The archive, as it lies there.
    pub(crate) fn shelf(&self) -> Shelf {
        Shelf::open(self.folder().join("archive"))
    }

    /// The state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// Lets a day pass for all later runs in this process.
    pub(crate) fn next_night(&self) {
        self.nights.fetch_add(1, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the clock of all later runs in this process forward by so many days, or back.
    pub(crate) fn set_clock(&self, days: i64) {
        self.nights.fetch_add(days, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// The machine that runs in this process see.
    pub(crate) fn host(&self) -> Host {
        let variables = self.variables.clone();
        let (nights, changes) = (Arc::clone(&self.nights), Arc::clone(&self.changes));
        Host {
            variable: Arc::new(move |name| variables.get(name).cloned()),
            state_dir: self.state(),
            clock: Clock::new(move || {
                // Each change of the date is a second more, so that no snapshot gets the name of one that is gone.
                let change = SignedDuration::from_secs(changes.load(Ordering::Relaxed));
                Timestamp::now() + SignedDuration::from_hours(24 * nights.load(Ordering::Relaxed)) + change
            }),
            name: "bench".to_owned(),
            pid: std::process::id(),
            first_pause: Some(Duration::from_millis(1)),
        }
    }

    /// Runs the job in this process. A run that hangs fails the test.
    pub(crate) async fn run(&self) -> Result<Report, runner::Error> {
        self.run_with(Arc::new(Silent), Stop::new()).await
    }

    /// As [`Bench::run`], with a listener and a stop.
    pub(crate) async fn run_with(
        &self,
        monitor: Arc<dyn Monitor>,
        stop: Stop,
    ) -> Result<Report, runner::Error> {
        let host = self.host();
        let run = runner::run(self.loaded(), &host, monitor, stop);
        tokio::time::timeout(PATIENCE, run).await.expect("the run hangs")
    }

    /// Runs the job as [`Bench::run`], a day after the run before.
    pub(crate) async fn run_next_night(&self) -> Result<Report, runner::Error> {
        self.next_night();
        self.run().await
    }

    /// The program, in a sealed environment and with the folder as its working directory.
    pub(crate) fn program(&self) -> assert_cmd::Command {
        assert_cmd::Command::from_std(self.process())
    }

    /// As [`Bench::program`], for those who start it by themselves.
    pub(crate) fn process(&self) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_drivejob"));
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            // So that what a child runs counts as covered.
            .envs(std::env::var_os("LLVM_PROFILE_FILE").map(|path| ("LLVM_PROFILE_FILE", path)))
            .env("HOME", self.folder())
            .env("DRIVEJOB_STATE_DIR", self.state())
            .env("NO_COLOR", "1")
            .envs(&self.variables)
            .current_dir(self.folder());
        command
    }
}

/// An RSA key in PEM, as a developer console gives it.
pub(crate) fn private_key() -> String {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use base64::Engine;
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

/// A tenant file for a face of the simulator, and the variables it refers to.
pub(crate) fn tenant_file(simulator: &Simulator, face: Face) -> (String, Vec<(&'static str, String)>) {
    match face {
        Face::V2 => {
            let (text, token) = simulator.tenant_file_v2();
            (text, vec![(TOKEN_VARIABLE, token)])
        }
        Face::Classic => {
            let (text, token, key) = simulator.tenant_file_classic();
            (text, vec![(TOKEN_VARIABLE, token), (CONSUMER_KEY_VARIABLE, key)])
        }
    }
}
