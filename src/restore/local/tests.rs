//! What the disk refuses, and what lies in the way.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::*;

/// Portions of a content, and how its reading ends.
struct Given(&'static [&'static str], Option<io::ErrorKind>);

#[async_trait]
impl ByteSource for Given {
    async fn open(&self, _: u64) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        let portions = self.0.iter().map(|text| Ok(Bytes::from_static(text.as_bytes())));
        let end = self.1.map(|kind| Err(kind.into()));
        Ok(stream::iter(portions.chain(end).collect::<Vec<_>>()).boxed())
    }
}

struct Unopened;

#[async_trait]
impl ByteSource for Unopened {
    async fn open(&self, _: u64) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn new(name: &str, size: u64, overwrite: bool) -> NewFile {
    NewFile {
        name: name.to_owned(),
        size,
        modified: Timestamp::from_second(100).ok(),
        overwrite,
    }
}

fn folder() -> (tempfile::TempDir, LocalFolder, Entry) {
    let outside = tempfile::tempdir().unwrap();
    let local = LocalFolder::open(&outside.path().join("target")).unwrap();
    let root = local.root().entry;
    (outside, local, root)
}

fn entry(local: &LocalFolder, id: &str) -> Entry {
    Entry::root(local.drive.clone(), FileId::new(id))
}

fn names(local: &LocalFolder) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(&local.path)
        .unwrap()
        .map(|found| found.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_content_that_is_not_what_was_told_leaves_nothing() {
    let (_outside, local, root) = folder();
    let table: [(&dyn ByteSource, ErrorKind); 4] = [
        (&Given(&["ab"], None), ErrorKind::Unsupported),
        (&Given(&["ab", "cd"], None), ErrorKind::Unsupported),
        (
            &Given(&["ab"], Some(io::ErrorKind::UnexpectedEof)),
            ErrorKind::Source,
        ),
        (&Unopened, ErrorKind::Source),
    ];
    for (source, kind) in table {
        let error = local
            .upload(&root, &new("f", 3, false), source)
            .await
            .unwrap_err();
        assert_eq!((error.kind, error.operation), (kind, "local.write"));
        assert_eq!(names(&local), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_has_the_name_stays_unless_it_may_be_replaced() {
    let (_outside, local, root) = folder();
    fs::write(local.path.join("f"), "theirs").unwrap();
    fs::create_dir(local.path.join("d")).unwrap();
    let ours = Given(&["ou", "rs"], None);
    for (name, overwrite) in [("f", false), ("d", false), ("d", true)] {
        let error = local
            .upload(&root, &new(name, 4, overwrite), &ours)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{name} {overwrite}");
    }
    assert_eq!(fs::read_to_string(local.path.join("f")).unwrap(), "theirs");
    let replaced = local.upload(&root, &new("f", 4, true), &ours).await.unwrap();
    assert_eq!((replaced.id.as_str(), replaced.size), ("f", Some(4)));
    assert_eq!(replaced.modified, Timestamp::from_second(100).ok());
    assert_eq!(fs::read_to_string(local.path.join("f")).unwrap(), "ours");
    assert_eq!(names(&local), ["d", "f"]);
    let error = local.create_folder(&root, "d").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
}

#[tokio::test]
async fn what_a_killed_run_left_is_not_shown_and_gives_way() {
    let (_outside, local, root) = folder();
    let left = Staged::create(&local.path.join("f")).unwrap();
    fs::write(&left.place, "half of it").unwrap();
    std::mem::forget(left);
    assert_eq!(names(&local).len(), 1);
    let page = local.children(&root, None).await.unwrap();
    assert_eq!((page.entries.len(), page.broken.len()), (0, 0));
    local
        .upload(&root, &new("f", 3, false), &Given(&["abc"], None))
        .await
        .unwrap();
    assert_eq!(names(&local), ["f"]);
    assert_eq!(fs::read_to_string(local.path.join("f")).unwrap(), "abc");
}

#[tokio::test]
async fn what_is_read_back_is_what_is_there() {
    let (outside, local, root) = folder();
    fs::write(local.path.join("f"), "0123456789").unwrap();
    fs::write(outside.path().join("secret"), "outside").unwrap();
    symlink(outside.path().join("secret"), local.path.join("link")).unwrap();
    symlink(outside.path(), local.path.join("way")).unwrap();
    fs::write(local.path.join(OsStr::from_bytes(b"\xff")), "").unwrap();

    let page = local.children(&root, None).await.unwrap();
    let mut seen: Vec<_> = page
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.kind, entry.size))
        .collect();
    seen.sort_unstable_by_key(|(name, ..)| *name);
    assert_eq!(
        seen,
        [
            ("f", Kind::File, Some(10)),
            ("link", Kind::File, None),
            ("way", Kind::File, None)
        ]
    );
    let [broken] = page.broken.try_into().unwrap();
    assert_eq!((broken.id, broken.reason), (None, "malformed"));

    for from in [0, 4, 10, 11] {
        let download = local.download(&entry(&local, "f"), from).await.unwrap();
        assert_eq!((download.from, download.size), (from, Some(10)));
        let pieces: Vec<Piece> = download.body.try_collect().await.unwrap();
        let text: String = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(text, "0123456789".get(from as usize..).unwrap_or_default());
    }
    for (id, kind) in [
        ("link", ErrorKind::NotFound),
        ("none", ErrorKind::NotFound),
        ("way/secret", ErrorKind::Unsupported),
        ("../secret", ErrorKind::Unsupported),
        ("f/x", ErrorKind::Unsupported),
    ] {
        let Err(error) = local.download(&entry(&local, id), 0).await else {
            panic!("{id} was opened");
        };
        assert_eq!((error.kind, error.operation), (kind, "local.read"), "{id}");
    }
    let below = entry(&local, "way");
    let error = local
        .upload(&below, &new("x", 1, false), &Given(&["x"], None))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(!outside.path().join("x").exists());
}

#[tokio::test]
async fn only_one_thing_is_removed_at_a_time() {
    let (_outside, local, root) = folder();
    let made = local.create_folder(&root, "d").await.unwrap();
    fs::write(local.path.join("d/f"), "").unwrap();
    let error = local.remove(&made).await.unwrap_err();
    assert_eq!(
        (error.kind, error.operation),
        (ErrorKind::Unsupported, "local.remove")
    );
    for id in ["d/f", "d"] {
        local.remove(&entry(&local, id)).await.unwrap();
        let error = local.stat(&entry(&local, id)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }
    assert_eq!(names(&local), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_folder_cannot_do_is_said() {
    let (_outside, local, root) = folder();
    let change = SharingChange::Restrict;
    let refused = [
        local.relocate(&root, None, Some("new")).await.err(),
        local.detail(&root, Detail::Link).await.err(),
        local.sharing(&root).await.err(),
        local.change_sharing(&root, &change).await.err(),
        local.parties(PartyKind::User).await.err(),
    ];
    let operations = refused.map(|error| {
        let error = error.unwrap();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        error.operation
    });
    assert_eq!(
        operations,
        [
            "local.move",
            "local.detail",
            "local.permissions",
            "local.permissions",
            "local.directory"
        ]
    );
}

#[test]
fn the_words_of_the_system_are_told_apart() {
    for (system, kind) in [
        (io::ErrorKind::PermissionDenied, ErrorKind::Denied),
        (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::Denied),
        (io::ErrorKind::StorageFull, ErrorKind::QuotaFull),
        (io::ErrorKind::QuotaExceeded, ErrorKind::QuotaFull),
        (io::ErrorKind::FileTooLarge, ErrorKind::TooLarge),
        (io::ErrorKind::Other, ErrorKind::Unsupported),
    ] {
        let error = to_error("local.write", "f", system.into());
        assert_eq!(error.kind, kind, "{system:?}");
        assert!(std::error::Error::source(&error).is_some());
    }
}
