//! Where a start lies: a look at places without reading.

use super::Stream;
use crate::error::Result;
use crate::id::EntryId;
use crate::start::Start;

impl Stream {
    /// Where a start lies now, in each partition in order: the id that a reader or a new group
    /// would begin at. With [`info`](Self::info) it counts entries by time without reading them: one
    /// look at the time index of each partition.
    ///
    /// A start that names ids is answered with these, also where they were trimmed since.
    ///
    /// ```
    /// use millstream::{EntryId, Start, Stream};
    ///
    /// let stream = Stream::options().in_memory()?;
    /// stream.append_batch(["a", "b", "c"])?;
    /// assert_eq!(stream.offsets(&Start::Latest)?, [EntryId::new(0, 3)]);
    ///
    /// let noon = std::time::SystemTime::UNIX_EPOCH;
    /// let begun: u64 = stream.offsets(&Start::Since(noon))?.iter().map(|id| id.offset()).sum();
    /// let ends: u64 = stream.info()?.partitions.iter().map(|partition| partition.end).sum();
    /// assert_eq!(ends - begun, 3); // appended since then
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// (Kafka's `ListOffsets`.)
    ///
    /// # Errors
    /// [`Error::StartBeyondEnd`](crate::Error::StartBeyondEnd),
    /// [`Error::NoSuchPartition`](crate::Error::NoSuchPartition),
    /// [`Error::Corrupt`](crate::Error::Corrupt) if frames that a time lies in cannot be read,
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Io`](crate::Error::Io).
    pub fn offsets(&self, start: &Start) -> Result<Vec<EntryId>> {
        let ground = &self.mill().ground;
        ground.check_open()?;
        self.mill().follow_partitions()?;
        let places = ground.places(start)?.into_iter();
        Ok((0..).zip(places).map(|(partition, offset)| EntryId::new(partition, offset)).collect())
    }
}
