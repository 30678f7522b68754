//! Looking at a stream that somebody else owns.

use std::path::Path;

use super::Stream;
use crate::error::Result;

impl Stream {
    /// Opens the stream in a directory for reading only, whether or not somebody has it open: a
    /// program that shows what is in it, tails it, or saves what can be saved of a damaged one.
    ///
    /// - No lock is taken and no byte written. The owner, in another process or this one, notices
    ///   nothing: it can open, close and open again meanwhile.
    /// - Reads follow the owner: what it appended shows, as a whole, in the reads that come after;
    ///   what it trimmed is counted by [`Reader::missed`](crate::Reader::missed). A blocked read
    ///   looks every 10 ms. With [`Durability::Always`](crate::Durability::Always) only what the
    ///   owner knows to be on the disk shows; what its last flush before a crash brought there may
    ///   show only once it has opened the stream again.
    /// - If an owner that crashed finds less on the disk than was seen here (it takes a failed disk for
    ///   that), ids behind that place come again, and readers go back and read the entries that have
    ///   them now.
    /// - Damage that refuses any other opening ends its partition there instead, and
    ///   [`recovery`](Self::recovery) tells of it. Damage that is met later is
    ///   [`Error::Corrupt`](crate::Error::Corrupt), each time.
    /// - Groups, partitions and settings follow the owner's, its durability included.
    /// - Whatever would change something is refused with
    ///   [`Error::ReadOnly`](crate::Error::ReadOnly).
    ///
    /// Files are read, never mapped, and at most 64 of them are open at once.
    ///
    /// ```
    /// use millstream::{Error, Start, Stream};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("orders");
    /// let owner = Stream::open(&path)?;
    /// owner.append("order 1001")?;
    ///
    /// let seen = Stream::open_read_only(&path)?;
    /// let reader = seen.reader(Start::Earliest)?;
    /// assert_eq!(reader.try_read(10)?.len(), 1);
    /// owner.append("order 1002")?;
    /// assert_eq!(reader.try_read(10)?.len(), 1);
    /// assert!(matches!(seen.append("order 1003"), Err(Error::ReadOnly)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`StreamOptions::open_read_only`](crate::StreamOptions::open_read_only).
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open_read_only(path)
    }
}
