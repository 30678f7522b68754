//! Steering a group from outside: pausing it, draining it, and giving it other settings while it
//! is in use.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::desk::{Desk, settles_on_read};
use super::groups::{GroupPlan, Seat, check_filter, check_target};
use super::open::micros;
use super::policy::policy;
use crate::assign::Assign;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::events::Cause;
use crate::id::EntryId;
use crate::ledger::{AckMode, Policy, Standing};
use crate::observe;
use crate::waiters::Woken;

impl Desk {
    /// Stops hand-outs, for a while or until they are let go on.
    pub(crate) fn pause(&self, wait: Option<Duration>) -> Result<()> {
        self.prepare()?;
        let delay = wait.map(micros);
        self.change(|ledger, now, events| {
            ledger.pause(now, delay, events);
            Ok(())
        })?;
        self.promise()
    }

    /// Lets hand-outs go on.
    pub(crate) fn resume(&self) -> Result<()> {
        self.change(|ledger, _, events| {
            ledger.resume(events);
            Ok(())
        })?;
        self.ring_all();
        self.ready.call();
        self.promise()
    }

    /// Replaces what the group goes by. The strategy it had is the caller's to drop: that may be a
    /// user's code.
    pub(super) fn set_policy(
        &self,
        policy: Policy,
        strategy: Option<(Arc<dyn Assign>, &str)>,
    ) -> Option<Arc<dyn Assign>> {
        let mut state = self.lock();
        self.reads_settle.store(settles_on_read(&policy), Ordering::Relaxed);
        state.ledger.set_policy(policy);
        let (strategy, name) = strategy?;
        state.strategy_name = name.into();
        state.told.cause = Cause::StrategyChanged;
        state.strategy.replace(strategy)
    }

    pub(super) fn strategy(&self) -> Option<Arc<dyn Assign>> {
        self.lock().strategy.clone()
    }

    pub(super) fn ack_mode(&self) -> AckMode {
        self.lock().ledger.policy().ack
    }

    /// Stops hand-outs, and waits until nothing is leased any more, or until `until`. Gives what
    /// is still leased. `tend` is called whenever the wait is interrupted, without any lock.
    pub(crate) fn drain(
        &self,
        until: Moment,
        tend: impl Fn() -> Result<()>,
    ) -> Result<Vec<(EntryId, String)>> {
        self.pause(None)?;
        let time = &self.ground.time;
        let waiting = self.drains.enter(0);
        loop {
            let out = self.leased()?;
            let now = time.now();
            let due = self.next_moment(now).min(self.ground.flush_moment());
            if out.is_empty() || now >= until || waiting.park(time, until, due) == Woken::Idle {
                return Ok(out);
            }
            tend()?;
        }
    }

    /// What is leased, and to whom.
    fn leased(&self) -> Result<Vec<(EntryId, String)>> {
        self.look(|ledger, now| {
            if ledger.counts(now.at).leased == 0 {
                return Vec::new();
            }
            let partitions = u32::try_from(ledger.partitions()).unwrap_or(u32::MAX);
            let all =
                (0..partitions).flat_map(|partition| ledger.pending(partition, 0, Moment::NEVER));
            let leased = all.filter(|entry| matches!(entry.standing, Standing::Leased(_)));
            leased.map(|entry| (entry.id, entry.member.unwrap_or_default().to_owned())).collect()
        })
    }

    /// Wakes who waits for the group to be drained, if it is.
    pub(super) fn tell_drained(&self, leased: u64) {
        if leased == 0 {
            self.drains.ring_all();
        }
    }
}

/// Gives a group that is in use other settings. A strategy that fails refuses all of them.
pub(crate) fn alter_group(seat: &Seat, plan: &GroupPlan) -> Result<()> {
    let (mill, desk) = (&seat.handle.mill, &seat.desk);
    let _told = observe::afterwards();
    mill.ground.check_mode()?;
    check_target(mill, plan)?;
    check_filter(desk.filter.as_ref(), plan.filter.as_ref())?;
    if let Some((_, strategy)) = &plan.strategy {
        desk.try_out(strategy)?;
    }
    let mut manifest = mill.manifest.lock();
    desk.check_write()?;
    let mut changed = manifest.clone();
    let record = changed.groups.iter_mut().find(|group| group.number == desk.incarnation);
    let Some(record) = record else { return Err(Error::GroupDeleted) };
    plan.revise(&mut record.settings)?;
    let (policy, name) = (policy(record), record.settings.strategy.name().to_owned());
    if changed != *manifest {
        changed.save(&*mill.ground.storage, &mill.ground.latch)?;
        *manifest = changed;
    }
    let strategy = plan.strategy.as_ref().map(|(_, strategy)| (Arc::clone(strategy), &*name));
    let before = desk.set_policy(policy, strategy);
    let passed = desk.pass_trimmed();
    drop(manifest);
    drop(before);
    if let Some(target) = &plan.target {
        seat.aim(target);
    }
    passed?;
    // There may be room for more now, and reads may wait for another time.
    desk.ring_all();
    if plan.strategy.is_some() {
        return desk.rebalance(Cause::StrategyChanged);
    }
    desk.maintain()
}
