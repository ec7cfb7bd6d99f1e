//! A plan of a restore tells what the run then does, call by call, and touches nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use drivejob::monitor::Silent;
use drivejob::report::Status;
use drivejob::runner::{self, PlannedDelivery};
use drivejob::sim::{Change, GeneratedSpec, Options, Simulator, World};

use crate::support::{Bench, Face, tree_of};

/// A tenant of one member with these files.
fn world(files: &[&str]) -> World {
    let mut world = World::generated(&GeneratedSpec {
        files: 0,
        folders: 0,
        ..GeneratedSpec::default()
    });
    for (number, path) in files.iter().enumerate() {
        put(&mut world, path, 1000 + number as u64, number as u64);
    }
    world
}

fn put(world: &mut World, path: &str, size: u64, seed: u64) {
    let add = Change::AddFile {
        drive: "me".to_owned(),
        path: path.to_owned(),
        size,
        seed,
        modified: Some(1_700_000_000_000 + i64::try_from(seed).unwrap() * 1000),
    };
    world.apply(&add, 0).unwrap();
}

const FILES: [&str; 5] = [
    "/a/one.txt",
    "/a/two.txt",
    "/b/three.txt",
    "/four.txt",
    "/b/c/five.txt",
];

async fn serve(world: World) -> Simulator {
    Simulator::start(world, Options::default()).await.unwrap()
}

async fn backed_up(files: &[&str]) -> Bench {
    let old = serve(world(files)).await;
    let bench = Bench::new(&old, Face::V2);
    assert_eq!(bench.run().await.unwrap().status, Status::Complete);
    bench
}

fn restoring(archive: &Bench, target: &Simulator, face: Face) -> Bench {
    let folder = archive.shelf().path().display().to_string();
    Bench::new(target, face)
        .key("kind", "\"restore\"")
        .key("archive", &format!("{folder:?}"))
        .key("target", "\"tenant.toml\"")
        .key("to", "\"original\"")
}

async fn plan(job: &Bench) -> PlannedDelivery {
    runner::plan_delivery(job.loaded(), &job.host(), Arc::new(Silent))
        .await
        .unwrap()
}

/// The calls that the server counted, those for tokens left out.
fn counted(simulator: &Simulator) -> BTreeMap<String, u64> {
    let calls = simulator.calls();
    calls
        .operations
        .into_iter()
        .filter(|(name, _)| !name.starts_with("oauth."))
        .map(|(name, calls)| (name, calls.total))
        .collect()
}

async fn scan(planned: &PlannedDelivery) -> String {
    let (bytes, _) = planned.write_readiness(Vec::new(), false).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_what_a_restore_then_does() {
    let archive = backed_up(&FILES).await;
    for face in Face::BOTH {
        let before = tree_of(archive.shelf().path());
        // One is there already, one name has another content, and one folder is there.
        let mut there = world(&[]);
        put(&mut there, "/a/one.txt", 1000, 0);
        put(&mut there, "/a/two.txt", 77, 99);
        let new = serve(there).await;
        let job = restoring(&archive, &new, face);
        let planned = plan(&job).await;
        let delivery = &planned.delivery;
        assert_eq!(
            delivery.files,
            BTreeMap::from([
                ("already-there", (1, 1000)),
                ("restored", (3, 3009)),
                ("skipped", (1, 1001))
            ]),
            "{face:?}"
        );
        assert_eq!(delivery.folders, BTreeMap::from([("adopted", 1), ("created", 2)]));
        assert_eq!(
            scan(&planned).await,
            "problem,drive,path,size,detail\nname-taken,me,/a/two.txt,1001,two.txt\n"
        );
        assert_eq!(tree_of(archive.shelf().path()), before);
        let expected = delivery.target.clone().unwrap().load.calls;
        new.reset_calls();
        job.run().await.unwrap();
        assert_eq!(counted(&new), expected, "{face:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_hinders_before_the_first_byte() {
    let long = format!("/{}.txt", "あ".repeat(180));
    let archive = backed_up(&[
        "/a/Note.txt",
        "/a/note.txt",
        "/\u{30ac}",
        "/\u{30ab}\u{3099}",
        &long,
    ])
    .await;
    let mut small = world(&[]);
    small.drive_mut(0).unwrap().total = 2500;
    let new = serve(small).await;
    let job = restoring(&archive, &new, Face::V2);
    assert_eq!(
        scan(&plan(&job).await).await,
        "problem,drive,path,size,detail\n\
         quota,me,,5010,\"5010 bytes are needed, 2500 are free\"\n\
         name-twin,me,/a/Note.txt,1000,Note.txt\n\
         name-twin,me,/a/note.txt,1001,note.txt\n\
         name-twin,me,/\u{30ab}\u{3099},1003,\u{30ab}\u{3099}\n\
         name-twin,me,/\u{30ac},1002,\u{30ac}\n"
    );
    assert_eq!(new.calls().of("storage.upload"), 0);
    // A drive without a place to go.
    let job = job.key("map", "\"map.csv\"");
    job.write("map.csv", "source,target\nusers/x,users/y\n");
    let planned = plan(&job).await;
    assert_eq!(
        scan(&planned).await,
        "problem,drive,path,size,detail\n\
         unmapped,me,,,6 rows have no target drive\n\
         name-twin,me,/a/Note.txt,1000,Note.txt\n\
         name-twin,me,/a/note.txt,1001,note.txt\n"
    );
    assert_eq!(planned.delivery.files, BTreeMap::from([("failed", (5, 5010))]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_a_page_json_or_csv() {
    let archive = backed_up(&FILES).await;
    let folder = archive.shelf().path().display().to_string();
    let job = Bench::empty()
        .key("kind", "\"restore\"")
        .key("archive", &format!("{folder:?}"))
        .key("to", "\"file:back\"")
        .table("[filter]\ninclude = [\"/b/**\"]");
    job.job_file();
    let before = tree_of(archive.shelf().path());
    let said = |arguments: &[&str]| {
        let output = job
            .program()
            .args(["plan", "job.toml"])
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let snapshot = archive.shelf().newest().id;
    let place = job.folder().join("back");
    assert_eq!(
        said(&[]),
        format!(
            "plan of the restore job 'job'\n  \
             from        snapshot {snapshot}\n  \
             into        the folder back of this machine\n  \
             drives      me -> file: 2 files in 2 folders, 2.0 KiB\n  \
             steps       restored 2 files, 2.0 KiB\n              \
             created 2 folders\n  \
             time        as fast as the service and the disk are\n"
        )
    );
    assert_eq!(
        said(&["--steps"]),
        "kind,drive,path,target,new_name,size,outcome,reason\n\
         folder,me,/b,file,b,,created,\n\
         folder,me,/b/c,file,c,,created,\n\
         file,me,/b/c/five.txt,file,five.txt,1004,restored,\n\
         file,me,/b/three.txt,file,three.txt,1002,restored,\n"
    );
    assert_eq!(said(&["--scan"]), "problem,drive,path,size,detail\n");
    assert!(said(&["--scan", "--bom"]).starts_with('\u{feff}'));
    let json: serde_json::Value = serde_json::from_str(&said(&["--json"])).unwrap();
    assert_eq!(json["files"]["restored"]["bytes"], 2006);
    assert!(!place.exists());
    assert_eq!(tree_of(archive.shelf().path()), before);

    let other = Bench::empty();
    other.job_file();
    other
        .program()
        .args(["plan", "job.toml", "--scan"])
        .assert()
        .code(2);
}
