//! A consumer's post at its group's desk. It is what keeps the membership: when the last handle of
//! a consumer goes, its post goes, and the member leaves. Deliveries point to it weakly, so they
//! keep nothing open.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::board::Notices;
use super::groups::Seat;
use super::membership::Joined;
use super::settle::{Outcome, Verb};
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::id::Token;
use crate::ledger::{Claim, MemberId};

/// One live membership.
pub(crate) struct Post {
    pub(crate) seat: Arc<Seat>,
    pub(crate) member: MemberId,
    pub(crate) name: Box<str>,
    /// What the consumer is told of itself.
    pub(crate) notices: Arc<Notices>,
    /// The newest generation that the consumer was told of.
    seen: AtomicU64,
    /// When a read last settled what earlier ones handed out.
    settled: AtomicU64,
    /// One of its reads is going on.
    reading: AtomicBool,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {:?}", self.name, self.seat)
    }
}

impl Post {
    pub(crate) fn new(seat: Arc<Seat>, name: &str, joined: Joined) -> Self {
        let Joined { member, notices, generation, at } = joined;
        Self {
            seat,
            member,
            name: name.into(),
            notices,
            seen: generation.into(),
            settled: at.0.into(),
            reading: false.into(),
        }
    }

    /// Applies a verb to claims of this consumer.
    pub(crate) fn settle(&self, claims: &[Claim], verb: Verb<'_>) -> Result<Outcome> {
        let outcome = self.seat.desk.settle(Some(self.member), claims, verb)?;
        self.seat.handle.mill.flush_if_due()?;
        Ok(outcome)
    }

    /// Applies a verb to one claim; a void one is an error.
    pub(crate) fn settle_one(&self, token: Token, verb: Verb<'_>) -> Result<()> {
        let outcome = self.settle(&[Claim::from(token)], verb)?;
        match outcome.refused.first() {
            None => Ok(()),
            Some((id, why)) => Err(Error::LeaseLost { id: *id, why: *why }),
        }
    }

    /// The consumer was told of a generation.
    pub(crate) fn learn(&self, generation: u64) {
        if self.seen() < generation {
            self.seen.fetch_max(generation, Ordering::Relaxed);
        }
    }

    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    pub(super) fn settled(&self) -> Moment {
        Moment(self.settled.load(Ordering::Relaxed))
    }

    pub(super) fn note_settled(&self, at: Moment) {
        self.settled.store(at.0, Ordering::Relaxed);
    }

    /// Marks a read as going on, in the modes that allow one at a time, and settles what the
    /// earlier ones handed out.
    pub(crate) fn begin_read(&self) -> Result<Option<Reading<'_>>> {
        let desk = &self.seat.desk;
        if !desk.reads_settle() {
            return Ok(None);
        }
        if self.reading.swap(true, Ordering::Acquire) {
            return Err(Error::AlreadyReading);
        }
        let reading = Reading { post: self };
        desk.settle_earlier(self)?;
        Ok(Some(reading))
    }
}

/// A read that is going on.
pub(crate) struct Reading<'a> {
    post: &'a Post,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.post.reading.store(false, Ordering::Release);
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.seat.desk.leave_quietly(self.member);
    }
}
