//! Credentials in the middle of a run: ended, rotated, refused, of the wrong kind, and never sent where they do not belong.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use drivejob::drive::ErrorKind;
use drivejob::report::Status;
use drivejob::runner;
use drivejob::sim::{Action, GeneratedSpec, Options, Rule, Simulator, Sizes, TOKEN_VARIABLE, World};

use crate::support::{Bench, Face};

fn world() -> World {
    World::generated(&GeneratedSpec {
        files: 80,
        folders: 10,
        sizes: Sizes::Uniform(1, 400),
        ..GeneratedSpec::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_a_token_that_ends_in_mid_run_is_renewed_once_for_all_workers() {
    for rotate in [false, true] {
        let options = Options {
            rotate_refresh_tokens: rotate,
            latency_ms: 5,
            ..Options::default()
        };
        let simulator = Simulator::start(world(), options).await.unwrap();
        let bench = Bench::with_refresh_token(&simulator);
        let run = bench.run();
        let end = async {
            // Workers are busy on several calls at once when the token ends.
            while simulator.calls().of("storage.download") < 20 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            simulator.end_access_tokens();
        };
        let (report, ()) = tokio::join!(run, end);
        assert_eq!(report.unwrap().status, Status::Complete);
        bench.shelf().assert_holds(&simulator.world(), 0);
        assert_eq!(
            simulator.calls().of("oauth.token"),
            2,
            "one at the start, one for all"
        );
        assert!(simulator.calls().total_with_status(401) >= 1);

        let store = bench.folder().join("tenant.tokens");
        assert_eq!(fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o600);
        let stored = fs::read_to_string(&store).unwrap();
        assert_eq!(
            stored.contains("sim-refresh-token"),
            !rotate,
            "the newest refresh token is kept"
        );

        // The next process goes on with what is stored: with a rotated token nothing else would do.
        simulator.end_access_tokens();
        assert_eq!(bench.run_next_night().await.unwrap().status, Status::Complete);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_is_stored_before_it_is_used() {
    let options = Options {
        rotate_refresh_tokens: true,
        ..Options::default()
    };
    let simulator = Simulator::start(world(), options).await.unwrap();
    // Every call after the token's is cut: the run fails, but the token must not be lost with it.
    let rule = Rule::new("drive.list-root", Action::ResetBeforeHeaders).repeated(0);
    simulator.faults().add(rule).unwrap();
    let bench = Bench::with_refresh_token(&simulator);
    assert!(matches!(
        bench.run().await,
        Err(runner::Error::NothingRead { .. })
    ));
    assert_eq!(simulator.faults().unreached(), []);
    let stored = fs::read_to_string(bench.folder().join("tenant.tokens")).unwrap();
    assert!(
        !stored.contains("sim-refresh-token"),
        "the old token is forgotten"
    );
    simulator.faults().clear();
    simulator.end_access_tokens();
    assert_eq!(bench.run_next_night().await.unwrap().status, Status::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_others_may_read_is_refused() {
    let simulator = Simulator::start(world(), Options::default()).await.unwrap();
    let bench = Bench::with_refresh_token(&simulator);
    bench.run().await.unwrap();
    let store = bench.folder().join("tenant.tokens");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o644)).unwrap();
    simulator.reset_calls();
    bench.next_night();
    // Its token is not used: whoever could read it may have it.
    match bench.run().await {
        Err(runner::Error::Drive(error)) => assert_eq!(error.kind, ErrorKind::Unauthenticated, "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(simulator.calls().total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_tokens_end_the_run_with_a_way_out() {
    let simulator = Simulator::start(world(), Options::default()).await.unwrap();
    let with = |face, token: &str| Bench::new(&simulator, face).variable(TOKEN_VARIABLE, token);
    for face in Face::BOTH {
        let bench = with(face, "not-a-token");
        match bench.run().await {
            Err(runner::Error::Drive(error)) => assert_eq!(error.kind, ErrorKind::Unauthenticated),
            other => panic!("{other:?}"),
        }
        let job = bench.job_file();
        let output = bench.program().arg("run").arg(job).assert().code(1);
        let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(
            text.contains("hint: log in again with `drivejob login TENANT`"),
            "{text}"
        );
        assert!(!text.contains("not-a-token"), "{text}");
        assert_eq!(bench.shelf().snapshots().len(), 0);
    }
    // A service account's token is good, but opens no drive.
    let bench = with(Face::V2, "sim-service-account-token");
    let job = bench.job_file();
    let output = bench.program().arg("run").arg(job).assert().code(1);
    let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(
        text.contains("the token of a service account cannot open Drive"),
        "{text}"
    );
}

/// The address of a host that the tenant does not list, and how often it was connected to.
fn foreign_host() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/steal", listener.local_addr().unwrap());
    let met = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&met);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, met)
}

/// Ways to name that host: its number, its name, and an address without a scheme.
fn names_of(foreign: &str) -> [String; 3] {
    [
        foreign.to_owned(),
        foreign.replace("127.0.0.1", "localhost"),
        foreign.replace("http:", ""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_on_their_way_out_never_go_to_a_foreign_host() {
    let (foreign, met) = foreign_host();
    let mut small = World::new();
    small.add_member("山田", "太郎", "taro@example.com");
    let root = small.root(0).unwrap();
    let folder = small.add_folder(root, "a", 1_714_521_600_000);
    small.add_folder(folder, "b", 1_714_521_600_000);
    small.add_file(folder, "c.txt", 1_000, 1, 1_714_521_600_000);
    small.add_file(root, "d.txt", 700, 2, 1_714_521_600_000);
    let source = Simulator::start(small, Options::default()).await.unwrap();
    let archive = Bench::new(&source, Face::V2);
    assert_eq!(archive.run().await.unwrap().status, Status::Complete);
    let redirect = |url: &str| Action::RedirectTo { url: url.to_owned() };
    // The service's own answer may name the host as well.
    let ticket = |url: &str| Action::Status {
        code: 200,
        headers: std::collections::BTreeMap::new(),
        body: Some(format!(r#"{{"uploadUrl": "{url}", "offset": 0}}"#)),
    };
    type Fault<'a> = &'a dyn Fn(&str) -> Action;
    let table: [(Face, &str, Fault<'_>); 9] = [
        (Face::V2, "drive.create-folder-root", &redirect),
        (Face::V2, "drive.create-folder", &redirect),
        (Face::V2, "drive.upload-url-root", &redirect),
        (Face::V2, "drive.upload-url", &redirect),
        (Face::V2, "drive.upload-url-root", &ticket),
        (Face::V2, "drive.upload-url", &ticket),
        (Face::V2, "storage.upload", &redirect),
        (Face::Classic, "classic.create-folder", &redirect),
        (Face::Classic, "classic.upload", &redirect),
    ];
    for (face, operation, fault) in table {
        for host in names_of(&foreign) {
            let mut nobody = World::new();
            nobody.add_member("山田", "太郎", "taro@example.com");
            let target = Simulator::start(nobody, Options::default()).await.unwrap();
            let rule = Rule::new(operation, fault(&host)).repeated(0);
            target.faults().add(rule).unwrap();
            // Each case has an archive of its own, since a restore writes its results there.
            let own = Bench::empty();
            crate::support::lab::copy_folder(archive.shelf().path(), own.folder());
            let job = Bench::new(&target, face)
                .key("kind", "\"restore\"")
                .key("archive", &format!("{:?}", own.shelf().path()))
                .key("target", "\"tenant.toml\"")
                .key("to", "\"original\"")
                .limit("attempts", "2");
            let report = job.run().await.unwrap();
            assert_eq!(target.faults().unreached(), [], "{operation}");
            assert_ne!(report.status, Status::Complete, "{operation} {host}");
        }
    }
    assert_eq!(met.load(Ordering::Relaxed), 0, "connections to the foreign host");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_a_foreign_host_is_not_followed() {
    let (foreign, met) = foreign_host();
    let table = [
        (Face::V2, "drive.get"),
        (Face::V2, "drive.list-root"),
        (Face::V2, "drive.list"),
        (Face::V2, "drive.download"),
        (Face::V2, "storage.download"),
        (Face::V2, "oauth.token"),
        (Face::Classic, "classic.root"),
        (Face::Classic, "classic.list"),
        (Face::Classic, "classic.download"),
        (Face::Classic, "classic.server-token"),
    ];
    for (face, operation) in table {
        for host in names_of(&foreign) {
            let simulator = Simulator::start(world(), Options::default()).await.unwrap();
            let bench = match operation {
                "oauth.token" => Bench::with_refresh_token(&simulator),
                "classic.server-token" => Bench::with_server_token(&simulator),
                _ => Bench::new(&simulator, face),
            };
            let rule = Rule::new(operation, Action::RedirectTo { url: host }).repeated(0);
            simulator.faults().add(rule).unwrap();
            let run = bench.run().await;
            assert_eq!(simulator.faults().unreached(), []);
            match (operation, run) {
                // Only the quota is asked there, which a backup can do without.
                ("drive.get", run) => assert_eq!(run.unwrap().status, Status::Complete),
                ("oauth.token" | "classic.server-token", run) => assert!(run.is_err()),
                (_, Err(runner::Error::NothingRead { .. })) => {
                    assert!(
                        operation.contains("root") || operation == "classic.list",
                        "{operation}"
                    )
                }
                (_, run) => assert_eq!(run.unwrap().status, Status::Partial, "{operation}"),
            }
        }
    }
    assert_eq!(met.load(Ordering::Relaxed), 0, "connections to the foreign host");
}
