//! Waking blocked reads at a desk: the first that may read what became available.
//!
//! Whoever publishes an entry does not hold the group's lock, so what it needs to know of the
//! assignment stands beside it, in [`Readers`]. It is brought up to date under the group's lock;
//! who gets a partition is rung then, so an append that still saw the old owner costs nothing.

use super::desk::{Desk, State};
use crate::clock::Moment;
use crate::ledger::{Claim, Ledger, NOBODY, Now};
use crate::log::Log;

/// Who reads what.
#[derive(Debug, Default)]
pub(super) enum Readers {
    /// Everybody everything, or nobody knows yet.
    #[default]
    Open,
    /// The slot of who reads each partition.
    Owners(Vec<u16>),
}

impl Readers {
    pub(super) fn of(ledger: &Ledger) -> Self {
        if ledger.is_open() { Self::Open } else { Self::Owners(ledger.readers().collect()) }
    }
}

/// A slot as a blocked read is tagged with it.
pub(super) fn tag(slot: u16) -> u64 {
    u64::from(slot)
}

impl Desk {
    /// Wakes the first blocked read that may read a partition in which something became available.
    pub(crate) fn ring(&self, partition: u32) {
        if self.waiters.is_empty() {
            return;
        }
        match &*self.readers.read() {
            Readers::Open => self.waiters.ring_first(),
            Readers::Owners(owners) => {
                let slot = owners.get(partition as usize).copied().unwrap_or(NOBODY);
                self.waiters.ring_where(1, |read| read == tag(slot));
            }
        }
    }

    /// The same for claims that were handed back. Where nobody may read them, somebody has to look
    /// all the same: they may be what a hand-over waits for.
    pub(super) fn ring_for(&self, claims: &[Claim]) {
        if claims.is_empty() || self.waiters.is_empty() {
            return;
        }
        match &*self.readers.read() {
            Readers::Open => self.waiters.ring_first(),
            Readers::Owners(owners) => {
                let slot = |claim: &Claim| owners.get(claim.run.partition as usize).copied();
                let slots: Vec<u16> = claims.iter().map(|c| slot(c).unwrap_or(NOBODY)).collect();
                if slots.contains(&NOBODY) {
                    self.waiters.ring_first();
                }
                self.waiters.ring_where(usize::MAX, |read| slots.iter().any(|s| tag(*s) == read));
            }
        }
    }

    /// Whether everybody reads everything.
    pub(super) fn is_shared(&self) -> bool {
        matches!(*self.readers.read(), Readers::Open)
    }

    /// Wakes who may read what there is, else sets the timer anew.
    pub(super) fn stir(&self, state: &mut State, now: Now) {
        state.limited = false;
        if self.waiters.is_empty() {
            return;
        }
        if !state.ledger.is_open() {
            self.waiters.ring_where(usize::MAX, |read| {
                u16::try_from(read).is_ok_and(|slot| self.has_more(state, now.at, slot))
            });
        } else if self.has_more(state, now.at, NOBODY) {
            return self.waiters.ring_first();
        }
        self.waiters.rearm();
    }

    /// As [`stir`](Self::stir), after a read of the member in `slot` found nothing for itself.
    pub(super) fn stir_others(&self, state: &State, now: Now, slot: u16) {
        self.waiters.ring_where(usize::MAX, |read| {
            let other = u16::try_from(read).ok().filter(|other| *other != slot);
            other.is_some_and(|other| self.has_more(state, now.at, other))
        });
    }

    /// Whether a read of the member in `slot` would find an entry, but for its limits.
    fn has_more(&self, state: &State, now: Moment, slot: u16) -> bool {
        let ledger = &state.ledger;
        let fresh = |log: &Log, partition| {
            ledger.cursor(partition).is_some_and(|cursor| cursor < log.visible())
        };
        let logs = &self.ground.logs;
        ledger.has_due(now, slot)
            || if ledger.is_open() {
                logs.iter().zip(0..).any(|(log, partition)| fresh(log, partition))
            } else {
                let own = ledger.owned(slot);
                own.filter_map(|p| Some((logs.get(p as usize)?, p))).any(|(log, p)| fresh(log, p))
            }
    }
}
