//! How a group treats its entries: [`Exhausted`], [`OnTrimmed`], [`AckMode`].

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Handle, StoredAckMode, StoredExhausted, StoredOnTrimmed, micros};
#[cfg(doc)]
use crate::error::Error;
#[cfg(doc)]
use crate::group::Group;
#[cfg(doc)]
use crate::letter::DeadLetter;
use crate::stream::Stream;

/// What becomes of an entry whose last attempt failed, or that was rejected.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Exhausted {
    /// It is set aside, and no longer in anybody's way, until [`Group::redrive`] or
    /// [`Group::discard_parked`].
    #[default]
    Park,
    /// It is settled, and counted.
    Discard,
    /// It is appended to this stream with payload, key, subject and headers, and with what
    /// [`DeadLetter`] tells; then it is settled. It is there once, whatever happens between: never
    /// twice, and never not at all, unless that stream is trimmed past a letter before its entry is
    /// settled: then another one is written. It is on the disk then, whatever that stream's
    /// durability.
    ///
    /// A stream cannot take its own dead letters. It has to be passed at each opening of the group;
    /// as long as it is not, and while it is closed, full or poisoned, entries wait as
    /// [`exhausted`](crate::GroupInfo::exhausted). An entry with a key goes to the partition that
    /// its key chooses there, one without to that with its own number. The group keeps the stream
    /// open. (`SQS`'s redrive policy, `RabbitMQ`'s dead-letter exchange.)
    DeadLetter(Stream),
}

impl Exhausted {
    /// With the stream that takes the dead letters.
    pub(crate) fn stored(self) -> (StoredExhausted, Option<Arc<Handle>>) {
        match self {
            Self::Park => (StoredExhausted::Park, None),
            Self::Discard => (StoredExhausted::Discard, None),
            Self::DeadLetter(Stream { handle }) => {
                (StoredExhausted::DeadLetter(handle.mill.number()), Some(handle))
            }
        }
    }
}

/// Where a group goes on when retention took entries that it was still to read. What it lost by
/// that is counted, and told by [`Event::Trimmed`](crate::Event::Trimmed). (Kafka's
/// `auto.offset.reset`.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnTrimmed {
    /// At the first entry that is left.
    #[default]
    Earliest,
    /// Behind the last entry: what is left is given up, too.
    Latest,
    /// Reads that come there give [`Error::PositionTrimmed`], until [`Group::reset`] says where to
    /// go on.
    Error,
}

impl OnTrimmed {
    pub(crate) fn stored(self) -> StoredOnTrimmed {
        match self {
            Self::Earliest => StoredOnTrimmed::Earliest,
            Self::Latest => StoredOnTrimmed::Latest,
            Self::Error => StoredOnTrimmed::Error,
        }
    }
}

/// What counts as an ack. A verdict on a delivery always wins over the mode.
///
/// In the modes other than `Explicit`, dropping a delivery or a batch leaves it to the mode; only a
/// drop while the thread panics hands it back. (The first three are the choices of Kafka's share
/// consumers and of its auto-commit.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckMode {
    /// [`Delivery::ack`](crate::Delivery::ack) and the like, and nothing else.
    #[default]
    Explicit,
    /// The consumer's next read, or its [`leave`](crate::Consumer::leave), settles what its earlier
    /// reads handed out and nobody gave a verdict on. Dropping its last handle settles nothing: what
    /// it held is handed back. A consumer has one read at a time: a second one is
    /// [`Error::AlreadyReading`].
    OnNextRead,
    /// The same, but at most once in this time, which has to be shorter than the lease.
    Interval(Duration),
    /// Handing out settles: each entry comes at most once, and is lost to the group if its
    /// consumer fails.
    OnRead,
}

impl AckMode {
    pub(crate) fn stored(self) -> StoredAckMode {
        match self {
            Self::Explicit => StoredAckMode::Explicit,
            Self::OnNextRead => StoredAckMode::OnNextRead,
            Self::Interval(interval) => StoredAckMode::Interval(micros(interval)),
            Self::OnRead => StoredAckMode::OnRead,
        }
    }
}
