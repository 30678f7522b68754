//! [`Retention`]: how long a stream keeps its entries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a stream keeps its entries. By default it keeps everything.
///
/// What goes, goes by whole segments, oldest first, and never the newest segment of a partition,
/// so bounds are kept only as closely as [`segment_bytes`](crate::StreamOptions::segment_bytes)
/// lets them be; threads that append at the same time may add one each. It goes when an append has
/// filled a segment, in [`Stream::maintain`](crate::Stream::maintain) and in
/// [`Stream::trim`](crate::Stream::trim).
///
/// - **Limits alone** ([`bytes`](Self::bytes), [`age`](Self::age), [`entries`](Self::entries), any of
///   which is enough) take the oldest entries whatever groups still need. What a group loses is
///   counted ([`GroupInfo::trimmed`](crate::GroupInfo::trimmed)) and told
///   ([`Event::Trimmed`](crate::Event::Trimmed)).
/// - **[`settled`](Self::settled)** takes what every group is done with, and nothing else.
/// - **Both**: what every group is done with goes, and once a limit says that more should, appends
///   are refused with [`Error::StreamFull`](crate::Error::StreamFull) until groups have caught up.
///
/// ```
/// use std::time::Duration;
/// use millstream::{Retention, Stream};
///
/// # let dir = tempfile::tempdir()?;
/// # let (log, queue) = (dir.path().join("log"), dir.path().join("queue"));
/// let week = Duration::from_secs(7 * 24 * 3600);
/// Stream::options().retention(Retention::keep_all().age(week).bytes(10 << 30)).open(&log)?;
/// // A queue: entries go once every group has settled them.
/// let options = Stream::options().retention(Retention::settled().bytes(1 << 30));
/// let stream = options.open(&queue)?;
/// assert_eq!(stream.info()?.retention, Retention::settled().bytes(1 << 30));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// (`JetStream` calls these limits, interest and discard-new; Kafka's are `retention.bytes` and
/// `retention.ms`, Redis Streams' `MAXLEN`.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "it does nothing until it is passed to `StreamOptions::retention`"]
pub struct Retention {
    pub(crate) settled: bool,
    pub(crate) bytes: Option<u64>,
    pub(crate) age: Option<Duration>,
    pub(crate) entries: Option<u64>,
    #[serde(rename = "ignore_idle_groups_after")]
    pub(crate) idle: Option<Duration>,
}

impl Retention {
    /// Keeps everything; limits can be added.
    pub const fn keep_all() -> Self {
        Self { settled: false, bytes: None, age: None, entries: None, idle: None }
    }

    /// Keeps what some group still needs: entries that it has not settled, delayed and parked ones
    /// included. What all groups are done with goes.
    ///
    /// As long as there is no group nothing goes, and neither does it while a group is closed because
    /// its journal is damaged: nobody can tell what it needs. A group that nobody reads any more
    /// holds everything: delete it, or see [`ignore_idle_groups_after`](Self::ignore_idle_groups_after).
    /// [`PartitionInfo::held_by`](crate::PartitionInfo::held_by) names the group and the entry.
    pub const fn settled() -> Self {
        Self { settled: true, ..Self::keep_all() }
    }

    /// The segment files of each partition are to take no more than this; at least 1. The newest
    /// segment, which counts with its full length, always stays.
    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Entries go once they, and all of their segment, are older than this by the wall clock: from 1
    /// microsecond to 100 years.
    pub const fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Entries of a partition go if at least so many newer ones stay; at least 1.
    pub const fn entries(mut self, entries: u64) -> Self {
        self.entries = Some(entries);
        self
    }

    /// With [`settled`](Self::settled): a group that no member gave a sign of life to for that long
    /// no longer holds the log, until one does. What it loses by that is counted and told as under a
    /// limit. From 1 microsecond to 365 days; alone it does nothing.
    ///
    /// Time is counted while the stream is open, so a stream that was closed for long gives its
    /// groups as long to come back.
    pub const fn ignore_idle_groups_after(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Whether nothing ever goes.
    pub(crate) fn keeps_all(&self) -> bool {
        !self.settled && !self.has_limit()
    }

    /// Whether anything bounds what is kept.
    pub(crate) fn has_limit(&self) -> bool {
        self.bytes.is_some() || self.age.is_some() || self.entries.is_some()
    }
}
