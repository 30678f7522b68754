//! What entries of one hand-out share: lease number, deadline or due time, and member.
//!
//! Handing out a thousand entries in one read costs one hold; so does handing out one. A hold is
//! 16 bytes and never changes: entries whose time changes move to another hold with the same lease
//! number, which is what tokens are checked against.
//!
//! Invariants
//! 1. `refs` is the number of entries that point to the hold; at 0 it is on the free list.
//! 2. `live` is the number of holds with `refs > 0`.
//! 3. Index 0 is no hold.
//!
//! Pages instead of one vector, because a vector that doubles would cost up to three times the
//! holds while it moves. They are given back when the last hold goes.

use crate::clock::Moment;

/// No hold: the entry is fresh or settled.
pub(super) const NONE: u32 = 0;

/// The lease number, relative to this opening, of all leases before it.
pub(super) const BEFORE: u64 = 0;

/// How many leases one opening can give: 2^48, nine years of a million reads a second.
pub(super) const LEASES_MAX: u64 = (1 << 48) - 1;

const PAGE: u32 = 1024;
const REFS_BITS: u32 = 16;
const REFS_MAX: u64 = (1 << REFS_BITS) - 1;
const SLOT_BITS: u32 = 16;

/// What the entries share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    /// Counted from 1 in this opening; [`BEFORE`] for all earlier ones.
    pub(super) lease: u64,
    /// The deadline of a leased entry, the due time of a waiting one.
    pub(super) time: Moment,
    /// The member; for a withdrawn entry, why its token is void.
    pub(super) slot: u16,
}

/// A hold in 16 bytes, with its count of entries. A free one has no refs, and the index of the next
/// free one in `time_slot`.
#[derive(Clone, Copy, Default)]
struct Packed {
    lease_refs: u64,
    time_slot: u64,
}

const _: () = assert!(size_of::<Packed>() == 16);

impl Packed {
    fn new(hold: Hold, refs: u64) -> Self {
        Self {
            lease_refs: hold.lease << REFS_BITS | refs,
            time_slot: hold.time.0 << SLOT_BITS | u64::from(hold.slot),
        }
    }

    fn refs(self) -> u64 {
        self.lease_refs & REFS_MAX
    }

    fn hold(self) -> Hold {
        Hold {
            lease: self.lease_refs >> REFS_BITS,
            time: Moment(self.time_slot >> SLOT_BITS),
            slot: (self.time_slot & 0xffff) as u16,
        }
    }
}

/// All holds of a group.
pub(super) struct Holds {
    pages: Vec<Box<[Packed]>>,
    /// One past the highest index ever used.
    end: u32,
    free: u32,
    live: u32,
    /// The hold made last: the runs of one read, and nacks of neighbours, share it.
    latest: u32,
}

impl Holds {
    pub(super) fn new() -> Self {
        Self { pages: Vec::new(), end: 1, free: NONE, live: 0, latest: NONE }
    }

    pub(super) fn get(&self, index: u32) -> Hold {
        self.packed(index).hold()
    }

    /// How many holds are in use.
    #[cfg(test)]
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    /// A hold with these contents for `refs` more entries, at most a chunk of them.
    pub(super) fn obtain(&mut self, hold: Hold, refs: u64) -> u32 {
        if self.latest != NONE {
            let latest = self.packed(self.latest);
            let room = latest.refs() > 0 && latest.refs() + refs <= REFS_MAX;
            if room && latest.hold() == hold {
                self.packed_mut(self.latest).lease_refs += refs;
                return self.latest;
            }
        }
        let index = self.vacant();
        *self.packed_mut(index) = Packed::new(hold, refs);
        self.live += 1;
        self.latest = index;
        index
    }

    /// `refs` entries less point to the hold.
    pub(super) fn release(&mut self, index: u32, refs: u64) {
        let free = self.free;
        let packed = self.packed_mut(index);
        debug_assert!(packed.refs() >= refs, "a hold is released once for each entry");
        packed.lease_refs -= refs;
        if packed.refs() > 0 {
            return;
        }
        *packed = Packed { lease_refs: 0, time_slot: u64::from(free) };
        self.free = index;
        self.live -= 1;
        if self.live == 0 && self.pages.len() > 1 {
            *self = Self::new();
        }
    }

    fn vacant(&mut self) -> u32 {
        if self.free != NONE {
            let index = self.free;
            let next = u32::try_from(self.packed(index).time_slot);
            self.free = next.expect("a free hold has an index there");
            return index;
        }
        let index = self.end;
        if index == 1 || index.is_multiple_of(PAGE) {
            self.pages.push(vec![Packed::default(); PAGE as usize].into_boxed_slice());
        }
        self.end += 1;
        index
    }

    fn packed(&self, index: u32) -> Packed {
        self.pages[(index / PAGE) as usize][(index % PAGE) as usize]
    }

    fn packed_mut(&mut self, index: u32) -> &mut Packed {
        &mut self.pages[(index / PAGE) as usize][(index % PAGE) as usize]
    }

    /// The entries that point to a hold.
    #[cfg(test)]
    pub(super) fn refs(&self, index: u32) -> u64 {
        self.packed(index).refs()
    }

    /// Bytes of memory in use.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.pages.len() * PAGE as usize * size_of::<Packed>()
    }
}

impl std::fmt::Debug for Holds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holds")
            .field("live", &self.live)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::times::NEVER;
    use super::*;

    #[test]
    fn a_hold_keeps_what_it_was_given_to_the_last_bit() {
        let mut holds = Holds::new();
        for hold in [
            Hold { lease: LEASES_MAX, time: NEVER, slot: u16::MAX },
            Hold { lease: 0, time: Moment(0), slot: 0 },
            Hold { lease: 1, time: NEVER, slot: 0 },
        ] {
            let index = holds.obtain(hold, 256);
            assert_eq!(holds.get(index), hold);
        }
    }

    #[test]
    fn equal_holds_in_a_row_are_one_until_its_count_is_full() {
        let mut holds = Holds::new();
        let hold = Hold { lease: 7, time: Moment(9), slot: 3 };
        let first = holds.obtain(hold, 256);
        for _ in 0..254 {
            assert_eq!(holds.obtain(hold, 256), first);
        }
        assert_ne!(holds.obtain(hold, 256), first);
        assert_eq!(holds.refs(first), 255 * 256);
    }

    #[test]
    fn a_freed_hold_is_used_again_and_the_last_one_gives_the_pages_back() {
        let mut holds = Holds::new();
        let hold = |lease| Hold { lease, time: Moment(0), slot: 0 };
        let all: Vec<u32> = (1..=3_000).map(|n| holds.obtain(hold(n), 1)).collect();
        holds.release(all[5], 1);
        assert_eq!(holds.obtain(hold(9_999), 1), all[5]);
        assert_eq!((holds.live(), holds.bytes()), (3_000, 3 * 16 * 1024));
        for index in all {
            holds.release(index, 1);
        }
        assert_eq!((holds.live(), holds.bytes()), (0, 0));
    }
}
