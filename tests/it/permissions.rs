//! The permissions of shared drives move with a tenant: planned, shown, applied, read back.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use drivejob::report::{Report, Status};
use drivejob::runner;
use drivejob::sim::{AccessibleRange, Action, Denied, Options, Permission, Rule, Simulator, World};
use drivejob::stop::Stop;

use crate::support::{Bench, Face, StopAt};

/// 2024-05-01T00:00:00Z
const MAY: i64 = 1_714_521_600_000;

fn mail(name: &str) -> String {
    format!("{name}@example.com")
}

/// The people of a tenant in this order, which makes their ids, and two empty shared drives.
fn tenant(order: [&str; 5]) -> World {
    let mut world = World::new();
    for name in order {
        world.add_member("Member", name, &mail(name));
    }
    world.add_shared_drive("営業", AccessibleRange::Member);
    world.add_shared_drive("全社", AccessibleRange::Member);
    let members: Vec<usize> = ["hana", "yuki"]
        .iter()
        .map(|name| world.member(&mail(name)).unwrap())
        .collect();
    world.add_group("Sales", &members, false, false);
    world
}

fn permission(world: &World, number: u32, name: &str, kind: &str) -> Permission {
    let (user_id, user_type) = match world.member(&mail(name)) {
        Some(member) => (world.members()[member].user_id.clone(), "USER"),
        None => {
            let group = world.groups().iter().find(|group| group.name == name).unwrap();
            (group.group_id.clone(), "GROUP")
        }
    };
    Permission {
        permission_id: number.to_string(),
        kind: kind.to_owned(),
        user_id,
        user_type: user_type.to_owned(),
        user_name: name.to_owned(),
    }
}

fn drive_named(world: &World, name: &str) -> usize {
    world
        .drives()
        .iter()
        .position(|drive| drive.name == name)
        .unwrap()
}

/// One drive for its members, with a folder of one person and one in it of another; one for the domain, which keeps one
/// person out and has a folder of one.
fn source() -> World {
    let mut world = tenant(["admin", "hana", "jiro", "saburo", "yuki"]);
    let (sales, all) = (drive_named(&world, "営業"), drive_named(&world, "全社"));
    for drive in [sales, all] {
        let root = world.root(drive).unwrap();
        for name in ["給与", "公開"] {
            let folder = world.add_folder(root, name, MAY);
            world.add_file(folder, "一.txt", 10, 1, MAY);
        }
    }
    let inner = {
        let folder = world.find(sales, "/給与").unwrap();
        world.add_folder(folder, "役員", MAY)
    };
    let given = |world: &World, list: &[(&str, &str)]| -> Vec<Permission> {
        (1..)
            .zip(list)
            .map(|(number, (name, kind))| permission(world, number, name, kind))
            .collect()
    };
    let (drive, folder, closed) = (
        given(
            &world,
            &[("jiro", "WRITE"), ("Sales", "READ"), ("saburo", "READ")],
        ),
        given(&world, &[("jiro", "WRITE"), ("hana", "READ")]),
        given(&world, &[("saburo", "READ")]),
    );
    let denied = permission(&world, 9, "yuki", "READ");
    world.drive_mut(sales).unwrap().permissions = drive;
    let secret = world.find(sales, "/給与").unwrap();
    world.restrict(secret, folder);
    world.restrict(inner, closed.clone());
    let secret = world.find(all, "/給与").unwrap();
    world.restrict(secret, closed);
    let hana = world.member(&mail("hana")).unwrap();
    let open = world.drive_mut(all).unwrap();
    open.range = AccessibleRange::Domain;
    open.right = "READ".to_owned();
    open.masters.push(hana);
    open.denies = vec![Denied {
        id: denied.user_id,
        name: String::new(),
        kind: "USER".to_owned(),
    }];
    world
}

/// Who may do what, by names alone, so that two tenants can be compared.
fn sharing(world: &World) -> BTreeMap<String, Vec<String>> {
    let name = |id: &str| {
        let member = world.members().iter().find(|member| member.user_id == id);
        let group = world.groups().iter().find(|group| group.group_id == id);
        member.map_or_else(|| group.unwrap().name.clone(), |member| member.email.clone())
    };
    let list = |permissions: &[Permission]| -> Vec<String> {
        let mut lines: Vec<String> = permissions
            .iter()
            .map(|one| format!("{} {} {}", one.user_type, name(&one.user_id), one.kind))
            .collect();
        lines.sort();
        lines
    };
    let mut found = BTreeMap::new();
    for drive in ["営業", "全社"] {
        let number = drive_named(world, drive);
        let held = &world.drives()[number];
        let mut lines = list(&held.permissions);
        lines.push(format!("{:?}", held.range));
        if held.range != AccessibleRange::Member {
            lines.push(held.right.clone());
        }
        lines.extend(
            held.denies
                .iter()
                .map(|denied| format!("denied {}", name(&denied.id))),
        );
        let mut masters: Vec<String> = held
            .masters
            .iter()
            .map(|master| format!("master {}", world.members()[*master].email))
            .collect();
        masters.sort();
        lines.extend(masters);
        found.insert(drive.to_owned(), lines);
        for entry in world.truth(number) {
            if let Some(own) = world.own_permissions(entry.node) {
                found.insert(format!("{drive}{}", entry.path), list(own));
            }
        }
    }
    found
}

/// For each person, by mail, what can be opened.
fn open_to(world: &World) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for drive in ["営業", "全社"] {
        let number = drive_named(world, drive);
        for entry in world.truth(number) {
            for (position, member) in world.members().iter().enumerate() {
                if world.may_open(position, entry.node) {
                    found.push((format!("{drive}{}", entry.path), member.email.clone()));
                }
            }
        }
    }
    found.sort();
    found
}

/// Two tenants with the same people under other ids, and the final pass of a migration between them.
struct Move {
    old: Simulator,
    new: Simulator,
    bench: Bench,
}

impl Move {
    async fn new(permissions: &str) -> Move {
        let old = Simulator::start(source(), Options::default()).await.unwrap();
        let new = tenant(["admin", "yuki", "saburo", "jiro", "hana"]);
        let new = Simulator::start(new, Options::default()).await.unwrap();
        let bench = Bench::new(&old, Face::V2)
            .key("kind", "\"migrate\"")
            .key("target", "\"target.toml\"")
            .key("map", "\"map.csv\"")
            .key("drives", "[\"sharedrives/*\"]")
            .key("pass", "\"final\"")
            .key("permissions", &format!("\"{permissions}\""));
        let (text, _) = new.tenant_file_v2();
        bench.write("target.toml", &text);
        bench.write("map.csv", MAP);
        Move { old, new, bench }
    }

    fn permissions(mut self, word: &str) -> Move {
        self.bench = self.bench.key("permissions", &format!("\"{word}\""));
        self
    }

    async fn run(&self) -> Report {
        self.new.reset_calls();
        let report = self.bench.run().await.unwrap();
        self.bench.next_night();
        report
    }

    fn sharing(&self) -> BTreeMap<String, Vec<String>> {
        self.new.world().read(sharing)
    }

    /// A table of the newest results, without the columns that hold ids.
    fn table(&self, name: &str) -> Vec<String> {
        let path = self.results().join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader
            .records()
            .map(|record| {
                let record = record.unwrap();
                let drive = if record[0].is_empty() {
                    ""
                } else {
                    self.name(&record[0])
                };
                let cells: Vec<&str> = [2, 3, 4, 6, 7, 8, 9].map(|column| &record[column]).to_vec();
                format!("{drive}{}", cells.join(" "))
            })
            .collect()
    }

    fn name(&self, word: &str) -> &'static str {
        let name = self.old.world().read(|world| {
            let drive = world.drive(word).unwrap();
            world.drives()[drive].name.clone()
        });
        if name == "営業" { "営業" } else { "全社" }
    }

    fn results(&self) -> PathBuf {
        let mut found: Vec<PathBuf> = fs::read_dir(self.bench.shelf().path())
            .unwrap()
            .map(|item| item.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("migrate-")
            })
            .collect();
        found.sort();
        found.pop().unwrap()
    }

    fn changes(&self) -> u64 {
        let calls = self.new.calls();
        [
            "sharedrives.update",
            "sharedrive.drive-permission-create",
            "sharedrive.drive-permission-modify",
            "sharedrive.drive-permission-delete",
            "sharedrive.permission-create",
            "sharedrive.permission-modify",
            "sharedrive.permission-delete",
            "sharedrive.permissions-enable",
            "sharedrive.permissions-disable",
        ]
        .iter()
        .map(|operation| calls.of(operation))
        .sum()
    }
}

const MAP: &str = "source,target\nusers/*,users/*\nsharedrives/*,sharedrives/*\ngroups/*,groups/*\n";

/// The plan from two empty drives for their members, as `permissions-plan.csv` tells it.
const PLAN: [&str; 12] = [
    "営業/給与 restrict  inherited own planned ",
    "営業/給与/役員 restrict  inherited own planned ",
    "営業/ grant jiro@example.com  WRITE planned ",
    "営業/ grant Sales  READ planned ",
    "営業/ grant saburo@example.com  READ planned ",
    "営業/給与 grant jiro@example.com  WRITE planned ",
    "営業/給与 grant hana@example.com  READ planned ",
    "営業/給与/役員 grant saburo@example.com  READ planned ",
    "全社/ masters hana@example.com  MASTER planned ",
    "全社/給与 restrict  inherited own planned ",
    "全社/ open yuki@example.com MEMBER DOMAIN READ planned ",
    "全社/給与 grant saburo@example.com  READ planned ",
];

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_set_only_after_their_plan_was_shown() {
    let case = Move::new("plan").await;
    let before = case.sharing();
    let report = case.run().await;
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    assert_eq!(case.table("permissions-plan.csv"), PLAN);
    assert_eq!((case.changes(), case.sharing()), (0, before.clone()));

    // What the target has by now, the plan that was shown does not name.
    let case = case.permissions("apply");
    case.new.world().write(|world| {
        let all = drive_named(world, "全社");
        let jiro = permission(world, 77, "jiro", "READ");
        world.drive_mut(all).unwrap().permissions.push(jiro);
        let sales = drive_named(world, "営業");
        let yuki = permission(world, 78, "yuki", "WRITE");
        world.drive_mut(sales).unwrap().permissions.push(yuki);
    });
    let report = case.run().await;
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    let rest: Vec<String> = case.table("permissions-differences.csv");
    assert_eq!(
        rest,
        [
            "営業/ grant yuki WRITE  only-in-target ",
            "全社/ open yuki@example.com MEMBER DOMAIN READ by-hand permissions-would-go",
            "全社/給与 grant saburo@example.com  READ by-hand not-in-drive",
        ]
        .map(str::to_owned)
    );
    case.new.world().write(|world| {
        for name in ["営業", "全社"] {
            let drive = drive_named(world, name);
            world
                .drive_mut(drive)
                .unwrap()
                .permissions
                .retain(|permission| !["77", "78"].contains(&permission.permission_id.as_str()));
        }
    });
    let report = case.run().await;
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    assert_eq!(case.sharing(), case.old.world().read(sharing));
    assert_eq!(case.table("permissions-differences.csv"), Vec::<String>::new());

    // Nothing is left to do.
    let report = case.run().await;
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    assert_eq!(case.changes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_plan_that_was_shown_the_first_run_only_shows_it() {
    let case = Move::new("apply").await;
    let report = case.run().await;
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    assert!(
        report
            .warnings
            .iter()
            .any(|line| line.contains("was not shown before"))
    );
    assert_eq!(
        (case.changes(), case.table("permissions-plan.csv").len()),
        (0, PLAN.len())
    );
    let report = case.run().await;
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let applied = case.table("permissions-applied.csv");
    let expected: Vec<String> = PLAN.iter().map(|line| line.replace("planned", "done")).collect();
    assert_eq!(applied, expected);
    assert_eq!(case.sharing(), case.old.world().read(sharing));
    assert_eq!(
        case.new.world().read(open_to),
        case.old.world().read(open_to),
        "the same people see the same things"
    );

    // A new plan is no plan that was shown.
    case.old.world().write(|world| {
        let sales = drive_named(world, "営業");
        let hana = permission(world, 50, "hana", "WRITE");
        world.drive_mut(sales).unwrap().permissions.push(hana);
    });
    let report = case.run().await;
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    assert!(
        report
            .warnings
            .iter()
            .any(|line| line.contains("is not the one that was shown"))
    );
    assert_eq!(
        (case.changes(), case.table("permissions-plan.csv")),
        (0, vec!["営業/ grant hana@example.com  WRITE planned ".to_owned()])
    );
    assert_eq!(case.run().await.status, Status::Complete);
    assert_eq!(case.sharing(), case.old.world().read(sharing));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_mapped_is_told_and_what_is_not_shut_lets_nobody_in() {
    let case = Move::new("plan").await;
    case.bench.write(
        "map.csv",
        "source,target\nusers/*,users/*\nusers/saburo@example.com,users/nobody@example.com\nsharedrives/*,sharedrives/*\n",
    );
    let report = case.run().await;
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    let unmapped: Vec<String> = case
        .table("permissions-plan.csv")
        .into_iter()
        .filter(|line| line.contains("unmapped"))
        .collect();
    assert_eq!(
        unmapped,
        [
            "営業/ grant Sales  READ unmapped no-rule",
            "営業/ grant saburo  READ unmapped no-target",
            "営業/給与/役員 grant saburo  READ unmapped no-target",
            "全社/給与 grant saburo  READ unmapped no-target",
        ]
        .map(str::to_owned)
    );
    // One folder cannot be shut: nobody is let into its drive, the other drive goes its way.
    let refuse = Rule::new(
        "sharedrive.permissions-enable",
        Action::Status {
            code: 403,
            headers: BTreeMap::new(),
            body: None,
        },
    )
    .about("役員")
    .repeated(0);
    case.new.faults().add(refuse).unwrap();
    let case = case.permissions("apply");
    let report = case.run().await;
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    let sharing = case.sharing();
    assert_eq!(sharing["営業"], ["Member", "master admin@example.com"]);
    assert_eq!(sharing["全社"][0], "Domain");
    let applied = case.table("permissions-applied.csv");
    let outcomes = |word: &str| applied.iter().filter(|line| line.contains(word)).count();
    assert_eq!(
        (outcomes(" refused "), outcomes(" held ")),
        (1, 2),
        "{applied:#?}"
    );
    case.new.faults().clear();

    let report = case.run().await;
    assert_eq!(report.status, Status::Partial, "{}", report.to_text());
    let rest = case.table("permissions-differences.csv");
    // Hana is in the drive through her group alone, which has no place.
    let by_hand = "営業/給与 grant hana@example.com  READ by-hand not-in-drive";
    assert!(
        rest.iter()
            .all(|line| line.contains(" unmapped ") || line == by_hand),
        "{rest:#?}"
    );
    assert_eq!(rest.len(), 5);
    let seen = case.new.world().read(open_to);
    let source = case.old.world().read(open_to);
    assert!(
        seen.iter().all(|one| source.contains(one)),
        "nobody sees more than at the source"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_any_call_is_made_good_and_opens_nothing() {
    let case = Move::new("plan").await;
    assert_eq!(case.run().await.status, Status::Complete);
    let calls = case.new.calls().total();
    let case = case.permissions("apply");
    let source = case.old.world().read(open_to);
    let mut stopped = 0;
    for at in (calls / 2..).step_by(3).take(40) {
        let stop = Stop::new();
        let monitor = Arc::new(StopAt::new(at, &stop));
        let report = case.bench.run_with(monitor, stop).await.unwrap();
        let seen = case.new.world().read(open_to);
        assert!(seen.iter().all(|one| source.contains(one)), "after {at} calls");
        if report.status != Status::Interrupted {
            break;
        }
        stopped += 1;
    }
    assert!(stopped > 2, "{stopped}");
    case.bench.next_night();
    let report = case.run().await;
    assert_eq!(report.status, Status::Complete, "{}", report.to_text());
    assert_eq!(case.sharing(), case.old.world().read(sharing));
}

#[test]
fn a_restore_sets_no_permissions() {
    let bench = Bench::empty()
        .key("kind", "\"restore\"")
        .key("tenant", "\"tenant.toml\"")
        .key("permissions", "\"apply\"");
    let error = runner::load(&bench.job_file()).unwrap_err();
    assert!(
        error
            .problems()
            .iter()
            .any(|problem| problem.key == "permissions")
    );
}
