//! Entries whose attempts are over and that wait for their dead letter, and how entries come back
//! from there.
//!
//! ```text
//!  leased ──▶ exhausted ──▶ intended ──▶ (letter appended and flushed, not here) ──▶ buried
//!                 ▲             │
//!                 └── again ────┘   the letter is not where it was meant to be
//! ```
//!
//! Invariants
//! 1. Exactly the exhausted entries stand in `list`.
//! 2. An entry is buried only under the intent that its letter was appended under: one that was
//!    given anew meanwhile, and failed again, gets a letter of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::book::{Ledger, OFFSETS_MAX, Parked, Spent};
use super::entries::Next;
use super::event::{Event, Last, Reason, Run, Skip};
use super::given::{Given, each, remove_range};
use super::hold::{BEFORE, Hold};
use super::member::{Members, NAME_BYTES_MAX};
use super::policy::Exhausted;
use super::replay::{Inconsistent, ensure};
use super::settle::Void;
use super::times::NEVER;
use super::window::{Group, State, Tag};
use super::wire::{Reader, put, put_bytes};
use crate::clock::Moment;
use crate::id::EntryId;
use crate::limits::REASON_BYTES_MAX;

/// Where a dead letter is about to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    /// The stream it goes to.
    pub(crate) stream: u64,
    pub(crate) partition: u32,
    /// Where that partition ended before: the letter stands there or behind, if it is there.
    pub(crate) end: u64,
}

/// What a dead letter tells of its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doomed {
    pub(crate) attempts: u16,
    /// Who had it last, if that is known.
    pub(crate) consumer: Option<Arc<str>>,
    pub(crate) reason: Reason,
    /// The wall times of the first and the last hand-out, if they are known.
    pub(crate) first: Option<u64>,
    pub(crate) last: Option<u64>,
    pub(crate) intent: Option<Intent>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Doom {
    pub(super) list: BTreeMap<EntryId, Doomed>,
    /// There are more since somebody last asked. Not stored.
    pub(super) news: bool,
}

/// What becomes of an entry that is to be handed out once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revival {
    /// It is going to be available.
    Due,
    /// It is not settled, or was not handed out yet.
    Open,
    /// It is on its way to the dead letters.
    Exhausted,
}

impl Ledger {
    /// The exhausted entries behind `after`, in order.
    pub(crate) fn doomed(
        &self,
        after: Option<EntryId>,
    ) -> impl Iterator<Item = (EntryId, &Doomed)> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.doom.list.range((from, std::ops::Bound::Unbounded)).map(|(id, doomed)| (*id, doomed))
    }

    /// Whether entries were exhausted since the last call.
    pub(crate) fn take_doom_news(&mut self) -> bool {
        std::mem::take(&mut self.doom.news)
    }

    /// Writes down where an exhausted entry's letter is about to go; says whether it still is one.
    pub(crate) fn intend(&self, id: EntryId, intent: Intent, out: &mut Vec<Event>) -> bool {
        let doomed = self.doom.list.contains_key(&id);
        if doomed {
            Event::Intended { run: id.into(), intent }.push(0, out);
        }
        doomed
    }

    /// Settles an entry whose letter is safe, unless something else became of it.
    pub(crate) fn bury(&self, id: EntryId, intent: Intent, out: &mut Vec<Event>) {
        if self.doom.list.get(&id).is_some_and(|doomed| doomed.intent == Some(intent)) {
            Event::Buried { run: id.into() }.push(0, out);
        }
    }

    /// Gives an exhausted entry up that the log no longer has.
    pub(crate) fn lose(&self, id: EntryId, out: &mut Vec<Event>) {
        if self.doom.list.contains_key(&id) {
            let (first, end) = (id.offset(), id.offset() + 1);
            out.push(Event::Skipped { partition: id.partition(), first, end, why: Skip::Trimmed });
        }
    }

    /// Makes an entry available once more that the group was done with.
    pub(crate) fn revive(&self, now: Moment, id: EntryId, out: &mut Vec<Event>) -> Revival {
        let window = self.entries.window(id.partition());
        let group = window.and_then(|window| window.groups(Run::from(id).offsets()).next());
        match group.map(|group| group.tag.state()) {
            Some(State::Settled) if self.parked.contains_key(&id) => {
                out.push(Event::Redriven { run: id.into(), due: now });
                Revival::Due
            }
            Some(State::Settled) => {
                out.push(Event::Revived { run: id.into(), due: now });
                Revival::Due
            }
            Some(State::Exhausted) => Revival::Exhausted,
            _ => Revival::Open,
        }
    }

    pub(super) fn apply_doomed(&mut self, run: Run, reason: &Reason) {
        // The windows are about to change, so what they say now is collected first.
        let Some(window) = self.entries.window(run.partition) else { return };
        let groups: Vec<(Group, Option<Arc<str>>)> = window
            .groups(run.offsets())
            .map(|group| {
                let hold = self.entries.index.holds.get(group.hold);
                let known = match group.tag.state() {
                    State::Leased => true,
                    State::Waiting => self.silenced(window, hold).is_none(),
                    _ => false,
                };
                let name = self.members.in_slot(hold.slot).filter(|_| known);
                (group, name.map(|member| Arc::clone(&member.name)))
            })
            .collect();
        for (group, consumer) in groups {
            let hold = self.entries.index.holds.get(group.hold);
            let lease = self.lease_number(hold);
            self.doom.take(&mut self.given, run.partition, &group, lease, consumer, reason);
        }
        self.entries.change(run.partition, run.offsets(), |group, held| {
            Some(exhausted(group.tag.attempts(), held?))
        });
    }

    pub(super) fn apply_intended(&mut self, run: Run, intent: Intent) {
        for id in run.ids() {
            if let Some(doomed) = self.doom.list.get_mut(&id) {
                doomed.intent = Some(intent);
            }
        }
    }

    pub(super) fn apply_buried(&mut self, run: Run) {
        let Self { entries, doom, exhausted, watched, totals, .. } = self;
        for id in run.ids() {
            if let Some(doomed) = doom.list.remove(&id)
                && *watched
            {
                let Doomed { attempts, reason, .. } = doomed;
                let (run, then) = (id.into(), Exhausted::DeadLetter);
                exhausted.push(Spent { run, attempts, then, reason });
            }
        }
        entries.change(run.partition, run.offsets(), |_, held| held.map(|_| Next::SETTLED));
        totals.dead_lettered = totals.dead_lettered.saturating_add(run.count.into());
    }

    pub(super) fn apply_revived(&mut self, run: Run, due: Moment) {
        for id in run.ids() {
            // Every token of it is void: it was settled.
            let hold = Hold { lease: BEFORE, time: due, slot: Void::Settled.slot() };
            self.entries.revive(id, Next::held(State::Withdrawn, 0, hold));
        }
    }

    /// Forgets what is known of entries apart from their windows, as they are no longer pending.
    pub(super) fn forget(&mut self, partition: u32, first: u64, end: u64) {
        self.given.forget(partition, first, end);
        remove_range(&mut self.doom.list, partition, first, end);
    }

    /// Whether a stored event fits.
    pub(super) fn check_revived(&self, run: Run) -> Result<(), Inconsistent> {
        let ids = EntryId::new(run.partition, run.first)..EntryId::new(run.partition, run.end());
        let parked = run.count > 0 && self.parked.range(ids).next().is_some();
        ensure(!parked, "what is parked is revived")
    }

    /// Appends the stored form.
    pub(super) fn put_doom(&self, out: &mut Vec<u8>) {
        self.given.encode(out);
        put(out, self.doom.list.len() as u64);
        for (id, doomed) in &self.doom.list {
            put(out, id.partition());
            put(out, id.offset());
            put_bytes(out, doomed.consumer.as_deref().unwrap_or_default().as_bytes());
            put_reason(out, &doomed.reason);
            put(out, doomed.first.unwrap_or(0));
            put(out, doomed.last.unwrap_or(0));
            out.push(u8::from(doomed.intent.is_some()));
            if let Some(intent) = doomed.intent {
                put_intent(out, intent);
            }
        }
    }

    /// Reads it back; what the log no longer has is left out.
    pub(super) fn read_doom(
        &mut self,
        reader: &mut Reader<'_>,
        ends: &[u64],
    ) -> Result<(), Inconsistent> {
        let gone =
            |id: EntryId| id.offset() >= ends.get(id.partition() as usize).map_or(0, |end| *end);
        let entries = &self.entries;
        let tag = |id: EntryId| {
            let window = entries.window(id.partition()).ok_or(Inconsistent("no such partition"))?;
            ensure(id.offset() < OFFSETS_MAX, "an offset is out of bounds")?;
            Ok(window.groups(Run::from(id).offsets()).next().map_or(Tag::FRESH, |group| group.tag))
        };
        let mut cut = false;
        let given = Given::decode(reader, self.next_lease, |id| {
            let state = tag(id)?.state();
            cut |= gone(id);
            let pending = state.is_pending() && state != State::Exhausted;
            ensure(gone(id) || pending, "what is not pending has failed")?;
            Ok(!gone(id))
        })?;
        let mut list = BTreeMap::new();
        let mut before = None;
        for _ in 0..reader.count(7)? {
            let id = EntryId::new(reader.small()?, reader.number()?);
            ensure(before < Some(id), "exhausted entries out of order")?;
            before = Some(id);
            let tag = tag(id)?;
            let mut doomed = read_doomed(reader)?;
            doomed.attempts = tag.attempts();
            if gone(id) {
                cut = true;
                continue;
            }
            ensure(tag.state() == State::Exhausted, "what is not exhausted goes to the letters")?;
            list.insert(id, doomed);
        }
        let all = list.len() as u64 == entries.index.exhausted;
        ensure(all, "an exhausted entry of which nothing is known")?;
        self.cut |= cut;
        (self.given, self.doom) = (given, Doom { list, news: false });
        Ok(())
    }
}

impl Doom {
    /// Takes in entries whose last lease was `lease`.
    fn take(
        &mut self,
        given: &mut Given,
        partition: u32,
        group: &Group,
        lease: Option<u64>,
        consumer: Option<Arc<str>>,
        reason: &Reason,
    ) {
        let (attempts, lease) = (group.tag.attempts(), lease.unwrap_or(0));
        let doomed = Doomed {
            attempts,
            consumer,
            reason: reason.clone(),
            first: None,
            last: given.at(lease),
            intent: None,
        };
        let count = u32::try_from(group.count).expect("no longer than a chunk");
        for (id, mut doomed) in each(Run::new(partition, group.first, count), &doomed) {
            doomed.first = given.first(id, attempts, lease);
            self.list.insert(id, doomed);
        }
        given.forget(partition, group.first, group.end());
        self.news = true;
    }
}

/// An exhausted entry: no token of it is good.
pub(super) fn exhausted(attempts: u16, last: Hold) -> Next {
    let hold = Hold { time: NEVER, slot: Void::Settled.slot(), ..last };
    Next::held(State::Exhausted, attempts, hold)
}

/// What takes in entries that came to the end of their attempts because their lease was taken
/// from them.
pub(super) struct Reaper<'a> {
    pub(super) parked: &'a mut BTreeMap<EntryId, Parked>,
    pub(super) doom: &'a mut Doom,
    pub(super) given: &'a mut Given,
    pub(super) members: &'a Members,
    pub(super) spent: Option<&'a mut Vec<Spent>>,
    pub(super) discarded: &'a mut u64,
    pub(super) first_lease: u64,
}

impl Reaper<'_> {
    /// What becomes of a group of them that had `held`; `next` is what others have then.
    pub(super) fn reap(
        &mut self,
        partition: u32,
        group: &Group,
        (held, next): (Hold, Hold),
        last: Last,
    ) -> Next {
        let count = u32::try_from(group.count).expect("no longer than a chunk");
        let (run, attempts) = (Run::new(partition, group.first, count), group.tag.attempts());
        let lease = (held.lease != BEFORE).then(|| self.first_lease + (held.lease - 1));
        if last.then == Exhausted::DeadLetter {
            let name = self.members.in_slot(held.slot).map(|member| Arc::clone(&member.name));
            self.doom.take(self.given, partition, group, lease, name, &None);
            return exhausted(attempts, next);
        }
        if let Some(spent) = &mut self.spent {
            spent.push(Spent { run, attempts, then: last.then, reason: None });
        }
        self.given.forget(partition, run.first, run.end());
        if last.then == Exhausted::Discard {
            *self.discarded = self.discarded.saturating_add(group.count);
        } else {
            let (lease, since) = (lease.unwrap_or(0), last.wall);
            self.parked.extend(each(run, &Parked { attempts, lease, since, reason: None }));
        }
        Next::SETTLED
    }
}

pub(super) fn put_reason(out: &mut Vec<u8>, reason: &Reason) {
    put_bytes(out, reason.as_deref().unwrap_or_default().as_bytes());
}

pub(super) fn read_reason(reader: &mut Reader<'_>) -> Result<Reason, Inconsistent> {
    let reason = reader.text()?;
    ensure(reason.len() <= REASON_BYTES_MAX, "a reason is out of bounds")?;
    Ok((!reason.is_empty()).then(|| reason.into()))
}

pub(super) fn put_intent(out: &mut Vec<u8>, intent: Intent) {
    put(out, intent.stream);
    put(out, intent.partition);
    put(out, intent.end);
}

pub(super) fn read_intent(reader: &mut Reader<'_>) -> Result<Intent, Inconsistent> {
    Ok(Intent { stream: reader.number()?, partition: reader.small()?, end: reader.number()? })
}

/// All but the attempts, which the window has.
fn read_doomed(reader: &mut Reader<'_>) -> Result<Doomed, Inconsistent> {
    let consumer = reader.text()?;
    ensure(consumer.len() <= NAME_BYTES_MAX, "a member's name is out of bounds")?;
    let wall = |wall: u64| (wall > 0).then_some(wall);
    Ok(Doomed {
        attempts: 0,
        consumer: (!consumer.is_empty()).then(|| consumer.into()),
        reason: read_reason(reader)?,
        first: wall(reader.number()?),
        last: wall(reader.number()?),
        intent: match reader.byte()? {
            0 => None,
            1 => Some(read_intent(reader)?),
            _ => return Err(Inconsistent("neither intended nor not")),
        },
    })
}
