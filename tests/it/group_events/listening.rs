//! Who listens: receivers of their own, bounded, that hold nobody up and end with what they hear.

use std::thread;

use millstream::assign::CooperativeSticky;
use millstream::{Error, Event};

use super::lines;
use crate::crew::{crew, notices, owned};
use crate::scene::{SECOND, Scene, scene, take};

#[test]
fn each_receiver_hears_all_from_its_beginning_on() {
    let Scene { group, .. } = scene(0);
    let early = group.events().unwrap();
    let one = group.join("one").unwrap();
    let late = group.events().unwrap();
    one.leave().unwrap();
    assert_eq!(lines(&early), ["one joined", "one: it left"]);
    assert_eq!(lines(&late), ["one: it left"]);
    assert_eq!((early.try_next(), late.next_timeout(std::time::Duration::ZERO)), (None, None));
}

#[test]
fn one_that_does_not_listen_holds_nobody_up_and_what_it_missed_is_counted() {
    let Scene { group, worker, .. } = scene(0);
    let (slow, quick) = (group.events().unwrap(), group.events().unwrap());
    let mut heard = 0;
    for _ in 0..600 {
        group.join("visitor").unwrap().leave().unwrap();
        heard += quick.drain().len();
    }
    assert_eq!((heard, quick.missed()), (1_200, 0));
    // The oldest are there, without a gap.
    let kept = slow.drain();
    assert_eq!((kept.len(), slow.missed()), (1_024, 176));
    for pair in kept.chunks(2) {
        assert!(matches!(pair, [Event::Joined { .. }, Event::Left { .. }]), "{pair:?}");
    }
    drop(worker);
    assert_eq!(lines(&slow), ["worker: it left"]);
}

#[test]
fn what_a_member_does_not_take_out_is_bounded_too() {
    let crew = crew(2, 0, |group| group.strategy(CooperativeSticky));
    let old = crew.join("old");
    for _ in 0..200 {
        crew.join("new").leave().unwrap();
    }
    // One for its own join, two for each visitor.
    assert_eq!((notices(&old).len(), old.missed_events()), (256, 401 - 256));
    assert_eq!(owned(&old), [0, 1]);
    crew.join("new").leave().unwrap();
    assert_eq!(notices(&old), ["-[1]", "+[1]"]);
}

#[test]
fn it_ends_with_its_group_and_what_came_before_can_still_be_taken() {
    for how in ["deleted", "closed"] {
        let Scene { clock, stream, group, worker } = scene(0);
        let (events, waiting) = (group.events().unwrap(), group.events().unwrap());
        drop(group.join("visitor").unwrap());
        assert_eq!(lines(&waiting).len(), 2);
        let ended = thread::scope(|scope| {
            let waits = scope.spawn(|| waiting.next());
            clock.wait_for_blocked(1);
            if how == "deleted" {
                group.delete().unwrap();
            } else {
                stream.clone().close().unwrap();
            }
            waits.join().unwrap()
        });
        assert!(ended.is_none() && waiting.has_ended(), "{how}");
        assert!(!events.has_ended());
        assert!(events.next().is_some() && events.next().is_some());
        assert!(events.next().is_none() && events.has_ended(), "{how}");
        let refused = group.events().unwrap_err();
        let right = matches!(refused, Error::GroupDeleted) || refused.is_closed();
        assert!(right, "{refused}");
        assert_eq!(notices(&worker), ["+[]"; 0]);
    }
}

#[test]
fn an_event_ends_the_wait_for_it_and_time_ends_it_too() {
    let Scene { clock, group, .. } = scene(0);
    let events = group.events().unwrap();
    let heard = thread::scope(|scope| {
        let waits = scope.spawn(|| events.next());
        clock.wait_for_blocked(1);
        group.join("visitor").unwrap().leave().unwrap();
        waits.join().unwrap()
    });
    assert!(matches!(heard, Some(Event::Joined { .. })), "{heard:?}");
    events.drain();
    let heard = thread::scope(|scope| {
        let waits = scope.spawn(|| events.next_timeout(SECOND * 5));
        clock.wait_for_blocked(1);
        clock.advance(SECOND * 5);
        waits.join().unwrap()
    });
    assert!(heard.is_none() && !events.has_ended());
}

#[test]
fn what_nobody_listened_to_is_not_kept_for_later() {
    let Scene { group, worker, .. } = scene(2);
    drop(group.events().unwrap());
    take(&worker).reject("bad").unwrap();
    drop(group.join("visitor").unwrap());
    let events = group.events().unwrap();
    assert_eq!(lines(&events), [""; 0]);
    take(&worker).reject("bad").unwrap();
    assert_eq!(lines(&events), ["0-1 parked after 1"]);
}
