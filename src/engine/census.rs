//! How many entries a group has still to be given, exactly.
//!
//! Where everything is the group's, that is a difference of two offsets. A group with a filter counts: from
//! where its last count ended, by headers and footers only, and it remembers. So does every group where
//! entries for one group alone may stand, there by headers only. Appends do nothing for it.
//!
//! # Invariants
//! 1. `own` is the number of matching entries from `from` up to `to`.
//! 2. A count that does not begin at the group's cursor is of no use, and begun anew: all that moves
//!    the cursor and is not followed here costs time, never truth.
//!
//! Most of the way is counted without the group's lock, step by step; only the rest, up to the end
//! that the answer speaks of, under it.

use std::ops::Range;

use super::addressed::Choice;
use super::desk::{Desk, State};
use super::shelf::Shelf;
use crate::error::Result;
use crate::ledger::{Event, Ledger};
use crate::log::{Cursor, Log};

/// So many entries are left to be counted under the lock.
const REST_ENTRIES: u64 = 4_096;

/// What was counted of one partition.
#[derive(Debug, Default)]
struct Count {
    from: u64,
    to: Cursor,
    own: u64,
}

/// What was counted of all, by partition; nothing where nothing had to be counted.
#[derive(Debug, Default)]
pub(super) struct Census {
    counts: Vec<Count>,
}

impl Count {
    /// Begins anew, unless it begins at `from` already.
    fn begin(&mut self, from: u64) {
        if self.from != from {
            *self = Self { from, to: Cursor::at(from), own: 0 };
        }
    }

    /// The cursor moved to `end`, past `own` entries of the group's.
    fn advance(&mut self, end: u64, own: u64) {
        match self.own.checked_sub(own) {
            Some(rest) if end <= self.to.offset => (self.from, self.own) = (end, rest),
            _ => self.begin(end),
        }
    }
}

impl Census {
    /// Follows what an event is about to do to the cursor.
    pub(super) fn follow(&mut self, logs: &Shelf<Log>, ledger: &Ledger, event: &Event) {
        let (partition, end, own) = match event {
            Event::HandedOut { run, .. } | Event::Deferred { run, .. } => {
                (run.partition, run.end(), u64::from(run.count))
            }
            Event::Passed { partition, end, how } => (*partition, *end, how.own()),
            _ => return,
        };
        let Some(count) = self.counts.get_mut(partition as usize) else { return };
        // What is handed out again lies before the cursor; of what is trimmed nothing was counted.
        let cursor = ledger.cursor(partition).unwrap_or(u64::MAX);
        let stored = logs.get(partition as usize).is_some_and(|log| log.start() <= cursor);
        if cursor == count.from && end > cursor && stored {
            count.advance(end, own);
        }
    }

    fn of(&mut self, partition: u32) -> &mut Count {
        let index = partition as usize;
        if self.counts.len() <= index {
            self.counts.resize_with(index + 1, Count::default);
        }
        &mut self.counts[index]
    }
}

impl Desk {
    /// How many entries of a partition before `end` were never handed out and are for the group.
    pub(super) fn undelivered(&self, state: &mut State, partition: u32, end: u64) -> Result<u64> {
        let log = &self.ground.logs[partition as usize];
        let from = first_unread(state, partition, log);
        if self.choice(partition, from..end).is_none() {
            return Ok(end.saturating_sub(from));
        }
        let count = state.census.of(partition);
        count.begin(from);
        while count.to.offset < end {
            count.own += self.count_own(partition, log, &mut count.to, end)?;
        }
        Ok(count.own)
    }

    /// Counts ahead, so that little is left to be counted under the lock.
    pub(super) fn count_ahead(&self) -> Result<()> {
        if !self.sorts() {
            return Ok(());
        }
        for (partition, log) in (0..).zip(self.ground.logs.iter()) {
            let goal = log.visible();
            loop {
                let mut state = self.lock();
                let from = first_unread(&state, partition, log);
                let count = state.census.of(partition);
                count.begin(from);
                let mut place = count.to.clone();
                drop(state);
                let before = place.offset;
                if before.saturating_add(REST_ENTRIES) >= goal {
                    break;
                }
                let own = self.count_own(partition, log, &mut place, goal)?;
                let mut state = self.lock();
                let count = state.census.of(partition);
                // Somebody else may have counted on, or begun anew.
                if count.to.offset == before {
                    (count.to, count.own) = (place, count.own + own);
                }
            }
        }
        Ok(())
    }

    /// How many entries of a range are for the group. What cannot be read any more counts as if it
    /// were: nothing is lost silently.
    pub(super) fn own(&self, partition: u32, range: &Range<u64>) -> u64 {
        let Some(log) = self.ground.logs.get(partition as usize) else { return 0 };
        let first = range.start.max(log.start()).min(range.end);
        let end = range.end.min(log.visible()).max(first);
        let (mut own, mut place) = (first - range.start, Cursor::at(first));
        while place.offset < end {
            match self.count_own(partition, log, &mut place, end) {
                Ok(more) => own += more,
                Err(_) => return end - range.start,
            }
        }
        own
    }

    /// Counts on for one step, at most to `end`, which is visible.
    fn count_own(&self, partition: u32, log: &Log, to: &mut Cursor, end: u64) -> Result<u64> {
        let from = to.offset;
        let part = self.ground.addressed.first_in(partition, from..end);
        if let Some(part) = part.as_ref().filter(|part| part.start == from) {
            let choice = Choice { filter: self.filter.as_ref(), group: Some(self.incarnation) };
            return log.walk_on(to, part.end, |fields| choice.takes(fields));
        }
        let before = part.map_or(end, |part| part.start);
        let Some(filter) = &self.filter else {
            to.seek(before);
            return Ok(before - from);
        };
        log.count_on(to, before, |subject| filter.matches(Some(subject)))
    }

    /// Whether there may be entries that are not for the group.
    pub(super) fn sorts(&self) -> bool {
        self.filter.is_some() || self.ground.addressed.is_any()
    }
}

fn first_unread(state: &State, partition: u32, log: &Log) -> u64 {
    state.ledger.cursor(partition).unwrap_or(0).max(log.start())
}
