//! A clock that only moves when it is told to, so that tests neither sleep nor flake.
//!
//! # Invariants
//!
//! 1. Every thread that waits on the clock is among `sleepers` before it blocks, and it was put
//!    there under the lock under which the hands move: a moment that comes is never missed.
//! 2. Under `hands` only a [`Parker`]'s lock is taken, which is a leaf. Moving the clock can thus
//!    not deadlock with anybody who reads it or signals under a lock of their own.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex};

use super::sealed::Source;
use super::{Clock, Moment, Parker, Time, Woken};

/// 2020-01-01T00:00:00Z, in seconds since 1970.
const NEW_YEAR_2020: Duration = Duration::from_secs(1_577_836_800);

/// A clock for tests: it stands still until [`advance`](Self::advance) moves it.
///
/// A clone shows and moves the same time. A blocked read on such a clock waits for `advance` from
/// another thread, however much real time goes by.
///
/// ```
/// use std::time::Duration;
/// use millstream::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// clock.advance(Duration::from_secs(30));
/// assert_eq!(clock.monotonic(), Duration::from_secs(30));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    face: Arc<Face>,
}

#[derive(Debug)]
struct Face {
    advances_itself: bool,
    hands: Mutex<Hands>,
    /// Rung when a thread goes to sleep.
    arrivals: Condvar,
}

#[derive(Debug)]
struct Hands {
    monotonic: Duration,
    wall: SystemTime,
    /// The threads that wait, in no order. Bounded by the number of threads.
    sleepers: Vec<Sleeper>,
}

#[derive(Debug)]
struct Sleeper {
    wake: Moment,
    parker: Arc<Parker>,
}

impl ManualClock {
    /// A clock whose monotonic face shows zero, and whose wall face the start of 2020.
    pub fn new() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + NEW_YEAR_2020)
    }

    /// A clock whose monotonic face shows zero, and whose wall face `wall`.
    pub fn at(wall: SystemTime) -> Self {
        Self::with(wall, false)
    }

    /// A clock that moves by itself to the next thing due (the end of a lease, of a delay, of the
    /// caller's own wait) when a read would block. Where nothing is ever due the read returns
    /// empty. A single thread can thus play through hours in no time, and never hangs.
    pub fn self_advancing() -> Self {
        Self::with(SystemTime::UNIX_EPOCH + NEW_YEAR_2020, true)
    }

    fn with(wall: SystemTime, advances_itself: bool) -> Self {
        let hands = Hands { monotonic: Duration::ZERO, wall, sleepers: Vec::new() };
        let face = Face { advances_itself, hands: Mutex::new(hands), arrivals: Condvar::new() };
        Self { face: Arc::new(face) }
    }

    /// Moves both faces on by `by`, and wakes the threads whose moment has come.
    pub fn advance(&self, by: Duration) {
        self.face.hands.lock().advance(by);
    }

    /// Makes the wall face jump, forward or back. The monotonic face does not move, as with a
    /// computer whose time is set.
    pub fn set_wall(&self, wall: SystemTime) {
        self.face.hands.lock().wall = wall;
    }

    /// Waits until `threads` threads are blocked on this clock.
    ///
    /// A test calls it between starting a blocking read and [`advance`](Self::advance): a clock
    /// that moves before the read began would never end the read's wait. On a
    /// [self-advancing](Self::self_advancing) clock nothing ever blocks, and it returns at once.
    pub fn wait_for_blocked(&self, threads: usize) {
        let mut hands = self.face.hands.lock();
        while !self.face.advances_itself && hands.asleep() < threads {
            self.face.arrivals.wait(&mut hands);
        }
    }

    pub(super) fn advances_itself(&self) -> bool {
        self.face.advances_itself
    }

    /// The moments that the blocked threads wait for, earliest first.
    #[cfg(test)]
    pub(crate) fn wakes(&self) -> Vec<Moment> {
        let mut wakes: Vec<_> = self.face.hands.lock().sleepers.iter().map(|s| s.wake).collect();
        wakes.sort_unstable();
        wakes
    }

    /// See [`Time::sleep`].
    pub(super) fn sleep(&self, parker: &Arc<Parker>, wake: Moment) -> Woken {
        if let Some(woken) = parker.take() {
            return woken;
        }
        let mut hands = self.face.hands.lock();
        if hands.now() >= wake {
            return Woken::Time;
        }
        if self.face.advances_itself {
            if wake == Moment::NEVER {
                return Woken::Idle;
            }
            hands.advance_to(wake);
            return Woken::Time;
        }
        hands.sleepers.push(Sleeper { wake, parker: Arc::clone(parker) });
        self.face.arrivals.notify_all();
        drop(hands);
        let woken = parker.wait();
        self.face.hands.lock().sleepers.retain(|sleeper| !Arc::ptr_eq(&sleeper.parker, parker));
        woken
    }
}

impl Hands {
    fn now(&self) -> Moment {
        Moment::at(self.monotonic)
    }

    /// Threads that sleep on: those already signalled are about to run.
    fn asleep(&self) -> usize {
        self.sleepers.iter().filter(|sleeper| !sleeper.parker.is_signalled()).count()
    }

    fn advance(&mut self, by: Duration) {
        self.monotonic = self.monotonic.saturating_add(by);
        self.wall = self.wall.checked_add(by).unwrap_or(self.wall);
        let now = self.now();
        for sleeper in self.sleepers.iter().filter(|sleeper| sleeper.wake <= now) {
            sleeper.parker.nudge();
        }
    }

    fn advance_to(&mut self, moment: Moment) {
        self.advance(moment.since(Moment::ZERO).saturating_sub(self.monotonic));
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        self.face.hands.lock().monotonic
    }

    fn wall(&self) -> SystemTime {
        self.face.hands.lock().wall
    }
}

impl Source for ManualClock {
    fn time(&self) -> Time {
        Time::Manual(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn advancing_moves_both_faces_of_every_clone() {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        clock.clone().advance(SECOND);
        assert_eq!(clock.monotonic(), SECOND);
        assert_eq!(clock.wall(), SystemTime::UNIX_EPOCH + SECOND);
        assert_eq!(clock.time().now(), Moment(1_000_000));
    }

    #[test]
    fn a_jump_of_the_wall_clock_leaves_the_monotonic_face_alone() {
        let clock = ManualClock::new();
        clock.advance(SECOND);
        clock.set_wall(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.monotonic(), SECOND);
        assert_eq!(clock.time().wall_micros(), 0);
    }

    #[test]
    fn advancing_past_the_end_of_time_saturates() {
        let clock = ManualClock::new();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.monotonic(), Duration::MAX);
    }

    #[test]
    fn advance_wakes_only_those_whose_moment_has_come() {
        let clock = ManualClock::new();
        let (early, late) = (Arc::<Parker>::default(), Arc::<Parker>::default());
        // What was seen is judged outside the scope, which would wait for sleepers for ever.
        let (before, after) = thread::scope(|scope| {
            let first = scope.spawn(|| clock.sleep(&early, Moment::ZERO.after(SECOND)));
            scope.spawn(|| clock.sleep(&late, Moment::ZERO.after(2 * SECOND)));
            clock.wait_for_blocked(2);
            clock.advance(Duration::from_micros(999_999));
            let before = clock.wakes();
            clock.advance(Duration::from_micros(1));
            first.join().unwrap();
            let after = clock.wakes();
            clock.advance(SECOND);
            (before, after)
        });
        assert_eq!(before, [1, 2].map(|count| Moment::ZERO.after(count * SECOND)));
        assert_eq!(after, [Moment::ZERO.after(2 * SECOND)]);
    }

    #[test]
    fn a_moment_that_has_come_does_not_block() {
        let clock = ManualClock::new();
        clock.advance(SECOND);
        assert_eq!(clock.sleep(&Arc::default(), Moment::ZERO.after(SECOND)), Woken::Time);
    }

    #[test]
    fn a_self_advancing_clock_moves_to_the_moment_and_not_beyond() {
        let clock = ManualClock::self_advancing();
        let (parker, wake) = (Arc::default(), Moment::ZERO.after(SECOND));
        let wall = clock.wall();
        assert_eq!(clock.sleep(&parker, wake), Woken::Time);
        assert_eq!((clock.time().now(), clock.wall()), (wake, wall + SECOND));
        assert_eq!(clock.sleep(&parker, Moment::ZERO), Woken::Time);
        assert_eq!(clock.time().now(), wake);
    }

    #[test]
    fn a_self_advancing_clock_never_blocks() {
        let clock = ManualClock::self_advancing();
        clock.wait_for_blocked(1);
        assert_eq!(clock.sleep(&Arc::default(), Moment::NEVER), Woken::Idle);
        assert_eq!(clock.monotonic(), Duration::ZERO);
    }
}
