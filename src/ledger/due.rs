//! What waits, by time: runs of entries that come due at one moment.
//!
//! Invariants
//! 1. Each waiting entry is in exactly one run, under the due time that stands in its hold.
//! 2. Runs do not overlap, and none is empty.
//! 3. Runs of one due time that touch are one.
//! 4. `heads` has the first run of each partition that has any, by its due time.
//!
//! Ordered maps rather than heaps: an entry that is acked late or taken back leaves at once, so
//! nothing stale is ever met or kept. One for each partition, so that a member that reads some of
//! them never walks over what is due in the others.

use std::cmp::Reverse;
use std::collections::btree_map::Range;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::iter::Peekable;

use super::times::NEVER;
use crate::clock::Moment;
use crate::id::EntryId;

/// The runs of one partition: how many entries, by due time and first offset.
type Runs = BTreeMap<(Moment, u64), u64>;

/// Runs by partition.
#[derive(Debug, Default)]
pub(super) struct Due {
    partitions: Vec<Runs>,
    heads: BTreeSet<(Moment, u32)>,
}

impl Due {
    pub(super) fn insert(&mut self, due: Moment, first: EntryId, count: u64) {
        let index = first.partition() as usize;
        if self.partitions.len() <= index {
            self.partitions.resize_with(index + 1, Runs::new);
        }
        self.edit(first.partition(), |runs| insert(runs, due, first.offset(), count));
    }

    /// Takes out entries that are all there, from one run or from several.
    pub(super) fn remove(&mut self, due: Moment, first: EntryId, count: u64) {
        let span = (first.offset(), first.offset() + count);
        self.edit(first.partition(), |runs| remove(runs, due, span));
    }

    /// Changes the runs of a partition, and keeps its head in step.
    fn edit(&mut self, partition: u32, change: impl FnOnce(&mut Runs)) {
        let runs = &mut self.partitions[partition as usize];
        let head = |runs: &Runs| runs.first_key_value().map(|((due, _), _)| *due);
        let before = head(runs);
        change(runs);
        let after = head(runs);
        if before != after {
            before.map(|due| self.heads.remove(&(due, partition)));
            after.map(|due| self.heads.insert((due, partition)));
        }
    }

    /// The runs that are due now in the partitions that `may` lets pass, by due time, then id.
    pub(super) fn ready<F: Fn(u32) -> bool>(&self, now: Moment, may: F) -> Ready<'_, F> {
        Ready { due: self, heads: self.heads.iter().peekable(), open: BinaryHeap::new(), now, may }
    }

    /// Whether there is any such run. It takes a step for each partition with something due.
    pub(super) fn is_ready(&self, now: Moment, may: impl Fn(u32) -> bool) -> bool {
        self.heads.range(..=(now, u32::MAX)).any(|(_, partition)| may(*partition))
    }

    /// When the next run comes due, of those that are not yet.
    pub(super) fn next_after(&self, now: Moment) -> Moment {
        let (first, later) = ((now, u32::MAX), Moment(now.0.saturating_add(1)));
        let heads =
            self.heads.range((std::ops::Bound::Excluded(first), std::ops::Bound::Unbounded));
        let head = heads.map(|(due, _)| *due).next();
        let behind = self.heads.range(..=first).filter_map(|(_, partition)| {
            let mut runs = self.partitions[*partition as usize].range((later, 0)..);
            runs.next().map(|((due, _), _)| *due)
        });
        behind.chain(head).min().unwrap_or(NEVER)
    }

    /// How many entries are not due yet.
    pub(super) fn delayed(&self, now: Moment) -> u64 {
        let first = (Moment(now.0.saturating_add(1)), 0);
        let later = self.partitions.iter().flat_map(|runs| runs.range(first..));
        later.map(|(_, count)| count).sum()
    }

    /// All runs, by due time, then id.
    #[cfg(test)]
    pub(super) fn runs(&self) -> impl Iterator<Item = (Moment, EntryId, u64)> {
        let listed = (0..).zip(&self.partitions).flat_map(|(partition, runs)| {
            let id = move |offset| EntryId::new(partition, offset);
            runs.iter().map(move |((due, offset), count)| (*due, id(*offset), *count))
        });
        let mut all: Vec<_> = listed.collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// Panics if the heads are not those of the runs.
    #[cfg(test)]
    pub(super) fn validate(&self) {
        let heads = (0..).zip(&self.partitions).filter_map(|(partition, runs)| {
            runs.first_key_value().map(|((due, _), _)| (*due, partition))
        });
        assert_eq!(heads.collect::<BTreeSet<_>>(), self.heads, "heads");
    }
}

fn insert(runs: &mut Runs, due: Moment, first: u64, count: u64) {
    let count = count + runs.remove(&(due, first + count)).unwrap_or(0);
    if let Some((key, before)) = runs.range_mut(..(due, first)).next_back()
        && key.0 == due
        && key.1.checked_add(*before) == Some(first)
    {
        *before += count;
        return;
    }
    runs.insert((due, first), count);
}

fn remove(runs: &mut Runs, due: Moment, (first, end): (u64, u64)) {
    let mut at = first;
    while at < end {
        let (&found, length) =
            runs.range_mut(..=(due, at)).next_back().expect("a waiting entry is in a run");
        let (start, stop) = (found.1, found.1 + *length);
        debug_assert!(found.0 == due && at < stop);
        if start < at {
            *length = at - start;
        } else {
            runs.remove(&found);
        }
        let cut = end.min(stop);
        if cut < stop {
            runs.insert((due, cut), stop - cut);
        }
        at = cut;
    }
}

/// A run that a partition offers next, and the runs behind it.
struct Offer<'a> {
    due: Moment,
    first: EntryId,
    count: u64,
    rest: Range<'a, (Moment, u64), u64>,
}

impl Offer<'_> {
    fn key(&self) -> (Moment, EntryId) {
        (self.due, self.first)
    }
}

impl PartialEq for Offer<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Offer<'_> {}

impl PartialOrd for Offer<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Offer<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Merges what is due in several partitions. A partition is looked into when its turn comes.
pub(super) struct Ready<'a, F> {
    due: &'a Due,
    heads: Peekable<std::collections::btree_set::Iter<'a, (Moment, u32)>>,
    open: BinaryHeap<Reverse<Offer<'a>>>,
    now: Moment,
    may: F,
}

impl<'a, F: Fn(u32) -> bool> Ready<'a, F> {
    fn offer(&mut self, partition: u32, mut rest: Range<'a, (Moment, u64), u64>) {
        if let Some((&(due, first), &count)) = rest.next()
            && due <= self.now
        {
            let first = EntryId::new(partition, first);
            self.open.push(Reverse(Offer { due, first, count, rest }));
        }
    }
}

impl<F: Fn(u32) -> bool> Iterator for Ready<'_, F> {
    type Item = (EntryId, u64);

    fn next(&mut self) -> Option<(EntryId, u64)> {
        while let Some(&&(due, partition)) = self.heads.peek() {
            let behind = self.open.peek().is_some_and(|Reverse(offer)| offer.due < due);
            if due > self.now || behind {
                break;
            }
            self.heads.next();
            if (self.may)(partition) {
                let runs = &self.due.partitions[partition as usize];
                self.offer(partition, runs.range(..));
            }
        }
        let Reverse(Offer { first, count, rest, .. }) = self.open.pop()?;
        self.offer(first.partition(), rest);
        Some((first, count))
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
