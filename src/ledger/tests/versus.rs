//! The ledger against the naive model.
//!
//! After each step both must list the same pending entries, floors, counts, members and next
//! moment; void claims must be reported alike; and what snapshot and journal give back must equal
//! what is in memory.

use proptest::prelude::*;

use super::super::{Again, Exhausted, Policy, Standing, Then};
use super::model::{BACKOFF, Entry, MAX_DELIVERIES, Model, Person, SESSION, What};
use super::ops::{Op, op};
use super::*;

const STARTS: [u64; 3] = [250, 0, 510];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

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
        self.desk.open();
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
        let (at, most) = (self.desk.now.at, max.try_into().unwrap());
        let then = self.desk.ledger.due_runs(at, member.slot, most, &mut runs);
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
        let lag: u64 = (0..3).map(|p| ledger.lag(p, 0, model.ends[p as usize])).sum();
        assert_eq!(lag, open as u64 + unread);
        let names: Vec<_> =
            model.people.iter().map(|(name, person)| (*name, person.join)).collect();
        let mut members: Vec<_> = ledger.members().map(|m| (m.name, m.id.join)).collect();
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
