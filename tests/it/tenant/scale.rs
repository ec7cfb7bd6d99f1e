//! Hundreds of drives in one job: all of them, and then exactly those that cannot be had are named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drivejob::report::{Report, Status};
use drivejob::sim::{Action, Change, Options, Rule};

use super::{Town, Watcher, held, small_drives};

const DRIVES: &str = "[\"users/*\", \"sharedrives/*\", \"groups/*\"]";
const QUICK: &str = "[limits]\nrequests-per-minute = \"unlimited\"\nattempts = 2\n";

/// Members of the tenant: 60, or as many as the variable says.
fn members() -> usize {
    std::env::var("DRIVEJOB_TEST_MEMBERS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(60)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_drive_of_a_tenant_is_backed_up_and_its_coverage_is_green() {
    let members = members();
    let town = Town::new(small_drives(members, 20, 30), Options::default()).await;
    let job = town.job("all", "backup", "delegated.toml", DRIVES, QUICK);
    let watcher = Watcher::new(u64::MAX, || {});
    let report = town
        .run_with(&job, &town.host(), Arc::clone(&watcher) as _)
        .await
        .unwrap();
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());

    let coverage = report.coverage_to_json();
    assert_eq!(coverage["covered"], true);
    let named: BTreeSet<String> = report.roots.iter().map(|root| root.drive.to_string()).collect();
    assert_eq!(named, town.words().into_iter().collect());
    assert_eq!(report.roots.len(), members + 50);
    for root in &report.roots {
        assert_eq!((root.folders_open, root.folders_failed), (0, 0), "{}", root.drive);
        // The service tells what drives of members and shared ones hold, and all of it was seen.
        let is_told = !root.drive.as_str().starts_with("groups/");
        assert_eq!(root.unseen_bytes(), is_told.then_some(0), "{}", root.drive);
        assert!(
            root.folders_closed >= 3 && root.listed == root.accounted,
            "{}",
            root.drive
        );
    }
    assert_eq!(held(&report), town.truth(|_| true));

    // One token for each member, one for the acting member, one for the directory.
    assert!((members as u64 + 1..=members as u64 + 2).contains(&town.calls("oauth.token")));
    assert_eq!(town.simulator.calls().total_with_status(401), 0);
    assert_eq!(town.calls("users.list"), (members as u64).div_ceil(100));
    assert_eq!(town.calls("drive.list-root"), members as u64);

    // A person sees a handful of lines, however many drives there are.
    let text = report.to_text();
    assert!(
        text.contains(&format!("  drives    {0} of {0} seen whole", members + 50)),
        "{text}"
    );
    assert!(text.lines().count() <= 8, "{text}");

    are_side_by_side(&watcher.calls.lock().unwrap());
}

/// The families share no operation, so none waits for another: while the smaller one is worked on, so is the larger.
fn are_side_by_side(calls: &[&str]) {
    let place = |wanted: &str, last: bool| {
        let found = if last {
            calls.iter().rposition(|call| *call == wanted)
        } else {
            calls.iter().position(|call| *call == wanted)
        };
        found.unwrap()
    };
    for small in ["sharedrive.download", "group.download"] {
        let (first, last) = (place(small, false), place(small, true));
        let beside = calls[first..last]
            .iter()
            .filter(|call| **call == "drive.download")
            .count();
        let own = calls[first..last].iter().filter(|call| **call == small).count();
        assert!(
            beside * 4 >= own,
            "{small}: {own} calls, {beside} of the members' drives beside them"
        );
        assert!(last < place("drive.download", true), "{small} ended last");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f23_what_cannot_be_read_is_named_and_holds_nothing_up() {
    let members = members();
    let options = Options {
        access_token_seconds: 5,
        ..Options::default()
    };
    let town = Town::new(small_drives(members, 20, 30), options).await;
    let words = town.words();
    let (suspended, revoked) = (&words[7], &words[11]);
    let (refused, other_refused) = (&words[members + 3], &words[members + 20 + 4]);
    let broken = &words[members + 9];
    let suspend = Change::Suspend {
        member: suspended.trim_start_matches("users/").to_owned(),
        on: true,
    };
    town.simulator.change(&suspend).unwrap();
    let status = |code| Action::Status {
        code,
        headers: BTreeMap::new(),
        body: None,
    };
    for (word, operation, action) in [
        (revoked, "drive.list-root", Action::ExpiredToken),
        (refused, "sharedrive.list-root", status(403)),
        (other_refused, "group.list-root", status(403)),
        (broken, "sharedrive.list-root", status(500)),
    ] {
        let rule = Rule {
            subject: Some(town.root_id(word)),
            times: 0,
            ..Rule::new(operation, action)
        };
        town.simulator.faults().add(rule).unwrap();
    }
    let job = town.job("some", "backup", "delegated.toml", DRIVES, QUICK);
    // Every token that is in use ends now and then, in the middle of the work.
    let clock = Arc::clone(&town.simulator);
    let watcher = Watcher::new(100, move || clock.clock().advance_seconds(6));
    let report = town.run_with(&job, &town.host(), watcher).await.unwrap();
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());

    let expected = BTreeMap::from([
        (suspended.as_str(), "suspended"),
        (revoked.as_str(), "denied"),
        (refused.as_str(), "denied"),
        (other_refused.as_str(), "denied"),
        (broken.as_str(), "unavailable"),
    ]);
    let found: BTreeMap<&str, String> = report
        .roots
        .iter()
        .filter(|root| !root.gaps().is_empty())
        .map(|root| (root.drive.as_str(), root.gaps().concat()))
        .collect();
    assert_eq!(
        found.keys().copied().collect::<Vec<_>>(),
        expected.keys().copied().collect::<Vec<_>>()
    );
    for (drive, reason) in &expected {
        assert!(found[drive].contains(reason), "{drive}: {}", found[drive]);
    }
    assert_eq!(report.totals.failures(), 5);
    // All the others are there, to the last byte.
    let truth = town.truth(|word| !expected.contains_key(word));
    assert_eq!(held(&report), truth);
    // Tokens were renewed over and over.
    assert!(town.calls("oauth.token") > 2 * members as u64 / 3 + 10);
    let text = report.to_text();
    assert!(text.lines().count() <= 20, "{text}");
    assert_eq!(text.matches("  not seen  ").count(), 5, "{text}");
}

#[tokio::test]
async fn the_tenants_own_refused_token_ends_the_run() {
    let town = Town::new(small_drives(2, 0, 0), Options::default()).await;
    let job = town.job("own", "backup", "refresh.toml", "[\"me\"]", QUICK);
    let report: Report = town.run(&job).await;
    assert_eq!(report.status, Status::Complete);
    town.simulator.clock().advance_seconds(91 * 86_400);
    let error = town
        .run_with(&job, &town.host(), Watcher::new(u64::MAX, || {}))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, drivejob::runner::Error::Drive(error)
            if error.kind == drivejob::drive::ErrorKind::Unauthenticated),
        "{error}"
    );
}
