//! What one read brings back: the copied bytes, and where each entry stands in them. Entries,
//! deliveries and views are all an index into one parcel, so a read of a hundred entries copies
//! bytes once and allocates nothing for each.

mod glean;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

pub(crate) use glean::{Gleaned, Sieve, Verdict};

use super::pool::Pool;
use super::post::Post;
use crate::entry::NewEntry;
use crate::id::{EntryId, Token};
use crate::ledger::{AckMode, Claim};
use crate::letter::DeadLetter;
use crate::log::{self, BadFrame, Field, Slot};

/// Entries and the buffers they lie in.
#[derive(Default)]
pub(crate) struct Parcel {
    runs: Vec<Piece>,
    slots: Vec<Placed>,
    pool: Arc<Pool>,
    loan: Option<Loan>,
    /// How many entries were looked at, from the first on.
    taken: AtomicUsize,
    /// Whether some entry says when it is due.
    timed: bool,
    /// How long the entries are that lie in the buffers and were left out.
    left_out: u64,
}

/// Under which lease a group's entries were handed out, and to whom.
#[derive(Debug)]
pub(crate) struct Loan {
    pub(crate) lease: u64,
    /// The lease of each entry, where they were not handed out together.
    pub(crate) each: Vec<u64>,
    pub(crate) incarnation: u64,
    pub(crate) post: Weak<Post>,
    /// What counts as an ack.
    pub(crate) mode: AckMode,
}

#[derive(Debug)]
struct Piece {
    partition: u32,
    run: log::Run,
    /// The run is not one that was copied, but what was gleaned from such.
    gleaned: bool,
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
        Self {
            runs: Vec::new(),
            slots: Vec::new(),
            pool: Arc::clone(pool),
            loan: None,
            taken: AtomicUsize::new(0),
            timed: false,
            left_out: 0,
        }
    }

    /// An empty buffer to copy a run into.
    pub(crate) fn buffer(&self) -> log::Run {
        self.pool.take()
    }

    /// Notes under which lease the entries were handed out.
    pub(crate) fn lend(&mut self, loan: Loan) {
        self.loan = Some(loan);
    }

    /// How many entries were looked at, from the first on.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Notes that the first `count` entries were looked at.
    #[inline]
    pub(crate) fn take(&self, count: usize) {
        // One batch, or one iterator over it, is all that writes this.
        if count > self.taken() {
            self.taken.store(count, Ordering::Relaxed);
        }
    }

    /// The consumer that the entries were handed to, if it is still a member.
    pub(crate) fn post(&self) -> Option<Arc<Post>> {
        self.loan.as_ref()?.post.upgrade()
    }

    /// What counts as an ack of the entries.
    pub(crate) fn mode(&self) -> AckMode {
        self.loan.as_ref().map_or(AckMode::Explicit, |loan| loan.mode)
    }

    /// The proof of an entry's lease.
    #[inline]
    pub(crate) fn token(&self, index: usize) -> Token {
        let loan = self.loan.as_ref().expect("only a delivery is asked for its token");
        let lease = loan.each.get(index).copied().unwrap_or(loan.lease);
        Token { incarnation: loan.incarnation, id: self.id(index), lease }
    }

    /// What the entries of `indexes` come to as claims, joined where they follow each other.
    pub(crate) fn claims(&self, indexes: impl Iterator<Item = usize>) -> Vec<Claim> {
        let mut claims: Vec<Claim> = Vec::new();
        for index in indexes {
            let token = self.token(index);
            match claims.last_mut() {
                Some(Claim { run, .. })
                    if run.partition == token.id.partition() && run.end() == token.id.offset() =>
                {
                    run.count += 1;
                }
                _ => claims.push(Claim::from(token)),
            }
        }
        claims
    }

    /// Checks a run and takes in its entries. `attempts` gives one number for each. Says how many
    /// entries there were, and from where on the run cannot be believed.
    pub(crate) fn unpack(
        &mut self,
        partition: u32,
        run: log::Run,
        mut attempts: impl Iterator<Item = u16>,
    ) -> (u32, Result<(), BadFrame>) {
        let piece = u32::try_from(self.runs.len()).expect("a read has a bounded number of runs");
        let before = self.slots.len();
        self.slots.reserve(run.entries_max());
        let Self { slots, timed, .. } = self;
        let opened = run.open(|slot| {
            *timed |= due(&run, &slot).is_some();
            slots.push(Placed { piece, attempt: attempts.next().unwrap_or(0), slot });
        });
        let count = u32::try_from(self.slots.len() - before).expect("bounded by the run's count");
        self.runs.push(Piece { partition, run, gleaned: false });
        (count, opened)
    }

    /// Gives a buffer back that nothing lies in.
    pub(crate) fn give_back(&self, run: log::Run) {
        self.pool.give(run);
    }

    /// Forgets the last `count` entries.
    pub(crate) fn forget_last(&mut self, count: usize) {
        self.slots.truncate(self.slots.len().saturating_sub(count));
    }

    /// Puts the entries of another parcel behind the ones here.
    pub(crate) fn append(&mut self, mut other: Self) {
        let behind = u32::try_from(self.runs.len()).expect("a read has a bounded number of runs");
        self.runs.append(&mut other.runs);
        self.timed |= other.timed;
        self.left_out += std::mem::take(&mut other.left_out);
        let slots = other.slots.drain(..);
        self.slots.extend(slots.map(|placed| Placed { piece: placed.piece + behind, ..placed }));
    }

    /// How long the buffers are together: the entries with what is stored around them, but for those
    /// that were left out.
    pub(crate) fn bytes(&self) -> u64 {
        let buffers = self.runs.iter().map(|piece| piece.run.bytes.len() as u64);
        buffers.sum::<u64>() - self.left_out
    }

    /// Whether some entry says when it is due.
    #[inline]
    pub(super) fn is_timed(&self) -> bool {
        self.timed
    }

    /// When an entry is to be handed out, if it says so: microseconds since 1970.
    pub(crate) fn due(&self, index: usize) -> Option<u64> {
        let placed = &self.slots[index];
        due(&self.runs[placed.piece as usize].run, &placed.slot)
    }

    /// How many entries there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Turns the order around, for a reader that goes backwards.
    pub(crate) fn reverse(&mut self) {
        self.slots.reverse();
    }

    #[inline]
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

    #[inline]
    pub(crate) fn payload(&self, index: usize) -> &[u8] {
        let placed = &self.slots[index];
        let range = placed.slot.payload.start as usize..placed.slot.payload.end as usize;
        &self.runs[placed.piece as usize].run.bytes[range]
    }

    /// The salt of the segment that an entry lies in.
    pub(crate) fn salt(&self, index: usize) -> u64 {
        self.runs[self.slots[index].piece as usize].run.salt
    }

    /// What an entry tells as a dead letter, if it is one.
    pub(crate) fn letter(&self, index: usize) -> Option<DeadLetter> {
        self.fields(index).find_map(|field| match field {
            Field::Letter(bytes) => DeadLetter::decode(bytes),
            _ => None,
        })
    }

    /// What was appended as an entry: what it would take to append it again.
    pub(crate) fn draft(&self, index: usize) -> NewEntry<'_> {
        let mut entry = NewEntry::new(self.payload(index));
        for field in self.fields(index) {
            match field {
                Field::Subject(subject) => entry.subject = Some(subject),
                Field::Key(key) => entry.key = Some(key),
                Field::Header(name, value) => entry.headers.push((name, value)),
                _ => {}
            }
        }
        entry
    }

    /// The fields that are not payload, in the order they were given.
    pub(crate) fn fields(&self, index: usize) -> impl Iterator<Item = Field<'_>> {
        let placed = &self.slots[index];
        let range = placed.slot.fields.start as usize..placed.slot.fields.end as usize;
        log::fields(&self.runs[placed.piece as usize].run.bytes[range])
    }
}

/// When an entry of a run is due. One that is payload alone costs a comparison.
#[inline]
fn due(run: &log::Run, slot: &Slot) -> Option<u64> {
    if slot.fields.is_empty() {
        return None;
    }
    log::due(&run.bytes[slot.fields.start as usize..slot.fields.end as usize])
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        for piece in self.runs.drain(..) {
            self.pool.give(piece.run);
        }
    }
}
