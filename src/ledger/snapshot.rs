//! The stored form of a whole ledger: what a journal segment begins with.
//!
//! Numbers are LEB128, `u8` is one byte, text is its length and its bytes. Offsets, leases and
//! delays are as in `codec`.
//!
//! | part | fields |
//! |---|---|
//! | head | version (u8: 1), wall of the snapshot |
//! | numbers | first lease of the opening, next lease, next join |
//! | totals | acked, discarded, lost, trimmed (unread, pending, delayed, parked), redelivered, rebalances, microseconds these took, dead-lettered |
//! | members | how many; each: slot, join number, first lease it can have, name (text) |
//! | assignment | generation, whether everybody reads everything (u8: 0, 1), former owners: how many, each: name (text) |
//! | partitions | how many; each: owner, in which generation it was given, former owner (0: none, else 1 + its place in the list), cursor, how many runs, the runs |
//! | owner | 0 nobody; 1 leaving whom it was open to; else 2 * slot + 2 a member, 2 * slot + 3 leaving one |
//! | run | state (u8: 2 leased, 3 waiting, 4 withdrawn, 5 suspect, 6 exhausted), entries since the last run's end, count, attempts, lease (0: of an earlier opening, else 1 + its number since the first), slot; if it waits, what is left of its delay |
//! | parked | how many; each: partition, offset, attempts, lease number, wall, reason (text) |
//! | leases | times that are less apart (microseconds) are one, how many; each: first lease number, wall |
//! | failed | how many; each: partition, offset, wall of its first hand-out |
//! | exhausted | how many; each: partition, offset, consumer (text), reason (text), walls of the first and last hand-out, intended (u8: 0, 1), if it is: stream, partition and its end |
//! | pause | what (u8: 0 none, 1 paused, 2 paused for a time), if for a time: what is left of it |
//!
//! The slot of a leased or waiting run is its member's; of another, why its lease is void (0
//! released, 1 left, 2 reset, 3 settled, 4 revoked, 5 never handed out, because it waits for its own
//! time). Entries between runs are settled or parked; the floor is
//! where the first run begins, or the cursor. Equal neighbours are one run, so equal ledgers have
//! equal snapshots.
//!
//! Reading it (`restore`) allocates in proportion to its bytes (a chunk for a run, with its place, at most) and to the entries
//! stored below `ends`; what lies beyond those is left out.

use std::collections::BTreeMap;

use super::book::Ledger;
use super::doom::put_reason;
use super::hold::Hold;
use super::owner::Owner;
use super::settle::Void;
use super::times::{NEVER, Now};
use super::turn::put_totals;
use super::window::{Group, State, Tag, Window};
use super::wire::{put, put_bytes};

pub(super) const VERSION: u8 = 1;

/// Entries in a row with the same fate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) tag: Tag,
    pub(super) lease: u64,
    pub(super) slot: u16,
    pub(super) delay: u64,
}

impl Stored {
    fn absorb(&mut self, next: Self) -> bool {
        let alike = Self { count: self.count, first: self.first, ..next } == *self;
        let joins = alike && self.first + self.count == next.first;
        self.count += if joins { next.count } else { 0 };
        joins
    }
}

impl Ledger {
    /// Appends the stored form.
    pub(crate) fn encode_snapshot(&self, now: Now, out: &mut Vec<u8>) {
        out.push(VERSION);
        put(out, now.wall);
        for number in [self.first_lease, self.next_lease, self.members.next_join] {
            put(out, number);
        }
        put_totals(out, self.totals);
        put(out, self.members.names.len() as u64);
        for (id, member) in self.members.live() {
            put(out, id.slot);
            put(out, id.join);
            put(out, member.since);
            put_bytes(out, member.name.as_bytes());
        }
        let names = self.put_assignment(out);
        put(out, self.entries.windows.len() as u64);
        for (partition, window) in self.entries.numbered() {
            self.put_owner(partition, &names, out);
            self.put_window(window, now, out);
        }
        put(out, self.parked.len() as u64);
        for (id, parked) in &self.parked {
            put(out, id.partition());
            put(out, id.offset());
            put(out, parked.attempts);
            put(out, parked.lease);
            put(out, parked.since);
            put_reason(out, &parked.reason);
        }
        self.put_doom(out);
        self.put_pause(now, out);
    }

    fn put_pause(&self, now: Now, out: &mut Vec<u8>) {
        match self.paused {
            None => out.push(0),
            Some(NEVER) => out.push(1),
            Some(until) => {
                out.push(2);
                put(out, until.0.saturating_sub(now.at.0));
            }
        }
    }

    /// The former owners by name, with their places in the list.
    fn put_assignment<'a>(&'a self, out: &mut Vec<u8>) -> BTreeMap<&'a str, u64> {
        put(out, self.owners.generation);
        out.push(u8::from(self.owners.open));
        let names = self.owners.before.iter().filter_map(|name| Some((name.as_deref()?, 0)));
        let mut names: BTreeMap<&str, u64> = names.collect();
        put(out, names.len() as u64);
        for (place, (name, number)) in (0..).zip(&mut names) {
            *number = place;
            put_bytes(out, name.as_bytes());
        }
        names
    }

    fn put_owner(&self, partition: u32, names: &BTreeMap<&str, u64>, out: &mut Vec<u8>) {
        put(
            out,
            match self.owners.owner(partition) {
                Owner::Nobody => 0,
                Owner::Leaving(None) => 1,
                Owner::Member(slot) => 2 + 2 * u32::from(slot),
                Owner::Leaving(Some(slot)) => 3 + 2 * u32::from(slot),
            },
        );
        put(out, self.owners.since[partition as usize]);
        let before = self.owners.before[partition as usize].as_deref();
        put(out, before.map_or(0, |name| names[name] + 1));
    }

    fn put_window(&self, window: &Window, now: Now, out: &mut Vec<u8>) {
        put(out, window.cursor);
        let (from, mut count, mut end) = (out.len(), 0_u64, 0);
        self.each_run(window, now, |run| {
            count += 1;
            out.push(run.tag.state() as u8);
            put(out, run.first - end);
            put(out, run.count);
            put(out, run.tag.attempts());
            put(out, run.lease);
            put(out, run.slot);
            if run.tag.state().waits() {
                put(out, run.delay);
            }
            end = run.first + run.count;
        });
        // The number goes in before them: moving bytes costs less than walking twice.
        let mut number = Vec::new();
        put(&mut number, count);
        out.splice(from..from, number);
    }

    fn each_run(&self, window: &Window, now: Now, mut each: impl FnMut(Stored)) {
        let mut last: Option<Stored> = None;
        let groups = window.groups(window.floor..window.cursor);
        for group in groups.filter(|group| group.tag.state().is_pending()) {
            let run = self.stored(window, &group, now);
            if last.as_mut().is_some_and(|last| last.absorb(run)) {
                continue;
            }
            if let Some(done) = last.replace(run) {
                each(done);
            }
        }
        if let Some(done) = last {
            each(done);
        }
    }

    fn stored(&self, window: &Window, group: &Group, now: Now) -> Stored {
        let Group { first, count, mut tag, hold } = *group;
        let hold = self.entries.index.holds.get(hold);
        let Hold { lease, time, mut slot } = hold;
        let waits = tag.state().waits();
        let delay = if waits { time.0.saturating_sub(now.at.0) } else { 0 };
        // The fence that silences it is not stored. It counts whether or not its member is still
        // there, so that replay comes to the same from any snapshot.
        if tag.state() == State::Waiting && self.is_fenced(window, hold) {
            (tag, slot) = (Tag::new(State::Withdrawn, tag.attempts()), Void::Revoked.slot());
        }
        Stored { first, count, tag, lease, slot, delay }
    }
}
