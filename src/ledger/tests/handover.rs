//! Partitions on their way from member to member, against the naive model.
//!
//! To what `versus` compares after each step this adds whose each partition is, what a strategy is
//! shown, and what each event says: a generation grows with every round, nothing is revoked and
//! given in one round, and no partition is given while somebody else holds live leases in it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::owner::Owner;
use super::super::{NOBODY, OnTrimmed, Standing};
use super::hands::{Place, Wish};
use super::model::{REVOCATION, name_of};
use super::ops::{Op, Strategist, owned_op};
use super::versus::{NAMES, Pair};
use super::*;
use crate::assign::{
    Assign, Assignment, CooperativeSticky, Handover, Range, RoundRobin, Sticky, View, decide,
    handover_of,
};

const STARTS: [u64; 4] = [250, 0, 510, 3];
const PARTITIONS_MAX: usize = 6;

impl Strategist {
    fn strategy(self) -> Box<dyn Assign> {
        match self {
            Self::Range => Box::new(Range),
            Self::RoundRobin => Box::new(RoundRobin),
            Self::Sticky => Box::new(Sticky),
            Self::CooperativeSticky => Box::new(CooperativeSticky),
        }
    }
}

/// A pair, and what its rounds have to be compared with.
struct Group {
    pair: Pair,
    generation: u64,
    /// When each partition was last taken from somebody.
    revoked: BTreeMap<u32, u64>,
}

impl Pair {
    /// What only partitions with owners know.
    pub(super) fn assign(&mut self, op: &Op) {
        match op {
            Op::Follow(strategist) => {
                self.strategist = *strategist;
                self.desk.ledger.make_stale();
            }
            Op::Choose { table, eager } => {
                self.strategist = None;
                let slots: Vec<u16> =
                    self.desk.ledger.members().map(|member| member.id.slot).collect();
                let slot = |who: usize| slots.get(who % slots.len().max(1)).copied();
                let table = table.iter().take(self.model.ends.len());
                let slots = table.map(|who| who.and_then(slot).unwrap_or(NOBODY)).collect();
                self.plan(Target { open: false, eager: *eager, slots });
            }
            Op::Open => {
                self.strategist = None;
                self.plan(Target { open: true, eager: false, slots: Box::default() });
            }
            Op::Grow if self.model.ends.len() < PARTITIONS_MAX => {
                self.desk.ledger.grow(&[0]);
                let model = &mut self.model;
                for list in [
                    &mut model.ends,
                    &mut model.cursors,
                    &mut model.log_starts,
                    &mut model.trimmed,
                    &mut model.reset,
                ] {
                    list.push(0);
                }
                self.model.hands.grow(self.model.ends.len());
            }
            _ => {}
        }
    }

    /// The members by name.
    fn members(&self) -> Vec<(&'static str, u64, u16)> {
        let known = |name: &'static str| Some((name, self.desk.ledger.member(name)?));
        NAMES.into_iter().filter_map(known).map(|(name, id)| (name, id.join, id.slot)).collect()
    }

    fn join_of(&self, slot: u16) -> Option<u64> {
        self.members().into_iter().find(|member| member.2 == slot).map(|member| member.1)
    }

    /// Asks the strategy if it has to be asked.
    fn follow(&mut self) {
        let Some(strategist) = self.strategist else { return };
        if !self.desk.ledger.is_stale() {
            return;
        }
        let strategy = strategist.strategy();
        let roster = self.desk.ledger.roster(None);
        let view = View::from_tables(roster.names, roster.owners, roster.before);
        let eager = handover_of(&*strategy).unwrap() == Handover::Eager;
        let Assignment::Owners(owners) = decide(&*strategy, &view).unwrap() else {
            panic!("{strategist:?} assigns")
        };
        let slots = owners.into_iter().map(|place| roster.slots[place]).collect();
        self.plan(Target { open: false, eager, slots });
        assert!(!self.desk.ledger.is_stale());
    }

    fn plan(&mut self, target: Target) {
        let owners = target.slots.iter().map(|slot| self.join_of(*slot)).collect();
        let (open, eager) = (target.open, target.eager);
        self.desk.run(|ledger, now, out| ledger.plan(now.at, target, out));
        if open {
            self.model.hands.open_all(|join| name_of(&self.model.people, join));
        } else {
            let until = self.now() + REVOCATION;
            self.model.hands.want(Wish { owners, eager }, until);
        }
    }
}

impl Group {
    fn step(&mut self, op: &Op) {
        self.pair.step(op);
        self.hear();
        self.move_on();
        self.pair.follow();
        self.hear();
        self.move_on();
        assert!(!self.pair.desk.ledger.is_moving() || self.is_held_up());
    }

    /// Looks at what happened.
    fn hear(&mut self) {
        for event in std::mem::take(&mut self.pair.desk.told) {
            let generation = match &event {
                Event::Round(round) => {
                    let given: BTreeSet<u32> = round.given.iter().map(|(p, _)| *p).collect();
                    assert!(round.revoked.iter().all(|partition| !given.contains(partition)));
                    let now = self.pair.now();
                    self.revoked.extend(round.revoked.iter().map(|partition| (*partition, now)));
                    round.generation
                }
                Event::Reopened(reopening) => {
                    self.revoked.clear();
                    reopening.generation
                }
                _ => continue,
            };
            assert!(generation > self.generation, "the generation grows with each round");
            self.generation = generation;
        }
        assert_eq!(self.pair.desk.ledger.generation(), self.generation);
    }

    /// Goes on with a hand-over step by step, as far as it goes.
    fn move_on(&mut self) {
        for steps in 0.. {
            assert!(steps < 4, "evict, give, and no more");
            let holders = self.holders();
            let pair = &mut self.pair;
            pair.desk.run(|ledger, now, out| ledger.move_on(now, out));
            let told = pair.desk.told.clone();
            let evicted = pair.model.evict(pair.now());
            let (expected, moved) =
                if evicted.is_empty() { pair.model.give() } else { Default::default() };
            let (mut given, mut gone) = (Vec::new(), Vec::new());
            for event in &told {
                match event {
                    Event::Evicted { partition, .. } => gone.push(*partition),
                    Event::Round(round) => {
                        for (partition, slot) in &round.given {
                            let join = pair.join_of(*slot).unwrap();
                            let others = holders[partition].iter().any(|holder| *holder != join);
                            assert!(!others, "{partition} was given while it was held");
                            given.push((*partition, join));
                        }
                        for partition in &moved {
                            pair.model.hands.since[*partition as usize] = round.generation;
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((gone, given), (evicted, expected));
            self.hear();
            if told.is_empty() {
                return;
            }
        }
    }

    /// Who holds live leases, by partition.
    fn holders(&self) -> BTreeMap<u32, BTreeSet<u64>> {
        let ledger = &self.pair.desk.ledger;
        let of = |partition| {
            let leased = ledger.all_pending(partition);
            let leased = leased.filter(|entry| matches!(entry.standing, Standing::Leased(_)));
            let join = |name: Option<&str>| ledger.member(name.unwrap()).unwrap().join;
            (partition, leased.map(|entry| join(entry.member)).collect())
        };
        (0..self.pair.partitions()).map(of).collect()
    }

    /// Whether somebody still holds what he has to let go of, or nobody is to have it.
    fn is_held_up(&self) -> bool {
        let holders = self.holders();
        let places = (0..).zip(&self.pair.model.hands.places);
        let mut leaving = places.filter(|(_, place)| matches!(place, Place::Leaving(_)));
        let wanted = |partition: u32| {
            let wish = self.pair.model.hands.wish.as_ref();
            wish.is_some_and(|wish| wish.owners[partition as usize].is_some())
        };
        leaving.any(|(partition, _)| !holders[&partition].is_empty() || !wanted(partition))
    }

    fn compare(&mut self) {
        self.pair.compare();
        let (ledger, hands) = (&self.pair.desk.ledger, &self.pair.model.hands);
        assert_eq!(ledger.is_open(), hands.open);
        let holders = self.holders();
        let now = self.pair.now();
        for (partition, owner) in (0..).zip(&ledger.owners.list) {
            let place = match *owner {
                Owner::Nobody => Place::Nobody,
                Owner::Member(slot) => Place::Of(self.pair.join_of(slot).unwrap()),
                Owner::Leaving(None) => Place::Leaving(None),
                Owner::Leaving(Some(slot)) => Place::Leaving(self.pair.join_of(slot)),
            };
            assert_eq!(place, hands.place(partition), "{partition}");
            // What everybody read lately may be in several hands until it is given.
            let shared = hands.open || place == Place::Leaving(None);
            assert!(shared || holders[&partition].len() <= 1, "{partition} is in two hands");
            let revoked =
                self.revoked.get(&partition).filter(|_| matches!(place, Place::Leaving(_)));
            let late = revoked.is_some_and(|revoked| now >= revoked + REVOCATION);
            assert!(!late || holders[&partition].is_empty(), "{partition} is never let go of");
        }
        assert_eq!(ledger.roster(None), hands.roster(&self.pair.members()));
        assert_eq!(ledger.is_rebalancing(), hands.wish.is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn partitions_move_as_in_the_naive_model(
        end in super::ops::exhausted(),
        then in prop::sample::select(vec![OnTrimmed::Earliest, OnTrimmed::Latest, OnTrimmed::Error]),
        ops in prop::collection::vec(owned_op(), 1..200),
    ) {
        let pair = Pair::new(end, then, &STARTS, true);
        let mut group = Group { pair, generation: 0, revoked: BTreeMap::new() };
        group.pair.strategist = Some(Strategist::CooperativeSticky);
        for op in &ops {
            group.step(op);
            group.compare();
            group.pair.compare_stored();
        }
    }
}
