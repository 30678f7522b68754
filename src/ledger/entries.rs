//! Every entry of a group, with the indexes over them: the windows, the holds, what is due, which
//! lease ends first, and the counts. One function, [`Entries::change`], moves entries from one
//! state to another, and keeps all of these in step.
//!
//! Invariants (besides those of the parts)
//! 1. `leased`, `waiting`, `suspects` and `exhausted` count the entries in these states; suspects
//!    wait, too, and so do the `deferred` ones, which were never handed out.
//! 2. `leased_by[slot]` counts the entries leased by the member in that slot.
//! 3. A chunk is in `bounds` under its `earliest`, exactly if that is not `NEVER`.
//! 4. Each pending entry has a hold, and no other entry has one.
//!
//! `earliest` is a bound and not a minimum, so that an ack need not look for the next deadline: a
//! chunk is scanned when its bound comes due, and then learns the true one.

use std::collections::BTreeSet;
use std::ops::Range;

use super::due::Due;
use super::hold::{Hold, Holds, NONE};
use super::settle::Void;
use super::sizes::Sizes;
use super::times::NEVER;
use super::touch::Touches;
use super::window::{CHUNK, Chunk, Fences, Group, State, Tag, Window, chunk_of};
use crate::clock::Moment;
use crate::id::EntryId;

/// What becomes of a group of entries. Exactly the pending ones have a hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) tag: Tag,
    pub(super) hold: Option<Hold>,
}

impl Next {
    pub(super) const SETTLED: Self = Self { tag: Tag::SETTLED, hold: None };

    pub(super) fn held(state: State, attempts: u16, hold: Hold) -> Self {
        Self { tag: Tag::new(state, attempts), hold: Some(hold) }
    }
}

/// The entries.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) windows: Vec<Window>,
    pub(super) index: Index,
}

/// What is kept in step with the windows.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) holds: Holds,
    pub(super) due: Due,
    pub(super) bounds: BTreeSet<(Moment, u32, u64)>,
    pub(super) leased: u64,
    pub(super) waiting: u64,
    pub(super) suspects: u64,
    pub(super) exhausted: u64,
    pub(super) deferred: u64,
    pub(super) leased_by: Vec<u64>,
    pub(super) touches: Touches,
    /// Empty where nobody bounds the bytes in flight.
    pub(super) sizes: Sizes,
}

impl Entries {
    pub(super) fn new(starts: &[u64]) -> Self {
        let index = Index {
            holds: Holds::new(),
            due: Due::default(),
            bounds: BTreeSet::new(),
            leased: 0,
            waiting: 0,
            suspects: 0,
            exhausted: 0,
            deferred: 0,
            leased_by: Vec::new(),
            touches: Touches::default(),
            sizes: Sizes::default(),
        };
        let mut entries = Self { windows: Vec::new(), index };
        entries.grow(starts);
        entries
    }

    pub(super) fn window(&self, partition: u32) -> Option<&Window> {
        self.windows.get(partition as usize)
    }

    pub(super) fn pending(&self) -> u64 {
        self.index.leased + self.index.waiting + self.index.exhausted
    }

    /// How many entries the member in `slot` has leased.
    pub(super) fn leased_by(&self, slot: u16) -> u64 {
        self.index.leased_by.get(usize::from(slot)).copied().unwrap_or(0)
    }

    /// The partitions with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u32, &Window)> {
        (0..).zip(&self.windows)
    }

    /// Where leased entries are, by chunk: of all partitions.
    pub(super) fn spans_with_leases(&self) -> Vec<(u32, Range<u64>)> {
        let all = self.numbered().flat_map(|(partition, window)| spans(partition, window));
        all.collect()
    }

    /// The same for one of them.
    pub(super) fn spans_with_leases_in(&self, partition: u32) -> Vec<(u32, Range<u64>)> {
        self.window(partition).into_iter().flat_map(|window| spans(partition, window)).collect()
    }

    /// The same for all, in as many steps as there are such chunks. Not while a journal is
    /// replayed, when leases have no end.
    pub(super) fn spans_with_deadlines(&self) -> Vec<(u32, Range<u64>)> {
        let bounds = self.index.bounds.iter();
        let mut chunks: Vec<_> =
            bounds.map(|(_, partition, number)| (*partition, *number)).collect();
        chunks.sort_unstable();
        chunks.into_iter().map(|(partition, n)| (partition, n * CHUNK..n * CHUNK + CHUNK)).collect()
    }

    /// Adds partitions.
    pub(super) fn grow(&mut self, starts: &[u64]) {
        self.windows.extend(starts.iter().map(|start| Window::starting_at(*start)));
    }

    /// Asks `next` what becomes of each group in `span` that has a chunk, and makes it so. What it
    /// answers with `None` stays. Entries without a chunk are not asked about: below the cursor they
    /// are settled, above it [`Entries::advance`] brings them in.
    pub(super) fn change(
        &mut self,
        partition: u32,
        span: Range<u64>,
        mut next: impl FnMut(&Group, Option<Hold>) -> Option<Next>,
    ) {
        let Self { windows, index } = self;
        let window = &mut windows[partition as usize];
        let mut at = span.start;
        while at < span.end {
            let Some((number, chunk)) = window.chunks.first_from_mut(chunk_of(at)) else { break };
            at = at.max(number * CHUNK);
            let end = span.end.min(number * CHUNK + CHUNK);
            while at < end {
                let group = chunk.group(at, end);
                let held = index.held(group.hold);
                if let Some(next) = next(&group, held) {
                    let (old, new) = (group.tag.state(), next.tag.state());
                    window.pending += count_if(new.is_pending(), &group);
                    window.pending -= count_if(old.is_pending(), &group);
                    window.leased += count_if(new == State::Leased, &group);
                    window.leased -= count_if(old == State::Leased, &group);
                    index.put((partition, number), chunk, &group, held, next);
                }
                at = group.end();
            }
            if u64::from(chunk.settled) == CHUNK {
                index.bounds.remove(&(chunk.earliest, partition, number));
                window.free(number);
            }
        }
        if span.contains(&window.floor) {
            window.raise_floor();
        }
    }

    /// Moves the cursor to `end`; the entries it passes have a chunk, and are fresh in it until the
    /// caller changes them.
    pub(super) fn advance(&mut self, partition: u32, end: u64) {
        let window = &mut self.windows[partition as usize];
        window.cover(window.cursor..end, self.index.touches.latest());
        window.cursor = window.cursor.max(end);
    }

    /// Moves the cursor to `end`, settling what it passes.
    pub(super) fn pass(&mut self, partition: u32, end: u64) {
        let cursor = self.windows[partition as usize].cursor;
        self.change(partition, cursor..end, |_, _| Some(Next::SETTLED));
        let window = &mut self.windows[partition as usize];
        window.cursor = cursor.max(end);
        window.raise_floor();
    }

    /// Brings a settled entry back; the floor goes down to it.
    pub(super) fn revive(&mut self, id: EntryId, next: Next) {
        let (partition, span) = (id.partition(), id.offset()..id.offset() + 1);
        let window = &mut self.windows[partition as usize];
        window.cover(span.clone(), Moment::ZERO);
        window.touched_long_ago(chunk_of(id.offset()));
        window.floor = window.floor.min(id.offset());
        self.change(partition, span, |_, _| Some(next));
    }

    /// Forgets all from `end` on, as if it had never been handed out.
    pub(super) fn cut(&mut self, partition: u32, end: u64) {
        let cursor = self.windows[partition as usize].cursor;
        if cursor <= end {
            return;
        }
        self.change(partition, end..cursor, |_, held| held.map(|_| Next::SETTLED));
        let window = &mut self.windows[partition as usize];
        let beyond = window.chunks.range(end.div_ceil(CHUNK)..u64::MAX);
        let beyond: Vec<_> = beyond.map(|(number, chunk)| (number, chunk.earliest)).collect();
        for (number, earliest) in beyond {
            self.index.bounds.remove(&(earliest, partition, number));
            window.free(number);
        }
        window.cut(end);
    }

    /// Starts a partition anew at `to`, with nothing pending.
    pub(super) fn restart(&mut self, partition: u32, to: u64) {
        let cursor = self.windows[partition as usize].cursor;
        self.change(partition, 0..cursor, |_, held| held.map(|_| Next::SETTLED));
        let window = &mut self.windows[partition as usize];
        for (number, chunk) in window.chunks.iter() {
            self.index.bounds.remove(&(chunk.earliest, partition, number));
        }
        // What is read again was passed over by the policy, or is not the entry that was trimmed.
        let fences = Fences { trimmed: window.fences.trimmed.min(to), ..window.fences };
        *window = Window { fences, ..Window::starting_at(to) };
    }

    /// Learns when the first lease of a chunk really ends.
    pub(super) fn tighten(&mut self, partition: u32, number: u64) {
        let Self { windows, index } = self;
        if let Some(chunk) = windows[partition as usize].chunks.get_mut(number) {
            let first = chunk.first_deadline(number, &index.holds);
            index.bound((partition, number), chunk, first);
        }
    }
}

impl Index {
    /// Moves one group to its next state.
    fn put(
        &mut self,
        place: (u32, u64),
        chunk: &mut Chunk,
        group: &Group,
        held: Option<Hold>,
        next: Next,
    ) {
        let (old, new) = (group.tag.state(), next.tag.state());
        let first = EntryId::new(place.0, group.first);
        let settled = |state| in_chunk(state == State::Settled, group);
        let leased = |state| in_chunk(state == State::Leased, group);
        chunk.settled = chunk.settled + settled(new) - settled(old);
        chunk.leased = chunk.leased + leased(new) - leased(old);
        // The new hold is taken first: the last hold of a busy group is not given back in between.
        let mut shared = NONE;
        if let Some(to) = next.hold {
            shared = self.holds.obtain(to, group.count);
            self.count(new, to.slot, group.count);
        }
        if let Some(from) = held {
            if old.waits() {
                self.due.remove(from.time, first, group.count);
            }
            if next.hold.is_none_or(|to| to.lease != from.lease) {
                self.touches.forget(first, group.count);
            }
            let goes_on =
                next.hold.is_some_and(|to| new == State::Leased && to.lease == from.lease);
            if old == State::Leased && self.sizes.total > 0 && !goes_on {
                self.sizes.remove(from.lease, group.count);
            }
            self.discount(old, from.slot, group.count);
            self.holds.release(group.hold, group.count);
        }
        match next.hold {
            Some(to) if new.waits() => self.due.insert(to.time, first, group.count),
            Some(to) if new == State::Leased && to.time < chunk.earliest => {
                self.bound(place, chunk, to.time);
            }
            _ => {}
        }
        chunk.fill(group, next.tag, shared);
    }

    fn bound(&mut self, (partition, number): (u32, u64), chunk: &mut Chunk, earliest: Moment) {
        if chunk.earliest == earliest {
            return;
        }
        self.bounds.remove(&(chunk.earliest, partition, number));
        chunk.earliest = earliest;
        if earliest < NEVER {
            self.bounds.insert((earliest, partition, number));
        }
    }

    fn count(&mut self, state: State, slot: u16, count: u64) {
        if state == State::Leased {
            let slot = usize::from(slot);
            if self.leased_by.len() <= slot {
                self.leased_by.resize(slot + 1, 0);
            }
            self.leased += count;
            self.leased_by[slot] += count;
        } else if state == State::Exhausted {
            self.exhausted += count;
        } else {
            self.waiting += count;
            self.deferred += if is_deferred(state, slot) { count } else { 0 };
            self.suspects += if state == State::Suspect { count } else { 0 };
        }
    }

    fn discount(&mut self, state: State, slot: u16, count: u64) {
        if state == State::Leased {
            self.leased -= count;
            self.leased_by[usize::from(slot)] -= count;
        } else if state == State::Exhausted {
            self.exhausted -= count;
        } else {
            self.waiting -= count;
            self.deferred -= if is_deferred(state, slot) { count } else { 0 };
            self.suspects -= if state == State::Suspect { count } else { 0 };
        }
    }
}

fn spans(partition: u32, window: &Window) -> impl Iterator<Item = (u32, Range<u64>)> {
    let chunks = (window.leased > 0).then(|| window.chunks.iter());
    let leased = chunks.into_iter().flatten().filter(|(_, chunk)| chunk.leased > 0);
    leased.map(move |(n, _)| (partition, n * CHUNK..n * CHUNK + CHUNK))
}

/// Whether entries in that state, whose hold has that slot, were never handed out.
pub(super) fn is_deferred(state: State, slot: u16) -> bool {
    state == State::Withdrawn && slot == Void::Deferred.slot()
}

fn count_if(counts: bool, group: &Group) -> u64 {
    if counts { group.count } else { 0 }
}

fn in_chunk(counts: bool, group: &Group) -> u16 {
    (count_if(counts, group) & 0xffff) as u16
}
