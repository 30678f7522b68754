//! The blocked reads of one group, or of one subscription, in the order in which they blocked.
//!
//! # How a read blocks
//!
//! ```text
//! let waiting = waiters.enter(tag);            // 1. take a place
//! loop {
//!     try once more; on success:               // 2. under the lock L that publishing takes
//!         waiting.served(), return
//!     past its own deadline, or an error:      //    a wake it holds is passed on by the drop
//!         return
//!     something there, but not for this one:
//!         waiting.pass_on()
//!     waiting.park(..)                         // 3. sleep; the place is kept
//! }
//! ```
//!
//! # Why no wake is lost
//!
//! Whoever publishes does so under L, and asks [`Waiters::is_empty`] afterwards. The read enters
//! first and tries under L afterwards. One of the two is first at L. If it is the publisher, the
//! read finds what was published. If it is the read, its place was counted before it gave L up,
//! so the publisher, who took L later, sees the count and rings. A ring is kept until the read
//! hears it in `park`, so one that comes between 2 and 3 is not lost either. (The order comes
//! from L alone, which is why the counts are relaxed. Trying without L would break it.)
//!
//! # Invariants
//!
//! 1. The queue is in the order of entering. A place is kept until its `Waiting` is dropped,
//!    however often the read is woken and finds nothing.
//! 2. What becomes available rings the first place alone: a second ring would let the next read
//!    overtake it. Whoever leaves something behind rings again, and leaving passes that on.
//! 3. A ring that was given is used, passed on, or heard by a read that then found nothing.
//!    It is passed on towards the back only, so one that nobody can use comes to an end.
//! 4. Only the front keeps the timer for what becomes due in the group. A read that becomes the
//!    front is woken to set it.
//! 5. Locks: the queue's before a parker's, and whoever rings may hold the group's. The predicate
//!    of `ring_where` runs under the queue's lock and takes none.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

pub(crate) use crate::clock::Woken;
use crate::clock::{Moment, Parker, Time};
use crate::tally::Tally;

/// The blocked reads of one group.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    queue: Mutex<VecDeque<Place>>,
    /// The queue's length, for those who do not hold its lock.
    blocked: AtomicUsize,
    tally: Tally,
}

#[derive(Debug)]
struct Place {
    /// What the read may be given, in the caller's terms: its member, for instance.
    tag: u64,
    parker: Arc<Parker>,
}

impl Waiters {
    /// No reads yet; those to come count in `tally` as well.
    pub(crate) fn new(tally: &Tally) -> Self {
        Self { tally: tally.clone(), ..Self::default() }
    }

    /// Whether no read is blocked here. One load.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) == 0
    }

    /// How many reads are blocked here.
    pub(crate) fn len(&self) -> usize {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Takes the last place. The caller tries once more before it parks.
    pub(crate) fn enter(&self, tag: u64) -> Waiting<'_> {
        let parker = Arc::<Parker>::default();
        let mut queue = self.queue.lock();
        queue.push_back(Place { tag, parker: Arc::clone(&parker) });
        self.blocked.store(queue.len(), Ordering::Relaxed);
        self.tally.add();
        Waiting { waiters: self, parker, held: Cell::new(0) }
    }

    /// Wakes the first read, if it has no ring yet. The next one is woken when that one leaves or
    /// passes the ring on, so that reads are served in the order in which they blocked.
    pub(crate) fn ring_first(&self) {
        if self.is_empty() {
            return;
        }
        if let Some(front) = self.queue.lock().front() {
            front.parker.ring();
        }
    }

    /// Wakes the first `count` reads that have no ring yet and whose tag may be given something.
    pub(crate) fn ring_where(&self, count: usize, may_read: impl Fn(u64) -> bool) {
        if self.is_empty() {
            return;
        }
        let queue = self.queue.lock();
        ring_each(queue.iter().filter(|place| may_read(place.tag)), count);
    }

    /// Wakes every read: the group ended, or something changed that each must see.
    pub(crate) fn ring_all(&self) {
        self.ring_where(usize::MAX, |_| true);
    }

    /// Wakes the read that keeps the timer: something is due earlier than it was told.
    pub(crate) fn rearm(&self) {
        if self.is_empty() {
            return;
        }
        if let Some(front) = self.queue.lock().front() {
            front.parker.nudge();
        }
    }
}

fn ring_each<'a>(places: impl Iterator<Item = &'a Place>, count: usize) {
    let mut left = count;
    for place in places {
        if left == 0 {
            return;
        }
        if place.parker.ring() {
            left -= 1;
        }
    }
}

/// The place of one blocked read. Dropping it gives the place up and passes on a ring that was
/// not used.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    waiters: &'a Waiters,
    parker: Arc<Parker>,
    /// Rings that were heard, and that the try which follows has not used yet.
    held: Cell<usize>,
}

impl Waiting<'_> {
    /// Whether this read keeps the timer.
    pub(crate) fn is_front(&self) -> bool {
        let queue = self.waiters.queue.lock();
        queue.front().is_some_and(|front| Arc::ptr_eq(&front.parker, &self.parker))
    }

    /// Blocks until the read is rung, or `until` (its own deadline) has come, or `due` (the next
    /// thing due in the group) if it is the front. The caller then tries again; it must have dealt
    /// with what was due, or it will be woken at once again.
    ///
    /// Under a self-advancing clock this moves the clock to the earlier of the two, whoever is the
    /// front, and never blocks.
    pub(crate) fn park(&self, time: &Time, until: Moment, due: Moment) -> Woken {
        // The last try found nothing, so nothing is left behind by forgetting what led to it.
        self.held.set(0);
        // A read that becomes the front behind this look is nudged, and that is kept.
        let keeps_timer = time.is_self_advancing() || self.is_front();
        let wake = if keeps_timer { until.min(due) } else { until };
        let woken = time.sleep(&self.parker, wake);
        if woken == Woken::Rung {
            self.held.set(1);
        }
        woken
    }

    /// Wakes the next read behind this one: there is something to take, but not for this one.
    pub(crate) fn pass_on(&self) {
        let count = self.held.replace(0).max(1);
        let queue = self.waiters.queue.lock();
        ring_each(queue.range(self.position(&queue) + 1..), count);
    }

    /// Gives the place up after taking something: the ring that led here is used.
    pub(crate) fn served(self) {
        self.held.set(0);
    }

    fn position(&self, queue: &VecDeque<Place>) -> usize {
        queue
            .iter()
            .position(|place| Arc::ptr_eq(&place.parker, &self.parker))
            .expect("a place is removed only when its `Waiting` is dropped")
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = self.waiters.queue.lock();
        let position = self.position(&queue);
        queue.remove(position);
        self.waiters.blocked.store(queue.len(), Ordering::Relaxed);
        self.waiters.tally.subtract();
        // Rings are given under the queue's lock, so no further one can come for this place.
        let unused = self.held.get() + usize::from(self.parker.take_ring());
        ring_each(queue.range(position..), unused);
        if position == 0
            && let Some(front) = queue.front()
        {
            front.parker.nudge();
        }
    }
}

#[cfg(test)]
mod tests;
