//! Verifications of a real archive that was damaged on purpose, and spot checks against a drive that answers from a table.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod spot;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::archive::{Durability, Earlier, Head, LocalPath, Snapshot, Tail, plain_or_derived};
use crate::entry::{Entry, Kind as EntryKind};
use crate::id::{DriveId, FileId};
use crate::manifest::{Outcome, Row};
use crate::monitor::Silent;
use crate::path::DrivePath;
use crate::stop::StopReason;

const FIRST: &str = "2026-01-01T02-00-00Z";
const SECOND: &str = "2026-01-02T02-00-00Z";

/// An archive of two nights: the second reuses `a` and `b` of the first and adds `c`; one row of each failed.
struct House {
    _folder: TempDir,
    archive: Archive,
}

fn place(name: &str) -> LocalPath {
    LocalPath::of_drive(&DriveId::new("me"))
        .join(&plain_or_derived("docs", "docs"), false)
        .join(&plain_or_derived(name, name), false)
}

fn row(name: &str, kind: EntryKind, outcome: Outcome) -> Row {
    let mut entry = Entry::root(DriveId::new("me"), FileId::new(name));
    entry.name = name.to_owned();
    entry.kind = kind;
    entry.modified = Some("2025-12-31T00:00:00Z".parse().unwrap());
    Row {
        entry,
        drive_name: "me".to_owned(),
        path: DrivePath::root().join("docs").join(name),
        outcome,
        reason: String::new(),
        sha256: None,
        stored_at: None,
        attempts: 1,
    }
}

fn content(name: &str) -> String {
    name.repeat(if name == "a" { 600_000 } else { 1000 })
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path().join("a"), "acme").unwrap();
        let house = House {
            _folder: folder,
            archive,
        };
        let first = house.night("2026-01-01", None, &["a", "b"]);
        house.night("2026-01-02", Some(&first), &["a", "b", "c"]);
        house
    }

    fn night(&self, date: &str, before: Option<&Snapshot>, names: &[&str]) -> Snapshot {
        let head = Head {
            kind: "backup".to_owned(),
            tenant: "acme".to_owned(),
            started: format!("{date}T02:00:00Z").parse().unwrap(),
            previous: before.and_then(Snapshot::as_previous),
            ..Head::default()
        };
        let run = self.archive.begin(&head, Durability::None).unwrap();
        let mut rows = run.rows(false).unwrap();
        let mut folder = row("docs", EntryKind::Folder, Outcome::Stored);
        folder.path = DrivePath::root().join("docs");
        let docs = LocalPath::of_drive(&DriveId::new("me")).join(&plain_or_derived("docs", "docs"), false);
        folder.stored_at = Some(run.make_folder(&docs).unwrap());
        rows.write(&folder).unwrap();
        for name in names {
            let text = content(name);
            let earlier = before.map(|before| place(name).stored_at(&before.id));
            let reused = earlier
                .as_ref()
                .filter(|place| self.archive.path().join(place).exists());
            let stored = match reused {
                None => run.store(&place(name), &[&text], None, None).unwrap(),
                Some(earlier) => {
                    let earlier = Earlier {
                        stored_at: earlier,
                        size: text.len() as u64,
                        sha256: None,
                        rehash: false,
                    };
                    run.reuse(&earlier, &place(name), None).unwrap()
                }
            };
            let outcome = if reused.is_some() {
                Outcome::Reused
            } else {
                Outcome::Stored
            };
            let mut row = row(name, EntryKind::File, outcome);
            row.entry.size = Some(stored.size);
            row.sha256 = Some(stored.sha256);
            row.stored_at = Some(stored.stored_at);
            rows.write(&row).unwrap();
        }
        let mut failed = row("z", EntryKind::File, Outcome::Failed);
        failed.reason = "denied".to_owned();
        rows.write(&failed).unwrap();
        let snapshot = run.finish(rows.finish().unwrap(), Tail::default()).unwrap();
        self.archive.discard().unwrap();
        snapshot
    }

    fn path(&self, rest: &str) -> PathBuf {
        self.archive.path().join(rest)
    }

    fn verify(&self, options: &Options) -> (Summary, Vec<Problem>) {
        let archive = Archive::open(self.archive.path()).unwrap();
        let mut problems = Vec::new();
        let summary = verify(&archive, options, &Stop::new(), &Silent, &mut |problem| {
            problems.push(problem.clone());
        })
        .unwrap();
        assert_eq!(summary.problems.count(), problems.len() as u64);
        (summary, problems)
    }

    /// The problems of a whole verification, as kind and place.
    fn problems(&self) -> BTreeSet<(&'static str, String)> {
        let (_, problems) = self.verify(&whole());
        problems
            .into_iter()
            .map(|problem| (problem.kind.as_str(), problem.place))
            .collect()
    }

    fn edit(&self, rest: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(rest);
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text, "{rest}");
        // Not in place: hard links of other nights must not change along.
        fs::remove_file(&path).unwrap();
        fs::write(&path, changed).unwrap();
    }
}

fn whole() -> Options {
    Options::whole("2026-02-01T00:00:00Z".parse().unwrap())
}

#[test]
fn a_good_archive_is_good_and_shared_files_are_read_once() {
    let house = House::new();
    let (summary, problems) = house.verify(&whole());
    assert_eq!(problems, []);
    let shared = u64::from(cfg!(unix)) * 2;
    let expected = Summary {
        snapshots: 2,
        rows: 9,
        good: 5,
        linked: shared,
        bytes: 600_000 + 1000 + 1000 + if shared == 0 { 601_000 } else { 0 },
        ..Summary::default()
    };
    assert_eq!(summary, expected);
    assert!(summary.is_good());
    assert_eq!(summary.to_json()["bytes_read"], expected.bytes);

    let one = Options {
        snapshot: Some(SECOND.parse().unwrap()),
        threads: NonZeroUsize::new(1),
        ..whole()
    };
    let (summary, problems) = house.verify(&one);
    assert_eq!(
        (problems.len(), summary.snapshots, summary.good, summary.bytes),
        (0, 1, 3, 602_000)
    );
    let none = Options {
        snapshot: Some("2020-01-01T02-00-00Z".parse().unwrap()),
        ..whole()
    };
    let error = verify(&house.archive, &none, &Stop::new(), &Silent, &mut |_| {}).unwrap_err();
    assert!(matches!(error, archive::Error::NoSnapshot(_)));
}

/// A way to damage an archive, and the problems it must make, as kind and place below the second night.
type Damage = (&'static str, fn(&House), &'static [(&'static str, &'static str)]);

#[test]
fn each_damage_is_found_and_nothing_else() {
    let damages: &[Damage] = &[
        (
            "file gone",
            |house| fs::remove_file(house.path(&format!("{SECOND}/files/me/docs/c"))).unwrap(),
            &[("missing", "files/me/docs/c")],
        ),
        (
            "folder gone",
            |house| fs::remove_dir_all(house.path(&format!("{SECOND}/files/me"))).unwrap(),
            &[
                ("missing", "files/me/docs"),
                ("missing", "files/me/docs/a"),
                ("missing", "files/me/docs/b"),
                ("missing", "files/me/docs/c"),
            ],
        ),
        (
            "file cut",
            |house| house.edit(&format!("{SECOND}/files/me/docs/c"), |text| text[1..].to_owned()),
            &[("short", "files/me/docs/c")],
        ),
        (
            "file empty",
            |house| house.edit(&format!("{SECOND}/files/me/docs/c"), |_| String::new()),
            &[("short", "files/me/docs/c")],
        ),
        (
            "file longer",
            |house| house.edit(&format!("{SECOND}/files/me/docs/c"), |text| text + "x"),
            &[("long", "files/me/docs/c")],
        ),
        (
            "first byte",
            |house| {
                house.edit(&format!("{SECOND}/files/me/docs/c"), |text| {
                    format!("x{}", &text[1..])
                })
            },
            &[("altered", "files/me/docs/c")],
        ),
        (
            "last byte",
            |house| {
                house.edit(&format!("{SECOND}/files/me/docs/c"), |text| {
                    format!("{}x", &text[1..])
                })
            },
            &[("altered", "files/me/docs/c")],
        ),
        (
            "byte far inside",
            |house| {
                house.edit(&format!("{SECOND}/files/me/docs/a"), |text| {
                    format!("{}b{}", &text[..400_000], &text[400_001..])
                })
            },
            &[("altered", "files/me/docs/a")],
        ),
        (
            "file a folder",
            |house| {
                let path = house.path(&format!("{SECOND}/files/me/docs/c"));
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            },
            &[("not-a-file", "files/me/docs/c")],
        ),
        (
            "folder a file",
            |house| {
                let path = house.path(&format!("{SECOND}/files/me/docs"));
                fs::remove_dir_all(&path).unwrap();
                fs::write(&path, "").unwrap();
            },
            &[
                ("not-a-file", "files/me/docs"),
                ("not-a-file", "files/me/docs/a"),
                ("not-a-file", "files/me/docs/b"),
                ("not-a-file", "files/me/docs/c"),
            ],
        ),
        (
            "file too many",
            |house| fs::write(house.path(&format!("{SECOND}/files/me/docs/new")), "").unwrap(),
            &[("extra", "files/me/docs/new")],
        ),
        (
            "file beside the drives",
            |house| fs::write(house.path(&format!("{SECOND}/files/x")), "").unwrap(),
            &[("extra", "files/x")],
        ),
        (
            "manifest gone",
            |house| fs::remove_file(house.path(&format!("{SECOND}/manifest.csv"))).unwrap(),
            &[
                ("manifest", "manifest.csv"),
                ("extra", "files/me/docs/a"),
                ("extra", "files/me/docs/b"),
                ("extra", "files/me/docs/c"),
            ],
        ),
        (
            "manifest cut at a line",
            |house| {
                house.edit(&format!("{SECOND}/manifest.csv"), |text| {
                    let end = text.trim_end().rfind('\n').unwrap();
                    text[..=end].to_owned()
                })
            },
            &[
                ("manifest", "manifest.csv"),
                ("failures", "failures.csv"),
                ("tail", "TAIL.json"),
            ],
        ),
        (
            "manifest cut in a line",
            |house| {
                house.edit(&format!("{SECOND}/manifest.csv"), |text| {
                    text[..text.len() - 20].to_owned()
                })
            },
            &[("manifest", "manifest.csv")],
        ),
        (
            "manifest's hash of a file",
            |house| {
                house.edit(&format!("{SECOND}/manifest.csv"), |text| {
                    let row = fs::read_to_string(house.path(&format!("{SECOND}/manifest.csv"))).unwrap();
                    let hash = row
                        .lines()
                        .find(|line| line.starts_with("/docs/c,"))
                        .unwrap()
                        .split(',')
                        .nth(5)
                        .unwrap()
                        .to_owned();
                    text.replace(&hash, &"0".repeat(64))
                })
            },
            &[("manifest", "manifest.csv"), ("altered", "files/me/docs/c")],
        ),
        (
            "manifest's attempts",
            |house| {
                house.edit(&format!("{SECOND}/manifest.csv"), |text| {
                    text.replacen(",1,", ",2,", 1)
                })
            },
            &[("manifest", "manifest.csv")],
        ),
        (
            "manifest leads outside",
            |house| {
                house.edit(&format!("{SECOND}/manifest.csv"), |text| {
                    text.replace("files/me/docs/c", "files/../../c")
                })
            },
            &[
                ("manifest", "manifest.csv"),
                ("manifest", "files/../../c"),
                ("extra", "files/me/docs/c"),
            ],
        ),
        (
            "failures gone",
            |house| fs::remove_file(house.path(&format!("{SECOND}/failures.csv"))).unwrap(),
            &[("failures", "failures.csv")],
        ),
        (
            "failures without its row",
            |house| {
                house.edit(&format!("{SECOND}/failures.csv"), |text| {
                    text.lines().next().unwrap().to_owned() + "\n"
                })
            },
            &[("failures", "failures.csv")],
        ),
        (
            "failures with another reason",
            |house| {
                house.edit(&format!("{SECOND}/failures.csv"), |text| {
                    text.replace("denied", "denies")
                })
            },
            &[("failures", "failures.csv")],
        ),
        (
            "failures with a row too many",
            |house| {
                house.edit(&format!("{SECOND}/failures.csv"), |text| {
                    let last = text.lines().last().unwrap().to_owned();
                    format!("{text}{last}\n")
                })
            },
            &[("failures", "failures.csv")],
        ),
        (
            "head gone",
            |house| fs::remove_file(house.path(&format!("{SECOND}/HEAD.json"))).unwrap(),
            &[("head", "HEAD.json")],
        ),
        (
            "head torn",
            |house| {
                house.edit(&format!("{SECOND}/HEAD.json"), |text| {
                    text[..text.len() / 2].to_owned()
                })
            },
            &[("head", "HEAD.json")],
        ),
        (
            "head of another night",
            |house| {
                house.edit(&format!("{SECOND}/HEAD.json"), |text| {
                    text.replace("2026-01-02T02:00", "2026-01-02T03:00")
                })
            },
            &[("head", "HEAD.json")],
        ),
        (
            "head of another tenant",
            |house| {
                house.edit(&format!("{SECOND}/HEAD.json"), |text| {
                    text.replace("\"acme\"", "\"other\"")
                })
            },
            &[("head", "HEAD.json")],
        ),
        (
            "head's previous hash",
            |house| {
                house.edit(&format!("{SECOND}/HEAD.json"), |text| {
                    let place = text.find("manifest_sha256").unwrap() + "manifest_sha256\": \"".len();
                    let other = if &text[place..=place] == "0" { "1" } else { "0" };
                    format!("{}{other}{}", &text[..place], &text[place + 1..])
                })
            },
            &[("chain", "HEAD.json"), ("head", "HEAD.json")],
        ),
        (
            "head's previous a word",
            |house| {
                house.edit(&format!("{SECOND}/HEAD.json"), |text| {
                    text.replace(FIRST, "yesterday")
                })
            },
            &[("chain", "HEAD.json"), ("head", "HEAD.json")],
        ),
        (
            "head's previous itself",
            |house| house.edit(&format!("{SECOND}/HEAD.json"), |text| text.replace(FIRST, SECOND)),
            &[("chain", "HEAD.json"), ("head", "HEAD.json")],
        ),
        (
            "tail gone",
            |house| fs::remove_file(house.path(&format!("{SECOND}/TAIL.json"))).unwrap(),
            &[("tail", "TAIL.json")],
        ),
        (
            "tail torn",
            |house| house.edit(&format!("{SECOND}/TAIL.json"), |text| text[1..].to_owned()),
            &[("tail", "TAIL.json")],
        ),
        (
            "tail says complete",
            |house| {
                house.edit(&format!("{SECOND}/TAIL.json"), |text| {
                    text.replace("\"partial\"", "\"complete\"")
                })
            },
            &[("tail", "TAIL.json")],
        ),
        (
            "tail's totals",
            |house| {
                house.edit(&format!("{SECOND}/TAIL.json"), |text| {
                    text.replacen("602000", "602001", 1)
                })
            },
            &[("tail", "TAIL.json")],
        ),
        (
            "tail's failures",
            |house| {
                house.edit(&format!("{SECOND}/TAIL.json"), |text| {
                    text.replace("\"failures_rows\": 1", "\"failures_rows\": 2")
                })
            },
            &[("failures", "failures.csv"), ("tail", "TAIL.json")],
        ),
    ];
    for (name, damage, expected) in damages {
        let house = House::new();
        damage(&house);
        let expected: BTreeSet<_> = expected
            .iter()
            .map(|(kind, place)| (*kind, format!("{SECOND}/{place}")))
            .collect();
        assert_eq!(house.problems(), expected, "{name}");
    }
}

#[test]
fn damage_to_a_shared_file_is_found_in_each_night_that_has_it() {
    let house = House::new();
    let path = house.path(&format!("{SECOND}/files/me/docs/b"));
    fs::write(&path, content("b").replacen('b', "c", 1)).unwrap();
    let expected = if cfg!(unix) {
        vec![FIRST, SECOND]
    } else {
        vec![SECOND]
    };
    let expected: BTreeSet<_> = expected
        .iter()
        .map(|night| ("altered", format!("{night}/files/me/docs/b")))
        .collect();
    assert_eq!(house.problems(), expected);
}

#[test]
fn a_manifest_and_tail_forged_together_break_the_chain() {
    let house = House::new();
    house.edit(&format!("{FIRST}/manifest.csv"), |text| {
        text.replacen(",1,", ",2,", 1)
    });
    let old = house.archive.snapshot(&FIRST.parse().unwrap()).unwrap();
    let Err(archive::Error::ManifestHash { found, expected, .. }) = old.verify_manifest_hash() else {
        panic!("the hash is still the same");
    };
    house.edit(&format!("{FIRST}/TAIL.json"), |text| {
        text.replace(&expected, &found)
    });
    assert_eq!(
        house.problems(),
        BTreeSet::from([
            ("chain", format!("{SECOND}/HEAD.json")),
            ("tail", format!("{FIRST}/TAIL.json")),
        ])
    );
}

#[test]
fn a_pruned_night_breaks_nothing() {
    let house = House::new();
    house.archive.remove(&FIRST.parse().unwrap()).unwrap();
    assert_eq!(house.problems(), BTreeSet::new());
}

#[cfg(unix)]
#[test]
fn links_are_never_taken_for_files() {
    use std::os::unix::fs::symlink;
    let house = House::new();
    let path = house.path(&format!("{SECOND}/files/me/docs/c"));
    fs::remove_file(&path).unwrap();
    symlink(house.path(&format!("{FIRST}/files/me/docs/b")), &path).unwrap();
    symlink("/", house.path(&format!("{SECOND}/files/me/loop"))).unwrap();
    let at = |kind, place: &str| (kind, format!("{SECOND}/{place}"));
    assert_eq!(
        house.problems(),
        BTreeSet::from([at("not-a-file", "files/me/docs/c"), at("extra", "files/me/loop"),])
    );

    // A link in the place of a folder leads to the right bytes, and is still none of ours.
    let house = House::new();
    let docs = house.path(&format!("{SECOND}/files/me/docs"));
    fs::rename(&docs, house.path("elsewhere")).unwrap();
    symlink(house.path("elsewhere"), &docs).unwrap();
    let kinds: BTreeSet<_> = house.problems().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, BTreeSet::from(["not-a-file"]));
}

#[test]
fn samples_go_round_and_what_is_bad_stays_due() {
    let house = House::new();
    fs::create_dir_all(house.path(".drivejob")).unwrap();
    let c = house.path(&format!("{SECOND}/files/me/docs/c"));
    fs::write(&c, content("c").replacen('c', "x", 1)).unwrap();
    // Three contents in all, and five names of them.
    let options = |hour: i64| Options {
        sample: 0.01,
        now: Timestamp::from_second(1_770_000_000 + hour * 3600).unwrap(),
        ..whole()
    };
    let (mut good, mut bad) = (0, 0);
    for hour in 0..6 {
        let (summary, problems) = house.verify(&options(hour));
        assert!(
            summary.good + summary.problems.count() > 0,
            "a sample of something is not nothing"
        );
        assert!(summary.good <= 2);
        good += summary.good;
        bad += problems
            .iter()
            .filter(|problem| problem.kind == Kind::Altered)
            .count();
    }
    // Two contents with two names each are good, one is bad; in six samples each has its turn twice.
    assert_eq!((good, bad), (8, 2));

    let month = Options {
        older_than: Some(Duration::from_secs(30 * 86_400)),
        ..options(7)
    };
    let (summary, problems) = house.verify(&Options { sample: 1.0, ..month });
    assert_eq!((summary.good, problems.len()), (0, 1));
}

#[test]
fn a_stopped_verification_says_so() {
    let house = House::new();
    let stop = Stop::new();
    stop.drain(StopReason::Interrupted);
    let summary = verify(&house.archive, &whole(), &stop, &Silent, &mut |_| {}).unwrap();
    assert!(summary.stopped);
    assert_eq!(summary.snapshots, 0);
}

#[test]
fn a_problem_is_one_safe_line_and_one_object() {
    let problem = Problem {
        snapshot: SECOND.parse().unwrap(),
        kind: Kind::Altered,
        item: Some(("me".to_owned(), "/a\nb".to_owned())),
        place: format!("{SECOND}/files/me/a~0"),
        detail: "SHA-256 00".to_owned(),
        bucket: None,
    };
    assert_eq!(
        problem.to_string(),
        format!("altered    {SECOND}/files/me/a~0  me:/a\\nb  (SHA-256 00)")
    );
    assert_eq!(
        problem.to_json().to_string(),
        format!(
            "{{\"snapshot\":\"{SECOND}\",\"kind\":\"altered\",\"drive\":\"me\",\"path\":\"/a\\nb\",\
             \"place\":\"{SECOND}/files/me/a~0\",\"detail\":\"SHA-256 00\"}}"
        )
    );
}
