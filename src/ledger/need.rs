//! What retention asks of a group: which entries it still needs, what it would lose without some, and
//! when a member was last heard of.

use super::book::Ledger;
use super::window::State;
use crate::clock::Moment;
use crate::id::EntryId;
use crate::loss::Loss;

impl Ledger {
    /// The first entry of a partition that the group is not done with, read or not: it has settled
    /// all before that, and set none of them aside.
    pub(crate) fn first_needed(&self, partition: u32) -> Option<u64> {
        let floor = self.entries.window(partition)?.floor;
        let ids = EntryId::new(partition, 0)..EntryId::new(partition, floor);
        let parked = self.parked.range(ids).next();
        Some(parked.map_or(floor, |(id, _)| id.offset()))
    }

    /// What the group is not done with of the entries from `first` to before `end`.
    pub(crate) fn loss(&self, partition: u32, first: u64, end: u64) -> Loss {
        let mut loss = Loss::default();
        let Some(window) = self.entries.window(partition).filter(|_| first < end) else {
            return loss;
        };
        for group in window.groups(first..end) {
            match group.tag.state() {
                State::Fresh => loss.unread += group.count,
                State::Leased | State::Exhausted => loss.pending += group.count,
                State::Settled => {}
                _ => loss.delayed += group.count,
            }
        }
        let ids = EntryId::new(partition, first)..EntryId::new(partition, end);
        loss.parked = self.parked.range(ids).count() as u64;
        loss
    }

    /// When a member last gave a sign of life: a call, a blocked read, or a lease of its own length
    /// that runs. The clock's start if none did since the stream was opened.
    pub(crate) fn last_sign(&self, now: Moment) -> Moment {
        self.members.last_sign(now, self.policy.session_timeout)
    }
}
