//! How a stream is opened: [`StreamOptions`], [`Durability`], and the bounds of both streams and
//! groups.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, Time, time_of};
use crate::engine::{Made, Mill, Plan};
use crate::error::{Error, Result};
use crate::storage::{Disk, Memory, Storage};
use crate::stream::Stream;

/// The most partitions a stream can have.
pub(crate) const PARTITIONS_MAX: u32 = 16_384;
/// The most groups a stream can have.
pub(crate) const GROUPS_MAX: usize = 10_000;
/// The bounds of `segment_bytes`.
pub(crate) const SEGMENT_BYTES: (u64, u64) = (4 << 10, 1 << 30);
/// The default of `segment_bytes`.
pub(crate) const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// The greatest and default `entry_bytes_max`.
pub(crate) const ENTRY_BYTES_MAX: u64 = 16 << 20;
/// A batch is at most this long, appended or read.
pub(crate) const BATCH_BYTES_MAX: u64 = 16 << 20;
/// A group's or consumer's name is at most this long.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// Durations in options are at most this long.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// When a call that changes something says that it is done.
///
/// The same level holds for appending and for settling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When the operating system has it. Survives a crash or kill of the process, not of the
    /// machine; [`Stream::sync`] makes what was done so far survive that too.
    #[default]
    Os,
    /// As `Os`, and the first call on the stream (or a blocked read) that finds the oldest
    /// unsynced write older than this flushes everything. A stream that nobody calls is flushed by
    /// [`Stream::sync`], [`Stream::maintain`], [`Stream::close`] or the drop of its last handle.
    Every(Duration),
    /// When it is on the disk. Threads that wait at the same time share one flush, and readers see
    /// only what is durable.
    Always,
}

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
    time: Time,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            partitions: None,
            segment_bytes: None,
            entry_bytes_max: None,
            durability: None,
            time: time_of(&SystemClock),
        }
    }
}

impl StreamOptions {
    /// How many partitions a new stream gets: 1 to 16,384, by default 1. Fixed at creation; a
    /// stream that exists must have as many.
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

    /// Makes a stream in memory: the same code on blocks of memory, gone with its last handle.
    ///
    /// # Errors
    /// [`Error::InvalidOption`]; [`Error::Io`] if there is no memory.
    pub fn in_memory(self) -> Result<Stream> {
        self.on(Arc::new(Memory::new()), Made::New)
    }

    /// Opens the stream on any storage.
    pub(crate) fn on(self, storage: Arc<dyn Storage>, made: Made) -> Result<Stream> {
        let plan = self.plan()?;
        Mill::open(storage, made, plan).map(Stream::new)
    }

    fn plan(self) -> Result<Plan> {
        if let Some(partitions) = self.partitions {
            within("partitions", u64::from(partitions), 1, u64::from(PARTITIONS_MAX))?;
        }
        if let Some(bytes) = self.segment_bytes {
            within("segment_bytes", bytes, SEGMENT_BYTES.0, SEGMENT_BYTES.1)?;
        }
        if let Some(bytes) = self.entry_bytes_max {
            within("entry_bytes_max", bytes, 1, ENTRY_BYTES_MAX)?;
        }
        if let Some(Durability::Every(interval)) = self.durability {
            lasting("durability", interval)?;
        }
        Ok(Plan {
            partitions: self.partitions,
            segment_bytes: self.segment_bytes,
            entry_bytes_max: self.entry_bytes_max,
            durability: self.durability,
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

/// Refuses a number outside its bounds.
pub(crate) fn within(option: &'static str, given: u64, min: u64, max: u64) -> Result<()> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    let bound = format!("from {min} to {max}").into();
    Err(Error::InvalidOption { option, given: given.to_string().into(), bound })
}

/// Refuses a duration of zero, or one beyond all use.
pub(crate) fn lasting(option: &'static str, given: Duration) -> Result<()> {
    if given >= Duration::from_micros(1) && given <= DURATION_MAX {
        return Ok(());
    }
    let bound = "from 1 microsecond to 365 days".into();
    Err(Error::InvalidOption { option, given: format!("{given:?}").into(), bound })
}

/// Refuses a name that is empty, too long, or not printable.
pub(crate) fn named(what: &'static str, name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("it has {} bytes; the bound is {NAME_BYTES_MAX}", name.len())
    } else if name.chars().any(char::is_control) {
        "it has control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { what, reason: reason.into() })
}
