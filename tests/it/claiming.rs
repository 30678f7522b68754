//! Looking at what is pending, and taking it over: claims, histories, acks by id.

use std::ops::Bound;
use std::time::Duration;

use millstream::{
    AckMode, Backoff, Blocked, ClaimCursor, Consumer, EntryId, Error, Event, Exhausted, Lost,
    PendingQuery, PendingState, Start, Stream, Unclaimed, assign,
};

use crate::scene::{LEASE, SECOND, Scene, fill, id, idle, scene, scene_with, seen, take, take_all};

const NOW: Duration = Duration::ZERO;

/// The offsets of what a consumer claims, settled.
fn swept(
    worker: &Consumer,
    least: Duration,
    cursor: ClaimCursor,
    max: u32,
) -> (Vec<u64>, ClaimCursor) {
    let claimed = worker.auto_claim(least, cursor, max).unwrap();
    let offsets = seen(&claimed.batch).into_iter().map(|(offset, _)| offset).collect();
    assert!(claimed.batch.ack_all().unwrap().is_complete());
    (offsets, claimed.next)
}

#[test]
fn the_summary_counts_what_each_consumer_holds_and_what_nobody_does() {
    let Scene { clock, group, worker, .. } = scene(10);
    let empty = group.pending().unwrap();
    assert_eq!((empty.total, empty.first, empty.last, empty.waiting), (0, None, None, 0));
    let other = group.join("other").unwrap();
    let held = take_all(&other).split_off(4);
    clock.advance(SECOND);
    let _mine = worker.try_read(1).unwrap();
    let summary = group.pending().unwrap();
    assert_eq!((summary.total, summary.waiting), (10, 3));
    assert_eq!((summary.first, summary.last), (Some(id(0)), Some(id(9))));
    let counts: Vec<_> = summary.consumers.into_iter().collect();
    assert_eq!(counts, [("other".to_owned(), 6), ("worker".to_owned(), 1)]);
    drop(held);
}

#[test]
fn rows_tell_state_holder_attempts_and_how_long_an_entry_was_idle() {
    let Scene { clock, group, worker, .. } = scene(4);
    let mut held = take_all(&worker);
    clock.advance(3 * SECOND);
    held[1].extend(LEASE).unwrap();
    clock.advance(SECOND);
    drop(held.remove(3));
    held.remove(2).release().unwrap();
    let rows = group.pending_entries(&PendingQuery::new()).unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.state, row.attempts, row.idle)).collect();
    assert_eq!(
        told,
        [
            (PendingState::Leased, 1, 4 * SECOND),
            (PendingState::Leased, 1, SECOND),
            (PendingState::Due, 0, 4 * SECOND),
            (PendingState::Delayed, 1, 4 * SECOND),
        ]
    );
    assert_eq!(rows[0].due_in, 6 * SECOND);
    assert_eq!(rows[1].due_in, 9 * SECOND);
    assert_eq!(rows[3].due_in, SECOND);
    let holders: Vec<_> = rows.iter().map(|row| row.consumer.as_deref()).collect();
    assert_eq!(holders, [Some("worker"), Some("worker"), None, None]);
}

#[test]
fn queries_choose_by_id_consumer_idle_time_and_number() {
    let Scene { clock, group, worker, stream } = scene(600);
    let other = group.join("other").unwrap();
    let _first = worker.try_read(300).unwrap();
    clock.advance(5 * SECOND);
    let _second = other.try_read(300).unwrap();
    let ask = |query: PendingQuery| {
        let rows = group.pending_entries(&query).unwrap();
        let offset = |at: Option<&millstream::Pending>| at.map_or(0, |row| row.id.offset());
        (rows.len(), offset(rows.first()), offset(rows.last()))
    };
    let all = PendingQuery::new;
    assert_eq!(ask(all()), (600, 0, 599));
    assert_eq!(ask(all().max(7)), (7, 0, 6));
    assert_eq!(ask(all().range(id(255)..=id(257))), (3, 255, 257));
    assert_eq!(ask(all().range(id(255)..id(257))), (2, 255, 256));
    assert_eq!(
        ask(all().range((Bound::Excluded(id(255)), Bound::Unbounded)).max(2)),
        (2, 256, 257)
    );
    assert_eq!(ask(all().range(..id(0))), (0, 0, 0));
    assert_eq!(ask(all().range(EntryId::new(7, 0)..)), (0, 0, 0));
    assert_eq!(ask(all().consumer("other")), (300, 300, 599));
    assert_eq!(ask(all().consumer("nobody")), (0, 0, 0));
    assert_eq!(ask(all().idle(5 * SECOND)), (300, 0, 299));
    assert_eq!(ask(all().idle(6 * SECOND)), (0, 0, 0));
    assert_eq!(ask(all().idle(Duration::MAX)), (0, 0, 0));
    assert_eq!(ask(all().idle(SECOND).consumer("worker").range(id(100)..)), (200, 100, 299));
    fill(&stream, 1_000);
    let _third = worker.try_read(1_000).unwrap();
    assert_eq!(ask(all()), (1_000, 0, 999), "a thousand rows unless it says how many");
    let none = group.pending_entries(&all().max(0)).unwrap_err();
    assert!(matches!(none, Error::TooSmall { .. }));
}

#[test]
fn a_claim_ends_the_lease_of_whoever_holds_the_entry_and_counts() {
    let Scene { clock, group, worker, .. } = scene(3);
    let held = take_all(&worker);
    clock.advance(SECOND);
    let helper = group.join("helper").unwrap();
    let claimed = helper.claim([id(1), id(0), id(1)], SECOND).unwrap();
    assert_eq!(seen(&claimed.batch), [(0, 2), (1, 2)]);
    assert_eq!(claimed.batch.iter().next().unwrap().payload(), b"e0");
    assert!(claimed.refused.is_empty() && claimed.gone.is_empty());
    let mut held = held.into_iter();
    let lost = held.next().unwrap().ack().unwrap_err();
    assert!(matches!(lost, Error::LeaseLost { why: Lost::Taken, .. }), "{lost}");
    // Dropping what was taken from one hands nothing back.
    drop(held.next());
    assert_eq!(group.info().unwrap().redelivered, 2);
    assert_eq!(group.info().unwrap().leased, 3);
    clock.advance(LEASE - SECOND);
    assert_eq!(group.info().unwrap().leased, 2, "a claim starts a lease of its own");
    assert!(claimed.batch.ack_all().unwrap().is_complete());
}

#[test]
fn what_is_not_claimed_comes_back_with_the_reason() {
    let Scene { clock, group, worker, .. } =
        scene_with(6, |group| group.max_deliveries(1).max_in_flight_per_consumer(2));
    let helper = group.join("helper").unwrap();
    let mut held = take_all(&worker);
    assert_eq!(held.len(), 2);
    held.remove(0).ack().unwrap();
    let claimed = helper.claim([id(0), id(1), id(5)], SECOND).unwrap();
    assert_eq!(claimed.batch.blocked(), Some(Blocked::Empty));
    let why = |offset, why| (id(offset), why);
    assert_eq!(
        claimed.refused,
        [why(0, Unclaimed::NotPending), why(1, Unclaimed::NotIdle), why(5, Unclaimed::NotPending)]
    );
    clock.advance(SECOND);
    let events = group.events().unwrap();
    let claimed = helper.claim([id(1)], SECOND).unwrap();
    assert_eq!(claimed.refused, [why(1, Unclaimed::Exhausted)]);
    assert_eq!(crate::scene::parked(&group, 9), [id(1)]);
    assert!(matches!(events.try_next(), Some(Event::Exhausted { attempts: 1, .. })));
    let lost = held.remove(0).ack().unwrap_err();
    assert!(matches!(lost, Error::LeaseLost { why: Lost::Settled, .. }));
}

#[test]
fn claims_keep_to_the_bounds_of_what_may_be_leased() {
    let Scene { clock, group, worker, .. } =
        scene_with(6, |group| group.max_in_flight(4).max_in_flight_per_consumer(3));
    let helper = group.join("helper").unwrap();
    let mut held = take_all(&worker);
    drop(held.pop());
    let mine = take(&helper);
    assert_eq!(mine.id(), id(3));
    let _fourth = take(&helper);
    // Two leased to each, one waiting: the group is full, and the helper has room for one.
    let claimed = helper.claim([id(2), id(0), id(1), id(3)], NOW).unwrap();
    assert_eq!(seen(&claimed.batch), [(0, 2), (3, 2)], "taking one's own needs no room");
    let full = [(id(1), Unclaimed::InFlight), (id(2), Unclaimed::InFlight)];
    assert_eq!(claimed.refused, full);
    let swept = helper.auto_claim(NOW, ClaimCursor::START, 9).unwrap();
    assert_eq!(seen(&swept.batch), [(0, 3)]);
    assert!(!swept.next.is_start(), "it goes on where there was no room");
    clock.advance(SECOND);
}

#[test]
fn waiting_entries_can_be_claimed_before_they_are_due() {
    let Scene { clock, group, worker, .. } =
        scene_with(1, |group| group.backoff(Backoff::fixed(60 * SECOND)));
    take(&worker).nack().unwrap();
    assert!(idle(&worker));
    clock.advance(SECOND);
    let claimed = worker.claim([id(0)], SECOND).unwrap();
    assert_eq!(seen(&claimed.batch), [(0, 2)]);
    assert_eq!(group.info().unwrap().delayed, 0);
}

#[test]
fn auto_claim_goes_on_where_it_stopped_and_ends_at_the_start() {
    let Scene { clock, group, worker, .. } = scene(1_000);
    let stuck = worker.try_read(700).unwrap();
    clock.advance(5 * SECOND);
    let fresh = worker.try_read(300).unwrap();
    let helper = group.join("helper").unwrap();
    let (first, next) = swept(&helper, 5 * SECOND, ClaimCursor::START, 400);
    assert_eq!((first.len(), first[0], first[399]), (400, 0, 399));
    let (second, next) = swept(&helper, 5 * SECOND, next, 400);
    assert_eq!((second.len(), second[0], second[299]), (300, 400, 699));
    assert!(next.is_start());
    assert_eq!(swept(&helper, 5 * SECOND, ClaimCursor::START, 400), (vec![], ClaimCursor::START));
    clock.advance(SECOND);
    assert_eq!(swept(&helper, SECOND, ClaimCursor::START, 400).0.len(), 300);
    drop((stuck, fresh));
}

#[test]
fn what_was_extended_lately_is_not_idle() {
    let Scene { clock, group, worker, .. } = scene(4);
    let held = take_all(&worker);
    clock.advance(5 * SECOND);
    held[1].extend(LEASE).unwrap();
    held[3].extend(LEASE).unwrap();
    clock.advance(2 * SECOND);
    let helper = group.join("helper").unwrap();
    let claimed = helper.claim([id(1)], 3 * SECOND).unwrap();
    assert_eq!(claimed.refused, [(id(1), Unclaimed::NotIdle)]);
    assert_eq!(swept(&helper, 3 * SECOND, ClaimCursor::START, 9).0, [0, 2]);
    assert_eq!(swept(&helper, 2 * SECOND, ClaimCursor::START, 9).0, [1, 3]);
}

#[test]
fn a_cursor_of_another_group_is_refused_even_if_the_name_is_the_same() {
    let Scene { clock, stream, group, worker } = scene(4);
    let _held = take_all(&worker);
    clock.advance(SECOND);
    let claimed = worker.auto_claim(SECOND, ClaimCursor::START, 2).unwrap();
    let cursor = claimed.next;
    is_plain_data(&cursor);
    group.delete().unwrap();
    let again = stream.group("g").open(Start::Earliest).unwrap().join("worker").unwrap();
    let foreign = again.auto_claim(SECOND, cursor, 2).unwrap_err();
    assert!(matches!(foreign, Error::ForeignCursor), "{foreign}");
    assert!(again.auto_claim(SECOND, ClaimCursor::START, 2).unwrap().batch.is_empty());
    let none = again.auto_claim(SECOND, ClaimCursor::START, 0).unwrap_err();
    assert!(matches!(none, Error::TooSmall { .. }));
}

fn is_plain_data<T: Copy + serde::Serialize + for<'a> serde::Deserialize<'a>>(_: &T) {}

#[test]
fn only_what_is_in_partitions_of_its_own_can_be_claimed() {
    let stream = Stream::options().partitions(4).in_memory().unwrap();
    let group = stream.group("g").strategy(assign::Range).open(Start::Earliest).unwrap();
    let (a, b) = (group.join("a").unwrap(), group.join("b").unwrap());
    fill(&stream, 8);
    let _held = (a.try_read(9).unwrap(), b.try_read(9).unwrap());
    let [own, other] = [a.assignment().unwrap()[0], b.assignment().unwrap()[0]];
    let refused = a.claim([EntryId::new(own, 0), EntryId::new(other, 0)], NOW).unwrap_err();
    assert!(matches!(refused, Error::NotAssigned { partition, .. } if partition == other));
    assert_eq!(a.claim([EntryId::new(own, 0)], NOW).unwrap().batch.len(), 1);
    let unknown = a.claim([EntryId::new(9, 0)], NOW).unwrap_err();
    assert!(matches!(unknown, Error::NoSuchPartition { partition: 9, .. }));
    let claimed = a.auto_claim(NOW, ClaimCursor::START, 99).unwrap();
    assert_eq!(claimed.batch.len(), 4);
    assert!(
        claimed.batch.iter().all(|held| a.assignment().unwrap().contains(&held.id().partition()))
    );
}

#[test]
fn entries_that_retention_took_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::options().segment_bytes(4096).open(dir.path().join("s")).unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    stream.append_each(vec![&[7_u8; 900]; 40]).unwrap();
    let _held = worker.try_read(100).unwrap();
    stream.trim_before(id(20)).unwrap();
    let start = stream.info().unwrap().partitions[0].start;
    assert!(start > 1);
    let claimed = worker.claim([id(1), id(start), id(0), id(1)], NOW).unwrap();
    assert_eq!(claimed.gone, [id(0), id(1)]);
    assert_eq!(seen(&claimed.batch), [(start, 2)]);
}

#[test]
fn history_shows_what_a_consumer_holds_and_changes_nothing() {
    let Scene { clock, group, worker, .. } = scene(6);
    let first = worker.try_read(2).unwrap();
    let other = group.join("other").unwrap();
    let _others = other.try_read(2).unwrap();
    let second = worker.try_read(2).unwrap();
    let events = group.events().unwrap();
    let history = worker.history(100).unwrap();
    let held: Vec<_> = history.iter().map(|held| (held.id(), held.attempt())).collect();
    assert_eq!(held, [(id(0), 1), (id(1), 1), (id(4), 1), (id(5), 1)]);
    assert_eq!(history.entries().next().unwrap().payload(), b"e0");
    let from = worker.history_from(id(1), 2).unwrap();
    assert_eq!(from.iter().map(|held| held.id()).collect::<Vec<_>>(), [id(1), id(4)]);
    let tokens: Vec<_> = first.iter().chain(second.iter()).map(|held| held.token()).collect();
    assert_eq!(history.iter().map(|held| held.token()).collect::<Vec<_>>(), tokens);
    drop((history, from));
    assert_eq!(group.info().unwrap().leased, 6);
    assert_eq!(events.try_next(), None);
    assert!(worker.ack(tokens).unwrap().is_complete());
    assert!(worker.history(9).unwrap().is_empty());
    clock.advance(LEASE);
    assert!(other.history(9).unwrap().is_empty(), "leases that ended are no longer held");
    assert!(matches!(worker.history(0), Err(Error::TooSmall { .. })));
}

#[test]
fn entries_are_acked_by_id_whoever_holds_them_and_it_is_told() {
    let Scene { group, worker, .. } = scene(5);
    let held = take_all(&worker).split_off(1);
    let events = group.events().unwrap();
    // 0 was dropped and waits; 1 and 2 are held; 9 was never there.
    let acked = group.ack_entries([id(2), id(0), id(1), id(9), id(2)]).unwrap();
    assert_eq!(acked, 3);
    let told = Event::AckedById { partition: 0, first: 0, end: 3 };
    assert_eq!(events.drain(), [told]);
    let lost: Vec<_> = held.into_iter().map(|held| held.ack().is_err()).collect();
    assert_eq!(lost, [true, true, false, false]);
    assert_eq!((group.lag().unwrap(), group.info().unwrap().acked), (0, 5));
    assert_eq!(group.ack_entries([id(2)]).unwrap(), 0);
    let unknown = group.ack_entries([EntryId::new(3, 0)]).unwrap_err();
    assert!(matches!(unknown, Error::NoSuchPartition { partition: 3, .. }));
}

#[test]
fn what_was_claimed_and_acked_by_id_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let clock = millstream::ManualClock::new();
    let Scene { stream, group, worker, .. } = crate::scene::scene_on(dir.path(), &clock, 3);
    let held = worker.try_read(9).unwrap();
    let claimed = worker.claim([id(0), id(1)], NOW).unwrap();
    assert_eq!(claimed.batch.iter().count(), 2);
    group.ack_entries([id(1)]).unwrap();
    stream.close().unwrap();
    drop((held, claimed, worker, group));
    clock.advance(7 * SECOND);
    let stream = Stream::options().clock(clock.clone()).open(dir.path()).unwrap();
    let group = stream.group("g").open_existing().unwrap();
    clock.advance(2 * SECOND);
    let rows = group.pending_entries(&PendingQuery::new()).unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.id, row.attempts, row.idle)).collect();
    assert_eq!(told, [(id(0), 2, 2 * SECOND), (id(2), 1, 2 * SECOND)], "idle since the opening");
}

#[test]
fn in_the_mode_in_which_reading_is_acking_a_claim_settles() {
    let Scene { stream, group, worker, .. } = scene(2);
    let tokens: Vec<_> = take_all(&worker).into_iter().map(millstream::Delivery::detach).collect();
    drop((worker, group));
    let group = stream.group("g").ack_mode(AckMode::OnRead).on_exhausted(Exhausted::Discard);
    let group = group.open(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    let claimed = worker.claim([id(0)], NOW).unwrap();
    assert_eq!(seen(&claimed.batch), [(0, 2)]);
    assert_eq!(group.lag().unwrap(), 1);
    drop(tokens);
}

#[test]
fn handles_that_are_over_claim_nothing() {
    let Scene { group, stream, worker, .. } = scene(1);
    let _held = take(&worker);
    group.remove_consumer("worker").unwrap();
    for refused in [
        worker.claim([id(0)], NOW).map(drop),
        worker.auto_claim(NOW, ClaimCursor::START, 1).map(drop),
        worker.history(1).map(drop),
    ] {
        assert!(matches!(refused, Err(Error::NotAMember { .. })));
    }
    stream.close().unwrap();
    assert!(matches!(group.ack_entries([id(0)]), Err(Error::Closed)));
    assert!(matches!(group.pending(), Err(Error::Closed)));
}

#[test]
fn a_paused_group_gives_nothing_to_who_claims() {
    let Scene { clock, group, worker, .. } = scene(3);
    let _held = take_all(&worker);
    let other = group.join("other").unwrap();
    clock.advance(SECOND);
    group.pause().unwrap();
    let claimed = other.claim([id(1), id(0), id(1)], SECOND).unwrap();
    assert!(claimed.batch.is_empty());
    assert_eq!(claimed.refused, [(id(0), Unclaimed::Paused), (id(1), Unclaimed::Paused)]);
    let (offsets, next) = swept(&other, SECOND, ClaimCursor::START, 9);
    // It is not over: the same place comes again.
    assert_eq!((offsets, next.is_start()), (Vec::<u64>::new(), false));
    group.resume().unwrap();
    assert_eq!(swept(&other, SECOND, next, 9).0, [0, 1, 2]);
}
