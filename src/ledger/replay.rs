//! Events from the disk: checked against the state before they are applied.
//!
//! Whatever the bytes were, a decoded event either fits the state or is [`Inconsistent`]; it never
//! makes the ledger panic, loop or allocate more than what it names justifies. What it names beyond
//! the recovered end of its log is left out, as the entries are gone: a run can only be as long as
//! entries are stored.

use super::book::{Ledger, OFFSETS_MAX};
use super::event::{Event, Round, Run};
use super::hold::LEASES_MAX;
use super::member::{MEMBERS_MAX, NAME_BYTES_MAX};
use super::owner::{GENERATIONS_MAX, Owner};
use super::window::{Group, State};
use crate::id::EntryId;

/// The most partitions that a stored ledger may have.
pub(super) const PARTITIONS_MAX: usize = 65_536;

/// Stored bytes or events that no ledger wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("inconsistent: {0}")]
pub(crate) struct Inconsistent(pub(crate) &'static str);

/// Fails with `what` unless it holds.
pub(super) fn ensure(holds: bool, what: &'static str) -> Result<(), Inconsistent> {
    if holds { Ok(()) } else { Err(Inconsistent(what)) }
}

/// Brings an offset down to the end of its log; says whether it was beyond.
fn cut_to(offset: &mut u64, end: u64) -> bool {
    let beyond = *offset > end;
    *offset = (*offset).min(end);
    beyond
}

impl Ledger {
    /// Applies a stored event, as far as it speaks of entries below `ends`, the recovered ends of
    /// the logs.
    pub(crate) fn replay(&mut self, mut event: Event, ends: &[u64]) -> Result<(), Inconsistent> {
        let cut = self.clamp(&mut event, ends);
        self.check(&event)?;
        self.apply(&event);
        self.cut |= cut;
        Ok(())
    }

    /// Leaves out what the log no longer has, and says whether there was any.
    fn clamp(&self, event: &mut Event, ends: &[u64]) -> bool {
        let end_of = |partition: u32| ends.get(partition as usize).copied().unwrap_or(0);
        if let Some(run) = event.run_mut() {
            let kept = run.below(end_of(run.partition));
            let cut = kept != *run;
            *run = kept;
            return cut;
        }
        match event {
            Event::Skipped { partition, first, end, .. } => {
                let last = end_of(*partition);
                let cut = *end > last;
                (*first, *end) = ((*first).min(last), (*end).min(last));
                cut
            }
            Event::SettledThrough { partition, end, .. } | Event::Passed { partition, end, .. } => {
                cut_to(end, end_of(*partition))
            }
            Event::Reset { partition, to } => cut_to(to, end_of(*partition)),
            // It forgot what was left out, unless the log has lost more since.
            Event::Reopened(reopening) => {
                let mut then = (0..).zip(&reopening.ends);
                self.cut && then.any(|(partition, end)| *end > end_of(partition))
            }
            _ => false,
        }
    }

    /// Whether the event can happen in this state.
    pub(super) fn check(&self, event: &Event) -> Result<(), Inconsistent> {
        if let Some(run) = event.run() {
            let in_bounds =
                run.first.checked_add(run.count.into()).is_some_and(|end| end <= OFFSETS_MAX);
            ensure(in_bounds || run.count == 0, "an offset is out of bounds")?;
            ensure(self.entries.window(run.partition).is_some(), "no such partition")?;
        }
        match event {
            Event::Joined { slot, join, name, .. } => self.check_joined(*slot, *join, name),
            Event::Left { slot, .. } => {
                ensure(self.members.in_slot(*slot).is_some(), "nobody leaves")
            }
            Event::HandedOut { run, lease, slot, .. } => self.check_handed_out(*run, *lease, *slot),
            Event::Claimed { run, lease, slot, .. } => {
                self.check_lease(*run, *lease, *slot)?;
                self.check_states(*run, State::is_pending, "what is not pending is claimed")
            }
            Event::Extended { run, .. } => self.check_extended(*run),
            Event::Settled { run, .. } | Event::Parked { run, .. } => {
                self.check_states(*run, State::is_pending, "what is not pending is settled")
            }
            Event::Waits { run, .. } => self.check_states(
                *run,
                |state| state == State::Leased,
                "what is not leased waits again",
            ),
            Event::Deferred { run, .. } => self.check_deferred(*run),
            Event::Redriven { run, .. } | Event::Dropped { run } => self.check_parked(*run),
            Event::Skipped { partition, first, end, .. } => {
                let window = self.entries.window(*partition);
                let window = window.ok_or(Inconsistent("no such partition"))?;
                ensure(*end <= OFFSETS_MAX, "an offset is out of bounds")?;
                ensure(first <= end, "a range ends before it starts")?;
                ensure(*first <= window.cursor, "a range starts beyond the cursor")
            }
            Event::SettledThrough { partition, end: offset, .. }
            | Event::Passed { partition, end: offset, .. }
            | Event::Reset { partition, to: offset } => {
                ensure(self.entries.window(*partition).is_some(), "no such partition")?;
                ensure(*offset <= OFFSETS_MAX, "an offset is out of bounds")
            }
            Event::Paused(_) | Event::Resumed => Ok(()),
            Event::Planned(planned) => {
                let slots = planned.target.len();
                ensure(planned.open || slots == self.partitions(), "a target of other partitions")
            }
            Event::Round(round) => self.check_round(round),
            Event::Evicted { partition, .. } => {
                let leaving = matches!(self.owners.owner(*partition), Owner::Leaving(_));
                ensure(leaving, "who keeps a partition is evicted")
            }
            Event::Reopened(reopening) => {
                self.check_generation(reopening.generation)?;
                // There were fewer if partitions were added since.
                let ends = reopening.ends.len();
                ensure(ends <= self.partitions(), "an end of no partition")?;
                ensure(reopening.next_lease >= self.next_lease, "lease numbers went back")
            }
            other => self.check_given_up(other),
        }
    }

    /// The same for what becomes of entries whose attempts are over.
    fn check_given_up(&self, event: &Event) -> Result<(), Inconsistent> {
        match event {
            Event::Doomed { run, .. } => {
                self.check_states(*run, State::may_come, "what is not pending is exhausted")
            }
            Event::Intended { run, .. } | Event::Buried { run } => self.check_states(
                *run,
                |state| state == State::Exhausted,
                "what is not exhausted goes to the letters",
            ),
            Event::Revived { run, .. } => {
                let settled = |state| state == State::Settled;
                self.check_states(*run, settled, "what is not settled is revived")?;
                self.check_revived(*run)
            }
            _ => Ok(()),
        }
    }

    fn check_joined(&self, slot: u16, join: u64, name: &str) -> Result<(), Inconsistent> {
        // The lowest vacant slot, so that a stored slot number cannot make the table long.
        let vacant = self.members.vacant().ok();
        ensure(vacant == Some(slot), "a member joins in another slot than the next")?;
        ensure(usize::from(slot) < MEMBERS_MAX, "too many members")?;
        ensure(join >= self.members.next_join && join < u64::MAX, "join numbers went back")?;
        ensure(
            !name.is_empty() && name.len() <= NAME_BYTES_MAX,
            "a member's name is out of bounds",
        )?;
        ensure(!self.members.names.contains_key(name), "a member joins twice")
    }

    fn check_handed_out(&self, run: Run, lease: u64, slot: u16) -> Result<(), Inconsistent> {
        self.check_lease(run, lease, slot)?;
        let window = self.entries.window(run.partition);
        if window.is_some_and(|window| window.cursor == run.first) {
            return Ok(());
        }
        self.check_states(run, State::waits, "what is not available is handed out")
    }

    fn check_lease(&self, run: Run, lease: u64, slot: u16) -> Result<(), Inconsistent> {
        ensure(self.members.in_slot(slot).is_some(), "a hand-out to nobody")?;
        // The runs of one read share its number.
        ensure(lease.saturating_add(1) >= self.next_lease, "lease numbers went back")?;
        ensure(lease >= self.first_lease, "lease numbers went back")?;
        ensure(lease - self.first_lease < LEASES_MAX && lease < u64::MAX, "no such lease number")?;
        ensure(self.may_read(slot, run.partition), "a hand-out of another member's partition")
    }

    fn check_extended(&self, run: Run) -> Result<(), Inconsistent> {
        let Some(window) = self.entries.window(run.partition) else { return Ok(()) };
        let good = window.groups(run.offsets()).all(|group| match group.tag.state() {
            State::Leased => true,
            State::Waiting => {
                let hold = self.entries.index.holds.get(group.hold);
                self.silenced(window, hold).is_none()
                    && self.owners.may_hold(hold.slot, run.partition)
            }
            _ => false,
        });
        ensure(good, "a lease that cannot go on is extended")
    }

    fn check_generation(&self, generation: u64) -> Result<(), Inconsistent> {
        ensure(generation > self.owners.generation, "generations went back")?;
        ensure(generation < GENERATIONS_MAX, "no such generation")
    }

    fn check_round(&self, round: &Round) -> Result<(), Inconsistent> {
        let Round { generation, open, revoked, given, .. } = round;
        self.check_generation(*generation)?;
        if *open {
            return ensure(revoked.is_empty() && given.is_empty(), "what is open is given");
        }
        let partitions = self.partitions();
        ensure(revoked.is_sorted_by(|a, b| a < b), "partitions out of order")?;
        ensure(given.is_sorted_by(|a, b| a.0 < b.0), "partitions out of order")?;
        for partition in revoked {
            ensure((*partition as usize) < partitions, "no such partition")?;
            let owned = matches!(self.owners.owner(*partition), Owner::Member(_));
            ensure(owned || self.owners.open, "what is nobody's is revoked")?;
        }
        let open = self.entries.numbered().filter(|_| self.owners.open);
        let mut held = open.filter(|(_, window)| window.leased > 0).map(|(partition, _)| partition);
        let all = held.all(|partition| revoked.binary_search(&partition).is_ok());
        ensure(all, "some of what is open is revoked")?;
        for (partition, slot) in given {
            ensure((*partition as usize) < partitions, "no such partition")?;
            ensure(self.members.in_slot(*slot).is_some(), "a partition is given to nobody")?;
            ensure(revoked.binary_search(partition).is_err(), "revoked and given in one round")?;
            let free = match self.owners.owner(*partition) {
                Owner::Nobody => true,
                Owner::Member(_) => false,
                Owner::Leaving(from) => from == Some(*slot) || !self.is_busy(*partition),
            };
            ensure(free, "what somebody holds is given")?;
        }
        Ok(())
    }

    fn check_states(
        &self,
        run: Run,
        good: impl Fn(State) -> bool,
        otherwise: &'static str,
    ) -> Result<(), Inconsistent> {
        ensure(self.groups(run).all(|group| good(group.tag.state())), otherwise)
    }

    fn groups(&self, run: Run) -> impl Iterator<Item = Group> {
        let window = self.entries.window(run.partition);
        window.into_iter().flat_map(move |window| window.groups(run.offsets()))
    }

    fn check_parked(&self, run: Run) -> Result<(), Inconsistent> {
        let ids = EntryId::new(run.partition, run.first)..EntryId::new(run.partition, run.end());
        let parked = if run.count == 0 { 0 } else { self.parked.range(ids).count() };
        ensure(parked as u64 == u64::from(run.count), "what is not parked is redriven")
    }
}
