//! The naive model: one map from id to what the entry is, no indexes, no runs.
//!
//! It is written from the rules, not from the ledger; `versus` compares the two.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{OnTrimmed, Then};
use super::hands::{Hands, Place};
use super::*;
use crate::blocked::Unclaimed;
use crate::loss::Loss;

pub(super) const MAX_DELIVERIES: u16 = 3;
pub(super) const BACKOFF: u64 = 10 * SECOND;
pub(super) const SESSION: u64 = 60 * SECOND;
pub(super) const REVOCATION: u64 = 45 * SECOND;

pub(super) type Judged<T> = Vec<(EntryId, T)>;

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Leased {
        lease: u64,
        join: u64,
        deadline: u64,
    },
    /// `fenced`: its partition was given to another member since.
    Waiting {
        lease: u64,
        join: u64,
        due: u64,
        void: Option<Lost>,
        suspect: bool,
        fenced: bool,
    },
    /// Never handed out, and not due before then.
    Deferred {
        due: u64,
    },
    Settled,
    Parked {
        lease: u64,
    },
    Doomed {
        lease: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) what: What,
    pub(super) attempts: u16,
    /// When it was last handed out, and when that or extended.
    pub(super) handed: u64,
    pub(super) touched: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) join: u64,
    pub(super) alive_until: u64,
    pub(super) touched: bool,
    pub(super) blocked: u32,
}

pub(super) struct Model {
    pub(super) entries: BTreeMap<EntryId, Entry>,
    pub(super) cursors: Vec<u64>,
    pub(super) ends: Vec<u64>,
    pub(super) people: BTreeMap<&'static str, Person>,
    pub(super) opened_at_lease: u64,
    /// When the directory was opened again.
    pub(super) opened: u64,
    pub(super) then: Exhausted,
    pub(super) on_trimmed: Option<OnTrimmed>,
    /// Where each log starts.
    pub(super) log_starts: Vec<u64>,
    /// Below it all was trimmed or passed by the policy.
    pub(super) trimmed: Vec<u64>,
    /// The first lease number behind the last reset.
    pub(super) reset: Vec<u64>,
    pub(super) hands: Hands,
    /// Until when nothing is handed out; the greatest number is for good.
    pub(super) paused: Option<u64>,
}

impl Model {
    pub(super) fn is_paused(&self, now: u64) -> bool {
        self.paused.is_some_and(|until| now < until)
    }

    pub(super) fn join_lives(&self, join: u64) -> bool {
        self.people.values().any(|person| person.join == join)
    }

    /// Leases of earlier openings are all the same.
    pub(super) fn known(&self, lease: u64) -> u64 {
        if lease < self.opened_at_lease { 0 } else { lease }
    }

    /// `Ok(late)` if the claim is good.
    pub(super) fn judge(&self, id: EntryId, lease: u64) -> Result<bool, Lost> {
        let Some(entry) = self.entries.get(&id) else { return Err(Lost::Reset) };
        let p = id.partition() as usize;
        match entry.what {
            What::Settled | What::Parked { .. } if id.offset() < self.trimmed[p] => {
                Err(Lost::Trimmed)
            }
            What::Leased { lease: last, .. } if last == lease => Ok(false),
            What::Doomed { lease: last } if self.known(last) == self.known(lease) => {
                Err(Lost::Settled)
            }
            What::Waiting { lease: last, join, void, fenced, .. }
                if self.known(last) == self.known(lease) =>
            {
                match void {
                    Some(why) => Err(why),
                    None if !self.join_lives(join) => Err(Lost::Left),
                    None if fenced => Err(Lost::Revoked),
                    None => Ok(true),
                }
            }
            What::Deferred { .. } if self.known(lease) == 0 => Err(Lost::Reset),
            _ if lease < self.reset[p] => Err(Lost::Reset),
            What::Settled | What::Parked { .. } => Err(Lost::Settled),
            _ => Err(Lost::Taken),
        }
    }

    /// The good claims with whether they are late, and the void ones with why.
    pub(super) fn judge_all(&self, claims: &[(EntryId, u64)]) -> (Judged<bool>, Judged<Lost>) {
        let (mut good, mut lost) = (Vec::new(), Vec::new());
        for (id, lease) in claims.iter().copied().collect::<BTreeSet<_>>() {
            match self.judge(id, lease) {
                Ok(late) => good.push((id, late)),
                Err(why) => lost.push((id, why)),
            }
        }
        (good, lost)
    }

    pub(super) fn exhaust(&mut self, id: EntryId) {
        let entry = self.entries.get_mut(&id).unwrap();
        let (What::Leased { lease, .. } | What::Waiting { lease, .. }) = entry.what else {
            panic!("{id} is not pending")
        };
        entry.what = match self.then {
            Exhausted::Park => What::Parked { lease },
            Exhausted::Discard => What::Settled,
            Exhausted::DeadLetter => What::Doomed { lease },
        };
    }

    /// Ends a lease: by nack, time, release or leaving.
    pub(super) fn wait(&mut self, id: EntryId, due: u64, void: Option<Lost>) {
        let entry = self.entries.get_mut(&id).unwrap();
        let What::Leased { lease, join, .. } = entry.what else { panic!("{id} is not leased") };
        if void == Some(Lost::Released) {
            entry.attempts -= 1;
        } else if entry.attempts >= MAX_DELIVERIES {
            return self.exhaust(id);
        }
        let (suspect, fenced) = (false, false);
        entry.what = What::Waiting { lease, join, due, void, suspect, fenced };
    }

    pub(super) fn leased(&self, picks: impl Fn(u64, u64) -> bool) -> Vec<(EntryId, u64)> {
        let leased = self.entries.iter().filter_map(|(id, entry)| match entry.what {
            What::Leased { join, deadline, .. } if picks(join, deadline) => Some((*id, deadline)),
            _ => None,
        });
        leased.collect()
    }

    pub(super) fn depart(&mut self, name: &'static str, now: u64) {
        let join = self.people.remove(name).unwrap().join;
        for (id, _) in self.leased(|by, _| by == join) {
            self.wait(id, now, Some(Lost::Left));
        }
        self.hands.depart(join, name);
    }

    pub(super) fn expire(&mut self, now: u64) {
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
    pub(super) fn due(&self, now: u64, join: u64, max: usize) -> (Vec<EntryId>, Then) {
        let mut due: Vec<(u64, EntryId)> = Vec::new();
        for (id, entry) in &self.entries {
            let readable = self.hands.may_read(join, id.partition());
            match entry.what {
                What::Waiting { due: at, .. } | What::Deferred { due: at }
                    if at <= now && readable =>
                {
                    due.push((at, *id));
                }
                _ => {}
            }
        }
        due.sort_unstable();
        let mut out = Vec::new();
        for (_, id) in due.into_iter().take(max) {
            let Entry { what, attempts, .. } = self.entries[&id];
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

    pub(super) fn hand_out(
        &mut self,
        ids: &[EntryId],
        lease: u64,
        join: u64,
        (now, deadline): (u64, u64),
    ) {
        for id in ids {
            let attempts = self.entries.get(id).map_or(0, |entry| entry.attempts);
            let what = What::Leased { lease, join, deadline };
            self.entries
                .insert(*id, Entry { what, attempts: attempts + 1, handed: now, touched: now });
            let cursor = &mut self.cursors[id.partition() as usize];
            *cursor = (*cursor).max(id.offset() + 1);
        }
    }

    /// What a member gets of `ids`, in order: at most `max`, within its rooms (all and own); what
    /// is spent; and what is refused, with why.
    pub(super) fn claim(
        &self,
        ids: &BTreeSet<EntryId>,
        join: u64,
        since: Option<u64>,
        max: usize,
        (mut room, mut own): (usize, usize),
    ) -> (Vec<EntryId>, Vec<EntryId>, Judged<Unclaimed>) {
        let (mut taken, mut spent, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut alone = false;
        for id in ids {
            let pending =
                |entry: &&Entry| matches!(entry.what, What::Leased { .. } | What::Waiting { .. });
            let Some(entry) = self.entries.get(id).filter(pending) else {
                refused.push((*id, Unclaimed::NotPending));
                continue;
            };
            let (leased, mine, suspect) = match entry.what {
                What::Leased { join: by, .. } => (true, by == join, false),
                What::Waiting { suspect, .. } => (false, false, suspect),
                _ => (false, false, false),
            };
            let guilty = suspect && entry.attempts + 1 == MAX_DELIVERIES;
            let why = if since.is_none_or(|since| entry.touched > since) {
                Unclaimed::NotIdle
            } else if taken.len() + spent.len() == max {
                Unclaimed::Later
            } else if entry.attempts >= MAX_DELIVERIES {
                spent.push(*id);
                continue;
            } else if alone || (guilty && !taken.is_empty()) {
                Unclaimed::Later
            } else if (!leased && room == 0) || (!mine && own == 0) {
                Unclaimed::InFlight
            } else {
                room -= usize::from(!leased);
                own -= usize::from(!mine);
                alone = guilty;
                taken.push(*id);
                continue;
            };
            refused.push((*id, why));
        }
        (taken, spent, refused)
    }

    /// Goes past new entries that are not due yet.
    pub(super) fn defer(&mut self, partition: u32, count: u64, due: u64) {
        let cursor = &mut self.cursors[partition as usize];
        for offset in *cursor..*cursor + count {
            let what = What::Deferred { due };
            let entry = Entry { what, attempts: 0, handed: 0, touched: Moment::NEVER.0 };
            self.entries.insert(EntryId::new(partition, offset), entry);
        }
        *cursor += count;
    }

    pub(super) fn reopen(&mut self, old: u64, now: u64, unclean: bool) {
        if let Some(until) = self.paused.as_mut().filter(|until| **until < u64::MAX) {
            *until = now + until.saturating_sub(old);
        }
        for partition in 0..self.ends.len() {
            self.trim(partition, self.log_starts[partition]);
        }
        self.trimmed.fill(0);
        self.reset.fill(0);
        self.opened = now;
        let ends = self.ends.clone();
        self.entries.retain(|id, _| id.offset() < ends[id.partition() as usize]);
        for (cursor, end) in self.cursors.iter_mut().zip(&ends) {
            *cursor = (*cursor).min(*end);
        }
        let ids: Vec<EntryId> = self.entries.keys().copied().collect();
        for id in ids {
            let entry = self.entries.get_mut(&id).unwrap();
            (entry.handed, entry.touched) = (now, now);
            let Entry { what, attempts, .. } = *entry;
            let (lease, join, due, suspect) = match what {
                What::Leased { .. } if attempts >= MAX_DELIVERIES => {
                    self.exhaust(id);
                    continue;
                }
                What::Leased { lease, join, .. } => (lease, join, now, unclean),
                What::Deferred { due } => {
                    let due = now + due.saturating_sub(old);
                    (entry.what, entry.touched) = (What::Deferred { due }, Moment::NEVER.0);
                    continue;
                }
                What::Waiting { lease, join, due, suspect, .. } => {
                    (lease, join, now + due.saturating_sub(old), suspect)
                }
                _ => continue,
            };
            let redriven = matches!(what, What::Waiting { void: Some(Lost::Settled), .. });
            let void = Some(if redriven { Lost::Settled } else { Lost::Reset });
            let what = What::Waiting { lease, join, due, void, suspect, fenced: false };
            self.entries.insert(id, Entry { what, attempts, handed: now, touched: now });
        }
        self.people.clear();
    }

    pub(super) fn floor(&self, partition: u32) -> u64 {
        let pending = self.entries.iter().find(|(id, entry)| {
            let pending = !matches!(entry.what, What::Settled | What::Parked { .. });
            id.partition() == partition && pending
        });
        pending.map_or(self.cursors[partition as usize], |(id, _)| id.offset())
    }

    /// Everything of a partition up to before `end`, handed out or not.
    fn each_until(&mut self, partition: usize, end: u64, mut then: impl FnMut(&mut What)) {
        let number = u32::try_from(partition).unwrap();
        for offset in self.cursors[partition]..end {
            // What was never handed out has no lease: it is like an entry that waits.
            let due = 0;
            let (void, suspect, fenced) = (None, false, false);
            let what = What::Waiting { lease: 0, join: 0, due, void, suspect, fenced };
            self.entries.insert(
                EntryId::new(number, offset),
                Entry { what, attempts: 0, handed: 0, touched: 0 },
            );
        }
        self.cursors[partition] = self.cursors[partition].max(end);
        let until = EntryId::new(number, 0)..EntryId::new(number, end);
        for entry in self.entries.range_mut(until).map(|(_, entry)| entry) {
            then(&mut entry.what);
            if matches!(entry.what, What::Settled) {
                entry.attempts = 0;
            }
        }
    }

    /// Settles what a member may settle through an offset. Says how many entries that are.
    pub(super) fn settle_through(&mut self, partition: u32, offset: u64, join: u64) -> u64 {
        let mut count = 0;
        self.each_until(partition as usize, offset + 1, |what| {
            let goes = match what {
                What::Leased { join: by, .. } => *by == join,
                What::Waiting { .. } => true,
                What::Deferred { .. }
                | What::Settled
                | What::Parked { .. }
                | What::Doomed { .. } => false,
            };
            if goes {
                count += 1;
                *what = What::Settled;
            }
        });
        count
    }

    /// Goes on from `to`.
    pub(super) fn reset(&mut self, partition: u32, to: u64, next_lease: u64) {
        let p = partition as usize;
        self.each_until(p, to, |what| {
            if !matches!(what, What::Parked { .. }) {
                *what = What::Settled;
            }
        });
        self.entries.retain(|id, _| id.partition() != partition || id.offset() < to);
        self.cursors[p] = to;
        self.trimmed[p] = self.trimmed[p].min(to);
        self.reset[p] = next_lease;
    }

    /// The log of a partition starts at `start` now. Says what that costs.
    pub(super) fn trim(&mut self, p: usize, start: u64) -> Loss {
        self.log_starts[p] = start;
        let end = match self.on_trimmed {
            Some(OnTrimmed::Latest) if self.cursors[p] < start => self.ends[p].max(start),
            Some(OnTrimmed::Error) => start.min(self.cursors[p]),
            _ => start,
        };
        let mut lost = Loss::default();
        self.each_until(p, end, |what| {
            match what {
                What::Settled => {}
                What::Waiting { lease: 0, join: 0, .. } => lost.unread += 1,
                What::Waiting { .. } | What::Deferred { .. } => lost.delayed += 1,
                What::Leased { .. } | What::Doomed { .. } => lost.pending += 1,
                What::Parked { .. } => lost.parked += 1,
            }
            *what = What::Settled;
        });
        if !lost.is_empty() {
            self.trimmed[p] = self.trimmed[p].max(end);
        }
        lost
    }

    /// Whether somebody holds live leases in a partition.
    pub(super) fn is_busy(&self, partition: u32) -> bool {
        let of = EntryId::new(partition, 0)..EntryId::new(partition + 1, 0);
        self.entries.range(of).any(|(_, entry)| matches!(entry.what, What::Leased { .. }))
    }

    /// Takes what is overdue from who holds it. Says which partitions.
    pub(super) fn evict(&mut self, now: u64) -> Vec<u32> {
        let overdue = self.hands.overdue(now, |partition| self.is_busy(partition));
        for partition in &overdue {
            let leased = self.leased(|_, _| true);
            for (id, _) in leased.into_iter().filter(|(id, _)| id.partition() == *partition) {
                self.wait(id, now, Some(Lost::Revoked));
            }
            self.fence(*partition);
        }
        overdue
    }

    /// Gives partitions to who is to have them. Says which, and which of them moved by that.
    pub(super) fn give(&mut self) -> (Vec<(u32, u64)>, Vec<u32>) {
        let busy: Vec<bool> = (0..).zip(&self.ends).map(|(p, _)| self.is_busy(p)).collect();
        let (given, moved) = self.hands.give(|partition| busy[partition as usize]);
        for partition in &moved {
            self.fence(*partition);
        }
        (given, moved)
    }

    /// Whoever had a partition speaks no longer for what waits in it.
    fn fence(&mut self, partition: u32) {
        for (id, entry) in &mut self.entries {
            if let What::Waiting { fenced, .. } = &mut entry.what {
                *fenced |= id.partition() == partition;
            }
        }
    }

    /// When somebody will be evicted.
    pub(super) fn evictions(&self) -> impl Iterator<Item = u64> {
        let all = (0..).zip(&self.hands.places).zip(&self.hands.until);
        let busy = all.filter(|((partition, place), _)| {
            matches!(place, Place::Leaving(_)) && self.is_busy(*partition)
        });
        busy.map(|(_, until)| *until)
    }
}

/// The name of a member.
pub(super) fn name_of(people: &BTreeMap<&'static str, Person>, join: u64) -> Option<&'static str> {
    people.iter().find(|(_, person)| person.join == join).map(|(name, _)| *name)
}
