//! A consumer's post at its group's desk. It is what keeps the membership: when the last handle of
//! a consumer goes, its post goes, and the member leaves. Deliveries point to it weakly, so they
//! keep nothing open.

use std::fmt;
use std::sync::Arc;

use super::groups::Seat;
use super::settle::{Outcome, Verb};
use crate::error::{Error, Result};
use crate::id::Token;
use crate::ledger::{Claim, MemberId};

/// One live membership.
pub(crate) struct Post {
    pub(crate) seat: Arc<Seat>,
    pub(crate) member: MemberId,
    pub(crate) name: Box<str>,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {:?}", self.name, self.seat)
    }
}

impl Post {
    /// Applies a verb to claims of this consumer.
    pub(crate) fn settle(&self, claims: &[Claim], verb: Verb) -> Result<Outcome> {
        let outcome = self.seat.desk.settle(Some(self.member), claims, verb)?;
        self.seat.handle.mill.flush_if_due()?;
        Ok(outcome)
    }

    /// Applies a verb to one claim; a void one is an error.
    pub(crate) fn settle_one(&self, token: Token, verb: Verb) -> Result<()> {
        let outcome = self.settle(&[Claim::from(token)], verb)?;
        match outcome.refused.first() {
            None => Ok(()),
            Some((id, why)) => Err(Error::LeaseLost { id: *id, why: *why }),
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.seat.desk.leave_quietly(self.member);
    }
}
