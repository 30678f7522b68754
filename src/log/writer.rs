//! What only the appender of a log touches, under its lock.

use std::sync::Arc;

use super::active::Active;
use super::header::Head;
use super::segment::Segment;
use crate::storage::Region;

/// What only the appender touches.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) active: Option<Active>,
    pub(super) end: u64,
    pub(super) time_max: u64,
    /// Where the last segment's frames end, and its salt, while none is active.
    pub(super) previous: (u64, u64),
    pub(super) next_sequence: u64,
    pub(super) last_capacity: u64,
    /// Nothing is appended any more.
    pub(super) closed: bool,
    /// Sealed segments that are not synced yet, oldest first.
    pub(super) unsynced: Vec<Unsynced>,
}

impl Writer {
    /// Whether `bytes` of frames go into the active segment, once it has its full length.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        self.active.as_ref().is_some_and(|active| active.fits(bytes, active.segment.capacity))
    }

    /// What making the next segment needs to know.
    pub(super) fn plans(&self) -> Self {
        let (next_sequence, last_capacity) = (self.next_sequence, self.last_capacity);
        Self { next_sequence, last_capacity, ..Self::default() }
    }
}

/// A sealed segment that still has to be flushed.
#[derive(Clone, Debug)]
pub(super) struct Unsynced {
    pub(super) segment: Arc<Segment>,
    pub(super) region: Arc<dyn Region>,
    /// Where its frames end.
    pub(super) end: u64,
    /// What has to be written first, and where.
    pub(super) staged: Vec<u8>,
    pub(super) staged_at: u64,
}

/// A segment made ahead of its use.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) head: Head,
    pub(super) region: Arc<dyn Region>,
}
