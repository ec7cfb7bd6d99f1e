//! Which drives the words of a job stand for, and that none of them is passed over in silence.

use std::collections::BTreeMap;
use std::sync::Arc;

use drivejob::monitor::Silent;
use drivejob::report::{Report, Status};
use drivejob::sim::{Action, Change, Options, Rule};

use super::{Town, small_drives};

const QUICK: &str = "[limits]\nrequests-per-minute = \"unlimited\"\nattempts = 2\n";

/// The drives with a gap, and what the gaps say.
fn gaps(report: &Report) -> BTreeMap<String, String> {
    report
        .roots
        .iter()
        .filter(|root| !root.gaps().is_empty())
        .map(|root| (root.drive.to_string(), root.gaps().concat()))
        .collect()
}

fn drives(report: &Report) -> Vec<&str> {
    report.roots.iter().map(|root| root.drive.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_that_is_named_and_not_there_makes_the_run_partial() {
    let town = Town::new(small_drives(4, 1, 1), Options::default()).await;
    let wanted = "[\"users/member2@example.com\", \"users/nobody@example.com\", \"sharedrives/@999\", \"groups/nope\"]";
    let job = town.job("named", "audit", "delegated.toml", wanted, QUICK);
    let report = town.run(&job).await;
    assert_eq!(report.status, Status::Partial);
    let gaps = gaps(&report);
    assert_eq!(
        gaps.keys().collect::<Vec<_>>(),
        ["groups/nope", "sharedrives/@999", "users/nobody@example.com"]
    );
    assert!(
        gaps.values().all(|gap| gap.contains("could not be read")),
        "{gaps:?}"
    );
    assert_eq!(report.roots.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_who_left_or_are_not_in_yet_are_named_with_the_reason() {
    let mut world = small_drives(5, 0, 0);
    world.member_mut(1).unwrap().is_deleted = true;
    world.member_mut(2).unwrap().is_pending = true;
    world.member_mut(3).unwrap().is_suspended = true;
    let town = Town::new(world, Options::default()).await;
    let words = town.words();
    let job = town.job("left", "audit", "delegated.toml", "[\"users/*\"]", QUICK);
    let report = town.run(&job).await;
    let gaps = gaps(&report);
    assert_eq!((gaps.len(), report.roots.len()), (3, 5), "{gaps:?}");
    for (word, reason) in words[1..4].iter().zip(["deleted", "pending", "suspended"]) {
        assert!(gaps[word].contains(reason), "{gaps:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_take_in_and_leave_out_and_a_word_without_a_drive_is_told() {
    let town = Town::new(small_drives(12, 3, 2), Options::default()).await;
    let words = town.words();
    let more = format!("exclude-drives = [\"users/member1?@*\", \"sharedrives/*drive 2\"]\n{QUICK}");
    let wanted = "[\"users/member1*\", \"sharedrives/*\", \"groups/zzz*\"]";
    let job = town.job("some", "audit", "delegated.toml", wanted, &more);
    let report = town.run(&job).await;
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let mut expected = vec![words[12].as_str(), &words[14], &words[0]];
    expected.sort_unstable();
    assert_eq!(drives(&report), expected);
    assert_eq!(report.warnings, ["no drive answers to 'groups/zzz*'"]);

    // A job that finds no drive at all has backed up nothing, and must not look as if it had.
    let job = town.job("none", "audit", "delegated.toml", "[\"groups/zzz*\"]", QUICK);
    let error = town
        .run_with(&job, &town.host(), Arc::new(Silent))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("groups/zzz*") && error.contains("no drive answers"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_the_same_by_id_and_by_mail() {
    let town = Town::new(small_drives(3, 0, 0), Options::default()).await;
    let words = town.words();
    let more = format!("exclude-drives = [\"users/Member2@example.com\"]\n{QUICK}");
    let job = town.job("out", "audit", "delegated.toml", "[\"users/*\"]", &more);
    let report = town.run(&job).await;
    let mut left = vec![words[0].as_str(), &words[2]];
    left.sort_unstable();
    assert_eq!(drives(&report), left, "{}", report.to_text());

    let twice = "[\"users/member2@example.com\", \"users/*\"]";
    let job = town.job("twice", "audit", "delegated.toml", twice, QUICK);
    let report = town.run(&job).await;
    let mut each = vec![words[0].as_str(), &words[2], "users/member2@example.com"];
    each.sort_unstable();
    assert_eq!(drives(&report), each, "{}", report.to_text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_that_others_share_are_drives_of_their_own() {
    let town = Town::new(small_drives(3, 0, 0), Options::default()).await;
    let owner = town.words()[1].clone();
    let folder = town.simulator.world().read(|world| {
        world
            .truth(1)
            .find(|truth| truth.kind == "folder" && truth.path.matches('/').count() == 1)
            .unwrap()
    });
    let share = Change::Share {
        drive: owner,
        path: folder.path.clone(),
        with: vec!["member1@example.com".to_owned()],
    };
    town.simulator.change(&share).unwrap();
    let job = town.job(
        "shared",
        "backup",
        "refresh.toml",
        "[\"me/sharedfolders/*\"]",
        QUICK,
    );
    let report = town.run(&job).await;
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let [drive] = drives(&report)[..] else {
        panic!("{:?}", drives(&report));
    };
    assert!(drive.starts_with("me/sharedfolders/"), "{drive}");
    let inside = town.simulator.world().read(|world| {
        let below = format!("{}/", folder.path);
        world
            .truth(1)
            .filter(|truth| truth.kind == "file" && truth.path.starts_with(&below))
            .count() as u64
    });
    assert_eq!(report.totals.files, inside);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_classic_generation_finds_group_folders_and_opens_them_by_key() {
    let town = Town::new(small_drives(2, 0, 3), Options::default()).await;
    let (text, ..) = town.simulator.tenant_file_classic();
    town.write("classic.toml", &text);
    let job = town.job("found", "audit", "classic.toml", "[\"groups/*\"]", QUICK);
    let found = town.run(&job).await;
    assert_eq!(found.status, Status::Complete, "{}", found.to_text());
    assert_eq!(found.roots.len(), 3);
    assert_eq!(
        found.totals.files,
        town.truth(|word| word.starts_with("groups/")).0
    );

    // The same folder by its address.
    let word = town.words()[3].clone();
    let location = town.simulator.world().read(|world| world.drives()[3].location);
    let key = format!("[\"key:{location}/{}\"]", town.root_id(&word));
    let job = town.job("key", "audit", "classic.toml", &key, QUICK);
    let by_key = town.run(&job).await;
    assert_eq!(by_key.status, Status::Complete, "{}", by_key.to_text());
    assert_eq!(by_key.totals.files, town.truth(|other| other == word).0);

    // And a key that leads nowhere is a gap.
    let job = town.job(
        "lost",
        "audit",
        "classic.toml",
        "[\"me\", \"key:1/nowhere\"]",
        QUICK,
    );
    let lost = town.run(&job).await;
    assert_eq!(lost.status, Status::Partial);
    assert_eq!(gaps(&lost).keys().collect::<Vec<_>>(), ["key:1/nowhere"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whom_the_directory_lists_without_an_id_is_a_gap() {
    let town = Town::new(small_drives(3, 0, 0), Options::default()).await;
    let rule = Rule::new(
        "users.list",
        Action::MissingField {
            name: "userId".to_owned(),
        },
    );
    town.simulator.faults().add(rule).unwrap();
    let job = town.job("odd", "audit", "delegated.toml", "[\"users/*\"]", QUICK);
    let report = town.run(&job).await;
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    assert_eq!(gaps(&report).keys().collect::<Vec<_>>(), ["users/(no id)"]);
    assert_eq!(report.roots.len(), 3);
}
