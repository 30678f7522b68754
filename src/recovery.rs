//! [`Recovery`]: what opening a stream had to repair.

use serde::{Deserialize, Serialize};

/// What opening a stream had to repair.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recovery {
    /// The partitions that were not closed the last time.
    pub partitions: Vec<PartitionRecovery>,
}

impl Recovery {
    /// Whether every partition was closed.
    pub fn is_clean(&self) -> bool {
        self.partitions.is_empty()
    }
}

/// What opening a partition had to repair.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartitionRecovery {
    /// Which one.
    pub partition: u32,
    /// The offset that the next entry gets.
    pub end: u64,
    /// How many bytes of a torn tail were cut: they were never synced.
    pub torn_bytes: u64,
    /// How many later segments went with it.
    pub dropped_segments: usize,
    /// Where the partition could not be believed any further; only a stream that was opened for
    /// reading only is open in spite of that.
    pub damage: Option<String>,
}
