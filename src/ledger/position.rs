//! Moving a group's position as a whole: settling through an id, settling what one member holds,
//! going back or forth, and losing what the log no longer has.

use super::book::{Ledger, OFFSETS_MAX};
use super::entries::is_deferred;
use super::event::{Event, MemberId, Run, Settle, Skip};
use super::owner::Owner;
use super::policy::OnTrimmed;
use super::window::{Group, State};
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::loss::Loss;

impl Ledger {
    /// Settles all of a partition up to `id` that no other member holds, handed out or not; what the
    /// group has deferred stays.
    /// Returns how many entries that are. `seen` is the generation that the caller knows of.
    ///
    /// # Errors
    /// [`Error::NotAMember`]; [`Error::NotAssigned`] if the partition is not the member's;
    /// [`Error::Fenced`] if it was given to the member after `seen`.
    pub(crate) fn settle_through(
        &self,
        member: MemberId,
        seen: u64,
        id: EntryId,
        out: &mut Vec<Event>,
    ) -> Result<u64> {
        self.settle_below(member, seen, id.partition(), id.offset().saturating_add(1), out)
    }

    /// The same for all below `end`.
    pub(super) fn settle_below(
        &self,
        member: MemberId,
        seen: u64,
        partition: u32,
        end: u64,
        out: &mut Vec<Event>,
    ) -> Result<u64> {
        self.members.get(member)?;
        let slot = member.slot;
        let Some(window) = self.entries.window(partition) else {
            return Err(self.no_such_partition(partition));
        };
        self.check_assigned(slot, partition, seen)?;
        let end = end.min(OFFSETS_MAX);
        let groups = window.groups(window.floor..end.max(window.floor));
        let count = groups.filter(|group| self.goes_through(group, slot)).map(|group| group.count);
        let count: u64 = count.sum();
        if count > 0 {
            out.push(Event::SettledThrough { partition, end, slot });
        }
        Ok(count)
    }

    fn check_assigned(&self, slot: u16, partition: u32, seen: u64) -> Result<()> {
        let generation = self.owners.generation;
        match self.owners.owner(partition) {
            _ if self.owners.open => return Ok(()),
            Owner::Member(owner) | Owner::Leaving(Some(owner)) if owner == slot => {}
            _ => return Err(Error::NotAssigned { partition, generation }),
        }
        if self.owners.since[partition as usize] > seen {
            return Err(Error::Fenced { seen, generation });
        }
        Ok(())
    }

    /// Whether an entry is neither settled nor in another member's hands, nor apart from the order
    /// because it waits for its own time.
    pub(super) fn goes_through(&self, group: &Group, slot: u16) -> bool {
        match group.tag.state() {
            // What is on its way to the dead letters stays on it.
            State::Settled | State::Exhausted => false,
            State::Leased => self.entries.index.holds.get(group.hold).slot == slot,
            State::Withdrawn => {
                !is_deferred(State::Withdrawn, self.entries.index.holds.get(group.hold).slot)
            }
            _ => true,
        }
    }

    /// Settles all that a member holds. Returns how many entries that are.
    ///
    /// # Errors
    /// [`Error::NotAMember`].
    pub(crate) fn settle_held(&self, member: MemberId, out: &mut Vec<Event>) -> Result<u64> {
        self.members.get(member)?;
        let (from, mut left) = (out.len(), self.entries.leased_by(member.slot));
        let held = left;
        if held == 0 {
            return Ok(0);
        }
        for (partition, span) in self.entries.spans_with_deadlines() {
            if left == 0 {
                break;
            }
            let window = self.entries.window(partition);
            for group in window.into_iter().flat_map(|window| window.groups(span.clone())) {
                let leased = group.tag.state() == State::Leased;
                if leased && self.entries.index.holds.get(group.hold).slot == member.slot {
                    left -= group.count;
                    let count = u32::try_from(group.count).expect("no longer than a chunk");
                    let run = Run::new(partition, group.first, count);
                    Event::Settled { run, how: Settle::Acked }.push(from, out);
                }
            }
        }
        Ok(held - left)
    }

    /// Goes on from `to` in a partition, back or forth. All that was pending is forgotten, and
    /// what lies before `to` and was not settled is given up.
    ///
    /// # Errors
    /// [`Error::NoSuchPartition`].
    pub(crate) fn reset(&self, partition: u32, to: u64, out: &mut Vec<Event>) -> Result<()> {
        if self.entries.window(partition).is_none() {
            return Err(self.no_such_partition(partition));
        }
        out.push(Event::Reset { partition, to: to.min(OFFSETS_MAX) });
        Ok(())
    }

    /// What becomes of a partition whose log now starts at `start` and ends at `end`. Returns what
    /// the group had not settled of the entries that are gone, or that its policy passes.
    pub(crate) fn trimmed(
        &self,
        partition: u32,
        start: u64,
        end: u64,
        out: &mut Vec<Event>,
    ) -> Loss {
        let Some(window) = self.entries.window(partition) else { return Loss::default() };
        let first = self.first_needed(partition).unwrap_or(window.floor);
        let unread = window.cursor < start;
        let end = match self.policy.on_trimmed {
            OnTrimmed::Latest if unread => end.max(start),
            OnTrimmed::Error => start.min(window.cursor),
            _ => start,
        };
        let lost = self.loss(partition, first, end);
        if !lost.is_empty() {
            out.push(Event::Skipped { partition, first, end, why: Skip::Trimmed });
        }
        lost
    }

    pub(super) fn no_such_partition(&self, partition: u32) -> Error {
        let partitions = u32::try_from(self.partitions()).unwrap_or(u32::MAX);
        Error::NoSuchPartition { partition, partitions }
    }
}
