//! What the processes of one tenant share: its rate limit, and its refresh token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use drivejob::api::{self, Config, Dialect, Rate};
use drivejob::drive::ErrorKind;
use drivejob::entry::Scope;
use drivejob::monitor::Silent;
use drivejob::report::Status;
use drivejob::secret::Secret;
use drivejob::sim::{GeneratedSpec, Options, Sizes, World};

use super::{Town, small_drives};

/// Minutes that the shared pace is watched for: one is enough to see a limit kept, and two to see it used.
const LONG: &str = "DRIVEJOB_TEST_LONG";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_jobs_of_one_tenant_keep_one_limit_together() {
    // With the variable set, the run is long enough for a share of the limit to mean something; without it the proof of
    // that share is the one with a clock of its own, beside the pace.
    let long = std::env::var_os(LONG).is_some();
    let (limit, files) = if long { (600, 400) } else { (1_200, 60) };
    let world = World::generated(&GeneratedSpec {
        files,
        folders: 2,
        sizes: Sizes::Fixed(10),
        ..GeneratedSpec::default()
    });
    let options = Options {
        per_minute: Some(limit),
        ..Options::default()
    };
    let town = Town::new(world, options).await;
    let more = format!("[limits]\nrequests-per-minute = {limit}\n");
    let one = town.job("one", "backup", "refresh.toml", "[\"me\"]", &more);
    let two = town.job("two", "backup", "refresh.toml", "[\"me\"]", &more);
    let began = Instant::now();
    let (one, two) = tokio::join!(town.run(&one), town.run(&two));
    let took = began.elapsed();
    assert_eq!((one.status, two.status), (Status::Complete, Status::Complete));
    assert_eq!(town.simulator.calls().total_with_status(429), 0);
    let downloads = &town.simulator.calls().operations["drive.download"];
    assert_eq!(downloads.total, 2 * files as u64);
    assert!(
        downloads.most_in_a_minute <= limit,
        "{}",
        downloads.most_in_a_minute
    );
    // Two processes that did not share would be twice as fast; a quarter is left for the burst at the beginning.
    let least = Duration::from_secs_f64((2 * files) as f64 / limit as f64 * 60.0 * 0.9);
    assert!(took >= least, "{took:?} < {least:?}");
    if long {
        let allowed = took.as_secs_f64() * limit as f64 / 60.0;
        let share = downloads.total as f64 / allowed;
        assert!(share >= 0.95, "{share} of {allowed} calls in {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_changes_at_every_use_is_never_lost() {
    const PROCESSES: usize = 8;
    const CALLS: usize = 20;
    let options = Options {
        rotate_refresh_tokens: true,
        ..Options::default()
    };
    let town = Town::new(small_drives(1, 0, 0), options).await;
    let connect = || {
        let endpoints = town.simulator.endpoints();
        let mut config = Config::new(Dialect::V2, town.path("state"), "tenant");
        config.endpoints.api = format!("{}/v1.0", endpoints.api);
        config.endpoints.auth = format!("{}/oauth2/v2.0", endpoints.auth);
        config.rate = Rate::Unlimited;
        config.credentials.client_id = Some(town.simulator.options().client_id.clone());
        config.credentials.client_secret = Some(Secret::new(&town.simulator.options().client_secret));
        config.credentials.refresh_token = Some(Secret::new(&town.simulator.options().refresh_token));
        config.credentials.token_store = Some(town.path("shared.tokens"));
        api::connect(config, Arc::new(Silent)).unwrap()
    };
    let mut processes = tokio::task::JoinSet::new();
    for _ in 0..PROCESSES {
        let drive = connect();
        let simulator = Arc::clone(&town.simulator);
        processes.spawn(async move {
            for _ in 0..CALLS {
                simulator.end_access_tokens();
                // Another one may end the token that this call has just got; then it is refused, and nothing is lost.
                if let Err(error) = drive.roots(&Scope::Me).await {
                    assert_eq!(error.kind, ErrorKind::Unauthenticated, "{error}");
                    assert_eq!(error.operation, "drive.get", "{error}");
                }
            }
        });
    }
    while let Some(ended) = processes.join_next().await {
        ended.unwrap();
    }
    let calls = town.simulator.calls();
    assert_eq!(
        calls.with_status("oauth.token", 400),
        0,
        "a refresh token was used twice"
    );
    let rotations = calls.with_status("oauth.token", 200);
    assert_eq!(rotations, calls.of("oauth.token"));
    assert!(rotations >= (PROCESSES * CALLS / 4) as u64, "{rotations}");
    // A process that comes later finds the newest one.
    connect().roots(&Scope::Me).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_begin_together_share_a_refresh_token_that_changes() {
    const PROCESSES: usize = 8;
    const RUNS: usize = 3;
    let options = Options {
        rotate_refresh_tokens: true,
        // Too short to be taken from the store by another process, so that each one refreshes.
        access_token_seconds: 50,
        ..Options::default()
    };
    let town = Town::new(small_drives(1, 0, 0), options).await;
    let more = "[limits]\nrequests-per-minute = \"unlimited\"\n";
    std::thread::scope(|scope| {
        for process in 0..PROCESSES {
            let job = town.job(
                &format!("job{process}"),
                "audit",
                "refresh.toml",
                "[\"me\"]",
                more,
            );
            let town = &town;
            scope.spawn(move || {
                for _ in 0..RUNS {
                    let output = std::process::Command::new(env!("CARGO_BIN_EXE_drivejob"))
                        .arg("run")
                        .arg(&job)
                        .env("DRIVEJOB_STATE_DIR", town.path("state"))
                        .env("SECRET", &town.simulator.options().client_secret)
                        .env("REFRESH", &town.simulator.options().refresh_token)
                        .output()
                        .unwrap();
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert_eq!(output.status.code(), Some(0), "{said}");
                }
            });
        }
    });
    let calls = town.simulator.calls();
    assert_eq!(calls.of("oauth.token"), (PROCESSES * RUNS) as u64);
    assert_eq!(calls.with_status("oauth.token", 200), calls.of("oauth.token"));
}
