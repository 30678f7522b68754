//! What the log loses, and where a group goes on then.

use millstream::{
    Error, Event, Group, GroupOptions, Lost, ManualClock, OnTrimmed, Start, Stream, StreamOptions,
};

use crate::crew::copied;
use crate::scene::{LEASE, SECOND, fill, id, idle, take};

/// Small segments, so that a few entries fill several.
fn options(clock: &ManualClock) -> StreamOptions {
    Stream::options().clock(clock.clone()).segment_bytes(4096)
}

struct Trimmed {
    stream: Stream,
    group: Group,
    /// The first offset that is left.
    start: u64,
    end: u64,
    events: Vec<Event>,
}

fn with(then: OnTrimmed) -> impl Fn(GroupOptions) -> GroupOptions {
    move |group| group.on_trimmed(then).lease(LEASE).session_timeout(LEASE * 99)
}

/// A stream of several segments with a group that `does` something, and then loses the first half.
fn trimmed(then: OnTrimmed, does: impl FnOnce(&Group)) -> Trimmed {
    let stream = options(&ManualClock::new()).in_memory().unwrap();
    let group = with(then)(stream.group("g")).open(Start::Earliest).unwrap();
    fill(&stream, 400);
    does(&group);
    let events = group.events().unwrap();
    let gone = stream.trim_before(id(250)).unwrap();
    let info = stream.info().unwrap();
    let (start, end) = (info.partitions[0].start, info.partitions[0].end);
    assert!(start == gone && start > 60 && start <= 250, "{start}");
    let events = events.drain();
    Trimmed { stream, group, start, end, events }
}

fn check(at: &Trimmed, lost: u64, lag: u64) {
    let info = at.group.info().unwrap();
    assert_eq!((info.trimmed.entries(), info.lag, at.group.lag().unwrap()), (lost, lag, lag));
    let told: u64 = at
        .events
        .iter()
        .map(|event| match event {
            Event::Trimmed { partition: 0, lost, .. } => lost.entries(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(told, lost, "{:?}", at.events);
}

#[test]
fn a_group_that_had_not_come_so_far_goes_on_as_it_says() {
    let at = trimmed(OnTrimmed::Earliest, |_| {});
    check(&at, at.start, at.end - at.start);
    let right = matches!(at.events[..], [Event::Trimmed { first: 0, end, .. }] if end == at.start);
    assert!(right, "{:?}", at.events);
    assert_eq!(at.group.floors().unwrap(), [at.start]);
    assert_eq!(take(&at.group.join("worker").unwrap()).id(), id(at.start));

    let at = trimmed(OnTrimmed::Latest, |_| {});
    check(&at, at.end, 0);
    assert_eq!(at.group.floors().unwrap(), [at.end]);
    let worker = at.group.join("worker").unwrap();
    assert!(idle(&worker));
    fill(&at.stream, 1);
    assert_eq!(take(&worker).id(), id(at.end));
}

#[test]
fn reads_that_come_to_what_is_gone_are_refused_until_a_reset() {
    let at = trimmed(OnTrimmed::Error, |_| {});
    // Nothing is given up before somebody says so.
    check(&at, 0, at.end - at.start);
    let worker = at.group.join("worker").unwrap();
    let zero = std::time::Duration::ZERO;
    for refused in [worker.try_read(9), worker.read(9), worker.read_timeout(9, zero)] {
        let refused = refused.unwrap_err();
        let right = matches!(refused, Error::PositionTrimmed { next, start }
            if next == id(0) && start == at.start);
        assert!(right, "{refused}");
    }
    // It is no less a group for it.
    fill(&at.stream, 1);
    assert_eq!(at.group.lag().unwrap(), at.end + 1 - at.start);
    at.group.reset(Start::Earliest).unwrap();
    assert_eq!(take(&worker).id(), id(at.start));
    assert_eq!(at.group.lag().unwrap(), at.end + 1 - at.start);
    let at = trimmed(OnTrimmed::Error, |_| {});
    at.group.reset(Start::Latest).unwrap();
    let worker = at.group.join("worker").unwrap();
    assert!(idle(&worker));
    assert_eq!(at.group.lag().unwrap(), 0);
}

#[test]
fn a_group_that_is_told_where_to_go_on_goes_on_there() {
    for then in [OnTrimmed::Earliest, OnTrimmed::Latest] {
        let Trimmed { stream, group, start, end, .. } = trimmed(OnTrimmed::Error, |_| {});
        drop(group);
        let group = with(then)(stream.group("g")).open_existing().unwrap();
        let next = if then == OnTrimmed::Latest { end } else { start };
        let info = group.info().unwrap();
        assert_eq!((info.trimmed.entries(), info.lag), (next, end - next), "{then:?}");
        let worker = group.join("worker").unwrap();
        fill(&stream, 1);
        assert_eq!(take(&worker).id(), id(next), "{then:?}");
    }
}

#[test]
fn what_was_handed_out_is_lost_whatever_the_group_says() {
    for then in [OnTrimmed::Earliest, OnTrimmed::Latest, OnTrimmed::Error] {
        let mut kept = Vec::new();
        let mut member = None;
        let at = trimmed(then, |group| {
            let worker = group.join("worker").unwrap();
            let mut held = worker.try_read(300).unwrap().into_iter();
            kept.push(held.next().unwrap());
            held.next().unwrap().nack().unwrap();
            held.next().unwrap().reject("bad").unwrap();
            held.next().unwrap().release().unwrap();
            held.by_ref().take(293).for_each(|held| held.ack().unwrap());
            kept.extend(held);
            member = Some(worker);
        });
        // One leased, one delayed, one parked and one due are gone.
        check(&at, 4, at.end - 297);
        let info = at.group.info().unwrap();
        assert_eq!((info.parked, info.delayed, info.due, info.leased), (0, 0, 0, 3), "{then:?}");
        assert_eq!(at.group.floors().unwrap(), [297]);
        let mut kept = kept.into_iter();
        let refused = kept.next().unwrap().ack().unwrap_err();
        assert!(matches!(refused, Error::LeaseLost { why: Lost::Trimmed, .. }), "{refused}");
        kept.for_each(|kept| kept.ack().unwrap());
        assert_eq!(take(&member.unwrap()).id(), id(300), "{then:?}");
    }
}

#[test]
fn a_group_that_was_done_with_it_loses_nothing() {
    for then in [OnTrimmed::Earliest, OnTrimmed::Latest, OnTrimmed::Error] {
        let at = trimmed(then, |group| {
            let worker = group.join("worker").unwrap();
            assert_eq!(worker.ack_through(id(260)).unwrap(), 261);
        });
        check(&at, 0, at.end - 261);
        assert_eq!(at.events, []);
        assert_eq!(take(&at.group.join("worker").unwrap()).id(), id(261));
    }
}

#[test]
fn where_it_goes_on_survives_reopening_and_a_kill() {
    for then in [OnTrimmed::Earliest, OnTrimmed::Latest, OnTrimmed::Error] {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let stream = options(&clock).open(dir.path()).unwrap();
        let group = with(then)(stream.group("g")).open(Start::Earliest).unwrap();
        fill(&stream, 400);
        stream.trim_before(id(250)).unwrap();
        let before = group.info().unwrap();
        let killed = copied(dir.path());
        stream.close().unwrap();
        for path in [killed.path(), dir.path()] {
            let stream = options(&clock).open(path).unwrap();
            let group = stream.group("g").open_existing().unwrap();
            let after = group.info().unwrap();
            assert_eq!((after.lag, after.trimmed), (before.lag, before.trimmed), "{then:?}");
            assert_eq!(after.partitions, before.partitions, "{then:?}");
            let worker = group.join("worker").unwrap();
            match (then, worker.try_read(1)) {
                (OnTrimmed::Error, read) => {
                    assert!(matches!(read, Err(Error::PositionTrimmed { .. })));
                }
                (_, read) => assert_eq!(read.unwrap().is_empty(), then == OnTrimmed::Latest),
            }
        }
    }
}

#[test]
fn a_start_in_the_trimmed_past_goes_by_the_policy_and_is_never_silent() {
    let cases = [(OnTrimmed::Earliest, 3), (OnTrimmed::Latest, 6), (OnTrimmed::Error, 1)];
    for (then, next) in cases {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let stream = options(&clock).open(directory.path()).unwrap();
        for _ in 0..6 {
            stream.append(&[7; 1_000]).unwrap();
        }
        stream.trim_before(id(5)).unwrap();
        let start = stream.info().unwrap().partitions[0].start;
        assert!(start > 1, "{start}");
        let next = if next == 3 { start } else { next };
        let look = |group: &Group| {
            let info = group.info().unwrap();
            let error = group.join("worker").unwrap().try_read(1).err();
            let refused = matches!(error, Some(Error::PositionTrimmed { .. }));
            assert_eq!(refused, then == OnTrimmed::Error, "{then:?}");
            (info.partitions[0].next, info.trimmed.entries())
        };
        let lost = match then {
            OnTrimmed::Error => 0,
            OnTrimmed::Latest => 5,
            _ => start - 1,
        };
        let made = stream.group("made").on_trimmed(then).open(Start::At(id(1))).unwrap();
        assert_eq!(look(&made), (next, lost), "{then:?}");
        let moved = stream.group("moved").on_trimmed(then).open(Start::Latest).unwrap();
        let events = moved.events().unwrap();
        moved.reset(Start::At(id(1))).unwrap();
        assert_eq!(look(&moved), (next, lost), "{then:?}");
        let told = std::iter::from_fn(|| events.try_next());
        let trimmed = told.filter(|event| matches!(event, Event::Trimmed { .. })).count();
        assert_eq!(trimmed, usize::from(lost > 0), "{then:?}");
        moved.reset_partition(0, Start::At(id(1))).unwrap();
        assert_eq!(look(&moved), (next, lost * 2), "{then:?}");
        drop((made, moved, events));
        stream.close().unwrap();
        let stream = options(&clock).open(directory.path()).unwrap();
        let made = stream.group("made").open_existing().unwrap();
        // The look before read one entry, if there was one.
        let read = u64::from(then == OnTrimmed::Earliest);
        assert_eq!(look(&made), (next + read, lost), "{then:?}");
    }
}

#[test]
fn a_blocked_read_is_not_held_up_by_a_trim() {
    let clock = ManualClock::new();
    let stream = options(&clock).in_memory().unwrap();
    let group = with(OnTrimmed::Error)(stream.group("g")).open(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    fill(&stream, 400);
    assert_eq!(worker.ack_through(id(399)).unwrap(), 400);
    let read = std::thread::scope(|scope| {
        let read = scope.spawn(|| take_one(&worker));
        clock.wait_for_blocked(1);
        stream.trim_before(id(400)).unwrap();
        clock.advance(SECOND);
        fill(&stream, 1);
        read.join().unwrap()
    });
    assert_eq!(read, 400);
    assert_eq!((group.lag().unwrap(), group.info().unwrap().trimmed.entries()), (0, 0));
}

fn take_one(worker: &millstream::Consumer) -> u64 {
    let batch = worker.read(1).unwrap();
    let offset = batch.iter().next().unwrap().id().offset();
    assert!(batch.ack_all().unwrap().is_complete());
    offset
}

#[test]
fn a_position_that_is_gone_holds_up_no_other_partition() {
    let stream = options(&ManualClock::new()).partitions(2).in_memory().unwrap();
    let group = with(OnTrimmed::Error)(stream.group("g")).open(Start::Earliest).unwrap();
    fill(&stream, 800);
    assert!(stream.trim_before(id(250)).unwrap() > 0);
    let worker = group.join("worker").unwrap();
    let mut read = 0;
    for _ in 0..802 {
        match worker.try_read(1) {
            Ok(batch) => {
                read += batch.len();
                assert!(batch.ack_all().unwrap().is_complete());
            }
            Err(Error::PositionTrimmed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(read, 400);
    assert!(matches!(worker.try_read(1), Err(Error::PositionTrimmed { .. })));
}
