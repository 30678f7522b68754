//! Clocks that jump (section 6): order and ids stand, and delays come back as long as they were.

use std::time::{Duration, SystemTime};

use millstream::{Backoff, EntryId, ManualClock, Start, Stream};
use proptest::prelude::*;

use crate::scene::{HOUR, SECOND, Scene, fill, idle, scene, scene_on, seen, take};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + SECOND * u32::try_from(seconds).unwrap()
}

#[test]
fn a_wall_clock_that_jumps_breaks_neither_order_nor_ids_nor_leases() {
    let Scene { clock, stream, group, worker } = scene(0);
    let held = {
        fill(&stream, 1);
        take(&worker)
    };
    for wall in [at(4_000_000_000), at(0), at(100), SystemTime::UNIX_EPOCH - HOUR] {
        clock.set_wall(wall);
        fill(&stream, 2);
        assert_eq!(group.info().unwrap().leased, 1, "the lease goes by the other clock");
    }
    let reader = stream.reader(Start::Earliest).unwrap();
    let entries = reader.try_read(100).unwrap();
    let offsets: Vec<u64> = entries.iter().map(|entry| entry.id().offset()).collect();
    assert_eq!(offsets, (0..9).collect::<Vec<_>>());
    assert_eq!(entries.iter().nth(1).unwrap().timestamp(), at(4_000_000_000));
    assert_eq!(entries.iter().nth(3).unwrap().timestamp(), at(0));
    // What lies before 1970 is stamped as 1970.
    assert_eq!(entries.iter().nth(8).unwrap().timestamp(), at(0));
    held.ack().unwrap();
    assert_eq!(worker.try_read(100).unwrap().len(), 8);
}

#[test]
fn a_jump_moves_no_deadline() {
    let Scene { clock, stream, worker, .. } = scene(2);
    let kept = take(&worker);
    take(&worker).nack().unwrap();
    clock.set_wall(at(4_000_000_000));
    assert!(idle(&worker));
    clock.set_wall(at(0));
    clock.advance(SECOND);
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(1, 2)]);
    kept.ack().unwrap();
    drop(stream);
}

/// Nacks an entry for a minute, reopens with the wall clock at `wall` seconds from then, and gives
/// how long it still waits.
fn waits_after(wall: i64) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let start = 1_000_000;
    let clock = ManualClock::at(at(start));
    let Scene { stream, group, worker, .. } = scene_on(dir.path(), &clock, 1);
    take(&worker).nack_after(SECOND * 60).unwrap();
    drop((group, worker));
    stream.close().unwrap();
    let clock = ManualClock::at(at(start.checked_add_signed(wall).unwrap()));
    let Scene { clock, worker, .. } = scene_on(dir.path(), &clock, 0);
    for second in 0..=120 {
        if !idle(&worker) {
            return SECOND * second;
        }
        clock.advance(SECOND);
    }
    panic!("it never comes again");
}

#[test]
fn delays_survive_reopening_and_are_never_longer_than_they_were() {
    for (wall, rest) in [
        (0, 60),
        (25, 35),
        (60, 0),
        (100_000, 0),
        // The wall clock went back: the whole delay, and not a second more.
        (-1, 60),
        (-900_000, 60),
    ] {
        assert_eq!(waits_after(wall), SECOND * rest, "reopened {wall} seconds later");
    }
}

#[test]
fn waits_beyond_all_use_saturate() {
    let Scene { clock, group, worker, .. } = scene(2);
    take(&worker).nack_after(Duration::MAX).unwrap();
    clock.advance(HOUR * 24 * 365);
    let worker = group.join("again").unwrap();
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(1, 1)]);
    assert!(worker.read_timeout(1, Duration::ZERO).unwrap().is_empty());
    let self_advancing = ManualClock::self_advancing();
    let stream = Stream::options().clock(self_advancing).in_memory().unwrap();
    let group = stream.group("g").backoff(Backoff::fixed(Duration::ZERO));
    let worker = group.open(Start::Earliest).unwrap().join("worker").unwrap();
    assert!(worker.read_timeout(1, Duration::MAX).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    /// `Since` goes by the greatest time so far, so what stands behind a newer entry counts as
    /// new, whatever its own time says.
    #[test]
    fn since_finds_the_first_entry_that_is_new_enough_or_stands_behind_one(
        times in prop::collection::vec(1_u64..200, 1..150),
        since in prop::collection::vec(0_u64..210, 8),
        split in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let open = || {
            let options = Stream::options().segment_bytes(4096).clock(clock.clone());
            options.open(dir.path()).unwrap()
        };
        let mut stream = open();
        for (number, time) in times.iter().enumerate() {
            if number == split.index(times.len()) {
                stream.close().unwrap();
                stream = open();
            }
            clock.set_wall(at(*time));
            stream.append(&[7; 100]).unwrap();
        }
        for since in since {
            let mut newest = 0;
            let first = times.iter().position(|time| {
                newest = newest.max(*time);
                newest >= since
            });
            let reader = stream.reader(Start::Since(at(since))).unwrap();
            let found = reader.try_read(1).unwrap().iter().next().map(|entry| entry.id());
            let wanted = first.map(|offset| EntryId::new(0, offset as u64));
            prop_assert_eq!(found, wanted, "since {}", since);
            let group = stream.group("g").create(Start::Since(at(since))).unwrap();
            let floor = wanted.map_or(times.len() as u64, EntryId::offset);
            prop_assert_eq!(group.floors().unwrap(), [floor]);
            group.delete().unwrap();
        }
    }
}
