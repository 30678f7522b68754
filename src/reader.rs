//! Reading without a group: [`Reader`] and [`Subscription`], and the [`Entries`] they return.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Moment;
use crate::engine::{Handle, Span, Tour};
use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::observe;
use crate::subject::Filter;

/// A reader of all partitions of a stream, with a place of its own in memory. It sees every entry
/// once, in offset order within each partition; partitions take turns. Ones that are
/// [added](crate::Stream::add_partitions) later are read from their first entry, unless the reader
/// was given an end before.
///
/// ```
/// use millstream::{Start, Stream};
///
/// let stream = Stream::options().in_memory()?;
/// stream.append_batch(["a", "b", "c"])?;
///
/// let newest_first = stream.reader(Start::Earliest)?.backward();
/// let last = newest_first.try_read(1)?.into_iter().next().expect("there are three");
/// assert_eq!(last.payload(), b"c");
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    handle: Arc<Handle>,
    starts: Vec<u64>,
    tour: Mutex<Tour>,
}

/// A subscription: from the moment it was made it sees every entry (or every one that matches the
/// filter of [`subscribe_to`](crate::Stream::subscribe_to)), once, in offset order within
/// each partition, [added](crate::Stream::add_partitions) ones included. Its place is in memory
/// only.
///
/// ```
/// let stream = millstream::Stream::options().in_memory()?;
/// stream.append("before")?;
/// let subscription = stream.subscribe()?;
/// stream.append("after")?;
///
/// let seen = subscription.try_read(10)?;
/// assert_eq!(seen.len(), 1);
/// assert_eq!(seen.iter().next().expect("one").payload(), b"after");
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Debug)]
pub struct Subscription {
    handle: Arc<Handle>,
    tour: Mutex<Tour>,
}

/// The three ways to read, and what was missed, on a type with a `handle` and a `tour`.
macro_rules! verbs {
    () => {
        /// Reads at most `max` entries, and waits for the first one if there is none. What ends by
        /// itself (a reader with an end) gives an empty batch there.
        ///
        /// Under a self-advancing [`ManualClock`](crate::ManualClock) nothing can come while this
        /// waits, so it gives an empty batch at once.
        ///
        /// # Errors
        /// [`Error::TooSmall`] if `max` is 0, [`Error::Corrupt`], [`Error::Closed`],
        /// [`Error::Io`].
        pub fn read(&self, max: u32) -> Result<Entries> {
            self.read_for(max, Moment::NEVER)
        }

        /// Reads at most `max` entries of those that are there.
        ///
        /// # Errors
        /// Those of [`read`](Self::read).
        pub fn try_read(&self, max: u32) -> Result<Entries> {
            at_least_one(max)?;
            let _told = observe::afterwards();
            self.tour.lock().read(&self.handle.mill, max).map(Entries::new)
        }

        /// Reads at most `max` entries, and waits at most `wait` for the first one. Nothing to
        /// read is an empty batch.
        ///
        /// # Errors
        /// Those of [`read`](Self::read).
        pub fn read_timeout(&self, max: u32, wait: Duration) -> Result<Entries> {
            let until = self.handle.mill.ground.time.now().after(wait);
            self.read_for(max, until)
        }

        /// How many entries were trimmed before this came by, so that it never gives them. They
        /// are counted by the read that finds them gone and goes on behind them, whatever their
        /// subjects were.
        ///
        /// ```
        /// let stream = millstream::Stream::options().in_memory()?;
        /// let subscription = stream.subscribe()?;
        /// stream.append("kept")?;
        /// subscription.try_read(10)?;
        /// assert_eq!(subscription.missed(), 0);
        /// # Ok::<(), millstream::Error>(())
        /// ```
        pub fn missed(&self) -> u64 {
            self.tour.lock().missed()
        }

        fn read_for(&self, max: u32, until: Moment) -> Result<Entries> {
            let _told = observe::afterwards();
            let mill = &self.handle.mill;
            let first = self.try_read(max)?;
            if !first.is_empty() || !self.tour.lock().may_wait() {
                return Ok(first);
            }
            mill.follow(until, || self.tour.lock().read(mill, max)).map(Entries::new)
        }
    };
}

impl Reader {
    pub(crate) fn new(handle: Arc<Handle>, starts: Vec<u64>) -> Self {
        let tour = Mutex::new(Tour::new(&starts, Span::Onward));
        Self { handle, starts, tour }
    }

    /// Gives only entries whose subject matches; called several times, those that match any of the
    /// patterns, which are those of [`GroupOptions::filter`](crate::GroupOptions::filter).
    ///
    /// ```
    /// use millstream::{NewEntry, Start, Stream};
    ///
    /// let stream = Stream::options().in_memory()?;
    /// for subject in ["order.paid", "user.created", "order.sent"] {
    ///     stream.append(NewEntry::new(subject).subject(subject))?;
    /// }
    /// let orders = stream.reader(Start::Earliest)?.filter("order.*")?.backward();
    /// let last = orders.try_read(1)?.into_iter().next().expect("there are two");
    /// assert_eq!(last.subject(), Some("order.sent"));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidName`] with the pattern and the rule it breaks.
    pub fn filter(self, pattern: impl AsRef<str>) -> Result<Self> {
        let Self { handle, starts, tour } = self;
        let tour = tour.into_inner();
        let known: Vec<&str> = tour
            .filter()
            .map(Filter::patterns)
            .into_iter()
            .flatten()
            .map(|known| &**known)
            .collect();
        let filter = Filter::parse(known.into_iter().chain([pattern.as_ref()]))?;
        let tour = Mutex::new(tour.sifting(Some(filter)));
        Ok(Self { handle, starts, tour })
    }

    /// Ends before what is appended from now on: reads give an empty batch there and never wait.
    #[must_use]
    pub fn until_now(self) -> Self {
        let ends = self.ends_now();
        self.with(Span::Until(ends))
    }

    /// Ends before this entry in its own partition, and before what is appended from now on in the
    /// others.
    ///
    /// # Errors
    /// [`Error::NoSuchPartition`].
    pub fn until(self, end: EntryId) -> Result<Self> {
        let mut ends = self.ends_now();
        let partitions = self.handle.mill.ground.partitions();
        let Some(slot) = ends.get_mut(end.partition() as usize) else {
            return Err(Error::NoSuchPartition { partition: end.partition(), partitions });
        };
        *slot = end.offset().min(*slot);
        Ok(self.with(Span::Until(ends)))
    }

    /// Goes from the last entry there is now (or the one before [`until`](Self::until)) back to
    /// the start, and ends there.
    #[must_use]
    pub fn backward(self) -> Self {
        let ends = match self.tour.lock().span() {
            Span::Until(ends) | Span::Backward(ends) => ends.clone(),
            Span::Onward => self.ends_now(),
        };
        self.with(Span::Backward(ends))
    }

    fn ends_now(&self) -> Vec<u64> {
        let mill = &self.handle.mill;
        // What a look meets, the read that comes there meets again.
        let _ = mill.follow_partitions();
        mill.ground.ends()
    }

    fn with(self, span: Span) -> Self {
        let filter = self.tour.lock().filter().cloned();
        let tour = Mutex::new(Tour::new(&self.starts, span).sifting(filter));
        Self { tour, ..self }
    }

    verbs!();
}

impl Subscription {
    pub(crate) fn new(handle: Arc<Handle>, tour: Tour) -> Self {
        Self { handle, tour: Mutex::new(tour) }
    }

    verbs!();
}

/// Refuses a read of nothing.
pub(crate) fn at_least_one(max: u32) -> Result<()> {
    if max == 0 { Err(Error::TooSmall { what: "the maximum of a read", min: "1" }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
