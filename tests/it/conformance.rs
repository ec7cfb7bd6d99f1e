//! The seam behaves alike, whatever API generation is behind it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use drivejob::api::{self, Config, Dialect, Endpoints, Rate};
use drivejob::drive::{
    ByteSource, Drive, ErrorKind, NewFile, Party, PartyKind, Piece, Reach, Right, SharingChange,
};
use drivejob::entry::{Access, Entry, Kind, Scope};
use drivejob::id::{DriveId, FileId};
use drivejob::monitor::Silent;
use drivejob::secret::Secret;
use drivejob::sim::{AccessibleRange, Action, Options, Rule, Simulator, World};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::support::{Face, sha256, truth};

/// 2024-05-01T00:00:00Z
const MAY: i64 = 1_714_521_600_000;

#[derive(Debug)]
struct Given(Bytes);

#[async_trait]
impl ByteSource for Given {
    async fn open(&self, offset: u64) -> std::io::Result<BoxStream<'static, std::io::Result<Bytes>>> {
        let rest = self.0.slice(usize::try_from(offset).unwrap()..);
        let pieces: Vec<_> = rest
            .chunks(64 * 1024)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Ok(stream::iter(pieces).boxed())
    }
}

fn world() -> World {
    let mut world = World::new();
    world.add_member("山田", "太郎", "taro@example.com");
    let root = world.root(0).unwrap();
    let folder = world.add_folder(root, "書類", MAY);
    for number in 0..450 {
        world.add_file(folder, &format!("{number}.txt"), 10, number, MAY);
    }
    world.add_folder(root, "空", MAY);
    world.add_file(root, "大.bin", 700_000, 5, MAY);
    world.add_file(root, "無.txt", 0, 6, MAY);
    world
}

fn connect(simulator: &Simulator, face: Face, state: &std::path::Path, token: &str) -> Arc<dyn Drive> {
    let addresses = simulator.endpoints();
    let host = addresses.storage.trim_start_matches("http://").to_owned();
    let (dialect, endpoints) = match face {
        Face::V2 => (
            Dialect::V2,
            Endpoints {
                api: format!("{}/v1.0", addresses.api),
                auth: format!("{}/oauth2/v2.0", addresses.auth),
                file: None,
                storage: vec![host],
            },
        ),
        Face::Classic => (
            Dialect::Classic {
                api_id: simulator.options().api_id.clone(),
            },
            Endpoints {
                api: addresses.api.clone(),
                auth: addresses.auth.clone(),
                file: Some(addresses.storage.clone()),
                storage: vec![host],
            },
        ),
    };
    let mut config = Config::new(dialect, state.to_owned(), "conformance");
    config.endpoints = endpoints;
    config.rate = Rate::Unlimited;
    config.credentials.access_token = Some(Secret::new(token));
    config.credentials.consumer_key = Some(Secret::new(&simulator.options().consumer_key));
    api::connect(config, Arc::new(Silent)).unwrap()
}

async fn root(drive: &dyn Drive) -> Entry {
    let roots = drive.roots(&Scope::Me).await.unwrap();
    assert_eq!(roots.len(), 1);
    assert_eq!(
        (roots[0].access.clone(), roots[0].entry.kind),
        (Access::Readable, Kind::Folder)
    );
    roots[0].entry.clone()
}

/// Every child, and how many pages they took.
async fn children(drive: &dyn Drive, folder: &Entry) -> (Vec<Entry>, usize) {
    let (mut found, mut next) = (Vec::new(), None);
    for pages in 1.. {
        let page = drive.children(folder, next.as_ref()).await.unwrap();
        assert_eq!(page.broken, []);
        found.extend(page.entries);
        next = page.next;
        if next.is_none() {
            return (found, pages);
        }
    }
    unreachable!()
}

async fn child(drive: &dyn Drive, folder: &Entry, name: &str) -> Entry {
    let found = children(drive, folder)
        .await
        .0
        .into_iter()
        .find(|entry| entry.name == name);
    found.unwrap_or_else(|| panic!("{name} is listed"))
}

async fn bytes(drive: &dyn Drive, file: &Entry, from: u64) -> Vec<u8> {
    let download = drive.download(file, from).await.unwrap();
    assert_eq!((download.from, download.attempts), (from, 1));
    let mut body = download.body;
    let mut found = Vec::new();
    while let Some(piece) = body.next().await {
        match piece.unwrap() {
            Piece::Bytes(piece) => found.extend_from_slice(&piece),
            other => panic!("{other:?}"),
        }
    }
    found
}

async fn lists_and_tells(drive: &dyn Drive, simulator: &Simulator) {
    let root = root(drive).await;
    let (top, pages) = children(drive, &root).await;
    assert_eq!((top.len(), pages), (4, 1));
    let folder = top.iter().find(|entry| entry.name == "書類").unwrap();
    let (files, pages) = children(drive, folder).await;
    assert_eq!((files.len(), pages), (450, 3));
    let truth = simulator.world().read(|world| truth(world, 0));
    for entry in top.iter().chain(&files) {
        let expected = truth.iter().find(|held| held.id == entry.id.as_str()).unwrap();
        assert!(expected.path.ends_with(&format!("/{}", entry.name)));
        assert_eq!(
            (entry.kind.as_str(), entry.modified.unwrap().as_second()),
            (expected.kind, expected.modified)
        );
        if entry.kind == Kind::File {
            assert_eq!(entry.size, Some(expected.size));
        }
    }
    for entry in &top {
        let now = drive.stat(entry).await.unwrap();
        assert_eq!(
            (&now.id, &now.name, now.kind, now.modified),
            (&entry.id, &entry.name, entry.kind, entry.modified)
        );
        assert_eq!((now.size, &now.parent_id), (entry.size, &entry.parent_id));
    }
    assert_eq!(
        children(drive, &child(drive, &root, "空").await).await,
        (vec![], 1)
    );
}

async fn downloads(drive: &dyn Drive, simulator: &Simulator) {
    let root = root(drive).await;
    let file = child(drive, &root, "大.bin").await;
    let world = simulator.world();
    let whole = world.read(|world| world.bytes(world.find(0, "/大.bin").unwrap()).unwrap());
    for from in [0, 1, 350_000, 699_999] {
        assert!(
            bytes(drive, &file, from).await == whole[usize::try_from(from).unwrap()..],
            "from {from}"
        );
    }
    assert!(
        bytes(drive, &child(drive, &root, "無.txt").await, 0)
            .await
            .is_empty()
    );
}

async fn makes_folders_and_uploads(drive: &dyn Drive, _: &Simulator) {
    let root = root(drive).await;
    let folder = drive.create_folder(&root, "新しい フォルダー").await.unwrap();
    assert_eq!(
        (folder.name.as_str(), folder.kind),
        ("新しい フォルダー", Kind::Folder)
    );
    let again = drive.create_folder(&root, "新しい フォルダー").await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Conflict);

    let content = |size: u32| Given((0..size).map(|number| (number % 251) as u8).collect());
    for (name, size) in [("小.txt", 5), ("zero", 0), ("large.bin", 3_000_000)] {
        let new = NewFile {
            name: name.to_owned(),
            size: size.into(),
            modified: None,
            overwrite: false,
        };
        let made = drive.upload(&folder, &new, &content(size)).await.unwrap();
        assert_eq!((made.name.as_str(), made.size), (name, Some(size.into())));
        assert_eq!(
            sha256(&*bytes(drive, &made, 0).await),
            sha256(&*content(size).0),
            "{name}"
        );
        assert_eq!(child(drive, &folder, name).await.id, made.id);
    }
    let new = |overwrite| NewFile {
        name: "小.txt".to_owned(),
        size: 9,
        modified: None,
        overwrite,
    };
    let taken = drive.upload(&folder, &new(false), &content(9)).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Conflict);
    assert_eq!(
        bytes(drive, &child(drive, &folder, "小.txt").await, 0)
            .await
            .len(),
        5
    );
    drive.upload(&folder, &new(true), &content(9)).await.unwrap();
    assert_eq!(
        bytes(drive, &child(drive, &folder, "小.txt").await, 0).await,
        content(9).0
    );
    assert_eq!(
        children(drive, &folder).await.0.len(),
        3,
        "an overwritten file is one file"
    );
}

async fn tells_what_is_gone(drive: &dyn Drive, simulator: &Simulator) {
    let root = root(drive).await;
    let (folder, file) = (
        child(drive, &root, "空").await,
        child(drive, &root, "大.bin").await,
    );
    for path in ["/空", "/大.bin"] {
        let remove = drivejob::sim::Change::Remove {
            drive: "me".into(),
            path: path.into(),
        };
        simulator.change(&remove).unwrap();
    }
    let kinds = [
        drive.stat(&file).await.unwrap_err().kind,
        drive.stat(&folder).await.unwrap_err().kind,
        drive.download(&file, 0).await.unwrap_err().kind,
        drive.children(&folder, None).await.unwrap_err().kind,
        drive.create_folder(&folder, "x").await.unwrap_err().kind,
    ];
    assert_eq!(kinds, [const { ErrorKind::NotFound }; 5]);
}

async fn removes_and_relocates(drive: &dyn Drive, face: Face) {
    let root = root(drive).await;
    let (file, folder) = (
        child(drive, &root, "無.txt").await,
        child(drive, &root, "書類").await,
    );
    if face == Face::Classic {
        // The classic documents describe neither.
        assert_eq!(
            drive.remove(&file).await.unwrap_err().kind,
            ErrorKind::Unsupported
        );
        let moved = drive.relocate(&file, Some(&folder), None).await.unwrap_err();
        assert_eq!(moved.kind, ErrorKind::Unsupported);
        return;
    }
    let moved = drive
        .relocate(&file, Some(&folder), Some("別名.txt"))
        .await
        .unwrap();
    assert_eq!((moved.name.as_str(), &moved.id), ("別名.txt", &file.id));
    assert_eq!(child(drive, &folder, "別名.txt").await.id, file.id);
    drive.remove(&moved).await.unwrap();
    assert_eq!(drive.stat(&moved).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(children(drive, &root).await.0.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_dialects_keep_to_the_seam() {
    for face in Face::BOTH {
        let state = tempfile::tempdir().unwrap();
        let begin = || Simulator::start(world(), Options::default());
        let open = |simulator: &Simulator| connect(simulator, face, state.path(), simulator.token());

        let simulator = begin().await.unwrap();
        lists_and_tells(&*open(&simulator), &simulator).await;
        downloads(&*open(&simulator), &simulator).await;
        makes_folders_and_uploads(&*open(&simulator), &simulator).await;
        removes_and_relocates(&*open(&begin().await.unwrap()), face).await;
        let simulator = begin().await.unwrap();
        tells_what_is_gone(&*open(&simulator), &simulator).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_is_read_and_changed_alike_or_not_at_all() {
    let state = tempfile::tempdir().unwrap();
    let mut world = world();
    let hana = world.add_member("鈴木", "花子", "hana@example.com");
    let number = world.add_shared_drive("営業", AccessibleRange::Domain);
    let folder = world.add_folder(world.root(number).unwrap(), "給与", MAY);
    let (word, id) = (world.drive_word(number).unwrap(), world.id_of(folder));
    let simulator = Simulator::start(world, Options::default()).await.unwrap();
    let root = Entry::root(DriveId::new(word), FileId::new(FileId::ROOT));
    let mut folder = root.clone();
    folder.id = FileId::new(id);
    folder.name = "給与".to_owned();

    let classic = connect(&simulator, Face::Classic, state.path(), simulator.token());
    let mine = self::root(&*classic).await;
    assert_eq!(
        [
            classic.sharing(&mine).await.unwrap_err().kind,
            classic
                .change_sharing(&mine, &SharingChange::Restrict)
                .await
                .unwrap_err()
                .kind,
            classic.parties(PartyKind::User).await.unwrap_err().kind,
        ],
        [const { ErrorKind::Unsupported }; 3]
    );

    let drive = connect(&simulator, Face::V2, state.path(), simulator.token());
    let mine = self::root(&*drive).await;
    assert_eq!(
        drive.sharing(&mine).await.unwrap_err().kind,
        ErrorKind::Unsupported,
        "only shared drives have permissions"
    );
    let everybody = drive.parties(PartyKind::User).await.unwrap();
    let hana: &Party = &everybody[hana];
    assert_eq!((hana.name.as_str(), everybody.len()), ("hana@example.com", 2));
    assert_eq!(drive.parties(PartyKind::Group).await.unwrap(), []);
    assert_eq!(drive.parties(PartyKind::OrgUnit).await.unwrap(), []);

    let rules = drive.sharing(&root).await.unwrap().rules.unwrap();
    assert_eq!((rules.reach, rules.right), (Reach::Domain, Right::Write));
    let shut = SharingChange::Rules {
        reach: None,
        right: Some(Right::Read),
        masters: None,
        denied: Some(vec![hana.clone()]),
    };
    drive.change_sharing(&root, &shut).await.unwrap();
    let rules = drive.sharing(&root).await.unwrap().rules.unwrap();
    assert_eq!((rules.reach, rules.right), (Reach::Domain, Right::Read));
    assert_eq!((rules.denied.len(), rules.masters.len()), (1, 1));

    // The answers are lost after the work is done: nothing is done a second time.
    let grant = |right| SharingChange::Grant(hana.clone(), right);
    for operation in [
        "sharedrive.drive-permission-create",
        "sharedrive.permissions-enable",
        "sharedrive.permission-create",
    ] {
        let lost = Rule::new(operation, Action::ResetAfterBytes { bytes: 0 });
        simulator.faults().add(lost).unwrap();
    }
    drive.change_sharing(&root, &grant(Right::Read)).await.unwrap();
    drive
        .change_sharing(&folder, &SharingChange::Restrict)
        .await
        .unwrap();
    drive.change_sharing(&folder, &grant(Right::Write)).await.unwrap();
    let calls = simulator.calls();
    assert_eq!(
        [
            calls.of("sharedrive.drive-permission-create"),
            calls.of("sharedrive.permissions-enable"),
            calls.of("sharedrive.permission-create"),
        ],
        [1, 1, 1]
    );
    let sharing = drive.sharing(&root).await.unwrap();
    assert_eq!(
        sharing.rules.unwrap().reach,
        Reach::Members,
        "a permission shuts the drive"
    );
    assert_eq!((sharing.grants.len(), sharing.grants[0].right), (1, Right::Read));
    let own = drive.sharing(&folder).await.unwrap();
    assert_eq!(
        (own.rules, own.grants.len(), own.grants[0].right),
        (None, 1, Right::Write)
    );

    // What is there already is no error; another right of the same person is another change.
    drive.change_sharing(&root, &grant(Right::Read)).await.unwrap();
    assert_eq!(
        drive
            .change_sharing(&root, &grant(Right::Write))
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Conflict
    );
    for (entry, right) in [(&root, Right::Write), (&folder, Right::Read)] {
        let held = drive.sharing(entry).await.unwrap().grants[0].clone();
        drive
            .change_sharing(entry, &SharingChange::Regrant(held, right))
            .await
            .unwrap();
        let now = drive.sharing(entry).await.unwrap().grants;
        assert_eq!((now.len(), now[0].right), (1, right));
    }
    assert_eq!(
        drive
            .change_sharing(&root, &SharingChange::Restrict)
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Unsupported
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_is_denied_and_a_wrong_token_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(world(), Options::default()).await.unwrap();
    let good = connect(&simulator, Face::V2, state.path(), simulator.token());
    let root = root(&*good).await;
    for (token, kind) in [
        ("sim-service-account-token", ErrorKind::Denied),
        ("wrong", ErrorKind::Unauthenticated),
    ] {
        let drive = connect(&simulator, Face::V2, state.path(), token);
        assert_eq!(
            drive.children(&root, None).await.unwrap_err().kind,
            kind,
            "{token}"
        );
        assert_eq!(
            drive.create_folder(&root, "x").await.unwrap_err().kind,
            kind,
            "{token}"
        );
    }
}
