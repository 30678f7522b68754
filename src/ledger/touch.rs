//! When each pending entry was last handed out, or its lease extended: what its idle time counts
//! from.
//!
//! A hold has no room for it, and each entry is to cost a few bytes only. But lease numbers grow
//! with time, so a short table tells when a number was given; and of the few entries that were
//! extended it is written down one by one. None of it is stored: opening ends all leases, and idle
//! time counts from the opening then.
//!
//! Invariants
//! 1. Points grow strictly in lease number and in time. A lease up to a point's number, and above
//!    that of the point before, was given by the point's time: what is told may be too late, never
//!    too early, so idle time is never told too long.
//! 2. There are at most [`POINTS_MAX`], one for each step of time. When there would be more, steps
//!    become twice as long, or longer: what is told is too late by at most a 32,768th of the time
//!    since the group was opened, or last had nothing pending.
//! 3. `extended` has pending entries only, under the lease that they still have.
//! 4. Nothing is touched before `latest` any more.

use std::collections::BTreeMap;

use super::hold::BEFORE;
use crate::clock::Moment;
use crate::id::EntryId;

/// The most points of the table: a megabyte.
const POINTS_MAX: usize = 65_536;

/// A table that is emptied keeps room for this many.
const POINTS_KEPT: usize = 1_024;

/// Leases up to `lease`, given by `at`.
#[derive(Clone, Copy, Debug)]
struct Point {
    lease: u64,
    at: Moment,
}

/// When entries were touched.
#[derive(Debug, Default)]
pub(super) struct Touches {
    points: Vec<Point>,
    /// A step has two to the power of that many microseconds.
    shift: u32,
    extended: BTreeMap<EntryId, Moment>,
    opened: Moment,
    latest: Moment,
}

impl Touches {
    /// All leases are of an earlier opening.
    pub(super) fn reopen(&mut self, at: Moment) {
        let latest = self.latest.max(at);
        *self = Self { opened: latest, latest, ..Self::default() };
    }

    /// A lease was given, counted as in holds.
    pub(super) fn note(&mut self, lease: u64, at: Moment) {
        self.latest = self.latest.max(at);
        let at = self.latest;
        if let Some(last) = self.points.last_mut()
            && (last.at.0 >> self.shift == at.0 >> self.shift || last.lease >= lease)
        {
            *last = Point { lease: last.lease.max(lease), at };
            return;
        }
        if self.points.len() == POINTS_MAX {
            self.thin_out();
        }
        self.points.push(Point { lease, at });
    }

    /// Makes steps longer, and keeps the last point of each.
    fn thin_out(&mut self) {
        while self.points.len() > POINTS_MAX / 2 {
            self.shift += 1;
            let shift = self.shift;
            self.points.dedup_by(|next, kept| {
                let same = next.at.0 >> shift == kept.at.0 >> shift;
                if same {
                    *kept = *next;
                }
                same
            });
        }
    }

    /// Forgets when leases were given that no entry has any more: all of them.
    pub(super) fn settle(&mut self) {
        if let Some(last) = self.points.pop() {
            self.points.clear();
            self.points.shrink_to(POINTS_KEPT);
            self.points.push(last);
            self.shift = 0;
        }
    }

    /// Leases were extended.
    pub(super) fn extend(&mut self, ids: impl Iterator<Item = EntryId>, at: Moment) {
        self.latest = self.latest.max(at);
        self.extended.extend(ids.map(|id| (id, self.latest)));
    }

    /// Entries have another lease, or none.
    pub(super) fn forget(&mut self, first: EntryId, count: u64) {
        if self.extended.is_empty() {
            return;
        }
        let end = EntryId::new(first.partition(), first.offset() + count);
        let gone: Vec<EntryId> = self.extended.range(first..end).map(|(id, _)| *id).collect();
        for id in gone {
            self.extended.remove(&id);
        }
    }

    /// When an entry with this lease was touched last.
    pub(super) fn of(&self, id: EntryId, lease: u64) -> Moment {
        if !self.extended.is_empty()
            && let Some(at) = self.extended.get(&id)
        {
            return *at;
        }
        if lease == BEFORE {
            return self.opened;
        }
        let place = self.points.partition_point(|point| point.lease < lease);
        self.points.get(place).map_or(self.latest, |point| point.at)
    }

    /// Whether entries of one lease may have been touched at different times.
    pub(super) fn differ(&self) -> bool {
        !self.extended.is_empty()
    }

    /// Nothing is touched before it any more.
    pub(super) fn latest(&self) -> Moment {
        self.latest
    }

    /// Time has gone on.
    pub(super) fn advance(&mut self, now: Moment) {
        self.latest = self.latest.max(now);
    }

    /// The entries that were extended.
    #[cfg(test)]
    pub(super) fn extended(&self) -> impl Iterator<Item = EntryId> {
        self.extended.keys().copied()
    }

    /// Bytes of memory in use.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<Point>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EntryId = EntryId::new(0, 7);

    #[test]
    fn a_lease_is_told_by_when_it_was_given_and_an_old_one_never_as_older() {
        let mut touches = Touches::default();
        touches.reopen(Moment(3));
        let rounds = POINTS_MAX as u64 * 4 + 9;
        for lease in 1..=rounds {
            touches.note(lease, Moment(lease * 10));
        }
        assert!(touches.points.len() <= POINTS_MAX);
        assert!(touches.bytes() <= 1 << 20);
        for lease in 1..=rounds {
            let told = touches.of(ID, lease).0;
            assert!(told >= lease * 10, "{lease} is told as older than it is");
            assert!(told < lease * 10 + 160, "{lease} is told too coarsely: {told}");
        }
        assert_eq!(touches.of(ID, rounds), Moment(rounds * 10));
        assert_eq!(touches.of(ID, BEFORE), Moment(3));
    }

    #[test]
    fn leases_of_one_time_share_a_point_and_time_never_goes_back() {
        let mut touches = Touches::default();
        for (lease, at) in [(1, 5), (2, 5), (3, 4), (4, 9), (4, 12)] {
            touches.note(lease, Moment(at));
        }
        assert_eq!(touches.points.len(), 2);
        let told: Vec<u64> = (1..=5).map(|lease| touches.of(ID, lease).0).collect();
        assert_eq!(told, [5, 5, 5, 12, 12]);
        touches.settle();
        assert_eq!((touches.points.len(), touches.of(ID, 1)), (1, Moment(12)));
    }

    #[test]
    fn an_extended_entry_is_told_by_that_until_it_leaves() {
        let mut touches = Touches::default();
        touches.note(1, Moment(5));
        touches.extend([ID].into_iter(), Moment(8));
        assert_eq!(touches.of(ID, 1), Moment(8));
        assert_eq!(touches.of(EntryId::new(0, 8), 1), Moment(5));
        touches.forget(EntryId::new(0, 8), 9);
        assert!(touches.differ());
        touches.forget(EntryId::new(0, 0), 8);
        assert_eq!(touches.of(ID, 1), Moment(5));
    }
}
