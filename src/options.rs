//! How streams and groups are opened: [`StreamOptions`], [`GroupOptions`].

mod filter;

use std::any::TypeId;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

mod bounds;

use crate::assign::{Assign, CooperativeSticky, Range, RoundRobin, Shared, Sticky};
use crate::backoff::Backoff;
use crate::clock::{Clock, SystemClock, Time, time_of};
use crate::durability::Durability;
use crate::engine::{
    GroupPlan, Made, Mill, Plan, Seat, StoredStrategy, alter_group, check_retention, open_group,
};
use crate::error::{Error, Result};
use crate::group::Group;
use crate::ledger::Policy;
use crate::limits::{ENTRY_BYTES_MAX, PARTITIONS_MAX, SEGMENT_BYTES, lasting, named, within};
use crate::policy::{AckMode, Exhausted, OnTrimmed};
use crate::retention::Retention;
use crate::start::Start;
use crate::storage::{Disk, Memory, Storage};
use crate::stream::Stream;

/// How to open a stream. Setters take and give the options; all checks are in the finishing verb.
///
/// ```
/// use millstream::{Durability, Stream};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("orders");
/// let stream = Stream::options()
///     .partitions(4)
///     .durability(Durability::Always)
///     .open(&path)?;
/// assert_eq!(stream.partitions(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `open`, `create`, `open_existing` or `in_memory` is called"]
pub struct StreamOptions {
    partitions: Option<u32>,
    segment_bytes: Option<u64>,
    entry_bytes_max: Option<u64>,
    durability: Option<Durability>,
    retention: Option<Retention>,
    unique_max: Option<u64>,
    time: Time,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            partitions: None,
            segment_bytes: None,
            entry_bytes_max: None,
            durability: None,
            retention: None,
            unique_max: None,
            time: time_of(&SystemClock),
        }
    }
}

impl StreamOptions {
    /// How many partitions a new stream gets: 1 to 16,384, by default 1. A stream that exists must
    /// have as many; [`Stream::add_partitions`] gives it more.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// The largest segment, in bytes: 4 KiB to 1 GiB, by default 64 MiB. The first segment of a
    /// partition is at most 1 MiB, each next twice as large up to this.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = Some(bytes);
        self
    }

    /// The largest entry (payload, key, subject and headers, with a few bytes for their lengths),
    /// at most 16 MiB and at most a quarter of `segment_bytes`, which is also the default.
    pub fn entry_bytes_max(mut self, bytes: u64) -> Self {
        self.entry_bytes_max = Some(bytes);
        self
    }

    /// When a call that changes something says that it is done; by default [`Durability::Os`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// How long entries are kept; by default [`Retention::keep_all`].
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// The clock for leases, delays and timestamps; by default the [`SystemClock`].
    #[expect(clippy::needless_pass_by_value, reason = "a builder takes what it is given")]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.time = time_of(&clock);
        self
    }

    /// Opens the stream in a directory, or makes it if there is none or an empty one.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], [`Error::OptionsDiffer`], [`Error::Locked`],
    /// [`Error::NotAStream`], [`Error::NewerFormat`], [`Error::Corrupt`], [`Error::DiskFull`],
    /// [`Error::Io`]; [`Error::Poisoned`] if a flush failed.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Stream> {
        self.on(Arc::new(Disk::new(path.as_ref().to_owned())), Made::IfMissing)
    }

    /// Makes a stream in a directory that is missing or empty.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if there is a stream, and those of [`open`](Self::open).
    pub fn create(self, path: impl AsRef<Path>) -> Result<Stream> {
        self.on(Arc::new(Disk::new(path.as_ref().to_owned())), Made::New)
    }

    /// Opens the stream in a directory.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, and those of [`open`](Self::open).
    pub fn open_existing(self, path: impl AsRef<Path>) -> Result<Stream> {
        self.on(Arc::new(Disk::new(path.as_ref().to_owned())), Made::Before)
    }

    /// Opens the stream in a directory for reading only, as [`Stream::open_read_only`] says; of the
    /// options, only the clock is used.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::NotAStream`](crate::Error::NotAStream),
    /// [`Error::NewerFormat`](crate::Error::NewerFormat), [`Error::Io`](crate::Error::Io);
    /// [`Error::Corrupt`](crate::Error::Corrupt) if the manifest itself is damaged.
    pub fn open_read_only(self, path: impl AsRef<Path>) -> Result<Stream> {
        self.on(Arc::new(Disk::new(path.as_ref().to_owned())), Made::ReadOnly)
    }

    /// Makes a stream in memory: the same code on blocks of memory, gone with its last handle.
    ///
    /// # Errors
    /// [`Error::InvalidOption`]; [`Error::Io`] if there is no memory.
    pub fn in_memory(self) -> Result<Stream> {
        self.on(Arc::new(Memory::new()), Made::New)
    }

    /// Opens the stream on any storage.
    pub(crate) fn on(self, storage: Arc<dyn Storage>, made: Made) -> Result<Stream> {
        Mill::open(storage, made, self.plan()?).map(Stream::new)
    }

    fn plan(self) -> Result<Plan> {
        if let Some(partitions) = self.partitions {
            within("partitions", u64::from(partitions), 1, u64::from(PARTITIONS_MAX))?;
        }
        if let Some(bytes) = self.segment_bytes {
            within("segment_bytes", bytes, SEGMENT_BYTES.0, SEGMENT_BYTES.1)?;
        }
        within("entry_bytes_max", self.entry_bytes_max.unwrap_or(1), 1, ENTRY_BYTES_MAX)?;
        self.check_bounds()?;
        if let Some(Durability::Every(interval)) = self.durability {
            lasting("durability", interval)?;
        }
        self.retention.as_ref().map_or(Ok(()), check_retention)?;
        Ok(Plan {
            partitions: self.partitions,
            segment_bytes: self.segment_bytes,
            entry_bytes_max: self.entry_bytes_max,
            durability: self.durability,
            retention: self.retention,
            unique_max: self.unique_max,
            time: self.time,
            #[cfg(test)]
            trial: crate::engine::Trial::default(),
        })
    }

    /// Opens with what only tests set.
    #[cfg(test)]
    pub(crate) fn on_trial(
        self,
        storage: Arc<dyn Storage>,
        trial: crate::engine::Trial,
    ) -> Result<Stream> {
        let plan = Plan { trial, ..self.plan()? };
        Mill::open(storage, Made::IfMissing, plan).map(Stream::new)
    }
}

/// How to open a group. Setters take and give the options; all checks are in the finishing verb.
///
/// What is not set keeps the value it was given before, or the default. A group that is in use in
/// this process is not changed by opening it once more.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use millstream::{Backoff, Start, Stream};
///
/// let stream = Stream::options().in_memory()?;
/// let group = stream
///     .group("billing")
///     .lease(Duration::from_secs(60))
///     .max_deliveries(5)
///     .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(300)))
///     .open(Start::Earliest)?;
/// assert_eq!(group.name(), "billing");
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `open`, `create` or `open_existing` is called"]
pub struct GroupOptions {
    stream: Stream,
    name: String,
    plan: GroupPlan,
    ack_interval: Option<Duration>,
    backoff: Option<Backoff>,
    /// With how it is stored, if it is not the user's own.
    strategy: Option<(Option<StoredStrategy>, Arc<dyn Assign>)>,
    patterns: Vec<String>,
}

impl GroupOptions {
    pub(crate) fn new(stream: Stream, name: &str) -> Self {
        Self {
            stream,
            name: name.to_owned(),
            plan: GroupPlan::default(),
            ack_interval: None,
            backoff: None,
            strategy: None,
            patterns: Vec::new(),
        }
    }

    /// How long a delivery is its consumer's alone; by default 30 seconds. Afterwards it waits for
    /// the backoff, then it is anybody's.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.plan.lease = Some(lease);
        self
    }

    /// How long a consumer may be silent before it is no longer a member and what it held goes
    /// back; by default the lease, and at least 30 seconds. Every call of the consumer is a sign
    /// of life, and so are a blocked read and a lease that was extended. (The idea is Kafka's.)
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.plan.session_timeout = Some(timeout);
        self
    }

    /// How often an entry is handed out before it counts as exhausted: 1 to 8,000, by default 16.
    /// (`JetStream`'s `MaxDeliver`, SQS's `maxReceiveCount`.)
    pub fn max_deliveries(mut self, attempts: u16) -> Self {
        self.plan.max_deliveries = Some(attempts);
        self
    }

    /// How long a failed entry waits; by default 100 milliseconds, doubling up to 30 seconds.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// What becomes of an exhausted entry; by default [`Exhausted::Park`].
    pub fn on_exhausted(mut self, then: Exhausted) -> Self {
        let (stored, target) = then.stored();
        (self.plan.on_exhausted, self.plan.target) = (Some(stored), target);
        self
    }

    /// Who decides which consumer reads which partition; by default
    /// [`Shared`](crate::assign::Shared), where everybody reads everything. One of your own has to be passed at each opening.
    pub fn strategy<S: Assign + 'static>(mut self, strategy: S) -> Self {
        let built_in = [
            (TypeId::of::<Shared>(), StoredStrategy::Shared),
            (TypeId::of::<Range>(), StoredStrategy::Range),
            (TypeId::of::<RoundRobin>(), StoredStrategy::RoundRobin),
            (TypeId::of::<Sticky>(), StoredStrategy::Sticky),
            (TypeId::of::<CooperativeSticky>(), StoredStrategy::CooperativeSticky),
        ];
        let stored = built_in.into_iter().find(|(id, _)| *id == TypeId::of::<S>());
        self.strategy = Some((stored.map(|(_, stored)| stored), Arc::new(strategy)));
        self
    }

    /// How long a consumer may go on with what it holds of a partition that goes to another one;
    /// by default 60 seconds. Then its leases there are void.
    pub fn revocation_timeout(mut self, timeout: Duration) -> Self {
        self.plan.revocation_timeout = Some(timeout);
        self
    }

    /// Where the group goes on when retention took entries it was still to read; by default
    /// [`OnTrimmed::Earliest`].
    pub fn on_trimmed(mut self, then: OnTrimmed) -> Self {
        self.plan.on_trimmed = Some(then.stored());
        self
    }

    /// What counts as an ack; by default [`AckMode::Explicit`].
    pub fn ack_mode(mut self, mode: AckMode) -> Self {
        self.plan.ack_mode = Some(mode.stored());
        if let AckMode::Interval(interval) = mode {
            self.ack_interval = Some(interval);
        }
        self
    }

    /// Opens the group, or makes it with this start if it is not there. The start of a group that
    /// is there does not change. If a new one is to start where entries were trimmed, these are
    /// counted as [trimmed](crate::GroupInfo::trimmed), and [`on_trimmed`](Self::on_trimmed) says
    /// where it goes on.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidOption`], [`Error::OptionsDiffer`] (another filter),
    /// [`Error::StartBeyondEnd`], [`Error::NoSuchPartition`], [`Error::LimitReached`], [`Error::Corrupt`] (its journal is
    /// damaged), [`Error::Closed`], [`Error::Poisoned`], [`Error::DiskFull`], [`Error::Io`].
    #[expect(clippy::needless_pass_by_value, reason = "a start is made where it is given")]
    pub fn open(self, start: Start) -> Result<Group> {
        self.finish(Made::IfMissing, Some(&start))
    }

    /// Makes the group.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if it is there, and those of [`open`](Self::open).
    #[expect(clippy::needless_pass_by_value, reason = "a start is made where it is given")]
    pub fn create(self, start: Start) -> Result<Group> {
        self.finish(Made::New, Some(&start))
    }

    /// Opens the group that is there. Where the stream is open for reading only, this and
    /// [`open`](Self::open) give [`Error::ReadOnly`] if anything would change by it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not, and those of [`open`](Self::open).
    pub fn open_existing(self) -> Result<Group> {
        self.finish(Made::Before, None)
    }

    /// Gives a group these settings while it is in use.
    pub(crate) fn alter(self, seat: &Seat) -> Result<()> {
        let options = self.settled()?;
        if *options.name != *seat.desk.name {
            let reason = format!("the options are for the group {:?}", options.name).into();
            return Err(Error::InvalidName { what: "group", reason });
        }
        alter_group(seat, &options.plan)
    }

    fn finish(self, made: Made, start: Option<&Start>) -> Result<Group> {
        let Self { stream, name, plan, .. } = self.settled()?;
        let seat = open_group(&stream.handle, &name, made, &plan, start)?;
        Ok(Group { seat })
    }

    /// Checks everything, and brings it into the form that is stored.
    fn settled(mut self) -> Result<Self> {
        named("group", &self.name)?;
        self.check()?;
        self.plan.backoff = self.backoff.take().map(Backoff::stored).transpose()?;
        // The user's code is asked for its name here, where no lock is held.
        if let Some((stored, strategy)) = self.strategy.take() {
            let stored = stored.map_or_else(|| StoredStrategy::custom(&*strategy), Ok)?;
            self.plan.strategy = Some((stored, strategy));
        }
        self.plan.filter = self.parsed_filter()?;
        Ok(self)
    }

    fn check(&self) -> Result<()> {
        let durations = [
            ("lease", self.plan.lease),
            ("session_timeout", self.plan.session_timeout),
            ("revocation_timeout", self.plan.revocation_timeout),
            ("ack_mode", self.ack_interval),
        ];
        for (option, given) in durations {
            if let Some(given) = given {
                lasting(option, given)?;
            }
        }
        if let Some(attempts) = self.plan.max_deliveries {
            within("max_deliveries", u64::from(attempts), 1, u64::from(Policy::DELIVERIES_MAX))?;
        }
        self.check_bounds()
    }
}
