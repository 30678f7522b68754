//! What a receiver promises: what it keeps and counts, how it waits, and how it ends.

use std::thread;

use super::*;
use crate::clock::{ManualClock, time_of};

const SECOND: Duration = Duration::from_secs(1);

fn event(generation: u64) -> Event {
    Event::Joined { consumer: "worker".into(), generation }
}

fn generation(event: &Event) -> u64 {
    match event {
        Event::Joined { generation, .. } => *generation,
        other => panic!("{other:?}"),
    }
}

fn generations(events: &[Event]) -> Vec<u64> {
    events.iter().map(generation).collect()
}

/// A feed, and the receiver of it on a clock.
fn feed(clock: &ManualClock) -> (Arc<Feed>, Events) {
    let feed = Arc::new(Feed::new());
    (Arc::clone(&feed), Events::new(feed, time_of(clock)))
}

/// Blocks in `wait` on a thread of its own, does `then`, and gives what the wait returned.
fn during<T: Send>(clock: &ManualClock, wait: impl FnOnce() -> T + Send, then: impl FnOnce()) -> T {
    thread::scope(|scope| {
        let waiting = scope.spawn(wait);
        clock.wait_for_blocked(1);
        then();
        waiting.join().unwrap()
    })
}

#[test]
fn events_come_out_in_the_order_in_which_they_were_posted() {
    let (feed, events) = feed(&ManualClock::new());
    assert_eq!(events.try_next(), None);
    (1..=4).for_each(|generation| feed.post(event(generation)));
    assert_eq!(events.try_next(), Some(event(1)));
    assert_eq!(events.next(), Some(event(2)));
    assert_eq!(generations(&events.drain()), [3, 4]);
    assert!(events.drain().is_empty());
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let (feed, events) = feed(&ManualClock::new());
    (0..1_024 + 3).for_each(|generation| feed.post(event(generation)));
    assert_eq!(events.missed(), 3);
    assert_eq!(events.try_next(), Some(event(0)));
    feed.post(event(5_000));
    feed.post(event(5_001));
    assert_eq!(events.missed(), 4);
    let kept: Vec<u64> = (1..1_024).chain([5_000]).collect();
    assert_eq!(generations(&events.drain()), kept);
    assert_eq!(events.missed(), 4);
}

#[test]
fn an_event_wakes_a_blocked_receiver() {
    let clock = ManualClock::new();
    let (feed, events) = feed(&clock);
    for generation in 0..3 {
        let post = || feed.post(event(generation));
        assert_eq!(during(&clock, || events.next(), post), Some(event(generation)));
        let wait = || events.next_timeout(SECOND);
        assert_eq!(during(&clock, wait, post), Some(event(generation)));
    }
}

#[test]
fn closing_wakes_a_blocked_receiver() {
    let clock = ManualClock::new();
    let (feed, events) = feed(&clock);
    assert_eq!(during(&clock, || events.next(), || feed.close()), None);
    assert!(events.has_ended());
}

#[test]
fn what_came_before_the_end_can_still_be_taken() {
    let (feed, events) = feed(&ManualClock::new());
    feed.post(event(1));
    feed.post(event(2));
    feed.close();
    assert!(!events.has_ended());
    assert_eq!(events.next(), Some(event(1)));
    assert_eq!(events.next_timeout(SECOND), Some(event(2)));
    assert!(events.has_ended());
    assert_eq!((events.next(), events.next_timeout(SECOND), events.try_next()), (None, None, None));
}

#[test]
fn a_wait_ends_when_its_time_is_up_by_the_clock_of_the_stream() {
    let clock = ManualClock::new();
    let (feed, events) = feed(&clock);
    let wakes = || {
        clock.advance(SECOND * 4);
        let wakes = clock.wakes();
        clock.advance(SECOND);
        assert_eq!(wakes, [Moment::ZERO.after(SECOND * 5)]);
    };
    assert_eq!(during(&clock, || events.next_timeout(SECOND * 5), wakes), None);
    assert!(!events.has_ended());
    assert_eq!(events.next_timeout(Duration::ZERO), None);
    feed.post(event(1));
    assert_eq!(events.next_timeout(Duration::ZERO), Some(event(1)));
}

#[test]
fn a_self_advancing_clock_never_blocks_a_receiver() {
    let clock = ManualClock::self_advancing();
    let (_feed, events) = feed(&clock);
    assert_eq!(events.next(), None);
    assert_eq!(events.next_timeout(SECOND * 5), None);
    assert_eq!(clock.wakes(), []);
    assert_eq!(time_of(&clock).now(), Moment::ZERO.after(SECOND * 5));
}

#[test]
fn a_receiver_that_heard_nothing_has_no_room_yet() {
    let (feed, events) = feed(&ManualClock::new());
    assert_eq!((events.drain(), events.missed()), (vec![], 0));
    assert!(feed.queue.ends.get().is_none());
}

#[test]
fn debug_tells_how_much_waits_and_was_missed() {
    let (feed, events) = feed(&ManualClock::new());
    feed.post(event(1));
    assert_eq!(format!("{events:?}"), "Events { waiting: 1, missed: 0, .. }");
}

/// Yields with nothing happening, after which a wake counts as lost. A yield is no measure of
/// time: on a busy machine it lets the others run.
const YIELDS_MAX: u32 = 5_000_000;

/// Yields until `progress` reaches `goal`; `false` if it stands still.
fn reaches(goal: u64, progress: impl Fn() -> u64) -> bool {
    let (mut seen, mut idle) = (progress(), 0);
    while seen < goal && idle < YIELDS_MAX {
        thread::yield_now();
        let now = progress();
        idle = if now == seen { idle + 1 } else { 0 };
        seen = now;
    }
    seen >= goal
}

/// Here no later ring makes good for one that was lost.
#[test]
fn no_wake_is_lost_when_each_event_waits_for_the_one_before() {
    let (feed, events) = feed(&ManualClock::new());
    let taken = AtomicU64::new(0);
    let complete = thread::scope(|scope| {
        scope.spawn(|| {
            while events.next().is_some() {
                taken.fetch_add(1, Ordering::Relaxed);
            }
        });
        let complete = (1..=10_000).all(|round| {
            feed.post(event(round));
            reaches(round, || taken.load(Ordering::Relaxed))
        });
        feed.close();
        feed.waiters.ring_all();
        complete
    });
    assert!(complete, "an event lay there and its receiver slept");
}

/// One ring may stand for both events.
#[test]
fn two_events_wake_two_threads_that_wait() {
    let clock = ManualClock::new();
    let (feed, events) = feed(&clock);
    for round in 0..300 {
        let taken = AtomicU64::new(0);
        let complete = thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    taken.fetch_add(u64::from(events.next().is_some()), Ordering::Relaxed);
                });
            }
            clock.wait_for_blocked(2);
            feed.post(event(1));
            feed.post(event(2));
            let complete = reaches(2, || taken.load(Ordering::Relaxed));
            feed.waiters.ring_all();
            complete
        });
        assert!(complete, "an event lay there and a thread slept in round {round}");
    }
}

/// Does `act` just while a thread begins to wait, in half of the rounds a little earlier, in the
/// others a little later. Each round has a thread of its own: two that wake each other settle on
/// one processor, and never meet.
fn race_with_a_wait(act: impl Fn(&Feed)) {
    let delay = |steps: u64| (0..steps).for_each(|_| std::hint::spin_loop());
    for round in 0..1_000 {
        let (early, late) = if round % 2 == 0 { (round % 100, 0) } else { (0, round % 50) };
        let (feed, events) = feed(&ManualClock::new());
        // The first event takes longer than the rest, which would give the thread a start.
        feed.post(event(0));
        events.try_next();
        let (started, ended) = (AtomicBool::new(false), AtomicU64::new(0));
        let complete = thread::scope(|scope| {
            scope.spawn(|| {
                started.store(true, Ordering::Release);
                delay(early);
                events.next();
                ended.store(1, Ordering::Relaxed);
            });
            while !started.load(Ordering::Acquire) {
                thread::yield_now();
            }
            delay(late);
            act(&feed);
            let complete = reaches(1, || ended.load(Ordering::Relaxed));
            feed.close();
            feed.waiters.ring_all();
            complete
        });
        assert!(complete, "it was waited for, it came, and the thread slept in round {round}");
    }
}

#[test]
fn no_event_is_missed_between_looking_and_sleeping() {
    race_with_a_wait(|feed| feed.post(event(1)));
}

#[test]
fn no_end_is_missed_between_looking_and_sleeping() {
    race_with_a_wait(Feed::close);
}
