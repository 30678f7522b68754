//! What can be told: plain values, in the words of the page `docs/OBSERVING.md`.

use std::sync::Arc;
use std::time::Duration;

/// One thing that happened.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(all(feature = "tracing", feature = "metrics")),
    expect(dead_code, reason = "each facade looks at a part")
)]
pub(crate) enum Signal {
    /// Entries were appended; the bytes are those of their encoding.
    Appended { entries: u64, bytes: u64 },
    /// An append was refused, or a disk refused a segment.
    Refused(Refusal),
    /// Partitions reached a limit that refuses appends.
    Full { partitions: usize },
    /// A log was flushed.
    Synced { which: Which, took: Duration },
    /// A log went on in a new segment.
    Rolled { which: Which, sequence: u64, bytes: u64, took: Duration },
    /// A journal's segment began with a snapshot.
    Snapshot { bytes: u64 },
    /// The stream was opened.
    Opened { partitions: usize, groups: usize, unclean: usize },
    /// The stream was closed.
    Closed,
    /// Opening cut what was never synced.
    Torn { log: Box<str>, end: u64, bytes: u64, segments: usize },
    /// Bytes that were synced no longer match.
    Rot { what: Box<str> },
    /// A flush failed.
    Poisoned { cause: Arc<str> },
    /// The oldest segments of a partition went.
    Trimmed { partition: u32, start: u64, end: u64, bytes: u64 },
    /// What one change came to, in numbers.
    Turnover(Turnover),
    /// A consumer joined.
    Joined { consumer: Box<str>, generation: u64 },
    /// A consumer is no longer a member.
    Left { consumer: Box<str>, generation: u64, why: Box<str>, expired: bool },
    /// A rebalance began.
    RebalanceBegan { generation: u64, cause: Box<str> },
    /// It ended.
    RebalanceEnded { generation: u64, took: Duration, moved: u32 },
    /// The strategy gave no usable answer.
    RebalanceFailed { reason: Box<str> },
    /// Entries came to the end of their attempts.
    Exhausted { partition: u32, first: u64, count: u64, attempts: u16, fate: &'static str },
    /// The group lost entries to retention.
    Lost { partition: u32, first: u64, end: u64, entries: u64 },
    /// Dead letters have to wait.
    LettersWait { why: Box<str> },
    /// What is stored now.
    Stored { entries: u64, bytes: u64 },
    /// How a group stands now.
    Standing(Standing),
}

/// Which kind of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// A partition's.
    Partition,
    /// A group's journal.
    Journal,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The stream's own limit.
    StreamFull,
    /// The disk's.
    DiskFull,
}

/// What one change of a group came to: entries, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turnover {
    pub(crate) delivered: u64,
    pub(crate) redelivered: u64,
    pub(crate) acked: u64,
    pub(crate) nacked: u64,
    pub(crate) released: u64,
    pub(crate) expired: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) parked: u64,
    pub(crate) discarded: u64,
    pub(crate) lost: u64,
}

/// How a group stands at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    pub(crate) lag: u64,
    pub(crate) leased: u64,
    pub(crate) delayed: u64,
    pub(crate) due: u64,
    pub(crate) exhausted: u64,
    pub(crate) parked: u64,
    pub(crate) members: usize,
    pub(crate) oldest_pending: Duration,
}
