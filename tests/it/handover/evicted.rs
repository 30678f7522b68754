//! Who does not let go in time: its leases are void, and the entries are the new owner's.

use millstream::assign::{CooperativeSticky, Sticky};
use millstream::{Consumer, Delivery, EntryId, Error, GroupOptions, GroupState, Lost};

use crate::crew::{Choose, Crew, crew, drain, notices, owned, owners};
use crate::scene::{HOUR, SECOND, fill, idle};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

const WAYS: [Choose; 2] =
    [|group| group.strategy(CooperativeSticky), |group| group.strategy(Sticky)];

fn bounded(choose: Choose) -> impl FnOnce(GroupOptions) -> GroupOptions {
    move |group| choose(group).revocation_timeout(LIMIT)
}

/// Two partitions of two entries, all in the hands of `old`; partition 1 is to go to `new`.
fn busy(choose: Choose) -> (Crew, Consumer, Vec<Delivery>, Consumer) {
    let crew = crew(2, 2, bounded(choose));
    let old = crew.join("old");
    let mut held: Vec<_> = old.try_read(9).unwrap().into_iter().collect();
    held.sort_unstable_by_key(|held| held.id());
    let new = crew.join("new");
    assert_eq!(held.len(), 4);
    (crew, old, held, new)
}

#[test]
fn leases_are_void_after_the_revocation_timeout_and_attempts_are_kept() {
    for (choose, eager) in WAYS.into_iter().zip([false, true]) {
        let (crew, old, held, new) = busy(choose);
        notices(&old);
        crew.clock.advance(LIMIT - SECOND);
        assert!(idle(&new));
        assert_eq!(crew.group.info().unwrap().state, GroupState::Rebalancing);
        crew.clock.advance(SECOND);
        let mut read: Vec<_> =
            new.try_read(9).unwrap().iter().map(|held| (held.id(), held.attempt())).collect();
        read.sort_unstable();
        assert_eq!(read, [(EntryId::new(1, 0), 2), (EntryId::new(1, 1), 2)]);
        assert_eq!(owners(&crew.group), ["old", "new"]);
        let told = notices(&old);
        assert!(told.contains(&"![1]".to_owned()), "{told:?}");
        // Under an eager strategy all were taken, and what is given back is free of leases, too.
        for (at, delivery) in held.into_iter().enumerate() {
            let outcome = delivery.ack();
            if at < 2 && !eager {
                outcome.unwrap();
                continue;
            }
            let why = match outcome.unwrap_err() {
                Error::LeaseLost { why, .. } => why,
                other => panic!("{other}"),
            };
            // What another has by now was taken; all else was revoked.
            assert_eq!(why, if at < 2 { Lost::Revoked } else { Lost::Taken });
        }
        drop((old, new));
        crew.clock.advance(SECOND);
        drain(&crew.join("rest"));
        assert_eq!(crew.group.lag().unwrap(), 0);
    }
}

#[test]
fn a_void_lease_says_that_it_was_revoked() {
    for choose in WAYS {
        let (crew, _old, mut held, _new) = busy(choose);
        crew.clock.advance(LIMIT);
        let last = held.pop().unwrap();
        let token = last.detach();
        // Whoever looks finds it so; nobody has read it yet.
        assert_eq!(crew.group.ack([token]).unwrap().refused, []);
        crew.group.info().unwrap();
        let next = held.pop().unwrap();
        let (id, refused) = (next.id(), next.extend(SECOND).unwrap_err());
        let right = matches!(refused, Error::LeaseLost { id: of, why: Lost::Revoked } if of == id);
        assert!(right, "{refused}");
        for verb in
            [Delivery::ack, Delivery::nack, Delivery::release, |held: Delivery| held.reject("bad")]
        {
            let (crew, _old, mut held, new) = busy(choose);
            crew.clock.advance(LIMIT);
            crew.group.info().unwrap();
            let refused = verb(held.pop().unwrap()).unwrap_err();
            assert!(matches!(refused, Error::LeaseLost { why: Lost::Revoked, .. }), "{refused}");
            assert_eq!(drain(&new), [EntryId::new(1, 0), EntryId::new(1, 1)]);
        }
    }
}

#[test]
fn extending_does_not_put_off_the_revocation() {
    let (crew, old, held, new) = busy(WAYS[0]);
    for delivery in &held {
        delivery.extend(HOUR * 9).unwrap();
    }
    crew.clock.advance(LIMIT - SECOND);
    held[3].extend(HOUR * 9).unwrap();
    crew.clock.advance(SECOND);
    assert_eq!(drain(&new).len(), 2);
    assert_eq!(owned(&old), [0]);
    // What was its own all the time is so still.
    let mut held = held.into_iter();
    held.next().unwrap().ack().unwrap();
    held.next().unwrap().extend(SECOND).unwrap();
}

#[test]
fn a_late_extension_after_the_partition_went_is_void() {
    let crew = crew(2, 2, |group| WAYS[0](group).lease(SECOND));
    let old = crew.join("old");
    let held: Vec<_> = old.try_read(9).unwrap().into_iter().collect();
    let new = crew.join("new");
    crew.clock.advance(SECOND);
    // The leases ended by time, so nobody stands in the way any more.
    assert_eq!(owned(&new), [1]);
    for delivery in held {
        let late = delivery.extend(HOUR);
        assert_eq!(late.is_ok(), delivery.id().partition() == 0, "{}", delivery.id());
        if let Err(error) = late {
            assert!(matches!(error, Error::LeaseLost { why: Lost::Revoked, .. }), "{error}");
        }
    }
    // What was extended late and then dropped, was nacked.
    crew.clock.advance(SECOND);
    assert_eq!((drain(&old).len(), drain(&new).len()), (2, 2));
}

#[test]
fn entries_at_their_last_attempt_are_set_aside_when_they_are_revoked() {
    let crew = crew(2, 2, |group| bounded(WAYS[0])(group).max_deliveries(1));
    let old = crew.join("old");
    let held: Vec<_> = old.try_read(9).unwrap().into_iter().collect();
    let new = crew.join("new");
    crew.clock.advance(LIMIT);
    assert!(idle(&new));
    assert_eq!(crate::scene::parked(&crew.group, 9), [EntryId::new(1, 0), EntryId::new(1, 1)]);
    fill(&crew.stream, 2);
    assert_eq!(drain(&new), [EntryId::new(1, 2)]);
    drop(held);
}

#[test]
fn the_deadline_is_one_of_the_groups() {
    let (crew, _old, _held, _new) = busy(WAYS[0]);
    assert_eq!(crew.group.next_deadline(), Some(LIMIT));
    assert_eq!(crew.stream.next_deadline(), Some(LIMIT));
    crew.clock.advance(LIMIT);
    crew.stream.maintain().unwrap();
    assert_eq!(owners(&crew.group), ["old", "new"]);
}
