//! Reading a snapshot back at the time of opening. What it cannot have said is refused, whoever
//! wrote it.

use std::sync::Arc;

use super::book::{Ledger, OFFSETS_MAX, Parked};
use super::doom::read_reason;
use super::entries::Next;
use super::event::Run;
use super::hold::{BEFORE, Hold, LEASES_MAX};
use super::member::{MEMBERS_MAX, Member, NAME_BYTES_MAX};
use super::owner::{GENERATIONS_MAX, Owner};
use super::policy::Policy;
use super::replay::{Inconsistent, PARTITIONS_MAX, ensure};
use super::settle::Void;
use super::snapshot::{Stored, VERSION};
use super::times::{NEVER, Now};
use super::turn::read_totals;
use super::window::{ATTEMPTS_MAX, State, Tag};
use super::wire::Reader;
use crate::clock::Moment;
use crate::id::EntryId;

impl Ledger {
    /// Reads a snapshot back at the time of opening, leaving out what the log no longer has.
    pub(crate) fn decode_snapshot(
        bytes: &[u8],
        policy: Policy,
        now: Now,
        ends: &[u64],
    ) -> Result<Self, Inconsistent> {
        let mut reader = Reader::new(bytes);
        ensure(reader.byte()? == VERSION, "a snapshot of another version")?;
        let wall = reader.number()?;
        let mut ledger = Self::new(policy, &[]);
        ledger.entries.index.touches.reopen(now.at);
        ledger.first_lease = reader.number()?;
        ledger.next_lease = reader.number()?;
        let leases = ledger.next_lease.checked_sub(ledger.first_lease);
        let possible = ledger.first_lease > 0 && leases.is_some_and(|n| n <= LEASES_MAX);
        ensure(possible, "lease numbers went back")?;
        ledger.members.next_join = reader.number()?;
        ledger.totals = read_totals(&mut reader)?;
        ledger.read_members(&mut reader)?;
        let names = ledger.read_assignment(&mut reader)?;
        let partitions = reader.count(5)?;
        ensure(partitions <= PARTITIONS_MAX, "too many partitions")?;
        ledger.owners.grow(partitions);
        for n in 0..partitions {
            ledger.read_owner(&mut reader, n, &names)?;
            let end = ends.get(n).copied().unwrap_or(0);
            ledger.read_window(&mut reader, end, |delay| now.end_of(delay, wall))?;
        }
        ledger.read_parked(&mut reader, ends)?;
        ledger.read_doom(&mut reader, ends)?;
        ledger.paused = match reader.byte()? {
            0 => None,
            1 => Some(NEVER),
            2 => Some(now.end_of(reader.number()?, wall)),
            _ => return Err(Inconsistent("neither paused nor not")),
        };
        ensure(reader.is_empty(), "something follows the snapshot")?;
        Ok(ledger)
    }

    fn read_members(&mut self, reader: &mut Reader<'_>) -> Result<(), Inconsistent> {
        let next_join = self.members.next_join;
        let count = reader.count(5)?;
        ensure(count <= MEMBERS_MAX, "too many members")?;
        for _ in 0..count {
            let slot: u16 = reader.small()?;
            let (join, since, name) = (reader.number()?, reader.number()?, reader.text()?);
            let past = self.members.slots.last_key_value().is_none_or(|(last, _)| *last < slot);
            ensure(past && usize::from(slot) < MEMBERS_MAX, "slots out of order")?;
            ensure(join < next_join, "a join number that was not given")?;
            let in_bounds = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
            ensure(in_bounds, "a member's name is out of bounds")?;
            ensure(!self.members.names.contains_key(name), "a member joins twice")?;
            ensure(since <= self.next_lease, "a member from the future")?;
            let (alive_until, seen, touched, blocked) = (NEVER, Moment::ZERO, false, 0);
            let name = name.into();
            let member = Member { name, join, since, alive_until, seen, touched, blocked };
            self.members.enter(slot, member);
        }
        Ok(())
    }

    fn read_assignment(&mut self, reader: &mut Reader<'_>) -> Result<Vec<Arc<str>>, Inconsistent> {
        self.owners.generation = reader.number()?;
        ensure(self.owners.generation < GENERATIONS_MAX, "no such generation")?;
        self.owners.open = match reader.byte()? {
            0 => false,
            1 => true,
            _ => return Err(Inconsistent("neither open nor assigned")),
        };
        let name = |reader: &mut Reader<'_>| {
            let name = reader.text()?;
            let in_bounds = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
            ensure(in_bounds, "a member's name is out of bounds")?;
            Ok(Arc::from(name))
        };
        (0..reader.count(2)?).map(|_| name(reader)).collect()
    }

    fn read_owner(
        &mut self,
        reader: &mut Reader<'_>,
        index: usize,
        names: &[Arc<str>],
    ) -> Result<(), Inconsistent> {
        let number: u32 = reader.small()?;
        let slot = number.checked_sub(2).map(|number| u16::try_from(number / 2));
        let slot = slot.transpose().map_err(|_| Inconsistent("no such owner"))?;
        let owner = match slot {
            None if number == 0 => Owner::Nobody,
            None => Owner::Leaving(None),
            Some(slot) if number.is_multiple_of(2) => Owner::Member(slot),
            Some(slot) => Owner::Leaving(Some(slot)),
        };
        let live = slot.is_none_or(|slot| self.members.in_slot(slot).is_some());
        ensure(live, "a partition is owned by nobody")?;
        ensure(!self.owners.open || owner == Owner::Nobody, "what is open is owned")?;
        let since = reader.number()?;
        ensure(since <= self.owners.generation, "a partition given in the future")?;
        let before = match reader.number()?.checked_sub(1) {
            None => None,
            Some(place) => {
                let name = usize::try_from(place).ok().and_then(|place| names.get(place));
                Some(Arc::clone(name.ok_or(Inconsistent("no such former owner"))?))
            }
        };
        self.owners.restore(index, owner, since, before);
        Ok(())
    }

    fn read_window(
        &mut self,
        reader: &mut Reader<'_>,
        end: u64,
        due: impl Fn(u64) -> Moment,
    ) -> Result<(), Inconsistent> {
        let cursor = reader.number()?;
        ensure(cursor <= OFFSETS_MAX, "an offset is out of bounds")?;
        let limit = cursor.min(end);
        self.cut |= limit < cursor;
        let partition = u32::try_from(self.partitions()).expect("PARTITIONS_MAX fits");
        let mut at = 0;
        for n in 0..reader.count(6)? {
            let run = self.read_run(reader, partition, at, cursor)?;
            at = run.first + run.count;
            let (first, end) = (run.first.min(limit), at.min(limit));
            if n == 0 {
                self.entries.grow(&[first]);
            }
            self.entries.pass(partition, first);
            self.entries.advance(partition, end);
            let waits = run.tag.state().waits();
            let time = if waits { due(run.delay) } else { NEVER };
            let hold = Hold { lease: run.lease, time, slot: run.slot };
            let next = Next { tag: run.tag, hold: Some(hold) };
            self.entries.change(partition, first..end, |_, _| Some(next));
        }
        if self.partitions() == partition as usize {
            self.entries.grow(&[limit]);
        }
        self.entries.pass(partition, limit);
        Ok(())
    }

    fn read_run(
        &self,
        reader: &mut Reader<'_>,
        partition: u32,
        at: u64,
        cursor: u64,
    ) -> Result<Stored, Inconsistent> {
        let state = match reader.byte()? {
            2 => State::Leased,
            3 => State::Waiting,
            4 => State::Withdrawn,
            5 => State::Suspect,
            6 => State::Exhausted,
            _ => return Err(Inconsistent("no such state")),
        };
        let first = at.checked_add(reader.number()?).ok_or(Inconsistent("an offset wraps"))?;
        let count = reader.number()?;
        let end = first.checked_add(count).ok_or(Inconsistent("an offset wraps"))?;
        ensure(count > 0, "an empty run")?;
        ensure(end <= cursor, "a run beyond the cursor")?;
        let attempts: u16 = reader.small()?;
        ensure(attempts <= ATTEMPTS_MAX, "too many attempts")?;
        let (lease, slot) = (reader.number()?, reader.small()?);
        ensure(lease <= self.next_lease - self.first_lease, "a lease that was not given")?;
        match state {
            State::Leased => {
                ensure(self.members.in_slot(slot).is_some(), "a lease of nobody")?;
                let may = self.owners.may_hold(slot, partition);
                ensure(may, "a lease in another member's partition")?;
            }
            State::Waiting => ensure(lease != BEFORE, "a lease that was not given")?,
            _ => {
                ensure(slot <= Void::Deferred.slot(), "no such reason")?;
                let new = state == State::Withdrawn && attempts == 0 && lease == BEFORE;
                ensure(slot != Void::Deferred.slot() || new, "what was handed out is deferred")?;
            }
        }
        let delay = if state.waits() { reader.number()? } else { 0 };
        Ok(Stored { first, count, tag: Tag::new(state, attempts), lease, slot, delay })
    }

    fn read_parked(&mut self, reader: &mut Reader<'_>, ends: &[u64]) -> Result<(), Inconsistent> {
        let mut last = None;
        for _ in 0..reader.count(6)? {
            let id = EntryId::new(reader.small()?, reader.number()?);
            let parked = Parked {
                attempts: reader.small()?,
                lease: reader.number()?,
                since: reader.number()?,
                reason: read_reason(reader)?,
            };
            ensure(last < Some(id), "parked entries out of order")?;
            last = Some(id);
            let window = self.entries.window(id.partition());
            let window = window.ok_or(Inconsistent("no such partition"))?;
            ensure(id.offset() < OFFSETS_MAX, "an offset is out of bounds")?;
            if id.offset() >= ends.get(id.partition() as usize).copied().unwrap_or(0) {
                self.cut = true;
                continue;
            }
            let tag = window.groups(Run::from(id).offsets()).next().map(|group| group.tag);
            ensure(tag == Some(Tag::SETTLED), "a parked entry that is not settled")?;
            ensure(parked.lease < self.next_lease, "a lease that was not given")?;
            ensure(parked.attempts <= ATTEMPTS_MAX, "too many attempts")?;
            self.parked.insert(id, parked);
        }
        Ok(())
    }
}
