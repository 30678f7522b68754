//! What streams and groups tell of themselves: plain values, serializable, true at one moment.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::id::EntryId;

/// What is in a stream.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StreamInfo {
    /// One for each partition, in order.
    pub partitions: Vec<PartitionInfo>,
    /// The names of the groups.
    pub groups: Vec<String>,
}

impl StreamInfo {
    /// How many entries are stored.
    pub fn entries(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.end - partition.start).sum()
    }
}

/// What is in a partition.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// The first offset that is stored.
    pub start: u64,
    /// The offset that the next entry gets.
    pub end: u64,
    /// Everything below this offset is synced.
    pub durable_end: u64,
    /// How many segment files there are.
    pub segments: usize,
    /// How many bytes their frames take.
    pub bytes: u64,
}

/// A group as it was at one moment.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// When it was made, by the wall clock.
    pub created: SystemTime,
    /// Entries that are neither settled nor set aside.
    pub lag: u64,
    /// Of these, those in somebody's hands.
    pub leased: u64,
    /// Of these, those that wait for their backoff.
    pub delayed: u64,
    /// Of these, those that the next read hands out again.
    pub due: u64,
    /// Entries set aside after their last attempt.
    pub parked: u64,
    /// Entries acked since the group was made.
    pub acked: u64,
    /// Entries discarded since the group was made.
    pub discarded: u64,
    /// Entries skipped as lost since the group was made.
    pub skipped: u64,
    /// Hand-outs that were not an entry's first, since the group was made.
    pub redelivered: u64,
    /// Reads that are blocked now.
    pub blocked_reads: usize,
    /// One for each partition, in order.
    pub partitions: Vec<GroupPartition>,
    /// The members.
    pub members: Vec<Member>,
}

/// Where a group stands in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GroupPartition {
    /// Everything below is settled or set aside.
    pub floor: u64,
    /// The first offset that was never handed out.
    pub next: u64,
    /// The offset that the next entry gets.
    pub end: u64,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Member {
    /// The consumer's name.
    pub name: String,
    /// How many entries it holds.
    pub leased: u64,
}

/// An entry that was handed out and is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pending {
    /// Which.
    pub id: EntryId,
    /// Who holds it; `None` if it waits to be handed out again.
    pub consumer: Option<String>,
    /// How often it was handed out.
    pub attempts: u16,
    /// How long until its lease ends, or until it can be handed out again; zero if that is over.
    pub due_in: Duration,
}
