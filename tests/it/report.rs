//! The report is one safe page: in the snapshot where the job asks for it, and of any archive afterwards.

use std::fs;

use drivejob::sim::{Change, Options, Simulator, World};

use crate::support::{Bench, Face, tree_of};

/// A name that runs a script where it is not escaped.
const HOSTILE: &str = "<img src=x onerror=alert(1)>.txt";

async fn simulator() -> Simulator {
    let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
    let change = Change::AddFile {
        drive: "me".into(),
        path: format!("/{HOSTILE}"),
        size: 90_000_000,
        seed: 1,
        modified: None,
    };
    simulator.change(&change).unwrap();
    simulator
}

/// Checks that a page stands alone and that no name became markup.
fn assert_safe(page: &str) {
    assert!(!page.contains("<img"), "a name became markup");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;.txt"));
    assert!(page.contains("Content-Security-Policy") && page.contains("default-src &#39;none&#39;"));
    for forbidden in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.len() < 5_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_writes_its_report_and_later_ones_leave_the_snapshot_alone() {
    let simulator = simulator().await;
    let bench = Bench::new(&simulator, Face::V2)
        .key("kind", "\"audit\"")
        .key("report", "true")
        .key("lang", "\"ko\"");
    bench.run().await.unwrap();
    let change = Change::AddFile {
        drive: "me".into(),
        path: "/new.txt".into(),
        size: 5,
        seed: 1,
        modified: None,
    };
    simulator.change(&change).unwrap();
    bench.run_next_night().await.unwrap();
    let newest = bench.shelf().newest();
    let page = fs::read_to_string(newest.path.join("report.html")).unwrap();
    assert_safe(&page);
    assert!(page.contains("<html lang=\"ko\">"));

    let before = tree_of(&newest.path);
    let output = bench.program().args(["report", "archive"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(tree_of(&newest.path), before);
    let told = String::from_utf8(output.stdout).unwrap();
    let name = format!("archive/report-{}.html", newest.id);
    assert_eq!(told.trim_end(), name);
    // In the job's language, and made from the same facts.
    assert_eq!(fs::read_to_string(bench.folder().join(&name)).unwrap(), page);

    for lang in ["en", "ja"] {
        let first = &bench.shelf().snapshots()[0].id;
        let archive = format!("archive@{first}");
        let output = bench
            .program()
            .args(["report", &archive, "--lang", lang, "--out", "page.html"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let page = fs::read_to_string(bench.folder().join("page.html")).unwrap();
        assert_safe(&page);
        assert!(page.contains(&format!("<html lang=\"{lang}\">")));
    }
    // The archive still reads, with a page beside its snapshots.
    assert_eq!(bench.shelf().snapshots().len(), 2);
    bench.run_next_night().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_archives_gets_an_index() {
    let simulator = simulator().await;
    let bench = Bench::new(&simulator, Face::V2)
        .key("kind", "\"backup\"")
        .key("archive", "\"all/a & b\"");
    bench.run().await.unwrap();
    let bench = bench.key("archive", "\"all/second\"").key("kind", "\"audit\"");
    bench.run().await.unwrap();
    fs::create_dir(bench.folder().join("all/third")).unwrap();
    fs::write(
        bench.folder().join("all/third/ARCHIVE.json"),
        "{\"format\":1,\"tenant\":\"\",\"created\":\"2026-01-01T00:00:00Z\"}",
    )
    .unwrap();
    let output = bench.program().args(["report", "all"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let files: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    assert_eq!(
        files,
        [
            "all/report.html",
            "all/report-a & b.html",
            "all/report-second.html"
        ]
    );
    let index = fs::read_to_string(bench.folder().join(files[0])).unwrap();
    for text in [
        "a &amp; b",
        "href=\"./report-a%20%26%20b.html\"",
        "second",
        "third",
        "there is no snapshot",
    ] {
        assert!(index.contains(text), "{text}");
    }
    for file in &files[1..] {
        assert_safe(&fs::read_to_string(bench.folder().join(file)).unwrap());
    }
    let output = bench.program().args(["report", "all/third"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    fs::create_dir(bench.folder().join("none")).unwrap();
    let output = bench.program().args(["report", "none"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not an archive"));
}
