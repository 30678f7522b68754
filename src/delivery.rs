//! [`Delivery`]: one entry in one consumer's hands, and how it is resolved.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batch::hand_back;
use crate::engine::{Outcome, Verb};
use crate::entries::Entry;
use crate::error::{Error, Lost, Result};
use crate::id::{EntryId, Token};
use crate::ledger::{AckMode, Again};
use crate::limits::{lasting, shortened};

/// One entry leased to one consumer. Derefs to [`Entry`].
///
/// It is resolved by [`ack`](Self::ack), [`nack`](Self::nack), [`release`](Self::release) or
/// [`reject`](Self::reject). If it is dropped instead (an early return, a panic), it is nacked. A
/// verb that fails leaves the lease as it was: the error carries the [`Token`], and nothing is
/// handed back.
pub struct Delivery {
    entry: Entry,
    resolved: bool,
}

impl Delivery {
    pub(crate) fn new(entry: Entry) -> Self {
        Self { entry, resolved: false }
    }

    /// How often the entry was handed out, this time included: 1, 2, and so on.
    pub fn attempt(&self) -> u16 {
        self.entry.parcel.attempt(self.entry.index)
    }

    /// The proof of the lease.
    pub fn token(&self) -> Token {
        self.entry.parcel.token(self.entry.index)
    }

    /// The entry without its lease, to keep beyond the delivery.
    pub fn entry(&self) -> Entry {
        self.entry.clone()
    }

    /// Settles the entry: it is done, and never handed out again. A late ack, after the lease ended
    /// by time, counts as long as nobody else was given the entry.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if it is no longer the caller's to settle. [`Error::Unsettled`], with
    /// the token, if it could not be done: the lease stands.
    pub fn ack(self) -> Result<()> {
        self.resolve(Verb::Ack)
    }

    /// Counts the attempt as failed. The entry comes again after the group's backoff, or is
    /// exhausted if this was its last attempt.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn nack(self) -> Result<()> {
        self.resolve(Verb::Nack(Again::Backoff))
    }

    /// As [`nack`](Self::nack), but the entry comes again after `wait`; zero is at once. (The idea
    /// is `JetStream`'s delayed nak.)
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn nack_after(self, wait: Duration) -> Result<()> {
        self.resolve(Verb::Nack(Again::After(wait)))
    }

    /// Hands the entry back as if it had not been handed out: not counted, due at once.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn release(self) -> Result<()> {
        self.resolve(Verb::Release)
    }

    /// Gives the entry up, whatever attempts it has left: it is exhausted at once, and parked,
    /// discarded or dead-lettered as the group says. The reason is kept with it, up to its first
    /// 1,024 bytes; it may be empty.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn reject(self, reason: &str) -> Result<()> {
        self.resolve(Verb::Nack(Again::Never(shortened(reason))))
    }

    /// Makes the lease end `lease` from now. It does not count as an attempt. (As `JetStream`'s
    /// "in progress" and SQS's change of visibility do.)
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a lease of zero or over a year, and those of
    /// [`ack`](Self::ack). The delivery stays as it was.
    pub fn extend(&self, lease: Duration) -> Result<()> {
        lasting("lease", lease)?;
        self.settle(Verb::Extend(lease))
    }

    /// Ends the handle and keeps the lease: whoever holds the token can settle the entry, from any
    /// thread, by [`Group::ack`](crate::Group::ack) and the like.
    ///
    /// ```
    /// # use millstream::{Start, Stream};
    /// # let stream = Stream::options().in_memory()?;
    /// # stream.append("a")?;
    /// let group = stream.group("billing").open(Start::Earliest)?;
    /// let worker = group.join("worker-1")?;
    /// let tokens: Vec<_> = worker.try_read(9)?.into_iter().map(|held| held.detach()).collect();
    /// assert_eq!(group.info()?.leased, 1);
    /// assert!(group.ack(tokens)?.is_complete());
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn detach(mut self) -> Token {
        self.resolved = true;
        self.token()
    }

    fn resolve(mut self, verb: Verb<'_>) -> Result<()> {
        self.resolved = true;
        self.settle(verb)
    }

    fn settle(&self, verb: Verb<'_>) -> Result<()> {
        let token = self.token();
        if self.entry.parcel.mode() == AckMode::OnRead {
            // It was settled when it was handed out.
            let id = token.id;
            let acked = matches!(verb, Verb::Ack);
            return if acked { Ok(()) } else { Err(Error::LeaseLost { id, why: Lost::Settled }) };
        }
        let Some(post) = self.entry.parcel.post() else {
            return Err(Error::LeaseLost { id: token.id, why: Lost::Left });
        };
        post.settle_one(token, verb).map_err(|error| match error {
            lost @ Error::LeaseLost { .. } => lost,
            cause => Error::Unsettled { token, cause: Box::new(cause) },
        })
    }
}

impl Deref for Delivery {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.resolved {
            let index = self.entry.index;
            hand_back(&self.entry.parcel, index..index + 1);
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("entry", &self.entry)
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

/// What became of a list of leases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "some of the leases may have been void"]
#[non_exhaustive]
pub struct Settlement {
    /// The entries whose lease was void, and why. Everything else was done.
    pub refused: Vec<(EntryId, Lost)>,
}

impl Settlement {
    pub(crate) fn new(outcome: Outcome) -> Self {
        Self { refused: outcome.refused }
    }

    /// Whether everything was done.
    pub fn is_complete(&self) -> bool {
        self.refused.is_empty()
    }
}
