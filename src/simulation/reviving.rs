//! Dead letters that are brought back, one by one or some at once, while the power goes or a call fails: what the
//! caller was told is back comes once and with no attempts, and to its group alone.
//!
//! # Invariants
//! 1. Payloads are unique, but that one appended anew has its original's, and an addressee.
//! 2. `owed` is what was told to be back, until a verdict on it was asked for, its attempts may be over,
//!    or it was trimmed. The group has it yet, unless the power went and it was not `safe`.
//! 3. `calls` counts for each payload how often its letter was redriven, whatever came of it: there
//!    are no more entries appended anew, and one more letter at most.
//! 4. No other group is ever given what is for one alone, and no lag counts it elsewhere.

mod runs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::letters::Half;
use super::world::Verdict;
use crate::backoff::Backoff;
use crate::clock::{Clock, ManualClock};
use crate::delivery::Delivery;
use crate::durability::Durability;
use crate::engine::Trial;
use crate::entries::Entry;
use crate::entry::NewEntry;
use crate::error::Result;
use crate::group::Group;
use crate::id::EntryId;
use crate::letter::{DeadLetter, Redriven};
use crate::letters::LetterQuery;
use crate::log::Field;
use crate::options::StreamOptions;
use crate::pending::PendingQuery;
use crate::policy::Exhausted;
use crate::start::Start;
use crate::storage::Storage;
use crate::storage::simulated::Simulated;
use crate::storage::simulated::random::Random;
use crate::stream::Stream;

/// An entry that comes again so often is given up.
const DELIVERIES_MAX: u16 = 2;
/// All that is left is read within so many rounds.
const ROUNDS_MAX: usize = 50;

/// What was told to be back.
#[derive(Debug)]
struct Owed {
    payload: Vec<u8>,
    /// How often it may have been handed out since.
    attempts: u16,
    /// It is on the disk.
    safe: bool,
    /// The power went, or a trim may have taken it.
    doubtful: bool,
}

/// Two streams on a disk, and what must be true of what is brought back.
struct Tale {
    disk: Simulated,
    clock: ManualClock,
    random: Random,
    durabilities: [Durability; 2],
    /// Failures were ordered, so calls may fail.
    tolerant: bool,
    appended: u64,
    owed: BTreeMap<EntryId, Owed>,
    calls: BTreeMap<Vec<u8>, usize>,
    /// How often it was available, open, appended.
    outcomes: [u64; 3],
}

/// Both, open, with the group that gives up, and one that does not.
struct Open {
    orders: Stream,
    letters: Stream,
    group: Group,
    other: Group,
}

/// The group that an entry is for alone.
fn addressee(entry: &Entry) -> Option<u64> {
    entry.parcel.fields(entry.index).find_map(|field| match field {
        Field::Addressee(group) => Some(group),
        _ => None,
    })
}

/// All that a stream holds.
fn all(stream: &Stream) -> Result<Vec<Entry>> {
    let (reader, mut found) = (stream.reader(Start::Earliest)?.until_now(), Vec::new());
    loop {
        let read = reader.try_read(100)?;
        if read.is_empty() {
            return Ok(found);
        }
        found.extend(read);
    }
}

/// What a group has not settled, with the attempts: `None` if it was not handed out.
fn unsettled(group: &Group, entries: &[Entry]) -> Result<BTreeMap<EntryId, Option<u16>>> {
    let pending = group.pending_entries(&PendingQuery::new().max(u32::MAX))?;
    let next: Vec<u64> = group.info()?.partitions.iter().map(|at| at.next).collect();
    let own = |entry: &&Entry| {
        addressee(entry).is_none_or(|group_number| group_number == group.seat.desk.incarnation)
    };
    let fresh = entries.iter().filter(own).map(Entry::id);
    let fresh = fresh.filter(|id| id.offset() >= next[id.partition() as usize]);
    let pending = pending.iter().map(|entry| (entry.id, Some(entry.attempts)));
    Ok(pending.chain(fresh.map(|id| (id, None))).collect())
}

impl Tale {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let levels = [Durability::Os, Durability::Always];
        Self {
            durabilities: [random.pick(&levels), random.pick(&levels)],
            disk: Simulated::new(random.next()),
            clock: ManualClock::new(),
            random,
            tolerant: false,
            appended: 0,
            owed: BTreeMap::new(),
            calls: BTreeMap::new(),
            outcomes: [0; 3],
        }
    }

    fn half(&mut self, n: usize) -> Result<Stream> {
        let half = Half { disk: self.disk.clone(), prefix: ["a-", "b-"][n] };
        let trial = Trial { salts: Some(self.random.next()), ..Trial::default() };
        let options = StreamOptions::default().segment_bytes(4096).clock(self.clock.clone());
        let options = options.durability(self.durabilities[n]);
        let fresh = half.list("").is_ok_and(|names| names.is_empty());
        let options = if fresh { options.partitions(2) } else { options };
        options.on_trial(Arc::new(half), trial)
    }

    fn open(&mut self) -> Result<Open> {
        self.clock = ManualClock::at(self.clock.wall());
        let (orders, letters) = (self.half(0)?, self.half(1)?);
        let group = orders
            .group("g")
            .max_deliveries(DELIVERIES_MAX)
            .backoff(Backoff::fixed(Duration::from_secs(1)))
            .on_exhausted(Exhausted::DeadLetter(letters.clone()))
            .open(Start::Earliest)?;
        let other = orders.group("other").open(Start::Earliest)?;
        Ok(Open { orders, letters, group, other })
    }

    /// Whether a call may have failed.
    fn forgive<T>(&self, doing: &str, outcome: Result<T>) -> Verdict<Option<T>> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(_) if self.tolerant || self.disk.is_off() => Ok(None),
            Err(error) => Err(format!("{doing}: {error}")),
        }
    }

    /// Compares what both groups have left with what they say, and with what is owed.
    fn look(&mut self, open: &Open) -> Verdict {
        let looked = || {
            let entries = all(&open.orders)?;
            let left = [unsettled(&open.group, &entries)?, unsettled(&open.other, &entries)?];
            Ok((entries, left, [open.group.lag()?, open.other.lag()?], all(&open.letters)?))
        };
        let Some((entries, left, lags, letters)) = self.forgive("look", looked())? else {
            return Ok(());
        };
        let expected = left.each_ref().map(|left| left.len() as u64);
        if lags != expected {
            return Err(format!("the lags are {lags:?}, and {expected:?} are left"));
        }
        let mut anew: BTreeMap<&[u8], usize> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| addressee(entry).is_some()) {
            *anew.entry(entry.payload()).or_default() += 1;
        }
        let mut lettered: BTreeMap<&[u8], usize> = BTreeMap::new();
        for entry in &letters {
            *lettered.entry(entry.payload()).or_default() += 1;
        }
        let calls = |payload: &[u8]| self.calls.get(payload).copied().unwrap_or(0);
        if anew.iter().any(|(payload, count)| *count > calls(payload)) {
            return Err("something was appended anew more often than asked for".to_owned());
        }
        if lettered.iter().any(|(payload, count)| *count > 1 + calls(payload)) {
            return Err("something has more letters than failures".to_owned());
        }
        let payloads: BTreeMap<EntryId, &Entry> = entries.iter().map(|e| (e.id(), e)).collect();
        let there = |id: &EntryId, owed: &Owed| {
            let same = payloads.get(id).is_some_and(|entry| entry.payload() == owed.payload);
            same && left[0].contains_key(id)
        };
        self.owed.retain(|id, owed| !owed.doubtful || there(id, owed));
        for (id, owed) in self.owed.iter_mut().filter(|(_, owed)| owed.doubtful) {
            // It may be back as it was before the redrive that the power took.
            let attempts = left[0].get(id).copied().flatten().unwrap_or(0);
            owed.attempts = owed.attempts.max(attempts);
            owed.doubtful = false;
        }
        match self.owed.iter().find(|(id, owed)| !there(id, owed)) {
            Some((id, owed)) => Err(format!("{id} was brought back and is lost: {owed:?}")),
            None => Ok(()),
        }
    }

    /// What happens between an opening and its end.
    fn act(&mut self, open: &Open, steps: usize) -> Verdict {
        let joined = [open.group.join("w"), open.other.join("o")];
        let [worker, passer] = joined.map(|joined| self.forgive("join", joined));
        let (Some(worker), Some(passer)) = (worker?, passer?) else { return Ok(()) };
        for _ in 0..steps {
            match self.random.below(16) {
                0..=2 => self.append(&open.orders)?,
                3 => self.clock.advance(Duration::from_secs(1)),
                4 => drop(self.forgive("maintain", open.orders.maintain())?),
                5..=7 => {
                    let max = 1 + self.random.below(6);
                    let read = worker.try_read(u32::try_from(max).expect("it is small"));
                    let Some(batch) = self.forgive("read", read)? else {
                        // It may have been handed out all the same.
                        self.owed.values_mut().for_each(|owed| owed.attempts += 1);
                        self.owed.retain(|_, owed| owed.attempts < DELIVERIES_MAX);
                        continue;
                    };
                    batch.into_iter().try_for_each(|delivery| self.resolve(delivery))?;
                }
                8 => {
                    let Some(batch) = self.forgive("pass", passer.try_read(20))? else { continue };
                    for held in batch {
                        if addressee(&held).is_some() {
                            return Err(format!("{} is another group's alone", held.id()));
                        }
                        self.forgive("pass", held.ack())?;
                    }
                }
                9..=11 => self.redrive(open)?,
                12 => self.redrive_many(open)?,
                13..=14 => self.trim(&open.orders)?,
                _ => {
                    if self.forgive("sync", open.orders.sync())?.is_some() {
                        self.owed.values_mut().for_each(|owed| owed.safe = true);
                    }
                }
            }
            if self.disk.is_off() {
                return Ok(());
            }
            if !self.tolerant && self.random.one_in(8) {
                self.look(open)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, orders: &Stream) -> Verdict {
        self.appended += 1;
        let mut text = format!("entry {}:", self.appended);
        text.extend(std::iter::repeat_n('x', self.random.below(500)));
        let key = self.random.below(5).to_string();
        let appended = orders.append(NewEntry::new(&text).key(&key));
        self.forgive("append", appended).map(drop)
    }

    fn resolve(&mut self, delivery: Delivery) -> Verdict {
        let (id, attempt) = (delivery.id(), delivery.attempt());
        let verdict = self.random.below(6);
        if let Some(owed) = self.owed.get_mut(&id) {
            if attempt > owed.attempts + 1 || delivery.payload() != owed.payload {
                return Err(format!("{id} came as attempt {attempt}, and is {owed:?}"));
            }
            owed.attempts = attempt;
            if attempt >= DELIVERIES_MAX || verdict > 1 {
                self.owed.remove(&id);
            }
        }
        let done = match verdict {
            0 => delivery.nack(),
            1 => {
                drop(delivery);
                return Ok(());
            }
            2 => delivery.ack(),
            _ => delivery.reject("bad"),
        };
        self.forgive("resolve", done).map(drop)
    }

    /// Brings one of the letters back, whichever it is and whatever became of it before.
    fn redrive(&mut self, open: &Open) -> Verdict {
        let Some(letters) = self.forgive("letters", all(&open.letters))? else { return Ok(()) };
        if letters.is_empty() {
            return Ok(());
        }
        let letter = &letters[self.random.below(letters.len())];
        let payload = letter.payload().to_vec();
        let told = DeadLetter::of(letter).ok_or_else(|| format!("{} is no letter", letter.id()))?;
        let origin = told.origin();
        let stored = |id| {
            let found = open.orders.get(id)?;
            Ok(found.filter(|found| found.payload() == payload && found.key() == letter.key()))
        };
        let lags = || Ok([open.group.lag()?, open.other.lag()?]);
        // An entry that was appended anew may have got the id of an original that a cut took.
        let same = |found: &Entry| found.parcel.salt(found.index) == told.of.salt;
        let before = (|| Ok((stored(origin)?.is_some_and(|found| same(&found)), lags()?)))();
        let Some((there, before)) = self.forgive("look", before)? else { return Ok(()) };
        *self.calls.entry(payload.clone()).or_default() += 1;
        let redriven = open.group.redrive_letter(letter);
        let Some(redriven) = self.forgive("redrive", redriven)? else { return Ok(()) };
        let (kind, id) = match redriven {
            Redriven::Available(id) => (0, id),
            Redriven::Open(id) => (1, id),
            Redriven::Appended(id) => (2, id),
            Redriven::Superseded(_) => return Err(format!("one alone is {redriven:?}")),
        };
        self.outcomes[kind] += 1;
        if there != (kind < 2) || (there && id != origin) {
            return Err(format!("{redriven:?} of {origin}, which is there: {there}"));
        }
        let look = || {
            let left = unsettled(&open.group, &all(&open.orders)?)?;
            Ok((stored(id)?.is_some(), left.get(&id).copied(), lags()?))
        };
        if let Some((found, attempts, after)) = self.forgive("look", look())?
            && self.judges()
        {
            let more = u64::from(kind != 1);
            // What is open may have been handed out, or not.
            let right = match kind {
                0 => attempts == Some(Some(0)),
                1 => attempts.is_some(),
                _ => attempts == Some(None),
            };
            if !found || !right || after != [before[0] + more, before[1]] {
                let now = format!("{attempts:?}, lags {after:?} of {before:?}");
                return Err(format!("{redriven:?}, which is there: {found}, at {now}"));
            }
        }
        self.owe(redriven, payload);
        Ok(())
    }

    /// Brings some letters back in one call.
    fn redrive_many(&mut self, open: &Open) -> Verdict {
        let lags = || Ok([open.group.lag()?, open.other.lag()?]);
        // A look may bury what had to wait.
        let Some(before) = self.forgive("lag", lags())? else { return Ok(()) };
        let Some(letters) = self.forgive("letters", all(&open.letters))? else { return Ok(()) };
        let mut letters: BTreeMap<EntryId, Vec<u8>> =
            letters.iter().map(|letter| (letter.id(), letter.payload().to_vec())).collect();
        let Some(first) = letters.keys().nth(self.random.below(letters.len().max(1))).copied()
        else {
            return Ok(());
        };
        let max = 1 + self.random.below(6);
        let query = LetterQuery::new().range(first..).max(max);
        for payload in letters.range(first..).take(max).map(|(_, payload)| payload) {
            *self.calls.entry(payload.clone()).or_default() += 1;
        }
        let redriven = open.group.redrive_letters(&open.letters, &query);
        let Some(done) = self.forgive("redrive", redriven)? else { return Ok(()) };
        let count = done.count() as u64;
        let stopped = !done.failed.is_empty() || done.stopped.is_some();
        if let Some(error) =
            done.failed.into_iter().map(|(_, error)| error).chain(done.stopped).next()
        {
            self.forgive::<()>("redrive", Err(error))?;
        }
        for (letter, redriven) in done.redriven {
            let payload = letters.remove(&letter).ok_or("it was no letter before")?;
            self.owe(redriven, payload);
        }
        match self.forgive("lag", lags())? {
            // What it was stopped by may have come behind the change.
            Some(after)
                if !stopped && !self.disk.is_off() && after != [before[0] + count, before[1]] =>
            {
                Err(format!("{count} are back, and made the lags {after:?} of {before:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Notes what was told to be back.
    fn owe(&mut self, redriven: Redriven, payload: Vec<u8>) {
        if let Redriven::Available(id) | Redriven::Appended(id) = redriven {
            let safe = self.durabilities[0] == Durability::Always;
            let owed = Owed { payload, attempts: 0, safe, doubtful: self.disk.is_off() && !safe };
            self.owed.insert(id, owed);
        }
    }
}
