//! Reading with a filter: entries are copied and checked like any others, but only those that match
//! stay in the parcel. A group's cursor passes the rest, in the same record that hands out.
//!
//! # Why all is copied
//! An entry that is passed is settled for good, so the frame that says what its subject is has to
//! match its sum, and a sum is made of a copy. What does not match is overwritten by the next run.
//!
//! # How much is done under the lock
//! One call looks at [`SCAN_ENTRIES`] entries or [`SCAN_BYTES`], then passes them, gives the lock up and
//! goes on with the next partition. Runs are short at first, as long as what the read still wants, and
//! double as long as they bring too little: a filter that takes everything copies nothing in vain.

use super::addressed::Choice;
use super::basket::Basket;
use super::desk::{Desk, State};
use super::mill::{Got, Mill};
use super::parcel::{Gleaned, Parcel, Sieve, Verdict};
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::ledger::{Now, Pass, Run};
use crate::log::{self, Bounds, Cursor, Log, Outcome};
use crate::subject::Filter;

/// A read of a group looks at so many entries before it lets others in.
const SCAN_ENTRIES: u32 = 4_096;
/// The same in bytes.
const SCAN_BYTES: u64 = 1 << 20;
/// Retention passes so many times as much of a partition for a group that nobody reads.
const SCANS_MAX: usize = 64;

/// How much more a read may look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    entries: u32,
    bytes: u64,
}

impl Scan {
    pub(super) const WHOLE: Self = Self { entries: SCAN_ENTRIES, bytes: SCAN_BYTES };
    const OVER: Self = Self { entries: 0, bytes: 0 };

    pub(super) fn is_over(self) -> bool {
        self.entries == 0 || self.bytes == 0
    }

    fn spend(&mut self, entries: u32, bytes: u64) {
        self.entries = self.entries.saturating_sub(entries);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Desk {
    /// Collects what matches of the new entries of one partition, and notes how far it looked.
    pub(super) fn sift_from(
        &self,
        choice: Choice<'_>,
        state: &mut State,
        now: Now,
        partition: u32,
        basket: &mut Basket,
    ) -> Result<()> {
        let log = &self.ground.logs[partition as usize];
        let start = state.ledger.cursor(partition).unwrap_or(u64::MAX);
        let (mut first, mut step) = (start, basket.entries_left);
        // What is due again may end where the new entries begin, and stays apart.
        let due = state.runs.len();
        while first < log.visible() && basket.has_room() {
            let (cursors, mut gate) = state.gate(now, partition, due);
            let cursor = &mut cursors[partition as usize];
            cursor.seek(first);
            let judge = |offset, due| gate.judge(offset, due);
            match basket.sift(log, cursor, partition, choice, step, judge) {
                Ok(end) if gate.stopped => {
                    first = end;
                    break;
                }
                Ok(end) => first = end,
                Err(_) if basket.parcel.len() > 0 => break,
                Err(_) if first > start || state.goes_past() => {
                    // The next look meets it first.
                    basket.scan = Scan::OVER;
                    break;
                }
                Err(error) => return Err(error),
            }
            step = step.saturating_mul(2);
        }
        let runs = state.runs.last().into_iter().chain(state.early.last());
        let ends = |run: &Run| run.partition == partition && run.end() == first;
        if first > start && !runs.into_iter().any(ends) {
            state.passed.push((partition, first));
        }
        Ok(())
    }
}

/// Where nobody reads a group, who looks for what it still needs passes what it does not.
impl Desk {
    /// Passes what stands next in these partitions and is not for the group, unless something that was
    /// handed out holds the log anyway. What cannot be read or written stays.
    pub(super) fn pass_ahead(&self, partitions: &[u32]) {
        if self.filter.is_none() && !self.ground.addressed.is_any() {
            return;
        }
        for partition in partitions {
            for _ in 0..SCANS_MAX {
                if !matches!(self.pass_some(*partition), Ok(true)) {
                    break;
                }
            }
        }
    }

    /// The same for one look. Says whether another one may find more.
    fn pass_some(&self, partition: u32) -> Result<bool> {
        self.check_write()?;
        let log = self.ground.log(partition)?;
        let mut state = self.lock();
        let cursor = state.ledger.cursor(partition).unwrap_or(u64::MAX);
        if cursor >= log.visible() || state.ledger.first_needed(partition) != Some(cursor) {
            return Ok(false);
        }
        let Some(choice) = self.choice(partition, cursor..cursor + 1) else { return Ok(false) };
        // It takes nothing, so it stops at the first entry that matches.
        let mut basket = self.basket(0);
        let place = &mut state.fresh[partition as usize];
        place.seek(cursor);
        let end = basket.sift(log, place, partition, choice, SCAN_ENTRIES, |_, _| Verdict::Take)?;
        let State { ledger, events, .. } = &mut *state;
        ledger.pass(partition, end, Pass::Filtered, events);
        self.commit(&mut state)?;
        self.finish(state)?;
        Ok(end > cursor)
    }
}

impl Basket {
    /// Looks at the next run and takes what matches. Says how far it looked, at least at one entry.
    fn sift(
        &mut self,
        log: &Log,
        cursor: &mut Cursor,
        partition: u32,
        choice: Choice<'_>,
        step: u32,
        judge: impl FnMut(u64, Option<u64>) -> Verdict,
    ) -> Result<u64> {
        let entries = step.min(self.scan.entries);
        let bounds = Bounds { entries, bytes: self.scan.bytes, before: u64::MAX };
        let mut run = self.parcel.buffer();
        let read = log.read(cursor, bounds, &mut run);
        let sieve =
            Sieve { choice, entries: self.entries_left, bytes: self.bytes_left, attempt: 1 };
        let sifted = read.and_then(|outcome| match outcome {
            Outcome::Trimmed { start } => {
                let next = EntryId::new(partition, cursor.offset);
                Err(Error::PositionTrimmed { next, start })
            }
            Outcome::Copied if run.count == 0 => Err(log.rot(0, 0, cursor.offset)),
            Outcome::Copied => glean(&mut self.parcel, log, partition, &run, sieve, judge),
        });
        self.scan.spend(run.count, run.bytes.len() as u64);
        self.parcel.give_back(run);
        let gleaned = sifted?;
        cursor.seek(gleaned.end);
        self.entries_left -= gleaned.taken;
        self.bytes_left = self.bytes_left.saturating_sub(gleaned.bytes);
        Ok(gleaned.end)
    }
}

/// Takes what matches out of a copied run. Rot is an error only at its very first entry.
fn glean(
    parcel: &mut Parcel,
    log: &Log,
    partition: u32,
    run: &log::Run,
    sieve: Sieve<'_>,
    judge: impl FnMut(u64, Option<u64>) -> Verdict,
) -> Result<Gleaned> {
    let gleaned = parcel.glean(partition, run, sieve, judge);
    match gleaned.bad {
        Some(bad) if gleaned.end == run.first => {
            Err(log.rot(run.sequence, bad.position, bad.offset))
        }
        _ => Ok(gleaned),
    }
}

impl Mill {
    /// Reads one run of a partition and takes what matches, which may be nothing: then the cursor
    /// has moved all the same, unless there is nothing before `bounds.before`. `bounds.entries` is
    /// how many are wanted, and `step` how many are looked at.
    pub(super) fn sift(
        &self,
        partition: u32,
        cursor: &mut Cursor,
        filter: &Filter,
        step: u32,
        bounds: Bounds,
        parcel: &mut Parcel,
    ) -> Result<Got> {
        let log = &self.ground.logs[partition as usize];
        let mut run = self.ground.pool.take();
        let look = Bounds { entries: step, ..bounds };
        let read = log.read(cursor, look, &mut run);
        let Bounds { entries, bytes, .. } = bounds;
        let choice = Choice { filter: Some(filter), group: None };
        let sieve = Sieve { choice, entries, bytes, attempt: 0 };
        let sifted = read.and_then(|outcome| match outcome {
            Outcome::Trimmed { start } => Ok(Got::Trimmed { start }),
            Outcome::Copied if run.count == 0 => Ok(Got::Entries(0)),
            Outcome::Copied => {
                let gleaned = glean(parcel, log, partition, &run, sieve, |_, _| Verdict::Take)?;
                cursor.seek(gleaned.end);
                Ok(Got::Entries(gleaned.taken))
            }
        });
        self.ground.pool.give(run);
        sifted
    }

    /// Goes on until something matches or there is nothing left.
    pub(super) fn sift_on(
        &self,
        partition: u32,
        cursor: &mut Cursor,
        filter: &Filter,
        bounds: Bounds,
        parcel: &mut Parcel,
    ) -> Result<Got> {
        let mut step = bounds.entries;
        loop {
            self.ground.check_open()?;
            let before = cursor.offset;
            let got = self.sift(partition, cursor, filter, step, bounds, parcel)?;
            if got != Got::Entries(0) || cursor.offset == before {
                return Ok(got);
            }
            step = step.saturating_mul(2).min(SCAN_ENTRIES.max(bounds.entries));
        }
    }
}
