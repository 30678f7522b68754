//! What waits, by time: runs of entries that come due at one moment.
//!
//! Invariants
//! 1. Each waiting entry is in exactly one run, under the due time that stands in its hold.
//! 2. Runs do not overlap, and none is empty.
//! 3. Runs of one due time that touch are one.
//!
//! An ordered map rather than a heap: an entry that is acked late or taken back leaves at once, so
//! nothing stale is ever met or kept.

use std::collections::BTreeMap;

use super::times::NEVER;
use crate::clock::Moment;
use crate::id::EntryId;

/// Runs by due time, then id: the order of handing out again.
#[derive(Debug, Default)]
pub(super) struct Due {
    runs: BTreeMap<(Moment, EntryId), u64>,
}

impl Due {
    pub(super) fn insert(&mut self, due: Moment, first: EntryId, count: u64) {
        let (partition, end) = (first.partition(), first.offset() + count);
        let after = self.runs.remove(&(due, EntryId::new(partition, end))).unwrap_or(0);
        let count = count + after;
        if let Some((key, before)) = self.runs.range_mut(..(due, first)).next_back() {
            let touches = key.1.offset().checked_add(*before) == Some(first.offset());
            if key.0 == due && key.1.partition() == partition && touches {
                *before += count;
                return;
            }
        }
        self.runs.insert((due, first), count);
    }

    /// Takes out entries that are all there, from one run or from several.
    pub(super) fn remove(&mut self, due: Moment, first: EntryId, count: u64) {
        let (partition, end) = (first.partition(), first.offset() + count);
        let mut at = first.offset();
        while at < end {
            let key = (due, EntryId::new(partition, at));
            let (&found, length) =
                self.runs.range_mut(..=key).next_back().expect("a waiting entry is in a run");
            let (start, stop) = (found.1.offset(), found.1.offset() + *length);
            debug_assert!(found.0 == due && found.1.partition() == partition && at < stop);
            if start < at {
                *length = at - start;
            } else {
                self.runs.remove(&found);
            }
            let cut = end.min(stop);
            if cut < stop {
                self.runs.insert((due, EntryId::new(partition, cut)), stop - cut);
            }
            at = cut;
        }
    }

    /// The runs that are due now, in order.
    pub(super) fn ready(&self, now: Moment) -> impl Iterator<Item = (EntryId, u64)> {
        self.runs.iter().take_while(move |((due, _), _)| *due <= now).map(|((_, id), n)| (*id, *n))
    }

    /// When the next run comes due, of those that are not yet.
    pub(super) fn next_after(&self, now: Moment) -> Moment {
        self.later(now).next().map_or(NEVER, |((due, _), _)| *due)
    }

    /// How many entries are not due yet.
    pub(super) fn delayed(&self, now: Moment) -> u64 {
        self.later(now).map(|(_, count)| count).sum()
    }

    fn later(&self, now: Moment) -> impl Iterator<Item = (&(Moment, EntryId), &u64)> {
        let first = (Moment(now.0.saturating_add(1)), EntryId::new(0, 0));
        self.runs.range(first..)
    }

    /// All runs.
    #[cfg(test)]
    pub(super) fn runs(&self) -> impl Iterator<Item = (Moment, EntryId, u64)> {
        self.runs.iter().map(|((due, id), count)| (*due, *id, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(due: &Due) -> Vec<(u64, u64, u64)> {
        due.runs().map(|(due, id, count)| (due.0, id.offset(), count)).collect()
    }

    #[test]
    fn runs_that_touch_join_and_what_leaves_from_the_middle_splits_them() {
        let mut due = Due::default();
        let at = |offset| EntryId::new(0, offset);
        due.insert(Moment(5), at(10), 10);
        due.insert(Moment(5), at(30), 10);
        due.insert(Moment(5), at(20), 10);
        assert_eq!(listed(&due), [(5, 10, 30)]);
        due.remove(Moment(5), at(15), 20);
        assert_eq!(listed(&due), [(5, 10, 5), (5, 35, 5)]);
        due.insert(Moment(6), at(15), 20);
        due.insert(Moment(5), EntryId::new(1, 15), 1);
        assert_eq!(listed(&due).len(), 4);
        due.remove(Moment(5), at(10), 5);
        due.remove(Moment(5), at(35), 5);
        assert_eq!(listed(&due), [(5, 15, 1), (6, 15, 20)]);
    }
}
