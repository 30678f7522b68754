//! Steering a group: pausing, draining, altering, and bounding what is in flight.

use std::thread;
use std::time::Duration;

use millstream::assign::{Assign, Assignment, RoundRobin, View};
use millstream::{
    AckMode, Backoff, Blocked, Durability, EntryId, Error, Exhausted, Group, ManualClock, Pause,
    PendingQuery, Start, Stream,
};

use crate::scene::{
    HOUR, LEASE, SECOND, Scene, fill, id, idle, scene, scene_on, scene_with, seen, take, take_all,
};

fn paused(group: &Group) -> Option<Pause> {
    group.info().unwrap().paused
}

fn why_empty(worker: &millstream::Consumer) -> Option<Blocked> {
    let batch = worker.try_read(9).unwrap();
    assert!(batch.is_empty());
    batch.blocked()
}

#[test]
fn a_paused_group_hands_out_nothing_and_everything_else_goes_on() {
    let Scene { clock, stream, group, worker } = scene(4);
    let [acked, nacked, extended] = [(); 3].map(|()| take(&worker));
    group.pause().unwrap();
    group.pause().unwrap();
    assert_eq!(why_empty(&worker), Some(Blocked::Paused));
    assert_eq!(paused(&group), Some(Pause::UntilResumed));
    assert_eq!(group.info().unwrap().members[0].blocked, Some(Blocked::Paused));
    acked.ack().unwrap();
    nacked.nack().unwrap();
    extended.extend(LEASE * 2).unwrap();
    fill(&stream, 1);
    clock.advance(LEASE + SECOND);
    let info = group.info().unwrap();
    assert_eq!((info.acked, info.due, info.leased, info.undelivered), (1, 1, 1, 2));
    clock.advance(LEASE + SECOND);
    let session = HOUR - (LEASE + SECOND);
    assert_eq!((group.info().unwrap().due, group.next_deadline()), (2, Some(session)));
    let other = group.join("other").unwrap();
    assert_eq!(why_empty(&other), Some(Blocked::Paused));
    group.resume().unwrap();
    group.resume().unwrap();
    assert_eq!(paused(&group), None);
    assert_eq!(seen(&other.try_read(9).unwrap()), [(1, 2), (2, 2), (3, 1), (4, 1)]);
    drop(extended);
}

#[test]
fn a_pause_for_a_time_ends_by_itself_and_wakes_who_is_blocked() {
    let Scene { clock, group, worker, .. } = scene(1);
    group.pause_for(SECOND * 5).unwrap();
    clock.advance(SECOND);
    assert_eq!(paused(&group), Some(Pause::For(SECOND * 4)));
    assert_eq!(group.next_deadline(), Some(SECOND * 4));
    let read = thread::scope(|scope| {
        let read = scope.spawn(|| seen(&worker.read(9).unwrap()));
        clock.wait_for_blocked(1);
        clock.advance(SECOND * 4);
        read.join().unwrap()
    });
    assert_eq!((read, paused(&group)), (vec![(0, 1)], None));
    for wait in [Duration::ZERO, Duration::MAX] {
        let refused = group.pause_for(wait).unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { .. }), "{refused}");
    }
}

#[test]
fn a_blocked_read_stays_blocked_in_a_pause_and_goes_on_when_resumed() {
    let Scene { clock, stream, group, worker } = scene(0);
    thread::scope(|scope| {
        let read = scope.spawn(|| seen(&worker.read(9).unwrap()));
        clock.wait_for_blocked(1);
        group.pause().unwrap();
        fill(&stream, 1);
        let empty = group.join("other").unwrap().try_read(1).unwrap();
        assert_eq!(empty.blocked(), Some(Blocked::Paused));
        group.resume().unwrap();
        assert_eq!(read.join().unwrap(), [(0, 1)]);
    });
    // A pause that takes the place of another one moves its end.
    fill(&stream, 1);
    group.pause().unwrap();
    thread::scope(|scope| {
        let read = scope.spawn(|| seen(&worker.read(9).unwrap()));
        clock.wait_for_blocked(1);
        group.pause_for(SECOND).unwrap();
        clock.advance(SECOND);
        assert_eq!(read.join().unwrap(), [(0, 2), (1, 1)]);
    });
}

#[test]
fn a_self_advancing_clock_passes_the_end_of_a_pause_and_never_hangs_in_one() {
    let stream = Stream::options().clock(ManualClock::self_advancing()).in_memory().unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    fill(&stream, 2);
    group.pause_for(HOUR / 2).unwrap();
    let held = worker.read(1).unwrap().into_iter().next().unwrap();
    group.pause().unwrap();
    let _token = held.detach();
    let empty = worker.read(1).unwrap();
    assert_eq!((empty.len(), empty.blocked()), (0, Some(Blocked::Paused)));
    assert!(group.drain(HOUR * 9).unwrap().is_empty(), "the lease ended");
}

#[test]
fn a_pause_survives_reopening_with_what_is_left_of_it() {
    for durability in [Durability::Os, Durability::Always] {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let reopened = || {
            let options = Stream::options().clock(clock.clone()).durability(durability);
            let stream = options.open(directory.path()).unwrap();
            let group = stream.group("g").open(Start::Earliest).unwrap();
            let worker = group.join("worker").unwrap();
            (stream, group, worker)
        };
        drop(scene_on(directory.path(), &clock, 1));
        let (stream, group, worker) = reopened();
        group.pause_for(SECOND * 100).unwrap();
        drop((stream, group, worker));
        clock.advance(SECOND * 40);
        let (stream, group, worker) = reopened();
        assert_eq!(paused(&group), Some(Pause::For(SECOND * 60)));
        assert_eq!(why_empty(&worker), Some(Blocked::Paused));
        group.pause().unwrap();
        stream.close().unwrap();
        clock.advance(HOUR);
        let (stream, group, worker) = reopened();
        assert_eq!(why_empty(&worker), Some(Blocked::Paused));
        group.resume().unwrap();
        stream.close().unwrap();
        let (_stream, group, worker) = reopened();
        assert_eq!(paused(&group), None);
        assert_eq!(seen(&worker.try_read(9).unwrap()), [(0, 1)]);
    }
}

#[test]
fn draining_waits_for_what_is_leased_and_leaves_the_group_paused() {
    let Scene { clock, stream, group, worker } = scene(4);
    let drain = |act: &dyn Fn()| {
        thread::scope(|scope| {
            let drain = scope.spawn(|| group.drain(SECOND * 5).unwrap());
            clock.wait_for_blocked(1);
            act();
            drain.join().unwrap()
        })
    };
    let held = take(&worker);
    let token = held.token();
    let out = drain(&|| clock.advance(SECOND * 5));
    assert_eq!(out, [(id(0), "worker".to_owned())]);
    assert_eq!(paused(&group), Some(Pause::UntilResumed));
    assert!(idle(&worker));
    let ack = || assert!(group.ack([token]).unwrap().is_complete());
    assert_eq!(drain(&ack), []);
    drop(held);
    assert_eq!(group.drain(Duration::ZERO).unwrap(), []);

    // Handles that are dropped, members that go and leases that end count as well.
    group.resume().unwrap();
    let held = std::sync::Mutex::new(Some(take(&worker)));
    assert_eq!(drain(&|| drop(held.lock().unwrap().take())), []);
    group.resume().unwrap();
    let _token = take(&worker).detach();
    assert_eq!(drain(&|| group.remove_consumer("worker").unwrap()), []);
    group.resume().unwrap();
    let worker = group.join("worker").unwrap();
    let short = worker.read_leased(1, SECOND, SECOND).unwrap();
    assert_eq!((drain(&|| clock.advance(SECOND)), short.len()), (vec![], 1));
    assert_eq!(stream.info().unwrap().entries(), 4);
}

/// What ends, and the error that tells of it.
type End = (fn(&Stream, &Group), fn(&Error) -> bool);

#[test]
fn a_drain_ends_with_what_it_stood_on() {
    let ends: [End; 2] = [
        (|_, group| group.delete().unwrap(), |error| matches!(error, Error::GroupDeleted)),
        (|stream, _| stream.clone().close().unwrap(), |error| matches!(error, Error::Closed)),
    ];
    for (end, right) in ends {
        let Scene { clock, stream, group, worker } = scene(1);
        let _held = take(&worker);
        let error = thread::scope(|scope| {
            let drain = scope.spawn(|| group.drain(HOUR).unwrap_err());
            clock.wait_for_blocked(1);
            end(&stream, &group);
            drain.join().unwrap()
        });
        assert!(right(&error), "{error}");
    }
}

#[test]
fn altered_settings_count_from_the_next_thing_that_happens() {
    let Scene { clock, stream, group, worker } = scene(3);
    let [first, second] = [(); 2].map(|()| take(&worker));
    let change = group.options().lease(SECOND * 3).max_deliveries(1).backoff(Backoff::fixed(HOUR));
    group.alter(change).unwrap();
    let settings = group.info().unwrap().settings;
    assert_eq!((settings.lease, settings.max_deliveries), (SECOND * 3, 1));
    assert_eq!((settings.backoff, settings.session_timeout), (vec![HOUR], HOUR));
    // A lease that runs ends when it was to end; a failure from now on is the last one.
    clock.advance(LEASE - SECOND);
    first.ack().unwrap();
    second.nack().unwrap();
    assert_eq!(parked(&group), [id(1)]);
    let third = take(&worker);
    clock.advance(SECOND * 3);
    assert_eq!(parked(&group), [id(1), id(2)]);
    drop(third);
    group.alter(group.options().on_exhausted(Exhausted::Discard)).unwrap();
    fill(&stream, 1);
    take(&worker).nack().unwrap();
    assert_eq!((group.info().unwrap().discarded, group.lag().unwrap()), (1, 0));
    group.alter(group.options().ack_mode(AckMode::OnRead)).unwrap();
    fill(&stream, 1);
    drop(worker.try_read(1).unwrap());
    assert_eq!(group.lag().unwrap(), 0);
    group.alter(group.options().ack_mode(AckMode::OnNextRead)).unwrap();
    fill(&stream, 1);
    drop(worker.try_read(1).unwrap());
    assert!(idle(&worker));
    assert_eq!(group.lag().unwrap(), 0, "the read settles what the one before handed out");
}

#[test]
fn altered_settings_are_stored_and_bad_ones_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let Scene { stream, group, worker, .. } = scene_on(directory.path(), &clock, 0);
    group.alter(group.options().max_in_flight(7).max_in_flight_bytes(99)).unwrap();
    let before = group.info().unwrap().settings;
    let refused = group.alter(group.options().max_deliveries(9).lease(Duration::ZERO)).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "lease", .. }), "{refused}");
    let foreign = group.alter(stream.group("other").max_deliveries(9)).unwrap_err();
    assert!(matches!(foreign, Error::InvalidName { what: "group", .. }), "{foreign}");
    let other = group.alter(group.options().max_deliveries(9).filter("a.*")).unwrap_err();
    assert!(matches!(other, Error::OptionsDiffer { .. }), "{other}");
    let failing = group.alter(group.options().max_deliveries(9).strategy(Failing)).unwrap_err();
    assert!(matches!(failing, Error::StrategyFailed { .. }), "{failing}");
    let info = group.info().unwrap();
    assert_eq!((&info.settings, &*info.strategy), (&before, "shared"));
    assert!(info.strategy_failure.is_none());
    drop((group, worker));
    stream.close().unwrap();
    let stream = Stream::options().clock(clock.clone()).open(directory.path()).unwrap();
    let group = stream.group("g").open_existing().unwrap();
    assert_eq!(group.info().unwrap().settings, before);
    group.delete().unwrap();
    let gone = group.alter(group.options().max_deliveries(9)).unwrap_err();
    assert!(matches!(gone, Error::GroupDeleted), "{gone}");
}

/// A strategy that never gives an answer.
#[derive(Debug)]
struct Failing;

impl Assign for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn assign(&self, _: &View) -> Assignment {
        panic!("it has no answer")
    }
}

#[test]
fn another_strategy_is_asked_at_once_and_blocked_reads_see_more_room() {
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock.clone()).partitions(4).in_memory().unwrap();
    let group = stream.group("g").max_in_flight(1).open(Start::Earliest).unwrap();
    let [one, two] = ["one", "two"].map(|name| group.join(name).unwrap());
    group.alter(group.options().strategy(RoundRobin)).unwrap();
    assert_eq!((one.assignment().unwrap(), two.assignment().unwrap()), (vec![0, 2], vec![1, 3]));
    let info = group.info().unwrap();
    assert_eq!((&*info.strategy, info.rebalances), ("round-robin", 1));
    for _ in 0..8 {
        stream.append("entry").unwrap();
    }
    let held = take(&one);
    assert_eq!(why_empty(&two), Some(Blocked::InFlight));
    assert!(!two.events().is_empty(), "else the read returns early for them");
    thread::scope(|scope| {
        let read = scope.spawn(|| two.read(9).unwrap().into_iter().count());
        clock.wait_for_blocked(1);
        group.alter(group.options().max_in_flight(3)).unwrap();
        assert_eq!(read.join().unwrap(), 2);
    });
    held.ack().unwrap();
}

#[test]
fn bytes_in_flight_are_bounded_and_one_entry_always_goes() {
    let Scene { stream, group, worker, clock } =
        scene_with(0, |options| options.max_in_flight_bytes(10_000));
    let big = vec![7; 50_000];
    stream.append(&big).unwrap();
    for _ in 0..40 {
        stream.append(&big[..1_000]).unwrap();
    }
    let first = worker.try_read(100).unwrap();
    assert_eq!(first.len(), 1, "although it is larger than the bound");
    assert_eq!(why_empty(&worker), Some(Blocked::InFlight));
    assert!(group.info().unwrap().leased_bytes >= 50_000);
    assert!(first.ack_all().unwrap().is_complete());
    assert_eq!(group.info().unwrap().leased_bytes, 0);
    let mut held = take_all(&worker);
    assert!((9..=10).contains(&held.len()), "{}", held.len());
    assert_eq!(why_empty(&worker), Some(Blocked::InFlight));
    // Half of them makes room for half as many, whichever way they go.
    held.remove(0).ack().unwrap();
    held.remove(0).nack().unwrap();
    held.remove(0).release().unwrap();
    let more = take_all(&worker);
    assert!((2..=3).contains(&more.len()), "{}", more.len());
    thread::scope(|scope| {
        let read = scope.spawn(|| worker.read(100).unwrap().into_iter().count());
        clock.wait_for_blocked(1);
        drop(held);
        assert!(read.join().unwrap() > 0, "room wakes who is blocked");
    });
    drop(more);
    worker.leave().unwrap();
    assert_eq!(group.info().unwrap().leased_bytes, 0);
}

#[test]
fn jitter_spreads_what_failed_together_and_a_seed_repeats_it() {
    let dues = |seed: Option<u64>| {
        let backoff = Backoff::fixed(SECOND * 100).jitter(0.5);
        let backoff = seed.map_or(backoff.clone(), |seed| backoff.seed(seed));
        let Scene { group, worker, clock, .. } =
            scene_with(50, |options| options.backoff(backoff).session_timeout(HOUR));
        drop(
            worker
                .try_read(25)
                .unwrap()
                .into_iter()
                .map(millstream::Delivery::nack)
                .collect::<Vec<_>>(),
        );
        let _tokens: Vec<_> =
            worker.try_read(25).unwrap().into_iter().map(millstream::Delivery::detach).collect();
        clock.advance(LEASE);
        let pending = group.pending_entries(&PendingQuery::default()).unwrap();
        assert_eq!(pending.len(), 50);
        pending.iter().map(|entry| entry.due_in).collect::<Vec<_>>()
    };
    let seven = dues(Some(7));
    // Nacked ten seconds ago, and a lease that ended now.
    assert!(seven[..25].iter().all(|due| (SECOND * 40..=SECOND * 90).contains(due)), "{seven:?}");
    assert!(seven[25..].iter().all(|due| (SECOND * 50..=SECOND * 100).contains(due)), "{seven:?}");
    let mut distinct = seven.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > 45);
    assert_eq!(dues(Some(7)), seven);
    assert_ne!(dues(Some(8)), seven);
}

#[test]
fn the_steps_of_a_backoff_are_taken_one_after_the_other() {
    let steps = [3, 1, 60].map(Duration::from_secs);
    let Scene { clock, group, worker, .. } =
        scene_with(1, |options| options.backoff(Backoff::steps(steps)));
    for seconds in [3, 1, 60, 60] {
        take(&worker).nack().unwrap();
        assert_eq!(
            group.pending_entries(&PendingQuery::default()).unwrap()[0].due_in,
            SECOND * seconds
        );
        clock.advance(SECOND * seconds);
    }
    assert_eq!(group.info().unwrap().settings.backoff, steps);
}

fn parked(group: &Group) -> Vec<EntryId> {
    group.parked(9).unwrap().iter().map(|row| row.id).collect()
}
