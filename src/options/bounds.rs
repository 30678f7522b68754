//! Options that bound how many entries, or keys, there may be of a kind.

use super::{GroupOptions, StreamOptions};
use crate::error::Result;
use crate::limits::{DELAYED_MAX, UNIQUE_MAX, within};

impl StreamOptions {
    /// How many keys of [`Stream::append_unique`](crate::Stream::append_unique) are kept in memory:
    /// 1 to 2<sup>30</sup>, by default 1,000,000. Those that are out of every window go by
    /// themselves; while all of so many are within theirs, new keys are refused.
    pub fn unique_max(mut self, keys: u64) -> Self {
        self.unique_max = Some(keys);
        self
    }

    pub(super) fn check_bounds(&self) -> Result<()> {
        within("unique_max", self.unique_max.unwrap_or(1), 1, UNIQUE_MAX)
    }
}

impl GroupOptions {
    /// How many entries may be leased at one time in the whole group; by default 100,000. Entries
    /// that wait to be tried again do not count.
    pub fn max_in_flight(mut self, entries: u64) -> Self {
        self.plan.max_in_flight = Some(entries);
        self
    }

    /// How many entries may be leased at one time to one consumer; by default without bound.
    pub fn max_in_flight_per_consumer(mut self, entries: u64) -> Self {
        self.plan.max_in_flight_per_consumer = Some(entries);
        self
    }

    /// How many bytes may be leased at one time in the whole group; by default without bound. A read
    /// that finds room gets at least one entry, so the last one may go over the bound. Entries
    /// count as long as they are stored, with what is around them; of the entries of a read, each
    /// counts with their mean. What is leased already when the bound is first set does not count.
    pub fn max_in_flight_bytes(mut self, bytes: u64) -> Self {
        self.plan.max_in_flight_bytes = Some(bytes);
        self
    }

    /// How many entries may wait in the group for their own time
    /// ([`NewEntry::deliver_at`](crate::NewEntry::deliver_at)): at most 2<sup>30</sup>, by default
    /// 1,000,000. When there are so many, reads do not go past a further one that is not due: what
    /// stands behind it in its partition waits as well, and such a read says
    /// [`Blocked::Delayed`](crate::Blocked::Delayed). With 0 the group keeps the order of offsets,
    /// and every delayed entry holds up those behind it.
    pub fn delayed_max(mut self, entries: u64) -> Self {
        self.plan.delayed_max = Some(entries);
        self
    }

    pub(super) fn check_bounds(&self) -> Result<()> {
        let plan = &self.plan;
        let bounds = [
            ("max_in_flight", plan.max_in_flight),
            ("max_in_flight_per_consumer", plan.max_in_flight_per_consumer),
            ("max_in_flight_bytes", plan.max_in_flight_bytes),
        ];
        for (option, given) in bounds {
            within(option, given.unwrap_or(1), 1, u64::MAX)?;
        }
        within("delayed_max", plan.delayed_max.unwrap_or(0), 0, DELAYED_MAX)
    }
}
