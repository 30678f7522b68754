//! Where a reader or a group begins.

use std::time::SystemTime;

use crate::id::EntryId;

/// Where to begin reading. Partitions that are [added](crate::Stream::add_partitions) later are read
/// from their first entry, whatever the start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// At the first entry that is stored.
    Earliest,
    /// After the last entry that is there now.
    Latest,
    /// At this entry, inclusive, in its own partition; in the others at their first.
    At(EntryId),
    /// At these entries, inclusive, each in its own partition; in the others at their first.
    Each(Vec<EntryId>),
    /// At the first entry that is at least as new as this, or that stands behind one.
    Since(SystemTime),
}
