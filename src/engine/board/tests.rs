//! What the board promises to several receivers, and what one consumer is told.

use std::thread;

use super::*;
use crate::clock::{ManualClock, time_of};
use crate::error::Gone;
use crate::observe::Source;

fn event(generation: u64) -> Event {
    Event::Left { consumer: "worker".into(), why: Gone::Expired, generation }
}

fn events(generations: impl IntoIterator<Item = u64>) -> Vec<Event> {
    generations.into_iter().map(event).collect()
}

fn board() -> (Board, ManualClock) {
    let clock = ManualClock::new();
    (Board::new(&time_of(&clock), Source::default()), clock)
}

#[test]
fn every_receiver_gets_every_event() {
    let (board, _) = board();
    let (one, other) = (board.subscribe(), board.subscribe());
    (0..3).for_each(|generation| board.post(event(generation)));
    assert_eq!(one.drain(), events(0..3));
    assert_eq!(other.drain(), events(0..3));
}

#[test]
fn a_receiver_gets_what_is_posted_after_it_was_made() {
    let (board, _) = board();
    board.post(event(0));
    let early = board.subscribe();
    board.post(event(1));
    let late = board.subscribe();
    board.post(event(2));
    assert_eq!((early.drain(), late.drain()), (events(1..3), events(2..3)));
}

#[test]
fn a_slow_receiver_holds_up_neither_the_board_nor_the_others() {
    let (board, _) = board();
    let (slow, quick) = (board.subscribe(), board.subscribe());
    for generation in 0..3_000 {
        board.post(event(generation));
        assert_eq!(quick.try_next(), Some(event(generation)));
    }
    assert_eq!((slow.missed(), quick.missed()), (3_000 - 1_024, 0));
    assert_eq!(slow.drain(), events(0..1_024));
    assert_eq!(board.subscribe().missed(), 0);
}

#[test]
fn a_board_is_watched_while_it_has_receivers() {
    let (board, _) = board();
    assert!(!board.is_watched());
    let (one, other) = (board.subscribe(), board.subscribe());
    drop(one);
    board.post(event(0));
    assert!(board.is_watched());
    assert_eq!(other.drain(), events(0..1));
    drop(other);
    board.post(event(1));
    assert!(!board.is_watched());
}

#[test]
fn a_receiver_that_is_dropped_leaves_nothing_behind() {
    let (board, _) = board();
    for _ in 0..100 {
        let events = board.subscribe();
        board.post(event(0));
        let feed = board.receivers.lock().feeds[0].clone();
        drop(events);
        assert!(feed.upgrade().is_none());
    }
    let _kept = board.subscribe();
    assert_eq!(board.receivers.lock().feeds.len(), 1);
}

#[test]
fn closing_ends_all_receivers_and_those_to_come() {
    let (board, clock) = board();
    let (one, other) = (board.subscribe(), board.subscribe());
    other.try_next();
    thread::scope(|scope| {
        let waits = [&one, &other].map(|events| scope.spawn(|| events.next()));
        clock.wait_for_blocked(2);
        board.close();
        assert!(waits.into_iter().all(|wait| wait.join().unwrap().is_none()));
    });
    let late = board.subscribe();
    board.post(event(1));
    assert_eq!([one.next(), other.next(), late.next()], [None, None, None]);
    assert!(one.has_ended() && other.has_ended() && late.has_ended());
}

#[test]
fn dropping_the_board_ends_its_receivers() {
    let (board, clock) = board();
    let events = board.subscribe();
    board.post(event(0));
    assert_eq!(events.next(), Some(event(0)));
    thread::scope(|scope| {
        let wait = scope.spawn(|| events.next());
        clock.wait_for_blocked(1);
        drop(board);
        assert_eq!(wait.join().unwrap(), None);
    });
}

#[test]
fn many_posters_and_receivers_lose_nothing() {
    const EACH: u32 = 300;
    let (board, _) = board();
    let receivers: [Events; 3] = std::array::from_fn(|_| board.subscribe());
    thread::scope(|scope| {
        let counts = receivers
            .each_ref()
            .map(|events| scope.spawn(move || std::iter::from_fn(|| events.next()).count()));
        thread::scope(|posting| {
            for _ in 0..3 {
                posting.spawn(|| {
                    (0..EACH).for_each(|generation| board.post(event(generation.into())));
                });
            }
        });
        board.close();
        assert!(counts.into_iter().all(|count| count.join().unwrap() == 3 * EACH as usize));
    });
}

#[test]
fn notices_come_out_in_order_and_what_does_not_fit_is_counted() {
    let notices = Notices::new();
    assert!(notices.drain().is_empty());
    (0..256 + 2).for_each(|generation| notices.push(event(generation)));
    assert_eq!(notices.missed(), 2);
    assert_eq!(notices.drain(), events(0..256));
    notices.push(event(9));
    assert_eq!((notices.drain(), notices.missed()), (events([9]), 2));
}

#[test]
fn a_notice_is_announced_once() {
    let notices = Notices::new();
    assert!(!notices.announce());
    notices.push(event(0));
    notices.push(event(1));
    assert_eq!([notices.announce(), notices.announce()], [true, false]);
    notices.push(event(2));
    assert_eq!([notices.announce(), notices.announce()], [true, false]);
    assert_eq!(notices.drain(), events(0..3));
    assert!(!notices.announce());
}

#[test]
fn what_was_drained_needs_no_announcement() {
    let notices = Notices::new();
    notices.push(event(0));
    assert_eq!(notices.drain(), events([0]));
    assert!(!notices.announce());
    notices.push(event(1));
    assert!(notices.announce());
}

#[test]
fn a_notice_that_does_not_fit_is_announced_too() {
    let notices = Notices::new();
    (0..256).for_each(|generation| notices.push(event(generation)));
    assert!(notices.announce());
    notices.push(event(256));
    assert!(notices.announce());
}
