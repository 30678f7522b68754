//! What a consumer takes over from others, and what it holds already.

use std::time::Duration;

use super::Consumer;
use crate::claim::{AutoClaimed, ClaimCursor, Claimed};
use crate::error::Result;
use crate::history::History;
use crate::id::EntryId;
use crate::reader::at_least_one;

impl Consumer {
    /// Takes over the entries of `ids` that are pending and were idle for at least `min_idle`,
    /// whoever holds them: each is handed to this consumer, and its attempt counted. Who held it
    /// finds its lease lost, as taken. An entry that had its last attempt is exhausted instead.
    /// (Redis Streams' XCLAIM.)
    ///
    /// Nobody has to call this for the group to make progress: a lease that ended by time makes its
    /// entry due for any read. This is for taking entries from a consumer that is known to be
    /// stuck before its leases end.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{Start, Stream};
    /// # let stream = Stream::options().in_memory()?;
    /// # stream.append("a")?;
    /// # let group = stream.group("billing").open(Start::Earliest)?;
    /// # let (stuck, helper) = (group.join("stuck")?, group.join("helper")?);
    /// let held = stuck.try_read(9)?.into_iter().next().expect("an entry was appended");
    /// let claimed = helper.claim([held.id()], Duration::ZERO)?;
    /// assert_eq!(claimed.batch.len(), 1);
    /// assert!(held.ack().is_err_and(|error| error.is_lease_lost()));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotAssigned`](crate::Error::NotAssigned) if one of them is in a partition that this
    /// consumer does not read, [`Error::NoSuchPartition`](crate::Error::NoSuchPartition),
    /// [`Error::NotAMember`](crate::Error::NotAMember), and those of [`read`](Self::read): nothing
    /// was claimed.
    pub fn claim(
        &self,
        ids: impl IntoIterator<Item = EntryId>,
        min_idle: Duration,
    ) -> Result<Claimed> {
        self.post.seat.handle.mill.flush_if_due()?;
        let ids: Vec<EntryId> = ids.into_iter().collect();
        let taken = self.post.seat.desk.claim(&self.post, &ids, min_idle)?;
        Ok(Claimed::new(taken))
    }

    /// As [`claim`](Self::claim), for at most `max` of the entries that were idle for at least
    /// `min_idle`, whichever they are, of the partitions that this consumer reads: in order of ids,
    /// from `cursor` on. Where nothing was idle for that long, whole chunks of entries are skipped.
    /// (XAUTOCLAIM.)
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{ClaimCursor, Start, Stream};
    /// # let stream = Stream::options().in_memory()?;
    /// # stream.append_batch(["a", "b", "c"])?;
    /// # let group = stream.group("billing").open(Start::Earliest)?;
    /// # let (stuck, helper) = (group.join("stuck")?, group.join("helper")?);
    /// # let held = stuck.try_read(9)?;
    /// let mut cursor = ClaimCursor::START;
    /// loop {
    ///     let claimed = helper.auto_claim(Duration::ZERO, cursor, 2)?;
    ///     assert!(claimed.batch.ack_all()?.is_complete());
    ///     cursor = claimed.next;
    ///     if cursor.is_start() {
    ///         break;
    ///     }
    /// }
    /// # assert_eq!(group.lag()?, 0);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ForeignCursor`](crate::Error::ForeignCursor) for the cursor of another group,
    /// [`Error::NotAMember`](crate::Error::NotAMember), and those of [`read`](Self::read): nothing
    /// was claimed.
    pub fn auto_claim(
        &self,
        min_idle: Duration,
        cursor: ClaimCursor,
        max: u32,
    ) -> Result<AutoClaimed> {
        at_least_one(max)?;
        let desk = &self.post.seat.desk;
        let from = cursor.resolve(desk.incarnation)?;
        self.post.seat.handle.mill.flush_if_due()?;
        let swept = desk.auto_claim(&self.post, min_idle, from, max)?;
        Ok(AutoClaimed::new(swept, desk.incarnation))
    }

    /// What this consumer holds, whichever read it is from, in order of ids: at most `max` entries,
    /// copied. Nothing is counted and nothing changes, whatever becomes of what this returns.
    /// (XREADGROUP with an id.)
    ///
    /// # Errors
    /// [`Error::TooSmall`](crate::Error::TooSmall) if `max` is 0,
    /// [`Error::NotAMember`](crate::Error::NotAMember),
    /// [`Error::GroupDeleted`](crate::Error::GroupDeleted), [`Error::Closed`](crate::Error::Closed),
    /// [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn history(&self, max: u32) -> Result<History> {
        self.history_from(EntryId::new(0, 0), max)
    }

    /// The same from `first` on, `first` included.
    ///
    /// # Errors
    /// Those of [`history`](Self::history).
    pub fn history_from(&self, first: EntryId, max: u32) -> Result<History> {
        at_least_one(max)?;
        self.post.seat.desk.history(&self.post, first, max).map(History::new)
    }
}
