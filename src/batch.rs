//! What a consumer's read returns: a [`Batch`], as a whole or taken apart.
//!
//! # Invariants
//! 1. Each entry of a batch is resolved once: by a verb, or by the drop of whatever holds it.
//! 2. Taking an entry is looking at it. What was looked at and dropped counts as a failed attempt;
//!    what was not is released.
//! 3. Drop never panics, fails or waits for a disk.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::blocked::Blocked;
use crate::delivery::{Delivery, Settlement};
use crate::engine::{Outcome, Parcel, Verb};
use crate::entries::{Entry, View};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{Lost, Result};
use crate::id::Token;
use crate::ledger::{AckMode, Claim};

/// What a consumer's read returns. By value it yields [`Delivery`], by reference [`Held`], which
/// costs nothing; either way, looking at an entry takes it.
///
/// When the batch, or what is left of it, is dropped, the entries that were taken and not resolved
/// are nacked (they count, and come again after the backoff), and those nobody looked at are
/// released.
///
/// ```
/// # use millstream::{Start, Stream};
/// # let stream = Stream::options().in_memory()?;
/// # stream.append_batch(["a", "b"])?;
/// # let worker = stream.group("g").open(Start::Earliest)?.join("w")?;
/// let batch = worker.try_read(100)?;
/// for held in &batch {
///     println!("{}: {:?}", held.id(), held.payload());
/// }
/// assert!(batch.ack_all()?.is_complete());
/// # Ok::<(), millstream::Error>(())
/// ```
#[must_use = "a batch that is dropped hands its entries back"]
pub struct Batch {
    parcel: Arc<Parcel>,
    blocked: Option<Blocked>,
    /// How many entries are no longer the batch's to hand back, from the first on.
    resolved: Cell<usize>,
}

impl Batch {
    pub(crate) fn new(parcel: Arc<Parcel>) -> Self {
        Self::of(parcel, None)
    }

    pub(crate) fn empty(blocked: Blocked) -> Self {
        Self::of(Arc::default(), Some(blocked))
    }

    fn of(parcel: Arc<Parcel>, blocked: Option<Blocked>) -> Self {
        Self { parcel, blocked, resolved: Cell::new(0) }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.parcel.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Why the batch is empty; `None` if it is not.
    pub fn blocked(&self) -> Option<Blocked> {
        self.blocked
    }

    /// What is in it, without taking anything.
    #[cfg(test)]
    pub(crate) fn peek(&self) -> Vec<(Token, u16)> {
        (0..self.len()).map(|at| (self.parcel.token(at), self.parcel.attempt(at))).collect()
    }

    /// Looks at each entry.
    pub fn iter(&self) -> BatchIter<'_> {
        BatchIter { batch: self, next: 0 }
    }

    /// Settles every entry of the batch, looked at or not. Those that are no longer the caller's
    /// come back with the reason.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::GroupDeleted`], [`Error::Poisoned`], [`Error::DiskFull`]: nothing
    /// was settled, and the batch can be settled later.
    pub fn ack_all(&self) -> Result<Settlement> {
        let claims = self.parcel.claims(self.resolved.get()..self.len());
        if claims.is_empty() || self.parcel.mode() == AckMode::OnRead {
            self.resolved.set(self.len());
            return Ok(Settlement::default());
        }
        let outcome = match self.parcel.post() {
            Some(post) => post.settle(&claims, Verb::Ack)?,
            None => left(&claims),
        };
        self.resolved.set(self.len());
        Ok(Settlement::new(outcome))
    }
}

/// The outcome for claims of a consumer that is gone.
fn left(claims: &[Claim]) -> Outcome {
    let ids = claims.iter().flat_map(|claim| claim.run.ids());
    Outcome { refused: ids.map(|id| (id, Lost::Left)).collect() }
}

/// Hands back the entries of `range`, as nacked or released, by whether they were looked at. In ack
/// modes other than explicit ones they are left to their mode, unless the thread panics.
pub(crate) fn hand_back(parcel: &Parcel, range: Range<usize>) {
    let left_to_mode = match parcel.mode() {
        AckMode::Explicit => false,
        AckMode::OnNextRead | AckMode::Interval(_) => !std::thread::panicking(),
        AckMode::OnRead => true,
    };
    if range.is_empty() || left_to_mode {
        return;
    }
    if let Some(post) = parcel.post() {
        let middle = parcel.taken().clamp(range.start, range.end);
        let looked_at = parcel.claims(range.start..middle);
        let others = parcel.claims(middle..range.end);
        post.seat.desk.hand_back(&looked_at, &others);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        hand_back(&self.parcel, self.resolved.get()..self.len());
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("len", &self.len())
            .field("blocked", &self.blocked)
            .finish_non_exhaustive()
    }
}

impl IntoIterator for Batch {
    type Item = Delivery;
    type IntoIter = Deliveries;

    fn into_iter(self) -> Deliveries {
        let next = self.resolved.replace(self.len());
        Deliveries { parcel: Arc::clone(&self.parcel), next, end: self.len() }
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Held<'a>;
    type IntoIter = BatchIter<'a>;

    fn into_iter(self) -> BatchIter<'a> {
        self.iter()
    }
}

/// Yields the deliveries of a batch. What it did not yield is handed back when it is dropped.
#[derive(Debug)]
pub struct Deliveries {
    parcel: Arc<Parcel>,
    next: usize,
    end: usize,
}

impl Iterator for Deliveries {
    type Item = Delivery;

    #[inline]
    fn next(&mut self) -> Option<Delivery> {
        let index = (self.next < self.end).then_some(self.next)?;
        self.next += 1;
        self.parcel.take(self.next);
        let entry = Entry { parcel: Arc::clone(&self.parcel), index };
        Some(Delivery::new(entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for Deliveries {}

impl Drop for Deliveries {
    fn drop(&mut self) {
        hand_back(&self.parcel, self.next..self.end);
    }
}

/// Yields what a batch holds, by reference.
#[derive(Debug)]
pub struct BatchIter<'a> {
    batch: &'a Batch,
    next: usize,
}

impl<'a> Iterator for BatchIter<'a> {
    type Item = Held<'a>;

    #[inline]
    fn next(&mut self) -> Option<Held<'a>> {
        let index = (self.next < self.batch.len()).then_some(self.next)?;
        self.next += 1;
        self.batch.parcel.take(self.next);
        Some(Held { view: View { parcel: &self.batch.parcel, index } })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for BatchIter<'_> {}

/// An entry that a batch holds, looked at where it lies. Derefs to [`View`].
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    pub(crate) view: View<'a>,
}

impl Held<'_> {
    /// How often the entry was handed out, this time included: 1, 2, and so on.
    pub fn attempt(&self) -> u16 {
        self.view.parcel.attempt(self.view.index)
    }

    /// The proof of the lease, for [`Consumer::ack`](crate::Consumer::ack) and the like.
    pub fn token(&self) -> Token {
        self.view.parcel.token(self.view.index)
    }
}

impl<'a> Deref for Held<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}
