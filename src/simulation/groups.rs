//! What a group must know of each entry.
//!
//! # Invariants
//! 1. `now` holds the states that an entry may be in at the moment: more than one after a call that
//!    failed, or that does nothing to a lease that ended.
//! 2. `soon` is what it changes to with the next call, because a handle was dropped.
//! 3. `past` holds the states since the last time all was synced: a crash may bring any back.
//! 4. An entry without a fate was never handed out.
//! 5. `last` is the newest token of each entry.

use std::collections::{BTreeMap, HashSet};

use super::rules::Rules;
use super::sight::{Sight, State};
use super::world::{LATE, Partition, Verdict};
use super::writers::is_delayed;
use crate::id::{EntryId, Token};
use crate::policy::AckMode;

#[derive(Clone, Debug)]
struct Fate {
    past: Vec<State>,
    now: Vec<State>,
    soon: Option<State>,
}

impl Fate {
    fn of(state: State) -> Self {
        Self { past: Vec::new(), now: vec![state], soon: None }
    }

    fn set(&mut self, state: State) {
        self.past.append(&mut self.now);
        self.past.extend(self.soon.take());
        self.now.push(state);
    }
}

/// Whether the group is there after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existence {
    Sure,
    /// The call that makes or deletes it failed.
    Doubtful,
}

/// What one group must know.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) rules: Rules,
    pub(super) existence: Existence,
    /// Tells handles of a deleted group of that name from the ones of this.
    pub(super) epoch: u64,
    start: Vec<u64>,
    fates: BTreeMap<EntryId, Fate>,
    /// Acks that worked since the last time all was synced, in their order.
    acks: Vec<EntryId>,
    /// Every token that was ever given: somebody may have kept it.
    tokens: HashSet<Token>,
    last: BTreeMap<EntryId, Token>,
    /// The greatest generation that anybody was told, and what that was when the stream was opened.
    generation: u64,
    opened_at: u64,
    /// Whether hand-outs are stopped for good, as far as that is known.
    pub(super) paused: Option<bool>,
}

impl Model {
    pub(super) fn new(rules: Rules, start: Vec<u64>, epoch: u64) -> Self {
        let existence = Existence::Doubtful;
        Self {
            rules,
            existence,
            epoch,
            start,
            fates: BTreeMap::new(),
            acks: Vec::new(),
            tokens: HashSet::new(),
            last: BTreeMap::new(),
            generation: 0,
            opened_at: 0,
            paused: Some(false),
        }
    }

    /// Partitions were added.
    pub(super) fn grow(&mut self, partitions: usize) {
        self.start.resize(partitions, 0);
    }

    /// Whether an entry is for the group.
    pub(super) fn takes(&self, partitions: &[Partition], id: EntryId) -> bool {
        let items = &partitions[id.partition() as usize].items;
        let offset = usize::try_from(id.offset()).expect("there are few entries");
        (self.rules.takes)(items.get(offset).map_or(Some(LATE), |item| item.subject()))
    }

    fn now(&self, id: EntryId) -> &[State] {
        self.fates.get(&id).map_or(&[State::New], |fate| &fate.now)
    }

    fn fate(&mut self, id: EntryId) -> &mut Fate {
        self.fates.entry(id).or_insert_with(|| Fate::of(State::New))
    }

    /// The entry changed.
    pub(super) fn set(&mut self, id: EntryId, state: State) {
        self.fate(id).set(state);
    }

    /// The entry may have changed.
    pub(super) fn perhaps(&mut self, id: EntryId, state: State) {
        self.fate(id).now.push(state);
    }

    /// The handle of an attempt was dropped: with the next call it is handed back, `taken` or not.
    pub(super) fn dropped(&mut self, id: EntryId, attempts: u16, taken: bool) {
        let known = self.fates.get(&id).is_some_and(|fate| fate.soon.is_some());
        let held = self.now(id)[0] == State::Out(attempts) && !known;
        if self.rules.ack != AckMode::Explicit {
            // It is left to its mode, but released if its consumer goes before anybody looked at it.
            if held && !taken {
                self.perhaps(id, State::Back(attempts - 1));
            }
        } else if held && !(taken && attempts == self.rules.max_deliveries) {
            self.fate(id).soon = Some(State::Back(attempts - u16::from(!taken)));
        }
    }

    /// What was to change with the next call did.
    pub(super) fn settle_soon(&mut self) {
        for fate in self.fates.values_mut() {
            if let Some(state) = fate.soon.take() {
                fate.set(state);
            }
        }
    }

    /// An ack worked; `durable` says whether it was promised to stay.
    pub(super) fn acked(&mut self, id: EntryId, durable: bool) {
        self.set(id, State::Done);
        if durable {
            self.fate(id).past.clear();
        }
        self.acks.push(id);
    }

    /// How often the entry was handed out, as far as is known.
    pub(super) fn attempts(&self, id: EntryId) -> u16 {
        match self.now(id)[0] {
            State::Out(attempts) | State::Back(attempts) => attempts,
            _ => 0,
        }
    }

    /// The entry was handed out.
    pub(super) fn delivered(
        &mut self,
        token: Token,
        attempt: u16,
        partitions: &[Partition],
    ) -> Verdict {
        let id = token.id();
        if !self.takes(partitions, id) {
            return Err(format!("{id} was handed out, and is not for the group"));
        }
        if self.paused == Some(true) {
            return Err(format!("{id} was handed out in a pause"));
        }
        if !self.tokens.insert(token) {
            return Err(format!("{token:?} was given twice"));
        }
        let now = self.now(id);
        let fits = |state: &State| match state {
            State::New => attempt == 1,
            State::Out(before) | State::Back(before) => attempt == before + 1,
            State::Parked | State::Done => false,
        };
        if attempt > self.rules.max_deliveries || !now.iter().any(fits) {
            return Err(format!("{id} was handed out as attempt {attempt}, but was {now:?}"));
        }
        let before = self.first(id.partition())..id.offset();
        let mut before = before.rev().map(|offset| EntryId::new(id.partition(), offset));
        let forerunner =
            before.find(|id| self.takes(partitions, *id) && !is_delayed(partitions, *id));
        if forerunner.is_some_and(|id| self.now(id) == [State::New]) {
            return Err(format!("{id} was handed out before its forerunner"));
        }
        self.last.insert(id, token);
        self.set(id, State::Out(attempt));
        Ok(())
    }

    /// Somebody was told a generation. It is never one of an earlier opening.
    pub(super) fn heard(&mut self, generation: u64) -> Verdict {
        if generation <= self.opened_at || generation < self.generation {
            let (then, last) = (self.opened_at, self.generation);
            return Err(format!("generation {generation} behind {last}, and {then} at opening"));
        }
        self.generation = generation;
        Ok(())
    }

    /// All up to `end` was settled, but for what is parked or `delayed`; or that may have happened. What is in
    /// doubt may be parked already.
    pub(super) fn settled_through(
        &mut self,
        partition: u32,
        end: u64,
        done: Option<bool>,
        partitions: &[Partition],
    ) {
        for offset in self.first(partition)..end {
            let id = EntryId::new(partition, offset);
            let parked = self.may_be_parked(id) && self.rules.end() == State::Parked;
            match done {
                None => self.perhaps(id, State::Done),
                Some(_) if self.now(id) == [State::Parked] => {}
                // It stays if a read came by it before it was due.
                Some(_) if is_delayed(partitions, id) && self.attempts(id) == 0 => {
                    self.set(id, State::Done);
                    self.perhaps(id, State::Back(0));
                }
                Some(_) if parked => {
                    self.set(id, State::Done);
                    self.perhaps(id, State::Parked);
                }
                Some(_) if self.now(id).contains(&State::Done) => self.set(id, State::Done),
                Some(durable) => self.acked(id, durable),
            }
            if done == Some(true) {
                self.fate(id).past.clear();
            }
        }
    }

    /// What lies before `start` was trimmed; or that may have happened.
    pub(super) fn trimmed(&mut self, partition: u32, start: u64, done: bool) {
        for offset in self.first(partition)..start {
            let id = EntryId::new(partition, offset);
            if done {
                self.set(id, State::Done);
            } else {
                self.perhaps(id, State::Done);
            }
        }
    }

    /// A partition that ends at `end` is read from `to` on; or that may be so.
    pub(super) fn reset(&mut self, partition: u32, to: u64, end: u64, done: bool) {
        for offset in 0..end {
            let id = EntryId::new(partition, offset);
            if offset < self.first(partition) {
                self.fates.entry(id).or_insert_with(|| Fate::of(State::Done));
            }
            let parked = self.may_be_parked(id) && self.rules.end() == State::Parked;
            let state = if offset < to { State::Done } else { State::New };
            if !done {
                self.perhaps(id, state);
            } else if state == State::New || !parked {
                self.set(id, state);
            } else if self.now(id) != [State::Parked] {
                self.set(id, State::Done);
                self.perhaps(id, State::Parked);
            }
        }
        self.start[partition as usize] = 0;
    }

    /// Whether the entry may be parked at the moment.
    pub(super) fn may_be_parked(&self, id: EntryId) -> bool {
        let last = State::Out(self.rules.max_deliveries);
        self.now(id).iter().any(|state| *state == State::Parked || *state == last)
    }

    /// A read or a departure settles what was handed out under this token, if it is its holder's yet:
    /// for sure, or only perhaps.
    pub(super) fn implied(&mut self, token: Token, attempt: u16, durable: Option<bool>) {
        let (id, out) = (token.id(), State::Out(attempt));
        match durable {
            _ if self.last.get(&id) != Some(&token) => {}
            Some(durable) if self.is_out(id, attempt) => self.acked(id, durable),
            _ if self.now(id).contains(&out) => self.perhaps(id, State::Done),
            _ => {}
        }
    }

    /// Whether an entry is out for sure. What nobody looked at is released if its consumer goes.
    fn is_out(&self, id: EntryId, attempt: u16) -> bool {
        let (out, released) = (State::Out(attempt), State::Back(attempt - 1));
        let now = self.now(id);
        now[0] == out && now.iter().all(|state| [out, released].contains(state))
    }

    /// All that happened was made durable.
    pub(super) fn all_synced(&mut self) {
        self.fates.values_mut().for_each(|fate| fate.past.clear());
        self.acks.clear();
    }

    /// Where the group begins.
    pub(super) fn first(&self, partition: u32) -> u64 {
        self.start[partition as usize]
    }

    /// What has to be delivered yet of partitions that end at `ends`, and how often it was. Only
    /// right behind an opening, when there is no doubt.
    pub(super) fn owed(&self, ends: &[u64], partitions: &[Partition]) -> BTreeMap<EntryId, u16> {
        let mut owed = BTreeMap::new();
        for (partition, end) in (0..).zip(ends) {
            for offset in self.first(partition)..*end {
                let id = EntryId::new(partition, offset);
                let open = matches!(self.now(id)[0], State::New | State::Back(_));
                if open && self.takes(partitions, id) {
                    owed.insert(id, self.attempts(id));
                }
            }
        }
        owed
    }

    /// Compares what a group shows that was just opened, on these partitions.
    pub(super) fn judge(&mut self, sight: &Sight, partitions: &[Partition]) -> Verdict {
        let starts: Vec<u64> = partitions.iter().map(|p| p.start as u64).collect();
        let ends: Vec<u64> = partitions.iter().map(|p| p.items.len() as u64).collect();
        let (starts, ends) = (&starts[..], &ends[..]);
        self.start.iter_mut().zip(ends).for_each(|(start, end)| *start = (*start).min(*end));
        self.fates.retain(|id, _| id.offset() < ends[id.partition() as usize]);
        let mut lag = 0;
        let mut fates = BTreeMap::new();
        for (partition, end) in (0..).zip(ends) {
            if sight.next[partition as usize] > *end {
                return Err(format!("it stands behind the end of partition {partition}"));
            }
            for offset in self.start[partition as usize]..*end {
                let id = EntryId::new(partition, offset);
                let seen = sight.state(id);
                if !self.takes(partitions, id) {
                    if !matches!(seen, State::New | State::Done) {
                        return Err(format!("{id} is {seen:?}, and is not for the group"));
                    }
                    continue;
                }
                lag += u64::from(matches!(seen, State::New | State::Back(_)));
                if offset >= starts[partition as usize] {
                    self.judge_one(id, seen, is_delayed(partitions, id))?;
                } else if seen != State::Done {
                    return Err(format!("{id} was trimmed and is {seen:?}"));
                }
                if seen != State::New {
                    fates.insert(id, Fate::of(seen));
                }
            }
        }
        self.judge_acks(sight, starts, ends)?;
        if lag != sight.lag {
            return Err(format!("the lag is {lag}, not {}", sight.lag));
        }
        self.fates = fates;
        self.acks.clear();
        self.opened_at = self.generation;
        self.paused = None;
        self.existence = Existence::Sure;
        Ok(())
    }

    fn judge_one(&self, id: EntryId, seen: State, delayed: bool) -> Verdict {
        let allowed: Vec<State> = match self.fates.get(&id) {
            Some(fate) => fate.past.iter().chain(&fate.now).chain(&fate.soon).copied().collect(),
            None => vec![State::New],
        };
        // A read that comes by before it is due leaves it to wait, and nobody is told.
        let passed = delayed && seen == State::Back(0) && allowed.contains(&State::New);
        if passed || allowed.iter().any(|state| self.rules.becomes(*state, seen)) {
            return Ok(());
        }
        Err(format!("{id} is {seen:?} after opening, and was {allowed:?}"))
    }

    /// The journal is one sequence: an ack that stayed keeps those before it.
    fn judge_acks(&self, sight: &Sight, starts: &[u64], ends: &[u64]) -> Verdict {
        // One that the opening discards after its last attempt tells nothing.
        let last = State::Out(self.rules.max_deliveries);
        let discarded = |id: &EntryId| {
            let fate = self.fates.get(id);
            self.rules.end() == State::Done && fate.is_some_and(|fate| fate.past.contains(&last))
        };
        let there = |id: &&EntryId| {
            let partition = id.partition() as usize;
            (starts[partition]..ends[partition]).contains(&id.offset()) && !discarded(id)
        };
        let stayed = |id: &EntryId| sight.state(*id) == State::Done;
        let acks: Vec<&EntryId> = self.acks.iter().filter(there).collect();
        let first = acks.iter().position(|id| !stayed(id)).unwrap_or(acks.len());
        match acks[first..].iter().find(|id| stayed(id)) {
            Some(id) => Err(format!("the ack of {id} stayed, and an earlier one did not")),
            None => Ok(()),
        }
    }
}
