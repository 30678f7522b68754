//! What is pending, as others see it: in numbers, entry by entry, and by who holds it.

use super::book::{Ledger, PendingEntry, Standing};
use super::entries::is_deferred;
use super::event::{MemberId, Run};
use super::window::{CHUNK, Chunk, Group, State, Window, chunk_of, chunks_of, span_of};
use crate::clock::Moment;
use crate::error::Result;
use crate::id::EntryId;

/// The pending list in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) leased: u64,
    pub(crate) waiting: u64,
    pub(crate) first: Option<EntryId>,
    pub(crate) last: Option<EntryId>,
}

impl Ledger {
    /// How much is pending, and from where to where. It takes a step for each partition.
    pub(crate) fn summary(&self) -> Summary {
        let index = &self.entries.index;
        let pending = || self.entries.numbered().filter(|(_, window)| window.pending > 0);
        let (first, last) = (pending().next(), pending().last());
        Summary {
            leased: index.leased,
            waiting: index.waiting + index.exhausted,
            // The floor is at a pending entry.
            first: first.map(|(partition, window)| EntryId::new(partition, window.floor)),
            last: last.and_then(|(partition, window)| {
                Some(EntryId::new(partition, last_pending(window)?))
            }),
        }
    }

    /// The pending entries of a partition from `first` on, in order: at least those that were
    /// touched by `since`. What was touched later is left out by whole chunks only.
    pub(crate) fn pending(
        &self,
        partition: u32,
        first: u64,
        since: Moment,
    ) -> impl Iterator<Item = PendingEntry<'_>> {
        let windows = self.entries.window(partition).into_iter();
        let spans = windows.flat_map(move |window| {
            let first = first.max(window.floor);
            let spans = window.spans.range(span_of(chunk_of(first))..);
            let spans = spans.filter(move |(_, touched)| **touched <= since);
            spans.flat_map(move |(span, _)| {
                let chunks = window.chunks.range(chunks_of(*span));
                let chunks = chunks.filter(move |(_, chunk)| chunk.touched <= since);
                let ranges = chunks.map(|(number, _)| number * CHUNK..number * CHUNK + CHUNK);
                ranges.flat_map(move |range| {
                    window.groups(first.max(range.start)..range.end.min(window.cursor))
                })
            })
        });
        let pending = spans.filter(|group| group.tag.state().is_pending());
        pending.flat_map(move |group| {
            let (entry, lease) = self.pending_entry(partition, &group);
            (group.first..group.end()).map(move |at| {
                let id = EntryId::new(partition, at);
                let touched = match entry.touched {
                    Moment::NEVER => Moment::NEVER,
                    _ => self.entries.index.touches.of(id, lease),
                };
                PendingEntry { id, touched, ..entry }
            })
        })
    }

    /// All pending entries of a partition.
    #[cfg(test)]
    pub(crate) fn all_pending(&self, partition: u32) -> impl Iterator<Item = PendingEntry<'_>> {
        self.pending(partition, 0, Moment::NEVER)
    }

    /// A line for a whole group, and its lease as the hold has it.
    fn pending_entry(&self, partition: u32, group: &Group) -> (PendingEntry<'_>, u64) {
        let hold = self.entries.index.holds.get(group.hold);
        let leased = group.tag.state() == State::Leased;
        let member = if leased { self.members.in_slot(hold.slot) } else { None };
        let standing = match group.tag.state() {
            State::Leased => Standing::Leased(hold.time),
            State::Exhausted => Standing::Exhausted,
            _ => Standing::Waiting(hold.time),
        };
        let entry = PendingEntry {
            id: EntryId::new(partition, group.first),
            standing,
            member: member.map(|member| &*member.name),
            attempts: group.tag.attempts(),
            lease: self.lease_number(hold),
            // One that waits for its own time is not idle.
            touched: if is_deferred(group.tag.state(), hold.slot) {
                Moment::NEVER
            } else {
                Moment::ZERO
            },
        };
        (entry, hold.lease)
    }

    /// What a member holds from `from` on, in order of ids, with the leases: at most `max` entries.
    ///
    /// # Errors
    /// [`Error::NotAMember`](crate::Error::NotAMember).
    pub(crate) fn held_by(
        &self,
        member: MemberId,
        from: EntryId,
        max: u32,
    ) -> Result<Vec<(Run, u64)>> {
        self.members.get(member)?;
        let mut left = u64::from(max).min(self.entries.leased_by(member.slot));
        let mut found: Vec<(Run, u64)> = Vec::new();
        for (partition, span) in self.entries.spans_with_deadlines() {
            let first = EntryId::new(partition, span.end) > from;
            let start = if partition == from.partition() { from.offset() } else { 0 };
            let window = self.entries.window(partition).filter(|_| first && left > 0);
            let groups = window.into_iter().flat_map(|w| w.groups(start.max(span.start)..span.end));
            for group in groups.filter(|group| group.tag.state() == State::Leased) {
                let hold = self.entries.index.holds.get(group.hold);
                let count = u32::try_from(group.count.min(left)).expect("no longer than a chunk");
                let mine = hold.slot == member.slot && count > 0;
                let Some(lease) = self.lease_number(hold).filter(|_| mine) else { continue };
                left -= u64::from(count);
                let run = Run::new(partition, group.first, count);
                let joined = match found.last_mut() {
                    Some((last, number)) if *number == lease => last.absorb(run),
                    _ => false,
                };
                if !joined {
                    found.push((run, lease));
                }
            }
        }
        Ok(found)
    }
}

/// The last pending entry of a window. Each chunk below that of the cursor has one.
fn last_pending(window: &Window) -> Option<u64> {
    let pending = |(number, _): (u64, &Chunk)| {
        let groups = window.groups(number * CHUNK..(number * CHUNK + CHUNK).min(window.cursor));
        groups.filter(|group| group.tag.state().is_pending()).last().map(|group| group.end() - 1)
    };
    window.chunks.iter().rev().find_map(pending)
}
