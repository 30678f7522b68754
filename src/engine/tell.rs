//! What happens in a group's ledger, in the words of those who listen: the group's board, and each
//! consumer's own notices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::board::{Board, Notices};
use super::turnover::Counting;
use crate::error::Gone;
use crate::events::{Cause, Event, Fate};
use crate::ledger::{self, Exhausted, Ledger, NOBODY, Pass, Round, Settle, Skip, Spent};
use crate::loss::Loss;

/// Who is told, and what is needed to say why.
#[derive(Debug)]
pub(super) struct Told {
    /// What happened last that a strategy has to be asked about.
    pub(super) cause: Cause,
    /// What made the rebalance begin that is under way.
    began: Cause,
    notices: BTreeMap<u16, Arc<Notices>>,
}

impl Told {
    pub(super) fn new() -> Self {
        Self { cause: Cause::Asked, began: Cause::Asked, notices: BTreeMap::new() }
    }

    /// The notices of the member in a slot.
    pub(super) fn notices(&mut self, slot: u16) -> Arc<Notices> {
        let notices = self.notices.entry(slot);
        Arc::clone(notices.or_insert_with(|| Arc::new(Notices::new())))
    }

    /// Tells of an event that is about to change the ledger.
    pub(super) fn tell(&mut self, board: &Board, ledger: &Ledger, event: &ledger::Event) {
        let generation = ledger.generation();
        match event {
            ledger::Event::Joined { slot, name, .. } => {
                self.notices.insert(*slot, Arc::new(Notices::new()));
                self.cause = Cause::Joined(name.to_string());
                board.post(Event::Joined { consumer: name.to_string(), generation });
            }
            ledger::Event::Left { slot, why, .. } => self.tell_left(board, ledger, *slot, *why),
            ledger::Event::Planned(planned) if !planned.open && !ledger.is_rebalancing() => {
                self.began = self.cause.clone();
                let (generation, cause) = (generation + 1, self.cause.clone());
                board.post(Event::RebalanceBegan { generation, cause });
            }
            ledger::Event::Round(round) => self.tell_round(board, ledger, round),
            ledger::Event::Evicted { partition, .. } => {
                if let Some(slot) = ledger.leaving_from(*partition) {
                    self.lost(board, ledger, slot, vec![*partition]);
                }
            }
            ledger::Event::Skipped { partition, first, end, why: Skip::Trimmed } => {
                let lost = ledger.loss(*partition, *first, *end);
                let (partition, first, end) = (*partition, *first, *end);
                board.post(Event::Trimmed { partition, first, end, lost });
            }
            ledger::Event::Settled { run, how: Settle::AckedById } => {
                let (partition, first, end) = (run.partition, run.first, run.end());
                board.post(Event::AckedById { partition, first, end });
            }
            ledger::Event::Passed { partition, end, how: Pass::Trimmed(unread) } if *unread > 0 => {
                let first = ledger.cursor(*partition).unwrap_or(*end);
                let lost = Loss { unread: *unread, ..Loss::default() };
                board.post(Event::Trimmed { partition: *partition, first, end: *end, lost });
            }
            _ => {}
        }
    }

    fn tell_left(&mut self, board: &Board, ledger: &Ledger, slot: u16, why: Gone) {
        let consumer = ledger.name(slot).unwrap_or_default().to_owned();
        self.cause = match why {
            Gone::Left => Cause::Left(consumer.clone()),
            Gone::Removed => Cause::Removed(consumer.clone()),
            Gone::Expired => Cause::Expired(consumer.clone()),
        };
        let mut held: Vec<u32> = ledger.owned(slot).chain(ledger.to_let_go(slot)).collect();
        held.sort_unstable();
        if why != Gone::Left && !held.is_empty() {
            self.lost(board, ledger, slot, held);
        }
        let event = Event::Left { consumer, why, generation: ledger.generation() };
        if let Some(notices) = self.notices.remove(&slot) {
            notices.push(event.clone());
        }
        board.post(event);
    }

    fn tell_round(&self, board: &Board, ledger: &Ledger, round: &Round) {
        let generation = round.generation;
        let readers: Vec<u16> = ledger.readers().collect();
        let mut revoked: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for partition in &round.revoked {
            let slot = readers[*partition as usize];
            if slot != NOBODY {
                revoked.entry(slot).or_default().push(*partition);
            }
        }
        let mut given: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for (partition, slot) in &round.given {
            given.entry(*slot).or_default().push(*partition);
        }
        let name = |slot| ledger.name(slot).unwrap_or_default().to_owned();
        for (slot, partitions) in revoked {
            let consumer = name(slot);
            self.both(board, slot, Event::Revoked { consumer, generation, partitions });
        }
        for (slot, partitions) in given {
            let consumer = name(slot);
            self.both(board, slot, Event::Assigned { consumer, generation, partitions });
        }
        if let Some(took) = round.took {
            let (cause, took) = (self.began.clone(), Duration::from_micros(took));
            let moved = ledger.moved(round);
            board.post(Event::RebalanceEnded { generation, cause, took, moved });
        }
    }

    fn lost(&self, board: &Board, ledger: &Ledger, slot: u16, partitions: Vec<u32>) {
        let consumer = ledger.name(slot).unwrap_or_default().to_owned();
        let generation = ledger.generation();
        self.both(board, slot, Event::Lost { consumer, generation, partitions });
    }

    fn both(&self, board: &Board, slot: u16, event: Event) {
        if let Some(notices) = self.notices.get(&slot) {
            notices.push(event.clone());
        }
        board.post(event);
    }
}

/// Tells of entries that came to the end of their attempts.
pub(super) fn tell_exhausted(board: &Board, spent: Vec<Spent>, counting: &mut Counting) {
    for Spent { run, attempts, then, reason } in spent {
        let fate = match then {
            Exhausted::Park => Fate::Parked,
            Exhausted::Discard => Fate::Discarded,
            Exhausted::DeadLetter => Fate::DeadLettered,
        };
        counting.see_spent(&board.source, run, attempts, fate);
        if !board.is_watched() {
            continue;
        }
        for id in run.ids() {
            let reason = reason.as_deref().map(str::to_owned);
            board.post(Event::Exhausted { id, attempts, reason, fate });
        }
    }
}
