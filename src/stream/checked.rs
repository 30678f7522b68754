//! Appends that look first: whether the entry is there already, or what the last one is.

use std::time::Duration;

use super::Stream;
use crate::entry::NewEntry;
use crate::error::Result;
use crate::id::{Appended, EntryId};
#[cfg(doc)]
use crate::options::StreamOptions;

impl Stream {
    /// Appends an entry, unless one was appended under the same unique key within `window` before:
    /// then it gives the id of that one, and says so. It holds across threads and restarts, because
    /// the key is stored in the entry: an entry that a power cut took is no duplicate afterwards.
    /// Keys of all partitions are one set; plain appends are not affected.
    ///
    /// A key has 1 to 4,096 bytes, and a window is at most 7 days. It is measured by the wall clock, and
    /// asked anew by each call. Only stored entries count once the stream was opened again, so
    /// keep entries for longer than the window. The first call after opening reads the entries of
    /// its window back.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let stream = millstream::Stream::options().in_memory()?;
    /// let hour = Duration::from_secs(3600);
    /// let first = stream.append_unique("charge 5 EUR", "request-1", hour)?;
    /// let again = stream.append_unique("charge 5 EUR", "request-1", hour)?;
    /// assert!(!first.duplicate && again.duplicate);
    /// assert_eq!(first.id, again.id);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// (`JetStream`'s `Nats-Msg-Id` with its duplicate window.)
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName) (the key),
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) (the window),
    /// [`Error::LimitReached`](crate::Error::LimitReached) if
    /// [`unique_max`](StreamOptions::unique_max) keys are within their window,
    /// [`Error::Corrupt`](crate::Error::Corrupt) if entries of the window cannot be read back, and those
    /// of [`append`](Self::append). Nothing was appended.
    pub fn append_unique<'a>(
        &self,
        entry: impl Into<NewEntry<'a>>,
        key: impl AsRef<[u8]>,
        window: Duration,
    ) -> Result<Appended> {
        let (id, duplicate) = self.mill().append_unique(&entry.into(), key.as_ref(), window)?;
        Ok(Appended { id, duplicate })
    }

    /// Appends an entry behind `last`, to its partition, only if `last` is the last entry there. No other append comes
    /// between the look and the append, so of several writers that know the same last entry, one
    /// succeeds. (`JetStream`'s `expected-last-sequence`.)
    ///
    /// ```
    /// # let stream = millstream::Stream::options().in_memory()?;
    /// let opened = stream.append_if_empty(0, "account opened")?;
    /// let paid = stream.append_if_last(opened, "paid in 5 EUR")?;
    /// assert!(stream.append_if_last(opened, "paid in 7 EUR").is_err_and(|error| error.is_conflict()));
    /// assert_eq!(stream.append_if_last(paid, "paid in 7 EUR")?.offset(), 2);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict) says what the last entry is;
    /// [`Error::KeyElsewhere`](crate::Error::KeyElsewhere) if the entry has a key that chooses another
    /// partition; [`Error::NoSuchPartition`](crate::Error::NoSuchPartition), and those of
    /// [`append`](Self::append). Nothing was appended.
    pub fn append_if_last<'a>(
        &self,
        last: EntryId,
        entry: impl Into<NewEntry<'a>>,
    ) -> Result<EntryId> {
        self.mill().append_behind(last.partition(), Some(last), &entry.into())
    }

    /// Appends an entry to a partition only if nothing was ever appended to it.
    ///
    /// # Errors
    /// Those of [`append_if_last`](Self::append_if_last).
    pub fn append_if_empty<'a>(
        &self,
        partition: u32,
        entry: impl Into<NewEntry<'a>>,
    ) -> Result<EntryId> {
        self.mill().append_behind(partition, None, &entry.into())
    }
}
