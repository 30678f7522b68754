//! What can happen to a group, and the words that say to whom.
//!
//! Events carry all that replay needs and nothing that another opening could not know. Moments are
//! in them for the state at hand only; the stored form has delays and wall times instead.

use std::ops::Range;
use std::sync::Arc;

use super::doom::Intent;
use super::policy::Exhausted;
use crate::clock::Moment;
use crate::error::Gone;
use crate::id::{EntryId, Token};
use crate::loss::Loss;

/// Consecutive entries of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) partition: u32,
    pub(crate) count: u32,
    pub(crate) first: u64,
}

impl Run {
    pub(crate) const fn new(partition: u32, first: u64, count: u32) -> Self {
        Self { partition, count, first }
    }

    /// One past the last offset. Only a run made from a forged token can reach the bound.
    pub(crate) fn end(self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    pub(crate) fn offsets(self) -> Range<u64> {
        self.first..self.end()
    }

    pub(crate) fn ids(self) -> impl Iterator<Item = EntryId> {
        (0..u64::from(self.count))
            .map(move |n| EntryId::new(self.partition, self.first.saturating_add(n)))
    }

    /// What of the run lies below `end`.
    pub(super) fn below(self, end: u64) -> Self {
        let left = end.saturating_sub(self.first);
        Self { count: u32::try_from(left).unwrap_or(u32::MAX).min(self.count), ..self }
    }

    /// Takes in a run that continues this one.
    pub(super) fn absorb(&mut self, next: Self) -> bool {
        let follows = self.partition == next.partition && self.end() == next.first;
        match self.count.checked_add(next.count) {
            Some(count) if follows => {
                self.count = count;
                true
            }
            _ => false,
        }
    }
}

impl From<EntryId> for Run {
    fn from(id: EntryId) -> Self {
        Self::new(id.partition(), id.offset(), 1)
    }
}

/// What a caller says it holds: these entries, under that lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) run: Run,
    pub(crate) lease: u64,
}

impl From<Token> for Claim {
    /// The token's incarnation is for the caller to judge.
    fn from(token: Token) -> Self {
        Self { run: token.id().into(), lease: token.lease() }
    }
}

/// One membership. The join number only grows, so a handle that outlived its member never speaks
/// for the next one in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberId {
    pub(crate) slot: u16,
    pub(crate) join: u64,
}

/// What somebody said who gave an entry up; nothing if its attempts were over.
pub(crate) type Reason = Option<Arc<str>>;

/// Why an entry settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    Acked,
    /// By its id, whoever held it.
    AckedById,
    /// The reason is told, and not stored.
    Discarded(Reason),
}

/// Why an entry waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Its lease ended. The token stays good until somebody else is given the entry.
    Time,
    /// It was nacked. Likewise.
    Nack,
    /// It was released: not counted, and the token is void.
    Release,
}

/// The policy on exhaustion when the event came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    /// The number of the last attempt.
    pub(crate) attempt: u16,
    /// What comes after it.
    pub(crate) then: Exhausted,
    /// The wall time.
    pub(crate) wall: u64,
}

/// Why entries are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    /// Somebody said so.
    Asked,
    /// The log no longer has them.
    Trimmed,
}

/// What becomes of entries that were never handed out, and that the cursor passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// None of them is for the group.
    Filtered,
    /// So many are, and count as acked.
    Acked(u64),
    /// The same, as lost.
    Lost(u64),
    /// The same, as trimmed.
    Trimmed(u64),
}

impl Pass {
    /// How many of the entries are for the group.
    pub(crate) fn own(self) -> u64 {
        match self {
            Self::Filtered => 0,
            Self::Acked(own) | Self::Lost(own) | Self::Trimmed(own) => own,
        }
    }
}

/// What was done since the group was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) acked: u64,
    pub(crate) discarded: u64,
    pub(crate) lost: u64,
    pub(crate) trimmed: Loss,
    pub(crate) redelivered: u64,
    pub(crate) rebalances: u64,
    /// Microseconds.
    pub(crate) rebalancing: u64,
    pub(crate) dead_lettered: u64,
}

/// How long hand-outs are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) until: Moment,
    /// How many microseconds from the wall time, if it ends by itself.
    pub(crate) timed: Option<(u64, u64)>,
}

/// A target that a strategy chose. It is never stored: opening ends what it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Everybody reads everything.
    pub(crate) open: bool,
    /// Whether all is taken back before anything is given.
    pub(crate) eager: bool,
    /// A slot for each partition.
    pub(crate) target: Box<[u16]>,
    pub(crate) at: Moment,
}

/// One step towards a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) generation: u64,
    /// Everybody reads everything.
    pub(crate) open: bool,
    /// Partitions that are taken from their owners, in order.
    pub(crate) revoked: Box<[u32]>,
    /// Partitions that are given, with the slot of the member, in order.
    pub(crate) given: Box<[(u32, u16)]>,
    /// How long the rebalance took that ends with this round, in microseconds.
    pub(crate) took: Option<u64>,
    /// When who still holds leases in what was revoked is evicted.
    pub(crate) until: Moment,
}

/// What a group is left with when its directory is opened again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reopening {
    /// Where the logs ended that there were: what was handed out beyond is forgotten.
    pub(crate) ends: Box<[u64]>,
    pub(crate) unclean: bool,
    pub(crate) next_lease: u64,
    pub(crate) generation: u64,
    /// Said again, because a later replay may count what a log had lost by then.
    pub(crate) totals: Totals,
    pub(crate) last: Last,
    pub(crate) due: Moment,
}

/// One thing that happened to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A member came. Its slot was vacant.
    Joined { slot: u16, join: u64, alive_until: Moment, name: Box<str> },
    /// A member went; its leases came back, due at once.
    Left { slot: u16, why: Gone, due: Moment, last: Last },
    /// A run was leased: one that was due again, or the next new one.
    /// The wall time is 0 in a group that does not have to know it.
    HandedOut {
        run: Run,
        lease: u64,
        slot: u16,
        deadline: Moment,
        alive_until: Moment,
        at: Moment,
        wall: u64,
    },
    /// A lease was prolonged. Stored only if it had ended already.
    Extended { run: Run, deadline: Moment, late: bool, at: Moment },
    /// Pending entries are done with.
    Settled { run: Run, how: Settle },
    /// Leased entries wait for their next turn, `delay` microseconds from the wall time `wall`.
    Waits { run: Run, why: Wait, due: Moment, delay: u64, wall: u64 },
    /// Pending entries were leased to a member that asked for them, whoever held them.
    Claimed {
        run: Run,
        lease: u64,
        slot: u16,
        deadline: Moment,
        alive_until: Moment,
        at: Moment,
        wall: u64,
    },
    /// Pending entries were set aside.
    Parked { run: Run, wall: u64, reason: Reason },
    /// New entries wait for their own time, `delay` microseconds from the wall time `wall`.
    Deferred { run: Run, due: Moment, delay: u64, wall: u64 },
    /// Parked entries are available again, as if never delivered.
    Redriven { run: Run, due: Moment },
    /// Parked entries are done with.
    Dropped { run: Run },
    /// All entries from `first` to `end`, whatever they were, are lost.
    Skipped { partition: u32, first: u64, end: u64, why: Skip },
    /// All entries below `end` that no other member holds are done with.
    SettledThrough { partition: u32, end: u64, slot: u16 },
    /// In a group with a filter, the cursor moves to `end`: what it passes is settled, and counted
    /// only as far as `how` says.
    Passed { partition: u32, end: u64, how: Pass },
    /// The group goes on from `to`: what is pending is forgotten, and what lies before is given up.
    Reset { partition: u32, to: u64 },
    /// A strategy chose who is to own what.
    Planned(Box<Planned>),
    /// Partitions were revoked, or given.
    Round(Box<Round>),
    /// A partition that was revoked was not let go of in time: the leases in it are void.
    Evicted { partition: u32, due: Moment, last: Last },
    /// Hand-outs are stopped.
    Paused(Pause),
    /// They go on.
    Resumed,
    /// The directory was opened again.
    Reopened(Box<Reopening>),
    /// Entries that were leased, or waited, are to go to the dead letters.
    Doomed { run: Run, reason: Reason },
    /// Their dead letters are about to be appended.
    Intended { run: Run, intent: Intent },
    /// Their dead letters are safe, so they are done with.
    Buried { run: Run },
    /// Settled entries are available again, as if never delivered.
    Revived { run: Run, due: Moment },
}

impl Event {
    /// Appends to what one command has emitted since `from`, joined to its last event if it
    /// continues it.
    pub(super) fn push(self, from: usize, out: &mut Vec<Self>) {
        let joined = match out.get_mut(from..).and_then(|emitted| emitted.last_mut()) {
            Some(last) => last.absorb(&self),
            None => false,
        };
        if !joined {
            out.push(self);
        }
    }

    fn absorb(&mut self, next: &Self) -> bool {
        let alike = match (&*self, next) {
            (Self::Settled { how, .. }, Self::Settled { how: other, .. }) => how == other,
            (
                Self::Waits { why, due, delay, wall, .. },
                Self::Waits { why: other, due: d, delay: l, wall: w, .. },
            ) => (why, due, delay, wall) == (other, d, l, w),
            (
                Self::Extended { deadline, late, at, .. },
                Self::Extended { deadline: other, late: l, at: a, .. },
            ) => (deadline, late, at) == (other, l, a),
            (
                Self::Deferred { due, delay, wall, .. },
                Self::Deferred { due: other, delay: l, wall: w, .. },
            ) => (due, delay, wall) == (other, l, w),
            (Self::Parked { wall, reason, .. }, Self::Parked { wall: other, reason: why, .. }) => {
                (wall, reason) == (other, why)
            }
            (Self::Doomed { reason, .. }, Self::Doomed { reason: other, .. }) => reason == other,
            (Self::Intended { intent, .. }, Self::Intended { intent: other, .. }) => {
                intent == other
            }
            (Self::Redriven { due, .. }, Self::Redriven { due: other, .. })
            | (Self::Revived { due, .. }, Self::Revived { due: other, .. }) => due == other,
            (Self::Dropped { .. }, Self::Dropped { .. })
            | (Self::Buried { .. }, Self::Buried { .. }) => true,
            _ => false,
        };
        match (self.run_mut(), next.run()) {
            (Some(run), Some(more)) if alike => run.absorb(more),
            _ => false,
        }
    }

    /// Whether something begins with it whose end, or age, goes by when that was.
    pub(crate) fn begins_time(&self) -> bool {
        matches!(
            self,
            Self::HandedOut { .. }
                | Self::Claimed { .. }
                | Self::Extended { .. }
                | Self::Joined { .. }
                | Self::Round(_)
        )
    }

    /// The entries the event speaks of, if it names a run.
    pub(super) fn run(&self) -> Option<Run> {
        match self {
            Self::HandedOut { run, .. }
            | Self::Extended { run, .. }
            | Self::Settled { run, .. }
            | Self::Waits { run, .. }
            | Self::Claimed { run, .. }
            | Self::Deferred { run, .. }
            | Self::Parked { run, .. }
            | Self::Redriven { run, .. }
            | Self::Dropped { run }
            | Self::Doomed { run, .. }
            | Self::Intended { run, .. }
            | Self::Buried { run }
            | Self::Revived { run, .. } => Some(*run),
            _ => None,
        }
    }

    pub(super) fn run_mut(&mut self) -> Option<&mut Run> {
        match self {
            Self::HandedOut { run, .. }
            | Self::Extended { run, .. }
            | Self::Settled { run, .. }
            | Self::Waits { run, .. }
            | Self::Claimed { run, .. }
            | Self::Deferred { run, .. }
            | Self::Parked { run, .. }
            | Self::Redriven { run, .. }
            | Self::Dropped { run }
            | Self::Doomed { run, .. }
            | Self::Intended { run, .. }
            | Self::Buried { run }
            | Self::Revived { run, .. } => Some(run),
            _ => None,
        }
    }
}
