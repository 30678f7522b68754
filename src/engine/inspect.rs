//! What who looks on finds out for itself, because the owner of the stream keeps it in memory only: how
//! many bytes are in flight, and which new entries hold up those behind them.

use std::collections::BTreeMap;

use super::desk::{Desk, State};
use super::parcel::Parcel;
use crate::id::EntryId;
use crate::ledger::{Now, Run};
use crate::limits::BATCH_BYTES_MAX;
use crate::log::{Bounds, Cursor, Outcome};

impl Desk {
    /// Adds what was handed out to the bytes in flight, if the group bounds those.
    pub(super) fn weigh(&self, state: &mut State, lease: u64, run: Run) {
        if state.ledger.policy().max_in_flight_bytes < u64::MAX {
            let bytes = self.bytes_of(run);
            state.ledger.note_bytes(lease, bytes, u64::from(run.count));
        }
    }

    /// The same for all that is in somebody's hands.
    pub(super) fn weigh_all(&self, state: &mut State) {
        if state.ledger.policy().max_in_flight_bytes == u64::MAX {
            return;
        }
        let mut reads: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for (lease, run) in state.ledger.held() {
            let (bytes, entries) = reads.entry(lease).or_default();
            *bytes += self.bytes_of(run);
            *entries += u64::from(run.count);
        }
        for (lease, (bytes, entries)) in reads {
            state.ledger.note_bytes(lease, bytes, entries);
        }
    }

    /// How long the entries of a run are with what is stored around them, as far as they can be read.
    fn bytes_of(&self, run: Run) -> u64 {
        let mut parcel = Parcel::new(&self.ground.pool);
        let mut cursor = Cursor::at(run.first);
        while cursor.offset < run.end()
            && self.fetch(run.partition, &mut cursor, run.end(), &mut parcel)
        {}
        parcel.bytes()
    }

    /// Reads on before `end`. Says whether that brought anything.
    fn fetch(&self, partition: u32, cursor: &mut Cursor, end: u64, parcel: &mut Parcel) -> bool {
        let Some(log) = self.ground.logs.get(partition as usize) else { return false };
        let entries = u32::try_from(end - cursor.offset).unwrap_or(u32::MAX);
        let mut run = parcel.buffer();
        let bounds = Bounds { entries, bytes: BATCH_BYTES_MAX, before: end };
        if !matches!(log.read(cursor, bounds, &mut run), Ok(Outcome::Copied)) {
            return false;
        }
        let (got, opened) = parcel.unpack(partition, run, std::iter::empty());
        got > 0 && opened.is_ok()
    }

    /// Looks whether a read would come to entries that are not due and that it cannot go past, because
    /// too many wait already.
    pub(super) fn look_ahead(&self, state: &mut State, now: Now) {
        if state.ledger.room_to_defer() > 0 {
            return;
        }
        for (partition, log) in (0..).zip(self.ground.logs.iter()) {
            let Some(next) = state.ledger.cursor(partition).filter(|next| *next < log.visible())
            else {
                continue;
            };
            let mut parcel = Parcel::new(&self.ground.pool);
            let found = self.fetch(partition, &mut Cursor::at(next), next + 1, &mut parcel);
            let due = if found && parcel.len() > 0 { parcel.due(0) } else { None };
            if let Some(due) = due.filter(|due| *due > now.wall) {
                state.hold_up(now, EntryId::new(partition, next), due);
            }
        }
    }
}
