//! Opening for reading only: nothing on disk changes, and damage costs no more than it has to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use millstream::{EntryId, Error, Start, Stream};

/// Every file below a directory, but for the lock.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if !path.ends_with("lock") {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (path, bytes) in contents(from) {
        let copy = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(copy, bytes).unwrap();
    }
}

/// A stream of several segments, each entry saying which it is.
fn fill(path: &Path, entries: usize) -> Stream {
    let stream = Stream::options().segment_bytes(64 << 10).open(path).unwrap();
    for n in 0..entries {
        stream.append(&format!("{n:0100}")).unwrap();
    }
    stream
}

fn read_all(stream: &Stream) -> Result<usize, Error> {
    let reader = stream.reader(Start::Earliest)?.until_now();
    let mut seen = 0;
    loop {
        let entries = reader.try_read(100)?;
        if entries.is_empty() {
            return Ok(seen);
        }
        for entry in &entries {
            assert_eq!(entry.payload(), format!("{seen:0100}").as_bytes());
            seen += 1;
        }
    }
}

#[test]
fn what_is_open_for_reading_only_is_all_there_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (closed, killed) = (dir.path().join("closed"), dir.path().join("killed"));
    let stream = fill(&closed, 2000);
    stream.group("g").open(Start::Earliest).unwrap().join("c").unwrap();
    // What a directory looks like while it is open is what a kill leaves.
    copy(&closed, &killed);
    stream.close().unwrap();
    for path in [closed, killed] {
        let before = contents(&path);
        let stream = Stream::options().open_read_only(&path).unwrap();
        assert!(stream.recovery().is_clean());
        assert_eq!(read_all(&stream).unwrap(), 2000);
        stream.verify().unwrap();
        assert_eq!(stream.groups(), ["g"]);
        assert!(matches!(stream.append("x"), Err(Error::ReadOnly)));
        assert!(matches!(stream.append_batch(["x"]), Err(Error::ReadOnly)));
        assert!(matches!(stream.sync(), Err(Error::ReadOnly)));
        let made = stream.group("other").open(Start::Earliest);
        assert!(matches!(made, Err(Error::ReadOnly)));
        let group = stream.group("g").open(Start::Earliest).unwrap();
        assert!(matches!(group.join("c"), Err(Error::ReadOnly)));
        assert_eq!(group.lag().unwrap(), 2000);
        drop(group);
        stream.close().unwrap();
        assert_eq!(contents(&path), before);
    }
}

#[test]
fn damage_in_the_last_segment_ends_the_partition_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    let stream = fill(&path, 1000);
    stream.sync().unwrap();
    stream.append("behind the floor").unwrap();
    let killed = dir.path().join("killed");
    copy(&path, &killed);
    drop(stream);
    let last =
        contents(&killed).into_keys().filter(|path| path.extension().is_some_and(|e| e == "seg"));
    let last = last.max().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    // The floor is behind all but the last frame; a header that says less makes no difference,
    // since that frame says it too.
    bytes[96..128].fill(0);
    fs::write(&last, &bytes).unwrap();
    assert!(matches!(Stream::open(&killed), Err(Error::Corrupt(_))));
    let stream = Stream::options().open_read_only(&killed).unwrap();
    let damage = stream.recovery().partitions[0].damage.clone().unwrap();
    assert!(damage.contains("header"), "{damage}");
    let seen = read_all(&stream).unwrap();
    assert!(seen > 0 && seen < 1000, "{seen}");
}

#[test]
fn damage_in_a_sealed_segment_hides_no_more_than_its_frame() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    fill(&path, 2000).close().unwrap();
    let first = contents(&path).into_keys().find(|path| path.ends_with("0000000001.seg")).unwrap();
    let mut bytes = fs::read(&first).unwrap();
    let at = bytes.windows(100).position(|payload| payload == format!("{:0100}", 50).as_bytes());
    bytes[at.unwrap() + 7] ^= 1;
    fs::write(&first, &bytes).unwrap();
    for read_only in [false, true] {
        let options = Stream::options();
        let opened = if read_only { options.open_read_only(&path) } else { options.open(&path) };
        let stream = opened.unwrap();
        assert!(read_all(&stream).unwrap_err().is_corrupt());
        assert!(stream.verify().unwrap_err().is_corrupt());
        for offset in [0, 49, 51, 1999] {
            let entry = stream.get(EntryId::new(0, offset)).unwrap().unwrap();
            assert_eq!(entry.payload(), format!("{offset:0100}").as_bytes());
        }
        assert!(stream.get(EntryId::new(0, 50)).unwrap_err().is_corrupt());
        let behind = stream.reader(Start::At(EntryId::new(0, 51))).unwrap();
        assert_eq!(behind.try_read(1).unwrap().iter().next().unwrap().id().offset(), 51);
    }
}

#[test]
fn a_missing_stream_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Stream::options().open_read_only(dir.path().join("none"));
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    let empty = Stream::options().open_read_only(dir.path());
    assert!(matches!(empty, Err(Error::NotFound { .. })));
    assert!(contents(dir.path()).is_empty());
}

#[test]
fn a_sealed_segment_that_was_cut_hides_no_more_than_what_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    fill(&path, 2000).close().unwrap();
    let first = contents(&path).into_keys().find(|path| path.ends_with("0000000001.seg")).unwrap();
    let bytes = fs::read(&first).unwrap();
    fs::write(&first, &bytes[..bytes.len() / 2]).unwrap();
    let stream = Stream::open_read_only(&path).unwrap();
    assert!(read_all(&stream).unwrap_err().is_corrupt());
    for offset in [0, 1999] {
        let entry = stream.get(EntryId::new(0, offset)).unwrap().unwrap();
        assert_eq!(entry.payload(), format!("{offset:0100}").as_bytes());
    }
}
