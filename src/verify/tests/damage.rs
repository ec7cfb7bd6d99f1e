//! Each kind of damage is found, and nothing else.

use super::*;

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
