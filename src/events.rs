//! What a group tells those who listen: the [`Event`], the bounded queue it waits in, and
//! [`Events`], which takes it out.
//!
//! # Invariants
//!
//! 1. Whoever posts is never made to wait for whoever listens: an event that finds the queue full is
//!    dropped and counted. The queue then holds the oldest events, so what is taken out has no
//!    gap but the one at its end, and `missed` tells how wide that is.
//! 2. A feed that was closed takes no events, and is over once those in it are taken.
//! 3. An [`Events`] holds its feed and the clock, and nothing that keeps a stream or a group open.
//! 4. The room for events is made with the first one: who hears nothing costs nothing.
//!
//! # Why no wake is lost
//!
//! [`Waiters`] leaves the order of publishing and trying to a lock that both take. Here the queue
//! has none; a fence on each side takes its place. Whoever posts puts the event in, passes the
//! fence and looks for a place; whoever waits takes a place, passes the fence and looks for an
//! event. Whichever passes second sees what the other did before. Closing is ordered the same way.
//! One ring may stand for several events. The thread that hears it takes one and leaves the front,
//! which wakes the next to look for itself.
//!
//! # Why not the channel's own blocking receive
//!
//! It waits by real time, and a [`ManualClock`](crate::ManualClock) could not end the wait.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};

use crate::clock::{Moment, Time};
use crate::error::Gone;
use crate::id::EntryId;
use crate::limits::EVENTS_MAX;
use crate::loss::Loss;
use crate::waiters::{Waiters, Woken};

/// Something that happened in a group.
///
/// ```
/// use millstream::Event;
///
/// fn line(event: &Event) -> String {
///     match event {
///         Event::Joined { consumer, .. } => format!("{consumer} joined"),
///         Event::Left { consumer, why, .. } => format!("{consumer} is gone: {why}"),
///         Event::Exhausted { id, attempts, .. } => format!("gave {id} up after {attempts} attempts"),
///         other => format!("{other:?}"),
///     }
/// }
///
/// let joined = Event::Joined { consumer: "worker-1".into(), generation: 4 };
/// assert_eq!(line(&joined), "worker-1 joined");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// A consumer joined.
    Joined {
        /// Its name.
        consumer: String,
        /// The generation in which it joined.
        generation: u64,
    },
    /// A consumer is no longer a member.
    Left {
        /// Its name.
        consumer: String,
        /// Whether it left, was removed, or its session ended.
        why: Gone,
        /// The generation in which it went.
        generation: u64,
    },
    /// The group began to change which member owns which partition.
    RebalanceBegan {
        /// The new generation.
        generation: u64,
        /// What made it begin.
        cause: Cause,
    },
    /// Every partition is with the member that it was meant for.
    RebalanceEnded {
        /// The generation that was reached.
        generation: u64,
        /// What had made it begin.
        cause: Cause,
        /// How long it took, by the monotonic face of the stream's clock.
        took: Duration,
        /// How many partitions changed hands.
        moved: u32,
    },
    /// The strategy gave no usable answer. The group goes on as it was.
    RebalanceFailed {
        /// What the strategy was asked for.
        cause: Cause,
        /// What was wrong with its answer.
        reason: String,
    },
    /// A consumer was given partitions.
    Assigned {
        /// Its name.
        consumer: String,
        /// The generation that gave them.
        generation: u64,
        /// The partitions it has now and did not have before.
        partitions: Vec<u32>,
    },
    /// A consumer has to give partitions up: no more of their entries are handed to it. What it
    /// holds of them it can still settle, until the revocation timeout.
    Revoked {
        /// Its name.
        consumer: String,
        /// The generation that takes them.
        generation: u64,
        /// The partitions it has to give up.
        partitions: Vec<u32>,
    },
    /// A consumer lost partitions: its leases on their entries are void.
    Lost {
        /// Its name.
        consumer: String,
        /// The generation that took them.
        generation: u64,
        /// The partitions it lost.
        partitions: Vec<u32>,
    },
    /// Retention, or the policy for what was trimmed, took entries before the group was done with
    /// them.
    Trimmed {
        /// The partition.
        partition: u32,
        /// The first offset that went.
        first: u64,
        /// One past the last.
        end: u64,
        /// What the group had not settled of these.
        lost: Loss,
    },
    /// Somebody settled entries by their ids, whoever held them: `Group::ack_entries`.
    AckedById {
        /// The partition.
        partition: u32,
        /// The first offset.
        first: u64,
        /// One past the last.
        end: u64,
    },
    /// An entry's attempts are over, or it was rejected.
    Exhausted {
        /// The entry.
        id: EntryId,
        /// How often it was handed out.
        attempts: u16,
        /// The words with which it was rejected; `None` if its attempts were over.
        reason: Option<String>,
        /// What became of it.
        fate: Fate,
    },
}

/// What made a group change who owns what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Cause {
    /// The consumer of this name joined.
    Joined(String),
    /// The consumer of this name left.
    Left(String),
    /// The consumer of this name was removed.
    Removed(String),
    /// The session of the consumer of this name ended.
    Expired(String),
    /// The stream has more partitions.
    PartitionsAdded,
    /// The group has another strategy.
    StrategyChanged,
    /// Somebody asked for it.
    Asked,
}

/// What became of an entry whose attempts are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fate {
    /// It is set aside until it is redriven or discarded.
    Parked,
    /// It is settled, and does not come again.
    Discarded,
    /// Its dead letter is safe in another stream, so it is settled.
    DeadLettered,
}

/// One receiver of a group's events, from the moment it was made.
///
/// Every receiver gets every event. One that is slow never holds the group up: it keeps 1,024
/// events, and those that come while it is full are dropped and counted in
/// [`missed`](Self::missed). It keeps neither the stream nor the group open, and ends with them:
/// what came before can still be taken out then.
///
/// It only listens. What time ends in a group, a session for instance, is told when the next call
/// of anybody deals with it.
///
/// ```
/// use millstream::{Event, Start, Stream};
///
/// let stream = Stream::options().in_memory()?;
/// let group = stream.group("billing").open(Start::Earliest)?;
/// let events = group.events()?;
/// let worker = group.join("worker-1")?;
/// worker.leave()?;
/// stream.close()?;
///
/// let mut names = Vec::new();
/// while let Some(event) = events.next() {
///     if let Event::Joined { consumer, .. } | Event::Left { consumer, .. } = event {
///         names.push(consumer);
///     }
/// }
/// assert_eq!(names, ["worker-1", "worker-1"]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Events {
    feed: Arc<Feed>,
    time: Time,
}

impl Events {
    pub(crate) fn new(feed: Arc<Feed>, time: Time) -> Self {
        Self { feed, time }
    }

    /// The next event; waits for it if there is none. `None` once the group was deleted or the
    /// stream closed, and all events before that were taken.
    ///
    /// Under a self-advancing [`ManualClock`](crate::ManualClock) nothing can come while this
    /// waits, so `None` says only that there is no event.
    pub fn next(&self) -> Option<Event> {
        self.next_until(Moment::NEVER)
    }

    /// The next event, if there is one.
    pub fn try_next(&self) -> Option<Event> {
        self.feed.queue.take()
    }

    /// The next event; waits for it at most `wait`, by the stream's clock. `None` also as soon as
    /// nothing will come any more, which [`has_ended`](Self::has_ended) tells apart.
    pub fn next_timeout(&self, wait: Duration) -> Option<Event> {
        self.next_until(self.time.now().after(wait))
    }

    /// The events that are there, in the order in which they came.
    pub fn drain(&self) -> Vec<Event> {
        self.feed.queue.drain()
    }

    /// How many events did not fit since the receiver was made.
    pub fn missed(&self) -> u64 {
        self.feed.queue.missed()
    }

    /// Whether the group was deleted or the stream closed, and no event is left.
    pub fn has_ended(&self) -> bool {
        self.feed.is_closed() && self.feed.queue.is_empty()
    }

    fn next_until(&self, until: Moment) -> Option<Event> {
        let Feed { queue, waiters, .. } = &*self.feed;
        if let Some(event) = queue.take() {
            return Some(event);
        }
        let waiting = waiters.enter(0);
        loop {
            // Behind this, whoever posts or closes sees that somebody waits.
            fence(Ordering::SeqCst);
            // Before the queue: what came before the end is taken first.
            let closed = self.feed.is_closed();
            if let Some(event) = queue.take() {
                waiting.served();
                return Some(event);
            }
            if closed
                || self.time.now() >= until
                || waiting.park(&self.time, until, Moment::NEVER) == Woken::Idle
            {
                return None;
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("waiting", &self.feed.queue.len())
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

/// What an [`Events`] and whoever posts to it share.
#[derive(Debug)]
pub(crate) struct Feed {
    queue: Queue,
    waiters: Waiters,
    closed: AtomicBool,
}

impl Feed {
    /// A feed that nothing was posted to yet.
    pub(crate) fn new() -> Self {
        Self {
            queue: Queue::new(EVENTS_MAX),
            waiters: Waiters::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Puts an event in, or counts it, and wakes whoever waits for it. Never waits for them.
    pub(crate) fn post(&self, event: Event) {
        if self.queue.offer(event) {
            fence(Ordering::SeqCst);
            self.waiters.ring_first();
        }
    }

    /// Says that nothing will come any more. Whoever calls it posts nothing afterwards.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        self.waiters.ring_all();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// A bounded queue of events that keeps the oldest and counts the rest. The only user of the
/// channel's types.
#[derive(Debug)]
pub(crate) struct Queue {
    max: usize,
    ends: OnceLock<(Sender<Event>, Receiver<Event>)>,
    missed: AtomicU64,
}

impl Queue {
    /// An empty queue that keeps up to `max` events.
    pub(crate) const fn new(max: usize) -> Self {
        Self { max, ends: OnceLock::new(), missed: AtomicU64::new(0) }
    }

    /// Puts an event in. `false` if there was no room: then it is counted.
    pub(crate) fn offer(&self, event: Event) -> bool {
        let (sender, _) = self.ends.get_or_init(|| bounded(self.max));
        // Both ends live here, so the only reason to refuse is that it is full.
        let fits = sender.try_send(event).is_ok();
        if !fits {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    /// Takes the oldest event out.
    pub(crate) fn take(&self) -> Option<Event> {
        self.ends.get().and_then(|(_, receiver)| receiver.try_recv().ok())
    }

    /// Takes out what is there, but no more than fits: somebody who keeps posting does not keep
    /// this going.
    pub(crate) fn drain(&self) -> Vec<Event> {
        std::iter::from_fn(|| self.take()).take(self.max).collect()
    }

    /// How many events did not fit.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.ends.get().map_or(0, |(_, receiver)| receiver.len())
    }
}

#[cfg(test)]
mod tests;
