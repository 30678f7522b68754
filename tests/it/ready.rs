//! Hooks of consumers that do not block: called whenever something may be readable, with no lock
//! held.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use millstream::assign::RoundRobin;
use millstream::{Blocked, Consumer, Error, Group, ManualClock, Start, Stream};

use crate::scene::{HOUR, LEASE, SECOND, Scene, fill, idle, scene, take, take_all};

/// Counts the calls of a consumer's hook since it was last asked.
fn calls(worker: &Consumer) -> impl Fn() -> usize + use<> {
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    let hook = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    worker.on_ready(hook).unwrap();
    move || count.swap(0, Ordering::SeqCst)
}

#[test]
fn a_hook_is_called_for_whatever_makes_something_readable() {
    let Scene { clock, stream, group, worker } = scene(0);
    let called = calls(&worker);
    assert_eq!(called(), 0, "there was nothing");
    fill(&stream, 1);
    assert!(called() > 0, "an append");
    stream.append_batch(["a", "b"]).unwrap();
    assert!(called() > 0, "a batch");
    drop(stream.append_each(["a", "b"]).unwrap());
    assert!(called() > 0, "several");

    let again = calls(&worker);
    assert!(again() > 0, "at once, if there is something");
    let (mut held, other) = (take_all(&worker), group.join("other").unwrap());
    assert_eq!((held.len(), called()), (5, 0), "a second hook takes the place of the first");
    assert!(idle(&worker));
    again();
    held.remove(0).release().unwrap();
    assert!(again() > 0, "a release");
    drop(take(&other));
    assert!(again() > 0, "a drop");
    held.remove(0).nack().unwrap();
    again();
    clock.advance(SECOND);
    let wait = stream.maintain().unwrap();
    assert!(again() > 0, "a backoff that is over, in the call that looks");
    assert!(wait.is_some_and(|wait| wait <= LEASE), "{wait:?}");
    held.extend(take_all(&other));
    again();
    other.leave().unwrap();
    assert!(again() > 0, "a member that goes");
    held.extend(take_all(&worker));
    again();
    group.pause().unwrap();
    fill(&stream, 1);
    again();
    group.resume().unwrap();
    assert!(again() > 0, "a pause that is over");
    drop(take_all(&worker));
    group.reset(Start::Earliest).unwrap();
    assert!(again() > 0, "a reset");
    worker.clear_ready();
    fill(&stream, 1);
    assert_eq!(again(), 0);
}

#[test]
fn room_calls_the_hooks_of_who_was_refused_for_want_of_it() {
    let Scene { group, worker, .. } = scene(3);
    group.alter(group.options().max_in_flight(1)).unwrap();
    let other = group.join("other").unwrap();
    let called = calls(&other);
    let held = take(&worker);
    assert_eq!(other.try_read(1).unwrap().blocked(), Some(Blocked::InFlight));
    called();
    held.ack().unwrap();
    assert!(called() > 0);
    let held = take(&worker);
    assert_eq!(other.try_read(1).unwrap().blocked(), Some(Blocked::InFlight));
    called();
    group.alter(group.options().max_in_flight(9)).unwrap();
    assert!(called() > 0);
    drop(held);
}

#[test]
fn a_hook_is_called_for_what_its_consumer_may_read_and_for_a_new_assignment() {
    let stream = Stream::options().partitions(2).in_memory().unwrap();
    let group = stream.group("g").strategy(RoundRobin).open(Start::Earliest).unwrap();
    let [one, two] = ["one", "two"].map(|name| group.join(name).unwrap());
    let (first, second) = (calls(&one), calls(&two));
    let appended = stream.append("entry").unwrap().partition();
    assert_eq!((first() > 0, second() > 0), (appended == 0, appended == 1));
    take_all(&one).into_iter().chain(take_all(&two)).for_each(|held| held.ack().unwrap());
    first();
    two.leave().unwrap();
    assert!(first() > 0, "its partitions are others");
    let before = second();
    stream.add_partitions(1).unwrap();
    assert!(first() > 0, "there are more");
    fill(&stream, 9);
    assert_eq!((before, second()), (before, 0), "it has left");
}

#[test]
fn a_read_that_finds_nothing_calls_the_hook_of_whose_entry_came_due() {
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock.clone()).partitions(2).in_memory().unwrap();
    let group = stream.group("g").strategy(RoundRobin).open(Start::Earliest).unwrap();
    let [one, two] = ["one", "two"].map(|name| group.join(name).unwrap());
    fill(&stream, 2);
    take(&one).ack().unwrap();
    take(&two).nack_after(SECOND).unwrap();
    let called = calls(&two);
    assert!(idle(&one));
    assert_eq!(called(), 0, "it is not due");
    clock.advance(SECOND);
    assert!(idle(&one));
    assert!(called() > 0);
    take(&two).ack().unwrap();
}

/// What ends, and the error that tells of it.
type End = (fn(&Stream, &Group, &ManualClock), fn(&Error) -> bool);

#[test]
fn a_hook_is_called_when_its_consumer_or_what_it_stands_on_ends() {
    let ends: [End; 4] = [
        (|_, group, _| group.delete().unwrap(), |error| matches!(error, Error::GroupDeleted)),
        (|stream, _, _| stream.clone().close().unwrap(), |error| matches!(error, Error::Closed)),
        (
            |_, group, _| group.remove_consumer("worker").unwrap(),
            |error| matches!(error, Error::NotAMember { .. }),
        ),
        (
            |stream, _, clock| {
                clock.advance(HOUR);
                stream.maintain().unwrap();
            },
            |error| matches!(error, Error::NotAMember { .. }),
        ),
    ];
    for (end, right) in ends {
        let Scene { clock, stream, group, worker } = scene(0);
        let called = calls(&worker);
        end(&stream, &group, &clock);
        assert!(called() > 0);
        let error = worker.try_read(1).unwrap_err();
        assert!(right(&error), "{error}");
        let error = worker.on_ready(|| {}).unwrap_err();
        assert!(right(&error), "{error}");
    }
}

#[test]
fn a_hook_may_call_everything() {
    let Scene { stream, group, worker, clock } = scene(2);
    let (said, heard) = mpsc::channel();
    let (of, within) = (stream.clone(), worker.clone());
    let used = group.clone();
    worker
        .on_ready(move || {
            // Each of these takes locks of its own; the consumer is this hook's own as well.
            let made = of.group("another").open(Start::Earliest);
            let stopped = matches!(made, Err(Error::Closed));
            let deleted = of.group("another").open_existing().and_then(|group| group.delete());
            drop((made, deleted, of.info(), used.info(), used.lag()));
            drop(of.trim_before(millstream::EntryId::new(0, 0)));
            let read = within.try_read(1).map_or(0, |batch| batch.into_iter().count());
            let _ = said.send((read, stopped));
        })
        .unwrap();
    fill(&stream, 1);
    stream.trim_before(millstream::EntryId::new(0, 1)).unwrap();
    stream.add_partitions(1).unwrap();
    group.alter(group.options().max_deliveries(5)).unwrap();
    group.pause().unwrap();
    group.resume().unwrap();
    group.reset(Start::Earliest).unwrap();
    stream.group("other").open(Start::Earliest).unwrap().delete().unwrap();
    clock.advance(LEASE);
    stream.maintain().unwrap();
    stream.sync().unwrap();
    drop(worker);
    stream.close().unwrap();
    let calls: Vec<(usize, bool)> = heard.try_iter().collect();
    assert!(calls.iter().map(|(read, _)| read).sum::<usize>() >= 3, "{calls:?}");
    assert!(calls.last().unwrap().1, "the last call is of the end: {calls:?}");
    // The hook is gone, with the handles that it had.
    assert!(matches!(heard.try_recv(), Err(mpsc::TryRecvError::Disconnected)));
}

#[test]
fn a_hook_that_panics_is_nobodys_trouble() {
    let Scene { stream, worker, .. } = scene(0);
    worker.on_ready(|| panic!("a hook of the user's own")).unwrap();
    fill(&stream, 2);
    assert_eq!(take_all(&worker).len(), 2);
    let called = calls(&worker);
    fill(&stream, 1);
    assert!(called() > 0);
}

#[test]
fn no_entry_is_missed_by_who_reads_until_empty_and_waits_for_the_hook() {
    const ENTRIES: usize = 2_000;
    let stream = Stream::options().partitions(2).in_memory().unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    let done = AtomicUsize::new(0);
    let (wakes, waiting): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel()).unzip();
    let wakes = Arc::new(Mutex::new(wakes));
    thread::scope(|scope| {
        for (number, woken) in waiting.into_iter().enumerate() {
            let worker = group.join(&format!("worker {number}")).unwrap();
            let wake = wakes.lock().unwrap()[number].clone();
            worker
                .on_ready(move || {
                    let _ = wake.send(());
                })
                .unwrap();
            let (done, wakes) = (&done, Arc::clone(&wakes));
            scope.spawn(move || {
                while done.load(Ordering::SeqCst) < ENTRIES {
                    woken.recv().unwrap();
                    loop {
                        let batch = worker.try_read(3).unwrap();
                        if batch.is_empty() {
                            break;
                        }
                        done.fetch_add(batch.len(), Ordering::SeqCst);
                        assert!(batch.ack_all().unwrap().is_complete());
                    }
                }
                wakes.lock().unwrap().iter().for_each(|wake| {
                    let _ = wake.send(());
                });
            });
        }
        for _ in 0..2 {
            let stream = &stream;
            scope.spawn(move || fill(stream, ENTRIES / 2));
        }
    });
    assert_eq!((done.into_inner(), group.lag().unwrap()), (ENTRIES, 0));
}
