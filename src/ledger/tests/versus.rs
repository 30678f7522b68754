//! The ledger against the naive model.
//!
//! After each step both must list the same pending entries, floors, counts, members and next
//! moment; void claims must be reported alike; and what snapshot and journal give back must equal
//! what is in memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::{Again, Exhausted, OnTrimmed, Policy, Standing, Then};
use super::hands::Place;
use super::model::{
    BACKOFF, Entry, MAX_DELIVERIES, Model, Person, REVOCATION, SESSION, What, name_of,
};
use super::ops::{Op, Strategist, exhausted, op};
use super::*;
use crate::error::Error;

const STARTS: [u64; 3] = [250, 0, 510];
pub(super) const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Both, side by side.
pub(super) struct Pair {
    pub(super) desk: Desk,
    pub(super) model: Model,
    /// Everything ever handed out, by read.
    pub(super) issued: Vec<Vec<(EntryId, u64)>>,
    /// Whether partitions have owners; else everybody reads everything all the time.
    owned: bool,
    /// Who is asked for a target.
    pub(super) strategist: Option<Strategist>,
    /// Partitions of which leases of earlier openings may be void for several reasons: what fences
    /// them off is not stored.
    moved: BTreeSet<u32>,
    /// The first lease number of this opening, even if the ledger was at rest and need not know.
    reopened_at_lease: u64,
}

impl Pair {
    pub(super) fn new(then: Exhausted, on_trimmed: OnTrimmed, starts: &[u64], owned: bool) -> Self {
        let policy = Policy {
            revocation_timeout: Duration::from_micros(REVOCATION),
            on_trimmed,
            session_timeout: Duration::from_micros(SESSION),
            max_deliveries: MAX_DELIVERIES,
            on_exhausted: then,
            max_in_flight: 120,
            max_in_flight_per_consumer: 70,
            max_in_flight_bytes: 1_000,
            ..policy()
        };
        let none = vec![0; starts.len()];
        let mut model = Model {
            paused: None,
            cursors: starts.to_vec(),
            ends: starts.to_vec(),
            log_starts: none.clone(),
            trimmed: none.clone(),
            reset: none,
            then,
            on_trimmed: Some(on_trimmed),
            opened_at_lease: 1,
            opened: 0,
            entries: BTreeMap::new(),
            people: BTreeMap::new(),
            hands: super::hands::Hands::default(),
        };
        model.hands.grow(starts.len());
        let desk = Desk::new(policy, starts);
        let (issued, strategist, moved) = (Vec::new(), None, BTreeSet::new());
        Self { desk, model, issued, owned, strategist, moved, reopened_at_lease: 1 }
    }

    pub(super) fn now(&self) -> u64 {
        self.desk.now.at.0
    }

    pub(super) fn partitions(&self) -> u32 {
        self.model.ends.len().try_into().unwrap()
    }

    pub(super) fn member(&self, who: usize) -> Option<MemberId> {
        self.desk.ledger.member(NAMES[who])
    }

    /// Some of what was handed out lately, good and stale, in any order.
    pub(super) fn picked(&self, picks: &[usize]) -> Vec<(EntryId, u64)> {
        let recent: Vec<_> = self.issued.iter().rev().flatten().take(80).collect();
        picks.iter().filter_map(|n| recent.get(*n).map(|claim| **claim)).collect()
    }

    /// Neighbours of one hand-out are one claim.
    fn claims(ids: &[(EntryId, u64)]) -> Vec<Claim> {
        let mut claims: Vec<Claim> = Vec::new();
        for (id, lease) in ids {
            match claims.last_mut() {
                Some(Claim { run, lease: last })
                    if lease == last
                        && run.partition == id.partition()
                        && run.end() == id.offset() =>
                {
                    run.count += 1;
                }
                _ => claims.push(Claim { run: (*id).into(), lease: *lease }),
            }
        }
        claims
    }

    pub(super) fn step(&mut self, op: &Op) {
        let now = self.now();
        let place = |partition: &u32| partition % self.partitions();
        match op {
            Op::Append(partition, count) => {
                let partition = place(partition) as usize;
                self.model.ends[partition] += count;
            }
            Op::Join(who) => self.join(NAMES[*who]),
            Op::Leave(who) => {
                let name = NAMES[*who];
                let known = self.model.people.contains_key(name);
                let left = self.desk.run(|ledger, now, out| ledger.remove(now, name, out));
                assert_eq!(left.is_ok(), known);
                if known {
                    self.model.depart(name, now);
                }
            }
            Op::Read { who, max, lease } => self.read(*who, *max, *lease),
            Op::Defer(partition, count, delay) => self.defer(place(partition), *count, *delay),
            Op::Ack(picks) => self.ack(&self.picked(picks)),
            Op::AckRun(back) => {
                let read = self.issued.iter().rev().nth(*back).cloned();
                self.ack(&read.unwrap_or_default());
            }
            Op::Nack(picks, delay) => self.nack(&self.picked(picks), *delay),
            Op::Reject(picks) => self.reject(&self.picked(picks)),
            Op::Release(picks) => self.release(&self.picked(picks)),
            Op::Extend(picks, until) => self.extend(&self.picked(picks), now + until),
            Op::Claim { .. } | Op::Sweep { .. } | Op::AckIds(_) => self.by_id(op),
            Op::Touch(who) => self.touch(*who),
            Op::Block(who, on) => self.block(*who, *on),
            Op::Advance(micros) => {
                self.desk.now.at = later(self.desk.now.at, *micros);
                self.desk.now.wall += micros;
                while self.desk.expire() {}
                self.model.expire(self.now());
            }
            Op::Skip(partition, count) => self.skip(place(partition), *count),
            Op::Pass(partition, count) => self.pass(place(partition), *count),
            Op::Sift { who, max, gap } => self.sift(*who, *max, *gap),
            Op::Through { who, partition, back, behind } => {
                self.settle_through(*who, place(partition), *back, *behind);
            }
            Op::SettleHeld(who) => self.settle_held(*who),
            Op::Reset(partition, to) => self.reset(place(partition), *to),
            Op::Trim(partition, to) => self.trim(place(partition), *to),
            Op::Redrive(_) | Op::Drop(_) | Op::Bury(..) | Op::Revive(_) => self.set_aside(op),
            Op::Pause(delay) => {
                self.desk.run(|ledger, now, out| ledger.pause(now, *delay, out));
                self.model.paused = Some(delay.map_or(u64::MAX, |delay| now + delay));
            }
            Op::Resume => {
                let paused = self.model.paused.take().is_some();
                self.desk.run(|ledger, _, out| {
                    ledger.resume(out);
                    assert_eq!(out.len(), usize::from(paused));
                });
            }
            Op::Snapshot => self.desk.snapshot(),
            Op::Reopen { unclean, cut } => self.reopen(*unclean, *cut),
            Op::Follow(_) | Op::Choose { .. } | Op::Open | Op::Grow => self.assign(op),
        }
    }

    /// What names entries by id, whoever holds them.
    fn by_id(&mut self, op: &Op) {
        match op {
            Op::Claim { who, picks, idle } => {
                let ids: Vec<EntryId> = self.picked(picks).iter().map(|(id, _)| *id).collect();
                self.claim(*who, &ids, *idle);
            }
            Op::Sweep { who, from, max, idle } => {
                let from = self.picked(&[*from]).first().map_or(EntryId::new(0, 0), |(id, _)| *id);
                self.sweep(*who, from, *max, *idle);
            }
            Op::AckIds(picks) => {
                let ids: Vec<EntryId> = self.picked(picks).iter().map(|(id, _)| *id).collect();
                self.ack_ids(&ids);
            }
            _ => unreachable!("other steps name no ids"),
        }
    }

    fn join(&mut self, name: &'static str) {
        let joined = self.desk.run(|ledger, now, out| ledger.join(now.at, name, out));
        assert_eq!(joined.is_err(), self.model.people.contains_key(name));
        self.open_unless_owned();
        if let Ok(member) = joined {
            let alive_until = self.now() + SESSION;
            let person = Person { join: member.join, alive_until, touched: false, blocked: 0 };
            self.model.people.insert(name, person);
        }
    }

    fn read(&mut self, who: usize, max: usize, lease: u64) {
        let Some(member) = self.member(who) else { return };
        let now = self.now();
        let all = self.model.leased(|_, _| true).len();
        let own = self.model.leased(|join, _| join == member.join).len();
        let room = 120_usize.saturating_sub(all).min(70_usize.saturating_sub(own));
        assert_eq!(self.desk.ledger.room(member).unwrap(), room as u64);
        assert_eq!(self.desk.ledger.is_paused(self.desk.now.at), self.model.is_paused(now));
        if self.model.is_paused(now) {
            return;
        }
        let max = max.min(room);
        let mut runs = Vec::new();
        let (at, most) = (self.desk.now.at, max.try_into().unwrap());
        let then = self.desk.ledger.due_runs(at, member.slot, most, &mut runs);
        let mut ids: Vec<EntryId> = runs.iter().flat_map(|run| run.ids()).collect();
        assert_eq!((ids.clone(), then), self.model.due(now, member.join, max));
        for partition in 0..self.partitions() {
            let cursor = self.model.cursors[partition as usize];
            let stored = self.model.log_starts[partition as usize] <= cursor;
            if !stored || !self.model.hands.may_read(member.join, partition) {
                continue;
            }
            let fresh =
                (self.model.ends[partition as usize] - cursor).min((max - ids.len()) as u64);
            if then == Then::New && fresh > 0 {
                runs.push(Run::new(partition, cursor, fresh.try_into().unwrap()));
                ids.extend(runs[runs.len() - 1].ids());
            }
        }
        if ids.is_empty() {
            return;
        }
        let claims = self.desk.lease(member, &runs, Duration::from_micros(lease)).unwrap();
        let number = claims[0].lease;
        let entries = ids.len() as u64;
        self.desk.ledger.note_bytes(number, entries * 7 + 3, entries);
        self.desk.ledger.validate();
        let person = self.model.people.get_mut(NAMES[who]).unwrap();
        person.alive_until = person.alive_until.max(now + SESSION);
        if lease != 30 * SECOND {
            person.alive_until = person.alive_until.max(now + lease);
        }
        assert!(self.issued.iter().flatten().all(|(_, lease)| *lease < number), "never used twice");
        self.model.hand_out(&ids, number, member.join, (now, now + lease));
        self.issued.push(ids.into_iter().map(|id| (id, number)).collect());
    }

    /// The read that meets them hands out nothing.
    fn defer(&mut self, partition: u32, count: u64, delay: u64) {
        let p = partition as usize;
        let cursor = self.model.cursors[p];
        let count = count.min(self.model.ends[p] - cursor);
        if count == 0 || self.model.log_starts[p] > cursor {
            return;
        }
        let (now, until) = (self.desk.now, self.desk.now.wall + delay);
        let ids = (cursor..cursor + count).map(|offset| EntryId::new(partition, offset));
        let deferrals: Vec<_> = ids.map(|id| Deferral::new(now, id, until, 0)).collect();
        self.desk.run(|ledger, _, out| ledger.defer(&deferrals, out));
        self.model.defer(partition, count, self.now() + delay);
    }

    fn compare_lost(
        &self,
        ids: &[(EntryId, u64)],
        mut found: Vec<(EntryId, Lost)>,
        mut expected: Vec<(EntryId, Lost)>,
    ) {
        let old = |(_, lease): &&(EntryId, u64)| *lease < self.reopened_at_lease;
        let old: BTreeSet<EntryId> = ids.iter().filter(old).map(|(id, _)| *id).collect();
        for (id, why) in found.iter_mut().chain(&mut expected) {
            if old.contains(id) && self.moved.contains(&id.partition()) {
                *why = Lost::Reset;
            }
        }
        found.sort_unstable_by_key(|(id, why)| (*id, *why as u8));
        expected.sort_unstable_by_key(|(id, why)| (*id, *why as u8));
        assert_eq!(found, expected);
    }

    fn ack(&mut self, ids: &[(EntryId, u64)]) {
        let lost = self.desk.ack(&Self::claims(ids));
        let (good, expected) = self.model.judge_all(ids);
        self.compare_lost(ids, lost, expected);
        for (id, _) in good {
            self.model.entries.get_mut(&id).unwrap().what = What::Settled;
        }
    }

    fn nack(&mut self, ids: &[(EntryId, u64)], delay: Option<u64>) {
        let (claims, mut lost) = (Self::claims(ids), Vec::new());
        let again = delay.map_or(Again::Backoff, |d| Again::After(Duration::from_micros(d)));
        self.desk.run(|ledger, now, out| ledger.nack(now, &claims, again, out, &mut lost));
        let (good, expected) = self.model.judge_all(ids);
        self.compare_lost(ids, lost, expected);
        let due = self.now() + delay.unwrap_or(BACKOFF);
        for (id, _) in good.into_iter().filter(|(_, late)| !late) {
            self.model.wait(id, due, None);
        }
    }

    fn reject(&mut self, ids: &[(EntryId, u64)]) {
        let (claims, mut lost) = (Self::claims(ids), Vec::new());
        let never = Again::Never("");
        self.desk.run(|ledger, now, out| ledger.nack(now, &claims, never, out, &mut lost));
        let (good, expected) = self.model.judge_all(ids);
        self.compare_lost(ids, lost, expected);
        for (id, _) in good {
            self.model.exhaust(id);
        }
    }

    fn release(&mut self, ids: &[(EntryId, u64)]) {
        let claims = Self::claims(ids);
        self.desk.run(|ledger, now, out| ledger.hand_back(now, &claims, false, out));
        let now = self.now();
        let (good, _) = self.model.judge_all(ids);
        for (id, _) in good.into_iter().filter(|(_, late)| !late) {
            self.model.wait(id, now, Some(Lost::Released));
        }
    }

    fn extend(&mut self, ids: &[(EntryId, u64)], until: u64) {
        let now = self.now();
        let (claims, mut lost) = (Self::claims(ids), Vec::new());
        self.desk
            .run(|ledger, now, out| ledger.extend(now.at, &claims, Moment(until), out, &mut lost));
        let (good, expected) = self.model.judge_all(ids);
        self.compare_lost(ids, lost, expected);
        for (id, _) in good {
            let entry = self.model.entries.get_mut(&id).unwrap();
            let (What::Leased { lease, join, .. } | What::Waiting { lease, join, .. }) = entry.what
            else {
                panic!("judged good")
            };
            entry.what = What::Leased { lease, join, deadline: until };
            entry.touched = now;
            let person = self.model.people.values_mut().find(|person| person.join == join).unwrap();
            person.alive_until = person.alive_until.max(until);
        }
    }

    fn touch(&mut self, who: usize) {
        if let Some(member) = self.member(who) {
            self.desk.ledger.touch_untimed(member);
            self.model.people.get_mut(NAMES[who]).unwrap().touched = true;
        }
    }

    fn block(&mut self, who: usize, on: bool) {
        let Some(member) = self.member(who) else { return };
        let now = self.now();
        let person = self.model.people.get_mut(NAMES[who]).unwrap();
        if on {
            self.desk.ledger.block(member).unwrap();
            person.blocked += 1;
        } else {
            self.desk.ledger.unblock(self.desk.now.at, member);
            person.blocked = person.blocked.saturating_sub(1);
            person.alive_until = person.alive_until.max(now + SESSION);
        }
    }

    fn skip(&mut self, partition: u32, count: u64) {
        let p = partition as usize;
        let first = self.model.floor(partition);
        let end = (first + count).min(self.model.ends[p]);
        self.desk.run(|ledger, _, out| ledger.skip(partition, first, end, out)).unwrap();
        for offset in first..end {
            let settled = Entry { what: What::Settled, attempts: 0, handed: 0, touched: 0 };
            self.model.entries.insert(EntryId::new(partition, offset), settled);
        }
        self.model.cursors[p] = self.model.cursors[p].max(end);
    }

    fn settle_through(&mut self, who: usize, partition: u32, back: u64, behind: u64) {
        let Some(member) = self.member(who) else { return };
        let p = partition as usize;
        let end = self.model.ends[p].min(self.model.cursors[p] + 6);
        let Some(offset) = end.checked_sub(back + 1) else { return };
        let seen = self.desk.ledger.generation().saturating_sub(behind);
        let id = EntryId::new(partition, offset);
        let settled = self.desk.run(|ledger, _, out| ledger.settle_through(member, seen, id, out));
        let hands = &self.model.hands;
        let own = [Place::Of(member.join), Place::Leaving(Some(member.join))];
        if !hands.open && !own.contains(&hands.place(partition)) {
            assert!(matches!(settled, Err(Error::NotAssigned { .. })), "{settled:?}");
        } else if !hands.open && hands.since[p] > seen {
            assert!(matches!(settled, Err(Error::Fenced { .. })), "{settled:?}");
        } else {
            assert_eq!(settled.unwrap(), self.model.settle_through(partition, offset, member.join));
        }
    }

    fn settle_held(&mut self, who: usize) {
        let Some(member) = self.member(who) else { return };
        let settled = self.desk.run(|ledger, _, out| ledger.settle_held(member, out));
        let held = self.model.leased(|join, _| join == member.join);
        assert_eq!(settled.unwrap(), held.len() as u64);
        for (id, _) in held {
            self.model.entries.get_mut(&id).unwrap().what = What::Settled;
        }
    }

    fn reset(&mut self, partition: u32, to: prop::sample::Index) {
        let p = partition as usize;
        let (first, end) = (self.model.log_starts[p], self.model.ends[p]);
        let to = first + to.index(usize::try_from(end - first).unwrap() + 1) as u64;
        let next = self.desk.ledger.next_lease;
        self.desk.run(|ledger, _, out| ledger.reset(partition, to, out)).unwrap();
        self.model.reset(partition, to, next);
        self.moved.insert(partition);
    }

    fn trim(&mut self, partition: u32, to: prop::sample::Index) {
        let p = partition as usize;
        let (first, end) = (self.model.log_starts[p], self.model.ends[p]);
        let start = first + to.index(usize::try_from(end - first).unwrap() + 1) as u64;
        let lost = self.desk.run(|ledger, _, out| ledger.trimmed(partition, start, end, out));
        assert_eq!(lost, self.model.trim(p, start));
        self.moved.insert(partition);
    }

    fn open_unless_owned(&mut self) {
        if !self.owned {
            self.desk.open();
            self.model.hands.open_all(|join| name_of(&self.model.people, join));
        }
    }

    pub(super) fn unpark(&mut self, ids: &[EntryId], what: impl Fn(u64) -> What) {
        for id in ids {
            if let Some(entry) = self.model.entries.get_mut(id)
                && let What::Parked { lease } = entry.what
            {
                *entry = Entry { what: what(lease), attempts: 0, touched: entry.handed, ..*entry };
            }
        }
    }

    fn reopen(&mut self, unclean: bool, cut: u64) {
        let old = self.now();
        let bounds = STARTS.iter().chain(&[0; 3]).zip(&self.model.log_starts);
        for (end, (start, first)) in self.model.ends.iter_mut().zip(bounds) {
            *end = end.saturating_sub(cut).max(*start).max(*first);
        }
        let (starts, ends) = (self.model.log_starts.clone(), self.model.ends.clone());
        // Time goes on between the two processes, and the clock starts anew.
        let wall = self.desk.now.wall + 5 * SECOND;
        self.desk.restart(Now { at: Moment(3), wall }, &starts, &ends, unclean);
        // A group at rest is left as it is, and then it has no members.
        if self.desk.told.iter().any(|event| matches!(event, Event::Reopened(_))) {
            self.model.hands.close_all(|join| name_of(&self.model.people, join));
        } else {
            assert!(self.model.people.is_empty());
        }
        self.model.reopen(old + 5 * SECOND, 3, unclean);
        self.open_unless_owned();
        self.model.opened_at_lease = self.desk.ledger.first_lease;
        self.reopened_at_lease = self.desk.ledger.next_lease;
    }

    pub(super) fn compare(&mut self) {
        let model = &self.model;
        let ledger = &self.desk.ledger;
        for partition in 0..self.partitions() {
            let p = partition as usize;
            assert_eq!(ledger.cursor(partition), Some(model.cursors[p]));
            assert_eq!(ledger.floor(partition), Some(model.floor(partition)));
            let mut touched = Vec::new();
            let pending = ledger.all_pending(partition).map(|entry| {
                touched.push((entry.id, entry.touched.0));
                let (leased, time) = match entry.standing {
                    Standing::Leased(deadline) => (true, deadline.0),
                    Standing::Waiting(due) => (false, due.0),
                    Standing::Exhausted => (false, u64::MAX),
                };
                (entry.id, leased, time, entry.attempts, entry.member.map(str::to_owned))
            });
            let of_partition = model.entries.iter().filter(|(id, _)| id.partition() == partition);
            let expected = of_partition.filter_map(|(id, entry)| match entry.what {
                What::Leased { join, deadline, .. } => {
                    let person = model.people.iter().find(|(_, person)| person.join == join);
                    let name = person.map(|(name, _)| (*name).to_owned());
                    Some((*id, true, deadline, entry.attempts, name))
                }
                What::Waiting { due, .. } | What::Deferred { due } => {
                    Some((*id, false, due, entry.attempts, None))
                }
                What::Doomed { .. } => Some((*id, false, u64::MAX, entry.attempts, None)),
                _ => None,
            });
            assert_eq!(pending.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            for (id, touched) in touched {
                assert_eq!(touched, model.entries[&id].touched, "{id} was touched");
            }
        }
        let parked = model.entries.iter().filter(|(_, e)| matches!(e.what, What::Parked { .. }));
        let parked: Vec<_> = parked.map(|(id, entry)| (*id, entry.attempts)).collect();
        let found = ledger.parked(EntryId::new(0, 0)).map(|(id, parked)| (id, parked.attempts));
        assert_eq!(found.collect::<Vec<_>>(), parked);
        for (partition, end) in (0..).zip(&model.ends) {
            let (open, p) = (ledger.all_pending(partition).count(), partition as usize);
            let unread = end - model.cursors[p].max(model.log_starts[p]);
            let lag = ledger.lag(partition, model.log_starts[p], *end);
            assert_eq!(lag, open as u64 + unread);
        }
        let names: Vec<_> =
            model.people.iter().map(|(name, person)| (*name, person.join)).collect();
        let mut members: Vec<_> = ledger.members().map(|m| (m.name, m.id.join)).collect();
        members.sort_unstable();
        assert_eq!(members, names);
        self.compare_held();
        self.compare_next_moment();
    }

    fn compare_next_moment(&mut self) {
        let now = self.now();
        let times = self.model.entries.values().filter_map(|entry| match entry.what {
            What::Leased { deadline, .. } => Some(deadline),
            What::Waiting { due, .. } | What::Deferred { due } if due > now => Some(due),
            _ => None,
        });
        let sessions = self.model.people.values().filter(|person| person.blocked == 0);
        let sessions = sessions.map(|person| person.alive_until);
        let resumes = self.model.paused.filter(|until| (now + 1..u64::MAX).contains(until));
        let next = times.chain(sessions).chain(self.model.evictions()).chain(resumes).min();
        let never = super::super::times::NEVER;
        let found = self.desk.ledger.next_moment(self.desk.now.at);
        assert_eq!(found, next.map_or(never, Moment));
        self.desk.ledger.validate();
    }

    /// Snapshot and journal give back what is in memory.
    pub(super) fn compare_stored(&self) {
        let ends = vec![u64::MAX >> 2; self.model.ends.len()];
        let restored = self.desk.restored(self.desk.now, &ends);
        let now = self.desk.now;
        assert_eq!(Desk::bytes(&restored, now), Desk::bytes(&self.desk.ledger, now));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn ledger_does_what_the_naive_model_does(
        end in exhausted(),
        then in prop::sample::select(vec![OnTrimmed::Earliest, OnTrimmed::Latest, OnTrimmed::Error]),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        let mut pair = Pair::new(end, then, &STARTS, false);
        for (n, op) in ops.iter().enumerate() {
            pair.step(op);
            pair.compare();
            if n % 16 == 0 {
                pair.compare_stored();
            }
        }
        pair.compare_stored();
    }
}
