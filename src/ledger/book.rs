//! The ledger of one group: who holds what, and what `info` asks of it.
//!
//! Invariants (besides those of the parts; `validate` states them all)
//! 1. Only `apply` changes what is stored. Commands and queries leave it as it is; what they may
//!    change is volatile: signs of life, and how tight the bounds of deadlines are.
//! 2. A leased entry's member is live.
//! 3. A parked entry is settled in its window.
//! 4. Exactly the exhausted entries stand in `doom`.
//! 5. Lease numbers in holds count from `first_lease`, the first one of this opening; every number
//!    ever given is below `next_lease`.

use std::collections::BTreeMap;

use super::doom::Doom;
use super::entries::Entries;
use super::event::{MemberId, Reason, Run, Totals};
use super::given::Given;
use super::hold::{BEFORE, Hold};
use super::member::Members;
use super::owner::Owners;
use super::policy::{Exhausted, Policy};
use super::times::NEVER;
use crate::clock::Moment;
use crate::error::Result;
use crate::id::EntryId;
use crate::loss::Loss;

/// The largest offset a ledger speaks of, so that no sum of offsets wraps.
pub(super) const OFFSETS_MAX: u64 = 1 << 62;

/// The most entries that are leased or wait at one time.
pub(crate) const PENDING_MAX: u64 = 1 << 30;

/// An entry that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) attempts: u16,
    /// Its last lease.
    pub(super) lease: u64,
    /// The wall time.
    pub(crate) since: u64,
    pub(crate) reason: Reason,
}

/// The ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) policy: Policy,
    pub(super) entries: Entries,
    pub(super) members: Members,
    pub(super) owners: Owners,
    pub(super) parked: BTreeMap<EntryId, Parked>,
    pub(super) doom: Doom,
    pub(super) given: Given,
    pub(super) totals: Totals,
    /// Until when no entry is handed out.
    pub(super) paused: Option<Moment>,
    pub(super) first_lease: u64,
    pub(super) next_lease: u64,
    /// Replay met entries that the log no longer has.
    pub(super) cut: bool,
    /// Whether anybody wants to know what is exhausted, and what was since it was told.
    pub(super) watched: bool,
    pub(super) exhausted: Vec<Spent>,
}

/// Entries that were exhausted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) run: Run,
    pub(crate) attempts: u16,
    pub(crate) then: Exhausted,
    pub(crate) reason: Reason,
}

/// How many entries are what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// In somebody's hands.
    pub(crate) leased: u64,
    /// Waiting for their time.
    pub(crate) delayed: u64,
    /// Due to be handed out again.
    pub(crate) due: u64,
    /// Of those that wait, the ones that were never handed out.
    pub(crate) deferred: u64,
    /// Set aside.
    pub(crate) parked: u64,
    /// Waiting for their dead letter.
    pub(crate) exhausted: u64,
    /// Settled because their dead letter is safe, since the group was created.
    pub(crate) dead_lettered: u64,
    /// Hand-outs that were not an entry's first, since the group was created.
    pub(crate) redelivered: u64,
    /// Settled by an ack, since the group was created.
    pub(crate) acked: u64,
    /// Settled by policy or by hand, likewise.
    pub(crate) discarded: u64,
    /// Skipped before they were settled, likewise.
    pub(crate) lost: u64,
    /// Trimmed before they were settled, likewise.
    pub(crate) trimmed: Loss,
    /// Rebalances that came to their end, likewise, and how many microseconds they took.
    pub(crate) rebalances: u64,
    pub(crate) rebalancing: u64,
}

impl Counts {
    /// Handed out, and neither settled nor set aside.
    pub(crate) fn pending(&self) -> u64 {
        self.leased + self.delayed + self.due + self.exhausted
    }
}

/// A member as others see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) id: MemberId,
    pub(crate) name: &'a str,
    /// How many entries it holds.
    pub(crate) leased: u64,
    /// When it last gave a sign of life.
    pub(crate) at: Moment,
}

/// Where a pending entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Leased until then.
    Leased(Moment),
    /// To be handed out again from then on.
    Waiting(Moment),
    /// Its attempts are over, and its dead letter is not safe yet.
    Exhausted,
}

/// One line of the pending list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PendingEntry<'a> {
    pub(crate) id: EntryId,
    pub(crate) standing: Standing,
    /// Who holds it.
    pub(crate) member: Option<&'a str>,
    pub(crate) attempts: u16,
    /// Its last lease, if that was given since the stream was opened.
    pub(crate) lease: Option<u64>,
    /// When it was last handed out or extended.
    pub(crate) touched: Moment,
}

impl Ledger {
    /// A group that reads each partition from its start.
    pub(crate) fn new(policy: Policy, starts: &[u64]) -> Self {
        let mut owners = Owners::default();
        owners.grow(starts.len());
        Self {
            policy,
            entries: Entries::new(starts),
            members: Members::default(),
            owners,
            parked: BTreeMap::new(),
            doom: Doom::default(),
            given: Given::default(),
            totals: Totals::default(),
            paused: None,
            first_lease: 1,
            next_lease: 1,
            cut: false,
            watched: false,
            exhausted: Vec::new(),
        }
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What was decided under the old policy stays decided.
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Says whether anybody wants to know what is exhausted from now on.
    pub(crate) fn watch(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// What was exhausted since the last call, while somebody wanted to know.
    pub(crate) fn take_exhausted(&mut self) -> Vec<Spent> {
        std::mem::take(&mut self.exhausted)
    }

    /// Adds partitions that are read from `starts`.
    pub(crate) fn grow(&mut self, starts: &[u64]) {
        self.entries.grow(starts);
        self.owners.grow(self.entries.windows.len());
    }

    /// How many entries are in somebody's hands.
    pub(crate) fn leased(&self) -> u64 {
        self.entries.index.leased
    }

    pub(crate) fn partitions(&self) -> usize {
        self.entries.windows.len()
    }

    /// Below it, all entries are settled or set aside.
    pub(crate) fn floor(&self, partition: u32) -> Option<u64> {
        Some(self.entries.window(partition)?.floor)
    }

    /// From it on, no entry was ever handed out.
    pub(crate) fn cursor(&self, partition: u32) -> Option<u64> {
        Some(self.entries.window(partition)?.cursor)
    }

    /// How many entries of a partition that is stored from `start` to `end` are neither settled
    /// nor set aside.
    #[cfg(test)]
    pub(crate) fn lag(&self, partition: u32, start: u64, end: u64) -> u64 {
        let Some(window) = self.entries.window(partition) else { return 0 };
        window.pending + end.saturating_sub(window.cursor.max(start))
    }

    /// How many entries of a partition were handed out and are neither settled nor set aside.
    pub(crate) fn pending_in(&self, partition: u32) -> u64 {
        self.entries.window(partition).map_or(0, |window| window.pending)
    }

    /// What was done since the group was made.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    pub(crate) fn counts(&self, now: Moment) -> Counts {
        let index = &self.entries.index;
        let delayed = index.due.delayed(now);
        Counts {
            leased: index.leased,
            delayed,
            due: index.waiting - delayed,
            deferred: index.deferred,
            parked: self.parked.len() as u64,
            exhausted: index.exhausted,
            dead_lettered: self.totals.dead_lettered,
            redelivered: self.totals.redelivered,
            acked: self.totals.acked,
            discarded: self.totals.discarded,
            lost: self.totals.lost,
            trimmed: self.totals.trimmed,
            rebalances: self.totals.rebalances,
            rebalancing: self.totals.rebalancing,
        }
    }

    /// How many more entries the member may be given.
    pub(crate) fn room(&self, member: MemberId) -> Result<u64> {
        self.members.get(member)?;
        Ok(self.room_of(member.slot))
    }

    /// The same for the member in a slot.
    pub(crate) fn room_of(&self, slot: u16) -> u64 {
        let own = self.entries.leased_by(slot);
        let all = self.policy.max_in_flight.saturating_sub(self.entries.index.leased);
        let own = self.policy.max_in_flight_per_consumer.saturating_sub(own);
        all.min(own).min(PENDING_MAX.saturating_sub(self.entries.pending()))
    }

    /// How many bytes are in flight, as far as that was noted.
    pub(crate) fn leased_bytes(&self) -> u64 {
        self.entries.index.sizes.total
    }

    /// How many more bytes may be given out; none only if some are out.
    pub(crate) fn room_bytes(&self) -> u64 {
        self.policy.max_in_flight_bytes.saturating_sub(self.entries.index.sizes.total)
    }

    /// Notes how many bytes the entries of a lease have, if anybody bounds them.
    pub(crate) fn note_bytes(&mut self, lease: u64, bytes: u64, entries: u64) {
        if self.policy.max_in_flight_bytes < u64::MAX {
            let lease = self.lease_in_hold(lease);
            self.entries.index.sizes.add(lease, bytes, entries);
        }
    }

    /// The live members, by slot.
    pub(crate) fn members(&self) -> impl Iterator<Item = Seen<'_>> {
        self.members.live().map(|(id, member)| {
            let leased = self.entries.leased_by(id.slot);
            Seen { id, name: &member.name, leased, at: member.seen }
        })
    }

    /// The name of the member in a slot.
    pub(crate) fn name(&self, slot: u16) -> Option<&str> {
        self.members.in_slot(slot).map(|member| &*member.name)
    }

    /// The member of that name.
    #[cfg(test)]
    pub(crate) fn member(&self, name: &str) -> Option<MemberId> {
        let slot = *self.members.names.get(name)?;
        Some(MemberId { slot, join: self.members.in_slot(slot)?.join })
    }

    /// The attempts of a run's entries, as (first offset, count, attempts).
    pub(crate) fn attempts(&self, run: Run) -> impl Iterator<Item = (u64, u64, u16)> {
        let window = self.entries.window(run.partition);
        let groups = window.into_iter().flat_map(move |window| window.groups(run.offsets()));
        groups.map(|group| (group.first, group.count, group.tag.attempts()))
    }

    /// The parked entries from `first` on, in order.
    pub(crate) fn parked(&self, first: EntryId) -> impl Iterator<Item = (EntryId, &Parked)> {
        self.parked.range(first..).map(|(id, parked)| (*id, parked))
    }

    /// Whether anything waits to be handed out again now that the member in `slot` may read.
    pub(crate) fn has_due(&self, now: Moment, slot: u16) -> bool {
        self.entries.index.due.is_ready(now, |partition| self.may_read(slot, partition))
    }

    /// When something next becomes due after `now`: a lease or a session ends, or an entry has
    /// waited long enough. [`NEVER`] if nothing will.
    pub(crate) fn next_moment(&mut self, now: Moment) -> Moment {
        let due = self.entries.index.due.next_after(now);
        let eviction = self.owners.next_eviction(|partition| self.is_busy(partition));
        let resumes = self.paused_until(now).unwrap_or(NEVER);
        let ends = self.first_deadline().min(self.members.next_end());
        due.min(ends).min(eviction).min(resumes)
    }

    /// The true end of the lease that ends first. Each chunk is scanned at most once.
    fn first_deadline(&mut self) -> Moment {
        while let Some(&(bound, partition, number)) = self.entries.index.bounds.first() {
            self.entries.tighten(partition, number);
            if self.entries.index.bounds.contains(&(bound, partition, number)) {
                return bound;
            }
        }
        NEVER
    }

    /// The number the outside knows a lease by, if it was given since the stream was opened.
    pub(super) fn lease_number(&self, hold: Hold) -> Option<u64> {
        (hold.lease != BEFORE).then(|| self.first_lease + (hold.lease - 1))
    }

    /// The other way round.
    pub(super) fn lease_in_hold(&self, lease: u64) -> u64 {
        lease.checked_sub(self.first_lease).map_or(BEFORE, |n| n + 1)
    }
}
