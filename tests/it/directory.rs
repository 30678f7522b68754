//! The directory: one owner (S8), private plain files whose names are the crate's own (S9), formats
//! (S11), and how much it takes (S1).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use millstream::{Error, ManualClock, Start, Stream};

use crate::child::{Helper, order, say, wait_to_go};
use crate::scene::{fill, scene_on, take};

/// All that is below a directory, with what plain files hold.
fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            let bytes = kind.is_file().then(|| fs::read(&path).unwrap());
            if kind.is_dir() {
                open.push(path.clone());
            }
            found.insert(path, bytes);
        }
    }
    found
}

fn is_locked(path: &Path) -> bool {
    matches!(Stream::open(path), Err(Error::Locked { .. }))
}

#[test]
fn a_second_owner_in_this_process_is_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    let clone = stream.clone();
    assert!(is_locked(dir.path()));
    stream.close().unwrap();
    // Closing is for every handle, and frees the lock although one is still there.
    let next = Stream::open(dir.path()).unwrap();
    assert!(clone.append("a").unwrap_err().is_closed());
    clone.close().unwrap();
    drop(next);
}

#[test]
fn a_second_owner_in_another_process_is_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    for ends_by_itself in [true, false] {
        let mut holder = Helper::start("directory::holder", dir.path(), "");
        assert_eq!(holder.hear().as_deref(), Some("open"));
        assert!(is_locked(dir.path()));
        if ends_by_itself {
            assert!(holder.finish().success());
        } else {
            holder.kill();
        }
        let stream = Stream::open(dir.path()).unwrap();
        let mut second = Helper::start("directory::holder", dir.path(), "");
        assert_eq!(second.hear().as_deref(), Some("locked"));
        drop(stream);
    }
}

#[test]
#[ignore = "a process that the test above starts"]
fn holder() {
    let Some(order) = order() else { return };
    match Stream::open(&order.directory) {
        Ok(_stream) => {
            say("open");
            wait_to_go();
        }
        Err(Error::Locked { .. }) => say("locked"),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_last_handle_of_any_kind_closes() {
    let keep: [fn(Stream) -> Box<dyn std::any::Any>; 5] = [
        |stream| Box::new(stream),
        |stream| Box::new(stream.group("g").open(Start::Earliest).unwrap()),
        |stream| Box::new(stream.group("g").open(Start::Earliest).unwrap().join("w").unwrap()),
        |stream| Box::new(stream.reader(Start::Earliest).unwrap()),
        |stream| Box::new(stream.subscribe().unwrap()),
    ];
    for keep in keep {
        let dir = tempfile::tempdir().unwrap();
        let stream = Stream::open(dir.path()).unwrap();
        fill(&stream, 10);
        let last = keep(stream);
        assert!(is_locked(dir.path()));
        drop(last);
        let stream = Stream::options().open_existing(dir.path()).unwrap();
        assert!(stream.recovery().is_clean());
        let partition = &stream.info().unwrap().partitions[0];
        assert_eq!((partition.end, partition.durable_end), (10, 10));
    }
}

#[test]
fn opening_and_closing_a_clean_directory_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let scene = scene_on(dir.path(), &clock, 10);
    take(&scene.worker).ack().unwrap();
    take(&scene.worker).nack().unwrap();
    scene.worker.leave().unwrap();
    drop((scene.group, scene.stream));
    let before = tree(dir.path());
    for _ in 0..2 {
        let stream = Stream::open(dir.path()).unwrap();
        assert!(stream.recovery().is_clean());
        stream.close().unwrap();
        assert!(tree(dir.path()) == before, "opening wrote something");
    }
}

#[test]
fn all_that_is_made_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("above").join("stream");
    let clock = ManualClock::new();
    let scene = scene_on(&root, &clock, 10);
    take(&scene.worker).ack().unwrap();
    drop(scene);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&root), 0o700);
    for (path, bytes) in tree(&root) {
        let wanted = if bytes.is_some() { 0o600 } else { 0o700 };
        assert_eq!(mode(&path), wanted, "{}", path.display());
    }
}

#[test]
fn links_inside_the_directory_are_refused_and_on_the_way_to_it_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("stream");
    let stream = Stream::open(&root).unwrap();
    fill(&stream, 1);
    stream.close().unwrap();
    let target = dir.path().join("target");
    fs::write(&target, "not ours").unwrap();
    let detour = dir.path().join("detour");
    symlink(&root, &detour).unwrap();
    assert_eq!(Stream::open(&detour).unwrap().info().unwrap().entries(), 1);
    let inside = root.join("link");
    symlink(&target, &inside).unwrap();
    let refused = Stream::open(&root).unwrap_err();
    assert!(matches!(refused, Error::NotAStream { .. }), "{refused}");
    fs::remove_file(&inside).unwrap();
    for (path, bytes) in tree(&root) {
        let aside = dir.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        Stream::open(&root).expect_err("a file or directory of the stream is a link");
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert_eq!(path.is_file(), bytes.is_some());
    }
    assert_eq!(Stream::open(&root).unwrap().info().unwrap().entries(), 1);
    assert_eq!(fs::read(&target).unwrap(), b"not ours");
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_left_alone() {
    for foreign in ["notes.txt", "manifesto", "p0", "manifest.bak"] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(foreign), "not ours").unwrap();
        let before = tree(dir.path());
        let refused = [
            Stream::open(dir.path()),
            Stream::options().create(dir.path()),
            Stream::options().open_existing(dir.path()),
        ];
        for refused in refused {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, Error::NotAStream { .. }), "{foreign}: {refused}");
        }
        assert_eq!(tree(dir.path()), before, "{foreign}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = Stream::open(file.path()).unwrap_err();
    assert!(matches!(refused, Error::NotAStream { .. }), "{refused}");
}

#[test]
fn asking_for_a_stream_that_is_not_there_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("missing")] {
        let refused = Stream::options().open_existing(&path).unwrap_err();
        assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
        assert_eq!(tree(dir.path()).len(), 0, "{}", path.display());
    }
    drop(Stream::options().create(dir.path()).unwrap());
    let refused = Stream::options().create(dir.path()).unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
}

#[test]
fn names_never_become_paths() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("stream");
    let stream = Stream::open(&root).unwrap();
    fill(&stream, 1);
    let long = "x".repeat(255);
    let names = [
        "../x", "a/b", "/tmp/x", "a\\b", "CON", "nul", ".", "..", "p0", "g1", "lock", "manifest",
        " ", "a.", "Größe", &long,
    ];
    for name in names {
        let group = stream.group(name).create(Start::Earliest).unwrap();
        take(&group.join(name).unwrap()).ack().unwrap();
    }
    stream.close().unwrap();
    let own = |name: &str| {
        let number = name.strip_prefix(['g', 'p']);
        let numbered = number.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        numbered || name == "lock" || name == "manifest"
    };
    for entry in fs::read_dir(&root).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(own(&name), "{name}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let mut sorted = names.map(str::to_owned);
    sorted.sort_unstable();
    let stream = Stream::open(&root).unwrap();
    assert_eq!(stream.groups(), sorted);
    for name in names {
        assert_eq!(stream.group(name).open_existing().unwrap().info().unwrap().acked, 1, "{name}");
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let scene = scene_on(dir.path(), &clock, 1);
    take(&scene.worker).ack().unwrap();
    drop(scene);
    let files = tree(dir.path());
    let mut patched = 0;
    for (path, bytes) in files {
        let Some(bytes) = bytes.filter(|bytes| bytes.len() > 12) else { continue };
        let mut newer = bytes.clone();
        newer[8..12].copy_from_slice(&7_u32.to_le_bytes());
        fs::write(&path, &newer).unwrap();
        // A journal of its own closes its group, not the stream.
        let opened = Stream::open(dir.path())
            .and_then(|stream| stream.group("g").open_existing().map(|_| ()));
        let refused = opened.unwrap_err();
        let right = matches!(&refused, Error::NewerFormat { found: 7, supported: 1, .. });
        assert!(right, "{}: {refused}", path.display());
        assert!(fs::read(&path).unwrap() == newer, "{}", path.display());
        fs::write(&path, bytes).unwrap();
        patched += 1;
    }
    assert_eq!(patched, 3, "a manifest, a segment and a journal");
    Stream::open(dir.path()).unwrap().group("g").open_existing().unwrap();
}

#[test]
fn many_empty_partitions_and_groups_take_under_a_mebibyte() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::options().partitions(64).open(dir.path()).unwrap();
    for n in 0..100 {
        stream.group(&format!("group {n}")).open(Start::Earliest).unwrap();
    }
    let taken = || tree(dir.path()).keys().map(|p| fs::metadata(p).unwrap().blocks() * 512).sum();
    let open: u64 = taken();
    assert!(open < 1 << 20, "{open} bytes");
    stream.close().unwrap();
    let closed: u64 = taken();
    assert!(closed < 1 << 20, "{closed} bytes");
}

#[test]
fn closing_gives_back_what_was_allocated_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let scene = scene_on(dir.path(), &clock, 100);
    take(&scene.worker).ack().unwrap();
    let size = || tree(dir.path()).values().flatten().map(Vec::len).sum::<usize>();
    assert!(size() >= 1 << 20);
    drop(scene);
    assert!(size() < 64 << 10, "{} bytes", size());
    let again = scene_on(dir.path(), &clock, 100);
    assert_eq!(again.stream.info().unwrap().entries(), 200);
}
