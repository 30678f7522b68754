//! Going back or forth, in all partitions or one.

use std::time::{Duration, SystemTime};

use millstream::{EntryId, Error, Lost, ManualClock, NewEntry, PendingQuery, Start, Stream};

use crate::crew::{copied, crew, crew_on, drain};
use crate::scene::{HOUR, SECOND, Scene, fill, id, scene, scene_with, seen, take, take_all};

#[test]
fn every_kind_of_start_is_a_place_to_go_on() {
    let wall = SystemTime::UNIX_EPOCH + HOUR * 24;
    let clock = ManualClock::at(wall);
    let stream = Stream::options().clock(clock.clone()).partitions(2).in_memory().unwrap();
    for _ in 0..4 {
        fill(&stream, 2);
        clock.advance(SECOND);
    }
    let at = EntryId::new;
    let starts = [
        (Start::Earliest, [0, 0]),
        (Start::Latest, [4, 4]),
        (Start::At(at(1, 3)), [0, 3]),
        (Start::Each(vec![at(0, 1), at(1, 4)]), [1, 4]),
        (Start::Since(wall + SECOND * 2), [2, 2]),
        (Start::Since(wall + HOUR), [4, 4]),
        (Start::Since(wall - HOUR), [0, 0]),
    ];
    let group = stream.group("g").open(Start::At(at(0, 2))).unwrap();
    let worker = group.join("worker").unwrap();
    for (start, expected) in &starts {
        for (again, _) in &starts {
            group.reset(again.clone()).unwrap();
            drain(&worker);
            group.reset(start.clone()).unwrap();
            assert_eq!(group.floors().unwrap(), expected, "{start:?} after {again:?}");
            assert_eq!(group.lag().unwrap(), 8 - expected[0] - expected[1]);
        }
        let read = drain(&worker);
        assert_eq!(read.len() as u64, 8 - expected[0] - expected[1], "{start:?}");
        // Of one partition alone: the other one stays where it is.
        for partition in [0, 1] {
            let before = group.floors().unwrap();
            group.reset_partition(partition, start.clone()).unwrap();
            let mut floors = before;
            floors[partition as usize] = expected[partition as usize];
            assert_eq!(group.floors().unwrap(), floors, "{start:?}, {partition}");
        }
    }
}

#[test]
fn a_place_that_is_not_there_is_refused_and_nothing_changes() {
    let Scene { group, worker, .. } = scene(2);
    let kept = take(&worker);
    let refused = group.reset(Start::At(id(3))).unwrap_err();
    assert!(matches!(refused, Error::StartBeyondEnd { end: 2, .. }), "{refused}");
    let refused = group.reset(Start::At(EntryId::new(1, 0))).unwrap_err();
    assert!(matches!(refused, Error::NoSuchPartition { .. }), "{refused}");
    let refused = group.reset_partition(1, Start::Earliest).unwrap_err();
    let right = matches!(refused, Error::NoSuchPartition { partition: 1, partitions: 1 });
    assert!(right, "{refused}");
    kept.ack().unwrap();
    assert_eq!((group.lag().unwrap(), group.floors().unwrap()), (1, vec![1]));
}

#[test]
fn what_was_pending_is_forgotten_and_tokens_are_void() {
    for to in [Start::Earliest, Start::At(id(3)), Start::Latest] {
        let Scene { clock, group, worker, .. } = scene_with(6, |group| group.lease(HOUR));
        let mut held = take_all(&worker).into_iter();
        let kept = held.next().unwrap();
        let token = held.next().unwrap().detach();
        held.next().unwrap().nack().unwrap();
        held.next().unwrap().release().unwrap();
        held.next().unwrap().ack().unwrap();
        drop(held);
        group.reset(to.clone()).unwrap();
        let info = group.info().unwrap();
        assert_eq!((info.leased, info.delayed, info.due), (0, 0, 0), "{to:?}");
        assert_eq!(group.pending_entries(&PendingQuery::new()).unwrap(), []);
        assert_eq!(group.ack([token]).unwrap().refused, [(id(1), Lost::Reset)]);
        let refused = kept.nack().unwrap_err();
        assert!(matches!(refused, Error::LeaseLost { why: Lost::Reset, .. }), "{refused}");
        // What lies before it and was not settled is given up.
        let (skipped, lag) = match to {
            Start::Earliest => (0, 6),
            Start::Latest => (5, 0),
            _ => (3, 3),
        };
        assert_eq!((info.skipped, info.lag), (skipped, lag), "{to:?}");
        clock.advance(SECOND);
        // Attempts are counted from zero.
        let again = seen(&worker.try_read(9).unwrap());
        let expected: Vec<(u64, u16)> = (6 - lag..6).map(|offset| (offset, 1)).collect();
        assert_eq!(again, expected, "{to:?}");
    }
}

#[test]
fn what_is_parked_before_the_place_stays_parked() {
    let Scene { group, worker, .. } = scene(4);
    for delivery in take_all(&worker) {
        delivery.reject("bad").unwrap();
    }
    assert_eq!((group.lag().unwrap(), group.floors().unwrap()), (0, vec![4]));
    group.reset(Start::At(id(2))).unwrap();
    assert_eq!(crate::scene::parked(&group, 9), [id(0), id(1)]);
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(2, 1), (3, 1)]);
    assert_eq!(group.redrive(1).unwrap(), 1);
    assert_eq!((group.lag().unwrap(), group.floors().unwrap()), (3, vec![0]));
    assert_eq!(group.discard_parked(&[id(1)]).unwrap(), 1);
}

#[test]
fn it_is_durable_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let crew = crew_on(dir.path(), 2, |group| group);
    fill(&crew.stream, 8);
    crew.stream.sync().unwrap();
    drain(&crew.join("worker"));
    let durable = |path: &std::path::Path| {
        let crew = crew_on(path, 2, |group| group);
        crew.group.floors().unwrap()
    };
    crew.group.reset(Start::At(EntryId::new(1, 1))).unwrap();
    assert_eq!(durable(copied(dir.path()).path()), [0, 1]);
    crew.group.reset_partition(0, Start::Latest).unwrap();
    assert_eq!(durable(copied(dir.path()).path()), [4, 1]);
    crew.stream.close().unwrap();
    assert_eq!(durable(dir.path()), [4, 1]);
}

#[test]
fn a_blocked_read_goes_on_at_the_new_place() {
    let Scene { clock, group, worker, .. } = scene(3);
    assert!(worker.try_read(9).unwrap().ack_all().unwrap().is_complete());
    let read = std::thread::scope(|scope| {
        let read = scope.spawn(|| seen(&worker.read(9).unwrap()));
        clock.wait_for_blocked(1);
        group.reset(Start::At(id(1))).unwrap();
        read.join().unwrap()
    });
    assert_eq!(read, [(1, 1), (2, 1)]);
}

#[test]
fn a_hand_over_does_not_wait_for_what_a_reset_made_forgotten() {
    let crew = crew(2, 2, |group| group.strategy(millstream::assign::CooperativeSticky));
    let old = crew.join("old");
    let held: Vec<_> = old.try_read(9).unwrap().into_iter().collect();
    let new = crew.join("new");
    assert!(drain(&new).is_empty());
    crew.group.reset(Start::Earliest).unwrap();
    assert_eq!((drain(&old).len(), drain(&new).len()), (2, 2));
    for delivery in held {
        assert!(delivery.extend(Duration::from_secs(1)).is_err());
    }
    crew.stream.append(NewEntry::new("e")).unwrap();
    assert_eq!(crew.group.lag().unwrap(), 1);
}
