//! Names that are taken, and names that the service takes for one.

use super::*;

#[tokio::test]
async fn names_that_are_taken_follow_the_rule_before_a_byte_is_sent() {
    use OnConflict::{Fail, Overwrite, Rename, Skip};
    let there = "/f.txt=theirs@1";
    let cases = [
        (Skip, "/f.txt skipped conflict", vec![there], 0),
        (Fail, "/f.txt failed conflict", vec![there], 0),
        (
            Rename,
            "/f.txt renamed  f (2).txt",
            vec![there, "/f (2).txt=mine@5"],
            1,
        ),
        (Overwrite, "/f.txt overwritten  f.txt", vec!["/f.txt=mine@5"], 1),
    ];
    for (rule, outcome, tree, uploads) in cases {
        let source = Source::new(&["/f.txt=mine@5"]);
        let drive = MemoryDrive::new();
        drive.put(&root(), "f.txt", Some(("theirs", 1)));
        let ledger = source.ledger("ledger");
        let summary = source.run(&drive, &ledger, &Options::new(rule)).await;
        assert_eq!(outcomes(&ledger).await, [outcome]);
        assert_eq!(drive.tree("users/new"), sorted(&tree));
        assert_eq!(drive.calls().get("upload").copied().unwrap_or(0), uploads);
        let verdict = if uploads == 1 {
            Verdict::Complete
        } else {
            Verdict::NothingRestored
        };
        assert_eq!(summary.verdict(), verdict);
    }
}

#[tokio::test]
async fn a_file_and_a_folder_never_replace_each_other() {
    let source = Source::new(&["/f/", "/f/in=in@1", "/g=g@2"]);
    for (rule, expected) in [
        (
            OnConflict::Rename,
            ["/f renamed  f (2)", "/f/in restored  in", "/g renamed  g (2)"],
        ),
        (
            OnConflict::Overwrite,
            [
                "/f failed conflict",
                "/f/in failed parent-not-restored",
                "/g failed conflict",
            ],
        ),
    ] {
        let drive = MemoryDrive::new();
        drive.put(&root(), "f", Some(("file", 1)));
        drive.put(&root(), "g", None);
        let ledger = source.ledger(&format!("{rule:?}"));
        source.run(&drive, &ledger, &Options::new(rule)).await;
        let mut seen = outcomes(&ledger).await;
        for line in &mut seen {
            *line = line.trim_end_matches(" f").to_owned();
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn twins_get_numbers_and_two_drives_do_not_mix() {
    let mut source = Source::new(&["/n/", "/n/", "/n/one=1@1", "/t=a@1", "/t=b@1"]);
    source.add("users/other", "/t=c@1");
    let drive = MemoryDrive::new();
    let ledger = source.ledger("ledger");
    let both = [("users/old", "users/new"), ("users/other", "users/new")];
    plan(&ledger, source.rows(), &selection_of(&both)).await.unwrap();
    let options = Options {
        transfers: 1,
        folders: 1,
        ..skip()
    };
    source.go_on(&drive, &ledger, &options).await.unwrap();
    assert_eq!(
        drive.tree("users/new"),
        [
            "/users_old/",
            "/users_old/n (2)/",
            "/users_old/n (2)/one=1@1",
            "/users_old/n/",
            "/users_old/t (2)=b@1",
            "/users_old/t=a@1",
            "/users_other/",
            "/users_other/t=c@1",
        ]
    );
}

#[tokio::test]
async fn a_service_that_takes_two_names_for_one_gets_two() {
    let source = Source::new(&["/Note=1@1", "/note=2@2", "/\u{ac00}=3@3", "/\u{1100}\u{1161}=4@4"]);
    let drive = MemoryDrive::folding();
    let ledger = source.ledger("ledger");
    let options = Options {
        transfers: 1,
        ..skip()
    };
    let summary = source.run(&drive, &ledger, &options).await;
    assert_eq!(summary.verdict(), Verdict::Complete);
    assert_eq!(
        drive.tree("users/new"),
        sorted(&[
            "/Note=1@1",
            "/note (2)=2@2",
            "/\u{ac00}=3@3",
            "/\u{1100}\u{1161} (2)=4@4"
        ])
    );
}
