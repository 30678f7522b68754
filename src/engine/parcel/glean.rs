//! Taking in some of the entries of a run, and leaving out the others.

use std::ops::Range;

use super::super::addressed::Choice;
use super::{Parcel, Piece, Placed};
use crate::log::{self, BadFrame, Slot};

/// What is wanted of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sieve<'a> {
    pub(crate) choice: Choice<'a>,
    /// So many entries at most.
    pub(crate) entries: u32,
    /// No more once there are so many bytes.
    pub(crate) bytes: u64,
    pub(crate) attempt: u16,
}

/// What a run brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gleaned {
    /// The offset up to which all entries were looked at, and taken if they match.
    pub(crate) end: u64,
    pub(crate) taken: u32,
    pub(crate) bytes: u64,
    /// Where the run could not be believed any further.
    pub(crate) bad: Option<BadFrame>,
}

/// What becomes of an entry that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Take,
    /// It stays out, and the next one is looked at.
    Leave,
    /// It ends the look.
    Stop,
}

impl Parcel {
    /// Checks a run and takes in copies of those of its entries that match, as long as there is
    /// room; `judge` has the last word, and is told their offsets and when they are due.
    pub(crate) fn glean(
        &mut self,
        partition: u32,
        run: &log::Run,
        sieve: Sieve<'_>,
        mut judge: impl FnMut(u64, Option<u64>) -> Verdict,
    ) -> Gleaned {
        let piece = self.gleaned_piece(partition);
        let number = u32::try_from(piece).expect("a read has a bounded number of runs");
        let (into, slots) = (&mut self.runs[piece].run.bytes, &mut self.slots);
        let (before, mut taken, mut full) = (into.len(), 0, None);
        let opened = run.open(|slot| {
            let bytes = |range: &Range<u32>| &run.bytes[range.start as usize..range.end as usize];
            let (payload, fields) = (bytes(&slot.payload), bytes(&slot.fields));
            if full.is_some() || !sieve.choice.takes(fields) {
                return;
            }
            if taken == sieve.entries || (into.len() - before) as u64 >= sieve.bytes {
                full = Some(slot.offset);
                return;
            }
            match judge(slot.offset, log::due(fields)) {
                Verdict::Take => {}
                Verdict::Leave => return,
                Verdict::Stop => {
                    full = Some(slot.offset);
                    return;
                }
            }
            let at = |length: usize| u32::try_from(length).expect("a read's bytes are bounded");
            let start = at(into.len());
            into.extend_from_slice(payload);
            let middle = at(into.len());
            into.extend_from_slice(fields);
            let end = at(into.len());
            let slot = Slot { payload: start..middle, fields: middle..end, ..slot };
            slots.push(Placed { piece: number, attempt: sieve.attempt, slot });
            taken += 1;
        });
        let bad = opened.err();
        let run_end = bad.map_or(run.first + u64::from(run.count), |bad| bad.offset);
        let bytes = (into.len() - before) as u64;
        Gleaned { end: full.unwrap_or(run_end), taken, bytes, bad }
    }

    /// The piece that takes in what is gleaned from a partition.
    fn gleaned_piece(&mut self, partition: u32) -> usize {
        let last = self.runs.last();
        if !last.is_some_and(|piece| piece.gleaned && piece.partition == partition) {
            let mut run = self.buffer();
            run.bytes.clear();
            self.runs.push(Piece { partition, run, gleaned: true });
        }
        self.runs.len() - 1
    }

    /// Keeps those of the entries of the last run, which begin with `first`, that `judge` takes: it is
    /// told of each by its offset and when it is due. Says where it stopped, if it did.
    pub(crate) fn sift(
        &mut self,
        first: usize,
        mut judge: impl FnMut(u64, Option<u64>) -> Verdict,
    ) -> Option<u64> {
        let (mut kept, mut stopped) = (first, None);
        for index in first..self.slots.len() {
            let offset = self.slots[index].slot.offset;
            match judge(offset, self.due(index)) {
                Verdict::Take => {
                    self.slots.swap(kept, index);
                    kept += 1;
                }
                Verdict::Leave => {}
                Verdict::Stop => {
                    stopped = Some(offset);
                    break;
                }
            }
        }
        if kept > first {
            let out = self
                .slots
                .drain(kept..)
                .map(|placed| u64::from(placed.slot.fields.end - placed.slot.payload.start));
            self.left_out += out.sum::<u64>();
        } else if self.slots.len() > first {
            // They were all that lies in the last buffer.
            self.slots.truncate(first);
            let piece = self.runs.pop().expect("what was taken last lies in it");
            self.pool.give(piece.run);
        }
        stopped
    }
}
