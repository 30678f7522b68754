//! When entries were handed out, for the dead letters to tell: by lease, in a table of bounded
//! length; and by entry, for those that failed at least once.
//!
//! Invariants
//! 1. `points` are in order of their lease numbers, and no more than [`POINTS_MAX`].
//! 2. `firsts` has pending entries only, each of which failed at least once.
//!
//! Only groups that dead-letter tell their hand-outs the time; in all others both stay empty. A
//! point for each lease would grow with the leases that are out, so one is left out if the time is
//! nearly that of the one before, and what "nearly" is doubles whenever the table is full. A
//! lease's time is rounded down by less than twice that.

use std::collections::BTreeMap;

use super::event::Run;
use super::replay::{Inconsistent, ensure};
use super::wire::{Reader, put};
use crate::id::EntryId;

/// The most points.
const POINTS_MAX: usize = 1_024;
/// The coarsest grain: a day.
const GRAIN_MAX: u64 = 24 * 3_600 * 1_000_000;

/// The times.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// From which lease on which wall time; 0 where it was not told.
    points: Vec<(u64, u64)>,
    /// Times that are less than this apart, in microseconds, share a point.
    grain: u64,
    /// The wall time of the first hand-out.
    pub(super) firsts: BTreeMap<EntryId, u64>,
}

impl Given {
    /// Notes when a lease was given.
    pub(super) fn note(&mut self, lease: u64, wall: u64) {
        let known = self.points.last().map_or(wall == 0, |(last, before)| {
            let near = *before > 0 && wall >= *before && wall - before < self.grain;
            *last >= lease || wall == *before || (near && wall > 0)
        });
        if known {
            return;
        }
        self.points.push((lease, wall));
        while self.points.len() > POINTS_MAX {
            self.thin();
        }
    }

    /// Makes the grain twice as coarse, and the table as short as that allows.
    fn thin(&mut self) {
        self.grain = self.grain.saturating_mul(2).clamp(1, GRAIN_MAX);
        let (mut n, mut before) = (0, 0);
        let (grain, jumps) = (self.grain, self.grain == GRAIN_MAX);
        self.points.retain(|(_, wall)| {
            n += 1;
            let near = before > 0 && *wall >= before && *wall - before < grain;
            // A clock that keeps jumping, or times that are told by turns: every other one goes.
            let kept = !near && (!jumps || n % 2 == 1);
            before = if kept { *wall } else { before };
            kept
        });
    }

    /// When a lease was given, if that is known.
    pub(super) fn at(&self, lease: u64) -> Option<u64> {
        let after = self.points.partition_point(|(first, _)| *first <= lease);
        let (_, wall) = self.points.get(after.checked_sub(1)?)?;
        (*wall > 0).then_some(*wall)
    }

    /// Notes that the first attempt of entries failed, which was made under this lease.
    pub(super) fn fail(&mut self, partition: u32, offsets: std::ops::Range<u64>, lease: u64) {
        if let Some(wall) = self.at(lease) {
            let ids = offsets.map(|at| (EntryId::new(partition, at), wall));
            self.firsts.extend(ids);
        }
    }

    /// When an entry that is in its attempt number `attempts` was first handed out.
    pub(super) fn first(&self, id: EntryId, attempts: u16, lease: u64) -> Option<u64> {
        let first = self.firsts.get(&id).copied();
        if attempts <= 1 { first.or_else(|| self.at(lease)) } else { first }
    }

    /// Forgets entries.
    pub(super) fn forget(&mut self, partition: u32, first: u64, end: u64) {
        remove_range(&mut self.firsts, partition, first, end);
    }

    /// Forgets the leases: those to come are of another opening.
    pub(super) fn restart(&mut self) {
        self.points.clear();
        self.grain = 0;
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.grain);
        put(out, self.points.len() as u64);
        for (lease, wall) in &self.points {
            put(out, *lease);
            put(out, *wall);
        }
        put(out, self.firsts.len() as u64);
        for (id, wall) in &self.firsts {
            put(out, id.partition());
            put(out, id.offset());
            put(out, *wall);
        }
    }

    /// Reads it back. `kept` says whether an entry is still there, and fails if it cannot be here.
    pub(super) fn decode(
        reader: &mut Reader<'_>,
        next_lease: u64,
        mut kept: impl FnMut(EntryId) -> Result<bool, Inconsistent>,
    ) -> Result<Self, Inconsistent> {
        let mut given = Self { grain: reader.number()?, ..Self::default() };
        let count = reader.count(2)?;
        ensure(count <= POINTS_MAX, "too many times of leases")?;
        for _ in 0..count {
            let (lease, wall) = (reader.number()?, reader.number()?);
            let follows = given.points.last().is_none_or(|(last, _)| *last < lease);
            ensure(follows && lease < next_lease, "times of leases out of order")?;
            given.points.push((lease, wall));
        }
        let mut last = None;
        for _ in 0..reader.count(3)? {
            let id = EntryId::new(reader.small()?, reader.number()?);
            let wall = reader.number()?;
            ensure(last < Some(id), "failed entries out of order")?;
            last = Some(id);
            if kept(id)? {
                given.firsts.insert(id, wall);
            }
        }
        Ok(given)
    }
}

/// Removes what stands between two offsets of a partition.
pub(super) fn remove_range<T>(
    map: &mut BTreeMap<EntryId, T>,
    partition: u32,
    first: u64,
    end: u64,
) -> usize {
    if map.is_empty() || first >= end {
        return 0;
    }
    let ids = EntryId::new(partition, first)..EntryId::new(partition, end);
    let ids: Vec<EntryId> = map.range(ids).map(|(id, _)| *id).collect();
    for id in &ids {
        map.remove(id);
    }
    ids.len()
}

/// The entries of a run, with the same thing for each.
pub(super) fn each<T: Clone>(run: Run, what: &T) -> impl Iterator<Item = (EntryId, T)> {
    run.ids().map(move |id| (id, what.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rounded_down_and_the_table_stays_short() {
        let mut given = Given::default();
        for lease in 1..100_000_u64 {
            given.note(lease, 1_000_000 + lease * 10);
        }
        assert!(given.points.len() <= POINTS_MAX);
        for lease in 1..100_000_u64 {
            let (told, real) = (given.at(lease).unwrap(), 1_000_000 + lease * 10);
            assert!(told <= real && real - told < 2 * given.grain, "{lease}: {told} for {real}");
        }
        assert_eq!(given.at(0), None);
    }

    #[test]
    fn a_clock_that_jumps_does_not_make_the_table_long() {
        let mut given = Given::default();
        for lease in 1..10_000_u64 {
            given.note(lease, if lease % 3 == 0 { 0 } else { 1 + (lease % 2) * (1 << 50) });
        }
        assert!(given.points.len() <= POINTS_MAX);
    }

    #[test]
    fn times_that_were_not_told_are_not_known() {
        let mut given = Given::default();
        given.note(3, 0);
        assert_eq!(given.at(3), None);
        given.note(5, 70);
        given.note(5, 90);
        given.note(9, 0);
        given.note(12, 60);
        let found: Vec<_> = [4, 5, 8, 9, 11, 12].into_iter().map(|n| given.at(n)).collect();
        assert_eq!(found, [None, Some(70), Some(70), None, None, Some(60)]);
    }
}
