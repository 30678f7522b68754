//! What streams and groups tell of themselves: plain values, serializable, true at one moment.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::blocked::Blocked;
use crate::id::EntryId;
use crate::loss::Loss;
use crate::retention::Retention;

/// What is in a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamInfo {
    /// One for each partition, in order.
    pub partitions: Vec<PartitionInfo>,
    /// The names of the groups.
    pub groups: Vec<String>,
    /// How long entries are kept.
    pub retention: Retention,
    /// How many bytes the segment files of all partitions take.
    pub bytes: u64,
}

impl StreamInfo {
    /// How many entries are stored.
    pub fn entries(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.end - partition.start).sum()
    }
}

/// What is in a partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// How many bytes the files take, which is what retention goes by.
    pub file_bytes: u64,
    /// Under [`Retention::settled`]: who keeps the oldest segment from going. `None` if nobody does, or
    /// there is but one segment, or no group, or the stream is open for reading only.
    pub held_by: Option<Holder>,
}

/// A group that still needs entries that would go but for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Holder {
    /// The group's name.
    pub group: String,
    /// The first entry that it is not done with; of a group that is closed because its journal is
    /// damaged, the first that is stored.
    pub entry: EntryId,
}

/// What retention took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trimmed {
    /// One for each partition of which something went, in order.
    pub partitions: Vec<TrimmedPartition>,
}

impl Trimmed {
    /// How many entries went.
    pub fn entries(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.end - partition.start).sum()
    }

    /// How many bytes of files were given back.
    pub fn bytes(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.bytes).sum()
    }
}

/// What retention took of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrimmedPartition {
    /// Which one.
    pub partition: u32,
    /// The first offset that went.
    pub start: u64,
    /// One past the last: where the partition starts now.
    pub end: u64,
    /// How many bytes of files were given back.
    pub bytes: u64,
    /// The groups that lost something by it, by name, and what.
    pub lost: Vec<(String, Loss)>,
}

/// A group as it was at one moment.
///
/// In a stream opened for reading only that is the last thing that its owner wrote to the group's
/// journal. What an owner keeps to itself is not known there: `strategy_failure`,
/// `dead_letter_failure` and `blocked_reads` are empty. A lease or session that is over counts until
/// the owner says that it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// When it was made, by the wall clock.
    pub created: SystemTime,
    /// Whether it has members, and whether they have their partitions.
    pub state: GroupState,
    /// What its strategy calls itself.
    pub strategy: String,
    /// Why the strategy gave no good answer the last time it was asked, if it did not. The group
    /// goes on as it was.
    pub strategy_failure: Option<String>,
    /// Grows whenever the assignment changes.
    pub generation: u64,
    /// Rebalances since the group was made.
    pub rebalances: u64,
    /// How long these took in all.
    pub rebalancing: Duration,
    /// Whether hand-outs are stopped, and how long.
    pub paused: Option<Pause>,
    /// The patterns of its filter, sorted; none if it takes every entry.
    pub filter: Vec<String>,
    /// Entries that match the filter and are neither settled nor set aside.
    pub lag: u64,
    /// Of these, those that were never handed out.
    pub undelivered: u64,
    /// Of these, those in somebody's hands.
    pub leased: u64,
    /// How many bytes those have, as far as that is counted: only where `max_in_flight_bytes` is
    /// set, and from when it was.
    pub leased_bytes: u64,
    /// Of these, those that wait for their backoff, or for their own time.
    pub delayed: u64,
    /// Of these, those that the next read hands out again.
    pub due: u64,
    /// Of those that wait or are due, the ones that were never handed out, because they came with a
    /// time of their own: [`NewEntry::deliver_at`](crate::NewEntry::deliver_at).
    pub deferred: u64,
    /// Of these, those whose attempts are over and whose dead letter is not safe yet.
    pub exhausted: u64,
    /// Why they wait, if an attempt to write a dead letter failed. It is tried again with the next
    /// call after a second.
    pub dead_letter_failure: Option<String>,
    /// Entries set aside after their last attempt.
    pub parked: u64,
    /// Entries that became dead letters since the group was made.
    pub dead_lettered: u64,
    /// Entries acked since the group was made.
    pub acked: u64,
    /// Entries discarded since the group was made.
    pub discarded: u64,
    /// Entries skipped as lost since the group was made.
    pub skipped: u64,
    /// Entries that retention took before the group had settled them, since the group was made.
    pub trimmed: Loss,
    /// Hand-outs that were not an entry's first, since the group was made.
    pub redelivered: u64,
    /// Of the entries that were handed out and are not settled, the one that was appended first.
    pub oldest_pending: Option<EntryId>,
    /// How long ago that was, by the wall clock; `None` also if the entry cannot be read.
    pub oldest_pending_age: Option<Duration>,
    /// What it goes by.
    pub settings: Settings,
    /// Reads that are blocked now.
    pub blocked_reads: usize,
    /// One for each partition, in order.
    pub partitions: Vec<GroupPartition>,
    /// The members.
    pub members: Vec<Member>,
}

/// How long a group hands out nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Pause {
    /// Until [`Group::resume`](crate::Group::resume).
    UntilResumed,
    /// For that long from now.
    For(Duration),
}

/// What a group goes by: the options that it was opened with last, and the defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// [`GroupOptions::lease`](crate::GroupOptions::lease).
    pub lease: Duration,
    /// [`GroupOptions::session_timeout`](crate::GroupOptions::session_timeout).
    pub session_timeout: Duration,
    /// [`GroupOptions::revocation_timeout`](crate::GroupOptions::revocation_timeout).
    pub revocation_timeout: Duration,
    /// [`GroupOptions::max_deliveries`](crate::GroupOptions::max_deliveries).
    pub max_deliveries: u16,
    /// How long an entry waits after its first attempt, its second, and so on; the last one
    /// repeats.
    pub backoff: Vec<Duration>,
    /// Up to which share of it a wait is shorter.
    pub jitter: f64,
    /// In words, as the rest of what is no number.
    pub on_exhausted: String,
    /// Likewise.
    pub on_trimmed: String,
    /// Likewise.
    pub ack_mode: String,
    /// [`GroupOptions::max_in_flight`](crate::GroupOptions::max_in_flight).
    pub max_in_flight: u64,
    /// `None` is without bound.
    pub max_in_flight_per_consumer: Option<u64>,
    /// Likewise.
    pub max_in_flight_bytes: Option<u64>,
    /// [`GroupOptions::delayed_max`](crate::GroupOptions::delayed_max).
    pub delayed_max: u64,
}

/// Whether a group has members, and whether they have their partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GroupState {
    /// It has no members.
    Empty,
    /// Every partition is with the member that it is meant for, or with all of them.
    Stable,
    /// Partitions are on their way from one member to another.
    Rebalancing,
}

/// Where a group stands in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupPartition {
    /// Everything below is settled or set aside.
    pub floor: u64,
    /// The first offset that no read has come by: everything below was handed out, or waits for its
    /// own time.
    pub next: u64,
    /// The offset that the next entry gets.
    pub end: u64,
    /// Entries that are neither settled nor set aside.
    pub lag: u64,
    /// Who alone reads it; `None` if that is nobody, or everybody.
    pub owner: Option<String>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The consumer's name.
    pub name: String,
    /// The partitions that it reads, in order: all, where everybody reads everything.
    pub partitions: Vec<u32>,
    /// When it last gave a sign of life, by the wall clock. In a stream opened for reading only: when
    /// it was last seen to join, to be given entries, or to settle all up to one.
    pub last_seen: SystemTime,
    /// How many entries it holds.
    pub leased: u64,
    /// Why a read of it would find nothing now; `None` if it would find something. New entries that came with a
    /// time of their own count as something until a read has come by them.
    pub blocked: Option<Blocked>,
}

/// An entry that was handed out and is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pending {
    /// Which.
    pub id: EntryId,
    /// Whether somebody holds it, or what it waits for.
    pub state: PendingState,
    /// Who holds it; `None` if it waits to be handed out again.
    pub consumer: Option<String>,
    /// How long ago it was last handed out, or its lease extended; since the stream was opened, if
    /// that was before. It may be a little longer ago. In a stream opened for reading only: how long
    /// ago that was first seen.
    pub idle: Duration,
    /// How often it was handed out.
    pub attempts: u16,
    /// How long until its lease ends, or until it can be handed out again; zero if that is over.
    /// In a stream opened for reading only, where the end of a lease is not known: what is left of the
    /// group's lease, counted from when the hand-out was first seen.
    pub due_in: Duration,
}

/// Where a pending entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PendingState {
    /// Somebody holds it.
    Leased,
    /// It waits for its time.
    Delayed,
    /// The next read hands it out again.
    Due,
    /// Its attempts are over, and its dead letter is not safe yet.
    Exhausted,
}

/// What is pending in a group, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingSummary {
    /// Entries that were handed out and are not settled, and those that wait for their own time.
    pub total: u64,
    /// The smallest id of these.
    pub first: Option<EntryId>,
    /// The greatest.
    pub last: Option<EntryId>,
    /// How many each consumer holds, by name; those that hold none are left out.
    pub consumers: BTreeMap<String, u64>,
    /// Entries that nobody holds: they wait to be handed out again.
    pub waiting: u64,
}
