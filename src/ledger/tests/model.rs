//! The naive model: one map from id to what the entry is, no indexes, no runs.
//!
//! It is written from the rules, not from the ledger; `versus` compares the two.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Then;
use super::*;

pub(super) const MAX_DELIVERIES: u16 = 3;
pub(super) const BACKOFF: u64 = 10 * SECOND;
pub(super) const SESSION: u64 = 60 * SECOND;

pub(super) type Judged<T> = Vec<(EntryId, T)>;

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Leased { lease: u64, join: u64, deadline: u64 },
    Waiting { lease: u64, join: u64, due: u64, void: Option<Lost>, suspect: bool },
    Settled,
    Parked { lease: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) what: What,
    pub(super) attempts: u16,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) join: u64,
    pub(super) alive_until: u64,
    pub(super) touched: bool,
    pub(super) blocked: u32,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) entries: BTreeMap<EntryId, Entry>,
    pub(super) cursors: Vec<u64>,
    pub(super) ends: Vec<u64>,
    pub(super) people: BTreeMap<&'static str, Person>,
    pub(super) opened_at_lease: u64,
    pub(super) park: bool,
}

impl Model {
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
        entry.what = if self.park { What::Parked { lease } } else { What::Settled };
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
        entry.what = What::Waiting { lease, join, due, void, suspect: false };
    }

    pub(super) fn leased(&self, picks: impl Fn(u64, u64) -> bool) -> Vec<(EntryId, u64)> {
        let leased = self.entries.iter().filter_map(|(id, entry)| match entry.what {
            What::Leased { join, deadline, .. } if picks(join, deadline) => Some((*id, deadline)),
            _ => None,
        });
        leased.collect()
    }

    pub(super) fn depart(&mut self, name: &str, now: u64) {
        let join = self.people.remove(name).unwrap().join;
        for (id, _) in self.leased(|by, _| by == join) {
            self.wait(id, now, Some(Lost::Left));
        }
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
    pub(super) fn due(&self, now: u64, max: usize) -> (Vec<EntryId>, Then) {
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

    pub(super) fn hand_out(&mut self, ids: &[EntryId], lease: u64, join: u64, deadline: u64) {
        for id in ids {
            let attempts = self.entries.get(id).map_or(0, |entry| entry.attempts);
            let what = What::Leased { lease, join, deadline };
            self.entries.insert(*id, Entry { what, attempts: attempts + 1 });
            let cursor = &mut self.cursors[id.partition() as usize];
            *cursor = (*cursor).max(id.offset() + 1);
        }
    }

    pub(super) fn reopen(&mut self, old: u64, now: u64, unclean: bool) {
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

    pub(super) fn floor(&self, partition: u32) -> u64 {
        let pending = self.entries.iter().find(|(id, entry)| {
            let pending = matches!(entry.what, What::Leased { .. } | What::Waiting { .. });
            id.partition() == partition && pending
        });
        pending.map_or(self.cursors[partition as usize], |(id, _)| id.offset())
    }
}
