//! Where a group's events go: the [`Board`], which every [`Events`] of the group hears, and the
//! [`Notices`] of one consumer. (The ledger's events are another thing: what the journal keeps.)
//!
//! # Invariants
//!
//! 1. Posting never fails, and never waits for whoever listens: it may be done under the group's
//!    lock. `receivers` is held for pushing and taking only; the lock of a receiver's waiters is
//!    taken under it.
//! 2. Every receiver gets the events in the order in which they were posted, or counts them.
//! 3. The board knows its receivers weakly. One that is dropped is gone at once, and what waited in
//!    it too; its place in the list goes with the next post or subscription.
//! 4. A board that is closed or dropped has ended all its receivers, and stays so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::turnover;
use crate::clock::Time;
use crate::events::{Event, Events, Feed, Queue};
use crate::limits::NOTICES_MAX;
use crate::observe::{self, Source};

/// Where a group's desk posts what happened.
#[derive(Debug)]
pub(crate) struct Board {
    receivers: Mutex<Receivers>,
    /// How long the list is, for those who do not hold its lock.
    listed: AtomicUsize,
    time: Time,
    /// As what the group tells those who observe the process.
    pub(crate) source: Source,
}

#[derive(Debug, Default)]
struct Receivers {
    feeds: Vec<Weak<Feed>>,
    closed: bool,
}

impl Board {
    /// A board that nobody listens to. Its receivers wait by `time`.
    pub(crate) fn new(time: &Time, source: Source) -> Self {
        let (receivers, listed) = (Mutex::default(), AtomicUsize::new(0));
        Self { receivers, listed, time: time.clone(), source }
    }

    /// Whether somebody may be listening; if not, there is no need to make an event. One load.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.listed.load(Ordering::Relaxed) > 0
    }

    /// Gives an event to everybody who listens.
    pub(crate) fn post(&self, event: Event) {
        if observe::ON {
            turnover::note_event(&self.source, &event);
        }
        if !self.is_watched() {
            return;
        }
        let mut receivers = self.receivers.lock();
        self.forget_gone(&mut receivers);
        let copies = std::iter::repeat_n(event, receivers.feeds.len());
        for (feed, copy) in receivers.feeds.iter().zip(copies) {
            if let Some(feed) = feed.upgrade() {
                feed.post(copy);
            }
        }
    }

    /// Makes a receiver of what is posted from now on. That of a closed board has ended.
    pub(crate) fn subscribe(&self) -> Events {
        let feed = Arc::new(Feed::new());
        let mut receivers = self.receivers.lock();
        if receivers.closed {
            feed.close();
        } else {
            receivers.feeds.push(Arc::downgrade(&feed));
            self.forget_gone(&mut receivers);
        }
        Events::new(feed, self.time.clone())
    }

    /// Ends all receivers, and wakes those who wait: the group was deleted or the stream closed.
    pub(crate) fn close(&self) {
        let mut receivers = self.receivers.lock();
        receivers.closed = true;
        receivers.feeds.drain(..).filter_map(|feed| feed.upgrade()).for_each(|feed| feed.close());
        self.forget_gone(&mut receivers);
    }

    fn forget_gone(&self, receivers: &mut Receivers) {
        receivers.feeds.retain(|feed| feed.strong_count() > 0);
        self.listed.store(receivers.feeds.len(), Ordering::Relaxed);
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.close();
    }
}

/// What one consumer is told: the events that are about itself.
#[derive(Debug)]
pub(crate) struct Notices {
    queue: Queue,
    /// Whether something came since it was announced last.
    fresh: AtomicBool,
}

impl Notices {
    /// Nothing to tell yet.
    pub(crate) const fn new() -> Self {
        Self { queue: Queue::new(NOTICES_MAX), fresh: AtomicBool::new(false) }
    }

    /// Leaves an event for the consumer, or counts it if it does not look at them. Never waits.
    pub(crate) fn push(&self, event: Event) {
        self.queue.offer(event);
        self.fresh.store(true, Ordering::Release);
    }

    /// Takes what there is, in the order in which it came.
    pub(crate) fn drain(&self) -> Vec<Event> {
        self.queue.drain()
    }

    /// How many events did not fit.
    pub(crate) fn missed(&self) -> u64 {
        self.queue.missed()
    }

    /// Whether there is something that was not announced before: a blocked read returns early for
    /// it. What was drained in between needs no announcement. None is lost if this is called while
    /// somebody pushes, though the same may be announced twice then.
    pub(crate) fn announce(&self) -> bool {
        self.fresh.load(Ordering::Relaxed)
            && self.fresh.swap(false, Ordering::Acquire)
            && !self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests;
