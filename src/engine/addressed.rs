//! Entries that are for one group alone: where they may stand, how they come into the log, and who
//! takes which entries because of them.
//!
//! Such an entry is one that a group brought back after its original was gone. The others pass it
//! as if a filter left it out; readers see it as any other.
//!
//! # Invariants
//! 1. Each stands in a range that the manifest has durably, and that is published here, before the
//!    entry is appended. A range begins where its partition ended at that time, or later ranges made
//!    it longer.
//! 2. Where there is no range there is none, so a group without a filter looks at no entry there and
//!    counts by offsets alone. A stream that never brought an entry back has no range.
//!
//! Whoever asks for ranges asks for those before an end that it has seen as visible: by the first
//! invariant it then knows of all that stand before that.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use super::desk::Desk;
use super::draft::with_draft;
use super::ground::Ground;
use super::manifest::{Manifest, StoredRange};
use super::mill::Mill;
use crate::entry::NewEntry;
use crate::error::Result;
use crate::id::EntryId;
use crate::log::{self, Field};
use crate::observe;
use crate::subject::Filter;

/// A range is made for so many entries, and nearer ones become one. It is what may be looked at in vain
/// for one entry, and so many of them are brought back for one change of the manifest.
const RANGE_ENTRIES: u64 = 4_096;
/// With more in one partition, those that are the nearest to each other become one.
const RANGES_MAX: usize = 16;

/// Where entries for one group alone may stand.
#[derive(Debug, Default)]
pub(crate) struct Addressed {
    any: AtomicBool,
    ranges: RwLock<Vec<StoredRange>>,
}

/// Which entries are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<'a> {
    /// `None` if everything is.
    pub(crate) filter: Option<&'a Filter>,
    /// The group that takes them. Who is none takes those that are for one group, too.
    pub(crate) group: Option<u64>,
}

impl Choice<'_> {
    /// Whether an entry with these fields is taken. What is for one group alone is, by that group,
    /// whatever its filter says.
    pub(crate) fn takes(&self, fields: &[u8]) -> bool {
        let mut subject = None;
        for field in log::fields(fields) {
            match (field, self.group) {
                (Field::Addressee(to), Some(group)) => return to == group,
                (Field::Subject(found), _) => subject = subject.or(Some(found)),
                _ => {}
            }
        }
        self.filter.is_none_or(|filter| filter.matches(subject))
    }
}

impl StoredRange {
    /// How far behind this one another one of the same partition begins.
    pub(super) fn gap(&self, next: &Self) -> Option<u64> {
        (self.partition == next.partition).then(|| next.first.saturating_sub(self.end))
    }
}

impl Addressed {
    pub(super) fn new(ranges: &[StoredRange]) -> Self {
        let addressed = Self::default();
        addressed.publish(ranges);
        addressed
    }

    pub(super) fn publish(&self, ranges: &[StoredRange]) {
        *self.ranges.write() = ranges.to_vec();
        self.any.store(!ranges.is_empty(), Ordering::Release);
    }

    /// Whether there may be any such entries.
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// The first part of `within` where such entries may stand.
    #[inline]
    pub(super) fn first_in(&self, partition: u32, within: Range<u64>) -> Option<Range<u64>> {
        if self.is_any() { self.find(partition, within) } else { None }
    }

    #[cold]
    fn find(&self, partition: u32, within: Range<u64>) -> Option<Range<u64>> {
        let ranges = self.ranges.read();
        let from = ranges
            .partition_point(|range| (range.partition, range.end) <= (partition, within.start));
        let found = ranges.get(from).filter(|range| range.partition == partition)?;
        let part = found.first.max(within.start)..found.end.min(within.end);
        (!part.is_empty()).then_some(part)
    }
}

impl Desk {
    /// Which of the entries of `within`, that are visible, are for the group; `None` if all are.
    pub(super) fn choice(&self, partition: u32, within: Range<u64>) -> Option<Choice<'_>> {
        let filter = self.filter.as_ref();
        let sorts = filter.is_some() || self.ground.addressed.first_in(partition, within).is_some();
        sorts.then_some(Choice { filter, group: Some(self.incarnation) })
    }
}

impl Mill {
    /// Appends an entry that is for one group alone.
    pub(super) fn append_addressed(&self, entry: &NewEntry<'_>) -> Result<EntryId> {
        let _told = observe::afterwards();
        self.ground.check_write()?;
        entry.check(self.entry_bytes_max)?;
        let partition = self.choose(entry.key, self.ground.partitions());
        let log = self.ground.log(partition)?;
        let _calls = self.hooks_afterwards();
        let placed = loop {
            self.check_room(partition)?;
            let before = self.make_range(partition)?;
            let append = || {
                with_draft(|draft| {
                    draft.push(&entry.fields(0));
                    draft.finish();
                    let placed = log.append_below(draft, self.ground.time.wall_micros(), before)?;
                    if placed.is_some() {
                        self.ground.note_appended(1, draft.encoded_bytes());
                    }
                    Ok(placed)
                })
            };
            let appended = match append() {
                Err(error) if self.gave_back(&error) => append(),
                other => other,
            };
            // Others may have appended so much that the range is behind it all.
            if let Some(placed) = appended? {
                break placed;
            }
        };
        self.ground.note_write();
        self.settle(partition, placed)?;
        Ok(EntryId::new(partition, placed.first))
    }

    /// Makes sure that the next entry of a partition stands in a range. Says where that ends.
    fn make_range(&self, partition: u32) -> Result<u64> {
        let mut manifest = self.manifest.lock();
        self.ground.check_write()?;
        let end = self.ground.log(partition)?.end();
        if let Some(range) = self.ground.addressed.first_in(partition, end..u64::MAX)
            && range.start == end
        {
            return Ok(range.end);
        }
        let mut changed = manifest.clone();
        let first = end;
        let range = StoredRange { partition, first, end: first.saturating_add(RANGE_ENTRIES) };
        changed.addressed.push(range);
        tidy(&mut changed, &self.ground);
        changed.save(&*self.ground.storage, &self.ground.latch)?;
        self.ground.addressed.publish(&changed.addressed);
        *manifest = changed;
        Ok(range.end)
    }
}

/// Brings the ranges into order, joins near ones, and forgets those whose entries are trimmed.
fn tidy(manifest: &mut Manifest, ground: &Ground) {
    let start = |partition: u32| ground.logs.get(partition as usize).map_or(0, log::Log::start);
    let mut ranges = std::mem::take(&mut manifest.addressed);
    ranges.retain(|range| range.end > start(range.partition));
    ranges.sort_unstable_by_key(|range| (range.partition, range.first));
    for range in ranges {
        match manifest.addressed.last_mut() {
            Some(last) if last.gap(&range).is_some_and(|gap| gap < RANGE_ENTRIES) => {
                last.end = last.end.max(range.end);
            }
            _ => manifest.addressed.push(range),
        }
    }
    let partitions: Vec<u32> = manifest.addressed.iter().map(|range| range.partition).collect();
    for own in partitions.chunk_by(|one, other| one == other) {
        for _ in RANGES_MAX..own.len() {
            join_nearest(&mut manifest.addressed, own[0]);
        }
    }
}

/// Joins the two ranges of a partition that are the nearest to each other.
fn join_nearest(ranges: &mut Vec<StoredRange>, partition: u32) {
    let own = |index: &usize| ranges[*index].partition == partition;
    let gap = |index: &usize| ranges[*index - 1].gap(&ranges[*index]).unwrap_or(u64::MAX);
    if let Some(index) = (1..ranges.len()).filter(own).min_by_key(gap) {
        ranges[index - 1].end = ranges[index].end;
        ranges.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(partition: u32, first: u64, end: u64) -> StoredRange {
        StoredRange { partition, first, end }
    }

    #[test]
    fn the_first_part_is_found_and_clipped() {
        let addressed = Addressed::new(&[range(1, 5, 10), range(1, 20, 30), range(3, 0, 4)]);
        let found = |partition, within| addressed.first_in(partition, within);
        assert_eq!(found(0, 0..100), None);
        assert_eq!([found(1, 0..100), found(1, 7..8)], [Some(5..10), Some(7..8)]);
        assert_eq!([found(1, 0..5), found(1, 10..20), found(1, 30..99)], [None, None, None]);
        assert_eq!([found(1, 10..25), found(3, 3..9)], [Some(20..25), Some(3..4)]);
        assert_eq!([found(2, 0..9), found(3, 4..9), found(4, 0..9)], [None, None, None]);
        assert_eq!(Addressed::default().first_in(0, 0..u64::MAX), None);
    }

    #[test]
    fn the_addressee_takes_it_whatever_its_filter_says_and_no_other_group_does() {
        let fields = |subject, addressee| {
            let mut draft = log::Draft::default();
            draft.push(&log::Fields { subject, addressee, ..log::Fields::default() });
            draft.finish();
            // Behind the lengths, as there is no payload.
            draft.pieces().next().expect("one was pushed").body[8..].to_vec()
        };
        let filter = Filter::parse(["a.*"]).unwrap();
        let takes = |filter, group| {
            let choice = Choice { filter, group };
            [(None, None), (Some("a.b"), None), (Some("a.b"), Some(7)), (Some("x"), Some(8))]
                .map(|(subject, addressee)| choice.takes(&fields(subject, addressee)))
        };
        assert_eq!(takes(None, None), [true, true, true, true]);
        assert_eq!(takes(None, Some(7)), [true, true, true, false]);
        assert_eq!(takes(Some(&filter), None), [false, true, true, false]);
        assert_eq!(takes(Some(&filter), Some(7)), [false, true, true, false]);
        assert_eq!(takes(Some(&filter), Some(8)), [false, true, false, true]);
    }

    #[test]
    fn the_nearest_ranges_become_one() {
        let mut ranges = vec![range(0, 0, 9), range(1, 9, 10), range(1, 30, 40), range(1, 50, 60)];
        join_nearest(&mut ranges, 1);
        assert_eq!(ranges, [range(0, 0, 9), range(1, 9, 10), range(1, 30, 60)]);
        join_nearest(&mut ranges, 1);
        assert_eq!(ranges, [range(0, 0, 9), range(1, 9, 60)]);
    }
}
