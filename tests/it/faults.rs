//! Whatever goes wrong at whichever call: the run ends as it should, with the exact number of further requests, and nothing
//! wrong is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drivejob::archive::Status as TailStatus;
use drivejob::id::DriveId;
use drivejob::manifest::Outcome;
use drivejob::monitor::{Counter, DriveState, Monitor, Phase, Transfer, Waiting};
use drivejob::report::{Report, Status};
use drivejob::runner;
use drivejob::sim::{Action, Change, Options, Rule, SharedWorld, Simulator, World};
use drivejob::stop::Stop;
use futures::StreamExt;

use crate::support::{Bench, Face};

mod uploads;

/// 2024-05-01T00:00:00Z
const MAY: i64 = 1_714_521_600_000;

/// Pages of three items, so that small folders have several.
fn options() -> Options {
    Options {
        v2_page: 3,
        classic_page: 3,
        ..Options::default()
    }
}

fn world() -> World {
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let root = world.root(0).unwrap();
    let folder = world.add_folder(root, "a", MAY);
    for number in 0..7 {
        world.add_file(folder, &format!("f{number}"), 100, number, MAY);
    }
    world.add_folder(root, "b", MAY);
    world.add_file(root, "big.bin", 400_000, 11, MAY);
    world.add_file(root, "empty.txt", 0, 12, MAY);
    world.add_file(root, "small.txt", 1_000, 13, MAY);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_the_service_has_forgotten_costs_one_listing_of_the_folder() {
    for code in [400, 404] {
        let simulator = Simulator::start(world(), options()).await.unwrap();
        // The third page of the folder with seven files.
        let rule = Rule::new("drive.list", status(code, &[], None))
            .about("a")
            .from_call(3);
        simulator.faults().add(rule).unwrap();
        let bench = Bench::new(&simulator, Face::V2);
        let report = bench.run().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{}", report.to_text());
        assert_eq!(report.warnings, Vec::<String>::new());
        assert_eq!(simulator.faults().unreached(), []);
        bench.shelf().assert_holds(&simulator.world(), 0);
        // Three pages of `a`, three more from its beginning, one page of `b`.
        assert_eq!(simulator.calls().of("drive.list"), 7, "{code}");
    }
}

/// Changes a file when the listing that has it is done.
#[derive(Debug)]
struct ChangesAfterListing(SharedWorld);

impl Monitor for ChangesAfterListing {
    fn call(&self, operation: &'static str, _: Option<u16>) {
        if operation == "drive.list-root" {
            let change = Change::Touch {
                drive: "me".to_owned(),
                path: "/grows.txt".to_owned(),
                size: Some(1_234),
                seed: Some(99),
                modified: None,
            };
            self.0
                .write(|world| world.apply(&change, MAY + 86_400_000))
                .unwrap();
        }
    }
    fn count(&self, _: Counter, _: u64) {}
    fn transfer(&self, _: usize, _: Transfer<'_>) {}
    fn waiting(&self, _: &Waiting) {}
    fn problem(&self, _: &str, _: &str) {}
    fn phase(&self, _: Phase) {}
    fn drive(&self, _: &DriveId, _: DriveState) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_or_shrinks_behind_its_listing_is_stored_as_it_is_now() {
    for listed in [1_000, 2_000] {
        let mut world = World::new();
        world.add_member("山田", "太郎", "taro@example.com");
        let root = world.root(0).unwrap();
        world.add_file(root, "grows.txt", listed, 7, MAY);
        let simulator = Simulator::start(world, Options::default()).await.unwrap();
        let bench = Bench::new(&simulator, Face::V2);
        let monitor = Arc::new(ChangesAfterListing(simulator.world()));
        let report = bench.run_with(monitor, Stop::new()).await.unwrap();
        assert_eq!(report.status, Status::Complete, "{}", report.to_text());
        bench.shelf().assert_holds(&simulator.world(), 0);
    }
}

/// One fault: what happens, how often (0 = from then on always), and what it is called in the table.
struct Fault {
    label: &'static str,
    action: Action,
    times: u64,
}

fn status(code: u16, headers: &[(&str, &str)], body: Option<&str>) -> Action {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Action::Status {
        code,
        headers,
        body: body.map(str::to_owned),
    }
}

impl Fault {
    /// How long a call may stand still: short where the fault is that it does, and else so long that a slow machine is not
    /// taken for one.
    fn timeout(&self) -> &'static str {
        match self.action {
            Action::StallAfterBytes { .. } | Action::WrongLength { .. } | Action::EndlessHeaders => "\"3s\"",
            _ => "\"30s\"",
        }
    }
}

fn once(label: &'static str, action: Action) -> Fault {
    Fault {
        label,
        action,
        times: 1,
    }
}

fn always(label: &'static str, action: Action) -> Fault {
    Fault {
        label,
        action,
        times: 0,
    }
}

/// Faults that can meet every call.
fn general() -> Vec<Fault> {
    vec![
        once("429", status(429, &[], None)),
        once(
            "429 with rateLimit-reset",
            status(429, &[("rateLimit-reset", "1")], None),
        ),
        once("429 with Retry-After", status(429, &[("Retry-After", "1")], None)),
        always("429 always", status(429, &[], None)),
        once("500", status(500, &[], None)),
        once("502", status(502, &[], Some("<html>bad gateway</html>"))),
        once("503", status(503, &[("Retry-After", "1")], None)),
        once("504", status(504, &[], None)),
        always("503 always", status(503, &[], None)),
        once("400", status(400, &[], None)),
        once("403", status(403, &[], None)),
        once("404", status(404, &[], None)),
        once("reset before headers", Action::ResetBeforeHeaders),
        always("reset before headers always", Action::ResetBeforeHeaders),
        once("lost answer", Action::LostAnswer),
        once("delay", Action::Delay { milliseconds: 50 }),
        once("reset after 0", Action::ResetAfterBytes { bytes: 0 }),
        once("reset after 20", Action::ResetAfterBytes { bytes: 20 }),
        once("stall after 20", Action::StallAfterBytes { bytes: 20 }),
        once("longer than told", Action::WrongLength { by: -10 }),
        once("shorter than told", Action::WrongLength { by: 10 }),
        once("short and clean", Action::ShortCleanEnd { bytes: 20 }),
        always("short and clean always", Action::ShortCleanEnd { bytes: 20 }),
        once("extra bytes", Action::ExtraBytes { bytes: 5 }),
        always("extra bytes always", Action::ExtraBytes { bytes: 5 }),
        once("HTML", Action::Html200),
        always("HTML always", Action::Html200),
        once(
            "JSON",
            Action::Json200 {
                body: "{}".to_owned(),
            },
        ),
        always(
            "JSON always",
            Action::Json200 {
                body: "{}".to_owned(),
            },
        ),
        once("corrupt gzip", Action::CorruptGzip),
        always("corrupt gzip always", Action::CorruptGzip),
        once(
            "content type",
            Action::WrongContentType {
                content_type: "text/html".to_owned(),
            },
        ),
        once("endless headers", Action::EndlessHeaders),
        always("endless headers always", Action::EndlessHeaders),
        once("expired token", Action::ExpiredToken),
        once("redirect loop", Action::RedirectLoop),
        always("redirect loop always", Action::RedirectLoop),
        once(
            "slow drip",
            Action::SlowDrip {
                bytes_per_second: 2_000_000,
            },
        ),
    ]
}

/// Faults that only a list can have.
fn listing() -> Vec<Fault> {
    let field = |name: &str| name.to_owned();
    vec![
        once("repeated cursor", Action::RepeatCursor),
        always("repeated cursor always", Action::RepeatCursor),
        once("foreign cursor", Action::ForeignCursor),
        once("items twice", Action::DuplicateItems),
        once("nameless item", Action::NamelessItem),
        once("deep nesting", Action::DeepNesting { levels: 10_000 }),
        once(
            "item added",
            Action::MutateListing {
                add: Some(field("f00")),
                remove: None,
            },
        ),
        once(
            "item removed",
            Action::MutateListing {
                add: None,
                remove: Some(field("f0")),
            },
        ),
        once("folder vanishes", Action::Vanish),
        once("no files", Action::MissingField { name: field("files") }),
        once(
            "no fileId",
            Action::MissingField {
                name: field("fileId"),
            },
        ),
        once(
            "no fileType",
            Action::MissingField {
                name: field("fileType"),
            },
        ),
        once(
            "no fileSize",
            Action::MissingField {
                name: field("fileSize"),
            },
        ),
        once(
            "no modifiedTime",
            Action::MissingField {
                name: field("modifiedTime"),
            },
        ),
        once(
            "null fileId",
            Action::NullField {
                name: field("fileId"),
            },
        ),
        once(
            "null fileSize",
            Action::NullField {
                name: field("fileSize"),
            },
        ),
        once(
            "list cut short",
            Action::NullField {
                name: field("nextCursor"),
            },
        ),
        once("wrong files", Action::WrongType { name: field("files") }),
        once(
            "wrong fileId",
            Action::WrongType {
                name: field("fileId"),
            },
        ),
        once(
            "wrong fileName",
            Action::WrongType {
                name: field("fileName"),
            },
        ),
        once(
            "wrong fileSize",
            Action::WrongType {
                name: field("fileSize"),
            },
        ),
        once(
            "wrong fileType",
            Action::WrongType {
                name: field("fileType"),
            },
        ),
        once(
            "wrong modifiedTime",
            Action::WrongType {
                name: field("modifiedTime"),
            },
        ),
        once(
            "wrong nextCursor",
            Action::WrongType {
                name: field("nextCursor"),
            },
        ),
        once(
            "huge fileSize",
            Action::HugeNumber {
                name: field("fileSize"),
            },
        ),
    ]
}

/// The same for the field names of the classic generation.
fn classic(faults: Vec<Fault>) -> Vec<Fault> {
    let names = BTreeMap::from([
        ("files", "items"),
        ("fileId", "resourceKey"),
        ("fileName", "resourceName"),
        ("fileSize", "size"),
        ("fileType", "type"),
        ("modifiedTime", "updateDate"),
        ("nextCursor", "hasMore"),
    ]);
    let rename = |name: String| {
        names
            .get(name.as_str())
            .map_or(name.clone(), |name| (*name).to_owned())
    };
    faults
        .into_iter()
        .map(|fault| {
            let action = match fault.action {
                Action::MissingField { name } => Action::MissingField { name: rename(name) },
                Action::NullField { name } => Action::NullField { name: rename(name) },
                Action::WrongType { name } => Action::WrongType { name: rename(name) },
                Action::HugeNumber { name } => Action::HugeNumber { name: rename(name) },
                other => other,
            };
            Fault { action, ..fault }
        })
        .collect()
}

/// Faults that only bytes can have.
fn content() -> Vec<Fault> {
    vec![
        once("reset after 100000", Action::ResetAfterBytes { bytes: 100_000 }),
        always(
            "reset after 100000 always",
            Action::ResetAfterBytes { bytes: 100_000 },
        ),
        once("stall after 100000", Action::StallAfterBytes { bytes: 100_000 }),
        once("expired address", Action::ExpiredUrl { code: 403 }),
        always("expired address always", Action::ExpiredUrl { code: 403 }),
        once("file vanishes", Action::Vanish),
    ]
}

/// Faults that only an answer with these fields can have.
fn fields(names: &[&'static str], numbers: &[&'static str]) -> Vec<Fault> {
    type Kind = (&'static str, fn(String) -> Action);
    let kinds: [Kind; 3] = [
        ("no", |name| Action::MissingField { name }),
        ("null", |name| Action::NullField { name }),
        ("wrong", |name| Action::WrongType { name }),
    ];
    let mut faults = Vec::new();
    for name in names.iter().chain(numbers) {
        for (word, action) in kinds {
            faults.push(Fault {
                label: format!("{word} {name}").leak(),
                action: action((*name).to_owned()),
                times: 1,
            });
        }
    }
    for name in numbers {
        faults.push(Fault {
            label: format!("huge {name}").leak(),
            action: Action::HugeNumber {
                name: (*name).to_owned(),
            },
            times: 1,
        });
    }
    faults.push(once("deep nesting", Action::DeepNesting { levels: 10_000 }));
    faults
}

/// What one line of the table is about.
struct Case {
    operation: &'static str,
    subject: &'static str,
    fault: Fault,
}

/// The job that calls an operation.
fn bench(simulator: &Simulator, operation: &str) -> Bench {
    match operation {
        "oauth.token" => Bench::with_refresh_token(simulator),
        "classic.server-token" => Bench::with_server_token(simulator),
        _ if operation.starts_with("classic.") => Bench::new(simulator, Face::Classic),
        _ => Bench::new(simulator, Face::V2),
    }
}

/// The calls of a run without faults.
async fn usual_calls(operation: &str) -> BTreeMap<String, i64> {
    let simulator = Simulator::start(world(), options()).await.unwrap();
    let report = bench(&simulator, operation).run().await.unwrap();
    assert_eq!(report.status, Status::Complete);
    counted(&simulator)
}

fn counted(simulator: &Simulator) -> BTreeMap<String, i64> {
    let calls = simulator.calls().operations;
    calls
        .into_iter()
        .map(|(name, calls)| (name, i64::try_from(calls.total).unwrap()))
        .collect()
}

/// The end of a run with one fault, and how many calls it took more or fewer than without, as one line of the table.
async fn outcome(case: Case, usual: &BTreeMap<String, i64>) -> String {
    let Case {
        operation,
        subject,
        fault,
    } = case;
    let fault_label = fault.label;
    let name = format!("{operation}: {fault_label}");
    let simulator = Simulator::start(world(), options()).await.unwrap();
    let timeout = fault.timeout();
    let mut rule = Rule::new(operation, fault.action).repeated(fault.times);
    if !subject.is_empty() {
        rule = rule.about(subject);
    }
    simulator.faults().add(rule).unwrap();
    // Answers 429 have six times the tries, with pauses that grow: with one try the table's end comes soon.
    let attempts = if fault_label == "429 always" { "1" } else { "3" };
    let bench = bench(&simulator, operation)
        .limit("timeout", timeout)
        .limit("attempts", attempts);
    let run = bench.run().await;
    assert_eq!(simulator.faults().unreached(), [], "{name}");
    let mut further = counted(&simulator);
    for (operation, count) in usual {
        *further.entry(operation.clone()).or_default() -= count;
    }
    // What is not asked for because something else failed says nothing of the fault.
    further.retain(|name, count| *count > 0 || (name == operation && *count != 0 && run.is_ok()));
    if fault_label.ends_with("vanishes") {
        // A page of the folder above that is asked for at the same moment may miss an item then, and be asked for again.
        further.retain(|name, _| !name.contains(".list"));
    }
    let further: String = further
        .iter()
        .map(|(name, count)| format!(" {name}{count:+}"))
        .collect();

    let end = match &run {
        Ok(report) => end_of(report, &bench, &simulator, &name),
        Err(runner::Error::Drive(error)) => format!("error {}", error.kind.code()),
        Err(runner::Error::NothingRead { .. }) => "nothing read".to_owned(),
        Err(error) => format!("error {error}"),
    };
    if run.is_err() {
        assert_eq!(bench.shelf().snapshots().len(), 0, "{name}");
    }
    if !end.starts_with("complete") {
        // Once the fault is over, the next night makes everything good.
        simulator.faults().clear();
        let report = bench.run_next_night().await.unwrap();
        let text = report.to_text();
        assert_eq!(report.status, Status::Complete, "{name}, the night after: {text}");
        bench.shelf().assert_holds(&simulator.world(), 0);
    }
    format!("{name}: {end};{further}")
}

/// The end of a run that made a snapshot. Nothing wrong may be in it, and complete must be complete.
fn end_of(report: &Report, bench: &Bench, simulator: &Simulator, name: &str) -> String {
    let shelf = bench.shelf();
    shelf.assert_nothing_wrong(&simulator.world(), 0);
    let rows = shelf.rows();
    let outcomes: String = rows
        .iter()
        .filter(|row| row.outcome != Outcome::Stored)
        .map(|row| {
            format!(" {} {} {}", row.path, row.outcome.as_str(), row.reason)
                .trim_end()
                .to_owned()
        })
        .collect();
    let failures = shelf.failures();
    assert!(
        failures.iter().all(|row| row.outcome != Outcome::Stored),
        "{name}"
    );
    let tail = shelf.newest().tail.unwrap();
    match report.status {
        Status::Complete => {
            assert_eq!(tail.status, TailStatus::Complete, "{name}");
            let stored: BTreeSet<&str> = rows
                .iter()
                .filter(|row| row.outcome == Outcome::Stored)
                .map(|row| row.entry.id.as_str())
                .collect();
            let missing: Vec<String> = simulator.world().read(|world| {
                let entries = world.truth(0).filter(|entry| !stored.contains(entry.id.as_str()));
                entries.map(|entry| entry.path).collect()
            });
            // A list that says of itself that it ends cannot be seen through from one page.
            let is_cut = name.ends_with("drive.list: list cut short");
            assert!(
                missing.is_empty() || is_cut,
                "{name}: complete without {missing:?}"
            );
            format!("complete{outcomes}")
        }
        Status::Partial => {
            assert_eq!(tail.status, TailStatus::Partial, "{name}");
            format!("partial{outcomes}")
        }
        other => format!("{other:?}"),
    }
}

fn cases() -> Vec<Case> {
    let join = |one: Vec<Fault>, other: Vec<Fault>| one.into_iter().chain(other).collect::<Vec<Fault>>();
    [
        (
            "oauth.token",
            "",
            join(general(), fields(&["access_token"], &["expires_in"])),
        ),
        ("drive.get", "", join(general(), fields(&[], &["total", "used"]))),
        ("drive.list-root", "", general()),
        ("drive.list", "a", join(general(), listing())),
        ("drive.download", "small.txt", general()),
        ("storage.download", "big.bin", join(general(), content())),
        (
            "classic.server-token",
            "",
            join(general(), fields(&["access_token"], &["expires_in"])),
        ),
        ("classic.root", "", general()),
        ("classic.list", "a", join(general(), classic(listing()))),
        ("classic.download", "big.bin", join(general(), content())),
    ]
    .into_iter()
    .flat_map(|(operation, subject, faults)| {
        faults.into_iter().map(move |fault| Case {
            operation,
            subject,
            fault,
        })
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_at_every_call_ends_as_the_table_says() {
    let mut usual = BTreeMap::new();
    for operation in [
        "oauth.token",
        "drive.list",
        "classic.server-token",
        "classic.list",
    ] {
        usual.insert(operation, usual_calls(operation).await);
    }
    let runs = cases().into_iter().enumerate().map(|(number, case)| {
        let key = match case.operation {
            "oauth.token" | "classic.server-token" => case.operation,
            operation if operation.starts_with("classic.") => "classic.list",
            _ => "drive.list",
        };
        let usual = &usual[key];
        async move { (number, outcome(case, usual).await) }
    });
    let mut found: Vec<(usize, String)> = futures::stream::iter(runs).buffer_unordered(12).collect().await;
    found.sort();
    let found: Vec<String> = found.into_iter().map(|(_, line)| line).collect();
    assert_table(&found, include_str!("faults/ends.txt"));
}

/// Compares lines with those of a table, and shows all that differ.
fn assert_table(found: &[String], table: &str) {
    let expected: Vec<&str> = table.lines().collect();
    let differing: Vec<String> = found
        .iter()
        .map(String::as_str)
        .zip(expected.iter().copied().chain(std::iter::repeat("")))
        .filter(|(found, expected)| found != expected)
        .map(|(found, expected)| format!("found    {found}\nexpected {expected}\n"))
        .collect();
    assert!(differing.is_empty(), "{}", differing.concat());
    assert_eq!(found.len(), expected.len());
}
