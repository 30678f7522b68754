//! Claiming: pending entries go to a member that asks for them, whoever holds them, if they were
//! idle for long enough. (The idea is Redis Streams' XCLAIM and XAUTOCLAIM.)
//!
//! An entry that had its last attempt is exhausted instead. One before its last attempt that was
//! leased when the process died is claimed alone, as it is read alone.
//!
//! Looking for what is idle skips spans and chunks whose bound says that nothing there is. The
//! bounds may be too early; a chunk that was looked through in vain learns its true one, and is
//! skipped from then on.

use std::time::Duration;

use super::book::Ledger;
use super::deliver::Terms;
use super::entries::is_deferred;
use super::event::{Event, MemberId, Run, Settle};
use super::times::{NEVER, Now, micros};
use super::window::{CHUNK, Group, State, chunk_of, chunks_of, span_of};
use crate::blocked::Unclaimed;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::id::EntryId;

/// What claiming comes to.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// What can be handed out, in order of ids.
    pub(crate) runs: Vec<Run>,
    /// What had its last attempt, likewise.
    pub(crate) spent: Vec<Run>,
    /// What can not be claimed, and why.
    pub(crate) refused: Vec<(EntryId, Unclaimed)>,
}

/// What is left to a claim while it looks.
struct Gate {
    slot: u16,
    /// What was touched by then is idle enough; `None` if nothing can be.
    since: Option<Moment>,
    last_attempt: u16,
    left: u32,
    room: u64,
    own_room: u64,
    /// An entry was taken that goes alone.
    alone: bool,
}

/// What becomes of the first entries of a group.
enum Judged {
    Take(u32),
    Spend(u32),
    Refuse(Unclaimed),
}

impl Gate {
    fn is_idle(&self, touched: Moment) -> bool {
        self.since.is_some_and(|since| touched <= since)
    }

    /// Judges entries that are alike, pending and idle. `first`: nothing was taken before.
    fn judge(&mut self, group: &Group, holder: u16, first: bool) -> Judged {
        let count = u32::try_from(group.count).unwrap_or(u32::MAX).min(self.left);
        if count == 0 {
            return Judged::Refuse(Unclaimed::Later);
        }
        let (state, attempts) = (group.tag.state(), group.tag.attempts());
        if attempts >= self.last_attempt {
            self.left -= count;
            return Judged::Spend(count);
        }
        let guilty = state == State::Suspect && attempts + 1 >= self.last_attempt;
        if self.alone || (guilty && !first) {
            return Judged::Refuse(Unclaimed::Later);
        }
        let leased = state == State::Leased;
        let own = leased && holder == self.slot;
        let mut room = if guilty { 1 } else { u64::from(count) };
        if !leased {
            room = room.min(self.room);
        }
        if !own {
            room = room.min(self.own_room);
        }
        let count = u32::try_from(room).expect("no more than the count");
        if count == 0 {
            return Judged::Refuse(Unclaimed::InFlight);
        }
        self.room -= if leased { 0 } else { room };
        self.own_room -= if own { 0 } else { room };
        self.left -= count;
        self.alone = guilty;
        Judged::Take(count)
    }
}

impl Claims {
    fn put(list: &mut Vec<Run>, run: Run) {
        if !list.last_mut().is_some_and(|last| last.absorb(run)) {
            list.push(run);
        }
    }

    /// Whether nothing was found to hand out.
    fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

impl Ledger {
    fn gate(&self, now: Moment, member: MemberId, min_idle: Duration, max: u32) -> Result<Gate> {
        self.members.get(member)?;
        let policy = &self.policy;
        Ok(Gate {
            slot: member.slot,
            since: now.0.checked_sub(micros(min_idle)).map(Moment),
            last_attempt: policy.max_deliveries,
            left: max,
            room: policy.max_in_flight.saturating_sub(self.entries.index.leased),
            own_room: policy
                .max_in_flight_per_consumer
                .saturating_sub(self.entries.leased_by(member.slot)),
            alone: false,
        })
    }

    /// What a member may claim of `ids`, at most once each.
    ///
    /// # Errors
    /// [`Error::NotAMember`]; [`Error::NoSuchPartition`]; [`Error::NotAssigned`] if one of them is
    /// in a partition that the member does not read.
    pub(crate) fn claimable(
        &self,
        now: Moment,
        member: MemberId,
        min_idle: Duration,
        mut ids: Vec<EntryId>,
    ) -> Result<Claims> {
        let mut gate = self.gate(now, member, min_idle, u32::MAX)?;
        let mut claims = Claims::default();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let partition = id.partition();
            let Some(window) = self.entries.window(partition) else {
                return Err(self.no_such_partition(partition));
            };
            if !self.may_read(member.slot, partition) {
                let generation = self.generation();
                return Err(Error::NotAssigned { partition, generation });
            }
            let end = id.offset().saturating_add(1);
            let group = window.groups(id.offset()..end).next();
            let Some(group) = group.filter(|group| self.was_given(group)) else {
                claims.refused.push((id, Unclaimed::NotPending));
                continue;
            };
            let hold = self.entries.index.holds.get(group.hold);
            if !gate.is_idle(self.entries.index.touches.of(id, hold.lease)) {
                claims.refused.push((id, Unclaimed::NotIdle));
                continue;
            }
            match gate.judge(&group, hold.slot, claims.is_empty()) {
                Judged::Take(_) => Claims::put(&mut claims.runs, id.into()),
                Judged::Spend(_) => Claims::put(&mut claims.spent, id.into()),
                Judged::Refuse(why) => claims.refused.push((id, why)),
            }
        }
        Ok(claims)
    }

    /// What a member may claim from `from` on, in order of ids: at most `max` entries. Returns
    /// where it stopped and why; `None` if all was looked through. It changes what is volatile
    /// only.
    ///
    /// # Errors
    /// [`Error::NotAMember`].
    pub(crate) fn idle_claims(
        &mut self,
        now: Moment,
        member: MemberId,
        min_idle: Duration,
        from: EntryId,
        max: u32,
        claims: &mut Claims,
    ) -> Result<Option<(EntryId, Unclaimed)>> {
        let mut gate = self.gate(now, member, min_idle, max)?;
        self.entries.index.touches.advance(now);
        let last = u32::try_from(self.partitions()).unwrap_or(u32::MAX);
        let mut next = self.readable_from(member.slot, from.partition());
        while let Some(partition) = next.filter(|partition| *partition < last) {
            let first = if partition == from.partition() { from.offset() } else { 0 };
            let stopped = self.look_through(&mut gate, now, partition, first, claims);
            if stopped.is_some() {
                return Ok(stopped);
            }
            next = self.readable_from(member.slot, partition + 1);
        }
        Ok(None)
    }

    /// The first partition from `from` on that the member in `slot` reads.
    fn readable_from(&self, slot: u16, from: u32) -> Option<u32> {
        if self.is_open() {
            return Some(from);
        }
        self.owned_from(slot, from).filter(|partition| *partition >= from)
    }

    /// Looks for idle entries of one partition.
    fn look_through(
        &mut self,
        gate: &mut Gate,
        now: Moment,
        partition: u32,
        first: u64,
        claims: &mut Claims,
    ) -> Option<(EntryId, Unclaimed)> {
        let window = self.entries.window(partition)?;
        let first = first.max(window.floor);
        let (mut chunks, mut spans) = (Vec::new(), Vec::new());
        let mut stopped = None;
        for (span, bound) in window.spans.range(span_of(chunk_of(first))..) {
            if !gate.is_idle(*bound) {
                continue;
            }
            let mut least = now;
            for (number, chunk) in window.chunks.range(chunks_of(*span)) {
                let mut touched = chunk.touched;
                if gate.is_idle(touched) && first < number * CHUNK + CHUNK {
                    match self.look_into(gate, partition, number, first, claims) {
                        Ok(true) => {
                            touched = self.touched_in(partition, number).min(now);
                            chunks.push((number, touched));
                        }
                        Ok(false) => {}
                        Err(place) => {
                            stopped = Some(place);
                            break;
                        }
                    }
                }
                least = least.min(touched);
            }
            if stopped.is_some() {
                break;
            }
            spans.push((*span, least));
        }
        let window = &mut self.entries.windows[partition as usize];
        for (number, touched) in chunks {
            if let Some(chunk) = window.chunks.get_mut(number) {
                chunk.touched = touched;
            }
        }
        window.spans.extend(spans);
        stopped
    }

    /// Looks for idle entries of one chunk. Says whether that was in vain; fails with where and why
    /// it stopped.
    fn look_into(
        &self,
        gate: &mut Gate,
        partition: u32,
        number: u64,
        first: u64,
        claims: &mut Claims,
    ) -> Result<bool, (EntryId, Unclaimed)> {
        let Some(window) = self.entries.window(partition) else { return Ok(false) };
        let start = number * CHUNK;
        let mut in_vain = true;
        let span = first.max(start)..start + CHUNK;
        for group in window.groups(span).filter(|group| self.was_given(group)) {
            let holder = self.entries.index.holds.get(group.hold).slot;
            for part in self.parts(partition, group) {
                if !gate.is_idle(part.touched) {
                    continue;
                }
                in_vain = false;
                let mut left = part.group;
                while left.count > 0 {
                    let run = |count| Run::new(partition, left.first, count);
                    let taken = match gate.judge(&left, holder, claims.is_empty()) {
                        Judged::Take(count) => {
                            Claims::put(&mut claims.runs, run(count));
                            count
                        }
                        Judged::Spend(count) => {
                            Claims::put(&mut claims.spent, run(count));
                            count
                        }
                        Judged::Refuse(why) => {
                            return Err((EntryId::new(partition, left.first), why));
                        }
                    };
                    left.first += u64::from(taken);
                    left.count -= u64::from(taken);
                }
            }
        }
        Ok(in_vain)
    }

    /// Whether entries are pending that were handed out before. Those that wait for their own time are
    /// nobody's to claim: they have not been idle, they were not there yet.
    fn was_given(&self, group: &Group) -> bool {
        let state = group.tag.state();
        state.may_come() && !is_deferred(state, self.entries.index.holds.get(group.hold).slot)
    }

    /// When what is pending in a chunk was first touched; `NEVER` if nothing is.
    pub(super) fn touched_in(&self, partition: u32, number: u64) -> Moment {
        let window = self.entries.window(partition).into_iter();
        let groups = window.flat_map(|w| w.groups(number * CHUNK..number * CHUNK + CHUNK));
        let touched = |group: &Group| {
            let (state, hold) = (group.tag.state(), group.hold);
            state.is_pending() && !is_deferred(state, self.entries.index.holds.get(hold).slot)
        };
        let pending = groups.filter(touched);
        let parts = pending.flat_map(|group| self.parts(partition, group));
        parts.map(|part| part.touched).min().unwrap_or(NEVER)
    }

    /// A pending group in parts that were touched at one time.
    fn parts(&self, partition: u32, group: Group) -> impl Iterator<Item = Part> {
        let index = &self.entries.index;
        let lease = index.holds.get(group.hold).lease;
        let step = if index.touches.differ() { 1 } else { group.count };
        let firsts = (group.first..group.end()).step_by(usize::try_from(step).unwrap_or(1));
        firsts.map(move |first| Part {
            group: Group { first, count: step, ..group },
            touched: index.touches.of(EntryId::new(partition, first), lease),
        })
    }

    /// Leases claimed runs to a member, under one number, which it returns.
    ///
    /// # Errors
    /// Those of [`hand_out`](Self::hand_out).
    pub(crate) fn claim(
        &self,
        now: Now,
        member: MemberId,
        runs: &[Run],
        out: &mut Vec<Event>,
    ) -> Result<u64> {
        let terms = self.terms(now, member, self.policy.lease)?;
        let Terms { number: lease, deadline, alive_until, wall } = terms;
        for run in runs {
            let (run, slot) = (*run, member.slot);
            let at = now.at;
            let event = Event::Claimed { run, lease, slot, deadline, alive_until, at, wall };
            debug_assert_eq!(self.check(&event), Ok(()), "{event:?}");
            out.push(event);
        }
        Ok(lease)
    }

    /// Ends entries that had their last attempt, as the policy says.
    pub(crate) fn exhaust_all(&self, now: Now, runs: &[Run], out: &mut Vec<Event>) {
        let from = out.len();
        for run in runs {
            self.exhaust(now, *run, None).push(from, out);
        }
    }

    /// Settles entries by id, whoever holds them. Those that are not pending are passed over;
    /// returns how many were.
    pub(crate) fn ack_ids(&self, mut ids: Vec<EntryId>, out: &mut Vec<Event>) -> u64 {
        ids.sort_unstable();
        ids.dedup();
        let from = out.len();
        let mut settled = 0;
        for id in ids {
            let Some(window) = self.entries.window(id.partition()) else { continue };
            let end = id.offset().saturating_add(1);
            let group = window.groups(id.offset()..end).next();
            if group.is_some_and(|group| group.tag.state().is_pending()) {
                settled += 1;
                Event::Settled { run: id.into(), how: Settle::AckedById }.push(from, out);
            }
        }
        settled
    }

    /// Notes when a lease was given. If no entry has an older one, those are forgotten.
    pub(super) fn note_lease(&mut self, lease: u64, at: Moment) {
        if self.entries.pending() == 0 && self.parked.is_empty() {
            self.entries.index.touches.settle();
        }
        self.entries.index.touches.note(lease, at);
    }
}

/// Entries that are alike and were touched at one time.
struct Part {
    group: Group,
    touched: Moment,
}
