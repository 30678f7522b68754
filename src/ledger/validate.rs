//! Every invariant of the ledger and its parts, as one check that each property test makes after
//! each step.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Ledger;
use super::entries::is_deferred;
use super::hold::{BEFORE, NONE};
use super::owner::Owner;
use super::times::NEVER;
use super::window::{CHUNK, State, Tag, Window, chunk_of, span_of};
use crate::clock::Moment;
use crate::id::EntryId;

/// What a walk over all entries finds.
#[derive(Default)]
struct Found {
    leased: u64,
    waiting: u64,
    suspects: u64,
    exhausted: BTreeSet<EntryId>,
    deferred: u64,
    leased_by: BTreeMap<u16, u64>,
    leased_under: BTreeMap<u64, u64>,
    refs: BTreeMap<u32, u64>,
    due: BTreeSet<(u64, EntryId)>,
}

impl Ledger {
    /// Panics if an invariant is broken.
    pub(crate) fn validate(&self) {
        let mut found = Found::default();
        for (partition, window) in self.entries.numbered() {
            self.validate_window(partition, window, &mut found);
        }
        self.validate_index(&found);
        self.validate_members();
        self.validate_owners();
        self.validate_doom(&found);
        for (id, parked) in &self.parked {
            let window = self.entries.window(id.partition()).expect("parked in a partition");
            let tag = window.groups(id.offset()..id.offset() + 1).next().map(|group| group.tag);
            assert_eq!(tag, Some(Tag::SETTLED), "{id} is parked");
            assert!(parked.lease < self.next_lease, "{id} was leased");
        }
        assert!(self.first_lease > 0 && self.first_lease <= self.next_lease);
    }

    fn validate_window(&self, partition: u32, window: &Window, found: &mut Found) {
        assert!(window.floor <= window.cursor, "floor {} {}", window.floor, window.cursor);
        if window.floor < window.cursor {
            let group = window.groups(window.floor..window.cursor).next().expect("not empty");
            assert!(group.tag.state().is_pending(), "the floor is at a pending entry: {group:?}");
        }
        let (mut pending, mut in_hands) = (0, 0);
        window.chunks.validate();
        for (number, chunk) in window.chunks.iter() {
            let start = number * CHUNK;
            assert!(start <= window.cursor, "a chunk beyond the cursor");
            assert!(chunk_of(window.floor) <= number, "a chunk below the floor");
            let (mut leased, mut settled, mut at, mut first) = (0, 0, start, NEVER);
            while at < start + CHUNK {
                let group = chunk.group(at, start + CHUNK);
                let state = group.tag.state();
                match state {
                    State::Fresh => assert!(at >= window.cursor, "{at} fresh below the cursor"),
                    State::Settled => {
                        assert!(group.end() <= window.cursor, "{at} settled before its time");
                        settled += group.count;
                    }
                    _ => assert!(at >= window.floor && group.end() <= window.cursor),
                }
                assert_eq!(group.hold == NONE, !state.is_pending(), "{group:?}");
                at = group.end();
                if !state.is_pending() {
                    assert_eq!(group.tag.attempts(), 0, "{group:?}");
                    continue;
                }
                pending += group.count;
                *found.refs.entry(group.hold).or_default() += group.count;
                let hold = self.entries.index.holds.get(group.hold);
                assert!(hold.lease <= self.next_lease - self.first_lease, "{hold:?} was given");
                if state == State::Leased {
                    leased += group.count;
                    *found.leased_under.entry(hold.lease).or_default() += group.count;
                    first = first.min(hold.time);
                    *found.leased_by.entry(hold.slot).or_default() += group.count;
                    assert!(self.members.in_slot(hold.slot).is_some(), "{hold:?} has a member");
                    let may = self.owners.may_hold(hold.slot, partition);
                    assert!(may, "{hold:?} in {partition} is its owner's");
                } else if state == State::Exhausted {
                    let offsets = group.first..group.end();
                    let doomed = offsets.map(|at| EntryId::new(partition, at));
                    found.exhausted.extend(doomed);
                } else {
                    let offsets = group.first..group.end();
                    let due = |at| (hold.time.0, EntryId::new(partition, at));
                    found.due.extend(offsets.map(due));
                    found.waiting += group.count;
                    found.suspects += if state == State::Suspect { group.count } else { 0 };
                    if is_deferred(state, hold.slot) {
                        found.deferred += group.count;
                        assert_eq!((hold.lease, group.tag.attempts()), (BEFORE, 0), "{group:?}");
                    }
                }
            }
            found.leased += leased;
            in_hands += leased;
            assert_eq!((u64::from(chunk.leased), u64::from(chunk.settled)), (leased, settled));
            assert!(settled < CHUNK, "a chunk that is settled is freed");
            self.validate_bounds(partition, window, number, first);
        }
        let spans: BTreeSet<u64> =
            window.chunks.iter().map(|(number, _)| span_of(number)).collect();
        assert!(spans.iter().eq(window.spans.keys()), "spans of chunks that are there");
        assert_eq!((window.pending, window.leased), (pending, in_hands));
    }

    /// What is kept of a chunk as a whole, whose first lease ends at `first`.
    fn validate_bounds(&self, partition: u32, window: &Window, number: u64, first: Moment) {
        let chunk = window.chunks.get(number).expect("it was met");
        assert!(chunk.touched <= self.touched_in(partition, number), "touched before its bound");
        assert!(window.spans[&span_of(number)] <= chunk.touched, "a span's bound is its own");
        assert!(chunk.earliest <= first, "a bound after a deadline");
        let bound = (chunk.earliest, partition, number);
        assert_eq!(self.entries.index.bounds.contains(&bound), chunk.earliest < NEVER);
    }

    fn validate_index(&self, found: &Found) {
        let index = &self.entries.index;
        let counts = (index.leased, index.waiting, index.suspects, index.deferred);
        assert_eq!(counts, (found.leased, found.waiting, found.suspects, found.deferred));
        for (slot, count) in (0..).zip(&index.leased_by) {
            assert_eq!(*count, found.leased_by.get(&slot).copied().unwrap_or(0), "slot {slot}");
        }
        index.sizes.validate(&found.leased_under);
        assert_eq!(index.holds.live() as usize, found.refs.len(), "holds in use");
        for (hold, refs) in &found.refs {
            assert_eq!(index.holds.refs(*hold), *refs, "entries of hold {hold}");
        }
        index.due.validate();
        for id in index.touches.extended() {
            let window = self.entries.window(id.partition()).expect("extended in a partition");
            let group = window.groups(id.offset()..id.offset() + 1).next();
            assert!(group.is_some_and(|g| g.tag.state().is_pending()), "{id} was extended");
        }
        let mut due = BTreeSet::new();
        for (moment, id, count) in index.due.runs() {
            assert!(count > 0, "an empty run is due");
            for at in id.offset()..id.offset() + count {
                let new = due.insert((moment.0, EntryId::new(id.partition(), at)));
                assert!(new, "{id} is due twice");
            }
        }
        assert_eq!(due, found.due, "what is due is what waits");
        for (bound, partition, number) in &index.bounds {
            let chunk = self.entries.window(*partition).and_then(|w| w.chunks.get(*number));
            assert_eq!(chunk.map(|chunk| chunk.earliest), Some(*bound), "a bound of a chunk");
        }
    }

    fn validate_doom(&self, found: &Found) {
        assert_eq!(self.entries.index.exhausted, found.exhausted.len() as u64);
        let doomed: BTreeSet<EntryId> = self.doom.list.keys().copied().collect();
        assert_eq!(doomed, found.exhausted, "what is exhausted goes to the dead letters");
        for id in self.given.firsts.keys().chain(self.doom.list.keys()) {
            let window = self.entries.window(id.partition()).expect("an entry of a partition");
            let group = window.groups(id.offset()..id.offset() + 1).next().expect("one entry");
            assert!(group.tag.state().is_pending(), "{id} is still pending");
            let doomed = self.doom.list.get(id);
            assert!(doomed.is_none_or(|doomed| doomed.attempts == group.tag.attempts()));
            assert!(
                doomed.is_none() || !self.given.firsts.contains_key(id),
                "{id} failed for good"
            );
        }
    }

    fn validate_owners(&self) {
        let owners = &self.owners;
        assert_eq!(owners.list.len(), self.partitions());
        let mut by_slot: BTreeMap<u16, BTreeSet<u32>> = BTreeMap::new();
        for (partition, owner) in (0..).zip(&owners.list) {
            assert!(!owners.open || *owner == Owner::Nobody, "{partition} is open");
            if let Owner::Member(slot) | Owner::Leaving(Some(slot)) = owner {
                assert!(self.members.in_slot(*slot).is_some(), "{partition} has an owner");
            }
            if let Owner::Member(slot) = owner {
                by_slot.entry(*slot).or_default().insert(partition);
            }
            let leaving = matches!(owner, Owner::Leaving(_));
            assert_eq!(owners.until.contains_key(&partition), leaving, "{partition} has a time");
            assert!(owners.since[partition as usize] <= owners.generation);
            let Some(plan) = &owners.plan else { continue };
            let there = match plan.target(partition) {
                Some(slot) => *owner == Owner::Member(slot),
                None => *owner == Owner::Nobody,
            };
            assert!(there || plan.left.contains(&partition), "{partition} is forgotten");
        }
        assert_eq!(by_slot, owners.by_slot);
    }

    fn validate_members(&self) {
        let names = self.members.live().map(|(id, member)| (member.name.clone(), id.slot));
        assert_eq!(names.collect::<BTreeMap<_, _>>(), self.members.names);
        for (id, member) in self.members.live() {
            assert!(id.join < self.members.next_join, "join numbers grow");
            assert!(member.since <= self.next_lease);
            let runs = member.blocked == 0;
            assert!(!runs || self.members.wake <= member.alive_until, "a session ends unseen");
        }
    }
}
