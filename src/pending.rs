//! [`PendingQuery`]: which pending entries to list.

use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use crate::engine::Sought;
use crate::id::EntryId;
use crate::limits::PENDING_ROWS;

/// Which pending entries [`Group::pending_entries`](crate::Group::pending_entries) lists: by default
/// the first 1,000 of all.
///
/// ```
/// use std::time::Duration;
/// use millstream::{EntryId, PendingQuery};
///
/// let first = EntryId::new(0, 100);
/// let query = PendingQuery::new().range(first..).idle(Duration::from_secs(60)).max(10);
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until it is asked"]
pub struct PendingQuery {
    range: (Bound<EntryId>, Bound<EntryId>),
    consumer: Option<String>,
    min_idle: Duration,
    pub(crate) max: u32,
}

impl Default for PendingQuery {
    fn default() -> Self {
        Self::new()
    }
}

impl PendingQuery {
    /// Asks for all, 1,000 at a time.
    pub const fn new() -> Self {
        let range = (Bound::Unbounded, Bound::Unbounded);
        Self { range, consumer: None, min_idle: Duration::ZERO, max: PENDING_ROWS }
    }

    /// Asks for ids of a range, whose ends are in it or not: `a..=b`, `a..b`, `..b`,
    /// `(Bound::Excluded(a), Bound::Unbounded)` to go on behind the last row, and so on. Ids are
    /// ordered by partition, then by offset.
    pub fn range(mut self, ids: impl RangeBounds<EntryId>) -> Self {
        self.range = (ids.start_bound().cloned(), ids.end_bound().cloned());
        self
    }

    /// Asks for what the consumer of this name holds.
    pub fn consumer(mut self, name: impl Into<String>) -> Self {
        self.consumer = Some(name.into());
        self
    }

    /// Asks for what was idle for at least that long. Chunks of entries in which nothing is are
    /// skipped as a whole.
    pub fn idle(mut self, least: Duration) -> Self {
        self.min_idle = least;
        self
    }

    /// Asks for at most that many rows.
    pub fn max(mut self, rows: u32) -> Self {
        self.max = rows;
        self
    }

    pub(crate) fn sought(&self) -> Sought<'_> {
        let Self { range, consumer, min_idle, max } = self;
        let consumer = consumer.as_deref();
        Sought { range: *range, consumer, min_idle: *min_idle, max: *max }
    }
}
