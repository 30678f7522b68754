//! Appending nothing twice, and appending only behind what is known to be the last entry.

use std::time::Duration;

use millstream::{
    Clock, Durability, EntryId, Error, ManualClock, NewEntry, Start, Stream, StreamOptions,
};

use crate::scene::{HOUR, SECOND, id};

fn options(clock: &ManualClock) -> StreamOptions {
    Stream::options().clock(clock.clone())
}

fn memory() -> (ManualClock, Stream) {
    let clock = ManualClock::new();
    let stream = options(&clock).in_memory().unwrap();
    (clock, stream)
}

/// Where the entry of a key is, and whether it was there.
fn put(stream: &Stream, key: &str, window: Duration) -> (u64, bool) {
    let appended = stream.append_unique("payload", key, window).unwrap();
    (appended.id.offset(), appended.duplicate)
}

#[test]
fn a_key_is_appended_once_within_its_window() {
    let (clock, stream) = memory();
    assert_eq!(put(&stream, "a", HOUR), (0, false));
    assert_eq!(put(&stream, "b", HOUR), (1, false));
    assert_eq!(put(&stream, "a", HOUR), (0, true));
    clock.advance(HOUR - Duration::from_micros(1));
    assert_eq!(put(&stream, "a", HOUR), (0, true));
    clock.advance(Duration::from_micros(1));
    assert_eq!(put(&stream, "a", HOUR), (2, false));
    assert_eq!(put(&stream, "a", HOUR), (2, true));
    // The window is that of the call.
    clock.advance(SECOND);
    assert_eq!(put(&stream, "b", SECOND * 2 + HOUR), (1, true));
    assert_eq!(put(&stream, "b", SECOND), (3, false));
    assert_eq!(stream.info().unwrap().entries(), 4);
    let entry = stream.get(id(0)).unwrap().unwrap();
    assert_eq!((entry.unique_key(), entry.payload()), (Some(&b"a"[..]), &b"payload"[..]));
}

#[test]
fn it_holds_across_restarts_as_far_back_as_a_call_asks() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let stream = options(&clock).partitions(3).open(dir.path()).unwrap();
    let keys: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    let mut ids = Vec::new();
    for key in &keys {
        let entry = NewEntry::new("x").key(key).header("h", key).deliver_after(SECOND);
        ids.push(stream.append_unique(entry, key, HOUR).unwrap().id);
        stream.append("another").unwrap();
        clock.advance(SECOND);
    }
    stream.close().unwrap();
    let stream = options(&clock).open(dir.path()).unwrap();
    // Half of them are older than half a minute; a longer window reads further back.
    for (n, key) in keys.iter().enumerate().skip(31) {
        let again = stream.append_unique("x", key, SECOND * 30).unwrap();
        assert_eq!((again.id, again.duplicate), (ids[n], true), "{key}");
    }
    for (n, key) in keys.iter().enumerate() {
        let again = stream.append_unique("x", key, HOUR).unwrap();
        assert_eq!((again.id, again.duplicate), (ids[n], true), "{key}");
    }
    assert!(!stream.append_unique("x", &keys[0], SECOND * 30).unwrap().duplicate);
    assert_eq!(stream.info().unwrap().entries(), 121);
}

#[test]
fn of_threads_with_the_same_key_one_appends() {
    for durability in [Durability::Os, Durability::Always] {
        let clock = ManualClock::new();
        let dir = tempfile::tempdir().unwrap();
        let stream = options(&clock).partitions(2).durability(durability).open(dir.path()).unwrap();
        for round in 0..20_u32 {
            let key = round.to_le_bytes();
            let append = || {
                let appended = stream.append_unique("", key, HOUR).unwrap();
                // Whoever is told of it can read it, and under `Always` it is on the disk.
                assert!(stream.get(appended.id).unwrap().is_some());
                let info = &stream.info().unwrap().partitions[appended.id.partition() as usize];
                assert!(durability == Durability::Os || info.durable_end > appended.id.offset());
                appended
            };
            let appended: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(append)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(appended.iter().all(|other| other.id == appended[0].id));
            assert_eq!(appended.iter().filter(|appended| !appended.duplicate).count(), 1);
        }
        assert_eq!(stream.info().unwrap().entries(), 20);
    }
}

#[test]
fn keys_out_of_their_window_make_room_and_others_do_not() {
    let clock = ManualClock::new();
    let stream = options(&clock).unique_max(3).in_memory().unwrap();
    for key in ["a", "b", "c"] {
        put(&stream, key, SECOND * 10);
        clock.advance(SECOND);
    }
    let full = stream.append_unique("", "d", SECOND * 10).unwrap_err();
    assert!(matches!(full, Error::LimitReached { max: 3, .. }), "{full}");
    assert_eq!(put(&stream, "a", SECOND * 10), (0, true));
    assert_eq!(stream.append("plain").unwrap(), id(3));
    clock.advance(SECOND * 7);
    assert_eq!(put(&stream, "d", SECOND * 10), (4, false));
    // It makes way for a key again only when it is out of the longest window that was asked for.
    let full = stream.append_unique("", "e", SECOND).unwrap_err();
    assert!(matches!(full, Error::LimitReached { .. }), "{full}");
    clock.advance(HOUR);
    assert_eq!(put(&stream, "e", SECOND), (5, false));
    assert_eq!(put(&stream, "a", SECOND), (6, false));
}

#[test]
fn a_bound_that_was_lowered_is_told_and_not_exceeded() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let stream = options(&clock).open(dir.path()).unwrap();
    for n in 0..50_u32 {
        stream.append_unique("", n.to_le_bytes(), HOUR).unwrap();
    }
    stream.close().unwrap();
    let stream = options(&clock).unique_max(49).open(dir.path()).unwrap();
    for _ in 0..2 {
        let full = stream.append_unique("", "new", HOUR).unwrap_err();
        assert!(matches!(full, Error::LimitReached { max: 49, .. }), "{full}");
    }
    stream.close().unwrap();
    // It is stored.
    let stream = options(&clock).open(dir.path()).unwrap();
    stream.append_unique("", "new", HOUR).unwrap_err();
    clock.advance(HOUR);
    assert_eq!(put(&stream, "new", HOUR), (50, false));
}

#[test]
fn a_clock_that_is_set_back_lets_nothing_in_twice() {
    let dir = tempfile::tempdir().unwrap();
    let start = ManualClock::new().wall() + HOUR * 100;
    let clock = ManualClock::at(start);
    let stream = options(&clock).open(dir.path()).unwrap();
    assert_eq!(put(&stream, "a", HOUR), (0, false));
    stream.append("plain").unwrap();
    stream.close().unwrap();
    let clock = ManualClock::at(start - HOUR * 50);
    let stream = options(&clock).open(dir.path()).unwrap();
    assert_eq!(put(&stream, "b", HOUR), (2, false));
    assert_eq!(put(&stream, "a", HOUR), (0, true));
    assert_eq!(put(&stream, "b", HOUR), (2, true));
    stream.close().unwrap();
    let stream = options(&ManualClock::at(start + HOUR / 2)).open(dir.path()).unwrap();
    assert_eq!(put(&stream, "a", HOUR), (0, true));
    assert_eq!(put(&stream, "b", HOUR), (3, false));
}

#[test]
fn keys_and_windows_outside_their_bounds_are_refused() {
    let (_, stream) = memory();
    let long = "x".repeat(4_097);
    for key in ["", &long] {
        let refused = stream.append_unique("", key, HOUR).unwrap_err();
        assert!(matches!(refused, Error::InvalidName { what: "unique key", .. }), "{refused}");
    }
    for window in [Duration::ZERO, HOUR * 24 * 7 + SECOND, Duration::MAX] {
        let refused = stream.append_unique("", "key", window).unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { option: "window", .. }), "{refused}");
    }
    let refused = Stream::options().unique_max(0).in_memory().unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "unique_max", .. }), "{refused}");
    let small = Stream::options().entry_bytes_max(100).in_memory().unwrap();
    let refused = small.append_unique("", &long[..95], HOUR).unwrap_err();
    assert!(matches!(refused, Error::EntryTooLarge { max: 100, .. }), "{refused}");
    // A call that was refused leaves no key behind.
    let bad = NewEntry::new("").subject("a..b");
    stream.append_unique(bad, "key", HOUR).unwrap_err();
    assert_eq!(stream.append_unique("", &long[..4_096], HOUR * 24 * 7).unwrap().id, id(0));
    assert_eq!(put(&stream, "key", HOUR), (1, false));
}

#[test]
fn an_entry_goes_behind_the_one_that_is_known_to_be_last() {
    let (_, stream) = memory();
    let wrong = stream.append_if_last(id(0), "first").unwrap_err();
    assert!(matches!(wrong, Error::Conflict { last: None, .. }), "{wrong}");
    let first = stream.append_if_empty(0, "first").unwrap();
    let wrong = stream.append_if_empty(0, "first").unwrap_err();
    assert!(matches!(wrong, Error::Conflict { expected: None, last: Some(last) } if last == first));
    assert_eq!(wrong.to_string(), "the last entry was to be none, and is 0-0");
    let second = stream.append_if_last(first, NewEntry::new("second").header("h", "v")).unwrap();
    for last in [first, id(7), id(u64::MAX)] {
        let wrong = stream.append_if_last(last, "third").unwrap_err();
        assert!(wrong.is_conflict() && !wrong.is_lease_lost());
        let Error::Conflict { expected, last: found } = wrong else { panic!("{wrong}") };
        assert_eq!((expected, found), (Some(last), Some(second)));
    }
    assert_eq!(stream.info().unwrap().entries(), 2);
    assert_eq!(stream.get(second).unwrap().unwrap().header("h"), Some(&b"v"[..]));
}

#[test]
fn the_partition_is_that_of_the_known_entry_whatever_the_turn() {
    let clock = ManualClock::new();
    let stream = options(&clock).partitions(3).in_memory().unwrap();
    let mut last = stream.append_if_empty(2, "0").unwrap();
    for n in 1..10 {
        last = stream.append_if_last(last, &n.to_string()).unwrap();
        assert_eq!(last, EntryId::new(2, n));
    }
    let nowhere = stream.append_if_empty(3, "x").unwrap_err();
    assert!(matches!(nowhere, Error::NoSuchPartition { partition: 3, .. }), "{nowhere}");
    let keyed = |key| stream.append_if_last(last, NewEntry::new("x").key(key));
    let keys = ["a", "b", "c", "d", "e", "f"];
    let (good, bad): (Vec<_>, Vec<_>) =
        keys.iter().map(|key| (key, keyed(*key))).partition(|(_, appended)| appended.is_ok());
    assert_eq!(good.len(), 1, "the first one whose key chooses the partition");
    for (key, refused) in bad {
        let right = matches!(
            refused,
            Err(Error::KeyElsewhere { named: 2, chosen: 0 | 1 } | Error::Conflict { .. })
        );
        assert!(right, "{key}: {refused:?}");
    }
}

#[test]
fn of_writers_that_know_the_same_last_entry_one_succeeds() {
    for durability in [Durability::Os, Durability::Always] {
        let dir = tempfile::tempdir().unwrap();
        let stream = Stream::options().durability(durability).open(dir.path()).unwrap();
        stream.append_if_empty(0, "0").unwrap();
        let wins: usize = std::thread::scope(|scope| {
            let count = || {
                let (mut last, mut wins) = (id(0), 0);
                while last.offset() < 60 {
                    match stream.append_if_last(last, &last.to_string()) {
                        Ok(own) => (last, wins) = (own, wins + 1),
                        Err(Error::Conflict { last: found, .. }) => last = found.unwrap(),
                        Err(error) => panic!("{error}"),
                    }
                }
                wins
            };
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let entries = stream.reader(Start::Earliest).unwrap().until_now().read(1_000).unwrap();
        assert_eq!(entries.len(), wins + 1);
        for entry in entries.iter().skip(1) {
            // Each was written by somebody who knew the one before it.
            let before = id(entry.id().offset() - 1).to_string();
            assert_eq!(entry.payload(), before.as_bytes());
        }
    }
}

#[test]
fn the_last_entry_is_known_across_restarts_segments_and_trims() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Stream::options().segment_bytes(4_096).open(dir.path()).unwrap();
    let mut last = open().append_if_empty(0, "first").unwrap();
    for _ in 0..20 {
        let stream = open();
        for _ in 0..10 {
            last = stream.append_if_last(last, &[7; 300]).unwrap();
        }
        stream.trim_before(last).unwrap();
    }
    let stream = open();
    assert!(stream.append_if_empty(0, "first").unwrap_err().is_conflict());
    assert_eq!(stream.append_if_last(last, "next").unwrap().offset(), 201);
}

#[test]
fn what_was_appended_with_a_condition_counts_for_groups_with_a_filter() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Stream::options().segment_bytes(4_096).open(dir.path()).unwrap();
    let stream = open();
    let entry = || NewEntry::new(&[7; 200]).subject("a.b").deliver_after(Duration::ZERO);
    let mut last = stream.append_if_empty(0, entry()).unwrap();
    for n in 1..60_u32 {
        last = match n % 3 {
            0 => stream.append_if_last(last, entry()).unwrap(),
            1 => stream.append_unique(entry(), n.to_le_bytes(), HOUR).unwrap().id,
            _ => stream.append(NewEntry::new(&[7; 200]).subject("c.d")).unwrap(),
        };
    }
    let lag = |stream: &Stream, name: &str, filter: &str| {
        let group = stream.group(name).filter(filter).open(Start::Earliest).unwrap();
        group.lag().unwrap()
    };
    // Sealed segments tell by the counts in their footers.
    assert!(stream.info().unwrap().partitions[0].segments > 3);
    assert_eq!((lag(&stream, "x", "a.>"), lag(&stream, "y", "c.d")), (40, 20));
    stream.close().unwrap();
    let stream = open();
    assert_eq!((lag(&stream, "v", "a.>"), lag(&stream, "w", "c.d")), (40, 20));
}
