//! Dead letters: what is exhausted in a group goes to another stream, once, never twice and never
//! not at all.
//!
//! # The order of the steps
//! 1. The original is read, which says to which partition its letter goes, and made durable: a letter must
//!    not outlive the entry whose id it names.
//! 2. Under the group's lock the intent is journaled: where that partition ends. The journal is
//!    flushed: an intent has to be durable before its letter can be.
//! 3. Without any lock the letter is appended and flushed, whatever the durability.
//! 4. Under the group's lock the entry is settled, in the journal too.
//!
//! Whoever finds an intent that was not followed by step 4 looks for the letter from that end on, by
//! its origin. If it is there, step 4 is all that is left; else all of it is done again, with a new
//! intent, since a power cut may have taken the end that the old one names.
//!
//! # Invariants
//! 1. One thread at a time does this for a group. It is whoever made a call that left exhausted
//!    entries; what it cannot do now is tried again after a second by the next call, at once by
//!    `maintain`, or when more is exhausted.
//! 2. No lock is held in step 3, and none of this is done under the lock of the manifest: an append
//!    may do all sorts of things in its own stream.
//! 3. The target is reached by the group's seat alone: two streams that bury in each other do not
//!    keep each other open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::desk::{Desk, State};
use super::draft::with_draft;
use super::groups::Seat;
use super::mill::{Got, Mill};
use super::parcel::Parcel;
use crate::clock::{Moment, Time};
use crate::entry::NewEntry;
use crate::error::{Error, Result};
use crate::hash::partition_of;
use crate::id::EntryId;
use crate::ledger::{Doomed, Intent, Now};
use crate::letter::{DeadLetter, LETTER_BYTES_MAX, Origin};
use crate::limits::BATCH_BYTES_MAX;
use crate::log::{Bounds, Cursor, Field, Placed};
use crate::observe::{self, Signal, Source, Span};

/// So many entries are buried in one round.
const ROUND_MAX: usize = 256;
/// How long to wait before another try.
const RETRY: Duration = Duration::from_secs(1);

/// What is to be done for a group's exhausted entries.
#[derive(Debug)]
pub(super) struct Burial {
    /// There may be some of which nobody knows yet whether they can go.
    owed: AtomicBool,
    /// Somebody is at it.
    busy: AtomicBool,
    /// When those that could not go are tried again.
    retry_at: AtomicU64,
    failure: Mutex<Option<Arc<str>>>,
}

impl Default for Burial {
    fn default() -> Self {
        let retry_at = Moment::NEVER.0.into();
        Self { owed: true.into(), busy: false.into(), retry_at, failure: Mutex::default() }
    }
}

impl Burial {
    /// Asks for a try.
    pub(super) fn owe(&self) {
        self.owed.store(true, Ordering::Release);
    }

    pub(super) fn is_owed(&self) -> bool {
        self.owed.load(Ordering::Acquire)
    }

    fn is_due(&self, time: &Time) -> bool {
        let retry_at = Moment(self.retry_at.load(Ordering::Relaxed));
        self.is_owed() || (retry_at < Moment::NEVER && retry_at <= time.now())
    }

    /// Why entries wait, if they do.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().as_deref().map(str::to_owned)
    }

    fn note(&self, outcome: Result<Option<String>>, time: &Time, source: &Source) {
        let failure = outcome.unwrap_or_else(|error| Some(error.to_string()));
        if let Some(why) = &failure {
            observe::note(source, || Signal::LettersWait { why: why.as_str().into() });
        }
        let retry_at = if failure.is_some() { time.now().after(RETRY) } else { Moment::NEVER };
        self.retry_at.store(retry_at.0, Ordering::Relaxed);
        *self.failure.lock() = failure.map(Into::into);
    }
}

/// An entry on its way.
struct Mail {
    id: EntryId,
    intent: Intent,
    letter: DeadLetter,
    original: Parcel,
}

/// What a round comes to before anything is written.
#[derive(Default)]
struct Sorted {
    mails: Vec<Mail>,
    /// Their letters are where they should be.
    safe: Vec<(EntryId, Intent)>,
    /// The log no longer has them.
    gone: Vec<EntryId>,
    /// Why one of them has to wait.
    stuck: Option<String>,
}

impl Desk {
    /// Buries what is exhausted, if there is something to do and nobody is at it. What fails is
    /// remembered, shown by `info` and tried again later: it is not the caller's to know.
    pub(crate) fn bury(&self) {
        while self.burial.is_due(&self.ground.time)
            && !self.burial.busy.swap(true, Ordering::AcqRel)
        {
            self.burial.owed.store(false, Ordering::Relaxed);
            let outcome = self.bury_all();
            self.burial.note(outcome, &self.ground.time, &self.board.source);
            // Who asked meanwhile found it busy; the swap sees what it asked for.
            self.burial.busy.swap(false, Ordering::AcqRel);
        }
    }

    /// As [`enter`](Self::enter), behind what has to be buried.
    pub(super) fn enter_buried(&self) -> Result<(MutexGuard<'_, State>, Now)> {
        let (state, now) = self.enter()?;
        if !self.burial.is_owed() {
            return Ok((state, now));
        }
        self.finish(state)?;
        self.bury();
        self.enter()
    }

    /// When what could not go to the dead letters is tried again.
    pub(crate) fn next_burial(&self) -> Moment {
        Moment(self.burial.retry_at.load(Ordering::Relaxed))
    }

    /// One pass over all. Says why some had to wait, if they had.
    fn bury_all(&self) -> Result<Option<String>> {
        let _told = observe::within(&self.board.source, Span::Bury);
        if self.check_write().is_err() {
            return Ok(None);
        }
        let (mut after, mut stuck) = (None, None);
        loop {
            let round: Vec<(EntryId, Doomed)> = {
                let state = self.lock();
                let doomed = state.ledger.doomed(after).take(ROUND_MAX);
                doomed.map(|(id, doomed)| (id, doomed.clone())).collect()
            };
            let Some((last, _)) = round.last() else { return Ok(stuck) };
            after = Some(*last);
            // Without a handle of the group nobody has told where to.
            let Some(seat) = self.seat.lock().upgrade() else { return Ok(None) };
            let Some(target) = seat.target() else {
                return Ok(Some("the group was opened without its dead-letter stream".to_owned()));
            };
            stuck = self.bury_round(&seat, &target.mill, round)?.or(stuck);
        }
    }

    fn bury_round(
        &self,
        seat: &Seat,
        target: &Mill,
        round: Vec<(EntryId, Doomed)>,
    ) -> Result<Option<String>> {
        target.ground.check_write()?;
        let Sorted { mails, safe, gone, mut stuck } =
            self.sort(&seat.handle.mill, target, round)?;
        seat.handle.mill.keep_originals(&mails)?;
        let mut state = self.lock();
        let State { ledger, events, .. } = &mut *state;
        let mails: Vec<Mail> =
            mails.into_iter().filter(|mail| ledger.intend(mail.id, mail.intent, events)).collect();
        for (id, intent) in safe {
            ledger.bury(id, intent, events);
        }
        for id in gone {
            ledger.lose(id, events);
        }
        let mut outcome = self.settle_doomed(state);
        if !mails.is_empty() {
            outcome = outcome.and_then(|()| self.journal.flush_all().map(drop));
        }
        outcome?;
        let _calls = target.hooks_afterwards();
        let (safe, failed) = post(target, mails, &mut stuck);
        target.make_safe(&safe)?;
        let mut state = self.lock();
        let State { ledger, events, .. } = &mut *state;
        for (id, intent, _) in &safe {
            ledger.bury(*id, *intent, events);
        }
        self.settle_doomed(state)?;
        self.promise()?;
        failed.map_or(Ok(stuck), Err)
    }

    fn settle_doomed(&self, mut state: MutexGuard<'_, State>) -> Result<()> {
        let done = self.commit(&mut state);
        if done.is_err() {
            state.events.clear();
        }
        self.finish(state).and(done)
    }

    /// Finds out what becomes of each: reads the originals, and looks for letters that are there.
    fn sort(&self, own: &Mill, target: &Mill, round: Vec<(EntryId, Doomed)>) -> Result<Sorted> {
        let stream = target.terms.stream;
        let mut sorted = Sorted::default();
        let found = target.letters_since(round.iter().filter_map(|(_, doomed)| doomed.intent))?;
        let partitions = target.ground.partitions();
        for (id, doomed) in round {
            let origin =
                |salt| Origin { stream: own.terms.stream, id, salt, group: self.incarnation };
            if doomed.intent.is_some_and(|intent| intent.stream != stream) {
                let text = format!("the dead letter of {id} may be in another stream already");
                sorted.stuck = Some(text);
                continue;
            }
            let original = match own.get(id) {
                Ok(original) => original,
                Err(error) if error.is_corrupt() => {
                    sorted.stuck = Some(error.to_string());
                    None
                }
                Err(error) => return Err(error),
            };
            let there = if let Some(original) = &original {
                found.contains(&origin(original.salt(0)))
            } else {
                // Which of the entries of that id it was, nobody can tell any more.
                let mut any = found.range(origin(0)..=origin(u64::MAX));
                any.any(|letter| letter.group == self.incarnation)
            };
            match (doomed.intent, original) {
                (Some(intent), _) if there => sorted.safe.push((id, intent)),
                (_, Some(original)) => {
                    let key = original.fields(0).find_map(|field| match field {
                        Field::Key(key) => Some(key),
                        _ => None,
                    });
                    let partition = key
                        .map_or(id.partition() % partitions, |key| partition_of(key, partitions));
                    let end = target.ground.log(partition)?.end();
                    let letter = DeadLetter {
                        of: origin(original.salt(0)),
                        group: self.name.clone(),
                        consumer: doomed.consumer.as_deref().unwrap_or_default().into(),
                        reason: doomed.reason.as_deref().unwrap_or_default().into(),
                        attempts: doomed.attempts,
                        first: doomed.first.unwrap_or(0),
                        last: doomed.last.unwrap_or(0),
                    };
                    let intent = Intent { stream, partition, end };
                    sorted.mails.push(Mail { id, intent, letter, original });
                }
                (_, None) if id.offset() < own.ground.log(id.partition())?.start() => {
                    sorted.gone.push(id);
                }
                // It cannot be read, so it waits.
                (_, None) => {}
            }
        }
        Ok(sorted)
    }
}

impl Mill {
    /// The origins of the letters that stand where these intents say, or behind.
    fn letters_since(&self, intents: impl Iterator<Item = Intent>) -> Result<BTreeSet<Origin>> {
        let mut starts: BTreeMap<u32, u64> = BTreeMap::new();
        for intent in intents.filter(|intent| intent.stream == self.terms.stream) {
            let start = starts.entry(intent.partition).or_insert(intent.end);
            *start = intent.end.min(*start);
        }
        let mut found = BTreeSet::new();
        for (partition, start) in starts {
            let Some(log) = self.ground.logs.get(partition as usize) else { continue };
            let mut cursor = Cursor::at(start.max(log.start()));
            let bounds = Bounds { entries: 1_000, bytes: BATCH_BYTES_MAX / 4, before: u64::MAX };
            loop {
                let mut parcel = Parcel::new(&self.ground.pool);
                match self.read(partition, &mut cursor, bounds, &mut parcel)? {
                    Got::Entries(0) => break,
                    Got::Entries(_) => {}
                    Got::Trimmed { start } => {
                        cursor.seek(start);
                        continue;
                    }
                }
                let letters = (0..parcel.len()).filter_map(|index| parcel.letter(index));
                found.extend(letters.map(|letter| letter.of));
            }
        }
        Ok(found)
    }

    /// Makes the originals of letters durable before these are, whatever the stream's durability. A letter
    /// knows its original by its id and its segment's salt; both may come again with another entry if
    /// the power takes the first.
    fn keep_originals(&self, mails: &[Mail]) -> Result<()> {
        for Mail { id, .. } in mails {
            if self.ground.log(id.partition())?.flush_to(id.offset() + 1)? {
                self.ring(id.partition());
            }
        }
        Ok(())
    }

    /// Appends the dead letter of an entry to one partition. Its own field counts for nothing: an
    /// entry that its stream took fits a stream of the same bounds.
    fn append_letter(
        &self,
        partition: u32,
        original: &Parcel,
        letter: &DeadLetter,
    ) -> Result<Placed> {
        self.ground.check_write()?;
        let bytes = letter.encode();
        let entry = NewEntry { letter: Some(&bytes), ..original.draft(0) };
        entry.check(self.entry_bytes_max.saturating_add(LETTER_BYTES_MAX as u64))?;
        self.check_room(partition)?;
        let log = self.ground.log(partition)?;
        let placed = with_draft(|draft| {
            draft.push(&entry.fields(0));
            draft.finish();
            let placed = log.append(draft, self.ground.time.wall_micros())?;
            self.ground.note_appended(1, draft.encoded_bytes());
            Ok(placed)
        })?;
        self.ground.note_write();
        Ok(placed)
    }

    /// Makes letters durable, whatever the stream's durability, and does what has to follow an
    /// append.
    fn make_safe(&self, letters: &[(EntryId, Intent, Placed)]) -> Result<()> {
        let mut ends: BTreeMap<u32, Placed> = BTreeMap::new();
        for (_, intent, placed) in letters {
            let last = ends.entry(intent.partition).or_insert(*placed);
            let (ring, rolled) = (last.ring | placed.ring, last.rolled | placed.rolled);
            *last = Placed { ring, rolled, ..*placed };
        }
        for (partition, mut placed) in ends {
            placed.ring |= self.ground.log(partition)?.flush_to(placed.end)?;
            self.settle(partition, placed)?;
        }
        Ok(())
    }
}

/// Appends letters. Says where they are, and why it stopped, if it did.
fn post(
    target: &Mill,
    mails: Vec<Mail>,
    stuck: &mut Option<String>,
) -> (Vec<(EntryId, Intent, Placed)>, Option<Error>) {
    let mut safe = Vec::with_capacity(mails.len());
    for mail in mails {
        match target.append_letter(mail.intent.partition, &mail.original, &mail.letter) {
            Ok(placed) => safe.push((mail.id, mail.intent, placed)),
            Err(error @ Error::EntryTooLarge { .. }) => {
                *stuck = Some(format!("the dead letter of {}: {error}", mail.id));
            }
            Err(error) => return (safe, Some(error)),
        }
    }
    (safe, None)
}
