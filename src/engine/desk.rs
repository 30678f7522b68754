//! The desk of one group: where its entries are given out and taken back. Everything that happens
//! to the group happens here, under one lock: look, decide, write the journal, apply.
//!
//! # Invariants
//! 1. No flush and no code of the user runs under the lock.
//! 2. What dropped handles left in `returned` is dealt with before anything else.
//! 3. Nothing is handed out that was not copied and checked: rot moves nothing.
//! 4. Whoever makes an entry available, or ends the group, wakes a blocked read.
//!
//! # Why the copy is made under the lock
//! How many entries a read may take depends on their sizes, and which ones it takes must be decided
//! before another read looks. Copying first and deciding afterwards would let two reads copy the
//! same entries; deciding first would hand out entries that then cannot be read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::board::Board;
use super::bury::Burial;
use super::census::Census;
use super::defer::Early;
use super::ground::Ground;
use super::groups::Seat;
use super::journal::{self, Journal, Opened, now_of};
use super::manifest::GroupRecord;
use super::out::Out;
use super::ready::Ready;
use super::returned::Returned;
use super::sight::Sight;
use super::tell::{Told, tell_exhausted};
use super::turnover::Counting;
use super::wake::Readers;
use crate::assign::Assign;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::ledger::{AckMode, Claim, Event, Ledger, Now, Policy, Run};
use crate::log::{Cursor, Log};
use crate::observe;
use crate::subject::Filter;
use crate::waiters::Waiters;

/// One group, open.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) name: Box<str>,
    /// The group's number, never used twice, which every token repeats.
    pub(crate) incarnation: u64,
    pub(crate) created: u64,
    /// When it was opened, or made, in this process.
    pub(super) opened: Moment,
    /// Which entries are for the group; `None` if all are.
    pub(super) filter: Option<Filter>,
    pub(crate) ground: Arc<Ground>,
    pub(crate) waiters: Waiters,
    /// Who waits until nothing is leased.
    pub(super) drains: Waiters,
    pub(super) ready: Ready,
    /// Where those who listen are told what happens.
    pub(crate) board: Board,
    /// Who reads what, for those who do not hold the lock.
    pub(super) readers: RwLock<Readers>,
    pub(super) journal: Log,
    state: Mutex<State>,
    pub(super) returned: Mutex<Returned>,
    /// How far the journal was followed, where the stream is open for reading only.
    pub(super) sight: Mutex<Sight>,
    /// What the group's handles share, as long as there are any.
    pub(super) seat: Mutex<Weak<Seat>>,
    /// What is exhausted and has to go to the dead letters.
    pub(super) burial: Burial,
    deleted: AtomicBool,
    /// A read settles what the consumer's earlier ones handed out.
    pub(super) reads_settle: AtomicBool,
    /// There is no segment to go on in, or the disk was too full to make the next one ahead.
    pub(super) low: AtomicBool,
    /// Nothing was made durable yet that would tell the next opening of hand-outs it does not find.
    pub(super) unmarked: AtomicBool,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) journal: Journal,
    /// Where in the logs the next new entries are.
    pub(super) fresh: Vec<Cursor>,
    /// Where the last entries that were handed out again ended.
    pub(super) again: Vec<Cursor>,
    /// Which partition the next read starts with where everybody reads everything; else, by slot,
    /// the next read of that member.
    pub(super) turn: u32,
    pub(super) turns: Vec<u32>,
    pub(super) events: Vec<Event>,
    pub(super) runs: Vec<Run>,
    /// How far a read looked in each partition, where what it found last is not for the group.
    pub(super) passed: Vec<(u32, u64)>,
    /// How many entries are still to be given, as far as that has to be counted.
    pub(super) census: Census,
    /// What reads brought back and may not have been looked at.
    pub(super) out: Out,
    pub(super) told: Told,
    /// `None` as long as a group whose strategy is the user's was not opened with it.
    pub(super) strategy: Option<Arc<dyn Assign>>,
    pub(super) strategy_name: Box<str>,
    /// For which members the strategy gave no good answer, and why.
    pub(super) failed: Option<(u64, String)>,
    /// The same, if the call that holds the lock has to know.
    pub(super) failure: Option<Error>,
    /// New entries that are not due yet.
    pub(super) early: Early,
    /// Somebody was refused entries because too many are leased.
    pub(super) limited: bool,
    /// The assignment changed, and who waits was not told yet.
    shifted: bool,
}

pub(super) fn settles_on_read(policy: &Policy) -> bool {
    matches!(policy.ack, AckMode::OnNextRead | AckMode::Interval(_))
}

impl Desk {
    pub(super) fn new(
        record: &GroupRecord,
        ground: Arc<Ground>,
        opened: Opened,
        strategy: Option<Arc<dyn Assign>>,
    ) -> Self {
        let partitions = ground.logs.len();
        let reads_settle = settles_on_read(opened.ledger.policy()).into();
        let state = State {
            ledger: opened.ledger,
            journal: opened.journal,
            fresh: vec![Cursor::default(); partitions],
            again: vec![Cursor::default(); partitions],
            turn: 0,
            turns: Vec::new(),
            events: Vec::new(),
            runs: Vec::new(),
            passed: Vec::new(),
            census: Census::default(),
            out: Out::default(),
            told: Told::new(),
            strategy,
            strategy_name: record.settings.strategy.name().into(),
            failed: None,
            failure: None,
            early: Early::default(),
            limited: false,
            shifted: false,
        };
        Self {
            name: record.name.as_str().into(),
            incarnation: record.number,
            created: record.created,
            opened: ground.time.now(),
            filter: record.filter(),
            waiters: Waiters::new(&ground.tally),
            drains: Waiters::new(&ground.tally),
            ready: Ready::new(&ground.tally),
            board: Board::new(&ground.time, ground.source.group(&record.name)),
            readers: RwLock::default(),
            low: AtomicBool::new(!opened.log.is_ready() && !ground.looks_on()),
            unmarked: AtomicBool::new(!opened.marked),
            ground,
            journal: opened.log,
            state: Mutex::new(state),
            returned: Mutex::default(),
            sight: Mutex::default(),
            seat: Mutex::default(),
            burial: Burial::default(),
            deleted: AtomicBool::new(false),
            reads_settle,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.ground.check_open()?;
        if self.deleted.load(Ordering::Acquire) { Err(Error::GroupDeleted) } else { Ok(()) }
    }

    pub(super) fn check_write(&self) -> Result<()> {
        self.check()?;
        self.ground.check_mode()?;
        self.ground.latch.check()
    }

    /// Locks the group as it is.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Locks the group and brings it up to date: dropped handles first, then what time has ended,
    /// then what a strategy has to be asked about.
    pub(super) fn enter(&self) -> Result<(MutexGuard<'_, State>, Now)> {
        let mut failure = None;
        loop {
            self.check_write()?;
            let mut state = self.state.lock();
            let now = now_of(&self.ground.time);
            self.catch_up(&mut state, now)?;
            let Some(question) = state.open_question() else {
                state.failure = failure;
                return Ok((state, now));
            };
            drop(state);
            let answer = question.ask();
            let mut state = self.state.lock();
            failure = self.adopt(&mut state, &question, answer)?;
        }
    }

    pub(super) fn catch_up(&self, state: &mut State, now: Now) -> Result<()> {
        self.take_returned(state)?;
        loop {
            let State { ledger, events, .. } = &mut *state;
            let more = ledger.expire(now, events);
            if self.take_unseen(state, now)? {
                continue;
            }
            self.commit(state)?;
            if !more {
                return self.move_on(state, now);
            }
        }
    }

    /// Goes on with a hand-over of partitions, and tells who waits that the assignment changed.
    pub(super) fn move_on(&self, state: &mut State, now: Now) -> Result<()> {
        let mut outcome = Ok(());
        while outcome.is_ok() && state.ledger.is_moving() {
            let State { ledger, events, .. } = &mut *state;
            ledger.move_on(now, events);
            if events.is_empty() {
                break;
            }
            outcome = self.commit(state);
        }
        if std::mem::take(&mut state.shifted) {
            self.ring_all();
        }
        outcome
    }

    /// The same behind something that is done, and not undone if this cannot be written now: the
    /// next call goes on with it, and tells what is wrong.
    pub(super) fn move_on_behind(&self, state: &mut State, now: Now) {
        let _ = self.move_on(state, now);
    }

    /// Before members go, by the events that were decided on: releases what was handed to them and
    /// nobody looked at, in place of those events. Says whether there was any; then the events have
    /// to be decided on once more.
    pub(super) fn take_unseen(&self, state: &mut State, now: Now) -> Result<bool> {
        let State { ledger, events, out, .. } = state;
        let leaving = events.iter().filter_map(|event| match event {
            Event::Left { slot, .. } => Some(*slot),
            _ => None,
        });
        let leaving: Vec<u16> = leaving.collect();
        let unseen: Vec<Claim> = leaving.iter().flat_map(|slot| out.unseen(*slot)).collect();
        if !unseen.is_empty() {
            events.clear();
            ledger.hand_back(now, &unseen, false, events);
            // If this cannot be written, whoever tries again finds it again.
            self.commit(state)?;
        }
        for slot in &leaving {
            state.out.forget(*slot);
        }
        Ok(!unseen.is_empty())
    }

    /// Journals the events that were decided on, and applies them; or does neither.
    pub(super) fn commit(&self, state: &mut State) -> Result<()> {
        let State { ledger, journal, events, told, census, .. } = state;
        if events.is_empty() {
            return Ok(());
        }
        let recorded = journal.record(&self.journal, ledger, events, &self.ground.time);
        let mut assigns = false;
        if recorded.is_ok() {
            self.ground.note_write();
            let watched = self.board.is_watched() || observe::ON;
            ledger.watch(watched);
            let mut counting = Counting::new(ledger);
            for event in &*events {
                if let Event::Left { slot, .. } = event {
                    self.ready.mark(|hook| hook == *slot);
                }
                counting.see(event);
                told.tell(&self.board, ledger, event);
                assigns |= Readers::change_by(ledger, event);
                census.follow(&self.ground.logs, ledger, event);
                ledger.apply(event);
            }
            if ledger.take_doom_news() {
                self.burial.owe();
            }
            if watched {
                tell_exhausted(&self.board, ledger.take_exhausted(), &mut counting);
            }
            counting.note(&self.board.source, ledger);
        }
        if !self.drains.is_empty() {
            self.tell_drained(ledger.leased());
        }
        if assigns {
            *self.readers.write() = Readers::of(ledger);
            state.shifted = true;
        }
        state.events.clear();
        recorded
    }

    /// Gives the lock back and does what must not be done under it.
    pub(super) fn finish(&self, mut state: MutexGuard<'_, State>) -> Result<()> {
        let rolled = state.journal.take_rolled();
        drop(state);
        let Some(spare_bytes) = rolled else { return Ok(()) };
        match journal::tidy_up(&self.journal, spare_bytes, &self.ground.time) {
            Err(error) if error.is_disk_full() => {
                // What was asked for is done; reads are refused until there is a spare again.
                self.low.store(true, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }

    /// Whether a read settles what the consumer's earlier ones handed out.
    #[inline]
    pub(super) fn reads_settle(&self) -> bool {
        self.reads_settle.load(Ordering::Relaxed)
    }

    /// Ends what time has ended.
    pub(crate) fn maintain(&self) -> Result<()> {
        let _calls = self.ready.afterwards();
        let (mut state, now) = self.enter()?;
        let failure = state.failure.take();
        self.stir(&mut state, now);
        if state.ledger.doomed(None).next().is_some() {
            self.burial.owe();
        }
        self.finish(state)?;
        failure.map_or(Ok(()), Err)
    }

    /// When something is due next.
    pub(crate) fn next_moment(&self, now: Moment) -> Moment {
        let mut state = self.state.lock();
        let next = state.ledger.next_moment(now);
        next.min(state.next_held_up(now))
    }

    /// Makes the journal durable.
    pub(crate) fn flush(&self) -> Result<()> {
        self.journal.flush_all().map(|_| ())
    }

    /// Closes the journal. What dropped handles left is not lost by that: opening ends all leases.
    pub(crate) fn close(&self) -> Result<()> {
        let mut state = self.state.lock();
        if self.ground.latch.check().is_ok() {
            // What cannot be written counts all the same: those leases end with the process.
            let _ = self.take_returned(&mut state);
        }
        drop(state);
        self.journal.close()
    }

    /// Ends the group for every handle. The hooks are the caller's to [end](Ready::end).
    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
        drop(self.state.lock());
        self.end_waits();
    }
}
