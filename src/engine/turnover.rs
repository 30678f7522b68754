//! What a change of a group comes to, for those who observe the process: how many entries went which
//! way, and what happened to its members, in the words of [`Signal`]. All of it is only noted here,
//! under the group's lock; without the features nothing is counted.

use crate::error::Gone;
use crate::events::{Event, Fate};
use crate::ledger::{self, Ledger, Run, Totals, Waiting};
use crate::observe::{self, ON, Signal, Source, Turnover};

/// Counts what one commit does. What the ledger counts itself comes from the difference of its
/// totals, so whatever settles an entry is counted in one place.
pub(super) struct Counting {
    before: Totals,
    turnover: Turnover,
}

impl Counting {
    /// Begins before the first event is applied.
    #[inline]
    pub(super) fn new(ledger: &Ledger) -> Self {
        let before = if ON { *ledger.totals() } else { Totals::default() };
        Self { before, turnover: Turnover::default() }
    }

    /// Counts an event.
    #[inline]
    pub(super) fn see(&mut self, event: &ledger::Event) {
        if !ON {
            return;
        }
        let (count, run) = match event {
            ledger::Event::HandedOut { run, .. } | ledger::Event::Claimed { run, .. } => {
                (&mut self.turnover.delivered, run)
            }
            ledger::Event::Waits { run, why, .. } => {
                let count = match why {
                    Waiting::Time => &mut self.turnover.expired,
                    Waiting::Nack => &mut self.turnover.nacked,
                    Waiting::Release => &mut self.turnover.released,
                };
                (count, run)
            }
            _ => return,
        };
        *count += u64::from(run.count);
    }

    /// Counts entries that came to the end of their attempts.
    pub(super) fn see_spent(&mut self, source: &Source, run: Run, attempts: u16, fate: Fate) {
        if !ON {
            return;
        }
        let count = u64::from(run.count);
        let fate = match fate {
            Fate::Parked => {
                self.turnover.parked += count;
                "parked"
            }
            Fate::Discarded => "discarded",
            Fate::DeadLettered => "dead-lettered",
        };
        let Run { partition, first, .. } = run;
        observe::note(source, || Signal::Exhausted { partition, first, count, attempts, fate });
    }

    /// Notes it all, once the events are applied.
    #[inline]
    pub(super) fn note(mut self, source: &Source, ledger: &Ledger) {
        if !ON {
            return;
        }
        let (before, now) = (&self.before, ledger.totals());
        // Totals stop rather than wrap.
        self.turnover.redelivered = now.redelivered.saturating_sub(before.redelivered);
        self.turnover.acked = now.acked.saturating_sub(before.acked);
        self.turnover.dead_lettered = now.dead_lettered.saturating_sub(before.dead_lettered);
        self.turnover.discarded = now.discarded.saturating_sub(before.discarded);
        let lost = |totals: &Totals| totals.lost.saturating_add(totals.trimmed.entries());
        self.turnover.lost = lost(now).saturating_sub(lost(before));
        if self.turnover != Turnover::default() {
            observe::note_often(source, || Signal::Turnover(self.turnover));
        }
    }
}

/// Notes what the group's listeners are told, as far as whoever observes the process wants to know.
pub(super) fn note_event(source: &Source, event: &Event) {
    let signal = match event {
        Event::Joined { consumer, generation } => {
            Signal::Joined { consumer: consumer.as_str().into(), generation: *generation }
        }
        Event::Left { consumer, why, generation } => Signal::Left {
            consumer: consumer.as_str().into(),
            generation: *generation,
            why: why.to_string().into(),
            expired: *why == Gone::Expired,
        },
        Event::RebalanceBegan { generation, cause } => {
            Signal::RebalanceBegan { generation: *generation, cause: format!("{cause:?}").into() }
        }
        Event::RebalanceEnded { generation, took, moved, .. } => {
            Signal::RebalanceEnded { generation: *generation, took: *took, moved: *moved }
        }
        Event::RebalanceFailed { reason, .. } => {
            Signal::RebalanceFailed { reason: reason.as_str().into() }
        }
        Event::Trimmed { partition, first, end, lost } if !lost.is_empty() => Signal::Lost {
            partition: *partition,
            first: *first,
            end: *end,
            entries: lost.entries(),
        },
        _ => return,
    };
    observe::note(source, || signal);
}
