//! [`Stream`]: appending, and the way to everything else.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

mod backup;
mod checked;
#[cfg(feature = "metrics")]
mod gauges;
mod looking;
mod offsets;

use crate::engine::{Handle, Mill, Span, Tour};
use crate::entries::Entry;
use crate::entry::NewEntry;
use crate::error::Result;
use crate::id::{EntryId, Ids};
use crate::info::{PartitionInfo, StreamInfo, Trimmed};
use crate::observe;
use crate::options::{GroupOptions, StreamOptions};
use crate::reader::{Reader, Subscription};
use crate::recovery::Recovery;
#[cfg(doc)]
use crate::retention::Retention;
use crate::start::Start;
use crate::subject::Filter;

/// A durable stream: one directory, or one block of memory, of 1 to N partitions and any number
/// of groups.
///
/// A cheap clone; all clones are the same stream, and any thread may use any of them. Only one
/// `Stream` of a directory is open at a time, in this process or another, beside any that were opened
/// to [look](Stream::open_read_only). When the last handle
/// goes (streams, groups, consumers, readers, subscriptions), the stream is flushed and closed.
///
/// ```
/// use millstream::{Start, Stream};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("orders");
/// let stream = Stream::open(&path)?;
/// let id = stream.append("order 1001")?;
/// assert_eq!(stream.get(id)?.expect("it was just appended").payload(), b"order 1001");
///
/// let billing = stream.group("billing").open(Start::Earliest)?;
/// let worker = billing.join("worker-1")?;
/// for delivery in worker.try_read(100)? {
///     delivery.ack()?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    pub(crate) handle: Arc<Handle>,
}

impl Stream {
    pub(crate) fn new(mill: Arc<Mill>) -> Self {
        Self { handle: Arc::new(Handle { mill }) }
    }

    fn mill(&self) -> &Mill {
        &self.handle.mill
    }

    /// Opens the stream in a directory with the options it has, or makes it with the default ones
    /// if there is none. The same as `Stream::options().open(path)`.
    ///
    /// # Errors
    /// See [`StreamOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Options to open a stream with.
    pub fn options() -> StreamOptions {
        StreamOptions::default()
    }

    /// Appends one entry and gives its id. When this returns, the entry is as safe as the stream's
    /// [`Durability`](crate::Durability) says.
    ///
    /// An entry with a key goes to the partition that its key chooses; one without goes to the
    /// partitions in turn.
    ///
    /// # Errors
    /// [`Error::EntryTooLarge`], [`Error::InvalidName`] (a bad subject, key or header),
    /// [`Error::StreamFull`], [`Error::DiskFull`]: nothing was appended. [`Error::Poisoned`],
    /// [`Error::Closed`], [`Error::Forked`], [`Error::Io`].
    ///
    /// [`Error::EntryTooLarge`]: crate::Error::EntryTooLarge
    /// [`Error::InvalidName`]: crate::Error::InvalidName
    /// [`Error::StreamFull`]: crate::Error::StreamFull
    /// [`Error::DiskFull`]: crate::Error::DiskFull
    /// [`Error::Poisoned`]: crate::Error::Poisoned
    /// [`Error::Closed`]: crate::Error::Closed
    /// [`Error::Forked`]: crate::Error::Forked
    /// [`Error::Io`]: crate::Error::Io
    pub fn append<'a>(&self, entry: impl Into<NewEntry<'a>>) -> Result<EntryId> {
        self.mill().append(&entry.into())
    }

    /// Appends entries as a whole: they become visible together and survive a crash together, or
    /// not at all. All go to one partition: the one that the keys among them choose, else the
    /// next in turn. An empty batch does nothing.
    ///
    /// ```
    /// # let stream = millstream::Stream::options().in_memory()?;
    /// let ids = stream.append_batch(["a", "b", "c"])?;
    /// assert_eq!(ids.len(), 3);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BatchSpansPartitions`](crate::Error::BatchSpansPartitions) if keys choose different
    /// partitions, [`Error::BatchTooLarge`](crate::Error::BatchTooLarge) over 16 MiB or most of a
    /// segment, and those of [`append`](Self::append). Nothing was appended.
    pub fn append_batch<'a, E: Into<NewEntry<'a>>>(
        &self,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<Ids> {
        self.mill().append_batch(entries.into_iter().map(Into::into))
    }

    /// Appends entries one by one, each to its own partition, with one flush at the end. Promises
    /// nothing across entries: if one fails, those before it are appended.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    pub fn append_each<'a, E: Into<NewEntry<'a>>>(
        &self,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<Vec<EntryId>> {
        self.mill().append_each(entries.into_iter().map(Into::into))
    }

    /// Removes what the stream's [`Retention`] lets go, as an append that fills a segment does, and says
    /// what that was. Where it keeps everything, this does nothing.
    ///
    /// ```
    /// use millstream::{Retention, Start, Stream};
    ///
    /// let options = Stream::options().segment_bytes(4096).retention(Retention::settled());
    /// let stream = options.in_memory()?;
    /// stream.append_each([&[0; 900]; 20])?;
    /// let worker = stream.group("billing").open(Start::Earliest)?.join("worker-1")?;
    /// assert_eq!(stream.trim()?.entries(), 0);
    /// let _none_lost = worker.try_read(20)?.ack_all()?;
    /// assert!(stream.trim()?.entries() > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`trim_before`](Self::trim_before).
    pub fn trim(&self) -> Result<Trimmed> {
        let mill = self.mill();
        mill.ground.check_write()?;
        mill.retain()
    }

    /// Removes the oldest segments of a partition, as far as they lie wholly below `id`. The newest
    /// segment always stays. Says how many entries went.
    ///
    /// What a group had not settled of them is lost to it: it is counted in
    /// [`GroupInfo::trimmed`](crate::GroupInfo::trimmed), told by
    /// [`Event::Trimmed`](crate::Event::Trimmed), and the group goes on as its
    /// [`on_trimmed`](crate::GroupOptions::on_trimmed) says. Readers and subscriptions count what they miss. Ids never go back.
    ///
    /// # Errors
    /// [`Error::NoSuchPartition`](crate::Error::NoSuchPartition),
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Poisoned`](crate::Error::Poisoned),
    /// [`Error::DiskFull`](crate::Error::DiskFull) if a group's journal has no room to say so,
    /// [`Error::Io`](crate::Error::Io): the next trim goes on.
    pub fn trim_before(&self, id: EntryId) -> Result<u64> {
        self.mill().trim_before(id)
    }

    /// Makes everything that was done so far durable, whatever the stream's durability: entries
    /// first, then what was done with them.
    ///
    /// # Errors
    /// [`Error::Poisoned`](crate::Error::Poisoned) if a flush fails, now or before: what is on disk
    /// is unknown then, and only opening the stream again finds out.
    pub fn sync(&self) -> Result<()> {
        self.mill().sync()
    }

    /// Does everything that is due by now: flushes under
    /// [`Durability::Every`](crate::Durability::Every), ends leases and sessions, removes what the
    /// [`Retention`] lets go. Says how long
    /// until it is worth calling again; `None` if nothing is going to be due by time alone.
    ///
    /// A stream that is used does all of this by itself; this is for one that nobody calls.
    ///
    /// # Errors
    /// Those of [`sync`](Self::sync), [`Error::DiskFull`](crate::Error::DiskFull), and
    /// [`Error::StrategyFailed`](crate::Error::StrategyFailed), once, if a session ended in a group
    /// whose strategy did not say who is to have its partitions. The other groups were seen to all
    /// the same. [`Error::Io`](crate::Error::Io) if a file could not be removed: the next call tries
    /// again.
    pub fn maintain(&self) -> Result<Option<Duration>> {
        self.mill().maintain()
    }

    /// How long until something is due by time: a flush, the end of a lease or session, an entry
    /// that waits to be tried again, a segment that becomes too old.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.mill().next_deadline()
    }

    /// The entry of that id; `None` if the partition does not hold it (yet, or any more).
    ///
    /// # Errors
    /// [`Error::NoSuchPartition`](crate::Error::NoSuchPartition),
    /// [`Error::Corrupt`](crate::Error::Corrupt), [`Error::Closed`](crate::Error::Closed).
    pub fn get(&self, id: EntryId) -> Result<Option<Entry>> {
        let _told = observe::afterwards();
        let parcel = self.mill().get(id)?;
        Ok(parcel.map(|parcel| Entry { parcel: Arc::new(parcel), index: 0 }))
    }

    /// A reader of all partitions, from `start` to the end and on with what is appended. Make it
    /// end with [`Reader::until`], or go back with [`Reader::backward`]. If the start was trimmed, it
    /// begins with what is left, and [`Reader::missed`] says how much is not.
    ///
    /// # Errors
    /// [`Error::StartBeyondEnd`](crate::Error::StartBeyondEnd),
    /// [`Error::NoSuchPartition`](crate::Error::NoSuchPartition),
    /// [`Error::Closed`](crate::Error::Closed).
    #[expect(clippy::needless_pass_by_value, reason = "a start is made where it is given")]
    pub fn reader(&self, start: Start) -> Result<Reader> {
        let ground = &self.mill().ground;
        ground.check_open()?;
        self.mill().follow_partitions()?;
        let starts = ground.places(&start)?;
        Ok(Reader::new(Arc::clone(&self.handle), starts))
    }

    /// Subscribes to what is appended from now on: every subscription gets every entry, nothing is
    /// stored and nothing has to be acked.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn subscribe(&self) -> Result<Subscription> {
        self.subscribe_with(None)
    }

    /// Subscribes to what is appended from now on and matches any of the patterns, which are those of
    /// [`GroupOptions::filter`].
    ///
    /// ```
    /// use millstream::{NewEntry, Stream};
    ///
    /// let stream = Stream::options().in_memory()?;
    /// let paid = stream.subscribe_to(["order.*.paid", "refund.>"])?;
    /// for subject in ["order.1001.paid", "order.1001.sent", "refund.1002"] {
    ///     stream.append(NewEntry::new(subject).subject(subject))?;
    /// }
    /// let seen: Vec<_> = paid.try_read(10)?.into_iter().map(|entry| entry.id().offset()).collect();
    /// assert_eq!(seen, [0, 2]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName) with the pattern and the rule it breaks, or
    /// if there is no pattern; [`Error::Closed`](crate::Error::Closed).
    pub fn subscribe_to(
        &self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Subscription> {
        self.subscribe_with(Some(Filter::parse(patterns)?))
    }

    fn subscribe_with(&self, filter: Option<Filter>) -> Result<Subscription> {
        let ground = &self.mill().ground;
        ground.check_open()?;
        self.mill().follow_partitions()?;
        let tour = Tour::new(&ground.ends(), Span::Onward).sifting(filter);
        Ok(Subscription::new(Arc::clone(&self.handle), tour))
    }

    /// Options to open a group with.
    pub fn group(&self, name: &str) -> GroupOptions {
        GroupOptions::new(self.clone(), name)
    }

    /// The names of the groups, in order. In a stream opened for reading only, those that its owner
    /// has now.
    pub fn groups(&self) -> Vec<String> {
        // What cannot be followed now is told by the next call that can fail.
        let _ = self.mill().follow_manifest();
        self.mill().group_names()
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u32 {
        // The same as for the groups.
        let _ = self.mill().follow_manifest();
        self.mill().ground.partitions()
    }

    /// Adds `count` partitions to the stream while it is in use, and gives their new number. It is
    /// on the disk when this returns, whatever the stream's durability. There is no way back.
    ///
    /// - What was appended stays where it is. The new number chooses anew among the keys: adding
    ///   `count` to `n` moves about `count` of every `n + count` keys, each to a new partition, so
    ///   the order of such a key's entries does not reach across the change. Let groups come to the end
    ///   first where that matters.
    /// - Every group reads the new partitions from their first entry, whatever its start was. So do
    ///   readers without an end, and subscriptions; those with an end keep to what they had.
    /// - [`StreamOptions::partitions`], where it is given, has to name the new number from now on.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("orders");
    /// let options = || millstream::Stream::options();
    /// let stream = options().partitions(4).open(&path)?;
    /// assert_eq!(stream.add_partitions(2)?, 6);
    /// stream.close()?;
    /// assert!(options().partitions(4).open(&path).is_err());
    /// assert_eq!(options().open(&path)?.partitions(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// (Kafka's topics grow the same way; jump consistent hash keeps all other keys in place.)
    ///
    /// # Errors
    /// [`Error::TooSmall`] if `count` is 0, [`Error::LimitReached`] over 16,384 partitions, or with
    /// so many groups that the manifest would be over 16 MiB; [`Error::DiskFull`], [`Error::Io`]: there
    /// are as many as before. [`Error::Poisoned`]: if this call's own flush failed, the next opening
    /// tells. [`Error::ReadOnly`], [`Error::Closed`], [`Error::Forked`].
    ///
    /// [`Error::TooSmall`]: crate::Error::TooSmall
    /// [`Error::LimitReached`]: crate::Error::LimitReached
    /// [`Error::DiskFull`]: crate::Error::DiskFull
    /// [`Error::Io`]: crate::Error::Io
    /// [`Error::Poisoned`]: crate::Error::Poisoned
    /// [`Error::ReadOnly`]: crate::Error::ReadOnly
    /// [`Error::Closed`]: crate::Error::Closed
    /// [`Error::Forked`]: crate::Error::Forked
    pub fn add_partitions(&self, count: u32) -> Result<u32> {
        self.mill().add_partitions(count)
    }

    /// What is in the stream.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn info(&self) -> Result<StreamInfo> {
        let mill = self.mill();
        mill.ground.check_open()?;
        mill.follow_partitions()?;
        let mut holders = mill.holders();
        let logs = (0..).zip(mill.ground.logs.iter());
        let partitions = logs.map(|(partition, log)| PartitionInfo {
            start: log.start(),
            end: log.visible(),
            durable_end: log.durable(),
            segments: log.segment_count(),
            bytes: log.bytes(),
            file_bytes: log.file_bytes(),
            held_by: holders.remove(&partition),
        });
        let partitions: Vec<PartitionInfo> = partitions.collect();
        Ok(StreamInfo {
            bytes: partitions.iter().map(|partition| partition.file_bytes).sum(),
            partitions,
            groups: mill.group_names(),
            retention: mill.retention(),
        })
    }

    /// What opening the stream had to repair: empty after a clean end.
    pub fn recovery(&self) -> &Recovery {
        &self.mill().recovery
    }

    /// Closes the stream for every handle: blocked reads end with
    /// [`Error::Closed`](crate::Error::Closed), everything is flushed, and the directory can be
    /// opened again when this returns. Closing twice is no error.
    ///
    /// # Errors
    /// [`Error::Poisoned`](crate::Error::Poisoned) if the last flush fails. The stream is closed
    /// all the same.
    pub fn close(self) -> Result<()> {
        self.mill().close()
    }
}
