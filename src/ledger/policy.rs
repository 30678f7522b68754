//! What the user chose for a group. It is not part of the ledger's state: it may be another one at
//! each opening, and events carry whatever they took from it.

use std::time::Duration;

use super::backoff::{Backoff, Wait};

/// How a group treats its entries and members.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// How long a delivery is one consumer's alone.
    pub(crate) lease: Duration,
    /// How long a member may be silent.
    pub(crate) session_timeout: Duration,
    /// After how many attempts an entry is exhausted: 1 to [`Policy::DELIVERIES_MAX`].
    pub(crate) max_deliveries: u16,
    /// How long a failed entry waits.
    pub(crate) backoff: Backoff,
    /// What becomes of an exhausted entry.
    pub(crate) on_exhausted: Exhausted,
    /// How many entries may be leased at once.
    pub(crate) max_in_flight: u64,
    /// How many of these by one consumer.
    pub(crate) max_in_flight_per_consumer: u64,
    /// How many bytes may be leased at once.
    pub(crate) max_in_flight_bytes: u64,
    /// How many entries may wait for their own time.
    pub(crate) delayed_max: u64,
    /// How long a member may go on with what it held of a partition that was taken from it.
    pub(crate) revocation_timeout: Duration,
    /// What happens where the log no longer has what comes next.
    pub(crate) on_trimmed: OnTrimmed,
    /// What counts as an ack.
    pub(crate) ack: AckMode,
}

impl Policy {
    /// The most attempts an entry can be given: they are counted in 13 bits.
    pub(crate) const DELIVERIES_MAX: u16 = 8_000;
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            session_timeout: Duration::from_secs(30),
            max_deliveries: 16,
            backoff: Backoff::plain(Wait::Exponential {
                first: Duration::from_millis(100),
                max: Duration::from_secs(30),
            }),
            on_exhausted: Exhausted::Park,
            max_in_flight: 100_000,
            max_in_flight_per_consumer: u64::MAX,
            max_in_flight_bytes: u64::MAX,
            delayed_max: 1_000_000,
            revocation_timeout: Duration::from_secs(60),
            on_trimmed: OnTrimmed::Earliest,
            ack: AckMode::Explicit,
        }
    }
}

/// Where a group goes on whose position was trimmed away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnTrimmed {
    /// At the first entry that is left.
    Earliest,
    /// Behind the last one.
    Latest,
    /// Nowhere, until it is reset.
    Error,
}

/// What counts as an ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckMode {
    /// An ack.
    Explicit,
    /// The consumer's next read.
    OnNextRead,
    /// The same, at most once in that time.
    Interval(Duration),
    /// The read that hands the entry out.
    OnRead,
}

/// What becomes of an entry after its last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// It is set aside until it is redriven or discarded.
    Park,
    /// It is settled, and counted.
    Discard,
    /// It waits until its dead letter is safe in another stream; then it is settled.
    DeadLetter,
}
