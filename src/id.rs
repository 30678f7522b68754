//! Names of things that are handed around: [`EntryId`], [`Ids`], [`Appended`] and [`Token`].

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// Where an entry stands: its partition, and its offset in it.
///
/// Offsets are dense: 0, 1, 2, and so on, for each partition on its own. An id is final once the
/// entry is synced; one that a power cut took away may be given out again.
///
/// ```
/// use millstream::EntryId;
///
/// let id = EntryId::new(3, 1842);
/// assert_eq!(id.to_string(), "3-1842");
/// assert_eq!("3-1842".parse::<EntryId>()?, id);
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// serde makes that text of it in formats for people, such as JSON, and the two numbers in others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    partition: u32,
    offset: u64,
}

impl EntryId {
    /// Names the entry at `offset` of `partition`.
    pub const fn new(partition: u32, offset: u64) -> Self {
        Self { partition, offset }
    }

    /// The partition, counted from 0.
    pub const fn partition(self) -> u32 {
        self.partition
    }

    /// The entry's place in its partition, counted from 0.
    pub const fn offset(self) -> u64 {
        self.offset
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.partition, self.offset)
    }
}

impl FromStr for EntryId {
    type Err = Error;

    /// Reads what `Display` writes: `partition-offset`, both decimal.
    ///
    /// # Errors
    /// [`Error::InvalidId`] for anything else.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::InvalidId { text: text.into() };
        let (partition, offset) = text.split_once('-').ok_or_else(invalid)?;
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !plain(partition) || !plain(offset) {
            return Err(invalid());
        }
        Ok(Self {
            partition: partition.parse().map_err(|_| invalid())?,
            offset: offset.parse().map_err(|_| invalid())?,
        })
    }
}

impl Serialize for EntryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (self.partition, self.offset).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            let (partition, offset) = Deserialize::deserialize(deserializer)?;
            Ok(Self { partition, offset })
        }
    }
}

/// The proof of one lease: which group, which entry, which hand-out.
///
/// A token is plain data: it can be copied, sent to another thread, or stored, and settled by
/// whoever holds it. It never becomes valid again once its lease is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    pub(crate) incarnation: u64,
    pub(crate) id: EntryId,
    pub(crate) lease: u64,
}

impl Token {
    /// The entry that was leased.
    pub const fn id(self) -> EntryId {
        self.id
    }

    /// The number of the hand-out, which grows with every hand-out of the group and is never
    /// used twice.
    pub const fn lease(self) -> u64 {
        self.lease
    }
}

/// What became of an entry that was to be appended once:
/// [`Stream::append_unique`](crate::Stream::append_unique).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Appended {
    /// Where it is.
    pub id: EntryId,
    /// Whether it was there before, and nothing was appended.
    pub duplicate: bool,
}

/// The ids of a batch: consecutive offsets of one partition. An iterator over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    partition: u32,
    first: u64,
    end: u64,
}

impl Ids {
    pub(crate) fn new(partition: u32, first: u64, end: u64) -> Self {
        Self { partition, first, end }
    }

    /// The id of the first entry that is left; `None` if there is none.
    pub fn first(&self) -> Option<EntryId> {
        (self.first < self.end).then(|| EntryId::new(self.partition, self.first))
    }
}

impl Iterator for Ids {
    type Item = EntryId;

    fn next(&mut self) -> Option<EntryId> {
        let id = self.first()?;
        self.first += 1;
        Some(id)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.end - self.first).unwrap_or(usize::MAX);
        (left, Some(left))
    }

    /// The id of the last entry; `None` if there is none. At once, unlike that of most iterators.
    fn last(self) -> Option<EntryId> {
        (self.first < self.end).then(|| EntryId::new(self.partition, self.end - 1))
    }
}

impl ExactSizeIterator for Ids {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        for (partition, offset) in [(0, 0), (3, 1842), (u32::MAX, u64::MAX)] {
            let id = EntryId::new(partition, offset);
            assert_eq!(id.to_string().parse::<EntryId>().unwrap(), id);
        }
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in
            ["", "-", "3", "3-", "-4", "a-1", "1-b", "1-2-3", "+1-2", "1- 2", "4294967296-0"]
        {
            assert!(matches!(text.parse::<EntryId>(), Err(Error::InvalidId { .. })), "{text}");
        }
    }
}
