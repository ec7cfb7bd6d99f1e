//! Files on their way into a run: staged, kept half, reused, and led astray.

use std::fs;
use std::sync::atomic::Ordering;

use super::*;

#[rstest::rstest]
fn a_staged_file_is_published_whole_or_not_at_all(#[values(true, false)] nameless: bool) {
    let house = House::new();
    let run = house.begin(NIGHT);
    // What a file system without such files does.
    run.inner.nameless.store(nameless, Ordering::Relaxed);
    let files = house.path(".drivejob/run/snapshot/files");

    let mut short = run.stage().unwrap();
    short.write(b"hell").unwrap();
    let error = short.publish(&local("hello"), None, Some(5)).unwrap_err();
    assert!(matches!(
        error,
        Error::Length {
            expected: 5,
            found: 4,
            ..
        }
    ));
    let mut dropped = run.stage().unwrap();
    dropped.write(b"hello").unwrap();
    assert_eq!(house.staged().len(), 1);
    drop(dropped);
    assert!(house.staged().is_empty());
    assert!(names(&files).is_empty());

    let mut staged = run.stage().unwrap();
    staged.write(b"wrong beginning").unwrap();
    staged.restart().unwrap();
    assert!(staged.is_empty());
    staged.write(b"hel").unwrap();
    staged.write(b"lo").unwrap();
    assert_eq!(staged.len(), 5);
    let stored = staged.publish(&local("hello"), None, Some(5)).unwrap();
    assert_eq!(stored.sha256, HELLO);
    assert_eq!(fs::read(files.join("me/hello")).unwrap(), b"hello");

    // The same bytes once more are the same file; other bytes replace nothing.
    assert_eq!(
        run.store(&local("hello"), &["hello"], None, None).unwrap(),
        stored
    );
    for other in ["hullo", "hello, world"] {
        let error = run.store(&local("hello"), &[other], None, None).unwrap_err();
        assert!(matches!(error, Error::Occupied(_)), "{error}");
    }
    assert!(matches!(
        run.store(
            &local("hello").join(&plain_or_derived("x", "2"), false),
            &["x"],
            None,
            None
        ),
        Err(Error::NotAFolder(_))
    ));
    assert_eq!(fs::read(files.join("me/hello")).unwrap(), b"hello");
    run.evict(&local("hello")).unwrap();
    run.evict(&local("hello")).unwrap();
    run.store(&local("hello"), &["hullo"], None, None).unwrap();
    run.store(&local("other"), &["x"], None, None).unwrap();
    assert_eq!(
        run.sweep(|stored_at| stored_at == "2026-11-23T02-00-00Z/files/me/other")
            .unwrap(),
        1
    );
    assert_eq!(names(&files.join("me")), ["other"]);
    assert!(house.staged().is_empty());
}

#[test]
fn a_half_file_goes_on_in_a_later_process() {
    let house = House::new();
    let run = house.begin(NIGHT);
    let mut staged = run.stage().unwrap();
    staged.write(b"he").unwrap();
    staged.checkpoint("id 5 bytes").unwrap().keep().unwrap();
    staged.write(b"lost").unwrap();
    // Dropped as by a cancelled run; another file is left behind as by a killed one.
    drop(staged);
    std::mem::forget(run.stage().unwrap());
    assert_eq!(house.staged().len(), 3);

    let run = house.archive.resume(Durability::Grouped).unwrap();
    assert_eq!(house.staged().len(), 2);
    assert!(run.partial("another").unwrap().is_none());
    let mut staged = run.partial("id 5 bytes").unwrap().unwrap();
    assert_eq!(staged.len(), 2);
    staged.write(b"l").unwrap();
    // What comes after a checkpoint and before it is kept is no part of it.
    let checkpoint = staged.checkpoint("id 5 bytes").unwrap();
    staged.write(b"lost").unwrap();
    checkpoint.keep().unwrap();
    drop(staged);
    let mut staged = run.partial("id 5 bytes").unwrap().unwrap();
    assert_eq!(staged.len(), 3);
    staged.write(b"lo").unwrap();
    assert_eq!(
        staged.publish(&local("hello"), None, Some(5)).unwrap().sha256,
        HELLO
    );
    assert!(house.staged().is_empty());

    // Bytes that are not those of the checkpoint are not trusted, and a file begun again forgets it.
    for damage in [&b"hu"[..], b"h"] {
        let mut staged = run.stage().unwrap();
        staged.write(b"he").unwrap();
        staged.checkpoint("k").unwrap().keep().unwrap();
        drop(staged);
        let [_, partial] = house.staged().try_into().unwrap();
        fs::write(house.path(".drivejob/run/staging").join(partial), damage).unwrap();
        assert!(run.partial("k").unwrap().is_none());
        assert!(house.staged().is_empty());
    }
    let mut staged = run.stage().unwrap();
    staged.checkpoint("k").unwrap().keep().unwrap();
    staged.restart().unwrap();
    drop(staged);
    assert!(house.staged().is_empty());
}

#[test]
fn an_earlier_copy_is_reused_only_when_it_is_there() {
    let house = House::new();
    let (snapshot, stored) = house.snapshot("2026-11-22T02:00:00Z");
    let copy = snapshot.path.join("files/me/hello");
    let run = house.begin(NIGHT);
    let earlier = Earlier {
        stored_at: &stored.stored_at,
        size: 5,
        sha256: Some(HELLO),
        rehash: false,
    };
    let rehash = Earlier {
        rehash: true,
        ..earlier
    };

    let linked = run.reuse(&earlier, &local("a"), None).unwrap();
    assert_eq!(linked.stored_at, "2026-11-23T02-00-00Z/files/me/a");
    assert_eq!(linked.sha256, HELLO);
    assert_eq!(run.reuse(&earlier, &local("a"), None).unwrap(), linked);
    assert_eq!(run.reuse(&rehash, &local("b"), None).unwrap().sha256, HELLO);
    assert_eq!(
        run.reuse(
            &Earlier {
                sha256: None,
                ..earlier
            },
            &local("c"),
            None
        )
        .unwrap()
        .sha256,
        HELLO
    );
    let twin = Earlier {
        stored_at: &linked.stored_at,
        ..earlier
    };
    run.reuse(&twin, &local("d"), None).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(&copy).unwrap().nlink(), 5);
    }

    run.store(&local("taken"), &["other"], None, None).unwrap();
    let taken = run.reuse(&earlier, &local("taken"), None);
    assert!(matches!(taken, Err(ReuseError::Failed(Error::Occupied(_)))));
    let outside = Earlier {
        stored_at: "2026-11-22T02-00-00Z/files/../../../etc/passwd",
        ..earlier
    };
    assert!(matches!(
        run.reuse(&outside, &local("x"), None),
        Err(ReuseError::Outside(_))
    ));

    // Flipped, cut, a folder, a link, gone.
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, "hullo").unwrap();
    assert!(matches!(
        run.reuse(&rehash, &local("x"), None),
        Err(ReuseError::WrongHash { .. })
    ));
    fs::write(&copy, "hell").unwrap();
    assert!(matches!(
        run.reuse(&earlier, &local("x"), None),
        Err(ReuseError::WrongSize {
            expected: 5,
            found: 4,
            ..
        })
    ));
    fs::remove_file(&copy).unwrap();
    fs::create_dir(&copy).unwrap();
    assert!(matches!(
        run.reuse(&earlier, &local("x"), None),
        Err(ReuseError::NotAFile(_))
    ));
    fs::remove_dir(&copy).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(house.path(".drivejob/run/snapshot/files/me/a"), &copy).unwrap();
        assert!(matches!(
            run.reuse(&earlier, &local("x"), None),
            Err(ReuseError::NotAFile(_))
        ));
        assert!(house.archive.open_stored(&stored.stored_at).is_err());
        fs::remove_file(&copy).unwrap();
    }
    assert!(matches!(
        run.reuse(&earlier, &local("x"), None),
        Err(ReuseError::Missing(_))
    ));
    fs::remove_dir_all(&snapshot.path).unwrap();
    assert!(matches!(
        run.reuse(&earlier, &local("x"), None),
        Err(ReuseError::Missing(_))
    ));
    assert_eq!(
        names(&house.path(".drivejob/run/snapshot/files/me")),
        ["a", "b", "c", "d", "taken"]
    );
    assert!(house.staged().is_empty());
}

#[test]
fn a_copy_without_links_is_checked_too() {
    let house = House::new();
    let (_, stored) = house.snapshot("2026-11-22T02:00:00Z");
    let run = house.begin(NIGHT);
    let copy = |sha256: &str| {
        let earlier = Earlier {
            stored_at: &stored.stored_at,
            size: 5,
            sha256: Some(sha256),
            rehash: false,
        };
        run.copy_for_test(&earlier, &local("copy"), Some(NIGHT.parse().unwrap()))
    };
    assert!(matches!(copy("00"), Err(ReuseError::WrongHash { .. })));
    assert!(house.staged().is_empty());
    assert_eq!(copy(HELLO).unwrap().sha256, HELLO);
    let path = house.path(".drivejob/run/snapshot/files/me/copy");
    let modified: std::time::SystemTime = NIGHT.parse::<Timestamp>().unwrap().into();
    assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), modified);
}

#[cfg(unix)]
#[test]
fn planted_links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let house = House::new();
    let outside = house.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "precious").unwrap();

    let run = house.begin(NIGHT);
    let files = house.path(".drivejob/run/snapshot/files");
    symlink(&outside, files.join("me")).unwrap();
    assert!(matches!(
        run.store(&local("x"), &["x"], None, None),
        Err(Error::NotAFolder(_))
    ));
    assert!(matches!(run.make_folder(&local("x")), Err(Error::NotAFolder(_))));
    fs::remove_file(files.join("me")).unwrap();
    run.make_folder(&LocalPath::of_drive(&DriveId::new("me")))
        .unwrap();
    symlink(outside.join("victim"), files.join("me/x")).unwrap();
    assert!(matches!(
        run.store(&local("x"), &["x"], None, None),
        Err(Error::Occupied(_))
    ));
    for name in ["manifest.csv", "failures.csv", "TAIL.json", ".TAIL.json.new"] {
        symlink(outside.join("victim"), run.snapshot_path().join(name)).unwrap();
    }
    symlink(&outside, files.join("me/folder")).unwrap();
    assert_eq!(run.sweep(|_| false).unwrap(), 2);
    finish(&run, Status::Complete);

    house.archive.discard().unwrap();
    fs::remove_dir_all(house.path(".drivejob")).unwrap();
    symlink(&outside, house.path(".drivejob")).unwrap();
    assert!(matches!(house.archive.discard(), Err(Error::NotAFolder(_))));
    assert!(matches!(
        house.archive.begin(&head("backup", NIGHT), Durability::None),
        Err(Error::NotAFolder(_))
    ));
    assert_eq!(names(&outside), ["victim"]);
    assert_eq!(fs::read(outside.join("victim")).unwrap(), b"precious");
}
