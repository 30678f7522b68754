//! A read in the making: what it took so far, and how much more it may.

use super::desk::Desk;
use super::parcel::Parcel;
use super::sift::Scan;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::ledger::Run;
use crate::limits::BATCH_BYTES_MAX;
use crate::log::{Bounds, Cursor, Log, Outcome};

/// A read in the making.
pub(super) struct Basket {
    pub(super) parcel: Parcel,
    pub(super) entries_left: u32,
    pub(super) bytes_left: u64,
    /// How much of what may not match is looked at.
    pub(super) scan: Scan,
}

impl Desk {
    /// An empty basket with room for `max` entries.
    pub(super) fn basket(&self, max: u32) -> Basket {
        let parcel = Parcel::new(&self.ground.pool);
        Basket { parcel, entries_left: max, bytes_left: BATCH_BYTES_MAX, scan: Scan::WHOLE }
    }
}

/// Notes new entries that are handed out, if there are any.
pub(super) fn take_new(runs: &mut Vec<Run>, partition: u32, offsets: std::ops::Range<u64>) {
    if offsets.start < offsets.end {
        let count = u32::try_from(offsets.end - offsets.start);
        let count = count.expect("bounded by the read's maximum");
        runs.push(Run::new(partition, offsets.start, count));
    }
}

/// Where a take may take from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) partition: u32,
    pub(super) before: u64,
}

impl Basket {
    pub(super) fn has_room(&self) -> bool {
        self.entries_left > 0 && self.bytes_left > 0 && !self.scan.is_over()
    }

    /// Copies and checks the next run. Says how many entries it brought, at least one.
    pub(super) fn take(
        &mut self,
        log: &Log,
        cursor: &mut Cursor,
        place: Place,
        attempts: impl Iterator<Item = u16>,
    ) -> Result<u32> {
        let bounds =
            Bounds { entries: self.entries_left, bytes: self.bytes_left, before: place.before };
        let mut run = self.parcel.buffer();
        let first = cursor.offset;
        if let Outcome::Trimmed { start } = log.read(cursor, bounds, &mut run)? {
            // What a trim takes is settled in each group before that, unless its policy is to say
            // so here.
            let next = EntryId::new(place.partition, first);
            return Err(Error::PositionTrimmed { next, start });
        }
        let (sequence, position, bytes) = (run.sequence, run.position, run.bytes.len() as u64);
        let (got, opened) = self.parcel.unpack(place.partition, run, attempts);
        if let Err(bad) = opened {
            // What stands before the bad frame is good; the next read meets it first.
            cursor.seek(first + u64::from(got));
            if got == 0 {
                return Err(log.rot(sequence, bad.position, bad.offset));
            }
        } else if got == 0 {
            return Err(log.rot(sequence, position, first));
        }
        self.entries_left -= got;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        Ok(got)
    }
}
