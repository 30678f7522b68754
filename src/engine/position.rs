//! What is done at a desk to a group as a whole: giving up what cannot be read or is gone, going on
//! elsewhere, and what becomes of entries that were set aside.

use super::desk::Desk;
use super::journal::now_of;
use crate::error::Result;
use crate::id::EntryId;
use crate::ledger::OnTrimmed;
use crate::log::Log;
use crate::loss::Loss;

impl Desk {
    /// Settles a range as lost. Says how many entries that were.
    pub(crate) fn skip(&self, partition: u32, first: u64, end: u64) -> Result<u64> {
        self.prepare()?;
        let lost = self.change(|ledger, _, events| {
            if !self.sorts() {
                return ledger.skip(partition, first, end, events);
            }
            let own = |range| self.own(partition, &range);
            ledger.skip_own(partition, first, end, own, events)
        })?;
        self.promise()?;
        Ok(lost)
    }

    pub(super) fn redrive(&self, ids: &[EntryId]) -> Result<u64> {
        let redriven =
            self.change(|ledger, now, events| Ok(ledger.redrive(now.at, ids, events)))?;
        self.promise()?;
        Ok(redriven)
    }

    pub(crate) fn discard_parked(&self, ids: &[EntryId]) -> Result<u64> {
        let discarded = self.change(|ledger, _, events| Ok(ledger.discard_parked(ids, events)))?;
        self.promise()?;
        Ok(discarded)
    }

    /// What the log of a partition no longer has is lost to the group. Where that is nothing, nothing
    /// is written: a full disk does not keep settled entries from going.
    pub(super) fn trimmed(&self, partition: u32, start: u64) -> Result<Loss> {
        self.check_write()?;
        let (state, now) = (self.lock(), now_of(&self.ground.time));
        let log = &self.ground.logs[partition as usize];
        self.decide(state, now, |ledger, _, events| {
            let end = log.visible();
            if !self.sorts() {
                return Ok(ledger.trimmed(partition, start, end, events));
            }
            let own = |range| self.own(partition, &range);
            Ok(ledger.trimmed_own(partition, start, end, own, events))
        })
    }

    /// Goes on behind what was trimmed before the group got a policy that passes it. Nothing is trimmed
    /// meanwhile: the caller sees to that.
    pub(super) fn pass_trimmed(&self) -> Result<()> {
        let state = self.lock();
        if state.ledger.policy().on_trimmed == OnTrimmed::Error {
            return Ok(());
        }
        let starts = (0..).zip(self.ground.logs.iter().map(Log::start));
        let behind = |(p, start): &(u32, u64)| state.ledger.cursor(*p).is_some_and(|c| c < *start);
        let behind: Vec<(u32, u64)> = starts.filter(behind).collect();
        drop(state);
        behind.into_iter().try_for_each(|(p, start)| self.trimmed(p, start).map(drop))
    }

    /// Goes on elsewhere in some partitions. This is durable when it returns. Nothing is trimmed
    /// meanwhile: the caller sees to that.
    pub(crate) fn reset(&self, to: &[EntryId]) -> Result<()> {
        self.prepare()?;
        self.amend(|ledger, _, events| {
            to.iter().try_for_each(|id| {
                let (partition, to) = (id.partition(), id.offset());
                if !self.sorts() {
                    return ledger.reset(partition, to, events);
                }
                let own = |range| self.own(partition, &range);
                ledger.reset_own(partition, to, own, events)
            })
        })?;
        for id in to {
            self.trimmed(id.partition(), self.ground.log(id.partition())?.start())?;
        }
        self.ring_all();
        self.journal.flush_all().map(|_| ())
    }
}
