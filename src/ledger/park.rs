//! What was set aside, and how it comes back or goes.

use super::book::Ledger;
use super::event::{Event, Run};
use crate::clock::Moment;
use crate::id::EntryId;

impl Ledger {
    /// Makes parked entries available again, due now, with no attempts. Ids that are not parked
    /// are passed over. Returns how many are.
    pub(crate) fn redrive(&self, now: Moment, ids: &[EntryId], out: &mut Vec<Event>) -> u64 {
        self.parked_runs(ids, out, |run| Event::Redriven { run, due: now })
    }

    /// The same for the first `max` of all.
    #[cfg(test)]
    pub(crate) fn redrive_all(&self, now: Moment, max: usize, out: &mut Vec<Event>) -> u64 {
        let ids: Vec<EntryId> = self.parked.keys().take(max).copied().collect();
        self.redrive(now, &ids, out)
    }

    /// Settles parked entries. Returns how many.
    pub(crate) fn discard_parked(&self, ids: &[EntryId], out: &mut Vec<Event>) -> u64 {
        self.parked_runs(ids, out, |run| Event::Dropped { run })
    }

    fn parked_runs(
        &self,
        ids: &[EntryId],
        out: &mut Vec<Event>,
        event: impl Fn(Run) -> Event,
    ) -> u64 {
        let from = out.len();
        let mut parked: Vec<EntryId> =
            ids.iter().filter(|id| self.parked.contains_key(id)).copied().collect();
        parked.sort_unstable();
        parked.dedup();
        for id in &parked {
            event(Run::from(*id)).push(from, out);
        }
        parked.len() as u64
    }
}
