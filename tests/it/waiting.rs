//! Blocked reads (D16): who wakes them, in what order, and how they end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use millstream::{
    Blocked, Clock, Consumer, Delivery, Durability, Error, Gone, Group, ManualClock, Result, Start,
    Stream,
};

use crate::scene::{HOUR, LEASE, SECOND, Scene, fill, id, scene, scene_with, seen, take};

/// Blocks in `read` on a thread of its own, does `then`, and gives what the read returned.
fn during<T: Send>(clock: &ManualClock, read: impl FnOnce() -> T + Send, then: impl FnOnce()) -> T {
    thread::scope(|scope| {
        let reading = scope.spawn(read);
        clock.wait_for_blocked(1);
        then();
        reading.join().unwrap()
    })
}

fn ids(worker: &Consumer) -> Vec<(u64, u16)> {
    seen(&worker.read(9).unwrap())
}

#[test]
fn an_append_wakes_a_blocked_read_of_any_kind() {
    let Scene { clock, stream, worker, .. } = scene(0);
    let append = || fill(&stream, 1);
    assert_eq!(during(&clock, || ids(&worker), append), [(0, 1)]);
    let reader = stream.reader(Start::Latest).unwrap();
    assert_eq!(during(&clock, || reader.read(9).unwrap().len(), append), 1);
    let subscription = stream.subscribe().unwrap();
    assert_eq!(during(&clock, || subscription.read(9).unwrap().len(), append), 1);
    let batch = || assert_eq!(stream.append_batch(["a", "b", "c"]).unwrap().len(), 3);
    assert_eq!(during(&clock, || subscription.read(9).unwrap().len(), batch), 3);
    let each = || drop(stream.append_each(["a", "b"]).unwrap());
    assert!(during(&clock, || subscription.read(1).unwrap().len(), each) == 1);
}

#[test]
fn what_is_shown_only_when_durable_wakes_too() {
    let clock = ManualClock::new();
    let options = Stream::options().clock(clock.clone()).durability(Durability::Always);
    let stream = options.in_memory().unwrap();
    let worker = stream.group("g").open(Start::Earliest).unwrap().join("worker").unwrap();
    let subscription = stream.subscribe().unwrap();
    assert_eq!(during(&clock, || ids(&worker), || fill(&stream, 1)), [(0, 1)]);
    assert_eq!(subscription.read(9).unwrap().len(), 1);
    assert_eq!(during(&clock, || subscription.read(9).unwrap().len(), || fill(&stream, 1)), 1);
}

#[test]
fn reads_are_served_in_the_order_they_blocked() {
    let Scene { clock, stream, group, .. } = scene(0);
    let (served, order) = mpsc::channel();
    let order: Vec<(usize, u64)> = thread::scope(|scope| {
        for number in 0..4 {
            let (served, group) = (served.clone(), &group);
            scope.spawn(move || {
                let worker = group.join(&format!("worker {number}")).unwrap();
                if let Ok(batch) = worker.read(1) {
                    let offset = batch.iter().next().unwrap().id().offset();
                    assert!(batch.ack_all().unwrap().is_complete());
                    served.send((number, offset)).unwrap();
                }
            });
            clock.wait_for_blocked(number + 1);
        }
        let order = (0..4).map(|_| {
            fill(&stream, 1);
            order.recv().unwrap()
        });
        let order = order.collect();
        stream.clone().close().unwrap();
        order
    });
    assert_eq!(order, [(0, 0), (1, 1), (2, 2), (3, 3)]);
}

#[test]
fn one_append_of_many_serves_all_that_are_blocked() {
    let Scene { clock, stream, group, .. } = scene(0);
    let read = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..4 {
            let (group, read) = (&group, &read);
            scope.spawn(move || {
                let worker = group.join(&format!("worker {number}")).unwrap();
                let batch = worker.read(1).unwrap();
                read.fetch_add(batch.len(), Ordering::Relaxed);
                assert!(batch.ack_all().unwrap().is_complete());
            });
        }
        clock.wait_for_blocked(4);
        stream.append_batch(["a", "b", "c", "d"]).unwrap();
    });
    assert_eq!((read.into_inner(), group.lag().unwrap()), (4, 0));
}

#[test]
fn a_read_that_waits_so_long_ends_empty() {
    let Scene { clock, stream, worker, .. } = scene(0);
    let advance = || clock.advance(SECOND * 5);
    let empty = during(&clock, || worker.read_timeout(1, SECOND * 5).unwrap(), advance);
    assert_eq!((empty.len(), empty.blocked()), (0, Some(Blocked::Empty)));
    let reader = stream.reader(Start::Earliest).unwrap();
    assert!(during(&clock, || reader.read_timeout(1, SECOND * 5).unwrap(), advance).is_empty());
    let subscription = stream.subscribe().unwrap();
    let read = || subscription.read_timeout(1, SECOND * 5).unwrap();
    assert!(during(&clock, read, advance).is_empty());
}

#[test]
fn what_becomes_due_wakes_a_blocked_read() {
    let Scene { clock, group, worker, .. } = scene(2);
    let other = group.join("other").unwrap();
    take(&worker).nack().unwrap();
    let kept = take(&worker);
    // The end of a backoff.
    assert_eq!(during(&clock, || ids(&other), || clock.advance(SECOND)), [(0, 2)]);
    // It was looked at and dropped: the backoff again.
    assert_eq!(during(&clock, || ids(&other), || clock.advance(SECOND)), [(0, 3)]);
    kept.ack().unwrap();
    // A lease that ends, and the backoff after it.
    let taken = during(&clock, || take_blocked(&other), || clock.advance(SECOND));
    assert_eq!(taken.attempt(), 4);
    let steps = || {
        clock.advance(LEASE);
        clock.wait_for_blocked(1);
        clock.advance(SECOND);
    };
    assert_eq!(during(&clock, || ids(&worker), steps), [(0, 5)]);
    taken.ack().unwrap_err();
}

fn take_blocked(worker: &Consumer) -> millstream::Delivery {
    worker.read(1).unwrap().into_iter().next().unwrap()
}

#[test]
fn what_is_handed_back_wakes_a_blocked_read() {
    let ways: [fn(&Group, Consumer, Delivery); 7] = [
        |_, _, delivery| delivery.release().unwrap(),
        |_, _, delivery| delivery.nack_after(Duration::ZERO).unwrap(),
        |_, holder, delivery| {
            holder.leave().unwrap();
            drop(delivery);
        },
        |_, holder, delivery| {
            drop(holder);
            drop(delivery);
        },
        |group, _, delivery| {
            group.remove_consumer("worker").unwrap();
            drop(delivery);
        },
        |group, _, delivery| {
            delivery.reject("bad").unwrap();
            assert_eq!(group.redrive(1).unwrap(), 1);
        },
        |group, _, delivery| {
            assert!(group.release([delivery.detach()]).unwrap().is_complete());
        },
    ];
    for way in ways {
        let Scene { clock, group, worker, .. } = scene_with(1, |group| group.lease(HOUR));
        let (held, other) = (take(&worker), group.join("other").unwrap());
        let got = during(&clock, || ids(&other), || way(&group, worker, held));
        assert_eq!(got.len(), 1);
    }
    let Scene { clock, group, worker, .. } = scene_with(1, |group| group.lease(HOUR));
    let (batch, other) = (worker.try_read(1).unwrap(), group.join("other").unwrap());
    assert_eq!(during(&clock, || ids(&other), || drop(batch)), [(0, 1)]);
}

#[test]
fn an_ack_lets_a_read_go_on_that_max_in_flight_held() {
    let Scene { clock, worker, .. } = scene_with(2, |group| group.max_in_flight(1));
    let first = take(&worker);
    let read = || ids(&worker);
    assert_eq!(during(&clock, read, || first.ack().unwrap()), [(1, 1)]);
}

#[test]
fn a_wake_that_one_cannot_use_goes_to_the_next() {
    let Scene { clock, stream, group, worker } =
        scene_with(1, |group| group.max_in_flight_per_consumer(1));
    let _kept = take(&worker).detach();
    let other = group.join("other").unwrap();
    let (got, ended) = thread::scope(|scope| {
        let full = scope.spawn(|| worker.read(1).map(drop));
        clock.wait_for_blocked(1);
        let free = scope.spawn(|| ids(&other));
        clock.wait_for_blocked(2);
        fill(&stream, 1);
        let got = free.join().unwrap();
        group.delete().unwrap();
        (got, full.join().unwrap())
    });
    assert_eq!(got, [(1, 1)]);
    assert!(matches!(ended, Err(Error::GroupDeleted)));
}

#[test]
fn a_blocked_read_ends_with_what_it_stood_on() {
    let ended = |end: &dyn Fn(&Scene)| {
        let scene = scene(0);
        let read = || scene.worker.read(1).unwrap_err();
        during(&scene.clock, read, || end(&scene))
    };
    let closed = ended(&|scene| scene.stream.clone().close().unwrap());
    assert!(closed.is_closed(), "{closed}");
    let deleted = ended(&|scene| scene.group.delete().unwrap());
    assert!(matches!(deleted, Error::GroupDeleted), "{deleted}");
    let removed = ended(&|scene| scene.group.remove_consumer("worker").unwrap());
    assert!(matches!(removed, Error::NotAMember { why: Gone::Removed }), "{removed}");
    let left = ended(&|scene| scene.worker.clone().leave().unwrap());
    assert!(matches!(left, Error::NotAMember { why: Gone::Left }), "{left}");
    let Scene { clock, stream, .. } = scene(0);
    let close = || stream.clone().close().unwrap();
    let reader = stream.reader(Start::Latest).unwrap();
    assert!(during(&clock, || reader.read(1).unwrap_err(), close).is_closed());
    let Scene { clock, stream, .. } = scene(0);
    let subscription = stream.subscribe().unwrap();
    let close = || stream.clone().close().unwrap();
    assert!(during(&clock, || subscription.read(1).unwrap_err(), close).is_closed());
}

#[test]
fn a_self_advancing_clock_never_hangs() {
    let clock = ManualClock::self_advancing();
    let stream = Stream::options().clock(clock.clone()).in_memory().unwrap();
    let group = stream.group("g").lease(LEASE).open(Start::Earliest).unwrap();
    let (first, second) = (group.join("first").unwrap(), group.join("second").unwrap());
    assert!(stream.subscribe().unwrap().read(1).unwrap().is_empty());
    assert!(stream.reader(Start::Latest).unwrap().read(1).unwrap().is_empty());
    let before = clock.monotonic();
    assert!(second.read_timeout(1, SECOND * 7).unwrap().is_empty());
    assert_eq!(clock.monotonic() - before, SECOND * 7);
    fill(&stream, 1);
    let _kept = take(&first).detach();
    // It waits for the lease to end, and for the backoff after it.
    assert_eq!(ids(&second), [(0, 2)]);
    let batch = second.read(1).unwrap();
    assert_eq!(seen(&batch), [(0, 3)]);
    assert!(batch.ack_all().unwrap().is_complete());
    assert!(second.read(1).unwrap().is_empty());
    assert_eq!(group.info().unwrap().acked, 1);
}

#[test]
fn followers_see_every_entry_once_and_what_came_before_only_if_they_started_there() {
    let Scene { stream, .. } = scene(3);
    let (early, late) = (stream.reader(Start::At(id(1))).unwrap(), stream.subscribe().unwrap());
    let second = stream.subscribe().unwrap();
    fill(&stream, 2);
    let offsets = |entries: millstream::Entries| {
        entries.iter().map(|entry| entry.id().offset()).collect::<Vec<_>>()
    };
    assert_eq!(offsets(early.read(2).unwrap()), [1, 2]);
    assert_eq!(offsets(early.read(9).unwrap()), [3, 4]);
    assert_eq!(offsets(late.read(9).unwrap()), [3, 4]);
    assert_eq!(offsets(second.read(1).unwrap()), [3]);
    assert!(late.try_read(9).unwrap().is_empty());
}

/// Two threads that wait for each other at every step: one lost wake, and they wait for ever.
fn ping_pong<R: Send>(
    durability: Durability,
    follow: impl Fn(&Stream) -> R,
    read: impl Fn(&R) -> Result<usize> + Sync,
) {
    let open = || Stream::options().durability(durability).in_memory().unwrap();
    let (there, back) = (open(), open());
    let (calls, answers) = (follow(&there), follow(&back));
    let rounds = 3_000;
    thread::scope(|scope| {
        let (read, back) = (&read, back.clone());
        scope.spawn(move || {
            for _ in 0..rounds {
                assert_eq!(read(&calls).unwrap(), 1);
                back.append("pong").unwrap();
            }
        });
        for _ in 0..rounds {
            there.append("ping").unwrap();
            assert_eq!(read(&answers).unwrap(), 1);
        }
    });
}

#[test]
fn no_wake_is_lost_between_looking_and_sleeping() {
    for durability in [Durability::Os, Durability::Always] {
        let member = |stream: &Stream| {
            stream.group("g").open(Start::Earliest).unwrap().join("worker").unwrap()
        };
        ping_pong(durability, member, |worker| {
            let batch = worker.read(10)?;
            assert!(batch.ack_all()?.is_complete());
            Ok(batch.len())
        });
        ping_pong(durability, |stream| stream.subscribe().unwrap(), |s| Ok(s.read(10)?.len()));
    }
}

#[test]
fn no_wake_is_lost_among_many_readers_of_one_group() {
    let stream = Stream::options().partitions(2).in_memory().unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    let (total, done) = (6_000, AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..6 {
            let (group, done, stream) = (&group, &done, &stream);
            scope.spawn(move || {
                let worker = match group.join(&format!("worker {number}")) {
                    // The others were done before this one began.
                    Err(error) if error.is_closed() => return,
                    joined => joined.unwrap(),
                };
                while let Ok(batch) = worker.read(2) {
                    assert!(batch.ack_all().unwrap().is_complete());
                    if done.fetch_add(batch.len(), Ordering::Relaxed) + batch.len() == total {
                        stream.clone().close().unwrap();
                    }
                }
            });
        }
        fill(&stream, total);
    });
    assert_eq!(done.into_inner(), total);
}
