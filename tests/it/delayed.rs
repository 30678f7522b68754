//! Entries that say when groups are to see them (D1, D3, D8, D13).

use std::time::{Duration, SystemTime};

use millstream::{
    AckMode, Blocked, Clock, Error, ManualClock, NewEntry, PendingQuery, Start, Stream,
    assign::RoundRobin,
};

use crate::scene::{
    HOUR, SECOND, Scene, id, idle, scene, scene_on, scene_with, seen, take, take_all,
};

fn delayed(text: &str, wait: Duration) -> NewEntry<'_> {
    NewEntry::new(text).deliver_after(wait)
}

#[test]
fn a_delayed_entry_comes_in_its_time_and_those_behind_it_do_not_wait() {
    let Scene { clock, stream, group, worker } = scene(1);
    stream.append(delayed("later", SECOND * 60)).unwrap();
    stream.append("now").unwrap();
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(0, 1), (2, 1)]);
    let info = group.info().unwrap();
    // What was looked at and dropped waits for its backoff.
    assert_eq!((info.lag, info.deferred, info.delayed, info.redelivered), (3, 1, 3, 0));
    clock.advance(SECOND * 60 - Duration::from_micros(1));
    for delivery in take_all(&worker) {
        delivery.ack().unwrap();
    }
    assert_eq!(group.lag().unwrap(), 1);
    clock.advance(Duration::from_micros(1));
    let delivery = take(&worker);
    assert_eq!((delivery.id(), delivery.attempt(), delivery.payload()), (id(1), 1, &b"later"[..]));
    delivery.ack().unwrap();
    assert_eq!((group.lag().unwrap(), group.floors().unwrap()), (0, vec![3]));
    assert_eq!(group.info().unwrap().redelivered, 2, "the dropped batch came twice");
}

#[test]
fn readers_subscriptions_and_get_see_it_at_once_with_its_time() {
    let Scene { clock, stream, .. } = scene(0);
    let subscription = stream.subscribe().unwrap();
    let at = clock.wall() + HOUR;
    let last = stream.append(NewEntry::new("x").key("k").subject("a.b").deliver_at(at)).unwrap();
    stream.append(delayed("y", SECOND)).unwrap();
    stream.append("z").unwrap();
    let entry = stream.get(last).unwrap().unwrap();
    assert_eq!(
        (entry.due(), entry.key(), entry.subject()),
        (Some(at), Some(&b"k"[..]), Some("a.b"))
    );
    let times = [Some(at), Some(clock.wall() + SECOND), None];
    let reader = stream.reader(Start::Earliest).unwrap();
    for entries in [subscription.try_read(9).unwrap(), reader.try_read(9).unwrap()] {
        assert_eq!(entries.iter().map(|entry| entry.due()).collect::<Vec<_>>(), times);
    }
}

#[test]
fn entries_that_are_due_already_are_like_all_others() {
    let Scene { clock, stream, worker, group } = scene(0);
    stream.append(NewEntry::new("past").deliver_at(SystemTime::UNIX_EPOCH)).unwrap();
    stream.append(NewEntry::new("now").deliver_at(clock.wall())).unwrap();
    stream.append(delayed("at once", Duration::ZERO)).unwrap();
    stream.append(delayed("soon", SECOND)).unwrap();
    assert_eq!(take_all(&worker).len(), 3);
    assert_eq!(group.info().unwrap().deferred, 1);
    // A group that is made later meets it when it is due.
    clock.advance(SECOND);
    let late = stream.group("late").open(Start::Earliest).unwrap();
    assert_eq!(seen(&late.join("w").unwrap().try_read(9).unwrap()).len(), 4);
    assert_eq!(late.info().unwrap().deferred, 0);
}

#[test]
fn several_come_by_their_times_and_then_by_their_ids() {
    let Scene { clock, stream, worker, .. } = scene(0);
    for seconds in [30, 10, 20, 10] {
        stream.append(delayed("", SECOND * seconds)).unwrap();
    }
    assert!(idle(&worker));
    clock.advance(SECOND * 15);
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(1, 1), (3, 1)]);
    clock.advance(SECOND * 15);
    let batch = worker.try_read(9).unwrap();
    assert_eq!(seen(&batch), [(1, 2), (3, 2), (2, 1), (0, 1)]);
}

#[test]
fn a_batch_may_mix_them_and_is_read_in_runs() {
    let Scene { clock, stream, worker, group } = scene(0);
    let texts: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let entry = |n: usize| {
        let entry = NewEntry::new(&texts[n]);
        if n % 3 == 1 { entry.deliver_after(SECOND * 9) } else { entry }
    };
    stream.append_batch((0..500).map(entry)).unwrap();
    let mut first = Vec::new();
    while first.len() < 333 {
        let batch = worker.try_read(50).unwrap();
        assert!(batch.len() == 50 || first.len() + batch.len() == 333);
        first.extend(batch.iter().map(|held| held.id().offset()));
        assert!(batch.ack_all().unwrap().is_complete());
    }
    assert_eq!(first, (0..500).filter(|n| n % 3 != 1).collect::<Vec<_>>());
    assert!(idle(&worker));
    assert_eq!(group.floors().unwrap(), [1]);
    clock.advance(SECOND * 9);
    let second = worker.try_read(500).unwrap();
    let expected: Vec<_> = (0..500).filter(|n| n % 3 == 1).map(|n| (n, 1)).collect();
    assert_eq!(seen(&second), expected);
    for held in &second {
        assert_eq!(held.payload(), held.id().offset().to_string().as_bytes());
    }
    assert!(second.ack_all().unwrap().is_complete());
    assert_eq!((group.lag().unwrap(), group.floors().unwrap()), (0, vec![500]));
}

#[test]
fn delays_survive_a_reopening_and_pending_ones_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let scene = scene_on(dir.path(), &clock, 0);
    scene.stream.append(delayed("met", SECOND * 60)).unwrap();
    assert!(idle(&scene.worker));
    scene.stream.append(delayed("not met", SECOND * 60)).unwrap();
    scene.stream.close().unwrap();
    clock.advance(SECOND * 40);
    let scene = scene_on(dir.path(), &clock, 0);
    let pending = scene.group.pending_entries(&PendingQuery::new()).unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!((pending[0].attempts, pending[0].due_in), (0, SECOND * 20));
    assert!(idle(&scene.worker));
    assert_eq!(scene.group.info().unwrap().deferred, 2);
    clock.advance(SECOND * 20);
    assert_eq!(seen(&scene.worker.try_read(9).unwrap()), [(0, 1), (1, 1)]);
}

#[test]
fn a_clock_that_is_set_back_does_not_lengthen_a_delay() {
    let dir = tempfile::tempdir().unwrap();
    let start = SystemTime::UNIX_EPOCH + HOUR * 1_000;
    let scene = scene_on(dir.path(), &ManualClock::at(start), 0);
    scene.stream.append(delayed("", SECOND * 60)).unwrap();
    assert!(idle(&scene.worker));
    scene.stream.close().unwrap();
    let clock = ManualClock::at(start - HOUR * 9);
    let scene = scene_on(dir.path(), &clock, 0);
    assert_eq!(scene.group.next_deadline(), Some(SECOND * 60));
    clock.advance(SECOND * 60);
    assert_eq!(seen(&scene.worker.try_read(9).unwrap()), [(0, 1)]);
}

#[test]
fn next_deadline_and_blocked_reads_know_of_it() {
    let clock = ManualClock::self_advancing();
    let stream = Stream::options().clock(clock.clone()).in_memory().unwrap();
    let group = stream.group("g").session_timeout(HOUR * 9).open(Start::Earliest).unwrap();
    let worker = group.join("w").unwrap();
    let start = clock.wall();
    stream.append(delayed("b", SECOND * 70)).unwrap();
    stream.append(delayed("a", SECOND * 50)).unwrap();
    assert!(idle(&worker));
    assert_eq!(group.next_deadline(), Some(SECOND * 50));
    assert_eq!(stream.next_deadline(), Some(SECOND * 50));
    for (payload, seconds) in [(b"a", 50), (b"b", 70)] {
        let batch = worker.read_timeout(9, HOUR).unwrap();
        let delivery = batch.into_iter().next().unwrap();
        assert_eq!(delivery.payload(), payload);
        assert_eq!(clock.wall(), start + SECOND * seconds);
        delivery.ack().unwrap();
    }
}

#[test]
fn a_read_that_is_blocked_first_keeps_time_for_what_another_read_met() {
    let Scene { clock, stream, worker, group } = scene(0);
    let other = group.join("other").unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| worker.read_timeout(9, HOUR).unwrap().len());
        while group.info().unwrap().blocked_reads == 0 {
            std::thread::yield_now();
        }
        stream.append(delayed("", SECOND)).unwrap();
        assert!(idle(&other));
        clock.advance(SECOND);
        assert_eq!(first.join().unwrap(), 1);
    });
}

#[test]
fn they_do_not_use_up_what_may_be_in_flight() {
    let scene = scene_with(0, |options| options.max_in_flight(2));
    for _ in 0..5 {
        scene.stream.append(delayed("", SECOND)).unwrap();
    }
    scene.stream.append_batch(["a", "b", "c"]).unwrap();
    let held = take_all(&scene.worker);
    assert_eq!(held.len(), 2);
    assert_eq!(scene.worker.try_read(1).unwrap().blocked(), Some(Blocked::InFlight));
    scene.clock.advance(SECOND);
    for delivery in held {
        delivery.ack().unwrap();
    }
    assert_eq!(seen(&scene.worker.try_read(9).unwrap()), [(0, 1), (1, 1)]);
}

#[test]
fn where_too_many_wait_a_further_one_holds_up_its_partition_and_the_read_says_so() {
    let scene = scene_with(0, |options| options.delayed_max(2));
    let Scene { clock, stream, group, worker } = &scene;
    for seconds in [10, 20, 30] {
        stream.append(delayed("", SECOND * seconds)).unwrap();
    }
    stream.append("behind").unwrap();
    let nothing = worker.try_read(9).unwrap();
    assert_eq!((nothing.len(), nothing.blocked()), (0, Some(Blocked::Delayed)));
    assert_eq!(group.info().unwrap().partitions[0].next, 2);
    assert_eq!(group.next_deadline(), Some(SECOND * 10));
    clock.advance(SECOND * 10);
    // One that comes due makes room for the next.
    let batch = worker.try_read(9).unwrap();
    assert_eq!(seen(&batch), [(0, 1)]);
    assert!(batch.ack_all().unwrap().is_complete());
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(3, 1)]);
    assert_eq!(group.info().unwrap().deferred, 2);
}

#[test]
fn with_no_room_at_all_the_order_of_offsets_is_kept() {
    let clock = ManualClock::self_advancing();
    let stream = Stream::options().partitions(2).clock(clock.clone()).in_memory().unwrap();
    let group = stream.group("g").session_timeout(HOUR).delayed_max(0).open(Start::Earliest);
    let group = group.unwrap();
    let worker = group.join("w").unwrap();
    let keys: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for (n, key) in (0..).zip(&keys) {
        stream.append(delayed("", SECOND * (n % 3)).key(key)).unwrap();
    }
    let mut next = [0, 0];
    for _ in 0..20 {
        let delivery = worker.read_timeout(1, HOUR).unwrap().into_iter().next().unwrap();
        let partition = delivery.id().partition() as usize;
        assert_eq!(delivery.id().offset(), next[partition]);
        next[partition] += 1;
        delivery.ack().unwrap();
    }
    assert_eq!((group.lag().unwrap(), group.info().unwrap().deferred), (0, 0));
}

#[test]
fn blocked_members_whose_partitions_are_held_up_wake_when_those_are_due_and_not_before() {
    let clock = ManualClock::self_advancing();
    let stream = Stream::options().partitions(2).clock(clock.clone()).in_memory().unwrap();
    let options = stream.group("g").strategy(RoundRobin).session_timeout(HOUR * 9).delayed_max(0);
    let group = options.open(Start::Earliest).unwrap();
    let workers = [group.join("a").unwrap(), group.join("b").unwrap()];
    stream.append_each([delayed("", SECOND * 10), delayed("", SECOND * 20)]).unwrap();
    let start = clock.wall();
    std::thread::scope(|scope| {
        for worker in &workers {
            // What a member is told of its partitions ends its first read early.
            scope.spawn(|| {
                let read = || worker.read_timeout(9, HOUR).unwrap();
                let batch = std::iter::repeat_with(read).find(|batch| !batch.is_empty()).unwrap();
                assert!(batch.ack_all().unwrap().is_complete());
            });
        }
    });
    assert_eq!(group.lag().unwrap(), 0);
    assert!(clock.wall() >= start + SECOND * 20 && clock.wall() < start + HOUR);
}

#[test]
fn a_read_that_settles_what_it_hands_out_leaves_the_delayed() {
    let scene = scene_with(2, |options| options.ack_mode(AckMode::OnRead));
    scene.stream.append(delayed("", SECOND)).unwrap();
    scene.stream.append("last").unwrap();
    assert_eq!(seen(&scene.worker.try_read(9).unwrap()), [(0, 1), (1, 1), (3, 1)]);
    assert_eq!(scene.group.lag().unwrap(), 1);
    scene.clock.advance(SECOND);
    assert_eq!(seen(&scene.worker.try_read(9).unwrap()), [(2, 1)]);
    assert_eq!(scene.group.lag().unwrap(), 0);
}

#[test]
fn acking_through_an_entry_leaves_the_delayed() {
    let scene = scene(2);
    scene.stream.append(delayed("", SECOND)).unwrap();
    scene.stream.append("last").unwrap();
    drop(take_all(&scene.worker).into_iter().map(millstream::Delivery::detach).collect::<Vec<_>>());
    assert_eq!(scene.worker.ack_through(id(3)).unwrap(), 3);
    assert_eq!(scene.group.lag().unwrap(), 1);
    scene.clock.advance(SECOND);
    assert_eq!(seen(&scene.worker.try_read(9).unwrap()), [(2, 1)]);
}

#[test]
fn a_group_that_is_reset_meets_them_anew() {
    let scene = scene(1);
    scene.stream.append(delayed("", SECOND * 10)).unwrap();
    take(&scene.worker).ack().unwrap();
    scene.group.reset(Start::Earliest).unwrap();
    assert_eq!(scene.group.info().unwrap().deferred, 0);
    assert_eq!(seen(&scene.worker.try_read(9).unwrap()), [(0, 1)]);
    scene.clock.advance(SECOND * 10);
    assert_eq!(seen(&scene.worker.try_read(9).unwrap()), [(0, 2), (1, 1)]);
}

#[test]
fn a_read_goes_past_more_of_them_than_it_may_hand_out() {
    let Scene { clock, stream, group, worker } = scene(0);
    for _ in 0..10 {
        stream.append_batch(vec![delayed("waits", SECOND); 1_000]).unwrap();
    }
    stream.append("behind").unwrap();
    assert_eq!(seen(&worker.try_read(1).unwrap()), [(10_000, 1)]);
    assert_eq!(group.info().unwrap().deferred, 10_000);
    clock.advance(SECOND);
    let mut count = 0;
    loop {
        let batch = worker.try_read(999).unwrap();
        if batch.is_empty() {
            break;
        }
        count += batch.len();
        assert!(batch.ack_all().unwrap().is_complete());
    }
    assert_eq!((count, group.lag().unwrap()), (10_001, 0));
}

#[test]
fn delays_beyond_their_bound_are_refused_and_times_are_not() {
    let Scene { stream, worker, group, .. } = scene(0);
    let long = stream.append(delayed("", Duration::MAX)).unwrap_err();
    assert!(matches!(long, Error::InvalidOption { option: "deliver_after", .. }), "{long}");
    let far = SystemTime::UNIX_EPOCH + HOUR * 24 * 365 * 300;
    stream.append(NewEntry::new("far").deliver_at(far)).unwrap();
    assert!(idle(&worker));
    assert_eq!((group.lag().unwrap(), group.info().unwrap().deferred), (1, 1));
    let refused = stream.group("h").delayed_max((1 << 30) + 1).open(Start::Earliest).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "delayed_max", .. }), "{refused}");
}

#[test]
fn a_filtered_group_goes_past_the_delayed_and_the_foreign() {
    let scene = scene_with(0, |options| options.filter("mine.>").delayed_max(40));
    let Scene { clock, stream, group, worker } = &scene;
    let subjects = ["mine.a", "other.a"];
    let entry = |n: usize| {
        let entry = NewEntry::new("x").subject(subjects[n % 2]);
        if n.is_multiple_of(3) { entry.deliver_after(SECOND * 9) } else { entry }
    };
    stream.append_batch((0..120).map(entry)).unwrap();
    let first = worker.try_read(100).unwrap();
    let of = |late: bool| (0..120).filter(move |n| n % 2 == 0 && (n % 3 == 0) == late);
    let all = |late| of(late).map(|n| (n, 1)).collect::<Vec<_>>();
    assert_eq!(seen(&first), all(false));
    let info = group.info().unwrap();
    assert_eq!((info.lag, info.undelivered, info.deferred, info.leased), (60, 0, 20, 40));
    assert!(first.ack_all().unwrap().is_complete());
    // What waits already leaves room for half of the next.
    stream.append_batch((0..120).map(entry)).unwrap();
    let second = worker.try_read(100).unwrap();
    assert_eq!((second.len(), group.info().unwrap().lag), (40, 80));
    assert!(second.ack_all().unwrap().is_complete());
    stream.append_batch((0..6).map(entry)).unwrap();
    let nothing = worker.try_read(100).unwrap();
    assert_eq!((nothing.len(), nothing.blocked()), (0, Some(Blocked::Delayed)));
    assert_eq!((group.lag().unwrap(), group.info().unwrap().undelivered), (43, 3));
    clock.advance(SECOND * 9);
    let third = worker.try_read(100).unwrap();
    assert_eq!(seen(&third)[..20], all(true));
    assert_eq!((third.len(), group.info().unwrap().deferred), (43, 0));
    assert!(third.ack_all().unwrap().is_complete());
    assert_eq!((group.lag().unwrap(), group.floors().unwrap()), (0, vec![246]));
}

#[test]
fn what_is_put_off_takes_no_bytes_in_flight() {
    let scene = scene_with(0, |options| options.max_in_flight_bytes(10_000));
    let Scene { stream, worker, .. } = &scene;
    let text = "x".repeat(90);
    for round in 0..12 {
        // Entries of one frame, which is copied as a whole.
        let waits = vec![delayed(&text, SECOND); 30];
        stream.append_batch(waits.into_iter().chain([NewEntry::new("plain")])).unwrap();
        let kept = take_all(worker);
        assert_eq!(kept.len(), 1, "round {round}");
        drop(kept.into_iter().map(millstream::Delivery::detach).collect::<Vec<_>>());
    }
    assert_eq!(worker.try_read(9).unwrap().blocked(), Some(Blocked::Empty));
}
