//! Which member may read which partition, and the hand-over from one to the next.
//!
//! ```text
//!                 given                          revoked
//!   nobody ───────────────▶ a member's ────────────────────▶ leaving
//!     ▲ ▲                        │                            │   │ │
//!     │ │      member goes       │        member goes         │   │ │ given back to the
//!     │ └────────────────────────┘◀───────────────────────────┼───┘ │ same member
//!     │                                                       │     └──▶ a member's
//!     └── idle: its last lease settled, ended or was evicted ─┘
//!                     (then it is given in a later round)
//! ```
//!
//! A *plan* is the final target that a strategy chose; *rounds* lead to it. A round is one
//! generation. The first one revokes: cooperative strategies only what moves, eager ones
//! everything. A partition that is leaving is handed out to nobody; it is given as soon as nobody
//! holds a live lease in it (under an eager strategy, as soon as that is so of all), or when the
//! revocation timeout has evicted who does. (The idea is Kafka's: KIP-429 for the cooperative
//! hand-over, KIP-848 for a target that the group reconciles towards.)
//!
//! Invariants
//! 1. Under an open assignment nobody owns a partition, and everybody reads all of them.
//! 2. Otherwise at most one member owns a partition, and nobody else holds a live lease in it.
//! 3. No partition is revoked and given in one round.
//! 4. The generation grows with every round, and with every opening.
//! 5. `by_slot` lists exactly the partitions that are a member's, under its slot.
//! 6. While a plan is under way, `plan.left` has each partition that is not where it should be.
//!
//! The plan itself, and until when a hand-over may take, are volatile: opening the directory ends
//! all memberships, and what is left of the assignment then is who had what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{Planned, Round};
use super::times::NEVER;
use crate::clock::Moment;

/// In a target: nobody.
pub(crate) const NOBODY: u16 = u16::MAX;

/// How far the generation jumps when the directory is opened after an unclean end: rounds that the
/// journal lost with the power must not be counted again.
const GENERATION_JUMP: u64 = 1 << 20;

/// Generations that are read stay below it, so that what is added to them never wraps.
pub(super) const GENERATIONS_MAX: u64 = 1 << 62;

/// Whose a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Nobody,
    /// The member in that slot reads it.
    Member(u16),
    /// It was taken from that member, or from everybody, who may still hold leases in it.
    Leaving(Option<u16>),
}

/// A target on the way.
#[derive(Debug)]
pub(super) struct Plan {
    target: Box<[u16]>,
    open: bool,
    pub(super) eager: bool,
    pub(super) began: Moment,
    /// Partitions that are not where they should be.
    pub(super) left: BTreeSet<u32>,
    /// How many partitions went from one member to another.
    pub(super) moved: u32,
}

impl Plan {
    /// The slot that a partition is for.
    pub(super) fn target(&self, partition: u32) -> Option<u16> {
        let slot = self.target.get(partition as usize).copied()?;
        (slot != NOBODY).then_some(slot)
    }
}

/// The assignment of a group.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) generation: u64,
    /// Everybody reads everything.
    pub(super) open: bool,
    pub(super) list: Vec<Owner>,
    /// In which generation each partition was given to its owner.
    pub(super) since: Vec<u64>,
    /// The name of who owned it when it went. What moves between members that stay is not written
    /// here: a name that comes back is to find what it had last, and not all it ever had.
    pub(super) before: Vec<Option<Arc<str>>>,
    pub(super) by_slot: BTreeMap<u16, BTreeSet<u32>>,
    pub(super) plan: Option<Plan>,
    /// When who holds leases in a leaving partition is evicted.
    pub(super) until: BTreeMap<u32, Moment>,
    /// Grows with everything that a strategy has to be asked about.
    pub(super) version: u64,
    /// The version that the plan, or what came of it, goes by.
    pub(super) planned: u64,
}

impl Owners {
    pub(super) fn grow(&mut self, partitions: usize) {
        if partitions > self.list.len() {
            self.list.resize(partitions, Owner::Nobody);
            self.since.resize(partitions, 0);
            self.before.resize(partitions, None);
            self.version += 1;
        }
    }

    pub(super) fn owner(&self, partition: u32) -> Owner {
        self.list.get(partition as usize).copied().unwrap_or(Owner::Nobody)
    }

    /// Whether the member in `slot` may be handed entries of a partition.
    pub(super) fn may_read(&self, slot: u16, partition: u32) -> bool {
        self.open || self.owner(partition) == Owner::Member(slot)
    }

    /// Whether the member in `slot` may hold entries of a partition, having been handed them while
    /// it could read it.
    pub(super) fn may_hold(&self, slot: u16, partition: u32) -> bool {
        match self.owner(partition) {
            Owner::Member(owner) | Owner::Leaving(Some(owner)) => owner == slot,
            Owner::Leaving(None) => true,
            Owner::Nobody => self.open,
        }
    }

    /// Puts a partition to where a snapshot says it was.
    pub(super) fn restore(
        &mut self,
        index: usize,
        owner: Owner,
        since: u64,
        before: Option<Arc<str>>,
    ) {
        self.since[index] = since;
        self.before[index] = before;
        let partition = u32::try_from(index).expect("PARTITIONS_MAX fits");
        self.set(partition, owner);
        if matches!(owner, Owner::Leaving(_)) {
            self.until.insert(partition, NEVER);
        }
    }

    /// What the member in `slot` reads; none if everybody reads everything.
    pub(super) fn of(&self, slot: u16) -> impl Iterator<Item = u32> + Clone {
        self.by_slot.get(&slot).into_iter().flatten().copied()
    }

    /// What the member in `slot` has to let go of.
    pub(super) fn leaving(&self, slot: u16) -> impl Iterator<Item = u32> {
        let from = move |p: &&u32| self.owner(**p) == Owner::Leaving(Some(slot));
        self.until.keys().filter(from).copied()
    }

    /// A strategy has to be asked again.
    pub(super) fn is_stale(&self) -> bool {
        self.version != self.planned
    }

    pub(super) fn is_moving(&self) -> bool {
        self.plan.is_some() || !self.until.is_empty()
    }

    fn set(&mut self, partition: u32, owner: Owner) {
        let place = &mut self.list[partition as usize];
        if let Owner::Member(slot) = *place
            && let Some(own) = self.by_slot.get_mut(&slot)
        {
            own.remove(&partition);
            if own.is_empty() {
                self.by_slot.remove(&slot);
            }
        }
        if let Owner::Member(slot) = owner {
            self.by_slot.entry(slot).or_default().insert(partition);
        }
        if !matches!(owner, Owner::Leaving(_)) {
            self.until.remove(&partition);
        }
        *place = owner;
    }

    /// A target was chosen. One that is still on the way to another began when that one did.
    pub(super) fn start(&mut self, planned: &Planned) {
        let before = self.plan.take();
        let began = before.as_ref().map_or(planned.at, |plan| plan.began);
        let moved = before.map_or(0, |plan| plan.moved);
        self.planned = self.version;
        let mut plan = Plan {
            target: planned.target.clone(),
            open: planned.open,
            eager: planned.eager,
            began,
            left: BTreeSet::new(),
            moved,
        };
        if !plan.open {
            let all = (0_u32..).zip(&self.list);
            let astray = all.filter(|(partition, owner)| match plan.target(*partition) {
                Some(slot) => plan.eager || **owner != Owner::Member(slot),
                None => self.open || **owner != Owner::Nobody,
            });
            let astray: BTreeSet<u32> = astray.map(|(partition, _)| partition).collect();
            plan.left = astray;
        }
        self.plan = Some(plan);
    }

    /// Makes a round so. `name` tells who is in a slot, and `busy` is told which partitions went
    /// to somebody else than who had them.
    pub(super) fn turn(
        &mut self,
        round: &Round,
        name: impl Fn(u16) -> Option<Arc<str>>,
        mut moved_on: impl FnMut(u32),
    ) {
        self.generation = round.generation;
        if round.open {
            self.free_all(&name);
        }
        for partition in &round.revoked {
            let from = match self.owner(*partition) {
                Owner::Member(slot) => Some(slot),
                _ => None,
            };
            self.set(*partition, Owner::Leaving(from));
            self.until.insert(*partition, round.until);
        }
        self.open = round.open;
        for (partition, slot) in &round.given {
            let back = self.owner(*partition) == Owner::Leaving(Some(*slot));
            self.set(*partition, Owner::Member(*slot));
            if !back {
                self.since[*partition as usize] = round.generation;
                moved_on(*partition);
            }
            if let Some(plan) = &mut self.plan {
                plan.left.remove(partition);
                plan.moved += u32::from(!back);
            }
        }
        if round.took.is_some() || round.open {
            self.plan = None;
        }
    }

    /// The member in `slot` goes; what it had is nobody's.
    pub(super) fn forget(&mut self, slot: u16, name: &Arc<str>) {
        for before in self.before.iter_mut().filter(|before| before.as_ref() == Some(name)) {
            *before = None;
        }
        let had: Vec<u32> = self.of(slot).chain(self.leaving(slot)).collect();
        for partition in had {
            self.before[partition as usize] = Some(Arc::clone(name));
            self.set(partition, Owner::Nobody);
        }
        if let Some(plan) = &mut self.plan {
            plan.target.iter_mut().filter(|to| **to == slot).for_each(|to| *to = NOBODY);
        }
    }

    fn free_all(&mut self, name: impl Fn(u16) -> Option<Arc<str>>) {
        for (owner, before) in self.list.iter_mut().zip(&mut self.before) {
            if let Owner::Member(slot) | Owner::Leaving(Some(slot)) =
                std::mem::replace(owner, Owner::Nobody)
                && let Some(name) = name(slot)
            {
                *before = Some(name);
            }
        }
        self.by_slot.clear();
        self.until.clear();
    }

    /// Nobody is a member any more: it is remembered who had what.
    pub(super) fn clear(&mut self, name: impl Fn(u16) -> Option<Arc<str>>, generation: u64) {
        self.free_all(name);
        self.open = false;
        self.plan = None;
        self.generation = generation;
        self.since.fill(0);
    }

    /// The generation after an opening.
    pub(super) fn next_generation(&self, unclean: bool) -> u64 {
        self.generation.saturating_add(if unclean { GENERATION_JUMP } else { 1 })
    }

    /// When the first of those who hold leases in a partition that they lost are evicted.
    pub(super) fn next_eviction(&self, busy: impl Fn(u32) -> bool) -> Moment {
        let busy = self.until.iter().filter(|(partition, _)| busy(**partition));
        busy.map(|(_, until)| *until).min().unwrap_or(NEVER)
    }
}
