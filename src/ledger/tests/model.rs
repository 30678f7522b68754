//! The ledger against a naive model: one map from id to what the entry is, no indexes, no runs.
//!
//! The model is written from the rules, not from the ledger. After each step both must list the
//! same pending entries, floors, counts, members and next moment; void claims must be reported
//! alike; and what snapshot and journal give back must equal what is in memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::{Again, Exhausted, Policy, Standing, Then};
use super::*;

const STARTS: [u64; 3] = [250, 0, 510];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const MAX_DELIVERIES: u16 = 3;
const BACKOFF: u64 = 10 * SECOND;
const SESSION: u64 = 60 * SECOND;

type Judged<T> = Vec<(EntryId, T)>;

#[derive(Clone, Copy, Debug)]
enum What {
    Leased { lease: u64, join: u64, deadline: u64 },
    Waiting { lease: u64, join: u64, due: u64, void: Option<Lost>, suspect: bool },
    Settled,
    Parked { lease: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    what: What,
    attempts: u16,
}

#[derive(Clone, Debug)]
struct Person {
    join: u64,
    alive_until: u64,
    touched: bool,
    blocked: u32,
}

#[derive(Default)]
struct Model {
    entries: BTreeMap<EntryId, Entry>,
    cursors: Vec<u64>,
    ends: Vec<u64>,
    people: BTreeMap<&'static str, Person>,
    opened_at_lease: u64,
    park: bool,
}

impl Model {
    fn join_lives(&self, join: u64) -> bool {
        self.people.values().any(|person| person.join == join)
    }

    /// Leases of earlier openings are all the same.
    fn known(&self, lease: u64) -> u64 {
        if lease < self.opened_at_lease { 0 } else { lease }
    }

    /// `Ok(late)` if the claim is good.
    fn judge(&self, id: EntryId, lease: u64) -> Result<bool, Lost> {
        let Some(entry) = self.entries.get(&id) else { return Err(Lost::Reset) };
        match entry.what {
            What::Settled | What::Parked { .. } => Err(Lost::Settled),
            What::Leased { lease: last, .. } if last == lease => Ok(false),
            What::Waiting { lease: last, join, void, .. }
                if self.known(last) == self.known(lease) =>
            {
                match void {
                    Some(why) => Err(why),
                    None if self.join_lives(join) => Ok(true),
                    None => Err(Lost::Left),
                }
            }
            _ => Err(Lost::Taken),
        }
    }

    /// The good claims with whether they are late, and the void ones with why.
    fn judge_all(&self, claims: &[(EntryId, u64)]) -> (Judged<bool>, Judged<Lost>) {
        let (mut good, mut lost) = (Vec::new(), Vec::new());
        for (id, lease) in claims.iter().copied().collect::<BTreeSet<_>>() {
            match self.judge(id, lease) {
                Ok(late) => good.push((id, late)),
                Err(why) => lost.push((id, why)),
            }
        }
        (good, lost)
    }

    fn exhaust(&mut self, id: EntryId) {
        let entry = self.entries.get_mut(&id).unwrap();
        let (What::Leased { lease, .. } | What::Waiting { lease, .. }) = entry.what else {
            panic!("{id} is not pending")
        };
        entry.what = if self.park { What::Parked { lease } } else { What::Settled };
    }

    /// Ends a lease: by nack, time, release or leaving.
    fn wait(&mut self, id: EntryId, due: u64, void: Option<Lost>) {
        let entry = self.entries.get_mut(&id).unwrap();
        let What::Leased { lease, join, .. } = entry.what else { panic!("{id} is not leased") };
        if void == Some(Lost::Released) {
            entry.attempts -= 1;
        } else if entry.attempts >= MAX_DELIVERIES {
            return self.exhaust(id);
        }
        entry.what = What::Waiting { lease, join, due, void, suspect: false };
    }

    fn leased(&self, picks: impl Fn(u64, u64) -> bool) -> Vec<(EntryId, u64)> {
        let leased = self.entries.iter().filter_map(|(id, entry)| match entry.what {
            What::Leased { join, deadline, .. } if picks(join, deadline) => Some((*id, deadline)),
            _ => None,
        });
        leased.collect()
    }

    fn depart(&mut self, name: &str, now: u64) {
        let join = self.people.remove(name).unwrap().join;
        for (id, _) in self.leased(|by, _| by == join) {
            self.wait(id, now, Some(Lost::Left));
        }
    }

    fn expire(&mut self, now: u64) {
        for (id, deadline) in self.leased(|_, deadline| deadline <= now) {
            self.wait(id, deadline + BACKOFF, None);
        }
        let mut over = Vec::new();
        for (name, person) in &mut self.people {
            if std::mem::take(&mut person.touched) || person.blocked > 0 {
                person.alive_until = person.alive_until.max(now + SESSION);
            }
            if person.alive_until <= now {
                over.push(*name);
            }
        }
        for name in over {
            self.depart(name, now);
        }
    }

    /// What a read of `max` gets of what is due, and whether it may go on to new entries.
    fn due(&self, now: u64, max: usize) -> (Vec<EntryId>, Then) {
        let mut due: Vec<(u64, EntryId)> = Vec::new();
        for (id, entry) in &self.entries {
            match entry.what {
                What::Waiting { due: at, .. } if at <= now => due.push((at, *id)),
                _ => {}
            }
        }
        due.sort_unstable();
        let mut out = Vec::new();
        for (_, id) in due.into_iter().take(max) {
            let Entry { what, attempts } = self.entries[&id];
            let suspect = matches!(what, What::Waiting { suspect: true, .. });
            if suspect && attempts + 1 == MAX_DELIVERIES {
                if out.is_empty() {
                    out.push(id);
                }
                return (out, Then::Nothing);
            }
            out.push(id);
        }
        (out, Then::New)
    }

    fn hand_out(&mut self, ids: &[EntryId], lease: u64, join: u64, deadline: u64) {
        for id in ids {
            let attempts = self.entries.get(id).map_or(0, |entry| entry.attempts);
            let what = What::Leased { lease, join, deadline };
            self.entries.insert(*id, Entry { what, attempts: attempts + 1 });
            let cursor = &mut self.cursors[id.partition() as usize];
            *cursor = (*cursor).max(id.offset() + 1);
        }
    }

    fn reopen(&mut self, old: u64, now: u64, unclean: bool) {
        let ends = self.ends.clone();
        self.entries.retain(|id, _| id.offset() < ends[id.partition() as usize]);
        for (cursor, end) in self.cursors.iter_mut().zip(&ends) {
            *cursor = (*cursor).min(*end);
        }
        let ids: Vec<EntryId> = self.entries.keys().copied().collect();
        for id in ids {
            let Entry { what, attempts } = self.entries[&id];
            let (lease, join, due, suspect) = match what {
                What::Leased { .. } if attempts >= MAX_DELIVERIES => {
                    self.exhaust(id);
                    continue;
                }
                What::Leased { lease, join, .. } => (lease, join, now, unclean),
                What::Waiting { lease, join, due, suspect, .. } => {
                    (lease, join, now + due.saturating_sub(old), suspect)
                }
                _ => continue,
            };
            let redriven = matches!(what, What::Waiting { void: Some(Lost::Settled), .. });
            let void = Some(if redriven { Lost::Settled } else { Lost::Reset });
            let what = What::Waiting { lease, join, due, void, suspect };
            self.entries.insert(id, Entry { what, attempts });
        }
        self.people.clear();
    }

    fn floor(&self, partition: u32) -> u64 {
        let pending = self.entries.iter().find(|(id, entry)| {
            let pending = matches!(entry.what, What::Leased { .. } | What::Waiting { .. });
            id.partition() == partition && pending
        });
        pending.map_or(self.cursors[partition as usize], |(id, _)| id.offset())
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append(u32, u64),
    Join(usize),
    Leave(usize),
    Read { who: usize, max: usize, lease: u64 },
    Ack(Vec<usize>),
    AckRun(usize),
    Nack(Vec<usize>, Option<u64>),
    Reject(Vec<usize>),
    Release(Vec<usize>),
    Extend(Vec<usize>, u64),
    Touch(usize),
    Block(usize, bool),
    Advance(u64),
    Skip(u32, u64),
    Redrive(Vec<usize>),
    Drop(Vec<usize>),
    Snapshot,
    Reopen { unclean: bool, cut: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let picks = || prop::collection::vec(0..80_usize, 1..12);
    let lease = prop_oneof![3 => Just(30 * SECOND), 1 => 1..100 * SECOND];
    prop_oneof![
        3 => (0..3_u32, 1..40_u64).prop_map(|(p, n)| Op::Append(p, n)),
        3 => (0..4_usize).prop_map(Op::Join),
        1 => (0..4_usize).prop_map(Op::Leave),
        9 => (0..4_usize, 1..30_usize, lease)
            .prop_map(|(who, max, lease)| Op::Read { who, max, lease }),
        4 => picks().prop_map(Op::Ack),
        3 => (0..6_usize).prop_map(Op::AckRun),
        3 => (picks(), prop::option::of(0..90 * SECOND)).prop_map(|(c, d)| Op::Nack(c, d)),
        1 => picks().prop_map(Op::Reject),
        2 => picks().prop_map(Op::Release),
        2 => (picks(), 1..90 * SECOND).prop_map(|(c, until)| Op::Extend(c, until)),
        1 => (0..4_usize).prop_map(Op::Touch),
        1 => (0..4_usize, any::<bool>()).prop_map(|(who, on)| Op::Block(who, on)),
        5 => (0..40 * SECOND).prop_map(Op::Advance),
        1 => (0..3_u32, 0..20_u64).prop_map(|(p, n)| Op::Skip(p, n)),
        1 => picks().prop_map(Op::Redrive),
        1 => picks().prop_map(Op::Drop),
        1 => Just(Op::Snapshot),
        1 => (any::<bool>(), prop_oneof![2 => Just(0), 1 => 0..60_u64])
            .prop_map(|(unclean, cut)| Op::Reopen { unclean, cut }),
    ]
}

/// Both, side by side.
struct Pair {
    desk: Desk,
    model: Model,
    /// Everything ever handed out, by read.
    issued: Vec<Vec<(EntryId, u64)>>,
}

impl Pair {
    fn new(park: bool) -> Self {
        let policy = Policy {
            session_timeout: Duration::from_micros(SESSION),
            max_deliveries: MAX_DELIVERIES,
            on_exhausted: if park { Exhausted::Park } else { Exhausted::Discard },
            max_in_flight: 120,
            max_in_flight_per_consumer: 70,
            ..policy()
        };
        let starts = STARTS.to_vec();
        let model = Model {
            cursors: starts.clone(),
            ends: starts,
            park,
            opened_at_lease: 1,
            ..Model::default()
        };
        Self { desk: Desk::new(policy, &STARTS), model, issued: Vec::new() }
    }

    fn now(&self) -> u64 {
        self.desk.now.at.0
    }

    fn member(&self, who: usize) -> Option<MemberId> {
        self.desk.ledger.member(NAMES[who])
    }

    /// Some of what was handed out lately, good and stale, in any order.
    fn picked(&self, picks: &[usize]) -> Vec<(EntryId, u64)> {
        let recent: Vec<_> = self.issued.iter().rev().flatten().take(80).collect();
        picks.iter().filter_map(|n| recent.get(*n).map(|claim| **claim)).collect()
    }

    fn claims(ids: &[(EntryId, u64)]) -> Vec<Claim> {
        ids.iter().map(|(id, lease)| Claim { run: (*id).into(), lease: *lease }).collect()
    }

    fn step(&mut self, op: &Op) {
        let now = self.now();
        match op {
            Op::Append(partition, count) => self.model.ends[*partition as usize] += count,
            Op::Join(who) => self.join(NAMES[*who]),
            Op::Leave(who) => {
                let name = NAMES[*who];
                let known = self.model.people.contains_key(name);
                let left = self.desk.run(|ledger, now, out| ledger.remove(now.at, name, out));
                assert_eq!(left.is_ok(), known);
                if known {
                    self.model.depart(name, now);
                }
            }
            Op::Read { who, max, lease } => self.read(*who, *max, *lease),
            Op::Ack(picks) => self.ack(&self.picked(picks)),
            Op::AckRun(back) => {
                let read = self.issued.iter().rev().nth(*back).cloned();
                self.ack(&read.unwrap_or_default());
            }
            Op::Nack(picks, delay) => self.nack(&self.picked(picks), *delay),
            Op::Reject(picks) => self.reject(&self.picked(picks)),
            Op::Release(picks) => self.release(&self.picked(picks)),
            Op::Extend(picks, until) => self.extend(&self.picked(picks), now + until),
            Op::Touch(who) => {
                if let Some(member) = self.member(*who) {
                    self.desk.ledger.touch_untimed(member);
                    self.model.people.get_mut(NAMES[*who]).unwrap().touched = true;
                }
            }
            Op::Block(who, on) => self.block(*who, *on),
            Op::Advance(micros) => {
                self.desk.now.at = later(self.desk.now.at, *micros);
                self.desk.now.wall += micros;
                while self.desk.expire() {}
                self.model.expire(self.now());
            }
            Op::Skip(partition, count) => self.skip(*partition, *count),
            Op::Redrive(picks) => {
                let ids: Vec<EntryId> = self.picked(picks).iter().map(|(id, _)| *id).collect();
                self.desk.run(|ledger, now, out| ledger.redrive(now.at, &ids, out));
                self.unpark(&ids, |lease| What::Waiting {
                    lease,
                    join: 0,
                    due: now,
                    void: Some(Lost::Settled),
                    suspect: false,
                });
            }
            Op::Drop(picks) => {
                let ids: Vec<EntryId> = self.picked(picks).iter().map(|(id, _)| *id).collect();
                self.desk.run(|ledger, _, out| ledger.discard_parked(&ids, out));
                self.unpark(&ids, |_| What::Settled);
            }
            Op::Snapshot => self.desk.snapshot(),
            Op::Reopen { unclean, cut } => self.reopen(*unclean, *cut),
        }
    }

    fn join(&mut self, name: &'static str) {
        let joined = self.desk.run(|ledger, now, out| ledger.join(now.at, name, out));
        assert_eq!(joined.is_err(), self.model.people.contains_key(name));
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
        let max = max.min(room);
        let mut runs = Vec::new();
        let then = self.desk.ledger.due_runs(self.desk.now.at, max.try_into().unwrap(), &mut runs);
        let mut ids: Vec<EntryId> = runs.iter().flat_map(|run| run.ids()).collect();
        assert_eq!((ids.clone(), then), self.model.due(now, max));
        for partition in 0..3 {
            let cursor = self.model.cursors[partition as usize];
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
        let person = self.model.people.get_mut(NAMES[who]).unwrap();
        person.alive_until = person.alive_until.max(now + SESSION);
        if lease != 30 * SECOND {
            person.alive_until = person.alive_until.max(now + lease);
        }
        assert!(self.issued.iter().flatten().all(|(_, lease)| *lease < number), "never used twice");
        self.model.hand_out(&ids, number, member.join, now + lease);
        self.issued.push(ids.into_iter().map(|id| (id, number)).collect());
    }

    fn compare_lost(mut found: Vec<(EntryId, Lost)>, mut expected: Vec<(EntryId, Lost)>) {
        found.sort_unstable_by_key(|(id, why)| (*id, *why as u8));
        expected.sort_unstable_by_key(|(id, why)| (*id, *why as u8));
        assert_eq!(found, expected);
    }

    fn ack(&mut self, ids: &[(EntryId, u64)]) {
        let lost = self.desk.ack(&Self::claims(ids));
        let (good, expected) = self.model.judge_all(ids);
        Self::compare_lost(lost, expected);
        for (id, _) in good {
            self.model.entries.get_mut(&id).unwrap().what = What::Settled;
        }
    }

    fn nack(&mut self, ids: &[(EntryId, u64)], delay: Option<u64>) {
        let (claims, mut lost) = (Self::claims(ids), Vec::new());
        let again = delay.map_or(Again::Backoff, |d| Again::After(Duration::from_micros(d)));
        self.desk.run(|ledger, now, out| ledger.nack(now, &claims, again, out, &mut lost));
        let (good, expected) = self.model.judge_all(ids);
        Self::compare_lost(lost, expected);
        let due = self.now() + delay.unwrap_or(BACKOFF);
        for (id, _) in good.into_iter().filter(|(_, late)| !late) {
            self.model.wait(id, due, None);
        }
    }

    fn reject(&mut self, ids: &[(EntryId, u64)]) {
        let (claims, mut lost) = (Self::claims(ids), Vec::new());
        let never = Again::Never;
        self.desk.run(|ledger, now, out| ledger.nack(now, &claims, never, out, &mut lost));
        let (good, expected) = self.model.judge_all(ids);
        Self::compare_lost(lost, expected);
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
        let (claims, mut lost) = (Self::claims(ids), Vec::new());
        self.desk.run(|ledger, _, out| ledger.extend(&claims, Moment(until), out, &mut lost));
        let (good, expected) = self.model.judge_all(ids);
        Self::compare_lost(lost, expected);
        for (id, _) in good {
            let entry = self.model.entries.get_mut(&id).unwrap();
            let (What::Leased { lease, join, .. } | What::Waiting { lease, join, .. }) = entry.what
            else {
                panic!("judged good")
            };
            entry.what = What::Leased { lease, join, deadline: until };
            let person = self.model.people.values_mut().find(|person| person.join == join).unwrap();
            person.alive_until = person.alive_until.max(until);
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
            let settled = Entry { what: What::Settled, attempts: 0 };
            self.model.entries.insert(EntryId::new(partition, offset), settled);
        }
        self.model.cursors[p] = self.model.cursors[p].max(end);
    }

    fn unpark(&mut self, ids: &[EntryId], what: impl Fn(u64) -> What) {
        for id in ids {
            if let Some(entry) = self.model.entries.get_mut(id)
                && let What::Parked { lease } = entry.what
            {
                *entry = Entry { what: what(lease), attempts: 0 };
            }
        }
    }

    fn reopen(&mut self, unclean: bool, cut: u64) {
        let old = self.now();
        for (end, start) in self.model.ends.iter_mut().zip(STARTS) {
            *end = end.saturating_sub(cut).max(start);
        }
        let ends = self.model.ends.clone();
        // Time goes on between the two processes, and the clock starts anew.
        let wall = self.desk.now.wall + 5 * SECOND;
        self.desk.reopen(Now { at: Moment(3), wall }, &[0, 0, 0], &ends, unclean);
        self.model.reopen(old + 5 * SECOND, 3, unclean);
        self.model.opened_at_lease = self.desk.ledger.first_lease;
    }

    fn compare(&mut self) {
        let model = &self.model;
        let ledger = &self.desk.ledger;
        for partition in 0..3 {
            let p = partition as usize;
            assert_eq!(ledger.cursor(partition), Some(model.cursors[p]));
            assert_eq!(ledger.floor(partition), Some(model.floor(partition)));
            let pending = ledger.pending(partition, 0).map(|entry| {
                let (leased, time) = match entry.standing {
                    Standing::Leased(deadline) => (true, deadline.0),
                    Standing::Waiting(due) => (false, due.0),
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
                What::Waiting { due, .. } => Some((*id, false, due, entry.attempts, None)),
                _ => None,
            });
            assert_eq!(pending.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
        let parked = model.entries.iter().filter(|(_, e)| matches!(e.what, What::Parked { .. }));
        let parked: Vec<_> = parked.map(|(id, entry)| (*id, entry.attempts)).collect();
        assert_eq!(ledger.parked(EntryId::new(0, 0)).collect::<Vec<_>>(), parked);
        let open: usize = (0..3).map(|p| ledger.pending(p, 0).count()).sum();
        let unread: u64 = model.ends.iter().zip(&model.cursors).map(|(end, at)| end - at).sum();
        assert_eq!(ledger.lag(&model.ends), open as u64 + unread);
        let names: Vec<_> =
            model.people.iter().map(|(name, person)| (*name, person.join)).collect();
        let mut members: Vec<_> = ledger.members().map(|(id, name, _)| (name, id.join)).collect();
        members.sort_unstable();
        assert_eq!(members, names);
        self.compare_next_moment();
    }

    fn compare_next_moment(&mut self) {
        let now = self.now();
        let times = self.model.entries.values().filter_map(|entry| match entry.what {
            What::Leased { deadline, .. } => Some(deadline),
            What::Waiting { due, .. } if due > now => Some(due),
            _ => None,
        });
        let sessions = self.model.people.values().filter(|person| person.blocked == 0);
        let next = times.chain(sessions.map(|person| person.alive_until)).min();
        let never = super::super::times::NEVER;
        let found = self.desk.ledger.next_moment(self.desk.now.at);
        assert_eq!(found, next.map_or(never, Moment));
        self.desk.ledger.validate();
    }

    /// Snapshot and journal give back what is in memory.
    fn compare_stored(&self) {
        let ends = [u64::MAX >> 2; 3];
        let restored = self.desk.restored(self.desk.now, &ends);
        let now = self.desk.now;
        assert_eq!(Desk::bytes(&restored, now), Desk::bytes(&self.desk.ledger, now));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn ledger_does_what_the_naive_model_does(
        park in any::<bool>(),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        let mut pair = Pair::new(park);
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
