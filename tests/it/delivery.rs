//! An entry between its hand-out and its end (D1 to D6, D8): verbs, tokens, retries, order.

use std::time::Duration;

use millstream::{
    Backoff, Blocked, Error, Exhausted, Group, Lost, ManualClock, PendingQuery, Start, Stream,
    Token,
};

use crate::scene::{
    HOUR, LEASE, SECOND, Scene, fill, id, idle, parked, scene, scene_on, scene_with, seen, take,
    take_all,
};

fn refused(group: &Group, token: Token) -> Option<Lost> {
    let settlement = group.ack([token]).unwrap();
    assert!(settlement.refused.iter().all(|(id, _)| *id == token.id()));
    settlement.refused.first().map(|(_, why)| *why)
}

#[test]
fn an_acked_entry_never_comes_again() {
    let Scene { clock, group, worker, .. } = scene(1);
    take(&worker).ack().unwrap();
    clock.advance(HOUR / 2);
    assert!(idle(&worker));
    let info = group.info().unwrap();
    assert_eq!((info.lag, info.acked, info.leased), (0, 1, 0));
    assert_eq!(group.floors().unwrap(), [1]);
}

#[test]
fn a_nacked_entry_comes_after_the_backoff_and_counts() {
    let Scene { clock, group, worker, .. } = scene(1);
    take(&worker).nack().unwrap();
    clock.advance(SECOND - Duration::from_micros(1));
    let empty = worker.try_read(1).unwrap();
    assert_eq!(empty.blocked(), Some(Blocked::Empty));
    assert_eq!(group.info().unwrap().delayed, 1);
    clock.advance(Duration::from_micros(1));
    assert_eq!(group.info().unwrap().due, 1);
    let again = take(&worker);
    assert_eq!((again.attempt(), again.payload()), (2, &b"e0"[..]));
    again.ack().unwrap();
    assert_eq!(group.info().unwrap().redelivered, 1);
}

#[test]
fn an_unacked_entry_returns_after_its_lease_and_backoff() {
    for noticed in [false, true] {
        let Scene { clock, group, worker, .. } = scene(1);
        let kept = take(&worker);
        clock.advance(LEASE);
        if noticed {
            assert_eq!(group.info().unwrap().delayed, 1);
        }
        clock.advance(SECOND);
        // The backoff counts from the end of the lease, whenever that is noticed.
        let again = take(&worker);
        assert_eq!(again.attempt(), 2);
        let lost = kept.ack().unwrap_err();
        assert!(matches!(lost, Error::LeaseLost { why: Lost::Taken, .. }), "{lost}");
        again.ack().unwrap();
    }
}

#[test]
fn a_late_ack_counts_while_nobody_else_was_given_the_entry() {
    for late in [LEASE, LEASE + SECOND, HOUR / 2] {
        for noticed in [false, true] {
            let Scene { clock, group, worker, .. } = scene(1);
            let delivery = take(&worker);
            clock.advance(late);
            if noticed {
                assert_eq!(group.info().unwrap().leased, 0);
            }
            delivery.ack().unwrap();
            assert_eq!(group.info().unwrap().acked, 1, "late by {late:?}");
            assert!(idle(&worker));
        }
    }
    let Scene { group, worker, .. } = scene(1);
    let delivery = take(&worker);
    let token = delivery.token();
    delivery.nack().unwrap();
    assert_eq!(refused(&group, token), None);
    assert_eq!(group.lag().unwrap(), 0);
}

#[test]
fn a_late_extend_gives_the_lease_back() {
    let Scene { clock, group, worker, .. } = scene(1);
    let delivery = take(&worker);
    clock.advance(LEASE + SECOND);
    assert_eq!(group.info().unwrap().due, 1);
    delivery.extend(LEASE).unwrap();
    assert!(idle(&worker));
    assert_eq!(group.pending_entries(&PendingQuery::new()).unwrap()[0].attempts, 1);
    clock.advance(LEASE + SECOND);
    assert_eq!(take(&worker).attempt(), 2);
}

#[test]
fn a_void_token_says_why_and_changes_nothing() {
    let Scene { clock, group, worker, .. } = scene(6);
    let mut held = take_all(&worker).into_iter();
    let mut next = || held.next().unwrap();
    let (settled, released, nacked, rejected) = (next(), next(), next(), next());
    let tokens = [&settled, &released, &nacked, &rejected].map(millstream::Delivery::token);
    settled.ack().unwrap();
    released.release().unwrap();
    rejected.reject("bad").unwrap();
    nacked.nack().unwrap();
    clock.advance(SECOND);
    let again = take_all(&worker);
    assert_eq!(again.len(), 2);
    let before = group.info().unwrap();
    assert_eq!(refused(&group, tokens[0]), Some(Lost::Settled));
    assert_eq!(refused(&group, tokens[1]), Some(Lost::Taken));
    assert_eq!(refused(&group, tokens[2]), Some(Lost::Taken));
    assert_eq!(refused(&group, tokens[3]), Some(Lost::Settled));
    let token = again[0].token();
    again.into_iter().next().unwrap().release().unwrap();
    assert_eq!(refused(&group, token), Some(Lost::Released));
    let after = group.info().unwrap();
    assert_eq!((before.acked, before.lag, before.parked), (after.acked, after.lag, after.parked));
}

#[test]
fn leaving_voids_the_tokens_at_once() {
    let leave: [fn(Scene) -> Group; 4] = [
        |scene| {
            scene.worker.leave().unwrap();
            scene.group
        },
        |scene| {
            drop(scene.worker);
            scene.group
        },
        |scene| {
            scene.group.remove_consumer("worker").unwrap();
            scene.group
        },
        |scene| {
            scene.clock.advance(HOUR + SECOND);
            assert_eq!(scene.group.info().unwrap().members, []);
            scene.group
        },
    ];
    for leave in leave {
        let scene = scene(1);
        let token = take(&scene.worker).detach();
        let group = leave(scene);
        assert_eq!(refused(&group, token), Some(Lost::Left));
        assert_eq!(group.info().unwrap().due, 1);
    }
}

#[test]
fn reopening_and_making_again_void_the_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let first = scene_on(dir.path(), &clock, 1);
    let before = take(&first.worker).detach();
    drop(first);
    let second = scene_on(dir.path(), &clock, 0);
    assert_eq!(refused(&second.group, before), Some(Lost::Reset));
    let delivery = take(&second.worker);
    assert_eq!(delivery.attempt(), 2);
    assert_eq!(refused(&second.group, before), Some(Lost::Taken));
    let before = delivery.detach();
    second.group.delete().unwrap();
    let group = second.stream.group("g").create(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    let held = take(&worker);
    assert_eq!(held.attempt(), 1);
    assert_eq!(refused(&group, before), Some(Lost::Reset));
    held.ack().unwrap();
}

#[test]
fn lease_numbers_grow_and_are_never_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let mut last = 0;
    let mut grown = |token: Token| {
        assert!(token.lease() > last, "{} after {last}", token.lease());
        last = token.lease();
    };
    for _ in 0..3 {
        let Scene { group, worker, stream, .. } = scene_on(dir.path(), &clock, 1);
        let ends: [fn(millstream::Delivery); 3] = [
            |delivery| delivery.release().unwrap(),
            |delivery| delivery.nack_after(Duration::ZERO).unwrap(),
            |delivery| delivery.reject("bad").unwrap(),
        ];
        for end in ends {
            let delivery = take(&worker);
            grown(delivery.token());
            end(delivery);
        }
        assert_eq!(group.redrive(9).unwrap(), 1);
        let delivery = take(&worker);
        grown(delivery.token());
        delivery.ack().unwrap();
        drop((group, worker));
        stream.close().unwrap();
    }
}

#[test]
fn one_bad_item_of_a_list_never_costs_the_good_ones() {
    let Scene { stream, clock, group, worker } = scene(4);
    let batch = worker.try_read(4).unwrap();
    let tokens: Vec<Token> = batch.iter().map(|held| held.token()).collect();
    assert!(group.release([tokens[1]]).unwrap().is_complete());
    let taken = take(&worker);
    assert_eq!(taken.id(), id(1));
    assert!(group.ack([tokens[2]]).unwrap().is_complete());
    let settlement = batch.ack_all().unwrap();
    assert_eq!(settlement.refused, [(id(1), Lost::Taken), (id(2), Lost::Settled)]);
    drop(batch);
    assert_eq!(group.info().unwrap().acked, 3);
    taken.ack().unwrap();
    // The same token twice, an entry that was never handed out, and one of another stream.
    fill(&stream, 2);
    let own = take(&worker).detach();
    let other = scene(9);
    let foreign = take_all(&other.worker).pop().unwrap().token();
    let settlement = group.ack([own, foreign, own]).unwrap();
    assert!(settlement.refused.iter().all(|(bad, _)| *bad == id(8)), "{settlement:?}");
    assert_eq!((settlement.refused.len(), group.info().unwrap().acked), (1, 5));
    clock.advance(HOUR / 2);
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(5, 1)]);
}

#[test]
fn a_verb_that_fails_leaves_the_lease_and_carries_the_token() {
    let Scene { stream, worker, .. } = scene(2);
    let mut held = take_all(&worker).into_iter();
    let (first, second) = (held.next().unwrap(), held.next().unwrap());
    let token = first.token();
    stream.close().unwrap();
    let failed = first.ack().unwrap_err();
    assert_eq!(failed.token(), Some(token));
    assert!(failed.is_closed(), "{failed}");
    drop(second);
    let Scene { worker, group, .. } = scene(1);
    let delivery = take(&worker);
    worker.leave().unwrap();
    let lost = delivery.ack().unwrap_err();
    assert!(matches!(lost, Error::LeaseLost { why: Lost::Left, .. }), "{lost}");
    assert_eq!(group.lag().unwrap(), 1);
}

#[test]
fn a_detached_entry_is_settled_by_any_thread_that_has_the_token() {
    let Scene { clock, group, worker, .. } = scene(2);
    let [first, second] = [take(&worker), take(&worker)].map(millstream::Delivery::detach);
    clock.advance(SECOND);
    assert!(idle(&worker), "detaching keeps the lease");
    let member = worker.clone();
    let done = std::thread::scope(|scope| {
        let by_group = scope.spawn(|| group.ack([first]).unwrap().is_complete());
        let by_member = scope.spawn(move || member.nack([second]).unwrap().is_complete());
        (by_group.join().unwrap(), by_member.join().unwrap())
    });
    assert_eq!(done, (true, true));
    clock.advance(SECOND);
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(1, 2)]);
}

#[test]
fn extending_moves_the_end_of_the_lease_and_is_no_attempt() {
    let Scene { clock, worker, .. } = scene(1);
    let delivery = take(&worker);
    for _ in 0..5 {
        clock.advance(LEASE - SECOND);
        delivery.extend(LEASE).unwrap();
        assert!(idle(&worker));
    }
    let wrong = delivery.extend(Duration::ZERO).unwrap_err();
    assert!(matches!(wrong, Error::InvalidOption { option: "lease", .. }), "{wrong}");
    clock.advance(LEASE + SECOND);
    assert_eq!(take(&worker).attempt(), 2);
}

#[test]
fn a_read_can_have_a_lease_of_its_own() {
    let Scene { clock, worker, .. } = scene(1);
    let kept = worker.read_leased(1, SECOND, LEASE * 3).unwrap();
    clock.advance(LEASE * 3 - SECOND);
    assert!(idle(&worker));
    clock.advance(SECOND * 2);
    assert_eq!(take(&worker).attempt(), 2);
    drop(kept);
}

#[test]
fn a_released_entry_is_due_at_once_and_not_counted() {
    let Scene { worker, .. } = scene(1);
    for _ in 0..40 {
        let delivery = take(&worker);
        assert_eq!(delivery.attempt(), 1);
        delivery.release().unwrap();
    }
}

#[test]
fn an_entry_is_set_aside_after_its_last_attempt() {
    for by_time in [false, true] {
        let Scene { clock, group, worker, .. } = scene_with(2, |group| group.max_deliveries(3));
        for attempt in 1..=3 {
            let delivery = take(&worker);
            assert_eq!((delivery.id(), delivery.attempt()), (id(0), attempt));
            let other = take(&worker);
            if by_time {
                let _kept = delivery.detach();
                clock.advance(LEASE);
            } else {
                delivery.nack().unwrap();
            }
            clock.advance(SECOND);
            if attempt == 3 {
                other.ack().unwrap();
            } else {
                group.release([other.detach()]).unwrap().refused.clear();
                assert_eq!(parked(&group, 9), []);
            }
            clock.advance(SECOND);
        }
        assert_eq!(parked(&group, 9), [id(0)]);
        assert_eq!((group.lag().unwrap(), group.floors().unwrap()), (0, vec![2]));
        assert!(idle(&worker));
    }
}

#[test]
fn parked_entries_are_redriven_from_zero_or_discarded() {
    let Scene { group, worker, .. } = scene(3);
    for delivery in take_all(&worker) {
        delivery.reject("bad").unwrap();
    }
    assert_eq!(parked(&group, 2), [id(0), id(1)]);
    assert_eq!(group.discard_parked(&[id(1), id(7)]).unwrap(), 1);
    assert_eq!(group.redrive(1).unwrap(), 1);
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(0, 1)]);
    let info = group.info().unwrap();
    assert_eq!((info.parked, info.discarded), (1, 1));
}

#[test]
fn a_group_that_discards_parks_nothing() {
    let discard =
        |group: millstream::GroupOptions| group.on_exhausted(Exhausted::Discard).max_deliveries(1);
    let Scene { group, worker, .. } = scene_with(2, discard);
    take(&worker).reject("bad").unwrap();
    take(&worker).nack().unwrap();
    let info = group.info().unwrap();
    assert_eq!((info.discarded, info.parked, info.lag), (2, 0, 0));
}

#[test]
fn what_is_due_again_goes_first_by_due_time_then_id() {
    let Scene { clock, worker, .. } = scene(8);
    let mut held = worker.try_read(5).unwrap().into_iter();
    for seconds in [3, 1, 2, 1, 9] {
        held.next().unwrap().nack_after(SECOND * seconds).unwrap();
    }
    clock.advance(SECOND * 3);
    let order = seen(&worker.try_read(9).unwrap());
    assert_eq!(order, [(1, 2), (3, 2), (2, 2), (0, 2), (5, 1), (6, 1), (7, 1)]);
}

#[test]
fn a_retried_entry_can_go_to_any_member() {
    let Scene { clock, group, worker, .. } = scene(3);
    let others = ["second", "third"].map(|name| group.join(name).unwrap());
    let [nacked, expired, dropped] = [(); 3].map(|()| take(&worker));
    nacked.nack().unwrap();
    let _token = expired.detach();
    drop(dropped);
    clock.advance(SECOND);
    assert_eq!(seen(&others[0].try_read(1).unwrap()), [(0, 2)]);
    assert_eq!(seen(&others[1].try_read(1).unwrap()), [(2, 2)]);
    clock.advance(LEASE);
    assert_eq!(seen(&others[1].try_read(9).unwrap()), [(0, 3), (2, 3), (1, 2)]);
}

#[test]
fn a_long_delay_never_holds_up_a_short_one() {
    let Scene { clock, worker, .. } = scene(2);
    let (long, short) = (take(&worker), take(&worker));
    long.nack_after(SECOND * 60).unwrap();
    short.nack_after(Duration::from_millis(100)).unwrap();
    clock.advance(Duration::from_millis(100));
    let first = take(&worker);
    assert_eq!(first.id(), id(1));
    first.ack().unwrap();
    assert!(idle(&worker));
    clock.advance(SECOND * 60);
    assert_eq!(take(&worker).id(), id(0));
}

#[test]
fn the_exponential_backoff_doubles_to_its_bound() {
    let doubling = Backoff::exponential(SECOND, SECOND * 5);
    let Scene { clock, worker, .. } = scene_with(1, |group| group.backoff(doubling));
    for (attempt, wait) in [(1, 1), (2, 2), (3, 4), (4, 5), (5, 5)] {
        let delivery = take(&worker);
        assert_eq!(delivery.attempt(), attempt);
        delivery.nack().unwrap();
        clock.advance(SECOND * wait - Duration::from_micros(1));
        assert!(idle(&worker), "attempt {attempt}");
        clock.advance(Duration::from_micros(1));
    }
}

#[test]
fn entries_that_wait_do_not_use_up_max_in_flight() {
    let bound = |group: millstream::GroupOptions| group.max_in_flight(2);
    let Scene { group, worker, .. } = scene_with(5, bound);
    let first = worker.try_read(9).unwrap();
    assert_eq!(first.len(), 2);
    let other = group.join("other").unwrap();
    assert_eq!(other.try_read(9).unwrap().blocked(), Some(Blocked::InFlight));
    first.into_iter().for_each(|delivery| delivery.nack_after(HOUR).unwrap());
    assert_eq!(seen(&other.try_read(9).unwrap()), [(2, 1), (3, 1)]);
    let bound = |group: millstream::GroupOptions| group.max_in_flight_per_consumer(1);
    let Scene { group, worker, .. } = scene_with(5, bound);
    let first = worker.try_read(9).unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(worker.try_read(1).unwrap().blocked(), Some(Blocked::InFlight));
    assert_eq!(group.join("other").unwrap().try_read(9).unwrap().len(), 1);
}

#[test]
fn groups_never_see_each_other() {
    let Scene { stream, group, worker, .. } = scene(3);
    let other = stream.group("other").open(Start::Earliest).unwrap();
    let second = other.join("worker").unwrap();
    for delivery in take_all(&worker) {
        delivery.ack().unwrap();
    }
    let batch = second.try_read(9).unwrap();
    assert_eq!(seen(&batch), [(0, 1), (1, 1), (2, 1)]);
    let token = batch.iter().next().unwrap().token();
    assert_eq!(refused(&group, token), Some(Lost::Reset));
    assert!(batch.ack_all().unwrap().is_complete());
    assert_eq!((group.lag().unwrap(), other.lag().unwrap()), (0, 0));
}

#[test]
fn attempts_leases_and_parked_entries_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let Scene { stream, group, worker, .. } = scene_on(dir.path(), &clock, 5);
    let mut held = take_all(&worker).into_iter();
    held.next().unwrap().ack().unwrap();
    held.next().unwrap().reject("bad").unwrap();
    held.next().unwrap().nack_after(SECOND * 20).unwrap();
    let _kept = held.next().unwrap().detach();
    held.next().unwrap().release().unwrap();
    drop((group, worker));
    stream.close().unwrap();
    let Scene { group, worker, .. } = scene_on(dir.path(), &clock, 0);
    // The lease ended with its process, the released one was not counted, the delay goes on.
    let batch = worker.try_read(9).unwrap();
    let mut handed_out = seen(&batch);
    handed_out.sort_unstable();
    assert_eq!(handed_out, [(3, 2), (4, 1)]);
    assert!(batch.ack_all().unwrap().is_complete());
    assert_eq!(parked(&group, 9), [id(1)]);
    clock.advance(SECOND * 20);
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(2, 2)]);
}

#[test]
fn an_entry_leased_for_the_last_time_is_set_aside_by_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    fill(&stream, 2);
    let group = stream.group("g").max_deliveries(1).open(Start::Earliest).unwrap();
    let _kept = take(&group.join("worker").unwrap()).detach();
    stream.close().unwrap();
    drop(group);
    let stream = Stream::open(dir.path()).unwrap();
    let group = stream.group("g").open_existing().unwrap();
    assert_eq!(parked(&group, 9), [id(0)]);
    assert_eq!(seen(&group.join("worker").unwrap().try_read(9).unwrap()), [(1, 1)]);
}
