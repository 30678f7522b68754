//! What one read brings back: the copied bytes, and where each entry stands in them. Entries,
//! deliveries and views are all an index into one parcel, so a read of a hundred entries copies
//! bytes once and allocates nothing for each.

use std::sync::Arc;

use super::pool::Pool;
use crate::id::EntryId;
use crate::log::{self, Field, Slot};

/// Entries and the buffers they lie in.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    runs: Vec<Piece>,
    slots: Vec<Placed>,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Piece {
    partition: u32,
    run: log::Run,
}

/// One entry: which run it lies in, and where.
#[derive(Debug)]
struct Placed {
    piece: u32,
    attempt: u16,
    slot: Slot,
}

impl Parcel {
    /// An empty parcel whose buffers go back to `pool`.
    pub(crate) fn new(pool: &Arc<Pool>) -> Self {
        Self { runs: Vec::new(), slots: Vec::new(), pool: Arc::clone(pool) }
    }

    /// Takes in a run that was checked, and its entries. `attempts` gives one number for each.
    pub(crate) fn push(
        &mut self,
        partition: u32,
        run: log::Run,
        slots: &mut Vec<Slot>,
        mut attempts: impl Iterator<Item = u16>,
    ) {
        let piece = u32::try_from(self.runs.len()).expect("a read has a bounded number of runs");
        self.runs.push(Piece { partition, run });
        self.slots.extend(slots.drain(..).map(|slot| Placed {
            piece,
            attempt: attempts.next().unwrap_or(0),
            slot,
        }));
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Turns the order around, for a reader that goes backwards.
    pub(crate) fn reverse(&mut self) {
        self.slots.reverse();
    }

    pub(crate) fn id(&self, index: usize) -> EntryId {
        let placed = &self.slots[index];
        EntryId::new(self.runs[placed.piece as usize].partition, placed.slot.offset)
    }

    pub(crate) fn attempt(&self, index: usize) -> u16 {
        self.slots[index].attempt
    }

    /// Microseconds since 1970.
    pub(crate) fn time(&self, index: usize) -> u64 {
        self.slots[index].slot.time
    }

    pub(crate) fn payload(&self, index: usize) -> &[u8] {
        let placed = &self.slots[index];
        let range = placed.slot.payload.start as usize..placed.slot.payload.end as usize;
        &self.runs[placed.piece as usize].run.bytes[range]
    }

    /// The fields that are not payload, in the order they were given.
    pub(crate) fn fields(&self, index: usize) -> impl Iterator<Item = Field<'_>> {
        let placed = &self.slots[index];
        let range = placed.slot.fields.start as usize..placed.slot.fields.end as usize;
        log::fields(&self.runs[placed.piece as usize].run.bytes[range])
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        for piece in self.runs.drain(..) {
            self.pool.give(piece.run);
        }
    }
}
