//! How many bytes are in flight, for groups that bound them.
//!
//! Sizes are kept for each read, not for each entry: of the entries that one read was given, each
//! counts with their mean. So the sum is exact when a read's entries are all out or all back, and
//! between that as near as they are alike. What a late extend brought back counts for nothing.
//!
//! Invariants
//! 1. `total` is the sum of the bytes of all reads.
//! 2. A read is here only as long as some of its entries are leased, and with no more than those.

use std::collections::BTreeMap;

/// What is left of one read.
#[derive(Clone, Copy, Debug)]
struct Read {
    bytes: u64,
    entries: u64,
}

/// The bytes in flight, by the lease's number in holds.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    reads: BTreeMap<u64, Read>,
    pub(super) total: u64,
}

impl Sizes {
    /// A read was given entries, perhaps one part after the other.
    pub(super) fn add(&mut self, lease: u64, bytes: u64, entries: u64) {
        if entries > 0 {
            let read = self.reads.entry(lease).or_insert(Read { bytes: 0, entries: 0 });
            read.entries += entries;
            let before = read.bytes;
            read.bytes = before.saturating_add(bytes);
            self.total = self.total.saturating_add(read.bytes - before);
        }
    }

    /// Entries of a read are no longer leased.
    pub(super) fn remove(&mut self, lease: u64, entries: u64) {
        let Some(read) = self.reads.get_mut(&lease) else { return };
        let share = u128::from(read.bytes) * u128::from(entries.min(read.entries));
        let bytes = u64::try_from(share / u128::from(read.entries)).unwrap_or(read.bytes);
        read.bytes -= bytes;
        read.entries -= entries.min(read.entries);
        self.total -= bytes;
        if read.entries == 0 {
            self.total -= read.bytes;
            self.reads.remove(&lease);
        }
    }

    /// Panics if an invariant is broken; `leased` says how many entries of each lease are out.
    #[cfg(test)]
    pub(super) fn validate(&self, leased: &BTreeMap<u64, u64>) {
        assert_eq!(self.total, self.reads.values().map(|read| read.bytes).sum::<u64>());
        for (lease, read) in &self.reads {
            let out = leased.get(lease).copied().unwrap_or(0);
            assert!((1..=out).contains(&read.entries), "{out} of lease {lease} are out: {read:?}");
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_adds_up_and_comes_to_nothing() {
        let mut sizes = Sizes::default();
        sizes.add(1, 100, 3);
        sizes.add(2, 7, 7);
        sizes.remove(1, 1);
        assert_eq!(sizes.total, 74);
        sizes.remove(2, 7);
        sizes.remove(2, 1);
        sizes.remove(1, 2);
        assert_eq!((sizes.total, sizes.reads.len()), (0, 0));
    }
}
