//! What settles entries without a verdict: a consumer's next read, its leaving, or the hand-out itself.
//!
//! # Invariant
//! What a consumer was handed out stays in `handed` until a read or its leaving settles it. If its lease
//! may be over by then, nobody can tell whether it was settled.

use std::time::Duration;

use super::script::{IMPLIED, LEASE, Life};
use super::sight::State;
use super::workers::Worker;
use super::world::Verdict;
use crate::clock::{Clock, ManualClock};
use crate::error::Error;
use crate::id::{EntryId, Token};
use crate::policy::AckMode;

/// What a consumer's earlier reads handed out.
pub(super) struct Earlier {
    /// With the attempt and the time.
    handed: Vec<(Token, u16, Duration)>,
    /// When its reads settled something the last time, or it joined.
    settled: Duration,
}

impl Earlier {
    pub(super) fn new(clock: &ManualClock) -> Self {
        Self { handed: Vec::new(), settled: clock.monotonic() }
    }
}

impl Life<'_> {
    /// A call of a consumer that settles what its earlier reads handed out, if its mode says so, came
    /// to an end; `done` says whether it worked.
    pub(super) fn settle_earlier(&mut self, worker: &mut Worker, leaves: bool, done: bool) {
        let (now, durable) = (self.world.clock.monotonic(), self.always());
        let live = self.world.groups.get_mut(worker.group);
        let Some(model) = live.filter(|model| model.epoch == worker.epoch) else { return };
        let settles = match model.rules.ack {
            AckMode::Explicit | AckMode::OnRead => false,
            AckMode::OnNextRead => true,
            AckMode::Interval(interval) => leaves || now >= worker.earlier.settled + interval,
        };
        if !settles {
            return;
        }
        for (token, attempt, given) in worker.earlier.handed.drain(..) {
            let sure = done && now < given + LEASE;
            model.implied(token, attempt, sure.then_some(durable));
        }
        if done {
            worker.earlier.settled = now;
        }
    }

    /// A consumer was handed out these.
    pub(super) fn lent(&mut self, worker: &mut Worker, lent: &[(Token, u16)]) {
        let (now, durable) = (self.world.clock.monotonic(), self.always());
        let Some(model) = self.world.groups.get_mut(worker.group) else { return };
        let handed = lent.iter().map(|(token, attempt)| (*token, *attempt, now));
        match model.rules.ack {
            AckMode::Explicit => {}
            AckMode::OnNextRead | AckMode::Interval(_) => worker.earlier.handed.extend(handed),
            AckMode::OnRead => {
                handed.for_each(|(token, attempt, _)| model.implied(token, attempt, Some(durable)));
            }
        }
    }

    /// A read failed. Where handing out settles, it may have done that.
    pub(super) fn read_failed(&mut self, group: &'static str, error: &Error) -> Verdict {
        let live = self.world.groups.get_mut(group);
        if let Some(model) = live.filter(|model| model.rules.ack == AckMode::OnRead) {
            for (partition, items) in (0..).zip(&self.world.partitions) {
                for offset in model.first(partition)..items.items.len() as u64 {
                    let id = EntryId::new(partition, offset);
                    if model.takes(&self.world.partitions, id) {
                        model.perhaps(id, State::Done);
                    }
                }
            }
        }
        self.world.forgive("read", error)
    }

    /// Whether handing out settles in that group. A verdict changes nothing then, and an ack says what
    /// is so.
    pub(super) fn settles_on_read(&self, group: &str) -> bool {
        group == IMPLIED && self.world.mode == AckMode::OnRead
    }
}
