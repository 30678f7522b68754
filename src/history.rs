//! [`History`]: what a consumer holds, looked at without taking part.

use std::fmt;
use std::sync::Arc;

use crate::batch::Held;
use crate::engine::Parcel;
use crate::entries::{Entry, View};

/// What a consumer holds, as [`Consumer::history`](crate::Consumer::history) found it: each entry
/// with its attempt and the token of its lease. It is a copy. Dropping it hands nothing back.
///
/// ```
/// # use millstream::{Start, Stream};
/// # let stream = Stream::options().in_memory()?;
/// # stream.append_batch(["a", "b"])?;
/// # let worker = stream.group("g").open(Start::Earliest)?.join("w")?;
/// let batch = worker.try_read(100)?;
/// let tokens: Vec<_> = worker.history(100)?.iter().map(|held| held.token()).collect();
/// assert!(worker.ack(tokens)?.is_complete());
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone)]
pub struct History {
    parcel: Arc<Parcel>,
}

impl History {
    pub(crate) fn new(parcel: Parcel) -> Self {
        Self { parcel: Arc::new(parcel) }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.parcel.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at each entry.
    pub fn iter(&self) -> HistoryIter<'_> {
        HistoryIter { parcel: &self.parcel, next: 0, end: self.len() }
    }

    /// The entries without their leases, to keep.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry> {
        (0..self.len()).map(|index| Entry { parcel: Arc::clone(&self.parcel), index })
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a History {
    type Item = Held<'a>;
    type IntoIter = HistoryIter<'a>;

    fn into_iter(self) -> HistoryIter<'a> {
        self.iter()
    }
}

/// Yields what a consumer holds.
#[derive(Debug)]
pub struct HistoryIter<'a> {
    parcel: &'a Parcel,
    next: usize,
    end: usize,
}

impl<'a> Iterator for HistoryIter<'a> {
    type Item = Held<'a>;

    fn next(&mut self) -> Option<Held<'a>> {
        let index = (self.next < self.end).then_some(self.next)?;
        self.next += 1;
        Some(Held { view: View { parcel: self.parcel, index } })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for HistoryIter<'_> {}
