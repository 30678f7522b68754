//! Groups with a filter: the cursor goes past entries that are not for them, and what is given up
//! of entries that were never handed out counts only those that are.
//!
//! The ledger sees offsets and no subjects, so whoever reads the log says how many entries of a range
//! are the group's own: `own` is asked for that. What was handed out ever was its own, so below the
//! cursor the commands are those of any group.

use std::ops::Range;

use super::apply::add;
use super::book::{Ledger, OFFSETS_MAX};
use super::event::{Event, MemberId, Pass, Run, Skip};
use super::policy::OnTrimmed;
use crate::error::Result;
use crate::id::EntryId;
use crate::loss::Loss;

impl Ledger {
    /// Passes what lies between the cursor and `end`, unless there is nothing.
    pub(crate) fn pass(&self, partition: u32, end: u64, how: Pass, out: &mut Vec<Event>) {
        let end = end.min(OFFSETS_MAX);
        if self.cursor(partition).is_some_and(|cursor| cursor < end) {
            out.push(Event::Passed { partition, end, how });
        }
    }

    /// Passes what lies before a run that is handed out, if that is a new one; `ahead` is the
    /// partition of the new run before it and where that ends. Says whether the run fits only once
    /// the events before it are applied.
    pub(super) fn pass_to(
        &self,
        run: Run,
        ahead: &mut Option<(u32, u64)>,
        out: &mut Vec<Event>,
    ) -> bool {
        let before = ahead.filter(|(partition, _)| *partition == run.partition);
        let cursor = self.cursor(run.partition).unwrap_or(u64::MAX);
        let at = before.map_or(cursor, |(_, end)| end);
        if run.first < at {
            return false;
        }
        if run.first > at {
            let (partition, end) = (run.partition, run.first);
            out.push(Event::Passed { partition, end, how: Pass::Filtered });
        }
        *ahead = Some((run.partition, run.end()));
        before.is_some() || run.first > at
    }

    /// As [`skip`](Self::skip).
    ///
    /// # Errors
    /// Those of [`skip`](Self::skip).
    pub(crate) fn skip_own(
        &self,
        partition: u32,
        first: u64,
        end: u64,
        own: impl Fn(Range<u64>) -> u64,
        out: &mut Vec<Event>,
    ) -> Result<u64> {
        let cursor = self.cursor(partition).unwrap_or(end);
        let lost = self.skip(partition, first, end.min(cursor), out)?;
        let unread = if end > cursor { own(cursor..end) } else { 0 };
        self.pass(partition, end, Pass::Lost(unread), out);
        Ok(lost + unread)
    }

    /// As [`settle_through`](Self::settle_through).
    ///
    /// # Errors
    /// Those of [`settle_through`](Self::settle_through).
    pub(crate) fn settle_own_through(
        &self,
        member: MemberId,
        seen: u64,
        id: EntryId,
        own: impl Fn(Range<u64>) -> u64,
        out: &mut Vec<Event>,
    ) -> Result<u64> {
        let (partition, end) = (id.partition(), id.offset().saturating_add(1));
        let cursor = self.cursor(partition).unwrap_or(end);
        let settled = self.settle_below(member, seen, partition, end.min(cursor), out)?;
        let unread = if end > cursor { own(cursor..end) } else { 0 };
        self.pass(partition, end, Pass::Acked(unread), out);
        Ok(settled + unread)
    }

    /// As [`reset`](Self::reset).
    ///
    /// # Errors
    /// Those of [`reset`](Self::reset).
    pub(crate) fn reset_own(
        &self,
        partition: u32,
        to: u64,
        own: impl Fn(Range<u64>) -> u64,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        match self.cursor(partition) {
            Some(cursor) if cursor < to => {
                self.pass(partition, to, Pass::Lost(own(cursor..to)), out);
            }
            _ => {}
        }
        self.reset(partition, to, out)
    }

    /// As [`trimmed`](Self::trimmed). The group's policy takes effect only if entries of its own go
    /// unread.
    pub(crate) fn trimmed_own(
        &self,
        partition: u32,
        start: u64,
        end: u64,
        own: impl Fn(Range<u64>) -> u64,
        out: &mut Vec<Event>,
    ) -> Loss {
        let Some(window) = self.entries.window(partition) else { return Loss::default() };
        let first = self.first_needed(partition).unwrap_or(window.floor);
        let cursor = window.cursor;
        let unread = if cursor < start { own(cursor..start) } else { 0 };
        let (end, unread) = match self.policy.on_trimmed {
            OnTrimmed::Latest if unread > 0 => (end.max(start), own(cursor..end.max(start))),
            OnTrimmed::Error if unread > 0 => (cursor, 0),
            _ => (start, unread),
        };
        let open = end.min(cursor);
        let lost = self.loss(partition, first, open);
        if !lost.is_empty() {
            let (end, why) = (open, Skip::Trimmed);
            out.push(Event::Skipped { partition, first, end, why });
        }
        self.pass(partition, end, Pass::Trimmed(unread), out);
        Loss { unread, ..lost }
    }

    pub(super) fn apply_passed(&mut self, partition: u32, end: u64, how: Pass) {
        let Some(cursor) = self.cursor(partition) else { return };
        // There are fewer if the log lost some since.
        let own = how.own().min(end.saturating_sub(cursor));
        if end > cursor {
            self.entries.pass(partition, end);
        }
        match how {
            Pass::Filtered => {}
            Pass::Acked(_) => add(&mut self.totals.acked, own),
            Pass::Lost(_) => add(&mut self.totals.lost, own),
            Pass::Trimmed(_) => self.totals.trimmed.add(Loss { unread: own, ..Loss::default() }),
        }
    }
}
