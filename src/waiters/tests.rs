//! What the queue promises, step by step on one thread, and then with threads that race.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::Duration;

use super::*;
use crate::clock::{ManualClock, time_of};

const NEVER: Moment = Moment::NEVER;

/// Parks on a clock that never blocks: `Idle` means that a real clock would have blocked.
fn peek(waiting: &Waiting<'_>) -> Woken {
    waiting.park(&time_of(&ManualClock::self_advancing()), NEVER, NEVER)
}

#[test]
fn a_ring_that_comes_before_the_park_is_kept() {
    let waiters = Waiters::default();
    let waiting = waiters.enter(0);
    waiters.ring_where(1, |_| true);
    assert_eq!(peek(&waiting), Woken::Rung);
    assert_eq!(peek(&waiting), Woken::Idle);
}

#[test]
fn rings_go_to_reads_in_the_order_they_blocked() {
    let waiters = Waiters::default();
    let [a, b, c] = [0, 1, 2].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |_| true);
    waiters.ring_where(1, |_| true);
    assert_eq!([&a, &b, &c].map(peek), [Woken::Rung, Woken::Rung, Woken::Idle]);
}

#[test]
fn a_batch_wakes_as_many_reads_as_it_has_entries() {
    let waiters = Waiters::default();
    let [a, b, c] = [0, 1, 2].map(|tag| waiters.enter(tag));
    waiters.ring_where(2, |_| true);
    assert_eq!([&a, &b, &c].map(peek), [Woken::Rung, Woken::Rung, Woken::Idle]);
}

#[test]
fn a_read_that_finds_nothing_keeps_its_place() {
    let waiters = Waiters::default();
    let [a, b] = [0, 1].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |_| true);
    assert_eq!(peek(&a), Woken::Rung);
    waiters.ring_where(1, |_| true);
    assert_eq!([&a, &b].map(peek), [Woken::Rung, Woken::Idle]);
}

#[test]
fn a_read_that_leaves_without_hearing_its_ring_passes_it_on() {
    let waiters = Waiters::default();
    let [a, b, c] = [0, 1, 2].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |_| true);
    drop(a);
    assert_eq!([&b, &c].map(peek), [Woken::Rung, Woken::Idle]);
}

#[test]
fn a_read_that_leaves_without_taking_passes_its_ring_on() {
    let waiters = Waiters::default();
    let [a, b, c] = [0, 1, 2].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |_| true);
    assert_eq!(peek(&b), Woken::Idle);
    assert_eq!(peek(&a), Woken::Rung);
    drop(a);
    assert_eq!([&b, &c].map(peek), [Woken::Rung, Woken::Idle]);
}

#[test]
fn a_read_that_leaves_with_two_rings_passes_on_both() {
    let waiters = Waiters::default();
    let [a, b, c] = [0, 1, 2].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |_| true);
    assert_eq!(peek(&a), Woken::Rung);
    waiters.ring_where(1, |_| true);
    drop(a);
    assert_eq!([&b, &c].map(peek), [Woken::Rung, Woken::Rung]);
}

#[test]
fn a_read_that_was_served_has_used_its_ring() {
    let waiters = Waiters::default();
    let [a, b, c] = [0, 1, 2].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |tag| tag == 1);
    assert_eq!(peek(&b), Woken::Rung);
    b.served();
    assert_eq!([&a, &c].map(peek), [Woken::Idle, Woken::Idle]);
}

#[test]
fn a_ring_that_comes_while_a_read_is_served_goes_to_the_next() {
    let waiters = Waiters::default();
    let [a, b, c] = [0, 1, 2].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |tag| tag == 1);
    assert_eq!(peek(&b), Woken::Rung);
    waiters.ring_where(1, |tag| tag == 1);
    b.served();
    assert_eq!([&a, &c].map(peek), [Woken::Idle, Woken::Rung]);
}

#[test]
fn a_ring_finds_the_first_read_that_may_take() {
    let waiters = Waiters::default();
    let [a, b, c] = [7, 8, 8].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |tag| tag == 8);
    assert_eq!([&a, &b, &c].map(peek), [Woken::Idle, Woken::Rung, Woken::Idle]);
}

#[test]
fn a_wake_that_nobody_can_use_comes_to_an_end() {
    let waiters = Waiters::default();
    let places = [0, 1, 2].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |_| true);
    for waiting in &places {
        assert_eq!(peek(waiting), Woken::Rung);
        waiting.pass_on();
    }
    assert_eq!(places.each_ref().map(peek), [Woken::Idle; 3]);
}

#[test]
fn what_became_due_can_be_passed_on_without_a_ring() {
    let waiters = Waiters::default();
    let [a, b] = [0, 1].map(|tag| waiters.enter(tag));
    a.pass_on();
    assert_eq!([&a, &b].map(peek), [Woken::Idle, Woken::Rung]);
}

#[test]
fn the_next_front_is_woken_to_keep_the_timer() {
    let waiters = Waiters::default();
    let [a, b, c] = [0, 1, 2].map(|tag| waiters.enter(tag));
    assert_eq!([a.is_front(), b.is_front()], [true, false]);
    drop(b);
    assert_eq!(peek(&c), Woken::Idle);
    drop(a);
    assert!(c.is_front());
    assert_eq!([peek(&c), peek(&c)], [Woken::Time, Woken::Idle]);
}

#[test]
fn rearming_wakes_the_front_alone() {
    let waiters = Waiters::default();
    waiters.rearm();
    let [a, b] = [0, 1].map(|tag| waiters.enter(tag));
    waiters.rearm();
    assert_eq!([&a, &b].map(peek), [Woken::Time, Woken::Idle]);
}

#[test]
fn everybody_hears_a_ring_for_all() {
    let waiters = Waiters::default();
    let places = [0, 1, 2].map(|tag| waiters.enter(tag));
    waiters.ring_where(1, |_| true);
    waiters.ring_all();
    assert_eq!(places.each_ref().map(peek), [Woken::Rung; 3]);
}

#[test]
fn a_tally_counts_the_reads_of_all_that_share_it() {
    let tally = Tally::default();
    let (one, other) = (Waiters::new(&tally), Waiters::new(&tally));
    assert!(tally.is_zero() && one.is_empty());
    let (first, second) = (one.enter(0), other.enter(0));
    drop(first);
    assert!(one.is_empty() && !other.is_empty() && !tally.is_zero());
    drop(second);
    assert!(other.is_empty() && tally.is_zero());
}

#[test]
fn a_self_advancing_clock_moves_to_the_earlier_of_deadline_and_due() {
    let (waiters, clock) = (Waiters::default(), ManualClock::self_advancing());
    let time = time_of(&clock);
    let [a, b] = [0, 1].map(|tag| waiters.enter(tag));
    assert_eq!(a.park(&time, Moment(9), Moment(5)), Woken::Time);
    assert_eq!(time.now(), Moment(5));
    assert_eq!(b.park(&time, Moment(9), Moment(7)), Woken::Time);
    assert_eq!(time.now(), Moment(7));
    assert_eq!(b.park(&time, Moment(9), NEVER), Woken::Time);
    assert_eq!(time.now(), Moment(9));
}

#[test]
fn only_the_front_wakes_for_what_is_due() {
    let (waiters, clock) = (Waiters::default(), ManualClock::new());
    let time = &time_of(&clock);
    let (a, b) = (waiters.enter(0), waiters.enter(1));
    let wakes = thread::scope(|scope| {
        scope.spawn(move || a.park(time, NEVER, Moment(5)));
        scope.spawn(move || b.park(time, Moment(9), Moment(5)));
        clock.wait_for_blocked(2);
        let wakes = clock.wakes();
        clock.advance(Duration::from_micros(9));
        wakes
    });
    assert_eq!(wakes, [Moment(5), Moment(9)]);
}

#[test]
fn a_parked_read_is_rung_from_another_thread() {
    let (waiters, clock) = (Waiters::default(), ManualClock::new());
    let time = time_of(&clock);
    let waiting = waiters.enter(0);
    thread::scope(|scope| {
        let read = scope.spawn(|| (waiting.park(&time, NEVER, NEVER), waiting));
        clock.wait_for_blocked(1);
        waiters.ring_where(1, |_| true);
        assert_eq!(read.join().unwrap().0, Woken::Rung);
    });
}

/// What the racing threads share: a number of tokens under the lock that publishing takes.
#[derive(Default)]
struct Race {
    waiters: Waiters,
    tokens: Mutex<u64>,
    taken: AtomicU64,
    over: AtomicBool,
}

impl Race {
    fn publish(&self, count: usize) {
        *self.tokens.lock() += count as u64;
        if !self.waiters.is_empty() {
            self.waiters.ring_where(count, |_| true);
        }
    }

    fn try_take(&self) -> bool {
        let mut tokens = self.tokens.lock();
        let some = *tokens > 0;
        if some {
            *tokens -= 1;
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        some
    }

    /// Takes one token. `false` once all is over.
    fn take(&self, time: &Time) -> bool {
        if self.try_take() {
            return true;
        }
        let waiting = self.waiters.enter(0);
        while !self.over.load(Ordering::Acquire) {
            if self.try_take() {
                waiting.served();
                return true;
            }
            waiting.park(time, NEVER, NEVER);
        }
        false
    }

    /// A read that gives up at once: whatever wake it was given has to reach somebody else.
    fn give_up(&self) {
        drop(self.waiters.enter(0));
    }
}

/// Yields with nothing taken, after which a wake counts as lost. A yield is no measure of time: on
/// a busy machine it lets the others run.
const YIELDS_MAX: u32 = 5_000_000;

impl Race {
    /// Waits until `total` tokens are taken; `false` if the takers stopped before that.
    fn all_taken(&self, total: u64) -> bool {
        let (mut seen, mut idle) = (0, 0);
        while seen < total && idle < YIELDS_MAX {
            thread::yield_now();
            let now = self.taken.load(Ordering::Relaxed);
            idle = if now == seen { idle + 1 } else { 0 };
            seen = now;
        }
        seen >= total
    }

    /// Runs `publishing` against takers and against a read that keeps giving up.
    fn run(self, publishing: impl FnOnce(&Self) -> bool) {
        let time = time_of(&ManualClock::new());
        let complete = thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| while self.take(&time) {});
            }
            scope.spawn(|| {
                while !self.over.load(Ordering::Acquire) {
                    self.give_up();
                }
            });
            let complete = publishing(&self);
            self.over.store(true, Ordering::Release);
            self.waiters.ring_all();
            complete
        });
        assert!(complete, "a token lay there and every taker slept");
        assert!(self.waiters.is_empty());
    }
}

#[test]
fn no_wake_is_lost_when_many_are_published_at_once() {
    const ROUNDS: usize = 10_000;
    Race::default().run(|race| {
        thread::scope(|scope| {
            for batch in [1, 1, 2] {
                scope.spawn(move || (0..ROUNDS).for_each(|_| race.publish(batch)));
            }
        });
        race.all_taken(4 * ROUNDS as u64)
    });
}

/// Here no later ring makes good for one that was lost.
#[test]
fn no_wake_is_lost_when_each_waits_for_the_one_before() {
    Race::default().run(|race| {
        (1..=10_000).all(|round| {
            race.publish(1);
            race.all_taken(round)
        })
    });
}
