//! Verifying looks at all files, goes on after damage, and changes nothing.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use millstream::{Error, Part, Start, Stream, VerifyReport};

use super::files;

/// A closed stream of two partitions with several segments and a group.
fn made(path: &Path) {
    let stream = Stream::options().partitions(2).segment_bytes(4096).open(path).unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    for _ in 0..30 {
        stream.append(&[7; 900]).unwrap();
    }
    assert!(group.join("w").unwrap().try_read(20).unwrap().ack_all().unwrap().is_complete());
    stream.close().unwrap();
}

fn report(stream: &Stream) -> VerifyReport {
    stream.verify_with(|_| ControlFlow::Continue(())).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_report_tells_of_each_file() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let before = files(dir.path());
    for read_only in [false, true] {
        let options = Stream::options();
        let stream = if read_only {
            options.open_read_only(dir.path()).unwrap()
        } else {
            options.open(dir.path()).unwrap()
        };
        let report = report(&stream);
        assert!(report.complete && report.is_sound());
        assert_eq!(report.files.len(), before.len(), "read only: {read_only}");
        assert_eq!(report.files[0].part, Part::Manifest);
        let of = |part: Part| report.files.iter().filter(move |file| file.part == part);
        for partition in 0..2 {
            let files: Vec<_> = of(Part::Partition(partition)).collect();
            assert!(files.len() > 2);
            assert!(files.windows(2).all(|two| two[0].end == two[1].first));
            assert!(files.windows(2).all(|two| two[0].sequence + 1 == two[1].sequence));
            assert_eq!(files.iter().map(|file| file.entries).sum::<u64>(), 15);
            let frames: u64 = files.iter().map(|file| file.frames).sum();
            assert_eq!(frames, 15 + files.len() as u64, "an opening each");
        }
        assert_eq!(of(Part::Group("g".to_owned())).count(), 1);
        stream.verify().unwrap();
        drop(stream);
        assert_eq!(files(dir.path()), before);
    }
}

#[test]
fn verifying_goes_on_after_damage() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let segment = |name: &str| dir.path().join(name);
    flip(&segment("p0/0000000002.seg"), 2_500);
    flip(&segment("p1/0000000001.seg"), 300);
    let stream = Stream::open(dir.path()).unwrap();
    let found = report(&stream);
    let damaged: Vec<_> = found.damage().map(|damage| damage.file.clone()).collect();
    assert_eq!(damaged, [segment("p0/0000000002.seg"), segment("p1/0000000001.seg")]);
    assert!(matches!(stream.verify(), Err(Error::Corrupt(first)) if first.file == damaged[0]));
    let bad = found.files.iter().find(|file| file.file == damaged[0]).unwrap();
    let damage = bad.damage.as_ref().unwrap();
    assert_eq!((damage.first, damage.position), (Some(bad.end), bad.bytes));
    assert!(bad.entries > 0, "what stands before it is sound");
    drop(stream);

    // A header, a missing file and a journal as well.
    flip(&segment("p0/0000000003.seg"), 50);
    fs::remove_file(segment("p1/0000000003.seg")).unwrap();
    let journal = fs::read_dir(segment("g1")).unwrap().next().unwrap().unwrap().path();
    flip(&journal, 300);
    let before = files(dir.path());
    let stream = Stream::options().open_read_only(dir.path()).unwrap();
    let found = report(&stream);
    let damaged: Vec<_> = found.damage().map(|damage| damage.file.clone()).collect();
    let expected = [
        segment("p0/0000000002.seg"),
        segment("p0/0000000003.seg"),
        segment("p1/0000000001.seg"),
        segment("p1/0000000004.seg"),
        journal,
    ];
    assert_eq!(damaged, expected);
    assert!(stream.copy_to(dir.path().with_extension("copy")).unwrap_err().is_corrupt());
    drop(stream);
    assert_eq!(files(dir.path()), before);
}

#[test]
fn every_flipped_byte_of_the_frames_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let stream = Stream::options().segment_bytes(4096).open(&path).unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    stream.append_batch(["one", "two"]).unwrap();
    drop(group.join("w").unwrap());
    stream.close().unwrap();
    for name in ["p0", "g1"] {
        let file = fs::read_dir(path.join(name)).unwrap().next().unwrap().unwrap().path();
        let whole = fs::read(&file).unwrap();
        let stream = Stream::options().open_read_only(&path).unwrap();
        let reported = report(&stream);
        drop(stream);
        let end = reported.files.iter().find(|one| one.file == file).unwrap().bytes;
        let end = usize::try_from(end).unwrap();
        let mut unseen = 0;
        // A version that is newer is refused as such, whoever wrote it.
        for at in (0..8).chain(12..68).chain(128..end) {
            flip(&file, at);
            let stream = Stream::options().open_read_only(&path).unwrap();
            unseen += u32::from(report(&stream).is_sound());
            drop(stream);
            fs::write(&file, &whole).unwrap();
        }
        // Zeros behind a body are under no sum.
        assert!(unseen < 8 * 6, "{name}: {unseen}");
    }
}

#[test]
fn a_torn_tail_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let memory = Stream::options().segment_bytes(4096).open(&path).unwrap();
    memory.append("synced").unwrap();
    memory.sync().unwrap();
    memory.append("written").unwrap();
    // As a killed process leaves it, and the frame torn.
    let (copy, bytes) = (dir.path().join("b"), files(&path));
    for (name, bytes) in bytes {
        fs::create_dir_all(copy.join(&name).parent().unwrap()).unwrap();
        fs::write(copy.join(name), bytes).unwrap();
    }
    let file = copy.join("p0/0000000001.seg");
    let written = fs::read(&file).unwrap();
    let at = written.windows(7).position(|bytes| bytes == b"written").unwrap();
    flip(&file, at);
    let stream = Stream::options().open_read_only(&copy).unwrap();
    let found = report(&stream);
    assert!(found.is_sound());
    assert_eq!(found.files.last().unwrap().entries, 1);
    let third = dir.path().join("c");
    assert_eq!(stream.copy_to(&third).unwrap().entries(), 1);
    drop(stream);
    assert!(Stream::open(&third).unwrap().recovery().is_clean());
}

#[test]
fn breaking_off_leaves_a_report_of_what_was_seen() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let stream = Stream::open(dir.path()).unwrap();
    let found = stream.verify_with(|progress| match progress.part {
        Part::Partition(1) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    let found = found.unwrap();
    assert!(!found.complete && found.is_sound());
    assert!(found.files.iter().all(|file| file.part != Part::Partition(1)));
}
