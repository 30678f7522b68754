//! Bringing an assignment to the target that a strategy chose. What the steps are stands in
//! `owner`.

use std::collections::HashMap;

use super::book::Ledger;
use super::event::{Event, Planned, Round};
use super::owner::{NOBODY, Owner, Plan};
use super::times::{Now, after};
use crate::clock::Moment;

/// Members and partitions, as a strategy has to know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roster {
    /// The members, by name.
    pub(crate) names: Vec<Box<str>>,
    /// Their slots.
    pub(crate) slots: Vec<u16>,
    /// For each partition, the place in `names` of who owns it, or has to let go of it.
    pub(crate) owners: Vec<Option<usize>>,
    /// The same for who owned it before.
    pub(crate) before: Vec<Option<usize>>,
}

/// What a strategy chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Everybody reads everything; then there are no slots.
    pub(crate) open: bool,
    /// All is taken back before anything is given.
    pub(crate) eager: bool,
    /// One for each partition, or [`NOBODY`].
    pub(crate) slots: Box<[u16]>,
}

impl Ledger {
    /// Changes whenever a strategy has to be asked again.
    pub(crate) fn version(&self) -> u64 {
        self.owners.version
    }

    /// Whether a strategy has to be asked: somebody came or went, or there are more partitions.
    pub(crate) fn is_stale(&self) -> bool {
        self.owners.is_stale() && !self.members.names.is_empty()
    }

    /// Asks for a new plan whatever happened.
    pub(crate) fn make_stale(&mut self) {
        self.owners.version += 1;
    }

    /// Whether a plan is under way.
    pub(crate) fn is_moving(&self) -> bool {
        self.owners.is_moving()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.owners.generation
    }

    /// Whether everybody reads everything.
    pub(crate) fn is_open(&self) -> bool {
        self.owners.open
    }

    /// Whether the member in `slot` may be handed entries of a partition.
    pub(crate) fn may_read(&self, slot: u16, partition: u32) -> bool {
        self.owners.may_read(slot, partition)
    }

    /// The partitions of the member in `slot`, in order; none under an open assignment.
    pub(crate) fn owned(&self, slot: u16) -> impl Iterator<Item = u32> + Clone {
        self.owners.of(slot)
    }

    /// The slot of who reads each partition alone, or [`NOBODY`].
    pub(crate) fn readers(&self) -> impl Iterator<Item = u16> {
        self.owners.list.iter().map(|owner| match owner {
            Owner::Member(slot) => *slot,
            _ => NOBODY,
        })
    }

    /// The members by name, with a candidate that is about to join, and what they own.
    pub(crate) fn roster(&self, candidate: Option<(&str, u16)>) -> Roster {
        let live = self.members.names.iter().map(|(name, slot)| (&**name, *slot));
        let mut named: Vec<(&str, u16)> = live.chain(candidate).collect();
        named.sort_unstable();
        let by_slot: HashMap<u16, usize> =
            named.iter().enumerate().map(|(place, (_, slot))| (*slot, place)).collect();
        let by_name: HashMap<&str, usize> =
            named.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect();
        let owners = self.owners.list.iter().map(|owner| match owner {
            Owner::Member(slot) | Owner::Leaving(Some(slot)) => by_slot.get(slot).copied(),
            Owner::Nobody | Owner::Leaving(None) => None,
        });
        let before = self.owners.before.iter();
        let before = before.map(|name| by_name.get(name.as_deref()?).copied());
        Roster {
            owners: owners.collect(),
            before: before.collect(),
            names: named.iter().map(|(name, _)| (*name).into()).collect(),
            slots: named.iter().map(|(_, slot)| *slot).collect(),
        }
    }

    /// Sets out towards a target, which replaces the one before. It revokes what has to be
    /// revoked; [`move_on`](Self::move_on) does the rest, at once or later.
    pub(crate) fn plan(&self, now: Moment, target: Target, out: &mut Vec<Event>) {
        let owners = &self.owners;
        let Target { open, eager, slots } = target;
        let to = |partition: u32| slots.get(partition as usize).copied().unwrap_or(NOBODY);
        let mut revoked = Vec::new();
        let mut astray = false;
        for (partition, owner) in (0..).zip(&owners.list) {
            match *owner {
                _ if open => {}
                _ if owners.open => revoked.push(partition),
                Owner::Member(slot) if eager || slot != to(partition) => revoked.push(partition),
                Owner::Nobody => astray |= to(partition) != NOBODY,
                Owner::Leaving(_) => astray = true,
                Owner::Member(_) => {}
            }
        }
        out.push(Event::Planned(Box::new(Planned { open, eager, target: slots, at: now })));
        if revoked.is_empty() && astray {
            return;
        }
        let began = owners.plan.as_ref().map_or(now, |plan| plan.began);
        // To open the group is to be there; it is a rebalance if it ends one.
        let ends = if open { owners.plan.is_some() } else { revoked.is_empty() };
        let took = ends.then(|| now.0.saturating_sub(began.0));
        out.push(Event::Round(Box::new(Round {
            generation: owners.generation + 1,
            open,
            revoked: revoked.into(),
            given: Box::default(),
            took,
            until: after(now, self.policy.revocation_timeout),
        })));
    }

    /// Goes on towards the target: evicts who had time enough, gives what is free. To be called
    /// again after the events are applied, until there are none.
    pub(crate) fn move_on(&self, now: Now, out: &mut Vec<Event>) {
        let owners = &self.owners;
        for (partition, until) in &owners.until {
            if *until <= now.at && self.is_busy(*partition) {
                let (partition, due) = (*partition, now.at);
                out.push(Event::Evicted { partition, due, last: self.last(now) });
            }
        }
        let Some(plan) = owners.plan.as_ref().filter(|_| out.is_empty()) else { return };
        let (given, stuck) = self.givable(plan);
        if stuck && (plan.eager || given.is_empty()) {
            return;
        }
        out.push(Event::Round(Box::new(Round {
            generation: owners.generation + 1,
            open: false,
            revoked: Box::default(),
            given: given.into(),
            took: (!stuck).then(|| now.at.0.saturating_sub(plan.began.0)),
            until: now.at,
        })));
    }

    /// What can be given now, and whether anything has to wait.
    fn givable(&self, plan: &Plan) -> (Vec<(u32, u16)>, bool) {
        let (mut given, mut stuck) = (Vec::new(), false);
        for partition in plan.left.iter().copied() {
            let back = |slot| self.owners.owner(partition) == Owner::Leaving(Some(slot));
            match plan.target(partition) {
                Some(slot) if !self.is_busy(partition) || (back(slot) && !plan.eager) => {
                    given.push((partition, slot));
                }
                _ => stuck |= self.is_busy(partition),
            }
        }
        (given, stuck)
    }

    /// Whether a plan is under way that began before.
    pub(crate) fn is_rebalancing(&self) -> bool {
        self.owners.plan.is_some()
    }

    /// How many partitions will have gone from one member to another with this round.
    pub(crate) fn moved(&self, round: &Round) -> u32 {
        let before = self.owners.plan.as_ref().map_or(0, |plan| plan.moved);
        let on = round.given.iter().filter(|(partition, slot)| {
            self.owners.owner(*partition) != Owner::Leaving(Some(*slot))
        });
        before.saturating_add(u32::try_from(on.count()).unwrap_or(u32::MAX))
    }

    /// The slot of the member that has to let go of a partition.
    pub(crate) fn leaving_from(&self, partition: u32) -> Option<u16> {
        match self.owners.owner(partition) {
            Owner::Leaving(from) => from,
            _ => None,
        }
    }

    /// The partitions of which the member in `slot` holds entries that it has to let go of.
    pub(crate) fn to_let_go(&self, slot: u16) -> impl Iterator<Item = u32> {
        self.owners.leaving(slot).filter(|partition| self.is_busy(*partition))
    }

    /// The first partition from `from` on, then from the start, that the member in `slot` reads
    /// alone.
    pub(crate) fn owned_from(&self, slot: u16, from: u32) -> Option<u32> {
        let own = self.owners.by_slot.get(&slot)?;
        own.range(from..).next().or_else(|| own.first()).copied()
    }

    /// Whether a partition is being handed over that nobody holds live leases in.
    pub(crate) fn is_let_go(&self, partition: u32) -> bool {
        matches!(self.owners.owner(partition), Owner::Leaving(_)) && !self.is_busy(partition)
    }

    /// Whether somebody holds live leases in a partition that is being handed over.
    pub(super) fn is_busy(&self, partition: u32) -> bool {
        let leaving = matches!(self.owners.owner(partition), Owner::Leaving(_));
        leaving && self.entries.window(partition).is_some_and(|window| window.leased > 0)
    }
}
