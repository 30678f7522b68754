//! A copy is the stream as it was at one moment, whatever goes on meanwhile, and opens as after a clean end.

mod alive;
mod beside;
mod verifying;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use millstream::assign::{Assign, Assignment, View};
use millstream::{
    Backoff, Delivery, Durability, EntryId, Error, Exhausted, GroupInfo, ManualClock, NewEntry,
    Part, Retention, Start, Stream,
};

use crate::scene::{HOUR, LEASE, SECOND, fill, id, parked, scene_on, take, take_all};

/// All files below a directory but the lock, by their paths in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.file_name().unwrap() != "lock" {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// What entries a stream holds.
fn payloads(stream: &Stream) -> Vec<(EntryId, Vec<u8>)> {
    let reader = stream.reader(Start::Earliest).unwrap();
    let mut all = Vec::new();
    loop {
        let entries = reader.try_read(1_000).unwrap();
        if entries.is_empty() {
            all.sort();
            return all;
        }
        all.extend(entries.iter().map(|entry| (entry.id(), entry.payload().to_vec())));
    }
}

/// Opens a copy, which must have nothing to repair and nothing damaged.
fn restored(path: &Path, clock: &ManualClock) -> Stream {
    let before = files(path);
    let stream = Stream::options().clock(clock.clone()).open_existing(path).unwrap();
    assert!(stream.recovery().is_clean());
    assert_eq!(files(path), before, "opening a clean directory changes nothing");
    stream.verify().unwrap();
    stream
}

#[test]
fn a_copy_holds_the_files_of_partitions_that_closing_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("a"), dir.path().join("b"));
    for durability in [Durability::Os, Durability::Always] {
        let options = Stream::options().partitions(3).segment_bytes(8192).durability(durability);
        let stream = options.open(&path).unwrap();
        for n in 0..200 {
            let subject = format!("order.{}", n % 7);
            stream.append(NewEntry::new(&vec![7; n]).subject(&subject).key(&subject)).unwrap();
            stream.append_batch((0..5).map(|_| NewEntry::new("x").header("n", "1"))).unwrap();
        }
        let copied = stream.copy_to(&copy).unwrap();
        assert_eq!(copied.entries(), stream.info().unwrap().entries());
        assert_eq!(copied.path, copy);
        stream.close().unwrap();
        let (mut one, mut other) = (files(&path), files(&copy));
        assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
        for bytes in one.values_mut().chain(other.values_mut()) {
            // Which of the two slots is the newer one differs.
            if bytes.starts_with(b"MILLSEG") {
                bytes[96..128].fill(0);
            }
        }
        assert!(one == other);
        fs::remove_dir_all(&path).unwrap();
        fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn a_copy_goes_on_as_the_stream_would() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let s = scene_on(&dir.path().join("a"), &clock, 10);
    assert!(s.worker.try_read(3).unwrap().ack_all().unwrap().is_complete());
    let held = take_all(&s.worker);
    assert_eq!(held.len(), 7);
    let copy = dir.path().join("b");
    s.stream.copy_to(&copy).unwrap();
    let tokens: Vec<_> = held.into_iter().map(Delivery::detach).collect();

    let stream = restored(&copy, &clock);
    let group = stream.group("g").open_existing().unwrap();
    let worker = group.join("worker").unwrap();
    let again = take_all(&worker);
    let seen: Vec<_> = again.iter().map(|d| (d.id().offset(), d.attempt())).collect();
    assert_eq!(seen, (3..10).map(|offset| (offset, 2)).collect::<Vec<_>>());
    // Neither knows of what the other handed out.
    assert_eq!(group.ack(tokens.clone()).unwrap().refused.len(), 7);
    let new: Vec<_> = again.into_iter().map(Delivery::detach).collect();
    assert!(tokens.iter().all(|token| !new.contains(token)));
    assert_eq!(stream.append("more").unwrap(), id(10));
    stream.close().unwrap();
    assert!(s.group.ack(tokens).unwrap().is_complete());
    drop(restored(&copy, &clock));
}

#[test]
fn a_token_of_the_stream_that_is_newer_than_the_copy_means_nothing_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let s = scene_on(&dir.path().join("a"), &clock, 2);
    let copy = dir.path().join("b");
    s.stream.copy_to(&copy).unwrap();
    let token = take(&s.worker).detach();
    let stream = restored(&copy, &clock);
    let group = stream.group("g").open_existing().unwrap();
    let worker = group.join("worker").unwrap();
    let own = take(&worker);
    assert_eq!(own.id(), token.id());
    assert!(!group.ack([token]).unwrap().is_complete());
    own.ack().unwrap();
}

/// A strategy of a user's own.
#[derive(Debug)]
struct Last;

impl Assign for Last {
    fn name(&self) -> &'static str {
        "last"
    }

    fn assign(&self, _: &View) -> Assignment {
        Assignment::Everyone
    }
}

fn told(info: &GroupInfo) -> String {
    let GroupInfo {
        lag, undelivered, delayed, deferred, exhausted, parked, paused, filter, ..
    } = info;
    format!(
        "{lag} {undelivered} {delayed} {deferred} {exhausted} {parked} {paused:?} {filter:?} {} {} {:?}",
        info.strategy, info.dead_lettered, info.trimmed
    )
}

#[test]
fn groups_in_every_state_are_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let s = scene_on(&dir.path().join("a"), &clock, 12);
    let stream = &s.stream;
    // Parked, delayed, acked, skipped.
    take(&s.worker).reject("bad").unwrap();
    take(&s.worker).nack_after(SECOND * 30).unwrap();
    take(&s.worker).ack().unwrap();
    s.group.skip(0, 3..4).unwrap();
    // Waits for its own time.
    let late = stream.group("late").open(Start::Latest).unwrap();
    stream.append(NewEntry::new("later").deliver_after(HOUR)).unwrap();
    assert!(late.join("w").unwrap().try_read(5).unwrap().is_empty());
    // Filtered, paused, of a strategy of one's own, reset, giving up.
    let filtered = stream.group("filtered").filter("a.*").open(Start::Earliest).unwrap();
    stream.append(NewEntry::new("match").subject("a.b")).unwrap();
    filtered.pause().unwrap();
    stream.group("own").strategy(Last).open(Start::Earliest).unwrap().join("w").unwrap();
    let reset = stream.group("reset").open(Start::Earliest).unwrap();
    for delivery in take_all(&reset.join("w").unwrap()) {
        delivery.ack().unwrap();
    }
    reset.reset(Start::At(id(5))).unwrap();
    let letters = Stream::options().clock(clock.clone()).in_memory().unwrap();
    let target = Exhausted::DeadLetter(letters.clone());
    let burying =
        stream.group("burying").on_exhausted(target).lease(LEASE).backoff(Backoff::fixed(SECOND));
    let burying = burying.open(Start::Earliest).unwrap();
    let digger = burying.join("w").unwrap();
    take(&digger).reject("buried").unwrap();
    letters.close().unwrap();
    take(&digger).reject("waits").unwrap();
    stream.group("unused").open(Start::Latest).unwrap();
    drop(digger);

    let copy = dir.path().join("b");
    stream.copy_to(&copy).unwrap();
    let expected: Vec<String> = stream
        .groups()
        .iter()
        .map(|name| told(&stream.group(name).open_existing().unwrap().info().unwrap()))
        .collect();
    let other = restored(&copy, &clock);
    assert_eq!(other.groups(), stream.groups());
    for (name, expected) in stream.groups().iter().zip(expected) {
        let options = other.group(name);
        let options = if name == "own" { options.strategy(Last) } else { options };
        assert_eq!(told(&options.open_existing().unwrap().info().unwrap()), expected, "{name}");
    }
    let group = other.group("g").open_existing().unwrap();
    assert_eq!(parked(&group, 9), [id(0)]);
    assert_eq!(group.parked(9).unwrap()[0].reason.as_deref(), Some("bad"));
    clock.advance(SECOND * 30);
    let due = group.join("w").unwrap();
    assert_eq!((take(&due).id(), take(&due).id()), (id(1), id(4)));
}

#[test]
fn a_stream_in_memory_and_one_that_is_only_read_can_be_copied() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let memory = Stream::options().clock(clock.clone()).in_memory().unwrap();
    let group = memory.group("g").open(Start::Earliest).unwrap();
    fill(&memory, 50);
    assert!(group.join("w").unwrap().try_read(20).unwrap().ack_all().unwrap().is_complete());
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
    memory.copy_to(&first).unwrap();
    let only = Stream::options().clock(clock.clone()).open_read_only(&first).unwrap();
    only.copy_to(&second).unwrap();
    drop(only);
    let stream = restored(&second, &clock);
    assert_eq!(payloads(&stream), payloads(&memory));
    assert_eq!(stream.group("g").open_existing().unwrap().lag().unwrap(), 30);
}

#[test]
fn a_directory_that_holds_something_and_one_inside_the_stream_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let s = scene_on(&dir.path().join("a"), &ManualClock::new(), 3);
    let (taken, file) = (dir.path().join("taken"), dir.path().join("file"));
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine"), "kept").unwrap();
    fs::write(&file, "kept").unwrap();
    for path in [&taken, &file, &dir.path().join("a")] {
        let refused = s.stream.copy_to(path).unwrap_err();
        assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
    }
    let inside = s.stream.copy_to(dir.path().join("a/copy")).unwrap_err();
    assert!(matches!(inside, Error::InvalidOption { .. }), "{inside}");
    assert!(matches!(s.stream.copy_to("/").unwrap_err(), Error::InvalidOption { .. }));
    let nowhere = s.stream.copy_to(dir.path().join("no/parent")).unwrap_err();
    assert!(matches!(nowhere, Error::Io { .. }), "{nowhere}");
    assert_eq!(fs::read(taken.join("mine")).unwrap(), b"kept");
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    s.stream.copy_to(&empty).unwrap();
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a", "empty", "file", "taken"]);
}

#[test]
fn progress_grows_to_the_end_and_may_break_it_off() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::options().partitions(2).in_memory().unwrap();
    stream.group("g").open(Start::Earliest).unwrap();
    for _ in 0..40 {
        stream.append(&vec![1; 200_000]).unwrap();
    }
    let copy = dir.path().join("copy");
    let mut told = Vec::new();
    let copied = stream
        .copy_with(&copy, |p| {
            told.push((p.done_bytes, p.total_bytes, p.part.clone()));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(told.is_sorted_by_key(|(done, ..)| *done));
    assert!(told.iter().all(|(done, total, _)| done <= total));
    let (done, total, part) = told.last().unwrap();
    assert_eq!((*done, part), (*total, &Part::Partition(1)));
    assert_eq!((copied.bytes, copied.groups), (*done, vec!["g".to_owned()]));
    assert!(told.len() > 8, "about each MiB");
    fs::remove_dir_all(&copy).unwrap();

    for at in 0..told.len() {
        let mut calls = 0;
        let broken = stream.copy_with(&copy, |_| {
            calls += 1;
            if calls > at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(broken, Err(Error::BrokenOff)), "{at}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{at}");
    }
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        stream.copy_with(&copy, |_| panic!("a user's own"))
    }));
    assert!(panics.is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_retention_takes_meanwhile_is_in_the_copy_and_goes_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let options = Stream::options().segment_bytes(4096).retention(Retention::settled());
    let stream = options.open(&path).unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    for _ in 0..30 {
        stream.append(&[7; 900]).unwrap();
    }
    let worker = group.join("w").unwrap();
    let mut first = true;
    let before = files(&path).len();
    let copy = dir.path().join("b");
    let copied = stream
        .copy_with(&copy, |_| {
            if std::mem::take(&mut first) {
                assert!(worker.try_read(30).unwrap().ack_all().unwrap().is_complete());
                assert!(stream.trim().unwrap().entries() > 0);
                assert!(files(&path).len() >= before, "they stay until they are copied");
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(copied.entries(), 30);
    assert!(files(&path).len() < before, "they went behind it");
    let other = restored(&copy, &ManualClock::new());
    let info = other.group("g").open_existing().unwrap().info().unwrap();
    assert_eq!((info.lag, info.trimmed), (30, millstream::Loss::default()));
}

#[test]
fn a_damaged_stream_is_not_copied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let options = || Stream::options().segment_bytes(4096);
    let stream = options().open(&path).unwrap();
    for _ in 0..30 {
        stream.append(&[7; 900]).unwrap();
    }
    let old = path.join("p0/0000000002.seg");
    let mut bytes = fs::read(&old).unwrap();
    bytes[2_000] ^= 1;
    stream.close().unwrap();
    fs::write(&old, bytes).unwrap();
    for read_only in [false, true] {
        let stream =
            if read_only { options().open_read_only(&path) } else { options().open(&path) };
        let stream = stream.unwrap();
        assert!(stream.copy_to(dir.path().join("b")).unwrap_err().is_corrupt());
        drop(stream);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_closed_stream_is_not_copied() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::options().in_memory().unwrap();
    fill(&stream, 3);
    let other = stream.clone();
    let mut stream = Some(stream);
    let closed = other.copy_with(dir.path().join("b"), |_| {
        if let Some(stream) = stream.take() {
            stream.close().unwrap();
        }
        ControlFlow::Continue(())
    });
    assert!(closed.unwrap_err().is_closed());
    assert!(other.copy_to(dir.path().join("b")).unwrap_err().is_closed());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_changes_the_stream_meanwhile_is_not_in_the_copy() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::options().partitions(2).in_memory().unwrap();
    let group = stream.group("gone").open(Start::Earliest).unwrap();
    fill(&stream, 20);
    assert!(group.join("w").unwrap().try_read(5).unwrap().ack_all().unwrap().is_complete());
    let mut first = true;
    let copy = dir.path().join("b");
    stream
        .copy_with(&copy, |_| {
            if std::mem::take(&mut first) {
                group.clone().delete().unwrap();
                stream.group("new").open(Start::Earliest).unwrap();
                stream.add_partitions(1).unwrap();
                fill(&stream, 20);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let other = restored(&copy, &ManualClock::new());
    assert_eq!((other.groups(), other.partitions()), (vec!["gone".to_owned()], 2));
    assert_eq!(other.info().unwrap().entries(), 20);
    let lag = other.group("gone").open_existing().unwrap().lag().unwrap();
    assert_eq!(lag, 15);
}
