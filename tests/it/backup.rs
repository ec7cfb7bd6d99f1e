//! A backup holds what the drive held: over both API generations, over nights, over hostile trees.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use drivejob::archive::Status as TailStatus;
use drivejob::entry::Kind;
use drivejob::manifest::{COLUMNS, Outcome, Row};
use drivejob::monitor::Counter;
use drivejob::report::{Report, Status};
use drivejob::sim::{Change, Flag, GeneratedSpec, Names, Options, Simulator, Sizes, World};
use drivejob::stop::Stop;

use crate::support::{Bench, Face, Recorder, held, sha256, tree_of};

/// The header of `manifest.csv` and `failures.csv`, as promised to whoever reads them with other programs.
const HEADER: &str = "path,kind,outcome,reason,size,sha256,modified,created,accessed,type,folder_type,id,parent_id,\
                      location,drive,drive_name,updated_by,uploaded,locked,protected,virus,has_exif,has_thumbnail,\
                      shared,member_share,link_share,group,permission_root,stored_at,attempts,properties";

fn hostile() -> World {
    World::generated(&GeneratedSpec {
        files: 300,
        folders: 60,
        names: Names::Hostile,
        sizes: Sizes::Uniform(0, 3000),
        ..GeneratedSpec::default()
    })
}

async fn serve(world: World) -> Simulator {
    Simulator::start(world, Options::default()).await.unwrap()
}

/// Items of a page (API 2.0 docs, EN/group-folder-file-root-list; the classic documents name no bound).
const PAGE: u64 = 200;

/// Calls by operation.
fn calls(simulator: &Simulator) -> BTreeMap<String, u64> {
    let calls = simulator.calls().operations;
    calls
        .into_iter()
        .map(|(name, calls)| (name, calls.total))
        .collect()
}

/// The calls that a tree takes: one for the drive, one for each page of each folder, and for each file one, or two where the
/// content lies behind a redirect.
fn needed_calls(face: Face, rows: &[Row], files: u64) -> BTreeMap<String, u64> {
    let mut children: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        if row.entry.kind == Kind::Folder {
            children.entry(row.entry.id.as_str()).or_default();
        }
        *children
            .entry(row.entry.parent_id.as_ref().unwrap().as_str())
            .or_default() += 1;
    }
    let folders: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.entry.kind == Kind::Folder)
        .map(|row| row.entry.id.as_str())
        .collect();
    let pages = |is_root: bool| -> u64 {
        children
            .iter()
            .filter(|(id, _)| folders.contains(*id) != is_root)
            .map(|(_, count)| match face {
                Face::V2 => count.div_ceil(PAGE).max(1),
                // Each page but the first begins with the last item of the one before, so that a moved list is seen.
                Face::Classic => 1 + count.saturating_sub(PAGE).div_ceil(PAGE - 1),
            })
            .sum()
    };
    let needed = match face {
        Face::V2 => vec![
            ("drive.get", 1),
            ("drive.list-root", pages(true)),
            ("drive.list", pages(false)),
            ("drive.download", files),
            ("storage.download", files),
        ],
        Face::Classic => vec![
            ("classic.root", 1),
            ("classic.list", pages(true) + pages(false)),
            ("classic.download", files),
        ],
    };
    needed
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

fn sent(report: &Report) -> BTreeMap<String, u64> {
    report
        .calls
        .iter()
        .map(|(name, count)| (name.clone(), count.sent))
        .collect()
}

/// A manifest as cells by column name.
fn cells(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_generations_hold_what_the_drive_holds_and_agree() {
    // What one API gives and the other does not.
    let one_sided: BTreeSet<&str> = BTreeSet::from([
        "folder_type",
        "updated_by",
        "has_exif",
        "has_thumbnail",
        "shared",
        "member_share",
        "link_share",
    ]);
    for (name, world) in [("demo", World::demo as fn() -> World), ("hostile", hostile)] {
        let mut manifests = Vec::new();
        for face in Face::BOTH {
            let simulator = serve(world()).await;
            let bench = Bench::new(&simulator, face);
            let heard = Arc::new(Recorder::default());
            let report = bench
                .run_with(Arc::clone(&heard) as _, Stop::new())
                .await
                .unwrap();
            let shelf = bench.shelf();
            assert_eq!(report.status, Status::Complete, "{name} {face:?} {report:?}");
            assert_eq!((report.warnings.as_slice(), report.retries), ([].as_slice(), 0));
            assert_eq!(heard.problems(), []);
            shelf.assert_holds(&simulator.world(), 0);

            let rows = shelf.rows();
            let files = rows.iter().filter(|row| row.entry.kind == Kind::File).count() as u64;
            let bytes: u64 = rows.iter().filter_map(|row| row.entry.size).sum();
            assert_eq!(
                calls(&simulator),
                needed_calls(face, &rows, files),
                "{name} {face:?}"
            );
            assert_eq!(sent(&report), calls(&simulator));
            let tail = shelf.newest().tail.unwrap();
            assert_eq!(
                (tail.status, tail.calls),
                (TailStatus::Complete, calls(&simulator))
            );
            assert_eq!(tail.totals, report.totals);
            let held = report.totals.held();
            assert_eq!((held.files, held.bytes), (files, bytes));
            assert_eq!(
                heard.tally.get(Counter::BytesMoved),
                bytes,
                "bytes that came over the network"
            );
            assert_eq!(heard.tally.get(Counter::FilesDone), files);

            // Nothing lies in the archive but what the manifest names: files once each, and every folder.
            let on_disk = tree_of(&shelf.newest().path.join("files"));
            assert_eq!(on_disk.values().flatten().count() as u64, files);
            let folders = rows.len() as u64 - files;
            assert_eq!(
                on_disk.values().filter(|bytes| bytes.is_none()).count() as u64,
                folders + 1
            );
            assert!(shelf.failures().is_empty());
            let failures = fs::read_to_string(shelf.newest().path.join("failures.csv")).unwrap();
            assert_eq!(failures, format!("{HEADER}\n"));
            manifests.push(shelf.manifest_text());
        }
        let [v2, classic] = [&manifests[0], &manifests[1]].map(|text| {
            assert_eq!(text.lines().next(), Some(HEADER));
            assert_eq!(HEADER, COLUMNS.join(","));
            cells(text)
        });
        let mut differing = BTreeSet::new();
        assert_eq!(v2.len(), classic.len());
        for (v2, classic) in v2.iter().zip(&classic) {
            for column in COLUMNS {
                let (one, other) = (v2[column].as_str(), classic[column].as_str());
                match column {
                    "stored_at" => assert_eq!(
                        one.split_once('/').map(|(_, rest)| rest),
                        other.split_once('/').map(|(_, rest)| rest)
                    ),
                    "properties" => {}
                    _ if one == other => {}
                    _ => {
                        assert!(
                            one.is_empty() != other.is_empty(),
                            "{column}: {one:?} and {other:?}"
                        );
                        differing.insert(column);
                    }
                }
            }
        }
        assert!(differing.is_subset(&one_sided), "{name}: {differing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_night_lists_and_links_and_fetches_nothing() {
    for face in Face::BOTH {
        let simulator = serve(World::demo()).await;
        let bench = Bench::new(&simulator, face);
        bench.run().await.unwrap();
        let first = bench.shelf().rows();
        let first_cells = cells(&bench.shelf().manifest_text());
        simulator.reset_calls();

        let report = bench.run_next_night().await.unwrap();
        assert_eq!(report.status, Status::Complete);
        let shelf = bench.shelf();
        let rows = shelf.rows();
        shelf.assert_holds(&simulator.world(), 0);
        assert_eq!(calls(&simulator), needed_calls(face, &rows, 0), "{face:?}");
        for (one, other) in first.iter().zip(&rows) {
            if one.entry.kind == Kind::Folder {
                assert_eq!(other.outcome, Outcome::Stored);
                continue;
            }
            assert_eq!(
                (one.outcome, other.outcome),
                (Outcome::Stored, Outcome::Reused),
                "{}",
                one.path
            );
            let inode = |row: &Row| {
                fs::metadata(shelf.path().join(row.stored_at.as_deref().unwrap()))
                    .unwrap()
                    .ino()
            };
            assert_ne!(one.stored_at, other.stored_at);
            assert_eq!(inode(one), inode(other), "{}", one.path);
        }
        // Two runs over the same tree differ in these columns only.
        for (one, other) in first_cells.iter().zip(&cells(&shelf.manifest_text())) {
            for column in COLUMNS
                .iter()
                .filter(|column| !["outcome", "stored_at", "attempts"].contains(column))
            {
                assert_eq!(one[*column], other[*column], "{column}");
            }
        }
        assert_eq!(
            report.totals.of(Outcome::Reused).files,
            first.len() as u64 - report.totals.folders
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_night_fetches_what_changed_and_manifests_are_chained() {
    let simulator = serve(World::demo()).await;
    let bench = Bench::new(&simulator, Face::V2);
    bench.run().await.unwrap();
    let me = || "me".to_owned();
    for change in [
        Change::Touch {
            drive: me(),
            path: "/見積書.xlsx".into(),
            size: None,
            seed: Some(77),
            modified: None,
        },
        Change::AddText {
            drive: me(),
            path: "/新規/追加.txt".into(),
            text: "새 파일".into(),
        },
        Change::Remove {
            drive: me(),
            path: "/メモ.txt".into(),
        },
        Change::Rename {
            drive: me(),
            path: "/写真".into(),
            name: "사진".into(),
        },
        Change::Move {
            drive: me(),
            path: "/README.md".into(),
            to: "/議事録".into(),
        },
    ] {
        simulator.change(&change).unwrap();
    }
    simulator.reset_calls();
    let report = bench.run_next_night().await.unwrap();
    let shelf = bench.shelf();
    assert_eq!(report.status, Status::Complete);
    shelf.assert_holds(&simulator.world(), 0);
    // A moved or renamed file is the same file: its bytes are not fetched again.
    assert_eq!(simulator.calls().of("storage.download"), 2);
    let fetched: Vec<String> = shelf
        .rows()
        .into_iter()
        .filter(|row| row.entry.kind == Kind::File && row.outcome == Outcome::Stored)
        .map(|row| row.path.to_string())
        .collect();
    assert_eq!(fetched, ["/新規/追加.txt", "/見積書.xlsx"]);

    bench.run_next_night().await.unwrap();
    let snapshots = shelf.snapshots();
    assert_eq!(snapshots.len(), 3);
    assert_eq!(snapshots[0].head.previous, None);
    for pair in snapshots.windows(2) {
        let previous = pair[1].head.previous.as_ref().unwrap();
        assert_eq!(previous.snapshot, pair[0].id.as_str());
        let hash = sha256(fs::File::open(pair[0].path.join("manifest.csv")).unwrap());
        assert_eq!(previous.manifest_sha256, hash);
        assert_eq!(pair[0].tail.as_ref().unwrap().manifest_sha256, hash);
        assert_eq!(pair[1].head.basis.as_deref(), Some(pair[0].id.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_leave_out_what_they_name_and_say_so() {
    type Skips = &'static [(&'static str, &'static str)];
    let table: [(&str, Option<usize>, Skips); 6] = [
        (
            "exclude = [\"*.docx\", \"/写真\"]",
            None,
            &[
                ("/写真", "filtered"),
                ("/契約書/業務委託契約_2024.docx", "excluded"),
            ],
        ),
        (
            "include = [\"/議事録/**\", \"/README.md\"]",
            Some(4),
            &[("/契約書", "filtered"), ("/メモ.txt", "not-included")],
        ),
        (
            "max-size = \"1MB\"",
            None,
            &[
                ("/写真/富士山.jpg", "filtered-large"),
                ("/写真/動画/社員旅行.mp4", "filtered-large"),
            ],
        ),
        (
            "min-size = \"1B\"",
            None,
            &[("/空のファイル.txt", "filtered-small")],
        ),
        (
            "modified-after = 2026-01-01",
            Some(0),
            &[("/メモ.txt", "filtered-old")],
        ),
        ("kinds = [\"image\"]", Some(2), &[("/メモ.txt", "filtered-kind")]),
    ];
    for (filter, held, skips) in table {
        let simulator = serve(World::demo()).await;
        let bench = Bench::new(&simulator, Face::V2).table(&format!("[filter]\n{filter}"));
        let report = bench.run().await.unwrap();
        // What a job leaves out on purpose is no failure.
        assert_eq!(report.status, Status::Complete, "{filter}");
        let rows = bench.shelf().rows();
        bench.shelf().assert_rows_on_disk(&rows);
        let skipped: BTreeMap<&str, &str> = rows
            .iter()
            .filter(|row| row.outcome == Outcome::Skipped)
            .map(|row| (row.path.as_str(), row.reason.as_str()))
            .collect();
        for (path, reason) in skips {
            assert_eq!(skipped.get(path), Some(reason), "{filter}: {skipped:?}");
        }
        match held {
            Some(held) => assert_eq!(report.totals.held().files, held as u64, "{filter}"),
            None => assert_eq!(skipped.len(), skips.len(), "{filter}: {skipped:?}"),
        }
        assert_eq!(
            simulator.calls().of("storage.download"),
            report.totals.held().files
        );
        for (folder, _) in skips.iter().filter(|(_, reason)| *reason == "filtered") {
            let inside = format!("{folder}/");
            assert!(
                rows.iter().all(|row| !row.path.as_str().starts_with(&inside)),
                "{filter}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_infected_file_is_fetched_or_skipped_as_the_job_says() {
    for face in Face::BOTH {
        for (word, outcome, reason) in [
            ("fetch", Outcome::Stored, ""),
            ("skip", Outcome::Skipped, "infected"),
        ] {
            let simulator = serve(World::demo()).await;
            let flag = Change::Flag {
                drive: "me".into(),
                path: "/メモ.txt".into(),
                flag: Flag::Malware,
                on: true,
            };
            simulator.change(&flag).unwrap();
            let bench = Bench::new(&simulator, face).key("infected", &format!("{word:?}"));
            let report = bench.run().await.unwrap();
            assert_eq!(report.status, Status::Complete);
            let rows = bench.shelf().rows();
            let row = rows.iter().find(|row| row.path.as_str() == "/メモ.txt").unwrap();
            assert_eq!(
                (row.outcome, row.reason.as_str()),
                (outcome, reason),
                "{face:?} {word}"
            );
            assert_eq!(
                row.entry.properties.virus.as_deref().map(|word| word != "none"),
                Some(true)
            );
            let warning = "the service marks 1 file as infected: see the column 'virus' of the manifest";
            assert!(report.warnings.iter().any(|told| told == warning), "{report:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_written_where_wanted_and_read_back() {
    let simulator = serve(World::demo()).await;
    let bench = Bench::new(&simulator, Face::V2).key("bom", "true");
    bench.run().await.unwrap();
    let shelf = bench.shelf();
    for name in ["manifest.csv", "failures.csv"] {
        let bytes = fs::read(shelf.newest().path.join(name)).unwrap();
        assert!(bytes.starts_with(b"\xef\xbb\xbfpath,kind,"), "{name}");
    }
    shelf.assert_holds(&simulator.world(), 0);
    bench.run_next_night().await.unwrap();
    assert_eq!(
        shelf
            .rows()
            .iter()
            .filter(|row| row.outcome == Outcome::Reused)
            .count(),
        25
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_directory_comes_back_as_it_is() {
    let made = tempfile::tempdir().unwrap();
    let path = |name: &str| made.path().join(name);
    fs::create_dir_all(path("空/一/二")).unwrap();
    fs::create_dir_all(path(".hidden")).unwrap();
    fs::write(path("空/一/empty"), b"").unwrap();
    fs::write(path("보고서.txt"), "내용\n").unwrap();
    let large: Vec<u8> = (0..3_000_001_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(path(".hidden/large.bin"), large).unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in [made.path(), &sources] {
        let expected = tree_of(folder);
        for face in Face::BOTH {
            let simulator = serve(World::import(folder).unwrap()).await;
            let bench = Bench::new(&simulator, face);
            assert_eq!(bench.run().await.unwrap().status, Status::Complete);
            let found = tree_of(&bench.shelf().newest().path.join("files/me"));
            assert!(found == expected, "{} {face:?}", folder.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_many_pages_are_read_to_their_end() {
    let sizes = [199, 200, 201, 300, 400, 0];
    for (face, warned) in [(Face::V2, 2), (Face::Classic, 1)] {
        let mut world = World::new();
        world.add_member("山田", "太郎", "taro@example.com");
        let root = world.root(0).unwrap();
        for size in sizes {
            let folder = world.add_folder(root, &format!("folder-{size}"), 1_700_000_000_000);
            for number in 0..size {
                world.add_file(folder, &format!("{number}"), 3, number, 1_700_000_000_000);
            }
        }
        let simulator = serve(world).await;
        let bench = Bench::new(&simulator, face).key("kind", "\"audit\"");
        let report = bench.run().await.unwrap();
        let rows = bench.shelf().rows();
        assert_eq!(report.status, Status::Complete);
        assert_eq!(rows.len() as u64, sizes.iter().sum::<u64>() + sizes.len() as u64);
        assert_eq!(calls(&simulator), needed_calls(face, &rows, 0), "{face:?}");
        assert_eq!(report.roots[0].full_ends, warned, "{face:?}");
        let warning = format!(
            "{warned} folders ended with a page as full as a page can be; this is normal for a folder of exactly so many items"
        );
        assert_eq!(report.warnings, [warning]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_files_are_held() {
    let world = World::generated(&GeneratedSpec {
        files: 5_000,
        folders: 200,
        sizes: Sizes::Uniform(0, 600),
        ..GeneratedSpec::default()
    });
    let simulator = serve(world).await;
    let bench = Bench::new(&simulator, Face::V2);
    let report = bench.run().await.unwrap();
    assert_eq!(report.status, Status::Complete);
    bench.shelf().assert_holds(&simulator.world(), 0);
    let rows = bench.shelf().rows();
    let mut paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
    let sorted = paths.clone();
    paths.sort_unstable();
    assert_eq!(sorted, paths, "rows are sorted by path in code-point order");
    assert_eq!(calls(&simulator), needed_calls(Face::V2, &rows, 5_000));
    assert_eq!(
        rows.iter().map(held).filter(|held| held.kind == "folder").count(),
        200
    );
}
